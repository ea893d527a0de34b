// SPDX-License-Identifier: GPL-2.0

//! Buffers: GEM objects, and what the numbers that name a buffer mean.
//!
//! Owns nothing and takes no locks. Handlers run in the context of the calling process.

use super::{
    uapi::{
        GemCreate,
        GemMmapOffset, //
    },
    Accel, //
};
use crate::{
    engine::{
        Buffer,
        CallError,
        CallResult,
        Operation, //
    },
    sys::{
        dmabuf::DmaBuf,
        drm::{
            self,
            gem, //
        },
        shmem::SharedMemory, //
    }, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// Makes a buffer object and a handle for it.
pub(super) fn create(
    dev: &drm::Device<Accel>,
    arg: &mut GemCreate,
    file: &drm::File<Accel>,
) -> Result<i32> {
    let operation = Operation::Buffer { size: arg.size };
    let made = try_create(dev, arg, file);
    arg.handle = file.parsed(operation, made)?;
    Ok(0)
}

fn try_create(
    dev: &drm::Device<Accel>,
    arg: &GemCreate,
    file: &drm::File<Accel>,
) -> CallResult<u32> {
    if arg.pad != 0 || arg.size == 0 {
        return Err(CallError::Invalid);
    }
    let size = whole_pages(arg.size)?;
    // CAST: `usize` has 64 bits where a DSP is.
    let bytes = size as usize;
    let charge = file.charge(size)?;
    let memory = SharedMemory::new(bytes, dev.huge_mount())?;
    let object = gem::Object::new(dev, memory, charge)?;
    // The last step: nobody can use the handle before the object is complete.
    Ok(object.create_handle(file)?)
}

/// Rounds `bytes` up to whole pages.
pub(super) fn whole_pages(bytes: u64) -> CallResult<u64> {
    // CAST: A page is small.
    bytes
        .checked_next_multiple_of(PAGE_SIZE as u64)
        .ok_or(CallError::TooBig)
}

/// Says where to map a buffer object.
pub(super) fn mmap_offset(
    _dev: &drm::Device<Accel>,
    arg: &mut GemMmapOffset,
    file: &drm::File<Accel>,
) -> Result<i32> {
    if arg.pad != 0 {
        return Err(EINVAL);
    }
    arg.offset = gem::Object::lookup(file, arg.handle)?.mmap_offset()?;
    Ok(0)
}

/// The buffer behind a handle of `file`.
pub(super) fn of_handle(file: &drm::File<Accel>, handle: u32) -> CallResult<Buffer> {
    let object = gem::Object::lookup(file, handle).map_err(CallError::NoBuffer)?;
    Ok(match object.body() {
        gem::Body::Own(memory) => Buffer::Own(memory.clone()),
        gem::Body::Import(buf) => of_dma_buf(buf.clone()),
    })
}

/// The buffer behind a file descriptor of the caller.
pub(super) fn of_fd(fd: i32) -> CallResult<Buffer> {
    let buf = DmaBuf::from_fd(fd).map_err(CallError::NoBuffer)?;
    Ok(of_dma_buf(buf))
}

/// Buffers of the nodes are own memory, also those of other nodes than the caller's.
fn of_dma_buf(buf: ARef<DmaBuf>) -> Buffer {
    match gem::Object::<Accel>::memory_of_any(&buf) {
        Some(memory) => Buffer::Own(memory),
        None => Buffer::Foreign(buf),
    }
}
