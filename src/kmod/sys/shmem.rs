// SPDX-License-Identifier: GPL-2.0

//! Memory of user buffers: unlinked shmem files, pinned folio by folio while a device needs them.
//!
//! [`SharedMemory`] owns the file, [`Folios`] own a pin on every page of it. Users are GEM objects
//! (mmap, PRIME) and the mappings in context banks. A user area refers to the shmem file itself
//! and to nothing of ours, so splitting, forking, remapping, swapping and huge pages are the
//! business of shmem, and areas stay good after the buffer and even the device went.
//!
//! Pages are found or made on first use and charged to the memory cgroup of the task that touches
//! them first. They can be swapped as long as nobody pins them.
//!
//! # What users can do to the file
//!
//! They never get a descriptor of it, but `madvise(MADV_REMOVE)` on an area punches a hole. Pinned
//! folios leave the file then and stay with their pin: a device goes on with the old pages, the
//! user sees new ones. Nothing here relies on a pinned folio still being in the file.
//!
//! # Locking
//!
//! A mutex around the list of mappings in banks; the locks of mappings come after it, see
//! [`dma`](crate::sys::dma). All functions that need pages may sleep and allocate; none may be
//! called with spinlocks held.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/memfd.h`](srctree/include/linux/memfd.h)

mod folios;

pub(in crate::sys) use self::folios::Folios;

use crate::sys::{
    bindings,
    dma::Mappings, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// Name of the files in `/proc/PID/maps`.
const NAME: &CStr = c"qda buffer";

/// Areas cannot grow, because nobody would check the size again, and are left out of core dumps,
/// like those of all DRM drivers.
const VM_FLAGS: bindings::vm_flags_t = bindings::VM_DONTEXPAND | bindings::VM_DONTDUMP;

/// A mount of tmpfs on which files can be made, for another policy of huge pages.
///
/// # Invariants
///
/// The pointer is a valid mount of tmpfs during `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Mount<'a>(NonNull<bindings::vfsmount>, PhantomData<&'a ()>);

impl Mount<'_> {
    /// # Safety
    ///
    /// `mount` must be a mount of tmpfs that stays valid during the lifetime.
    pub(in crate::sys) unsafe fn from_raw(mount: NonNull<bindings::vfsmount>) -> Self {
        // INVARIANT: Required of the caller.
        Self(mount, PhantomData)
    }
}

/// A reference to an open file.
///
/// # Invariants
///
/// The pointer is a shmem file, and `self` owns one reference to it.
struct ShmemFile(NonNull<bindings::file>);

// SAFETY: References to files may be dropped by any thread.
unsafe impl Send for ShmemFile {}

// SAFETY: There is nothing that `&ShmemFile` allows but copying the pointer, and functions of
// files that may be called concurrently.
unsafe impl Sync for ShmemFile {}

impl ShmemFile {
    fn new(size: usize, mount: Option<Mount<'_>>) -> Result<Self> {
        let size = bindings::loff_t::try_from(size).map_err(|_| E2BIG)?;
        // SAFETY: The name is static and the mount, if any, is valid by its type invariant.
        let file = from_err_ptr(unsafe {
            match mount {
                Some(mount) => bindings::qda_helper_shmem_file_setup_with_mnt(
                    mount.0.as_ptr(),
                    NAME.as_char_ptr(),
                    size,
                ),
                None => bindings::qda_helper_shmem_file_setup(NAME.as_char_ptr(), size),
            }
        })
        // tmpfs has no limits of its own here: it found no memory for an inode.
        .map_err(|e| if e == ENOSPC { ENOMEM } else { e })?;
        // INVARIANT: The file was just made, and its first reference is ours.
        let this = NonNull::new(file).map(Self).ok_or(ENOMEM)?;

        // Pages will be pinned, so it would be wrong to make them where pages are expected to be
        // movable: pinning would have to copy each of them elsewhere.
        //
        // SAFETY: Nobody else knows the file yet.
        unsafe { (*this.mapping()).gfp_mask = bindings::QDA_GFP_BUFFER };
        Ok(this)
    }

    fn as_raw(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariants the file is valid; the field never changes.
        unsafe { (*self.as_raw()).f_mapping }
    }

    /// Number of pages in memory. May be outdated at once.
    fn resident_pages(&self) -> usize {
        let mapping = self.mapping();
        // SAFETY: The file holds its mapping. The counter may change at any time, hence volatile.
        unsafe { core::ptr::read_volatile(&raw const (*mapping).nrpages) }
    }
}

impl Clone for ShmemFile {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants the file is valid, and its count is not zero.
        unsafe { bindings::get_file(self.as_raw()) };
        // INVARIANT: The reference was just taken.
        Self(self.0)
    }
}

impl Drop for ShmemFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariants we own this reference.
        unsafe { bindings::fput(self.as_raw()) };
    }
}

/// Memory of a user buffer: an unlinked shmem file.
///
/// # Invariants
///
/// `size` is a multiple of the page size and not zero, and the length of the file when it was made.
#[pin_data(PinnedDrop)]
pub(crate) struct SharedMemory {
    file: ShmemFile,
    size: usize,
    id: u64,
    users: Atomic<usize>,
    /// Mappings in context banks.
    #[pin]
    mappings: Mutex<Mappings>,
}

/// Source of [`SharedMemory::id`].
static LAST_ID: Atomic<u64> = Atomic::new(0);

impl SharedMemory {
    /// Makes memory of `size` bytes, all zero. Pages come later, with the first use of each.
    ///
    /// With `mount` the file is made there and gets huge pages as the mount says.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the size is 0 or not a multiple of the page size, `E2BIG` if no file can be so
    /// long, `ENOMEM`.
    pub(crate) fn new(size: usize, mount: Option<Mount<'_>>) -> Result<Arc<Self>> {
        if size == 0 || size % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let file = ShmemFile::new(size, mount)?;
        // Cannot repeat: 2^64 buffers take centuries.
        let id = LAST_ID.fetch_add(1, Relaxed).wrapping_add(1);

        // INVARIANT: The size was checked, and the file was made with it.
        Arc::pin_init(
            pin_init!(Self {
                file,
                size,
                id,
                users: Atomic::new(0),
                mappings <- new_mutex!(Mappings::new(), "qda_memory_mappings"),
            }),
            GFP_KERNEL,
        )
    }

    /// Size in bytes, a multiple of the page size.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Serial number of the memory: never 0 and never used again.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Bytes that have pages in memory now. What is swapped out does not count.
    pub(crate) fn resident(&self) -> usize {
        self.file
            .resident_pages()
            .saturating_mul(PAGE_SIZE)
            .min(self.size)
    }

    /// Says that a device uses the memory until the result is dropped.
    pub(crate) fn begin_use(self: &Arc<Self>) -> InUse {
        let _ = self.users.fetch_add(1, Relaxed);
        // INVARIANT: The user was counted just now.
        InUse(self.clone())
    }

    /// Whether a device uses the memory now: a call that has it as argument is under way, or it is
    /// mapped by the program on the device.
    pub(crate) fn in_use(&self) -> bool {
        self.users.load(Relaxed) != 0
    }

    /// The shmem file, to compare it with that of a user area.
    pub(in crate::sys) fn file(&self) -> *mut bindings::file {
        self.file.as_raw()
    }

    /// The mappings of this memory in context banks.
    ///
    /// The lock is outside of all locks that mapping, unmapping and synchronising take, see
    /// [`dma`](crate::sys::dma); do not take it with a reservation lock held.
    pub(in crate::sys) fn mappings(&self) -> &Mutex<Mappings> {
        &self.mappings
    }

    /// Makes `vma` an area of this memory.
    ///
    /// Its `vm_pgoff` must already count from the start of the memory. The area refers to the
    /// shmem file alone after that. Private areas get copies of the pages that they write, as for
    /// any file.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the area does not lie inside the memory.
    ///
    /// # Safety
    ///
    /// Must be called in the `mmap` operation of a file or of a dma-buf, with the area of that
    /// operation. On success, no private data or operations in the area may be used any more.
    pub(in crate::sys) unsafe fn map_user(&self, vma: *mut bindings::vm_area_struct) -> Result {
        // SAFETY: The caller promises that the area is being made, so nobody else changes it.
        let (first, start, end) = unsafe {
            (
                (*vma).vm_pgoff,
                (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start,
                (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_end,
            )
        };
        let pages = end.checked_sub(start).ok_or(EINVAL)? / PAGE_SIZE;
        if first.checked_add(pages).ok_or(EINVAL)? > self.size / PAGE_SIZE {
            return Err(EINVAL);
        }

        // SAFETY: The area is being made, see above, and the file is valid.
        unsafe {
            (*vma).vm_private_data = core::ptr::null_mut();
            to_result(bindings::qda_helper_vfs_mmap(self.file(), vma))?;
            bindings::vma_set_file(vma, self.file());
            bindings::qda_helper_vm_flags_set(vma, VM_FLAGS);
        }
        Ok(())
    }

    /// Makes all pages, as far as they are missing.
    ///
    /// Pinning would do it, too, but not before it has tried to kill somebody for memory.
    fn populate(&self) -> Result {
        let pages = self.size / PAGE_SIZE;
        if self.file.resident_pages() >= pages {
            return Ok(());
        }

        let mut index = 0;
        while index < pages {
            // SAFETY: The mapping is that of a shmem file, which we hold.
            let folio = from_err_ptr(unsafe {
                bindings::shmem_read_folio_gfp(self.file.mapping(), index, bindings::QDA_GFP_PIN)
            })
            // There are no quotas on these files.
            .map_err(|e| if e == ENOSPC { ENOMEM } else { e })?;

            // SAFETY: We own a reference to the folio until the second call.
            let next = unsafe {
                let next = bindings::qda_helper_folio_next_index(folio);
                bindings::qda_helper_folio_put(folio);
                next
            };
            // Cannot overflow: the index is less than the number of pages. The folio contains the
            // index, so `next` is larger; be sure to end in any case.
            index = next.max(index.wrapping_add(1));

            pause()?;
        }
        Ok(())
    }

    /// Finds or makes all pages and pins them where they are.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if the memory cgroup is full; `EINTR` if the task is being killed; `EINVAL`
    /// if somebody with the right to do so has cut the file.
    pub(in crate::sys) fn pin(&self) -> Result<Arc<Folios>> {
        self.populate()?;

        Ok(Arc::new(Folios::new(&self.file, self.size)?, GFP_KERNEL)?)
    }
}

#[pinned_drop]
impl PinnedDrop for SharedMemory {
    fn drop(self: Pin<&mut Self>) {
        self.mappings.lock().revoke();
    }
}

/// A point in long work at which others may run, and at which a killed task gives up.
fn pause() -> Result {
    // SAFETY: These functions have no requirements; we may sleep.
    unsafe {
        bindings::qda_helper_cond_resched();
        if bindings::qda_helper_fatal_signal_pending() {
            return Err(EINTR);
        }
    }
    Ok(())
}

/// A use of memory by a device, see [`SharedMemory::begin_use`].
///
/// # Invariants
///
/// The value is counted in `users` of the memory.
pub(crate) struct InUse(Arc<SharedMemory>);

impl Drop for InUse {
    fn drop(&mut self) {
        // By the type invariants the count is not zero.
        let _ = self.0.users.fetch_sub(1, Relaxed);
    }
}
