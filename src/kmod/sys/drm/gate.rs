// SPDX-License-Identifier: GPL-2.0

//! Which ioctls of the DRM core reach the core.
//!
//! The core's table is shared by all kinds of nodes. Its permission check keeps render clients away
//! from ioctls of display devices, but not accel clients, and some of those dereference what only a
//! primary client has: `DRM_IOCTL_GET_UNIQUE` and `DRM_IOCTL_GET_MAGIC` read `drm_file.master`,
//! which is NULL here (`drivers/gpu/drm/drm_ioctl.c`, `drm_auth.c`), so any user who can open the
//! node could crash the kernel. Until the core refuses them, this file does, with the errno that a
//! render client gets. Takes no locks.
//!
//! Place in rust/kernel: none; the fix belongs into `drm_ioctl_permit()`.

use crate::sys::bindings;
use kernel::{
    ioctl::_IOC_NR,
    prelude::*,
    uapi, //
};

/// Numbers of the core that make sense for a client without display: the version, GEM handles,
/// capabilities, PRIME and the client's name.
const CORE: [u32; 6] = [0x00, 0x09, 0x0c, 0x2d, 0x2e, 0xd1];

/// What the core answers to a render client.
// CAST: A small number.
const REFUSED: c_long = -(bindings::EACCES as c_long);

/// Whether the core may see this ioctl. What is not DRM at all is for the core to refuse.
fn is_open(cmd: c_uint) -> bool {
    let nr = _IOC_NR(cmd);
    CORE.contains(&nr) || (uapi::DRM_COMMAND_BASE..uapi::DRM_COMMAND_END).contains(&nr)
}

/// Ioctl operation of the file.
///
/// # Safety
///
/// Must only be called by the VFS, for an open file of a driver of this layer.
pub(super) unsafe extern "C" fn ioctl(
    filp: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    if !is_open(cmd) {
        return REFUSED;
    }
    // SAFETY: The arguments are those of the VFS.
    unsafe { bindings::drm_ioctl(filp, cmd, arg) }
}

/// Ioctl operation of the file for 32-bit programs.
///
/// # Safety
///
/// As for [`ioctl`].
#[cfg(CONFIG_COMPAT)]
pub(super) unsafe extern "C" fn compat_ioctl(
    filp: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    if !is_open(cmd) {
        return REFUSED;
    }
    // SAFETY: The arguments are those of the VFS.
    unsafe { bindings::drm_compat_ioctl(filp, cmd, arg) }
}
