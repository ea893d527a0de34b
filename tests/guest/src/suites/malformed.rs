// SPDX-License-Identifier: GPL-2.0
//! Requests that no sane client makes. Each must give its documented errno, reach the DSP never,
//! and leave no line in the log.

use std::os::fd::AsRawFd;

use super::CDSP;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::harness::{
    case,
    Outcome,
    Suite, //
};
use crate::kmsg::Log;
use crate::mem::{
    bytes_of,
    Area,
    BAD_ADDRESSES,
    PAGE, //
};
use crate::raw::{
    self,
    Create,
    Elem,
    Invoke,
    Query, //
};
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_errno,
    ensure_ret, //
};

pub const SUITE: Suite = Suite {
    name: "malformed",
    restore: None,
    cases: &[
        case("unknown_numbers", "T18, T152, T154, T173", || {
            quietly(unknown_numbers)
        }),
        case("later_numbers", "T152, T173", || quietly(later_numbers)),
        case("other_types", "T152, T173", || quietly(other_types)),
        case("generic_drm", "T152, T173, T174", || quietly(generic_drm)),
        case("structure_sizes", "T19", || quietly(structure_sizes)),
        case("directions", "T19", || quietly(directions)),
        case("argument_pointer", "T2, T173", || quietly(argument_pointer)),
        case("invoke_structure_at_edge", "T2, T5", || {
            quietly(invoke_structure_at_edge)
        }),
        case("array_at_edge", "T2, T5, T11", || quietly(array_at_edge)),
        case("data_pointers", "T2, T23, T173", || quietly(data_pointers)),
        case("data_at_edge", "T2, T5", || quietly(data_at_edge)),
        case("shell_pointer", "T2, T66", || quietly(shell_pointer)),
        case("read_only_output", "T2, T23", || quietly(read_only_output)),
        case("lengths", "T4, T5, T6", || quietly(lengths)),
        case("total_size", "T6", || quietly(total_size)),
        case("descriptors", "T3, T152", || quietly(descriptors)),
        case("handle_arguments", "T13, T152", || {
            quietly(handle_arguments)
        }),
        case("most_arguments", "T6, T21", || quietly(most_arguments)),
        case("kernel_handle", "T107, T173", || quietly(kernel_handle)),
        case("handles_and_methods", "T107, T173", || {
            quietly(handles_and_methods)
        }),
        case("array_changes_during_call", "T15", || {
            quietly(array_changes)
        }),
        case("random_requests", "T173, T174", || quietly(random_requests)).limit(120),
    ],
};

/// Runs a body and checks that a normal call still works and that the log has no new warning.
fn quietly(body: fn() -> Outcome) -> Outcome {
    let mut log = Log::from_now()?;
    body()?;
    File::with_process(CDSP)?.still_works()?;
    for record in log.read()? {
        ensure!(
            !record.is_kernel() || record.level() > 4,
            "the log got a line of level {}: {}",
            record.level(),
            record.text
        );
    }
    Ok(())
}

/// Runs a body and checks that the DSP got no request meanwhile.
fn nothing_sent(body: impl FnOnce() -> Outcome) -> Outcome {
    let before = sim::counter("requests")?;
    body()?;
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests seen by the DSP"
    );
    Ok(())
}

/// A file in each of the two states.
fn both_states() -> Result<[(&'static str, File); 2], crate::harness::Fail> {
    Ok([
        ("new file", File::open(CDSP)?),
        ("live session", File::with_process(CDSP)?),
    ])
}

/// The errors of a number that means nothing to a driver or that it does not serve.
macro_rules! ensure_refused {
    ($value:expr, $($text:tt)+) => {
        ensure_errno!(
            $value,
            [
                libc::EINVAL, libc::ENOTTY, libc::EOPNOTSUPP, libc::ENOSYS, libc::EACCES,
                libc::EPERM, libc::ENOENT, libc::EBADF
            ],
            $($text)+
        )
    };
}

fn unknown_numbers() -> Outcome {
    for (state, file) in both_states()? {
        nothing_sent(|| {
            for nr in 0x48..=0xffu32 {
                for size in [0, 8, 16, 24, 48, 200, 4096, 0x3fff] {
                    for dir in [0, 1, 2, 3] {
                        let mut block = vec![0u8; 0x4000];
                        let code = raw::code(dir, b'd', nr as u8, size);
                        let value = raw::ioctl(file.raw(), code, block.as_mut_ptr() as u64);
                        if nr == 0xd1 && value == 0 {
                            // SET_CLIENT_NAME: no name is a valid name.
                            continue;
                        }
                        if nr < 0xa0 {
                            ensure_ret!(value, -libc::EINVAL, "{code:#x} on a {state}");
                        } else {
                            ensure_refused!(value, "{code:#x} on a {state}");
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Numbers that are reserved for later: the documented error, in both states, with any content.
fn later_numbers() -> Outcome {
    for (state, file) in both_states()? {
        nothing_sent(|| {
            for code in [0xC010_6441, 0xC010_6442, 0xC030_6445, 0xC020_6446u32] {
                for fill in [0u8, 1, 0x7f, 0xff] {
                    let mut block = vec![fill; 64];
                    let value = raw::ioctl(file.raw(), code, block.as_mut_ptr() as u64);
                    ensure_ret!(
                        value,
                        -libc::EINVAL,
                        "{code:#x} filled with {fill} on a {state}"
                    );
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Ioctls of other types than DRM's, those of the old interface among them.
fn other_types() -> Outcome {
    let file = File::with_process(CDSP)?;
    nothing_sent(|| {
        let mut block = vec![0u8; 4096];
        let at = block.as_mut_ptr() as u64;
        for code in [
            0xC010_5203,
            0x5204,
            0xC018_5205,
            0x5401,
            0xC010_6447 ^ 0x0100,
            0,
            u32::MAX,
        ] {
            ensure_refused!(raw::ioctl(file.raw(), code, at), "{code:#x}");
        }
        Ok(())
    })
}

/// DRM's own ioctls: those that are harmless work, the rest fails cleanly.
fn generic_drm() -> Outcome {
    let file = File::with_process(CDSP)?;
    // VERSION: three lengths and pointers behind three numbers.
    let mut name = [0u8; 16];
    let mut version = [0u64; 8];
    version[2] = name.len() as u64;
    version[3] = name.as_mut_ptr() as u64;
    let code = raw::code(3, b'd', 0x00, 64);
    let value = raw::ioctl(file.raw(), code, version.as_mut_ptr() as u64);
    ensure_ret!(value, 0, "VERSION");
    ensure_eq!(&name[..4], b"qda\0", "name of the driver");

    nothing_sent(|| {
        // GEM_CLOSE and GEM_FLINK of a handle that does not exist, GEM_OPEN of a name that does
        // not, PRIME with a handle and a descriptor that do not.
        let mut close = [77u32, 0];
        let value = raw::ioctl(
            file.raw(),
            raw::code(1, b'd', 0x09, 8),
            close.as_mut_ptr() as u64,
        );
        ensure_refused!(value, "GEM_CLOSE");
        let mut flink = [77u32, 0];
        let value = raw::ioctl(
            file.raw(),
            raw::code(3, b'd', 0x0a, 8),
            flink.as_mut_ptr() as u64,
        );
        ensure_refused!(value, "GEM_FLINK");
        let mut open = [1u64, 0];
        let value = raw::ioctl(
            file.raw(),
            raw::code(3, b'd', 0x0b, 16),
            open.as_mut_ptr() as u64,
        );
        ensure_refused!(value, "GEM_OPEN");
        let mut export = [77u32, 0, u32::MAX];
        let value = raw::ioctl(
            file.raw(),
            raw::code(3, b'd', 0x2d, 12),
            export.as_mut_ptr() as u64,
        );
        ensure_refused!(value, "PRIME_HANDLE_TO_FD");
        for fd in [-1, 0, 1, file.raw(), 9999, i32::MIN] {
            let mut import = [0u32, 0, fd as u32];
            let code = raw::code(3, b'd', 0x2e, 12);
            let value = raw::ioctl(file.raw(), code, import.as_mut_ptr() as u64);
            ensure_refused!(value, "PRIME_FD_TO_HANDLE of {fd}");
        }
        // Everything below the driver's range with an empty argument must at least come back.
        for nr in 0..0x40u32 {
            let mut block = vec![0u8; 256];
            let code = raw::code(3, b'd', nr as u8, 64);
            let value = raw::ioctl(file.raw(), code, block.as_mut_ptr() as u64);
            ensure!(
                (-4095..=0).contains(&value),
                "number {nr:#x} gave {}",
                raw::show(value)
            );
        }
        Ok(())
    })?;
    // A mapping of the node itself has no object behind it.
    for offset in [0, 1 << 28, 1 << 40] {
        // SAFETY: A new mapping at an address that the kernel chooses.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.raw(),
                offset,
            )
        };
        ensure!(
            mapped == libc::MAP_FAILED,
            "mmap of the node at {offset:#x} worked"
        );
    }
    // There are no events to read, now or ever.
    let node = dsp::node(CDSP)?;
    let other = dsp::open_with(
        &node.path,
        libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
    )
    .map_err(|errno| format!("open: errno {errno}"))?;
    let mut bytes = [0u8; 64];
    // SAFETY: There is room for all bytes.
    let read = unsafe { libc::read(other.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    ensure!(read <= 0, "read() gave {read} bytes");
    file.still_works()
}

/// A smaller structure is completed with zeros, a larger one copied back; neither side ever goes
/// beyond the caller's memory.
fn structure_sizes() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let mut area = Area::new(1)?;
    for (less, size) in [(8, 8u32), (0, 16), (0, 24), (0, 80)] {
        let invoke = Invoke {
            handle: echo,
            sc: raw::scalars(2, 0, 0, 0, 0),
            args: 0,
        };
        let size_used = size as usize;
        let bytes = bytes_of(&invoke);
        let at = PAGE - size_used;
        area.bytes().fill(0x5a);
        let count = bytes.len() - less;
        area.bytes()[at..at + count].copy_from_slice(&bytes[..count]);
        let before = area.bytes().to_vec();
        let code = raw::resized(raw::INVOKE, size);
        let value = raw::ioctl(file.raw(), code, area.start() + at as u64);
        ensure_ret!(value, 0, "invoke with {size} bytes at the end of a page");
        dsp::same(&before, area.bytes()).map_err(|why| format!("invoke, {size} bytes: {why}"))?;
        // The same structure, but reaching one byte into the guard page.
        let value = raw::ioctl(file.raw(), code, area.start() + at as u64 + 1);
        ensure_ret!(
            value,
            -libc::EFAULT,
            "invoke with {size} bytes across the end"
        );
    }
    // Without the pointer there are no arguments, whatever sc says.
    let invoke = Invoke {
        handle: echo,
        sc: raw::scalars(2, 1, 1, 0, 0),
        args: area.start(),
    };
    let value = raw::ioctl(
        file.raw(),
        raw::resized(raw::INVOKE, 8),
        &raw const invoke as u64,
    );
    ensure_ret!(value, -libc::EFAULT, "invoke cut off before its pointer");

    for size in [1u32, 4, 5, 8, 15, 16, 17, 24, 80] {
        let at = PAGE - size as usize;
        area.bytes().fill(0x5a);
        let code = raw::resized(raw::QUERY, size);
        let value = raw::ioctl(file.raw(), code, area.start() + at as u64);
        ensure_ret!(value, 0, "query with {size} bytes");
        let mut expected = vec![0u8; size as usize];
        for (to, from) in expected.iter_mut().zip(b"cdsp") {
            *to = *from;
        }
        let got = area.bytes();
        ensure!(
            got[at..].starts_with(&expected[..expected.len().min(16)]),
            "query with {size} bytes: {:?}",
            &got[at..]
        );
        ensure!(
            got[..at].iter().all(|&byte| byte == 0x5a),
            "query with {size} bytes wrote before its structure"
        );
        let value = raw::ioctl(file.raw(), code, area.end() - u64::from(size) + 1);
        ensure_ret!(
            value,
            -libc::EFAULT,
            "query with {size} bytes across the end"
        );
    }

    // A create of 16 bytes has no shell address, one of 88 has more than the driver knows.
    for (size, filelen, expected) in [(16u32, 0, 0), (88, 0, 0), (16, 4096, -libc::EFAULT)] {
        let create = Create {
            filelen,
            filefd: -1,
            attrs: dsp::UNSIGNED,
            ..Create::default()
        };
        area.bytes().fill(0);
        let at = PAGE - size as usize;
        let bytes = bytes_of(&create);
        let count = bytes.len().min(size as usize);
        area.bytes()[at..at + count].copy_from_slice(&bytes[..count]);
        let file = File::open(CDSP)?;
        let code = raw::resized(raw::SESSION_CREATE, size);
        let value = raw::ioctl(file.raw(), code, area.start() + at as u64);
        ensure_ret!(
            value,
            expected,
            "create of {size} bytes, shell of {filelen}"
        );
    }
    // An attach that claims to have an argument: nothing is read from it or written to it.
    let file = File::open(CDSP)?;
    let code = raw::code(3, b'd', 0x43, 16);
    ensure_ret!(
        raw::ioctl(file.raw(), code, 8),
        0,
        "attach with an argument that is not used"
    );
    file.still_works()
}

/// The direction bits of the caller's code decide what is copied, not what is called.
fn directions() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for dir in 0..4 {
        let mut query = Query {
            dsp_name: [0x5a; 16],
        };
        let code = raw::code(dir, b'd', 0x40, 16);
        let value = raw::ioctl(file.raw(), code, &raw mut query as u64);
        ensure_ret!(value, 0, "query with direction {dir}");
        let written = query.dsp_name.starts_with(b"cdsp\0");
        ensure_eq!(
            written,
            dir & 2 != 0,
            "query with direction {dir} wrote the name"
        );

        // Without the write bit the kernel sees zeros: handle 0 of the loader, method 0.
        let invoke = Invoke {
            handle: echo,
            sc: raw::scalars(2, 0, 0, 0, 0),
            args: 0,
        };
        let code = raw::code(dir, b'd', 0x47, 16);
        let value = raw::ioctl(file.raw(), code, &raw const invoke as u64);
        if dir & 1 != 0 {
            ensure_ret!(value, 0, "invoke with direction {dir}");
        } else {
            ensure!(
                value != 0 && value < 0,
                "invoke with direction {dir}: {}",
                raw::show(value)
            );
        }
    }
    Ok(())
}

/// The structure itself at addresses that are not the caller's.
fn argument_pointer() -> Outcome {
    for (state, file) in both_states()? {
        nothing_sent(|| {
            for &address in BAD_ADDRESSES {
                for code in [raw::QUERY, raw::SESSION_CREATE, raw::INVOKE] {
                    let value = raw::ioctl(file.raw(), code, address);
                    ensure_ret!(
                        value,
                        -libc::EFAULT,
                        "{code:#x} at {address:#x} on a {state}"
                    );
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn invoke_structure_at_edge() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let mut area = Area::new(1)?;
    let invoke = Invoke {
        handle: echo,
        sc: raw::scalars(2, 0, 0, 0, 0),
        args: 0,
    };
    for missing in 0..=16 {
        let at = PAGE - 16 + missing;
        let bytes = bytes_of(&invoke);
        area.bytes()[at..].copy_from_slice(&bytes[..16 - missing]);
        let value = raw::ioctl(file.raw(), raw::INVOKE, area.start() + at as u64);
        let expected = if missing == 0 { 0 } else { -libc::EFAULT };
        ensure_ret!(
            value,
            expected,
            "structure with {missing} bytes in the guard page"
        );
    }
    Ok(())
}

/// The argument array: at bad addresses, half in a guard page, too short for its scalars.
fn array_at_edge() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let data = dsp::pattern(64, 1);
    let mut back = vec![0u8; 64];
    let elems = [
        Elem::inline(data.as_ptr() as u64, 64),
        Elem::inline(back.as_mut_ptr() as u64, 64),
    ];
    let sc = raw::scalars(2, 1, 1, 0, 0);
    let call = |sc, args| {
        let invoke = Invoke {
            handle: echo,
            sc,
            args,
        };
        raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64)
    };
    nothing_sent(|| {
        for &address in BAD_ADDRESSES {
            ensure_ret!(call(sc, address), -libc::EFAULT, "array at {address:#x}");
            let many = raw::scalars(2, 255, 255, 0, 0);
            ensure_ret!(
                call(many, address),
                -libc::EFAULT,
                "510 elements at {address:#x}"
            );
        }
        Ok(())
    })?;
    let mut area = Area::new(1)?;
    let bytes: Vec<u8> = elems
        .iter()
        .flat_map(|elem| bytes_of(elem).to_vec())
        .collect();
    for missing in 0..=48 {
        let at = PAGE - 48 + missing;
        area.bytes()[at..].copy_from_slice(&bytes[..48 - missing]);
        let before = sim::counter("requests")?;
        let value = call(sc, area.start() + at as u64);
        if missing == 0 {
            ensure_ret!(value, 0, "array that ends with its page");
            dsp::same(&data, std::hint::black_box(&back))?;
        } else {
            ensure_ret!(
                value,
                -libc::EFAULT,
                "array with {missing} bytes in the guard page"
            );
            ensure_eq!(sim::counter("requests")?, before, "requests");
        }
    }
    // Scalars that promise more elements than there are before the guard page.
    area.bytes()[PAGE - 48..].copy_from_slice(&bytes);
    let at = area.end() - 48;
    nothing_sent(|| {
        for (ins, outs, in_handles, out_handles) in [
            (2, 1, 0, 0),
            (1, 2, 0, 0),
            (1, 1, 1, 0),
            (1, 1, 0, 1),
            (255, 255, 15, 15),
            (255, 0, 0, 0),
            (0, 0, 15, 15),
        ] {
            let sc = raw::scalars(2, ins, outs, in_handles, out_handles);
            let value = call(sc, at);
            if in_handles + out_handles == 0 {
                ensure_ret!(value, -libc::EFAULT, "scalars {sc:#x} with two elements");
            } else {
                // Handle arguments may be refused before the array is read.
                ensure_errno!(
                    value,
                    [libc::EFAULT, libc::EOPNOTSUPP],
                    "scalars {sc:#x} with two elements"
                );
            }
        }
        Ok(())
    })
}

/// Data of arguments at bad addresses. An input fails before anything is sent, an output after.
fn data_pointers() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let data = dsp::pattern(100, 2);
    nothing_sent(|| {
        for &address in BAD_ADDRESSES {
            for size in [1, 100, 4096, 1 << 20] {
                let mut back = vec![0; 100];
                let value = Call::new(2)
                    .input(&data)
                    .input_at(address, size)
                    .output(&mut back)
                    .output_at(back_room(size), size)
                    .on(file.raw(), echo);
                ensure_ret!(
                    value,
                    -libc::EFAULT,
                    "input of {size} bytes at {address:#x}"
                );
            }
        }
        Ok(())
    })?;
    for &address in BAD_ADDRESSES {
        let value = Call::new(2)
            .input(&data)
            .output_at(address, 100)
            .on(file.raw(), echo);
        ensure_ret!(value, -libc::EFAULT, "output at {address:#x}");
        file.echo(echo, &data)?;
    }
    Ok(())
}

/// Address of memory that is large enough for any output here; it lives as long as the process.
fn back_room(size: u64) -> u64 {
    vec![0u8; size as usize].leak().as_mut_ptr() as u64
}

fn data_at_edge() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let mut source = Area::new(2)?;
    let mut target = Area::new(2)?;
    let data = dsp::pattern(2 * PAGE, 3);
    source.bytes().copy_from_slice(&data);
    for size in [1u64, 100, 4096, 8192] {
        for over in [0u64, 1, 50, 4096] {
            let from = source.end() - size;
            let to = target.end() - size;
            target.bytes().fill(0);
            // Both ranges end with their pages when nothing is over.
            let value = Call::new(2)
                .input_at(from, size + over)
                .output_at(back_room(size + over), size + over)
                .on(file.raw(), echo);
            let expected = if over == 0 { 0 } else { -libc::EFAULT };
            ensure_ret!(value, expected, "input of {size} and {over} bytes");
            let value = Call::new(2)
                .input(&vec![7; (size + over) as usize])
                .output_at(to, size + over)
                .on(file.raw(), echo);
            ensure_ret!(value, expected, "output of {size} and {over} bytes");
        }
    }
    Ok(())
}

fn shell_pointer() -> Outcome {
    let mut area = Area::new(1)?;
    area.bytes().fill(1);
    let file = File::open(CDSP)?;
    nothing_sent(|| {
        for &address in BAD_ADDRESSES {
            for filelen in [1, 4096, 4 << 20] {
                let value = file.create_with(Create {
                    filelen,
                    filefd: -1,
                    attrs: dsp::UNSIGNED,
                    siglen: 0,
                    file: address,
                });
                ensure_ret!(
                    value,
                    -libc::EFAULT,
                    "{filelen} bytes of shell at {address:#x}"
                );
            }
        }
        for over in [1, 100, 4096] {
            let value = file.create_with(Create {
                filelen: 100 + over,
                filefd: -1,
                attrs: dsp::UNSIGNED,
                siglen: 0,
                file: area.end() - 100,
            });
            ensure_ret!(
                value,
                -libc::EFAULT,
                "shell with {over} bytes in the guard page"
            );
        }
        Ok(())
    })?;
    file.created()?.still_works()
}

fn read_only_output() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let area = Area::new(1)?;
    area.read_only()?;
    let data = dsp::pattern(100, 2);
    for _ in 0..50 {
        let value = Call::new(2)
            .input(&data)
            .output_at(area.start(), 100)
            .on(file.raw(), echo);
        ensure_ret!(value, -libc::EFAULT, "output in a read-only page");
    }
    // As an input the page is fine, and so is memory of the program itself that is read-only.
    let mut back = [0xff; 100];
    let value = Call::new(2)
        .input_at(area.start(), 100)
        .output(&mut back)
        .on(file.raw(), echo);
    ensure_ret!(value, 0, "input from a read-only page");
    ensure!(
        back.iter().all(|&byte| byte == 0),
        "wrong bytes from a read-only page"
    );
    Ok(())
}

/// Lengths that are too large, that lose their upper half in 32 bits, that wrap with the address.
fn lengths() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let data = dsp::pattern(4096, 8);
    let at = data.as_ptr() as u64;
    let huge = [
        (64 << 20) + 1,
        (1 << 31) - 1,
        1 << 31,
        (1 << 31) + 1,
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 100,
        1 << 33,
        1 << 48,
        1 << 62,
        1 << 63,
        (1 << 63) + 100,
        u64::MAX - 4095,
        u64::MAX - 127,
        u64::MAX - 1,
        u64::MAX,
        at.wrapping_neg(),
        at.wrapping_neg() + 1,
        at.wrapping_neg() + 100,
    ];
    nothing_sent(|| {
        for length in huge {
            let value = Call::new(2).input_at(at, length).on(file.raw(), echo);
            ensure_errno!(
                value,
                [libc::E2BIG, libc::EINVAL],
                "input of {length:#x} bytes"
            );
            let value = Call::new(2).output_at(at, length).on(file.raw(), echo);
            ensure_errno!(
                value,
                [libc::E2BIG, libc::EINVAL],
                "output of {length:#x} bytes"
            );
            // Two lengths whose sum wraps to something small.
            let value = Call::new(2)
                .input_at(at, length)
                .output_at(at, 100u64.wrapping_sub(length))
                .on(file.raw(), echo);
            ensure_errno!(
                value,
                [libc::E2BIG, libc::EINVAL],
                "lengths {length:#x} and the rest"
            );
        }
        Ok(())
    })
}

/// The limit on inline bytes is on the sum of a call.
fn total_size() -> Outcome {
    const LIMIT: u64 = 64 << 20;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let block = vec![0x11u8; 1 << 20];
    let at = block.as_ptr() as u64;
    nothing_sent(|| {
        for (count, size) in [(65, 1 << 20), (255, 1 << 20), (255, 270_000)] {
            let mut call = Call::new(2);
            for _ in 0..count {
                call = call.input_at(at, size);
            }
            ensure_ret!(
                call.on(file.raw(), echo),
                -libc::E2BIG,
                "{count} times {size} bytes"
            );
        }
        let value = Call::new(2)
            .input_at(at, LIMIT / 2)
            .output_at(at, LIMIT / 2 + 1)
            .on(file.raw(), echo);
        ensure_ret!(
            value,
            -libc::E2BIG,
            "one byte too many in both directions together"
        );
        Ok(())
    })?;
    // Half of the limit works, if memory is at hand.
    let mut call = Call::new(2);
    let room = back_room(1 << 20);
    for _ in 0..16 {
        call = call.input_at(at, 1 << 20).output_at(room, 1 << 20);
    }
    ensure_ret!(call.on(file.raw(), echo), 0, "half of the limit");
    Ok(())
}

/// Descriptor numbers of buffer arguments.
fn descriptors() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let data = dsp::pattern(200, 6);
    let call = |in_fd, out_fd| {
        let mut back = vec![0u8; 200];
        let mut elems = [
            Elem::inline(data.as_ptr() as u64, 200),
            Elem::inline(back.as_mut_ptr() as u64, 200),
        ];
        elems[0].fd = in_fd;
        elems[1].fd = out_fd;
        let invoke = Invoke {
            handle: echo,
            sc: raw::scalars(2, 1, 1, 0, 0),
            args: elems.as_ptr() as u64,
        };
        let value = raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64);
        (value, back)
    };
    for fds in [(-1, -1), (0, 0), (-1, 0), (0, -1)] {
        let (value, back) = call(fds.0, fds.1);
        ensure_ret!(value, 0, "descriptors {fds:?}");
        dsp::same(&data, &back)?;
    }
    nothing_sent(|| {
        for fd in [-2, -3, -100, -4096, i32::MIN, i32::MIN + 1] {
            ensure_ret!(call(fd, -1).0, -libc::EINVAL, "descriptor {fd} of an input");
            ensure_ret!(
                call(-1, fd).0,
                -libc::EINVAL,
                "descriptor {fd} of an output"
            );
        }
        for fd in [1, 2, 5, file.raw(), 1000, i32::MAX] {
            ensure_ret!(
                call(fd, -1).0,
                -libc::EOPNOTSUPP,
                "descriptor {fd} of an input"
            );
            ensure_ret!(
                call(-1, fd).0,
                -libc::EOPNOTSUPP,
                "descriptor {fd} of an output"
            );
        }
        Ok(())
    })
}

fn handle_arguments() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    nothing_sent(|| {
        for (in_handles, out_handles) in [(1, 0), (0, 1), (15, 0), (0, 15), (15, 15)] {
            for fd in [-1, 0, 5] {
                let elems = vec![
                    Elem {
                        ptr: 0,
                        length: 4096,
                        fd,
                        attr: 0
                    };
                    in_handles + out_handles
                ];
                let invoke = Invoke {
                    handle: echo,
                    sc: raw::scalars(5, 0, 0, in_handles, out_handles),
                    args: elems.as_ptr() as u64,
                };
                let value = raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64);
                ensure_ret!(
                    value,
                    -libc::EOPNOTSUPP,
                    "{in_handles} + {out_handles} handles with descriptor {fd}"
                );
            }
        }
        Ok(())
    })
}

/// The largest number of arguments, in every method, with all possible sizes of zero.
fn most_arguments() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for method in 0..32 {
        let elems = vec![Elem::inline(0, 0); 510];
        let invoke = Invoke {
            handle: echo,
            sc: raw::scalars(method, 255, 255, 0, 0),
            args: elems.as_ptr() as u64,
        };
        // Methods that the module does not have are the DSP's business; parking is left out.
        if method == 4 {
            continue;
        }
        let value = raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64);
        if method == 2 {
            ensure_ret!(value, 0, "510 empty arguments");
        } else {
            ensure!(
                !(-4095..0).contains(&value),
                "method {method}: {}",
                raw::show(value)
            );
        }
    }
    Ok(())
}

/// The process manager is the kernel's, in any state, with any arguments.
fn kernel_handle() -> Outcome {
    for (state, file) in both_states()? {
        nothing_sent(|| {
            for method in 0..32 {
                let value = Call::new(method).on(file.raw(), 1);
                ensure_ret!(
                    value,
                    -libc::EPERM,
                    "handle 1, method {method}, on a {state}"
                );
                let id = 1u32.to_le_bytes();
                let value = Call::new(method).input(&id).on(file.raw(), 1);
                ensure_ret!(
                    value,
                    -libc::EPERM,
                    "handle 1, method {method}, on a {state}"
                );
            }
            // The answer is the same when the arguments are wrong, too.
            for sc in [0xffff_ffff, 0xe100_0000, 0x0102_0300] {
                let invoke = Invoke {
                    handle: 1,
                    sc,
                    args: 8,
                };
                let value = raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64);
                ensure_ret!(
                    value,
                    -libc::EPERM,
                    "handle 1, scalars {sc:#x}, on a {state}"
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Handles 0 to 20 with all methods and no arguments: whatever the DSP says, it is the DSP's
/// answer, except for handle 1.
fn handles_and_methods() -> Outcome {
    for handle in 0..=20 {
        let file = File::with_process(CDSP)?;
        for method in 0..32 {
            // The listener's and the log daemon's waiting calls park; leaving is left to others.
            let parks = matches!((handle, method), (3, 4) | (7, 6) | (5, 5));
            if parks {
                continue;
            }
            let value = Call::new(method).on(file.raw(), handle);
            // Handle 2, the DSP utilities, is the kernel's as well.
            if handle == 1 || handle == 2 {
                ensure_ret!(value, -libc::EPERM, "handle {handle}, method {method}");
            } else {
                ensure!(
                    !(-4095..0).contains(&value),
                    "handle {handle}, method {method}: {}",
                    raw::show(value)
                );
            }
        }
    }
    Ok(())
}

/// Another thread changes the array while calls read it: each call sees one version or fails.
fn array_changes() -> Outcome {
    use std::sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
    };
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let data = dsp::pattern(8192, 4);
    let mut back = vec![0u8; 8192];
    let elems = [
        Elem::inline(data.as_ptr() as u64, 64),
        Elem::inline(back.as_mut_ptr() as u64, 64),
    ];
    let stop = AtomicBool::new(false);
    // The length of the input, seen as an atomic by the thread that flips it.
    let length = &raw const elems[0].length as u64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: The field lives until the scope ends and is aligned; only the kernel and
            // this thread touch it.
            let length = unsafe { AtomicU64::from_ptr(length as *mut u64) };
            let mut value = 0u64;
            while !stop.load(Ordering::Relaxed) {
                value = match value {
                    64 => 8192,
                    8192 => 0,
                    0 => u64::MAX,
                    _ => 64,
                };
                length.store(value, Ordering::Relaxed);
            }
        });
        let mut result = Ok(());
        for round in 0..500 {
            let invoke = Invoke {
                handle: echo,
                sc: raw::scalars(2, 1, 1, 0, 0),
                args: elems.as_ptr() as u64,
            };
            let value = raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64);
            // Unequal sizes are refused by the module, absurd ones by the driver.
            let known = [
                0,
                -i64::from(libc::E2BIG),
                -i64::from(libc::EINVAL),
                raw::as_returned(0x8000_040e),
            ];
            if !known.contains(&value) {
                result = Err(format!("round {round} gave {}", raw::show(value)).into());
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Random structures for all numbers: nothing may crash, hang or warn.
fn random_requests() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mut area = Area::new(2)?;
    let valid = [
        area.start(),
        area.start() + 4000,
        area.end() - 16,
        area.end(),
        0,
    ];
    for round in 0..4000u32 {
        let noise = dsp::pattern(256, round);
        area.bytes()[..256].copy_from_slice(&noise);
        let pick = |n: usize| noise[n] as usize;
        let mut elems = vec![Elem::inline(0, 0); 24];
        for (n, elem) in elems.iter_mut().enumerate() {
            elem.ptr = match pick(n) % 3 {
                0 => valid[pick(n + 32) % valid.len()],
                1 => BAD_ADDRESSES[pick(n + 32) % BAD_ADDRESSES.len()],
                _ => area.start() + pick(n + 32) as u64,
            };
            elem.length = match pick(n + 64) % 4 {
                0 => 0,
                1 => pick(n + 96) as u64,
                2 => 1 << (pick(n + 96) % 64),
                _ => u64::MAX - pick(n + 96) as u64,
            };
            elem.fd = [-1, -1, 0, 5, -2][pick(n + 128) % 5];
            elem.attr = u32::from(noise[n + 160]);
        }
        let invoke = Invoke {
            handle: [0, 1, 2, 6, 8, 9, 21, 0x1234][pick(200) % 8],
            sc: raw::scalars(
                [0, 1, 2, 3, 31][pick(201) % 5],
                pick(202) % 12,
                pick(203) % 12,
                usize::from(pick(204) % 8 == 0),
                usize::from(pick(205) % 8 == 0),
            ),
            args: if pick(206) % 8 == 0 {
                BAD_ADDRESSES[pick(207) % BAD_ADDRESSES.len()]
            } else {
                elems.as_ptr() as u64
            },
        };
        raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64);
        if round % 16 == 0 {
            // A random create on a file of its own; whether it works is decided by the noise.
            let create = Create {
                filelen: dsp::u32_at(&noise, 208) >> (pick(209) % 32),
                filefd: [-1, 0, 5, -2][pick(210) % 4],
                attrs: 1 << (pick(211) % 32),
                siglen: dsp::u32_at(&noise, 212) >> (pick(213) % 32),
                file: valid[pick(214) % valid.len()],
            };
            File::open(CDSP)?.create_with(create);
        }
    }
    file.still_works()
}
