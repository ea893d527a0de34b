// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages and message buffer elements, byte for byte.
//!
//! Owns the layouts and the first two rules of accepting a response. All numbers are
//! little-endian; the types have alignment 1 and no padding, so a value has no bytes that nobody
//! wrote. Takes no locks. Used by `encode`, `decode`, the channel and the simulator.
//!
//! Source: wire protocol, sections 3, 5 and 7.

use core::mem::size_of;

use zerocopy::byteorder::little_endian::{
    I32,
    U32,
    U64, //
};
use zerocopy::{
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::context::{
    ContextWord,
    PD_NOTIFICATION, //
};
use super::encode::Message;
use super::errors::DspResult;
use super::scalars::Scalars;

/// The number of a client on its channel. It is never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ClientId(core::num::NonZeroI32);

impl ClientId {
    /// Takes a number, or gives `None` for 0.
    pub const fn new(id: i32) -> Option<Self> {
        match core::num::NonZeroI32::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0.get()
    }
}

/// On whose behalf a request is sent; it decides the client id in the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The kernel for itself: handles 1 and 2. The request carries id 0.
    Kernel,
    /// A client.
    Client(ClientId),
}

impl Sender {
    /// The id in the request.
    pub const fn id(self) -> i32 {
        match self {
            Self::Kernel => 0,
            Self::Client(client) => client.get(),
        }
    }
}

/// A request, 40 bytes, driver to DSP.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Request {
    client: I32,
    tid: I32,
    context: U64,
    handle: U32,
    scalars: U32,
    address: U64,
    size: U64,
}

const _: () = assert!(size_of::<Request>() == 40);

impl Request {
    /// Builds the request that carries a finished message.
    ///
    /// `tid` is the number of the calling thread; the DSP may keep a worker per client and tid.
    pub fn new(sender: Sender, tid: i32, word: ContextWord, handle: u32, message: Message) -> Self {
        Self {
            client: I32::new(sender.id()),
            tid: I32::new(tid),
            context: U64::new(word.pack()),
            handle: U32::new(handle),
            scalars: U32::new(message.scalars().raw()),
            address: U64::new(message.address()),
            size: U64::new(message.size()),
        }
    }

    /// Reads a request. Gives `None` unless there are exactly 40 bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read_from_bytes(bytes).ok()
    }

    /// The client id, 0 for the kernel.
    pub fn client(&self) -> i32 {
        self.client.get()
    }

    /// The thread id of the caller.
    pub fn tid(&self) -> i32 {
        self.tid.get()
    }

    /// The context word, unchecked.
    pub fn context(&self) -> u64 {
        self.context.get()
    }

    /// The remote handle.
    pub fn handle(&self) -> u32 {
        self.handle.get()
    }

    /// The scalars word.
    pub fn scalars(&self) -> Scalars {
        Scalars::new(self.scalars.get())
    }

    /// The DSP address of the message buffer.
    pub fn address(&self) -> u64 {
        self.address.get()
    }

    /// The size of the message buffer in bytes.
    pub fn size(&self) -> u64 {
        self.size.get()
    }
}

/// The basic response, 16 bytes, DSP to driver.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BasicResponse {
    context: U64,
    result: I32,
    padding: U32,
}

const _: () = assert!(size_of::<BasicResponse>() == 16);

impl BasicResponse {
    /// Builds a response, for the DSP's side.
    pub fn new(context: u64, result: i32) -> Self {
        Self {
            context: U64::new(context),
            result: I32::new(result),
            padding: U32::new(0),
        }
    }
}

/// What a response of version 2 says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseFlags {
    /// An ordinary completion.
    Normal,
    /// The answer will come soon; no completion.
    Early,
    /// A hint of when to wake up; no completion.
    EarlyWake,
    /// The completion after an early one.
    Complete,
    /// A status message; no completion.
    Status,
    /// The completion of a call that may have been polled.
    Poll,
}

impl ResponseFlags {
    const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::Normal),
            1 => Some(Self::Early),
            2 => Some(Self::EarlyWake),
            3 => Some(Self::Complete),
            4 => Some(Self::Status),
            5 => Some(Self::Poll),
            _ => None,
        }
    }

    /// Whether a response with these flags ends its call.
    pub const fn completes(self) -> bool {
        match self {
            Self::Normal | Self::Complete | Self::Poll => true,
            Self::Early | Self::EarlyWake | Self::Status => false,
        }
    }
}

/// The response of newer firmware, 24 bytes. The first 12 bytes are those of the basic one.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ResponseV2 {
    context: U64,
    result: I32,
    flags: U32,
    early_wake: U32,
    version: U32,
}

const _: () = assert!(size_of::<ResponseV2>() == 24);

impl ResponseV2 {
    /// The version number that this layout carries.
    pub const VERSION: u32 = 2;

    /// Builds a response, for the DSP's side. `version` is a parameter to build odd ones.
    pub fn new(context: u64, result: i32, flags: u32, early_wake: u32, version: u32) -> Self {
        Self {
            context: U64::new(context),
            result: I32::new(result),
            flags: U32::new(flags),
            early_wake: U32::new(early_wake),
            version: U32::new(version),
        }
    }
}

/// The notification about a process on the DSP, 24 bytes. The driver drops it.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Notification {
    marker: U64,
    kind: U32,
    client: I32,
    status: U32,
    padding: U32,
}

const _: () = assert!(size_of::<Notification>() == 24);

impl Notification {
    /// Builds a notification, for the DSP's side.
    pub fn new(client: i32, status: u32) -> Self {
        Self {
            marker: U64::new(PD_NOTIFICATION),
            kind: U32::new(4),
            client: I32::new(client),
            status: U32::new(status),
            padding: U32::new(0),
        }
    }
}

/// Why a received message is no completion of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reject {
    /// Shorter than 16 bytes. Nothing of it was read.
    Short,
    /// A notification about a process. It is dropped silently.
    Notification,
    /// Version 2 with flags that do not mean completion.
    NotCompletion(ResponseFlags),
    /// Version 2 with unknown flags, of which nobody can say that they mean completion.
    UnknownFlags(u32),
}

/// A received message that claims to complete a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// The context word as it came. Only an exact match with a live slot gives it a meaning.
    pub word: u64,
    /// The result.
    pub result: DspResult,
}

impl Response {
    /// Applies the first two acceptance rules to a received message.
    ///
    /// The length decides first, then the marker, then version and flags. Fields of version 2 are
    /// read only when length and version say that they are there; the rest of a longer message and
    /// messages of other versions are taken for the basic form, as the in-tree driver does.
    ///
    /// Nothing in the result refers to `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let Ok((basic, _)) = BasicResponse::read_from_prefix(bytes) else {
            return Err(Reject::Short);
        };
        if basic.context.get() == PD_NOTIFICATION {
            return Err(Reject::Notification);
        }
        if let Ok((v2, _)) = ResponseV2::read_from_prefix(bytes) {
            if v2.version.get() == ResponseV2::VERSION {
                match ResponseFlags::from_raw(v2.flags.get()) {
                    Some(flags) if flags.completes() => {}
                    Some(flags) => return Err(Reject::NotCompletion(flags)),
                    None => return Err(Reject::UnknownFlags(v2.flags.get())),
                }
            }
        }
        Ok(Self {
            word: basic.context.get(),
            result: DspResult::new(basic.result.get()),
        })
    }
}

/// Descriptor of a buffer argument, 16 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BufferDescriptor {
    pv: U64,
    len: U64,
}

const _: () = assert!(size_of::<BufferDescriptor>() == 16);

impl BufferDescriptor {
    /// The descriptor of an empty argument.
    pub const EMPTY: Self = Self::new(0, 0);

    /// Builds a descriptor. The DSP uses `pv` modulo the page to find the first byte.
    pub const fn new(pv: u64, len: u64) -> Self {
        Self {
            pv: U64::new(pv),
            len: U64::new(len),
        }
    }

    /// The address field.
    pub const fn pv(&self) -> u64 {
        self.pv.get()
    }

    /// The length in bytes.
    pub const fn len(&self) -> u64 {
        self.len.get()
    }

    /// Whether the argument is empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Descriptor of a handle argument, 16 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct HandleDescriptor {
    fd: I32,
    offset: U32,
    len: U32,
    zero: U32,
}

const _: () = assert!(size_of::<HandleDescriptor>() == 16);

impl HandleDescriptor {
    /// Builds a descriptor. `fd` is an opaque tag.
    pub const fn new(fd: i32, offset: u32, len: u32) -> Self {
        Self {
            fd: I32::new(fd),
            offset: U32::new(offset),
            len: U32::new(len),
            zero: U32::new(0),
        }
    }

    /// The tag.
    pub const fn fd(&self) -> i32 {
        self.fd.get()
    }

    /// Offset in the buffer, in bytes.
    pub const fn offset(&self) -> u32 {
        self.offset.get()
    }

    /// Length in bytes.
    pub const fn len(&self) -> u32 {
        self.len.get()
    }

    /// Whether the length is 0.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the reserved word is 0, as it has to be.
    pub const fn is_clean(&self) -> bool {
        self.zero.get() == 0
    }
}

/// Entry of the buffer list, 8 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BufferListEntry {
    pages: U32,
    index: U32,
}

const _: () = assert!(size_of::<BufferListEntry>() == 8);

impl BufferListEntry {
    /// Builds the entry of argument `index`.
    pub const fn new(is_empty: bool, index: u32) -> Self {
        Self {
            pages: U32::new(if is_empty { 0 } else { 1 }),
            index: U32::new(index),
        }
    }

    /// Number of page entries.
    pub const fn pages(&self) -> u32 {
        self.pages.get()
    }

    /// Index of the page entry.
    pub const fn index(&self) -> u32 {
        self.index.get()
    }
}

/// Entry of the page list, 16 bytes. One entry is one contiguous range.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PageEntry {
    address: U64,
    size: U64,
}

const _: () = assert!(size_of::<PageEntry>() == 16);

impl PageEntry {
    /// The entry of an empty argument.
    pub const EMPTY: Self = Self::new(0, 0);

    /// Builds an entry from a DSP address and a size in bytes.
    ///
    /// For a range that does not start and end at page limits use [`span`](super::addr::span).
    pub const fn new(address: u64, size: u64) -> Self {
        Self {
            address: U64::new(address),
            size: U64::new(size),
        }
    }

    /// The DSP address.
    pub const fn address(&self) -> u64 {
        self.address.get()
    }

    /// The size in bytes.
    pub const fn size(&self) -> u64 {
        self.size.get()
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
mod tests;
