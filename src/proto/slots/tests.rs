// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Unit tests of the call slots: each arrow of the diagram, and each arrow that is not there.

#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_slots))]
mod cases {
    use super::super::*;

    const OK: DspResult = DspResult::SUCCESS;

    fn table(storage: &mut [Slot]) -> SlotTable<&mut [Slot]> {
        SlotTable::new(storage)
    }

    fn sent(table: &mut SlotTable<&mut [Slot]>) -> ContextWord {
        let word = table.prepare(Pd::User).unwrap();
        table.mark_sent(word).unwrap();
        word
    }

    fn reply(result: i32) -> Reply {
        Reply::Result(DspResult::new(result))
    }

    #[test]
    fn a_call_from_begin_to_end() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = table.prepare(Pd::User).unwrap();
        assert_eq!(word.pack(), 0x1_0101);
        assert!(table.is_pending(word));
        assert_eq!(table.mark_sent(word), Ok(()));
        assert_eq!(table.take(word), None);
        assert_eq!(
            table.respond(word.pack(), DspResult::new(-3)),
            Outcome::Wake(1)
        );
        assert!(!table.is_pending(word));
        assert_eq!(table.in_use(), 1);
        assert_eq!(table.take(word), Some(reply(-3)));
        assert_eq!(table.take(word), None);
        assert_eq!(table.in_use(), 0);
    }

    // covers: T37
    #[test]
    fn an_answer_is_consumed_once() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = sent(&mut table);
        assert_eq!(
            table.respond(word.pack(), DspResult::new(1)),
            Outcome::Wake(1)
        );
        for _ in 0..2 {
            assert_eq!(
                table.respond(word.pack(), DspResult::new(2)),
                Outcome::Drop(DropReason::NotWaiting)
            );
        }
        assert_eq!(table.take(word), Some(reply(1)));
        assert_eq!(
            table.respond(word.pack(), OK),
            Outcome::Drop(DropReason::NotWaiting)
        );
    }

    // covers: T39
    #[test]
    fn answers_to_calls_that_were_not_sent_are_dropped() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = table.prepare(Pd::User).unwrap();
        assert_eq!(
            table.respond(word.pack(), OK),
            Outcome::Drop(DropReason::NotWaiting)
        );
        // A word of the future: the next slot and sequence number.
        assert_eq!(
            table.respond(0x2_0201, OK),
            Outcome::Drop(DropReason::NotWaiting)
        );
        assert_eq!(table.mark_sent(word), Ok(()));
        assert!(table.is_pending(word));
    }

    // The slot takes an answer while the send function has not returned yet.
    // covers: T38
    #[test]
    fn an_answer_inside_the_send_is_kept() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = sent(&mut table);
        assert_eq!(table.respond(word.pack(), OK), Outcome::Wake(1));
        // The transport now says that it failed: too late to take the call back.
        assert!(!table.rollback(word));
        assert_eq!(table.take(word), Some(Reply::Result(OK)));
    }

    // covers: T36, T42
    #[test]
    fn old_words_never_match_again() {
        let mut storage = [Slot::FREE; 3];
        let mut table = table(&mut storage);
        let old = sent(&mut table);
        assert_eq!(table.abandon(old), Abandon::Abandoned);
        assert_eq!(table.respond(old.pack(), OK), Outcome::Settled(1));
        // Slot 2, then slot 1 again with another sequence number.
        let other = sent(&mut table);
        let new = sent(&mut table);
        assert_eq!((other.slot(), new.slot()), (2, old.slot()));
        assert_eq!(
            table.respond(old.pack(), OK),
            Outcome::Drop(DropReason::OtherWord)
        );
        assert_eq!(table.take(old), None);
        assert_eq!(table.abandon(old), Abandon::Unknown);
        assert!(!table.rollback(old));
        assert!(!table.is_pending(old) && table.is_pending(new));
    }

    // covers: T40
    #[test]
    fn a_changed_bit_never_matches() {
        let mut storage = [Slot::FREE; TABLE_LEN];
        let mut table = table(&mut storage);
        let word = sent(&mut table);
        for bit in 0..64 {
            let raw = word.pack() ^ (1 << bit);
            assert!(matches!(table.respond(raw, OK), Outcome::Drop(_)));
        }
        assert_eq!(table.respond(word.pack(), OK), Outcome::Wake(1));
    }

    // covers: T35
    #[test]
    fn indexes_without_a_slot_are_dropped() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        sent(&mut table);
        for raw in [0x1_0001, 0x1_0401, 0x1_ff01] {
            assert_eq!(table.respond(raw, OK), Outcome::Drop(DropReason::NoSlot));
        }
    }

    // covers: T43
    #[test]
    fn a_full_table_says_so_and_recovers() {
        let mut storage = [Slot::FREE; TABLE_LEN];
        let mut table = table(&mut storage);
        let mut words = [None; TABLE_LEN];
        for (index, word) in words.iter_mut().enumerate().skip(1) {
            let taken = sent(&mut table);
            assert_eq!(taken.slot(), index);
            *word = Some(taken);
        }
        assert_eq!((table.in_use(), table.capacity()), (255, 255));
        assert_eq!(table.prepare(Pd::User), Err(PrepareError::Full));
        let middle = words[77].unwrap();
        assert_eq!(table.respond(middle.pack(), OK), Outcome::Wake(77));
        // Done is not free: the waiter has to look first.
        assert_eq!(table.prepare(Pd::User), Err(PrepareError::Full));
        assert_eq!(table.take(middle), Some(Reply::Result(OK)));
        assert_eq!(table.prepare(Pd::Root).map(ContextWord::slot), Ok(77));
        assert_eq!(table.prepare(Pd::User), Err(PrepareError::Full));
    }

    // covers: T42
    #[test]
    fn slots_are_taken_in_turn() {
        let mut storage = [Slot::FREE; TABLE_LEN];
        let mut table = table(&mut storage);
        for round in 0..600 {
            let word = sent(&mut table);
            assert_eq!(word.slot(), round % 255 + 1);
            let _ = table.respond(word.pack(), OK);
            let _ = table.take(word);
        }
    }

    // covers: T42
    #[test]
    fn sequence_wraps_without_zero() {
        let mut storage = [Slot::FREE; 4];
        let last = Sequence::new(Sequence::MAX).unwrap();
        let mut table = SlotTable::with_sequence(&mut storage[..], last);
        let first = table.prepare(Pd::Sensors).unwrap();
        let second = table.prepare(Pd::Sensors).unwrap();
        assert_eq!(first.pack(), 0xffff_ffff_ffff_0102);
        assert_eq!(second.pack(), 0x0000_0000_0001_0202);
    }

    #[test]
    fn a_prepared_or_sent_call_can_be_taken_back() {
        let mut storage = [Slot::FREE; 2];
        let mut table = table(&mut storage);
        let word = table.prepare(Pd::User).unwrap();
        assert!(table.rollback(word));
        assert!(!table.rollback(word));
        assert_eq!(table.mark_sent(word), Err(SendError::NotPrepared));
        let word = sent(&mut table);
        assert!(table.rollback(word));
        assert_eq!(table.in_use(), 0);
        assert_eq!(
            table.respond(word.pack(), OK),
            Outcome::Drop(DropReason::NotWaiting)
        );
    }

    #[test]
    fn a_call_is_sent_once() {
        let mut storage = [Slot::FREE; 2];
        let mut table = table(&mut storage);
        let word = sent(&mut table);
        assert_eq!(table.mark_sent(word), Err(SendError::NotPrepared));
    }

    // covers: T37, T52
    #[test]
    fn an_abandoned_call_is_settled_by_its_answer() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = sent(&mut table);
        assert_eq!(table.abandon(word), Abandon::Abandoned);
        assert_eq!(table.abandon(word), Abandon::Unknown);
        assert!(table.is_pending(word));
        assert_eq!(table.take(word), None);
        assert!(!table.rollback(word));
        assert_eq!(table.in_use(), 1);
        assert_eq!(table.respond(word.pack(), OK), Outcome::Settled(1));
        assert_eq!(table.in_use(), 0);
        assert_eq!(
            table.respond(word.pack(), OK),
            Outcome::Drop(DropReason::NotWaiting)
        );
    }

    // covers: T45, T62
    #[test]
    fn giving_up_after_the_answer_gives_the_answer() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = sent(&mut table);
        assert_eq!(
            table.respond(word.pack(), DspResult::new(4)),
            Outcome::Wake(1)
        );
        assert_eq!(table.abandon(word), Abandon::AlreadyDone(reply(4)));
        assert_eq!(table.in_use(), 0);
        let prepared = table.prepare(Pd::User).unwrap();
        assert_eq!(table.abandon(prepared), Abandon::Unknown);
    }

    // A waiter that wakes because of an earlier call in its slot finds its own call pending.
    // covers: T62, T148
    #[test]
    fn a_wake_up_alone_proves_nothing() {
        let mut storage = [Slot::FREE; 2];
        let mut table = table(&mut storage);
        let first = sent(&mut table);
        assert_eq!(table.respond(first.pack(), OK), Outcome::Wake(1));
        assert_eq!(
            table.abandon(first),
            Abandon::AlreadyDone(Reply::Result(OK))
        );
        let second = sent(&mut table);
        assert_eq!(second.slot(), first.slot());
        assert!(table.is_pending(second));
        assert_eq!(table.take(second), None);
    }

    // covers: T46
    #[test]
    fn the_end_of_the_channel_ends_every_call() {
        let mut storage = [Slot::FREE; 8];
        let mut table = table(&mut storage);
        let done = sent(&mut table);
        let waiting = sent(&mut table);
        let abandoned = sent(&mut table);
        let prepared = table.prepare(Pd::User).unwrap();
        let unsent = table.prepare(Pd::User).unwrap();
        let _ = table.respond(done.pack(), DspResult::new(5));
        let _ = table.abandon(abandoned);

        let mut woken = [None; 8];
        let mut calls = 0;
        table.kill(|outcome| {
            woken[calls] = Some(outcome);
            calls += 1;
        });
        assert_eq!(calls, 2);
        assert_eq!(woken[0], Some(Outcome::Wake(2)));
        assert_eq!(woken[1], Some(Outcome::Settled(3)));
        table.kill(|_| panic!("nothing was left"));

        assert!(table.is_dead());
        assert_eq!(table.prepare(Pd::User), Err(PrepareError::Dead));
        assert_eq!(table.take(done), Some(reply(5)));
        assert!(!table.is_pending(waiting));
        assert_eq!(
            table.respond(waiting.pack(), OK),
            Outcome::Drop(DropReason::NotWaiting)
        );
        assert_eq!(table.take(waiting), Some(Reply::Gone));
        assert_eq!(table.mark_sent(prepared), Err(SendError::Dead));
        assert!(table.rollback(unsent));
        assert_eq!(table.in_use(), 0);
    }

    #[test]
    fn tables_of_any_length() {
        for len in 0..=1 {
            let mut storage = [Slot::FREE; 1];
            let mut table = table(&mut storage[..len]);
            assert_eq!(table.prepare(Pd::User), Err(PrepareError::Full));
            assert!(matches!(table.respond(0x1_0101, OK), Outcome::Drop(_)));
            table.kill(|_| panic!("nothing was sent"));
        }
        let mut storage = [Slot::FREE; TABLE_LEN + 10];
        let mut table = table(&mut storage);
        assert_eq!(table.capacity(), 255);
        for _ in 0..255 {
            sent(&mut table);
        }
        assert_eq!(table.prepare(Pd::User), Err(PrepareError::Full));
    }

    // covers: T36, T43
    #[test]
    fn a_retired_call_frees_its_slot_once_and_for_all() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let waits = sent(&mut table);
        let gone = sent(&mut table);
        let done = sent(&mut table);
        assert_eq!(table.abandon(gone), Abandon::Abandoned);
        assert_eq!(table.respond(done.pack(), OK), Outcome::Wake(3));
        for word in [waits, gone, done] {
            assert!(table.retire(word));
            assert!(!table.retire(word));
            assert_eq!(table.take(word), None);
            assert_eq!(
                table.respond(word.pack(), OK),
                Outcome::Drop(DropReason::NotWaiting)
            );
        }
        assert_eq!(table.in_use(), 0);

        // The next call in the slot does not get the late answer.
        let next = sent(&mut table);
        assert_eq!(next.slot(), waits.slot());
        assert_eq!(
            table.respond(waits.pack(), OK),
            Outcome::Drop(DropReason::OtherWord)
        );
        assert!(!table.retire(waits));
        assert!(table.is_pending(next));
    }

    #[test]
    fn a_call_that_was_not_sent_is_not_retired() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        let word = table.prepare(Pd::User).unwrap();
        assert!(!table.retire(word));
        assert!(table.is_pending(word));
    }

    // covers: T177
    #[test]
    fn open_calls_are_those_that_wait_for_an_answer() {
        let mut storage = [Slot::FREE; 4];
        let mut table = table(&mut storage);
        assert!((0..5).all(|index| !table.is_open(index)));
        let waits = sent(&mut table);
        let gone = sent(&mut table);
        let done = sent(&mut table);
        assert!(table.abandon(gone) == Abandon::Abandoned);
        assert!(table.respond(done.pack(), OK) == Outcome::Wake(3));
        assert!(table.is_open(waits.slot()) && table.is_open(gone.slot()));
        assert!(!table.is_open(done.slot()));
        assert!(table.respond(gone.pack(), OK) == Outcome::Settled(2));
        assert!(!table.is_open(gone.slot()));
    }
}
