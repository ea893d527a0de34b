// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Writing the message buffer of a call.
//!
//! Owns the order and the content of every byte of a message except those of inline inputs, which
//! the caller copies to the areas that it is told. Nothing is ever read back from the buffer,
//! because the DSP can write to it. Takes no locks; runs in the context of the caller of a call.
//!
//! Only a finished encoder gives a [`Message`], and only from a message can a request be made. Each
//! step consumes the encoder, so that a step that failed leaves nothing to go on with.
//!
//! Source: wire protocol, sections 7 and 8.

use zerocopy::IntoBytes;

use super::addr::span;
use super::layout::{
    Arg,
    LayoutError,
    Metadata,
    Placed,
    Plan,
    Planned, //
};
use super::scalars::Scalars;
use super::wire::{
    BufferDescriptor,
    BufferListEntry,
    HandleDescriptor,
    PageEntry, //
};
use super::PAGE;

/// The memory of a message buffer, write only.
///
/// Offsets count from the start of the message. The encoder stays inside the size that was planned.
pub trait Sink {
    /// Why a write failed, for example because it does not lie inside the memory.
    type Error;

    /// Writes `bytes` at `offset`.
    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Writes `len` zero bytes at `offset`. `len` may be 0.
    fn zero(&mut self, offset: usize, len: usize) -> Result<(), Self::Error>;
}

/// Why a message could not be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncodeError<E> {
    /// An argument cannot be laid out.
    Layout(LayoutError),
    /// The arguments are not those that were planned.
    Disagreement,
    /// The message buffer does not start at a page, or its range wraps around.
    Address,
    /// The memory refused a write.
    Sink(E),
}

/// A completely written message.
///
/// There is no other way to one than [`Encoder::finish`]. It cannot be copied: one message, one
/// request.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "the message was written in order to be sent"]
pub struct Message {
    scalars: Scalars,
    address: u64,
    size: u64,
}

impl Message {
    /// The scalars of the call.
    pub const fn scalars(&self) -> Scalars {
        self.scalars
    }

    /// The DSP address of the message buffer.
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// The size of the message buffer in bytes, whole pages.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// A message in the making.
#[must_use = "a message that is not finished cannot be sent"]
pub struct Encoder<'a, S: Sink> {
    sink: &'a mut S,
    planned: Planned,
    /// The second pass over the arguments.
    plan: Plan,
    metadata: Metadata,
    /// DSP address of the message buffer.
    base: u64,
    /// DSP addresses end here: `base` plus the planned size, checked once.
    size: u64,
    /// Everything from the fd list up to this offset has been written or belongs to an input.
    written: usize,
}

impl<'a, S: Sink> Encoder<'a, S> {
    /// Starts a message in the memory behind `sink`, which the DSP sees at `base`.
    ///
    /// Zeroes what the DSP writes in the metadata, so that nothing older is taken for its output.
    pub fn start(
        sink: &'a mut S,
        planned: Planned,
        base: u64,
    ) -> Result<Self, EncodeError<S::Error>> {
        let size = u64::try_from(planned.size()).map_err(|_| EncodeError::Address)?;
        if base % PAGE != 0 || base.checked_add(size).is_none() {
            return Err(EncodeError::Address);
        }
        let metadata = Metadata::new(planned.scalars());
        let (tail, written) = (metadata.fd_list(), metadata.first_inline());
        // `first_inline` is behind `fd_list` by construction.
        sink.zero(tail, written.saturating_sub(tail))
            .map_err(EncodeError::Sink)?;
        Ok(Self {
            sink,
            planned,
            plan: Plan::new(planned.scalars(), planned.size()),
            metadata,
            base,
            size,
            written,
        })
    }

    /// Writes everything that belongs to the next argument, except the bytes of an inline input.
    ///
    /// The caller copies those to [`Placed::input`] at any time before the message is sent. A
    /// failure ends the encoding: the encoder is gone.
    pub fn arg(mut self, arg: &Arg) -> Result<(Self, Placed), EncodeError<S::Error>> {
        let placed = self.plan.place(arg).map_err(|error| match error {
            // The plan knew the size of the message; more than that was not planned.
            LayoutError::TooBig | LayoutError::TooMany => EncodeError::Disagreement,
            error => EncodeError::Layout(error),
        })?;
        match *arg {
            Arg::Empty => self.entries(
                placed.index,
                true,
                BufferDescriptor::EMPTY,
                PageEntry::EMPTY,
            )?,
            Arg::Inline { len } => {
                let area = placed.area.ok_or(EncodeError::Disagreement)?;
                let address = u64::try_from(area.offset)
                    .ok()
                    .filter(|offset| *offset < self.size)
                    .and_then(|offset| self.base.checked_add(offset))
                    .ok_or(EncodeError::Address)?;
                let page = span(address, len).ok_or(EncodeError::Address)?;
                // The address field of an inline argument is its DSP address: the DSP needs it
                // modulo the page only, and no kernel address leaves the kernel.
                self.entries(
                    placed.index,
                    false,
                    BufferDescriptor::new(address, len),
                    page,
                )?;
                // The gap before the data, and the data too if the DSP is the one to write it.
                let zero_end = match placed.class.is_out() {
                    true => area.end(),
                    false => area.offset,
                };
                self.zero_to(zero_end)?;
                self.written = area.end();
            }
            Arg::Mapped { pv, address, len } => {
                let page = span(address, len).ok_or(EncodeError::Address)?;
                self.entries(placed.index, false, BufferDescriptor::new(pv, len), page)?;
            }
            Arg::Handle {
                fd,
                offset,
                len,
                page,
            } => self.entries(
                placed.index,
                len == 0,
                HandleDescriptor::new(fd, offset, len),
                page.unwrap_or(PageEntry::EMPTY),
            )?,
        }
        Ok((self, placed))
    }

    /// Ends the message: zeroes the rest of its last page.
    ///
    /// Fails unless the arguments were exactly those of the plan.
    pub fn finish(mut self) -> Result<Message, EncodeError<S::Error>> {
        self.zero_to(self.planned.size())?;
        match self.plan.finish() {
            Ok(again) if again == self.planned => Ok(Message {
                scalars: self.planned.scalars(),
                address: self.base,
                size: self.size,
            }),
            _ => Err(EncodeError::Disagreement),
        }
    }

    /// Writes the three table entries of an argument.
    fn entries<D: IntoBytes + zerocopy::Immutable>(
        &mut self,
        index: usize,
        is_empty: bool,
        descriptor: D,
        page: PageEntry,
    ) -> Result<(), EncodeError<S::Error>> {
        let (Some(descriptor_at), Some(list_at), Some(page_at), Ok(number)) = (
            self.metadata.descriptor(index),
            self.metadata.list_entry(index),
            self.metadata.page_entry(index),
            u32::try_from(index),
        ) else {
            return Err(EncodeError::Disagreement);
        };
        let entry = BufferListEntry::new(is_empty, number);
        self.put(descriptor_at, descriptor.as_bytes())?;
        self.put(list_at, entry.as_bytes())?;
        self.put(page_at, page.as_bytes())
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), EncodeError<S::Error>> {
        self.sink.put(offset, bytes).map_err(EncodeError::Sink)
    }

    /// Zeroes from where the last area ended.
    fn zero_to(&mut self, end: usize) -> Result<(), EncodeError<S::Error>> {
        let len = end.saturating_sub(self.written);
        if len != 0 {
            self.sink
                .zero(self.written, len)
                .map_err(EncodeError::Sink)?;
            self.written = end;
        }
        Ok(())
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
mod tests;
