// SPDX-License-Identifier: GPL-2.0
//! Buffers of the dma-heap "system": scattered pages that belong to nobody's driver.
//!
//! They need a kernel that has the heap: the test kernel, not the stock one.

use std::fs;
use std::os::fd::{
    AsRawFd,
    OwnedFd,
    RawFd, //
};
use std::path::PathBuf;
use std::sync::{
    Arc,
    Barrier, //
};
use std::time::{
    Duration,
    Instant, //
};

use super::gem::{
    in_threads,
    Held, //
};
use super::{
    ADSP,
    CDSP, //
};
use crate::buffer::{
    self,
    Area, //
};
use crate::calls::NewCall;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dspmem::{
    self,
    Checksum,
    DspMem, //
};
use crate::exporters;
use crate::harness::{
    case,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod;
use crate::mem::PAGE;
use crate::raw::{
    self,
    Create, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

mod life;
mod uses;

pub const SUITE: Suite = Suite {
    name: "heap",
    restore: Some(super::gem::restore),
    cases: &[
        case("as_arguments", "T92", uses::as_arguments).limit(180),
        case("by_handle", "T92", uses::by_handle).limit(120),
        case("scattered_pages", "T92", uses::scattered_pages),
        case("parts", "T92", uses::parts),
        case("several_banks", "T92, T93", uses::several_banks).limit(120),
        case("mapped_for_long", "T90, T92", uses::mapped_for_long).limit(120),
        case("shell", "T3, T92", uses::shell),
        case("cpu_access", "T92", uses::cpu_access),
        case("imports", "T95", life::imports),
        case("many_in_one_session", "T97", life::many).limit(180),
        case("number_used_again", "T97", life::number_used_again),
        case("freed_by_others", "T97", life::freed_by_others),
        case("dsp_leaves", "T82, T120", life::dsp_leaves),
    ],
};

/// Time within which freed memory is back.
const SOON: Duration = Duration::from_secs(10);
/// What the page counters may be off by.
const SLACK: u64 = 2 << 20;
const MIB: usize = 1 << 20;

/// A heap buffer with its area.
struct Heap {
    fd: OwnedFd,
    map: Area,
}

impl Heap {
    fn new(size: usize) -> Result<Self, Fail> {
        let fd = exporters::heap(size)?;
        let map = Area::shared(fd.as_raw_fd(), size, 0)?;
        Ok(Heap { fd, map })
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn size(&self) -> usize {
        self.map.length()
    }

    /// Fills the buffer with the bytes of a seed and gives them.
    fn fill(&self, seed: u64) -> Vec<u8> {
        let data = dspmem::stream(seed, self.size());
        self.map.write(0, &data);
        data
    }
}

/// The kernel's record of what it enters into page tables of devices.
struct MapTrace {
    root: PathBuf,
}

impl MapTrace {
    /// Begins to record.
    fn start() -> Result<Self, Fail> {
        let root = PathBuf::from("/sys/kernel/tracing");
        if !root.join("trace").exists() {
            // SAFETY: All texts are NUL-terminated; there are no options.
            let value = unsafe {
                libc::mount(
                    c"none".as_ptr(),
                    c"/sys/kernel/tracing".as_ptr(),
                    c"tracefs".as_ptr(),
                    0,
                    std::ptr::null(),
                )
            };
            if value != 0 {
                return Err(Fail::Skip(format!("no tracefs: errno {}", raw::errno())));
            }
        }
        fs::write(root.join("events/iommu/map/enable"), "1")
            .map_err(|error| Fail::Skip(format!("no trace of mappings: {error}")))?;
        Ok(MapTrace { root })
    }

    /// Forgets what was recorded so far.
    fn forget(&self) -> Outcome {
        Ok(fs::write(self.root.join("trace"), "")?)
    }

    /// The physical pieces of a range of device addresses, in the order of the addresses; they
    /// must cover it without a gap.
    fn pieces(&self, start: u64, length: u64) -> Result<Vec<(u64, u64)>, Fail> {
        let text = fs::read_to_string(self.root.join("trace"))?;
        let mut found: Vec<(u64, u64, u64)> = text
            .lines()
            .filter_map(parse_piece)
            .filter(|&(at, ..)| (start..start + length).contains(&at))
            .collect();
        found.sort_unstable();
        let mut next = start;
        for &(at, _, size) in &found {
            ensure_eq!(
                at,
                next,
                "device address of a piece of {length} bytes at {start:#x}"
            );
            next += size;
        }
        ensure_eq!(next, start + length, "end of the pieces at {start:#x}");
        Ok(found.into_iter().map(|(_, at, size)| (at, size)).collect())
    }
}

impl Drop for MapTrace {
    fn drop(&mut self) {
        let _ = fs::write(self.root.join("events/iommu/map/enable"), "0");
        let _ = fs::write(self.root.join("trace"), "");
    }
}

/// Device address, physical address and size of a line of the trace.
fn parse_piece(line: &str) -> Option<(u64, u64, u64)> {
    let hex = |key: &str| -> Option<u64> {
        let rest = line.split_once(key)?.1;
        let word = rest.split_whitespace().next()?.trim_start_matches("0x");
        u64::from_str_radix(word, 16).ok()
    };
    let size = line.split_once(" size=")?.1.split_whitespace().next()?;
    Some((hex(": iova=")?, hex(" paddr=")?, size.parse().ok()?))
}

/// How many runs of neighbouring pages there are.
fn runs(pieces: &[(u64, u64)]) -> usize {
    1 + pieces
        .windows(2)
        .filter(|two| two[0].0 + two[0].1 != two[1].0)
        .count()
}

/// The DSP reads the first bytes of a buffer, and tells their checksum.
fn dsp_reads(mem: &DspMem<'_>, heap: &Heap, data: &[u8]) -> Outcome {
    let seed = 0u64.to_le_bytes();
    let mut sums = [0; dspmem::SUMMED];
    let value = mem.call(
        &Call::new(dspmem::TOUCH)
            .input(&seed)
            .reads(heap.map.address(), data.len() as u64, heap.raw())
            .output(&mut sums),
    );
    ensure_ret!(value, 0, "touch of {} bytes", data.len());
    ensure_eq!(
        Checksum::nth(&sums, 0),
        Checksum::of(data),
        "checksum of {} bytes",
        data.len()
    );
    Ok(())
}

/// The DSP writes the stream of a seed to the whole buffer.
fn dsp_writes(mem: &DspMem<'_>, heap: &Heap, seed: u64) -> Outcome {
    let number = seed.to_le_bytes();
    let mut none = [0; 0];
    let value = mem.call(
        &Call::new(dspmem::TOUCH)
            .input(&number)
            .output(&mut none)
            .writes(heap.map.address(), heap.size() as u64, heap.raw()),
    );
    ensure_ret!(value, 0, "touch of {} bytes", heap.size());
    dsp::same(
        &dspmem::stream(seed, heap.size()),
        &heap.map.read(0, heap.size()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_parsed() {
        let line = " qda-1 [001] ..... 12.5: map: IOMMU: iova=0x00000000ffff0000 - \
                    0x00000000ffff2000 paddr=0x0000000045670000 size=8192";
        assert_eq!(parse_piece(line), Some((0xffff_0000, 0x4567_0000, 8192)));
        assert_eq!(parse_piece("# tracer: nop"), None);
    }

    #[test]
    fn runs_are_counted() {
        assert_eq!(runs(&[(0x1000, 0x2000)]), 1);
        assert_eq!(runs(&[(0x1000, 0x2000), (0x3000, 0x1000)]), 1);
        assert_eq!(runs(&[(0x1000, 0x2000), (0x4000, 0x1000), (0, 1)]), 3);
    }
}
