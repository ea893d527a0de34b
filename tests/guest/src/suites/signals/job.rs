// SPDX-License-Identifier: GPL-2.0
//! A call of the echo module that takes a while, in either style and with either kind of argument.

use super::*;

/// Method of the echo module that waits before it answers.
const DELAY: u32 = 3;

/// Which of the two ioctls makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Invoke,
    Call,
}

pub const DIALECTS: [Dialect; 2] = [Dialect::Invoke, Dialect::Call];

/// Where the data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Memory of the program, which the kernel copies.
    Inline,
    /// Buffers, which the DSP reads and writes itself.
    Buffer,
}

pub const PLACES: [Place; 2] = [Place::Inline, Place::Buffer];

/// A call that can be made again and again from the same memory.
pub struct Job<'a> {
    pub file: &'a File,
    pub echo: u32,
    pub dialect: Dialect,
    /// On the heap like the others: all addresses stay when this value moves.
    time: Box<[u8; 4]>,
    data: Vec<u8>,
    back: Vec<u8>,
    buffers: Option<(Shared, Shared)>,
    /// As in [`NewCall`].
    pub deadline: u64,
    /// How often it gave EINTR.
    pub interrupted: u32,
}

impl<'a> Job<'a> {
    /// A call with `size` bytes each way. Buffers are whole pages, the data need not be.
    pub fn new(
        file: &'a File,
        echo: u32,
        dialect: Dialect,
        place: Place,
        size: usize,
    ) -> Result<Self, Fail> {
        let buffers = match place {
            Place::Inline => None,
            Place::Buffer => {
                let whole = size.next_multiple_of(PAGE);
                Some((Shared::own(file, whole)?, Shared::own(file, whole)?))
            }
        };
        Ok(Job {
            file,
            echo,
            dialect,
            time: Box::new([0; 4]),
            data: vec![0; size],
            back: vec![0; size],
            buffers,
            deadline: 0,
            interrupted: 0,
        })
    }

    /// An inline call in the old style.
    pub fn inline(file: &'a File, echo: u32, size: usize) -> Result<Self, Fail> {
        Job::new(file, echo, Dialect::Invoke, Place::Inline, size)
    }

    /// Chooses the input and clears the output, in the same memory as before.
    pub fn prepare(&mut self, milliseconds: u32, seed: u32) {
        *self.time = milliseconds.to_le_bytes();
        let data = dsp::pattern(self.data.len(), seed);
        self.data.copy_from_slice(&data);
        self.clear();
        if let Some((from, _)) = &self.buffers {
            from.map.write(0, &self.data);
        }
    }

    /// Clears the output.
    pub fn clear(&mut self) {
        self.back.fill(0);
        if let Some((_, to)) = &self.buffers {
            to.map.fill(0, to.size, 0);
        }
    }

    /// Makes the call once: the value of the ioctl, or the DSP's result in the same form.
    pub fn issue(&mut self) -> i64 {
        let size = self.data.len() as u64;
        let value = match (self.dialect, &self.buffers) {
            (Dialect::Invoke, None) => Call::new(DELAY)
                .input(&*self.time)
                .input(&self.data)
                .output(&mut self.back)
                .on(self.file.raw(), self.echo),
            (Dialect::Invoke, Some((from, to))) => Call::new(DELAY)
                .input(&*self.time)
                .reads(from.at(0), size, from.raw())
                .writes(to.at(0), size, to.raw())
                .on(self.file.raw(), self.echo),
            (Dialect::Call, buffers) => {
                let call = NewCall::new(DELAY).input(&*self.time);
                let call = match buffers {
                    None => call.input(&self.data).output(&mut self.back),
                    Some((from, to)) => call.read(from.handle, 0, size).write(to.handle, 0, size),
                };
                match call.until(self.deadline).on(self.file.raw(), self.echo) {
                    (0, result) => raw::as_returned(result),
                    (value, _) => value,
                }
            }
        };
        self.interrupted += u32::from(value == -i64::from(libc::EINTR));
        value
    }

    /// Makes the call, and again as long as a signal interrupts it.
    pub fn settle(&mut self) -> i64 {
        loop {
            match self.issue() {
                value if value == -i64::from(libc::EINTR) => {}
                value => return value,
            }
        }
    }

    /// What the output is now.
    fn output(&self) -> Vec<u8> {
        match &self.buffers {
            None => std::hint::black_box(&self.back).clone(),
            Some((_, to)) => to.map.read(0, self.back.len()),
        }
    }

    /// Checks that the output is the input.
    pub fn check(&self) -> Outcome {
        dsp::same(&self.data, &self.output())
    }

    /// Checks that nothing was written.
    pub fn untouched(&self) -> Outcome {
        dsp::same(&vec![0; self.back.len()], &self.output())
    }

    /// Makes the call to its end and checks its result.
    pub fn run(&mut self) -> Outcome {
        ensure_ret!(self.settle(), 0, "{:?}", self.dialect);
        self.check()
    }

    /// Makes the call with the thread's own timer running, so that it surely gives EINTR: the DSP
    /// must take longer than a few ticks.
    pub fn interrupt(&mut self) -> Outcome {
        ensure_ret!(self.under_timer()?, -libc::EINTR, "interrupted call");
        Ok(())
    }

    /// The same, for a call that may end before: what it gives.
    pub fn under_timer(&mut self) -> Result<i64, Fail> {
        Handling::REPEAT.install(Timer::Thread.signal())?;
        let storm = Storm::start(Timer::Thread, TICK)?;
        let value = self.issue();
        drop(storm);
        Ok(value)
    }
}
