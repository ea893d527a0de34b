// SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT
// Generated from uapi/drm/qda_accel.h by the script "generate". Do not edit.

pub const DRM_QDA_VERSION_MAJOR: u32 = 1;
pub const DRM_QDA_VERSION_MINOR: u32 = 0;
pub const DRM_QDA_QUERY: u32 = 0;
pub const DRM_QDA_GEM_CREATE: u32 = 1;
pub const DRM_QDA_GEM_MMAP_OFFSET: u32 = 2;
pub const DRM_QDA_INIT_ATTACH: u32 = 3;
pub const DRM_QDA_REMOTE_SESSION_CREATE: u32 = 4;
pub const DRM_QDA_REMOTE_MAP: u32 = 5;
pub const DRM_QDA_REMOTE_MUNMAP: u32 = 6;
pub const DRM_QDA_REMOTE_INVOKE: u32 = 7;
pub const DRM_QDA_DSP_NAME_LEN: u32 = 16;
pub const DRM_QDA_MAX_SHELL_SIZE: u32 = 4194304;
pub const DRM_QDA_MAX_INLINE_SIZE: u32 = 67108864;
pub const DRM_QDA_MAX_ARGS: u32 = 540;
pub const DRM_QDA_FD_NONE: i32 = -1;
pub const DRM_QDA_HANDLE_REMOTECTL0: u32 = 0;
pub const DRM_QDA_HANDLE_KERNEL: u32 = 1;
pub const DRM_QDA_HANDLE_UTILITIES: u32 = 2;
pub const DRM_QDA_HANDLE_REMOTECTL: u32 = 8;
pub const DRM_QDA_RESULT_BASE: u32 = 2147484672;
pub const DRM_QDA_RESULT_BAD_STATE: u32 = 2147484685;
pub const DRM_QDA_RESULT_UNSUPPORTED: u32 = 2147484692;
pub const DRM_QDA_ATTR_DEBUG: u32 = 1;
pub const DRM_QDA_ATTR_PTRACE: u32 = 2;
pub const DRM_QDA_ATTR_UNSIGNED: u32 = 8;
pub const DRM_QDA_ATTR_ADAPTIVE_QOS: u32 = 16;
pub const DRM_QDA_ATTR_SYSTEM: u32 = 32;
pub const DRM_QDA_ATTR_PRIVILEGED: u32 = 64;
pub const QDA_MAP_REQUEST_LEGACY: u32 = 1;
pub const QDA_MAP_REQUEST_ATTR: u32 = 2;
pub const QDA_MUNMAP_REQUEST_LEGACY: u32 = 1;
pub const QDA_MUNMAP_REQUEST_ATTR: u32 = 2;
pub const DRM_QDA_MMAP_ADD_PAGES: u32 = 4096;
pub const DRM_QDA_MAP_STATIC: u32 = 0;
pub const DRM_QDA_MAP_FD: u32 = 2;
pub const DRM_QDA_MAP_FD_DELAYED: u32 = 3;
pub const DRM_QDA_MAP_FD_NOMAP: u32 = 16;
pub const DRM_IOCTL_QDA_QUERY: u32 = 2148557888;
pub const DRM_IOCTL_QDA_GEM_CREATE: u32 = 3222299713;
pub const DRM_IOCTL_QDA_GEM_MMAP_OFFSET: u32 = 3222299714;
pub const DRM_IOCTL_QDA_INIT_ATTACH: u32 = 25667;
pub const DRM_IOCTL_QDA_REMOTE_SESSION_CREATE: u32 = 3222824004;
pub const DRM_IOCTL_QDA_REMOTE_MAP: u32 = 3224396869;
pub const DRM_IOCTL_QDA_REMOTE_MUNMAP: u32 = 3223348294;
pub const DRM_IOCTL_QDA_REMOTE_INVOKE: u32 = 3222299719;
pub type __u8 = ::core::ffi::c_uchar;
pub type __s32 = ::core::ffi::c_int;
pub type __u32 = ::core::ffi::c_uint;
pub type __u64 = ::core::ffi::c_ulonglong;
#[doc = " struct drm_qda_query - name of the DSP behind a node\n\n Argument of DRM_IOCTL_QDA_QUERY. Sends nothing to the DSP. Anyone who can\n open the node may ask. No errors of its own."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_query {
    #[doc = " @dsp_name: Out. NUL-terminated label of the device tree: \"adsp\",\n \"mdsp\", \"sdsp\", \"cdsp\", \"cdsp1\", \"gdsp0\", \"gdsp1\" and so on. The\n bytes behind the NUL are zero."]
    pub dsp_name: [__u8; 16usize],
}
#[doc = " struct drm_qda_gem_create - allocate a buffer object\n\n Argument of DRM_IOCTL_QDA_GEM_CREATE. Not implemented in version 1.0.\n\n Errors: EINVAL (size 0, pad), ENOMEM."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_gem_create {
    #[doc = " @size: In. Bytes; rounded up to whole pages; not 0."]
    pub size: __u64,
    #[doc = " @handle: Out. GEM handle of the object, not 0."]
    pub handle: __u32,
    #[doc = " @pad: In. Zero."]
    pub pad: __u32,
}
#[doc = " struct drm_qda_gem_mmap_offset - where to mmap() a buffer object\n\n Argument of DRM_IOCTL_QDA_GEM_MMAP_OFFSET. Only for objects that GEM_CREATE\n made; an imported buffer is mapped through its own file descriptor. Not\n implemented in version 1.0.\n\n Errors: ENOENT (no such handle), EINVAL (imported object, pad)."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_gem_mmap_offset {
    #[doc = " @offset: Out. Offset in bytes for mmap() of this node."]
    pub offset: __u64,
    #[doc = " @handle: In. GEM handle."]
    pub handle: __u32,
    #[doc = " @pad: In. Zero."]
    pub pad: __u32,
}
#[doc = " struct drm_qda_init_create - start a process on the DSP\n\n Argument of DRM_IOCTL_QDA_REMOTE_SESSION_CREATE. The process is named after\n the calling thread. It lives until the file is closed; it has its own\n context bank and sees no memory of other clients.\n\n The shell is the program that the process starts with. With @filelen 0 there\n is none, and @filefd and @file are ignored.\n\n Who may call: everyone who can open the node. The DSP decides whether it\n starts a process that is not DRM_QDA_ATTR_UNSIGNED; later versions may ask\n for privileges of the opener first.\n\n Errors: EEXIST (the file has a process), EBUSY (no free context bank), EINVAL\n (@filelen above DRM_QDA_MAX_SHELL_SIZE, @siglen above @filelen, @attrs,\n @filefd), EFAULT (@file), EOPNOTSUPP (@filefd above 0, in version 1.0).\n Returns the DSP's result. After an error or a result other than 0 there is no\n process, and the call may be repeated."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_init_create {
    #[doc = " @filelen: In. Bytes of the shell with its signature; 0: no shell."]
    pub filelen: __u32,
    #[doc = " @filefd: In. Above 0: dma-buf with the shell. 0 or DRM_QDA_FD_NONE:\n @filelen bytes are copied from @file. Other negative numbers are\n refused."]
    pub filefd: __s32,
    #[doc = " @attrs: In. DRM_QDA_ATTR bits, usually DRM_QDA_ATTR_UNSIGNED."]
    pub attrs: __u32,
    #[doc = " @siglen: In. Bytes of the signature, which follows the ELF in the\n same memory and is counted in @filelen; 0: none."]
    pub siglen: __u32,
    #[doc = " @file: In. User address of the shell."]
    pub file: __u64,
}
#[doc = " struct drm_qda_mem_map - map a buffer into the process on the DSP\n\n Argument of DRM_IOCTL_QDA_REMOTE_MAP, for mappings that outlast a call.\n A call does not need it: its arguments are mapped for the call. LEGACY gives\n memory to the process's heap, ATTR makes a buffer known under its file\n descriptor. Not implemented in version 1.0.\n\n Errors: ENOTCONN (no process), EBADF (@fd), EINVAL (@request, @flags, @pad,\n @offset and @size outside the buffer). Returns the DSP's result."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_mem_map {
    #[doc = " @request: In. QDA_MAP_REQUEST_LEGACY or QDA_MAP_REQUEST_ATTR."]
    pub request: __u32,
    #[doc = " @flags: In. LEGACY: DRM_QDA_MMAP_ADD_PAGES. ATTR: one of\n DRM_QDA_MAP_STATIC, _FD, _FD_DELAYED, _FD_NOMAP."]
    pub flags: __u32,
    #[doc = " @fd: In. dma-buf. The DSP knows the mapping by this number. With\n LEGACY, DRM_QDA_FD_NONE lets the kernel allocate the pages."]
    pub fd: __s32,
    #[doc = " @attrs: In. ATTR: not used."]
    pub attrs: __u32,
    #[doc = " @offset: In. ATTR: first byte in the buffer, passed to the DSP."]
    pub offset: __u32,
    #[doc = " @pad: In. Zero."]
    pub pad: __u32,
    #[doc = " @vaddrin: In. Address wanted on the DSP, a hint; 0: any."]
    pub vaddrin: __u64,
    #[doc = " @size: In. Bytes."]
    pub size: __u64,
    #[doc = " @vaddrout: Out. Address on the DSP, an opaque number for the host."]
    pub vaddrout: __u64,
}
#[doc = " struct drm_qda_mem_unmap - undo a drm_qda_mem_map\n\n Argument of DRM_IOCTL_QDA_REMOTE_MUNMAP. The memory is free for other uses\n when the DSP has confirmed; after an error the mapping stays. Fields that\n the request does not use may hold anything. Not implemented in version 1.0.\n\n Errors: ENOTCONN (no process), EINVAL (@request, no such mapping of this\n file). Returns the DSP's result."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_mem_unmap {
    #[doc = " @request: In. QDA_MUNMAP_REQUEST_LEGACY or QDA_MUNMAP_REQUEST_ATTR."]
    pub request: __u32,
    #[doc = " @fd: In. ATTR: the number given when mapping."]
    pub fd: __s32,
    #[doc = " @vaddr: In. ATTR: address on the DSP."]
    pub vaddr: __u64,
    #[doc = " @vaddrout: In. LEGACY: address on the DSP."]
    pub vaddrout: __u64,
    #[doc = " @size: In. Bytes, as given when mapping."]
    pub size: __u64,
}
#[doc = " struct drm_qda_fastrpc_invoke_args - one argument of a call\n\n Buffers of at most DRM_QDA_MAX_INLINE_SIZE bytes in all are copied in and\n out. Outputs are copied out also when the DSP's result is not 0."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_fastrpc_invoke_args {
    #[doc = " @ptr: In. Buffer: user address of the data. Handle: first byte in\n the dma-buf."]
    pub ptr: __u64,
    #[doc = " @length: In. Bytes; 0: an empty argument, @ptr is not used."]
    pub length: __u64,
    #[doc = " @fd: In. Above 0: dma-buf that holds the data (EOPNOTSUPP in version\n 1.0). 0 or DRM_QDA_FD_NONE: the data is copied. Other negative\n numbers: EINVAL."]
    pub fd: __s32,
    #[doc = " @attr: In. Read by no one; zero."]
    pub attr: __u32,
}
#[doc = " struct drm_qda_invoke_args - call a method on the DSP\n\n Argument of DRM_IOCTL_QDA_REMOTE_INVOKE. Waits without time limit until the\n DSP answers. Everyone who has the file may call, from any thread; calls of\n several threads run side by side.\n\n Errors: ENOTCONN (no process), EPERM (handles of the kernel), EFAULT (@args\n is 0 but @sc has arguments, or an address is bad), E2BIG (more inline bytes\n than DRM_QDA_MAX_INLINE_SIZE), EINVAL (an fd), EOPNOTSUPP (a dma-buf or a\n handle argument, in version 1.0), ENOSPC, EINTR, EPIPE. Returns the DSP's\n result."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_invoke_args {
    #[doc = " @handle: In. What is called: DRM_QDA_HANDLE_REMOTECTL to load\n modules, or a handle that the loader gave."]
    pub handle: __u32,
    #[doc = " @sc: In. Scalars word, see DRM_QDA_SCALARS()."]
    pub sc: __u32,
    #[doc = " @args: In. User address of an array of struct\n drm_qda_fastrpc_invoke_args with DRM_QDA_SCALARS_ARGS(@sc) elements;\n 0 if there are none."]
    pub args: __u64,
}
