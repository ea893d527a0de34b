// SPDX-License-Identifier: GPL-2.0
//! Very many, very large and very contested buffers, and DSPs that go away while they use them.

use std::fs;
use std::os::fd::{
    AsRawFd,
    OwnedFd,
    RawFd, //
};
use std::path::Path;
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::sync::{
    mpsc,
    Arc, //
};
use std::time::{
    Duration,
    Instant, //
};

use super::buffers::{
    status,
    wait_status, //
};
use super::{
    ADSP,
    CDSP, //
};
use crate::buffer::{
    self,
    meminfo,
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
    DspMem,
    Record, //
};
use crate::dt;
use crate::exporters;
use crate::harness::{
    case,
    patience,
    rounds,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod;
use crate::mem::PAGE;
use crate::raw::{
    self,
    Map,
    Unmap, //
};
use crate::shared::{
    Maker,
    Shared, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

mod large;
mod leaving;
mod many;
mod races;

pub const SUITE: Suite = Suite {
    name: "buffer-scale",
    restore: Some(restore),
    cases: &[
        case("ten_thousand", "T97, T100, T168", many::ten_thousand).limit(300),
        case("create_and_free", "T97, T102", many::create_and_free).limit(180),
        case("used_once", "T97, T102", many::used_once).limit(180),
        case("addresses_run_out", "T100", large::addresses_run_out).limit(240),
        case(
            "create_beside_full_bank",
            "T66, T100",
            large::create_beside_full_bank,
        )
        .limit(240),
        case("one_gib", "T4, T100", large::one_gib).limit(180),
        case("contested", "T84, T86, T99", races::contested).limit(180),
        case("closed_during_call", "T99", races::closed_during_call).limit(120),
        case(
            "unmapped_during_call",
            "T9, T99",
            races::unmapped_during_call,
        )
        .limit(120),
        case("first_use_by_many", "T84", races::first_use_by_many).limit(120),
        case(
            "removed_in_flight",
            "T82, T83, T118, T120",
            leaving::removed_in_flight,
        )
        .limit(120),
        case(
            "unbound_in_flight",
            "T82, T83, T120",
            leaving::unbound_in_flight,
        )
        .limit(120),
        case(
            "removed_under_load",
            "T82, T83, T118",
            leaving::removed_under_load,
        )
        .limit(240),
    ],
};

/// A DSP with 34 address bits and the stream id at bit 56 (`dts/kaanapali.dtsi`).
pub const WIDE: Suite = Suite {
    name: "buffer-wide",
    restore: None,
    cases: &[
        case("two_gib_of_memory", "T4, T100", large::two_gib_of_memory).limit(240),
        case("three_gib", "T4, T100", large::three_gib).limit(180),
        case(
            "beyond_four_gib",
            "T4, T93, T100, T139",
            large::beyond_four_gib,
        )
        .limit(240),
        case(
            "narrow_beside_wide",
            "T100, T139",
            large::narrow_beside_wide,
        )
        .limit(240),
    ],
};

/// After a failed case: both DSPs are there and have no orders.
fn restore() -> Outcome {
    sim::control(CDSP, "normal")?;
    if dsp::node(CDSP).is_err() {
        // Either the channel is missing or only its driver.
        let _ = sim::control(CDSP, "announce");
        if let Ok(channel) = kmod::channel(CDSP) {
            if channel.driver().is_none() {
                let _ = channel.bind("qda");
            }
        }
    }
    dsp::wait_node(CDSP, Duration::from_secs(10))?;
    Ok(())
}

/// Lets the DSP read a range named by handle; what it found.
fn dsp_sum(mem: &DspMem<'_>, handle: u32, offset: u64, length: u64) -> Result<Checksum, Fail> {
    let mut sum = [0; dspmem::SUMMED];
    let call = NewCall::new(dspmem::TOUCH)
        .input(&[0; 8])
        .read(handle, offset, length)
        .output(&mut sum);
    match mem.new_call(&call) {
        (0, 0) => Ok(Checksum::nth(&sum, 0)),
        (value, result) => Err(format!(
            "touch of {length:#x} bytes at {offset:#x}: {}, {result:#x}",
            raw::show(value)
        )
        .into()),
    }
}

/// Runs a body in many threads; the first error.
fn in_threads(number: usize, body: impl Fn(usize) -> Outcome + Sync) -> Outcome {
    let body = &body;
    let results: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..number).map(|n| scope.spawn(move || body(n))).collect();
        threads
            .into_iter()
            .map(|one| one.join().unwrap_or(Err("a thread panicked".into())))
            .collect()
    });
    results.into_iter().collect()
}

/// Nothing of any buffer is left in the driver.
fn nothing_left() -> Outcome {
    wait_status("held", 0)?;
    wait_status("remote_maps", 0)?;
    wait_status("mappings", 0)
}
