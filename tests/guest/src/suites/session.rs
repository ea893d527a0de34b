// SPDX-License-Identifier: GPL-2.0
//! Opening, creating, attaching, closing; several sessions and several DSPs at once.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
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
        case("create_race", "T63", create_race),
        case("create_attach_race", "T63", create_attach_race),
        case("fork_shares_the_session", "T74", fork_shares),
        case("file_passed_on", "T74", file_passed_on),
        case("client_ids", "T75", client_ids),
        case("many_sessions", "T65, T75", many_sessions).limit(180),
        case("attach_as_root", "T159", attach_as_root),
        case("attach_as_user", "T108", attach_as_user),
        case("node_without_permission", "T176", node_without_permission),
        case("debug_files_closed", "T116", debug_files_closed),
        case("shell_in_user_memory", "T2, T180", shell_in_user_memory),
        case("shell_limits", "T6", shell_limits),
        case("signature_length", "T5", signature_length),
        case("shell_fd", "T3", shell_fd),
        case("attributes", "T110", attributes),
        case(
            "failed_create_can_be_repeated",
            "T66",
            failed_create_can_be_repeated,
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
    in_threads(12, |n| {
        let mut successes = 0;
        for _ in 0..15 {
            let file = File::open(CDSP)?;
            match file.create() {
                0 => {
                    successes += 1;
                    if n % 3 == 0 {
                        file.still_works()?;
                    }
                }
                value => ensure_ret!(value, -libc::EBUSY, "create in thread {n}"),
            }
        }
        ensure!(successes > 0 || n > 0, "thread {n} never got a bank");
        Ok(())
    })?;
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
    for handle in [0, 2, 3, 4, 7, 8, 9, 21, 0x1234_5678, u32::MAX] {
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

/// Counts how often each value came back from `body` in 16 threads at once.
fn race(file: &Arc<File>, body: fn(u32, &File) -> i64) -> Result<Vec<i64>, Fail> {
    let barrier = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let (file, barrier) = (Arc::clone(file), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                body(n, &file)
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|one| one.join().map_err(|_| "a thread panicked".into()))
        .collect()
}

/// Exactly one of 16 calls succeeds, the others see that the session exists.
fn one_winner(values: &[i64]) -> Outcome {
    let winners = values.iter().filter(|&&value| value == 0).count();
    ensure_eq!(winners, 1, "winners among {values:?}");
    for &value in values {
        if value != 0 {
            ensure_ret!(value, -libc::EEXIST, "the others");
        }
    }
    Ok(())
}

fn create_race() -> Outcome {
    for _ in 0..10 {
        let creates = sim::counter("creates")?;
        let file = Arc::new(File::open(CDSP)?);
        one_winner(&race(&file, |_, file| file.create())?)?;
        ensure_eq!(
            sim::counter("creates")?,
            creates + 1,
            "creates seen by the DSP"
        );
        file.still_works()?;
    }
    Ok(())
}

fn create_attach_race() -> Outcome {
    for _ in 0..10 {
        let file = Arc::new(File::open(CDSP)?);
        let values = race(&file, |n, file| {
            if n % 2 == 0 {
                file.create()
            } else {
                file.attach()
            }
        })?;
        one_winner(&values)?;
        file.still_works()?;
    }
    Ok(())
}

/// A child made by fork() uses the parent's session, and outlives the parent's descriptor.
fn fork_shares() -> Outcome {
    let file = File::with_process(CDSP)?;
    let calculator = file.module("calculator")?;
    let releases = sim::counter("releases")?;
    // SAFETY: This process has no other threads; the child only makes calls and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let good = (0..50).all(|n| file.sum(calculator, &[n, 2]) == (0, i64::from(n) + 2));
        // SAFETY: Ends the child without running the parent's destructors.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    ensure!(child > 0, "fork failed");
    for n in 0..50 {
        ensure_eq!(
            file.sum(calculator, &[n, -1]),
            (0, i64::from(n) - 1),
            "sum in the parent"
        );
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    ensure_eq!((waited, status), (child, 0), "end of the child");
    file.still_works()?;
    ensure_eq!(
        sim::counter("releases")?,
        releases,
        "releases by the end of the child"
    );
    Ok(())
}

/// Makes a descriptor that programs inherit.
fn inheritable(file: &File) -> Result<i32, Fail> {
    // SAFETY: Plain numbers.
    let fd = unsafe { libc::dup(file.fd.as_raw_fd()) };
    ensure!(fd >= 0, "dup failed");
    Ok(fd)
}

fn file_passed_on() -> Outcome {
    let releases = sim::counter("releases")?;
    // A session that another program uses after its creator closed it.
    let file = File::with_process(CDSP)?;
    let calculator = file.module("calculator")?;
    let fd = inheritable(&file)?;
    let helper = Helper::start("on-fd", &[&fd.to_string(), &calculator.to_string()])?;
    // SAFETY: The duplicate belongs to this function.
    unsafe { libc::close(fd) };
    drop(file);
    helper.success(SOON)?;
    sim::wait_counter("releases", SOON, |now| now == releases + 1)?;

    // A file on which another program creates the session.
    let file = File::open(CDSP)?;
    let fd = inheritable(&file)?;
    let helper = Helper::start("create-on-fd", &[&fd.to_string()])?;
    // SAFETY: As above.
    unsafe { libc::close(fd) };
    helper.success(SOON)?;
    file.still_works()?;
    ensure_ret!(
        file.create(),
        -libc::EEXIST,
        "create after another program did it"
    );
    Ok(())
}

/// The id that the last user call on a DSP carried.
fn client_of(file: &File, label: &str) -> Result<u32, Fail> {
    file.still_works()?;
    let request = sim::last_request(label)?;
    ensure!(
        request.handle != 1,
        "the last request is the kernel's: {request:?}"
    );
    Ok(request.client)
}

fn client_ids() -> Outcome {
    let mut live = Vec::new();
    let mut ids = BTreeSet::new();
    for _ in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::with_process(CDSP)?;
        let id = client_of(&file, CDSP)?;
        ensure!(id != 0, "client id 0");
        ensure!(ids.insert(id), "id {id} is in use twice");
        live.push(file);
    }
    // A session that follows another one in the same bank has a new id, again and again.
    live.truncate(1);
    let mut recent = Vec::new();
    for _ in 0..20 {
        let file = File::with_process(CDSP)?;
        let id = client_of(&file, CDSP)?;
        ensure!(id != 0, "client id 0");
        ensure!(
            !recent.contains(&id),
            "id {id} is used again at once: {recent:?}"
        );
        recent.push(id);
    }
    Ok(())
}

/// Many sessions one after the other leave nothing behind.
fn many_sessions() -> Outcome {
    let memory = free_memory()?;
    let creates = sim::counter("creates")?;
    for n in 0..300 {
        let file = File::with_process(if n % 3 == 0 { ADSP } else { CDSP })?;
        if n % 10 == 0 {
            file.still_works()?;
        }
    }
    ensure_eq!(sim::counter("creates")?, creates + 300, "creates");
    let lost = memory.saturating_sub(free_memory()?);
    ensure!(lost < 64 << 10, "{lost} KiB less memory after 300 sessions");
    Ok(())
}

/// Available memory of the guest in KiB.
fn free_memory() -> Result<u64, Fail> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| "no MemAvailable".into())
}

fn attach_as_root() -> Outcome {
    let attaches = sim::counter("attaches")?;
    let releases = sim::counter("releases")?;
    let file = File::open(CDSP)?;
    ensure_ret!(file.attach(), 0, "attach");
    file.still_works()?;
    let context = sim::last_request(CDSP)?.context;
    ensure_eq!(
        context & 0xf,
        0,
        "process domain of a call to the root process"
    );
    ensure_eq!(sim::counter("attaches")?, attaches + 1, "attaches");
    drop(file);
    ensure_eq!(sim::counter("releases")?, releases + 1, "releases");
    let file = File::with_process(CDSP)?;
    file.still_works()?;
    let context = sim::last_request(CDSP)?.context;
    ensure_eq!(
        context & 0xf,
        1,
        "process domain of a call to a user process"
    );
    Ok(())
}

/// Lets everyone open a node for the time of a function.
fn with_open_node(label: &str, body: impl FnOnce(&str) -> Outcome) -> Outcome {
    let path = dsp::node(label)?.path;
    let before = std::fs::metadata(&path)?.permissions();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    let result = body(&path.display().to_string());
    std::fs::set_permissions(&path, before)?;
    result
}

fn attach_as_user() -> Outcome {
    with_open_node(CDSP, |path| {
        let before = sim::counter("attaches")?;
        let mut helper = Helper::start("user-attach", &[path])?;
        helper.expect("-EACCES")?;
        // The refused attach leaves the file as new: the same user creates a process.
        helper.expect("0")?;
        helper.success(SOON)?;
        ensure_eq!(
            sim::counter("attaches")?,
            before,
            "attaches of an ordinary user"
        );
        // What counts is who opened the file, not who calls.
        let mut helper = Helper::start("root-open-user-attach", &[path])?;
        helper.expect("0")?;
        helper.success(SOON)
    })?;
    // The device tree says that the adsp trusts everyone (qcom,non-secure-domain).
    with_open_node(ADSP, |path| {
        let mut helper = Helper::start("user-attach", &[path])?;
        helper.expect("0")?;
        helper.expect("-EEXIST")?;
        helper.success(SOON)
    })
}

fn node_without_permission() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    let before = std::fs::metadata(&path)?.permissions();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let mut helper = Helper::start("user-open", &[&path.display().to_string()])?;
    let line = helper.line();
    std::fs::set_permissions(&path, before)?;
    ensure_eq!(
        line?,
        format!("errno {}", libc::EACCES),
        "open without permission"
    );
    helper.success(SOON)
}

fn debug_files_closed() -> Outcome {
    Helper::start("user-debugfs", &[])?.success(SOON)
}

/// Creates a process with a shell in user memory and compares what the DSP read.
fn shell(length: usize, attrs: u32, siglen: u32, filefd: i32) -> Outcome {
    let data = dsp::pattern(length, length as u32);
    let expected: u64 = data.iter().map(|&byte| u64::from(byte)).sum();
    let bytes = sim::counter("shell_bytes")?;
    let sum = sim::counter("shell_sum")?;
    let file = File::open(CDSP)?;
    let value = file.create_with(Create {
        filelen: length as u32,
        filefd,
        attrs,
        siglen,
        file: data.as_ptr() as u64,
    });
    ensure_ret!(
        value,
        0,
        "create with a shell of {length} bytes, attributes {attrs:#x}"
    );
    drop(data);
    ensure_eq!(
        sim::counter("shell_bytes")? - bytes,
        length as u64,
        "bytes that the DSP read"
    );
    ensure_eq!(
        sim::counter("shell_sum")?.wrapping_sub(sum),
        expected,
        "sum of {length} bytes"
    );
    file.still_works()
}

fn shell_in_user_memory() -> Outcome {
    for length in [1, 127, 128, 4095, 4096, 4097, 65_537, 1_200_000] {
        shell(length, dsp::UNSIGNED, 0, -1)?;
    }
    shell(5000, dsp::UNSIGNED, 0, 0)?;
    shell(5000, 0, 0, -1)
}

fn shell_limits() -> Outcome {
    const LIMIT: usize = 4 << 20;
    shell(LIMIT, dsp::UNSIGNED, 0, -1)?;
    let data = vec![1; LIMIT + 1];
    let before = sim::counter("requests")?;
    for filelen in [
        LIMIT as u32 + 1,
        0x0080_0000,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX,
    ] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen,
            filefd: -1,
            attrs: dsp::UNSIGNED,
            siglen: 0,
            file: data.as_ptr() as u64,
        });
        ensure_ret!(
            value,
            -libc::EINVAL,
            "create with a shell of {filelen} bytes"
        );
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    Ok(())
}

fn signature_length() -> Outcome {
    shell(6000, 0, 1000, -1)?;
    shell(6000, 0, 6000, -1)?;
    let data = [0; 6000];
    let before = sim::counter("requests")?;
    for siglen in [6001, 0x7fff_ffff, u32::MAX] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: 6000,
            filefd: -1,
            attrs: 0,
            siglen,
            file: data.as_ptr() as u64,
        });
        ensure_ret!(
            value,
            -libc::EINVAL,
            "create with {siglen} bytes of signature"
        );
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    Ok(())
}

/// A shell in a buffer given by descriptor is not supported yet; without a shell all is ignored.
fn shell_fd() -> Outcome {
    let before = sim::counter("requests")?;
    for filefd in [1, 5, 1000, i32::MAX] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: 4096,
            filefd,
            attrs: dsp::UNSIGNED,
            ..Create::default()
        });
        ensure_ret!(value, -libc::EOPNOTSUPP, "create with descriptor {filefd}");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    for filefd in [-2, -100, i32::MIN] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: 4096,
            filefd,
            attrs: dsp::UNSIGNED,
            ..Create::default()
        });
        ensure_ret!(value, -libc::EINVAL, "create with descriptor {filefd}");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    for (filefd, file) in [(5, 0), (-7, 1), (i32::MIN, u64::MAX)] {
        let create = Create {
            filelen: 0,
            filefd,
            attrs: dsp::UNSIGNED,
            siglen: 0,
            file,
        };
        let file = File::open(CDSP)?;
        ensure_ret!(file.create_with(create), 0, "{create:?}");
        file.still_works()?;
    }
    Ok(())
}

/// Attribute bits that make the DSP write where the driver gives no memory are refused.
fn attributes() -> Outcome {
    for attrs in [0, 0x1, 0x2, 0x8, 0x9, 0x18, 0x40, 0x80_0008, 0x4000_0008] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filefd: -1,
            attrs,
            ..Create::default()
        });
        ensure_ret!(value, 0, "attributes {attrs:#x} from a privileged opener");
        file.still_works()?;
    }
    let before = sim::counter("requests")?;
    let unknown = (24..32)
        .filter(|&bit| bit != 30)
        .map(|bit| (1 << bit) | dsp::UNSIGNED);
    for attrs in [0x4, 0x400, 0xc, 0x408].into_iter().chain(unknown) {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filefd: -1,
            attrs,
            ..Create::default()
        });
        ensure_ret!(value, -libc::EINVAL, "attributes {attrs:#x}");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    Ok(())
}

fn failed_create_can_be_repeated() -> Outcome {
    let file = File::open(CDSP)?;
    for _ in 0..20 {
        let value = file.create_with(Create {
            filelen: 4096,
            filefd: -1,
            attrs: dsp::UNSIGNED,
            siglen: 0,
            file: 8,
        });
        ensure_ret!(
            value,
            -libc::EFAULT,
            "shell at an address that is not mapped"
        );
    }
    file.created()?.still_works()
}
