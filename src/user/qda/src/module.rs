// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Modules on the DSP, loaded through its module loader (remotectl).

use qda_uapi as uapi;

use crate::error::{Error, Operation, Result};
use crate::session::Session;
use crate::DspResult;

/// Room for the loader's error text, in bytes, with its NUL.
const TEXT_SIZE: usize = 255;

/// The two forms of the loader: newer firmware has both, older only the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loader {
    handle: u32,
    open: u32,
    close: u32,
}

const LOADERS: [Loader; 2] = [
    Loader {
        handle: uapi::DRM_QDA_HANDLE_REMOTECTL,
        open: 2,
        close: 3,
    },
    Loader {
        handle: uapi::DRM_QDA_HANDLE_REMOTECTL0,
        open: 0,
        close: 1,
    },
];

/// A module loaded into a process on the DSP. Dropping it unloads it; use
/// [`Module::close`] to learn whether that worked.
#[derive(Debug)]
pub struct Module<'s> {
    session: &'s Session,
    loader: Loader,
    handle: u32,
}

impl<'s> Module<'s> {
    /// Loads the module named `uri`, for example
    /// `file:///libcalculator_skel.so?calculator_skel_handle_invoke&_modver=1.0`,
    /// or a plain interface name.
    ///
    /// Fails with [`Error::Load`] if the loader says why, with its text.
    pub fn open(session: &'s Session, uri: &str) -> Result<Self> {
        if uri.bytes().any(|byte| byte == 0) {
            return Err(Error::Argument("the name of a module contains a NUL"));
        }
        let [new, old] = LOADERS;
        let first = match Self::open_with(session, new, uri) {
            Err(first @ Error::Dsp { .. }) => first,
            other => return other,
        };
        // Firmware without the newer form refuses the call itself. Then the older
        // form has the word; if both refuse, the newer one's reason is better
        // unless it is just that it does not exist.
        match Self::open_with(session, old, uri) {
            Err(Error::Dsp { .. }) if !is_unknown_call(&first) => Err(first),
            other => other,
        }
    }

    fn open_with(session: &'s Session, loader: Loader, uri: &str) -> Result<Self> {
        let mut name = Vec::with_capacity(uri.len() + 1);
        name.extend_from_slice(uri.as_bytes());
        name.push(0);
        let lengths = pair(
            u32::try_from(name.len()).map_err(|_| Error::Argument("the name is too long"))?,
            TEXT_SIZE as u32,
        );
        let mut answer = [0; 8];
        let mut text = [0; TEXT_SIZE];
        session.invoke_as(
            Operation::Open,
            loader.handle,
            loader.open,
            &[&lengths, &name],
            &mut [&mut answer, &mut text],
        )?;
        Ok(Self {
            session,
            loader,
            handle: opened(uri, &answer, &text)?,
        })
    }

    /// The handle that the DSP gave to this module.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// The session that this module is loaded in.
    pub fn session(&self) -> &'s Session {
        self.session
    }

    /// Calls a method of the module, see [`Session::invoke`]. Methods 0 and 1
    /// (open and close) are never sent by clients.
    pub fn invoke(&self, method: u32, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<()> {
        self.session.invoke(self.handle, method, inputs, outputs)
    }

    /// Unloads the module.
    pub fn close(self) -> Result<()> {
        let result = self.unload();
        std::mem::forget(self);
        result
    }

    fn unload(&self) -> Result<()> {
        let mut answer = [0; 4];
        let mut text = [0; TEXT_SIZE];
        self.session.invoke_as(
            Operation::Close,
            self.loader.handle,
            self.loader.close,
            &[&pair(self.handle, TEXT_SIZE as u32)],
            &mut [&mut answer, &mut text],
        )?;
        match DspResult::new(i32::from_le_bytes(answer)) {
            DspResult::SUCCESS => Ok(()),
            result => Err(Error::Dsp {
                operation: Operation::Close,
                result,
            }),
        }
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // Nobody is left to tell; the end of the process unloads it in any case.
        let _ = self.unload();
    }
}

/// Two little-endian words in a row.
fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_le_bytes());
    bytes[4..].copy_from_slice(&second.to_le_bytes());
    bytes
}

/// Reads the answer of an open: handle, loader's number, loader's text.
fn opened(uri: &str, answer: &[u8; 8], text: &[u8]) -> Result<u32> {
    let [a, b, c, d, e, f, g, h] = *answer;
    let handle = u32::from_le_bytes([a, b, c, d]);
    let code = DspResult::new(i32::from_le_bytes([e, f, g, h]));
    if !code.is_success() {
        return Err(Error::Load {
            uri: uri.into(),
            code,
            text: loader_text(text),
        });
    }
    // 0 is the loader itself, and 1 belongs to the kernel.
    if handle == 0 || handle == uapi::DRM_QDA_HANDLE_KERNEL {
        return Err(Error::Protocol {
            operation: Operation::Open,
            what: "the handle of the module is one that the system owns",
        });
    }
    Ok(handle)
}

/// The loader's text up to its NUL. It comes from the DSP: control characters
/// are replaced, so that it can be printed to a terminal.
fn loader_text(raw: &[u8]) -> String {
    let text = raw.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_string()
}

/// Whether the DSP refused a call because it does not know it at all.
fn is_unknown_call(error: &Error) -> bool {
    const INVALID_HANDLE: DspResult = DspResult::from_bits(0x8000_042c);
    matches!(
        error.dsp_result(),
        Some(DspResult::UNSUPPORTED | INVALID_HANDLE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "file:///libx_skel.so?x_skel_handle_invoke";

    #[test]
    fn a_good_answer_gives_the_handle() {
        let answer = pair(0x21, 0);
        assert_eq!(opened(URI, &answer, &[0; TEXT_SIZE]).unwrap(), 0x21);
    }

    #[test]
    fn a_failed_load_gives_number_and_text() {
        let mut text = [0; TEXT_SIZE];
        text[..9].copy_from_slice(b"not there");
        let error = opened(URI, &pair(0, 0x8000_043e), &text).unwrap_err();
        match error {
            Error::Load { uri, code, text } => {
                assert_eq!(uri, URI);
                assert_eq!(code.bits(), 0x8000_043e);
                assert_eq!(text, "not there");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn handles_of_the_system_are_not_taken() {
        for handle in [0, 1] {
            let error = opened(URI, &pair(handle, 0), &[0; TEXT_SIZE]).unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        }
    }

    #[test]
    fn the_loaders_text_is_made_printable() {
        assert_eq!(loader_text(b"\x1b[31mred\n\0rest"), "[31mred");
        assert_eq!(loader_text(&[0xff; 4]).chars().count(), 4);
        // Without a NUL the whole buffer is the text.
        assert_eq!(loader_text(&[b'a'; TEXT_SIZE]).len(), TEXT_SIZE);
    }

    #[test]
    fn only_unknown_calls_hide_the_first_reason() {
        let error = |bits| Error::Dsp {
            operation: Operation::Open,
            result: DspResult::from_bits(bits),
        };
        assert!(is_unknown_call(&error(0x8000_0414)));
        assert!(is_unknown_call(&error(0x8000_042c)));
        assert!(!is_unknown_call(&error(0x8000_0402)));
    }

    #[test]
    fn words_are_little_endian() {
        assert_eq!(pair(0x0102_0304, 5), [4, 3, 2, 1, 5, 0, 0, 0]);
    }
}
