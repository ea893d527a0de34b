// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Names of DSP results.
//!
//! Owns the table of known results. The driver passes results on and decides nothing by them,
//! except that the capability call may be unsupported. Takes no locks.
//!
//! Source: wire protocol, section 15.

/// The 32-bit result of a remote call, as the DSP gave it.
///
/// It is a value, not an errno: neither its sign nor its number means anything to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[must_use = "a remote call may have failed on the DSP"]
pub struct DspResult(i32);

/// First number of the error range.
const BASE: u32 = 0x8000_0400;

/// First number of the errors of the DSP's operating system, and the first number behind them.
const QURT_BASE: u32 = 0x8000_0540;
const QURT_END: u32 = 0x8000_0600;

/// Known results: number, name, description.
const TABLE: &[(u32, &str, &str)] = &[
    (0, "AEE_SUCCESS", "success"),
    (39, "AEE_ENOSUCHNAME", "no such name"),
    (46, "AEE_EINTERRUPTED", "interrupted, try again"),
    (104, "AEE_ECONNRESET", "connection reset"),
    (516, "AEE_EWOULDBLOCK", "would block"),
    (BASE + 0x01, "AEE_EFAILED", "failed"),
    (BASE + 0x02, "AEE_ENOMEMORY", "no memory"),
    (
        BASE + 0x0d,
        "AEE_EBADSTATE",
        "bad state, or the process is going away",
    ),
    (BASE + 0x0e, "AEE_EBADPARM", "bad parameter"),
    (BASE + 0x14, "AEE_EUNSUPPORTED", "not supported"),
    (BASE + 0x16, "AEE_ERESOURCENOTFOUND", "resource not found"),
    (BASE + 0x2c, "AEE_EINVHANDLE", "invalid handle"),
    (BASE + 0x34, "AEE_EINVALIDPROCESS", "invalid process"),
    (BASE + 0x3e, "AEE_ENOSUCHMOD", "no such module"),
    (BASE + 0x41, "AEE_ENOSUCHPROCESS", "no such process"),
    (BASE + 0x48, "AEE_ENOSUCHMAP", "no such mapping"),
    (BASE + 0x4d, "AEE_EBADSIZE", "bad size"),
    (BASE + 0x4f, "AEE_EBADFD", "bad file descriptor"),
    (BASE + 0x52, "AEE_EBADELF", "bad ELF file"),
    (BASE + 0x54, "AEE_EBADCONTEXT", "bad context"),
    (
        BASE + 0x85,
        "AEE_EBADMAPREFCNT",
        "bad reference count of a mapping",
    ),
    (BASE + 0x200, "AEE_ERPC", "remote procedure call error"),
    (u32::MAX, "AEE_EUNKNOWN", "unknown error"),
];

impl DspResult {
    /// Success.
    pub const SUCCESS: Self = Self(0);
    /// What the DSP answers to a call that it does not have.
    pub const UNSUPPORTED: Self = Self::from_bits(BASE + 0x14);
    /// What the DSP answers to calls of a process that is going away.
    pub const BAD_STATE: Self = Self::from_bits(BASE + 0x0d);

    /// Takes a result as it came.
    pub const fn new(raw: i32) -> Self {
        Self(raw)
    }

    /// Takes a result in the form in which the documents write it, for example `0x80000414`.
    pub const fn from_bits(bits: u32) -> Self {
        Self(i32::from_le_bytes(bits.to_le_bytes()))
    }

    /// Finds a result by its name, for example `AEE_EBADSTATE`.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(number, ..)| Self::from_bits(*number))
    }

    /// All results that have a name of their own.
    pub fn known() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(number, ..)| Self::from_bits(*number))
    }

    /// The result as it came.
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// The result as the documents write it.
    pub const fn bits(self) -> u32 {
        u32::from_le_bytes(self.0.to_le_bytes())
    }

    /// Whether the call succeeded.
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// The name, or `None` for an unknown number.
    pub fn name(self) -> Option<&'static str> {
        let bits = self.bits();
        if (QURT_BASE..QURT_END).contains(&bits) {
            return Some("AEE_QURT");
        }
        TABLE
            .iter()
            .find(|(number, ..)| *number == bits)
            .map(|(_, name, _)| *name)
    }

    /// A short description. An unknown number has the description "unknown DSP result".
    pub fn description(self) -> &'static str {
        let bits = self.bits();
        if (QURT_BASE..QURT_END).contains(&bits) {
            return "error of the DSP's kernel";
        }
        TABLE
            .iter()
            .find(|(number, ..)| *number == bits)
            .map_or("unknown DSP result", |(.., description)| *description)
    }
}

impl core::fmt::Display for DspResult {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{:#x} ({name}: {})", self.bits(), self.description()),
            None => write!(f, "{:#x} ({})", self.bits(), self.description()),
        }
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_errors))]
mod tests {
    use super::*;
    use core::fmt::{self, Write};

    /// A text in memory of its own.
    struct Text {
        bytes: [u8; 128],
        len: usize,
    }

    impl Text {
        fn of(result: DspResult) -> Self {
            let mut text = Text {
                bytes: [0; 128],
                len: 0,
            };
            write!(text, "{result}").unwrap();
            text
        }

        fn as_bytes(&self) -> &[u8] {
            &self.bytes[..self.len]
        }
    }

    impl Write for Text {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let end = self.len + part.len();
            let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
            room.copy_from_slice(part.as_bytes());
            self.len = end;
            Ok(())
        }
    }

    // covers: T149
    #[test]
    fn results_keep_all_bits() {
        for raw in [0, 1, -1, -512, -4095, i32::MIN, i32::MAX] {
            let result = DspResult::new(raw);
            assert_eq!(result.raw(), raw);
            assert_eq!(DspResult::from_bits(result.bits()), result);
            assert_eq!(result.is_success(), raw == 0);
        }
        assert_eq!(DspResult::UNSUPPORTED.bits(), 0x8000_0414);
        assert_eq!(DspResult::UNSUPPORTED.raw(), -2_147_482_604);
    }

    #[test]
    fn names() {
        for (bits, name) in [
            (0, Some("AEE_SUCCESS")),
            (0x8000_0401, Some("AEE_EFAILED")),
            (0x8000_040d, Some("AEE_EBADSTATE")),
            (0x8000_0414, Some("AEE_EUNSUPPORTED")),
            (0x8000_0485, Some("AEE_EBADMAPREFCNT")),
            (0x8000_0600, Some("AEE_ERPC")),
            (0x8000_053f, None),
            (0x8000_0540, Some("AEE_QURT")),
            (0x8000_05ff, Some("AEE_QURT")),
            (0x8000_0601, None),
            (39, Some("AEE_ENOSUCHNAME")),
            (40, None),
            (u32::MAX, Some("AEE_EUNKNOWN")),
        ] {
            assert_eq!(DspResult::from_bits(bits).name(), name);
        }
    }

    #[test]
    fn names_lead_back() {
        for result in DspResult::known() {
            assert_eq!(result.name().and_then(DspResult::from_name), Some(result));
        }
        assert_eq!(DspResult::known().count(), TABLE.len());
        for name in ["", "AEE_", "aee_efailed", "AEE_QURT"] {
            assert_eq!(DspResult::from_name(name), None);
        }
    }

    #[test]
    fn table_has_no_number_twice() {
        for (index, (number, name, description)) in TABLE.iter().enumerate() {
            assert!(TABLE
                .iter()
                .skip(index + 1)
                .all(|(other, ..)| other != number));
            assert!(!name.is_empty() && !description.is_empty());
        }
    }

    #[test]
    fn display_has_number_and_name() {
        let text = Text::of(DspResult::BAD_STATE);
        assert!(text.as_bytes().starts_with(b"0x8000040d (AEE_EBADSTATE: "));
        let text = Text::of(DspResult::new(1));
        assert_eq!(text.as_bytes(), b"0x1 (unknown DSP result)");
    }
}
