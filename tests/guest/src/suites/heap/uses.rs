// SPDX-License-Identifier: GPL-2.0
//! Heap buffers in calls, mappings and as shells; every byte is compared.

use super::*;

pub fn as_arguments() -> Outcome {
    let before = Held::now()?;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let trace = MapTrace::start()?;
    for (n, size) in [
        3 * PAGE,
        5 * PAGE,
        17 * PAGE,
        MIB - PAGE,
        MIB + 3 * PAGE,
        7 * MIB + PAGE,
        64 * MIB,
    ]
    .into_iter()
    .enumerate()
    {
        let heap = Heap::new(size)?;
        let data = heap.fill(n as u64);
        trace.forget()?;
        // One page entry, of the whole range, at one address.
        let record = mem
            .arg(heap.map.address(), size as u64, heap.raw())
            .map_err(|value| format!("args of {size} bytes gave {}", raw::show(value)))?;
        ensure!(!record.inline, "{size} bytes were copied");
        let pieces = trace.pieces(record.data, size as u64)?;
        println!("{size} bytes: {} physical runs", runs(&pieces));
        ensure_eq!(
            (record.length, record.size),
            (size as u64, size as u64),
            "length and page entry of {size} bytes"
        );
        let scan = mem.scan(record.address(), size as u64)?;
        ensure_eq!(
            (scan.mapped, scan.unmapped),
            ((size / PAGE) as u64, 0),
            "pages that translate of {size} bytes"
        );
        dsp_reads(&mem, &heap, &data)?;
        dsp_writes(&mem, &heap, 1000 + n as u64)?;
        // Nothing is mapped behind it that is the heap's: the checksum by address ends there.
        let (value, sum) = mem.sum(record.address(), size as u64);
        ensure_ret!(value, 0, "sum by address");
        ensure_eq!(
            sum,
            Checksum::of(&dspmem::stream(1000 + n as u64, size)),
            "sum by address"
        );
    }
    drop(file);
    before.wait_for_return(SLACK)
}

pub fn by_handle() -> Outcome {
    let before = Held::now()?;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (n, size) in [3 * PAGE, 40 * PAGE, 2 * MIB + PAGE, 16 * MIB]
        .into_iter()
        .enumerate()
    {
        let heap = Heap::new(size)?;
        let data = heap.fill(n as u64);
        let handle = file.import(&heap.fd)?;
        let record = mem.new_arg(handle, 0, size as u64)?;
        ensure_eq!(record.size, size as u64, "page entry of {size} bytes");
        let seed = 5u64.to_le_bytes();
        let mut sums = [0; dspmem::SUMMED];
        let half = (size / 2) as u64;
        let (value, result) = mem.new_call(
            &NewCall::new(dspmem::TOUCH)
                .input(&seed)
                .read(handle, 100, half - 100)
                .output(&mut sums)
                .write(handle, half, size as u64 - half),
        );
        ensure_ret!(value, 0, "touch of {size} bytes");
        ensure_eq!(result, 0, "result of touch");
        ensure_eq!(
            Checksum::nth(&sums, 0),
            Checksum::of(&data[100..half as usize]),
            "checksum of the lower half"
        );
        dsp::same(&data[..half as usize], &heap.map.read(0, half as usize))?;
        dsp::same(
            &dspmem::stream(5, size - half as usize),
            &heap.map.read(half as usize, size - half as usize),
        )?;
        // Nothing outside the buffer can be named.
        for (offset, length) in [(0, size as u64 + 1), (size as u64, 1), (u64::MAX, 2)] {
            let (value, _) = mem.new_call(
                &NewCall::new(dspmem::TOUCH)
                    .input(&seed)
                    .read(handle, offset, length)
                    .output(&mut sums),
            );
            ensure_ret!(value, -libc::EINVAL, "{length:#x} bytes at {offset:#x}");
        }
        // The old style names the same mapping.
        let old = mem
            .arg(heap.map.address(), size as u64, heap.raw())
            .map_err(|value| format!("args gave {}", raw::show(value)))?;
        ensure_eq!(
            (old.page, old.size),
            (record.page, record.size),
            "page entries of both styles"
        );
        file.close(handle)?;
    }
    drop(file);
    before.wait_for_return(SLACK)
}

/// Buffers that are surely scattered: pages of other buffers lie between theirs.
pub fn scattered_pages() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let trace = MapTrace::start()?;
    // Free every second of many single pages, so that the next ones come from all over.
    let mut singles = Vec::new();
    for _ in 0..600 {
        singles.push(Some(exporters::heap(PAGE)?));
    }
    singles.iter_mut().step_by(2).for_each(|one| *one = None);
    let mut seen = 0;
    for n in 0..40 {
        let heap = Heap::new((3 + n % 13) * PAGE)?;
        let data = heap.fill(n as u64);
        trace.forget()?;
        let record = mem
            .arg(heap.map.address(), heap.size() as u64, heap.raw())
            .map_err(|value| format!("args gave {}", raw::show(value)))?;
        if runs(&trace.pieces(record.data, heap.size() as u64)?) > 1 {
            seen += 1;
        }
        dsp_reads(&mem, &heap, &data)?;
        dsp_writes(&mem, &heap, n as u64 + 100)?;
    }
    println!("{seen} of 40 buffers were scattered");
    ensure!(seen >= 10, "only {seen} of 40 buffers were scattered");
    Ok(())
}

/// Ranges inside a buffer, across the edges of its physical pieces.
pub fn parts() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let heap = Heap::new(MIB + 7 * PAGE)?;
    let size = heap.size();
    let data = heap.fill(3);
    let seed = 9u64.to_le_bytes();
    for (offset, length) in [
        (0, 1),
        (PAGE - 1, 2),
        (MIB - 5, 10),
        (MIB - PAGE, 3 * PAGE),
        (17, MIB + PAGE),
        (size - 1, 1),
        (size - 9000, 9000),
    ] {
        let mut sums = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&seed)
                .reads(
                    heap.map.address() + offset as u64,
                    length as u64,
                    heap.raw(),
                )
                .output(&mut sums),
        );
        ensure_ret!(value, 0, "touch of {length} bytes at {offset}");
        ensure_eq!(
            Checksum::nth(&sums, 0),
            Checksum::of(&data[offset..offset + length]),
            "checksum of {length} bytes at {offset}"
        );
    }
    // An area of the end of the buffer alone: the offset comes from the area.
    let tail = Area::shared(heap.raw(), 5 * PAGE, (size - 5 * PAGE) as u64)?;
    let mut sums = [0; dspmem::SUMMED];
    let value = mem.call(
        &Call::new(dspmem::TOUCH)
            .input(&seed)
            .reads(tail.address() + 10, 4 * PAGE as u64, heap.raw())
            .output(&mut sums),
    );
    ensure_ret!(value, 0, "touch through an area of the end");
    let at = size - 5 * PAGE + 10;
    ensure_eq!(
        Checksum::nth(&sums, 0),
        Checksum::of(&data[at..at + 4 * PAGE]),
        "checksum through an area of the end"
    );
    for (offset, length) in [(0, size + 1), (size - 10, 11), (PAGE, size)] {
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&seed)
                .reads(
                    heap.map.address() + offset as u64,
                    length as u64,
                    heap.raw(),
                )
                .output(&mut sums),
        );
        ensure_ret!(value, -libc::EINVAL, "{length} bytes at {offset}");
    }
    dsp::same(&data, &heap.map.read(0, size))
}

/// One buffer in the banks of several sessions at once, each with its own mapping.
pub fn several_banks() -> Outcome {
    const SHARE: usize = 40 * PAGE;
    let before = Held::now()?;
    let labels = [CDSP, ADSP, CDSP, ADSP];
    let heap = Arc::new(Heap::new(labels.len() * SHARE)?);
    let data = heap.fill(1);
    let barrier = Arc::new(Barrier::new(labels.len()));
    let inside = Arc::clone(&heap);
    let threads = labels.len() as u32;
    in_threads(threads, move |n| {
        let file = File::with_process(labels[n as usize]);
        barrier.wait();
        let file = file?;
        let mem = DspMem::open(&file)?;
        let own = n as usize * SHARE;
        let seed = u64::from(n) + 50;
        let number = seed.to_le_bytes();
        // All read everything once before anybody writes.
        dsp_reads(&mem, &inside, &data)?;
        barrier.wait();
        for _ in 0..10 {
            let mut none = [0; 0];
            let value = mem.call(
                &Call::new(dspmem::TOUCH)
                    .input(&number)
                    .output(&mut none)
                    .writes(
                        inside.map.address() + own as u64,
                        SHARE as u64,
                        inside.raw(),
                    ),
            );
            ensure_ret!(value, 0, "touch of share {n}");
            dsp::same(&dspmem::stream(seed, SHARE), &inside.map.read(own, SHARE))?;
        }
        barrier.wait();
        let devices = exporters::listed(inside.raw())?.devices;
        ensure_eq!(devices.len(), 4, "attached banks: {devices:?}");
        let whole: Vec<u8> = (0..4).flat_map(|k| dspmem::stream(k + 50, SHARE)).collect();
        let result = dsp_reads(&mem, &inside, &whole);
        // Nobody leaves before all have looked.
        barrier.wait();
        result
    })?;
    kmod::wait_for("detach at the end of the sessions", SOON, || {
        exporters::listed(heap.raw()).is_ok_and(|entry| entry.devices.is_empty())
    })?;
    drop(heap);
    before.wait_for_return(SLACK)
}

/// Mapped by request: the DSP uses it between calls, with the descriptor closed.
pub fn mapped_for_long() -> Outcome {
    let before = Held::now()?;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for size in [3 * PAGE, 33 * PAGE, 4 * MIB + PAGE, 32 * MIB] {
        let heap = Heap::new(size)?;
        let data = heap.fill(size as u64);
        let fd = heap.raw();
        let mut map = raw::Map {
            request: 2,
            fd,
            vaddrin: heap.map.address(),
            ..raw::Map::default()
        };
        ensure_ret!(
            raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64),
            0,
            "map of {size} bytes"
        );
        let mapped = mem
            .mapped(fd)
            .map_err(|value| format!("mapped gave {}", raw::show(value)))?;
        ensure_eq!(mapped.size, size as u64, "page entry of {size} bytes");
        let Heap {
            fd: owned,
            map: area,
        } = heap;
        drop(owned);
        let tail = size - 5000;
        let (value, bytes) = mem.map_read(fd, tail as u64, 5000);
        ensure_ret!(value, 0, "read of the end of {size} bytes");
        dsp::same(&data[tail..], &bytes)?;
        let (value, sum) = mem.sum(mapped.page, size as u64);
        ensure_ret!(value, 0, "sum of {size} bytes");
        ensure_eq!(sum, Checksum::of(&data), "checksum of {size} bytes");
        let new = dsp::pattern(3 * PAGE - 100, 8);
        ensure_ret!(mem.map_write(fd, 100, &new), 0, "write by the DSP");
        dsp::same(&new, &area.read(100, new.len()))?;
        let mut unmap = raw::Unmap {
            request: 2,
            fd,
            vaddr: map.vaddrout,
            size: 0,
            ..raw::Unmap::default()
        };
        ensure_ret!(
            raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw mut unmap as u64),
            0,
            "unmap of {size} bytes"
        );
        ensure_eq!(
            mem.mapped(fd).err(),
            Some(raw::as_returned(dspmem::NO_MAP)),
            "after unmap"
        );
    }
    // While the session lives.
    kmod::wait_for("end of the heap buffers", SOON, || {
        exporters::count().is_ok_and(|count| count <= before.dma_bufs())
    })?;
    file.still_works()
}

pub fn shell() -> Outcome {
    for (size, siglen) in [
        (100usize, 0),
        (3 * PAGE - 7, 0),
        (MIB + 5 * PAGE, 4096),
        (4 * MIB, 0),
    ] {
        let heap = Heap::new(size.next_multiple_of(PAGE))?;
        let data = heap.fill(size as u64);
        let bytes = sim::counter("shell_bytes")?;
        let sum = sim::counter("shell_sum")?;
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: size as u32,
            filefd: heap.raw(),
            attrs: dsp::UNSIGNED,
            siglen,
            file: heap.map.address(),
        });
        drop(heap);
        ensure_ret!(value, 0, "create with a shell of {size} bytes");
        ensure_eq!(
            sim::counter("shell_bytes")? - bytes,
            size as u64,
            "bytes that the DSP read"
        );
        ensure_eq!(
            sim::counter("shell_sum")?.wrapping_sub(sum),
            data[..size].iter().map(|&byte| u64::from(byte)).sum(),
            "sum of {size} bytes"
        );
        file.still_works()?;
    }
    Ok(())
}

/// The heap's own synchronisation goes over the attachments of our banks.
pub fn cpu_access() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let heap = Heap::new(30 * PAGE)?;
    for round in 0..5 {
        let begin = raw::SYNC_START | raw::SYNC_READ | raw::SYNC_WRITE;
        let end = raw::SYNC_END | raw::SYNC_READ | raw::SYNC_WRITE;
        ensure_ret!(exporters::sync(heap.raw(), begin), 0, "begin of CPU access");
        let data = heap.fill(round);
        ensure_ret!(exporters::sync(heap.raw(), end), 0, "end of CPU access");
        dsp_reads(&mem, &heap, &data)?;
        dsp_writes(&mem, &heap, round + 10)?;
    }
    Ok(())
}
