// SPDX-License-Identifier: GPL-2.0
//! A transport that refuses messages, or says so although it took them, or has no room for a while.

use std::time::{
    Duration,
    Instant, //
};

use super::*;
use crate::raw::Map;

/// What the transport says, how often in a row, and what the program gets.
struct Refusal {
    errno: i32,
    /// Sends in a row: the driver asks a second time when the transport is busy.
    times: u32,
    /// The errno of the operation.
    becomes: i32,
}

const REFUSALS: &[Refusal] = &[
    Refusal {
        errno: libc::ENOMEM,
        times: 1,
        becomes: libc::ENOMEM,
    },
    Refusal {
        errno: libc::EINVAL,
        times: 1,
        becomes: libc::EINVAL,
    },
    Refusal {
        errno: libc::EAGAIN,
        times: 2,
        becomes: libc::EAGAIN,
    },
    Refusal {
        errno: libc::EBUSY,
        times: 2,
        becomes: libc::EBUSY,
    },
    // The remote side goes away, says the transport.
    Refusal {
        errno: libc::ECONNRESET,
        times: 1,
        becomes: libc::EPIPE,
    },
];

/// Messages of the life below, the release not counted.
const MESSAGES: u32 = 9;

/// One step of a life: done at once, or refused and then done.
struct Life {
    refused: u32,
    becomes: i32,
}

impl Life {
    /// Makes an operation that sends one message, and once more if it was refused.
    fn step(&mut self, what: &str, mut operate: impl FnMut() -> i64) -> Outcome {
        let value = operate();
        if value == 0 {
            return Ok(());
        }
        ensure_ret!(value, -self.becomes, "{what}");
        self.refused += 1;
        ensure_ret!(operate(), 0, "{what}, again");
        Ok(())
    }
}

/// A whole life of a session. Each of its messages may be refused once.
fn life(path: &Path, becomes: i32) -> Result<u32, Fail> {
    let mut life = Life {
        refused: 0,
        becomes,
    };
    let file = File::open_node(path)?;
    life.step("create", || file.create())?;
    let mut handle = 0;
    life.step("load", || {
        let (value, loaded, error, _) = file.load(&dsp::uri("echo"));
        handle = loaded;
        if value == 0 && error != 0 {
            i64::from(error)
        } else {
            value
        }
    })?;
    let data = dsp::pattern(3000, 8);
    let mut back = vec![0; data.len()];
    life.step("copied arguments", || {
        let call = Call::new(2).input(&data).output(&mut back);
        call.on(file.raw(), handle)
    })?;
    dsp::same(&data, &back)?;
    let one = Shared::own(&file, PAGE)?;
    let pattern = one.fill(4);
    let mut back = vec![0; PAGE];
    life.step("a buffer", || {
        Call::new(2)
            .reads(one.at(0), PAGE as u64, one.raw())
            .output(&mut back)
            .on(file.raw(), handle)
    })?;
    dsp::same(&pattern, &back)?;
    let mut map = |what: &str, request: Map| -> Result<u64, Fail> {
        let mut address = 0;
        life.step(what, || {
            let (value, mapped) = remote_map::map(&file, request);
            address = mapped;
            value
        })?;
        Ok(address)
    };
    let tagged = map("map", remote_map::attr(one.raw(), 2))?;
    let heap = map("heap", remote_map::heap_request(PAGE as u64))?;
    ensure_eq!(sim::counter("mappings")?, 2, "mappings of the DSP");
    ensure_eq!(buffers::status("remote_maps")?, 2, "records");
    for (what, request) in [
        ("unmap", remote_map::un_attr(one.raw(), tagged, 0)),
        ("unmap of heap", remote_map::un_legacy(heap, 0)),
    ] {
        life.step(what, || remote_map::unmap(&file, request))?;
    }
    life.step("unload", || {
        let (value, error) = file.unload(handle);
        if value == 0 {
            i64::from(error)
        } else {
            value
        }
    })?;
    file.close(one.handle)?;
    Ok(life.refused)
}

/// The n-th message of a session is refused, with every error that a transport may give.
pub fn refused() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    let before = Books::read()?;
    ensure_eq!(life(&path, 0)?, 0, "refused messages");
    before.are_back()?;
    let mut points = 0;
    for refusal in REFUSALS {
        for n in 0..MESSAGES {
            let what = format!("message {n} refused with errno {}", refusal.errno);
            let (executions, refused) = (sim::counter("executions")?, sim::counter("refused")?);
            sim::control(
                CDSP,
                &format!("refuse {} {n} {}", refusal.errno, refusal.times),
            )?;
            let times = life(&path, refusal.becomes).map_err(|why| format!("{what}: {why}"))?;
            ensure_eq!(times, 1, "operations that failed, {what}");
            ensure_eq!(
                sim::counter("refused")? - refused,
                u64::from(refusal.times),
                "sends refused, {what}"
            );
            // Neither lost nor repeated: load, two calls and unload.
            ensure_eq!(
                sim::counter("executions")? - executions,
                2,
                "executions of calls, {what}"
            );
            before.are_back().map_err(|why| format!("{what}: {why}"))?;
            points += 1;
        }
    }
    println!("{points} messages refused");
    Ok(())
}

/// The release is refused, for a moment: the process ends all the same.
pub fn release_refused() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    let before = Books::read()?;
    for (errno, times) in [
        (libc::ENOMEM, 1),
        (libc::EAGAIN, 2),
        (libc::EBUSY, 4),
        (libc::EINVAL, 1),
    ] {
        let file = File::open_node(&path)?.created()?;
        sim::control(CDSP, &format!("refuse {errno} 0 {times}"))?;
        drop(file);
        before
            .are_back()
            .map_err(|why| format!("errno {errno}, {times} times: {why}"))?;
        sim::control(CDSP, "normal")?;
    }
    Ok(())
}

/// The transport fails when the driver waited for room, and has sent the message all the same: its
/// answer counts, and until then its memory stays.
pub fn sent_and_failed() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    let before = Books::read()?;
    for errno in [libc::ETIMEDOUT, libc::EIO] {
        for n in 0..MESSAGES {
            let what = format!("message {n} sent, errno {errno}");
            let executions = sim::counter("executions")?;
            sim::control(CDSP, &format!("refuse_try {} {n} 1", libc::EAGAIN))?;
            sim::control(CDSP, &format!("queue_and_refuse {errno} {n} 1"))?;
            let times = life(&path, 0).map_err(|why| format!("{what}: {why}"))?;
            ensure_eq!(times, 0, "operations that failed, {what}");
            ensure_eq!(
                sim::counter("executions")? - executions,
                2,
                "executions of calls, {what}"
            );
            sim::control(CDSP, "normal")?;
            before.are_back().map_err(|why| format!("{what}: {why}"))?;
        }
    }
    Ok(())
}

/// There is no room for a while: who sends waits that long and no longer, and nobody else does.
pub fn busy() -> Outcome {
    const BUSY: Duration = Duration::from_millis(2000);
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let before = Books::read()?;
    sim::control(CDSP, &format!("busy {}", BUSY.as_millis()))?;
    let begin = Instant::now();
    std::thread::scope(|scope| -> Outcome {
        let sender = scope.spawn(|| file.echo(echo, &[5; 500]));
        // Neither what needs no message nor the other DSP waits.
        ensure!(dsp::query(file.raw()).is_ok(), "query");
        let handle = file.buffer(PAGE)?;
        file.close(handle)?;
        buffers::status("calls")?;
        File::with_process(ADSP)?.still_works()?;
        sender.join().map_err(|_| "the sender panicked")??;
        Ok(())
    })?;
    let took = begin.elapsed();
    println!("the call took {took:?}");
    ensure!(took >= BUSY / 2, "the transport was not busy");
    ensure!(
        took < BUSY + crate::harness::patience(Duration::from_secs(5)),
        "the call took {took:?}"
    );
    // A process that ends meanwhile ends when there is room again.
    let other = File::with_process(CDSP)?;
    sim::control(CDSP, &format!("busy {}", BUSY.as_millis()))?;
    drop(other);
    before.are_back()?;
    file.still_works()
}
