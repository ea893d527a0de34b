// SPDX-License-Identifier: GPL-2.0

//! What was refused to clients: counters, and the last cases in detail.
//!
//! Nothing that a user does is written to the kernel log. Instead each operation of a client that
//! failed, and each that the DSP answered with an error, is counted and recorded here, where root
//! can read it ([`crate::front::refusals`]).
//!
//! A record holds numbers only: no address of the kernel and no data of the client. New records
//! push out the oldest ones, so that a client that fails all the time costs no memory.
//!
//! # Locking
//!
//! One mutex, the last of all and held for a few instructions. [`Client`](super::client::Client)
//! takes it after an operation failed, when it holds no other; nobody takes it when one succeeded.

use crate::{
    engine::error::CallError,
    proto::{
        context::Pd,
        errors::DspResult, //
    },
    sys::task, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex,
    time::{
        hrtimer::HrTimerExpires,
        Instant,
        Monotonic, //
    }, //
};

/// How many cases are remembered.
const REMEMBERED: usize = 64;

/// Room for the kinds of error. More than there are.
const KINDS: usize = 40;

/// What a client wanted.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    /// To attach to the root PD.
    Attach,
    /// To start a process.
    Start {
        /// Attributes, as given.
        attrs: u32,
    },
    /// To call a method.
    Call {
        /// Remote handle.
        handle: u32,
        /// Scalars word, where it is known.
        scalars: Option<u32>,
    },
    /// To map memory into the process.
    Map {
        /// Flags, as given.
        flags: u32,
    },
    /// To undo a mapping.
    Unmap,
    /// To make a buffer.
    Buffer {
        /// Bytes.
        size: u64,
    },
}

/// How it ended.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// By an error of ours.
    Error(CallError),
    /// The DSP gave this result, which is not success.
    Dsp(DspResult),
}

/// The process of a client at that time.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// Client id on the DSP.
    pub(crate) client: i32,
    /// Its protection domain.
    pub(crate) pd: Pd,
}

/// One case.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Number of the case, counted from 1 since the DSP came.
    pub(crate) serial: u64,
    /// Monotonic time in nanoseconds.
    pub(crate) time: i64,
    /// Thread that asked, in the initial namespace.
    pub(crate) tid: i32,
    /// What it wanted.
    pub(crate) operation: Operation,
    /// Its process, if it had one.
    pub(crate) process: Option<Process>,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// How often an error occurred.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    /// Name of the error.
    pub(crate) name: &'static str,
    /// Times.
    pub(crate) times: u64,
}

struct Inner {
    /// Errors in the order of their first occurrence.
    counts: KVec<Count>,
    /// Results of the DSP that were not success.
    dsp: u64,
    /// The last cases. The one with serial number n is at (n - 1) mod [`REMEMBERED`].
    ring: KVec<Record>,
    /// Serial number of the last case.
    serial: u64,
}

/// What was refused to the clients of a DSP.
#[pin_data]
pub(crate) struct Refusals {
    #[pin]
    inner: Mutex<Inner>,
}

impl Refusals {
    /// Nothing was refused yet. All memory is allocated here.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- {
                let counts = KVec::with_capacity(KINDS, GFP_KERNEL)?;
                let ring = KVec::with_capacity(REMEMBERED, GFP_KERNEL)?;
                new_mutex!(
                    Inner {
                        counts,
                        dsp: 0,
                        ring,
                        serial: 0,
                    },
                    "qda_refusals"
                )
            },
        })
    }

    /// Counts and records a case. Called when it has happened, never on success.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(&self, operation: Operation, process: Option<Process>, outcome: Outcome) {
        let mut record = Record {
            serial: 0,
            time: Instant::<Monotonic>::now().as_nanos(),
            tid: task::current_tid(),
            operation,
            process,
            outcome,
        };
        let mut inner = self.inner.lock();
        match &outcome {
            Outcome::Error(error) => inner.count(error.name()),
            Outcome::Dsp(_) => inner.dsp = inner.dsp.saturating_add(1),
        }
        // The caller knows best of its own signals, and may get very many.
        if matches!(outcome, Outcome::Error(CallError::Interrupted)) {
            return;
        }
        inner.serial = inner.serial.wrapping_add(1);
        record.serial = inner.serial;
        let place = place(record.serial);
        match inner.ring.get_mut(place) {
            Some(old) => *old = record,
            // There is room for all of them, so this does not allocate.
            None => drop(inner.ring.push_within_capacity(record)),
        }
    }

    /// Serial number of the last case, 0 if there was none.
    pub(crate) fn serial(&self) -> u64 {
        self.inner.lock().serial
    }

    /// How often the DSP gave a result that is not success.
    pub(crate) fn dsp_results(&self) -> u64 {
        self.inner.lock().dsp
    }

    /// The counter with this number, which is below the number of errors that have occurred.
    pub(crate) fn count(&self, index: usize) -> Option<Count> {
        self.inner.lock().counts.get(index).copied()
    }

    /// The oldest case that is remembered and has at least this serial number.
    pub(crate) fn since(&self, serial: u64) -> Option<Record> {
        let inner = self.inner.lock();
        let held = u64::try_from(inner.ring.len()).unwrap_or(0);
        let oldest = inner.serial.saturating_sub(held).saturating_add(1);
        inner
            .ring
            .get(place(serial.max(oldest)))
            .copied()
            .filter(|record| record.serial >= serial)
    }
}

/// Where the case with this serial number, not 0, is in the ring.
fn place(serial: u64) -> usize {
    // CAST: `usize` has 64 bits where a DSP is.
    (serial.wrapping_sub(1) % REMEMBERED as u64) as usize
}

impl Inner {
    fn count(&mut self, name: &'static str) {
        match self.counts.iter_mut().find(|count| count.name == name) {
            Some(count) => count.times = count.times.saturating_add(1),
            // As above.
            None => drop(self.counts.push_within_capacity(Count { name, times: 1 })),
        }
    }
}
