// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Unit tests of the kernel's methods: numbers, argument lengths and bytes as the document has
//! them.

#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_methods))]
mod cases {
    use super::super::super::wire::PageEntry;
    use super::super::attrs::ProcessAttrs;
    use super::super::memory::{HeapFlags, MapFlags, MapReply, MemMap, MemUnmap, Mmap, Munmap};
    use super::super::name::{StaticName, TaskName};
    use super::super::process::{Create, CreateArgs, CreateAttr, CreateCall, CreateStatic, SHELL};
    use super::super::*;

    use zerocopy::byteorder::little_endian::U64;

    fn client() -> ClientId {
        ClientId::new(0x0102_0304).unwrap()
    }

    /// Whether a method has these numbers and lengths of arguments, and what all methods have in
    /// common.
    fn conforms<M: Method>(method: &M, handle: u32, scalars: u32, lengths: &[u64]) -> bool {
        let arguments = lengths.iter().enumerate().all(|(index, len)| {
            let is_input = M::SCALARS.class(index) == Some(ArgClass::InBuf);
            method.arg(index) == Some(Arg::inline(*len))
                && (!is_input || method.input(index).map(<[u8]>::len) == usize::try_from(*len).ok())
        });
        arguments
            && M::HANDLE == handle
            && M::SCALARS.raw() == scalars
            && M::SCALARS.method() == M::NUMBER
            && M::SCALARS.total() == lengths.len()
            && method.arg(lengths.len()).is_none()
            && method.arg(usize::MAX).is_none()
    }

    fn create(attrs: u32, shell: Arg, signature: u32) -> Option<CreateArgs> {
        CreateArgs::new(
            client(),
            TaskName::snapshot(b"abc"),
            shell,
            signature,
            ProcessAttrs::new(attrs).unwrap(),
            PageEntry::new(0x1_2345_6000, 0x40_0000),
        )
    }

    #[test]
    fn numbers_and_lengths() {
        let reply = MapReply {
            address: U64::new(0x1122_3344_5566_7788),
        };
        let page = PageEntry::new(0x1000, 0x1000);
        let name = StaticName::exact(b"audiopd").unwrap();
        let mmap = Mmap::new(client(), HeapFlags::AddPages, 0, page);
        let munmap = Munmap::new(client(), reply, 1);
        let create = CreateStatic::new(client(), name, None);
        let map = MemMap::new(client(), 3, 0, MapFlags::Fd, 0, page);
        let unmap = MemUnmap::new(client(), 3, reply, 1);
        assert!(conforms(&Attach::new(client()), 1, 0x0001_0000, &[4]));
        assert!(conforms(&Release::new(client()), 1, 0x0101_0000, &[4]));
        assert!(conforms(&mmap, 1, 0x0402_0100, &[24, 16, 8]));
        assert!(conforms(&munmap, 1, 0x0501_0000, &[24]));
        assert!(conforms(&create, 1, 0x0803_0000, &[12, 8, 16]));
        assert!(conforms(&map, 1, 0x0a03_0100, &[32, 16, 0, 8]));
        assert!(conforms(&unmap, 1, 0x0b01_0000, &[24]));
        assert!(conforms(&Capabilities::new(), 2, 0x0001_0100, &[4, 1020]));
    }

    #[test]
    fn attributes_choose_the_create_method() {
        match create(0, Arg::Empty, 0).unwrap().call() {
            CreateCall::Plain(method) => {
                assert_eq!(method.arg(SHELL), Some(Arg::Empty));
                assert_eq!((Create::NUMBER, Create::SCALARS.raw()), (6, 0x0604_0000));
                assert_eq!(method.input(1), Some(&b"abc\0"[..]));
                assert_eq!(method.arg(4), None);
            }
            CreateCall::Attr(_) => panic!("there are no attributes"),
        }
        match create(8, Arg::inline(0x1000), 0x10).unwrap().call() {
            CreateCall::Attr(method) => {
                assert_eq!(method.arg(SHELL), Some(Arg::inline(0x1000)));
                assert_eq!(method.input(SHELL), None);
                assert_eq!(
                    (CreateAttr::NUMBER, CreateAttr::SCALARS.raw()),
                    (7, 0x0704_0000)
                );
                let request = [0x0102_0304, 4, 0x1000, 1, 8, 0x10];
                let bytes = method.input(0).unwrap();
                for (bytes, expected) in bytes.chunks_exact(4).zip(request) {
                    assert_eq!(bytes, u32::to_le_bytes(expected));
                }
            }
            CreateCall::Plain(_) => panic!("there are attributes"),
        }
    }

    // covers: T4, T13
    #[test]
    fn shells_at_the_limits() {
        let max = u64::from(u32::MAX);
        for (len, signature, fits) in [
            (0, 0, true),
            (0, 1, false),
            (10, 10, true),
            (10, 11, false),
            (max, u32::MAX, true),
            (max + 1, 0, false),
            (2 * max + 1, 0, false),
            (u64::MAX, 0, false),
        ] {
            assert_eq!(create(0, Arg::inline(len), signature).is_some(), fits);
            assert_eq!(create(0, Arg::mapped(0, 0, len), signature).is_some(), fits);
        }
        let handle = Arg::Handle {
            fd: 1,
            offset: 0,
            len: 1,
            page: None,
        };
        assert_eq!(create(0, handle, 0), None);
    }

    #[test]
    fn the_heap_goes_only_with_the_first_static_create() {
        let name = StaticName::exact(b"audiopd").unwrap();
        let with = CreateStatic::new(client(), name, Some(PageEntry::new(0x9000_0000, 0x10_0000)));
        let without = CreateStatic::new(client(), name, None);
        assert_eq!(with.input(0).unwrap()[8..], [1, 0, 0, 0]);
        assert_eq!(without.input(0).unwrap()[8..], [0, 0, 0, 0]);
        assert_eq!(with.input(2).unwrap()[..8], 0x9000_0000_u64.to_le_bytes());
        assert_eq!(without.input(2), Some(&[0; 16][..]));
    }

    // covers: T18
    #[test]
    fn map_flags() {
        let known = [0, 2, 3, 16];
        for raw in 0..=64 {
            let flags = MapFlags::new(raw);
            assert_eq!(flags.is_some(), known.contains(&raw));
            assert!(flags.is_none_or(|flags| flags.raw() == raw));
        }
        assert_eq!(MapFlags::new(u32::MAX), None);
    }

    // covers: T101, T18
    #[test]
    fn heap_flags_are_a_closed_list() {
        let known = [0x1000, 0x3000, 6];
        // Miri would take minutes for all of them.
        let step = if cfg!(miri) { 251 } else { 1 };
        let all = (0..0x1_0000).step_by(step);
        for raw in all.chain((0..32).map(|bit| 1 << bit)).chain(known) {
            let flags = HeapFlags::new(raw);
            assert_eq!(flags.is_some(), known.contains(&raw));
            assert!(flags.is_none_or(|flags| flags.raw() == raw));
            assert!(flags.is_none_or(|flags| flags.is_heap() == (raw != 6)));
        }
    }

    // covers: T33
    #[test]
    fn capabilities_at_the_limits() {
        let mut table = CapabilityTable::EMPTY;
        assert!(!table.set(0, 1) && !table.set(256, 1));
        assert!(table.set(1, 11) && table.set(255, 22));
        for (number, value) in [
            (0, Some(0)),
            (1, Some(11)),
            (2, Some(0)),
            (255, Some(22)),
            (256, None),
            (511, None),
            (u32::MAX, None),
        ] {
            assert_eq!(table.attribute(number), value);
        }
    }
}
