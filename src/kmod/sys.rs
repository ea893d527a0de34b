// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions for kernel services that the kernel crate lacks.
//!
//! All `unsafe` of the module is here. Each file is written as a patch for rust/kernel would be
//! and names its place there. Nothing in here knows FastRPC.

mod bindings;
pub(crate) mod cb;
pub(crate) mod completion;
pub(crate) mod dma;
pub(crate) mod dmabuf;
pub(crate) mod drm;
pub(crate) mod rpmsg;
pub(crate) mod shmem;
pub(crate) mod task;
pub(crate) mod uapi;
pub(crate) mod vma;
pub(crate) mod work;
