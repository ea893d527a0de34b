// SPDX-License-Identifier: GPL-2.0

//! DRM accel devices.
//!
//! The kernel crate has `kernel::drm` only where `CONFIG_DRM=y`, and even there only for devices
//! with primary and render nodes. This module offers the same shapes, under the same names, for
//! an accel device, and builds on [`kernel::bindings`] alone, which exist in every configuration.
//! A port to `rust/kernel/drm` is a feature constant, a choice of file operations, and the two
//! file hooks that [`Driver`] adds ([`Driver::release`], [`Driver::show_fdinfo`]).
//!
//! # Life cycle
//!
//! [`UnregisteredDevice`] is allocated with its driver data, becomes a [`Registration`], and the
//! registration is consumed when it is unplugged. No value of these types can be registered or
//! unplugged twice. [`Device`] is reference-counted: open files, [`ARef`]s and the registration
//! keep it, and its [`Driver::Data`] is dropped with the last of them.
//!
//! # Order at close
//!
//! 1. [`Driver::release`], while the GEM handles of the file still exist,
//! 2. the DRM core drops the GEM handles,
//! 3. [`Driver::File`] is dropped (`postclose`),
//! 4. the file's reference to the device is dropped, and with the last one [`Driver::Data`].
//!
//! # After unplug
//!
//! Every ioctl, including those of the DRM core, answers `-ENODEV` before it reaches a handler.
//! A handler that was running when the device was unplugged goes on: nothing here waits for it,
//! because the core has one guard for *all* DRM devices and a handler that sleeps under it would
//! hold up the removal of unrelated hardware. Drivers end their own waiters first.
//!
//! # Buffers
//!
//! [`gem`] has the objects and says what they are made of. The core's ioctls for handles and PRIME
//! work on them. The device asks for a mount with huge pages for its buffers, and lives on without.
//!
//! C headers: [`include/drm/drm_accel.h`](srctree/include/drm/drm_accel.h),
//! [`include/drm/drm_drv.h`](srctree/include/drm/drm_drv.h)
//!
//! [`ARef`]: kernel::sync::aref::ARef

mod device;
mod driver;
mod file;
mod gate;
pub(crate) mod gem;
pub(crate) mod ioctl;

pub(crate) use self::{
    device::{
        Device,
        UnregisteredDevice, //
    },
    driver::{
        Driver,
        DriverInfo,
        Registration, //
    },
    file::{
        File,
        Printer, //
    },
    ioctl::IoctlDescriptor, //
};
