// SPDX-License-Identifier: GPL-2.0
//! Buffers of the node: handles, sizes, limits; areas, accounting and the end of the DSP.
//!
//! Cases that load the module anew or take a DSP away leave everything as it was.

use std::collections::BTreeMap;
use std::os::fd::{
    AsRawFd,
    RawFd, //
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicUsize,
    Ordering, //
};
use std::sync::Arc;
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

use super::{
    ADSP,
    CDSP, //
};
use crate::buffer::{
    self,
    Area, //
};
use crate::dsp::{
    self,
    File, //
};
use crate::exporters;
use crate::harness::{
    case,
    rounds,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod;
use crate::mem::PAGE;
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

mod accounting;
mod areas;
mod handles;
mod leaving;
mod limits;
mod shapes;

pub const SUITE: Suite = Suite {
    name: "gem",
    restore: Some(restore),
    cases: &[
        case("sizes", "T104", handles::sizes),
        case("refused", "T106, T153", handles::refused),
        case("unknown_handles", "T99", handles::unknown_handles),
        case("handles_in_any_order", "T99", handles::any_order),
        case("larger_than_4_gib", "T168", handles::larger_than_4_gib),
        case("create_close_threads", "T99", handles::create_close_threads).limit(120),
        case("close_races_use", "T99", handles::close_races_use).limit(120),
        case("storm", "T81, T106", handles::storm).limit(180),
        case("no_session_needed", "T67", handles::no_session_needed),
        case("default_limits", "T106", limits::default_limits),
        case("small_limits", "T106", limits::small_limits).limit(120),
        case("limit_races", "T106", limits::limit_races).limit(120),
        case("mmap_shapes", "T81", shapes::mmap_shapes),
        case("mmap_of_others", "T116", shapes::mmap_of_others),
        case("read_only", "T81", shapes::read_only),
        case("private_area", "T81", shapes::private_area),
        case("populate", "T81", shapes::populate),
        case("huge_pages", "T81", shapes::huge_pages),
        case("split_areas", "T81", areas::split_areas),
        case("random_splits", "T81", areas::random_splits).limit(120),
        case("mremap", "T81", areas::mremap),
        case("fork", "T81", areas::fork),
        case("outlive_handle_and_file", "T81", areas::outlive),
        case("kernel_reads_and_writes", "T81", areas::kernel_access),
        case("arguments_in_areas", "T146", areas::arguments_in_areas),
        case(
            "holes_and_truncation",
            "T81, T92",
            areas::holes_and_truncation,
        ),
        case("new_memory_is_zero", "T104", areas::new_memory_is_zero).limit(180),
        case("fdinfo_model", "T106", accounting::fdinfo_model).limit(120),
        case("fdinfo_active", "T106", accounting::fdinfo_active),
        case("bytes_copied", "T106", accounting::bytes_copied),
        case("memory_cgroup", "T106", accounting::memory_cgroup).limit(120),
        case(
            "memory_cgroup_limit",
            "T106",
            accounting::memory_cgroup_limit,
        )
        .limit(120),
        case("areas_outlive_dsp", "T82, T120", leaving::areas_outlive_dsp),
        case(
            "areas_outlive_module",
            "T82, T120",
            leaving::areas_outlive_module,
        ),
        case("dsp_leaves_under_load", "T82, T120", leaving::under_load).limit(180),
    ],
};

/// Time within which freed memory shows up and nodes come and go.
const SOON: Duration = Duration::from_secs(10);
/// Name of our driver on the rpmsg bus.
const OURS: &str = "qda";

const MIB: usize = 1 << 20;

/// Loads and binds whatever is not.
pub fn restore() -> Outcome {
    if !kmod::loaded("qda") {
        kmod::must_insert("qda", "")?;
    }
    for label in [CDSP, ADSP] {
        if kmod::channel(label).is_err() {
            sim::control(label, "announce")?;
        }
        let channel = kmod::channel(label)?;
        if channel.driver().is_none() {
            channel.bind(OURS)?;
        }
        dsp::wait_node(label, SOON)?;
    }
    Ok(())
}

/// Loads the module anew with parameters.
fn reload(parameters: &str) -> Outcome {
    kmod::must_remove("qda")?;
    kmod::must_insert("qda", parameters)?;
    for label in [CDSP, ADSP] {
        dsp::wait_node(label, SOON)?;
    }
    Ok(())
}

/// What the system holds on behalf of buffers: a buffer is one open file of the kernel, its pages
/// are shared memory.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    files: u64,
    shmem: u64,
    dma_bufs: usize,
}

impl Held {
    /// The present state.
    pub fn now() -> Result<Self, Fail> {
        let text = std::fs::read_to_string("/proc/sys/fs/file-nr")?;
        let files = text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or("no number in file-nr")?;
        Ok(Held {
            files,
            shmem: buffer::meminfo("Shmem")?,
            dma_bufs: exporters::count()?,
        })
    }

    /// How many dma-bufs there were.
    pub fn dma_bufs(&self) -> usize {
        self.dma_bufs
    }

    /// Waits until the system holds no more than in this state. `slack` bytes of shared memory
    /// may be more: counters of pages are kept per CPU and are only roughly right.
    pub fn wait_for_return(&self, slack: u64) -> Outcome {
        let deadline = Instant::now() + SOON;
        loop {
            let now = Held::now()?;
            if now.files <= self.files
                && now.shmem <= self.shmem + slack
                && now.dma_bufs <= self.dma_bufs
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("held before {self:?}, after {now:?}").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What the page counters may be off by.
const SLACK: u64 = 2 << 20;

/// Runs a function in several threads; the first failure counts.
pub fn in_threads(number: u32, body: impl Fn(u32) -> Outcome + Send + Sync + 'static) -> Outcome {
    let body = Arc::new(body);
    let threads: Vec<_> = (0..number)
        .map(|n| {
            let body = Arc::clone(&body);
            thread::spawn(move || body(n))
        })
        .collect();
    let mut result = Ok(());
    for one in threads {
        let outcome = one
            .join()
            .unwrap_or_else(|_| Err("a thread panicked".into()));
        if result.is_ok() {
            result = outcome;
        }
    }
    result
}

/// A sequence of numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}
