// SPDX-License-Identifier: GPL-2.0
//! Clients of a DSP that goes and comes back all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::harness::{self, Fail};
use crate::sim;

/// Threads that play clients.
const CLIENTS: u32 = 6;

/// Removes and announces `dsp` so often (on the test kernel a third of it, at least), `pause`
/// milliseconds and a little more apart, while each of six threads plays `client` (its argument: which one) again and again. The sum of what they give.
pub fn clients_of(
    dsp: &str,
    rounds: u64,
    pause: u64,
    client: fn(u32) -> Result<u32, Fail>,
) -> Result<u32, Fail> {
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || -> Result<u32, Fail> {
                let mut good = 0;
                while !stop.load(Ordering::Relaxed) {
                    good += client(n)?;
                }
                Ok(good)
            })
        })
        .collect();
    let mut result = Ok(());
    for round in 0..(rounds / 3).max(harness::rounds(rounds as usize) as u64) {
        thread::sleep(Duration::from_millis(pause + 11 * (round % 7)));
        result = sim::control(dsp, "remove").and_then(|()| {
            thread::sleep(Duration::from_millis(round % 5 * 9));
            sim::control(dsp, "announce")
        });
        if result.is_err() {
            break;
        }
    }
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    let mut sum = 0;
    for one in threads {
        match one.join() {
            Ok(Ok(good)) => sum += good,
            Ok(Err(why)) => result = Err(why),
            Err(_) => result = Err("a thread panicked".into()),
        }
    }
    result.map(|()| sum)
}
