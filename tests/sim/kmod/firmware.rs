// SPDX-License-Identifier: GPL-2.0

//! The state of one DSP's firmware: the model's tables, the life of the channel, the
//! captured messages.
//!
//! Takes no lock; [`crate::dsp::Dsp`] holds it in a mutex.

#![forbid(unsafe_code)]

use crate::{
    capture::Capture,
    model::{
        args::Arg,
        pinned::Held,
        state::{
            Call,
            CALLS,
            CLIENTS,
            HANDLES,
            HELD,
            MAPS,
            SCRATCH, //
        },
        wire::MAX_ARGS,
        Client,
        Core,
        Handle,
        Map,
        State,
        Tables, //
    },
    report::Line,
    sys::transport::ChannelDevice, //
};
use kernel::prelude::*;

/// The life of a channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No endpoint.
    Closed,
    /// The driver probes; messages wait.
    Opening,
    /// Normal work.
    Open,
    /// The driver is about to go; work happens inside its send only.
    Closing,
    /// The DSP died. Nothing is worked on or answered.
    Dead,
}

/// What becomes of a DSP that crashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fall {
    /// It did not crash.
    Up,
    /// Its channel has to go; it comes back after so many milliseconds.
    Down(Option<u64>),
    /// It comes back at this time, in milliseconds of its age.
    Back(u64),
}

/// Everything that belongs to the firmware.
pub(crate) struct Firmware {
    /// Where the channel is in its life.
    pub(crate) phase: Phase,
    /// The device below which the banks are, while there is an endpoint.
    pub(crate) channel: Option<ChannelDevice>,
    /// Name of the bound driver.
    pub(crate) driver: Line,
    /// What becomes of it after a crash.
    pub(crate) fall: Fall,
    /// The model's state that is no table.
    pub(crate) core: Core,
    clients: KVVec<Client>,
    calls: KVVec<Call>,
    handles: KVVec<Handle>,
    maps: KVVec<Map>,
    args: KVVec<Arg>,
    order: KVVec<u16>,
    held: KVVec<Held>,
    scratch: KVVec<u8>,
    /// The last messages, if they are kept.
    pub(crate) capture: Option<Capture>,
}

impl Firmware {
    /// A firmware without channel, with the state that is no table.
    pub(crate) fn new(core: Core, capture: bool) -> Result<Self> {
        Ok(Self {
            phase: Phase::Closed,
            channel: None,
            driver: Line::EMPTY,
            fall: Fall::Up,
            core,
            clients: KVVec::from_elem(Client::EMPTY, CLIENTS, GFP_KERNEL)?,
            calls: KVVec::from_elem(Call::EMPTY, CALLS, GFP_KERNEL)?,
            handles: KVVec::from_elem(Handle::EMPTY, HANDLES, GFP_KERNEL)?,
            maps: KVVec::from_elem(Map::EMPTY, MAPS, GFP_KERNEL)?,
            args: KVVec::from_elem(Arg::EMPTY, MAX_ARGS, GFP_KERNEL)?,
            order: KVVec::from_elem(0, MAX_ARGS, GFP_KERNEL)?,
            held: KVVec::from_elem(Held::EMPTY, HELD, GFP_KERNEL)?,
            scratch: KVVec::from_elem(0, SCRATCH, GFP_KERNEL)?,
            capture: if capture { Some(Capture::new()?) } else { None },
        })
    }

    /// The model's state and, beside it, the captured messages.
    pub(crate) fn parts(&mut self) -> (State<'_>, Option<&mut Capture>) {
        let state = State::new(Tables {
            core: &mut self.core,
            clients: &mut self.clients,
            calls: &mut self.calls,
            handles: &mut self.handles,
            maps: &mut self.maps,
            args: &mut self.args,
            order: &mut self.order,
            held: &mut self.held,
            scratch: &mut self.scratch,
        });
        (state, self.capture.as_mut())
    }

    /// The model's state.
    pub(crate) fn state(&mut self) -> State<'_> {
        self.parts().0
    }
}
