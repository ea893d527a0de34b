// SPDX-License-Identifier: GPL-2.0

//! Who may do what. Each rule stands here once, for all front ends.
//!
//! | operation | rule |
//! |---|---|
//! | attach to the root PD | trusted openers |
//! | create a process | everybody |
//! | call a handle | everybody, except the handles of the kernel (1 and 2) |
//!
//! Trust belongs to the open file, so a daemon can open it, drop its privileges, and go on.

use crate::{
    engine::error::{
        CallError,
        CallResult, //
    },
    proto::handles, //
};

/// Whether the opener of a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Had `CAP_SYS_ADMIN`, or the domain trusts everybody.
    Trusted,
    /// Any other.
    Untrusted,
}

/// May the opener attach to the root PD?
pub(crate) fn attach_root(trust: Trust) -> CallResult {
    match trust {
        Trust::Trusted => Ok(()),
        Trust::Untrusted => Err(CallError::NotTrusted),
    }
}

/// May a client call `handle`?
pub(crate) fn call_handle(handle: u32) -> CallResult {
    if handles::is_kernel_only(handle) {
        return Err(CallError::KernelHandle);
    }
    Ok(())
}
