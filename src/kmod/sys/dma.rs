// SPDX-License-Identifier: GPL-2.0

//! Memory that a context bank's device may read and write at any time.
//!
//! C headers: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h),
//! [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)
//!
//! [`DmaMemory`] keeps pages and mapping apart: the mapping can be revoked while users of the
//! pages still exist, and the pages outlive the device. That is what a driver needs whose device
//! can vanish under open files, and what `kernel::dma::Coherent` cannot do.
//!
//! The device may write at any moment, so there is never a reference to the contents: bytes go in
//! and out through copies by functions that the compiler does not see into.
//!
//! # Locking
//!
//! The mapping has a mutex of its own, below which only the lock of the
//! [bank](crate::sys::cb::Bank) is taken. Copies to and from user space take no lock.

use crate::sys::{
    bindings,
    cb::Bank, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
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

/// Pages as a context bank sees them: one range of device addresses.
///
/// # Invariants
///
/// `table` is mapped for `bank`'s device, unless that was removed, and describes one contiguous
/// range.
struct Mapping {
    table: KBox<bindings::sg_table>,
    bank: Arc<Bank>,
}

// SAFETY: A scatter-gather table may be unmapped and freed by any thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `pages` for `bank` and returns the mapping with its first device address.
    fn new(pages: &Pages, bank: Arc<Bank>) -> Result<(Self, u64)> {
        let mut list = pages.list()?;
        let count = u32::try_from(list.len()).map_err(|_| ENOMEM)?;
        let mut table = KBox::new(bindings::sg_table::default(), GFP_KERNEL)?;

        // SAFETY: `table` is valid for writes, `list` holds `count` pages, which together have
        // `pages.size` bytes.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                &mut *table,
                list.as_mut_ptr(),
                count,
                0,
                pages.size,
                u32::MAX,
                bindings::GFP_KERNEL,
            )
        })?;

        let mapped = bank
            .with_device(|dev| {
                // SAFETY: `dev` is the live device of the bank and `table` describes pages that
                // stay allocated until it is unmapped.
                to_result(unsafe {
                    bindings::dma_map_sgtable(
                        dev,
                        &mut *table,
                        bindings::dma_data_direction::DMA_BIDIRECTIONAL,
                        0,
                    )
                })
            })
            .unwrap_or(Err(ENODEV));
        if let Err(e) = mapped {
            // SAFETY: `table` was allocated above and is not mapped.
            unsafe { bindings::sg_free_table(&mut *table) };
            return Err(e);
        }

        // INVARIANT: The table was just mapped. If it is not contiguous, the value is dropped.
        let mapping = Self { table, bank };
        let address = mapping.contiguous(pages.size).ok_or(EIO)?;
        Ok((mapping, address))
    }

    /// Returns the first device address if the mapping is one range of at least `size` bytes.
    fn contiguous(&self, size: usize) -> Option<u64> {
        let mut sg = self.table.sgl;
        if sg.is_null() || self.table.nents == 0 {
            return None;
        }
        // SAFETY: `sg` is the first entry of a mapped table.
        let first = unsafe { bindings::sg_dma_address(sg) };
        let mut next = first;
        for _ in 0..self.table.nents {
            if sg.is_null() {
                return None;
            }
            // SAFETY: `sg` is one of the `nents` mapped entries of the table.
            let (address, length) =
                unsafe { (bindings::sg_dma_address(sg), bindings::sg_dma_len(sg)) };
            if address != next {
                return None;
            }
            next = address.checked_add(u64::from(length))?;
            // SAFETY: `sg` is a valid entry of the table.
            sg = unsafe { bindings::sg_next(sg) };
        }
        (next.checked_sub(first)? >= u64::try_from(size).ok()?).then_some(first)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let table = &mut *self.table;
        // If the bank was removed, its address space is gone and there is nothing to unmap.
        let _ = self.bank.with_device(|dev| {
            // SAFETY: `dev` is the live device that the table is mapped for.
            unsafe {
                bindings::dma_unmap_sgtable(
                    dev,
                    table,
                    bindings::dma_data_direction::DMA_BIDIRECTIONAL,
                    0,
                )
            }
        });
        // SAFETY: The table was allocated by `new()` and is not mapped any more.
        unsafe { bindings::sg_free_table(&mut *self.table) };
    }
}

/// Zeroed memory that is mapped for one context bank at one contiguous device address.
#[pin_data]
pub(crate) struct DmaMemory {
    // Dropped first: pages are freed only when the device can no longer reach them.
    #[pin]
    mapping: Mutex<Option<Mapping>>,
    pages: Pages,
    address: u64,
    sync: bool,
    bank: Arc<Bank>,
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
        let (mapping, address) = Mapping::new(&pages, bank.clone())?;
        Arc::pin_init(
            pin_init!(Self {
                mapping <- new_mutex!(Some(mapping), "qda_dma_mapping"),
                pages,
                address,
                sync: !bank.is_coherent(),
                bank: bank.clone(),
            }),
            GFP_KERNEL,
        )
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
        let mapping = self.mapping.lock().take();
        // Dropped outside of the lock, so that no lock is held while the IOMMU is flushed.
        drop(mapping);
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

    /// Makes what the CPU wrote visible to the device, and orders it before a later message.
    pub(crate) fn sync_for_device(&self, offset: usize, len: usize) {
        if self.sync {
            self.sync_pages(offset, len, bindings::qda_helper_dma_sync_for_device);
        }
        // SAFETY: A barrier has no requirements.
        unsafe { bindings::qda_helper_dma_wmb() };
    }

    /// Makes what the device wrote visible to the CPU, after its message was received.
    pub(crate) fn sync_for_cpu(&self, offset: usize, len: usize) {
        // SAFETY: A barrier has no requirements.
        unsafe { bindings::qda_helper_dma_rmb() };
        if self.sync {
            self.sync_pages(offset, len, bindings::qda_helper_dma_sync_for_cpu);
        }
    }

    /// Calls `sync` for each page of a range: they are contiguous only to the device.
    fn sync_pages(
        &self,
        offset: usize,
        len: usize,
        sync: unsafe extern "C" fn(*mut bindings::device, bindings::dma_addr_t, usize),
    ) {
        if self.range(offset, len).is_err() {
            return;
        }
        // Holding the lock keeps the mapping while it is used.
        let mapping = self.mapping.lock();
        if mapping.is_none() {
            return;
        }
        let _ = self.bank.with_device(|dev| {
            // None of these can overflow: the range lies inside the memory.
            let end = offset.wrapping_add(len);
            let mut at = offset;
            while at < end {
                let page_end = (at | (PAGE_SIZE - 1)).wrapping_add(1);
                let piece = page_end.min(end).wrapping_sub(at);
                let address = self.address.wrapping_add(at as u64);
                // SAFETY: `address` and the `piece` bytes behind it lie in one page that is mapped
                // for `dev`.
                unsafe { sync(dev, address, piece) };
                at = at.wrapping_add(piece);
            }
        });
    }
}
