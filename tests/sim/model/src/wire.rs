// SPDX-License-Identifier: GPL-2.0

//! Numbers and layouts of the FastRPC protocol, read from the protocol document.
//!
//! Section numbers refer to `fastrpc-wire-protocol.md`. All fields are little-endian.

/// Page of the protocol, in bytes (section 1).
pub const PAGE: u64 = 4096;
/// Bytes of a request (section 3).
pub const REQUEST_LEN: usize = 40;
/// Bytes of a response (section 5).
pub const RESPONSE_LEN: usize = 16;
/// Most arguments that a scalars word can name (section 6).
pub const MAX_ARGS: usize = 255 + 255 + 15 + 15;
/// Entries of the fd list (section 7).
pub const FDS: usize = 16;
/// fd list, CRC list and poll word (section 7).
pub const LISTS_LEN: u64 = 128 + 256 + 4;
/// Alignment of inline data (section 7).
pub const ALIGN: u64 = 128;

/// Process domains, the low bits of the context word (section 4).
pub mod pd {
    /// Root PD.
    pub const ROOT: u8 = 0;
    /// User PD, static PDs included.
    pub const USER: u8 = 1;
    /// Sensors PD.
    pub const SENSORS: u8 = 2;
}

/// Remote handles (section 10).
pub mod handle {
    /// remotectl, form without domain.
    pub const REMOTECTL: u32 = 0;
    /// Process manager, for the kernel only.
    pub const PROCESS_MANAGER: u32 = 1;
    /// DSP utilities.
    pub const UTILITIES: u32 = 2;
    /// Listener, form without domain.
    pub const LISTENER: u32 = 3;
    /// Current process.
    pub const CURRENT_PROCESS: u32 = 4;
    /// Listener, form with domain.
    pub const LISTENER1: u32 = 7;
    /// remotectl, form with domain.
    pub const REMOTECTL1: u32 = 8;
    /// Highest number that is never given to a module opened at run time.
    pub const MAX_STATIC: u32 = 20;
}

/// Results (section 15).
pub mod result {
    /// Success.
    pub const OK: u32 = 0;
    /// Failed.
    pub const FAILED: u32 = 0x8000_0401;
    /// No memory.
    pub const NO_MEMORY: u32 = 0x8000_0402;
    /// Bad state; the process is going away.
    pub const BAD_STATE: u32 = 0x8000_040D;
    /// Bad parameter.
    pub const BAD_PARAM: u32 = 0x8000_040E;
    /// Unsupported.
    pub const UNSUPPORTED: u32 = 0x8000_0414;
    /// Invalid handle.
    pub const BAD_HANDLE: u32 = 0x8000_042C;
    /// No such module.
    pub const NO_MODULE: u32 = 0x8000_043E;
    /// No such process.
    pub const NO_PROCESS: u32 = 0x8000_0441;
    /// No such map.
    pub const NO_MAP: u32 = 0x8000_0448;
    /// Bad fd.
    pub const BAD_FD: u32 = 0x8000_044F;
}

/// Four little-endian bytes at `off`, 0 outside of `b`.
pub fn u32_at(b: &[u8], off: usize) -> u32 {
    let mut v = [0u8; 4];
    if let Some(s) = off.checked_add(4).and_then(|end| b.get(off..end)) {
        v.copy_from_slice(s);
    }
    u32::from_le_bytes(v)
}

/// Eight little-endian bytes at `off`, 0 outside of `b`.
pub fn u64_at(b: &[u8], off: usize) -> u64 {
    let mut v = [0u8; 8];
    if let Some(s) = off.checked_add(8).and_then(|end| b.get(off..end)) {
        v.copy_from_slice(s);
    }
    u64::from_le_bytes(v)
}

/// A request message (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Client id; 0 for calls that the kernel makes for itself.
    pub client: u32,
    /// Thread id of the caller.
    pub tid: u32,
    /// Context word.
    pub ctx: u64,
    /// Remote handle.
    pub handle: u32,
    /// Scalars word.
    pub sc: u32,
    /// DSP address of the message buffer, with SID prefix.
    pub addr: u64,
    /// Bytes of the message buffer.
    pub size: u64,
}

impl Request {
    /// An all-zero request, the content of an empty table entry.
    pub const EMPTY: Self = Self {
        client: 0,
        tid: 0,
        ctx: 0,
        handle: 0,
        sc: 0,
        addr: 0,
        size: 0,
    };

    /// Reads a message; `None` unless it has exactly the length of a request.
    pub fn parse(b: &[u8]) -> Option<Self> {
        if b.len() != REQUEST_LEN {
            return None;
        }
        Some(Self {
            client: u32_at(b, 0),
            tid: u32_at(b, 4),
            ctx: u64_at(b, 8),
            handle: u32_at(b, 16),
            sc: u32_at(b, 20),
            addr: u64_at(b, 24),
            size: u64_at(b, 32),
        })
    }

    /// PD id, bits 3:0 of the context word (section 4).
    pub fn pd(&self) -> u8 {
        (self.ctx & 0xF) as u8
    }

    /// Bits 7:4 of the context word: asynchronous flag and reserved bits.
    pub fn reserved(&self) -> u8 {
        ((self.ctx >> 4) & 0xF) as u8
    }

    /// Slot index, bits 15:8 of the context word.
    pub fn index(&self) -> u8 {
        ((self.ctx >> 8) & 0xFF) as u8
    }

    /// Sequence number, bits 63:16 of the context word.
    pub fn sequence(&self) -> u64 {
        self.ctx >> 16
    }

    /// Method number of the scalars word (section 6).
    pub fn method(&self) -> u32 {
        (self.sc >> 24) & 0x1F
    }

    /// Attribute bits of the scalars word.
    pub fn attributes(&self) -> u32 {
        self.sc >> 29
    }

    /// Number of in buffers.
    pub fn ins(&self) -> usize {
        ((self.sc >> 16) & 0xFF) as usize
    }

    /// Number of out buffers.
    pub fn outs(&self) -> usize {
        ((self.sc >> 8) & 0xFF) as usize
    }

    /// Number of in and out handles.
    pub fn handles(&self) -> usize {
        ((self.sc >> 4) & 0xF) as usize + (self.sc & 0xF) as usize
    }

    /// Number of in handles.
    pub fn in_handles(&self) -> usize {
        ((self.sc >> 4) & 0xF) as usize
    }

    /// Number of buffers, in and out.
    pub fn buffers(&self) -> usize {
        self.ins() + self.outs()
    }

    /// Number of arguments.
    pub fn nargs(&self) -> usize {
        self.buffers() + self.handles()
    }
}

/// A response message (section 5).
pub fn response(ctx: u64, retval: u32) -> [u8; RESPONSE_LEN] {
    let mut b = [0u8; RESPONSE_LEN];
    let (word, rest) = b.split_at_mut(8);
    word.copy_from_slice(&ctx.to_le_bytes());
    let (val, _) = rest.split_at_mut(4);
    val.copy_from_slice(&retval.to_le_bytes());
    b
}

/// Layout of a message buffer with `n` arguments (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset of the buffer list.
    pub list: u64,
    /// Offset of the page list.
    pub pages: u64,
    /// Offset of the fd list, the first of the three lists that the DSP writes.
    pub fds: u64,
    /// End of the metadata.
    pub end: u64,
    /// Offset of the first inline data.
    pub data: u64,
}

impl Layout {
    /// The layout for `n` arguments, at most [`MAX_ARGS`].
    pub fn new(n: usize) -> Self {
        let n = n as u64;
        let end = 40 * n + LISTS_LEN;
        Self {
            list: 16 * n,
            pages: 24 * n,
            fds: 40 * n,
            end,
            data: end.div_ceil(ALIGN) * ALIGN,
        }
    }
}
