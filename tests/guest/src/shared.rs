// SPDX-License-Identifier: GPL-2.0
//! dma-bufs of several makers under one roof, each mapped whole through its descriptor.

use std::os::fd::{
    AsRawFd,
    FromRawFd,
    OwnedFd,
    RawFd, //
};
use std::path::Path;

use crate::buffer::Area;
use crate::dsp::{
    self,
    File, //
};
use crate::exporters::{
    self,
    Vgem, //
};
use crate::harness::Fail;
use crate::mem::PAGE;
use crate::raw;

/// Who made a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// An object of our own node.
    Own,
    /// A memfd through `/dev/udmabuf`.
    Udmabuf,
    /// The same, with its pages in reverse order, so that no two neighbours are neighbours.
    Scattered,
    /// An object of the driver vgem.
    Vgem,
}

pub const MAKERS: [Maker; 4] = [
    Maker::Own,
    Maker::Udmabuf,
    Maker::Scattered,
    Maker::Vgem, //
];

/// A dma-buf with its area in this process.
#[derive(Debug)]
pub struct Shared {
    pub fd: OwnedFd,
    pub map: Area,
    pub size: usize,
    /// Handle on the node of the file that made it; 0 if it is not an object of ours.
    pub handle: u32,
}

impl Shared {
    /// Makes a buffer; `size` is a multiple of the page.
    pub fn new(maker: Maker, file: &File, size: usize) -> Result<Self, Fail> {
        match maker {
            Maker::Own => Self::own(file, size),
            Maker::Udmabuf => Self::around(exporters::udmabuf(size)?.0, size),
            Maker::Scattered => Self::around(scattered(size)?, size),
            Maker::Vgem => Self::around(Vgem::open()?.dma_buf(size)?.1, size),
        }
    }

    /// A new object of the node, exported.
    pub fn own(file: &File, size: usize) -> Result<Self, Fail> {
        let handle = file.buffer(size)?;
        let mut made = Self::around(file.export(handle)?, size)?;
        made.handle = handle;
        Ok(made)
    }

    /// Takes over a descriptor and maps it.
    pub fn around(fd: OwnedFd, size: usize) -> Result<Self, Fail> {
        Ok(Shared {
            map: Area::shared(fd.as_raw_fd(), size, 0)?,
            fd,
            size,
            handle: 0,
        })
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Address of a byte in this process.
    pub fn at(&self, offset: usize) -> u64 {
        self.map.address() + offset as u64
    }

    /// Fills the whole buffer with a pattern and gives it.
    pub fn fill(&self, seed: u32) -> Vec<u8> {
        let data = dsp::pattern(self.size, seed);
        self.map.write(0, &data);
        data
    }

    /// Compares a range with bytes.
    pub fn holds(&self, offset: usize, data: &[u8]) -> Result<(), Fail> {
        dsp::same(data, &self.map.read(offset, data.len()))
    }
}

/// A dma-buf around the pages of a memfd in reverse order.
fn scattered(size: usize) -> Result<OwnedFd, Fail> {
    /// The most entries that udmabuf takes.
    const LIMIT: usize = 1024;
    let memfd = exporters::memfd(size)?;
    let device = dsp::open_path(Path::new("/dev/udmabuf"))
        .map_err(|errno| Fail::Skip(format!("no /dev/udmabuf (errno {errno})")))?;
    let pages = size / PAGE;
    let step = pages.div_ceil(LIMIT);
    let mut list: Vec<u64> = Vec::new();
    let mut end = pages;
    while end > 0 {
        let first = end.saturating_sub(step);
        // An entry: descriptor and padding, offset, size.
        list.extend([
            memfd.as_raw_fd() as u64,
            (first * PAGE) as u64,
            ((end - first) * PAGE) as u64,
        ]);
        end = first;
    }
    let count = (list.len() / 3) as u64;
    // The head: flags (close on exec), count.
    list.insert(0, 1 | (count << 32));
    let value = raw::ioctl(
        device.as_raw_fd(),
        raw::UDMABUF_CREATE_LIST,
        list.as_ptr() as u64,
    );
    match i32::try_from(value) {
        // SAFETY: The number is fresh and belongs to nobody else.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(format!("udmabuf of {count} pieces gave {}", raw::show(value)).into()),
    }
}
