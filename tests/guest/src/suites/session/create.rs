// SPDX-License-Identifier: GPL-2.0
//! What a process is created with: shell, signature, attributes.

use super::*;

/// Creates a process with a shell in user memory and compares what the DSP read.
fn shell(length: usize, attrs: u32, siglen: u32, filefd: i32) -> Outcome {
    let data = dsp::pattern(length, length as u32);
    let expected: u64 = data.iter().map(|&byte| u64::from(byte)).sum();
    let bytes = sim::counter("shell_bytes")?;
    let sum = sim::counter("shell_sum")?;
    let file = File::open(CDSP)?;
    let value = file.create_with(Create {
        filelen: length as u32,
        filefd,
        attrs,
        siglen,
        file: data.as_ptr() as u64,
    });
    ensure_ret!(
        value,
        0,
        "create with a shell of {length} bytes, attributes {attrs:#x}"
    );
    drop(data);
    ensure_eq!(
        sim::counter("shell_bytes")? - bytes,
        length as u64,
        "bytes that the DSP read"
    );
    ensure_eq!(
        sim::counter("shell_sum")?.wrapping_sub(sum),
        expected,
        "sum of {length} bytes"
    );
    file.still_works()
}

pub fn shell_in_user_memory() -> Outcome {
    for length in [1, 127, 128, 4095, 4096, 4097, 65_537, 1_200_000] {
        shell(length, dsp::UNSIGNED, 0, -1)?;
    }
    shell(5000, dsp::UNSIGNED, 0, 0)?;
    shell(5000, 0, 0, -1)
}

pub fn shell_limits() -> Outcome {
    const LIMIT: usize = 4 << 20;
    shell(LIMIT, dsp::UNSIGNED, 0, -1)?;
    let data = vec![1; LIMIT + 1];
    let before = sim::counter("requests")?;
    for filelen in [
        LIMIT as u32 + 1,
        0x0080_0000,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX,
    ] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen,
            filefd: -1,
            attrs: dsp::UNSIGNED,
            siglen: 0,
            file: data.as_ptr() as u64,
        });
        ensure_ret!(
            value,
            -libc::EINVAL,
            "create with a shell of {filelen} bytes"
        );
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    Ok(())
}

pub fn signature_length() -> Outcome {
    shell(6000, 0, 1000, -1)?;
    shell(6000, 0, 6000, -1)?;
    let data = [0; 6000];
    let before = sim::counter("requests")?;
    for siglen in [6001, 0x7fff_ffff, u32::MAX] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: 6000,
            filefd: -1,
            attrs: 0,
            siglen,
            file: data.as_ptr() as u64,
        });
        ensure_ret!(
            value,
            -libc::EINVAL,
            "create with {siglen} bytes of signature"
        );
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    Ok(())
}

/// A shell in a buffer given by descriptor is not supported yet; without a shell all is ignored.
pub fn shell_fd() -> Outcome {
    let before = sim::counter("requests")?;
    // Descriptor 1 is open but no dma-buf; the others are not open. Real shells in buffers are
    // tested with the buffers.
    for (filefd, errno) in [
        (1, libc::EINVAL),
        (900, libc::EBADF),
        (i32::MAX, libc::EBADF),
    ] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: 4096,
            filefd,
            attrs: dsp::UNSIGNED,
            ..Create::default()
        });
        ensure_ret!(value, -errno, "create with descriptor {filefd}");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    for filefd in [-2, -100, i32::MIN] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filelen: 4096,
            filefd,
            attrs: dsp::UNSIGNED,
            ..Create::default()
        });
        ensure_ret!(value, -libc::EINVAL, "create with descriptor {filefd}");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    for (filefd, file) in [(5, 0), (-7, 1), (i32::MIN, u64::MAX)] {
        let create = Create {
            filelen: 0,
            filefd,
            attrs: dsp::UNSIGNED,
            siglen: 0,
            file,
        };
        let file = File::open(CDSP)?;
        ensure_ret!(file.create_with(create), 0, "{create:?}");
        file.still_works()?;
    }
    Ok(())
}

/// Attribute bits that make the DSP write where the driver gives no memory are refused.
pub fn attributes() -> Outcome {
    for attrs in [0, 0x1, 0x2, 0x8, 0x9, 0x18, 0x40, 0x80_0008, 0x4000_0008] {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filefd: -1,
            attrs,
            ..Create::default()
        });
        ensure_ret!(value, 0, "attributes {attrs:#x} from a privileged opener");
        file.still_works()?;
    }
    let before = sim::counter("requests")?;
    let unknown = (24..32)
        .filter(|&bit| bit != 30)
        .map(|bit| (1 << bit) | dsp::UNSIGNED);
    for attrs in [0x4, 0x400, 0xc, 0x408].into_iter().chain(unknown) {
        let file = File::open(CDSP)?;
        let value = file.create_with(Create {
            filefd: -1,
            attrs,
            ..Create::default()
        });
        ensure_ret!(value, -libc::EINVAL, "attributes {attrs:#x}");
    }
    ensure_eq!(
        sim::counter("requests")?,
        before,
        "requests of refused creates"
    );
    Ok(())
}

pub fn failed_create_can_be_repeated() -> Outcome {
    let file = File::open(CDSP)?;
    for _ in 0..20 {
        let value = file.create_with(Create {
            filelen: 4096,
            filefd: -1,
            attrs: dsp::UNSIGNED,
            siglen: 0,
            file: 8,
        });
        ensure_ret!(
            value,
            -libc::EFAULT,
            "shell at an address that is not mapped"
        );
    }
    file.created()?.still_works()
}
