// SPDX-License-Identifier: GPL-2.0
//! Tests of qda.ko that run inside the guest, against the simulated DSP or the stock driver.
//!
//! ```text
//! qda-guest-test [--list] [SUITE[.CASE]...]
//! qda-guest-test fuzz --seed N [--steps N] [--mode WORDS] [--quiet]
//! qda-guest-test --checked NAME COMMAND...
//! qda-guest-test --end NUMBER
//! ```
//!
//! The last two are for suites that are shell scripts: `--checked` runs a command and makes the checks
//! of a case, `--end` prints the result of the test for lost memory, if this kernel can tell.
//!
//! Prints KTAP; the exit status is 0 if no case failed, 1 if one did, 2 for a wrong command
//! line. The modules have to be loaded; the scripts beside this crate do that. Malformed requests
//! are part of the job, so the program issues ioctls itself ([`raw`], [`dsp`]) and does not use
//! the safe client library.
//!
//! * [`dsp`], [`calls`], [`buffer`] and [`shared`] are the clients of the interface;
//! * [`harness`] runs cases, each in a process of its own, and prints KTAP;
//! * [`checks`] are made after every case ([`kmsg`] reads the log, [`sim`] the simulator), [`leaks`]
//!   at the end;
//! * [`suites`] holds the cases, [`children`] the programs that they start beside themselves,
//!   [`crowd`] the processes that they fork.

mod buffer;
mod calls;
mod checks;
mod children;
mod crowd;
mod dsp;
mod dspmem;
mod dt;
mod exporters;
mod harness;
mod kmod;
mod kmsg;
mod leaks;
mod legacy;
mod mem;
mod passing;
mod raw;
mod refusals;
mod shaky;
mod shared;
mod sim;
mod suites;

use std::process::ExitCode;

use harness::{
    Case,
    Suite, //
};

/// Exit status for a wrong command line.
const USAGE: u8 = 2;

/// The cases that a word of the command line names.
fn choose(word: &str) -> Vec<(&'static Suite, &'static Case)> {
    let (suite_name, case_name) = match word.split_once('.') {
        Some((suite, case)) => (suite, Some(case)),
        None => (word, None),
    };
    suites::ALL
        .iter()
        .filter(|suite| suite.name == suite_name)
        .flat_map(|suite| suite.cases.iter().map(move |case| (*suite, case)))
        .filter(|(_, case)| case_name.is_none_or(|name| name == case.name))
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--child") => return children::run(&arguments[1..]),
        Some("--case") => {
            return match arguments.get(1).map(|word| choose(word)).as_deref() {
                Some([(suite, case)]) => harness::run_body(suite, case),
                _ => ExitCode::from(USAGE),
            };
        }
        Some("--checked") if arguments.len() > 2 => {
            return harness::run_command(&arguments[1], &arguments[2..]);
        }
        Some("--end") => {
            return match arguments.get(1).map(|number| number.parse()) {
                Some(Ok(number)) => harness::run_end(number),
                _ => ExitCode::from(USAGE),
            };
        }
        Some("fuzz") if arguments.len() > 1 => {
            return match suites::replay(&arguments[1..]) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(why) => {
                    eprintln!("qda-guest-test fuzz: {why}");
                    ExitCode::from(USAGE)
                }
            };
        }
        Some("--list") => {
            for suite in suites::ALL {
                for case in suite.cases {
                    println!("{}.{}  covers: {}", suite.name, case.name, case.covers);
                }
            }
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if arguments.is_empty() {
        eprintln!("usage: qda-guest-test [--list] [SUITE[.CASE]...]");
        return ExitCode::from(USAGE);
    }
    let mut chosen = Vec::new();
    for word in &arguments {
        let found = choose(word);
        if found.is_empty() {
            eprintln!("qda-guest-test: there is no suite or case {word}");
            return ExitCode::from(USAGE);
        }
        chosen.extend(found);
    }
    if harness::run(&chosen) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_found() {
        let mut seen = BTreeSet::new();
        for suite in suites::ALL {
            for case in suite.cases {
                let name = format!("{}.{}", suite.name, case.name);
                assert!(seen.insert(name.clone()), "{name} twice");
                assert_eq!(choose(&name).len(), 1, "{name}");
            }
            assert_eq!(choose(suite.name).len(), suite.cases.len());
        }
        assert!(choose("call.nothing").is_empty());
    }

    #[test]
    fn trap_numbers_are_well_formed() {
        for suite in suites::ALL {
            for case in suite.cases {
                for row in case
                    .covers
                    .split(',')
                    .map(str::trim)
                    .filter(|row| !row.is_empty())
                {
                    let number: u32 = row
                        .strip_prefix('T')
                        .and_then(|digits| digits.parse().ok())
                        .unwrap_or_else(|| panic!("{}.{}: {row}", suite.name, case.name));
                    assert!((1..=188).contains(&number), "{row}");
                }
            }
        }
    }
}
