// SPDX-License-Identifier: GPL-2.0

//! Facts about the calling task.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/capability.h`](srctree/include/linux/capability.h)
//!
//! Candidates for `rust/kernel/task.rs`. Nothing here sleeps or takes a lock.

use crate::sys::bindings;
use kernel::{
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

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

/// Returns whether the calling thread has been killed and will not return to its program.
pub(crate) fn current_is_killed() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { bindings::qda_helper_fatal_signal_pending() }
}

/// Gives other tasks a chance to run. May sleep.
pub(crate) fn breathe() {
    // SAFETY: May be called where sleeping is allowed.
    unsafe { bindings::qda_helper_cond_resched() };
}

/// One particular thread, which may have ended. Its number can be used again, this cannot.
pub(crate) struct Thread(ARef<Task>);

impl Thread {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        let task: &Task = kernel::current!();
        Self(ARef::from(task))
    }

    /// Whether it is the calling thread.
    pub(crate) fn is_current(&self) -> bool {
        core::ptr::eq(self.0.as_ptr(), Task::current_raw())
    }

    /// Whether it is the same thread as `other`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }

    /// Whether it ends or has ended: it never returns to its program.
    pub(crate) fn has_exited(&self) -> bool {
        // SAFETY: The reference keeps the task valid.
        unsafe { bindings::qda_helper_task_is_exiting(self.0.as_ptr()) }
    }
}
