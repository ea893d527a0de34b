// SPDX-License-Identifier: GPL-2.0
//! Other drivers' buffers on our node, and our buffers on other devices.

use std::path::Path;
use std::thread;

use super::*;
use crate::legacy;

pub fn no_mmap() -> Outcome {
    for label in [CDSP, ADSP] {
        let file = File::open(label)?;
        for kind in [Maker::Udmabuf, Maker::Scattered, Maker::Vgem] {
            let shared = Shared::new(kind, &file, SIZE)?;
            shared.map.stamp(1);
            let handle = file.import(&shared.fd)?;
            ensure_eq!(
                file.import(&shared.fd)?,
                handle,
                "second import of {kind:?}"
            );
            for _ in 0..2 {
                ensure_eq!(
                    buffer::mmap_offset(file.raw(), handle).err(),
                    errno(libc::EINVAL),
                    "mmap offset of {kind:?}"
                );
            }
            // Whatever offsets own buffers have, none leads to the import.
            let (own, area) = file.mapped(SIZE)?;
            area.stamp(2);
            let own_offset = buffer::good(buffer::mmap_offset(file.raw(), own), "mmap offset")?;
            for n in 0..64u64 {
                let offset = own_offset
                    .wrapping_add(n * SIZE as u64)
                    .wrapping_sub(SIZE as u64 * 32);
                if offset == own_offset || offset > 1 << 62 {
                    continue;
                }
                if let Ok(area) = Area::new(file.raw(), PAGE, offset, buffer::RW, libc::MAP_SHARED)
                {
                    return Err(format!("an area at {offset:#x}: {:#x}", area.word(0)).into());
                }
            }
            // The way to its bytes is its own descriptor.
            let fd = file.export(handle)?;
            ensure_eq!(
                buffer::inode(fd.as_raw_fd())?,
                buffer::inode(shared.raw())?,
                "export of the import of {kind:?}"
            );
            Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(1, 0, 0, PAGES)?;
            file.close(own)?;
        }
    }
    Ok(())
}

pub fn kept_alive() -> Outcome {
    let before = Held::now()?;
    for kind in [Maker::Udmabuf, Maker::Scattered, Maker::Vgem] {
        let file = File::open(CDSP)?;
        let shared = Shared::new(kind, &file, SIZE)?;
        shared.map.stamp(1);
        let inode = buffer::inode(shared.raw())?;
        let handle = file.import(&shared.fd)?;
        drop(shared);
        ensure!(
            exporters::list()?.iter().any(|entry| entry.inode == inode),
            "{kind:?} is gone although a handle names it"
        );
        let fd = file.export(handle)?;
        Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(1, 0, 0, PAGES)?;
        drop(fd);
        file.close(handle)?;
        kmod::wait_for("end of a buffer that nobody names", SOON, || {
            exporters::list().is_ok_and(|all| all.iter().all(|entry| entry.inode != inode))
        })?;
        // And by the end of the file instead of the close.
        let shared = Shared::new(kind, &file, SIZE)?;
        file.import(&shared.fd)?;
        drop(shared);
        drop(file);
        before.wait_for_return(SLACK)?;
    }
    Ok(())
}

/// An import counts with its size, as shared; its pages are its maker's.
pub fn fdinfo() -> Outcome {
    let file = File::open(CDSP)?;
    let mut sum = 0;
    for kind in [Maker::Udmabuf, Maker::Vgem] {
        let shared = Shared::new(kind, &file, SIZE)?;
        shared.map.stamp(1);
        let handle = file.import(&shared.fd)?;
        sum += SIZE as u64;
        let numbers = buffer::fdinfo(file.raw())?;
        ensure_eq!(numbers["drm-total-memory"], sum, "total with {kind:?}");
        ensure_eq!(numbers["drm-shared-memory"], sum, "shared with {kind:?}");
        ensure!(
            numbers["drm-resident-memory"] <= sum,
            "resident with {kind:?}: {numbers:?}"
        );
        println!("resident with {kind:?}: {}", numbers["drm-resident-memory"]);
        ensure_eq!(numbers["drm-active-memory"], 0, "active with {kind:?}");
        // Imports do not count against the limit of the file; see the suite gem.
        let _ = handle;
    }
    Ok(())
}

/// Importing attaches nothing. Each bank that uses a buffer attaches to it, once.
pub fn attached_when_used() -> Outcome {
    let before = Held::now()?;
    for kind in [Maker::Udmabuf, Maker::Scattered, Maker::Vgem] {
        let maker = File::open(CDSP)?;
        let shared = Shared::new(kind, &maker, SIZE)?;
        let data = shared.fill(3);
        let devices =
            || -> Result<Vec<String>, Fail> { Ok(exporters::listed(shared.raw())?.devices) };
        let first = File::with_process(CDSP)?;
        let second = File::with_process(ADSP)?;
        let echoes = [first.module("echo")?, second.module("echo")?];
        first.import(&shared.fd)?;
        second.import(&shared.fd)?;
        ensure_eq!(devices()?.len(), 0, "devices after two imports of {kind:?}");
        for _ in 0..5 {
            dsp_reads(&first, echoes[0], shared.raw(), &data)?;
            ensure_eq!(devices()?.len(), 1, "devices after a call with {kind:?}");
        }
        let one = devices()?;
        dsp_reads(&second, echoes[1], shared.raw(), &data)?;
        dsp_reads(&first, echoes[0], shared.raw(), &data)?;
        let two = devices()?;
        println!("{kind:?}: {one:?}, then {two:?}");
        ensure_eq!(two.len(), 2, "devices after calls of two sessions");
        // A session that ends leaves nothing attached.
        drop(first);
        kmod::wait_for("detach at the end of a session", SOON, || {
            devices().is_ok_and(|now| now.len() == 1)
        })?;
        dsp_reads(&second, echoes[1], shared.raw(), &data)?;
        drop(second);
        kmod::wait_for("detach at the end of the other session", SOON, || {
            devices().is_ok_and(|now| now.is_empty())
        })?;
        drop((shared, maker));
        before.wait_for_return(SLACK)?;
    }
    Ok(())
}

/// A session that has called with a buffer does not keep it when nobody else has it any more.
pub fn nobody_elses() -> Outcome {
    let session = File::with_process(ADSP)?;
    let echo = session.module("echo")?;
    session.echo(echo, &dsp::pattern(PAGE, 1))?;
    let maker = File::open(CDSP)?;
    let before = Held::now()?;
    for kind in MAKERS {
        for imported in [false, true] {
            let shared = Shared::new(kind, &maker, SIZE)?;
            let data = shared.fill(7);
            let handle = if imported {
                Some(session.import(&shared.fd)?)
            } else {
                None
            };
            dsp_reads(&session, echo, shared.raw(), &data)?;
            if shared.handle != 0 {
                maker.close(shared.handle)?;
            }
            drop(shared);
            if let Some(handle) = handle {
                // The handle keeps it.
                let fd = session.export(handle)?;
                dsp_reads(&session, echo, fd.as_raw_fd(), &data)?;
                drop(fd);
                session.close(handle)?;
            }
            before
                .wait_for_return(SLACK)
                .map_err(|why| format!("{kind:?}, imported {imported}: {why}"))?;
            session.echo(echo, &data)?;
        }
    }
    session.still_works()
}

/// What the DSP writes to another driver's buffer shows in that driver's own area, and the other
/// way round.
pub fn vgem_sees() -> Outcome {
    let vgem = Vgem::open()?;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    for size in [PAGE, SIZE, 1 << 20] {
        let (handle, fd) = vgem.dma_buf(size)?;
        let area = vgem.map(handle, size)?;
        let data = dsp::pattern(size, 3);
        area.write(0, &data);
        dsp_reads(&file, echo, fd.as_raw_fd(), &data)?;
        let written = dsp::pattern(size, 4);
        dsp_writes(&file, echo, fd.as_raw_fd(), &written)?;
        dsp::same(&written, &area.read(0, size))?;
        // vgem's handle goes; our import keeps the buffer usable.
        let imported = file.import(&fd)?;
        drop((area, fd));
        ensure_ret!(buffer::close(vgem.raw(), handle), 0, "vgem's close");
        let fd = file.export(imported)?;
        dsp_reads(&file, echo, fd.as_raw_fd(), &written)?;
        file.close(imported)?;
    }
    Ok(())
}

/// Another driver imports and attaches to our buffers of all sizes. It does not map them: that is
/// what the stock driver does below.
pub fn vgem_attaches() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let vgem = Vgem::open()?;
    for size in [PAGE, 3 * PAGE, 1 << 20, (2 << 20) + PAGE, 9 << 20] {
        for touched in [false, true] {
            let handle = file.buffer(size)?;
            let fd = file.export(handle)?;
            if touched {
                file.map(handle, size)?.stamp(1);
            }
            let theirs = buffer::good(
                buffer::import(vgem.raw(), fd.as_raw_fd()),
                &format!("vgem's import of {size} bytes"),
            )?;
            let devices = exporters::listed(fd.as_raw_fd())?.devices;
            ensure_eq!(devices.len(), 1, "attached devices");
            ensure!(
                devices[0].contains("vgem"),
                "the attached device is {devices:?}"
            );
            let back = buffer::good(buffer::export(vgem.raw(), theirs), "vgem's export")?;
            ensure_eq!(
                buffer::inode(back.as_raw_fd())?,
                buffer::inode(fd.as_raw_fd())?,
                "dma-buf by vgem"
            );
            ensure_eq!(file.import(&back)?, handle, "own buffer by way of vgem");
            let area = file.map(handle, size)?;
            if touched {
                area.check_stamps(1, 0, 0, size / PAGE)?;
            } else {
                ensure_eq!(area.not_zero(), None, "first byte that is not 0");
            }
            ensure_ret!(buffer::close(vgem.raw(), theirs), 0, "vgem's close");
            ensure_eq!(
                exporters::listed(fd.as_raw_fd())?.devices.len(),
                0,
                "attached devices at the end"
            );
            file.close(handle)?;
        }
    }
    drop((file, vgem));
    before.wait_for_return(SLACK)
}

/// An attached device keeps buffer and pages, whatever happens to the DSP and to the file.
pub fn vgem_keeps() -> Outcome {
    let before = Held::now()?;
    let vgem = Vgem::open()?;
    let file = File::with_process(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    area.stamp(1);
    let fd = file.export(handle)?;
    let theirs = buffer::good(buffer::import(vgem.raw(), fd.as_raw_fd()), "vgem's import")?;
    file.close(handle)?;
    drop((area, fd));
    kmod::channel(CDSP)?.unbind(OURS)?;
    drop(file);
    let fd = buffer::good(buffer::export(vgem.raw(), theirs), "vgem's export")?;
    Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(1, 0, 0, PAGES)?;
    // A device that comes only now: it gets the pages, or a clean refusal.
    let second = Vgem::open()?;
    let value = buffer::import(second.raw(), fd.as_raw_fd());
    println!("attach after the exporter went: {value:?}");
    match value {
        Ok(_) => {}
        Err(value) => ensure_ret!(value, -libc::ENODEV, "late import by vgem"),
    }
    kmod::channel(CDSP)?.bind(OURS)?;
    dsp::wait_node(CDSP, SOON)?;
    ensure!(
        kmod::references("qda")? > 0,
        "a dma-buf of the module holds no reference to it"
    );
    Area::shared(fd.as_raw_fd(), SIZE, 0)?.check_stamps(1, 0, 0, PAGES)?;
    drop((fd, vgem, second));
    before.wait_for_return(SLACK)?;
    ensure_eq!(kmod::references("qda")?, 0, "references at the end");
    File::with_process(CDSP)?.still_works()
}

/// The other DSP has its own translation: what it reads and writes are the same pages.
pub fn other_dsp() -> Outcome {
    let maker = File::with_process(CDSP)?;
    let taker = File::with_process(ADSP)?;
    let echoes = [maker.module("echo")?, taker.module("echo")?];
    for size in [PAGE, 3 * PAGE, 300_000 / PAGE * PAGE, (2 << 20) + 5 * PAGE] {
        let shared = Shared::own(&maker, size)?;
        let data = shared.fill(size as u32);
        dsp_reads(&taker, echoes[1], shared.raw(), &data)?;
        dsp_reads(&maker, echoes[0], shared.raw(), &data)?;
        let written = dsp::pattern(size, 77);
        dsp_writes(&taker, echoes[1], shared.raw(), &written)?;
        shared.holds(0, &written)?;
        dsp_reads(&maker, echoes[0], shared.raw(), &written)?;
        maker.close(shared.handle)?;
    }
    Ok(())
}

pub fn exporter_leaves() -> Outcome {
    let before = Held::now()?;
    let maker = File::with_process(CDSP)?;
    let taker = File::with_process(ADSP)?;
    let echo = taker.module("echo")?;
    let used = Shared::own(&maker, SIZE)?;
    let unused = Shared::own(&maker, SIZE)?;
    let (first, second) = (used.fill(1), unused.fill(2));
    taker.import(&unused.fd)?;
    dsp_reads(&taker, echo, used.raw(), &first)?;
    kmod::channel(CDSP)?.unbind(OURS)?;
    // What is mapped stays; the pages belong to the buffer and not to the device.
    dsp_reads(&taker, echo, used.raw(), &first)?;
    let mut back = vec![0; SIZE];
    let value = Call::new(2)
        .reads(0, SIZE as u64, unused.raw())
        .output(&mut back)
        .on(taker.raw(), echo);
    println!("first use after the exporter went: {}", raw::show(value));
    if value == 0 {
        dsp::same(&second, &back)?;
    } else {
        ensure_ret!(value, -libc::ENODEV, "first use after the exporter went");
    }
    used.holds(0, &first)?;
    taker.still_works()?;
    kmod::channel(CDSP)?.bind(OURS)?;
    dsp::wait_node(CDSP, SOON)?;
    dsp_reads(&taker, echo, used.raw(), &first)?;
    drop((maker, taker, used, unused));
    before.wait_for_return(SLACK)
}

pub fn importer_leaves() -> Outcome {
    let before = Held::now()?;
    for kind in MAKERS {
        let maker = File::open(CDSP)?;
        let shared = Shared::new(kind, &maker, SIZE)?;
        let data = shared.fill(4);
        let taker = File::with_process(ADSP)?;
        let echo = taker.module("echo")?;
        let handle = taker.import(&shared.fd)?;
        dsp_reads(&taker, echo, shared.raw(), &data)?;
        // What another node of ours made is memory of our own: no device is attached.
        let attached = usize::from(kind != Maker::Own);
        ensure_eq!(
            exporters::listed(shared.raw())?.devices.len(),
            attached,
            "devices attached to {kind:?}"
        );
        kmod::channel(ADSP)?.unbind(OURS)?;
        ensure_eq!(
            exporters::listed(shared.raw())?.devices.len(),
            0,
            "devices attached to {kind:?} after the importer's DSP went"
        );
        shared.holds(0, &data)?;
        ensure_eq!(
            buffer::export(taker.raw(), handle).err(),
            errno(libc::ENODEV),
            "export by a dead file"
        );
        kmod::channel(ADSP)?.bind(OURS)?;
        dsp::wait_node(ADSP, SOON)?;
        let new = File::with_process(ADSP)?;
        let echo = new.module("echo")?;
        dsp_reads(&new, echo, shared.raw(), &data)?;
        drop(taker);
        dsp_reads(&new, echo, shared.raw(), &data)?;
        drop((new, shared, maker));
        before
            .wait_for_return(SLACK)
            .map_err(|why| format!("{kind:?}: {why}"))?;
    }
    Ok(())
}

/// Gives the other DSP to the stock driver, or takes it back.
fn give_adsp(from: &str, to: &str) -> Outcome {
    let channel = kmod::channel(ADSP)?;
    channel.set_override(to)?;
    channel.unbind(from)?;
    channel.bind(to)?;
    ensure_eq!(channel.driver().as_deref(), Some(to), "driver of {ADSP}");
    Ok(())
}

/// The stock driver serves the other DSP. It is a device of its own that attaches to our dma-bufs
/// and maps them; what its DSP reads and writes shows that our scatter list is right.
pub fn stock_driver_maps() -> Outcome {
    if !Path::new("/lib/qda/fastrpc.ko").exists() {
        return Err(Fail::Skip(
            "the stock driver is not loaded on this kernel".into(),
        ));
    }
    let before = Held::now()?;
    kmod::must_insert("fastrpc", "")?;
    give_adsp(OURS, STOCK)?;
    let result = with_stock_driver();
    give_adsp(STOCK, OURS)?;
    kmod::channel(ADSP)?.set_override("")?;
    kmod::must_remove("fastrpc")?;
    dsp::wait_node(ADSP, SOON)?;
    result?;
    before.wait_for_return(SLACK)
}

fn with_stock_driver() -> Outcome {
    let node = "/dev/fastrpc-adsp";
    kmod::wait_for(node, SOON, || Path::new(node).exists())?;
    let stock = legacy::with_process(node)?;
    let echo = stock.module("echo")?;
    let maker = File::with_process(CDSP)?;
    let own_echo = maker.module("echo")?;
    for size in [PAGE, 3 * PAGE, 77 * PAGE, (2 << 20) + 3 * PAGE, 9 << 20] {
        let shared = Shared::own(&maker, size)?;
        let data = shared.fill(size as u32);
        let mut back = vec![0; size];
        let value = Call::new(2)
            .reads(shared.at(0), size as u64, shared.raw())
            .output(&mut back)
            .issue(stock.raw(), legacy::INVOKE, echo);
        ensure_ret!(value, 0, "{size} bytes read by the stock driver's DSP");
        dsp::same(&data, &back)?;
        let written = dsp::pattern(size, 31);
        let value = Call::new(2)
            .input(&written)
            .writes(shared.at(0), size as u64, shared.raw())
            .issue(stock.raw(), legacy::INVOKE, echo);
        ensure_ret!(value, 0, "{size} bytes written by the stock driver's DSP");
        shared.holds(0, &written)?;
        dsp_reads(&maker, own_echo, shared.raw(), &written)?;
        // The CPU's accesses go over its attachment.
        for flags in [
            raw::SYNC_START | raw::SYNC_READ | raw::SYNC_WRITE,
            raw::SYNC_END | raw::SYNC_READ | raw::SYNC_WRITE,
        ] {
            ensure_ret!(
                exporters::sync(shared.raw(), flags),
                0,
                "sync of a dma-buf that another device maps"
            );
        }
        maker.close(shared.handle)?;
    }
    // Our device goes while the other one has a buffer mapped, for a call that takes its time.
    let shared = Shared::own(&maker, 3 * PAGE)?;
    let data = shared.fill(5);
    let mut back = vec![0; 3 * PAGE];
    let milliseconds = 2000u32.to_le_bytes();
    let value = thread::scope(|scope| -> Result<i64, Fail> {
        let call = scope.spawn(|| {
            Call::new(3)
                .input(&milliseconds)
                .reads(shared.at(0), 3 * PAGE as u64, shared.raw())
                .output(&mut back)
                .issue(stock.raw(), legacy::INVOKE, echo)
        });
        let attached = kmod::wait_for("attachment of the stock driver", SOON, || {
            exporters::listed(shared.raw()).is_ok_and(|entry| entry.devices.len() == 1)
        });
        let unbound = kmod::channel(CDSP)?.unbind(OURS);
        let value = call.join().map_err(|_| "the caller panicked")?;
        kmod::channel(CDSP)?.bind(OURS)?;
        dsp::wait_node(CDSP, SOON)?;
        attached.and(unbound).map(|()| value)
    })?;
    ensure_ret!(
        value,
        0,
        "call of the stock driver's DSP whose buffer's maker went"
    );
    dsp::same(&data, &back)?;
    ensure_eq!(
        exporters::listed(shared.raw())?.devices.len(),
        0,
        "attached devices at the end"
    );
    // And it takes what is left of it anew.
    let mut back = vec![0; 3 * PAGE];
    let value = Call::new(2)
        .reads(shared.at(0), 3 * PAGE as u64, shared.raw())
        .output(&mut back)
        .issue(stock.raw(), legacy::INVOKE, echo);
    ensure_ret!(value, 0, "attach after the maker went");
    dsp::same(&data, &back)
}
