// SPDX-License-Identifier: GPL-2.0
//! Signals, stops and freezers that meet calls under way.
//!
//! The simulated DSP counts how often it executes something: however often a wait is interrupted,
//! each call is executed once, and its results come once and to the right place.

use std::sync::atomic::{
    AtomicI32,
    AtomicI64,
    AtomicU32,
    Ordering, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

use super::buffers::{
    status,
    wait_status, //
};
use super::CDSP;
use crate::calls::{
    self,
    NewCall, //
};
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::harness::{
    case,
    patience,
    Fail,
    Outcome,
    Suite, //
};
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

mod bounds;
mod ends;
pub(super) mod job;
mod others;
mod repeats;
mod stops;
mod storms;
pub(super) mod timers;

use job::{
    Dialect,
    Job,
    Place,
    DIALECTS,
    PLACES, //
};
use timers::{
    Handling,
    Storm,
    Timer,
    TIMERS, //
};

pub const SUITE: Suite = Suite {
    name: "signals",
    restore: None,
    cases: &[
        case("every_timer", "T51, T62", storms::every_timer).limit(120),
        case("many_threads", "T51, T62", storms::many_threads).limit(120),
        case("calls_in_handlers", "T51, T62", storms::calls_in_handlers),
        case("same_call_in_handler", "T51", storms::same_call_in_handler),
        case("listener", "T51, T57", storms::listener),
        case(
            "deadline_spans_restarts",
            "T51, T52",
            storms::deadline_spans_restarts,
        ),
        case(
            "late_call_is_not_taken_up",
            "T51, T52",
            storms::late_call_is_not_taken_up,
        ),
        case("repeated", "T51", repeats::repeated),
        case("repeated_late", "T51, T52", repeats::repeated_late),
        case("repeated_by_and_by", "T51", repeats::repeated_by_and_by),
        case("not_repeated", "T36, T51, T52", repeats::not_repeated),
        case("another_call", "T51", repeats::another_call),
        case("several_at_once", "T51, T52", repeats::several_at_once),
        case("cancel_and_rearm", "T51, T62", repeats::cancel_and_rearm),
        case(
            "two_threads_same_call",
            "T51",
            others::two_threads_same_call,
        ),
        case("other_thread", "T51", others::other_thread),
        case(
            "thread_with_same_number",
            "T51",
            others::thread_with_same_number,
        ),
        case("forked_child", "T51", others::forked_child),
        case("other_session", "T51", others::other_session),
        case("stopped", "T51, T57", stops::stopped),
        case("traced", "T51, T57", stops::traced),
        case("frozen_group", "T51, T57", stops::frozen_group),
        case(
            "killed_while_frozen",
            "T56, T57",
            stops::killed_while_frozen,
        ),
        case("suspend", "T51, T57", stops::suspend),
        case(
            "exit_with_parked_calls",
            "T56, T57",
            ends::exit_with_parked_calls,
        ),
        case(
            "killed_with_parked_calls",
            "T52, T56, T57",
            ends::killed_with_parked_calls,
        ),
        case(
            "closed_by_end_of_thread",
            "T56, T57",
            ends::closed_by_end_of_thread,
        ),
        case(
            "closed_while_answered",
            "T52, T57",
            ends::closed_while_answered,
        ),
        case(
            "exit_of_the_process_on_the_dsp",
            "T57, T60",
            ends::exit_on_the_dsp,
        ),
        case("dsp_restarts", "T51, T118", ends::dsp_restarts),
        case("thousand_given_up", "T51, T52", bounds::thousand_given_up).limit(120),
        case("never_answered", "T43, T52, T115", bounds::never_answered).limit(120),
    ],
};

/// Within this, everything that a worker or the DSP has to do is done.
const SOON: Duration = Duration::from_secs(10);
/// Interval of timers that interrupt a call that takes [`SLOW`].
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Milliseconds that the DSP takes for a call that must be interrupted.
const SLOW: u32 = 200;

/// A number of rounds as it has to be on this kernel.
fn rounds(number: u32) -> u32 {
    let slowness = patience(Duration::from_secs(1)).as_secs() as u32;
    number.div_ceil(slowness.max(1))
}

/// Runs `body`, which gives a number of calls: the DSP must execute that many, and in the end no
/// call may be left.
fn executes(body: impl FnOnce() -> Result<u32, Fail>) -> Outcome {
    let before = sim::counter("executions")?;
    let expected = body()?;
    settled()?;
    let after = sim::counter("executions")?;
    ensure_eq!(
        after - before,
        u64::from(expected),
        "executions of {expected} calls"
    );
    Ok(())
}

/// Waits until the DSP has answered everything and the driver knows it.
fn settled() -> Outcome {
    sim::wait_counter("delayed", patience(SOON), |now| now == 0)?;
    wait_status("calls", 0)
}

/// Runs threads and gives the first thing that went wrong in one.
fn join<T>(threads: Vec<thread::JoinHandle<Result<T, Fail>>>) -> Result<Vec<T>, Fail> {
    let results: Vec<_> = threads
        .into_iter()
        .map(|one| one.join().unwrap_or(Err("a thread panicked".into())))
        .collect();
    results.into_iter().collect()
}
