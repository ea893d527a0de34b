// SPDX-License-Identifier: GPL-2.0

//! What went wrong: violations and SMMU faults, as counted lines for debugfs.
//!
//! One mutex per list; taken with the firmware lock held, never the other way round.

#![forbid(unsafe_code)]

use core::fmt::{
    self,
    Write, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// Lines kept; later ones are only counted.
const LINES: usize = 64;
/// Bytes kept of a line.
const WIDTH: usize = 224;

/// A line of text with an end.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    text: [u8; WIDTH],
    len: usize,
}

impl Line {
    /// No text.
    pub(crate) const EMPTY: Self = Self {
        text: [0; WIDTH],
        len: 0,
    };

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.text.get(..self.len).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("?")
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for b in s.bytes().filter(u8::is_ascii) {
            match self.text.get_mut(self.len) {
                Some(slot) => {
                    *slot = b;
                    self.len += 1;
                }
                // The rest of a long line is cut off.
                None => break,
            }
        }
        Ok(())
    }
}

struct Inner {
    count: u64,
    lines: KVVec<Line>,
}

/// A counted list of lines.
#[pin_data]
pub(crate) struct Report {
    #[pin]
    inner: Mutex<Inner>,
}

impl Report {
    /// An empty list.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- new_mutex!(Inner {
                count: 0,
                lines: KVVec::with_capacity(LINES, GFP_KERNEL)?,
            }),
        }? Error)
    }

    /// Adds a line.
    pub(crate) fn add(&self, what: fmt::Arguments<'_>) {
        let mut line = Line::EMPTY;
        // Cannot fail: the line cuts off.
        let _ = line.write_fmt(what);
        let mut inner = self.inner.lock();
        inner.count = inner.count.wrapping_add(1);
        if inner.lines.len() < LINES {
            // Without memory the line is only counted.
            let _ = inner.lines.push(line, GFP_KERNEL);
        }
    }

    /// Number of lines ever added since the last clear.
    pub(crate) fn count(&self) -> u64 {
        self.inner.lock().count
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.count = 0;
        inner.lines.clear();
    }

    /// Prints the count, then the lines.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        writeln!(f, "{}", inner.count)?;
        for line in &inner.lines {
            writeln!(f, "{}", line.as_str())?;
        }
        Ok(())
    }
}
