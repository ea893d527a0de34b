// SPDX-License-Identifier: GPL-2.0
//! Addresses that are not the caller's, in every field that holds one.

use super::*;

/// The structure itself at addresses that are not the caller's.
pub fn argument_pointer() -> Outcome {
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

pub fn invoke_structure_at_edge() -> Outcome {
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
pub fn array_at_edge() -> Outcome {
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
            ensure_ret!(value, -libc::EFAULT, "scalars {sc:#x} with two elements");
        }
        Ok(())
    })
}

/// Data of arguments at bad addresses. An input fails before anything is sent, an output after.
pub fn data_pointers() -> Outcome {
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

pub fn data_at_edge() -> Outcome {
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

pub fn shell_pointer() -> Outcome {
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

pub fn read_only_output() -> Outcome {
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
