// SPDX-License-Identifier: GPL-2.0
//! Memory that a process keeps. What the DSP has mapped and what the driver has in its records is the
//! same after every fault.

use super::*;
use crate::raw::{
    Map,
    Unmap, //
};

/// The driver's records against the DSP's mappings; how many there are.
fn agreed() -> Result<u64, Fail> {
    let driver = buffers::status("remote_maps")?;
    ensure_eq!(driver, sim::counter("mappings")?, "records and mappings");
    Ok(driver)
}

/// Takes away whatever the process has mapped.
fn unmap_all(mem: &DspMem<'_>) -> Outcome {
    for known in mem.list()? {
        let request = if known.fd >= 0 {
            remote_map::un_attr(known.fd, known.vaddr, 0)
        } else {
            remote_map::un_legacy(known.vaddr, 0)
        };
        ensure_ret!(
            remote_map::unmap(mem.file, request),
            0,
            "unmap of {known:x?}"
        );
    }
    Ok(())
}

/// A buffer, if the request is about one.
type Of = Option<Shared>;

/// One kind of mapping.
struct Kind {
    what: &'static str,
    maker: Option<Maker>,
    request: fn(&Of) -> Map,
    end: fn(&Of, u64) -> Unmap,
}

/// Number of the buffer's descriptor.
fn fd_of(one: &Of) -> RawFd {
    one.as_ref().map_or(-1, Shared::raw)
}

const KINDS: &[Kind] = &[
    Kind {
        what: "ATTR, own buffer",
        maker: Some(Maker::Own),
        request: |one| remote_map::attr(fd_of(one), 2),
        end: |one, address| remote_map::un_attr(fd_of(one), address, 0),
    },
    Kind {
        what: "ATTR, udmabuf",
        maker: Some(Maker::Scattered),
        request: |one| remote_map::attr(fd_of(one), 2),
        end: |one, address| remote_map::un_attr(fd_of(one), address, 0),
    },
    Kind {
        what: "LEGACY, own buffer",
        maker: Some(Maker::Own),
        request: |one| Map {
            flags: 6,
            fd: fd_of(one),
            ..remote_map::heap_request(4 * PAGE as u64)
        },
        end: |_, address| remote_map::un_legacy(address, 0),
    },
    Kind {
        what: "LEGACY, heap pages",
        maker: None,
        request: |_| remote_map::heap_request(4 * PAGE as u64),
        end: |_, address| remote_map::un_legacy(address, 0),
    },
];

impl Kind {
    fn buffer(&self, file: &File) -> Result<Of, Fail> {
        self.maker
            .map(|maker| Shared::new(maker, file, 4 * PAGE))
            .transpose()
    }
}

/// Ends the buffer.
fn close(file: &File, one: Of) -> Outcome {
    match one {
        Some(one) if one.handle != 0 => file.close(one.handle),
        _ => Ok(()),
    }
}

pub fn map() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for kind in KINDS {
        Sweep::of(&format!("REMOTE_MAP {}", kind.what))
            .foreign()
            .run(
                || {
                    let one = kind.buffer(&file)?;
                    Ok(((kind.request)(&one), one))
                },
                |(request, _)| {
                    raw::ioctl(file.raw(), raw::REMOTE_MAP, ptr::from_mut(request) as u64)
                },
                |(request, one), value| {
                    let mapped = agreed()?;
                    match value {
                        0 => {
                            ensure_eq!(mapped, 1, "mappings");
                            let end = (kind.end)(&one, request.vaddrout);
                            ensure_ret!(remote_map::unmap(&file, end), 0, "unmap");
                        }
                        // The address is copied back last: the mapping is there.
                        value if value == -i64::from(libc::EFAULT) => {
                            ensure!(mapped <= 1, "{mapped} mappings");
                            sim::control(CDSP, "check")?;
                            unmap_all(&mem)?;
                        }
                        _ => ensure_eq!(mapped, 0, "mappings"),
                    }
                    ensure_eq!(agreed()?, 0, "mappings at the end");
                    close(&file, one)
                },
            )?;
    }
    Ok(())
}

pub fn unmap() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for kind in KINDS {
        Sweep::of(&format!("REMOTE_MUNMAP {}", kind.what))
            .foreign()
            .run(
                || {
                    let one = kind.buffer(&file)?;
                    let address = remote_map::mapped(&file, (kind.request)(&one))?;
                    Ok(((kind.end)(&one, address), one))
                },
                |(request, _)| {
                    raw::ioctl(
                        file.raw(),
                        raw::REMOTE_MUNMAP,
                        ptr::from_mut(request) as u64,
                    )
                },
                |(_, one), value| {
                    let mapped = agreed()?;
                    match value {
                        0 => ensure_eq!(mapped, 0, "mappings"),
                        value if value == -i64::from(libc::EFAULT) => {
                            ensure!(mapped <= 1, "{mapped} mappings");
                        }
                        _ => ensure_eq!(mapped, 1, "mappings"),
                    }
                    sim::control(CDSP, "check")?;
                    unmap_all(&mem)?;
                    ensure_eq!(agreed()?, 0, "mappings at the end");
                    close(&file, one)
                },
            )?;
    }
    Ok(())
}
