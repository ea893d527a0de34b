// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The FastRPC protocol as pure code.
//!
//! Everything that travels between the application processor and the DSP firmware, and every
//! decision about it that needs no kernel: message layouts, the context word, the layout of a
//! call's message buffer, the state machine of outstanding calls, the kernel's own methods.
//!
//! This file is two crate roots. For cargo it is the crate `fastrpc-proto` (host tests, Miri,
//! fuzzers, the behaviour model of the simulated DSP). Inside `qda.ko` it is `mod proto`; there
//! kbuild passes `--cfg MODULE`. Hence: no `alloc`, no `std`, `super::` paths only, and nothing
//! that allocates, sleeps or locks. The caller owns all memory and all locks.
//!
//! A call uses the modules in this order:
//!
//! | module | question that it answers |
//! |---|---|
//! | [`domain`], [`addr`] | which DSP is this, what does an address look like from there |
//! | [`scalars`] | how many arguments of which class does the call have |
//! | [`layout`] | where does each argument go, how large is the message buffer |
//! | [`suballoc`] | which part of the session's arena holds it |
//! | [`encode`] | the bytes of the message buffer; gives a [`Message`](encode::Message) |
//! | [`slots`], [`context`] | which calls are outstanding, what identifies each one |
//! | [`wire`] | the request that carries a message, the response that ends it |
//! | [`methods`], [`handles`] | the calls that the kernel makes for itself |
//! | [`errors`] | what the DSP's result means |
//! | [`fdlist`] | which tags the DSP says it has dropped |
//! | [`decode`] | the message buffer read back, for the simulator, tests and fuzzers |
//!
//! The unit tests are for both roots: cargo runs them on the host, and a kernel with KUnit runs the
//! same bodies in `qda.ko` (suites `qda_*`). They need nothing but `core`; assertions have no text
//! of their own, and stand in the bodies and not in what the bodies call, since KUnit puts its own
//! in their place.
//!
//! Nothing here panics on any input, and arithmetic on numbers from outside is checked.

#![cfg_attr(not(MODULE), no_std)]
#![cfg_attr(
    MODULE,
    allow(
        unreachable_pub,
        dead_code,
        reason = "the crate's interface is wider than what one module uses"
    )
)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod addr;
pub mod context;
pub mod decode;
pub mod domain;
pub mod encode;
pub mod errors;
pub mod fdlist;
pub mod fingerprint;
pub mod handles;
pub mod layout;
pub mod methods;
pub mod scalars;
pub mod slots;
pub mod suballoc;
pub mod wire;

/// Size in bytes of a page in all wire arithmetic (wire protocol, section 1).
///
/// This is a constant of the protocol, not the page size of the kernel.
pub const PAGE: u64 = 4096;

/// [`PAGE`] as a length in memory.
pub const PAGE_BYTES: usize = 4096;
