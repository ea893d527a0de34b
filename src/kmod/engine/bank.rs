// SPDX-License-Identifier: GPL-2.0

//! The context banks of a DSP and who sits on them.
//!
//! A bank has one address space. It seats one session, or as many as the device tree allows
//! (`qcom,nsessions`); these then share the address space. A free bank is taken first.
//!
//! # Locking
//!
//! One mutex around the numbers of seats taken. Nothing is done while it is held.

use crate::{
    engine::error::{
        CallError,
        CallResult, //
    },
    sys::cb::Bank, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// Most seats that one bank may have. The device tree is not trusted with more.
pub(crate) const MAX_SEATS: u32 = 16;

/// A bank as the device tree describes it.
pub(crate) struct BankSpec {
    /// The configured bank.
    pub(crate) bank: Arc<Bank>,
    /// Number of sessions that it may have at once, at least 1.
    pub(crate) seats: u32,
}

struct Row {
    spec: BankSpec,
    taken: u32,
}

/// The context banks of a DSP.
#[pin_data]
pub(crate) struct Banks {
    #[pin]
    rows: Mutex<KVec<Row>>,
    len: usize,
}

impl Banks {
    /// Takes over the banks.
    pub(crate) fn new(specs: KVec<BankSpec>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            len: specs.len(),
            rows <- {
                let mut rows = KVec::with_capacity(specs.len(), GFP_KERNEL)?;
                for spec in specs {
                    rows.push(Row { spec, taken: 0 }, GFP_KERNEL)?;
                }
                new_mutex!(rows, "qda_banks")
            },
        })
    }

    /// Number of banks.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of seats that are taken.
    pub(crate) fn taken(&self) -> u32 {
        let rows = self.rows.lock();
        rows.iter()
            .fold(0, |sum: u32, row| sum.saturating_add(row.taken))
    }

    /// Number of buffers of users that the DSP can reach.
    pub(crate) fn mapped(&self) -> usize {
        let rows = self.rows.lock();
        rows.iter().fold(0, |sum: usize, row| {
            sum.saturating_add(row.spec.bank.mapped())
        })
    }

    /// Takes a seat on the bank with the fewest sessions.
    pub(crate) fn sit(self: &Arc<Self>) -> CallResult<Seat> {
        let mut rows = self.rows.lock();
        let (index, row) = rows
            .iter_mut()
            .enumerate()
            .filter(|(_, row)| row.taken < row.spec.seats)
            .min_by_key(|(_, row)| row.taken)
            .ok_or(CallError::NoBank)?;
        row.taken = row.taken.saturating_add(1);
        Ok(Seat {
            banks: self.clone(),
            index,
            bank: row.spec.bank.clone(),
        })
    }

    /// Removes the banks for good, in the order in which they were found.
    ///
    /// All mappings must have been revoked before; any that is left ends here.
    pub(crate) fn remove(&self) {
        for row in self.rows.lock().iter() {
            row.spec.bank.remove();
        }
    }
}

/// A session's seat on a bank. Dropped last by its session: the next session may come at once.
pub(crate) struct Seat {
    banks: Arc<Banks>,
    index: usize,
    bank: Arc<Bank>,
}

impl Seat {
    /// The bank.
    pub(crate) fn bank(&self) -> &Arc<Bank> {
        &self.bank
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(row) = self.banks.rows.lock().get_mut(self.index) {
            row.taken = row.taken.saturating_sub(1);
        }
    }
}
