// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The job: sum and maximum on the DSP, and the same on the CPU.

use indicatif::{ProgressBar, ProgressStyle};
use qda::calculator::Calculator;
use qda::Session;

/// What is to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Sum,
    Max,
    Both,
}

/// One result of DSP and CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub name: &'static str,
    pub dsp: i64,
    pub cpu: i64,
}

impl Pair {
    pub fn agree(&self) -> bool {
        self.dsp == self.cpu
    }
}

/// All results of a job.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many numbers there were.
    pub count: usize,
    /// Remote calls to the calculator, without those that load and unload it.
    pub calls: usize,
    pub results: Vec<Pair>,
}

/// Runs the job in `session`. `numbers` is not empty.
pub fn run(session: &Session, numbers: &[i32], wanted: Wanted) -> qda::Result<Outcome> {
    let methods = if wanted == Wanted::Both { 2 } else { 1 };
    let calls = methods * Calculator::calls_for(numbers.len());
    let progress = bar(calls, methods * numbers.len());

    let calculator = Calculator::open(session)?;
    let mut results = Vec::new();
    if wanted != Wanted::Max {
        results.push(Pair {
            name: "sum",
            dsp: calculator.sum_with(numbers, |done| progress.inc(done as u64))?,
            cpu: cpu_sum(numbers),
        });
    }
    if wanted != Wanted::Sum {
        let dsp = calculator.max_with(numbers, |done| progress.inc(done as u64))?;
        if let (Some(dsp), Some(cpu)) = (dsp, cpu_max(numbers)) {
            results.push(Pair {
                name: "maximum",
                dsp: dsp.into(),
                cpu: cpu.into(),
            });
        }
    }
    calculator.close()?;
    progress.finish_and_clear();
    Ok(Outcome {
        count: numbers.len(),
        calls,
        results,
    })
}

/// A progress bar on standard error for jobs of many calls. It shows nothing if
/// standard error is no terminal.
fn bar(calls: usize, numbers: usize) -> ProgressBar {
    if calls <= 4 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} numbers, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(numbers as u64).with_style(style)
}

/// Fits: at most 2^63 / 2^31 numbers would be needed to overflow, more than
/// memory holds.
fn cpu_sum(numbers: &[i32]) -> i64 {
    numbers.iter().copied().map(i64::from).sum()
}

fn cpu_max(numbers: &[i32]) -> Option<i32> {
    numbers.iter().copied().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_computes_with_64_bits() {
        assert_eq!(cpu_sum(&[i32::MAX, i32::MAX]), 4_294_967_294);
        assert_eq!(cpu_sum(&[i32::MIN, i32::MIN]), -4_294_967_296);
        assert_eq!(cpu_max(&[-3, -1, -2]), Some(-1));
    }

    #[test]
    fn progress_is_shown_for_long_jobs_only() {
        assert!(bar(2, 10).is_hidden());
        assert_eq!(bar(8, 10).length(), Some(10));
    }
}
