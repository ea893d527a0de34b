// SPDX-License-Identifier: GPL-2.0 OR MIT
//! A safe client of qda, the Linux driver for Qualcomm DSPs.
//!
//! A DSP is a device node below `/dev/accel`. A [`Device`] is such a node,
//! opened. It becomes a [`Session`], that is a process on the DSP, in which
//! [`Module`]s are loaded and their methods called:
//!
//! ```no_run
//! use qda::{Device, Module, ProcessOptions};
//!
//! # fn main() -> qda::Result<()> {
//! let device = Device::find("cdsp")?;
//! let session = device.create_process(&ProcessOptions::new())?;
//! let module = Module::open(
//!     &session,
//!     "file:///libecho_skel.so?echo_skel_handle_invoke&_modver=1.0",
//! )?;
//! let mut answer = [0; 5];
//! module.invoke(2, &[b"hello"], &mut [&mut answer])?;
//! assert_eq!(&answer, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! [`calculator`] is a complete client of one DSP module and the model for
//! others; [`filter`] is one whose data is not copied but stays in [`Buffer`]s.
//!
//! # Errors
//!
//! Two kinds are never mixed: what the kernel says about a system call
//! ([`Error::Os`], [`Error::Open`]) and the 32-bit result that the DSP gives
//! ([`Error::Dsp`], [`Error::Load`]). See [`Error`]; [`explain`] knows likely
//! causes.
//!
//! # Threads and signals
//!
//! [`Session`], [`Module`], [`Buffer`] and [`calculator::Calculator`] are `Send` and `Sync`.
//! Calls take `&self` and several threads may be in one at the same time; the
//! DSP works on them side by side and answers in any order. A call waits without
//! time limit unless [`Call::timeout`] sets one. A signal whose handler was installed ends the wait with EINTR;
//! the DSP may have run the method or may still do so. Nothing in this crate
//! sends a call again by itself.
//!
//! # Layers
//!
//! All `unsafe` code is in the private module `sys`.

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod buffer;
pub mod calculator;
mod call;
mod device;
mod error;
pub mod explain;
mod fdinfo;
pub mod filter;
mod module;
mod remote;
mod session;
#[allow(
    unsafe_code,
    reason = "the one place where system calls get raw pointers"
)]
mod sys;

pub use buffer::{Access, AccessGuard, Buffer};
pub use call::Call;
pub use device::{scan, Device, Scan, Unusable, Version, ACCEL_DIR};
pub use error::{Error, Operation, Result};
pub use fastrpc_proto::errors::DspResult;
pub use fdinfo::Facts;
pub use module::Module;
pub use remote::{Heap, MapMode, RemoteMapping, UnmapError};
pub use session::{Argument, ProcessOptions, Session};
pub use sys::memory::Memory;
