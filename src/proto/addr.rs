// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Addresses as the DSP sees them.
//!
//! Owns the SID prefix and the one function that turns an address and a length into a page
//! address and a size. Takes no locks. Used by `encode`, `decode`, the engine and the simulator.
//!
//! Source: wire protocol, sections 8 and 9.

use super::domain::Domain;
use super::wire::PageEntry;
use super::PAGE;

/// The generations of SoC data that the device tree tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Soc {
    /// `qcom,fastrpc`, and our own `qcom,qda`.
    Default,
    /// `qcom,kaanapali-fastrpc` and what falls back to it.
    Kaanapali,
}

/// How DSP addresses of one channel are made: `IOVA + (SID << sid_pos)`.
///
/// In all variants an IOVA ends below the prefix, so that the two never share a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addressing {
    /// Prefix from bit 32, IOVA of 32 bits.
    Bit32,
    /// Prefix from bit 56, IOVA of 32 bits.
    Bit56,
    /// Prefix from bit 56, IOVA of 34 bits.
    Bit56Wide,
}

impl Addressing {
    /// The addressing of a channel.
    pub const fn new(soc: Soc, domain: Domain) -> Self {
        match (soc, domain.is_cdsp()) {
            (Soc::Default, _) => Self::Bit32,
            (Soc::Kaanapali, false) => Self::Bit56,
            (Soc::Kaanapali, true) => Self::Bit56Wide,
        }
    }

    /// Position of the lowest bit of the SID prefix.
    pub const fn sid_pos(self) -> u8 {
        match self {
            Self::Bit32 => 32,
            Self::Bit56 | Self::Bit56Wide => 56,
        }
    }

    /// Number of bits of an IOVA; the DMA mask of a context bank is this many ones.
    pub const fn iova_bits(self) -> u8 {
        match self {
            Self::Bit32 | Self::Bit56 => 32,
            Self::Bit56Wide => 34,
        }
    }

    /// The DSP address of `iova` in the address space of `sid`. SID 0 has no prefix.
    ///
    /// Gives `None` when `iova` or `sid` does not fit into its part of the address.
    pub const fn dsp_address(self, sid: u32, iova: u64) -> Option<u64> {
        if iova >> self.iova_bits() != 0 {
            return None;
        }
        // CAST: widening; `u64::from` is not usable in a const function.
        let prefix = (sid as u64) << self.sid_pos();
        if prefix >> self.sid_pos() != sid as u64 {
            return None;
        }
        // No bit is shared, as an IOVA ends below the prefix.
        Some(prefix | iova)
    }

    /// The DSP address of `iova`, provided that all of `len` bytes from there can be addressed.
    pub const fn dsp_range(self, sid: u32, iova: u64, len: u64) -> Option<u64> {
        let Some(end) = iova.checked_add(len) else {
            return None;
        };
        if end > 1 << self.iova_bits() {
            return None;
        }
        self.dsp_address(sid, iova)
    }

    /// The IOVA in a DSP address. This, not the DSP address, belongs into all DMA API calls.
    pub const fn iova(self, dsp_address: u64) -> u64 {
        dsp_address & ((1 << self.sid_pos()) - 1)
    }

    /// The SID in a DSP address, as wide as the prefix is.
    pub const fn sid(self, dsp_address: u64) -> u64 {
        dsp_address >> self.sid_pos()
    }
}

/// The page entry that covers `len` bytes from `address`: whole pages, as few as possible.
///
/// An empty range gives the empty entry (0, 0), whatever its address. Gives `None` when the range
/// or its last page reaches the end of the 64-bit address space.
pub const fn span(address: u64, len: u64) -> Option<PageEntry> {
    if len == 0 {
        return Some(PageEntry::EMPTY);
    }
    let Some(end) = address.checked_add(len) else {
        return None;
    };
    let Some(end) = end.checked_next_multiple_of(PAGE) else {
        return None;
    };
    let start = address & !(PAGE - 1);
    match end.checked_sub(start) {
        Some(size) => Some(PageEntry::new(start, size)),
        None => None,
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_addr))]
mod tests {
    use super::*;

    const ALL: [Addressing; 3] = [Addressing::Bit32, Addressing::Bit56, Addressing::Bit56Wide];

    #[test]
    fn soc_and_domain_choose() {
        for domain in Domain::ALL {
            let default = Addressing::new(Soc::Default, domain);
            assert_eq!((default.sid_pos(), default.iova_bits()), (32, 32));
            let kaanapali = Addressing::new(Soc::Kaanapali, domain);
            let bits = if domain.is_cdsp() { 34 } else { 32 };
            assert_eq!((kaanapali.sid_pos(), kaanapali.iova_bits()), (56, bits));
        }
    }

    // covers: T5
    #[test]
    fn iova_at_its_limits() {
        for addressing in ALL {
            let max = (1 << addressing.iova_bits()) - 1;
            for (iova, fits) in [
                (0, true),
                (max, true),
                (max + 1, false),
                (2 * max + 1, false),
                (u64::MAX, false),
            ] {
                let address = addressing.dsp_address(3, iova);
                let expected = (3 << addressing.sid_pos()) | iova;
                assert_eq!(address, fits.then_some(expected));
                if let Some(address) = address {
                    assert_eq!(addressing.iova(address), iova);
                    assert_eq!(addressing.sid(address), 3);
                }
            }
        }
    }

    // covers: T5
    #[test]
    fn sid_at_its_limits() {
        assert_eq!(
            Addressing::Bit32.dsp_address(u32::MAX, 1),
            Some(0xffff_ffff_0000_0001)
        );
        for addressing in [Addressing::Bit56, Addressing::Bit56Wide] {
            assert_eq!(addressing.dsp_address(0xff, 1), Some(0xff00_0000_0000_0001));
            assert_eq!(addressing.dsp_address(0x100, 1), None);
            assert_eq!(addressing.dsp_address(u32::MAX, 1), None);
        }
        // SID 0 has no prefix.
        assert_eq!(Addressing::Bit32.dsp_address(0, 0x1000), Some(0x1000));
    }

    // covers: T5
    #[test]
    fn ranges_end_inside_the_iova_space() {
        for addressing in ALL {
            let end = 1 << addressing.iova_bits();
            for (iova, len, fits) in [
                (0, 0, true),
                (0, end, true),
                (0, end + 1, false),
                (end - PAGE, PAGE, true),
                (end - PAGE, PAGE + 1, false),
                (end, 0, false),
                (PAGE, u64::MAX, false),
                (u64::MAX, u64::MAX, false),
            ] {
                assert_eq!(addressing.dsp_range(1, iova, len).is_some(), fits);
            }
        }
    }

    // covers: T10
    #[test]
    fn span_of_a_range() {
        for (address, len, page, size) in [
            (0x1000, 1, 0x1000, 0x1000),
            (0x1fff, 1, 0x1000, 0x1000),
            (0x1fff, 2, 0x1000, 0x2000),
            (0x1000, 0x1000, 0x1000, 0x1000),
            (0x1001, 0x1000, 0x1000, 0x2000),
            (0x1001, 0xfff, 0x1000, 0x1000),
            (0x1234, 0x1_0000_0000, 0x1000, 0x1_0000_1000),
            (0, 0x8000_0000_0000_0000, 0, 0x8000_0000_0000_0000),
        ] {
            assert_eq!(span(address, len), Some(PageEntry::new(page, size)));
        }
    }

    // covers: T5, T10, T11
    #[test]
    fn span_at_the_limits() {
        assert_eq!(span(0x1234, 0), Some(PageEntry::EMPTY));
        assert_eq!(span(u64::MAX, 0), Some(PageEntry::EMPTY));
        let last = u64::MAX - PAGE + 1;
        assert_eq!(
            span(last - PAGE, PAGE),
            Some(PageEntry::new(last - PAGE, PAGE))
        );
        assert_eq!(span(last, 1), None);
        assert_eq!(span(last, PAGE), None);
        assert_eq!(span(u64::MAX, 1), None);
        assert_eq!(span(1, u64::MAX), None);
        assert_eq!(span(0, u64::MAX), None);
        assert_eq!(span(0, last), Some(PageEntry::new(0, last)));
    }
}
