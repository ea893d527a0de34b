// SPDX-License-Identifier: GPL-2.0
//! Descriptors that go from one process to another through a socket.

use std::mem::{
    size_of,
    zeroed, //
};
use std::os::fd::{
    FromRawFd,
    OwnedFd,
    RawFd, //
};
use std::ptr;

use crate::harness::Fail;
use crate::raw;

/// Room for one descriptor with its header, aligned as the header needs it.
type Control = [u64; 4];

/// A pair of connected sockets, neither of them closed on exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Fail> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two numbers.
    match unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, ends.as_mut_ptr()) } {
        // SAFETY: Both numbers are fresh and belong to nobody else.
        0 => Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) }),
        _ => Err(format!("socketpair: errno {}", raw::errno()).into()),
    }
}

/// Sends one descriptor.
pub fn send(socket: RawFd, fd: RawFd) -> Result<(), Fail> {
    let mut byte = 0u8;
    let mut piece = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let mut control: Control = [0; 4];
    // SAFETY: All bytes zero is a valid header.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: Plain arithmetic.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
    // SAFETY: The control buffer has room for a header and one descriptor, as its length says.
    let sent = unsafe {
        let head = libc::CMSG_FIRSTHDR(&message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        ptr::write_unaligned(libc::CMSG_DATA(head).cast(), fd);
        libc::sendmsg(socket, &message, 0)
    };
    if sent == 1 {
        Ok(())
    } else {
        Err(format!("sendmsg: errno {}", raw::errno()).into())
    }
}

/// Receives one descriptor; None at the end of the conversation.
pub fn receive(socket: RawFd) -> Result<Option<OwnedFd>, Fail> {
    let mut byte = 0u8;
    let mut piece = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let mut control: Control = [0; 4];
    // SAFETY: All bytes zero is a valid header.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: The header describes buffers of this function.
    match unsafe { libc::recvmsg(socket, &mut message, libc::MSG_CMSG_CLOEXEC) } {
        0 => return Ok(None),
        1 => {}
        _ => return Err(format!("recvmsg: errno {}", raw::errno()).into()),
    }
    // SAFETY: The kernel filled in the control buffer; a header in it has the data it tells of.
    unsafe {
        let head = libc::CMSG_FIRSTHDR(&message);
        if head.is_null() || (*head).cmsg_type != libc::SCM_RIGHTS {
            return Err("a message without descriptor".into());
        }
        let fd: RawFd = ptr::read_unaligned(libc::CMSG_DATA(head).cast());
        Ok(Some(OwnedFd::from_raw_fd(fd)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_descriptor_arrives() {
        let (one, two) = pair().unwrap();
        let (first, second) = pair().unwrap();
        send(one.as_raw_fd(), first.as_raw_fd()).unwrap();
        let got = receive(two.as_raw_fd()).unwrap().unwrap();
        send(got.as_raw_fd(), 0).unwrap();
        assert!(receive(second.as_raw_fd()).unwrap().is_some());
        drop(one);
        assert!(receive(two.as_raw_fd()).unwrap().is_none());
    }
}
