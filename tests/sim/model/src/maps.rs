// SPDX-License-Identifier: GPL-2.0

//! Handle 1, the process manager: MMAP, MUNMAP, MEM_MAP, MEM_UNMAP.
//!
//! Sections 11, 13 and 14 of the protocol document. Called by `procman`.

use super::args::bad;
use super::env::Env;
use super::state::{bump, Map, Profile, State};
use super::wire::{result, u32_at, u64_at, Request, PAGE};

impl State<'_> {
    /// Enters a mapping and gives its DSP address.
    fn add_map(&mut self, mut map: Map) -> Result<u64, u32> {
        let step = map.size.div_ceil(PAGE).saturating_mul(PAGE).max(PAGE);
        let slot = self
            .t
            .maps
            .iter_mut()
            .find(|m| m.client == 0)
            .ok_or(result::NO_MEMORY)?;
        let core = &mut *self.t.core;
        map.vaddr = match core.knobs.vaddr() {
            Some(odd) => odd,
            None => {
                let next = core.next_vaddr;
                core.next_vaddr = next.wrapping_add(step);
                next
            }
        };
        core.map_age += 1;
        map.age = core.map_age;
        *slot = map;
        bump(&mut self.t.core.counters.maps);
        Ok(map.vaddr)
    }

    fn put_reply(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        vaddr: u64,
    ) -> Result<(), u32> {
        let out = self.output(req, 0);
        if out.len != 8 {
            bad!(env, req, "map reply of {} bytes", out.len);
        }
        self.put(env, sid, &out, 0, &vaddr.to_le_bytes())
    }

    pub(super) fn mmap(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let mut b = [0u8; 24];
        self.exact(env, req, sid, 0, &mut b)?;
        let (id, flags, hint) = (u32_at(&b, 0), u32_at(&b, 4), u64_at(&b, 8));
        self.named(env, req, sid, id)?;
        if u32_at(&b, 16) != 16 {
            bad!(env, req, "page array of {} bytes", u32_at(&b, 16));
        }
        if u32_at(&b, 20) != 0 {
            self.tolerate(env, req, format_args!("bytes in the padding of MMAP"));
        }
        // Buffers of the user come with a hint, pages of the kernel without; the in-tree driver
        // knows the latter only.
        let stock = self.t.core.profile == Profile::Stock;
        if !matches!(flags, 0x1000 | 0x3000 | 6) || (stock && hint != 0) {
            bad!(env, req, "MMAP flags {:#x} hint {:#x}", flags, hint);
            return Err(result::UNSUPPORTED);
        }
        let (pages, size) = self.page_argument(env, req, sid, 1, true)?;
        if size == 0 {
            bad!(env, req, "MMAP of nothing");
            return Err(result::BAD_PARAM);
        }
        let vaddr = self.add_map(Map {
            client: id,
            flags,
            size,
            pages,
            ..Map::EMPTY
        })?;
        self.put_reply(env, req, sid, vaddr)
    }

    pub(super) fn munmap(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
    ) -> Result<(), u32> {
        let mut b = [0u8; 24];
        self.exact(env, req, sid, 0, &mut b)?;
        let (id, vaddr, size) = (u32_at(&b, 0), u64_at(&b, 8), u64_at(&b, 16));
        self.named(env, req, sid, id)?;
        if u32_at(&b, 4) != 0 {
            self.tolerate(env, req, format_args!("bytes in the padding of MUNMAP"));
        }
        let found =
            |m: &Map| m.client == id && m.fd.is_none() && m.vaddr == vaddr && m.size == size;
        self.drop_map(env, req, sid, found)
    }

    fn drop_map(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        found: impl Fn(&Map) -> bool,
    ) -> Result<(), u32> {
        let slot = self
            .t
            .maps
            .iter_mut()
            .find(|m| found(m))
            .ok_or(result::NO_MAP)?;
        let pages = slot.pages;
        *slot = Map::EMPTY;
        Self::check_pinned(env, req, sid, &pages, "mapping");
        bump(&mut self.t.core.counters.unmaps);
        Ok(())
    }

    pub(super) fn mem_map(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
    ) -> Result<(), u32> {
        let mut b = [0u8; 32];
        self.exact(env, req, sid, 0, &mut b)?;
        let (id, fd) = (u32_at(&b, 0), u32_at(&b, 4));
        let (offset, flags) = (u32_at(&b, 8), u32_at(&b, 12));
        self.named(env, req, sid, id)?;
        if u32_at(&b, 24) != 16 || u32_at(&b, 28) != 0 || self.input(req, 2).len != 0 {
            bad!(env, req, "MEM_MAP with wrong array sizes");
        }
        if !matches!(flags, 0 | 2 | 3 | 16) {
            self.tolerate(env, req, format_args!("MEM_MAP flags {flags}"));
            return Err(result::UNSUPPORTED);
        }
        // Some drivers send the length that was asked for, not whole pages.
        let (pages, size) = self.page_argument(env, req, sid, 1, false)?;
        if size <= u64::from(offset) {
            self.tolerate(
                env,
                req,
                format_args!("MEM_MAP at offset {offset} of {size} bytes"),
            );
            return Err(result::BAD_PARAM);
        }
        let vaddr = self.add_map(Map {
            client: id,
            fd: Some(fd),
            flags,
            offset,
            size,
            pages,
            ..Map::EMPTY
        })?;
        self.put_reply(env, req, sid, vaddr)
    }

    pub(super) fn mem_unmap(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
    ) -> Result<(), u32> {
        let mut b = [0u8; 24];
        self.exact(env, req, sid, 0, &mut b)?;
        let (id, fd, vaddr) = (u32_at(&b, 0), u32_at(&b, 4), u64_at(&b, 8));
        self.named(env, req, sid, id)?;
        let found = |m: &Map| m.client == id && m.fd == Some(fd) && m.vaddr == vaddr;
        self.drop_map(env, req, sid, found)
    }
}
