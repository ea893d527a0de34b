// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The golden vectors of `tests/golden`: messages with their bytes, as the document or a capture has
//! them. The format is described in the README there.

use std::fs;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use fastrpc_proto::context::{ContextWord, Pd, Sequence};
use fastrpc_proto::decode::{Decoded, Decoder};
use fastrpc_proto::encode::{Encoder, Sink};
use fastrpc_proto::layout::{Arg, Plan};
use fastrpc_proto::methods::attrs::ProcessAttrs;
use fastrpc_proto::methods::memory::{MapFlags, MapReply, MemMap, MemUnmap, Mmap, Munmap};
use fastrpc_proto::methods::name::{StaticName, TaskName};
use fastrpc_proto::methods::process::{CreateArgs, CreateCall, CreateStatic};
use fastrpc_proto::methods::{Attach, Capabilities, Method, Release};
use fastrpc_proto::scalars::Scalars;
use fastrpc_proto::wire::{ClientId, PageEntry, Reject, Request, Response, Sender};
use serde::{Deserialize, Deserializer};
use zerocopy::byteorder::little_endian::U64;
use zerocopy::IntoBytes;

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Vector {
    Call {
        #[serde(flatten)]
        about: About,
        call: Call,
        args: Vec<GArg>,
        #[serde(deserialize_with = "hex")]
        request: Vec<u8>,
        size: usize,
        message: Vec<Piece>,
    },
    Response {
        #[serde(flatten)]
        about: About,
        #[serde(deserialize_with = "hex")]
        response: Vec<u8>,
        expect: Expect,
    },
}

#[derive(Deserialize)]
struct About {
    origin: Origin,
    sections: Vec<String>,
    derivation: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Document,
    Capture,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    sender: i32,
    tid: i32,
    slot: u8,
    sequence: u64,
    pd: u8,
    handle: u32,
    #[serde(deserialize_with = "number")]
    scalars: u64,
    #[serde(deserialize_with = "number")]
    base: u64,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum GArg {
    Empty,
    Inline {
        len: u64,
        #[serde(default, deserialize_with = "hex_option")]
        data: Option<Vec<u8>>,
    },
    Mapped {
        #[serde(deserialize_with = "number")]
        pv: u64,
        #[serde(deserialize_with = "number")]
        address: u64,
        len: u64,
    },
    Handle {
        fd: i32,
        offset: u32,
        len: u32,
        page: Option<Page>,
    },
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(deserialize_with = "number")]
    address: u64,
    #[serde(deserialize_with = "number")]
    size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    at: usize,
    #[serde(deserialize_with = "hex")]
    hex: Vec<u8>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Expect {
    Accepted {
        #[serde(deserialize_with = "number")]
        word: u64,
        #[serde(deserialize_with = "number")]
        result: u64,
    },
    Rejected {
        reject: String,
    },
}

fn number<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let text = String::deserialize(d)?;
    let digits = text.strip_prefix("0x").unwrap_or("not hexadecimal");
    u64::from_str_radix(digits, 16).map_err(serde::de::Error::custom)
}

fn parse_hex(text: &str) -> Result<Vec<u8>, std::num::ParseIntError> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16))
        .collect()
}

fn hex<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    parse_hex(&String::deserialize(d)?).map_err(serde::de::Error::custom)
}

fn hex_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<u8>>, D::Error> {
    hex(d).map(Some)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn read(path: &Path) -> Vector {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All vectors, by name.
fn vectors() -> Vec<(String, Vector)> {
    let mut vectors = Vec::new();
    for entry in fs::read_dir(folder()).expect("the folder of the vectors exists") {
        let path = entry.expect("the folder can be read").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let name = path.file_stem().expect("it has an extension");
            vectors.push((name.to_string_lossy().into_owned(), read(&path)));
        }
    }
    vectors
}

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

fn to_arg(arg: &GArg) -> Arg {
    match *arg {
        GArg::Empty => Arg::Empty,
        GArg::Inline { len, .. } => Arg::Inline { len },
        GArg::Mapped { pv, address, len } => Arg::Mapped { pv, address, len },
        GArg::Handle {
            fd,
            offset,
            len,
            page,
        } => Arg::Handle {
            fd,
            offset,
            len,
            page: page.map(|page| PageEntry::new(page.address, page.size)),
        },
    }
}

fn scalars(call: &Call) -> Scalars {
    Scalars::new(u32::try_from(call.scalars).expect("scalars have 32 bits"))
}

fn sender(call: &Call) -> Sender {
    ClientId::new(call.sender).map_or(Sender::Kernel, Sender::Client)
}

fn word(call: &Call) -> ContextWord {
    ContextWord::new(
        NonZeroU8::new(call.slot).expect("slot 0 is never used"),
        Sequence::new(call.sequence).expect("sequence numbers have 48 bits"),
        Pd::from_bits(call.pd).expect("there are three PDs"),
    )
}

/// The bytes of a message: what the pieces say, and zero everywhere else.
fn bytes(size: usize, pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut end = 0;
    for piece in pieces {
        assert!(piece.at >= end, "pieces are in order and do not overlap");
        end = piece.at + piece.hex.len();
        bytes[piece.at..end].copy_from_slice(&piece.hex);
    }
    bytes
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

/// What the DSP sees: the fields of the request and each argument with its data.
fn check_decoded(name: &str, call: &Call, args: &[GArg], request: &[u8], message: &[u8]) {
    let request = Request::parse(request).expect("a request has 40 bytes");
    assert_eq!(request.client(), call.sender, "{name}");
    assert_eq!(request.tid(), call.tid, "{name}");
    assert_eq!(
        ContextWord::unpack(request.context()),
        Some(word(call)),
        "{name}"
    );
    assert_eq!(request.handle(), call.handle, "{name}");
    assert_eq!(request.scalars(), scalars(call), "{name}");
    assert_eq!(request.address(), call.base, "{name}");
    assert_eq!(request.size(), message.len() as u64, "{name}");

    let decoder = Decoder::new(message, scalars(call)).expect("the metadata is complete");
    assert_eq!(decoder.check_clean(), Ok(()), "{name}");
    assert_eq!(args.len(), scalars(call).total(), "{name}");
    for (index, arg) in args.iter().enumerate() {
        let decoded = decoder
            .arg(index)
            .unwrap_or_else(|e| panic!("{name} {index}: {e:?}"));
        match (arg, decoded) {
            (GArg::Empty, Decoded::Empty) => {}
            (GArg::Inline { len, data }, Decoded::Buffer { len: found, .. }) => {
                assert_eq!(*len, found, "{name} {index}");
                let area = decoded.area_in(call.base, message.len());
                let area = area.unwrap_or_else(|| panic!("{name} {index} is not in the message"));
                if let Some(data) = data {
                    assert_eq!(data[..], message[area.offset..area.end()], "{name} {index}");
                }
            }
            (
                GArg::Mapped { pv, address, len },
                Decoded::Buffer {
                    pv: found_pv,
                    address: found,
                    len: found_len,
                    ..
                },
            ) => assert_eq!(
                (*pv, *address, *len),
                (found_pv, found, found_len),
                "{name}"
            ),
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
                assert_eq!((*fd, *offset, *len), (tag, from, size), "{name} {index}");
                let page = page.map_or(PageEntry::EMPTY, |page| {
                    PageEntry::new(page.address, page.size)
                });
                assert_eq!(page, found, "{name} {index}");
            }
            (_, decoded) => panic!("{name}: argument {index} became {decoded:?}"),
        }
    }
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
            call,
            args,
            request,
            size,
            message,
            ..
        } = vector
        {
            check_decoded(&name, &call, &args, &request, &bytes(size, &message));
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

/// Compares a kernel method with the vector of that name.
fn check_method<M: Method>(name: &str, method: &M) {
    let vector = read(&folder().join(name).with_extension("json"));
    let Vector::Call { call, args, .. } = vector else {
        panic!("{name} is no call");
    };
    assert_eq!(M::HANDLE, call.handle, "{name}");
    assert_eq!(M::SCALARS, scalars(&call), "{name}");
    for (index, arg) in args.iter().enumerate() {
        assert_eq!(
            method.arg(index),
            Some(to_arg(arg)),
            "{name} argument {index}"
        );
        if let (
            GArg::Inline {
                data: Some(data), ..
            },
            Some(input),
        ) = (arg, method.input(index))
        {
            assert_eq!(input, data, "{name} argument {index}");
        }
    }
    assert_eq!(method.arg(args.len()), None);
}

fn create(len: u64, name: &[u8], attrs: u32) -> CreateCall {
    CreateArgs::new(
        ClientId::new(9).expect("it is not 0"),
        TaskName::snapshot(name),
        Arg::inline(len),
        0,
        ProcessAttrs::new(attrs).expect("the bits are known"),
        PageEntry::new(0x3_0040_0000, 0x40_0000),
    )
    .expect("the shell is short")
    .call()
}

#[test]
fn methods_are_their_vectors() {
    let client = |id| ClientId::new(id).expect("it is not 0");
    let reply = |address| MapReply {
        address: U64::new(address),
    };
    let audio = StaticName::exact(b"audiopd").expect("it is short");
    let heap = PageEntry::new(0x96b8_0000, 0x280_0000);

    check_method("attach-root", &Attach::new(client(7)));
    check_method("attach-sensors", &Attach::new(client(7)));
    check_method("release", &Release::new(client(i32::MAX)));
    check_method(
        "create-static-with-heap",
        &CreateStatic::new(client(3), audio, Some(heap)),
    );
    check_method(
        "create-static-without-heap",
        &CreateStatic::new(client(4), audio, None),
    );
    let page = PageEntry::new(0x3_0080_0000, 0x10_0000);
    check_method("mmap-add-pages", &Mmap::new(client(9), page));
    check_method(
        "munmap",
        &Munmap::new(client(9), reply(0xe500_0000), 0x10_0000),
    );
    let page = PageEntry::new(0x3_0090_0000, 0x3000);
    let map = MemMap::new(client(9), 11, 0, MapFlags::Fd, 0xffff_8000_1000, page);
    check_method("mem-map", &map);
    check_method(
        "mem-unmap",
        &MemUnmap::new(client(9), 11, reply(0xe600_0000), 0x3000),
    );
    check_method("capabilities", &Capabilities::new());
    match create(0, b"qda-test", 0) {
        CreateCall::Plain(method) => check_method("create-without-shell", &method),
        CreateCall::Attr(_) => panic!("there are no attributes"),
    }
    match create(200, b"abc", 8) {
        CreateCall::Attr(method) => check_method("create-attr-inline-shell", &method),
        CreateCall::Plain(_) => panic!("there are attributes"),
    }
}
