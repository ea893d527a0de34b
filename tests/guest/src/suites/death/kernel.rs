// SPDX-License-Identifier: GPL-2.0
//! Calls that the kernel makes for a client, and a DSP that does not answer them: all waits are
//! bounded, and what the DSP may still use stays until it is gone.

use super::*;

/// Time within which a call of the kernel gives up (it waits 10 s).
const GIVEN_UP: Duration = Duration::from_secs(25);

/// Maps a buffer by number: value and address.
pub fn tagged(file: &File, fd: i32) -> Result<u64, i64> {
    let mut map = Map {
        request: raw::ATTR,
        flags: 2,
        fd,
        ..Map::default()
    };
    match raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64) {
        0 => Ok(map.vaddrout),
        value => Err(value),
    }
}

/// Undoes that.
pub fn untagged(file: &File, fd: i32, vaddr: u64) -> Result<u64, i64> {
    let unmap = Unmap {
        request: raw::ATTR,
        fd,
        vaddr,
        ..Unmap::default()
    };
    match raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64) {
        0 => Ok(0),
        value => Err(value),
    }
}

/// Gives the process heap.
pub fn heap(file: &File, size: u64) -> Result<u64, i64> {
    let mut map = Map {
        request: raw::LEGACY,
        flags: 0x1000,
        fd: -1,
        size,
        ..Map::default()
    };
    match raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64) {
        0 => Ok(map.vaddrout),
        value => Err(value),
    }
}

/// Takes it away.
pub fn unheap(file: &File, vaddrout: u64) -> Result<u64, i64> {
    let unmap = Unmap {
        request: raw::LEGACY,
        vaddrout,
        ..Unmap::default()
    };
    match raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64) {
        0 => Ok(0),
        value => Err(value),
    }
}

/// The DSP ignores one request of each kind from now on.
fn ignore(methods: &[&str]) -> Outcome {
    for method in methods {
        sim::control(CDSP, &format!("ignore {method}"))?;
    }
    Ok(())
}

/// Restarts CDSP; the number of processes in quarantine that ends with it.
fn restart() -> Result<u64, Fail> {
    let quarantined = status_of(CDSP, "quarantined")?;
    sim::control(CDSP, "normal")?;
    sim::control(CDSP, "remove")?;
    kmod::wait_for("the end of the node", patience(GONE), || {
        dsp::node(CDSP).is_err()
    })?;
    sim::control(CDSP, "announce")?;
    dsp::wait_node(CDSP, patience(GONE))?;
    Ok(quarantined)
}

/// All sessions are to be had, and work.
fn all_seats_work() -> Outcome {
    let mut sessions = Vec::new();
    for n in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::open(CDSP)?;
        ensure_ret!(file.create(), 0, "session {n}");
        file.still_works()?;
        sessions.push(file);
    }
    Ok(())
}

/// Every request of the kernel goes without an answer, all at once, while another client works.
pub fn never_answered() -> Outcome {
    let bystander = File::with_process(CDSP)?;
    let mapping = Arc::new(File::with_process(CDSP)?);
    let closing = File::with_process(CDSP)?;
    let creating = Arc::new(File::open(CDSP)?);
    let attaching = Arc::new(File::open(CDSP)?);
    let one = Shared::own(&mapping, 2 * PAGE)?;
    let fd = one.raw();
    let address = buffer::good(tagged(&mapping, fd), "map")?;
    let piece = buffer::good(heap(&mapping, PAGE as u64), "heap")?;

    ignore(&[
        "create",
        "attach",
        "mmap",
        "munmap",
        "mem_map",
        "mem_unmap",
        "release",
    ])?;
    let ignored = sim::counter("ignored")?;
    let begin = Instant::now();
    let start =
        |what: &'static str, body: Box<dyn FnOnce() -> i64 + Send>| (what, thread::spawn(body));
    let value = |result: Result<u64, i64>| result.err().unwrap_or(0);
    let file = || Arc::clone(&mapping);
    let (a, b, c, d) = (file(), file(), file(), file());
    let (create, attach) = (Arc::clone(&creating), Arc::clone(&attaching));
    let calls = [
        start("create", Box::new(move || create.create())),
        start("attach", Box::new(move || attach.attach())),
        start("map", Box::new(move || value(tagged(&a, fd)))),
        start("unmap", Box::new(move || value(untagged(&b, fd, address)))),
        start("heap", Box::new(move || value(heap(&c, PAGE as u64)))),
        start("unmap of heap", Box::new(move || value(unheap(&d, piece)))),
    ];
    let close = thread::spawn(move || drop(closing));
    sim::wait_counter("ignored", patience(GONE), |now| now == ignored + 7)?;

    // Nobody else is held up, not even on the same file.
    let echo = bystander.module("echo")?;
    for round in 0..20 {
        bystander.echo(echo, &dsp::pattern(3000, round))?;
        mapping.still_works()?;
        let other = File::with_process(ADSP)?;
        other.still_works()?;
    }
    let beside = begin.elapsed();
    ensure!(
        close.is_finished() == calls[0].1.is_finished() || beside > Duration::from_secs(9),
        "a wait ended after {beside:?}"
    );
    for (what, one) in calls {
        let value = one.join().map_err(|_| "a thread panicked")?;
        ensure_ret!(value, -libc::ETIMEDOUT, "{what} that is not answered");
    }
    close.join().map_err(|_| "a thread panicked")?;
    ensure!(
        begin.elapsed() < patience(GIVEN_UP),
        "the waits took {:?}",
        begin.elapsed()
    );

    // What the DSP may have heard of stays: three processes, and the buffers of the fourth.
    ensure_eq!(status_of(CDSP, "quarantined")?, 3, "quarantined");
    ensure_eq!(status_of(CDSP, "sessions")?, 5, "sessions");
    ensure!(status_of(CDSP, "remote_maps")? >= 4, "maps in limbo");
    sim::control(CDSP, "check")?;
    // No seat is left, and the files of those that failed can try again later.
    ensure_ret!(creating.create(), -libc::EBUSY, "create again");
    mapping.still_works()?;
    bystander.still_works()?;
    // Files of that kind close at once: there is nothing left to ask.
    let begin = Instant::now();
    drop((creating, attaching));
    drop((mapping, bystander));
    ensure!(
        begin.elapsed() < patience(Duration::from_secs(5)),
        "closing took {:?}",
        begin.elapsed()
    );
    ensure_eq!(status_of(CDSP, "quarantined")?, 3, "quarantined after all");
    ensure_eq!(status_of(CDSP, "sessions")?, 3, "sessions after all");
    ensure_eq!(restart()?, 3, "quarantined until the restart");
    ensure_eq!(status_of(CDSP, "quarantined")?, 0, "after the restart");
    all_seats_work()
}

/// Clients are killed inside requests of the kernel that are never answered. They end, bounded;
/// what they were about stays in quarantine; and the module can be unloaded all the same.
pub fn killed_unanswered() -> Outcome {
    // The release first: the others send theirs when their wait is over.
    let board = Board::new(1)?;
    let mut closing = Member::fork(|| {
        let _file = File::with_process(CDSP)?;
        board.add(0, 1);
        thread::sleep(Duration::from_secs(1000));
        Ok(())
    })?;
    let mut mapping = Member::fork(|| {
        let file = File::with_process(CDSP)?;
        board.add(0, 1);
        while board.get(0) < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        let value = heap(&file, PAGE as u64);
        Err(format!("heap came back: {value:?}").into())
    })?;
    kmod::wait_for("two clients", patience(GONE), || board.get(0) == 2)?;
    ignore(&["create", "attach", "mmap", "release"])?;
    let ignored = sim::counter("ignored")?;
    let begin = Instant::now();
    closing.kill();
    sim::wait_counter("ignored", patience(GONE), |now| now == ignored + 1)?;
    board.add(0, 1);
    let mut creating = Member::fork(|| {
        let value = File::open(CDSP)?.create();
        Err(format!("create came back: {}", raw::show(value)).into())
    })?;
    let mut attaching = Member::fork(|| {
        let value = File::open(CDSP)?.attach();
        Err(format!("attach came back: {}", raw::show(value)).into())
    })?;
    sim::wait_counter("ignored", patience(GONE), |now| now == ignored + 4)?;
    for member in [&mut mapping, &mut creating, &mut attaching] {
        member.kill();
    }
    for (what, member) in [
        ("close", &mut closing),
        ("heap", &mut mapping),
        ("create", &mut creating),
        ("attach", &mut attaching),
    ] {
        ensure_eq!(
            member.wait(GIVEN_UP)?,
            End::Signal(libc::SIGKILL),
            "end of the client that was killed in {what}"
        );
    }
    ensure!(
        begin.elapsed() < patience(GIVEN_UP),
        "the ends took {:?}",
        begin.elapsed()
    );
    // The process that was given heap has been released, which the DSP answered.
    ensure_eq!(status_of(CDSP, "quarantined")?, 3, "quarantined");
    ensure_eq!(status_of(CDSP, "sessions")?, 3, "sessions");
    sim::control(CDSP, "check")?;
    sim::control(CDSP, "normal")?;
    let begin = Instant::now();
    kmod::must_remove("qda")?;
    ensure!(
        begin.elapsed() < patience(GONE),
        "rmmod took {:?}",
        begin.elapsed()
    );
    // A new instance of the driver on a DSP that still has the processes of the old one: that is
    // as the simulator wants it, which forgets them with the channel's endpoint.
    kmod::must_insert("qda", "")?;
    dsp::wait_node(CDSP, patience(GONE))?;
    dsp::wait_node(ADSP, patience(GONE))?;
    all_seats_work()
}

/// A client is killed while its process is given heap. Another one has the same file: the process
/// lives on and uses that heap, which must be its own.
pub fn killed_while_heap_grows() -> Outcome {
    const PIECE: usize = 24 * PAGE;
    for round in 0..4u64 {
        let file = File::with_process(CDSP)?;
        let mem = DspMem::open(&file)?;
        let maps = sim::counter("maps")?;
        sim::control(CDSP, "delay mmap 150")?;
        let delayed = sim::counter("delayed")?;
        let mut member = Member::fork(|| {
            let value = heap(&file, PIECE as u64);
            Err(format!("heap came back: {value:?}").into())
        })?;
        sim::wait_counter("delayed", patience(GONE), |now| now > delayed)?;
        member.kill();
        ensure_eq!(
            member.wait(GONE)?,
            End::Signal(libc::SIGKILL),
            "end of the client, round {round}"
        );
        sim::wait_counter("maps", patience(GONE), |now| now == maps + 1)?;
        ensure_eq!(
            status_of(CDSP, "heap_bytes")?,
            PIECE as u64,
            "heap of the process, round {round}"
        );
        // Whatever was freed is somebody else's by now.
        let other = Shared::own(&file, 4 * PIECE)?;
        let data = other.fill(round as u32);
        for seed in 0..10 {
            ensure_eq!(
                mem.use_heap(seed)?,
                (1, PIECE as u64),
                "heap that the DSP used, round {round}"
            );
        }
        other.holds(0, &data)?;
        sim::control(CDSP, "check")?;
    }
    File::with_process(CDSP)?.still_works()
}

/// Clients are killed, and DSPs go, while answers to hundreds of their calls pour in.
pub fn killed_in_flood() -> Outcome {
    const THREADS: u64 = 40;
    for round in 0..8u64 {
        let board = Board::new(1)?;
        let mut members = Vec::new();
        for n in 0..2u64 {
            members.push(Member::fork(|| {
                let file = Arc::new(File::with_process(CDSP)?);
                let echo = file.module("echo")?;
                let threads: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let file = Arc::clone(&file);
                        let time = 5 + (thread * 7 + n) as u32 % 30;
                        thread::spawn(move || {
                            let data = dsp::pattern(500, time);
                            board.add(0, 1);
                            loop {
                                let mut back = [0; 500];
                                let value = Call::new(DELAY)
                                    .input(&time.to_le_bytes())
                                    .input(&data)
                                    .output(&mut back)
                                    .on(file.raw(), echo);
                                if value != 0 || back != data[..] {
                                    return value;
                                }
                            }
                        })
                    })
                    .collect();
                for one in threads {
                    let value = one.join().map_err(|_| "a thread panicked")?;
                    ensure_errno!(value, [libc::EPIPE, libc::ENODEV], "call in a flood");
                }
                Ok(())
            })?);
        }
        kmod::wait_for("threads", patience(GONE), || board.get(0) == 2 * THREADS)?;
        thread::sleep(Duration::from_millis(20 + 13 * round));
        if round % 4 == 3 {
            restart()?;
        } else {
            for member in &members {
                member.kill();
            }
        }
        for member in &mut members {
            let end = member.wait(GONE)?;
            let expected = if round % 4 == 3 {
                End::Status(0)
            } else {
                End::Signal(libc::SIGKILL)
            };
            ensure_eq!(end, expected, "end of a client in round {round}");
        }
        for name in ["sessions", "calls", "quarantined"] {
            kmod::wait_for(name, patience(GONE), || {
                status_of(CDSP, name).is_ok_and(|now| now == 0)
            })?;
        }
    }
    all_seats_work()
}
