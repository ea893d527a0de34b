// SPDX-License-Identifier: GPL-2.0

//! The pinned pages of a buffer.
//!
//! Owns the pins. Made by [`SharedMemory::pin`](super::SharedMemory::pin) for each mapping in a
//! device, dropped when the mapping is gone. Takes no locks; may sleep.
//!
//! C header: [`include/linux/memfd.h`](srctree/include/linux/memfd.h)

use super::{
    pause,
    ShmemFile, //
};
use crate::sys::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Pages that are pinned at once: as many as the largest folio of shmem has with 4 KiB pages.
const CHUNK_PAGES: usize = 512;

/// Bytes of [`CHUNK_PAGES`].
const CHUNK: usize = CHUNK_PAGES * PAGE_SIZE;

/// A pinned part of a folio.
struct Piece {
    folio: NonNull<bindings::folio>,
    /// First page in the folio.
    first: u32,
    /// Number of pages, not 0.
    pages: u32,
}

/// The pinned pages of a [`SharedMemory`], in order.
///
/// Dropping it marks all of them as written, because a device may have done so unseen, and takes
/// the pins away. So drop it after the last device was cut off.
///
/// # Invariants
///
/// `self` owns one pin on the folio of each piece. Each piece lies inside its folio, and all
/// pieces together have `size` bytes.
pub(in crate::sys) struct Folios {
    pieces: KVVec<Piece>,
    size: usize,
    /// Keeps the mapping that the folios may still refer to.
    file: ShmemFile,
}

// SAFETY: Pins may be dropped by any thread.
unsafe impl Send for Folios {}

// SAFETY: Nothing changes after construction.
unsafe impl Sync for Folios {}

impl Folios {
    /// Size in bytes, that of the memory.
    pub(in crate::sys) fn size(&self) -> usize {
        self.size
    }

    /// Pins all `size` bytes of `file`.
    pub(super) fn new(file: &ShmemFile, size: usize) -> Result<Self> {
        let mut folios = Folios {
            pieces: KVVec::new(),
            size: 0,
            file: file.clone(),
        };
        let mut chunk = KVec::with_capacity(CHUNK_PAGES, GFP_KERNEL)?;
        chunk.resize(CHUNK_PAGES, core::ptr::null_mut(), GFP_KERNEL)?;

        while folios.size < size {
            // Cannot overflow: less than the size.
            let left = size.wrapping_sub(folios.size);
            folios.pin_more(left.min(CHUNK), &mut chunk)?;

            pause()?;
        }
        Ok(folios)
    }

    /// Pins the `len` bytes that follow, at most [`CHUNK`]. `chunk` has [`CHUNK_PAGES`] entries.
    fn pin_more(&mut self, len: usize, chunk: &mut [*mut bindings::folio]) -> Result {
        // Before anything is pinned, so that nothing can fail between pinning and noting.
        self.pieces
            .reserve(chunk.len(), GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;

        let start = bindings::loff_t::try_from(self.size)?;
        // The last byte. Does not underflow, as `len` is not 0.
        let end = self.size.checked_add(len).ok_or(EINVAL)?.wrapping_sub(1);
        let end = bindings::loff_t::try_from(end)?;
        let max = c_uint::try_from(chunk.len())?;
        let mut offset: c_ulong = 0;

        // SAFETY: The file is a shmem file, and `chunk` is valid for `max` writes.
        let count = unsafe {
            bindings::memfd_pin_folios(
                self.file.as_raw(),
                start,
                end,
                chunk.as_mut_ptr(),
                max,
                &mut offset,
            )
        };
        to_result(c_int::try_from(count).unwrap_or(c_int::MAX).min(0))?;
        let count = usize::try_from(count)?;

        let mut left = len;
        for folio in chunk.iter().take(count) {
            let Some(folio) = NonNull::new(*folio) else {
                continue;
            };
            // SAFETY: The folio is pinned.
            let size = unsafe { bindings::qda_helper_folio_size(folio.as_ptr()) };
            // Only the first one begins somewhere inside.
            let bytes = size.saturating_sub(offset).min(left);
            let piece = Piece {
                folio,
                // CAST: Folios are far smaller than 2^32 pages.
                first: (offset / PAGE_SIZE) as u32,
                // CAST: As above.
                pages: (bytes / PAGE_SIZE) as u32,
            };
            // INVARIANT: The pin goes to `self`, and the piece lies inside the folio.
            if self.pieces.push_within_capacity(piece).is_err() {
                // Not reached: there is room for all of `chunk`.
                //
                // SAFETY: The pin of this folio was not given away.
                unsafe { bindings::unpin_folio(folio.as_ptr()) };
                continue;
            }
            // Neither can overflow: `bytes` is at most `left`, which is part of the size.
            left = left.wrapping_sub(bytes);
            self.size = self.size.wrapping_add(bytes);
            offset = 0;
        }
        if left == 0 {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// The pinned pages as pieces that are physically contiguous, in order: first page, offset of
    /// the first byte in it, and length in bytes. Together they have exactly [`Self::size`] bytes.
    pub(in crate::sys) fn segments(
        &self,
    ) -> impl Iterator<Item = (*mut bindings::page, usize, usize)> + '_ {
        self.pieces.iter().map(|piece| {
            // CAST: A page number in a folio.
            let first = piece.first as usize;
            // SAFETY: By the type invariants the folio is pinned and `first` lies inside of it.
            let page = unsafe { bindings::qda_helper_folio_page(piece.folio.as_ptr(), first) };
            // CAST: A number of pages of a folio. Cannot overflow: less than the size.
            (page, 0, (piece.pages as usize).wrapping_mul(PAGE_SIZE))
        })
    }
}

impl Drop for Folios {
    fn drop(&mut self) {
        for piece in &self.pieces {
            // SAFETY: By the type invariants we own a pin on this folio. The file is still held,
            // so the mapping that the folio may refer to is valid.
            unsafe {
                bindings::folio_mark_dirty(piece.folio.as_ptr());
                bindings::unpin_folio(piece.folio.as_ptr());
                bindings::qda_helper_cond_resched();
            }
        }
    }
}
