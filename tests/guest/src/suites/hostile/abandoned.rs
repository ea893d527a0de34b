// SPDX-License-Identifier: GPL-2.0
//! Calls that the DSP answers late or never, and replies to the kernel that are not true.

use super::*;
use crate::calls;
use crate::sim;

/// Makes a call that is given up after `ms` milliseconds.
fn given_up(client: &Client, ms: u64, data: &[u8], back: &mut [u8]) -> Outcome {
    let until = calls::now_ns() + ms * 1_000_000;
    let call = NewCall::new(2).input(data).output(back).until(until);
    ensure_ret!(
        call.on(client.file.raw(), client.echo).0,
        -libc::ETIMEDOUT,
        "call without answer"
    );
    Ok(())
}

/// The DSP writes into the messages of calls that nobody waits for, as long as it likes.
pub fn written_to() -> Outcome {
    let client = Client::new()?;
    let neighbour = Client::new()?;
    let mappings = status("mappings")?;
    for round in 0..2u32 {
        let calls = 5;
        sim::control(CDSP, &format!("ignore call {calls}"))?;
        let mut outs = vec![vec![0; 3000]; calls];
        for (n, out) in outs.iter_mut().enumerate() {
            given_up(&client, 20, &dsp::pattern(3000, n as u32), out)?;
        }
        ensure_eq!(status("calls")?, calls as u64, "calls without answer");
        for seed in 1..=10 {
            sim::control(CDSP, &format!("haunt {seed}"))?;
            // With all memory that is not theirs.
            for n in 0..8 {
                client.small(seed * 100 + n)?;
                neighbour.small(seed * 100 + n)?;
            }
        }
        everything(round)?;
        sim::control(CDSP, "check")?;
        // At last it answers all of them.
        sim::control(CDSP, "settle 0")?;
        wait_status("calls", 0)?;
        wait_status("mappings", mappings)?;
        ensure!(
            std::hint::black_box(&outs)
                .iter()
                .flatten()
                .all(|&b| b == 0),
            "an output was written after its call was given up"
        );
        client.small(round)?;
        neighbour.small(round)?;
    }
    Ok(())
}

/// The process ends before the answers: they are not waited for, and nothing stays.
pub fn never_answered() -> Outcome {
    for round in 0..3u32 {
        let neighbour = Client::new()?;
        {
            let client = Client::new()?;
            sim::control(CDSP, "ignore call 4")?;
            let mut out = vec![0; 2000];
            for n in 0..4 {
                given_up(&client, 10, &dsp::pattern(2000, n), &mut out)?;
            }
            sim::control(CDSP, "haunt 99")?;
            sim::control(CDSP, "check")?;
            client.small(round)?;
        }
        neighbour.small(round)?;
        drop(neighbour);
        wait_status("sessions", 0)?;
        wait_status("mappings", 0)?;
        wait_status("calls", 0)?;
        // The DSP has forgotten them, too.
        sim::control(CDSP, "normal")?;
    }
    everything(1)
}

/// Answers to calls that were given up, past hundreds of others.
pub fn late() -> Outcome {
    let client = Client::new()?;
    for round in 0..2u32 {
        sim::control(CDSP, "delay call 300 6")?;
        let mut outs = vec![vec![0; 1000]; 6];
        for (n, out) in outs.iter_mut().enumerate() {
            given_up(&client, 5, &dsp::pattern(1000, n as u32), out)?;
        }
        let mut calls = 0;
        // Two calls each: through all slots.
        while calls < 160 || sim::counter("delayed")? != 0 {
            client.small(round * 1000 + calls)?;
            calls += 1;
        }
        wait_status("calls", 0)?;
        ensure!(
            std::hint::black_box(&outs)
                .iter()
                .flatten()
                .all(|&b| b == 0),
            "a late answer wrote an output"
        );
    }
    sim::control(CDSP, "normal")
}

/// After the answer the DSP goes on writing where descriptors, lists and pages are.
pub fn overwritten_later() -> Outcome {
    let client = Client::new()?;
    for seed in 1..=100 {
        sim::control(CDSP, &format!("overwrite {seed}"))?;
        let before = sim::counter("twisted")?;
        client.file.echo(client.echo, &dsp::pattern(900, seed))?;
        sim::wait_counter("twisted", Duration::from_secs(5), |now| now > before)?;
        client.small(seed)?;
    }
    everything(9)
}

/// The DSP refuses processes, with results of all kinds.
pub fn refused_processes() -> Outcome {
    for result in [1, 0x7fff_ffff, 0x8000_0402, 0xffff_fe00, 0xffff_ffff] {
        for method in ["create", "attach"] {
            sim::control(CDSP, &format!("answer {method} {result:#x}"))?;
            let file = File::open(CDSP)?;
            let value = match method {
                "attach" => file.attach(),
                _ => file.create(),
            };
            ensure_ret!(value, raw::as_returned(result), "{method} {result:#x}");
            drop(file);
            Client::new()
                .and_then(|client| client.small(1))
                .map_err(|why| format!("{method} {result:#x}: {why}"))?;
        }
    }
    Ok(())
}

/// The DSP does what it is asked to, and says that it did not. Of a process that it did not release
/// everything is kept until its restart, and no longer.
pub fn lies_about_processes() -> Outcome {
    for (method, result) in [
        ("attach", 0xffff_ffffu32),
        ("release", 1),
        ("release", 0xffff_ffff),
    ] {
        let what = format!("lie {method} {result:#x}");
        sim::control(CDSP, &what)?;
        let file = File::open(CDSP)?;
        let value = match method {
            "attach" => file.attach(),
            _ => file.create(),
        };
        let told = if method == "release" { 0 } else { result };
        ensure_ret!(value, raw::as_returned(told), "{what}");
        drop(file);
        if method == "release" {
            wait_status("quarantined", 1)?;
            sim::control(CDSP, "check")?;
            everything(1).map_err(|why| format!("{what}: {why}"))?;
            ensure_eq!(status("quarantined")?, 1, "quarantined, {what}");
        }
        sim::control(CDSP, "remove")?;
        sim::control(CDSP, "announce")?;
        dsp::wait_node(CDSP, Duration::from_secs(15))?;
        for name in ["quarantined", "sessions", "seats", "mappings"] {
            wait_status(name, 0)?;
        }
        everything(2).map_err(|why| format!("after {what}: {why}"))?;
    }
    Ok(())
}

/// Addresses of mappings are names, also those of the kernel, and twice the same.
pub fn lies_about_addresses() -> Outcome {
    let file = File::with_process(CDSP)?;
    let mem = DspMem::open(&file)?;
    let kernel = [
        0xffff_8000_8000_0000u64,
        0xffff_0000_0000_0000,
        0xffff_ffff_ffff_f000,
        u64::MAX,
        0,
        1,
        1 << 63,
    ];
    for address in kernel {
        sim::control(CDSP, &format!("vaddr {address:#x} 2"))?;
        for pages in 1..=2u64 {
            let mut map = heap(pages);
            let value = raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
            ensure_ret!(value, 0, "map at {address:#x}");
            ensure_eq!(map.vaddrout, address, "address told");
        }
        mem.use_heap(address)?;
        for pages in [2, 1] {
            unheap(&file, address, pages)?;
        }
    }
    drop(file);
    wait_status("heap_bytes", 0)
}
