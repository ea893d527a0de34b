// SPDX-License-Identifier: GPL-2.0

//! The static handles of a process: remotectl, listener, current process; and the
//! capability call.
//!
//! Sections 3 to 6 of the firmware document.

use super::args::bad;
use super::dsp::Outcome;
use super::env::Env;
use super::modules;
use super::state::{bump, Client, Handle, Module, State};
use super::wire::{handle, result, u32_at, Request};

/// Longest module name that open looks at, with NUL.
const NAME_MAX: usize = 256;

/// Text of a failed open.
const NO_MODULE_TEXT: &[u8] = b"cannot open library\0";

impl State<'_> {
    /// Handle 2: the capability table.
    pub fn utilities(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> u32 {
        if req.sc != 0x0001_0100 {
            bad!(env, req, "unknown call of the DSP utilities");
            return result::UNSUPPORTED;
        }
        match self.capabilities(env, req, sid) {
            Ok(()) => result::OK,
            Err(r) => r,
        }
    }

    fn capabilities(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        const COUNT: usize = 255;
        let (input, out) = (self.input(req, 0), self.output(req, 0));
        let mut b = [0u8; 4];
        self.get(env, sid, &input, 0, &mut b)?;
        if input.len != 4 || u32_at(&b, 0) as usize != COUNT || out.len != 4 * COUNT as u64 {
            bad!(
                env,
                req,
                "capability call for {} words in {} bytes",
                u32_at(&b, 0),
                out.len
            );
            return Err(result::BAD_PARAM);
        }
        for k in 0..COUNT {
            // Element k is attribute k + 1.
            let value: u32 = match k + 1 {
                1 => 1,    // unsigned PDs
                3 => 4,    // HVX units of 128 bytes
                4 => 4096, // VTCM page size
                5 => 256,  // VTCM pages
                6 => 0x68, // architecture
                _ => 0,
            };
            self.put(env, sid, &out, 4 * k as u64, &value.to_le_bytes())?;
        }
        bump(&mut self.t.core.counters.capabilities);
        Ok(())
    }

    /// A call of a process that called exit. Section 5, exit protocol.
    pub fn exiting(&mut self, req: &Request) -> Outcome {
        if req.handle == handle::CURRENT_PROCESS && req.sc == 0x0300_0000 {
            return Outcome::Done(result::OK);
        }
        Outcome::Done(result::BAD_STATE)
    }

    /// A call of a handle that every process has.
    pub fn static_handle(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        match (req.handle, req.sc) {
            (handle::REMOTECTL, 0x0002_0200) | (handle::REMOTECTL1, 0x0202_0200) => {
                self.open_module(env, req, client)
            }
            (handle::REMOTECTL, 0x0101_0200) | (handle::REMOTECTL1, 0x0301_0200) => {
                self.close_module(env, req, client)
            }
            (handle::REMOTECTL, 0x0201_0000) | (handle::REMOTECTL1, 0x0401_0000) => {
                Outcome::Done(result::UNSUPPORTED)
            }
            (handle::REMOTECTL, 0x0302_0000) | (handle::REMOTECTL1, 0x0502_0000) => {
                Outcome::Done(result::OK)
            }
            (handle::LISTENER, 0x0300_0000) | (handle::LISTENER1, 0x0500_0000) => {
                Outcome::Done(result::OK)
            }
            (handle::LISTENER, 0x0402_0200) | (handle::LISTENER1, 0x0602_0200) => {
                self.next2(env, req, client)
            }
            (handle::LISTENER, 0x0501_0200) | (handle::LISTENER1, 0x0701_0200) => {
                // There is no reverse call to fetch a part of.
                Outcome::Done(result::BAD_PARAM)
            }
            (handle::CURRENT_PROCESS, 0x0200_0000) => self.exit(client),
            (handle::CURRENT_PROCESS, 0x0300_0000) => Outcome::Done(result::OK),
            (
                handle::REMOTECTL
                | handle::LISTENER
                | handle::CURRENT_PROCESS
                | handle::LISTENER1
                | handle::REMOTECTL1
                | 5
                | 6
                | 9,
                _,
            ) => Outcome::Done(result::UNSUPPORTED),
            _ => Outcome::Done(result::BAD_HANDLE),
        }
    }

    /// The process ends itself: this call is answered first, then all that wait.
    pub fn exit(&mut self, client: &Client) -> Outcome {
        if let Some(c) = self.client_mut(client.id) {
            c.exiting = true;
        }
        bump(&mut self.t.core.counters.exits);
        Outcome::DoneThenAbort(result::OK, client.id)
    }

    fn next2(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        // The header of the previous reverse call; there is none, so it is only read.
        let (input, out) = (self.input(req, 0), self.output(req, 0));
        let mut b = [0u8; 16];
        if out.len < 16 {
            return Outcome::Done(result::BAD_PARAM);
        }
        match self.get(env, client.sid, &input, 0, &mut b) {
            Ok(()) => Outcome::Park,
            Err(r) => Outcome::Done(r),
        }
    }

    fn open_module(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        Outcome::Done(match self.try_open(env, req, client) {
            Ok(()) => result::OK,
            Err(r) => r,
        })
    }

    fn try_open(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Result<(), u32> {
        let sid = client.sid;
        let (head, name_arg) = (self.input(req, 0), self.input(req, 1));
        let (out, text) = (self.output(req, 0), self.output(req, 1));
        let mut b = [0u8; 8];
        self.get(env, sid, &head, 0, &mut b)?;
        let (name_len, text_len) = (u32_at(&b, 0) as usize, u32_at(&b, 4));
        if name_len as u64 > name_arg.len || u64::from(text_len) > text.len || out.len < 8 {
            return Err(result::BAD_PARAM);
        }
        let mut buf = [0u8; NAME_MAX];
        let module = match buf.get_mut(..name_len) {
            Some(name) => {
                self.get(env, sid, &name_arg, 0, name)?;
                match name.split_last() {
                    Some((0, text)) => modules::find(text),
                    _ => None,
                }
            }
            None => None,
        };
        let mut answer = [0u8; 8];
        let (number, error) = answer.split_at_mut(4);
        match module {
            Some(m) => {
                number.copy_from_slice(&self.add_handle(client.id, m)?.to_le_bytes());
                bump(&mut self.t.core.counters.opens);
            }
            None => {
                error.copy_from_slice(&result::NO_MODULE.to_le_bytes());
                let n = NO_MODULE_TEXT.len().min(text_len as usize);
                self.put(env, sid, &text, 0, NO_MODULE_TEXT.get(..n).unwrap_or(&[]))?;
            }
        }
        self.put(env, sid, &out, 0, &answer)
    }

    fn add_handle(&mut self, client: u32, module: Module) -> Result<u32, u32> {
        let slot = self
            .t
            .handles
            .iter_mut()
            .find(|h| h.number == 0)
            .ok_or(result::NO_MEMORY)?;
        let number = self.t.core.next_handle;
        *slot = Handle {
            number,
            client,
            module,
        };
        // Numbers are not reused soon, and never fall into the static range.
        self.t.core.next_handle = number.checked_add(1).unwrap_or(0x100);
        Ok(number)
    }

    fn close_module(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        Outcome::Done(match self.try_close(env, req, client) {
            Ok(()) => result::OK,
            Err(r) => r,
        })
    }

    fn try_close(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Result<(), u32> {
        let (head, out) = (self.input(req, 0), self.output(req, 0));
        let mut b = [0u8; 8];
        self.get(env, client.sid, &head, 0, &mut b)?;
        let number = u32_at(&b, 0);
        let found = self
            .t
            .handles
            .iter_mut()
            .find(|h| number != 0 && h.number == number && h.client == client.id);
        let error = match found {
            Some(h) => {
                *h = Handle::EMPTY;
                bump(&mut self.t.core.counters.closes);
                result::OK
            }
            None => result::BAD_HANDLE,
        };
        self.put(env, client.sid, &out, 0, &error.to_le_bytes())
    }
}
