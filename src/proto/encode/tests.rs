// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Golden messages, byte by byte, written and read back. The bytes are those of the files of the
//! same names in `tests/golden`, which the host tests read; these few are also for the kernel.

#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_encode))]
mod cases {
    use super::super::super::context::{ContextWord, Pd, Sequence};
    use super::super::super::decode::{Decoded, Decoder};
    use super::super::super::wire::{ClientId, Request, Sender};
    use super::super::super::PAGE_BYTES;
    use super::super::*;
    use core::num::NonZeroU8;

    /// A message buffer with an upper limit for its writes.
    struct Memory {
        bytes: [u8; PAGE_BYTES],
        writes: usize,
    }

    impl Memory {
        /// Full of what an earlier call may have left.
        const fn dirty() -> Self {
            Memory {
                bytes: [0xa5; PAGE_BYTES],
                writes: usize::MAX,
            }
        }

        fn room(&mut self, offset: usize, len: usize) -> Result<&mut [u8], ()> {
            self.writes = self.writes.checked_sub(1).ok_or(())?;
            let end = offset.checked_add(len).ok_or(())?;
            self.bytes.get_mut(offset..end).ok_or(())
        }

        /// Whether the buffer holds these pieces, and zeros everywhere else.
        fn holds(&self, pieces: &[(usize, &[u8])]) -> bool {
            let mut at = 0;
            for (offset, piece) in pieces {
                let end = offset + piece.len();
                if self.bytes[at..*offset].iter().any(|byte| *byte != 0)
                    || self.bytes[*offset..end] != **piece
                {
                    return false;
                }
                at = end;
            }
            self.bytes[at..].iter().all(|byte| *byte == 0)
        }
    }

    impl Sink for Memory {
        type Error = ();

        fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), ()> {
            self.room(offset, bytes.len())?.copy_from_slice(bytes);
            Ok(())
        }

        fn zero(&mut self, offset: usize, len: usize) -> Result<(), ()> {
            self.room(offset, len)?.fill(0);
            Ok(())
        }
    }

    /// Lays a call out and writes it.
    fn write(
        memory: &mut Memory,
        scalars: u32,
        base: u64,
        args: &[(Arg, &[u8])],
    ) -> Result<Message, EncodeError<()>> {
        let mut plan = Plan::new(Scalars::new(scalars), PAGE_BYTES);
        for (arg, _) in args {
            plan.place(arg).map_err(EncodeError::Layout)?;
        }
        let planned = plan.finish().map_err(EncodeError::Layout)?;
        let mut inputs = [None; 8];
        let mut encoder = Encoder::start(memory, planned, base)?;
        for ((arg, data), input) in args.iter().zip(&mut inputs) {
            let placed;
            (encoder, placed) = encoder.arg(arg)?;
            *input = placed.input().map(|area| (area, *data));
        }
        let message = encoder.finish()?;
        for (area, data) in inputs.into_iter().flatten() {
            memory.bytes[area.offset..area.end()].copy_from_slice(data);
        }
        Ok(message)
    }

    fn request(client: i32, tid: i32, slot: u8, handle: u32, message: Message) -> Request {
        let sequence = match slot {
            33 => 4096,
            slot => u64::from(slot),
        };
        let word = ContextWord::new(
            NonZeroU8::new(slot).unwrap(),
            Sequence::new(sequence).unwrap(),
            Pd::User,
        );
        let sender = Sender::Client(ClientId::new(client).unwrap());
        Request::new(sender, tid, word, handle, message)
    }

    const NUMBERS: [u8; 20] = [
        3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 1, 0, 0, 0, 0xfb, 0xff, 0xff, 0xff,
    ];

    fn calculator_sum() -> [(Arg, &'static [u8]); 3] {
        [
            (Arg::inline(4), &[5, 0, 0, 0]),
            (Arg::inline(20), &NUMBERS),
            (Arg::inline(8), &[]),
        ]
    }

    const SUM_BASE: u64 = 0x3_fffe_0000;

    // covers: T1, T3, T14, T16
    #[test]
    fn calculator_sum_as_the_document_has_it() {
        let mut memory = Memory::dirty();
        let message = write(&mut memory, 0x0202_0100, SUM_BASE, &calculator_sum()).unwrap();
        assert!(memory.holds(&[
            (
                0,
                &[
                    0x00, 0x02, 0xfe, 0xff, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x02, 0xfe,
                    0xff, 3, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x03, 0xfe, 0xff, 3, 0, 0, 0,
                    8, 0, 0, 0, 0, 0, 0, 0,
                ],
            ),
            (
                48,
                &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0],
            ),
            (
                72,
                &[
                    0, 0, 0xfe, 0xff, 3, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 3,
                    0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 3, 0, 0, 0, 0, 0x10, 0,
                    0, 0, 0, 0, 0,
                ],
            ),
            (512, &[5, 0, 0, 0]),
            (640, &NUMBERS),
        ]));
        let request = request(9, 4242, 33, 33, message);
        assert_eq!(
            request.as_bytes(),
            [
                9, 0, 0, 0, 0x92, 0x10, 0, 0, 1, 0x21, 0, 0x10, 0, 0, 0, 0, 33, 0, 0, 0, 0, 1, 2,
                2, 0, 0, 0xfe, 0xff, 3, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0,
            ]
        );
    }

    // covers: T10, T14
    #[test]
    fn mapped_unaligned_has_the_pages_it_touches() {
        let mut memory = Memory::dirty();
        let arg = Arg::mapped(0x7f12_3456_7fff, 0x3_00ab_cfff, 0x2001);
        let message = write(&mut memory, 0x0201_0000, 0x3_0000_3000, &[(arg, &[])]).unwrap();
        assert!(memory.holds(&[
            (0, &[0xff, 0x7f, 0x56, 0x34, 0x12, 0x7f, 0, 0, 1, 0x20]),
            (16, &[1, 0, 0, 0]),
            (24, &[0, 0xc0, 0xab, 0, 3, 0, 0, 0, 0, 0x30]),
        ]));
        let request = request(2, 10, 9, 34, message);
        assert_eq!(
            request.as_bytes(),
            [
                2, 0, 0, 0, 10, 0, 0, 0, 1, 9, 9, 0, 0, 0, 0, 0, 34, 0, 0, 0, 0, 0, 1, 2, 0, 0x30,
                0, 0, 3, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0,
            ]
        );
    }

    // covers: T13
    #[test]
    fn handle_argument_has_its_own_descriptor() {
        let mut memory = Memory::dirty();
        let arg = Arg::Handle {
            fd: 13,
            offset: 256,
            len: 4096,
            page: Some(PageEntry::new(0x3_00b0_0000, 0x2000)),
        };
        let message = write(&mut memory, 0x0500_0010, 0x3_0000_3000, &[(arg, &[])]).unwrap();
        assert!(memory.holds(&[
            (0, &[13, 0, 0, 0, 0, 1, 0, 0, 0, 0x10, 0, 0]),
            (16, &[1, 0, 0, 0]),
            (24, &[0, 0, 0xb0, 0, 3, 0, 0, 0, 0, 0x20]),
        ]));
        let request = request(2, 10, 11, 35, message);
        assert_eq!(request.as_bytes()[8..16], [1, 11, 11, 0, 0, 0, 0, 0]);
        assert_eq!(request.as_bytes()[20..24], [0x10, 0, 0, 5]);
    }

    // covers: T11
    #[test]
    fn calls_without_anything_are_all_zero() {
        let mut memory = Memory::dirty();
        let message = write(&mut memory, 0x0700_0000, 0x1000, &[]).unwrap();
        assert!(memory.holds(&[]));
        assert_eq!((message.address(), message.size()), (0x1000, 0x1000));

        // An empty argument has its number in the list, and nothing else.
        let mut memory = Memory::dirty();
        let args: [(Arg, &[u8]); 2] = [(Arg::Empty, &[]), (Arg::Empty, &[])];
        let message = write(&mut memory, 0x0001_0100, 0x1000, &args).unwrap();
        assert_eq!(message.scalars().total(), 2);
        assert!(memory.holds(&[(44, &[1])]));
    }

    // covers: T3, T10, T13
    #[test]
    fn what_was_written_is_read_back() {
        let mut memory = Memory::dirty();
        let _message = write(&mut memory, 0x0202_0100, SUM_BASE, &calculator_sum()).unwrap();
        let decoder = Decoder::new(&memory.bytes, Scalars::new(0x0202_0100)).unwrap();
        for (index, (offset, len)) in [(512, 4), (640, 20), (768, 8)].into_iter().enumerate() {
            let decoded = decoder.arg(index).unwrap();
            let area = decoded.area_in(SUM_BASE, PAGE_BYTES).unwrap();
            assert_eq!((area.offset, area.len), (offset, len));
            assert!(matches!(decoded, Decoded::Buffer { .. }));
        }
        assert!(decoder.arg(3).is_err());
    }

    // Each bit of the three tables of a call counts, except those that nobody reads.
    // covers: T16, T27
    #[test]
    fn damage_is_noticed_or_does_no_harm() {
        let mut memory = Memory::dirty();
        let _message = write(&mut memory, 0x0202_0100, SUM_BASE, &calculator_sum()).unwrap();
        let mut noticed = 0;
        for bit in 0..120 * 8 {
            memory.bytes[bit / 8] ^= 1 << (bit % 8);
            let decoder = Decoder::new(&memory.bytes, Scalars::new(0x0202_0100)).unwrap();
            noticed += (0..3).filter(|index| decoder.arg(*index).is_err()).count();
            memory.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(noticed > 400);
        let decoder = Decoder::new(&memory.bytes, Scalars::new(0x0202_0100)).unwrap();
        assert!((0..3).all(|index| decoder.arg(index).is_ok()));
    }

    // covers: T7
    #[test]
    fn a_refused_write_leaves_no_message() {
        let mut writes = 0;
        loop {
            let mut memory = Memory::dirty();
            memory.writes = writes;
            match write(&mut memory, 0x0202_0100, SUM_BASE, &calculator_sum()) {
                Ok(_) => break,
                Err(error) => assert_eq!(error, EncodeError::Sink(())),
            }
            writes += 1;
        }
        // The fd list and what is behind it, nine table entries, gaps and outputs.
        assert!((10..=20).contains(&writes));
    }

    // covers: T5
    #[test]
    fn messages_start_at_pages_and_do_not_wrap() {
        for (base, fits) in [
            (0, true),
            (0x1000, true),
            (0x1001, false),
            (0xfff, false),
            (u64::MAX - 4095, false),
            (u64::MAX - 8191, true),
            (u64::MAX, false),
        ] {
            let mut memory = Memory::dirty();
            let result = write(&mut memory, 0, base, &[]);
            assert_eq!(result.is_ok(), fits);
            assert!(fits || result == Err(EncodeError::Address));
        }
    }
}
