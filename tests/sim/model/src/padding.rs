// SPDX-License-Identifier: GPL-2.0

//! What must be zero in a message buffer: the lists that the DSP writes, and everything that is
//! no argument. Called by `args`.

use super::args::bad;
use super::env::{Env, Fault};
use super::state::{bump, State};
use super::wire::{Layout, Request};

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

impl State<'_> {
    /// Checks that nothing but arguments is in the message buffer: the three lists, the
    /// padding between arguments and the rest of the last page are zero.
    pub(super) fn check_zero(
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
}
