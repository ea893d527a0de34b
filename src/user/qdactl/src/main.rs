// SPDX-License-Identifier: GPL-2.0 OR MIT
//! qdactl: shows the DSPs of the qda driver and runs jobs on them.
//!
//! | module | question |
//! |---|---|
//! | [`cli`] | what was asked for |
//! | [`input`] | which numbers are in the file |
//! | [`job`] | what the DSP and the CPU make of them |
//! | [`picture`] | which pixels are in a PNG file |
//! | [`edges`] | what the DSP and the CPU make of them |
//! | [`report`] | how facts and results are shown, as text or JSON |
//! | [`failure`] | what went wrong, in words and as exit status |
//!
//! No `unsafe` here: the crate `qda` talks to the kernel.

#![forbid(unsafe_code)]

mod cli;
mod edges;
mod failure;
mod input;
mod job;
mod picture;
mod report;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use qda::{Device, Session};

use crate::cli::{Arguments, Command, Target};
use crate::failure::Failure;
use crate::job::Wanted;
use crate::report::{EdgesReport, ExplainReport, JobReport, ListReport, NodeReport, Report};

/// Time between two looks for a DSP that is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if arguments.json {
                // Nothing more can be done if standard output is gone too.
                let _ = writeln!(std::io::stdout(), "{}", failure.to_json());
            }
            eprintln!("qdactl: {failure}");
            if let Some(hint) = failure.hint() {
                eprintln!("qdactl: {hint}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List => {
            let scan = qda::scan(qda::ACCEL_DIR)?;
            if scan.devices.is_empty() {
                return Err(Failure::nothing_found(&scan, None));
            }
            print(&ListReport::new(&scan), arguments.json)
        }
        Command::Info { target } => {
            let device = open(target)?;
            print(&NodeReport::new(&device)?, arguments.json)
        }
        Command::Calc { target, file } => run_job(arguments, target, file, Wanted::Both),
        Command::Sum { target, file } => run_job(arguments, target, file, Wanted::Sum),
        Command::Max { target, file } => run_job(arguments, target, file, Wanted::Max),
        Command::Filter {
            target,
            input,
            output,
        } => filter(arguments, target, input, output),
        Command::Explain { codes } => print(&ExplainReport::new(codes), arguments.json),
    }
}

fn run_job(
    arguments: &Arguments,
    target: &Target,
    file: &str,
    wanted: Wanted,
) -> Result<(), Failure> {
    let numbers = input::read(file)?;
    let session = start(open(target)?)?;
    let facts = session.facts()?;
    let outcome = job::run(&session, &numbers, wanted)?;
    let report = JobReport::new(
        session.device().dsp(),
        session.device().path(),
        &facts,
        file,
        &outcome,
    );
    print(&report, arguments.json)?;
    if !report.agree {
        return Err(Failure::Differ);
    }
    Ok(())
}

fn filter(
    arguments: &Arguments,
    target: &Target,
    input: &Path,
    output: &Path,
) -> Result<(), Failure> {
    let picture = picture::read(input)?;
    let session = start(open(target)?)?;
    let facts = session.facts()?;
    let edges = edges::run(&session, &picture)?;
    let report = EdgesReport::new(
        session.device().dsp(),
        session.device().path(),
        &facts,
        (input, output),
        &edges,
    );
    // The file first: the report says that it is there.
    if report.agree {
        picture::write(output, &edges.picture).map_err(|source| Failure::Write {
            file: output.into(),
            source,
        })?;
    }
    print(&report, arguments.json)?;
    if !report.agree {
        return Err(Failure::Differ);
    }
    Ok(())
}

/// Opens the DSP that the command line names, and waits for it if that was asked.
fn open(target: &Target) -> Result<Device, Failure> {
    let deadline = Instant::now() + Duration::from_secs(target.wait.into());
    loop {
        let failure = match try_open(target) {
            Ok(device) => return Ok(device),
            Err(failure) => failure,
        };
        let absent = matches!(failure, Failure::NoDevice(_) | Failure::NotLoaded);
        if !absent || Instant::now() >= deadline {
            return Err(failure);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn try_open(target: &Target) -> Result<Device, Failure> {
    Ok(match &target.device {
        Some(path) => Device::open(path)?,
        None => Device::find(&target.dsp)?,
    })
}

fn start(device: Device) -> Result<Session, Failure> {
    let dsp = device.dsp().to_string();
    device
        .create_process(&qda::ProcessOptions::new())
        .map_err(|error| Failure::starting(&dsp, error))
}

fn print(report: &impl Report, json: bool) -> Result<(), Failure> {
    let mut text = if json { report.json() } else { report.text() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}
