// SPDX-License-Identifier: GPL-2.0

//! The driver proper: DSPs, sessions, memory and calls.
//!
//! The engine knows the protocol and no ioctl. Front ends open a [`Client`] for each file and turn
//! its [`CallError`]s into errnos; [`crate::driver`] builds a [`Dsp`] for each bound channel.
//!
//! | module | owns |
//! |---|---|
//! | [`dsp`] | one DSP: its channel, context banks and sessions |
//! | [`channel`] | the outstanding calls of a channel, sending and receiving |
//! | [`bank`] | the context banks and who sits on them |
//! | [`client`] | one open file: which session it has, if any |
//! | [`session`] | one process on the DSP, from its creation to its release |
//! | [`arena`] | the message memory of a session |
//! | [`buffer`] | buffers of user space, and what keeps them while the DSP uses them |
//! | [`mapping`] | the buffers that are mapped in the bank of a session |
//! | [`kept`] | buffers that the DSP was given as handles |
//! | [`remote`] | what a session has mapped into its process |
//! | [`account`] | what a client may have |
//! | [`call`] | one remote call of a client |
//! | [`policy`] | who may do what |
//! | [`refusals`] | what was refused, for root to read |
//! | [`error`] | why something was not done |
//!
//! # Lock order
//!
//! From the outside in. No lock is held across a wait for the DSP or a copy to or from user space.
//!
//! 1. the state of a client (`client`)
//! 2. the registry of a DSP (`dsp`)
//! 3. the parked calls of a session (`session::parked`), then its kept handles (`kept`); or its
//!    records of remote maps (`remote`)
//! 4. the chunks of an arena (`arena`), or the making of a mapping (`mapping`)
//! 5. the table of mappings (`mapping`), or the seats of the banks (`bank`)
//! 6. the lists of mappings of a memory and of a bank, a mapping, then the device of a bank
//!    (`sys::shmem`, `sys::dma`, `sys::cb`)
//! 7. the call slots of a channel (`channel`), with interrupts off; the receive callback takes
//!    this one only
//!
//! The lock of the records of refusals (`refusals`) is taken when no other is held.

#![forbid(unsafe_code)]

pub(crate) mod account;
pub(crate) mod arena;
pub(crate) mod bank;
pub(crate) mod buffer;
pub(crate) mod call;
pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod dsp;
pub(crate) mod error;
pub(crate) mod kept;
pub(crate) mod mapping;
pub(crate) mod policy;
pub(crate) mod refusals;
pub(crate) mod remote;
pub(crate) mod session;

pub(crate) use self::{
    account::{
        Charge,
        Limits, //
    },
    buffer::{
        Buffer,
        Start, //
    },
    call::Argument,
    channel::Deadline,
    client::{
        Client,
        SessionSpec,
        Shell, //
    },
    dsp::Dsp,
    error::{
        CallError,
        CallResult, //
    },
    refusals::Operation,
    remote::{
        MapRequest,
        UnmapRequest, //
    }, //
};

// What front ends need of the protocol: the words that describe a call or a mapping.
pub(crate) use crate::proto::{
    context::Pd,
    methods::memory::{
        HeapFlags,
        MapFlags, //
    },
    scalars::{
        ArgClass,
        Scalars, //
    }, //
};
