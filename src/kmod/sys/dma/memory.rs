// SPDX-License-Identifier: GPL-2.0

//! Memory of the kernel that a context bank's device may read and write at any time.
//!
//! Owns the pages and their mapping. The messages of calls and the memory of processes are made of
//! it. The mapping has a mutex, see [`super`] for the order; copies to and from user space take no
//! lock.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use super::{
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
    bindings,
    cb::Bank, //
};
use core::ptr::NonNull;
use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    uaccess::UserPtr, //
};

/// Zeroed pages at one virtual address, charged to the allocating task.
///
/// # Invariants
///
/// `base` is the page-aligned start of a vmalloc area of `size` bytes, which `self` owns.
struct Pages {
    base: NonNull<u8>,
    size: usize,
}

impl Pages {
    fn new(size: usize) -> Result<Self> {
        if size == 0 {
            return Err(EINVAL);
        }
        let size = size.checked_next_multiple_of(PAGE_SIZE).ok_or(ENOMEM)?;

        // SAFETY: The function has no requirements; it may sleep, and so may we.
        let base = unsafe { bindings::qda_helper_vzalloc_account(size) };
        let base = NonNull::new(base.cast::<u8>()).ok_or(ENOMEM)?;

        // INVARIANT: `base` was just allocated with `size` bytes.
        Ok(Self { base, size })
    }

    /// Lists the pages of the area in order.
    fn list(&self) -> Result<KVVec<*mut bindings::page>> {
        let count = self.size / PAGE_SIZE;
        let mut list = KVVec::with_capacity(count, GFP_KERNEL)?;
        for index in 0..count {
            // Cannot overflow: `index * PAGE_SIZE` is less than `size`.
            let offset = index.wrapping_mul(PAGE_SIZE);
            // SAFETY: By the type invariant, `offset` lies inside the vmalloc area.
            let page = unsafe { bindings::vmalloc_to_page(self.base.as_ptr().add(offset).cast()) };
            list.push(page, GFP_KERNEL)?;
        }
        Ok(list)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `base` is the start of an area that `self` owns.
        unsafe { bindings::vfree(self.base.as_ptr().cast()) };
    }
}

enum State {
    /// Not mapped yet.
    New,
    /// The device can reach the memory.
    Live(Mapped),
    /// Will never be mapped again.
    Revoked,
}

/// The mapping of a [`DmaMemory`]. It does not own the pages.
#[pin_data]
struct Mapping {
    #[pin]
    state: Mutex<State>,
}

impl Mapping {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State::New, "qda_dma_memory"),
            }),
            GFP_KERNEL,
        )
    }

    /// Maps `pages` and returns their device address. Fails with `ENODEV` after a revocation.
    ///
    /// # Safety
    ///
    /// The caller revokes the mapping before the pages are freed.
    unsafe fn map(&self, pages: &Pages, bank: &Arc<Bank>) -> Result<u64> {
        // SAFETY: The list has the pages of the area.
        let table = unsafe { SgTable::of_pages(&mut pages.list()?, pages.size) }?;

        let mut state = self.state.lock();
        if !matches!(*state, State::New) {
            return Err(ENODEV);
        }
        // SAFETY: Required of the caller: a revocation drops the value.
        let mapped = unsafe { Mapped::new(table, bank, pages.size, Sharing::Kernel) }?;
        let address = mapped.address();
        *state = State::Live(mapped);
        Ok(address)
    }

    /// Calls `f` with the mapping, unless it was revoked. It is not revoked meanwhile.
    fn with(&self, f: impl FnOnce(&Mapped)) {
        if let State::Live(mapped) = &*self.state.lock() {
            f(mapped);
        }
    }
}

impl Revoke for Mapping {
    fn revoke(&self) {
        let mut state = self.state.lock();
        // Dropped with the lock held, so that everybody who revokes waits until it is done.
        *state = State::Revoked;
    }
}

/// Zeroed memory that is mapped for one context bank at one contiguous device address.
pub(crate) struct DmaMemory {
    // Dropped first: pages are freed only when the device can no longer reach them.
    mapping: Listed<Mapping>,
    pages: Pages,
    address: u64,
    sync: bool,
}

// SAFETY: The pages are plain memory that is only accessed through copies.
unsafe impl Send for DmaMemory {}

// SAFETY: See the implementation of `Send`; concurrent copies are allowed by design, the device
// copies at any time, too.
unsafe impl Sync for DmaMemory {}

impl DmaMemory {
    /// Allocates `size` bytes, rounded up to whole pages, and maps them for `bank`.
    ///
    /// Fails with [`ENOMEM`] without memory or device addresses and with [`ENODEV`] if the bank
    /// was removed. May sleep.
    pub(crate) fn new(bank: &Arc<Bank>, size: usize) -> Result<Arc<Self>> {
        let pages = Pages::new(size)?;
        let mapping = Listed::new(Mapping::new()?, bank)?;
        // SAFETY: Dropping `mapping` revokes it. It is dropped before `pages`, both here and as
        // part of the structure.
        let address = unsafe { mapping.map(&pages, bank) }?;

        Ok(Arc::new(
            Self {
                mapping,
                pages,
                address,
                sync: !bank.is_coherent(),
            },
            GFP_KERNEL,
        )?)
    }

    /// Returns the size in bytes, a multiple of the page size.
    pub(crate) fn size(&self) -> usize {
        self.pages.size
    }

    /// Returns the device address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Takes the memory from the device. Copies still work. May sleep.
    pub(crate) fn revoke(&self) {
        self.mapping.revoke();
    }

    /// Returns the address of `len` bytes at `offset`, if they lie inside the memory.
    fn range(&self, offset: usize, len: usize) -> Result<*mut u8> {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > self.pages.size {
            return Err(EINVAL);
        }
        // SAFETY: `offset` is at most `size`, so the result is inside the area or just behind it.
        Ok(unsafe { self.pages.base.as_ptr().add(offset) })
    }

    /// Fills `len` bytes at `offset` with zeroes.
    ///
    /// Like all accesses, fails with [`EINVAL`] if the range is not inside the memory.
    pub(crate) fn zero(&self, offset: usize, len: usize) -> Result {
        let dst = self.range(offset, len)?;
        // SAFETY: `range()` has checked that `dst` is valid for `len` bytes.
        unsafe { bindings::qda_helper_memset(dst.cast(), 0, len) };
        Ok(())
    }

    /// Writes `bytes` at `offset`.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let dst = self.range(offset, bytes.len())?;
        // SAFETY: `range()` has checked that `dst` is valid for the length of `bytes`.
        unsafe { bindings::qda_helper_memcpy(dst.cast(), bytes.as_ptr().cast(), bytes.len()) };
        Ok(())
    }

    /// Copies `len` bytes from user space to `offset`.
    ///
    /// Fails with [`EFAULT`] if the user memory is not readable; part of it may have been copied.
    pub(crate) fn copy_from_user(&self, offset: usize, from: UserPtr, len: usize) -> Result {
        let dst = self.range(offset, len)?;
        // SAFETY: `range()` has checked that `dst` is valid for `len` bytes.
        let left = unsafe { bindings::copy_from_user(dst.cast(), from.as_const_ptr(), len) };
        if left == 0 {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Copies `len` bytes at `offset` to user space.
    ///
    /// Fails with [`EFAULT`] if the user memory is not writable; part of it may have been written.
    pub(crate) fn copy_to_user(&self, offset: usize, to: UserPtr, len: usize) -> Result {
        let src = self.range(offset, len)?;
        // SAFETY: `range()` has checked that `src` is valid for `len` bytes.
        let left = unsafe { bindings::copy_to_user(to.as_mut_ptr(), src.cast_const().cast(), len) };
        if left == 0 {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Reads bytes at `offset`. The device may change them meanwhile.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) -> Result {
        let src = self.range(offset, bytes.len())?;
        // SAFETY: `range()` has checked that `src` is valid for the length of `bytes`.
        unsafe {
            bindings::qda_helper_memcpy(bytes.as_mut_ptr().cast(), src.cast(), bytes.len());
        }
        Ok(())
    }

    /// Makes what the CPU wrote visible to the device, and orders it before a later message.
    pub(crate) fn sync_for_device(&self, offset: usize, len: usize) {
        if self.sync {
            self.mapping
                .with(|mapped| mapped.sync_for_device(offset, len, Direction::Both));
        }
        // SAFETY: A barrier has no requirements.
        unsafe { bindings::qda_helper_dma_wmb() };
    }

    /// Makes what the device wrote visible to the CPU, after its message was received.
    pub(crate) fn sync_for_cpu(&self, offset: usize, len: usize) {
        // SAFETY: A barrier has no requirements.
        unsafe { bindings::qda_helper_dma_rmb() };
        if self.sync {
            self.mapping
                .with(|mapped| mapped.sync_for_cpu(offset, len, Direction::Both));
        }
    }
}
