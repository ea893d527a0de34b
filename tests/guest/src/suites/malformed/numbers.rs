// SPDX-License-Identifier: GPL-2.0
//! Ioctl numbers, structure sizes and directions that are not the documented ones.

use super::*;

pub fn unknown_numbers() -> Outcome {
    for (state, file) in both_states()? {
        nothing_sent(|| {
            for nr in 0x49..=0xffu32 {
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

/// Numbers that take a buffer, with any content: on a new file and in a session each gives a
/// documented error, since no number in a filled structure stands for anything.
pub fn filled_structures() -> Outcome {
    for (state, file) in both_states()? {
        nothing_sent(|| {
            for code in [
                0xC010_6441,
                0xC010_6442,
                0xC030_6445,
                0xC020_6446,
                0xC028_6448u32,
            ] {
                for fill in [1u8, 0x7f, 0xff] {
                    let mut block = vec![fill; 64];
                    let value = raw::ioctl(file.raw(), code, block.as_mut_ptr() as u64);
                    ensure_errno!(
                        value,
                        [libc::EINVAL, libc::ENOTCONN],
                        "{code:#x} filled with {fill} on a {state}"
                    );
                }
            }
            for (code, expected) in [
                (0xC010_6441u32, libc::EINVAL),
                (0xC010_6442, libc::ENOENT),
                (0xC030_6445, libc::EINVAL),
                (0xC020_6446, libc::EINVAL),
                (0xC028_6448, libc::EINVAL),
            ] {
                let mut block = [0u8; 64];
                let value = raw::ioctl(file.raw(), code, block.as_mut_ptr() as u64);
                ensure_errno!(
                    value,
                    [expected, libc::ENOTCONN],
                    "{code:#x} filled with 0 on a {state}"
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Ioctls of other types than DRM's, those of the old interface among them.
pub fn other_types() -> Outcome {
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
pub fn generic_drm() -> Outcome {
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
pub fn structure_sizes() -> Outcome {
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
pub fn directions() -> Outcome {
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
