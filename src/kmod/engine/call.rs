// SPDX-License-Identifier: GPL-2.0

//! One remote call of a client.
//!
//! ```text
//! buffers mapped -> plan -> arena memory -> marshal and copy in -> slot and send -> wait
//!     -> copy out -> memory back
//! ```
//!
//! An argument names a buffer until [`Session::call`] has found it in the bank; from then on all
//! passes over the arguments work from the same result. Nothing is read back from the message but
//! the bytes of outputs, at offsets that are computed anew from the request, and the list of what
//! the DSP has dropped. No lock is held during the copies.
//!
//! A signal ends the wait and not the call. The thread that makes the same call again waits for the
//! one that is under way instead of sending a second one; see [`parked`](super::session::Parked).

use crate::{
    engine::{
        arena::{
            CallMemory,
            Writer, //
        },
        buffer::{
            Buffer,
            Hold,
            Holds,
            Start, //
        },
        channel::{
            Deadline,
            Header,
            Pending,
            Waited, //
        },
        error::{
            CallError,
            CallResult, //
        },
        kept::NewEntry,
        session::{
            CallPrint,
            Entry,
            InFlight,
            Session,
            TakenUp, //
        }, //
    },
    proto::{
        encode::{
            Encoder,
            Message, //
        },
        errors::DspResult,
        fingerprint::Fingerprint,
        layout::{
            Arg,
            Plan,
            Planned, //
        },
        scalars::Scalars,
        wire::{
            PageEntry,
            Sender, //
        },
        PAGE, //
    },
    sys::{
        dma::Direction,
        task, //
    }, //
};
use core::{
    hash::{
        Hash,
        Hasher, //
    },
    mem, //
};
use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};

/// Most bytes of inline data in one call that any limit allows.
pub(crate) const MAX_INLINE: u64 = 64 * 1024 * 1024;

/// Most bytes in one message: the inline data, the metadata of 540 arguments and the gaps between
/// them.
const MAX_MESSAGE: usize = 64 * 1024 * 1024 + 128 * 1024;

/// Bytes of inputs that are looked at in one step.
const PIECE: usize = 256;
/// Pieces that are looked at without giving others a chance to run.
const STRETCH: usize = 1024;

/// One argument of a client's call.
pub(crate) enum Argument {
    /// No data.
    Empty,
    /// Data in the caller's memory, which is copied.
    Inline {
        /// Where it is.
        user: UserPtr,
        /// Number of bytes, not 0.
        len: usize,
    },
    /// Data in a buffer, which the DSP accesses itself.
    Buffer {
        /// The buffer.
        buffer: Buffer,
        /// Where in it the data begins.
        start: Start,
        /// Number of bytes, not 0.
        len: u64,
    },
    /// A buffer that code on the DSP gets a handle of.
    Handle {
        /// The caller's number for it.
        tag: i32,
        /// The buffer, if there is one behind the number.
        buffer: Option<Buffer>,
        /// First byte.
        offset: u32,
        /// Number of bytes; may be 0.
        len: u32,
    },
    /// What became of one of the two above.
    Found(Found),
}

/// A buffer or handle argument whose buffer is mapped.
pub(crate) struct Found {
    arg: Arg,
    /// What part of which buffer of the call it is, if there is one.
    part: Option<Part>,
    /// What must be kept once the DSP knows of it.
    keep: Option<NewEntry>,
}

/// Part of a buffer.
struct Part {
    /// Number of the buffer in the [`Holds`] of the call.
    hold: usize,
    span: BufferSpan,
}

/// A range of a buffer in the bank of a session.
///
/// For handles, the address is that of the whole buffer.
#[derive(Clone, Copy)]
pub(crate) struct BufferSpan {
    /// First byte in the buffer.
    pub(crate) offset: usize,
    /// Number of bytes.
    pub(crate) len: usize,
    /// DSP address.
    address: u64,
}

impl BufferSpan {
    /// The range as a buffer argument. `user` is where the caller sees it: the DSP is told that
    /// address, or its own.
    pub(crate) fn arg(&self, user: Option<u64>) -> Arg {
        let pv = user
            .filter(|user| user % PAGE == self.address % PAGE)
            .unwrap_or(self.address);
        // CAST: `usize` has 64 bits where a DSP is.
        Arg::mapped(pv, self.address, self.len as u64)
    }
}

impl Argument {
    /// As the protocol sees it. All passes over the arguments work from this.
    fn as_arg(&self) -> CallResult<Arg> {
        match self {
            Self::Empty => Ok(Arg::Empty),
            // CAST: `usize` has 64 bits where a DSP is.
            Self::Inline { len, .. } => Ok(Arg::inline(*len as u64)),
            Self::Found(found) => Ok(found.arg),
            // Not found yet.
            Self::Buffer { .. } | Self::Handle { .. } => Err(CallError::Invalid),
        }
    }

    fn part(&self) -> Option<&Part> {
        match self {
            Self::Found(found) => found.part.as_ref(),
            _ => None,
        }
    }
}

/// A remote call of a client.
pub(crate) struct CallRequest<'a> {
    /// Remote handle.
    pub(crate) handle: u32,
    /// Method and number of arguments.
    pub(crate) scalars: Scalars,
    /// The arguments: in buffers, out buffers, in handles, out handles.
    pub(crate) arguments: &'a mut [Argument],
    /// Until when the caller waits, if not for ever.
    pub(crate) deadline: Option<Deadline>,
}

impl CallRequest<'_> {
    fn plan(&self, most_inline: u64) -> CallResult<Planned> {
        let mut plan = Plan::new(self.scalars, MAX_MESSAGE);
        for argument in self.arguments.iter() {
            let _ = plan.place(&argument.as_arg()?)?;
        }
        let planned = plan.finish()?;
        if planned.inline_bytes() > most_inline {
            return Err(CallError::TooBig);
        }
        Ok(planned)
    }

    /// What tells this call from others, except for the bytes of its inputs.
    fn outline(&self) -> CallResult<Fingerprint> {
        let mut print = Fingerprint::new();
        self.handle.hash(&mut print);
        self.scalars.raw().hash(&mut print);
        self.deadline.hash(&mut print);
        for argument in self.arguments.iter() {
            argument.as_arg()?.hash(&mut print);
            if let Argument::Inline { user, .. } = argument {
                user.as_const_ptr().addr().hash(&mut print);
            }
        }
        Ok(print)
    }

    /// What tells this call from all others.
    #[inline(never)]
    fn print(&self) -> CallResult<CallPrint> {
        let mut print = self.outline()?;
        let outline = print.finish();
        for (argument, class) in self.arguments.iter().zip(self.scalars.classes()) {
            match argument {
                Argument::Inline { user, len } if !class.is_out() => {
                    take_in(*user, *len, &mut print)?;
                }
                _ => {}
            }
        }
        Ok(CallPrint {
            outline,
            whole: print.finish(),
        })
    }

    /// Writes the message, which the DSP will see at `base`, with the caller's inputs.
    fn marshal(&self, planned: Planned, base: u64, memory: &CallMemory) -> CallResult<Message> {
        let mut writer = Writer(memory);
        let mut encoder = Encoder::start(&mut writer, planned, base)?;
        for argument in self.arguments.iter() {
            let (next, placed) = encoder.arg(&argument.as_arg()?)?;
            encoder = next;
            if let (Some(area), Argument::Inline { user, .. }) = (placed.input(), argument) {
                memory.copy_from_user(area.offset, *user, area.len)?;
            }
        }
        Ok(encoder.finish()?)
    }

    /// Copies the outputs to the caller.
    fn copy_out(&self, memory: &CallMemory) -> CallResult {
        let mut plan = Plan::new(self.scalars, MAX_MESSAGE);
        for argument in self.arguments.iter() {
            let placed = plan.place(&argument.as_arg()?)?;
            if let (Some(area), Argument::Inline { user, .. }) = (placed.output(), argument) {
                memory.copy_to_user(area.offset, *user, area.len)?;
            }
        }
        Ok(())
    }

    /// Calls `sync` for each part of a buffer that the call uses.
    fn for_each_part(&self, holds: &Holds, sync: impl Fn(&Hold, BufferSpan, Direction)) {
        for (argument, class) in self.arguments.iter().zip(self.scalars.classes()) {
            let Some(part) = argument.part() else {
                continue;
            };
            let direction = match class.is_out() {
                true => Direction::FromDevice,
                false => Direction::ToDevice,
            };
            if let Some(hold) = holds.get(part.hold) {
                sync(hold, part.span, direction);
            }
        }
    }
}

impl Session {
    /// A range of a buffer in the bank of this session.
    pub(crate) fn buffer_span(&self, hold: &Hold, offset: u64, len: u64) -> CallResult<BufferSpan> {
        let mapping = hold.mapping();
        let (Ok(offset), Ok(len)) = (usize::try_from(offset), usize::try_from(len)) else {
            return Err(CallError::Invalid);
        };
        match offset.checked_add(len) {
            Some(end) if end <= mapping.size() => {}
            _ => return Err(CallError::Invalid),
        }
        let iova = mapping
            .address()
            // CAST: `usize` has 64 bits where a DSP is.
            .checked_add(offset as u64)
            .ok_or(CallError::Invalid)?;
        Ok(BufferSpan {
            offset,
            len,
            address: self.dsp_address(iova, len)?,
        })
    }

    /// Finds the buffers of a call in the bank, and maps those that are new.
    #[inline(never)]
    fn find_buffers(&self, arguments: &mut [Argument], holds: &mut Holds) -> CallResult {
        for argument in arguments {
            let found = match argument {
                Argument::Empty | Argument::Inline { .. } | Argument::Found(_) => continue,
                Argument::Buffer { buffer, start, len } => {
                    let (offset, user) = start.find(buffer, *len)?;
                    let hold = self.mappings().hold(buffer)?;
                    let span = self.buffer_span(&hold, offset, *len)?;
                    Found {
                        arg: span.arg(user),
                        part: Some(Part {
                            hold: holds.push(hold)?,
                            span,
                        }),
                        keep: None,
                    }
                }
                Argument::Handle {
                    tag,
                    buffer: None,
                    offset,
                    len,
                } => Found {
                    arg: Arg::Handle {
                        fd: *tag,
                        offset: *offset,
                        len: *len,
                        page: None,
                    },
                    part: None,
                    keep: None,
                },
                Argument::Handle {
                    tag,
                    buffer: Some(buffer),
                    offset,
                    len,
                } => {
                    buffer.check_range(u64::from(*offset), u64::from(*len))?;
                    let hold = self.mappings().hold(buffer)?;
                    let size = hold.mapping().size();
                    // CAST: `usize` has 64 bits where a DSP is.
                    let whole = self.buffer_span(&hold, 0, size as u64)?;
                    let span = BufferSpan {
                        offset: usize::try_from(*offset).map_err(|_| CallError::Invalid)?,
                        len: usize::try_from(*len).map_err(|_| CallError::Invalid)?,
                        ..whole
                    };
                    // The DSP may use it beyond this call.
                    let keep = self.mappings().hold(buffer)?;
                    let keep = self.parked().kept().prepare(*tag, buffer.key(), keep)?;
                    Found {
                        arg: Arg::Handle {
                            fd: *tag,
                            offset: *offset,
                            len: *len,
                            page: Some(PageEntry::new(whole.address, size as u64)),
                        },
                        part: Some(Part {
                            hold: holds.push(hold)?,
                            span,
                        }),
                        keep: Some(keep),
                    }
                }
            };
            drop(mem::replace(argument, Argument::Found(found)));
        }
        Ok(())
    }

    /// Makes a remote call and waits for its result.
    ///
    /// Outputs are copied whatever the result is. A signal ends the wait with
    /// [`CallError::Interrupted`]; the call goes on, and the same thread can take it up by making
    /// it again. The deadline ends it with [`CallError::TimedOut`]. In both cases the memory and
    /// the buffers of the call stay until the DSP has answered.
    #[inline(never)]
    pub(crate) fn call(&self, mut request: CallRequest<'_>) -> CallResult<DspResult> {
        let entry = self.parked().enter()?;
        if entry.has_any() {
            return self.call_again(entry, &mut request);
        }
        self.call_anew(entry, &mut request, Holds::new())
    }

    /// Takes up a call that the calling thread has left behind, or makes a new one.
    #[inline(never)]
    fn call_again(&self, entry: Entry<'_>, request: &mut CallRequest<'_>) -> CallResult<DspResult> {
        let mut holds = Holds::new();
        self.find_buffers(request.arguments, &mut holds)?;
        if !entry.knows(request.outline()?.finish()) {
            return self.call_anew(entry, request, holds);
        }
        let print = request.print()?;
        match entry.take_up(print) {
            Some(TakenUp::Open(call)) => {
                let pending = call.resume(self.dsp().channel());
                self.wait(entry, request, pending, Some(print))
            }
            Some(TakenUp::Answered(result, memory)) => {
                self.take_outputs(request, &memory, &holds)?;
                Ok(result)
            }
            None => self.call_anew(entry, request, holds),
        }
    }

    /// Makes a new call. `holds` are the buffers of it that were found already.
    #[inline(never)]
    fn call_anew(
        &self,
        entry: Entry<'_>,
        request: &mut CallRequest<'_>,
        holds: Holds,
    ) -> CallResult<DspResult> {
        if request.deadline.is_some_and(Deadline::has_passed) {
            return Err(CallError::TimedOut);
        }
        let origin = entry.origin(self.dsp().limits().calls)?;
        let (message, in_flight) = self.prepare_call(request, holds)?;
        let header = Header {
            sender: Sender::Client(self.client()),
            pd: self.pd(),
            tid: task::current_tid(),
            handle: request.handle,
        };
        let pending = self
            .dsp()
            .channel()
            .submit(origin, header, message, in_flight)
            // Nothing was sent: the memory goes back to the arena.
            .map_err(|(e, _in_flight)| e)?;
        self.keep_handles(request.arguments);
        self.wait(entry, request, pending, None)
    }

    /// Waits for a call. `print` is its fingerprint, if it is known.
    fn wait(
        &self,
        entry: Entry<'_>,
        request: &CallRequest<'_>,
        pending: Pending<'_, InFlight>,
        print: Option<CallPrint>,
    ) -> CallResult<DspResult> {
        match pending.wait_interruptible(request.deadline) {
            Ok(Waited::Answered(result, in_flight)) => {
                self.finish_call(request, in_flight)?;
                Ok(result)
            }
            Ok(Waited::Gone(_in_flight)) => Err(CallError::Gone),
            Ok(Waited::GaveUp(why, call)) => {
                entry.abandon(call);
                Err(why)
            }
            Err(call) => {
                match print.map_or_else(|| request.print(), Ok) {
                    Ok(print) => entry.suspend(call, print),
                    // Its inputs are not there any more: it cannot be made again either.
                    Err(_) => entry.abandon(call.abandon(self.dsp().channel())),
                }
                Err(CallError::Interrupted)
            }
        }
    }

    /// Keeps the buffers of handles, of which the DSP knows now.
    #[inline(never)]
    fn keep_handles(&self, arguments: &mut [Argument]) {
        for argument in arguments {
            if let Argument::Found(Found { keep, .. }) = argument {
                if let Some(new) = keep.take() {
                    self.parked().kept().keep(new);
                }
            }
        }
    }

    /// Does everything that comes before sending.
    #[inline(never)]
    fn prepare_call(
        &self,
        request: &mut CallRequest<'_>,
        mut holds: Holds,
    ) -> CallResult<(Message, InFlight)> {
        self.find_buffers(request.arguments, &mut holds)?;
        let planned = request.plan(self.dsp().limits().inline)?;
        let memory = self.arena().take(planned.size())?;
        let base = self.dsp_address(memory.address()?, planned.size())?;
        let message = request.marshal(planned, base, &memory)?;
        self.count_copied(planned.inline_bytes());
        memory.sync_for_device();
        if !self.is_coherent() {
            request.for_each_part(&holds, |hold, span, direction| {
                hold.mapping()
                    .sync_for_device(span.offset, span.len, direction);
            });
        }
        let in_flight = InFlight {
            memory,
            scalars: request.scalars,
            holds,
        };
        Ok((message, in_flight))
    }

    /// Ends a call that was answered.
    #[inline(never)]
    fn finish_call(&self, request: &CallRequest<'_>, in_flight: InFlight) -> CallResult {
        in_flight.memory.sync_for_cpu();
        self.parked().take_dropped(&in_flight);
        self.take_outputs(request, &in_flight.memory, &in_flight.holds)
    }

    /// Takes the outputs of a call that was answered.
    fn take_outputs(
        &self,
        request: &CallRequest<'_>,
        memory: &CallMemory,
        holds: &Holds,
    ) -> CallResult {
        if !self.is_coherent() {
            request.for_each_part(holds, |hold, span, direction| {
                if let Direction::FromDevice = direction {
                    hold.mapping()
                        .sync_for_cpu(span.offset, span.len, direction);
                }
            });
        }
        request.copy_out(memory)
    }
}

/// Takes in `len` bytes of the caller.
fn take_in(user: UserPtr, len: usize, print: &mut Fingerprint) -> CallResult {
    let mut reader = UserSlice::new(user, len).reader();
    let mut bytes = [0; PIECE];
    for count in 1usize.. {
        let left = reader.len();
        if left == 0 {
            break;
        }
        let piece = bytes.get_mut(..left.min(PIECE)).ok_or(CallError::Invalid)?;
        reader.read_slice(piece)?;
        piece.hash(print);
        if count % STRETCH == 0 {
            task::breathe();
            if task::current_is_killed() {
                return Err(CallError::Interrupted);
            }
        }
    }
    Ok(())
}
