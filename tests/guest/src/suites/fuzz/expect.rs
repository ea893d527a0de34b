// SPDX-License-Identifier: GPL-2.0
//! The errors that `qda_accel.h` documents, and those of the DRM core.

use crate::raw;

/// Kinds of request, for the counts and for what they may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    Query,
    GemCreate,
    MmapOffset,
    GemClose,
    Export,
    Import,
    Attach,
    Create,
    Map,
    Unmap,
    Invoke,
    Call,
    /// Any other number.
    Other,
}

/// Number of kinds.
pub const KINDS: usize = Kind::Other as usize + 1;

pub const NAMES: [&str; KINDS] = [
    "query",
    "gem_create",
    "mmap_offset",
    "gem_close",
    "export",
    "import",
    "attach",
    "create",
    "map",
    "unmap",
    "invoke",
    "call",
    "other",
];

/// What every request may give.
const ALWAYS: &[i32] = &[
    libc::ENODEV,
    libc::EINVAL,
    libc::EFAULT,
    libc::EINTR,
    libc::ENOMEM,
];

/// What a request that sends something may give.
const SENDS: &[i32] = &[libc::EPIPE, libc::ENOSPC, libc::ETIMEDOUT];

impl Kind {
    /// The kind of an ioctl number, whatever size and direction it claims.
    pub fn of(code: u32) -> Self {
        if (code >> 8) & 0xff != u32::from(b'd') {
            return Kind::Other;
        }
        match code & 0xff {
            0x40 => Kind::Query,
            0x41 => Kind::GemCreate,
            0x42 => Kind::MmapOffset,
            0x43 => Kind::Attach,
            0x44 => Kind::Create,
            0x45 => Kind::Map,
            0x46 => Kind::Unmap,
            0x47 => Kind::Invoke,
            0x48 => Kind::Call,
            0x09 => Kind::GemClose,
            0x2d => Kind::Export,
            0x2e => Kind::Import,
            _ => Kind::Other,
        }
    }

    fn sends(self) -> bool {
        matches!(
            self,
            Kind::Attach | Kind::Create | Kind::Map | Kind::Unmap | Kind::Invoke | Kind::Call
        )
    }

    /// The errors of its own.
    fn own(self) -> &'static [i32] {
        match self {
            Kind::Query => &[],
            Kind::GemCreate => &[libc::E2BIG, libc::ENOSPC],
            Kind::MmapOffset => &[libc::ENOENT],
            // The DRM core's.
            Kind::GemClose => &[],
            Kind::Export => &[libc::ENOENT, libc::EMFILE],
            Kind::Import => &[libc::EBADF, libc::ENOSPC],
            Kind::Attach => &[libc::EACCES, libc::EEXIST, libc::EBUSY, libc::EDQUOT],
            Kind::Create => &[
                libc::EEXIST,
                libc::EBUSY,
                libc::EDQUOT,
                libc::EBADF,
                libc::EACCES,
                libc::ECONNREFUSED,
            ],
            Kind::Map => &[libc::ENOTCONN, libc::EBADF, libc::E2BIG],
            Kind::Unmap => &[libc::ENOTCONN],
            Kind::Invoke => &[libc::ENOTCONN, libc::EPERM, libc::E2BIG, libc::EBADF],
            Kind::Call => &[libc::ENOTCONN, libc::EPERM, libc::E2BIG, libc::ENOENT],
            Kind::Other => &[
                libc::ENOTTY,
                libc::EACCES,
                libc::EPERM,
                libc::EOPNOTSUPP,
                libc::ENOSYS,
                libc::ENOENT,
                libc::EBADF,
                libc::E2BIG,
                libc::ENOSPC,
            ],
        }
    }

    /// Whether a request of this kind may give `value`.
    pub fn may_give(self, value: i64) -> bool {
        if value == 0 {
            return true;
        }
        if !(-4095..0).contains(&value) {
            // A result of the DSP. CALL gives it in a field, and others ask no DSP.
            return self.sends() && self != Kind::Call || self == Kind::Other;
        }
        let errno = -value as i32;
        ALWAYS.contains(&errno)
            || self.own().contains(&errno)
            || (self.sends() && SENDS.contains(&errno))
    }
}

/// Text for a value that may not be.
pub fn complain(kind: Kind, value: i64) -> String {
    format!(
        "{} gave {}, which is not documented",
        NAMES[kind as usize],
        raw::show(value)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_values_only() {
        assert_eq!(Kind::of(raw::INVOKE), Kind::Invoke);
        assert_eq!(Kind::of(raw::resized(raw::CALL, 8)), Kind::Call);
        assert_eq!(Kind::of(raw::PRIME_HANDLE_TO_FD), Kind::Export);
        assert_eq!(Kind::of(raw::DMA_BUF_SYNC), Kind::Other);
        assert!(Kind::Invoke.may_give(raw::as_returned(0x8000_040d)));
        assert!(!Kind::Call.may_give(raw::as_returned(0x8000_040d)));
        assert!(!Kind::Call.may_give(39));
        assert!(Kind::Map.may_give(-i64::from(libc::ETIMEDOUT)));
        assert!(!Kind::GemCreate.may_give(-i64::from(libc::ETIMEDOUT)));
        assert!(!Kind::Invoke.may_give(-512), "ERESTARTSYS must not get out");
        assert!(!Kind::Query.may_give(-i64::from(libc::ENOTCONN)));
    }
}
