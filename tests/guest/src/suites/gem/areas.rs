// SPDX-License-Identifier: GPL-2.0
//! Areas that are split, moved, inherited and used by the kernel; page contents after each step.

use super::*;

/// Pages of the buffers here.
const PAGES: usize = 16;
const SIZE: usize = PAGES * PAGE;

/// Checks pages of an area at their own places.
fn check(area: &Area, seed: u64, pages: std::ops::Range<usize>) -> Outcome {
    area.check_stamps(seed, pages.start * PAGE, pages.start, pages.len())
}

/// Drops the page table entries of pages, so that each is looked up anew.
fn forget(area: &Area, pages: std::ops::Range<usize>) -> Outcome {
    area.advise(pages.start * PAGE, pages.len() * PAGE, libc::MADV_DONTNEED)
        .map_err(|errno| format!("MADV_DONTNEED: errno {errno}").into())
}

pub fn split_areas() -> Outcome {
    let before = Held::now()?;
    for by_fd in [false, true] {
        let file = File::open(CDSP)?;
        let handle = file.buffer(SIZE)?;
        let area = if by_fd {
            let fd = file.export(handle)?;
            Area::shared(fd.as_raw_fd(), SIZE, 0)?
        } else {
            file.map(handle, SIZE)?
        };
        area.stamp(1);
        check(&area, 1, 0..PAGES)?;
        // A hole in the middle.
        area.unmap(5 * PAGE, 2 * PAGE)?;
        check(&area, 1, 0..5)?;
        check(&area, 1, 7..PAGES)?;
        ensure_eq!(
            buffer::read_signal(area.at(5 * PAGE))?,
            Some(libc::SIGSEGV),
            "read of the hole"
        );
        for pages in [0..5, 7..PAGES] {
            forget(&area, pages.clone())?;
            check(&area, 1, pages)?;
        }
        // The head: the pages behind it stay the same pages.
        area.unmap(0, 2 * PAGE)?;
        forget(&area, 2..5)?;
        check(&area, 1, 2..5)?;
        forget(&area, 7..PAGES)?;
        check(&area, 1, 7..PAGES)?;
        // The tail, then a split by protection.
        area.unmap(14 * PAGE, 2 * PAGE)?;
        ensure_eq!(
            area.protect(9 * PAGE, 2 * PAGE, libc::PROT_READ),
            Ok(()),
            "mprotect"
        );
        forget(&area, 7..14)?;
        check(&area, 1, 7..14)?;
        ensure_eq!(
            buffer::write_signal(area.at(10 * PAGE))?,
            Some(libc::SIGSEGV),
            "write to read-only pages"
        );
        ensure_eq!(
            buffer::write_signal(area.at(11 * PAGE))?,
            None,
            "write behind read-only pages"
        );
        ensure_eq!(
            area.protect(9 * PAGE, 2 * PAGE, buffer::RW),
            Ok(()),
            "mprotect back"
        );
        // The handle goes, then the file, then piece by piece the rest.
        file.close(handle)?;
        forget(&area, 2..5)?;
        check(&area, 1, 2..5)?;
        drop(file);
        forget(&area, 7..14)?;
        check(&area, 1, 7..14)?;
        for page in [3, 8, 12, 2, 13] {
            area.unmap(page * PAGE, PAGE)?;
            for left in [4..5, 9..12] {
                forget(&area, left.clone())?;
                check(&area, 1, left)?;
            }
        }
        // The last page of the buffer keeps all of it.
        area.unmap(4 * PAGE, PAGE)?;
        area.unmap(9 * PAGE, 3 * PAGE)?;
        check(&area, 1, 7..8)?;
        ensure!(
            Held::now()?.files > before.files,
            "a page of the buffer is mapped and no file is held"
        );
        area.unmap(7 * PAGE, PAGE)?;
        before.wait_for_return(SLACK)?;
    }
    Ok(())
}

/// Random unmaps, protections and moves of parts, against a model that knows each page's place.
pub fn random_splits() -> Outcome {
    let before = Held::now()?;
    for round in 0..30u64 {
        let mut dice = Dice(round * 77 + 3);
        let file = File::open(CDSP)?;
        let handle = file.buffer(SIZE)?;
        // One area by the node, one by the dma-buf that begins inside the buffer.
        let fd = file.export(handle)?;
        let first = file.map(handle, SIZE)?;
        let second = Area::shared(fd.as_raw_fd(), SIZE - 4 * PAGE, 4 * PAGE as u64)?;
        first.stamp(round);
        // (area, page of the area, page of the buffer)
        let mut places: Vec<(usize, usize, usize)> = (0..PAGES)
            .map(|page| (0, page, page))
            .chain((4..PAGES).map(|page| (1, page - 4, page)))
            .collect();
        let mut areas = vec![first, second];
        for step in 0..40 {
            if places.is_empty() {
                break;
            }
            if step == 15 {
                file.close(handle)?;
            }
            let (area, page, _) = places[dice.below(places.len())];
            let run = (1 + dice.below(3)).min(
                (page..areas[area].length() / PAGE)
                    .take_while(|&p| places.iter().any(|&(a, q, _)| (a, q) == (area, p)))
                    .count(),
            );
            let taken =
                |&(a, p, _): &(usize, usize, usize)| a == area && (page..page + run).contains(&p);
            match dice.below(4) {
                0 => {
                    areas[area].unmap(page * PAGE, run * PAGE)?;
                    places.retain(|place| !taken(place));
                }
                1 => {
                    // One page: an area that mprotect() has split may not move as one.
                    let run = 1;
                    let moved = areas[area]
                        .move_out(page * PAGE, run * PAGE)
                        .map_err(|errno| format!("mremap of a part: errno {errno}"))?;
                    let new = areas.len();
                    areas.push(moved);
                    for place in &mut places {
                        if (place.0, place.1) == (area, page) {
                            *place = (new, 0, place.2);
                        }
                    }
                }
                2 => {
                    let protection = [libc::PROT_READ, buffer::RW][dice.below(2)];
                    ensure_eq!(
                        areas[area].protect(page * PAGE, run * PAGE, protection),
                        Ok(()),
                        "mprotect"
                    );
                }
                _ => areas[area]
                    .advise(page * PAGE, run * PAGE, libc::MADV_DONTNEED)
                    .map_err(|errno| format!("MADV_DONTNEED: errno {errno}"))?,
            }
            for &(area, page, of_buffer) in &places {
                areas[area]
                    .check_stamps(round, page * PAGE, of_buffer, 1)
                    .map_err(|why| format!("round {round}, step {step}: {why}"))?;
            }
        }
    }
    before.wait_for_return(SLACK)
}

pub fn mremap() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    area.stamp(2);
    // Growing would show what is not in the buffer.
    let area = match area.resize(SIZE + PAGE) {
        Err((area, errno)) => {
            ensure!(
                [libc::EFAULT, libc::EINVAL].contains(&errno),
                "mremap to a longer area: errno {errno}"
            );
            area
        }
        Ok(area) => {
            let behind = buffer::read_signal(area.at(SIZE))?;
            ensure_eq!(behind, Some(libc::SIGBUS), "read behind the buffer");
            println!("an area can grow; what is behind the buffer raises SIGBUS");
            area
        }
    };
    check(&area, 2, 0..PAGES)?;
    let area = area
        .resize(6 * PAGE)
        .map_err(|(_, errno)| format!("mremap to a shorter area: errno {errno}"))?;
    check(&area, 2, 0..6)?;
    forget(&area, 0..6)?;
    check(&area, 2, 0..6)?;
    // A prefix does not become the whole.
    match area.resize(SIZE) {
        Err((area, _)) => check(&area, 2, 0..6)?,
        Ok(area) => check(&area, 2, 0..PAGES)?,
    }
    let area = file.map(handle, SIZE)?;
    check(&area, 2, 0..PAGES)?;
    let part = area
        .move_out(6 * PAGE, 4 * PAGE)
        .map_err(|errno| format!("mremap of a part: errno {errno}"))?;
    part.check_stamps(2, 0, 6, 4)?;
    check(&area, 2, 0..6)?;
    check(&area, 2, 10..PAGES)?;
    file.close(handle)?;
    drop(file);
    drop(area);
    forget(&part, 0..4)?;
    part.check_stamps(2, 0, 6, 4)?;
    drop(part);
    before.wait_for_return(SLACK)
}

pub fn fork() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    area.stamp(1);
    let status = buffer::in_child(|| {
        // The child sees the parent's bytes, writes its own, unmaps a part and goes.
        if area.check_stamps(1, 0, 0, PAGES).is_err() {
            return 1;
        }
        area.stamp(2);
        if area.unmap(3 * PAGE, 5 * PAGE).is_err() || area.check_stamps(2, 0, 0, 3).is_err() {
            return 2;
        }
        // What the child does with the shared file holds for both.
        if buffer::mmap_offset(file.raw(), handle).is_err() {
            return 3;
        }
        0
    })?;
    ensure_eq!(status, Ok(0), "end of the child");
    check(&area, 2, 0..PAGES)?;
    // A child that outlives the parent's area, handle and file.
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two numbers.
    ensure_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "pipe");
    // SAFETY: The child runs a few lines of its own and leaves.
    let child = unsafe { libc::fork() };
    ensure!(child >= 0, "fork: errno {}", raw::errno());
    if child == 0 {
        let mut byte = 0u8;
        // SAFETY: Plain system calls on descriptors of this process; it leaves at once.
        unsafe {
            libc::close(file.raw());
            libc::read(ends[0], (&raw mut byte).cast(), 1);
            area.set_word(PAGE, 77);
            let good = area.check_stamps(2, 2 * PAGE, 2, PAGES - 2).is_ok();
            libc::_exit(i32::from(!good));
        }
    }
    file.close(handle)?;
    drop(area);
    drop(file);
    let held = Held::now()?;
    ensure!(
        held.files > before.files,
        "the child's area holds no file: {before:?}, {held:?}"
    );
    let mut status = 0;
    // SAFETY: Plain system calls; the numbers are ours.
    let waited = unsafe {
        libc::write(ends[1], c"x".as_ptr().cast(), 1);
        libc::close(ends[0]);
        libc::close(ends[1]);
        libc::waitpid(child, &mut status, 0)
    };
    ensure_eq!((waited, status), (child, 0), "end of the child");
    before.wait_for_return(SLACK)
}

pub fn outlive() -> Outcome {
    let before = Held::now()?;
    let file = File::with_process(CDSP)?;
    let mut areas = Vec::new();
    for n in 0..20 {
        let (handle, area) = file.mapped(SIZE)?;
        area.stamp(n);
        if n % 2 == 0 {
            file.close(handle)?;
        }
        areas.push(area);
    }
    drop(file);
    for (n, area) in areas.iter().enumerate() {
        forget(area, 0..PAGES)?;
        check(area, n as u64, 0..PAGES)?;
        area.stamp(n as u64 + 100);
    }
    // A new file does not get any of that memory.
    let file = File::open(CDSP)?;
    for _ in 0..20 {
        let (_, area) = file.mapped(SIZE)?;
        ensure_eq!(area.not_zero(), None, "first byte that is not 0");
        area.stamp(1);
    }
    for (n, area) in areas.iter().enumerate() {
        check(area, n as u64 + 100, 0..PAGES)?;
    }
    drop(file);
    drop(areas);
    before.wait_for_return(SLACK)
}

/// The kernel itself reads and writes the pages on behalf of system calls.
pub fn kernel_access() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    let data = dsp::pattern(SIZE, 11);
    let path = std::path::Path::new("/dev/shm/qda-gem-test");
    std::fs::write(path, &data)?;
    for flags in [0, libc::O_DIRECT] {
        let source = dsp::open_with(path, libc::O_RDWR | flags)
            .map_err(|errno| format!("{}: errno {errno}", path.display()))?;
        area.write(0, &vec![0; SIZE]);
        // SAFETY: The area has room for that many bytes.
        let got = unsafe { libc::pread(source.as_raw_fd(), area.at(0).cast(), SIZE, 0) };
        ensure_eq!(got, SIZE as isize, "pread with flags {flags:#x}");
        dsp::same(&data, &area.read(0, SIZE))?;
        area.write(PAGE, &[0xa5; 100]);
        // SAFETY: The area has that many bytes.
        let put = unsafe { libc::pwrite(source.as_raw_fd(), area.at(0).cast(), SIZE, 0) };
        ensure_eq!(put, SIZE as isize, "pwrite with flags {flags:#x}");
        let mut expected = data.clone();
        expected[PAGE..PAGE + 100].fill(0xa5);
        dsp::same(&expected, &std::fs::read(path)?)?;
        std::fs::write(path, &data)?;
    }
    std::fs::remove_file(path)?;
    // Pages that no page table entry shows yet, taken by address from another process.
    let fresh = file.buffer(SIZE)?;
    let fresh_area = file.map(fresh, SIZE)?;
    let own = std::process::id() as i32;
    area.write(0, &data);
    let status = buffer::in_child(|| {
        let mut bytes = vec![0u8; SIZE];
        let local = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: SIZE,
        };
        let there = |area: &Area| libc::iovec {
            iov_base: area.at(0).cast(),
            iov_len: SIZE,
        };
        // SAFETY: `local` describes a vector; the other side is checked by the kernel.
        unsafe {
            let read = libc::process_vm_readv(own, &local, 1, &there(&area), 1, 0);
            if read != SIZE as isize {
                return 1;
            }
            if libc::process_vm_writev(own, &local, 1, &there(&fresh_area), 1, 0) != read {
                return 2;
            }
        }
        0
    })?;
    ensure_eq!(status, Ok(0), "end of the child that copies between us");
    dsp::same(&data, &fresh_area.read(0, SIZE))?;
    // Pages held by a pipe stay the buffer's, also when the buffer goes.
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two numbers.
    ensure_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "pipe");
    let piece = libc::iovec {
        iov_base: area.at(4 * PAGE).cast(),
        iov_len: 2 * PAGE,
    };
    // SAFETY: `piece` is inside the area.
    let spliced = unsafe { libc::vmsplice(ends[1], &piece, 1, 0) };
    ensure_eq!(spliced, 2 * PAGE as isize, "vmsplice");
    file.close(handle)?;
    drop(area);
    drop(fresh_area);
    drop(file);
    let mut bytes = vec![0u8; 2 * PAGE];
    // SAFETY: `bytes` has room; both ends are closed once.
    let got = unsafe {
        let got = libc::read(ends[0], bytes.as_mut_ptr().cast(), bytes.len());
        libc::close(ends[0]);
        libc::close(ends[1]);
        got
    };
    ensure_eq!(got, 2 * PAGE as isize, "read of the pipe");
    dsp::same(&data[4 * PAGE..6 * PAGE], &bytes)?;
    before.wait_for_return(SLACK)
}

/// A program can punch holes in its buffer, and root can even cut it. Whoever does so loses
/// bytes, and nothing else happens: not to the kernel and not to other buffers.
pub fn holes_and_truncation() -> Outcome {
    let before = Held::now()?;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let (handle, area) = file.mapped(SIZE)?;
    let (_, other) = file.mapped(SIZE)?;
    area.stamp(1);
    other.stamp(2);
    let fd = file.export(handle)?;
    let through_dsp = |what: &str| -> Outcome {
        let mut back = vec![0; SIZE];
        let value = dsp::Call::new(2)
            .reads(area.address(), SIZE as u64, fd.as_raw_fd())
            .output(&mut back)
            .on(file.raw(), echo);
        println!("call {what}: {}", raw::show(value));
        Ok(())
    };
    through_dsp("with the whole buffer")?;
    match area.advise(3 * PAGE, 2 * PAGE, libc::MADV_REMOVE) {
        Ok(()) => {
            check(&area, 1, 0..3)?;
            check(&area, 1, 5..PAGES)?;
            ensure_eq!(area.word(3 * PAGE), 0, "word in the hole");
            area.set_word(4 * PAGE, 5);
            through_dsp("with a hole")?;
        }
        Err(errno) => println!("holes are refused with errno {errno}"),
    }
    let link = format!(
        "/proc/self/map_files/{:x}-{:x}",
        area.address(),
        area.address() + SIZE as u64
    );
    match dsp::open_path(std::path::Path::new(&link)) {
        Ok(inner) => {
            // SAFETY: Takes numbers only.
            let cut = unsafe { libc::ftruncate(inner.as_raw_fd(), 6 * PAGE as libc::off_t) };
            println!("root cuts the file: {cut}, errno {}", raw::errno());
            if cut == 0 {
                ensure_eq!(
                    buffer::read_signal(area.at(9 * PAGE))?,
                    Some(libc::SIGBUS),
                    "read behind the cut"
                );
                through_dsp("after the cut")?;
                let second = File::with_process(CDSP)?;
                let echo = second.module("echo")?;
                let imported = second.import(&fd)?;
                let mut back = vec![0; SIZE];
                let value = dsp::Call::new(2)
                    .reads(0, SIZE as u64, fd.as_raw_fd())
                    .output(&mut back)
                    .on(second.raw(), echo);
                println!("call of a second session: {}", raw::show(value));
                ensure!(value != 0, "a buffer without pages was mapped");
                second.close(imported)?;
                second.still_works()?;
            }
        }
        Err(errno) => println!("{link}: errno {errno}"),
    }
    other.check_stamps(2, 0, 0, PAGES)?;
    file.still_works()?;
    drop((file, fd, area, other));
    before.wait_for_return(SLACK)
}

/// Memory that was somebody's a moment ago comes as zeros.
pub fn new_memory_is_zero() -> Outcome {
    let available = buffer::meminfo("MemAvailable")? as usize;
    let dirty = rounds(available / 2 / MIB) * MIB;
    let canary = |area: &Area| {
        for at in (0..area.length()).step_by(8) {
            area.set_word(at, 0xdead_beef_0bad_cafe);
        }
    };
    {
        let area = Area::anonymous(dirty).map_err(|errno| format!("mmap: errno {errno}"))?;
        canary(&area);
    }
    let file = File::open(CDSP)?;
    let mut scanned = 0;
    for round in 0..3 {
        let mut areas = Vec::new();
        let mut taken = 0;
        for n in 0.. {
            // Small ones from single pages, large ones from huge pages.
            let size = [PAGE, 3 * PAGE, 64 * PAGE, 2 * MIB, 5 * MIB + PAGE][n % 5];
            if taken + size > dirty / 2 {
                break;
            }
            taken += size;
            let (handle, area) = file.mapped(size)?;
            if let Some((at, word)) = area.not_zero() {
                return Err(format!("round {round}: {word:#x} at {at:#x} of {size} bytes").into());
            }
            canary(&area);
            areas.push((handle, area));
        }
        scanned += taken;
        for (handle, area) in areas {
            file.close(handle)?;
            drop(area);
        }
    }
    println!("{scanned} bytes scanned after {dirty} bytes were dirtied");
    Ok(())
}

/// The copied arguments of calls lie in areas of buffers. Their pages are looked up, and those of
/// outputs made, while the driver copies, and another thread keeps taking them away.
pub fn arguments_in_areas() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let (_, input) = file.mapped(SIZE)?;
    let (_, output) = file.mapped(SIZE)?;
    let (from, to, length) = (input.address(), output.address(), SIZE as u64);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for address in [from, to] {
                    // SAFETY: Both areas stay mapped until the thread has ended; the pages stay in
                    // their buffers, and only the entries of the page tables go.
                    unsafe { libc::madvise(address as *mut _, SIZE, libc::MADV_DONTNEED) };
                }
            }
        });
        let result = (0..30u32).try_for_each(|round| -> Outcome {
            let data = dsp::pattern(SIZE, round + 1);
            input.write(0, &data);
            // Its pages go for good: the copy has to make new ones.
            output
                .advise(0, SIZE, libc::MADV_REMOVE)
                .map_err(|errno| format!("MADV_REMOVE: errno {errno}"))?;
            let call = dsp::Call::new(2)
                .input_at(from, length)
                .output_at(to, length);
            ensure_ret!(call.on(file.raw(), echo), 0, "echo of round {round}");
            dsp::same(&data, &output.read(0, SIZE))
        });
        done.store(true, Ordering::Relaxed);
        result
    })?;
    file.still_works()
}
