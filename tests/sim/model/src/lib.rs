// SPDX-License-Identifier: GPL-2.0

//! Behaviour of the simulated DSP.
//!
//! The firmware as the driver sees it: it takes 40-byte requests, looks into the
//! memory that they name, runs a method and answers. Every request is checked for
//! well-formedness on the way; what is wrong is reported as a *violation*, which a
//! test must not see.
//!
//! The crate is pure: no kernel, no allocation, no unsafe code. The world is the
//! trait [`Env`] (memory behind the SMMU, answers, time, reports); the tables are
//! lent by the owner as a [`State`]. It is built twice: by cargo for host tests, and
//! as a module of `qda_sim.ko`.
//!
//! It is an independent reading of the protocol documents. It shares no code with the
//! driver or with the driver's protocol crate, so that driver and simulator cannot
//! agree on a mistake.
//!
//! Map of the modules:
//!
//! * [`wire`]: numbers and layouts of the protocol
//! * [`seq`]: which sequence numbers were used
//! * [`state`]: tables of processes, calls, handles and mappings
//! * [`args`]: message buffer, argument lists and their checks
//! * [`padding`]: what must be zero in a message buffer
//! * [`dsp`]: entry points and dispatch
//! * [`procman`]: handle 1, process manager: processes
//! * [`maps`]: handle 1, process manager: mappings
//! * [`pinned`]: whether memory still has its pages; buffers of handles
//! * [`knobs`]: misbehaviour on demand
//! * [`hostile`]: what it does to messages
//! * [`orders`]: commands that are carried out at once
//! * [`packets`]: what it sends that is no proper answer
//! * [`storm`]: many of those: storms and the packet fuzzer
//! * [`session`]: remotectl, listener, current process, capabilities
//! * [`modules`]: calculator, echo, probe, fail
//! * [`filter`]: module filter
//! * [`mem`]: module mem
//! * [`bulk`]: moving and summing many bytes

#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    MODULE,
    allow(
        unreachable_pub,
        dead_code,
        unused_imports,
        reason = "public interface of the cargo crate"
    )
)]

pub mod args;
pub mod bulk;
pub mod dsp;
pub mod env;
pub mod filter;
pub mod hostile;
pub mod knobs;
pub mod maps;
pub mod mem;
pub mod modules;
pub mod orders;
pub mod packets;
pub mod padding;
pub mod pinned;
pub mod procman;
pub mod seq;
pub mod session;
pub mod state;
pub mod storm;
pub mod wire;

pub use self::env::{Env, Fault};
pub use self::knobs::Knobs;
pub use self::orders::Order;
pub use self::packets::Packet;
pub use self::state::{Client, Core, Counters, Handle, Map, Profile, State, Tables};
