// SPDX-License-Identifier: GPL-2.0
//! Reproducible random numbers, and the values that interfaces stumble over.

use crate::mem::BAD_ADDRESSES;

/// A generator of 64-bit numbers (splitmix64): small, and any seed is a good one.
#[derive(Clone)]
pub struct Dice(u64);

/// Mixes numbers into a seed of their own.
pub fn mix(seed: u64, number: u64) -> u64 {
    Dice(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)).next()
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True in `part` of `whole` cases.
    pub fn once_in(&mut self, whole: u64) -> bool {
        self.below(whole) == 0
    }

    /// One of several values.
    pub fn of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len() as u64) as usize]
    }

    /// A number at one of the edges, or close to one, or anywhere.
    pub fn edge(&mut self) -> u64 {
        match self.below(8) {
            0 | 1 => self.of(EDGES),
            2 => self.of(EDGES).wrapping_add(self.below(17)).wrapping_sub(8),
            3 => self.of(BAD_ADDRESSES),
            4 => 1 << self.below(64),
            5 => self.below(256),
            6 => self.below(1 << 20),
            _ => self.next(),
        }
    }

    /// Changes bytes at one place: a number of 32 or 64 bits, or one bit.
    pub fn spoil(&mut self, bytes: &mut [u8]) {
        if bytes.len() < 4 {
            return;
        }
        let words = bytes.len() as u64 / 4;
        let at = 4 * self.below(words) as usize;
        match self.below(6) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 | 2 => bytes[at..at + 4].copy_from_slice(&(self.edge() as u32).to_le_bytes()),
            3 => {
                let old = crate::dsp::u32_at(bytes, at);
                let step = self.of(&[1, 4, 8, 4096, u32::MAX, 0u32.wrapping_sub(4096)]);
                bytes[at..at + 4].copy_from_slice(&old.wrapping_add(step).to_le_bytes());
            }
            _ => {
                let at = at & !7;
                let edge = self.edge().to_le_bytes();
                let end = (at + 8).min(bytes.len());
                bytes[at..end].copy_from_slice(&edge[..end - at]);
            }
        }
    }
}

/// Numbers where lengths, signs, pages and limits change.
const EDGES: &[u64] = &[
    0,
    1,
    2,
    8,
    48,
    127,
    128,
    255,
    256,
    540,
    4095,
    4096,
    4097,
    8192,
    0x1000,
    0x3000,
    4 << 20,
    64 << 20,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_f000,
    0xffff_ffff,
    1 << 32,
    (1 << 32) + 4096,
    1 << 47,
    1 << 48,
    1 << 62,
    0x7fff_ffff_ffff_ffff,
    1 << 63,
    0xffff_ffff_ffff_f000,
    u64::MAX,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let mut one = Dice::new(7);
        let mut two = Dice::new(7);
        let numbers: Vec<u64> = (0..100).map(|_| one.edge()).collect();
        assert_eq!(numbers, (0..100).map(|_| two.edge()).collect::<Vec<_>>());
        assert_ne!(Dice::new(8).next(), Dice::new(7).next());
        assert_ne!(mix(7, 1), mix(7, 2));
    }

    #[test]
    fn spoiling_stays_inside_and_changes_something() {
        let mut dice = Dice::new(3);
        let mut changed = 0;
        for length in [4, 8, 12, 16, 40, 48] {
            for _ in 0..1000 {
                let mut bytes = vec![0x55; length];
                dice.spoil(&mut bytes);
                assert_eq!(bytes.len(), length);
                changed += usize::from(bytes.iter().any(|byte| *byte != 0x55));
            }
        }
        assert!(changed > 5500, "{changed}");
    }
}
