// SPDX-License-Identifier: GPL-2.0

//! The errno of each error of the engine, for all front ends.
//!
//! | error | errno | what a user can do |
//! |---|---|---|
//! | the DSP is gone | `EPIPE` | open the new node |
//! | no process on the DSP | `ENOTCONN` | create or attach first |
//! | has a process already | `EEXIST` | open the node once more |
//! | all context banks in use | `EBUSY` | wait until another session ends |
//! | the last banks are for other users | `EDQUOT` | end a session of one's own |
//! | no call slot for this session | `ENOSPC` | wait until other calls end |
//! | a handle of the kernel | `EPERM` | - |
//! | the opener is not trusted | `EACCES` | open the node with `CAP_SYS_ADMIN` |
//! | ... with signed processes | `ECONNREFUSED` | start an unsigned one; else as above |
//! | a value out of its range | `EINVAL` | - |
//! | no such buffer | that of the look-up | - |
//! | too much inline data | `E2BIG` | use several calls, or buffers |
//! | a buffer above the limit | `E2BIG` | - |
//! | buffers of the file or the DSP at their limit | `ENOSPC` | free some |
//! | memory not accessible | `EFAULT` | - |
//! | no memory, no DSP addresses | `ENOMEM` | - |
//! | the DSP did not answer in time | `ETIMEDOUT` | - |
//! | a signal | `ERESTARTSYS` | the kernel makes the call again, or the program sees `EINTR` and make it again |
//! | the transport failed | its own | - |
//! | the maker of a dma-buf refused | its own | - |
//!
//! `ECONNREFUSED` is what the in-tree driver gives; the FastRPC library has a message of its own for
//! it ("untrusted caller") and its daemons do not try again. With `EACCES` they would, for ever.

use crate::engine::CallError;
use kernel::prelude::*;

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Gone => EPIPE,
            CallError::NoProcess => ENOTCONN,
            CallError::HasProcess => EEXIST,
            CallError::NoBank => EBUSY,
            CallError::Share => EDQUOT,
            CallError::NoSlot => ENOSPC,
            CallError::KernelHandle => EPERM,
            CallError::NotTrusted => EACCES,
            CallError::Signed => ECONNREFUSED,
            CallError::Invalid => EINVAL,
            CallError::TooBig => E2BIG,
            CallError::Limit => ENOSPC,
            CallError::Fault => EFAULT,
            CallError::NoMemory => ENOMEM,
            CallError::TimedOut => ETIMEDOUT,
            CallError::Interrupted => ERESTARTSYS,
            CallError::Transport(error)
            | CallError::Exporter(error)
            | CallError::NoBuffer(error) => error,
        }
    }
}
