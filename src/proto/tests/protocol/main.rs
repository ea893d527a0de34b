// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Property tests and golden vectors of the protocol.
//!
//! The crate is tested from outside against [`oracle`], which was written from the protocol document
//! and shares no code with it: no types, no constants, other arithmetic.

mod decode;
mod encode;
mod golden;
mod oracle;
mod plan;
mod response;
mod slots;
mod strategies;
mod suballoc;

use proptest::test_runner::Config;

/// Number of cases of a property. Miri is some hundred times slower.
fn config(cases: u32) -> Config {
    Config {
        cases: if cfg!(miri) { cases.min(4) } else { cases },
        failure_persistence: None,
        ..Config::default()
    }
}
