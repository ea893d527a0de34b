// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Calls with buffers as arguments.
//!
//! Owns nothing, takes no locks: a [`Call`] collects borrowed arguments and hands
//! them to `sys` in the order that the kernel wants.

use std::ops::RangeBounds;
use std::os::fd::AsFd as _;
use std::time::Duration;

use fastrpc_proto::errors::DspResult;
use qda_uapi as uapi;

use crate::buffer::Buffer;
use crate::error::{settle, Error, Operation, Result};
use crate::module::Module;
use crate::session::Session;
use crate::sys::{self, Element};

/// One call of a method, with any mix of arguments. Made by [`Session::call`] and
/// [`Module::call`], sent by [`Call::run`].
///
/// Inputs and outputs keep the order in which they are added, each among its
/// kind. Arguments in a [`Buffer`] are not copied; the others are, up to 64 MiB
/// in all.
///
/// A mistake in an argument is reported by [`Call::run`], and nothing is sent.
#[derive(Debug)]
#[must_use = "nothing happens before run()"]
pub struct Call<'a> {
    session: &'a Session,
    handle: u32,
    method: u32,
    timeout: Option<Duration>,
    inputs: Vec<Element<'a>>,
    outputs: Vec<Element<'a>>,
    in_handles: Vec<Element<'a>>,
    out_handles: Vec<Element<'a>>,
    mistake: Option<Error>,
}

impl Session {
    /// Prepares a call of `method` (0..=31) of the module behind `handle`. Method
    /// 31 says that the first word of the first input is the number.
    pub fn call(&self, handle: u32, method: u32) -> Call<'_> {
        Call {
            session: self,
            handle,
            method,
            timeout: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            in_handles: Vec::new(),
            out_handles: Vec::new(),
            mistake: None,
        }
    }
}

impl Module<'_> {
    /// Prepares a call of a method of the module, see [`Session::call`].
    pub fn call(&self, method: u32) -> Call<'_> {
        self.session().call(self.handle(), method)
    }
}

impl<'a> Call<'a> {
    /// The next input: bytes that are copied to the DSP.
    pub fn input(mut self, data: &'a [u8]) -> Self {
        self.inputs.push(Element::In(data));
        self
    }

    /// The next output: filled by the DSP, copied back also if the method failed.
    pub fn output(mut self, data: &'a mut [u8]) -> Self {
        self.outputs.push(Element::Out(data));
        self
    }

    /// The next input: a part of a buffer, which the DSP reads in place.
    pub fn input_buffer(mut self, buffer: &'a Buffer<'_>, range: impl RangeBounds<u64>) -> Self {
        let element = self.object(uapi::DRM_QDA_ARG_IN, buffer, range, None);
        self.inputs.extend(element);
        self
    }

    /// The next output: a part of a buffer, which the DSP writes in place. The
    /// same buffer may also be an input.
    pub fn output_buffer(mut self, buffer: &'a Buffer<'_>, range: impl RangeBounds<u64>) -> Self {
        let element = self.object(uapi::DRM_QDA_ARG_OUT, buffer, range, None);
        self.outputs.extend(element);
        self
    }

    /// The next input of the handle class: a part of a buffer, within its first
    /// 4 GiB, that code on the DSP looks up by `tag`, in this call and later. The
    /// kernel keeps the buffer until the DSP drops the tag.
    pub fn input_handle(
        mut self,
        buffer: &'a Buffer<'_>,
        range: impl RangeBounds<u64>,
        tag: i32,
    ) -> Self {
        let element = self.object(uapi::DRM_QDA_ARG_IN, buffer, range, Some(tag));
        self.in_handles.extend(element);
        self
    }

    /// As [`Call::input_handle`], for the output direction.
    pub fn output_handle(
        mut self,
        buffer: &'a Buffer<'_>,
        range: impl RangeBounds<u64>,
        tag: i32,
    ) -> Self {
        let element = self.object(uapi::DRM_QDA_ARG_OUT, buffer, range, Some(tag));
        self.out_handles.extend(element);
        self
    }

    /// Waits no longer than this, counted from [`Call::run`]. Then the call fails
    /// with ETIMEDOUT. The DSP goes on meanwhile and may still write to the
    /// buffers of the call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the call and waits for the answer.
    ///
    /// Errno of [`Error::Os`]: as for [`Session::invoke`], and ETIMEDOUT, EINVAL
    /// or ENOMEM (an imported buffer that the DSP cannot use; no addresses left
    /// for another buffer). [`Error::Dsp`] if the method failed.
    pub fn run(self) -> Result<()> {
        let operation = self.operation();
        settle(operation, Ok(self.run_raw()?))
    }

    /// As [`Call::run`], but gives the DSP's result whatever it is.
    pub fn run_raw(self) -> Result<DspResult> {
        let operation = self.operation();
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        check_counts(
            [self.inputs.len(), self.outputs.len()],
            [self.in_handles.len(), self.out_handles.len()],
        )?;
        let deadline = self.timeout.map_or(0, |timeout| deadline(now(), timeout));
        let (session, handle, method) = (self.session, self.handle, self.method);
        let mut elements = self.into_elements();
        sys::call(session.as_fd(), handle, method, &mut elements, deadline)
            .map_err(Error::os(operation))
    }

    /// The arguments in the order of the interface.
    fn into_elements(self) -> Vec<Element<'a>> {
        let mut elements = self.inputs;
        elements.extend(self.outputs);
        elements.extend(self.in_handles);
        elements.extend(self.out_handles);
        elements
    }

    fn operation(&self) -> Operation {
        Operation::Invoke {
            handle: self.handle,
            method: self.method,
        }
    }

    /// The element for a part of a buffer; `None` after the first mistake.
    fn object(
        &mut self,
        direction: u32,
        buffer: &Buffer<'_>,
        range: impl RangeBounds<u64>,
        tag: Option<i32>,
    ) -> Option<Element<'a>> {
        let part = if std::ptr::eq(buffer.device(), self.session.device()) {
            buffer.range(range)
        } else {
            // The number of its handle may be another buffer of this session.
            Err(Error::Argument(
                "the buffer of an argument belongs to another open device",
            ))
        };
        match part {
            Ok((offset, length)) => Some(Element::Object {
                direction,
                handle: buffer.handle(),
                offset,
                length,
                tag,
            }),
            Err(mistake) => {
                self.mistake.get_or_insert(mistake);
                None
            }
        }
    }
}

fn check_counts(buffers: [usize; 2], handles: [usize; 2]) -> Result<()> {
    let within = |counts: [usize; 2], limit: u32| counts.iter().all(|&n| n <= limit as usize);
    if !within(buffers, uapi::DRM_QDA_MAX_BUFS) || !within(handles, uapi::DRM_QDA_MAX_HANDLES) {
        return Err(Error::Argument(
            "a call has at most 255 inputs, 255 outputs, and 15 handles in either direction",
        ));
    }
    Ok(())
}

/// CLOCK_MONOTONIC.
fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // The clock begins at 0 and its nanoseconds are less than a second.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The time `timeout` from now in nanoseconds. Never 0, which means no limit; what
/// does not fit 64 bits is centuries away.
fn deadline(now: Duration, timeout: Duration) -> u64 {
    let at = now.saturating_add(timeout).as_nanos();
    u64::try_from(at).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_sorted_by_kind_and_keep_their_order() {
        let session = Session::fake();
        let buffer = Buffer::fake(session.device(), 7, 1 << 33);
        let mut out = [0; 2];
        let elements = session
            .call(20, 2)
            .output_handle(&buffer, 5..6, 4)
            .output_buffer(&buffer, 1..3)
            .input_buffer(&buffer, 4..)
            .output(&mut out)
            .input(b"x")
            .input_handle(&buffer, .., 3)
            .into_elements();
        let [Element::Object {
            direction: 0,
            handle: 7,
            offset: 4,
            length: 0x1_ffff_fffc,
            tag: None,
        }, Element::In(b"x"), Element::Object {
            direction: 1,
            handle: 7,
            offset: 1,
            length: 2,
            tag: None,
        }, Element::Out([0, 0]), Element::Object {
            direction: 0,
            tag: Some(3),
            ..
        }, Element::Object {
            direction: 1,
            offset: 5,
            length: 1,
            tag: Some(4),
            ..
        }] = &elements[..]
        else {
            panic!("{elements:?}");
        };
    }

    #[test]
    fn mistakes_are_told_before_anything_is_sent() {
        let (session, other) = (Session::fake(), Session::fake());
        let buffer = Buffer::fake(session.device(), 1, 100);
        let foreign = Buffer::fake(other.device(), 1, 100);
        let mistake = |call: Call<'_>| {
            let error = call.input(b"x").run().unwrap_err();
            assert!(matches!(error, Error::Argument(_)), "{error:?}");
            error.to_string()
        };
        let call = || session.call(20, 2);
        assert!(mistake(call().input_buffer(&buffer, ..101)).contains("not in its buffer"));
        assert!(mistake(call().output_buffer(&buffer, 101..)).contains("not in its buffer"));
        assert!(mistake(call().input_handle(&foreign, .., 1)).contains("another open device"));
        let mut many = call();
        for _ in 0..256 {
            many = many.input_buffer(&buffer, ..);
        }
        assert!(mistake(many).contains("at most 255"));
        // Without a mistake it goes to the kernel, which knows no such device.
        let error = call().input_buffer(&buffer, ..100).run().unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOTTY));
    }

    #[test]
    fn a_deadline_is_never_no_deadline() {
        assert_eq!(deadline(Duration::ZERO, Duration::ZERO), 1);
        assert_eq!(
            deadline(Duration::from_secs(1), Duration::from_nanos(5)),
            1_000_000_005
        );
        assert_eq!(deadline(Duration::from_secs(1), Duration::MAX), u64::MAX);
    }

    #[test]
    fn the_clock_runs() {
        let before = now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(now() >= before + Duration::from_millis(2));
    }

    #[test]
    fn counts_end_where_the_scalars_word_ends() {
        assert!(check_counts([255, 255], [15, 15]).is_ok());
        for (buffers, handles) in [([256, 0], [0, 0]), ([0, 256], [0, 0]), ([0, 0], [16, 0])] {
            assert!(check_counts(buffers, handles).is_err());
        }
        assert!(check_counts([0, 0], [0, 16]).is_err());
    }
}
