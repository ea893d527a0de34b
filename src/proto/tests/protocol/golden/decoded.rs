// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The DSP's view of a vector: what the decoder finds in its bytes is what the caller asked for.
//!
//! Spans of pages are computed here again, in plain numbers, since the decoder and the encoder share
//! their arithmetic.

use fastrpc_proto::context::ContextWord;
use fastrpc_proto::decode::{Decoded, Decoder};
use fastrpc_proto::layout::Area;
use fastrpc_proto::wire::{PageEntry, Request};

use super::vector::{scalars, word, Call, GArg, Origin};

/// The page entry of a buffer argument by section 8.
fn span(address: u64, len: u64) -> PageEntry {
    let in_page = address % 4096;
    PageEntry::new(address - in_page, (in_page + len).div_ceil(4096) * 4096)
}

/// The fields of the request.
fn check_request(name: &str, call: &Call, request: &[u8], size: usize) {
    let request = Request::parse(request).expect("a request has 40 bytes");
    let context = ContextWord::unpack(request.context());
    assert_eq!(request.client(), call.sender, "{name}: client");
    assert_eq!(request.tid(), call.tid, "{name}: tid");
    assert_eq!(context, Some(word(call)), "{name}: context word");
    assert_eq!(request.handle(), call.handle, "{name}: handle");
    assert_eq!(request.scalars(), scalars(call), "{name}: scalars");
    assert_eq!(request.address(), call.base, "{name}: address");
    assert_eq!(request.size(), size as u64, "{name}: size");
}

/// One argument against what was found; gives the part of the message that belongs to it.
fn check_arg(
    what: &str,
    call: &Call,
    arg: &GArg,
    decoded: Decoded,
    message: &[u8],
) -> Option<Area> {
    match (arg, decoded) {
        (GArg::Empty, Decoded::Empty) => None,
        (
            GArg::Inline { len, data },
            Decoded::Buffer {
                address,
                len: found,
                page,
                ..
            },
        ) => {
            assert_eq!(*len, found, "{what}: length");
            assert_eq!(span(address, *len), page, "{what}: page entry");
            let area = decoded.area_in(call.base, message.len());
            let area = area.unwrap_or_else(|| panic!("{what} is not in the message"));
            if let Some(data) = data {
                assert_eq!(data[..], message[area.offset..area.end()], "{what}: data");
            }
            Some(area)
        }
        (
            GArg::Mapped { pv, address, len },
            Decoded::Buffer {
                pv: found_pv,
                address: found,
                len: found_len,
                page,
            },
        ) => {
            assert_eq!(*pv, found_pv, "{what}: address field");
            assert_eq!(*address, found, "{what}: DSP address");
            assert_eq!(*len, found_len, "{what}: length");
            assert_eq!(span(*address, *len), page, "{what}: page entry");
            None
        }
        (
            GArg::Handle {
                fd,
                offset,
                len,
                page,
            },
            Decoded::Handle {
                fd: tag,
                offset: from,
                len: size,
                page: found,
            },
        ) => {
            assert_eq!((*fd, *offset, *len), (tag, from, size), "{what}");
            let page = page.map_or(PageEntry::EMPTY, |page| {
                PageEntry::new(page.address, page.size)
            });
            assert_eq!(page, found, "{what}: page entry");
            None
        }
        (_, decoded) => panic!("{what} became {decoded:?}"),
    }
}

/// The address field of an inline argument: ours is its DSP address, other drivers have their own
/// kernel's address there.
fn check_pv(what: &str, origin: Origin, decoded: Decoded) {
    let Decoded::Buffer { pv, address, .. } = decoded else {
        return;
    };
    match origin {
        Origin::Document => assert_eq!(pv, address, "{what}: address field"),
        Origin::Capture => {
            assert_ne!(pv, address, "{what}: this is no other driver's message");
            assert_eq!(pv % 4096, address % 4096, "{what}: address field");
        }
    }
}

/// The parts of the message that belong to arguments start at multiples of 128 behind the metadata
/// and have nothing in common. All inputs are known, so the rest of the data has to be 0.
fn check_places(name: &str, places: &[(Area, bool)], end: usize, message: &[u8]) {
    let mut sorted = places.to_vec();
    sorted.sort_by_key(|(area, _)| area.offset);
    let (mut free, mut zero) = (end, end);
    for (area, is_input) in sorted {
        let Area { offset, .. } = area;
        assert!(offset >= free, "{name}: {offset} belongs to two arguments");
        assert_eq!(offset % 128, 0, "{name}: {offset} is not aligned");
        free = area.end();
        if is_input {
            assert_zero(name, message, zero, offset);
            zero = free;
        }
    }
    assert_zero(name, message, zero, message.len());
}

fn assert_zero(name: &str, message: &[u8], start: usize, end: usize) {
    let dirty = message[start..end].iter().position(|byte| *byte != 0);
    let dirty = dirty.map(|offset| start + offset);
    assert_eq!(dirty, None, "{name}: byte that belongs to no input");
}

/// Checks that the bytes of a message say what the caller asked for.
pub fn check_decoded(
    name: &str,
    origin: Origin,
    call: &Call,
    args: &[GArg],
    request: &[u8],
    message: &[u8],
) {
    check_request(name, call, request, message.len());
    let decoder = Decoder::new(message, scalars(call)).expect("the metadata is complete");
    assert_eq!(decoder.check_clean(), Ok(()), "{name}");
    assert_eq!(args.len(), scalars(call).total(), "{name}");
    let inputs = (call.scalars >> 16) as usize % 0x100;
    let mut places = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let what = format!("{name}: argument {index}");
        let decoded = decoder.arg(index);
        let decoded = decoded.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let place = check_arg(&what, call, arg, decoded, message);
        if let GArg::Inline { data, .. } = arg {
            assert_eq!(
                data.is_some(),
                index < inputs,
                "{what}: only inputs have data"
            );
            check_pv(&what, origin, decoded);
        }
        places.extend(place.map(|area| (area, index < inputs)));
    }
    check_places(name, &places, decoder.metadata().end(), message);
}
