// SPDX-License-Identifier: GPL-2.0
//! Loading, unloading, binding, and DSPs that go away and come back.
//!
//! Every case starts and ends with drm, simulator and qda loaded and both DSPs bound to qda.

use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::sync::{
    mpsc,
    Arc, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

use super::{
    ADSP,
    CDSP, //
};
use crate::checks;
use crate::children::Helper;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dt;
use crate::harness::{
    case,
    Fail,
    Outcome,
    Suite, //
};
use crate::kmod::{
    self,
    wait_for, //
};
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret,
    legacy, //
};

pub const SUITE: Suite = Suite {
    name: "modules",
    restore: Some(restore),
    cases: &[
        case("reload_20_times", "T124, T125, T130", reload).limit(240),
        case("unload_refused_while_open", "T125", unload_refused),
        case("unbind_and_rebind", "T121, T124, T125", unbind_and_rebind),
        case(
            "unbind_with_open_files",
            "T120, T136",
            unbind_with_open_files,
        ),
        case(
            "unbind_wakes_waiters",
            "T118, T119, T125",
            unbind_wakes_waiters,
        ),
        case(
            "unbind_beside_parked_call",
            "T126",
            unbind_beside_parked_call,
        ),
        case("unload_after_unbind", "T125, T130", unload_after_unbind),
        case(
            "channel_removed_and_back",
            "T118, T136",
            channel_removed_and_back,
        ),
        case(
            "channel_removed_under_load",
            "T118, T119",
            removed_under_load,
        )
        .limit(180),
        case("opens_during_probe", "T117", opens_during_probe).limit(120),
        case(
            "killed_while_unbinding",
            "T54, T118",
            killed_while_unbinding,
        )
        .limit(120),
        case(
            "bank_leaves_with_dead_file",
            "T83, T124",
            bank_leaves_with_dead_file,
        ),
        case("both_drivers", "T135", both_drivers).limit(120),
        case("simulator_modes", "T188", simulator_modes)
            .reloads_simulator()
            .limit(120),
    ],
};

/// Time within which a node comes or goes, a waiter wakes, an unbind ends.
const SOON: Duration = Duration::from_secs(10);
/// Name of our driver and of the stock one on the rpmsg bus.
const OURS: &str = "qda";
const STOCK: &str = "qcom,fastrpc";

/// Loads, announces and binds whatever is not.
fn restore() -> Outcome {
    let _ = kmod::remove("fastrpc");
    for module in ["qda_sim", "qda"] {
        if !kmod::loaded(module) {
            kmod::must_insert(module, "")?;
        }
    }
    for label in [CDSP, ADSP] {
        if kmod::channel(label).is_err() {
            sim::control(label, "announce")?;
        }
        let channel = kmod::channel(label)?;
        channel.set_override("")?;
        if channel.driver().is_none() {
            channel.bind(OURS)?;
        }
        dsp::wait_node(label, SOON)?;
    }
    Ok(())
}

/// The number of bank devices: everything in an IOMMU group that comes and goes with qda.
fn banks() -> usize {
    dt::dsps().iter().map(|dsp| dsp.banks.len()).sum()
}

/// Both DSPs answer.
fn both_work() -> Outcome {
    for label in [CDSP, ADSP] {
        dsp::wait_node(label, SOON)?;
        File::with_process(label)?.still_works()?;
    }
    Ok(())
}

/// Waits until a DSP has no node.
fn wait_gone(label: &str) -> Outcome {
    wait_for(&format!("end of the node of {label}"), SOON, || {
        dsp::node(label).is_err()
    })
}

/// Binds a channel to qda and waits for the node.
fn bind(label: &str) -> Outcome {
    kmod::channel(label)?.bind(OURS)?;
    dsp::wait_node(label, SOON)?;
    Ok(())
}

/// Takes a channel from qda; fails if that takes long.
fn unbind(label: &str) -> Outcome {
    let begin = Instant::now();
    kmod::channel(label)?.unbind(OURS)?;
    ensure!(
        begin.elapsed() < SOON,
        "unbind of {label} took {:?}",
        begin.elapsed()
    );
    wait_gone(label)
}

/// A parked call in a thread: where its value arrives.
fn park(file: &File, echo: u32) -> Result<mpsc::Receiver<i64>, Fail> {
    let (to, from) = mpsc::channel();
    let parked = sim::counter("parked")?;
    let fd = file.raw();
    thread::spawn(move || to.send(Call::new(4).on(fd, echo)));
    sim::wait_counter("parked", SOON, |now| now > parked)?;
    Ok(from)
}

/// The value of a parked call that must have ended.
fn ended(from: &mpsc::Receiver<i64>) -> Result<i64, Fail> {
    from.recv_timeout(SOON)
        .map_err(|_| "a parked call does not end".into())
}

/// All that an open file of a DSP that is gone can do is fail and close.
fn is_dead(file: &File) -> Outcome {
    ensure_eq!(
        dsp::query(file.raw()),
        Err(-i64::from(libc::ENODEV)),
        "query"
    );
    ensure_ret!(file.create(), -libc::ENODEV, "create");
    ensure_ret!(file.attach(), -libc::ENODEV, "attach");
    ensure_ret!(
        Call::new(2).on(file.raw(), dsp::REMOTECTL),
        -libc::ENODEV,
        "call"
    );
    let mut version = [0u64; 8];
    let code = raw::code(3, b'd', 0, 64);
    let value = raw::ioctl(file.raw(), code, version.as_mut_ptr() as u64);
    ensure_ret!(value, -libc::ENODEV, "version");
    Ok(())
}

fn reload() -> Outcome {
    let with = checks::group_count();
    let drm = kmod::references("drm")?;
    for round in 0..20 {
        both_work()?;
        ensure_eq!(
            kmod::references("qda")?,
            0,
            "references of qda in round {round}"
        );
        kmod::must_remove("qda")?;
        ensure!(!kmod::loaded("qda"), "qda is still loaded in round {round}");
        ensure!(
            dsp::nodes().is_empty(),
            "nodes after rmmod: {:?}",
            dsp::nodes()
        );
        let without = checks::group_count();
        ensure_eq!(
            with - without,
            banks(),
            "groups that went with qda in round {round}"
        );
        ensure!(
            checks::grouped_devices()
                .iter()
                .all(|name| !name.contains("dsp")),
            "devices left in groups: {:?}",
            checks::grouped_devices()
        );
        kmod::must_insert("qda", "")?;
    }
    both_work()?;
    ensure_eq!(kmod::references("drm")?, drm, "references of drm");
    Ok(())
}

fn unload_refused() -> Outcome {
    for created in [false, true] {
        let file = File::open(CDSP)?;
        if created {
            ensure_ret!(file.create(), 0, "create");
        }
        ensure_eq!(
            kmod::remove("qda"),
            Err(libc::EWOULDBLOCK),
            "rmmod with an open file"
        );
        ensure!(
            kmod::references("qda")? > 0,
            "an open file holds no reference"
        );
        if !created {
            ensure_ret!(file.create(), 0, "create after the refused rmmod");
        }
        file.still_works()?;
        drop(file);
        ensure_eq!(kmod::references("qda")?, 0, "references after the close");
    }
    both_work()
}

fn unbind_and_rebind() -> Outcome {
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

fn unbind_with_open_files() -> Outcome {
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

fn unbind_wakes_waiters() -> Outcome {
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
            begin.elapsed() < SOON,
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
fn unbind_beside_parked_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let waiter = park(&file, echo)?;
    let begin = Instant::now();
    unbind(ADSP)?;
    ensure!(
        begin.elapsed() < Duration::from_secs(5),
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

fn unload_after_unbind() -> Outcome {
    let file = File::with_process(CDSP)?;
    unbind(CDSP)?;
    unbind(ADSP)?;
    ensure_eq!(
        kmod::remove("qda"),
        Err(libc::EWOULDBLOCK),
        "rmmod with a dead file open"
    );
    is_dead(&file)?;
    drop(file);
    ensure_eq!(kmod::references("qda")?, 0, "references of qda");
    kmod::must_remove("qda")?;
    kmod::must_insert("qda", "")?;
    both_work()?;
    // Unload right after an unbind and right after a bind.
    for _ in 0..5 {
        kmod::channel(CDSP)?.unbind(OURS)?;
        kmod::must_remove("qda")?;
        kmod::must_insert("qda", "")?;
        kmod::channel(ADSP)?.unbind(OURS)?;
        kmod::channel(ADSP)?.bind(OURS)?;
        kmod::must_remove("qda")?;
        kmod::must_insert("qda", "")?;
    }
    both_work()
}

/// The DSP crashes with calls parked and starts again.
fn channel_removed_and_back() -> Outcome {
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
        ensure!(begin.elapsed() < SOON, "removal took {:?}", begin.elapsed());
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
fn removed_under_load() -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..6u32)
        .map(|n| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || -> Result<u32, Fail> {
                let mut good = 0;
                while !stop.load(Ordering::Relaxed) {
                    good += client_of_a_shaky_dsp(n)?;
                }
                Ok(good)
            })
        })
        .collect();
    let mut result = Ok(());
    for round in 0..30u64 {
        thread::sleep(Duration::from_millis(30 + 11 * (round % 7)));
        result = sim::control(CDSP, "remove").and_then(|()| {
            thread::sleep(Duration::from_millis(round % 5 * 9));
            sim::control(CDSP, "announce")
        });
        if result.is_err() {
            break;
        }
    }
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for one in threads {
        match one.join() {
            Ok(Ok(good)) => calls += good,
            Ok(Err(why)) => result = Err(why),
            Err(_) => result = Err("a thread panicked".into()),
        }
    }
    result?;
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
fn opens_during_probe() -> Outcome {
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
fn killed_while_unbinding() -> Outcome {
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
fn bank_leaves_with_dead_file() -> Outcome {
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

/// Moves a channel from one driver to the other.
fn move_channel(label: &str, from: &str, to: &str) -> Outcome {
    let channel = kmod::channel(label)?;
    ensure_eq!(channel.driver().as_deref(), Some(from), "driver of {label}");
    channel.set_override(to)?;
    channel.unbind(from)?;
    channel.bind(to)?;
    ensure_eq!(
        channel.driver().as_deref(),
        Some(to),
        "driver of {label} after the move"
    );
    Ok(())
}

/// A calculation through the stock driver's node.
fn stock_works(label: &str) -> Outcome {
    let node = format!("/dev/fastrpc-{label}");
    wait_for(&node, SOON, || std::fs::metadata(&node).is_ok())?;
    let file = legacy::with_process(&node)?;
    let handle = file.module("calculator")?;
    ensure_eq!(file.sum(handle, &[30, 12]), (0, 42), "sum through {node}");
    Ok(())
}

/// Both drivers loaded in both orders; each has the channels that the administrator gives it.
fn both_drivers() -> Outcome {
    // qda came first: the stock driver finds nothing to bind.
    kmod::must_insert("fastrpc", "")?;
    for label in [CDSP, ADSP] {
        ensure_eq!(
            kmod::channel(label)?.driver().as_deref(),
            Some(OURS),
            "driver of {label}"
        );
    }
    both_work()?;
    move_channel(ADSP, OURS, STOCK)?;
    stock_works(ADSP)?;
    File::with_process(CDSP)?.still_works()?;
    move_channel(ADSP, STOCK, OURS)?;
    both_work()?;

    // The stock driver first.
    kmod::must_remove("qda")?;
    for label in [CDSP, ADSP] {
        let channel = kmod::channel(label)?;
        channel.set_override("")?;
        channel.bind(STOCK)?;
    }
    kmod::must_insert("qda", "")?;
    for label in [CDSP, ADSP] {
        ensure_eq!(
            kmod::channel(label)?.driver().as_deref(),
            Some(STOCK),
            "driver of {label}"
        );
        stock_works(label)?;
    }
    move_channel(CDSP, STOCK, OURS)?;
    dsp::wait_node(CDSP, SOON)?;
    File::with_process(CDSP)?.still_works()?;
    stock_works(ADSP)?;

    // Without the stock driver its channels are free for ours.
    kmod::must_remove("fastrpc")?;
    for label in [CDSP, ADSP] {
        kmod::channel(label)?.set_override("")?;
    }
    bind(ADSP)?;
    both_work()
}

/// The simulated DSP answers from its own thread or inside send; both with the same results.
fn simulator_modes() -> Outcome {
    for mode in [
        "inline_answers=1",
        "inline_answers=0",
        "inline_answers=1",
        "",
    ] {
        // The channels go with the simulator, under the bound driver. Files must be closed
        // before: an open one keeps a reference to its channel's device, whose release function
        // is the simulator's.
        kmod::must_remove("qda_sim")?;
        wait_gone(CDSP)?;
        wait_gone(ADSP)?;
        kmod::must_insert("qda_sim", mode)?;
        both_work()?;
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        for size in [0, 1, 4097, 100_000] {
            file.echo(echo, &dsp::pattern(size, 3))?;
        }
        ensure_eq!(sim::violations()?, 0, "malformed things with {mode:?}");
    }
    Ok(())
}
