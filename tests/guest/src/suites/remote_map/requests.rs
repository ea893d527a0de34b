// SPDX-License-Identifier: GPL-2.0
//! ATTR mappings, every field of the requests wrong in turn, and every state of a file.

use super::*;

/// Each flag with buffers of each maker: the DSP finds the buffer by its number.
pub fn attr_flags() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (maker, one) in of_all_makers(&file, 5 * PAGE)? {
        let size = one.size as u64;
        for flags in [0, 2, 3, 16] {
            let what = format!("{maker:?}, flags {flags}");
            let data = one.fill(flags + 1);
            let address = mapped(&file, attr(one.raw(), flags))?;
            let known = mem
                .mapped(one.raw())
                .map_err(|value| format!("{what}: {}", raw::show(value)))?;
            ensure_eq!(
                (known.vaddr, known.size, known.flags, known.fd, known.offset),
                (address, size, flags, one.raw(), 0),
                "what the DSP was told, {what}"
            );
            ensure_eq!(status("remote_maps")?, 1, "remote maps, {what}");
            let (value, got) = mem.map_read(one.raw(), 0, one.size);
            ensure_ret!(value, 0, "read, {what}");
            dsp::same(&data, &got).map_err(|why| format!("{what}: {why}"))?;
            let written = dsp::pattern(9000, flags + 77);
            ensure_ret!(mem.map_write(one.raw(), 4000, &written), 0, "write, {what}");
            one.holds(4000, &written)
                .map_err(|why| format!("{what}: {why}"))?;
            // Calls with the same buffer find it in the same place.
            let record = mem
                .arg(one.at(0), size, one.raw())
                .map_err(|value| format!("{what}: {}", raw::show(value)))?;
            ensure_eq!(record.page, known.page, "place in a call, {what}");
            ensure_eq!(status("mappings")?, 1, "mappings, {what}");
            ensure_ret!(
                unmap(&file, un_attr(one.raw(), address, 0)),
                0,
                "unmap, {what}"
            );
            ensure_eq!(
                mem.mapped(one.raw()),
                Err(raw::as_returned(dspmem::NO_MAP)),
                "after the unmap, {what}"
            );
            ensure_eq!(status("remote_maps")?, 0, "remote maps, {what}");
        }
        // The same buffer several times, under several numbers.
        let second = one.fd.try_clone()?;
        let first = mapped(&file, attr(one.raw(), 2))?;
        let other = mapped(&file, attr(second.as_raw_fd(), 2))?;
        let again = mapped(&file, attr(one.raw(), 3))?;
        ensure_eq!(status("remote_maps")?, 3, "remote maps of one buffer");
        ensure_eq!(status("mappings")?, 1, "mappings of one buffer");
        for (fd, address) in [
            (one.raw(), first),
            (one.raw(), again),
            (second.as_raw_fd(), other),
        ] {
            ensure_ret!(
                unmap(&file, un_attr(fd, address, 0)),
                0,
                "unmap of one of three"
            );
        }
        if one.handle != 0 {
            file.close(one.handle)?;
        }
        drop((one, second));
        nothing_left()?;
    }
    Ok(())
}

/// Offsets and sizes inside the buffer: what the page entry says.
pub fn attr_ranges() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 8 * PAGE)?;
    let total = one.size as u64;
    let base = mem
        .arg(one.at(0), total, one.raw())
        .map_err(|value| format!("args: {}", raw::show(value)))?
        .page;
    let page = PAGE as u64;
    for (offset, size, pages) in [
        (0, 0, 8),
        (0, total, 8),
        (0, 1, 1),
        (0, page, 1),
        (0, page + 1, 2),
        (1, page, 2),
        (page, page, 2),
        (100, 0, 8),
        (total - 1, 1, 8),
        (total - 1, 0, 8),
        (3 * page, 2 * page - 5, 5),
    ] {
        let what = format!("{size} at {offset}");
        let request = Map {
            offset: offset as u32,
            size,
            ..attr(one.raw(), 2)
        };
        let address = mapped(&file, request)?;
        let known = mem
            .mapped(one.raw())
            .map_err(|value| format!("{what}: {}", raw::show(value)))?;
        ensure_eq!(
            (known.page, known.size, known.offset),
            (base, pages * page, offset as i32),
            "what the DSP was told, {what}"
        );
        ensure_ret!(
            unmap(&file, un_attr(one.raw(), address, size)),
            0,
            "unmap, {what}"
        );
    }
    Ok(())
}

pub fn ranges_refused() -> Outcome {
    let file = File::with_process(CDSP)?;
    for (maker, one) in of_all_makers(&file, 8 * PAGE)? {
        let total = one.size as u64;
        nothing_sent(|| {
            for (offset, size) in [
                (0, total + 1),
                (1, total),
                (total, 1),
                (total + 1, 0),
                (total + PAGE as u64, 0),
                (u64::from(u32::MAX), 0),
                (u64::from(u32::MAX), 1),
                (0, 1 << 32),
                (0, (1 << 32) + 1),
                (1, u64::MAX),
                (4096, u64::MAX - 4095),
                (0, u64::MAX),
                (0, 1 << 63),
            ] {
                let request = Map {
                    offset: offset as u32,
                    size,
                    ..attr(one.raw(), 2)
                };
                ensure_ret!(
                    map(&file, request).0,
                    -libc::EINVAL,
                    "ATTR, {maker:?}: {size:#x} at {offset:#x}"
                );
                if offset == 0 {
                    for flags in [6, 0x1000, 0x3000] {
                        let request = Map {
                            flags,
                            fd: one.raw(),
                            ..heap_request(size)
                        };
                        ensure_ret!(
                            map(&file, request).0,
                            -libc::EINVAL,
                            "LEGACY, {maker:?}: {size:#x}"
                        );
                    }
                }
            }
            Ok(())
        })?;
        ensure_eq!(status("remote_maps")?, 0, "remote maps of refused requests");
    }
    Ok(())
}

/// Requests, flags and pads: every other value is refused.
pub fn fields_refused() -> Outcome {
    let file = File::with_process(CDSP)?;
    let one = Shared::own(&file, PAGE)?;
    let good = attr(one.raw(), 2);
    let heap = heap_request(PAGE as u64);
    let legacy = Map {
        fd: one.raw(),
        flags: 6,
        ..heap
    };
    let single_bits = (0..32).map(|bit| 1u32 << bit);
    nothing_sent(|| {
        for request in single_bits.clone().chain([0, 3, 5, 255, u32::MAX]) {
            if request == LEGACY || request == ATTR {
                continue;
            }
            for one in [good, heap, legacy] {
                let value = map(&file, Map { request, ..one }).0;
                ensure_ret!(value, -libc::EINVAL, "map request {request:#x}");
            }
            let value = unmap(
                &file,
                Unmap {
                    request,
                    ..un_attr(one.raw(), 0, 0)
                },
            );
            ensure_ret!(value, -libc::EINVAL, "unmap request {request:#x}");
        }
        for pad in single_bits.clone().chain([3, u32::MAX]) {
            for one in [good, heap, legacy] {
                ensure_ret!(
                    map(&file, Map { pad, ..one }).0,
                    -libc::EINVAL,
                    "pad {pad:#x}"
                );
            }
        }
        let values: Vec<u32> = (0..64)
            .chain(single_bits.clone())
            .chain([
                0x1001,
                0x1002,
                0x1010,
                0x2000,
                0x3001,
                0x7000,
                0x4000,
                u32::MAX,
            ])
            .collect();
        for &flags in &values {
            if ![0, 2, 3, 16].contains(&flags) {
                let value = map(&file, Map { flags, ..good }).0;
                ensure_ret!(value, -libc::EINVAL, "ATTR flags {flags:#x}");
            }
            if ![6, 0x1000, 0x3000].contains(&flags) {
                let value = map(&file, Map { flags, ..legacy }).0;
                ensure_ret!(value, -libc::EINVAL, "LEGACY flags {flags:#x} with buffer");
                let value = map(&file, Map { flags, ..heap }).0;
                ensure_ret!(value, -libc::EINVAL, "LEGACY flags {flags:#x}");
            }
        }
        Ok(())
    })?;
    // What is documented as not used may hold anything.
    let address = mapped(
        &file,
        Map {
            attrs: u32::MAX,
            ..good
        },
    )?;
    let request = Unmap {
        vaddrout: 77,
        ..un_attr(one.raw(), address, 0)
    };
    ensure_ret!(
        unmap(&file, request),
        0,
        "unmap with a field that is not used"
    );
    let request = Map {
        offset: 99,
        attrs: 1,
        ..heap
    };
    let address = mapped(&file, request)?;
    let request = Unmap {
        fd: 12,
        vaddr: 13,
        ..un_legacy(address, 0)
    };
    ensure_ret!(
        unmap(&file, request),
        0,
        "unmap with fields that are not used"
    );
    file.close(one.handle)?;
    drop(one);
    nothing_left()
}

/// Descriptors that are no dma-buf, or none at all.
pub fn descriptors_refused() -> Outcome {
    let file = File::with_process(CDSP)?;
    let memfd = exporters::memfd(PAGE)?;
    let null = std::fs::File::open("/dev/null")?;
    nothing_sent(|| {
        for (what, fd, expected) in [
            ("a memfd", memfd.as_raw_fd(), -libc::EINVAL),
            ("/dev/null", null.as_raw_fd(), -libc::EINVAL),
            ("the node", file.raw(), -libc::EINVAL),
            ("nothing", 800, -libc::EBADF),
            ("the largest number", i32::MAX, -libc::EBADF),
            ("0", 0, -libc::EINVAL),
            ("-1", -1, -libc::EINVAL),
            ("-2", -2, -libc::EINVAL),
            ("the smallest number", i32::MIN, -libc::EINVAL),
        ] {
            for flags in [0, 2, 3, 16] {
                let value = map(&file, attr(fd, flags)).0;
                ensure_ret!(value, expected, "ATTR, flags {flags}: {what}");
            }
            for flags in [6, 0x1000, 0x3000] {
                // Without a buffer the kernel has pages for the heap.
                if fd <= 0 && flags != 6 {
                    continue;
                }
                let request = Map {
                    flags,
                    fd,
                    ..heap_request(PAGE as u64)
                };
                let value = map(&file, request).0;
                ensure_ret!(value, expected, "LEGACY, flags {flags:#x}: {what}");
            }
        }
        Ok(())
    })?;
    nothing_left()
}

/// The requests as the process manager of the DSP gets them.
pub fn what_is_sent() -> Outcome {
    let file = File::with_process(CDSP)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    file.still_works()?;
    let client = sim::last_request(CDSP)?.client;
    let word = |bytes: &[u8], at| dsp::u32_at(bytes, at);
    let long = |bytes: &[u8], at: usize| {
        u64::from(word(bytes, at)) | (u64::from(word(bytes, at + 4)) << 32)
    };
    let sent = |number: usize| -> Result<(sim::Request, Vec<u8>), Fail> {
        let message = sim::last_message(CDSP, 1)?;
        let bytes = message
            .inline(number)
            .ok_or("argument is not in the message")?;
        Ok((message.request, bytes.to_vec()))
    };
    let hint = 0x1234_5678_9abc_d000;
    let request = Map {
        offset: 8192,
        size: 100,
        vaddrin: hint,
        ..attr(one.raw(), 3)
    };
    let address = mapped(&file, request)?;
    let (head, bytes) = sent(0)?;
    ensure_eq!((head.client, head.sc), (0, 0x0a03_0100), "head of MEM_MAP");
    let numbers = [0, 4, 8, 12, 24, 28].map(|at| word(&bytes, at));
    ensure_eq!(
        numbers,
        [client, one.raw() as u32, 8192, 3, 16, 0],
        "client, number, offset, flags, bytes of pages, bytes of data"
    );
    ensure_eq!(long(&bytes, 16), hint, "hint");
    let (_, page) = sent(1)?;
    ensure_eq!(long(&page, 8), 3 * PAGE as u64, "size of the pages");
    // What is sent to unmap is what was recorded, not what the client says.
    ensure_ret!(unmap(&file, un_attr(one.raw(), address, 0)), 0, "unmap");
    let (head, bytes) = sent(0)?;
    ensure_eq!(
        (head.client, head.sc),
        (0, 0x0b01_0000),
        "head of MEM_UNMAP"
    );
    ensure_eq!(
        (word(&bytes, 0), word(&bytes, 4), long(&bytes, 8)),
        (client, one.raw() as u32, address),
        "client, number, address"
    );
    ensure!(long(&bytes, 16) != 0, "no length in MEM_UNMAP");

    let address = mapped(&file, heap_request(5000))?;
    let (head, bytes) = sent(0)?;
    ensure_eq!((head.client, head.sc), (0, 0x0402_0100), "head of MMAP");
    ensure_eq!(
        (
            word(&bytes, 0),
            word(&bytes, 4),
            long(&bytes, 8),
            word(&bytes, 16)
        ),
        (client, 0x1000, 0, 16),
        "client, flags, hint, bytes of pages"
    );
    ensure_ret!(unmap(&file, un_legacy(address, 0)), 0, "unmap");
    let (head, bytes) = sent(0)?;
    ensure_eq!((head.client, head.sc), (0, 0x0501_0000), "head of MUNMAP");
    ensure_eq!(
        (word(&bytes, 0), long(&bytes, 8)),
        (client, address),
        "client, address"
    );
    Ok(())
}

/// Structures at addresses that are not the caller's.
pub fn addresses() -> Outcome {
    let file = File::with_process(CDSP)?;
    nothing_sent(|| {
        for &address in BAD_ADDRESSES {
            for code in [raw::REMOTE_MAP, raw::REMOTE_MUNMAP] {
                let value = raw::ioctl(file.raw(), code, address);
                ensure_ret!(value, -libc::EFAULT, "{code:#x} at {address:#x}");
            }
        }
        Ok(())
    })?;
    // A shorter structure is completed with zeros: without size and address, a whole buffer.
    let one = Shared::own(&file, PAGE)?;
    let request = attr(one.raw(), 2);
    let code = raw::resized(raw::REMOTE_MAP, 24);
    ensure_ret!(
        raw::ioctl(file.raw(), code, &raw const request as u64),
        0,
        "map with 24 bytes"
    );
    ensure_eq!(status("remote_maps")?, 1, "remote maps");
    let known = DspMem::open(&file)?.list()?;
    ensure_eq!(known.len(), 1, "mappings");
    ensure_ret!(
        unmap(&file, un_attr(one.raw(), known[0].vaddr, 0)),
        0,
        "unmap"
    );
    Ok(())
}

/// What every ioctl gives on a file in every state.
pub fn every_state() -> Outcome {
    // All requests with a buffer of the file, made before the state is reached.
    let all = |file: &File, one: &Shared, handle: u32| -> Vec<(&'static str, i64)> {
        let mut out = [0; 2 * dspmem::RECORD];
        let old = Call::new(dspmem::ARGS)
            .reads(one.at(0), 64, one.raw())
            .output(&mut out)
            .on(file.raw(), handle);
        let mut out = [0; 2 * dspmem::RECORD];
        let new = NewCall::new(dspmem::ARGS)
            .read(one.handle, 0, 64)
            .output(&mut out)
            .on(file.raw(), handle)
            .0;
        vec![
            ("map", map(file, attr(one.raw(), 2)).0),
            ("heap", map(file, heap_request(4096)).0),
            ("unmap", unmap(file, un_attr(one.raw(), 0x7777_7000, 0))),
            ("unmap of heap", unmap(file, un_legacy(0x7777_7000, 0))),
            ("call with buffer", old),
            ("new call", new),
            (
                "create of a buffer",
                buffer::create(file.raw(), 4096).err().unwrap_or(0),
            ),
            (
                "offset",
                buffer::mmap_offset(file.raw(), one.handle)
                    .err()
                    .unwrap_or(0),
            ),
            (
                "export",
                buffer::export(file.raw(), one.handle).err().unwrap_or(0),
            ),
            (
                "import",
                buffer::import(file.raw(), one.raw()).err().unwrap_or(0),
            ),
        ]
    };
    let check = |state: &str, got: &[(&str, i64)], expected: &[i32]| -> Outcome {
        for ((name, got), expected) in got.iter().zip(expected) {
            ensure_ret!(*got, *expected, "{name} on a {state}");
        }
        Ok(())
    };
    let (no, gone, bad) = (-libc::ENOTCONN, -libc::ENODEV, -libc::EINVAL);

    let fresh = File::open(CDSP)?;
    let one = Shared::own(&fresh, PAGE)?;
    nothing_sent(|| {
        let got = all(&fresh, &one, 0x1234);
        check("new file", &got, &[no, no, no, no, no, no, 0, 0, 0, 0])
    })?;
    drop((fresh, one));

    let live = File::with_process(CDSP)?;
    let handle = live.module("mem")?;
    let one = Shared::own(&live, PAGE)?;
    let got = all(&live, &one, handle);
    check("live session", &got, &[0, 0, bad, bad, 0, 0, 0, 0, 0, 0])?;
    drop((live, one));

    let attached = File::open(CDSP)?;
    ensure_ret!(attached.attach(), 0, "attach");
    let handle = attached.module("mem")?;
    let one = Shared::own(&attached, PAGE)?;
    let got = all(&attached, &one, handle);
    check("attached file", &got, &[0, 0, bad, bad, 0, 0, 0, 0, 0, 0])?;
    drop((attached, one));

    // A process that said exit: whatever the DSP answers, it is the DSP's answer.
    let exited = File::with_process(CDSP)?;
    let handle = exited.module("mem")?;
    let one = Shared::own(&exited, PAGE)?;
    ensure_ret!(
        Call::new(2).on(exited.raw(), dsp::CURRENT_PROCESS),
        0,
        "exit"
    );
    let got = all(&exited, &one, handle);
    for (name, value) in &got[..2] {
        ensure!(
            !(-4095..0).contains(value),
            "{name} after exit: {}",
            raw::show(*value)
        );
    }
    let going = raw::as_returned(dsp::GOING_AWAY);
    ensure_ret!(got[4].1, going, "call with buffer after exit");
    ensure_ret!(got[5].1, 0, "new call after exit");
    drop((exited, one));

    let dead = File::with_process(CDSP)?;
    let handle = dead.module("mem")?;
    let one = Shared::own(&dead, PAGE)?;
    let data = one.fill(8);
    mapped(&dead, attr(one.raw(), 2))?;
    mapped(&dead, heap_request(8192))?;
    sim::control(CDSP, "remove")?;
    crate::kmod::wait_for("the node goes", Duration::from_secs(10), || {
        dsp::node(CDSP).is_err()
    })?;
    let got = all(&dead, &one, handle);
    check("file of a gone DSP", &got, &[gone; 10])?;
    one.holds(0, &data)
        .map_err(|why| format!("buffer of a gone DSP: {why}"))?;
    sim::control(CDSP, "announce")?;
    dsp::wait_node(CDSP, Duration::from_secs(10))?;
    let got = all(&dead, &one, handle);
    check("file of a DSP that is back", &got, &[gone; 10])?;
    drop((dead, one));
    File::with_process(CDSP)?.still_works()?;
    nothing_left()
}
