// SPDX-License-Identifier: GPL-2.0

//! Who may do what. Each rule stands here once, for all front ends.
//!
//! An opener is *trusted* if it had `CAP_SYS_ADMIN` in the initial user namespace when it opened
//! the node, or if the device tree says that the DSP trusts everybody (`qcom,non-secure-domain`).
//! Trust belongs to the open file: a daemon can open it, drop its privileges, and go on; and whoever
//! gets the file passed on gets the trust with it.
//!
//! | operation | trusted | others | else |
//! |---|---|---|---|
//! | join a process that the DSP has: root PD | yes | no | [`CallError::NotTrusted`] |
//! | start an unsigned process, DSP with unsigned processes | yes | yes | |
//! | start an unsigned process, other DSPs | yes (the DSP decides) | no | [`CallError::Signed`] |
//! | start a signed process | yes | no | [`CallError::Signed`] |
//! | ... with attributes that are not ordinary | yes | no | [`CallError::NotTrusted`] |
//! | ... with attributes that are unknown or not supported | no | no | [`CallError::Invalid`] |
//! | call the handles of the kernel (1 and 2) | no | no | [`CallError::KernelHandle`] |
//! | call any other handle, map memory, make buffers | yes | yes | |
//!
//! Unsigned processes are what compute and general purpose DSPs have ([`Domain::supports_unsigned`]).
//! `drivers/misc/fastrpc.c` has the same rules for starting a process, and lets everybody join one.
//! The sensors PD and static processes are the DSP's, too: [`join`] is the rule for them.
//!
//! Owns nothing, takes no locks. [`Client`](super::client::Client) asks before anything else of an
//! operation is looked at.

use crate::{
    engine::error::{
        CallError,
        CallResult, //
    },
    proto::{
        domain::Domain,
        handles,
        methods::attrs::ProcessAttrs, //
    },
};

/// Whether the opener of a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Had `CAP_SYS_ADMIN`, or the domain trusts everybody.
    Trusted,
    /// Any other.
    Untrusted,
}

/// May the opener join a process that is not its own?
pub(crate) fn join(trust: Trust) -> CallResult {
    match trust {
        Trust::Trusted => Ok(()),
        Trust::Untrusted => Err(CallError::NotTrusted),
    }
}

/// May the opener start a process with these attributes on this DSP?
pub(crate) fn start(trust: Trust, domain: Domain, attrs: ProcessAttrs) -> CallResult {
    match trust {
        Trust::Trusted => Ok(()),
        Trust::Untrusted if !attrs.is_unsigned() || !domain.supports_unsigned() => {
            Err(CallError::Signed)
        }
        Trust::Untrusted if attrs.is_privileged() => Err(CallError::NotTrusted),
        Trust::Untrusted => Ok(()),
    }
}

/// May a client call `handle`?
pub(crate) fn call_handle(handle: u32) -> CallResult {
    if handles::is_kernel_only(handle) {
        return Err(CallError::KernelHandle);
    }
    Ok(())
}
