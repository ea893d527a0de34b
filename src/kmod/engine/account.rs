// SPDX-License-Identifier: GPL-2.0

//! How much buffer memory a client may have.
//!
//! A buffer carries a [`Charge`], so that its bytes count for as long as it exists, whoever holds
//! it: a handle, a file descriptor, a process on the DSP. Takes no locks.

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

/// The limits of buffers in bytes. Root sets them when the module is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// One buffer.
    pub(crate) buffer: u64,
    /// All buffers that one open file made.
    pub(crate) file: u64,
}

/// The buffers of one client.
pub(crate) struct Account {
    limits: Limits,
    used: Atomic<u64>,
}

impl Account {
    /// Opens an account.
    pub(crate) fn new(limits: Limits) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                limits,
                used: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    /// Charges a buffer of `bytes` bytes.
    ///
    /// Fails with [`CallError::TooBig`] if no buffer may be so large, and with [`CallError::Limit`]
    /// if the others must go first.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> CallResult<Charge> {
        if bytes > self.limits.buffer {
            return Err(CallError::TooBig);
        }
        let mut used = self.used.load(Relaxed);
        loop {
            let sum = used
                .checked_add(bytes)
                .filter(|sum| *sum <= self.limits.file)
                .ok_or(CallError::Limit)?;
            match self.used.cmpxchg(used, sum, Relaxed) {
                Ok(_) => {
                    return Ok(Charge {
                        account: self.clone(),
                        bytes,
                    })
                }
                Err(now) => used = now,
            }
        }
    }
}

/// The bytes of one buffer in an account. Dropped with the buffer.
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        // The account cannot go below zero: the bytes were added when the charge was made.
        self.account.used.fetch_sub(self.bytes, Relaxed);
    }
}
