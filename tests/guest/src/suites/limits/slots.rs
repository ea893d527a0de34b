// SPDX-License-Identifier: GPL-2.0
//! Calls under way, and the buffers that the DSP holds.

use super::*;

/// Milliseconds of a call that only the end of its process answers.
const FOR_EVER: u32 = 600_000;
/// Slots of a DSP that clients may use.
const SLOTS: u64 = 240;

/// Parks calls in threads until one is refused, or `most` are parked: their number. They end with
/// the process on the DSP.
fn park<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    file: &'scope File,
    echo: u32,
    most: usize,
) -> Result<usize, Fail> {
    for n in 0..most {
        let refused: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let before = sim::counter("delayed")?;
        thread::Builder::new()
            .stack_size(64 << 10)
            .spawn_scoped(scope, move || {
                let time = FOR_EVER.to_le_bytes();
                let value = Call::new(3).input(&time).on(file.raw(), echo);
                refused.store(value == -i64::from(libc::ENOSPC), Ordering::Release);
            })?;
        let deadline = Instant::now() + patience(SOON);
        loop {
            if refused.load(Ordering::Acquire) {
                return Ok(n);
            }
            if sim::counter("delayed")? > before {
                break;
            }
            ensure!(Instant::now() < deadline, "call {n} does not arrive");
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(most)
}

/// Ends the process on the DSP by the driver's own means: only the release still has a slot.
fn full(file: &File) -> Outcome {
    nothing_sent(|| {
        for _ in 0..3 {
            let value = Call::new(2).on(file.raw(), dsp::CURRENT_PROCESS);
            ensure_ret!(value, -libc::ENOSPC, "a call beyond the limit");
        }
        Ok(())
    })
}

/// Gives up calls that are not answered until there is no slot for another: their number.
fn give_up(file: &File, echo: u32) -> Result<u64, Fail> {
    let mut job = Job::inline(file, echo, 300)?;
    for n in 0..=SLOTS {
        job.prepare(FOR_EVER, n as u32);
        match job.under_timer()? {
            value if value == -i64::from(libc::ENOSPC) => return Ok(n),
            value => ensure_ret!(value, -libc::EINTR, "call {n}"),
        }
    }
    Err("no limit of calls".into())
}

/// Six calls of a session, also of two sessions, and again when they have ended.
pub fn calls_of_a_session() -> Outcome {
    for _ in 0..2 {
        let files = [File::with_process(CDSP)?, File::with_process(CDSP)?];
        let modest = File::with_process(CDSP)?;
        let calculator = modest.module("calculator")?;
        let modules = [files[0].module("echo")?, files[1].module("echo")?];
        thread::scope(|scope| -> Outcome {
            let result = (|| {
                for (file, echo) in files.iter().zip(modules) {
                    ensure_eq!(park(scope, file, echo, 10)?, 6, "parked calls");
                    full(file)?;
                }
                ensure_eq!(status("calls")?, 12, "calls");
                for n in 0..10 {
                    ensure_eq!(
                        modest.sum(calculator, &[n, 2]),
                        (0, i64::from(n) + 2),
                        "the modest session"
                    );
                }
                Ok(())
            })();
            // Nothing can be sent for these processes but their release: the DSP's side ends them.
            sim::control(CDSP, "remove")?;
            result
        })?;
        drop((files, modest));
        sim::control(CDSP, "announce")?;
        dsp::wait_node(CDSP, patience(SOON))?;
    }
    File::with_process(CDSP)?.still_works()
}

/// Calls that a signal interrupted count until they are answered.
pub fn calls_given_up_count() -> Outcome {
    for _ in 0..3 {
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        ensure_eq!(give_up(&file, echo)?, 6, "calls that were given up");
        full(&file)?;
        ensure_eq!(status("calls")?, 6, "calls");
        drop(file);
        wait_status("calls", 0)?;
    }
    // What is answered makes room.
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let mut jobs = Vec::new();
    for n in 0..6 {
        let mut job = Job::new(&file, echo, Dialect::Call, Place::Inline, 100)?;
        job.prepare(400, n);
        job.interrupt()?;
        jobs.push(job);
    }
    full(&file)?;
    // Taking up is no new call.
    jobs[5].run()?;
    sim::wait_counter("delayed", patience(SOON), |now| now == 0)?;
    wait_status("calls", 0)?;
    file.still_works()
}

/// A session gets another slot while it has fewer than are free: however many are greedy, the next
/// one gets some, and all come back.
pub fn share() -> Outcome {
    with("max_calls=1000", || {
        for round in 0..2 {
            let number = dt::dsp(CDSP)?.capacity();
            let mut files = Vec::new();
            let mut taken = Vec::new();
            for _ in 0..number - 1 {
                let file = File::with_process(CDSP)?;
                let echo = file.module("echo")?;
                taken.push(give_up(&file, echo)?);
                files.push(file);
            }
            println!("round {round}: greedy sessions have {taken:?}");
            let mut free = SLOTS;
            for &number in &taken {
                let share = free.div_ceil(2);
                ensure_eq!(number, share, "share of {free} free slots");
                free -= number;
            }
            ensure_eq!(status("calls")?, taken.iter().sum(), "calls");
            let modest = File::with_process(CDSP)?;
            let calculator = modest.module("calculator")?;
            for n in 0..10 {
                ensure_eq!(
                    modest.sum(calculator, &[n, 3]),
                    (0, i64::from(n) + 3),
                    "the modest session"
                );
            }
            // When one goes, the others may take what it had.
            drop(files.remove(0));
            wait_status("calls", taken[1..].iter().sum())?;
            let echo = files[0].module("echo")?;
            let more = give_up(&files[0], echo)?;
            println!("{more} more when one has gone");
            ensure!(more > 0, "no slot of the first session came back");
            drop(files);
            wait_status("calls", 0)?;
            modest.still_works()?;
        }
        Ok(())
    })
}

/// Many threads of one session that take every slot as soon as it is free.
pub fn greedy_beside_modest() -> Outcome {
    with("max_calls=1000", || {
        let greedy = File::with_process(CDSP)?;
        let echo = greedy.module("echo")?;
        let modest = File::with_process(CDSP)?;
        let calculator = modest.module("calculator")?;
        let stop = AtomicBool::new(false);
        let (good, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| -> Outcome {
            let mut threads = Vec::new();
            for n in 0..140u32 {
                let (greedy, stop, good, refused) = (&greedy, &stop, &good, &refused);
                threads.push(thread::Builder::new().stack_size(64 << 10).spawn_scoped(
                    scope,
                    move || -> Outcome {
                        let mut job = Job::new(greedy, echo, Dialect::Invoke, Place::Inline, 64)?;
                        let mut round = 0;
                        while !stop.load(Ordering::Relaxed) {
                            round += 1;
                            job.prepare(500, n * 1000 + round);
                            match job.issue() {
                                0 => {
                                    job.check()?;
                                    good.fetch_add(1, Ordering::Relaxed);
                                }
                                value => {
                                    ensure_ret!(value, -libc::ENOSPC, "greedy thread {n}");
                                    refused.fetch_add(1, Ordering::Relaxed);
                                    thread::sleep(Duration::from_millis(20));
                                }
                            }
                        }
                        Ok(())
                    },
                )?);
            }
            let mut most = 0;
            let mut result = Ok(());
            for n in 0..40 {
                let (value, sum) = modest.sum(calculator, &[n, 4]);
                if (value, sum) != (0, i64::from(n) + 4) {
                    result = Err(Fail::Wrong(format!(
                        "call {n} of the modest session: {}, sum {sum}",
                        raw::show(value)
                    )));
                    break;
                }
                most = most.max(status("calls")?);
                thread::sleep(Duration::from_millis(5));
            }
            stop.store(true, Ordering::Relaxed);
            for one in threads {
                let end = one.join().unwrap_or(Err("a thread panicked".into()));
                result = result.and(end);
            }
            result?;
            let (good, refused) = (
                good.load(Ordering::Relaxed),
                refused.load(Ordering::Relaxed),
            );
            println!("greedy: {good} calls, {refused} refused; at most {most} slots in use");
            ensure!(good > 0 && refused > 0, "the greedy session met no limit");
            ensure!(most <= SLOTS / 2 + 1, "{most} slots in use at once");
            Ok(())
        })?;
        wait_status("calls", 0)
    })
}

/// Buffers behind handles that the DSP never drops: so many and no more, and the others go on.
pub fn handles_held() -> Outcome {
    /// Most of one session.
    const MOST: u64 = 16384;
    /// Handles in one call.
    const EACH: u64 = 15;
    let file = File::with_process(CDSP)?;
    let modest = File::with_process(CDSP)?;
    let calculator = modest.module("calculator")?;
    let mem = file.module("mem")?;
    let one = Shared::own(&file, PAGE)?;
    let mut records = [0u8; 64 * (EACH as usize + 1)];
    let mut held = 0;
    let refusal = loop {
        let mut call = NewCall::new(5).output(&mut records);
        for n in 0..EACH {
            call = call.handle(raw::ARG_IN, one.handle, (held + n) as i32, 0, 16);
        }
        match call.on(file.raw(), mem) {
            (0, 0) => held += EACH,
            (0, result) => return Err(format!("args gave {result:#x}").into()),
            (value, _) => break value,
        }
        ensure!(held < MOST + EACH, "{held} buffers are held");
    };
    ensure_ret!(refusal, -libc::ENOSPC, "{held} handles are held");
    // Room is looked for before the handles of a call are counted: the last call may go beyond.
    ensure!(
        held > MOST - EACH && held < MOST + EACH,
        "refused with {held} held"
    );
    ensure_eq!(status("held")?, held, "held");
    ensure_eq!(
        modest.sum(calculator, &[1, 2]),
        (0, 3),
        "the modest session"
    );
    let second = Shared::own(&modest, PAGE)?;
    let other = modest.module("mem")?;
    let mut record = [0u8; 128];
    let call = NewCall::new(5).output(&mut record);
    let call = call.handle(raw::ARG_IN, second.handle, 1, 0, 16);
    ensure_eq!(
        call.on(modest.raw(), other),
        (0, 0),
        "a handle of the modest"
    );
    // Calls without handles are not concerned.
    file.still_works()?;
    let drop_one = [0u32.to_le_bytes(), 1u32.to_le_bytes(), [5, 0, 0, 0], [0; 4]].concat();
    let call = NewCall::new(7).input(&drop_one);
    ensure_eq!(call.on(file.raw(), mem), (0, 0), "drop of one");
    wait_status("held", held)?;
    drop(file);
    wait_status("held", 1)?;
    drop(modest);
    wait_status("held", 0)
}
