// SPDX-License-Identifier: GPL-2.0
//! Buffers: objects, areas, exports and imports.

use super::*;
use crate::exporters::{
    self,
    Vgem, //
};

/// Size of most buffers.
const SIZE: usize = 16 * PAGE;

/// Bytes of buffers that a file has.
fn bytes_of(file: &File) -> Result<u64, Fail> {
    buffer::fdinfo_number(file.raw(), "drm-total-memory")
}

/// Makes objects. One whose number could not be copied back goes with the file.
pub fn create() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    Sweep::of("GEM_CREATE").run(
        || {
            let create = GemCreate {
                size: SIZE as u64,
                ..GemCreate::default()
            };
            Ok((File::open_node(&path)?, create))
        },
        |(file, create)| {
            raw::ioctl(
                file.raw(),
                raw::GEM_CREATE,
                ptr::from_mut(create) as u64, //
            )
        },
        |(file, create), value| {
            match value {
                0 => file.close(create.handle)?,
                value if value == -i64::from(libc::EFAULT) => return Ok(()),
                _ => {}
            }
            ensure_eq!(bytes_of(&file)?, 0, "bytes of the file's buffers");
            // The account of the file is as it was, too.
            let again = file.buffer(SIZE)?;
            file.close(again)
        },
    )
}

pub fn close() -> Outcome {
    let file = File::open(CDSP)?;
    Sweep::of("GEM_CLOSE").run(
        || {
            Ok(GemClose {
                handle: file.buffer(SIZE)?,
                pad: 0,
            })
        },
        |close| raw::ioctl(file.raw(), raw::GEM_CLOSE, ptr::from_ref(close) as u64),
        |gem, value| {
            let left = buffer::close(file.raw(), gem.handle);
            ensure!(
                (value == 0) == (left != 0),
                "a second close gives {}",
                raw::show(left)
            );
            ensure_eq!(bytes_of(&file)?, 0, "bytes of the file's buffers");
            Ok(())
        },
    )
}

/// Asks for the place of an object, then maps it.
pub fn areas() -> Outcome {
    let file = File::open(CDSP)?;
    Sweep::of("GEM_MMAP_OFFSET").run(
        || {
            Ok(GemMmapOffset {
                handle: file.buffer(SIZE)?,
                ..GemMmapOffset::default()
            })
        },
        |ask| raw::ioctl(file.raw(), raw::GEM_MMAP_OFFSET, ptr::from_mut(ask) as u64),
        |ask, _| {
            let area = file.map(ask.handle, SIZE)?;
            area.stamp(1);
            file.close(ask.handle)
        },
    )?;
    Sweep::of("mmap").run(
        || {
            let handle = file.buffer(SIZE)?;
            let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
            Ok((handle, offset, None))
        },
        |(_, offset, area)| {
            let flags = libc::MAP_SHARED;
            match Area::new(file.raw(), SIZE, *offset, buffer::RW, flags) {
                Ok(new) => {
                    *area = Some(new);
                    0
                }
                Err(errno) => -i64::from(errno),
            }
        },
        |(handle, _, area), _| {
            if let Some(area) = area {
                ensure_eq!(area.not_zero(), None, "a new buffer");
                area.stamp(2);
                area.check_stamps(2, 0, 0, SIZE / PAGE)?;
            }
            file.close(handle)
        },
    )
}

/// The first access to a page of an area, by the kernel: a page that is not there is EFAULT.
pub fn first_touch() -> Outcome {
    let file = File::open(CDSP)?;
    let zero = dsp::open_path(Path::new("/dev/zero"))
        .map_err(|errno| format!("/dev/zero: errno {errno}"))?;
    Sweep::of("first touch").run(
        || file.mapped(SIZE),
        |(_, area)| {
            // SAFETY: The area has room for the bytes.
            let got = unsafe { libc::read(zero.as_raw_fd(), area.at(PAGE).cast(), 8) };
            match got {
                8 => 0,
                got if got < 0 => -i64::from(raw::errno()),
                // A part was read before the page was missed: that is not there either.
                _ => -i64::from(libc::EFAULT),
            }
        },
        |(handle, area), _| {
            ensure_eq!(area.not_zero(), None, "a buffer that was touched");
            area.stamp(3);
            area.check_stamps(3, 0, 0, SIZE / PAGE)?;
            drop(area);
            file.close(handle)
        },
    )
}

/// The first access by the program itself: the kernel tries again, or says SIGBUS.
pub fn first_touch_by_program() -> Outcome {
    let file = File::open(CDSP)?;
    let before = Books::read()?;
    let mut points = 0;
    let mut killed = 0;
    loop {
        let (handle, area) = file.mapped(SIZE)?;
        let n = points + 1;
        let end = buffer::in_child(|| {
            let touched = Faults::of_this_thread().and_then(|faults| {
                // SAFETY: The byte is in the area.
                faults.inject(n, || unsafe { area.at(PAGE).write_volatile(7) })
            });
            match touched {
                Ok(((), true)) => 1,
                Ok(((), false)) => 0,
                Err(_) => 2,
            }
        })?;
        match end {
            Ok(0) => break,
            Ok(1) => ensure_eq!(area.read(PAGE, 2), [7, 0], "what the child wrote"),
            Err(libc::SIGBUS) => killed += 1,
            other => return Err(format!("fault {n}: the child ended with {other:?}").into()),
        }
        drop(area);
        file.close(handle)?;
        before.are_back()?;
        points = n;
    }
    println!("first touch by the program: {points} points, {killed} SIGBUS");
    ensure!(points > 0, "no fault was met");
    sweep::note("first touch by the program", points)
}

/// A try to install a descriptor, by the number that it would get.
struct Descriptor {
    handle: u32,
    prime: Prime,
    /// The lowest free number.
    next: RawFd,
}

/// The lowest descriptor that is free.
fn next_descriptor() -> Result<RawFd, Fail> {
    // SAFETY: Takes a number only.
    let fd = unsafe { libc::dup(0) };
    ensure!(fd >= 0, "dup: errno {}", raw::errno());
    // SAFETY: The number is fresh.
    unsafe { libc::close(fd) };
    Ok(fd)
}

/// Exports an object for the first time and again. The core of DRM installs the descriptor before
/// it copies the number back: if that fails, the descriptor is there.
pub fn export() -> Outcome {
    let file = File::open(CDSP)?;
    for (what, before) in [("PRIME export", false), ("PRIME export again", true)] {
        Sweep::of(what).run(
            || {
                let handle = file.buffer(SIZE)?;
                let first = before.then(|| file.export(handle)).transpose()?;
                let prime = Prime {
                    handle,
                    flags: (libc::O_RDWR | libc::O_CLOEXEC) as u32,
                    fd: -1,
                };
                let next = next_descriptor()?;
                Ok((
                    Descriptor {
                        handle,
                        prime,
                        next,
                    },
                    first,
                ))
            },
            |(one, _)| {
                raw::ioctl(
                    file.raw(),
                    raw::PRIME_HANDLE_TO_FD,
                    ptr::from_mut(&mut one.prime) as u64,
                )
            },
            |(one, first), value| {
                let fd = match value {
                    0 => one.prime.fd,
                    _ => one.next,
                };
                // SAFETY: The number is that of the new descriptor, or free.
                let closed = unsafe { libc::close(fd) } == 0;
                ensure!(
                    closed || value != 0,
                    "descriptor {fd} cannot be closed: errno {}",
                    raw::errno()
                );
                ensure!(
                    !closed || value == 0 || value == -i64::from(libc::EFAULT),
                    "a descriptor although the export failed"
                );
                drop(first);
                file.close(one.handle)
            },
        )?;
    }
    Ok(())
}

/// Imports a dma-buf; a handle whose number could not be copied back goes with the file.
fn imports(what: &str, into: &str, make: impl Fn() -> Result<(OwnedFd, Keep), Fail>) -> Outcome {
    let path = dsp::node(into)?.path;
    Sweep::of(what).run(
        || {
            let (fd, keep) = make()?;
            let prime = Prime {
                fd: fd.as_raw_fd(),
                ..Prime::default()
            };
            Ok((File::open_node(&path)?, prime, fd, keep))
        },
        |(file, prime, _, _)| {
            raw::ioctl(
                file.raw(),
                raw::PRIME_FD_TO_HANDLE,
                ptr::from_mut(prime) as u64,
            )
        },
        |(file, prime, fd, _keep), value| {
            if value == 0 {
                file.close(prime.handle)?;
            }
            let handle = file.import(&fd)?;
            file.close(handle)
        },
    )
}

/// What must stay while a dma-buf is imported.
type Keep = Option<File>;

pub fn import() -> Outcome {
    let own = |label: &'static str| {
        move || {
            let file = File::open(label)?;
            let handle = file.buffer(SIZE)?;
            Ok((file.export(handle)?, Some(file)))
        }
    };
    imports("PRIME import, own", CDSP, own(CDSP))?;
    imports("PRIME import, other node's", CDSP, own(ADSP))?;
    imports("PRIME import, udmabuf", CDSP, || {
        Ok((exporters::udmabuf(SIZE)?.0, None))
    })?;
    imports("PRIME import, vgem", CDSP, || {
        Ok((Vgem::open()?.dma_buf(SIZE)?.1, None))
    })
}

/// Another device attaches to our dma-buf and maps it.
pub fn attach() -> Outcome {
    let file = File::open(CDSP)?;
    Sweep::of("dma-buf attach by vgem").run(
        || {
            let handle = file.buffer(SIZE)?;
            let fd = file.export(handle)?;
            let prime = Prime {
                fd: fd.as_raw_fd(),
                ..Prime::default()
            };
            Ok((Vgem::open()?, handle, fd, prime))
        },
        |(vgem, _, _, prime)| {
            raw::ioctl(
                vgem.raw(),
                raw::PRIME_FD_TO_HANDLE,
                ptr::from_mut(prime) as u64,
            )
        },
        |(vgem, handle, fd, prime), value| {
            if value == 0 {
                ensure_ret!(buffer::close(vgem.raw(), prime.handle), 0, "vgem's close");
            }
            drop(vgem);
            ensure!(
                exporters::listed(fd.as_raw_fd())?.devices.is_empty(),
                "still attached"
            );
            file.close(handle)
        },
    )
}

/// An area of a dma-buf, and the rights to use it.
pub fn dma_buf_areas() -> Outcome {
    let file = File::open(CDSP)?;
    let made = || {
        let handle = file.buffer(SIZE)?;
        Ok::<_, Fail>((handle, file.export(handle)?))
    };
    Sweep::of("dma-buf mmap").run(
        || made().map(|(handle, fd)| (handle, fd, None)),
        |(_, fd, area)| match Area::new(fd.as_raw_fd(), SIZE, 0, buffer::RW, libc::MAP_SHARED) {
            Ok(new) => {
                *area = Some(new);
                0
            }
            Err(errno) => -i64::from(errno),
        },
        |(handle, _, area), _| {
            if let Some(area) = area {
                ensure_eq!(area.not_zero(), None, "a new buffer");
            }
            file.close(handle)
        },
    )?;
    let file = File::with_process(CDSP)?;
    Sweep::of("DMA_BUF_SYNC").run(
        || {
            let one = Shared::own(&file, SIZE)?;
            remote_map::mapped(&file, remote_map::attr(one.raw(), 2)).map(|address| {
                (
                    one,
                    address,
                    raw::SYNC_START | raw::SYNC_READ | raw::SYNC_WRITE,
                )
            })
        },
        |(one, _, flags)| raw::ioctl(one.raw(), raw::DMA_BUF_SYNC, ptr::from_ref(flags) as u64),
        |(one, address, flags), value| {
            if value == 0 {
                ensure_eq!(exporters::sync(one.raw(), flags | raw::SYNC_END), 0, "end");
            }
            let end = remote_map::un_attr(one.raw(), address, 0);
            ensure_ret!(remote_map::unmap(&file, end), 0, "unmap");
            file.close(one.handle)
        },
    )
}
