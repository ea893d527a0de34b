// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Shows what buffers can do, on the simulated DSP: calls without copies, buffers
//! shared between two processes on the DSP, dma-bufs of other drivers, time
//! limits, and memory that the DSP keeps between calls.
//!
//! Usage: buffer [DSP [-]], default cdsp. With "-", standard input is a dma-buf of
//! another driver, as the example "lend" of uapi/examples gives it. Ends with
//! status 0 only if everything was as expected.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use qda::{Access, Device, Error, Heap, MapMode, Module, ProcessOptions, Session};

const ECHO: &str = "file:///libecho_skel.so?echo_skel_handle_invoke&_modver=1.0";
const MEM: &str = "file:///libmem_skel.so?mem_skel_handle_invoke&_modver=1.0";

/// Methods of the module echo: at once, and after some milliseconds.
const COPY: u32 = 2;
const DELAY: u32 = 3;
/// Methods of the module mem: read from and write to a mapping found by its tag.
const MAP_READ: u32 = 9;
const MAP_WRITE: u32 = 10;

/// What the DSP says when a tag is not mapped.
const NOT_MAPPED: u32 = 0x8000_0448;

const SIZE: u64 = 1 << 20;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let dsp = arguments.next().unwrap_or_else(|| "cdsp".into());
    let lent = match arguments.next().as_deref() {
        None => false,
        Some("-") => true,
        Some(other) => {
            eprintln!("buffer: what is \"{other}\"?");
            return ExitCode::from(2);
        }
    };
    match run(&dsp, lent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("buffer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(dsp: &str, lent: bool) -> Outcome {
    let session = Device::find(dsp)?.create_process(&ProcessOptions::new())?;
    no_copies(&session)?;
    shared(&session, dsp)?;
    if lent {
        foreign(&session, std::io::stdin())?;
    }
    time_limit(&session)?;
    kept_by_the_dsp(&session)?;
    session.exit()?;
    Ok(())
}

/// Fails with `text` if something is not as it should be.
fn expect(holds: bool, text: &str) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(text.into())
    }
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8 ^ seed).collect()
}

/// Buffers and parts of buffers as arguments, beside copied ones.
fn no_copies(session: &Session) -> Outcome {
    let echo = Module::open(session, ECHO)?;
    let (from, to) = (session.create_buffer(SIZE)?, session.create_buffer(SIZE)?);
    let sent = pattern(SIZE as usize, 1);
    from.map()?.write_at(0, &sent)?;

    let before = session.facts()?.bytes_copied;
    echo.call(COPY)
        .input_buffer(&from, ..)
        .output_buffer(&to, ..)
        .run()?;
    let copied = session.facts()?.bytes_copied;
    expect(copied.is_some() && copied == before, "bytes were copied")?;
    let memory = to.map()?;
    expect(memory.to_vec(0, SIZE as usize)? == sent, "other bytes came")?;

    // Three arguments: a part that is not aligned, an inline one, an empty one.
    let mut tail = [0; 4];
    echo.call(COPY)
        .input_buffer(&from, 4095..9000)
        .input(b"tail")
        .input(b"")
        .output_buffer(&to, 1..4906)
        .output(&mut tail)
        .output(&mut [])
        .run()?;
    expect(memory.to_vec(1, 4905)? == sent[4095..9000], "another part")?;
    expect(memory.to_vec(0, 1)? == sent[..1], "more than the part")?;
    expect(
        memory.to_vec(4906, 1)? == sent[4906..4907],
        "more than the part",
    )?;
    expect(&tail == b"tail", "another tail")?;

    // What is not in the buffer is refused before anything is sent.
    let outside = echo.call(COPY).input_buffer(&from, 1..=SIZE).run();
    expect(outside.is_err(), "a range outside of its buffer was taken")?;
    println!("buffer: {SIZE} bytes there and back, 0 copied");
    Ok(())
}

/// One buffer, two processes on the DSP: both see the same memory, and it
/// outlives the process that made it.
fn shared(session: &Session, dsp: &str) -> Outcome {
    let other = Device::find(dsp)?.create_process(&ProcessOptions::new())?;
    let sent = pattern(SIZE as usize, 2);
    let dma_buf = {
        let buffer = other.create_buffer(SIZE)?;
        let mut memory = buffer.map()?;
        memory.write_at(0, &sent)?;
        // Twice the same file gives twice the same handle; one close is not the end.
        let again = other.import(buffer.export()?)?;
        expect(again.handle() == buffer.handle(), "another handle")?;
        drop(again);
        let mut back = vec![0; 5];
        Module::open(&other, ECHO)?
            .call(COPY)
            .input_buffer(&buffer, ..5)
            .output(&mut back)
            .run()?;
        expect(back == sent[..5], "other bytes in the first process")?;
        buffer.export()?
    };
    other.exit()?;

    let buffer = session.import(&dma_buf)?;
    drop(dma_buf);
    expect(buffer.len() == SIZE, "another size")?;
    let mut back = vec![0; SIZE as usize];
    let echo = Module::open(session, ECHO)?;
    echo.call(COPY)
        .input_buffer(&buffer, ..)
        .output(&mut back)
        .run()?;
    expect(back == sent, "other bytes in the second process")?;
    // The output goes to the shared memory, too.
    let sent = pattern(SIZE as usize, 3);
    echo.call(COPY)
        .input(&sent)
        .output_buffer(&buffer, ..)
        .run()?;
    expect(
        buffer.map()?.to_vec(0, SIZE as usize)? == sent,
        "other bytes",
    )?;
    println!("buffer: shared between two processes on the DSP");
    Ok(())
}

/// A dma-buf of another driver.
fn foreign(session: &Session, dma_buf: impl AsFd) -> Outcome {
    let buffer = session.import(dma_buf)?;
    let sent = pattern(buffer.len() as usize, 4);
    let mut memory = buffer.map()?;
    // Its exporter owns the caches.
    let access = buffer.begin_access(Access::Write)?;
    memory.write_at(0, &sent)?;
    access.end()?;
    let mut back = vec![0; sent.len()];
    let echo = Module::open(session, ECHO)?;
    echo.call(COPY)
        .input_buffer(&buffer, ..)
        .output(&mut back)
        .run()?;
    expect(back == sent, "other bytes of the foreign buffer")?;
    let sent = pattern(buffer.len() as usize, 5);
    echo.call(COPY)
        .input(&sent)
        .output_buffer(&buffer, ..)
        .run()?;
    let access = buffer.begin_access(Access::Read)?;
    expect(memory.to_vec(0, sent.len())? == sent, "the DSP's bytes")?;
    access.end()?;
    println!("buffer: {} bytes of another driver", buffer.len());
    Ok(())
}

/// The end of the client's patience is not the end of the call.
fn time_limit(session: &Session) -> Outcome {
    let echo = Module::open(session, ECHO)?;
    let (limit, delay) = (Duration::from_millis(100), 5000u32);
    let mut back = [0; 4];
    let start = Instant::now();
    let error = echo
        .call(DELAY)
        .input(&delay.to_le_bytes())
        .input(b"late")
        .output(&mut back)
        .timeout(limit)
        .run()
        .err()
        .and_then(|error| error.errno());
    let waited = start.elapsed();
    expect(error == Some(libc::ETIMEDOUT), "no end of the wait")?;
    expect(waited >= limit, "the wait was too short")?;
    expect(
        waited < Duration::from_millis(delay.into()),
        "it was too long",
    )?;
    println!("buffer: a call that takes too long is given up");
    Ok(())
}

/// Memory that the DSP has between calls.
fn kept_by_the_dsp(session: &Session) -> Outcome {
    let mem = Module::open(session, MEM)?;
    let buffer = session.create_buffer(SIZE)?;
    let mut memory = buffer.map()?;
    let access = buffer.begin_access(Access::Write)?;
    memory.write_at(100, b"found by its tag")?;
    access.end()?;
    let mapping = session.map(&buffer, .., MapMode::Tagged)?;
    let tag = mapping.tag().ok_or("a mapping without tag")?;
    // The DSP holds the memory itself.
    drop(buffer);
    let place = |len: u32, offset: u64| {
        let mut bytes = Vec::from(tag.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    };
    let mut back = [0; 16];
    mem.invoke(MAP_READ, &[&place(16, 100)], &mut [&mut back])?;
    expect(&back == b"found by its tag", "other bytes by the tag")?;
    mem.invoke(MAP_WRITE, &[&place(4, 200), b"DSP!"], &mut [])?;
    expect(
        memory.to_vec(200, 4)? == b"DSP!",
        "nothing written by the tag",
    )?;
    mapping.unmap().map_err(Error::from)?;
    let gone = mem.invoke(MAP_READ, &[&place(16, 100)], &mut [&mut back]);
    let result = gone.err().and_then(|error| error.dsp_result());
    expect(
        result.map(|result| result.bits()) == Some(NOT_MAPPED),
        "still found after the end of the mapping",
    )?;
    // The CPU keeps its view.
    expect(memory.to_vec(100, 5)? == b"found", "the view of the CPU")?;

    let heap = session.add_heap(SIZE, Heap::Process)?;
    expect(heap.address() != 0 && heap.tag().is_none(), "an odd heap")?;
    heap.unmap().map_err(Error::from)?;
    println!("buffer: mapped, used by tag {tag} and unmapped");
    Ok(())
}
