// SPDX-License-Identifier: GPL-2.0
//! Calls under timers that go off all the time.

use super::timers::{
    handlers_were_right,
    install,
    signals,
    SecondStack, //
};
use super::*;

/// Interval of the timers.
const STORM: Duration = Duration::from_millis(1);

/// All timers, all kinds of handlers, both dialects, both places of arguments.
pub fn every_timer() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let _stack = SecondStack::new()?;
    let each = rounds(4);
    for timer in TIMERS {
        let before = signals();
        let mut interrupted = 0;
        for handling in Handling::ALL {
            handling.install(timer.signal())?;
            let storm = Storm::start(timer, STORM)?;
            for (dialect, place) in DIALECTS.into_iter().flat_map(|d| PLACES.map(|p| (d, p))) {
                let what = format!("{timer:?}, {handling:?}, {dialect:?}, {place:?}");
                let mut job = Job::new(&file, echo, dialect, place, 3000)?;
                executes(|| {
                    for round in 0..each {
                        job.prepare(2 + 5 * (round % 2), round + 1);
                        job.run()?;
                    }
                    Ok(each)
                })
                .map_err(|why| format!("{what}: {why}"))?;
                if handling.restart {
                    ensure_eq!(job.interrupted, 0, "EINTR in spite of SA_RESTART: {what}");
                }
                interrupted += job.interrupted;
            }
            drop(storm);
        }
        println!(
            "{timer:?}: {} signals, {interrupted} EINTR",
            signals() - before
        );
        ensure!(signals() - before >= each, "{timer:?} is silent");
        ensure!(interrupted > 0, "{timer:?} never interrupted a call");
    }
    handlers_were_right()
}

/// Threads of calls under timers for the whole process and for each thread.
pub fn many_threads() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let each = rounds(15);
    for restart in [true, false] {
        let handling = if restart {
            Handling::RESTART
        } else {
            Handling::REPEAT
        };
        for timer in TIMERS {
            handling.install(timer.signal())?;
        }
        let before = signals();
        executes(|| {
            let storms = [Timer::Real, Timer::Virtual, Timer::Prof, Timer::Process]
                .map(|timer| Storm::start(timer, STORM));
            let mask = timers::block_all()?;
            let result = thread::scope(|scope| {
                let threads: Vec<_> = (0..12u32)
                    .map(|n| {
                        let file = &file;
                        scope.spawn(move || -> Result<u32, Fail> {
                            timers::set_mask(&mask);
                            let _storm = Storm::start(Timer::Thread, STORM * (1 + n % 3))?;
                            let dialect = DIALECTS[(n % 2) as usize];
                            let place = PLACES[(n / 2 % 2) as usize];
                            let size = 500 + 700 * n as usize;
                            let mut job = Job::new(file, echo, dialect, place, size)?;
                            for round in 0..each {
                                job.prepare((round + n) % 6, n * 1000 + round);
                                job.run()
                                    .map_err(|why| format!("thread {n}, round {round}: {why}"))?;
                            }
                            ensure!(
                                !restart || job.interrupted == 0,
                                "EINTR in spite of SA_RESTART"
                            );
                            Ok(job.interrupted)
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|one| one.join().unwrap_or(Err("a thread panicked".into())))
                    .collect::<Result<Vec<u32>, Fail>>()
            });
            timers::set_mask(&mask);
            for storm in storms {
                storm?;
            }
            let interrupted: u32 = result?.iter().sum();
            println!(
                "restart {restart}: {} signals, {interrupted} EINTR",
                signals() - before
            );
            ensure!(restart || interrupted > 0, "no call was interrupted");
            Ok(12 * each)
        })?;
    }
    file.still_works()
}

/// What the handler below needs: the file, the module, and what came of its calls.
static FILE: AtomicI32 = AtomicI32::new(-1);
static MODULE: AtomicU32 = AtomicU32::new(0);
static DEPTH: AtomicU32 = AtomicU32::new(0);
static GOOD: AtomicU32 = AtomicU32::new(0);
static BAD: AtomicI64 = AtomicI64::new(0);

/// Most handlers that run on top of each other and make calls.
const MOST_DEEP: u32 = 3;

/// How many calls handlers may still make. A handler that takes longer than the timer's interval
/// is followed by the next at once: without an end the call that was interrupted would never go on.
static BUDGET: AtomicI32 = AtomicI32::new(0);

/// Makes a call of its own and checks it. Uses no memory but its stack, and leaves errno alone.
extern "C" fn calling(_: libc::c_int) {
    // SAFETY: The place of errno of this thread.
    let errno = unsafe { *libc::__errno_location() };
    let depth = DEPTH.fetch_add(1, Ordering::Relaxed);
    if depth < MOST_DEEP && BUDGET.fetch_sub(1, Ordering::Relaxed) > 0 {
        let milliseconds = 15u32.to_le_bytes();
        let data = [depth as u8 + 1; 64];
        let mut back = [0u8; 64];
        let elems = [
            raw::Elem::inline(milliseconds.as_ptr() as u64, 4),
            raw::Elem::inline(data.as_ptr() as u64, 64),
            raw::Elem::inline(back.as_mut_ptr() as u64, 64),
        ];
        let invoke = raw::Invoke {
            handle: MODULE.load(Ordering::Relaxed),
            sc: raw::scalars(3, 2, 1, 0, 0),
            args: elems.as_ptr() as u64,
        };
        let fd = FILE.load(Ordering::Relaxed);
        let value = raw::ioctl(fd, raw::INVOKE, &raw const invoke as u64);
        if value == 0 && *std::hint::black_box(&back) == data {
            GOOD.fetch_add(1, Ordering::Relaxed);
        } else {
            BAD.store(if value == 0 { 1 } else { value }, Ordering::Relaxed);
        }
    }
    DEPTH.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: As above.
    unsafe { *libc::__errno_location() = errno };
}

/// Handlers that make calls while the call that they interrupted is under way, and are interrupted
/// themselves.
pub fn calls_in_handlers() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    FILE.store(file.raw(), Ordering::Relaxed);
    MODULE.store(echo, Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = calling;
    for flags in [libc::SA_RESTART, libc::SA_RESTART | libc::SA_NODEFER] {
        install(Timer::Thread.signal(), handler as usize, flags)?;
        for (dialect, place) in DIALECTS.into_iter().flat_map(|d| PLACES.map(|p| (d, p))) {
            let mut job = Job::new(&file, echo, dialect, place, 2000)?;
            GOOD.store(0, Ordering::Relaxed);
            executes(|| {
                let mut outer = 0;
                for round in 0..rounds(3) {
                    job.prepare(SLOW, 50 + round);
                    BUDGET.store(8, Ordering::Relaxed);
                    let storm = Storm::start(Timer::Thread, TICK)?;
                    let value = job.issue();
                    drop(storm);
                    ensure_ret!(value, 0, "interrupted call, {dialect:?}, {place:?}");
                    job.check()?;
                    outer += 1;
                }
                match BAD.load(Ordering::Relaxed) {
                    0 => {}
                    1 => return Err("wrong output of a call in a handler".into()),
                    value => {
                        return Err(format!("call in a handler: {}", raw::show(value)).into());
                    }
                }
                let nested = GOOD.load(Ordering::Relaxed);
                ensure!(nested > 0, "no handler made a call");
                Ok(outer + nested)
            })?;
        }
    }
    file.still_works()
}

static SAME: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];

/// Makes the very call that it interrupted, once.
extern "C" fn repeating(_: libc::c_int) {
    // SAFETY: The place of errno of this thread.
    let errno = unsafe { *libc::__errno_location() };
    if DEPTH.fetch_add(1, Ordering::Relaxed) == 0 {
        let request = SAME[0].load(Ordering::Relaxed);
        let value = raw::ioctl(FILE.load(Ordering::Relaxed), raw::INVOKE, request as u64);
        SAME[1].store(value, Ordering::Relaxed);
    }
    // SAFETY: As above.
    unsafe { *libc::__errno_location() = errno };
}

/// The handler makes the same call, byte for byte: two calls, two results, and two executions.
pub fn same_call_in_handler() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let handler: extern "C" fn(libc::c_int) = repeating;
    install(Timer::Thread.signal(), handler as usize, libc::SA_RESTART)?;
    let milliseconds = SLOW.to_le_bytes();
    let data = dsp::pattern(300, 5);
    let mut back = vec![0u8; 300];
    let elems = [
        raw::Elem::inline(milliseconds.as_ptr() as u64, 4),
        raw::Elem::inline(data.as_ptr() as u64, 300),
        raw::Elem::inline(back.as_mut_ptr() as u64, 300),
    ];
    let invoke = raw::Invoke {
        handle: echo,
        sc: raw::scalars(3, 2, 1, 0, 0),
        args: elems.as_ptr() as u64,
    };
    let request = &raw const invoke as u64;
    FILE.store(file.raw(), Ordering::Relaxed);
    SAME[0].store(request as i64, Ordering::Relaxed);
    SAME[1].store(-1, Ordering::Relaxed);
    DEPTH.store(0, Ordering::Relaxed);
    executes(|| {
        let storm = Storm::start(Timer::Thread, 3 * TICK)?;
        let value = raw::ioctl(file.raw(), raw::INVOKE, request);
        drop(storm);
        ensure!(DEPTH.load(Ordering::Relaxed) > 0, "no signal came");
        ensure_ret!(value, 0, "interrupted call");
        ensure_ret!(
            SAME[1].load(Ordering::Relaxed),
            0,
            "the same in the handler"
        );
        dsp::same(&data, std::hint::black_box(&back))?;
        Ok(2)
    })
}

/// A call that is answered much later, interrupted all the time: one slot, one execution.
pub fn listener() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for (handling, dialect) in [
        (Handling::RESTART, Dialect::Invoke),
        (Handling::RESTART, Dialect::Call),
        (Handling::REPEAT, Dialect::Invoke),
        (Handling::REPEAT, Dialect::Call),
    ] {
        handling.install(Timer::Thread.signal())?;
        let mut job = Job::new(&file, echo, dialect, Place::Inline, 9000)?;
        job.prepare(600, 3);
        executes(|| {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let _storm = Storm::start(Timer::Thread, STORM)?;
                    job.run()
                });
                sim::wait_counter("delayed", patience(SOON), |now| now == 1)?;
                while !waiting.is_finished() {
                    let calls = status("calls")?;
                    ensure!(calls <= 1, "{calls} calls in the driver for one");
                    thread::sleep(Duration::from_millis(20));
                }
                waiting
                    .join()
                    .unwrap_or(Err("a thread panicked".into()))
                    .map(|()| 1)
            })
        })?;
    }
    Ok(())
}

const MILLISECOND: u64 = 1_000_000;

/// The deadline of a call is a point in time: interrupting the wait does not move it.
pub fn deadline_spans_restarts() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for handling in [Handling::RESTART, Handling::REPEAT] {
        handling.install(Timer::Thread.signal())?;
        for place in PLACES {
            let mut job = Job::new(&file, echo, Dialect::Call, place, 100)?;
            let before = signals();
            executes(|| {
                job.prepare(1000, 1);
                let storm = Storm::start(Timer::Thread, STORM)?;
                let begin = Instant::now();
                job.deadline = calls::now_ns() + 300 * MILLISECOND;
                let value = job.settle();
                let took = begin.elapsed();
                drop(storm);
                ensure_ret!(value, -libc::ETIMEDOUT, "{handling:?}, {place:?}");
                ensure!(
                    took >= Duration::from_millis(300)
                        && took < Duration::from_millis(300) + patience(Duration::from_millis(250)),
                    "a deadline in 300 ms took {took:?}"
                );
                ensure!(signals() - before > 20, "hardly a signal came");
                Ok(1)
            })?;
        }
    }
    file.still_works()
}

/// A call whose time was over is not taken up by the next one like it.
pub fn late_call_is_not_taken_up() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for place in PLACES {
        let mut job = Job::new(&file, echo, Dialect::Call, place, 100)?;
        executes(|| {
            job.prepare(SLOW, 2);
            job.interrupt()?;
            // Shorter than the call: it is the deadline of the repetition that counts.
            job.deadline = calls::now_ns() + 10 * MILLISECOND;
            ensure_ret!(job.settle(), -libc::ETIMEDOUT, "repeated with a deadline");
            job.deadline = 0;
            job.run()?;
            Ok(2)
        })
        .map_err(|why| format!("{place:?}: {why}"))?;
    }
    file.still_works()
}
