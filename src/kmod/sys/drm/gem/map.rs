// SPDX-License-Identifier: GPL-2.0

//! Mapping GEM objects through the node.
//!
//! The core's own operation, `drm_gem_mmap()`, takes only areas that begin where the object begins
//! and that refer to the object. Here an area may show any whole pages of an object, and refers to
//! the shmem file. Owns nothing. Takes the lock of the offset manager for the lookup.
//!
//! C header: [`include/drm/drm_vma_manager.h`](srctree/include/drm/drm_vma_manager.h)

use super::{
    Driver,
    File,
    Object, //
};
use crate::sys::bindings;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

impl<T: Driver> File<T> {
    /// Mmap operation of the file.
    ///
    /// Fails with `ENODEV` after unplug, `EINVAL` if the area is not inside an object, and
    /// `EACCES` if the file has no handle of the object.
    ///
    /// # Safety
    ///
    /// Must only be called by the VFS, for an open file of this driver.
    pub(in crate::sys::drm) unsafe extern "C" fn mmap_callback(
        filp: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The file is open, and its private data is a `struct drm_file` of this driver.
        let file = unsafe { Self::from_raw((*filp).private_data.cast()) };
        // SAFETY: The area is that of an mmap operation.
        match unsafe { file.mmap(vma) } {
            Ok(()) => 0,
            Err(e) => e.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `vma` must be the area of an mmap operation of this file.
    unsafe fn mmap(&self, vma: *mut bindings::vm_area_struct) -> Result {
        if self.device().is_unplugged() {
            return Err(ENODEV);
        }

        // SAFETY: The area is being made, nobody else changes it. Its end is behind its start.
        let (first, pages) = unsafe {
            let place = (*vma).__bindgen_anon_1.__bindgen_anon_1;
            let bytes = place.vm_end.wrapping_sub(place.vm_start);
            ((*vma).vm_pgoff, bytes / kernel::page::PAGE_SIZE)
        };
        let obj = self.object_at(first, pages)?;
        let memory = obj.memory().ok_or(EINVAL)?;

        // SAFETY: As above. The node of an object never changes.
        unsafe {
            // CAST: A page number among those that fit into `vm_pgoff`.
            let start = (*obj.as_raw()).vma_node.vm_node.start as c_ulong;
            (*vma).vm_pgoff = first.checked_sub(start).ok_or(EINVAL)?;
            memory.map_user(vma)
        }
    }

    /// The object at whose offset `first` or before it there are `pages` pages.
    fn object_at(&self, first: c_ulong, pages: c_ulong) -> Result<ARef<Object<T>>> {
        // SAFETY: The device has had its manager since it was made.
        let manager = unsafe { (*self.device().as_raw()).vma_offset_manager };

        // SAFETY: The manager is valid, and the lookup is made with its lock held. A node that is
        // found is part of an object of this driver, which cannot go away before the lock is
        // dropped. If its reference count is zero already, it is as good as gone.
        let obj = unsafe {
            bindings::qda_helper_vma_offset_lock(manager);
            let node = bindings::drm_vma_offset_lookup_locked(manager, first, pages);
            let mut obj = core::ptr::null_mut();
            if !node.is_null() {
                obj = kernel::container_of!(node, bindings::drm_gem_object, vma_node);
                if !bindings::qda_helper_gem_object_get_unless_zero(obj) {
                    obj = core::ptr::null_mut();
                }
            }
            bindings::qda_helper_vma_offset_unlock(manager);
            obj
        };
        if obj.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The reference was taken above.
        let obj = unsafe { Object::<T>::take_raw(obj) };

        // SAFETY: Node and file are valid.
        let allowed = unsafe {
            bindings::drm_vma_node_is_allowed(&raw mut (*obj.as_raw()).vma_node, self.as_raw())
        };
        if allowed {
            Ok(obj)
        } else {
            Err(EACCES)
        }
    }
}
