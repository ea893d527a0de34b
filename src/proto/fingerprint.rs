// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What makes two calls the same call.
//!
//! A system call that a signal interrupted is made again with the same arguments. [`Fingerprint`]
//! condenses what a caller says about a call into 64 bits, by which the driver recognises the call
//! when it comes back. It is no protection: a caller can only confuse its own calls with it. Two
//! calls that differ in one word always differ in their fingerprints, others with all but
//! certainty. Takes no locks.

use core::hash::Hasher;

/// Condenses words and bytes into 64 bits. Order and lengths matter.
#[derive(Clone, Debug)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Nothing was taken in yet.
    pub const fn new() -> Self {
        // Any odd number does: it only keeps words of zeroes from staying zero.
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Takes in one word. For each word this is a permutation of the state, so a difference stays.
    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = (mixed ^ (mixed >> 32)).rotate_left(23);
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(word));
        }
        // CAST: `usize` has at most 64 bits.
        self.word(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_fingerprint))]
mod tests {
    use super::super::layout::Arg;
    use super::super::wire::PageEntry;
    use super::*;
    use core::hash::Hash;

    fn of_words(words: &[u64]) -> u64 {
        let mut print = Fingerprint::new();
        for word in words {
            print.write_u64(*word);
        }
        print.finish()
    }

    fn of_bytes(bytes: &[u8]) -> u64 {
        let mut print = Fingerprint::new();
        print.write(bytes);
        print.finish()
    }

    fn of_arg(arg: &Arg) -> u64 {
        let mut print = Fingerprint::new();
        arg.hash(&mut print);
        print.finish()
    }

    // covers: T51
    #[test]
    fn every_single_bit_matters() {
        let none = of_words(&[0; 4]);
        for bit in 0..256 {
            let mut words = [0; 4];
            words[bit / 64] = 1 << (bit % 64);
            assert!(of_words(&words) != none);
            let mut bytes = [0; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            assert!(of_bytes(&bytes) != of_bytes(&[0; 32]));
        }
    }

    #[test]
    fn order_and_length_matter() {
        assert!(of_words(&[1, 2]) != of_words(&[2, 1]));
        assert!(of_words(&[0]) != of_words(&[0, 0]));
        for len in 0..40 {
            assert!(of_bytes(&[0; 40][..len]) != of_bytes(&[0; 41][..=len]));
        }
    }

    // covers: T51
    #[test]
    fn every_part_of_an_argument_matters() {
        let page = Some(PageEntry::new(0x1000, 0x2000));
        let other = Some(PageEntry::new(0x2000, 0x2000));
        let handle = |fd, offset, len, page| Arg::Handle {
            fd,
            offset,
            len,
            page,
        };
        let args = [
            Arg::Empty,
            Arg::Inline { len: 8 },
            Arg::Inline { len: 9 },
            Arg::mapped(0x1000, 0x2000, 8),
            Arg::mapped(0x1000, 0x3000, 8),
            Arg::mapped(0x2000, 0x2000, 8),
            Arg::mapped(0x1000, 0x2000, 9),
            handle(1, 2, 3, page),
            handle(2, 2, 3, page),
            handle(1, 3, 3, page),
            handle(1, 2, 4, page),
            handle(1, 2, 3, None),
            handle(1, 2, 3, other),
        ];
        for (place, one) in args.iter().enumerate() {
            for two in &args[..place] {
                assert!(of_arg(one) != of_arg(two));
            }
        }
    }
}
