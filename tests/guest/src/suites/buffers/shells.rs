// SPDX-License-Identifier: GPL-2.0
//! Processes whose shell is in a buffer.

use super::*;
use crate::dsp::UNSIGNED;
use crate::raw::Create;

/// What the DSP has read of shells: bytes and their sum.
fn shells() -> Result<(u64, u64), Fail> {
    Ok((
        sim::counter("shell_bytes")?,
        sim::counter("shell_sum")?, //
    ))
}

/// Sum of bytes as the DSP computes it.
fn sum(data: &[u8]) -> u64 {
    data.iter().map(|&byte| u64::from(byte)).sum()
}

/// Creates a process with a shell; the DSP must have read exactly these bytes.
fn create(file: &File, create: Create, shell: &[u8], what: &str) -> Outcome {
    let before = shells()?;
    ensure_ret!(file.create_with(create), 0, "{what}");
    let after = shells()?;
    ensure_eq!(
        (after.0 - before.0, after.1.wrapping_sub(before.1)),
        (shell.len() as u64, sum(shell)),
        "what the DSP read of the shell, {what}"
    );
    file.still_works()
}

/// Shells of several makers and sizes, closed at once.
pub fn shell_in_buffer() -> Outcome {
    for maker in MAKERS {
        for (size, siglen) in [(1usize, 0), (4096, 100), (70_001, 70_001), (4 << 20, 4096)] {
            let file = File::open(CDSP)?;
            let room = size.next_multiple_of(PAGE);
            let one = match Shared::new(maker, &file, room) {
                Err(Fail::Skip(why)) => {
                    println!("{maker:?}: {why}");
                    break;
                }
                one => one?,
            };
            let data = one.fill(size as u32);
            let what = format!("{maker:?}, {size} bytes");
            let request = Create {
                filelen: size as u32,
                filefd: one.raw(),
                attrs: UNSIGNED,
                siglen,
                file: one.at(0),
            };
            create(&file, request, &data[..size], &what)?;
            if one.handle != 0 {
                file.close(one.handle)?;
            }
            drop(one);
            // The DSP may read its shell later, too: it has to be there.
            sim::control(CDSP, "check")?;
            file.still_works()?;
            ensure_ret!(file.create(), -libc::EEXIST, "second create, {what}");
        }
    }
    wait_status("mappings", 0)
}

/// Where in the buffer the shell is.
pub fn shell_place() -> Outcome {
    for maker in [Maker::Own, Maker::Udmabuf] {
        for (first, at, size) in [(0, 4096, 5000), (2, 0, 8192), (1, 100, 3000), (0, 17, 1)] {
            let file = File::open(CDSP)?;
            let one = Shared::new(maker, &file, 4 * PAGE)?;
            let data = one.fill(12);
            let area = Area::shared(one.raw(), (4 - first) * PAGE, (first * PAGE) as u64)?;
            let start = first * PAGE + at;
            let what = format!("{maker:?}, {size} bytes at {start}");
            let request = Create {
                filelen: size as u32,
                filefd: one.raw(),
                attrs: UNSIGNED,
                siglen: 0,
                file: area.address() + at as u64,
            };
            create(&file, request, &data[start..start + size], &what)?;
        }
        // An address where nothing is: the begin of the buffer.
        let file = File::open(CDSP)?;
        let one = Shared::new(maker, &file, 4 * PAGE)?;
        let data = one.fill(13);
        let request = Create {
            filelen: 6000,
            filefd: one.raw(),
            attrs: UNSIGNED,
            siglen: 0,
            file: 0,
        };
        create(&file, request, &data[..6000], "no address")?;
    }
    Ok(())
}

/// Shells that are not in their buffer. Afterwards the file can still create its process.
pub fn shell_refused() -> Outcome {
    let file = File::open(CDSP)?;
    let one = Shared::own(&file, 4 * PAGE)?;
    let other = Shared::own(&file, 4 * PAGE)?;
    let data = one.fill(1);
    let size = one.size as u32;
    let memfd = exporters::memfd(PAGE)?;
    let good = Create {
        filelen: size,
        filefd: one.raw(),
        attrs: UNSIGNED,
        siglen: 0,
        file: one.at(0),
    };
    nothing_sent(|| {
        for (what, request, expected) in [
            (
                "a byte too much",
                Create {
                    filelen: size + 1,
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "no area, too long",
                Create {
                    filelen: size + 1,
                    file: 0,
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "begins late",
                Create {
                    file: one.at(1),
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "other area",
                Create {
                    file: other.at(0),
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "too long for all",
                Create {
                    filelen: (4 << 20) + 1,
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "longest",
                Create {
                    filelen: u32::MAX,
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "signature too long",
                Create {
                    siglen: size + 1,
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "no dma-buf",
                Create {
                    filefd: memfd.as_raw_fd(),
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "the node",
                Create {
                    filefd: file.raw(),
                    ..good
                },
                -libc::EINVAL,
            ),
            (
                "no descriptor",
                Create {
                    filefd: 900,
                    ..good
                },
                -libc::EBADF,
            ),
            (
                "largest number",
                Create {
                    filefd: i32::MAX,
                    ..good
                },
                -libc::EBADF,
            ),
            ("-2", Create { filefd: -2, ..good }, -libc::EINVAL),
        ] {
            ensure_ret!(file.create_with(request), expected, "shell: {what}");
        }
        Ok(())
    })?;
    ensure_eq!(status("mappings")?, 0, "buffers mapped for refused shells");
    // Refused by the DSP: nothing of the shell stays mapped either.
    sim::control(CDSP, "answer create 0x8000044f")?;
    ensure_ret!(
        file.create_with(good),
        raw::as_returned(0x8000_044f),
        "create that the DSP refuses"
    );
    wait_status("mappings", 0)?;
    ensure_eq!(status("seats")?, 0, "seats after a refused create");
    create(&file, good, &data, "after all that")
}
