// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The encoder against the oracle: every byte, every failure.

use fastrpc_proto::encode::{EncodeError, Encoder, Message, Sink};
use fastrpc_proto::layout::{Arg, Placed, Planned};
use proptest::prelude::*;

use crate::config;
use crate::oracle::{self, OArg};
use crate::plan::plan;
use crate::strategies::{small_len, sound_call, to_arg, Call};

/// What memory holds before a message is written.
const POISON: u8 = 0xa5;

/// Memory of exactly the planned size. It counts writes, and can fail at one of them.
pub struct Memory {
    pub bytes: Vec<u8>,
    written: Vec<bool>,
    writes: usize,
    fail_at: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

impl Memory {
    pub fn new(size: usize, fail_at: Option<usize>) -> Self {
        Self {
            bytes: vec![POISON; size],
            written: vec![false; size],
            writes: 0,
            fail_at,
        }
    }

    fn write(&mut self, offset: usize, len: usize) -> Result<&mut [u8], Refused> {
        if self.fail_at == Some(self.writes) {
            return Err(Refused);
        }
        self.writes += 1;
        let end = offset + len;
        for written in &mut self.written[offset..end] {
            assert!(!*written, "no byte is written twice");
            *written = true;
        }
        Ok(&mut self.bytes[offset..end])
    }
}

impl Sink for Memory {
    type Error = Refused;

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Refused> {
        self.write(offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn zero(&mut self, offset: usize, len: usize) -> Result<(), Refused> {
        self.write(offset, len)?.fill(0);
        Ok(())
    }
}

pub fn encode(
    memory: &mut Memory,
    planned: Planned,
    base: u64,
    args: &[Arg],
) -> Result<(Message, Vec<Placed>), EncodeError<Refused>> {
    let mut encoder = Encoder::start(memory, planned, base)?;
    let mut all = Vec::new();
    for arg in args {
        let placed;
        (encoder, placed) = encoder.arg(arg)?;
        all.push(placed);
    }
    Ok((encoder.finish()?, all))
}

fn base() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0_u64),
        (0_u64..1 << 50).prop_map(|page| page * 4096),
        (1_u64..256, 0_u64..1 << 20).prop_map(|(sid, page)| (sid << 56) + page * 4096),
    ]
}

/// One change to a call that the plan must not take for the same call.
#[derive(Clone, Debug)]
enum Change {
    Drop,
    Append(OArg),
    Longer(usize),
    Other(usize, u64),
    Swap(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Drop),
        Just(Change::Append(OArg::Inline(1))),
        any::<usize>().prop_map(Change::Longer),
        (any::<usize>(), small_len()).prop_map(|(index, len)| Change::Other(index, len)),
        any::<usize>().prop_map(Change::Swap),
    ]
}

fn apply(args: &mut Vec<OArg>, change: &Change) {
    let len = args.len();
    match *change {
        Change::Append(arg) => args.push(arg),
        _ if len == 0 => {}
        Change::Drop => {
            args.pop();
        }
        Change::Longer(index) => match &mut args[index % len] {
            OArg::Inline(len) | OArg::Fd(_, _, len) => *len += 1,
            OArg::Handle(_, _, len, None) => *len = len.wrapping_add(1),
            _ => {}
        },
        Change::Other(index, other) => match &mut args[index % len] {
            arg @ (OArg::Empty | OArg::Fd(..)) => *arg = OArg::Inline(other),
            arg @ OArg::Inline(_) => *arg = OArg::Empty,
            _ => {}
        },
        Change::Swap(index) => args.swap(index % len, 0),
    }
}

/// What the two passes have to agree on: variant and length.
fn shape(args: &[OArg]) -> Vec<(u8, u64)> {
    args.iter()
        .map(|arg| match *arg {
            OArg::Empty => (0, 0),
            OArg::Inline(len) => (1, len),
            OArg::Fd(_, _, len) => (2, len),
            OArg::Handle(_, _, len, _) => (3, u64::from(len)),
        })
        .collect()
}

proptest! {
    #![proptest_config(config(400))]

    // The message is the oracle's, and each byte was written once, except those of inline inputs,
    // which nobody touched.
    // covers: T1, T3, T10, T13, T14, T16, T27
    #[test]
    fn every_byte(call in sound_call(), base in base()) {
        let sizes = oracle::sizes(call.sc, &call.args, usize::MAX).expect("the call is sound");
        prop_assume!(base.checked_add(sizes.size as u64 + 4096).is_some());
        let mut expected = oracle::message(call.sc, &call.args, &sizes, base);
        for (index, place) in sizes.places.iter().enumerate() {
            if let (Some((start, len)), false) = (place, oracle::is_output(call.sc, index)) {
                expected[*start..start + len].fill(POISON);
            }
        }

        let (_, planned) = plan(&call, usize::MAX).expect("the call is sound");
        let mut memory = Memory::new(planned.size(), None);
        let (message, placed) = encode(&mut memory, planned, base, &call.args()).expect("there is room");
        prop_assert!(memory.bytes == expected);
        prop_assert_eq!(message.address(), base);
        prop_assert_eq!(message.size(), sizes.size as u64);
        prop_assert_eq!(message.scalars().raw(), call.sc);

        // What the caller copies in is all that is left.
        for placed in placed {
            if let Some(area) = placed.input() {
                for written in &mut memory.written[area.offset..area.end()] {
                    prop_assert!(!*written);
                    *written = true;
                }
            }
        }
        prop_assert!(memory.written.iter().all(|written| *written));
    }

    // covers: T3, T7
    #[test]
    fn other_arguments_than_planned(call in sound_call(), change in change()) {
        let (_, planned) = plan(&call, usize::MAX).expect("the call is sound");
        let mut other = call.clone();
        apply(&mut other.args, &change);
        prop_assume!(shape(&other.args) != shape(&call.args));
        let args: Vec<_> = other.args.iter().map(to_arg).collect();
        let mut memory = Memory::new(planned.size(), None);
        // The memory also checks that nothing was written behind the planned size.
        prop_assert!(encode(&mut memory, planned, 0x1000, &args).is_err());
    }

    // covers: T7
    #[test]
    fn a_failed_write_leaves_no_message(call in sound_call(), seed: usize) {
        let (_, planned) = plan(&call, usize::MAX).expect("the call is sound");
        let args = call.args();
        let mut memory = Memory::new(planned.size(), None);
        prop_assert!(encode(&mut memory, planned, 0x1000, &args).is_ok());
        let fail_at = seed % memory.writes;
        let mut memory = Memory::new(planned.size(), Some(fail_at));
        prop_assert_eq!(encode(&mut memory, planned, 0x1000, &args).err(), Some(EncodeError::Sink(Refused)));
    }
}

#[test]
fn messages_start_at_pages_and_do_not_wrap() {
    let call = Call {
        sc: 0,
        args: Vec::new(),
    };
    let (_, planned) = plan(&call, 4096).expect("the call is sound");
    for (base, fits) in [
        (0, true),
        (4096, true),
        (1, false),
        (512, false),
        (4095, false),
        (u64::MAX - 4095, false),
        (u64::MAX - 8191, true),
        (u64::MAX, false),
    ] {
        let mut memory = Memory::new(planned.size(), None);
        assert_eq!(encode(&mut memory, planned, base, &[]).is_ok(), fits);
    }
}
