// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The golden vectors of `tests/golden`: messages with their bytes, as the document or a capture has
//! them. The format is described in the README there.

mod decoded;
mod methods;
mod vector;

use fastrpc_proto::encode::{Encoder, Sink};
use fastrpc_proto::layout::Plan;
use fastrpc_proto::wire::{Reject, Request, Response};
use zerocopy::IntoBytes;

use decoded::check_decoded;
use vector::{
    bytes,
    scalars,
    sender,
    to_arg,
    vectors,
    word,
    Call,
    Expect,
    GArg,
    Origin,
    Vector, //
};

struct Memory(Vec<u8>);

impl Sink for Memory {
    type Error = ();

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), ()> {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zero(&mut self, offset: usize, len: usize) -> Result<(), ()> {
        self.0[offset..offset + len].fill(0);
        Ok(())
    }
}

/// Lays out, writes and wraps up a call; gives the request and the message.
fn encode(call: &Call, args: &[GArg]) -> (Request, Vec<u8>) {
    let mut plan = Plan::new(scalars(call), 1 << 20);
    for arg in args {
        plan.place(&to_arg(arg)).expect("the argument is sound");
    }
    let planned = plan.finish().expect("all arguments are there");
    let mut memory = Memory(vec![0xa5; planned.size()]);
    let mut inputs = Vec::new();
    let mut encoder = Encoder::start(&mut memory, planned, call.base).expect("the base is sound");
    for arg in args {
        let placed;
        (encoder, placed) = encoder.arg(&to_arg(arg)).expect("as planned");
        let data = match arg {
            GArg::Inline { data, .. } => data.as_deref(),
            _ => None,
        };
        assert_eq!(placed.input().is_some(), data.is_some());
        inputs.extend(placed.input().zip(data));
    }
    let message = encoder.finish().expect("as planned");
    for (area, data) in inputs {
        memory.0[area.offset..area.end()].copy_from_slice(data);
    }
    let request = Request::new(sender(call), call.tid, word(call), call.handle, message);
    (request, memory.0)
}

#[test]
#[cfg_attr(miri, ignore = "reads all files, which takes minutes")]
fn there_are_enough_vectors() {
    let vectors = vectors();
    let is_call = |(_, vector): &&(String, Vector)| matches!(vector, Vector::Call { .. });
    assert!(vectors.len() >= 20);
    assert!(vectors.iter().filter(is_call).count() >= 20);
    for (name, vector) in &vectors {
        let (Vector::Call { about, .. } | Vector::Response { about, .. }) = vector;
        assert!(!about.sections.is_empty(), "{name} names its sections");
        assert!(
            about.derivation.len() > 20,
            "{name} says where it comes from"
        );
    }
}

/// Handle and scalars of the messages that have to be there as the stock driver sent them. The
/// handles of modules are all above 20.
const STOCK: &[(u32, u64)] = &[
    (1, 0x0001_0000),
    (1, 0x0101_0000),
    (1, 0x0402_0100),
    (1, 0x0501_0000),
    (1, 0x0604_0000),
    (1, 0x0704_0000),
    (1, 0x0a03_0100),
    (1, 0x0b01_0000),
    (2, 0x0001_0100),
    (8, 0x0202_0200),
    (21, 0x0202_0100),
    (21, 0x0302_0100),
    (21, 0x0203_0300),
    (21, 0x0201_0100),
    (21, 0x0200_0000),
    (21, 0x0601_0110),
];

// covers: T180
#[test]
#[cfg_attr(miri, ignore = "reads all files, which takes minutes")]
fn stock_driver_has_vectors() {
    let mut missing = STOCK.to_vec();
    for (name, vector) in vectors() {
        let Vector::Call { about, call, .. } = vector else {
            continue;
        };
        let is_capture = about.origin == Origin::Capture;
        if name.starts_with("stock-") {
            assert!(is_capture, "{name} is what the stock driver sent");
            missing.retain(|kind| *kind != (call.handle.min(21), call.scalars));
        }
    }
    assert_eq!(missing, [], "handles and scalars without a vector");
}

// covers: T3, T10, T11, T13, T14, T16
#[test]
fn calls_encode_to_their_vectors() {
    for (name, vector) in vectors() {
        let Vector::Call {
            about,
            call,
            args,
            request,
            size,
            message,
        } = vector
        else {
            continue;
        };
        if about.origin == Origin::Capture {
            // Another driver packs differently; its messages only have to be understood.
            continue;
        }
        let (our_request, our_message) = encode(&call, &args);
        assert_eq!(our_request.as_bytes(), request, "{name}: request");
        let expected = bytes(size, &message);
        assert_eq!(our_message.len(), expected.len(), "{name}: size");
        let differs = our_message.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{name}: offset of the first wrong byte");
    }
}

// covers: T3, T10, T11, T13
#[test]
#[cfg_attr(miri, ignore = "reads all files, which takes minutes")]
fn vectors_decode_to_their_calls() {
    for (name, vector) in vectors() {
        if let Vector::Call {
            about,
            call,
            args,
            request,
            size,
            message,
        } = vector
        {
            let message = bytes(size, &message);
            check_decoded(&name, about.origin, &call, &args, &request, &message);
        }
    }
}

// covers: T35, T41, T50
#[test]
#[cfg_attr(miri, ignore = "reads all files, which takes minutes")]
fn responses_parse_as_their_vectors_say() {
    for (name, vector) in vectors() {
        let Vector::Response {
            response, expect, ..
        } = vector
        else {
            continue;
        };
        match (Response::parse(&response), expect) {
            (Ok(parsed), Expect::Accepted { word, result }) => {
                assert_eq!(parsed.word, word, "{name}");
                assert_eq!(u64::from(parsed.result.bits()), result, "{name}");
            }
            (Err(found), Expect::Rejected { reject }) => {
                let found = match found {
                    Reject::Short => "short",
                    Reject::Notification => "notification",
                    Reject::NotCompletion(_) => "not-completion",
                    Reject::UnknownFlags(_) => "unknown-flags",
                };
                assert_eq!(found, reject, "{name}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}
