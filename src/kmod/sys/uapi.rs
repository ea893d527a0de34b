// SPDX-License-Identifier: GPL-2.0

//! The structures and numbers of the user ABI as bindgen reads them from `uapi/drm/qda_accel.h`.
//!
//! Front ends compare the layouts of their own types with these when the module is built.

pub(crate) use super::bindings::{
    drm_qda_call,
    drm_qda_call_arg,
    drm_qda_fastrpc_invoke_args,
    drm_qda_gem_create,
    drm_qda_gem_mmap_offset,
    drm_qda_init_create,
    drm_qda_invoke_args,
    drm_qda_mem_map,
    drm_qda_mem_unmap,
    drm_qda_query,
    DRM_QDA_ARG_BUFFER,
    DRM_QDA_ARG_HANDLE,
    DRM_QDA_ARG_IN,
    DRM_QDA_ARG_INLINE,
    DRM_QDA_ARG_OUT,
    DRM_QDA_MAX_ARGS,
    DRM_QDA_MAX_ARG_STRIDE,
    DRM_QDA_MIN_ARG_STRIDE,
    QDA_MAP_REQUEST_ATTR,
    QDA_MAP_REQUEST_LEGACY,
    QDA_MUNMAP_REQUEST_ATTR,
    QDA_MUNMAP_REQUEST_LEGACY, //
};
