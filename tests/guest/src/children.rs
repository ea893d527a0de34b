// SPDX-License-Identifier: GPL-2.0
//! Programs that cases start beside themselves: clients that park, count, or lack privileges.
//!
//! Each is this same binary, started as `--child ROLE ARGUMENTS`. A child tells its progress by
//! lines on its standard output and ends with status 0 when all that it did was right.

use std::io::{
    BufRead,
    BufReader,
    Read,
    Write, //
};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{
    Child,
    ChildStdout,
    Command,
    ExitCode,
    ExitStatus,
    Stdio, //
};
use std::time::{
    Duration,
    Instant, //
};

use crate::buffer::{
    self,
    Area, //
};
use crate::calls::NewCall;
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::dspmem::{
    self,
    Checksum,
    DspMem, //
};
use crate::harness::Fail;
use crate::mem::PAGE;
use crate::passing;
use crate::raw;
use crate::shared::{
    Maker,
    Shared, //
};
use crate::suites::privileges;

/// A running child with its output.
pub struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts a child; it inherits all descriptors without close-on-exec.
    pub fn start(role: &str, arguments: &[&str]) -> Result<Self, Fail> {
        Self::spawn(&mut Self::command(role, arguments))
    }

    /// As [`Helper::start`]; what the child says on its standard error is output too.
    pub fn start_with_errors(role: &str, arguments: &[&str]) -> Result<Self, Fail> {
        let mut command = Self::command(role, arguments);
        // SAFETY: dup2() may be called between fork() and exec(); it takes plain numbers.
        unsafe {
            command.pre_exec(|| match libc::dup2(1, 2) {
                2 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        Self::spawn(&mut command)
    }

    fn command(role: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--child").arg(role).args(arguments);
        command
    }

    fn spawn(command: &mut Command) -> Result<Self, Fail> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output of the child")?;
        Ok(Helper {
            child,
            output: BufReader::new(output),
        })
    }

    /// Waits for a line of output.
    pub fn line(&mut self) -> Result<String, Fail> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err("the child ended without the expected line".into());
        }
        Ok(line.trim_end().to_string())
    }

    /// All output up to the end of the child.
    pub fn rest(&mut self) -> Result<String, Fail> {
        let mut text = String::new();
        self.output.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Waits for a certain line.
    pub fn expect(&mut self, wanted: &str) -> Result<(), Fail> {
        let line = self.line()?;
        if line == wanted {
            Ok(())
        } else {
            Err(format!("the child said {line:?} instead of {wanted:?}").into())
        }
    }

    /// Lets the child go on that waits for its input to end.
    pub fn go(&mut self) {
        self.child.stdin.take();
    }

    /// Ends the child with SIGKILL.
    pub fn kill(&mut self) -> Result<(), Fail> {
        Ok(self.child.kill()?)
    }

    /// Waits for the end of the child.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Fail> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("the child does not end within {limit:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the child, which must have succeeded.
    pub fn success(mut self, limit: Duration) -> Result<(), Fail> {
        self.go();
        let status = self.wait(limit)?;
        let mut rest = String::new();
        let _ = self.output.read_to_string(&mut rest);
        if status.success() {
            Ok(())
        } else {
            Err(format!("the child ended with {status}: {}", rest.trim_end()).into())
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells the parent something.
pub fn tell(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

/// Waits until the parent closes the input.
fn wait_for_parent() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Takes all capabilities away for good and becomes an ordinary user.
pub fn become_user() -> Result<(), Fail> {
    // SAFETY: These calls take plain numbers; no pointer is kept.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(1000, 1000, 1000) == 0
            && libc::setresuid(1000, 1000, 1000) == 0
    };
    if done {
        Ok(())
    } else {
        Err(format!("cannot become a user: errno {}", raw::errno()).into())
    }
}

/// `park LABEL`: creates a process, says "ready" and makes a call that is not answered.
fn park(label: &str) -> Result<(), Fail> {
    let file = File::with_process(label)?;
    let echo = file.module("echo")?;
    tell("ready");
    let value = Call::new(4).on(file.raw(), echo);
    tell(&format!("returned {}", raw::show(value)));
    Ok(())
}

/// `delay LABEL MILLISECONDS`: creates a process, says "ready" and makes slow calls for ever.
fn delay(label: &str, milliseconds: &str) -> Result<(), Fail> {
    let file = File::with_process(label)?;
    let echo = file.module("echo")?;
    let time = milliseconds
        .parse::<u32>()
        .map_err(|error| error.to_string())?
        .to_le_bytes();
    let data = dsp::pattern(4096, 77);
    tell("ready");
    loop {
        let mut back = vec![0; data.len()];
        let value = Call::new(3)
            .input(&time)
            .input(&data)
            .output(&mut back)
            .on(file.raw(), echo);
        if value != 0 {
            return Err(format!("delay gave {}", raw::show(value)).into());
        }
        dsp::same(&data, &back)?;
    }
}

/// `storm LABEL THREADS`: parks that many calls in one process, says how many were refused.
fn storm(label: &str, threads: &str) -> Result<(), Fail> {
    let number: usize = threads.parse().map_err(|_| "bad number")?;
    let file = File::with_process(label)?;
    let echo = file.module("echo")?;
    let fd = file.raw();
    tell("ready");
    let handles: Vec<_> = (0..number)
        .map(|_| {
            std::thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn(move || {
                    let value = Call::new(4).on(fd, echo);
                    tell(&raw::show(value));
                })
        })
        .collect::<Result<_, _>>()?;
    for handle in handles {
        handle.join().map_err(|_| "a thread panicked")?;
    }
    Ok(())
}

/// `busy LABEL ROUNDS`: creates a process, waits for the others, sums and echoes.
fn busy(label: &str, rounds: &str) -> Result<(), Fail> {
    let rounds: u32 = rounds.parse().map_err(|_| "bad number")?;
    let file = File::with_process(label)?;
    let calculator = file.module("calculator")?;
    let echo = file.module("echo")?;
    tell("ready");
    wait_for_parent();
    let own = std::process::id();
    for round in 0..rounds {
        let base = (own % 1000 * 1000 + round) as i32;
        let numbers: Vec<i32> = (0..100).map(|n| base - 3 * n).collect();
        let sum = numbers.iter().map(|&n| i64::from(n)).sum::<i64>();
        match file.sum(calculator, &numbers) {
            (0, got) if got == sum => {}
            (value, got) => {
                return Err(format!("sum {got} instead of {sum} ({})", raw::show(value)).into());
            }
        }
        file.echo(echo, &dsp::pattern(5000 + round as usize, own + round))?;
    }
    Ok(())
}

/// `on-fd NUMBER HANDLE`: uses a file and a calculator that the parent opened.
fn on_fd(number: &str, handle: &str) -> Result<(), Fail> {
    let fd: i32 = number.parse().map_err(|_| "bad number")?;
    let handle: u32 = handle.parse().map_err(|_| "bad number")?;
    // SAFETY: The parent left this descriptor open for this program alone.
    let file = File::of(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) });
    match file.sum(handle, &[40, 2]) {
        (0, 42) => {}
        (value, sum) => return Err(format!("sum {sum} ({})", raw::show(value)).into()),
    }
    file.still_works()
}

/// `create-on-fd NUMBER`: creates the process on a file that the parent opened.
fn create_on_fd(number: &str) -> Result<(), Fail> {
    let fd: i32 = number.parse().map_err(|_| "bad number")?;
    // SAFETY: As in on_fd().
    let file = File::of(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) });
    file.created()?.still_works()
}

/// `user-open PATH`: opens a node as an ordinary user; says the errno or "opened".
fn user_open(path: &str) -> Result<(), Fail> {
    become_user()?;
    match dsp::open_path(Path::new(path)) {
        Ok(_) => tell("opened"),
        Err(error) => tell(&format!("errno {error}")),
    }
    Ok(())
}

/// `user-attach PATH`: an ordinary user opens the node and attaches; says the result.
fn user_attach(path: &str) -> Result<(), Fail> {
    become_user()?;
    let file = File::open_node(Path::new(path))?;
    tell(&raw::show(file.attach()));
    tell(&raw::show(file.create()));
    file.still_works()
}

/// `root-open-user-attach PATH`: root opens, an ordinary user attaches; says the result.
fn root_open_user_attach(path: &str) -> Result<(), Fail> {
    let file = File::open_node(Path::new(path))?;
    become_user()?;
    tell(&raw::show(file.attach()));
    Ok(())
}

/// `take-buffer SOCKET LABEL`: gets a dma-buf, reads and writes it in three ways, and still can
/// when the parent has let go of it.
fn take_buffer(socket: &str, label: &str) -> Result<(), Fail> {
    let socket: i32 = socket.parse().map_err(|_| "bad number")?;
    let fd = passing::receive(socket)?.ok_or("no descriptor came")?;
    let size = buffer::size_of_fd(fd.as_raw_fd()) as usize;
    let pages = size / PAGE;
    let area = Area::shared(fd.as_raw_fd(), size, 0)?;
    area.check_stamps(1, 0, 0, pages)?;
    tell("read");
    area.stamp(2);
    let file = File::with_process(label)?;
    let handle = file.import(&fd)?;
    match file.map(handle, size) {
        // One of our own objects: its area through the node shows the same pages.
        Ok(own) => own.check_stamps(2, 0, 0, pages)?,
        Err(_) if buffer::mmap_offset(file.raw(), handle) == Err(-i64::from(libc::EINVAL)) => {}
        Err(why) => return Err(why),
    }
    tell("written");
    let echo = file.module("echo")?;
    let data = dsp::pattern(PAGE, 5);
    let value = Call::new(2)
        .input(&data)
        .writes(0, PAGE as u64, fd.as_raw_fd())
        .on(file.raw(), echo);
    if value != 0 {
        return Err(format!("echo to the buffer gave {}", raw::show(value)).into());
    }
    drop(fd);
    tell("called");
    wait_for_parent();
    dsp::same(&data, &area.read(2 * PAGE, PAGE))?;
    let fd = file.export(handle)?;
    let again = Area::shared(fd.as_raw_fd(), size, 0)?;
    dsp::same(&data, &again.read(0, PAGE))?;
    again.check_stamps(2, 3 * PAGE, 3, pages - 3)
}

/// `user-debugfs`: an ordinary user must not see the debug files.
fn user_debugfs() -> Result<(), Fail> {
    become_user()?;
    match std::fs::read_dir("/sys/kernel/debug") {
        Ok(_) => Err("an ordinary user can list debugfs".into()),
        Err(_) => Ok(()),
    }
}

/// `share LABEL NUMBER SIZE SEED`: a process of its own on the DSP reads a dma-buf that the parent
/// left open, says its checksum, and writes a stream into its second half.
fn share(label: &str, number: &str, size: &str, seed: &str) -> Result<(), Fail> {
    let fd: i32 = number.parse().map_err(|_| "bad number")?;
    let size: u64 = size.parse().map_err(|_| "bad size")?;
    let seed: u64 = seed.parse().map_err(|_| "bad seed")?;
    let file = File::with_process(label)?;
    let mem = DspMem::open(&file)?;
    let mut sum = [0; dspmem::SUMMED];
    let seed_bytes = seed.to_le_bytes();
    let handle = buffer::good(buffer::import(file.raw(), fd), "import")?;
    let call = NewCall::new(dspmem::TOUCH)
        .input(&seed_bytes)
        .read(handle, 0, size)
        .output(&mut sum)
        .write(handle, size / 2, size / 2);
    match mem.new_call(&call) {
        (0, 0) => {}
        (value, result) => {
            return Err(format!("touch: {}, {result:#x}", raw::show(value)).into());
        }
    }
    let Checksum(sum, hash) = Checksum::nth(&sum, 0);
    tell(&format!("{sum:x} {hash:x}"));
    wait_for_parent();
    Ok(())
}

/// `buffers LABEL`: calls with buffers without end, in old and new style, held ones among them.
fn buffers(label: &str) -> Result<(), Fail> {
    let file = File::with_process(label)?;
    let echo = file.module("echo")?;
    let mem = DspMem::open(&file)?;
    tell("ready");
    for round in 0u32.. {
        let from = Shared::own(&file, 16 << 10)?;
        let to = Shared::new(Maker::Udmabuf, &file, 16 << 10)?;
        let data = from.fill(round);
        let time = (round % 7).to_le_bytes();
        let value = Call::new(3)
            .input(&time)
            .reads(from.at(5), 16_000, from.raw())
            .writes(to.at(9), 16_000, to.raw())
            .on(file.raw(), echo);
        if value != 0 {
            return Err(format!("delay gave {}", raw::show(value)).into());
        }
        to.holds(9, &data[5..16_005])?;
        mem.args(2, |call| call.in_handle(0, 100, from.raw()))
            .map_err(|value| format!("args gave {}", raw::show(value)))?;
        let mut map = raw::Map {
            request: raw::ATTR,
            flags: 2,
            fd: to.raw(),
            ..raw::Map::default()
        };
        match raw::ioctl(file.raw(), raw::REMOTE_MAP, &raw mut map as u64) {
            0 => {}
            value => return Err(format!("map gave {}", raw::show(value)).into()),
        }
        if round % 4 != 0 {
            let unmap = raw::Unmap {
                request: raw::ATTR,
                fd: to.raw(),
                vaddr: map.vaddrout,
                ..raw::Unmap::default()
            };
            match raw::ioctl(file.raw(), raw::REMOTE_MUNMAP, &raw const unmap as u64) {
                0 => {}
                value => return Err(format!("unmap gave {}", raw::show(value)).into()),
            }
        }
        file.close(from.handle)?;
    }
    Ok(())
}

/// Runs the role that the command line names.
pub fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["park", label] => park(label),
        ["delay", label, time] => delay(label, time),
        ["storm", label, threads] => storm(label, threads),
        ["busy", label, rounds] => busy(label, rounds),
        ["on-fd", number, handle] => on_fd(number, handle),
        ["create-on-fd", number] => create_on_fd(number),
        ["take-buffer", socket, label] => take_buffer(socket, label),
        ["user-open", path] => user_open(path),
        ["user-attach", path] => user_attach(path),
        ["root-open-user-attach", path] => root_open_user_attach(path),
        ["share", label, number, size, seed] => share(label, number, size, seed),
        ["buffers", label] => buffers(label),
        ["user-debugfs"] => user_debugfs(),
        ["opener", words @ ..] => privileges::child(words),
        ["as-user", words @ ..] => privileges::exec_as_user(words),
        _ => Err(format!("unknown role {words:?}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tell(&why.to_string());
            ExitCode::FAILURE
        }
    }
}
