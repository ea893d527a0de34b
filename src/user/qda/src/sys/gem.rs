// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Buffer objects: their ioctls, their handles, their dma-bufs.
//!
//! Owns the number of users of each GEM handle of an open file. [`Handles`] has a
//! mutex, which is held across the system calls that make and close handles; no
//! other lock is taken meanwhile. Called by `buffer`.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use qda_uapi as uapi;

use super::{ioctl, must_be_zero};

/// The GEM handles of an open file and how often each is in use.
///
/// The kernel gives the same handle again when a buffer is imported that the file
/// has already, and one GEM_CLOSE ends it for all.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<HashMap<u32, usize>>);

impl Handles {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        // Numbers only: they are right also when a thread panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the handle that `make` gives. Nobody closes it meanwhile.
    pub(crate) fn take(&self, make: impl FnOnce() -> io::Result<u32>) -> io::Result<u32> {
        let mut users = self.lock();
        let handle = make()?;
        *users.entry(handle).or_insert(0) += 1;
        Ok(handle)
    }

    /// Counts one user less, and calls `close` when it was the last.
    pub(crate) fn give_back(&self, handle: u32, close: impl FnOnce(u32)) {
        let mut users = self.lock();
        if let Some(count) = users.get_mut(&handle) {
            *count -= 1;
            if *count == 0 {
                users.remove(&handle);
                close(handle);
            }
        }
    }
}

/// GEM_CREATE: a handle of a new object of at least `size` bytes.
pub(crate) fn create(fd: BorrowedFd<'_>, size: u64) -> io::Result<u32> {
    let mut argument = uapi::drm_qda_gem_create {
        size,
        ..Default::default()
    };
    // SAFETY: GEM_CREATE takes a drm_qda_gem_create, which holds no addresses.
    let result = unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_GEM_CREATE, &mut argument) }?;
    must_be_zero(result)?;
    Ok(argument.handle)
}

/// GEM_MMAP_OFFSET: where to map an object that GEM_CREATE made.
pub(crate) fn mmap_offset(fd: BorrowedFd<'_>, handle: u32) -> io::Result<u64> {
    let mut argument = uapi::drm_qda_gem_mmap_offset {
        handle,
        ..Default::default()
    };
    // SAFETY: the ioctl takes a drm_qda_gem_mmap_offset, which holds no addresses.
    let result = unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_GEM_MMAP_OFFSET, &mut argument) }?;
    must_be_zero(result)?;
    Ok(argument.offset)
}

/// PRIME_HANDLE_TO_FD: a dma-buf of the object, closed on exec, mappable for
/// writing.
pub(crate) fn export(fd: BorrowedFd<'_>, handle: u32) -> io::Result<OwnedFd> {
    let flags = (libc::O_CLOEXEC | libc::O_RDWR) as u32;
    let prime = drm_ffi::gem::handle_to_fd(fd, handle, flags)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(prime.fd) })
}

/// PRIME_FD_TO_HANDLE.
pub(crate) fn import(fd: BorrowedFd<'_>, dma_buf: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(drm_ffi::gem::fd_to_handle(fd, dma_buf)?.handle)
}

/// GEM_CLOSE. Fails only if the handle or the device is gone, and then there is
/// nothing to close.
pub(crate) fn close(fd: BorrowedFd<'_>, handle: u32) {
    let _ = drm_ffi::gem::close(fd, handle);
}

/// Number and argument of DMA_BUF_IOCTL_SYNC: one word of flags.
const DMA_BUF_IOCTL_SYNC: u32 = 0x4008_6200;
pub(crate) const SYNC_READ: u64 = 1 << 0;
pub(crate) const SYNC_WRITE: u64 = 1 << 1;
pub(crate) const SYNC_END: u64 = 1 << 2;

/// DMA_BUF_IOCTL_SYNC on a dma-buf. A signal or a busy exporter do not end it.
pub(crate) fn sync(dma_buf: BorrowedFd<'_>, flags: u64) -> io::Result<()> {
    loop {
        let mut argument = flags;
        // SAFETY: DMA_BUF_IOCTL_SYNC takes a structure of one u64, which is no
        // address.
        match unsafe { ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &mut argument) } {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) => {}
            outcome => return outcome.and_then(must_be_zero),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    /// A handle that came twice is closed once, by its last user.
    #[test]
    fn the_last_user_closes_a_handle() {
        let handles = Handles::default();
        let mut closed = Vec::new();
        assert_eq!(handles.take(|| Ok(5)).unwrap(), 5);
        assert_eq!(handles.take(|| Ok(5)).unwrap(), 5);
        assert_eq!(handles.take(|| Ok(6)).unwrap(), 6);
        handles.give_back(5, |handle| closed.push(handle));
        assert!(closed.is_empty());
        handles.give_back(6, |handle| closed.push(handle));
        assert_eq!(closed, [6]);
        handles.give_back(5, |handle| closed.push(handle));
        assert_eq!(closed, [6, 5]);
        handles.give_back(5, |_| panic!("closed twice"));
    }

    #[test]
    fn a_handle_that_was_not_made_is_not_counted() {
        let handles = Handles::default();
        let error = handles.take(|| Err(io::ErrorKind::OutOfMemory.into()));
        assert!(error.is_err() && handles.lock().is_empty());
    }

    #[test]
    fn errno_comes_from_the_system() {
        let file = std::fs::File::open("/proc/self/stat").expect("procfs");
        let no_device = |error: io::Error| assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        no_device(create(file.as_fd(), 1).expect_err("no device"));
        no_device(mmap_offset(file.as_fd(), 1).expect_err("no device"));
        no_device(export(file.as_fd(), 1).expect_err("no device"));
        no_device(import(file.as_fd(), file.as_fd()).expect_err("no device"));
        no_device(sync(file.as_fd(), SYNC_READ).expect_err("no dma-buf"));
        close(file.as_fd(), 1);
    }
}
