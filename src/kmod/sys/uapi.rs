// SPDX-License-Identifier: GPL-2.0

//! The structures of the user ABI as bindgen reads them from `uapi/drm/qda_accel.h`.
//!
//! Front ends compare the layouts of their own types with these when the module is built.

pub(crate) use super::bindings::{
    drm_qda_fastrpc_invoke_args,
    drm_qda_init_create,
    drm_qda_invoke_args,
    drm_qda_query, //
};
