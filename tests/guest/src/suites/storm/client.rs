// SPDX-License-Identifier: GPL-2.0
//! A client of a DSP that may go at any moment: does a bit of everything, checks all that comes
//! back, and when the DSP is gone, that its file is as dead, and its memory as alive, as documented.

use super::*;

/// Words of the board that clients and the case share.
pub const STOP: usize = 0;
/// Not 0: clients begin no new life.
pub const HOLD: usize = 1;
/// Lives that were begun.
pub const LIVES: usize = 2;
/// Things that the DSP did for a client, with the right result.
pub const GOOD: usize = 3;
/// Lives that saw their DSP go.
pub const BEREFT: usize = 4;
/// Calls that waited when the DSP went, and were woken with EPIPE.
pub const WOKEN: usize = 5;
/// Longest close of a file, in milliseconds.
pub const CLOSE: usize = 6;
/// Files that are open.
pub const OPEN: usize = 7;
/// Number of words.
pub const WORDS: usize = 8;

/// Size of a client's buffers.
const SIZE: usize = 3 * PAGE;

/// Lives one life after the other on `label` until the board says stop.
pub fn client(n: u64, label: &str, lasting: bool, board: Board) -> Outcome {
    let mut dice = Dice::new(n + 1);
    while board.get(STOP) == 0 {
        if board.get(HOLD) != 0 {
            thread::sleep(Duration::from_millis(2));
            continue;
        }
        board.add(OPEN, 1);
        let result = life(label, lasting, &mut dice, board);
        board.add(OPEN, u64::MAX);
        result.map_err(|why| Fail::from(format!("client {n} of {label}: {why}")))?;
    }
    Ok(())
}

/// Whether an ioctl that sends something succeeded (true) or found the DSP gone (false); anything
/// else is wrong.
fn fate(value: i64, what: &str) -> Result<bool, Fail> {
    if value == 0 {
        return Ok(true);
    }
    ensure_errno!(value, [libc::ENODEV, libc::EPIPE], "{what}");
    Ok(false)
}

/// What one life has.
struct Life<'a> {
    file: Arc<File>,
    dice: &'a mut Dice,
    board: Board,
    echo: u32,
    buffers: Vec<(Shared, Vec<u8>)>,
    /// Calls that wait in threads.
    waiting: Vec<JoinHandle<i64>>,
}

/// One file from its opening to its close. `lasting`: the DSP never goes.
fn life(label: &str, lasting: bool, dice: &mut Dice, board: Board) -> Outcome {
    let Ok(file) = File::open(label) else {
        ensure!(!lasting, "the node cannot be opened");
        thread::sleep(Duration::from_millis(1 + dice.below(4)));
        return Ok(());
    };
    board.add(LIVES, 1);
    let value = if dice.once_in(8) {
        file.attach()
    } else {
        file.create()
    };
    if value == -i64::from(libc::EBUSY) {
        thread::sleep(Duration::from_millis(1 + dice.below(4)));
        return Ok(());
    }
    let alive = fate(value, "create or attach")?;
    let mut this = Life {
        file: Arc::new(file),
        dice,
        board,
        echo: 0,
        buffers: Vec::new(),
        waiting: Vec::new(),
    };
    let alive = alive && this.prepare()? && this.work()?;
    ensure!(alive || !lasting, "the DSP went, which it should not");
    if alive {
        this.leave()
    } else {
        this.board.add(BEREFT, 1);
        this.mourn()
    }
}

impl Life<'_> {
    fn prepare(&mut self) -> Result<bool, Fail> {
        match self.file.load(&dsp::uri("echo")) {
            (0, handle, 0, _) => self.echo = handle,
            (value, _, error, _) => {
                ensure!(value != 0, "the loader says {error:#x}");
                return fate(value, "load");
            }
        }
        for _ in 0..2 {
            // A node that goes answers ENODEV to all of this.
            let handle = match buffer::create(self.file.raw(), SIZE as u64) {
                Ok(handle) => handle,
                Err(value) => return fate(value, "new buffer"),
            };
            let fd = match buffer::export(self.file.raw(), handle) {
                Ok(fd) => fd,
                Err(value) => return fate(value, "export"),
            };
            let mut one = Shared::around(fd, SIZE)?;
            one.handle = handle;
            let seed = self.dice.below(1 << 30) as u32;
            let data = one.fill(seed);
            self.buffers.push((one, data));
        }
        Ok(true)
    }

    fn work(&mut self) -> Result<bool, Fail> {
        for _ in 0..4 + self.dice.below(24) {
            if self.board.get(STOP) != 0 {
                break;
            }
            let going_on = match self.dice.below(12) {
                0..=2 => self.inline()?,
                3 => self.old_style()?,
                4 => self.new_style()?,
                5 => self.tagged()?,
                6 => self.heap()?,
                7 => self.passing_buffer()?,
                8..=10 => self.wait_in_thread(),
                _ => {
                    thread::sleep(Duration::from_millis(self.dice.below(4)));
                    true
                }
            };
            if !going_on {
                return Ok(false);
            }
            self.board.add(GOOD, 1);
        }
        Ok(true)
    }

    fn inline(&mut self) -> Result<bool, Fail> {
        let data = dsp::pattern(
            self.dice.below(9000) as usize,
            self.dice.below(1 << 30) as u32,
        );
        let mut back = vec![0; data.len()];
        let value = Call::new(2)
            .input(&data)
            .output(&mut back)
            .on(self.file.raw(), self.echo);
        let good = fate(value, "echo")?;
        if good {
            dsp::same(&data, &back)?;
        }
        Ok(good)
    }

    /// From buffer 0 to buffer 1, by descriptors.
    fn old_style(&mut self) -> Result<bool, Fail> {
        let [(from, data), (to, copy)] = self.buffers.as_mut_slice() else {
            return Ok(true);
        };
        let at = self.dice.below(PAGE as u64) as usize;
        let length = self.dice.below(PAGE as u64) as usize + 1;
        let value = Call::new(2)
            .reads(from.at(at), length as u64, from.raw())
            .writes(to.at(at), length as u64, to.raw())
            .on(self.file.raw(), self.echo);
        let good = fate(value, "echo of buffers")?;
        // A call that failed may have been done or not.
        if good {
            copy[at..at + length].copy_from_slice(&data[at..at + length]);
            to.holds(0, copy)?;
        } else {
            *copy = to.map.read(0, SIZE);
        }
        Ok(good)
    }

    /// The same by handles, with a time limit that is far away.
    fn new_style(&mut self) -> Result<bool, Fail> {
        let [(from, data), _] = self.buffers.as_slice() else {
            return Ok(true);
        };
        let length = self.dice.below(SIZE as u64) + 1;
        let mut back = vec![0; length as usize];
        let (value, result) = NewCall::new(2)
            .read(from.handle, 0, length)
            .output(&mut back)
            .until(calls::now_ns() + 3_600_000_000_000)
            .on(self.file.raw(), self.echo);
        let good = fate(value, "new call")?;
        if good {
            ensure_eq!(result, 0, "result of a new call");
            dsp::same(&data[..length as usize], &back)?;
        }
        Ok(good)
    }

    /// Maps a buffer by number; some maps stay.
    fn tagged(&mut self) -> Result<bool, Fail> {
        let [(one, _), _] = self.buffers.as_slice() else {
            return Ok(true);
        };
        let mut map = Map {
            request: raw::ATTR,
            flags: 2,
            fd: one.raw(),
            ..Map::default()
        };
        let value = raw::ioctl(self.file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
        if !fate(value, "map")? {
            return Ok(false);
        }
        if self.dice.once_in(3) {
            return Ok(true);
        }
        let unmap = Unmap {
            request: raw::ATTR,
            fd: one.raw(),
            vaddr: map.vaddrout,
            ..Unmap::default()
        };
        let value = raw::ioctl(self.file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
        fate(value, "unmap")
    }

    fn heap(&mut self) -> Result<bool, Fail> {
        let mut map = Map {
            request: raw::LEGACY,
            flags: 0x1000,
            fd: -1,
            size: (1 + self.dice.below(16)) * PAGE as u64,
            ..Map::default()
        };
        let value = raw::ioctl(self.file.raw(), raw::REMOTE_MAP, &raw mut map as u64);
        if !fate(value, "heap")? || self.dice.once_in(3) {
            return fate(value, "heap");
        }
        let unmap = Unmap {
            request: raw::LEGACY,
            vaddrout: map.vaddrout,
            ..Unmap::default()
        };
        let value = raw::ioctl(self.file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64);
        fate(value, "unmap of heap")
    }

    /// A buffer that is made and closed, sometimes with an area that stays a little longer.
    fn passing_buffer(&mut self) -> Result<bool, Fail> {
        let fd = self.file.raw();
        let handle = match buffer::create(fd, SIZE as u64) {
            Ok(handle) => handle,
            Err(value) => return fate(value, "new buffer"),
        };
        let offset = match buffer::mmap_offset(fd, handle) {
            Ok(offset) => offset,
            Err(value) => return fate(value, "offset"),
        };
        let area = match Area::new(fd, SIZE, offset, buffer::RW, libc::MAP_SHARED) {
            Ok(area) => area,
            Err(libc::ENODEV) => return Ok(false),
            Err(errno) => return Err(format!("mmap: errno {errno}").into()),
        };
        area.stamp(handle.into());
        let good = fate(buffer::close(fd, handle), "close of a handle")?;
        area.check_stamps(handle.into(), 0, 0, SIZE / PAGE)?;
        Ok(good)
    }

    /// Starts a call that waits: parked, delayed or the listener's.
    fn wait_in_thread(&mut self) -> bool {
        if self.waiting.len() < 3 {
            let (file, echo) = (Arc::clone(&self.file), self.echo);
            let kind = self.dice.below(3);
            let time = self.dice.below(2000) as u32 + 20;
            self.waiting
                .push(thread::spawn(move || waiting_call(kind, &file, echo, time)));
        }
        true
    }

    /// The DSP lives: ends the process there, so that all calls end, and closes.
    fn leave(mut self) -> Outcome {
        if !self.waiting.is_empty() {
            let value = Call::new(2).on(self.file.raw(), dsp::CURRENT_PROCESS);
            fate(value, "exit")?;
        }
        for one in std::mem::take(&mut self.waiting) {
            let value = join(one)?;
            let going = raw::as_returned(dsp::GOING_AWAY);
            ensure!(
                value == 0 || value == going || !fate(value, "call that waits")?,
                "a call that waited for the end of its process gave {}",
                raw::show(value)
            );
        }
        self.check_memory("at the end")?;
        self.close()
    }

    /// The DSP is gone.
    fn mourn(mut self) -> Outcome {
        for one in std::mem::take(&mut self.waiting) {
            let value = join(one)?;
            // A delayed call may have had its answer, or its thread was late.
            ensure!(
                value == 0 || !fate(value, "call that waits")?,
                "a call of a DSP that went"
            );
            if value == -i64::from(libc::EPIPE) {
                self.board.add(WOKEN, 1);
            }
        }
        // Callers are woken a moment before the node goes.
        let fd = self.file.raw();
        kmod::wait_for("ENODEV of a dead file", patience(SOON), || {
            dsp::query(fd) == Err(-i64::from(libc::ENODEV))
        })?;
        is_dead(&self.file, self.buffers.first().map(|(one, _)| one))?;
        self.check_memory("after the DSP's end")?;
        self.close()
    }

    /// Areas and dma-bufs hold what they held, and can be written and mapped.
    fn check_memory(&self, when: &str) -> Outcome {
        for (n, (one, data)) in self.buffers.iter().enumerate() {
            one.holds(0, data)
                .map_err(|why| format!("buffer {n} {when}: {why}"))?;
            let fresh = Area::shared(one.raw(), SIZE, 0)?;
            one.map.fill(PAGE, 64, 0x77);
            ensure_eq!(fresh.read(PAGE, 64), [0x77; 64], "buffer {n} {when}");
            for code in [raw::SYNC_START, raw::SYNC_END] {
                let value = exporters::sync(one.raw(), code | raw::SYNC_READ | raw::SYNC_WRITE);
                ensure_ret!(value, 0, "sync of buffer {n} {when}");
            }
        }
        Ok(())
    }

    /// Closes the file before the buffers or after them.
    fn close(mut self) -> Outcome {
        if self.dice.once_in(2) {
            self.buffers.clear();
        }
        let file = Arc::into_inner(self.file).ok_or("a thread still has the file")?;
        let begin = Instant::now();
        drop(file);
        let took = begin.elapsed();
        self.board.at_least(CLOSE, took.as_millis() as u64);
        ensure!(took < patience(SOON), "close took {took:?}");
        for (n, (one, _)) in self.buffers.iter().enumerate() {
            one.map.fill(0, SIZE, n as u8);
            ensure_eq!(one.map.read(SIZE - 1, 1), [n as u8], "area without file");
        }
        Ok(())
    }
}

/// A call that the DSP does not answer at once: 0 parked, 1 delayed, else the listener's.
pub fn waiting_call(kind: u64, file: &File, echo: u32, milliseconds: u32) -> i64 {
    match kind {
        0 => Call::new(4).on(file.raw(), echo),
        1 => Call::new(3)
            .input(&milliseconds.to_le_bytes())
            .on(file.raw(), echo),
        _ => listener(file),
    }
}

/// The value of a call in a thread, which must end.
fn join(one: JoinHandle<i64>) -> Result<i64, Fail> {
    kmod::wait_for("the end of a call", patience(2 * SOON), || {
        one.is_finished()
    })?;
    one.join().map_err(|_| "a thread panicked".into())
}
