// SPDX-License-Identifier: GPL-2.0
//! The ioctl interface as bytes and numbers, for tests that must be able to send wrong ones.
//!
//! The numbers are written down here a second time on purpose: they come from the description of
//! the QDA v1 ABI (sections 2, 3, 7 and 8) and not from the header of this tree, so that a
//! change of the header that breaks existing programs does not pass unnoticed.

use std::mem::size_of;
use std::os::fd::RawFd;

/// Read the name of the DSP; 16 bytes.
pub const QUERY: u32 = 0x8010_6440;
/// Attach to the root process domain; no argument.
pub const INIT_ATTACH: u32 = 0x0000_6443;
/// Create a process on the DSP; 24 bytes.
pub const SESSION_CREATE: u32 = 0xC018_6444;
/// Call a method; 16 bytes.
pub const INVOKE: u32 = 0xC010_6447;

/// Argument of [`QUERY`].
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Query {
    pub dsp_name: [u8; 16],
}

/// Argument of [`SESSION_CREATE`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Create {
    pub filelen: u32,
    pub filefd: i32,
    pub attrs: u32,
    pub siglen: u32,
    pub file: u64,
}

/// Argument of [`INVOKE`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Invoke {
    pub handle: u32,
    pub sc: u32,
    pub args: u64,
}

/// One element of the array that [`Invoke::args`] points to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Elem {
    pub ptr: u64,
    pub length: u64,
    pub fd: i32,
    pub attr: u32,
}

impl Elem {
    /// A copied (inline) argument.
    pub fn inline(ptr: u64, length: u64) -> Self {
        Elem {
            ptr,
            length,
            fd: -1,
            attr: 0,
        }
    }
}

const _: () = {
    assert!(size_of::<Query>() == 16);
    assert!(size_of::<Create>() == 24);
    assert!(size_of::<Invoke>() == 16);
    assert!(size_of::<Elem>() == 24);
};

/// Builds the scalars word from a method number and the four argument counts.
pub fn scalars(method: u32, ins: usize, outs: usize, in_handles: usize, out_handles: usize) -> u32 {
    ((method & 0x1f) << 24)
        | ((ins as u32 & 0xff) << 16)
        | ((outs as u32 & 0xff) << 8)
        | ((in_handles as u32 & 0xf) << 4)
        | (out_handles as u32 & 0xf)
}

/// An ioctl code: `dir` is 0 none, 1 write, 2 read, 3 both, as seen by the caller.
pub fn code(dir: u32, kind: u8, nr: u8, size: u32) -> u32 {
    (dir << 30) | ((size & 0x3fff) << 16) | (u32::from(kind) << 8) | u32::from(nr)
}

/// The same ioctl with another structure size.
pub fn resized(code: u32, size: u32) -> u32 {
    code & !(0x3fff << 16) | ((size & 0x3fff) << 16)
}

/// Issues an ioctl and gives the full 64-bit value that the kernel returned.
///
/// The C library turns -4095..-1 into -1 and `errno`; this undoes it, so that a raw DSP result can
/// be compared bit for bit.
pub fn ioctl(fd: RawFd, code: u32, arg: u64) -> i64 {
    // SAFETY: The kernel checks every address it is given; a wrong one costs at most memory that
    // the caller of this function chose itself.
    let value = unsafe { libc::syscall(libc::SYS_ioctl, fd, code as libc::c_ulong, arg) };
    if value == -1 {
        -i64::from(errno())
    } else {
        value
    }
}

/// The `errno` of the calling thread.
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// What a DSP result looks like as return value of the ioctl.
pub fn as_returned(result: u32) -> i64 {
    i64::from(result as i32)
}

/// Text for a value returned by [`ioctl`].
pub fn show(value: i64) -> String {
    let name = match i32::try_from(-value) {
        Ok(libc::EPERM) => "EPERM",
        Ok(libc::ENOENT) => "ENOENT",
        Ok(libc::EINTR) => "EINTR",
        Ok(libc::E2BIG) => "E2BIG",
        Ok(libc::EBADF) => "EBADF",
        Ok(libc::ENOMEM) => "ENOMEM",
        Ok(libc::EACCES) => "EACCES",
        Ok(libc::EFAULT) => "EFAULT",
        Ok(libc::EBUSY) => "EBUSY",
        Ok(libc::EEXIST) => "EEXIST",
        Ok(libc::ENODEV) => "ENODEV",
        Ok(libc::EINVAL) => "EINVAL",
        Ok(libc::ENOTTY) => "ENOTTY",
        Ok(libc::ENOSPC) => "ENOSPC",
        Ok(libc::EPIPE) => "EPIPE",
        Ok(libc::ENOSYS) => "ENOSYS",
        Ok(libc::EOPNOTSUPP) => "EOPNOTSUPP",
        Ok(libc::ENOTCONN) => "ENOTCONN",
        Ok(libc::ETIMEDOUT) => "ETIMEDOUT",
        _ if !(-4095..=0).contains(&value) => return format!("DSP result {:#x}", value as u32),
        _ => return format!("{value}"),
    };
    format!("-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_match_the_documented_ones() {
        assert_eq!(code(2, b'd', 0x40, 16), QUERY);
        assert_eq!(code(0, b'd', 0x43, 0), INIT_ATTACH);
        assert_eq!(code(3, b'd', 0x44, 24), SESSION_CREATE);
        assert_eq!(code(3, b'd', 0x47, 16), INVOKE);
        assert_eq!(resized(INVOKE, 24), 0xC018_6447);
    }

    #[test]
    fn scalars_match_the_calculator() {
        assert_eq!(scalars(2, 2, 1, 0, 0), 0x0202_0100);
        assert_eq!(scalars(5, 0, 0, 1, 0), 0x0500_0010);
        assert_eq!(scalars(31, 255, 255, 15, 15), 0x1fff_ffff);
    }

    #[test]
    fn results_are_sign_extended() {
        assert_eq!(as_returned(0x8000_040d), 0x8000_040du32 as i32 as i64);
        assert_eq!(show(-14), "-EFAULT");
        assert_eq!(show(as_returned(0x8000_040d)), "DSP result 0x8000040d");
    }

    #[test]
    fn a_failing_ioctl_gives_its_errno() {
        assert_eq!(ioctl(-1, QUERY, 0), -i64::from(libc::EBADF));
    }
}
