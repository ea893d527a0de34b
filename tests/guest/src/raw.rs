// SPDX-License-Identifier: GPL-2.0
//! The ioctl interface as bytes and numbers, for tests that must be able to send wrong ones.
//!
//! The numbers are written down here a second time on purpose: they come from the description of
//! the QDA v1 ABI (sections 2, 3, 7 and 8) and not from the header of this tree, so that a
//! change of the header that breaks existing programs does not pass unnoticed. Those of
//! [`CALL`] come from the description of version 1.1.

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
/// Make a buffer; 16 bytes.
pub const GEM_CREATE: u32 = 0xC010_6441;
/// Ask where a buffer is mapped on the node; 16 bytes.
pub const GEM_MMAP_OFFSET: u32 = 0xC010_6442;

/// DRM core: drop a handle; 8 bytes.
pub const GEM_CLOSE: u32 = 0x4008_6409;
/// DRM core: a dma-buf of a handle; 12 bytes.
pub const PRIME_HANDLE_TO_FD: u32 = 0xC00C_642D;
/// DRM core: a handle of a dma-buf; 12 bytes.
pub const PRIME_FD_TO_HANDLE: u32 = 0xC00C_642E;
/// DRM core, drivers with simple frame buffers (vgem): make one; 32 bytes.
pub const CREATE_DUMB: u32 = 0xC020_64B2;
/// DRM core, as above: where to map it; 16 bytes.
pub const MAP_DUMB: u32 = 0xC010_64B3;
/// dma-buf: the CPU begins or ends an access; 8 bytes.
pub const DMA_BUF_SYNC: u32 = 0x4008_6200;
/// `/dev/udmabuf`: a dma-buf of a piece of a memfd; 24 bytes.
pub const UDMABUF_CREATE: u32 = 0x4018_7542;
/// `/dev/udmabuf`: a dma-buf of many pieces; 8 bytes and a list behind them.
pub const UDMABUF_CREATE_LIST: u32 = 0x4008_7543;
/// `/dev/dma_heap/*`: a new dma-buf; 24 bytes.
pub const DMA_HEAP_ALLOC: u32 = 0xC018_4800;

/// Flags of [`DMA_BUF_SYNC`].
pub const SYNC_READ: u64 = 1;
pub const SYNC_WRITE: u64 = 2;
pub const SYNC_START: u64 = 0;
pub const SYNC_END: u64 = 4;

/// Map a buffer, or fresh pages, into the process on the DSP; 48 bytes.
pub const REMOTE_MAP: u32 = 0xC030_6445;
/// Take such a mapping away; 32 bytes.
pub const REMOTE_MUNMAP: u32 = 0xC020_6446;
/// Call a method with explicit argument kinds; 40 bytes.
pub const CALL: u32 = 0xC028_6448;

/// `request` of [`Map`] and [`Unmap`]: wire methods 4 and 5.
pub const LEGACY: u32 = 1;
/// `request` of [`Map`] and [`Unmap`]: wire methods 10 and 11.
pub const ATTR: u32 = 2;

/// [`Arg::kind`]: copied bytes of the caller.
pub const ARG_INLINE: u32 = 0;
/// [`Arg::kind`]: a range of a buffer.
pub const ARG_BUFFER: u32 = 1;
/// [`Arg::kind`]: a buffer in handle position.
pub const ARG_HANDLE: u32 = 2;
/// [`Arg::direction`]: the DSP reads.
pub const ARG_IN: u32 = 0;
/// [`Arg::direction`]: the DSP writes.
pub const ARG_OUT: u32 = 1;

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

/// Argument of [`GEM_CREATE`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct GemCreate {
    pub size: u64,
    pub handle: u32,
    pub pad: u32,
}

/// Argument of [`GEM_MMAP_OFFSET`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct GemMmapOffset {
    pub offset: u64,
    pub handle: u32,
    pub pad: u32,
}

/// Argument of [`GEM_CLOSE`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct GemClose {
    pub handle: u32,
    pub pad: u32,
}

/// Argument of [`PRIME_HANDLE_TO_FD`] and [`PRIME_FD_TO_HANDLE`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Prime {
    pub handle: u32,
    pub flags: u32,
    pub fd: i32,
}

/// Argument of [`CREATE_DUMB`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct CreateDumb {
    pub height: u32,
    pub width: u32,
    pub bpp: u32,
    pub flags: u32,
    pub handle: u32,
    pub pitch: u32,
    pub size: u64,
}

/// Argument of [`MAP_DUMB`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct MapDumb {
    pub handle: u32,
    pub pad: u32,
    pub offset: u64,
}

/// Argument of [`UDMABUF_CREATE`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct UdmabufCreate {
    pub memfd: u32,
    pub flags: u32,
    pub offset: u64,
    pub size: u64,
}

/// Argument of [`DMA_HEAP_ALLOC`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct HeapAlloc {
    pub len: u64,
    pub fd: u32,
    pub fd_flags: u32,
    pub heap_flags: u64,
}

impl Elem {
    /// A range of a dma-buf, named by the address where the caller has it mapped. In handle
    /// position `ptr` is the offset in the buffer.
    pub fn buffer(ptr: u64, length: u64, fd: RawFd) -> Self {
        Elem {
            ptr,
            length,
            fd,
            attr: 0,
        }
    }

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

/// Argument of [`REMOTE_MAP`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Map {
    pub request: u32,
    pub flags: u32,
    pub fd: i32,
    pub attrs: u32,
    pub offset: u32,
    pub pad: u32,
    pub vaddrin: u64,
    pub size: u64,
    pub vaddrout: u64,
}

/// Argument of [`REMOTE_MUNMAP`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Unmap {
    pub request: u32,
    pub fd: i32,
    pub vaddr: u64,
    pub vaddrout: u64,
    pub size: u64,
}

/// Argument of [`CALL`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Call {
    pub args: u64,
    pub deadline_ns: u64,
    pub handle: u32,
    pub method: u32,
    pub arg_count: u32,
    pub arg_stride: u32,
    pub flags: u32,
    pub result: u32,
}

/// One element of the array that [`Call::args`] points to.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Arg {
    pub address: u64,
    pub offset: u64,
    pub length: u64,
    pub kind: u32,
    pub direction: u32,
    pub handle: u32,
    pub tag: i32,
    pub flags: u32,
    pub pad: u32,
}

const _: () = {
    assert!(size_of::<Query>() == 16);
    assert!(size_of::<Map>() == 48);
    assert!(size_of::<Unmap>() == 32);
    assert!(size_of::<Call>() == 40);
    assert!(size_of::<Arg>() == 48);
    assert!(size_of::<Create>() == 24);
    assert!(size_of::<Invoke>() == 16);
    assert!(size_of::<Elem>() == 24);
    assert!(size_of::<GemCreate>() == 16);
    assert!(size_of::<GemMmapOffset>() == 16);
    assert!(size_of::<GemClose>() == 8);
    assert!(size_of::<Prime>() == 12);
    assert!(size_of::<CreateDumb>() == 32);
    assert!(size_of::<MapDumb>() == 16);
    assert!(size_of::<UdmabufCreate>() == 24);
    assert!(size_of::<HeapAlloc>() == 24);
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
        Ok(libc::EDQUOT) => "EDQUOT",
        Ok(libc::ENOSYS) => "ENOSYS",
        Ok(libc::EOPNOTSUPP) => "EOPNOTSUPP",
        Ok(libc::ENOTCONN) => "ENOTCONN",
        Ok(libc::ETIMEDOUT) => "ETIMEDOUT",
        Ok(libc::ECONNREFUSED) => "ECONNREFUSED",
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
        assert_eq!(code(3, b'd', 0x45, 48), REMOTE_MAP);
        assert_eq!(code(3, b'd', 0x46, 32), REMOTE_MUNMAP);
        assert_eq!(code(3, b'd', 0x47, 16), INVOKE);
        assert_eq!(code(3, b'd', 0x48, 40), CALL);
        assert_eq!(resized(INVOKE, 24), 0xC018_6447);
        assert_eq!(code(3, b'd', 0x41, 16), GEM_CREATE);
        assert_eq!(code(3, b'd', 0x42, 16), GEM_MMAP_OFFSET);
        assert_eq!(code(1, b'd', 0x09, 8), GEM_CLOSE);
        assert_eq!(code(3, b'd', 0x2d, 12), PRIME_HANDLE_TO_FD);
        assert_eq!(code(3, b'd', 0x2e, 12), PRIME_FD_TO_HANDLE);
        assert_eq!(code(3, b'd', 0xb2, 32), CREATE_DUMB);
        assert_eq!(code(3, b'd', 0xb3, 16), MAP_DUMB);
        assert_eq!(code(1, b'b', 0, 8), DMA_BUF_SYNC);
        assert_eq!(code(1, b'u', 0x42, 24), UDMABUF_CREATE);
        assert_eq!(code(3, b'H', 0, 24), DMA_HEAP_ALLOC);
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
