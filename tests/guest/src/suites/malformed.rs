// SPDX-License-Identifier: GPL-2.0
//! Requests that no sane client makes. Each must give its documented errno, reach the DSP never,
//! and leave no line in the log.

use std::os::fd::AsRawFd;

use super::CDSP;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::harness::{
    case,
    Outcome,
    Suite, //
};
use crate::kmsg::Log;
use crate::mem::{
    bytes_of,
    Area,
    BAD_ADDRESSES,
    PAGE, //
};
use crate::raw::{
    self,
    Create,
    Elem,
    Invoke,
    Query, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

/// The errors of a number that means nothing to a driver or that it does not serve.
macro_rules! ensure_refused {
    ($value:expr, $($text:tt)+) => {
        ensure_errno!(
            $value,
            [
                libc::EINVAL, libc::ENOTTY, libc::EOPNOTSUPP, libc::ENOSYS, libc::EACCES,
                libc::EPERM, libc::ENOENT, libc::EBADF
            ],
            $($text)+
        )
    };
}

mod arguments;
mod numbers;
mod pointers;

pub const SUITE: Suite = Suite {
    name: "malformed",
    restore: None,
    cases: &[
        case("unknown_numbers", "T18, T152, T154, T173", || {
            quietly(numbers::unknown_numbers)
        }),
        case("filled_structures", "T18, T152, T173", || {
            quietly(numbers::filled_structures)
        }),
        case("other_types", "T152, T173", || {
            quietly(numbers::other_types)
        }),
        case("generic_drm", "T152, T173, T174", || {
            quietly(numbers::generic_drm)
        }),
        case("structure_sizes", "T19", || {
            quietly(numbers::structure_sizes)
        }),
        case("directions", "T19", || quietly(numbers::directions)),
        case("argument_pointer", "T2, T173", || {
            quietly(pointers::argument_pointer)
        }),
        case("invoke_structure_at_edge", "T2, T5", || {
            quietly(pointers::invoke_structure_at_edge)
        }),
        case("array_at_edge", "T2, T5, T11", || {
            quietly(pointers::array_at_edge)
        }),
        case("data_pointers", "T2, T23, T173", || {
            quietly(pointers::data_pointers)
        }),
        case("data_at_edge", "T2, T5", || quietly(pointers::data_at_edge)),
        case("shell_pointer", "T2, T66", || {
            quietly(pointers::shell_pointer)
        }),
        case("read_only_output", "T2, T23", || {
            quietly(pointers::read_only_output)
        }),
        case("lengths", "T4, T5, T6", || quietly(arguments::lengths)),
        case("total_size", "T6", || quietly(arguments::total_size)),
        case("descriptors", "T3, T152", || {
            quietly(arguments::descriptors)
        }),
        case("handle_arguments", "T13, T152", || {
            quietly(arguments::handle_arguments)
        }),
        case("most_arguments", "T6, T21", || {
            quietly(arguments::most_arguments)
        }),
        case("kernel_handle", "T107, T173", || {
            quietly(arguments::kernel_handle)
        }),
        case("handles_and_methods", "T107, T173", || {
            quietly(arguments::handles_and_methods)
        }),
        case("array_changes_during_call", "T15", || {
            quietly(arguments::array_changes)
        }),
        case("random_requests", "T173, T174", || {
            quietly(arguments::random_requests)
        })
        .limit(120),
    ],
};

/// Runs a body and checks that a normal call still works and that the log has no new warning.
fn quietly(body: fn() -> Outcome) -> Outcome {
    let mut log = Log::from_now()?;
    body()?;
    File::with_process(CDSP)?.still_works()?;
    for record in log.read()? {
        ensure!(
            !record.is_kernel() || record.level() > 4,
            "the log got a line of level {}: {}",
            record.level(),
            record.text
        );
    }
    Ok(())
}

/// Runs a body and checks that the DSP got no request meanwhile.
fn nothing_sent(body: impl FnOnce() -> Outcome) -> Outcome {
    let before = sim::counter("requests")?;
    body()?;
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests seen by the DSP"
    );
    Ok(())
}

/// A file in each of the two states.
fn both_states() -> Result<[(&'static str, File); 2], crate::harness::Fail> {
    Ok([
        ("new file", File::open(CDSP)?),
        ("live session", File::with_process(CDSP)?),
    ])
}

/// Address of memory that is large enough for any output here; it lives as long as the process.
fn back_room(size: u64) -> u64 {
    vec![0u8; size as usize].leak().as_mut_ptr() as u64
}
