// SPDX-License-Identifier: GPL-2.0

//! What root can read of refused operations: `/sys/kernel/debug/qda-<label>/refusals`.
//!
//! ```text
//! refused not-trusted 2
//! dsp-results 1
//! record 1 time=61230415000 tid=212 op=start process=- attrs=0x1 error=signed errno=-111
//! record 2 time=61230620000 tid=212 op=attach process=- error=not-trusted errno=-13
//! record 3 time=61233019000 tid=215 op=call process=user:4 handle=0x21 sc=0x2020100 \
//!     result=0x8000040e name=AEE_EBADPARM
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `refused NAME TIMES` | operations that ended with this error, since the channel was bound |
//! | `dsp-results TIMES` | operations that the DSP answered with anything but success |
//! | `record N KEY=VALUE...` | one of these; the last 64, oldest first. Those that a signal ended are only counted |
//!
//! | key | meaning |
//! |---|---|
//! | `time` | monotonic clock, ns |
//! | `tid` | thread, in the initial PID namespace |
//! | `op` | `attach`, `start`, `call`, `map`, `unmap`, `buffer` |
//! | `process` | PD and client id of the process on the DSP, or `-` |
//! | `attrs`, `handle`, `sc`, `flags`, `size` | what was asked for: attributes of a process; remote handle and scalars of a call; flags of a mapping; bytes of a buffer |
//! | `error`, `errno` | why the driver refused, see [`super::errno`] |
//! | `result`, `name` | what the DSP answered; `qdactl explain` says more |
//!
//! Owns nothing, takes no locks. The folder is root's alone, and a record holds no kernel address.

use crate::engine::{
    refusals::{
        Outcome,
        Record, //
    },
    Dsp,
    Operation,
    Pd, //
};
use kernel::{
    debugfs,
    fmt,
    prelude::*,
    sync::Arc, //
};

/// The content of the file.
pub(super) struct Listing(pub(super) Arc<Dsp>);

impl debugfs::Writer for Listing {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refusals = self.0.refusals();
        let mut index = 0usize;
        while let Some(count) = refusals.count(index) {
            writeln!(f, "refused {} {}", count.name, count.times)?;
            index = index.saturating_add(1);
        }
        writeln!(f, "dsp-results {}", refusals.dsp_results())?;

        // Records that are made meanwhile are left out, so this ends.
        let last = refusals.serial();
        let mut next = 1u64;
        while let Some(record) = refusals.since(next).filter(|record| record.serial <= last) {
            show(f, &record)?;
            next = record.serial.saturating_add(1);
        }
        Ok(())
    }
}

fn show(f: &mut fmt::Formatter<'_>, record: &Record) -> fmt::Result {
    write!(
        f,
        "record {} time={} tid={} op={} process=",
        record.serial,
        record.time,
        record.tid,
        name(&record.operation)
    )?;
    match &record.process {
        Some(process) => write!(f, "{}:{}", pd_name(process.pd), process.client)?,
        None => write!(f, "-")?,
    }
    match &record.operation {
        Operation::Attach | Operation::Unmap => {}
        Operation::Start { attrs } => write!(f, " attrs={attrs:#x}")?,
        Operation::Call { handle, scalars } => {
            write!(f, " handle={handle:#x}")?;
            if let Some(scalars) = scalars {
                write!(f, " sc={scalars:#x}")?;
            }
        }
        Operation::Map { flags } => write!(f, " flags={flags:#x}")?,
        Operation::Buffer { size } => write!(f, " size={size}")?,
    }
    match &record.outcome {
        Outcome::Error(error) => {
            let errno = Error::from(*error).to_errno();
            writeln!(f, " error={} errno={errno}", error.name())
        }
        Outcome::Dsp(result) => {
            let name = result.name().unwrap_or("-");
            writeln!(f, " result={:#x} name={name}", result.bits())
        }
    }
}

fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Attach => "attach",
        Operation::Start { .. } => "start",
        Operation::Call { .. } => "call",
        Operation::Map { .. } => "map",
        Operation::Unmap => "unmap",
        Operation::Buffer { .. } => "buffer",
    }
}

fn pd_name(pd: Pd) -> &'static str {
    match pd {
        Pd::Root => "root",
        Pd::User => "user",
        Pd::Sensors => "sensors",
    }
}
