// SPDX-License-Identifier: GPL-2.0
//! Who may do what, on DSPs of each kind, and what is seen of a refusal.
//!
//! What is expected stands here a second time, written from the rules of the header: see
//! [`expected`].

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::Duration;

use super::{
    ADSP,
    CDSP, //
};
use crate::dsp::{
    self,
    File,
    UNSIGNED, //
};
use crate::dt;
use crate::harness::{
    case,
    Fail,
    Outcome,
    Suite, //
};
use crate::raw;
use crate::refusals::Refusals;
use crate::sim;
use crate::{
    ensure,
    ensure_eq, //
};

mod openers;
mod seen;

pub use openers::{
    child,
    exec_as_user, //
};
use openers::{
    Opener,
    Trial,
    GROUP,
    OPENERS, //
};

pub const SUITE: Suite = Suite {
    name: "privileges",
    restore: None,
    cases: &[
        case("openers", "T108, T109", all_openers).limit(120),
        case("every_attribute", "T110", every_attribute).limit(90),
        case("attributes_arrive", "T110", attributes_arrive),
        case("handles_of_the_kernel", "T107", handles_of_the_kernel),
        case("refused_and_then_well", "T66, T152", refused_and_then_well),
        case("group_of_the_node", "T176", group_of_the_node),
        case("tools_of_a_user", "T175, T176", seen::tools_of_a_user),
        case("each_refusal_is_recorded", "T175", seen::each_refusal),
        case("refusals_of_the_dsp", "T175", seen::refusals_of_the_dsp),
        case(
            "records_are_bounded",
            "T54, T175",
            seen::records_are_bounded,
        ),
        case("debug_files_are_roots", "T116", seen::debug_files_are_roots),
        case("nothing_in_the_log", "T173", seen::nothing_in_the_log),
    ],
};

/// Time that a helper process may take for its end.
const SOON: Duration = Duration::from_secs(30);

/// A secure DSP with unsigned processes, one without, and the two that trust everybody.
const GDSP1: &str = "gdsp1";
const SDSP: &str = "sdsp";

/// Process attributes: ordinary ones, those that the driver does not support, those without a
/// meaning.
const ORDINARY: u32 = 0x18;
const UNSUPPORTED: u32 = 0x404;
const UNKNOWN: u32 = !(0x00ff_ffff | 0x4000_0000);

/// What a trial must give: 0 or an errno, with the name of the refusal.
fn expected(trial: Trial, trusted: bool, label: &str) -> (i32, &'static str) {
    let has_unsigned = label.starts_with("cdsp") || label.starts_with("gdsp");
    match trial {
        Trial::Call(1 | 2) => (libc::EPERM, "kernel-handle"),
        Trial::Call(_) => (libc::ENOTCONN, "no-process"),
        Trial::Start(attrs) if attrs & (UNSUPPORTED | UNKNOWN) != 0 => (libc::EINVAL, "invalid"),
        _ if trusted => (0, ""),
        Trial::Attach => (libc::EACCES, "not-trusted"),
        Trial::Start(attrs) if attrs & UNSIGNED == 0 || !has_unsigned => {
            (libc::ECONNREFUSED, "signed")
        }
        Trial::Start(attrs) if attrs & !ORDINARY != 0 => (libc::EACCES, "not-trusted"),
        Trial::Start(_) | Trial::Recover => (0, ""),
    }
}

/// Runs a function while a node has a mode and a group; gives its path.
fn with_mode<T>(
    label: &str,
    mode: u32,
    group: u32,
    body: impl FnOnce(&Path) -> Result<T, Fail>,
) -> Result<T, Fail> {
    let path: PathBuf = dsp::node(label)?.path;
    let before = std::fs::metadata(&path)?.permissions();
    std::os::unix::fs::chown(&path, None, Some(group))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    let result = body(&path);
    std::os::unix::fs::chown(&path, None, Some(0))?;
    std::fs::set_permissions(&path, before)?;
    result
}

/// The counters of one DSP's simulator that a refused operation must not change.
fn traffic(label: &str) -> Result<BTreeMap<String, u64>, Fail> {
    let text = sim::read(&format!("{label}/counters"))?;
    let mut found = BTreeMap::new();
    for name in ["requests", "creates", "attaches", "releases"] {
        let value = text.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == name).then(|| value.trim().parse().ok())?
        });
        found.insert(
            name.to_string(),
            value.ok_or_else(|| format!("no {name} in {text}"))?,
        );
    }
    Ok(found)
}

/// Lets an opener try a list, and compares values, messages, counters and records.
fn check(opener: Opener, label: &str, trials: &[Trial]) -> Outcome {
    let trusted = opener.is_trusted() || dt::dsp(label)?.trusts_everybody;
    let (mode, group) = match opener {
        Opener::Member => (0o660, GROUP),
        _ => (0o666, 0),
    };
    let before = (traffic(label)?, Refusals::read(label)?);
    let report = with_mode(label, mode, group, |path| {
        openers::report(opener, path, trials)
    })?;
    let after = (traffic(label)?, Refusals::read(label)?);

    let (mut creates, mut attaches) = (0, 0);
    let mut counted = BTreeMap::new();
    let mut records = Vec::new();
    for (trial, value) in trials.iter().zip(&report.values) {
        let (errno, name) = expected(*trial, trusted, label);
        ensure!(
            *value == -i64::from(errno),
            "{opener:?} on {label}, {trial:?}: {} instead of {}",
            raw::show(*value),
            raw::show(-i64::from(errno))
        );
        match trial {
            _ if errno != 0 => {
                *counted.entry(name.to_string()).or_insert(0) += 1;
                records.push((trial, errno, name));
            }
            Trial::Attach => attaches += 1,
            _ => creates += 1,
        }
    }
    for (name, more) in [
        ("creates", creates),
        ("attaches", attaches),
        ("releases", creates + attaches),
        ("requests", 2 * (creates + attaches)),
    ] {
        ensure_eq!(
            after.0[name] - before.0[name],
            more,
            "{name} of {opener:?} on {label}"
        );
    }
    let context = format!("{opener:?} on {label}");
    ensure_eq!(
        after.1.counted_since(&before.1),
        counted,
        "counters of {context}"
    );
    let found = after.1.records_since(&before.1);
    let kept = records.len().min(crate::refusals::KEPT);
    ensure_eq!(found.len(), kept, "records of {context}");
    for (record, (trial, errno, name)) in found.iter().rev().zip(records.iter().rev()) {
        let (key, value) = match trial {
            Trial::Start(attrs) => ("attrs", format!("{attrs:#x}")),
            Trial::Call(handle) => ("handle", format!("{handle:#x}")),
            Trial::Attach | Trial::Recover => ("attrs", String::new()),
        };
        let good = record.has(&[
            ("tid", &report.tid.to_string()),
            ("process", "-"),
            ("error", name),
            ("errno", &(-errno).to_string()),
            (key, &value),
        ]);
        ensure!(good, "{context}, {trial:?}: {record:?}");
    }
    Ok(())
}

fn all_openers() -> Outcome {
    let trials = [
        Trial::Attach,
        Trial::Start(0),
        Trial::Start(UNSIGNED),
        Trial::Start(ORDINARY),
        Trial::Start(UNSIGNED | 1),
        Trial::Start(1),
    ];
    let dsps = dt::dsps();
    ensure_eq!(dsps.len(), 7, "DSPs of the device tree");
    for label in dsps.iter().filter_map(|dsp| dsp.label.as_deref()) {
        for opener in OPENERS {
            check(opener, label, &trials)?;
        }
    }
    Ok(())
}

/// Each bit alone and with the bit of unsigned processes.
fn every_attribute() -> Outcome {
    let mut trials = Vec::new();
    for bit in 0..32 {
        trials.extend([Trial::Start(1 << bit), Trial::Start((1 << bit) | UNSIGNED)]);
    }
    for (opener, label) in [
        (Opener::User, CDSP),
        (Opener::User, ADSP),
        (Opener::User, GDSP1),
        (Opener::User, SDSP),
        (Opener::Root, CDSP),
    ] {
        check(opener, label, &trials)?;
    }
    Ok(())
}

/// The DSP gets the attributes that were asked for, and no others.
fn attributes_arrive() -> Outcome {
    let file_of = |attrs| -> Result<File, Fail> {
        let file = File::open(CDSP)?;
        match openers::start(&file, attrs) {
            0 => Ok(file),
            value => Err(format!("attributes {attrs:#x}: {}", raw::show(value)).into()),
        }
    };
    let all = !(UNSUPPORTED | UNKNOWN);
    for attrs in [
        0,
        UNSIGNED,
        ORDINARY,
        0x1,
        0x60,
        0x4080_0000,
        all & 0x55_5555,
        all,
    ] {
        let file = file_of(attrs)?;
        let message = sim::last_message(CDSP, 1)?;
        // CREATE for no attributes, CREATE_ATTR for others.
        let method = if attrs == 0 { 6 } else { 7 };
        ensure_eq!(message.request.sc >> 24, method, "method for {attrs:#x}");
        let request = message
            .inline(0)
            .ok_or("the request is not in the capture")?;
        ensure_eq!(dsp::u32_at(request, 16), attrs, "attributes in the request");
        drop(file);
    }
    Ok(())
}

/// All methods of the kernel's handles, in both dialects, with and without a process.
fn handles_of_the_kernel() -> Outcome {
    for opener in [Opener::Root, Opener::User] {
        check(
            opener,
            CDSP,
            &[Trial::Call(1), Trial::Call(2), Trial::Call(3)],
        )?;
    }
    let vacant = File::open(CDSP)?;
    let file = File::with_process(CDSP)?;
    let data = [0u8; 64];
    let before = (traffic(CDSP)?, Refusals::read(CDSP)?);
    let mut calls = 0;
    for handle in [1, 2] {
        for fd in [vacant.raw(), file.raw()] {
            for method in 0..32 {
                for inputs in [0, 1] {
                    let mut call = dsp::Call::new(method);
                    if inputs != 0 {
                        call = call.input(&data);
                    }
                    let old = call.on(fd, handle);
                    let new = raw::Call {
                        handle,
                        method,
                        arg_stride: 48,
                        ..raw::Call::default()
                    };
                    let new = raw::ioctl(fd, raw::CALL, &raw const new as u64);
                    for value in [old, new] {
                        let expected = -i64::from(libc::EPERM);
                        ensure_eq!(value, expected, "method {method} of handle {handle}");
                        calls += 1;
                    }
                }
            }
        }
    }
    ensure_eq!(traffic(CDSP)?, before.0, "what the DSP saw");
    let after = Refusals::read(CDSP)?;
    let counted = BTreeMap::from([("kernel-handle".to_string(), calls)]);
    ensure_eq!(after.counted_since(&before.1), counted, "counters");
    // Neither handle harms the session.
    file.still_works()
}

fn refused_and_then_well() -> Outcome {
    for opener in [
        Opener::User,
        Opener::Limited,
        Opener::Namespace,
        Opener::GivenByUser,
    ] {
        let report = with_mode(CDSP, 0o666, 0, |path| {
            openers::report(opener, path, &[Trial::Recover])
        })?;
        ensure_eq!(report.values, [0], "{opener:?} after refusals");
    }
    Ok(())
}

fn group_of_the_node() -> Outcome {
    with_mode(CDSP, 0o660, GROUP, |path| {
        let report = openers::report(Opener::Member, path, &[Trial::Start(UNSIGNED)])?;
        ensure_eq!(report.values, [0], "a member of the group");
        // Without the group there is no file, and it is said why.
        match openers::report(Opener::User, path, &[Trial::Start(UNSIGNED)]) {
            Err(why) if why.to_string().contains("errno 13") => Ok(()),
            Err(why) => Err(why),
            Ok(report) => Err(format!("a user opened it: {:?}", report.values).into()),
        }
    })
}
