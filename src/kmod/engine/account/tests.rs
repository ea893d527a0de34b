// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the accounts: each limit at its edge, and that nothing stays charged.

#[kernel::prelude::kunit_tests(qda_account)]
mod cases {
    use super::super::*;

    const LIMITS: Limits = Limits {
        buffer: 8192,
        file: 12288,
        file_buffers: 4,
        dsp: 16384,
        calls: 1,
        inline: 1,
    };

    fn fails_with<T>(result: CallResult<T>, want: fn(&CallError) -> bool) -> bool {
        result.is_err_and(|error| want(&error))
    }

    // covers: T4
    #[test]
    fn one_buffer_at_the_limit() -> Result {
        let total = Total::new(LIMITS)?;
        let account = Account::new(LIMITS, total.clone())?;
        for bytes in [8193, 1 << 32, 1 << 63, u64::MAX] {
            let charge = account.charge(bytes);
            assert!(fails_with(charge, |e| matches!(e, CallError::TooBig)));
        }
        let charge = account.charge(8192);
        assert!(charge.is_ok());
        assert_eq!(total.used(), 8192);
        drop(charge);
        assert_eq!(total.used(), 0);
        Ok(())
    }

    #[test]
    fn bytes_of_a_file_come_back() -> Result {
        let total = Total::new(LIMITS)?;
        let account = Account::new(LIMITS, total.clone())?;
        for _ in 0..3 {
            let first = account.charge(8192);
            let second = account.charge(4096);
            let third = account.charge(1);
            assert!(first.is_ok() && second.is_ok());
            assert!(fails_with(third, |e| matches!(e, CallError::Limit)));
            assert_eq!(total.used(), 12288);
        }
        assert_eq!(total.used(), 0);
        Ok(())
    }

    #[test]
    fn number_of_buffers_of_a_file() -> Result {
        let total = Total::new(LIMITS)?;
        let account = Account::new(LIMITS, total.clone())?;
        let charges = [1, 1, 1, 1].map(|bytes| account.charge(bytes));
        assert!(charges.iter().all(|charge| charge.is_ok()));
        let one_more = account.charge(1);
        assert!(fails_with(one_more, |e| matches!(e, CallError::Limit)));
        drop(charges);
        assert_eq!(total.used(), 0);
        assert!(account.charge(1).is_ok());
        Ok(())
    }

    // What a refused buffer had already been charged for is given back: nothing adds up.
    #[test]
    fn the_dsp_has_a_limit_of_its_own() -> Result {
        let total = Total::new(LIMITS)?;
        let greedy = Account::new(LIMITS, total.clone())?;
        let modest = Account::new(LIMITS, total.clone())?;
        let first = greedy.charge(8192);
        let second = greedy.charge(4096);
        assert!(first.is_ok() && second.is_ok());
        for _ in 0..10 {
            let refused = modest.charge(8192);
            assert!(fails_with(refused, |e| matches!(e, CallError::Limit)));
        }
        assert_eq!(total.used(), 12288);
        assert!(modest.charge(4096).is_ok());
        drop(first);
        assert!(modest.charge(8192).is_ok());
        Ok(())
    }

    // A buffer outlives the file that made it, and counts until it ends.
    #[test]
    fn a_charge_keeps_its_account() -> Result {
        let total = Total::new(LIMITS)?;
        let account = Account::new(LIMITS, total.clone())?;
        let charge = account.charge(100);
        drop(account);
        assert_eq!(total.used(), 100);
        drop(charge);
        assert_eq!(total.used(), 0);
        Ok(())
    }
}
