// SPDX-License-Identifier: GPL-2.0 OR MIT
//! What can go wrong, in words and as exit status. See `--help` for the list.

use std::fmt;
use std::path::{Path, PathBuf};

use qda::explain::Origin;
use qda::{Error, Operation, Scan};

use crate::input::InputError;
use crate::picture::PictureError;

/// The folder that exists while the module is loaded.
const MODULE: &str = "/sys/module/qda";

#[derive(Debug)]
pub enum Failure {
    /// DSP and CPU computed different results. The report was printed.
    Differ,
    /// The input file cannot be used.
    Input(InputError),
    /// The input picture cannot be used.
    Picture(PictureError),
    /// The driver has no such DSP; the text says more.
    NoDevice(String),
    /// The caller may not open a node; the text says which.
    Permission(String),
    /// The caller opened the node but may not start a process of this kind.
    Untrusted(Error),
    /// The module is not loaded.
    NotLoaded,
    /// No free context bank.
    Busy { dsp: String },
    /// The DSP answered with an error.
    Dsp(Error),
    /// Anything else that the system said.
    System(Error),
    /// Standard output cannot be written.
    Output(std::io::Error),
    /// A file cannot be written.
    Write {
        file: PathBuf,
        source: std::io::Error,
    },
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Differ => 1,
            Self::Input(_) | Self::Picture(_) => 3,
            Self::NoDevice(_) => 4,
            Self::Permission(_) | Self::Untrusted(_) => 5,
            Self::NotLoaded => 6,
            Self::Busy { .. } => 7,
            Self::Dsp(_) => 8,
            Self::System(_) | Self::Output(_) | Self::Write { .. } => 9,
        }
    }

    /// Name of the kind, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Differ => "results-differ",
            Self::Input(_) | Self::Picture(_) => "bad-input",
            Self::NoDevice(_) => "no-device",
            Self::Permission(_) | Self::Untrusted(_) => "permission-denied",
            Self::NotLoaded => "module-not-loaded",
            Self::Busy { .. } => "dsp-busy",
            Self::Dsp(_) => "dsp-error",
            Self::System(_) | Self::Output(_) | Self::Write { .. } => "system-error",
        }
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": {
                "kind": self.kind(),
                "status": self.exit_code(),
                "message": self.to_string(),
                "hint": self.hint(),
            }
        })
    }

    /// Where to read more, if the message does not say all.
    pub fn hint(&self) -> Option<String> {
        let (Self::Dsp(error) | Self::System(error) | Self::Untrusted(error)) = self else {
            return None;
        };
        let code = error.code()?.readings().into_iter().next()?;
        // A number of the DSP is looked for as it was shown; an errno has a name.
        let word = match code.origin {
            Origin::Dsp => code.number,
            _ => code.name?,
        };
        Some(format!("\"qdactl explain {word}\" says more"))
    }

    /// Why a scan has not brought the DSP named `wanted`, or none at all.
    pub fn nothing_found(scan: &Scan, wanted: Option<&str>) -> Self {
        Self::nothing_found_with(scan, wanted, Path::new(MODULE).exists())
    }

    fn nothing_found_with(scan: &Scan, wanted: Option<&str>, loaded: bool) -> Self {
        let denied: Vec<String> = scan
            .unusable
            .iter()
            .filter(|node| is_denied(node.error.errno()))
            .map(|node| node.path.display().to_string())
            .collect();
        if !denied.is_empty() {
            return Self::Permission(denied.join(", "));
        }
        let names: Vec<&str> = scan.devices.iter().map(|device| device.dsp()).collect();
        if names.is_empty() && !loaded {
            return Self::NotLoaded;
        }
        let mut text = match (wanted, names.is_empty()) {
            (_, true) => "the module qda is loaded but drives no DSP".to_string(),
            (Some(wanted), false) => {
                format!("no DSP named \"{wanted}\"; there is {}", names.join(", "))
            }
            (None, false) => "no DSP".to_string(),
        };
        for node in &scan.unusable {
            text.push_str(&format!("; {}: {}", node.path.display(), node.error));
        }
        Self::NoDevice(text)
    }

    /// An error while a process was started on the DSP named `dsp`.
    pub fn starting(dsp: &str, error: Error) -> Self {
        if error.errno() == Some(libc::EBUSY) {
            return Self::Busy { dsp: dsp.into() };
        }
        error.into()
    }

    fn from_error(error: Error, loaded: bool) -> Self {
        match &error {
            Error::NotFound { wanted, scan } => {
                Self::nothing_found_with(scan, Some(wanted), loaded)
            }
            Error::Open { path, source } => match source.raw_os_error() {
                errno if is_denied(errno) => Self::Permission(path.display().to_string()),
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) if !loaded => Self::NotLoaded,
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                    Self::NoDevice(error.to_string())
                }
                _ => Self::System(error),
            },
            Error::NotQda { .. } => Self::NoDevice(error.to_string()),
            Error::Os {
                operation: Operation::Create | Operation::Attach,
                source,
            } if is_untrusted(source.raw_os_error()) => Self::Untrusted(error),
            Error::Dsp { .. } | Error::Load { .. } | Error::Protocol { .. } => Self::Dsp(error),
            _ => Self::System(error),
        }
    }
}

fn is_denied(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::EACCES | libc::EPERM))
}

/// Whether the driver does not trust the opener of a file.
fn is_untrusted(errno: Option<i32>) -> bool {
    is_denied(errno) || errno == Some(libc::ECONNREFUSED)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from_error(error, Path::new(MODULE).exists())
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<PictureError> for Failure {
    fn from(error: PictureError) -> Self {
        Self::Picture(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differ => f.write_str("DSP and CPU do not agree"),
            Self::Input(error) => error.fmt(f),
            Self::Picture(error) => error.fmt(f),
            Self::NoDevice(text) => write!(f, "no device: {text}"),
            Self::Permission(text) => write!(
                f,
                "permission denied: {text} (the node's owner, group and mode decide who may use it)"
            ),
            Self::Untrusted(error) => write!(
                f,
                "permission denied: {error}; ordinary users start unsigned processes, which only \
                 cdsp and gdsp DSPs have. Others need CAP_SYS_ADMIN, as root has it"
            ),
            Self::NotLoaded => f.write_str("module not loaded: load it with \"modprobe qda\""),
            Self::Busy { dsp } => write!(
                f,
                "DSP busy: no free context bank on {dsp}; every bank serves another process, \
                 try again when one has ended"
            ),
            Self::System(error) if error.errno() == Some(libc::ENODEV) => {
                write!(f, "{error}; the DSP crashed or was removed")
            }
            Self::System(error) if error.errno() == Some(libc::EPIPE) => {
                write!(f, "{error}; the DSP went away during the call")
            }
            Self::System(error) if error.errno() == Some(libc::ETIMEDOUT) => {
                write!(f, "{error}; the DSP does not answer")
            }
            Self::Dsp(error) | Self::System(error) => error.fmt(f),
            Self::Output(error) => write!(f, "standard output: {error}"),
            Self::Write { file, source } => {
                write!(f, "{}: cannot be written: {source}", file.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qda::{DspResult, Unusable};
    use std::io;

    fn open_error(errno: i32) -> Error {
        Error::Open {
            path: "/dev/accel/accel0".into(),
            source: io::Error::from_raw_os_error(errno),
        }
    }

    fn not_found(unusable: Vec<Unusable>) -> Error {
        Error::NotFound {
            wanted: "cdsp".into(),
            scan: Box::new(Scan {
                devices: Vec::new(),
                unusable,
            }),
        }
    }

    fn unusable(errno: i32) -> Unusable {
        Unusable {
            path: "/dev/accel/accel0".into(),
            error: open_error(errno),
        }
    }

    fn create_error(errno: i32) -> Error {
        Error::Os {
            operation: Operation::Create,
            source: io::Error::from_raw_os_error(errno),
        }
    }

    #[test]
    fn the_four_ways_of_not_getting_a_dsp_are_distinct() {
        let not_loaded = Failure::from_error(not_found(Vec::new()), false);
        let no_device = Failure::from_error(not_found(Vec::new()), true);
        let denied = Failure::from_error(not_found(vec![unusable(libc::EACCES)]), true);
        let busy = Failure::starting("cdsp", create_error(libc::EBUSY));
        let texts: Vec<String> = [&not_loaded, &no_device, &denied, &busy]
            .iter()
            .map(|failure| failure.to_string())
            .collect();
        assert!(texts[0].starts_with("module not loaded"), "{}", texts[0]);
        assert!(texts[1].starts_with("no device"), "{}", texts[1]);
        assert!(texts[2].starts_with("permission denied"), "{}", texts[2]);
        assert!(texts[2].contains("/dev/accel/accel0"), "{}", texts[2]);
        assert!(texts[3].starts_with("DSP busy"), "{}", texts[3]);
        assert!(texts[3].contains("context bank on cdsp"), "{}", texts[3]);
        assert_eq!(not_loaded.exit_code(), 6);
        assert_eq!(no_device.exit_code(), 4);
        assert_eq!(denied.exit_code(), 5);
        assert_eq!(busy.exit_code(), 7);
    }

    #[test]
    fn a_dead_node_is_named() {
        let failure = Failure::from_error(not_found(vec![unusable(libc::ENODEV)]), true);
        assert_eq!(failure.exit_code(), 4);
        assert!(
            failure.to_string().contains("/dev/accel/accel0"),
            "{failure}"
        );
    }

    #[test]
    fn a_node_given_by_path_has_the_same_kinds() {
        let code = |errno, loaded| Failure::from_error(open_error(errno), loaded).exit_code();
        assert_eq!(code(libc::EACCES, true), 5);
        assert_eq!(code(libc::ENOENT, false), 6);
        assert_eq!(code(libc::ENOENT, true), 4);
        assert_eq!(code(libc::EMFILE, true), 9);
        let other = Error::NotQda {
            path: "/dev/accel/accel0".into(),
        };
        assert_eq!(Failure::from_error(other, true).exit_code(), 4);
    }

    #[test]
    fn errno_and_dsp_result_have_different_codes() {
        let dsp = |bits| Error::Dsp {
            operation: Operation::Create,
            result: DspResult::from_bits(bits),
        };
        assert_eq!(Failure::starting("cdsp", dsp(0x8000_0402)).exit_code(), 8);
        // A DSP result with the number of EBUSY is not the kernel's EBUSY.
        let busy = dsp(libc::EBUSY as u32);
        assert_eq!(Failure::starting("cdsp", busy).exit_code(), 8);
        let gone = Failure::starting("cdsp", create_error(libc::EPIPE));
        assert_eq!(gone.exit_code(), 9);
        assert!(gone.to_string().contains("went away"), "{gone}");
        let mute = Failure::starting("cdsp", create_error(libc::ETIMEDOUT));
        assert!(mute.to_string().contains("does not answer"), "{mute}");
        assert_eq!(
            Failure::starting("adsp", create_error(libc::EACCES)).exit_code(),
            5
        );
    }

    #[test]
    fn an_opener_without_trust_is_told_what_would_help() {
        for errno in [libc::ECONNREFUSED, libc::EACCES] {
            let failure = Failure::starting("adsp", create_error(errno));
            assert_eq!(failure.exit_code(), 5);
            assert_eq!(failure.kind(), "permission-denied");
            let text = failure.to_string();
            assert!(text.contains("CAP_SYS_ADMIN"), "{text}");
            assert!(!text.contains("owner, group and mode"), "{text}");
        }
        let refused = Failure::starting("adsp", create_error(libc::ECONNREFUSED));
        let hint = refused.hint().unwrap();
        assert_eq!(hint, "\"qdactl explain ECONNREFUSED\" says more");
    }

    #[test]
    fn errors_of_the_dsp_say_how_to_have_them_explained() {
        let failure = Failure::Dsp(Error::Dsp {
            operation: Operation::Create,
            result: DspResult::from_bits(0x8000_0416),
        });
        let hint = "\"qdactl explain 0x80000416\" says more";
        assert_eq!(failure.hint().as_deref(), Some(hint));
        assert_eq!(failure.to_json()["error"]["hint"], hint);
        assert_eq!(Failure::NotLoaded.hint(), None);
        assert_eq!(
            Failure::NotLoaded.to_json()["error"]["hint"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn json_errors_have_kind_status_and_message() {
        let json = Failure::NotLoaded.to_json();
        assert_eq!(json["error"]["kind"], "module-not-loaded");
        assert_eq!(json["error"]["status"], 6);
        assert!(json["error"]["message"].as_str().unwrap().contains("qda"));
    }
}
