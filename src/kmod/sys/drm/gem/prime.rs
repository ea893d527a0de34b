// SPDX-License-Identifier: GPL-2.0

//! PRIME: GEM objects as dma-bufs, and dma-bufs as GEM objects.
//!
//! Owns what others have of an exported buffer: its [`Attachment`]s to their devices, and the
//! mappings in the kernel's address space. Called by the dma-buf core and the DRM core.
//!
//! # Which dma-bufs are ours
//!
//! The operations of the exports are part of the [`Device`], not a constant. So their address says
//! not only that this driver is the exporter, but also which of its devices. The functions in them
//! say that it is one of its devices. Nobody looks into the private data of a dma-buf before having
//! compared one or the other.
//!
//! # Caches
//!
//! User areas of a buffer are cached, so mapping it for a device cleans them. CPU access in between
//! goes through `begin_cpu_access` and `end_cpu_access`, which care for every device that has the
//! buffer mapped and needs it: the attachments here and the mappings in banks.
//!
//! # Locking
//!
//! The reservation lock of the object guards the contents of its attachments. The dma-buf core
//! holds it around `map`, `unmap`, `vmap` and `vunmap`, and around nothing else. Mappings in banks
//! are not touched under it: their locks come before it.
//!
//! C headers: [`include/drm/drm_prime.h`](srctree/include/drm/drm_prime.h),
//! [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)

use super::{
    Body,
    Device,
    Driver,
    Object, //
};
use crate::sys::{
    bindings::{
        self,
        dma_data_direction, //
    },
    dma::{
        Direction,
        SgTable, //
    },
    dmabuf::DmaBuf,
    shmem::{
        Folios,
        SharedMemory, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    module::this_module,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
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

/// A buffer in the kernel's address space.
///
/// # Invariants
///
/// `address` is a mapping of the pages of `_folios` made by `vmap()`, which `self` owns.
struct KernelMap {
    address: NonNull<c_void>,
    _folios: Arc<Folios>,
}

// SAFETY: A mapping may be taken away by any thread.
unsafe impl Send for KernelMap {}

impl KernelMap {
    fn new(memory: &SharedMemory) -> Result<Self> {
        let folios = memory.pin()?;
        let mut pages =
            KVVec::with_capacity(folios.size() / PAGE_SIZE, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        for (page, _, len) in folios.segments() {
            for index in 0..len / PAGE_SIZE {
                pages.push(page.wrapping_add(index), GFP_KERNEL)?;
            }
        }
        let count = u32::try_from(pages.len()).map_err(|_| ENOMEM)?;

        // SAFETY: There are `count` pages in the list, which stay as long as they are pinned.
        let address = unsafe { bindings::qda_helper_vmap(pages.as_mut_ptr(), count) };

        // INVARIANT: The mapping was just made.
        Ok(Self {
            address: NonNull::new(address).ok_or(ENOMEM)?,
            _folios: folios,
        })
    }
}

impl Drop for KernelMap {
    fn drop(&mut self) {
        // SAFETY: By the type invariants we own the mapping, and the pages are still pinned.
        unsafe { bindings::vunmap(self.address.as_ptr()) };
    }
}

/// All mappings of an object in the kernel's address space: at most one for each dma-buf.
#[pin_data]
pub(super) struct KernelMaps {
    #[pin]
    list: Mutex<KVec<KernelMap>>,
}

impl KernelMaps {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(KVec::new(), "qda_kernel_maps"),
        })
    }
}

impl<T: Driver> Device<T> {
    /// The operations of the dma-bufs that this driver exports.
    pub(in crate::sys::drm) const DMA_BUF_OPS: bindings::dma_buf_ops = bindings::dma_buf_ops {
        attach: Some(attach),
        detach: Some(detach),
        map_dma_buf: Some(map::<T>),
        unmap_dma_buf: Some(unmap),
        release: Some(bindings::drm_gem_dmabuf_release),
        begin_cpu_access: Some(begin_cpu_access::<T>),
        end_cpu_access: Some(end_cpu_access::<T>),
        mmap: Some(mmap::<T>),
        vmap: Some(vmap::<T>),
        vunmap: Some(vunmap::<T>),
        ..pin_init::zeroed()
    };

    /// Import callback: makes a dma-buf an object of this device.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with a device of this driver and a dma-buf that the
    /// caller holds.
    pub(in crate::sys::drm) unsafe extern "C" fn import_callback(
        dev: *mut bindings::drm_device,
        buf: *mut bindings::dma_buf,
    ) -> *mut bindings::drm_gem_object {
        // SAFETY: Required of the caller.
        let (dev, buf) = unsafe { (Self::from_raw(dev), DmaBuf::from_raw(buf)) };

        let obj = match Object::of_dma_buf(dev, buf) {
            Some(own) => Ok(own),
            None => Object::import(dev, buf.into()),
        };
        match obj {
            Ok(obj) => Object::into_raw(obj),
            Err(e) => e.to_ptr(),
        }
    }
}

impl<T: Driver> Object<T> {
    /// The memory behind `buf`, if that is an export of any device of this driver.
    ///
    /// It can be used like the device's own then, without an attachment.
    pub(crate) fn memory_of_any(buf: &DmaBuf) -> Option<Arc<SharedMemory>> {
        // SAFETY: The dma-buf is valid, and its operations never change.
        let map_of_buf = unsafe { (*(*buf.as_raw()).ops).map_dma_buf }?;
        // Nothing but `Device::DMA_BUF_OPS` has this function, whatever its address may be.
        let ours: unsafe extern "C" fn(_, _) -> _ = map::<T>;
        if !core::ptr::fn_addr_eq(map_of_buf, ours) {
            return None;
        }
        // SAFETY: The operations say that the dma-buf is an export of this driver, and the caller
        // holds it.
        unsafe { memory_of::<T>(buf.as_raw()) }.ok().cloned()
    }

    /// The object behind `buf`, if that is an export of this very device.
    fn of_dma_buf(dev: &Device<T>, buf: &DmaBuf) -> Option<ARef<Self>> {
        // SAFETY: The dma-buf is valid, and its operations never change.
        let (ops, obj) = unsafe { ((*buf.as_raw()).ops, (*buf.as_raw()).priv_) };
        if !core::ptr::eq(ops, dev.dma_buf_ops()) {
            return None;
        }
        // SAFETY: The operations say that the dma-buf is an export of an object of `dev`, to which
        // it holds a reference as long as it lives.
        Some(unsafe { Self::from_raw(obj.cast()) }.into())
    }

    /// Export callback: makes an object a dma-buf.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with an object of this driver.
    pub(super) unsafe extern "C" fn export_callback(
        obj: *mut bindings::drm_gem_object,
        flags: c_int,
    ) -> *mut bindings::dma_buf {
        // SAFETY: The caller holds the object.
        let this = unsafe { Self::from_raw(obj) };

        if let Body::Import(buf) = this.body() {
            // What was imported goes out as what it is. The reference goes to the caller.
            return ARef::into_raw(buf.clone()).as_ptr().cast();
        }

        let mut info = bindings::dma_buf_export_info {
            exp_name: T::INFO.name.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops: this.dev.dma_buf_ops(),
            size: this.size(),
            flags,
            // SAFETY: The object is initialised. The dma-buf holds it and so the lock.
            resv: unsafe { (*obj).resv },
            priv_: obj.cast(),
        };
        // SAFETY: The device is that of the object, to which both `priv` and the lock belong. The
        // function takes references to both the object and the device, and so to the operations,
        // which are part of the device. The operation `release` drops them.
        unsafe { bindings::drm_gem_dmabuf_export(this.dev.as_raw(), &mut info) }
    }
}

/// The memory behind an export.
///
/// # Safety
///
/// `buf` must be an export of this driver that stays valid for as long as the result is in use.
unsafe fn memory_of<'a, T: Driver>(buf: *mut bindings::dma_buf) -> Result<&'a Arc<SharedMemory>> {
    // SAFETY: The private data of an export is an object, to which it holds a reference.
    let obj = unsafe { Object::<T>::from_raw((*buf).priv_.cast()) };
    // Only own buffers are exported.
    obj.memory().ok_or(EINVAL)
}

/// Operation: somebody's device is going to use the buffer.
///
/// # Safety
///
/// Like all operations, must only be called by the dma-buf core, for an export of this driver.
unsafe extern "C" fn attach(
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
unsafe extern "C" fn detach(
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
unsafe extern "C" fn map<T: Driver>(
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
    let table = SgTable::new(|| folios.segments(), longest.max(PAGE_SIZE))?;

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
unsafe extern "C" fn unmap(
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

/// Operation: the CPU is going to access the buffer.
///
/// # Safety
///
/// As for [`attach`].
unsafe extern "C" fn begin_cpu_access<T: Driver>(
    buf: *mut bindings::dma_buf,
    direction: dma_data_direction,
) -> c_int {
    // SAFETY: Required of the caller. The mappings are those of the devices that they come with.
    unsafe {
        for_each_mapped(buf, |dev, mapped| {
            if let Some(direction) = mapped.common(direction) {
                bindings::qda_helper_dma_sync_sgtable_for_cpu(
                    dev,
                    mapped.table.as_raw(),
                    direction,
                );
            }
        });
    }

    // SAFETY: Required of the caller.
    if let (Ok(memory), Some(direction)) = (unsafe { memory_of::<T>(buf) }, of_device(direction)) {
        let mappings = memory.mappings().lock();
        mappings.sync_for_cpu(0, memory.size(), direction);
    }
    0
}

/// Operation: the CPU has accessed the buffer.
///
/// # Safety
///
/// As for [`attach`].
unsafe extern "C" fn end_cpu_access<T: Driver>(
    buf: *mut bindings::dma_buf,
    direction: dma_data_direction,
) -> c_int {
    // SAFETY: Required of the caller. The mappings are those of the devices that they come with.
    unsafe {
        for_each_mapped(buf, |dev, mapped| {
            if let Some(direction) = mapped.common(direction) {
                bindings::qda_helper_dma_sync_sgtable_for_device(
                    dev,
                    mapped.table.as_raw(),
                    direction,
                );
            }
        });
    }

    // SAFETY: Required of the caller.
    if let (Ok(memory), Some(direction)) = (unsafe { memory_of::<T>(buf) }, of_device(direction)) {
        let mappings = memory.mappings().lock();
        mappings.sync_for_device(0, memory.size(), direction);
    }
    0
}

/// Operation: maps the buffer through the descriptor of the dma-buf. The offset of the area counts
/// from the start of the buffer.
///
/// # Safety
///
/// As for [`attach`], with the area of an mmap operation.
unsafe extern "C" fn mmap<T: Driver>(
    buf: *mut bindings::dma_buf,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: Required of the caller.
    let result = unsafe { memory_of::<T>(buf).and_then(|memory| memory.map_user(vma)) };
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

/// Operation: maps the buffer for the kernel.
///
/// # Safety
///
/// As for [`attach`]. The reservation lock must be held.
unsafe extern "C" fn vmap<T: Driver>(
    buf: *mut bindings::dma_buf,
    map: *mut bindings::iosys_map,
) -> c_int {
    // SAFETY: The private data of an export is an object, to which it holds a reference.
    let obj = unsafe { Object::<T>::from_raw((*buf).priv_.cast()) };
    let result = obj.memory().ok_or(EINVAL).and_then(|memory| {
        let own = KernelMap::new(memory)?;
        let address = own.address.as_ptr();
        obj.kernel_maps.list.lock().push(own, GFP_KERNEL)?;
        Ok(address)
    });
    match result {
        Ok(address) => {
            // SAFETY: `map` is valid for writes.
            unsafe {
                *map = bindings::iosys_map {
                    __bindgen_anon_1: bindings::iosys_map__bindgen_ty_1 { vaddr: address },
                    is_iomem: false,
                }
            };
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// Operation: takes a mapping for the kernel away.
///
/// # Safety
///
/// As for [`vmap`], with what it wrote.
unsafe extern "C" fn vunmap<T: Driver>(buf: *mut bindings::dma_buf, map: *mut bindings::iosys_map) {
    // SAFETY: As in `vmap`, which wrote the address.
    let (obj, address) = unsafe {
        (
            Object::<T>::from_raw((*buf).priv_.cast()),
            (*map).__bindgen_anon_1.vaddr,
        )
    };
    let mut list = obj.kernel_maps.list.lock();
    let index = list.iter().position(|own| own.address.as_ptr() == address);
    let own = index.and_then(|index| list.remove(index).ok());
    // Dropped outside of the lock.
    drop(list);
    drop(own);
}
