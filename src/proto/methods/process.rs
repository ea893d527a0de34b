// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Methods that create processes on the DSP.
//!
//! Owns methods 6, 7 and 8 of handle 1. Takes no locks.
//!
//! Source: wire protocol, sections 11 and 13.

use core::mem::size_of;

use zerocopy::byteorder::little_endian::{
    I32,
    U32, //
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
use super::super::layout::Arg;
use super::super::scalars::Scalars;
use super::super::wire::{
    ClientId,
    PageEntry, //
};
use super::attrs::ProcessAttrs;
use super::name::{
    StaticName,
    TaskName, //
};
use super::Method;

/// The first input of [`Create`] and [`CreateAttr`], 24 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CreateRequest {
    /// The client id.
    pub client: I32,
    /// Length of the name in bytes, with NUL.
    pub name_len: U32,
    /// Length of the shell in bytes; may be 0.
    pub shell_len: U32,
    /// Number of page entries, 1.
    pub pages: U32,
    /// The process attributes.
    pub attrs: U32,
    /// Length of the signature in bytes.
    pub signature_len: U32,
}

const _: () = assert!(size_of::<CreateRequest>() == 24);

/// What a dynamic process is created from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CreateArgs {
    request: CreateRequest,
    name: TaskName,
    shell: Arg,
    memory: PageEntry,
    attrs: ProcessAttrs,
}

impl CreateArgs {
    /// Collects the arguments.
    ///
    /// * `shell`: a buffer argument; its bytes are not part of this value.
    /// * `signature_len`: length of the signature at the end of the shell, in bytes.
    /// * `memory`: the first memory of the process, which belongs to it until release is answered.
    ///
    /// Gives `None` if the shell is a handle, has a length above 32 bits, or is shorter than its
    /// signature.
    pub fn new(
        client: ClientId,
        name: TaskName,
        shell: Arg,
        signature_len: u32,
        attrs: ProcessAttrs,
        memory: PageEntry,
    ) -> Option<Self> {
        let shell_len = match shell {
            Arg::Handle { .. } => return None,
            _ => u32::try_from(shell.len()).ok()?,
        };
        if signature_len > shell_len {
            return None;
        }
        Some(Self {
            request: CreateRequest {
                client: I32::new(client.get()),
                name_len: U32::new(name.wire_len()),
                shell_len: U32::new(shell_len),
                pages: U32::new(1),
                attrs: U32::new(attrs.raw()),
                signature_len: U32::new(signature_len),
            },
            name,
            shell,
            memory,
            attrs,
        })
    }

    /// The call for these arguments: the attributes choose the method.
    pub fn call(self) -> CreateCall {
        match self.attrs.is_empty() {
            true => CreateCall::Plain(Create(self)),
            false => CreateCall::Attr(CreateAttr(self)),
        }
    }

    fn input(&self, index: usize) -> Option<&[u8]> {
        match index {
            0 => Some(self.request.as_bytes()),
            1 => Some(self.name.as_bytes_with_nul()),
            3 => Some(self.memory.as_bytes()),
            // The bytes of the shell are not here.
            _ => None,
        }
    }

    fn arg(&self, index: usize) -> Option<Arg> {
        match index {
            SHELL => Some(self.shell),
            _ => Some(Arg::inline(u64::try_from(self.input(index)?.len()).ok()?)),
        }
    }
}

/// Index of the shell among the arguments of [`Create`] and [`CreateAttr`].
pub const SHELL: usize = 2;

/// One of the two methods that create a dynamic process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateCall {
    /// Without attributes.
    Plain(Create),
    /// With attributes.
    Attr(CreateAttr),
}

/// Method 6: creates a process without attributes. Made by [`CreateArgs::call`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Create(CreateArgs);

impl Method for Create {
    const NAME: &'static str = "create";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 6;
    const SCALARS: Scalars = Scalars::new(0x0604_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        self.0.input(index)
    }

    fn arg(&self, index: usize) -> Option<Arg> {
        self.0.arg(index)
    }
}

/// Method 7: creates a process with attributes. Made by [`CreateArgs::call`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CreateAttr(CreateArgs);

impl Method for CreateAttr {
    const NAME: &'static str = "create_attr";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 7;
    const SCALARS: Scalars = Scalars::new(0x0704_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        self.0.input(index)
    }

    fn arg(&self, index: usize) -> Option<Arg> {
        self.0.arg(index)
    }
}

/// The first input of [`CreateStatic`], 12 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct StaticRequest {
    /// The client id.
    pub client: I32,
    /// Length of the name in bytes, with NUL.
    pub name_len: U32,
    /// Number of page entries: 1 with the heap, else 0.
    pub pages: U32,
}

const _: () = assert!(size_of::<StaticRequest>() == 12);

/// Method 8: the client joins a static process, for example "audiopd".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CreateStatic {
    request: StaticRequest,
    name: StaticName,
    heap: PageEntry,
}

impl CreateStatic {
    /// Builds the call. `heap` (a physical range) goes only with the first call of a channel.
    pub fn new(client: ClientId, name: StaticName, heap: Option<PageEntry>) -> Self {
        Self {
            request: StaticRequest {
                client: I32::new(client.get()),
                name_len: U32::new(name.wire_len()),
                pages: U32::new(u32::from(heap.is_some())),
            },
            name,
            heap: heap.unwrap_or(PageEntry::EMPTY),
        }
    }
}

impl Method for CreateStatic {
    const NAME: &'static str = "create_static";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 8;
    const SCALARS: Scalars = Scalars::new(0x0803_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        match index {
            0 => Some(self.request.as_bytes()),
            1 => Some(self.name.as_bytes_with_nul()),
            2 => Some(self.heap.as_bytes()),
            _ => None,
        }
    }
}
