// SPDX-License-Identifier: GPL-2.0
//! Calls with buffers: file descriptors and handles in the old style, and the new call.
//!
//! What the DSP was given is asked of the DSP (its module `mem`), what it did is compared byte by
//! byte, and what the driver still holds is read from its status file.

use std::os::fd::AsRawFd;
use std::time::{
    Duration,
    Instant, //
};

use super::CDSP;
use crate::buffer::{
    self,
    Area, //
};
use crate::calls::{
    self,
    NewCall,
    UNTOUCHED, //
};
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
use crate::exporters;
use crate::harness::{
    case,
    patience,
    rounds,
    Fail,
    Outcome,
    Suite, //
};
use crate::mem::PAGE;
use crate::raw::{
    self,
    Arg,
    ARG_IN,
    ARG_OUT, //
};
use crate::shared::{
    Maker,
    Shared,
    MAKERS, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

mod arguments;
mod descriptors;
mod dropped;
mod fields;
mod newcall;
mod places;
mod shells;

pub const SUITE: Suite = Suite {
    name: "buffers",
    restore: None,
    cases: &[
        case("whole", "T8, T10, T92, T180", arguments::whole),
        case("every_offset", "T10", arguments::every_offset),
        case("several", "T1, T12", arguments::several),
        case("same_buffer_twice", "T1", arguments::same_buffer_twice),
        case("with_inline", "T1, T12", arguments::with_inline),
        case("most", "T12, T21", arguments::most),
        case("nothing_copied", "T181", arguments::nothing_copied),
        case("lengths", "T4, T5, T11", arguments::lengths),
        case(
            "range_after_good_call",
            "T8",
            arguments::range_after_good_call,
        ),
        case("place_in_buffer", "T9, T10", places::place_in_buffer),
        case("place_of_own_objects", "T9", places::place_of_own_objects),
        case("place_wrong", "T9", places::place_wrong),
        case("place_nowhere", "T9, T14", places::place_nowhere),
        case("place_of_vgem", "T9, T94", places::place_of_vgem),
        case("place_changes", "T9, T15", places::place_changes),
        case("bad_descriptors", "T3, T94", descriptors::bad_descriptors),
        case("descriptor_reused", "T85", descriptors::descriptor_reused),
        case(
            "dead_buffers_leave",
            "T85, T97",
            descriptors::dead_buffers_leave,
        ),
        case(
            "handle_arguments",
            "T10, T13",
            descriptors::handle_arguments,
        ),
        case(
            "handles_refused",
            "T4, T5, T13",
            descriptors::handles_refused,
        ),
        case(
            "held_until_dropped",
            "T26, T90",
            dropped::held_until_dropped,
        ),
        case(
            "held_several_times",
            "T26, T90",
            dropped::held_several_times,
        ),
        case("wrong_drops", "T26", dropped::wrong_drops),
        case("drops_everywhere", "T26, T28", dropped::drops_everywhere),
        case("drop_of_mapped", "T26, T91", dropped::drop_of_mapped),
        case("drop_in_its_call", "T26, T84", dropped::drop_in_its_call),
        case("many_held", "T26, T28, T97", dropped::many_held),
        case("call_kinds", "T10, T12, T13", newcall::kinds),
        case("call_ranges", "T8, T10", newcall::ranges),
        case("call_results", "T149", newcall::results),
        case("call_descriptor_zero", "T150", newcall::descriptor_zero),
        case("call_most", "T12, T21", newcall::most),
        case("call_deadline", "T52", newcall::deadline),
        case(
            "call_deadline_keeps_memory",
            "T52",
            newcall::deadline_keeps_memory,
        ),
        case("call_deadlines_many", "T36, T52", newcall::deadlines_many).limit(120),
        case("call_imports", "T92, T94", newcall::imports),
        case("call_pads_and_flags", "T18", fields::pads_and_flags),
        case("call_stride", "T18, T19", fields::stride),
        case("call_numbers", "T6, T18", fields::numbers),
        case("call_order", "T3, T12", fields::order),
        case("call_unused_fields", "T18", fields::unused_fields),
        case("call_ranges_refused", "T4, T5, T8", fields::ranges_refused),
        case("call_objects", "T3", fields::objects),
        case("call_addresses", "T2, T11", fields::addresses),
        case("call_sizes", "T19", fields::sizes),
        case("call_array_changes", "T15", fields::array_changes),
        case("call_kernel_handles", "T107", fields::kernel_handles),
        case("shell_in_buffer", "T76", shells::shell_in_buffer),
        case("shell_place", "T9, T76", shells::shell_place),
        case("shell_refused", "T5, T66", shells::shell_refused),
    ],
};

/// A number of the driver's status file.
pub(super) fn status(name: &str) -> Result<u64, Fail> {
    status_of(CDSP, name)
}

/// A number of the status file of one DSP.
pub(super) fn status_of(label: &str, name: &str) -> Result<u64, Fail> {
    let path = format!("/sys/kernel/debug/qda-{label}/status");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        .ok_or_else(|| format!("{path} has no {name}:\n{text}").into())
}

/// Waits for a number of the status file: what is freed by a worker takes a moment.
pub(super) fn wait_status(name: &str, expected: u64) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = status(name)?;
        if now == expected {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "status: {name} is {now}, expected {expected}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a body and checks that the DSP got no request meanwhile.
pub(super) fn nothing_sent(body: impl FnOnce() -> Outcome) -> Outcome {
    let before = sim::counter("requests")?;
    body()?;
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests seen by the DSP"
    );
    Ok(())
}

/// The buffer of each maker that this kernel has.
fn of_all_makers(file: &File, size: usize) -> Result<Vec<(Maker, Shared)>, Fail> {
    let mut found = Vec::new();
    for maker in MAKERS {
        match Shared::new(maker, file, size) {
            Ok(one) => found.push((maker, one)),
            Err(Fail::Skip(why)) => println!("{maker:?}: {why}"),
            Err(why) => return Err(why),
        }
    }
    Ok(found)
}
