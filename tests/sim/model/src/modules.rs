// SPDX-License-Identifier: GPL-2.0

//! Modules that a process opens by name: calculator, echo, probe, fail, and the names
//! that daemons open. Modules filter and mem have files of their own.
//!
//! The calculator has the methods and payload of the real one (section 9 of the firmware
//! document); the others exist for tests only. See `tests/sim/README.md`.

use super::args::Arg;
use super::dsp::Outcome;
use super::env::{Env, Fault};
use super::state::{bump, Client, Module, State};
use super::wire::{result, u32_at, u64_at, Request};

/// Bytes of numbers that are read at a time, on the stack.
const CHUNK: usize = 512;

/// Longest delay of echo, in milliseconds.
const MAX_DELAY: u64 = 600_000;

/// The module that a name opens, without the final NUL.
///
/// A name is plain or `file:///lib<x>_skel.so?<x>_skel_handle_invoke&_modver=1.0`; other
/// keys after the first `&` are ignored.
pub fn find(name: &[u8]) -> Option<Module> {
    match name {
        b"adsp_default_listener" => return Some(Module::DefaultListener),
        b"adsp_current_process" | b"adsp_current_process1" => {
            return Some(Module::CurrentProcess);
        }
        _ => {}
    }
    let rest = name.strip_prefix(b"file:///lib")?;
    let mut parts = rest.splitn(2, |b| *b == b'?');
    let (library, query) = (parts.next()?, parts.next()?);
    let stem = library.strip_suffix(b"_skel.so")?;
    let mut keys = query.split(|b| *b == b'&');
    let symbol = keys.next()?.strip_suffix(b"_skel_handle_invoke")?;
    if symbol != stem || !keys.any(|k| k == b"_modver=1.0") {
        return None;
    }
    match stem {
        b"calculator" => Some(Module::Calculator),
        b"echo" => Some(Module::Echo),
        b"probe" => Some(Module::Probe),
        b"fail" => Some(Module::Fail),
        b"filter" => Some(Module::Filter),
        b"mem" => Some(Module::Mem),
        b"adsp_default_listener1" => Some(Module::DefaultListener),
        _ => None,
    }
}

fn done(r: Result<(), u32>) -> Outcome {
    Outcome::Done(match r {
        Ok(()) => result::OK,
        Err(r) => r,
    })
}

impl State<'_> {
    /// A call of a handle that was opened at run time.
    pub fn module_call(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        let found = self
            .t
            .handles
            .iter()
            .find(|h| h.number == req.handle && h.client == client.id);
        let Some(module) = found.map(|h| h.module) else {
            return Outcome::Done(result::BAD_HANDLE);
        };
        bump(&mut self.t.core.counters.executions);
        match module {
            Module::Calculator => self.calculator(env, req, client.sid),
            Module::Echo => self.echo(env, req, client),
            Module::Probe => self.probe(env, req, client),
            Module::Fail => self.fail(env, req, client.sid),
            Module::Filter => done(match req.sc {
                0x0202_0100 => self.sobel(env, req, client.sid),
                _ => Err(result::UNSUPPORTED),
            }),
            Module::Mem => self.mem(env, req, client),
            Module::DefaultListener => Outcome::Done(match req.sc {
                0x0000_0000 | 0x0200_0000 => result::OK,
                _ => result::UNSUPPORTED,
            }),
            Module::CurrentProcess => match req.sc {
                0x0000_0000 => self.exit(client),
                0x0100_0000 => Outcome::Done(result::OK),
                _ => Outcome::Done(result::UNSUPPORTED),
            },
        }
    }

    fn calculator(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Outcome {
        done(match req.sc {
            0x0202_0100 => self.sum(env, req, sid),
            0x0302_0100 => self.max(env, req, sid),
            _ => Err(result::UNSUPPORTED),
        })
    }

    /// Calls `f` with every number of the sequence in in[1], whose count is in in[0].
    fn numbers(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        mut f: impl FnMut(i32),
    ) -> Result<(), u32> {
        let (head, list) = (self.input(req, 0), self.input(req, 1));
        let mut b = [0u8; 4];
        self.get(env, sid, &head, 0, &mut b)?;
        let bytes = 4 * u64::from(u32_at(&b, 0));
        if bytes > list.len {
            return Err(result::BAD_PARAM);
        }
        let mut buf = [0u8; CHUNK];
        let mut off = 0u64;
        while off < bytes {
            let n = (bytes - off).min(CHUNK as u64) as usize;
            let Some(part) = buf.get_mut(..n) else {
                break;
            };
            self.get(env, sid, &list, off, part)?;
            for number in part.chunks_exact(4) {
                f(u32_at(number, 0) as i32);
            }
            off += n as u64;
        }
        Ok(())
    }

    fn sum(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let mut sum = 0i64;
        self.numbers(env, req, sid, |v| sum = sum.wrapping_add(i64::from(v)))?;
        if self.t.core.knobs.wrong() {
            sum = sum.wrapping_add(1);
        }
        let out = self.output(req, 0);
        self.put(env, sid, &out, 0, &sum.to_le_bytes())
    }

    fn max(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let mut max: Option<i32> = None;
        self.numbers(env, req, sid, |v| max = Some(max.map_or(v, |m| m.max(v))))?;
        let out = self.output(req, 0);
        let max = max.ok_or(result::BAD_PARAM)?;
        self.put(env, sid, &out, 0, &max.to_le_bytes())
    }

    fn echo(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        match req.method() {
            2 => done(self.echo_from(env, req, client.sid, 0)),
            3 => {
                let head = self.input(req, 0);
                let mut b = [0u8; 4];
                match self.get(env, client.sid, &head, 0, &mut b) {
                    Ok(()) => {
                        let delay = u64::from(u32_at(&b, 0)).min(MAX_DELAY);
                        Outcome::Until(env.now_ms().saturating_add(delay))
                    }
                    Err(r) => Outcome::Done(r),
                }
            }
            4 if req.sc == 0x0400_0000 => Outcome::Park,
            _ => Outcome::Done(result::UNSUPPORTED),
        }
    }

    /// A delayed call is due; its arguments were loaded again.
    pub fn run_delayed(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> u32 {
        match self.echo_from(env, req, client.sid, 1) {
            Ok(()) => result::OK,
            Err(r) => r,
        }
    }

    /// Copies in buffer `first + i` to out buffer `i`, for all out buffers.
    fn echo_from(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        first: usize,
    ) -> Result<(), u32> {
        if req.handles() != 0 || req.ins() != req.outs() + first {
            return Err(result::BAD_PARAM);
        }
        for i in 0..req.outs() {
            let (from, to) = (self.input(req, first + i), self.output(req, i));
            if from.len != to.len {
                return Err(result::BAD_PARAM);
            }
            self.move_bytes(env, sid, &from, &to)?;
        }
        Ok(())
    }

    fn probe(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        done(match req.sc {
            0x0201_0100 => self.probe_read(env, req, client.sid),
            0x0302_0000 => self.probe_write(env, req, client.sid),
            0x0400_0100 => self.probe_where(env, req, client),
            _ => Err(result::UNSUPPORTED),
        })
    }

    /// Address and length that a probe call names, as the caller's bank sees them.
    fn target(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        write: bool,
    ) -> Result<Arg, u32> {
        let head = self.input(req, 0);
        let mut b = [0u8; 16];
        self.get(env, sid, &head, 0, &mut b)?;
        let (addr, len) = (u64_at(&b, 0), u64::from(u32_at(&b, 8)));
        let (prefix, iova) = self.split(addr);
        if prefix != 0 && prefix != sid {
            // A process reaches memory through its own stream only.
            let f = Fault { sid, iova, write };
            return Err(self.faulted(env, f));
        }
        Ok(Arg::range(iova, len))
    }

    fn probe_read(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let from = self.target(env, req, sid, false)?;
        let to = self.output(req, 0);
        self.move_bytes(env, sid, &from, &to)
    }

    fn probe_write(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let to = self.target(env, req, sid, true)?;
        let from = self.input(req, 1);
        if from.len < to.len {
            return Err(result::BAD_PARAM);
        }
        let from = Arg {
            len: to.len,
            ..from
        };
        self.move_bytes(env, sid, &from, &to)
    }

    /// Tells where the process's own memory is: message buffer and init memory.
    fn probe_where(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        client: &Client,
    ) -> Result<(), u32> {
        let out = self.output(req, 0);
        let init = match client.init.size {
            0 => 0,
            _ => self.join(client.sid, client.init.iova),
        };
        let words = [req.addr, req.size, init, client.init.size];
        for (i, w) in words.iter().enumerate() {
            self.put(env, client.sid, &out, 8 * i as u64, &w.to_le_bytes())?;
        }
        Ok(())
    }

    /// Answers with the result in in[0], after the rest was echoed, so that outputs of
    /// failing calls can be looked at.
    fn fail(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Outcome {
        if req.method() != 2 {
            return Outcome::Done(result::UNSUPPORTED);
        }
        let head = self.input(req, 0);
        let mut b = [0u8; 4];
        let read = self
            .get(env, sid, &head, 0, &mut b)
            .and_then(|()| self.echo_from(env, req, sid, 1));
        match read {
            Ok(()) => Outcome::Done(u32_at(&b, 0)),
            Err(r) => Outcome::Done(r),
        }
    }
}
