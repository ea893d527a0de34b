// SPDX-License-Identifier: GPL-2.0
//! A DSP that dies at any message and comes back, and that talks while it comes and goes.

use super::*;
use crate::harness::patience;
use crate::kmod;
use crate::sim;

/// Name of our driver on the bus.
const OURS: &str = "qda";
/// Time within which a DSP that crashed is back.
const BACK: Duration = Duration::from_secs(15);

/// The DSP is back and works.
fn back() -> Result<Client, Fail> {
    dsp::wait_node(CDSP, patience(BACK))?;
    Client::new()
}

/// A life with all kinds of requests; what stopped it.
fn life(seed: u32) -> Outcome {
    let client = Client::new()?;
    client.small(seed)?;
    let mut map = heap(2);
    let value = raw::ioctl(client.file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
    ensure_ret!(value, 0, "map");
    client.small(seed)?;
    unheap(&client.file, map.vaddrout, 2)
}

/// Number of requests of a life, its release included.
fn length_of_a_life() -> Result<u32, Fail> {
    let before = sim::counter("requests")?;
    life(1)?;
    wait_status("sessions", 0)?;
    Ok((sim::counter("requests")? - before) as u32)
}

/// Dies at the n-th message of a life, for all n, before or after its answer.
pub fn at_any_message() -> Outcome {
    let requests = length_of_a_life()?;
    ensure!(requests >= 9, "only {requests} requests");
    for n in 1..=requests {
        for when in ["before", "after"] {
            let what = format!("crash {when} the answer to message {n}");
            dsp::wait_node(CDSP, patience(BACK))?;
            sim::control(CDSP, &format!("in {n} crash {when} 5"))?;
            let parked = Client::new_elsewhere()?;
            let lived = life(n);
            // Only the release may be answered, or its answer missed, without anybody's knowledge.
            if when == "before" && n < requests {
                ensure!(lived.is_err(), "{what}: nobody noticed");
            }
            parked.small(n)?;
            sim::wait_counter("live_processes", patience(BACK), |now| now == 1)?;
            wait_gone_and_back()?;
            back()?.small(n).map_err(|why| format!("{what}: {why}"))?;
        }
    }
    println!("figure crashes: {}", 2 * requests);
    Ok(())
}

/// Waits until the channel has been through its restart.
fn wait_gone_and_back() -> Outcome {
    let deadline = std::time::Instant::now() + patience(BACK);
    loop {
        let state = sim::read(&format!("{CDSP}/control"))?;
        if state.starts_with("open") && dsp::node(CDSP).is_ok() {
            return Ok(());
        }
        ensure!(
            std::time::Instant::now() < deadline,
            "the channel stays {state:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Answers of before the crash, replayed after it.
pub fn replays_after_restart() -> Outcome {
    for round in 0..3u32 {
        let client = Client::new()?;
        for n in 0..40 {
            client.small(n)?;
        }
        sim::control(CDSP, "remove")?;
        drop(client);
        sim::control(CDSP, "announce")?;
        let new = back()?;
        // One call under way, which none of them may end.
        sim::control(CDSP, "delay call 200")?;
        let dropped = all_dropped(|| {
            let data = dsp::pattern(500, round);
            let mut outcome = Ok(());
            std::thread::scope(|scope| {
                let caller = scope.spawn(|| new.file.echo(new.echo, &data));
                outcome = sim::wait_counter("delayed", BACK, |now| now == 1).map(drop);
                for n in 1..=64 {
                    if outcome.is_ok() {
                        outcome = sim::control(CDSP, &format!("send old {n} 2"));
                    }
                }
                if let Ok(Err(why)) = caller.join() {
                    outcome = Err(why);
                }
            });
            outcome
        })?;
        ensure_eq!(dropped, 128, "answers of before the restart");
        new.small(round)?;
    }
    Ok(())
}

/// Packets of all kinds from the moment the endpoint is there until it is gone.
pub fn talks_while_it_comes_and_goes() -> Outcome {
    for mode in ["thread", "inline"] {
        sim::control(CDSP, mode)?;
        sim::control(CDSP, "talk 300")?;
        for rate in [0, 20_000] {
            sim::control(CDSP, &format!("storm mixed 100000000 {rate} 5"))?;
            for round in 0..2u32 {
                let client = back()?;
                client.small(round)?;
                let channel = kmod::channel(CDSP)?;
                channel.unbind(OURS)?;
                drop(client);
                channel.bind(OURS)?;
                let client = back()?;
                client.small(round)?;
                sim::control(CDSP, "remove")?;
                drop(client);
                sim::control(CDSP, "announce")?;
            }
            sim::control(CDSP, "quiet")?;
        }
        back()?.small(1)?;
        sim::control(CDSP, "talk 0")?;
    }
    sim::control(CDSP, "thread")?;
    everything(5)
}
