// SPDX-License-Identifier: GPL-2.0

//! Memory that stays mapped in the process on the DSP.
//!
//! Owns nothing and takes no locks. Handlers run in the context of the calling process.

use super::{
    buffer,
    uapi::{
        MemMap,
        MemUnmap,
        MAP_REQUEST_ATTR,
        MAP_REQUEST_LEGACY,
        MUNMAP_REQUEST_ATTR,
        MUNMAP_REQUEST_LEGACY, //
    },
    Accel, //
};
use crate::{
    engine::{
        Buffer,
        HeapFlags,
        MapFlags,
        MapRequest,
        UnmapRequest, //
    },
    sys::{
        drm,
        shmem::SharedMemory, //
    }, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Maps memory into the process.
pub(super) fn map(
    dev: &drm::Device<Accel>,
    arg: &mut MemMap,
    file: &drm::File<Accel>,
) -> Result<i32> {
    if arg.pad != 0 {
        return Err(EINVAL);
    }
    let request = match arg.request {
        MAP_REQUEST_LEGACY => heap_request(dev, arg, file)?,
        MAP_REQUEST_ATTR => tagged_request(arg)?,
        _ => return Err(EINVAL),
    };
    let (result, address) = file.remote_map(request)?;
    arg.vaddrout = address;
    Ok(result.raw())
}

fn heap_request(
    dev: &drm::Device<Accel>,
    arg: &MemMap,
    file: &drm::File<Accel>,
) -> Result<MapRequest> {
    let flags = HeapFlags::new(arg.flags).ok_or(EINVAL)?;
    if arg.size == 0 {
        return Err(EINVAL);
    }
    if arg.fd > 0 {
        return Ok(MapRequest::Give {
            flags,
            buffer: buffer::of_fd(arg.fd)?,
            len: arg.size,
            hint: arg.vaddrin,
        });
    }
    if !flags.is_heap() || arg.vaddrin != 0 {
        return Err(EINVAL);
    }
    let page = u64::try_from(PAGE_SIZE)?;
    let size = arg.size.checked_next_multiple_of(page).ok_or(E2BIG)?;
    // Before anything else: a file without a process shall not get memory.
    file.check_process()?;
    let charge = file.charge(size)?;
    Ok(MapRequest::Provide {
        flags,
        memory: Buffer::Own(SharedMemory::new(usize::try_from(size)?, dev.huge_mount())?),
        charge,
    })
}

fn tagged_request(arg: &MemMap) -> Result<MapRequest> {
    let flags = MapFlags::new(arg.flags).ok_or(EINVAL)?;
    if arg.fd <= 0 {
        return Err(EINVAL);
    }
    let buffer = buffer::of_fd(arg.fd)?;
    let len = match arg.size {
        0 => buffer
            .size()
            .checked_sub(u64::from(arg.offset))
            .ok_or(EINVAL)?,
        size => size,
    };
    Ok(MapRequest::Tagged {
        flags,
        buffer,
        tag: arg.fd,
        offset: arg.offset,
        len,
        hint: arg.vaddrin,
    })
}

/// Undoes a mapping.
pub(super) fn unmap(
    _dev: &drm::Device<Accel>,
    arg: &mut MemUnmap,
    file: &drm::File<Accel>,
) -> Result<i32> {
    let request = match arg.request {
        MUNMAP_REQUEST_LEGACY => UnmapRequest::Heap {
            address: arg.vaddrout,
            len: arg.size,
        },
        MUNMAP_REQUEST_ATTR => UnmapRequest::Tagged {
            tag: arg.fd,
            address: arg.vaddr,
            len: arg.size,
        },
        _ => return Err(EINVAL),
    };
    Ok(file.remote_unmap(request)?.raw())
}
