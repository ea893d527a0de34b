// SPDX-License-Identifier: GPL-2.0
//! What is seen of a refusal: counters and records, and nothing in the log.

use super::*;
use crate::children::Helper;
use crate::kmsg::Log;
use crate::{
    ensure_ret,
    refusals, //
};

/// What an ordinary user sees of the tools.
pub fn tools_of_a_user() -> Outcome {
    let numbers = "/tmp/privileges-numbers";
    std::fs::write(numbers, "40\n2\n")?;
    let qdactl = |label: &str| -> Result<(String, bool), Fail> {
        with_mode(label, 0o666, 0, |path| {
            let node = path.display().to_string();
            let words = ["/bin/qdactl", "sum", "--device", &node, numbers];
            let mut helper = Helper::start_with_errors("as-user", &words)?;
            helper.go();
            let status = helper.wait(SOON)?;
            Ok((helper.rest()?, status.success()))
        })
    };
    let (text, good) = qdactl(CDSP)?;
    ensure!(good && text.contains("42"), "sum on the cdsp: {text}");
    // The adsp has no unsigned processes: the message says what would help.
    let (text, good) = qdactl(ADSP)?;
    ensure!(!good, "sum on the adsp: {text}");
    for part in [
        "permission denied",
        "unsigned processes",
        "CAP_SYS_ADMIN",
        "\"qdactl explain ECONNREFUSED\" says more",
    ] {
        ensure!(text.contains(part), "{part:?} is not in: {text}");
    }
    let (text, good) = qdactl(SDSP)?;
    ensure!(good && text.contains("42"), "sum on the sdsp: {text}");
    std::fs::remove_file(numbers)?;
    Ok(())
}

/// Does something that is refused; gives the new counts and the one record.
fn refused(
    label: &str,
    body: impl FnOnce() -> Outcome,
) -> Result<(BTreeMap<String, u64>, u64, refusals::Record), Fail> {
    let before = Refusals::read(label)?;
    body()?;
    let after = Refusals::read(label)?;
    let records = after.records_since(&before);
    ensure_eq!(records.len(), 1, "records of one refusal");
    let results = after.dsp_results - before.dsp_results;
    Ok((after.counted_since(&before), results, records[0].clone()))
}

/// Checks that something is counted and recorded as one error.
fn is_recorded(name: &str, fields: &[(&str, &str)], body: impl FnOnce() -> Outcome) -> Outcome {
    let (counted, results, record) = refused(CDSP, body)?;
    ensure_eq!(
        (counted, results),
        (BTreeMap::from([(name.to_string(), 1)]), 0),
        "counters of {name}"
    );
    let tid = std::process::id().to_string();
    ensure!(
        record.has(fields) && record.has(&[("error", name), ("tid", &tid)]),
        "record of {name}: {record:?}"
    );
    Ok(())
}

/// Errors of each operation that are not a matter of trust; those of front end and engine.
pub fn each_refusal() -> Outcome {
    let vacant = File::open(CDSP)?;
    let file = File::with_process(CDSP)?;
    let client = sim::last_message(CDSP, 1)?
        .inline(0)
        .map_or(0, |request| dsp::u32_at(request, 0));
    let process = format!("user:{client}");
    let process = ("process", process.as_str());
    let ioctl = |code, arg: u64, errno: i32| -> Outcome {
        ensure_ret!(raw::ioctl(file.raw(), code, arg), -errno, "ioctl {code:#x}");
        Ok(())
    };

    is_recorded("no-process", &[("op", "call"), ("process", "-")], || {
        ensure_ret!(
            dsp::Call::new(2).on(vacant.raw(), 9),
            -libc::ENOTCONN,
            "call"
        );
        Ok(())
    })?;
    is_recorded("has-process", &[("op", "attach"), process], || {
        ioctl(raw::INIT_ATTACH, 0, libc::EEXIST)
    })?;
    let create = raw::Create {
        filelen: 1,
        filefd: -5,
        attrs: 0x18,
        ..raw::Create::default()
    };
    is_recorded("invalid", &[("op", "start"), ("attrs", "0x18")], || {
        ioctl(raw::SESSION_CREATE, &raw const create as u64, libc::EINVAL)
    })?;
    is_recorded(
        "fault",
        &[
            ("op", "call"),
            ("handle", "0x1234"),
            ("sc", "0x5010000"),
            process,
        ],
        || {
            let call = dsp::Call::new(5).input_at(0x10, 8);
            ensure_ret!(call.on(file.raw(), 0x1234), -libc::EFAULT, "call");
            Ok(())
        },
    )?;
    is_recorded(
        "no-buffer",
        &[("op", "call"), ("errno", "-9"), process],
        || {
            let call = dsp::Call::new(5).reads(0, 8, 999);
            ensure_ret!(call.on(file.raw(), 0x1234), -libc::EBADF, "call");
            Ok(())
        },
    )?;
    let call = raw::Call {
        handle: 0x1234,
        method: 2,
        arg_stride: 7,
        ..raw::Call::default()
    };
    is_recorded("invalid", &[("op", "call"), ("handle", "0x1234")], || {
        ioctl(raw::CALL, &raw const call as u64, libc::EINVAL)
    })?;
    let mut map = raw::Map {
        request: raw::ATTR,
        flags: 7,
        ..raw::Map::default()
    };
    is_recorded(
        "invalid",
        &[("op", "map"), ("flags", "0x7"), process],
        || ioctl(raw::REMOTE_MAP, &raw mut map as u64, libc::EINVAL),
    )?;
    let unmap = raw::Unmap {
        request: raw::LEGACY,
        vaddrout: 77,
        ..raw::Unmap::default()
    };
    is_recorded("invalid", &[("op", "unmap"), process], || {
        ioctl(raw::REMOTE_MUNMAP, &raw const unmap as u64, libc::EINVAL)
    })?;
    let mut gem = raw::GemCreate {
        size: 1 << 60,
        ..raw::GemCreate::default()
    };
    let size = (1u64 << 60).to_string();
    is_recorded("too-big", &[("op", "buffer"), ("size", &size)], || {
        ioctl(raw::GEM_CREATE, &raw mut gem as u64, libc::E2BIG)
    })?;

    // What succeeds leaves no trace.
    let before = Refusals::read(CDSP)?;
    file.still_works()?;
    drop(file);
    let file = File::with_process(CDSP)?;
    let handle = file.buffer(4096)?;
    file.close(handle)?;
    ensure_eq!(Refusals::read(CDSP)?, before, "refusals after success");
    Ok(())
}

/// Checks that something is recorded as a result of the DSP.
fn is_answered(knob: &str, op: &str, body: impl FnOnce() -> i64) -> Outcome {
    const RESULT: u32 = 0x8000_0416;
    if !knob.is_empty() {
        sim::control(CDSP, &format!("answer {knob} {RESULT:#x}"))?;
    }
    let (counted, results, record) = refused(CDSP, || {
        ensure_ret!(
            body(),
            raw::as_returned(RESULT),
            "{op} that the DSP refuses"
        );
        Ok(())
    })?;
    ensure_eq!((counted.len(), results), (0, 1), "counters of {op}");
    let expected = [
        ("op", op),
        ("result", "0x80000416"),
        ("name", "AEE_ERESOURCENOTFOUND"),
        ("error", ""),
    ];
    ensure!(record.has(&expected), "record of {op}: {record:?}");
    Ok(())
}

/// The DSP refuses each thing that it can be asked for.
pub fn refusals_of_the_dsp() -> Outcome {
    let file = File::open(CDSP)?;
    is_answered("attach", "attach", || file.attach())?;
    is_answered("create", "start", || file.create())?;
    let file = file.created()?;
    let fail = file.module("fail")?;
    let result = 0x8000_0416u32.to_le_bytes();
    is_answered("", "call", || {
        dsp::Call::new(2).input(&result).on(file.raw(), fail)
    })?;

    let handle = file.buffer(8192)?;
    let fd = file.export(handle)?;
    use std::os::fd::AsRawFd;
    let mut heap = raw::Map {
        request: raw::LEGACY,
        flags: 0x1000,
        fd: -1,
        size: 4096,
        ..raw::Map::default()
    };
    let mut tagged = raw::Map {
        request: raw::ATTR,
        flags: 2,
        fd: fd.as_raw_fd(),
        ..raw::Map::default()
    };
    for (map, knobs) in [
        (&mut heap, ["mmap", "munmap"]),
        (&mut tagged, ["mem_map", "mem_unmap"]),
    ] {
        let address = &raw mut *map as u64;
        let on_dsp = || raw::ioctl(file.raw(), raw::REMOTE_MAP, address);
        is_answered(knobs[0], "map", on_dsp)?;
        ensure_ret!(on_dsp(), 0, "{}", knobs[0]);
        let unmap = raw::Unmap {
            request: map.request,
            fd: map.fd,
            vaddr: map.vaddrout,
            vaddrout: map.vaddrout,
            ..raw::Unmap::default()
        };
        let off_dsp = || raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
        is_answered(knobs[1], "unmap", off_dsp)?;
        ensure_ret!(off_dsp(), 0, "{}", knobs[1]);
    }
    file.close(handle)
}

/// The last 64 are kept, in order, and the counters go on.
pub fn records_are_bounded() -> Outcome {
    let file = File::open(CDSP)?;
    let before = Refusals::read(CDSP)?;
    for handle in 0..1000u32 {
        let value = dsp::Call::new(2).on(file.raw(), 0x10_0000 + handle);
        ensure_ret!(value, -libc::ENOTCONN, "call");
    }
    let after = Refusals::read(CDSP)?;
    ensure_eq!(
        after.counted_since(&before),
        BTreeMap::from([("no-process".to_string(), 1000)]),
        "counters"
    );
    ensure_eq!(after.records.len(), refusals::KEPT, "records");
    let mut time = 0;
    for (at, record) in after.records.iter().enumerate() {
        let handle = 0x10_0000 + 1000 - refusals::KEPT + at;
        ensure_eq!(
            record.field("handle"),
            format!("{handle:#x}"),
            "record {at}"
        );
        ensure_eq!(
            record.serial,
            after.records[0].serial + at as u64,
            "number of record {at}"
        );
        let now: u64 = record.field("time").parse().map_err(|_| "no time")?;
        ensure!(now > time, "record {at} is not younger than the one before");
        time = now;
    }
    Ok(())
}

/// Only root reads the files, also where the whole file system is open to everybody, and they
/// hold no address of the kernel.
pub fn debug_files_are_roots() -> Outcome {
    // Something to look at.
    ensure_ret!(
        dsp::Call::new(2).on(File::open(CDSP)?.raw(), u32::MAX),
        -libc::ENOTCONN,
        "call"
    );
    Helper::start("user-debugfs", &[])?.success(SOON)?;
    let mut files = 0;
    for label in dt::dsps().into_iter().filter_map(|dsp| dsp.label) {
        for entry in std::fs::read_dir(format!("/sys/kernel/debug/qda-{label}"))? {
            let path = entry?.path();
            let mode = std::fs::metadata(&path)?.permissions().mode();
            ensure_eq!(mode & 0o077, 0, "mode of {}", path.display());
            let text = std::fs::read_to_string(&path)?;
            for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
                let digits = word.strip_prefix("0x").unwrap_or(word);
                let number = u64::from_str_radix(digits, 16).unwrap_or(0);
                // The kernel's half of the address space.
                ensure!(number >> 48 != 0xffff, "{} shows {word}", path.display());
            }
            files += 1;
        }
    }
    ensure!(files >= 14, "only {files} files of 7 DSPs");
    Ok(())
}

/// Everything above once more, from a user and from the DSP: the kernel says nothing.
pub fn nothing_in_the_log() -> Outcome {
    let mut log = Log::from_now()?;
    each_refusal()?;
    refusals_of_the_dsp()?;
    handles_of_the_kernel()?;
    records_are_bounded()?;
    for opener in [Opener::User, Opener::GivenByUser, Opener::Namespace] {
        check(
            opener,
            ADSP,
            &[
                Trial::Attach,
                Trial::Start(0),
                Trial::Start(UNSIGNED),
                Trial::Call(1),
            ],
        )?;
    }
    let lines: Vec<String> = log
        .read()?
        .into_iter()
        .filter(|record| record.is_kernel() && record.level() < 7)
        .map(|record| record.text)
        .collect();
    ensure!(lines.is_empty(), "the log says: {lines:?}");
    Ok(())
}
