// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the kernel's own calls get back, and the fixed structures: exact lengths only, every bit
//! kept, no number that makes a look-up fail badly.
//!
//! Input: u8 kind (modulo 6), then the bytes.

#![no_main]

// covers: T35, T36, T182

use fastrpc_proto::context::ContextWord;
use fastrpc_proto::errors::DspResult;
use fastrpc_proto::methods::memory::MapReply;
use fastrpc_proto::methods::CapabilityTable;
use fastrpc_proto::wire::Request;
use input::Input;
use zerocopy::{FromBytes, IntoBytes};

fn result(raw: i32) {
    let result = DspResult::new(raw);
    assert_eq!(result.raw(), raw);
    assert_eq!(DspResult::from_bits(result.bits()), result);
    assert_eq!(result.is_success(), raw == 0);
    let text = result.to_string();
    assert!(text.starts_with(&format!("{:#x} (", raw as u32)));
    assert_eq!(
        result.name().is_none(),
        result.description() == "unknown DSP result"
    );
}

fn table(bytes: &[u8], attribute: u32) {
    let Ok(table) = CapabilityTable::read_from_bytes(bytes) else {
        assert_ne!(bytes.len(), 1020);
        return;
    };
    let expected = match attribute {
        0 => Some(0),
        1..=255 => {
            let at = 4 * (attribute as usize - 1);
            let word = &bytes[at..at + 4];
            Some(
                word.iter()
                    .rev()
                    .fold(0, |sum, byte| sum * 256 + u32::from(*byte)),
            )
        }
        _ => None,
    };
    assert_eq!(table.attribute(attribute), expected);
}

fn request(bytes: &[u8]) {
    let Some(request) = Request::parse(bytes) else {
        assert_ne!(bytes.len(), 40);
        return;
    };
    assert_eq!(request.as_bytes(), bytes);
    let number = |at: usize, len: usize| {
        let digits = bytes[at..at + len].iter().rev();
        digits.fold(0_u64, |sum, byte| sum * 256 + u64::from(*byte))
    };
    assert_eq!(request.client(), number(0, 4) as u32 as i32);
    assert_eq!(request.tid(), number(4, 4) as u32 as i32);
    assert_eq!(request.context(), number(8, 8));
    assert_eq!(u64::from(request.handle()), number(16, 4));
    assert_eq!(u64::from(request.scalars().raw()), number(20, 4));
    assert_eq!(
        (request.address(), request.size()),
        (number(24, 8), number(32, 8))
    );
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    match input.u8() % 6 {
        0 => result(input.i32()),
        // Numbers near the known ones.
        1 => result((0x8000_0400 + input.u32() % 0x300) as i32),
        2 => {
            let attribute = input.u32();
            let mut words = vec![0; 1020];
            let rest = input.rest();
            let len = rest.len().min(words.len());
            words[..len].copy_from_slice(&rest[..len]);
            table(&words, attribute % 300);
            table(&words, attribute);
            table(rest, attribute);
        }
        3 => {
            let rest = input.rest();
            match MapReply::read_from_bytes(rest) {
                Ok(reply) => assert_eq!(reply.address.get().to_le_bytes(), rest),
                Err(_) => assert_ne!(rest.len(), 8),
            }
        }
        4 => {
            let raw = input.u64();
            // 48 bits of sequence number, 8 of index, 8 of process domain.
            let sound = raw >> 16 != 0 && raw >> 8 & 0xff != 0 && raw & 0xff <= 2;
            let word = ContextWord::unpack(raw);
            assert_eq!(word.is_some(), sound);
            if let Some(word) = word {
                assert_eq!(word.pack(), raw);
                assert_eq!(word.slot() as u64, raw >> 8 & 0xff);
                assert_eq!(word.sequence().get(), raw >> 16);
            }
        }
        _ => request(input.rest()),
    }
});
