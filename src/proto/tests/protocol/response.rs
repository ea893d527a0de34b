// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Received messages and context words: everything a DSP can send, against the oracle.

use std::num::NonZeroU8;

use fastrpc_proto::context::{ContextWord, Pd, Sequence, PD_NOTIFICATION};
use fastrpc_proto::errors::DspResult;
use fastrpc_proto::slots::{Outcome, Slot, SlotTable, TABLE_LEN};
use fastrpc_proto::wire::Response;
use proptest::prelude::*;

use crate::config;
use crate::oracle;

fn word() -> impl Strategy<Value = ContextWord> {
    let pd = prop::sample::select(vec![Pd::Root, Pd::User, Pd::Sensors]);
    let sequence = prop_oneof![
        1 => Just(1),
        1 => Just(Sequence::MAX),
        4 => 1..=Sequence::MAX,
    ];
    (1_u8..=255, sequence, pd).prop_map(|(index, sequence, pd)| {
        ContextWord::new(
            NonZeroU8::new(index).expect("the range begins at 1"),
            Sequence::new(sequence).expect("the range is that of the type"),
            pd,
        )
    })
}

/// Messages in which the decisive fields often have decisive values.
fn received() -> impl Strategy<Value = Vec<u8>> {
    let context = prop_oneof![
        3 => word().prop_map(ContextWord::pack),
        1 => Just(0xabcd_abcd),
        1 => any::<u32>().prop_map(|high| (u64::from(high) << 32) | 0xabcd_abcd),
        1 => any::<u64>(),
    ];
    let flags = prop_oneof![3 => 0_u32..8, 1 => any::<u32>()];
    let version = prop_oneof![3 => 0_u32..4, 1 => any::<u32>()];
    let tail = prop::collection::vec(any::<u8>(), 0..600);
    (
        context,
        any::<i32>(),
        flags,
        any::<u32>(),
        version,
        tail,
        0_usize..80,
    )
        .prop_map(|(context, result, flags, wake, version, tail, len)| {
            let mut bytes = Vec::new();
            bytes.extend(context.to_le_bytes());
            bytes.extend(result.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(wake.to_le_bytes());
            bytes.extend(version.to_le_bytes());
            bytes.extend(tail);
            bytes.truncate(len.max(len % 8 * 80));
            bytes
        })
}

/// Reads a word as section 4 describes it.
fn oracle_word(raw: u64) -> Option<(u64, u64, u64)> {
    let (pd, index, sequence) = (raw % 256, raw / 256 % 256, raw / 65536);
    (pd <= 2 && index >= 1 && sequence >= 1).then_some((index, sequence, pd))
}

proptest! {
    #![proptest_config(config(5000))]

    // covers: T35, T41, T50
    #[test]
    fn responses(bytes in received()) {
        let ours = Response::parse(&bytes).ok();
        let ours = ours.map(|response| (response.word, response.result.raw()));
        prop_assert_eq!(ours, oracle::response(&bytes));
    }

    // covers: T35
    #[test]
    fn junk(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let ours = Response::parse(&bytes).ok();
        let ours = ours.map(|response| (response.word, response.result.raw()));
        prop_assert_eq!(ours, oracle::response(&bytes));
    }

    // covers: T42
    #[test]
    fn any_word(raw: u64) {
        for raw in [raw, raw & !0xfc, raw & 0xffff_ff03, raw & !0xff00] {
            let ours = ContextWord::unpack(raw);
            let fields = ours.map(|word| (
                word.slot() as u64,
                word.sequence().get(),
                u64::from(word.pd().bits()),
            ));
            prop_assert_eq!(fields, oracle_word(raw));
            prop_assert!(ours.is_none_or(|word| word.pack() == raw));
        }
    }

    // covers: T40
    #[test]
    fn a_flipped_bit_is_another_word(word in word(), bit in 0_u32..64) {
        let raw = word.pack() ^ (1 << bit);
        prop_assert_ne!(ContextWord::unpack(raw), Some(word));
    }
}

// For every slot, PD and bit of the word: no other answer is taken than the right one.
// covers: T40
#[test]
fn a_full_table_takes_no_changed_word() {
    let pds = [Pd::Root, Pd::User, Pd::Sensors];
    let mut table = SlotTable::new(vec![Slot::FREE; TABLE_LEN]);
    let words: Vec<_> = (1..TABLE_LEN)
        .map(|index| {
            let word = table.prepare(pds[index % 3]).expect("there are 255 slots");
            table.mark_sent(word).expect("the slot is prepared");
            word
        })
        .collect();
    for word in &words {
        for bit in 0..64 {
            let outcome = table.respond(word.pack() ^ (1 << bit), DspResult::SUCCESS);
            assert!(matches!(outcome, Outcome::Drop(_)));
        }
    }
    assert!(words.iter().all(|word| table.is_pending(*word)));
    for word in words {
        let outcome = table.respond(word.pack(), DspResult::SUCCESS);
        assert_eq!(outcome, Outcome::Wake(word.slot()));
    }
}

// All slots and PDs; the sequence number cannot help, as the low byte decides.
// covers: T41
#[test]
fn the_marker_never_matches() {
    const { assert!(PD_NOTIFICATION & 0xff > 2) };
    let marker_sequence = Sequence::new(PD_NOTIFICATION >> 16).expect("it is not 0");
    for pd in [Pd::Root, Pd::User, Pd::Sensors] {
        let storage = vec![Slot::FREE; TABLE_LEN];
        let mut table = SlotTable::with_sequence(storage, marker_sequence);
        for index in 1..TABLE_LEN {
            // The slot of the marker (0xab) gets the sequence number of the marker in its turn.
            let word = table.prepare(pd).expect("there are 255 slots");
            table.mark_sent(word).expect("the slot is prepared");
            assert_eq!(word.slot(), index);
            assert_ne!(word.pack(), PD_NOTIFICATION);
            let index = NonZeroU8::new(index as u8).expect("the range begins at 1");
            let same = ContextWord::new(index, marker_sequence, pd);
            assert_ne!(same.pack(), PD_NOTIFICATION);
        }
        let outcome = table.respond(PD_NOTIFICATION, DspResult::SUCCESS);
        assert!(matches!(outcome, Outcome::Drop(_)));
    }
}
