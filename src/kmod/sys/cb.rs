// SPDX-License-Identifier: GPL-2.0

//! Context banks: devices with an IOMMU address space of their own, on a private bus.
//!
//! A device-tree node describes hardware with several IOMMU address spaces as one parent with one
//! child per address space. Each child becomes a [`Bank`]: a device without driver, whose only
//! job is to be the device of DMA mappings. The bus is private, so that no other driver can match
//! the devices; therefore the IOMMU core does not configure them by itself, and `bank.rs` does it
//! with `of_dma_configure_id()`, as host1x does for its context devices
//! (`drivers/gpu/host1x/context.c`).
//!
//! This file owns the bus and the count of devices on it. [`Bus::register`] and the drop of
//! [`Bus`] are called by module init and exit; everything else is called by the parent's probe and
//! remove.
//!
//! # Lock order
//!
//! The locks of a bank (see [`Bank`]) are taken inside the locks of the driver, and outside of
//! those of the driver core, the IOMMU core, the DMA API and the exporters of dma-bufs. No two banks
//! are locked at once. Of the locks of the driver only those of [`dma`](crate::sys::dma) are taken
//! inside.
//!
//! # Place in rust/kernel
//!
//! None yet: this is driver code, kept apart because it is unsafe. The day the IOMMU core
//! configures devices of this bus by itself, the calls in `bank.rs` go away.

mod bank;
mod gate;

pub(in crate::sys) use self::bank::CountMapped;
pub(crate) use self::bank::{
    Bank,
    BankConfig, //
};

use crate::sys::bindings;
use kernel::{
    device::property::FwNode,
    error::to_result,
    prelude::*,
    str::as_char_ptr_in_const_context,
    sync::{
        aref::ARef,
        atomic::{
            ordering::{
                Full,
                Relaxed, //
            },
            Atomic, //
        }, //
    },
    types::Opaque, //
};

/// How long module exit waits before it says that it is still waiting, in milliseconds.
const COMPLAIN_MS: c_uint = 10_000;

/// A `struct bus_type` in static memory.
struct BusType(bindings::bus_type);

// SAFETY: The driver core only reads the structure, and so do we.
unsafe impl Sync for BusType {}

/// The bus. It has no match callback and no drivers: nothing ever binds to its devices.
static BUS: BusType = BusType(bindings::bus_type {
    name: as_char_ptr_in_const_context(c"qda-compute-cb"),
    ..pin_init::zeroed()
});

/// A `struct completion` in static memory.
struct StaticCompletion(Opaque<bindings::completion>);

// SAFETY: A completion may be used from all threads.
unsafe impl Sync for StaticCompletion {}

/// Completed when [`COUNT`] has dropped to zero. Initialised while a [`Bus`] exists.
static ALL_RELEASED: StaticCompletion = StaticCompletion(Opaque::uninit());

/// Whether a [`Bus`] exists: 0 or 1.
static OWNED: Atomic<u32> = Atomic::new(0);

/// Zero while there is no bus; else one plus the number of devices whose release callback has not
/// run.
static COUNT: Atomic<u32> = Atomic::new(0);

/// A share in [`COUNT`].
///
/// # Invariants
///
/// The share is included in [`COUNT`], and [`ALL_RELEASED`] is initialised.
struct Counted(());

impl Counted {
    /// Adds a share, unless the bus is gone.
    fn new() -> Result<Self> {
        let mut count = COUNT.load(Relaxed);

        loop {
            if count == 0 {
                return Err(ENODEV);
            }
            let next = count.checked_add(1).ok_or(EBUSY)?;
            match COUNT.cmpxchg(count, next, Full) {
                // INVARIANT: The share was added. The count was not zero, so a bus exists or
                // waits for its devices.
                Ok(_) => return Ok(Self(())),
                Err(now) => count = now,
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // By the type invariants the count is at least one.
        if COUNT.fetch_sub(1, Full) == 1 {
            // SAFETY: By the type invariants the completion is initialised. It is static.
            unsafe { bindings::complete_all(ALL_RELEASED.0.get()) };
        }
    }
}

/// The registered bus.
///
/// Dropping it waits until the release callback of every bank's device has run and returned: the
/// callback is code of this module, and device links run it from a work queue some time after the
/// device was unregistered. All banks must have been removed before, or the wait never ends.
///
/// # Invariants
///
/// [`BUS`] is registered, [`OWNED`] is one, and the value owns a share of [`COUNT`].
pub(crate) struct Bus(Option<Counted>);

impl Bus {
    /// Registers the bus. There is one; a second one is refused with `EBUSY`.
    ///
    /// May sleep.
    pub(crate) fn register() -> Result<Self> {
        if OWNED.cmpxchg(0, 1, Full).is_err() {
            return Err(EBUSY);
        }

        // SAFETY: The completion is static. Nobody uses it: the last user of an earlier bus was
        // waited for, and there are no new ones before the count is set below.
        unsafe { bindings::init_completion(ALL_RELEASED.0.get()) };

        // SAFETY: The structure is static and valid.
        if let Err(e) = to_result(unsafe { bindings::bus_register(&BUS.0) }) {
            OWNED.xchg(0, Full);
            return Err(e);
        }

        COUNT.xchg(1, Full);

        // INVARIANT: The bus is registered, and the one in `COUNT` is our share.
        Ok(Self(Some(Counted(()))))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Most releases sit in the work queue of the device links.
        //
        // SAFETY: No requirements; may sleep here.
        unsafe { bindings::device_link_wait_removal() };

        self.0 = None;

        loop {
            // SAFETY: No requirements.
            let timeout = unsafe { bindings::__msecs_to_jiffies(COMPLAIN_MS) };

            // SAFETY: The completion is static, and initialised by the type invariants.
            let left =
                unsafe { bindings::wait_for_completion_timeout(ALL_RELEASED.0.get(), timeout) };
            if left != 0 {
                break;
            }
            pr_warn!(
                "still waiting for {} context bank devices to be released\n",
                COUNT.load(Relaxed)
            );
        }

        // The last release callback may still be in its final instructions, on a work queue or in
        // whatever context dropped the last reference, and these are instructions of this module.
        // It does not sleep there, so after this it has returned.
        //
        // SAFETY: No requirements; may sleep here.
        unsafe { bindings::synchronize_rcu_tasks() };

        // SAFETY: By the type invariants the bus is registered.
        unsafe { bindings::bus_unregister(&BUS.0) };

        OWNED.xchg(0, Full);
    }
}

/// The available children of `node` that are compatible with `compatible`.
///
/// Children whose `status` disables them are skipped. Each item owns a reference to its node, or is
/// `ENOMEM` where there was no memory to look at a child: one that was passed over would be missed.
pub(crate) fn compatible_children<'a>(
    node: &'a FwNode,
    compatible: &'a CStr,
) -> impl Iterator<Item = Result<ARef<FwNode>>> + 'a {
    node.children().filter_map(move |child| {
        match child.property_match_string(c"compatible", compatible) {
            Ok(_) => Some(Ok(child)),
            Err(e) if e == ENOMEM => Some(Err(e)),
            Err(_) => None,
        }
    })
}
