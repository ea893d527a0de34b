// SPDX-License-Identifier: GPL-2.0
//! Making and closing buffers: sizes, wrong requests, handles, races.

use super::*;

/// Total size of the buffers of a file.
fn total(file: &File) -> Result<u64, Fail> {
    buffer::fdinfo_number(file.raw(), "drm-total-memory")
}

pub fn sizes() -> Outcome {
    let file = File::open(CDSP)?;
    let mut sum = 0;
    for size in [
        1,
        7,
        PAGE - 1,
        PAGE,
        PAGE + 1,
        3 * PAGE,
        65_535,
        MIB - 1,
        2 * MIB,
        2 * MIB + 1,
    ] {
        let rounded = size.next_multiple_of(PAGE);
        let handle = file.buffer(size)?;
        sum += rounded as u64;
        ensure_eq!(total(&file)?, sum, "total after {size} bytes");
        let area = file.map(handle, rounded)?;
        ensure_eq!(area.not_zero(), None, "first byte of {size} that is not 0");
        area.stamp(size as u64);
        area.check_stamps(size as u64, 0, 0, rounded / PAGE)?;
        // One page more than the rounded size is not there.
        let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
        ensure_eq!(
            Area::new(
                file.raw(),
                rounded + PAGE,
                offset,
                buffer::RW,
                libc::MAP_SHARED
            )
            .err(),
            Some(libc::EINVAL),
            "area one page longer than {size} bytes"
        );
    }
    Ok(())
}

pub fn refused() -> Outcome {
    let file = File::open(CDSP)?;
    let before = Held::now()?;
    let create = |size, pad| {
        let mut create = raw::GemCreate {
            size,
            handle: 0,
            pad,
        };
        raw::ioctl(file.raw(), raw::GEM_CREATE, &raw mut create as u64)
    };
    ensure_ret!(create(0, 0), -libc::EINVAL, "size 0");
    for pad in [1, 0x8000_0000, u32::MAX] {
        ensure_ret!(create(4096, pad), -libc::EINVAL, "pad {pad:#x}");
        ensure_ret!(create(0, pad), -libc::EINVAL, "size 0, pad {pad:#x}");
    }
    let limit = 16384u64 << 20;
    for size in [
        limit + 1,
        limit + PAGE as u64,
        1 << 40,
        1 << 47,
        1 << 52,
        (1 << 63) - 1,
        1 << 63,
        (1 << 63) + 1,
        u64::MAX - 4096,
        u64::MAX - 4095,
        u64::MAX - 4094,
        u64::MAX,
    ] {
        ensure_ret!(create(size, 0), -libc::E2BIG, "size {size:#x}");
    }
    // The lower half alone would be a good size.
    ensure_ret!(
        create((1 << 32) * 5000 + 4096, 0),
        -libc::E2BIG,
        "5000 * 4 GiB + 1 page"
    );
    for &address in crate::mem::BAD_ADDRESSES {
        for code in [raw::GEM_CREATE, raw::GEM_MMAP_OFFSET] {
            ensure_ret!(
                raw::ioctl(file.raw(), code, address),
                -libc::EFAULT,
                "argument at {address:#x}"
            );
        }
    }
    ensure_eq!(total(&file)?, 0, "total after refused requests");
    before.wait_for_return(0)?;
    // Pads of the other request.
    let handle = file.buffer(PAGE)?;
    for pad in [1, u32::MAX] {
        let mut ask = raw::GemMmapOffset {
            handle,
            offset: 0,
            pad,
        };
        ensure_ret!(
            raw::ioctl(file.raw(), raw::GEM_MMAP_OFFSET, &raw mut ask as u64),
            -libc::EINVAL,
            "mmap offset with pad {pad:#x}"
        );
    }
    // A shorter structure is filled up with zeros: no pad, so a good request.
    let short = raw::resized(raw::GEM_CREATE, 8);
    let mut size = 5000u64;
    ensure_ret!(
        raw::ioctl(file.raw(), short, &raw mut size as u64),
        0,
        "create by 8 bytes"
    );
    ensure_eq!(total(&file)?, 3 * PAGE as u64, "total with both buffers");
    Ok(())
}

pub fn unknown_handles() -> Outcome {
    let file = File::open(CDSP)?;
    let other = File::open(CDSP)?;
    let (handle, area) = file.mapped(PAGE)?;
    area.stamp(1);
    let closed = file.buffer(PAGE)?;
    file.close(closed)?;
    ensure!(handle != 0, "0 is a handle");
    for wrong in [0, closed, handle + 77, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        ensure_eq!(
            buffer::mmap_offset(file.raw(), wrong).err(),
            Some(-i64::from(libc::ENOENT)),
            "mmap offset of handle {wrong:#x}"
        );
        ensure_eq!(
            buffer::export(file.raw(), wrong).err(),
            Some(-i64::from(libc::ENOENT)),
            "export of handle {wrong:#x}"
        );
        ensure_ret!(
            buffer::close(file.raw(), wrong),
            -libc::EINVAL,
            "close of handle {wrong:#x}"
        );
    }
    // Handles are those of a file.
    ensure_eq!(
        buffer::mmap_offset(other.raw(), handle).err(),
        Some(-i64::from(libc::ENOENT)),
        "handle of another file"
    );
    ensure_ret!(
        buffer::close(other.raw(), handle),
        -libc::EINVAL,
        "close by another file"
    );
    area.check_stamps(1, 0, 0, 1)
}

pub fn any_order() -> Outcome {
    let before = Held::now()?;
    let mut dice = Dice(5);
    let file = File::open(CDSP)?;
    // (handle, area, seed); an area may live longer than its handle and the other way round.
    let mut live: Vec<(Option<u32>, Option<Area>, u64)> = Vec::new();
    let mut seed = 0;
    for step in 0..600 {
        if live.len() < 40 && dice.below(2) == 0 {
            seed += 1;
            let size = (1 + dice.below(20)) * PAGE;
            let (handle, area) = file.mapped(size)?;
            ensure_eq!(area.not_zero(), None, "new buffer in step {step}");
            area.stamp(seed);
            live.push((Some(handle), Some(area), seed));
        } else if !live.is_empty() {
            let at = dice.below(live.len());
            let (handle, area, _) = &mut live[at];
            if dice.below(2) == 0 {
                if let Some(handle) = handle.take() {
                    file.close(handle)?;
                }
            } else {
                area.take();
            }
            if handle.is_none() && area.is_none() {
                live.swap_remove(at);
            }
        }
        let mut handles: Vec<u32> = live.iter().filter_map(|(handle, ..)| *handle).collect();
        let number = handles.len();
        handles.sort_unstable();
        handles.dedup();
        ensure_eq!(handles.len(), number, "different handles in step {step}");
        for (_, area, seed) in &live {
            if let Some(area) = area {
                area.check_stamps(*seed, 0, 0, area.length() / PAGE)?;
            }
        }
    }
    for (handle, area, seed) in &live {
        // What has a handle and no area can be mapped again and still has its bytes.
        if let (Some(handle), None) = (handle, area) {
            let area = file.map(*handle, PAGE)?;
            area.check_stamps(*seed, 0, 0, 1)?;
        }
    }
    drop(file);
    for (_, area, seed) in &live {
        if let Some(area) = area {
            area.check_stamps(*seed, 0, 0, area.length() / PAGE)?;
        }
    }
    drop(live);
    before.wait_for_return(SLACK)
}

pub fn larger_than_4_gib() -> Outcome {
    const GIB: usize = 1 << 30;
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    for (size, places) in [
        (2 * GIB, [0, GIB, 2 * GIB - PAGE, 2 * GIB - 8]),
        (8 * GIB, [8, 4 * GIB - PAGE, 4 * GIB, 8 * GIB - 8]),
        (
            16 * GIB,
            [PAGE, 4 * GIB + 8, 8 * GIB + 4 * PAGE, 16 * GIB - 8],
        ),
    ] {
        let (handle, area) = file.mapped(size)?;
        ensure_eq!(total(&file)?, size as u64, "total");
        for (n, &place) in places.iter().enumerate() {
            ensure_eq!(area.word(place), 0, "word at {place:#x}");
            area.set_word(place, 0x1111 * (n as u64 + 1));
        }
        for (n, &place) in places.iter().enumerate() {
            ensure_eq!(
                area.word(place),
                0x1111 * (n as u64 + 1),
                "word at {place:#x}"
            );
        }
        // No more than the touched places has pages; huge ones are possible.
        let resident = buffer::fdinfo_number(file.raw(), "drm-resident-memory")?;
        ensure!(
            (4096..=4 * 2 * MIB as u64).contains(&resident),
            "{resident} bytes are resident"
        );
        // The dma-buf knows its size, and its far end.
        let dma_buf = file.export(handle)?;
        ensure_eq!(
            buffer::size_of_fd(dma_buf.as_raw_fd()),
            size as i64,
            "size of the dma-buf"
        );
        let tail = Area::shared(dma_buf.as_raw_fd(), PAGE, (size - PAGE) as u64)?;
        let last = *places.last().unwrap_or(&0);
        ensure_eq!(
            tail.word(last - (size - PAGE)),
            0x4444,
            "last place by the dma-buf"
        );
        file.close(handle)?;
    }
    drop(file);
    before.wait_for_return(SLACK)
}

pub fn create_close_threads() -> Outcome {
    let before = Held::now()?;
    let shared = Arc::new(File::open(CDSP)?);
    let inside = Arc::clone(&shared);
    in_threads(32, move |n| {
        let own = File::open(if n % 2 == 0 { CDSP } else { ADSP })?;
        for round in 0..rounds(60) {
            for file in [&own, &*inside] {
                let size = (1 + (n as usize + round) % 9) * PAGE;
                let (handle, area) = file.mapped(size)?;
                ensure_eq!(area.not_zero(), None, "new buffer of thread {n}");
                area.stamp((u64::from(n) << 16) | round as u64);
                if round % 3 == 0 {
                    drop(file.export(handle)?);
                }
                area.check_stamps((u64::from(n) << 16) | round as u64, 0, 0, size / PAGE)?;
                file.close(handle)?;
                area.check_stamps((u64::from(n) << 16) | round as u64, 0, 0, size / PAGE)?;
            }
        }
        Ok(())
    })?;
    ensure_eq!(total(&shared)?, 0, "total of the shared file");
    drop(shared);
    before.wait_for_return(SLACK)
}

pub fn close_races_use() -> Outcome {
    static SUCCEEDED: AtomicUsize = AtomicUsize::new(0);
    static TURN: AtomicU32 = AtomicU32::new(0);
    let before = Held::now()?;
    let file = Arc::new(File::open(CDSP)?);
    let inside = Arc::clone(&file);
    let each = rounds(400);
    // All threads use the handle that stands here; a quarter of them replaces it.
    TURN.store(file.buffer(4 * PAGE)?, Ordering::SeqCst);
    in_threads(16, move |n| {
        let file = &*inside;
        for _ in 0..each {
            let handle = TURN.load(Ordering::SeqCst);
            match n % 4 {
                0 => {
                    let new = file.buffer(4 * PAGE)?;
                    let old = TURN.swap(new, Ordering::SeqCst);
                    ensure_ret!(buffer::close(file.raw(), old), 0, "close of {old}");
                }
                1 => match buffer::mmap_offset(file.raw(), handle) {
                    Ok(offset) => {
                        match Area::new(file.raw(), 4 * PAGE, offset, buffer::RW, libc::MAP_SHARED)
                        {
                            Ok(area) => {
                                area.stamp(7);
                                SUCCEEDED.fetch_add(1, Ordering::Relaxed);
                            }
                            // The handle was closed, or its offset given to a new buffer.
                            Err(errno) => ensure!(
                                [libc::EINVAL, libc::EACCES].contains(&errno),
                                "mmap gave errno {errno}"
                            ),
                        }
                    }
                    Err(value) => ensure_ret!(value, -libc::ENOENT, "mmap offset"),
                },
                2 => match buffer::export(file.raw(), handle) {
                    Ok(fd) => {
                        let area = Area::shared(fd.as_raw_fd(), 4 * PAGE, 0)?;
                        drop(fd);
                        area.stamp(7);
                        SUCCEEDED.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(value) => ensure_ret!(value, -libc::ENOENT, "export"),
                },
                _ => match buffer::export(file.raw(), handle) {
                    Ok(fd) => {
                        // A handle made here is one more for the same buffer; whoever replaces
                        // the shared one may close it first, when both are the same number.
                        let second = File::open(CDSP)?;
                        let handle = second.import(&fd)?;
                        drop(fd);
                        second.map(handle, 4 * PAGE)?.stamp(7);
                        second.close(handle)?;
                        SUCCEEDED.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(value) => ensure_ret!(value, -libc::ENOENT, "export"),
                },
            }
        }
        Ok(())
    })?;
    let succeeded = SUCCEEDED.load(Ordering::Relaxed);
    println!("{succeeded} of {} uses won against the close", 12 * each);
    ensure!(succeeded > each / 4, "only {succeeded} uses succeeded");
    drop(file);
    before.wait_for_return(SLACK)
}

pub fn storm() -> Outcome {
    let before = Held::now()?;
    // The first two fill what the kernel keeps for itself.
    one_storm(&before)?;
    one_storm(&before)?;
    thread::sleep(Duration::from_secs(3));
    let available = || {
        // Pages on lists of single CPUs count as used.
        let _ = std::fs::write("/proc/sys/vm/drop_caches", "1");
        buffer::meminfo("MemAvailable")
    };
    let then = available()?;
    one_storm(&before)?;
    one_storm(&before)?;
    // A page lost in every twentieth round (on the test kernel: in every fourth) would be more.
    let result = kmod::wait_for("available memory as before", SOON, || {
        available().is_ok_and(|now| now + 2 * MIB as u64 > then)
    });
    println!("available memory: {then}, later {} bytes", available()?);
    result
}

fn one_storm(before: &Held) -> Outcome {
    let file = File::open(CDSP)?;
    for round in 0..rounds(5000) as u64 {
        let handle = file.buffer(2 * PAGE)?;
        match round % 4 {
            0 => {}
            1 => {
                let area = file.map(handle, 2 * PAGE)?;
                area.set_word(PAGE, round);
            }
            2 => drop(file.export(handle)?),
            _ => {
                let fd = file.export(handle)?;
                ensure_eq!(file.import(&fd)?, handle, "own export in round {round}");
            }
        }
        file.close(handle)?;
    }
    // Many at once, with all their pages.
    let mut live = Vec::new();
    let many = rounds(1000) as u64;
    for n in 0..many {
        let (handle, area) = file.mapped(16 * PAGE)?;
        area.stamp(n);
        live.push((handle, area));
    }
    for (n, (_, area)) in live.iter().enumerate() {
        area.check_stamps(n as u64, 0, 0, 16)?;
    }
    let resident = buffer::fdinfo_number(file.raw(), "drm-resident-memory")?;
    ensure_eq!(resident, many * 16 * PAGE as u64, "resident");
    let shmem = buffer::meminfo("Shmem")?;
    ensure!(
        shmem + SLACK >= before.shmem + resident,
        "shared memory went from {} to {shmem} bytes only",
        before.shmem
    );
    // Half of them by their handles, half by the end of the file.
    for (handle, _) in live.iter().skip(1).step_by(2) {
        file.close(*handle)?;
    }
    drop(file);
    for (n, (_, area)) in live.iter().enumerate() {
        area.check_stamps(n as u64, 0, 0, 16)?;
    }
    drop(live);
    before.wait_for_return(SLACK)
}

pub fn no_session_needed() -> Outcome {
    let requests = sim::counter("requests")?;
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(4 * PAGE)?;
    area.stamp(3);
    let fd = file.export(handle)?;
    let second = File::open(ADSP)?;
    second.import(&fd)?;
    area.check_stamps(3, 0, 0, 4)?;
    ensure_eq!(
        sim::counter("requests")?,
        requests,
        "requests seen by the DSPs"
    );
    // What was made before the process works beside it, and after it.
    let file = file.created()?;
    file.still_works()?;
    area.check_stamps(3, 0, 0, 4)?;
    file.map(handle, 4 * PAGE)?.check_stamps(3, 0, 0, 4)
}
