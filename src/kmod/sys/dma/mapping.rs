// SPDX-License-Identifier: GPL-2.0

//! Buffers of users in the address space of a context bank.
//!
//! Owns a mapping, and the pages that it maps as long as it is not revoked. Made and revoked by
//! the engine. Revoking takes the mutex of the mapping, see [`super`] for the order.

use super::{
    import::Import,
    table::{
        Mapped,
        SgTable,
        Sharing, //
    },
    Direction,
    Listed,
    Revoke, //
};
use crate::sys::{
    cb::Bank,
    dmabuf::DmaBuf,
    shmem::{
        Folios,
        SharedMemory, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// A table of the pages of a buffer, mapped, and the pins on these pages.
struct Pinned {
    // Dropped first: pages may only move when the device can no longer reach them.
    mapped: Mapped,
    _folios: Arc<Folios>,
}

enum State {
    /// Not mapped yet.
    New,
    /// The device can reach the memory.
    Live(Pinned),
    /// Will never be mapped again.
    Revoked,
}

/// Pages of [`SharedMemory`], mapped for a bank until that is revoked.
///
/// It does not hold the memory, which has it on a list and revokes it at the latest when the
/// memory goes.
#[pin_data]
pub(in crate::sys) struct MemoryMapping {
    #[pin]
    state: Mutex<State>,
    /// Set before the mapping is undone.
    revoked: Atomic<bool>,
    /// Whether caches need care.
    sync: bool,
}

impl MemoryMapping {
    /// Makes a mapping that maps nothing yet.
    fn new(sync: bool) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State::New, "qda_dma_mapping"),
                revoked: Atomic::new(false),
                sync,
            }),
            GFP_KERNEL,
        )
    }

    /// Pins and maps `memory`, and returns the device address of its first byte. Fails with
    /// `ENODEV` after a revocation.
    fn map(&self, bank: &Arc<Bank>, memory: &SharedMemory) -> Result<u64> {
        let folios = memory.pin()?;
        let table = SgTable::of_folios(&folios, usize::MAX)?;

        let mut state = self.state.lock();
        if !matches!(*state, State::New) {
            return Err(ENODEV);
        }
        // SAFETY: The pages stay allocated as long as they are pinned. The pins go into the same
        // structure as the mapping, which is dropped first, as it is here if something fails.
        let mapped = unsafe { Mapped::new(table, bank, memory.size(), Sharing::Users) }?;
        let address = mapped.address();
        *state = State::Live(Pinned {
            mapped,
            _folios: folios,
        });
        Ok(address)
    }

    fn is_revoked(&self) -> bool {
        self.revoked.load(Relaxed)
    }

    fn sync_for_device(&self, offset: usize, len: usize, direction: Direction) {
        if self.sync {
            // Holding the lock keeps the mapping while it is used.
            if let State::Live(pinned) = &*self.state.lock() {
                pinned.mapped.sync_for_device(offset, len, direction);
            }
        }
    }

    fn sync_for_cpu(&self, offset: usize, len: usize, direction: Direction) {
        if self.sync {
            if let State::Live(pinned) = &*self.state.lock() {
                pinned.mapped.sync_for_cpu(offset, len, direction);
            }
        }
    }
}

impl Revoke for MemoryMapping {
    fn revoke(&self) {
        self.revoked.store(true, Relaxed);
        let mut state = self.state.lock();
        // Dropped with the lock held, so that everybody who revokes waits until it is done.
        *state = State::Revoked;
    }
}

/// All mappings of one memory in banks. Some of them may be revoked.
pub(in crate::sys) struct Mappings(KVec<Arc<MemoryMapping>>);

impl Mappings {
    /// Makes an empty list.
    pub(in crate::sys) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Adds a mapping and forgets those that are revoked.
    fn add(&mut self, mapping: &Arc<MemoryMapping>) -> Result {
        self.0.retain(|other| !other.is_revoked());
        self.0.push(mapping.clone(), GFP_KERNEL)?;
        Ok(())
    }

    /// Takes the memory from all devices. May sleep.
    pub(in crate::sys) fn revoke(&self) {
        for mapping in &self.0 {
            mapping.revoke();
        }
    }

    /// Hands a range of the memory to all devices that do not see the CPU's caches. May sleep.
    pub(in crate::sys) fn sync_for_device(&self, offset: usize, len: usize, direction: Direction) {
        for mapping in &self.0 {
            mapping.sync_for_device(offset, len, direction);
        }
    }

    /// Takes a range of the memory back from all devices that do not see the CPU's caches. May
    /// sleep.
    pub(in crate::sys) fn sync_for_cpu(&self, offset: usize, len: usize, direction: Direction) {
        for mapping in &self.0 {
            mapping.sync_for_cpu(offset, len, direction);
        }
    }
}

enum Body {
    /// Memory of this module.
    Memory(Listed<MemoryMapping>),
    /// A dma-buf.
    Import(Listed<Import>),
}

/// One buffer, whole, in the address space of one bank, at one contiguous device address.
///
/// Revoked at the latest when it is dropped, which may sleep.
pub(crate) struct BankMapping {
    body: Body,
    address: u64,
    size: usize,
}

impl BankMapping {
    /// Finds or makes all pages of `memory`, pins them and maps them for `bank`.
    ///
    /// The mapping does not keep the memory, and ends with it.
    ///
    /// # Errors
    ///
    /// * `ENODEV`: the bank was removed.
    /// * `ENOMEM`: no memory, or no device addresses.
    /// * `EINTR`: the calling task is being killed.
    /// * `EINVAL`: the mapping is not contiguous.
    pub(crate) fn of_memory(bank: &Arc<Bank>, memory: &SharedMemory) -> Result<Arc<Self>> {
        let mapping = Listed::new(MemoryMapping::new(!bank.is_coherent())?, bank)?;
        let address = mapping.map(bank, memory)?;
        memory.mappings().lock().add(&mapping.mapping)?;

        // If there is no memory for the reference count, the value is dropped and revoked.
        let this = Self {
            body: Body::Memory(mapping),
            address,
            size: memory.size(),
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Attaches a dma-buf to the device of `bank` and maps all of it.
    ///
    /// # Errors
    ///
    /// * `ENODEV`: the bank was removed.
    /// * `EINVAL`: the mapping is not contiguous, or shorter than the buffer.
    /// * `ENOMEM`.
    /// * Whatever else the exporter fails with.
    pub(crate) fn of_dma_buf(bank: &Arc<Bank>, buf: &DmaBuf) -> Result<Arc<Self>> {
        let import = Listed::new(Import::new()?, bank)?;
        let address = import.attach(bank, buf)?;

        // If there is no memory for the reference count, the value is dropped and revoked.
        let this = Self {
            body: Body::Import(import),
            address,
            size: buf.size(),
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Returns the device address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Returns the size of the buffer in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes the buffer from the device, which cannot reach it when this returns.
    ///
    /// Does nothing the second time, but waits if somebody else is doing it. May sleep.
    pub(crate) fn revoke(&self) {
        match &self.body {
            Body::Memory(mapping) => mapping.revoke(),
            Body::Import(import) => import.revoke(),
        }
    }

    /// Whether nobody but mappings of this module has the buffer: no user can name it again.
    ///
    /// Does not wait for the exporter of a dma-buf: says no while that is at work.
    pub(crate) fn is_abandoned(&self) -> bool {
        match &self.body {
            Body::Memory(mapping) => mapping.is_revoked(),
            Body::Import(import) => import.is_abandoned(),
        }
    }

    /// Hands a range to the device, if that does not see the CPU's caches. May sleep.
    ///
    /// Does nothing for a dma-buf, whose cache state is the business of its exporter and users.
    /// Does not order anything: the message that names the buffer does.
    pub(crate) fn sync_for_device(&self, offset: usize, len: usize, direction: Direction) {
        if let Body::Memory(mapping) = &self.body {
            mapping.sync_for_device(offset, len, direction);
        }
    }

    /// Takes a range back that the device has written. See [`Self::sync_for_device`].
    ///
    /// Revoking a mapping does not do this, because users may have written to the buffer since.
    pub(crate) fn sync_for_cpu(&self, offset: usize, len: usize, direction: Direction) {
        if let Body::Memory(mapping) = &self.body {
            mapping.sync_for_cpu(offset, len, direction);
        }
    }
}

impl Drop for BankMapping {
    fn drop(&mut self) {
        self.revoke();
    }
}
