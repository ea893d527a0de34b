// SPDX-License-Identifier: GPL-2.0

//! One process on the DSP, from its creation to its release.
//!
//! # Life cycle
//!
//! ```text
//! Unborn ---- attach, create ----> Arc<Session> ---- end ----> freed
//!    |                                 |                  \
//!    +-- refused, not sent: freed      +-- DSP is gone     +-- not confirmed: quarantine
//!    +-- no answer: quarantine             : freed
//! ```
//!
//! An [`Unborn`] has a seat on a bank, a client id and memory, but no process. It becomes a session
//! or is freed. Ending a session releases the process first; only when the DSP has confirmed that,
//! or is gone, does anything leave the bank. The message of the release is set aside at birth, so
//! that ending a session needs no memory.
//!
//! # Locking
//!
//! One mutex each around the message of the release and the memory of the process; parked calls have
//! their own (see `parked`). None is held across a wait.

mod parked;
mod unborn;

pub(crate) use self::{
    parked::{
        CallPrint,
        Entry,
        InFlight,
        Parked,
        TakenUp, //
    },
    unborn::Unborn, //
};

use crate::{
    engine::{
        arena::{
            Arena,
            CallMemory,
            Writer, //
        },
        bank::Seat,
        buffer::Hold,
        channel::{
            Header,
            Origin,
            Waited, //
        },
        dsp::Dsp,
        error::{
            CallError,
            CallResult, //
        },
        mapping::Mappings,
        remote::RemoteMaps, //
    },
    proto::{
        context::Pd,
        encode::{
            Encoder,
            Message, //
        },
        errors::DspResult,
        layout::Plan,
        methods::{
            Method,
            Release, //
        },
        wire::{
            ClientId,
            Sender, //
        },
    },
    sys::{
        completion::{
            CompletionTable,
            Wait, //
        },
        dma::DmaMemory,
        task, //
    },
};
use core::{
    mem,
    time::Duration, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use zerocopy::{
    FromZeros,
    IntoBytes, //
};

/// How long the DSP may take to answer a call of the kernel.
pub(crate) const KERNEL_CALL: Duration = Duration::from_secs(10);
/// How long it may take to release its processes when the channel goes.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How long after the transport refused a release it is tried again, in milliseconds.
const RETRY_MS: u32 = 100;

/// Most bytes of a message of the kernel, a page.
pub(crate) const MESSAGE: usize = 4096;

/// Event: the DSP has answered whether there is a process, or is not waited for any more.
const ARRIVED: usize = 0;
/// Event: the DSP has answered to the release, or is not waited for any more.
const DEPARTED: usize = 1;

/// Whether the process must be released, and the memory to do it with.
enum Farewell {
    /// There is no process.
    Unborn(CallMemory),
    /// The DSP was asked for the process and has not answered.
    Arriving(CallMemory),
    /// The process lives.
    Due(CallMemory),
    /// The release was sent.
    Sent,
}

/// Memory that belongs to the process until its release is confirmed.
#[derive(Default)]
struct ProcessMemory {
    init: Option<Arc<DmaMemory>>,
    shell: Option<ShellMemory>,
}

/// The program that the process was created from.
enum ShellMemory {
    /// A copy.
    Copied(Arc<DmaMemory>),
    /// A buffer of the client.
    Shared(#[expect(dead_code, reason = "owned, so that it stays")] Hold),
}

/// One process on the DSP and everything that the kernel holds for it.
#[pin_data]
pub(crate) struct Session {
    client: ClientId,
    pd: Pd,
    // Memory goes before the seat: whoever sits there next must find the bank empty.
    #[pin]
    parked: Parked,
    #[pin]
    farewell: Mutex<Farewell>,
    /// [`ARRIVED`] and [`DEPARTED`].
    events: CompletionTable,
    #[pin]
    memory: Mutex<ProcessMemory>,
    #[pin]
    remote_maps: RemoteMaps,
    // Behind everything that holds a buffer.
    #[pin]
    mappings: Mappings,
    /// Payload that was copied for calls, in bytes.
    copied: Atomic<u64>,
    arena: Arc<Arena>,
    seat: Seat,
    dsp: Arc<Dsp>,
}

impl Session {
    /// Client id on the DSP.
    pub(crate) fn client(&self) -> ClientId {
        self.client
    }

    /// Protection domain.
    pub(crate) fn pd(&self) -> Pd {
        self.pd
    }

    /// Stream id of the context bank.
    pub(crate) fn sid(&self) -> u32 {
        self.seat.bank().sid()
    }

    /// The DSP.
    pub(crate) fn dsp(&self) -> &Dsp {
        &self.dsp
    }

    /// The message memory.
    pub(crate) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// The buffers in the bank.
    pub(crate) fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// What is mapped into the process.
    pub(crate) fn remote_maps(&self) -> &RemoteMaps {
        &self.remote_maps
    }

    /// Calls that nobody waits for, and the buffers behind handles that the DSP has.
    pub(crate) fn parked(&self) -> &Parked {
        &self.parked
    }

    /// Whether caches need no care.
    pub(crate) fn is_coherent(&self) -> bool {
        self.seat.bank().is_coherent()
    }

    /// Counts payload that is copied for a call.
    pub(crate) fn count_copied(&self, bytes: u64) {
        if bytes != 0 {
            self.copied.fetch_add(bytes, Relaxed);
        }
    }

    /// Payload that was copied for calls, in bytes.
    pub(crate) fn copied(&self) -> u64 {
        self.copied.load(Relaxed)
    }

    /// Gives `size` bytes at device address `iova` the prefix of the bank.
    pub(crate) fn dsp_address(&self, iova: u64, size: usize) -> CallResult<u64> {
        u64::try_from(size)
            .ok()
            .and_then(|size| self.dsp.addressing().dsp_range(self.sid(), iova, size))
            .ok_or(CallError::NoMemory)
    }

    /// Makes a call of the kernel for this session and waits for the answer.
    // Not inline, and neither are its callers: messages are built on a stack that is small.
    #[inline(never)]
    pub(crate) fn kernel_call<M: Method>(
        &self,
        method: &M,
        memory: CallMemory,
        origin: Origin,
        timeout: Duration,
    ) -> CallResult<Waited<InFlight>> {
        self.try_kernel_call(method, memory, origin, timeout)
            .map_err(|(e, _memory)| e)
    }

    /// As [`Self::kernel_call`]. If nothing was sent, the memory comes back.
    #[inline(never)]
    fn try_kernel_call<M: Method>(
        &self,
        method: &M,
        memory: CallMemory,
        origin: Origin,
        timeout: Duration,
    ) -> core::result::Result<Waited<InFlight>, (CallError, CallMemory)> {
        let message = match self.write_message(method, &memory) {
            Ok(message) => message,
            Err(e) => return Err((e, memory)),
        };
        let in_flight = InFlight::new(memory, M::SCALARS);
        self.send_and_wait(origin, M::HANDLE, message, in_flight, timeout)
            .map_err(|(e, in_flight)| (e, in_flight.memory))
    }

    /// Writes the message of a call of the kernel.
    #[inline(never)]
    fn write_message<M: Method>(&self, method: &M, memory: &CallMemory) -> CallResult<Message> {
        let mut plan = Plan::new(M::SCALARS, MESSAGE);
        for index in 0..M::SCALARS.total() {
            let arg = method.arg(index).ok_or(CallError::Invalid)?;
            let _ = plan.place(&arg)?;
        }
        let planned = plan.finish()?;
        let base = self.dsp_address(memory.address()?, planned.size())?;

        let mut writer = Writer(memory);
        let mut encoder = Encoder::start(&mut writer, planned, base)?;
        for index in 0..M::SCALARS.total() {
            let arg = method.arg(index).ok_or(CallError::Invalid)?;
            let (next, placed) = encoder.arg(&arg)?;
            encoder = next;
            if let (Some(area), Some(bytes)) = (placed.input(), method.input(index)) {
                memory.write(area.offset, bytes)?;
            }
        }
        let message = encoder.finish()?;
        memory.sync_for_device();
        Ok(message)
    }

    #[inline(never)]
    fn send_and_wait(
        &self,
        origin: Origin,
        handle: u32,
        message: Message,
        in_flight: InFlight,
        timeout: Duration,
    ) -> core::result::Result<Waited<InFlight>, (CallError, InFlight)> {
        let header = Header {
            sender: Sender::Kernel,
            pd: self.pd,
            tid: task::current_tid(),
            handle,
        };
        let pending = self
            .dsp
            .channel()
            .submit(origin, header, message, in_flight)?;
        let waited = pending.wait_timeout(timeout);
        if let Waited::Answered(_, in_flight) = &waited {
            in_flight.memory.sync_for_cpu();
            self.parked.take_dropped(in_flight);
        }
        Ok(waited)
    }

    /// Reads the reply of a call of the kernel, as long as it must be, from where it must be.
    pub(crate) fn read_reply<M: Method>(
        &self,
        method: &M,
        in_flight: &InFlight,
    ) -> CallResult<M::Reply> {
        let mut reply = M::Reply::new_zeroed();
        let mut plan = Plan::new(M::SCALARS, MESSAGE);
        for index in 0..M::SCALARS.total() {
            let arg = method.arg(index).ok_or(CallError::Invalid)?;
            if let Some(area) = plan.place(&arg)?.output() {
                in_flight.memory.read(area.offset, reply.as_mut_bytes())?;
            }
        }
        Ok(reply)
    }

    /// Sends the release, if there is a process, and says whether the DSP can no longer touch its
    /// memory.
    fn release(&self, timeout: Duration) -> Released {
        let released = self.try_release(timeout);
        if !matches!(released, Released::Before) {
            self.events.complete(DEPARTED);
        }
        released
    }

    #[inline(never)]
    fn try_release(&self, timeout: Duration) -> Released {
        let farewell = mem::replace(&mut *self.farewell.lock(), Farewell::Sent);
        let mut memory = match farewell {
            Farewell::Unborn(_) => return Released::Confirmed,
            Farewell::Arriving(_) => return Released::Unknown,
            Farewell::Sent => return Released::Before,
            Farewell::Due(memory) => memory,
        };
        let attempts = timeout.as_millis().saturating_div(RETRY_MS.into());
        for _ in 0..=attempts {
            let release = Release::new(self.client);
            match self.try_kernel_call(&release, memory, Origin::Release, timeout) {
                Ok(Waited::Answered(result, _)) if confirms_release(result) => {
                    return Released::Confirmed
                }
                Ok(Waited::Answered(..)) => return Released::Refused,
                Ok(Waited::Gone(_)) | Err((CallError::Gone, _)) => return Released::DspGone,
                Ok(Waited::GaveUp(_, abandoned)) => {
                    // The session goes into quarantine, and the message with it.
                    self.parked.keep_for_good(abandoned);
                    return Released::Unknown;
                }
                // Nothing was sent. The transport may be short of something for a moment.
                Err((_, unsent)) => memory = unsent,
            }
            fsleep(Delta::from_millis(RETRY_MS.into()));
        }
        Released::Unknown
    }

    /// Ends the session. Waits for the DSP, but not for ever, and not for signals.
    pub(crate) fn end(&self) {
        match self.release(KERNEL_CALL) {
            Released::Confirmed => {
                self.parked.retire();
                self.dsp.forget(self);
            }
            Released::DspGone | Released::Before => self.dsp.forget(self),
            Released::Refused | Released::Unknown => self.dsp.quarantine(self),
        }
    }

    /// Releases the process because the channel goes. Gives whether the DSP still answers.
    pub(crate) fn release_quickly(&self) -> bool {
        // A process that is just being created uses the memory that is taken away next.
        let arriving = matches!(*self.farewell.lock(), Farewell::Arriving(_));
        if arriving && self.events.wait_timeout(ARRIVED, LAST_CALL) == Wait::TimedOut {
            return false;
        }
        match self.release(LAST_CALL) {
            Released::Confirmed | Released::Refused => true,
            Released::DspGone | Released::Unknown => false,
            // A client is closing just now. Its process uses the memory until that is done.
            Released::Before => self.events.wait_timeout(DEPARTED, LAST_CALL) == Wait::Completed,
        }
    }

    /// Notes that the DSP is about to be asked for the process.
    fn expect_arrival(&self) {
        let mut farewell = self.farewell.lock();
        *farewell = match mem::replace(&mut *farewell, Farewell::Sent) {
            Farewell::Unborn(memory) => Farewell::Arriving(memory),
            other => other,
        };
    }

    /// Notes that the DSP did not answer. No release is sent: it may not know the process.
    fn give_up_arrival(&self) {
        let farewell = mem::replace(&mut *self.farewell.lock(), Farewell::Sent);
        drop(farewell);
        self.events.complete(ARRIVED);
        self.events.complete(DEPARTED);
    }

    /// Notes the answer: whether there is a process.
    fn note_arrival(&self, alive: bool) {
        let mut farewell = self.farewell.lock();
        *farewell = match mem::replace(&mut *farewell, Farewell::Sent) {
            Farewell::Arriving(memory) if alive => Farewell::Due(memory),
            Farewell::Arriving(memory) => Farewell::Unborn(memory),
            other => other,
        };
        drop(farewell);
        self.events.complete(ARRIVED);
    }

    /// Takes all memory from the DSP.
    pub(crate) fn revoke(&self) {
        self.arena.revoke();
        let memory = mem::take(&mut *self.memory.lock());
        if let Some(init) = memory.init {
            init.revoke();
        }
        if let Some(ShellMemory::Copied(shell)) = memory.shell {
            shell.revoke();
        }
        self.mappings.revoke();
    }
}

/// What is known of a process after its release was sent.
enum Released {
    /// It is gone.
    Confirmed,
    /// The whole DSP is gone.
    DspGone,
    /// The DSP answered with an error. It may still run.
    Refused,
    /// The DSP did not answer. It may still run.
    Unknown,
    /// Somebody else sends the release and sees to the rest.
    Before,
}

/// Whether the answer to a release means that the process no longer runs.
fn confirms_release(result: DspResult) -> bool {
    // The DSP does not know the process (any more): it crashed before.
    const INVALID_PROCESS: DspResult = DspResult::from_bits(0x8000_0434);
    const NO_SUCH_PROCESS: DspResult = DspResult::from_bits(0x8000_0441);
    result.is_success() || result == INVALID_PROCESS || result == NO_SUCH_PROCESS
}
