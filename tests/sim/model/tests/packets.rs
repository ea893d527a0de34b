// SPDX-License-Identifier: GPL-2.0

//! Packets that are no proper answers, storms of them, crashes, and calls that are never answered.

mod common;

use common::{Rig, A};
use qda_sim_model::packets::{Form, History, Packet, JUNK, LONGEST, MARKER, WRONG};
use qda_sim_model::storm::{Kind, Storm};
use qda_sim_model::{Order, Profile};

fn order(r: &mut Rig, text: &str) {
    match Order::parse(text.as_bytes()) {
        Some(order) => {
            let done = r.with(|s, w| s.order(w, order));
            assert!(done.is_some(), "{text}");
        }
        None => {
            let done = r.state().t.core.knobs.command(text.as_bytes());
            assert!(done.is_some(), "{text}");
        }
    }
}

fn start() -> (Rig, u32) {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    let echo = r.open(1, 1, "echo");
    (r, echo)
}

/// An echo of four bytes.
fn echo(r: &mut Rig, handle: u32) -> common::Msg {
    r.build(1, 1, 1, handle, 2, &[A::In(vec![1, 2, 3, 4]), A::Out(4)])
}

fn packet(form: &str, arg: u64) -> Packet {
    let form = Form::parse(form.as_bytes(), arg).expect(form);
    form.packet(0x7_0501, 9, &History::NONE)
}

#[test]
fn commands() {
    for bad in [
        "before",
        "before long",
        "before long 15",
        "before short 16",
        "before long 1025",
        "before old 0",
        "before old 65",
        "before future 0",
        "before word 0",
        "before nothing 1",
        "before long 20 often",
        "after long 20 1 0",
        "after long 20 1 256",
        // A call must have an answer.
        "as short 3",
        "as marker 16",
        "as flags 1",
        "as version 2",
        "as long 20 always 2",
        "crash",
        "crash soon",
        "crash after 1 2",
        "in 0 wrong",
        "in 5",
        "in 5 nothing",
        "in 5 in 6 wrong",
        "wrong 1 2",
        "haunt",
        "settle",
        "settle 0x100000000",
        "send old",
        "storm junk 5",
        "storm rain 5 5",
        "fuzz 1",
        "quiet 1",
        "talk",
    ] {
        assert!(Order::parse(bad.as_bytes()).is_none(), "{bad}");
        let mut k = qda_sim_model::Knobs::NONE;
        assert_eq!(k.command(bad.as_bytes()), None, "{bad}");
        assert_eq!(k, qda_sim_model::Knobs::NONE, "{bad} did something");
    }
    let (mut r, _) = start();
    for good in [
        "before flags 1 always 3",
        "as flags 5",
        "as version 0xffffffff always",
        "after answer 0x80000bad 3 3",
        "crash before",
        "crash after 50",
        "in 3 crash before 10",
        "overwrite 5 always",
        "delay call 5",
        "send marker 24 5",
        "storm junk 0x10 0 7",
        "fuzz 1 100 1000",
        "talk 5",
        "quiet",
        "check",
    ] {
        order(&mut r, good);
    }
}

/// covers: T35, T36, T40, T41, T50
#[test]
fn forms() {
    let usual = packet("answer", 9);
    assert_eq!(usual, Packet::answer(0x7_0501, 9));
    assert_eq!((usual.len(), usual.get32(8), usual.get32(12)), (16, 9, 0));
    assert_eq!((usual.bytes()[16], usual.is_stray()), (JUNK, false));
    for n in 0..16 {
        assert_eq!(packet("short", n).len(), n as i32);
        assert_eq!(packet("short", n).word(), None);
    }
    assert_eq!(packet("long", 40).len(), 40);
    assert_eq!(packet("long", 65).len(), LONGEST);
    assert!(!packet("long", 64).completes_nothing());
    assert_eq!(packet("negative", 5).len(), -5);
    assert_eq!(packet("negative", 0x8000_0000).len(), i32::MIN);
    assert_eq!(packet("word", 1 << 63).word(), Some((1 << 63) | 0x7_0501));
    assert_eq!(packet("marker", 24).word(), Some(MARKER));
    let notice = packet("notice", 3);
    let fields = [0, 4, 8, 12, 16].map(|at| notice.get32(at));
    assert_eq!((notice.len(), fields), (24, [0xABCD_ABCD, 0, 4, 1, 3]));
    assert_eq!(packet("signal", 77).len(), 8);
    for flags in 0..8 {
        let p = packet("flags", flags);
        assert_eq!((p.len(), p.get32(12), p.get32(20)), (24, flags as u32, 2));
        assert_eq!(p.completes_nothing(), ![0, 3, 5].contains(&flags));
    }
    assert!(!packet("version", 3).completes_nothing());
    // Slots in turn, number 0 is left out.
    assert_eq!(packet("future", 1).word(), Some(0x8_0601));
    assert_eq!(
        packet("future", 250).word(),
        Some(((7 + 250) << 16) | 0xFF01)
    );
    assert_eq!(
        packet("future", 251).word(),
        Some(((7 + 251) << 16) | 0x0101)
    );
    assert_eq!(packet("old", 1).word(), Some(MARKER), "nothing is old yet");
}

#[test]
fn the_last_answers_are_remembered() {
    let mut h = History::NONE;
    assert_eq!((h.len(), h.nth(1), h.nth(0)), (0, None, None));
    for word in 1..=100 {
        h.add(word);
    }
    assert_eq!(h.len(), 64);
    assert_eq!(
        (h.nth(1), h.nth(64), h.nth(65)),
        (Some(100), Some(37), None)
    );
}

/// covers: T37
#[test]
fn packets_stand_around_answers() {
    let (mut r, handle) = start();
    order(&mut r, "before flags 1 1 2");
    order(&mut r, "after answer 5 2 3");
    for round in 0..3 {
        r.w.packets.clear();
        let before = r.w.answers.len();
        let m = echo(&mut r, handle);
        assert_eq!(r.call(&m), 0);
        let places: Vec<_> = r.w.packets.iter().map(|(n, _)| n - before).collect();
        let expected: &[usize] = [&[0, 0, 1, 1, 1][..], &[1, 1, 1], &[]][round];
        assert_eq!(places, expected);
        assert!(r.w.packets.iter().all(|(_, p)| p.is_stray()));
        assert!(r.w.packets.iter().all(|(_, p)| p.word() == Some(m.ctx)));
    }
    // In the place of an answer, in another form.
    order(&mut r, "as long 64");
    let m = echo(&mut r, handle);
    r.w.packets.clear();
    let before = r.w.answers.len();
    r.send(&m);
    assert_eq!(r.w.answers.len(), before);
    let (_, p) = r.w.packets[0];
    assert_eq!((p.len(), p.word(), p.get32(8)), (64, Some(m.ctx), 0));
    assert!(!p.is_stray());
    // Now, and again after the channel was closed and opened.
    r.state().close();
    r.state().open(Profile::Strict);
    r.w.packets.clear();
    order(&mut r, "send old 1 2");
    assert_eq!(r.w.packets.len(), 2);
    let (_, p) = r.w.packets[0];
    assert_eq!((p.word(), p.get32(8)), (Some(m.ctx), WRONG));
    r.clean();
}

#[test]
fn commands_wait_for_their_message() {
    let (mut r, handle) = start();
    order(&mut r, "in 3 lie call 77");
    let results: Vec<_> = (0..5)
        .map(|_| {
            let m = echo(&mut r, handle);
            r.call(&m)
        })
        .collect();
    assert_eq!(results, [0, 0, 77, 0, 0]);
    r.clean();
}

/// covers: T118
#[test]
fn a_crash_ends_everything() {
    for (command, answers) in [("crash before 5", 0), ("crash after", 1)] {
        let (mut r, handle) = start();
        order(&mut r, command);
        let before = r.w.answers.len();
        for _ in 0..3 {
            let m = echo(&mut r, handle);
            r.send(&m);
        }
        assert_eq!(r.w.answers.len() - before, answers, "{command}");
        assert!(r.state().t.core.crashed);
        let restart = r.state().t.core.knobs.restart();
        assert_eq!(restart, (answers == 0).then_some(5));
        r.state().close();
        r.state().open(Profile::Strict);
        r.create(1, 2);
        r.clean();
    }
}

/// covers: T52
#[test]
fn ignored_calls_are_haunted_and_settled() {
    let (mut r, handle) = start();
    order(&mut r, "ignore call 2");
    let mut ms = Vec::new();
    for _ in 0..2 {
        let m = echo(&mut r, handle);
        r.send(&m);
        ms.push(m);
    }
    let before = r.w.answers.len();
    order(&mut r, "haunt 5");
    for m in &ms {
        let now = r.w.peek(1, m.iova, 4096);
        let same = now.iter().zip(&m.buffer).filter(|(a, b)| a == b).count();
        assert!(same < 2000, "{same} bytes are the same");
    }
    order(&mut r, "settle 7");
    assert_eq!(r.w.answers[before..], [(ms[0].ctx, 7), (ms[1].ctx, 7)]);
    assert_eq!(r.state().ignored(), 0);
    // Nothing left to do it to.
    let act = Order::parse(b"settle 0").unwrap();
    assert_eq!(r.with(|s, w| s.order(w, act)), None);
    r.clean();
    // A message that went too early is told.
    order(&mut r, "ignore call");
    let m = echo(&mut r, handle);
    r.send(&m);
    r.w.unmap(1, m.iova);
    order(&mut r, "haunt 5");
    assert_eq!(r.w.faults.len(), 1);
}

#[test]
fn calls_are_delayed_and_done_later() {
    let (mut r, handle) = start();
    order(&mut r, "delay call 50");
    let m = echo(&mut r, handle);
    let before = r.w.answers.len();
    r.send(&m);
    assert_eq!(r.out(&m, 1), [0; 4], "not done yet");
    r.w.now = 50;
    r.with(|s, w| s.tick(w));
    assert_eq!(r.w.answers[before..], [(m.ctx, 0)]);
    assert_eq!(r.out(&m, 1), [1, 2, 3, 4]);
    r.clean();
}

/// covers: T180
#[test]
fn sums_are_wrong_on_command() {
    let (mut r, _) = start();
    let calculator = r.open(1, 1, "calculator");
    order(&mut r, "wrong 1");
    for expected in [6i64, 5] {
        let numbers = [2u32, 3].iter().flat_map(|n| n.to_le_bytes()).collect();
        let args = [
            A::In(2u32.to_le_bytes().to_vec()),
            A::In(numbers),
            A::Out(8),
        ];
        let m = r.build(1, 1, 1, calculator, 2, &args);
        assert_eq!(r.call(&m), 0);
        assert_eq!(r.out(&m, 2), expected.to_le_bytes());
    }
    r.clean();
}

#[test]
fn messages_are_overwritten_behind_the_answer() {
    let (mut r, handle) = start();
    order(&mut r, "overwrite 3");
    let m = echo(&mut r, handle);
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.out(&m, 1), [1, 2, 3, 4], "arguments stay");
    let now = r.w.peek(1, m.iova, m.data[0].0);
    let differ = now.iter().zip(&m.buffer).filter(|(a, b)| a != b).count();
    assert!(differ > 200, "{differ}");
    r.clean();
}

/// Every packet of a storm is one that a driver must drop: that is checked here with a second
/// opinion about what a driver accepts. covers: T35, T36, T37, T40, T41, T50
#[test]
fn storms_complete_no_call() {
    let (mut r, handle) = start();
    // Some calls are under way, most are over.
    for n in 0..300 {
        if n % 7 == 0 && r.state().ignored() < 20 {
            order(&mut r, "ignore call");
        }
        let m = echo(&mut r, handle);
        let live: Vec<_> = r.state().t.calls.iter().map(|c| c.req.ctx).collect();
        if !live
            .iter()
            .any(|l| (l >> 8) & 0xFF == (m.ctx >> 8) & 0xFF && *l != 0)
        {
            r.send(&m);
        }
    }
    let live: Vec<u64> = (r.state().t.calls.iter())
        .filter(|c| c.req.ctx != 0)
        .map(|c| c.req.ctx)
        .collect();
    assert!(live.len() > 10);
    let next = r.state().t.core.history.nth(1).unwrap() >> 16;
    for kind in [
        Kind::Duplicates,
        Kind::Junk,
        Kind::Markers,
        Kind::Fuzz,
        Kind::Mixed,
    ] {
        r.state().t.core.storm = Storm::new(kind, 20_000, 0, 77);
        let (mut lengths, mut near, mut words) = ([0u32; 66], 0, 0);
        while let Some(p) = r.state().next_of_storm() {
            assert!(p.is_stray());
            match usize::try_from(p.len()) {
                Ok(n) => lengths[n.min(65)] += 1,
                Err(_) => continue,
            }
            if p.len() < 16 || p.completes_nothing() {
                continue;
            }
            words += 1;
            let word = u64::from(p.get32(0)) | (u64::from(p.get32(4)) << 32);
            assert!(!live.contains(&word), "{kind:?}: {word:#x} is live");
            let soon = next + 1..next + 5000;
            assert!(!soon.contains(&(word >> 16)), "{kind:?}: {word:#x} is next");
            near += u32::from(live.iter().any(|l| (l ^ word).count_ones() <= 2));
        }
        match kind {
            Kind::Junk => assert!(lengths.iter().all(|n| *n > 0), "{lengths:?}"),
            Kind::Fuzz => assert!(near > 500 && words > 5000, "{near} {words}"),
            Kind::Duplicates => assert_eq!(lengths[16], 20_000),
            _ => {}
        }
        assert_eq!(r.state().t.core.storm.left(), 0);
    }
}

#[test]
fn seeds_are_reproducible() {
    let packets = |seed: u64| {
        let (mut r, handle) = start();
        let m = echo(&mut r, handle);
        r.send(&m);
        order(&mut r, &format!("fuzz {seed} 200"));
        let mut all = Vec::new();
        while let Some(p) = r.state().next_of_storm() {
            all.push(p);
        }
        all
    };
    assert_eq!(packets(1), packets(1));
    assert_ne!(packets(1), packets(2));
}

#[test]
fn storms_keep_their_rate() {
    let mut s = Storm::new(Kind::Mixed, 1000, 100_000, 1);
    assert_eq!(s.due(5_000_000), 0);
    assert_eq!(s.due(5_001_000), 100);
    assert_eq!(s.due(5_005_000), 500);
    assert_eq!(s.due(9_000_000), 1000, "no more than there are");
    assert_eq!(Storm::new(Kind::Mixed, 1000, 0, 1).due(0), 1000);
}
