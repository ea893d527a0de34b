// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the DSP sends: any bytes of any length, against the second reading in `tests/protocol`.
//!
//! The input is the message itself.

#![no_main]

// covers: T35, T36, T38, T182

#[allow(dead_code, reason = "only the part about responses is used here")]
#[path = "../../tests/protocol/oracle.rs"]
mod oracle;

use fastrpc_proto::context::ContextWord;
use fastrpc_proto::wire::{Reject, Response};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let parsed = Response::parse(bytes);
    let found = parsed.map(|response| (response.word, response.result.raw()));
    assert_eq!(found.ok(), oracle::response(bytes));
    match parsed {
        Ok(response) => {
            // A word that the driver could have sent is that word in every bit.
            if let Some(word) = ContextWord::unpack(response.word) {
                assert_eq!(word.pack(), response.word);
            }
            // Only the first 24 bytes of a message count.
            assert_eq!(Response::parse(&bytes[..bytes.len().min(24)]), parsed);
        }
        Err(Reject::Short) => assert!(bytes.len() < 16),
        Err(Reject::Notification) => assert_eq!(bytes[..8], 0xabcd_abcd_u64.to_le_bytes()),
        Err(Reject::NotCompletion(flags)) => assert!(!flags.completes() && bytes.len() >= 24),
        Err(Reject::UnknownFlags(flags)) => assert!(flags > 5 && bytes.len() >= 24),
    }
});
