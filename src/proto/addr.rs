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
/// # Invariants
///
/// `iova_bits <= sid_pos < 64`, so that prefix and IOVA never share a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addressing {
    sid_pos: u8,
    iova_bits: u8,
}

impl Addressing {
    /// The addressing of a channel.
    pub const fn new(soc: Soc, domain: Domain) -> Self {
        // INVARIANT: holds for each of the three results.
        match (soc, domain.is_cdsp()) {
            (Soc::Default, _) => Self {
                sid_pos: 32,
                iova_bits: 32,
            },
            (Soc::Kaanapali, false) => Self {
                sid_pos: 56,
                iova_bits: 32,
            },
            (Soc::Kaanapali, true) => Self {
                sid_pos: 56,
                iova_bits: 34,
            },
        }
    }

    /// Position of the lowest bit of the SID prefix.
    pub const fn sid_pos(self) -> u8 {
        self.sid_pos
    }

    /// Number of bits of an IOVA; the DMA mask of a context bank is this many ones.
    pub const fn iova_bits(self) -> u8 {
        self.iova_bits
    }

    /// The DSP address of `iova` in the address space of `sid`. SID 0 has no prefix.
    ///
    /// Gives `None` when `iova` or `sid` does not fit into its part of the address.
    pub const fn dsp_address(self, sid: u32, iova: u64) -> Option<u64> {
        // Both positions are below 64, so the shifts are exact.
        if iova >> self.iova_bits != 0 {
            return None;
        }
        // CAST: widening; `u64::from` is not usable in a const function.
        let prefix = (sid as u64) << self.sid_pos;
        if prefix >> self.sid_pos != sid as u64 {
            return None;
        }
        // No bit is shared, because `iova_bits <= sid_pos`.
        Some(prefix | iova)
    }

    /// The DSP address of `iova`, provided that all of `len` bytes from there can be addressed.
    pub const fn dsp_range(self, sid: u32, iova: u64, len: u64) -> Option<u64> {
        let Some(end) = iova.checked_add(len) else {
            return None;
        };
        if end > 1 << self.iova_bits {
            return None;
        }
        self.dsp_address(sid, iova)
    }

    /// The IOVA in a DSP address. This, not the DSP address, belongs into all DMA API calls.
    pub const fn iova(self, dsp_address: u64) -> u64 {
        dsp_address & ((1 << self.sid_pos) - 1)
    }

    /// The SID in a DSP address, as wide as the prefix is.
    pub const fn sid(self, dsp_address: u64) -> u64 {
        dsp_address >> self.sid_pos
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
    // `start <= address < end`.
    Some(PageEntry::new(start, end - start))
}
