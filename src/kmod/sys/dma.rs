// SPDX-License-Identifier: GPL-2.0

//! Memory in the address space of a context bank.
//!
//! C headers: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h),
//! [`include/linux/scatterlist.h`](srctree/include/linux/scatterlist.h)
//!
//! | type | whose pages | CPU access |
//! |---|---|---|
//! | [`DmaMemory`] | its own, allocated with it | copies through a kernel address |
//! | [`BankMapping`] | a user's buffer or an imported dma-buf | none |
//!
//! Both keep pages and mapping apart: a mapping can be revoked while users of the pages still
//! exist, and the pages outlive the device. That is what a driver needs whose device can vanish
//! under open files, and what `kernel::dma::Coherent` cannot do. The device always sees one
//! contiguous range of addresses.
//!
//! The device may write at any moment, so there is never a reference to the contents: bytes go in
//! and out through copies by functions that the compiler does not see into.
//!
//! # Locking
//!
//! From the outside to the inside: the list of a bank's mappings, the mutex of a mapping, the
//! [bank](crate::sys::cb::Bank)'s gate, the reservation lock of a dma-buf, and whatever its
//! exporter takes. The list of the mappings of a memory is outside of the mutex of a mapping. So
//! nothing of this may be called with a reservation lock held, but for [`SgTable`], which takes no
//! lock.

mod import;
mod mapping;
mod memory;
mod table;

pub(crate) use self::mapping::BankMapping;
pub(in crate::sys) use self::mapping::Mappings;
pub(crate) use self::memory::DmaMemory;
pub(in crate::sys) use self::table::SgTable;

use crate::sys::{
    bindings,
    cb::Bank, //
};
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A mapping that can be taken from the device while others still refer to it.
pub(in crate::sys) trait Revoke: Send + Sync {
    /// Unmaps. The device cannot reach the memory when this returns, and never again through this
    /// mapping. Does nothing the second time. May sleep.
    fn revoke(&self);
}

/// A mapping on the list of its bank, which revokes it at the latest when the bank is removed.
///
/// Dropping this revokes the mapping and takes it off the list.
struct Listed<T: Revoke + 'static> {
    mapping: Arc<T>,
    bank: Arc<Bank>,
}

impl<T: Revoke + 'static> Listed<T> {
    /// Puts a mapping on the list that is not made yet: it could be too late after that.
    ///
    /// Fails with `ENODEV` if the bank is being removed, and with `ENOMEM`.
    fn new(mapping: Arc<T>, bank: &Arc<Bank>) -> Result<Self> {
        bank.enlist(mapping.clone())?;
        Ok(Self {
            mapping,
            bank: bank.clone(),
        })
    }

    fn revoke(&self) {
        self.mapping.revoke();
        self.bank.delist(&*self.mapping);
    }
}

impl<T: Revoke + 'static> Deref for Listed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.mapping
    }
}

impl<T: Revoke + 'static> Drop for Listed<T> {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// Who wrote the bytes that are handed over, or will write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The CPU has written, the device will read.
    ToDevice,
    /// The device will write or has written, the CPU will read.
    FromDevice,
    /// Both.
    Both,
}

impl Direction {
    fn as_raw(self) -> bindings::dma_data_direction {
        match self {
            Self::ToDevice => bindings::dma_data_direction::DMA_TO_DEVICE,
            Self::FromDevice => bindings::dma_data_direction::DMA_FROM_DEVICE,
            Self::Both => bindings::dma_data_direction::DMA_BIDIRECTIONAL,
        }
    }
}
