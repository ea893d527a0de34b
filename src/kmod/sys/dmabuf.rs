// SPDX-License-Identifier: GPL-2.0

//! References to dma-bufs: memory that some driver exported as a file.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)
//!
//! Owns nothing but references. A dma-buf has no reference count of its own, it lives as long as
//! its file. Called by the engine to get from a file descriptor to a buffer, and by
//! [`dma`](crate::sys::dma), which attaches devices.
//!
//! # Locking
//!
//! Everything is free of locks, but [`DmaBuf::is_orphan`] tries to take the reservation lock of the
//! buffer. It does not wait for it: other drivers may hold that lock for long.
//!
//! # Place in rust/kernel
//!
//! `rust/kernel/dma_buf.rs`.

use crate::sys::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// A `struct dma_buf`.
///
/// # Invariants
///
/// Points to a valid dma-buf, whose file has at least one reference that belongs to the holder.
#[repr(transparent)]
pub(crate) struct DmaBuf(Opaque<bindings::dma_buf>);

// SAFETY: The last reference of a file may be dropped by any thread.
unsafe impl Send for DmaBuf {}

// SAFETY: All methods may be called by several threads at once.
unsafe impl Sync for DmaBuf {}

// SAFETY: The functions change the reference count of the file, with which the dma-buf goes.
unsafe impl AlwaysRefCounted for DmaBuf {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant the dma-buf is valid. Its `file` never changes, and its
        // count is not zero.
        unsafe { bindings::get_file((*self.as_raw()).file) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // CAST: `Self` is a transparent wrapper of `struct dma_buf`.
        //
        // SAFETY: By the requirements of this function the caller gives up a reference.
        unsafe { bindings::dma_buf_put(obj.as_ptr().cast()) };
    }
}

impl DmaBuf {
    /// Looks up a file descriptor of the calling task.
    ///
    /// # Errors
    ///
    /// * `EBADF`: there is no such descriptor.
    /// * `EINVAL`: the file is not a dma-buf.
    pub(crate) fn from_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: The function has no requirements.
        let raw = from_err_ptr(unsafe { bindings::dma_buf_get(fd) })?;
        let raw = NonNull::new(raw).ok_or(EBADF)?;

        // CAST: `Self` is a transparent wrapper of `struct dma_buf`.
        //
        // SAFETY: `dma_buf_get` has taken a reference for us.
        Ok(unsafe { ARef::from_raw(raw.cast()) })
    }

    /// Makes a reference from a pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a dma-buf whose file has a reference for as long as `'a` lasts.
    pub(in crate::sys) unsafe fn from_raw<'a>(ptr: *mut bindings::dma_buf) -> &'a Self {
        // CAST: `Self` is a transparent wrapper of `struct dma_buf`.
        //
        // SAFETY: By the requirements of this function the dma-buf is valid during `'a`.
        unsafe { &*ptr.cast() }
    }

    /// Returns the pointer to the C structure.
    pub(in crate::sys) fn as_raw(&self) -> *mut bindings::dma_buf {
        self.0.get()
    }

    /// Returns the file. It is only good for comparison, unless `self` is kept.
    pub(in crate::sys) fn file(&self) -> *mut bindings::file {
        // SAFETY: By the type invariant the dma-buf is valid. `file` never changes.
        unsafe { (*self.as_raw()).file }
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: By the type invariant the dma-buf is valid. `size` never changes.
        unsafe { (*self.as_raw()).size }
    }

    /// Returns a number that no other dma-buf has while a reference to this one is held.
    ///
    /// It is an address, so it is for comparison only and must not be shown to anybody.
    pub(crate) fn id(&self) -> u64 {
        // CAST: Addresses have at most 64 bits.
        self.as_raw() as usize as u64
    }

    /// Whether all references to the buffer belong to attachments with importer data `mark`.
    ///
    /// Each of these attachments must own one reference, taken before the buffer is attached and
    /// dropped after it was detached. Says no if the reservation lock is held just now.
    pub(in crate::sys) fn is_orphan(&self, mark: *mut c_void) -> bool {
        let raw = self.as_raw();
        let mut count: c_ulong = 0;

        // SAFETY: By the type invariant the dma-buf is valid. `resv` never changes.
        if !unsafe { bindings::qda_helper_dma_resv_trylock((*raw).resv) } {
            return false;
        }

        // SAFETY: The dma-buf is valid, and so is the head of its list.
        let (head, mut node) = unsafe { (&raw mut (*raw).attachments, (*raw).attachments.next) };
        while node != head {
            // SAFETY: The reservation lock guards the list. All of its nodes but the head are
            // embedded in attachments, whose `importer_priv` never changes.
            unsafe {
                let attachment = kernel::container_of!(node, bindings::dma_buf_attachment, node);
                if (*attachment).importer_priv == mark {
                    count = count.saturating_add(1);
                }
                node = (*node).next;
            }
        }

        // Read while the lock is held: no attachment can be added or taken off, and each that was
        // counted owns a reference.
        //
        // SAFETY: By the type invariant the file is valid.
        let references = unsafe { bindings::qda_helper_file_count((*raw).file) };

        // SAFETY: The lock was taken above.
        unsafe { bindings::dma_resv_unlock((*raw).resv) };

        references == count
    }
}
