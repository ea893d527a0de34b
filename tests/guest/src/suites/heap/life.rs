// SPDX-License-Identifier: GPL-2.0
//! How long heap buffers live: no longer than somebody but us wants them.

use super::*;

pub fn imports() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let heap = Heap::new(20 * PAGE)?;
    heap.map.stamp(1);
    let inode = buffer::inode(heap.raw())?;
    let handle = file.import(&heap.fd)?;
    ensure_eq!(file.import(&heap.fd)?, handle, "second import");
    ensure_eq!(
        buffer::mmap_offset(file.raw(), handle).err(),
        Some(-i64::from(libc::EINVAL)),
        "mmap offset of an import"
    );
    ensure_eq!(
        exporters::listed(heap.raw())?.devices.len(),
        0,
        "devices attached by the import"
    );
    drop(heap);
    let fd = file.export(handle)?;
    ensure_eq!(
        buffer::inode(fd.as_raw_fd())?,
        inode,
        "export of the import"
    );
    Area::shared(fd.as_raw_fd(), 20 * PAGE, 0)?.check_stamps(1, 0, 0, 20)?;
    drop(fd);
    drop(file);
    before.wait_for_return(SLACK)
}

/// More than a thousand buffers, each used once by one session that stays.
pub fn many() -> Outcome {
    const NUMBER: u64 = 1500;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let before = Held::now()?;
    let free = buffer::meminfo("MemAvailable")?;
    let mut most = 0;
    let begin = Instant::now();
    for n in 0..NUMBER {
        let heap = Heap::new(3 * PAGE)?;
        let data = heap.fill(n);
        dsp_reads(&mem, &heap, &data)?;
        drop(heap);
        if n % 50 == 0 {
            most = most.max(exporters::count()? - before.dma_bufs());
        }
    }
    println!(
        "{NUMBER} buffers in {:?}; at most {most} were left over at once",
        begin.elapsed()
    );
    ensure!(
        most < NUMBER as usize / 2,
        "{most} of {NUMBER} buffers that nobody has are kept"
    );
    before.wait_for_return(SLACK)?;
    let now = buffer::meminfo("MemAvailable")?;
    println!("available memory: {free} bytes before, {now} after");
    file.still_works()
}

/// The number of a descriptor says nothing about the buffer behind it.
pub fn number_used_again() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let mut number = None;
    for round in 0..60u64 {
        let size = (3 + (round as usize * 7) % 40) * PAGE;
        let heap = Heap::new(size)?;
        ensure_eq!(
            *number.get_or_insert(heap.raw()),
            heap.raw(),
            "number of the descriptor in round {round}"
        );
        let data = heap.fill(round);
        dsp_reads(&mem, &heap, &data)?;
        dsp_writes(&mem, &heap, round + 1000)?;
        // One page more than this buffer has, though one of before may have had it.
        let seed = 0u64.to_le_bytes();
        let mut sums = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&seed)
                .reads(0, (size + PAGE) as u64, heap.raw())
                .output(&mut sums),
        );
        ensure_ret!(value, -libc::EINVAL, "one page too many in round {round}");
    }
    Ok(())
}

/// Handle, descriptor or area of anybody keeps a buffer; our mapping alone does not.
pub fn freed_by_others() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let before = Held::now()?;
    for keeper in 0..4 {
        let heap = Heap::new(9 * PAGE)?;
        let data = heap.fill(keeper);
        dsp_reads(&mem, &heap, &data)?;
        let inode = buffer::inode(heap.raw())?;
        let there = || -> Result<bool, Fail> {
            Ok(exporters::list()?.iter().any(|entry| entry.inode == inode))
        };
        let Heap { fd, map } = heap;
        let mut map = Some(map);
        let mut handle = None;
        let (mut kept_fd, mut kept_map) = (None, None);
        match keeper {
            0 => handle = Some(file.import(&fd)?),
            1 => kept_fd = Some(fd.try_clone()?),
            2 => kept_map = map.take(),
            _ => {}
        }
        drop((fd, map));
        if keeper < 3 {
            std::thread::sleep(Duration::from_millis(1500));
            ensure!(
                there()?,
                "the buffer is gone although keeper {keeper} has it"
            );
        }
        if let Some(map) = &kept_map {
            dsp::same(&data, &map.read(0, 9 * PAGE))?;
        }
        if let Some(handle) = handle {
            file.close(handle)?;
        }
        kept_fd.take();
        kept_map.take();
        kmod::wait_for("end of the buffer", SOON, || {
            there().is_ok_and(|there| !there)
        })
        .map_err(|why| format!("keeper {keeper}: {why}"))?;
    }
    before.wait_for_return(SLACK)?;
    file.still_works()
}

pub fn dsp_leaves() -> Outcome {
    let before = Held::now()?;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let heap = Heap::new(2 * MIB + PAGE)?;
    let data = heap.fill(1);
    dsp_reads(&mem, &heap, &data)?;
    file.import(&heap.fd)?;
    sim::control(CDSP, "remove")?;
    kmod::wait_for("end of the node", SOON, || dsp::node(CDSP).is_err())?;
    ensure_eq!(
        exporters::listed(heap.raw())?.devices.len(),
        0,
        "devices attached after the DSP went"
    );
    dsp::same(&data, &heap.map.read(0, heap.size()))?;
    sim::control(CDSP, "announce")?;
    dsp::wait_node(CDSP, SOON)?;
    let new = File::with_process(CDSP)?;
    let mem = DspMem::open(&new)?;
    dsp_reads(&mem, &heap, &data)?;
    drop((file, new, heap));
    before.wait_for_return(SLACK)
}
