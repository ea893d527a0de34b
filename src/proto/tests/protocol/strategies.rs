// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Random calls: scalars, arguments and sizes, with a preference for the corners.

use fastrpc_proto::layout::Arg;
use fastrpc_proto::wire::PageEntry;
use proptest::prelude::*;

use crate::oracle::OArg;

/// A call: the scalars word and its arguments.
#[derive(Clone, Debug)]
pub struct Call {
    pub sc: u32,
    pub args: Vec<OArg>,
}

impl Call {
    /// The arguments as the crate under test wants them.
    pub fn args(&self) -> Vec<Arg> {
        self.args.iter().map(to_arg).collect()
    }
}

pub fn to_arg(arg: &OArg) -> Arg {
    match *arg {
        OArg::Empty => Arg::Empty,
        OArg::Inline(len) => Arg::Inline { len },
        OArg::Fd(pv, address, len) => Arg::Mapped { pv, address, len },
        OArg::Handle(fd, offset, len, buffer) => Arg::Handle {
            fd,
            offset,
            len,
            page: buffer.map(|(address, size)| PageEntry::new(address, size)),
        },
    }
}

/// Numbers around all powers of two that matter, and everything between.
pub fn corner() -> impl Strategy<Value = u64> {
    let around = prop::sample::select(vec![
        0_u64,
        128,
        4096,
        8192,
        1 << 20,
        1 << 31,
        1 << 32,
        1 << 33,
        1 << 48,
        1 << 63,
        0, // u64::MAX and its neighbours, by wrapping
    ]);
    prop_oneof![
        4 => (around, -3_i64..=3).prop_map(|(base, step)| base.wrapping_add_signed(step)),
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(u64::from),
        2 => 0_u64..20_000,
    ]
}

/// A length that a test can allocate.
pub fn small_len() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 1_u64..300,
        2 => prop::sample::select(vec![1_u64, 127, 128, 129, 4095, 4096, 4097]),
        1 => 1_u64..9000,
    ]
}

fn count(corners: Vec<u8>, small: u8) -> impl Strategy<Value = u8> {
    // Miri would need minutes for a call of 540 arguments.
    let corners = if cfg!(miri) { vec![0, 1] } else { corners };
    prop_oneof![
        7 => 0..=small,
        1 => prop::sample::select(corners),
    ]
}

fn scalars() -> impl Strategy<Value = u32> {
    let buffers = || count(vec![0, 1, 254, 255], 6);
    let handles = || count(vec![0, 1, 14, 15], 2);
    (any::<u8>(), buffers(), buffers(), handles(), handles()).prop_map(
        |(top, in_bufs, out_bufs, in_handles, out_handles)| {
            u32::from_be_bytes([top, in_bufs, out_bufs, in_handles * 16 + out_handles])
        },
    )
}

fn sound_buffer() -> impl Strategy<Value = OArg> {
    let fd = (0_u64..1 << 35, 0_u64..1 << 36, 0_u64..4096, small_len()).prop_map(
        |(user_page, dsp_page, low, len)| {
            OArg::Fd(user_page * 4096 + low, dsp_page * 4096 + low, len)
        },
    );
    prop_oneof![
        1 => Just(OArg::Empty),
        4 => small_len().prop_map(OArg::Inline),
        2 => fd,
    ]
}

fn sound_handle() -> impl Strategy<Value = OArg> {
    let buffer = (any::<u32>(), any::<u32>(), 0_u64..1 << 30, 0_u64..1 << 20).prop_map(
        |(offset, len, page, spare)| {
            let size = u64::from(offset) + u64::from(len) + spare;
            (offset, len, Some((page * 4096, size)))
        },
    );
    let none = (any::<u32>(), any::<u32>()).prop_map(|(offset, len)| (offset, len, None));
    let empty = any::<u32>().prop_map(|offset| (offset, 0, None));
    // A range from (0, 0) is a buffer as well: the document has no other name for "none".
    (
        any::<i32>(),
        prop_oneof![3 => buffer, 1 => none, 1 => empty],
    )
        .prop_map(|(fd, (offset, len, buffer))| OArg::Handle(fd, offset, len, buffer))
}

/// A call with sizes that a test can allocate, in which everything is right.
pub fn sound_call() -> impl Strategy<Value = Call> {
    scalars().prop_flat_map(|sc| {
        let [in_bufs, out_bufs, in_handles, out_handles] = crate::oracle::counts(sc);
        (
            prop::collection::vec(sound_buffer(), in_bufs + out_bufs),
            prop::collection::vec(sound_handle(), in_handles + out_handles),
        )
            .prop_map(move |(mut args, handles)| {
                args.extend(handles);
                Call { sc, args }
            })
    })
}

fn wild_arg() -> impl Strategy<Value = OArg> {
    let low = || prop_oneof![3 => Just(true), 1 => Just(false)];
    prop_oneof![
        1 => Just(OArg::Empty),
        6 => corner().prop_map(OArg::Inline),
        3 => (corner(), corner(), corner(), low()).prop_map(|(pv, address, len, same)| {
            let pv = if same { pv / 4096 * 4096 + address % 4096 } else { pv };
            OArg::Fd(pv, address, len)
        }),
        1 => sound_handle(),
        1 => (any::<i32>(), any::<u32>(), any::<u32>(), corner(), corner())
            .prop_map(|(fd, offset, len, address, size)| {
                OArg::Handle(fd, offset, len, Some((address, size)))
            }),
    ]
}

/// A call of a few arguments in which anything can be wrong.
pub fn wild_call() -> impl Strategy<Value = Call> {
    (0_u32..3, 0_u32..3, 0_u32..2, 0_u32..2, -1_isize..=1).prop_flat_map(
        |(in_bufs, out_bufs, in_handles, out_handles, error)| {
            let sc = (in_bufs << 16) | (out_bufs << 8) | (in_handles << 4) | out_handles;
            let buffers = (in_bufs + out_bufs) as usize;
            let handles = (in_handles + out_handles) as usize;
            // Mostly the right number of arguments in the right positions.
            let wrong = (buffers + handles).saturating_add_signed(error);
            let right = (
                prop::collection::vec(prop_oneof![2 => wild_arg(), 3 => sound_buffer()], buffers),
                prop::collection::vec(prop_oneof![1 => wild_arg(), 3 => sound_handle()], handles),
            )
                .prop_map(|(mut args, handles)| {
                    args.extend(handles);
                    args
                });
            prop_oneof![
                4 => right,
                1 => prop::collection::vec(wild_arg(), wrong),
            ]
            .prop_map(move |args| Call { sc, args })
        },
    )
}
