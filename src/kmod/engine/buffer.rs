// SPDX-License-Identifier: GPL-2.0

//! Buffers of user space, and what keeps them alive while the DSP uses them.
//!
//! A [`Buffer`] is a reference to memory; the number under which a user knows it (a handle, a file
//! descriptor) was turned into one by a front end and plays no part any more. A [`Hold`] is a
//! buffer together with its mapping in the bank of a session. Takes no locks.

use crate::{
    engine::error::{
        CallError,
        CallResult, //
    },
    sys::{
        dma::{
            BankMapping,
            Direction, //
        },
        dmabuf::DmaBuf,
        shmem::{
            InUse,
            SharedMemory, //
        },
        vma::{
            self,
            Place, //
        }, //
    },
};
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// A buffer of user space.
#[derive(Clone)]
pub(crate) enum Buffer {
    /// Made by this driver.
    Own(Arc<SharedMemory>),
    /// Made by another driver, and shared as a dma-buf.
    Foreign(ARef<DmaBuf>),
}

/// What makes two references the same buffer, for as long as one of them exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// Serial number of own memory.
    Own(u64),
    /// Number of a dma-buf.
    Foreign(u64),
}

impl Buffer {
    /// Which buffer it is.
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Own(memory) => Key::Own(memory.id()),
            Self::Foreign(buf) => Key::Foreign(buf.id()),
        }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Self::Own(memory) => memory.size(),
            Self::Foreign(buf) => buf.size(),
        };
        // CAST: `usize` has 64 bits where a DSP is.
        size as u64
    }

    /// Checks that `len` bytes at `offset` lie inside.
    pub(crate) fn check_range(&self, offset: u64, len: u64) -> CallResult {
        match offset.checked_add(len) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(CallError::Invalid),
        }
    }
}

/// Where in a buffer an argument begins.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// At this offset in bytes.
    Offset(u64),
    /// Where the caller's address space shows this address.
    Address(u64),
}

impl Start {
    /// Finds the offset of `len` bytes in `buffer`, and the caller's address if it really shows
    /// them. An address that shows nothing at all means the beginning.
    pub(crate) fn find(self, buffer: &Buffer, len: u64) -> CallResult<(u64, Option<u64>)> {
        let (offset, address) = match self {
            Self::Offset(offset) => (offset, None),
            Self::Address(address) => {
                let place = match buffer {
                    Buffer::Own(memory) => vma::place_in_memory(memory, address, len),
                    Buffer::Foreign(buf) => vma::place_in_dma_buf(buf, address, len),
                };
                match place {
                    Place::At(offset) => (offset, Some(address)),
                    Place::Nowhere => (0, None),
                    Place::Wrong => return Err(CallError::Invalid),
                }
            }
        };
        buffer.check_range(offset, len)?;
        Ok((offset, address))
    }
}

/// A buffer in the bank of a session.
pub(crate) struct Mapped {
    mapping: Arc<BankMapping>,
    /// Number of [`Hold`]s. Goes up only with the lock of the session's table held.
    holds: Atomic<usize>,
}

impl Mapped {
    /// Nobody holds it yet.
    pub(crate) fn new(mapping: Arc<BankMapping>) -> Self {
        Self {
            mapping,
            holds: Atomic::new(0),
        }
    }

    /// Whether nobody holds it.
    pub(crate) fn is_idle(&self) -> bool {
        // Pairs with the drop of a hold: whoever sees the zero sees all that was done before.
        self.holds.load(Acquire) == 0
    }
}

impl Deref for Mapped {
    type Target = BankMapping;

    fn deref(&self) -> &BankMapping {
        &self.mapping
    }
}

/// A buffer that is mapped for a session and stays so while this exists, if the DSP does.
pub(crate) struct Hold {
    mapped: Arc<Mapped>,
    /// Own memory. A foreign buffer is kept by its mapping.
    _memory: Option<InUse>,
}

impl Hold {
    /// Holds `buffer` and its mapping. The lock of the session's table must be held.
    pub(crate) fn new(buffer: &Buffer, mapped: Arc<Mapped>) -> Self {
        mapped.holds.fetch_add(1, Relaxed);
        Self {
            mapped,
            _memory: match buffer {
                Buffer::Own(memory) => Some(memory.begin_use()),
                Buffer::Foreign(_) => None,
            },
        }
    }

    /// The mapping.
    pub(crate) fn mapping(&self) -> &BankMapping {
        &self.mapped
    }

    /// Makes all that the DSP wrote visible to the CPU. May sleep.
    pub(crate) fn take_back(&self) {
        self.mapped
            .sync_for_cpu(0, self.mapped.size(), Direction::FromDevice);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.mapped.holds.fetch_sub(1, Release);
    }
}

/// Most buffers of one call that are kept without an allocation.
const FEW: usize = 4;

/// The buffers of one call.
pub(crate) struct Holds {
    few: [Option<Hold>; FEW],
    more: KVec<Hold>,
    len: usize,
}

impl Holds {
    /// No buffers.
    pub(crate) fn new() -> Self {
        Self {
            few: [const { None }; FEW],
            more: KVec::new(),
            len: 0,
        }
    }

    /// Adds a buffer and returns its number. Allocates only if there are many.
    pub(crate) fn push(&mut self, hold: Hold) -> CallResult<usize> {
        let number = self.len;
        match self.few.get_mut(number) {
            Some(place) => *place = Some(hold),
            None => self.more.push(hold, GFP_KERNEL)?,
        }
        self.len = number.saturating_add(1);
        Ok(number)
    }

    /// The buffer with this number.
    pub(crate) fn get(&self, number: usize) -> Option<&Hold> {
        match self.few.get(number) {
            Some(hold) => hold.as_ref(),
            None => self.more.get(number.checked_sub(FEW)?),
        }
    }
}
