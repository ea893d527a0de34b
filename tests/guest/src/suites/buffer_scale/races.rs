// SPDX-License-Identifier: GPL-2.0
//! Threads that create, close, map, unmap and use the same few buffers.

use super::*;

/// Numbers of descriptors that the threads fight for.
const NUMBERS: [RawFd; 4] = [500, 501, 502, 503];

/// Every operation of one thread may meet every operation of the others.
pub fn contested() -> Outcome {
    const ROUNDS: u32 = 400;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let echo = file.module("echo")?;
    let dma_bufs = exporters::count()?;
    in_threads(8, |n| {
        for round in 0..ROUNDS {
            let noise = dsp::pattern(8, n as u32 * 100_000 + round);
            let number = NUMBERS[noise[0] as usize % NUMBERS.len()];
            // Handles are small numbers: those of other threads are met all the time.
            let handle = 1 + u32::from(noise[1] % 6);
            let what = format!("thread {n}, round {round}");
            match noise[2] % 10 {
                0 => {
                    if let Ok(handle) = buffer::create(file.raw(), 4 * PAGE as u64) {
                        if let Ok(fd) = buffer::export(file.raw(), handle) {
                            // SAFETY: The numbers are those of this game only.
                            unsafe { libc::dup2(fd.as_raw_fd(), number) };
                        }
                    }
                }
                1 => {
                    // SAFETY: As above.
                    unsafe { libc::close(number) };
                }
                2 => {
                    let value = buffer::close(file.raw(), handle);
                    ensure_errno!(value, [0, libc::EINVAL, libc::ENOENT], "{what}: close");
                }
                3 => {
                    let value = buffer::import(file.raw(), number).err().unwrap_or(0);
                    ensure_errno!(value, [0, libc::EBADF, libc::EINVAL], "{what}: import");
                }
                4 | 5 => {
                    let mut back = [0; 64];
                    let call = NewCall::new(2).read(handle, 5, 64).output(&mut back);
                    let (value, result) = call.on(file.raw(), echo);
                    ensure_errno!(value, [0, libc::ENOENT], "{what}: new call");
                    ensure!(value != 0 || result == 0, "{what}: result {result:#x}");
                }
                6 => {
                    let mut back = [0; 64];
                    let value = Call::new(2)
                        .reads(0, 64, number)
                        .output(&mut back)
                        .on(file.raw(), echo);
                    ensure_errno!(value, [0, libc::EBADF, libc::EINVAL], "{what}: call");
                }
                7 => {
                    if let Ok(area) = Area::shared(number, 4 * PAGE, 0) {
                        let value = Call::new(2)
                            .reads(area.address() + 4096, 64, number)
                            .writes(area.address() + 8192, 64, number)
                            .on(file.raw(), echo);
                        ensure_errno!(
                            value,
                            [0, libc::EBADF, libc::EINVAL],
                            "{what}: call with an area"
                        );
                    }
                }
                8 => {
                    let mut map = Map {
                        request: raw::ATTR,
                        flags: 2,
                        fd: number,
                        ..Map::default()
                    };
                    let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
                    ensure_errno!(value, [0, libc::EBADF, libc::EINVAL], "{what}: map");
                    if value == 0 && noise[3] % 4 != 0 {
                        let unmap = Unmap {
                            request: raw::ATTR,
                            fd: number,
                            vaddr: map.vaddrout,
                            ..Unmap::default()
                        };
                        let value =
                            raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
                        ensure_ret!(value, 0, "{what}: unmap");
                    }
                }
                _ => {
                    let value = mem
                        .args(2, |call| call.in_handle(0, 100, number))
                        .map_or_else(|value| value, |_| 0);
                    ensure_errno!(value, [0, libc::EBADF, libc::EINVAL], "{what}: handle");
                    let tags = [number as u32 as u64; 2];
                    ensure_ret!(mem.drop_tags(0, &tags), 0, "{what}: drop");
                }
            }
        }
        Ok(())
    })?;
    file.still_works()?;
    drop(file);
    for number in NUMBERS {
        // SAFETY: As above; nobody plays any more.
        unsafe { libc::close(number) };
    }
    nothing_left()?;
    kmod::wait_for("dma-bufs go", Duration::from_secs(10), || {
        exporters::count().is_ok_and(|now| now == dma_bufs)
    })
}

/// Handle, descriptor and area are closed while the DSP works on the buffer.
pub fn closed_during_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for maker in [Maker::Own, Maker::Udmabuf] {
        for old_style in [false, true] {
            let what = format!("{maker:?}, old style {old_style}");
            let from = Shared::new(maker, &file, 8 * PAGE)?;
            let to = Shared::new(maker, &file, 8 * PAGE)?;
            let data = from.fill(17);
            let handles = [file.import(&from.fd)?, file.import(&to.fd)?];
            // To look at the target afterwards.
            let keep = Area::shared(to.raw(), 8 * PAGE, 0)?;
            let milliseconds = 400u32.to_le_bytes();
            let length = 30_000;
            let value = std::thread::scope(|scope| -> Result<i64, Fail> {
                let (at, fds) = ([from.at(100), to.at(200)], [from.raw(), to.raw()]);
                let fd = file.raw();
                let call = scope.spawn(move || {
                    if old_style {
                        Call::new(3)
                            .input(&milliseconds)
                            .reads(at[0], length, fds[0])
                            .writes(at[1], length, fds[1])
                            .on(fd, echo)
                    } else {
                        NewCall::new(3)
                            .input(&milliseconds)
                            .read(handles[0], 100, length)
                            .write(handles[1], 200, length)
                            .on(fd, echo)
                            .0
                    }
                });
                sim::wait_counter("delayed", Duration::from_secs(5), |now| now > 0)?;
                file.close(handles[0])?;
                file.close(handles[1])?;
                drop((from, to));
                // Somebody else uses what might have been freed.
                for seed in 0..8 {
                    let fresh = Shared::own(&file, 8 * PAGE)?;
                    fresh.fill(seed);
                    dsp_sum(&DspMem::open(&file)?, fresh.handle, 0, 100)?;
                    file.close(fresh.handle)?;
                }
                call.join().map_err(|_| "the thread panicked".into())
            })?;
            ensure_ret!(value, 0, "{what}");
            dsp::same(&data[100..100 + 30_000], &keep.read(200, 30_000))
                .map_err(|why| format!("{what}: {why}"))?;
            drop(keep);
            wait_status("mappings", 0)?;
        }
    }
    Ok(())
}

/// An area is unmapped and put back while calls look for it.
pub fn unmapped_during_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let data = one.fill(5);
    let place = Area::reserve(4 * PAGE).map_err(|errno| format!("reserve: errno {errno}"))?;
    let stop = AtomicBool::new(false);
    let fd = one.raw();
    let at = place.address();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // The place keeps the addresses, whatever lies on them.
                std::mem::forget(Area::over(fd, 4 * PAGE, 0, at));
                std::thread::yield_now();
                let _ = place.unmap(0, 4 * PAGE);
            }
        });
        let result = (0..1500).try_for_each(|round| -> Outcome {
            let mut back = vec![0; 1000];
            let value = Call::new(2)
                .reads(at + 4096, 1000, fd)
                .output(&mut back)
                .on(file.raw(), echo);
            match value {
                // In the area, or at the first byte when nothing was there.
                0 if back == data[4096..5096] || back == data[..1000] => Ok(()),
                0 => Err(format!("round {round}: bytes from elsewhere").into()),
                value => {
                    ensure_ret!(value, -libc::EINVAL, "round {round}");
                    Ok(())
                }
            }
        });
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    file.still_works()
}

/// Threads that use a buffer for the first time at once: it is mapped once.
pub fn first_use_by_many() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for round in 0..25u32 {
        let maker = [Maker::Own, Maker::Udmabuf, Maker::Scattered][round as usize % 3];
        let one = Shared::new(maker, &file, 16 * PAGE)?;
        let sum = Checksum::of(&one.fill(round));
        let start = std::sync::Barrier::new(8);
        in_threads(8, |n| {
            start.wait();
            let mut out = [0; dspmem::SUMMED];
            let value = mem.call(
                &Call::new(dspmem::TOUCH)
                    .input(&[0; 8])
                    .reads(one.at(0), one.size as u64, one.raw())
                    .output(&mut out),
            );
            ensure_ret!(value, 0, "{maker:?}, round {round}, thread {n}");
            ensure_eq!(
                Checksum::nth(&out, 0),
                sum,
                "{maker:?}, round {round}, thread {n}"
            );
            Ok(())
        })?;
        ensure_eq!(
            status("mappings")?,
            1,
            "mappings of {maker:?}, round {round}"
        );
        if one.handle != 0 {
            file.close(one.handle)?;
        }
        drop(one);
        wait_status("mappings", 0)?;
    }
    Ok(())
}
