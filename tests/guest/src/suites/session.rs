// SPDX-License-Identifier: GPL-2.0
//! Opening, creating, attaching, closing; several sessions and several DSPs at once.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use std::sync::{
    Arc,
    Barrier, //
};
use std::thread;
use std::time::Duration;

use super::{
    ADSP,
    CDSP, //
};
use crate::children::Helper;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dt;
use crate::harness::{
    case,
    rounds,
    Fail,
    Outcome,
    Suite, //
};
use crate::raw::{
    self,
    Create, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

mod create;
mod sharing;
mod trust;

pub const SUITE: Suite = Suite {
    name: "session",
    restore: None,
    cases: &[
        case("query", "T153", query),
        case("two_dsps_four_sessions_threads", "T73, T74, T167", threads),
        case("two_dsps_four_sessions_processes", "T74", processes),
        case("sessions_in_one_process", "T74, T167", one_process),
        case("all_banks_busy", "T73, T115, T140", all_banks_busy),
        case("creates_race_for_banks", "T73", creates_race_for_banks),
        case("sid_of_sessions", "T48, T140", sid_of_sessions),
        case("no_session_no_traffic", "T67", no_session_no_traffic),
        case("release_once", "T65, T68", release_once),
        case("create_twice", "T64", create_twice),
        case("attach_and_create", "T64", attach_and_create),
        case("call_before_create", "T80", call_before_create),
        case("create_race", "T63", sharing::create_race),
        case("create_attach_race", "T63", sharing::create_attach_race),
        case("fork_shares_the_session", "T74", sharing::fork_shares),
        case("file_passed_on", "T74", sharing::file_passed_on),
        case("client_ids", "T75", sharing::client_ids),
        case("many_sessions", "T65, T75", sharing::many_sessions).limit(180),
        case("attach_as_root", "T159", trust::attach_as_root),
        case("attach_as_user", "T108", trust::attach_as_user),
        case(
            "node_without_permission",
            "T176",
            trust::node_without_permission,
        ),
        case("debug_files_closed", "T116", trust::debug_files_closed),
        case(
            "shell_in_user_memory",
            "T2, T180",
            create::shell_in_user_memory,
        ),
        case("shell_limits", "T6", create::shell_limits),
        case("signature_length", "T5", create::signature_length),
        case("shell_fd", "T3", create::shell_fd),
        case("attributes", "T110", create::attributes),
        case(
            "failed_create_can_be_repeated",
            "T66",
            create::failed_create_can_be_repeated,
        ),
    ],
};

/// Time that a helper process may take for its end.
const SOON: Duration = Duration::from_secs(30);

fn query() -> Outcome {
    let found: Vec<_> = dsp::nodes().into_iter().map(|node| node.label).collect();
    let mut expected: Vec<_> = dt::dsps().into_iter().filter_map(|dsp| dsp.label).collect();
    let mut sorted = found.clone();
    sorted.sort();
    expected.sort();
    ensure_eq!(sorted, expected, "names of the nodes");
    // The name does not depend on a session, and all bytes behind it are zero.
    let file = File::with_process(CDSP)?;
    let mut query = raw::Query {
        dsp_name: [0xff; 16],
    };
    let value = raw::ioctl(file.raw(), raw::QUERY, &raw mut query as u64);
    ensure_ret!(value, 0, "query");
    ensure_eq!(
        &query.dsp_name,
        b"cdsp\0\0\0\0\0\0\0\0\0\0\0\0",
        "bytes of the name"
    );
    Ok(())
}

/// Work for one session of several: values and bytes that only this one has.
fn work(label: &str, seed: u32, start: &Barrier) -> Outcome {
    let file = File::with_process(label);
    start.wait();
    let file = file?;
    let calculator = file.module("calculator")?;
    let echo = file.module("echo")?;
    for round in 0..30 {
        let numbers: Vec<i32> = (0..200)
            .map(|n| (seed * 10_000 + n * round) as i32)
            .collect();
        let sum: i64 = numbers.iter().map(|&n| i64::from(n)).sum();
        ensure_eq!(
            file.sum(calculator, &numbers),
            (0, sum),
            "sum of session {seed}"
        );
        file.echo(
            echo,
            &dsp::pattern(3000 + 100 * round as usize, seed + round),
        )?;
    }
    Ok(())
}

/// Runs a function in several threads; the first failure counts.
fn in_threads(number: u32, body: impl Fn(u32) -> Outcome + Send + Sync + 'static) -> Outcome {
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

fn threads() -> Outcome {
    let barrier = Arc::new(Barrier::new(4));
    in_threads(4, move |n| {
        work(if n % 2 == 0 { CDSP } else { ADSP }, n + 1, &barrier)
    })
}

fn processes() -> Outcome {
    let mut helpers = Vec::new();
    for label in [CDSP, ADSP, CDSP, ADSP] {
        helpers.push(Helper::start("busy", &[label, "30"])?);
    }
    for helper in &mut helpers {
        helper.expect("ready")?;
    }
    for helper in &mut helpers {
        helper.go();
    }
    for helper in helpers {
        helper.success(SOON)?;
    }
    Ok(())
}

/// Four sessions of one thread, used in turn.
fn one_process() -> Outcome {
    let mut sessions = Vec::new();
    for label in [CDSP, ADSP, CDSP, ADSP] {
        let file = File::with_process(label)?;
        let calculator = file.module("calculator")?;
        sessions.push((file, calculator));
    }
    for round in 0..10 {
        for (n, (file, calculator)) in sessions.iter().enumerate() {
            let numbers = [n as i32, round, 1000];
            let sum = i64::from(round) + n as i64 + 1000;
            ensure_eq!(file.sum(*calculator, &numbers), (0, sum), "session {n}");
        }
    }
    // A handle is only good in the session that opened it.
    let foreign = sessions[0].1;
    let own: Vec<u32> = sessions.iter().map(|(_, handle)| *handle).collect();
    if own[2] != foreign {
        let value = sessions[2].0.sum(foreign, &[1]).0;
        ensure!(value != 0, "the handle of another session works");
    }
    Ok(())
}

fn all_banks_busy() -> Outcome {
    for label in [CDSP, ADSP] {
        let capacity = dt::dsp(label)?.capacity();
        let mut sessions = Vec::new();
        for n in 0..capacity {
            let file = File::open(label)?;
            ensure_ret!(
                file.create(),
                0,
                "session {} of {capacity} on {label}",
                n + 1
            );
            sessions.push(file);
        }
        let extra = File::open(label)?;
        ensure_ret!(
            extra.create(),
            -libc::EBUSY,
            "one session too many on {label}"
        );
        ensure_ret!(
            extra.attach(),
            -libc::EBUSY,
            "attach with all banks busy on {label}"
        );
        let value = Call::new(2).on(extra.raw(), dsp::REMOTECTL);
        ensure_ret!(value, -libc::ENOTCONN, "call after a refused create");
        for file in &sessions {
            file.still_works()?;
        }
        // Any of the sessions may be the one that ends.
        sessions.remove(capacity / 2);
        ensure_ret!(
            extra.create(),
            0,
            "create after a bank became free on {label}"
        );
        extra.still_works()?;
        sessions.clear();
        for n in 0..capacity - 1 {
            let file = File::open(label)?;
            ensure_ret!(file.create(), 0, "session {} in the second round", n + 1);
            sessions.push(file);
        }
        ensure_ret!(
            File::open(label)?.create(),
            -libc::EBUSY,
            "the second round is full"
        );
    }
    Ok(())
}

/// More threads than banks create and close; at the end all banks are free again.
fn creates_race_for_banks() -> Outcome {
    // A refused create returns at once, so one thread may well have bad luck all the time.
    static CREATED: AtomicU32 = AtomicU32::new(0);
    in_threads(12, |n| {
        for _ in 0..15 {
            let file = File::open(CDSP)?;
            match file.create() {
                0 => {
                    CREATED.fetch_add(1, Ordering::Relaxed);
                    if n % 3 == 0 {
                        file.still_works()?;
                    }
                }
                value => ensure_ret!(value, -libc::EBUSY, "create in thread {n}"),
            }
        }
        Ok(())
    })?;
    let created = CREATED.load(Ordering::Relaxed) as usize;
    let capacity = dt::dsp(CDSP)?.capacity();
    ensure!(
        created >= capacity,
        "only {created} of 180 creates succeeded"
    );
    let mut sessions = Vec::new();
    for n in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::open(CDSP)?;
        ensure_ret!(file.create(), 0, "session {n} after the race");
        sessions.push(file);
    }
    Ok(())
}

/// Every bank of the device tree serves exactly as many sessions as it says.
fn sid_of_sessions() -> Outcome {
    for label in [CDSP, ADSP] {
        let dsp = dt::dsp(label)?;
        let mut sessions = Vec::new();
        let mut sids = Vec::new();
        for _ in 0..dsp.capacity() {
            let file = File::with_process(label)?;
            file.still_works()?;
            sids.push(sim::last_request(label)?.sid());
            sessions.push(file);
        }
        for bank in &dsp.banks {
            let used = sids.iter().filter(|&&sid| sid == bank.sid).count();
            ensure_eq!(
                used,
                bank.sessions,
                "sessions with stream id {} on {label}",
                bank.sid
            );
        }
    }
    Ok(())
}

fn no_session_no_traffic() -> Outcome {
    let before = sim::counter("requests")?;
    for _ in 0..100 {
        let file = File::open(CDSP)?;
        ensure_eq!(dsp::query(file.raw()), Ok(CDSP.to_string()), "query");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests seen by the DSP"
    );
    // With nothing but failed requests it is the same.
    let file = File::open(CDSP)?;
    let value = file.create_with(Create {
        filelen: u32::MAX,
        ..Create::default()
    });
    ensure_ret!(value, -libc::EINVAL, "create with a huge shell");
    drop(file);
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests after a refused create"
    );
    Ok(())
}

fn release_once() -> Outcome {
    for _ in 0..5 {
        let creates = sim::counter("creates")?;
        let releases = sim::counter("releases")?;
        let file = File::with_process(CDSP)?;
        file.still_works()?;
        ensure_eq!(sim::counter("creates")?, creates + 1, "creates");
        ensure_eq!(
            sim::counter("releases")?,
            releases,
            "releases before the close"
        );
        drop(file);
        ensure_eq!(
            sim::counter("releases")?,
            releases + 1,
            "releases after the close"
        );
    }
    Ok(())
}

fn create_twice() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    let before = sim::counter("requests")?;
    for _ in 0..3 {
        ensure_ret!(file.create(), -libc::EEXIST, "second create");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    file.echo(handle, &dsp::pattern(5000, 1))?;
    file.still_works()
}

fn attach_and_create() -> Outcome {
    let file = File::with_process(CDSP)?;
    ensure_ret!(file.attach(), -libc::EEXIST, "attach after create");
    file.still_works()?;
    drop(file);
    let file = File::open(CDSP)?;
    ensure_ret!(file.attach(), 0, "attach");
    ensure_ret!(file.create(), -libc::EEXIST, "create after attach");
    ensure_ret!(file.attach(), -libc::EEXIST, "second attach");
    file.still_works()
}

fn call_before_create() -> Outcome {
    let file = File::open(CDSP)?;
    let before = sim::counter("requests")?;
    let data = [0; 16];
    for handle in [0, 3, 4, 7, 8, 9, 21, 0x1234_5678, u32::MAX] {
        let value = Call::new(2).on(file.raw(), handle);
        ensure_ret!(value, -libc::ENOTCONN, "call of handle {handle}");
        let value = Call::new(3).input(&data).on(file.raw(), handle);
        ensure_ret!(value, -libc::ENOTCONN, "call of handle {handle} with data");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests without a process"
    );
    file.created()?.still_works()
}
