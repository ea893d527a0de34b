// SPDX-License-Identifier: GPL-2.0

//! Module mem: looks at buffers by address, by argument and by mapping, for tests.
//!
//! `tests/sim/README.md` defines its methods.

use super::args::Arg;
use super::bulk::Stream;
use super::dsp::Outcome;
use super::env::{Env, Fault};
use super::state::{Client, Map, State};
use super::wire::{result, u32_at, u64_at, Request, FDS, PAGE};

/// Pages that a scan goes through at most: an address space of 34 bits.
const MAX_SCAN: u64 = 1 << 22;
/// Bytes of a record of args.
const ARG_RECORD: usize = 64;
/// Bytes of a record of list.
const MAP_RECORD: usize = 40;

/// Puts words one behind the other; what does not fit is left out.
fn pack(to: &mut [u8], words: &[&[u8]]) {
    let bytes = words.iter().flat_map(|w| w.iter());
    for (to, from) in to.iter_mut().zip(bytes) {
        *to = *from;
    }
}

impl State<'_> {
    /// A call of module mem.
    pub fn mem(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        let sid = client.sid;
        let done = match (req.method(), req.sc) {
            (2, 0x0201_0100) => self.mem_sum(env, req, sid),
            (3, 0x0301_0000) => self.mem_fill(env, req, sid),
            (4, 0x0401_0100) => self.mem_scan(env, req, sid),
            (5, _) => self.mem_args(env, req, sid),
            (6, _) => self.mem_touch(env, req, sid),
            (7, _) => return self.mem_drop(env, req, client),
            (8, 0x0801_0100) => self.mem_mapped(env, req, client),
            (9, 0x0901_0100) => self.mem_map_read(env, req, client),
            (10, 0x0A02_0000) => self.mem_map_write(env, req, client),
            (11, 0x0B00_0100) => self.mem_list(env, req, client),
            (12, 0x0C01_0100) => self.mem_heap(env, req, client),
            _ => Err(result::UNSUPPORTED),
        };
        Outcome::Done(done.err().unwrap_or(result::OK))
    }

    /// Address and length in the first 16 bytes of in[0]; `None` for the address when it names
    /// another bank, which a process cannot reach.
    fn mem_range(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
    ) -> Result<(Option<u64>, u64, u64), u32> {
        let head = self.input(req, 0);
        let mut b = [0u8; 16];
        self.get(env, sid, &head, 0, &mut b)?;
        let (prefix, iova) = self.split(u64_at(&b, 0));
        let mine = (prefix == 0 || prefix == sid).then_some(iova);
        Ok((mine, iova, u64_at(&b, 8)))
    }

    /// The range of in[0] for an access, which faults at once in another bank.
    fn mem_target(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        sid: u32,
        write: bool,
    ) -> Result<Arg, u32> {
        match self.mem_range(env, req, sid)? {
            (Some(iova), _, len) => Ok(Arg::range(iova, len)),
            (None, iova, _) => Err(self.faulted(env, Fault { sid, iova, write })),
        }
    }

    fn mem_sum(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let from = self.mem_target(env, req, sid, false)?;
        let sum = self.checksum(env, sid, &from)?.to_bytes();
        let out = self.output(req, 0);
        self.put(env, sid, &out, 0, &sum)
    }

    fn mem_fill(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let to = self.mem_target(env, req, sid, true)?;
        let head = self.input(req, 0);
        let mut seed = [0u8; 8];
        self.get(env, sid, &head, 16, &mut seed)?;
        self.stream(env, sid, &to, u64::from_le_bytes(seed))
    }

    fn mem_scan(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let (mine, iova, len) = self.mem_range(env, req, sid)?;
        let first = iova / PAGE;
        let pages = match len {
            0 => 0,
            _ => (iova % PAGE).saturating_add(len).div_ceil(PAGE),
        };
        if pages > MAX_SCAN {
            return Err(result::BAD_PARAM);
        }
        let (mut good, mut bad) = (0u64, 0u64);
        let (mut first_good, mut first_bad) = (u64::MAX, u64::MAX);
        for page in first..first.saturating_add(pages) {
            let at = page.wrapping_mul(PAGE);
            if mine.is_some() && env.translate(sid, at).is_some() {
                good += 1;
                first_good = first_good.min(at);
            } else {
                bad += 1;
                first_bad = first_bad.min(at);
            }
            if page % 1024 == 0 {
                env.rest();
            }
        }
        let counter = &mut self.t.core.counters.scan_faults;
        *counter = counter.wrapping_add(bad);
        let mut b = [0u8; 32];
        let words = [good, bad, first_good, first_bad].map(u64::to_le_bytes);
        pack(&mut b, &words.each_ref().map(|w| &w[..]));
        let out = self.output(req, 0);
        self.put(env, sid, &out, 0, &b)
    }

    fn mem_args(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let out = self.output(req, 0);
        for i in 0..req.nargs() {
            let Some(arg) = self.t.args.get(i).copied() else {
                break;
            };
            let kind = match i {
                i if i < req.ins() => 0u32,
                i if i < req.buffers() => 1,
                i if i < req.buffers() + req.in_handles() => 2,
                _ => 3,
            };
            let longs = [arg.pv, arg.len, arg.page, arg.size, arg.data].map(u64::to_le_bytes);
            let [pv, len, page, size, data] = &longs;
            let (kind, flags) = (kind.to_le_bytes(), u32::from(arg.inline).to_le_bytes());
            let mut b = [0u8; ARG_RECORD];
            pack(&mut b, &[pv, len, page, size, data, &kind, &flags]);
            self.put(env, sid, &out, (ARG_RECORD * i) as u64, &b)?;
        }
        Ok(())
    }

    /// A handle argument that can be read or written.
    fn mem_handle(&self, req: &Request, i: usize) -> Result<Arg, u32> {
        let arg = self.handle(req, i);
        match arg.size {
            0 => Err(result::BAD_FD),
            _ => Ok(arg),
        }
    }

    fn mem_touch(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let (head, sums) = (self.input(req, 0), self.output(req, 0));
        let mut b = [0u8; 8];
        self.get(env, sid, &head, 0, &mut b)?;
        let mut seed = u64::from_le_bytes(b);
        let mut at = 0u64;
        let readable = req.ins().saturating_sub(1);
        for i in 0..readable + req.in_handles() {
            let arg = match i.checked_sub(readable) {
                None => self.input(req, i + 1),
                Some(h) => self.mem_handle(req, h)?,
            };
            let sum = self.checksum(env, sid, &arg)?.to_bytes();
            self.put(env, sid, &sums, at, &sum)?;
            at += sum.len() as u64;
        }
        let writable = req.outs().saturating_sub(1);
        for i in 0..writable + req.handles() - req.in_handles() {
            let arg = match i.checked_sub(writable) {
                None => self.output(req, i + 1),
                Some(h) => self.mem_handle(req, req.in_handles() + h)?,
            };
            self.stream(env, sid, &arg, seed)?;
            seed = seed.wrapping_add(1);
        }
        Ok(())
    }

    fn mem_drop(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Outcome {
        let head = self.input(req, 0);
        let mut b = [0u8; 8];
        let mut values = [0u64; FDS];
        let read = self.get(env, client.sid, &head, 0, &mut b).and_then(|()| {
            let n = u32_at(&b, 4) as usize;
            let list = values.get_mut(..n).ok_or(result::BAD_PARAM)?;
            for (i, value) in list.iter_mut().enumerate() {
                let mut v = [0u8; 8];
                self.get(env, client.sid, &head, 8 + 8 * i as u64, &mut v)?;
                *value = u64::from_le_bytes(v);
            }
            Ok(n)
        });
        match read {
            Ok(n) => {
                let list = values.get(..n).unwrap_or(&[]);
                self.write_fd_list(env, req, list);
                Outcome::Done(u32_at(&b, 0))
            }
            Err(r) => Outcome::Done(r),
        }
    }

    /// The newest MEM_MAP of `fd`.
    fn newest(&self, client: &Client, fd: u32) -> Result<Map, u32> {
        let mine = |m: &&Map| m.client == client.id && m.fd == Some(fd);
        let maps = self.t.maps.iter().filter(mine);
        maps.max_by_key(|m| m.age).copied().ok_or(result::NO_MAP)
    }

    /// What list and mapped tell about a mapping.
    fn map_record(&self, client: &Client, m: &Map) -> [u8; MAP_RECORD] {
        let same = |o: &&Map| o.client == m.client && o.fd == m.fd;
        let count = match m.fd {
            Some(_) => self.t.maps.iter().filter(same).count() as u32,
            None => 0,
        };
        let longs = [m.vaddr, self.join(client.sid, m.pages.iova), m.size];
        let words = [m.flags, m.fd.unwrap_or(u32::MAX), m.offset, count];
        let ([a, b, c], [d, e, f, g]) =
            (&longs.map(u64::to_le_bytes), &words.map(u32::to_le_bytes));
        let mut record = [0u8; MAP_RECORD];
        pack(&mut record, &[a, b, c, d, e, f, g]);
        record
    }

    fn mem_mapped(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        client: &Client,
    ) -> Result<(), u32> {
        let (head, out) = (self.input(req, 0), self.output(req, 0));
        let mut b = [0u8; 4];
        self.get(env, client.sid, &head, 0, &mut b)?;
        let map = self.newest(client, u32_at(&b, 0))?;
        let record = self.map_record(client, &map);
        self.put(env, client.sid, &out, 0, &record)
    }

    /// The part of a MEM_MAP that in[0] names.
    fn mem_map_part(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        client: &Client,
    ) -> Result<Arg, u32> {
        let head = self.input(req, 0);
        let mut b = [0u8; 16];
        self.get(env, client.sid, &head, 0, &mut b)?;
        let map = self.newest(client, u32_at(&b, 0))?;
        let (len, off) = (u64::from(u32_at(&b, 4)), u64_at(&b, 8));
        if off.checked_add(len).is_none_or(|end| end > map.size) {
            return Err(result::BAD_PARAM);
        }
        Ok(Arg::range(map.pages.iova + off, len))
    }

    fn mem_map_read(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        client: &Client,
    ) -> Result<(), u32> {
        let from = self.mem_map_part(env, req, client)?;
        let to = self.output(req, 0);
        self.move_bytes(env, client.sid, &from, &to)
    }

    fn mem_map_write(
        &mut self,
        env: &mut impl Env,
        req: &Request,
        client: &Client,
    ) -> Result<(), u32> {
        let to = self.mem_map_part(env, req, client)?;
        let from = self.input(req, 1);
        if from.len < to.len {
            return Err(result::BAD_PARAM);
        }
        let from = Arg {
            len: to.len,
            ..from
        };
        self.move_bytes(env, client.sid, &from, &to)
    }

    /// The mapping of a process that is next in age after `age`.
    fn next_map(&self, client: &Client, age: u64) -> Option<Map> {
        let later = |m: &&Map| m.client == client.id && m.age > age;
        let maps = self.t.maps.iter().filter(later);
        maps.min_by_key(|m| m.age).copied()
    }

    fn mem_list(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Result<(), u32> {
        let out = self.output(req, 0);
        let mine = |m: &&Map| m.client == client.id;
        let count = self.t.maps.iter().filter(mine).count() as u64;
        self.put(env, client.sid, &out, 0, &count.to_le_bytes())?;
        let (mut age, mut off) = (0u64, 8u64);
        while let Some(map) = self.next_map(client, age) {
            if out.len - off < MAP_RECORD as u64 {
                break;
            }
            let record = self.map_record(client, &map);
            self.put(env, client.sid, &out, off, &record)?;
            age = map.age;
            off += MAP_RECORD as u64;
            env.rest();
        }
        Ok(())
    }

    fn mem_heap(&mut self, env: &mut impl Env, req: &Request, client: &Client) -> Result<(), u32> {
        let (head, out) = (self.input(req, 0), self.output(req, 0));
        let sid = client.sid;
        let mut b = [0u8; 8];
        self.get(env, sid, &head, 0, &mut b)?;
        let first = u64::from_le_bytes(b);
        let (mut count, mut bytes, mut wrong) = (0u64, 0u64, 0u64);
        for check in [false, true] {
            let (mut age, mut seed) = (0u64, first);
            while let Some(map) = self.next_map(client, age) {
                age = map.age;
                if map.fd.is_some() {
                    continue;
                }
                let range = Arg::range(map.pages.iova, map.size);
                if check {
                    let mut stream = Stream::new(seed);
                    self.read_all(env, sid, &range, |part| {
                        wrong = wrong.saturating_add(stream.differences(part));
                    })?;
                    count += 1;
                    bytes = bytes.saturating_add(map.size);
                } else {
                    self.stream(env, sid, &range, seed)?;
                }
                seed = seed.wrapping_add(1);
            }
        }
        for (i, word) in [count, bytes, wrong].iter().enumerate() {
            self.put(env, sid, &out, 8 * i as u64, &word.to_le_bytes())?;
        }
        Ok(())
    }
}
