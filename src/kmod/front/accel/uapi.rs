// SPDX-License-Identifier: GPL-2.0

//! The structures of `uapi/drm/qda_accel.h`.
//!
//! The header is the contract: each layout here is compared with what bindgen makes of it when the
//! module is built.

use crate::sys::uapi;
use core::mem::{
    offset_of,
    size_of, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout, //
};

/// Length of a DSP's name, NUL included.
pub(crate) const DSP_NAME_LEN: usize = 16;

/// `struct drm_qda_query`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Query {
    /// Label of the DSP, NUL-terminated.
    pub(crate) dsp_name: [u8; DSP_NAME_LEN],
}

/// `struct drm_qda_init_create`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct SessionCreate {
    /// Bytes of the shell; 0 for none.
    pub(crate) filelen: u32,
    /// dma-buf of the shell, if above 0.
    pub(crate) filefd: i32,
    /// Process attributes.
    pub(crate) attrs: u32,
    /// Bytes of the signature, part of `filelen`.
    pub(crate) siglen: u32,
    /// User address of the shell.
    pub(crate) file: u64,
}

/// `struct drm_qda_invoke_args`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Invoke {
    /// Remote handle.
    pub(crate) handle: u32,
    /// Scalars word.
    pub(crate) sc: u32,
    /// User address of the arguments.
    pub(crate) args: u64,
}

/// `struct drm_qda_fastrpc_invoke_args`, one argument of a call.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct InvokeArg {
    /// User address of the data.
    pub(crate) ptr: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// dma-buf, or none if 0 or -1.
    pub(crate) fd: i32,
    /// Not used.
    pub(crate) attr: u32,
}

/// Compares a structure with the one in the header: size, and the offset of each field.
macro_rules! same_layout {
    ($ours:ty, $theirs:ty, [$($field:ident),+]) => {
        const _: () = {
            assert!(size_of::<$ours>() == size_of::<$theirs>());
            $(assert!(offset_of!($ours, $field) == offset_of!($theirs, $field));)+
        };
    };
}

same_layout!(Query, uapi::drm_qda_query, [dsp_name]);
same_layout!(
    SessionCreate,
    uapi::drm_qda_init_create,
    [filelen, filefd, attrs, siglen, file]
);
same_layout!(Invoke, uapi::drm_qda_invoke_args, [handle, sc, args]);
same_layout!(
    InvokeArg,
    uapi::drm_qda_fastrpc_invoke_args,
    [ptr, length, fd, attr]
);
