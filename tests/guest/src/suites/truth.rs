// SPDX-License-Identifier: GPL-2.0
//! The stock driver against the simulated DSP.
//!
//! If simulator and qda agreed on a mistake, every other suite would still pass. The stock
//! `fastrpc.ko` knows nothing of either, so what it can run is right. Its known weaknesses (see
//! the notes on the stock driver in the description of the firmware) are left alone here.

mod buffers;

use crate::dsp;
use crate::harness::{
    case,
    Outcome,
    Suite, //
};
use crate::{
    ensure_eq,
    legacy, //
};

pub const SUITE: Suite = Suite {
    name: "truth",
    restore: None,
    cases: &[
        case("stock_calculator", "T179, T180", calculator),
        case("stock_echo", "T179, T180", echo),
        case("stock_two_dsps", "T179, T180", two_dsps),
        case("stock_filter", "T10, T179", buffers::filter),
        case("stock_arguments", "T10, T179", buffers::arguments),
        case("stock_scattered", "T92, T179", buffers::scattered),
        case("stock_heap", "T101, T179", buffers::heap),
        case("stock_mem_map", "T179", buffers::mem_map),
        case("stock_handles", "T13, T179", buffers::handles),
    ],
};

const CDSP: &str = "/dev/fastrpc-cdsp";
const ADSP: &str = "/dev/fastrpc-adsp";

fn calculator() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let handle = file.module("calculator")?;
    let thousand: Vec<i32> = (0..1000).collect();
    ensure_eq!(file.sum(handle, &thousand), (0, 499_500), "sum of 0..999");
    ensure_eq!(file.max(handle, &thousand), (0, 999), "maximum of 0..999");
    for numbers in [
        vec![0],
        vec![i32::MIN, -1],
        vec![5; 5000],
        vec![i32::MAX; 33],
    ] {
        let sum: i64 = numbers.iter().map(|&n| i64::from(n)).sum();
        let max = numbers.iter().copied().max().unwrap_or(0);
        ensure_eq!(file.sum(handle, &numbers), (0, sum), "sum");
        ensure_eq!(file.max(handle, &numbers), (0, max), "maximum");
    }
    ensure_eq!(file.unload(handle), (0, 0), "close of the module");
    Ok(())
}

fn echo() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let handle = file.module("echo")?;
    for (seed, size) in [1, 127, 128, 129, 4095, 4096, 4097, 1 << 20]
        .into_iter()
        .enumerate()
    {
        file.echo(handle, &dsp::pattern(size, seed as u32))?;
    }
    Ok(())
}

fn two_dsps() -> Outcome {
    let one = legacy::with_process(CDSP)?;
    let other = legacy::with_process(ADSP)?;
    let first = one.module("calculator")?;
    let second = other.module("calculator")?;
    for n in 0..20 {
        ensure_eq!(
            one.sum(first, &[n, 1]),
            (0, i64::from(n) + 1),
            "sum on the cdsp"
        );
        ensure_eq!(
            other.max(second, &[n, 7]),
            (0, n.max(7)),
            "maximum on the adsp"
        );
    }
    Ok(())
}
