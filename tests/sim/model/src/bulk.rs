// SPDX-License-Identifier: GPL-2.0

//! Moving, summing and making many bytes, a piece at a time.
//!
//! Pieces go through the scratch room of the tables, so that neither the stack nor the heap
//! grows with a buffer. Errors are results to answer with: an argument that is too short, or
//! memory that faults.

use super::args::Arg;
use super::env::Env;
use super::state::State;
use super::wire::{result, u64_at};

/// The multiplier of checksums and streams: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sum and hash of bytes, as `tests/sim/README.md` defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    sum: u64,
    hash: u64,
}

impl Checksum {
    /// The checksum of nothing.
    pub const EMPTY: Self = Self {
        sum: 0,
        hash: 0xcbf2_9ce4_8422_2325,
    };

    fn word(&mut self, w: u64) {
        const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
        // Four sums of two bytes, then their sum in the upper 16 bits.
        let pairs = (w & EVEN) + ((w >> 8) & EVEN);
        let all = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
        self.sum = self.sum.wrapping_add(all);
        self.hash = (self.hash ^ w).wrapping_mul(GOLDEN).rotate_left(31);
    }

    /// Adds bytes. All pieces but the last are whole words.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for w in &mut words {
            self.word(u64_at(w, 0));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut w = [0u8; 8];
            for (to, from) in w.iter_mut().zip(rest) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(w));
        }
    }

    /// The 16 bytes of an answer.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut b = [0u8; 16];
        let (sum, hash) = b.split_at_mut(8);
        sum.copy_from_slice(&self.sum.to_le_bytes());
        hash.copy_from_slice(&self.hash.to_le_bytes());
        b
    }
}

/// A stream of bytes that a seed makes.
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The begin of the stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(GOLDEN))
    }

    /// The next eight bytes.
    pub fn word(&mut self) -> [u8; 8] {
        let w = self.0;
        self.0 = w.wrapping_add(GOLDEN);
        w.to_le_bytes()
    }

    /// Fills a piece. All pieces but the last are whole words.
    pub fn fill(&mut self, piece: &mut [u8]) {
        for chunk in piece.chunks_mut(8) {
            let w = self.word();
            match chunk.first_chunk_mut::<8>() {
                Some(whole) => *whole = w,
                None => {
                    for (to, from) in chunk.iter_mut().zip(&w) {
                        *to = *from;
                    }
                }
            }
        }
    }

    /// Number of bytes of a piece that differ. Pieces as for [`Stream::fill`].
    pub fn differences(&mut self, piece: &[u8]) -> u64 {
        let mut wrong = 0u64;
        for chunk in piece.chunks(8) {
            let w = self.word();
            if chunk != w.get(..chunk.len()).unwrap_or(&[]) {
                let differ = chunk.iter().zip(&w).filter(|(a, b)| a != b).count();
                wrong = wrong.saturating_add(differ as u64);
            }
        }
        wrong
    }
}

impl State<'_> {
    /// Reads all bytes of `arg` and gives them to `f`, a piece at a time.
    pub fn read_all(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        arg: &Arg,
        mut f: impl FnMut(&[u8]),
    ) -> Result<(), u32> {
        let mut off = 0u64;
        while off < arg.len {
            let n = (arg.len - off).min(self.t.scratch.len() as u64);
            let Some(part) = self.t.scratch.get_mut(..n as usize) else {
                break;
            };
            if let Err(fault) = env.read(sid, arg.data.wrapping_add(off), part) {
                return Err(self.faulted(env, fault));
            }
            f(part);
            off += n;
            env.rest();
        }
        Ok(())
    }

    /// Writes all bytes of `arg`, which `f` makes a piece at a time.
    pub fn write_all(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        arg: &Arg,
        mut f: impl FnMut(&mut [u8]),
    ) -> Result<(), u32> {
        let mut off = 0u64;
        while off < arg.len {
            let n = (arg.len - off).min(self.t.scratch.len() as u64);
            let Some(part) = self.t.scratch.get_mut(..n as usize) else {
                break;
            };
            f(part);
            if let Err(fault) = env.write(sid, arg.data.wrapping_add(off), part) {
                return Err(self.faulted(env, fault));
            }
            off += n;
            env.rest();
        }
        Ok(())
    }

    /// Copies all bytes of `from` to the begin of `to`.
    pub fn move_bytes(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        from: &Arg,
        to: &Arg,
    ) -> Result<(), u32> {
        if to.len < from.len {
            return Err(result::BAD_PARAM);
        }
        let mut off = 0u64;
        while off < from.len {
            let n = (from.len - off).min(self.t.scratch.len() as u64);
            let Some(part) = self.t.scratch.get_mut(..n as usize) else {
                break;
            };
            if let Err(fault) = env.read(sid, from.data.wrapping_add(off), part) {
                return Err(self.faulted(env, fault));
            }
            if let Err(fault) = env.write(sid, to.data.wrapping_add(off), part) {
                return Err(self.faulted(env, fault));
            }
            off += n;
            env.rest();
        }
        Ok(())
    }

    /// The checksum of all bytes of `arg`.
    pub fn checksum(&mut self, env: &mut impl Env, sid: u32, arg: &Arg) -> Result<Checksum, u32> {
        let mut sum = Checksum::EMPTY;
        self.read_all(env, sid, arg, |part| sum.add(part))?;
        Ok(sum)
    }

    /// Writes the stream of `seed` over all bytes of `arg`.
    pub fn stream(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        arg: &Arg,
        seed: u64,
    ) -> Result<(), u32> {
        let mut stream = Stream::new(seed);
        self.write_all(env, sid, arg, |part| stream.fill(part))
    }
}
