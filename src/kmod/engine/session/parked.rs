// SPDX-License-Identifier: GPL-2.0

//! Calls of a session that go on without their waiters.
//!
//! | call | its waiter | kept until |
//! |---|---|---|
//! | abandoned | gave up: a deadline has passed, or it was killed | the DSP has answered |
//! | suspended | was interrupted by a signal and may come back | the DSP has answered |
//! | answered | as before | it comes back, or is not expected any more |
//!
//! A waiter comes back when the kernel restarts the system call that the signal interrupted, or
//! when its program makes the same call once more: the same thread, with the same [`Fingerprint`].
//! It is not known whether it will. So the memory that the DSP uses is let go as soon as the DSP
//! has answered, but the result and the bytes of outputs are kept for as long as the thread lives,
//! or until it has left [`MOST_OF_THREAD`] such calls behind.
//!
//! A worker looks for answers; nobody else waits for them. Making room for a call that may be
//! parked is part of beginning it, so that parking cannot fail.
//!
//! [`Fingerprint`]: crate::proto::fingerprint::Fingerprint
//!
//! # Locking
//!
//! One mutex around the calls; the locks that dropping a buffer or giving back memory takes come
//! after it, see [`crate::engine`].

use crate::{
    engine::{
        arena::CallMemory,
        buffer::Holds,
        channel::{
            Abandoned,
            Origin,
            Settled,
            Suspended, //
        },
        dsp::Dsp,
        error::{
            CallError,
            CallResult, //
        },
        kept::Kept, //
    },
    proto::{
        errors::DspResult,
        fdlist,
        layout::{
            Metadata,
            FD_LIST_SIZE, //
        },
        scalars::Scalars,
        slots::Reply, //
    },
    sys::{
        task::Thread,
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

/// Most answered calls that are kept for one thread. A signal handler may itself make calls that
/// are interrupted, but hardly deeper than this.
const MOST_OF_THREAD: usize = 4;
/// Most answered calls that are kept for all threads. A stopped process has one for each thread
/// that was waiting, and there are no more slots than this.
const MOST_ANSWERED: usize = 256;

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

/// Who may come back for a call, and for which one.
struct Ticket {
    thread: Thread,
    print: CallPrint,
}

/// What a call is recognised by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallPrint {
    /// Fingerprint of what the caller says about the call.
    pub(crate) outline: u64,
    /// The same with the bytes of the inputs.
    pub(crate) whole: u64,
}

/// A call that goes on without its waiter.
enum Call {
    /// Nobody comes back for it.
    Abandoned(Abandoned<InFlight>),
    /// Its waiter may come back.
    Suspended(Ticket, Suspended<InFlight>),
    /// Its waiter may come back, and the answer is there.
    Answered(Ticket, DspResult, CallMemory),
    /// Nothing of it is left.
    Over,
}

impl Call {
    /// Whether the DSP may still answer.
    fn is_open(&self) -> bool {
        matches!(self, Self::Abandoned(_) | Self::Suspended(..))
    }

    /// Whether its answer is there.
    fn is_answered(&self) -> bool {
        matches!(self, Self::Answered(..))
    }

    /// Who may come back for it.
    fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Suspended(ticket, _) | Self::Answered(ticket, ..) => Some(ticket),
            Self::Abandoned(_) | Self::Over => None,
        }
    }

    /// Its fingerprint, if the calling thread may come back for it.
    fn for_current(&self) -> Option<CallPrint> {
        match self {
            Self::Suspended(ticket, _) | Self::Answered(ticket, ..) => {
                ticket.thread.is_current().then_some(ticket.print)
            }
            Self::Abandoned(_) | Self::Over => None,
        }
    }
}

/// A call that its waiter takes up again.
pub(crate) enum TakenUp {
    /// The DSP has not answered yet.
    Open(Suspended<InFlight>),
    /// It has. The memory holds the outputs.
    Answered(DspResult, CallMemory),
}

/// Calls without waiters, and room for those that may lose theirs.
struct Ledger {
    /// Calls under way. Each may be parked at any time, and parking must not fail.
    in_flight: usize,
    /// The oldest first. Capacity: `in_flight` more than there are.
    calls: KVec<Call>,
}

impl Ledger {
    /// Forgets answers that nobody comes back for: those of threads that have ended, those that
    /// their thread has left too many calls behind since, and the oldest if there are too many.
    fn forget_old(&mut self) {
        let answered = self.calls.iter().filter(|call| call.is_answered()).count();
        let mut spare = answered.saturating_sub(MOST_ANSWERED);
        for index in 0..self.calls.len() {
            let tail = self.calls.get(index..).and_then(<[Call]>::split_first);
            let Some((Call::Answered(ticket, ..), newer)) = tail else {
                continue;
            };
            let since = newer
                .iter()
                .filter_map(Call::ticket)
                .filter(|other| other.thread.is(&ticket.thread))
                .take(MOST_OF_THREAD)
                .count();
            if since < MOST_OF_THREAD && spare == 0 && !ticket.thread.has_exited() {
                continue;
            }
            spare = spare.saturating_sub(1);
            if let Some(call) = self.calls.get_mut(index) {
                *call = Call::Over;
            }
        }
        self.calls.retain(|call| !matches!(call, Call::Over));
    }
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
    /// Takes the answers of calls that have one. Gives whether others are left.
    fn reap(&self) -> bool {
        let mut ledger = self.ledger.lock();
        ledger.calls.retain(|call| {
            *call = self.advance(mem::replace(call, Call::Over));
            !matches!(call, Call::Over)
        });
        ledger.forget_old();
        ledger.calls.iter().any(Call::is_open)
    }

    /// What has become of a call.
    fn advance(&self, call: Call) -> Call {
        let channel = self.dsp.channel();
        match call {
            Call::Abandoned(call) => match call.settled(channel) {
                Some(in_flight) => {
                    in_flight.memory.sync_for_cpu();
                    self.take_dropped(in_flight);
                    Call::Over
                }
                None => Call::Abandoned(call),
            },
            Call::Suspended(ticket, call) => match call.settle(channel) {
                Settled::Yes(Reply::Result(result), in_flight) => {
                    in_flight.memory.sync_for_cpu();
                    self.take_dropped(&in_flight);
                    if ticket.thread.has_exited() {
                        return Call::Over;
                    }
                    // The buffers are the client's again.
                    Call::Answered(ticket, result, in_flight.memory)
                }
                // Who comes back will see that the DSP is gone.
                Settled::Yes(Reply::Gone, _) => Call::Over,
                Settled::No(call) => Call::Suspended(ticket, call),
            },
            Call::Answered(ticket, ..) if ticket.thread.has_exited() => Call::Over,
            other => other,
        }
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
        let open = ledger.calls.iter().filter(|call| call.is_open()).count();
        let under_way = ledger.in_flight.saturating_sub(OWN).saturating_add(open);
        let room = ledger.in_flight.checked_add(1).ok_or(CallError::NoSlot)?;
        ledger.calls.reserve(room, GFP_KERNEL_ACCOUNT)?;
        ledger.in_flight = room;
        Ok(Entry {
            has_any: ledger.calls.iter().any(|call| call.for_current().is_some()),
            under_way,
            parked: self,
        })
    }

    /// Ends all calls that are open, because the process is gone.
    pub(super) fn retire(&self) {
        let channel = self.shared.dsp.channel();
        let calls = mem::take(&mut self.shared.ledger.lock().calls);
        for call in calls {
            match call {
                Call::Abandoned(call) => drop(call.retire(channel)),
                Call::Suspended(_, call) => drop(call.retire(channel)),
                Call::Answered(..) | Call::Over => {}
            }
        }
    }

    /// Looks at what the DSP says it has dropped, once the message of a call is ours again.
    pub(crate) fn take_dropped(&self, in_flight: &InFlight) {
        self.shared.take_dropped(in_flight);
    }

    /// Keeps a call of the kernel that was not answered. It is not looked at again: its session
    /// goes into quarantine.
    pub(super) fn keep_for_good(&self, abandoned: Abandoned<InFlight>) {
        self.reaper.stop();
        self.keep(Call::Abandoned(abandoned));
    }

    fn keep(&self, call: Call) {
        let mut ledger = self.shared.ledger.lock();
        if let Err(e) = ledger.calls.push_within_capacity(call) {
            // Cannot happen: the room was set aside when the call began. Losing the memory is
            // better than giving it to somebody else.
            mem::forget(e);
        }
        ledger.forget_old();
    }
}

/// A call under way that may be parked.
pub(crate) struct Entry<'a> {
    parked: &'a Parked,
    /// Number of calls of the session that were under way before.
    under_way: usize,
    has_any: bool,
}

impl Entry<'_> {
    /// Says whose call it is, if it is a new one and the session has fewer than `most` under way.
    pub(crate) fn origin(&self, most: usize) -> CallResult<Origin> {
        match self.under_way < most {
            true => Ok(Origin::Client(self.under_way)),
            false => Err(CallError::NoSlot),
        }
    }

    /// Whether the calling thread left any call behind.
    pub(crate) fn has_any(&self) -> bool {
        self.has_any
    }

    /// Whether the calling thread left a call with such an outline behind.
    pub(crate) fn knows(&self, outline: u64) -> bool {
        let ledger = self.parked.shared.ledger.lock();
        ledger
            .calls
            .iter()
            .filter_map(Call::for_current)
            .any(|print| print.outline == outline)
    }

    /// Takes up the call with this fingerprint that the calling thread left behind, if there is
    /// one.
    pub(crate) fn take_up(&self, print: CallPrint) -> Option<TakenUp> {
        let mut ledger = self.parked.shared.ledger.lock();
        let place = ledger
            .calls
            .iter()
            .position(|call| call.for_current() == Some(print))?;
        let call = ledger.calls.remove(place).ok()?;
        drop(ledger);
        match call {
            Call::Suspended(_, call) => Some(TakenUp::Open(call)),
            Call::Answered(_, result, memory) => Some(TakenUp::Answered(result, memory)),
            Call::Abandoned(_) | Call::Over => None,
        }
    }

    /// Keeps a call that its waiter gave up until the DSP has answered it.
    pub(crate) fn abandon(self, call: Abandoned<InFlight>) {
        self.keep(Call::Abandoned(call));
    }

    /// Keeps a call until the calling thread comes back for it with this fingerprint.
    pub(crate) fn suspend(self, call: Suspended<InFlight>, print: CallPrint) {
        let ticket = Ticket {
            thread: Thread::current(),
            print,
        };
        self.keep(Call::Suspended(ticket, call));
    }

    fn keep(self, call: Call) {
        self.parked.keep(call);
        self.parked.reaper.kick();
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut ledger = self.parked.shared.ledger.lock();
        ledger.in_flight = ledger.in_flight.saturating_sub(1);
    }
}
