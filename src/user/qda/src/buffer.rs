// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Buffers: memory that CPU and DSP share without copying.
//!
//! A [`Buffer`] owns a GEM handle of an open device and, if it was imported, the
//! dma-buf. Handles are counted in `device`; see `sys::gem` for the lock.

use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use crate::device::Device;
use crate::error::{Error, Operation, Result};
use crate::session::Session;
use crate::sys::gem;
use crate::sys::memory::Memory;

/// A buffer that DSP and CPU share: an argument of [`crate::Call`]s that is never
/// copied, and memory for [`crate::RemoteMapping`]s.
///
/// The CPU gets at the bytes through [`Buffer::map`]. A buffer can be passed to
/// another process or device as a dma-buf ([`Buffer::export`]) and taken from one
/// ([`Device::import`]).
///
/// Dropping it closes the handle. The memory lives on while a [`Memory`], a
/// dma-buf, a call or the DSP uses it.
///
/// ```no_run
/// # fn main() -> qda::Result<()> {
/// use qda::{Device, Module, ProcessOptions};
///
/// let session = Device::find("cdsp")?.create_process(&ProcessOptions::new())?;
/// let module = Module::open(
///     &session,
///     "file:///libecho_skel.so?echo_skel_handle_invoke&_modver=1.0",
/// )?;
/// let (from, to) = (session.create_buffer(1 << 20)?, session.create_buffer(1 << 20)?);
/// from.map()?.write_at(0, b"hello")?;
/// module
///     .call(2)
///     .input_buffer(&from, ..)
///     .output_buffer(&to, ..)
///     .run()?;
/// assert_eq!(to.map()?.to_vec(0, 5)?, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Buffer<'d> {
    device: &'d Device,
    handle: u32,
    len: u64,
    /// Of an import, the dma-buf. Else an export, made when it was needed first.
    dma_buf: OnceLock<OwnedFd>,
    imported: bool,
}

impl Device {
    /// Makes a buffer of `size` bytes, filled with zeroes. Nothing is sent to the
    /// DSP, and no process is needed.
    ///
    /// Errno of [`Error::Os`]: EINVAL (size 0), E2BIG (above the limit of one
    /// buffer), ENOSPC (above the limit of one open device), ENOMEM, ENODEV.
    pub fn create_buffer(&self, size: u64) -> Result<Buffer<'_>> {
        let handle = self
            .handles()
            .take(|| gem::create(self.as_fd(), size))
            .map_err(Error::os(Operation::CreateBuffer))?;
        Ok(Buffer {
            device: self,
            handle,
            len: size,
            dma_buf: OnceLock::new(),
            imported: false,
        })
    }

    /// Makes a dma-buf of any device usable for this DSP. The descriptor may be
    /// closed afterwards. A dma-buf that this node exported is the same buffer
    /// again.
    ///
    /// Errno of [`Error::Os`]: EBADF or EINVAL (not a dma-buf), ENOMEM, ENODEV.
    /// Whether the DSP can use it is seen when a call does.
    pub fn import(&self, dma_buf: impl AsFd) -> Result<Buffer<'_>> {
        let failed = |source| Error::Os {
            operation: Operation::Import,
            source,
        };
        let fd = dma_buf.as_fd().try_clone_to_owned().map_err(failed)?;
        let handle = self
            .handles()
            .take(|| gem::import(self.as_fd(), fd.as_fd()))
            .map_err(failed)?;
        let mut buffer = Buffer {
            device: self,
            handle,
            len: 0,
            dma_buf: OnceLock::from(fd),
            imported: true,
        };
        buffer.len = size_of_dma_buf(buffer.dma_buf()?).map_err(failed)?;
        Ok(buffer)
    }
}

impl Session {
    /// As [`Device::create_buffer`].
    pub fn create_buffer(&self, size: u64) -> Result<Buffer<'_>> {
        self.device().create_buffer(size)
    }

    /// As [`Device::import`].
    pub fn import(&self, dma_buf: impl AsFd) -> Result<Buffer<'_>> {
        self.device().import(dma_buf)
    }
}

/// A dma-buf tells its size as the place of its end.
fn size_of_dma_buf(fd: BorrowedFd<'_>) -> std::io::Result<u64> {
    Ok(rustix::fs::seek(fd, rustix::fs::SeekFrom::End(0))?)
}

impl Buffer<'_> {
    /// Bytes: as many as were asked for, or all of an imported dma-buf.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The GEM handle, a number of the open device.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// The open device that this buffer belongs to.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// Maps the whole buffer for the CPU. The mapping is independent of the
    /// buffer, and each one is a new one.
    ///
    /// Errno of [`Error::Os`]: ENOMEM, ENODEV (the DSP is gone; or an imported
    /// dma-buf that the CPU cannot access), EACCES (imported read-only).
    pub fn map(&self) -> Result<Memory> {
        let len = usize::try_from(self.len)
            .map_err(|_| Error::Argument("the buffer does not fit the address space"))?;
        let mapped = if self.imported {
            Memory::map(self.dma_buf()?, 0, len)
        } else {
            gem::mmap_offset(self.device.as_fd(), self.handle)
                .and_then(|offset| Memory::map(self.device.as_fd(), offset, len))
        };
        mapped.map_err(Error::os(Operation::MapBuffer))
    }

    /// A dma-buf of this buffer, for other processes and devices. It keeps the
    /// memory alive; it is closed when this process executes another program.
    pub fn export(&self) -> Result<OwnedFd> {
        gem::export(self.device.as_fd(), self.handle).map_err(Error::os(Operation::Export))
    }

    /// The dma-buf that stands for this buffer within this crate.
    fn dma_buf(&self) -> Result<BorrowedFd<'_>> {
        if let Some(fd) = self.dma_buf.get() {
            return Ok(fd.as_fd());
        }
        let fd = self.export()?;
        // If another thread was faster, its descriptor is as good as this one.
        Ok(self.dma_buf.get_or_init(|| fd).as_fd())
    }

    /// Begins an access of the CPU to the buffer between two calls, which ends
    /// with the guard: on DSPs that do not see the CPU's caches, what is needed
    /// happens here. Not necessary for buffers of [`Device::create_buffer`] that
    /// only calls use; harmless everywhere. Nested and concurrent accesses are
    /// fine.
    pub fn begin_access(&self, access: Access) -> Result<AccessGuard<'_>> {
        let dma_buf = self.dma_buf()?;
        let flags = access.flags();
        gem::sync(dma_buf, flags).map_err(Error::os(Operation::Sync))?;
        Ok(AccessGuard { dma_buf, flags })
    }

    /// The range as offset and length, if all of it is in the buffer.
    pub(crate) fn range(&self, range: impl RangeBounds<u64>) -> Result<(u64, u64)> {
        part_of(self.len, range).ok_or(Error::Argument(
            "the range of an argument is not in its buffer",
        ))
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.device.handles().give_back(self.handle, |handle| {
            gem::close(self.device.as_fd(), handle)
        });
    }
}

/// Offset and length of `range` in something of `len` bytes.
fn part_of(len: u64, range: impl RangeBounds<u64>) -> Option<(u64, u64)> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.checked_add(1)?,
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    if end > len {
        return None;
    }
    Some((start, end.checked_sub(start)?))
}

/// What the CPU is going to do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    Read,
    /// It only writes.
    Write,
    /// It reads and writes.
    ReadWrite,
}

impl Access {
    fn flags(self) -> u64 {
        match self {
            Self::Read => gem::SYNC_READ,
            Self::Write => gem::SYNC_WRITE,
            Self::ReadWrite => gem::SYNC_READ | gem::SYNC_WRITE,
        }
    }
}

/// An access of the CPU that is under way. Ends when it is dropped; use
/// [`AccessGuard::end`] to learn whether that worked.
#[derive(Debug)]
#[must_use = "the access ends when the guard is dropped"]
pub struct AccessGuard<'b> {
    dma_buf: BorrowedFd<'b>,
    flags: u64,
}

impl AccessGuard<'_> {
    /// Ends the access.
    pub fn end(self) -> Result<()> {
        let outcome = self.finish();
        std::mem::forget(self);
        outcome.map_err(Error::os(Operation::Sync))
    }

    fn finish(&self) -> std::io::Result<()> {
        gem::sync(self.dma_buf, self.flags | gem::SYNC_END)
    }
}

impl Drop for AccessGuard<'_> {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.finish();
    }
}

#[cfg(test)]
impl<'d> Buffer<'d> {
    /// A buffer that the kernel knows nothing of.
    pub(crate) fn fake(device: &'d Device, handle: u32, len: u64) -> Self {
        device.handles().take(|| Ok(handle)).expect("a number");
        Self {
            device,
            handle,
            len,
            dma_buf: OnceLock::new(),
            imported: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_was_done_with_the_buffer() {
        let device = Device::fake();
        let failed = |error: Error, text: &str| {
            assert_eq!(error.errno(), Some(libc::ENOTTY));
            assert!(error.to_string().starts_with(text), "{error}");
        };
        failed(device.create_buffer(1).unwrap_err(), "making a buffer");
        failed(device.import(&device).unwrap_err(), "importing a dma-buf");
        let buffer = Buffer::fake(&device, 1, 4096);
        failed(buffer.map().unwrap_err(), "mapping a buffer");
        failed(buffer.export().unwrap_err(), "exporting a buffer");
        let access = buffer.begin_access(Access::Read);
        failed(access.unwrap_err(), "exporting a buffer");
    }

    #[test]
    fn ranges_of_all_forms_are_understood() {
        assert_eq!(part_of(10, ..), Some((0, 10)));
        assert_eq!(part_of(10, 3..), Some((3, 7)));
        assert_eq!(part_of(10, ..4), Some((0, 4)));
        assert_eq!(part_of(10, 3..4), Some((3, 1)));
        assert_eq!(part_of(10, 3..=4), Some((3, 2)));
        assert_eq!(part_of(10, 10..), Some((10, 0)));
        assert_eq!(
            part_of(10, (Bound::Excluded(3), Bound::Included(9))),
            Some((4, 6))
        );
    }

    #[test]
    fn ranges_that_leave_the_buffer_are_refused() {
        assert_eq!(part_of(10, 0..11), None);
        assert_eq!(part_of(10, ..=10), None);
        assert_eq!(part_of(10, 11..), None);
        assert_eq!(part_of(10, ..=u64::MAX), None);
        assert_eq!(
            part_of(10, (Bound::Excluded(u64::MAX), Bound::Unbounded)),
            None
        );
        #[allow(clippy::reversed_empty_ranges, reason = "that is the point")]
        let reversed = part_of(10, 5..4);
        assert_eq!(reversed, None);
        // Beyond 4 GiB nothing is cut off.
        assert_eq!(part_of(1 << 33, 1 << 32..), Some((1 << 32, 1 << 32)));
    }

    #[test]
    fn accesses_have_the_flags_of_the_kernel() {
        assert_eq!(Access::Read.flags(), 1);
        assert_eq!(Access::Write.flags(), 2);
        assert_eq!(Access::ReadWrite.flags(), 3);
        assert_eq!(gem::SYNC_END, 4);
    }
}
