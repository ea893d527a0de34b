// SPDX-License-Identifier: GPL-2.0

//! What a hostile process on the DSP does to the message of its call: everything in there is
//! memory that it can write at any time. Done on demand, see `knobs`.

use super::env::Env;
use super::pinned::Held;
use super::state::{Profile, State};
use super::wire::{Layout, Request};

/// Largest message that is written to after the answer, in bytes.
const MAX_KEPT: u64 = 1 << 16;

/// A small generator of reproducible numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Numbers that hurt who believes them: lengths, offsets and addresses of all kinds.
    fn nasty(&mut self) -> u64 {
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

    /// How long the fd list of a call that is about to be answered shall change.
    ///
    /// The message must stay mapped meanwhile: the way from address to memory that we take is no
    /// SMMU, which would wait for an access when it unmaps. So only small messages of processes
    /// count, which come from memory that a session keeps until its RELEASE is answered. The
    /// in-tree driver keeps nothing.
    pub(super) fn toggle_time(&mut self, req: &Request) -> Option<u64> {
        let kept = req.client != 0 && req.size <= MAX_KEPT;
        if !kept || self.t.core.profile == Profile::Stock {
            return None;
        }
        self.t.core.knobs.toggle()
    }

    /// Changes the words of the fd list for `ms` milliseconds as fast as it can, while the
    /// driver reads them. Stops when the message is not mapped any more.
    pub(super) fn toggle(&mut self, env: &mut impl Env, req: &Request, ms: u64) {
        let (sid, iova) = self.split(req.addr);
        let list = iova.wrapping_add(Layout::new(req.nargs()).fds);
        let end = env.now_ms().saturating_add(ms);
        let mut numbers = Numbers(list | 1);
        // Whatever the driver finds there it may take for a drop.
        let mine = |h: &&mut Held| h.client == req.client;
        for h in self.t.held.iter_mut().filter(mine) {
            *h = Held::EMPTY;
        }
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
