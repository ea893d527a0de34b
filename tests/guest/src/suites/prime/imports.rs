// SPDX-License-Identifier: GPL-2.0
//! Our own dma-bufs coming back, what is none, and threads that import at once.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

pub fn same_file() -> Outcome {
    let file = File::open(CDSP)?;
    let mut handles = Vec::new();
    for n in 0..5 {
        let (handle, area) = file.mapped(SIZE)?;
        area.stamp(n);
        handles.push((handle, file.export(handle)?));
    }
    for _ in 0..3 {
        for (handle, fd) in &handles {
            ensure_eq!(file.import(fd)?, *handle, "handle of an own export");
        }
    }
    // However often it was imported, one close ends it.
    let (handle, fd) = &handles[2];
    file.close(*handle)?;
    ensure_eq!(
        buffer::mmap_offset(file.raw(), *handle).err(),
        errno(libc::ENOENT),
        "handle after its close"
    );
    let again = file.import(fd)?;
    file.map(again, SIZE)?.check_stamps(2, 0, 0, PAGES)?;
    for (n, (handle, _)) in handles.iter().enumerate() {
        if n != 2 {
            file.map(*handle, SIZE)?
                .check_stamps(n as u64, 0, 0, PAGES)?;
        }
    }
    Ok(())
}

pub fn another_file() -> Outcome {
    let before = Held::now()?;
    let maker = File::open(CDSP)?;
    let taker = File::open(CDSP)?;
    // Numbers of handles differ between the files.
    taker.buffer(PAGE)?;
    taker.buffer(PAGE)?;
    let (handle, area) = maker.mapped(SIZE)?;
    area.stamp(1);
    let fd = maker.export(handle)?;
    let imported = taker.import(&fd)?;
    ensure_eq!(taker.import(&fd)?, imported, "second import");
    drop(fd);
    let other = taker.map(imported, SIZE)?;
    other.check_stamps(1, 0, 0, PAGES)?;
    other.stamp(2);
    area.check_stamps(2, 0, 0, PAGES)?;
    // Both sessions call with it: two mappings, one set of pages.
    let maker = maker.created()?;
    let taker = taker.created()?;
    let fd = maker.export(handle)?;
    let echoes = [maker.module("echo")?, taker.module("echo")?];
    let data = dsp::pattern(SIZE, 9);
    dsp_writes(&maker, echoes[0], fd.as_raw_fd(), &data)?;
    dsp::same(&data, &other.read(0, SIZE))?;
    dsp_reads(&taker, echoes[1], fd.as_raw_fd(), &data)?;
    // The maker goes; the other one keeps working with it.
    maker.close(handle)?;
    drop(maker);
    drop(area);
    dsp_reads(&taker, echoes[1], fd.as_raw_fd(), &data)?;
    drop(fd);
    let fd = taker.export(imported)?;
    dsp_reads(&taker, echoes[1], fd.as_raw_fd(), &data)?;
    dsp::same(&data, &other.read(0, SIZE))?;
    drop((other, fd, taker));
    before.wait_for_return(SLACK)
}

/// The other DSP's node is another device: our export is foreign to it.
pub fn other_node() -> Outcome {
    let before = Held::now()?;
    let maker = File::open(CDSP)?;
    let taker = File::open(ADSP)?;
    let (handle, area) = maker.mapped(SIZE)?;
    area.stamp(1);
    let fd = maker.export(handle)?;
    let inode = buffer::inode(fd.as_raw_fd())?;
    let imported = taker.import(&fd)?;
    ensure_eq!(taker.import(&fd)?, imported, "second import");
    ensure_eq!(
        buffer::mmap_offset(taker.raw(), imported).err(),
        errno(libc::EINVAL),
        "mmap offset of an import"
    );
    drop(fd);
    drop(area);
    maker.close(handle)?;
    drop(maker);
    // The way out is the way in.
    let fd = taker.export(imported)?;
    ensure_eq!(buffer::inode(fd.as_raw_fd())?, inode, "export of an import");
    ensure_eq!(
        exporters::listed(fd.as_raw_fd())?.devices.len(),
        0,
        "attached devices: nothing has used it"
    );
    Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(1, 0, 0, PAGES)?;
    // Back to a file of the first node it is the same object again.
    let third = File::open(CDSP)?;
    let back = third.import(&fd)?;
    third.map(back, SIZE)?.check_stamps(1, 0, 0, PAGES)?;
    drop((third, taker, fd));
    before.wait_for_return(SLACK)
}

pub fn no_dma_buf() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let bytes = buffer::fdinfo_number(file.raw(), "drm-total-memory")?;
    for fd in [-1, -2, 9999, i32::MIN, i32::MAX] {
        ensure_eq!(
            buffer::import(file.raw(), fd).err(),
            errno(libc::EBADF),
            "import of descriptor {fd}"
        );
    }
    let closed = file.export(file.buffer(PAGE)?)?.as_raw_fd();
    ensure_eq!(
        buffer::import(file.raw(), closed).err(),
        errno(libc::EBADF),
        "import of a closed descriptor"
    );
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two numbers.
    ensure_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "pipe");
    let open = |path: &str, flags| {
        dsp::open_with(Path::new(path), flags).map_err(|errno| format!("{path}: errno {errno}"))
    };
    let memfd = exporters::memfd(SIZE)?;
    let null = open("/dev/null", libc::O_RDWR)?;
    let folder = open("/", libc::O_RDONLY)?;
    let path = open("/dev/null", libc::O_PATH)?;
    let (socket, _peer) = passing::pair()?;
    // SAFETY: Takes numbers only.
    let event = unsafe { libc::eventfd(0, 0) };
    let other = File::open(ADSP)?;
    for (what, fd) in [
        ("a pipe", ends[0]),
        ("the other end of a pipe", ends[1]),
        ("a memfd", memfd.as_raw_fd()),
        ("/dev/null", null.as_raw_fd()),
        ("a folder", folder.as_raw_fd()),
        ("a socket", socket.as_raw_fd()),
        ("an eventfd", event),
        ("the node itself", file.raw()),
        ("the other node", other.raw()),
    ] {
        ensure_eq!(
            buffer::import(file.raw(), fd).err(),
            errno(libc::EINVAL),
            "import of {what}"
        );
    }
    ensure_eq!(
        buffer::import(file.raw(), path.as_raw_fd()).err(),
        errno(libc::EBADF),
        "import of a path descriptor"
    );
    ensure_eq!(
        buffer::fdinfo_number(file.raw(), "drm-total-memory")?,
        bytes + PAGE as u64,
        "bytes of the file: the one buffer that was made"
    );
    // SAFETY: Descriptors of this function, closed once.
    unsafe {
        libc::close(ends[0]);
        libc::close(ends[1]);
        libc::close(event);
    }
    drop((memfd, null, folder, path, socket, _peer, other, file));
    before.wait_for_return(SLACK)
}

/// Many files import the same buffers of four makers at once.
pub fn parallel() -> Outcome {
    const EACH: usize = 6;
    let before = Held::now()?;
    let maker = File::open(CDSP)?;
    let mut all = Vec::new();
    for n in 0..EACH {
        for kind in MAKERS {
            let shared = Shared::new(kind, &maker, SIZE)?;
            shared.map.stamp(n as u64);
            all.push((kind, n as u64, shared));
        }
    }
    let all = Arc::new(all);
    let inside = Arc::clone(&all);
    let barrier = Barrier::new(16);
    in_threads(16, move |n| {
        let label = if n % 3 == 0 { ADSP } else { CDSP };
        let file = File::open(label)?;
        barrier.wait();
        for round in 0..12usize {
            let mut handles = BTreeMap::new();
            for k in 0..inside.len() {
                // Everyone in another order.
                let at = (k * (2 * n as usize + 1) + round * 5) % inside.len();
                let handle = file.import(&inside[at].2.fd)?;
                if let Some(known) = handles.insert(at, handle) {
                    ensure_eq!(handle, known, "second import of buffer {at}");
                }
            }
            let mut numbers: Vec<u32> = handles.values().copied().collect();
            numbers.sort_unstable();
            numbers.dedup();
            ensure_eq!(numbers.len(), handles.len(), "handles of different buffers");
            for (&at, &handle) in &handles {
                let (kind, seed, shared) = &inside[at];
                if *kind == Maker::Own && label == CDSP {
                    file.map(handle, SIZE)?.check_stamps(*seed, 0, 0, PAGES)?;
                } else {
                    ensure_eq!(
                        buffer::mmap_offset(file.raw(), handle).err(),
                        errno(libc::EINVAL),
                        "mmap offset of {kind:?} on {label}"
                    );
                }
                let fd = file.export(handle)?;
                ensure_eq!(
                    buffer::inode(fd.as_raw_fd())?,
                    buffer::inode(shared.raw())?,
                    "export of the import of {kind:?}"
                );
                file.close(handle)?;
            }
        }
        Ok(())
    })?;
    for (_, seed, shared) in all.iter() {
        shared.map.check_stamps(*seed, 0, 0, PAGES)?;
        ensure_eq!(
            exporters::listed(shared.raw())?.devices.len(),
            0,
            "devices attached to what was only imported"
        );
    }
    drop(all);
    drop(maker);
    before.wait_for_return(SLACK)
}

/// Threads of one file import one buffer and close the handle, whoever's it is by then.
pub fn close_races() -> Outcome {
    let before = Held::now()?;
    for kind in [Maker::Own, Maker::Udmabuf] {
        let maker = File::open(CDSP)?;
        let shared = Arc::new(Shared::new(kind, &maker, SIZE)?);
        shared.map.stamp(4);
        let file = Arc::new(File::open(CDSP)?);
        let (inside, buf) = (Arc::clone(&file), Arc::clone(&shared));
        in_threads(12, move |_| {
            for _ in 0..400 {
                let handle = inside.import(&buf.fd)?;
                match buffer::mmap_offset(inside.raw(), handle) {
                    Ok(_) => ensure_eq!(kind, Maker::Own, "maker of a buffer with mmap offset"),
                    Err(value) if value == -i64::from(libc::EINVAL) => {
                        ensure!(kind != Maker::Own, "an own buffer without mmap offset");
                    }
                    // Closed by another thread meanwhile.
                    Err(value) => ensure_ret!(value, -libc::ENOENT, "mmap offset"),
                }
                match buffer::export(inside.raw(), handle) {
                    Ok(fd) => ensure_eq!(
                        buffer::inode(fd.as_raw_fd())?,
                        buffer::inode(buf.raw())?,
                        "export of the import"
                    ),
                    Err(value) => ensure_ret!(value, -libc::ENOENT, "export"),
                }
                let value = buffer::close(inside.raw(), handle);
                if value != 0 {
                    ensure_ret!(value, -libc::EINVAL, "close");
                }
            }
            Ok(())
        })?;
        ensure_eq!(
            buffer::fdinfo_number(file.raw(), "drm-total-memory")?,
            0,
            "bytes of the file at the end"
        );
        shared.map.check_stamps(4, 0, 0, PAGES)?;
    }
    before.wait_for_return(SLACK)
}
