// SPDX-License-Identifier: GPL-2.0

//! What a DSP does unasked: storms of packets, chatter while its channel comes and goes, and the
//! end and new begin of the channel after a crash.
//!
//! Runs in the second thread of [`Dsp`], but for the chatter, which the transport calls. Takes the
//! firmware lock for each batch of packets, so that the model knows which calls are under way.

#![forbid(unsafe_code)]

use crate::{
    dsp::{
        Dsp,
        NOISE, //
    },
    firmware::{
        Fall,
        Phase, //
    },
    sys::{
        memory,
        worker::{
            Work,
            Worker, //
        }, //
    }, //
};
use kernel::sync::ArcBorrow;

/// Packets of a storm that leave together at most.
const BATCH: usize = 64;
/// Milliseconds until the next look while the driver does not keep up, or there is none.
const PAUSE: u32 = 1;

impl Dsp {
    /// Sends packets that are no answers, if it was told to do so whenever the channel comes or
    /// goes.
    pub(crate) fn talk(&self) {
        let mut fw = self.firmware().lock();
        let packets = usize::try_from(fw.core.talk).unwrap_or(0);
        if packets == 0 {
            return;
        }
        let mut state = fw.state();
        self.receiver().push_all(packets, || Some(state.talk()));
    }

    /// Sends what is due of a storm; after how many milliseconds there is more to do.
    fn blow(&self) -> Option<u32> {
        loop {
            let mut fw = self.firmware().lock();
            if fw.core.storm.left() == 0 {
                return None;
            }
            if fw.phase == Phase::Closed {
                return Some(PAUSE);
            }
            let due = fw.core.storm.due(self.age_us());
            let limit = usize::try_from(due).unwrap_or(usize::MAX).min(BATCH);
            let mut state = fw.state();
            let sent = self.receiver().push_all(limit, || state.next_of_storm());
            drop(fw);
            if sent < BATCH {
                return Some(PAUSE);
            }
            memory::rest();
        }
    }

    /// Takes the next step after a crash; after how many milliseconds there is another one.
    fn fall(this: ArcBorrow<'_, Self>) -> Option<u32> {
        let fall = this.firmware().lock().fall;
        match fall {
            Fall::Up => None,
            Fall::Down(back) => {
                // A test may have been faster.
                let _ = this.remove();
                let next = match back {
                    None => Fall::Up,
                    Some(ms) => Fall::Back(this.age_ms().saturating_add(ms)),
                };
                this.firmware().lock().fall = next;
                Some(PAUSE)
            }
            Fall::Back(at) => {
                let left = at.saturating_sub(this.age_ms());
                if left != 0 {
                    return Some(u32::try_from(left).unwrap_or(u32::MAX));
                }
                this.firmware().lock().fall = Fall::Up;
                // Likewise. Whatever else fails, the test misses its DSP.
                let _ = this.announce();
                None
            }
        }
    }
}

impl Work<NOISE> for Dsp {
    fn worker(&self) -> &Worker {
        self.noise()
    }

    fn work(this: ArcBorrow<'_, Self>) -> Option<u32> {
        let fall = Self::fall(this);
        let storm = this.blow();
        match (fall, storm) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
