// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The format of the golden vectors, as the README in `tests/golden` has it, and their parts in the
//! terms of the crate.

use std::fs;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use fastrpc_proto::context::{ContextWord, Pd, Sequence};
use fastrpc_proto::layout::Arg;
use fastrpc_proto::scalars::Scalars;
use fastrpc_proto::wire::{ClientId, PageEntry, Sender};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Vector {
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
pub struct About {
    pub origin: Origin,
    pub sections: Vec<String>,
    pub derivation: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Document,
    Capture,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub sender: i32,
    pub tid: i32,
    pub slot: u8,
    pub sequence: u64,
    pub pd: u8,
    pub handle: u32,
    #[serde(deserialize_with = "number")]
    pub scalars: u64,
    #[serde(deserialize_with = "number")]
    pub base: u64,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum GArg {
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
pub struct Page {
    #[serde(deserialize_with = "number")]
    pub address: u64,
    #[serde(deserialize_with = "number")]
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    pub at: usize,
    #[serde(deserialize_with = "hex")]
    pub hex: Vec<u8>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Expect {
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

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

pub fn read(path: &Path) -> Vector {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All vectors, by name.
pub fn vectors() -> Vec<(String, Vector)> {
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

pub fn to_arg(arg: &GArg) -> Arg {
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

pub fn scalars(call: &Call) -> Scalars {
    Scalars::new(u32::try_from(call.scalars).expect("scalars have 32 bits"))
}

pub fn sender(call: &Call) -> Sender {
    ClientId::new(call.sender).map_or(Sender::Kernel, Sender::Client)
}

pub fn word(call: &Call) -> ContextWord {
    ContextWord::new(
        NonZeroU8::new(call.slot).expect("slot 0 is never used"),
        Sequence::new(call.sequence).expect("sequence numbers have 48 bits"),
        Pd::from_bits(call.pd).expect("there are three PDs"),
    )
}

/// The bytes of a message: what the pieces say, and zero everywhere else.
pub fn bytes(size: usize, pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut end = 0;
    for piece in pieces {
        assert!(piece.at >= end, "pieces are in order and do not overlap");
        end = piece.at + piece.hex.len();
        bytes[piece.at..end].copy_from_slice(&piece.hex);
    }
    bytes
}
