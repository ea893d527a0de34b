// SPDX-License-Identifier: GPL-2.0
//! Our own dma-bufs: flags, areas, CPU access, life time, other processes.

use super::*;

pub fn flags() -> Outcome {
    let file = File::open(CDSP)?;
    for (flags, cloexec, writable) in [
        (0, false, false),
        (libc::O_CLOEXEC, true, false),
        (libc::O_RDWR, false, true),
        (libc::O_RDWR | libc::O_CLOEXEC, true, true),
    ] {
        // A buffer has one dma-buf, whose mode is that of the first export.
        let handle = file.buffer(SIZE)?;
        let fd = buffer::good(
            buffer::export_with(file.raw(), handle, flags),
            &format!("export with flags {flags:#x}"),
        )?;
        // SAFETY: Takes numbers only.
        let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
        ensure_eq!(set & libc::FD_CLOEXEC != 0, cloexec, "flags {flags:#x}");
        let area = Area::new(fd.as_raw_fd(), SIZE, 0, buffer::RW, libc::MAP_SHARED);
        if writable {
            let area = area.map_err(|errno| format!("mmap: errno {errno}"))?;
            area.stamp(1);
            file.map(handle, SIZE)?.check_stamps(1, 0, 0, PAGES)?;
        } else {
            ensure_eq!(
                area.err(),
                Some(libc::EACCES),
                "area for writing, flags {flags:#x}"
            );
            let area = Area::new(fd.as_raw_fd(), SIZE, 0, libc::PROT_READ, libc::MAP_SHARED)
                .map_err(|errno| format!("area for reading: errno {errno}"))?;
            ensure_eq!(area.not_zero(), None, "first byte that is not 0");
            ensure_eq!(
                area.protect(0, SIZE, buffer::RW).err(),
                Some(libc::EACCES),
                "mprotect to writing, flags {flags:#x}"
            );
            file.map(handle, SIZE)?.stamp(2);
            area.check_stamps(2, 0, 0, PAGES)?;
        }
    }
    let handle = file.buffer(SIZE)?;
    for flags in [
        1,
        3,
        libc::O_NONBLOCK,
        libc::O_APPEND | libc::O_RDWR,
        libc::O_DIRECT,
        i32::MIN,
        -1,
    ] {
        ensure_eq!(
            buffer::export_with(file.raw(), handle, flags).err(),
            errno(libc::EINVAL),
            "export with flags {flags:#x}"
        );
    }
    Ok(())
}

pub fn mmap() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    area.stamp(1);
    let fd = file.export(handle)?;
    ensure_eq!(
        buffer::size_of_fd(fd.as_raw_fd()),
        SIZE as i64,
        "size by lseek"
    );
    // Any whole pages of the buffer.
    for first in 0..PAGES {
        for count in 1..=PAGES - first {
            let part = Area::shared(fd.as_raw_fd(), count * PAGE, (first * PAGE) as u64)?;
            part.check_stamps(1, 0, first, count)?;
            part.set_word(8, (first * 100 + count) as u64);
            ensure_eq!(
                area.word(first * PAGE + 8),
                (first * 100 + count) as u64,
                "word by the node"
            );
            part.advise(0, count * PAGE, libc::MADV_DONTNEED)
                .map_err(|errno| format!("MADV_DONTNEED: errno {errno}"))?;
            part.check_stamps(1, 0, first, count)?;
        }
    }
    for (length, offset) in [
        (SIZE + PAGE, 0),
        (SIZE, PAGE as u64),
        (PAGE, SIZE as u64),
        (2 * PAGE, (SIZE - PAGE) as u64),
        (PAGE, 1 << 32),
        (PAGE, (1 << 44) - 4096),
        (PAGE, (1 << 62) + 4096),
        (PAGE, i64::MAX as u64 & !4095),
    ] {
        let refusal = Area::new(fd.as_raw_fd(), length, offset, buffer::RW, libc::MAP_SHARED);
        ensure!(
            matches!(
                refusal.as_ref().err(),
                Some(&(libc::EINVAL | libc::EOVERFLOW))
            ),
            "area of {length:#x} at {offset:#x}: {refusal:?}"
        );
    }
    // A part that is split, after everything else has gone.
    let part = Area::shared(fd.as_raw_fd(), 4 * PAGE, 2 * PAGE as u64)?;
    drop((area, fd, file));
    part.unmap(PAGE, PAGE)?;
    for (at, page, count) in [(0, 2, 1), (2, 4, 2)] {
        part.check_stamps(1, at * PAGE, page, count)?;
        part.advise(at * PAGE, count * PAGE, libc::MADV_DONTNEED)
            .map_err(|errno| format!("MADV_DONTNEED: errno {errno}"))?;
        part.check_stamps(1, at * PAGE, page, count)?;
    }
    drop(part);
    before.wait_for_return(SLACK)
}

pub fn cpu_access() -> Outcome {
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    let fd = file.export(handle)?;
    let vgem = Vgem::open()?;
    let session = file.created()?;
    let echo = session.module("echo")?;
    for attached in [false, true] {
        let imported = if attached {
            let data = area.read(0, SIZE);
            dsp_reads(&session, echo, fd.as_raw_fd(), &data)?;
            Some(buffer::good(
                buffer::import(vgem.raw(), fd.as_raw_fd()),
                "vgem's import",
            )?)
        } else {
            None
        };
        for flags in [
            raw::SYNC_READ,
            raw::SYNC_WRITE,
            raw::SYNC_READ | raw::SYNC_WRITE,
        ] {
            for edge in [raw::SYNC_START, raw::SYNC_END] {
                ensure_ret!(
                    exporters::sync(fd.as_raw_fd(), flags | edge),
                    0,
                    "sync {:#x}, attached {attached}",
                    flags | edge
                );
            }
            area.stamp(flags);
            area.check_stamps(flags, 0, 0, PAGES)?;
        }
        for flags in [0, raw::SYNC_END, 8, 16, 1 << 63, u64::MAX] {
            ensure_ret!(
                exporters::sync(fd.as_raw_fd(), flags),
                -libc::EINVAL,
                "sync {flags:#x}"
            );
        }
        if let Some(handle) = imported {
            ensure_ret!(buffer::close(vgem.raw(), handle), 0, "vgem's close");
        }
    }
    Ok(())
}

/// Handle, file, descriptor, area: each alone keeps the buffer.
pub fn who_holds_what() -> Outcome {
    let before = Held::now()?;
    for keeper in 0..4 {
        kept_by(keeper)?;
        before.wait_for_return(SLACK)?;
    }
    Ok(())
}

fn kept_by(keeper: u64) -> Outcome {
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    area.stamp(keeper);
    let fd = file.export(handle)?;
    let by_fd = Area::shared(fd.as_raw_fd(), SIZE, 0)?;
    match keeper {
        0 => {
            drop((area, by_fd, fd));
            file.map(handle, SIZE)?.check_stamps(keeper, 0, 0, PAGES)?;
            drop(file);
        }
        1 => {
            file.close(handle)?;
            drop((area, by_fd, file));
            Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(keeper, 0, 0, PAGES)?;
            // And it comes back to life in a new file.
            let file = File::open(CDSP)?;
            let handle = file.import(&fd)?;
            drop(fd);
            file.map(handle, SIZE)?.check_stamps(keeper, 0, 0, PAGES)?;
        }
        2 => {
            file.close(handle)?;
            drop((area, fd, file));
            by_fd.check_stamps(keeper, 0, 0, PAGES)?;
        }
        _ => {
            file.close(handle)?;
            drop((by_fd, fd, file));
            area.check_stamps(keeper, 0, 0, PAGES)?;
        }
    }
    Ok(())
}

pub fn closed_handles() -> Outcome {
    let file = File::open(CDSP)?;
    let other = File::open(CDSP)?;
    let handle = file.buffer(SIZE)?;
    ensure_eq!(
        buffer::export(other.raw(), handle).err(),
        errno(libc::ENOENT),
        "export of another file's handle"
    );
    let fd = file.export(handle)?;
    file.close(handle)?;
    ensure_eq!(
        buffer::export(file.raw(), handle).err(),
        errno(libc::ENOENT),
        "export of a closed handle"
    );
    ensure_ret!(
        buffer::close(file.raw(), handle),
        -libc::EINVAL,
        "second close"
    );
    let again = file.import(&fd)?;
    file.map(again, SIZE)?.stamp(1);
    Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(1, 0, 0, PAGES)
}

/// Another process gets a descriptor through a socket and reads, writes, imports and calls.
pub fn passed() -> Outcome {
    let before = Held::now()?;
    for maker in MAKERS {
        let file = File::open(CDSP)?;
        let shared = Shared::new(maker, &file, SIZE)?;
        shared.map.stamp(1);
        let (ours, theirs) = passing::pair()?;
        let label = if maker == Maker::Vgem { ADSP } else { CDSP };
        let mut helper = Helper::start("take-buffer", &[&theirs.as_raw_fd().to_string(), label])?;
        drop(theirs);
        passing::send(ours.as_raw_fd(), shared.raw())?;
        helper.expect("read")?;
        // The other one writes: through its area, through its handle, and by its DSP.
        helper.expect("written")?;
        shared.map.check_stamps(2, PAGE, 1, PAGES - 1)?;
        let by_dsp = dsp::pattern(PAGE, 5);
        helper.expect("called")?;
        dsp::same(&by_dsp, &shared.map.read(0, PAGE))?;
        // It keeps the buffer although everybody here lets go.
        shared.map.write(2 * PAGE, &by_dsp);
        drop(shared);
        drop(file);
        helper.success(SOON)?;
        drop(ours);
        before
            .wait_for_return(SLACK)
            .map_err(|why| format!("{maker:?}: {why}"))?;
    }
    Ok(())
}

/// Who exports twice gets the same dma-buf, whatever the handle and the file.
pub fn one_dma_buf() -> Outcome {
    let file = File::open(CDSP)?;
    let handle = file.buffer(SIZE)?;
    let first = file.export(handle)?;
    let inode = buffer::inode(first.as_raw_fd())?;
    let count = exporters::count()?;
    let second = file.export(handle)?;
    ensure_eq!(buffer::inode(second.as_raw_fd())?, inode, "second export");
    let other = File::open(CDSP)?;
    let imported = other.import(&second)?;
    let third = other.export(imported)?;
    ensure_eq!(
        buffer::inode(third.as_raw_fd())?,
        inode,
        "export of another file"
    );
    let listed = exporters::listed(first.as_raw_fd())?;
    ensure_eq!(listed.size, SIZE as u64, "size in the list");
    ensure_eq!(listed.exporter.as_str(), OURS, "exporter in the list");
    ensure_eq!(exporters::count()?, count, "dma-bufs in the system");
    // When all descriptors are closed the handles still have it; a new buffer has another.
    drop((first, second, third));
    let again = other.export(imported)?;
    ensure_eq!(
        buffer::inode(again.as_raw_fd())?,
        inode,
        "export after the close of all descriptors"
    );
    let new = file.buffer(SIZE)?;
    let new = file.export(new)?;
    ensure!(
        buffer::inode(new.as_raw_fd())? != inode,
        "two buffers have one dma-buf"
    );
    Ok(())
}

pub fn storm() -> Outcome {
    let before = Held::now()?;
    in_threads(8, |n| {
        let file = File::open(if n % 2 == 0 { CDSP } else { ADSP })?;
        let other = File::open(if n % 4 < 2 { CDSP } else { ADSP })?;
        for round in 0..rounds(500) as u64 {
            let (handle, area) = file.mapped(2 * PAGE)?;
            let seed = (u64::from(n) << 32) | round;
            area.stamp(seed);
            let fd = file.export(handle)?;
            let imported = other.import(&fd)?;
            let by_fd = Area::shared(fd.as_raw_fd(), PAGE, PAGE as u64)?;
            by_fd.check_stamps(seed, 0, 1, 1)?;
            match round % 3 {
                0 => {
                    file.close(handle)?;
                    other.close(imported)?;
                }
                1 => {
                    drop(fd);
                    other.close(imported)?;
                    file.close(handle)?;
                }
                _ => {
                    other.close(imported)?;
                    file.close(handle)?;
                    let again = file.import(&fd)?;
                    file.map(again, 2 * PAGE)?.check_stamps(seed, 0, 0, 2)?;
                    file.close(again)?;
                }
            }
            by_fd.check_stamps(seed, 0, 1, 1)?;
        }
        Ok(())
    })?;
    before.wait_for_return(SLACK)
}
