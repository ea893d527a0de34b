// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A second opinion on the message buffer, written from the wire protocol document alone.
//!
//! Everything is computed in 128 bits, where no sum of 64-bit numbers can wrap, and messages are
//! put together in a plain vector. Section numbers are those of the wire protocol.

/// One argument, in the terms of section 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OArg {
    Empty,
    Inline(u64),
    /// Address field, DSP address of the data, length.
    Fd(u64, u64, u64),
    /// Tag, offset, length, and the mapped buffer: address and size.
    Handle(i32, u32, u32, Option<(u64, u64)>),
}

/// Where the bytes of an inline argument are.
pub type Place = Option<(usize, usize)>;

/// What section 7 says about the size of a message.
#[derive(Debug)]
pub struct Sizes {
    pub places: Vec<Place>,
    pub used: usize,
    pub size: usize,
}

/// Numbers of arguments (section 6): in buffers, out buffers, in handles, out handles.
pub fn counts(sc: u32) -> [usize; 4] {
    [
        (sc / 0x1_0000 % 0x100) as usize,
        (sc / 0x100 % 0x100) as usize,
        (sc / 0x10 % 0x10) as usize,
        (sc % 0x10) as usize,
    ]
}

fn is_handle_position(sc: u32, index: usize) -> bool {
    let [in_bufs, out_bufs, ..] = counts(sc);
    index >= in_bufs + out_bufs
}

pub fn is_output(sc: u32, index: usize) -> bool {
    let [in_bufs, out_bufs, in_handles, _] = counts(sc);
    (index >= in_bufs && index < in_bufs + out_bufs) || index >= in_bufs + out_bufs + in_handles
}

fn up(number: u128, multiple: u128) -> u128 {
    number.div_ceil(multiple) * multiple
}

/// Whether all addresses of a range are 64-bit numbers, with a whole page after each.
fn fits(address: u64, len: u128) -> bool {
    up(u128::from(address) + len, 4096) < 1 << 64
}

/// Whether an argument may be sent at all.
fn is_sound(arg: &OArg) -> bool {
    match *arg {
        OArg::Empty => true,
        OArg::Inline(len) => len != 0,
        OArg::Fd(pv, address, len) => {
            len != 0
                && pv % 4096 == address % 4096
                && u128::from(pv) + u128::from(len) < 1 << 64
                && fits(address, u128::from(len))
        }
        OArg::Handle(_, offset, len, Some((address, size))) => {
            u128::from(offset) + u128::from(len) <= u128::from(size)
                && u128::from(address) + u128::from(size) < 1 << 64
        }
        OArg::Handle(_, _, _, None) => true,
    }
}

/// Sizes of a message of at most `limit` bytes, or `None` if the call has to be refused.
pub fn sizes(sc: u32, args: &[OArg], limit: usize) -> Option<Sizes> {
    let n = counts(sc).iter().sum::<usize>();
    if args.len() != n {
        return None;
    }
    let mut end = up(40 * n as u128 + 388, 128);
    let mut places = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let is_handle = matches!(arg, OArg::Handle(..));
        if is_handle != is_handle_position(sc, index) || !is_sound(arg) {
            return None;
        }
        match *arg {
            OArg::Inline(len) => {
                let start = up(end, 128);
                end = start + u128::from(len);
                places.push(Some((start, u128::from(len))));
            }
            _ => places.push(None),
        }
    }
    let size = up(end, 4096);
    if size > limit as u128 {
        return None;
    }
    // Everything below `size` fits into a usize, as the limit does.
    let places = places
        .into_iter()
        .map(|place| place.map(|(start, len)| (start as usize, len as usize)))
        .collect();
    Some(Sizes {
        places,
        used: end as usize,
        size: size as usize,
    })
}

fn put(message: &mut [u8], at: usize, fields: &[&[u8]]) {
    let mut at = at;
    for field in fields {
        message[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
}

/// First page and number of bytes in pages of a range (section 8).
fn pages(address: u64, len: u64) -> (u64, u64) {
    let spanned = (u128::from(address % 4096) + u128::from(len)).div_ceil(4096);
    (address / 4096 * 4096, (spanned * 4096) as u64)
}

/// The whole message at DSP address `base`. Bytes of inline inputs are 0.
pub fn message(sc: u32, args: &[OArg], sizes: &Sizes, base: u64) -> Vec<u8> {
    let n = args.len();
    let mut message = vec![0; sizes.size];
    for (i, arg) in args.iter().enumerate() {
        let (descriptor, list, page) = (16 * i, 16 * n + 8 * i, 24 * n + 16 * i);
        let index = (i as u32).to_le_bytes();
        let (pv, len, entries, pages) = match *arg {
            OArg::Empty => (0, 0, 0_u32, (0, 0)),
            OArg::Inline(len) => {
                let start = base + sizes.places[i].expect("inline arguments have a place").0 as u64;
                (start, len, 1, pages(start, len))
            }
            OArg::Fd(pv, address, len) => (pv, len, 1, pages(address, len)),
            OArg::Handle(fd, offset, len, buffer) => {
                assert!(is_handle_position(sc, i));
                put(
                    &mut message,
                    descriptor,
                    &[
                        &fd.to_le_bytes(),
                        &offset.to_le_bytes(),
                        &len.to_le_bytes(),
                        &[0; 4],
                    ],
                );
                let entries = u32::from(len != 0).to_le_bytes();
                put(&mut message, list, &[&entries, &index]);
                let (address, size) = buffer.unwrap_or((0, 0));
                put(
                    &mut message,
                    page,
                    &[&address.to_le_bytes(), &size.to_le_bytes()],
                );
                continue;
            }
        };
        put(
            &mut message,
            descriptor,
            &[&u64::to_le_bytes(pv), &u64::to_le_bytes(len)],
        );
        put(&mut message, list, &[&entries.to_le_bytes(), &index]);
        put(
            &mut message,
            page,
            &[&pages.0.to_le_bytes(), &pages.1.to_le_bytes()],
        );
    }
    message
}

/// What section 5 makes of a received message: the word and the result if it may end a call.
pub fn response(bytes: &[u8]) -> Option<(u64, i32)> {
    if bytes.len() < 16 {
        return None;
    }
    let number = |at: usize, len: usize| -> u64 {
        let digits = bytes[at..at + len].iter().rev();
        digits.fold(0, |sum, byte| sum * 256 + u64::from(*byte))
    };
    let word = number(0, 8);
    if word == 0xabcd_abcd {
        return None;
    }
    // Version 2: 0, 3 and 5 end a call; 1, 2 and 4 do not, and nobody knows the others.
    if bytes.len() >= 24 && number(20, 4) == 2 && ![0, 3, 5].contains(&number(12, 4)) {
        return None;
    }
    Some((word, number(8, 4) as u32 as i32))
}
