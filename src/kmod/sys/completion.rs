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
use core::{
    pin::Pin,
    time::Duration, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
    types::Opaque, //
};
use pin_init::stack_pin_init;

/// How late an alarm may be, so that it can share an interrupt with others, in nanoseconds.
const ALARM_SLACK_NS: u64 = 50_000;

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

    /// Sleeps until the completion is completed, a signal is pending, or `timeout` has passed. The
    /// time that the system is suspended does not count.
    ///
    /// The sleep does not hold up the freezer. An index out of range counts as completed. After
    /// [`Wait::TimedOut`], the completion may be completed as well, once.
    pub(crate) fn wait_interruptible_timeout(&self, index: usize, timeout: Duration) -> Wait {
        let Some(raw) = self.raw(index) else {
            return Wait::Completed;
        };
        // The kernel's own bounded waits cannot be frozen: freezing would look like a signal.
        //
        // SAFETY: By the type invariant `raw` is valid, and stays so while `self` is borrowed.
        stack_pin_init!(let alarm = unsafe { Alarm::new(raw) });
        alarm.as_ref().start(timeout);

        let wait = self.wait_interruptible(index);
        if wait == Wait::Completed && alarm.fired.load(Acquire) {
            return Wait::TimedOut;
        }
        wait
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

/// A timer that completes a completion.
///
/// # Invariants
///
/// `timer` is initialised with the function [`Self::callback`], and `completion` is valid.
#[pin_data(PinnedDrop)]
struct Alarm {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    completion: *mut bindings::completion,
    fired: Atomic<bool>,
}

impl Alarm {
    /// Makes an alarm that lives on the stack and is not set.
    ///
    /// # Safety
    ///
    /// `completion` must stay valid as long as the alarm exists.
    unsafe fn new(completion: *mut bindings::completion) -> impl PinInit<Self> {
        // INVARIANT: The timer is initialised in place.
        pin_init!(Self {
            timer <- Opaque::ffi_init(|slot: *mut bindings::hrtimer| {
                // SAFETY: `slot` is valid memory for a timer, on the stack, and stays in place.
                unsafe {
                    bindings::hrtimer_setup_on_stack(
                        slot,
                        Some(Self::callback),
                        // CAST: A small constant.
                        bindings::CLOCK_MONOTONIC as bindings::clockid_t,
                        bindings::hrtimer_mode_HRTIMER_MODE_REL,
                    );
                }
            }),
            completion,
            fired: Atomic::new(false),
        })
    }

    /// Sets the alarm.
    fn start(self: Pin<&Self>, timeout: Duration) {
        let nanos =
            bindings::ktime_t::try_from(timeout.as_nanos()).unwrap_or(bindings::ktime_t::MAX);

        // SAFETY: By the type invariants the timer is initialised. It is cancelled before it goes.
        unsafe {
            bindings::hrtimer_start_range_ns(
                self.timer.get(),
                nanos,
                ALARM_SLACK_NS,
                bindings::hrtimer_mode_HRTIMER_MODE_REL,
            );
        }
    }

    /// Function of the timer. Runs with interrupts off.
    ///
    /// # Safety
    ///
    /// Must only be called by the timer core, with the timer in an `Alarm`.
    unsafe extern "C" fn callback(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        // SAFETY: By the requirements of this function, `timer` is that of an alarm, which is
        // alive: its drop waits for this function.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(timer), Self, timer) };

        this.fired.store(true, Release);
        // SAFETY: By the type invariants the completion is valid.
        unsafe { bindings::complete(this.completion) };
        bindings::hrtimer_restart::HRTIMER_NORESTART
    }
}

#[pinned_drop]
impl PinnedDrop for Alarm {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the timer is initialised, by the function for timers on
        // the stack. It is not used after this.
        unsafe {
            bindings::hrtimer_cancel(self.timer.get());
            bindings::qda_helper_destroy_hrtimer_on_stack(self.timer.get());
        }
    }
}
