// SPDX-License-Identifier: GPL-2.0
//! The memory that fuzzed requests point to.
//!
//! The kernel writes outputs wherever a request says. So everything that a request may name lies at
//! fixed addresses far from the program's own memory, with nothing around it: a spoilt address hits
//! another part of the ground, or nothing, but never the fuzzer.

use std::ptr;

use crate::harness::Fail;
use crate::mem::PAGE;
use crate::raw;

/// Where the grounds of threads lie. No single wrong bit, and no wrong half, leads from here to
/// where programs have their memory.
const GROUNDS: u64 = 0x18_c000_0000;
/// Bytes from one ground to the next.
const STRIDE: u64 = 0x100_0000;
/// Where buffers are mapped.
const WINDOWS: u64 = 0x28_8000_0000;
/// Bytes from one window to the next.
const WINDOW: u64 = 0x1000_0000;
/// Number of windows.
pub const WINDOW_COUNT: u64 = 7;

/// Bytes for data.
pub const DATA: u64 = 256 << 10;
/// Where read-only pages begin; an unmapped one follows them.
const READ_ONLY: u64 = DATA;
const READ_ONLY_SIZE: u64 = 4 * PAGE as u64;
/// Where structures are put; behind it is nothing.
const DESK: u64 = READ_ONLY + READ_ONLY_SIZE + PAGE as u64;
const DESK_SIZE: u64 = 64 << 10;

/// The ground of one thread.
#[derive(Clone, Copy)]
pub struct Ground {
    base: u64,
}

fn map(at: u64, length: u64, protection: i32, flags: i32, fd: i32, offset: u64) -> Result<(), i32> {
    // SAFETY: The fixed addresses above are used by this file alone; what is replaced there is
    // plain memory of the fuzzer, which nothing borrows.
    let got = unsafe {
        libc::mmap(
            at as *mut _,
            length as usize,
            protection,
            flags,
            fd,
            offset as libc::off_t,
        )
    };
    match got {
        libc::MAP_FAILED => Err(raw::errno()),
        got if got as u64 == at => Ok(()),
        _ => Err(libc::EEXIST),
    }
}

impl Ground {
    /// Lays out the ground of thread `number`; once more, and all is as at first.
    pub fn new(number: u64) -> Result<Self, Fail> {
        let ground = Ground {
            base: GROUNDS + number * STRIDE,
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let write = libc::PROT_READ | libc::PROT_WRITE;
        for (at, length, protection) in [
            (0, DATA, write),
            (READ_ONLY, READ_ONLY_SIZE, libc::PROT_READ),
            (DESK, DESK_SIZE, write),
        ] {
            map(ground.base + at, length, protection, flags, -1, 0)
                .map_err(|errno| format!("laying out the ground: errno {errno}"))?;
        }
        Ok(ground)
    }

    /// The first byte for data.
    pub fn data(&self) -> u64 {
        self.base
    }

    /// The first byte of the read-only pages.
    pub fn read_only(&self) -> u64 {
        self.base + READ_ONLY
    }

    /// The first byte behind everything.
    pub fn end(&self) -> u64 {
        self.base + DESK + DESK_SIZE
    }

    /// Puts bytes where data lies; others may unmap that at any time, so the kernel copies them.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        store(self.base + offset, bytes);
    }

    /// Puts a structure on the desk: place 0 to 2, or at its very end.
    pub fn desk(&self, place: u64, bytes: &[u8], at_end: bool) -> u64 {
        let at = match at_end {
            true => self.end() - bytes.len() as u64,
            false => self.base + DESK + place * (16 << 10),
        };
        store(at, bytes);
        at
    }

    /// What lies at an address of the ground; zeros if nothing does.
    pub fn get(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        load(at, &mut bytes);
        bytes
    }

    /// What another thread does to the data of this one: pages become read-only, vanish, come
    /// back, are dropped.
    pub fn shake(&self, what: u64, page: u64, count: u64) {
        let at = self.base + page % (DATA / PAGE as u64) * PAGE as u64;
        let length = (count % 8 + 1) * PAGE as u64;
        let length = length.min(self.base + DATA - at);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let write = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: As for map().
        unsafe {
            match what % 5 {
                0 => libc::munmap(at as *mut _, length as usize),
                1 => libc::mprotect(at as *mut _, length as usize, libc::PROT_READ),
                2 => libc::mprotect(at as *mut _, length as usize, libc::PROT_NONE),
                3 => libc::madvise(at as *mut _, length as usize, libc::MADV_DONTNEED),
                _ => map(at, length, write, flags, -1, 0).map_or(-1, |()| 0),
            }
        };
    }
}

/// One end of a copy that this process makes with itself through the kernel: what is not mapped is
/// left out, and no signal comes.
fn vector(at: u64, length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: at as *mut _,
        iov_len: length,
    }
}

fn store(at: u64, bytes: &[u8]) {
    let from = vector(bytes.as_ptr() as u64, bytes.len());
    let to = vector(at, bytes.len());
    // SAFETY: The target is ground or a window, which nothing borrows.
    unsafe { libc::process_vm_writev(libc::getpid(), &from, 1, &to, 1, 0) };
}

fn load(at: u64, bytes: &mut [u8]) {
    let to = vector(bytes.as_mut_ptr() as u64, bytes.len());
    let from = vector(at, bytes.len());
    // SAFETY: `bytes` is borrowed for writing.
    unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
}

/// Maps a file into window `number`, in place of what is there; its address.
pub fn open_window(
    number: u64,
    fd: i32,
    length: u64,
    offset: u64,
    protection: i32,
    flags: i32,
) -> Result<u64, i32> {
    let at = WINDOWS + number % WINDOW_COUNT * WINDOW;
    if length > WINDOW / 2 {
        return Err(libc::ENOMEM);
    }
    map(at, length, protection, flags | libc::MAP_FIXED, fd, offset).map(|()| at)
}

/// Unmaps a part of a window.
pub fn close_window(at: u64, length: u64) {
    // SAFETY: As for map(); the caller gives a range of a window.
    unsafe { libc::munmap(at as *mut _, length as usize) };
}

/// Unmaps all of a window.
pub fn clear_window(number: u64) {
    close_window(WINDOWS + number * WINDOW, WINDOW);
}

/// Unmaps a page somewhere near the begin of a window.
pub fn close_window_pages(any: u64) {
    let page = (any >> 8) % 32 * PAGE as u64;
    close_window(WINDOWS + any % WINDOW_COUNT * WINDOW + page, PAGE as u64);
}

/// Has the CPU read and write bytes of a window, through a file, in a way that raises no signal.
pub fn touch(memfd: i32, at: u64) {
    // SAFETY: The kernel checks the address; windows are borrowed by nobody.
    unsafe {
        libc::pwrite(memfd, at as *const _, 8, 0);
        libc::pread(memfd, at as *mut _, 8, 0);
    }
}

/// A page that forked processes share, zeroed.
pub fn shared_page<T>() -> Result<&'static T, Fail> {
    assert!(size_of::<T>() <= PAGE);
    // SAFETY: A new mapping at an address that the kernel chooses.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(format!("mmap: errno {}", raw::errno()).into());
    }
    // SAFETY: The page stays for ever; callers name types of atomic numbers, for which zeros are
    // valid.
    Ok(unsafe { &*at.cast::<T>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the grounds are fixed addresses of the process.
    #[test]
    fn a_ground_has_edges() {
        let ground = Ground::new(3).unwrap();
        ground.put(5, b"abc");
        assert_eq!(ground.get(ground.data() + 5, 3), b"abc");
        store(ground.read_only(), b"x");
        assert_eq!(ground.get(ground.read_only(), 1), [0]);
        let at = ground.desk(1, &[7; 40], true);
        assert_eq!(at + 40, ground.end());
        assert_eq!(ground.get(at, 40), [7; 40]);
        ground.shake(0, 0, 0);
        assert_eq!(ground.get(ground.data() + 5, 3), [0; 3]);
        assert_eq!(open_window(0, -1, WINDOW, 0, 0, 0), Err(libc::ENOMEM));
    }
}
