// SPDX-License-Identifier: GPL-2.0

//! The glue to the kernel: every `unsafe` line of the simulator is below this module.

pub(crate) mod bindings;
pub(crate) mod dt;
pub(crate) mod memory;
pub(crate) mod receiver;
pub(crate) mod transport;
pub(crate) mod worker;
