// SPDX-License-Identifier: GPL-2.0

//! Open files of a DRM accel device.
//!
//! Owns the driver's per-file data between open and close. Takes no locks. The callbacks are
//! called by the VFS and the DRM core.
//!
//! C headers: [`include/drm/drm_file.h`](srctree/include/drm/drm_file.h),
//! [`include/drm/drm_print.h`](srctree/include/drm/drm_print.h)

use super::{
    gem,
    Device,
    Driver, //
};
use crate::sys::bindings;
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    fmt,
    prelude::*,
    types::Opaque, //
};

/// An open file of driver `T`. Dereferences to the driver's data of the file.
///
/// # Invariants
///
/// `self.0` is a `struct drm_file` of a device of driver `T`, and its `driver_priv` points to the
/// `T::File` that [`Driver::open`] returned for it.
#[repr(transparent)]
pub(crate) struct File<T: Driver>(Opaque<bindings::drm_file>, PhantomData<T>);

impl<T: Driver> File<T> {
    /// # Safety
    ///
    /// `ptr` must point to a `struct drm_file` of a device of driver `T`, after the open callback
    /// succeeded for it and before its postclose callback has run, for as long as the returned
    /// reference is in use.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::drm_file) -> &'a Self {
        // SAFETY: `File` is a transparent wrapper of `struct drm_file`; the rest is required of
        // the caller.
        // INVARIANT: The open callback has set `driver_priv`.
        unsafe { &*ptr.cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::drm_file {
        self.0.get()
    }

    /// The device that the file was opened on.
    pub(super) fn device(&self) -> &Device<T> {
        // SAFETY: A file holds its minor and so its device, and by the type invariants that is one
        // of driver `T`.
        unsafe { Device::from_raw((*(*self.as_raw()).minor).dev) }
    }

    /// Open callback: makes the driver's data of a new file.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with a device of this driver and a new file of it.
    pub(super) unsafe extern "C" fn open_callback(
        raw_dev: *mut bindings::drm_device,
        raw_file: *mut bindings::drm_file,
    ) -> c_int {
        // SAFETY: The DRM core passes a registered device of this driver, which the file holds.
        let dev = unsafe { Device::<T>::from_raw(raw_dev) };

        // SAFETY: The DRM core passes a valid file.
        let client_id = unsafe { (*raw_file).client_id };

        let inner = match T::open(dev, client_id) {
            Ok(inner) => inner,
            Err(e) => return e.to_errno(),
        };

        // SAFETY: The data is treated as pinned: it stays in its allocation until the postclose
        // callback drops it there.
        let inner = unsafe { Pin::into_inner_unchecked(inner) };

        // SAFETY: The DRM core passes a valid file that nobody else knows yet.
        unsafe { (*raw_file).driver_priv = KBox::into_raw(inner).cast() };

        0
    }

    /// Postclose callback: drops the driver's data of a file.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, once for a file whose open callback succeeded.
    pub(super) unsafe extern "C" fn postclose_callback(
        _raw_dev: *mut bindings::drm_device,
        raw_file: *mut bindings::drm_file,
    ) {
        // SAFETY: The open callback has stored the pointer, and no reference to the data is left:
        // the core has no user of the file any more.
        let inner = unsafe { KBox::from_raw((*raw_file).driver_priv.cast::<T::File>()) };

        drop(Box::into_pin(inner));
    }

    /// Release operation of the file: the driver's hook, then the core's own release.
    ///
    /// # Safety
    ///
    /// Must only be called by the VFS, for a file that was opened with the operations of this
    /// driver.
    pub(super) unsafe extern "C" fn release_callback(
        inode: *mut bindings::inode,
        filp: *mut bindings::file,
    ) -> c_int {
        // SAFETY: `accel_open` stored the `struct drm_file` there, and the VFS calls this function
        // only if it succeeded.
        let raw_file = unsafe { (*filp).private_data }.cast::<bindings::drm_file>();

        // SAFETY: A file holds a reference to its minor and so to its device, which `drm_release`
        // drops. The file operations belong to the same driver as the device.
        let dev = unsafe { Device::<T>::from_raw((*(*raw_file).minor).dev) };

        // SAFETY: The open callback succeeded, or there would be no file to release; the
        // postclose callback runs in `drm_release`, when the reference is no longer in use.
        T::release(dev, unsafe { Self::from_raw(raw_file) });

        // SAFETY: The arguments are those of the VFS.
        unsafe { bindings::drm_release(inode, filp) }
    }

    /// Callback for the driver's part of fdinfo.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with an open file of this driver.
    pub(super) unsafe extern "C" fn show_fdinfo_callback(
        p: *mut bindings::drm_printer,
        raw_file: *mut bindings::drm_file,
    ) {
        // SAFETY: The reader of fdinfo holds the file, which holds its minor and device.
        let dev = unsafe { Device::<T>::from_raw((*(*raw_file).minor).dev) };

        // SAFETY: The file is open, because the reader of fdinfo holds it.
        let file = unsafe { Self::from_raw(raw_file) };

        // INVARIANT: The core passes a printer that is valid during this call.
        T::show_fdinfo(dev, file, &Printer(p, PhantomData));
    }
}

impl<T: Driver> Deref for File<T> {
    type Target = T::File;

    fn deref(&self) -> &Self::Target {
        // SAFETY: By the type invariants `driver_priv` points to a `T::File`. It is dropped in the
        // postclose callback, and no `File` reference outlives that.
        unsafe { &*(*self.0.get()).driver_priv.cast() }
    }
}

/// Where the text of fdinfo goes.
///
/// # Invariants
///
/// The pointer is a `struct drm_printer` that is valid for `'a`.
pub(crate) struct Printer<'a>(*mut bindings::drm_printer, PhantomData<&'a ()>);

impl Printer<'_> {
    /// Prints text as it is. Lines end with a line feed.
    pub(crate) fn print(&self, args: fmt::Arguments<'_>) {
        // SAFETY: By the type invariants the printer is valid, and "%pA" takes a pointer to
        // `fmt::Arguments`.
        unsafe {
            bindings::drm_printf(
                self.0,
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&args).cast::<c_void>(),
            )
        };
    }

    /// Prints how much memory the file has handles of, in the keys of the DRM core: total, shared,
    /// active and resident, all in bytes.
    ///
    /// A buffer that was exported or that has several handles counts as shared, and so do all
    /// imports. Resident is what has pages now. Active are the whole buffers that a device uses
    /// now. Of imports nothing counts as resident or active: their pages are the exporter's.
    pub(crate) fn memory_stats<T: Driver>(&self, file: &File<T>) {
        let stats = gem::memory_stats(file);
        let supported = bindings::drm_gem_object_status_DRM_GEM_OBJECT_RESIDENT
            | bindings::drm_gem_object_status_DRM_GEM_OBJECT_ACTIVE;
        // SAFETY: By the type invariants the printer is valid; the rest are local values.
        unsafe {
            bindings::drm_print_memory_stats(self.0, &stats, supported, c"memory".as_char_ptr())
        };
    }

    /// Prints one line in the form of `Documentation/gpu/drm-usage-stats.rst`.
    pub(crate) fn key(&self, key: &str, value: impl fmt::Display) {
        self.print(fmt!("{key}:\t{value}\n"));
    }
}
