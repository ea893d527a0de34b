// SPDX-License-Identifier: GPL-2.0
//! A process that fuzzes: epochs of a fixed number of steps, each with a seed of its own.
//!
//! An epoch begins with nothing and ends with nothing: so one epoch alone is enough to see again
//! what one epoch did, as far as no other thread or process had a part in it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::sync::{
    Arc,
    Mutex, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

use super::dice::{
    mix,
    Dice, //
};
use super::ground::{
    self,
    Ground, //
};
use super::world::{
    Counts,
    Mode,
    Pool,
    World, //
};
use crate::children::become_user;
use crate::dsp;
use crate::exporters;
use crate::harness::Fail;

/// Steps of an epoch.
pub const STEPS: u64 = 200;
/// Threads of a process that has several.
const THREADS: u64 = 3;
/// Bytes of the memfd behind foreign dma-bufs.
const MEMFD: usize = 16 << 12;

extern "C" fn ignore(_: libc::c_int) {}

/// Lets a signal interrupt system calls, which the kernel restarts or not.
fn interruptible(signal: i32, restart: bool) {
    // SAFETY: The handler does nothing; all bytes zero is a valid empty set and no flags.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as usize;
        action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// Starts the timer of this process; 0 stops it.
fn timer(microseconds: i64) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: `timer` is valid.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// What a process that fuzzes keeps from epoch to epoch.
pub struct Worker {
    mode: Mode,
    counts: &'static Counts,
    memfd: i32,
    udmabuf: i32,
    /// The highest descriptor that an epoch leaves open.
    last: i32,
    log: Option<std::fs::File>,
}

impl Worker {
    /// Becomes what the mode says. The process fuzzes from now on and does nothing else.
    pub fn new(mode: Mode, counts: &'static Counts) -> Result<Self, Fail> {
        let log = OpenOptions::new().write(true).open("/dev/kmsg").ok();
        let memfd = exporters::memfd(MEMFD)?.into_raw_fd();
        let udmabuf = dsp::open_path("/dev/udmabuf".as_ref()).map_or(-1, IntoRawFd::into_raw_fd);
        // SAFETY: Children are not waited for. A descriptor that is closed at once.
        let last = unsafe {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            let last = libc::dup(0);
            libc::close(last);
            last
        };
        interruptible(libc::SIGUSR1, false);
        if mode.user {
            become_user()?;
        }
        Ok(Worker {
            mode,
            counts,
            memfd,
            udmabuf,
            last,
            log,
        })
    }

    /// Runs epochs until so many are done or the time is over.
    pub fn run(&mut self, seed: u64, epochs: u64, until: Instant) -> Result<(), Fail> {
        for epoch in 0..epochs {
            if Instant::now() > until {
                break;
            }
            self.epoch(mix(seed, epoch), STEPS, false)?;
        }
        Ok(())
    }

    /// One epoch.
    pub fn epoch(&mut self, seed: u64, steps: u64, trace: bool) -> Result<(), Fail> {
        let name = format!("epoch {seed:#x}");
        if let Some(log) = &mut self.log {
            // A kernel that reports something has this line before it.
            // One write is one line of the log.
            let line = format!("qda-guest-test: fuzz, {name} {:?}\n", self.mode);
            let _ = log.write_all(line.as_bytes());
        }
        let mut dice = Dice::new(seed);
        interruptible(libc::SIGALRM, self.mode.signals && dice.once_in(2));
        let pool = Arc::new(Mutex::new(Pool::default()));
        let nodes = dsp::nodes();
        let mut worlds = Vec::new();
        for number in 0..if self.mode.threads { THREADS } else { 1 } {
            worlds.push(World {
                dice: Dice::new(mix(seed, number)),
                ground: Ground::new(number)?,
                pool: Arc::clone(&pool),
                counts: self.counts,
                mode: self.mode,
                nodes: nodes.clone(),
                memfd: self.memfd,
                udmabuf: self.udmabuf,
                trace,
                name: name.clone(),
                step: 0,
                spoilt: false,
                gentle: false,
            });
        }
        // Without signals of its own, a call that parks for ever is woken after a while.
        timer(if self.mode.signals {
            (dice.below(5000) + 300) as i64
        } else {
            200_000
        });
        if let Some(first) = worlds.first_mut() {
            first.begin();
        }
        if self.mode.threads {
            together(worlds, steps, mix(seed, 99));
        } else {
            for world in &mut worlds {
                for _ in 0..steps {
                    world.one_step();
                }
            }
        }
        timer(0);
        for number in 0..ground::WINDOW_COUNT {
            ground::clear_window(number);
        }
        // SAFETY: Whatever this epoch has opened; the rest of the program keeps nothing there.
        unsafe { libc::syscall(libc::SYS_close_range, self.last, u32::MAX, 0) };
        self.counts.epochs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Several threads in one pool, while one more shakes their memory and interrupts them.
fn together(worlds: Vec<World>, steps: u64, seed: u64) {
    let grounds: Vec<Ground> = worlds.iter().map(|world| world.ground).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = worlds
            .into_iter()
            .map(|mut world| {
                scope.spawn(move || {
                    for _ in 0..steps / THREADS {
                        world.one_step();
                    }
                })
            })
            .collect();
        let shaker = scope.spawn(|| {
            let mut dice = Dice::new(seed);
            while !stop.load(Ordering::Relaxed) {
                for ground in &grounds {
                    ground.shake(dice.next(), dice.next(), dice.next());
                }
                ground::close_window_pages(dice.next());
                interrupt_others();
                thread::sleep(Duration::from_micros(500 + dice.below(4000)));
            }
        });
        for thread in threads {
            let _ = thread.join();
        }
        stop.store(true, Ordering::Relaxed);
        let _ = shaker.join();
    });
}

/// Sends SIGUSR1 to every other thread of the process.
fn interrupt_others() {
    // SAFETY: Takes no arguments.
    let own = unsafe { libc::syscall(libc::SYS_gettid) };
    for entry in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(thread) = entry.file_name().to_string_lossy().parse::<i64>() else {
            continue;
        };
        if thread != own {
            // SAFETY: Numbers only; a thread that has ended is not found.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR1) };
        }
    }
}

/// `qda-guest-test fuzz [--seed N] [--steps N] [--mode WORDS] [--quiet]`: one epoch, every request
/// of which is told.
pub fn replay(words: &[String]) -> Result<bool, Fail> {
    let mut seed = None;
    let mut steps = STEPS;
    let mut mode = Mode::default();
    let mut trace = true;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--quiet" {
            trace = false;
            continue;
        }
        let value = words.next().ok_or("an option needs a value")?;
        let number = || match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).map_err(|_| "no number"),
            None => value.parse().map_err(|_| "no number"),
        };
        match word.as_str() {
            "--seed" => seed = Some(number()?),
            "--steps" => steps = number()?,
            "--mode" => mode = Mode::parse(value).ok_or("no such mode")?,
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    let seed = seed.ok_or("--seed is missing")?;
    let counts = ground::shared_page::<Counts>()?;
    Worker::new(mode, counts)?.epoch(seed, steps, trace)?;
    let bad = counts.bad.load(Ordering::Relaxed);
    println!("{bad} complaints");
    Ok(bad == 0)
}
