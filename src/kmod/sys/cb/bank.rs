// SPDX-License-Identifier: GPL-2.0

//! One context bank: a device on the private bus, configured for its own IOMMU address space.
//!
//! Owns the device. Made by the parent's probe, removed by the parent's remove, used by the DMA
//! layer in between. Locks: see [`Bank`].
//!
//! # Order
//!
//! Adding: initialise, add, configure DMA, check that the device is really isolated, set masks.
//! Removing: take the device out of its IOMMU group, *then* unregister it. The other order leaves
//! stale links behind, and no group removal at all leaves the group with a pointer to freed memory
//! (the IOMMU core does not watch this bus).

use super::{
    gate::Gate,
    Counted,
    BUS, //
};
use crate::sys::{
    bindings,
    dma::Revoke, //
};
use core::{
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    device::{
        self,
        property::FwNode, //
    },
    error::to_result,
    fmt,
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    types::Opaque, //
};

/// What a bank is made from.
pub(crate) struct BankConfig<'a> {
    /// Name of the device, unique on the bus.
    pub(crate) name: fmt::Arguments<'a>,
    /// The stream id that goes into addresses (property `reg` of the node); not the SMMU's.
    pub(crate) sid: u32,
    /// Width of the addresses that the hardware can put out, 1 to 64 bits.
    pub(crate) dma_bits: u32,
}

/// The allocation around the `struct device`. Freed by the release callback of the device.
#[pin_data]
#[repr(C)]
struct CbDevice {
    #[pin]
    dev: Opaque<bindings::device>,
    parms: Opaque<bindings::device_dma_parameters>,
    /// The node that `dev` refers to.
    node: ARef<FwNode>,
    /// Declared last, hence dropped last: module exit may go on from here.
    counted: Counted,
}

impl CbDevice {
    /// Release callback: the last reference to the device is gone.
    ///
    /// # Safety
    ///
    /// Must only be called by the driver core, for a device in a `CbDevice` that was leaked from
    /// its box.
    unsafe extern "C" fn release(dev: *mut bindings::device) {
        // CAST: `dev` is the first field, and `Opaque` is transparent.
        const { assert!(offset_of!(CbDevice, dev) == 0) };
        let this = dev.cast::<Self>();

        // SAFETY: The box was leaked when the device was initialised, and by the requirements of
        // this function nobody refers to it any more.
        drop(unsafe { KBox::from_raw(this) });
    }
}

/// An added device. Dropping it takes it out of its IOMMU group and unregisters it.
///
/// # Invariants
///
/// The pointer is a device in a [`CbDevice`] for which `device_add()` succeeded and
/// `device_unregister()` was not called; the value owns the reference of `device_initialize()`.
struct AddedDevice(NonNull<bindings::device>);

// SAFETY: A device may be used and unregistered from any thread.
unsafe impl Send for AddedDevice {}

// SAFETY: There is nothing that `&AddedDevice` allows but copying the pointer and logging.
unsafe impl Sync for AddedDevice {}

impl AddedDevice {
    /// Allocates, initialises and adds a device.
    fn new(
        parent: &device::Device,
        node: ARef<FwNode>,
        name: fmt::Arguments<'_>,
        dma_mask: u64,
    ) -> Result<Self> {
        let counted = Counted::new()?;
        let this = KBox::pin_init(
            pin_init!(CbDevice {
                dev: Opaque::zeroed(),
                parms: Opaque::zeroed(),
                node,
                counted,
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The allocation is not moved any more; `release` frees it where it is.
        let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(this) });

        // SAFETY: `this` is valid. Zero bytes are what `device_initialize` and
        // `struct device_dma_parameters` want to find.
        let (dev, parms, fwnode) = unsafe {
            (
                (*this).dev.get(),
                (*this).parms.get(),
                // CAST: `FwNode` is a transparent wrapper of `struct fwnode_handle`.
                core::ptr::from_ref::<FwNode>(&(*this).node)
                    .cast_mut()
                    .cast::<bindings::fwnode_handle>(),
            )
        };

        // SAFETY: `dev` points to a zeroed `struct device` that nobody else knows. The parent is
        // valid here, and `device_add` takes a reference. The node lives as long as the device.
        // The masks and the parameters are in the same allocation as the device.
        unsafe {
            bindings::device_initialize(dev);
            (*dev).parent = core::ptr::from_ref(parent)
                .cast_mut()
                .cast::<bindings::device>();
            (*dev).bus = &BUS.0;
            (*dev).release = Some(CbDevice::release);
            bindings::device_set_node(dev, fwnode);
            (*dev).coherent_dma_mask = dma_mask;
            (*dev).dma_mask = &raw mut (*dev).coherent_dma_mask;
            (*dev).dma_parms = parms;
            // Else the DMA API splits a buffer at every 64 KiB of its one address range.
            bindings::dma_set_max_seg_size(dev, c_uint::MAX);
        }

        Self::add(dev, name).inspect_err(|_| {
            // SAFETY: The device is initialised, and this is its only reference.
            unsafe { bindings::put_device(dev) };
        })?;

        // INVARIANT: The device was added just now, and the reference is ours.
        NonNull::new(dev).map(Self).ok_or(ENOMEM)
    }

    /// Names and adds an initialised device.
    fn add(dev: *mut bindings::device, name: fmt::Arguments<'_>) -> Result {
        // SAFETY: The device is initialised, and "%pA" takes a pointer to `fmt::Arguments`.
        to_result(unsafe {
            bindings::dev_set_name(
                dev,
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&name).cast::<c_void>(),
            )
        })?;

        // The driver core answers a duplicate with a backtrace, and a device tree is no reason
        // for that.
        //
        // SAFETY: The bus is registered, or there were no `Counted`. The name is valid during
        // the call, and is what the match function wants.
        let twin = unsafe {
            bindings::bus_find_device(
                &BUS.0,
                core::ptr::null_mut(),
                bindings::dev_name(dev).cast(),
                Some(bindings::device_match_name),
            )
        };
        if !twin.is_null() {
            // SAFETY: `bus_find_device` took a reference for us.
            unsafe { bindings::put_device(twin) };
            return Err(EEXIST);
        }

        // SAFETY: The device is initialised and was not added yet.
        to_result(unsafe { bindings::device_add(dev) })
    }

    fn as_raw(&self) -> *mut bindings::device {
        self.0.as_ptr()
    }

    fn device(&self) -> &device::Device {
        // SAFETY: By the type invariants the device is valid while `self` exists.
        unsafe { device::Device::from_raw(self.as_raw()) }
    }

    /// Configures DMA and checks that the device has a translating address space of its own.
    /// Returns the number of its IOMMU group.
    fn configure(&self, dma_mask: u64) -> Result<i32> {
        let dev = self.as_raw();

        // SAFETY: The device was added, and its node is valid and is an OF node.
        to_result(unsafe {
            bindings::of_dma_configure_id(dev, (*dev).of_node, true, core::ptr::null())
        })?;

        // Everything but a deferral is swallowed by the call above: the device would do direct
        // DMA, unprotected. So look at what came of it.
        //
        // SAFETY: The device is valid. Its group was set by the call above, if at all, and is
        // taken away only by the drop of `self`.
        let group = unsafe { (*dev).iommu_group };
        if group.is_null() {
            dev_err!(self.device(), "no IOMMU group: not isolated, refused\n");
            return Err(ENODEV);
        }

        // SAFETY: The device is in a group, whose domain stays while the device is a member: it
        // has no driver that could exchange it.
        let domain = unsafe { bindings::iommu_get_domain_for_dev(dev) };
        const TRANSLATING: u32 = bindings::__IOMMU_DOMAIN_PAGING | bindings::__IOMMU_DOMAIN_DMA_API;
        // SAFETY: A domain that is not NULL is valid, see above.
        if domain.is_null() || unsafe { (*domain).type_ } & TRANSLATING != TRANSLATING {
            dev_err!(self.device(), "IOMMU domain does not translate: refused\n");
            return Err(ENODEV);
        }

        // SAFETY: The device is valid.
        if !unsafe { bindings::qda_helper_use_dma_iommu(dev) } {
            dev_err!(
                self.device(),
                "DMA does not go through the IOMMU: refused\n"
            );
            return Err(ENODEV);
        }

        // After the configuration, because it also finds out again whether caches need care.
        //
        // SAFETY: The device is valid and has both masks.
        to_result(unsafe { bindings::dma_set_mask_and_coherent(dev, dma_mask) })?;

        // SAFETY: The group is valid, see above.
        Ok(unsafe { bindings::iommu_group_id(group) })
    }
}

impl Drop for AddedDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the device is valid and added, and the reference that
        // the second call drops is ours. The first call does nothing if there is no group.
        unsafe {
            bindings::iommu_group_remove_device(self.as_raw());
            bindings::device_unregister(self.as_raw());
        }
    }
}

/// What may be mapped for a bank.
///
/// Exporters of dma-bufs unmap with the device that they were given at mapping, and memory that was
/// mapped must not be freed before it is unmapped: all must be done before that device goes.
struct Mappings {
    /// By address of the mapping.
    tree: RBTree<usize, Arc<dyn Revoke>>,
    /// The bank is being removed: nothing is added any more.
    closed: bool,
}

/// A context bank.
///
/// The bank itself lives as long as somebody holds it. Its device lives until [`Bank::remove`].
///
/// # Locking
///
/// A sleeping reader-writer lock guards the device: `Bank::with_device` holds it shared,
/// [`Bank::remove`] exclusively. Its place in the lock order is described in [`super`].
///
/// A mutex around the list of mappings. They are revoked while it is held, so it is outside of all
/// locks that a revocation takes.
#[pin_data]
pub(crate) struct Bank {
    #[pin]
    mappings: Mutex<Mappings>,
    #[pin]
    device: Gate<AddedDevice>,
    mapped: Atomic<usize>,
    sid: u32,
    group_id: i32,
    coherent: bool,
}

impl Bank {
    /// Makes a bank of the device-tree node `node` below `parent`.
    ///
    /// The caller removes the bank before `parent` is unbound. May sleep.
    ///
    /// # Errors
    ///
    /// * `EPROBE_DEFER`: the IOMMU has no driver yet; the probe of `parent` should pass this on.
    /// * `ENODEV`: the device is not isolated by an IOMMU, or the bus does not exist.
    /// * `EINVAL`: the width is out of range, or the node is not from the device tree.
    /// * `EEXIST`: the name is taken.
    /// * `EIO`: the hardware cannot do DMA with addresses of that width.
    /// * `ENOMEM`.
    pub(crate) fn new(
        parent: &device::Device,
        node: ARef<FwNode>,
        config: BankConfig<'_>,
    ) -> Result<Arc<Self>> {
        if !node.is_of_node() {
            return Err(EINVAL);
        }
        let unused = 64_u32.checked_sub(config.dma_bits).ok_or(EINVAL)?;
        let dma_mask = u64::MAX.checked_shr(unused).ok_or(EINVAL)?;

        let device = AddedDevice::new(parent, node, config.name, dma_mask)?;
        let group_id = device.configure(dma_mask)?;
        // SAFETY: The device is valid.
        let coherent = unsafe { bindings::qda_helper_dev_is_dma_coherent(device.as_raw()) };

        Arc::pin_init(
            pin_init!(Self {
                mappings <- new_mutex!(
                    Mappings {
                        tree: RBTree::new(),
                        closed: false,
                    },
                    "qda_bank_mappings"
                ),
                device <- Gate::new(device),
                mapped: Atomic::new(0),
                sid: config.sid,
                group_id,
                coherent,
            }),
            GFP_KERNEL,
        )
    }

    /// The stream id that goes into the addresses of this bank.
    pub(crate) fn sid(&self) -> u32 {
        self.sid
    }

    /// Number of the IOMMU group. Two banks with the same number share an address space.
    pub(crate) fn group_id(&self) -> i32 {
        self.group_id
    }

    /// Whether the hardware sees the CPU's caches, so that no cache maintenance is needed.
    pub(crate) fn is_coherent(&self) -> bool {
        self.coherent
    }

    /// Number of buffers of users that the hardware can reach through this bank. May be outdated at
    /// once.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Relaxed)
    }

    /// Calls `f` with the device, unless the bank was removed. The device stays configured until
    /// `f` has returned; the pointer must not be used after that.
    ///
    /// What is mapped with the device must be unmapped in a later call of this function. If that
    /// answers `None`, the address space is gone with all mappings in it: the hardware is blocked
    /// by the IOMMU, and there is nothing left that could be unmapped.
    ///
    /// `f` may sleep; it must neither call this function nor [`Bank::remove`] for the same bank.
    pub(in crate::sys) fn with_device<R>(
        &self,
        f: impl FnOnce(*mut bindings::device) -> R,
    ) -> Option<R> {
        self.device.with(|device| f(device.as_raw()))
    }

    /// Adds a mapping that [`Self::remove`] revokes if nobody did so before. It stays on the list,
    /// and keeps the bank, until [`Self::delist`].
    ///
    /// Fails with `ENODEV` if the bank is being removed, and with `ENOMEM`.
    pub(in crate::sys) fn enlist(&self, mapping: Arc<dyn Revoke>) -> Result {
        let key = key(&*mapping);
        let mut mappings = self.mappings.lock();
        if mappings.closed {
            return Err(ENODEV);
        }
        let old = mappings
            .tree
            .try_create_and_insert(key, mapping, GFP_KERNEL)?;
        drop(mappings);
        drop(old);
        Ok(())
    }

    /// Takes a mapping off the list, if it is on it.
    pub(in crate::sys) fn delist(&self, mapping: &dyn Revoke) {
        let old = self.mappings.lock().tree.remove(&key(mapping));
        // Outside of the lock.
        drop(old);
    }

    /// Takes the device away: revokes mappings, waits for running users, tears the address space
    /// down and unregisters the device. Does nothing if the device is gone already.
    ///
    /// Call it after the hardware was stopped and the last mapping was undone, and before the
    /// parent is unbound. The memory of the device goes later, with its last reference. May sleep.
    pub(crate) fn remove(&self) {
        let mut mappings = self.mappings.lock();
        mappings.closed = true;
        for mapping in mappings.tree.values() {
            mapping.revoke();
        }
        drop(mappings);

        self.device.revoke();
    }
}

/// A share in [`Bank::mapped`], for as long as a buffer is mapped.
pub(in crate::sys) struct CountMapped(Arc<Bank>);

impl CountMapped {
    /// Adds a share.
    pub(in crate::sys) fn new(bank: &Arc<Bank>) -> Self {
        bank.mapped.fetch_add(1, Relaxed);
        Self(bank.clone())
    }
}

impl Drop for CountMapped {
    fn drop(&mut self) {
        self.0.mapped.fetch_sub(1, Relaxed);
    }
}

/// The place of a mapping in the list of a bank.
fn key(mapping: &dyn Revoke) -> usize {
    // CAST: The address as a number.
    core::ptr::from_ref(mapping).cast::<()>() as usize
}
