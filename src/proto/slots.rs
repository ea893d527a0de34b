// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The outstanding calls of a channel.
//!
//! Owns the state machine of call slots. It allocates nothing and locks nothing: the channel keeps
//! a [`SlotTable`] inside one interrupt-safe lock, calls each method with that lock held, and wakes
//! waiters as the methods say. All methods are short; [`SlotTable::prepare`] and
//! [`SlotTable::kill`] visit each of the at most 255 slots once, all others exactly one.
//!
//! # Words
//!
//! *Slot*: one entry of the table; its index is part of the context word. *Word*: the 64 bits that
//! identify one call for ever, because its sequence number is never used again. *Waiter*: who made
//! the call and wants the answer. A slot is in one of five states:
//!
//! | state | meaning | who owns the call's memory |
//! |---|---|---|
//! | free | nobody uses it | - |
//! | prepared | the word exists, nothing was sent | waiter |
//! | sent | the DSP has, or may have, the request | waiter |
//! | done | answered, or the channel died; nobody has looked yet | waiter |
//! | abandoned | as sent, but the waiter is gone | whom the waiter gave it to |
//!
//! ```text
//!         prepare          mark_sent        respond, kill          take
//!  free ----------> prepared -----> sent ------------------> done -------> free
//!   ^                  |             |
//!   +------------------+<------------+ rollback: "not queued", nothing can answer
//!   ^                                | abandon
//!   |         respond, kill          v
//!   +----------------------------- abandoned
//! ```
//!
//! `retire` frees a slot that is sent, done or abandoned when the process is gone that it was for.
//!
//! A waiter may be away while its slot is sent or done, and come back: the answer stays in the slot.
//!
//! # Protocol of use
//!
//! 1. `prepare`, then build the request from the word.
//! 2. `mark_sent` **before** the request goes to the transport: the answer may come while the send
//!    function still runs, and only a sent slot takes an answer.
//! 3. If the transport says that nothing was queued: `rollback`. If it does not know, the call
//!    stays sent.
//! 4. The receive callback calls `respond` with what the message says. [`Outcome::Wake`]: signal
//!    the waiter of that slot, under the same lock or after it. The callback owns and frees nothing.
//! 5. The waiter sleeps until `is_pending` is false; a wake-up alone proves nothing, since it may
//!    belong to an earlier use of the slot. Then `take` gives the answer and frees the slot.
//! 6. A waiter that stops waiting calls `abandon`. Either the answer was there already, or the
//!    call's memory must stay until the slot is settled: [`Outcome::Settled`].
//! 7. `kill` when the channel is gone. Waiters find [`Reply::Gone`], and no new call begins.

use core::num::NonZeroU8;
use core::ops::DerefMut;

use super::context::{
    ContextWord,
    Pd,
    Sequence, //
};
use super::errors::DspResult;

/// Length of a full table: 255 usable slots, and slot 0, which is never used.
pub const TABLE_LEN: usize = 256;

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the result of a call must reach its caller"]
pub enum Reply {
    /// The DSP answered.
    Result(DspResult),
    /// The channel went away. No answer will come.
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
    Prepared(ContextWord),
    Sent(ContextWord),
    Done(ContextWord, Reply),
    Abandoned(ContextWord),
}

/// One entry of a [`SlotTable`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(State);

impl Slot {
    /// An unused entry, to fill the table's storage with.
    pub const FREE: Self = Self(State::Free);
}

impl Default for Slot {
    fn default() -> Self {
        Self::FREE
    }
}

/// Why no call can begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrepareError {
    /// All slots are in use.
    Full,
    /// The channel is gone.
    Dead,
}

/// Why a call cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The channel is gone. The slot is free again.
    Dead,
    /// The word belongs to no prepared slot: a mistake of the caller.
    NotPrepared,
}

/// Why an answer was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    /// There is no such slot.
    NoSlot,
    /// The slot waits for no answer: free, not sent yet, or answered already.
    NotWaiting,
    /// The slot waits for the answer to another word.
    OtherWord,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a waiter may have to be woken"]
pub enum Outcome {
    /// The slot with this index is done: wake its waiter.
    Wake(usize),
    /// The abandoned slot with this index is settled and free: its memory may be released, later
    /// and in process context.
    Settled(usize),
    /// Nothing changed.
    Drop(DropReason),
}

/// What became of a call that its waiter gave up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "who keeps the memory of the call depends on it"]
pub enum Abandon {
    /// The answer is still to come. The call's memory must stay until the slot is settled.
    Abandoned,
    /// The answer was there. The slot is free, and the call's memory belongs to the caller.
    AlreadyDone(Reply),
    /// The word belongs to no sent slot: a mistake of the caller, or the call is settled.
    Unknown,
}

/// The table of a channel's outstanding calls, in storage that the caller provides.
///
/// # Invariants
///
/// * A word in slot `i` has index `i`; slot 0 is free.
/// * `in_use` is the number of slots that are not free.
/// * A word in the table has a sequence number before `next` (in cyclic order), so no two calls
///   ever have the same word.
pub struct SlotTable<S> {
    storage: S,
    next: Sequence,
    last: u8,
    in_use: usize,
    dead: bool,
}

impl<S: DerefMut<Target = [Slot]>> SlotTable<S> {
    /// Makes a table of free slots.
    ///
    /// Entry 0 of the storage is never used, and of more than [`TABLE_LEN`] entries only the first
    /// [`TABLE_LEN`]. So storage with fewer than two entries gives a table that is always full.
    pub fn new(mut storage: S) -> Self {
        storage.fill(Slot::FREE);
        Self {
            storage,
            next: Sequence::FIRST,
            last: 0,
            in_use: 0,
            dead: false,
        }
    }

    /// As [`SlotTable::new`], with the sequence number of the first call.
    pub fn with_sequence(storage: S, first: Sequence) -> Self {
        Self {
            next: first,
            ..Self::new(storage)
        }
    }

    /// Number of calls that can be outstanding.
    pub fn capacity(&self) -> usize {
        self.storage.len().min(TABLE_LEN).saturating_sub(1)
    }

    /// Number of slots that are not free.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// Whether the channel is gone.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Begins a call: takes a slot and gives the word that identifies the call.
    ///
    /// Slots are taken in turn, so that a slot rests as long as possible before it is used again.
    pub fn prepare(&mut self, pd: Pd) -> Result<ContextWord, PrepareError> {
        if self.dead {
            return Err(PrepareError::Dead);
        }
        let index = self.find_free().ok_or(PrepareError::Full)?;
        let word = ContextWord::new(index, self.next, pd);
        // INVARIANT: the word carries the index of its slot, and `next` moves past its number.
        self.set(word.slot(), State::Prepared(word));
        self.next = self.next.next();
        self.last = index.get();
        Ok(word)
    }

    /// Says that the request of a prepared call is about to be sent.
    pub fn mark_sent(&mut self, word: ContextWord) -> Result<(), SendError> {
        match self.state(word.slot()) {
            Some(State::Prepared(own)) if own == word => {}
            _ => return Err(SendError::NotPrepared),
        }
        if self.dead {
            self.set(word.slot(), State::Free);
            return Err(SendError::Dead);
        }
        self.set(word.slot(), State::Sent(word));
        Ok(())
    }

    /// Takes back a call whose request was certainly not queued. Gives false for any other call.
    ///
    /// False for a call of one's own means that it ended meanwhile; `take` gives its reply then.
    pub fn rollback(&mut self, word: ContextWord) -> bool {
        match self.state(word.slot()) {
            Some(State::Prepared(own) | State::Sent(own)) if own == word => {
                self.set(word.slot(), State::Free);
                true
            }
            _ => false,
        }
    }

    /// Takes an answer. `raw` is the context word as it was received.
    ///
    /// The word decides alone, all 64 bits of it; the result is stored and not looked at. An answer
    /// is consumed: a second one finds no waiting slot.
    pub fn respond(&mut self, raw: u64, result: DspResult) -> Outcome {
        let [_, index, ..] = raw.to_le_bytes();
        let index = usize::from(index);
        match self.state(index) {
            None => Outcome::Drop(DropReason::NoSlot),
            Some(State::Free | State::Prepared(_) | State::Done(..)) => {
                Outcome::Drop(if index == 0 {
                    DropReason::NoSlot
                } else {
                    DropReason::NotWaiting
                })
            }
            Some(State::Sent(word) | State::Abandoned(word)) if word.pack() != raw => {
                Outcome::Drop(DropReason::OtherWord)
            }
            Some(State::Sent(_)) => self.settle(index, Reply::Result(result)),
            Some(State::Abandoned(_)) => self.settle(index, Reply::Result(result)),
        }
    }

    /// Whether the call with this word still waits for its answer.
    ///
    /// False after the answer, after `kill`, and for words of calls that have ended.
    pub fn is_pending(&self, word: ContextWord) -> bool {
        matches!(
            self.state(word.slot()),
            Some(State::Prepared(own) | State::Sent(own) | State::Abandoned(own)) if own == word
        )
    }

    /// Whether the slot with this index has a call that waits for its answer.
    pub fn is_open(&self, index: usize) -> bool {
        matches!(
            self.state(index),
            Some(State::Prepared(_) | State::Sent(_) | State::Abandoned(_))
        )
    }

    /// Takes the answer to a call, if it is there, and frees the slot.
    pub fn take(&mut self, word: ContextWord) -> Option<Reply> {
        match self.state(word.slot()) {
            Some(State::Done(own, reply)) if own == word => {
                self.set(word.slot(), State::Free);
                Some(reply)
            }
            _ => None,
        }
    }

    /// Stops waiting for a sent call.
    pub fn abandon(&mut self, word: ContextWord) -> Abandon {
        if let Some(reply) = self.take(word) {
            return Abandon::AlreadyDone(reply);
        }
        match self.state(word.slot()) {
            Some(State::Sent(own)) if own == word => {
                self.set(word.slot(), State::Abandoned(word));
                Abandon::Abandoned
            }
            _ => Abandon::Unknown,
        }
    }

    /// Frees the slot of a call, because the process that it was made for is gone: no answer will
    /// come. Gives false if the call has ended before.
    ///
    /// Should an answer come all the same, it finds no waiting slot, or one with another word.
    pub fn retire(&mut self, word: ContextWord) -> bool {
        match self.state(word.slot()) {
            Some(State::Sent(own) | State::Done(own, _) | State::Abandoned(own)) if own == word => {
                self.set(word.slot(), State::Free);
                true
            }
            _ => false,
        }
    }

    /// Ends all calls, because the channel is gone, and lets no new one begin.
    ///
    /// `f` learns of each slot what [`SlotTable::respond`] would have said: [`Outcome::Wake`] for
    /// sent calls, [`Outcome::Settled`] for abandoned ones. Calls that are prepared end in
    /// `mark_sent`; calls that are done keep their reply. A second call finds nothing to do.
    pub fn kill(&mut self, mut f: impl FnMut(Outcome)) {
        self.dead = true;
        for index in 1..=self.capacity() {
            if let Some(State::Sent(_) | State::Abandoned(_)) = self.state(index) {
                f(self.settle(index, Reply::Gone));
            }
        }
    }

    /// Ends the call of a sent or abandoned slot.
    fn settle(&mut self, index: usize, reply: Reply) -> Outcome {
        match self.state(index) {
            Some(State::Sent(word)) => {
                self.set(index, State::Done(word, reply));
                Outcome::Wake(index)
            }
            Some(State::Abandoned(_)) => {
                self.set(index, State::Free);
                Outcome::Settled(index)
            }
            _ => Outcome::Drop(DropReason::NotWaiting),
        }
    }

    /// Finds the next free slot after the one that was taken last.
    fn find_free(&self) -> Option<NonZeroU8> {
        let capacity = self.capacity();
        if self.in_use >= capacity {
            return None;
        }
        let last = usize::from(self.last);
        // First the slots behind the last one, then those from the start up to it.
        (last.saturating_add(1)..=capacity)
            .chain(1..=last.min(capacity))
            .find(|index| self.state(*index) == Some(State::Free))
            .and_then(|index| u8::try_from(index).ok())
            .and_then(NonZeroU8::new)
    }

    fn state(&self, index: usize) -> Option<State> {
        self.storage
            .get(..TABLE_LEN.min(self.storage.len()))?
            .get(index)
            .map(|slot| slot.0)
    }

    /// Changes the state of a slot and counts.
    fn set(&mut self, index: usize, state: State) {
        if let Some(slot) = self.storage.get_mut(index) {
            let was_free = slot.0 == State::Free;
            let is_free = state == State::Free;
            slot.0 = state;
            // INVARIANT: each change from or to free is counted once.
            match (was_free, is_free) {
                (true, false) => self.in_use = self.in_use.saturating_add(1),
                (false, true) => self.in_use = self.in_use.saturating_sub(1),
                _ => {}
            }
        }
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
mod tests;
