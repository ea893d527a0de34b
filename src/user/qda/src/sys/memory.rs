// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Memory that somebody else may change at any time.
//!
//! Owns a shared mapping of a buffer. Takes no locks. Made by `buffer`; used by
//! everybody who has one. No Rust reference to the mapped bytes ever exists:
//! they are copied with volatile accesses, because a DSP, a device or another
//! process may write them meanwhile.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::error::{Error, Operation, Result};

/// Bytes that are copied with one access where alignment allows it.
const WORD: usize = size_of::<u64>();

/// Why a range is refused.
const OUTSIDE: Error = Error::Argument("the range is not in the memory");

/// A buffer, mapped into this process: readable and writable, shared with the
/// DSP and with everyone else who has the buffer.
///
/// It depends on nothing: buffer, device and session may be gone, and the DSP
/// too. The bytes are copied in and out, never borrowed. What is read while
/// somebody else writes is some mixture of old and new bytes, and only that.
///
/// If the system cannot find memory for a page that is touched for the first
/// time, the kernel sends SIGBUS, as for every shared mapping.
#[derive(Debug)]
pub struct Memory {
    /// Invariant: `len` bytes from here on are a mapping that this value owns
    /// alone, readable and writable, and stays until it is dropped.
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process and not to a thread.
unsafe impl Send for Memory {}

// SAFETY: through a shared reference the memory is only read, with volatile
// accesses; writing needs an exclusive one. Writers outside of this process or
// through other mappings are what volatile accesses are for.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `len` bytes (not 0) of `fd` from `offset` on.
    pub(crate) fn map(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        // SAFETY: without an address and MAP_FIXED, a new mapping never replaces
        // one that somebody uses.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                offset,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }

    /// Bytes that are mapped.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Address of the mapping, for calls of the old style, which find an argument
    /// by its address.
    pub fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// Where `len` bytes from `offset` on begin, if all of them are mapped.
    fn range(&self, offset: usize, len: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(len) {
            // SAFETY: at most `self.len`, so it stays in the mapping or points
            // right behind it.
            Some(end) if end <= self.len => Ok(unsafe { self.start.add(offset) }),
            _ => Err(OUTSIDE),
        }
    }

    /// Copies bytes from `offset` on to `into`.
    ///
    /// Fails with [`Error::Argument`] if the range is not in the memory.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let start = self.range(offset, into.len())?;
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            // SAFETY: `done` is less than the length of the range.
            let at = unsafe { start.add(done) };
            match rest.first_chunk_mut::<WORD>() {
                Some(word) if at.cast::<u64>().is_aligned() => {
                    // SAFETY: WORD bytes are left in the range, which is mapped,
                    // and `at` is aligned.
                    *word = unsafe { at.cast::<u64>().read_volatile() }.to_ne_bytes();
                    done += WORD;
                }
                _ => {
                    // SAFETY: one byte is left in the range, which is mapped.
                    rest[0] = unsafe { at.read_volatile() };
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// Copies `from` to the memory, from `offset` on.
    ///
    /// Fails with [`Error::Argument`] if the range is not in the memory; then
    /// nothing is written.
    pub fn write_at(&mut self, offset: usize, from: &[u8]) -> Result<()> {
        let start = self.range(offset, from.len())?;
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            // SAFETY: `done` is less than the length of the range.
            let at = unsafe { start.add(done) };
            match rest.first_chunk::<WORD>() {
                Some(word) if at.cast::<u64>().is_aligned() => {
                    // SAFETY: WORD bytes are left in the range, which is mapped
                    // for writing, and `at` is aligned.
                    unsafe { at.cast::<u64>().write_volatile(u64::from_ne_bytes(*word)) };
                    done += WORD;
                }
                _ => {
                    // SAFETY: one byte is left in the range, which is mapped for
                    // writing.
                    unsafe { at.write_volatile(rest[0]) };
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// Copies `len` bytes from `offset` on to a new vector.
    pub fn to_vec(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        // Before memory is asked for: `len` may be anything.
        self.range(offset, len)?;
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Sets `len` bytes from `offset` on to `byte`.
    pub fn fill(&mut self, offset: usize, len: usize, byte: u8) -> Result<()> {
        self.range(offset, len)?;
        let part = [byte; 4096];
        for done in (0..len).step_by(part.len()) {
            let now = part.len().min(len - done);
            self.write_at(offset + done, &part[..now])?;
        }
        Ok(())
    }

    /// The aligned address of a word at `offset`.
    fn word<T>(&self, offset: usize) -> Result<NonNull<T>> {
        let at = self.range(offset, size_of::<T>())?.cast::<T>();
        if !at.is_aligned() {
            return Err(Error::Argument("the offset is not a multiple of the size"));
        }
        Ok(at)
    }

    /// The little-endian word at `offset`, a multiple of 4, read at once.
    pub fn read_u32(&self, offset: usize) -> Result<u32> {
        // SAFETY: `word` gives aligned addresses of mapped words.
        Ok(u32::from_le(unsafe {
            self.word::<u32>(offset)?.read_volatile()
        }))
    }

    /// Writes a little-endian word at `offset`, a multiple of 4, at once.
    pub fn write_u32(&mut self, offset: usize, value: u32) -> Result<()> {
        // SAFETY: `word` gives aligned addresses of words mapped for writing.
        unsafe { self.word::<u32>(offset)?.write_volatile(value.to_le()) };
        Ok(())
    }

    /// The little-endian word at `offset`, a multiple of 8, read at once.
    pub fn read_u64(&self, offset: usize) -> Result<u64> {
        // SAFETY: `word` gives aligned addresses of mapped words.
        Ok(u64::from_le(unsafe {
            self.word::<u64>(offset)?.read_volatile()
        }))
    }

    /// Writes a little-endian word at `offset`, a multiple of 8, at once.
    pub fn write_u64(&mut self, offset: usize, value: u64) -> Result<()> {
        // SAFETY: `word` gives aligned addresses of words mapped for writing.
        unsafe { self.word::<u64>(offset)?.write_volatile(value.to_le()) };
        Ok(())
    }

    /// Unmaps the memory and says whether that worked. Dropping it does the same
    /// without a word.
    pub fn unmap(self) -> Result<()> {
        let outcome = self.release();
        std::mem::forget(self);
        outcome.map_err(Error::os(Operation::MapBuffer))
    }

    fn release(&self) -> io::Result<()> {
        // SAFETY: by the invariant this is a mapping of ours. Both callers give
        // up the value, and nothing borrows from it.
        unsafe { munmap(self.start.as_ptr().cast(), self.len) }.map_err(Into::into)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Fails only if the kernel has no memory to split an area; then it stays.
        let _ = self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    const PAGE: usize = 4096;

    /// A file of one page and two mappings of it.
    fn twice() -> (Memory, Memory) {
        let file = rustix::fs::memfd_create("qda-test", rustix::fs::MemfdFlags::CLOEXEC)
            .expect("a file in memory");
        rustix::fs::ftruncate(&file, PAGE as u64).expect("a page");
        let map = || Memory::map(file.as_fd(), 0, PAGE).expect("a mapping");
        (map(), map())
    }

    #[test]
    fn every_alignment_and_length_is_copied_whole() {
        let (mut writer, reader) = twice();
        let pattern: Vec<u8> = (0..64).map(|n| n as u8 ^ 0x5a).collect();
        for offset in 0..17 {
            for len in 0..33 {
                writer.fill(0, 128, 0xee).unwrap();
                writer.write_at(offset, &pattern[..len]).unwrap();
                let all = reader.to_vec(0, 128).unwrap();
                assert_eq!(&all[offset..offset + len], &pattern[..len]);
                let around = all[..offset].iter().chain(&all[offset + len..]);
                assert!(around.copied().all(|byte| byte == 0xee), "{offset} {len}");
                assert_eq!(reader.to_vec(offset, len).unwrap(), &pattern[..len]);
            }
        }
    }

    #[test]
    fn ranges_end_at_the_end_of_the_memory() {
        let (mut memory, _) = twice();
        assert!(memory.write_at(PAGE - 3, b"end").is_ok());
        assert_eq!(memory.to_vec(PAGE - 3, 3).unwrap(), b"end");
        assert!(memory.read_at(PAGE, &mut []).is_ok());
        for (offset, len) in [
            (PAGE - 3, 4),
            (PAGE, 1),
            (PAGE + 1, 0),
            (usize::MAX, 1),
            (usize::MAX, 2),
            (1, usize::MAX),
        ] {
            assert!(memory.to_vec(offset, len).is_err(), "{offset} {len}");
            assert!(memory.fill(offset, len, 0).is_err(), "{offset} {len}");
        }
        assert!(memory.write_at(PAGE - 3, b"past").is_err());
        assert_eq!(memory.to_vec(PAGE - 3, 3).unwrap(), b"end", "untouched");
        assert!(memory.read_u32(PAGE - 2).is_err());
        assert!(memory.write_u64(PAGE - 4, 0).is_err());
    }

    #[test]
    fn filling_goes_over_its_own_parts() {
        let (mut writer, reader) = twice();
        writer.fill(1, PAGE - 2, 7).unwrap();
        let all = reader.to_vec(0, PAGE).unwrap();
        assert_eq!((all[0], all[PAGE - 1]), (0, 0));
        assert!(all[1..PAGE - 1].iter().all(|&byte| byte == 7));
    }

    #[test]
    fn words_are_little_endian_and_aligned() {
        let (mut writer, reader) = twice();
        writer.write_u32(4, 0x0102_0304).unwrap();
        writer.write_u64(8, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(
            reader.to_vec(4, 12).unwrap(),
            [4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1]
        );
        assert_eq!(reader.read_u32(4).unwrap(), 0x0102_0304);
        assert_eq!(reader.read_u64(8).unwrap(), 0x0102_0304_0506_0708);
        assert!(reader.read_u32(2).is_err());
        assert!(reader.read_u64(4).is_err());
        assert!(writer.write_u32(1, 0).is_err());
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let (memory, _) = twice();
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .expect("a device that has no memory");
        let error = Memory::map(null.as_fd(), 0, PAGE).expect_err("nothing to map");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        memory.unmap().expect("our own mapping");
    }
}
