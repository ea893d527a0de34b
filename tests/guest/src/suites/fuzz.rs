// SPDX-License-Identifier: GPL-2.0
//! The ioctl fuzzer: sequences that are nearly right, by several processes at once.
//!
//! Each process runs epochs of 200 steps; what an epoch does follows from its seed, which is told to
//! the kernel log before it begins and with each complaint. `QDA_FUZZ_SEED` chooses the seeds of a
//! run. One epoch again, with every request told:
//!
//! ```text
//! qda-guest-test fuzz --seed 0x123 --mode user,signals [--steps 200]
//! ```
//!
//! What decides: the checks after every case (kernel log, simulated DSP, what the driver holds), no
//! line of the driver in the log, values of ioctls that are documented, outputs of good calls that
//! are right, and a client beside the fuzzers that notices nothing.
//!
//! * [`dice`] gives random numbers and odd ones, [`ground`] is the memory that requests name;
//! * [`world`] makes requests and looks at their values, by [`expect`];
//! * [`steps`] and [`messages`] are what is done, [`worker`] a process that does it.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::{
    Duration,
    Instant, //
};

use super::{
    ADSP,
    CDSP, //
};
use crate::dsp::{
    self,
    File, //
};
use crate::harness::{
    case,
    expect_faults,
    patience,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmsg::Log;
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq, //
};

mod dice;
mod expect;
mod ground;
mod messages;
mod steps;
mod worker;
mod world;

pub use worker::replay;

use expect::Kind;
use world::{
    Counts,
    Mode, //
};

pub const SUITE: Suite = Suite {
    name: "fuzz",
    restore: None,
    cases: &[
        case("sequences_root", "T2, T4, T5, T59, T80, T173, T174", || {
            run(&["mem", "mem", "mem,signals"])
        })
        .limit(120),
        case("sequences_user", "T2, T4, T5, T59, T80, T173, T174", || {
            run(&["user,mem", "user,mem", "user,mem,signals"])
        })
        .limit(120),
        case("threads", "T15, T80, T145, T173, T174", || {
            run(&["threads", "user,threads"])
        })
        .limit(120),
        case("restarts", "T80, T118, T134, T173, T174", || {
            run(&[
                "restarts",
                "user,restarts",
                "restarts,threads",
                "restarts,signals",
            ])
        })
        .limit(120),
        case("numbers", "T1, T18, T19, T173, T174", || {
            run(&["numbers", "user,numbers"])
        })
        .limit(120),
    ],
};

/// The seed of a run that was given none.
const SEED: u64 = 0x51da;

/// How long the processes of a case fuzz.
fn duration() -> Duration {
    let slow = patience(Duration::from_secs(1)) > Duration::from_secs(1);
    Duration::from_secs(if slow { 11 } else { 5 })
}

fn seed() -> Result<u64, Fail> {
    match std::env::var("QDA_FUZZ_SEED") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("QDA_FUZZ_SEED is {text:?}").into()),
        Err(_) => Ok(SEED),
    }
}

/// Lets ordinary users open all nodes.
fn open_to_all() {
    for entry in std::fs::read_dir("/dev/accel")
        .into_iter()
        .flatten()
        .flatten()
    {
        // A node may be on its way out.
        let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o666));
    }
}

/// Starts a process that fuzzes; its number.
fn start(words: &str, counts: &'static Counts, seed: u64, until: Instant) -> Result<i32, Fail> {
    let mode = Mode::parse(words).ok_or("no such mode")?;
    // SAFETY: This process has one thread, so the child may do what this one could.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let done = worker::Worker::new(mode, counts)
            .and_then(|mut worker| worker.run(seed, u64::MAX, until));
        if let Err(why) = &done {
            println!("worker {words}: {why}");
        }
        // SAFETY: Leaves at once, without running anything of the parent.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    ensure!(pid > 0, "fork: errno {}", raw::errno());
    Ok(pid)
}

/// Whether a process has ended; it must have ended well.
fn ended(pid: i32, words: &str) -> Result<bool, Fail> {
    let mut status = 0;
    // SAFETY: `status` has room; the child is ours.
    match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
        0 => Ok(false),
        got if got == pid && status == 0 => Ok(true),
        got => Err(format!("worker {words}: waitpid gave {got}, status {status:#x}").into()),
    }
}

/// A client that does nothing wrong beside those that do.
struct Witness {
    file: File,
    calculator: u32,
    echo: u32,
    calls: u32,
}

impl Witness {
    fn new(label: &str) -> Result<Self, Fail> {
        let file = File::with_process(label)?;
        Ok(Witness {
            calculator: file.module("calculator")?,
            echo: file.module("echo")?,
            file,
            calls: 0,
        })
    }

    fn look(&mut self) -> Outcome {
        let first = self.calls as i32;
        ensure_eq!(
            self.file.sum(self.calculator, &[first, 40, 2]),
            (0, i64::from(first) + 42),
            "sum beside the fuzzers"
        );
        self.calls += 1;
        let data = dsp::pattern(1 + self.calls as usize % 9000, self.calls);
        self.file.echo(self.echo, &data)
    }
}

/// The DSP dies and comes back.
fn restart(round: u64) -> Outcome {
    if round % 2 == 0 {
        sim::control(CDSP, "remove")
    } else {
        sim::control(CDSP, "announce")?;
        open_to_all();
        Ok(())
    }
}

/// Fuzzes in several processes, one for each mode, and checks what nobody may notice.
fn run(modes: &[&str]) -> Outcome {
    let seed = seed()?;
    let restarts = modes.iter().any(|mode| mode.contains("restarts"));
    let faults = sim::faults()?;
    let mut log = Log::from_now()?;
    let counts = ground::shared_page::<Counts>()?;
    open_to_all();
    println!("seed {seed}, processes: {}", modes.join(" "));

    let until = Instant::now() + duration();
    let mut running = Vec::new();
    for (number, words) in modes.iter().enumerate() {
        let own = dice::mix(seed, number as u64);
        running.push((start(words, counts, own, until)?, *words));
    }
    let mut witness = Witness::new(if restarts { ADSP } else { CDSP });
    if witness.is_err() && !restarts {
        // The fuzzers were faster and have all seats; then this is the time to wait for one.
        witness = Err("no seat".into());
    }
    let late = until + patience(Duration::from_secs(30));
    let mut round = 0;
    while !running.is_empty() {
        if restarts {
            restart(round)?;
            round += 1;
        }
        if let Ok(witness) = &mut witness {
            witness.look()?;
        }
        let mut still = Vec::new();
        for (pid, words) in running {
            if !ended(pid, words)? {
                still.push((pid, words));
            }
        }
        running = still;
        ensure!(Instant::now() < late, "{running:?} do not end");
        std::thread::sleep(Duration::from_millis(25));
    }
    if round % 2 == 1 {
        restart(round)?;
        dsp::wait_node(CDSP, patience(Duration::from_secs(10)))?;
    }
    drop(witness);

    if modes.iter().any(|mode| mode.contains("mem")) {
        // The module mem reads and writes wherever it is told.
        expect_faults(sim::faults()? - faults);
    }
    judge(counts, modes)?;
    for label in [CDSP, ADSP] {
        File::with_process(label)?.still_works()?;
    }
    quiet(&mut log, restarts)
}

/// Looks at the counts.
fn judge(counts: &Counts, modes: &[&str]) -> Outcome {
    let get = |numbers: &[std::sync::atomic::AtomicU64], kind: usize| -> u64 {
        numbers[kind].load(Ordering::Relaxed)
    };
    let mut sum = 0;
    let mut text = String::new();
    for (kind, name) in expect::NAMES.iter().enumerate() {
        let (tried, good) = (get(&counts.tried, kind), get(&counts.good, kind));
        sum += tried;
        text.push_str(&format!(" {name} {good}/{tried}"));
    }
    println!(
        "{} epochs, {} results compared; good/all:{text}",
        counts.epochs.load(Ordering::Relaxed),
        counts.compared.load(Ordering::Relaxed)
    );
    println!("figure ioctls fuzzed: {sum}");
    let bad = counts.bad.load(Ordering::Relaxed);
    ensure_eq!(bad, 0, "complaints");
    if modes.iter().any(|mode| mode.contains("numbers")) {
        ensure!(
            get(&counts.tried, Kind::Other as usize) > 100,
            "too few requests"
        );
        return Ok(());
    }
    // A fuzzer whose requests all fail reaches nothing.
    for kind in [
        Kind::GemCreate,
        Kind::MmapOffset,
        Kind::Export,
        Kind::Import,
        Kind::Create,
        Kind::Invoke,
        Kind::Call,
    ] {
        let (tried, good) = (
            get(&counts.tried, kind as usize),
            get(&counts.good, kind as usize),
        );
        ensure!(
            good > 0 && good < tried,
            "{kind:?}: {good} of {tried} were good"
        );
    }
    Ok(())
}

/// The log has nothing that users may not cause.
fn quiet(log: &mut Log, restarts: bool) -> Outcome {
    for record in log.read()? {
        // A DSP that comes and goes may say so.
        let ours = record.text.contains("qda") && !restarts;
        ensure!(
            !record.is_kernel() || record.level() > if ours { 6 } else { 4 },
            "the log got a line of level {}: {}",
            record.level(),
            record.text
        );
    }
    Ok(())
}
