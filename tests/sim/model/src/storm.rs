// SPDX-License-Identifier: GPL-2.0

//! Storms: a given number of packets that complete no call, sent beside the answers at a given
//! rate. The packet fuzzer is one of them.
//!
//! Pure. None of the packets is a proper answer to a call that is under way: those to finished
//! calls and near misses are. So the driver has to drop every single one, and a test can count.

use super::hostile::Numbers;
use super::packets::{Packet, LONGEST, MARKER, WRONG};
use super::state::{State, Wait};

/// What a storm consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers to calls that were answered before.
    Duplicates,
    /// Junk of all lengths, with words of live calls where it is too short to count.
    Junk,
    /// Notifications about processes, in all lengths.
    Markers,
    /// Answers to live and finished calls, mutated.
    Fuzz,
    /// Everything in turn.
    Mixed,
}

impl Kind {
    /// The kind that a word names.
    pub fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"duplicates" => Self::Duplicates,
            b"junk" => Self::Junk,
            b"markers" => Self::Markers,
            b"fuzz" => Self::Fuzz,
            b"mixed" => Self::Mixed,
            _ => return None,
        })
    }
}

/// A storm under way.
pub struct Storm {
    kind: Kind,
    numbers: Numbers,
    /// Packets still to come.
    left: u64,
    /// Packets sent so far.
    sent: u64,
    /// Packets in a second, 0 for as many as possible.
    rate: u64,
    /// When it began, in microseconds; known with the first look at it.
    begin: Option<u64>,
}

impl Storm {
    /// No storm.
    pub const NONE: Self = Self {
        kind: Kind::Mixed,
        numbers: Numbers::new(1),
        left: 0,
        sent: 0,
        rate: 0,
        begin: None,
    };

    /// A storm of `count` packets.
    pub fn new(kind: Kind, count: u64, rate: u64, seed: u64) -> Self {
        Self {
            kind,
            numbers: Numbers::new(seed),
            left: count,
            rate,
            ..Self::NONE
        }
    }

    /// How many packets are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// How many packets are due at a time in microseconds.
    pub fn due(&mut self, now: u64) -> u64 {
        if self.rate == 0 {
            return self.left;
        }
        let begin = *self.begin.get_or_insert(now);
        let until_now = now.saturating_sub(begin).saturating_mul(self.rate) / 1_000_000;
        until_now.saturating_sub(self.sent).min(self.left)
    }
}

/// Tries until a harmless packet is found; the last resort is a marker.
const TRIES: usize = 8;

impl State<'_> {
    /// The next packet of the storm, `None` when it is over.
    pub fn next_of_storm(&mut self) -> Option<Packet> {
        let storm = &mut self.t.core.storm;
        storm.left = storm.left.checked_sub(1)?;
        storm.sent = storm.sent.wrapping_add(1);
        Some(self.harmless_packet(self.t.core.storm.kind))
    }

    /// A packet of everything.
    pub fn talk(&mut self) -> Packet {
        self.harmless_packet(Kind::Mixed)
    }

    fn harmless_packet(&mut self, kind: Kind) -> Packet {
        for _ in 0..TRIES {
            let packet = match kind {
                Kind::Duplicates => self.duplicate(),
                Kind::Junk => self.junk(),
                Kind::Markers => self.marker(),
                Kind::Fuzz => self.mutated(),
                Kind::Mixed => match self.t.core.storm.numbers.below(4) {
                    0 => self.duplicate(),
                    1 => self.junk(),
                    2 => self.marker(),
                    _ => self.mutated(),
                },
            };
            if self.is_harmless(&packet) {
                return packet.stray();
            }
        }
        Packet::answer(MARKER, WRONG).stray()
    }

    /// Can it complete no call, neither one under way nor one that the driver just sends?
    pub fn is_harmless(&self, packet: &Packet) -> bool {
        let Some(word) = packet.word() else {
            return true;
        };
        if packet.completes_nothing() {
            return true;
        }
        let index = ((word >> 8) & 0xFF) as usize;
        match self.t.calls.get(index) {
            Some(c) if c.wait != Wait::Free && c.req.ctx == word => false,
            _ => self.t.core.seq.is_past(word >> 16),
        }
    }

    /// The word of a finished call, or the marker when there is none.
    fn old_word(&mut self) -> u64 {
        let core = &mut *self.t.core;
        let n = core.storm.numbers.below(core.history.len() as u64);
        core.history.nth(n as usize + 1).unwrap_or(MARKER)
    }

    /// The word of a call under way, or else an old one.
    fn live_word(&mut self) -> u64 {
        let start = self.t.core.storm.numbers.below(256) as usize;
        let live = self
            .t
            .calls
            .iter()
            .cycle()
            .skip(start)
            .take(self.t.calls.len())
            .find(|c| c.wait != Wait::Free)
            .map(|c| c.req.ctx);
        match live {
            Some(word) => word,
            None => self.old_word(),
        }
    }

    fn duplicate(&mut self) -> Packet {
        Packet::answer(self.old_word(), WRONG)
    }

    fn junk(&mut self) -> Packet {
        let word = self.live_word();
        let numbers = &mut self.t.core.storm.numbers;
        let len = match numbers.below(16) {
            0 => LONGEST,
            1 => (numbers.next() as i32).saturating_abs().wrapping_neg(),
            2..=8 => numbers.below(16) as i32,
            _ => numbers.below(65) as i32,
        };
        let mut packet = Packet::answer(word, WRONG).sized(len);
        if len >= 16 {
            for at in (0..64).step_by(8) {
                packet.put64(at, numbers.nasty());
            }
        }
        packet
    }

    fn marker(&mut self) -> Packet {
        let numbers = &mut self.t.core.storm.numbers;
        let mut packet = Packet::answer(MARKER, 4).sized(match numbers.below(4) {
            0 => 16,
            1 => numbers.below(65) as i32,
            _ => 24,
        });
        packet.put32(12, numbers.below(20) as u32);
        packet.put32(16, numbers.below(6) as u32);
        packet
    }

    /// An answer with one to four changes.
    fn mutated(&mut self) -> Packet {
        let word = match self.t.core.storm.numbers.below(2) {
            0 => self.live_word(),
            _ => self.old_word(),
        };
        let numbers = &mut self.t.core.storm.numbers;
        let mut packet = Packet::answer(word, WRONG);
        let mut word = word;
        for _ in 0..=numbers.below(4) {
            match numbers.below(10) {
                0 | 1 => word ^= 1 << numbers.below(64),
                2 => {
                    // Another number near by, in this or another slot.
                    let by = numbers.below(600).wrapping_sub(300);
                    word = word.wrapping_add(by << 16);
                }
                3 => word = word.wrapping_add(numbers.below(255) << 8),
                4 => word = (word & !0xFF) | numbers.below(256),
                5 => word = numbers.nasty(),
                6 => packet.flip(8 + numbers.below(56) as usize, 1 << numbers.below(8)),
                7 => packet = packet.sized(numbers.below(65) as i32),
                8 => {
                    // Other forms: version 2 with all flags, other versions.
                    packet = packet.sized(24);
                    packet.put32(12, numbers.below(8) as u32);
                    packet.put32(16, numbers.next() as u32);
                    packet.put32(20, numbers.below(4) as u32);
                }
                _ => {
                    let at = 8 * (1 + numbers.below(7)) as usize;
                    packet.put64(at, numbers.nasty());
                }
            }
        }
        packet.put64(0, word);
        packet
    }
}
