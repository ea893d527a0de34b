// SPDX-License-Identifier: GPL-2.0

//! The context banks of a DSP and who sits on them.
//!
//! A bank has one address space. It seats one session, or as many as the device tree allows
//! (`qcom,nsessions`); these then share the address space. A free bank is taken first.
//!
//! The last quarter of the seats of a DSP, and at least one if there are two, goes only to users
//! that have none: one user cannot lock out the others. It does not bind openers with
//! `CAP_SYS_ADMIN`.
//!
//! # Locking
//!
//! One mutex around the seats that are taken. Nothing is done while it is held.

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
    task::Kuid, //
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

/// The part of the seats that is kept for users without any: one in so many.
const RESERVE: usize = 4;

struct Row {
    spec: BankSpec,
    taken: u32,
}

struct Seats {
    rows: KVec<Row>,
    /// Who sits, `None` for users that have no share. Capacity: as many as there are seats.
    takers: KVec<Option<Kuid>>,
    /// Number of seats.
    len: usize,
}

impl Seats {
    /// May `user` have one more?
    fn allows(&self, user: Option<Kuid>) -> CallResult {
        let free = self.len.saturating_sub(self.takers.len());
        let reserve = match self.len {
            0 | 1 => 0,
            len => len.checked_div(RESERVE).unwrap_or(0).max(1),
        };
        if user.is_some() && free <= reserve && self.takers.contains(&user) {
            return Err(CallError::Share);
        }
        Ok(())
    }
}

/// The context banks of a DSP.
#[pin_data]
pub(crate) struct Banks {
    #[pin]
    seats: Mutex<Seats>,
    len: usize,
}

impl Banks {
    /// Takes over the banks.
    pub(crate) fn new(specs: KVec<BankSpec>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            len: specs.len(),
            seats <- {
                let mut rows = KVec::with_capacity(specs.len(), GFP_KERNEL)?;
                let mut len = 0usize;
                for spec in specs {
                    len = usize::try_from(spec.seats)
                        .ok()
                        .and_then(|seats| len.checked_add(seats))
                        .ok_or(EINVAL)?;
                    rows.push(Row { spec, taken: 0 }, GFP_KERNEL)?;
                }
                let takers = KVec::with_capacity(len, GFP_KERNEL)?;
                new_mutex!(Seats { rows, takers, len }, "qda_banks")
            },
        })
    }

    /// Number of banks.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of seats that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.seats.lock().takers.len()
    }

    /// Number of buffers of users that the DSP can reach.
    pub(crate) fn mapped(&self) -> usize {
        let seats = self.seats.lock();
        seats.rows.iter().fold(0, |sum: usize, row| {
            sum.saturating_add(row.spec.bank.mapped())
        })
    }

    /// Takes a seat on the bank with the fewest sessions, for a user if it has a share.
    ///
    /// Fails with [`CallError::NoBank`] if there is no seat, and with [`CallError::Share`] if the
    /// seats that are left are for others.
    pub(crate) fn sit(self: &Arc<Self>, user: Option<Kuid>) -> CallResult<Seat> {
        let mut seats = self.seats.lock();
        let Seats { rows, .. } = &*seats;
        let index = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.taken < row.spec.seats)
            .min_by_key(|(_, row)| row.taken)
            .map(|(index, _)| index)
            .ok_or(CallError::NoBank)?;
        seats.allows(user)?;
        seats
            .takers
            .push_within_capacity(user)
            .map_err(|_| CallError::NoBank)?;
        let row = seats.rows.get_mut(index).ok_or(CallError::NoBank)?;
        row.taken = row.taken.saturating_add(1);
        Ok(Seat {
            bank: row.spec.bank.clone(),
            index,
            user,
            banks: self.clone(),
        })
    }

    /// Removes the banks for good, in the order in which they were found.
    ///
    /// All mappings must have been revoked before; any that is left ends here.
    pub(crate) fn remove(&self) {
        for row in self.seats.lock().rows.iter() {
            row.spec.bank.remove();
        }
    }
}

/// A session's seat on a bank. Dropped last by its session: the next session may come at once.
pub(crate) struct Seat {
    bank: Arc<Bank>,
    index: usize,
    user: Option<Kuid>,
    banks: Arc<Banks>,
}

impl Seat {
    /// The bank.
    pub(crate) fn bank(&self) -> &Arc<Bank> {
        &self.bank
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.banks.seats.lock();
        let place = seats.takers.iter().position(|user| *user == self.user);
        if let Some(place) = place {
            let _ = seats.takers.remove(place);
        }
        if let Some(row) = seats.rows.get_mut(self.index) {
            row.taken = row.taken.saturating_sub(1);
        }
    }
}
