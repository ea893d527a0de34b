// SPDX-License-Identifier: GPL-2.0
//! The DSP goes away while it uses buffers.

use super::*;

/// Time within which a node comes or goes.
const SOON: Duration = Duration::from_secs(10);

/// The channel goes and comes back.
fn remove() -> Outcome {
    sim::control(CDSP, "remove")?;
    kmod::wait_for("the node goes", SOON, || dsp::node(CDSP).is_err())
}

fn announce() -> Outcome {
    sim::control(CDSP, "announce")?;
    dsp::wait_node(CDSP, SOON)?;
    Ok(())
}

fn unbind() -> Outcome {
    kmod::channel(CDSP)?.unbind("qda")?;
    kmod::wait_for("the node goes", SOON, || dsp::node(CDSP).is_err())
}

fn bind() -> Outcome {
    kmod::channel(CDSP)?.bind("qda")?;
    dsp::wait_node(CDSP, SOON)?;
    Ok(())
}

/// Everything a client can have at once: calls under way on buffers of several makers, maps, heap,
/// held buffers, areas and exports.
struct Client {
    file: Arc<File>,
    buffers: Vec<(Shared, Vec<u8>)>,
    waiting: Vec<mpsc::Receiver<i64>>,
}

impl Client {
    fn new() -> Result<Self, Fail> {
        let file = Arc::new(File::with_process(CDSP)?);
        let echo = file.module("echo")?;
        let mut buffers = Vec::new();
        for (n, maker) in (0..).zip([Maker::Own, Maker::Udmabuf, Maker::Scattered, Maker::Own]) {
            let one = Shared::new(maker, &file, 6 * PAGE)?;
            let data = one.fill(n);
            buffers.push((one, data));
        }
        let mut waiting = Vec::new();
        {
            let mem = DspMem::open(&file)?;
            for (one, _) in &buffers {
                mem.args(2, |call| call.in_handle(0, 10, one.raw()))
                    .map_err(|value| format!("args: {}", raw::show(value)))?;
                let mut map = Map {
                    request: raw::ATTR,
                    flags: 2,
                    fd: one.raw(),
                    ..Map::default()
                };
                let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
                ensure_ret!(value, 0, "map");
            }
            let mut heap = Map {
                request: raw::LEGACY,
                flags: 0x1000,
                fd: -1,
                size: 1 << 20,
                ..Map::default()
            };
            let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut heap as u64);
            ensure_ret!(value, 0, "heap");
        }
        let delayed = sim::counter("delayed")?;
        for (one, _) in &buffers {
            let (result, receiver) = mpsc::channel();
            let file = Arc::clone(&file);
            let (at, fd) = (one.at(0), one.raw());
            std::thread::spawn(move || {
                let milliseconds = 60_000u32.to_le_bytes();
                let value = Call::new(3)
                    .input(&milliseconds)
                    .reads(at, 8192, fd)
                    .writes(at + 8192, 8192, fd)
                    .on(file.raw(), echo);
                let _ = result.send(value);
            });
            waiting.push(receiver);
        }
        let number = waiting.len() as u64;
        sim::wait_counter("delayed", SOON, |now| now >= delayed + number)?;
        Ok(Client {
            file,
            buffers,
            waiting,
        })
    }

    /// The DSP is gone: calls have ended, buffers are what they were, nothing reaches the DSP.
    fn after(&self, what: &str) -> Outcome {
        for (n, one) in self.waiting.iter().enumerate() {
            let value = one
                .recv_timeout(patience(SOON))
                .map_err(|_| format!("{what}: call {n} does not end"))?;
            ensure_errno!(value, [libc::EPIPE, libc::ENODEV], "{what}: call {n}");
        }
        for (n, (one, data)) in self.buffers.iter().enumerate() {
            one.holds(0, data)
                .map_err(|why| format!("{what}: buffer {n}: {why}"))?;
            let fresh = Area::shared(one.raw(), 6 * PAGE, 0)?;
            ensure_eq!(fresh.read(5000, 100), data[5000..5100], "{what}: new area");
            one.map.fill(0, 100, 0x77);
            ensure_eq!(
                fresh.read(0, 100),
                [0x77; 100],
                "{what}: written through it"
            );
            one.map.write(0, data);
            for code in [raw::SYNC_START, raw::SYNC_END] {
                let value = exporters::sync(one.raw(), code | raw::SYNC_READ | raw::SYNC_WRITE);
                ensure_ret!(value, 0, "{what}: sync of buffer {n}");
            }
            let value = Call::new(2)
                .reads(one.at(0), 64, one.raw())
                .on(self.file.raw(), 9);
            ensure_ret!(value, -libc::ENODEV, "{what}: call");
            let mut map = Map {
                request: raw::ATTR,
                flags: 2,
                fd: one.raw(),
                ..Map::default()
            };
            let value = raw::ioctl(self.file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
            ensure_ret!(value, -libc::ENODEV, "{what}: map");
        }
        Ok(())
    }

    /// A new session takes the buffers of the old one, by descriptor and by handle.
    fn in_new_session(&self, what: &str) -> Outcome {
        let file = File::with_process(CDSP)?;
        let mem = DspMem::open(&file)?;
        for (n, (one, data)) in self.buffers.iter().enumerate() {
            let handle = file.import(&one.fd)?;
            ensure_eq!(
                dsp_sum(&mem, handle, 0, one.size as u64)?,
                Checksum::of(data),
                "{what}: buffer {n} by handle"
            );
            let mut sum = [0; dspmem::SUMMED];
            let value = mem.call(
                &Call::new(dspmem::TOUCH)
                    .input(&[0; 8])
                    .reads(one.at(4000), 5000, one.raw())
                    .output(&mut sum),
            );
            ensure_ret!(value, 0, "{what}: buffer {n} by descriptor");
            ensure_eq!(
                Checksum::nth(&sum, 0),
                Checksum::of(&data[4000..9000]),
                "{what}: buffer {n} by descriptor"
            );
        }
        Ok(())
    }
}

/// The DSP dies in the middle of everything, several times, with old files kept open.
pub fn removed_in_flight() -> Outcome {
    let mut old = Vec::new();
    for round in 0..4 {
        let client = Client::new()?;
        let begin = Instant::now();
        remove()?;
        ensure!(
            begin.elapsed() < patience(SOON),
            "removal took {:?}",
            begin.elapsed()
        );
        client.after(&format!("round {round}"))?;
        announce()?;
        for (name, value) in [
            ("mappings", 0),
            ("held", 0),
            ("remote_maps", 0),
            ("heap_bytes", 0),
        ] {
            ensure_eq!(
                status(name)?,
                value,
                "{name} of the new instance, round {round}"
            );
        }
        client.in_new_session(&format!("round {round}"))?;
        old.push(client);
        // Closed late, in the order of their age or against it.
        if old.len() == 2 {
            drop(old.remove(round % 2));
        }
    }
    drop(old);
    File::with_process(CDSP)?.still_works()?;
    nothing_left()
}

/// The driver is taken from a DSP that goes on living.
pub fn unbound_in_flight() -> Outcome {
    for round in 0..3 {
        let client = Client::new()?;
        let begin = Instant::now();
        unbind()?;
        ensure!(
            begin.elapsed() < patience(2 * SOON),
            "unbind took {:?}",
            begin.elapsed()
        );
        client.after(&format!("round {round}"))?;
        bind()?;
        client.in_new_session(&format!("round {round}"))?;
        drop(client);
    }
    nothing_left()
}

/// The DSP comes and goes under threads that do all they can with buffers.
pub fn removed_under_load() -> Outcome {
    let stop = AtomicBool::new(false);
    let sessions = std::sync::atomic::AtomicU32::new(0);
    let result = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u32)
            .map(|n| {
                let (stop, sessions) = (&stop, &sessions);
                scope.spawn(move || {
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // Errors are what this is about: the DSP goes at any moment.
                        if one_session(n * 1_000_000 + round).is_ok() {
                            sessions.fetch_add(1, Ordering::Relaxed);
                        }
                        round += 1;
                    }
                })
            })
            .collect();
        let result = (0..12u64).try_for_each(|round| -> Outcome {
            std::thread::sleep(Duration::from_millis(300 + round * 37));
            if round % 3 == 2 {
                unbind()?;
                bind()
            } else {
                remove()?;
                announce()
            }
        });
        stop.store(true, Ordering::Relaxed);
        for one in threads {
            if one.join().is_err() {
                return Err("a thread panicked".into());
            }
        }
        result
    });
    println!("{} sessions went through", sessions.load(Ordering::Relaxed));
    result?;
    ensure!(
        sessions.load(Ordering::Relaxed) > 0,
        "no session ever worked"
    );
    File::with_process(CDSP)?.still_works()?;
    nothing_left()
}

/// One session with all kinds of uses; wrong bytes are a panic, errors are not.
fn one_session(seed: u32) -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for round in 0..6 {
        let maker = [Maker::Own, Maker::Udmabuf][round as usize % 2];
        let one = Shared::new(maker, &file, 4 * PAGE)?;
        let data = one.fill(seed + round);
        let mut sum = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&[0; 8])
                .reads(one.at(0), one.size as u64, one.raw())
                .output(&mut sum),
        );
        ensure_ret!(value, 0, "touch");
        assert_eq!(
            Checksum::nth(&sum, 0),
            Checksum::of(&data),
            "what the DSP read"
        );
        mem.args(2, |call| call.in_handle(0, 1, one.raw()))
            .map_err(|value| format!("args: {}", raw::show(value)))?;
        let mut map = Map {
            request: raw::ATTR,
            flags: 2,
            fd: one.raw(),
            ..Map::default()
        };
        let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
        ensure_ret!(value, 0, "map");
        let unmap = Unmap {
            request: raw::ATTR,
            fd: one.raw(),
            vaddr: map.vaddrout,
            ..Unmap::default()
        };
        if round % 2 == 0 {
            let value = raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
            ensure_ret!(value, 0, "unmap");
        }
    }
    Ok(())
}
