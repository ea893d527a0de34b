// SPDX-License-Identifier: GPL-2.0

//! DRM accel drivers: the trait, the C tables made from it, and the registration.
//!
//! Takes no locks of its own; registration and unplug take those of the DRM core. Called by the
//! driver's probe and remove.
//!
//! C header: [`include/drm/drm_drv.h`](srctree/include/drm/drm_drv.h)

use super::{
    gate,
    Device,
    File,
    IoctlDescriptor,
    Printer,
    UnregisteredDevice, //
};
use crate::sys::bindings;
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    error::to_result,
    module::{
        this_module,
        ModuleMetadata, //
    },
    prelude::*,
    str::as_char_ptr_in_const_context,
    sync::aref::ARef, //
};

/// What user space learns about the driver from the DRM core (`DRM_IOCTL_VERSION`).
pub(crate) struct DriverInfo {
    /// Major version: changes when the ABI loses something.
    pub(crate) major: i32,
    /// Minor version: changes when the ABI gains something.
    pub(crate) minor: i32,
    /// Patch level.
    pub(crate) patchlevel: i32,
    /// Name of the driver; also the value of `drm-driver` in fdinfo.
    pub(crate) name: &'static CStr,
    /// Description in a few words.
    pub(crate) desc: &'static CStr,
}

/// A DRM accel driver.
pub(crate) trait Driver: Sized + 'static {
    /// The type that `module!` makes, `crate::LocalModule`. Open files hold this module.
    type OwnerModule: ModuleMetadata;

    /// Data of a device. Dropped with the last reference to the device, in process context.
    type Data: Send + Sync;

    /// Data of an open file.
    type File: Send + Sync;

    /// Data of a buffer that was made by this device. Dropped when the buffer is freed, in process
    /// context, possibly with mutexes of the DRM core held.
    type Object: Send + Sync;

    /// Name and version.
    const INFO: DriverInfo;

    /// The ioctls of the driver, made by [`declare_ioctls!`](super::ioctl::declare_ioctls).
    const IOCTLS: &'static [IoctlDescriptor<Self>];

    /// A client opens the node.
    ///
    /// Runs in the context of the opening process and holds no lock. `client_id` is the number
    /// that fdinfo shows as `drm-client-id`; it is never zero and never used twice. If this
    /// function fails, the open fails and neither [`Self::release`] nor a drop follows.
    fn open(dev: &Device<Self>, client_id: u64) -> Result<Pin<KBox<Self::File>>>;

    /// The last user of an open file is gone, but its GEM handles still exist.
    ///
    /// Runs once per file, before `file` is dropped, in process context, holding no lock. It may
    /// be the context of a process that is being killed: interruptible waits end at once there.
    /// Also runs after unplug.
    fn release(dev: &Device<Self>, file: &File<Self>);

    /// Adds the driver's own lines to `/proc/PID/fdinfo/FD`.
    ///
    /// Runs in process context under the DRM core's global unplug guard: must not wait for other
    /// processes or for the hardware. Not called after unplug.
    fn show_fdinfo(dev: &Device<Self>, file: &File<Self>, p: &Printer<'_>);
}

/// The C tables of a driver. They are constants, which the compiler promotes to statics where
/// they are borrowed; a generic `static` does not exist.
pub(super) struct Tables<T: Driver>(PhantomData<T>);

impl<T: Driver> Tables<T> {
    /// The driver table of a device whose data is initialised.
    pub(super) const VTABLE: bindings::drm_driver = bindings::drm_driver {
        release: Some(Device::<T>::release_callback),
        ..Self::UNINIT
    };

    /// The driver table of a device whose data is not initialised yet: without the callback that
    /// would drop the data. No file can be opened while it is in use.
    pub(super) const UNINIT: bindings::drm_driver = bindings::drm_driver {
        open: Some(File::<T>::open_callback),
        postclose: Some(File::<T>::postclose_callback),
        show_fdinfo: Some(File::<T>::show_fdinfo_callback),
        gem_prime_import: Some(Device::<T>::import_callback),
        major: T::INFO.major,
        minor: T::INFO.minor,
        patchlevel: T::INFO.patchlevel,
        name: as_char_ptr_in_const_context(T::INFO.name).cast_mut(),
        desc: as_char_ptr_in_const_context(T::INFO.desc).cast_mut(),
        driver_features: bindings::drm_driver_feature_DRIVER_GEM
            | bindings::drm_driver_feature_DRIVER_COMPUTE_ACCEL,
        ioctls: T::IOCTLS.as_ptr().cast(),
        // CAST: Ioctl numbers have eight bits.
        num_ioctls: T::IOCTLS.len() as c_int,
        fops: &Self::FOPS,
        ..pin_init::zeroed()
    };

    /// The file operations that `include/drm/drm_accel.h` lists, with own operations for
    /// release and mmap, with fdinfo, and with places for huge pages.
    const FOPS: bindings::file_operations = bindings::file_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(bindings::accel_open),
        release: Some(File::<T>::release_callback),
        unlocked_ioctl: Some(gate::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: Some(gate::compat_ioctl),
        poll: Some(bindings::drm_poll),
        read: Some(bindings::drm_read),
        llseek: Some(bindings::noop_llseek),
        mmap: Some(File::<T>::mmap_callback),
        // Finds places where huge pages fit.
        #[cfg(CONFIG_MMU)]
        get_unmapped_area: Some(bindings::drm_gem_get_unmapped_area),
        show_fdinfo: Some(bindings::drm_show_fdinfo),
        fop_flags: bindings::FOP_UNSIGNED_OFFSET,
        ..pin_init::zeroed()
    };
}

/// A registered device: its node exists.
///
/// Dropping the registration unplugs the device. Dereferences to the [`Device`].
///
/// # Invariants
///
/// The device was registered, and only this value may unplug it.
pub(crate) struct Registration<T: Driver>(ARef<Device<T>>);

impl<T: Driver> Registration<T> {
    /// Makes the node of `dev` appear. From here on files can be opened, even before this
    /// function returns.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what the creation of the node fails with. The device is gone then, except
    /// for references that others hold.
    pub(crate) fn new(dev: UnregisteredDevice<T>) -> Result<Self> {
        let dev = dev.into_device();

        // SAFETY: The device is valid and, by the invariant of `UnregisteredDevice`, was never
        // registered. On failure the core has undone everything.
        to_result(unsafe { bindings::drm_dev_register(dev.as_raw(), 0) })?;

        // INVARIANT: The device was registered just now.
        Ok(Self(dev))
    }
}

impl<T: Driver> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the device is registered and nobody else unplugs it.
        unsafe { bindings::drm_dev_unplug(self.0.as_raw()) };
    }
}

impl<T: Driver> Deref for Registration<T> {
    type Target = ARef<Device<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
