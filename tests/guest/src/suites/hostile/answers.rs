// SPDX-License-Identifier: GPL-2.0
//! Packets that are no proper answers, beside the calls that they try to end: each of them is
//! dropped and counted, and every call gives what it must.

use super::*;
use crate::sim;

/// The first packet that is too short to be an answer has one byte less.
const ANSWER: u64 = 16;
/// Longest packet of the simulated transport.
const LONGEST: u64 = 1024;

/// Gives each command and makes small calls, all packets of which must be dropped.
fn beside(client: &Client, commands: &[String], calls: u32) -> Outcome {
    let dropped = all_dropped(|| {
        for command in commands {
            sim::control(CDSP, command)?;
            for seed in 0..calls {
                client
                    .small(seed)
                    .map_err(|why| format!("{command}: {why}"))?;
            }
        }
        sim::control(CDSP, "normal")
    })?;
    let least = commands.len() as u64 * u64::from(calls);
    ensure!(dropped >= least, "{dropped} packets, at least {least}");
    println!("{dropped} packets dropped");
    Ok(())
}

pub fn several() -> Outcome {
    for copies in 1..=3 {
        let dropped = all_dropped(|| {
            // The second answer tells of a failure, so a caller who gets it knows.
            sim::control(CDSP, &format!("after answer 0x80000bad always {copies}"))?;
            everything(copies)?;
            sim::control(CDSP, &format!("after old 1 always {copies}"))?;
            everything(copies + 10)?;
            sim::control(CDSP, "normal")
        })?;
        ensure!(
            dropped > 20 * u64::from(copies) && dropped % u64::from(copies) == 0,
            "{dropped} packets with {copies} copies"
        );
    }
    Ok(())
}

/// The same again seconds later, when the slots have new owners.
pub fn much_later() -> Outcome {
    let client = Client::new()?;
    for round in 0..100 {
        client.small(round)?;
    }
    let old: Vec<_> = (1..=64)
        .map(|n| format!("before old {n} always 3"))
        .collect();
    beside(&client, &old, 1)?;
    // With a call under way whose slot may be theirs.
    let dropped = all_dropped(|| {
        for n in 1..=64 {
            sim::control(CDSP, &format!("send old {n} 3"))?;
        }
        Ok(())
    })?;
    ensure_eq!(dropped, 64 * 3, "old answers without any call");
    client.small(1)
}

pub fn lengths() -> Outcome {
    let client = Client::new()?;
    let short: Vec<_> = (0..ANSWER)
        .map(|n| format!("before short {n} always"))
        .collect();
    beside(&client, &short, 2)?;
    for n in [1u64, 16, 0x7fff_ffff, 0x8000_0000] {
        sim::control(CDSP, &format!("before negative {n} always"))?;
        client.small(1)?;
    }
    sim::control(CDSP, "normal")?;
    for n in (ANSWER..=64).chain([LONGEST]) {
        sim::control(CDSP, &format!("as long {n} always"))?;
        client
            .small(n as u32)
            .map_err(|why| format!("answers of {n} bytes: {why}"))?;
    }
    sim::control(CDSP, "normal")
}

/// Every single bit of the context word counts.
pub fn words() -> Outcome {
    let client = Client::new()?;
    let bits: Vec<_> = (0..64)
        .map(|bit| format!("before word {:#x} always", 1u64 << bit))
        .collect();
    beside(&client, &bits, 1)?;
    // Whole fields: number, slot, domain, reserved bits.
    let fields = [
        0xffff_ffff_ffff_0000u64,
        0xff00,
        0xf,
        0xf0,
        0x3,
        0xff,
        0xffff_ffff,
        u64::MAX,
    ];
    let fields = fields.map(|mask| format!("before word {mask:#x} always 2"));
    beside(&client, &fields, 2)
}

pub fn markers() -> Outcome {
    let client = Client::new()?;
    let mut commands: Vec<_> = (0..=64)
        .map(|n| format!("before marker {n} always 2"))
        .collect();
    commands.extend((0..6).map(|status| format!("after notice {status} always 2")));
    commands.extend([0, 1, u64::MAX].map(|n| format!("before signal {n} always 2")));
    beside(&client, &commands, 1)
}

/// What newer firmware sends.
pub fn newer_forms() -> Outcome {
    let client = Client::new()?;
    // Version 2 with marks that end no call, or that nobody knows.
    let no_end = [1u32, 2, 4, 6, 7, 0x100, u32::MAX];
    let no_end = no_end.map(|flags| format!("before flags {flags} always 2"));
    beside(&client, &no_end, 2)?;
    for form in ["flags 0", "flags 3", "flags 5", "version 0", "version 1"]
        .into_iter()
        .chain(["version 3", "version 0xffffffff"])
    {
        sim::control(CDSP, &format!("as {form} always"))?;
        everything(3).map_err(|why| format!("as {form}: {why}"))?;
    }
    sim::control(CDSP, "normal")
}

/// The DSP knows how words are made and answers before it is asked.
pub fn guesses() -> Outcome {
    let client = Client::new()?;
    let guesses = [1u32, 2, 3, 10, 254, 255, 256, 257, 1000, 70_000];
    let guesses = guesses.map(|n| format!("before future {n} always 2"));
    beside(&client, &guesses, 10)
}

/// Answers that are there before the send function is back, on two processors.
pub fn early() -> Outcome {
    sim::control(CDSP, "inline")?;
    let outcome = all_dropped(|| {
        sim::control(CDSP, "after answer 0x80000bad always 2")?;
        sim::control(CDSP, "scribble 5 always")?;
        in_parallel(3, |n| {
            for round in 0..3 {
                everything(100 * n + round)?;
            }
            let client = Client::new()?;
            for round in 0..200 {
                client.small(round)?;
            }
            Ok(())
        })?;
        sim::control(CDSP, "normal")
    });
    sim::control(CDSP, "thread")?;
    outcome.map(|dropped| println!("{dropped} packets dropped"))
}

/// Results are only numbers, whatever errors they look like.
pub fn results() -> Outcome {
    let client = Client::new()?;
    let mut results: Vec<u32> = [1i32, 4, 11, 32, 110, 512, 513, 514, 515, 516, 529]
        .iter()
        .map(|errno| errno.wrapping_neg() as u32)
        .collect();
    results.extend([1, 0x7fff_ffff, 0x8000_0000, 0x8000_0bad]);
    for result in results {
        let executions = sim::counter("executions")?;
        sim::control(CDSP, &format!("lie call {result:#x}"))?;
        let data = dsp::pattern(100, result);
        let mut back = vec![0; 100];
        let call = NewCall::new(2).input(&data).output(&mut back);
        ensure_eq!(
            call.on(client.file.raw(), client.echo),
            (0, result),
            "a call with result {result:#x}"
        );
        dsp::same(&data, &back)?;
        ensure_eq!(
            sim::counter("executions")?,
            executions + 1,
            "executions of a call with result {result:#x}"
        );
    }
    client.small(7)
}

/// The DSP changes its mind at the n-th message.
pub fn nth_message() -> Outcome {
    let client = Client::new()?;
    for n in [1u32, 2, 7, 40] {
        sim::control(CDSP, &format!("in {n} lie call 0x80000bad"))?;
        for round in 1..=n + 2 {
            let data = dsp::pattern(64, round);
            let mut back = vec![0; 64];
            let call = NewCall::new(2).input(&data).output(&mut back);
            let expected = if round == n { 0x8000_0bad } else { 0 };
            ensure_eq!(
                call.on(client.file.raw(), client.echo),
                (0, expected),
                "call {round} with a lie at message {n}"
            );
            dsp::same(&data, &back)?;
        }
    }
    Ok(())
}

/// A DSP that computes wrongly: these tests have to see it.
pub fn wrong_sums() -> Outcome {
    everything(1)?;
    sim::control(CDSP, "wrong always")?;
    let told = everything(1);
    let client = Client::new()?;
    let small = client.small(1);
    sim::control(CDSP, "normal")?;
    ensure!(
        matches!(&told, Err(Fail::Wrong(why)) if why.contains("calculator")),
        "wrong sums were not noticed: {told:?}"
    );
    ensure!(small.is_err(), "a wrong sum was not noticed");
    // The same with results, whose sums are right.
    sim::control(CDSP, "lie call 1 always")?;
    let told = everything(1);
    sim::control(CDSP, "normal")?;
    ensure!(told.is_err(), "wrong results were not noticed");
    everything(2)
}
