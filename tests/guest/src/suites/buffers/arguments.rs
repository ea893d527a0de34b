// SPDX-License-Identifier: GPL-2.0
//! Ranges of buffers as arguments, named by file descriptor and address.

use super::*;

/// Sizes in pages: one, few, odd, and more than one huge page.
const SIZES: &[usize] = &[1, 3, 33, 520];

/// The DSP reads one buffer and writes another, whole, for all makers in both roles.
pub fn whole() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for &pages in SIZES {
        let size = pages * PAGE;
        let from = of_all_makers(&file, size)?;
        let to = of_all_makers(&file, size)?;
        for (n, (from_maker, from)) in from.iter().enumerate() {
            let data = from.fill((pages + n) as u32);
            for (to_maker, to) in &to {
                // The large ones need not meet all others.
                if pages > 100 && from_maker != to_maker {
                    continue;
                }
                let seed = (pages * 16 + n) as u64;
                let mut sums = [0; dspmem::SUMMED];
                let value = mem.call(
                    &Call::new(dspmem::TOUCH)
                        .input(&seed.to_le_bytes())
                        .reads(from.at(0), size as u64, from.raw())
                        .output(&mut sums)
                        .writes(to.at(0), size as u64, to.raw()),
                );
                let what = format!("{from_maker:?} to {to_maker:?}, {pages} pages");
                ensure_ret!(value, 0, "{what}");
                ensure_eq!(
                    Checksum::nth(&sums, 0),
                    Checksum::of(&data),
                    "what the DSP read, {what}"
                );
                to.holds(0, &dspmem::stream(seed, size))
                    .map_err(|why| format!("what the DSP wrote, {what}: {why}"))?;
            }
        }
    }
    Ok(())
}

/// Every kind of begin and end: the pages told to the DSP are exactly those that the range
/// touches, and nothing outside of the range is written.
pub fn every_offset() -> Outcome {
    const PAGES: usize = 5;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let mem = DspMem::open(&file)?;
    for maker in [Maker::Own, Maker::Scattered] {
        let from = Shared::new(maker, &file, PAGES * PAGE)?;
        let to = Shared::new(maker, &file, PAGES * PAGE)?;
        let data = from.fill(1);
        let base = match mem.arg(from.at(0), from.size as u64, from.raw()) {
            Ok(record) => record.page,
            Err(value) => return Err(format!("args gave {}", raw::show(value)).into()),
        };
        for offset in [0, 1, 7, 127, 128, 2048, 4095, 4096, 4097, 8191, 12_288] {
            for length in [1, 2, 8, 100, 4095, 4096, 4097, 8192] {
                let what = format!("{maker:?}, {length} bytes at {offset}");
                let record = mem
                    .arg(from.at(offset), length as u64, from.raw())
                    .map_err(|value| format!("{what}: args gave {}", raw::show(value)))?;
                let first = offset / PAGE;
                let end = (offset + length).div_ceil(PAGE);
                ensure_eq!(record.pv, from.at(offset), "pv, {what}");
                ensure_eq!(record.length, length as u64, "length, {what}");
                ensure_eq!(record.page, base + (first * PAGE) as u64, "page, {what}");
                ensure_eq!(record.size, ((end - first) * PAGE) as u64, "pages, {what}");
                ensure_eq!(
                    record.address(),
                    base + offset as u64,
                    "address of the data, {what}"
                );

                // The target begins elsewhere in its page.
                let target = PAGES * PAGE - length - offset % 97;
                to.map.fill(0, to.size, 0xee);
                let value = Call::new(2)
                    .reads(from.at(offset), length as u64, from.raw())
                    .writes(to.at(target), length as u64, to.raw())
                    .on(file.raw(), echo);
                ensure_ret!(value, 0, "echo, {what}");
                let got = to.map.read(0, to.size);
                dsp::same(
                    &data[offset..offset + length],
                    &got[target..target + length],
                )
                .map_err(|why| format!("{what}: {why}"))?;
                ensure!(
                    got[..target]
                        .iter()
                        .chain(&got[target + length..])
                        .all(|&byte| byte == 0xee),
                    "{what}: something else was written"
                );
            }
        }
        from.holds(0, &data)
            .map_err(|why| format!("an input was changed: {why}"))?;
    }
    Ok(())
}

/// Many ranges of many buffers in one call.
pub fn several() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let mut from = of_all_makers(&file, 4 * PAGE)?;
    let mut to = of_all_makers(&file, 4 * PAGE)?;
    from.extend(of_all_makers(&file, 4 * PAGE)?);
    to.extend(of_all_makers(&file, 4 * PAGE)?);
    let data: Vec<_> = (0..).zip(&from).map(|(n, (_, one))| one.fill(n)).collect();
    let range = |n: usize| (n * 1001 % (2 * PAGE), 1 + n * 777 % (2 * PAGE));
    for reverse in [false, true] {
        let mut call = Call::new(2);
        let place = |n: usize| if reverse { to.len() - 1 - n } else { n };
        for (_, one) in &to {
            one.map.fill(0, one.size, 0x33);
        }
        for (n, (_, one)) in from.iter().enumerate() {
            let (start, length) = range(n);
            let target = &to[place(n)].1;
            call = call.reads(one.at(start), length as u64, one.raw()).writes(
                target.at(start + 5),
                length as u64,
                target.raw(),
            );
        }
        ensure_ret!(
            call.on(file.raw(), echo),
            0,
            "echo of {} ranges",
            from.len()
        );
        for (n, data) in data.iter().enumerate() {
            let (start, length) = range(n);
            to[place(n)]
                .1
                .holds(start + 5, &data[start..start + length])
                .map_err(|why| format!("range {n}: {why}"))?;
        }
    }
    Ok(())
}

/// One buffer several times in a call, as input and output, overlapping, nested, the same.
pub fn same_buffer_twice() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let outs: [&[(usize, usize)]; 5] = [
        &[(0, 16_384)],
        &[(0, 8192), (4096, 8192), (4097, 10), (4000, 200)],
        &[(0, 16_384), (100, 1), (16_383, 1), (0, 1)],
        &[(5000, 3000), (5000, 3000)],
        &[(8192, 100), (0, 8192), (8000, 500)],
    ];
    let ins: &[(usize, usize)] = &[(0, 16_384), (1, 1), (4095, 2), (100, 9000), (100, 9000)];
    for maker in [Maker::Own, Maker::Udmabuf] {
        let one = Shared::new(maker, &file, 4 * PAGE)?;
        for (round, outs) in outs.into_iter().enumerate() {
            let mut oracle = one.fill(round as u32);
            let before = oracle.clone();
            let seed = 1000 * (round as u64 + 1);
            let seed_bytes = seed.to_le_bytes();
            let mut sums = vec![0; dspmem::SUMMED * ins.len()];
            let mut call = Call::new(dspmem::TOUCH)
                .input(&seed_bytes)
                .output(&mut sums);
            for &(start, length) in ins {
                call = call.reads(one.at(start), length as u64, one.raw());
            }
            for (n, &(start, length)) in outs.iter().enumerate() {
                call = call.writes(one.at(start), length as u64, one.raw());
                oracle[start..start + length]
                    .copy_from_slice(&dspmem::stream(seed + n as u64, length));
            }
            ensure_ret!(mem.call(&call), 0, "{maker:?}, round {round}");
            for (n, &(start, length)) in ins.iter().enumerate() {
                ensure_eq!(
                    Checksum::nth(&sums, n),
                    Checksum::of(&before[start..start + length]),
                    "{maker:?}, round {round}: input {n}"
                );
            }
            one.holds(0, &oracle)
                .map_err(|why| format!("{maker:?}, round {round}: {why}"))?;
        }
    }
    Ok(())
}

/// Buffers and copied arguments in any order, the empty ones of both kinds among them.
pub fn with_inline() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let from = Shared::new(Maker::Own, &file, 8 * PAGE)?;
    let to = Shared::new(Maker::Own, &file, 8 * PAGE)?;
    let data = from.fill(8);
    for choice in 0..256usize {
        let choice = choice * 167 % 256;
        let mut back = vec![vec![0u8; 1500]; 8];
        to.map.fill(0, to.size, 0);
        let mut call = Call::new(2);
        for (n, back) in back.iter_mut().enumerate() {
            let start = n * PAGE + n * 13;
            // Bit n: the input is a buffer; every third output is one.
            let length = if choice == n { 0 } else { 1500 };
            call = if (choice >> n) & 1 == 1 {
                call.reads(from.at(start), length as u64, from.raw())
            } else {
                call.input(&data[start..start + length])
            };
            call = if (choice + n) % 3 == 0 {
                call.writes(to.at(start), length as u64, to.raw())
            } else {
                call.output(&mut back[..length])
            };
        }
        ensure_ret!(call.on(file.raw(), echo), 0, "mixture {choice:#x}");
        for (n, back) in back.iter().enumerate() {
            let start = n * PAGE + n * 13;
            let length = if choice == n { 0 } else { 1500 };
            let expected = &data[start..start + length];
            if (choice + n) % 3 == 0 {
                to.holds(start, expected)
            } else {
                dsp::same(expected, &back[..length])
            }
            .map_err(|why| format!("mixture {choice:#x}, output {n}: {why}"))?;
        }
    }
    Ok(())
}

/// As many buffers as a call can have.
pub fn most() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let from = Shared::new(Maker::Own, &file, 255 * PAGE)?;
    let to = Shared::new(Maker::Udmabuf, &file, 255 * PAGE)?;
    let data = from.fill(3);
    let mut call = Call::new(2);
    for n in 0..255 {
        let (start, length) = (n * PAGE + n, PAGE - 300);
        call = call
            .reads(from.at(start), length as u64, from.raw())
            .writes(to.at(start), length as u64, to.raw());
    }
    ensure_ret!(call.on(file.raw(), echo), 0, "255 + 255 buffers");
    for n in 0..255 {
        let (start, length) = (n * PAGE + n, PAGE - 300);
        to.holds(start, &data[start..start + length])
            .map_err(|why| format!("buffer {n}: {why}"))?;
    }
    Ok(())
}

/// The kernel's own count of copied bytes: arguments in buffers add nothing.
pub fn nothing_copied() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let copied = || buffer::fdinfo_number(file.raw(), "qda-bytes-copied");
    let from = Shared::new(Maker::Own, &file, 256 * PAGE)?;
    let to = Shared::new(Maker::Own, &file, 256 * PAGE)?;
    let data = from.fill(5);
    let before = copied()?;
    ensure!(before > 0, "loading a module copied nothing");
    let size = from.size as u64;
    let value = Call::new(2)
        .reads(from.at(0), size, from.raw())
        .writes(to.at(0), size, to.raw())
        .on(file.raw(), echo);
    ensure_ret!(value, 0, "echo from buffer to buffer");
    to.holds(0, &data)?;
    ensure_eq!(copied()?, before, "bytes copied for buffers");
    let mut back = [0; 777];
    let value = Call::new(2)
        .input(&data[..777])
        .reads(from.at(0), 5000, from.raw())
        .output(&mut back)
        .writes(to.at(0), 5000, to.raw())
        .on(file.raw(), echo);
    ensure_ret!(value, 0, "echo of both kinds");
    ensure_eq!(copied()?, before + 2 * 777, "bytes copied for both kinds");
    let call = NewCall::new(2)
        .read(from.handle, 0, size)
        .write(to.handle, 0, size);
    ensure_eq!(call.on(file.raw(), echo), (0, 0), "echo by handles");
    ensure_eq!(copied()?, before + 2 * 777, "bytes copied by handles");
    Ok(())
}

/// Lengths that are nothing, too long, or wrap.
pub fn lengths() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::new(Maker::Own, &file, 4 * PAGE)?;
    for (ptr, fd) in [
        (one.at(0), one.raw()),
        (0, one.raw()),
        (u64::MAX, one.raw()),
        (one.at(0), 9999),
    ] {
        // Empty: nothing else of the argument is looked at.
        let record = mem
            .arg(ptr, 0, fd)
            .map_err(|value| format!("empty argument gave {}", raw::show(value)))?;
        ensure_eq!(
            (record.pv, record.length, record.page, record.size),
            (0, 0, 0, 0),
            "empty argument at {ptr:#x}, descriptor {fd}"
        );
    }
    ensure_eq!(status("mappings")?, 0, "buffers mapped by empty arguments");
    nothing_sent(|| {
        for at in [one.at(0), one.at(1), one.at(4 * PAGE - 1), 0, 1] {
            for length in [
                4 * PAGE as u64 + 1,
                5 * PAGE as u64,
                (1 << 31) - 1,
                1 << 31,
                (1 << 32) - 1,
                1 << 32,
                (1 << 32) + 1,
                (1 << 32) + 64,
                1 << 63,
                u64::MAX - one.at(0),
                u64::MAX - PAGE as u64,
                u64::MAX,
            ] {
                let what = format!("{length:#x} bytes at {at:#x}");
                match mem.arg(at, length, one.raw()) {
                    Ok(_) => return Err(format!("{what} were accepted").into()),
                    Err(value) => ensure_ret!(value, -libc::EINVAL, "{what}"),
                }
            }
        }
        Ok(())
    })
}

/// That a buffer is mapped already makes no range good.
pub fn range_after_good_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (maker, one) in of_all_makers(&file, 4 * PAGE)? {
        let size = one.size as u64;
        for _ in 0..2 {
            mem.arg(one.at(0), size, one.raw())
                .map_err(|value| format!("{maker:?}: whole: {}", raw::show(value)))?;
            nothing_sent(|| {
                for (offset, length) in
                    [(0, size + 1), (1, size), (size - 1, 2), (PAGE as u64, size)]
                {
                    match mem.arg(one.at(offset as usize), length, one.raw()) {
                        Ok(_) => {
                            return Err(format!("{maker:?}: {length} at {offset} accepted").into());
                        }
                        Err(value) => {
                            ensure_ret!(value, -libc::EINVAL, "{maker:?}: {length} at {offset}");
                        }
                    }
                }
                // Without any area: the first byte of the buffer.
                for length in [size + 1, 2 * size, 1 << 33] {
                    match mem.arg(0, length, one.raw()) {
                        Ok(_) => return Err(format!("{maker:?}: {length} accepted").into()),
                        Err(value) => ensure_ret!(value, -libc::EINVAL, "{maker:?}: {length}"),
                    }
                }
                Ok(())
            })?;
            mem.arg(one.at(4 * PAGE - 1), 1, one.raw())
                .map_err(|value| format!("{maker:?}: last byte: {}", raw::show(value)))?;
        }
    }
    Ok(())
}
