// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Calls the echo module of the simulated DSP from several threads, and shows
//! how a DSP's refusal looks to a program.
//!
//! Usage: echo [DSP], default cdsp. Ends with status 0 only if every byte came
//! back and every refusal was the expected one.

use std::process::ExitCode;

use qda::{Argument, Device, DspResult, Error, Module, ProcessOptions, Session};

const ECHO: &str = "file:///libecho_skel.so?echo_skel_handle_invoke&_modver=1.0";
const FAIL: &str = "file:///libfail_skel.so?fail_skel_handle_invoke&_modver=1.0";
const ABSENT: &str = "file:///libabsent_skel.so?absent_skel_handle_invoke&_modver=1.0";

/// Method of both modules.
const METHOD: u32 = 2;

fn main() -> ExitCode {
    let dsp = std::env::args().nth(1).unwrap_or_else(|| "cdsp".into());
    match run(&dsp) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(dsp: &str) -> Result<(), Box<dyn std::error::Error>> {
    let session = Device::find(dsp)?.create_process(&ProcessOptions::new())?;
    let echo = Module::open(&session, ECHO)?;

    // A module may be used by several threads at the same time.
    std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|seed| {
            scope.spawn({
                let echo = &echo;
                move || talk(echo, seed)
            })
        });
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Err("a thread panicked".into())))
    })?;
    println!("echo: 4 threads, every byte came back");

    refusals(&session)?;
    echo.close()?;
    session.exit()?;
    Ok(())
}

/// Sends buffers of many sizes and compares what comes back.
fn talk(echo: &Module<'_>, seed: u8) -> Result<(), String> {
    for size in [0, 1, 127, 128, 129, 4095, 4096, 4097, 65536] {
        let sent: Vec<u8> = (0..size).map(|i| (i as u8) ^ seed).collect();
        let mut back = vec![0xee; size];
        echo.invoke(METHOD, &[&sent, b"tail"], &mut [&mut back, &mut [0; 4]])
            .map_err(|error| error.to_string())?;
        if back != sent {
            return Err(format!("{size} bytes came back changed"));
        }
    }
    Ok(())
}

/// Results of the DSP arrive with all their bits and are not errno values.
fn refusals(session: &Session) -> Result<(), Box<dyn std::error::Error>> {
    let fail = Module::open(session, FAIL)?;
    for bits in [1, 0x8000_040d, 0x8000_0414, 0x8000_042c, 0x7fff_ffff] {
        let wanted = DspResult::from_bits(bits);
        match fail.invoke(METHOD, &[&bits.to_le_bytes()], &mut []) {
            Err(Error::Dsp { result, .. }) if result == wanted => println!("echo: {result}"),
            other => return Err(format!("{wanted}: {other:?}").into()),
        }
        let scalars = (METHOD << 24) | (1 << 16);
        let raw = bits.to_le_bytes();
        let result = session.invoke_raw(fail.handle(), scalars, &mut [Argument::In(&raw)])?;
        if result != wanted {
            return Err(format!("{wanted}: the raw call gave {result}").into());
        }
    }
    match Module::open(session, ABSENT) {
        Err(error @ Error::Load { .. }) => println!("echo: {error}"),
        other => return Err(format!("an absent module: {other:?}").into()),
    }
    match session.invoke(1, 0, &[], &mut []) {
        Err(error) if error.errno() == Some(1) => println!("echo: {error}"),
        other => return Err(format!("the kernel's handle: {other:?}").into()),
    }
    Ok(())
}
