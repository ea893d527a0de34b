// SPDX-License-Identifier: GPL-2.0
//! Faults of the kernel in every operation: the first allocation fails, then the second, and so on
//! until the operation runs through. What failed must have left nothing behind, and the same must
//! work right after it.
//!
//! For kernels with fault injection only; the script of the suite sets up what counts as a fault.

use std::ffi::CString;
use std::os::fd::{
    AsRawFd,
    OwnedFd,
    RawFd, //
};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::{
    buffers,
    remote_map,
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
    File,
    UNSIGNED, //
};
use crate::dspmem::{
    self,
    DspMem, //
};
use crate::exporters;
use crate::harness::{
    case,
    Fail,
    Outcome,
    Suite, //
};
use crate::mem::PAGE;
use crate::raw::{
    self,
    Create,
    Elem,
    GemClose,
    GemCreate,
    GemMmapOffset,
    Invoke,
    Prime,
    Query,
    ARG_IN, //
};
use crate::shared::{
    Maker,
    Shared, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

mod books;
#[path = "faults/buffers.rs"]
mod buffer_faults;
mod calls;
mod inject;
mod maps;
mod nodes;
mod probe;
mod sweep;
mod transport;

use books::Books;
use inject::Faults;
use sweep::Sweep;

pub const SUITE: Suite = Suite {
    name: "faults",
    restore: Some(probe::restore),
    cases: &[
        case("open", "T72", nodes::open),
        case("query", "T23", nodes::query),
        case("status_file", "", nodes::status_file),
        case("fdinfo", "", nodes::fdinfo),
        case("attach", "T23, T66, T87", nodes::attach).limit(180),
        case("create", "T23, T66, T87", nodes::create).limit(180),
        case("create_inline_shell", "T23, T66, T87", nodes::create_inline).limit(180),
        case("create_buffer_shell", "T66, T87", nodes::create_buffer).limit(180),
        case("close", "T66, T68", nodes::close).limit(180),
        case("gem_create", "T23, T87, T88", buffer_faults::create),
        case("gem_close", "T87", buffer_faults::close),
        case("gem_areas", "T87", buffer_faults::areas),
        case("first_touch", "T87", buffer_faults::first_touch),
        case(
            "first_touch_by_program",
            "T87",
            buffer_faults::first_touch_by_program,
        ),
        case("prime_export", "T87, T88", buffer_faults::export),
        case("prime_import", "T87, T88", buffer_faults::import).limit(180),
        case("dma_buf_attach", "T87", buffer_faults::attach),
        case("dma_buf_areas", "T87", buffer_faults::dma_buf_areas),
        case("invoke_inline", "T6, T16, T23", calls::inline).limit(180),
        case("invoke_buffers", "T23, T87", calls::buffers_by_fd).limit(180),
        case("invoke_handles", "T23, T87", calls::handles).limit(180),
        case("invoke_most", "T6, T23, T87", calls::most).limit(300),
        case("call", "T23, T87", calls::new_call).limit(180),
        case("remote_map", "T23, T87, T88, T89", maps::map).limit(180),
        case("remote_unmap", "T23, T87, T89", maps::unmap).limit(180),
        case("sends_refused", "T47", transport::refused).limit(180),
        case("release_refused", "T47, T66", transport::release_refused),
        case("sent_and_failed", "T47", transport::sent_and_failed).limit(180),
        case("no_room_to_send", "T61", transport::busy),
        case("all_points", "", all_points),
    ],
};

/// Probe and load of the module. Not part of `faults.sh`: to be started by name.
pub const PROBE: Suite = Suite {
    name: "faults-probe",
    restore: Some(probe::restore),
    cases: &[
        case("bind", "", probe::bind).limit(300),
        case("load", "", probe::load).limit(300),
    ],
};

/// An operation without faults follows this many points where the try itself ends with one.
const MOST_CLEAN: u32 = 40;

/// A path for the C library.
fn path_of(path: &Path) -> Result<CString, Fail> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string().into())
}

/// The sum over the cases before.
fn all_points() -> Outcome {
    let (operations, points) = sweep::total()?;
    println!("{operations} operations");
    println!("figure fault points: {points}");
    ensure!(
        operations >= 20 && points >= 300,
        "faults were met at {points} points of {operations} operations only"
    );
    Ok(())
}
