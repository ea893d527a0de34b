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

/// `struct drm_qda_gem_create`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct GemCreate {
    /// Bytes.
    pub(crate) size: u64,
    /// Result: the handle.
    pub(crate) handle: u32,
    /// Zero.
    pub(crate) pad: u32,
}

/// `struct drm_qda_gem_mmap_offset`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct GemMmapOffset {
    /// Result: where to map the object.
    pub(crate) offset: u64,
    /// The handle.
    pub(crate) handle: u32,
    /// Zero.
    pub(crate) pad: u32,
}

/// `struct drm_qda_mem_map`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct MemMap {
    /// Kind of mapping.
    pub(crate) request: u32,
    /// Flags of that kind.
    pub(crate) flags: u32,
    /// dma-buf, or none if not above 0.
    pub(crate) fd: i32,
    /// Not used.
    pub(crate) attrs: u32,
    /// First byte in the buffer.
    pub(crate) offset: u32,
    /// Zero.
    pub(crate) pad: u32,
    /// Address hint.
    pub(crate) vaddrin: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Result: address on the DSP.
    pub(crate) vaddrout: u64,
}

/// `struct drm_qda_mem_unmap`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct MemUnmap {
    /// Kind of mapping.
    pub(crate) request: u32,
    /// Number given when mapping.
    pub(crate) fd: i32,
    /// Address on the DSP of a mapping by number.
    pub(crate) vaddr: u64,
    /// Address on the DSP of a mapping for the heap.
    pub(crate) vaddrout: u64,
    /// Bytes.
    pub(crate) size: u64,
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

/// `struct drm_qda_call`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Call {
    /// User address of the arguments.
    pub(crate) args: u64,
    /// Until when to wait; 0: for ever.
    pub(crate) deadline_ns: u64,
    /// Remote handle.
    pub(crate) handle: u32,
    /// Method.
    pub(crate) method: u32,
    /// Number of arguments.
    pub(crate) arg_count: u32,
    /// Bytes from one argument to the next.
    pub(crate) arg_stride: u32,
    /// Zero.
    pub(crate) flags: u32,
    /// Result of the DSP.
    pub(crate) result: u32,
}

/// `struct drm_qda_call_arg`, one argument of a [`Call`].
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct CallArg {
    /// User address of inline data.
    pub(crate) address: u64,
    /// First byte in the buffer.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// One of [`ARG_INLINE`], [`ARG_BUFFER`] and [`ARG_HANDLE`].
    pub(crate) kind: u32,
    /// One of [`ARG_IN`] and [`ARG_OUT`].
    pub(crate) direction: u32,
    /// GEM handle of the buffer.
    pub(crate) handle: u32,
    /// Number of a handle argument.
    pub(crate) tag: i32,
    /// Zero.
    pub(crate) flags: u32,
    /// Zero.
    pub(crate) pad: u32,
}

/// Kind of [`MemMap`]: memory for the heap of the process.
pub(crate) const MAP_REQUEST_LEGACY: u32 = uapi::QDA_MAP_REQUEST_LEGACY;
/// Kind of [`MemMap`]: a buffer that code on the DSP knows by a number.
pub(crate) const MAP_REQUEST_ATTR: u32 = uapi::QDA_MAP_REQUEST_ATTR;
/// As [`MAP_REQUEST_LEGACY`], for [`MemUnmap`].
pub(crate) const MUNMAP_REQUEST_LEGACY: u32 = uapi::QDA_MUNMAP_REQUEST_LEGACY;
/// As [`MAP_REQUEST_ATTR`], for [`MemUnmap`].
pub(crate) const MUNMAP_REQUEST_ATTR: u32 = uapi::QDA_MUNMAP_REQUEST_ATTR;
/// Data that is copied.
pub(crate) const ARG_INLINE: u32 = uapi::DRM_QDA_ARG_INLINE;
/// Data in a buffer.
pub(crate) const ARG_BUFFER: u32 = uapi::DRM_QDA_ARG_BUFFER;
/// A buffer that the DSP gets a handle of.
pub(crate) const ARG_HANDLE: u32 = uapi::DRM_QDA_ARG_HANDLE;
/// To the DSP.
pub(crate) const ARG_IN: u32 = uapi::DRM_QDA_ARG_IN;
/// From the DSP.
pub(crate) const ARG_OUT: u32 = uapi::DRM_QDA_ARG_OUT;
// CAST: Small constants of the header.
/// Most arguments of a call.
pub(crate) const MAX_ARGS: usize = uapi::DRM_QDA_MAX_ARGS as usize;
/// Most bytes from one argument of a [`Call`] to the next.
pub(crate) const MAX_ARG_STRIDE: usize = uapi::DRM_QDA_MAX_ARG_STRIDE as usize;

const _: () = assert!(uapi::DRM_QDA_MIN_ARG_STRIDE as usize == size_of::<CallArg>());

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
same_layout!(GemCreate, uapi::drm_qda_gem_create, [size, handle, pad]);
same_layout!(
    GemMmapOffset,
    uapi::drm_qda_gem_mmap_offset,
    [offset, handle, pad]
);
same_layout!(
    MemMap,
    uapi::drm_qda_mem_map,
    [request, flags, fd, attrs, offset, pad, vaddrin, size, vaddrout]
);
same_layout!(
    MemUnmap,
    uapi::drm_qda_mem_unmap,
    [request, fd, vaddr, vaddrout, size]
);
same_layout!(
    Call,
    uapi::drm_qda_call,
    [
        args,
        deadline_ns,
        handle,
        method,
        arg_count,
        arg_stride,
        flags,
        result
    ]
);
same_layout!(
    CallArg,
    uapi::drm_qda_call_arg,
    [address, offset, length, kind, direction, handle, tag, flags, pad]
);
