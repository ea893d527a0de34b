// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Names that travel with their NUL.
//!
//! Owns the rule that a name is copied into a fixed array first and measured there, so that it
//! cannot change between the two. Takes no locks.
//!
//! Source: wire protocol, section 11.

/// Number of bytes of a task's name, with NUL.
pub const TASK_NAME: usize = 16;
/// Largest number of bytes of the name of a static process, with NUL.
pub const STATIC_NAME: usize = 128;

/// A name of at most `N - 1` bytes with its NUL.
///
/// # Invariants
///
/// `len < N`; byte `len` is the first NUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

/// The name of the task that creates a process.
pub type TaskName = Name<TASK_NAME>;
/// The name of a static process.
pub type StaticName = Name<STATIC_NAME>;

impl<const N: usize> Name<N> {
    /// There is room for the NUL.
    const HAS_ROOM: () = assert!(N > 0);

    /// Takes a name up to its first NUL, cut off if it is too long.
    pub fn snapshot(name: &[u8]) -> Self {
        let () = Self::HAS_ROOM;
        let mut bytes = [0; N];
        let mut len: usize = 0;
        let room = N.saturating_sub(1);
        for (to, from) in bytes
            .iter_mut()
            .take(room)
            .zip(name.iter().take_while(|byte| **byte != 0))
        {
            *to = *from;
            // At most `room`, so nothing saturates.
            len = room.min(len.saturating_add(1));
        }
        // INVARIANT: at most `N - 1` bytes that are not NUL were copied over zeros.
        Self { bytes, len }
    }

    /// Takes a name whole, without NUL. Gives `None` if it is empty, too long or contains a NUL.
    pub fn exact(name: &[u8]) -> Option<Self> {
        let taken = Self::snapshot(name);
        (taken.len == name.len() && taken.len != 0).then_some(taken)
    }

    /// The name with its NUL. It is never empty.
    pub fn as_bytes_with_nul(&self) -> &[u8] {
        // The range is always inside, by the invariant.
        self.bytes.get(..=self.len).unwrap_or(&[0])
    }

    /// Number of bytes with NUL.
    pub fn wire_len(&self) -> u32 {
        u32::try_from(self.as_bytes_with_nul().len()).unwrap_or(0)
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_name))]
mod tests {
    use super::*;

    // covers: T22
    #[test]
    fn all_lengths_keep_their_nul() {
        let long = [b'x'; 40];
        for len in 0..=long.len() {
            let name = Name::<16>::snapshot(&long[..len]);
            let kept = len.min(15);
            let bytes = name.as_bytes_with_nul();
            assert_eq!(bytes.len(), kept + 1);
            assert_eq!(name.wire_len() as usize, kept + 1);
            assert_eq!(bytes[..kept], long[..kept]);
            assert_eq!(bytes[kept], 0);
            assert_eq!(
                Name::<16>::exact(&long[..len]).is_some(),
                (1..=15).contains(&len)
            );
        }
    }

    // covers: T22
    #[test]
    fn a_name_ends_at_its_first_nul() {
        let name = TaskName::snapshot(b"ab\0cd");
        assert_eq!(name.as_bytes_with_nul(), b"ab\0");
        assert_eq!(TaskName::snapshot(b"\0ab").as_bytes_with_nul(), b"\0");
        assert_eq!(TaskName::exact(b"ab\0"), None);
    }

    #[test]
    fn smallest_name() {
        assert_eq!(Name::<1>::snapshot(b"abc").as_bytes_with_nul(), b"\0");
        assert_eq!(
            StaticName::exact(&[b'a'; 127]).map(|name| name.wire_len()),
            Some(128)
        );
        assert_eq!(StaticName::exact(&[b'a'; 128]), None);
    }
}
