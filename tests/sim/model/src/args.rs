// SPDX-License-Identifier: GPL-2.0

//! The message buffer of a request: argument lists and their checks.
//!
//! Sections 7 to 9 of the protocol document. [`State::load`] reads the lists into the
//! argument table once; methods then work with that copy, because the process that owns
//! the memory can rewrite it at any time.

use super::env::{Env, Fault};
use super::state::{bump, Pinned, Profile, State};
use super::wire::{result, u32_at, u64_at, Layout, Request, ALIGN, MAX_ARGS, PAGE};

/// Largest message buffer and largest argument that are looked at, in bytes.
const MAX_LEN: u64 = 1 << 30;

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
}

impl Arg {
    /// An empty argument.
    pub const EMPTY: Self = Self {
        pv: 0,
        len: 0,
        data: 0,
        inline: false,
    };
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

/// First byte other than zero in a range of DSP memory, as offset into the range.
fn first_nonzero(env: &mut impl Env, sid: u32, iova: u64, len: u64) -> Result<Option<u64>, Fault> {
    let mut buf = [0u8; 256];
    let mut off = 0u64;
    while off < len {
        let n = (len - off).min(buf.len() as u64) as usize;
        let Some(part) = buf.get_mut(..n) else {
            break;
        };
        env.read(sid, iova.wrapping_add(off), part)?;
        if let Some(i) = part.iter().position(|b| *b != 0) {
            return Ok(Some(off + i as u64));
        }
        off += n as u64;
    }
    Ok(None)
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

    /// Notes something that only the in-tree driver may do.
    pub fn tolerate(&mut self, env: &mut impl Env, req: &Request, what: core::fmt::Arguments<'_>) {
        if self.t.core.profile == Profile::Stock {
            bump(&mut self.t.core.counters.tolerated);
        } else {
            bad!(env, req, "{}", what);
        }
    }

    /// Remembers the pages of a range; the fault when one of them is not mapped.
    pub fn pin(env: &mut impl Env, sid: u32, iova: u64, size: u64) -> Result<Pinned, Fault> {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut off = 0u64;
        while off < size {
            let at = iova.wrapping_add(off);
            let Some(phys) = env.translate(sid, at) else {
                return Err(Fault {
                    sid,
                    iova: at,
                    write: false,
                });
            };
            for b in phys.to_le_bytes() {
                hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
            }
            off += PAGE;
        }
        Ok(Pinned { iova, size, hash })
    }

    /// Checks that a remembered range still has the same pages.
    pub fn check_pinned(
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        pinned: &Pinned,
        what: &str,
    ) -> bool {
        if pinned.size == 0 {
            return true;
        }
        match Self::pin(env, sid, pinned.iova, pinned.size) {
            Ok(now) if now == *pinned => true,
            Ok(_) => {
                bad!(env, req, "{} at {:#x} changed its pages", what, pinned.iova);
                false
            }
            Err(f) => {
                bad!(env, req, "{} at {:#x} disappeared", what, f.iova);
                false
            }
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
        let limit = 1u64 << self.t.core.sid_pos.min(63);

        if req.size == 0 || req.size % PAGE != 0 || req.size < layout.end || req.size > MAX_LEN {
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
        if prefix != sid || at % PAGE != 0 || raw.size % PAGE != 0 || raw.size > MAX_LEN {
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
        let at = if raw.page == 0 && raw.size == 0 {
            0
        } else {
            self.page_entry(env, req, sid, i, raw, quiet)?
        };
        Some(Arg {
            pv: raw.pv,
            len,
            data: at,
            inline: false,
        })
    }

    /// Checks that nothing but arguments is in the message buffer: the three lists, the
    /// padding between arguments and the rest of the last page are zero.
    fn check_zero(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        iova: u64,
        layout: &Layout,
    ) -> Result<(), Fault> {
        // Insertion sort by address: the arguments come in order already.
        let mut used = 0usize;
        for i in 0..req.buffers() {
            let Some(arg) = self.t.args.get(i).copied() else {
                break;
            };
            if !arg.inline {
                continue;
            }
            let mut at = used;
            while at > 0 {
                let prev = self.t.order.get(at - 1).copied().unwrap_or(0);
                let before = self.t.args.get(usize::from(prev)).map_or(0, |a| a.data);
                if before <= arg.data {
                    break;
                }
                if let Some(slot) = self.t.order.get_mut(at) {
                    *slot = prev;
                }
                at -= 1;
            }
            if let Some(slot) = self.t.order.get_mut(at) {
                *slot = i as u16;
            }
            used += 1;
        }

        let mut pos = iova + layout.fds;
        for k in 0..used {
            let i = usize::from(self.t.order.get(k).copied().unwrap_or(0));
            let Some(arg) = self.t.args.get(i).copied() else {
                break;
            };
            if arg.data < pos {
                self.tolerate(env, req, format_args!("argument {i} overlaps another one"));
            } else if let Some(off) = first_nonzero(env, sid, pos, arg.data - pos)? {
                bad!(
                    env,
                    req,
                    "byte at offset {:#x} before argument {} is not zero",
                    pos - iova + off,
                    i
                );
            }
            if i >= req.ins() && first_nonzero(env, sid, arg.data, arg.len)?.is_some() {
                bump(&mut self.t.core.counters.dirty_outputs);
            }
            pos = pos.max(arg.data.saturating_add(arg.len));
        }
        let end = iova + req.size;
        if pos < end {
            if let Some(off) = first_nonzero(env, sid, pos, end - pos)? {
                bad!(
                    env,
                    req,
                    "byte at offset {:#x} after the last argument is not zero",
                    pos - iova + off
                );
            }
        }
        Ok(())
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
