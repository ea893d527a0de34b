// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Scalars and layout against the oracle.

use fastrpc_proto::layout::{LayoutError, Placed, Plan, Planned};
use fastrpc_proto::scalars::Scalars;
use proptest::prelude::*;

use crate::config;
use crate::oracle;
use crate::strategies::{sound_call, wild_call, Call};

pub fn plan(call: &Call, limit: usize) -> Result<(Vec<Placed>, Planned), LayoutError> {
    let mut plan = Plan::new(Scalars::new(call.sc), limit);
    let placed: Result<Vec<_>, _> = call.args().iter().map(|arg| plan.place(arg)).collect();
    Ok((placed?, plan.finish()?))
}

fn check(call: &Call, limit: usize) -> Result<(), TestCaseError> {
    let ours = plan(call, limit);
    let theirs = oracle::sizes(call.sc, &call.args, limit);
    match (ours, theirs) {
        (Ok((placed, planned)), Some(sizes)) => {
            prop_assert_eq!(planned.used(), sizes.used);
            prop_assert_eq!(planned.size(), sizes.size);
            let places: Vec<_> = placed
                .iter()
                .map(|placed| placed.area.map(|area| (area.offset, area.len)))
                .collect();
            prop_assert_eq!(places, sizes.places);
            for (index, placed) in placed.iter().enumerate() {
                prop_assert_eq!(placed.index, index);
                prop_assert_eq!(placed.class.is_out(), oracle::is_output(call.sc, index));
            }
        }
        (Err(_), None) => {}
        (ours, theirs) => prop_assert!(false, "we say {:?}, the oracle {:?}", ours, theirs),
    }
    Ok(())
}

// covers: T12
#[test]
fn scalars_at_all_edges() {
    let edges = [0, 1, 2, 127, 128, 254, 255];
    let handle_edges = [0, 1, 7, 8, 14, 15];
    for in_bufs in edges {
        for out_bufs in edges {
            for in_handles in handle_edges {
                for out_handles in handle_edges {
                    let built = Scalars::build(9, in_bufs, out_bufs, in_handles, out_handles);
                    let scalars = built.expect("all parts are in range");
                    let counts = oracle::counts(scalars.raw());
                    assert_eq!(
                        counts,
                        [
                            scalars.in_bufs(),
                            scalars.out_bufs(),
                            scalars.in_handles(),
                            scalars.out_handles()
                        ]
                    );
                    assert_eq!(scalars.total(), counts.iter().sum::<usize>());
                    assert_eq!(scalars.classes().len(), scalars.total());
                    if cfg!(miri) {
                        continue;
                    }
                    let mut found = [0; 4];
                    let mut last = 0;
                    for class in scalars.classes() {
                        let number = class as usize;
                        assert!(number >= last, "classes come in the order of the document");
                        last = number;
                        found[number] += 1;
                    }
                    assert_eq!(found, counts);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(3000))]

    // covers: T12
    #[test]
    fn any_word_is_read_as_the_document_says(raw: u32) {
        let scalars = Scalars::new(raw);
        prop_assert_eq!(scalars.raw(), raw);
        prop_assert_eq!(u32::from(scalars.attributes()), raw >> 29);
        prop_assert_eq!(u32::from(scalars.method()), (raw >> 24) & 31);
        prop_assert_eq!(scalars.total(), oracle::counts(raw).iter().sum::<usize>());
    }

    // covers: T1, T3, T4, T5, T6, T10, T11, T13
    #[test]
    fn hostile_calls(call in wild_call(), small in 0_usize..40_000) {
        for limit in [small, 64 << 20, usize::MAX] {
            check(&call, limit)?;
        }
    }
}

proptest! {
    #![proptest_config(config(300))]

    // covers: T1, T12
    #[test]
    fn large_calls(call in sound_call()) {
        check(&call, 64 << 20)?;
    }

    // Room from nothing to more than enough: refused exactly below the need.
    // covers: T6, T7
    #[test]
    fn room_around_the_need(call in sound_call()) {
        let need = oracle::sizes(call.sc, &call.args, usize::MAX).expect("the call is sound").size;
        for (limit, fits) in [(0, false), (need - 4096, false), (need - 1, false), (need, true), (need + 1, true)] {
            prop_assert_eq!(plan(&call, limit).is_ok(), fits);
        }
    }
}
