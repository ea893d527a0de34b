// SPDX-License-Identifier: GPL-2.0

//! A session before there is a process: how one comes into being.
//!
//! Owns the steps of attach and create. Called by [`Client`](super::super::client::Client), which
//! holds no lock meanwhile; takes the locks of the session and of the registry, see [`super`].

use super::{
    Farewell,
    InFlight,
    Parked,
    ProcessMemory,
    Session,
    ShellMemory,
    KERNEL_CALL,
    MESSAGE, //
};
use crate::{
    engine::{
        arena::Arena,
        channel::{
            Origin,
            Waited, //
        },
        client::{
            SessionSpec,
            Shell, //
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
        errors::DspResult,
        layout::Arg,
        methods::{
            attrs::ProcessAttrs,
            name::TaskName,
            process::{
                CreateArgs,
                CreateCall, //
            },
            Attach, //
        },
        wire::PageEntry, //
    },
    sys::{
        completion::CompletionTable,
        dma::{
            Direction,
            DmaMemory, //
        },
        task, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc, //
    },
    task::Kuid, //
};

/// Least memory that a process starts with, in bytes.
const INIT_MEMORY: usize = 2 * 1024 * 1024;
/// Its size is a multiple of this.
const INIT_UNIT: usize = 1024 * 1024;

/// A session without a process: everything is there but the DSP does not know of it.
pub(crate) struct Unborn {
    session: Option<Arc<Session>>,
}

impl Unborn {
    /// Takes a seat, a client id and memory.
    pub(crate) fn new(dsp: &Arc<Dsp>, pd: Pd, user: Option<Kuid>) -> CallResult<Self> {
        let seat = dsp.banks().sit(user)?;
        let arena = Arena::new(seat.bank())?;
        let farewell = arena.take(MESSAGE)?;
        let events = CompletionTable::new(2)?;

        let session = dsp.enroll(|client| {
            Ok(Arc::pin_init(
                try_pin_init!(Session {
                    client,
                    pd,
                    parked <- Parked::new(dsp),
                    farewell <- new_mutex!(Farewell::Unborn(farewell), "qda_farewell"),
                    events,
                    memory <- new_mutex!(ProcessMemory::default(), "qda_process_memory"),
                    remote_maps <- RemoteMaps::new(),
                    mappings <- Mappings::new(seat.bank()),
                    copied: Atomic::new(0),
                    arena,
                    seat,
                    dsp: dsp.clone(),
                }),
                GFP_KERNEL,
            )?)
        })?;
        Ok(Self {
            session: Some(session),
        })
    }

    /// Attaches to the process that the protection domain names.
    #[inline(never)]
    pub(crate) fn attach(self) -> CallResult<(DspResult, Option<Arc<Session>>)> {
        let session = self.session()?;
        let memory = session.arena.take(MESSAGE)?;
        session.expect_arrival();
        let waited = session.kernel_call(
            &Attach::new(session.client),
            memory,
            Origin::Kernel,
            KERNEL_CALL,
        )?;
        self.bear(waited)
    }

    /// Creates a process.
    #[inline(never)]
    pub(crate) fn create(
        self,
        spec: &SessionSpec,
        attrs: ProcessAttrs,
    ) -> CallResult<(DspResult, Option<Arc<Session>>)> {
        let session = self.session()?;
        let bank = session.seat.bank();

        let (shell, shell_arg) = session.take_shell(&spec.shell)?;
        let init = DmaMemory::new(bank, init_memory_size(shell_arg.len())?)?;
        let init_page = PageEntry::new(
            session.dsp_address(init.address(), init.size())?,
            // CAST: As above.
            init.size() as u64,
        );
        // From here on the DSP may use both until the process is released.
        *session.memory.lock() = ProcessMemory {
            init: Some(init),
            shell,
        };

        let call = CreateArgs::new(
            session.client,
            TaskName::snapshot(&task::current_comm()),
            shell_arg,
            spec.signature_len,
            attrs,
            init_page,
        )
        .ok_or(CallError::Invalid)?
        .call();
        let memory = session.arena.take(MESSAGE)?;
        session.expect_arrival();
        let waited = match &call {
            CreateCall::Plain(method) => {
                session.kernel_call(method, memory, Origin::Kernel, KERNEL_CALL)?
            }
            CreateCall::Attr(method) => {
                session.kernel_call(method, memory, Origin::Kernel, KERNEL_CALL)?
            }
        };
        self.bear(waited)
    }

    fn session(&self) -> CallResult<&Arc<Session>> {
        self.session.as_ref().ok_or(CallError::Invalid)
    }

    /// Turns the answer to attach or create into a session.
    fn bear(mut self, waited: Waited<InFlight>) -> CallResult<(DspResult, Option<Arc<Session>>)> {
        match waited {
            Waited::Answered(result, memory) if result.is_success() => {
                drop(memory);
                let session = self.session.take().ok_or(CallError::Invalid)?;
                session.note_arrival(true);
                Ok((result, Some(session)))
            }
            // The DSP refused: there is no process, and this value frees everything.
            Waited::Answered(result, _) => Ok((result, None)),
            Waited::Gone(_) => Err(CallError::Gone),
            Waited::GaveUp(why, abandoned) => {
                // The process may yet come to life: nothing of it may be used otherwise.
                if let Some(session) = self.session.take() {
                    session.parked.keep_for_good(abandoned);
                    session.give_up_arrival();
                    session.dsp.quarantine(&session);
                }
                Err(why)
            }
        }
    }
}

impl Session {
    /// Makes the program visible to the DSP.
    fn take_shell(&self, shell: &Shell) -> CallResult<(Option<ShellMemory>, Arg)> {
        match shell {
            Shell::None => Ok((None, Arg::Empty)),
            Shell::User { user, len } => {
                let memory = DmaMemory::new(self.seat.bank(), *len)?;
                memory.copy_from_user(0, *user, *len)?;
                memory.sync_for_device(0, *len);
                let address = self.dsp_address(memory.address(), memory.size())?;
                // CAST: `usize` has 64 bits where a DSP is.
                let arg = Arg::mapped(address, address, *len as u64);
                Ok((Some(ShellMemory::Copied(memory)), arg))
            }
            Shell::Buffer { buffer, start, len } => {
                let (offset, user) = start.find(buffer, *len)?;
                let hold = self.mappings.hold(buffer)?;
                let span = self.buffer_span(&hold, offset, *len)?;
                hold.mapping()
                    .sync_for_device(span.offset, span.len, Direction::ToDevice);
                Ok((Some(ShellMemory::Shared(hold)), span.arg(user)))
            }
        }
    }
}

impl Drop for Unborn {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.note_arrival(false);
            session.dsp.forget(&session);
        }
    }
}

/// Bytes of memory that a process with such a shell starts with.
fn init_memory_size(shell_len: u64) -> CallResult<usize> {
    usize::try_from(shell_len)
        .ok()
        .and_then(|len| len.checked_mul(4))
        .map(|bytes| bytes.max(INIT_MEMORY))
        .and_then(|bytes| bytes.checked_next_multiple_of(INIT_UNIT))
        .ok_or(CallError::Invalid)
}
