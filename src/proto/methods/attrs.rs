// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Attributes of a process on the DSP.
//!
//! Owns the mask of known bits. Who may use which of them is policy and is not decided here. Takes
//! no locks.
//!
//! Source: wire protocol, section 14.

/// A debugger may attach.
pub const DEBUG: u32 = 0x1;
/// The process is traced.
pub const PTRACE: u32 = 0x2;
/// The DSP writes checksums to the message; refused.
pub const CRC: u32 = 0x4;
/// The files of the process are not signed.
pub const UNSIGNED: u32 = 0x8;
/// Adaptive quality of service.
pub const ADAPTIVE_QOS: u32 = 0x10;
/// A system process.
pub const SYSTEM: u32 = 0x20;
/// A privileged process.
pub const PRIVILEGED: u32 = 0x40;
/// The DSP writes performance counters behind the poll word; refused.
pub const DSP_PERF: u32 = 0x400;

/// What a process may have that is meant for an ordinary program. All other known bits show or
/// change more than that: they open the process to a debugger, write dumps and traces, or give
/// rights on the DSP.
pub const ORDINARY: u32 = UNSIGNED | ADAPTIVE_QOS;
/// Bits that make the DSP write to parts of the message that this driver does not provide.
const REFUSED: u32 = CRC | DSP_PERF;
/// Bits with a known meaning: 0x1 to 0xe00000 without a gap, and the system monitor.
const KNOWN: u32 = 0x00ff_ffff | 0x4000_0000;

/// Why attributes were refused. Each variant carries the bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttrsError {
    /// Bits without a known meaning.
    Unknown(u32),
    /// Bits that this driver does not support.
    Unsupported(u32),
}

/// Attributes that may be sent.
///
/// # Invariants
///
/// Contains only bits of `KNOWN` that are not in `REFUSED`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProcessAttrs(u32);

impl ProcessAttrs {
    /// No attribute.
    // INVARIANT: contains no bit.
    pub const NONE: Self = Self(0);

    /// Takes attributes from outside.
    pub const fn new(raw: u32) -> Result<Self, AttrsError> {
        if raw & !KNOWN != 0 {
            return Err(AttrsError::Unknown(raw & !KNOWN));
        }
        if raw & REFUSED != 0 {
            return Err(AttrsError::Unsupported(raw & REFUSED));
        }
        // INVARIANT: just checked.
        Ok(Self(raw))
    }

    /// The bits.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Whether no attribute is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the files of the process are not signed.
    pub const fn is_unsigned(self) -> bool {
        self.0 & UNSIGNED != 0
    }

    /// Whether there are attributes that no ordinary program needs, see [`ORDINARY`].
    pub const fn is_privileged(self) -> bool {
        self.0 & !ORDINARY != 0
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_attrs))]
mod tests {
    use super::*;

    // covers: T18
    #[test]
    fn every_bit_alone() {
        for bit in 0..32 {
            let raw = 1 << bit;
            let expected = match bit {
                2 | 10 => Err(AttrsError::Unsupported(raw)),
                0..=23 | 30 => Ok(ProcessAttrs(raw)),
                _ => Err(AttrsError::Unknown(raw)),
            };
            assert_eq!(ProcessAttrs::new(raw), expected);
        }
        assert_eq!(ProcessAttrs::new(0), Ok(ProcessAttrs::NONE));
        assert_eq!(
            ProcessAttrs::new(u32::MAX),
            Err(AttrsError::Unknown(0xbf00_0000))
        );
        assert_eq!(
            ProcessAttrs::new(0x404),
            Err(AttrsError::Unsupported(0x404))
        );
    }

    #[test]
    fn questions() {
        let unsigned = ProcessAttrs::new(UNSIGNED).unwrap();
        assert!(unsigned.is_unsigned() && !unsigned.is_privileged() && !unsigned.is_empty());
        assert!(ProcessAttrs::NONE.is_empty());
    }

    // covers: T110
    #[test]
    fn two_bits_are_ordinary() {
        for bit in 0..32 {
            let Ok(attrs) = ProcessAttrs::new(1 << bit) else {
                continue;
            };
            assert_eq!(attrs.is_privileged(), !matches!(bit, 3 | 4));
            let with_unsigned = ProcessAttrs::new((1 << bit) | UNSIGNED).unwrap();
            assert_eq!(with_unsigned.is_privileged(), attrs.is_privileged());
        }
    }
}
