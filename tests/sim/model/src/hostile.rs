// SPDX-License-Identifier: GPL-2.0

//! What a hostile process on the DSP does to the message of its call: everything in there is
//! memory that it can write at any time. Done on demand, see `knobs`.

use super::env::Env;
use super::pinned::Held;
use super::state::{Profile, State, Wait};
use super::wire::{Layout, Request};

/// Largest message that is written to after the answer, in bytes.
const MAX_KEPT: u64 = 1 << 16;

/// A small generator of reproducible numbers (xorshift).
pub(super) struct Numbers(u64);

impl Numbers {
    /// The numbers of a seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Any number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `n`, which is not 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next().checked_rem(n).unwrap_or(0)
    }

    /// Numbers that hurt who believes them: lengths, offsets and addresses of all kinds.
    pub(super) fn nasty(&mut self) -> u64 {
        let random = self.next();
        match random % 8 {
            0 => u64::MAX,
            1 => 0,
            2 => 1 << 63,
            3 => 0xFFFF_8000_0000_0000 | (random >> 20),
            4 => random >> 32,
            5 => u64::from(u32::MAX),
            6 => 0xDECAF,
            _ => random,
        }
    }
}

/// What to do with calls that a knob keeps without answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Their messages become what a seed gives.
    Overwrite(u64),
    /// They are answered with this result.
    Answer(u32),
}

impl State<'_> {
    /// Overwrites descriptors, lists, pages, CRC list, poll word and padding before the first
    /// argument, all but the fd list.
    pub(super) fn scribble(&mut self, env: &mut impl Env, req: &Request, seed: u64) {
        let (sid, iova) = self.split(req.addr);
        let layout = Layout::new(req.nargs());
        let end = layout.data.min(req.size);
        let mut numbers = Numbers(seed | 1);
        for (from, to) in [(0, layout.fds), (layout.fds + 128, end)] {
            let mut at = from;
            while at < to {
                let word = numbers.nasty().to_le_bytes();
                let n = (to - at).min(8) as usize;
                // The call was loaded a moment ago; if its message is gone, that was told.
                if let Some(part) = word.get(..n) {
                    let _ = env.write(sid, iova.wrapping_add(at), part);
                }
                at += 8;
            }
        }
    }

    /// May the message of a call be written to after its answer?
    ///
    /// It must stay mapped meanwhile: the way from address to memory that we take is no SMMU,
    /// which would wait for an access when it unmaps. So only small messages of processes count,
    /// which come from memory that a session keeps until its RELEASE is answered. The in-tree
    /// driver keeps nothing.
    pub(super) fn is_kept(&self, req: &Request) -> bool {
        req.client != 0 && req.size <= MAX_KEPT && self.t.core.profile == Profile::Strict
    }

    /// Forgets which buffers a process holds: what was written into a fd list behind its answer,
    /// the driver may take for drops.
    fn forget_held(&mut self, client: u32) {
        for h in self.t.held.iter_mut().filter(|h| h.client == client) {
            *h = Held::EMPTY;
        }
    }

    /// Overwrites a message up to `end`, the fd list included. Pages that do not translate are
    /// faults if `report`.
    fn overwrite(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        (seed, end): (u64, u64),
        report: bool,
    ) {
        let (sid, iova) = self.split(req.addr);
        let mut numbers = Numbers::new(seed);
        let mut at = 0u64;
        while at < req.size.min(end) {
            let word = numbers.nasty().to_le_bytes();
            if let Err(f) = env.write(sid, iova.wrapping_add(at), &word) {
                if report {
                    env.fault(f);
                }
                return;
            }
            at += 8;
        }
    }

    /// Overwrites what stands before the arguments of a call that was answered.
    pub(super) fn overwrite_answered(&mut self, env: &mut impl Env, req: &Request, seed: u64) {
        self.forget_held(req.client);
        let end = Layout::new(req.nargs()).data;
        self.overwrite(env, req, (seed, end), false);
    }

    /// Overwrites the messages of all calls that were ignored, or with a result, answers them.
    /// Gives how many there were.
    pub fn ignored_calls(&mut self, env: &mut impl Env, act: Ignored) -> usize {
        let mut found = 0usize;
        for index in 0..self.t.calls.len() {
            let Some(call) = self.t.calls.get(index).copied() else {
                break;
            };
            if call.wait != Wait::Ignored || call.message.size == 0 {
                continue;
            }
            found += 1;
            match act {
                Ignored::Overwrite(seed) => {
                    let end = call.req.size.min(MAX_KEPT);
                    self.overwrite(env, &call.req, (seed, end), true);
                }
                Ignored::Answer(retval) => {
                    let (sid, _) = self.split(call.req.addr);
                    Self::check_pinned(env, &call.req, sid, &call.message, "message buffer");
                    self.finish(env, index, &call, retval);
                }
            }
        }
        found
    }

    /// Changes the words of the fd list for `ms` milliseconds as fast as it can, while the
    /// driver reads them. Stops when the message is not mapped any more.
    pub(super) fn toggle(&mut self, env: &mut impl Env, req: &Request, ms: u64) {
        let (sid, iova) = self.split(req.addr);
        let list = iova.wrapping_add(Layout::new(req.nargs()).fds);
        let end = env.now_ms().saturating_add(ms);
        let mut numbers = Numbers(list | 1);
        self.forget_held(req.client);
        while env.now_ms() < end {
            for _ in 0..64 {
                let word = match numbers.next() % 3 {
                    0 => 0,
                    1 => numbers.next() % 64,
                    _ => numbers.nasty(),
                };
                let at = list.wrapping_add(8 * (numbers.next() % 16));
                if env.write(sid, at, &word.to_le_bytes()).is_err() {
                    return;
                }
            }
            env.rest();
        }
    }
}
