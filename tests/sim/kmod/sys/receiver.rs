// SPDX-License-Identifier: GPL-2.0

//! The receive path towards the driver: answers leave from hard interrupt context, under
//! a spinlock with interrupts off, as GLINK delivers them.
//!
//! Owns the connection to the driver and the packets under way. One lock, taken in interrupt
//! context and by everybody who pushes a packet; it is held across the callback, so that
//! [`Receiver::close`] returns only when no callback runs and none will. Called by
//! `dsp.rs`, `noise.rs` and `transport.rs`.
//!
//! The driver gets every packet in memory of exactly its length, which is overwritten when the
//! callback returns: a sanitizer sees a look beyond the end, and what was kept is junk.

use super::bindings;
use crate::model::packets::{
    Packet,
    JUNK,
    KEPT,
    LONGEST, //
};
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

/// Packets under way at most: 255 answers, and room for what nobody asked for.
const DEPTH: usize = 1024;
/// Of these, what only answers may take.
const RESERVED: usize = 512;
/// Packets handed over in one interrupt at most.
const AT_ONCE: usize = 128;
/// What stands in a packet after the callback.
const POISON: u8 = 0x5A;

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

    /// Hands one packet to the driver, with the length that the transport claims.
    fn deliver(&self, bytes: &mut [u8], len: i32) {
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
            let data = bytes.as_mut_ptr().cast::<c_void>();
            // SAFETY: The rpmsg core keeps callback and device valid until the endpoint is
            // destroyed; the packet is valid for the call, and `len` is its length or negative.
            unsafe { func(rpdev, data, len as c_int, private, addr) };
        }
    }
}

struct Inner {
    endpoint: Option<Endpoint>,
    ring: KVVec<Packet>,
    head: usize,
    len: usize,
    /// Memory of each length that a packet can have, the longest one last.
    rooms: KVec<KVec<u8>>,
    /// Packets handed over that completed no call, those of negative length aside.
    strays: u64,
}

impl Inner {
    fn push(&mut self, packet: &Packet) -> bool {
        let limit = match packet.is_stray() {
            true => self.ring.len().saturating_sub(RESERVED),
            false => self.ring.len(),
        };
        let Some(at) = (self.head + self.len).checked_rem(self.ring.len()) else {
            return false;
        };
        if self.len >= limit {
            return false;
        }
        if let Some(slot) = self.ring.get_mut(at) {
            *slot = *packet;
            self.len += 1;
        }
        true
    }

    fn pop(&mut self) -> Option<Packet> {
        if self.len == 0 {
            return None;
        }
        let packet = self.ring.get(self.head).copied();
        self.head = (self.head + 1).checked_rem(self.ring.len()).unwrap_or(0);
        self.len -= 1;
        packet
    }

    /// Hands a packet to the driver, if there is one.
    fn deliver(&mut self, packet: &Packet) {
        let Some(endpoint) = &self.endpoint else {
            return;
        };
        let len = packet.len();
        // Whoever believes a negative length has 16 bytes to read.
        let size = usize::try_from(len).unwrap_or(16);
        let last = self.rooms.len().saturating_sub(1);
        let Some(room) = self.rooms.get_mut(size.min(last)) else {
            return;
        };
        room.fill(JUNK);
        for (to, from) in room.iter_mut().zip(packet.bytes()) {
            *to = *from;
        }
        if packet.is_stray() && len >= 0 {
            self.strays = self.strays.wrapping_add(1);
        }
        endpoint.deliver(room, len);
        room.fill(POISON);
    }
}

/// Memory of all lengths: 0 to [`KEPT`], and [`LONGEST`].
fn rooms() -> Result<KVec<KVec<u8>>> {
    let mut rooms = KVec::new();
    for len in 0..=KEPT {
        rooms.push(KVec::from_elem(0, len, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    let longest = usize::try_from(LONGEST).map_err(|_| EINVAL)?;
    rooms.push(KVec::from_elem(0, longest, GFP_KERNEL)?, GFP_KERNEL)?;
    Ok(rooms)
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
                ring: KVVec::from_elem(Packet::EMPTY, DEPTH, GFP_KERNEL)?,
                head: 0,
                len: 0,
                rooms: rooms()?,
                strays: 0,
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

    /// Forgets the packets under way, as a DSP does that dies.
    pub(crate) fn clear(&self) {
        self.inner.lock().len = 0;
    }

    /// Sends a packet; `false` when too many are under way.
    pub(crate) fn push(&self, packet: &Packet) -> bool {
        let pushed = self.inner.lock().push(packet);
        self.ring();
        pushed
    }

    /// Sends packets of `next` until it has no more or too many are under way; how many.
    pub(crate) fn push_all(&self, limit: usize, mut next: impl FnMut() -> Option<Packet>) -> usize {
        let mut pushed = 0usize;
        while pushed < limit && self.has_room() {
            // Nobody else sends strays at this moment: the caller holds the firmware lock.
            let Some(packet) = next() else {
                break;
            };
            self.inner.lock().push(&packet);
            pushed += 1;
        }
        self.ring();
        pushed
    }

    /// Is there room for one more packet that is no answer?
    fn has_room(&self) -> bool {
        let inner = self.inner.lock();
        inner.len < inner.ring.len().saturating_sub(RESERVED)
    }

    /// Packets that completed no call and reached a driver, since the last clear.
    pub(crate) fn strays(&self) -> u64 {
        self.inner.lock().strays
    }

    /// Sets that count to zero.
    pub(crate) fn clear_strays(&self) {
        self.inner.lock().strays = 0;
    }

    /// Raises the interrupt.
    fn ring(&self) {
        // SAFETY: The work was initialised and is synchronised before it is dropped.
        unsafe { bindings::irq_work_queue(self.work.get()) };
    }
}

#[pinned_drop]
impl PinnedDrop for Receiver {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The work was initialised. Nobody can queue it any more.
        unsafe { bindings::irq_work_sync(self.work.get()) };
    }
}

/// Hands packets to the driver. Runs in hard interrupt context.
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
    for _ in 0..AT_ONCE {
        let Some(packet) = inner.pop() else {
            return;
        };
        inner.deliver(&packet);
    }
    drop(inner);
    // Others may interrupt in between.
    rx.ring();
}
