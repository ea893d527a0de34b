// SPDX-License-Identifier: GPL-2.0
//! Thousands of clients, each killed at some moment of its life.
//!
//! `QDA_DEATHS=N` in the environment (a parameter of the guest's kernel) sets their number.

use super::*;

/// Clients at once, on the DSP that takes its time and on the other one; fewer than seats.
const SLOW: usize = 3;
const QUICK: usize = 2;

/// Clients of a short run.
const SHORT: u64 = 1000;

/// What a client is doing. Its word of the board says so from just before that begins.
const PHASES: &[&str] = &[
    "nothing",
    "open",
    "create",
    "attach",
    "load",
    "call",
    "call with buffers",
    "map",
    "unmap",
    "threads",
    "release",
];

/// Place of a phase in the list.
fn phase(name: &str) -> u64 {
    PHASES.iter().position(|one| *one == name).unwrap_or(0) as u64
}

/// What a client shows of itself.
struct Shown {
    board: Board,
    word: usize,
}

impl Shown {
    fn does(&self, what: &str) {
        self.board.set(self.word, phase(what));
    }
}

/// Lives life after life until it is killed. An error is a wrong answer.
fn victim(path: &Path, seed: u64, shown: &Shown) -> Outcome {
    let mut dice = Dice::new(seed);
    loop {
        shown.does("open");
        let file = Arc::new(File::open_node(path)?);
        let value = if dice.once_in(5) {
            shown.does("attach");
            file.attach()
        } else {
            shown.does("create");
            file.create()
        };
        ensure_ret!(value, 0, "create or attach");
        shown.does("load");
        let echo = file.module("echo")?;
        shown.does("call");
        file.echo(echo, &dsp::pattern(dice.below(6000) as usize, seed as u32))?;
        let one = Shared::own(&file, 2 * PAGE)?;
        let data = one.fill(seed as u32);
        shown.does("call with buffers");
        let mut back = vec![0; 2 * PAGE];
        let value = Call::new(2)
            .reads(one.at(0), one.size as u64, one.raw())
            .output(&mut back)
            .on(file.raw(), echo);
        ensure_ret!(value, 0, "echo of a buffer");
        dsp::same(&data, &back)?;
        shown.does("map");
        let address = buffer::good(kernel::tagged(&file, one.raw()), "map")?;
        let heap = buffer::good(kernel::heap(&file, 3 * PAGE as u64), "heap")?;
        shown.does("unmap");
        buffer::good(kernel::untagged(&file, one.raw(), address), "unmap")?;
        if dice.once_in(2) {
            buffer::good(kernel::unheap(&file, heap), "unmap of heap")?;
        }
        if dice.once_in(3) {
            shown.does("threads");
            for _ in 0..3 {
                let (file, time) = (Arc::clone(&file), dice.below(8) as u32);
                thread::spawn(move || loop {
                    let value = Call::new(DELAY)
                        .input(&time.to_le_bytes())
                        .on(file.raw(), echo);
                    if value != 0 {
                        break;
                    }
                });
            }
            // The threads never let go of the file: this life ends by the kill.
            loop {
                file.echo(echo, &data)?;
            }
        }
        shown.does("release");
        drop(file);
    }
}

/// One place among the clients that live at once.
struct Place {
    member: Option<Member>,
    /// When the client is killed at the latest.
    latest: Instant,
    /// The phase in which it is killed; 0: any.
    target: u64,
    killed: bool,
}

/// How many clients this run has.
fn number_of_clients() -> u64 {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        text.parse::<u64>().ok()
    };
    let slowness = number("QDA_SLOWNESS").unwrap_or(1).max(1);
    number("QDA_DEATHS")
        .unwrap_or(SHORT / slowness / slowness)
        .max(50)
}

pub fn thousands() -> Outcome {
    let clients = number_of_clients();
    // The DSP takes its time, so that kills meet calls of the kernel.
    for order in [
        "delay create 2 always",
        "delay attach 2 always",
        "delay mem_map 1 always",
        "delay mmap 1 always",
        "delay mem_unmap 1 always",
        "delay munmap 1 always",
        "delay release 2 always",
    ] {
        sim::control(CDSP, order)?;
    }
    let result = crowds(clients);
    sim::control(CDSP, "normal")?;
    result?;
    for label in [CDSP, ADSP] {
        File::with_process(label)?.still_works()?;
    }
    println!("figure killed clients: {clients}");
    Ok(())
}

/// What must be as it was.
struct Before {
    started: u64,
    releases: u64,
    live: u64,
    dma_bufs: usize,
    slab: u64,
    available: u64,
}

impl Before {
    fn now() -> Result<Self, Fail> {
        Ok(Before {
            started: sim::counter("creates")? + sim::counter("attaches")?,
            releases: sim::counter("releases")?,
            live: sim::counter("live_processes")?,
            dma_bufs: exporters::count()?,
            slab: buffer::meminfo("SUnreclaim")?,
            available: buffer::meminfo("MemAvailable")?,
        })
    }
}

fn crowds(clients: u64) -> Outcome {
    let nodes = [dsp::node(CDSP)?.path, dsp::node(ADSP)?.path];
    let board = Board::new(SLOW + QUICK)?;
    // Caches of the kernel grow with the first ones.
    let _ = kill_so_many(clients / 10, 1, &nodes, board)?;
    settle(0)?;
    let before = Before::now()?;
    let begin = Instant::now();
    let tally = kill_so_many(clients, 1_000_000, &nodes, board)?;
    println!("{clients} clients in {:?}", begin.elapsed());
    let text: Vec<_> = PHASES
        .iter()
        .zip(&tally)
        .map(|(name, number)| format!("{number} in {name}"))
        .collect();
    println!("killed: {}", text.join(", "));
    // A few clients need not die in all of them.
    for (name, number) in PHASES.iter().zip(&tally).skip(1) {
        ensure!(
            *number > 0 || clients < 500,
            "no client was killed in {name}"
        );
    }
    settle(before.live)?;
    let after = Before::now()?;
    ensure_eq!(
        after.releases - before.releases,
        after.started - before.started,
        "releases, and processes that were created or attached"
    );
    println!("{} processes", after.started - before.started);
    ensure_eq!(after.dma_bufs, before.dma_bufs, "dma-bufs");
    println!(
        "slab {} KiB, was {}; available {} KiB, was {}",
        after.slab >> 10,
        before.slab >> 10,
        after.available >> 10,
        before.available >> 10
    );
    // Less than the smallest object for each, besides what goes up and down anyway.
    ensure!(
        after.slab < before.slab + (1 << 20) + 8 * clients,
        "kernel objects grew by {} bytes",
        after.slab - before.slab
    );
    ensure!(
        after.available + (32 << 20) > before.available,
        "available memory shrank by {} bytes",
        before.available - after.available
    );
    Ok(())
}

/// Waits until nothing of the clients is left on the DSP and in the driver.
fn settle(live: u64) -> Outcome {
    sim::wait_counter("live_processes", patience(GONE), |now| now == live)?;
    for label in [CDSP, ADSP] {
        for name in ["sessions", "quarantined", "seats", "calls", "mappings"] {
            kmod::wait_for(&format!("{name} of {label}"), patience(GONE), || {
                status_of(label, name).is_ok_and(|now| now == 0)
            })?;
        }
    }
    Ok(())
}

/// Kills so many clients; how many in which phase.
fn kill_so_many(
    clients: u64,
    seed: u64,
    nodes: &[PathBuf; 2],
    board: Board,
) -> Result<Vec<u64>, Fail> {
    let mut dice = Dice::new(seed);
    let mut tally = vec![0; PHASES.len()];
    let (mut born, mut dead) = (0, 0);
    let mut places: Vec<_> = (0..SLOW + QUICK)
        .map(|_| Place {
            member: None,
            latest: Instant::now(),
            target: 0,
            killed: false,
        })
        .collect();
    while dead < clients {
        for (word, place) in places.iter_mut().enumerate() {
            let Some(member) = &mut place.member else {
                if born < clients {
                    born += 1;
                    board.set(word, 0);
                    let shown = Shown { board, word };
                    let path = &nodes[usize::from(word >= SLOW)];
                    let member = Member::fork(|| victim(path, seed + born, &shown))?;
                    *place = Place {
                        member: Some(member),
                        latest: Instant::now()
                            + patience(Duration::from_micros(dice.below(16_000))),
                        // Every second client dies where the list says, the others anywhere.
                        target: (born / 2) % PHASES.len() as u64 * (born % 2),
                        killed: false,
                    };
                    if place.target != 0 {
                        place.latest += patience(Duration::from_millis(200));
                    }
                }
                continue;
            };
            if let Some(end) = member.ended()? {
                ensure_eq!(
                    end,
                    End::Signal(libc::SIGKILL),
                    "end of client {word} in {}",
                    PHASES[board.get(word) as usize]
                );
                ensure!(place.killed, "a client ended before it was killed");
                dead += 1;
                place.member = None;
                continue;
            }
            let now = board.get(word);
            if place.killed {
                ensure!(
                    place.latest.elapsed() < patience(2 * GONE),
                    "a client that was killed in {} does not end",
                    PHASES[now as usize]
                );
            } else if Instant::now() >= place.latest || (place.target != 0 && now == place.target) {
                if place.target != 0 {
                    // A little later: inside.
                    spin(Duration::from_micros(dice.below(600)));
                }
                tally[board.get(word) as usize] += 1;
                member.kill();
                place.killed = true;
                place.latest = Instant::now();
            }
        }
        thread::sleep(Duration::from_micros(150));
    }
    Ok(tally)
}

/// Waits without sleeping, which would take longer.
fn spin(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}
