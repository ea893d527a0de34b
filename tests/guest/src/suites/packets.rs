// SPDX-License-Identifier: GPL-2.0
//! Storms of packets and the packet fuzzer, beside calls whose values are compared.
//!
//! Every packet is one that completes no call: the driver must drop all of them, and count. How many
//! there were is printed as `figure` lines. With `QDA_FUZZ_SEED` in the environment the fuzzer takes
//! that seed, and goes on for `QDA_FUZZ_SECONDS`.

use std::time::{
    Duration,
    Instant, //
};

use super::hostile::{
    all_dropped,
    everything,
    quietly,
    Client, //
};
use super::CDSP;
use crate::ensure;
use crate::harness::{
    case,
    patience,
    Fail,
    Outcome,
    Suite, //
};
use crate::sim;

pub const SUITE: Suite = Suite {
    name: "packets",
    restore: Some(restore),
    cases: &[
        case("duplicates", "T37, T45, T49", || {
            quietly(0, || storm("duplicates", 100_000))
        }),
        case("junk", "T35, T49", || quietly(0, || storm("junk", 100_000))),
        case("markers", "T41, T49", || {
            quietly(0, || storm("markers", 100_000))
        }),
        case("as_many_as_possible", "T49", || {
            quietly(0, || storm("mixed", 0))
        }),
        case("answers_inside_send", "T38, T45, T49", || {
            quietly(0, inline)
        }),
        case("fuzz", "T35, T36, T40, T50", || quietly(0, fuzz)).limit(120),
    ],
};

/// Seconds of each storm.
const STORM: u64 = 3;
/// Packets of the fuzzer for one seed, on the stock kernel.
const FUZZ: u64 = 50_000;
/// A call among packets takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn restore() -> Outcome {
    for command in ["normal", "quiet", "thread"] {
        sim::control(CDSP, command)?;
    }
    Ok(())
}

/// Calls until `done` says so: how many, and how long the slowest took.
fn calls(seed: u32, done: impl Fn() -> Result<bool, Fail>) -> Result<(u32, Duration), Fail> {
    let client = Client::new()?;
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    while !done()? {
        for _ in 0..20 {
            let begin = Instant::now();
            client.small(seed.wrapping_add(calls))?;
            slowest = slowest.max(begin.elapsed());
            calls += 2;
        }
    }
    Ok((calls, slowest))
}

/// Two threads of calls for so many seconds, or until the storm is over.
fn calls_in_storm(limit: Option<Duration>) -> Outcome {
    let begin = Instant::now();
    let done = move || match limit {
        Some(limit) => Ok(begin.elapsed() >= limit),
        None => Ok(sim::counter("storm_left")? == 0),
    };
    let threads: Vec<_> = (1..=2u32)
        .map(|n| std::thread::spawn(move || calls(n << 20, done).map_err(|why| why.to_string())))
        .collect();
    let mut outcome = Ok(());
    for thread in threads {
        match thread.join() {
            Ok(Ok((calls, slowest))) => {
                println!("{calls} calls, the slowest pair took {slowest:?}");
                if slowest > patience(PATIENCE) {
                    outcome = Err(Fail::from(format!("a pair of calls took {slowest:?}")));
                }
            }
            Ok(Err(why)) => outcome = Err(why.into()),
            Err(_) => outcome = Err("a thread panicked".into()),
        }
    }
    outcome
}

/// A storm of one kind for some seconds.
fn storm(kind: &str, rate: u64) -> Outcome {
    let begin = Instant::now();
    let packets = all_dropped(|| {
        sim::control(CDSP, &format!("storm {kind} 1000000000 {rate} 9"))?;
        calls_in_storm(Some(Duration::from_secs(STORM)))?;
        sim::control(CDSP, "quiet")
    })?;
    println!(
        "{} packets per second",
        packets * 1000 / begin.elapsed().as_millis().max(1) as u64
    );
    println!("figure packets of storms: {packets}");
    ensure!(packets > 1000, "only {packets} packets");
    everything(3)
}

/// Answers come before the send function is back, and packets beside them.
fn inline() -> Outcome {
    sim::control(CDSP, "inline")?;
    sim::control(CDSP, "after old 1 always 2")?;
    storm("mixed", 100_000)?;
    sim::control(CDSP, "normal")?;
    sim::control(CDSP, "thread")
}

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Real answers, mutated, for a few seeds.
fn fuzz() -> Outcome {
    let first = number("QDA_FUZZ_SEED").unwrap_or(1);
    // Fewer where each takes longer.
    let count = FUZZ / patience(Duration::from_secs(1)).as_secs().max(1);
    let mut fuzzed = 0;
    for seed in first..first + 3 {
        println!("seed {seed}");
        let sent = all_dropped(|| {
            // Calls take a while, so that there always is one whose word can be changed.
            sim::control(CDSP, "delay call 5 always")?;
            sim::control(CDSP, &format!("fuzz {seed} {count} 100000"))?;
            calls_in_storm(None)?;
            sim::control(CDSP, "normal")
        })?;
        // Those of negative length are not counted.
        ensure!(sent * 100 > count * 90, "only {sent} of {count} arrived");
        fuzzed += sent;
        everything(seed as u32)?;
    }
    println!("figure packets fuzzed: {fuzzed}");
    Ok(())
}
