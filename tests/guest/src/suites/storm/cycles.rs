// SPDX-License-Identifier: GPL-2.0
//! Cycle after cycle of restart, unbind and reload.

use super::client::{
    client,
    BEREFT,
    CLOSE,
    GOOD,
    HOLD,
    LIVES,
    OPEN,
    STOP,
    WOKEN,
    WORDS, //
};
use super::*;

/// Clients of the DSP that goes, and of the one that stays.
const CLIENTS: u64 = 3;
const BYSTANDERS: u64 = 1;

/// Bytes that a cycle may cost for good on a kernel whose memory is not watched: less than any
/// object of a channel.
const CREEP: u64 = 512;
/// Bytes by which the memory of the whole kernel goes up and down.
const NOISE: u64 = 2 << 20;

/// Starts clients of both DSPs; those of ADSP see that go too, unless `adsp_stays`.
fn crowd(board: Board, adsp_stays: bool) -> Result<Crowd, Fail> {
    Crowd::start(CLIENTS + BYSTANDERS, |n| {
        if n < CLIENTS {
            client(n, CDSP, false, board)
        } else {
            client(n, ADSP, adsp_stays, board)
        }
    })
}

/// Lets all clients end, tells what they did, and fails unless they met what the case is about.
fn disperse(crowd: Crowd, board: Board) -> Outcome {
    board.set(STOP, 1);
    crowd.end(4 * SOON)?;
    println!(
        "{} lives, {} bereft, {} calls woken with EPIPE, {} things done; longest close {} ms",
        board.get(LIVES),
        board.get(BEREFT),
        board.get(WOKEN),
        board.get(GOOD),
        board.get(CLOSE),
    );
    for (word, what) in [
        (GOOD, "a client did anything"),
        (BEREFT, "a client saw its DSP go"),
        (WOKEN, "a waiting call was woken"),
    ] {
        ensure!(board.get(word) > 0, "never: {what}");
    }
    ensure_eq!(kmod::references("qda")?, 0, "references of qda");
    Ok(())
}

/// CDSP goes and comes back under load, in ways that take turns; the number of cycles.
fn storm(cycles: u64, ways: &[Way]) -> Outcome {
    both_work()?;
    let before = Stock::take()?;
    let banks = dt::dsp(CDSP)?.banks.len();
    let board = Board::new(WORDS)?;
    let mut crowd = crowd(board, true)?;
    let mut dice = Dice::new(7);
    for cycle in 0..cycles {
        let way = ways[cycle as usize % ways.len()];
        let what = format!("cycle {cycle}, {way:?}");
        let again = |why: Fail| Fail::from(format!("{what}: {why}"));
        thread::sleep(Duration::from_millis(dice.below(120)));
        way.leave(CDSP).map_err(again)?;
        ensure_eq!(
            checks::group_count() + banks,
            before.groups,
            "{what}: IOMMU groups without the DSP, and its banks"
        );
        if dice.once_in(2) {
            thread::sleep(Duration::from_millis(dice.below(40)));
        }
        way.back(CDSP).map_err(again)?;
        ensure_eq!(checks::group_count(), before.groups, "{what}: IOMMU groups");
        ensure_eq!(status_of(CDSP, "quarantined")?, 0, "{what}: quarantined");
        // The new node works beside all files of the old one.
        if cycle % 4 == 0 {
            File::with_process(CDSP)
                .and_then(|file| file.still_works())
                .map_err(again)?;
        }
        crowd.all_live()?;
    }
    // Whoever closes late, closes now.
    disperse(crowd, board)?;
    both_work()?;
    Stock::take()?.same(&before, NOISE + cycles * CREEP)
}

pub fn restarts() -> Outcome {
    let cycles = cycles_of(60);
    storm(cycles, &[Way::Restart])?;
    println!("figure restart cycles: {cycles}");
    Ok(())
}

pub fn unbinds() -> Outcome {
    let cycles = cycles_of(40);
    storm(cycles, &[Way::Unbind, Way::Probe])?;
    println!("figure unbind cycles: {cycles}");
    Ok(())
}

/// The module goes and comes back while clients open, work and close.
pub fn reloads() -> Outcome {
    let cycles = cycles_of(16);
    both_work()?;
    let before = Stock::take()?;
    let banks: usize = dt::dsps().iter().map(|dsp| dsp.banks.len()).sum();
    let board = Board::new(WORDS)?;
    let mut crowd = crowd(board, false)?;
    let mut dice = Dice::new(9);
    let mut refused = 0;
    for cycle in 0..cycles {
        let what = format!("cycle {cycle}");
        thread::sleep(Duration::from_millis(dice.below(150)));
        // With a file open, dead or alive, the module stays and all goes on.
        let file = File::open(CDSP)?;
        if cycle % 3 == 1 {
            Way::Restart.leave(CDSP)?;
        } else if cycle % 3 == 2 {
            Way::Unbind.leave(CDSP)?;
        }
        for _ in 0..4 {
            ensure_eq!(
                kmod::remove("qda"),
                Err(libc::EWOULDBLOCK),
                "{what}: rmmod with a file open"
            );
            refused += 1;
        }
        if cycle % 3 != 0 {
            is_dead(&file, None)?;
        } else {
            ensure_eq!(dsp::query(file.raw()), Ok(CDSP.into()), "{what}: query");
        }
        drop(file);
        // Clients come and go meanwhile: at a moment without any, it succeeds.
        board.set(HOLD, 1);
        let deadline = Instant::now() + patience(4 * SOON);
        loop {
            match kmod::remove("qda") {
                Ok(()) => break,
                Err(errno) => ensure_eq!(errno, libc::EWOULDBLOCK, "{what}: rmmod"),
            }
            refused += 1;
            ensure!(
                Instant::now() < deadline,
                "{what}: qda has {} references and does not unload; {} files are open",
                kmod::references("qda")?,
                board.get(OPEN)
            );
            thread::sleep(Duration::from_micros(200 + dice.below(3000)));
        }
        ensure!(!kmod::loaded("qda"), "{what}: still loaded");
        ensure!(dsp::nodes().is_empty(), "{what}: {:?}", dsp::nodes());
        ensure_eq!(
            checks::group_count() + banks,
            before.groups,
            "{what}: IOMMU groups without the module, and the banks"
        );
        if cycle % 3 == 1 {
            // Before the driver or after it.
            sim::control(CDSP, "announce")?;
        }
        board.set(HOLD, 0);
        kmod::must_insert("qda", "")?;
        for label in [CDSP, ADSP] {
            dsp::wait_node(label, patience(SOON))
                .map_err(|why| Fail::from(format!("{what}: {why}")))?;
        }
        ensure_eq!(checks::group_count(), before.groups, "{what}: IOMMU groups");
        crowd.all_live()?;
    }
    println!("rmmod was refused {refused} times");
    board.set(STOP, 1);
    crowd.end(4 * SOON)?;
    ensure!(board.get(GOOD) > 0, "no client did anything");
    ensure_eq!(kmod::references("qda")?, 0, "references of qda");
    both_work()?;
    Stock::take()?.same(&before, NOISE + cycles * CREEP)?;
    println!("figure module reloads: {cycles}");
    Ok(())
}

/// Many cycles without load, one after the other, each with a file that closes late: what the
/// kernel has does not grow.
pub fn quiet() -> Outcome {
    let cycles = cycles_of(60);
    let cycle = |n: u64| -> Outcome {
        let file = File::with_process(ADSP)?;
        let way = [Way::Restart, Way::Unbind, Way::Probe][n as usize % 3];
        way.leave(ADSP)?;
        way.back(ADSP)?;
        if n % 8 == 7 {
            drop(file);
            kmod::must_remove("qda")?;
            kmod::must_insert("qda", "")?;
            both_work()?;
        }
        Ok(())
    };
    for n in 0..8 {
        cycle(n)?;
    }
    let before = Stock::take()?;
    for n in 0..cycles {
        cycle(n)?;
    }
    Stock::take()?.same(&before, NOISE / 8 + cycles * CREEP)?;
    println!("figure quiet cycles: {cycles}");
    Ok(())
}
