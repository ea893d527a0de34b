// SPDX-License-Identifier: GPL-2.0
//! What a client may have: each limit at its edge, and a greedy client beside a modest one.
//!
//! The script loads the module with small limits ([`SMALL`]); cases about the shares of what is
//! scarce load it anew with the usual ones.

use std::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

use super::buffers::{
    nothing_sent,
    status,
    status_of,
    wait_status, //
};
use super::signals::job::{
    Dialect,
    Job,
    Place, //
};
use super::{
    ADSP,
    CDSP, //
};
use crate::buffer;
use crate::calls::NewCall;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dt;
use crate::harness::{
    case,
    patience,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod;
use crate::mem::PAGE;
use crate::raw;
use crate::shared::Shared;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

mod bytes;
mod seats;
mod slots;

pub const SUITE: Suite = Suite {
    name: "limits",
    restore: Some(small),
    cases: &[
        case("shown", "T106", shown),
        case("odd_values", "T6, T106", odd_values),
        case("bytes_of_a_buffer", "T106", bytes::of_a_buffer),
        case("bytes_of_a_file", "T106", bytes::of_a_file),
        case("bytes_of_a_dsp", "T106, T115", bytes::of_a_dsp),
        case("number_of_buffers", "T106", bytes::number),
        case("heap_counts", "T106", bytes::heap_counts),
        case("buffers_in_threads", "T106, T115", bytes::in_threads),
        case("bytes_of_a_call", "T6", bytes::of_a_call),
        case("calls_of_a_session", "T43, T115", slots::calls_of_a_session),
        case(
            "calls_given_up_count",
            "T43, T52",
            slots::calls_given_up_count,
        ),
        case("share_of_slots", "T43, T115", slots::share),
        case(
            "greedy_beside_modest",
            "T43, T115",
            slots::greedy_beside_modest,
        ),
        case("handles_held", "T26, T115", slots::handles_held),
        case("share_of_seats", "T115", seats::share),
        case("seats_of_root", "T115", seats::of_root),
        case("seats_in_threads", "T115", seats::in_threads),
    ],
};

/// Within this, everything that a worker or the DSP has to do is done.
const SOON: Duration = Duration::from_secs(10);

/// Parameters of the module, as in `limits.sh`.
const SMALL: &str =
    "max_buffer_mib=2 max_file_mib=3 max_dsp_mib=8 max_file_buffers=20 max_calls=6 \
                     max_inline_mib=1";

/// Loads the module anew with parameters.
fn reload(parameters: &str) -> Outcome {
    if kmod::loaded("qda") {
        kmod::must_remove("qda")?;
    }
    kmod::must_insert("qda", parameters)?;
    for label in [CDSP, ADSP] {
        dsp::wait_node(label, patience(SOON))?;
    }
    Ok(())
}

/// Brings the small limits back.
fn small() -> Outcome {
    reload(SMALL)
}

/// Runs `body` with other parameters, then brings the small ones back.
fn with(parameters: &str, body: impl FnOnce() -> Outcome) -> Outcome {
    reload(parameters)?;
    let result = body();
    small()?;
    result
}

/// All limits of the status file, in the order of [`SMALL`].
fn limits(label: &str) -> Result<[u64; 6], Fail> {
    Ok([
        status_of(label, "max_buffer")?,
        status_of(label, "max_file")?,
        status_of(label, "max_dsp")?,
        status_of(label, "max_file_buffers")?,
        status_of(label, "max_calls")?,
        status_of(label, "max_inline")?,
    ])
}

const MIB: u64 = 1 << 20;

/// The status file shows what was set, and what is used without it.
fn shown() -> Outcome {
    for label in [CDSP, ADSP] {
        ensure_eq!(
            limits(label)?,
            [2 * MIB, 3 * MIB, 8 * MIB, 20, 6, MIB],
            "small limits of {label}"
        );
    }
    with("", || {
        for label in [CDSP, ADSP] {
            ensure_eq!(
                limits(label)?,
                [
                    16384 * MIB,
                    65536 * MIB,
                    262_144 * MIB,
                    65536,
                    128,
                    64 * MIB
                ],
                "usual limits of {label}"
            );
        }
        Ok(())
    })
}

/// Nothing at all, and as much as a number can say.
fn odd_values() -> Outcome {
    let zero = SMALL
        .split_whitespace()
        .filter_map(|word| Some(format!("{}=0 ", word.split_once('=')?.0)))
        .collect::<String>();
    with(&zero, || {
        ensure_eq!(limits(CDSP)?, [0; 6], "limits of 0");
        let file = File::open(CDSP)?;
        ensure_eq!(
            buffer::create(file.raw(), 1),
            Err(-i64::from(libc::E2BIG)),
            "a byte"
        );
        ensure_ret!(file.create(), 0, "create");
        nothing_sent(|| {
            let value = Call::new(2).on(file.raw(), dsp::CURRENT_PROCESS);
            ensure_ret!(value, -libc::ENOSPC, "call");
            Ok(())
        })
    })?;
    let most = zero.replace("=0", &format!("={}", u64::MAX));
    with(&most, || {
        let all = u64::MAX;
        ensure_eq!(
            limits(CDSP)?,
            [all, all, all, all, all, 64 * MIB],
            "the largest limits"
        );
        let file = File::with_process(CDSP)?;
        for size in [u64::MAX, u64::MAX - 4095, 1 << 63] {
            ensure!(
                buffer::create(file.raw(), size).is_err(),
                "a buffer of {size:#x} bytes"
            );
        }
        ensure_eq!(status("buffer_bytes")?, 0, "bytes after that");
        let handle = file.buffer(64 << 20)?;
        file.close(handle)?;
        file.still_works()
    })
}
