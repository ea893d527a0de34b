// SPDX-License-Identifier: GPL-2.0

//! Handle 1, the process manager: create, attach, release. Mappings are in `maps`.
//!
//! Section 11 and 13 of the protocol document, section 6 of the firmware document. Only
//! the kernel calls it; the header's client id is 0 and the first argument names the
//! process.

use super::args::{bad, Arg};
use super::env::Env;
use super::knobs::Method;
use super::pinned::{Held, Pinned};
use super::state::{bump, Client, Handle, Map, Profile, State, Wait};
use super::wire::{pd, result, u32_at, u64_at, Request, PAGE};

impl State<'_> {
    /// A call of handle 1.
    pub fn process_manager(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> u32 {
        let out = match req.sc {
            0x0001_0000 => self.attach(env, req, sid),
            0x0101_0000 => self.release(env, req, sid),
            0x0402_0100 => self.mmap(env, req, sid),
            0x0501_0000 => self.munmap(env, req, sid),
            0x0604_0000 | 0x0704_0000 => self.create(env, req, sid),
            0x0803_0000 => Err(result::UNSUPPORTED),
            0x0A03_0100 => self.mem_map(env, req, sid),
            0x0B01_0000 => self.mem_unmap(env, req, sid),
            _ => {
                bad!(env, req, "unknown call of the process manager");
                Err(result::UNSUPPORTED)
            }
        };
        match out {
            Ok(()) => result::OK,
            Err(r) => r,
        }
    }

    /// Reads an input that must have exactly `buf.len()` bytes.
    pub(super) fn exact(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        i: usize,
        buf: &mut [u8],
    ) -> Result<(), u32> {
        let arg = self.input(req, i);
        if arg.len != buf.len() as u64 {
            bad!(
                env,
                req,
                "input {} has {} bytes instead of {}",
                i,
                arg.len,
                buf.len()
            );
            return Err(result::BAD_PARAM);
        }
        self.get(env, sid, &arg, 0, buf)
    }

    /// The process that a call names, which must exist and live in this bank.
    pub(super) fn named(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        id: u32,
    ) -> Result<Client, u32> {
        let Some(c) = self.client(id) else {
            self.tolerate(env, req, format_args!("names unknown client {id}"));
            return Err(result::NO_PROCESS);
        };
        if c.sid != sid {
            bad!(env, req, "names client {} of bank {}", id, c.sid);
            return Err(result::BAD_PARAM);
        }
        if c.pd != req.pd() {
            bad!(env, req, "names client {} of PD {}", id, c.pd);
        }
        if c.exiting {
            return Err(result::BAD_STATE);
        }
        Ok(c)
    }

    /// Enters a new process into the table.
    fn admit(&mut self, env: &mut impl Env, req: &Request, new: Client) -> Result<(), u32> {
        if new.id == 0 {
            bad!(env, req, "client id 0");
            return Err(result::BAD_PARAM);
        }
        if self.client(new.id).is_some() {
            // The in-tree driver can lose a RELEASE; the newcomer replaces the old one.
            self.tolerate(env, req, format_args!("client {} is alive", new.id));
            if self.t.core.profile == Profile::Strict {
                return Err(result::BAD_PARAM);
            }
            self.forget(env, new.id);
        }
        let sharing = self
            .t
            .clients
            .iter()
            .filter(|c| c.id != 0 && c.sid == new.sid)
            .count();
        let room = env.bank_sessions(new.sid).unwrap_or(0) as usize;
        if sharing >= room {
            self.tolerate(
                env,
                req,
                format_args!("bank {} gets client {} of {}", new.sid, sharing + 1, room),
            );
        }
        match self.t.clients.iter_mut().find(|c| c.id == 0) {
            Some(slot) => {
                *slot = new;
                Ok(())
            }
            None => Err(result::NO_MEMORY),
        }
    }

    /// Ends a process: aborts its calls, drops its handles, mappings and held buffers.
    fn forget(&mut self, env: &mut impl Env, id: u32) {
        self.abort(env, id, true);
        for h in self.t.handles.iter_mut().filter(|h| h.client == id) {
            *h = Handle::EMPTY;
        }
        for m in self.t.maps.iter_mut().filter(|m| m.client == id) {
            *m = Map::EMPTY;
        }
        for h in self.t.held.iter_mut().filter(|h| h.client == id) {
            *h = Held::EMPTY;
        }
        if let Some(c) = self.client_mut(id) {
            *c = Client::EMPTY;
        }
    }

    fn attach(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let mut b = [0u8; 4];
        self.exact(env, req, sid, 0, &mut b)?;
        if req.pd() == pd::USER {
            bad!(env, req, "ATTACH with the bits of a user PD");
        }
        let new = Client {
            id: u32_at(&b, 0),
            sid,
            pd: req.pd(),
            ..Client::EMPTY
        };
        self.admit(env, req, new)?;
        bump(&mut self.t.core.counters.attaches);
        Ok(())
    }

    fn create(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let mut b = [0u8; 24];
        self.exact(env, req, sid, 0, &mut b)?;
        let (id, name_len, shell_len) = (u32_at(&b, 0), u32_at(&b, 4), u32_at(&b, 8));
        let (pages, attrs, sig_len) = (u32_at(&b, 12), u32_at(&b, 16), u32_at(&b, 20));
        let (name, shell) = (self.input(req, 1), self.input(req, 2));

        if req.pd() != pd::USER {
            bad!(env, req, "CREATE with PD {}", req.pd());
        }
        if u64::from(name_len) != name.len || name_len == 0 {
            bad!(env, req, "name length {} for {} bytes", name_len, name.len);
        } else {
            let mut nul = [0u8; 1];
            self.get(env, sid, &name, name.len - 1, &mut nul)?;
            if nul != [0] {
                bad!(env, req, "name is not terminated");
            }
        }
        if u64::from(shell_len) != shell.len {
            bad!(
                env,
                req,
                "shell length {} for {} bytes",
                shell_len,
                shell.len
            );
        }
        if pages != 1 {
            bad!(env, req, "{} pages instead of 1", pages);
        }
        if (attrs != 0) != (req.method() == 7) {
            bad!(
                env,
                req,
                "attributes {:#x} with method {}",
                attrs,
                req.method()
            );
        }
        if sig_len > shell_len {
            self.tolerate(
                env,
                req,
                format_args!("signature of {sig_len} in {shell_len} bytes"),
            );
        }
        self.read_shell(env, sid, &shell)?;
        let (init, _) = self.page_argument(env, req, sid, 3, true)?;
        if init.size == 0 {
            bad!(env, req, "no init memory");
            return Err(result::NO_MEMORY);
        }
        let new = Client {
            id,
            sid,
            pd: pd::USER,
            exiting: false,
            attrs,
            init,
        };
        self.admit(env, req, new)?;
        bump(&mut self.t.core.counters.creates);
        Ok(())
    }

    /// Reads every byte of the shell, as a loader would.
    fn read_shell(&mut self, env: &mut impl Env, sid: u32, arg: &Arg) -> Result<(), u32> {
        let mut buf = [0u8; 512];
        let mut off = 0u64;
        while off < arg.len {
            let n = (arg.len - off).min(buf.len() as u64) as usize;
            if let Some(part) = buf.get_mut(..n) {
                self.get(env, sid, arg, off, part)?;
                let c = &mut self.t.core.counters;
                c.shell_bytes = c.shell_bytes.wrapping_add(n as u64);
                for b in part {
                    c.shell_sum = c.shell_sum.wrapping_add(u64::from(*b));
                }
            }
            off += n as u64;
        }
        Ok(())
    }

    /// A page in input `i`: {u64 DSP address, u64 size}, mapped in this bank. Gives its pages
    /// and its size. With `whole` the size must be whole pages.
    pub(super) fn page_argument(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        i: usize,
        whole: bool,
    ) -> Result<(Pinned, u64), u32> {
        let mut b = [0u8; 16];
        self.exact(env, req, sid, i, &mut b)?;
        let (addr, size) = (u64_at(&b, 0), u64_at(&b, 8));
        let (prefix, iova) = self.split(addr);
        let wrong = prefix != sid || iova % PAGE != 0 || (whole && size % PAGE != 0);
        if wrong || size > self.limit() || iova > self.limit() - size {
            bad!(
                env,
                req,
                "page {:#x} size {:#x} in bank {}",
                addr,
                size,
                sid
            );
            return Err(result::BAD_PARAM);
        }
        let pages = size.div_ceil(PAGE) * PAGE;
        match Self::pin(env, sid, iova, pages) {
            Ok(p) => Ok((p, size)),
            Err(f) => {
                bad!(env, req, "page {:#x} is not mapped", f.iova);
                Err(self.faulted(env, f))
            }
        }
    }

    /// Is there a CREATE or ATTACH for `id` that was not done yet?
    fn unborn(&self, id: u32) -> bool {
        self.t.calls.iter().any(|c| {
            let waits = matches!(c.wait, Wait::Until(_) | Wait::Ignored);
            let method = Method::of(&c.req);
            waits && c.owner == id && matches!(method, Some(Method::Create | Method::Attach))
        })
    }

    fn release(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let mut b = [0u8; 4];
        self.exact(env, req, sid, 0, &mut b)?;
        let id = u32_at(&b, 0);
        if self.client(id).is_none() && self.unborn(id) {
            // The driver gave up waiting for the CREATE, which it has to undo.
            self.abort(env, id, true);
            return Ok(());
        }
        let c = match self.named(env, req, sid, id) {
            Err(result::BAD_STATE) => self.client(id).ok_or(result::NO_PROCESS)?,
            other => other?,
        };
        // Nothing that the process could reach may have gone away before this point.
        self.check_client(env, req, &c);
        self.forget(env, id);
        bump(&mut self.t.core.counters.releases);
        Ok(())
    }
}
