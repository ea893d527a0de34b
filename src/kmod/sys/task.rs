// SPDX-License-Identifier: GPL-2.0

//! Facts about the calling task.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/capability.h`](srctree/include/linux/capability.h)
//!
//! Candidates for `rust/kernel/task.rs`. Nothing here sleeps or takes a lock.

use crate::sys::bindings;
use kernel::prelude::*;

/// Bytes of a task's name, NUL included (`TASK_COMM_LEN`).
pub(crate) const COMM_LEN: usize = 16;

/// Returns the id of the calling thread, in the initial namespace.
pub(crate) fn current_tid() -> i32 {
    kernel::current!().pid()
}

/// Takes a snapshot of the calling thread's name.
///
/// The name may change at any time; the snapshot is NUL-terminated and padded with NUL.
pub(crate) fn current_comm() -> [u8; COMM_LEN] {
    let mut comm = [0u8; COMM_LEN];
    // SAFETY: `comm` is valid for writes of its length.
    unsafe { bindings::qda_helper_current_comm(comm.as_mut_ptr().cast(), comm.len()) };
    comm
}

/// Returns whether the calling task has `CAP_SYS_ADMIN` in the initial user namespace.
pub(crate) fn capable_sys_admin() -> bool {
    // CAST: The constant is a small capability number.
    let cap = bindings::CAP_SYS_ADMIN as c_int;

    // SAFETY: The function has no requirements.
    unsafe { bindings::capable(cap) }
}
