// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where everything goes in the message buffer of a call.
//!
//! Owns the classification of arguments and the arithmetic of the message buffer. A call is laid
//! out twice from the same array of [`Arg`]: once by [`Plan`] alone, to learn the size, and once
//! more inside [`Encoder`](super::encode::Encoder), which compares its result with the first. No
//! storage per argument is needed for that. Takes no locks.
//!
//! ```text
//! 0          descriptors    16 n   driver
//! 16 n       buffer list     8 n   driver
//! 24 n       page list      16 n   driver
//! 40 n       fd list         128   DSP
//! 40 n + 128 CRC list        256   DSP, CRC mode
//! 40 n + 384 poll word         4   DSP, poll mode
//!            inline data           both; each start aligned to 128
//! ```
//!
//! Source: wire protocol, sections 7 and 8.

use super::addr::span;
use super::scalars::{
    ArgClass,
    Scalars, //
};
use super::wire::PageEntry;
use super::{
    PAGE,
    PAGE_BYTES, //
};

/// Alignment in bytes of the data of an inline argument.
pub const INLINE_ALIGN: usize = 128;
/// Number of u64 entries of the fd list.
pub const FD_LIST_ENTRIES: usize = 16;
/// Size in bytes of the fd list.
pub const FD_LIST_SIZE: usize = 8 * FD_LIST_ENTRIES;
/// Size in bytes of the CRC list.
pub const CRC_LIST_SIZE: usize = 4 * 64;
/// Size in bytes of the poll word.
pub const POLL_WORD_SIZE: usize = 4;
/// What the DSP writes to the poll word of a successful call.
pub const POLL_DONE: u32 = 0xd_ecaf;

/// Offsets of the metadata of a call. They depend on the number of arguments alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    scalars: Scalars,
}

impl Metadata {
    /// The offsets for a call with these scalars.
    pub fn new(scalars: Scalars) -> Self {
        Self { scalars }
    }

    /// Number of arguments, at most `scalars::MAX_ARGS`; hence no sum below can overflow.
    fn args(self) -> usize {
        self.scalars.total()
    }

    /// Offset of the descriptor of argument `index`, or `None` behind the last one.
    pub fn descriptor(self, index: usize) -> Option<usize> {
        if index < self.args() {
            Some(16 * index)
        } else {
            None
        }
    }

    /// Offset of the buffer list entry of argument `index`, or `None` behind the last one.
    pub fn list_entry(self, index: usize) -> Option<usize> {
        if index < self.args() {
            Some(16 * self.args() + 8 * index)
        } else {
            None
        }
    }

    /// Offset of the page list entry of argument `index`, or `None` behind the last one.
    pub fn page_entry(self, index: usize) -> Option<usize> {
        if index < self.args() {
            Some(24 * self.args() + 16 * index)
        } else {
            None
        }
    }

    /// Offset of the fd list, which is the first byte that the DSP writes.
    pub fn fd_list(self) -> usize {
        40 * self.args()
    }

    /// Offset of the CRC list.
    pub fn crc_list(self) -> usize {
        self.fd_list() + FD_LIST_SIZE
    }

    /// Offset of the poll word.
    pub fn poll_word(self) -> usize {
        self.crc_list() + CRC_LIST_SIZE
    }

    /// Offset behind the last byte of the metadata.
    pub fn end(self) -> usize {
        self.poll_word() + POLL_WORD_SIZE
    }

    /// Offset of the first inline data. A message is never shorter than this.
    pub fn first_inline(self) -> usize {
        self.end().next_multiple_of(INLINE_ALIGN)
    }
}

/// One argument of a call, classified once. All passes work from this value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arg {
    /// A buffer argument of length 0. No memory belongs to it.
    Empty,
    /// A buffer argument whose bytes travel in the message buffer.
    Inline {
        /// Length in bytes, not 0.
        len: u64,
    },
    /// A buffer argument whose bytes stay where they are, mapped for the DSP.
    Mapped {
        /// Address field for the DSP, equal to `address` modulo the page. Old-style calls put the
        /// caller's address here.
        pv: u64,
        /// DSP address of the first byte.
        address: u64,
        /// Length in bytes, not 0.
        len: u64,
    },
    /// A handle argument.
    Handle {
        /// The caller's tag, unchanged.
        fd: i32,
        /// Offset in the buffer, in bytes.
        offset: u32,
        /// Length in bytes; may be 0.
        len: u32,
        /// The whole mapped buffer, or `None` if no buffer belongs to the tag.
        page: Option<PageEntry>,
    },
}

impl Arg {
    /// A buffer argument whose bytes travel in the message buffer; empty for length 0.
    pub const fn inline(len: u64) -> Self {
        match len {
            0 => Self::Empty,
            len => Self::Inline { len },
        }
    }

    /// A buffer argument in mapped memory; empty for length 0.
    pub const fn mapped(pv: u64, address: u64, len: u64) -> Self {
        match len {
            0 => Self::Empty,
            len => Self::Mapped { pv, address, len },
        }
    }

    /// A number per variant, for the comparison of the two passes.
    const fn tag(&self) -> u8 {
        match self {
            Self::Empty => 0,
            Self::Inline { .. } => 1,
            Self::Mapped { .. } => 2,
            Self::Handle { .. } => 3,
        }
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match *self {
            Self::Empty => 0,
            Self::Inline { len } | Self::Mapped { len, .. } => len,
            Self::Handle { len, .. } => u64::from(len),
        }
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a call cannot be laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// More arguments than the scalars announce.
    TooMany,
    /// Fewer arguments than the scalars announce.
    TooFew,
    /// A buffer in a handle's position, or the reverse.
    ClassMismatch,
    /// Length 0 in a variant that is not for empty arguments.
    ZeroLength,
    /// The address field and the DSP address differ modulo the page.
    Misaligned,
    /// An address range wraps around.
    Overflow,
    /// The range of a handle argument is not inside its buffer.
    OutsideBuffer,
    /// The message is larger than the limit.
    TooBig,
}

/// A range of bytes in the message buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    /// Offset of the first byte.
    pub offset: usize,
    /// Number of bytes, not 0.
    pub len: usize,
}

impl Area {
    /// Offset behind the last byte.
    ///
    /// The areas that a plan gives out end below the plan's limit, so nothing saturates there.
    pub const fn end(self) -> usize {
        self.offset.saturating_add(self.len)
    }
}

/// Where an argument went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The index of the argument.
    pub index: usize,
    /// The class of the argument.
    pub class: ArgClass,
    /// The bytes of an inline argument; `None` for all other arguments.
    pub area: Option<Area>,
}

impl Placed {
    /// The bytes that the caller copies in before the message is finished.
    pub const fn input(&self) -> Option<Area> {
        match self.class.is_out() {
            false => self.area,
            true => None,
        }
    }

    /// The bytes that the caller copies out after the answer.
    pub const fn output(&self) -> Option<Area> {
        match self.class.is_out() {
            true => self.area,
            false => None,
        }
    }
}

/// A layout in the making.
///
/// Arguments are placed one after the other. Every inline argument has a place of its own, whatever
/// the caller's addresses are.
#[derive(Clone, Debug)]
pub struct Plan {
    scalars: Scalars,
    limit: usize,
    next: usize,
    /// Offset behind the last byte in use.
    end: usize,
    inline_bytes: u64,
    fingerprint: u64,
}

impl Plan {
    /// Starts the layout of a call whose message buffer may have at most `limit` bytes.
    pub fn new(scalars: Scalars, limit: usize) -> Self {
        Self {
            scalars,
            limit,
            next: 0,
            end: Metadata::new(scalars).first_inline(),
            inline_bytes: 0,
            // Start value of the 64-bit FNV hash; any odd number would do.
            fingerprint: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Places the next argument. After an error nothing has changed.
    pub fn place(&mut self, arg: &Arg) -> Result<Placed, LayoutError> {
        let index = self.next;
        let class = self.scalars.class(index).ok_or(LayoutError::TooMany)?;

        let area = match (class.is_handle(), arg) {
            (false, Arg::Empty) => None,
            (false, Arg::Inline { len }) => Some(self.inline_area(*len)?),
            (false, Arg::Mapped { pv, address, len }) => {
                check_mapped(*pv, *address, *len)?;
                None
            }
            (
                true,
                Arg::Handle {
                    offset, len, page, ..
                },
            ) => {
                check_handle(*offset, *len, page.as_ref())?;
                None
            }
            (false, Arg::Handle { .. })
            | (true, Arg::Empty | Arg::Inline { .. } | Arg::Mapped { .. }) => {
                return Err(LayoutError::ClassMismatch);
            }
        };

        if let Some(area) = area {
            self.inline_bytes = self.inline_bytes.saturating_add(arg.len());
            self.end = area.end();
        }
        // Never saturates: there was a class for the old index.
        self.next = self.next.saturating_add(1);
        self.mix(arg);
        Ok(Placed { index, class, area })
    }

    /// Ends the layout. Gives the size of the message buffer.
    pub fn finish(self) -> Result<Planned, LayoutError> {
        if self.next != self.scalars.total() {
            return Err(LayoutError::TooFew);
        }
        Ok(Planned {
            scalars: self.scalars,
            used: self.end,
            size: self.round(self.end)?,
            inline_bytes: self.inline_bytes,
            fingerprint: self.fingerprint,
        })
    }

    fn inline_area(&self, len: u64) -> Result<Area, LayoutError> {
        if len == 0 {
            return Err(LayoutError::ZeroLength);
        }
        let len = usize::try_from(len).map_err(|_| LayoutError::TooBig)?;
        let offset = self
            .end
            .checked_next_multiple_of(INLINE_ALIGN)
            .ok_or(LayoutError::TooBig)?;
        let end = offset.checked_add(len).ok_or(LayoutError::TooBig)?;
        self.round(end)?;
        Ok(Area { offset, len })
    }

    /// Rounds up to a page and compares with the limit.
    fn round(&self, end: usize) -> Result<usize, LayoutError> {
        end.checked_next_multiple_of(PAGE_BYTES)
            .filter(|size| *size <= self.limit)
            .ok_or(LayoutError::TooBig)
    }

    /// Takes an argument into the fingerprint, by which the second pass is compared.
    fn mix(&mut self, arg: &Arg) {
        // FNV-1a over the variant and the length. It guards against mistakes, not against attacks.
        let mut hash = self.fingerprint;
        for byte in core::iter::once(arg.tag()).chain(arg.len().to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        self.fingerprint = hash;
    }
}

fn check_mapped(pv: u64, address: u64, len: u64) -> Result<(), LayoutError> {
    if len == 0 {
        return Err(LayoutError::ZeroLength);
    }
    if pv % PAGE != address % PAGE {
        return Err(LayoutError::Misaligned);
    }
    pv.checked_add(len).ok_or(LayoutError::Overflow)?;
    span(address, len).ok_or(LayoutError::Overflow)?;
    Ok(())
}

fn check_handle(offset: u32, len: u32, page: Option<&PageEntry>) -> Result<(), LayoutError> {
    // The sum of two 32-bit numbers fits into 64 bits.
    let end = u64::from(offset) + u64::from(len);
    if let Some(page) = page {
        if end > page.size() {
            return Err(LayoutError::OutsideBuffer);
        }
        page.address()
            .checked_add(page.size())
            .ok_or(LayoutError::Overflow)?;
    }
    Ok(())
}

/// A complete layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planned {
    scalars: Scalars,
    used: usize,
    size: usize,
    inline_bytes: u64,
    fingerprint: u64,
}

impl Planned {
    /// The scalars of the call.
    pub const fn scalars(&self) -> Scalars {
        self.scalars
    }

    /// Offset behind the last byte in use. It is never 0.
    pub const fn used(&self) -> usize {
        self.used
    }

    /// Size of the message buffer in bytes: whole pages, at least one.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Number of bytes of all inline arguments, without gaps.
    pub const fn inline_bytes(&self) -> u64 {
        self.inline_bytes
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
mod tests;
