// SPDX-License-Identifier: GPL-2.0

//! Exported buffers in the kernel's address space.
//!
//! Owns these mappings. Called by the dma-buf core with the reservation lock of the buffer held;
//! the list has a mutex of its own below that.

use super::Object;
use crate::sys::{
    bindings,
    drm::Driver,
    shmem::{
        Folios,
        SharedMemory, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// A buffer in the kernel's address space.
///
/// # Invariants
///
/// `address` is a mapping of the pages of `_folios` made by `vmap()`, which `self` owns.
struct KernelMap {
    address: NonNull<c_void>,
    _folios: Arc<Folios>,
}

// SAFETY: A mapping may be taken away by any thread.
unsafe impl Send for KernelMap {}

impl KernelMap {
    fn new(memory: &SharedMemory) -> Result<Self> {
        let folios = memory.pin()?;
        let mut pages =
            KVVec::with_capacity(folios.size() / PAGE_SIZE, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        for (page, _, len) in folios.segments() {
            for index in 0..len / PAGE_SIZE {
                pages.push(page.wrapping_add(index), GFP_KERNEL)?;
            }
        }
        let count = u32::try_from(pages.len()).map_err(|_| ENOMEM)?;

        // SAFETY: There are `count` pages in the list, which stay as long as they are pinned.
        let address = unsafe { bindings::qda_helper_vmap(pages.as_mut_ptr(), count) };

        // INVARIANT: The mapping was just made.
        Ok(Self {
            address: NonNull::new(address).ok_or(ENOMEM)?,
            _folios: folios,
        })
    }
}

impl Drop for KernelMap {
    fn drop(&mut self) {
        // SAFETY: By the type invariants we own the mapping, and the pages are still pinned.
        unsafe { bindings::vunmap(self.address.as_ptr()) };
    }
}

/// All mappings of an object in the kernel's address space: at most one for each dma-buf.
#[pin_data]
pub(in crate::sys::drm) struct KernelMaps {
    #[pin]
    list: Mutex<KVec<KernelMap>>,
}

impl KernelMaps {
    pub(in crate::sys::drm) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(KVec::new(), "qda_kernel_maps"),
        })
    }
}

/// Operation: maps the buffer for the kernel.
///
/// # Safety
///
/// As for [`attach`]. The reservation lock must be held.
pub(super) unsafe extern "C" fn vmap<T: Driver>(
    buf: *mut bindings::dma_buf,
    map: *mut bindings::iosys_map,
) -> c_int {
    // SAFETY: The private data of an export is an object, to which it holds a reference.
    let obj = unsafe { Object::<T>::from_raw((*buf).priv_.cast()) };
    let result = obj.memory().ok_or(EINVAL).and_then(|memory| {
        let own = KernelMap::new(memory)?;
        let address = own.address.as_ptr();
        obj.kernel_maps.list.lock().push(own, GFP_KERNEL)?;
        Ok(address)
    });
    match result {
        Ok(address) => {
            // SAFETY: `map` is valid for writes.
            unsafe {
                *map = bindings::iosys_map {
                    __bindgen_anon_1: bindings::iosys_map__bindgen_ty_1 { vaddr: address },
                    is_iomem: false,
                }
            };
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// Operation: takes a mapping for the kernel away.
///
/// # Safety
///
/// As for [`vmap`], with what it wrote.
pub(super) unsafe extern "C" fn vunmap<T: Driver>(
    buf: *mut bindings::dma_buf,
    map: *mut bindings::iosys_map,
) {
    // SAFETY: As in `vmap`, which wrote the address.
    let (obj, address) = unsafe {
        (
            Object::<T>::from_raw((*buf).priv_.cast()),
            (*map).__bindgen_anon_1.vaddr,
        )
    };
    let mut list = obj.kernel_maps.list.lock();
    let index = list.iter().position(|own| own.address.as_ptr() == address);
    let own = index.and_then(|index| list.remove(index).ok());
    // Dropped outside of the lock.
    drop(list);
    drop(own);
}
