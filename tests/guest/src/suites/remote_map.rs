// SPDX-License-Identifier: GPL-2.0
//! REMOTE_MAP and REMOTE_MUNMAP: memory that a process on the DSP keeps between calls.

use std::os::fd::AsRawFd;
use std::time::{
    Duration,
    Instant, //
};

use super::buffers::{
    nothing_sent,
    status,
    wait_status, //
};
use super::CDSP;
use crate::buffer::{
    self,
    meminfo, //
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
    Mapped, //
};
use crate::dt;
use crate::exporters;
use crate::harness::{
    case,
    patience,
    Fail,
    Outcome,
    Suite, //
};
use crate::mem::{
    self,
    BAD_ADDRESSES,
    PAGE, //
};
use crate::raw::{
    self,
    Map,
    Unmap,
    ATTR,
    LEGACY, //
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

mod answers;
mod ends;
mod heap;
mod requests;
mod unmaps;

pub const SUITE: Suite = Suite {
    name: "remote-map",
    restore: Some(restore),
    cases: &[
        case("heap_pages", "T101, T104", heap::pages),
        case("heap_sizes", "T4, T101", heap::sizes),
        case("heap_limit", "T6, T101, T106, T115", heap::limit).limit(120),
        case("heap_refused", "T101", heap::refused),
        case("legacy_buffer", "T92, T101", heap::legacy_buffer),
        case("attr_flags", "T92, T93", requests::attr_flags),
        case("attr_ranges", "T5, T8", requests::attr_ranges),
        case("ranges_refused", "T4, T5", requests::ranges_refused),
        case("fields_refused", "T18", requests::fields_refused),
        case(
            "descriptors_refused",
            "T3, T94",
            requests::descriptors_refused,
        ),
        case("what_is_sent", "T16, T34, T79", requests::what_is_sent),
        case("every_state", "T80", requests::every_state).limit(120),
        case("addresses", "T2", requests::addresses),
        case("unmap_attr", "T85, T91", unmaps::attr),
        case("unmap_legacy", "T91", unmaps::legacy),
        case("unmap_random", "T91", unmaps::random),
        case("unmap_twice_at_once", "T86", unmaps::twice_at_once),
        case("unmap_refused", "T86, T91", unmaps::refused),
        case("unmap_refused_at_once", "T86, T87", unmaps::refused_at_once),
        case("unmap_while_mapping", "T84, T86", unmaps::while_mapping).limit(120),
        case("answers_of_map", "T34", answers::addresses),
        case("map_refused", "T66, T87", answers::map_refused),
        case("map_ignored", "T55", answers::map_ignored).limit(120),
        case("unmap_ignored", "T55, T91", answers::unmap_ignored).limit(120),
        case("map_late", "T36, T51", answers::map_late).limit(120),
        case("copy_out_fails", "T88, T89", answers::copy_out_fails),
        case("closed_while_mapped", "T90", ends::closed_while_mapped),
        case("memory_comes_back", "T102", ends::memory_comes_back).limit(180),
        case(
            "session_ends_with_maps",
            "T65, T68",
            ends::session_ends_with_maps,
        ),
        case("release_ignored", "T52, T69, T133", ends::release_ignored).limit(180),
        case("killed_with_maps", "T54, T56, T71", ends::killed_with_maps).limit(120),
        case("storm", "T84, T86", ends::storm).limit(180),
    ],
};

/// Limit of a file in MiB that the script of this suite sets.
const LIMIT_MIB: u64 = 192;

/// After a failed case: a DSP without orders and without past.
fn restore() -> Outcome {
    sim::control(CDSP, "normal")?;
    restart()
}

/// Restarts the DSP, which frees what it never answered. Nobody must have an open session.
fn restart() -> Outcome {
    sim::control(CDSP, "remove")?;
    crate::kmod::wait_for("the node goes", Duration::from_secs(10), || {
        dsp::node(CDSP).is_err()
    })?;
    sim::control(CDSP, "announce")?;
    dsp::wait_node(CDSP, Duration::from_secs(10))?;
    File::with_process(CDSP)?.still_works()
}

/// Maps; the value of the ioctl and the DSP's address.
pub(super) fn map(file: &File, request: Map) -> (i64, u64) {
    let mut request = request;
    let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut request as u64);
    (value, request.vaddrout)
}

/// Maps, which must succeed; the DSP's address.
pub(super) fn mapped(file: &File, request: Map) -> Result<u64, Fail> {
    match map(file, request) {
        (0, address) => Ok(address),
        (value, _) => Err(format!("{request:x?} gave {}", raw::show(value)).into()),
    }
}

/// Unmaps; the value of the ioctl.
pub(super) fn unmap(file: &File, request: Unmap) -> i64 {
    raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const request as u64)
}

/// Request for a whole buffer under its number.
pub(super) fn attr(fd: i32, flags: u32) -> Map {
    Map {
        request: ATTR,
        flags,
        fd,
        ..Map::default()
    }
}

/// Request for heap.
pub(super) fn heap_request(size: u64) -> Map {
    Map {
        request: LEGACY,
        flags: 0x1000,
        fd: -1,
        size,
        ..Map::default()
    }
}

/// The end of an ATTR mapping.
pub(super) fn un_attr(fd: i32, vaddr: u64, size: u64) -> Unmap {
    Unmap {
        request: ATTR,
        fd,
        vaddr,
        size,
        ..Unmap::default()
    }
}

/// The end of a LEGACY mapping.
pub(super) fn un_legacy(vaddrout: u64, size: u64) -> Unmap {
    Unmap {
        request: LEGACY,
        vaddrout,
        size,
        ..Unmap::default()
    }
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

/// Pages that the bank of a session has mapped, in the part of the addresses that is used.
fn pages_of(mem: &DspMem<'_>) -> Result<u64, Fail> {
    const PART: u64 = 256 << 20;
    Ok(mem.scan((1 << 32) - PART, PART)?.mapped)
}

/// Nothing of any map is left in the driver.
fn nothing_left() -> Outcome {
    wait_status("remote_maps", 0)?;
    wait_status("heap_bytes", 0)?;
    wait_status("mappings", 0)
}
