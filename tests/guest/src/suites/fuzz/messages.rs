// SPDX-License-Identifier: GPL-2.0
//! Calls of modules, in both styles, with all kinds of arguments.

use std::sync::atomic::Ordering;

use super::steps::u64_at;
use super::world::{
    Buffer,
    Client,
    World, //
};
use crate::calls::now_ns;
use crate::dsp::{
    self,
    u32_at,
    CURRENT_PROCESS,
    REMOTECTL, //
};
use crate::dspmem;
use crate::mem::{
    bytes_of,
    BAD_ADDRESSES, //
};
use crate::raw::{
    self,
    Arg,
    Elem,
    Invoke,
    ARG_BUFFER,
    ARG_HANDLE,
    ARG_IN,
    ARG_INLINE,
    ARG_OUT, //
};

const MODULES: [&str; 4] = ["echo", "calculator", "fail", "mem"];

/// Data of one call is put here, one after the other.
const INPUTS: u64 = 4096;
const OUTPUTS: u64 = 128 << 10;

/// One argument, in the terms of both styles.
#[derive(Clone, Copy)]
struct Part {
    out: bool,
    /// In handle position.
    handle: bool,
    /// Address of inline data, or where a buffer is mapped.
    at: u64,
    offset: u64,
    length: u64,
    buffer: Option<Buffer>,
}

/// A call that a sane client could make.
struct Plan {
    method: u32,
    /// In the order of the protocol.
    parts: Vec<Part>,
    inputs: u64,
    outputs: u64,
    /// Inline outputs by address, and the bytes that must be there when all went well.
    expected: Vec<(u64, Vec<u8>)>,
}

impl Plan {
    fn new(method: u32) -> Self {
        Plan {
            method,
            parts: Vec::new(),
            inputs: INPUTS,
            outputs: OUTPUTS,
            expected: Vec::new(),
        }
    }

    fn inline(&mut self, out: bool, length: u64) -> u64 {
        let place = if out {
            &mut self.outputs
        } else {
            &mut self.inputs
        };
        let offset = *place;
        *place += length + 3;
        self.parts.push(Part {
            out,
            handle: false,
            at: 0,
            offset,
            length,
            buffer: None,
        });
        offset
    }

    fn range(&mut self, out: bool, handle: bool, buffer: Buffer, offset: u64, length: u64) {
        self.parts.push(Part {
            out,
            handle,
            at: buffer.at,
            offset,
            length,
            buffer: Some(buffer),
        });
    }

    /// Inputs first, then outputs, then handles.
    fn sort(&mut self) {
        self.parts.sort_by_key(|part| (part.handle, part.out));
    }

    fn count(&self, handle: bool, out: bool) -> usize {
        let of = |part: &&Part| (part.handle, part.out) == (handle, out);
        self.parts.iter().filter(of).count()
    }

    fn scalars(&self) -> u32 {
        raw::scalars(
            self.method,
            self.count(false, false),
            self.count(false, true),
            self.count(true, false),
            self.count(true, true),
        )
    }
}

impl World {
    /// Puts an inline input.
    fn input(&mut self, plan: &mut Plan, bytes: &[u8]) {
        let offset = plan.inline(false, bytes.len() as u64);
        self.ground.put(offset, bytes);
    }

    /// Adds an inline output, filled with something else, that must become `bytes`.
    fn output(&mut self, plan: &mut Plan, bytes: &[u8]) {
        let offset = plan.inline(true, bytes.len() as u64);
        self.ground.put(offset, &vec![0xdd; bytes.len()]);
        plan.expected
            .push((self.ground.data() + offset, bytes.to_vec()));
    }

    fn length(&mut self) -> usize {
        let most = self.dice.of(&[4, 100, 300, 5000, 5000, 60_000]);
        self.dice.below(most) as usize
    }

    /// Inputs and outputs of equal lengths, some of them in buffers.
    fn pairs(&mut self, plan: &mut Plan) {
        for _ in 0..self.dice.below(3) + 1 {
            let length = self.length();
            let data = dsp::pattern(length, self.dice.next() as u32);
            let buffer = self.buffer().filter(|_| self.dice.once_in(3));
            match buffer.filter(|buffer| buffer.size >= length as u64) {
                Some(buffer) => {
                    let out = self.dice.once_in(2);
                    let offset = self.dice.below(buffer.size - length as u64 + 1);
                    plan.range(out, false, buffer, offset, length as u64);
                    plan.inline(!out, length as u64);
                    plan.expected.clear();
                    return;
                }
                None => {
                    self.input(plan, &data);
                    self.output(plan, &data);
                }
            }
        }
    }

    /// Handle arguments.
    fn handles(&mut self, plan: &mut Plan) {
        for _ in 0..self.dice.below(3) {
            if let Some(buffer) = self.buffer() {
                let out = self.dice.once_in(2);
                let offset = self.dice.below(buffer.size.max(1));
                let length = self.dice.below(buffer.size - offset.min(buffer.size) + 1);
                plan.range(out, true, buffer, offset, length);
            }
        }
    }

    fn plan(&mut self, module: usize) -> Plan {
        match module {
            0 => {
                let mut plan = Plan::new(self.dice.of(&[2, 2, 3]));
                if plan.method == 3 {
                    let time = self.dice.below(4) as u32;
                    self.input(&mut plan, &time.to_le_bytes());
                }
                self.pairs(&mut plan);
                plan
            }
            1 => {
                let mut plan = Plan::new(2);
                let count = self.dice.below(200) as i32;
                let first = self.dice.next() as i32 >> 8;
                let numbers: Vec<i32> = (0..count).map(|n| first - 7 * n).collect();
                let sum: i64 = numbers.iter().map(|n| i64::from(*n)).sum();
                let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                self.input(&mut plan, &count.to_le_bytes());
                self.input(&mut plan, &data);
                self.output(&mut plan, &sum.to_le_bytes());
                plan
            }
            2 => {
                let mut plan = Plan::new(2);
                let result = 0x8000_0400 + self.dice.below(0x60) as u32;
                self.input(&mut plan, &result.to_le_bytes());
                self.pairs(&mut plan);
                plan.expected.clear();
                plan
            }
            _ => {
                let method = self.dice.of(&[dspmem::ARGS, dspmem::TOUCH, dspmem::DROP]);
                let mut plan = Plan::new(method);
                let mut request = (self.dice.next()).to_le_bytes().to_vec();
                if method == dspmem::DROP {
                    let values: Vec<u64> = (0..self.dice.below(9))
                        .map(|_| self.buffer().map_or(7, |buffer| buffer.fd as u64))
                        .collect();
                    request = dspmem::drop_request(0, &values);
                }
                if method != dspmem::ARGS {
                    self.input(&mut plan, &request);
                }
                plan.inline(true, 2000);
                self.handles(&mut plan);
                plan
            }
        }
    }

    /// Loads a module by a call of the loader.
    pub fn load(&mut self) {
        let Some(client) = self.client() else {
            return self.open();
        };
        let module = self.dice.below(if self.mode.mem { 4 } else { 3 }) as usize;
        let mut name = dsp::uri(MODULES[module]).into_bytes();
        name.push(0);
        let mut lengths = (name.len() as u32).to_le_bytes().to_vec();
        lengths.extend(255u32.to_le_bytes());
        let mut plan = Plan::new(2);
        self.input(&mut plan, &lengths);
        self.input(&mut plan, &name);
        let reply = plan.inline(true, 8);
        plan.inline(true, 255);
        self.ground.put(reply, &[0; 8]);
        if self.make(&client, REMOTECTL, &mut plan) {
            let back = self.ground.get(self.ground.data() + reply, 8);
            if u32_at(&back, 4) == 0 {
                self.loaded(&client, module, u32_at(&back, 0));
            }
        }
    }

    /// A call of a module, if one is loaded.
    pub fn use_module(&mut self) {
        let Some(client) = self.client() else {
            return self.open();
        };
        if self.dice.once_in(60) {
            // Parks until the process ends or the deadline comes; or ends a thread, or the process.
            let (handle, method) = self
                .dice
                .of(&[(client.modules[0], 4), (CURRENT_PROCESS, 0)]);
            self.call(&client, handle, &mut Plan::new(method), true);
            return;
        }
        let first = self.dice.below(4) as usize;
        let loaded = (0..4)
            .map(|n| (first + n) % 4)
            .find(|n| client.modules[*n] != 0);
        let Some(module) = loaded else {
            return self.load();
        };
        let mut plan = self.plan(module);
        self.make(&client, client.modules[module], &mut plan);
    }

    /// Makes a call in one of the two styles. True if it went well and nothing was spoilt.
    fn make(&mut self, client: &Client, handle: u32, plan: &mut Plan) -> bool {
        plan.sort();
        let good = match self.dice.once_in(2) {
            true => self.invoke(client, handle, plan),
            false => self.call(client, handle, plan, false),
        };
        // Others write to the data of threads.
        if good && !self.spoilt && !self.mode.threads {
            for (at, bytes) in &plan.expected {
                let back = self.ground.get(*at, bytes.len());
                if let Err(why) = dsp::same(bytes, &back) {
                    self.complain(&format!("output of a good call: {why}"));
                }
                self.counts.compared.fetch_add(1, Ordering::Relaxed);
            }
        }
        good && !self.spoilt
    }

    /// Puts the array of arguments, spoilt or not; its address.
    fn array(&mut self, bytes: &mut [u8]) -> u64 {
        if !bytes.is_empty() && self.dice.once_in(4) && !self.gentle {
            self.spoilt = true;
            for _ in 0..=self.dice.below(2) {
                self.dice.spoil(bytes);
            }
        }
        match self.dice.once_in(50) && !self.gentle {
            true => {
                self.spoilt = true;
                self.dice.of(BAD_ADDRESSES)
            }
            false if bytes.is_empty() => 0,
            false => self.ground.desk(1, bytes, false),
        }
    }

    fn invoke(&mut self, client: &Client, handle: u32, plan: &Plan) -> bool {
        let mut bytes = Vec::new();
        for part in &plan.parts {
            let elem = match part.buffer {
                None => Elem::inline(self.ground.data() + part.offset, part.length),
                Some(buffer) if part.handle => Elem::buffer(part.offset, part.length, buffer.fd),
                // Without an area, the data begins with the buffer.
                Some(buffer) if part.at == 0 => Elem::buffer(0, part.length, buffer.fd),
                Some(buffer) => Elem::buffer(part.at + part.offset, part.length, buffer.fd),
            };
            bytes.extend_from_slice(bytes_of(&elem));
        }
        let args = self.array(&mut bytes);
        let invoke = Invoke {
            handle,
            sc: plan.scalars(),
            args,
        };
        self.ask(client.fd, raw::INVOKE, &mut bytes_of(&invoke).to_vec()) == 0
    }

    fn call(&mut self, client: &Client, handle: u32, plan: &mut Plan, soon: bool) -> bool {
        let mut bytes = Vec::new();
        for part in &plan.parts {
            let mut arg = Arg {
                length: part.length,
                direction: if part.out { ARG_OUT } else { ARG_IN },
                ..Arg::default()
            };
            match part.buffer {
                None => {
                    arg.kind = ARG_INLINE;
                    arg.address = self.ground.data() + part.offset;
                }
                Some(buffer) => {
                    arg.kind = if part.handle { ARG_HANDLE } else { ARG_BUFFER };
                    arg.handle = buffer.handle;
                    arg.offset = part.offset;
                    if part.handle {
                        arg.tag = buffer.fd;
                    }
                }
            }
            bytes.extend_from_slice(bytes_of(&arg));
        }
        let args = self.array(&mut bytes);
        let deadline_ns = match self.dice.below(10) {
            0 => self.dice.edge(),
            1..5 if !soon => 0,
            n => now_ns() + n * 3_000_000,
        };
        let call = raw::Call {
            args,
            deadline_ns,
            handle,
            method: plan.method,
            arg_count: plan.parts.len() as u32,
            arg_stride: size_of::<Arg>() as u32,
            flags: 0,
            result: 0,
        };
        let mut block = bytes_of(&call).to_vec();
        let value = self.ask(client.fd, raw::CALL, &mut block);
        value == 0 && u64_at(&block, 32) >> 32 == 0
    }
}
