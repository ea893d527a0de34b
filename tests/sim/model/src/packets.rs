// SPDX-License-Identifier: GPL-2.0

//! Packets of all kinds that arrive where answers are expected: the forms of section 5 of the
//! protocol document, proper answers among them, and what no firmware should send.
//!
//! Pure. Which packet goes out when is said by `knobs` and `storm`.

use super::env::Env;
use super::state::State;
use super::wire::u64_at;

/// Bytes of a packet that are kept; longer ones go on with [`JUNK`].
pub const KEPT: usize = 64;
/// Longest packet of the transport, in bytes.
pub const LONGEST: i32 = 1024;
/// What stands in a packet where nothing was put.
pub const JUNK: u8 = 0xA5;
/// First word of notifications about processes.
pub const MARKER: u64 = 0xABCD_ABCD;
/// Result in packets that are no answers: a caller who sees it was told a lie.
pub const WRONG: u32 = 0x8000_0BAD;
/// Answers that are remembered.
pub const HISTORY: usize = 64;

/// A packet. The length is what the transport claims: 0 to 64, [`LONGEST`], or negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: [u8; KEPT],
    len: i32,
    stray: bool,
}

impl Packet {
    /// An empty packet.
    pub const EMPTY: Self = Self {
        bytes: [JUNK; KEPT],
        len: 0,
        stray: true,
    };

    /// The answer to a call, 16 bytes.
    pub fn answer(ctx: u64, retval: u32) -> Self {
        let mut p = Self::EMPTY.sized(16);
        p.put64(0, ctx);
        p.put32(8, retval);
        p.put32(12, 0);
        p.stray = false;
        p
    }

    /// The same packet with another length, as near as there is one.
    pub fn sized(mut self, len: i32) -> Self {
        self.len = match len {
            i32::MIN..=64 => len,
            _ => LONGEST,
        };
        self
    }

    /// The same packet, marked as one that completes no call.
    pub fn stray(mut self) -> Self {
        self.stray = true;
        self
    }

    /// Its first bytes, whatever its length.
    pub fn bytes(&self) -> &[u8; KEPT] {
        &self.bytes
    }

    /// Its length.
    pub fn len(&self) -> i32 {
        self.len
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.len <= 0
    }

    /// Is it no proper answer to a call?
    pub fn is_stray(&self) -> bool {
        self.stray
    }

    /// The context word, if it is long enough to be looked at.
    pub fn word(&self) -> Option<u64> {
        (self.len >= 16).then(|| u64_at(&self.bytes, 0))
    }

    /// Does its form say that it does not complete a call, whatever its word is? So say version 2
    /// and flags that are unknown or mean something else.
    pub fn completes_nothing(&self) -> bool {
        self.len >= 24 && self.get32(20) == 2 && !matches!(self.get32(12), 0 | 3 | 5)
    }

    /// Four bytes as number, 0 outside.
    pub fn get32(&self, at: usize) -> u32 {
        super::wire::u32_at(&self.bytes, at)
    }

    /// Writes four bytes; nothing outside.
    pub fn put32(&mut self, at: usize, value: u32) {
        if let Some(four) = at
            .checked_add(4)
            .and_then(|end| self.bytes.get_mut(at..end))
        {
            four.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Writes eight bytes; nothing outside.
    pub fn put64(&mut self, at: usize, value: u64) {
        if let Some(eight) = at
            .checked_add(8)
            .and_then(|end| self.bytes.get_mut(at..end))
        {
            eight.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Changes bits of a byte.
    pub fn flip(&mut self, at: usize, mask: u8) {
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte ^= mask;
        }
    }
}

/// A kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Answer,
    Short,
    Long,
    Negative,
    Word,
    Marker,
    Notice,
    Signal,
    Flags,
    Version,
    Future,
    Old,
}

/// A kind of packet with its number, see `tests/sim/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    kind: Kind,
    arg: u64,
}

impl Form {
    /// The form that a word names; `None` when there is none or its number does not suit.
    pub fn parse(word: &[u8], arg: u64) -> Option<Self> {
        let (kind, range) = match word {
            b"answer" => (Kind::Answer, 0..=u64::from(u32::MAX)),
            b"short" => (Kind::Short, 0..=15),
            b"long" => (Kind::Long, 16..=u64::from(LONGEST.unsigned_abs())),
            b"negative" => (Kind::Negative, 1..=0x8000_0000),
            b"word" => (Kind::Word, 1..=u64::MAX),
            b"marker" => (Kind::Marker, 0..=64),
            b"notice" => (Kind::Notice, 0..=u64::from(u32::MAX)),
            b"signal" => (Kind::Signal, 0..=u64::MAX),
            b"flags" => (Kind::Flags, 0..=u64::from(u32::MAX)),
            b"version" => (Kind::Version, 0..=u64::from(u32::MAX)),
            b"future" => (Kind::Future, 1..=u64::from(u32::MAX)),
            b"old" => (Kind::Old, 1..=HISTORY as u64),
            _ => return None,
        };
        range.contains(&arg).then_some(Self { kind, arg })
    }

    /// Is it a proper answer, if one in another form than usual?
    pub fn completes(&self) -> bool {
        match self.kind {
            Kind::Long => true,
            Kind::Flags => matches!(self.arg, 0 | 3 | 5),
            Kind::Version => self.arg != 2,
            _ => false,
        }
    }

    /// The packet of this form for a call with the word `ctx`.
    pub fn packet(&self, ctx: u64, retval: u32, history: &History) -> Packet {
        let usual = Packet::answer(ctx, retval);
        let arg = self.arg;
        match self.kind {
            Kind::Answer => Packet::answer(ctx, arg as u32),
            Kind::Short | Kind::Long => {
                let mut p = usual.sized(arg as i32);
                // The padding of the usual form is junk here.
                p.put32(12, 0xA5A5_A5A5);
                p
            }
            Kind::Negative => usual.sized((arg as i32).wrapping_neg()),
            Kind::Word => Packet::answer(ctx ^ arg, retval),
            Kind::Marker => Packet::answer(MARKER, retval).sized(arg as i32),
            Kind::Notice => {
                let mut p = Packet::answer(MARKER, 4).sized(24);
                p.put32(12, 1);
                p.put64(16, arg);
                p
            }
            Kind::Signal => {
                let mut p = Packet::EMPTY.sized(8);
                p.put64(0, arg);
                p
            }
            Kind::Flags | Kind::Version => {
                let mut p = usual.sized(24);
                let (flags, version) = match self.kind {
                    Kind::Flags => (arg as u32, 2),
                    _ => (1, arg as u32),
                };
                p.put32(12, flags);
                p.put32(16, 1000);
                p.put32(20, version);
                p
            }
            Kind::Future => {
                // Slots are taken in turn, 255 of them; sequence numbers go up by one.
                let index = ((ctx >> 8) & 0xFF).wrapping_sub(1).wrapping_add(arg) % 255 + 1;
                let sequence = (ctx >> 16).wrapping_add(arg);
                Packet::answer((sequence << 16) | (index << 8) | (ctx & 0xFF), retval)
            }
            Kind::Old => Packet::answer(history.nth(arg as usize).unwrap_or(MARKER), retval),
        }
    }
}

/// Words of the last answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    words: [u64; HISTORY],
    count: usize,
}

impl History {
    /// Nothing was answered yet.
    pub const NONE: Self = Self {
        words: [0; HISTORY],
        count: 0,
    };

    /// Adds the word of an answer.
    pub fn add(&mut self, word: u64) {
        if let Some(slot) = self.words.get_mut(self.count % HISTORY) {
            *slot = word;
        }
        self.count = self.count.wrapping_add(1);
    }

    /// The word of the n-th last answer; the last one is number 1.
    pub fn nth(&self, n: usize) -> Option<u64> {
        if n == 0 || n > self.count.min(HISTORY) {
            return None;
        }
        let at = self.count.wrapping_sub(n) % HISTORY;
        self.words.get(at).copied()
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.count.min(HISTORY)
    }

    /// Was nothing answered yet?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl State<'_> {
    /// Sends the answer of a call, with what knobs put before, after and in the place of it.
    pub(super) fn respond(&mut self, env: &mut impl Env, ctx: u64, retval: u32) {
        let before = self.t.core.knobs.before();
        self.send_form(env, ctx, before);
        match self.t.core.knobs.shape() {
            None => env.answer(ctx, retval),
            Some(form) => env.packet(&form.packet(ctx, retval, &self.t.core.history)),
        }
        self.t.core.history.add(ctx);
        let after = self.t.core.knobs.after();
        self.send_form(env, ctx, after);
    }

    /// Sends packets of a form, beside the call with the word `ctx`.
    fn send_form(&mut self, env: &mut impl Env, ctx: u64, form: Option<(Form, u32)>) {
        let Some((form, copies)) = form else {
            return;
        };
        let packet = form.packet(ctx, WRONG, &self.t.core.history).stray();
        for _ in 0..copies {
            env.packet(&packet);
        }
    }

    /// Sends packets of a form now, as if beside the call that was answered last.
    pub fn send_now(&mut self, env: &mut impl Env, form: Form, copies: u32) {
        let ctx = self.t.core.history.nth(1).unwrap_or(MARKER);
        self.send_form(env, ctx, Some((form, copies)));
    }
}
