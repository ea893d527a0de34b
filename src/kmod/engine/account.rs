// SPDX-License-Identifier: GPL-2.0

//! What a client may have, and how much buffer memory there may be.
//!
//! A buffer carries a [`Charge`], so that its bytes count for as long as it exists, whoever holds
//! it: a handle, a file descriptor, a process on the DSP. It counts for the file that made it and
//! for the DSP. Takes no locks.

use crate::engine::error::{
    CallError,
    CallResult, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// The limits of clients. Root sets them when the module is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one buffer.
    pub(crate) buffer: u64,
    /// Bytes of all buffers that one open file made.
    pub(crate) file: u64,
    /// Number of these buffers.
    pub(crate) file_buffers: u64,
    /// Bytes of all buffers that all files of a DSP made.
    pub(crate) dsp: u64,
    /// Calls that a session has under way at once.
    pub(crate) calls: usize,
    /// Bytes of inline data in one call.
    pub(crate) inline: u64,
}

/// Something of which there may be only so much.
struct Counter {
    most: u64,
    used: Atomic<u64>,
}

impl Counter {
    fn new(most: u64) -> Self {
        Self {
            most,
            used: Atomic::new(0),
        }
    }

    /// Adds `amount`, if there may be so much.
    fn add(&self, amount: u64) -> CallResult {
        let mut used = self.used.load(Relaxed);
        loop {
            let sum = used
                .checked_add(amount)
                .filter(|sum| *sum <= self.most)
                .ok_or(CallError::Limit)?;
            match self.used.cmpxchg(used, sum, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => used = now,
            }
        }
    }

    /// Takes away what was added before.
    fn sub(&self, amount: u64) {
        self.used.fetch_sub(amount, Relaxed);
    }

    fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

/// The bytes of the buffers of a whole DSP.
pub(crate) struct Total(Counter);

impl Total {
    /// There is no buffer yet.
    pub(crate) fn new(limits: Limits) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(Counter::new(limits.dsp)), GFP_KERNEL)?)
    }

    /// Bytes of all buffers.
    pub(crate) fn used(&self) -> u64 {
        self.0.used()
    }
}

/// The buffers of one client.
pub(crate) struct Account {
    most_of_one: u64,
    bytes: Counter,
    buffers: Counter,
    total: Arc<Total>,
}

impl Account {
    /// Opens an account.
    pub(crate) fn new(limits: Limits, total: Arc<Total>) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                most_of_one: limits.buffer,
                bytes: Counter::new(limits.file),
                buffers: Counter::new(limits.file_buffers),
                total,
            },
            GFP_KERNEL,
        )?)
    }

    /// Charges a buffer of `bytes` bytes.
    ///
    /// Fails with [`CallError::TooBig`] if no buffer may be so large, and with [`CallError::Limit`]
    /// if others must go first.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> CallResult<Charge> {
        if bytes > self.most_of_one {
            return Err(CallError::TooBig);
        }
        self.buffers.add(1)?;
        let charged = self.bytes.add(bytes).and_then(|()| {
            self.total
                .0
                .add(bytes)
                .inspect_err(|_| self.bytes.sub(bytes))
        });
        if let Err(e) = charged {
            self.buffers.sub(1);
            return Err(e);
        }
        Ok(Charge {
            account: self.clone(),
            bytes,
        })
    }
}

/// One buffer in an account. Dropped with the buffer.
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        // No counter can go below zero: all was added when the charge was made.
        self.account.total.0.sub(self.bytes);
        self.account.bytes.sub(self.bytes);
        self.account.buffers.sub(1);
    }
}

#[cfg(CONFIG_KUNIT = "y")]
mod tests;
