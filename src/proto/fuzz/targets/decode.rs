// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Any bytes taken for a message. What the decoder accepts must be what the document says, so the
//! entries of each argument are put together again from what it found.
//!
//! Input: u32 scalars, then the message.

#![no_main]

// covers: T5, T182

use fastrpc_proto::decode::{DecodeError, Decoded, Decoder};
use fastrpc_proto::scalars::Scalars;
use input::Input;

/// Descriptor, list entry and page entry of an argument, by section 7 of the wire protocol.
fn entries(index: usize, arg: &Decoded) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut descriptor = Vec::new();
    let (used, page) = match *arg {
        Decoded::Empty => {
            descriptor.resize(16, 0);
            (0_u32, (0, 0))
        }
        Decoded::Buffer {
            pv, address, len, ..
        } => {
            descriptor.extend(pv.to_le_bytes());
            descriptor.extend(len.to_le_bytes());
            let first = address / 4096 * 4096;
            let spanned = (u128::from(address % 4096) + u128::from(len)).div_ceil(4096) * 4096;
            assert!(u128::from(first) + spanned < 1 << 64);
            assert_eq!(pv % 4096, address % 4096);
            (1, (first, spanned as u64))
        }
        Decoded::Handle {
            fd,
            offset,
            len,
            page,
        } => {
            descriptor.extend(fd.to_le_bytes());
            descriptor.extend(offset.to_le_bytes());
            descriptor.extend(len.to_le_bytes());
            descriptor.extend([0; 4]);
            let page = (page.address(), page.size());
            let end = u128::from(offset) + u128::from(len);
            assert!(page == (0, 0) || end <= u128::from(page.1));
            (u32::from(len != 0), page)
        }
    };
    let mut list = used.to_le_bytes().to_vec();
    list.extend((index as u32).to_le_bytes());
    let mut pages = page.0.to_le_bytes().to_vec();
    pages.extend(page.1.to_le_bytes());
    (descriptor, list, pages)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let scalars = Scalars::new(input.u32());
    let message = input.rest();
    let n = scalars.total();
    let decoder = match Decoder::new(message, scalars) {
        Ok(decoder) => decoder,
        Err(why) => {
            assert_eq!(why, DecodeError::Short);
            assert!(message.len() < 40 * n + 388);
            return;
        }
    };
    assert!(message.len() >= 40 * n + 388);
    for index in 0..n {
        let Ok(arg) = decoder.arg(index) else {
            continue;
        };
        let (descriptor, list, page) = entries(index, &arg);
        assert_eq!(message[16 * index..][..16], descriptor);
        assert_eq!(message[16 * n + 8 * index..][..8], list);
        assert_eq!(message[24 * n + 16 * index..][..16], page);
        for base in [0, 4096, 0x1_0000_0000, u64::MAX - 4095] {
            if let Some(area) = arg.area_in(base, message.len()) {
                assert!(area.end() <= message.len());
            }
        }
    }
    assert_eq!(decoder.args().count(), n);
    assert_eq!(decoder.arg(n), Err(DecodeError::NoArgument));
    let tail = &message[40 * n..40 * n + 388];
    let clean = tail.iter().all(|byte| *byte == 0);
    assert_eq!(decoder.check_clean().is_ok(), clean);
});
