// SPDX-License-Identifier: GPL-2.0
//! Clients that die, are interrupted or close while their calls are under way.

use std::os::fd::{
    AsRawFd,
    IntoRawFd, //
};
use std::path::{
    Path,
    PathBuf, //
};
use std::sync::atomic::{
    AtomicU32,
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

use super::buffers::status_of;
use super::{
    ADSP,
    CDSP, //
};
use crate::buffer;
use crate::children::Helper;
use crate::crowd::{
    Board,
    Dice,
    End,
    Member, //
};
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dspmem::DspMem;
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

mod kernel;
mod thousands;

pub const SUITE: Suite = Suite {
    name: "death",
    restore: None,
    cases: &[
        case("kill_while_parked", "T56, T57", kill_while_parked),
        case("kill_while_busy", "T56", kill_while_busy),
        case("kill_many", "T54, T56, T71", kill_many).limit(180),
        case(
            "killed_client_frees_bank",
            "T56, T71",
            killed_client_frees_bank,
        ),
        case("signal_interrupts", "T36, T52", signal_interrupts),
        case("late_answers", "T36, T52", late_answers).limit(120),
        case(
            "signals_while_storming",
            "T36, T37, T62",
            signals_while_storming,
        )
        .limit(120),
        case("close_by_another_thread", "T57", close_by_another_thread),
        case("exit_while_parked", "T57, T60", exit_while_parked),
        case("one_stuck_others_go_on", "T58", one_stuck_others_go_on),
        case("many_threads_one_session", "T45, T180", many_threads).limit(120),
        case("full_slot_table", "T43", full_slot_table).limit(120),
        case("greedy_and_modest", "T43, T115", greedy_and_modest).limit(120),
        case("calls_after_exit", "T60", calls_after_exit),
        case(
            "never_answered",
            "T52, T55, T58, T66, T69",
            kernel::never_answered,
        )
        .limit(120),
        case(
            "killed_unanswered",
            "T55, T56, T66, T69, T125, T133",
            kernel::killed_unanswered,
        )
        .limit(120),
        case(
            "killed_while_heap_grows",
            "T53",
            kernel::killed_while_heap_grows,
        ),
        case(
            "killed_in_flood",
            "T54, T70, T118, T131",
            kernel::killed_in_flood,
        )
        .limit(120),
        case(
            "thousands",
            "T53, T54, T56, T65, T66, T68",
            thousands::thousands,
        )
        .limit(1800),
    ],
};

/// Time within which a killed client must be gone, on the kernel's and on the DSP's side.
const GONE: Duration = Duration::from_secs(15);

/// Method of the echo module that is answered only when the process ends.
const PARK: u32 = 4;
/// Method of the echo module that waits before it answers.
const DELAY: u32 = 3;

/// Kills a helper and checks that the DSP sees exactly one release within the time limit.
fn kill_and_check(mut helper: Helper, live: u64) -> Outcome {
    let releases = sim::counter("releases")?;
    helper.kill()?;
    helper.wait(GONE)?;
    sim::wait_counter("live_processes", GONE, |now| now == live)?;
    ensure_eq!(
        sim::counter("releases")?,
        releases + 1,
        "releases of a killed client"
    );
    Ok(())
}

fn kill_while_parked() -> Outcome {
    for label in [CDSP, ADSP] {
        let live = sim::counter("live_processes")?;
        let parked = sim::counter("parked")?;
        let mut helper = Helper::start("park", &[label])?;
        helper.expect("ready")?;
        sim::wait_counter("parked", GONE, |now| now > parked)?;
        ensure_eq!(sim::counter("live_processes")?, live + 1, "processes alive");
        kill_and_check(helper, live)?;
        sim::wait_counter("parked", GONE, |now| now == parked)?;
    }
    File::with_process(CDSP)?.still_works()
}

fn kill_while_busy() -> Outcome {
    let live = sim::counter("live_processes")?;
    for round in 0..8u64 {
        let mut helper = Helper::start("delay", &[CDSP, if round % 2 == 0 { "5" } else { "300" }])?;
        helper.expect("ready")?;
        thread::sleep(Duration::from_millis(20 + 7 * round));
        kill_and_check(helper, live)?;
    }
    File::with_process(CDSP)?.still_works()
}

/// Clients killed at any moment of their lives, three at a time.
fn kill_many() -> Outcome {
    let live = sim::counter("live_processes")?;
    for round in 0..25u64 {
        let mut helpers = vec![
            Helper::start("park", &[CDSP])?,
            Helper::start("delay", &[CDSP, "3"])?,
            Helper::start("busy", &[ADSP, "1000"])?,
        ];
        helpers[2].go();
        thread::sleep(Duration::from_millis(round * 6));
        for helper in &mut helpers {
            helper.kill()?;
        }
        for mut helper in helpers {
            helper.wait(GONE)?;
        }
    }
    sim::wait_counter("live_processes", GONE, |now| now == live)?;
    ensure_eq!(
        sim::counter("releases")?,
        sim::counter("creates")? + sim::counter("attaches")?,
        "releases against creates and attaches since the simulator was loaded"
    );
    File::with_process(CDSP)?.still_works()?;
    File::with_process(ADSP)?.still_works()
}

/// All banks held by clients that get killed: at once all are free again.
fn killed_client_frees_bank() -> Outcome {
    let capacity = dt::dsp(CDSP)?.capacity();
    let mut helpers = Vec::new();
    for _ in 0..capacity {
        let mut helper = Helper::start("park", &[CDSP])?;
        helper.expect("ready")?;
        helpers.push(helper);
    }
    ensure_ret!(
        File::open(CDSP)?.create(),
        -libc::EBUSY,
        "create with all banks busy"
    );
    for helper in &mut helpers {
        helper.kill()?;
    }
    for helper in &mut helpers {
        helper.wait(GONE)?;
    }
    let mut sessions = Vec::new();
    for n in 0..capacity {
        let file = File::open(CDSP)?;
        ensure_ret!(file.create(), 0, "session {n} after the kill");
        file.still_works()?;
        sessions.push(file);
    }
    Ok(())
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Counts signals.
extern "C" fn count_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Installs the counting handler; without `SA_RESTART` unless asked for.
fn handle(signal: libc::c_int, flags: libc::c_int) -> Result<(), Fail> {
    // SAFETY: The structure is filled as sigaction() wants it; the handler only counts.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count_signal as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    ensure_eq!(result, 0, "sigaction");
    Ok(())
}

/// Sends SIGALRM to this process once, in that many milliseconds.
fn alarm_in(milliseconds: i64) {
    alarm_every(milliseconds, 0);
}

/// Sends SIGALRM to this process after a time and then again and again; 0 stops it.
fn alarm_every(first: i64, interval: i64) {
    let time = |milliseconds: i64| libc::timeval {
        tv_sec: milliseconds / 1000,
        tv_usec: milliseconds % 1000 * 1000,
    };
    let timer = libc::itimerval {
        it_interval: time(interval),
        it_value: time(first),
    };
    // SAFETY: `timer` is valid; the old value is not wanted.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// A call that takes a while and echoes data; the value of the ioctl.
fn slow(file: &File, echo: u32, milliseconds: u32, data: &[u8], back: &mut [u8]) -> i64 {
    Call::new(DELAY)
        .input(&milliseconds.to_le_bytes())
        .input(data)
        .output(back)
        .on(file.raw(), echo)
}

fn signal_interrupts() -> Outcome {
    for flags in [0, libc::SA_RESTART] {
        handle(libc::SIGALRM, flags)?;
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        let before = SIGNALS.load(Ordering::Relaxed);
        let executions = sim::counter("executions")?;
        let data = dsp::pattern(1000, 1);
        let mut back = vec![0; 1000];
        alarm_in(100);
        let begin = Instant::now();
        let value = slow(&file, echo, 3000, &data, &mut back);
        let took = begin.elapsed();
        ensure_eq!(SIGNALS.load(Ordering::Relaxed), before + 1, "signals");
        if flags == libc::SA_RESTART {
            // The kernel repeats the ioctl, which takes up the call that is under way.
            ensure_ret!(value, 0, "call with a signal in between");
            dsp::same(&data, &back)?;
        } else {
            ensure_ret!(value, -libc::EINTR, "interrupted call");
            ensure!(
                took < Duration::from_millis(2500),
                "the signal took {took:?} to end the call"
            );
            ensure!(
                back.iter().all(|&byte| byte == 0),
                "an interrupted call wrote its output"
            );
        }
        // The session goes on at once, while the DSP still works on the abandoned call.
        file.still_works()?;
        let other = dsp::pattern(1000, 2);
        file.echo(echo, &other)?;
        // Its late answer comes in here and must go nowhere.
        thread::sleep(Duration::from_millis(3500).saturating_sub(begin.elapsed()));
        file.echo(echo, &other)?;
        ensure!(
            flags != 0 || std::hint::black_box(&back).iter().all(|&byte| byte == 0),
            "a late answer wrote an output"
        );
        // The slow call, the sum and the two echoes: each was done once.
        ensure_eq!(
            sim::counter("executions")? - executions,
            4,
            "calls that the DSP has done"
        );
    }
    Ok(())
}

/// Late answers arrive while hundreds of further calls use the same slots and memory.
fn late_answers() -> Outcome {
    handle(libc::SIGALRM, 0)?;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for round in 0..6u32 {
        let poison = vec![0xbd; 3000];
        let mut back = vec![0; 3000];
        // Several abandoned calls, answered at different times from now on.
        for n in 0..5 {
            alarm_in(20);
            // None is like another: that would be taken for the same, and taken up.
            let value = slow(&file, echo, 150 + 60 * n + round, &poison, &mut back);
            ensure_ret!(value, -libc::EINTR, "call {n} of round {round}");
        }
        for n in 0..320u32 {
            let data = dsp::pattern(2900 + n as usize, round * 1000 + n);
            file.echo(echo, &data)
                .map_err(|why| format!("round {round}, call {n}: {why}"))?;
        }
    }
    file.still_works()
}

/// Threads of calls that are interrupted at random: every call either gives its own data or EINTR.
fn signals_while_storming() -> Outcome {
    handle(libc::SIGALRM, 0)?;
    let file = Arc::new(File::with_process(CDSP)?);
    let echo = file.module("echo")?;
    alarm_every(5, 5);
    let threads: Vec<_> = (0..8u32)
        .map(|n| {
            let file = Arc::clone(&file);
            thread::spawn(move || -> Result<u32, Fail> {
                let mut interrupted = 0;
                for round in 0..150 {
                    let data = dsp::pattern(700 + n as usize, n * 1000 + round);
                    let mut back = vec![0; data.len()];
                    match slow(&file, echo, round % 4, &data, &mut back) {
                        0 => dsp::same(&data, &back)?,
                        value => {
                            ensure_ret!(value, -libc::EINTR, "thread {n}, round {round}");
                            interrupted += 1;
                        }
                    }
                }
                Ok(interrupted)
            })
        })
        .collect();
    // A signal to the process goes to its first thread if that takes it; the calls are elsewhere.
    block_alarm(true);
    let mut interrupted = 0;
    let mut result = Ok(());
    for one in threads {
        match one.join() {
            Ok(Ok(number)) => interrupted += number,
            Ok(Err(why)) => result = Err(why),
            Err(_) => result = Err("a thread panicked".into()),
        }
    }
    alarm_every(0, 0);
    block_alarm(false);
    result?;
    println!("{interrupted} calls were interrupted");
    ensure!(interrupted > 0, "no signal ever met a call");
    file.still_works()
}

/// Blocks SIGALRM for this thread, or no longer.
fn block_alarm(block: bool) {
    let how = if block {
        libc::SIG_BLOCK
    } else {
        libc::SIG_UNBLOCK
    };
    // SAFETY: The set is initialised by `sigemptyset`; a null pointer for the old one is allowed.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGALRM);
        libc::pthread_sigmask(how, &set, std::ptr::null_mut());
    }
}

/// Wakes a thread out of a system call.
fn interrupt(thread: libc::pthread_t) {
    // SAFETY: The caller has not joined the thread yet, so the id is valid.
    unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
}

/// Starts a thread that parks a call on a descriptor; its id and the channel of its result.
fn parker(fd: i32, echo: u32) -> Result<(libc::pthread_t, mpsc::Receiver<i64>), Fail> {
    let (id_to, id) = mpsc::channel();
    let (value_to, value) = mpsc::channel();
    let parked = sim::counter("parked")?;
    thread::spawn(move || {
        // SAFETY: No arguments, always succeeds.
        let _ = id_to.send(unsafe { libc::pthread_self() });
        let _ = value_to.send(Call::new(PARK).on(fd, echo));
        // Stays alive so that its id remains valid for a late signal.
        thread::sleep(Duration::from_secs(5));
    });
    let id = id.recv().map_err(|_| "the parking thread is gone")?;
    sim::wait_counter("parked", GONE, |now| now > parked)?;
    Ok((id, value))
}

fn close_by_another_thread() -> Outcome {
    handle(libc::SIGUSR1, 0)?;
    let releases = sim::counter("releases")?;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let fd = file.fd.into_raw_fd();
    let (thread, value) = parker(fd, echo)?;
    let begin = Instant::now();
    // SAFETY: The descriptor was taken out of its owner above; nobody else closes it.
    ensure_eq!(unsafe { libc::close(fd) }, 0, "close");
    ensure!(
        begin.elapsed() < patience(Duration::from_secs(2)),
        "close took {:?}",
        begin.elapsed()
    );
    // Other users of the DSP are not held up meanwhile.
    File::with_process(CDSP)?.still_works()?;
    interrupt(thread);
    let value = value
        .recv_timeout(GONE)
        .map_err(|_| "the parked call does not end after a signal")?;
    ensure_ret!(value, -libc::EINTR, "parked call");
    // Two releases: that of the other user, and exactly one of the closed file.
    sim::wait_counter("releases", GONE, |now| now == releases + 2)?;
    Ok(())
}

/// Parked calls of a process that says exit on the DSP all come back with its code.
fn exit_while_parked() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let parkers = (0..20)
        .map(|_| parker(file.fd.as_raw_fd(), echo))
        .collect::<Result<Vec<_>, _>>()?;
    ensure_ret!(Call::new(2).on(file.raw(), dsp::CURRENT_PROCESS), 0, "exit");
    for (n, (_, value)) in parkers.iter().enumerate() {
        let value = value
            .recv_timeout(GONE)
            .map_err(|_| format!("parked call {n} does not end"))?;
        ensure_ret!(value, raw::as_returned(dsp::GOING_AWAY), "parked call {n}");
    }
    Ok(())
}

fn calls_after_exit() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    ensure_ret!(Call::new(2).on(file.raw(), dsp::CURRENT_PROCESS), 0, "exit");
    let data = [1; 32];
    for handle in [echo, dsp::REMOTECTL, 7, 3] {
        let value = Call::new(2).input(&data).on(file.raw(), handle);
        ensure_ret!(
            value,
            raw::as_returned(dsp::GOING_AWAY),
            "call of {handle} after exit"
        );
    }
    // thread_exit of a dying thread and a late start of the listener.
    Call::new(3).on(file.raw(), dsp::CURRENT_PROCESS);
    Call::new(5).on(file.raw(), 7);
    ensure_ret!(file.create(), -libc::EEXIST, "create after exit");
    drop(file);
    File::with_process(CDSP)?.still_works()
}

/// While one session is stuck everything else works, and quickly.
fn one_stuck_others_go_on() -> Outcome {
    let mut helper = Helper::start("park", &[CDSP])?;
    helper.expect("ready")?;
    sim::wait_counter("parked", GONE, |now| now > 0)?;
    let begin = Instant::now();
    for label in [CDSP, ADSP, CDSP] {
        let file = File::with_process(label)?;
        file.still_works()?;
        let echo = file.module("echo")?;
        file.echo(echo, &dsp::pattern(100_000, 1))?;
    }
    ensure!(
        begin.elapsed() < patience(Duration::from_secs(10)),
        "three sessions took {:?} beside a stuck one",
        begin.elapsed()
    );
    helper.kill()?;
    helper.wait(GONE)?;
    Ok(())
}

/// 64 threads of small calls in one session, all values compared.
fn many_threads() -> Outcome {
    let file = Arc::new(File::with_process(CDSP)?);
    let calculator = file.module("calculator")?;
    let echo = file.module("echo")?;
    let threads: Vec<_> = (0..64u32)
        .map(|n| {
            let file = Arc::clone(&file);
            thread::spawn(move || -> Outcome {
                for round in 0..40u32 {
                    let numbers = [n as i32, (round * 1000) as i32, -5];
                    let sum = i64::from(n) + i64::from(round) * 1000 - 5;
                    ensure_eq!(file.sum(calculator, &numbers), (0, sum), "thread {n}");
                    if round % 4 == 0 {
                        file.echo(echo, &dsp::pattern(50 * n as usize, n * 100 + round))?;
                    }
                }
                Ok(())
            })
        })
        .collect();
    let mut result = Ok(());
    for one in threads {
        match one.join() {
            Ok(outcome) => result = result.and(outcome),
            Err(_) => result = Err("a thread panicked".into()),
        }
    }
    result
}

/// Largest number of calls that the clients of one DSP have under way.
const SLOTS: usize = 240;
/// How many of them one session gets: no more than are left for others.
const SHARE: usize = SLOTS / 2;

/// Starts a client that parks as many calls as it gets, out of `calls`; that is `share`, about:
/// calls that begin at the same moment do not wait for each other to be counted.
fn greedy(calls: usize, share: usize) -> Result<Helper, Fail> {
    let before = sim::counter("parked")?;
    let mut helper = Helper::start("storm", &[CDSP, &calls.to_string()])?;
    helper.expect("ready")?;
    let (mut parked, mut since) = (before, Instant::now());
    while since.elapsed() < patience(Duration::from_millis(700)) {
        thread::sleep(Duration::from_millis(10));
        let now = sim::counter("parked")?;
        if now != parked {
            (parked, since) = (now, Instant::now());
        }
    }
    let got = (parked - before) as usize;
    println!("{got} calls of {share} parked");
    ensure!(
        got.abs_diff(share) <= share / 4,
        "{got} calls of a session parked, its share is {share}"
    );
    Ok(helper)
}

fn full_slot_table() -> Outcome {
    let live = sim::counter("live_processes")?;
    for round in 0..2 {
        let mut helpers = Vec::new();
        let mut left = SLOTS;
        // The last seat is for somebody modest.
        for _ in 1..dt::dsp(CDSP)?.capacity() {
            helpers.push(greedy(300, left / 2)?);
            left = SLOTS - sim::counter("parked")? as usize;
        }
        println!("{left} slots are left in round {round}");
        File::with_process(ADSP)?.still_works()?;
        File::with_process(CDSP)?.still_works()?;
        for helper in &mut helpers {
            helper.kill()?;
        }
        for helper in &mut helpers {
            helper.wait(GONE)?;
        }
        sim::wait_counter("live_processes", GONE, |now| now == live)?;
        sim::wait_counter("parked", GONE, |now| now == 0)?;
    }
    for _ in 0..3 {
        File::with_process(CDSP)?.still_works()?;
    }
    Ok(())
}

/// A session that has all the slots it gets can still be closed, and a modest one gets its answers.
fn greedy_and_modest() -> Outcome {
    let modest = File::with_process(CDSP)?;
    let calculator = modest.module("calculator")?;
    let live = sim::counter("live_processes")?;
    let helper = greedy(200, SHARE)?;
    for n in 0..50 {
        ensure_eq!(
            modest.sum(calculator, &[n, 1]),
            (0, i64::from(n) + 1),
            "the modest session"
        );
    }
    kill_and_check(helper, live)?;
    modest.still_works()
}
