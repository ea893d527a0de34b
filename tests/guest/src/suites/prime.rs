// SPDX-License-Identifier: GPL-2.0
//! Buffers that are exported and imported: by this node, by the other DSP's, by other drivers.
//!
//! The other drivers are udmabuf, which is part of the stock kernel and only exports; vgem, which
//! attaches to what it imports and does not map it; and the stock driver of the DSPs, which
//! attaches and maps.

use std::os::fd::{
    AsRawFd,
    RawFd, //
};
use std::sync::{
    Arc,
    Barrier, //
};
use std::time::Duration;

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
use crate::children::Helper;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::exporters::{
    self,
    Vgem, //
};
use crate::harness::{
    case,
    rounds,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod;
use crate::mem::PAGE;
use crate::passing;
use crate::raw;
use crate::shared::{
    Maker,
    Shared,
    MAKERS, //
};
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

mod exports;
mod foreign;
mod imports;

pub const SUITE: Suite = Suite {
    name: "prime",
    restore: Some(restore),
    cases: &[
        case("export_flags", "T98", exports::flags),
        case("mmap_of_the_dma_buf", "T81, T98", exports::mmap),
        case("cpu_access", "T98", exports::cpu_access),
        case("who_holds_what", "T81, T90", exports::who_holds_what),
        case("closed_handles", "T99", exports::closed_handles),
        case("passed_to_another_process", "T96, T98", exports::passed),
        case("one_dma_buf_per_buffer", "T94, T96", exports::one_dma_buf),
        case("storm", "T96, T97", exports::storm).limit(180),
        case("back_into_the_same_file", "T94", imports::same_file),
        case("into_another_file", "T93, T94", imports::another_file),
        case("into_the_other_node", "T94, T95", imports::other_node),
        case("no_dma_buf", "T94", imports::no_dma_buf),
        case("parallel_imports", "T96", imports::parallel).limit(120),
        case("import_close_races", "T96, T99", imports::close_races).limit(120),
        case("no_mmap_of_imports", "T94, T95", foreign::no_mmap),
        case("imports_keep_the_buffer", "T95", foreign::kept_alive),
        case("imports_in_fdinfo", "T106", foreign::fdinfo),
        case(
            "attached_when_used",
            "T96, T97",
            foreign::attached_when_used,
        ),
        case("nobody_elses_buffer_stays", "T97", foreign::nobody_elses),
        case("vgem_sees_what_is_written", "T92", foreign::vgem_sees),
        case("vgem_attaches", "T98", foreign::vgem_attaches),
        case("vgem_keeps_the_buffer", "T82, T98", foreign::vgem_keeps),
        case("other_dsp_attaches", "T93, T98", foreign::other_dsp),
        case("stock_driver_maps", "T82, T98", foreign::stock_driver_maps).limit(120),
        case("exporter_leaves", "T82, T120", foreign::exporter_leaves),
        case("importer_leaves", "T82, T120", foreign::importer_leaves),
    ],
};

/// Time within which things come, go and are freed.
const SOON: Duration = Duration::from_secs(10);
/// Name of our driver on the rpmsg bus.
const OURS: &str = "qda";
/// What the page counters may be off by.
const SLACK: u64 = 2 << 20;

/// Name of the stock driver on the rpmsg bus.
const STOCK: &str = "qcom,fastrpc";

/// Takes everything back from the stock driver and binds whatever is not.
fn restore() -> Outcome {
    if kmod::loaded("fastrpc") {
        for channel in kmod::channels() {
            channel.set_override("")?;
        }
        kmod::must_remove("fastrpc")?;
    }
    super::gem::restore()
}

const PAGES: usize = 6;
const SIZE: usize = PAGES * PAGE;

/// The value of an ioctl that failed with an errno.
fn errno(number: i32) -> Option<i64> {
    Some(-i64::from(number))
}

/// Echoes a whole buffer, and compares what the DSP read with the bytes.
fn dsp_reads(file: &File, echo: u32, fd: RawFd, expected: &[u8]) -> Outcome {
    let mut back = vec![!expected.first().copied().unwrap_or(0); expected.len()];
    let value = Call::new(2)
        .reads(0, expected.len() as u64, fd)
        .output(&mut back)
        .on(file.raw(), echo);
    ensure_ret!(value, 0, "echo of a buffer of {} bytes", expected.len());
    dsp::same(expected, &back)
}

/// Lets the DSP write bytes to the begin of a buffer.
fn dsp_writes(file: &File, echo: u32, fd: RawFd, data: &[u8]) -> Outcome {
    let value = Call::new(2)
        .input(data)
        .writes(0, data.len() as u64, fd)
        .on(file.raw(), echo);
    ensure_ret!(value, 0, "echo of {} bytes to a buffer", data.len());
    Ok(())
}
