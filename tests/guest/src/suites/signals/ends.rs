// SPDX-License-Identifier: GPL-2.0
//! Ends of programs, files, processes and DSPs while interrupted calls are under way.

use super::stops::{
    wait_delayed,
    Child, //
};
use super::*;
use std::os::fd::IntoRawFd;

/// Milliseconds of a call that only the end of its process answers.
const FOR_EVER: u32 = 600_000;

/// A file with `number` calls under way that gave EINTR, all different.
fn given_up(file: &File, number: u32) -> Outcome {
    let echo = file.module("echo")?;
    for n in 0..number {
        let dialect = DIALECTS[(n % 2) as usize];
        let place = PLACES[(n / 2 % 2) as usize];
        let mut job = Job::new(file, echo, dialect, place, 1000 + n as usize)?;
        job.prepare(FOR_EVER, n);
        job.interrupt()?;
    }
    Ok(())
}

/// Checks that one process has gone, with exactly one release, and left nothing.
fn one_is_gone(live: u64, releases: u64) -> Outcome {
    sim::wait_counter("live_processes", patience(SOON), |now| now == live)?;
    ensure_eq!(sim::counter("releases")?, releases + 1, "releases");
    settled()?;
    wait_status("sessions", 0)?;
    wait_status("mappings", 0)
}

pub fn exit_with_parked_calls() -> Outcome {
    for waiting in [false, true] {
        let (live, releases) = (sim::counter("live_processes")?, sim::counter("releases")?);
        let child = Child::start(|| {
            let file = File::with_process(CDSP)?;
            given_up(&file, 8)?;
            if waiting {
                // Another thread is in a call when the program ends; its timer never stops.
                let echo = file.module("echo")?;
                Handling::RESTART.install(Timer::Process.signal())?;
                let storm = Storm::start(Timer::Process, Duration::from_millis(1))?;
                let fd = file.raw();
                thread::spawn(move || {
                    let time = FOR_EVER.to_le_bytes();
                    Call::new(3).input(&time).on(fd, echo);
                });
                wait_delayed(9)?;
                std::mem::forget(storm);
            }
            std::mem::forget(file);
            Ok(())
        })?;
        child.success()?;
        one_is_gone(live, releases)?;
    }
    File::with_process(CDSP)?.still_works()
}

pub fn killed_with_parked_calls() -> Outcome {
    let (live, releases) = (sim::counter("live_processes")?, sim::counter("releases")?);
    for round in 0..u64::from(rounds(5)) {
        let child = Child::start(|| {
            let file = File::with_process(CDSP)?;
            given_up(&file, 4)?;
            // Then interrupted all the time until the end.
            Handling::RESTART.install(Timer::Process.signal())?;
            let _storm = Storm::start(Timer::Process, Duration::from_millis(1))?;
            let echo = file.module("echo")?;
            let mut job = Job::inline(&file, echo, 100)?;
            job.prepare(FOR_EVER, 1);
            job.run()
        })?;
        wait_delayed(5)?;
        thread::sleep(Duration::from_millis(round));
        child.kill()?;
        one_is_gone(live, releases + round)?;
    }
    File::with_process(CDSP)?.still_works()
}

/// A thread with a table of files of its own has the last reference and ends without closing.
pub fn closed_by_end_of_thread() -> Outcome {
    let (live, releases) = (sim::counter("live_processes")?, sim::counter("releases")?);
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let fd = file.raw();
    let (to_main, from_thread) = std::sync::mpsc::channel();
    let (to_thread, from_main) = std::sync::mpsc::channel::<()>();
    let own = thread::spawn(move || -> Outcome {
        // SAFETY: Takes a number; this thread gets copies of all descriptors.
        ensure_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0, "unshare");
        Handling::REPEAT.install(Timer::Thread.signal())?;
        let storm = Storm::start(Timer::Thread, TICK)?;
        let time = FOR_EVER.to_le_bytes();
        let value = Call::new(3).input(&time).on(fd, echo);
        drop(storm);
        ensure_ret!(value, -libc::EINTR, "interrupted call");
        let _ = to_main.send(());
        let _ = from_main.recv();
        Ok(())
    });
    from_thread
        .recv_timeout(patience(SOON))
        .map_err(|_| "the thread is not interrupted")?;
    drop(file);
    thread::sleep(Duration::from_millis(20));
    ensure_eq!(
        sim::counter("releases")?,
        releases,
        "releases before the end"
    );
    drop(to_thread);
    join(vec![own])?;
    one_is_gone(live, releases)
}

/// The file is closed while calls that gave EINTR are being answered.
pub fn closed_while_answered() -> Outcome {
    let (live, releases) = (sim::counter("live_processes")?, sim::counter("releases")?);
    for round in 0..u64::from(rounds(10)) {
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        let fd = file.raw();
        for n in 0..6u32 {
            let place = PLACES[(n % 2) as usize];
            let mut job = Job::new(&file, echo, Dialect::Call, place, 20_000)?;
            job.prepare(60, n);
            job.interrupt()?;
        }
        thread::sleep(Duration::from_millis(7 * round));
        let fd_again = file.fd.into_raw_fd();
        ensure_eq!(fd, fd_again, "descriptor");
        // SAFETY: The descriptor was taken out of its owner above.
        ensure_eq!(unsafe { libc::close(fd) }, 0, "close");
        one_is_gone(live, releases + round)?;
    }
    Ok(())
}

/// The process on the DSP says exit while interrupted calls are under way: taken up, they give its
/// result, and so does a late start of the listener.
pub fn exit_on_the_dsp() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    Handling::REPEAT.install(Timer::Thread.signal())?;
    for (dialect, place) in [
        (Dialect::Invoke, Place::Inline),
        (Dialect::Call, Place::Buffer),
    ] {
        let session = File::with_process(CDSP)?;
        let module = session.module("echo")?;
        let mut first = Job::new(&session, module, dialect, place, 700)?;
        first.prepare(FOR_EVER, 1);
        first.interrupt()?;
        let going = raw::as_returned(dsp::GOING_AWAY);
        ensure_ret!(
            Call::new(2).on(session.raw(), dsp::CURRENT_PROCESS),
            0,
            "exit"
        );
        ensure_ret!(first.settle(), going, "taken up after exit");
        let storm = Storm::start(Timer::Thread, Duration::from_millis(1))?;
        for handle in [module, 3, 7] {
            let value = loop {
                match Call::new(3).on(session.raw(), handle) {
                    value if value == -i64::from(libc::EINTR) => {}
                    value => break value,
                }
            };
            ensure_ret!(value, going, "call of {handle} after exit");
        }
        drop(storm);
        wait_status("calls", 0)?;
    }
    file.echo(echo, &dsp::pattern(100, 1))?;
    file.still_works()
}

/// The DSP restarts while a call is interrupted, and while one waits under a storm of signals.
pub fn dsp_restarts() -> Outcome {
    for (dialect, place) in DIALECTS.into_iter().flat_map(|d| PLACES.map(|p| (d, p))) {
        let what = format!("{dialect:?}, {place:?}");
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        let mut parked = Job::new(&file, echo, dialect, place, 800)?;
        parked.prepare(FOR_EVER, 1);
        parked.interrupt()?;
        Handling::RESTART.install(Timer::Process.signal())?;
        let mut waiting = Job::new(&file, echo, dialect, place, 900)?;
        waiting.prepare(FOR_EVER, 2);
        thread::scope(|scope| -> Outcome {
            let storm = Storm::start(Timer::Process, Duration::from_millis(2))?;
            let waiter = scope.spawn(|| waiting.issue());
            wait_delayed(2)?;
            sim::control(CDSP, "remove")?;
            let value = waiter.join().map_err(|_| "a thread panicked")?;
            drop(storm);
            ensure_errno!(value, [libc::EPIPE, libc::ENODEV], "waiting call: {what}");
            Ok(())
        })?;
        let value = parked.issue();
        ensure_errno!(value, [libc::EPIPE, libc::ENODEV], "taken up: {what}");
        ensure_ret!(parked.issue(), -libc::ENODEV, "the same once more: {what}");
        parked.untouched()?;
        sim::control(CDSP, "announce")?;
        dsp::wait_node(CDSP, patience(SOON))?;
        ensure_ret!(parked.issue(), -libc::ENODEV, "with the new node: {what}");
        File::with_process(CDSP)?.still_works()?;
    }
    Ok(())
}
