// SPDX-License-Identifier: GPL-2.0

//! Entry points of the model: a message arrives, time passes, a channel opens or closes.
//!
//! Called by the owner of the tables, one call at a time. All answers leave through
//! [`Env::answer`], always after the call's slot was freed: the driver may use the index
//! again at once.

use super::args::bad;
use super::env::Env;
use super::seq::Reject;
use super::state::{bump, Call, Client, Pinned, Profile, State, Wait};
use super::wire::{handle, pd, result, Request};

/// What becomes of a call that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered.
    Done(u32),
    /// It is answered, then everything that its process left waiting is aborted.
    DoneThenAbort(u32, u32),
    /// It stays until its process ends.
    Park,
    /// It runs at this time, in milliseconds.
    Until(u64),
}

impl State<'_> {
    /// A driver opened the channel.
    pub fn open(&mut self, profile: Profile) {
        self.reset();
        self.t.core.profile = profile;
    }

    /// The channel was closed or the DSP died: all processes are gone, nothing is answered.
    pub fn close(&mut self) {
        let left = self.live() as u64;
        let c = &mut self.t.core.counters.abandoned;
        *c = c.wrapping_add(left);
        self.reset();
    }

    /// A message of the driver arrives.
    pub fn message(&mut self, env: &mut impl Env, bytes: &[u8]) {
        bump(&mut self.t.core.counters.requests);
        let Some(req) = Request::parse(bytes) else {
            env.violation(format_args!("message of {} bytes", bytes.len()));
            return;
        };
        if req.reserved() != 0 || req.pd() > pd::SENSORS {
            bad!(env, req, "reserved bits or unknown PD in the context word");
        }
        let index = usize::from(req.index());
        match self.t.calls.get(index) {
            Some(c) if index != 0 && c.wait == Wait::Free => {}
            _ => {
                // An answer would end somebody else's call.
                bad!(env, req, "slot index {} is zero or in use", index);
                return;
            }
        }
        match self.t.core.seq.take(req.sequence()) {
            Ok(()) => {}
            Err(Reject::Zero) => bad!(env, req, "sequence number 0"),
            Err(Reject::Repeated) => bad!(env, req, "sequence number used twice"),
            Err(Reject::Old) => bad!(env, req, "sequence number far behind the others"),
        }
        if req.attributes() != 0 {
            bad!(env, req, "attribute bits in the scalars word");
        }
        self.set_call(index, Wait::Running, &req, Pinned::EMPTY);
        let (outcome, message) = self.accept(env, &req);
        self.settle(env, index, &req, message, outcome);
    }

    /// Time passed: runs the delayed calls that are due.
    ///
    /// Returns when it wants to be called again, in milliseconds of [`Env::now_ms`].
    pub fn tick(&mut self, env: &mut impl Env) -> Option<u64> {
        let now = env.now_ms();
        if self.t.core.next_deadline.is_none_or(|t| t > now) {
            return self.t.core.next_deadline;
        }
        for index in 0..self.t.calls.len() {
            let Some(call) = self.t.calls.get(index).copied() else {
                break;
            };
            if !matches!(call.wait, Wait::Until(t) if t <= now) {
                continue;
            }
            let retval = self.resume(env, &call);
            self.settle(env, index, &call.req, call.message, Outcome::Done(retval));
        }
        self.t.core.next_deadline = self
            .t
            .calls
            .iter()
            .filter_map(|c| match c.wait {
                Wait::Until(t) => Some(t),
                _ => None,
            })
            .min();
        self.t.core.next_deadline
    }

    fn resume(&mut self, env: &mut impl Env, call: &Call) -> u32 {
        let Some(client) = self.client(call.req.client) else {
            return result::NO_PROCESS;
        };
        Self::check_pinned(env, &call.req, client.sid, &call.message, "message buffer");
        match self.load(env, &call.req, client.sid, true) {
            Ok(_) => self.run_delayed(env, &call.req, &client),
            Err(r) => r,
        }
    }

    fn set_call(&mut self, index: usize, wait: Wait, req: &Request, message: Pinned) {
        if let Some(c) = self.t.calls.get_mut(index) {
            *c = Call {
                wait,
                req: *req,
                message,
            };
        }
    }

    /// Finds bank and process, loads the arguments and runs the call.
    fn accept(&mut self, env: &mut impl Env, req: &Request) -> (Outcome, Pinned) {
        let (sid, _) = self.split(req.addr);
        if env.bank_sessions(sid).is_none() {
            bad!(env, req, "no context bank {}", sid);
            return (Outcome::Done(result::FAILED), Pinned::EMPTY);
        }
        let client = match self.sender(env, req, sid) {
            Ok(c) => c,
            Err(r) => return (Outcome::Done(r), Pinned::EMPTY),
        };
        let message = match self.load(env, req, sid, false) {
            Ok(m) => m,
            Err(r) => return (Outcome::Done(r), Pinned::EMPTY),
        };
        (self.dispatch(env, req, sid, client), message)
    }

    /// The process that sent `req`, `None` for the kernel's own calls.
    fn sender(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
    ) -> Result<Option<Client>, u32> {
        let kernel = req.handle == handle::PROCESS_MANAGER
            || (req.handle == handle::UTILITIES && req.client == 0);
        if kernel {
            if req.client != 0 {
                bad!(env, req, "kernel call with a client id");
            }
            return Ok(None);
        }
        let Some(client) = self.client(req.client) else {
            self.tolerate(env, req, format_args!("client {} is unknown", req.client));
            return Err(result::NO_PROCESS);
        };
        if client.sid != sid {
            bad!(env, req, "client of bank {} uses bank {}", client.sid, sid);
            return Err(result::FAILED);
        }
        if client.pd != req.pd() {
            bad!(env, req, "client of PD {} sends PD {}", client.pd, req.pd());
        }
        Ok(Some(client))
    }

    fn dispatch(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        client: Option<Client>,
    ) -> Outcome {
        if req.handle == handle::PROCESS_MANAGER {
            return Outcome::Done(self.process_manager(env, req, sid));
        }
        if req.handle == handle::UTILITIES {
            return Outcome::Done(self.utilities(env, req, sid));
        }
        match client {
            Some(c) if c.exiting => self.exiting(req),
            Some(c) if req.handle <= handle::MAX_STATIC => self.static_handle(env, req, &c),
            Some(c) => self.module_call(env, req, &c),
            None => Outcome::Done(result::NO_PROCESS),
        }
    }

    fn settle(
        &mut self,
        env: &mut impl Env,
        index: usize,
        req: &Request,
        message: Pinned,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Done(retval) => self.finish(env, index, retval),
            Outcome::DoneThenAbort(retval, client) => {
                self.finish(env, index, retval);
                self.abort(env, client);
            }
            Outcome::Park => self.set_call(index, Wait::Parked, req, message),
            Outcome::Until(t) => {
                self.set_call(index, Wait::Until(t), req, message);
                let next = &mut self.t.core.next_deadline;
                *next = Some(next.map_or(t, |old| old.min(t)));
            }
        }
    }

    fn finish(&mut self, env: &mut impl Env, index: usize, retval: u32) {
        if let Some(call) = self.t.calls.get_mut(index) {
            let ctx = call.req.ctx;
            *call = Call::EMPTY;
            bump(&mut self.t.core.counters.responses);
            env.answer(ctx, retval);
        }
    }

    /// Answers everything that a process left waiting with "process is going away".
    pub fn abort(&mut self, env: &mut impl Env, client: u32) {
        let sid = self.client(client).map(|c| c.sid);
        for index in 0..self.t.calls.len() {
            let Some(call) = self.t.calls.get(index).copied() else {
                break;
            };
            if call.req.client != client || !matches!(call.wait, Wait::Parked | Wait::Until(_)) {
                continue;
            }
            if let Some(sid) = sid {
                Self::check_pinned(env, &call.req, sid, &call.message, "message buffer");
            }
            bump(&mut self.t.core.counters.aborted);
            self.finish(env, index, result::BAD_STATE);
        }
    }
}
