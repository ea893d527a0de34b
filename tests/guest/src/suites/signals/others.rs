// SPDX-License-Identifier: GPL-2.0
//! A call under way belongs to its thread and its file: nobody else takes it up.

use super::timers::thread_id;
use super::*;
use crate::buffer;

/// A call of the echo module from memory that several threads or processes have.
#[derive(Clone, Copy)]
struct SharedCall {
    fd: i32,
    echo: u32,
    memory: &'static [AtomicU32; 512],
}

/// Bytes each way.
const SIZE: usize = 512;

impl SharedCall {
    /// Sets the input: milliseconds, data, and room for the output.
    fn new(file: &File, echo: u32, milliseconds: u32) -> Self {
        let memory: &'static [AtomicU32; 512] =
            Box::leak(Box::new([const { AtomicU32::new(0) }; 512]));
        memory[0].store(milliseconds, Ordering::Relaxed);
        for (n, word) in memory[1..1 + SIZE / 4].iter().enumerate() {
            word.store(n as u32 * 0x0101_0101 + 7, Ordering::Relaxed);
        }
        SharedCall {
            fd: file.raw(),
            echo,
            memory,
        }
    }

    fn at(&self, word: usize) -> u64 {
        self.memory[word].as_ptr() as u64
    }

    fn issue(&self) -> i64 {
        Call::new(3)
            .input_at(self.at(0), 4)
            .input_at(self.at(1), SIZE as u64)
            .output_at(self.at(256), SIZE as u64)
            .on(self.fd, self.echo)
    }

    /// Makes the call with the thread's timer running: it gives EINTR.
    fn interrupt(&self) -> Outcome {
        Handling::REPEAT.install(Timer::Thread.signal())?;
        let storm = Storm::start(Timer::Thread, TICK)?;
        let value = self.issue();
        drop(storm);
        ensure_ret!(value, -libc::EINTR, "interrupted call");
        Ok(())
    }

    /// Checks the output and clears it.
    fn take(&self) -> Outcome {
        for n in 0..SIZE / 4 {
            let (sent, got) = (
                self.memory[1 + n].load(Ordering::Relaxed),
                self.memory[256 + n].swap(0, Ordering::Relaxed),
            );
            ensure_eq!(got, sent, "word {n} of the output");
        }
        Ok(())
    }

    fn run(&self) -> Outcome {
        ensure_ret!(self.issue(), 0, "call");
        self.take()
    }
}

/// Two threads that make the identical call, also under signals, each have it executed.
pub fn two_threads_same_call() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    Handling::RESTART.install(Timer::Thread.signal())?;
    let call = SharedCall::new(&file, echo, 30);
    executes(|| {
        let each = rounds(6);
        let threads = (0..2)
            .map(|_| {
                thread::spawn(move || {
                    let _storm = Storm::start(Timer::Thread, Duration::from_millis(2))?;
                    for _ in 0..each {
                        // The other one clears no output: both write the same bytes.
                        ensure_ret!(call.issue(), 0, "call");
                    }
                    Ok(())
                })
            })
            .collect();
        join(threads)?;
        call.take()?;
        Ok(2 * each)
    })
}

/// Another thread makes the call that this one was interrupted in, then this one again.
pub fn other_thread() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let call = SharedCall::new(&file, echo, SLOW);
    for late in [false, true] {
        executes(|| {
            call.interrupt()?;
            if late {
                settled()?;
            }
            let before = sim::counter("executions")?;
            join(vec![thread::spawn(move || call.run())])?;
            // The first call is over, so whatever is counted is the other thread's.
            let more = sim::counter("executions")? - before;
            ensure!(!late || more == 1, "executions by the other thread: {more}");
            call.run()?;
            Ok(2)
        })
        .map_err(|why| format!("late {late}: {why}"))?;
    }
    Ok(())
}

/// A new thread that has the number of one that has ended, where the kernel lets us choose it.
pub fn thread_with_same_number() -> Outcome {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    if std::fs::metadata(LAST).is_err() {
        return Err(Fail::Skip(format!("this kernel has no {LAST}")));
    }
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let call = SharedCall::new(&file, echo, SLOW);
    let first = join(vec![thread::spawn(move || {
        call.interrupt()?;
        Ok(thread_id())
    })])?[0];
    // The thread leaves the kernel a moment after it was joined.
    let gone = format!("/proc/self/task/{first}");
    let deadline = Instant::now() + SOON;
    while std::fs::metadata(&gone).is_ok() {
        ensure!(Instant::now() < deadline, "the thread does not end");
        thread::sleep(Duration::from_millis(1));
    }
    let before = sim::counter("executions")?;
    for _ in 0..20 {
        std::fs::write(LAST, (first - 1).to_string())?;
        let second = join(vec![thread::spawn(move || {
            if thread_id() == first {
                call.run()?;
            }
            Ok(thread_id())
        })])?[0];
        if second == first {
            ensure_eq!(
                sim::counter("executions")?,
                before + 1,
                "executions of the new thread's call"
            );
            return settled();
        }
    }
    Err(Fail::Skip("the number went to others".into()))
}

/// A child made by fork() has the same memory and the same file, and is another thread.
pub fn forked_child() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let call = SharedCall::new(&file, echo, SLOW);
    for late in [false, true] {
        executes(|| {
            call.interrupt()?;
            if late {
                settled()?;
            }
            let before = sim::counter("executions")?;
            let end = buffer::in_child(|| match call.run() {
                Ok(()) => 0,
                Err(why) => {
                    println!("child: {why}");
                    1
                }
            })?;
            ensure_eq!(end, Ok(0), "end of the child");
            let more = sim::counter("executions")? - before;
            ensure!(!late || more == 1, "executions by the child: {more}");
            call.run()?;
            Ok(2)
        })
        .map_err(|why| format!("late {late}: {why}"))?;
    }
    // And the other way round: the child is interrupted and ends, the parent makes its call.
    executes(|| {
        let end = buffer::in_child(|| match call.interrupt() {
            Ok(()) => 0,
            Err(why) => {
                println!("child: {why}");
                1
            }
        })?;
        ensure_eq!(end, Ok(0), "end of the child");
        call.run()?;
        Ok(2)
    })
}

/// The same thread makes the same call, as far as that is possible, on another file.
pub fn other_session() -> Outcome {
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let second = File::with_process(CDSP)?;
    let call = SharedCall::new(&file, echo, SLOW);
    let there = SharedCall {
        fd: second.raw(),
        echo: second.module("echo")?,
        ..call
    };
    executes(|| {
        call.interrupt()?;
        there.run()?;
        call.run()?;
        Ok(2)
    })
}
