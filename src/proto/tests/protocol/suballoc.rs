// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The sub-allocator against a vector of flags.

use fastrpc_proto::suballoc::{Block, SubAlloc, GRANULE};
use proptest::prelude::*;

use crate::config;

#[derive(Clone, Debug)]
enum Op {
    Alloc(usize),
    Free(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = prop_oneof![
        4 => 0..5 * GRANULE,
        1 => 0..40 * GRANULE,
        1 => prop::sample::select(vec![0, 1, GRANULE, usize::MAX, usize::MAX - GRANULE]),
    ];
    prop_oneof![
        3 => bytes.prop_map(Op::Alloc),
        2 => any::<usize>().prop_map(Op::Free),
    ]
}

/// The longest run of free granules.
fn longest(taken: &[bool]) -> usize {
    taken
        .split(|taken| *taken)
        .map(<[bool]>::len)
        .max()
        .unwrap_or(0)
}

fn granules(block: &Block) -> std::ops::Range<usize> {
    let first = block.offset() / GRANULE;
    first..first + block.len() / GRANULE
}

proptest! {
    #![proptest_config(config(500))]

    // Blocks are granules that were free, nothing is refused that fits, and all memory comes back.
    #[test]
    fn random_orders(count in 0_usize..=192, ops in prop::collection::vec(op(), 1..200)) {
        let mut chunk = SubAlloc::<3>::new(5, count * GRANULE).expect("the bitmap has 192 bits");
        let mut taken = vec![false; count];
        let mut blocks: Vec<Block> = Vec::new();
        for op in ops {
            match op {
                Op::Alloc(bytes) => {
                    let need = bytes.div_ceil(GRANULE);
                    let expected = need != 0 && need <= longest(&taken);
                    let block = chunk.alloc(bytes);
                    prop_assert_eq!(block.is_some(), expected);
                    if let Some(block) = block {
                        prop_assert_eq!(block.len(), need * GRANULE);
                        for granule in granules(&block) {
                            prop_assert!(!taken[granule]);
                            taken[granule] = true;
                        }
                        blocks.push(block);
                    }
                }
                Op::Free(seed) if !blocks.is_empty() => {
                    let block = blocks.swap_remove(seed % blocks.len());
                    taken[granules(&block)].fill(false);
                    prop_assert_eq!(chunk.free(block), Ok(()));
                }
                Op::Free(_) => {}
            }
            let used = taken.iter().filter(|taken| **taken).count();
            prop_assert_eq!(chunk.used(), used * GRANULE);
            prop_assert_eq!(chunk.is_empty(), used == 0);
        }
        for block in blocks {
            prop_assert_eq!(chunk.free(block), Ok(()));
        }
        prop_assert!(chunk.is_empty());
        prop_assert_eq!(chunk.alloc(count * GRANULE).is_some(), count != 0);
    }
}
