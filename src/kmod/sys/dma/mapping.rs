// SPDX-License-Identifier: GPL-2.0

//! Buffers of users in the address space of a context bank.
//!
//! Owns a mapping, and the pages that it maps as long as it is not revoked. Made and revoked by
//! the engine. Revoking takes the mutex of the mapping, see [`super`] for the order.

use super::import::Import;
use crate::sys::{
    cb::Bank,
    dmabuf::DmaBuf, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

enum Body {
    /// A dma-buf.
    Import(Arc<Import>),
}

/// One buffer, whole, in the address space of one bank, at one contiguous device address.
///
/// Revoked at the latest when it is dropped, which may sleep.
pub(crate) struct BankMapping {
    body: Body,
    address: u64,
    size: usize,
    bank: Arc<Bank>,
}

impl BankMapping {
    /// Attaches a dma-buf to the device of `bank` and maps all of it.
    ///
    /// # Errors
    ///
    /// * `ENODEV`: the bank was removed.
    /// * `EINVAL`: the mapping is not contiguous, or shorter than the buffer.
    /// * `ENOMEM`.
    /// * Whatever else the exporter fails with.
    pub(crate) fn of_dma_buf(bank: &Arc<Bank>, buf: &DmaBuf) -> Result<Arc<Self>> {
        let import = Import::new()?;
        bank.enlist(&import)?;
        let address = import
            .attach(bank, buf)
            .inspect_err(|_| bank.delist(&import))?;

        // If there is no memory for the reference count, the value is dropped and revoked.
        let this = Self {
            body: Body::Import(import),
            address,
            size: buf.size(),
            bank: bank.clone(),
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Returns the device address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Returns the size of the buffer in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes the buffer from the device, which cannot reach it when this returns.
    ///
    /// Does nothing the second time, but waits if somebody else is doing it. May sleep.
    pub(crate) fn revoke(&self) {
        match &self.body {
            Body::Import(import) => {
                import.revoke();
                self.bank.delist(import);
            }
        }
    }

    /// Whether the device cannot reach the buffer any more.
    pub(crate) fn is_revoked(&self) -> bool {
        match &self.body {
            Body::Import(import) => import.is_revoked(),
        }
    }

    /// Whether nobody but mappings of this module has the buffer: no user can name it again.
    ///
    /// Does not wait for the exporter of a dma-buf: says no while that is at work.
    pub(crate) fn is_abandoned(&self) -> bool {
        match &self.body {
            Body::Import(import) => import.is_abandoned(),
        }
    }
}

impl Drop for BankMapping {
    fn drop(&mut self) {
        self.revoke();
    }
}
