// SPDX-License-Identifier: GPL-2.0
//! Device trees with mistakes: each DSP gets a node or the documented refusal, and a bad one
//! never takes a good one along.

use crate::harness::Suite;

pub const SUITE: Suite = Suite {
    name: "devicetree",
    cases: &[],
};
