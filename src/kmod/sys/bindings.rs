// SPDX-License-Identifier: GPL-2.0

//! Raw bindings: those of the kernel crate and the generated rest.
//!
//! The second bindgen run (see `Kbuild`) reuses the types of [`kernel::bindings`], so that for
//! example the `dev` field of `rpmsg_device` *is* the kernel crate's `device`. Nothing outside
//! `sys` sees this module.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    reason = "generated code"
)]

pub(crate) use kernel::bindings::*;

use kernel::ffi;
use pin_init::MaybeZeroable;

/// Operations of an rpmsg transport. They are private to the rpmsg core.
#[repr(C)]
pub(crate) struct rpmsg_device_ops {
    _opaque: [u8; 0],
}

/// Operations of an rpmsg endpoint. They are private to the rpmsg core.
#[repr(C)]
pub(crate) struct rpmsg_endpoint_ops {
    _opaque: [u8; 0],
}

include!(concat!(env!("QDA_OBJ"), "/src/kmod/bindings_generated.rs"));
