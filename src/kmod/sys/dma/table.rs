// SPDX-License-Identifier: GPL-2.0

//! Scatter-gather tables: lists of pieces of memory, and what the DMA API makes of them.
//!
//! Owns the entries of a table and, once it is mapped, its device addresses. Takes no lock but the
//! gate of the bank. Called by the other files of this folder and by exporters of memory.

use super::Direction;
use crate::sys::{
    bindings,
    cb::{
        Bank,
        CountMapped, //
    },
    shmem::Folios, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Most bytes of one entry, whole pages.
// CAST: `u32` fits into `usize` wherever this driver can be built.
const LONGEST: usize = u32::MAX as usize & !(PAGE_SIZE - 1);

/// A table of pieces of memory.
///
/// # Invariants
///
/// `table` was filled by one of the functions that allocate entries, or is empty.
pub(in crate::sys) struct SgTable {
    table: KBox<Opaque<bindings::sg_table>>,
}

// SAFETY: A table may be used and freed by any thread.
unsafe impl Send for SgTable {}

/// A piece of physically contiguous memory.
///
/// # Invariants
///
/// `page` is a page that exists.
#[derive(Clone, Copy)]
struct Piece {
    /// The page that `offset` counts from.
    page: *mut bindings::page,
    offset: usize,
    len: usize,
}

impl Piece {
    /// Returns the physical address of the first byte.
    fn start(&self) -> Option<u64> {
        // SAFETY: By the type invariant it is a page.
        let page = unsafe { bindings::qda_helper_page_to_phys(self.page) };
        page.checked_add(u64::try_from(self.offset).ok()?)
    }

    /// Appends a piece if it follows directly and the sum fits into one entry.
    fn append(&mut self, other: &Self) -> Option<bool> {
        let end = self.start()?.checked_add(u64::try_from(self.len).ok()?)?;
        let sum = self.len.checked_add(other.len)?;
        if other.start()? != end || sum > LONGEST {
            return Some(false);
        }
        self.len = sum;
        Some(true)
    }

    /// Calls `f` for each part of at most `longest` bytes.
    fn for_each_part(&self, longest: usize, f: &mut impl FnMut(Self) -> Result) -> Result {
        let mut at: usize = 0;
        while at < self.len {
            let len = self.len.saturating_sub(at).min(longest);
            let offset = self.offset.checked_add(at).ok_or(EINVAL)?;
            // Who looks for the pages of an entry expects that it begins in the first of them.
            //
            // INVARIANT: The pages of a piece follow each other in the memory map, too.
            f(Self {
                page: self.page.wrapping_add(offset / PAGE_SIZE),
                offset: offset % PAGE_SIZE,
                len,
            })?;
            at = at.checked_add(len).ok_or(EINVAL)?;
        }
        Ok(())
    }
}

/// Merges adjacent pieces, and calls `f` for each part of at most `longest` bytes of the result.
/// Fails if `f` does, or with `EINVAL` if a piece is out of all bounds.
fn for_each_entry(
    pieces: impl Iterator<Item = Piece>,
    longest: usize,
    mut f: impl FnMut(Piece) -> Result,
) -> Result {
    let mut current: Option<Piece> = None;
    for piece in pieces {
        if let Some(run) = &mut current {
            if run.append(&piece).ok_or(EINVAL)? {
                continue;
            }
            run.for_each_part(longest, &mut f)?;
        }
        current = Some(piece);
    }
    match &current {
        Some(run) => run.for_each_part(longest, &mut f),
        None => Ok(()),
    }
}

impl SgTable {
    /// Makes a table of pinned pages, in which adjacent ones are merged up to `longest` bytes.
    ///
    /// Nothing is done with the pages but computing, and they are not kept. The entries are charged
    /// to the calling task. Fails with `ENOMEM`. May sleep.
    pub(in crate::sys) fn of_folios(folios: &Folios, longest: usize) -> Result<Self> {
        let longest = longest.clamp(PAGE_SIZE, LONGEST) & !(PAGE_SIZE - 1);
        // INVARIANT: Pinned pages exist.
        let pieces = || {
            folios
                .segments()
                .map(|(page, offset, len)| Piece { page, offset, len })
        };

        let mut count: u32 = 0;
        for_each_entry(pieces(), longest, |_| {
            count = count.checked_add(1).ok_or(ENOMEM)?;
            Ok(())
        })?;

        let this = Self::empty()?;
        // SAFETY: `table` is valid for writes. On failure it is left empty.
        to_result(unsafe {
            bindings::sg_alloc_table(
                this.as_raw(),
                count,
                bindings::GFP_KERNEL_ACCOUNT | bindings::__GFP_NOWARN,
            )
        })?;

        // SAFETY: The table was just filled.
        let mut sg = unsafe { (*this.as_raw()).sgl };
        for_each_entry(pieces(), longest, |piece| {
            let len = u32::try_from(piece.len).map_err(|_| EINVAL)?;
            let offset = u32::try_from(piece.offset).map_err(|_| EINVAL)?;
            let entry = NonNull::new(sg).ok_or(EINVAL)?.as_ptr();
            // SAFETY: `entry` is an entry of the table: `sg_next` gives NULL behind the last one.
            // By the type invariant of the piece it has a page.
            unsafe {
                bindings::qda_helper_sg_set_page(entry, piece.page, len, offset);
                sg = bindings::sg_next(entry);
            }
            Ok(())
        })?;

        // An entry without a page would be mapped as page 0.
        if sg.is_null() {
            Ok(this)
        } else {
            Err(EINVAL)
        }
    }

    /// Makes a table of `size` bytes in whole pages, in which adjacent pages are merged.
    ///
    /// Nothing is done with the pages but computing, and they are not kept. May sleep.
    ///
    /// # Safety
    ///
    /// All pointers must be those of pages that exist.
    pub(super) unsafe fn of_pages(pages: &mut [*mut bindings::page], size: usize) -> Result<Self> {
        if pages.len().checked_mul(PAGE_SIZE) != Some(size) {
            return Err(EINVAL);
        }
        let count = u32::try_from(pages.len()).map_err(|_| ENOMEM)?;
        let this = Self::empty()?;

        // SAFETY: `table` is valid for writes, there are `count` pages, which together have `size`
        // bytes and exist by the requirements of this function. On failure the table is left empty.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                this.as_raw(),
                pages.as_mut_ptr(),
                count,
                0,
                size,
                u32::MAX,
                bindings::GFP_KERNEL,
            )
        })?;
        Ok(this)
    }

    fn empty() -> Result<Self> {
        // INVARIANT: A zeroed table is empty.
        Ok(Self {
            table: KBox::new(Opaque::new(bindings::sg_table::default()), GFP_KERNEL)?,
        })
    }

    /// Returns the pointer to the C structure.
    pub(in crate::sys) fn as_raw(&self) -> *mut bindings::sg_table {
        self.table.get()
    }
}

impl Drop for SgTable {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the table is one that the function takes.
        unsafe { bindings::sg_free_table(self.as_raw()) };
    }
}

/// Returns the first device address of a mapped table, if it is one range of at least `size` bytes.
///
/// # Safety
///
/// `table` must be valid and mapped.
pub(super) unsafe fn contiguous(table: *const bindings::sg_table, size: usize) -> Option<u64> {
    // SAFETY: By the requirements of this function.
    let (mut sg, count) = unsafe { ((*table).sgl, (*table).nents) };
    if sg.is_null() || count == 0 {
        return None;
    }
    // SAFETY: `sg` is the first entry of a mapped table.
    let first = unsafe { bindings::sg_dma_address(sg) };
    let mut next = first;
    for _ in 0..count {
        if sg.is_null() {
            return None;
        }
        // SAFETY: `sg` is one of the `nents` mapped entries of the table.
        let (address, length) = unsafe { (bindings::sg_dma_address(sg), bindings::sg_dma_len(sg)) };
        if address != next {
            return None;
        }
        next = address.checked_add(u64::from(length))?;
        // SAFETY: `sg` is a valid entry of the table.
        sg = unsafe { bindings::sg_next(sg) };
    }
    (next.checked_sub(first)? >= u64::try_from(size).ok()?).then_some(first)
}

/// Who accesses the memory of a mapping besides the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// The kernel alone, until it unmaps the memory.
    Kernel,
    /// Users at any time, and other devices.
    ///
    /// Unmapping must then leave the CPU's caches alone: on a device that does not see them it
    /// would throw away what a user has just written. Whoever knows that the device has written a
    /// range takes that range back with [`Mapped::sync_for_cpu`].
    Users,
}

impl Sharing {
    /// Attributes for mapping and unmapping.
    fn attrs(self) -> c_ulong {
        match self {
            Self::Kernel => 0,
            // CAST: A small constant.
            Self::Users => bindings::DMA_ATTR_SKIP_CPU_SYNC as c_ulong,
        }
    }
}

/// A table as a context bank sees it: one range of device addresses.
///
/// # Invariants
///
/// `table` is mapped for the device of `bank`, unless that was removed, with the attributes of
/// `sharing`. It is one contiguous range that begins at `address`.
pub(super) struct Mapped {
    table: SgTable,
    bank: Arc<Bank>,
    address: u64,
    sharing: Sharing,
    /// Dropped after the memory was unmapped.
    _count: Option<CountMapped>,
}

impl Mapped {
    /// Maps `size` bytes for `bank`, and hands them to the device.
    ///
    /// # Errors
    ///
    /// * `ENOMEM`: no memory or no device addresses.
    /// * `ENODEV`: the bank was removed.
    /// * `EINVAL`: the result is not contiguous, or shorter than `size`.
    ///
    /// # Safety
    ///
    /// The pages in `table` must stay allocated until the returned value is dropped.
    pub(super) unsafe fn new(
        table: SgTable,
        bank: &Arc<Bank>,
        size: usize,
        sharing: Sharing,
    ) -> Result<Self> {
        let direction = bindings::dma_data_direction::DMA_BIDIRECTIONAL;
        bank.with_device(|dev| {
            // SAFETY: `dev` is the live device of the bank and the table describes pages that stay
            // allocated until it is unmapped, by the requirements of this function.
            to_result(unsafe {
                bindings::dma_map_sgtable(dev, table.as_raw(), direction, sharing.attrs())
            })?;
            if sharing == Sharing::Users {
                // What the mapping has left out: the zeroes must reach the memory.
                //
                // SAFETY: The table is mapped for this device and direction.
                unsafe {
                    bindings::qda_helper_dma_sync_sgtable_for_device(
                        dev,
                        table.as_raw(),
                        direction,
                    );
                }
            }
            Ok(())
        })
        .unwrap_or(Err(ENODEV))?;

        // INVARIANT: The table was just mapped. If it is not contiguous, the value is dropped.
        let mut this = Self {
            table,
            bank: bank.clone(),
            address: 0,
            sharing,
            _count: (sharing == Sharing::Users).then(|| CountMapped::new(bank)),
        };
        // SAFETY: The table is valid and mapped.
        this.address = unsafe { contiguous(this.table.as_raw(), size) }.ok_or(EINVAL)?;
        Ok(this)
    }

    /// Returns the device address of the first byte.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// Hands the bytes from `offset` to `offset + len` to the device. Beyond the end there is
    /// nothing.
    pub(super) fn sync_for_device(&self, offset: usize, len: usize, direction: Direction) {
        self.sync(
            offset,
            len,
            direction,
            bindings::qda_helper_dma_sync_for_device,
        );
    }

    /// Takes the bytes from `offset` to `offset + len` back from the device.
    pub(super) fn sync_for_cpu(&self, offset: usize, len: usize, direction: Direction) {
        self.sync(
            offset,
            len,
            direction,
            bindings::qda_helper_dma_sync_for_cpu,
        );
    }

    /// Calls `sync` for each part of a range that is physically contiguous: the DMA API translates
    /// only the first address of what it is given.
    fn sync(
        &self,
        offset: usize,
        len: usize,
        direction: Direction,
        sync: unsafe extern "C" fn(
            *mut bindings::device,
            bindings::dma_addr_t,
            usize,
            bindings::dma_data_direction,
        ),
    ) {
        let end = offset.saturating_add(len);
        let direction = direction.as_raw();
        // SAFETY: The table is valid. Nobody changes it while it is mapped.
        let (first, count) = unsafe {
            (
                (*self.table.as_raw()).sgl,
                (*self.table.as_raw()).orig_nents,
            )
        };

        let _ = self.bank.with_device(|dev| {
            let mut start: usize = 0;
            let mut sg = first;
            // Mapping merges entries for the device, but the memory is still described by the
            // original ones.
            for _ in 0..count {
                if sg.is_null() || start >= end {
                    break;
                }
                // SAFETY: `sg` is one of the entries of the table.
                let length = unsafe { (*sg).length };
                let Some(next) = usize::try_from(length)
                    .ok()
                    .and_then(|length| start.checked_add(length))
                else {
                    break;
                };
                let from = start.max(offset);
                let piece = next.min(end).saturating_sub(from);
                if piece > 0 {
                    // CAST: `usize` has at most 64 bits.
                    let address = self.address.saturating_add(from as u64);
                    // SAFETY: By the type invariant the range is mapped for `dev`, and the piece
                    // lies in one entry of it.
                    unsafe { sync(dev, address, piece, direction) };
                }
                start = next;
                // SAFETY: `sg` is a valid entry of the table.
                sg = unsafe { bindings::sg_next(sg) };
            }
        });
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // If the bank was removed, its address space is gone and there is nothing to unmap.
        let _ = self.bank.with_device(|dev| {
            // SAFETY: By the type invariant, the table is mapped for this device.
            unsafe {
                bindings::dma_unmap_sgtable(
                    dev,
                    self.table.as_raw(),
                    bindings::dma_data_direction::DMA_BIDIRECTIONAL,
                    self.sharing.attrs(),
                )
            }
        });
    }
}
