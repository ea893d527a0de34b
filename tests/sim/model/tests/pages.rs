// SPDX-License-Identifier: GPL-2.0

//! Pages that must stay, that must be writable, and where addresses end.

mod common;

use common::module::*;
use common::{Rig, A, H, PAGE};
use qda_sim_model::Profile;

#[test]
fn memory_of_maps_and_handles_must_stay() {
    // MEM_MAP: a page is replaced in the middle.
    let (mut r, _) = start("mem");
    r.w.map(1, 0xC000_0000, 0x4000);
    r.map_call(1, 1, Some(3), 0, (0xC000_0000, 0x4000));
    r.with(|s, w| s.check_all(w));
    r.clean();
    r.w.unmap(1, 0xC000_2000);
    r.w.map(1, 0xC000_2000, 0x1000);
    r.with(|s, w| s.check_all(w));
    assert_eq!(r.w.violations.len(), 1, "{:?}", r.w.violations);
    r.release(1, 1, 1);
    assert_eq!(r.w.violations.len(), 2);

    // A buffer of a handle, until the DSP drops it.
    let (mut r, h) = start("mem");
    r.w.map(1, 0xC000_0000, 0x4000);
    let touch = [
        A::In(words(&[1])),
        A::Out(16),
        A::InHandle(handle(3, 0, 10)),
    ];
    for _ in 0..3 {
        assert_eq!(run(&mut r, h, 6, &touch).0, 0);
    }
    assert_eq!(r.state().held(), 1);
    let drop = |tag: u64| [A::In(words(&[1 << 32, tag]))];
    run(&mut r, h, 7, &drop(4));
    assert_eq!(r.state().held(), 1, "somebody else's tag");
    r.w.unmap(1, 0xC000_3000);
    r.with(|s, w| s.check_all(w));
    assert_eq!(r.w.violations.len(), 1, "{:?}", r.w.violations);
    run(&mut r, h, 7, &drop(0xABC_0000_0003));
    assert_eq!(r.state().held(), 0);
    assert_eq!(r.release(1, 1, 1), 0);
    assert_eq!(r.w.violations.len(), 1);
}

#[test]
fn large_ranges_are_sampled() {
    // 33 MiB are more pages than are looked at: every third.
    let (mut r, _) = start("mem");
    let (base, pages) = (0x8000_0000u64, 33 * 256);
    r.w.map(1, base, pages * PAGE);
    r.map_call(1, 1, Some(3), 0, (base, pages * PAGE));
    for (page, seen) in [(0, true), (3, true), (4, false), (pages - 1, true)] {
        let before = r.w.violations.len();
        let at = (1, base + page * PAGE);
        let frame = r.w.pages.remove(&at).unwrap();
        r.with(|s, w| s.check_all(w));
        assert_eq!(r.w.violations.len() > before, seen, "page {page}");
        r.w.pages.insert(at, frame);
    }
}

#[test]
fn outputs_must_be_writable() {
    let (mut r, h) = start("mem");
    r.w.map(1, 0xC000_0000, 0x3000);
    r.w.read_only.push((1, 0xC000_2000));
    let touch = |out: A| [A::In(words(&[1])), A::InAt(0xC000_2000, 8), A::Out(16), out];
    assert_eq!(
        run(&mut r, h, 6, &touch(A::OutAt(0xC000_0000, 0x2000))).0,
        0
    );
    r.clean();
    // As output only that page is wrong, and the access faults.
    assert_eq!(
        run(&mut r, h, 6, &touch(A::OutAt(0xC000_1000, 0x1001))).0,
        0x8000_0401
    );
    assert_eq!(r.w.violations.len(), 1, "{:?}", r.w.violations);
    assert_eq!(r.w.faults.len(), 1);
    assert!(r.w.faults[0].write && r.w.faults[0].iova == 0xC000_2000);
}

#[test]
fn pages_of_the_process_manager() {
    // Whole pages for the heap, any length for MEM_MAP.
    let (mut r, h) = start("mem");
    let base = 0xC000_0000;
    r.w.map(1, base, 0x2000);
    assert_eq!(r.map_call(1, 1, Some(1), 0, (base, 0x1001)).0, 0);
    r.clean();
    assert_eq!(
        r.map_call(1, 1, None, 0x1000, (base, 0x1001)).0,
        0x8000_040E
    );
    assert_eq!(r.w.violations.len(), 1);
    // An offset behind the page entry.
    for (offset, good) in [(0x1FFFu32, true), (0x2000, false)] {
        let mut m = r.map_msg(1, 1, Some(2), 0, (base, 0x2000));
        let at = m.data[0].0 + 8;
        m.put(at, &offset.to_le_bytes());
        assert_eq!(r.call(&m) == 0, good, "{offset:#x}");
    }
    assert_eq!(r.w.violations.len(), 2);
    // Buffers of handles go with their process.
    r.w.map(1, 0xC800_0000, 0x4000);
    let h1 = H {
        iova: 0xC800_0000,
        ..handle(3, 0, 1)
    };
    run(
        &mut r,
        h,
        6,
        &[A::In(words(&[1])), A::Out(16), A::InHandle(h1)],
    );
    assert_eq!(r.state().held(), 1);
    assert_eq!(r.release(1, 1, 1), 0);
    assert_eq!((r.state().held(), r.state().mapped()), (0, 0));
    assert_eq!(r.w.violations.len(), 2);
}

#[test]
fn hints_of_mmap() {
    // The in-tree driver has no way to send one.
    for (profile, good) in [(Profile::Strict, true), (Profile::Stock, false)] {
        let mut r = Rig::new(profile);
        r.create(1, 1);
        r.w.map(1, 0xC000_0000, PAGE);
        let mut m = r.map_msg(1, 1, None, 0x1000, (0xC000_0000, PAGE));
        let at = m.data[0].0 + 8;
        m.put(at, &[1]);
        assert_eq!(r.call(&m) == 0, good);
        assert_eq!(r.w.violations.is_empty(), good);
    }
}

#[test]
fn addresses_end_where_the_bank_does() {
    let (mut r, h) = start("mem");
    r.w.map(1, 0xFFFF_E000, 0x4000);
    let touch = |at: u64| [A::In(words(&[1])), A::InAt(at, 0x1000), A::Out(16)];
    assert_eq!(run(&mut r, h, 6, &touch(0xFFFF_F000)).0, 0);
    r.clean();
    assert_eq!(run(&mut r, h, 6, &touch(0xFFFF_F800)).0, 0x8000_040E);
    assert_eq!(r.w.violations.len(), 1);
    // The other layout of addresses.
    let mut r = Rig::new(Profile::Strict);
    let state = r.state();
    (state.t.core.sid_pos, state.t.core.iova_bits) = (56, 34);
    assert_eq!(state.join(3, 0x3_FFFF_F000), 0x0300_0003_FFFF_F000);
    assert_eq!(state.split(0x0300_0003_FFFF_F000), (3, 0x3_FFFF_F000));
    assert_eq!(state.limit(), 1 << 34);
}
