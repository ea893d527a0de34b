// SPDX-License-Identifier: GPL-2.0

//! One remote call of a client.
//!
//! ```text
//! plan -> arena memory -> marshal and copy in -> slot and send -> wait -> copy out -> memory back
//! ```
//!
//! Nothing is read back from the message but the bytes of outputs, at offsets that are computed
//! anew from the request. No lock is held during the copies.

use crate::{
    engine::{
        arena::{
            CallMemory,
            Writer, //
        },
        channel::{
            Header,
            Origin,
            Waited, //
        },
        error::{
            CallError,
            CallResult, //
        },
        session::Session, //
    },
    proto::{
        encode::{
            Encoder,
            Message, //
        },
        errors::DspResult,
        layout::{
            Arg,
            Plan,
            Planned, //
        },
        scalars::Scalars,
        wire::Sender, //
    },
    sys::task, //
};
use kernel::uaccess::UserPtr;

/// Most bytes of inline data in one call.
pub(crate) const MAX_INLINE: u64 = 64 * 1024 * 1024;

/// Most bytes in one message: the inline data, the metadata of 540 arguments and the gaps between
/// them.
const MAX_MESSAGE: usize = 64 * 1024 * 1024 + 128 * 1024;

/// One argument of a client's call.
#[derive(Clone, Copy)]
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
}

impl Argument {
    /// As the protocol sees it. Both passes over the arguments work from this.
    fn as_arg(&self) -> Arg {
        match *self {
            Self::Empty => Arg::Empty,
            // CAST: `usize` has 64 bits where a DSP is.
            Self::Inline { len, .. } => Arg::inline(len as u64),
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
    pub(crate) arguments: &'a [Argument],
}

impl CallRequest<'_> {
    fn plan(&self) -> CallResult<Planned> {
        let mut plan = Plan::new(self.scalars, MAX_MESSAGE);
        for argument in self.arguments {
            let _ = plan.place(&argument.as_arg())?;
        }
        let planned = plan.finish()?;
        if planned.inline_bytes() > MAX_INLINE {
            return Err(CallError::TooBig);
        }
        Ok(planned)
    }

    /// Writes the message, which the DSP will see at `base`, with the caller's inputs.
    fn marshal(&self, planned: Planned, base: u64, memory: &CallMemory) -> CallResult<Message> {
        let mut writer = Writer(memory);
        let mut encoder = Encoder::start(&mut writer, planned, base)?;
        for argument in self.arguments {
            let (next, placed) = encoder.arg(&argument.as_arg())?;
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
        for argument in self.arguments {
            let placed = plan.place(&argument.as_arg())?;
            if let (Some(area), Argument::Inline { user, .. }) = (placed.output(), argument) {
                memory.copy_to_user(area.offset, *user, area.len)?;
            }
        }
        Ok(())
    }
}

impl Session {
    /// Makes a remote call and waits for its result.
    ///
    /// Outputs are copied whatever the result is. A signal ends the wait with
    /// [`CallError::Interrupted`]; the DSP goes on with the call, and its memory stays taken until
    /// it has answered.
    pub(crate) fn call(&self, request: &CallRequest<'_>) -> CallResult<DspResult> {
        let planned = request.plan()?;
        let entry = self.enter()?;
        let memory = self.arena().take(planned.size())?;
        let base = self.dsp_address(memory.address()?, planned.size())?;
        let message = request.marshal(planned, base, &memory)?;
        memory.sync_for_device();

        let header = Header {
            sender: Sender::Client(self.client()),
            pd: self.pd(),
            tid: task::current_tid(),
            handle: request.handle,
        };
        let pending = self
            .dsp()
            .channel()
            .submit(Origin::Client, header, message, memory)
            // Nothing was sent: the memory goes back to the arena.
            .map_err(|(e, _memory)| e)?;

        match pending.wait_interruptible() {
            Waited::Answered(result, memory) => {
                memory.sync_for_cpu();
                request.copy_out(&memory)?;
                Ok(result)
            }
            Waited::Gone(_memory) => Err(CallError::Gone),
            Waited::GaveUp(why, abandoned) => {
                entry.park(abandoned);
                Err(why)
            }
        }
    }
}
