// SPDX-License-Identifier: GPL-2.0
//! Faults on demand: the n-th thing that may fail in this thread fails.
//!
//! The kernel counts allocations of slab objects and pages and copies from and to user memory, and
//! lets the n-th of them fail (`/proc/thread-self/fail-nth`). What counts is set up by the script
//! of the suite.

use std::os::fd::{
    AsRawFd,
    OwnedFd,
    RawFd, //
};
use std::path::Path;

use crate::dsp;
use crate::ensure;
use crate::harness::Fail;
use crate::raw;

/// Set to `N` by the script of the suite: allocations that may sleep count, too.
const SETTING: &str = "/sys/kernel/debug/failslab/ignore-gfp-wait";

/// The counter of a thread.
pub struct Faults {
    file: OwnedFd,
}

impl Faults {
    /// The counter of the calling thread, for this thread alone.
    pub fn of_this_thread() -> Result<Self, Fail> {
        let setting = std::fs::read_to_string(SETTING)
            .map_err(|error| Fail::Skip(format!("{SETTING}: {error}")))?;
        ensure!(setting.trim() == "N", "{SETTING} is {setting:?}");
        let path = Path::new("/proc/thread-self/fail-nth");
        dsp::open_with(path, libc::O_RDWR | libc::O_CLOEXEC)
            .map(|file| Faults { file })
            .map_err(|errno| format!("{}: errno {errno}", path.display()).into())
    }

    /// Runs `body`, in which the n-th fault happens; its value, and whether it went so far.
    ///
    /// `body` should do one system call and not allocate: that would count.
    pub fn inject<T>(&self, n: u32, body: impl FnOnce() -> T) -> Result<(T, bool), Fail> {
        let text = n.to_string();
        ensure!(
            write(self.file.as_raw_fd(), text.as_bytes()),
            "fail-nth does not take {n}: errno {}",
            raw::errno()
        );
        let value = body();
        // Both calls copy, so they count as well: reading may fail if one fault is left, writing
        // if two are.
        let mut left = [0u8; 16];
        // SAFETY: The buffer has room for its length.
        let got = unsafe {
            libc::pread(
                self.file.as_raw_fd(),
                left.as_mut_ptr().cast(),
                left.len(),
                0,
            )
        };
        let stopped = (0..3).any(|_| write(self.file.as_raw_fd(), b"0"));
        ensure!(stopped, "fail-nth cannot be stopped");
        Ok((value, got > 0 && left[0] == b'0'))
    }
}

/// Writes a small text to the begin of a file; false if that fails.
fn write(fd: RawFd, text: &[u8]) -> bool {
    // SAFETY: The bytes are valid for their length.
    let written = unsafe { libc::pwrite(fd, text.as_ptr().cast(), text.len(), 0) };
    written == text.len() as isize
}
