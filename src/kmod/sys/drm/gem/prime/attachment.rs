// SPDX-License-Identifier: GPL-2.0

//! Exported buffers as other devices see them.
//!
//! Owns the mappings of each attachment. Called by the dma-buf core.
//!
//! # Caches
//!
//! User areas of a buffer are cached, so mapping it for a device cleans them. CPU access in between
//! goes through `begin_cpu_access` and `end_cpu_access`, which care for every device that has the
//! buffer mapped and needs it: the attachments here and the mappings in banks.
//!
//! # Locking
//!
//! The reservation lock of the buffer guards what an attachment has. The core holds it around `map`
//! and `unmap`; the functions for CPU access take it.

use super::memory_of;
use crate::sys::{
    bindings::{
        self,
        dma_data_direction, //
    },
    dma::{
        Direction,
        Mappings,
        SgTable, //
    },
    drm::Driver,
    shmem::{
        Folios,
        SharedMemory, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc, //
};

/// The buffer as one device sees it that somebody has mapped it for.
///
/// # Invariants
///
/// `table` describes the pages of `_folios` and is mapped for the device of the attachment that
/// `self` belongs to, in `direction`.
struct Mapped {
    // Dropped first: it describes the pages.
    table: SgTable,
    _folios: Arc<Folios>,
    direction: dma_data_direction,
}

impl Mapped {
    /// The direction that a change of the owner needs, as far as this device cares: none if it
    /// cannot have written what the CPU wants to read, or cannot read what the CPU has written.
    fn common(&self, direction: dma_data_direction) -> Option<dma_data_direction> {
        if self.direction == dma_data_direction::DMA_BIDIRECTIONAL {
            Some(direction)
        } else if direction == dma_data_direction::DMA_BIDIRECTIONAL || direction == self.direction
        {
            Some(self.direction)
        } else {
            None
        }
    }
}

/// The private data of an attachment: normally one mapping, or none.
#[derive(Default)]
struct Attachment(KVec<Mapped>);

/// Operation: somebody's device is going to use the buffer.
///
/// # Safety
///
/// Like all operations, must only be called by the dma-buf core, for an export of this driver.
pub(super) unsafe extern "C" fn attach(
    _buf: *mut bindings::dma_buf,
    attach: *mut bindings::dma_buf_attachment,
) -> c_int {
    match KBox::new(Attachment::default(), GFP_KERNEL) {
        Ok(own) => {
            // SAFETY: The attachment is being made, nobody else knows it.
            unsafe { (*attach).priv_ = KBox::into_raw(own).cast() };
            0
        }
        Err(_) => ENOMEM.to_errno(),
    }
}

/// Operation: the device does not use the buffer any more.
///
/// # Safety
///
/// As for [`attach`].
pub(super) unsafe extern "C" fn detach(
    _buf: *mut bindings::dma_buf,
    attach: *mut bindings::dma_buf_attachment,
) {
    // SAFETY: The operation `attach` has stored the pointer, and the core has taken the attachment
    // off its list.
    drop(unsafe { KBox::from_raw((*attach).priv_.cast::<Attachment>()) });
}

/// Operation: maps the buffer for the device of the attachment.
///
/// # Safety
///
/// As for [`attach`]. The reservation lock must be held.
pub(super) unsafe extern "C" fn map<T: Driver>(
    attach: *mut bindings::dma_buf_attachment,
    direction: dma_data_direction,
) -> *mut bindings::sg_table {
    // SAFETY: The attachment is valid, and so is its dma-buf, an export of this driver. The
    // reservation lock is held, so nobody else uses what is in the private data.
    let (memory, dev, own) = unsafe {
        (
            memory_of::<T>((*attach).dmabuf),
            (*attach).dev,
            &mut *(*attach).priv_.cast::<Attachment>(),
        )
    };
    let mapped = memory.and_then(|memory| {
        // Before the device sees anything, so that nothing can fail after that.
        own.0.reserve(1, GFP_KERNEL)?;
        // SAFETY: The device of an attachment is valid.
        unsafe { map_for(memory, dev, direction) }
    });
    match mapped {
        Ok(mapped) => {
            let table = mapped.table.as_raw();
            match own.0.push_within_capacity(mapped) {
                Ok(()) => table,
                // Not reached: there is room.
                Err(_) => ENOMEM.to_ptr(),
            }
        }
        Err(e) => e.to_ptr(),
    }
}

/// How mappings are made and taken away: the caches are cared for in separate calls, because a page
/// may be mapped for several devices.
// CAST: A flag of the first 32 bits.
const ATTRS: c_ulong = bindings::DMA_ATTR_SKIP_CPU_SYNC as c_ulong;

/// Pins `memory` and maps it for `dev`, with the caches cleaned.
///
/// # Safety
///
/// `dev` must be a valid device that can do DMA. The caller unmaps the table.
unsafe fn map_for(
    memory: &SharedMemory,
    dev: *mut bindings::device,
    direction: dma_data_direction,
) -> Result<Mapped> {
    let folios = memory.pin()?;
    // SAFETY: Required of the caller.
    let longest = unsafe {
        // CAST: A number of 32 bits.
        bindings::dma_max_mapping_size(dev)
            .min(bindings::qda_helper_dma_get_max_seg_size(dev) as usize)
    };
    let table = SgTable::of_folios(&folios, longest)?;

    // SAFETY: `dev` is valid. The table describes pages that stay pinned until it is unmapped.
    unsafe {
        to_result(bindings::dma_map_sgtable(
            dev,
            table.as_raw(),
            direction,
            ATTRS,
        ))?;
        bindings::qda_helper_dma_sync_sgtable_for_device(dev, table.as_raw(), direction);
    }

    // INVARIANT: The table was just mapped.
    Ok(Mapped {
        table,
        _folios: folios,
        direction,
    })
}

/// Operation: takes a mapping away.
///
/// # Safety
///
/// As for [`map`], with a table that it returned for the same attachment.
pub(super) unsafe extern "C" fn unmap(
    attach: *mut bindings::dma_buf_attachment,
    table: *mut bindings::sg_table,
    _direction: dma_data_direction,
) {
    // SAFETY: As in `map`.
    let own = unsafe { &mut *(*attach).priv_.cast::<Attachment>() };
    let Some(index) = own
        .0
        .iter()
        .position(|mapped| mapped.table.as_raw() == table)
    else {
        return;
    };
    let Ok(mapped) = own.0.remove(index) else {
        return;
    };
    // SAFETY: By the type invariants the table is mapped for the device of the attachment.
    unsafe {
        bindings::qda_helper_dma_sync_sgtable_for_cpu((*attach).dev, table, mapped.direction);
        bindings::dma_unmap_sgtable((*attach).dev, table, mapped.direction, ATTRS);
    }
}

/// Calls `f` for the mappings of all attachments of `buf`, with their devices.
///
/// # Safety
///
/// `buf` must be a valid export of this driver. The reservation lock must not be held.
unsafe fn for_each_mapped(buf: *mut bindings::dma_buf, f: impl Fn(*mut bindings::device, &Mapped)) {
    // SAFETY: The dma-buf is valid and holds its lock. Without context the lock cannot fail.
    unsafe { bindings::dma_resv_lock((*buf).resv, core::ptr::null_mut()) };

    // SAFETY: The dma-buf is valid, and the list is guarded by the lock.
    let head = unsafe { &raw mut (*buf).attachments };
    // SAFETY: As above.
    let mut node = unsafe { (*head).next };
    while !core::ptr::eq(node, head) {
        // SAFETY: All nodes of the list but the head are part of an attachment, whose private data
        // was set by `attach` and is guarded by the lock.
        unsafe {
            let attach = kernel::container_of!(node, bindings::dma_buf_attachment, node);
            let own = &*(*attach).priv_.cast::<Attachment>();
            for mapped in &own.0 {
                f((*attach).dev, mapped);
            }
            node = (*node).next;
        }
    }

    // SAFETY: The lock was taken above.
    unsafe { bindings::dma_resv_unlock((*buf).resv) };
}

/// The direction as the mappings in banks want it.
fn of_device(direction: dma_data_direction) -> Option<Direction> {
    match direction {
        dma_data_direction::DMA_TO_DEVICE => Some(Direction::ToDevice),
        dma_data_direction::DMA_FROM_DEVICE => Some(Direction::FromDevice),
        dma_data_direction::DMA_BIDIRECTIONAL => Some(Direction::Both),
        _ => None,
    }
}

/// Cares for the caches of all devices that have the buffer mapped, before or after an access of
/// the CPU: calls `sync` for the attachments, and `sync_banks` for the mappings in banks.
///
/// # Safety
///
/// As for [`attach`]. `sync` must be a function that synchronises a table that is mapped for a
/// device.
unsafe fn sync_all<T: Driver>(
    buf: *mut bindings::dma_buf,
    direction: dma_data_direction,
    sync: unsafe extern "C" fn(*mut bindings::device, *mut bindings::sg_table, dma_data_direction),
    sync_banks: fn(&Mappings, usize, usize, Direction),
) {
    // SAFETY: Required of the caller. The mappings are those of the devices that they come with.
    unsafe {
        for_each_mapped(buf, |dev, mapped| {
            if let Some(direction) = mapped.common(direction) {
                sync(dev, mapped.table.as_raw(), direction);
            }
        });
    }

    // SAFETY: Required of the caller.
    if let (Ok(memory), Some(direction)) = (unsafe { memory_of::<T>(buf) }, of_device(direction)) {
        sync_banks(&memory.mappings().lock(), 0, memory.size(), direction);
    }
}

/// Operation: the CPU is going to access the buffer.
///
/// # Safety
///
/// As for [`attach`].
pub(super) unsafe extern "C" fn begin_cpu_access<T: Driver>(
    buf: *mut bindings::dma_buf,
    direction: dma_data_direction,
) -> c_int {
    // SAFETY: Required of the caller.
    unsafe {
        sync_all::<T>(
            buf,
            direction,
            bindings::qda_helper_dma_sync_sgtable_for_cpu,
            Mappings::sync_for_cpu,
        );
    }
    0
}

/// Operation: the CPU has accessed the buffer.
///
/// # Safety
///
/// As for [`attach`].
pub(super) unsafe extern "C" fn end_cpu_access<T: Driver>(
    buf: *mut bindings::dma_buf,
    direction: dma_data_direction,
) -> c_int {
    // SAFETY: Required of the caller.
    unsafe {
        sync_all::<T>(
            buf,
            direction,
            bindings::qda_helper_dma_sync_sgtable_for_device,
            Mappings::sync_for_device,
        );
    }
    0
}
