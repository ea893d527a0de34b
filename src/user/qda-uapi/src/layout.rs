// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Compile-time proof that the published layouts did not change.
//!
//! The numbers are written down here by hand from the description of the v1
//! interface, on purpose not computed from the header: a header that is edited
//! by mistake no longer compiles as a Rust crate. covers: T153, T154

use core::mem::{align_of, offset_of, size_of};

use crate::bindings::*;

/// One line per structure: total size, then the offset of every field.
macro_rules! layout {
    ($name:ident: $size:literal { $($field:ident @ $offset:literal),+ $(,)? }) => {
        const _: () = {
            assert!(size_of::<$name>() == $size);
            assert!(align_of::<$name>() <= 8);
            $(assert!(offset_of!($name, $field) == $offset);)+
            // Names every field: a new one does not compile without a line here.
            #[allow(dead_code)]
            fn every_field(value: $name) {
                let $name { $($field: _),+ } = value;
            }
        };
    };
}

layout!(drm_qda_query: 16 { dsp_name @ 0 });
layout!(drm_qda_gem_create: 16 { size @ 0, handle @ 8, pad @ 12 });
layout!(drm_qda_gem_mmap_offset: 16 { offset @ 0, handle @ 8, pad @ 12 });
layout!(drm_qda_init_create: 24 {
    filelen @ 0, filefd @ 4, attrs @ 8, siglen @ 12, file @ 16,
});
layout!(drm_qda_invoke_args: 16 { handle @ 0, sc @ 4, args @ 8 });
layout!(drm_qda_fastrpc_invoke_args: 24 { ptr @ 0, length @ 8, fd @ 16, attr @ 20 });
layout!(drm_qda_mem_map: 48 {
    request @ 0, flags @ 4, fd @ 8, attrs @ 12, offset @ 16, pad @ 20,
    vaddrin @ 24, size @ 32, vaddrout @ 40,
});
layout!(drm_qda_mem_unmap: 32 { request @ 0, fd @ 4, vaddr @ 8, vaddrout @ 16, size @ 24 });
layout!(drm_qda_call: 40 {
    args @ 0, deadline_ns @ 8, handle @ 16, method @ 20, arg_count @ 24, arg_stride @ 28,
    flags @ 32, result @ 36,
});
layout!(drm_qda_call_arg: 48 {
    address @ 0, offset @ 8, length @ 16, kind @ 24, direction @ 28, handle @ 32, tag @ 36,
    flags @ 40, pad @ 44,
});

const _: () = {
    assert!(DRM_IOCTL_QDA_QUERY == 0x8010_6440);
    assert!(DRM_IOCTL_QDA_GEM_CREATE == 0xC010_6441);
    assert!(DRM_IOCTL_QDA_GEM_MMAP_OFFSET == 0xC010_6442);
    assert!(DRM_IOCTL_QDA_INIT_ATTACH == 0x0000_6443);
    assert!(DRM_IOCTL_QDA_REMOTE_SESSION_CREATE == 0xC018_6444);
    assert!(DRM_IOCTL_QDA_REMOTE_MAP == 0xC030_6445);
    assert!(DRM_IOCTL_QDA_REMOTE_MUNMAP == 0xC020_6446);
    assert!(DRM_IOCTL_QDA_REMOTE_INVOKE == 0xC010_6447);
    assert!(DRM_IOCTL_QDA_CALL == 0xC028_6448);
    assert!(DRM_QDA_MIN_ARG_STRIDE as usize == size_of::<drm_qda_call_arg>());
    assert!(DRM_QDA_ARG_INLINE == 0 && DRM_QDA_ARG_BUFFER == 1 && DRM_QDA_ARG_HANDLE == 2);
    assert!(DRM_QDA_ARG_IN == 0 && DRM_QDA_ARG_OUT == 1);
    assert!(QDA_MAP_REQUEST_LEGACY == 1 && QDA_MUNMAP_REQUEST_LEGACY == 1);
    assert!(QDA_MAP_REQUEST_ATTR == 2 && QDA_MUNMAP_REQUEST_ATTR == 2);
};
