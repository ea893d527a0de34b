/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * User interface of qda, the DRM accel driver for Qualcomm DSPs (FastRPC).
 *
 * This file is the contract between the driver and its clients. It owns the
 * numbers and layouts; the Rust mirror for user space is generated from it and
 * compared with it by a test. It includes nothing but the DRM base header, so
 * that C, C++ and binding generators can read it.
 */
#ifndef __QDA_ACCEL_H__
#define __QDA_ACCEL_H__

#include <drm/drm.h>

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: Overview
 *
 * Each DSP has one node, ``/dev/accel/accelN``. The number N carries no
 * meaning: a client opens the nodes one after the other, checks that VERSION
 * names the driver "qda", and asks DRM_IOCTL_QDA_QUERY for the DSP's name.
 *
 * An open file is one client of that DSP. It has at most one process on the
 * DSP, which DRM_IOCTL_QDA_REMOTE_SESSION_CREATE starts (a new process) or
 * DRM_IOCTL_QDA_INIT_ATTACH joins (the DSP's root process). The driver binds a
 * context bank, that is an address space of the IOMMU, at that moment and not
 * at open(). After that DRM_IOCTL_QDA_REMOTE_INVOKE calls methods of modules
 * on the DSP, from as many threads as the client likes. Closing the file ends
 * the process. The file may be inherited or passed on; process, bank and
 * memory stay with it. Addresses and file descriptors in a call always belong
 * to the calling process.
 *
 * All calls are blocking; O_NONBLOCK and the access mode of open() are ignored.
 *
 * New programs call methods with DRM_IOCTL_QDA_CALL, which names buffers by GEM
 * handle. DRM_IOCTL_QDA_REMOTE_INVOKE does the same for programs that know
 * dma-buf file descriptors and user addresses.
 */

/**
 * DOC: Buffers
 *
 * A buffer is memory that CPU and DSP share without copying:
 *
 * - DRM_IOCTL_QDA_GEM_CREATE makes one. Its memory is ordinary memory of the
 *   system: it is charged to the memory cgroup of the thread that touches a page
 *   first, may be swapped out while no DSP has it mapped, and is zero at first.
 * - PRIME_FD_TO_HANDLE imports a dma-buf of any other driver. A dma-buf that
 *   this node exported itself gives the very object.
 * - PRIME_HANDLE_TO_FD exports a buffer; every device can attach to it.
 * - GEM_CLOSE gives a handle back. The memory lives on as long as a mapping, an
 *   export, a call or the DSP uses it.
 *
 * Nothing of a buffer is visible to a DSP until a call, a shell or REMOTE_MAP of
 * a process names it. Then the whole buffer is mapped into the context bank of
 * that process, and only there; it stays mapped, so that the next use costs
 * nothing, until the buffer is gone or the process has ended. The DSP sees the
 * pages of the buffer and nothing else of the host's memory. A buffer that two
 * processes use is mapped once for each. An imported buffer must be contiguous in
 * the address space of the bank, otherwise its use fails with EINVAL.
 *
 * The first use of a buffer may fail with ENOMEM: no memory, or no room left in
 * the address space of the context bank, which most DSPs limit to 4 GiB.
 */

/**
 * DOC: What is copied
 *
 * An inline argument (INVOKE without a file descriptor, CALL with
 * DRM_QDA_ARG_INLINE) is copied by the kernel, in before the DSP is told and out
 * after it answered. An argument in a buffer is never copied: the DSP works on
 * the pages of the buffer. "qda-bytes-copied" in /proc/PID/fdinfo counts the
 * bytes of inline arguments that were copied for this file.
 *
 * A call needs no REMOTE_MAP: without it, its buffers are known to the DSP for
 * the time of the call. The DSP's address of a buffer may differ from call to
 * call. REMOTE_MAP is for memory that the DSP uses between calls.
 */

/**
 * DOC: Cache rules
 *
 * The DSP and the CPU use a buffer in turns: while a call that names a range is
 * under way, the CPU does not touch this range, and the DSP does not touch it
 * before and after.
 *
 * - Buffers of GEM_CREATE as arguments of a call: the driver does what the caches
 *   need, for the range of the argument. On DSPs that see the caches of the CPU
 *   this is nothing.
 * - Imported buffers: their exporter owns the caches. On DSPs that do not see the
 *   caches of the CPU, every access of the CPU between two calls is enclosed in
 *   DMA_BUF_IOCTL_SYNC (START and END) of the dma-buf.
 * - Buffers that the DSP uses between calls, with DRM_QDA_MAP_FD or by the tag of
 *   a handle argument: the driver does not know when. The CPU's accesses are
 *   enclosed in DMA_BUF_IOCTL_SYNC on an export of the buffer, and CPU and DSP
 *   agree on whose turn it is.
 *
 * A program that always encloses its accesses in DMA_BUF_IOCTL_SYNC is right with
 * every buffer on every DSP.
 */

/**
 * DOC: Who may do what
 *
 * An open file is trusted if its opener had CAP_SYS_ADMIN, in the initial user
 * namespace, at open(); on a DSP whose device-tree node says
 * "qcom,non-secure-domain", every file is. Trust stays with the file: a daemon
 * may open it, drop its privileges and go on, and a program that is given the
 * file is given the trust.
 *
 * A file that is not trusted may
 *
 * - start unsigned processes (DRM_QDA_ATTR_UNSIGNED) on DSPs that have them,
 *   "cdsp..." and "gdsp...", with DRM_QDA_ATTR_ADAPTIVE_QOS but no other
 *   attribute;
 * - call all handles and map all buffers in this process, and make buffers.
 *
 * It needs trust to start any other process (else ECONNREFUSED), for other
 * attributes (EACCES), and for INIT_ATTACH (EACCES). Nobody may call the handles
 * DRM_QDA_HANDLE_KERNEL and DRM_QDA_HANDLE_UTILITIES (EPERM). A refused call
 * sends nothing to the DSP and leaves the file as it was.
 *
 * Who can open the node at all is decided by its owner, group and mode.
 */

/**
 * DOC: When the DSP is gone
 *
 * When a DSP crashed, was restarted or its driver was unbound, it can no longer
 * reach any memory of the client. Mappings of mmap() and exported dma-bufs stay
 * usable by the CPU with the contents that they have. Every ioctl of the open
 * node fails with ENODEV; the handles end with close().
 */

/**
 * DOC: Return values
 *
 * Errors of the kernel arrive as -1 with errno, as usual. Calls that run code
 * on the DSP (INIT_ATTACH, REMOTE_SESSION_CREATE, REMOTE_MAP, REMOTE_MUNMAP,
 * REMOTE_INVOKE) return the DSP's 32-bit result as the value of ioctl(). CALL
 * returns 0 or an error of the kernel, and gives the result in a field:
 *
 * - 0 is success;
 * - results of the DSP have the base DRM_QDA_RESULT_BASE (0x80000400), for
 *   example 0x8000040D, and reach the caller of ioctl() as a negative int
 *   below -4095, which the C library hands out unchanged;
 * - a small positive value is a result without base;
 * - a result of -4095..-1 cannot be told from an errno, except with CALL.
 *
 * Errors that every call may give:
 *
 * - ENODEV: the DSP is gone (crashed, restarted or unbound); close the file;
 * - EINVAL: a number that is not registered, a pad that is not zero;
 * - EFAULT: an address that cannot be read or written;
 * - EINTR: a signal arrived while the call waited, and its handler was set up
 *   without SA_RESTART (see below);
 * - ENOMEM: no memory, or no addresses left in the context bank.
 *
 * Calls that send something to the DSP may also give EPIPE (the DSP is going
 * away, or went away while the call waited), ENOSPC (the file has its share of
 * the 240 calls that a DSP has under way at once, or more than the parameter
 * "max_calls" of the module allows), ETIMEDOUT (the DSP did not answer a request that the driver makes
 * for the client; REMOTE_INVOKE itself has no time limit, CALL has the one that
 * the caller sets) and errors of the transport below the driver.
 */

/**
 * DOC: Signals
 *
 * REMOTE_INVOKE and CALL wait for the DSP, and a signal ends the wait. It neither
 * loses nor repeats the remote call, which goes on. The same thread that makes
 * the same call on the same file again takes it up: it waits on, and gets the
 * result and the outputs. The kernel does so by itself when no handler ran, or one
 * that was set up with SA_RESTART; after EINTR a program may do it.
 *
 * It is the same call if all fields, the argument elements, and the bytes of the
 * inline inputs are the same (of buffers, only the range counts). Any other call
 * is a new one, of a signal handler for example. An answer that nobody takes up
 * is kept until the thread ends, or has left four of them behind. Other calls that
 * send something wait for a bounded time, and signals do not end it.
 *
 * What CALL knows as @deadline_ns is a point in time, so it holds across signals.
 */

/**
 * DOC: Rules for extensions
 *
 * - Numbers, layouts and meanings that are published here never change.
 *   Something new gets a new number (from 0x09 on) or a new flag.
 * - A structure may grow at its end. The kernel reads missing bytes as zero,
 *   so a new field means with zero what the call did before.
 * - 64-bit fields come first or are aligned by explicit padding; a structure
 *   has the same layout for 32-bit and 64-bit callers.
 * - Fields named pad are zero on input, otherwise the call fails with EINVAL.
 * - A flag or process attribute that the driver does not know is refused.
 * - New calls carry the DSP's result in a field and return only 0 or an errno.
 * - Every addition raises DRM_QDA_VERSION_MINOR and is noted below. A client
 *   reads the version of the running driver with the generic VERSION ioctl.
 *
 * The numbers and layouts of 0x00..0x07 are those of version 1 of the QDA
 * patch series for the mainline kernel, whose clients run unchanged. Number
 * 0x03 comes from the request for comments before it.
 */

/**
 * DOC: Versions
 *
 * 1.0:
 *   QUERY, INIT_ATTACH, REMOTE_SESSION_CREATE (no shell, or shell in user
 *   memory) and REMOTE_INVOKE with inline arguments.
 * 1.1:
 *   Buffers: GEM_CREATE, GEM_MMAP_OFFSET, PRIME, REMOTE_MAP and REMOTE_MUNMAP;
 *   file descriptors and handle arguments in REMOTE_SESSION_CREATE and
 *   REMOTE_INVOKE; CALL. In 1.0 the first group failed with EINVAL and the second
 *   with EOPNOTSUPP.
 */
#define DRM_QDA_VERSION_MAJOR		1
#define DRM_QDA_VERSION_MINOR		1

/* Driver-specific numbers; the ioctl number is DRM_COMMAND_BASE plus these. */
#define DRM_QDA_QUERY			0x00
#define DRM_QDA_GEM_CREATE		0x01
#define DRM_QDA_GEM_MMAP_OFFSET		0x02
#define DRM_QDA_INIT_ATTACH		0x03
#define DRM_QDA_REMOTE_SESSION_CREATE	0x04
#define DRM_QDA_REMOTE_MAP		0x05
#define DRM_QDA_REMOTE_MUNMAP		0x06
#define DRM_QDA_REMOTE_INVOKE		0x07
#define DRM_QDA_CALL			0x08

/* Bytes of a DSP name in struct drm_qda_query, with its final NUL. */
#define DRM_QDA_DSP_NAME_LEN		16

/* Limits: bytes of a shell, inline bytes of one call, arguments of one call. */
#define DRM_QDA_MAX_SHELL_SIZE		0x400000
#define DRM_QDA_MAX_INLINE_SIZE		0x4000000
#define DRM_QDA_MAX_ARGS		540

/* Limits: input or output buffers, input or output handles of one call. */
#define DRM_QDA_MAX_BUFS		255
#define DRM_QDA_MAX_HANDLES		15

/* Limits of drm_qda_call.arg_stride in bytes; it is a multiple of 8. */
#define DRM_QDA_MIN_ARG_STRIDE		48
#define DRM_QDA_MAX_ARG_STRIDE		512

/* Value of an fd field that means: no buffer, the data is at the address. */
#define DRM_QDA_FD_NONE			(-1)

/* Remote handles: two of the kernel's, and the module loader (remotectl). */
#define DRM_QDA_HANDLE_REMOTECTL0	0
#define DRM_QDA_HANDLE_KERNEL		1
#define DRM_QDA_HANDLE_UTILITIES	2
#define DRM_QDA_HANDLE_REMOTECTL	8

/* Results of the DSP; the complete table is part of the DSP's documentation. */
#define DRM_QDA_RESULT_BASE		0x80000400U
#define DRM_QDA_RESULT_BAD_STATE	0x8000040DU
#define DRM_QDA_RESULT_UNSUPPORTED	0x80000414U

/*
 * Attributes of a process, bits of drm_qda_init_create.attrs:
 * DEBUG: a debugger may attach;
 * PTRACE: the process is traced;
 * UNSIGNED: the files of the process are not signed;
 * ADAPTIVE_QOS: the DSP adapts its power level to the load;
 * SYSTEM: a system process;
 * PRIVILEGED: a process with rights of its own on the DSP.
 *
 * The DSP's firmware knows further bits of 0x00ffffff and the bit 0x40000000;
 * the driver passes them on. All but UNSIGNED and ADAPTIVE_QOS need a trusted
 * file. Bits that nobody knows fail with EINVAL, and so do 0x4 (CRC
 * lists) and 0x400 (DSP performance counters), with which the DSP would write to
 * memory that the driver does not provide.
 */
#define DRM_QDA_ATTR_DEBUG		0x00000001U
#define DRM_QDA_ATTR_PTRACE		0x00000002U
#define DRM_QDA_ATTR_UNSIGNED		0x00000008U
#define DRM_QDA_ATTR_ADAPTIVE_QOS	0x00000010U
#define DRM_QDA_ATTR_SYSTEM		0x00000020U
#define DRM_QDA_ATTR_PRIVILEGED		0x00000040U

/* Kinds of mapping, drm_qda_mem_map.request and drm_qda_mem_unmap.request. */
#define QDA_MAP_REQUEST_LEGACY		1
#define QDA_MAP_REQUEST_ATTR		2
#define QDA_MUNMAP_REQUEST_LEGACY	1
#define QDA_MUNMAP_REQUEST_ATTR		2

/*
 * drm_qda_mem_map.flags with QDA_MAP_REQUEST_LEGACY:
 * BUFFER: the pages of a dma-buf become memory of the process;
 * ADD_PAGES: the pages are added to the heap of the process;
 * ADD_PAGES_LLC: as ADD_PAGES, for the heap in the last level cache.
 */
#define DRM_QDA_MMAP_BUFFER		0x6
#define DRM_QDA_MMAP_ADD_PAGES		0x1000
#define DRM_QDA_MMAP_ADD_PAGES_LLC	0x3000

/*
 * drm_qda_mem_map.flags with QDA_MAP_REQUEST_ATTR:
 * STATIC: mapped now and at the same place in later calls, caches handled by the
 * driver for the arguments of calls;
 * FD: mapped now, found by DSP code through its fd, caches handled by the user;
 * FD_DELAYED: as FD, but mapped when DSP code asks for it;
 * FD_NOMAP: as FD_DELAYED, without a mapping on the CPU.
 */
#define DRM_QDA_MAP_STATIC		0
#define DRM_QDA_MAP_FD			2
#define DRM_QDA_MAP_FD_DELAYED		3
#define DRM_QDA_MAP_FD_NOMAP		16

/*
 * drm_qda_call_arg.kind:
 * INLINE: data in user memory, copied;
 * BUFFER: data in a buffer object, not copied;
 * HANDLE: a part of a buffer object that is handed to the DSP by number.
 */
#define DRM_QDA_ARG_INLINE		0
#define DRM_QDA_ARG_BUFFER		1
#define DRM_QDA_ARG_HANDLE		2

/* drm_qda_call_arg.direction: IN: the DSP reads it; OUT: the DSP writes it. */
#define DRM_QDA_ARG_IN			0
#define DRM_QDA_ARG_OUT			1

/**
 * DOC: Scalars
 *
 * The scalars word of a call says which method is called and how many
 * arguments follow. From the highest bit: 3 bits attributes (0), 5 bits
 * method, 8 bits number of input buffers, 8 bits number of output buffers,
 * 4 bits number of input handles, 4 bits number of output handles. Arguments
 * follow in this order. A method number of 31 says that the first u32 of the
 * first input buffer is the number.
 *
 * DRM_QDA_SCALARS() builds the word; parts that do not fit are cut off. The
 * other macros take it apart again.
 */
#define DRM_QDA_SCALARS(method, in_bufs, out_bufs, in_handles, out_handles) \
	((((__u32)(method) & 0x1fU) << 24) | \
	 (((__u32)(in_bufs) & 0xffU) << 16) | \
	 (((__u32)(out_bufs) & 0xffU) << 8) | \
	 (((__u32)(in_handles) & 0xfU) << 4) | \
	 ((__u32)(out_handles) & 0xfU))
#define DRM_QDA_SCALARS_METHOD(sc)	(((__u32)(sc) >> 24) & 0x1fU)
#define DRM_QDA_SCALARS_IN_BUFS(sc)	(((__u32)(sc) >> 16) & 0xffU)
#define DRM_QDA_SCALARS_OUT_BUFS(sc)	(((__u32)(sc) >> 8) & 0xffU)
#define DRM_QDA_SCALARS_IN_HANDLES(sc)	(((__u32)(sc) >> 4) & 0xfU)
#define DRM_QDA_SCALARS_OUT_HANDLES(sc)	((__u32)(sc) & 0xfU)
#define DRM_QDA_SCALARS_ARGS(sc) \
	(DRM_QDA_SCALARS_IN_BUFS(sc) + DRM_QDA_SCALARS_OUT_BUFS(sc) + \
	 DRM_QDA_SCALARS_IN_HANDLES(sc) + DRM_QDA_SCALARS_OUT_HANDLES(sc))

/**
 * struct drm_qda_query - name of the DSP behind a node
 *
 * Argument of DRM_IOCTL_QDA_QUERY. Sends nothing to the DSP. Anyone who can
 * open the node may ask. No errors of its own.
 */
struct drm_qda_query {
	/**
	 * @dsp_name: Out. NUL-terminated label of the device tree: "adsp",
	 * "mdsp", "sdsp", "cdsp", "cdsp1", "gdsp0", "gdsp1" and so on. The
	 * bytes behind the NUL are zero.
	 */
	__u8 dsp_name[DRM_QDA_DSP_NAME_LEN];
};

/**
 * struct drm_qda_gem_create - allocate a buffer object
 *
 * Argument of DRM_IOCTL_QDA_GEM_CREATE. Sends nothing to the DSP and needs no
 * process. Everyone who has the file may call. Pages are found on first use, huge
 * ones where the kernel has them.
 *
 * Errors: EINVAL (size 0, pad), E2BIG (more than the limit of one object), ENOSPC
 * (more than the limits of one file or of the DSP), ENOMEM. The administrator sets
 * the limits as parameters of the module: "max_buffer_mib" (16384 if not given),
 * "max_file_mib" (65536), "max_file_buffers" (65536 objects), "max_dsp_mib" (262144,
 * all files together).
 */
struct drm_qda_gem_create {
	/** @size: In. Bytes; rounded up to whole pages; not 0. */
	__u64 size;
	/** @handle: Out. GEM handle of the object, not 0. */
	__u32 handle;
	/** @pad: In. Zero. */
	__u32 pad;
};

/**
 * struct drm_qda_gem_mmap_offset - where to mmap() a buffer object
 *
 * Argument of DRM_IOCTL_QDA_GEM_MMAP_OFFSET. Only for objects that GEM_CREATE
 * made; an imported buffer is mapped through its own file descriptor. A mapping
 * may cover the object or a part of it that begins on a page, and outlives
 * handle, file and DSP.
 *
 * Errors: ENOENT (no such handle), EINVAL (imported object, pad).
 */
struct drm_qda_gem_mmap_offset {
	/** @offset: Out. Offset in bytes for mmap() of this node. */
	__u64 offset;
	/** @handle: In. GEM handle. */
	__u32 handle;
	/** @pad: In. Zero. */
	__u32 pad;
};

/**
 * struct drm_qda_init_create - start a process on the DSP
 *
 * Argument of DRM_IOCTL_QDA_REMOTE_SESSION_CREATE. The process is named after
 * the calling thread. It lives until the file is closed; it has its own
 * context bank and sees no memory of other clients.
 *
 * The shell is the program that the process starts with. With @filelen 0 there
 * is none, and @filefd and @file are ignored.
 *
 * Who may call: everyone who can open the node, for an unsigned process with
 * ordinary attributes on a DSP that has such processes; all else needs a trusted
 * file, see "Who may do what". The DSP then decides for itself.
 *
 * Errors: ECONNREFUSED (the file is not trusted, and @attrs lacks
 * DRM_QDA_ATTR_UNSIGNED or the DSP has no unsigned processes), EACCES (the file
 * is not trusted with @attrs), EEXIST (the file has a process), EBUSY (no free
 * context bank), EINVAL
 * (@filelen above DRM_QDA_MAX_SHELL_SIZE or the buffer, @siglen above @filelen,
 * @attrs, @filefd), EFAULT (@file), EBADF (@filefd). Returns the DSP's result.
 * After an error or a result other than 0 there is no process, and the call may
 * be repeated.
 */
struct drm_qda_init_create {
	/** @filelen: In. Bytes of the shell with its signature; 0: no shell. */
	__u32 filelen;
	/**
	 * @filefd: In. Above 0: dma-buf with the shell, which may be closed when
	 * the call has returned. 0 or DRM_QDA_FD_NONE: @filelen bytes are copied
	 * from @file. Other negative numbers are refused.
	 */
	__s32 filefd;
	/** @attrs: In. DRM_QDA_ATTR bits, usually DRM_QDA_ATTR_UNSIGNED. */
	__u32 attrs;
	/**
	 * @siglen: In. Bytes of the signature, which follows the ELF in the
	 * same memory and is counted in @filelen; 0: none.
	 */
	__u32 siglen;
	/**
	 * @file: In. User address of the shell. With a dma-buf, the place of the
	 * shell in it follows from this address as from
	 * drm_qda_fastrpc_invoke_args.ptr.
	 */
	__u64 file;
};

/**
 * struct drm_qda_mem_map - map a buffer into the process on the DSP
 *
 * Argument of DRM_IOCTL_QDA_REMOTE_MAP, for mappings that outlast a call. A call
 * does not need it: its arguments are mapped for the call.
 *
 * LEGACY gives the process memory, usually for its heap. The pages come from a
 * dma-buf or, without one, from the kernel; those of the kernel are not visible
 * to the CPU and count against the limit of the file. The mapping is known by
 * its address on the DSP.
 *
 * ATTR makes a buffer known to code on the DSP under the number of its file
 * descriptor, which this code gets in an argument and looks up. The mapping is
 * known by number, address and size. The number may be closed or used for
 * something else afterwards; the buffer stays what it was.
 *
 * The DSP can reach the whole buffer in either case. The buffer is held until
 * REMOTE_MUNMAP or the end of the process, also when its handles and file
 * descriptors are closed.
 *
 * The call waits for the DSP, but only for some seconds, and signals do not end
 * the wait.
 *
 * Errors: ENOTCONN (no process), EBADF (@fd), EINVAL (@fd is no dma-buf or
 * missing, @request, @flags, @pad, @vaddrin with pages of the kernel, @offset and
 * @size outside the buffer or nothing), E2BIG and ENOSPC (limits of GEM_CREATE,
 * for pages of the kernel), ETIMEDOUT (the memory stays with the DSP until the
 * process ends). Returns the DSP's result.
 */
struct drm_qda_mem_map {
	/** @request: In. QDA_MAP_REQUEST_LEGACY or QDA_MAP_REQUEST_ATTR. */
	__u32 request;
	/**
	 * @flags: In. LEGACY: one of DRM_QDA_MMAP_BUFFER, _ADD_PAGES,
	 * _ADD_PAGES_LLC. ATTR: one of DRM_QDA_MAP_STATIC, _FD, _FD_DELAYED,
	 * _FD_NOMAP.
	 */
	__u32 flags;
	/**
	 * @fd: In. dma-buf; with ATTR the DSP knows the mapping by this number.
	 * LEGACY with ADD_PAGES: 0 or a negative number lets the kernel allocate
	 * the pages. All others need a dma-buf.
	 */
	__s32 fd;
	/** @attrs: In. Not used. */
	__u32 attrs;
	/**
	 * @offset: In. ATTR: first byte in the buffer, below 2 GiB, passed to
	 * the DSP. LEGACY: not used; the mapping begins with the buffer.
	 */
	__u32 offset;
	/** @pad: In. Zero. */
	__u32 pad;
	/**
	 * @vaddrin: In. Address wanted on the DSP, a hint; 0: any, and the only
	 * choice for pages of the kernel.
	 */
	__u64 vaddrin;
	/**
	 * @size: In. Bytes. LEGACY: rounded up to whole pages, not 0. ATTR: 0
	 * means up to the end of the buffer.
	 */
	__u64 size;
	/** @vaddrout: Out. Address on the DSP, an opaque number for the host. */
	__u64 vaddrout;
};

/**
 * struct drm_qda_mem_unmap - undo a drm_qda_mem_map
 *
 * Argument of DRM_IOCTL_QDA_REMOTE_MUNMAP. Takes only what the process of this
 * file has mapped: LEGACY finds a mapping by @vaddrout and @size, ATTR by @fd,
 * @vaddr and @size; size 0 fits any. The memory is free for other uses when the
 * DSP has confirmed. With an error or a result other than 0 the mapping stays;
 * after ETIMEDOUT it stays until the process ends. Fields that the request does
 * not use may hold anything.
 *
 * Errors: ENOTCONN (no process), EINVAL (@request; no such mapping, then nothing
 * is sent), ETIMEDOUT. Returns the DSP's result.
 */
struct drm_qda_mem_unmap {
	/** @request: In. QDA_MUNMAP_REQUEST_LEGACY or QDA_MUNMAP_REQUEST_ATTR. */
	__u32 request;
	/** @fd: In. ATTR: the number given when mapping. */
	__s32 fd;
	/** @vaddr: In. ATTR: address on the DSP. */
	__u64 vaddr;
	/** @vaddrout: In. LEGACY: address on the DSP. */
	__u64 vaddrout;
	/** @size: In. Bytes, as given when mapping; 0: any. */
	__u64 size;
};

/**
 * struct drm_qda_fastrpc_invoke_args - one argument of a call
 *
 * Buffers without a file descriptor, of at most DRM_QDA_MAX_INLINE_SIZE bytes in
 * all, are copied in and out. Outputs are copied out also when the DSP's result
 * is not 0. Buffers with a file descriptor are not copied.
 */
struct drm_qda_fastrpc_invoke_args {
	/**
	 * @ptr: In. Buffer: user address of the data. With a file descriptor it
	 * says where the data is in the dma-buf: if the calling process has a
	 * mapping at the address, it must be one of this dma-buf, not private
	 * and writable, and hold all of the data, and its offset counts; an
	 * address where nothing is mapped means the first byte of the dma-buf.
	 * Handle: first byte in the dma-buf, below 4 GiB.
	 */
	__u64 ptr;
	/**
	 * @length: In. Bytes. Buffer: 0 is an empty argument, the other fields
	 * are not used. Handle: below 4 GiB.
	 */
	__u64 length;
	/**
	 * @fd: In. Above 0: dma-buf. 0 or DRM_QDA_FD_NONE: a buffer is copied, a
	 * handle names no memory. Other negative numbers: EINVAL. The number of a
	 * handle goes to the DSP, and the dma-buf is held until the DSP has
	 * dropped the number or the process has ended.
	 */
	__s32 fd;
	/** @attr: In. Read by no one; zero. */
	__u32 attr;
};

/**
 * struct drm_qda_invoke_args - call a method on the DSP
 *
 * Argument of DRM_IOCTL_QDA_REMOTE_INVOKE. Waits without time limit until the
 * DSP answers. Everyone who has the file may call, from any thread; calls of
 * several threads run side by side.
 *
 * Errors: ENOTCONN (no process), EPERM (handles of the kernel), EFAULT (@args
 * is 0 but @sc has arguments, or an address is bad), E2BIG (more inline bytes
 * than DRM_QDA_MAX_INLINE_SIZE), EBADF (no such fd), EINVAL (an fd that is no
 * dma-buf, a range that is not in it), ENOSPC (also: the DSP holds very many
 * buffers of handles), EINTR, EPIPE. Returns the DSP's result.
 */
struct drm_qda_invoke_args {
	/**
	 * @handle: In. What is called: DRM_QDA_HANDLE_REMOTECTL to load
	 * modules, or a handle that the loader gave.
	 */
	__u32 handle;
	/** @sc: In. Scalars word, see DRM_QDA_SCALARS(). */
	__u32 sc;
	/**
	 * @args: In. User address of an array of struct
	 * drm_qda_fastrpc_invoke_args with DRM_QDA_SCALARS_ARGS(@sc) elements;
	 * 0 if there are none.
	 */
	__u64 args;
};

/**
 * struct drm_qda_call_arg - one argument of a DRM_IOCTL_QDA_CALL
 *
 * Since version 1.1. Fields that the kind does not use are zero, otherwise the
 * call fails with EINVAL.
 *
 * INLINE: @length bytes at @address are copied in or out; outputs are copied out
 * also when the DSP's result is not 0. All inline arguments of a call together
 * have at most DRM_QDA_MAX_INLINE_SIZE bytes.
 *
 * BUFFER: the DSP reads or writes @length bytes from @offset on in the object
 * @handle.
 *
 * HANDLE: @offset, @length (both below 4 GiB) and @tag go to the DSP, whose code
 * finds the object by its tag, in this call and later. The object is held until
 * the DSP says that it dropped the tag, or the process ends, also when its handle
 * is closed.
 */
struct drm_qda_call_arg {
	/** @address: In. INLINE: user address of the data. */
	__u64 address;
	/** @offset: In. BUFFER, HANDLE: first byte in the object. */
	__u64 offset;
	/** @length: In. Bytes. INLINE, BUFFER: 0 is an empty argument. */
	__u64 length;
	/** @kind: In. DRM_QDA_ARG_INLINE, _BUFFER or _HANDLE. */
	__u32 kind;
	/** @direction: In. DRM_QDA_ARG_IN or DRM_QDA_ARG_OUT. */
	__u32 direction;
	/** @handle: In. BUFFER, HANDLE: GEM handle of the object. */
	__u32 handle;
	/**
	 * @tag: In. HANDLE: number by which the DSP knows the object. Different
	 * objects of one process have different numbers.
	 */
	__s32 tag;
	/** @flags: In. Zero. */
	__u32 flags;
	/** @pad: In. Zero. */
	__u32 pad;
};

/**
 * struct drm_qda_call - call a method on the DSP
 *
 * Argument of DRM_IOCTL_QDA_CALL, since version 1.1. Everyone who has the file
 * may call, from any thread; calls of several threads run side by side.
 *
 * The arguments come in this order: buffers (INLINE and BUFFER, mixed freely)
 * that go in, buffers that come out, HANDLEs that go in, HANDLEs that come out;
 * at most DRM_QDA_MAX_BUFS of each direction and DRM_QDA_MAX_HANDLES of each
 * direction.
 *
 * Errors: ENOTCONN (no process), EPERM (handles of the kernel), EFAULT (an
 * address is bad), ENOENT (no such GEM handle), EINVAL (a field that is not as
 * described, the order, a range that is not in its object), E2BIG (more inline
 * bytes than DRM_QDA_MAX_INLINE_SIZE; bytes that the kernel does not know are not
 * zero), ETIMEDOUT (@deadline_ns passed), ENOSPC (also: the DSP holds very many
 * buffers of handles), EINTR, EPIPE.
 *
 * After ETIMEDOUT and EINTR the DSP goes on with the call and may still write to
 * its buffers, which stay mapped until it answers. After ETIMEDOUT the answer is
 * dropped; nobody can take the call up.
 */
struct drm_qda_call {
	/**
	 * @args: In. User address of @arg_count elements, each beginning with a
	 * struct drm_qda_call_arg; 0 if there are none.
	 */
	__u64 args;
	/**
	 * @deadline_ns: In. Time of CLOCK_MONOTONIC in nanoseconds up to which
	 * the call waits; 0: no limit. Nothing is sent after that time.
	 */
	__u64 deadline_ns;
	/**
	 * @handle: In. What is called: DRM_QDA_HANDLE_REMOTECTL to load
	 * modules, or a handle that the loader gave.
	 */
	__u32 handle;
	/** @method: In. Number of the method, 0..31, see DRM_QDA_SCALARS(). */
	__u32 method;
	/** @arg_count: In. Number of arguments, at most DRM_QDA_MAX_ARGS. */
	__u32 arg_count;
	/**
	 * @arg_stride: In. Bytes from one element to the next, usually
	 * sizeof(struct drm_qda_call_arg); a multiple of 8 from
	 * DRM_QDA_MIN_ARG_STRIDE to DRM_QDA_MAX_ARG_STRIDE, also without
	 * arguments. Later versions may add fields to an element; bytes behind
	 * the ones that the kernel knows must be zero.
	 */
	__u32 arg_stride;
	/** @flags: In. Zero. */
	__u32 flags;
	/**
	 * @result: Out. The DSP's result, all 32 bits of it; means nothing when
	 * the ioctl failed.
	 */
	__u32 result;
};

/**
 * define DRM_IOCTL_QDA_QUERY - ask for the DSP's name, struct drm_qda_query
 */
#define DRM_IOCTL_QDA_QUERY \
	DRM_IOR(DRM_COMMAND_BASE + DRM_QDA_QUERY, struct drm_qda_query)

/**
 * define DRM_IOCTL_QDA_GEM_CREATE - allocate, struct drm_qda_gem_create
 */
#define DRM_IOCTL_QDA_GEM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_GEM_CREATE, struct drm_qda_gem_create)

/**
 * define DRM_IOCTL_QDA_GEM_MMAP_OFFSET - struct drm_qda_gem_mmap_offset
 */
#define DRM_IOCTL_QDA_GEM_MMAP_OFFSET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_GEM_MMAP_OFFSET, struct drm_qda_gem_mmap_offset)

/**
 * define DRM_IOCTL_QDA_INIT_ATTACH - join the DSP's root process, no argument
 *
 * The file becomes a client of the process that runs on the DSP from its boot,
 * as daemons need it. Who may call: the file must have been opened with
 * CAP_SYS_ADMIN; the thread that calls does not need it. A DSP whose device
 * tree node says qcom,non-secure-domain lets everybody attach.
 *
 * Errors: EACCES (opened without the capability), EEXIST (the file has a
 * process), EBUSY (no free context bank). Returns the DSP's result.
 */
#define DRM_IOCTL_QDA_INIT_ATTACH \
	DRM_IO(DRM_COMMAND_BASE + DRM_QDA_INIT_ATTACH)

/**
 * define DRM_IOCTL_QDA_REMOTE_SESSION_CREATE - struct drm_qda_init_create
 */
#define DRM_IOCTL_QDA_REMOTE_SESSION_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_REMOTE_SESSION_CREATE, struct drm_qda_init_create)

/**
 * define DRM_IOCTL_QDA_REMOTE_MAP - struct drm_qda_mem_map
 */
#define DRM_IOCTL_QDA_REMOTE_MAP \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_REMOTE_MAP, struct drm_qda_mem_map)

/**
 * define DRM_IOCTL_QDA_REMOTE_MUNMAP - struct drm_qda_mem_unmap
 */
#define DRM_IOCTL_QDA_REMOTE_MUNMAP \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_REMOTE_MUNMAP, struct drm_qda_mem_unmap)

/**
 * define DRM_IOCTL_QDA_REMOTE_INVOKE - struct drm_qda_invoke_args
 */
#define DRM_IOCTL_QDA_REMOTE_INVOKE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_REMOTE_INVOKE, struct drm_qda_invoke_args)

/**
 * define DRM_IOCTL_QDA_CALL - call with buffers by handle, struct drm_qda_call
 */
#define DRM_IOCTL_QDA_CALL \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_QDA_CALL, struct drm_qda_call)

#if defined(__cplusplus)
}
#endif

#endif /* __QDA_ACCEL_H__ */
