// SPDX-License-Identifier: GPL-2.0

//! Which sequence numbers a channel has used.
//!
//! Requests of several CPUs may arrive out of order, so numbers need not increase; but
//! none may come twice. A bitmap remembers the newest [`WINDOW`] numbers; anything
//! older counts as used.

/// Numbers remembered. Far above the 255 calls that can be outstanding.
pub const WINDOW: u64 = 4096;

const WORDS: usize = 64;

/// Why a sequence number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The first number of a channel is 1.
    Zero,
    /// The number was used before.
    Repeated,
    /// The number lies so far back that it must have been used.
    Old,
}

/// The used numbers of one channel.
pub struct Window {
    high: u64,
    bits: [u64; WORDS],
}

impl Window {
    /// A channel without any call.
    pub const fn new() -> Self {
        Self {
            high: 0,
            bits: [0; WORDS],
        }
    }

    fn place(seq: u64) -> (usize, u64) {
        let bit = seq % WINDOW;
        ((bit / 64) as usize, 1u64 << (bit % 64))
    }

    fn clear(&mut self, seq: u64) {
        let (word, mask) = Self::place(seq);
        if let Some(w) = self.bits.get_mut(word) {
            *w &= !mask;
        }
    }

    /// Can no call with this number come any more? False for numbers that were not used yet but
    /// may be soon, those of the next 65536 calls.
    pub fn is_past(&self, seq: u64) -> bool {
        if seq > self.high {
            return seq - self.high > 1 << 16;
        }
        if seq == 0 || self.high - seq >= WINDOW {
            return true;
        }
        let (word, mask) = Self::place(seq);
        self.bits.get(word).is_some_and(|w| *w & mask != 0)
    }

    /// Marks `seq` as used, or says why it cannot be new.
    pub fn take(&mut self, seq: u64) -> Result<(), Reject> {
        if seq == 0 {
            return Err(Reject::Zero);
        }
        if seq > self.high {
            if seq - self.high >= WINDOW {
                self.bits = [0; WORDS];
            } else {
                for s in self.high + 1..=seq {
                    self.clear(s);
                }
            }
            self.high = seq;
        } else if self.high - seq >= WINDOW {
            return Err(Reject::Old);
        }
        let (word, mask) = Self::place(seq);
        match self.bits.get_mut(word) {
            Some(w) if *w & mask == 0 => {
                *w |= mask;
                Ok(())
            }
            _ => Err(Reject::Repeated),
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}
