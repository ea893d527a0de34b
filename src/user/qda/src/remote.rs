// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Mappings on the DSP that outlast a call.
//!
//! A [`RemoteMapping`] owns the mapping and, of a buffer, the descriptor under
//! whose number the DSP knows it. Takes no locks.

use std::fmt;
use std::ops::RangeBounds;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use qda_uapi as uapi;

use crate::buffer::Buffer;
use crate::error::{settle, Error, Operation, Result};
use crate::session::Session;
use crate::sys;

/// How the DSP treats a buffer that is mapped with [`Session::map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapMode {
    /// Mapped now, and at the same place when a call names it.
    Static,
    /// Mapped now; code on the DSP finds it by its tag. The CPU's accesses need
    /// [`Buffer::begin_access`].
    Tagged,
    /// As `Tagged`, but mapped when code on the DSP asks for it.
    Delayed,
    /// As `Delayed`, for a buffer that the CPU does not map.
    NoCpu,
}

impl MapMode {
    fn flags(self) -> u32 {
        match self {
            Self::Static => uapi::DRM_QDA_MAP_STATIC,
            Self::Tagged => uapi::DRM_QDA_MAP_FD,
            Self::Delayed => uapi::DRM_QDA_MAP_FD_DELAYED,
            Self::NoCpu => uapi::DRM_QDA_MAP_FD_NOMAP,
        }
    }
}

/// A heap on the DSP that takes more memory, see [`Session::add_heap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heap {
    /// The heap of the process.
    Process,
    /// The heap in the last level cache.
    LastLevelCache,
}

impl Heap {
    fn flags(self) -> u32 {
        match self {
            Self::Process => uapi::DRM_QDA_MMAP_ADD_PAGES,
            Self::LastLevelCache => uapi::DRM_QDA_MMAP_ADD_PAGES_LLC,
        }
    }
}

/// Memory that is mapped into the process on the DSP until it is unmapped or the
/// process ends. The kernel keeps the memory alive meanwhile.
///
/// Dropping it unmaps it, without telling whether that worked; if it did not, the
/// memory stays with the DSP until the process ends. See [`RemoteMapping::unmap`].
#[derive(Debug)]
pub struct RemoteMapping<'s> {
    session: &'s Session,
    kind: Kind,
    address: u64,
    size: u64,
}

#[derive(Debug)]
enum Kind {
    Legacy,
    /// Kept open, so that the number is nobody else's.
    Tagged(OwnedFd),
}

impl Session {
    /// Maps a part of a buffer into the process, where code on the DSP finds it
    /// by the [tag](RemoteMapping::tag). The start of the part is below 2 GiB.
    ///
    /// Errno of [`Error::Os`]: EINVAL (an imported buffer that the DSP cannot
    /// use), ENOMEM, ENODEV, EPIPE, ETIMEDOUT (the memory stays with the DSP until
    /// the process ends). [`Error::Dsp`] if the DSP refused.
    pub fn map(
        &self,
        buffer: &Buffer<'_>,
        range: impl RangeBounds<u64>,
        mode: MapMode,
    ) -> Result<RemoteMapping<'_>> {
        let (offset, size) = buffer.range(range)?;
        if size == 0 {
            return Err(Error::Argument("an empty range cannot be mapped"));
        }
        // The protocol has a number with sign here.
        let offset = u32::try_from(offset)
            .ok()
            .filter(|&offset| i32::try_from(offset).is_ok())
            .ok_or(Error::Argument("the mapping begins beyond 2 GiB"))?;
        let fd = buffer.export()?;
        let address = self.remote_map(uapi::drm_qda_mem_map {
            request: uapi::QDA_MAP_REQUEST_ATTR,
            flags: mode.flags(),
            fd: fd.as_raw_fd(),
            offset,
            size,
            ..Default::default()
        })?;
        Ok(RemoteMapping {
            session: self,
            kind: Kind::Tagged(fd),
            address,
            size,
        })
    }

    /// Maps a whole buffer as memory of the process. It has no tag.
    ///
    /// Errors as for [`Session::map`].
    pub fn map_memory(&self, buffer: &Buffer<'_>) -> Result<RemoteMapping<'_>> {
        // The kernel holds the buffer; the descriptor only names it.
        let fd = buffer.export()?;
        let size = buffer.len();
        let address = self.remote_map(uapi::drm_qda_mem_map {
            request: uapi::QDA_MAP_REQUEST_LEGACY,
            flags: uapi::DRM_QDA_MMAP_BUFFER,
            fd: fd.as_raw_fd(),
            size,
            ..Default::default()
        })?;
        Ok(RemoteMapping {
            session: self,
            kind: Kind::Legacy,
            address,
            size,
        })
    }

    /// Gives a heap of the process `size` bytes (not 0) of fresh memory, which
    /// the CPU does not see.
    ///
    /// Errors as for [`Session::map`], and ENOSPC (above the limit of one open
    /// device).
    pub fn add_heap(&self, size: u64, heap: Heap) -> Result<RemoteMapping<'_>> {
        let address = self.remote_map(uapi::drm_qda_mem_map {
            request: uapi::QDA_MAP_REQUEST_LEGACY,
            flags: heap.flags(),
            fd: uapi::DRM_QDA_FD_NONE,
            size,
            ..Default::default()
        })?;
        Ok(RemoteMapping {
            session: self,
            kind: Kind::Legacy,
            address,
            size,
        })
    }

    fn remote_map(&self, argument: uapi::drm_qda_mem_map) -> Result<u64> {
        let (result, address) =
            sys::remote_map(self.as_fd(), argument).map_err(Error::os(Operation::RemoteMap))?;
        settle(Operation::RemoteMap, Ok(result))?;
        Ok(address)
    }
}

impl<'s> RemoteMapping<'s> {
    /// Where the memory is on the DSP: a number for code there.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes that are mapped.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number by which code on the DSP finds the memory, if it has one.
    pub fn tag(&self) -> Option<i32> {
        match &self.kind {
            Kind::Legacy => None,
            Kind::Tagged(fd) => Some(fd.as_raw_fd()),
        }
    }

    /// Takes the memory away from the DSP. If that fails, the DSP still has it,
    /// and the error gives the mapping back, for instance to try again.
    pub fn unmap(self) -> std::result::Result<(), UnmapError<'s>> {
        match self.release() {
            Ok(()) => {
                let mut this = std::mem::ManuallyDrop::new(self);
                // What is left to drop is the descriptor.
                this.kind = Kind::Legacy;
                Ok(())
            }
            Err(error) => Err(UnmapError {
                mapping: self,
                error,
            }),
        }
    }

    fn release(&self) -> Result<()> {
        let mut argument = uapi::drm_qda_mem_unmap {
            size: self.size,
            ..Default::default()
        };
        match &self.kind {
            Kind::Legacy => {
                argument.request = uapi::QDA_MUNMAP_REQUEST_LEGACY;
                argument.vaddrout = self.address;
            }
            Kind::Tagged(fd) => {
                argument.request = uapi::QDA_MUNMAP_REQUEST_ATTR;
                argument.fd = fd.as_raw_fd();
                argument.vaddr = self.address;
            }
        }
        settle(
            Operation::RemoteUnmap,
            sys::remote_unmap(self.session.as_fd(), argument),
        )
    }
}

impl Drop for RemoteMapping<'_> {
    fn drop(&mut self) {
        // Nobody is left to tell; the end of the process unmaps it in any case.
        let _ = self.release();
    }
}

/// A mapping that could not be undone, and why.
#[derive(Debug)]
pub struct UnmapError<'s> {
    /// The mapping, which the DSP still has.
    pub mapping: RemoteMapping<'s>,
    /// Why it could not be undone.
    pub error: Error,
}

impl fmt::Display for UnmapError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for UnmapError<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<UnmapError<'_>> for Error {
    /// Drops the mapping, which tries once more.
    fn from(unmap: UnmapError<'_>) -> Self {
        unmap.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_cannot_be_mapped_are_told_before_anything_is_sent() {
        let session = Session::fake();
        let buffer = Buffer::fake(session.device(), 1, 1 << 33);
        let mistake = |range: std::ops::Range<u64>| {
            let error = session.map(&buffer, range, MapMode::Tagged).unwrap_err();
            assert!(matches!(error, Error::Argument(_)), "{error:?}");
            error.to_string()
        };
        assert!(mistake(5..5).contains("empty"));
        assert!(mistake(0..(1 << 33) + 1).contains("not in its buffer"));
        assert!(mistake(1 << 31..1 << 33).contains("beyond 2 GiB"));
        assert!(mistake(1 << 32..1 << 33).contains("beyond 2 GiB"));
        let error = session.map(&buffer, 0..4096, MapMode::Tagged).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOTTY));
    }

    #[test]
    fn a_mapping_comes_back_when_the_dsp_keeps_it() {
        let session = Session::fake();
        let mapping = RemoteMapping {
            session: &session,
            kind: Kind::Legacy,
            address: 0x1000,
            size: 4096,
        };
        let failed = mapping.unmap().unwrap_err();
        assert_eq!(
            (failed.mapping.address(), failed.mapping.size()),
            (0x1000, 4096)
        );
        assert!(failed
            .to_string()
            .starts_with("unmapping memory on the DSP"));
        assert_eq!(Error::from(failed).errno(), Some(libc::ENOTTY));
    }

    #[test]
    fn modes_have_the_numbers_of_the_protocol() {
        let modes = [
            MapMode::Static,
            MapMode::Tagged,
            MapMode::Delayed,
            MapMode::NoCpu,
        ];
        assert_eq!(modes.map(MapMode::flags), [0, 2, 3, 16]);
        assert_eq!(
            [Heap::Process, Heap::LastLevelCache].map(Heap::flags),
            [0x1000, 0x3000]
        );
    }
}
