// SPDX-License-Identifier: GPL-2.0

//! Modules filter and mem.
//!
//! The expected values are computed here from the text of `tests/sim/README.md`.

mod common;

use common::module::*;
use common::{Msg, Rig, A, H, PAGE};

/// The filter, written down as the README says it.
fn sobel(pixels: &[u8], w: i64, h: i64, stride: i64) -> Vec<u8> {
    let at = |x: i64, y: i64| {
        let (x, y) = (x.clamp(0, w - 1), y.clamp(0, h - 1));
        i64::from(pixels[(y * stride + x) as usize])
    };
    let mut out = Vec::new();
    for y in 0..h {
        for x in 0..w {
            let (mut gx, mut gy) = (0, 0);
            for (dy, kx, ky) in [
                (-1, [-1, 0, 1], [-1, -2, -1]),
                (0, [-2, 0, 2], [0; 3]),
                (1, [-1, 0, 1], [1, 2, 1]),
            ] {
                for dx in -1..=1 {
                    let p = at(x + dx, y + dy);
                    gx += kx[(dx + 1) as usize] * p;
                    gy += ky[(dx + 1) as usize] * p;
                }
            }
            out.push((gx.abs() + gy.abs()).min(255) as u8);
        }
    }
    out
}

fn picture(n: usize, seed: u64) -> Vec<u8> {
    // Soft and hard edges: a sum that stays low and one that is cut at 255.
    let noise = stream(seed, n);
    let soft = |i: usize| (i * i / 37) as u8 / 8;
    (0..n)
        .map(|i| if i % 3 == 0 { noise[i] } else { soft(i) })
        .collect()
}

#[test]
fn sobel_of_all_shapes() {
    let (mut r, h) = start("filter");
    r.w.map(1, 0xC000_0000, 0x4000);
    r.w.map(1, 0xC800_0000, 0x4000);
    // The strips of this rig are 14 pixels long.
    for (w, height) in [
        (1, 1),
        (1, 5),
        (2, 2),
        (5, 1),
        (13, 3),
        (14, 3),
        (15, 3),
        (28, 2),
        (29, 4),
        (70, 20),
    ] {
        for pad in [0usize, 3] {
            let (si, so) = (w + pad, w + 2 * pad);
            let pixels = picture(si * height, w as u64);
            // Both begin in the middle of a page.
            let (from, to) = (0xC000_0800 + pad as u64, 0xC800_0FFD);
            r.w.poke(1, from, &pixels);
            r.w.poke(1, to, &vec![0xAA; so * height]);
            let head = [w, height, si, so]
                .iter()
                .flat_map(|v| (*v as u32).to_le_bytes())
                .collect();
            let args = [
                A::In(head),
                A::InAt(from, si * height),
                A::OutAt(to, so * height),
            ];
            assert_eq!(run(&mut r, h, 2, &args).0, 0);
            let want = sobel(&pixels, w as i64, height as i64, si as i64);
            for y in 0..height {
                let line = r.w.peek(1, to + (y * so) as u64, so);
                assert_eq!(line[..w], want[y * w..y * w + w], "{w}x{height} line {y}");
                assert!(line[w..].iter().all(|b| *b == 0xAA), "stride is left alone");
            }
        }
    }
    r.clean();
}

#[test]
fn sobel_refuses_what_does_not_fit() {
    let (mut r, h) = start("filter");
    let mut call = |head: [u32; 4], from: usize, to: usize| {
        let head = head.iter().flat_map(|v| v.to_le_bytes()).collect();
        let args = [A::In(head), A::In(vec![7; from]), A::Out(to)];
        run(&mut r, h, 2, &args).0
    };
    assert_eq!(call([4, 3, 5, 6], 15, 18), 0);
    assert_eq!(call([4, 3, 5, 6], 14, 18), 0x8000_040E);
    assert_eq!(call([4, 3, 5, 6], 15, 17), 0x8000_040E);
    assert_eq!(call([0, 3, 5, 6], 15, 18), 0x8000_040E);
    assert_eq!(call([4, 0, 5, 6], 15, 18), 0x8000_040E);
    assert_eq!(call([4, 3, 3, 6], 15, 18), 0x8000_040E);
    assert_eq!(call([4, 3, 5, 3], 15, 18), 0x8000_040E);
    assert_eq!(call([u32::MAX; 4], 15, 18), 0x8000_040E);
    let (retval, _) = run(&mut r, h, 3, &[]);
    assert_eq!(retval, 0x8000_0414);
    r.clean();
}

#[test]
fn sum_fill_and_scan() {
    let (mut r, h) = start("mem");
    let base = 0xC000_0000u64;
    r.w.map(1, base, 0x3000);
    r.w.map(1, base + 0x5000, 0x1000);
    for (off, len) in [(0u64, 0usize), (1, 1), (5, 7), (4090, 4096), (3, 0x2FFD)] {
        let (sid, at) = (1u64 << 32, base + off);
        let (retval, _) = run(&mut r, h, 3, &[A::In(words(&[sid | at, len as u64, 99]))]);
        assert_eq!(retval, 0);
        assert_eq!(r.w.peek(1, at, len), stream(99, len));
        let (retval, m) = run(&mut r, h, 2, &[A::In(words(&[at, len as u64])), A::Out(16)]);
        assert_eq!(retval, 0);
        assert_eq!(r.out(&m, 1), checksum(&stream(99, len)), "{off} {len}");
    }
    let mut faults = 0;
    let mut scan = |at: u64, len: u64| {
        let (retval, m) = run(&mut r, h, 4, &[A::In(words(&[at, len])), A::Out(32)]);
        let out = r.out(&m, 1);
        faults += long(&out, 1);
        (retval, [0, 1, 2, 3].map(|i| long(&out, i)))
    };
    assert_eq!(scan(base, 0x7000), (0, [4, 3, base, base + 0x3000]));
    assert_eq!(scan(base + 4095, 2), (0, [2, 0, base, u64::MAX]));
    assert_eq!(scan(base + 0x3000, 1), (0, [0, 1, u64::MAX, base + 0x3000]));
    assert_eq!(scan(base, 0), (0, [0, 0, u64::MAX, u64::MAX]));
    // Another bank, which has pages there.
    assert_eq!(scan((2 << 32) | base, 0x1000).1[..2], [0, 1]);
    let (retval, all) = scan(0, 1 << 34);
    assert_eq!((retval, all[0] + all[1]), (0, 1 << 22));
    assert_eq!(scan(0, (1 << 34) + 1).0, 0x8000_040E);
    assert_eq!(r.state().t.core.counters.scan_faults, faults);
    r.clean();
    // Ranges that do not translate, own and foreign.
    r.w.map(2, base, 0x1000);
    for (at, len) in [(base + 0x2FFF, 2u64), ((2 << 32) | base, 1)] {
        let (retval, _) = run(&mut r, h, 3, &[A::In(words(&[at, len, 1]))]);
        assert_eq!(retval, 0x8000_0401);
        assert!(r.w.faults.last().unwrap().write);
        let (retval, _) = run(&mut r, h, 2, &[A::In(words(&[at, len])), A::Out(16)]);
        assert_eq!(retval, 0x8000_0401);
        assert!(!r.w.faults.last().unwrap().write);
    }
    assert_eq!(r.w.faults.len(), 4);
}

#[test]
fn args_tells_what_arrived() {
    let (mut r, h) = start("mem");
    r.w.map(1, 0xC000_0000, 0x4000);
    let none = H {
        fd: -1,
        offset: 0,
        len: 8,
        iova: 0,
        size: 0,
    };
    let args = [
        A::In(vec![1; 5]),
        A::InAt(0xC000_1FFF, 2),
        A::In(vec![]),
        A::Out(64 * 7),
        A::InHandle(handle(7, 4097, 100)),
        A::InHandle(none),
        A::OutHandle(handle(-5, 0, 0)),
    ];
    let (retval, m) = run(&mut r, h, 5, &args);
    assert_eq!(retval, 0);
    let out = r.out(&m, 3);
    let record = |i: usize| [0, 1, 2, 3, 4, 5].map(|w| long(&out[64 * i..], w));
    let inline = m.iova + m.data[0].0 as u64;
    let page = |at: u64| (1 << 32) | (at / PAGE * PAGE);
    assert_eq!(record(0), [inline, 5, page(inline), PAGE, inline, 1 << 32]);
    let at = 0xC000_1FFF;
    assert_eq!(record(1), [at, 2, page(at), 2 * PAGE, at, 0]);
    assert_eq!(record(2), [0; 6]);
    assert_eq!(record(3)[1..2], [64 * 7]);
    assert_eq!(record(3)[5], 1 | (1 << 32));
    assert_eq!(
        record(4),
        [
            7 | (4097 << 32),
            100,
            page(0xC000_0000),
            0x4000,
            0xC000_1001,
            2
        ]
    );
    assert_eq!(record(5), [0xFFFF_FFFF, 8, 0, 0, 0, 2]);
    assert_eq!(
        record(6),
        [0xFFFF_FFFB, 0, page(0xC000_0000), 0x4000, 0xC000_0000, 3]
    );
    r.clean();
    let (retval, _) = run(&mut r, h, 5, &[A::In(vec![1]), A::Out(127)]);
    assert_eq!(retval, 0x8000_040E);
}

#[test]
fn touch_reads_and_writes_all_arguments() {
    let (mut r, h) = start("mem");
    r.w.map(1, 0xC000_0000, 0x4000);
    r.w.map(1, 0xD000_0000, 0x4000);
    r.w.poke(1, 0xC000_0000, &stream(1234, 0x4000));
    let out = H {
        iova: 0xD000_0000,
        ..handle(9, 0x1003, 0x1FF0)
    };
    let args = [
        A::In(words(&[500])),
        A::In(stream(3, 77)),
        A::InAt(0xC000_0FF1, 5000),
        A::In(vec![]),
        A::Out(64),
        A::Out(33),
        A::OutAt(0xD000_3001, 0xFFF),
        A::InHandle(handle(8, 0x2007, 0x1FF9)),
        A::OutHandle(out),
    ];
    let (retval, m) = run(&mut r, h, 6, &args);
    assert_eq!(retval, 0);
    let data = stream(1234, 0x4000);
    let want = [
        checksum(&stream(3, 77)),
        checksum(&data[0xFF1..0xFF1 + 5000]),
        checksum(&[]),
        checksum(&data[0x2007..]),
    ];
    assert_eq!(r.out(&m, 4), want.concat());
    assert_eq!(r.out(&m, 5), stream(500, 33));
    assert_eq!(r.w.peek(1, 0xD000_3001, 0xFFF), stream(501, 0xFFF));
    assert_eq!(r.w.peek(1, 0xD000_1003, 0x1FF0), stream(502, 0x1FF0));
    assert_eq!(r.w.peek(1, 0xD000_0000, 0x1003), vec![0; 0x1003]);
    r.clean();
    // No page entry; not enough room for the checksums.
    let none = H {
        size: 0,
        ..handle(-1, 0, 4)
    };
    for arg in [A::InHandle(none), A::OutHandle(none)] {
        let (retval, _) = run(&mut r, h, 6, &[A::In(words(&[1])), A::Out(16), arg]);
        assert_eq!(retval, 0x8000_044F);
    }
    let args = [A::In(words(&[1])), A::In(vec![1]), A::Out(15)];
    assert_eq!(run(&mut r, h, 6, &args).0, 0x8000_040E);
    r.clean();
    // T8: a range that leaves its buffer.
    for (offset, len) in [(0x4000, 1), (0, 0x4001), (u32::MAX, u32::MAX)] {
        let before = r.w.violations.len();
        let bad = A::InHandle(handle(1, offset, len));
        run(&mut r, h, 6, &[A::In(words(&[1])), A::Out(16), bad]);
        assert_eq!(r.w.violations.len(), before + 1, "{offset} {len}");
    }
}

/// The fd list of a message.
fn fd_list(r: &mut Rig, m: &Msg) -> Vec<u64> {
    let b = r.w.peek(1, m.iova + 40 * m.nargs() as u64, 128);
    (0..16).map(|i| long(&b, i)).collect()
}

#[test]
fn drop_writes_the_fd_list() {
    let (mut r, h) = start("mem");
    let odd = [1, u64::MAX, (1 << 63) | 7, 0, 0xFFFF_FFFF, 7, 7];
    let mut head = words(&[(7 << 32) | 0x8000_0ABC]);
    head.extend(words(&odd));
    let (retval, m) = run(&mut r, h, 7, &[A::In(head), A::Out(4)]);
    assert_eq!(retval, 0x8000_0ABC);
    let mut want = odd.to_vec();
    want.resize(16, 0);
    assert_eq!(fd_list(&mut r, &m), want);
    let full = words(&[16 << 32])
        .into_iter()
        .chain(words(&[5; 16]))
        .collect();
    let (retval, m) = run(&mut r, h, 7, &[A::In(full)]);
    assert_eq!((retval, fd_list(&mut r, &m)), (0, vec![5; 16]));
    let many = words(&[17 << 32])
        .into_iter()
        .chain(words(&[5; 17]))
        .collect();
    assert_eq!(run(&mut r, h, 7, &[A::In(many)]).0, 0x8000_040E);
    let short = words(&[2 << 32, 5]);
    assert_eq!(run(&mut r, h, 7, &[A::In(short)]).0, 0x8000_040E);
    r.clean();
}

#[test]
fn droplist_goes_to_the_next_call_of_a_process() {
    let (mut r, h) = start("echo");
    let f = r.open(1, 1, "fail");
    let list = |r: &mut Rig, text: &str| r.state().t.core.knobs.command(text.as_bytes()).unwrap();
    // A call without arguments.
    list(&mut r, "droplist 1 0x1ffffffff");
    let (_, m) = run(&mut r, h, 2, &[]);
    assert_eq!(fd_list(&mut r, &m)[..3], [1, 0x1_FFFF_FFFF, 0]);
    let (_, m) = run(&mut r, h, 2, &[]);
    assert_eq!(fd_list(&mut r, &m), [0; 16], "once");
    // A failing call; a call of the kernel is no call of a process.
    list(&mut r, "droplist 3");
    r.w.map(1, 0xC000_0000, PAGE);
    assert_eq!(r.map_call(1, 1, None, 0x1000, (0xC000_0000, PAGE)).0, 0);
    let (_, m) = run(&mut r, f, 2, &[A::In(9u32.to_le_bytes().to_vec())]);
    assert_eq!(fd_list(&mut r, &m)[..2], [3, 0]);
    // A parked call that is aborted.
    let park = r.build(1, 1, 1, h, 4, &[]);
    r.send(&park);
    list(&mut r, "droplist 4");
    assert_eq!(r.release(1, 1, 1), 0);
    assert_eq!(fd_list(&mut r, &park)[..2], [4, 0]);
    r.clean();
}

#[test]
fn maps_are_found_by_their_tag() {
    let (mut r, h) = start("mem");
    let (a, b) = (0xC000_0000u64, 0xD000_0000u64);
    r.w.map(1, a, 0x3000);
    r.w.map(1, b, 0x2000);
    let (_, first) = r.map_call(1, 1, Some(5), 2, (a, 0x3000));
    // A length that is not whole pages; the same tag again.
    let (_, second) = r.map_call(1, 1, Some(5), 16, (b, 0x1001));
    let (_, heap) = r.map_call(1, 1, None, 0x3000, (a, 0x1000));
    let query = |fd: i32| [A::In(fd.to_le_bytes().to_vec()), A::Out(40)];
    let (retval, m) = run(&mut r, h, 8, &query(5));
    assert_eq!(retval, 0);
    let tail = [16u32, 5, 0, 2].iter().flat_map(|v| v.to_le_bytes());
    let newest: Vec<u8> = words(&[second, (1 << 32) | b, 0x1001])
        .into_iter()
        .chain(tail)
        .collect();
    assert_eq!(r.out(&m, 1), newest);
    assert_eq!(run(&mut r, h, 8, &query(6)).0, 0x8000_0448);
    let (_, m) = run(&mut r, h, 11, &[A::Out(8 + 40 * 3 + 39)]);
    let out = r.out(&m, 0);
    assert_eq!(long(&out, 0), 3);
    assert_eq!(long(&out[8..], 0), first);
    assert_eq!(out[48..88], newest);
    assert_eq!(long(&out[88..], 0), heap);
    assert_eq!(long(&out[88..], 3), 0xFFFF_FFFF_0000_3000);
    assert_eq!(out[128..], [0; 39]);
    let (retval, m) = run(&mut r, h, 11, &[A::Out(8 + 39)]);
    let out = r.out(&m, 0);
    assert_eq!(
        (retval, long(&out, 0)),
        (0, 3),
        "the number, without records"
    );
    assert_eq!(out[8..], [0; 39]);
    // Through the mapping.
    let part = |len: u32, off: u64| {
        let mut v = 5u32.to_le_bytes().to_vec();
        v.extend(len.to_le_bytes());
        v.extend(off.to_le_bytes());
        A::In(v)
    };
    let data = stream(8, 100);
    assert_eq!(
        run(&mut r, h, 10, &[part(100, 4050), A::In(data.clone())]).0,
        0x8000_040E
    );
    assert_eq!(
        run(&mut r, h, 10, &[part(100, 3997), A::In(data.clone())]).0,
        0
    );
    assert_eq!(r.w.peek(1, b + 3997, 100), data);
    let (retval, m) = run(&mut r, h, 9, &[part(100, 3997), A::Out(100)]);
    assert_eq!((retval, r.out(&m, 1)), (0, data));
    assert_eq!(
        run(&mut r, h, 9, &[part(100, 0), A::Out(99)]).0,
        0x8000_040E
    );
    assert_eq!(
        run(&mut r, h, 9, &[part(1, u64::MAX), A::Out(99)]).0,
        0x8000_040E
    );
    // The newest goes, the older one appears.
    assert_eq!(r.unmap_call(1, 1, Some(5), second, 0), 0);
    let (_, m) = run(&mut r, h, 8, &query(5));
    assert_eq!(long(&r.out(&m, 1), 0), first);
    r.clean();
}

#[test]
fn heap_uses_every_page() {
    let (mut r, h) = start("mem");
    for (i, flags) in [0x1000, 0x3000, 6].into_iter().enumerate() {
        let at = 0xC000_0000 + 0x10_0000 * i as u64;
        r.w.map(1, at, 0x2000);
        assert_eq!(r.map_call(1, 1, None, flags, (at, 0x2000)).0, 0);
    }
    // A buffer of MEM_MAP is no heap.
    r.w.map(1, 0xCF00_0000, 0x1000);
    assert_eq!(r.map_call(1, 1, Some(4), 0, (0xCF00_0000, 0x1000)).0, 0);
    let (retval, m) = run(&mut r, h, 12, &[A::In(words(&[70])), A::Out(24)]);
    assert_eq!(retval, 0);
    assert_eq!(r.out(&m, 1), words(&[3, 0x6000, 0]));
    assert_eq!(r.w.peek(1, 0xCF00_0000, 0x1000), [0; 0x1000]);
    assert_eq!(r.w.peek(1, 0xC020_0000, 0x2000), stream(72, 0x2000));
    r.clean();
    // Two heaps on the same page are broken memory.
    r.w.map(1, 0xE800_0000, 0x1000);
    let page = r.w.pages[&(1, 0xC000_0000)];
    r.w.pages.insert((1, 0xE800_0000), page);
    assert_eq!(r.map_call(1, 1, None, 0x1000, (0xE800_0000, 0x1000)).0, 0);
    let (_, m) = run(&mut r, h, 12, &[A::In(words(&[70])), A::Out(24)]);
    let out = r.out(&m, 1);
    assert_eq!(long(&out, 0), 4);
    assert!(long(&out, 2) > 3000);
    r.clean();
    // Flags that no driver should pass on.
    for flags in [0, 4, 8, 0x4000, 0x1001] {
        let before = r.w.violations.len();
        assert_eq!(
            r.map_call(1, 1, None, flags, (0xC000_0000, PAGE)).0,
            0x8000_0414
        );
        assert_eq!(r.w.violations.len(), before + 1);
    }
}
