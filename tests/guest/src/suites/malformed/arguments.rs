// SPDX-License-Identifier: GPL-2.0
//! Lengths, descriptors, counts and handles that make no sense.

use super::*;

/// Lengths that are too large, that lose their upper half in 32 bits, that wrap with the address.
pub fn lengths() -> Outcome {
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
pub fn total_size() -> Outcome {
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
pub fn descriptors() -> Outcome {
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
        // What is open is no dma-buf.
        for (fd, expected) in [
            (1, -libc::EINVAL),
            (2, -libc::EINVAL),
            (file.raw(), -libc::EINVAL),
            (1000, -libc::EBADF),
            (i32::MAX, -libc::EBADF),
        ] {
            ensure_ret!(call(fd, -1).0, expected, "descriptor {fd} of an input");
            ensure_ret!(call(-1, fd).0, expected, "descriptor {fd} of an output");
        }
        Ok(())
    })
}

/// Handles without a buffer, in all numbers, for a module that takes none.
pub fn handle_arguments() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let call = |in_handles, out_handles, fd| {
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
        raw::ioctl(file.raw(), raw::INVOKE, &raw const invoke as u64)
    };
    for (in_handles, out_handles) in [(1, 0), (0, 1), (15, 0), (0, 15), (15, 15)] {
        for fd in [-1, 0] {
            // Sent, and refused by the module.
            ensure_ret!(
                call(in_handles, out_handles, fd),
                raw::as_returned(0x8000_0414),
                "{in_handles} + {out_handles} handles with descriptor {fd}"
            );
        }
        nothing_sent(|| {
            for (fd, expected) in [
                (-2, -libc::EINVAL),
                (1, -libc::EINVAL),
                (1000, -libc::EBADF),
            ] {
                ensure_ret!(
                    call(in_handles, out_handles, fd),
                    expected,
                    "{in_handles} + {out_handles} handles with descriptor {fd}"
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The largest number of arguments, in every method, with all possible sizes of zero.
pub fn most_arguments() -> Outcome {
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
pub fn kernel_handle() -> Outcome {
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
pub fn handles_and_methods() -> Outcome {
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
pub fn array_changes() -> Outcome {
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
pub fn random_requests() -> Outcome {
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
