// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The user interface of the qda driver as Rust types.
//!
//! Everything in here mirrors `uapi/drm/qda_accel.h`, which is the single
//! source: structures and constants are generated from it by the script
//! `generate` and committed, function-like macros are written again below as
//! `const fn`. The layouts are checked twice: at compile time against the
//! published numbers (this file), and by the test `header` against what C and
//! C++ compilers make of the header.
//!
//! This crate has no code that talks to a device; that is the crate `qda`.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[allow(
    missing_docs,
    non_camel_case_types,
    reason = "generated; names and documentation are those of the C header"
)]
mod bindings;
mod layout;

pub use bindings::*;

/// Builds a scalars word, `DRM_QDA_SCALARS()`. Parts that do not fit their
/// field (5, 8, 8, 4 and 4 bits) are cut off.
pub const fn scalars(
    method: u32,
    in_bufs: u32,
    out_bufs: u32,
    in_handles: u32,
    out_handles: u32,
) -> u32 {
    ((method & 0x1f) << 24)
        | ((in_bufs & 0xff) << 16)
        | ((out_bufs & 0xff) << 8)
        | ((in_handles & 0xf) << 4)
        | (out_handles & 0xf)
}

/// Method number of a scalars word, `DRM_QDA_SCALARS_METHOD()`: 0..=31.
pub const fn scalars_method(sc: u32) -> u32 {
    (sc >> 24) & 0x1f
}

/// Number of input buffers, `DRM_QDA_SCALARS_IN_BUFS()`: 0..=255.
pub const fn scalars_in_bufs(sc: u32) -> u32 {
    (sc >> 16) & 0xff
}

/// Number of output buffers, `DRM_QDA_SCALARS_OUT_BUFS()`: 0..=255.
pub const fn scalars_out_bufs(sc: u32) -> u32 {
    (sc >> 8) & 0xff
}

/// Number of input handles, `DRM_QDA_SCALARS_IN_HANDLES()`: 0..=15.
pub const fn scalars_in_handles(sc: u32) -> u32 {
    (sc >> 4) & 0xf
}

/// Number of output handles, `DRM_QDA_SCALARS_OUT_HANDLES()`: 0..=15.
pub const fn scalars_out_handles(sc: u32) -> u32 {
    sc & 0xf
}

/// Number of arguments of all kinds, `DRM_QDA_SCALARS_ARGS()`: 0..=540.
pub const fn scalars_args(sc: u32) -> u32 {
    scalars_in_bufs(sc) + scalars_out_bufs(sc) + scalars_in_handles(sc) + scalars_out_handles(sc)
}
