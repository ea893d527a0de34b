// SPDX-License-Identifier: GPL-2.0
//! What mmap() takes: offsets, lengths, protections, kinds, and pages of different sizes.

use super::*;

/// mmap() of a buffer by the numbers given; None or the errno.
fn refusal(fd: RawFd, length: usize, offset: u64, protection: i32, flags: i32) -> Option<i32> {
    Area::new(fd, length, offset, protection, flags).err()
}

pub fn mmap_shapes() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handle, whole) = file.mapped(8 * PAGE)?;
    whole.stamp(1);
    let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
    ensure!(
        offset != 0 && offset % PAGE as u64 == 0,
        "the offset is {offset:#x}"
    );
    ensure_eq!(
        buffer::mmap_offset(file.raw(), handle),
        Ok(offset),
        "the offset asked again"
    );
    // Prefixes are good, and lengths are rounded up.
    for length in [1, PAGE, PAGE + 1, 5 * PAGE, 8 * PAGE - 1, 8 * PAGE] {
        let area = Area::shared(file.raw(), length, offset)?;
        let pages = length.div_ceil(PAGE);
        if length % PAGE == 0 {
            area.check_stamps(1, 0, 0, pages)?;
        } else {
            ensure_eq!(area.read(0, 1), whole.read(0, 1), "first byte of {length}");
        }
        let behind = area.at(0).wrapping_add(pages * PAGE - 1);
        ensure_eq!(buffer::read_signal(behind)?, None, "last byte of {length}");
    }
    // So is any other part.
    for first in 1..8 {
        for count in 1..=8 - first {
            let area = Area::shared(file.raw(), count * PAGE, offset + (first * PAGE) as u64)?;
            area.check_stamps(1, 0, first, count)?;
            area.advise(0, count * PAGE, libc::MADV_DONTNEED)
                .map_err(|errno| format!("MADV_DONTNEED: errno {errno}"))?;
            area.check_stamps(1, 0, first, count)?;
        }
    }
    // What begins or ends outside the buffer is not.
    for (length, at) in [
        (8 * PAGE, offset + PAGE as u64),
        (2 * PAGE, offset + 7 * PAGE as u64),
        (PAGE, offset + 8 * PAGE as u64),
        (PAGE, offset - PAGE as u64),
        (2 * PAGE, offset - PAGE as u64),
        (9 * PAGE, offset),
        (MIB, offset),
        (PAGE, 0),
        (PAGE, PAGE as u64),
        (PAGE, (1 << 40) + offset),
        (PAGE, 1 << 62),
    ] {
        let errno = refusal(file.raw(), length, at, buffer::RW, libc::MAP_SHARED);
        ensure!(
            matches!(errno, Some(libc::EINVAL | libc::EOVERFLOW)),
            "area of {length:#x} at {at:#x}, buffer at {offset:#x}: {errno:?}"
        );
    }
    ensure_eq!(
        refusal(file.raw(), PAGE, offset + 8, buffer::RW, libc::MAP_SHARED),
        Some(libc::EINVAL),
        "odd offset"
    );
    // A closed handle takes the offset along.
    file.close(handle)?;
    let errno = refusal(file.raw(), PAGE, offset, buffer::RW, libc::MAP_SHARED);
    ensure!(
        matches!(errno, Some(libc::EINVAL | libc::EACCES)),
        "area at the offset of a closed handle: {errno:?}"
    );
    whole.check_stamps(1, 0, 0, 8)?;
    // Two buffers never have the same offset, and no area spans two.
    let mut offsets = Vec::new();
    for n in 0..50 {
        let handle = file.buffer((1 + n % 5) * PAGE)?;
        offsets.push(buffer::good(
            buffer::mmap_offset(file.raw(), handle),
            "mmap offset",
        )?);
    }
    offsets.sort_unstable();
    offsets.dedup();
    ensure_eq!(offsets.len(), 50, "different offsets");
    for &offset in &offsets {
        ensure_eq!(
            refusal(file.raw(), 6 * PAGE, offset, buffer::RW, libc::MAP_SHARED),
            Some(libc::EINVAL),
            "area of a buffer and its neighbour"
        );
    }
    drop(file);
    whole.check_stamps(1, 0, 0, 8)?;
    drop(whole);
    before.wait_for_return(SLACK)
}

/// The offset of a buffer is of no use for whoever has no handle of it.
pub fn mmap_of_others() -> Outcome {
    let owner = File::open(CDSP)?;
    let (handle, area) = owner.mapped(4 * PAGE)?;
    area.stamp(9);
    let offset = buffer::good(buffer::mmap_offset(owner.raw(), handle), "mmap offset")?;
    for label in [CDSP, ADSP] {
        let other = File::open(label)?;
        let errno = refusal(other.raw(), 4 * PAGE, offset, buffer::RW, libc::MAP_SHARED);
        ensure!(
            matches!(errno, Some(libc::EACCES | libc::EINVAL)),
            "area of another file's buffer by {label}: {errno:?}"
        );
        let read = refusal(
            other.raw(),
            PAGE,
            offset,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
        );
        ensure!(read.is_some(), "a private area of another file's buffer");
    }
    // With a handle of its own it may, until that is closed.
    let other = File::open(CDSP)?;
    let fd = owner.export(handle)?;
    let second = other.import(&fd)?;
    let at = buffer::good(buffer::mmap_offset(other.raw(), second), "mmap offset")?;
    Area::shared(other.raw(), 4 * PAGE, at)?.check_stamps(9, 0, 0, 4)?;
    other.close(second)?;
    ensure_eq!(
        refusal(other.raw(), 4 * PAGE, at, buffer::RW, libc::MAP_SHARED),
        Some(libc::EACCES),
        "area after the close of the second handle"
    );
    area.check_stamps(9, 0, 0, 4)
}

/// Who may only read stays a reader, whatever he tries later.
pub fn read_only() -> Outcome {
    let node = dsp::node(CDSP)?;
    let file = dsp::open_with(&node.path, libc::O_RDONLY | libc::O_CLOEXEC)
        .map(File::of)
        .map_err(|errno| format!("open for reading: errno {errno}"))?;
    let handle = file.buffer(4 * PAGE)?;
    let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
    ensure_eq!(
        refusal(file.raw(), PAGE, offset, buffer::RW, libc::MAP_SHARED),
        Some(libc::EACCES),
        "area for writing of a file open for reading"
    );
    let area = Area::new(
        file.raw(),
        4 * PAGE,
        offset,
        libc::PROT_READ,
        libc::MAP_SHARED,
    )
    .map_err(|errno| format!("area for reading: errno {errno}"))?;
    ensure_eq!(area.not_zero(), None, "first byte that is not 0");
    ensure_eq!(
        area.protect(0, 4 * PAGE, buffer::RW).err(),
        Some(libc::EACCES),
        "mprotect to writing"
    );
    ensure_eq!(
        buffer::write_signal(area.at(PAGE))?,
        Some(libc::SIGSEGV),
        "a write"
    );
    // A file that may write can give protections up and take them again.
    let file = File::open(CDSP)?;
    let handle = file.buffer(4 * PAGE)?;
    let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
    let reader = Area::new(
        file.raw(),
        4 * PAGE,
        offset,
        libc::PROT_READ,
        libc::MAP_SHARED,
    )
    .map_err(|errno| format!("area for reading: errno {errno}"))?;
    let writer = Area::shared(file.raw(), 4 * PAGE, offset)?;
    writer.stamp(4);
    reader.check_stamps(4, 0, 0, 4)?;
    ensure_eq!(
        buffer::write_signal(reader.at(0))?,
        Some(libc::SIGSEGV),
        "a write through the reader's area"
    );
    ensure_eq!(
        reader.protect(PAGE, PAGE, buffer::RW),
        Ok(()),
        "mprotect to writing"
    );
    reader.set_word(PAGE + 16, 0x77);
    ensure_eq!(writer.word(PAGE + 16), 0x77, "word written after mprotect");
    ensure_eq!(
        writer.protect(0, PAGE, libc::PROT_NONE),
        Ok(()),
        "no access"
    );
    ensure_eq!(
        buffer::read_signal(writer.at(0))?,
        Some(libc::SIGSEGV),
        "a read without access"
    );
    reader.check_stamps(4, 0, 0, 4)
}

/// A private area shows the buffer and keeps what is written to itself, or is refused.
pub fn private_area() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handle, shared) = file.mapped(4 * PAGE)?;
    shared.stamp(1);
    let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
    let fd = file.export(handle)?;
    for (what, fd, offset) in [("node", file.raw(), offset), ("dma-buf", fd.as_raw_fd(), 0)] {
        match Area::new(fd, 4 * PAGE, offset, buffer::RW, libc::MAP_PRIVATE) {
            Ok(private) => {
                println!("a private area of the {what} is a copy on write");
                private.check_stamps(1, 0, 0, 4)?;
                private.set_word(PAGE, 42);
                ensure_eq!(private.word(PAGE), 42, "own word");
                shared.check_stamps(1, 0, 0, 4)?;
                private.check_stamps(1, 2 * PAGE, 2, 2)?;
            }
            Err(errno) => {
                println!("a private area of the {what} is refused with errno {errno}");
                ensure_eq!(errno, libc::EINVAL, "refusal of a private area");
            }
        }
        shared.check_stamps(1, 0, 0, 4)?;
    }
    drop(shared);
    drop(fd);
    drop(file);
    before.wait_for_return(SLACK)
}

pub fn populate() -> Outcome {
    let file = File::open(CDSP)?;
    let resident = || buffer::fdinfo_number(file.raw(), "drm-resident-memory");
    let handle = file.buffer(100 * PAGE)?;
    ensure_eq!(resident()?, 0, "resident bytes of a new buffer");
    let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
    let lazy = Area::shared(file.raw(), 100 * PAGE, offset)?;
    ensure_eq!(resident()?, 0, "resident bytes after mmap");
    lazy.set_word(7 * PAGE, 1);
    ensure_eq!(resident()?, PAGE as u64, "resident bytes after one write");
    let area = Area::new(
        file.raw(),
        60 * PAGE,
        offset,
        buffer::RW,
        libc::MAP_SHARED | libc::MAP_POPULATE,
    )
    .map_err(|errno| format!("MAP_POPULATE: errno {errno}"))?;
    ensure_eq!(
        resident()?,
        60 * PAGE as u64,
        "resident bytes after MAP_POPULATE"
    );
    // mincore() sees them too.
    let mut core = [0u8; 100];
    // SAFETY: The area is mapped and the answer has a byte for each of its pages.
    let value = unsafe { libc::mincore(lazy.at(0).cast(), 100 * PAGE, core.as_mut_ptr()) };
    ensure_eq!(value, 0, "mincore");
    ensure_eq!(
        core.iter().filter(|&&byte| byte & 1 == 1).count(),
        60,
        "pages in core"
    );
    area.stamp(3);
    lazy.check_stamps(3, 0, 0, 60)?;
    // Locked pages: the rest is there at once.
    // SAFETY: The area is mapped.
    let value = unsafe { libc::mlock(lazy.at(0).cast(), 100 * PAGE) };
    ensure_eq!(value, 0, "mlock");
    ensure_eq!(resident()?, 100 * PAGE as u64, "resident bytes after mlock");
    // Closing areas does not free pages of a live buffer; closing the handle does.
    drop(area);
    drop(lazy);
    ensure_eq!(
        resident()?,
        100 * PAGE as u64,
        "resident bytes without areas"
    );
    file.close(handle)?;
    ensure_eq!(resident()?, 0, "resident bytes without buffer");
    Ok(())
}

/// Huge pages, where the kernel has them.
pub fn huge_pages() -> Outcome {
    const SIZE: usize = 16 * MIB;
    let before = Held::now()?;
    let huge = buffer::meminfo("ShmemHugePages")?;
    let file = File::open(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    area.stamp(6);
    area.check_stamps(6, 0, 0, SIZE / PAGE)?;
    let after = buffer::meminfo("ShmemHugePages")?.saturating_sub(huge);
    let mapped = smaps_number(&area, "ShmemPmdMapped")?;
    println!("of {SIZE} bytes, {after} are in huge pages, {mapped} mapped as such");
    if std::fs::metadata("/sys/kernel/mm/transparent_hugepage").is_ok() {
        ensure!(after >= 2 * MIB as u64, "no huge page in 16 MiB");
    }
    // A split area, a hole, and a buffer one page longer than a huge page.
    area.unmap(PAGE, PAGE)?;
    area.unmap(3 * MIB, MIB)?;
    area.check_stamps(6, 0, 0, 1)?;
    area.check_stamps(6, 2 * PAGE, 2, (3 * MIB - 2 * PAGE) / PAGE)?;
    area.check_stamps(6, 4 * MIB, 4 * MIB / PAGE, (SIZE - 4 * MIB) / PAGE)?;
    let (odd, odd_area) = file.mapped(2 * MIB + PAGE)?;
    odd_area.stamp(8);
    odd_area.check_stamps(8, 0, 0, 2 * MIB / PAGE + 1)?;
    let resident = buffer::fdinfo_number(file.raw(), "drm-resident-memory")?;
    ensure_eq!(
        resident,
        (SIZE + 2 * MIB + PAGE) as u64,
        "resident bytes: no more than the buffers have"
    );
    file.close(odd)?;
    file.close(handle)?;
    drop(odd_area);
    drop(area);
    drop(file);
    before.wait_for_return(SLACK)
}

/// A number of the entry of an area in smaps, in bytes.
fn smaps_number(area: &Area, key: &str) -> Result<u64, Fail> {
    let text = std::fs::read_to_string("/proc/self/smaps")?;
    let head = format!("{:08x}-", area.address());
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(&head) {
            inside = true;
        } else if inside {
            if let Some(rest) = line.strip_prefix(key).and_then(|r| r.strip_prefix(':')) {
                let number: Option<u64> =
                    rest.split_whitespace().next().and_then(|w| w.parse().ok());
                return Ok(number.ok_or("no number in smaps")? << 10);
            }
        }
    }
    Err(format!("no {key} of {head} in smaps").into())
}
