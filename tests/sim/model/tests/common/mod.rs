// SPDX-License-Identifier: GPL-2.0

//! A world for the model: memory behind a simulated SMMU, and a driver that builds
//! well-formed messages by hand.

#![allow(dead_code, reason = "not every test file uses every helper")]

pub mod module;

use qda_sim_model::args::Arg;
use qda_sim_model::pinned::Held;
use qda_sim_model::state::{Call, CALLS, CLIENTS, HANDLES, MAPS};
use qda_sim_model::wire::MAX_ARGS;
use qda_sim_model::{Client, Core, Env, Fault, Handle, Map, Packet, Profile, State, Tables};
use std::collections::HashMap;
use std::fmt;

pub const PAGE: u64 = 4096;

/// Memory, answers and reports.
#[derive(Default)]
pub struct World {
    pub pages: HashMap<(u32, u64), usize>,
    pub memory: Vec<[u8; 4096]>,
    pub answers: Vec<(u64, u32)>,
    /// Packets that are no usual answers, each with the number of answers before it.
    pub packets: Vec<(usize, Packet)>,
    pub violations: Vec<String>,
    pub faults: Vec<Fault>,
    pub now: u64,
    pub banks: HashMap<u32, u32>,
    /// Pages that are mapped for reading only.
    pub read_only: Vec<(u32, u64)>,
    /// How far the clock goes with every look at it.
    pub step: u64,
    /// All pages go away when an answer arrives.
    pub unmap_on_answer: bool,
}

impl World {
    /// Maps fresh zeroed pages.
    pub fn map(&mut self, sid: u32, iova: u64, size: u64) {
        for off in (0..size).step_by(PAGE as usize) {
            self.memory.push([0; 4096]);
            self.pages.insert((sid, iova + off), self.memory.len() - 1);
        }
    }

    pub fn unmap(&mut self, sid: u32, iova: u64) {
        assert!(self.pages.remove(&(sid, iova)).is_some());
    }

    fn at(&self, sid: u32, iova: u64) -> Option<(usize, usize)> {
        let page = self.pages.get(&(sid, iova / PAGE * PAGE))?;
        Some((*page, (iova % PAGE) as usize))
    }

    pub fn poke(&mut self, sid: u32, iova: u64, bytes: &[u8]) {
        self.write(sid, iova, bytes).expect("test memory is mapped");
    }

    pub fn peek(&mut self, sid: u32, iova: u64, n: usize) -> Vec<u8> {
        let mut v = vec![0; n];
        self.read(sid, iova, &mut v).expect("test memory is mapped");
        v
    }
}

impl Env for World {
    fn bank_sessions(&mut self, sid: u32) -> Option<u32> {
        self.banks.get(&sid).copied()
    }
    fn translate(&mut self, sid: u32, iova: u64) -> Option<u64> {
        self.at(sid, iova)
            .map(|(p, o)| 0x4000_0000 + p as u64 * PAGE + o as u64)
    }
    fn writable(&mut self, sid: u32, iova: u64) -> bool {
        !self.read_only.contains(&(sid, iova / PAGE * PAGE))
    }
    fn read(&mut self, sid: u32, iova: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let (mut iova, write) = (iova, false);
        let mut rest = buf;
        while !rest.is_empty() {
            let (p, o) = self.at(sid, iova).ok_or(Fault { sid, iova, write })?;
            let n = rest.len().min(4096 - o);
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&self.memory[p][o..o + n]);
            rest = later;
            iova += n as u64;
        }
        Ok(())
    }
    fn write(&mut self, sid: u32, iova: u64, buf: &[u8]) -> Result<(), Fault> {
        let (mut iova, write) = (iova, true);
        let mut rest = buf;
        while !rest.is_empty() {
            let writable = self.writable(sid, iova);
            let place = self.at(sid, iova).filter(|_| writable);
            let (p, o) = place.ok_or(Fault { sid, iova, write })?;
            let n = rest.len().min(4096 - o);
            let (now, later) = rest.split_at(n);
            self.memory[p][o..o + n].copy_from_slice(now);
            rest = later;
            iova += n as u64;
        }
        Ok(())
    }
    fn answer(&mut self, ctx: u64, retval: u32) {
        self.answers.push((ctx, retval));
        if self.unmap_on_answer {
            self.pages.clear();
        }
    }
    fn packet(&mut self, packet: &Packet) {
        self.packets.push((self.answers.len(), *packet));
    }
    fn violation(&mut self, what: fmt::Arguments<'_>) {
        self.violations.push(what.to_string());
    }
    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
    fn rest(&mut self) {}
    fn now_ms(&mut self) -> u64 {
        self.now += self.step;
        self.now
    }
}

/// An argument of a message under construction.
#[derive(Clone)]
pub enum A {
    In(Vec<u8>),
    Out(usize),
    /// In or out buffer elsewhere, by address of its first byte.
    InAt(u64, usize),
    OutAt(u64, usize),
    InHandle(H),
    OutHandle(H),
}

/// A handle argument: descriptor and page entry.
#[derive(Clone, Copy)]
pub struct H {
    pub fd: i32,
    pub offset: u32,
    pub len: u32,
    pub iova: u64,
    pub size: u64,
}

/// One request with its message buffer, before it is sent. Fields may be spoiled.
#[derive(Clone)]
pub struct Msg {
    pub sid: u32,
    pub iova: u64,
    pub client: u32,
    pub ctx: u64,
    pub handle: u32,
    pub sc: u32,
    pub addr: u64,
    pub size: u64,
    pub buffer: Vec<u8>,
    /// Offset and length of the data of every argument.
    pub data: Vec<(usize, usize)>,
}

impl Msg {
    pub fn put(&mut self, off: usize, bytes: &[u8]) {
        self.buffer[off..off + bytes.len()].copy_from_slice(bytes);
    }

    pub fn nargs(&self) -> usize {
        self.data.len()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut v = Vec::new();
        v.extend(self.client.to_le_bytes());
        v.extend(77u32.to_le_bytes());
        v.extend(self.ctx.to_le_bytes());
        v.extend(self.handle.to_le_bytes());
        v.extend(self.sc.to_le_bytes());
        v.extend(self.addr.to_le_bytes());
        v.extend(self.size.to_le_bytes());
        v
    }
}

/// The DSP with its tables, the world, and a driver.
pub struct Rig {
    core: Core,
    clients: Vec<Client>,
    calls: Vec<Call>,
    handles: Vec<Handle>,
    maps: Vec<Map>,
    held: Vec<Held>,
    args: Vec<Arg>,
    order: Vec<u16>,
    scratch: Vec<u8>,
    pub w: World,
    seq: u64,
    index: u64,
}

impl Rig {
    pub fn new(profile: Profile) -> Self {
        let mut rig = Self {
            core: Core::new(32, 32),
            clients: vec![Client::EMPTY; CLIENTS],
            calls: vec![Call::EMPTY; CALLS],
            handles: vec![Handle::EMPTY; HANDLES],
            maps: vec![Map::EMPTY; MAPS],
            args: vec![Arg::EMPTY; MAX_ARGS],
            held: vec![Held::EMPTY; 8],
            order: vec![0; MAX_ARGS],
            // Small, so that everything needs several pieces.
            scratch: vec![0; 64],
            w: World::default(),
            seq: 0,
            index: 0,
        };
        for sid in 1..=4 {
            rig.w.banks.insert(sid, if sid == 4 { 2 } else { 1 });
        }
        rig.state().open(profile);
        rig
    }

    pub fn state(&mut self) -> State<'_> {
        State::new(Tables {
            core: &mut self.core,
            clients: &mut self.clients,
            calls: &mut self.calls,
            handles: &mut self.handles,
            maps: &mut self.maps,
            args: &mut self.args,
            order: &mut self.order,
            held: &mut self.held,
            scratch: &mut self.scratch,
        })
    }

    /// Runs `f` with state and world.
    pub fn with<R>(&mut self, f: impl FnOnce(&mut State<'_>, &mut World) -> R) -> R {
        let mut w = std::mem::take(&mut self.w);
        let r = f(&mut self.state(), &mut w);
        self.w = w;
        r
    }

    /// A well-formed message, laid out by the protocol document.
    pub fn build(
        &mut self,
        sid: u32,
        client: u32,
        pd: u64,
        handle: u32,
        method: u32,
        args: &[A],
    ) -> Msg {
        self.seq += 1;
        self.index = self.index % 255 + 1;
        let n = args.len();
        let count = |f: fn(&A) -> bool| args.iter().filter(|a| f(a)).count() as u32;
        let ins = count(|a| matches!(a, A::In(_) | A::InAt(..)));
        let outs = count(|a| matches!(a, A::Out(_) | A::OutAt(..)));
        let in_handles = count(|a| matches!(a, A::InHandle(_)));
        let out_handles = count(|a| matches!(a, A::OutHandle(_)));
        let iova = 0x10_0000 + self.index * 0x40_0000;
        let mut off = (40 * n + 388).next_multiple_of(128);
        let mut data = Vec::new();
        for a in args {
            let len = match a {
                A::In(v) => v.len(),
                A::Out(l) => *l,
                _ => 0,
            };
            if len == 0 {
                data.push((0, 0));
                continue;
            }
            off = off.next_multiple_of(128);
            data.push((off, len));
            off += len;
        }
        let size = off.next_multiple_of(4096);
        let mut buffer = vec![0u8; size];
        for (i, (a, (off, len))) in args.iter().zip(&data).enumerate() {
            let list = 16 * n + 8 * i;
            let page = 24 * n + 16 * i;
            let mut put = |off: usize, v: u64| {
                buffer[off..off + 8].copy_from_slice(&v.to_le_bytes());
            };
            let bank = u64::from(sid) << 32;
            match a {
                A::InAt(at, len) | A::OutAt(at, len) => {
                    put(16 * i, *at);
                    put(16 * i + 8, *len as u64);
                    put(list, 1 | ((i as u64) << 32));
                    put(page, bank | (at / PAGE * PAGE));
                    put(page + 8, (at % PAGE + *len as u64).next_multiple_of(PAGE));
                    continue;
                }
                A::InHandle(h) | A::OutHandle(h) => {
                    put(16 * i, u64::from(h.fd as u32) | (u64::from(h.offset) << 32));
                    put(16 * i + 8, u64::from(h.len));
                    put(list, u64::from(h.len != 0) | ((i as u64) << 32));
                    if h.size != 0 {
                        put(page, bank | h.iova);
                        put(page + 8, h.size);
                    }
                    continue;
                }
                A::In(_) | A::Out(_) => {}
            }
            buffer[list..list + 4].copy_from_slice(&u32::from(*len != 0).to_le_bytes());
            buffer[list + 4..list + 8].copy_from_slice(&(i as u32).to_le_bytes());
            if *len == 0 {
                continue;
            }
            let at = iova + *off as u64;
            let pages = (at % PAGE + *len as u64).next_multiple_of(PAGE);
            buffer[16 * i..16 * i + 8].copy_from_slice(&at.to_le_bytes());
            buffer[16 * i + 8..16 * i + 16].copy_from_slice(&(*len as u64).to_le_bytes());
            let dsp = (u64::from(sid) << 32) | (at / PAGE * PAGE);
            buffer[page..page + 8].copy_from_slice(&dsp.to_le_bytes());
            buffer[page + 8..page + 16].copy_from_slice(&pages.to_le_bytes());
            if let A::In(v) = a {
                buffer[*off..*off + *len].copy_from_slice(v);
            }
        }
        Msg {
            sid,
            iova,
            client,
            ctx: (self.seq << 16) | (self.index << 8) | pd,
            handle,
            sc: (method << 24) | (ins << 16) | (outs << 8) | (in_handles << 4) | out_handles,
            addr: (u64::from(sid) << 32) | iova,
            size: size as u64,
            buffer,
            data,
        }
    }

    /// Puts the buffer into memory and sends the request.
    pub fn send(&mut self, m: &Msg) {
        if !self.w.pages.contains_key(&(m.sid, m.iova)) {
            self.w.map(m.sid, m.iova, (m.buffer.len() as u64).max(PAGE));
        }
        self.w.poke(m.sid, m.iova, &m.buffer);
        self.raw(&m.bytes());
    }

    /// Sends bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.with(|s, w| s.message(w, bytes));
    }

    /// Sends and takes the answer, which must come at once.
    pub fn call(&mut self, m: &Msg) -> u32 {
        let before = self.w.answers.len();
        self.send(m);
        assert_eq!(self.w.answers.len(), before + 1, "one answer");
        let (ctx, retval) = self.w.answers[before];
        assert_eq!(ctx, m.ctx, "context word is echoed");
        retval
    }

    /// A map call of the kernel: MMAP with `fd` none, else MEM_MAP. Gives result and address.
    pub fn map_call(
        &mut self,
        sid: u32,
        id: u32,
        fd: Option<i32>,
        flags: u32,
        (iova, size): (u64, u64),
    ) -> (u32, u64) {
        let m = self.map_msg(sid, id, fd, flags, (iova, size));
        let retval = self.call(&m);
        let out = self.out(&m, m.nargs() - 1);
        (retval, u64::from_le_bytes(out.try_into().unwrap()))
    }

    /// The message of [`Rig::map_call`].
    pub fn map_msg(
        &mut self,
        sid: u32,
        id: u32,
        fd: Option<i32>,
        flags: u32,
        (iova, size): (u64, u64),
    ) -> Msg {
        let words = |list: &[u32]| A::In(list.iter().flat_map(|w| w.to_le_bytes()).collect());
        let page = words(&[iova as u32, sid, size as u32, (size >> 32) as u32]);
        match fd {
            None => {
                let head = words(&[id, flags, 0, 0, 16, 0]);
                self.build(sid, 0, 1, 1, 4, &[head, page, A::Out(8)])
            }
            Some(fd) => {
                let head = words(&[id, fd as u32, 0, flags, 0, 0, 16, 0]);
                let args = [head, page, A::In(vec![]), A::Out(8)];
                self.build(sid, 0, 1, 1, 10, &args)
            }
        }
    }

    /// An unmap call of the kernel, MUNMAP with `fd` none, else MEM_UNMAP.
    pub fn unmap_call(&mut self, sid: u32, id: u32, fd: Option<i32>, vaddr: u64, size: u64) -> u32 {
        let mut head = id.to_le_bytes().to_vec();
        head.extend(fd.unwrap_or(0).to_le_bytes());
        head.extend(vaddr.to_le_bytes());
        head.extend(size.to_le_bytes());
        let method = if fd.is_some() { 11 } else { 5 };
        let m = self.build(sid, 0, 1, 1, method, &[A::In(head)]);
        self.call(&m)
    }

    /// Content of out argument `i` (counted over all arguments).
    pub fn out(&mut self, m: &Msg, i: usize) -> Vec<u8> {
        let (off, len) = m.data[i];
        self.w.peek(m.sid, m.iova + off as u64, len)
    }

    pub fn create_msg(&mut self, sid: u32, id: u32) -> Msg {
        let init = 0xE000_0000 + u64::from(id) * 0x10_0000;
        self.w.map(sid, init, 0x4000);
        let mut head = Vec::new();
        for word in [id, 5, 0, 1, 8, 0] {
            head.extend(u32::to_le_bytes(word));
        }
        let mut page = Vec::new();
        page.extend(((u64::from(sid) << 32) | init).to_le_bytes());
        page.extend(0x4000u64.to_le_bytes());
        let args = [
            A::In(head),
            A::In(b"test\0".to_vec()),
            A::In(vec![]),
            A::In(page),
        ];
        self.build(sid, 0, 1, 1, 7, &args)
    }

    pub fn create(&mut self, sid: u32, id: u32) {
        let m = self.create_msg(sid, id);
        assert_eq!(self.call(&m), 0);
        assert_eq!(self.w.violations, Vec::<String>::new());
    }

    pub fn release(&mut self, sid: u32, id: u32, pd: u64) -> u32 {
        let m = self.build(sid, 0, pd, 1, 1, &[A::In(id.to_le_bytes().to_vec())]);
        let before = self.w.answers.len();
        self.send(&m);
        assert!(self.w.answers.len() > before);
        let (ctx, retval) = *self.w.answers.last().unwrap();
        assert_eq!(ctx, m.ctx, "RELEASE is answered last");
        retval
    }

    pub fn open_name(&mut self, sid: u32, id: u32, handle: u32, name: &str) -> (u32, u32) {
        let mut head = (name.len() as u32 + 1).to_le_bytes().to_vec();
        head.extend(255u32.to_le_bytes());
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        let method = if handle == 8 { 2 } else { 0 };
        let args = [A::In(head), A::In(text), A::Out(8), A::Out(255)];
        let m = self.build(sid, id, 1, handle, method, &args);
        assert_eq!(self.call(&m), 0);
        let out = self.out(&m, 2);
        (
            u32::from_le_bytes(out[..4].try_into().unwrap()),
            u32::from_le_bytes(out[4..].try_into().unwrap()),
        )
    }

    pub fn open(&mut self, sid: u32, id: u32, module: &str) -> u32 {
        let name = format!(
            "file:///lib{module}_skel.so?{module}_skel_handle_invoke&_modver=1.0&_dom=cdsp"
        );
        let (handle, err) = self.open_name(sid, id, 8, &name);
        assert_eq!(err, 0);
        assert!(handle > 20);
        handle
    }

    pub fn clean(&self) {
        assert_eq!(self.w.violations, Vec::<String>::new());
        assert_eq!(self.w.faults, Vec::new());
    }
}
