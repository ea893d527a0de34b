// SPDX-License-Identifier: GPL-2.0
//! What a fuzzing thread has: files, buffers, mappings; and the one way to make a request.
//!
//! Threads of one process share the things and race for them: what one takes from the pool another
//! may close before it is used.

use std::os::fd::IntoRawFd;
use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use std::sync::{
    Arc,
    Mutex,
    MutexGuard, //
};

use super::dice::Dice;
use super::expect::{
    complain,
    Kind,
    KINDS,
    NAMES, //
};
use super::ground::Ground;
use crate::dsp::{
    self,
    Node, //
};
use crate::mem::BAD_ADDRESSES;
use crate::raw;

/// What all processes of a run count together.
pub struct Counts {
    /// Requests made, and those that gave 0, by kind.
    pub tried: [AtomicU64; KINDS],
    pub good: [AtomicU64; KINDS],
    /// Epochs ended.
    pub epochs: AtomicU64,
    /// Calls whose results were compared.
    pub compared: AtomicU64,
    /// Complaints.
    pub bad: AtomicU64,
}

/// An open file of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    pub fd: i32,
    /// Handles of the modules echo, calculator, fail and mem; 0 when not loaded.
    pub modules: [u32; 4],
}

/// A buffer, by any of its names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffer {
    /// The file that `handle` belongs to.
    pub file: i32,
    pub handle: u32,
    /// A dma-buf, or -1.
    pub fd: i32,
    pub size: u64,
    /// Where it is mapped, or 0.
    pub at: u64,
}

/// A mapping on the DSP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mapping {
    pub file: i32,
    pub request: u32,
    pub fd: i32,
    pub address: u64,
    pub size: u64,
}

/// Things that the threads of a process share.
#[derive(Default)]
pub struct Pool {
    pub clients: Vec<Client>,
    pub buffers: Vec<Buffer>,
    pub mappings: Vec<Mapping>,
}

/// How a process fuzzes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// As an ordinary user; else as root.
    pub user: bool,
    /// Three threads share everything, a fourth shakes their memory.
    pub threads: bool,
    /// A timer interrupts all the time.
    pub signals: bool,
    /// The DSP comes and goes.
    pub restarts: bool,
    /// The module mem is used, which can be sent to any address.
    pub mem: bool,
    /// Mostly numbers without meaning.
    pub numbers: bool,
}

impl Mode {
    const WORDS: [&'static str; 6] = ["user", "threads", "signals", "restarts", "mem", "numbers"];

    fn flags(&mut self) -> [&mut bool; 6] {
        [
            &mut self.user,
            &mut self.threads,
            &mut self.signals,
            &mut self.restarts,
            &mut self.mem,
            &mut self.numbers,
        ]
    }

    /// Reads words with commas between them; `root` says nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let mut mode = Mode::default();
        for word in text.split(',').filter(|word| *word != "root") {
            let number = Self::WORDS.iter().position(|known| *known == word)?;
            *mode.flags()[number] = true;
        }
        Some(mode)
    }
}

/// One thread that fuzzes.
pub struct World {
    pub dice: Dice,
    pub ground: Ground,
    pub pool: Arc<Mutex<Pool>>,
    pub counts: &'static Counts,
    pub mode: Mode,
    pub nodes: Vec<Node>,
    /// A memfd to copy through, and `/dev/udmabuf` or -1.
    pub memfd: i32,
    pub udmabuf: i32,
    /// Says every request.
    pub trace: bool,
    /// Names this run in complaints: how to have it again.
    pub name: String,
    pub step: u64,
    /// The last request was spoilt.
    pub spoilt: bool,
    /// Nothing is spoilt.
    pub gentle: bool,
}

impl World {
    pub fn pool(&self) -> MutexGuard<'_, Pool> {
        match self.pool.lock() {
            Ok(pool) => pool,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Any client.
    pub fn client(&mut self) -> Option<Client> {
        let n = self.dice.next() as usize;
        let pool = self.pool();
        pool.clients.get(n % pool.clients.len().max(1)).copied()
    }

    /// Any buffer.
    pub fn buffer(&mut self) -> Option<Buffer> {
        let n = self.dice.next() as usize;
        let pool = self.pool();
        pool.buffers.get(n % pool.buffers.len().max(1)).copied()
    }

    /// Opens a node.
    pub fn open(&mut self) {
        if self.nodes.is_empty() || self.mode.restarts {
            self.nodes = dsp::nodes();
        }
        if self.nodes.is_empty() || self.pool().clients.len() >= 4 {
            return;
        }
        let n = self.dice.next() as usize % self.nodes.len();
        let flags = match self.dice.below(4) {
            0 => libc::O_RDONLY | libc::O_NONBLOCK,
            1 => libc::O_WRONLY,
            2 => libc::O_RDWR | libc::O_NONBLOCK | libc::O_APPEND,
            _ => libc::O_RDWR,
        };
        match dsp::open_with(&self.nodes[n].path, flags) {
            Ok(fd) => self.pool().clients.push(Client {
                fd: fd.into_raw_fd(),
                ..Client::default()
            }),
            Err(_) => self.nodes.clear(),
        }
    }

    /// Says something about a request that is wrong.
    pub fn complain(&self, text: &str) {
        self.counts.bad.fetch_add(1, Ordering::Relaxed);
        println!("{} step {}: {text}", self.name, self.step);
    }

    /// Makes a request whose structure is `block`, spoilt or not; gives what came and updates the
    /// structure.
    pub fn ask(&mut self, fd: i32, code: u32, block: &mut [u8]) -> i64 {
        let rate = if self.spoilt { 6 } else { 3 };
        let mut code = code;
        let mut sent = block.to_vec();
        if self.dice.once_in(rate) && !self.gentle {
            self.spoilt = true;
            for _ in 0..=self.dice.below(2) {
                match self.dice.below(12) {
                    0 => code = raw::resized(code, self.dice.edge() as u32),
                    1 => code ^= 1 << (30 + self.dice.below(2)),
                    _ => self.dice.spoil(&mut sent),
                }
            }
        }
        let at_end = self.dice.once_in(8) && !self.gentle;
        let desk = self.ground.desk(0, &sent, at_end);
        let mut at = desk;
        if self.dice.once_in(40) && !self.gentle {
            self.spoilt = true;
            at = match self.dice.below(4) {
                0 => self.ground.read_only(),
                1 => self.ground.end() - 4,
                2 => desk + 1,
                _ => self.dice.of(BAD_ADDRESSES),
            };
        }
        let value = self.send(fd, code, at, &sent);
        if at == desk {
            let back = self.ground.get(at, block.len());
            block.copy_from_slice(&back);
        } else {
            block.copy_from_slice(&sent);
        }
        value
    }

    /// Makes a request, counts it and looks at its value.
    pub fn send(&mut self, fd: i32, code: u32, at: u64, sent: &[u8]) -> i64 {
        let kind = Kind::of(code);
        if self.trace {
            println!(
                "step {}: {} {code:#x} on {fd}: {sent:x?}",
                self.step, NAMES[kind as usize]
            );
        }
        let value = raw::ioctl(fd, code, at);
        if self.trace {
            println!("step {}: {}", self.step, raw::show(value));
        }
        self.counts.tried[kind as usize].fetch_add(1, Ordering::Relaxed);
        if value == 0 {
            self.counts.good[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        if !kind.may_give(value) && !self.excused(kind, code, value, sent) {
            let text = format!("{} ({code:#x}, {sent:x?})", complain(kind, value));
            self.complain(&text);
        }
        value
    }

    /// Whether there is a reason for a value that is not documented.
    fn excused(&self, kind: Kind, code: u32, value: i64, sent: &[u8]) -> bool {
        if (code >> 8) & 0xff != u32::from(b'd') {
            // Requests to dma-bufs are not ours.
            return true;
        }
        if self.mode.threads && [libc::EBADF, libc::ENOTTY].contains(&(-value as i32)) {
            // Another thread has closed the file, and the number may be a dma-buf's now.
            return true;
        }
        // The modules fail and mem answer what they are told, also numbers that look like errors.
        let handle = dsp::u32_at(sent, 0);
        let pool = self.pool();
        let told = |client: &Client| client.modules[2..].contains(&handle);
        kind == Kind::Invoke && pool.clients.iter().any(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read() {
        let mode = Mode::parse("user,threads").unwrap();
        assert!(mode.user && mode.threads && !mode.mem && !mode.restarts);
        assert!(!Mode::parse("root").unwrap().user);
        assert!(Mode::parse("root,nonsense").is_none());
    }
}
