// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions for kernel services that the kernel crate lacks.
//!
//! All `unsafe` of the module is here. Each file is written as a patch for rust/kernel would be
//! and names its place there. Nothing in here knows FastRPC.

pub(crate) mod bindings;
