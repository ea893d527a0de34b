// SPDX-License-Identifier: GPL-2.0

//! Misbehaviour on demand.

mod common;

use common::{Rig, A, PAGE};
use qda_sim_model::{Knobs, Profile};

fn order(r: &mut Rig, text: &str) {
    let done = r.state().t.core.knobs.command(text.as_bytes());
    assert!(done.is_some(), "{text}");
}

fn start() -> Rig {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    r.w.map(1, 0xC000_0000, 4 * PAGE);
    r
}

fn map(r: &mut Rig) -> (u32, u64) {
    r.map_call(1, 1, None, 0x1000, (0xC000_0000, 4 * PAGE))
}

#[test]
fn commands() {
    for bad in [
        "",
        "nothing",
        "normal 1",
        "answer",
        "answer mmap",
        "answer nothing 1",
        "answer mmap x",
        "answer mmap 0x100000000",
        "answer mmap -1",
        "answer mmap 1 2 3",
        "answer mmap 1 often",
        "lie mmap",
        "ignore",
        "ignore mmap 1 2",
        "delay mmap",
        "vaddr",
        "vaddr 1 2 3",
        "scribble",
        "toggle x",
        "droplist 1 x",
        "droplist 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        "ignore mmap 5000000000",
    ] {
        let mut k = Knobs::NONE;
        assert_eq!(k.command(bad.as_bytes()), None, "{bad}");
        assert_eq!(k, Knobs::NONE, "{bad} did something");
    }
    let mut k = Knobs::NONE;
    for good in [
        "answer attach 0x80000402",
        "lie release 4294967295 always",
        "ignore create 3",
        " delay  munmap 100 always ",
        "vaddr 0xffffffffffffffff 2",
        "droplist 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 0xffffffffffffffff",
        "scribble 5 always",
        "toggle 20",
        "ignore mem_map",
        "ignore mem_unmap 7",
        "answer capabilities 0",
    ] {
        let before = k;
        assert_eq!(k.command(good.as_bytes()), Some(()), "{good}");
        assert!(k != before, "{good}");
    }
    assert_eq!(k.command(b"normal"), Some(()));
    assert_eq!(k, Knobs::NONE);
}

#[test]
fn answers_that_are_not_true() {
    let mut r = start();
    order(&mut r, "answer mmap 0x80000402 2");
    for _ in 0..2 {
        assert_eq!(map(&mut r).0, 0x8000_0402);
        assert_eq!(r.state().mapped(), 0, "not done");
    }
    let (retval, vaddr) = map(&mut r);
    assert_eq!((retval, r.state().mapped()), (0, 1));
    order(&mut r, "lie munmap 0x80000401 always");
    for result in [0x8000_0401, 0x8000_0401] {
        assert_eq!(r.unmap_call(1, 1, None, vaddr, 4 * PAGE), result);
        assert_eq!(r.state().mapped(), 0, "done all the same");
    }
    order(&mut r, "normal");
    assert_eq!(r.unmap_call(1, 1, None, vaddr, 4 * PAGE), 0x8000_0448);
    order(&mut r, "answer create 0x80000402");
    let m = r.create_msg(2, 2);
    assert_eq!(r.call(&m), 0x8000_0402);
    assert_eq!(r.state().live(), 1);
    // Only the calls that are named.
    order(&mut r, "answer mem_map 5 always");
    assert_eq!(map(&mut r).0, 0);
    assert_eq!(r.state().t.core.counters.twisted, 5);
    r.clean();
}

#[test]
fn addresses_of_map_replies() {
    let mut r = start();
    order(&mut r, "vaddr 0xffffffffffffffff 2");
    assert_eq!(map(&mut r), (0, u64::MAX));
    let memory = (0xC000_0000, PAGE);
    assert_eq!(r.map_call(1, 1, Some(3), 0, memory), (0, u64::MAX));
    let (_, usual) = map(&mut r);
    assert_ne!(usual, u64::MAX);
    order(&mut r, "vaddr 0 always");
    for fd in [4, 5] {
        assert_eq!(r.map_call(1, 1, Some(fd), 0, memory), (0, 0));
    }
    // Each is found again by what the driver was told.
    for (fd, vaddr) in [(5, 0), (3, u64::MAX), (4, 0)] {
        assert_eq!(r.unmap_call(1, 1, Some(fd), vaddr, 0), 0);
    }
    for vaddr in [u64::MAX, usual] {
        assert_eq!(r.unmap_call(1, 1, None, vaddr, 4 * PAGE), 0);
    }
    r.clean();
}

#[test]
fn ignored_calls_keep_their_memory() {
    let mut r = start();
    order(&mut r, "ignore mem_map");
    let m = r.map_msg(1, 1, Some(3), 0, (0xC000_0000, PAGE));
    let before = r.w.answers.len();
    r.send(&m);
    assert_eq!((r.w.answers.len(), r.state().ignored()), (before, 1));
    r.with(|s, w| s.check_all(w));
    r.clean();
    // Its slot must not be used again, and its message must stay.
    let again = r.build(1, 1, 1, 4, 3, &[]);
    let taken = common::Msg {
        ctx: (again.ctx & !0xFF00) | (m.ctx & 0xFF00),
        ..again
    };
    r.send(&taken);
    assert_eq!(r.w.violations.len(), 1);
    r.w.unmap(1, m.iova);
    r.with(|s, w| s.check_all(w));
    assert_eq!(r.w.violations.len(), 2);
    // RELEASE sees it too, and then it is nobody's any more.
    assert_eq!(r.release(1, 1, 1), 0);
    assert_eq!(r.w.violations.len(), 3);
    r.with(|s, w| s.check_all(w));
    assert_eq!(r.w.violations.len(), 3);
    assert_eq!(r.state().ignored(), 0);
}

#[test]
fn an_ignored_release_keeps_the_process() {
    let mut r = start();
    order(&mut r, "ignore release");
    let m = r.build(1, 0, 1, 1, 1, &[A::In(1u32.to_le_bytes().to_vec())]);
    r.send(&m);
    assert_eq!(r.state().live(), 1);
    r.with(|s, w| s.check_all(w));
    r.clean();
    let init = 0xE010_0000;
    r.w.unmap(1, init);
    r.with(|s, w| s.check_all(w));
    assert_eq!(r.w.violations.len(), 1, "quarantine was left");
}

#[test]
fn delayed_calls_run_later() {
    let mut r = start();
    order(&mut r, "delay mmap 50");
    let m = r.map_msg(1, 1, None, 0x1000, (0xC000_0000, PAGE));
    let before = r.w.answers.len();
    r.send(&m);
    assert_eq!((r.state().mapped(), r.state().delayed()), (0, 1));
    assert_eq!(r.with(|s, w| s.tick(w)), Some(50));
    r.w.now = 50;
    r.with(|s, w| s.tick(w));
    assert_eq!(r.w.answers[before..], [(m.ctx, 0)]);
    assert_eq!(r.state().mapped(), 1);
    // What is delayed can be spoiled as well.
    order(&mut r, "delay mmap 10");
    order(&mut r, "answer mmap 77");
    let m = r.map_msg(1, 1, None, 0x1000, (0xC000_0000, PAGE));
    r.send(&m);
    r.w.now = 60;
    r.with(|s, w| s.tick(w));
    assert_eq!(*r.w.answers.last().unwrap(), (m.ctx, 77));
    // A delayed RELEASE ends its process, other calls first.
    order(&mut r, "delay munmap 1000");
    let head = [1u64, 0, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let unmap = r.build(1, 0, 1, 1, 5, &[A::In(head)]);
    r.send(&unmap);
    // The process's own exit call leaves alone what the kernel asked for.
    let exit = r.build(1, 1, 1, 4, 2, &[]);
    assert_eq!(r.call(&exit), 0);
    order(&mut r, "delay release 10");
    let release = r.build(1, 0, 1, 1, 1, &[A::In(1u32.to_le_bytes().to_vec())]);
    r.send(&release);
    let before = r.w.answers.len();
    r.w.now = 70;
    r.with(|s, w| s.tick(w));
    assert_eq!(
        r.w.answers[before..],
        [(unmap.ctx, 0x8000_040D), (release.ctx, 0)]
    );
    assert_eq!(r.state().live(), 0);
    r.clean();
}

#[test]
fn release_undoes_a_create_that_never_ended() {
    for knob in ["ignore create", "delay create 100000"] {
        let mut r = Rig::new(Profile::Strict);
        order(&mut r, knob);
        let m = r.create_msg(1, 5);
        r.send(&m);
        assert_eq!(r.state().live(), 0);
        assert_eq!(r.release(1, 5, 1), 0, "{knob}");
        r.clean();
        assert_eq!(r.state().delayed(), 0);
        assert_eq!(r.release(1, 5, 1), 0x8000_0441, "once");
        assert_eq!(r.w.violations.len(), 1);
    }
}

#[test]
fn messages_are_scribbled_over() {
    let mut r = start();
    let h = r.open(1, 1, "echo");
    order(&mut r, "scribble 99 2");
    let args = [A::In(vec![7; 200]), A::In(vec![]), A::Out(200), A::Out(0)];
    let mut seen = Vec::new();
    for _ in 0..3 {
        let m = r.build(1, 1, 1, h, 2, &args);
        assert_eq!(r.call(&m), 0);
        assert_eq!(r.out(&m, 2), [7; 200], "arguments stay");
        let fds = 40 * 4;
        let now = r.w.peek(1, m.iova, m.buffer.len());
        assert_eq!(now[fds..fds + 128], [0; 128], "the fd list stays");
        // Every word before the first argument, but for those that are 0 by chance.
        let differ = |range: std::ops::Range<usize>| {
            let words = now[range.clone()].chunks(8).zip(m.buffer[range].chunks(8));
            words.filter(|(a, b)| a != b).count()
        };
        seen.push((differ(0..fds) > 10, differ(fds + 128..m.data[0].0) > 20));
    }
    assert_eq!(seen, [(true, true), (true, true), (false, false)]);
    // A call of the kernel; its reply stays as well.
    order(&mut r, "scribble 1");
    let (retval, vaddr) = map(&mut r);
    assert_eq!(retval, 0);
    assert_eq!(r.unmap_call(1, 1, None, vaddr, 4 * PAGE), 0);
    r.clean();
}

#[test]
fn fd_lists_toggle_after_the_answer() {
    let mut r = start();
    let h = r.open(1, 1, "echo");
    // The clock of this world goes on with every look.
    r.w.step = 1;
    let handle = common::H {
        fd: 3,
        offset: 0,
        len: 1,
        iova: 0xC000_0000,
        size: 4 * PAGE,
    };
    let m = r.build(1, 1, 1, h, 9, &[A::InHandle(handle)]);
    r.call(&m);
    assert_eq!(r.state().held(), 1);
    order(&mut r, "toggle 50");
    let m = r.build(1, 1, 1, h, 2, &[]);
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.state().held(), 0, "may have been dropped");
    assert_ne!(r.w.peek(1, m.iova, 128), [0; 128]);
    assert_eq!(r.w.peek(1, m.iova + 128, 4096 - 128), [0; 4096 - 128]);
    // Neither calls of the kernel nor large messages, whose memory goes with the answer.
    order(&mut r, "toggle 50");
    assert_eq!(map(&mut r).0, 0);
    let large = [A::In(vec![1; 1 << 16]), A::Out(1 << 16)];
    let m = r.build(1, 1, 1, h, 2, &large);
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.w.peek(1, m.iova + 80, 128), [0; 128]);
    // Without its message it stops at once, and nothing is reported.
    order(&mut r, "toggle 1000000");
    r.w.unmap_on_answer = true;
    let m = r.build(1, 1, 1, h, 2, &[]);
    assert_eq!(r.call(&m), 0);
    r.clean();
}
