// SPDX-License-Identifier: GPL-2.0
//! DSPs that answer strangely, late, with errors, or not at all.

use super::*;

/// How long the driver may wait for an answer to a request of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Addresses that the DSP gives are only names.
pub fn addresses() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, PAGE)?;
    let two = Shared::own(&file, 2 * PAGE)?;
    for address in [0, 1, u64::MAX, 1 << 63, 0xffff_8000_8000_0000, 0xffff_ffff] {
        let what = format!("address {address:#x}");
        sim::control(CDSP, &format!("vaddr {address:#x} 4"))?;
        // Four mappings under one address.
        for request in [
            super::attr(one.raw(), 2),
            super::attr(two.raw(), 2),
            heap_request(4096),
            heap_request(8192),
        ] {
            ensure_eq!(map(&file, request), (0, address), "{what}");
        }
        ensure_eq!(status("remote_maps")?, 4, "remote maps, {what}");
        ensure_eq!(status("heap_bytes")?, 12_288, "heap bytes, {what}");
        sim::control(CDSP, "check")?;
        for request in [
            un_attr(two.raw(), address, 0),
            un_legacy(address, 8192),
            un_attr(one.raw(), address, PAGE as u64),
            un_legacy(address, 4096),
        ] {
            let value = unmap(&file, request);
            // Size 0 and size of the buffer are two names for a whole buffer.
            if value == -i64::from(libc::EINVAL) && request.size == PAGE as u64 {
                let any = Unmap { size: 0, ..request };
                ensure_ret!(unmap(&file, any), 0, "unmap of {any:x?}");
                continue;
            }
            ensure_ret!(value, 0, "unmap of {request:x?}");
        }
        ensure_eq!(status("remote_maps")?, 0, "remote maps, {what}");
        ensure_eq!(mem.list()?.len(), 0, "mappings on the DSP, {what}");
        // The very same twice: each unmap takes one.
        sim::control(CDSP, &format!("vaddr {address:#x} 2"))?;
        for _ in 0..2 {
            ensure_eq!(map(&file, heap_request(4096)), (0, address), "{what}");
        }
        for left in [1, 0] {
            ensure_ret!(unmap(&file, un_legacy(address, 4096)), 0, "unmap of twins");
            ensure_eq!(status("remote_maps")?, left, "remote maps of twins");
            ensure_eq!(mem.list()?.len() as u64, left, "twins on the DSP");
        }
        nothing_sent(|| {
            ensure_ret!(
                unmap(&file, un_legacy(address, 4096)),
                -libc::EINVAL,
                "third unmap of twins"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// The DSP refuses to map: nothing stays.
pub fn map_refused() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let before = pages_of(&mem)?;
    for result in [1, 0x8000_0402u32, 0x8000_044f, 0xffff_ffff] {
        let one = Shared::own(&file, PAGE)?;
        sim::control(CDSP, &format!("answer mem_map {result:#x}"))?;
        ensure_ret!(
            map(&file, super::attr(one.raw(), 2)).0,
            raw::as_returned(result),
            "refused map"
        );
        sim::control(CDSP, &format!("answer mmap {result:#x} 2"))?;
        ensure_ret!(
            map(&file, heap_request(1 << 20)).0,
            raw::as_returned(result),
            "refused heap"
        );
        let request = Map {
            flags: 6,
            fd: one.raw(),
            ..heap_request(PAGE as u64)
        };
        ensure_ret!(
            map(&file, request).0,
            raw::as_returned(result),
            "refused buffer"
        );
        ensure_eq!(status("remote_maps")?, 0, "remote maps after refusals");
        ensure_eq!(status("heap_bytes")?, 0, "heap bytes after refusals");
        file.close(one.handle)?;
        drop(one);
        nothing_left()?;
        ensure_eq!(pages_of(&mem)?, before, "pages after refusals");
    }
    let address = mapped(&file, heap_request(4096))?;
    ensure_ret!(unmap(&file, un_legacy(address, 0)), 0, "unmap");
    Ok(())
}

/// The DSP never answers a map: the wait ends, and the memory stays until the process ends.
pub fn map_ignored() -> Outcome {
    let file = File::with_process(CDSP)?;
    let one = Shared::own(&file, 2 * PAGE)?;
    sim::control(CDSP, "ignore mem_map")?;
    let begin = Instant::now();
    ensure_ret!(
        map(&file, super::attr(one.raw(), 2)).0,
        -libc::ETIMEDOUT,
        "map that is not answered"
    );
    sim::control(CDSP, "ignore mmap")?;
    ensure_ret!(
        map(&file, heap_request(3 * PAGE as u64)).0,
        -libc::ETIMEDOUT,
        "heap that is not answered"
    );
    ensure!(
        begin.elapsed() < patience(2 * PATIENCE),
        "waits of {:?}",
        begin.elapsed()
    );
    file.close(one.handle)?;
    drop(one);
    // The heap's pages are mapped, too.
    ensure_eq!(status("mappings")?, 2, "buffers mapped for lost requests");
    ensure_eq!(
        status("heap_bytes")?,
        3 * PAGE as u64,
        "heap of a lost request"
    );
    // The pages that the DSP may have learnt of are there.
    sim::control(CDSP, "check")?;
    file.still_works()?;
    let address = mapped(&file, heap_request(4096))?;
    ensure_ret!(unmap(&file, un_legacy(address, 0)), 0, "unmap of another");
    drop(file);
    nothing_left()?;
    // The process is gone, so no answer can come any more: its slots are free.
    ensure_eq!(status("calls")?, 0, "calls without an answer");
    restart()
}

/// The DSP never answers an unmap.
pub fn unmap_ignored() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 2 * PAGE)?;
    let address = mapped(&file, super::attr(one.raw(), 2))?;
    let heap = mapped(&file, heap_request(2 * PAGE as u64))?;
    let number = one.raw();
    file.close(one.handle)?;
    drop(one);
    sim::control(CDSP, "ignore mem_unmap")?;
    let begin = Instant::now();
    ensure_ret!(
        unmap(&file, un_attr(number, address, 0)),
        -libc::ETIMEDOUT,
        "unmap that is not answered"
    );
    sim::control(CDSP, "ignore munmap")?;
    ensure_ret!(
        unmap(&file, un_legacy(heap, 0)),
        -libc::ETIMEDOUT,
        "unmap of heap that is not answered"
    );
    ensure!(
        begin.elapsed() < patience(2 * PATIENCE),
        "waits of {:?}",
        begin.elapsed()
    );
    // The DSP still has both, and uses them.
    let data = dsp::pattern(6000, 1);
    ensure_ret!(mem.map_write(number, 50, &data), 0, "DSP writes");
    let (value, got) = mem.map_read(number, 50, 6000);
    ensure_ret!(value, 0, "DSP reads");
    dsp::same(&data, &got)?;
    ensure_eq!(mem.use_heap(1)?, (1, 2 * PAGE as u64), "heap in use");
    ensure_eq!(status("heap_bytes")?, 2 * PAGE as u64, "heap bytes");
    ensure_eq!(status("mappings")?, 2, "mappings of buffer and heap");
    sim::control(CDSP, "check")?;
    // What was not answered is nobody's any more: asking again finds nothing or the DSP's answer.
    let value = unmap(&file, un_attr(number, address, 0));
    ensure!(
        value == -i64::from(libc::EINVAL) || value == 0,
        "second unmap: {}",
        raw::show(value)
    );
    file.still_works()?;
    drop(file);
    nothing_left()?;
    restart()
}

/// Answers that come when the caller was interrupted, or just in time.
pub fn map_late() -> Outcome {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: The structure is filled as sigaction() wants it; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
    }
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let mut interrupted = 0;
    for round in 0..6u64 {
        let one = Shared::own(&file, PAGE)?;
        let data = one.fill(round as u32);
        sim::control(CDSP, "delay mem_map 300")?;
        let timer = libc::itimerval {
            it_interval: libc::timeval {
                tv_sec: 0,
                tv_usec: 0,
            },
            it_value: libc::timeval {
                tv_sec: 0,
                tv_usec: 50_000 + round as i64 * 10_000,
            },
        };
        // SAFETY: `timer` is valid; the old value is not wanted.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
        match map(&file, super::attr(one.raw(), 2)) {
            (0, address) => {
                ensure_ret!(unmap(&file, un_attr(one.raw(), address, 0)), 0, "unmap");
            }
            (value, _) => {
                ensure_ret!(value, -libc::EINTR, "interrupted map");
                interrupted += 1;
                // The DSP maps it all the same; what it maps stays there.
                file.close(one.handle)?;
                let number = one.raw();
                drop(one);
                std::thread::sleep(Duration::from_millis(400));
                sim::control(CDSP, "check")?;
                let (value, got) = mem.map_read(number, 0, PAGE);
                ensure_ret!(value, 0, "DSP reads");
                dsp::same(&data, &got)?;
            }
        }
    }
    println!("{interrupted} of 6 maps were interrupted");
    drop(file);
    nothing_left()
}

/// The result cannot be written back: what the DSP has mapped and what the driver knows is the same.
pub fn copy_out_fails() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, PAGE)?;
    for request in [super::attr(one.raw(), 2), heap_request(8192)] {
        for _ in 0..5 {
            let area = mem::Area::new(1)?;
            // SAFETY: The area is one page of this process.
            unsafe { (area.start() as *mut Map).write(request) };
            area.read_only()?;
            let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, area.start());
            ensure_ret!(value, -libc::EFAULT, "map with a read-only structure");
            let known: Vec<Mapped> = mem.list()?;
            ensure_eq!(
                status("remote_maps")?,
                known.len() as u64,
                "maps of the driver against those of the DSP"
            );
            sim::control(CDSP, "check")?;
        }
    }
    // Whatever is left can be taken away.
    for known in mem.list()? {
        let request = if known.fd >= 0 {
            un_attr(known.fd, known.vaddr, 0)
        } else {
            un_legacy(known.vaddr, 0)
        };
        ensure_ret!(unmap(&file, request), 0, "unmap of {known:x?}");
    }
    file.close(one.handle)?;
    drop(one);
    nothing_left()
}
