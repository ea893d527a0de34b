// SPDX-License-Identifier: GPL-2.0

//! The receive path towards the driver: answers leave from hard interrupt context, under
//! a spinlock with interrupts off, as GLINK delivers them.
//!
//! Owns the connection to the driver and the answers under way. One lock, taken in interrupt
//! context and by everybody who pushes an answer; it is held across the callback, so that
//! [`Receiver::close`] returns only when no callback runs and none will. Called by
//! `dsp.rs` and `transport.rs`.

use super::bindings;
use core::ptr;
use kernel::{
    container_of,
    ffi::{
        c_int,
        c_void, //
    },
    new_spinlock_irq,
    prelude::*,
    sync::SpinLockIrq,
    types::Opaque, //
};

/// Answers under way at most: 255 calls, and room for what nobody asked for.
const DEPTH: usize = 512;

/// Bytes of a response message.
const LEN: usize = 16;

/// The endpoint whose callback takes the answers.
///
/// # Invariants
///
/// The endpoint is initialised and stays valid until [`Receiver::close`].
pub(crate) struct Endpoint(*mut bindings::rpmsg_endpoint);

// SAFETY: The transport keeps the endpoint valid, whatever CPU uses it.
unsafe impl Send for Endpoint {}

impl Endpoint {
    /// # Safety
    ///
    /// The endpoint is initialised and stays valid until [`Receiver::close`].
    pub(crate) unsafe fn new(ept: *mut bindings::rpmsg_endpoint) -> Self {
        // INVARIANT: By the function's contract.
        Self(ept)
    }

    /// Hands one message to the driver.
    fn deliver(&self, msg: &mut [u8; LEN]) {
        // SAFETY: Valid by the type invariant. The driver may set `priv` after the endpoint
        // was made, on another CPU, so it is read for every message, as real transports do.
        let (func, rpdev, private, addr) = unsafe {
            (
                (*self.0).cb,
                (*self.0).rpdev,
                ptr::read_volatile(ptr::addr_of!((*self.0).priv_)),
                (*self.0).addr,
            )
        };
        if let Some(func) = func {
            let data = msg.as_mut_ptr().cast::<c_void>();
            // SAFETY: The rpmsg core keeps callback and device valid until the endpoint is
            // destroyed; the message is valid for the call.
            unsafe { func(rpdev, data, LEN as c_int, private, addr) };
        }
    }
}

struct Inner {
    endpoint: Option<Endpoint>,
    ring: KVVec<[u8; LEN]>,
    head: usize,
    len: usize,
}

impl Inner {
    fn push(&mut self, msg: [u8; LEN]) -> bool {
        let Some(at) = (self.head + self.len).checked_rem(self.ring.len()) else {
            return false;
        };
        if self.len == self.ring.len() {
            return false;
        }
        if let Some(slot) = self.ring.get_mut(at) {
            *slot = msg;
            self.len += 1;
        }
        true
    }

    fn pop(&mut self) -> Option<[u8; LEN]> {
        if self.len == 0 {
            return None;
        }
        let msg = self.ring.get(self.head).copied();
        self.head = (self.head + 1).checked_rem(self.ring.len()).unwrap_or(0);
        self.len -= 1;
        msg
    }
}

/// The receive path of one DSP.
#[pin_data(PinnedDrop)]
pub(crate) struct Receiver {
    #[pin]
    inner: SpinLockIrq<Inner>,
    #[pin]
    work: Opaque<bindings::irq_work>,
}

// SAFETY: The irq_work is only used through functions that may run on any CPU.
unsafe impl Send for Receiver {}
// SAFETY: As above; everything else is behind the lock.
unsafe impl Sync for Receiver {}

impl Receiver {
    /// A receive path without driver.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- new_spinlock_irq!(Inner {
                endpoint: None,
                ring: KVVec::from_elem([0; LEN], DEPTH, GFP_KERNEL)?,
                head: 0,
                len: 0,
            }),
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is room for an irq_work that stays where it is.
                unsafe { bindings::qda_sim_init_irq_work(slot, Some(deliver)) }
            }),
        }? Error)
    }

    /// Connects the driver.
    pub(crate) fn open(&self, endpoint: Endpoint) {
        let mut inner = self.inner.lock();
        inner.len = 0;
        inner.endpoint = Some(endpoint);
    }

    /// Disconnects the driver. When it returns no callback runs and none will.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.endpoint = None;
        inner.len = 0;
    }

    /// Forgets the answers under way, as a DSP does that dies.
    pub(crate) fn clear(&self) {
        self.inner.lock().len = 0;
    }

    /// Sends a response; `false` when too many are under way.
    pub(crate) fn push(&self, msg: [u8; LEN]) -> bool {
        let pushed = self.inner.lock().push(msg);
        // SAFETY: The work was initialised and is synchronised before it is dropped.
        unsafe { bindings::irq_work_queue(self.work.get()) };
        pushed
    }
}

#[pinned_drop]
impl PinnedDrop for Receiver {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The work was initialised. Nobody can queue it any more.
        unsafe { bindings::irq_work_sync(self.work.get()) };
    }
}

/// Hands all answers to the driver. Runs in hard interrupt context.
///
/// # Safety
///
/// `work` is the field of a pinned [`Receiver`].
unsafe extern "C" fn deliver(work: *mut bindings::irq_work) {
    let work = work.cast::<Opaque<bindings::irq_work>>();
    // SAFETY: The work is the field of a pinned `Receiver` that outlives it.
    let rx = unsafe { &*container_of!(work, Receiver, work) };
    // SAFETY: Only looks at the current context.
    if !unsafe { bindings::qda_sim_in_hardirq() } {
        // The reason for this simulator's way of delivery; it must not get lost unseen.
        kernel::pr_err_once!("WARNING: answers leave outside of interrupt context\n");
    }
    let mut inner = rx.inner.lock();
    while let Some(mut msg) = inner.pop() {
        if let Some(ept) = &inner.endpoint {
            ept.deliver(&mut msg);
        }
    }
}
