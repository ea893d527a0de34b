// SPDX-License-Identifier: GPL-2.0
//! Interval timers of every kind, and handlers that count.

use std::mem;
use std::ptr;
use std::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

/// A timer that goes off again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// `setitimer(ITIMER_REAL)`.
    Real,
    /// `setitimer(ITIMER_VIRTUAL)`: counts time of the processor in the program.
    Virtual,
    /// `setitimer(ITIMER_PROF)`: the kernel's time on its behalf too.
    Prof,
    /// `timer_create()` with `SIGEV_SIGNAL`: for any thread of the process.
    Process,
    /// `timer_create()` with `SIGEV_THREAD_ID`: for the thread that starts it.
    Thread,
}

pub const TIMERS: [Timer; 5] = [
    Timer::Real,
    Timer::Virtual,
    Timer::Prof,
    Timer::Process,
    Timer::Thread,
];

impl Timer {
    /// The signal that it sends here.
    pub fn signal(self) -> libc::c_int {
        match self {
            Timer::Real => libc::SIGALRM,
            Timer::Virtual => libc::SIGVTALRM,
            Timer::Prof => libc::SIGPROF,
            Timer::Process => libc::SIGUSR1,
            Timer::Thread => libc::SIGUSR2,
        }
    }

    fn which(self) -> Option<libc::c_int> {
        match self {
            Timer::Real => Some(libc::ITIMER_REAL),
            Timer::Virtual => Some(libc::ITIMER_VIRTUAL),
            Timer::Prof => Some(libc::ITIMER_PROF),
            Timer::Process | Timer::Thread => None,
        }
    }
}

/// Sets one of the three old timers; no time stops it.
fn set_old(which: libc::c_int, every: Duration) -> Outcome {
    let time = libc::timeval {
        tv_sec: every.as_secs() as i64,
        tv_usec: i64::from(every.subsec_micros()),
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: `timer` is valid; the old value is not wanted.
    let value = unsafe { libc::setitimer(which, &timer, ptr::null_mut()) };
    ensure_eq!(value, 0, "setitimer");
    Ok(())
}

/// A timer that runs until this value is dropped.
pub struct Storm {
    timer: Timer,
    /// Of the two new kinds. A null pointer is a number like any other.
    id: Option<libc::timer_t>,
    /// Uses up processor time, which is all that two of the old kinds count.
    burner: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Storm {
    pub fn start(timer: Timer, every: Duration) -> Result<Self, Fail> {
        let mut storm = Storm {
            timer,
            id: None,
            burner: None,
        };
        if matches!(timer, Timer::Virtual | Timer::Prof) {
            let stop = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&stop);
            // A thread inherits what is blocked: the burner takes no signal away from the others.
            let before = block_all()?;
            let burner = std::thread::spawn(move || {
                while !seen.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            set_mask(&before);
            storm.burner = Some((stop, burner));
        }
        if let Some(which) = timer.which() {
            set_old(which, every)?;
            return Ok(storm);
        }
        // SAFETY: All bytes zero is a valid value.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_signo = timer.signal();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        if timer == Timer::Thread {
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_notify_thread_id = thread_id();
        }
        let mut id = ptr::null_mut();
        // SAFETY: Both structures are valid.
        let value = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut id) };
        ensure_eq!(value, 0, "timer_create");
        storm.id = Some(id);
        set_new(id, every)?;
        Ok(storm)
    }
}

/// Sets one of the new timers.
fn set_new(id: libc::timer_t, every: Duration) -> Outcome {
    let time = libc::timespec {
        tv_sec: every.as_secs() as i64,
        tv_nsec: i64::from(every.subsec_nanos()),
    };
    let both = libc::itimerspec {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: The caller has made the timer; the old setting is not wanted.
    let value = unsafe { libc::timer_settime(id, 0, &both, ptr::null_mut()) };
    ensure_eq!(value, 0, "timer_settime");
    Ok(())
}

impl Drop for Storm {
    fn drop(&mut self) {
        if let Some(which) = self.timer.which() {
            let _ = set_old(which, Duration::ZERO);
        }
        if let Some(id) = self.id.take() {
            // SAFETY: The timer belongs to this value.
            unsafe { libc::timer_delete(id) };
        }
        if let Some((stop, burner)) = self.burner.take() {
            stop.store(true, Ordering::Relaxed);
            let _ = burner.join();
        }
    }
}

/// Number of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: No arguments, always succeeds.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Blocks all signals for this thread; what was blocked before.
pub fn block_all() -> Result<libc::sigset_t, Fail> {
    // SAFETY: Both sets are initialised by the functions that get them.
    unsafe {
        let (mut all, mut before) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&mut all);
        let value = libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        ensure_eq!(value, 0, "pthread_sigmask");
        Ok(before)
    }
}

/// Sets what is blocked for this thread.
pub fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: The set is valid; the old one is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);
static WRONG: AtomicU32 = AtomicU32::new(0);

/// How many signals the handlers of this module have seen.
pub fn signals() -> u32 {
    SIGNALS.load(Ordering::Relaxed)
}

/// Fails if a handler was not called as it should be.
pub fn handlers_were_right() -> Outcome {
    ensure_eq!(
        WRONG.load(Ordering::Relaxed),
        0,
        "handlers called with wrong arguments or on the wrong stack"
    );
    Ok(())
}

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn count_info(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: With SA_SIGINFO the kernel gives a valid structure.
    if info.is_null() || unsafe { (*info).si_signo } != signal {
        WRONG.fetch_add(1, Ordering::Relaxed);
    }
    count(signal);
}

extern "C" fn count_on_stack(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: Asks which stack is in use, and takes no memory.
    unsafe {
        let mut now: libc::stack_t = mem::zeroed();
        if libc::sigaltstack(ptr::null(), &mut now) != 0 || now.ss_flags & libc::SS_ONSTACK == 0 {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
    }
    count_info(signal, info, context);
}

/// How a signal is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    /// `SA_RESTART`: the kernel repeats the call. Else the program gets EINTR.
    pub restart: bool,
    /// `SA_SIGINFO`.
    pub info: bool,
    /// `SA_ONSTACK`, with `SA_SIGINFO`.
    pub stack: bool,
}

impl Handling {
    pub const REPEAT: Handling = Handling {
        restart: false,
        info: false,
        stack: false,
    };
    pub const RESTART: Handling = Handling {
        restart: true,
        ..Self::REPEAT
    };
    pub const ALL: [Handling; 5] = [
        Self::RESTART,
        Handling {
            info: true,
            ..Self::RESTART
        },
        Handling {
            info: true,
            stack: true,
            ..Self::RESTART
        },
        Self::REPEAT,
        Handling {
            info: true,
            stack: true,
            ..Self::REPEAT
        },
    ];

    /// Installs the counting handler for a signal.
    pub fn install(self, signal: libc::c_int) -> Outcome {
        let handler = match (self.info, self.stack) {
            (false, _) => count as usize,
            (true, false) => count_info as usize,
            (true, true) => count_on_stack as usize,
        };
        let mut flags = 0;
        for (wanted, flag) in [
            (self.restart, libc::SA_RESTART),
            (self.info, libc::SA_SIGINFO),
            (self.stack, libc::SA_ONSTACK),
        ] {
            flags |= if wanted { flag } else { 0 };
        }
        install(signal, handler, flags)
    }
}

/// Installs a handler.
pub fn install(signal: libc::c_int, handler: usize, flags: libc::c_int) -> Outcome {
    // SAFETY: The structure is filled as sigaction() wants it; handlers of this program only use
    // atomics, memory of their own and system calls.
    let value = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, ptr::null_mut())
    };
    ensure_eq!(value, 0, "sigaction");
    Ok(())
}

/// A second stack for the handlers of this thread, until it is dropped.
pub struct SecondStack(#[allow(dead_code)] Vec<u8>);

impl SecondStack {
    pub fn new() -> Result<Self, Fail> {
        let mut memory = vec![0u8; 64 << 10];
        let stack = libc::stack_t {
            ss_sp: memory.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: memory.len(),
        };
        // SAFETY: The memory stays until drop() has taken the stack away.
        let value = unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
        ensure_eq!(value, 0, "sigaltstack");
        Ok(SecondStack(memory))
    }
}

impl Drop for SecondStack {
    fn drop(&mut self) {
        let none = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: 0,
        };
        // SAFETY: No handler runs on it: this is not one.
        unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
    }
}
