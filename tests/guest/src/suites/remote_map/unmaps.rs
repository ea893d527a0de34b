// SPDX-License-Identifier: GPL-2.0
//! Which unmap finds which mapping, and who wins when several try.

use super::*;

/// ATTR: number, address and size say which.
pub fn attr() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let two = Shared::own(&file, 4 * PAGE)?;
    let size = 2 * PAGE as u64;
    let request = Map {
        size,
        ..super::attr(one.raw(), 2)
    };
    let address = mapped(&file, request)?;
    let other = mapped(
        &file,
        Map {
            fd: two.raw(),
            ..request
        },
    )?;
    ensure!(address != other, "both have address {address:#x}");
    nothing_sent(|| {
        for (what, request) in [
            ("other number", un_attr(two.raw(), address, size)),
            ("other address", un_attr(one.raw(), other, size)),
            ("unknown number", un_attr(900, address, size)),
            ("no number", un_attr(-1, address, size)),
            ("unknown address", un_attr(one.raw(), address + 4096, size)),
            ("inside", un_attr(one.raw(), address + 1, 0)),
            ("address 0", un_attr(one.raw(), 0, size)),
            ("less", un_attr(one.raw(), address, size - 1)),
            ("more", un_attr(one.raw(), address, size + 1)),
            ("whole buffer", un_attr(one.raw(), address, 2 * size)),
            (
                "size with upper half",
                un_attr(one.raw(), address, size + (1 << 32)),
            ),
            ("as heap", un_legacy(address, size)),
            ("as heap, any size", un_legacy(address, 0)),
        ] {
            ensure_ret!(unmap(&file, request), -libc::EINVAL, "{what}");
        }
        Ok(())
    })?;
    ensure_eq!(status("remote_maps")?, 2, "remote maps");
    ensure_eq!(mem.list()?.len(), 2, "mappings on the DSP");
    ensure_ret!(unmap(&file, un_attr(one.raw(), address, size)), 0, "exact");
    ensure_ret!(unmap(&file, un_attr(two.raw(), other, 0)), 0, "any size");
    nothing_sent(|| {
        for request in [
            un_attr(one.raw(), address, size),
            un_attr(two.raw(), other, 0),
        ] {
            ensure_ret!(unmap(&file, request), -libc::EINVAL, "second unmap");
        }
        Ok(())
    })?;
    // The number is a name: it finds its mapping when it stands for something else, or nothing.
    let number = 600;
    // SAFETY: Plain numbers; nothing else uses 600.
    unsafe { libc::dup2(one.raw(), number) };
    let address = mapped(&file, super::attr(number, 2))?;
    // SAFETY: As above.
    unsafe { libc::dup2(two.raw(), number) };
    let second = mapped(&file, super::attr(number, 2))?;
    // SAFETY: As above.
    unsafe { libc::close(number) };
    ensure_ret!(
        unmap(&file, un_attr(number, address, 0)),
        0,
        "first of one number"
    );
    ensure_ret!(
        unmap(&file, un_attr(number, second, 0)),
        0,
        "second of one number"
    );
    // A size of 0 in the map is the whole buffer, and known by it as well.
    let address = mapped(&file, super::attr(one.raw(), 2))?;
    let value = unmap(&file, un_attr(one.raw(), address, 4 * PAGE as u64));
    if value != 0 {
        ensure_ret!(value, -libc::EINVAL, "size of the whole buffer");
        ensure_ret!(unmap(&file, un_attr(one.raw(), address, 0)), 0, "any size");
    }
    for one in [one, two] {
        file.close(one.handle)?;
    }
    nothing_left()
}

/// LEGACY: address and size say which.
pub fn legacy() -> Outcome {
    let file = File::with_process(CDSP)?;
    let other = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let size = 3 * PAGE as u64;
    let heap = mapped(&file, heap_request(size))?;
    let request = Map {
        flags: 6,
        fd: one.raw(),
        ..heap_request(size)
    };
    let buffer = mapped(&file, request)?;
    nothing_sent(|| {
        for (what, request) in [
            ("unknown address", un_legacy(heap + 4096, size)),
            ("address 0", un_legacy(0, 0)),
            ("a page less", un_legacy(heap, size - PAGE as u64)),
            ("a byte more", un_legacy(heap, size + 1)),
            ("size with upper half", un_legacy(heap, size + (1 << 32))),
            ("size that wraps", un_legacy(heap, u64::MAX)),
            ("other size", un_legacy(buffer, 4 * PAGE as u64)),
            ("as ATTR", un_attr(one.raw(), buffer, size)),
            ("as ATTR without number", un_attr(-1, heap, 0)),
            (
                "address in the wrong field",
                Unmap {
                    vaddr: heap,
                    ..un_legacy(0, size)
                },
            ),
        ] {
            ensure_ret!(unmap(&file, request), -libc::EINVAL, "{what}");
        }
        // Another session's addresses are not one's own.
        for request in [un_legacy(heap, size), un_legacy(buffer, 0)] {
            ensure_ret!(unmap(&other, request), -libc::EINVAL, "another session");
        }
        Ok(())
    })?;
    ensure_eq!(mem.list()?.len(), 2, "mappings on the DSP");
    ensure_ret!(unmap(&file, un_legacy(buffer, 0)), 0, "any size");
    ensure_ret!(unmap(&file, un_legacy(heap, size)), 0, "exact");
    ensure_eq!(mem.list()?.len(), 0, "mappings on the DSP");
    file.close(one.handle)?;
    drop(one);
    nothing_left()
}

/// Hundreds of unmaps of what was never mapped: nothing is sent, nothing goes away.
pub fn random() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, PAGE)?;
    let data = one.fill(2);
    let address = mapped(&file, super::attr(one.raw(), 2))?;
    let heap = mapped(&file, heap_request(4096))?;
    let unmaps = sim::counter("unmaps")?;
    nothing_sent(|| {
        for round in 0..2000u32 {
            let noise = dsp::pattern(48, round);
            let long = |at: usize| {
                u64::from(dsp::u32_at(&noise, at)) | (u64::from(dsp::u32_at(&noise, at + 4)) << 32)
            };
            let near = |value: u64, at: usize| match noise[at] % 4 {
                0 => value + 1 + u64::from(noise[at + 1]),
                1 => value.wrapping_sub(1 + u64::from(noise[at + 1])),
                2 => value | (1 << (32 + noise[at + 1] % 32)),
                _ => long(at),
            };
            let request = Unmap {
                request: 1 + u32::from(noise[0] % 2),
                fd: [one.raw(), -1, 0, 5, 1000][noise[1] as usize % 5],
                vaddr: near(address, 8),
                vaddrout: near(heap, 20),
                size: [0, 4096, 1, long(30)][noise[2] as usize % 4],
            };
            if request.vaddr == address || request.vaddrout == heap {
                continue;
            }
            ensure_ret!(unmap(&file, request), -libc::EINVAL, "{request:x?}");
        }
        Ok(())
    })?;
    ensure_eq!(sim::counter("unmaps")?, unmaps, "unmaps seen by the DSP");
    ensure_eq!(status("remote_maps")?, 2, "remote maps");
    let (value, got) = mem.map_read(one.raw(), 0, PAGE);
    ensure_ret!(value, 0, "read");
    dsp::same(&data, &got)?;
    mem.use_heap(1)?;
    ensure_ret!(unmap(&file, un_attr(one.raw(), address, 0)), 0, "unmap");
    ensure_ret!(unmap(&file, un_legacy(heap, 0)), 0, "unmap");
    Ok(())
}

/// Several threads make the same request at once; how many had which value.
fn race(file: &File, request: Unmap, threads: usize) -> Result<Vec<i64>, Fail> {
    let start = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    unmap(file, request)
                })
            })
            .collect();
        all.into_iter()
            .map(|one| one.join().map_err(|_| "a thread panicked".into()))
            .collect()
    })
}

/// One wins, the DSP sees one request, the others find nothing.
pub fn twice_at_once() -> Outcome {
    let file = File::with_process(CDSP)?;
    let one = Shared::own(&file, PAGE)?;
    for round in 0..20 {
        let unmaps = sim::counter("unmaps")?;
        // Slow answers, so that the others come while the first waits.
        let (request, knob) = if round % 2 == 0 {
            let address = mapped(&file, super::attr(one.raw(), 2))?;
            (un_attr(one.raw(), address, 0), "delay mem_unmap 30")
        } else {
            (
                un_legacy(mapped(&file, heap_request(8192))?, 0),
                "delay munmap 30",
            )
        };
        sim::control(CDSP, knob)?;
        let values = race(&file, request, 6)?;
        let good = values.iter().filter(|&&value| value == 0).count();
        ensure_eq!(good, 1, "unmaps that worked in round {round}: {values:?}");
        for value in values {
            ensure_errno!(value, [0, libc::EINVAL], "round {round}");
        }
        ensure_eq!(
            sim::counter("unmaps")?,
            unmaps + 1,
            "unmaps seen by the DSP"
        );
        ensure_eq!(status("remote_maps")?, 0, "remote maps, round {round}");
        ensure_eq!(status("heap_bytes")?, 0, "heap bytes, round {round}");
    }
    Ok(())
}

/// The DSP does not want to: the mapping stays, and the DSP goes on using it.
pub fn refused() -> Outcome {
    const BUSY: u32 = 0x8000_0485;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 3 * PAGE)?;
    let address = mapped(&file, super::attr(one.raw(), 2))?;
    let heap = mapped(&file, heap_request(3 * PAGE as u64))?;
    let number = one.raw();
    file.close(one.handle)?;
    drop(one);
    for result in [BUSY, 1, 0xffff_ffff, 0x8000_0448] {
        sim::control(CDSP, &format!("answer mem_unmap {result:#x}"))?;
        ensure_ret!(
            unmap(&file, un_attr(number, address, 0)),
            raw::as_returned(result),
            "refused unmap"
        );
        sim::control(CDSP, &format!("answer munmap {result:#x}"))?;
        ensure_ret!(
            unmap(&file, un_legacy(heap, 0)),
            raw::as_returned(result),
            "refused unmap of heap"
        );
        ensure_eq!(
            (status("remote_maps")?, status("heap_bytes")?),
            (2, 3 * PAGE as u64),
            "remote maps and heap after a refusal"
        );
        let data = dsp::pattern(5000, result);
        ensure_ret!(mem.map_write(number, 100, &data), 0, "DSP writes");
        let (value, got) = mem.map_read(number, 100, 5000);
        ensure_ret!(value, 0, "DSP reads");
        dsp::same(&data, &got)?;
        ensure_eq!(mem.use_heap(3)?, (1, 3 * PAGE as u64), "heap in use");
        sim::control(CDSP, "check")?;
    }
    ensure_ret!(
        unmap(&file, un_attr(number, address, 0)),
        0,
        "unmap at last"
    );
    ensure_ret!(unmap(&file, un_legacy(heap, 0)), 0, "unmap of heap at last");
    nothing_left()
}

/// Several at once while the DSP refuses the first ones: in the end one has done it.
pub fn refused_at_once() -> Outcome {
    let file = File::with_process(CDSP)?;
    let one = Shared::own(&file, PAGE)?;
    for round in 0..20 {
        let address = mapped(&file, super::attr(one.raw(), 2))?;
        let unmaps = sim::counter("unmaps")?;
        sim::control(CDSP, "answer mem_unmap 0x80000485 2")?;
        let request = un_attr(one.raw(), address, 0);
        let mut good = 0;
        for _ in 0..10 {
            let values = race(&file, request, 4)?;
            for value in values {
                match value {
                    0 => good += 1,
                    value if value == raw::as_returned(0x8000_0485) => {}
                    value => ensure_ret!(value, -libc::EINVAL, "round {round}"),
                }
            }
            if good > 0 {
                break;
            }
        }
        sim::control(CDSP, "normal")?;
        ensure_eq!(good, 1, "unmaps that worked in round {round}");
        ensure_eq!(
            sim::counter("unmaps")?,
            unmaps + 1,
            "unmaps done by the DSP"
        );
        ensure_eq!(status("remote_maps")?, 0, "remote maps, round {round}");
    }
    Ok(())
}

/// Threads that map and unmap one buffer under one number, and use it in calls meanwhile.
pub fn while_mapping() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let data = one.fill(1);
    let sum = Checksum::of(&data);
    let results: Vec<Outcome> = std::thread::scope(|scope| {
        let (file, mem, one) = (&file, &mem, &one);
        let threads: Vec<_> = (0..6)
            .map(|n| {
                scope.spawn(move || -> Outcome {
                    for round in 0..60 {
                        let what = format!("thread {n}, round {round}");
                        if n < 4 {
                            let address = mapped(file, super::attr(one.raw(), 2))?;
                            let value = unmap(file, un_attr(one.raw(), address, 0));
                            // The DSP's addresses differ, so everybody finds his own.
                            ensure_ret!(value, 0, "{what}");
                            continue;
                        }
                        let mut out = [0; dspmem::SUMMED];
                        let value = mem.call(
                            &Call::new(dspmem::TOUCH)
                                .input(&[0; 8])
                                .reads(one.at(0), one.size as u64, one.raw())
                                .output(&mut out),
                        );
                        ensure_ret!(value, 0, "{what}");
                        ensure_eq!(Checksum::nth(&out, 0), sum, "{what}");
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|one| one.join().unwrap_or(Err("a thread panicked".into())))
            .collect()
    });
    for result in results {
        result?;
    }
    ensure_eq!(status("remote_maps")?, 0, "remote maps");
    ensure_eq!(mem.list()?.len(), 0, "mappings on the DSP");
    Ok(())
}
