// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The numbers with their likely causes.
//!
//! Sources: the header `qda_accel.h` for the driver's errors; the wire protocol
//! (sections 14 and 15) and the observed behaviour of firmware for the DSP's;
//! the table of the FastRPC library's numbers for errors of the kernel.

/// A number with what is known of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    /// The likeliest first; each says what to do, if something can be done.
    pub(super) causes: &'static [&'static str],
}

const fn entry(
    number: u32,
    name: &'static str,
    meaning: &'static str,
    causes: &'static [&'static str],
) -> Entry {
    Entry {
        number,
        name,
        meaning,
        causes,
    }
}

/// Errors of the kernel on the DSP.
pub(super) const QURT: &[&str] = &[
    "the shell or a module does not fit this firmware: take the files that belong to it",
    "the process on the DSP crashed in the call: look at the DSP's own log",
];

/// Results of the DSP. The names and meanings are those of the crate fastrpc-proto.
pub(super) const DSP: &[Entry] = &[
    entry(
        39,
        "AEE_ENOSUCHNAME",
        "no such name",
        &["the module or static process was asked for by a name that the DSP does not know"],
    ),
    entry(
        46,
        "AEE_EINTERRUPTED",
        "interrupted",
        &["the call was interrupted on the DSP: call again"],
    ),
    entry(
        104,
        "AEE_ECONNRESET",
        "connection reset",
        &["the DSP restarted: close the node, open the new one, start again"],
    ),
    entry(
        516,
        "AEE_EWOULDBLOCK",
        "would block",
        &["nothing was ready and the method does not wait: call again later"],
    ),
    entry(
        0x8000_0401,
        "AEE_EFAILED",
        "failed",
        &[
            "the method itself failed: see the module's documentation and the DSP's log",
            "the DSP could not reach memory of the call; the IOMMU's reports are in the kernel log",
        ],
    ),
    entry(
        0x8000_0402,
        "AEE_ENOMEMORY",
        "no memory",
        &[
            "the heap of the process on the DSP is used up: add pages (REMOTE_MAP with ADD_PAGES), \
             or end other processes on this DSP",
            "the shell asks for more memory than the process starts with",
        ],
    ),
    entry(
        0x8000_040d,
        "AEE_EBADSTATE",
        "bad state",
        &[
            "the process on the DSP is going away: the program asked it to end, or another thread \
             closed it. For a listener this is the normal end",
            "the process on the DSP crashed: look at the DSP's own log, then start a new one",
        ],
    ),
    entry(
        0x8000_040e,
        "AEE_EBADPARM",
        "bad parameter",
        &[
            "number, sizes or order of the arguments are not those of the method: compare with the \
             module's interface (IDL)",
            "program and module were built from different versions of the interface",
        ],
    ),
    entry(
        0x8000_0414,
        "AEE_EUNSUPPORTED",
        "not supported",
        &[
            "the module has no method of this number",
            "this firmware does not have the function: ask for its capabilities first",
        ],
    ),
    entry(
        0x8000_0416,
        "AEE_ERESOURCENOTFOUND",
        "resource not found",
        &[
            "the shell or module is for another firmware, or a library that it needs was not found",
            "there is no listener that serves files to the DSP: start it, and check its search path",
        ],
    ),
    entry(
        0x8000_042c,
        "AEE_EINVHANDLE",
        "invalid handle",
        &[
            "the module was closed, or was opened in another process: handles belong to one session",
            "the handle is a number of an earlier session",
        ],
    ),
    entry(
        0x8000_0434,
        "AEE_EINVALIDPROCESS",
        "invalid process",
        &["the process on the DSP has ended or crashed: start a new one"],
    ),
    entry(
        0x8000_043e,
        "AEE_ENOSUCHMOD",
        "no such module",
        &[
            "the name of the module is wrong: it is file:///lib<name>_skel.so?<name>_skel_handle_invoke&_modver=1.0",
            "the file is not where the DSP looks: firmware images hold some, the listener serves others",
            "the file is not signed: unsigned processes load any, signed ones only signed modules",
        ],
    ),
    entry(
        0x8000_0441,
        "AEE_ENOSUCHPROCESS",
        "no such process",
        &["the process on the DSP has ended or crashed: start a new one"],
    ),
    entry(
        0x8000_0448,
        "AEE_ENOSUCHMAP",
        "no such mapping",
        &[
            "the DSP's code looks for a buffer that was not mapped: use REMOTE_MAP, or a handle argument",
            "number, address or size differ from those of the mapping",
        ],
    ),
    entry(
        0x8000_044d,
        "AEE_EBADSIZE",
        "bad size",
        &["a size is not what the method wants: compare with the module's interface (IDL)"],
    ),
    entry(
        0x8000_044f,
        "AEE_EBADFD",
        "bad file descriptor",
        &[
            "the number of a buffer is not known in the process on the DSP: map it before, and pass \
             the same number",
            "the shell is for another firmware",
        ],
    ),
    entry(
        0x8000_0452,
        "AEE_EBADELF",
        "bad ELF file",
        &["shell or module is damaged, or not for this DSP"],
    ),
    entry(
        0x8000_0454,
        "AEE_EBADCONTEXT",
        "bad context",
        &["the call belongs to no process that the DSP knows: it restarted or crashed; start again"],
    ),
    entry(
        0x8000_0485,
        "AEE_EBADMAPREFCNT",
        "bad reference count of a mapping",
        &["the DSP's code still uses the mapping: let it give it back before unmapping"],
    ),
    entry(
        0x8000_0600,
        "AEE_ERPC",
        "remote procedure call error",
        &["the remote call layer of the DSP failed without telling why: look at the DSP's own log"],
    ),
    entry(
        u32::MAX,
        "AEE_EUNKNOWN",
        "unknown error",
        &[
            "the module gave -1 without telling why; through REMOTE_INVOKE it cannot be told from \
             EPERM, CALL gives it in a field of its own",
        ],
    ),
];

/// Errors of the driver's ioctls.
pub(super) const ERRNO: &[Entry] = &[
    entry(
        1,
        "EPERM",
        "the handle belongs to the kernel",
        &["handles 1 and 2 of a call are for the kernel's own calls: use another"],
    ),
    entry(
        2,
        "ENOENT",
        "no such thing",
        &[
            "opening: no such node; is the module loaded (modprobe qda), is the DSP running?",
            "CALL, GEM: this file has no buffer of this handle",
        ],
    ),
    entry(
        4,
        "EINTR",
        "a signal ended the wait",
        &[
            "the DSP goes on with the call: the thread that makes the same call again gets its result, \
             and nothing is sent twice. Handlers with SA_RESTART need not do that themselves",
        ],
    ),
    entry(
        7,
        "E2BIG",
        "too large",
        &[
            "GEM_CREATE: one buffer is larger than max_buffer (module parameter max_buffer_mib)",
            "calls: too many inline bytes: put the data into buffers",
            "CALL: the program was built for a newer driver",
        ],
    ),
    entry(
        9,
        "EBADF",
        "bad file descriptor",
        &["a file descriptor in the arguments is not open in the calling process"],
    ),
    entry(
        12,
        "ENOMEM",
        "no memory, or no addresses",
        &[
            "the address space of the context bank is full, which most DSPs limit to 4 GiB: free \
             buffers, or spread them over several sessions",
            "the system, or the memory cgroup of the program, has no memory left",
        ],
    ),
    entry(
        13,
        "EACCES",
        "not permitted to this opener",
        &[
            "opening: owner, group and mode of the node do not admit the user: join the node's group",
            "INIT_ATTACH: the file was opened without CAP_SYS_ADMIN: let a privileged program open it",
            "starting a process: attributes other than UNSIGNED and ADAPTIVE_QOS need the same",
        ],
    ),
    entry(
        14,
        "EFAULT",
        "bad address",
        &["an address in the arguments cannot be read or written"],
    ),
    entry(
        16,
        "EBUSY",
        "no context bank is free",
        &["every context bank of the DSP serves another process: end one, or wait"],
    ),
    entry(
        17,
        "EEXIST",
        "the file has a process already",
        &["one file has one process: open the node once more for another"],
    ),
    entry(
        19,
        "ENODEV",
        "the DSP is gone",
        &["the DSP crashed, restarted or was unbound: close the file and open the new node"],
    ),
    entry(
        22,
        "EINVAL",
        "an argument is out of its range",
        &[
            "a field, flag or process attribute that the driver does not know, or a pad that is not 0",
            "a range outside its buffer, or an fd that is no dma-buf",
            "an imported buffer that is not contiguous in the DSP's address space",
        ],
    ),
    entry(
        25,
        "ENOTTY",
        "no such ioctl",
        &["the file is no node of this driver, or the driver is older than the program"],
    ),
    entry(
        28,
        "ENOSPC",
        "a limit is reached",
        &[
            "calls: too many are under way on this DSP or in this session: wait for some",
            "GEM_CREATE, REMOTE_MAP: the buffers of the file, or of all files, are at their limit \
             (module parameters max_file_mib, max_dsp_mib, max_file_buffers): free some",
        ],
    ),
    entry(
        32,
        "EPIPE",
        "the DSP went away",
        &["the DSP crashed or was unbound before it answered: close the file and open the new node"],
    ),
    entry(
        95,
        "EOPNOTSUPP",
        "not supported",
        &["the driver, or this DSP, does not have the function"],
    ),
    entry(
        107,
        "ENOTCONN",
        "no process on the DSP",
        &["start a process (REMOTE_SESSION_CREATE) or attach first"],
    ),
    entry(
        110,
        "ETIMEDOUT",
        "no answer in time",
        &[
            "CALL: its own deadline passed; the DSP goes on with the call",
            "all others: the DSP hangs or is very busy; memory that it may still use stays with it",
        ],
    ),
    entry(
        111,
        "ECONNREFUSED",
        "this opener may not start such a process",
        &[
            "the process is not unsigned: set the attribute UNSIGNED (0x8), as ordinary users must",
            "the DSP has no unsigned processes (adsp, mdsp, sdsp): use cdsp or gdsp",
            "else the node has to be opened with CAP_SYS_ADMIN",
        ],
    ),
    entry(
        122,
        "EDQUOT",
        "the user has his share",
        &["the last places on the DSP are for users without any: end other sessions of this user"],
    ),
];

/// What the FastRPC library makes of errors of the kernel, and its own.
pub(super) const LIBRARY: &[Entry] = &[
    entry(
        0x02,
        "AEE_ENOMEMORY",
        "no memory",
        &["ENOMEM of the driver, see there"],
    ),
    entry(
        0x0c,
        "AEE_EEXPIRED",
        "expired",
        &["ETIMEDOUT of the driver: the DSP did not answer"],
    ),
    entry(
        0x0e,
        "AEE_EBADPARM",
        "bad parameter",
        &["EFAULT, EINVAL, EBADF or EEXIST of the driver, see there"],
    ),
    entry(
        0x43,
        "AEE_ENOSUCHDEVICE",
        "no such device",
        &["ENODEV of the driver: the DSP is gone"],
    ),
    entry(
        0x4e,
        "AEE_EBADPERMISSIONS",
        "bad permissions",
        &["EACCES or EPERM of the driver, see there"],
    ),
    entry(
        0x68,
        "AEE_ECONNRESET",
        "connection reset",
        &["EPIPE of the driver: the DSP restarted"],
    ),
    entry(
        0x72,
        "AEE_ECONNREFUSED",
        "untrusted caller, or no device",
        &["ECONNREFUSED or ENOTCONN of the driver, see there"],
    ),
    entry(
        0x200,
        "AEE_ERPC",
        "remote procedure call error",
        &["any other error of the driver, ENOSPC and EBUSY among them: all sessions may be in use"],
    ),
];
