// SPDX-License-Identifier: GPL-2.0

//! DRM accel device: the reference-counted object behind a device node.
//!
//! Owns the allocation that holds `struct drm_device` and the driver's data. Takes no locks of
//! its own. Called by the driver's probe and, through references, by every file operation.
//!
//! C header: [`include/drm/drm_device.h`](srctree/include/drm/drm_device.h)

use super::Driver;
use crate::sys::{
    bindings,
    shmem::Mount, //
};
use core::{
    alloc::Layout,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::allocator::Kmalloc,
    device,
    error::from_err_ptr,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// A DRM accel device of driver `T`.
///
/// Dereferences to the driver's data.
///
/// # Invariants
///
/// * `dev` is an initialised `struct drm_device` with one accel minor, whose driver table is that
///   of `T` and whose reference count is not zero.
/// * `dma_buf_ops` never changes after the allocation.
/// * `data` is initialised and pinned until the release callback of the device runs.
#[repr(C)]
pub(crate) struct Device<T: Driver> {
    dev: Opaque<bindings::drm_device>,
    /// Here and not a constant, because its address tells the dma-bufs of this device from all
    /// others.
    dma_buf_ops: bindings::dma_buf_ops,
    data: T::Data,
}

impl<T: Driver> Device<T> {
    pub(super) fn as_raw(&self) -> *mut bindings::drm_device {
        self.dev.get()
    }

    /// Returns the device that contains `ptr`.
    ///
    /// # Safety
    ///
    /// * `ptr` must point to the `dev` field of a `Device<T>`, for this very `T`.
    /// * The reference count of the device must not drop to zero while the returned reference is
    ///   in use.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::drm_device) -> &'a Self {
        // SAFETY: By the requirements of this function, `ptr` is the `dev` field of a live
        // `Device<T>`.
        unsafe { &*kernel::container_of!(Opaque::cast_from(ptr.cast_const()), Self, dev) }
    }

    /// The accel minor. It lives exactly as long as the `struct drm_device`.
    fn minor(&self) -> &bindings::drm_minor {
        // SAFETY: By the type invariants the device has an accel minor. The pointer is written
        // before the device is visible to us and never changed, and the fields of the minor that
        // are read here never change either.
        unsafe { &*(*self.as_raw()).accel }
    }

    /// The operations of the dma-bufs that this device exports, and nobody else.
    pub(super) fn dma_buf_ops(&self) -> &bindings::dma_buf_ops {
        &self.dma_buf_ops
    }

    /// Whether the device was unplugged. May become true at any moment.
    pub(super) fn is_unplugged(&self) -> bool {
        let mut guard = 0;
        // SAFETY: The device is valid, and the guard is given back at once.
        unsafe {
            let entered = bindings::drm_dev_enter(self.as_raw(), &mut guard);
            if entered {
                bindings::drm_dev_exit(guard);
            }
            !entered
        }
    }

    /// The mount of tmpfs on which buffers get huge pages where they fit, if there is one.
    pub(crate) fn huge_mount(&self) -> Option<Mount<'_>> {
        // SAFETY: The field is written before the device is visible to us and never changed.
        let mount = from_err_ptr(unsafe { (*self.as_raw()).huge_mnt }).ok()?;
        // SAFETY: The device holds the mount until it is released.
        NonNull::new(mount).map(|mount| unsafe { Mount::from_raw(mount) })
    }

    /// The device of the node itself, of class `accel`; good for log lines.
    ///
    /// It stays valid, also after unplug and after the parent was unbound, as long as the DRM
    /// device lives.
    pub(crate) fn node(&self) -> &device::Device {
        // SAFETY: `kdev` is allocated with the minor, and its reference is dropped together with
        // the `struct drm_device`, which outlives `self`.
        unsafe { device::Device::from_raw(self.minor().kdev) }
    }

    /// The name of the node without its folder, for example `accel0`.
    pub(crate) fn name(&self) -> &CStr {
        self.node().name()
    }

    /// Release callback: the last reference to the device is gone.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with a device of this driver.
    pub(super) unsafe extern "C" fn release_callback(ptr: *mut bindings::drm_device) {
        // SAFETY: The DRM core passes the device that is to be released, which is the `dev` field
        // of a `Device<T>`.
        let this = unsafe { kernel::container_of!(Opaque::cast_from(ptr.cast_const()), Self, dev) };

        // SAFETY: This callback is installed only after `data` was initialised, it runs once, and
        // nobody refers to the device any more.
        unsafe { core::ptr::drop_in_place(&raw mut (*this.cast_mut()).data) };
    }
}

impl<T: Driver> Deref for Device<T> {
    type Target = T::Data;

    fn deref(&self) -> &Self::Target {
        &self.data
    }
}

// SAFETY: A `struct drm_device` has a reference count, which `inc_ref` increments, and is freed
// only when the count drops to zero. `UnregisteredDevice::new` is the only place that makes
// instances.
unsafe impl<T: Driver> AlwaysRefCounted for Device<T> {
    fn inc_ref(&self) {
        // SAFETY: By the type invariants the reference count is not zero.
        unsafe { bindings::drm_dev_get(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the requirements of this function the caller gives up one reference, so the
        // device is valid until the call below.
        let dev = unsafe { obj.as_ref() }.as_raw();

        // SAFETY: As above.
        unsafe { bindings::drm_dev_put(dev) };
    }
}

// SAFETY: The reference of a `struct drm_device` may be dropped from any thread, and the driver's
// data is `Send`.
unsafe impl<T: Driver> Send for Device<T> {}

// SAFETY: All methods of `Device` read fields that never change after the allocation, and the
// driver's data is `Sync`.
unsafe impl<T: Driver> Sync for Device<T> {}

/// A [`Device`] that user space cannot see yet.
///
/// The node number is already reserved. Dropping the value frees everything; giving it to
/// [`Registration::new`](super::Registration::new) makes the node appear.
///
/// # Invariants
///
/// The device was never registered.
pub(crate) struct UnregisteredDevice<T: Driver>(ARef<Device<T>>, NotThreadSafe);

impl<T: Driver> UnregisteredDevice<T> {
    /// Allocates a device below `parent` and initialises its data.
    ///
    /// May sleep. The device holds a reference to `parent` until it is released, which can be
    /// long after `parent` was unbound.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the DRM core is not ready, `ENOMEM`, `ENOSPC` if there is no free minor, and
    /// whatever `data` fails with.
    pub(crate) fn new(parent: &device::Device, data: impl PinInit<T::Data, Error>) -> Result<Self> {
        let layout = Kmalloc::aligned_layout(Layout::new::<Device<T>>());

        // CAST: `device::Device` is a transparent wrapper of `struct device`.
        let raw_parent = core::ptr::from_ref(parent)
            .cast_mut()
            .cast::<bindings::device>();

        // Until the data is initialised the device has a driver table without release callback,
        // so that a failure cannot drop what never existed.
        //
        // SAFETY: `raw_parent` is valid, the table is static, and the size and offset describe
        // `Device<T>`.
        let raw: *mut Device<T> = unsafe {
            bindings::__drm_dev_alloc(
                raw_parent,
                const { &super::driver::Tables::<T>::UNINIT },
                layout.size(),
                core::mem::offset_of!(Device<T>, dev),
            )
        }
        .cast();
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?;

        // SAFETY: The allocation succeeded, so `raw` points to a `Device<T>`.
        let drm = unsafe { (*raw.as_ptr()).dev.get() };

        // SAFETY: The field is uninitialised memory of the right type that nobody else refers to.
        unsafe { (&raw mut (*raw.as_ptr()).dma_buf_ops).write(Device::<T>::DMA_BUF_OPS) };

        // SAFETY: `data` is uninitialised memory of the right type that nobody else refers to
        // and that does not move until it is dropped in place.
        let result = unsafe { pin_init::raw_try_init(&raw mut (*raw.as_ptr()).data, data) };
        if let Err(e) = result {
            // SAFETY: We own the only reference. There is no release callback yet.
            unsafe { bindings::drm_dev_put(drm) };
            return Err(e);
        }

        // Without that mount, buffers have small pages, as the kernel's own mount wants it.
        #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
        // SAFETY: The device is initialised and not registered. It keeps the mount.
        let _ = unsafe { bindings::drm_gem_huge_mnt_create(drm, c"within_size".as_char_ptr()) };

        // SAFETY: Nobody else knows the device yet.
        unsafe { (*drm).driver = const { &super::driver::Tables::<T>::VTABLE } };

        // SAFETY: The reference that the allocation returned is passed on to the `ARef`.
        // INVARIANT: The device was just made and not registered.
        Ok(Self(unsafe { ARef::from_raw(raw) }, NotThreadSafe))
    }

    pub(super) fn into_device(self) -> ARef<Device<T>> {
        self.0
    }
}

impl<T: Driver> Deref for UnregisteredDevice<T> {
    type Target = Device<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
