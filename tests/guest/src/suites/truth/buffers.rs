// SPDX-License-Identifier: GPL-2.0
//! Buffers of the stock driver as the simulated DSP sees them.

use std::os::fd::{
    AsRawFd,
    OwnedFd, //
};

use super::CDSP;
use crate::buffer::Area;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dspmem::{
    self,
    Checksum,
    DspMem,
    Record, //
};
use crate::exporters;
use crate::harness::{
    Fail,
    Outcome, //
};
use crate::legacy;
use crate::mem::PAGE;
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq, //
};

/// A dma-buf of the stock driver with its area.
fn buffer(file: &File, size: usize) -> Result<(OwnedFd, Area), Fail> {
    let fd = file.stock_dma_buf(size)?;
    let area = Area::shared(fd.as_raw_fd(), size, 0)?;
    Ok((fd, area))
}

/// Edges of a picture, as the description of the filter says it.
fn sobel(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let at = |x: isize, y: isize| {
        let x = x.clamp(0, width as isize - 1) as usize;
        let y = y.clamp(0, height as isize - 1) as usize;
        i32::from(pixels[y * width + x])
    };
    let mut out = Vec::with_capacity(pixels.len());
    for y in 0..height as isize {
        for x in 0..width as isize {
            let gx = at(x + 1, y - 1) + 2 * at(x + 1, y) + at(x + 1, y + 1)
                - at(x - 1, y - 1)
                - 2 * at(x - 1, y)
                - at(x - 1, y + 1);
            let gy = at(x - 1, y + 1) + 2 * at(x, y + 1) + at(x + 1, y + 1)
                - at(x - 1, y - 1)
                - 2 * at(x, y - 1)
                - at(x + 1, y - 1);
            out.push((gx.abs() + gy.abs()).min(255) as u8);
        }
    }
    out
}

pub fn filter() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let handle = file.module("filter")?;
    // The last one needs several strips for a row of the simulated DSP.
    for (width, height) in [(1usize, 1usize), (64, 64), (257, 33), (40_000, 5)] {
        let size = (width * height).next_multiple_of(PAGE);
        let (input, from) = buffer(&file, size)?;
        let (output, to) = buffer(&file, size)?;
        let pixels = dsp::pattern(width * height, width as u32);
        from.write(0, &pixels);
        let head: Vec<u8> = [width, height, width, width]
            .iter()
            .flat_map(|&n| (n as u32).to_le_bytes())
            .collect();
        let length = (width * height) as u64;
        let value = Call::new(2)
            .input(&head)
            .reads(from.address(), length, input.as_raw_fd())
            .writes(to.address(), length, output.as_raw_fd())
            .issue(file.raw(), file.invoke_code(), handle);
        ensure_eq!(value, 0, "filter of {width} x {height}");
        let want = sobel(&pixels, width, height);
        dsp::same(&want, &to.read(0, width * height))?;
    }
    Ok(())
}

pub fn arguments() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let size = 5 * PAGE;
    let (fd, area) = buffer(&file, size)?;
    let data = dsp::pattern(size, 9);
    area.write(0, &data);
    let (first, _) = range(&mem, &area, &fd, 0, 1)?;
    for (offset, length) in [
        (0, 1),
        (0, size),
        (PAGE - 1, 2),
        (PAGE, PAGE),
        (4097, 8191),
        (size - 1, 1),
    ] {
        let (record, sum) = range(&mem, &area, &fd, offset, length)?;
        let start = offset / PAGE * PAGE;
        let end = (offset + length).next_multiple_of(PAGE);
        ensure_eq!(record.page, first.page + start as u64, "page at {offset}");
        ensure_eq!(record.size, (end - start) as u64, "pages of {length}");
        ensure_eq!(record.pv, area.address() + offset as u64, "address");
        ensure!(!record.inline, "copied");
        let want = Checksum::of(&data[offset..offset + length]);
        ensure_eq!(sum, want, "{length} bytes at {offset}");
    }
    Ok(())
}

/// What the DSP was given for a range of a buffer, and what it read there.
fn range(
    mem: &DspMem<'_>,
    area: &Area,
    fd: &OwnedFd,
    offset: usize,
    length: usize,
) -> Result<(Record, Checksum), Fail> {
    let ptr = area.address() + offset as u64;
    let record = mem
        .arg(ptr, length as u64, fd.as_raw_fd())
        .map_err(|value| format!("args gave {}", raw::show(value)))?;
    let mut out = [0; dspmem::SUMMED];
    let call = Call::new(dspmem::TOUCH)
        .input(&[0; 8])
        .reads(ptr, length as u64, fd.as_raw_fd())
        .output(&mut out);
    match mem.call(&call) {
        0 => Ok((record, Checksum::nth(&out, 0))),
        value => Err(format!("touch gave {}", raw::show(value)).into()),
    }
}

/// Buffers of scattered pages. They have areas of their own and do not overlap: the stock driver
/// takes the addresses of all arguments into account when it places the copied ones.
pub fn scattered() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    for size in [3 * PAGE, 1 << 20, 16 << 20] {
        let (input, _memfd) = exporters::udmabuf(size)?;
        let from = Area::shared(input.as_raw_fd(), size, 0)?;
        let (output, _memfd) = exporters::udmabuf(size)?;
        let to = Area::shared(output.as_raw_fd(), size, 0)?;
        let data = dspmem::stream(size as u64, size);
        from.write(0, &data);
        let mut out = [0; dspmem::SUMMED];
        let half = (size / 2) as u64;
        let call = Call::new(dspmem::TOUCH)
            .input(&[0; 8])
            .reads(from.address(), size as u64, input.as_raw_fd())
            .output(&mut out)
            .writes(to.address() + half, half, output.as_raw_fd());
        ensure_eq!(mem.call(&call), 0, "touch of {size} bytes");
        ensure_eq!(Checksum::nth(&out, 0), Checksum::of(&data), "content");
        let untouched = to.read(0, size / 2);
        ensure!(untouched.iter().all(|byte| *byte == 0), "first half");
        dsp::same(
            &dspmem::stream(0, size / 2),
            &to.read(size / 2, size / 2), //
        )?;
    }
    Ok(())
}

pub fn heap() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let mut maps = Vec::new();
    let mut total = 0;
    for pages in [1, 3, 256] {
        let size = (pages * PAGE) as u64;
        let vaddr = file
            .stock_mmap(0x1000, size)
            .map_err(|value| format!("mmap gave {}", raw::show(value)))?;
        maps.push((vaddr, size));
        total += size;
        ensure_eq!(
            mem.use_heap(pages as u64)?,
            (maps.len() as u64, total),
            "heap"
        );
    }
    ensure_eq!(sim::counter("mappings")?, 3, "mappings on the DSP");
    for (vaddr, size) in maps {
        ensure!(file.stock_munmap(vaddr, size + 1) < 0, "wrong size");
        ensure_eq!(file.stock_munmap(vaddr, size), 0, "munmap");
    }
    ensure_eq!(mem.use_heap(1)?, (0, 0), "heap");
    Ok(())
}

pub fn mem_map() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let size = 7 * PAGE;
    for flags in [0, 2, 3, 16] {
        let (fd, area) = buffer(&file, size)?;
        let number = fd.as_raw_fd();
        let vaddr = file
            .stock_mem_map(number, flags, size as u64)
            .map_err(|value| format!("mem_map gave {}", raw::show(value)))?;
        let mapped = mem
            .mapped(number)
            .map_err(|value| format!("mapped gave {}", raw::show(value)))?;
        ensure_eq!(mapped.vaddr, vaddr, "address");
        ensure_eq!((mapped.size, mapped.flags), (size as u64, flags), "map");
        let data = dsp::pattern(size - 5, flags);
        area.write(5, &data);
        let (value, read) = mem.map_read(number, 5, size - 5);
        ensure_eq!(value, 0, "read through the mapping");
        dsp::same(&data, &read)?;
        ensure_eq!(mem.map_write(number, 4095, &data[..4099]), 0, "write");
        dsp::same(&data[..4099], &area.read(4095, 4099))?;
        ensure_eq!(file.stock_mem_unmap(number, vaddr, size as u64), 0, "unmap");
        ensure!(mem.mapped(number).is_err(), "mapping is still there");
    }
    Ok(())
}

pub fn handles() -> Outcome {
    let file = legacy::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let size = 4 * PAGE;
    let (fd, area) = buffer(&file, size)?;
    let number = fd.as_raw_fd();
    let data = dsp::pattern(size, 3);
    area.write(0, &data);
    for (offset, length) in [(0, size), (1, 1), (4095, 4098)] {
        let mut out = [0; dspmem::SUMMED];
        let call = Call::new(dspmem::TOUCH)
            .input(&[0; 8])
            .output(&mut out)
            .in_handle(offset as u64, length as u64, number);
        ensure_eq!(mem.call(&call), 0, "touch of a handle");
        let want = Checksum::of(&data[offset..offset + length]);
        ensure_eq!(Checksum::nth(&out, 0), want, "{length} bytes at {offset}");
    }
    // The DSP keeps the buffer until it says otherwise, which may happen in a failing call.
    // (The stock driver maps it anew for every call.)
    ensure!(sim::counter("held")? > 0, "the DSP holds nothing");
    let value = mem.drop_tags(dsp::FAILED, &[number as u64]);
    ensure_eq!(value as u32, dsp::FAILED, "drop");
    ensure_eq!(sim::counter("held")?, 0, "buffers that the DSP holds");
    Ok(())
}
