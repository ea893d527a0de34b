// SPDX-License-Identifier: GPL-2.0
//! What one session can reach of another: with the probe module a process on the DSP reads and
//! writes any address that it is told.

use super::CDSP;
use crate::dsp::{
    self,
    Call,
    File,
    FAILED, //
};
use crate::harness::{
    case,
    expect_faults,
    Fail,
    Outcome,
    Suite, //
};
use crate::raw;
use crate::sim;
use crate::{
    ensure,
    ensure_eq,
    ensure_ret, //
};

pub const SUITE: Suite = Suite {
    name: "isolation",
    restore: None,
    cases: &[
        case("own_memory", "", own_memory),
        case("nothing_at_zero", "T113, T114", nothing_at_zero),
        case("other_session", "T113", other_session),
        case("other_prefix", "T93, T113", other_prefix),
        case("closed_session", "T71, T105", closed_session),
        case("canaries", "T17", canaries),
        case("no_kernel_addresses", "T14", no_kernel_addresses),
    ],
};

/// Bytes that a secret consists of; nothing else in these tests contains them.
const SECRET: [u8; 8] = [0xc5, 0x3a, 0x99, 0x17, 0xe2, 0x6d, 0xb1, 0x4f];

/// A buffer full of secrets.
pub(super) fn secrets(length: usize) -> Vec<u8> {
    SECRET.iter().copied().cycle().take(length).collect()
}

/// True if any part of a secret is in a buffer, at any alignment.
pub(super) fn leaks(data: &[u8]) -> bool {
    data.windows(4)
        .any(|four| (0..8).any(|turn| (0..4).all(|n| four[n] == SECRET[(turn + n) % 8])))
}

/// Lets the process of a file read memory; the value of the call and what was read.
pub(super) fn probe_read(file: &File, probe: u32, address: u64, length: usize) -> (i64, Vec<u8>) {
    let mut request = [0; 16];
    request[..8].copy_from_slice(&address.to_le_bytes());
    request[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    let mut data = vec![0xdd; length];
    let value = Call::new(2)
        .input(&request)
        .output(&mut data)
        .on(file.raw(), probe);
    (value, data)
}

/// Lets the process of a file write memory; the value of the call.
pub(super) fn probe_write(file: &File, probe: u32, address: u64, data: &[u8]) -> i64 {
    let mut request = [0; 16];
    request[..8].copy_from_slice(&address.to_le_bytes());
    request[8..12].copy_from_slice(&(data.len() as u32).to_le_bytes());
    Call::new(3)
        .input(&request)
        .input(data)
        .on(file.raw(), probe)
}

/// The last request of the DSP, which must be for a bank.
pub(super) fn last() -> Result<sim::Request, Fail> {
    let request = sim::last_request(CDSP)?;
    ensure!(
        request.sid() != 0,
        "no stream id in address {:#x}",
        request.address
    );
    Ok(request)
}

/// Shows that the probe works at all: it reads its own message, whose scalars it knows.
fn own_memory() -> Outcome {
    let file = File::with_process(CDSP)?;
    let probe = file.module("probe")?;
    let echo = file.module("echo")?;
    file.echo(echo, &secrets(1024))?;
    let request = last()?;
    let (value, data) = probe_read(&file, probe, request.address, request.size as usize);
    ensure_ret!(value, 0, "reading the own message memory");
    ensure!(
        data.iter().any(|&byte| byte != 0xdd),
        "nothing was read from {:#x}",
        request.address
    );
    Ok(())
}

fn nothing_at_zero() -> Outcome {
    let file = File::with_process(CDSP)?;
    let probe = file.module("probe")?;
    let sid = u64::from(last()?.sid()) << 32;
    let mut faults = 0;
    for address in [
        0,
        0x1000,
        sid,
        sid | 0x1000,
        sid | 0x4000_0000,
        sid | 0x8000_0000,
    ] {
        let (value, data) = probe_read(&file, probe, address, 64);
        ensure_ret!(value, raw::as_returned(FAILED), "read at {address:#x}");
        ensure!(!leaks(&data), "a secret at {address:#x}");
        let value = probe_write(&file, probe, address, &[0; 64]);
        ensure_ret!(value, raw::as_returned(FAILED), "write at {address:#x}");
        faults += 2;
    }
    expect_faults(faults);
    file.still_works()
}

/// Opens sessions until two have different banks; both with the address of their messages.
pub(super) fn two_banks() -> Result<[(File, sim::Request); 2], Fail> {
    let first = File::with_process(CDSP)?;
    first.still_works()?;
    let one = last()?;
    let mut same_bank = Vec::new();
    loop {
        let second = File::with_process(CDSP)?;
        second.still_works()?;
        let two = last()?;
        if two.sid() != one.sid() {
            return Ok([(first, one), (second, two)]);
        }
        same_bank.push(second);
        ensure!(
            same_bank.len() < 16,
            "all sessions have stream id {}",
            one.sid()
        );
    }
}

/// A second session reads and writes at the addresses where the first one has a secret.
fn other_session() -> Outcome {
    let [(owner, _), (spy, _)] = two_banks()?;
    let echo = owner.module("echo")?;
    let probe = spy.module("probe")?;
    let secret = secrets(20_000);
    owner.echo(echo, &secret)?;
    let target = last()?;
    let spy_sid = {
        spy.still_works()?;
        u64::from(last()?.sid()) << 32
    };
    let mut faults = 0;
    // The messages of both sessions may have the same address in their own spaces, so a read may
    // well succeed; what counts is whose memory it shows.
    for page in 0..8 {
        let address = spy_sid | (target.iova() + page * 4096);
        let (value, data) = probe_read(&spy, probe, address, 4096);
        ensure!(!leaks(&data), "the spy reads a secret at {address:#x}");
        if value == raw::as_returned(FAILED) {
            faults += 1;
        } else {
            ensure_ret!(value, 0, "read at {address:#x}");
        }
    }
    expect_faults(faults);
    owner.echo(echo, &secret)?;
    owner.still_works()
}

/// The stream id of another bank in an address does not open that bank.
fn other_prefix() -> Outcome {
    let [(owner, _), (spy, _)] = two_banks()?;
    let echo = owner.module("echo")?;
    let probe = spy.module("probe")?;
    let secret = secrets(8192);
    owner.echo(echo, &secret)?;
    let target = last()?;
    let mut faults = 0;
    for page in 0..3 {
        let address = target.address + page * 4096;
        let (value, data) = probe_read(&spy, probe, address, 4096);
        ensure_ret!(value, raw::as_returned(FAILED), "read at {address:#x}");
        ensure!(!leaks(&data), "the spy reads a secret at {address:#x}");
        let value = probe_write(&spy, probe, address, &[0; 4096]);
        ensure_ret!(value, raw::as_returned(FAILED), "write at {address:#x}");
        faults += 2;
    }
    expect_faults(faults);
    owner.echo(echo, &secret)?;
    spy.still_works()
}

/// After a session ended, whoever gets its bank finds nothing of it.
fn closed_session() -> Outcome {
    let owner = File::with_process(CDSP)?;
    let echo = owner.module("echo")?;
    owner.echo(echo, &secrets(2 << 20))?;
    let target = last()?;
    drop(owner);

    let mut others = Vec::new();
    let mut faults = 0;
    let mut met = false;
    for _ in 0..crate::dt::dsp(CDSP)?.capacity() {
        let spy = File::with_process(CDSP)?;
        let probe = spy.module("probe")?;
        let sid = last()?.sid();
        met |= sid == target.sid();
        for page in 0..16 {
            let address = (u64::from(sid) << 32) | (target.iova() + page * 4096);
            let (value, data) = probe_read(&spy, probe, address, 4096);
            ensure!(
                !leaks(&data),
                "a secret of the closed session at {address:#x}"
            );
            if value == raw::as_returned(FAILED) {
                faults += 1;
            }
        }
        others.push(spy);
    }
    ensure!(met, "no new session got the bank of the closed one");
    expect_faults(faults);
    Ok(())
}

/// Outputs that the DSP does not write never show what another session left.
fn canaries() -> Outcome {
    for size in [1000, 4096, 100_000] {
        let owner = File::with_process(CDSP)?;
        let echo = owner.module("echo")?;
        for _ in 0..4 {
            owner.echo(echo, &secrets(size))?;
        }
        drop(owner);
        // A probe that faults leaves its output as it was; the sessions take all banks in turn.
        let mut others = Vec::new();
        for _ in 0..crate::dt::dsp(CDSP)?.capacity() {
            let spy = File::with_process(CDSP)?;
            let probe = spy.module("probe")?;
            let (value, data) = probe_read(&spy, probe, 0, size);
            ensure_ret!(value, raw::as_returned(FAILED), "read at 0");
            expect_faults(1);
            ensure!(
                !leaks(&data),
                "an output of {size} bytes shows another session's data"
            );
            ensure!(
                data.iter().all(|&byte| byte == 0),
                "an output of {size} bytes that nobody wrote is not zero"
            );
            others.push(spy);
        }
    }
    Ok(())
}

/// Nothing in a message looks like a kernel address; the simulator scans every one for it.
fn no_kernel_addresses() -> Outcome {
    let file = File::with_process(CDSP)?;
    let probe = file.module("probe")?;
    let echo = file.module("echo")?;
    let mut outputs = vec![vec![0; 300]; 20];
    let input = dsp::pattern(300, 1);
    let mut call = Call::new(2);
    for output in &mut outputs {
        call = call.input(&input).output(output);
    }
    ensure_ret!(call.on(file.raw(), echo), 0, "echo of 20 buffers");
    let request = last()?;
    // The memory is recycled for this very call, but its own descriptors are in it then.
    let (value, data) = probe_read(&file, probe, request.address, 4096);
    ensure_ret!(value, 0, "reading the message memory");
    for (at, word) in data.chunks_exact(8).enumerate().take(10) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        ensure_eq!(
            word >> 48,
            0,
            "bits 63:48 of the word at {} ({word:#x})",
            at * 8
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_at_every_alignment() {
        let secret = secrets(64);
        for start in 0..8 {
            let mut data = vec![0; 40];
            data[17..22].copy_from_slice(&secret[start..start + 5]);
            assert!(leaks(&data), "{start}");
        }
        assert!(!leaks(&dsp::pattern(100_000, 3)));
        assert!(!leaks(&[0; 100]));
    }
}
