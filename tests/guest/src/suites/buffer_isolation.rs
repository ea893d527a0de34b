// SPDX-License-Identifier: GPL-2.0
//! What one session can reach of another's buffers. A process on the DSP goes looking: it scans
//! its address space and reads and writes wherever it likes.

use std::os::fd::AsRawFd;

use super::buffers::{
    status,
    wait_status, //
};
use super::isolation::{
    last,
    leaks,
    probe_read,
    probe_write,
    secrets,
    two_banks, //
};
use super::CDSP;
use crate::buffer::Area;
use crate::calls::NewCall;
use crate::children::Helper;
use crate::dsp::{
    Call,
    File,
    FAILED, //
};
use crate::dspmem::{
    self,
    Checksum,
    DspMem, //
};
use crate::dt;
use crate::exporters;
use crate::harness::{
    case,
    expect_faults,
    Fail,
    Outcome,
    Suite, //
};
use crate::mem::PAGE;
use crate::raw;
use crate::shared::{
    Shared,
    MAKERS, //
};
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

pub const SUITE: Suite = Suite {
    name: "buffer-isolation",
    restore: None,
    cases: &[
        case("exactly_its_own", "T8, T113, T114", exactly_its_own).limit(120),
        case(
            "addresses_of_another",
            "T17, T93, T113",
            addresses_of_another,
        ),
        case("canaries", "T17, T113", canaries),
        case(
            "one_buffer_two_sessions",
            "T93, T98",
            one_buffer_two_sessions,
        ),
        case("one_bank_two_sessions", "T93, T113", one_bank_two_sessions),
        case("two_processes", "T93, T96", two_processes),
        case("next_session", "T71, T105", next_session).limit(120),
        case("unmapped_at_once", "T102, T105", unmapped_at_once),
        case("new_buffers_are_zero", "T104", new_buffers_are_zero),
        case("every_bank", "T92, T103", every_bank),
    ],
};

/// The whole address space of a bank, in bytes.
const ALL: u64 = 1 << 32;
/// Where the kernel looks for free addresses first, and all that small tests ever get; a look at
/// the whole space takes seconds.
const TOP: u64 = ALL - (64 << 20);

/// Pages that a session's bank has mapped in the part that is used.
fn mapped(mem: &DspMem<'_>) -> Result<u64, Fail> {
    Ok(mem.scan(TOP, ALL - TOP)?.mapped)
}

/// Pages that a session's bank has mapped anywhere; there are none outside of the used part.
fn mapped_anywhere(mem: &DspMem<'_>) -> Result<u64, Fail> {
    let all = mem.scan(0, ALL)?.mapped;
    ensure_eq!(mapped(mem)?, all, "pages in the used part of the addresses");
    Ok(all)
}

/// Maps a buffer by using all of it; the address that the DSP was told.
fn place(mem: &DspMem<'_>, one: &Shared) -> Result<u64, Fail> {
    mem.arg(one.at(0), one.size as u64, one.raw())
        .map(|record| record.page)
        .map_err(|value| format!("args gave {}", raw::show(value)).into())
}

/// The stream id of the bank that a session sits on.
fn bank(file: &File) -> Result<u32, Fail> {
    file.still_works()?;
    Ok(last()?.sid())
}

/// A bank has as many pages more as its session uses buffers for, and no other bank has.
fn exactly_its_own() -> Outcome {
    let [(owner, _), (spy, _)] = two_banks()?;
    let mem = DspMem::open(&owner)?;
    let spy_mem = DspMem::open(&spy)?;
    // The messages of scans are as large as they get before the first number is taken.
    mapped(&mem)?;
    mapped(&spy_mem)?;
    let (before, spy_before) = (mapped_anywhere(&mem)?, mapped_anywhere(&spy_mem)?);
    println!("{before} and {spy_before} pages mapped before");
    let mut used = Vec::new();
    let mut pages = 0;
    for (n, maker) in (0..).zip(MAKERS.into_iter().cycle().take(12)) {
        let one = match Shared::new(maker, &owner, (1 + n * 5) * PAGE) {
            Err(Fail::Skip(_)) => continue,
            one => one?,
        };
        // A buffer that no call names is nowhere.
        ensure_eq!(
            mapped(&mem)?,
            before + pages,
            "pages before use of {maker:?}"
        );
        // One byte of it is enough to map all of it.
        mem.arg(one.at(0), 1, one.raw())
            .map_err(|value| format!("args gave {}", raw::show(value)))?;
        pages += (one.size / PAGE) as u64;
        ensure_eq!(
            mapped(&mem)?,
            before + pages,
            "pages after use of {maker:?}"
        );
        used.push(one);
    }
    ensure_eq!(status("mappings")?, used.len() as u64, "mapped buffers");
    ensure_eq!(mapped(&spy_mem)?, spy_before, "pages of the other bank");
    // Used again they are where they are.
    for one in &used {
        place(&mem, one)?;
    }
    ensure_eq!(mapped(&mem)?, before + pages, "pages after the second use");
    for one in &used {
        place(&spy_mem, one)?;
    }
    ensure_eq!(mapped_anywhere(&mem)?, before + pages, "pages of the owner");
    ensure_eq!(
        mapped_anywhere(&spy_mem)?,
        spy_before + pages,
        "pages when the other session uses all buffers"
    );
    for one in used {
        if one.handle != 0 {
            owner.close(one.handle)?;
        }
    }
    wait_status("mappings", 0)?;
    ensure_eq!(mapped(&mem)?, before, "pages when all buffers are gone");
    ensure_eq!(
        mapped(&spy_mem)?,
        spy_before,
        "pages of the other bank when all buffers are gone"
    );
    Ok(())
}

/// A spy tries every page of another session's buffers, with each prefix, to read and to write.
fn addresses_of_another() -> Outcome {
    const PAGES: usize = 40;
    let [(owner, _), (spy, spy_request)] = two_banks()?;
    let mem = DspMem::open(&owner)?;
    let spy_mem = DspMem::open(&spy)?;
    let probe = spy.module("probe")?;
    let spy_sid = u64::from(spy_request.sid()) << 32;
    let secret = secrets(PAGES * PAGE);
    let mut faults = 0;
    for maker in MAKERS {
        let one = match Shared::new(maker, &owner, PAGES * PAGE) {
            Err(Fail::Skip(_)) => continue,
            one => one?,
        };
        one.map.write(0, &secret);
        let address = place(&mem, &one)?;
        ensure!(
            address >> 32 != spy_sid >> 32,
            "the spy has the owner's bank"
        );
        let size = one.size as u64;
        let seen = spy_mem.scan(address, size)?;
        ensure_eq!(seen.mapped, 0, "pages with the owner's prefix, {maker:?}");
        for page in 0..PAGES as u64 {
            let at = address + page * PAGE as u64;
            let (value, data) = probe_read(&spy, probe, at, PAGE);
            ensure_ret!(
                value,
                raw::as_returned(FAILED),
                "{maker:?}: read at {at:#x}"
            );
            ensure!(!leaks(&data), "{maker:?}: a secret at {at:#x}");
            let value = probe_write(&spy, probe, at, &[0; 64]);
            ensure_ret!(
                value,
                raw::as_returned(FAILED),
                "{maker:?}: write at {at:#x}"
            );
            faults += 2;
            // The same number in the spy's own bank: nothing, or the spy's own memory.
            let own = spy_sid | (at & 0xffff_ffff);
            let (value, data) = probe_read(&spy, probe, own, PAGE);
            ensure!(!leaks(&data), "{maker:?}: a secret at {own:#x}");
            if value == raw::as_returned(FAILED) {
                faults += 1;
            } else {
                ensure_ret!(value, 0, "{maker:?}: read at {own:#x}");
            }
        }
        // The pages next to the buffer are not the owner's either.
        for at in [address - PAGE as u64, address + size] {
            let (value, data) = probe_read(&spy, probe, at, PAGE);
            ensure_ret!(
                value,
                raw::as_returned(FAILED),
                "{maker:?}: read at {at:#x}"
            );
            ensure!(!leaks(&data), "{maker:?}: a secret at {at:#x}");
            faults += 1;
        }
        one.holds(0, &secret)
            .map_err(|why| format!("{maker:?}: the secret was changed: {why}"))?;
    }
    expect_faults(faults);
    owner.still_works()?;
    spy.still_works()
}

/// Both sessions fill their buffers with what only they have; each finds its own, in calls that go
/// on at the same time.
fn canaries() -> Outcome {
    let [(first, _), (second, _)] = two_banks()?;
    let results: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = [&first, &second]
            .into_iter()
            .zip([0x11u64, 0x22])
            .map(|(file, seed)| {
                scope.spawn(move || -> Outcome {
                    let mem = DspMem::open(file)?;
                    let mut all = Vec::new();
                    for n in 0..20u64 {
                        let one = Shared::own(file, 8 * PAGE)?;
                        let address = place(&mem, &one)?;
                        let size = one.size as u64;
                        ensure_ret!(mem.fill(address, size, seed * 1000 + n), 0, "fill {n}");
                        all.push((n, address, one));
                        for (n, address, one) in &all {
                            let expected = dspmem::stream(seed * 1000 + n, one.size);
                            one.holds(0, &expected)
                                .map_err(|why| format!("session {seed:#x}, buffer {n}: {why}"))?;
                            let (value, sum) = mem.sum(*address, size);
                            ensure_ret!(value, 0, "sum {n}");
                            ensure_eq!(sum, Checksum::of(&expected), "what the DSP sees of {n}");
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
    Ok(())
}

/// One buffer in two sessions: two addresses with the prefix of their banks, one content.
fn one_buffer_two_sessions() -> Outcome {
    let [(first, first_request), (second, second_request)] = two_banks()?;
    let mem = DspMem::open(&first)?;
    let second_mem = DspMem::open(&second)?;
    for maker in MAKERS {
        let one = match Shared::new(maker, &first, 20 * PAGE) {
            Err(Fail::Skip(_)) => continue,
            one => one?,
        };
        let size = one.size as u64;
        let address = place(&mem, &one)?;
        let second_address = place(&second_mem, &one)?;
        ensure_eq!(
            (address >> 32) as u32,
            first_request.sid(),
            "prefix, {maker:?}"
        );
        ensure_eq!(
            (second_address >> 32) as u32,
            second_request.sid(),
            "prefix of the second, {maker:?}"
        );
        ensure_eq!(status("mappings")?, 2, "mappings of {maker:?}");
        ensure_ret!(mem.fill(address, size, 1234), 0, "fill by the first");
        let expected = dspmem::stream(1234, one.size);
        one.holds(0, &expected)?;
        let (value, sum) = second_mem.sum(second_address, size);
        ensure_ret!(value, 0, "sum by the second");
        ensure_eq!(
            sum,
            Checksum::of(&expected),
            "what the second reads, {maker:?}"
        );
        // The buffer of the first by the second's handle.
        let handle = second.import(&one.fd)?;
        let data = one.fill(99);
        let mut sum = [0; dspmem::SUMMED];
        let call = NewCall::new(dspmem::TOUCH)
            .input(&[0; 8])
            .read(handle, 0, size)
            .output(&mut sum);
        ensure_eq!(second_mem.new_call(&call), (0, 0), "touch, {maker:?}");
        ensure_eq!(
            Checksum::nth(&sum, 0),
            Checksum::of(&data),
            "read by handle"
        );
        ensure_eq!(status("mappings")?, 2, "mappings of {maker:?} with handles");
        second.close(handle)?;
        if one.handle != 0 {
            first.close(one.handle)?;
        }
        drop(one);
        wait_status("mappings", 0)?;
    }
    Ok(())
}

/// Two sessions that the device tree puts on one bank: each works while the other comes and goes.
fn one_bank_two_sessions() -> Outcome {
    let mut files = Vec::new();
    let mut banks = Vec::new();
    for _ in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::with_process(CDSP)?;
        banks.push(bank(&file)?);
        files.push(file);
    }
    let Some((a, b)) = (0..banks.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .find(|&(a, b)| banks[a] == banks[b])
    else {
        return Err(Fail::Skip("no bank has two sessions".into()));
    };
    let (first, second) = (files.swap_remove(a), files.swap_remove(b));
    drop(files);
    let mem = DspMem::open(&first)?;
    let one = Shared::own(&first, 10 * PAGE)?;
    let data = one.fill(6);
    let address = place(&mem, &one)?;
    {
        let second_mem = DspMem::open(&second)?;
        let same = place(&second_mem, &one)?;
        // One mapping for the bank, or one for each session: both are right.
        println!("addresses {address:#x} and {same:#x}");
        let (value, sum) = second_mem.sum(same, one.size as u64);
        ensure_ret!(value, 0, "sum by the second session");
        ensure_eq!(sum, Checksum::of(&data), "what the second session reads");
    }
    drop(second);
    let (value, sum) = mem.sum(address, one.size as u64);
    ensure_ret!(value, 0, "sum after the second session ended");
    ensure_eq!(sum, Checksum::of(&data), "what the first reads then");
    place(&mem, &one)?;
    first.still_works()
}

/// A buffer handed to another process by its descriptor.
fn two_processes() -> Outcome {
    for maker in MAKERS {
        let file = File::with_process(CDSP)?;
        let one = match Shared::new(maker, &file, 32 * PAGE) {
            Err(Fail::Skip(_)) => continue,
            one => one?,
        };
        let data = one.fill(61);
        let mem = DspMem::open(&file)?;
        let address = place(&mem, &one)?;
        // Without close-on-exec.
        // SAFETY: Plain numbers; closed below.
        let number = unsafe { libc::dup(one.raw()) };
        let size = one.size.to_string();
        let mut helper = Helper::start("share", &[CDSP, &number.to_string(), &size, "815"])?;
        let line = helper.line()?;
        // SAFETY: The number is this function's.
        unsafe { libc::close(number) };
        let Checksum(sum, hash) = Checksum::of(&data);
        ensure_eq!(
            line,
            format!("{sum:x} {hash:x}"),
            "what the child's DSP read"
        );
        let mut expected = data;
        let half = one.size / 2;
        expected[half..].copy_from_slice(&dspmem::stream(815, half));
        one.holds(0, &expected)
            .map_err(|why| format!("what the child wrote, {maker:?}: {why}"))?;
        // Both hold it; the child goes first.
        ensure_eq!(status("mappings")?, 2, "mappings of two processes");
        helper.success(std::time::Duration::from_secs(10))?;
        wait_status("mappings", 1)?;
        let (value, sum) = mem.sum(address, one.size as u64);
        ensure_ret!(value, 0, "sum after the child's end");
        ensure_eq!(
            sum,
            Checksum::of(&expected),
            "content after the child's end"
        );
    }
    Ok(())
}

/// After a session ended, whoever gets its bank finds none of its buffers.
fn next_session() -> Outcome {
    let capacity = dt::dsp(CDSP)?.capacity();
    // What fresh sessions have, bank by bank.
    let survey = || -> Result<Vec<(u32, u64)>, Fail> {
        let mut found = Vec::new();
        let mut files = Vec::new();
        for _ in 0..capacity {
            let file = File::with_process(CDSP)?;
            let sid = bank(&file)?;
            let mem = DspMem::open(&file)?;
            found.push((sid, mapped(&mem)?));
            files.push(file);
        }
        Ok(found)
    };
    let before = survey()?;
    let mut places = Vec::new();
    {
        let mut files = Vec::new();
        for n in 0..capacity {
            let file = File::with_process(CDSP)?;
            let mut held = Vec::new();
            {
                let mem = DspMem::open(&file)?;
                for maker in MAKERS {
                    let one = match Shared::new(maker, &file, 25 * PAGE) {
                        Err(Fail::Skip(_)) => continue,
                        one => one?,
                    };
                    one.map.write(0, &secrets(one.size));
                    places.push((place(&mem, &one)?, one.size as u64));
                    // Known to the DSP as a handle, and by a map, as well.
                    mem.args(2, |call| call.in_handle(0, 1, one.raw()))
                        .map_err(|value| format!("args gave {}", raw::show(value)))?;
                    let mut map = raw::Map {
                        request: raw::ATTR,
                        flags: 2,
                        fd: one.raw(),
                        ..raw::Map::default()
                    };
                    let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
                    ensure_ret!(value, 0, "map of {maker:?} in session {n}");
                    held.push(one);
                }
            }
            files.push((file, held));
        }
        // The buffers of half of the sessions outlive them.
        let mut keep = Vec::new();
        for (n, (file, held)) in files.into_iter().enumerate() {
            drop(file);
            if n % 2 == 0 {
                keep.push(held);
            }
        }
        wait_status("mappings", 0)?;
        ensure_eq!(status("held")?, 0, "held after the end of all sessions");
        ensure_eq!(
            status("remote_maps")?,
            0,
            "maps after the end of all sessions"
        );
        ensure_eq!(
            survey()?,
            before,
            "pages of new sessions while buffers live on"
        );
    }
    ensure_eq!(survey()?, before, "pages of new sessions");
    let mut faults = 0;
    for _ in 0..capacity {
        let spy = File::with_process(CDSP)?;
        let sid = u64::from(bank(&spy)?) << 32;
        let probe = spy.module("probe")?;
        for &(address, size) in &places {
            for at in [address, address + size - 64] {
                let at = sid | (at & 0xffff_ffff);
                let (value, data) = probe_read(&spy, probe, at, 64);
                ensure!(!leaks(&data), "a secret at {at:#x}");
                if value == raw::as_returned(FAILED) {
                    faults += 1;
                }
            }
        }
    }
    expect_faults(faults);
    Ok(())
}

/// A buffer that is gone is out of reach when the last descriptor is closed, not some time later.
fn unmapped_at_once() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let probe = file.module("probe")?;
    let mut faults = 0;
    for _ in 0..20 {
        let one = Shared::own(&file, 3 * PAGE)?;
        let address = place(&mem, &one)?;
        file.close(one.handle)?;
        drop(one);
        let (value, _) = probe_read(&file, probe, address, 64);
        ensure_ret!(
            value,
            raw::as_returned(FAILED),
            "read of a closed own buffer"
        );
        faults += 1;
    }
    expect_faults(faults);
    ensure_eq!(status("mappings")?, 0, "mappings");
    Ok(())
}

/// New buffers show nothing of old memory, to the DSP first.
fn new_buffers_are_zero() -> Outcome {
    const PAGES: usize = 4096;
    for _ in 0..3 {
        let file = File::with_process(CDSP)?;
        let mem = DspMem::open(&file)?;
        {
            let dirt = Area::anonymous(PAGES * PAGE).map_err(|errno| format!("mmap: {errno}"))?;
            dirt.fill(0, PAGES * PAGE, 0xa5);
            let old = Shared::own(&file, PAGES * PAGE / 4)?;
            old.map.fill(0, old.size, 0xa5);
            place(&mem, &old)?;
            file.close(old.handle)?;
        }
        let handle = file.buffer(PAGES * PAGE / 2)?;
        let mut sum = [0; dspmem::SUMMED];
        let call = NewCall::new(dspmem::TOUCH)
            .input(&[0; 8])
            .read(handle, 0, (PAGES * PAGE / 2) as u64)
            .output(&mut sum);
        ensure_eq!(mem.new_call(&call), (0, 0), "touch");
        ensure_eq!(Checksum::nth(&sum, 0).0, 0, "sum of a new buffer");
    }
    Ok(())
}

/// Each bank of both DSPs, the coherent and the non-coherent ones, with the CPU's accesses between
/// the calls as the rules want them.
fn every_bank() -> Outcome {
    for label in [CDSP, super::ADSP] {
        let mut files = Vec::new();
        for _ in 0..dt::dsp(label)?.capacity() {
            files.push(File::with_process(label)?);
        }
        for (n, file) in files.iter().enumerate() {
            let mem = DspMem::open(file)?;
            let echo = file.module("echo")?;
            for maker in MAKERS {
                let one = match Shared::new(maker, file, 64 * PAGE) {
                    Err(Fail::Skip(_)) => continue,
                    one => one?,
                };
                for round in 0..4u32 {
                    let what = format!("{label}, session {n}, {maker:?}, round {round}");
                    let sync = |flags| exporters::sync(one.fd.as_raw_fd(), flags);
                    let both = raw::SYNC_READ | raw::SYNC_WRITE;
                    ensure_ret!(sync(both | raw::SYNC_START), 0, "sync, {what}");
                    let data = one.fill(round);
                    ensure_ret!(sync(both | raw::SYNC_END), 0, "sync, {what}");
                    // The first half is read, a part of the second half written.
                    let half = one.size / 2;
                    let (at, length) = (100 + round as usize * 999, 60_001);
                    let value = Call::new(2)
                        .reads(one.at(at), length, one.raw())
                        .writes(one.at(half + at), length, one.raw())
                        .on(file.raw(), echo);
                    ensure_ret!(value, 0, "echo, {what}");
                    ensure_ret!(sync(raw::SYNC_READ | raw::SYNC_START), 0, "sync, {what}");
                    let mut expected = data.clone();
                    expected[half + at..][..length as usize]
                        .copy_from_slice(&data[at..][..length as usize]);
                    one.holds(0, &expected)
                        .map_err(|why| format!("{what}: {why}"))?;
                    ensure_ret!(sync(raw::SYNC_READ | raw::SYNC_END), 0, "sync, {what}");
                    let record = mem
                        .arg(one.at(0), one.size as u64, one.raw())
                        .map_err(|value| format!("{what}: {}", raw::show(value)))?;
                    let (value, sum) = mem.sum(record.page, one.size as u64);
                    ensure_ret!(value, 0, "sum, {what}");
                    ensure_eq!(sum, Checksum::of(&expected), "what the DSP sees, {what}");
                }
            }
        }
    }
    Ok(())
}
