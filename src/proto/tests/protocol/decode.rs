// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decoder: what was encoded comes out, what was damaged is noticed, nothing panics.

use fastrpc_proto::decode::{DecodeError, Decoded, Decoder};
use fastrpc_proto::scalars::Scalars;
use fastrpc_proto::wire::PageEntry;
use proptest::prelude::*;

use crate::config;
use crate::oracle::{self, OArg};
use crate::strategies::{sound_call, Call};

const BASE: u64 = 0x3_0012_3000;

fn message(call: &Call) -> (oracle::Sizes, Vec<u8>) {
    let sizes = oracle::sizes(call.sc, &call.args, usize::MAX).expect("the call is sound");
    let bytes = oracle::message(call.sc, &call.args, &sizes, BASE);
    (sizes, bytes)
}

fn decode(bytes: &[u8], sc: u32) -> Result<Vec<Decoded>, DecodeError> {
    let decoder = Decoder::new(bytes, Scalars::new(sc))?;
    decoder.check_clean()?;
    decoder.args().collect()
}

proptest! {
    #![proptest_config(config(400))]

    // covers: T3, T10, T11, T13
    #[test]
    fn what_was_encoded_comes_out(call in sound_call()) {
        let (sizes, bytes) = message(&call);
        let decoded = decode(&bytes, call.sc).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        prop_assert_eq!(decoded.len(), call.args.len());
        for ((decoded, arg), place) in decoded.iter().zip(&call.args).zip(&sizes.places) {
            match (*decoded, *arg) {
                (Decoded::Empty, OArg::Empty) => {}
                (Decoded::Buffer { len, .. }, OArg::Inline(expected)) => {
                    prop_assert_eq!(len, expected);
                    let area = decoded.area_in(BASE, bytes.len());
                    prop_assert_eq!(area.map(|area| (area.offset, area.len)), *place);
                }
                (Decoded::Buffer { pv, address, len, .. }, OArg::Fd(user, dsp, expected)) => {
                    prop_assert_eq!((pv, address, len), (user, dsp, expected));
                }
                (Decoded::Handle { fd, offset, len, page }, OArg::Handle(tag, from, size, buffer)) => {
                    prop_assert_eq!((fd, offset, len), (tag, from, size));
                    let (address, size) = buffer.unwrap_or((0, 0));
                    prop_assert_eq!(page, PageEntry::new(address, size));
                }
                (decoded, arg) => prop_assert!(false, "{:?} became {:?}", arg, decoded),
            }
        }
    }

    // One changed bit of the metadata is an error or another call, never the same one.
    // covers: T16, T27
    #[test]
    fn damage_is_noticed(call in sound_call(), seed: usize, bit in 0_u8..8) {
        let (_, mut bytes) = message(&call);
        let before = decode(&bytes, call.sc);
        let end = 40 * call.args.len() + 388;
        bytes[seed % end] ^= 1 << bit;
        prop_assert_ne!(decode(&bytes, call.sc), before);
    }

    #[test]
    fn cut_off_metadata_is_short(call in sound_call(), seed: usize) {
        let (_, bytes) = message(&call);
        let end = 40 * call.args.len() + 388;
        prop_assert_eq!(decode(&bytes[..seed % end], call.sc), Err(DecodeError::Short));
        prop_assert!(decode(&bytes[..end], call.sc).is_ok());
    }

    // covers: T5, T182
    #[test]
    fn junk_does_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), sc: u32, sparse: bool, base: u64) {
        let sc = sc & 0x0303_0311;
        if sparse {
            // Keep the lists right more often, so that the deeper checks are reached.
            let n = oracle::counts(sc).iter().sum::<usize>();
            for i in 0..n {
                if let Some(entry) = bytes.get_mut(16 * n + 8 * i..16 * n + 8 * i + 8) {
                    entry.copy_from_slice(&[1, 0, 0, 0, i as u8, 0, 0, 0]);
                }
            }
        }
        let Ok(decoder) = Decoder::new(&bytes, Scalars::new(sc)) else {
            return Ok(());
        };
        for decoded in decoder.args().flatten() {
            let area = decoded.area_in(base, bytes.len());
            prop_assert!(area.is_none_or(|area| area.end() <= bytes.len()));
        }
        let _ = decoder.check_zero(sc as usize, usize::MAX);
        prop_assert_eq!(decoder.arg(usize::MAX), Err(DecodeError::NoArgument));
    }
}

// A buffer that begins before, ends behind or lies outside the message is not in it.
// covers: T5
#[test]
fn areas_stay_inside_the_message() {
    let decoded = |address, len| Decoded::Buffer {
        pv: address,
        address,
        len,
        page: PageEntry::EMPTY,
    };
    for (address, len, inside) in [
        (BASE, 4096, true),
        (BASE, 4097, false),
        (BASE + 4095, 1, true),
        (BASE + 4096, 1, false),
        (BASE - 1, 2, false),
        (0, 1, false),
        (u64::MAX, u64::MAX, false),
        (BASE, u64::MAX, false),
    ] {
        assert_eq!(decoded(address, len).area_in(BASE, 4096).is_some(), inside);
    }
    assert_eq!(Decoded::Empty.area_in(BASE, 4096), None);
}

// Each damaged field has its own error. Argument 0 is mapped, 1 empty, 2 a handle.
// covers: T10, T13, T16
#[test]
fn each_field_is_checked() {
    let call = Call {
        sc: 0x0002_0010,
        args: vec![
            OArg::Fd(0x7000_1234, 0x3_0050_0234, 0x1000),
            OArg::Empty,
            OArg::Handle(5, 0x100, 0x1000, Some((0x3_0060_0000, 0x2000))),
        ],
    };
    let (_, good) = message(&call);
    assert!(decode(&good, call.sc).is_ok());
    // n = 3: list at 48, pages at 72, fd list at 120.
    for (offset, value, error) in [
        (48, 0, DecodeError::ListEntry),
        (48, 2, DecodeError::ListEntry),
        (52, 1, DecodeError::ListEntry),
        (56, 1, DecodeError::ListEntry),
        (60, 0, DecodeError::ListEntry),
        (64, 0, DecodeError::ListEntry),
        (68, 3, DecodeError::ListEntry),
        (16, 1, DecodeError::EmptyNotZero),
        (88, 1, DecodeError::EmptyNotZero),
        (96, 1, DecodeError::EmptyNotZero),
        (72, 1, DecodeError::Page),
        (81, 0x10, DecodeError::Page),
        (81, 0x30, DecodeError::Page),
        (9, 0x30, DecodeError::Page),
        (44, 1, DecodeError::Reserved),
        (41, 0x20, DecodeError::OutsideBuffer),
        (113, 0x10, DecodeError::OutsideBuffer),
        (120, 1, DecodeError::Dirty(120)),
        (507, 1, DecodeError::Dirty(507)),
    ] {
        let mut bytes = good.clone();
        assert_ne!(bytes[offset], value, "byte {offset} changes");
        bytes[offset] = value;
        assert_eq!(decode(&bytes, call.sc), Err(error), "byte {offset}");
    }
}
