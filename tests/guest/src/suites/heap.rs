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
use std::os::unix::fs::FileExt;
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

    /// How many runs of neighbouring pages the buffer has in physical memory.
    fn runs(&self) -> Result<usize, Fail> {
        let pagemap = fs::File::open("/proc/self/pagemap")?;
        let mut runs = 0;
        let mut last = 0;
        for page in 0..self.size() / PAGE {
            // The page must be mapped to be seen.
            self.map.word(page * PAGE);
            let mut entry = [0; 8];
            let at = (self.map.address() / PAGE as u64 + page as u64) * 8;
            pagemap.read_exact_at(&mut entry, at)?;
            let frame = u64::from_le_bytes(entry) & ((1 << 55) - 1);
            ensure!(frame != 0, "pagemap does not tell the frame of page {page}");
            if page == 0 || frame != last + 1 {
                runs += 1;
            }
            last = frame;
        }
        Ok(runs)
    }
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
