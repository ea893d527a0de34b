// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The sub-allocator of the message arena against a row of flags.
//!
//! Input: u8 number of granules (modulo 193), then operations: u8 what and which, and a length of
//! 32 bits (all ones: as many bytes as there are addresses) for an allocation.

#![no_main]

// covers: T5, T182

use fastrpc_proto::suballoc::{Block, SubAlloc, GRANULE};
use input::Input;

fn longest(taken: &[bool]) -> usize {
    let runs = taken.split(|taken| *taken);
    runs.map(<[bool]>::len).max().unwrap_or(0)
}

fn granules(block: &Block) -> std::ops::Range<usize> {
    let first = block.offset() / GRANULE;
    first..first + block.len() / GRANULE
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let count = usize::from(input.u8()) % 193;
    let mut chunk = SubAlloc::<3>::new(5, count * GRANULE).expect("the bitmap has 192 bits");
    let mut taken = vec![false; count];
    let mut blocks: Vec<Block> = Vec::new();

    while !input.is_empty() {
        let what = usize::from(input.u8());
        if what % 2 == 0 {
            let bytes = match input.u32() {
                u32::MAX => usize::MAX,
                bytes if what % 4 == 0 => bytes as usize % (8 * GRANULE),
                bytes => bytes as usize % (200 * GRANULE),
            };
            let need = bytes.div_ceil(GRANULE);
            let block = chunk.alloc(bytes);
            assert_eq!(block.is_some(), need != 0 && need <= longest(&taken));
            if let Some(block) = block {
                assert_eq!(block.len(), need * GRANULE);
                for granule in granules(&block) {
                    assert!(!taken[granule]);
                    taken[granule] = true;
                }
                blocks.push(block);
            }
        } else if !blocks.is_empty() {
            let block = blocks.swap_remove(what / 2 % blocks.len());
            taken[granules(&block)].fill(false);
            assert_eq!(chunk.free(block), Ok(()));
        }
        let used = taken.iter().filter(|taken| **taken).count();
        assert_eq!(chunk.used(), used * GRANULE);
    }
    for block in blocks {
        assert_eq!(chunk.free(block), Ok(()));
    }
    assert!(chunk.is_empty());
});
