// SPDX-License-Identifier: GPL-2.0

//! Raw bindings: those of the kernel crate, and rpmsg from the second bindgen run.

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

include!(concat!(env!("QDA_SIM_OBJ"), "/kmod/bindings_generated.rs"));
