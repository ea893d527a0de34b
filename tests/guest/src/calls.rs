// SPDX-License-Identifier: GPL-2.0
//! Builds the argument arrays of the new call ioctl.

use std::marker::PhantomData;
use std::os::fd::RawFd;

use crate::raw::{
    self,
    Arg,
    ARG_BUFFER,
    ARG_HANDLE,
    ARG_IN,
    ARG_INLINE,
    ARG_OUT, //
};

/// One call: method number and arguments. The buffers stay borrowed until the call is dropped.
#[derive(Clone)]
pub struct NewCall<'a> {
    pub method: u32,
    /// In the order in which they are sent.
    pub args: Vec<Arg>,
    pub deadline_ns: u64,
    buffers: PhantomData<&'a mut [u8]>,
}

/// What a call gave: the value of the ioctl and the DSP's result.
pub type Answer = (i64, u32);

/// Result field before a call, so that one shows that is not written.
pub const UNTOUCHED: u32 = 0x5a5a_5a5a;

impl<'a> NewCall<'a> {
    pub fn new(method: u32) -> Self {
        NewCall {
            method,
            args: Vec::new(),
            deadline_ns: 0,
            buffers: PhantomData,
        }
    }

    /// Adds any argument.
    pub fn arg(mut self, arg: Arg) -> Self {
        self.args.push(arg);
        self
    }

    /// Adds copied input.
    pub fn input(self, data: &'a [u8]) -> Self {
        self.arg(inline(ARG_IN, data.as_ptr() as u64, data.len() as u64))
    }

    /// Adds copied output.
    pub fn output(self, data: &'a mut [u8]) -> Self {
        self.arg(inline(ARG_OUT, data.as_mut_ptr() as u64, data.len() as u64))
    }

    /// Adds a range of a buffer that the DSP reads.
    pub fn read(self, handle: u32, offset: u64, length: u64) -> Self {
        self.arg(buffer(ARG_IN, handle, offset, length))
    }

    /// Adds a range of a buffer that the DSP writes.
    pub fn write(self, handle: u32, offset: u64, length: u64) -> Self {
        self.arg(buffer(ARG_OUT, handle, offset, length))
    }

    /// Adds a buffer in handle position.
    pub fn handle(self, direction: u32, handle: u32, tag: i32, offset: u64, length: u64) -> Self {
        self.arg(Arg {
            kind: ARG_HANDLE,
            tag,
            ..buffer(direction, handle, offset, length)
        })
    }

    /// Sets the time after which the call is given up, as CLOCK_MONOTONIC.
    pub fn until(mut self, deadline_ns: u64) -> Self {
        self.deadline_ns = deadline_ns;
        self
    }

    /// The structure of the ioctl for this call.
    pub fn request(&self, handle: u32) -> raw::Call {
        raw::Call {
            args: if self.args.is_empty() {
                0
            } else {
                self.args.as_ptr() as u64
            },
            deadline_ns: self.deadline_ns,
            handle,
            method: self.method,
            arg_count: self.args.len() as u32,
            arg_stride: size_of::<Arg>() as u32,
            flags: 0,
            result: UNTOUCHED,
        }
    }

    /// Makes the call.
    pub fn on(&self, file: RawFd, handle: u32) -> Answer {
        issue(file, self.request(handle))
    }
}

/// Makes a call from a complete structure.
pub fn issue(file: RawFd, mut request: raw::Call) -> Answer {
    let value = raw::ioctl(file, raw::CALL, &raw mut request as u64);
    (value, request.result)
}

/// A copied argument.
pub fn inline(direction: u32, address: u64, length: u64) -> Arg {
    Arg {
        address,
        length,
        kind: ARG_INLINE,
        direction,
        ..Arg::default()
    }
}

/// A range of a buffer.
pub fn buffer(direction: u32, handle: u32, offset: u64, length: u64) -> Arg {
    Arg {
        offset,
        length,
        kind: ARG_BUFFER,
        direction,
        handle,
        ..Arg::default()
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
