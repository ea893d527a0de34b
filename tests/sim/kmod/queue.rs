// SPDX-License-Identifier: GPL-2.0

//! Messages that the driver sent and nobody worked on yet.
//!
//! Takes no lock; [`crate::dsp::Dsp`] holds the queue in a mutex.

#![forbid(unsafe_code)]

use crate::credits::Credits;
use kernel::prelude::*;

/// Messages waiting for the thread at most.
const QUEUE: usize = 512;
/// Bytes kept of a message; more than a request so that too long ones are noticed.
const MESSAGE: usize = 64;

/// A message, cut off at [`MESSAGE`] bytes.
#[derive(Clone, Copy)]
pub(crate) struct Message {
    bytes: [u8; MESSAGE],
    len: usize,
}

/// Messages that the driver sent and nobody worked on yet.
pub(crate) struct Queue {
    /// There is an endpoint and the DSP lives.
    pub(crate) open: bool,
    /// Work inside send instead of in the thread.
    pub(crate) inline: bool,
    /// The driver is going: work inside send whatever `inline` says.
    pub(crate) closing: bool,
    /// What becomes of messages.
    pub(crate) credits: Credits,
    ring: KVVec<Message>,
    head: usize,
    len: usize,
}

impl Message {
    /// The message.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl Queue {
    /// A queue of a DSP without channel.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(inline: bool) -> Result<Self> {
        let empty = Message {
            bytes: [0; MESSAGE],
            len: 0,
        };
        Ok(Self {
            open: false,
            inline,
            closing: false,
            credits: Credits::NONE,
            ring: KVVec::from_elem(empty, QUEUE, GFP_KERNEL)?,
            head: 0,
            len: 0,
        })
    }

    /// A driver opened the channel.
    pub(crate) fn start(&mut self) {
        self.open = true;
        self.closing = false;
        self.len = 0;
    }

    /// The channel is gone or the DSP died.
    pub(crate) fn stop(&mut self) {
        self.open = false;
        self.len = 0;
    }

    /// Takes a message.
    ///
    /// # Errors
    ///
    /// `ECONNRESET` without channel, `EAGAIN` when the queue is full.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result {
        if !self.open {
            return Err(ECONNRESET);
        }
        if self.len >= self.ring.len() {
            return Err(EAGAIN);
        }
        let at = (self.head + self.len)
            .checked_rem(self.ring.len())
            .unwrap_or(0);
        let slot = self.ring.get_mut(at).ok_or(EAGAIN)?;
        for (to, from) in slot.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        slot.len = bytes.len().min(MESSAGE);
        self.len += 1;
        Ok(())
    }

    /// The oldest message.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        if self.len == 0 {
            return None;
        }
        let msg = self.ring.get(self.head).copied();
        self.head = (self.head + 1).checked_rem(self.ring.len()).unwrap_or(0);
        self.len -= 1;
        msg
    }
}
