// SPDX-License-Identifier: GPL-2.0 OR MIT
//! A client of the calculator module, the example of the DSP's SDK.
//!
//! It shows how a DSP module is called: `in[0]` holds the length of the sequence
//! that follows in `in[1]`, `out[0]` the result.

use crate::error::{Error, Operation, Result};
use crate::module::Module;
use crate::session::Session;

/// Name of the module for the DSP's loader.
pub const URI: &str =
    "file:///libcalculator_skel.so?calculator_skel_handle_invoke&_modver=1.0&_idlver=1.2.3";

/// Most numbers of one call: 512 KiB of data, which the
/// driver carries without allocating memory. Longer lists take several calls.
pub const NUMBERS_PER_CALL: usize = 1 << 17;

const SUM: u32 = 2;
const MAX: u32 = 3;

/// The calculator, loaded into a session.
#[derive(Debug)]
pub struct Calculator<'s> {
    module: Module<'s>,
}

impl<'s> Calculator<'s> {
    /// Loads the module, see [`Module::open`].
    pub fn open(session: &'s Session) -> Result<Self> {
        Ok(Self {
            module: Module::open(session, URI)?,
        })
    }

    /// The sum of `numbers`, computed on the DSP; 0 for an empty list.
    ///
    /// One call for every [`NUMBERS_PER_CALL`] numbers, whose sums are added up
    /// here. `progress` is told after every call how many numbers it carried.
    pub fn sum_with(&self, numbers: &[i32], mut progress: impl FnMut(usize)) -> Result<i64> {
        let operation = Operation::Invoke {
            handle: self.module.handle(),
            method: SUM,
        };
        sum_of_parts(operation, numbers, NUMBERS_PER_CALL, |part| {
            let sum = self.call(SUM, part).map(i64::from_le_bytes)?;
            progress(part.len());
            Ok(sum)
        })
    }

    /// [`Calculator::sum_with`] without progress.
    pub fn sum(&self, numbers: &[i32]) -> Result<i64> {
        self.sum_with(numbers, |_| ())
    }

    /// The largest of `numbers`, found by the DSP; `None` for an empty list, for
    /// which nothing is sent. `progress` as in [`Calculator::sum_with`].
    pub fn max_with(
        &self,
        numbers: &[i32],
        mut progress: impl FnMut(usize),
    ) -> Result<Option<i32>> {
        max_of_parts(numbers, NUMBERS_PER_CALL, |part| {
            let max = self.call(MAX, part).map(i32::from_le_bytes)?;
            progress(part.len());
            Ok(max)
        })
    }

    /// [`Calculator::max_with`] without progress.
    pub fn max(&self, numbers: &[i32]) -> Result<Option<i32>> {
        self.max_with(numbers, |_| ())
    }

    /// Number of calls that a list of `numbers` elements takes.
    pub fn calls_for(numbers: usize) -> usize {
        numbers.div_ceil(NUMBERS_PER_CALL)
    }

    /// Unloads the module.
    pub fn close(self) -> Result<()> {
        self.module.close()
    }

    fn call<const N: usize>(&self, method: u32, numbers: &[i32]) -> Result<[u8; N]> {
        let count = u32::try_from(numbers.len())
            .map_err(|_| Error::Argument("too many numbers for one call"))?;
        let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let mut answer = [0; N];
        self.module
            .invoke(method, &[&count.to_le_bytes(), &data], &mut [&mut answer])?;
        Ok(answer)
    }
}

/// Adds up the sums of the parts. The parts' sums come from the DSP and may be
/// anything, hence the check.
fn sum_of_parts(
    operation: Operation,
    numbers: &[i32],
    part_size: usize,
    mut sum: impl FnMut(&[i32]) -> Result<i64>,
) -> Result<i64> {
    let mut total = 0i64;
    for part in numbers.chunks(part_size) {
        total = total.checked_add(sum(part)?).ok_or(Error::Protocol {
            operation,
            what: "the sums of the parts do not fit 64 bits",
        })?;
    }
    Ok(total)
}

/// The largest of the largest of the parts.
fn max_of_parts(
    numbers: &[i32],
    part_size: usize,
    mut max: impl FnMut(&[i32]) -> Result<i32>,
) -> Result<Option<i32>> {
    let mut largest = None;
    for part in numbers.chunks(part_size) {
        largest = largest.max(Some(max(part)?));
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Operation = Operation::Invoke {
        handle: 0x21,
        method: SUM,
    };

    fn cpu_sum(part: &[i32]) -> Result<i64> {
        Ok(part.iter().copied().map(i64::from).sum())
    }

    fn cpu_max(part: &[i32]) -> Result<i32> {
        Ok(part.iter().copied().max().expect("parts are not empty"))
    }

    #[test]
    fn parts_cover_the_list_once() {
        let numbers: Vec<i32> = (-7..1000).collect();
        for part_size in [1, 2, 3, 999, 1006, 1007, 1008, 5000] {
            let mut seen = Vec::new();
            let total = sum_of_parts(CALL, &numbers, part_size, |part| {
                assert!(part.len() <= part_size && !part.is_empty());
                seen.extend_from_slice(part);
                cpu_sum(part)
            });
            assert_eq!(seen, numbers, "{part_size}");
            assert_eq!(total.unwrap(), 499_500 - 28, "{part_size}");
            assert_eq!(
                max_of_parts(&numbers, part_size, cpu_max).unwrap(),
                Some(999),
                "{part_size}"
            );
        }
    }

    #[test]
    fn negative_lists_have_a_negative_maximum() {
        assert_eq!(
            max_of_parts(&[-5, -3, i32::MIN], 2, cpu_max).unwrap(),
            Some(-3)
        );
        assert_eq!(
            max_of_parts(&[i32::MIN], 2, cpu_max).unwrap(),
            Some(i32::MIN)
        );
    }

    #[test]
    fn an_empty_list_sends_nothing() {
        let never = |_: &[i32]| -> Result<i64> { panic!("a call for nothing") };
        assert_eq!(sum_of_parts(CALL, &[], 4, never).unwrap(), 0);
        let never = |_: &[i32]| -> Result<i32> { panic!("a call for nothing") };
        assert_eq!(max_of_parts(&[], 4, never).unwrap(), None);
    }

    #[test]
    fn sums_that_do_not_fit_are_refused_not_wrapped() {
        let error = sum_of_parts(CALL, &[1, 2], 1, |_| Ok(i64::MAX)).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    }

    #[test]
    fn the_number_of_calls_is_rounded_up() {
        assert_eq!(Calculator::calls_for(0), 0);
        assert_eq!(Calculator::calls_for(1), 1);
        assert_eq!(Calculator::calls_for(NUMBERS_PER_CALL), 1);
        assert_eq!(Calculator::calls_for(NUMBERS_PER_CALL + 1), 2);
    }
}
