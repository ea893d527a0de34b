// SPDX-License-Identifier: GPL-2.0
//! LEGACY: pages for the heap of the process.

use super::*;

/// The pages are there, zero, usable, counted, and gone after the unmap.
pub fn pages() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (flags, fd) in [(0x1000, -1), (0x3000, -1), (0x1000, 0), (0x3000, -5)] {
        let what = format!("flags {flags:#x}, descriptor {fd}");
        let before = pages_of(&mem)?;
        let mut maps = Vec::new();
        let mut total = 0;
        for pages in [1, 3, 16, 1000] {
            let size = pages * PAGE as u64;
            let request = Map {
                flags,
                fd,
                ..heap_request(size)
            };
            maps.push((mapped(&file, request)?, size));
            total += size;
            ensure_eq!(status("heap_bytes")?, total, "heap bytes, {what}");
        }
        ensure_eq!(status("remote_maps")?, 4, "remote maps, {what}");
        let list = mem.list()?;
        ensure_eq!(list.len(), 4, "mappings on the DSP, {what}");
        for ((address, size), known) in maps.iter().zip(&list) {
            ensure_eq!(known.vaddr, *address, "address, {what}");
            ensure_eq!(
                (known.size, known.flags, known.fd),
                (*size, flags, -1),
                "size, flags, number, {what}"
            );
            let (value, sum) = mem.sum(known.page, *size);
            ensure_ret!(value, 0, "sum of new heap, {what}");
            ensure_eq!(sum.0, 0, "sum of new heap of {size} bytes, {what}");
        }
        let after = pages_of(&mem)?;
        ensure_eq!(after - before, total / PAGE as u64, "pages, {what}");
        ensure_eq!(mem.use_heap(77)?, (4, total), "heap used, {what}");
        sim::control(CDSP, "check")?;
        for (address, size) in maps {
            ensure_ret!(unmap(&file, un_legacy(address, size)), 0, "unmap, {what}");
        }
        nothing_left()?;
        let after = pages_of(&mem)?;
        ensure_eq!(after, before, "pages after the unmaps, {what}");
    }
    Ok(())
}

/// Sizes that are not whole pages.
pub fn sizes() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for size in [1, 100, 4095, 4096, 4097, 10_000, 65_537] {
        let address = mapped(&file, heap_request(size))?;
        let known = mem.list()?;
        let rounded = size.next_multiple_of(PAGE as u64);
        ensure_eq!(known.len(), 1, "mappings");
        ensure_eq!(known[0].size, rounded, "pages for {size} bytes");
        ensure_eq!(status("heap_bytes")?, rounded, "heap bytes for {size}");
        ensure_eq!(mem.use_heap(size)?, (1, rounded), "use of {size} bytes");
        ensure_ret!(unmap(&file, un_legacy(address, size)), 0, "unmap of {size}");
        nothing_left()?;
    }
    Ok(())
}

/// Kernel pages count against the limit of the file, and what is given back counts no more.
pub fn limit() -> Outcome {
    let file = File::with_process(CDSP)?;
    let other = File::with_process(CDSP)?;
    let step = 16u64 << 20;
    let mut maps = Vec::new();
    let refused = loop {
        match map(&file, heap_request(step)) {
            (0, address) => maps.push(address),
            (value, _) => break value,
        }
        ensure!(maps.len() < 100, "there is no limit");
    };
    ensure_ret!(refused, -libc::ENOSPC, "heap beyond the limit of the file");
    ensure_eq!(
        maps.len() as u64 * step,
        LIMIT_MIB << 20,
        "bytes up to the limit"
    );
    // Objects count, too, and nothing is sent for what is refused.
    nothing_sent(|| {
        ensure_ret!(
            map(&file, heap_request(1)).0,
            -libc::ENOSPC,
            "one byte more"
        );
        ensure_errno!(
            map(&file, heap_request(1 << 40)).0,
            [libc::ENOSPC, libc::E2BIG],
            "much more"
        );
        match buffer::create(file.raw(), PAGE as u64) {
            Ok(_) => Err("a buffer beyond the limit".into()),
            Err(value) => {
                ensure_ret!(value, -libc::ENOSPC, "buffer beyond the limit");
                Ok(())
            }
        }
    })?;
    // Another file has its own limit.
    let address = mapped(&other, heap_request(step))?;
    ensure_ret!(
        unmap(&other, un_legacy(address, step)),
        0,
        "unmap of the other"
    );
    for address in maps.drain(..2) {
        ensure_ret!(unmap(&file, un_legacy(address, 0)), 0, "unmap");
    }
    let handle = file.buffer(step as usize)?;
    let address = mapped(&file, heap_request(step))?;
    ensure_ret!(
        map(&file, heap_request(PAGE as u64)).0,
        -libc::ENOSPC,
        "heap beside a buffer"
    );
    file.close(handle)?;
    maps.push(mapped(&file, heap_request(step))?);
    maps.push(address);
    DspMem::open(&file)?.use_heap(5)?;
    for address in maps {
        ensure_ret!(unmap(&file, un_legacy(address, step)), 0, "unmap");
    }
    nothing_left()?;
    file.still_works()
}

/// Heap requests that make no sense.
pub fn refused() -> Outcome {
    let file = File::with_process(CDSP)?;
    nothing_sent(|| {
        let good = heap_request(PAGE as u64);
        let value = map(&file, Map { size: 0, ..good }).0;
        ensure_ret!(value, -libc::EINVAL, "size 0");
        for bit in 0..64 {
            let vaddrin = 1 << bit;
            let value = map(&file, Map { vaddrin, ..good }).0;
            ensure_ret!(value, -libc::EINVAL, "address hint {vaddrin:#x}");
        }
        // Sizes that wrap when they are rounded up, or that no machine has.
        for size in [
            u64::MAX,
            u64::MAX - 1,
            u64::MAX - 4095,
            1 << 63,
            1 << 62,
            1 << 48,
        ] {
            let value = map(&file, Map { size, ..good }).0;
            ensure_errno!(
                value,
                [libc::EINVAL, libc::E2BIG, libc::ENOSPC, libc::ENOMEM],
                "size {size:#x}"
            );
        }
        // A buffer's size is not guessed either.
        let one = Shared::own(&file, PAGE)?;
        for flags in [6, 0x1000, 0x3000] {
            let request = Map {
                size: 0,
                flags,
                fd: one.raw(),
                ..good
            };
            ensure_ret!(map(&file, request).0, -libc::EINVAL, "buffer with size 0");
        }
        // The kernel has pages for the heap only.
        for fd in [0, -1, -2, i32::MIN] {
            let value = map(
                &file,
                Map {
                    flags: 6,
                    fd,
                    ..good
                },
            )
            .0;
            ensure_ret!(value, -libc::EINVAL, "flags 6 with descriptor {fd}");
        }
        Ok(())
    })?;
    nothing_left()
}

/// The pages of a buffer as memory of the process.
pub fn legacy_buffer() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (maker, one) in of_all_makers(&file, 8 * PAGE)? {
        let base = mem
            .arg(one.at(0), one.size as u64, one.raw())
            .map_err(|value| format!("{maker:?}: {}", raw::show(value)))?
            .page;
        for flags in [6, 0x1000, 0x3000] {
            for (size, pages) in [(1, 1), (PAGE as u64, 1), (9000, 3), (8 * PAGE as u64, 8)] {
                let what = format!("{maker:?}, flags {flags:#x}, size {size}");
                let before = one.fill(flags + size as u32);
                let request = Map {
                    flags,
                    fd: one.raw(),
                    ..heap_request(size)
                };
                let address = mapped(&file, request)?;
                ensure_eq!(status("heap_bytes")?, 0, "heap bytes, {what}");
                ensure_eq!(status("remote_maps")?, 1, "remote maps, {what}");
                let known = mem.list()?;
                ensure_eq!(known.len(), 1, "mappings, {what}");
                let length = pages * PAGE as u64;
                ensure_eq!(
                    (known[0].page, known[0].size),
                    (base, length),
                    "pages, {what}"
                );
                // The DSP reads what the CPU wrote, and the other way round.
                let (value, sum) = mem.sum(known[0].page, length);
                ensure_ret!(value, 0, "sum, {what}");
                ensure_eq!(
                    sum,
                    Checksum::of(&before[..length as usize]),
                    "what the DSP sees, {what}"
                );
                ensure_eq!(mem.use_heap(500)?, (1, length), "use, {what}");
                let mut expected = before;
                expected[..length as usize].copy_from_slice(&dspmem::stream(500, length as usize));
                one.holds(0, &expected)
                    .map_err(|why| format!("what the DSP wrote, {what}: {why}"))?;
                ensure_ret!(unmap(&file, un_legacy(address, size)), 0, "unmap, {what}");
                ensure_eq!(status("remote_maps")?, 0, "remote maps, {what}");
            }
        }
        if one.handle != 0 {
            file.close(one.handle)?;
        }
        drop(one);
        nothing_left()?;
    }
    Ok(())
}
