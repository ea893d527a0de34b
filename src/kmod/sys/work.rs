// SPDX-License-Identifier: GPL-2.0

//! Work that is done again and again, as long as there is something to do.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)
//!
//! [`kernel::workqueue`] hands the ownership of a structure to the queue for each run and cannot
//! take it back. [`Periodic`] owns what it runs, and waits for it when it is dropped.
//!
//! Runs on the system's power-efficient queue, which stops while the system is suspended. Takes no
//! lock.
//!
//! # Place in rust/kernel
//!
//! `rust/kernel/workqueue.rs`.

use crate::sys::bindings;
use core::{
    pin::Pin,
    time::Duration, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// What a [`Periodic`] does.
pub(crate) trait Chore: Send + Sync {
    /// Does the work in process context; may sleep. Says whether to do it again after the period.
    ///
    /// Must not drop the [`Periodic`] that runs it, which would wait for itself.
    fn run(&self) -> bool;
}

/// A chore that runs once per period from the time that it is kicked until it is done.
///
/// # Invariants
///
/// `work` is an initialised `struct delayed_work` with the function [`Self::callback`], embedded
/// in a valid `Self`. It was never on a queue after `self` was dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Periodic<T: Chore> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    chore: T,
    /// In jiffies.
    period: c_ulong,
}

// SAFETY: A work item may be used from any thread. The chore is run by other threads, which is why
// it is `Sync`, and dropped with the structure.
unsafe impl<T: Chore> Send for Periodic<T> {}

// SAFETY: As above.
unsafe impl<T: Chore> Sync for Periodic<T> {}

impl<T: Chore> Periodic<T> {
    /// Makes a periodic chore that does not run yet.
    pub(crate) fn new(chore: T, period: Duration) -> impl PinInit<Self> {
        let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);

        // SAFETY: The function has no requirements.
        let period = unsafe { bindings::__msecs_to_jiffies(millis) };

        // INVARIANT: The work is initialised in place.
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                // SAFETY: `slot` is valid memory for a delayed work, which stays in place. All
                // works share lock classes, which are static in the helper.
                unsafe { bindings::qda_helper_init_delayed_work(slot, Some(Self::callback)) }
            }),
            chore,
            period,
        })
    }

    /// Lets the chore run after one period, unless it is about to run anyway.
    ///
    /// May be called in any context.
    pub(crate) fn kick(&self) {
        // SAFETY: By the type invariants the work is valid. The drop of `self` takes it off the
        // queue, and waits for it. The queue is set up early in the boot and never changes.
        unsafe {
            bindings::queue_delayed_work_on(
                // CAST: A small constant.
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                bindings::system_freezable_power_efficient_wq,
                self.work.get(),
                self.period,
            );
        }
    }

    /// Stops the chore for good: waits until it does not run, and ignores all kicks from then on.
    ///
    /// May sleep. Must not be called by the chore.
    pub(crate) fn stop(&self) {
        // SAFETY: By the type invariants the work is valid.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
    }

    /// Function of the work.
    ///
    /// # Safety
    ///
    /// Must only be called by the workqueue, with the work in a `Periodic<T>`.
    unsafe extern "C" fn callback(work: *mut bindings::work_struct) {
        // SAFETY: By the requirements of this function, `work` is that of the delayed work in a
        // `Periodic<T>`, which is alive: its drop waits for this function.
        let this = unsafe {
            let delayed = kernel::container_of!(work, bindings::delayed_work, work);
            &*kernel::container_of!(Opaque::cast_from(delayed), Self, work)
        };
        if this.chore.run() {
            this.kick();
        }
    }
}

#[pinned_drop]
impl<T: Chore> PinnedDrop for Periodic<T> {
    fn drop(self: Pin<&mut Self>) {
        self.stop();
    }
}
