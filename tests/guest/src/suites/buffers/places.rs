// SPDX-License-Identifier: GPL-2.0
//! Where in a buffer an address is: by the area of the caller that holds it, and only by that.

use super::*;

/// What the DSP is told for an address; the page entry's first byte of the whole buffer is `base`.
fn expect_at(
    mem: &DspMem<'_>,
    one: &Shared,
    base: u64,
    ptr: u64,
    length: u64,
    offset: u64,
    what: &str,
) -> Outcome {
    let record = mem
        .arg(ptr, length, one.raw())
        .map_err(|value| format!("{what}: {}", raw::show(value)))?;
    ensure_eq!(record.address(), base + offset, "{what}: address");
    ensure_eq!(record.pv, ptr, "{what}: pv");
    Ok(())
}

/// The same range must be refused and not sent.
fn expect_refused(mem: &DspMem<'_>, one: &Shared, ptr: u64, length: u64, what: &str) -> Outcome {
    nothing_sent(|| match mem.arg(ptr, length, one.raw()) {
        Ok(record) => Err(format!("{what}: accepted as {:#x}", record.address()).into()),
        Err(value) => {
            ensure_ret!(value, -libc::EINVAL, "{what}");
            Ok(())
        }
    })
}

/// The address that the DSP has of the first byte.
fn base_of(mem: &DspMem<'_>, one: &Shared) -> Result<u64, Fail> {
    // An address where nothing can be mapped means the first byte.
    match mem.arg(0, one.size as u64, one.raw()) {
        Ok(record) => Ok(record.address()),
        Err(value) => Err(format!("whole buffer: {}", raw::show(value)).into()),
    }
}

/// Areas that map a part of the buffer: their offset in the file counts.
pub fn place_in_buffer() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for maker in [Maker::Own, Maker::Udmabuf, Maker::Scattered] {
        let one = Shared::new(maker, &file, 8 * PAGE)?;
        let data = one.fill(6);
        let base = base_of(&mem, &one)?;
        for first in [0, 1, 5, 7] {
            for pages in [1, 2, 3] {
                if first + pages > 8 {
                    continue;
                }
                let area = Area::shared(one.raw(), pages * PAGE, (first * PAGE) as u64)?;
                let end = pages * PAGE;
                for (at, length) in [(0, end), (0, 1), (end - 1, 1), (end / 2 + 3, 100)] {
                    let what = format!("{maker:?}, {pages} pages from {first}, {length} at {at}");
                    let place = first * PAGE + at;
                    let ptr = area.address() + at as u64;
                    expect_at(&mem, &one, base, ptr, length as u64, place as u64, &what)?;
                    let mut sum = [0; dspmem::SUMMED];
                    let value = mem.call(
                        &Call::new(dspmem::TOUCH)
                            .input(&[0; 8])
                            .reads(ptr, length as u64, one.raw())
                            .output(&mut sum),
                    );
                    ensure_ret!(value, 0, "{what}");
                    ensure_eq!(
                        Checksum::nth(&sum, 0),
                        Checksum::of(&data[place..place + length]),
                        "{what}: what the DSP read"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Own objects, mapped through the node, through the export, read-only, private, by a tagged
/// address, after mremap() and in the pieces of a split area.
pub fn place_of_own_objects() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 8 * PAGE)?;
    let base = base_of(&mem, &one)?;
    let page = PAGE as u64;

    let node = file.map(one.handle, 8 * PAGE)?;
    let at = node.address() + 3 * page + 5;
    expect_at(&mem, &one, base, at, 100, 3 * page + 5, "area of the node")?;
    let offset = buffer::good(buffer::mmap_offset(file.raw(), one.handle), "offset")?;
    let part = Area::shared(file.raw(), 2 * PAGE, offset + 4 * page)?;
    let at = part.address() + 7;
    expect_at(&mem, &one, base, at, page, 4 * page + 7, "part by the node")?;

    let read_only = Area::new(one.raw(), 4 * PAGE, page, libc::PROT_READ, libc::MAP_SHARED)
        .map_err(|errno| format!("read-only area: errno {errno}"))?;
    let at = read_only.address();
    expect_at(&mem, &one, base, at, page, page, "read-only area")?;

    // The upper byte of an address is the program's own.
    let at = one.at(2 * PAGE) | (0x5a << 56);
    let record = mem
        .arg(at, 64, one.raw())
        .map_err(|value| format!("tagged address: {}", raw::show(value)))?;
    ensure_eq!(record.address(), base + 2 * page, "tagged address");

    // One area becomes three.
    one.map
        .protect(2 * PAGE, 2 * PAGE, libc::PROT_READ)
        .map_err(|errno| format!("mprotect: errno {errno}"))?;
    for (first, pages) in [(0, 2), (2, 2), (4, 4)] {
        let (start, length) = (first * page, pages * page);
        let what = format!("piece of {pages} pages at {first}");
        expect_at(&mem, &one, base, one.at(0) + start, length, start, &what)?;
        if first + pages < 8 {
            let ptr = one.at(0) + start;
            expect_refused(&mem, &one, ptr, length + 1, &format!("{what} and a byte"))?;
        }
    }
    let moved = one
        .map
        .move_out(4 * PAGE, PAGE)
        .map_err(|errno| format!("mremap: errno {errno}"))?;
    let at = moved.address() + 9;
    expect_at(&mem, &one, base, at, 100, 4 * page + 9, "moved page")
}

/// Ranges that no single area of this buffer holds.
pub fn place_wrong() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let page = PAGE as u64;
    for maker in [Maker::Own, Maker::Udmabuf] {
        let one = Shared::new(maker, &file, 8 * PAGE)?;
        let other = Shared::new(maker, &file, 8 * PAGE)?;
        let name = |what: &str| format!("{maker:?}: {what}");
        expect_refused(&mem, &one, other.at(0), 64, &name("another buffer's area"))?;
        let anonymous = Area::anonymous(PAGE).map_err(|errno| format!("mmap: {errno}"))?;
        expect_refused(
            &mem,
            &one,
            anonymous.address(),
            8,
            &name("anonymous memory"),
        )?;
        let on_stack = [0u8; 8];
        let at = on_stack.as_ptr() as u64;
        expect_refused(&mem, &one, at, 8, &name("stack"))?;
        let memfd = exporters::memfd(8 * PAGE)?;
        let area = Area::shared(memfd.as_raw_fd(), PAGE, 0)?;
        expect_refused(&mem, &one, area.address(), 8, &name("another file's area"))?;

        // Two areas of the buffer, one behind the other, in an order that is not the buffer's.
        let place = Area::reserve(6 * PAGE).map_err(|errno| format!("reserve: {errno}"))?;
        let base = place.address();
        let put = |pages: usize, offset: u64, at: u64| {
            Area::over(one.raw(), pages * PAGE, offset, at)
                .map_err(|errno| Fail::Wrong(format!("mmap: errno {errno}")))
        };
        let first = put(2, 4 * page, base + page)?;
        let second = put(2, 0, base + 3 * page)?;
        let at = first.address() + page;
        expect_refused(&mem, &one, at, page + 1, &name("range over two areas"))?;
        expect_refused(&mem, &one, first.address(), 4 * page, &name("both areas"))?;
        // The end of the last area, and what lies in front of the first: no memory at all, but an
        // area of its own.
        let at = second.address() + page;
        expect_refused(&mem, &one, at, page + 1, &name("end of an area"))?;
        expect_refused(&mem, &one, base, page + 1, &name("front of an area"))?;
        // Where the other buffer follows.
        let third = Area::over(other.raw(), PAGE, 0, base + 5 * page)
            .map_err(|errno| format!("mmap: errno {errno}"))?;
        let at = third.address() - 8;
        expect_refused(&mem, &one, at, 16, &name("range over areas of two buffers"))?;
        expect_refused(&mem, &other, at, 16, &name("the same for the other buffer"))?;
        // A whole area that is longer than what the buffer has.
        let long = Area::shared(one.raw(), 8 * PAGE, 0)?;
        expect_refused(
            &mem,
            &one,
            long.address(),
            8 * page + 1,
            &name("one byte more"),
        )?;
    }
    Ok(())
}

/// An address in no area at all means the first byte, wherever the next area begins.
pub fn place_nowhere() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let page = PAGE as u64;
    for maker in [Maker::Own, Maker::Udmabuf] {
        let one = Shared::new(maker, &file, 4 * PAGE)?;
        let data = one.fill(7);
        let base = base_of(&mem, &one)?;
        // A hole in front of an area of this very buffer, and one behind it.
        let place = Area::reserve(6 * PAGE).map_err(|errno| format!("reserve: {errno}"))?;
        let area = Area::over(one.raw(), 2 * PAGE, page, place.address() + 2 * page)
            .map_err(|errno| format!("mmap: errno {errno}"))?;
        place.punch(0, 2 * PAGE)?;
        place.punch(4 * PAGE, 2 * PAGE)?;
        let nowhere = [
            area.address() - page,
            area.address() - 1,
            area.address() + 2 * page,
            0,
            1,
            8,
            4095,
            0x0000_ffff_ffff_f000,
            0x0001_0000_0000_0000,
            0x7fff_ffff_ffff_f000,
            0xffff_0000_0000_0000,
            0xffff_8000_8000_0123,
            0xffff_ffff_ffff_fff8,
            u64::MAX,
        ];
        for ptr in nowhere {
            for length in [1, 100, 4 * page] {
                let record = mem.arg(ptr, length, one.raw()).map_err(|value| {
                    format!("{maker:?}: {length} at {ptr:#x}: {}", raw::show(value))
                })?;
                let what = format!("{maker:?}: {length} bytes at {ptr:#x}");
                ensure_eq!(record.address(), base, "{what}: address");
                // Nothing of the address reaches the DSP.
                ensure_eq!(record.pv, base, "{what}: pv");
                ensure_eq!(record.length, length, "{what}: length");
            }
        }
        let mut sum = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&[0; 8])
                .reads(0, 5000, one.raw())
                .output(&mut sum),
        );
        ensure_ret!(value, 0, "{maker:?}: reading");
        ensure_eq!(
            Checksum::nth(&sum, 0),
            Checksum::of(&data[..5000]),
            "{maker:?}: what the DSP read"
        );
    }
    Ok(())
}

/// A DRM exporter's areas carry an offset that means nothing to us: only a whole area counts.
pub fn place_of_vgem() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::new(Maker::Vgem, &file, 4 * PAGE)?;
    let other = Shared::new(Maker::Vgem, &file, 4 * PAGE)?;
    let base = base_of(&mem, &one)?;
    let page = PAGE as u64;
    for (at, length) in [(0, 4 * PAGE), (5, 100), (2 * PAGE + 1, PAGE)] {
        let what = format!("{length} bytes at {at}");
        expect_at(
            &mem,
            &one,
            base,
            one.at(at),
            length as u64,
            at as u64,
            &what,
        )?;
    }
    expect_refused(&mem, &one, other.at(0), 8, "another buffer of vgem")?;
    // A part of it: wherever it begins, the answer is right or a refusal.
    for first in [0, 1, 3] {
        let Ok(part) = Area::shared(one.raw(), PAGE, first * page) else {
            continue;
        };
        match mem.arg(part.address(), 64, one.raw()) {
            Ok(record) => {
                ensure_eq!(record.address(), base + first * page, "part {first}");
            }
            Err(value) => ensure_ret!(value, -libc::EINVAL, "part {first}"),
        }
    }
    Ok(())
}

/// Another thread moves the area away and back: each call sees one state or is refused.
pub fn place_changes() -> Outcome {
    use std::sync::atomic::{
        AtomicBool,
        Ordering, //
    };
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let other = Shared::own(&file, 4 * PAGE)?;
    let base = base_of(&mem, &one)?;
    let page = PAGE as u64;
    let place = Area::reserve(2 * PAGE).map_err(|errno| format!("reserve: errno {errno}"))?;
    let at = place.address();
    let stop = AtomicBool::new(false);
    let (one_fd, other_fd) = (one.raw(), other.raw());
    let mut seen = [0u32; 4];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0u64;
            while !stop.load(Ordering::Relaxed) {
                // Area at page 1, area at page 2, another buffer, a hole.
                match round % 4 {
                    3 => {
                        let _ = place.unmap(0, 2 * PAGE);
                    }
                    n => {
                        let fd = if n == 2 { other_fd } else { one_fd };
                        // Kept: the place owns the addresses.
                        std::mem::forget(Area::over(fd, 2 * PAGE, (n + 1) * page, at));
                    }
                }
                round += 1;
            }
        });
        let mut result: Outcome = Ok(());
        for _ in 0..3000 {
            let index = match mem.arg(at + 64, page, one.raw()) {
                Ok(record) => {
                    let offset = record.address().wrapping_sub(base);
                    match offset {
                        0 => 0,
                        _ if offset == page + 64 => 1,
                        _ if offset == 2 * page + 64 => 2,
                        _ => {
                            result = Err(format!("the DSP was given offset {offset:#x}").into());
                            break;
                        }
                    }
                }
                Err(value) if value == -i64::from(libc::EINVAL) => 3,
                Err(value) => {
                    result = Err(format!("args gave {}", raw::show(value)).into());
                    break;
                }
            };
            seen[index] += 1;
        }
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    println!("nowhere, page 1, page 2, refused: {seen:?}");
    ensure!(
        seen.iter().filter(|&&n| n > 0).count() >= 2,
        "the race never changed anything: {seen:?}"
    );
    Ok(())
}
