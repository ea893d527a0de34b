// SPDX-License-Identifier: GPL-2.0
//! Messages are memory that a process on the DSP can write at any time: nothing that the driver
//! finds there may steer what it does.
//!
//! The simulated DSP rewrites them on demand; its other checks go on meanwhile, so a message that
//! begins with what is left of the last one is a violation.

use std::time::Duration;

use super::buffers::{
    status,
    wait_status, //
};
use super::CDSP;
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

pub const SUITE: Suite = Suite {
    name: "hostile",
    restore: Some(restore),
    cases: &[
        case("rewritten_metadata", "T24, T27", rewritten_metadata),
        case("rewritten_replies", "T24, T25", rewritten_replies),
        case("rewritten_in_parallel", "T24, T27", rewritten_in_parallel),
        case("left_over_list", "T27", left_over_list),
        case("changing_list", "T26, T29", changing_list),
    ],
};

fn restore() -> Outcome {
    sim::control(CDSP, "normal")
}

/// All kinds of calls in one session, each compared with what it must give.
fn everything(seed: u32) -> Outcome {
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
            let mut map = Map {
                request: raw::LEGACY,
                flags: 0x1000,
                fd: -1,
                size: pages * PAGE as u64,
                ..Map::default()
            };
            let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
            ensure_ret!(value, 0, "map");
            maps.push((map.vaddrout, map.size));
        }
        let told: Vec<_> = mem.list()?.iter().map(|m| (m.vaddr, m.size)).collect();
        ensure_eq!(told, maps, "addresses of the replies");
        ensure_eq!(mem.use_heap(seed)?, (3, 6 * PAGE as u64), "heap");
        for (vaddrout, size) in maps {
            let unmap = Unmap {
                request: raw::LEGACY,
                vaddrout,
                size,
                ..Unmap::default()
            };
            let value = raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
            ensure_ret!(value, 0, "unmap");
        }
        sim::control(CDSP, "normal")?;
        drop(file);
        wait_status("heap_bytes", 0)?;
    }
    Ok(())
}

pub fn rewritten_in_parallel() -> Outcome {
    sim::control(CDSP, "scribble 77 always")?;
    let threads: Vec<_> = (1..=3u32)
        .map(|thread| {
            std::thread::spawn(move || -> Result<(), String> {
                for round in 0..4 {
                    everything(10 * thread + round).map_err(|why| format!("{why:?}"))?;
                }
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(done) => done.map_err(Fail::from)?,
            Err(_) => return Err("a thread panicked".to_string().into()),
        }
    }
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
