// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The table of outstanding calls, against a list of all calls ever made.
//!
//! Input: u8 length of the table (modulo 9), u8 where its sequence numbers begin, then operations:
//! u8 what, u8 which call (0 is the newest), and an i32 or u64 where one is needed.

#![no_main]

// covers: T36, T37, T38, T39, T40, T42, T43, T45, T62, T182

use fastrpc_proto::context::{ContextWord, Pd, Sequence};
use fastrpc_proto::errors::DspResult;
use fastrpc_proto::slots::{Abandon, Outcome, PrepareError, Reply, SendError, Slot, SlotTable};
use input::Input;

/// What has become of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Prepared,
    Sent,
    Done(Reply),
    Abandoned,
    Ended,
}

/// All calls that were ever made. It knows no slots and no reuse.
#[derive(Default)]
struct Model {
    calls: Vec<(ContextWord, State)>,
    dead: bool,
}

impl Model {
    fn live(&self) -> usize {
        let ended = |call: &&(ContextWord, State)| call.1 != State::Ended;
        self.calls.iter().filter(ended).count()
    }

    /// What an answer must do: `None` for nothing.
    fn respond(&mut self, raw: u64, result: DspResult) -> Option<Outcome> {
        let call = self.calls.iter_mut().find(|call| call.0.pack() == raw)?;
        match call.1 {
            State::Sent => {
                call.1 = State::Done(Reply::Result(result));
                Some(Outcome::Wake(call.0.slot()))
            }
            State::Abandoned => {
                call.1 = State::Ended;
                Some(Outcome::Settled(call.0.slot()))
            }
            _ => None,
        }
    }

    /// The slots whose waiters a dying channel wakes, and those that it settles.
    fn kill(&mut self) -> Vec<(bool, usize)> {
        self.dead = true;
        let mut told = Vec::new();
        for (word, state) in &mut self.calls {
            match *state {
                State::Sent => {
                    *state = State::Done(Reply::Gone);
                    told.push((true, word.slot()));
                }
                State::Abandoned => {
                    *state = State::Ended;
                    told.push((false, word.slot()));
                }
                _ => {}
            }
        }
        told.sort_unstable();
        told
    }
}

type Table = SlotTable<Vec<Slot>>;

fn prepare(table: &mut Table, model: &mut Model, pd: Pd) {
    let expected = match (model.dead, model.live() >= table.capacity()) {
        (true, _) => Err(PrepareError::Dead),
        (false, true) => Err(PrepareError::Full),
        (false, false) => Ok(()),
    };
    let word = table.prepare(pd);
    assert_eq!(word.map(drop), expected);
    if let Ok(word) = word {
        assert_eq!(word.pd(), pd);
        assert!((1..=table.capacity()).contains(&word.slot()));
        for (other, state) in &model.calls {
            assert_ne!(*other, word);
            assert!(*state == State::Ended || other.slot() != word.slot());
        }
        model.calls.push((word, State::Prepared));
    }
}

fn respond(table: &mut Table, model: &mut Model, raw: u64, result: i32) {
    let result = DspResult::new(result);
    let found = match table.respond(raw, result) {
        Outcome::Drop(_) => None,
        outcome => Some(outcome),
    };
    assert_eq!(found, model.respond(raw, result));
}

fn kill(table: &mut Table, model: &mut Model) {
    let mut told = Vec::new();
    table.kill(|outcome| match outcome {
        Outcome::Wake(slot) => told.push((true, slot)),
        Outcome::Settled(slot) => told.push((false, slot)),
        Outcome::Drop(reason) => panic!("{reason:?}"),
    });
    told.sort_unstable();
    assert_eq!(told, model.kill());
}

/// What the waiter of a call does.
fn waiter(table: &mut Table, model: &mut Model, what: u8, call: usize) {
    let dead = model.dead;
    let (word, state) = model.calls[call];
    let now = &mut model.calls[call].1;
    match what {
        0 => {
            let expected = match (state, dead) {
                (State::Prepared, true) => {
                    *now = State::Ended;
                    Err(SendError::Dead)
                }
                (State::Prepared, false) => {
                    *now = State::Sent;
                    Ok(())
                }
                _ => Err(SendError::NotPrepared),
            };
            assert_eq!(table.mark_sent(word), expected);
        }
        1 => {
            let expected = matches!(state, State::Prepared | State::Sent);
            if expected {
                *now = State::Ended;
            }
            assert_eq!(table.rollback(word), expected);
        }
        2 => {
            let expected = match state {
                State::Done(reply) => {
                    *now = State::Ended;
                    Some(reply)
                }
                _ => None,
            };
            assert_eq!(table.take(word), expected);
        }
        4 => {
            let ended = matches!(state, State::Prepared | State::Ended);
            if !ended {
                *now = State::Ended;
            }
            assert_eq!(table.retire(word), !ended);
        }
        _ => {
            let expected = match state {
                State::Sent => {
                    *now = State::Abandoned;
                    Abandon::Abandoned
                }
                State::Done(reply) => {
                    *now = State::Ended;
                    Abandon::AlreadyDone(reply)
                }
                _ => Abandon::Unknown,
            };
            assert_eq!(table.abandon(word), expected);
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let len = usize::from(input.u8() % 9);
    let first = match input.u8() {
        0 => 1,
        near => Sequence::MAX - u64::from(near - 1),
    };
    let first = Sequence::new(first).expect("between 1 and the maximum");
    let mut table = SlotTable::with_sequence(vec![Slot::FREE; len], first);
    let mut model = Model::default();

    while !input.is_empty() && model.calls.len() < 300 {
        let what = input.u8() % 16;
        let back = usize::from(input.u8());
        let call = model.calls.len().checked_sub(back + 1);
        match (what, call) {
            (0..=3, _) => {
                let pd = [Pd::Root, Pd::User, Pd::Sensors][back % 3];
                prepare(&mut table, &mut model, pd);
            }
            (4, _) => respond(&mut table, &mut model, input.u64(), 0),
            (5, _) if back == 7 => kill(&mut table, &mut model),
            (5, Some(call)) => {
                let raw = model.calls[call].0.pack() ^ (1 << (input.u8() % 64));
                respond(&mut table, &mut model, raw, 1);
            }
            (6..=8, Some(call)) => {
                let raw = model.calls[call].0.pack();
                respond(&mut table, &mut model, raw, input.i32());
            }
            (9..=10, Some(call)) => waiter(&mut table, &mut model, 0, call),
            (11, Some(call)) => waiter(&mut table, &mut model, 4, call),
            (12.., Some(call)) => waiter(&mut table, &mut model, what - 12, call),
            _ => {}
        }
        assert_eq!(table.in_use(), model.live());
        assert_eq!(table.is_dead(), model.dead);
    }
    for (word, state) in &model.calls {
        let pending = matches!(state, State::Prepared | State::Sent | State::Abandoned);
        assert_eq!(table.is_pending(*word), pending);
    }
});
