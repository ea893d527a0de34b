// SPDX-License-Identifier: GPL-2.0
//! The new call: arguments by handle and offset, results in a field, a time limit.

use super::*;
use std::os::fd::{
    FromRawFd,
    OwnedFd, //
};

/// All kinds of arguments in one call.
pub fn kinds() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let two = Shared::own(&file, 4 * PAGE)?;
    let data = one.fill(1);
    two.fill(2);
    let copied = dsp::pattern(3000, 3);
    let mut copied_back = vec![0; 1234];
    let size = one.size as u64;
    let seed = 55u64;
    let seed_bytes = seed.to_le_bytes();
    // out[0] of touch: one checksum for each of in[1], in[2] and the in handle.
    let mut sums = [0; 3 * dspmem::SUMMED];
    let call = NewCall::new(dspmem::TOUCH)
        .input(&seed_bytes)
        .read(one.handle, 100, 5000)
        .input(&copied)
        .output(&mut sums)
        .write(two.handle, 4097, 4095)
        .output(&mut copied_back)
        .write(two.handle, 0, 1)
        .handle(ARG_IN, one.handle, 1001, 8000, 300)
        .handle(ARG_OUT, two.handle, -7, 10_000, 16);
    ensure_eq!(mem.new_call(&call), (0, 0), "touch");
    let ranges = [&data[100..5100], &copied, &data[8000..8300]];
    for (n, expected) in ranges.into_iter().enumerate() {
        ensure_eq!(
            Checksum::nth(&sums, n),
            Checksum::of(expected),
            "what the DSP read, {n}"
        );
    }
    let mut oracle = dsp::pattern(two.size, 2);
    oracle[4097..8192].copy_from_slice(&dspmem::stream(seed, 4095));
    dsp::same(&dspmem::stream(seed + 1, 1234), &copied_back)?;
    oracle[..1].copy_from_slice(&dspmem::stream(seed + 2, 1));
    oracle[10_000..10_016].copy_from_slice(&dspmem::stream(seed + 3, 16));
    two.holds(0, &oracle)?;
    one.holds(0, &data)?;

    // What the DSP was given.
    let mut out = [0; 6 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS)
        .read(one.handle, 100, 5000)
        .input(&copied)
        .output(&mut out)
        .write(two.handle, 4097, 4095)
        .handle(ARG_IN, one.handle, 1001, 8000, 300)
        .handle(ARG_OUT, two.handle, i32::MIN, 0, 0);
    ensure_eq!(mem.new_call(&call), (0, 0), "args");
    let records: Vec<_> = (0..6).map(|n| Record::nth(&out, n)).collect();
    let inline: Vec<_> = records.iter().map(|record| record.inline).collect();
    ensure_eq!(
        inline,
        [false, true, true, false, false, false],
        "what was copied"
    );
    // Addresses of the caller are not known to the DSP: pv is its own address.
    for n in [0, 3] {
        ensure_eq!(records[n].pv, records[n].address(), "pv of buffer {n}");
    }
    ensure_eq!(records[0].size, 2 * PAGE as u64, "pages of 5000 at 100");
    ensure_eq!(records[3].size, PAGE as u64, "pages of 4095 at 4097");
    ensure_eq!(records[4].tag(), (1001, 8000), "in handle");
    ensure_eq!(
        (records[4].page, records[4].size),
        (records[0].page, size),
        "pages of the in handle"
    );
    ensure_eq!(records[5].tag(), (i32::MIN, 0), "out handle");
    Ok(())
}

/// Offsets and lengths all over a buffer, up to its last byte.
pub fn ranges() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let handle = file.buffer(4 * PAGE)?;
    let other = file.buffer(4 * PAGE)?;
    let size = 4 * PAGE as u64;
    let base = mem.new_arg(handle, 0, size)?.page;
    for offset in [0, 1, 100, 4095, 4096, 4097, size - 1, size] {
        for length in [0, 1, 2, 4095, 4096, 4097, 8192, size] {
            if offset + length > size {
                continue;
            }
            let what = format!("{length} bytes at {offset}");
            let record = mem.new_arg(handle, offset, length)?;
            if length == 0 {
                ensure_eq!(
                    (record.pv, record.length, record.page, record.size),
                    (0, 0, 0, 0),
                    "{what}"
                );
                continue;
            }
            let first = offset / PAGE as u64 * PAGE as u64;
            let end = (offset + length).next_multiple_of(PAGE as u64);
            ensure_eq!(record.pv, base + offset, "pv, {what}");
            ensure_eq!(record.length, length, "length, {what}");
            ensure_eq!(
                (record.page, record.size),
                (base + first, end - first),
                "pages, {what}"
            );
        }
    }
    // Two objects are two places.
    let far = mem.new_arg(other, 0, size)?.page;
    ensure!(
        far >= base + size || base >= far + size,
        "objects at {base:#x} and {far:#x}"
    );
    Ok(())
}

/// The DSP's result and the value of the ioctl are two things.
pub fn results() -> Outcome {
    let file = File::with_process(CDSP)?;
    let fail = file.module("fail")?;
    let one = Shared::own(&file, PAGE)?;
    for result in [
        0,
        1,
        46,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_040d,
        0x8000_0414,
        0xffff_f000,
        0xffff_f001,
        (-512i32) as u32,
        (-14i32) as u32,
        0xffff_ffff,
    ] {
        let data = one.fill(result);
        let mut back = vec![0; 100];
        let wanted = result.to_le_bytes();
        let call = NewCall::new(2)
            .input(&wanted)
            .read(one.handle, 0, 100)
            .read(one.handle, 100, 50)
            .output(&mut back)
            .write(one.handle, 200, 50);
        ensure_eq!(
            call.on(file.raw(), fail),
            (0, result),
            "DSP result {result:#x}"
        );
        // Outputs count with every result.
        dsp::same(&data[..100], &back)?;
        one.holds(200, &data[100..150])?;
    }
    ensure_eq!(
        NewCall::new(2).on(file.raw(), 0x7777_7777),
        (0, 0x8000_042c),
        "handle that does not exist"
    );
    Ok(())
}

/// Descriptor 0 is a descriptor, and tag 0 a tag.
pub fn descriptor_zero() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let handle = file.buffer(PAGE)?;
    // SAFETY: Nothing in this program uses its standard input from now on.
    unsafe { libc::close(0) };
    let fd = file.export(handle)?;
    ensure_eq!(fd.as_raw_fd(), 0, "number of the export");
    let area = Area::shared(0, PAGE, 0)?;
    area.fill(0, PAGE, 0x42);
    ensure_eq!(file.import(&fd)?, handle, "import of descriptor 0");
    let mut sums = [0; 2 * dspmem::SUMMED];
    let call = NewCall::new(dspmem::TOUCH)
        .input(&[0; 8])
        .read(handle, 0, 4096)
        .output(&mut sums)
        .handle(ARG_IN, handle, 0, 5, 10);
    ensure_eq!(mem.new_call(&call), (0, 0), "touch");
    ensure_eq!(
        Checksum::nth(&sums, 0),
        Checksum::of(&[0x42; 4096]),
        "buffer"
    );
    ensure_eq!(Checksum::nth(&sums, 1), Checksum::of(&[0x42; 10]), "handle");
    let mut out = [0; 2 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS)
        .output(&mut out)
        .handle(ARG_IN, handle, 0, 5, 10);
    ensure_eq!(mem.new_call(&call), (0, 0), "args");
    let record = Record::nth(&out, 1);
    ensure_eq!(record.tag(), (0, 5), "tag 0");
    ensure_eq!(record.size, PAGE as u64, "pages of tag 0");
    // The old call keeps its rule: 0 is no buffer, the bytes are copied.
    let data = [9u8; 100];
    let record = mem
        .arg(data.as_ptr() as u64, 100, 0)
        .map_err(|value| format!("descriptor 0 in the old call: {}", raw::show(value)))?;
    ensure!(record.inline, "descriptor 0 was taken for a buffer");
    // Another file takes the number, so that nothing prints into the buffer's.
    drop(fd);
    let null = std::fs::File::open("/dev/null")?;
    // SAFETY: The number is free again.
    let standard = unsafe { OwnedFd::from_raw_fd(libc::dup2(null.as_raw_fd(), 0)) };
    std::mem::forget(standard);
    Ok(())
}

/// 540 arguments of all kinds.
pub fn most() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 255 * PAGE)?;
    let two = Shared::own(&file, 270 * PAGE)?;
    let data = one.fill(4);
    let mut sums = vec![0; (254 + 15) * dspmem::SUMMED];
    let seed = 9000u64;
    let seed_bytes = seed.to_le_bytes();
    let mut back = vec![vec![0; 40]; 127];
    let mut call = NewCall::new(dspmem::TOUCH).input(&seed_bytes);
    for n in 1..255 {
        // Every other one is copied.
        call = if n % 2 == 0 {
            call.input(&data[n * PAGE..n * PAGE + 50])
        } else {
            call.read(one.handle, (n * PAGE) as u64 + 7, 4000)
        };
    }
    call = call.output(&mut sums);
    let mut backs = back.iter_mut();
    for n in 1..255usize {
        call = if n % 2 == 1 {
            call.write(two.handle, (n * PAGE) as u64 + 3, 4001)
        } else {
            call.output(backs.next().ok_or("too few outputs")?)
        };
    }
    for n in 0..15 {
        call = call.handle(ARG_IN, one.handle, 5000, n * 10, 10);
    }
    for n in 0..15u64 {
        call = call.handle(ARG_OUT, two.handle, 6000, (255 + n) * PAGE as u64, 20);
    }
    ensure_eq!(call.args.len(), 540, "arguments");
    ensure_eq!(mem.new_call(&call), (0, 0), "touch with 540 arguments");
    for n in 1..255 {
        let expected = if n % 2 == 0 {
            &data[n * PAGE..n * PAGE + 50]
        } else {
            &data[n * PAGE + 7..n * PAGE + 4007]
        };
        ensure_eq!(
            Checksum::nth(&sums, n - 1),
            Checksum::of(expected),
            "input {n}"
        );
    }
    for n in 0..15 {
        ensure_eq!(
            Checksum::nth(&sums, 254 + n),
            Checksum::of(&data[n * 10..n * 10 + 10]),
            "in handle {n}"
        );
        two.holds((255 + n) * PAGE, &dspmem::stream(seed + 254 + n as u64, 20))
            .map_err(|why| format!("out handle {n}: {why}"))?;
    }
    for (n, back) in (2..255u64).step_by(2).zip(&back) {
        dsp::same(&dspmem::stream(seed + n - 1, 40), back)
            .map_err(|why| format!("copied output {n}: {why}"))?;
    }
    for n in (1..255).step_by(2) {
        two.holds(n * PAGE + 3, &dspmem::stream(seed + n as u64 - 1, 4001))
            .map_err(|why| format!("output {n}: {why}"))?;
    }
    Ok(())
}

/// A call of echo's delay that copies `data` to the first bytes of a buffer.
fn slow(milliseconds: &[u8; 4], from: u32, to: u32, length: u64) -> NewCall<'_> {
    NewCall::new(3)
        .input(milliseconds)
        .read(from, 0, length)
        .write(to, 0, length)
}

const MILLISECOND: u64 = 1_000_000;

/// Deadlines that have passed, that pass during the call, and that do not.
pub fn deadline() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let one = Shared::own(&file, PAGE)?;
    let two = Shared::own(&file, PAGE)?;
    let data = one.fill(1);
    let mut back = vec![0x11; 64];
    nothing_sent(|| {
        for past in [1, calls::now_ns() - MILLISECOND, calls::now_ns()] {
            let call = NewCall::new(2).input(&data[..64]).output(&mut back);
            let (value, result) = call.until(past).on(file.raw(), echo);
            ensure_ret!(value, -libc::ETIMEDOUT, "deadline {past} in the past");
            ensure_eq!(result, UNTOUCHED, "result field without an answer");
            ensure!(
                back.iter().all(|&byte| byte == 0x11),
                "output without an answer"
            );
        }
        Ok(())
    })?;
    let milliseconds = 400u32.to_le_bytes();
    for wait in [20, 100] {
        let begin = Instant::now();
        let until = calls::now_ns() + wait * MILLISECOND;
        let call = slow(&milliseconds, one.handle, two.handle, 4096).until(until);
        let (value, _) = call.on(file.raw(), echo);
        let took = begin.elapsed();
        ensure_ret!(value, -libc::ETIMEDOUT, "deadline in {wait} ms");
        ensure!(
            took >= Duration::from_millis(wait)
                && took < Duration::from_millis(wait) + patience(Duration::from_millis(250)),
            "a deadline in {wait} ms took {took:?}"
        );
        // The session goes on while the DSP works on what was given up.
        file.still_works()?;
    }
    for until in [
        calls::now_ns() + 20_000 * MILLISECOND,
        u64::MAX,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        0,
    ] {
        two.map.fill(0, PAGE, 0);
        let milliseconds = 50u32.to_le_bytes();
        let call = slow(&milliseconds, one.handle, two.handle, 4096).until(until);
        ensure_eq!(call.on(file.raw(), echo), (0, 0), "deadline {until:#x}");
        two.holds(0, &data)?;
    }
    // Parked for ever but for the deadline.
    let call = NewCall::new(4).until(calls::now_ns() + 50 * MILLISECOND);
    ensure_ret!(call.on(file.raw(), echo).0, -libc::ETIMEDOUT, "parked call");
    file.still_works()
}

/// What a call that timed out was given stays until the DSP answers, although the client has
/// closed and unmapped everything and makes new buffers.
pub fn deadline_keeps_memory() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for maker in [Maker::Own, Maker::Udmabuf] {
        let from = Shared::new(maker, &file, 16 * PAGE)?;
        let to = Shared::new(maker, &file, 16 * PAGE)?;
        let data = from.fill(31);
        let keep = to.fd.try_clone()?;
        let milliseconds = 3000u32.to_le_bytes();
        let handles = [file.import(&from.fd)?, file.import(&to.fd)?];
        let size = from.size as u64;
        let begin = Instant::now();
        let call = slow(&milliseconds, handles[0], handles[1], size)
            .until(calls::now_ns() + 50 * MILLISECOND);
        ensure_ret!(call.on(file.raw(), echo).0, -libc::ETIMEDOUT, "{maker:?}");
        // Only the target keeps a descriptor, to look at it later.
        file.close(handles[0])?;
        file.close(handles[1])?;
        drop((from, to));
        for seed in 0..rounds(20) as u32 {
            let fresh = Shared::own(&file, 16 * PAGE)?;
            fresh.fill(seed);
            let call = NewCall::new(2)
                .read(fresh.handle, 0, 100)
                .write(fresh.handle, 8192, 100);
            ensure_eq!(call.on(file.raw(), echo), (0, 0), "{maker:?}: other calls");
            file.close(fresh.handle)?;
        }
        sim::control(CDSP, "check")?;
        let target = Shared::around(keep, 16 * PAGE)?;
        ensure!(
            begin.elapsed() < Duration::from_millis(2900),
            "the machine is too slow for this test"
        );
        sim::wait_counter("delayed", Duration::from_secs(5), |now| now == 0)?;
        // Echo came and wrote: into the buffers that the call named, and nothing faulted.
        target
            .holds(0, &data)
            .map_err(|why| format!("{maker:?}: target of the late answer: {why}"))?;
        drop(target);
        wait_status("calls", 0)?;
        wait_status("mappings", 0)?;
    }
    Ok(())
}

/// Many calls that time out at all moments, in the shadow of calls that do not.
pub fn deadlines_many() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let results: Vec<Result<u32, Fail>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6u32)
            .map(|n| {
                let file = &file;
                scope.spawn(move || {
                    let from = Shared::own(file, PAGE)?;
                    let to = Shared::own(file, PAGE)?;
                    let mut late = 0;
                    for round in 0..80u32 {
                        let milliseconds = (round % 5).to_le_bytes();
                        let data = from.fill(n * 1000 + round);
                        let call = slow(&milliseconds, from.handle, to.handle, 4096);
                        let call = if (round + n) % 3 == 0 {
                            call
                        } else {
                            let wait = u64::from(dsp::pattern(1, round * 7 + n)[0]) * 30_000;
                            call.until(calls::now_ns() + wait)
                        };
                        match call.on(file.raw(), echo) {
                            (0, 0) => to.holds(0, &data)?,
                            (value, _) => {
                                ensure_ret!(value, -libc::ETIMEDOUT, "thread {n}, round {round}");
                                ensure!(call.deadline_ns != 0, "a call without deadline timed out");
                                late += 1;
                                // The buffers are the DSP's until it has answered.
                                std::thread::sleep(Duration::from_millis(10));
                            }
                        }
                    }
                    Ok(late)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|one| one.join().unwrap_or(Err("a thread panicked".into())))
            .collect()
    });
    let mut late = 0;
    for result in results {
        late += result?;
    }
    println!("{late} of 480 calls timed out");
    ensure!(late > 10, "hardly a call timed out");
    sim::wait_counter("delayed", Duration::from_secs(5), |now| now == 0)?;
    wait_status("calls", 0)?;
    file.still_works()
}

/// Buffers of other makers by their handle here.
pub fn imports() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (maker, one) in of_all_makers(&file, 5 * PAGE)? {
        let handle = file.import(&one.fd)?;
        let data = one.fill(21);
        let seed = 4242u64;
        let mut sum = [0; dspmem::SUMMED];
        let seed_bytes = seed.to_le_bytes();
        let call = NewCall::new(dspmem::TOUCH)
            .input(&seed_bytes)
            .read(handle, 0, 5 * PAGE as u64)
            .output(&mut sum)
            .write(handle, 1000, 9000);
        ensure_eq!(mem.new_call(&call), (0, 0), "{maker:?}");
        ensure_eq!(
            Checksum::nth(&sum, 0),
            Checksum::of(&data),
            "what the DSP read of {maker:?}"
        );
        one.holds(1000, &dspmem::stream(seed, 9000))
            .map_err(|why| format!("what the DSP wrote to {maker:?}: {why}"))?;
        // By its descriptor it is the same buffer: one mapping.
        ensure_eq!(status("mappings")?, 1, "mappings of {maker:?} by handle");
        mem.arg(one.at(0), 100, one.raw())
            .map_err(|value| format!("{maker:?} by descriptor: {}", raw::show(value)))?;
        ensure_eq!(status("mappings")?, 1, "mappings of {maker:?} by both");
        file.close(handle)?;
        if one.handle != 0 && one.handle != handle {
            file.close(one.handle)?;
        }
        drop(one);
        wait_status("mappings", 0)?;
    }
    Ok(())
}
