// SPDX-License-Identifier: GPL-2.0
//! User memory with edges: pages next to an unmapped one, read-only pages, bad addresses.

use std::io;
use std::ptr;

pub const PAGE: usize = 4096;

/// Addresses that no program owns, for every pointer field of the interface.
///
/// NULL, a low address, the last user page, addresses between the two halves, a tagged address,
/// the linear map, the vmalloc area and the very end.
pub const BAD_ADDRESSES: &[u64] = &[
    0,
    8,
    0x0000_ffff_ffff_f000,
    0x0001_0000_0000_0000,
    0x0080_0000_0000_0000,
    0x5a00_0000_0040_0000,
    0x7fff_ffff_ffff_f000,
    0x8000_0000_0000_0000,
    0xffff_0000_0000_0000,
    0xffff_8000_8000_0000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_fff8,
];

/// An anonymous mapping followed by a page that cannot be touched.
pub struct Area {
    base: *mut u8,
    pages: usize,
}

impl Area {
    /// Maps `pages` pages and a guard page behind them.
    pub fn new(pages: usize) -> io::Result<Self> {
        // SAFETY: A new mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                (pages + 1) * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let area = Area {
            base: base.cast(),
            pages,
        };
        area.protect_from(pages, 1, libc::PROT_NONE)?;
        Ok(area)
    }

    /// Changes the protection of some pages.
    fn protect_from(&self, first: usize, count: usize, protection: i32) -> io::Result<()> {
        // SAFETY: The pages belong to this area; nothing else refers to them.
        let result =
            unsafe { libc::mprotect(self.base.add(first * PAGE).cast(), count * PAGE, protection) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Makes all pages read-only.
    pub fn read_only(&self) -> io::Result<()> {
        self.protect_from(0, self.pages, libc::PROT_READ)
    }

    /// The bytes before the guard page.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: The pages are mapped and belong to this area alone. Callers do not ask for
        // them after read_only().
        unsafe { std::slice::from_raw_parts_mut(self.base, self.pages * PAGE) }
    }

    /// Address of the first byte.
    pub fn start(&self) -> u64 {
        self.base as u64
    }

    /// Address of the guard page.
    pub fn end(&self) -> u64 {
        self.start() + (self.pages * PAGE) as u64
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: Mapped by new() with this size.
        unsafe { libc::munmap(self.base.cast(), (self.pages + 1) * PAGE) };
    }
}

/// The bytes of a value that lives in user memory, to place it at an edge.
pub fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: The types used here are plain numbers without padding.
    unsafe { std::slice::from_raw_parts(ptr::from_ref(value).cast(), size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_ends_at_a_page() {
        let mut area = Area::new(2).unwrap();
        area.bytes()[2 * PAGE - 1] = 7;
        assert_eq!(area.end() - area.start(), 2 * PAGE as u64);
        assert_eq!(area.end() % PAGE as u64, 0);
    }

    #[test]
    fn bytes_of_a_number() {
        assert_eq!(bytes_of(&0x0102_0304u32.to_be()), [1, 2, 3, 4]);
    }
}
