// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The call slots against a model, in random order and from several threads.

use std::collections::HashSet;
use std::sync::{mpsc, Condvar, Mutex};
use std::thread;

use fastrpc_proto::context::{ContextWord, Pd, Sequence};
use fastrpc_proto::errors::DspResult;
use fastrpc_proto::slots::{
    Abandon, Outcome, PrepareError, Reply, SendError, Slot, SlotTable, TABLE_LEN,
};
use proptest::prelude::*;

use crate::config;

/// What can happen to a call. Numbers choose one of all calls ever made, so that answers are late,
/// early and repeated by themselves.
#[derive(Clone, Debug)]
enum Op {
    Prepare(Pd),
    Send(usize),
    Rollback(usize),
    Respond(usize, i32),
    Flip(usize, u32),
    Junk(u64),
    Take(usize),
    Abandon(usize),
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    // Mostly one of the last calls.
    let call = || prop_oneof![3 => 0_usize..5, 1 => 0_usize..400];
    let pd = prop::sample::select(vec![Pd::Root, Pd::User, Pd::Sensors]);
    prop_oneof![
        30 => pd.prop_map(Op::Prepare),
        30 => call().prop_map(Op::Send),
        3 => call().prop_map(Op::Rollback),
        25 => (call(), any::<i32>()).prop_map(|(call, result)| Op::Respond(call, result)),
        5 => (call(), 0_u32..64).prop_map(|(call, bit)| Op::Flip(call, bit)),
        2 => any::<u64>().prop_map(Op::Junk),
        20 => call().prop_map(Op::Take),
        8 => call().prop_map(Op::Abandon),
        1 => Just(Op::Kill),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Prepared,
    Sent,
    Done(Reply),
    Abandoned,
    Ended,
}

/// All calls ever made; no slots, no indexes, no reuse.
struct Model {
    calls: Vec<(ContextWord, State)>,
    capacity: usize,
    dead: bool,
}

impl Model {
    fn live(&self) -> usize {
        let ended = |call: &&(ContextWord, State)| call.1 != State::Ended;
        self.calls.iter().filter(ended).count()
    }

    /// The call `back` calls ago.
    fn pick(&self, back: usize) -> Option<usize> {
        self.calls.len().checked_sub(back + 1)
    }

    fn respond(&mut self, raw: u64, result: i32) -> Outcome {
        let Some((word, state)) = self.calls.iter_mut().find(|call| call.0.pack() == raw) else {
            // Which reason is not the model's business.
            return Outcome::Drop(fastrpc_proto::slots::DropReason::NoSlot);
        };
        match *state {
            State::Sent => {
                *state = State::Done(Reply::Result(DspResult::new(result)));
                Outcome::Wake(word.slot())
            }
            State::Abandoned => {
                *state = State::Ended;
                Outcome::Settled(word.slot())
            }
            _ => Outcome::Drop(fastrpc_proto::slots::DropReason::NoSlot),
        }
    }
}

fn same(ours: Outcome, model: Outcome) -> bool {
    match (ours, model) {
        (Outcome::Drop(_), Outcome::Drop(_)) => true,
        (ours, model) => ours == model,
    }
}

fn step(table: &mut SlotTable<Vec<Slot>>, model: &mut Model, op: &Op) -> Result<(), TestCaseError> {
    match *op {
        Op::Prepare(pd) => {
            let expected = match (model.dead, model.live() == model.capacity) {
                (true, _) => Err(PrepareError::Dead),
                (false, true) => Err(PrepareError::Full),
                (false, false) => Ok(()),
            };
            let word = table.prepare(pd);
            prop_assert_eq!(word.map(|_| ()), expected);
            if let Ok(word) = word {
                prop_assert_eq!(word.pd(), pd);
                prop_assert!((1..=model.capacity).contains(&word.slot()));
                for (other, state) in &model.calls {
                    prop_assert_ne!(*other, word, "a word names one call for ever");
                    prop_assert!(*state == State::Ended || other.slot() != word.slot());
                }
                model.calls.push((word, State::Prepared));
            }
        }
        Op::Junk(raw) => {
            let expected = model.respond(raw, 0);
            prop_assert!(same(table.respond(raw, DspResult::SUCCESS), expected));
        }
        Op::Kill => {
            let mut expected = HashSet::new();
            for (word, state) in &mut model.calls {
                match *state {
                    State::Sent => {
                        *state = State::Done(Reply::Gone);
                        expected.insert((word.slot(), true));
                    }
                    State::Abandoned => {
                        *state = State::Ended;
                        expected.insert((word.slot(), false));
                    }
                    _ => {}
                }
            }
            let mut told = Vec::new();
            table.kill(|outcome| match outcome {
                Outcome::Wake(index) => told.push((index, true)),
                Outcome::Settled(index) => told.push((index, false)),
                Outcome::Drop(_) => told.push((0, false)),
            });
            prop_assert_eq!(told.len(), expected.len());
            prop_assert_eq!(told.into_iter().collect::<HashSet<_>>(), expected);
            model.dead = true;
        }
        Op::Send(back)
        | Op::Rollback(back)
        | Op::Respond(back, _)
        | Op::Flip(back, _)
        | Op::Take(back)
        | Op::Abandon(back) => {
            if let Some(call) = model.pick(back) {
                step_call(table, model, op, call)?;
            }
        }
    }
    Ok(())
}

fn step_call(
    table: &mut SlotTable<Vec<Slot>>,
    model: &mut Model,
    op: &Op,
    call: usize,
) -> Result<(), TestCaseError> {
    let (word, state) = model.calls[call];
    let dead = model.dead;
    let mut set = |state| model.calls[call].1 = state;
    match *op {
        Op::Send(_) => {
            let expected = match (state, dead) {
                (State::Prepared, false) => {
                    set(State::Sent);
                    Ok(())
                }
                (State::Prepared, true) => {
                    set(State::Ended);
                    Err(SendError::Dead)
                }
                _ => Err(SendError::NotPrepared),
            };
            prop_assert_eq!(table.mark_sent(word), expected);
        }
        Op::Rollback(_) => {
            let expected = matches!(state, State::Prepared | State::Sent);
            if expected {
                set(State::Ended);
            }
            prop_assert_eq!(table.rollback(word), expected);
        }
        Op::Respond(_, result) => {
            let expected = model.respond(word.pack(), result);
            prop_assert!(same(
                table.respond(word.pack(), DspResult::new(result)),
                expected
            ));
        }
        Op::Flip(_, bit) => {
            let raw = word.pack() ^ (1 << bit);
            let expected = model.respond(raw, 1);
            prop_assert!(same(table.respond(raw, DspResult::new(1)), expected));
        }
        Op::Take(_) => {
            let expected = match state {
                State::Done(reply) => {
                    set(State::Ended);
                    Some(reply)
                }
                _ => None,
            };
            prop_assert_eq!(table.take(word), expected);
        }
        Op::Abandon(_) => {
            let expected = match state {
                State::Sent => {
                    set(State::Abandoned);
                    Abandon::Abandoned
                }
                State::Done(reply) => {
                    set(State::Ended);
                    Abandon::AlreadyDone(reply)
                }
                _ => Abandon::Unknown,
            };
            prop_assert_eq!(table.abandon(word), expected);
        }
        Op::Prepare(_) | Op::Junk(_) | Op::Kill => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(300))]

    // covers: T36, T37, T38, T39, T40, T42, T43, T45, T52, T62
    #[test]
    fn random_orders(
        len in 2_usize..7,
        first in prop_oneof![Just(1), Just(Sequence::MAX), Just(Sequence::MAX - 7)],
        ops in prop::collection::vec(op(), 1..if cfg!(miri) { 40 } else { 250 }),
    ) {
        let first = Sequence::new(first).expect("all three are in range");
        let mut table = SlotTable::with_sequence(vec![Slot::FREE; len], first);
        let mut model = Model { calls: Vec::new(), capacity: len - 1, dead: false };
        for op in &ops {
            step(&mut table, &mut model, op)?;
            prop_assert_eq!(table.in_use(), model.live());
            prop_assert_eq!(table.is_dead(), model.dead);
            for (word, state) in &model.calls {
                let pending = matches!(state, State::Prepared | State::Sent | State::Abandoned);
                prop_assert_eq!(table.is_pending(*word), pending);
            }
        }
    }
}

/// A channel as the engine builds it: one lock, one place to sleep, one DSP.
struct Channel {
    table: Mutex<SlotTable<Vec<Slot>>>,
    wake: Condvar,
}

impl Channel {
    /// A call: the DSP gets the word while the lock is free, as over a real transport.
    fn call(&self, dsp: &mpsc::Sender<u64>) -> Result<(ContextWord, Reply), PrepareError> {
        let word = {
            let mut table = self.table.lock().expect("nobody panics under the lock");
            let word = table.prepare(Pd::User)?;
            table.mark_sent(word).expect("the slot is prepared");
            word
        };
        dsp.send(word.pack()).expect("the DSP outlives all calls");
        let mut table = self.table.lock().expect("nobody panics under the lock");
        loop {
            if let Some(reply) = table.take(word) {
                return Ok((word, reply));
            }
            assert!(table.is_pending(word));
            table = self.wake.wait(table).expect("nobody panics under the lock");
        }
    }

    fn answer(&self, raw: u64) {
        let result = DspResult::from_bits((raw >> 16) as u32);
        let mut table = self.table.lock().expect("nobody panics under the lock");
        if let Outcome::Wake(_) = table.respond(raw, result) {
            self.wake.notify_all();
        }
    }
}

// Callers on several threads, a DSP that answers in bursts, in reverse order and each call twice:
// every caller gets the answer to its own call.
// covers: T37, T38, T45, T62, T145, T148
#[test]
fn answers_reach_their_own_callers() {
    const CALLERS: usize = 4;
    let calls = if cfg!(miri) { 5 } else { 2000 };
    let channel = Channel {
        table: Mutex::new(SlotTable::new(vec![Slot::FREE; 4])),
        wake: Condvar::new(),
    };
    let (dsp, requests) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let requests = requests;
            while let Ok(first) = requests.recv() {
                let mut burst = vec![first];
                burst.extend(requests.try_iter());
                for raw in burst.iter().rev().chain(&burst) {
                    channel.answer(*raw);
                }
            }
        });
        for _ in 0..CALLERS {
            let (dsp, channel) = (dsp.clone(), &channel);
            scope.spawn(move || {
                for _ in 0..calls {
                    // Three slots for four callers: now and then there is none.
                    let (word, reply) = loop {
                        match channel.call(&dsp) {
                            Ok(done) => break done,
                            Err(PrepareError::Full) => thread::yield_now(),
                            Err(PrepareError::Dead) => panic!("nobody killed the channel"),
                        }
                    };
                    let result = DspResult::from_bits(word.sequence().get() as u32);
                    assert_eq!(reply, Reply::Result(result));
                }
            });
        }
        drop(dsp);
    });
    let table = channel.table.lock().expect("all threads have ended");
    assert_eq!(table.in_use(), 0);
}

// A late answer after 300 further calls, and all old words again.
// covers: T36
#[test]
fn a_replay_of_the_past_changes_nothing() {
    let mut table = SlotTable::new(vec![Slot::FREE; TABLE_LEN]);
    let late = table.prepare(Pd::User).expect("the table is empty");
    table.mark_sent(late).expect("the slot is prepared");
    assert_eq!(table.abandon(late), Abandon::Abandoned);

    let mut past = Vec::new();
    for _ in 0..600 {
        let word = table.prepare(Pd::User).expect("there is room");
        table.mark_sent(word).expect("the slot is prepared");
        assert_ne!(word.slot(), late.slot());
        for old in &past {
            let outcome = table.respond(ContextWord::pack(*old), DspResult::SUCCESS);
            assert!(matches!(outcome, Outcome::Drop(_)));
        }
        assert!(table.is_pending(word));
        assert_eq!(
            table.respond(word.pack(), DspResult::SUCCESS),
            Outcome::Wake(word.slot())
        );
        assert!(table.take(word).is_some());
        if !cfg!(miri) || past.len() < 20 {
            past.push(word);
        }
    }
    assert_eq!(table.in_use(), 1);
    let outcome = table.respond(late.pack(), DspResult::SUCCESS);
    assert_eq!(outcome, Outcome::Settled(late.slot()));
    assert_eq!(table.in_use(), 0);
}
