// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The scalars word: method number and number of arguments per class.
//!
//! Owns the only way to count and to walk the arguments of a call, so that sizing, packing and
//! clean-up cannot disagree. Takes no locks. Used by `layout`, `encode`, `decode` and the engine.
//!
//! Source: wire protocol, section 6.

/// Largest number of arguments that a scalars word can describe: 255 + 255 + 15 + 15.
pub const MAX_ARGS: usize = 540;

/// The class of one argument. It follows from the position of the argument alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgClass {
    /// Bytes from the caller to the DSP.
    InBuf,
    /// Bytes from the DSP to the caller.
    OutBuf,
    /// A buffer handle given to the DSP.
    InHandle,
    /// A buffer handle filled by the DSP.
    OutHandle,
}

impl ArgClass {
    /// Whether the argument is a buffer, that is bytes with an address and a length.
    pub const fn is_buffer(self) -> bool {
        matches!(self, Self::InBuf | Self::OutBuf)
    }

    /// Whether the argument is a buffer handle.
    pub const fn is_handle(self) -> bool {
        !self.is_buffer()
    }

    /// Whether the DSP produces the argument.
    pub const fn is_out(self) -> bool {
        matches!(self, Self::OutBuf | Self::OutHandle)
    }
}

/// The scalars word of a call. Every 32-bit number is a valid one.
///
/// | bits | field |
/// |---|---|
/// | 31:29 | attributes, 0 in all known calls |
/// | 28:24 | method, 31 = the number is the first u32 of the first in buffer |
/// | 23:16 | in buffers |
/// | 15:8 | out buffers |
/// | 7:4 | in handles |
/// | 3:0 | out handles |
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Scalars(u32);

impl Scalars {
    /// Takes a word as it is.
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// Builds a word with attributes 0.
    ///
    /// Gives `None` when `method` is above 31 or a number of handles is above 15.
    pub const fn build(
        method: u8,
        in_bufs: u8,
        out_bufs: u8,
        in_handles: u8,
        out_handles: u8,
    ) -> Option<Self> {
        if method > 31 || in_handles > 15 || out_handles > 15 {
            return None;
        }
        Some(Self(u32::from_be_bytes([
            method,
            in_bufs,
            out_bufs,
            (in_handles << 4) | out_handles,
        ])))
    }

    /// The word as it travels.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The method number, 0..=31.
    pub const fn method(self) -> u8 {
        let [top, ..] = self.0.to_be_bytes();
        top & 0x1f
    }

    /// The attribute bits, 0..=7.
    pub const fn attributes(self) -> u8 {
        let [top, ..] = self.0.to_be_bytes();
        top >> 5
    }

    /// Number of in buffers, 0..=255.
    pub fn in_bufs(self) -> usize {
        let [_, count, ..] = self.0.to_be_bytes();
        usize::from(count)
    }

    /// Number of out buffers, 0..=255.
    pub fn out_bufs(self) -> usize {
        let [.., count, _] = self.0.to_be_bytes();
        usize::from(count)
    }

    /// Number of in handles, 0..=15.
    pub fn in_handles(self) -> usize {
        let [.., counts] = self.0.to_be_bytes();
        usize::from(counts >> 4)
    }

    /// Number of out handles, 0..=15.
    pub fn out_handles(self) -> usize {
        let [.., counts] = self.0.to_be_bytes();
        usize::from(counts & 0xf)
    }

    /// Number of arguments, at most [`MAX_ARGS`].
    pub fn total(self) -> usize {
        // At most 540: the four parts are 8, 8, 4 and 4 bits wide.
        self.in_bufs() + self.out_bufs() + self.in_handles() + self.out_handles()
    }

    /// The class of argument `index`, or `None` behind the last one.
    pub fn class(self, index: usize) -> Option<ArgClass> {
        let parts = [
            (self.in_bufs(), ArgClass::InBuf),
            (self.out_bufs(), ArgClass::OutBuf),
            (self.in_handles(), ArgClass::InHandle),
            (self.out_handles(), ArgClass::OutHandle),
        ];
        let mut rest = index;
        for (count, class) in parts {
            match rest.checked_sub(count) {
                None => return Some(class),
                Some(behind) => rest = behind,
            }
        }
        None
    }

    /// The classes of all arguments, in the order that the protocol uses everywhere.
    pub fn classes(self) -> Classes {
        Classes {
            scalars: self,
            next: 0,
        }
    }
}

/// Iterator over the classes of a call's arguments; see [`Scalars::classes`].
#[derive(Clone, Debug)]
pub struct Classes {
    scalars: Scalars,
    next: usize,
}

impl Iterator for Classes {
    type Item = ArgClass;

    fn next(&mut self) -> Option<ArgClass> {
        let class = self.scalars.class(self.next)?;
        // Never saturates: there was a class for the old index.
        self.next = self.next.saturating_add(1);
        Some(class)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.scalars.total().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Classes {}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_scalars))]
mod tests {
    use super::*;

    // covers: T12
    #[test]
    fn fields_at_their_limits() {
        let full = Scalars::build(31, 255, 255, 15, 15).unwrap();
        assert_eq!(full.raw(), 0x1fff_ffff);
        assert_eq!(full.total(), MAX_ARGS);
        assert_eq!((full.method(), full.attributes()), (31, 0));

        assert_eq!(Scalars::build(0, 0, 0, 0, 0), Some(Scalars::new(0)));
        assert_eq!(Scalars::build(32, 0, 0, 0, 0), None);
        assert_eq!(Scalars::build(63, 0, 0, 0, 0), None);
        assert_eq!(Scalars::build(0, 0, 0, 16, 0), None);
        assert_eq!(Scalars::build(0, 0, 0, 0, 16), None);
        assert_eq!(Scalars::build(0, 0, 0, 31, 0), None);
        assert_eq!(Scalars::build(255, 255, 255, 255, 255), None);
    }

    #[test]
    fn attributes_are_not_part_of_the_method() {
        let odd = Scalars::new(0xe500_0000);
        assert_eq!((odd.attributes(), odd.method(), odd.total()), (7, 5, 0));
    }

    // covers: T12
    #[test]
    fn classes_change_exactly_at_the_counts() {
        let scalars = Scalars::build(2, 2, 1, 1, 1).unwrap();
        let expected = [
            Some(ArgClass::InBuf),
            Some(ArgClass::InBuf),
            Some(ArgClass::OutBuf),
            Some(ArgClass::InHandle),
            Some(ArgClass::OutHandle),
            None,
            None,
        ];
        for (index, class) in expected.into_iter().enumerate() {
            assert_eq!(scalars.class(index), class);
        }
        assert_eq!(scalars.class(usize::MAX), None);
        assert_eq!(scalars.classes().len(), 5);
        assert!(scalars.classes().eq(expected.into_iter().flatten()));
    }

    #[test]
    fn class_properties() {
        for (class, is_buffer, is_out) in [
            (ArgClass::InBuf, true, false),
            (ArgClass::OutBuf, true, true),
            (ArgClass::InHandle, false, false),
            (ArgClass::OutHandle, false, true),
        ] {
            assert_eq!(class.is_buffer(), is_buffer);
            assert_eq!(class.is_handle(), !is_buffer);
            assert_eq!(class.is_out(), is_out);
        }
    }
}
