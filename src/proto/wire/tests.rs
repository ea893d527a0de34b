// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Unit tests of the wire layouts; responses as tables of bytes.

#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_wire))]
mod cases {
    use zerocopy::IntoBytes;

    use super::super::*;

    const WORD: u64 = 0x0000_0000_0001_0101;

    /// A message of up to 32 bytes, built field by field.
    fn message(context: u64, fields: [u32; 6]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&context.to_le_bytes());
        for (to, from) in bytes[8..].chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        bytes
    }

    fn accepted(result: u32) -> Result<Response, Reject> {
        Ok(Response {
            word: WORD,
            result: DspResult::from_bits(result),
        })
    }

    // covers: T35
    #[test]
    fn length_decides_first() {
        // Version and flags of the second form, which says "no completion".
        let bytes = message(WORD, [7, 1, 0, 2, 0, 0]);
        for len in 0..16 {
            assert_eq!(Response::parse(&bytes[..len]), Err(Reject::Short));
        }
        // Too short for version 2: the basic form.
        for len in 16..24 {
            assert_eq!(Response::parse(&bytes[..len]), accepted(7));
        }
        for len in 24..=32 {
            assert_eq!(
                Response::parse(&bytes[..len]),
                Err(Reject::NotCompletion(ResponseFlags::Early))
            );
        }
    }

    // covers: T41
    #[test]
    fn marker_is_found_before_anything_else() {
        let bytes = message(PD_NOTIFICATION, [4, 1, 1, 2, 0, 0]);
        assert_eq!(Response::parse(&bytes[..8]), Err(Reject::Short));
        for len in 16..=32 {
            assert_eq!(Response::parse(&bytes[..len]), Err(Reject::Notification));
        }
        let own = Notification::new(1, 1);
        assert_eq!(Response::parse(own.as_bytes()), Err(Reject::Notification));
        // The marker is all 64 bits.
        let bytes = message(PD_NOTIFICATION | (1 << 32), [0; 6]);
        assert!(Response::parse(&bytes).is_ok());
    }

    // covers: T50
    #[test]
    fn flags_of_version_2() {
        for (flags, completes) in [
            (0, true),
            (1, false),
            (2, false),
            (3, true),
            (4, false),
            (5, true),
            (6, false),
            (7, false),
            (u32::MAX, false),
        ] {
            let bytes = message(WORD, [9, flags, 100, 2, 0, 0]);
            let parsed = Response::parse(&bytes[..24]);
            match completes {
                true => assert_eq!(parsed, accepted(9)),
                false if flags > 5 => assert_eq!(parsed, Err(Reject::UnknownFlags(flags))),
                false => assert!(matches!(parsed, Err(Reject::NotCompletion(_)))),
            }
        }
    }

    // covers: T50
    #[test]
    fn flags_of_other_versions_are_not_read() {
        for version in [0, 1, 3, 0x0002_0000, u32::MAX] {
            let bytes = message(WORD, [9, 1, 0, version, 0, 0]);
            assert_eq!(Response::parse(&bytes[..24]), accepted(9));
        }
    }

    // covers: T149
    #[test]
    fn results_are_not_looked_at() {
        for result in [0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0414, u32::MAX] {
            let bytes = message(WORD, [result, 0, 0, 0, 0, 0]);
            assert_eq!(Response::parse(&bytes[..16]), accepted(result));
        }
    }

    #[test]
    fn built_responses_parse() {
        let basic = BasicResponse::new(WORD, -1);
        assert_eq!(Response::parse(basic.as_bytes()), accepted(u32::MAX));
        let v2 = ResponseV2::new(WORD, 0, 2, 50, ResponseV2::VERSION);
        assert_eq!(
            Response::parse(v2.as_bytes()),
            Err(Reject::NotCompletion(ResponseFlags::EarlyWake))
        );
    }

    #[test]
    fn requests_have_exactly_40_bytes() {
        let bytes = [0; 41];
        assert!(Request::parse(&bytes[..39]).is_none());
        assert!(Request::parse(&bytes[..40]).is_some());
        assert!(Request::parse(&bytes).is_none());
        assert!(Request::parse(&[]).is_none());
    }

    // covers: T48
    #[test]
    fn client_ids() {
        assert_eq!(ClientId::new(0), None);
        assert_eq!(Sender::Kernel.id(), 0);
        for id in [1, 14, i32::MAX, -1] {
            let client = ClientId::new(id).unwrap();
            assert_eq!(Sender::Client(client).id(), id);
        }
    }

    // Types of alignment 1 have no padding; the sizes are checked by the compiler.
    // covers: T16
    #[test]
    fn no_type_has_alignment() {
        assert_eq!(align_of::<Request>(), 1);
        assert_eq!(align_of::<BufferDescriptor>(), 1);
        assert_eq!(align_of::<HandleDescriptor>(), 1);
        assert_eq!(align_of::<BufferListEntry>(), 1);
        assert_eq!(align_of::<PageEntry>(), 1);
    }
}
