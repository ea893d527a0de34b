// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Plan and encoder of a call against the second opinion in `tests/protocol`, and read back.
//!
//! Input: u32 scalars, u32 limit of the message, u64 page number of its address, u8 which argument
//! changes between the passes (0: none), then the arguments: u8 kind (modulo 4) and its numbers.

#![no_main]

// covers: T1, T4, T5, T12, T182

#[allow(dead_code, reason = "the part about responses is not used here")]
#[path = "../../tests/protocol/oracle.rs"]
mod oracle;

use fastrpc_proto::decode::{Decoded, Decoder};
use fastrpc_proto::encode::{EncodeError, Encoder, Message, Sink};
use fastrpc_proto::layout::{Arg, LayoutError, Placed, Plan, Planned};
use fastrpc_proto::scalars::Scalars;
use fastrpc_proto::wire::PageEntry;
use input::Input;
use oracle::OArg;

/// Memory that has never been written to looks like this.
const FRESH: u8 = 0xee;

/// The memory of a message.
struct Memory(Vec<u8>);

impl Sink for Memory {
    type Error = ();

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), ()> {
        let end = offset.checked_add(bytes.len()).ok_or(())?;
        self.0
            .get_mut(offset..end)
            .ok_or(())?
            .copy_from_slice(bytes);
        Ok(())
    }

    fn zero(&mut self, offset: usize, len: usize) -> Result<(), ()> {
        let end = offset.checked_add(len).ok_or(())?;
        self.0.get_mut(offset..end).ok_or(())?.fill(0);
        Ok(())
    }
}

/// An argument in both languages.
fn arg(input: &mut Input<'_>) -> (Arg, OArg) {
    match input.u8() % 4 {
        0 => (Arg::Empty, OArg::Empty),
        1 => {
            let len = input.u64();
            (Arg::Inline { len }, OArg::Inline(len))
        }
        2 => {
            let (pv, address, len) = (input.u64(), input.u64(), input.u64());
            (Arg::Mapped { pv, address, len }, OArg::Fd(pv, address, len))
        }
        _ => {
            let (fd, offset, len) = (input.i32(), input.u32(), input.u32());
            let page = (input.u8() % 2 == 1).then(|| (input.u64(), input.u64()));
            let entry = page.map(|(address, size)| PageEntry::new(address, size));
            let ours = Arg::Handle {
                fd,
                offset,
                len,
                page: entry,
            };
            (ours, OArg::Handle(fd, offset, len, page))
        }
    }
}

fn plan(
    scalars: Scalars,
    args: &[Arg],
    limit: usize,
) -> Result<(Planned, Vec<Placed>), LayoutError> {
    let mut plan = Plan::new(scalars, limit);
    let mut places = Vec::new();
    for arg in args {
        places.push(plan.place(arg)?);
    }
    Ok((plan.finish()?, places))
}

fn encode(
    memory: &mut Memory,
    planned: Planned,
    base: u64,
    args: &[Arg],
) -> Result<Message, EncodeError<()>> {
    let mut inputs = Vec::new();
    let mut encoder = Encoder::start(memory, planned, base)?;
    for arg in args {
        let (next, placed) = encoder.arg(arg)?;
        encoder = next;
        inputs.extend(placed.input());
    }
    let message = encoder.finish()?;
    // The caller's bytes: here they are all zero, as in the oracle's message.
    for area in inputs {
        let bytes = &mut memory.0[area.offset..area.end()];
        assert!(bytes.iter().all(|byte| *byte == FRESH));
        bytes.fill(0);
    }
    Ok(message)
}

/// The DSP's view of the message.
fn read_back(scalars: Scalars, bytes: &[u8], base: u64, args: &[Arg], places: &[Placed]) {
    let decoder = Decoder::new(bytes, scalars).expect("the message is complete");
    assert_eq!(decoder.check_clean(), Ok(()));
    for (index, arg) in args.iter().enumerate() {
        let decoded = decoder.arg(index).expect("what was sent is well formed");
        match (*arg, decoded) {
            (Arg::Empty, Decoded::Empty) => {}
            (Arg::Inline { .. }, Decoded::Buffer { .. }) => {
                assert_eq!(decoded.area_in(base, bytes.len()), places[index].area);
            }
            (Arg::Mapped { pv, address, len }, Decoded::Buffer { .. }) => {
                let Decoded::Buffer {
                    pv: pv_read,
                    address: address_read,
                    len: len_read,
                    ..
                } = decoded
                else {
                    unreachable!()
                };
                assert_eq!((pv_read, address_read, len_read), (pv, address, len));
            }
            (
                Arg::Handle {
                    fd, offset, len, ..
                },
                Decoded::Handle {
                    fd: fd_read,
                    offset: offset_read,
                    len: len_read,
                    ..
                },
            ) => assert_eq!((fd_read, offset_read, len_read), (fd, offset, len)),
            _ => panic!("{arg:?} was read as {decoded:?}"),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    // Up to 15 buffers of each direction, so that an input can name them all.
    let scalars = Scalars::new(input.u32() & 0xff0f_0fff);
    let limit = usize::try_from(input.u32() % (1 << 18)).expect("18 bits");
    let base = input.u64().wrapping_mul(4096);
    let changed = usize::from(input.u8());
    let mut args = Vec::new();
    let mut oargs = Vec::new();
    while args.len() < scalars.total() || (!input.is_empty() && args.len() < 70) {
        let (ours, theirs) = arg(&mut input);
        args.push(ours);
        oargs.push(theirs);
    }

    let expected = oracle::sizes(scalars.raw(), &oargs, limit);
    let found = plan(scalars, &args, limit);
    let (Ok((planned, places)), Some(sizes)) = (&found, &expected) else {
        assert!(
            found.is_err() && expected.is_none(),
            "{found:?} {expected:?}"
        );
        return;
    };
    assert_eq!((planned.used(), planned.size()), (sizes.used, sizes.size));
    for (placed, place) in places.iter().zip(&sizes.places) {
        let area = placed.area.map(|area| (area.offset, area.len));
        assert_eq!(area, *place);
    }

    let mut memory = Memory(vec![FRESH; sizes.size]);
    let message = encode(&mut memory, *planned, base, &args);
    let fits = base.checked_add(sizes.size as u64).is_some();
    assert_eq!(message.is_ok(), fits, "{message:?}");
    if fits {
        assert_eq!(
            memory.0,
            oracle::message(scalars.raw(), &oargs, sizes, base)
        );
        read_back(scalars, &memory.0, base, &args, places);
    }

    // A second pass over other arguments must not become a message, however small the difference.
    if let Some(arg) = changed.checked_sub(1).and_then(|index| args.get_mut(index)) {
        *arg = match *arg {
            Arg::Inline { len } => Arg::Inline { len: len ^ 1 },
            _ => Arg::Inline { len: 1 },
        };
        let mut memory = Memory(vec![FRESH; sizes.size]);
        assert!(encode(&mut memory, *planned, base, &args).is_err());
    }
});
