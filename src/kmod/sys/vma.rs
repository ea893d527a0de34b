// SPDX-License-Identifier: GPL-2.0

//! Where in a buffer an address of the calling program lies.
//!
//! Owns nothing. Takes the mmap lock of the calling task for reading, and nothing inside.
//!
//! What these functions find may be unmapped at the next moment. That is harmless: the answer is
//! an offset into a buffer that the caller named, and nothing is accessed through the address.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/drm/drm_vma_manager.h`](srctree/include/drm/drm_vma_manager.h)
//!
//! # Place in rust/kernel
//!
//! The accessors of areas belong into `rust/kernel/mm/virt.rs`.

use crate::sys::{
    bindings,
    dmabuf::DmaBuf,
    shmem::SharedMemory, //
};
use kernel::{
    mm::virt::{
        flags,
        VmaRef, //
    },
    page::PAGE_SIZE, //
};

/// Offset in bytes at which the places of objects in the files of DRM devices begin.
// CAST: Addresses have 64 bits wherever this driver can be built.
const DRM_OFFSET: usize = bindings::QDA_DRM_FILE_OFFSET_START as usize;

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing is mapped there.
    Nowhere,
    /// In the buffer, at this offset in bytes. The whole range is in the same area.
    At(u64),
    /// Something else is mapped there, or the range is not in one area.
    Wrong,
}

/// Finds the place of `len` bytes at `address` in `memory`.
pub(crate) fn place_in_memory(memory: &SharedMemory, address: u64, len: u64) -> Place {
    let find = |area: &VmaRef| {
        let (file, offset) = backing(area);
        (file == memory.file()).then_some(offset)?
    };
    place(find, address, len)
}

/// Finds the place of `len` bytes at `address` in a dma-buf.
///
/// The answer is [`Place::Wrong`], too, where nobody can tell: if the exporter lets areas refer to
/// another file than that of the dma-buf, and if an area that is shorter than the buffer begins so
/// far behind its start that the exporter may be a DRM driver, which counts differently.
pub(crate) fn place_in_dma_buf(buf: &DmaBuf, address: u64, len: u64) -> Place {
    let find = |area: &VmaRef| {
        let (file, offset) = backing(area);
        if file != buf.file() {
            return None;
        }
        let offset = offset?;
        if offset < DRM_OFFSET {
            return Some(offset);
        }
        // A DRM exporter has added the place of the object in its file, which only it knows. An
        // area as long as the buffer can only begin at its start.
        (area.end().checked_sub(area.start())? == buf.size()).then_some(0)
    };
    place(find, address, len)
}

/// Returns the file of an area, and the offset in that file at which it begins.
fn backing(area: &VmaRef) -> (*mut bindings::file, Option<usize>) {
    // SAFETY: The lock that `area` stands for is held, under which these do not change.
    let (file, page) = unsafe { ((*area.as_ptr()).vm_file, (*area.as_ptr()).vm_pgoff) };
    (file, page.checked_mul(PAGE_SIZE))
}

/// Finds the place of a range in a buffer. `find` says at which offset an area begins, if it is
/// one of this buffer.
fn place(find: impl FnOnce(&VmaRef) -> Option<usize>, address: u64, len: u64) -> Place {
    let Ok(address) = usize::try_from(address) else {
        return Place::Nowhere;
    };
    // SAFETY: The function only computes, for the calling task.
    let start = unsafe { bindings::qda_helper_untagged_addr(address) };
    let task = kernel::current!();
    let Some(mm) = task.mm() else {
        return Place::Nowhere;
    };

    let guard = mm.mmap_read_lock();
    guard.vma_lookup(start).map_or(Place::Nowhere, |area| {
        place_in_area(area, find, start, len).map_or(Place::Wrong, Place::At)
    })
}

/// Returns the offset in the buffer of a range that begins in `area`, if all is as it should be.
fn place_in_area(
    area: &VmaRef,
    find: impl FnOnce(&VmaRef) -> Option<usize>,
    start: usize,
    len: u64,
) -> Option<u64> {
    // Pages of a private area may be copies that the buffer knows nothing of.
    if area.flags() & (flags::SHARED | flags::MAYWRITE) == flags::MAYWRITE {
        return None;
    }
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    if end > area.end() {
        return None;
    }
    let offset = find(area)?.checked_add(start.checked_sub(area.start())?)?;
    u64::try_from(offset).ok()
}
