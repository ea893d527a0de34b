// SPDX-License-Identifier: GPL-2.0
//! The new call with every field wrong in turn: each gives its documented errno and nothing is
//! sent.

use super::*;
use crate::mem::{
    self,
    bytes_of,
    BAD_ADDRESSES, //
};
use crate::raw::{
    ARG_BUFFER,
    ARG_HANDLE,
    ARG_INLINE, //
};

/// A session with a call that is right: one argument of each kind.
struct Right<'a> {
    mem: DspMem<'a>,
    call: NewCall<'a>,
}

impl<'a> Right<'a> {
    fn new(mem: DspMem<'a>, handle: u32, out: &'a mut [u8], input: &'a [u8]) -> Self {
        let call = NewCall::new(dspmem::ARGS)
            .input(input)
            .read(handle, 10, 100)
            .output(out)
            .write(handle, 4096, 100)
            .handle(ARG_IN, handle, 100, 0, 4096)
            .handle(ARG_OUT, handle, 101, 1, 2);
        Right { mem, call }
    }

    fn works(&self) -> Outcome {
        ensure_eq!(self.mem.new_call(&self.call), (0, 0), "the right call");
        Ok(())
    }

    /// The call with one argument changed.
    fn with(&self, index: usize, change: impl FnOnce(&mut Arg)) -> i64 {
        let mut call = self.call.clone();
        change(&mut call.args[index]);
        self.mem.new_call(&call).0
    }

    /// The call with its structure changed.
    fn request(&self, change: impl FnOnce(&mut raw::Call)) -> i64 {
        let mut request = self.call.request(self.mem.handle);
        change(&mut request);
        calls::issue(self.mem.file.raw(), request).0
    }
}

/// Bytes of the records for the right call.
const OUT: usize = 6 * dspmem::RECORD;

/// Runs a body with the right call, which must work before and after; the body must send nothing.
fn with_right(body: impl FnOnce(&Right<'_>) -> Outcome) -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let handle = file.buffer(4 * PAGE)?;
    let input = [3; 50];
    let mut out = [0; OUT];
    let right = Right::new(mem, handle, &mut out, &input);
    right.works()?;
    nothing_sent(|| body(&right))?;
    right.works()
}

pub fn pads_and_flags() -> Outcome {
    with_right(|right| {
        for bit in 0..32 {
            let value = right.request(|request| request.flags = 1 << bit);
            ensure_ret!(value, -libc::EINVAL, "flag bit {bit} of the call");
            for index in 0..right.call.args.len() {
                let value = right.with(index, |arg| arg.flags = 1 << bit);
                ensure_ret!(value, -libc::EINVAL, "flag bit {bit} of argument {index}");
                let value = right.with(index, |arg| arg.pad = 1 << bit);
                ensure_ret!(value, -libc::EINVAL, "pad bit {bit} of argument {index}");
            }
        }
        Ok(())
    })
}

/// Elements further apart than they are long: what lies between must be zero.
pub fn stride() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let handle = file.buffer(4 * PAGE)?;
    let input = [3; 50];
    let mut out = [0; OUT];
    let right = Right::new(mem, handle, &mut out, &input);
    let count = right.call.args.len();
    let spread = |stride: usize| {
        let mut bytes = vec![0u8; count * stride];
        for (n, arg) in right.call.args.iter().enumerate() {
            bytes[n * stride..n * stride + 48].copy_from_slice(bytes_of(arg));
        }
        bytes
    };
    let issue = |bytes: &[u8], stride: usize| {
        right.request(|request| {
            request.args = bytes.as_ptr() as u64;
            request.arg_stride = stride as u32;
        })
    };
    for stride in [48, 56, 64, 96, 504, 512] {
        ensure_ret!(issue(&spread(stride), stride), 0, "stride {stride}");
    }
    nothing_sent(|| {
        for stride in [56, 64, 512] {
            for n in 0..count {
                for at in [48, 55, stride - 1] {
                    let mut bytes = spread(stride);
                    bytes[n * stride + at] = 1;
                    ensure_ret!(
                        issue(&bytes, stride),
                        -libc::E2BIG,
                        "stride {stride}, byte {at} of element {n}"
                    );
                }
            }
        }
        let bytes = spread(512);
        for stride in [0, 1, 8, 24, 40, 47, 49, 52, 63, 513, 516, 520, 1024, 4096] {
            ensure_ret!(issue(&bytes, stride), -libc::EINVAL, "stride {stride}");
        }
        for stride in [1u32 << 31, u32::MAX, u32::MAX - 7, 0x8000_0030] {
            let value = right.request(|request| request.arg_stride = stride);
            ensure_ret!(value, -libc::EINVAL, "stride {stride:#x}");
        }
        // Also without arguments.
        for stride in [0, 47, 520] {
            let value = right.request(|request| {
                request.args = 0;
                request.arg_count = 0;
                request.arg_stride = stride;
            });
            ensure_ret!(value, -libc::EINVAL, "stride {stride} without arguments");
        }
        Ok(())
    })?;
    // The whole of the last element belongs to the array.
    let mut area = mem::Area::new(2)?;
    let bytes = spread(64);
    let at = 2 * PAGE - bytes.len();
    area.bytes()[at..].copy_from_slice(&bytes);
    for over in [0, 1, 16] {
        let value = right.request(|request| {
            request.args = area.start() + at as u64 + over;
            request.arg_stride = 64;
        });
        if over == 0 {
            ensure_ret!(value, 0, "array that ends with its page");
        } else {
            // Which of the three comes first is not said: the elements before the end are shifted.
            ensure_errno!(
                value,
                [libc::EFAULT, libc::EINVAL, libc::E2BIG],
                "array with {over} bytes in the guard page"
            );
        }
    }
    Ok(())
}

/// Methods, counts, kinds and directions that do not exist.
pub fn numbers() -> Outcome {
    with_right(|right| {
        for method in [32, 33, 63, 255, 1 << 24, 1 << 31, u32::MAX] {
            let value = right.request(|request| request.method = method);
            ensure_ret!(value, -libc::EINVAL, "method {method}");
        }
        let many = vec![right.call.args[0]; 600];
        for count in [541, 542, 600, 1 << 16, 1 << 31, u32::MAX] {
            let value = right.request(|request| {
                request.args = many.as_ptr() as u64;
                request.arg_count = count;
            });
            ensure_ret!(value, -libc::EINVAL, "{count} arguments");
        }
        for index in 0..right.call.args.len() {
            for kind in [3, 4, 255, 1 << 16, 1 << 31, u32::MAX] {
                let value = right.with(index, |arg| arg.kind = kind);
                ensure_ret!(value, -libc::EINVAL, "kind {kind} of argument {index}");
            }
            for direction in [2, 3, 255, 1 << 16, 1 << 31, u32::MAX] {
                let value = right.with(index, |arg| arg.direction = direction);
                ensure_ret!(value, -libc::EINVAL, "direction {direction} of {index}");
            }
        }
        Ok(())
    })
}

/// Arguments out of order, and more of a kind than the protocol has room for.
pub fn order() -> Outcome {
    with_right(|right| {
        let args = &right.call.args;
        let buffer = args[1].handle;
        let (into, out) = (args[0], args[2]);
        let (in_handle, out_handle) = (args[4], args[5]);
        let empty = |direction| calls::inline(direction, 0, 0);
        let part = |direction| calls::buffer(direction, buffer, 0, 1);
        let issue = |list: &[Arg]| {
            let mut call = NewCall::new(dspmem::ARGS);
            call.args = list.to_vec();
            right.mem.new_call(&call).0
        };
        let orders: &[&[Arg]] = &[
            &[out, into],
            &[part(ARG_OUT), part(ARG_IN)],
            &[out, part(ARG_IN)],
            &[empty(ARG_OUT), empty(ARG_IN)],
            &[in_handle, into],
            &[in_handle, part(ARG_IN)],
            &[in_handle, out],
            &[in_handle, part(ARG_OUT)],
            &[out_handle, into],
            &[out_handle, out],
            &[out_handle, in_handle],
            &[into, in_handle, out],
            &[into, out, out_handle, in_handle],
            &[out, in_handle, into],
        ];
        for (n, list) in orders.iter().enumerate() {
            ensure_ret!(issue(list), -libc::EINVAL, "order {n}");
        }
        for (what, list) in [
            ("256 inputs", vec![empty(ARG_IN); 256]),
            ("256 outputs", vec![empty(ARG_OUT); 256]),
            ("256 buffers in", vec![part(ARG_IN); 256]),
            ("256 buffers out", vec![part(ARG_OUT); 256]),
            ("16 in handles", vec![in_handle; 16]),
            ("16 out handles", vec![out_handle; 16]),
            ("540 inputs", vec![empty(ARG_IN); 540]),
            ("540 handles", vec![in_handle; 540]),
        ] {
            ensure_ret!(issue(&list), -libc::EINVAL, "{what}");
        }
        Ok(())
    })
}

/// Fields that a kind does not use must be zero.
pub fn unused_fields() -> Outcome {
    with_right(|right| {
        for (index, arg) in right.call.args.iter().enumerate() {
            for bit in 0..64 {
                if arg.kind != ARG_INLINE {
                    let value = right.with(index, |arg| arg.address = 1 << bit);
                    ensure_ret!(value, -libc::EINVAL, "address bit {bit} of {index}");
                } else {
                    let value = right.with(index, |arg| arg.offset = 1 << bit);
                    ensure_ret!(value, -libc::EINVAL, "offset bit {bit} of {index}");
                }
            }
            for bit in 0..32 {
                if arg.kind == ARG_INLINE {
                    let value = right.with(index, |arg| arg.handle = 1 << bit);
                    ensure_ret!(value, -libc::EINVAL, "handle bit {bit} of {index}");
                }
                if arg.kind != ARG_HANDLE {
                    let value = right.with(index, |arg| arg.tag = 1 << bit);
                    ensure_ret!(value, -libc::EINVAL, "tag bit {bit} of {index}");
                }
            }
        }
        Ok(())
    })
}

/// Ranges that are not in their object, on an object that is mapped.
pub fn ranges_refused() -> Outcome {
    with_right(|right| {
        let size = 4 * PAGE as u64;
        let ranges = [
            (0, size + 1),
            (1, size),
            (size, 1),
            (size - 1, 2),
            (size + 1, 1),
            (0, 1 << 31),
            (0, 1 << 32),
            (0, (1 << 32) + 1),
            (1 << 32, 1),
            (1 << 32, 100),
            ((1 << 32) + 1, 100),
            (0, 1 << 63),
            (1 << 63, 1 << 63),
            (u64::MAX, 1),
            (1, u64::MAX),
            (u64::MAX, u64::MAX),
            (u64::MAX - 99, 100),
        ];
        for index in [1, 3, 4, 5] {
            for (offset, length) in ranges {
                let value = right.with(index, |arg| {
                    arg.offset = offset;
                    arg.length = length;
                });
                ensure_ret!(
                    value,
                    -libc::EINVAL,
                    "argument {index}: {length:#x} at {offset:#x}"
                );
            }
        }
        // A handle that begins behind the object is outside of it, also when it is empty.
        for index in [4, 5] {
            for offset in [size + 1, 1 << 31, 1 << 32, u64::MAX] {
                let value = right.with(index, |arg| {
                    arg.offset = offset;
                    arg.length = 0;
                });
                ensure_ret!(value, -libc::EINVAL, "empty handle at {offset:#x}");
            }
        }
        Ok(())
    })
}

/// Objects that are not the caller's.
pub fn objects() -> Outcome {
    let other = File::open(CDSP)?;
    let mut foreign = 0;
    // A number that the file under test does not have.
    for _ in 0..20 {
        foreign = other.buffer(PAGE)?;
    }
    with_right(|right| {
        for index in [1, 3, 4, 5] {
            for handle in [0, foreign, 77, 1 << 31, u32::MAX] {
                let value = right.with(index, |arg| arg.handle = handle);
                ensure_ret!(value, -libc::ENOENT, "object {handle} of argument {index}");
            }
        }
        let gone = right.mem.file.buffer(PAGE)?;
        right.mem.file.close(gone)?;
        for index in [1, 3, 4, 5] {
            let value = right.with(index, |arg| {
                arg.handle = gone;
                arg.offset = 0;
                arg.length = 1;
            });
            ensure_ret!(value, -libc::ENOENT, "closed object of argument {index}");
        }
        Ok(())
    })
}

/// Addresses that are not the caller's; and none where none is needed.
pub fn addresses() -> Outcome {
    with_right(|right| {
        let file = right.mem.file.raw();
        for &address in BAD_ADDRESSES {
            let value = raw::ioctl(file, raw::CALL, address);
            ensure_ret!(value, -libc::EFAULT, "structure at {address:#x}");
            let value = right.request(|request| request.args = address);
            ensure_ret!(value, -libc::EFAULT, "array at {address:#x}");
            let value = right.with(0, |arg| arg.address = address);
            ensure_ret!(value, -libc::EFAULT, "input at {address:#x}");
        }
        let value = right.request(|request| {
            request.args = 0;
            request.arg_count = 1;
        });
        ensure_ret!(value, -libc::EFAULT, "one argument and no array");
        Ok(())
    })?;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for &address in BAD_ADDRESSES {
        // An output fails after the DSP has worked.
        let mut call = NewCall::new(2).input(&[1; 16]);
        call = call.arg(calls::inline(ARG_OUT, address, 16));
        ensure_ret!(
            call.on(file.raw(), echo).0,
            -libc::EFAULT,
            "output at {address:#x}"
        );
        let mut request = NewCall::new(2).request(echo);
        request.args = address;
        ensure_eq!(
            calls::issue(file.raw(), request),
            (0, 0),
            "no arguments, array at {address:#x}"
        );
        let call = NewCall::new(2)
            .arg(calls::inline(ARG_IN, address, 0))
            .arg(calls::inline(ARG_OUT, address, 0));
        ensure_eq!(
            call.on(file.raw(), echo),
            (0, 0),
            "empty arguments at {address:#x}"
        );
    }
    // The result is written to memory that cannot be written.
    let area = mem::Area::new(1)?;
    let request = NewCall::new(2).request(echo);
    // SAFETY: The area is one page of this process.
    unsafe { (area.start() as *mut raw::Call).write(request) };
    area.read_only()?;
    let value = raw::ioctl(file.raw(), raw::CALL, area.start());
    ensure_ret!(value, -libc::EFAULT, "structure in a read-only page");
    file.still_works()
}

/// Structures that are shorter or longer than the known one.
pub fn sizes() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let request = NewCall::new(2).request(echo);
    let mut area = mem::Area::new(1)?;
    for size in [36u32, 40, 48, 104] {
        let at = PAGE - size as usize;
        area.bytes().fill(0x5a);
        let bytes = bytes_of(&request);
        let count = bytes.len().min(size as usize);
        area.bytes()[at..at + count].copy_from_slice(&bytes[..count]);
        let code = raw::resized(raw::CALL, size);
        let value = raw::ioctl(file.raw(), code, area.start() + at as u64);
        ensure_ret!(value, 0, "structure of {size} bytes");
        let got = area.bytes();
        ensure!(
            got[..at].iter().all(|&byte| byte == 0x5a),
            "structure of {size} bytes: written before it"
        );
        if size >= 40 {
            ensure_eq!(dsp::u32_at(got, at + 36), 0, "result, {size} bytes");
            ensure!(
                got[at + 40..].iter().all(|&byte| byte == 0x5a),
                "structure of {size} bytes: written behind it"
            );
        }
        let value = raw::ioctl(file.raw(), code, area.start() + at as u64 + 1);
        ensure_ret!(value, -libc::EFAULT, "{size} bytes across the end");
    }
    // Cut off before the stride: 0 is no stride.
    let code = raw::resized(raw::CALL, 24);
    let value = raw::ioctl(file.raw(), code, &raw const request as u64);
    ensure_ret!(value, -libc::EINVAL, "structure of 24 bytes");
    file.still_works()
}

/// Another thread changes the array while calls read it: each call sees one version or fails.
pub fn array_changes() -> Outcome {
    use std::sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
    };
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let base = mem.new_arg(one.handle, 0, 4 * PAGE as u64)?.page;
    let mut out = vec![0; 2 * dspmem::RECORD];
    let mut args = vec![
        calls::buffer(ARG_IN, one.handle, 0, PAGE as u64),
        calls::inline(ARG_OUT, out.as_mut_ptr() as u64, out.len() as u64),
    ];
    let at = args.as_mut_ptr();
    let request = || {
        let mut request = NewCall::new(dspmem::ARGS).request(mem.handle);
        request.args = at as u64;
        request.arg_count = 2;
        request
    };
    // SAFETY: The element lives until the end of this function; only the kernel and the two
    // threads below touch it from here on, through atomics.
    let field = |offset: usize| unsafe { AtomicU64::from_ptr(at.cast::<u64>().add(offset)) };
    // Offset, length, and kind with direction.
    let (offset, length, kind) = (field(1), field(2), field(3));
    let stop = AtomicBool::new(false);
    let mut seen = [0u32; 3];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0u64;
            while !stop.load(Ordering::Relaxed) {
                offset.store(
                    [0, 3 * PAGE as u64, u64::MAX][round as usize % 3],
                    Ordering::Relaxed,
                );
                length.store(
                    [4096, 16_384, 1 << 40][round as usize % 3],
                    Ordering::Relaxed,
                );
                // Now and then a kind that does not exist.
                let value = if round % 64 == 0 {
                    9
                } else {
                    u64::from(ARG_BUFFER)
                };
                kind.store(value, Ordering::Relaxed);
                round += 1;
            }
        });
        let mut result: Outcome = Ok(());
        for round in 0..2000 {
            let index = match calls::issue(file.raw(), request()) {
                (0, 0) => {
                    let record = Record::nth(std::hint::black_box(&out), 0);
                    let start = record.address().wrapping_sub(base);
                    let inside = record.length <= 16_384 && start + record.length <= 16_384;
                    let pages = record.size >= record.length && record.page >= base;
                    if !inside || !pages {
                        result =
                            Err(format!("round {round}: the DSP was given {record:x?}").into());
                        break;
                    }
                    usize::from(record.length > 4096)
                }
                (value, _) if value == -i64::from(libc::EINVAL) => 2,
                (value, got) => {
                    let value = raw::show(value);
                    result = Err(format!("round {round} gave {value}, {got:#x}").into());
                    break;
                }
            };
            seen[index] += 1;
        }
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    println!("short, long, refused: {seen:?}");
    ensure!(
        seen[2] > 0 && seen[0] + seen[1] > 0,
        "the race never changed anything: {seen:?}"
    );
    drop(args);
    file.still_works()
}

/// Handles of the kernel, and calls without a process.
pub fn kernel_handles() -> Outcome {
    with_right(|right| {
        for handle in [1, 2] {
            for method in 0..32 {
                let value = right.request(|request| {
                    request.handle = handle;
                    request.method = method;
                });
                ensure_ret!(value, -libc::EPERM, "handle {handle}, method {method}");
            }
        }
        let fresh = File::open(CDSP)?;
        let value = NewCall::new(2).on(fresh.raw(), right.mem.handle).0;
        ensure_ret!(value, -libc::ENOTCONN, "call without a process");
        Ok(())
    })
}
