// SPDX-License-Identifier: GPL-2.0
//! The DSP goes away, by unbind or because its channel is removed, with whatever is under way.

use super::*;
use crate::shaky;

pub fn unbind_and_rebind() -> Outcome {
    let all = checks::group_count();
    for label in [CDSP, ADSP, CDSP, CDSP] {
        let banks = dt::dsp(label)?.banks.len();
        unbind(label)?;
        ensure_eq!(
            all - checks::group_count(),
            banks,
            "groups that went with {label}"
        );
        // The other one does not notice.
        let other = if label == CDSP { ADSP } else { CDSP };
        File::with_process(other)?.still_works()?;
        bind(label)?;
        ensure_eq!(
            checks::group_count(),
            all,
            "groups after binding {label} again"
        );
        both_work()?;
    }
    Ok(())
}

pub fn unbind_with_open_files() -> Outcome {
    let fresh = File::open(CDSP)?;
    let live = File::with_process(CDSP)?;
    let second = File::with_process(CDSP)?;
    let echo = live.module("echo")?;
    live.echo(echo, &dsp::pattern(100_000, 1))?;
    unbind(CDSP)?;
    for file in [&fresh, &live, &second] {
        is_dead(file)?;
    }
    drop(second);
    bind(CDSP)?;
    // Old files stay dead beside the new node, which works.
    let new = File::with_process(CDSP)?;
    new.still_works()?;
    for file in [&fresh, &live] {
        is_dead(file)?;
    }
    drop(live);
    new.still_works()?;
    drop(new);
    is_dead(&fresh)?;
    drop(fresh);
    both_work()
}

pub fn unbind_wakes_waiters() -> Outcome {
    for round in 0..5 {
        let files = [File::with_process(CDSP)?, File::with_process(CDSP)?];
        let mut waiters = Vec::new();
        for file in &files {
            let echo = file.module("echo")?;
            for _ in 0..1 + 3 * round {
                waiters.push(park(file, echo)?);
            }
        }
        let begin = Instant::now();
        unbind(CDSP)?;
        for waiter in &waiters {
            // The DSP lives and answers what is parked when its process is released, but what
            // counts is that the driver goes.
            ensure_ret!(ended(waiter)?, -libc::EPIPE, "parked call in round {round}");
        }
        ensure!(
            begin.elapsed() < patience(SOON),
            "all that took {:?}",
            begin.elapsed()
        );
        for file in &files {
            is_dead(file)?;
        }
        drop(files);
        bind(CDSP)?;
        both_work()?;
    }
    Ok(())
}

/// A parked call on one DSP must not hold up the removal of another DRM device.
pub fn unbind_beside_parked_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let waiter = park(&file, echo)?;
    let begin = Instant::now();
    unbind(ADSP)?;
    ensure!(
        begin.elapsed() < patience(Duration::from_secs(5)),
        "unbind took {:?}",
        begin.elapsed()
    );
    bind(ADSP)?;
    file.still_works()?;
    ensure!(
        waiter.recv_timeout(Duration::from_millis(100)).is_err(),
        "the parked call was woken by the other DSP's end"
    );
    ensure_ret!(Call::new(2).on(file.raw(), dsp::CURRENT_PROCESS), 0, "exit");
    ensure_ret!(
        ended(&waiter)?,
        raw::as_returned(dsp::GOING_AWAY),
        "parked call"
    );
    Ok(())
}

/// The DSP crashes with calls parked and starts again.
pub fn channel_removed_and_back() -> Outcome {
    for round in 0..5 {
        let old = File::with_process(CDSP)?;
        let echo = old.module("echo")?;
        let waiters = [park(&old, echo)?, park(&old, echo)?];
        let begin = Instant::now();
        sim::control(CDSP, "remove")?;
        for waiter in &waiters {
            ensure_ret!(ended(waiter)?, -libc::EPIPE, "parked call in round {round}");
        }
        wait_gone(CDSP)?;
        ensure!(
            begin.elapsed() < patience(SOON),
            "removal took {:?}",
            begin.elapsed()
        );
        is_dead(&old)?;
        File::with_process(ADSP)?.still_works()?;
        sim::control(CDSP, "announce")?;
        dsp::wait_node(CDSP, SOON)?;
        let new = File::with_process(CDSP)?;
        new.still_works()?;
        is_dead(&old)?;
        drop(old);
        new.still_works()?;
    }
    Ok(())
}

/// Clients that open, create and call without end while the DSP comes and goes.
pub fn removed_under_load() -> Outcome {
    let calls = shaky::clients_of(CDSP, 30, 30, client_of_a_shaky_dsp)?;
    println!("{calls} calls succeeded meanwhile");
    ensure!(calls > 0, "no call ever succeeded");
    dsp::wait_node(CDSP, SOON)?;
    both_work()
}

/// Opens the DSP if it is there and calls until it is gone; the number of good calls.
fn client_of_a_shaky_dsp(seed: u32) -> Result<u32, Fail> {
    let Ok(file) = File::open(CDSP) else {
        thread::sleep(Duration::from_millis(1));
        return Ok(0);
    };
    let value = file.create();
    if value != 0 {
        ensure_errno!(
            value,
            [libc::ENODEV, libc::EPIPE, libc::EBUSY, libc::ECONNRESET],
            "create on a DSP that comes and goes"
        );
        return Ok(0);
    }
    let Ok(echo) = file.module("echo") else {
        return Ok(0);
    };
    let mut good = 0;
    for round in 0..20 {
        let data = dsp::pattern(2000, seed * 100 + round);
        let mut back = vec![0; 2000];
        match Call::new(2)
            .input(&data)
            .output(&mut back)
            .on(file.raw(), echo)
        {
            0 => {
                dsp::same(&data, &back)?;
                good += 1;
            }
            value => {
                // The transport may refuse to send before the driver knows that it is gone.
                ensure_errno!(
                    value,
                    [libc::ENODEV, libc::EPIPE, libc::ECONNRESET],
                    "call on such a DSP"
                );
                break;
            }
        }
    }
    Ok(good)
}

/// Whoever opens a node finds it complete.
pub fn opens_during_probe() -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let opener = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || -> Result<u32, Fail> {
            let mut opened = 0;
            while !stop.load(Ordering::Relaxed) {
                for n in 0..3 {
                    let path = format!("/dev/accel/accel{n}");
                    let Ok(fd) = dsp::open_path(path.as_ref()) else {
                        continue;
                    };
                    let file = File::of(fd);
                    let value = file.create();
                    ensure_errno!(value, [0, libc::ENODEV, libc::EPIPE], "create on {path}");
                    if value == 0 {
                        opened += 1;
                    }
                }
            }
            Ok(opened)
        })
    };
    let mut result = Ok(());
    for _ in 0..10 {
        result = kmod::channel(CDSP)
            .and_then(|channel| channel.unbind(OURS))
            .and_then(|()| kmod::channel(CDSP)?.bind(OURS));
        if result.is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    let opened = opener
        .join()
        .unwrap_or_else(|_| Err("the opener panicked".into()));
    result?;
    ensure!(opened? > 0, "no open ever succeeded");
    both_work()
}

/// Clients are killed in calls while the DSP is taken away.
pub fn killed_while_unbinding() -> Outcome {
    for round in 0..8u64 {
        let mut parked = Helper::start("park", &[CDSP])?;
        let mut busy = Helper::start("delay", &[CDSP, "2"])?;
        parked.expect("ready")?;
        busy.expect("ready")?;
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(round * 2));
            let _ = parked.kill();
            let _ = busy.kill();
            (parked.wait(SOON).is_ok(), busy.wait(SOON).is_ok())
        });
        unbind(CDSP)?;
        let gone = killer.join().map_err(|_| "the killer panicked")?;
        ensure_eq!(gone, (true, true), "killed clients ended in round {round}");
        bind(CDSP)?;
    }
    both_work()
}

/// A file that outlives its DSP keeps no bank, no group and no mapping.
pub fn bank_leaves_with_dead_file() -> Outcome {
    let all = checks::group_count();
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    file.echo(echo, &dsp::pattern(1 << 20, 1))?;
    unbind(CDSP)?;
    let banks = dt::dsp(CDSP)?.banks.len();
    ensure_eq!(
        all - checks::group_count(),
        banks,
        "groups that went although a file is open"
    );
    drop(file);
    bind(CDSP)?;
    // All sessions are to be had, also the one that the dead file had.
    let mut sessions = Vec::new();
    for n in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::open(CDSP)?;
        ensure_ret!(file.create(), 0, "session {n}");
        sessions.push(file);
    }
    Ok(())
}
