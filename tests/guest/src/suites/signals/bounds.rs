// SPDX-License-Identifier: GPL-2.0
//! Calls that nobody takes up, in numbers: nothing runs out.

use super::*;

/// Available memory of the guest in bytes.
fn available() -> Result<u64, Fail> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib << 10)
        .ok_or_else(|| "no MemAvailable".into())
}

/// A thousand calls in a row, each of which gives EINTR, is answered later and never taken up.
pub fn thousand_given_up() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    Handling::REPEAT.install(Timer::Thread.signal())?;
    let memory = available()?;
    let number = rounds(1000);
    executes(|| {
        let (mut given_up, mut refused) = (0, 0);
        let mut jobs = Vec::new();
        for (dialect, place) in DIALECTS.into_iter().flat_map(|d| PLACES.map(|p| (d, p))) {
            jobs.push(Job::new(&file, echo, dialect, place, 64 << 10)?);
        }
        let mut most = 0;
        let storm = Storm::start(Timer::Thread, Duration::from_millis(2))?;
        for round in 0..number {
            let kinds = jobs.len();
            let job = &mut jobs[round as usize % kinds];
            // A time of its own: with buffers, all else is as in a call that was given up.
            job.prepare(10 + round / kinds as u32, round);
            let deadline = Instant::now() + patience(SOON);
            let value = loop {
                match job.issue() {
                    // Faster than the DSP by the share of a session: there is room when it has
                    // answered, and not later.
                    value if value == -i64::from(libc::ENOSPC) => {
                        ensure!(Instant::now() < deadline, "call {round} finds no room");
                        refused += 1;
                        thread::sleep(Duration::from_millis(5));
                    }
                    value => break value,
                }
            };
            match value {
                0 => job.check()?,
                value => {
                    ensure_ret!(value, -libc::EINTR, "call {round}");
                    given_up += 1;
                }
            }
            if round % 50 == 0 {
                most = most.max(status("calls")?);
            }
        }
        drop(storm);
        println!(
            "{given_up} of {number} were given up, {refused} refused at first, at most {most} seen \
             at once"
        );
        ensure!(given_up > number / 2, "only {given_up} were interrupted");
        // The file is as good as new, before all is settled too.
        file.still_works()?;
        Ok(number + 1)
    })?;
    let lost = memory.saturating_sub(available()?);
    ensure!(
        lost < 24 << 20,
        "{} KiB less memory after {number} calls of 128 KiB",
        lost >> 10
    );
    Ok(())
}

/// Milliseconds of a call that only the end of its process answers.
const FOR_EVER: u32 = 600_000;
/// Slots of a DSP that clients may use.
const SLOTS: u32 = 240;

/// Gives up calls that are not answered until there is no slot for another: their number.
fn greedy(file: &File) -> Result<u32, Fail> {
    let echo = file.module("echo")?;
    Handling::REPEAT.install(Timer::Thread.signal())?;
    let mut job = Job::inline(file, echo, 300)?;
    let storm = Storm::start(Timer::Thread, Duration::from_millis(2))?;
    for n in 0..=SLOTS {
        job.prepare(FOR_EVER, n);
        let value = job.issue();
        if value == -i64::from(libc::ENOSPC) {
            drop(storm);
            return Ok(n);
        }
        ensure_ret!(value, -libc::EINTR, "call {n}");
    }
    Err(format!("{SLOTS} calls without answer and no refusal").into())
}

/// Calls that are never answered: the session gets no further than its share, the others work, and
/// all slots come back with the end of its process.
pub fn never_answered() -> Outcome {
    let modest = File::with_process(CDSP)?;
    let calculator = modest.module("calculator")?;
    let mut before = None;
    for _ in 0..rounds(3) {
        let file = File::with_process(CDSP)?;
        let taken = greedy(&file)?;
        println!("{taken} calls without answer");
        ensure!((100..=SLOTS / 2).contains(&taken), "{taken} calls");
        ensure_eq!(status("calls")?, u64::from(taken), "calls under way");
        ensure_eq!(*before.get_or_insert(taken), taken, "calls this time");
        for n in 0..20 {
            ensure_eq!(
                modest.sum(calculator, &[n, 5]),
                (0, i64::from(n) + 5),
                "the other session"
            );
        }
        // Nothing changes by trying again, and other calls of the session have no slot either.
        let value = Call::new(2).on(file.raw(), dsp::CURRENT_PROCESS);
        ensure_ret!(value, -libc::ENOSPC, "exit of the greedy session");
        let begin = Instant::now();
        drop(file);
        wait_status("calls", 0)?;
        ensure!(
            begin.elapsed() < patience(SOON),
            "close took {:?}",
            begin.elapsed()
        );
        sim::wait_counter("delayed", patience(SOON), |now| now == 0)?;
    }
    modest.still_works()
}
