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
    engine::Buffer,
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
    if arg.pad != 0 || arg.size == 0 {
        return Err(EINVAL);
    }
    let page = u64::try_from(PAGE_SIZE)?;
    let size = arg.size.checked_next_multiple_of(page).ok_or(E2BIG)?;
    let charge = file.charge(size)?;
    let memory = SharedMemory::new(usize::try_from(size)?, dev.huge_mount())?;
    let object = gem::Object::new(dev, memory, charge)?;
    // The last step: nobody can use the handle before the object is complete.
    arg.handle = object.create_handle(file)?;
    Ok(0)
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
pub(super) fn of_handle(file: &drm::File<Accel>, handle: u32) -> Result<Buffer> {
    let object = gem::Object::lookup(file, handle)?;
    Ok(match object.body() {
        gem::Body::Own(memory) => Buffer::Own(memory.clone()),
        gem::Body::Import(buf) => of_dma_buf(buf.clone()),
    })
}

/// The buffer behind a file descriptor of the caller.
pub(super) fn of_fd(fd: i32) -> Result<Buffer> {
    Ok(of_dma_buf(DmaBuf::from_fd(fd)?))
}

/// Buffers of the nodes are own memory, also those of other nodes than the caller's.
fn of_dma_buf(buf: ARef<DmaBuf>) -> Buffer {
    match gem::Object::<Accel>::memory_of_any(&buf) {
        Some(memory) => Buffer::Own(memory),
        None => Buffer::Foreign(buf),
    }
}
