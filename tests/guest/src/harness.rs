// SPDX-License-Identifier: GPL-2.0
//! Runs cases and prints their results as KTAP.
//!
//! Every case runs in a process of its own, so that a case that hangs or dies does not take the
//! others along, and so that all its files are closed when the end checks of [`crate::checks`]
//! are made. The process of a case writes free text to its standard output; it becomes KTAP
//! diagnostics. Lines that start with `@` are for the harness:
//!
//! * `@faults N`: the case made the simulated DSP touch N addresses that do not translate;
//! * `@log TEXT`: lines of the kernel log with this text are what the case provoked.
//!
//! On a kernel that can tell which memory it has lost, that is one more test after the cases.
//!
//! A kernel with sanitizers takes several times as long for everything; [`patience`] stretches
//! time limits accordingly, and [`rounds`] shortens what only repeats itself.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::fd::{
    AsRawFd,
    FromRawFd,
    OwnedFd, //
};
use std::os::unix::process::{
    CommandExt,
    ExitStatusExt, //
};
use std::process::{
    Child,
    Command,
    ExitCode,
    Stdio, //
};
use std::time::{
    Duration,
    Instant, //
};

use crate::checks::Baseline;
use crate::leaks;

/// Exit status of a case's process that could not be run here.
const SKIPPED: u8 = 4;

/// Characters of a line of output that are kept.
const LINE: usize = 400;

/// A time limit as it has to be on this kernel: the given one, which suits the stock kernel,
/// times the number that scripts/vm passes in the environment.
pub fn patience(limit: Duration) -> Duration {
    let slowness = std::env::var("QDA_SLOWNESS").ok();
    limit * slowness.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// How often something is repeated on this kernel: `number` times on the stock kernel, and as many
/// times less as it is slower, but at least once. For repetitions only, never for what is tried.
pub fn rounds(number: usize) -> usize {
    let second = patience(Duration::from_secs(1)).as_secs();
    (number / usize::try_from(second).unwrap_or(1).max(1)).max(1)
}

/// Why a case did not pass.
#[derive(Debug)]
pub enum Fail {
    /// Something is wrong.
    Wrong(String),
    /// The case cannot be run here; the text says what is missing.
    Skip(String),
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fail::Wrong(text) | Fail::Skip(text) => f.write_str(text),
        }
    }
}

impl From<String> for Fail {
    fn from(text: String) -> Self {
        Fail::Wrong(text)
    }
}

impl From<&str> for Fail {
    fn from(text: &str) -> Self {
        Fail::Wrong(text.to_string())
    }
}

impl From<std::io::Error> for Fail {
    fn from(error: std::io::Error) -> Self {
        Fail::Wrong(error.to_string())
    }
}

/// What a case's body returns.
pub type Outcome = Result<(), Fail>;

/// One test case.
pub struct Case {
    /// Name inside its suite.
    pub name: &'static str,
    /// Rows of the trap list that this case settles.
    pub covers: &'static str,
    /// Time limit in seconds, on the stock kernel.
    pub limit: u64,
    /// The simulator is loaded anew by this case, so its counters start from 0 again.
    pub reloads_simulator: bool,
    /// The test itself.
    pub body: fn() -> Outcome,
}

/// A named list of cases.
pub struct Suite {
    pub name: &'static str,
    /// Brings back the state that cases start from, when one has failed.
    pub restore: Option<fn() -> Outcome>,
    pub cases: &'static [Case],
}

/// Makes a [`Case`] with the usual time limit.
pub const fn case(name: &'static str, covers: &'static str, body: fn() -> Outcome) -> Case {
    Case {
        name,
        covers,
        limit: 60,
        reloads_simulator: false,
        body,
    }
}

impl Case {
    /// The same case with another time limit in seconds.
    pub const fn limit(mut self, seconds: u64) -> Self {
        self.limit = seconds;
        self
    }

    /// The same case, marked as one that loads the simulator anew.
    pub const fn reloads_simulator(mut self) -> Self {
        self.reloads_simulator = true;
        self
    }
}

/// Fails the case unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::harness::Fail::Wrong(format!($($text)+)));
        }
    };
}

/// Fails the case unless two values are equal.
#[macro_export]
macro_rules! ensure_eq {
    // A match and not a let: temporaries of the operands live to its end.
    ($left:expr, $right:expr, $($text:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    return Err($crate::harness::Fail::Wrong(format!(
                        "{}: got {:?}, expected {:?}", format!($($text)+), left, right
                    )));
                }
            }
        }
    };
}

/// Fails the case unless an ioctl returned the expected value.
#[macro_export]
macro_rules! ensure_ret {
    ($got:expr, $expected:expr, $($text:tt)+) => {{
        let (got, expected): (i64, i64) = ($got, i64::from($expected));
        if got != expected {
            return Err($crate::harness::Fail::Wrong(format!(
                "{}: ioctl gave {}, expected {}",
                format!($($text)+),
                $crate::raw::show(got),
                $crate::raw::show(expected)
            )));
        }
    }};
}

/// Fails the case unless an ioctl returned one of several errors.
#[macro_export]
macro_rules! ensure_errno {
    ($got:expr, [$($errno:expr),+ $(,)?], $($text:tt)+) => {{
        let got: i64 = $got;
        if ![$(-i64::from($errno)),+].contains(&got) {
            return Err($crate::harness::Fail::Wrong(format!(
                "{}: ioctl gave {}, expected one of {:?}",
                format!($($text)+),
                $crate::raw::show(got),
                [$($crate::raw::show(-i64::from($errno))),+]
            )));
        }
    }};
}

/// Tells the harness how many faults of the simulated DSP are expected of this case.
pub fn expect_faults(number: u64) {
    println!("@faults {number}");
}

/// Tells the harness that lines of the kernel log with this text belong to what is tested.
pub fn expect_log(text: &str) {
    println!("@log {text}");
}

/// Runs the body of one case; this is the process that [`run`] starts.
pub fn run_body(suite: &Suite, case: &Case) -> ExitCode {
    let outcome = (case.body)();
    if let (Err(Fail::Wrong(_)), Some(restore)) = (&outcome, suite.restore) {
        if let Err(why) = restore() {
            println!("restoring failed: {why}");
        }
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fail::Skip(why)) => {
            println!("{why}");
            ExitCode::from(SKIPPED)
        }
        Err(Fail::Wrong(why)) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What the process of a case left behind.
struct Finished {
    /// None when it had to be killed.
    status: Option<std::process::ExitStatus>,
    lines: Vec<String>,
}

/// Starts the process of a case, both output streams on one pipe.
fn start(name: &str) -> std::io::Result<(Child, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two numbers that pipe2() writes.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: Both numbers are fresh and belong to nobody else.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    let child = Command::new("/proc/self/exe")
        .args(["--case", name])
        .stdin(Stdio::null())
        .stdout(Stdio::from(write.try_clone()?))
        .stderr(Stdio::from(write))
        .process_group(0)
        .spawn()?;
    Ok((child, read))
}

/// Reads the output of a case until its end or the time limit.
fn collect(mut child: Child, output: OwnedFd, limit: Duration) -> std::io::Result<Finished> {
    let deadline = Instant::now() + limit;
    let group = child.id() as i32;
    let mut text = Vec::new();
    let mut killed = false;
    let mut status = None;
    let mut file = fs::File::from(output);
    let mut open = true;
    while open || status.is_none() {
        if open {
            let mut poll = libc::pollfd {
                fd: file.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: One valid entry.
            if unsafe { libc::poll(&mut poll, 1, 20) } > 0 {
                let mut block = [0; 4096];
                match file.read(&mut block)? {
                    0 => open = false,
                    n => text.extend_from_slice(&block[..n]),
                }
                continue;
            }
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
        if status.is_none() {
            status = child.try_wait()?;
        } else {
            // The case itself is gone; whatever still holds the pipe was started by it.
            open = false;
        }
        if Instant::now() > deadline && !killed {
            killed = true;
            text.extend_from_slice(stacks(group).as_bytes());
            // SAFETY: The group was made by this process for the case.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        if Instant::now() > deadline + Duration::from_secs(30) {
            text.extend_from_slice(b"the process does not end even after SIGKILL\n");
            break;
        }
    }
    // SAFETY: As above; takes along what the case may have left running.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    Ok(Finished {
        status: if killed { None } else { status },
        lines: String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_string)
            .collect(),
    })
}

/// Kernel stacks of all processes in a group, for the report about a case that hangs.
fn stacks(group: i32) -> String {
    let mut text = String::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // Fields after the name, which may contain anything: state, parent, group.
        let in_group = stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.split_whitespace().nth(2) == Some(group.to_string().as_str()));
        if !in_group {
            continue;
        }
        for task in fs::read_dir(path.join("task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let stack = fs::read_to_string(task.path().join("stack")).unwrap_or_default();
            let name = task.path().display().to_string();
            text.push_str(&format!("stack of {name}:\n{stack}"));
            if text.len() > 8000 {
                return text;
            }
        }
    }
    text
}

/// Runs one case with its end checks; the complaints, empty if there are none.
fn run_one(name: &str, case: &Case) -> Result<(Vec<String>, Vec<String>), Fail> {
    let mut baseline = Baseline::take()?;
    let (child, output) = start(name)?;
    baseline.group(child.id());
    let limit = patience(Duration::from_secs(case.limit));
    let finished = collect(child, output, limit)?;

    let mut complaints = Vec::new();
    let mut notes = Vec::new();
    let mut faults = 0;
    for mut line in finished.lines {
        if let Some((end, _)) = line.char_indices().nth(LINE) {
            line.truncate(end);
        }
        if let Some(number) = line.strip_prefix("@faults ") {
            faults += number.trim().parse::<u64>().unwrap_or(0);
        } else if let Some(text) = line.strip_prefix("@log ") {
            baseline.expect_log(text);
        } else {
            notes.push(line);
        }
    }
    match finished.status {
        None => complaints.push(format!("no end within {} s", limit.as_secs())),
        Some(status) if status.code() == Some(i32::from(SKIPPED)) => {
            return Err(Fail::Skip(notes.join("; ")));
        }
        Some(status) if !status.success() => match status.signal() {
            Some(signal) => complaints.push(format!("ended by signal {signal}")),
            None => complaints.push("failed".to_string()),
        },
        Some(_) => {}
    }
    if case.reloads_simulator {
        baseline.simulator_reloaded();
    }
    complaints.extend(baseline.compare(faults));
    Ok((notes, complaints))
}

/// Runs the chosen cases and prints KTAP; true if none failed.
pub fn run(chosen: &[(&Suite, &Case)]) -> bool {
    println!("KTAP version 1");
    let last = chosen.len() + usize::from(leaks::detector_present());
    println!("1..{last}");
    let mut good = true;
    for (index, (suite, case)) in chosen.iter().enumerate() {
        let number = index + 1;
        let name = format!("{}.{}", suite.name, case.name);
        let begin = Instant::now();
        let (notes, complaints) = match run_one(&name, case) {
            Ok(result) => result,
            Err(Fail::Skip(why)) => {
                println!("ok {number} {name} # SKIP {why}");
                continue;
            }
            Err(Fail::Wrong(why)) => (Vec::new(), vec![why]),
        };
        for line in &notes {
            println!("# {line}");
        }
        for line in &complaints {
            println!("# {name}: {line}");
        }
        let verdict = if complaints.is_empty() {
            "ok"
        } else {
            "not ok"
        };
        good &= complaints.is_empty();
        println!(
            "{verdict} {number} {name} # covers: {} ({} ms)",
            if case.covers.is_empty() {
                "-"
            } else {
                case.covers
            },
            begin.elapsed().as_millis()
        );
    }
    if leaks::detector_present() {
        good &= report_leaks(last);
    }
    good
}

/// Runs a command of a suite that has no cases, with the checks of a case; its status, or 1 if the
/// checks complain.
pub fn run_command(name: &str, command: &[String]) -> ExitCode {
    let run = || -> Result<(u8, Vec<String>), Fail> {
        let baseline = Baseline::take()?;
        let (program, arguments) = command.split_first().ok_or("which command?")?;
        let status = Command::new(program).args(arguments).status()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok((code.unwrap_or(1), baseline.compare(0)))
    };
    match run() {
        Ok((status, complaints)) if complaints.is_empty() => ExitCode::from(status),
        Ok((_, complaints)) => {
            for line in complaints {
                println!("# {name}: {line}");
            }
            ExitCode::FAILURE
        }
        Err(why) => {
            println!("# {name}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The last test of a suite that has no cases; nothing if this kernel does not look for lost memory.
pub fn run_end(number: usize) -> ExitCode {
    if !leaks::detector_present() || report_leaks(number) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The test behind the cases: prints the result with its number; true if nothing was lost.
fn report_leaks(number: usize) -> bool {
    let begin = Instant::now();
    let lines = leaks::find().unwrap_or_else(|why| vec![format!("kmemleak: {why}")]);
    for line in &lines {
        println!("# {line}");
    }
    let verdict = if lines.is_empty() { "ok" } else { "not ok" };
    println!(
        "{verdict} {number} end.no_memory_lost # covers: - ({} ms)",
        begin.elapsed().as_millis()
    );
    lines.is_empty()
}
