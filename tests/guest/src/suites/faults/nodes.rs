// SPDX-License-Identifier: GPL-2.0
//! Opening, asking, closing; processes on the DSP.

use std::os::fd::IntoRawFd;

use super::*;

/// A number of fdinfo and of the status file is read by name; here only that they can be read.
const STATUS: &str = "/sys/kernel/debug/qda-cdsp/status";

/// Opens a path; the descriptor or a negative errno. Allocates nothing here.
fn open_raw(path: &CString, flags: i32) -> i64 {
    // SAFETY: The path is NUL-terminated and lives during the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags) };
    if fd < 0 {
        -i64::from(raw::errno())
    } else {
        i64::from(fd)
    }
}

/// Closes a descriptor; 0 or a negative errno.
fn close_raw(fd: RawFd) -> i64 {
    // SAFETY: Callers give descriptors that they took out of their owners.
    match unsafe { libc::close(fd) } {
        0 => 0,
        _ => -i64::from(raw::errno()),
    }
}

pub fn open() -> Outcome {
    let path = path_of(&dsp::node(CDSP)?.path)?;
    Sweep::of("open").run(
        || Ok(()),
        |()| open_raw(&path, libc::O_RDWR | libc::O_CLOEXEC),
        |(), value| {
            if value >= 0 {
                ensure_eq!(close_raw(value as RawFd), 0, "close");
            }
            Ok(())
        },
    )
}

pub fn query() -> Outcome {
    let file = File::open(CDSP)?;
    Sweep::of("QUERY").run(
        || Ok(Query::default()),
        |query| raw::ioctl(file.raw(), raw::QUERY, ptr::from_mut(query) as u64),
        |query, value| {
            ensure!(
                value < 0 || query.dsp_name.starts_with(b"cdsp\0"),
                "the name is {:?}",
                query.dsp_name
            );
            Ok(())
        },
    )
}

/// Reads a file as `cat` does it; 0 or a negative errno.
fn read_raw(path: &CString, room: &mut [u8]) -> i64 {
    let fd = open_raw(path, libc::O_RDONLY | libc::O_CLOEXEC);
    let Ok(number) = RawFd::try_from(fd) else {
        return fd;
    };
    if number < 0 {
        return fd;
    }
    // SAFETY: The buffer has room for its length.
    let got = unsafe { libc::read(number, room.as_mut_ptr().cast(), room.len()) };
    let value = if got < 0 {
        -i64::from(raw::errno())
    } else {
        got as i64
    };
    close_raw(number);
    value
}

pub fn status_file() -> Outcome {
    let path = path_of(Path::new(STATUS))?;
    Sweep::of("reading status").run(
        || Ok(vec![0; 8192]),
        |room| read_raw(&path, room),
        |room, value| {
            if value >= 0 {
                let text = String::from_utf8_lossy(&room[..value as usize]).into_owned();
                ensure!(text.starts_with("sessions "), "status is {text:?}");
            }
            Ok(())
        },
    )
}

pub fn fdinfo() -> Outcome {
    let file = File::with_process(CDSP)?;
    let path = path_of(Path::new(&format!("/proc/self/fdinfo/{}", file.raw())))?;
    Sweep::of("reading fdinfo").run(
        || Ok(vec![0; 8192]),
        |room| read_raw(&path, room),
        |room, value| {
            if value >= 0 {
                let text = String::from_utf8_lossy(&room[..value as usize]).into_owned();
                ensure!(text.contains("qda-session"), "fdinfo is {text:?}");
            }
            Ok(())
        },
    )
}

pub fn attach() -> Outcome {
    births("INIT_ATTACH", |_| Ok(()), |file, ()| file.attach())
}

pub fn create() -> Outcome {
    births("SESSION_CREATE", |_| Ok(()), |file, ()| file.create())
}

pub fn create_inline() -> Outcome {
    let shell = dsp::pattern(5001, 5);
    births(
        "SESSION_CREATE, inline shell",
        |_| Ok(()),
        |file, ()| {
            file.create_with(Create {
                filelen: shell.len() as u32,
                filefd: -1,
                attrs: UNSIGNED,
                siglen: 0,
                file: shell.as_ptr() as u64,
            })
        },
    )
}

pub fn create_buffer() -> Outcome {
    births(
        "SESSION_CREATE, shell in a buffer",
        |file| Shared::own(file, 2 * PAGE),
        |file, shell| {
            file.create_with(Create {
                filelen: shell.size as u32,
                filefd: shell.raw(),
                attrs: UNSIGNED,
                siglen: 0,
                file: shell.at(0),
            })
        },
    )
}

/// Processes that come into being. One that did not leaves a file on which it can be tried again.
fn births<E>(
    what: &str,
    extra: impl Fn(&File) -> Result<E, Fail>,
    birth: impl Fn(&File, &E) -> i64,
) -> Outcome {
    let path = dsp::node(CDSP)?.path;
    Sweep::of(what).clean_every(MOST_CLEAN).run(
        || {
            let file = File::open_node(&path)?;
            let extra = extra(&file)?;
            let births = sim::counter("creates")? + sim::counter("attaches")?;
            Ok((file, extra, births))
        },
        |(file, extra, _)| birth(file, extra),
        |(file, extra, births), value| {
            let born = sim::counter("creates")? + sim::counter("attaches")? - births;
            match value {
                0 => ensure_eq!(born, 1, "processes made"),
                // The argument is copied back last: the process lives, and this file has it.
                value if value == -i64::from(libc::EFAULT) => {
                    ensure!(born <= 1, "{born} processes made");
                }
                _ => ensure_eq!(born, 0, "processes made"),
            }
            if value != 0 {
                let expected = if born == 1 { -libc::EEXIST } else { 0 };
                ensure_ret!(birth(&file, &extra), expected, "again on the same file");
            }
            Ok(())
        },
    )
}

/// Closing the last descriptor of a session that has one of everything: it cannot fail, whatever
/// there is no memory for, and leaves nothing.
pub fn close() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    Sweep::of("close")
        .never_fails()
        .clean_every(MOST_CLEAN)
        .run(
            || {
                let file = File::open_node(&path)?.created()?;
                let mem = DspMem::open(&file)?;
                let own = Shared::own(&file, 4 * PAGE)?;
                let other = Shared::new(Maker::Scattered, &file, 4 * PAGE)?;
                file.import(&other.fd)?;
                for request in [
                    remote_map::attr(own.raw(), 2),
                    remote_map::attr(other.raw(), 2),
                    remote_map::heap_request(3 * PAGE as u64),
                ] {
                    remote_map::mapped(&file, request)?;
                }
                let mut out = vec![0; 2 * dspmem::RECORD];
                let call =
                    Call::new(dspmem::ARGS)
                        .output(&mut out)
                        .in_handle(0, PAGE as u64, own.raw());
                ensure_ret!(mem.call(&call), 0, "call with a handle");
                Ok(file.fd.into_raw_fd())
            },
            |fd| close_raw(*fd),
            |_, value| {
                ensure_ret!(value, 0, "close");
                Ok(())
            },
        )
}
