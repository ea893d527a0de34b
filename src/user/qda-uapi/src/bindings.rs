// SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT
// Generated from uapi/drm/qda_accel.h by the script "generate". Do not edit.

pub const DRM_QDA_VERSION_MAJOR: u32 = 1;
pub const DRM_QDA_VERSION_MINOR: u32 = 1;
pub const DRM_QDA_QUERY: u32 = 0;
pub const DRM_QDA_GEM_CREATE: u32 = 1;
pub const DRM_QDA_GEM_MMAP_OFFSET: u32 = 2;
pub const DRM_QDA_INIT_ATTACH: u32 = 3;
pub const DRM_QDA_REMOTE_SESSION_CREATE: u32 = 4;
pub const DRM_QDA_REMOTE_MAP: u32 = 5;
pub const DRM_QDA_REMOTE_MUNMAP: u32 = 6;
pub const DRM_QDA_REMOTE_INVOKE: u32 = 7;
pub const DRM_QDA_CALL: u32 = 8;
pub const DRM_QDA_DSP_NAME_LEN: u32 = 16;
pub const DRM_QDA_MAX_SHELL_SIZE: u32 = 4194304;
pub const DRM_QDA_MAX_INLINE_SIZE: u32 = 67108864;
pub const DRM_QDA_MAX_ARGS: u32 = 540;
pub const DRM_QDA_MAX_BUFS: u32 = 255;
pub const DRM_QDA_MAX_HANDLES: u32 = 15;
pub const DRM_QDA_MIN_ARG_STRIDE: u32 = 48;
pub const DRM_QDA_MAX_ARG_STRIDE: u32 = 512;
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
pub const DRM_QDA_MMAP_BUFFER: u32 = 6;
pub const DRM_QDA_MMAP_ADD_PAGES: u32 = 4096;
pub const DRM_QDA_MMAP_ADD_PAGES_LLC: u32 = 12288;
pub const DRM_QDA_MAP_STATIC: u32 = 0;
pub const DRM_QDA_MAP_FD: u32 = 2;
pub const DRM_QDA_MAP_FD_DELAYED: u32 = 3;
pub const DRM_QDA_MAP_FD_NOMAP: u32 = 16;
pub const DRM_QDA_ARG_INLINE: u32 = 0;
pub const DRM_QDA_ARG_BUFFER: u32 = 1;
pub const DRM_QDA_ARG_HANDLE: u32 = 2;
pub const DRM_QDA_ARG_IN: u32 = 0;
pub const DRM_QDA_ARG_OUT: u32 = 1;
pub const DRM_IOCTL_QDA_QUERY: u32 = 2148557888;
pub const DRM_IOCTL_QDA_GEM_CREATE: u32 = 3222299713;
pub const DRM_IOCTL_QDA_GEM_MMAP_OFFSET: u32 = 3222299714;
pub const DRM_IOCTL_QDA_INIT_ATTACH: u32 = 25667;
pub const DRM_IOCTL_QDA_REMOTE_SESSION_CREATE: u32 = 3222824004;
pub const DRM_IOCTL_QDA_REMOTE_MAP: u32 = 3224396869;
pub const DRM_IOCTL_QDA_REMOTE_MUNMAP: u32 = 3223348294;
pub const DRM_IOCTL_QDA_REMOTE_INVOKE: u32 = 3222299719;
pub const DRM_IOCTL_QDA_CALL: u32 = 3223872584;
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
#[doc = " struct drm_qda_gem_create - allocate a buffer object\n\n Argument of DRM_IOCTL_QDA_GEM_CREATE. Sends nothing to the DSP and needs no\n process. Everyone who has the file may call. Pages are found on first use, huge\n ones where the kernel has them.\n\n Errors: EINVAL (size 0, pad), E2BIG (more than the limit of one object), ENOSPC\n (more than the limits of one file or of the DSP), ENOMEM. The administrator sets\n the limits as parameters of the module: \"max_buffer_mib\" (16384 if not given),\n \"max_file_mib\" (65536), \"max_file_buffers\" (65536 objects), \"max_dsp_mib\" (262144,\n all files together)."]
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
#[doc = " struct drm_qda_gem_mmap_offset - where to mmap() a buffer object\n\n Argument of DRM_IOCTL_QDA_GEM_MMAP_OFFSET. Only for objects that GEM_CREATE\n made; an imported buffer is mapped through its own file descriptor. A mapping\n may cover the object or a part of it that begins on a page, and outlives\n handle, file and DSP.\n\n Errors: ENOENT (no such handle), EINVAL (imported object, pad)."]
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
#[doc = " struct drm_qda_init_create - start a process on the DSP\n\n Argument of DRM_IOCTL_QDA_REMOTE_SESSION_CREATE. The process is named after\n the calling thread. It lives until the file is closed; it has its own\n context bank and sees no memory of other clients.\n\n The shell is the program that the process starts with. With @filelen 0 there\n is none, and @filefd and @file are ignored.\n\n Who may call: everyone who can open the node, for an unsigned process with\n ordinary attributes on a DSP that has such processes; all else needs a trusted\n file, see \"Who may do what\". The DSP then decides for itself.\n\n Errors: ECONNREFUSED (the file is not trusted, and @attrs lacks\n DRM_QDA_ATTR_UNSIGNED or the DSP has no unsigned processes), EACCES (the file\n is not trusted with @attrs), EEXIST (the file has a process), EBUSY (no free\n context bank), EINVAL\n (@filelen above DRM_QDA_MAX_SHELL_SIZE or the buffer, @siglen above @filelen,\n @attrs, @filefd), EFAULT (@file), EBADF (@filefd). Returns the DSP's result.\n After an error or a result other than 0 there is no process, and the call may\n be repeated."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_init_create {
    #[doc = " @filelen: In. Bytes of the shell with its signature; 0: no shell."]
    pub filelen: __u32,
    #[doc = " @filefd: In. Above 0: dma-buf with the shell, which may be closed when\n the call has returned. 0 or DRM_QDA_FD_NONE: @filelen bytes are copied\n from @file. Other negative numbers are refused."]
    pub filefd: __s32,
    #[doc = " @attrs: In. DRM_QDA_ATTR bits, usually DRM_QDA_ATTR_UNSIGNED."]
    pub attrs: __u32,
    #[doc = " @siglen: In. Bytes of the signature, which follows the ELF in the\n same memory and is counted in @filelen; 0: none."]
    pub siglen: __u32,
    #[doc = " @file: In. User address of the shell. With a dma-buf, the place of the\n shell in it follows from this address as from\n drm_qda_fastrpc_invoke_args.ptr."]
    pub file: __u64,
}
#[doc = " struct drm_qda_mem_map - map a buffer into the process on the DSP\n\n Argument of DRM_IOCTL_QDA_REMOTE_MAP, for mappings that outlast a call. A call\n does not need it: its arguments are mapped for the call.\n\n LEGACY gives the process memory, usually for its heap. The pages come from a\n dma-buf or, without one, from the kernel; those of the kernel are not visible\n to the CPU and count against the limit of the file. The mapping is known by\n its address on the DSP.\n\n ATTR makes a buffer known to code on the DSP under the number of its file\n descriptor, which this code gets in an argument and looks up. The mapping is\n known by number, address and size. The number may be closed or used for\n something else afterwards; the buffer stays what it was.\n\n The DSP can reach the whole buffer in either case. The buffer is held until\n REMOTE_MUNMAP or the end of the process, also when its handles and file\n descriptors are closed.\n\n The call waits for the DSP, but only for some seconds, and signals do not end\n the wait.\n\n Errors: ENOTCONN (no process), EBADF (@fd), EINVAL (@fd is no dma-buf or\n missing, @request, @flags, @pad, @vaddrin with pages of the kernel, @offset and\n @size outside the buffer or nothing), E2BIG and ENOSPC (limits of GEM_CREATE,\n for pages of the kernel), ETIMEDOUT (the memory stays with the DSP until the\n process ends). Returns the DSP's result."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_mem_map {
    #[doc = " @request: In. QDA_MAP_REQUEST_LEGACY or QDA_MAP_REQUEST_ATTR."]
    pub request: __u32,
    #[doc = " @flags: In. LEGACY: one of DRM_QDA_MMAP_BUFFER, _ADD_PAGES,\n _ADD_PAGES_LLC. ATTR: one of DRM_QDA_MAP_STATIC, _FD, _FD_DELAYED,\n _FD_NOMAP."]
    pub flags: __u32,
    #[doc = " @fd: In. dma-buf; with ATTR the DSP knows the mapping by this number.\n LEGACY with ADD_PAGES: 0 or a negative number lets the kernel allocate\n the pages. All others need a dma-buf."]
    pub fd: __s32,
    #[doc = " @attrs: In. Not used."]
    pub attrs: __u32,
    #[doc = " @offset: In. ATTR: first byte in the buffer, below 2 GiB, passed to\n the DSP. LEGACY: not used; the mapping begins with the buffer."]
    pub offset: __u32,
    #[doc = " @pad: In. Zero."]
    pub pad: __u32,
    #[doc = " @vaddrin: In. Address wanted on the DSP, a hint; 0: any, and the only\n choice for pages of the kernel."]
    pub vaddrin: __u64,
    #[doc = " @size: In. Bytes. LEGACY: rounded up to whole pages, not 0. ATTR: 0\n means up to the end of the buffer."]
    pub size: __u64,
    #[doc = " @vaddrout: Out. Address on the DSP, an opaque number for the host."]
    pub vaddrout: __u64,
}
#[doc = " struct drm_qda_mem_unmap - undo a drm_qda_mem_map\n\n Argument of DRM_IOCTL_QDA_REMOTE_MUNMAP. Takes only what the process of this\n file has mapped: LEGACY finds a mapping by @vaddrout and @size, ATTR by @fd,\n @vaddr and @size; size 0 fits any. The memory is free for other uses when the\n DSP has confirmed. With an error or a result other than 0 the mapping stays;\n after ETIMEDOUT it stays until the process ends. Fields that the request does\n not use may hold anything.\n\n Errors: ENOTCONN (no process), EINVAL (@request; no such mapping, then nothing\n is sent), ETIMEDOUT. Returns the DSP's result."]
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
    #[doc = " @size: In. Bytes, as given when mapping; 0: any."]
    pub size: __u64,
}
#[doc = " struct drm_qda_fastrpc_invoke_args - one argument of a call\n\n Buffers without a file descriptor, of at most DRM_QDA_MAX_INLINE_SIZE bytes in\n all, are copied in and out. Outputs are copied out also when the DSP's result\n is not 0. Buffers with a file descriptor are not copied."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_fastrpc_invoke_args {
    #[doc = " @ptr: In. Buffer: user address of the data. With a file descriptor it\n says where the data is in the dma-buf: if the calling process has a\n mapping at the address, it must be one of this dma-buf, not private\n and writable, and hold all of the data, and its offset counts; an\n address where nothing is mapped means the first byte of the dma-buf.\n Handle: first byte in the dma-buf, below 4 GiB."]
    pub ptr: __u64,
    #[doc = " @length: In. Bytes. Buffer: 0 is an empty argument, the other fields\n are not used. Handle: below 4 GiB."]
    pub length: __u64,
    #[doc = " @fd: In. Above 0: dma-buf. 0 or DRM_QDA_FD_NONE: a buffer is copied, a\n handle names no memory. Other negative numbers: EINVAL. The number of a\n handle goes to the DSP, and the dma-buf is held until the DSP has\n dropped the number or the process has ended."]
    pub fd: __s32,
    #[doc = " @attr: In. Read by no one; zero."]
    pub attr: __u32,
}
#[doc = " struct drm_qda_invoke_args - call a method on the DSP\n\n Argument of DRM_IOCTL_QDA_REMOTE_INVOKE. Waits without time limit until the\n DSP answers. Everyone who has the file may call, from any thread; calls of\n several threads run side by side.\n\n Errors: ENOTCONN (no process), EPERM (handles of the kernel), EFAULT (@args\n is 0 but @sc has arguments, or an address is bad), E2BIG (more inline bytes\n than DRM_QDA_MAX_INLINE_SIZE), EBADF (no such fd), EINVAL (an fd that is no\n dma-buf, a range that is not in it), ENOSPC (also: the DSP holds very many\n buffers of handles), EINTR, EPIPE. Returns the DSP's result."]
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
#[doc = " struct drm_qda_call_arg - one argument of a DRM_IOCTL_QDA_CALL\n\n Since version 1.1. Fields that the kind does not use are zero, otherwise the\n call fails with EINVAL.\n\n INLINE: @length bytes at @address are copied in or out; outputs are copied out\n also when the DSP's result is not 0. All inline arguments of a call together\n have at most DRM_QDA_MAX_INLINE_SIZE bytes.\n\n BUFFER: the DSP reads or writes @length bytes from @offset on in the object\n @handle.\n\n HANDLE: @offset, @length (both below 4 GiB) and @tag go to the DSP, whose code\n finds the object by its tag, in this call and later. The object is held until\n the DSP says that it dropped the tag, or the process ends, also when its handle\n is closed."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_call_arg {
    #[doc = " @address: In. INLINE: user address of the data."]
    pub address: __u64,
    #[doc = " @offset: In. BUFFER, HANDLE: first byte in the object."]
    pub offset: __u64,
    #[doc = " @length: In. Bytes. INLINE, BUFFER: 0 is an empty argument."]
    pub length: __u64,
    #[doc = " @kind: In. DRM_QDA_ARG_INLINE, _BUFFER or _HANDLE."]
    pub kind: __u32,
    #[doc = " @direction: In. DRM_QDA_ARG_IN or DRM_QDA_ARG_OUT."]
    pub direction: __u32,
    #[doc = " @handle: In. BUFFER, HANDLE: GEM handle of the object."]
    pub handle: __u32,
    #[doc = " @tag: In. HANDLE: number by which the DSP knows the object. Different\n objects of one process have different numbers."]
    pub tag: __s32,
    #[doc = " @flags: In. Zero."]
    pub flags: __u32,
    #[doc = " @pad: In. Zero."]
    pub pad: __u32,
}
#[doc = " struct drm_qda_call - call a method on the DSP\n\n Argument of DRM_IOCTL_QDA_CALL, since version 1.1. Everyone who has the file\n may call, from any thread; calls of several threads run side by side.\n\n The arguments come in this order: buffers (INLINE and BUFFER, mixed freely)\n that go in, buffers that come out, HANDLEs that go in, HANDLEs that come out;\n at most DRM_QDA_MAX_BUFS of each direction and DRM_QDA_MAX_HANDLES of each\n direction.\n\n Errors: ENOTCONN (no process), EPERM (handles of the kernel), EFAULT (an\n address is bad), ENOENT (no such GEM handle), EINVAL (a field that is not as\n described, the order, a range that is not in its object), E2BIG (more inline\n bytes than DRM_QDA_MAX_INLINE_SIZE; bytes that the kernel does not know are not\n zero), ETIMEDOUT (@deadline_ns passed), ENOSPC (also: the DSP holds very many\n buffers of handles), EINTR, EPIPE.\n\n After ETIMEDOUT and EINTR the DSP goes on with the call and may still write to\n its buffers, which stay mapped until it answers. After ETIMEDOUT the answer is\n dropped; nobody can take the call up."]
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct drm_qda_call {
    #[doc = " @args: In. User address of @arg_count elements, each beginning with a\n struct drm_qda_call_arg; 0 if there are none."]
    pub args: __u64,
    #[doc = " @deadline_ns: In. Time of CLOCK_MONOTONIC in nanoseconds up to which\n the call waits; 0: no limit. Nothing is sent after that time."]
    pub deadline_ns: __u64,
    #[doc = " @handle: In. What is called: DRM_QDA_HANDLE_REMOTECTL to load\n modules, or a handle that the loader gave."]
    pub handle: __u32,
    #[doc = " @method: In. Number of the method, 0..31, see DRM_QDA_SCALARS()."]
    pub method: __u32,
    #[doc = " @arg_count: In. Number of arguments, at most DRM_QDA_MAX_ARGS."]
    pub arg_count: __u32,
    #[doc = " @arg_stride: In. Bytes from one element to the next, usually\n sizeof(struct drm_qda_call_arg); a multiple of 8 from\n DRM_QDA_MIN_ARG_STRIDE to DRM_QDA_MAX_ARG_STRIDE, also without\n arguments. Later versions may add fields to an element; bytes behind\n the ones that the kernel knows must be zero."]
    pub arg_stride: __u32,
    #[doc = " @flags: In. Zero."]
    pub flags: __u32,
    #[doc = " @result: Out. The DSP's result, all 32 bits of it; means nothing when\n the ioctl failed."]
    pub result: __u32,
}
