// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The context word: what identifies an outstanding call.
//!
//! Owns the packing of slot index, sequence number and PD into the 64-bit word that the firmware
//! echoes. Takes no locks. Used by `slots`, `wire` and the simulator.
//!
//! Source: wire protocol, section 4.

use core::num::NonZeroU8;

/// What the firmware sends instead of a context word in a notification about a process.
///
/// It cannot equal a real word: its low byte is 0xcd, that of a real word is 0, 1 or 2.
pub const PD_NOTIFICATION: u64 = 0xabcd_abcd;

/// The protection domain (process) on the DSP that a call belongs to.
///
/// The firmware picks its queue from these bits, so every message of a client carries its PD.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Pd {
    /// The root PD of the DSP, joined by attach.
    Root = 0,
    /// A process created for the client, or a static one.
    User = 1,
    /// The sensors PD, joined by attach.
    Sensors = 2,
}

impl Pd {
    /// The number of the PD in bits 3:0 of the context word.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Root => 0,
            Self::User => 1,
            Self::Sensors => 2,
        }
    }

    /// The PD with this number, or `None` for any other number.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Root),
            1 => Some(Self::User),
            2 => Some(Self::Sensors),
            _ => None,
        }
    }
}

/// A sequence number.
///
/// # Invariants
///
/// The number is in `1..=Sequence::MAX`; 0 is never used, so that a zeroed word is no live one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The largest number: all 48 bits set.
    pub const MAX: u64 = (1 << 48) - 1;

    /// The number of the first call of the first channel.
    // INVARIANT: 1 is in range.
    pub const FIRST: Self = Self(1);

    /// The number of the first call of the `count`-th channel, counted from 0.
    ///
    /// Channels begin 2^32 numbers apart, so that an answer to a call of one matches no call of
    /// those after it. After 2^16 channels it begins anew.
    pub const fn of_channel(count: u64) -> Self {
        // INVARIANT: 16 bits above 32, and not 0.
        Self(((count & 0xffff) << 32) | 1)
    }

    /// Takes a number, or gives `None` when it is 0 or has more than 48 bits.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number > Self::MAX {
            return None;
        }
        // INVARIANT: just checked.
        Some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of the following call. It wraps from [`Sequence::MAX`] to 1.
    pub const fn next(self) -> Self {
        match self.0 {
            // INVARIANT: `number` is below the maximum, so one more is in range.
            number if number < Self::MAX => Self(number + 1),
            _ => Self::FIRST,
        }
    }
}

/// A context word that this side may have sent.
///
/// | bits | field |
/// |---|---|
/// | 3:0 | PD |
/// | 7:4 | asynchronous flag and reserved bits, always 0 |
/// | 15:8 | slot index, 1..=255 |
/// | 63:16 | sequence number, never 0 |
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ContextWord {
    index: NonZeroU8,
    sequence: Sequence,
    pd: Pd,
}

impl ContextWord {
    /// Puts a word together.
    pub const fn new(index: NonZeroU8, sequence: Sequence, pd: Pd) -> Self {
        Self {
            index,
            sequence,
            pd,
        }
    }

    /// The slot index.
    pub const fn index(self) -> NonZeroU8 {
        self.index
    }

    /// The slot index, for use with tables of one entry per slot. It is in `1..=255`.
    pub fn slot(self) -> usize {
        usize::from(self.index.get())
    }

    /// The sequence number.
    pub const fn sequence(self) -> Sequence {
        self.sequence
    }

    /// The PD.
    pub const fn pd(self) -> Pd {
        self.pd
    }

    /// The word as it travels.
    pub fn pack(self) -> u64 {
        (self.sequence.get() << 16) | (u64::from(self.index.get()) << 8) | u64::from(self.pd.bits())
    }

    /// Reads a word, or gives `None` when no driver of this protocol would have sent it.
    pub const fn unpack(raw: u64) -> Option<Self> {
        let [low, index, ..] = raw.to_le_bytes();
        // The asynchronous flag and the reserved bits count as part of the PD number, which
        // refuses every value above 2.
        let Some(pd) = Pd::from_bits(low) else {
            return None;
        };
        let Some(index) = NonZeroU8::new(index) else {
            return None;
        };
        let Some(sequence) = Sequence::new(raw >> 16) else {
            return None;
        };
        Some(Self {
            index,
            sequence,
            pd,
        })
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_context))]
mod tests {
    use super::*;

    fn word(index: u8, sequence: u64, pd: Pd) -> ContextWord {
        ContextWord::new(
            NonZeroU8::new(index).unwrap(),
            Sequence::new(sequence).unwrap(),
            pd,
        )
    }

    // covers: T132
    #[test]
    fn channels_do_not_share_numbers() {
        assert!(Sequence::of_channel(0) == Sequence::FIRST);
        for count in [1, 2, 0xffff, 0x1_ffff, u64::MAX] {
            let first = Sequence::of_channel(count).get();
            assert!(Sequence::new(first).is_some());
            assert!(first - Sequence::of_channel(count - 1).get() == 1 << 32 || count == 1 << 16);
        }
        assert!(Sequence::of_channel(1 << 16) == Sequence::FIRST);
    }

    #[test]
    fn first_call_of_a_channel() {
        let first = ContextWord::new(NonZeroU8::MIN, Sequence::FIRST, Pd::User);
        assert_eq!(first.pack(), 0x1_0101);
    }

    // covers: T42
    #[test]
    fn sequence_has_48_bits_and_is_never_zero() {
        assert_eq!(Sequence::new(0), None);
        assert_eq!(Sequence::new(1), Some(Sequence::FIRST));
        assert_eq!(Sequence::new(Sequence::MAX + 1), None);
        assert_eq!(Sequence::new(2 * Sequence::MAX + 1), None);
        assert_eq!(Sequence::new(u64::MAX), None);

        let last = Sequence::new(Sequence::MAX).unwrap();
        assert_eq!(last.next(), Sequence::FIRST);
        let before = Sequence::new(Sequence::MAX - 1).unwrap();
        assert_eq!(before.next(), last);
        // No step through 32 bits.
        let low = Sequence::new(u64::from(u32::MAX)).unwrap();
        assert_eq!(low.next().get(), 1 << 32);
    }

    // covers: T42
    #[test]
    fn pack_and_unpack_agree_at_the_limits() {
        for index in [1, 2, 127, 128, 254, 255] {
            for sequence in [1, 2, 0xffff_ffff, 0x1_0000_0000, Sequence::MAX] {
                for pd in [Pd::Root, Pd::User, Pd::Sensors] {
                    let word = word(index, sequence, pd);
                    assert_eq!(ContextWord::unpack(word.pack()), Some(word));
                    assert_eq!(word.slot(), usize::from(index));
                    assert_eq!((word.sequence().get(), word.pd()), (sequence, pd));
                }
            }
        }
        assert_eq!(
            word(255, Sequence::MAX, Pd::Sensors).pack(),
            0xffff_ffff_ffff_ff02
        );
    }

    // covers: T40, T42
    #[test]
    fn words_that_nobody_sends_are_refused() {
        let good = word(1, 1, Pd::User).pack();
        for low in 0..=u8::MAX {
            let raw = good & !0xff | u64::from(low);
            assert_eq!(ContextWord::unpack(raw).is_some(), low <= 2);
        }
        assert_eq!(ContextWord::unpack(good & !0xff00), None);
        assert_eq!(ContextWord::unpack(good & 0xffff), None);
        assert_eq!(ContextWord::unpack(0), None);
    }

    // covers: T41
    #[test]
    fn the_marker_is_no_word() {
        assert_eq!(ContextWord::unpack(PD_NOTIFICATION), None);
        for index in 1..=u8::MAX {
            for pd in [Pd::Root, Pd::User, Pd::Sensors] {
                // The low byte alone tells them apart, whatever the sequence number is.
                assert!(word(index, 1, pd).pack() & 0xff != PD_NOTIFICATION & 0xff);
                let same_sequence = word(index, PD_NOTIFICATION >> 16, pd);
                assert!(same_sequence.pack() != PD_NOTIFICATION);
            }
        }
    }
}
