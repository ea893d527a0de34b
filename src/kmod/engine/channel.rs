// SPDX-License-Identifier: GPL-2.0

//! A channel: the outstanding calls of one DSP, sending and receiving.
//!
//! A call's memory travels with the call. [`Channel::submit`] takes it and gives it back only when
//! the DSP can no longer touch it: with the answer, or when nothing was sent. A waiter that gives
//! up gets an [`Abandoned`] instead, which keeps the memory until the call is settled; one that is
//! interrupted gets a [`Suspended`], whose answer waits in its slot.
//!
//! Slots are shared: a session gets another one only while it has fewer than are free, so that
//! however many greedy sessions there are, the next one gets some.
//!
//! # Locking
//!
//! One lock, with interrupts off, around the slot table. It is held for a few dozen instructions
//! when a call begins, when its answer arrives and when its waiter takes it. [`Channel::receive`]
//! runs in hard interrupt context: it changes a slot, completes a completion, and does nothing
//! else. It owns no reference and frees nothing.

use crate::{
    engine::error::{
        CallError,
        CallResult, //
    },
    proto::{
        context::{
            ContextWord,
            Pd,
            Sequence, //
        },
        encode::Message,
        errors::DspResult,
        slots::{
            Abandon,
            Outcome,
            PrepareError,
            Reply,
            Slot,
            SlotTable,
            TABLE_LEN, //
        },
        wire::{
            Request,
            Response,
            Sender, //
        }, //
    },
    sys::{
        completion::{
            CompletionTable,
            Wait, //
        },
        rpmsg::{
            Link,
            SendError, //
        },
        task, //
    },
};
use core::time::Duration;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLockIrq, //
    },
    time::{
        hrtimer::HrTimerExpires,
        Instant,
        Monotonic, //
    }, //
};

/// Slots that only calls of the kernel may use, so that a client that parks calls in all the
/// others cannot keep any process from being released.
const KERNEL_SLOTS: usize = 15;

/// Number of channels so far. A DSP that was restarted gets no answer of its predecessor.
static CHANNELS: Atomic<u64> = Atomic::new(0);

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client's, whose session has so many calls under way already.
    Client(usize),
    /// The kernel's own.
    Kernel,
    /// The kernel's, to release a process: the last one that the DSP gets for it.
    Release,
}

/// What a request says besides its message.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    /// Who sends.
    pub(crate) sender: Sender,
    /// Protection domain of the client.
    pub(crate) pd: Pd,
    /// Thread that makes the call.
    pub(crate) tid: i32,
    /// Remote handle.
    pub(crate) handle: u32,
}

/// What a call is, for those who look at the driver.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    /// When it was sent.
    pub(crate) since: Instant<Monotonic>,
    /// Client id of the sender, 0 for calls of the kernel.
    pub(crate) client: i32,
    /// Thread that made it.
    pub(crate) tid: i32,
    /// Remote handle.
    pub(crate) handle: u32,
    /// Method and number of arguments.
    pub(crate) scalars: u32,
}

struct Calls {
    table: SlotTable<KVec<Slot>>,
    /// What the call in each slot is, or was.
    facts: KVec<Option<Facts>>,
    /// Set when the DSP is about to go: nobody begins a call, and clients wait no longer.
    closing: bool,
}

/// The outstanding calls of one DSP.
#[pin_data]
pub(crate) struct Channel {
    #[pin]
    calls: SpinLockIrq<Calls>,
    wakeups: CompletionTable,
    link: Arc<Link>,
    dropped: Atomic<u64>,
}

impl Channel {
    /// Makes a channel on an open link.
    pub(crate) fn new(link: Arc<Link>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            calls <- {
                let mut storage = KVec::with_capacity(TABLE_LEN, GFP_KERNEL)?;
                storage.resize(TABLE_LEN, Slot::FREE, GFP_KERNEL)?;
                let mut facts = KVec::with_capacity(TABLE_LEN, GFP_KERNEL)?;
                facts.resize(TABLE_LEN, None, GFP_KERNEL)?;
                new_spinlock_irq!(
                    Calls {
                        facts,
                        table: SlotTable::with_sequence(
                            storage,
                            Sequence::of_channel(CHANNELS.fetch_add(1u64, Relaxed)),
                        ),
                        closing: false,
                    },
                    "qda_calls"
                )
            },
            wakeups: CompletionTable::new(TABLE_LEN)?,
            link,
            dropped: Atomic::new(0),
        })
    }

    /// Takes a packet of the DSP. Called in hard interrupt context.
    pub(crate) fn receive(&self, packet: &[u8]) {
        let taken = match Response::parse(packet) {
            Ok(response) => {
                let mut calls = self.calls.lock();
                let outcome = calls.table.respond(response.word, response.result);
                self.wake(outcome)
            }
            Err(_) => false,
        };
        if !taken {
            self.dropped.add(1u64, Relaxed);
        }
    }

    /// Number of packets that completed no call.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Number of calls that wait for an answer or for their waiter.
    pub(crate) fn in_use(&self) -> usize {
        self.calls.lock().table.in_use()
    }

    /// What the calls are that the DSP has not answered.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = Facts> + '_ {
        // One slot at a time: nobody waits long for the lock.
        (1..TABLE_LEN).filter_map(|index| {
            let calls = self.calls.lock();
            let facts = *calls.facts.get(index)?;
            facts.filter(|_| calls.table.is_open(index))
        })
    }

    /// Wakes the waiter of a slot. The lock of the slots must be held, so that no wake-up comes
    /// after the slot has got a new owner.
    fn wake(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Wake(index) => {
                self.wakeups.complete(index);
                true
            }
            Outcome::Settled(_) => true,
            Outcome::Drop(_) => false,
        }
    }

    /// Sends a request. `memory` is what the DSP may touch until the answer is there.
    ///
    /// Takes no time but the transport's. If it fails, nothing was sent, and the memory comes back.
    #[inline(never)]
    pub(crate) fn submit<M>(
        &self,
        origin: Origin,
        header: Header,
        message: Message,
        memory: M,
    ) -> core::result::Result<Pending<'_, M>, (CallError, M)> {
        // From taking the slot to the end of the send: who closes the channel waits for that.
        let sending = self.link.enter();
        let facts = Facts {
            since: Instant::now(),
            client: header.sender.id(),
            tid: header.tid,
            handle: header.handle,
            scalars: message.scalars().raw(),
        };
        let word = match self.begin(origin, header.pd, facts) {
            Ok(word) => word,
            Err(e) => return Err((e, memory)),
        };
        let request = Request::new(header.sender, header.tid, word, header.handle, message);

        match sending.send(request.as_bytes()) {
            Ok(()) => {}
            // The DSP may have got it: the call stays, and so does its memory.
            Err(SendError::Unknown(_)) => {}
            Err(SendError::Closed) => {
                if self.calls.lock().table.rollback(word) {
                    return Err((CallError::Gone, memory));
                }
            }
            Err(SendError::Refused(e)) => {
                if self.calls.lock().table.rollback(word) {
                    return Err((CallError::Transport(e), memory));
                }
            }
        }
        Ok(Pending {
            channel: self,
            word,
            memory,
        })
    }

    /// Takes a slot and makes it ready for the answer, which may come before the send returns.
    fn begin(&self, origin: Origin, pd: Pd, facts: Facts) -> CallResult<ContextWord> {
        let mut calls = self.calls.lock();
        if calls.closing && origin != Origin::Release {
            return Err(CallError::Gone);
        }
        if let Origin::Client(own) = origin {
            let limit = calls.table.capacity().saturating_sub(KERNEL_SLOTS);
            if own >= limit.saturating_sub(calls.table.in_use()) {
                return Err(CallError::NoSlot);
            }
        }
        let word = calls.table.prepare(pd).map_err(|e| match e {
            PrepareError::Full => CallError::NoSlot,
            PrepareError::Dead => CallError::Gone,
        })?;
        if let Some(place) = calls.facts.get_mut(word.slot()) {
            *place = Some(facts);
        }
        self.wakeups.rearm(word.slot());
        calls
            .table
            .mark_sent(word)
            .map_err(|_| CallError::Gone)
            .map(|()| word)
    }

    /// Lets nobody begin a call and ends the waits of clients.
    ///
    /// All calls that were begun before have been sent when this returns, and processes can still
    /// be released: a release does not overtake a call. May sleep.
    pub(crate) fn close(&self) {
        let mut calls = self.calls.lock();
        calls.closing = true;
        for index in 1..TABLE_LEN {
            self.wakeups.complete(index);
        }
        drop(calls);
        self.link.settle();
    }

    /// Ends all calls: the DSP will answer no more, and nothing is sent to it when this returns. May
    /// sleep.
    pub(crate) fn kill(&self) {
        let mut calls = self.calls.lock();
        calls.closing = true;
        calls.table.kill(|outcome| {
            self.wake(outcome);
        });
        drop(calls);
        self.link.settle();
    }
}

/// A call that was sent and waits for its answer.
#[must_use = "the DSP may use the memory of the call until it is settled"]
pub(crate) struct Pending<'a, M> {
    channel: &'a Channel,
    word: ContextWord,
    memory: M,
}

/// A point in time, after which a client does not wait for an answer.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Deadline {
    /// On the clock CLOCK_MONOTONIC, in nanoseconds.
    nanoseconds: u64,
}

impl Deadline {
    /// Makes a deadline of nanoseconds on the clock CLOCK_MONOTONIC.
    pub(crate) fn new(nanoseconds: u64) -> Self {
        Self { nanoseconds }
    }

    /// Whether it has passed.
    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// The time that is left, 0 if it has passed.
    fn left(self) -> Duration {
        let now = Instant::<Monotonic>::now().as_nanos();
        // The clock does not show negative times.
        let now = u64::try_from(now).unwrap_or(0);
        Duration::from_nanos(self.nanoseconds.saturating_sub(now))
    }
}

/// How a wait for an answer ended.
pub(crate) enum Waited<M> {
    /// The DSP answered.
    Answered(DspResult, M),
    /// The channel is gone and the DSP with it.
    Gone(M),
    /// The wait ended before the call did, for good.
    GaveUp(CallError, Abandoned<M>),
}

impl<M> Pending<'_, M> {
    /// Waits for the answer until a signal arrives or the deadline has passed.
    ///
    /// After a signal the wait can be taken up again, except by a thread that was killed.
    #[inline(never)]
    pub(crate) fn wait_interruptible(
        self,
        deadline: Option<Deadline>,
    ) -> core::result::Result<Waited<M>, Suspended<M>> {
        loop {
            let (slot, wakeups) = (self.word.slot(), &self.channel.wakeups);
            let wait = match deadline {
                None => wakeups.wait_interruptible(slot),
                Some(deadline) => wakeups.wait_interruptible_timeout(slot, deadline.left()),
            };
            let mut calls = self.channel.calls.lock();
            let reply = calls.table.take(self.word);
            let closing = calls.closing;
            drop(calls);
            if let Some(reply) = reply {
                // When the DSP goes, processes are released, and that aborts their calls. All
                // waiters get the same answer, whoever is faster.
                return Ok(self.finish(if closing { Reply::Gone } else { reply }));
            }
            if closing {
                return Ok(self.give_up(CallError::Gone));
            }
            match wait {
                // Who is killed does not come back.
                Wait::Interrupted if task::current_is_killed() => {
                    return Ok(self.give_up(CallError::Interrupted))
                }
                Wait::Interrupted => {
                    return Err(Suspended {
                        word: self.word,
                        memory: self.memory,
                    })
                }
                Wait::TimedOut => return Ok(self.give_up(CallError::TimedOut)),
                Wait::Completed => {}
            }
            // A wake-up that was meant for an earlier call in this slot.
        }
    }

    /// Waits for the answer for at most `timeout`; signals do not matter.
    #[inline(never)]
    pub(crate) fn wait_timeout(self, timeout: Duration) -> Waited<M> {
        // Closing the channel wakes every slot once, and an earlier call in this slot may have
        // left a wake-up; more than that means that the answer is there.
        for _ in 0..3 {
            let wait = self.channel.wakeups.wait_timeout(self.word.slot(), timeout);
            let reply = self.channel.calls.lock().table.take(self.word);
            if let Some(reply) = reply {
                return self.finish(reply);
            }
            if wait == Wait::TimedOut {
                break;
            }
        }
        self.give_up(CallError::TimedOut)
    }

    fn finish(self, reply: Reply) -> Waited<M> {
        match reply {
            Reply::Result(result) => Waited::Answered(result, self.memory),
            Reply::Gone => Waited::Gone(self.memory),
        }
    }

    #[inline(never)]
    fn give_up(self, why: CallError) -> Waited<M> {
        let abandon = self.channel.calls.lock().table.abandon(self.word);
        match abandon {
            // The answer came just now. It counts, unless all waiters get the same one.
            Abandon::AlreadyDone(reply) => self.finish(match why {
                CallError::Gone => Reply::Gone,
                _ => reply,
            }),
            Abandon::Abandoned | Abandon::Unknown => Waited::GaveUp(
                why,
                Abandoned {
                    word: self.word,
                    memory: self.memory,
                },
            ),
        }
    }
}

/// A call that nobody waits for. Its memory stays until the DSP has answered.
#[must_use = "the DSP may use the memory of the call until it is settled"]
pub(crate) struct Abandoned<M> {
    word: ContextWord,
    /// Dropped when the call is settled, or with the session.
    memory: M,
}

impl<M> Abandoned<M> {
    /// The memory, if the DSP has answered, or never will because the channel is gone.
    pub(crate) fn settled(&self, channel: &Channel) -> Option<&M> {
        let pending = channel.calls.lock().table.is_pending(self.word);
        (!pending).then_some(&self.memory)
    }

    /// Ends the call, because the process that it was made for is gone. The slot is free then.
    pub(crate) fn retire(self, channel: &Channel) -> M {
        channel.calls.lock().table.retire(self.word);
        self.memory
    }
}

/// A call whose waiter was interrupted and may come back. Its answer stays in its slot meanwhile.
#[must_use = "the DSP may use the memory of the call until it is settled"]
pub(crate) struct Suspended<M> {
    word: ContextWord,
    memory: M,
}

/// What became of a suspended call.
pub(crate) enum Settled<M> {
    /// It was answered, or the channel is gone.
    Yes(Reply, M),
    /// It goes on.
    No(Suspended<M>),
}

impl<M> Suspended<M> {
    /// Waits for the answer again.
    pub(crate) fn resume(self, channel: &Channel) -> Pending<'_, M> {
        Pending {
            channel,
            word: self.word,
            memory: self.memory,
        }
    }

    /// Takes the answer out of the slot, if it is there.
    pub(crate) fn settle(self, channel: &Channel) -> Settled<M> {
        let reply = channel.calls.lock().table.take(self.word);
        match reply {
            Some(reply) => Settled::Yes(reply, self.memory),
            None => Settled::No(self),
        }
    }

    /// Gives it up for good.
    pub(crate) fn abandon(self, channel: &Channel) -> Abandoned<M> {
        // If it was answered just now, its slot is free and it counts as settled.
        let _ = channel.calls.lock().table.abandon(self.word);
        Abandoned {
            word: self.word,
            memory: self.memory,
        }
    }

    /// As [`Abandoned::retire`].
    pub(crate) fn retire(self, channel: &Channel) -> M {
        channel.calls.lock().table.retire(self.word);
        self.memory
    }
}
