// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reading the message buffer of a call back.
//!
//! Owns the check that the metadata of a message is well formed. The driver never does this, since
//! the DSP can rewrite a message at any time: this is the DSP's view, for tests, fuzzers and the
//! simulator, which hand in a copy of the message. It shares the layouts with the encoder and
//! nothing else. Takes no locks.
//!
//! Source: wire protocol, sections 7 and 8; the checks of firmware behaviour, section 1.

use zerocopy::FromBytes;

use super::addr::span;
use super::layout::{
    Area,
    Metadata, //
};
use super::scalars::Scalars;
use super::wire::{
    BufferDescriptor,
    BufferListEntry,
    HandleDescriptor,
    PageEntry, //
};
use super::PAGE;

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The message ends before its metadata does.
    Short,
    /// There is no argument with this index.
    NoArgument,
    /// The buffer list entry is not (0 or 1 by the length, index of the argument).
    ListEntry,
    /// An empty argument has an address or a page.
    EmptyNotZero,
    /// The page entry does not start at a page, or is not what the range needs.
    Page,
    /// An address range wraps around.
    Overflow,
    /// The range of a handle argument is not inside its buffer.
    OutsideBuffer,
    /// A reserved field is not 0.
    Reserved,
    /// The byte at this offset, which only the DSP writes, is not 0.
    Dirty(usize),
}

/// One argument as the DSP sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// An empty buffer argument.
    Empty,
    /// A buffer argument, inline or mapped; the message does not say which.
    Buffer {
        /// The address field.
        pv: u64,
        /// DSP address of the first byte.
        address: u64,
        /// Length in bytes, not 0.
        len: u64,
        /// The page entry.
        page: PageEntry,
    },
    /// A handle argument.
    Handle {
        /// The tag.
        fd: i32,
        /// Offset in bytes.
        offset: u32,
        /// Length in bytes.
        len: u32,
        /// The page entry; empty if no buffer belongs to the tag.
        page: PageEntry,
    },
}

impl Decoded {
    /// Where the argument lies in a message of `size` bytes at DSP address `base`.
    ///
    /// `None` if it is not, or not entirely, in the message.
    pub fn area_in(&self, base: u64, size: usize) -> Option<Area> {
        let Self::Buffer { address, len, .. } = *self else {
            return None;
        };
        let offset = usize::try_from(address.checked_sub(base)?).ok()?;
        let len = usize::try_from(len).ok()?;
        if offset.checked_add(len)? > size {
            return None;
        }
        Some(Area { offset, len })
    }
}

/// A copy of a message whose metadata is complete.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    scalars: Scalars,
    metadata: Metadata,
}

impl<'a> Decoder<'a> {
    /// Takes a copy of the message, or of its beginning.
    pub fn new(bytes: &'a [u8], scalars: Scalars) -> Result<Self, DecodeError> {
        let metadata = Metadata::new(scalars);
        if bytes.len() < metadata.end() {
            return Err(DecodeError::Short);
        }
        Ok(Self {
            bytes,
            scalars,
            metadata,
        })
    }

    /// The offsets of the metadata.
    pub const fn metadata(&self) -> Metadata {
        self.metadata
    }

    /// Reads argument `index` and checks all its table entries.
    pub fn arg(&self, index: usize) -> Result<Decoded, DecodeError> {
        let class = self.scalars.class(index).ok_or(DecodeError::NoArgument)?;
        let number = u32::try_from(index).map_err(|_| DecodeError::NoArgument)?;
        let entry: BufferListEntry = self.read(self.metadata.list_entry(index))?;
        let page: PageEntry = self.read(self.metadata.page_entry(index))?;

        if class.is_handle() {
            let handle: HandleDescriptor = self.read(self.metadata.descriptor(index))?;
            if entry != BufferListEntry::new(handle.is_empty(), number) {
                return Err(DecodeError::ListEntry);
            }
            check_handle(&handle, &page)?;
            return Ok(Decoded::Handle {
                fd: handle.fd(),
                offset: handle.offset(),
                len: handle.len(),
                page,
            });
        }

        let buffer: BufferDescriptor = self.read(self.metadata.descriptor(index))?;
        if entry != BufferListEntry::new(buffer.is_empty(), number) {
            return Err(DecodeError::ListEntry);
        }
        if buffer.is_empty() {
            return match buffer == BufferDescriptor::EMPTY && page == PageEntry::EMPTY {
                true => Ok(Decoded::Empty),
                false => Err(DecodeError::EmptyNotZero),
            };
        }
        let address = first_byte(&buffer, &page)?;
        Ok(Decoded::Buffer {
            pv: buffer.pv(),
            address,
            len: buffer.len(),
            page,
        })
    }

    /// Reads and checks all arguments in order.
    pub fn args(&self) -> impl Iterator<Item = Result<Decoded, DecodeError>> + '_ {
        (0..self.scalars.total()).map(|index| self.arg(index))
    }

    /// Checks that nothing lies in the fd list, the CRC list and the poll word, as it has to be
    /// when the driver sends the message.
    pub fn check_clean(&self) -> Result<(), DecodeError> {
        self.check_zero(self.metadata.fd_list(), self.metadata.end())
    }

    /// Checks that the bytes from `start` up to `end` are 0, as far as the copy has them.
    pub fn check_zero(&self, start: usize, end: usize) -> Result<(), DecodeError> {
        let dirty =
            (start..end.min(self.bytes.len())).find(|offset| self.bytes.get(*offset) != Some(&0));
        match dirty {
            None => Ok(()),
            Some(offset) => Err(DecodeError::Dirty(offset)),
        }
    }

    fn read<T: FromBytes>(&self, offset: Option<usize>) -> Result<T, DecodeError> {
        let offset = offset.ok_or(DecodeError::NoArgument)?;
        let bytes = self.bytes.get(offset..).ok_or(DecodeError::Short)?;
        let (value, _) = T::read_from_prefix(bytes).map_err(|_| DecodeError::Short)?;
        Ok(value)
    }
}

/// The DSP address of a buffer's first byte; checks that the page entry is the right one for it.
fn first_byte(buffer: &BufferDescriptor, page: &PageEntry) -> Result<u64, DecodeError> {
    if page.address() % PAGE != 0 {
        return Err(DecodeError::Page);
    }
    buffer
        .pv()
        .checked_add(buffer.len())
        .ok_or(DecodeError::Overflow)?;
    // The sum is exact: the page address has no low bits.
    let address = page.address() | (buffer.pv() % PAGE);
    let expected = span(address, buffer.len()).ok_or(DecodeError::Overflow)?;
    if expected != *page {
        return Err(DecodeError::Page);
    }
    Ok(address)
}

fn check_handle(handle: &HandleDescriptor, page: &PageEntry) -> Result<(), DecodeError> {
    if !handle.is_clean() {
        return Err(DecodeError::Reserved);
    }
    page.address()
        .checked_add(page.size())
        .ok_or(DecodeError::Overflow)?;
    // The sum of two 32-bit numbers fits into 64 bits.
    let end = u64::from(handle.offset()) + u64::from(handle.len());
    if *page != PageEntry::EMPTY && end > page.size() {
        return Err(DecodeError::OutsideBuffer);
    }
    Ok(())
}
