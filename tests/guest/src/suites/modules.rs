// SPDX-License-Identifier: GPL-2.0
//! Loading, unloading, binding, and DSPs that go away and come back.
//!
//! Every case starts and ends with drm, simulator and qda loaded and both DSPs bound to qda.

use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::sync::{
    mpsc,
    Arc, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

use super::{
    ADSP,
    CDSP, //
};
use crate::checks;
use crate::children::Helper;
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
use crate::kmod::{
    self,
    wait_for, //
};
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret,
    legacy, //
};

mod drivers;
mod leaving;

pub const SUITE: Suite = Suite {
    name: "modules",
    restore: Some(restore),
    cases: &[
        case("reload_20_times", "T124, T125, T130", reload).limit(240),
        case("unload_refused_while_open", "T125", unload_refused),
        case(
            "unbind_and_rebind",
            "T121, T124, T125",
            leaving::unbind_and_rebind,
        ),
        case(
            "unbind_with_open_files",
            "T120, T136",
            leaving::unbind_with_open_files,
        ),
        case(
            "unbind_wakes_waiters",
            "T118, T119, T125",
            leaving::unbind_wakes_waiters,
        ),
        case(
            "unbind_beside_parked_call",
            "T126",
            leaving::unbind_beside_parked_call,
        ),
        case("unload_after_unbind", "T125, T130", unload_after_unbind),
        case(
            "channel_removed_and_back",
            "T118, T136",
            leaving::channel_removed_and_back,
        ),
        case(
            "channel_removed_under_load",
            "T118, T119",
            leaving::removed_under_load,
        )
        .limit(180),
        case("opens_during_probe", "T117", leaving::opens_during_probe).limit(120),
        case(
            "killed_while_unbinding",
            "T54, T118",
            leaving::killed_while_unbinding,
        )
        .limit(120),
        case(
            "bank_leaves_with_dead_file",
            "T83, T124",
            leaving::bank_leaves_with_dead_file,
        ),
        case("both_drivers", "T135", drivers::both_drivers).limit(120),
        case("simulator_modes", "T188", drivers::simulator_modes)
            .reloads_simulator()
            .limit(120),
    ],
};

/// Time within which a node comes or goes, a waiter wakes, an unbind ends.
const SOON: Duration = Duration::from_secs(10);
/// Name of our driver and of the stock one on the rpmsg bus.
const OURS: &str = "qda";
const STOCK: &str = "qcom,fastrpc";

/// Loads, announces and binds whatever is not.
fn restore() -> Outcome {
    let _ = kmod::remove("fastrpc");
    for module in ["qda_sim", "qda"] {
        if !kmod::loaded(module) {
            kmod::must_insert(module, "")?;
        }
    }
    for label in [CDSP, ADSP] {
        if kmod::channel(label).is_err() {
            sim::control(label, "announce")?;
        }
        let channel = kmod::channel(label)?;
        channel.set_override("")?;
        if channel.driver().is_none() {
            channel.bind(OURS)?;
        }
        dsp::wait_node(label, SOON)?;
    }
    Ok(())
}

/// The number of bank devices: everything in an IOMMU group that comes and goes with qda.
fn banks() -> usize {
    dt::dsps().iter().map(|dsp| dsp.banks.len()).sum()
}

/// Both DSPs answer.
fn both_work() -> Outcome {
    for label in [CDSP, ADSP] {
        dsp::wait_node(label, SOON)?;
        File::with_process(label)?.still_works()?;
    }
    Ok(())
}

/// Waits until a DSP has no node.
fn wait_gone(label: &str) -> Outcome {
    wait_for(&format!("end of the node of {label}"), SOON, || {
        dsp::node(label).is_err()
    })
}

/// Binds a channel to qda and waits for the node.
fn bind(label: &str) -> Outcome {
    kmod::channel(label)?.bind(OURS)?;
    dsp::wait_node(label, SOON)?;
    Ok(())
}

/// Takes a channel from qda; fails if that takes long.
fn unbind(label: &str) -> Outcome {
    let begin = Instant::now();
    kmod::channel(label)?.unbind(OURS)?;
    ensure!(
        begin.elapsed() < patience(SOON),
        "unbind of {label} took {:?}",
        begin.elapsed()
    );
    wait_gone(label)
}

/// A parked call in a thread: where its value arrives.
fn park(file: &File, echo: u32) -> Result<mpsc::Receiver<i64>, Fail> {
    let (to, from) = mpsc::channel();
    let parked = sim::counter("parked")?;
    let fd = file.raw();
    thread::spawn(move || to.send(Call::new(4).on(fd, echo)));
    sim::wait_counter("parked", SOON, |now| now > parked)?;
    Ok(from)
}

/// The value of a parked call that must have ended.
fn ended(from: &mpsc::Receiver<i64>) -> Result<i64, Fail> {
    from.recv_timeout(patience(SOON))
        .map_err(|_| "a parked call does not end".into())
}

/// All that an open file of a DSP that is gone can do is fail and close.
fn is_dead(file: &File) -> Outcome {
    ensure_eq!(
        dsp::query(file.raw()),
        Err(-i64::from(libc::ENODEV)),
        "query"
    );
    ensure_ret!(file.create(), -libc::ENODEV, "create");
    ensure_ret!(file.attach(), -libc::ENODEV, "attach");
    ensure_ret!(
        Call::new(2).on(file.raw(), dsp::REMOTECTL),
        -libc::ENODEV,
        "call"
    );
    let mut version = [0u64; 8];
    let code = raw::code(3, b'd', 0, 64);
    let value = raw::ioctl(file.raw(), code, version.as_mut_ptr() as u64);
    ensure_ret!(value, -libc::ENODEV, "version");
    Ok(())
}

fn reload() -> Outcome {
    let with = checks::group_count();
    let drm = kmod::references("drm")?;
    for round in 0..20 {
        both_work()?;
        ensure_eq!(
            kmod::references("qda")?,
            0,
            "references of qda in round {round}"
        );
        kmod::must_remove("qda")?;
        ensure!(!kmod::loaded("qda"), "qda is still loaded in round {round}");
        ensure!(
            dsp::nodes().is_empty(),
            "nodes after rmmod: {:?}",
            dsp::nodes()
        );
        let without = checks::group_count();
        ensure_eq!(
            with - without,
            banks(),
            "groups that went with qda in round {round}"
        );
        ensure!(
            checks::grouped_devices()
                .iter()
                .all(|name| !name.contains("dsp")),
            "devices left in groups: {:?}",
            checks::grouped_devices()
        );
        kmod::must_insert("qda", "")?;
    }
    both_work()?;
    ensure_eq!(kmod::references("drm")?, drm, "references of drm");
    Ok(())
}

fn unload_refused() -> Outcome {
    for created in [false, true] {
        let file = File::open(CDSP)?;
        if created {
            ensure_ret!(file.create(), 0, "create");
        }
        ensure_eq!(
            kmod::remove("qda"),
            Err(libc::EWOULDBLOCK),
            "rmmod with an open file"
        );
        ensure!(
            kmod::references("qda")? > 0,
            "an open file holds no reference"
        );
        if !created {
            ensure_ret!(file.create(), 0, "create after the refused rmmod");
        }
        file.still_works()?;
        drop(file);
        ensure_eq!(kmod::references("qda")?, 0, "references after the close");
    }
    both_work()
}

fn unload_after_unbind() -> Outcome {
    let file = File::with_process(CDSP)?;
    unbind(CDSP)?;
    unbind(ADSP)?;
    ensure_eq!(
        kmod::remove("qda"),
        Err(libc::EWOULDBLOCK),
        "rmmod with a dead file open"
    );
    is_dead(&file)?;
    drop(file);
    ensure_eq!(kmod::references("qda")?, 0, "references of qda");
    kmod::must_remove("qda")?;
    kmod::must_insert("qda", "")?;
    both_work()?;
    // Unload right after an unbind and right after a bind.
    for _ in 0..5 {
        kmod::channel(CDSP)?.unbind(OURS)?;
        kmod::must_remove("qda")?;
        kmod::must_insert("qda", "")?;
        kmod::channel(ADSP)?.unbind(OURS)?;
        kmod::channel(ADSP)?.bind(OURS)?;
        kmod::must_remove("qda")?;
        kmod::must_insert("qda", "")?;
    }
    both_work()
}
