// SPDX-License-Identifier: GPL-2.0
//! A minimal client of `/dev/fastrpc-*`, the interface of the stock driver.
//!
//! Numbers and layouts come from the description of that interface (sections 2 and 3). The
//! argument structures of create and invoke are the same as on the accel node.

use std::os::fd::{
    FromRawFd,
    OwnedFd,
    RawFd, //
};
use std::path::Path;

use crate::dsp::{
    self,
    File, //
};
use crate::harness::Fail;
use crate::raw::{
    self,
    Create, //
};

/// Call a method; 16 bytes.
pub const INVOKE: u32 = 0xC010_5203;
/// Create a process; 24 bytes.
pub const INIT_CREATE: u32 = 0xC018_5205;

/// Allocate a dma-buf; 16 bytes.
pub const ALLOC_DMA_BUFF: u32 = 0xC010_5201;
/// Give the DSP pages of the kernel; 32 bytes.
pub const MMAP: u32 = 0xC020_5206;
/// Take them back; 16 bytes.
pub const MUNMAP: u32 = 0xC010_5207;
/// Map a dma-buf on the DSP; 64 bytes.
pub const MEM_MAP: u32 = 0xC040_520A;
/// Unmap it; 48 bytes.
pub const MEM_UNMAP: u32 = 0xC030_520B;

/// Argument of [`ALLOC_DMA_BUFF`].
#[repr(C)]
#[derive(Default)]
struct Alloc {
    fd: i32,
    flags: u32,
    size: u64,
}

/// Argument of [`MMAP`].
#[repr(C)]
#[derive(Default)]
struct Map {
    fd: i32,
    flags: u32,
    vaddrin: u64,
    size: u64,
    vaddrout: u64,
}

/// Argument of [`MUNMAP`].
#[repr(C)]
#[derive(Default)]
struct Unmap {
    vaddrout: u64,
    size: u64,
}

/// Argument of [`MEM_MAP`].
#[repr(C)]
#[derive(Default)]
struct MemMap {
    version: i32,
    fd: i32,
    offset: i32,
    flags: u32,
    vaddrin: u64,
    length: u64,
    vaddrout: u64,
    attrs: i32,
    reserved: [i32; 4],
}

/// Argument of [`MEM_UNMAP`].
#[repr(C)]
#[derive(Default)]
struct MemUnmap {
    version: i32,
    fd: i32,
    vaddr: u64,
    length: u64,
    reserved: [i32; 5],
}

impl File {
    /// A dma-buf that the stock driver makes.
    pub fn stock_dma_buf(&self, size: usize) -> Result<OwnedFd, Fail> {
        let mut alloc = Alloc {
            size: size as u64,
            ..Alloc::default()
        };
        match raw::ioctl(self.raw(), ALLOC_DMA_BUFF, &raw mut alloc as u64) {
            // SAFETY: The number is fresh and belongs to nobody else.
            0 => Ok(unsafe { OwnedFd::from_raw_fd(alloc.fd) }),
            value => Err(format!("dma-buf of {size} bytes gave {}", raw::show(value)).into()),
        }
    }

    /// Gives the DSP pages for its heap; the address that it answered.
    pub fn stock_mmap(&self, flags: u32, size: u64) -> Result<u64, i64> {
        let mut map = Map {
            fd: -1,
            flags,
            size,
            ..Map::default()
        };
        match raw::ioctl(self.raw(), MMAP, &raw mut map as u64) {
            0 => Ok(map.vaddrout),
            value => Err(value),
        }
    }

    /// Takes pages back; the value of the ioctl.
    pub fn stock_munmap(&self, vaddrout: u64, size: u64) -> i64 {
        let unmap = Unmap { vaddrout, size };
        raw::ioctl(self.raw(), MUNMAP, &raw const unmap as u64)
    }

    /// Maps a dma-buf on the DSP; the address that it answered.
    pub fn stock_mem_map(&self, fd: RawFd, flags: u32, length: u64) -> Result<u64, i64> {
        let mut map = MemMap {
            fd,
            flags,
            length,
            ..MemMap::default()
        };
        match raw::ioctl(self.raw(), MEM_MAP, &raw mut map as u64) {
            0 => Ok(map.vaddrout),
            value => Err(value),
        }
    }

    /// Unmaps a dma-buf; the value of the ioctl.
    pub fn stock_mem_unmap(&self, fd: RawFd, vaddr: u64, length: u64) -> i64 {
        let unmap = MemUnmap {
            fd,
            vaddr,
            length,
            ..MemUnmap::default()
        };
        raw::ioctl(self.raw(), MEM_UNMAP, &raw const unmap as u64)
    }
}

/// Opens a node of the stock driver, without a process.
pub fn open(node: &str) -> Result<File, Fail> {
    match dsp::open_path(Path::new(node)) {
        Ok(fd) => Ok(File::speaking(fd, INVOKE)),
        Err(errno) => Err(format!("{node}: open gave errno {errno}").into()),
    }
}

/// Opens a node and creates an unsigned process without shell.
pub fn with_process(node: &str) -> Result<File, Fail> {
    let file = open(node)?;
    let create = Create {
        filefd: -1,
        attrs: dsp::UNSIGNED,
        ..Create::default()
    };
    match raw::ioctl(file.raw(), INIT_CREATE, &raw const create as u64) {
        0 => Ok(file),
        value => Err(format!("{node}: create gave {}", raw::show(value)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::size_of;

    #[test]
    fn codes_match_the_structures() {
        assert_eq!(raw::code(3, b'R', 3, 16), INVOKE);
        assert_eq!(raw::code(3, b'R', 5, 24), INIT_CREATE);
        let size = |bytes: usize| u32::try_from(bytes).unwrap();
        let code = |number, bytes| raw::code(3, b'R', number, size(bytes));
        assert_eq!(code(1, size_of::<Alloc>()), ALLOC_DMA_BUFF);
        assert_eq!(code(6, size_of::<Map>()), MMAP);
        assert_eq!(code(7, size_of::<Unmap>()), MUNMAP);
        assert_eq!(code(10, size_of::<MemMap>()), MEM_MAP);
        assert_eq!(code(11, size_of::<MemUnmap>()), MEM_UNMAP);
    }
}
