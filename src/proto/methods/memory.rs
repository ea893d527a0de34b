// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Methods that give memory to a process on the DSP, and take it back.
//!
//! Owns methods 4, 5, 10 and 11 of handle 1. Takes no locks.
//!
//! Source: wire protocol, sections 11 and 14.

use core::mem::size_of;

use zerocopy::byteorder::little_endian::{
    I32,
    U32,
    U64, //
};
use zerocopy::IntoBytes as _;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::super::handles;
use super::super::scalars::Scalars;
use super::super::wire::{
    ClientId,
    PageEntry, //
};
use super::Method;

/// What the DSP does with the pages of [`Mmap`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeapFlags {
    /// Adds them to the heap of the process.
    AddPages,
    /// Adds them to the heap that the last level cache keeps.
    AddPagesLlc,
    /// Maps a static DMA buffer into the process. The pages are those of a buffer of the client.
    StaticBuffer,
}

impl HeapFlags {
    /// Takes flags from outside. `None` for all numbers that a process may not use or that have no
    /// known meaning: 4 and 8 are for the heap of a static process.
    pub const fn new(raw: u32) -> Option<Self> {
        match raw {
            0x1000 => Some(Self::AddPages),
            0x3000 => Some(Self::AddPagesLlc),
            6 => Some(Self::StaticBuffer),
            _ => None,
        }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        match self {
            Self::AddPages => 0x1000,
            Self::AddPagesLlc => 0x3000,
            Self::StaticBuffer => 6,
        }
    }

    /// Whether the kernel may provide the pages.
    pub const fn is_heap(self) -> bool {
        matches!(self, Self::AddPages | Self::AddPagesLlc)
    }
}

/// Size in bytes of an array of one page entry, as the requests state it.
const PAGE_ARRAY: i32 = 16;

const _: () = assert!(size_of::<PageEntry>() == 16);

/// The reply of [`Mmap`] and [`MemMap`], 8 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MapReply {
    /// DSP virtual address: an opaque number, good only for the matching unmap.
    pub address: U64,
}

const _: () = assert!(size_of::<MapReply>() == 8);

impl MapReply {
    /// No address: before the DSP has answered.
    pub const NONE: Self = Self {
        address: U64::new(0),
    };
}

/// The first input of [`Mmap`], 24 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MmapRequest {
    /// The client id.
    pub client: I32,
    /// The flags.
    pub flags: U32,
    /// Address hint, 0 for pages of the kernel.
    pub hint: U64,
    /// Size in bytes of the page array.
    pub page_array: I32,
    /// Zero.
    pub padding: U32,
}

const _: () = assert!(size_of::<MmapRequest>() == 24);

/// Method 4: gives pages to a process, mostly for its heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mmap {
    request: MmapRequest,
    page: PageEntry,
}

impl Mmap {
    /// Builds the call. `hint` means nothing here; it is 0 for pages of the kernel.
    pub fn new(client: ClientId, flags: HeapFlags, hint: u64, page: PageEntry) -> Self {
        Self {
            request: MmapRequest {
                client: I32::new(client.get()),
                flags: U32::new(flags.raw()),
                hint: U64::new(hint),
                page_array: I32::new(PAGE_ARRAY),
                padding: U32::new(0),
            },
            page,
        }
    }
}

impl Method for Mmap {
    const NAME: &'static str = "mmap";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 4;
    const SCALARS: Scalars = Scalars::new(0x0402_0100);
    type Reply = MapReply;

    fn input(&self, index: usize) -> Option<&[u8]> {
        match index {
            0 => Some(self.request.as_bytes()),
            1 => Some(self.page.as_bytes()),
            _ => None,
        }
    }
}

/// The input of [`Munmap`], 24 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MunmapRequest {
    /// The client id.
    pub client: I32,
    /// Zero.
    pub padding: U32,
    /// The address from the map reply.
    pub address: U64,
    /// Size in bytes.
    pub size: U64,
}

const _: () = assert!(size_of::<MunmapRequest>() == 24);

/// Method 5: takes pages back that [`Mmap`] gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Munmap(MunmapRequest);

impl Munmap {
    /// Builds the call from the map reply and the size in bytes.
    pub fn new(client: ClientId, mapped: MapReply, size: u64) -> Self {
        Self(MunmapRequest {
            client: I32::new(client.get()),
            padding: U32::new(0),
            address: mapped.address,
            size: U64::new(size),
        })
    }
}

impl Method for Munmap {
    const NAME: &'static str = "munmap";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 5;
    const SCALARS: Scalars = Scalars::new(0x0501_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        (index == 0).then(|| self.0.as_bytes())
    }
}

/// How the DSP maps a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapFlags {
    /// At once; later calls see it at the same DSP address.
    Static,
    /// At once; code on the DSP finds it by its fd.
    Fd,
    /// When code on the DSP asks for it by its fd.
    FdDelayed,
    /// As `FdDelayed`, without a mapping on the CPU side.
    FdNoCpuMapping,
}

impl MapFlags {
    /// Takes flags from outside. `None` for all numbers without a known meaning.
    pub const fn new(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::Static),
            2 => Some(Self::Fd),
            3 => Some(Self::FdDelayed),
            16 => Some(Self::FdNoCpuMapping),
            _ => None,
        }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        match self {
            Self::Static => 0,
            Self::Fd => 2,
            Self::FdDelayed => 3,
            Self::FdNoCpuMapping => 16,
        }
    }
}

/// The first input of [`MemMap`], 32 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MemMapRequest {
    /// The client id.
    pub client: I32,
    /// The caller's tag.
    pub fd: I32,
    /// Offset in the buffer, in bytes.
    pub offset: I32,
    /// The flags.
    pub flags: U32,
    /// Address hint: the caller's address.
    pub hint: U64,
    /// Size in bytes of the page array.
    pub page_array: I32,
    /// Zero.
    pub data_len: I32,
}

const _: () = assert!(size_of::<MemMapRequest>() == 32);

/// Method 10: maps a buffer of the client into its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemMap {
    request: MemMapRequest,
    page: PageEntry,
}

impl MemMap {
    /// Builds the call. `fd` and `hint` are the caller's values and mean nothing here.
    pub fn new(
        client: ClientId,
        fd: i32,
        offset: i32,
        flags: MapFlags,
        hint: u64,
        page: PageEntry,
    ) -> Self {
        Self {
            request: MemMapRequest {
                client: I32::new(client.get()),
                fd: I32::new(fd),
                offset: I32::new(offset),
                flags: U32::new(flags.raw()),
                hint: U64::new(hint),
                page_array: I32::new(PAGE_ARRAY),
                data_len: I32::new(0),
            },
            page,
        }
    }
}

impl Method for MemMap {
    const NAME: &'static str = "mem_map";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 10;
    const SCALARS: Scalars = Scalars::new(0x0a03_0100);
    type Reply = MapReply;

    fn input(&self, index: usize) -> Option<&[u8]> {
        match index {
            0 => Some(self.request.as_bytes()),
            1 => Some(self.page.as_bytes()),
            2 => Some(&[]),
            _ => None,
        }
    }
}

/// The input of [`MemUnmap`], 24 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MemUnmapRequest {
    /// The client id.
    pub client: I32,
    /// The caller's tag.
    pub fd: I32,
    /// The address from the map reply.
    pub address: U64,
    /// Length in bytes.
    pub len: U64,
}

const _: () = assert!(size_of::<MemUnmapRequest>() == 24);

/// Method 11: undoes [`MemMap`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemUnmap(MemUnmapRequest);

impl MemUnmap {
    /// Builds the call from the map reply, the caller's tag and the length in bytes.
    pub fn new(client: ClientId, fd: i32, mapped: MapReply, len: u64) -> Self {
        Self(MemUnmapRequest {
            client: I32::new(client.get()),
            fd: I32::new(fd),
            address: mapped.address,
            len: U64::new(len),
        })
    }
}

impl Method for MemUnmap {
    const NAME: &'static str = "mem_unmap";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 11;
    const SCALARS: Scalars = Scalars::new(0x0b01_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        (index == 0).then(|| self.0.as_bytes())
    }
}
