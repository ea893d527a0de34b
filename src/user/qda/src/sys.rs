// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The ioctls of the driver, and all unsafe code of this crate.
//!
//! Owns nothing, takes no locks. Called by `device`, `session`, `buffer`, `call`
//! and `remote`. Every function builds the structure that the kernel reads from
//! borrowed slices, so that the addresses in it cannot outlive the call.
//!
//! [`memory`] is about mapped buffers, [`gem`] about their handles and file
//! descriptors.

pub(crate) mod gem;
pub(crate) mod memory;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use fastrpc_proto::errors::DspResult;
use libc::c_int;
use qda_uapi as uapi;

/// What an ioctl of the driver gave.
///
/// The C library reports an error of the kernel as -1 with errno. Everything
/// else is the value that the driver returned. For calls that run on the DSP
/// this is the DSP's 32-bit result with all its bits: 0x8000040D arrives as a
/// negative int, which is a value and not an error. A DSP result of -4095..-1 is
/// lost to the C library, which makes an errno of it; the interface has no way
/// to tell these apart.
///
/// `errno` is asked only if `value` is -1.
pub(crate) fn split_value(value: c_int, errno: impl FnOnce() -> c_int) -> io::Result<DspResult> {
    if value == -1 {
        return Err(io::Error::from_raw_os_error(errno()));
    }
    Ok(DspResult::new(value))
}

fn last_errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Issues an ioctl whose argument is `argument`.
///
/// # Safety
///
/// `code` must be the number of an ioctl that takes a `T`. Addresses inside
/// `argument` must be valid for the kernel to read, and to write where the ioctl
/// writes, until this function returns.
unsafe fn ioctl<T>(fd: BorrowedFd<'_>, code: u32, argument: &mut T) -> io::Result<DspResult> {
    // SAFETY: the descriptor is open for as long as it is borrowed; the argument
    // is a live, exclusively borrowed T, and the caller vouches for the rest.
    let value = unsafe { libc::ioctl(fd.as_raw_fd(), code as _, std::ptr::from_mut(argument)) };
    split_value(value, last_errno)
}

/// A non-zero value of a call that has none counts as an error of its own kind.
fn must_be_zero(result: DspResult) -> io::Result<()> {
    if result.is_success() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unexpected value {:#x} of the ioctl", result.bits()),
    ))
}

/// QUERY: the DSP's name as the kernel gave it.
pub(crate) fn query(fd: BorrowedFd<'_>) -> io::Result<[u8; uapi::DRM_QDA_DSP_NAME_LEN as usize]> {
    let mut argument = uapi::drm_qda_query::default();
    // SAFETY: QUERY takes a drm_qda_query, which holds no addresses.
    let result = unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_QUERY, &mut argument) }?;
    must_be_zero(result)?;
    Ok(argument.dsp_name)
}

/// INIT_ATTACH: makes the file a client of the DSP's root process.
pub(crate) fn attach(fd: BorrowedFd<'_>) -> io::Result<DspResult> {
    // SAFETY: the ioctl has no argument; the descriptor is borrowed.
    let value = unsafe { libc::ioctl(fd.as_raw_fd(), uapi::DRM_IOCTL_QDA_INIT_ATTACH as _, 0) };
    split_value(value, last_errno)
}

/// REMOTE_SESSION_CREATE with the shell in `shell`, whose last `signature`
/// bytes are its signature. An empty slice means no shell.
pub(crate) fn create(
    fd: BorrowedFd<'_>,
    attrs: u32,
    shell: &[u8],
    signature: u32,
) -> io::Result<DspResult> {
    let mut argument = uapi::drm_qda_init_create {
        filelen: u32::try_from(shell.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filefd: uapi::DRM_QDA_FD_NONE,
        attrs,
        siglen: signature,
        file: if shell.is_empty() {
            0
        } else {
            shell.as_ptr() as u64
        },
    };
    // SAFETY: the ioctl takes a drm_qda_init_create; without a file descriptor
    // the kernel only reads `filelen` bytes at `file`, which is `shell`.
    unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_REMOTE_SESSION_CREATE, &mut argument) }
}

/// REMOTE_SESSION_CREATE with the shell in the first `len` bytes (not 0) of the
/// dma-buf `shell`, the last `signature` of which are its signature.
pub(crate) fn create_from_dma_buf(
    fd: BorrowedFd<'_>,
    attrs: u32,
    shell: BorrowedFd<'_>,
    len: u32,
    signature: u32,
) -> io::Result<DspResult> {
    let mut argument = uapi::drm_qda_init_create {
        filelen: len,
        filefd: real(shell)?,
        attrs,
        siglen: signature,
        // Nothing is mapped there, so the shell is at the begin of the buffer.
        file: 0,
    };
    // SAFETY: the ioctl takes a drm_qda_init_create; with a file descriptor the
    // kernel accesses no user memory.
    unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_REMOTE_SESSION_CREATE, &mut argument) }
}

/// The number of a descriptor for a field in which 0 means "none".
fn real(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    match fd.as_raw_fd() {
        0 => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "descriptor 0 cannot name a buffer in this call",
        )),
        fd => Ok(fd),
    }
}

/// The array element for an inline buffer of `length` bytes at `address`. An
/// empty slice has a dangling address, which the kernel need not see.
fn inline(address: *const u8, length: usize) -> uapi::drm_qda_fastrpc_invoke_args {
    uapi::drm_qda_fastrpc_invoke_args {
        ptr: if length == 0 { 0 } else { address as u64 },
        length: length as u64,
        fd: uapi::DRM_QDA_FD_NONE,
        attr: 0,
    }
}

/// REMOTE_INVOKE with inline buffers. The scalars word is built here from
/// `attributes_and_method` (bits 31:24) and the numbers of buffers, so that it
/// always fits the array. At most 255 inputs and 255 outputs: the caller checks.
pub(crate) fn invoke<'a, 'b>(
    fd: BorrowedFd<'_>,
    handle: u32,
    attributes_and_method: u8,
    inputs: impl ExactSizeIterator<Item = &'a [u8]>,
    outputs: impl ExactSizeIterator<Item = &'b mut [u8]>,
) -> io::Result<DspResult> {
    let (Ok(in_count), Ok(out_count)) = (u8::try_from(inputs.len()), u8::try_from(outputs.len()))
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut elements = Vec::with_capacity(usize::from(in_count) + usize::from(out_count));
    elements.extend(inputs.map(|data| inline(data.as_ptr(), data.len())));
    if elements.len() != usize::from(in_count) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    elements.extend(outputs.map(|data| inline(data.as_mut_ptr(), data.len())));
    if elements.len() != usize::from(in_count) + usize::from(out_count) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sc = (u32::from(attributes_and_method) << 24)
        | uapi::scalars(0, u32::from(in_count), u32::from(out_count), 0, 0);
    let mut argument = uapi::drm_qda_invoke_args {
        handle,
        sc,
        args: if elements.is_empty() {
            0
        } else {
            elements.as_ptr() as u64
        },
    };
    // SAFETY: the ioctl takes a drm_qda_invoke_args; `args` is an array with as
    // many elements as `sc` says. Elements of the input class are read at
    // borrowed slices, those of the output class are written at exclusively
    // borrowed slices, and `'a` and `'b` last beyond this call. The kernel has no
    // access to them after the ioctl returned, also when it was interrupted: it
    // copies data and keeps no reference to user memory.
    unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_REMOTE_INVOKE, &mut argument) }
}

/// One argument of a CALL.
#[derive(Debug)]
pub(crate) enum Element<'a> {
    /// Bytes that are copied to the DSP.
    In(&'a [u8]),
    /// Bytes that are copied from the DSP.
    Out(&'a mut [u8]),
    /// A part of a buffer object.
    Object {
        /// Direction: DRM_QDA_ARG_IN or DRM_QDA_ARG_OUT.
        direction: u32,
        /// GEM handle.
        handle: u32,
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
        /// For arguments of the handle class, the number that the DSP sees.
        tag: Option<i32>,
    },
}

impl Element<'_> {
    /// The element as the kernel reads it. An empty slice has a dangling address,
    /// which the kernel need not see.
    fn raw(&mut self) -> uapi::drm_qda_call_arg {
        let (direction, address, length) = match self {
            Self::In(data) => (uapi::DRM_QDA_ARG_IN, data.as_ptr(), data.len()),
            Self::Out(data) => (
                uapi::DRM_QDA_ARG_OUT,
                data.as_mut_ptr().cast_const(),
                data.len(),
            ),
            Self::Object {
                direction,
                handle,
                offset,
                length,
                tag,
            } => {
                return uapi::drm_qda_call_arg {
                    offset: *offset,
                    length: *length,
                    kind: if tag.is_some() {
                        uapi::DRM_QDA_ARG_HANDLE
                    } else {
                        uapi::DRM_QDA_ARG_BUFFER
                    },
                    direction: *direction,
                    handle: *handle,
                    tag: tag.unwrap_or(0),
                    ..Default::default()
                }
            }
        };
        uapi::drm_qda_call_arg {
            address: if length == 0 { 0 } else { address as u64 },
            length: length as u64,
            kind: uapi::DRM_QDA_ARG_INLINE,
            direction,
            ..Default::default()
        }
    }
}

/// CALL. `deadline` is a time of CLOCK_MONOTONIC in nanoseconds, 0 for none. The
/// order of the elements is the caller's business: the kernel checks it.
pub(crate) fn call(
    fd: BorrowedFd<'_>,
    handle: u32,
    method: u32,
    elements: &mut [Element<'_>],
    deadline: u64,
) -> io::Result<DspResult> {
    let raw: Vec<_> = elements.iter_mut().map(Element::raw).collect();
    let mut argument = uapi::drm_qda_call {
        args: if raw.is_empty() {
            0
        } else {
            raw.as_ptr() as u64
        },
        deadline_ns: deadline,
        handle,
        method,
        arg_count: u32::try_from(raw.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        arg_stride: size_of::<uapi::drm_qda_call_arg>() as u32,
        flags: 0,
        result: 0,
    };
    // SAFETY: the ioctl takes a drm_qda_call; `args` is an array of `arg_count`
    // elements of `arg_stride` bytes. Inline elements that go in are read at
    // borrowed slices, those that come out are written at exclusively borrowed
    // slices, and both borrows last beyond this call. The kernel has no access to
    // them after the ioctl returned, also when the wait ended early: it copies
    // data and keeps no reference to user memory. Objects are not user memory.
    let value = unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_CALL, &mut argument) }?;
    must_be_zero(value)?;
    Ok(DspResult::from_bits(argument.result))
}

/// REMOTE_MAP: the DSP's result, and its address of the mapping.
pub(crate) fn remote_map(
    fd: BorrowedFd<'_>,
    mut argument: uapi::drm_qda_mem_map,
) -> io::Result<(DspResult, u64)> {
    // SAFETY: the ioctl takes a drm_qda_mem_map. Its address is one of the DSP;
    // the kernel accesses no user memory.
    let result = unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_REMOTE_MAP, &mut argument) }?;
    Ok((result, argument.vaddrout))
}

/// REMOTE_MUNMAP.
pub(crate) fn remote_unmap(
    fd: BorrowedFd<'_>,
    mut argument: uapi::drm_qda_mem_unmap,
) -> io::Result<DspResult> {
    // SAFETY: the ioctl takes a drm_qda_mem_unmap. Its addresses are those of the
    // DSP; the kernel accesses no user memory.
    unsafe { ioctl(fd, uapi::DRM_IOCTL_QDA_REMOTE_MUNMAP, &mut argument) }
}

#[cfg(test)]
mod tests {
    //! covers: T149

    use super::*;

    fn value(raw: c_int) -> DspResult {
        split_value(raw, || panic!("errno was read for a value")).expect("a value")
    }

    #[test]
    fn results_keep_all_bits() {
        // As the C library hands them out: the low 32 bits as an int.
        for bits in [
            0u32,
            1,
            39,
            46,
            516,
            0x7fff_ffff,
            0x8000_0000,
            0x8000_040d,
            0x8000_0414,
            0x8000_0600,
            0xffff_f000, // -4096, the first value outside the errno range
        ] {
            assert_eq!(value(bits as c_int).bits(), bits, "{bits:#x}");
        }
        assert!(value(0).is_success());
        assert!(!value(0x8000_040d_u32 as c_int).is_success());
    }

    #[test]
    fn minus_one_is_an_errno() {
        for errno in [1, libc::EBUSY, libc::ENODEV, 4095] {
            let error = split_value(-1, || errno).expect_err("an error");
            assert_eq!(error.raw_os_error(), Some(errno));
        }
    }

    #[test]
    fn errno_comes_from_the_system() {
        // A descriptor that is no device: the real path through the C library.
        let file = std::fs::File::open("/proc/self/stat").expect("procfs");
        use std::os::fd::AsFd;
        let error = query(file.as_fd()).expect_err("not a DRM device");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        let error = attach(file.as_fd()).expect_err("not a DRM device");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn only_zero_is_accepted_from_calls_without_a_result() {
        assert!(must_be_zero(DspResult::SUCCESS).is_ok());
        assert!(must_be_zero(DspResult::new(1)).is_err());
        assert!(must_be_zero(DspResult::BAD_STATE).is_err());
    }

    #[test]
    fn fields_that_a_kind_does_not_use_are_zero() {
        let mut out = [0; 3];
        let address = out.as_ptr() as u64;
        assert_eq!(
            Element::Out(&mut out).raw(),
            uapi::drm_qda_call_arg {
                address,
                length: 3,
                direction: uapi::DRM_QDA_ARG_OUT,
                ..Default::default()
            }
        );
        // An empty slice has no address.
        assert_eq!(Element::In(&[]).raw(), uapi::drm_qda_call_arg::default());
        let object = |tag| {
            Element::Object {
                direction: uapi::DRM_QDA_ARG_IN,
                handle: 7,
                offset: 1 << 33,
                length: 5,
                tag,
            }
            .raw()
        };
        let buffer = uapi::drm_qda_call_arg {
            offset: 1 << 33,
            length: 5,
            kind: uapi::DRM_QDA_ARG_BUFFER,
            handle: 7,
            ..Default::default()
        };
        assert_eq!(object(None), buffer);
        assert_eq!(
            object(Some(-2)),
            uapi::drm_qda_call_arg {
                kind: uapi::DRM_QDA_ARG_HANDLE,
                tag: -2,
                ..buffer
            }
        );
    }

    #[test]
    fn new_calls_report_the_errno_of_the_system() {
        use std::os::fd::AsFd;
        let file = std::fs::File::open("/proc/self/stat").expect("procfs");
        let mut elements = [Element::In(b"x")];
        let error = call(file.as_fd(), 20, 2, &mut elements, 0).expect_err("no device");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        let error = remote_map(file.as_fd(), Default::default()).expect_err("no device");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        let error = remote_unmap(file.as_fd(), Default::default()).expect_err("no device");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn more_than_255_buffers_never_reach_the_kernel() {
        use std::os::fd::AsFd;
        let file = std::fs::File::open("/proc/self/stat").expect("procfs");
        let inputs = vec![&b"x"[..]; 256];
        let error = invoke(file.as_fd(), 20, 2, inputs.into_iter(), std::iter::empty())
            .expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
