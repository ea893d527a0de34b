// SPDX-License-Identifier: GPL-2.0
//! The DSP goes with a caller in each state in which one can be.

use super::*;

/// Time within which a caller is woken: less than the 10 s after which a call of the kernel gives up
/// by itself.
const WOKEN: Duration = Duration::from_secs(8);

/// Something under way in a thread: its name, and its value when it ends.
struct UnderWay {
    what: &'static str,
    value: mpsc::Receiver<i64>,
}

impl UnderWay {
    fn start(what: &'static str, body: impl FnOnce() -> i64 + Send + 'static) -> Self {
        let (to, value) = mpsc::channel();
        thread::spawn(move || to.send(body()));
        UnderWay { what, value }
    }

    /// It has not ended.
    fn waits(&self) -> Outcome {
        match self.value.try_recv() {
            Err(mpsc::TryRecvError::Empty) => Ok(()),
            Ok(value) => Err(format!("{}: did not wait, {}", self.what, raw::show(value)).into()),
            Err(_) => Err(format!("{}: its thread is gone", self.what).into()),
        }
    }

    /// The value with which it ended, which must be soon.
    fn ended(&self) -> Result<i64, Fail> {
        self.value
            .recv_timeout(patience(WOKEN))
            .map_err(|_| format!("{}: is not woken", self.what).into())
    }
}

/// Unmaps what `map` gave.
fn unmap(file: &File, fd: i32, address: u64) -> i64 {
    let unmap = Unmap {
        request: raw::ATTR,
        fd,
        vaddr: address,
        ..Unmap::default()
    };
    raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64)
}

fn map(file: &File, fd: i32) -> (i64, u64) {
    let mut map = Map {
        request: raw::ATTR,
        flags: 2,
        fd,
        ..Map::default()
    };
    let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
    (value, map.vaddrout)
}

/// One session with calls of all kinds that wait, one each in a map, an unmap, a create or attach,
/// and one that is just closing: the DSP answers none of them, and goes.
pub fn every_state() -> Outcome {
    let ways = [
        (Way::Restart, false),
        (Way::Unbind, false),
        (Way::Restart, true),
        (Way::Unbind, true),
    ];
    for (way, attach) in ways {
        one_of_each(way, attach)
            .map_err(|why| Fail::from(format!("{way:?}, attach {attach}: {why}")))?;
        both_work()?;
        for (name, value) in [
            ("sessions", 0),
            ("quarantined", 0),
            ("seats", 0),
            ("calls", 0),
            ("mappings", 0),
        ] {
            ensure_eq!(status_of(CDSP, name)?, value, "{name} after {way:?}");
        }
    }
    Ok(())
}

fn one_of_each(way: Way, attach: bool) -> Outcome {
    let mut under_way = Vec::new();
    let idle = File::open(CDSP)?;
    let calling = Arc::new(File::with_process(CDSP)?);
    let mapping = Arc::new(File::with_process(CDSP)?);
    let unmapping = Arc::new(File::with_process(CDSP)?);
    let closing = File::with_process(CDSP)?;
    let starting = Arc::new(File::open(CDSP)?);
    let one = Shared::own(&mapping, 2 * PAGE)?;
    let data = one.fill(1);
    let (value, address) = map(&unmapping, one.raw());
    ensure_ret!(value, 0, "map");

    let echo = calling.module("echo")?;
    let waiting = sim::counter("parked")? + sim::counter("delayed")?;
    for (kind, what) in [
        (0, "parked call"),
        (1, "delayed call"),
        (2, "call of the listener"),
    ] {
        let file = Arc::clone(&calling);
        under_way.push(UnderWay::start(what, move || {
            client::waiting_call(kind, &file, echo, 600_000)
        }));
    }
    let (file, fd, at) = (Arc::clone(&calling), one.raw(), one.at(0));
    under_way.push(UnderWay::start("call with buffers", move || {
        Call::new(3)
            .input(&600_000u32.to_le_bytes())
            .reads(at, 100, fd)
            .writes(at + 100, 100, fd)
            .on(file.raw(), echo)
    }));
    let file = Arc::clone(&calling);
    under_way.push(UnderWay::start("call with a time limit", move || {
        NewCall::new(4)
            .until(calls::now_ns() + 600_000_000_000)
            .on(file.raw(), echo)
            .0
    }));
    let number = under_way.len() as u64;
    kmod::wait_for("waiting calls", patience(SOON), || {
        let now = sim::counter("parked").and_then(|n| Ok(n + sim::counter("delayed")?));
        now.is_ok_and(|now| now == waiting + number)
    })?;

    // Calls of the kernel that are not answered.
    let start = if attach { "attach" } else { "create" };
    for method in ["mem_map", "mem_unmap", "release", start] {
        sim::control(CDSP, &format!("ignore {method}"))?;
    }
    let ignored = sim::counter("ignored")?;
    let (file, fd) = (Arc::clone(&mapping), one.raw());
    under_way.push(UnderWay::start("map", move || map(&file, fd).0));
    let (file, fd) = (Arc::clone(&unmapping), one.raw());
    under_way.push(UnderWay::start("unmap", move || unmap(&file, fd, address)));
    let file = Arc::clone(&starting);
    under_way.push(UnderWay::start(start, move || {
        if attach {
            file.attach()
        } else {
            file.create()
        }
    }));
    let close = UnderWay::start("close", move || {
        drop(closing);
        0
    });
    sim::wait_counter("ignored", patience(SOON), |now| now == ignored + 4)?;
    for one in under_way.iter().chain([&close]) {
        one.waits()?;
    }
    ensure_eq!(status_of(CDSP, "sessions")?, 5, "sessions");

    way.leave(CDSP)?;
    for one in &under_way {
        let value = one.ended()?;
        ensure_ret!(value, -libc::EPIPE, "{}", one.what);
    }
    close.ended()?;
    for file in [&idle, &calling, &mapping, &unmapping, &starting] {
        is_dead(file, None)?;
    }
    is_dead(&mapping, Some(&one))?;
    one.holds(0, &data)?;
    sim::control(CDSP, "normal")?;
    way.back(CDSP)?;
    // Old and new side by side.
    let new = File::with_process(CDSP)?;
    new.still_works()?;
    let mem = DspMem::open(&new)?;
    let handle = new.import(&one.fd)?;
    let mut sum = [0; dspmem::SUMMED];
    let (value, result) = mem.new_call(
        &NewCall::new(dspmem::TOUCH)
            .input(&[0; 8])
            .read(handle, 0, data.len() as u64)
            .output(&mut sum),
    );
    ensure_eq!((value, result), (0, 0), "touch of an old buffer");
    ensure_eq!(
        dspmem::Checksum::nth(&sum, 0),
        dspmem::Checksum::of(&data),
        "an old buffer in a new session"
    );
    for file in [&idle, &calling, &mapping, &unmapping, &starting] {
        is_dead(file, None)?;
    }
    Ok(())
}

/// The DSP goes while threads are inside the transport's send: the simulator works there, on
/// ranges that take it a while.
pub fn in_send() -> Outcome {
    const SIZE: usize = 8 << 20;
    sim::control(CDSP, "inline")?;
    for round in 0..cycles_of(8) {
        let way = [Way::Restart, Way::Unbind][round as usize % 2];
        let file = Arc::new(File::with_process(CDSP)?);
        let handle = file.buffer(SIZE)?;
        let module = DspMem::open(&file)?.handle;
        let calls: Vec<_> = (0..3)
            .map(|_| {
                let file = Arc::clone(&file);
                UnderWay::start("call inside send", move || {
                    let mut sum = [0; dspmem::SUMMED];
                    loop {
                        let (value, _) = NewCall::new(dspmem::TOUCH)
                            .input(&[0; 8])
                            .read(handle, 0, SIZE as u64)
                            .output(&mut sum)
                            .on(file.raw(), module);
                        if value != 0 {
                            return value;
                        }
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(20 + 23 * round % 160));
        way.leave(CDSP)?;
        for one in &calls {
            ensure_errno!(
                one.ended()?,
                [libc::EPIPE, libc::ENODEV],
                "{way:?}: {}",
                one.what
            );
        }
        is_dead(&file, None)?;
        way.back(CDSP)?;
        drop(file);
    }
    sim::control(CDSP, "thread")?;
    both_work()?;
    wait_status("mappings", 0)
}
