// SPDX-License-Identifier: GPL-2.0

//! Entry points of the model: a message arrives, time passes, a channel opens or closes.
//!
//! Called by the owner of the tables, one call at a time. All answers leave through
//! [`Env::answer`], always after the call's slot was freed: the driver may use the index
//! again at once.

use super::args::bad;
use super::env::Env;
use super::knobs::{Crash, Fate};
use super::seq::Reject;
use super::state::{bump, Call, Client, Profile, State, Wait};
use super::wire::{handle, pd, result, u32_at, Layout, Request};

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
    /// It is never answered.
    Ignore,
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
        self.t.core.knobs.count();
        if self.t.core.crashed {
            return;
        }
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
        let mut call = Call {
            wait: Wait::Running,
            req,
            ..Call::EMPTY
        };
        self.set_call(index, &call);
        let outcome = self.accept(env, &mut call);
        self.settle(env, index, call, outcome);
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
            // What it does may abort calls, but not itself.
            let mut call = Call {
                wait: Wait::Running,
                ..call
            };
            self.set_call(index, &call);
            let outcome = self.resume(env, &call);
            call.late = false;
            self.settle(env, index, call, outcome);
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

    fn resume(&mut self, env: &mut impl Env, call: &Call) -> Outcome {
        let (sid, _) = self.split(call.req.addr);
        Self::check_pinned(env, &call.req, sid, &call.message, "message buffer");
        let client = self.client(call.req.client);
        if client.is_none() && call.req.client != 0 {
            return Outcome::Done(result::NO_PROCESS);
        }
        if let Err(r) = self.load(env, &call.req, sid, true) {
            return Outcome::Done(r);
        }
        match client {
            Some(c) if !call.late => Outcome::Done(self.run_delayed(env, &call.req, &c)),
            other => self.perform(env, &call.req, sid, other),
        }
    }

    fn set_call(&mut self, index: usize, call: &Call) {
        if let Some(c) = self.t.calls.get_mut(index) {
            *c = *call;
        }
    }

    /// Finds bank and process, loads the arguments and runs the call.
    fn accept(&mut self, env: &mut impl Env, call: &mut Call) -> Outcome {
        let req = &call.req;
        let (sid, _) = self.split(req.addr);
        if env.bank_sessions(sid).is_none() {
            bad!(env, req, "no context bank {}", sid);
            return Outcome::Done(result::FAILED);
        }
        let client = match self.sender(env, req, sid) {
            Ok(c) => c,
            Err(r) => return Outcome::Done(r),
        };
        call.message = match self.load(env, req, sid, false) {
            Ok(m) => m,
            Err(r) => return Outcome::Done(r),
        };
        call.owner = match client {
            Some(c) => c.id,
            None => self.named_by_kernel(env, req, sid),
        };
        if let Some(ms) = self.t.core.knobs.delay(req) {
            bump(&mut self.t.core.counters.twisted);
            call.late = true;
            return Outcome::Until(env.now_ms().saturating_add(ms));
        }
        self.perform(env, req, sid, client)
    }

    /// The process that a call of the kernel is about: its id is what handle 1 gets first.
    fn named_by_kernel(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> u32 {
        let head = self.input(req, 0);
        let mut b = [0u8; 4];
        if req.handle != handle::PROCESS_MANAGER || head.len < 4 {
            return 0;
        }
        match self.get(env, sid, &head, 0, &mut b) {
            Ok(()) => u32_at(&b, 0),
            Err(_) => 0,
        }
    }

    /// Runs a call that is due, unless a knob says otherwise.
    fn perform(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        client: Option<Client>,
    ) -> Outcome {
        let fate = self.t.core.knobs.fate(req);
        if fate != Fate::Normal {
            bump(&mut self.t.core.counters.twisted);
        }
        match fate {
            Fate::Normal => self.dispatch(env, req, sid, client),
            Fate::Ignore => Outcome::Ignore,
            Fate::Answer(retval) => Outcome::Done(retval),
            Fate::Lie(retval) => match self.dispatch(env, req, sid, client) {
                Outcome::Done(_) => Outcome::Done(retval),
                other => other,
            },
        }
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
        if let Some(c) = client.filter(|c| !c.exiting) {
            self.hold(env, req, &c);
        }
        match client {
            Some(c) if c.exiting => self.exiting(req),
            Some(c) if req.handle <= handle::MAX_STATIC => self.static_handle(env, req, &c),
            Some(c) => self.module_call(env, req, &c),
            None => Outcome::Done(result::NO_PROCESS),
        }
    }

    fn settle(&mut self, env: &mut impl Env, index: usize, call: Call, outcome: Outcome) {
        let waiting = |wait| Call { wait, ..call };
        match outcome {
            Outcome::Done(retval) => self.finish(env, index, &call, retval),
            Outcome::DoneThenAbort(retval, client) => {
                self.finish(env, index, &call, retval);
                self.abort(env, client, false);
            }
            Outcome::Park => self.set_call(index, &waiting(Wait::Parked)),
            Outcome::Ignore => self.set_call(index, &waiting(Wait::Ignored)),
            Outcome::Until(t) => {
                self.set_call(index, &waiting(Wait::Until(t)));
                let next = &mut self.t.core.next_deadline;
                *next = Some(next.map_or(t, |old| old.min(t)));
            }
        }
    }

    pub(super) fn finish(&mut self, env: &mut impl Env, index: usize, call: &Call, retval: u32) {
        let crash = self.t.core.knobs.crash();
        if crash == Some(Crash::Before) {
            self.t.core.crashed = true;
        }
        if self.t.core.crashed {
            return;
        }
        if call.req.client != 0 && call.message.size != 0 {
            if let Some((values, n)) = self.t.core.knobs.drops() {
                let list = values.get(..n).unwrap_or(&[]);
                self.write_fd_list(env, &call.req, list);
            }
        }
        let (mut toggle, mut overwrite) = (None, None);
        if call.message.size != 0 {
            if let Some(seed) = self.t.core.knobs.scribble() {
                self.scribble(env, &call.req, seed);
                bump(&mut self.t.core.counters.twisted);
            }
            if self.is_kept(&call.req) {
                toggle = self.t.core.knobs.toggle();
                overwrite = self.t.core.knobs.overwrite();
            }
        }
        self.set_call(index, &Call::EMPTY);
        bump(&mut self.t.core.counters.responses);
        self.respond(env, call.req.ctx, retval);
        if crash == Some(Crash::After) {
            self.t.core.crashed = true;
        }
        if let Some(ms) = toggle {
            self.toggle(env, &call.req, ms);
            bump(&mut self.t.core.counters.twisted);
        }
        if let Some(seed) = overwrite {
            self.overwrite_answered(env, &call.req, seed);
            bump(&mut self.t.core.counters.twisted);
        }
    }

    /// Writes values into the fd list of a call's message: the DSP dropped these tags.
    pub fn write_fd_list(&mut self, env: &mut impl Env, req: &Request, values: &[u64]) {
        let (sid, iova) = self.split(req.addr);
        let mut at = iova.wrapping_add(Layout::new(req.nargs()).fds);
        for value in values {
            if let Err(f) = env.write(sid, at, &value.to_le_bytes()) {
                env.fault(f);
                return;
            }
            at = at.wrapping_add(8);
            self.let_go(req.client, *value as u32);
            bump(&mut self.t.core.counters.dropped_fds);
        }
    }

    /// Answers everything that a process left waiting with "process is going away"; calls that
    /// the kernel made about it only when it is `ending`.
    pub fn abort(&mut self, env: &mut impl Env, client: u32, ending: bool) {
        for index in 0..self.t.calls.len() {
            let Some(call) = self.t.calls.get(index).copied() else {
                break;
            };
            if call.owner != client || (call.req.client != client && !ending) {
                continue;
            }
            let (sid, _) = self.split(call.req.addr);
            match call.wait {
                Wait::Free | Wait::Running => {}
                Wait::Parked | Wait::Until(_) => {
                    Self::check_pinned(env, &call.req, sid, &call.message, "message buffer");
                    bump(&mut self.t.core.counters.aborted);
                    self.finish(env, index, &call, result::BAD_STATE);
                }
                // It is never answered. When the process is released it is gone all the same, and
                // its slot and its memory may be used again.
                Wait::Ignored if ending => {
                    Self::check_pinned(env, &call.req, sid, &call.message, "message buffer");
                    self.set_call(index, &Call::EMPTY);
                }
                Wait::Ignored => {}
            }
        }
    }
}
