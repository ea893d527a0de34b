// SPDX-License-Identifier: GPL-2.0

//! Calls of modules, and what `tests/sim/README.md` says about their numbers.

use super::{Msg, Rig, A, H};
use qda_sim_model::Profile;

pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub fn words(list: &[u64]) -> Vec<u8> {
    list.iter().flat_map(|w| w.to_le_bytes()).collect()
}

pub fn long(b: &[u8], i: usize) -> u64 {
    u64::from_le_bytes(b[8 * i..8 * i + 8].try_into().unwrap())
}

pub fn checksum(b: &[u8]) -> Vec<u8> {
    let sum = b.iter().map(|b| u64::from(*b)).sum();
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for chunk in b.chunks(8) {
        let mut w = [0; 8];
        w[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(w))
            .wrapping_mul(GOLDEN)
            .rotate_left(31);
    }
    words(&[sum, hash])
}

pub fn stream(seed: u64, n: usize) -> Vec<u8> {
    let word = |k: u64| seed.wrapping_add(k).wrapping_mul(GOLDEN).to_le_bytes();
    (0..n.div_ceil(8) as u64).flat_map(word).take(n).collect()
}

/// A process in bank 1 with a module.
pub fn start(module: &str) -> (Rig, u32) {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    let h = r.open(1, 1, module);
    (r, h)
}

pub fn run(r: &mut Rig, handle: u32, method: u32, args: &[A]) -> (u32, Msg) {
    let m = r.build(1, 1, 1, handle, method, args);
    (r.call(&m), m)
}

/// A buffer of four pages for handles.
pub fn handle(fd: i32, offset: u32, len: u32) -> H {
    H {
        fd,
        offset,
        len,
        iova: 0xC000_0000,
        size: 0x4000,
    }
}
