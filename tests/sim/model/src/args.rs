// SPDX-License-Identifier: GPL-2.0

//! The message buffer of a request: argument lists and their checks.
//!
//! Sections 7 to 9 of the protocol document. [`State::load`] reads the lists into the
//! argument table once; methods then work with that copy, because the process that owns
//! the memory can rewrite it at any time.

use super::env::{Env, Fault};
use super::pinned::Pinned;
use super::state::{bump, Profile, State};
use super::wire::{result, u32_at, u64_at, Layout, Request, ALIGN, MAX_ARGS, PAGE};

/// Largest message buffer that is looked at, in bytes.
const MAX_MESSAGE: u64 = 1 << 30;
/// Largest argument that is looked at, in bytes; address spaces are smaller.
const MAX_LEN: u64 = 1 << 40;

/// Reports a violation together with the request that shows it.
macro_rules! bad {
    ($env:expr, $req:expr, $($arg:tt)+) => {
        $env.violation(format_args!(
            "ctx {:#x} client {} handle {} sc {:08x}: {}",
            $req.ctx, $req.client, $req.handle, $req.sc, format_args!($($arg)+)
        ))
    };
}
pub(super) use bad;

/// One argument of the call at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Address field of the descriptor; for handles fd and offset.
    pub pv: u64,
    /// Length in bytes.
    pub len: u64,
    /// Address of the first byte, without SID prefix.
    pub data: u64,
    /// The data lies in the message buffer.
    pub inline: bool,
    /// Address of the page entry, with SID prefix.
    pub page: u64,
    /// Size of the page entry in bytes, 0 when there is none.
    pub size: u64,
}

impl Arg {
    /// An empty argument.
    pub const EMPTY: Self = Self {
        pv: 0,
        len: 0,
        data: 0,
        inline: false,
        page: 0,
        size: 0,
    };

    /// A range of DSP memory that is no argument.
    pub const fn range(data: u64, len: u64) -> Self {
        Self {
            data,
            len,
            ..Self::EMPTY
        }
    }
}

/// The raw lists of one argument.
struct Raw {
    pv: u64,
    len: u64,
    tail: u32,
    num: u32,
    index: u32,
    page: u64,
    size: u64,
}

/// Pages spanned by `len` bytes that start at offset `pv` of a page, in bytes.
fn spanned(pv: u64, len: u64) -> u64 {
    (pv % PAGE + len).div_ceil(PAGE) * PAGE
}

impl State<'_> {
    /// Splits a DSP address into SID and IOVA.
    pub fn split(&self, addr: u64) -> (u32, u64) {
        let pos = self.t.core.sid_pos.min(63);
        ((addr >> pos) as u32, addr & ((1u64 << pos) - 1))
    }

    /// Puts SID and IOVA together.
    pub fn join(&self, sid: u32, iova: u64) -> u64 {
        iova | (u64::from(sid) << self.t.core.sid_pos.min(63))
    }

    /// End of a bank's address space.
    pub fn limit(&self) -> u64 {
        1u64 << self.t.core.iova_bits.min(63)
    }

    /// Notes something that only the in-tree driver may do.
    pub fn tolerate(&mut self, env: &mut impl Env, req: &Request, what: core::fmt::Arguments<'_>) {
        if self.t.core.profile == Profile::Stock {
            bump(&mut self.t.core.counters.tolerated);
        } else {
            bad!(env, req, "{}", what);
        }
    }

    /// Reads and checks the message buffer of `req` in bank `sid` into the argument table.
    ///
    /// With `quiet` nothing is checked: for a call that was checked when it arrived and
    /// runs later. Returns the pages of the message buffer.
    ///
    /// # Errors
    ///
    /// The result to answer with when the arguments cannot be used.
    pub fn load(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        quiet: bool,
    ) -> Result<Pinned, u32> {
        let n = req.nargs();
        let layout = Layout::new(n);
        let (_, iova) = self.split(req.addr);
        let limit = self.limit();

        if req.size == 0 || req.size % PAGE != 0 || req.size < layout.end || req.size > MAX_MESSAGE
        {
            if !quiet {
                bad!(env, req, "message size {:#x} for {} arguments", req.size, n);
            }
            return Err(result::BAD_PARAM);
        }
        if iova % PAGE != 0 || iova >= limit || limit - iova < req.size {
            if !quiet {
                bad!(env, req, "message address {:#x}", req.addr);
            }
            return Err(result::BAD_PARAM);
        }
        let pinned = match Self::pin(env, sid, iova, req.size) {
            Ok(p) => p,
            Err(f) => {
                env.fault(f);
                if !quiet {
                    bad!(env, req, "message page {:#x} is not mapped", f.iova);
                }
                return Err(result::FAILED);
            }
        };

        let mut usable = true;
        for i in 0..n.min(MAX_ARGS) {
            let raw = self
                .raw(env, sid, iova, &layout, i)
                .map_err(|f| self.faulted(env, f))?;
            let arg = if i < req.buffers() {
                self.buffer(env, req, sid, iova, &layout, i, &raw, quiet)
            } else {
                self.handle_arg(env, req, sid, i, &raw, quiet)
            };
            match (arg, self.t.args.get_mut(i)) {
                (Some(a), Some(slot)) => *slot = a,
                _ => usable = false,
            }
        }
        if !usable {
            return Err(result::BAD_PARAM);
        }
        if !quiet {
            self.check_zero(env, req, sid, iova, &layout)
                .map_err(|f| self.faulted(env, f))?;
        }
        Ok(pinned)
    }

    /// Reports a fault and gives the result of a call that faults.
    pub fn faulted(&mut self, env: &mut impl Env, f: Fault) -> u32 {
        env.fault(f);
        result::FAILED
    }

    fn raw(
        &self,
        env: &mut impl Env,
        sid: u32,
        iova: u64,
        layout: &Layout,
        i: usize,
    ) -> Result<Raw, Fault> {
        let i = i as u64;
        let (mut desc, mut list, mut page) = ([0u8; 16], [0u8; 8], [0u8; 16]);
        env.read(sid, iova + 16 * i, &mut desc)?;
        env.read(sid, iova + layout.list + 8 * i, &mut list)?;
        env.read(sid, iova + layout.pages + 16 * i, &mut page)?;
        Ok(Raw {
            pv: u64_at(&desc, 0),
            len: u64_at(&desc, 8),
            tail: u32_at(&desc, 12),
            num: u32_at(&list, 0),
            index: u32_at(&list, 4),
            page: u64_at(&page, 0),
            size: u64_at(&page, 8),
        })
    }

    /// Checks a page entry: aligned, of this bank, every page mapped. Returns its IOVA.
    fn page_entry(
        &self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        i: usize,
        raw: &Raw,
        quiet: bool,
    ) -> Option<u64> {
        let (prefix, at) = self.split(raw.page);
        let wrong = prefix != sid || at % PAGE != 0 || raw.size % PAGE != 0;
        if wrong || raw.size > MAX_LEN || at.saturating_add(raw.size) > self.limit() {
            if !quiet {
                bad!(
                    env,
                    req,
                    "argument {} has page entry {:#x} size {:#x} in bank {}",
                    i,
                    raw.page,
                    raw.size,
                    sid
                );
            }
            return None;
        }
        if !quiet {
            if let Err(f) = Self::pin(env, sid, at, raw.size) {
                bad!(env, req, "argument {} page {:#x} is not mapped", i, f.iova);
                env.fault(f);
                return None;
            }
        }
        Some(at)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only rename them"
    )]
    fn buffer(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        iova: u64,
        layout: &Layout,
        i: usize,
        raw: &Raw,
        quiet: bool,
    ) -> Option<Arg> {
        if !quiet && (raw.index as usize != i || raw.num != u32::from(raw.len != 0)) {
            bad!(
                env,
                req,
                "argument {} of length {} has list entry {{{}, {}}}",
                i,
                raw.len,
                raw.num,
                raw.index
            );
        }
        if raw.len == 0 {
            if !quiet && (raw.pv != 0 || raw.page != 0 || raw.size != 0) {
                bad!(env, req, "empty argument {} has an address or pages", i);
            }
            return Some(Arg::EMPTY);
        }
        if raw.len > MAX_LEN {
            if !quiet {
                bad!(env, req, "argument {} has {} bytes", i, raw.len);
            }
            return None;
        }
        if !quiet && raw.size != spanned(raw.pv, raw.len) {
            bad!(
                env,
                req,
                "argument {} at {:#x} of {} bytes has {:#x} bytes of pages",
                i,
                raw.pv % PAGE,
                raw.len,
                raw.size
            );
        }
        let data = self.page_entry(env, req, sid, i, raw, quiet)? + raw.pv % PAGE;
        let last = data + (raw.len - 1);
        if !quiet && i >= req.ins() && !(env.writable(sid, data) && env.writable(sid, last)) {
            bad!(env, req, "out argument {} cannot be written", i);
        }
        let inline = data >= iova && data - iova < req.size;
        if !quiet {
            if raw.pv >> 48 == 0xFFFF {
                self.tolerate(
                    env,
                    req,
                    format_args!("argument {i} shows a kernel address"),
                );
            }
            if inline {
                self.check_inline(env, req, iova, layout, i, raw, data);
            }
        }
        Some(Arg {
            pv: raw.pv,
            len: raw.len,
            data,
            inline,
            page: raw.page,
            size: raw.size,
        })
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only rename them"
    )]
    fn check_inline(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        iova: u64,
        layout: &Layout,
        i: usize,
        raw: &Raw,
        data: u64,
    ) {
        let off = data - iova;
        if off < layout.data {
            bad!(env, req, "argument {} overlaps the metadata", i);
        }
        if req.size - off < raw.len {
            bad!(env, req, "argument {} leaves the message buffer", i);
        }
        if off % ALIGN != 0 {
            // The in-tree driver overlays arguments that overlap in user memory.
            self.tolerate(
                env,
                req,
                format_args!("argument {i} at offset {off:#x} is not aligned to 128"),
            );
        }
    }

    fn handle_arg(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        i: usize,
        raw: &Raw,
        quiet: bool,
    ) -> Option<Arg> {
        let len = raw.len & 0xFFFF_FFFF;
        if !quiet {
            if raw.index as usize != i || raw.num != u32::from(len != 0) {
                bad!(env, req, "handle argument {} has a wrong list entry", i);
            }
            if raw.tail != 0 {
                bad!(env, req, "handle argument {} has bytes in its padding", i);
            }
        }
        let data = if raw.page == 0 && raw.size == 0 {
            0
        } else {
            let offset = raw.pv >> 32;
            let at = self.page_entry(env, req, sid, i, raw, quiet)?;
            if offset + len > raw.size {
                if !quiet {
                    self.tolerate(
                        env,
                        req,
                        format_args!(
                            "handle argument {i} of {len} bytes at {offset} leaves its buffer of {}",
                            raw.size
                        ),
                    );
                }
                return None;
            }
            at + offset
        };
        Some(Arg {
            pv: raw.pv,
            len,
            data,
            inline: false,
            page: raw.page,
            size: raw.size,
        })
    }

    /// In buffer `i` of the call at work.
    pub fn input(&self, req: &Request, i: usize) -> Arg {
        if i < req.ins() {
            self.t.args.get(i).copied().unwrap_or(Arg::EMPTY)
        } else {
            Arg::EMPTY
        }
    }

    /// Out buffer `i` of the call at work.
    pub fn output(&self, req: &Request, i: usize) -> Arg {
        if i < req.outs() {
            let at = req.ins() + i;
            self.t.args.get(at).copied().unwrap_or(Arg::EMPTY)
        } else {
            Arg::EMPTY
        }
    }

    /// In and out handle `i` of the call at work, counted over both.
    pub fn handle(&self, req: &Request, i: usize) -> Arg {
        if i < req.handles() {
            let at = req.buffers() + i;
            self.t.args.get(at).copied().unwrap_or(Arg::EMPTY)
        } else {
            Arg::EMPTY
        }
    }

    /// Reads `buf.len()` bytes at offset `off` of an argument.
    ///
    /// # Errors
    ///
    /// The result to answer with: the argument is too short, or its memory faults.
    pub fn get(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        arg: &Arg,
        off: u64,
        buf: &mut [u8],
    ) -> Result<(), u32> {
        if off.saturating_add(buf.len() as u64) > arg.len {
            return Err(result::BAD_PARAM);
        }
        env.read(sid, arg.data.wrapping_add(off), buf)
            .map_err(|f| self.faulted(env, f))
    }

    /// Writes `buf` at offset `off` of an argument. Errors as [`State::get`].
    pub fn put(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        arg: &Arg,
        off: u64,
        buf: &[u8],
    ) -> Result<(), u32> {
        if off.saturating_add(buf.len() as u64) > arg.len {
            return Err(result::BAD_PARAM);
        }
        env.write(sid, arg.data.wrapping_add(off), buf)
            .map_err(|f| self.faulted(env, f))
    }
}
