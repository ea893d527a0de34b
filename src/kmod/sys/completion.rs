// SPDX-License-Identifier: GPL-2.0

//! A table of completions.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)
//!
//! [`kernel::sync::Completion`] offers neither interruptible nor bounded waits, nor re-use. This
//! is what it would take to add them, for a fixed number of completions in one allocation.
//!
//! A completion only wakes up: what happened must be read under the lock of the data that it
//! stands for. [`CompletionTable::complete`] may be called in any context, also with interrupts
//! off and a spinlock held.

use crate::sys::bindings;
use core::time::Duration;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// How a bounded or interruptible wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The completion was completed.
    Completed,
    /// A signal is pending.
    Interrupted,
    /// The time is over.
    TimedOut,
}

/// A fixed number of completions.
///
/// # Invariants
///
/// Each element is an initialised `struct completion` that does not move.
pub(crate) struct CompletionTable {
    table: KVec<Opaque<bindings::completion>>,
}

// SAFETY: Completions may be used by any thread.
unsafe impl Send for CompletionTable {}

// SAFETY: Completions synchronise themselves.
unsafe impl Sync for CompletionTable {}

impl CompletionTable {
    /// Allocates `len` completions.
    pub(crate) fn new(len: usize) -> Result<Self> {
        let mut table = KVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            table.push(Opaque::<bindings::completion>::uninit(), GFP_KERNEL)?;
        }
        for completion in table.iter() {
            // SAFETY: `completion` is valid for writes. The vector never grows again, so its
            // elements stay where they are.
            unsafe { bindings::init_completion(completion.get()) };
        }

        // INVARIANT: All elements were just initialised; nothing takes them out of the vector.
        Ok(Self { table })
    }

    fn raw(&self, index: usize) -> Option<*mut bindings::completion> {
        self.table.get(index).map(Opaque::get)
    }

    /// Makes a completion ready for a new wait.
    ///
    /// Nobody may be waiting for it. An index out of range is ignored.
    pub(crate) fn rearm(&self, index: usize) {
        if let Some(raw) = self.raw(index) {
            // SAFETY: By the type invariant `raw` is valid. Racing with `complete()` is harmless
            // to memory safety: the function is a single store.
            unsafe { bindings::qda_helper_reinit_completion(raw) };
        }
    }

    /// Wakes the waiter.
    pub(crate) fn complete(&self, index: usize) {
        if let Some(raw) = self.raw(index) {
            // SAFETY: By the type invariant `raw` is valid.
            unsafe { bindings::complete(raw) };
        }
    }

    /// Sleeps until the completion is completed or a signal is pending.
    ///
    /// The sleep does not hold up the freezer. An index out of range counts as completed.
    pub(crate) fn wait_interruptible(&self, index: usize) -> Wait {
        let Some(raw) = self.raw(index) else {
            return Wait::Completed;
        };
        let state = bindings::TASK_INTERRUPTIBLE | bindings::TASK_FREEZABLE;

        // SAFETY: By the type invariant `raw` is valid.
        if unsafe { bindings::wait_for_completion_state(raw, state) } == 0 {
            Wait::Completed
        } else {
            Wait::Interrupted
        }
    }

    /// Sleeps until the completion is completed or `timeout` has passed; signals do not matter.
    pub(crate) fn wait_timeout(&self, index: usize, timeout: Duration) -> Wait {
        let Some(raw) = self.raw(index) else {
            return Wait::Completed;
        };
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);

        // SAFETY: The function has no requirements.
        let jiffies = unsafe { bindings::__msecs_to_jiffies(millis) };

        // SAFETY: By the type invariant `raw` is valid.
        if unsafe { bindings::wait_for_completion_timeout(raw, jiffies) } > 0 {
            Wait::Completed
        } else {
            Wait::TimedOut
        }
    }
}
