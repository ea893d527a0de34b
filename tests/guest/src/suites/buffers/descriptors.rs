// SPDX-License-Identifier: GPL-2.0
//! What a descriptor stands for: nothing, something else, another buffer than before; and
//! buffers in handle position.

use super::*;
use std::os::fd::{
    OwnedFd,
    RawFd, //
};

/// Makes a number stand for the same file as another one.
fn dup2(from: RawFd, to: RawFd) -> Outcome {
    // SAFETY: Plain numbers; the caller owns both.
    let value = unsafe { libc::dup2(from, to) };
    ensure_eq!(value, to, "dup2");
    Ok(())
}

/// Closes a number that nothing else in this program owns.
fn close(fd: RawFd) {
    // SAFETY: As the caller says.
    unsafe { libc::close(fd) };
}

/// A number for dup2() that nothing uses.
const NUMBER: RawFd = 700;

/// Descriptors that are no dma-buf, as argument of every kind.
pub fn bad_descriptors() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let data = [7u8; 64];
    let at = data.as_ptr() as u64;
    let memfd = exporters::memfd(PAGE)?;
    let null = std::fs::File::open("/dev/null")?;
    let folder = std::fs::File::open("/")?;
    let status_file = std::fs::File::open("/proc/self/status")?;
    // SAFETY: Plain numbers; the new descriptor is closed with the program.
    let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    let path = c"/";
    // SAFETY: The path is NUL-terminated.
    let path_only = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    let bad = [
        ("a memfd", memfd.as_raw_fd(), -libc::EINVAL),
        ("/dev/null", null.as_raw_fd(), -libc::EINVAL),
        ("a folder", folder.as_raw_fd(), -libc::EINVAL),
        ("a file of proc", status_file.as_raw_fd(), -libc::EINVAL),
        ("an eventfd", event, -libc::EINVAL),
        ("the node itself", file.raw(), -libc::EINVAL),
        ("a path", path_only, -libc::EBADF),
        ("nothing", 800, -libc::EBADF),
        ("nothing at all", 1 << 20, -libc::EBADF),
        ("the largest number", i32::MAX, -libc::EBADF),
        ("-2", -2, -libc::EINVAL),
        ("-100", -100, -libc::EINVAL),
        ("the smallest number", i32::MIN, -libc::EINVAL),
    ];
    let value_of = |result: Result<Vec<Record>, i64>| result.map_or_else(|value| value, |_| 0);
    nothing_sent(|| {
        for (what, fd, expected) in bad {
            for ptr in [at, 0] {
                let value = value_of(mem.args(2, |call| call.reads(ptr, 64, fd)));
                ensure_ret!(value, expected, "{what} as input at {ptr:#x}");
                let value = value_of(mem.args(2, |call| call.writes(ptr, 64, fd)));
                ensure_ret!(value, expected, "{what} as output at {ptr:#x}");
            }
            let value = value_of(mem.args(2, |call| call.in_handle(0, 64, fd)));
            ensure_ret!(value, expected, "{what} as in handle");
            let value = value_of(mem.args(2, |call| call.out_handle(0, 64, fd)));
            ensure_ret!(value, expected, "{what} as out handle");
        }
        Ok(())
    })?;
    // Of an argument that is empty nothing is looked at.
    for (what, fd, _) in bad {
        let value = value_of(mem.args(2, |call| call.reads(at, 0, fd)));
        ensure_ret!(value, 0, "{what} as empty input");
    }
    close(event);
    close(path_only);
    ensure_eq!(status("mappings")?, 0, "buffers mapped");
    file.still_works()
}

/// The number says nothing: what it stands for at the time of the call counts.
pub fn descriptor_reused() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 2 * PAGE)?;
    let two = Shared::new(Maker::Udmabuf, &file, 2 * PAGE)?;
    let contents = [one.fill(1), two.fill(2)];
    let read = |ptr: u64| {
        let mut sum = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&[0; 8])
                .reads(ptr, 2 * PAGE as u64, NUMBER)
                .output(&mut sum),
        );
        (value, Checksum::nth(&sum, 0))
    };
    for round in 0..20 {
        for (n, buffer) in [&one, &two].into_iter().enumerate() {
            dup2(buffer.raw(), NUMBER)?;
            let other = if n == 0 { &two } else { &one };
            let good = (0, Checksum::of(&contents[n]));
            ensure_eq!(read(buffer.at(0)), good, "round {round}, buffer {n}");
            // The area of the buffer that the number stood for before.
            ensure_ret!(
                read(other.at(0)).0,
                -libc::EINVAL,
                "old area, round {round}"
            );
            ensure_eq!(read(0), good, "round {round}, buffer {n} without area");
            if round % 2 == 0 {
                close(NUMBER);
                ensure_ret!(read(buffer.at(0)).0, -libc::EBADF, "closed number");
            }
        }
    }
    close(NUMBER);
    ensure_eq!(status("mappings")?, 2, "buffers mapped");
    Ok(())
}

/// Hundreds of buffers under one number: each is read right, none stays when it is gone.
pub fn dead_buffers_leave() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for maker in [Maker::Own, Maker::Udmabuf, Maker::Vgem] {
        let mut most = 0;
        for round in 0..300u32 {
            let one = match Shared::new(maker, &file, PAGE) {
                Err(Fail::Skip(why)) => {
                    println!("{maker:?}: {why}");
                    break;
                }
                one => one?,
            };
            let data = one.fill(round);
            dup2(one.raw(), NUMBER)?;
            let mut sum = [0; dspmem::SUMMED];
            let value = mem.call(
                &Call::new(dspmem::TOUCH)
                    .input(&[0; 8])
                    .reads(one.at(0), PAGE as u64, NUMBER)
                    .output(&mut sum),
            );
            ensure_ret!(value, 0, "{maker:?}, round {round}");
            ensure_eq!(
                Checksum::nth(&sum, 0),
                Checksum::of(&data),
                "{maker:?}, round {round}"
            );
            close(NUMBER);
            if one.handle != 0 {
                file.close(one.handle)?;
            }
            drop(one);
            most = most.max(status("mappings")?);
        }
        println!("{maker:?}: at most {most} mapped at a time");
        if maker == Maker::Own {
            // The memory of an own object goes with its last user, and its mapping with it.
            ensure!(most <= 1, "{most} dead own buffers stay mapped");
        }
        // Others are looked for from time to time.
        ensure!(most < 200, "{most} dead buffers stay mapped");
        wait_status("mappings", 0)?;
    }
    Ok(())
}

/// A buffer in handle position: number, offset and length as given, the pages of all of it.
pub fn handle_arguments() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for (maker, one) in of_all_makers(&file, 4 * PAGE)? {
        let data = one.fill(9);
        let size = one.size as u64;
        let base = mem
            .arg(one.at(0), size, one.raw())
            .map_err(|value| format!("{maker:?}: {}", raw::show(value)))?
            .page;
        for (offset, length) in [
            (0, size),
            (0, 0),
            (0, 1),
            (size - 1, 1),
            (size, 0),
            (PAGE as u64 + 1, 5000),
        ] {
            let what = format!("{maker:?}, {length} at {offset}");
            // One record for out[0], then in and out handle.
            let records = mem
                .args(3, |call| {
                    call.in_handle(offset, length, one.raw())
                        .out_handle(offset, length, one.raw())
                })
                .map_err(|value| format!("{what}: {}", raw::show(value)))?;
            for (n, record) in records[1..].iter().enumerate() {
                ensure_eq!(record.kind, 2 + n as u32, "kind, {what}");
                ensure_eq!(record.tag(), (one.raw(), offset as u32), "tag, {what}");
                ensure_eq!(record.length, length, "length, {what}");
                ensure_eq!((record.page, record.size), (base, size), "pages, {what}");
            }
            let seed = offset + 77;
            let seed_bytes = seed.to_le_bytes();
            let mut sum = [0; dspmem::SUMMED];
            let value = mem.call(
                &Call::new(dspmem::TOUCH)
                    .input(&seed_bytes)
                    .output(&mut sum)
                    .in_handle(offset, length, one.raw())
                    .out_handle(offset, length, one.raw()),
            );
            ensure_ret!(value, 0, "{what}");
            let (start, length) = (offset as usize, length as usize);
            ensure_eq!(
                Checksum::nth(&sum, 0),
                Checksum::of(&data[start..start + length]),
                "what the DSP read, {what}"
            );
            one.holds(start, &dspmem::stream(seed, length))
                .map_err(|why| format!("what the DSP wrote, {what}: {why}"))?;
            one.map.write(0, &data);
        }
    }
    // Without a buffer: no pages, and the numbers as they are.
    for fd in [0, -1] {
        for (offset, length) in [(0, 0), (3, 4096), (u32::MAX, u32::MAX)] {
            let (offset, length) = (u64::from(offset), u64::from(length));
            let records = mem
                .args(3, |call| {
                    call.in_handle(offset, length, fd)
                        .out_handle(offset, length, fd)
                })
                .map_err(|value| format!("handle {fd}: {}", raw::show(value)))?;
            for record in &records[1..] {
                ensure_eq!(record.tag(), (fd, offset as u32), "tag of handle {fd}");
                ensure_eq!(record.length, length, "length of handle {fd}");
                ensure_eq!((record.page, record.size), (0, 0), "pages of handle {fd}");
            }
        }
        let mut sum = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&[0; 8])
                .output(&mut sum)
                .in_handle(0, 16, fd),
        );
        ensure_ret!(
            value,
            raw::as_returned(dspmem::BAD_FD),
            "the DSP reads handle {fd}"
        );
    }
    // All places for handles.
    let one = Shared::own(&file, PAGE)?;
    let records = mem
        .args(31, |mut call| {
            for n in 0..15 {
                call = call
                    .in_handle(n, n + 1, one.raw())
                    .out_handle(100 + n, n, one.raw());
            }
            call
        })
        .map_err(|value| format!("30 handles: {}", raw::show(value)))?;
    for n in 0..15 {
        let (a, b) = (&records[1 + n], &records[16 + n]);
        ensure_eq!((a.tag().1, a.length), (n as u32, n as u64 + 1), "in {n}");
        ensure_eq!((b.tag().1, b.length), (100 + n as u32, n as u64), "out {n}");
    }
    Ok(())
}

/// Handles outside of their buffer, and numbers that the protocol has no room for.
pub fn handles_refused() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let size = one.size as u64;
    let big = 1u64 << 32;
    let numbers: &[(u64, u64, bool)] = &[
        (0, size + 1, true),
        (size, 1, true),
        (size + 1, 0, true),
        (1, size, true),
        (u64::from(u32::MAX), 1, true),
        (u64::from(u32::MAX), u64::from(u32::MAX), true),
        (big, 0, false),
        (0, big, false),
        (big + 1, 1, false),
        (1, big + 1, false),
        (big, big, false),
        (1 << 63, 1 << 63, false),
        (u64::MAX, 1, false),
        (1, u64::MAX, false),
        (u64::MAX, u64::MAX, false),
    ];
    nothing_sent(|| {
        for &(offset, length, fits) in numbers {
            // What does not fit the protocol is refused without a buffer, too.
            let fds: &[RawFd] = if fits { &[0] } else { &[0, 1, 2] };
            for &which in fds {
                let fd = [one.raw(), 0, -1][which as usize];
                for out in [false, true] {
                    let value = mem
                        .args(2, |call| {
                            if out {
                                call.out_handle(offset, length, fd)
                            } else {
                                call.in_handle(offset, length, fd)
                            }
                        })
                        .map_or_else(|value| value, |_| 0);
                    ensure_ret!(
                        value,
                        -libc::EINVAL,
                        "handle {fd} with {length:#x} at {offset:#x}, out {out}"
                    );
                }
            }
        }
        Ok(())
    })?;
    ensure_eq!(status("held")?, 0, "buffers held for refused handles");
    let keep: OwnedFd = one.fd.try_clone()?;
    drop(keep);
    file.still_works()
}
