// SPDX-License-Identifier: GPL-2.0
//! Sizes of gigabytes, and banks without a free address.
//!
//! A dma-buf may show the same pages of a memfd many times, so most of this needs little memory.

use super::*;

/// Bytes of the memfd that large dma-bufs consist of.
const PIECE: usize = 64 << 20;

/// Limit of udmabuf in MiB, which root may change.
const UDMABUF_LIMIT: &str = "/sys/module/udmabuf/parameters/size_limit_mb";

/// A dma-buf that shows a memfd of [`PIECE`] bytes many times.
fn repeated(memfd: &OwnedFd, times: usize) -> Result<OwnedFd, Fail> {
    fs::write(UDMABUF_LIMIT, "16384")
        .map_err(|error| Fail::Skip(format!("{UDMABUF_LIMIT}: {error}")))?;
    let device = dsp::open_path(Path::new("/dev/udmabuf"))
        .map_err(|errno| Fail::Skip(format!("no /dev/udmabuf (errno {errno})")))?;
    let mut list: Vec<u64> = vec![1 | ((times as u64) << 32)];
    for _ in 0..times {
        list.extend([memfd.as_raw_fd() as u64, 0, PIECE as u64]);
    }
    let value = raw::ioctl(
        device.as_raw_fd(),
        raw::UDMABUF_CREATE_LIST,
        list.as_ptr() as u64,
    );
    match i32::try_from(value) {
        // SAFETY: The number is fresh and belongs to nobody else.
        Ok(fd) if fd >= 0 => Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }),
        _ => Err(format!("udmabuf {times} times: {}", raw::show(value)).into()),
    }
}

/// The memfd with numbers all over it.
fn numbered() -> Result<(OwnedFd, Area), Fail> {
    let memfd = exporters::memfd(PIECE)?;
    let area = Area::shared(memfd.as_raw_fd(), PIECE, 0)?;
    for page in 0..PIECE / PAGE {
        area.set_word(page * PAGE, page as u64 * 77 + 1);
    }
    Ok((memfd, area))
}

/// Fills a bank with mappings of one dma-buf after the other until there is no address left.
fn fill_bank(mem: &DspMem<'_>, memfd: &OwnedFd) -> Result<(Vec<(OwnedFd, u32)>, i64), Fail> {
    let mut all = Vec::new();
    loop {
        let fd = repeated(memfd, 1)?;
        let handle = mem.file.import(&fd)?;
        let mut out = [0; 2 * dspmem::RECORD];
        let call = NewCall::new(dspmem::ARGS)
            .read(handle, 0, PIECE as u64)
            .output(&mut out);
        let (value, _) = mem.new_call(&call);
        if value != 0 {
            mem.file.close(handle)?;
            return Ok((all, value));
        }
        all.push((fd, handle));
        ensure!(all.len() < 400, "the bank has no end");
    }
}

/// A bank of 4 GiB takes nearly 4 GiB of buffers; the next use fails cleanly, and what was mapped
/// goes on working.
pub fn addresses_run_out() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let echo = file.module("echo")?;
    let (memfd, area) = numbered()?;
    let (mut all, refused) = fill_bank(&mem, &memfd)?;
    println!("{} buffers of 64 MiB fit", all.len());
    ensure_ret!(refused, -libc::ENOMEM, "use of one buffer too many");
    ensure!(all.len() >= 56, "only {} buffers of 64 MiB fit", all.len());
    ensure_eq!(status("mappings")?, all.len() as u64, "buffers mapped");
    // Smaller ones fill what is left, or do not fit either.
    let mut small = Vec::new();
    loop {
        let handle = file.buffer(1 << 20)?;
        let call = NewCall::new(2)
            .read(handle, 0, 100)
            .write(handle, 1000, 100);
        match call.on(file.raw(), echo) {
            (0, 0) => small.push(handle),
            (value, _) => {
                ensure_ret!(value, -libc::ENOMEM, "use of a small buffer too many");
                file.close(handle)?;
                break;
            }
        }
        ensure!(small.len() < 300, "small buffers have no end");
    }
    println!("{} of 1 MiB fit behind them", small.len());
    // Everything else that needs addresses says the same; what needs none works.
    let mut request = Map {
        request: raw::LEGACY,
        flags: 0x1000,
        fd: -1,
        size: 32 << 20,
        ..Map::default()
    };
    let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut request as u64);
    ensure_ret!(value, -libc::ENOMEM, "heap in a full bank");
    let data = dsp::pattern(40 << 20, 1);
    let mut back = vec![0; 1];
    let value = Call::new(2)
        .input(&data)
        .output(&mut back)
        .on(file.raw(), echo);
    ensure_errno!(
        value,
        [libc::ENOMEM, libc::E2BIG],
        "large message in a full bank"
    );
    file.still_works()?;
    // Spot checks: every buffer shows the memfd.
    for (n, (_, handle)) in all.iter().enumerate().step_by(7) {
        let page = n * 1009 % (PIECE / PAGE);
        let expected = area.read(page * PAGE, 64);
        ensure_eq!(
            dsp_sum(&mem, *handle, (page * PAGE) as u64, 64)?,
            Checksum::of(&expected),
            "content of buffer {n}"
        );
    }
    // Another session has its own addresses.
    let other = File::with_process(CDSP)?;
    let other_mem = DspMem::open(&other)?;
    let handle = other.import(&all[0].0)?;
    dsp_sum(&other_mem, handle, 0, 4096)?;
    drop(other);
    // What is freed can be had again.
    for handle in small {
        file.close(handle)?;
    }
    for (fd, handle) in all.drain(..10) {
        file.close(handle)?;
        drop(fd);
    }
    let begin = Instant::now();
    loop {
        // The driver looks for buffers that nobody else has when it needs room, or a bit later.
        let fd = repeated(&memfd, 1)?;
        let handle = file.import(&fd)?;
        let call = NewCall::new(2)
            .read(handle, 0, 100)
            .write(handle, 8192, 100);
        match call.on(file.raw(), echo) {
            (0, 0) => break,
            (value, _) => ensure_ret!(value, -libc::ENOMEM, "use after ten were freed"),
        }
        file.close(handle)?;
        ensure!(
            begin.elapsed() < patience(Duration::from_secs(10)),
            "freed addresses do not come back"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("room again after {:?}", begin.elapsed());
    file.still_works()?;
    drop(all);
    drop(file);
    nothing_left()
}

/// A session whose bank another session has filled: no process, a clean error, and it works when
/// there is room.
pub fn create_beside_full_bank() -> Outcome {
    let mut files = Vec::new();
    let mut banks = Vec::new();
    for _ in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::with_process(CDSP)?;
        file.still_works()?;
        banks.push(sim::last_request(CDSP)?.sid());
        files.push(file);
    }
    let Some((a, b)) = (0..banks.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .find(|&(a, b)| banks[a] == banks[b])
    else {
        return Err(Fail::Skip("no bank has two sessions".into()));
    };
    drop(files.swap_remove(a));
    let file = &files[b];
    let mem = DspMem::open(file)?;
    let (memfd, _area) = numbered()?;
    let (mut all, refused) = fill_bank(&mem, &memfd)?;
    ensure_ret!(refused, -libc::ENOMEM, "use of one buffer too many");
    // Fill the rest with what is as large as the memory of a new process.
    loop {
        let handle = file.buffer(1 << 20)?;
        let mut out = [0; 2 * dspmem::RECORD];
        let call = NewCall::new(dspmem::ARGS)
            .read(handle, 0, 100)
            .output(&mut out);
        match mem.new_call(&call).0 {
            0 => {}
            value => {
                ensure_ret!(value, -libc::ENOMEM, "small buffer");
                break;
            }
        }
    }
    let creates = sim::counter("creates")?;
    for _ in 0..3 {
        let late = File::open(CDSP)?;
        ensure_ret!(late.create(), -libc::ENOMEM, "create on a full bank");
        ensure_ret!(
            NewCall::new(2).on(late.raw(), 9).0,
            -libc::ENOTCONN,
            "call after a failed create"
        );
    }
    ensure_eq!(sim::counter("creates")?, creates, "processes created");
    mem.file.still_works()?;
    for (fd, handle) in all.drain(..) {
        file.close(handle)?;
        drop(fd);
    }
    let begin = Instant::now();
    let late = File::open(CDSP)?;
    while late.create() != 0 {
        ensure!(
            begin.elapsed() < patience(Duration::from_secs(10)),
            "freed addresses do not come back"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    late.still_works()?;
    file.still_works()
}

/// The largest buffer that a bank with 32 address bits takes. The kernel aligns addresses to the
/// next power of two of the size, and the first page is never given away.
pub fn one_gib() -> Outcome {
    large_buffer(16)?;
    let (memfd, _area) = numbered()?;
    let fd = repeated(&memfd, 48)?;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let handle = file.import(&fd)?;
    let mut out = [0; 2 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS)
        .read(handle, 0, 1)
        .output(&mut out);
    ensure_ret!(
        mem.new_call(&call).0,
        -libc::ENOMEM,
        "3 GiB in 32 address bits"
    );
    file.still_works()
}

/// Offsets beyond 2^31, in both styles, as a handle and through a map.
pub fn three_gib() -> Outcome {
    large_buffer(48)
}

/// Uses of a buffer that shows the memfd many times.
fn large_buffer(times: usize) -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let (memfd, area) = numbered()?;
    let fd = repeated(&memfd, times)?;
    let size = times * PIECE;
    let handle = file.import(&fd)?;
    let whole = Area::shared(fd.as_raw_fd(), size, 0)?;
    let mut out = [0; 2 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS)
        .read(handle, 0, size as u64)
        .output(&mut out);
    ensure_eq!(mem.new_call(&call), (0, 0), "all of it as one argument");
    let base = Record::nth(&out, 0);
    ensure_eq!(
        (base.length, base.size),
        (size as u64, size as u64),
        "3 GiB"
    );
    for offset in [
        0,
        size / 3 * 2 - 100,
        size / 3 * 2,
        size / 4 * 3 + 4097,
        size - 4096,
        size - 1,
    ] {
        let length = 4096.min(size - offset);
        let inside = offset % PIECE;
        // The range may go over the end of the repeated piece.
        let mut expected = area.read(inside, length.min(PIECE - inside));
        let rest = length - expected.len();
        expected.extend(area.read(0, rest));
        let what = format!("{length} bytes at {offset:#x}");
        ensure_eq!(
            dsp_sum(&mem, handle, offset as u64, length as u64)?,
            Checksum::of(&expected),
            "by handle, {what}"
        );
        let at = whole.address() + offset as u64;
        let mut sum = [0; dspmem::SUMMED];
        let value = mem.call(
            &Call::new(dspmem::TOUCH)
                .input(&[0; 8])
                .reads(at, length as u64, fd.as_raw_fd())
                .output(&mut sum),
        );
        ensure_ret!(value, 0, "by address, {what}");
        ensure_eq!(
            Checksum::nth(&sum, 0),
            Checksum::of(&expected),
            "by address, {what}"
        );
        let record = mem
            .arg(at, length as u64, fd.as_raw_fd())
            .map_err(|value| format!("{what}: {}", raw::show(value)))?;
        ensure_eq!(record.data, base.data + offset as u64, "address, {what}");
    }
    for (offset, length) in [
        (0, size as u64 + 1),
        (size as u64 / 2, size as u64),
        (size as u64, 1),
        ((1 << 32) + 5, 1),
    ] {
        let mut out = [0; 2 * dspmem::RECORD];
        let call = NewCall::new(dspmem::ARGS)
            .read(handle, offset, length)
            .output(&mut out);
        let what = format!("{length:#x} at {offset:#x}");
        ensure_ret!(mem.new_call(&call).0, -libc::EINVAL, "{what}");
    }
    // As a handle and as a map: the numbers of the protocol have 32 bits.
    let mut out = [0; 2 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS).output(&mut out).handle(
        raw::ARG_IN,
        handle,
        5,
        size as u64 - 0x1000_0000,
        0x1000_0000,
    );
    ensure_eq!(mem.new_call(&call), (0, 0), "handle");
    let record = Record::nth(&out, 1);
    ensure_eq!(
        (record.tag(), record.length, record.size),
        ((5, size as u32 - 0x1000_0000), 0x1000_0000, size as u64),
        "what the DSP was told"
    );
    let mut request = Map {
        request: raw::ATTR,
        flags: 2,
        fd: fd.as_raw_fd(),
        ..Map::default()
    };
    let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut request as u64);
    ensure_ret!(value, 0, "map of all of it");
    let place = size / 4 * 3 + 12_345;
    let written = dsp::pattern(3000, 9);
    ensure_ret!(
        mem.map_write(fd.as_raw_fd(), place as u64, &written),
        0,
        "write near the end"
    );
    dsp::same(&written, &whole.read(place, 3000))?;
    let request = Unmap {
        request: raw::ATTR,
        fd: fd.as_raw_fd(),
        vaddr: request.vaddrout,
        ..Unmap::default()
    };
    let value = raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const request as u64);
    ensure_ret!(value, 0, "unmap of all of it");
    file.still_works()
}

/// An object of more than 2 GiB whose pages all exist. Needs a machine with memory.
pub fn two_gib_of_memory() -> Outcome {
    const SIZE: usize = (2 << 30) + PAGE;
    let available = meminfo("MemAvailable")?;
    if available < SIZE as u64 + (512 << 20) {
        return Err(Fail::Skip(format!("only {} MiB free", available >> 20)));
    }
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let (handle, area) = file.mapped(SIZE)?;
    let marks = [0, 1 << 30, (1 << 31) - 8, 1 << 31, SIZE - 8];
    for at in marks {
        area.set_word(at, at as u64 ^ 0x5555);
    }
    let begin = Instant::now();
    for at in marks {
        let expected = (at as u64 ^ 0x5555).to_le_bytes();
        ensure_eq!(
            dsp_sum(&mem, handle, at as u64, 8)?,
            Checksum::of(&expected),
            "word at {at:#x}"
        );
    }
    println!("2 GiB mapped and read in {:?}", begin.elapsed());
    let seed = 5u64.to_le_bytes();
    let mut none = [];
    let call = NewCall::new(dspmem::TOUCH)
        .input(&seed)
        .output(&mut none)
        .write(handle, (1 << 31) - 100, 4196);
    ensure_eq!(mem.new_call(&call), (0, 0), "write over 2 GiB");
    dsp::same(&dspmem::stream(5, 4196), &area.read((1 << 31) - 100, 4196))?;
    let other = File::with_process(CDSP)?;
    let fd = file.export(handle)?;
    let handle = other.import(&fd)?;
    let other_mem = DspMem::open(&other)?;
    ensure_eq!(
        dsp_sum(&other_mem, handle, (1 << 31) - 100, 4196)?,
        Checksum::of(&dspmem::stream(5, 4196)),
        "what another session reads"
    );
    Ok(())
}

/// 6 GiB in a bank with 34 address bits.
pub fn beyond_four_gib() -> Outcome {
    const TIMES: usize = 96;
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let (memfd, area) = numbered()?;
    let fd = repeated(&memfd, TIMES)?;
    let size = TIMES as u64 * PIECE as u64;
    let handle = file.import(&fd)?;
    let record = mem.new_arg(handle, 0, size)?;
    let bank = sim::last_request(CDSP)?.address >> 56;
    ensure!(bank != 0, "no stream id in the address of a message");
    ensure_eq!(record.page >> 56, bank, "stream id of the buffer");
    ensure_eq!((record.length, record.size), (size, size), "6 GiB");
    ensure!(
        record.data + size > 1 << 32,
        "{size:#x} bytes at {:#x} do not leave the 4 GiB",
        record.data
    );
    for page in [0, 1 << 20, (1 << 20) + 3, (3 << 19) - 1] {
        let offset = page as u64 * PAGE as u64;
        let expected = area.read(page * PAGE % PIECE, 4096);
        ensure_eq!(
            dsp_sum(&mem, handle, offset, 4096)?,
            Checksum::of(&expected),
            "page {page:#x}"
        );
        let found = mem.new_arg(handle, offset + 5, 100)?;
        ensure_eq!(
            found.data,
            record.data + offset + 5,
            "address in page {page:#x}"
        );
        ensure_eq!(found.pv, record.pv + offset + 5, "pv in page {page:#x}");
    }
    // A handle's offset has 32 bits, however large the buffer is.
    let mut out = [0; 2 * dspmem::RECORD];
    for (offset, length, expected) in [
        (u64::from(u32::MAX), u64::from(u32::MAX) / 4, 0),
        (1 << 32, 1, -libc::EINVAL),
        (0, 1 << 32, -libc::EINVAL),
    ] {
        let call = NewCall::new(dspmem::ARGS).output(&mut out).handle(
            raw::ARG_IN,
            handle,
            5,
            offset,
            length,
        );
        ensure_ret!(
            mem.new_call(&call).0,
            expected,
            "handle {length:#x} at {offset:#x}"
        );
    }
    // Many small ones beside it.
    let mut handles = Vec::new();
    for n in 0..100u64 {
        let (handle, area) = file.mapped(PAGE)?;
        area.set_word(0, n);
        handles.push(handle);
    }
    for (n, handle) in handles.into_iter().enumerate() {
        ensure_eq!(
            dsp_sum(&mem, handle, 0, 8)?,
            Checksum::of(&(n as u64).to_le_bytes()),
            "small buffer {n}"
        );
    }
    Ok(())
}

/// The DSP beside it has 32 address bits: the same buffer is too large there.
pub fn narrow_beside_wide() -> Outcome {
    let (memfd, _area) = numbered()?;
    let fd = repeated(&memfd, 96)?;
    let small = repeated(&memfd, 2)?;
    let file = File::with_process(ADSP)?;
    let mem = DspMem::open(&file)?;
    let handle = file.import(&fd)?;
    let mut out = [0; 2 * dspmem::RECORD];
    let call = NewCall::new(dspmem::ARGS)
        .read(handle, 0, 1)
        .output(&mut out);
    ensure_ret!(
        mem.new_call(&call).0,
        -libc::ENOMEM,
        "6 GiB in 32 address bits"
    );
    let handle = file.import(&small)?;
    let record = mem.new_arg(handle, 0, 128 << 20)?;
    ensure!(record.data + record.size <= 1 << 32, "{record:x?}");
    let wide = File::with_process(CDSP)?;
    let wide_mem = DspMem::open(&wide)?;
    let handle = wide.import(&fd)?;
    wide_mem.new_arg(handle, 0, 1)?;
    Ok(())
}
