// SPDX-License-Identifier: GPL-2.0
//! Buffers of the node: handles, areas, exports, and what the kernel tells about them.
//!
//! Like [`crate::dsp`] this asks the kernel for anything; errors are the values of the ioctls, or
//! the errno where a plain system call failed.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{
    AsRawFd,
    FromRawFd,
    OwnedFd,
    RawFd, //
};
use std::ptr;

use crate::dsp::File;
use crate::harness::Fail;
use crate::mem::PAGE;
use crate::raw::{
    self,
    GemClose,
    GemCreate,
    GemMmapOffset,
    Prime, //
};

/// Protection and kind of most areas.
pub const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Makes a buffer; its handle.
pub fn create(fd: RawFd, size: u64) -> Result<u32, i64> {
    let mut create = GemCreate {
        size,
        ..GemCreate::default()
    };
    match raw::ioctl(fd, raw::GEM_CREATE, &raw mut create as u64) {
        0 => Ok(create.handle),
        value => Err(value),
    }
}

/// Drops a handle; the value of the ioctl.
pub fn close(fd: RawFd, handle: u32) -> i64 {
    let close = GemClose { handle, pad: 0 };
    raw::ioctl(fd, raw::GEM_CLOSE, &raw const close as u64)
}

/// Where a buffer is mapped on its node.
pub fn mmap_offset(fd: RawFd, handle: u32) -> Result<u64, i64> {
    let mut ask = GemMmapOffset {
        handle,
        ..GemMmapOffset::default()
    };
    match raw::ioctl(fd, raw::GEM_MMAP_OFFSET, &raw mut ask as u64) {
        0 => Ok(ask.offset),
        value => Err(value),
    }
}

/// A dma-buf of a handle, by the flags of open().
pub fn export_with(fd: RawFd, handle: u32, flags: i32) -> Result<OwnedFd, i64> {
    let mut prime = Prime {
        handle,
        flags: flags as u32,
        fd: -1,
    };
    match raw::ioctl(fd, raw::PRIME_HANDLE_TO_FD, &raw mut prime as u64) {
        // SAFETY: The number is fresh and belongs to nobody else.
        0 => Ok(unsafe { OwnedFd::from_raw_fd(prime.fd) }),
        value => Err(value),
    }
}

/// A dma-buf of a handle that can be read and written.
pub fn export(fd: RawFd, handle: u32) -> Result<OwnedFd, i64> {
    export_with(fd, handle, libc::O_RDWR | libc::O_CLOEXEC)
}

/// The handle of a dma-buf.
pub fn import(fd: RawFd, dma_buf: RawFd) -> Result<u32, i64> {
    let mut prime = Prime {
        fd: dma_buf,
        ..Prime::default()
    };
    match raw::ioctl(fd, raw::PRIME_FD_TO_HANDLE, &raw mut prime as u64) {
        0 => Ok(prime.handle),
        value => Err(value),
    }
}

/// Text for what must not fail.
pub fn good<T>(result: Result<T, i64>, what: &str) -> Result<T, Fail> {
    result.map_err(|value| format!("{what} gave {}", raw::show(value)).into())
}

impl File {
    /// Makes a buffer, which must succeed.
    pub fn buffer(&self, size: usize) -> Result<u32, Fail> {
        good(
            create(self.raw(), size as u64),
            &format!("create of {size} bytes"),
        )
    }

    /// Maps a whole buffer through the node.
    pub fn map(&self, handle: u32, size: usize) -> Result<Area, Fail> {
        let offset = good(mmap_offset(self.raw(), handle), "mmap offset")?;
        Area::shared(self.raw(), size, offset)
    }

    /// Makes a buffer and maps it.
    pub fn mapped(&self, size: usize) -> Result<(u32, Area), Fail> {
        let handle = self.buffer(size)?;
        Ok((handle, self.map(handle, size)?))
    }

    /// Exports a buffer, which must succeed.
    pub fn export(&self, handle: u32) -> Result<OwnedFd, Fail> {
        good(export(self.raw(), handle), "export")
    }

    /// Imports a dma-buf, which must succeed.
    pub fn import(&self, dma_buf: &OwnedFd) -> Result<u32, Fail> {
        good(import(self.raw(), dma_buf.as_raw_fd()), "import")
    }

    /// Drops a handle, which must succeed.
    pub fn close(&self, handle: u32) -> Result<(), Fail> {
        match close(self.raw(), handle) {
            0 => Ok(()),
            value => Err(format!("close of handle {handle} gave {}", raw::show(value)).into()),
        }
    }
}

/// An area of this process that maps a file. Others may see and change its bytes at any time, so
/// they are only copied, one at a time or in blocks, never borrowed.
#[derive(Debug)]
pub struct Area {
    base: *mut u8,
    length: usize,
}

// SAFETY: The area is plain memory of the process; copies from it may race like those of the DSP.
unsafe impl Send for Area {}
// SAFETY: As above.
unsafe impl Sync for Area {}

impl Area {
    /// mmap() with everything that it takes but the address; the error is an errno.
    pub fn new(
        fd: RawFd,
        length: usize,
        offset: u64,
        protection: i32,
        flags: i32,
    ) -> Result<Self, i32> {
        // SAFETY: A new mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                protection,
                flags,
                fd,
                offset as libc::off_t,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(raw::errno());
        }
        Ok(Area {
            base: base.cast(),
            length,
        })
    }

    /// A shared area for reading and writing, which must succeed.
    pub fn shared(fd: RawFd, length: usize, offset: u64) -> Result<Self, Fail> {
        Area::new(fd, length, offset, RW, libc::MAP_SHARED).map_err(|errno| {
            format!("mmap of {length} bytes at {offset:#x} gave errno {errno}").into()
        })
    }

    /// A shared area on top of whatever is at an address, which belongs to the caller.
    pub fn over(fd: RawFd, length: usize, offset: u64, at: u64) -> Result<Self, i32> {
        // SAFETY: The caller gives a range of its own, usually of an area without access.
        let base = unsafe {
            libc::mmap(
                at as *mut _,
                length,
                RW,
                libc::MAP_SHARED | libc::MAP_FIXED,
                fd,
                offset as libc::off_t,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(raw::errno());
        }
        Ok(Area {
            base: base.cast(),
            length,
        })
    }

    /// Addresses without memory, to put areas on top of.
    pub fn reserve(length: usize) -> Result<Self, i32> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        Area::new(-1, length, 0, libc::PROT_NONE, flags)
    }

    /// Anonymous memory, zeroed, for comparisons.
    pub fn anonymous(length: usize) -> Result<Self, i32> {
        Area::new(-1, length, 0, RW, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
    }

    pub fn address(&self) -> u64 {
        self.base as u64
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// Address of a byte inside.
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.length);
        self.base.wrapping_add(offset)
    }

    /// Copies bytes out.
    pub fn read(&self, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset + length <= self.length);
        let mut bytes = vec![0; length];
        // SAFETY: The source is inside the area, the target is new.
        unsafe {
            ptr::copy_nonoverlapping(self.base.add(offset), bytes.as_mut_ptr(), length);
        }
        bytes
    }

    /// Sets a range to one value.
    pub fn fill(&self, offset: usize, length: usize, value: u8) {
        assert!(offset + length <= self.length);
        // SAFETY: As for write().
        unsafe { ptr::write_bytes(self.base.add(offset), value, length) };
    }

    /// Copies bytes in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length);
        // SAFETY: The target is inside the area, which nothing in this program borrows.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(offset), bytes.len());
        }
    }

    /// A number at an address that is a multiple of 8.
    pub fn word(&self, offset: usize) -> u64 {
        // SAFETY: at() checks the offset; the alignment is the caller's.
        unsafe { self.at(offset).cast::<u64>().read_volatile() }
    }

    /// Stores a number at an address that is a multiple of 8.
    pub fn set_word(&self, offset: usize, value: u64) {
        // SAFETY: As for word().
        unsafe { self.at(offset).cast::<u64>().write_volatile(value) }
    }

    /// Unmaps a part. The area keeps its length; touching the hole raises SIGSEGV.
    pub fn unmap(&self, offset: usize, length: usize) -> Result<(), Fail> {
        assert!(offset + length <= self.length);
        // SAFETY: The part belongs to this area.
        match unsafe { libc::munmap(self.at(offset).cast(), length) } {
            0 => {
                self.guard(offset, length);
                Ok(())
            }
            _ => Err(format!("munmap gave errno {}", raw::errno()).into()),
        }
    }

    /// Unmaps a part and leaves its addresses to whoever comes. Only for programs that are about to
    /// end, since the end of this value unmaps all of its range.
    pub fn punch(&self, offset: usize, length: usize) -> Result<(), Fail> {
        assert!(offset + length <= self.length);
        // SAFETY: The part belongs to this area.
        match unsafe { libc::munmap(self.at(offset).cast(), length) } {
            0 => Ok(()),
            _ => Err(format!("munmap gave errno {}", raw::errno()).into()),
        }
    }

    /// Keeps others from a hole, since the end of this value unmaps all of its range.
    fn guard(&self, offset: usize, length: usize) {
        // SAFETY: Nothing is replaced; if somebody was faster, there is nothing to reserve.
        unsafe {
            libc::mmap(
                self.at(offset).cast(),
                length,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
    }

    /// Changes the protection of a part; the error is an errno.
    pub fn protect(&self, offset: usize, length: usize, protection: i32) -> Result<(), i32> {
        assert!(offset + length <= self.length);
        // SAFETY: The part belongs to this area.
        match unsafe { libc::mprotect(self.at(offset).cast(), length, protection) } {
            0 => Ok(()),
            _ => Err(raw::errno()),
        }
    }

    /// madvise() on a part; the error is an errno.
    pub fn advise(&self, offset: usize, length: usize, advice: i32) -> Result<(), i32> {
        assert!(offset + length <= self.length);
        // SAFETY: The part belongs to this area.
        match unsafe { libc::madvise(self.at(offset).cast(), length, advice) } {
            0 => Ok(()),
            _ => Err(raw::errno()),
        }
    }

    /// mremap() of the whole area to another length, at another place if needed.
    pub fn resize(self, length: usize) -> Result<Self, (Self, i32)> {
        // SAFETY: The area belongs to this value, which is replaced.
        let base =
            unsafe { libc::mremap(self.base.cast(), self.length, length, libc::MREMAP_MAYMOVE) };
        if base == libc::MAP_FAILED {
            return Err((self, raw::errno()));
        }
        std::mem::forget(self);
        Ok(Area {
            base: base.cast(),
            length,
        })
    }

    /// mremap() of a part to a place where it fits; it becomes an area of its own.
    pub fn move_out(&self, offset: usize, length: usize) -> Result<Self, i32> {
        assert!(offset + length <= self.length);
        // Reserve a place first, so that the part surely moves.
        let place = Area::new(
            -1,
            length,
            0,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        )?;
        // SAFETY: Both ranges belong to values of this type; the target is replaced.
        let base = unsafe {
            libc::mremap(
                self.at(offset).cast(),
                length,
                length,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                place.base,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(raw::errno());
        }
        self.guard(offset, length);
        Ok(place)
    }

    /// Writes a number that only this page has to every page.
    pub fn stamp(&self, seed: u64) {
        for page in 0..self.length / PAGE {
            self.set_word(page * PAGE, stamp_of(seed, page));
            self.set_word(page * PAGE + PAGE - 8, !stamp_of(seed, page));
        }
    }

    /// Checks what stamp() wrote, in the pages `first..first + count` of the buffer, which are
    /// at `offset` of the area.
    pub fn check_stamps(
        &self,
        seed: u64,
        offset: usize,
        first: usize,
        count: usize,
    ) -> Result<(), Fail> {
        for n in 0..count {
            let at = offset + n * PAGE;
            let expected = stamp_of(seed, first + n);
            let got = (self.word(at), self.word(at + PAGE - 8));
            if got != (expected, !expected) {
                return Err(format!(
                    "page {} of the buffer at {at:#x} of the area: {:#x} {:#x} instead of {expected:#x}",
                    first + n, got.0, got.1
                )
                .into());
            }
        }
        Ok(())
    }

    /// The first byte that is not zero, if there is one.
    pub fn not_zero(&self) -> Option<(usize, u64)> {
        (0..self.length)
            .step_by(8)
            .map(|at| (at, self.word(at)))
            .find(|(_, word)| *word != 0)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: The range was mapped by this value; holes in it do no harm.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}

/// The number of a page.
fn stamp_of(seed: u64, page: usize) -> u64 {
    ((seed << 32) | page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Runs something in a child made by fork(); what it returned, or the signal that ended it.
pub fn in_child(body: impl FnOnce() -> i32) -> Result<Result<i32, i32>, Fail> {
    // SAFETY: The child runs `body` alone and leaves without running anything of the parent.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(format!("fork: errno {}", raw::errno()).into());
    }
    if pid == 0 {
        let status = body();
        // SAFETY: Leaves at once.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: `status` has room; the child is ours.
    if unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
        return Err(format!("waitpid: errno {}", raw::errno()).into());
    }
    if libc::WIFEXITED(status) {
        Ok(Ok(libc::WEXITSTATUS(status)))
    } else {
        Ok(Err(libc::WTERMSIG(status)))
    }
}

/// What happens to a program that reads a byte: None if nothing does, else the signal.
pub fn read_signal(address: *const u8) -> Result<Option<i32>, Fail> {
    // SAFETY: Only a child reads, which may die of it.
    let end = in_child(|| unsafe {
        address.read_volatile();
        0
    })?;
    Ok(end.err())
}

/// As [`read_signal`], for a byte that is written as it was read.
pub fn write_signal(address: *mut u8) -> Result<Option<i32>, Fail> {
    // SAFETY: Only a child writes, which may die of it; the byte keeps its value.
    let end = in_child(|| unsafe {
        address.write_volatile(address.read_volatile());
        0
    })?;
    Ok(end.err())
}

/// The number of a file's inode: it names a dma-buf.
pub fn inode(fd: RawFd) -> Result<u64, Fail> {
    // SAFETY: All bytes zero is a valid value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` has room for the answer.
    match unsafe { libc::fstat(fd, &mut stat) } {
        0 => Ok(stat.st_ino),
        _ => Err(format!("fstat: errno {}", raw::errno()).into()),
    }
}

/// Size of a file by seeking to its end, as it is done with a dma-buf.
pub fn size_of_fd(fd: RawFd) -> i64 {
    // SAFETY: Takes numbers only.
    unsafe { libc::lseek(fd, 0, libc::SEEK_END) }
}

/// `name: number [unit]` lines; units are those of fdinfo and of meminfo.
fn parse_numbers(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let mut words = rest.split_whitespace();
            let number: u64 = words.next()?.parse().ok()?;
            let unit = match words.next() {
                Some("KiB" | "kB") => 1 << 10,
                Some("MiB") => 1 << 20,
                Some("GiB") => 1 << 30,
                _ => 1,
            };
            Some((name.to_string(), number * unit))
        })
        .collect()
}

/// What the kernel tells about an open file, sizes in bytes.
pub fn fdinfo(fd: RawFd) -> Result<BTreeMap<String, u64>, Fail> {
    let path = format!("/proc/self/fdinfo/{fd}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(parse_numbers(&text))
}

/// One number of fdinfo.
pub fn fdinfo_number(fd: RawFd, key: &str) -> Result<u64, Fail> {
    let found = fdinfo(fd)?;
    found
        .get(key)
        .copied()
        .ok_or_else(|| format!("fdinfo has no {key}: {found:?}").into())
}

/// One number of `/proc/meminfo`, in bytes.
pub fn meminfo(key: &str) -> Result<u64, Fail> {
    parse_numbers(&fs::read_to_string("/proc/meminfo")?)
        .get(key)
        .copied()
        .ok_or_else(|| format!("meminfo has no {key}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        let text = "drm-total-memory:\t12 KiB\nShmem:      7 kB\npos:\t0\nname:\tx\nbig: 3 GiB\n";
        let numbers = parse_numbers(text);
        assert_eq!(numbers["drm-total-memory"], 12 << 10);
        assert_eq!(numbers["Shmem"], 7 << 10);
        assert_eq!(numbers["pos"], 0);
        assert_eq!(numbers["big"], 3 << 30);
        assert!(!numbers.contains_key("name"));
    }

    #[test]
    fn stamps_tell_pages_apart() {
        let area = Area::anonymous(4 * PAGE).unwrap();
        assert_eq!(area.not_zero(), None);
        area.stamp(3);
        assert!(area.check_stamps(3, 0, 0, 4).is_ok());
        assert!(area.check_stamps(3, PAGE, 1, 3).is_ok());
        assert!(area.check_stamps(3, PAGE, 0, 1).is_err());
        assert!(area.check_stamps(4, 0, 0, 1).is_err());
        assert!(area.not_zero().is_some());
    }

    /// Runs a test in a child, where no other test can map something into a hole.
    fn alone(body: impl FnOnce() -> Result<bool, Fail>) {
        let end = in_child(|| match body() {
            Ok(true) => 0,
            _ => 1,
        });
        assert_eq!(end.unwrap(), Ok(0));
    }

    #[test]
    fn a_hole_raises_a_signal() {
        alone(|| {
            let area = Area::anonymous(2 * PAGE).map_err(|errno| errno.to_string())?;
            area.unmap(PAGE, PAGE)?;
            Ok(write_signal(area.at(0))?.is_none()
                && read_signal(area.at(PAGE))? == Some(libc::SIGSEGV))
        });
    }

    #[test]
    fn parts_move() {
        alone(|| {
            let area = Area::anonymous(3 * PAGE).map_err(|errno| errno.to_string())?;
            area.stamp(9);
            let part = area
                .move_out(PAGE, PAGE)
                .map_err(|errno| errno.to_string())?;
            part.check_stamps(9, 0, 1, 1)?;
            Ok(read_signal(area.at(PAGE))? == Some(libc::SIGSEGV))
        });
    }
}
