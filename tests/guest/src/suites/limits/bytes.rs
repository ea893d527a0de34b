// SPDX-License-Identifier: GPL-2.0
//! Limits of bytes and numbers of buffers, and of the bytes of a call.

use super::*;

/// Makes a buffer that is refused.
fn refused(file: &File, size: u64, errno: i32, what: &str) -> Outcome {
    ensure_eq!(
        buffer::create(file.raw(), size).err(),
        Some(-i64::from(errno)),
        "{what}"
    );
    Ok(())
}

/// Makes buffers of one size until that is refused with ENOSPC.
fn fill(file: &File, size: u64) -> Result<Vec<u32>, Fail> {
    let mut handles = Vec::new();
    while handles.len() < 1000 {
        match buffer::create(file.raw(), size) {
            Ok(handle) => handles.push(handle),
            Err(value) => {
                ensure_ret!(value, -libc::ENOSPC, "buffer {}", handles.len());
                return Ok(handles);
            }
        }
    }
    Err(format!("no limit for buffers of {size} bytes").into())
}

fn close_all(file: &File, handles: Vec<u32>) -> Outcome {
    handles
        .into_iter()
        .try_for_each(|handle| file.close(handle))
}

pub fn of_a_buffer() -> Outcome {
    let file = File::open(CDSP)?;
    for _ in 0..3 {
        let handle = file.buffer(2 << 20)?;
        refused(&file, 2 * MIB + 1, libc::E2BIG, "one byte more")?;
        refused(&file, u64::MAX, libc::E2BIG, "all bytes")?;
        file.close(handle)?;
    }
    wait_status("buffer_bytes", 0)
}

pub fn of_a_file() -> Outcome {
    let file = File::open(CDSP)?;
    let other = File::open(CDSP)?;
    let first = file.buffer(2 << 20)?;
    refused(&file, MIB + 1, libc::ENOSPC, "one byte more than is left")?;
    let second = file.buffer(1 << 20)?;
    refused(&file, 1, libc::ENOSPC, "one byte in a full file")?;
    refused(&file, 2 * MIB + 1, libc::E2BIG, "too large in a full file")?;
    ensure_eq!(status("buffer_bytes")?, 3 * MIB, "bytes");
    // The modest one beside it: all of its own, with right bytes.
    let shared = Shared::own(&other, 2 << 20)?;
    shared.fill(1);
    let session = other.created()?;
    let echo = session.module("echo")?;
    let mut job = Job::new(&session, echo, Dialect::Call, Place::Inline, 1000)?;
    job.prepare(0, 9);
    job.run()?;
    file.close(second)?;
    let second = file.buffer(1 << 20)?;
    close_all(&file, vec![first, second])?;
    let handles = fill(&file, MIB)?;
    ensure_eq!(handles.len(), 3, "buffers in a file that is empty again");
    drop(file);
    drop(shared);
    drop(session);
    wait_status("buffer_bytes", 0)
}

/// Eight MiB for all files of a DSP; the other DSP has its own.
pub fn of_a_dsp() -> Outcome {
    let files = [File::open(CDSP)?, File::open(CDSP)?, File::open(CDSP)?];
    let mut handles = [Vec::new(), Vec::new(), Vec::new()];
    for (file, mine) in files.iter().zip(&mut handles) {
        *mine = fill(file, MIB)?;
    }
    ensure_eq!(
        handles.iter().map(Vec::len).collect::<Vec<_>>(),
        [3, 3, 2],
        "buffers of 1 MiB in three files"
    );
    ensure_eq!(status("buffer_bytes")?, 8 * MIB, "bytes");
    refused(&files[2], 1, libc::ENOSPC, "one byte in a full DSP")?;
    let other = File::open(ADSP)?;
    ensure_eq!(fill(&other, MIB)?.len(), 3, "buffers of the other DSP");
    // An import is no new buffer.
    let fd = files[0].export(handles[0][0])?;
    let imported = files[2].import(&fd)?;
    files[2].close(imported)?;
    // What is given back can be had, by the file that gave it and by others.
    for (from, to) in [(0, 0), (0, 2), (1, 2)] {
        if let Some(handle) = handles[from].pop() {
            files[from].close(handle)?;
        }
        match buffer::create(files[to].raw(), MIB) {
            Ok(handle) => handles[to].push(handle),
            // Three is all that one file may have.
            Err(value) => ensure_ret!(value, -libc::ENOSPC, "from {from} to {to}"),
        }
    }
    ensure_eq!(
        handles.iter().map(Vec::len).collect::<Vec<_>>(),
        [2, 2, 3],
        "buffers in three files after that"
    );
    // A buffer counts as long as something keeps it.
    drop(files);
    ensure_eq!(status("buffer_bytes")?, MIB, "bytes of an export");
    drop(fd);
    wait_status("buffer_bytes", 0)
}

pub fn number() -> Outcome {
    let file = File::open(CDSP)?;
    let handles = fill(&file, 1)?;
    ensure_eq!(handles.len(), 20, "buffers of one file");
    let other = File::open(CDSP)?;
    ensure_eq!(fill(&other, 4096)?.len(), 20, "buffers of another file");
    refused(&file, 2 * MIB + 1, libc::E2BIG, "too large and too many")?;
    // Refusals leave nothing: exactly one fits when one goes.
    for handle in handles {
        file.close(handle)?;
        let again = fill(&file, 1)?;
        ensure_eq!(again.len(), 1, "buffers in the place of one");
        close_all(&file, again)?;
        let again = file.buffer(1)?;
        // An export keeps it, an import of it does not count.
        let fd = file.export(again)?;
        file.close(again)?;
        refused(&file, 1, libc::ENOSPC, "beside an export")?;
        drop(fd);
        kmod::wait_for("room after the export is closed", SOON, || {
            buffer::create(file.raw(), 1).is_ok()
        })?;
    }
    drop((file, other));
    wait_status("buffer_bytes", 0)
}

/// Pages for the heap of the process count as bytes of the file.
pub fn heap_counts() -> Outcome {
    let file = File::with_process(CDSP)?;
    let heap = |size: u64| {
        let mut map = raw::Map {
            request: raw::LEGACY,
            flags: 0x1000,
            fd: -1,
            size,
            ..raw::Map::default()
        };
        let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
        (value, map.vaddrout)
    };
    ensure_ret!(heap(2 * MIB + 4096).0, -libc::E2BIG, "too large");
    let (value, address) = heap(2 * MIB);
    ensure_ret!(value, 0, "2 MiB");
    refused(&file, MIB + 1, libc::ENOSPC, "a buffer beside it")?;
    ensure_errno!(heap(MIB + 4096).0, [libc::ENOSPC], "more pages");
    let (value, _) = heap(MIB);
    ensure_ret!(value, 0, "1 MiB");
    refused(&file, 1, libc::ENOSPC, "a byte beside the heap")?;
    let unmap = raw::Unmap {
        request: raw::LEGACY,
        vaddrout: address,
        size: 2 * MIB,
        ..raw::Unmap::default()
    };
    let value = raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
    ensure_ret!(value, 0, "unmap");
    ensure_eq!(fill(&file, MIB)?.len(), 2, "buffers in its place");
    file.still_works()
}

/// Threads of several files at the limit of the DSP: never more than fit, and all of it after that.
pub fn in_threads() -> Outcome {
    /// Buffers that each of nine threads makes.
    const EACH: u32 = 40;
    let refusals = AtomicU32::new(0);
    let files = [File::open(CDSP)?, File::open(CDSP)?, File::open(CDSP)?];
    thread::scope(|scope| {
        let threads: Vec<_> = (0..9)
            .map(|n| {
                let (file, refusals) = (&files[n % 3], &refusals);
                scope.spawn(move || -> Outcome {
                    for _ in 0..EACH {
                        match buffer::create(file.raw(), MIB) {
                            Ok(handle) => {
                                let all = status("buffer_bytes")?;
                                ensure!(all <= 8 * MIB, "{all} bytes at once");
                                file.close(handle)?;
                            }
                            Err(value) => {
                                ensure_ret!(value, -libc::ENOSPC, "create at the limit");
                                refusals.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|one| one.join().unwrap_or(Err("a thread panicked".into())))
    })?;
    println!("{} of {} refused", refusals.into_inner(), 9 * EACH);
    wait_status("buffer_bytes", 0)?;
    let numbers = files
        .iter()
        .map(|file| Ok(fill(file, MIB)?.len()))
        .collect::<Result<Vec<_>, Fail>>()?;
    ensure_eq!(numbers, [3, 3, 2], "buffers after the race");
    Ok(())
}

/// One MiB of inline data in a call, inputs and outputs together.
pub fn of_a_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let half = 512 << 10;
    let data = dsp::pattern(half + 1, 4);
    let mut back = vec![0; half + 1];
    for (length, good) in [(half, true), (half + 1, false), (half, true)] {
        for dialect in [Dialect::Invoke, Dialect::Call] {
            back.fill(0);
            let value = match dialect {
                Dialect::Invoke => Call::new(2)
                    .input(&data[..length])
                    .output(&mut back[..length])
                    .on(file.raw(), echo),
                Dialect::Call => {
                    NewCall::new(2)
                        .input(&data[..length])
                        .output(&mut back[..length])
                        .on(file.raw(), echo)
                        .0
                }
            };
            if good {
                ensure_ret!(value, 0, "{dialect:?} of {length} bytes each way");
                dsp::same(&data[..length], &back[..length])?;
            } else {
                ensure_ret!(
                    value,
                    -libc::E2BIG,
                    "{dialect:?} of {length} bytes each way"
                );
            }
        }
    }
    // Only inputs, and many of them; buffers do not count.
    let inputs = |number: usize, last: usize| {
        let mut call = Call::new(31);
        for _ in 0..number - 1 {
            call = call.input(&data[..8192]);
        }
        call.input(&data[..last]).on(file.raw(), echo)
    };
    ensure_ret!(
        inputs(128, 8192),
        raw::as_returned(0x8000_0414),
        "128 inputs of 8 KiB to a method that does not exist"
    );
    nothing_sent(|| {
        ensure_ret!(inputs(128, 8193), -libc::E2BIG, "one byte more");
        Ok(())
    })?;
    let mut job = Job::new(&file, echo, Dialect::Call, Place::Buffer, 1 << 20)?;
    job.prepare(0, 8);
    job.run()?;
    file.still_works()
}
