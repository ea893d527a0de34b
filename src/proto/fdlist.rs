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
/// Entries that are no tag of a buffer are passed over: tags are positive numbers of 31 bits. A tag
/// may come more than once, and may be one that nobody ever sent.
pub fn dropped_tags(list: &[u8; FD_LIST_SIZE]) -> impl Iterator<Item = i32> + '_ {
    list.chunks_exact(8)
        .map(|entry| <[u8; 8]>::try_from(entry).map_or(0, u64::from_le_bytes))
        .take_while(|entry| *entry != 0)
        .filter_map(|entry| i32::try_from(entry).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn tags(entries: &[u64]) -> Vec<i32> {
        let mut list = [0; FD_LIST_SIZE];
        for (to, entry) in list.chunks_exact_mut(8).zip(entries) {
            to.copy_from_slice(&entry.to_le_bytes());
        }
        dropped_tags(&list).collect()
    }

    // covers: T26
    #[test]
    fn ends_at_zero_or_after_sixteen() {
        assert_eq!(tags(&[]), []);
        assert_eq!(tags(&[7, 9, 0, 11]), [7, 9]);
        assert_eq!(tags(&[3; 20]), [3; 16]);
    }

    // covers: T26
    #[test]
    fn passes_over_what_is_no_tag() {
        let odd = [
            u64::MAX,
            1 << 31,
            1 << 32 | 5,
            0xffff_ffff,
            0x7fff_ffff,
            5,
            1 << 63,
        ];
        assert_eq!(tags(&odd), [0x7fff_ffff, 5]);
    }

    // covers: T26
    #[test]
    fn repeats_are_given_as_they_are() {
        assert_eq!(tags(&[4, 4, 5, 4]), [4, 4, 5, 4]);
    }
}
