// SPDX-License-Identifier: GPL-2.0

//! Remote calls, in the old dialect and in the new one.
//!
//! Owns nothing and takes no locks. Handlers run in the context of the calling process. Each
//! element of an argument array is read once and classified once, in the order in which the DSP
//! wants the arguments.

use super::{
    buffer,
    uapi::{
        Call,
        CallArg,
        Invoke,
        InvokeArg,
        ARG_BUFFER,
        ARG_HANDLE,
        ARG_IN,
        ARG_INLINE,
        ARG_OUT,
        MAX_ARGS,
        MAX_ARG_STRIDE, //
    },
    user_ptr,
    Accel, //
};
use crate::{
    engine::{
        ArgClass,
        Argument,
        CallError,
        CallResult,
        Deadline,
        Scalars,
        Start, //
    },
    sys::drm, //
};
use kernel::{
    prelude::*,
    uaccess::{
        UserSlice,
        UserSliceReader, //
    }, //
};
use zerocopy::{
    FromZeros,
    IntoBytes, //
};

/// Most arguments that a call keeps on the stack. With more it allocates.
const FEW: usize = 4;

/// The arguments of a call.
struct Arguments {
    few: [Argument; FEW],
    many: KVVec<Argument>,
    len: usize,
}

impl Arguments {
    /// Room for `len` arguments, which are empty.
    fn new(len: usize) -> Result<Self> {
        let mut many = KVVec::new();
        if len > FEW {
            many.reserve(len, GFP_KERNEL)?;
            for _ in 0..len {
                many.push(Argument::Empty, GFP_KERNEL)?;
            }
        }
        Ok(Self {
            few: [const { Argument::Empty }; FEW],
            many,
            len,
        })
    }

    fn as_mut_slice(&mut self) -> &mut [Argument] {
        match self.few.get_mut(..self.len) {
            Some(few) => few,
            None => self.many.as_mut_slice(),
        }
    }
}

/// Makes a remote call in the old dialect.
pub(super) fn invoke(
    _dev: &drm::Device<Accel>,
    arg: &mut Invoke,
    file: &drm::File<Accel>,
) -> Result<i32> {
    let caller = file.caller(arg.handle)?;
    let scalars = Scalars::new(arg.sc);
    let mut arguments = Arguments::new(scalars.total())?;
    let arguments = arguments.as_mut_slice();
    let fetched = match scalars.attributes() {
        0 => fetch_old(file, arg.args, scalars, arguments),
        // No call has any, and nobody knows what a DSP would make of them.
        _ => Err(CallError::Invalid),
    };
    caller.parsed(Some(scalars), fetched)?;
    Ok(caller.call(scalars, arguments, None)?.raw())
}

/// Reads and classifies the arguments of a call in the old dialect.
#[inline(never)]
fn fetch_old(
    file: &drm::File<Accel>,
    from: u64,
    scalars: Scalars,
    arguments: &mut [Argument],
) -> CallResult {
    if scalars.attributes() != 0 {
        // No call has any, and nobody knows what a DSP would make of them.
        return Err(CallError::Invalid);
    }
    if let Some(mut reader) = open_array(from, arguments.len(), size_of::<InvokeArg>())? {
        for (argument, class) in arguments.iter_mut().zip(scalars.classes()) {
            let mut raw = InvokeArg::new_zeroed();
            reader.read_slice(raw.as_mut_bytes())?;
            *argument = classify_old(file, class, &raw)?;
        }
    }
    Ok(())
}

/// Opens the array of `count` arguments, if there are any.
fn open_array(from: u64, count: usize, stride: usize) -> CallResult<Option<UserSliceReader>> {
    if count == 0 {
        return Ok(None);
    }
    let bytes = count.checked_mul(stride).ok_or(CallError::Invalid)?;
    Ok(Some(UserSlice::new(user_ptr(from)?, bytes).reader()))
}

#[inline(never)]
fn classify_old(file: &drm::File<Accel>, class: ArgClass, raw: &InvokeArg) -> CallResult<Argument> {
    match (class.is_handle(), raw.fd) {
        (false, _) if raw.length == 0 => Ok(Argument::Empty),
        (_, ..-1) => Err(CallError::Invalid),
        (true, fd) => Ok(Argument::Handle {
            tag: fd,
            offset: u32::try_from(raw.ptr).map_err(|_| CallError::Invalid)?,
            len: u32::try_from(raw.length).map_err(|_| CallError::Invalid)?,
            buffer: match fd {
                1.. => Some(buffer::of_fd(fd)?),
                _ => None,
            },
        }),
        (false, 0 | -1) => inline(file, raw.ptr, raw.length),
        (false, 1..) => Ok(Argument::Buffer {
            buffer: buffer::of_fd(raw.fd)?,
            start: Start::Address(raw.ptr),
            len: raw.length,
        }),
    }
}

/// Data of `len` bytes that is copied.
fn inline(file: &drm::File<Accel>, address: u64, len: u64) -> CallResult<Argument> {
    if len > file.most_inline() {
        return Err(CallError::TooBig);
    }
    Ok(Argument::Inline {
        user: user_ptr(address)?,
        len: usize::try_from(len).map_err(|_| CallError::TooBig)?,
    })
}

/// Makes a remote call in the new dialect.
pub(super) fn call(
    _dev: &drm::Device<Accel>,
    arg: &mut Call,
    file: &drm::File<Accel>,
) -> Result<i32> {
    let caller = file.caller(arg.handle)?;
    let (count, stride) = caller.parsed(None, shape(arg))?;
    let mut arguments = Arguments::new(count)?;
    let arguments = arguments.as_mut_slice();
    let scalars = fetch_new(file, arg.args, stride, arguments)
        .and_then(|counts| counts.scalars(arg.method).ok_or(CallError::Invalid));
    let scalars = caller.parsed(None, scalars)?;
    let deadline = match arg.deadline_ns {
        0 => None,
        nanoseconds => Some(Deadline::new(nanoseconds)),
    };
    arg.result = caller.call(scalars, arguments, deadline)?.bits();
    Ok(0)
}

/// Number of elements in the array of arguments, and bytes from one to the next.
fn shape(arg: &Call) -> CallResult<(usize, usize)> {
    let (Ok(count), Ok(stride)) = (
        usize::try_from(arg.arg_count),
        usize::try_from(arg.arg_stride),
    ) else {
        return Err(CallError::Invalid);
    };
    if arg.flags != 0
        || count > MAX_ARGS
        || !(size_of::<CallArg>()..=MAX_ARG_STRIDE).contains(&stride)
        || stride % 8 != 0
    {
        return Err(CallError::Invalid);
    }
    Ok((count, stride))
}

/// Reads and classifies the arguments of a call in the new dialect.
#[inline(never)]
fn fetch_new(
    file: &drm::File<Accel>,
    from: u64,
    stride: usize,
    arguments: &mut [Argument],
) -> CallResult<Counts> {
    let mut counts = Counts::default();
    if let Some(mut reader) = open_array(from, arguments.len(), stride)? {
        for argument in arguments {
            let mut raw = CallArg::new_zeroed();
            reader.read_slice(raw.as_mut_bytes())?;
            refuse_extension(&mut reader, stride.saturating_sub(size_of::<CallArg>()))?;
            counts.add(&raw)?;
            *argument = classify_new(file, &raw)?;
        }
    }
    Ok(counts)
}

/// Reads `len` bytes behind an element that this version knows. They must ask for nothing.
#[inline(never)]
fn refuse_extension(reader: &mut UserSliceReader, len: usize) -> CallResult {
    let mut tail = [0; MAX_ARG_STRIDE - size_of::<CallArg>()];
    let tail = tail.get_mut(..len).ok_or(CallError::Invalid)?;
    reader.read_slice(tail)?;
    match tail.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(CallError::TooBig),
    }
}

#[inline(never)]
fn classify_new(file: &drm::File<Accel>, raw: &CallArg) -> CallResult<Argument> {
    if raw.flags != 0 || raw.pad != 0 {
        return Err(CallError::Invalid);
    }
    match raw.kind {
        ARG_INLINE if raw.offset != 0 || raw.handle != 0 || raw.tag != 0 => Err(CallError::Invalid),
        ARG_INLINE if raw.length == 0 => Ok(Argument::Empty),
        ARG_INLINE => inline(file, raw.address, raw.length),
        ARG_BUFFER if raw.address != 0 || raw.tag != 0 => Err(CallError::Invalid),
        ARG_BUFFER => {
            let buffer = buffer::of_handle(file, raw.handle)?;
            buffer.check_range(raw.offset, raw.length)?;
            Ok(match raw.length {
                0 => Argument::Empty,
                len => Argument::Buffer {
                    buffer,
                    start: Start::Offset(raw.offset),
                    len,
                },
            })
        }
        ARG_HANDLE if raw.address != 0 => Err(CallError::Invalid),
        ARG_HANDLE => Ok(Argument::Handle {
            tag: raw.tag,
            buffer: Some(buffer::of_handle(file, raw.handle)?),
            offset: u32::try_from(raw.offset).map_err(|_| CallError::Invalid)?,
            len: u32::try_from(raw.length).map_err(|_| CallError::Invalid)?,
        }),
        _ => Err(CallError::Invalid),
    }
}

/// How many arguments of each class there are.
#[derive(Default)]
struct Counts {
    /// In the order of the classes: in buffers, out buffers, in handles, out handles.
    counts: [usize; 4],
    /// The class of the last argument.
    class: usize,
}

impl Counts {
    /// Counts one more argument. Classes must come in their order.
    fn add(&mut self, raw: &CallArg) -> CallResult {
        let class = match (raw.kind, raw.direction) {
            (ARG_INLINE | ARG_BUFFER, ARG_IN) => 0,
            (ARG_INLINE | ARG_BUFFER, ARG_OUT) => 1,
            (ARG_HANDLE, ARG_IN) => 2,
            (ARG_HANDLE, ARG_OUT) => 3,
            _ => return Err(CallError::Invalid),
        };
        if class < self.class {
            return Err(CallError::Invalid);
        }
        self.class = class;
        let count = self.counts.get_mut(class).ok_or(CallError::Invalid)?;
        *count = count.checked_add(1).ok_or(CallError::Invalid)?;
        Ok(())
    }

    /// The scalars word, if there is one for so many arguments.
    fn scalars(&self, method: u32) -> Option<Scalars> {
        let method = u8::try_from(method).ok()?;
        let [in_bufs, out_bufs, in_handles, out_handles] =
            self.counts.map(|count| u8::try_from(count).ok());
        Scalars::build(method, in_bufs?, out_bufs?, in_handles?, out_handles?)
    }
}
