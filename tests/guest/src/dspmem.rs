// SPDX-License-Identifier: GPL-2.0
//! The simulated DSP's module `mem`: what a process on the DSP sees of buffers.
//!
//! Its methods are described in `tests/sim/README.md`.

use crate::calls::NewCall;
use crate::dsp::{
    Call,
    File, //
};
use crate::harness::Fail;
use crate::raw;

pub const SUM: u32 = 2;
pub const FILL: u32 = 3;
pub const SCAN: u32 = 4;
pub const ARGS: u32 = 5;
pub const TOUCH: u32 = 6;
pub const DROP: u32 = 7;
pub const MAPPED: u32 = 8;
pub const MAP_READ: u32 = 9;
pub const MAP_WRITE: u32 = 10;
pub const LIST: u32 = 11;
pub const HEAP: u32 = 12;

/// Result "no such mapping".
pub const NO_MAP: u32 = 0x8000_0448;
/// Result "bad fd", of a handle without memory that is to be touched.
pub const BAD_FD: u32 = 0x8000_044f;

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes of one record of [`ARGS`].
pub const RECORD: usize = 64;
/// Bytes of one checksum.
pub const SUMMED: usize = 16;

/// A little-endian number in a buffer.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|eight| eight.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// What the DSP computes of a range of bytes: sum of all bytes, and a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(pub u64, pub u64);

impl Checksum {
    pub fn of(data: &[u8]) -> Self {
        let sum = data.iter().map(|&byte| u64::from(byte)).sum();
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for part in data.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            hash = (hash ^ u64::from_le_bytes(word))
                .wrapping_mul(FACTOR)
                .rotate_left(31);
        }
        Checksum(sum, hash)
    }

    /// The n-th checksum of an output.
    pub fn nth(bytes: &[u8], n: usize) -> Self {
        Checksum(
            u64_at(bytes, n * SUMMED),
            u64_at(bytes, n * SUMMED + 8), //
        )
    }
}

/// The bytes that the DSP writes for a seed.
pub fn stream(seed: u64, length: usize) -> Vec<u8> {
    let words = length.div_ceil(8) as u64;
    let mut data: Vec<u8> = (0..words)
        .flat_map(|k| seed.wrapping_add(k).wrapping_mul(FACTOR).to_le_bytes())
        .collect();
    data.truncate(length);
    data
}

/// One argument as the DSP was given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Address field of a buffer argument.
    pub pv: u64,
    pub length: u64,
    /// Address and size of the page entry.
    pub page: u64,
    pub size: u64,
    /// Address of the first byte, without stream id.
    pub data: u64,
    /// 0 in buffer, 1 out buffer, 2 in handle, 3 out handle.
    pub kind: u32,
    /// The data lies in the message.
    pub inline: bool,
}

impl Record {
    /// The n-th record of an output.
    pub fn nth(bytes: &[u8], n: usize) -> Self {
        let at = |offset| u64_at(bytes, n * RECORD + offset);
        Record {
            pv: at(0),
            length: at(8),
            page: at(16),
            size: at(24),
            data: at(32),
            kind: at(40) as u32,
            inline: (at(40) >> 32) & 1 == 1,
        }
    }

    /// Tag and offset of a handle argument.
    pub fn tag(&self) -> (i32, u32) {
        (self.pv as i32, (self.pv >> 32) as u32)
    }

    /// The address of the first byte with the stream id that the page entry carries.
    pub fn address(&self) -> u64 {
        (self.page & !0xffff_ffff) | self.data
    }
}

/// One mapping that the DSP knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The address that the DSP told the kernel.
    pub vaddr: u64,
    /// Address and size of the page entry.
    pub page: u64,
    pub size: u64,
    pub flags: u32,
    pub fd: i32,
    pub offset: i32,
    /// Mappings with this number.
    pub same: u32,
}

impl Mapped {
    fn at(bytes: &[u8], start: usize) -> Self {
        let long = |at| u64_at(bytes, start + at);
        Mapped {
            vaddr: long(0),
            page: long(8),
            size: long(16),
            flags: long(24) as u32,
            fd: (long(24) >> 32) as i32,
            offset: long(32) as i32,
            same: (long(32) >> 32) as u32,
        }
    }
}

/// What the pages of a range are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    pub mapped: u64,
    pub unmapped: u64,
}

/// The module, opened in one session.
#[derive(Clone, Copy)]
pub struct DspMem<'a> {
    pub file: &'a File,
    pub handle: u32,
}

impl<'a> DspMem<'a> {
    pub fn open(file: &'a File) -> Result<Self, Fail> {
        Ok(DspMem {
            file,
            handle: file.module("mem")?,
        })
    }

    /// Makes an old-style call.
    pub fn call(&self, call: &Call<'_>) -> i64 {
        call.issue(self.file.raw(), self.file.invoke_code(), self.handle)
    }

    /// Makes a new call.
    pub fn new_call(&self, call: &NewCall<'_>) -> (i64, u32) {
        call.on(self.file.raw(), self.handle)
    }

    /// Checksum of a range of the bank; the value of the call goes with it.
    pub fn sum(&self, address: u64, length: u64) -> (i64, Checksum) {
        let mut out = [0; SUMMED];
        let range = words(&[address, length]);
        let value = self.call(&Call::new(SUM).input(&range).output(&mut out));
        (value, Checksum::nth(&out, 0))
    }

    /// Writes a stream into a range of the bank.
    pub fn fill(&self, address: u64, length: u64, seed: u64) -> i64 {
        let range = words(&[address, length, seed]);
        self.call(&Call::new(FILL).input(&range))
    }

    /// Which pages of a range translate.
    pub fn scan(&self, address: u64, length: u64) -> Result<Scan, Fail> {
        let mut out = [0; 32];
        let range = words(&[address, length]);
        match self.call(&Call::new(SCAN).input(&range).output(&mut out)) {
            0 => Ok(Scan {
                mapped: u64_at(&out, 0),
                unmapped: u64_at(&out, 8),
            }),
            value => Err(format!("scan of {length:#x} bytes gave {}", raw::show(value)).into()),
        }
    }

    /// Lets the DSP say what arguments it was given: `call` makes a call of method [`ARGS`] whose
    /// first output is the given one, and adds `number - 1` arguments.
    pub fn args(
        &self,
        number: usize,
        add: impl FnOnce(Call<'_>) -> Call<'_>,
    ) -> Result<Vec<Record>, i64> {
        let mut out = vec![0; number * RECORD];
        let call = add(Call::new(ARGS).output(&mut out));
        match self.call(&call) {
            0 => Ok((0..number).map(|n| Record::nth(&out, n)).collect()),
            value => Err(value),
        }
    }

    /// The record of one buffer that the DSP reads, named in the old style.
    pub fn arg(&self, ptr: u64, length: u64, fd: i32) -> Result<Record, i64> {
        // Inputs come first in the message.
        self.args(2, |call| call.reads(ptr, length, fd))
            .map(|records| records[0])
    }

    /// The record of one buffer, named by handle.
    pub fn new_arg(&self, handle: u32, offset: u64, length: u64) -> Result<Record, Fail> {
        let mut out = vec![0; 2 * RECORD];
        let call = NewCall::new(ARGS)
            .read(handle, offset, length)
            .output(&mut out);
        match self.new_call(&call) {
            (0, 0) => Ok(Record::nth(&out, 0)),
            (value, result) => {
                Err(format!("args gave {}, result {result:#x}", raw::show(value)).into())
            }
        }
    }

    /// Lets the DSP say that it dropped tags; the result of the call is what is asked for.
    pub fn drop_tags(&self, result: u32, values: &[u64]) -> i64 {
        let request = drop_request(result, values);
        self.call(&Call::new(DROP).input(&request))
    }

    /// The newest mapping with a number.
    pub fn mapped(&self, fd: i32) -> Result<Mapped, i64> {
        let mut out = [0; 40];
        let number = fd.to_le_bytes();
        match self.call(&Call::new(MAPPED).input(&number).output(&mut out)) {
            0 => Ok(Mapped::at(&out, 0)),
            value => Err(value),
        }
    }

    /// Reads through the newest mapping with a number.
    pub fn map_read(&self, fd: i32, offset: u64, length: usize) -> (i64, Vec<u8>) {
        let mut data = vec![0; length];
        let request = map_request(fd, length, offset);
        let value = self.call(&Call::new(MAP_READ).input(&request).output(&mut data));
        (value, data)
    }

    /// Writes through the newest mapping with a number.
    pub fn map_write(&self, fd: i32, offset: u64, data: &[u8]) -> i64 {
        let request = map_request(fd, data.len(), offset);
        self.call(&Call::new(MAP_WRITE).input(&request).input(data))
    }

    /// All mappings that the process has on the DSP.
    pub fn list(&self) -> Result<Vec<Mapped>, Fail> {
        const ROOM: usize = 256;
        let mut out = vec![0; 8 + 40 * ROOM];
        match self.call(&Call::new(LIST).output(&mut out)) {
            0 => {
                let number = (u64_at(&out, 0) as usize).min(ROOM);
                Ok((0..number).map(|n| Mapped::at(&out, 8 + 40 * n)).collect())
            }
            value => Err(format!("list gave {}", raw::show(value)).into()),
        }
    }

    /// Writes and reads back all memory that the process got by MMAP: number of mappings, bytes.
    pub fn use_heap(&self, seed: u64) -> Result<(u64, u64), Fail> {
        let mut out = [0; 24];
        let seed = seed.to_le_bytes();
        match self.call(&Call::new(HEAP).input(&seed).output(&mut out)) {
            0 if u64_at(&out, 16) == 0 => Ok((u64_at(&out, 0), u64_at(&out, 8))),
            0 => Err(format!("{} bytes of the heap read back wrong", u64_at(&out, 16)).into()),
            value => Err(format!("using the heap gave {}", raw::show(value)).into()),
        }
    }
}

/// Input of [`DROP`].
pub fn drop_request(result: u32, values: &[u64]) -> Vec<u8> {
    let mut request = result.to_le_bytes().to_vec();
    request.extend((values.len() as u32).to_le_bytes());
    request.extend(words(values));
    request
}

/// Input of the methods that go through a mapping.
fn map_request(fd: i32, length: usize, offset: u64) -> Vec<u8> {
    let mut request = fd.to_le_bytes().to_vec();
    request.extend((length as u32).to_le_bytes());
    request.extend(offset.to_le_bytes());
    request
}

/// Numbers as bytes.
fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_see_order_and_content() {
        let one = Checksum::of(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(one.0, 45);
        assert_eq!(one, Checksum::of(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert_ne!(one, Checksum::of(&[1, 2, 3, 4, 5, 6, 8, 7, 9]));
        assert_eq!(Checksum::of(&[]).1, 0xcbf2_9ce4_8422_2325);
    }

    #[test]
    fn streams_are_cut() {
        let long = stream(7, 32);
        assert_eq!(stream(7, 13), long[..13]);
        assert_eq!(stream(8, 8), long[8..16]);
    }

    #[test]
    fn records_are_taken_apart() {
        let mut bytes = vec![0; 2 * RECORD];
        bytes[RECORD..RECORD + 8].copy_from_slice(&0x10_ffff_fffeu64.to_le_bytes());
        bytes[RECORD + 16..RECORD + 24].copy_from_slice(&0x1_0000_3000u64.to_le_bytes());
        bytes[RECORD + 32] = 0x77;
        bytes[RECORD + 40] = 2;
        bytes[RECORD + 44] = 1;
        let record = Record::nth(&bytes, 1);
        assert_eq!(record.tag(), (-2, 0x10));
        assert_eq!(record.address(), 0x1_0000_0077);
        assert_eq!(record.kind, 2);
        assert!(record.inline);
        assert!(!Record::nth(&bytes, 0).inline);
    }
}
