// SPDX-License-Identifier: GPL-2.0

//! The last messages of a channel, for golden vectors. Part of the firmware state and
//! under its lock.

#![forbid(unsafe_code)]

use core::fmt;
use kernel::prelude::*;

/// Messages kept, responses included.
const DEPTH: usize = 64;
/// Bytes kept of a message buffer.
pub(crate) const BYTES: usize = 4096;
/// Bytes kept of a request.
const REQUEST: usize = 40;

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Response,
}

#[derive(Clone, Copy)]
struct Head {
    kind: Kind,
    number: u64,
    bytes: [u8; REQUEST],
    len: usize,
    buffer_len: usize,
}

impl Head {
    const EMPTY: Self = Self {
        kind: Kind::Request,
        number: 0,
        bytes: [0; REQUEST],
        len: 0,
        buffer_len: 0,
    };
}

/// A ring of messages.
pub(crate) struct Capture {
    heads: KVVec<Head>,
    buffers: KVVec<u8>,
    /// Messages ever entered; the ring position follows from it.
    count: u64,
}

impl Capture {
    /// An empty ring.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            heads: KVVec::from_elem(Head::EMPTY, DEPTH, GFP_KERNEL)?,
            buffers: KVVec::from_elem(0, DEPTH * BYTES, GFP_KERNEL)?,
            count: 0,
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Enters a request; `fill` reads up to [`BYTES`] of its buffer and says how many.
    pub(crate) fn request(&mut self, request: &[u8], fill: impl FnOnce(&mut [u8]) -> usize) {
        self.enter(Kind::Request, request, fill);
    }

    /// Enters a response.
    pub(crate) fn response(&mut self, response: &[u8]) {
        self.enter(Kind::Response, response, |_| 0);
    }

    fn enter(&mut self, kind: Kind, bytes: &[u8], fill: impl FnOnce(&mut [u8]) -> usize) {
        let at = (self.count % DEPTH as u64) as usize;
        let Some(buffer) = self.buffers.get_mut(at * BYTES..(at + 1) * BYTES) else {
            return;
        };
        let mut head = Head {
            kind,
            number: self.count,
            ..Head::EMPTY
        };
        for (to, from) in head.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        head.len = bytes.len().min(REQUEST);
        head.buffer_len = fill(buffer).min(BYTES);
        if let Some(slot) = self.heads.get_mut(at) {
            *slot = head;
        }
        self.count = self.count.wrapping_add(1);
    }

    /// Prints all messages, oldest first.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>, driver: &str) -> fmt::Result {
        let first = self.count.saturating_sub(DEPTH as u64);
        for n in first..self.count {
            let at = (n % DEPTH as u64) as usize;
            let (Some(head), Some(buffer)) = (
                self.heads.get(at),
                self.buffers.get(at * BYTES..(at + 1) * BYTES),
            ) else {
                break;
            };
            match head.kind {
                Kind::Request => {
                    writeln!(f, "message {} driver {}", head.number, driver)?;
                    hex(f, "request", head.bytes.get(..head.len))?;
                    hex(f, "buffer", buffer.get(..head.buffer_len))?;
                }
                Kind::Response => hex(f, "response", head.bytes.get(..head.len))?,
            }
        }
        Ok(())
    }
}

fn hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: Option<&[u8]>) -> fmt::Result {
    let bytes = bytes.unwrap_or(&[]);
    write!(f, "{name} ")?;
    for b in bytes {
        write!(f, "{b:02x}")?;
    }
    writeln!(f)
}
