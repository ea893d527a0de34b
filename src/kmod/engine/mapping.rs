// SPDX-License-Identifier: GPL-2.0

//! The buffers that are mapped in the bank of a session.
//!
//! A buffer is mapped when the session uses it for the first time, whole, and stays mapped, so that
//! a call only looks it up. The mapping goes
//!
//! * with an own buffer: the memory itself takes its mappings down before it is freed;
//! * with a foreign buffer, soon after nobody else refers to it: a mapping keeps the dma-buf, so
//!   the table looks from time to time whether it is the last to do so;
//! * with the session, in any case.
//!
//! # Locking
//!
//! A mutex around the table, held for a lookup, and one that is held while a mapping is made, which
//! may take as long as another driver likes. Calls with known buffers do not take the second one.
//! Mappings are dropped, and thereby undone, without the first one.

use crate::{
    engine::{
        buffer::{
            Buffer,
            Hold,
            Key,
            Mapped, //
        },
        error::{
            CallError,
            CallResult, //
        }, //
    },
    sys::{
        cb::Bank,
        dma::BankMapping,
        work::{
            Chore,
            Periodic, //
        }, //
    },
};
use core::{
    mem,
    time::Duration, //
};
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// How often the table looks for foreign buffers that nobody else has.
const SWEEP: Duration = Duration::from_millis(500);
/// Entries that are looked at without giving up the lock of the table.
const STRETCH: usize = 64;
/// Entries that are looked at for each one that is added: dead ones go faster than new ones come.
const STEPS: usize = 2;

struct State {
    tree: RBTree<Key, Arc<Mapped>>,
    /// Number of foreign buffers in the tree.
    foreign: usize,
    /// Where the next search for dead entries begins.
    hand: Option<Key>,
    /// The session's memory was taken from the DSP: nothing can be mapped any more.
    revoked: bool,
}

impl State {
    /// Looks at the entry under the hand, moves the hand on, and takes the entry out if it is dead.
    fn step(&mut self) -> Option<RBTreeNode<Key, Arc<Mapped>>> {
        let Self {
            tree,
            foreign,
            hand,
            ..
        } = self;
        let cursor = match hand.take() {
            Some(key) => tree.cursor_lower_bound_mut(&key),
            None => tree.cursor_front_mut(),
        }?;
        *hand = cursor.peek_next().map(|(key, _)| *key);
        let (key, mapped) = cursor.current();
        if !mapped.is_idle() || !mapped.is_abandoned() {
            return None;
        }
        if let Key::Foreign(_) = key {
            *foreign = foreign.saturating_sub(1);
        }
        Some(cursor.remove_current().1)
    }
}

/// The table, which the worker shares.
#[pin_data]
struct Table {
    #[pin]
    state: Mutex<State>,
}

impl Table {
    /// Holds `buffer` if it is mapped.
    fn find(&self, buffer: &Buffer) -> CallResult<Option<Hold>> {
        let state = self.state.lock();
        if state.revoked {
            return Err(CallError::Gone);
        }
        Ok(state
            .tree
            .get(&buffer.key())
            .map(|mapped| Hold::new(buffer, mapped.clone())))
    }

    /// Lets nobody find or add a buffer.
    fn close(&self) {
        self.state.lock().revoked = true;
    }

    /// Takes all buffers from the DSP.
    fn revoke(&self) {
        let mut state = self.state.lock();
        state.revoked = true;
        state.foreign = 0;
        let tree = mem::take(&mut state.tree);
        drop(state);
        for mapped in tree.values() {
            mapped.revoke();
        }
    }

    /// Drops all dead entries. Gives whether foreign buffers are left.
    fn sweep(&self) -> bool {
        let mut left = {
            let mut state = self.state.lock();
            state.hand = None;
            state.tree.iter().count()
        };
        while left > 0 {
            let mut state = self.state.lock();
            for _ in 0..STRETCH {
                left = left.saturating_sub(1);
                let dead = state.step();
                if dead.is_some() {
                    drop(state);
                    // Unmaps, without the lock.
                    drop(dead);
                    break;
                }
                if left == 0 || state.hand.is_none() {
                    return state.foreign > 0;
                }
            }
        }
        self.state.lock().foreign > 0
    }
}

/// The table of a session that lives. Dropping it takes the buffers from the DSP: the memory of an
/// own buffer knows its mappings too, and outlives the session.
struct Owned(Arc<Table>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.revoke();
    }
}

/// Looks for foreign buffers that nobody else has.
struct Sweep(Arc<Table>);

impl Chore for Sweep {
    fn run(&self) -> bool {
        self.0.sweep()
    }
}

/// The buffers that are mapped in the bank of a session.
#[pin_data]
pub(crate) struct Mappings {
    // Dropped first: waits for the worker.
    #[pin]
    sweeper: Periodic<Sweep>,
    #[pin]
    growing: Mutex<()>,
    table: Owned,
    bank: Arc<Bank>,
}

impl Mappings {
    /// Makes an empty table.
    pub(crate) fn new(bank: &Arc<Bank>) -> impl PinInit<Self, Error> {
        let bank = bank.clone();
        try_pin_init!(Self {
            table: Owned(Arc::pin_init(
                pin_init!(Table {
                    state <- new_mutex!(
                        State {
                            tree: RBTree::new(),
                            foreign: 0,
                            hand: None,
                            revoked: false,
                        },
                        "qda_mappings"
                    ),
                }),
                GFP_KERNEL_ACCOUNT,
            )?),
            sweeper <- Periodic::new(Sweep(table.0.clone()), SWEEP),
            growing <- new_mutex!((), "qda_growing"),
            bank,
        })
    }

    /// Keeps `buffer` mapped for as long as the result exists. Maps it if it is not.
    ///
    /// Fails with [`CallError::Invalid`] if the buffer cannot be seen as one range, and with
    /// [`CallError::NoMemory`] if there are no pages or no device addresses for it.
    pub(crate) fn hold(&self, buffer: &Buffer) -> CallResult<Hold> {
        match self.table.0.find(buffer)? {
            Some(hold) => Ok(hold),
            None => self.add(buffer),
        }
    }

    fn add(&self, buffer: &Buffer) -> CallResult<Hold> {
        let growing = self.growing.lock();
        // Somebody else may have mapped it, or all may have ended.
        if let Some(hold) = self.table.0.find(buffer)? {
            return Ok(hold);
        }
        let mapping = match self.map(buffer) {
            Err(CallError::NoMemory) => {
                // Buffers that only this table keeps may be all that is in the way.
                self.table.0.sweep();
                self.map(buffer)
            }
            other => other,
        }?;
        let mapped = Arc::new(Mapped::new(mapping), GFP_KERNEL_ACCOUNT)?;
        let node = RBTreeNode::new(buffer.key(), mapped.clone(), GFP_KERNEL_ACCOUNT)?;

        let mut state = self.table.0.state.lock();
        let hold = Hold::new(buffer, mapped);
        let old = state.tree.insert(node);
        if matches!(buffer, Buffer::Foreign(_)) {
            state.foreign = state.foreign.saturating_add(1);
        }
        let dead: [_; STEPS] = core::array::from_fn(|_| state.step());
        let foreign = state.foreign > 0;
        drop(state);
        drop(growing);
        if foreign {
            self.sweeper.kick();
        }
        drop((old, dead));
        Ok(hold)
    }

    fn map(&self, buffer: &Buffer) -> CallResult<Arc<BankMapping>> {
        match buffer {
            Buffer::Own(memory) => Ok(BankMapping::of_memory(&self.bank, memory)?),
            Buffer::Foreign(buf) => {
                BankMapping::of_dma_buf(&self.bank, buf).map_err(|e| match CallError::from(e) {
                    CallError::NoMemory if e != ENOMEM => CallError::Exporter(e),
                    other => other,
                })
            }
        }
    }

    /// Undoes the mapping of a foreign buffer, unless somebody holds it.
    ///
    /// The mapping of an own buffer costs nothing that its memory does not cost, and stays.
    pub(crate) fn forget(&self, key: Key) {
        let Key::Foreign(_) = key else {
            return;
        };
        let mut state = self.table.0.state.lock();
        if !state.tree.get(&key).is_some_and(|mapped| mapped.is_idle()) {
            return;
        }
        let node = state.tree.remove_node(&key);
        state.foreign = state.foreign.saturating_sub(1);
        drop(state);
        drop(node);
    }

    /// Takes all buffers from the DSP, also those that calls under way use. May sleep.
    pub(crate) fn revoke(&self) {
        // Waits for a mapping that is being made; nobody makes one after that.
        let growing = self.growing.lock();
        self.table.0.close();
        drop(growing);
        self.table.0.revoke();
    }
}
