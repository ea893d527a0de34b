// SPDX-License-Identifier: GPL-2.0

//! One open file of a front end.
//!
//! A client has at most one session. It gets it by attaching to a process that runs on the DSP or
//! by creating one, not by being opened: a file that does neither uses no bank, no memory and no
//! message.
//!
//! Whatever a client is refused is recorded, see [`super::refusals`].
//!
//! # Locking
//!
//! One mutex around the state. It is not held while a session is made: the state says that one is
//! on its way, and a second attempt is refused at once.

use crate::{
    engine::{
        account::{
            Account,
            Charge, //
        },
        buffer::{
            Buffer,
            Start, //
        },
        call::{
            Argument,
            CallRequest, //
        },
        channel::Deadline,
        dsp::Dsp,
        error::{
            CallError,
            CallResult, //
        },
        policy::{
            self,
            Trust, //
        },
        refusals::{
            Operation,
            Outcome,
            Process, //
        },
        remote::{
            MapRequest,
            UnmapRequest, //
        },
        session::{
            Session,
            Unborn, //
        }, //
    },
    proto::{
        context::Pd,
        errors::DspResult,
        methods::attrs::ProcessAttrs,
        scalars::Scalars, //
    },
};
use core::mem;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    task::Kuid,
    uaccess::UserPtr, //
};

/// Most bytes of a shell.
pub(crate) const MAX_SHELL: u64 = 4 * 1024 * 1024;

/// The program that becomes the process on the DSP.
pub(crate) enum Shell {
    /// The DSP takes the one that it has.
    None,
    /// In the caller's memory, which is copied.
    User {
        /// Where it is.
        user: UserPtr,
        /// Number of bytes, not 0.
        len: usize,
    },
    /// In a buffer.
    Buffer {
        /// The buffer.
        buffer: Buffer,
        /// Where it begins.
        start: Start,
        /// Number of bytes, not 0.
        len: u64,
    },
}

/// What a process is created with.
pub(crate) struct SessionSpec {
    /// The program.
    pub(crate) shell: Shell,
    /// Process attributes.
    pub(crate) attrs: u32,
    /// Bytes of the signature, which follows the program and is part of the shell's length.
    pub(crate) signature_len: u32,
}

enum State {
    /// No session yet.
    Vacant,
    /// A session is on its way.
    Starting,
    /// There is a session.
    Live(Arc<Session>),
    /// The file is closed.
    Closed,
}

/// What a client shows of its session.
pub(crate) struct Facts {
    /// Stream id of the context bank.
    pub(crate) sid: u32,
    /// Client id on the DSP.
    pub(crate) client: i32,
    /// Payload that was copied for calls, in bytes.
    pub(crate) copied: u64,
}

/// A client that may call a handle.
pub(crate) struct Caller {
    session: Arc<Session>,
    handle: u32,
}

impl Caller {
    /// Makes a remote call, see [`Session::call`].
    pub(crate) fn call(
        &self,
        scalars: Scalars,
        arguments: &mut [Argument],
        deadline: Option<Deadline>,
    ) -> CallResult<DspResult> {
        let result = self.session.call(CallRequest {
            handle: self.handle,
            scalars,
            arguments,
            deadline,
        });
        if !matches!(&result, Ok(result) if result.is_success()) {
            self.note(Some(scalars), outcome_of(&result));
        }
        result
    }

    /// Records what a front end refuses before it makes the call, and hands `result` on.
    pub(crate) fn parsed<T>(
        &self,
        scalars: Option<Scalars>,
        result: CallResult<T>,
    ) -> CallResult<T> {
        if let Err(error) = &result {
            self.note(scalars, Outcome::Error(*error));
        }
        result
    }

    #[cold]
    fn note(&self, scalars: Option<Scalars>, outcome: Outcome) {
        let operation = Operation::Call {
            handle: self.handle,
            scalars: scalars.map(Scalars::raw),
        };
        let process = Some(process_of(&self.session));
        self.session
            .dsp()
            .refusals()
            .note(operation, process, outcome);
    }
}

fn process_of(session: &Session) -> Process {
    Process {
        client: session.client().get(),
        pd: session.pd(),
    }
}

fn outcome_of(result: &CallResult<DspResult>) -> Outcome {
    match result {
        Ok(result) => Outcome::Dsp(*result),
        Err(error) => Outcome::Error(*error),
    }
}

/// One open file of a front end.
#[pin_data]
pub(crate) struct Client {
    dsp: Arc<Dsp>,
    trust: Trust,
    user: Option<Kuid>,
    account: Arc<Account>,
    #[pin]
    state: Mutex<State>,
}

impl Client {
    /// Opens a client. Nothing happens on the DSP.
    ///
    /// `user` is whose share of the context banks its session takes, if not that of root.
    pub(crate) fn new(
        dsp: Arc<Dsp>,
        trust: Trust,
        user: Option<Kuid>,
    ) -> impl PinInit<Self, Error> {
        let trust = if dsp.trusts_everybody() {
            Trust::Trusted
        } else {
            trust
        };
        try_pin_init!(Self {
            dsp,
            trust,
            user,
            account: Account::new(*dsp.limits(), dsp.total().clone())?,
            state <- new_mutex!(State::Vacant, "qda_client"),
        })
    }

    /// Attaches to the root PD.
    pub(crate) fn attach(&self) -> CallResult<DspResult> {
        let result = policy::join(self.trust).and_then(|()| self.start(Pd::Root, Unborn::attach));
        self.noted(Operation::Attach, result)
    }

    /// Creates a process.
    pub(crate) fn create(&self, spec: &SessionSpec) -> CallResult<DspResult> {
        self.noted(
            Operation::Start { attrs: spec.attrs },
            self.try_create(spec),
        )
    }

    fn try_create(&self, spec: &SessionSpec) -> CallResult<DspResult> {
        let attrs = ProcessAttrs::new(spec.attrs).map_err(|_| CallError::Invalid)?;
        policy::start(self.trust, self.dsp.domain(), attrs)?;
        let len = match spec.shell {
            Shell::None => 0,
            // CAST: `usize` has 64 bits where a DSP is.
            Shell::User { len, .. } => len as u64,
            Shell::Buffer { len, .. } => len,
        };
        if len > MAX_SHELL || u64::from(spec.signature_len) > len {
            return Err(CallError::Invalid);
        }
        self.start(Pd::User, |unborn| unborn.create(spec, attrs))
    }

    /// Gets a session by `birth`. If it fails, or the DSP refuses, the client can try again.
    fn start(
        &self,
        pd: Pd,
        birth: impl FnOnce(Unborn) -> CallResult<(DspResult, Option<Arc<Session>>)>,
    ) -> CallResult<DspResult> {
        {
            let mut state = self.state.lock();
            match &*state {
                State::Vacant => *state = State::Starting,
                State::Starting | State::Live(_) => return Err(CallError::HasProcess),
                State::Closed => return Err(CallError::Gone),
            }
        }

        let born = Unborn::new(&self.dsp, pd, self.user).and_then(birth);

        let mut state = self.state.lock();
        match born {
            Ok((result, Some(session))) => {
                *state = State::Live(session);
                Ok(result)
            }
            Ok((result, None)) => {
                *state = State::Vacant;
                Ok(result)
            }
            Err(e) => {
                *state = State::Vacant;
                Err(e)
            }
        }
    }

    /// The session, if there is one.
    fn session(&self) -> CallResult<Arc<Session>> {
        match &*self.state.lock() {
            State::Live(session) => Ok(session.clone()),
            State::Vacant | State::Starting => Err(CallError::NoProcess),
            State::Closed => Err(CallError::Gone),
        }
    }

    /// Permits calls of `handle`, before anything else of them is looked at.
    pub(crate) fn caller(&self, handle: u32) -> CallResult<Caller> {
        let operation = Operation::Call {
            handle,
            scalars: None,
        };
        let session = policy::call_handle(handle).and_then(|()| self.session());
        Ok(Caller {
            session: self.parsed(operation, session)?,
            handle,
        })
    }

    /// Records what a front end refuses before it asks for `operation`, and hands `result` on.
    pub(crate) fn parsed<T>(&self, operation: Operation, result: CallResult<T>) -> CallResult<T> {
        if let Err(error) = &result {
            self.note(operation, Outcome::Error(*error));
        }
        result
    }

    /// Records `result`, if it is not success, and hands it on.
    fn noted(&self, operation: Operation, result: CallResult<DspResult>) -> CallResult<DspResult> {
        if !matches!(&result, Ok(result) if result.is_success()) {
            self.note(operation, outcome_of(&result));
        }
        result
    }

    #[cold]
    fn note(&self, operation: Operation, outcome: Outcome) {
        let process = match &*self.state.lock() {
            State::Live(session) => Some(process_of(session)),
            _ => None,
        };
        self.dsp.refusals().note(operation, process, outcome);
    }

    /// Most bytes of inline data in one call.
    pub(crate) fn most_inline(&self) -> u64 {
        self.dsp.limits().inline
    }

    /// Charges a new buffer of `bytes` bytes to this client.
    pub(crate) fn charge(&self, bytes: u64) -> CallResult<Charge> {
        self.account.charge(bytes)
    }

    /// Checks that there is a process.
    pub(crate) fn check_process(&self) -> CallResult {
        self.session().map(|_| ())
    }

    /// Maps memory into the process, see [`Session::remote_map`].
    pub(crate) fn remote_map(&self, request: MapRequest) -> CallResult<(DspResult, u64)> {
        let operation = Operation::Map {
            flags: request.flags(),
        };
        let mapped = self
            .session()
            .and_then(|session| session.remote_map(request));
        let address = mapped.map_or(0, |(_, address)| address);
        let result = self.noted(operation, mapped.map(|(result, _)| result))?;
        Ok((result, address))
    }

    /// Undoes a mapping, see [`Session::remote_unmap`].
    pub(crate) fn remote_unmap(&self, request: UnmapRequest) -> CallResult<DspResult> {
        let result = self
            .session()
            .and_then(|session| session.remote_unmap(request));
        self.noted(Operation::Unmap, result)
    }

    /// What is known of the session, if there is one.
    pub(crate) fn facts(&self) -> Option<Facts> {
        match &*self.state.lock() {
            State::Live(session) => Some(Facts {
                sid: session.sid(),
                client: session.client().get(),
                copied: session.copied(),
            }),
            _ => None,
        }
    }

    /// Ends the session: the process on the DSP is released and its memory freed.
    ///
    /// Waits for the DSP, but not for ever, and not for signals.
    pub(crate) fn close(&self) {
        let state = mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Live(session) = state {
            session.end();
        }
    }
}
