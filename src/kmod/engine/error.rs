// SPDX-License-Identifier: GPL-2.0

//! Why the engine did not do something.
//!
//! A [`CallError`] is ours. What the DSP answers is a `DspResult`, a value, and never becomes one
//! of these. Front ends choose the errno.

use crate::proto::{
    encode::EncodeError,
    layout::LayoutError, //
};
use kernel::{
    alloc::AllocError,
    prelude::*, //
};

/// Why the engine did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The DSP is gone, or was when the answer was due.
    Gone,
    /// The file has no process on the DSP yet.
    NoProcess,
    /// The file has a process on the DSP already, or is about to get one.
    HasProcess,
    /// All context banks are in use.
    NoBank,
    /// The context banks that are left are for other users.
    Share,
    /// All call slots of the channel are in use.
    NoSlot,
    /// The handle belongs to the kernel.
    KernelHandle,
    /// The opener of the file is not trusted with this.
    NotTrusted,
    /// The opener of the file is not trusted with signed processes, and the DSP starts no others
    /// or was not asked for another.
    Signed,
    /// A value of the caller is out of its range.
    Invalid,
    /// A handle or a file descriptor of the caller names no buffer.
    NoBuffer(Error),
    /// More than is allowed at once: inline data in one call, or bytes in one buffer.
    TooBig,
    /// There are as many buffers, or as many bytes in them, as there may be.
    Limit,
    /// The caller's memory is not accessible.
    Fault,
    /// There is no memory or no DSP address space.
    NoMemory,
    /// The DSP did not answer in time.
    TimedOut,
    /// A signal ended the wait. The call goes on without its caller.
    Interrupted,
    /// The transport refused to send.
    Transport(Error),
    /// The driver that made a foreign buffer did not let it be mapped.
    Exporter(Error),
}

impl CallError {
    /// A name without blanks, by which refusals are counted.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::NoProcess => "no-process",
            Self::HasProcess => "has-process",
            Self::NoBank => "no-bank",
            Self::Share => "share",
            Self::NoSlot => "no-slot",
            Self::KernelHandle => "kernel-handle",
            Self::NotTrusted => "not-trusted",
            Self::Signed => "signed",
            Self::Invalid => "invalid",
            Self::NoBuffer(_) => "no-buffer",
            Self::TooBig => "too-big",
            Self::Limit => "limit",
            Self::Fault => "fault",
            Self::NoMemory => "no-memory",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "interrupted",
            Self::Transport(_) => "transport",
            Self::Exporter(_) => "exporter",
        }
    }
}

/// Result of an operation of the engine.
pub(crate) type CallResult<T = ()> = core::result::Result<T, CallError>;

impl From<Error> for CallError {
    /// Classifies an error of a `sys` service.
    fn from(error: Error) -> Self {
        if error == ENODEV {
            Self::Gone
        } else if error == EFAULT {
            Self::Fault
        } else if error == EINVAL {
            Self::Invalid
        } else {
            Self::NoMemory
        }
    }
}

impl From<AllocError> for CallError {
    fn from(_: AllocError) -> Self {
        Self::NoMemory
    }
}

impl From<LayoutError> for CallError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::TooBig => Self::TooBig,
            _ => Self::Invalid,
        }
    }
}

impl<E: Into<CallError>> From<EncodeError<E>> for CallError {
    fn from(error: EncodeError<E>) -> Self {
        match error {
            EncodeError::Layout(error) => error.into(),
            EncodeError::Sink(error) => error.into(),
            EncodeError::Disagreement | EncodeError::Address => Self::Invalid,
        }
    }
}
