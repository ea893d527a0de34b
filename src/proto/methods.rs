// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The calls that the kernel makes for itself.
//!
//! Owns one type per method: handle, number, scalars, arguments and the type of the reply belong
//! together and are written down once. A value of such a type is a call that is ready to be laid
//! out; the engine treats all of them alike:
//!
//! * it places and encodes `arg(0)`, `arg(1)` and so on up to the number of arguments,
//! * it copies `input(i)` to the area of each inline input,
//! * it copies the reply, whose size the kernel knows, from the area of the output.
//!
//! Takes no locks.
//!
//! Source: wire protocol, sections 11 and 12.

use core::mem::size_of;

use zerocopy::byteorder::little_endian::{
    I32,
    U32, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::handles;
use super::layout::Arg;
use super::scalars::{
    ArgClass,
    Scalars, //
};
use super::wire::ClientId;

pub mod attrs;
pub mod memory;
pub mod name;
pub mod process;

/// A call of the kernel.
pub trait Method {
    /// Name for messages.
    const NAME: &'static str;
    /// The handle that is called.
    const HANDLE: u32;
    /// The method number.
    const NUMBER: u8;
    /// The scalars word.
    const SCALARS: Scalars;
    /// The content of the only output, or `()` without one.
    type Reply: FromBytes + IntoBytes + Immutable + KnownLayout;

    /// The bytes of input `index`.
    ///
    /// `None` if there is no such input, or if its bytes come from elsewhere, as those of a shell.
    fn input(&self, index: usize) -> Option<&[u8]>;

    /// Argument `index`, or `None` behind the last one.
    fn arg(&self, index: usize) -> Option<Arg> {
        let len = match Self::SCALARS.class(index)? {
            ArgClass::InBuf => self.input(index).map_or(0, <[u8]>::len),
            ArgClass::OutBuf => size_of::<Self::Reply>(),
            // No kernel method has handle arguments.
            ArgClass::InHandle | ArgClass::OutHandle => return None,
        };
        Some(Arg::inline(u64::try_from(len).ok()?))
    }
}

/// The only argument of several methods, and the first field of all others: the client.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ClientRequest {
    /// The client id.
    pub client: I32,
}

const _: () = assert!(size_of::<ClientRequest>() == 4);

impl ClientRequest {
    fn new(client: ClientId) -> Self {
        Self {
            client: I32::new(client.get()),
        }
    }
}

/// Method 0: the client joins the root PD or the sensors PD, as the PD of the context word says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attach(ClientRequest);

impl Attach {
    /// Builds the call.
    pub fn new(client: ClientId) -> Self {
        Self(ClientRequest::new(client))
    }
}

impl Method for Attach {
    const NAME: &'static str = "attach";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 0;
    const SCALARS: Scalars = Scalars::new(0x0001_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        (index == 0).then(|| self.0.as_bytes())
    }
}

/// Method 1: the end of the client. Its memory stays until the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release(ClientRequest);

impl Release {
    /// Builds the call.
    pub fn new(client: ClientId) -> Self {
        Self(ClientRequest::new(client))
    }
}

impl Method for Release {
    const NAME: &'static str = "release";
    const HANDLE: u32 = handles::PROCESS_MANAGER;
    const NUMBER: u8 = 1;
    const SCALARS: Scalars = Scalars::new(0x0101_0000);
    type Reply = ();

    fn input(&self, index: usize) -> Option<&[u8]> {
        (index == 0).then(|| self.0.as_bytes())
    }
}

/// Number of words in the capability table.
pub const CAPABILITIES: usize = 255;
/// The same number as it travels.
const CAPABILITIES_WIRE: u32 = 255;

/// The capability table: word k is attribute k + 1. The DSP wrote it; its words are only numbers.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CapabilityTable {
    words: [U32; CAPABILITIES],
}

const _: () = assert!(size_of::<CapabilityTable>() == 4 * CAPABILITIES);

impl CapabilityTable {
    /// A table of zeros, for a DSP that has no capability call.
    pub const EMPTY: Self = Self {
        words: [U32::ZERO; CAPABILITIES],
    };

    /// The value of an attribute. Attribute 0 (domain present) is 0; `None` above 255.
    pub fn attribute(&self, number: u32) -> Option<u32> {
        let number = usize::try_from(number).ok()?;
        match number.checked_sub(1) {
            None => Some(0),
            Some(index) => self.words.get(index).map(|word| word.get()),
        }
    }

    /// Sets an attribute, for the DSP's side. Gives false if there is no such word.
    pub fn set(&mut self, number: usize, value: u32) -> bool {
        let word = number
            .checked_sub(1)
            .and_then(|index| self.words.get_mut(index));
        match word {
            Some(word) => {
                word.set(value);
                true
            }
            None => false,
        }
    }
}

/// Method 0 of handle 2: asks for the capability table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities(U32);

impl Capabilities {
    /// Builds the call.
    pub fn new() -> Self {
        Self(U32::new(CAPABILITIES_WIRE))
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

impl Method for Capabilities {
    const NAME: &'static str = "capabilities";
    const HANDLE: u32 = handles::DSP_UTILITIES;
    const NUMBER: u8 = 0;
    const SCALARS: Scalars = Scalars::new(0x0001_0100);
    type Reply = CapabilityTable;

    fn input(&self, index: usize) -> Option<&[u8]> {
        (index == 0).then(|| self.0.as_bytes())
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
mod tests;
