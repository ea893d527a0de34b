// SPDX-License-Identifier: GPL-2.0
//! Mappings whose buffer, session or client goes away.

use super::*;
use crate::children::Helper;

/// Everything that the client has of a buffer is closed; the DSP goes on with it.
pub fn closed_while_mapped() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (maker, one) in of_all_makers(&file, 6 * PAGE)? {
        let data = one.fill(4);
        let address = mapped(&file, super::attr(one.raw(), 2))?;
        let number = one.raw();
        if one.handle != 0 {
            file.close(one.handle)?;
        }
        drop(one);
        // New memory that would take the place of what was freed.
        let dirt = Shared::own(&file, 6 * PAGE)?;
        dirt.fill(1234);
        for seed in 0..50 {
            let (value, got) = mem.map_read(number, 0, 6 * PAGE);
            ensure_ret!(value, 0, "{maker:?}: read");
            if seed == 0 {
                dsp::same(&data, &got).map_err(|why| format!("{maker:?}: {why}"))?;
            }
            let written = dsp::pattern(6 * PAGE, seed);
            ensure_ret!(mem.map_write(number, 0, &written), 0, "{maker:?}: write");
            let (value, got) = mem.map_read(number, 0, 6 * PAGE);
            ensure_ret!(value, 0, "{maker:?}: read again");
            dsp::same(&written, &got).map_err(|why| format!("{maker:?}: {why}"))?;
        }
        sim::control(CDSP, "check")?;
        dirt.holds(0, &dsp::pattern(6 * PAGE, 1234))
            .map_err(|why| format!("{maker:?}: somebody else's memory was written: {why}"))?;
        ensure_ret!(
            unmap(&file, un_attr(number, address, 0)),
            0,
            "{maker:?}: unmap"
        );
        file.close(dirt.handle)?;
        drop(dirt);
        nothing_left()?;
    }
    Ok(())
}

/// Far more memory than the machine has goes through maps, since each gives it back.
pub fn memory_comes_back() -> Outcome {
    const PIECE: u64 = 64 << 20;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let total = meminfo("MemTotal")?;
    let rounds = (total / PIECE + 4) as usize / 2;
    let before = meminfo("MemAvailable")?;
    println!(
        "{rounds} times {} MiB of heap and as much of buffers",
        PIECE >> 20
    );
    for round in 0..rounds {
        let what = format!("round {round}");
        let address = mapped(&file, heap_request(PIECE))?;
        ensure_eq!(status("heap_bytes")?, PIECE, "heap bytes, {what}");
        ensure_ret!(unmap(&file, un_legacy(address, PIECE)), 0, "unmap, {what}");
        let handle = file.buffer(PIECE as usize)?;
        let fd = file.export(handle)?;
        let address = mapped(&file, super::attr(fd.as_raw_fd(), 2))?;
        let data = dsp::pattern(1000, round as u32);
        let at = PIECE - 1000;
        ensure_ret!(mem.map_write(fd.as_raw_fd(), at, &data), 0, "write, {what}");
        ensure_ret!(
            unmap(&file, un_attr(fd.as_raw_fd(), address, 0)),
            0,
            "unmap, {what}"
        );
        file.close(handle)?;
        drop(fd);
        nothing_left()?;
    }
    let after = meminfo("MemAvailable")?;
    ensure!(
        after + (32 << 20) > before,
        "available memory was {} MiB and is {} MiB",
        before >> 20,
        after >> 20
    );
    Ok(())
}

/// Sessions that close with everything mapped; what they had outlives the release, and no longer.
pub fn session_ends_with_maps() -> Outcome {
    for round in 0..10 {
        let file = File::with_process(CDSP)?;
        let mut kept = Vec::new();
        for (_, one) in of_all_makers(&file, 3 * PAGE)? {
            for flags in [0, 2, 3, 16] {
                mapped(&file, super::attr(one.raw(), flags))?;
            }
            let request = Map {
                flags: 6,
                fd: one.raw(),
                ..heap_request(3 * PAGE as u64)
            };
            mapped(&file, request)?;
            if round % 2 == 0 {
                kept.push(one);
            }
        }
        for size in [4096, 1 << 20] {
            mapped(&file, heap_request(size))?;
        }
        // The DSP takes its time with the release, and looks at its memory then.
        sim::control(CDSP, "delay release 50")?;
        drop(file);
        nothing_left()?;
        for one in kept {
            let data = one.fill(round);
            one.holds(0, &data)?;
        }
    }
    Ok(())
}

/// The DSP does not confirm the release: bank and memory stay as they are until it is gone.
pub fn release_ignored() -> Outcome {
    let capacity = dt::dsp(CDSP)?.capacity();
    let file = File::with_process(CDSP)?;
    let (address, data) = {
        let mem = DspMem::open(&file)?;
        let one = Shared::own(&file, 5 * PAGE)?;
        let data = one.fill(3);
        let record = mem
            .arg(one.at(0), one.size as u64, one.raw())
            .map_err(|value| format!("args: {}", raw::show(value)))?;
        mem.args(2, |call| call.in_handle(0, 1, one.raw()))
            .map_err(|value| format!("args: {}", raw::show(value)))?;
        mapped(&file, super::attr(one.raw(), 2))?;
        mapped(&file, heap_request(7 * PAGE as u64))?;
        (record.page, data)
    };
    sim::control(CDSP, "ignore release")?;
    let begin = Instant::now();
    drop(file);
    ensure!(
        begin.elapsed() < patience(Duration::from_secs(40)),
        "close took {:?}",
        begin.elapsed()
    );
    wait_status("quarantined", 1)?;
    ensure_eq!(status("heap_bytes")?, 7 * PAGE as u64, "heap in quarantine");
    ensure_eq!(status("mappings")?, 2, "buffer and heap in quarantine");
    ensure_eq!(status("remote_maps")?, 2, "remote maps in quarantine");
    ensure_eq!(status("held")?, 1, "held in quarantine");
    // All that the process may reach has its pages, and nobody else gets its seat.
    sim::control(CDSP, "check")?;
    println!("{} bytes at {address:#x} stay", data.len());
    let mut others = Vec::new();
    loop {
        let other = File::open(CDSP)?;
        match other.create() {
            0 => others.push(other),
            value => {
                ensure_ret!(value, -libc::EBUSY, "create beside a quarantined session");
                break;
            }
        }
    }
    ensure_eq!(
        others.len(),
        capacity - 1,
        "sessions beside a quarantined one"
    );
    for other in &others {
        other.still_works()?;
    }
    drop(others);
    ensure_eq!(status("quarantined")?, 1, "quarantined sessions");
    // The DSP's end is the end of it.
    restart()?;
    wait_status("quarantined", 0)?;
    nothing_left()?;
    let mut others = Vec::new();
    for _ in 0..capacity {
        others.push(File::with_process(CDSP)?);
    }
    Ok(())
}

/// Clients that are killed between and inside their maps and calls.
pub fn killed_with_maps() -> Outcome {
    let live = sim::counter("live_processes")?;
    for round in 0..15u64 {
        let mut helpers = vec![
            Helper::start("buffers", &[CDSP])?,
            Helper::start("buffers", &[CDSP])?,
        ];
        for helper in &mut helpers {
            helper.expect("ready")?;
        }
        std::thread::sleep(Duration::from_millis(10 + round * 17));
        for helper in &mut helpers {
            helper.kill()?;
        }
        for helper in &mut helpers {
            helper.wait(Duration::from_secs(15))?;
        }
        sim::wait_counter("live_processes", Duration::from_secs(15), |now| now == live)?;
        nothing_left()?;
        ensure_eq!(status("held")?, 0, "held after kill {round}");
    }
    File::with_process(CDSP)?.still_works()
}

/// Sessions, threads, maps of all kinds, at once; in the end nothing is left.
pub fn storm() -> Outcome {
    let results: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u32)
            .map(|n| {
                scope.spawn(move || -> Outcome {
                    for session in 0..4 {
                        let file = File::open(CDSP)?;
                        // More threads than seats: some have to wait for theirs.
                        let deadline = Instant::now() + Duration::from_secs(60);
                        loop {
                            match file.create() {
                                0 => break,
                                value => ensure_ret!(value, -libc::EBUSY, "create"),
                            }
                            ensure!(Instant::now() < deadline, "no seat for thread {n}");
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        let mem = DspMem::open(&file)?;
                        for round in 0..20 {
                            let seed = n * 10_000 + session * 100 + round;
                            let one = Shared::own(&file, PAGE * (1 + seed as usize % 7))?;
                            let data = one.fill(seed);
                            let address = mapped(&file, super::attr(one.raw(), 2))?;
                            let heap = mapped(&file, heap_request(1 + u64::from(seed) % 50_000))?;
                            let (value, got) = mem.map_read(one.raw(), 0, one.size);
                            ensure_ret!(value, 0, "read {seed}");
                            dsp::same(&data, &got).map_err(|why| format!("{seed}: {why}"))?;
                            if seed % 3 != 0 {
                                let request = un_attr(one.raw(), address, 0);
                                ensure_ret!(unmap(&file, request), 0, "unmap {seed}");
                            }
                            if seed % 5 != 0 {
                                ensure_ret!(unmap(&file, un_legacy(heap, 0)), 0, "heap {seed}");
                            }
                            file.close(one.handle)?;
                        }
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
    nothing_left()
}
