// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Unit tests of the layout: the tables of the wire protocol and the limits of each size.

#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_layout))]
mod cases {
    use super::super::*;

    const NO_LIMIT: usize = usize::MAX;

    fn one(arg: Arg, scalars: u32, limit: usize) -> Result<(Placed, Planned), LayoutError> {
        let mut plan = Plan::new(Scalars::new(scalars), limit);
        let placed = plan.place(&arg)?;
        Ok((placed, plan.finish()?))
    }

    #[test]
    fn offsets_of_the_document() {
        for (scalars, lists, fd_list, crc, poll, end, inline) in [
            (0x0000_0000, (0, 0), 0, 128, 384, 388, 512),
            (0x0001_0000, (16, 24), 40, 168, 424, 428, 512),
            (0x0002_0200, (64, 96), 160, 288, 544, 548, 640),
            (
                0x00ff_ffff,
                (8640, 12960),
                21600,
                21728,
                21984,
                21988,
                22016,
            ),
        ] {
            let metadata = Metadata::new(Scalars::new(scalars));
            let n = Scalars::new(scalars).total();
            if n != 0 {
                assert_eq!(metadata.descriptor(0), Some(0));
                assert_eq!(metadata.list_entry(0), Some(lists.0));
                assert_eq!(metadata.page_entry(0), Some(lists.1));
                assert_eq!(metadata.descriptor(n - 1), Some(lists.0 - 16));
                assert_eq!(metadata.list_entry(n - 1), Some(lists.1 - 8));
                assert_eq!(metadata.page_entry(n - 1), Some(fd_list - 16));
            }
            assert_eq!(metadata.descriptor(n), None);
            assert_eq!(metadata.list_entry(n), None);
            assert_eq!(metadata.page_entry(usize::MAX), None);
            assert_eq!(metadata.fd_list(), fd_list);
            assert_eq!(metadata.crc_list(), crc);
            assert_eq!(metadata.poll_word(), poll);
            assert_eq!(metadata.end(), end);
            assert_eq!(metadata.first_inline(), inline);
        }
    }

    #[test]
    fn a_call_without_arguments_has_one_page() {
        let planned = Plan::new(Scalars::new(0), 4096).finish().unwrap();
        assert_eq!((planned.used(), planned.size()), (512, 4096));
        assert_eq!(planned.inline_bytes(), 0);
        assert_eq!(
            Plan::new(Scalars::new(0), 4095).finish(),
            Err(LayoutError::TooBig)
        );
    }

    // covers: T4, T5, T6
    #[test]
    fn inline_sizes_at_the_limits() {
        const LIMIT: usize = 8192;
        // What one inline argument can have: the limit without the metadata.
        let max = 8192 - 512;
        for (len, size) in [
            (1, Ok(4096)),
            (4096 - 512, Ok(4096)),
            (4096 - 511, Ok(8192)),
            (max, Ok(8192)),
            (max + 1, Err(LayoutError::TooBig)),
            (2 * max + 1, Err(LayoutError::TooBig)),
            (1 << 31, Err(LayoutError::TooBig)),
            (1 << 32, Err(LayoutError::TooBig)),
            ((1 << 32) + 1, Err(LayoutError::TooBig)),
            (1 << 63, Err(LayoutError::TooBig)),
            (u64::MAX, Err(LayoutError::TooBig)),
        ] {
            let result = one(Arg::Inline { len }, 0x0001_0000, LIMIT);
            assert_eq!(result.map(|(_, planned)| planned.size()), size);
        }
        for len in [u64::MAX, u64::MAX - 511, u64::MAX - 4095 - 511] {
            assert!(one(Arg::Inline { len }, 0x0001_0000, NO_LIMIT).is_err());
        }
    }

    // covers: T1
    #[test]
    fn every_inline_argument_has_its_own_aligned_place() {
        let mut plan = Plan::new(Scalars::new(0x0003_0200), NO_LIMIT);
        let mut offsets = [0; 5];
        for (offset, len) in offsets.iter_mut().zip([1, 127, 128, 129, 1]) {
            let placed = plan.place(&Arg::inline(len)).unwrap();
            let area = placed.area.unwrap();
            assert_eq!(u64::try_from(area.len), Ok(len));
            *offset = area.offset;
        }
        // 5 arguments: metadata ends at 588, the first data is at 640.
        assert_eq!(offsets, [640, 768, 896, 1024, 1280]);
        let planned = plan.finish().unwrap();
        assert_eq!((planned.used(), planned.inline_bytes()), (1281, 386));
    }

    // covers: T3, T13
    #[test]
    fn variants_fit_their_classes_only() {
        let handle = Arg::Handle {
            fd: 5,
            offset: 0,
            len: 0,
            page: None,
        };
        let buffers = [Arg::Empty, Arg::inline(1), Arg::mapped(0x10, 0x10, 1)];
        for scalars in [0x0001_0000, 0x0000_0100] {
            for arg in buffers {
                assert!(one(arg, scalars, NO_LIMIT).is_ok());
            }
            assert_eq!(
                one(handle, scalars, NO_LIMIT).err(),
                Some(LayoutError::ClassMismatch)
            );
        }
        for scalars in [0x0000_0010, 0x0000_0001] {
            for arg in buffers {
                assert_eq!(
                    one(arg, scalars, NO_LIMIT).err(),
                    Some(LayoutError::ClassMismatch)
                );
            }
            assert!(one(handle, scalars, NO_LIMIT).is_ok());
        }
    }

    #[test]
    fn areas_belong_to_inputs_or_outputs() {
        let (placed, _) = one(Arg::inline(9), 0x0001_0000, NO_LIMIT).unwrap();
        assert_eq!((placed.input(), placed.output()), (placed.area, None));
        let (placed, _) = one(Arg::inline(9), 0x0000_0100, NO_LIMIT).unwrap();
        assert_eq!((placed.input(), placed.output()), (None, placed.area));
        assert!(placed.area.is_some());
    }

    // covers: T11
    #[test]
    fn empty_is_a_variant_of_its_own() {
        assert_eq!(Arg::inline(0), Arg::Empty);
        assert_eq!(Arg::mapped(1, 2, 0), Arg::Empty);
        let zero = Arg::Mapped {
            pv: 0,
            address: 0,
            len: 0,
        };
        for arg in [Arg::Inline { len: 0 }, zero] {
            assert_eq!(
                one(arg, 0x0001_0000, NO_LIMIT).err(),
                Some(LayoutError::ZeroLength)
            );
        }
    }

    // covers: T5, T10
    #[test]
    fn mapped_ranges_at_the_limits() {
        for (pv, address, len, expected) in [
            (0x7fff_1234, 0x1_0000_5234, 1, Ok(())),
            (0x7fff_1234, 0x1_0000_5235, 1, Err(LayoutError::Misaligned)),
            (0, 0x1_0000_0800, 1, Err(LayoutError::Misaligned)),
            (0, 0, u64::MAX, Err(LayoutError::Overflow)),
            (u64::MAX, 0xfff, 1, Err(LayoutError::Overflow)),
            (0xfff, u64::MAX, 1, Err(LayoutError::Overflow)),
            (0xffe, u64::MAX - 1, 1, Err(LayoutError::Overflow)),
            (0, 0, 1 << 63, Ok(())),
        ] {
            let result = one(Arg::Mapped { pv, address, len }, 0x0001_0000, NO_LIMIT);
            assert_eq!(
                result.map(|(placed, _)| assert!(placed.area.is_none())),
                expected
            );
        }
    }

    // covers: T5, T8
    #[test]
    fn handle_ranges_at_the_limits() {
        for (offset, len, size, expected) in [
            (0, 0, 0, Ok(())),
            (0, 4096, 4096, Ok(())),
            (1, 4096, 4096, Err(LayoutError::OutsideBuffer)),
            (4096, 0, 4096, Ok(())),
            (4097, 0, 4096, Err(LayoutError::OutsideBuffer)),
            (u32::MAX, u32::MAX, 0x1_ffff_fffe, Ok(())),
            (
                u32::MAX,
                u32::MAX,
                0x1_ffff_fffd,
                Err(LayoutError::OutsideBuffer),
            ),
            (u32::MAX, 1, 0, Err(LayoutError::OutsideBuffer)),
        ] {
            let arg = Arg::Handle {
                fd: -1,
                offset,
                len,
                page: Some(PageEntry::new(0x1000, size)),
            };
            assert_eq!(one(arg, 0x0000_0010, NO_LIMIT).map(|_| ()), expected);
        }
        let wraps = Arg::Handle {
            fd: 1,
            offset: 0,
            len: 1,
            page: Some(PageEntry::new(u64::MAX - 4095, 4096)),
        };
        assert_eq!(
            one(wraps, 0x0000_0010, NO_LIMIT).err(),
            Some(LayoutError::Overflow)
        );
    }

    // covers: T12
    #[test]
    fn the_number_of_arguments_is_exact() {
        let scalars = Scalars::new(0x0001_0100);
        let mut plan = Plan::new(scalars, NO_LIMIT);
        assert_eq!(plan.clone().finish(), Err(LayoutError::TooFew));
        plan.place(&Arg::Empty).unwrap();
        assert_eq!(plan.clone().finish(), Err(LayoutError::TooFew));
        plan.place(&Arg::Empty).unwrap();
        assert_eq!(plan.place(&Arg::Empty), Err(LayoutError::TooMany));
        assert!(plan.finish().is_ok());
    }

    #[test]
    fn a_refused_argument_changes_nothing() {
        let mut plan = Plan::new(Scalars::new(0x0001_0000), 4096);
        let before = plan.clone().place(&Arg::inline(10)).unwrap();
        assert!(plan.place(&Arg::inline(1 << 40)).is_err());
        assert_eq!(plan.place(&Arg::inline(10)), Ok(before));
    }

    // covers: T6
    #[test]
    fn the_largest_calls_are_bounded() {
        const LIMIT: usize = 64 << 20;
        let scalars = Scalars::build(2, 255, 255, 0, 0).unwrap();
        let mut plan = Plan::new(scalars, LIMIT);
        let mut placed = 0;
        while plan.place(&Arg::inline(1 << 20)).is_ok() {
            placed += 1;
        }
        assert_eq!(placed, 63);
        assert_eq!(plan.place(&Arg::inline(1 << 20)), Err(LayoutError::TooBig));
    }
}
