// SPDX-License-Identifier: GPL-2.0

//! Whether memory that the DSP may use still has its pages.
//!
//! The model remembers a range by a hash of the physical addresses of its pages. It cannot keep
//! them all: of a range with more than [`SAMPLES`] pages it looks at every n-th page and at the
//! last one, n as small as the limit allows (so every page up to 16 MiB, every 128th of 2 GiB).

use super::args::bad;
use super::env::{Env, Fault};
use super::state::{Client, State, Wait};
use super::wire::{Request, PAGE};

/// Pages of a range that are looked at, not counting the last one.
pub const SAMPLES: u64 = 4096;

/// A range of DSP memory whose pages the model remembers, so that it notices when a page goes
/// away or is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Page aligned address without SID prefix.
    pub iova: u64,
    /// Bytes, a multiple of the page size; 0 when there is no range.
    pub size: u64,
    /// Hash of the physical addresses of the pages that are looked at, in order.
    pub hash: u64,
}

impl Pinned {
    /// No range.
    pub const EMPTY: Self = Self {
        iova: 0,
        size: 0,
        hash: 0,
    };
}

/// The buffer of a handle argument: the DSP may use it until it says that it dropped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Client id of the process; 0 marks a free entry.
    pub client: u32,
    /// The fd that the descriptor named.
    pub fd: u32,
    /// Pages of the whole buffer.
    pub pages: Pinned,
}

impl Held {
    /// A free entry.
    pub const EMPTY: Self = Self {
        client: 0,
        fd: 0,
        pages: Pinned::EMPTY,
    };
}

impl State<'_> {
    /// Remembers the pages of a range; the fault when one of them is not mapped.
    pub fn pin(env: &mut impl Env, sid: u32, iova: u64, size: u64) -> Result<Pinned, Fault> {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let pages = size.div_ceil(PAGE);
        let step = pages.div_ceil(SAMPLES).max(1);
        let mut page = 0u64;
        while page < pages {
            let at = iova.wrapping_add(page.wrapping_mul(PAGE));
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
            page = match pages - page {
                1 => pages,
                left => page + step.min(left - 1),
            };
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

    /// Remembers the buffers of the handle arguments of a call.
    pub fn hold(&mut self, env: &mut impl Env, req: &Request, client: &Client) {
        for i in 0..req.handles() {
            let arg = self.handle(req, i);
            if arg.size == 0 {
                continue;
            }
            let (_, iova) = self.split(arg.page);
            let fd = arg.pv as u32;
            let known = self.t.held.iter().find(|h| {
                let p = &h.pages;
                h.client == client.id && h.fd == fd && p.iova == iova && p.size == arg.size
            });
            if let Some(known) = known {
                Self::check_pinned(env, req, client.sid, &known.pages, "buffer of a handle");
                continue;
            }
            // Its pages were there a moment ago, when the arguments were loaded.
            let Ok(pages) = Self::pin(env, client.sid, iova, arg.size) else {
                continue;
            };
            if let Some(slot) = self.t.held.iter_mut().find(|h| h.client == 0) {
                *slot = Held {
                    client: client.id,
                    fd,
                    pages,
                };
            }
        }
    }

    /// The DSP said that it dropped `fd`: its buffers may go.
    pub fn let_go(&mut self, client: u32, fd: u32) {
        let mine = |h: &&mut Held| h.client == client && h.fd == fd;
        for h in self.t.held.iter_mut().filter(mine) {
            *h = Held::EMPTY;
        }
    }

    /// Checks everything that a process may reach but its unanswered calls.
    pub fn check_client(&self, env: &mut impl Env, req: &Request, client: &Client) {
        let sid = client.sid;
        Self::check_pinned(env, req, sid, &client.init, "init memory");
        for m in self.t.maps.iter().filter(|m| m.client == client.id) {
            Self::check_pinned(env, req, sid, &m.pages, "mapping");
        }
        for h in self.t.held.iter().filter(|h| h.client == client.id) {
            Self::check_pinned(env, req, sid, &h.pages, "buffer of a handle");
        }
    }

    /// Checks everything that live processes and unanswered calls may reach.
    pub fn check_all(&self, env: &mut impl Env) {
        for client in self.t.clients.iter().filter(|c| c.id != 0) {
            let req = Request {
                client: client.id,
                ..Request::EMPTY
            };
            self.check_client(env, &req, client);
        }
        for call in self.t.calls.iter() {
            if !matches!(call.wait, Wait::Free | Wait::Running) {
                let (sid, _) = self.split(call.req.addr);
                Self::check_pinned(env, &call.req, sid, &call.message, "message buffer");
            }
        }
    }
}
