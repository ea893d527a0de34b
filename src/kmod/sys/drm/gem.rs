// SPDX-License-Identifier: GPL-2.0

//! GEM objects: buffers that clients of a DRM device know by handle.
//!
//! An [`Object`] is either a buffer of this device, with its [`SharedMemory`], or an import, which
//! holds a foreign dma-buf and nothing else: no device is attached to it before a driver does so
//! for a mapping. The object is freed with its last reference; handles, exported dma-bufs and
//! [`ARef`]s hold one each. User areas hold none, they refer to the shmem file.
//!
//! # Locking
//!
//! Nothing of an object changes while others know it, but the list of its kernel mappings, which
//! has a mutex of its own (see `prime`). An object can be freed with mutexes of the DRM core held,
//! and freeing it takes its memory from devices, so the locks of [`shmem`](crate::sys::shmem) and
//! of what it calls come after them.
//!
//! # Life time
//!
//! The core lets objects refer to their device without holding it. Here each object holds its
//! device, so that an [`ARef<Object>`] is good for any time. A device whose data owns objects is
//! never released, though: drivers drop such objects when they drop the registration.
//!
//! C header: [`include/drm/drm_gem.h`](srctree/include/drm/drm_gem.h)

mod map;
mod prime;

use super::{
    Device,
    Driver,
    File, //
};
use crate::sys::{
    bindings,
    dmabuf::DmaBuf,
    shmem::SharedMemory, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// A GEM object of a device of driver `T`.
///
/// # Invariants
///
/// * `obj` is an initialised `struct drm_gem_object` of the device `dev`, with the functions of
///   this driver. Its reference count is not zero while somebody has a reference.
/// * The value is in a leaked [`KBox`], which the free callback takes back.
#[pin_data]
#[repr(C)]
pub(crate) struct Object<T: Driver> {
    obj: Opaque<bindings::drm_gem_object>,
    body: Owned<T>,
    #[pin]
    kernel_maps: prime::KernelMaps,
    /// Dropped last: the object is part of it.
    dev: ARef<Device<T>>,
}

/// As [`Body`], but owned, and with the data of the driver.
enum Owned<T: Driver> {
    Own(Arc<SharedMemory>, T::Object),
    Import(ARef<DmaBuf>),
}

/// What an object is made of.
pub(crate) enum Body<'a> {
    /// A buffer of this device.
    Own(&'a Arc<SharedMemory>),
    /// A buffer of somebody else.
    Import(&'a ARef<DmaBuf>),
}

impl<T: Driver> Object<T> {
    /// The functions of the objects of this driver. A constant that the compiler promotes to a
    /// static where it is borrowed.
    const FUNCS: bindings::drm_gem_object_funcs = bindings::drm_gem_object_funcs {
        free: Some(Self::free_callback),
        export: Some(Self::export_callback),
        ..pin_init::zeroed()
    };

    /// Makes an object of `memory`. `data` is dropped together with the object.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC` if there are too many objects.
    pub(crate) fn new(
        dev: &Device<T>,
        memory: Arc<SharedMemory>,
        data: T::Object,
    ) -> Result<ARef<Self>> {
        let size = memory.size();
        let file = memory.file();
        let this = Self::alloc(dev, size, Owned::Own(memory, data))?;

        // The core looks at the file for the alignment of areas, and drops the reference when the
        // object is released. Then make a place for areas among the offsets of the node.
        //
        // SAFETY: The object was just made, and nobody else knows it. `file` is that of `memory`,
        // which the object holds.
        to_result(unsafe {
            (*this.as_raw()).filp = bindings::get_file(file);
            bindings::drm_gem_create_mmap_offset(this.as_raw())
        })?;
        Ok(this)
    }

    /// Makes an object of a foreign dma-buf.
    fn import(dev: &Device<T>, buf: ARef<DmaBuf>) -> Result<ARef<Self>> {
        let size = buf.size();
        // The core takes nothing else, and panics.
        if size == 0 || size % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        Self::alloc(dev, size, Owned::Import(buf))
    }

    /// Allocates and initialises an object of `size` bytes, which must be whole pages.
    fn alloc(dev: &Device<T>, size: usize, body: Owned<T>) -> Result<ARef<Self>> {
        let this = KBox::pin_init(
            pin_init!(Self {
                obj: Opaque::zeroed(),
                body,
                kernel_maps <- prime::KernelMaps::new(),
                dev: dev.into(),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;

        // SAFETY: The value is not moved any more; the free callback drops it where it is.
        let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(this) });

        // SAFETY: `this` is valid, its object is zeroed and known to nobody. The size is a
        // multiple of the page size, and the device is held by the object.
        unsafe {
            let obj = (*this).obj.get();
            (*obj).funcs = const { &Self::FUNCS };
            bindings::drm_gem_private_object_init(dev.as_raw(), obj, size);
        }

        // INVARIANT: The object was just initialised, for `dev`, and the box was leaked.
        //
        // SAFETY: `this` comes from a box. The first reference goes to the `ARef`.
        Ok(unsafe { ARef::from_raw(NonNull::new(this).ok_or(ENOMEM)?) })
    }

    fn as_raw(&self) -> *mut bindings::drm_gem_object {
        self.obj.get()
    }

    /// Returns the object that contains `ptr`.
    ///
    /// # Safety
    ///
    /// `ptr` must point to the `obj` field of an `Object<T>`, for this very `T`, that stays valid
    /// for as long as the returned reference is in use.
    unsafe fn from_raw<'a>(ptr: *mut bindings::drm_gem_object) -> &'a Self {
        // SAFETY: Required of the caller.
        unsafe { &*kernel::container_of!(Opaque::cast_from(ptr.cast_const()), Self, obj) }
    }

    /// Takes over a reference to the object that contains `ptr`.
    ///
    /// # Safety
    ///
    /// As for [`Self::from_raw`], but for the moment of the call. The caller owns a reference, and
    /// gives it away.
    unsafe fn take_raw(ptr: *mut bindings::drm_gem_object) -> ARef<Self> {
        // SAFETY: Required of the caller.
        unsafe { ARef::from_raw(NonNull::from(Self::from_raw(ptr))) }
    }

    /// Gives the reference away as the core wants it.
    fn into_raw(this: ARef<Self>) -> *mut bindings::drm_gem_object {
        ManuallyDrop::new(this).as_raw()
    }

    /// Size in bytes, a multiple of the page size.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: The object is initialised, and its size never changes.
        unsafe { (*self.as_raw()).size }
    }

    /// What the object is made of.
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.body {
            Owned::Own(memory, _) => Body::Own(memory),
            Owned::Import(buf) => Body::Import(buf),
        }
    }

    /// The memory, if the object is not an import.
    fn memory(&self) -> Option<&Arc<SharedMemory>> {
        match self.body() {
            Body::Own(memory) => Some(memory),
            Body::Import(_) => None,
        }
    }

    /// Makes a handle of the object for `file`. The user can use it, and close it, before this
    /// function has returned.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the object is of another device than the file; `ENOMEM`; `ENOSPC` if the file
    /// has too many handles.
    pub(crate) fn create_handle(&self, file: &File<T>) -> Result<u32> {
        if !core::ptr::eq(file.device(), &*self.dev) {
            return Err(EINVAL);
        }
        let mut handle = 0;
        // SAFETY: Object and file are valid and belong to the same device.
        to_result(unsafe {
            bindings::drm_gem_handle_create(file.as_raw(), self.as_raw(), &mut handle)
        })?;
        Ok(handle)
    }

    /// Returns the object that `file` knows as `handle`. Fails with `ENOENT`.
    pub(crate) fn lookup(file: &File<T>, handle: u32) -> Result<ARef<Self>> {
        // SAFETY: The file is valid.
        let obj = unsafe { bindings::drm_gem_object_lookup(file.as_raw(), handle) };
        if obj.is_null() {
            return Err(ENOENT);
        }
        // SAFETY: The lookup took a reference for us. All objects of the device of a `File<T>` are
        // made in this file.
        Ok(unsafe { Self::take_raw(obj) })
    }

    /// The offset at which `mmap()` on the node finds the object. Fails with `EINVAL` for imports:
    /// who wants to map them does so with their own descriptor.
    pub(crate) fn mmap_offset(&self) -> Result<u64> {
        self.memory().ok_or(EINVAL)?;
        // SAFETY: The object is valid, and has had its offset since it was made.
        let start = unsafe { (*self.as_raw()).vma_node.vm_node.start };
        // CAST: A page number.
        let page = PAGE_SIZE as u64;
        start.checked_mul(page).ok_or(EINVAL)
    }

    /// The sum that fdinfo shows: adds this object, of which a file has a handle.
    ///
    /// # Safety
    ///
    /// A reference to the object must be held, if only by a handle that is locked.
    unsafe fn add_to(&self, stats: &mut bindings::drm_memory_stats) {
        // CAST: Sizes fit into 64 bits.
        let size = self.size() as u64;

        // SAFETY: The object is valid. Both fields may change, as for the core, which reads them
        // like this, too: the result is a snapshot.
        let shared = unsafe {
            let obj = self.as_raw();
            (&raw const (*obj).handle_count).read_volatile() > 1
                || !(&raw const (*obj).dma_buf).read_volatile().is_null()
        };
        let sum = if shared {
            &mut stats.shared
        } else {
            &mut stats.private
        };
        *sum = sum.saturating_add(size);

        if let Some(memory) = self.memory() {
            // CAST: Sizes fit into 64 bits.
            stats.resident = stats.resident.saturating_add(memory.resident() as u64);
            if memory.in_use() {
                stats.active = stats.active.saturating_add(size);
            }
        }
    }

    /// Called for each handle of a file by [`memory_stats`].
    ///
    /// # Safety
    ///
    /// `obj` must be null or an object of this driver that cannot go away during the call, and
    /// `stats` valid for writes.
    unsafe extern "C" fn stats_callback(
        _handle: c_int,
        obj: *mut c_void,
        stats: *mut c_void,
    ) -> c_int {
        // A handle that is being made or closed has no object.
        if !obj.is_null() {
            // SAFETY: Required of the caller.
            unsafe { Self::from_raw(obj.cast()).add_to(&mut *stats.cast()) };
        }
        0
    }

    /// Free callback: the last reference is gone.
    ///
    /// # Safety
    ///
    /// Must only be called by the DRM core, with an object of this driver.
    unsafe extern "C" fn free_callback(obj: *mut bindings::drm_gem_object) {
        // SAFETY: The core passes the `obj` field of an `Object<T>`, which is the first of a
        // leaked box.
        let this = unsafe { kernel::container_of!(Opaque::cast_from(obj.cast_const()), Self, obj) };

        // SAFETY: Nobody refers to the object any more. The device is still held.
        unsafe { bindings::drm_gem_object_release(obj) };

        // SAFETY: By the type invariants the value is in a leaked box, and nobody refers to it.
        drop(unsafe { KBox::from_raw(this.cast_mut()) });
    }
}

/// What fdinfo says about the objects that `file` has handles of.
pub(super) fn memory_stats<T: Driver>(file: &File<T>) -> bindings::drm_memory_stats {
    let mut stats = bindings::drm_memory_stats::default();
    let raw = file.as_raw();

    // SAFETY: The file is valid and its lock is initialised. All objects of the file are of this
    // driver, and none loses its handle while the lock is held. The callback does not sleep.
    unsafe {
        bindings::spin_lock(&raw mut (*raw).table_lock);
        bindings::idr_for_each(
            &raw const (*raw).object_idr,
            Some(Object::<T>::stats_callback),
            (&raw mut stats).cast(),
        );
        bindings::spin_unlock(&raw mut (*raw).table_lock);
    }
    stats
}

// SAFETY: A `struct drm_gem_object` has a reference count, which `inc_ref` increments, and is
// freed only when the count drops to zero. `Object::alloc` is the only place that makes instances.
unsafe impl<T: Driver> AlwaysRefCounted for Object<T> {
    fn inc_ref(&self) {
        // SAFETY: By the type invariants the reference count is not zero.
        unsafe { bindings::qda_helper_gem_object_get(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the requirements of this function the caller gives up one reference, so the
        // object is valid until the call below.
        let raw = unsafe { obj.as_ref() }.as_raw();

        // SAFETY: As above.
        unsafe { bindings::qda_helper_gem_object_put(raw) };
    }
}

// SAFETY: The reference of a GEM object may be dropped from any thread, and the driver's data is
// `Send`.
unsafe impl<T: Driver> Send for Object<T> {}

// SAFETY: All methods read fields that never change or that may be read at any time, and the
// driver's data is `Sync`.
unsafe impl<T: Driver> Sync for Object<T> {}
