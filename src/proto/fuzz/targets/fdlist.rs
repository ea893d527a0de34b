// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The list of dropped tags that the DSP writes into a message.
//!
//! The input is the list; what is missing is zero.

#![no_main]

// covers: T26, T182

use fastrpc_proto::fdlist::dropped_tags;

/// Bytes of the list: 16 entries of 64 bits.
const SIZE: usize = 128;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut list = [0; SIZE];
    let len = bytes.len().min(SIZE);
    list[..len].copy_from_slice(&bytes[..len]);

    let mut expected = Vec::new();
    for n in 0..16 {
        let mut entry = 0_u64;
        for at in (0..8).rev() {
            entry = entry * 256 + u64::from(list[8 * n + at]);
        }
        if entry == 0 {
            break;
        }
        expected.push(entry as u32 as i32);
    }
    assert_eq!(dropped_tags(&list).collect::<Vec<_>>(), expected);
});
