// SPDX-License-Identifier: GPL-2.0

//! Whether the transport takes a message: refusals and waits on command.
//!
//! Part of the queue and under its lock. The commands are described in `tests/sim/README.md`.

#![forbid(unsafe_code)]

use crate::model::knobs::number;
use kernel::prelude::*;

/// Some refusals to come.
#[derive(Clone, Copy)]
struct Rule {
    errno: i32,
    /// Messages until then.
    skip: u32,
    /// Refusals still to come.
    times: u32,
}

impl Rule {
    const NONE: Self = Self {
        errno: 0,
        skip: 0,
        times: 0,
    };

    fn take(&mut self) -> Option<Error> {
        if self.times == 0 {
            return None;
        }
        if self.skip != 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(Error::from_errno(self.errno.wrapping_neg()))
    }
}

/// What becomes of a message.
pub(crate) enum Verdict {
    /// It is queued.
    Take,
    /// It is queued, and the sender is told that it was not.
    TakeAndRefuse(Error),
    /// It is not queued.
    Refuse(Error),
    /// There is no room at the moment.
    Wait,
}

/// The transport's willingness.
pub(crate) struct Credits {
    all: Rule,
    tries: Rule,
    queued: Rule,
    /// No room until then, in milliseconds of the DSP's age.
    busy_until: u64,
    /// Sends that failed on command.
    pub(crate) refused: u64,
}

impl Credits {
    /// A transport that takes everything.
    pub(crate) const NONE: Self = Self {
        all: Rule::NONE,
        tries: Rule::NONE,
        queued: Rule::NONE,
        busy_until: 0,
        refused: 0,
    };

    /// Carries out a command; `None`, and nothing done, if it is none.
    pub(crate) fn command(&mut self, text: &[u8], now: u64) -> Option<()> {
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty());
        let verb = words.next()?;
        let value = number(words.next()?)?;
        if verb == b"busy" {
            words.next().is_none().then_some(())?;
            self.busy_until = now.saturating_add(value);
            return Some(());
        }
        let mut count = |usual: u32| match words.next() {
            Some(word) => u32::try_from(number(word)?).ok(),
            None => Some(usual),
        };
        let rule = Rule {
            errno: i32::try_from(value)
                .ok()
                .filter(|e| (1..4096).contains(e))?,
            skip: count(0)?,
            times: count(1)?,
        };
        words.next().is_none().then_some(())?;
        match verb {
            b"refuse" => self.all = rule,
            b"refuse_try" => self.tries = rule,
            b"queue_and_refuse" => self.queued = rule,
            _ => return None,
        }
        Some(())
    }

    /// What becomes of the next message; `tries`: its sender does not wait.
    pub(crate) fn verdict(&mut self, tries: bool, now: u64) -> Verdict {
        if now < self.busy_until {
            return Verdict::Wait;
        }
        let refusal = self.all.take();
        let refusal = refusal.or_else(|| tries.then(|| self.tries.take()).flatten());
        if let Some(e) = refusal {
            self.refused = self.refused.wrapping_add(1);
            return Verdict::Refuse(e);
        }
        match self.queued.take() {
            Some(e) => {
                self.refused = self.refused.wrapping_add(1);
                Verdict::TakeAndRefuse(e)
            }
            None => Verdict::Take,
        }
    }
}
