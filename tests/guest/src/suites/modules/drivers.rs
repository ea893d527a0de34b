// SPDX-License-Identifier: GPL-2.0
//! The stock driver beside ours, and the simulator in both modes.

use super::*;

/// Moves a channel from one driver to the other.
fn move_channel(label: &str, from: &str, to: &str) -> Outcome {
    let channel = kmod::channel(label)?;
    ensure_eq!(channel.driver().as_deref(), Some(from), "driver of {label}");
    channel.set_override(to)?;
    channel.unbind(from)?;
    channel.bind(to)?;
    ensure_eq!(
        channel.driver().as_deref(),
        Some(to),
        "driver of {label} after the move"
    );
    Ok(())
}

/// A calculation through the stock driver's node.
fn stock_works(label: &str) -> Outcome {
    let node = format!("/dev/fastrpc-{label}");
    wait_for(&node, SOON, || std::fs::metadata(&node).is_ok())?;
    let file = legacy::with_process(&node)?;
    let handle = file.module("calculator")?;
    ensure_eq!(file.sum(handle, &[30, 12]), (0, 42), "sum through {node}");
    Ok(())
}

/// Both drivers loaded in both orders; each has the channels that the administrator gives it.
pub fn both_drivers() -> Outcome {
    // qda came first: the stock driver finds nothing to bind.
    kmod::must_insert("fastrpc", "")?;
    for label in [CDSP, ADSP] {
        ensure_eq!(
            kmod::channel(label)?.driver().as_deref(),
            Some(OURS),
            "driver of {label}"
        );
    }
    both_work()?;
    move_channel(ADSP, OURS, STOCK)?;
    stock_works(ADSP)?;
    File::with_process(CDSP)?.still_works()?;
    move_channel(ADSP, STOCK, OURS)?;
    both_work()?;

    // The stock driver first.
    kmod::must_remove("qda")?;
    for label in [CDSP, ADSP] {
        let channel = kmod::channel(label)?;
        channel.set_override("")?;
        channel.bind(STOCK)?;
    }
    kmod::must_insert("qda", "")?;
    for label in [CDSP, ADSP] {
        ensure_eq!(
            kmod::channel(label)?.driver().as_deref(),
            Some(STOCK),
            "driver of {label}"
        );
        stock_works(label)?;
    }
    move_channel(CDSP, STOCK, OURS)?;
    dsp::wait_node(CDSP, SOON)?;
    File::with_process(CDSP)?.still_works()?;
    stock_works(ADSP)?;

    // Without the stock driver its channels are free for ours.
    kmod::must_remove("fastrpc")?;
    for label in [CDSP, ADSP] {
        kmod::channel(label)?.set_override("")?;
    }
    bind(ADSP)?;
    both_work()
}

/// The simulated DSP answers from its own thread or inside send; both with the same results.
pub fn simulator_modes() -> Outcome {
    for mode in [
        "inline_answers=1",
        "inline_answers=0",
        "inline_answers=1",
        "",
    ] {
        // The channels go with the simulator, under the bound driver. Files must be closed
        // before: an open one keeps a reference to its channel's device, whose release function
        // is the simulator's.
        kmod::must_remove("qda_sim")?;
        wait_gone(CDSP)?;
        wait_gone(ADSP)?;
        kmod::must_insert("qda_sim", mode)?;
        both_work()?;
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        for size in [0, 1, 4097, 100_000] {
            file.echo(echo, &dsp::pattern(size, 3))?;
        }
        ensure_eq!(sim::violations()?, 0, "malformed things with {mode:?}");
    }
    Ok(())
}
