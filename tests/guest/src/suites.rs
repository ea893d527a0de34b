// SPDX-License-Identifier: GPL-2.0
//! All suites. A case is a function; the tables at the heads of the files name the cases.

use crate::harness::Suite;

mod buffer_isolation;
mod buffer_scale;
mod buffers;
mod call;
mod death;
mod devicetree;
mod faults;
mod fuzz;
mod gem;
mod heap;
mod hostile;
mod isolation;
mod limits;
mod malformed;
mod modules;
mod packets;
mod prime;
pub mod privileges;
mod remote_map;
mod session;
mod signals;
mod storm;
mod truth;

/// Every suite of this program.
pub const ALL: &[&Suite] = &[
    &call::SUITE,
    &isolation::SUITE,
    &buffers::SUITE,
    &buffer_isolation::SUITE,
    &buffer_scale::SUITE,
    &buffer_scale::WIDE,
    &remote_map::SUITE,
    &hostile::SUITE,
    &packets::SUITE,
    &faults::SUITE,
    &faults::PROBE,
    &session::SUITE,
    &privileges::SUITE,
    &malformed::SUITE,
    &fuzz::SUITE,
    &death::SUITE,
    &signals::SUITE,
    &limits::SUITE,
    &modules::SUITE,
    &storm::SUITE,
    &truth::SUITE,
    &gem::SUITE,
    &prime::SUITE,
    &heap::SUITE,
    &devicetree::SUITE,
    &devicetree::NO_SMMU,
];

pub use fuzz::replay;

/// The DSP that most cases use.
const CDSP: &str = "cdsp";
/// The other DSP.
const ADSP: &str = "adsp";
