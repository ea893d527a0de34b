// SPDX-License-Identifier: GPL-2.0

//! One open file of a front end.
//!
//! A client has at most one session. It gets it by attaching to a process that runs on the DSP or
//! by creating one, not by being opened: a file that does neither uses no bank, no memory and no
//! message.
//!
//! # Locking
//!
//! One mutex around the state. It is not held while a session is made: the state says that one is
//! on its way, and a second attempt is refused at once.

use crate::{
    engine::{
        call::{
            Argument,
            CallRequest, //
        },
        dsp::Dsp,
        error::{
            CallError,
            CallResult, //
        },
        policy::{
            self,
            Trust, //
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
    uaccess::UserPtr, //
};

/// Most bytes of a shell.
pub(crate) const MAX_SHELL: usize = 4 * 1024 * 1024;

/// The program that becomes the process on the DSP.
#[derive(Clone, Copy)]
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
}

/// What a process is created with.
#[derive(Clone, Copy)]
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
}

/// A client that may call a handle.
pub(crate) struct Caller {
    session: Arc<Session>,
    handle: u32,
}

impl Caller {
    /// Makes a remote call, see [`Session::call`].
    pub(crate) fn call(&self, scalars: Scalars, arguments: &[Argument]) -> CallResult<DspResult> {
        self.session.call(&CallRequest {
            handle: self.handle,
            scalars,
            arguments,
        })
    }
}

/// One open file of a front end.
#[pin_data]
pub(crate) struct Client {
    dsp: Arc<Dsp>,
    trust: Trust,
    #[pin]
    state: Mutex<State>,
}

impl Client {
    /// Opens a client. Nothing happens on the DSP.
    pub(crate) fn new(dsp: Arc<Dsp>, trust: Trust) -> impl PinInit<Self> {
        let trust = if dsp.trusts_everybody() {
            Trust::Trusted
        } else {
            trust
        };
        pin_init!(Self {
            dsp,
            trust,
            state <- new_mutex!(State::Vacant, "qda_client"),
        })
    }

    /// Attaches to the root PD.
    pub(crate) fn attach(&self) -> CallResult<DspResult> {
        policy::attach_root(self.trust)?;
        self.start(Pd::Root, Unborn::attach)
    }

    /// Creates a process.
    pub(crate) fn create(&self, spec: &SessionSpec) -> CallResult<DspResult> {
        let attrs = ProcessAttrs::new(spec.attrs).map_err(|_| CallError::Invalid)?;
        match spec.shell {
            Shell::None if spec.signature_len != 0 => return Err(CallError::Invalid),
            Shell::None => {}
            Shell::User { len, .. } => {
                let signature_len =
                    usize::try_from(spec.signature_len).map_err(|_| CallError::Invalid)?;
                if len > MAX_SHELL || signature_len > len {
                    return Err(CallError::Invalid);
                }
            }
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

        let born = Unborn::new(&self.dsp, pd).and_then(birth);

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
        policy::call_handle(handle)?;
        Ok(Caller {
            session: self.session()?,
            handle,
        })
    }

    /// What is known of the session, if there is one.
    pub(crate) fn facts(&self) -> Option<Facts> {
        match &*self.state.lock() {
            State::Live(session) => Some(Facts {
                sid: session.sid(),
                client: session.client().get(),
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
