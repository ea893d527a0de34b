// SPDX-License-Identifier: GPL-2.0

//! The front ends: what user space sees of the engine.
//!
//! A front end turns ioctls into calls of the engine and its errors into errnos. It contains no
//! protocol. Front ends do not know each other.

#![forbid(unsafe_code)]

pub(crate) mod accel;
mod calls;
mod errno;
mod refusals;
pub(crate) mod status;
