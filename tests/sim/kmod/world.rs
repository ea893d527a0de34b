// SPDX-License-Identifier: GPL-2.0

//! The model's view of the kernel, for the work on one message.
//!
//! Takes no lock of its own; it lives under the firmware lock. Made by [`Dsp`].

#![forbid(unsafe_code)]

use crate::{
    capture::Capture,
    dsp::{
        text,
        Dsp, //
    },
    model::{
        env::Fault,
        wire::{
            self,
            Request, //
        },
        Env,
        Packet,
        State, //
    },
    sys::memory::{
        self,
        Banks, //
    },
};
use core::fmt;
use kernel::prelude::*;

/// The model's view of the kernel.
pub(crate) struct World<'a> {
    dsp: &'a Dsp,
    banks: Banks<'a>,
    capture: Option<&'a mut Capture>,
}

impl<'a> World<'a> {
    /// The world of `dsp`, whose banks are in `banks`.
    pub(crate) fn new(dsp: &'a Dsp, banks: Banks<'a>, capture: Option<&'a mut Capture>) -> Self {
        Self {
            dsp,
            banks,
            capture,
        }
    }

    /// Keeps a request and the begin of its message buffer.
    pub(crate) fn capture(&mut self, state: &State<'_>, bytes: &[u8]) {
        let Some(capture) = self.capture.as_mut() else {
            return;
        };
        let place = Request::parse(bytes).map(|r| (r.size, state.split(r.addr)));
        let banks = &mut self.banks;
        capture.request(bytes, |buffer| {
            let Some((size, (sid, iova))) = place else {
                return 0;
            };
            let n = buffer.len().min(usize::try_from(size).unwrap_or(0));
            match buffer.get_mut(..n).map(|b| banks.read(sid, iova, b)) {
                Some(Ok(())) => n,
                _ => 0,
            }
        });
    }
}

impl Env for World<'_> {
    fn bank_sessions(&mut self, sid: u32) -> Option<u32> {
        self.banks.sessions(sid)
    }

    fn translate(&mut self, sid: u32, iova: u64) -> Option<u64> {
        self.banks.translate(sid, iova)
    }

    fn writable(&mut self, sid: u32, iova: u64) -> bool {
        self.banks.writable(sid, iova)
    }

    fn read(&mut self, sid: u32, iova: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.banks.read(sid, iova, buf)
    }

    fn write(&mut self, sid: u32, iova: u64, buf: &[u8]) -> Result<(), Fault> {
        self.banks.write(sid, iova, buf)
    }

    fn answer(&mut self, ctx: u64, retval: u32) {
        let response = wire::response(ctx, retval);
        if let Some(c) = &mut self.capture {
            c.response(&response);
        }
        self.packet(&Packet::answer(ctx, retval));
    }

    fn packet(&mut self, packet: &Packet) {
        if !self.dsp.receiver().push(packet) {
            pr_warn!("{}: packet lost\n", text(self.dsp.name()));
        }
    }

    fn violation(&mut self, what: fmt::Arguments<'_>) {
        let name = text(self.dsp.name());
        self.dsp
            .shared()
            .violations
            .add(format_args!("{name}: {what}"));
    }

    fn fault(&mut self, fault: Fault) {
        let name = text(self.dsp.name());
        let kind = if fault.write { "write" } else { "read" };
        self.dsp.shared().faults.add(format_args!(
            "{name}: {kind} bank {} address {:#x}",
            fault.sid, fault.iova
        ));
    }

    fn rest(&mut self) {
        memory::rest();
    }

    fn now_ms(&mut self) -> u64 {
        self.dsp.age_ms()
    }
}
