// SPDX-License-Identifier: GPL-2.0
//! dma-bufs that are not ours: udmabuf, vgem, the system heap; and the kernel's list of dma-bufs.

use std::fs;
use std::os::fd::{
    AsRawFd,
    FromRawFd,
    OwnedFd,
    RawFd, //
};
use std::path::{
    Path,
    PathBuf, //
};

use crate::buffer::{
    self,
    Area, //
};
use crate::dsp;
use crate::harness::Fail;
use crate::raw::{
    self,
    CreateDumb,
    HeapAlloc,
    MapDumb,
    UdmabufCreate, //
};

const UDMABUF: &str = "/dev/udmabuf";
const HEAP: &str = "/dev/dma_heap/system";
const LIST: &str = "/sys/kernel/debug/dma_buf/bufinfo";

/// A memfd of `size` bytes that can be neither shrunk nor grown.
pub fn memfd(size: usize) -> Result<OwnedFd, Fail> {
    // SAFETY: The name is NUL-terminated.
    let fd = unsafe {
        libc::memfd_create(
            c"qda-test".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        )
    };
    if fd < 0 {
        return Err(format!("memfd_create: errno {}", raw::errno()).into());
    }
    // SAFETY: The number is fresh and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: Takes numbers only.
    let done = unsafe {
        libc::ftruncate(fd.as_raw_fd(), size as libc::off_t) == 0
            && libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) == 0
    };
    if done {
        Ok(fd)
    } else {
        Err(format!("memfd of {size} bytes: errno {}", raw::errno()).into())
    }
}

/// A dma-buf of a memfd: scattered single pages; and the memfd behind it.
pub fn udmabuf(size: usize) -> Result<(OwnedFd, OwnedFd), Fail> {
    let device = dsp::open_path(Path::new(UDMABUF))
        .map_err(|errno| Fail::Skip(format!("no {UDMABUF} (errno {errno})")))?;
    let memfd = memfd(size)?;
    let create = UdmabufCreate {
        memfd: memfd.as_raw_fd() as u32,
        flags: 1,
        offset: 0,
        size: size as u64,
    };
    let value = raw::ioctl(
        device.as_raw_fd(),
        raw::UDMABUF_CREATE,
        &raw const create as u64,
    );
    match i32::try_from(value) {
        // SAFETY: The number is fresh and belongs to nobody else.
        Ok(fd) if fd >= 0 => Ok((unsafe { OwnedFd::from_raw_fd(fd) }, memfd)),
        _ => Err(format!("udmabuf of {size} bytes gave {}", raw::show(value)).into()),
    }
}

/// A dma-buf of the system heap.
pub fn heap(size: usize) -> Result<OwnedFd, Fail> {
    let device = dsp::open_path(Path::new(HEAP))
        .map_err(|errno| Fail::Skip(format!("no {HEAP} (errno {errno})")))?;
    let mut alloc = HeapAlloc {
        len: size as u64,
        fd_flags: (libc::O_RDWR | libc::O_CLOEXEC) as u32,
        ..HeapAlloc::default()
    };
    match raw::ioctl(
        device.as_raw_fd(),
        raw::DMA_HEAP_ALLOC,
        &raw mut alloc as u64,
    ) {
        // SAFETY: The number is fresh and belongs to nobody else.
        0 => Ok(unsafe { OwnedFd::from_raw_fd(alloc.fd as RawFd) }),
        value => Err(format!("heap buffer of {size} bytes gave {}", raw::show(value)).into()),
    }
}

/// An open file of vgem, a DRM driver that can attach to any dma-buf.
pub struct Vgem {
    fd: OwnedFd,
}

impl Vgem {
    /// Opens the node of vgem, which the script of the suite has loaded.
    pub fn open() -> Result<Self, Fail> {
        let mut nodes: Vec<PathBuf> = fs::read_dir("/dev/dri")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains("card"))
            .collect();
        nodes.sort();
        nodes
            .iter()
            .find_map(|path| dsp::open_path(path).ok())
            .map(|fd| Vgem { fd })
            .ok_or_else(|| Fail::Skip("vgem has no node".to_string()))
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Makes a buffer of whole pages; its handle.
    pub fn create(&self, size: usize) -> Result<u32, Fail> {
        let mut dumb = CreateDumb {
            height: (size / 4096) as u32,
            width: 1024,
            bpp: 32,
            ..CreateDumb::default()
        };
        match raw::ioctl(self.raw(), raw::CREATE_DUMB, &raw mut dumb as u64) {
            0 if dumb.size == size as u64 => Ok(dumb.handle),
            0 => Err(format!("vgem made {} bytes instead of {size}", dumb.size).into()),
            value => Err(format!("vgem buffer of {size} bytes gave {}", raw::show(value)).into()),
        }
    }

    /// Maps a buffer of vgem's own.
    pub fn map(&self, handle: u32, size: usize) -> Result<Area, Fail> {
        let mut ask = MapDumb {
            handle,
            ..MapDumb::default()
        };
        match raw::ioctl(self.raw(), raw::MAP_DUMB, &raw mut ask as u64) {
            0 => Area::shared(self.raw(), size, ask.offset),
            value => Err(format!("vgem's mmap offset gave {}", raw::show(value)).into()),
        }
    }

    /// A dma-buf of vgem's own.
    pub fn dma_buf(&self, size: usize) -> Result<(u32, OwnedFd), Fail> {
        let handle = self.create(size)?;
        let fd = buffer::good(buffer::export(self.raw(), handle), "vgem's export")?;
        Ok((handle, fd))
    }
}

/// Tells a dma-buf that the CPU begins or ends an access; the value of the ioctl.
pub fn sync(fd: RawFd, flags: u64) -> i64 {
    raw::ioctl(fd, raw::DMA_BUF_SYNC, &raw const flags as u64)
}

/// One dma-buf of the kernel's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub size: u64,
    pub exporter: String,
    pub inode: u64,
    /// Names of the devices that are attached.
    pub devices: Vec<String>,
}

/// All dma-bufs of the system.
pub fn list() -> Result<Vec<Listed>, Fail> {
    let text = fs::read_to_string(LIST).map_err(|error| Fail::Skip(format!("{LIST}: {error}")))?;
    Ok(parse_list(&text))
}

/// How many dma-bufs there are.
pub fn count() -> Result<usize, Fail> {
    Ok(list()?.len())
}

/// The entry of one dma-buf.
pub fn listed(fd: RawFd) -> Result<Listed, Fail> {
    let inode = buffer::inode(fd)?;
    list()?
        .into_iter()
        .find(|entry| entry.inode == inode)
        .ok_or_else(|| format!("no dma-buf {inode} in {LIST}").into())
}

/// Entries begin with a line of six or more words; attached devices follow, one a line.
fn parse_list(text: &str) -> Vec<Listed> {
    let mut found: Vec<Listed> = Vec::new();
    let mut in_devices = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with("Total ") || words.is_empty() {
            in_devices = false;
        } else if line.trim() == "Attached Devices:" {
            in_devices = true;
        } else if in_devices {
            if let Some(last) = found.last_mut() {
                last.devices.push(line.trim().to_string());
            }
        } else if let [size, _, _, _, exporter, inode, ..] = words.as_slice() {
            if let (Ok(size), Ok(inode)) = (size.parse(), inode.parse()) {
                found.push(Listed {
                    size,
                    exporter: (*exporter).to_string(),
                    inode,
                    devices: Vec::new(),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_parsed() {
        let text = "\nDma-buf Objects:\n\
            size    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n\
            00004096\t00000002\t00080007\t00000002\tqda\t00000017\t<none>\n\
            \tAttached Devices:\n\tcdsp-1\n\tvgem\nTotal 2 devices attached\n\n\
            00008192\t00000002\t00080007\t00000001\tudmabuf\t00000018\t<none>\n\
            \tAttached Devices:\nTotal 0 devices attached\n\n\n\
            Total 2 objects, 12288 bytes\n";
        let list = parse_list(text);
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].size, 4096);
        assert_eq!(list[0].inode, 17);
        assert_eq!(list[0].devices, ["cdsp-1", "vgem"]);
        assert_eq!(list[1].exporter, "udmabuf");
        assert!(list[1].devices.is_empty());
    }
}
