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
