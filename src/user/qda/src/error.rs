// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The errors of this crate: errno and DSP result kept apart.

use std::fmt;
use std::io;
use std::path::PathBuf;

use fastrpc_proto::errors::DspResult;

use crate::explain::Code;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What was being done when an error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Asking a node for its driver and its DSP.
    Query,
    /// Reading the facts of an open file from procfs.
    Facts,
    /// Starting a process on the DSP.
    Create,
    /// Joining the DSP's root process.
    Attach,
    /// Asking the process on the DSP to end.
    Exit,
    /// Loading a module on the DSP.
    Open,
    /// Unloading a module on the DSP.
    Close,
    /// Making a buffer.
    CreateBuffer,
    /// Mapping a buffer for the CPU.
    MapBuffer,
    /// Making a dma-buf of a buffer.
    Export,
    /// Making a buffer of a dma-buf.
    Import,
    /// Beginning or ending an access of the CPU to a buffer.
    Sync,
    /// Mapping memory into the process on the DSP.
    RemoteMap,
    /// Taking a mapping away from the process on the DSP.
    RemoteUnmap,
    /// Calling a method.
    Invoke {
        /// Remote handle of the module.
        handle: u32,
        /// Method number.
        method: u32,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => f.write_str("asking for the name of the DSP"),
            Self::Facts => f.write_str("reading the facts of the open device"),
            Self::Create => f.write_str("starting a process on the DSP"),
            Self::Attach => f.write_str("attaching to the root process of the DSP"),
            Self::Exit => f.write_str("ending the process on the DSP"),
            Self::Open => f.write_str("loading a module on the DSP"),
            Self::Close => f.write_str("unloading a module on the DSP"),
            Self::CreateBuffer => f.write_str("making a buffer"),
            Self::MapBuffer => f.write_str("mapping a buffer for the CPU"),
            Self::Export => f.write_str("exporting a buffer"),
            Self::Import => f.write_str("importing a dma-buf"),
            Self::Sync => f.write_str("preparing a buffer for an access of the CPU"),
            Self::RemoteMap => f.write_str("mapping memory on the DSP"),
            Self::RemoteUnmap => f.write_str("unmapping memory on the DSP"),
            Self::Invoke { handle, method } => {
                write!(f, "calling method {method} of handle {handle:#x}")
            }
        }
    }
}

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device node could not be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The node.
        path: PathBuf,
        /// The reason, with errno.
        source: io::Error,
    },

    /// A node that belongs to another driver, or no DRM node at all.
    #[error("{}: not a node of the qda driver", path.display())]
    NotQda {
        /// The node.
        path: PathBuf,
    },

    /// No node has a DSP of the wanted name.
    #[error("no DSP named \"{wanted}\"")]
    NotFound {
        /// The name that was asked for.
        wanted: String,
        /// All that was found instead.
        scan: Box<crate::Scan>,
    },

    /// The kernel refused or could not finish an operation.
    #[error("{operation}: {source}")]
    Os {
        /// What was being done.
        operation: Operation,
        /// The reason, with errno.
        source: io::Error,
    },

    /// The DSP answered with a result other than success.
    #[error("{operation}: the DSP answered {result}")]
    Dsp {
        /// What was being done.
        operation: Operation,
        /// The DSP's result.
        result: DspResult,
    },

    /// The DSP could not load a module.
    #[error("the DSP cannot load {uri}: {}", load_reason(*code, text))]
    Load {
        /// Name of the module.
        uri: String,
        /// Number of the DSP's loader.
        code: DspResult,
        /// Text of the DSP's loader, may be empty.
        text: String,
    },

    /// The DSP's answer makes no sense.
    #[error("{operation}: the DSP's answer makes no sense: {what}")]
    Protocol {
        /// What was being done.
        operation: Operation,
        /// What is wrong with the answer.
        what: &'static str,
    },

    /// The caller's arguments cannot be expressed in a call.
    #[error("{0}")]
    Argument(&'static str),
}

fn load_reason(code: DspResult, text: &str) -> String {
    if text.is_empty() {
        code.to_string()
    } else {
        format!("{text} ({code})")
    }
}

impl Error {
    /// The errno behind this error, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source, .. } | Self::Os { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// The DSP's result behind this error, if the DSP gave one.
    pub fn dsp_result(&self) -> Option<DspResult> {
        match self {
            Self::Dsp { result, .. } => Some(*result),
            Self::Load { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The number behind this error, for [`crate::explain`].
    pub fn code(&self) -> Option<Code> {
        let dsp = self.dsp_result().map(Code::of_result);
        dsp.or_else(|| self.errno().map(Code::of_errno))
    }

    /// Puts an errno to an operation.
    pub(crate) fn os(operation: Operation) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Os { operation, source }
    }
}

/// Splits what a call on the DSP gave into errno, DSP result and success.
pub(crate) fn settle(operation: Operation, outcome: io::Result<DspResult>) -> Result<()> {
    let result = outcome.map_err(Error::os(operation))?;
    if result.is_success() {
        return Ok(());
    }
    Err(Error::Dsp { operation, result })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Operation = Operation::Invoke {
        handle: 0x21,
        method: 2,
    };

    #[test]
    fn errno_and_result_are_never_mixed() {
        let error = settle(CALL, Err(io::Error::from_raw_os_error(libc::EPIPE))).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EPIPE));
        assert_eq!(error.dsp_result(), None);

        // A small positive result has the number of an errno and is none.
        let error = settle(CALL, Ok(DspResult::new(libc::EPIPE))).unwrap_err();
        assert_eq!(error.errno(), None);
        assert_eq!(error.dsp_result(), Some(DspResult::new(libc::EPIPE)));

        assert!(settle(CALL, Ok(DspResult::SUCCESS)).is_ok());
    }

    #[test]
    fn texts_name_the_operation_and_the_result() {
        let error = settle(CALL, Ok(DspResult::from_bits(0x8000_042c))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("method 2 of handle 0x21"), "{text}");
        assert!(text.contains("0x8000042c"), "{text}");
        assert!(text.contains("invalid handle"), "{text}");
    }

    #[test]
    fn a_load_error_shows_the_loaders_text() {
        let mut error = Error::Load {
            uri: "file:///libx.so?x".into(),
            code: DspResult::from_bits(0x8000_043e),
            text: "libx.so: not there".into(),
        };
        assert!(error.to_string().contains("libx.so: not there"));
        if let Error::Load { text, .. } = &mut error {
            text.clear();
        }
        assert!(error.to_string().contains("no such module"));
    }
}
