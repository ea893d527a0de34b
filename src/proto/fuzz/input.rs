// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Takes the input of a fuzz target apart.
//!
//! Owns the one rule that all structured targets share: numbers are little-endian and come one
//! after the other; what is missing at the end is zero. So every input means something, seeds can
//! be written by hand, and cutting an input never changes the meaning of its beginning. Takes no
//! locks.

/// The rest of an input.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the rest.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Takes up to `len` bytes.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// Takes a number of 8 bits.
    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    /// Takes a number of 32 bits.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Takes a number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Takes a signed number of 32 bits.
    pub fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.array())
    }
}
