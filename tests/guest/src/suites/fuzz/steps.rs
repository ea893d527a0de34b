// SPDX-License-Identifier: GPL-2.0
//! The steps of a fuzzed sequence: what a program does with a node, nearly right.

use super::expect::Kind;
use super::ground;
use super::world::{
    Buffer,
    Client,
    Mapping,
    World, //
};
use crate::dsp::{
    self,
    u32_at, //
};
use crate::mem::{
    bytes_of,
    PAGE, //
};
use crate::raw::{
    self,
    Create,
    GemClose,
    GemCreate,
    GemMmapOffset,
    Map,
    Prime,
    UdmabufCreate,
    Unmap, //
};

/// A little-endian number of 64 bits.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

/// The file of a buffer that has none.
const NO_FILE: i32 = -1;

/// Things of each sort that a process keeps at most.
const BUFFERS: usize = 12;

impl World {
    /// Makes a client with a process and modules, as a sane program does, so that what follows has
    /// something to work on.
    pub fn begin(&mut self) {
        self.gentle = true;
        self.open();
        if let Some(client) = self.client() {
            let create = Create {
                filefd: -1,
                attrs: dsp::UNSIGNED,
                ..Create::default()
            };
            self.ask(
                client.fd,
                raw::SESSION_CREATE,
                &mut bytes_of(&create).to_vec(),
            );
            for _ in 0..4 {
                self.load();
                self.gem_create();
                self.export();
            }
        }
        self.gentle = false;
    }

    /// Does something.
    pub fn one_step(&mut self) {
        self.step += 1;
        self.spoilt = false;
        if self.mode.numbers && !self.dice.once_in(4) {
            return self.any_number();
        }
        match self.dice.below(100) {
            0..6 => self.open(),
            6..9 => self.close_file(),
            9..18 => self.create(),
            18..20 => self.attach(),
            20..26 => self.gem_create(),
            26..28 => self.gem_close(),
            28..32 => self.gem_map(),
            32..35 => self.unmap_area(),
            35..40 => self.export(),
            40..44 => self.import(),
            44..47 => self.foreign(),
            47..49 => self.close_buffer(),
            49..55 => self.remote_map(),
            55..59 => self.remote_unmap(),
            59..62 => self.any_number(),
            62..64 => self.query(),
            64..67 => self.touch(),
            67..68 => self.fork(),
            68..76 => self.load(),
            _ => self.use_module(),
        }
    }

    fn close_file(&mut self) {
        let n = self.dice.next() as usize;
        let mut pool = self.pool();
        if pool.clients.is_empty() {
            return;
        }
        let n = n % pool.clients.len();
        let client = pool.clients.swap_remove(n);
        // What belonged to the file has no file now; exports and areas live on.
        for buffer in &mut pool.buffers {
            if buffer.file == client.fd {
                (buffer.file, buffer.handle) = (NO_FILE, 0);
            }
        }
        pool.mappings.retain(|mapping| mapping.file != client.fd);
        drop(pool);
        // SAFETY: The number came from the pool; if another thread uses it, that is the test.
        unsafe { libc::close(client.fd) };
    }

    fn create(&mut self) {
        let Some(client) = self.client() else {
            return self.open();
        };
        let buffer = self.buffer().unwrap_or_default();
        let mut create = Create {
            filefd: -1,
            attrs: dsp::UNSIGNED,
            ..Create::default()
        };
        match self.dice.below(6) {
            0 => {
                create.filelen = self.dice.below(70_000) as u32;
                create.siglen = self.dice.below(100) as u32;
                create.file = self.ground.data() + self.dice.below(5000);
            }
            1 => {
                create.filelen = self.dice.below(buffer.size + 1) as u32;
                create.filefd = buffer.fd;
                create.file = buffer.at;
            }
            2 => {
                create.attrs = self
                    .dice
                    .of(&[0, 8, 1, 0x18, 0x28, 0x48, 0x4, 0x400, 0x4000_0008])
            }
            _ => {}
        }
        self.ask(
            client.fd,
            raw::SESSION_CREATE,
            &mut bytes_of(&create).to_vec(),
        );
    }

    fn attach(&mut self) {
        if let Some(client) = self.client() {
            let any = self.dice.edge();
            self.send(client.fd, raw::INIT_ATTACH, any, &[]);
        }
    }

    fn query(&mut self) {
        if let Some(client) = self.client() {
            self.ask(client.fd, raw::QUERY, &mut [0; 16]);
        }
    }

    fn gem_create(&mut self) {
        let Some(client) = self.client() else {
            return self.open();
        };
        if self.pool().buffers.len() >= BUFFERS {
            return self.close_buffer();
        }
        let size = match self.dice.below(8) {
            0 => self.dice.edge(),
            1 => self.dice.below(4 << 20) + 1,
            2 => 1,
            _ => (self.dice.below(16) + 1) * PAGE as u64,
        };
        let create = GemCreate {
            size,
            ..GemCreate::default()
        };
        let mut block = bytes_of(&create).to_vec();
        if self.ask(client.fd, raw::GEM_CREATE, &mut block) == 0 {
            self.pool().buffers.push(Buffer {
                file: client.fd,
                handle: u32_at(&block, 8),
                fd: -1,
                size: u64_at(&block, 0),
                at: 0,
            });
        }
    }

    fn gem_close(&mut self) {
        if let Some(buffer) = self.buffer().filter(|buffer| buffer.file > 2) {
            let close = GemClose {
                handle: buffer.handle,
                pad: 0,
            };
            self.ask(buffer.file, raw::GEM_CLOSE, &mut bytes_of(&close).to_vec());
        }
    }

    /// Closes all names of a buffer that this process knows.
    fn close_buffer(&mut self) {
        let n = self.dice.next() as usize;
        let mut pool = self.pool();
        if pool.buffers.is_empty() {
            return;
        }
        let n = n % pool.buffers.len();
        let buffer = pool.buffers.swap_remove(n);
        drop(pool);
        if buffer.file > 2 && buffer.handle != 0 {
            let close = GemClose {
                handle: buffer.handle,
                pad: 0,
            };
            self.ask(buffer.file, raw::GEM_CLOSE, &mut bytes_of(&close).to_vec());
        }
        if buffer.fd > 2 {
            // SAFETY: As in close_file().
            unsafe { libc::close(buffer.fd) };
        }
    }

    /// Remembers something new about a buffer.
    fn amend(&mut self, buffer: &Buffer, change: impl FnOnce(&mut Buffer)) {
        let mut pool = self.pool();
        let same = |known: &&mut Buffer| {
            (known.file, known.handle, known.fd) == (buffer.file, buffer.handle, buffer.fd)
        };
        if let Some(known) = pool.buffers.iter_mut().find(same) {
            change(known);
        }
    }

    fn gem_map(&mut self) {
        let Some(buffer) = self.buffer() else {
            return self.gem_create();
        };
        let (file, offset) = if buffer.handle != 0 && !self.dice.once_in(3) {
            let ask = GemMmapOffset {
                handle: buffer.handle,
                ..GemMmapOffset::default()
            };
            let mut block = bytes_of(&ask).to_vec();
            if self.ask(buffer.file, raw::GEM_MMAP_OFFSET, &mut block) != 0 {
                return;
            }
            (buffer.file, u64_at(&block, 0))
        } else if buffer.fd < 0 {
            return self.export();
        } else {
            (buffer.fd, 0)
        };
        let mut length = buffer.size.next_multiple_of(PAGE as u64);
        let mut offset = offset;
        if self.dice.once_in(4) {
            length = self
                .dice
                .of(&[1, 4096, 8192, length + 4096, length / 2 + 1]);
            offset = offset.wrapping_add(self.dice.of(&[
                0,
                0,
                4096,
                1,
                1 << 32,
                0u64.wrapping_sub(4096),
            ]));
        }
        let write = libc::PROT_READ | libc::PROT_WRITE;
        let protection = self
            .dice
            .of(&[write, write, libc::PROT_READ, write | libc::PROT_EXEC]);
        let flags = self
            .dice
            .of(&[libc::MAP_SHARED, libc::MAP_SHARED, libc::MAP_PRIVATE]);
        let window = self.dice.below(ground::WINDOW_COUNT);
        if let Ok(at) = ground::open_window(window, file, length, offset, protection, flags) {
            self.amend(&buffer, |known| known.at = at);
        }
    }

    fn unmap_area(&mut self) {
        if let Some(buffer) = self.buffer().filter(|buffer| buffer.at != 0) {
            let pages = buffer.size / PAGE as u64 + 1;
            let first = self.dice.of(&[0, 0, self.step % pages]) * PAGE as u64;
            ground::close_window(buffer.at + first, (pages + 1) * PAGE as u64);
        }
    }

    fn touch(&mut self) {
        if let Some(buffer) = self.buffer().filter(|buffer| buffer.at != 0) {
            ground::touch(self.memfd, buffer.at + self.dice.below(buffer.size.max(1)));
        }
    }

    fn export(&mut self) {
        let Some(buffer) = self.buffer().filter(|buffer| buffer.file > 2) else {
            return self.gem_create();
        };
        let prime = Prime {
            handle: buffer.handle,
            flags: self
                .dice
                .of(&[libc::O_RDWR, libc::O_RDWR | libc::O_CLOEXEC, 0]) as u32,
            fd: -1,
        };
        let mut block = bytes_of(&prime).to_vec();
        if self.ask(buffer.file, raw::PRIME_HANDLE_TO_FD, &mut block) == 0 && buffer.fd < 0 {
            let fd = u32_at(&block, 8) as i32;
            self.amend(&buffer, |known| known.fd = fd);
        }
    }

    fn import(&mut self) {
        let (Some(client), Some(buffer)) = (self.client(), self.buffer()) else {
            return self.export();
        };
        let prime = Prime {
            fd: buffer.fd,
            ..Prime::default()
        };
        let mut block = bytes_of(&prime).to_vec();
        if self.ask(client.fd, raw::PRIME_FD_TO_HANDLE, &mut block) == 0 {
            let made = Buffer {
                file: client.fd,
                handle: u32_at(&block, 0),
                // One entry for each descriptor, so that none is closed twice.
                fd: -1,
                ..buffer
            };
            let mut pool = self.pool();
            if pool.buffers.len() < BUFFERS {
                pool.buffers.push(made);
            }
        }
    }

    /// A dma-buf of another driver.
    fn foreign(&mut self) {
        if self.udmabuf < 0 || self.pool().buffers.len() >= BUFFERS {
            return self.close_buffer();
        }
        let size = (self.dice.below(8) + 1) * PAGE as u64;
        let create = UdmabufCreate {
            memfd: self.memfd as u32,
            flags: 1,
            offset: self.dice.below(8) * PAGE as u64,
            size,
        };
        let at = self.ground.desk(0, bytes_of(&create), false);
        let fd = raw::ioctl(self.udmabuf, raw::UDMABUF_CREATE, at);
        if fd > 0 {
            self.pool().buffers.push(Buffer {
                file: NO_FILE,
                fd: fd as i32,
                size,
                ..Buffer::default()
            });
        }
    }

    fn remote_map(&mut self) {
        let Some(client) = self.client() else {
            return self.open();
        };
        let buffer = self.buffer().unwrap_or_default();
        let request = self.dice.of(&[raw::LEGACY, raw::ATTR]);
        let mut map = Map {
            request,
            fd: buffer.fd,
            size: buffer.size,
            ..Map::default()
        };
        if request == raw::LEGACY {
            map.flags = self.dice.of(&[6, 0x1000, 0x3000]);
            if map.flags != 6 {
                map.fd = -1;
                map.size = (self.dice.below(8) + 1) * PAGE as u64;
            }
        } else {
            map.flags = self.dice.of(&[0, 2, 3, 16]);
            map.vaddrin = buffer.at;
            if self.dice.once_in(3) {
                map.offset = self.dice.below(buffer.size + 1) as u32;
                map.size = self.dice.below(buffer.size + 1);
            }
        }
        let mut block = bytes_of(&map).to_vec();
        if self.ask(client.fd, raw::REMOTE_MAP, &mut block) == 0 {
            let mut pool = self.pool();
            if pool.mappings.len() >= 16 {
                pool.mappings.remove(0);
            }
            pool.mappings.push(Mapping {
                file: client.fd,
                request,
                fd: u32_at(&block, 8) as i32,
                address: u64_at(&block, 40),
                size: u64_at(&block, 32),
            });
        }
    }

    fn remote_unmap(&mut self) {
        let n = self.dice.next() as usize;
        let keep = self.dice.once_in(4);
        let mut pool = self.pool();
        if pool.mappings.is_empty() {
            drop(pool);
            return self.remote_map();
        }
        let n = n % pool.mappings.len();
        let mapping = match keep {
            true => pool.mappings[n],
            false => pool.mappings.swap_remove(n),
        };
        drop(pool);
        let unmap = Unmap {
            request: mapping.request,
            fd: mapping.fd,
            vaddr: mapping.address,
            vaddrout: mapping.address,
            size: self.dice.of(&[mapping.size, 0]),
        };
        self.ask(
            mapping.file,
            raw::REMOTE_MUNMAP,
            &mut bytes_of(&unmap).to_vec(),
        );
    }

    /// An ioctl of any number, with any structure, on any of our files.
    fn any_number(&mut self) {
        let Some(client) = self.client() else {
            return self.open();
        };
        let number = match self.dice.below(4) {
            0 => self.dice.of(GENERIC),
            1 => 0x40 + self.dice.below(0x61),
            _ => self.dice.below(0x100),
        };
        let size = self
            .dice
            .of(&[0, 4, 8, 12, 16, 24, 32, 40, 48, 64, 104, 256, 4096, 0x3fff]);
        let mut block = vec![0; size as usize];
        for _ in 0..self.dice.below(5) {
            self.dice.spoil(&mut block);
        }
        let code = raw::code(self.dice.below(4) as u32, b'd', number as u8, size);
        if Kind::of(code) == Kind::Export || Kind::of(code) == Kind::Other || self.dice.once_in(2) {
            let at = self.ground.desk(0, &block, false);
            self.send(client.fd, code, at, &block);
            // A descriptor that came is not known here; the end of the epoch closes it.
            return;
        }
        self.ask(client.fd, code, &mut block);
        let buffer = self.buffer().unwrap_or_default();
        if buffer.fd > 2 {
            let code = raw::code(1, b'b', (number % 5) as u8, self.dice.of(&[8, 16]));
            self.ask(buffer.fd, code, &mut [0; 16]);
        }
    }

    /// A child inherits everything, does something and ends, or is ended.
    fn fork(&mut self) {
        if self.mode.threads {
            return;
        }
        let seed = self.dice.next();
        // SAFETY: The process has one thread, so the child may do what this one could.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            self.dice = super::dice::Dice::new(seed);
            for _ in 0..10 {
                self.one_step();
            }
            // SAFETY: Leaves at once, without running anything of the parent.
            unsafe { libc::_exit(0) };
        }
        if pid > 0 && self.dice.once_in(2) {
            // SAFETY: The child is ours; nobody waits for it, so its number is still its own.
            unsafe {
                libc::usleep(self.dice.below(3000) as u32);
                libc::kill(pid, libc::SIGKILL);
            }
        }
    }

    /// Remembers that a module is loaded.
    pub fn loaded(&mut self, client: &Client, module: usize, handle: u32) {
        let mut pool = self.pool();
        if let Some(known) = pool.clients.iter_mut().find(|known| known.fd == client.fd) {
            known.modules[module] = handle;
        }
    }
}

/// Numbers of the DRM core that a driver without display still has, and their neighbours.
const GENERIC: &[u64] = &[
    0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x10, 0x11, 0x1e, 0x1f,
    0x2d, 0x2e, 0x3a, 0xa0, 0xa7, 0xb2, 0xb3, 0xb4, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xca,
    0xcb, 0xcc, 0xcd, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3,
];
