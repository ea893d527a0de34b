// SPDX-License-Identifier: GPL-2.0
//! One operation again and again, with a fault one step later each time.

use std::collections::BTreeMap;
use std::fs::{
    self,
    OpenOptions, //
};
use std::io::Write;

use super::books::Books;
use super::inject::Faults;
use crate::ensure;
use crate::harness::{
    Fail,
    Outcome, //
};
use crate::raw;

/// More points than any operation has.
const MOST: u32 = 5000;

/// Where the cases leave their numbers for the last one.
const TALLY: &str = "/tmp/qda-fault-points";

/// How the operations of a sweep are judged.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// Name of the operation.
    pub what: &'a str,
    /// The errors that a fault may end in.
    pub errors: &'a [i32],
    /// An operation without faults follows every so many points.
    pub clean_every: u32,
    /// Only every so many points are tried.
    pub step: u32,
    /// The whole books are looked at after every so many points, else all but what a worker gives back.
    pub books_every: u32,
    /// The operation tells of faults. False for those that may not fail.
    pub tells: bool,
}

/// What a memory allocation or a user copy that fails usually becomes.
const USUAL: &[i32] = &[libc::ENOMEM, libc::EFAULT];

impl<'a> Sweep<'a> {
    /// An operation whose faults end in ENOMEM or EFAULT.
    pub fn of(what: &'a str) -> Self {
        Sweep {
            what,
            errors: USUAL,
            clean_every: 1,
            books_every: 1,
            step: 1,
            tells: true,
        }
    }

    /// The same with other errors.
    pub fn errors(self, errors: &'a [i32]) -> Self {
        Sweep { errors, ..self }
    }

    /// The same with fewer operations without faults between the points.
    pub fn clean_every(self, clean_every: u32) -> Self {
        Sweep {
            clean_every,
            ..self
        }
    }

    /// The same with operations that leave foreign buffers to the driver's worker, which takes its
    /// time.
    pub fn foreign(self) -> Self {
        Sweep {
            clean_every: 4,
            books_every: 12,
            ..self
        }
    }

    /// The same with fewer points.
    pub fn step(self, step: u32) -> Self {
        Sweep { step, ..self }
    }

    /// An operation that never fails, whatever the fault. It may have none.
    pub fn never_fails(self) -> Self {
        Sweep {
            errors: &[],
            tells: false,
            ..self
        }
    }

    /// Lets the 1st, 2nd, ... fault happen in an operation until it runs through without one.
    ///
    /// `prepare` makes what one operation needs, `operate` makes one system call and gives its
    /// value or a negative errno, `settle` looks at what came of it and takes it back. After that
    /// the books must be as before the sweep.
    pub fn run<S>(
        &self,
        mut prepare: impl FnMut() -> Result<S, Fail>,
        mut operate: impl FnMut(&mut S) -> i64,
        mut settle: impl FnMut(S, i64) -> Outcome,
    ) -> Outcome {
        let faults = Faults::of_this_thread()?;
        // What is only made once, such as caches of the kernel, is made now.
        let clean = |prepare: &mut dyn FnMut() -> Result<S, Fail>,
                     operate: &mut dyn FnMut(&mut S) -> i64,
                     settle: &mut dyn FnMut(S, i64) -> Outcome|
         -> Outcome {
            let mut state = prepare()?;
            let value = operate(&mut state);
            ensure!(value >= 0, "without a fault: {}", raw::show(value));
            settle(state, value)
        };
        let before = Books::read()?;
        clean(&mut prepare, &mut operate, &mut settle)
            .and_then(|()| before.are_back())
            .map_err(|why| format!("{}: {why}", self.what))?;
        let mut points = 0;
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        let mut n = 1;
        loop {
            let mut step = || -> Result<(i64, bool), Fail> {
                let mut state = prepare()?;
                let (value, injected) = faults.inject(n, || operate(&mut state))?;
                let good = value >= 0;
                let allowed = injected && self.errors.iter().any(|&e| value == -i64::from(e));
                ensure!(good || allowed, "it gave {}", raw::show(value));
                settle(state, value).map_err(|why| {
                    Fail::from(format!("after it gave {}: {why}", raw::show(value)))
                })?;
                if points % self.clean_every == 0 && injected {
                    clean(&mut prepare, &mut operate, &mut settle)
                        .map_err(|why| format!("then {why}"))?;
                }
                let back = if points % self.books_every == 0 || !injected {
                    before.are_back()
                } else {
                    before.are_nearly_back()
                };
                back.map_err(|why| {
                    Fail::from(format!("after it gave {}: {why}", raw::show(value)))
                })?;
                Ok((value, injected))
            };
            let (value, injected) =
                step().map_err(|why| format!("{}, fault {n}: {why}", self.what))?;
            if !injected {
                break;
            }
            points += 1;
            let end = if value < 0 {
                raw::show(value)
            } else {
                "done all the same".to_string()
            };
            *ends.entry(end).or_default() += 1;
            n += self.step;
            ensure!(n < MOST, "{}: no end after {n} faults", self.what);
        }
        let told = ends.keys().any(|end| end.starts_with('-'));
        let ends: Vec<String> = ends
            .into_iter()
            .map(|(end, times)| format!("{times} {end}"))
            .collect();
        println!(
            "{}: {points} points ({}), through at {n}",
            self.what,
            ends.join(", ")
        );
        ensure!(told || !self.tells, "{}: no fault did anything", self.what);
        note(self.what, points)
    }
}

/// Leaves the number of points of an operation for [`total`].
pub fn note(what: &str, points: u32) -> Outcome {
    let mut file = OpenOptions::new().create(true).append(true).open(TALLY)?;
    writeln!(file, "{points} {what}")?;
    Ok(())
}

/// Operations and points of all cases since the guest was started.
pub fn total() -> Result<(usize, u64), Fail> {
    let text = fs::read_to_string(TALLY).map_err(|error| format!("{TALLY}: {error}"))?;
    let points = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.0.parse::<u64>().ok())
        .sum();
    Ok((text.lines().count(), points))
}
