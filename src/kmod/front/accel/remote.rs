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
        CallError,
        CallResult,
        HeapFlags,
        MapFlags,
        MapRequest,
        Operation,
        UnmapRequest, //
    },
    sys::{
        drm,
        shmem::SharedMemory, //
    }, //
};
use kernel::prelude::*;

/// Maps memory into the process.
pub(super) fn map(
    dev: &drm::Device<Accel>,
    arg: &mut MemMap,
    file: &drm::File<Accel>,
) -> Result<i32> {
    let operation = Operation::Map { flags: arg.flags };
    let request = file.parsed(operation, map_request(dev, arg, file))?;
    let (result, address) = file.remote_map(request)?;
    arg.vaddrout = address;
    Ok(result.raw())
}

#[inline(never)]
fn map_request(
    dev: &drm::Device<Accel>,
    arg: &MemMap,
    file: &drm::File<Accel>,
) -> CallResult<MapRequest> {
    match arg.request {
        _ if arg.pad != 0 => Err(CallError::Invalid),
        MAP_REQUEST_LEGACY => heap_request(dev, arg, file),
        MAP_REQUEST_ATTR => tagged_request(arg),
        _ => Err(CallError::Invalid),
    }
}

fn heap_request(
    dev: &drm::Device<Accel>,
    arg: &MemMap,
    file: &drm::File<Accel>,
) -> CallResult<MapRequest> {
    let flags = HeapFlags::new(arg.flags).ok_or(CallError::Invalid)?;
    if arg.size == 0 {
        return Err(CallError::Invalid);
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
        return Err(CallError::Invalid);
    }
    let size = buffer::whole_pages(arg.size)?;
    // CAST: `usize` has 64 bits where a DSP is.
    let bytes = size as usize;
    // Before anything else: a file without a process shall not get memory.
    file.check_process()?;
    let charge = file.charge(size)?;
    Ok(MapRequest::Provide {
        flags,
        memory: Buffer::Own(SharedMemory::new(bytes, dev.huge_mount())?),
        charge,
    })
}

fn tagged_request(arg: &MemMap) -> CallResult<MapRequest> {
    let flags = MapFlags::new(arg.flags).ok_or(CallError::Invalid)?;
    if arg.fd <= 0 {
        return Err(CallError::Invalid);
    }
    let buffer = buffer::of_fd(arg.fd)?;
    let len = match arg.size {
        0 => buffer
            .size()
            .checked_sub(u64::from(arg.offset))
            .ok_or(CallError::Invalid)?,
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
    let request = file.parsed(Operation::Unmap, unmap_request(arg))?;
    Ok(file.remote_unmap(request)?.raw())
}

fn unmap_request(arg: &MemUnmap) -> CallResult<UnmapRequest> {
    match arg.request {
        MUNMAP_REQUEST_LEGACY => Ok(UnmapRequest::Heap {
            address: arg.vaddrout,
            len: arg.size,
        }),
        MUNMAP_REQUEST_ATTR => Ok(UnmapRequest::Tagged {
            tag: arg.fd,
            address: arg.vaddr,
            len: arg.size,
        }),
        _ => Err(CallError::Invalid),
    }
}
