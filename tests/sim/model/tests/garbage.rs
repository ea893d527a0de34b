// SPDX-License-Identifier: GPL-2.0

//! Requests and message buffers full of garbage: the model reports, and never panics.
//!
//! In the kernel a panic of the model would be an oops, and overflow checks are on there as
//! they are in this test. Runs are reproducible: the seed is part of every failure.

mod common;

use common::{Msg, Rig, A};
use qda_sim_model::Profile;

/// A small generator of reproducible numbers (xorshift).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Numbers that break arithmetic, and any others.
    fn nasty(&mut self) -> u64 {
        let list = [
            0,
            1,
            4095,
            4096,
            1 << 30,
            (1 << 30) + 1,
            u64::from(u32::MAX),
            1 << 32,
            u64::MAX - 4095,
            u64::MAX,
            1 << 63,
        ];
        match self.below(3) {
            0 => self.next(),
            1 => self.next() >> self.below(64),
            _ => list[self.below(list.len())],
        }
    }
}

fn spoil(rng: &mut Rng, m: &mut Msg) {
    for _ in 0..=rng.below(3) {
        let value = rng.nasty();
        match rng.below(8) {
            0 => m.sc = value as u32,
            1 => m.size = value,
            2 => m.addr = value,
            3 => m.handle = [0, 1, 2, 3, 4, 7, 8, 0x100, 0x101][rng.below(9)],
            4 => m.client = rng.below(3) as u32,
            // The metadata, word by word.
            _ => {
                let words = (40 * m.nargs() + 388) / 8;
                m.put(8 * rng.below(words), &value.to_le_bytes());
            }
        }
    }
}

fn any_message(rng: &mut Rng, r: &mut Rig, handles: &[u32]) -> Msg {
    let scs: [(u32, u32, &[usize], &[usize]); 15] = [
        (1, 0, &[4], &[]),
        (1, 1, &[4], &[]),
        (1, 4, &[24, 16], &[8]),
        (1, 5, &[24], &[]),
        (1, 7, &[24, 5, 0, 16], &[]),
        (1, 10, &[32, 16, 0], &[8]),
        (1, 11, &[24], &[]),
        (2, 0, &[4], &[1020]),
        (8, 2, &[8, 60], &[8, 255]),
        (8, 3, &[8], &[4, 255]),
        (7, 6, &[16, 0], &[16, 0]),
        (4, 2, &[], &[]),
        (0x100, 2, &[300, 4], &[300, 4]),
        (0x101, 2, &[16], &[64]),
        (0x102, 2, &[4, 64], &[8]),
    ];
    let (handle, method, ins, outs) = scs[rng.below(scs.len())];
    let mut args = Vec::new();
    for len in ins {
        let mut v = Vec::new();
        while v.len() < *len {
            v.extend(rng.nasty().to_le_bytes());
        }
        v.truncate(*len);
        args.push(A::In(v));
    }
    args.extend(outs.iter().map(|len| A::Out(*len)));
    let handle = match handle {
        h if h >= 0x100 => handles[(h - 0x100) as usize],
        h => h,
    };
    let client = if handle == 1 || handle == 2 { 0 } else { 1 };
    r.build(1, client, 1, handle, method, &args)
}

#[test]
fn garbage_is_answered_or_reported() {
    for seed in 1..=1500u64 {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let profile = [Profile::Strict, Profile::Stock][rng.below(2)];
        let mut r = Rig::new(profile);
        r.create(1, 1);
        let handles = ["echo", "probe", "calculator"].map(|m| r.open(1, 1, m));
        for _ in 0..40 {
            let mut m = any_message(&mut rng, &mut r, &handles);
            spoil(&mut rng, &mut m);
            let (answers, bad) = (r.w.answers.len(), r.w.violations.len());
            let waiting = (r.state().parked(), r.state().delayed());
            r.send(&m);
            let waits = waiting != (r.state().parked(), r.state().delayed());
            assert!(
                r.w.answers.len() > answers || r.w.violations.len() > bad || waits,
                "seed {seed}: a message vanished: {:x?}",
                m.bytes()
            );
            r.w.now = r.w.now.saturating_add(rng.next() >> 40);
            r.with(|s, w| s.tick(w));
        }
        r.state().close();
    }
}
