// SPDX-License-Identifier: GPL-2.0
//! Calls with well-formed arguments: every value and every byte is compared.

use super::CDSP;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::harness::{
    case,
    Fail,
    Outcome,
    Suite, //
};
use crate::mem::{
    Area,
    PAGE, //
};
use crate::raw;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

pub const SUITE: Suite = Suite {
    name: "call",
    restore: None,
    cases: &[
        case("calculator", "T180", calculator),
        case("calculator_twice_open", "", calculator_twice_open),
        case("echo_sizes", "T10, T103, T180", echo_sizes),
        case("echo_counts", "T12, T21", echo_counts),
        case("echo_every_offset", "T10", echo_every_offset),
        case("echo_large", "T10", echo_large),
        case("mixed_empty", "T11", mixed_empty),
        case("overlapping_inputs", "T1", overlapping_inputs),
        case("overlapping_outputs", "T1", overlapping_outputs),
        case("in_place", "T1", in_place),
        case("raw_results", "T149", raw_results),
        case("outputs_with_error", "T149", outputs_with_error),
        case("loader_errors", "", loader_errors),
        case("open_flags", "T59", open_flags),
    ],
};

fn calculator() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("calculator")?;
    let thousand: Vec<i32> = (0..1000).collect();
    ensure_eq!(file.sum(handle, &thousand), (0, 499_500), "sum of 0..999");
    ensure_eq!(file.max(handle, &thousand), (0, 999), "maximum of 0..999");
    ensure_eq!(file.sum(handle, &[]), (0, 0), "sum of nothing");
    // Nothing has no maximum: "bad parameter", and the output keeps what the driver cleared.
    ensure_eq!(
        file.max(handle, &[]),
        (raw::as_returned(0x8000_040e), 0),
        "maximum of nothing"
    );

    let lists: [&[i32]; 7] = [
        &[0],
        &[-1],
        &[i32::MAX],
        &[i32::MIN],
        &[i32::MIN, i32::MIN, i32::MIN],
        &[i32::MAX, i32::MAX, 1],
        &[7, -7, 12, 3, -2_000_000_000, 5],
    ];
    for numbers in lists {
        check_numbers(&file, handle, numbers)?;
    }
    for length in [2, 31, 32, 33, 1023, 1024, 1025, 100_000] {
        let numbers: Vec<i32> = dsp::pattern(4 * length, length as u32)
            .chunks_exact(4)
            .map(|four| dsp::u32_at(four, 0) as i32)
            .collect();
        check_numbers(&file, handle, &numbers)?;
    }
    Ok(())
}

/// Compares both methods of the calculator with this CPU.
fn check_numbers(file: &File, handle: u32, numbers: &[i32]) -> Outcome {
    let sum: i64 = numbers.iter().map(|&n| i64::from(n)).sum();
    let max = numbers.iter().copied().max().unwrap_or(0);
    let count = numbers.len();
    ensure_eq!(
        file.sum(handle, numbers),
        (0, sum),
        "sum of {count} numbers"
    );
    ensure_eq!(
        file.max(handle, numbers),
        (0, max),
        "maximum of {count} numbers"
    );
    Ok(())
}

/// The same module opened twice has two handles; closing one leaves the other.
fn calculator_twice_open() -> Outcome {
    let file = File::with_process(CDSP)?;
    let first = file.module("calculator")?;
    let second = file.module("calculator")?;
    ensure!(first != second, "both openings have handle {first}");
    ensure!(first > 20 && second > 20, "handles {first}, {second}");
    ensure_eq!(file.unload(first), (0, 0), "close of the first");
    ensure_eq!(
        file.sum(second, &[20, 22]),
        (0, 42),
        "second after close of the first"
    );
    let value = file.sum(first, &[1]).0;
    ensure!(value != 0, "a closed handle still works");
    Ok(())
}

const SIZES: &[usize] = &[
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    127,
    128,
    129,
    255,
    4095,
    4096,
    4097,
    8191,
    8192,
    8193,
    65_535,
    65_536,
    65_537,
    1 << 20,
];

fn echo_sizes() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    for (round, &size) in SIZES.iter().enumerate() {
        file.echo(handle, &dsp::pattern(size, round as u32))?;
    }
    // Downwards, so that a small call follows a large one in the same memory.
    for (round, &size) in SIZES.iter().enumerate().rev() {
        file.echo(handle, &dsp::pattern(size, 1000 + round as u32))?;
    }
    Ok(())
}

/// Makes one echo call with the given input buffers and compares all outputs.
fn echo_all(file: &File, handle: u32, inputs: &[Vec<u8>]) -> Outcome {
    let mut outputs: Vec<Vec<u8>> = inputs
        .iter()
        .map(|data| data.iter().map(|byte| !byte).collect())
        .collect();
    let mut call = Call::new(2);
    for data in inputs {
        call = call.input(data);
    }
    for data in &mut outputs {
        call = call.output(data);
    }
    ensure_ret!(
        call.on(file.raw(), handle),
        0,
        "echo of {} buffers",
        inputs.len()
    );
    for (number, (input, output)) in inputs.iter().zip(&outputs).enumerate() {
        dsp::same(input, output)
            .map_err(|why| format!("buffer {number} of {}: {why}", inputs.len()))?;
    }
    Ok(())
}

fn echo_counts() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    for count in [0, 1, 2, 3, 63, 64, 127, 128, 254, 255] {
        for size in [1, 100, 129] {
            let inputs: Vec<_> = (0..count)
                .map(|n| dsp::pattern(size + n % 7, (count * 1000 + n) as u32))
                .collect();
            echo_all(&file, handle, &inputs)?;
        }
    }
    let pages: Vec<_> = (0..255).map(|n| dsp::pattern(4096, n)).collect();
    echo_all(&file, handle, &pages)
}

/// Every alignment of the user address near a page end, with sizes that cross it or not.
fn echo_every_offset() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    let mut source = Area::new(3)?;
    let data = dsp::pattern(3 * PAGE, 5);
    source.bytes().copy_from_slice(&data);
    let mut target = Area::new(3)?;
    for offset in (0..16).chain([63, 64, 127, 128, 2047, 2048, 4088, 4095]) {
        for size in [1, 8, 129, 4096, 4097] {
            target.bytes().fill(0xaa);
            let value = Call::new(2)
                .input_at(source.start() + offset as u64, size as u64)
                .output_at(target.start() + offset as u64, size as u64)
                .on(file.raw(), handle);
            ensure_ret!(value, 0, "offset {offset}, {size} bytes");
            let got = target.bytes();
            dsp::same(&data[offset..offset + size], &got[offset..offset + size])
                .map_err(|why| format!("offset {offset}, {size} bytes: {why}"))?;
            let outside = got[..offset].iter().chain(&got[offset + size..]);
            ensure!(
                outside.into_iter().all(|&byte| byte == 0xaa),
                "offset {offset}, {size} bytes: something else was written"
            );
        }
    }
    Ok(())
}

/// Several megabytes in one call, alone and in parts.
fn echo_large() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    file.echo(handle, &dsp::pattern((4 << 20) + 1, 1))?;
    let parts: Vec<_> = (0..6)
        .map(|n| dsp::pattern((1 << 20) + n, n as u32))
        .collect();
    echo_all(&file, handle, &parts)?;
    // A small call right after it finds clean memory.
    file.echo(handle, &dsp::pattern(10, 2))
}

fn mixed_empty() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    ensure_ret!(Call::new(2).on(file.raw(), handle), 0, "no arguments");
    for seed in 0..20 {
        let choice = dsp::pattern(40, seed);
        let inputs: Vec<_> = choice
            .iter()
            .map(|&byte| {
                if byte & 1 == 0 {
                    Vec::new()
                } else {
                    dsp::pattern(byte.into(), seed)
                }
            })
            .collect();
        echo_all(&file, handle, &inputs)?;
    }
    // The address of an empty argument means nothing.
    for address in [0, 1, 0xffff_0000_0000_0000, u64::MAX] {
        let data = dsp::pattern(50, 9);
        let mut back = vec![0; 50];
        let value = Call::new(2)
            .input_at(address, 0)
            .input(&data)
            .output_at(address, 0)
            .output(&mut back)
            .on(file.raw(), handle);
        ensure_ret!(value, 0, "empty argument at {address:#x}");
        dsp::same(&data, &back)?;
    }
    let all_empty = vec![Vec::new(); 255];
    echo_all(&file, handle, &all_empty)
}

/// Start and length of ranges in four pages that overlap, nest, touch and repeat each other.
const RANGES: &[(usize, usize)] = &[
    (0, 16_384),
    (0, 1),
    (100, 200),
    (150, 200),
    (120, 10),
    (100, 200),
    (4000, 200),
    (4095, 2),
    (4096, 4096),
    (4097, 4094),
    (8000, 5000),
    (12_000, 4384),
    (16_383, 1),
];

fn overlapping_inputs() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    let data = dsp::pattern(4 * PAGE, 21);
    let orders: [Vec<_>; 2] = [
        RANGES.to_vec(),
        RANGES.iter().rev().copied().collect(), //
    ];
    for ranges in orders {
        let mut outputs: Vec<_> = ranges.iter().map(|&(_, size)| vec![0; size]).collect();
        let mut call = Call::new(2);
        for &(start, size) in &ranges {
            call = call.input(&data[start..start + size]);
        }
        for output in &mut outputs {
            call = call.output(output);
        }
        ensure_ret!(call.on(file.raw(), handle), 0, "overlapping inputs");
        for (&(start, size), output) in ranges.iter().zip(&outputs) {
            dsp::same(&data[start..start + size], output)
                .map_err(|why| format!("input at {start}, {size} bytes: {why}"))?;
        }
    }
    Ok(())
}

/// Every byte of overlapping outputs comes from one of the outputs that cover it.
fn overlapping_outputs() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    let ranges = &RANGES[1..];
    let inputs: Vec<_> = ranges
        .iter()
        .enumerate()
        .map(|(seed, &(_, size))| dsp::pattern(size, 300 + seed as u32))
        .collect();
    let mut target = vec![0x55; 5 * PAGE];
    let base = target.as_mut_ptr() as u64;
    let mut call = Call::new(2);
    for input in &inputs {
        call = call.input(input);
    }
    for &(start, size) in ranges {
        call = call.output_at(base + start as u64, size as u64);
    }
    ensure_ret!(call.on(file.raw(), handle), 0, "overlapping outputs");
    let target = std::hint::black_box(&target);
    for (at, &byte) in target.iter().enumerate() {
        let mut allowed = ranges
            .iter()
            .zip(&inputs)
            .filter(|((start, size), _)| (*start..start + size).contains(&at))
            .map(|((start, _), input)| input[at - start])
            .peekable();
        let good = match allowed.peek() {
            None => byte == 0x55,
            Some(_) => allowed.any(|one| one == byte),
        };
        ensure!(
            good,
            "byte {at} is {byte:#04x}, which belongs to no output that covers it"
        );
    }
    Ok(())
}

/// Outputs on top of inputs: inputs are taken before any output is written.
fn in_place() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("echo")?;
    let before = dsp::pattern(8000, 4);
    let mut memory = before.clone();
    let base = memory.as_mut_ptr() as u64;
    let value = Call::new(2)
        .input_at(base, 4000)
        .input_at(base + 4000, 4000)
        .output_at(base + 4000, 4000)
        .output_at(base, 4000)
        .on(file.raw(), handle);
    ensure_ret!(value, 0, "two halves exchanged");
    let after = std::hint::black_box(&memory);
    dsp::same(&before[..4000], &after[4000..])?;
    dsp::same(&before[4000..], &after[..4000])
}

/// Results of the DSP come back bit for bit; the small negative ones look like an errno.
fn raw_results() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("fail")?;
    let results = [
        0,
        1,
        46,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0401,
        0x8000_040d,
        0x8000_0414,
        0xffff_f000,
        // -4095, the lowest value that looks like an errno; -512 to -516 restart system calls
        // when they come from the kernel itself.
        0xffff_f001,
        0xffff_ff01,
        (-512i32) as u32,
        (-513i32) as u32,
        (-514i32) as u32,
        (-516i32) as u32,
        (-11i32) as u32,
        (-4i32) as u32,
        0xffff_ffff,
    ];
    for result in results {
        let executions = crate::sim::counter("executions")?;
        let value = Call::new(2)
            .input(&result.to_le_bytes())
            .on(file.raw(), handle);
        ensure_ret!(value, raw::as_returned(result), "DSP result {result:#x}");
        let after = crate::sim::counter("executions")?;
        ensure_eq!(after - executions, 1, "executions for result {result:#x}");
    }
    file.still_works()
}

fn outputs_with_error() -> Outcome {
    let file = File::with_process(CDSP)?;
    let handle = file.module("fail")?;
    for result in [1, 0x8000_0401u32, 0x8000_040d, 0xffff_ffff] {
        let data = dsp::pattern(5000, result);
        let mut back = vec![0; 5000];
        let value = Call::new(2)
            .input(&result.to_le_bytes())
            .input(&data)
            .output(&mut back)
            .on(file.raw(), handle);
        ensure_ret!(value, raw::as_returned(result), "DSP result {result:#x}");
        dsp::same(&data, &back).map_err(|why| format!("output with {result:#x}: {why}"))?;
    }
    Ok(())
}

fn loader_errors() -> Outcome {
    let file = File::with_process(CDSP)?;
    let (value, _, error, text) =
        file.load("file:///libmissing_skel.so?missing_invoke&_modver=1.0");
    ensure_ret!(value, 0, "loading a module that does not exist");
    ensure_eq!(error, 0x8000_043e, "loader error");
    ensure!(!text.is_empty(), "no text for a missing module");
    let value = Call::new(2).on(file.raw(), 0x7777_7777);
    ensure_ret!(
        value,
        raw::as_returned(0x8000_042c),
        "call of an unknown handle"
    );
    let echo = file.module("echo")?;
    ensure_eq!(file.unload(echo), (0, 0), "close");
    let value = Call::new(2).on(file.raw(), echo);
    ensure_ret!(
        value,
        raw::as_returned(0x8000_042c),
        "call of a closed handle"
    );
    let (value, error) = file.unload(echo);
    ensure!(value != 0 || error != 0, "a handle can be closed twice");
    file.still_works()
}

/// The flags of open() change nothing.
fn open_flags() -> Outcome {
    let node = dsp::node(CDSP)?;
    for flags in [
        libc::O_RDONLY,
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_RDONLY | libc::O_NONBLOCK,
        libc::O_RDWR | libc::O_NONBLOCK | libc::O_APPEND,
    ] {
        let fd = dsp::open_with(&node.path, flags | libc::O_CLOEXEC)
            .map_err(|errno| Fail::Wrong(format!("open with {flags:#x}: errno {errno}")))?;
        let file = File::of(fd).created()?;
        let echo = file.module("echo")?;
        let data = dsp::pattern(300, 1);
        let mut back = vec![0; 300];
        let value = Call::new(3)
            .input(&50u32.to_le_bytes())
            .input(&data)
            .output(&mut back)
            .on(file.raw(), echo);
        ensure_ret!(value, 0, "slow call with flags {flags:#x}");
        dsp::same(&data, &back)?;
    }
    Ok(())
}
