// SPDX-License-Identifier: GPL-2.0

//! Calls of a session that their waiters gave up.
//!
//! The DSP goes on with such a call, so its memory and its buffers stay until it has answered. A
//! worker looks for the answer; nobody else waits for it. Making room for a call that may be given
//! up is part of beginning it, so that giving up cannot fail.
//!
//! # Locking
//!
//! One mutex around the calls; the locks that dropping a buffer or giving back memory takes come
//! after it, see [`crate::engine`].

use crate::{
    engine::{
        arena::CallMemory,
        buffer::Holds,
        channel::Abandoned,
        dsp::Dsp,
        error::{
            CallError,
            CallResult, //
        },
        kept::Kept, //
    },
    proto::{
        fdlist,
        layout::{
            Metadata,
            FD_LIST_SIZE, //
        },
        scalars::Scalars, //
    },
    sys::work::{
        Chore,
        Periodic, //
    }, //
};
use core::{
    mem,
    time::Duration, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// How often the worker looks for answers.
const PERIOD: Duration = Duration::from_millis(250);

/// Calls of the kernel that may be given up although they were not begun by [`Parked::enter`]: a
/// creation and a release.
const OWN: usize = 2;

/// What the DSP may touch until a call is settled.
pub(crate) struct InFlight {
    /// The message.
    pub(crate) memory: CallMemory,
    /// What its arguments are.
    pub(crate) scalars: Scalars,
    /// The buffers.
    pub(crate) holds: Holds,
}

impl InFlight {
    /// A call without buffers.
    pub(super) fn new(memory: CallMemory, scalars: Scalars) -> Self {
        Self {
            memory,
            scalars,
            holds: Holds::new(),
        }
    }
}

/// Calls that their waiters gave up, and room for those that may be.
struct Ledger {
    /// Calls under way. Each may be parked at any time, and parking must not fail.
    in_flight: usize,
    /// Calls that the DSP has not answered. Capacity: `in_flight` more than there are.
    calls: KVec<Abandoned<InFlight>>,
}

/// What the session and its worker share.
#[pin_data]
struct Shared {
    #[pin]
    ledger: Mutex<Ledger>,
    #[pin]
    kept: Kept,
    dsp: Arc<Dsp>,
}

impl Shared {
    /// Forgets calls that are settled. Gives whether others are left.
    fn reap(&self) -> bool {
        let mut ledger = self.ledger.lock();
        let channel = self.dsp.channel();
        ledger.calls.retain(|call| match call.settled(channel) {
            Some(in_flight) => {
                in_flight.memory.sync_for_cpu();
                self.take_dropped(in_flight);
                false
            }
            None => true,
        });
        !ledger.calls.is_empty()
    }

    fn take_dropped(&self, in_flight: &InFlight) {
        if self.kept.len() == 0 {
            return;
        }
        let mut list = [0; FD_LIST_SIZE];
        // Every message has room for the list. If not, the DSP has dropped nothing.
        let offset = Metadata::new(in_flight.scalars).fd_list();
        if in_flight.memory.read(offset, &mut list).is_ok() {
            for tag in fdlist::dropped_tags(&list) {
                self.kept.dropped(tag);
            }
        }
    }
}

/// Looks for answers to calls that nobody waits for.
struct Reap(Arc<Shared>);

impl Chore for Reap {
    fn run(&self) -> bool {
        self.0.reap()
    }
}

/// Calls of a session that their waiters gave up, and the buffers behind handles that the DSP has.
#[pin_data]
pub(crate) struct Parked {
    // Dropped first: waits for the worker.
    #[pin]
    reaper: Periodic<Reap>,
    shared: Arc<Shared>,
}

impl Parked {
    /// Nothing is parked. Room for the calls of the kernel is set aside.
    pub(super) fn new(dsp: &Arc<Dsp>) -> impl PinInit<Self, Error> {
        let dsp = dsp.clone();
        try_pin_init!(Self {
            shared: Arc::pin_init(
                try_pin_init!(Shared {
                    ledger <- {
                        let calls = KVec::with_capacity(OWN, GFP_KERNEL_ACCOUNT)?;
                        new_mutex!(
                            Ledger {
                                in_flight: OWN,
                                calls,
                            },
                            "qda_ledger"
                        )
                    },
                    kept <- Kept::new(),
                    dsp,
                }),
                GFP_KERNEL_ACCOUNT,
            )?,
            reaper <- Periodic::new(Reap(shared.clone()), PERIOD),
        })
    }

    /// The buffers behind handles that the DSP has.
    pub(crate) fn kept(&self) -> &Kept {
        &self.shared.kept
    }

    /// Begins a call: makes sure that it can be parked.
    pub(crate) fn enter(&self) -> CallResult<Entry<'_>> {
        let mut ledger = self.shared.ledger.lock();
        let room = ledger.in_flight.checked_add(1).ok_or(CallError::NoSlot)?;
        ledger.calls.reserve(room, GFP_KERNEL_ACCOUNT)?;
        ledger.in_flight = room;
        Ok(Entry { parked: self })
    }

    /// Looks at what the DSP says it has dropped, once the message of a call is ours again.
    pub(crate) fn take_dropped(&self, in_flight: &InFlight) {
        self.shared.take_dropped(in_flight);
    }

    /// Keeps a call of the kernel that was not answered. It is not looked at again: its session
    /// goes into quarantine.
    pub(super) fn keep_for_good(&self, abandoned: Abandoned<InFlight>) {
        self.reaper.stop();
        self.keep(abandoned);
    }

    fn keep(&self, abandoned: Abandoned<InFlight>) {
        let mut ledger = self.shared.ledger.lock();
        if let Err(e) = ledger.calls.push_within_capacity(abandoned) {
            // Cannot happen: the room was set aside when the call began. Losing the memory is
            // better than giving it to somebody else.
            mem::forget(e);
        }
    }
}

/// A call under way that may be parked.
pub(crate) struct Entry<'a> {
    parked: &'a Parked,
}

impl Entry<'_> {
    /// Keeps a call that its waiter gave up until the DSP has answered it.
    pub(crate) fn park(self, abandoned: Abandoned<InFlight>) {
        self.parked.keep(abandoned);
        self.parked.reaper.kick();
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut ledger = self.parked.shared.ledger.lock();
        ledger.in_flight = ledger.in_flight.saturating_sub(1);
    }
}
