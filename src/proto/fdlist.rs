// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The fd list of a message: what the DSP says it has dropped.
//!
//! Owns the reading of those 128 bytes, of which the caller hands in a copy. The DSP's word is
//! advice: a tag only says which of its own entries the caller may look at. Takes no locks.
//!
//! Source: wire protocol, section 7.

use super::layout::FD_LIST_SIZE;

/// The tags in a copy of the fd list, up to the first entry that is zero.
///
/// A tag is the lower half of its entry; the upper half means nothing. A tag may come more than
/// once, and may be one that nobody ever sent.
pub fn dropped_tags(list: &[u8; FD_LIST_SIZE]) -> impl Iterator<Item = i32> + '_ {
    list.chunks_exact(8)
        .filter_map(|entry| Some((entry.first_chunk::<4>()?, entry.last_chunk::<4>()?)))
        .take_while(|(tag, rest)| **tag != [0; 4] || **rest != [0; 4])
        .map(|(tag, _)| i32::from_le_bytes(*tag))
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_fdlist))]
mod tests {
    use super::*;

    /// Whether a list of these entries (and zeros behind them) says that `expected` were dropped.
    fn drops(entries: &[u64], expected: &[i32]) -> bool {
        let mut list = [0; FD_LIST_SIZE];
        for (to, entry) in list.chunks_exact_mut(8).zip(entries) {
            to.copy_from_slice(&entry.to_le_bytes());
        }
        dropped_tags(&list).eq(expected.iter().copied())
    }

    // covers: T26
    #[test]
    fn ends_at_zero_or_after_sixteen() {
        assert!(drops(&[], &[]));
        assert!(drops(&[7, 9, 0, 11], &[7, 9]));
        assert!(drops(&[3; 20], &[3; 16]));
    }

    // covers: T26
    #[test]
    fn upper_halves_mean_nothing() {
        let odd = [
            u64::MAX,
            1 << 31,
            (1 << 32) | 5,
            1 << 32,
            0xffff_fffe,
            0x7fff_ffff,
            5,
            1 << 63,
        ];
        assert!(drops(&odd, &[-1, i32::MIN, 5, 0, -2, i32::MAX, 5, 0]));
    }

    // covers: T26
    #[test]
    fn repeats_are_given_as_they_are() {
        assert!(drops(&[4, 4, 5, 4], &[4, 4, 5, 4]));
    }
}
