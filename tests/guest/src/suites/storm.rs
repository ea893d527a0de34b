// SPDX-License-Identifier: GPL-2.0
//! DSPs and modules that come and go all the time, under the load of many clients.
//!
//! The number of cycles is that of a short run; `QDA_STORM=N` in the environment (a parameter of
//! the guest's kernel) makes it N times as many. On a kernel with sanitizers it is divided by the
//! slowness of that kernel. The figures of a run are in lines `figure NAME: NUMBER`.

use std::sync::{
    mpsc,
    Arc, //
};
use std::thread::{
    self,
    JoinHandle, //
};
use std::time::{
    Duration,
    Instant, //
};

use super::buffers::{
    status_of,
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
use crate::calls::{
    self,
    NewCall, //
};
use crate::checks;
use crate::crowd::{
    Board,
    Crowd,
    Dice, //
};
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dspmem::{
    self,
    DspMem, //
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
use crate::kmod;
use crate::mem::PAGE;
use crate::raw::{
    self,
    Map,
    Unmap, //
};
use crate::shared::Shared;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

mod client;
mod cycles;
mod states;

pub const SUITE: Suite = Suite {
    name: "storm",
    restore: Some(restore),
    cases: &[
        case(
            "every_state",
            "T55, T57, T118, T119, T121, T125, T133",
            states::every_state,
        )
        .limit(120),
        case("in_send", "T118, T119, T125, T126", states::in_send).limit(120),
        case(
            "restarts",
            "T45, T82, T118, T119, T120, T129, T134, T136",
            cycles::restarts,
        )
        .limit(1200),
        case(
            "unbinds",
            "T82, T83, T118, T119, T120, T121, T124, T127, T134",
            cycles::unbinds,
        )
        .limit(1200),
        case("reloads", "T70, T124, T125, T130, T131", cycles::reloads).limit(1200),
        case("quiet_cycles", "T124, T129", cycles::quiet).limit(1200),
    ],
};

/// Time within which a node comes or goes, a waiter wakes, a file closes. An unbind that finds a
/// silent DSP waits for it a second at most.
const SOON: Duration = Duration::from_secs(15);
/// Name of our driver on the rpmsg bus.
const OURS: &str = "qda";

/// Brings back the state that cases start from.
fn restore() -> Outcome {
    sim::control(CDSP, "normal")?;
    sim::control(CDSP, "thread")?;
    if !kmod::loaded("qda") {
        kmod::must_insert("qda", "")?;
    }
    for label in [CDSP, ADSP] {
        if kmod::channel(label).is_err() {
            sim::control(label, "announce")?;
        }
        if kmod::channel(label)?.driver().is_none() {
            kmod::channel(label)?.bind(OURS)?;
        }
        dsp::wait_node(label, SOON)?;
    }
    Ok(())
}

/// How many cycles this run makes of what a short one on the stock kernel makes.
fn cycles_of(short: u64) -> u64 {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text: String| text.parse::<u64>().ok())
            .unwrap_or(1)
            .max(1)
    };
    (short * number("QDA_STORM") / number("QDA_SLOWNESS")).max(4)
}

/// How a DSP goes and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It crashes, and starts again.
    Restart,
    /// Its driver is taken away, and given back by name.
    Unbind,
    /// As `Unbind`, but the bus looks for the driver.
    Probe,
}

impl Way {
    /// The DSP goes; fails if that takes long.
    fn leave(self, label: &str) -> Outcome {
        let begin = Instant::now();
        match self {
            Way::Restart => sim::control(label, "remove")?,
            Way::Unbind | Way::Probe => kmod::channel(label)?.unbind(OURS)?,
        }
        kmod::wait_for("the end of the node", patience(SOON), || {
            dsp::node(label).is_err()
        })?;
        ensure!(
            begin.elapsed() < patience(SOON),
            "{self:?} took {:?}",
            begin.elapsed()
        );
        Ok(())
    }

    /// It comes back.
    fn back(self, label: &str) -> Outcome {
        match self {
            Way::Restart => sim::control(label, "announce")?,
            Way::Unbind => kmod::channel(label)?.bind(OURS)?,
            Way::Probe => {
                let name = kmod::channel(label)?.name;
                std::fs::write("/sys/bus/rpmsg/drivers_probe", &name)
                    .map_err(|error| format!("{name} > drivers_probe: {error}"))?;
            }
        }
        dsp::wait_node(label, patience(SOON))?;
        Ok(())
    }
}

/// Both DSPs answer.
fn both_work() -> Outcome {
    for label in [CDSP, ADSP] {
        dsp::wait_node(label, patience(SOON))?;
        File::with_process(label)?.still_works()?;
    }
    Ok(())
}

/// All that an open file of a DSP that is gone can do is fail, be looked at and be closed.
fn is_dead(file: &File, buffer: Option<&Shared>) -> Outcome {
    let fd = file.raw();
    let gone = -i64::from(libc::ENODEV);
    ensure_eq!(dsp::query(fd), Err(gone), "query");
    ensure_ret!(file.create(), gone, "create");
    ensure_ret!(file.attach(), gone, "attach");
    let call = Call::new(2).on(fd, dsp::REMOTECTL);
    ensure_ret!(call, gone, "invoke");
    let (call, _) = NewCall::new(2).on(fd, dsp::REMOTECTL);
    ensure_ret!(call, gone, "call");
    let mut map = Map {
        request: raw::LEGACY,
        flags: 0x1000,
        fd: -1,
        size: PAGE as u64,
        ..Map::default()
    };
    let value = raw::ioctl(fd, raw::REMOTE_MAP, &raw mut map as u64);
    ensure_ret!(value, gone, "map");
    let unmap = Unmap {
        request: raw::LEGACY,
        ..Unmap::default()
    };
    let value = raw::ioctl(fd, raw::REMOTE_MUNMAP, &raw const unmap as u64);
    ensure_ret!(value, gone, "unmap");
    ensure_eq!(buffer::create(fd, 4096), Err(gone), "new buffer");
    if let Some(one) = buffer {
        ensure_eq!(buffer::mmap_offset(fd, one.handle), Err(gone), "offset");
        ensure_eq!(
            buffer::export(fd, one.handle).err(),
            Some(gone),
            "export of a dead file"
        );
        ensure_eq!(buffer::import(fd, one.raw()), Err(gone), "import");
        ensure_ret!(buffer::close(fd, one.handle), gone, "close of a handle");
    }
    ensure_eq!(
        Area::new(fd, PAGE, 1 << 32, buffer::RW, libc::MAP_SHARED).err(),
        Some(libc::ENODEV),
        "new area"
    );
    let mut version = [0u64; 8];
    let code = raw::code(3, b'd', 0, 64);
    let value = raw::ioctl(fd, code, version.as_mut_ptr() as u64);
    ensure_ret!(value, gone, "version");
    buffer::fdinfo(fd)?;
    Ok(())
}

/// A call of the listener, which is not answered as long as its process lives.
fn listener(file: &File) -> i64 {
    let (header, data) = ([0; 16], [0; 8]);
    let (mut next, mut arguments) = ([0; 16], [0; 64]);
    Call::new(4)
        .input(&header)
        .input(&data)
        .output(&mut next)
        .output(&mut arguments)
        .on(file.raw(), 3)
}

/// What the kernel has of things that cycles could leave behind.
#[derive(Clone, Copy, Debug)]
struct Stock {
    groups: usize,
    drm: i64,
    dma_bufs: usize,
    channels: usize,
    /// Devices of context banks.
    banks: usize,
    /// Bytes of kernel objects that cannot be given back.
    slab: u64,
    /// Bytes that programs could have.
    available: u64,
}

impl Stock {
    fn take() -> Result<Self, Fail> {
        Ok(Stock {
            groups: checks::group_count(),
            drm: kmod::references("drm")?,
            dma_bufs: exporters::count()?,
            channels: kmod::channels().len(),
            banks: std::fs::read_dir("/sys/bus/qda-compute-cb/devices")?.count(),
            slab: meminfo("SUnreclaim")?,
            available: meminfo("MemAvailable")?,
        })
    }

    /// Compares with the state before: numbers are the same, and memory is within `bytes`.
    fn same(&self, before: &Stock, bytes: u64) -> Outcome {
        let numbers = |one: &Stock| (one.groups, one.drm, one.dma_bufs, one.channels, one.banks);
        ensure_eq!(
            numbers(self),
            numbers(before),
            "IOMMU groups, references of drm, dma-bufs, channels, banks"
        );
        println!(
            "slab {} KiB, was {}; available {} KiB, was {}",
            self.slab >> 10,
            before.slab >> 10,
            self.available >> 10,
            before.available >> 10
        );
        ensure!(
            self.slab < before.slab + bytes,
            "kernel objects grew by {} bytes",
            self.slab - before.slab
        );
        Ok(())
    }
}
