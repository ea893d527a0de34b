// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Names, attributes, flags, scalars, labels and addresses: everything that a caller or a device
//! tree chooses and that ends up in a message.
//!
//! Input: u8 kind (modulo 6), then its numbers and bytes.

#![no_main]

// covers: T4, T5, T18, T182

use fastrpc_proto::addr::{span, Addressing};
use fastrpc_proto::domain::Domain;
use fastrpc_proto::layout::Arg;
use fastrpc_proto::methods::attrs::{AttrsError, ProcessAttrs};
use fastrpc_proto::methods::memory::{HeapFlags, MapFlags};
use fastrpc_proto::methods::name::{Name, TaskName};
use fastrpc_proto::methods::process::{CreateArgs, CreateCall};
use fastrpc_proto::methods::Method;
use fastrpc_proto::scalars::Scalars;
use fastrpc_proto::wire::{ClientId, PageEntry};
use input::Input;

/// A name is the text up to its first NUL, cut to what fits with one.
fn name<const N: usize>(bytes: &[u8]) {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let kept = &text[..text.len().min(N - 1)];
    let mut expected = kept.to_vec();
    expected.push(0);
    let name = Name::<N>::snapshot(bytes);
    assert_eq!(name.as_bytes_with_nul(), expected);
    assert_eq!(name.wire_len() as usize, expected.len());
    let fits = !bytes.is_empty() && bytes.len() < N && !bytes.contains(&0);
    assert_eq!(Name::<N>::exact(bytes), fits.then_some(name));
}

fn attrs(raw: u32) {
    // Bits 0 to 23 and 30 have a meaning; CRC (2) and performance counters (10) are not done.
    let unknown = raw & 0xbf00_0000;
    let expected = match (unknown, raw & 0x404) {
        (0, 0) => Ok(raw),
        (0, refused) => Err(AttrsError::Unsupported(refused)),
        (unknown, _) => Err(AttrsError::Unknown(unknown)),
    };
    assert_eq!(ProcessAttrs::new(raw).map(ProcessAttrs::raw), expected);
}

fn create(input: &mut Input<'_>) {
    let attrs = ProcessAttrs::new(input.u32() & 0x40ff_fbfb).unwrap_or(ProcessAttrs::NONE);
    let (len, signature, client) = (input.u64(), input.u32(), input.i32() | 1);
    let shell = match input.u8() % 3 {
        0 => Arg::inline(len),
        1 => Arg::mapped(0x1000, 0x2000, len),
        _ => Arg::Handle {
            fd: 1,
            offset: 0,
            len: signature,
            page: None,
        },
    };
    let is_buffer = !matches!(shell, Arg::Handle { .. });
    let name = TaskName::snapshot(input.rest());
    let client = ClientId::new(client).expect("an odd number");
    let memory = PageEntry::new(0x3000, 0x1000);
    let args = CreateArgs::new(client, name, shell, signature, attrs, memory);
    let sound = is_buffer && len <= u64::from(u32::MAX) && u64::from(signature) <= len;
    assert_eq!(args.is_some(), sound);
    let Some(args) = args else { return };
    match args.call() {
        CreateCall::Plain(call) => {
            assert!(attrs.is_empty());
            request(&call, client, name, len, attrs, signature);
        }
        CreateCall::Attr(call) => {
            assert!(!attrs.is_empty());
            request(&call, client, name, len, attrs, signature);
        }
    }
}

fn request<M: Method>(
    call: &M,
    client: ClientId,
    name: TaskName,
    len: u64,
    attrs: ProcessAttrs,
    signature: u32,
) {
    let numbers = [
        client.get() as u32,
        name.wire_len(),
        len as u32,
        1,
        attrs.raw(),
        signature,
    ];
    let expected: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    assert_eq!(call.input(0), Some(expected.as_slice()));
    assert_eq!(call.input(1), Some(name.as_bytes_with_nul()));
    assert_eq!(call.arg(2).map(|shell| shell.len()), Some(len));
    assert_eq!(call.arg(M::SCALARS.total()), None);
}

fn flags(raw: u32) {
    let heap = HeapFlags::new(raw);
    assert_eq!(heap.is_some(), [0x1000, 0x3000, 6].contains(&raw));
    assert!(heap.is_none_or(|flags| flags.raw() == raw));
    let map = MapFlags::new(raw);
    assert_eq!(map.is_some(), [0, 2, 3, 16].contains(&raw));
    assert!(map.is_none_or(|flags| flags.raw() == raw));
}

fn scalars(raw: u32, index: usize) {
    let scalars = Scalars::new(raw);
    let counts = [raw >> 16 & 0xff, raw >> 8 & 0xff, raw >> 4 & 0xf, raw & 0xf];
    assert_eq!(scalars.total(), counts.iter().sum::<u32>() as usize);
    let before = |classes: usize| counts[..classes].iter().sum::<u32>() as usize;
    let class = (1..=4).find(|n| index < before(*n));
    let found = scalars.class(index);
    assert_eq!(found.is_some(), class.is_some());
    if let (Some(found), Some(class)) = (found, class) {
        assert_eq!(found.is_handle(), class > 2);
        assert_eq!(found.is_out(), class % 2 == 0);
    }
    assert_eq!(scalars.classes().count(), scalars.total());
}

fn addresses(iova: u64, len: u64, sid: u32) {
    for (addressing, bits, position) in [
        (Addressing::Bit32, 32, 32),
        (Addressing::Bit56, 32, 56),
        (Addressing::Bit56Wide, 34, 56),
    ] {
        let end = u128::from(iova) + u128::from(len);
        let sound = iova < 1 << bits && end <= 1 << bits && u128::from(sid) < 1 << (64 - position);
        let address = addressing.dsp_range(sid, iova, len);
        assert_eq!(address, sound.then(|| (u64::from(sid) << position) + iova));
    }
    let first = iova / 4096 * 4096;
    let size = (u128::from(iova % 4096) + u128::from(len)).div_ceil(4096) * 4096;
    let expected = match len {
        0 => Some(PageEntry::EMPTY),
        _ if u128::from(first) + size >= 1 << 64 => None,
        _ => Some(PageEntry::new(first, size as u64)),
    };
    assert_eq!(span(iova, len), expected);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    match input.u8() % 6 {
        0 => {
            let text = input.rest();
            name::<1>(text);
            name::<16>(text);
            name::<128>(text);
            if let Some(domain) = Domain::from_label(text) {
                assert_eq!(domain.label().as_bytes(), text);
            }
        }
        1 => {
            let raw = input.u32();
            attrs(raw);
            attrs(raw & 0x40ff_ffff);
        }
        2 => create(&mut input),
        3 => {
            let raw = input.u32();
            flags(raw);
            flags(raw % 32);
        }
        4 => scalars(input.u32(), input.u32() as usize % 600),
        _ => {
            let (iova, len, sid) = (input.u64(), input.u64(), input.u32());
            addresses(iova, len, sid);
            addresses(iova % (1 << 34), len % (1 << 34), sid % 512);
        }
    }
});
