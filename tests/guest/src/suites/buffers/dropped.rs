// SPDX-License-Identifier: GPL-2.0
//! Buffers that the DSP knows by number: held until it says that it dropped the number.

use super::*;

/// Hands a buffer to the DSP as in handle, in the old style; address and size of its pages.
fn hand_over(mem: &DspMem<'_>, one: &Shared) -> Result<(u64, u64), Fail> {
    let records = mem
        .args(2, |call| call.in_handle(0, one.size as u64, one.raw()))
        .map_err(|value| format!("handle {}: {}", one.raw(), raw::show(value)))?;
    Ok((records[1].page, records[1].size))
}

/// Closes everything that the client has of a buffer.
fn forget(file: &File, one: Shared) -> Outcome {
    if one.handle != 0 {
        file.close(one.handle)?;
    }
    drop(one);
    Ok(())
}

/// The number as the DSP reports it.
fn tag(number: i32) -> u64 {
    u64::from(number as u32)
}

/// Checks that pages still hold bytes.
fn dsp_reads(mem: &DspMem<'_>, pages: (u64, u64), data: &[u8], what: &str) -> Outcome {
    let (value, sum) = mem.sum(pages.0, pages.1);
    ensure_ret!(value, 0, "{what}: the DSP reads");
    ensure_eq!(sum, Checksum::of(data), "{what}: what the DSP reads");
    Ok(())
}

/// Checks that no page is there any more.
fn dsp_lost(mem: &DspMem<'_>, pages: (u64, u64), what: &str) -> Outcome {
    let scan = mem.scan(pages.0, pages.1)?;
    ensure_eq!(scan.mapped, 0, "{what}: pages that the DSP still has");
    Ok(())
}

pub fn held_until_dropped() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for maker in [Maker::Own, Maker::Scattered, Maker::Vgem] {
        let one = match Shared::new(maker, &file, 3 * PAGE) {
            Err(Fail::Skip(why)) => {
                println!("{maker:?}: {why}");
                continue;
            }
            one => one?,
        };
        let what = format!("{maker:?}");
        let data = one.fill(4);
        let number = one.raw();
        let pages = hand_over(&mem, &one)?;
        ensure_eq!(status("held")?, 1, "{what}: held");
        forget(&file, one)?;
        // Many calls later it is still there.
        for _ in 0..50 {
            file.still_works()?;
        }
        dsp_reads(&mem, pages, &data, &what)?;
        ensure_eq!(
            status("held")?,
            1,
            "{what}: held after everything was closed"
        );
        ensure_ret!(mem.drop_tags(0, &[tag(number)]), 0, "{what}: drop");
        wait_status("held", 0)?;
        wait_status("mappings", 0)?;
        dsp_lost(&mem, pages, &what)?;
        // Once more changes nothing.
        ensure_ret!(mem.drop_tags(0, &[tag(number)]), 0, "{what}: second drop");
        ensure_eq!(status("held")?, 0, "{what}: held");
    }
    Ok(())
}

/// Numbers that were never given, twice, of another session, with strange upper halves.
pub fn wrong_drops() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let other = File::with_process(CDSP)?;
    let other_mem = DspMem::open(&other)?;
    let mine = Shared::own(&file, PAGE)?;
    let theirs = Shared::own(&other, PAGE)?;
    let (data, other_data) = (mine.fill(1), theirs.fill(2));
    let pages = hand_over(&mem, &mine)?;
    let other_pages = hand_over(&other_mem, &theirs)?;
    ensure_eq!(status("held")?, 2, "held by two sessions");
    let numbers = [mine.raw(), theirs.raw()];
    forget(&file, mine)?;
    forget(&other, theirs)?;
    let mut wrong = vec![
        tag(numbers[1]),
        tag(-1),
        u64::MAX,
        1,
        2,
        1000,
        1 << 31,
        0x7fff_ffff,
        0x8000_0000_0000_0000,
    ];
    for n in 0..40u32 {
        let noise = dsp::pattern(8, n);
        wrong.push(u64::from_le_bytes(noise.try_into().unwrap_or_default()));
    }
    wrong.retain(|&value| value as u32 != numbers[0] as u32);
    for chunk in wrong.chunks(16) {
        ensure_ret!(mem.drop_tags(0, chunk), 0, "drop of {chunk:x?}");
        ensure_eq!(status("held")?, 2, "held after drop of {chunk:x?}");
    }
    // A zero ends the list.
    ensure_ret!(
        mem.drop_tags(0, &[0, tag(numbers[0])]),
        0,
        "drop behind a zero"
    );
    ensure_eq!(status("held")?, 2, "held after a drop behind the end");
    dsp_reads(&mem, pages, &data, "own buffer")?;
    dsp_reads(
        &other_mem,
        other_pages,
        &other_data,
        "other session's buffer",
    )?;
    // Repeated, and with other bits above: the number counts once.
    let again = [tag(numbers[0]); 16];
    ensure_ret!(mem.drop_tags(0, &again), 0, "the same number 16 times");
    wait_status("held", 1)?;
    dsp_lost(&mem, pages, "own buffer")?;
    dsp_reads(
        &other_mem,
        other_pages,
        &other_data,
        "other session's buffer",
    )?;
    let upper = tag(numbers[1]) | 0xdead_beef_0000_0000;
    ensure_ret!(other_mem.drop_tags(0, &[upper]), 0, "upper half");
    wait_status("held", 0)?;
    wait_status("mappings", 0)
}

/// Handed over several times under one number, a buffer is held once. Two buffers under one number
/// are two, and each entry of the list ends one.
pub fn held_several_times() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, PAGE)?;
    let data = one.fill(8);
    let number = one.raw();
    let mut pages = (0, 0);
    for _ in 0..4 {
        pages = hand_over(&mem, &one)?;
    }
    ensure_eq!(status("held")?, 1, "held after four times");
    forget(&file, one)?;
    dsp_reads(&mem, pages, &data, "buffer that is known")?;
    ensure_ret!(mem.drop_tags(0, &[tag(number)]), 0, "drop");
    wait_status("held", 0)?;
    dsp_lost(&mem, pages, "buffer that is not known any more")?;

    for number in [-7, 0x7000_0001] {
        for _ in 0..2 {
            let handle = file.buffer(PAGE)?;
            let mut out = [0; 2 * dspmem::RECORD];
            let call = NewCall::new(dspmem::ARGS)
                .output(&mut out)
                .handle(ARG_IN, handle, number, 0, 1);
            ensure_eq!(mem.new_call(&call), (0, 0), "handle with tag {number}");
            file.close(handle)?;
        }
        ensure_eq!(status("held")?, 2, "two buffers under {number}");
        for left in [1, 0] {
            ensure_ret!(mem.drop_tags(0, &[tag(number)]), 0, "drop of {number}");
            wait_status("held", left)?;
            wait_status("mappings", left)?;
        }
    }
    Ok(())
}

/// The list counts in every answer: of calls without arguments, of failing ones, of interrupted
/// ones too.
pub fn drops_everywhere() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let echo = file.module("echo")?;
    let fail = file.module("fail")?;
    let send = |what: &str, call: &dyn Fn() -> Outcome| -> Outcome {
        let one = Shared::own(&file, PAGE)?;
        hand_over(&mem, &one)?;
        let number = one.raw();
        forget(&file, one)?;
        ensure_eq!(status("held")?, 1, "held before {what}");
        sim::control(CDSP, &format!("droplist {:#x}", tag(number)))?;
        call()?;
        wait_status("held", 0).map_err(|why| format!("{what}: {why}"))?;
        wait_status("mappings", 0).map_err(|why| format!("{what}: {why}").into())
    };
    send("an empty call", &|| {
        ensure_ret!(Call::new(2).on(file.raw(), echo), 0, "empty call");
        Ok(())
    })?;
    send("an empty new call", &|| {
        ensure_eq!(NewCall::new(2).on(file.raw(), echo), (0, 0), "empty call");
        Ok(())
    })?;
    for result in [1, 0x8000_0401u32, 0xffff_ffff] {
        send("a failing call", &|| {
            let value = Call::new(2)
                .input(&result.to_le_bytes())
                .on(file.raw(), fail);
            ensure_ret!(value, raw::as_returned(result), "failing call");
            Ok(())
        })?;
    }
    send("a call of a handle that does not exist", &|| {
        let value = Call::new(2).on(file.raw(), 0x7777_7777);
        ensure_ret!(value, raw::as_returned(0x8000_042c), "unknown handle");
        Ok(())
    })?;
    send("a call with an output that cannot be written", &|| {
        let data = [1; 16];
        let value = Call::new(2)
            .input(&data)
            .output_at(8, 16)
            .on(file.raw(), echo);
        ensure_ret!(value, -libc::EFAULT, "output at a bad address");
        Ok(())
    })?;
    send("a call whose time was over", &|| {
        let call = NewCall::new(3).input(&[100, 0, 0, 0]);
        let call = call.until(calls::now_ns() + 20_000_000);
        ensure_ret!(call.on(file.raw(), echo).0, -libc::ETIMEDOUT, "deadline");
        // The answer comes when nobody waits for it any more; a worker finds it.
        sim::wait_counter("delayed", Duration::from_secs(5), |now| now == 0)?;
        Ok(())
    })
}

/// A number that is held and mapped by REMOTE_MAP as well: the drop ends the hold only.
pub fn drop_of_mapped() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, PAGE)?;
    let data = one.fill(3);
    let number = one.raw();
    let mut map = raw::Map {
        request: raw::ATTR,
        flags: 2,
        fd: number,
        ..raw::Map::default()
    };
    ensure_ret!(
        raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64),
        0,
        "map"
    );
    ensure_ret!(
        mem.drop_tags(0, &[tag(number); 3]),
        0,
        "drop of a mapped number"
    );
    ensure_eq!(status("remote_maps")?, 1, "remote maps after a drop");
    hand_over(&mem, &one)?;
    forget(&file, one)?;
    ensure_eq!(
        (status("held")?, status("mappings")?),
        (1, 1),
        "held, mapped"
    );
    ensure_ret!(mem.drop_tags(0, &[tag(number)]), 0, "drop");
    wait_status("held", 0)?;
    ensure_eq!(status("mappings")?, 1, "mapped after the drop");
    let (value, got) = mem.map_read(number, 0, PAGE);
    ensure_ret!(value, 0, "reading the map after the drop");
    dsp::same(&data, &got)?;
    let unmap = raw::Unmap {
        request: raw::ATTR,
        fd: number,
        vaddr: map.vaddrout,
        ..raw::Unmap::default()
    };
    ensure_ret!(
        raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64),
        0,
        "unmap"
    );
    wait_status("mappings", 0)
}

/// The call that hands a buffer over is the one whose answer drops it; with threads, over and over.
pub fn drop_in_its_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let results: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (file, mem) = (&file, &mem);
                scope.spawn(move || -> Outcome {
                    for round in 0..100u32 {
                        let one = Shared::own(file, PAGE)?;
                        let number = one.raw();
                        let request = dspmem::drop_request(0, &[tag(number)]);
                        let value = mem.call(
                            &Call::new(dspmem::DROP)
                                .input(&request)
                                .in_handle(0, 100, number),
                        );
                        ensure_ret!(value, 0, "thread {n}, round {round}");
                        forget(file, one)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err("a thread panicked".into())))
            .collect()
    });
    for result in results {
        result?;
    }
    wait_status("held", 0)?;
    wait_status("mappings", 0)?;
    file.still_works()
}

/// Many numbers, dropped in lists of 16, the rest by the end of the session.
pub fn many_held() -> Outcome {
    const MANY: usize = 100;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let mut held = Vec::new();
    for n in 0..MANY {
        let one = Shared::own(&file, PAGE)?;
        let data = one.fill(n as u32);
        held.push((tag(one.raw()), hand_over(&mem, &one)?, data, one));
    }
    ensure_eq!(status("held")?, MANY as u64, "held");
    // Kept open until now so that every number is another one.
    let mut left = Vec::new();
    for (number, pages, data, one) in held {
        forget(&file, one)?;
        left.push((number, pages, data));
    }
    ensure_eq!(status("mappings")?, MANY as u64, "mapped");
    let (dropped, kept) = left.split_at(64);
    for chunk in dropped.chunks(16) {
        let numbers: Vec<u64> = chunk.iter().map(|one| one.0).collect();
        ensure_ret!(
            mem.drop_tags(0x8000_0401, &numbers),
            raw::as_returned(0x8000_0401),
            "drop"
        );
    }
    wait_status("held", (MANY - 64) as u64)?;
    for (_, pages, _) in dropped {
        dsp_lost(&mem, *pages, "dropped buffer")?;
    }
    for (n, (_, pages, data)) in kept.iter().enumerate() {
        dsp_reads(&mem, *pages, data, &format!("kept buffer {n}"))?;
    }
    drop(file);
    wait_status("held", 0)?;
    wait_status("mappings", 0)
}
