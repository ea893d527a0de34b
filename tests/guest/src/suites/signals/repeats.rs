// SPDX-License-Identifier: GPL-2.0
//! Calls that gave EINTR, and what their thread does next.

use super::timers::signals;
use super::*;

/// Every combination of dialect and place.
fn kinds() -> impl Iterator<Item = (Dialect, Place)> {
    DIALECTS.into_iter().flat_map(|d| PLACES.map(|p| (d, p)))
}

/// The same call again: it goes on with the one that is under way.
pub fn repeated() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for (dialect, place) in kinds() {
        for size in [1, 3000, 200_000] {
            let mut job = Job::new(&file, echo, dialect, place, size)?;
            executes(|| {
                job.prepare(SLOW, size as u32);
                job.interrupt()?;
                job.untouched()?;
                ensure_eq!(status("calls")?, 1, "calls under way");
                job.run()?;
                // Once more is a new call.
                job.prepare(0, size as u32 + 1);
                job.run()?;
                job.prepare(0, size as u32 + 1);
                job.run()?;
                Ok(3)
            })
            .map_err(|why| format!("{dialect:?}, {place:?}, {size} bytes: {why}"))?;
        }
    }
    Ok(())
}

/// The DSP has answered long before the call is made again.
pub fn repeated_late() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for (dialect, place) in kinds() {
        let mut job = Job::new(&file, echo, dialect, place, 3000)?;
        executes(|| {
            job.prepare(SLOW, 11);
            job.interrupt()?;
            settled()?;
            // A worker has looked at it meanwhile.
            thread::sleep(Duration::from_millis(400));
            if place == Place::Inline {
                job.untouched()?;
            }
            let begin = Instant::now();
            job.run()?;
            ensure!(
                begin.elapsed() < patience(Duration::from_millis(u64::from(SLOW) / 2)),
                "taking up an answered call took {:?}",
                begin.elapsed()
            );
            Ok(1)
        })
        .map_err(|why| format!("{dialect:?}, {place:?}: {why}"))?;
        // What was taken up is gone: the same is a new call.
        executes(|| job.run().map(|()| 1))?;
    }
    Ok(())
}

/// Interrupted again and again, with pauses in the program in between.
pub fn repeated_by_and_by() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for (dialect, place) in kinds() {
        let mut job = Job::new(&file, echo, dialect, place, 3000)?;
        executes(|| {
            job.prepare(4 * SLOW, 12);
            for _ in 0..5 {
                job.interrupt()?;
                thread::sleep(Duration::from_millis(15));
            }
            job.run()?;
            ensure_eq!(job.interrupted, 5, "times it was interrupted");
            Ok(1)
        })
        .map_err(|why| format!("{dialect:?}, {place:?}: {why}"))?;
    }
    Ok(())
}

/// A call that nobody makes again is settled in the background, and its buffers are let go.
pub fn not_repeated() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for (dialect, place) in kinds() {
        let what = format!("{dialect:?}, {place:?}");
        let mut job = Job::new(&file, echo, dialect, place, 3000)?;
        executes(|| {
            job.prepare(SLOW, 13);
            job.interrupt()?;
            // The session goes on at once, while the DSP still works on that call.
            let mut other = Job::new(&file, echo, dialect, place, 3000)?;
            other.prepare(1, 14);
            other.run()?;
            job.clear();
            ensure_eq!(status("calls")?, 1, "calls under way: {what}");
            settled()?;
            if place == Place::Inline {
                job.untouched()?;
            }
            Ok(2)
        })
        .map_err(|why| format!("{what}: {why}"))?;
        drop(job);
        file.still_works()?;
        if place == Place::Buffer {
            // Handles keep them; those of the two jobs are all that this file has.
            for handle in 1..=4 {
                let _ = crate::buffer::close(file.raw(), handle);
            }
            wait_status("mappings", 0).map_err(|why| format!("{what}: {why}"))?;
        }
    }
    Ok(())
}

/// One thing about a call that makes it another call.
struct Change {
    what: &'static str,
    change: fn(&mut Plain),
}

/// A call in the old style that can be changed in every part.
struct Plain {
    handle: u32,
    method: u32,
    time: [u8; 4],
    data: Vec<u8>,
    back: Vec<u8>,
    other_data: Vec<u8>,
    other_back: Vec<u8>,
    /// Which of the two each.
    places: (bool, bool),
    size: usize,
}

impl Plain {
    fn issue(&mut self, file: &File) -> i64 {
        let data = if self.places.0 {
            &self.other_data
        } else {
            &self.data
        };
        let back = if self.places.1 {
            &mut self.other_back
        } else {
            &mut self.back
        };
        Call::new(self.method)
            .input(&self.time)
            .input(&data[..self.size])
            .output(&mut back[..self.size])
            .on(file.raw(), self.handle)
    }

    fn check(&self) -> Outcome {
        let data = if self.places.0 {
            &self.other_data
        } else {
            &self.data
        };
        let back = if self.places.1 {
            &self.other_back
        } else {
            &self.back
        };
        dsp::same(&data[..self.size], &std::hint::black_box(back)[..self.size])
    }
}

const CHANGES: &[Change] = &[
    Change {
        what: "other bytes at the same address",
        change: |plain| plain.data[777] ^= 1,
    },
    Change {
        what: "other last byte",
        change: |plain| plain.data[1999] ^= 0x80,
    },
    Change {
        what: "other bytes in the first input",
        change: |plain| plain.time = (SLOW + 1).to_le_bytes(),
    },
    Change {
        what: "input at another address",
        change: |plain| plain.places.0 = true,
    },
    Change {
        what: "output at another address",
        change: |plain| plain.places.1 = true,
    },
    Change {
        what: "one byte less",
        change: |plain| plain.size = 1999,
    },
];

/// Another call after EINTR gets its own result, and the first one can still be taken up.
pub fn another_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    Handling::REPEAT.install(Timer::Thread.signal())?;
    for one in CHANGES {
        let mut plain = Plain {
            handle: echo,
            method: 3,
            time: SLOW.to_le_bytes(),
            data: dsp::pattern(2000, 21),
            back: vec![0; 2000],
            other_data: dsp::pattern(2000, 22),
            other_back: vec![0; 2000],
            places: (false, false),
            size: 2000,
        };
        executes(|| {
            let storm = Storm::start(Timer::Thread, TICK)?;
            let value = plain.issue(&file);
            drop(storm);
            ensure_ret!(value, -libc::EINTR, "interrupted call");
            let (time, data) = (plain.time, plain.data.clone());
            (one.change)(&mut plain);
            ensure_ret!(plain.issue(&file), 0, "the other call");
            plain.check()?;
            plain.time = time;
            plain.data.copy_from_slice(&data);
            plain.back.fill(0);
            plain.places = (false, false);
            plain.size = 2000;
            ensure_ret!(plain.issue(&file), 0, "the first call again");
            plain.check()?;
            Ok(2)
        })
        .map_err(|why| format!("{}: {why}", one.what))?;
    }
    Ok(())
}

/// Several calls of one thread that were interrupted are taken up in any order. Of more than it
/// keeps, the driver loses the results of the oldest, never the calls.
pub fn several_at_once() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    /// Number of calls that gave EINTR of which the driver keeps the results.
    const KEPT: usize = 4;
    for (number, late) in [(KEPT, false), (KEPT, true), (12, true)] {
        let mut jobs = (0..number)
            .map(|n| Job::new(&file, echo, DIALECTS[n % 2], PLACES[n / 2 % 2], 1000 + n))
            .collect::<Result<Vec<_>, _>>()?;
        let before = sim::counter("executions")?;
        for (n, job) in jobs.iter_mut().enumerate() {
            job.prepare(SLOW, 100 + n as u32);
            job.interrupt()?;
        }
        if late {
            settled()?;
        }
        // Backwards, so that the one that would be lost first is asked for last.
        for (n, job) in jobs.iter_mut().enumerate().rev() {
            job.run()
                .map_err(|why| format!("call {n} of {number}: {why}"))?;
        }
        settled()?;
        let executions = sim::counter("executions")? - before;
        println!("{number} calls, late {late}: {executions} executions");
        // Of those beyond, the results are lost when they are answered, so they are executed anew.
        let most = number + number.saturating_sub(KEPT);
        ensure_eq!(
            executions,
            most as u64,
            "executions of {number} calls, late {late}"
        );
    }
    Ok(())
}

/// Slots that change hands all the time: interrupted waits, deadlines, quick calls.
pub fn cancel_and_rearm() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    Handling::REPEAT.install(Timer::Thread.signal())?;
    let mut slow = Job::inline(&file, echo, 500)?;
    let mut timed = Job::new(&file, echo, Dialect::Call, Place::Inline, 400)?;
    let mut quick = Job::new(&file, echo, Dialect::Call, Place::Buffer, 300)?;
    let before = (signals(), sim::counter("executions")?);
    let (mut calls, mut late) = (0u64, 0u64);
    for round in 0..rounds(40) {
        slow.prepare(30, round);
        let storm = Storm::start(Timer::Thread, Duration::from_millis(3))?;
        let value = slow.issue();
        drop(storm);
        ensure!(
            value == 0 || value == -i64::from(libc::EINTR),
            "interrupted call gave {}",
            raw::show(value)
        );
        calls += 1;
        for n in 0..4 {
            quick.prepare(0, round * 10 + n);
            quick.run()?;
            timed.prepare(12, round * 10 + n);
            timed.deadline = calls::now_ns() + 1_000_000 * u64::from(1 + n);
            match timed.settle() {
                0 => timed.check()?,
                value => {
                    ensure_ret!(value, -libc::ETIMEDOUT, "call with a deadline");
                    late += 1;
                }
            }
            calls += 2;
        }
        if value == 0 {
            slow.check()?;
        } else if round % 2 == 0 {
            slow.run()?;
        }
    }
    settled()?;
    let executions = sim::counter("executions")? - before.1;
    println!(
        "{} signals, {} EINTR, {late} of {calls} calls were late",
        signals() - before.0,
        slow.interrupted
    );
    // A call whose time is over before it is sent is not executed at all.
    ensure!(
        (calls - late..=calls).contains(&executions),
        "{executions} executions of {calls} calls, of which {late} were late"
    );
    ensure!(slow.interrupted > 0, "nothing was interrupted");
    file.still_works()
}
