// SPDX-License-Identifier: GPL-2.0
//! Programs that are stopped, traced, frozen or suspended in a call. None of them has a handler, so
//! none of their calls may end early.

use std::fs;
use std::path::{
    Path,
    PathBuf, //
};

use super::*;

/// A child made by fork(), ended with this value.
pub struct Child {
    pid: libc::pid_t,
    /// Its status, once it has ended.
    ended: Option<libc::c_int>,
}

impl Child {
    /// Starts a child; its status is 0 if `body` succeeds. This program has no other threads then.
    pub fn start(body: impl FnOnce() -> Outcome) -> Result<Self, Fail> {
        // SAFETY: The child runs `body` alone and leaves without running anything of the parent.
        let pid = unsafe { libc::fork() };
        ensure!(pid >= 0, "fork: errno {}", raw::errno());
        if pid == 0 {
            let status = match body() {
                Ok(()) => 0,
                Err(why) => {
                    println!("child: {why}");
                    1
                }
            };
            // SAFETY: Leaves at once.
            unsafe { libc::_exit(status) };
        }
        Ok(Child { pid, ended: None })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: libc::c_int) -> Outcome {
        // SAFETY: Takes numbers only; the child was not waited for yet.
        let value = unsafe { libc::kill(self.pid, signal) };
        ensure_eq!(value, 0, "kill");
        Ok(())
    }

    /// Waits for a change of the child, with `flags` of waitpid(): its status.
    fn wait_for(&mut self, flags: libc::c_int) -> Result<libc::c_int, Fail> {
        let deadline = Instant::now() + patience(SOON);
        loop {
            if let Some(status) = self.ended {
                return Ok(status);
            }
            let mut status = 0;
            // SAFETY: `status` has room; the child is ours.
            match unsafe { libc::waitpid(self.pid, &mut status, flags | libc::WNOHANG) } {
                0 => {}
                pid if pid == self.pid => {
                    if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                        self.ended = Some(status);
                    }
                    return Ok(status);
                }
                _ => return Err(format!("waitpid: errno {}", raw::errno()).into()),
            }
            ensure!(Instant::now() < deadline, "nothing becomes of the child");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the child has stopped for the reason that `flags` say.
    fn stopped(&mut self, flags: libc::c_int) -> Outcome {
        let status = self.wait_for(flags)?;
        ensure!(
            libc::WIFSTOPPED(status),
            "status {status:#x} instead of a stop"
        );
        Ok(())
    }

    /// Waits for the end, which must be a success.
    pub fn success(mut self) -> Outcome {
        ensure_eq!(self.wait_for(0)?, 0, "status of the child");
        Ok(())
    }

    /// Waits for the end by SIGKILL.
    pub fn killed(mut self) -> Outcome {
        let status = self.wait_for(0)?;
        ensure!(
            libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL,
            "status {status:#x} instead of a killed child"
        );
        Ok(())
    }

    /// Ends the child with SIGKILL.
    pub fn kill(self) -> Outcome {
        self.signal(libc::SIGKILL)?;
        self.killed()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // SAFETY: As for signal() and wait_for().
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Waits until `number` calls wait in the simulated DSP.
pub fn wait_delayed(number: u64) -> Outcome {
    sim::wait_counter("delayed", patience(SOON), |now| now == number)?;
    Ok(())
}

/// Starts a child with one call of `milliseconds` of each kind, one after the other, and runs `body`
/// while the first one is under way. Each must be executed once and give its data.
fn during_calls(milliseconds: u32, mut body: impl FnMut(&mut Child) -> Outcome) -> Outcome {
    // Time for what the body does meanwhile.
    let milliseconds = patience(Duration::from_millis(u64::from(milliseconds))).as_millis() as u32;
    for dialect in DIALECTS {
        for place in PLACES {
            executes(|| {
                let mut child = Child::start(|| {
                    let file = File::with_process(CDSP)?;
                    let echo = file.module("echo")?;
                    let mut job = Job::new(&file, echo, dialect, place, 5000)?;
                    job.prepare(milliseconds, 31);
                    ensure_ret!(job.issue(), 0, "call");
                    job.check()
                })?;
                wait_delayed(1)?;
                body(&mut child)?;
                child.success()?;
                Ok(1)
            })
            .map_err(|why| format!("{dialect:?}, {place:?}: {why}"))?;
        }
    }
    Ok(())
}

/// Stopped for longer than the call takes, and again and again for a moment.
pub fn stopped() -> Outcome {
    during_calls(SLOW, |child| {
        child.signal(libc::SIGSTOP)?;
        child.stopped(libc::WUNTRACED)?;
        wait_delayed(0)?;
        thread::sleep(Duration::from_millis(20));
        child.signal(libc::SIGCONT)
    })?;
    during_calls(5 * SLOW, |child| {
        for _ in 0..10 {
            child.signal(libc::SIGSTOP)?;
            child.stopped(libc::WUNTRACED)?;
            child.signal(libc::SIGCONT)?;
            thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    })
}

/// One request of ptrace() without arguments.
fn trace(request: libc::c_uint, child: &Child) -> Outcome {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: The requests used here take no addresses.
    let value = unsafe { libc::ptrace(request, child.pid, none, none) };
    ensure_eq!(
        value,
        0,
        "ptrace request {request:#x}, errno {}",
        raw::errno()
    );
    Ok(())
}

/// A debugger comes and goes.
pub fn traced() -> Outcome {
    during_calls(5 * SLOW, |child| {
        for _ in 0..4 {
            trace(libc::PTRACE_ATTACH, child)?;
            child.stopped(libc::__WALL)?;
            trace(libc::PTRACE_DETACH, child)?;
            thread::sleep(Duration::from_millis(3));
        }
        trace(libc::PTRACE_SEIZE, child)?;
        for _ in 0..4 {
            trace(libc::PTRACE_INTERRUPT, child)?;
            child.stopped(libc::__WALL)?;
            trace(libc::PTRACE_CONT, child)?;
            thread::sleep(Duration::from_millis(3));
        }
        trace(libc::PTRACE_INTERRUPT, child)?;
        child.stopped(libc::__WALL)?;
        // The answer comes while the program stands still.
        wait_delayed(0)?;
        trace(libc::PTRACE_DETACH, child)
    })
}

/// A control group of its own, removed with this value.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, Fail> {
        let root = Path::new("/tmp/qda-cgroup");
        let _ = fs::create_dir_all(root);
        if !root.join("cgroup.procs").exists() {
            // SAFETY: All strings are NUL-terminated and live during the call.
            let value = unsafe {
                libc::mount(
                    c"none".as_ptr(),
                    c"/tmp/qda-cgroup".as_ptr(),
                    c"cgroup2".as_ptr(),
                    0,
                    std::ptr::null(),
                )
            };
            ensure_eq!(value, 0, "mount of cgroup2, errno {}", raw::errno());
        }
        let path = root.join(format!("test-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Group(path))
    }

    fn take_in(&self, child: &Child) -> Outcome {
        Ok(fs::write(
            self.0.join("cgroup.procs"),
            child.pid.to_string(),
        )?)
    }

    /// Freezes or thaws all that is in the group, and waits until that is done.
    fn freeze(&self, frozen: bool) -> Outcome {
        fs::write(self.0.join("cgroup.freeze"), if frozen { "1" } else { "0" })?;
        let wanted = format!("frozen {}", u32::from(frozen));
        let deadline = Instant::now() + patience(SOON);
        loop {
            let events = fs::read_to_string(self.0.join("cgroup.events"))?;
            if events.lines().any(|line| line == wanted) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the group does not get to {wanted:?}"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.freeze"), "0");
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Frozen in a control group: a call that is answered meanwhile, and one that is answered later.
pub fn frozen_group() -> Outcome {
    let group = Group::new()?;
    during_calls(SLOW, |child| {
        group.take_in(child)?;
        group.freeze(true)?;
        wait_delayed(0)?;
        thread::sleep(Duration::from_millis(20));
        group.freeze(false)
    })?;
    during_calls(3 * SLOW, |child| {
        group.take_in(child)?;
        for _ in 0..5 {
            group.freeze(true)?;
            thread::sleep(Duration::from_millis(5));
            group.freeze(false)?;
            thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    })
}

/// A frozen program with a call that is never answered dies of SIGKILL, and its process goes.
pub fn killed_while_frozen() -> Outcome {
    let group = Group::new()?;
    for answered in [false, true] {
        let live = sim::counter("live_processes")?;
        let releases = sim::counter("releases")?;
        let child = Child::start(|| {
            let file = File::with_process(CDSP)?;
            let echo = file.module("echo")?;
            let mut job = Job::inline(&file, echo, 100)?;
            job.prepare(if answered { SLOW } else { 100_000 }, 1);
            job.run()
        })?;
        wait_delayed(1)?;
        group.take_in(&child)?;
        group.freeze(true)?;
        if answered {
            wait_delayed(0)?;
        }
        child.kill()?;
        sim::wait_counter("live_processes", patience(SOON), |now| now == live)?;
        ensure_eq!(sim::counter("releases")?, releases + 1, "releases");
        wait_status("calls", 0)?;
        group.freeze(false)?;
    }
    Ok(())
}

/// Freezes the whole system as for a suspend, for a second.
fn freeze_system() -> Outcome {
    let write = |path: &str, text: &str| -> Outcome {
        fs::write(path, text).map_err(|error| format!("{text} > {path}: {error}").into())
    };
    write("/sys/module/suspend/parameters/pm_test_delay", "1")?;
    write("/sys/power/pm_test", "freezer")?;
    let begin = Instant::now();
    let result = write("/sys/power/state", "freeze");
    write("/sys/power/pm_test", "none")?;
    result?;
    ensure!(
        begin.elapsed() > Duration::from_millis(900),
        "the system was frozen for {:?} only",
        begin.elapsed()
    );
    Ok(())
}

/// The system freezes for a suspend: calls that are answered meanwhile and later, one in each
/// thread, do not stand in its way and notice nothing.
pub fn suspend() -> Outcome {
    if fs::metadata("/sys/power/pm_test").is_err() {
        return Err(Fail::Skip("this kernel has no /sys/power/pm_test".into()));
    }
    executes(|| {
        let child = Child::start(|| {
            let file = File::with_process(CDSP)?;
            let echo = file.module("echo")?;
            thread::scope(|scope| {
                let threads: Vec<_> = (0..6)
                    .map(|n| {
                        let file = &file;
                        scope.spawn(move || {
                            let kind = (DIALECTS[n % 2], PLACES[n / 2 % 2]);
                            let mut job = Job::new(file, echo, kind.0, kind.1, 5000)?;
                            let milliseconds = if n < 4 { 700 } else { 2500 };
                            job.prepare(milliseconds, n as u32);
                            ensure_ret!(job.issue(), 0, "call of {milliseconds} ms");
                            job.check()
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .try_for_each(|one| one.join().unwrap_or(Err("a thread panicked".into())))
            })
        })?;
        wait_delayed(6)?;
        freeze_system()?;
        child.success()?;
        Ok(6)
    })
}
