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
