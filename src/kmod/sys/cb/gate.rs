// SPDX-License-Identifier: GPL-2.0

//! A value that can be taken away from its users, under a sleeping reader-writer lock.
//!
//! Owns a `struct rw_semaphore` and the value. Both operations may sleep.
//!
//! `kernel::revocable` does the same with RCU, whose readers may not sleep; users of a context
//! bank do.
//!
//! C header: [`include/linux/rwsem.h`](srctree/include/linux/rwsem.h)

use crate::sys::bindings;
use core::cell::UnsafeCell;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// A value that many may read at once until it is revoked.
///
/// # Invariants
///
/// `sem` is initialised. `value` is read only with the semaphore held, and changed only with the
/// semaphore held for writing.
#[pin_data]
pub(super) struct Gate<T> {
    #[pin]
    sem: Opaque<bindings::rw_semaphore>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: The value may be dropped by any thread that revokes it, hence `T: Send`.
unsafe impl<T: Send> Send for Gate<T> {}

// SAFETY: `with` gives out `&T` to several threads at once, and `revoke` drops the value in any
// thread that has `&Gate`.
unsafe impl<T: Send + Sync> Sync for Gate<T> {}

impl<T> Gate<T> {
    /// Makes an open gate around `value`.
    pub(super) fn new(value: T) -> impl PinInit<Self> {
        pin_init!(Self {
            sem <- Opaque::ffi_init(|slot: *mut bindings::rw_semaphore| {
                // SAFETY: `slot` is valid memory for a semaphore, which stays in place. All gates
                // share one lock class, which is static in the helper.
                unsafe { bindings::qda_helper_init_rwsem(slot) }
            }),
            value: UnsafeCell::new(Some(value)),
        })
    }

    /// Calls `f` with the value, unless it was revoked. A revocation waits until `f` has returned.
    ///
    /// `f` must not use the same gate: a waiting writer blocks new readers, so that would be a
    /// deadlock.
    pub(super) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        // SAFETY: The semaphore is initialised by the type invariants.
        unsafe { bindings::down_read(self.sem.get()) };

        // SAFETY: The semaphore is held, so by the type invariants nobody changes the value. The
        // reference ends before the semaphore is released.
        let result = unsafe { &*self.value.get() }.as_ref().map(f);

        // SAFETY: The semaphore was taken above, by this thread.
        unsafe { bindings::up_read(self.sem.get()) };

        result
    }

    /// Waits until no user is left, then drops the value. Does nothing if that was done before; in
    /// any case the value is gone when this function returns.
    pub(super) fn revoke(&self) {
        // SAFETY: The semaphore is initialised by the type invariants.
        unsafe { bindings::down_write(self.sem.get()) };

        // SAFETY: The semaphore is held for writing, so nobody else refers to the value.
        drop(unsafe { &mut *self.value.get() }.take());

        // SAFETY: The semaphore was taken above, by this thread.
        unsafe { bindings::up_write(self.sem.get()) };
    }
}
