// SPDX-License-Identifier: GPL-2.0

//! PRIME: GEM objects as dma-bufs, and dma-bufs as GEM objects.
//!
//! What others have of an exported buffer is in the files below: attachments to their devices, and
//! mappings in the kernel's address space. Called by the dma-buf core and the DRM core.
//!
//! # Which dma-bufs are ours
//!
//! The operations of the exports are part of the [`Device`], not a constant. So their address says
//! not only that this driver is the exporter, but also which of its devices. The functions in them
//! say that it is one of its devices. Nobody looks into the private data of a dma-buf before having
//! compared one or the other.
//!
//! # Locking
//!
//! The reservation lock of the object guards the contents of its attachments. The dma-buf core
//! holds it around `map`, `unmap`, `vmap` and `vunmap`, and around nothing else. Mappings in banks
//! are not touched under it: their locks come before it.
//!
//! C headers: [`include/drm/drm_prime.h`](srctree/include/drm/drm_prime.h),
//! [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)

mod attachment;
mod kernel_map;

pub(super) use self::kernel_map::KernelMaps;

use super::{
    Body,
    Device,
    Driver,
    Object, //
};
use crate::sys::{
    bindings,
    dmabuf::DmaBuf,
    shmem::SharedMemory, //
};
use kernel::{
    module::this_module,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

impl<T: Driver> Device<T> {
    /// The operations of the dma-bufs that this driver exports.
    pub(in crate::sys::drm) const DMA_BUF_OPS: bindings::dma_buf_ops = bindings::dma_buf_ops {
        attach: Some(attachment::attach),
        detach: Some(attachment::detach),
        map_dma_buf: Some(attachment::map::<T>),
        unmap_dma_buf: Some(attachment::unmap),
        release: Some(bindings::drm_gem_dmabuf_release),
        begin_cpu_access: Some(attachment::begin_cpu_access::<T>),
        end_cpu_access: Some(attachment::end_cpu_access::<T>),
        mmap: Some(mmap::<T>),
        vmap: Some(kernel_map::vmap::<T>),
        vunmap: Some(kernel_map::vunmap::<T>),
        ..pin_init::zeroed()
    };

    /// Import callback: makes a dma-buf an object of this device.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with a device of this driver and a dma-buf that the
    /// caller holds.
    pub(in crate::sys::drm) unsafe extern "C" fn import_callback(
        dev: *mut bindings::drm_device,
        buf: *mut bindings::dma_buf,
    ) -> *mut bindings::drm_gem_object {
        // SAFETY: Required of the caller.
        let (dev, buf) = unsafe { (Self::from_raw(dev), DmaBuf::from_raw(buf)) };

        let obj = match Object::of_dma_buf(dev, buf) {
            Some(own) => Ok(own),
            None => Object::import(dev, buf.into()),
        };
        match obj {
            Ok(obj) => Object::into_raw(obj),
            Err(e) => e.to_ptr(),
        }
    }
}

impl<T: Driver> Object<T> {
    /// The memory behind `buf`, if that is an export of any device of this driver.
    ///
    /// It can be used like the device's own then, without an attachment.
    pub(crate) fn memory_of_any(buf: &DmaBuf) -> Option<Arc<SharedMemory>> {
        // SAFETY: The dma-buf is valid, and its operations never change.
        let map_of_buf = unsafe { (*(*buf.as_raw()).ops).map_dma_buf }?;
        // Nothing but `Device::DMA_BUF_OPS` has this function, whatever its address may be.
        let ours: unsafe extern "C" fn(_, _) -> _ = attachment::map::<T>;
        if !core::ptr::fn_addr_eq(map_of_buf, ours) {
            return None;
        }
        // SAFETY: The operations say that the dma-buf is an export of this driver, and the caller
        // holds it.
        unsafe { memory_of::<T>(buf.as_raw()) }.ok().cloned()
    }

    /// The object behind `buf`, if that is an export of this very device.
    fn of_dma_buf(dev: &Device<T>, buf: &DmaBuf) -> Option<ARef<Self>> {
        // SAFETY: The dma-buf is valid, and its operations never change.
        let (ops, obj) = unsafe { ((*buf.as_raw()).ops, (*buf.as_raw()).priv_) };
        if !core::ptr::eq(ops, dev.dma_buf_ops()) {
            return None;
        }
        // SAFETY: The operations say that the dma-buf is an export of an object of `dev`, to which
        // it holds a reference as long as it lives.
        Some(unsafe { Self::from_raw(obj.cast()) }.into())
    }

    /// Export callback: makes an object a dma-buf.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with an object of this driver.
    pub(super) unsafe extern "C" fn export_callback(
        obj: *mut bindings::drm_gem_object,
        flags: c_int,
    ) -> *mut bindings::dma_buf {
        // SAFETY: The caller holds the object.
        let this = unsafe { Self::from_raw(obj) };

        if let Body::Import(buf) = this.body() {
            // What was imported goes out as what it is. The reference goes to the caller.
            return ARef::into_raw(buf.clone()).as_ptr().cast();
        }

        let mut info = bindings::dma_buf_export_info {
            exp_name: T::INFO.name.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops: this.dev.dma_buf_ops(),
            size: this.size(),
            flags,
            // SAFETY: The object is initialised. The dma-buf holds it and so the lock.
            resv: unsafe { (*obj).resv },
            priv_: obj.cast(),
        };
        // SAFETY: The device is that of the object, to which both `priv` and the lock belong. The
        // function takes references to both the object and the device, and so to the operations,
        // which are part of the device. The operation `release` drops them.
        unsafe { bindings::drm_gem_dmabuf_export(this.dev.as_raw(), &mut info) }
    }
}

/// The memory behind an export.
///
/// # Safety
///
/// `buf` must be an export of this driver that stays valid for as long as the result is in use.
unsafe fn memory_of<'a, T: Driver>(buf: *mut bindings::dma_buf) -> Result<&'a Arc<SharedMemory>> {
    // SAFETY: The private data of an export is an object, to which it holds a reference.
    let obj = unsafe { Object::<T>::from_raw((*buf).priv_.cast()) };
    // Only own buffers are exported.
    obj.memory().ok_or(EINVAL)
}

/// Operation: maps the buffer through the descriptor of the dma-buf. The offset of the area counts
/// from the start of the buffer.
///
/// # Safety
///
/// As for [`attach`], with the area of an mmap operation.
unsafe extern "C" fn mmap<T: Driver>(
    buf: *mut bindings::dma_buf,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: Required of the caller.
    let result = unsafe { memory_of::<T>(buf).and_then(|memory| memory.map_user(vma)) };
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}
