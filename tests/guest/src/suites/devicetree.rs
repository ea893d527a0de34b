// SPDX-License-Identifier: GPL-2.0
//! Device trees with mistakes: each DSP gets a node or the documented refusal, and a bad one
//! never takes a good one along.
//!
//! [`SUITE`] belongs to `dts/mistakes.dtsi`, [`NO_SMMU`] to `dts/no-smmu.dtsi`.

use std::time::Duration;

use crate::checks;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dt;
use crate::harness::{
    case,
    expect_log,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod;
use crate::kmsg::{
    Log,
    Record, //
};
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

pub const SUITE: Suite = Suite {
    name: "devicetree",
    restore: None,
    cases: &[
        case("good_dsps", "T123, T141", good_dsps),
        case(
            "refused_dsps",
            "T111, T112, T123, T137, T140, T141",
            refused_dsps,
        ),
        case("sessions_per_bank", "T140", sessions_per_bank),
        case("address_prefix", "T139, T170", address_prefix),
        case("coherence", "T103", coherence),
        case("nothing_left_after_reload", "T122, T124", reload).limit(120),
    ],
};

pub const NO_SMMU: Suite = Suite {
    name: "no-smmu",
    restore: None,
    cases: &[case("refused", "T111", no_smmu)],
};

/// Edges that work, with the label of their node.
const GOOD: &[(&str, &str)] = &[
    ("cdsp-edge", "cdsp"),
    ("adsp-edge", "adsp"),
    ("onedisabled-edge", "sdsp"),
    ("otherchild-edge", "mdsp"),
    ("kaanapali-edge", "cdsp1"),
];

/// Edges that are refused, with a part of what the driver says about them.
const REFUSED: &[(&str, &str)] = &[
    ("nolabel-edge", "no label"),
    ("emptylabel-edge", "names no known DSP"),
    ("unknownlabel-edge", "names no known DSP"),
    ("longerlabel-edge", "names no known DSP"),
    ("longlabel-edge", "names no known DSP"),
    ("twice-edge", "another channel"),
    ("nobanks-edge", "no context bank"),
    ("alldisabled-edge", "no context bank"),
    ("noiommus-edge", "cannot set up the context banks"),
    ("noreg-edge", "no stream id"),
    ("zeroreg-edge", "stream id"),
    ("samereg-edge", "two context banks"),
    ("samestream-edge", "cannot set up the context banks"),
    ("zerosessions-edge", "sessions"),
    ("manysessions-edge", "sessions"),
];

/// Time for nodes to come.
const SOON: Duration = Duration::from_secs(10);

/// The channel of an edge.
fn channel(edge: &str) -> Result<kmod::Channel, Fail> {
    kmod::channels()
        .into_iter()
        .find(|channel| channel.edge().as_deref() == Some(edge))
        .ok_or_else(|| format!("no rpmsg device for {edge}").into())
}

/// Number of devices in IOMMU groups that belong to a channel.
fn grouped(channel: &kmod::Channel) -> usize {
    checks::grouped_devices()
        .iter()
        .filter(|name| name.starts_with(&channel.name))
        .count()
}

fn good_dsps() -> Outcome {
    for (edge, label) in GOOD {
        let channel = channel(edge)?;
        ensure_eq!(channel.driver().as_deref(), Some("qda"), "driver of {edge}");
        dsp::wait_node(label, SOON)?;
        File::with_process(label)?.still_works()?;
        let banks = dt::dsp(label)?.banks.len();
        ensure_eq!(grouped(&channel), banks, "banks of {edge} in IOMMU groups");
    }
    let mut labels: Vec<_> = dsp::nodes().into_iter().map(|node| node.label).collect();
    labels.sort();
    let mut expected: Vec<_> = GOOD.iter().map(|(_, label)| label.to_string()).collect();
    expected.sort();
    ensure_eq!(labels, expected, "labels of all nodes");
    Ok(())
}

/// What the kernel said about a channel at the level of errors or worse.
fn said(records: &[Record], channel: &kmod::Channel) -> Vec<String> {
    let name = format!("{}: ", channel.name);
    records
        .iter()
        .filter(|record| record.is_kernel() && record.level() <= 3)
        .filter_map(|record| Some(record.text.split_once(&name)?.1.to_string()))
        .collect()
}

fn refused_dsps() -> Outcome {
    let records = Log::from_start()?.read()?;
    let mut wrong = Vec::new();
    for (edge, text) in REFUSED {
        let channel = channel(edge)?;
        if let Some(driver) = channel.driver() {
            wrong.push(format!("{edge} is bound to {driver}"));
            continue;
        }
        let lines = said(&records, &channel);
        if !lines.iter().any(|line| line.contains(text)) {
            wrong.push(format!("{edge}: no error with {text:?} in {lines:?}"));
        }
        let left = grouped(&channel);
        if left != 0 {
            wrong.push(format!("{edge}: {left} banks are left in IOMMU groups"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

fn sessions_per_bank() -> Outcome {
    for (_, label) in GOOD {
        let capacity = dt::dsp(label)?.capacity();
        let mut sessions = Vec::new();
        for n in 0..capacity {
            let file = File::open(label)?;
            ensure_ret!(file.create(), 0, "session {n} of {capacity} on {label}");
            sessions.push(file);
        }
        let value = File::open(label)?.create();
        ensure_ret!(value, -libc::EBUSY, "one session too many on {label}");
    }
    Ok(())
}

/// The stream id is in bits 32 and up, or 56 and up on the newer generation.
fn address_prefix() -> Outcome {
    for (label, edge, shift) in [("cdsp", "cdsp", 32), ("cdsp1", "kaanapali", 56)] {
        let sids: Vec<u64> = dt::dsp(label)?
            .banks
            .iter()
            .map(|bank| u64::from(bank.sid))
            .collect();
        for _ in 0..3 {
            let file = File::with_process(label)?;
            file.still_works()?;
            let address = sim::last_request(edge)?.address;
            ensure!(
                sids.contains(&(address >> shift)),
                "{label}: address {address:#x}"
            );
        }
    }
    Ok(())
}

/// Coherent and non-coherent banks: data of all sizes arrives in both directions.
fn coherence() -> Outcome {
    let mut sessions = Vec::new();
    for _ in 0..dt::dsp("cdsp")?.capacity() {
        let file = File::with_process("cdsp")?;
        let echo = file.module("echo")?;
        for size in [1, 63, 64, 65, 4096, 70_001, 1 << 20] {
            for seed in 0..3 {
                file.echo(echo, &dsp::pattern(size, seed))?;
            }
        }
        sessions.push(file);
    }
    Ok(())
}

fn reload() -> Outcome {
    // The SMMU's driver says this about the edge that asks for it; no other edge may.
    expect_log("-samestream.");
    let groups = checks::group_count();
    for _ in 0..3 {
        kmod::must_remove("qda")?;
        ensure!(dsp::nodes().is_empty(), "nodes after rmmod");
        let banks: usize = GOOD
            .iter()
            .map(|(_, label)| dt::dsp(label).map_or(0, |dsp| dsp.banks.len()))
            .sum();
        ensure_eq!(
            groups - checks::group_count(),
            banks,
            "groups that went with qda"
        );
        kmod::must_insert("qda", "")?;
        good_dsps()?;
        refused_dsps()?;
    }
    Ok(())
}

/// Without an SMMU there is no node, and nothing is sent.
fn no_smmu() -> Outcome {
    let channel = channel("cdsp-edge")?;
    ensure_eq!(channel.driver(), None, "driver of the cdsp without SMMU");
    ensure!(
        dsp::nodes().is_empty(),
        "nodes without SMMU: {:?}",
        dsp::nodes()
    );
    ensure_eq!(sim::counter("requests")?, 0, "requests");
    let records = Log::from_start()?.read()?;
    let lines = said(&records, &channel);
    ensure!(
        lines
            .iter()
            .any(|line| line.contains("cannot set up the context banks")),
        "the kernel said {lines:?}"
    );
    // Trying again by hand gives the same clean error.
    ensure!(channel.bind("qda").is_err(), "binding by hand worked");
    let value = match dsp::open_path("/dev/accel/accel0".as_ref()) {
        Ok(fd) => Call::new(2).on(std::os::fd::AsRawFd::as_raw_fd(&fd), 0),
        Err(errno) => -i64::from(errno),
    };
    ensure_eq!(raw::show(value), "-ENOENT", "opening a node");
    Ok(())
}
