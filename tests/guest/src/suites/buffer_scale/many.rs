// SPDX-License-Identifier: GPL-2.0
//! Thousands of buffers: at a time, or one after the other.

use super::*;

/// 10,000 buffers of one session (2,000 on the test kernel), each used in a call. What calls
/// cost with one and with all of them is printed.
pub fn ten_thousand() -> Outcome {
    const SAMPLE: usize = 100;
    let many = rounds(10_000);
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let mut handles = Vec::new();
    let mut places = Vec::new();
    let use_one = |handle: u32, n: usize| -> Result<u64, Fail> {
        let mut out = [0; 2 * dspmem::RECORD];
        let call = NewCall::new(dspmem::ARGS)
            .read(handle, (n % PAGE) as u64, 1)
            .output(&mut out);
        match mem.new_call(&call) {
            (0, 0) => Ok(Record::nth(&out, 0).page),
            (value, result) => Err(format!("use of {n}: {}, {result:#x}", raw::show(value)).into()),
        }
    };
    let begin = Instant::now();
    for n in 0..many {
        let handle = file.buffer(PAGE)?;
        if n % 37 == 0 {
            file.map(handle, PAGE)?.set_word(0, n as u64 * 3);
        }
        places.push(use_one(handle, n)?);
        handles.push(handle);
    }
    println!("{many} buffers made and used in {:?}", begin.elapsed());
    ensure_eq!(status("mappings")?, many as u64, "buffers mapped");
    // Against a session with one buffer, in turns: other work of the machine meets both.
    let lonely = File::with_process(CDSP)?;
    let lonely_mem = DspMem::open(&lonely)?;
    let single = lonely.buffer(PAGE)?;
    let cost = |mem: &DspMem<'_>, handle: u32| -> Result<Duration, Fail> {
        let mut out = [0; 2 * dspmem::RECORD];
        let begin = Instant::now();
        for _ in 0..SAMPLE {
            let call = NewCall::new(dspmem::ARGS)
                .read(handle, 0, 1)
                .output(&mut out);
            ensure_eq!(mem.new_call(&call), (0, 0), "call");
        }
        Ok(begin.elapsed())
    };
    let (mut alone, mut among) = (Duration::MAX, Duration::MAX);
    for round in 0..12 {
        alone = alone.min(cost(&lonely_mem, single)?);
        among = among.min(cost(&mem, handles[round * (many / 12)])?);
    }
    // For the reader only: the machine may be busy with something else.
    println!("{SAMPLE} calls: {alone:?} with one buffer, {among:?} with {many}");
    drop(lonely);
    places.sort_unstable();
    places.dedup();
    ensure_eq!(places.len(), many, "different places");
    for n in (0..many).step_by(37) {
        let mut expected = [0; 16];
        expected[..8].copy_from_slice(&(n as u64 * 3).to_le_bytes());
        ensure_eq!(
            dsp_sum(&mem, handles[n], 0, 16)?,
            Checksum::of(&expected),
            "content of buffer {n}"
        );
    }
    // Half of them go one by one, the rest with the file.
    for handle in handles.drain(..many / 2) {
        file.close(handle)?;
    }
    ensure_eq!(status("mappings")?, many as u64 / 2, "buffers still mapped");
    dsp_sum(&mem, handles[0], 0, PAGE as u64)?;
    drop(file);
    nothing_left()
}

/// Buffers that are made, exported, mapped and closed, by several threads.
pub fn create_and_free() -> Outcome {
    let file = File::with_process(CDSP)?;
    let dma_bufs = exporters::count()?;
    let round = |rounds: usize| -> Outcome {
        in_threads(4, |n| {
            for round in 0..rounds {
                let size = PAGE << (round % 6);
                let (handle, area) = file.mapped(size)?;
                area.set_word(size - 8, (n * round) as u64);
                if round % 3 == 0 {
                    let fd = file.export(handle)?;
                    let other = Area::shared(fd.as_raw_fd(), size, 0)?;
                    file.close(handle)?;
                    ensure_eq!(other.word(size - 8), (n * round) as u64, "last word");
                } else {
                    file.close(handle)?;
                }
                ensure_eq!(area.word(size - 8), (n * round) as u64, "last word");
            }
            Ok(())
        })
    };
    // What the system keeps for itself is there after the first ones.
    round(50)?;
    let before = meminfo("MemAvailable")?;
    round(rounds(750))?;
    let after = meminfo("MemAvailable")?;
    ensure!(
        after + (16 << 20) > before,
        "available memory was {} MiB and is {} MiB",
        before >> 20,
        after >> 20
    );
    ensure_eq!(exporters::count()?, dma_bufs, "dma-bufs of the system");
    let memory = buffer::fdinfo_number(file.raw(), "drm-total-memory")?;
    ensure_eq!(memory, 0, "memory of the file");
    file.still_works()
}

/// Buffers of all makers, each used in one call and closed: they do not pile up.
pub fn used_once() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let dma_bufs = exporters::count()?;
    let mut most = 0;
    let number = rounds(1500);
    for round in 0..number as u32 {
        let maker = [Maker::Own, Maker::Udmabuf, Maker::Scattered][round as usize % 3];
        let one = Shared::new(maker, &file, PAGE)?;
        one.map.set_word(0, u64::from(round));
        let mut sum = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&[0; 8])
                .reads(one.at(0), 8, one.raw())
                .output(&mut sum),
        );
        ensure_ret!(value, 0, "{maker:?}, round {round}");
        ensure_eq!(
            Checksum::nth(&sum, 0),
            Checksum::of(&u64::from(round).to_le_bytes()),
            "{maker:?}, round {round}"
        );
        if one.handle != 0 {
            file.close(one.handle)?;
        }
        drop(one);
        if round % 16 == 0 {
            most = most.max(status("mappings")?);
        }
    }
    println!("at most {most} of {number} buffers were mapped at a time");
    ensure!(
        most < number as u64 * 2 / 5,
        "{most} closed buffers stay mapped"
    );
    nothing_left()?;
    // The kernel's own list: a dma-buf is gone when its file is.
    kmod::wait_for("dma-bufs go", Duration::from_secs(10), || {
        exporters::count().is_ok_and(|now| now == dma_bufs)
    })
}
