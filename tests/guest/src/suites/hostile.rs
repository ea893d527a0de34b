// SPDX-License-Identifier: GPL-2.0
//! A DSP that misbehaves on command, beside calls that must not notice.
//!
//! * Here: messages are memory that a process on the DSP can write at any time; nothing that the
//!   driver finds there may steer what it does.
//! * [`answers`]: packets that are no proper answers, each of which must be dropped and counted;
//! * [`abandoned`]: calls that are answered late or never, and lies about the kernel's own calls;
//! * [`crashes`]: death at any message, and talk while the channel comes and goes.
//!
//! All other checks of the simulated DSP go on meanwhile, so a message that begins with what is left
//! of the last one is a violation. No case but those of [`crashes`] may leave a line in the kernel
//! log, whatever its level.

use std::time::Duration;

use super::buffers::{
    status,
    wait_status, //
};
use super::{
    ADSP,
    CDSP, //
};
use crate::calls::NewCall;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dspmem::{
    self,
    Checksum,
    DspMem, //
};
use crate::harness::{
    case,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmsg::Log;
use crate::mem::PAGE;
use crate::raw::{
    self,
    Map,
    Unmap, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

mod abandoned;
mod answers;
mod crashes;

/// Lines of the kernel log that one restart of a DSP may cost: groups of banks, banks, the node.
const LINES_OF_A_RESTART: usize = 24;

/// Runs a body that must leave no line in the kernel log.
macro_rules! silent {
    ($body:path) => {
        || quietly(0, $body)
    };
}

pub const SUITE: Suite = Suite {
    name: "hostile",
    restore: Some(restore),
    cases: &[
        case(
            "rewritten_metadata",
            "T24, T27, T48",
            silent!(rewritten_metadata),
        ),
        case("rewritten_replies", "T24, T25", silent!(rewritten_replies)),
        case(
            "rewritten_in_parallel",
            "T24, T27",
            silent!(rewritten_in_parallel),
        ),
        case("left_over_list", "T27", silent!(left_over_list)),
        case("changing_list", "T26, T29", silent!(changing_list)),
        case("several_answers", "T37", silent!(answers::several)),
        case("old_answers", "T36, T37", silent!(answers::much_later)),
        case("lengths", "T35", silent!(answers::lengths)),
        case("other_words", "T36, T40", silent!(answers::words)),
        case("markers", "T41", silent!(answers::markers)),
        case("newer_forms", "T50", silent!(answers::newer_forms)),
        case("guesses", "T39", silent!(answers::guesses)),
        case("early_answers", "T38, T45", silent!(answers::early)),
        case("results", "T149, T173", silent!(answers::results)),
        case("nth_message", "T180", silent!(answers::nth_message)),
        case("wrong_sums", "T180", silent!(answers::wrong_sums)),
        case("late_answers", "T36, T52", silent!(abandoned::late)),
        case(
            "written_to_when_abandoned",
            "T24, T52",
            silent!(abandoned::written_to),
        ),
        case(
            "never_answered",
            "T52, T58",
            silent!(abandoned::never_answered),
        ),
        case(
            "overwritten_later",
            "T24, T27, T29",
            silent!(abandoned::overwritten_later),
        ),
        case(
            "refused_processes",
            "T25, T149",
            silent!(abandoned::refused_processes),
        ),
        case("lies_about_processes", "T25, T133", || {
            quietly(4 * LINES_OF_A_RESTART, abandoned::lies_about_processes)
        }),
        case(
            "lies_about_addresses",
            "T25, T34",
            silent!(abandoned::lies_about_addresses),
        ),
        case("crash_at_any_message", "T118, T134, T173", || {
            quietly(60 * LINES_OF_A_RESTART, crashes::at_any_message)
        })
        .limit(120),
        case("replays_after_restart", "T132", || {
            quietly(3 * LINES_OF_A_RESTART, crashes::replays_after_restart)
        }),
        case("talks_while_it_comes_and_goes", "T46, T49, T173", || {
            quietly(
                64 * LINES_OF_A_RESTART,
                crashes::talks_while_it_comes_and_goes,
            )
        })
        .limit(120),
    ],
};

fn restore() -> Outcome {
    for command in ["normal", "quiet", "talk 0", "thread"] {
        sim::control(CDSP, command)?;
    }
    Ok(())
}

/// Runs a body that may leave so many lines in the kernel log.
pub(super) fn quietly(lines: usize, body: fn() -> Outcome) -> Outcome {
    let mut log = Log::from_now()?;
    body()?;
    let found: Vec<_> = log
        .read()?
        .into_iter()
        // The generator of random numbers takes its time on an emulated machine.
        .filter(|record| record.is_kernel() && !record.text.starts_with("random:"))
        .collect();
    ensure!(
        found.len() <= lines,
        "{} lines in the kernel log, at most {lines} allowed, the first: {:?}",
        found.len(),
        found
            .iter()
            .map(|record| &record.text)
            .take(3)
            .collect::<Vec<_>>()
    );
    Ok(())
}

/// Runs a body in which the DSP sends packets that complete no call: the driver must drop and count
/// each. How many they were.
pub(super) fn all_dropped(body: impl FnOnce() -> Outcome) -> Result<u64, Fail> {
    let (dropped, strays) = (status("dropped")?, sim::counter("strays")?);
    body()?;
    // The driver counts after the simulator does.
    let sent = sim::counter("strays")? - strays;
    wait_status("dropped", dropped + sent)?;
    ensure!(sent > 0, "no packet was sent");
    Ok(sent)
}

/// Runs a body in so many threads; its argument is the number of the thread, from 1 on.
pub(super) fn in_parallel(threads: u32, body: fn(u32) -> Outcome) -> Outcome {
    let threads: Vec<_> = (1..=threads)
        .map(|n| std::thread::spawn(move || body(n).map_err(|why| format!("thread {n}: {why}"))))
        .collect();
    let mut outcome = Ok(());
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => outcome = Err(Fail::from(why)),
            Err(_) => outcome = Err("a thread panicked".into()),
        }
    }
    outcome
}

/// A session with two modules, for short calls.
pub(super) struct Client {
    pub file: File,
    pub calculator: u32,
    pub echo: u32,
}

impl Client {
    pub fn new() -> Result<Self, Fail> {
        Self::on(CDSP)
    }

    /// The same on the DSP that behaves.
    pub fn new_elsewhere() -> Result<Self, Fail> {
        Self::on(ADSP)
    }

    fn on(label: &str) -> Result<Self, Fail> {
        let file = File::with_process(label)?;
        Ok(Client {
            calculator: file.module("calculator")?,
            echo: file.module("echo")?,
            file,
        })
    }

    /// Two calls, compared with what they must give.
    pub fn small(&self, seed: u32) -> Outcome {
        let numbers = [seed as i32, -7, 1 << 30, 1 << 30];
        let sum = numbers.iter().map(|&n| i64::from(n)).sum();
        ensure_eq!(
            self.file.sum(self.calculator, &numbers),
            (0, sum),
            "calculator"
        );
        self.file
            .echo(self.echo, &dsp::pattern(200 + (seed % 300) as usize, seed))
    }
}

/// A request for pages of the heap.
fn heap(pages: u64) -> Map {
    Map {
        request: raw::LEGACY,
        flags: 0x1000,
        fd: -1,
        size: pages * PAGE as u64,
        ..Map::default()
    }
}

/// Gives pages of the heap back.
fn unheap(file: &File, vaddrout: u64, pages: u64) -> Outcome {
    let unmap = Unmap {
        request: raw::LEGACY,
        vaddrout,
        size: pages * PAGE as u64,
        ..Unmap::default()
    };
    let value = raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
    ensure_ret!(value, 0, "unmap at {vaddrout:#x}");
    Ok(())
}

/// All kinds of calls in one session, each compared with what it must give.
pub(super) fn everything(seed: u32) -> Outcome {
    let file = File::with_process(CDSP)?;
    let calculator = file.module("calculator")?;
    ensure_eq!(
        file.sum(calculator, &[1, -2, 70_000]),
        (0, 69_999),
        "calculator"
    );
    let echo = file.module("echo")?;
    for length in [0, 1, 127, 4096, 40_000] {
        file.echo(echo, &dsp::pattern(length, seed))?;
    }
    // A failing call keeps its result and its outputs.
    let fail = file.module("fail")?;
    let mut back = [0; 4];
    let value = Call::new(2)
        .input(&0x8000_0abcu32.to_le_bytes())
        .input(&[1, 2, 3, 4])
        .output(&mut back)
        .on(file.raw(), fail);
    ensure_eq!((value as u32, back), (0x8000_0abc, [1, 2, 3, 4]), "fail");

    // Buffers: only their own bytes are read and written.
    let mem = DspMem::open(&file)?;
    let size = 3 * PAGE;
    let (input, from) = file.mapped(size)?;
    let (output, to) = file.mapped(size)?;
    let data = dsp::pattern(size, seed);
    from.write(0, &data);
    let mut sums = [0; dspmem::SUMMED];
    let stream = u64::from(seed);
    let head = stream.to_le_bytes();
    let call = NewCall::new(dspmem::TOUCH)
        .input(&head)
        .read(input, 5, 5000)
        .output(&mut sums)
        .write(output, 4095, 4098);
    ensure_eq!(mem.new_call(&call), (0, 0), "touch");
    ensure_eq!(
        Checksum::nth(&sums, 0),
        Checksum::of(&data[5..5005]),
        "input"
    );
    let mut want = vec![0; size];
    want[4095..4095 + 4098].copy_from_slice(&dspmem::stream(stream, 4098));
    dsp::same(&want, &to.read(0, size))?;
    Ok(())
}

pub fn rewritten_metadata() -> Outcome {
    for seed in 1..=5 {
        let before = sim::counter("twisted")?;
        sim::control(CDSP, &format!("scribble {seed} always"))?;
        everything(seed)?;
        sim::control(CDSP, "normal")?;
        let rewritten = sim::counter("twisted")? - before;
        ensure!(rewritten > 12, "only {rewritten} messages were rewritten");
        // And nothing of it stays.
        everything(seed)?;
    }
    Ok(())
}

pub fn rewritten_replies() -> Outcome {
    for seed in 1..=20 {
        let file = File::with_process(CDSP)?;
        let mem = DspMem::open(&file)?;
        sim::control(CDSP, &format!("scribble {seed} always"))?;
        let mut maps = Vec::new();
        for pages in 1..=3u64 {
            let mut map = heap(pages);
            let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
            ensure_ret!(value, 0, "map");
            maps.push((map.vaddrout, map.size));
        }
        let told: Vec<_> = mem.list()?.iter().map(|m| (m.vaddr, m.size)).collect();
        ensure_eq!(told, maps, "addresses of the replies");
        ensure_eq!(mem.use_heap(seed)?, (3, 6 * PAGE as u64), "heap");
        for (vaddrout, size) in maps {
            unheap(&file, vaddrout, size / PAGE as u64)?;
        }
        sim::control(CDSP, "normal")?;
        drop(file);
        wait_status("heap_bytes", 0)?;
    }
    Ok(())
}

pub fn rewritten_in_parallel() -> Outcome {
    sim::control(CDSP, "scribble 77 always")?;
    in_parallel(3, |thread| {
        (0..4).try_for_each(|round| everything(10 * thread + round))
    })?;
    sim::control(CDSP, "normal")
}

/// Hands a buffer of its own over under a tag.
fn hold(mem: &DspMem<'_>, tag: i32) -> Outcome {
    let handle = mem.file.buffer(PAGE)?;
    let mut out = [0; 2 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS).output(&mut out).handle(
        raw::ARG_IN,
        handle,
        tag,
        0,
        PAGE as u64,
    );
    ensure_eq!(mem.new_call(&call), (0, 0), "call with a handle");
    mem.file.close(handle)
}

pub fn left_over_list() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let echo = file.module("echo")?;
    hold(&mem, 41)?;
    ensure_eq!(status("held")?, 1, "held");
    sim::control(CDSP, "droplist 41 41 42 43")?;
    ensure_ret!(Call::new(2).on(file.raw(), echo), 0, "call that drops");
    wait_status("held", 0)?;
    // The same memory again, in which nobody writes a list this time.
    for tag in [41, 42, 43] {
        hold(&mem, tag)?;
    }
    for _ in 0..20 {
        ensure_ret!(Call::new(2).on(file.raw(), echo), 0, "call");
    }
    ensure_eq!(status("held")?, 3, "held");
    drop(file);
    wait_status("held", 0)
}

pub fn changing_list() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let echo = file.module("echo")?;
    let mut dropped = 0;
    for round in 0..15 {
        for tag in 1..=24 {
            hold(&mem, tag)?;
        }
        let before = status("held")?;
        sim::control(CDSP, "toggle 15")?;
        ensure_ret!(Call::new(2).on(file.raw(), echo), 0, "call {round}");
        std::thread::sleep(Duration::from_millis(20));
        let after = status("held")?;
        // A list has 16 entries, each of which ends one hold at most.
        ensure!(
            after <= before && before - after <= 16,
            "held: {before}, then {after}"
        );
        dropped += before - after;
        file.echo(echo, &dsp::pattern(100, round))?;
    }
    ensure!(dropped > 0, "no list was ever read");
    drop(file);
    wait_status("held", 0)?;
    wait_status("mappings", 0)
}
