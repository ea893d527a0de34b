// SPDX-License-Identifier: GPL-2.0

//! Every check of a request: spoiling one thing of a good message gives a violation, and
//! the unspoiled message gives none.
//!
//! covers: T16 (padding, metadata tail and page rest), T114 (descriptors against the SMMU)

mod common;

use common::{Msg, Rig, A};
use qda_sim_model::seq::{Reject, Window, WINDOW};
use qda_sim_model::Profile;

/// A rig with a process and an open echo module.
fn rig(profile: Profile) -> (Rig, u32) {
    let mut r = Rig::new(profile);
    r.create(1, 1);
    let h = r.open(1, 1, "echo");
    (r, h)
}

/// Two inputs, two outputs, one pair of them empty.
fn good(r: &mut Rig, h: u32) -> Msg {
    let args = [A::In(vec![1; 200]), A::In(vec![]), A::Out(200), A::Out(0)];
    r.build(1, 1, 1, h, 2, &args)
}

/// Sends a spoiled message; the violation must say `text`; answered unless `silent`.
fn spoiled(
    what: &str,
    text: &str,
    profile: Profile,
    silent: bool,
    spoil: impl FnOnce(&mut Rig, &mut Msg),
) {
    let (mut r, h) = rig(profile);
    let m = good(&mut r, h);
    assert_eq!(r.call(&m), 0);
    r.clean();
    let mut m = good(&mut r, h);
    spoil(&mut r, &mut m);
    let before = r.w.answers.len();
    r.send(&m);
    assert!(
        r.w.violations.iter().any(|v| v.contains(text)),
        "{what} was not noticed: {:?}",
        r.w.violations
    );
    assert_eq!(r.w.answers.len() == before, silent, "{what}");
}

#[test]
fn request_words() {
    let p = Profile::Strict;
    for bit in 4..8 {
        spoiled("reserved bit", "reserved bits", p, false, |_, m| {
            m.ctx |= 1 << bit
        });
    }
    spoiled("unknown PD", "unknown PD", p, false, |_, m| m.ctx |= 3);
    spoiled("other PD", "sends PD", p, false, |_, m| m.ctx &= !1);
    spoiled("index 0", "slot index", p, true, |_, m| m.ctx &= !0xFF00);
    spoiled("sequence 0", "sequence number 0", p, false, |_, m| {
        m.ctx &= 0xFFFF
    });
    spoiled("sequence again", "used twice", p, false, |_, m| {
        m.ctx = m.ctx & 0xFFFF | (1 << 16);
    });
    spoiled("attribute bits", "attribute bits", p, false, |_, m| {
        m.sc |= 1 << 29
    });
    spoiled("unknown client", "is unknown", p, false, |_, m| {
        m.client = 2
    });
    spoiled("client 0", "is unknown", p, false, |_, m| m.client = 0);
    spoiled("size 0", "message size", p, false, |_, m| m.size = 0);
    spoiled("odd size", "message size", p, false, |_, m| m.size = 4000);
    spoiled("unmapped tail", "message page", p, false, |_, m| {
        m.size += 4096
    });
    spoiled("unknown bank", "no context bank", p, false, |_, m| {
        m.addr += 8 << 32
    });
    spoiled("other bank", "uses bank 2", p, false, |_, m| {
        m.addr += 1 << 32
    });
    spoiled("no SID", "no context bank", p, false, |_, m| {
        m.addr &= 0xFFFF_FFFF
    });
    spoiled(
        "address inside a page",
        "message address",
        p,
        false,
        |_, m| m.addr += 128,
    );
    spoiled(
        "kernel handle",
        "kernel call with a client id",
        p,
        false,
        |_, m| m.handle = 1,
    );
}

#[test]
fn message_length() {
    for n in [0usize, 39, 41, 64] {
        let (mut r, h) = rig(Profile::Strict);
        let m = good(&mut r, h);
        let mut bytes = m.bytes();
        bytes.resize(n, 0);
        let before = r.w.answers.len();
        r.raw(&bytes);
        assert_eq!(r.w.violations.len(), 1, "{n} bytes");
        assert_eq!(r.w.answers.len(), before);
    }
}

#[test]
fn index_in_use() {
    let (mut r, h) = rig(Profile::Strict);
    let m = r.build(1, 1, 1, h, 4, &[]);
    r.send(&m);
    let mut again = r.build(1, 1, 1, h, 2, &[]);
    again.ctx = again.ctx & !0xFF00 | m.ctx & 0xFF00;
    let before = r.w.answers.len();
    r.send(&again);
    assert_eq!(r.w.violations.len(), 1);
    assert_eq!(r.w.answers.len(), before);
    assert_eq!(r.state().parked(), 1);
}

#[test]
fn lists_and_padding() {
    let p = Profile::Strict;
    // Four arguments: lists at 0, 64, 96; fd list 160, CRC 288, poll 544, end 548.
    for off in [160, 287, 288, 543, 544, 547, 548, 639] {
        spoiled(
            "metadata tail",
            "before argument 0 is not zero",
            p,
            false,
            |_, m| m.put(off, &[1]),
        );
    }
    spoiled(
        "padding between arguments",
        "before argument 2 is not zero",
        p,
        false,
        |_, m| {
            let end = m.data[0].0 + m.data[0].1;
            m.put(end, &[1]);
        },
    );
    spoiled(
        "rest of the page",
        "after the last argument",
        p,
        false,
        |_, m| m.put(4095, &[1]),
    );
    spoiled("list count", "list entry", p, false, |_, m| m.put(64, &[2]));
    spoiled("list index", "list entry", p, false, |_, m| m.put(68, &[1]));
    spoiled(
        "count of an empty argument",
        "list entry",
        p,
        false,
        |_, m| m.put(72, &[1]),
    );
    spoiled(
        "pv of an empty argument",
        "empty argument",
        p,
        false,
        |_, m| m.put(16, &[1]),
    );
    spoiled(
        "page of an empty argument",
        "empty argument",
        p,
        false,
        |_, m| m.put(112 + 1, &[16]),
    );
    spoiled("unaligned page", "has page entry", p, false, |_, m| {
        m.put(96, &[1])
    });
    spoiled("page size", "bytes of pages", p, false, |_, m| {
        m.put(96 + 8 + 1, &[32])
    });
    spoiled("page of bank 2", "has page entry", p, false, |_, m| {
        m.put(96 + 4, &[2])
    });
    spoiled("page without SID", "has page entry", p, false, |_, m| {
        m.put(96 + 4, &[0])
    });
    spoiled("unmapped page", "page 0xf", p, false, |_, m| {
        m.put(96 + 3, &[0xF0])
    });
    spoiled(
        "into the metadata",
        "overlaps the metadata",
        p,
        false,
        |_, m| m.put(0, &[0, 0]),
    );
    spoiled(
        "not aligned to 128",
        "not aligned to 128",
        p,
        false,
        |_, m| m.put(0, &[0x84]),
    );
    spoiled(
        "behind the buffer",
        "leaves the message buffer",
        p,
        false,
        |_, m| m.put(0, &[0xF0, 0x0F]),
    );
}

#[test]
fn overlapping_arguments() {
    spoiled(
        "overlap",
        "overlaps another",
        Profile::Strict,
        false,
        |_, m| {
            let pv: Vec<u8> = m.buffer[..8].to_vec();
            m.put(32, &pv);
        },
    );
}

#[test]
fn kernel_addresses_per_driver() {
    let spoil = |m: &mut Msg| m.put(4, &[0, 0x80, 0xFF, 0xFF]);
    spoiled(
        "kernel address",
        "kernel address",
        Profile::Strict,
        false,
        |_, m| spoil(m),
    );
    let (mut r, h) = rig(Profile::Stock);
    let mut m = good(&mut r, h);
    spoil(&mut m);
    assert_eq!(r.call(&m), 0);
    r.clean();
    assert_eq!(r.state().t.core.counters.tolerated, 1);
}

#[test]
fn memory_of_a_process_must_stay() {
    for replace in [false, true] {
        let mut r = Rig::new(Profile::Strict);
        r.create(1, 1);
        let page = 0xE010_0000 + 0x3000;
        r.w.unmap(1, page);
        if replace {
            r.w.map(1, page, 4096);
        }
        assert_eq!(r.release(1, 1, 1), 0);
        assert_eq!(r.w.violations.len(), 1, "{replace}");
    }
    // The message buffer of a parked call.
    let (mut r, h) = rig(Profile::Strict);
    let m = r.build(1, 1, 1, h, 4, &[]);
    r.send(&m);
    r.w.unmap(1, m.iova);
    assert_eq!(r.release(1, 1, 1), 0);
    assert_eq!(r.w.violations.len(), 1);
}

#[test]
fn create_fields() {
    fn bad(what: &str, spoil: impl FnOnce(&mut Msg, usize)) {
        let mut r = Rig::new(Profile::Strict);
        let mut m = r.create_msg(1, 1);
        let head = m.data[0].0;
        spoil(&mut m, head);
        r.call(&m);
        assert!(!r.w.violations.is_empty(), "{what} was not noticed");
    }
    bad("client 0", |m, h| m.put(h, &[0]));
    bad("name length", |m, h| m.put(h + 4, &[4]));
    bad("shell length", |m, h| m.put(h + 8, &[1]));
    bad("pages", |m, h| m.put(h + 12, &[2]));
    bad("attributes with method 7", |m, h| m.put(h + 16, &[0]));
    bad("attributes with method 6", |m, _| m.sc = 0x0604_0000);
    bad("signature", |m, h| m.put(h + 20, &[1]));
    bad("name without NUL", |m, _| {
        let (off, len) = m.data[1];
        m.put(off + len - 1, b"x");
    });
    bad("root PD", |m, _| m.ctx &= !1);
    bad("client id in the header", |m, _| m.client = 1);
    bad("init memory not mapped", |m, _| {
        let off = m.data[3].0;
        m.put(off + 8 + 1, &[0x50]);
    });
    bad("init memory of another bank", |m, _| {
        let off = m.data[3].0;
        m.put(off + 4, &[2]);
    });
    bad("unknown method", |m, _| m.sc = 0x0904_0000);
}

#[test]
fn clients_and_banks() {
    // A second process in a bank for one, a third in a bank for two.
    let mut r = Rig::new(Profile::Strict);
    r.create(4, 1);
    r.create(4, 2);
    r.create(1, 3);
    let m = r.create_msg(1, 4);
    r.call(&m);
    assert_eq!(r.w.violations.len(), 1);
    let m = r.create_msg(4, 5);
    r.call(&m);
    assert_eq!(r.w.violations.len(), 2);
    // An id that is alive, only the in-tree driver may lose a RELEASE.
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    let m = r.create_msg(2, 1);
    assert_eq!(r.call(&m), 0x8000_040E);
    assert_eq!(r.w.violations.len(), 1);
    let mut r = Rig::new(Profile::Stock);
    r.create(1, 1);
    r.create(2, 1);
    assert_eq!(r.state().live(), 1);
    assert_eq!(r.release(2, 1, 1), 0);
    assert_eq!(r.release(2, 1, 1), 0x8000_0441);
    r.clean();
    // A RELEASE for nobody.
    let mut r = Rig::new(Profile::Strict);
    assert_eq!(r.release(1, 1, 1), 0x8000_0441);
    assert_eq!(r.w.violations.len(), 1);
}

#[test]
fn sequence_window() {
    let mut w = Window::new();
    assert_eq!(w.take(0), Err(Reject::Zero));
    for s in [3, 1, 2] {
        assert_eq!(w.take(s), Ok(()), "out of order");
        assert_eq!(w.take(s), Err(Reject::Repeated));
    }
    assert_eq!(w.take(3 + WINDOW), Ok(()));
    assert_eq!(w.take(3), Err(Reject::Old));
    assert_eq!(w.take(4), Ok(()), "just inside");
    assert_eq!(w.take(4), Err(Reject::Repeated));
    assert_eq!(w.take(1 << 47), Ok(()));
    assert_eq!(w.take((1 << 47) - WINDOW + 1), Ok(()));
    assert_eq!(w.take((1 << 47) - WINDOW), Err(Reject::Old));
    // Every number of a long run once, in pairs of changed order.
    let mut w = Window::new();
    for s in (1..20_000u64).step_by(2) {
        assert_eq!(w.take(s + 1), Ok(()));
        assert_eq!(w.take(s), Ok(()));
        assert_eq!(w.take(s + 1), Err(Reject::Repeated));
    }
}
