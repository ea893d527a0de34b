// SPDX-License-Identifier: GPL-2.0

//! A kernel thread that works when it is woken or when a time has come.
//!
//! One completion counts the wake-ups, so that none is lost. No other lock. The thread
//! holds a reference to what it works on until it is stopped.

use super::bindings;
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// Something that [`Worker`]s work on; they are numbered.
pub(crate) trait Work<const N: u8>: Send + Sync + 'static {
    /// The worker, a field of `self`.
    fn worker(&self) -> &Worker;
    /// Does what there is to do. Returns after how many milliseconds to come again.
    fn work(this: ArcBorrow<'_, Self>) -> Option<u32>;
}

struct Task(*mut bindings::task_struct);

// SAFETY: A referenced task may be stopped from any thread.
unsafe impl Send for Task {}

/// The thread.
#[pin_data]
pub(crate) struct Worker {
    #[pin]
    wake: Opaque<bindings::completion>,
    stopping: Atomic<u32>,
    #[pin]
    task: Mutex<Option<Task>>,
}

// SAFETY: The completion may be used from any thread.
unsafe impl Send for Worker {}
// SAFETY: As above; the rest is behind a lock or atomic.
unsafe impl Sync for Worker {}

impl Worker {
    /// A worker without thread.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            wake <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is room for a completion that stays where it is.
                unsafe { bindings::init_completion(slot) }
            }),
            stopping: Atomic::new(0),
            task <- new_mutex!(None),
        })
    }

    /// Starts the thread. It holds `target` until [`Worker::stop`].
    pub(crate) fn start<T: Work<N>, const N: u8>(target: &Arc<T>, name: &CStr) -> Result {
        let data = target.clone().into_raw();
        // SAFETY: The thread function takes over the reference in `data`; the name is a
        // terminated string and the format takes exactly one and a number.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(thread::<T, N>),
                data.cast_mut().cast::<c_void>(),
                -1,
                c"qda-sim-%s/%d".as_char_ptr(),
                name.as_char_ptr(),
                c_int::from(N),
            )
        };
        let task = match from_err_ptr(task) {
            Ok(t) => t,
            Err(e) => {
                // SAFETY: No thread took the reference over.
                drop(unsafe { Arc::from_raw(data) });
                return Err(e);
            }
        };
        // SAFETY: The new thread sleeps until it is woken, so the task is alive. The extra
        // reference keeps it valid for `stop`.
        unsafe {
            bindings::qda_sim_get_task(task);
            bindings::wake_up_process(task);
        }
        *target.worker().task.lock() = Some(Task(task));
        Ok(())
    }

    /// Makes the thread work.
    pub(crate) fn kick(&self) {
        // SAFETY: Initialised in `new`.
        unsafe { bindings::complete(self.wake.get()) };
    }

    /// Stops the thread and waits for its end.
    pub(crate) fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(Task(task)) = task {
            self.stopping.store(1, Release);
            self.kick();
            // SAFETY: `start` took a reference for us.
            unsafe {
                bindings::kthread_stop(task);
                bindings::qda_sim_put_task(task);
            }
        }
    }

    fn sleep(&self, ms: Option<u32>) {
        // A signed long: larger values mean no time-out at all.
        let jiffies = ms.map_or(c_ulong::MAX >> 1, |ms| msecs_to_jiffies(ms).max(1));
        // SAFETY: Initialised in `new`. Kernel threads get no signals, so the wait ends
        // by completion or time-out only.
        unsafe { bindings::wait_for_completion_interruptible_timeout(self.wake.get(), jiffies) };
    }
}

/// The thread function.
///
/// # Safety
///
/// `data` is an `Arc<T>` as raw pointer, which the thread takes over.
unsafe extern "C" fn thread<T: Work<N>, const N: u8>(data: *mut c_void) -> c_int {
    // SAFETY: `start` gave us a reference as raw pointer.
    let target: Arc<T> = unsafe { Arc::from_raw(data.cast_const().cast::<T>()) };
    while target.worker().stopping.load(Acquire) == 0 {
        let next = T::work(target.as_arc_borrow());
        target.worker().sleep(next);
    }
    0
}
