// SPDX-License-Identifier: GPL-2.0
//! Crowds of processes: forked and not started anew, so that thousands are cheap, with a board of
//! numbers that all of them share.
//!
//! A member runs a function of the case and leaves with status 0 if that was content; else it says
//! why on the standard output of the case and leaves with status 1. Members die with the process
//! that forked them.

use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use std::time::{
    Duration,
    Instant, //
};

use crate::harness::{
    patience,
    Fail,
    Outcome, //
};
use crate::raw;

/// Numbers in memory that a process shares with all that it forks. Never unmapped.
#[derive(Clone, Copy)]
pub struct Board {
    words: &'static [AtomicU64],
}

impl Board {
    /// So many zeros.
    pub fn new(words: usize) -> Result<Self, Fail> {
        // SAFETY: A new mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                words.max(1) * size_of::<AtomicU64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(format!("a board of {words} words: errno {}", raw::errno()).into());
        }
        // SAFETY: The mapping is zero, large enough, aligned to a page and stays for ever; all
        // accesses are atomic.
        let words = unsafe { std::slice::from_raw_parts(base.cast(), words) };
        Ok(Board { words })
    }

    pub fn get(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::SeqCst)
    }

    pub fn set(&self, index: usize, value: u64) {
        self.words[index].store(value, Ordering::SeqCst);
    }

    pub fn add(&self, index: usize, value: u64) {
        self.words[index].fetch_add(value, Ordering::SeqCst);
    }

    /// Raises a number to `value` if it is less.
    pub fn at_least(&self, index: usize, value: u64) {
        self.words[index].fetch_max(value, Ordering::SeqCst);
    }
}

/// Random numbers that a seed decides.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// How a member ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Status(i32),
    Signal(i32),
}

/// A forked process. Killed when it is dropped before its end.
pub struct Member {
    pid: libc::pid_t,
    end: Option<End>,
}

impl Member {
    /// Forks a process for `body`.
    pub fn fork(body: impl FnOnce() -> Outcome) -> Result<Self, Fail> {
        // SAFETY: The child runs `body` and leaves without running anything of the parent.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(format!("fork: errno {}", raw::errno()).into());
        }
        if pid == 0 {
            // SAFETY: Plain numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let status = match body() {
                Ok(()) => 0,
                Err(why) => {
                    println!("{why}");
                    1
                }
            };
            // SAFETY: Leaves at once.
            unsafe { libc::_exit(status) };
        }
        Ok(Member { pid, end: None })
    }

    /// Ends the process with SIGKILL; it may take its time to be gone.
    pub fn kill(&self) {
        if self.end.is_none() {
            // SAFETY: The process is a child that was not waited for, so the number is its.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Result<Option<End>, Fail> {
        self.look(libc::WNOHANG)
    }

    fn look(&mut self, flags: i32) -> Result<Option<End>, Fail> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        let mut status = 0;
        // SAFETY: `status` has room; the child is ours.
        match unsafe { libc::waitpid(self.pid, &mut status, flags) } {
            0 => {}
            pid if pid == self.pid => {
                self.end = Some(if libc::WIFEXITED(status) {
                    End::Status(libc::WEXITSTATUS(status))
                } else {
                    End::Signal(libc::WTERMSIG(status))
                });
            }
            _ => return Err(format!("waitpid: errno {}", raw::errno()).into()),
        }
        Ok(self.end)
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self, limit: Duration) -> Result<End, Fail> {
        let deadline = Instant::now() + patience(limit);
        loop {
            if let Some(end) = self.ended()? {
                return Ok(end);
            }
            if Instant::now() > deadline {
                return Err(format!("process {} does not end within {limit:?}", self.pid).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.kill();
            let _ = self.look(0);
        }
    }
}

/// Processes that do the same.
pub struct Crowd(Vec<Member>);

impl Crowd {
    /// Forks `number` processes; each gets its number.
    pub fn start(number: u64, body: impl Fn(u64) -> Outcome) -> Result<Self, Fail> {
        let mut members = Vec::new();
        for n in 0..number {
            members.push(Member::fork(|| body(n))?);
        }
        Ok(Crowd(members))
    }

    /// None of the processes has ended yet.
    pub fn all_live(&mut self) -> Outcome {
        for (n, member) in self.0.iter_mut().enumerate() {
            if let Some(end) = member.ended()? {
                return Err(format!("process {n} of the crowd has ended: {end:?}").into());
            }
        }
        Ok(())
    }

    /// Waits for the end of all processes, which must be content.
    pub fn end(mut self, limit: Duration) -> Outcome {
        let mut result = Ok(());
        for (n, member) in self.0.iter_mut().enumerate() {
            match member.wait(limit) {
                Ok(End::Status(0)) => {}
                Ok(end) => result = Err(format!("process {n} of the crowd: {end:?}").into()),
                Err(why) => result = Err(why),
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_share_the_board() {
        let board = Board::new(2).unwrap();
        let crowd = Crowd::start(3, |n| {
            board.add(0, n + 1);
            board.at_least(1, n);
            Ok(())
        });
        crowd.unwrap().end(Duration::from_secs(10)).unwrap();
        assert_eq!((board.get(0), board.get(1)), (6, 2));
    }

    #[test]
    fn ends_are_told_apart() {
        let mut one = Member::fork(|| loop {
            std::thread::sleep(Duration::from_secs(1));
        })
        .unwrap();
        assert_eq!(one.ended().unwrap(), None);
        one.kill();
        let end = one.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(end, End::Signal(libc::SIGKILL));
        let crowd = Crowd::start(1, |_| Err("as expected".into())).unwrap();
        assert!(crowd.end(Duration::from_secs(10)).is_err());
    }

    #[test]
    fn dice_fall_by_their_seed() {
        let throws = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| dice.below(6)).collect::<Vec<_>>()
        };
        assert_eq!(throws(1), throws(1));
        assert_ne!(throws(1), throws(2));
        assert!(throws(3).iter().all(|&n| n < 6));
    }
}
