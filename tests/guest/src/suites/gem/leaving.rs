// SPDX-License-Identifier: GPL-2.0
//! Buffers whose DSP, device or module goes away.

use super::*;
use crate::shaky;

const SIZE: usize = 8 * PAGE;

/// Takes the DSP away, by unbind or because its channel goes; and brings it back.
#[derive(Clone, Copy, Debug)]
enum Way {
    Unbind,
    Channel,
}

impl Way {
    fn leave(self) -> Outcome {
        match self {
            Way::Unbind => kmod::channel(CDSP)?.unbind(OURS)?,
            Way::Channel => sim::control(CDSP, "remove")?,
        }
        kmod::wait_for("end of the node", SOON, || dsp::node(CDSP).is_err())
    }

    fn back(self) -> Outcome {
        match self {
            Way::Unbind => kmod::channel(CDSP)?.bind(OURS)?,
            Way::Channel => sim::control(CDSP, "announce")?,
        }
        dsp::wait_node(CDSP, SOON)?;
        Ok(())
    }
}

/// Nothing about buffers works on an open file of a device that is gone.
fn buffers_are_dead(file: &File, handle: u32, offset: u64, fd: RawFd) -> Outcome {
    let gone = Some(-i64::from(libc::ENODEV));
    ensure_eq!(buffer::create(file.raw(), 4096).err(), gone, "create");
    ensure_eq!(
        buffer::mmap_offset(file.raw(), handle).err(),
        gone,
        "offset"
    );
    ensure_eq!(buffer::export(file.raw(), handle).err(), gone, "export");
    ensure_eq!(buffer::import(file.raw(), fd).err(), gone, "import");
    ensure_ret!(
        buffer::close(file.raw(), handle),
        -libc::ENODEV,
        "close of a handle"
    );
    ensure_eq!(
        Area::new(file.raw(), SIZE, offset, buffer::RW, libc::MAP_SHARED).err(),
        Some(libc::ENODEV),
        "new area"
    );
    // The file can still be asked about itself.
    buffer::fdinfo(file.raw())?;
    Ok(())
}

pub fn areas_outlive_dsp() -> Outcome {
    for way in [Way::Unbind, Way::Channel, Way::Unbind, Way::Channel] {
        let before = Held::now()?;
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        let (handle, area) = file.mapped(SIZE)?;
        let offset = buffer::good(buffer::mmap_offset(file.raw(), handle), "mmap offset")?;
        let fd = file.export(handle)?;
        let by_fd = Area::shared(fd.as_raw_fd(), SIZE - PAGE, PAGE as u64)?;
        let lonely = {
            let other = File::open(CDSP)?;
            other.mapped(SIZE)?.1
        };
        area.stamp(1);
        lonely.stamp(2);
        // The buffer is mapped for the DSP when that goes.
        let mut back = vec![0; SIZE];
        let value = dsp::Call::new(2)
            .reads(area.address(), SIZE as u64, fd.as_raw_fd())
            .output(&mut back)
            .on(file.raw(), echo);
        ensure_ret!(value, 0, "echo of the buffer");
        dsp::same(&area.read(0, SIZE), &back)?;
        way.leave()?;
        for round in 0..2 {
            buffers_are_dead(&file, handle, offset, fd.as_raw_fd())?;
            area.check_stamps(1 + round * 10, 0, 0, SIZE / PAGE)?;
            by_fd.check_stamps(1 + round * 10, 0, 1, SIZE / PAGE - 1)?;
            lonely.check_stamps(2, 0, 0, SIZE / PAGE)?;
            // Pages are found anew, inherited and written.
            for one in [&area, &lonely] {
                one.advise(0, SIZE, libc::MADV_DONTNEED)
                    .map_err(|errno| format!("MADV_DONTNEED: errno {errno}"))?;
            }
            let end = buffer::in_child(|| {
                area.stamp(11 + round * 10);
                0
            })?;
            ensure_eq!(end, Ok(0), "end of a child that writes");
            by_fd.check_stamps(11 + round * 10, 0, 1, SIZE / PAGE - 1)?;
            // The dma-buf is a file of its own: it can be mapped, asked and synchronised.
            let again = Area::shared(fd.as_raw_fd(), SIZE, 0)?;
            again.check_stamps(11 + round * 10, 0, 0, SIZE / PAGE)?;
            for flags in [
                raw::SYNC_START | raw::SYNC_READ | raw::SYNC_WRITE,
                raw::SYNC_END | raw::SYNC_READ | raw::SYNC_WRITE,
            ] {
                let value = exporters::sync(fd.as_raw_fd(), flags);
                ensure_ret!(value, 0, "sync of a dma-buf whose device is gone");
            }
            ensure_eq!(
                buffer::size_of_fd(fd.as_raw_fd()),
                SIZE as i64,
                "size of the dma-buf"
            );
            if round == 0 {
                way.back()?;
                File::with_process(CDSP)?.still_works()?;
            }
        }
        // The new device takes the old one's dma-buf like any other's.
        let new = File::with_process(CDSP)?;
        let imported = new.import(&fd)?;
        let echo = new.module("echo")?;
        let mut back = vec![0; SIZE];
        let value = dsp::Call::new(2)
            .reads(0, SIZE as u64, fd.as_raw_fd())
            .output(&mut back)
            .on(new.raw(), echo);
        ensure_ret!(value, 0, "echo of a buffer of the device before");
        dsp::same(&area.read(0, SIZE), &back)?;
        ensure_eq!(
            buffer::mmap_offset(new.raw(), imported).err(),
            Some(-i64::from(libc::EINVAL)),
            "mmap offset of a buffer of the device before"
        );
        area.unmap(2 * PAGE, PAGE)?;
        drop(file);
        area.check_stamps(21, 0, 0, 2)?;
        drop(fd);
        by_fd.check_stamps(21, 0, 1, 1)?;
        drop((new, area, by_fd, lonely));
        before.wait_for_return(SLACK)?;
    }
    Ok(())
}

pub fn areas_outlive_module() -> Outcome {
    let before = Held::now()?;
    let drm = kmod::references("drm")?;
    let file = File::with_process(CDSP)?;
    let (handle, area) = file.mapped(SIZE)?;
    let (_, huge) = file.mapped(4 * MIB)?;
    area.stamp(1);
    huge.stamp(2);
    let fd = file.export(handle)?;
    let by_fd = Area::shared(fd.as_raw_fd(), SIZE - 2 * PAGE, 2 * PAGE as u64)?;
    drop(file);
    ensure_eq!(
        kmod::remove("qda"),
        Err(libc::EWOULDBLOCK),
        "rmmod with a dma-buf open"
    );
    drop(fd);
    let mut result = Ok(());
    for round in 1..4 {
        // No file is open: the areas alone do not hold the module.
        kmod::wait_for("module without references", SOON, || {
            kmod::references("qda").is_ok_and(|number| number == 0)
        })?;
        kmod::must_remove("qda")?;
        result = (|| {
            area.check_stamps(round, 0, 0, SIZE / PAGE)?;
            by_fd.check_stamps(round, 0, 2, SIZE / PAGE - 2)?;
            huge.check_stamps(round + 1, 0, 0, 4 * MIB / PAGE)?;
            for one in [&area, &huge] {
                one.advise(0, one.length(), libc::MADV_DONTNEED)
                    .map_err(|errno| format!("MADV_DONTNEED: errno {errno}"))?;
            }
            let end = buffer::in_child(|| {
                area.stamp(round + 1);
                huge.stamp(round + 2);
                0
            })?;
            ensure_eq!(end, Ok(0), "end of a child that writes");
            area.check_stamps(round + 1, 0, 0, SIZE / PAGE)
        })();
        kmod::must_insert("qda", "")?;
        for label in [CDSP, ADSP] {
            dsp::wait_node(label, SOON)?;
        }
        if result.is_err() {
            break;
        }
        let file = File::with_process(CDSP)?;
        let (_, fresh) = file.mapped(4 * MIB)?;
        ensure_eq!(fresh.not_zero(), None, "first byte that is not 0");
        huge.check_stamps(round + 2, 0, 0, 4 * MIB / PAGE)?;
    }
    result?;
    ensure_eq!(kmod::references("drm")?, drm, "references of drm");
    drop((area, by_fd, huge));
    before.wait_for_return(SLACK)
}

/// Clients that make, map, export and call with buffers while the DSP comes and goes.
pub fn under_load() -> Outcome {
    let before = Held::now()?;
    let good = shaky::clients_of(CDSP, 24, 60, client_of_a_shaky_dsp)?;
    println!("{good} rounds with buffers succeeded meanwhile");
    ensure!(good > 0, "no round ever succeeded");
    dsp::wait_node(CDSP, SOON)?;
    File::with_process(CDSP)?.still_works()?;
    before.wait_for_return(SLACK)
}

/// Uses buffers of the DSP if it is there, until it is gone; the number of good rounds.
fn client_of_a_shaky_dsp(seed: u32) -> Result<u32, Fail> {
    let seed = u64::from(seed);
    let Ok(file) = File::open(CDSP) else {
        thread::sleep(Duration::from_millis(1));
        return Ok(0);
    };
    let echo = if seed % 2 == 0 && file.create() == 0 {
        file.module("echo").ok()
    } else {
        None
    };
    let mut good = 0;
    let mut kept: Vec<Area> = Vec::new();
    for round in 0..50u64 {
        let gone = |value: i64, what: &str| -> Outcome {
            ensure_errno!(
                value,
                [libc::ENODEV, libc::EPIPE, libc::ECONNRESET],
                "{what}"
            );
            Ok(())
        };
        let handle = match buffer::create(file.raw(), SIZE as u64) {
            Ok(handle) => handle,
            Err(value) => {
                gone(value, "create")?;
                break;
            }
        };
        let offset = match buffer::mmap_offset(file.raw(), handle) {
            Ok(offset) => offset,
            Err(value) => {
                gone(value, "mmap offset")?;
                break;
            }
        };
        let area = match Area::new(file.raw(), SIZE, offset, buffer::RW, libc::MAP_SHARED) {
            Ok(area) => area,
            Err(errno) => {
                gone(-i64::from(errno), "mmap")?;
                break;
            }
        };
        area.stamp((seed << 8) | round);
        let fd = match buffer::export(file.raw(), handle) {
            Ok(fd) => fd,
            Err(value) => {
                gone(value, "export")?;
                break;
            }
        };
        if let Some(echo) = echo {
            let mut back = vec![0; SIZE];
            let value = dsp::Call::new(2)
                .reads(area.address(), SIZE as u64, fd.as_raw_fd())
                .output(&mut back)
                .on(file.raw(), echo);
            if value == 0 {
                dsp::same(&area.read(0, SIZE), &back)?;
            } else {
                gone(value, "call")?;
            }
        }
        area.check_stamps((seed << 8) | round, 0, 0, SIZE / PAGE)?;
        good += 1;
        kept.push(area);
    }
    for (round, area) in kept.iter().enumerate() {
        area.check_stamps((seed << 8) | round as u64, 0, 0, SIZE / PAGE)?;
    }
    drop(file);
    for (round, area) in kept.iter().enumerate() {
        area.check_stamps((seed << 8) | round as u64, 0, 0, SIZE / PAGE)?;
    }
    Ok(good)
}
