// SPDX-License-Identifier: GPL-2.0

//! What a well-behaved driver sees: whole flows without a violation.

mod common;

use common::{Rig, A};
use qda_sim_model::Profile;

fn sequence(values: &[i32]) -> [A; 2] {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    [
        A::In((values.len() as u32).to_le_bytes().to_vec()),
        A::In(bytes),
    ]
}

#[test]
fn calculator() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 7);
    let h = r.open(1, 7, "calculator");
    let values: Vec<i32> = (0..1000).collect();
    let [a, b] = sequence(&values);
    let m = r.build(1, 7, 1, h, 2, &[a.clone(), b.clone(), A::Out(8)]);
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.out(&m, 2), 499_500i64.to_le_bytes());
    let m = r.build(1, 7, 1, h, 3, &[a, b, A::Out(4)]);
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.out(&m, 2), 999i32.to_le_bytes());
    // A count above the data, an output too small, no numbers for a maximum.
    let short = [
        A::In(3u32.to_le_bytes().to_vec()),
        A::In(vec![0; 8]),
        A::Out(8),
    ];
    let m = r.build(1, 7, 1, h, 2, &short);
    assert_eq!(r.call(&m), 0x8000_040E);
    let [a, b] = sequence(&[1, -5]);
    let m = r.build(1, 7, 1, h, 2, &[a, b, A::Out(4)]);
    assert_eq!(r.call(&m), 0x8000_040E);
    let [a, b] = sequence(&[]);
    let m = r.build(1, 7, 1, h, 3, &[a, b, A::Out(4)]);
    assert_eq!(r.call(&m), 0x8000_040E);
    let [a, b] = sequence(&[i32::MIN, -5, i32::MIN]);
    let m = r.build(1, 7, 1, h, 3, &[a, b, A::Out(4)]);
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.out(&m, 2), (-5i32).to_le_bytes());
    assert_eq!(r.release(1, 7, 1), 0);
    r.clean();
}

#[test]
fn echo_of_many_sizes() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    let h = r.open(1, 1, "echo");
    for k in [0usize, 1, 2, 255] {
        for len in [0usize, 1, 127, 128, 129, 513, 4095, 4096, 4097] {
            let mut args = Vec::new();
            for i in 0..k {
                args.push(A::In((0..len).map(|j| (i * 31 + j) as u8).collect()));
            }
            args.resize(2 * k, A::Out(len));
            let m = r.build(1, 1, 1, h, 2, &args);
            assert_eq!(r.call(&m), 0, "{k} x {len}");
            for (i, arg) in args.iter().take(k).enumerate() {
                let A::In(v) = arg else { unreachable!() };
                assert_eq!(r.out(&m, k + i), *v, "{k} x {len}");
            }
        }
    }
    let m = r.build(1, 1, 1, h, 2, &[A::In(vec![1; 3]), A::Out(4)]);
    assert_eq!(r.call(&m), 0x8000_040E, "sizes must agree");
    r.clean();
}

#[test]
fn names_of_modules() {
    let mut r = Rig::new(Profile::Strict);
    r.create(2, 3);
    let good =
        "file:///libecho_skel.so?echo_skel_handle_invoke&_idlver=1.2.3&_modver=1.0&_session=1";
    for handle in [8, 0] {
        let (a, err) = r.open_name(2, 3, handle, good);
        let (b, _) = r.open_name(2, 3, handle, good);
        assert!(err == 0 && a != b && a > 20);
        for bad in [
            "nothing",
            "file:///libnone_skel.so?none_skel_handle_invoke&_modver=1.0",
            "file:///libecho_skel.so?calculator_skel_handle_invoke&_modver=1.0",
            "file:///libecho_skel.so?echo_skel_handle_invoke",
            "file:///libecho_skel.so",
        ] {
            assert_eq!(r.open_name(2, 3, handle, bad), (0, 0x8000_043E), "{bad}");
        }
        let (d, err) = r.open_name(2, 3, handle, "adsp_default_listener");
        assert_eq!(err, 0);
        let m = r.build(2, 3, 1, d, 0, &[]);
        assert_eq!(r.call(&m), 0);
    }
    r.clean();
}

#[test]
fn a_handle_belongs_to_its_process() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    r.create(2, 2);
    let h = r.open(1, 1, "echo");
    let m = r.build(2, 2, 1, h, 2, &[]);
    assert_eq!(r.call(&m), 0x8000_042C);
    let close = |r: &mut Rig, sid, id| {
        let mut head = h.to_le_bytes().to_vec();
        head.extend(255u32.to_le_bytes());
        let m = r.build(sid, id, 1, 8, 3, &[A::In(head), A::Out(4), A::Out(255)]);
        assert_eq!(r.call(&m), 0);
        r.out(&m, 1)
    };
    assert_eq!(close(&mut r, 2, 2), 0x8000_042Cu32.to_le_bytes());
    assert_eq!(close(&mut r, 1, 1), 0u32.to_le_bytes());
    assert_eq!(close(&mut r, 1, 1), 0x8000_042Cu32.to_le_bytes());
    let m = r.build(1, 1, 1, h, 2, &[]);
    assert_eq!(r.call(&m), 0x8000_042C);
    r.clean();
}

fn next2(r: &mut Rig, sid: u32, id: u32, handle: u32) -> u64 {
    let method = if handle == 7 { 6 } else { 4 };
    let args = [A::In(vec![0; 16]), A::In(vec![]), A::Out(16), A::Out(0)];
    let m = r.build(sid, id, 1, handle, method, &args);
    let before = r.w.answers.len();
    r.send(&m);
    assert_eq!(r.w.answers.len(), before, "parked");
    m.ctx
}

#[test]
fn exit_answers_itself_first_then_all_that_wait() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    r.create(2, 2);
    let h = r.open(1, 1, "echo");
    let a = next2(&mut r, 1, 1, 7);
    let other = next2(&mut r, 2, 2, 3);
    let m = r.build(1, 1, 1, h, 4, &[]);
    r.send(&m);
    let b = m.ctx;
    assert_eq!(r.state().parked(), 3);
    let before = r.w.answers.len();
    let exit = r.build(1, 1, 1, 4, 2, &[]);
    r.send(&exit);
    let got = r.w.answers[before..].to_vec();
    assert_eq!(got[0], (exit.ctx, 0));
    let mut rest = got[1..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, [(a, 0x8000_040D), (b, 0x8000_040D)]);
    // What may still arrive, and what must fail.
    let m = r.build(1, 1, 1, 4, 3, &[]);
    assert_eq!(r.call(&m), 0, "thread_exit");
    let m = r.build(1, 1, 1, 7, 5, &[]);
    assert_eq!(r.call(&m), 0x8000_040D, "late init2");
    let m = r.build(1, 1, 1, h, 2, &[]);
    assert_eq!(r.call(&m), 0x8000_040D);
    assert_eq!(r.release(1, 1, 1), 0);
    assert_eq!(r.state().parked(), 1);
    // A killed client: RELEASE answers what waits, then itself (checked by release).
    let before = r.w.answers.len();
    assert_eq!(r.release(2, 2, 1), 0);
    assert_eq!(r.w.answers[before], (other, 0x8000_040D));
    assert_eq!(r.state().live(), 0);
    r.clean();
}

#[test]
fn delay_runs_when_its_time_has_come() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    let h = r.open(1, 1, "echo");
    let args = |ms: u32| {
        [
            A::In(ms.to_le_bytes().to_vec()),
            A::In(vec![9; 5]),
            A::Out(5),
        ]
    };
    let slow = r.build(1, 1, 1, h, 3, &args(100));
    let fast = r.build(1, 1, 1, h, 3, &args(50));
    r.send(&slow);
    r.send(&fast);
    let before = r.w.answers.len();
    assert_eq!(r.with(|s, w| s.tick(w)), Some(50));
    r.w.now = 50;
    assert_eq!(r.with(|s, w| s.tick(w)), Some(100));
    assert_eq!(r.w.answers[before..], [(fast.ctx, 0)]);
    assert_eq!(r.out(&slow, 2), [0; 5], "not before its time");
    let m = r.build(1, 1, 1, h, 2, &[]);
    assert_eq!(r.call(&m), 0, "others are not blocked");
    r.w.now = 1000;
    assert_eq!(r.with(|s, w| s.tick(w)), None);
    assert_eq!(r.out(&slow, 2), [9; 5]);
    r.clean();
}

#[test]
fn fail_and_probe() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    let f = r.open(1, 1, "fail");
    for value in [0x8000_0ABCu32, 0xFFFF_FFFF, 1, 0] {
        let args = [
            A::In(value.to_le_bytes().to_vec()),
            A::In(vec![3; 4]),
            A::Out(4),
        ];
        let m = r.build(1, 1, 1, f, 2, &args);
        assert_eq!(r.call(&m), value);
        assert_eq!(r.out(&m, 2), [3; 4]);
    }
    let p = r.open(1, 1, "probe");
    let m = r.build(1, 1, 1, p, 4, &[A::Out(32)]);
    assert_eq!(r.call(&m), 0);
    let out = r.out(&m, 0);
    assert_eq!(out[..8], m.addr.to_le_bytes());
    let init = u64::from_le_bytes(out[16..24].try_into().unwrap());
    let head = |addr: u64, len: u32| {
        let mut v = addr.to_le_bytes().to_vec();
        v.extend(len.to_le_bytes());
        v.extend([0; 4]);
        A::In(v)
    };
    // Across a page border of init memory, with and without SID prefix.
    let m = r.build(1, 1, 1, p, 3, &[head(init + 4090, 12), A::In(vec![5; 12])]);
    assert_eq!(r.call(&m), 0);
    let m = r.build(
        1,
        1,
        1,
        p,
        2,
        &[head(init & 0xFFFF_FFFF, 4096 + 4), A::Out(4100)],
    );
    assert_eq!(r.call(&m), 0);
    assert_eq!(r.out(&m, 1)[4088..], [0, 0, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
    r.clean();
    // Behind the last page, and through another bank.
    let m = r.build(1, 1, 1, p, 2, &[head(init + 0x3FFF, 2), A::Out(2)]);
    assert_eq!(r.call(&m), 0x8000_0401);
    assert_eq!(r.w.faults.len(), 1);
    assert!(!r.w.faults[0].write);
    r.w.map(2, init & 0xFFFF_FFFF, 4096);
    let other = (init & 0xFFFF_FFFF) | (2 << 32);
    let m = r.build(1, 1, 1, p, 3, &[head(other, 2), A::In(vec![1; 2])]);
    assert_eq!(r.call(&m), 0x8000_0401);
    assert_eq!(r.w.faults.len(), 2);
    assert!(r.w.faults[1].write);
    assert_eq!(r.w.violations, Vec::<String>::new());
}

#[test]
fn capabilities_attach_and_maps() {
    let mut r = Rig::new(Profile::Strict);
    let args = [A::In(255u32.to_le_bytes().to_vec()), A::Out(1020)];
    let m = r.build(3, 0, 0, 2, 0, &args);
    assert_eq!(r.call(&m), 0);
    let out = r.out(&m, 1);
    assert_eq!(out[..4], 1u32.to_le_bytes());
    assert_eq!(out[20..24], 0x68u32.to_le_bytes());
    for (pd, id) in [(0u64, 5u32), (2, 6)] {
        let sid = 2 + pd as u32 / 2;
        let m = r.build(sid, 0, pd, 1, 0, &[A::In(id.to_le_bytes().to_vec())]);
        assert_eq!(r.call(&m), 0);
        assert_eq!(r.release(sid, id, pd), 0);
    }
    r.create(1, 9);
    r.w.map(1, 0xF000_0000, 0x3000);
    let mut head = Vec::new();
    for word in [9u32, 0x1000, 0, 0, 16, 0] {
        head.extend(word.to_le_bytes());
    }
    let mut page = 0x1_F000_0000u64.to_le_bytes().to_vec();
    page.extend(0x3000u64.to_le_bytes());
    let m = r.build(1, 0, 1, 1, 4, &[A::In(head), A::In(page), A::Out(8)]);
    assert_eq!(r.call(&m), 0);
    let vaddr = r.out(&m, 2);
    let unmap = |r: &mut Rig, size: u64| {
        let mut v = 9u32.to_le_bytes().to_vec();
        v.extend([0; 4]);
        v.extend(&vaddr);
        v.extend(size.to_le_bytes());
        let m = r.build(1, 0, 1, 1, 5, &[A::In(v)]);
        r.call(&m)
    };
    assert_eq!(unmap(&mut r, 0x2000), 0x8000_0448);
    assert_eq!(unmap(&mut r, 0x3000), 0);
    assert_eq!(unmap(&mut r, 0x3000), 0x8000_0448);
    r.clean();
}

#[test]
fn closing_the_channel_forgets_everything() {
    let mut r = Rig::new(Profile::Strict);
    r.create(1, 1);
    next2(&mut r, 1, 1, 7);
    let before = r.w.answers.len();
    r.state().close();
    assert_eq!(r.w.answers.len(), before);
    assert_eq!((r.state().live(), r.state().parked()), (0, 0));
    assert_eq!(r.state().t.core.counters.abandoned, 1);
}
