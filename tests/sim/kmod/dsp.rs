// SPDX-License-Identifier: GPL-2.0

//! One simulated DSP: its firmware, its channel and the thread that works.
//!
//! Beside it stands `noise.rs`: storms of packets, and what follows a crash.
//!
//! Locks, in this order: `link` (who announces and removes), the driver core's device
//! lock, `firmware` (all state of the model), then `queue`, the receiver's lock or a
//! report's lock. Called by the transport, by the thread and by debugfs.

#![forbid(unsafe_code)]

use crate::{
    credits::{
        Credits,
        Verdict, //
    },
    firmware::{
        Fall,
        Firmware,
        Phase, //
    },
    model::{
        storm::Storm,
        Core,
        Counters,
        Env,
        Knobs,
        Order,
        Profile,
        State, //
    },
    queue::Queue,
    report::{
        Line,
        Report, //
    },
    sys::{
        dt::{
            Node,
            RootDevice, //
        },
        memory::Banks,
        receiver::Receiver,
        transport::{
            ChannelDevice,
            Link, //
        },
        worker::{
            Work,
            Worker, //
        },
    },
    world::World, //
};
use core::fmt::{
    self,
    Write, //
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
};

/// The number of the thread that works on messages.
const MAIN: u8 = 0;
/// The number of the thread that makes noise.
pub(crate) const NOISE: u8 = 1;

/// Longest wait of a sender for room, in milliseconds, and the step in which it looks.
const LONGEST_WAIT: u32 = 10_000;
const WAIT_STEP: u32 = 2;

/// What all DSPs of the module share.
#[pin_data]
pub(crate) struct Shared {
    /// What a correct driver does not do.
    #[pin]
    pub(crate) violations: Report,
    /// Accesses that the SMMU stopped.
    #[pin]
    pub(crate) faults: Report,
}

impl Shared {
    /// Nothing reported yet.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            violations <- Report::new(),
            faults <- Report::new(),
        }? Error)
    }
}

/// A simulated DSP.
#[pin_data]
pub(crate) struct Dsp {
    shared: Arc<Shared>,
    node: Node,
    name: CString,
    channel_name: CString,
    start: Instant<Monotonic>,
    #[pin]
    link: Mutex<Option<Link>>,
    parent: RootDevice,
    #[pin]
    firmware: Mutex<Firmware>,
    #[pin]
    queue: Mutex<Queue>,
    #[pin]
    receiver: Receiver,
    #[pin]
    worker: Worker,
    /// The thread of [`crate::noise`].
    #[pin]
    noise: Worker,
}

/// What DSPs have at one moment.
#[derive(Default)]
pub(crate) struct Present {
    /// Live processes.
    pub(crate) live: usize,
    /// Calls that wait for the end of their process.
    pub(crate) parked: usize,
    /// Calls that wait for a time.
    pub(crate) delayed: usize,
    /// Calls that are never answered.
    pub(crate) ignored: usize,
    /// Mappings by MMAP and MEM_MAP.
    pub(crate) mappings: usize,
    /// Buffers of handle arguments that were not dropped.
    pub(crate) held: usize,
    /// Packets that reached a driver and completed no call.
    pub(crate) strays: u64,
    /// Messages that the transport refused on command.
    pub(crate) refused: u64,
    /// Packets of a storm that are still to come.
    pub(crate) storm_left: u64,
}

/// Module parameters of a DSP.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// Work inside send instead of in the thread.
    pub(crate) inline: bool,
    /// Keep the last messages.
    pub(crate) capture: bool,
}

impl Dsp {
    /// A DSP for a device-tree node below an edge, not announced yet. It is named after the
    /// edge, so that its label may be anything.
    pub(crate) fn new(
        edge: &Node,
        node: &Node,
        shared: Arc<Shared>,
        module: &'static ThisModule,
        options: Options,
    ) -> Result<Arc<Self>> {
        let name = edge.name(|n| {
            let n = text(n);
            CString::try_from_fmt(fmt!("{}", n.strip_suffix("-edge").unwrap_or(n)))
        })?;
        let channel_name = node
            .string(c"qcom,glink-channels", |s| CString::try_from(s))
            .ok_or(EINVAL)??;
        let parent_name = CString::try_from_fmt(fmt!("qda-sim-{}", text(&name)))?;
        let parent = RootDevice::new(&parent_name, module)?;
        // Where the stream id is in an address, and how wide the rest is.
        let is_cdsp = node.string(c"label", |l| text(l).starts_with("cdsp"));
        let core = match node.is_compatible(c"qcom,kaanapali-fastrpc") {
            true if is_cdsp == Some(true) => Core::new(56, 34),
            true => Core::new(56, 32),
            false => Core::new(32, 32),
        };
        let node = node.share();
        let dsp = Arc::pin_init(
            try_pin_init!(Self {
                shared,
                node,
                name,
                channel_name,
                start: Instant::now(),
                link <- new_mutex!(None),
                parent,
                firmware <- new_mutex!(Firmware::new(core, options.capture)?),
                queue <- new_mutex!(Queue::new(options.inline)?),
                receiver <- Receiver::new(),
                worker <- Worker::new(),
                noise <- Worker::new(),
            }? Error),
            GFP_KERNEL,
        )?;
        Worker::start::<_, MAIN>(&dsp, &dsp.name)?;
        if let Err(e) = Worker::start::<_, NOISE>(&dsp, &dsp.name) {
            dsp.worker.stop();
            return Err(e);
        }
        Ok(dsp)
    }

    /// Name of the DSP.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    /// What all DSPs share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Milliseconds since the DSP was made.
    pub(crate) fn age_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0)
    }

    /// Microseconds since then.
    pub(crate) fn age_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros_ceil()).unwrap_or(0)
    }

    /// The path of the answers.
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Announces the channel.
    ///
    /// # Errors
    ///
    /// `EBUSY` when it is announced already.
    pub(crate) fn announce(self: ArcBorrow<'_, Self>) -> Result {
        let mut link = self.link.lock();
        if link.is_some() {
            return Err(EBUSY);
        }
        *link = Some(Link::announce(
            self.into(),
            &self.node,
            &self.parent,
            &self.channel_name,
        )?);
        Ok(())
    }

    /// The DSP dies: from now on nothing is worked on or answered, and the channel goes.
    ///
    /// # Errors
    ///
    /// `ENODEV` when it is not announced.
    pub(crate) fn remove(&self) -> Result {
        let mut link = self.link.lock();
        let old = link.take().ok_or(ENODEV)?;
        {
            let mut fw = self.firmware.lock();
            // The driver cannot know yet: it still has to keep everything. The in-tree driver
            // can have lost a RELEASE.
            if fw.core.profile == Profile::Strict {
                self.check(&mut fw);
            }
            if fw.phase != Phase::Closed {
                fw.phase = Phase::Dead;
            }
            self.queue.lock().stop();
        }
        self.receiver.clear();
        drop(old);
        Ok(())
    }

    /// Is everything still there that live processes and unanswered calls may reach?
    fn check(&self, fw: &mut Firmware) {
        if fw.phase == Phase::Open {
            self.with_world(fw, |state, env| state.check_all(env));
        }
    }

    /// Carries out a command of the control file that is for the firmware.
    ///
    /// # Errors
    ///
    /// `EINVAL` when it is none, `ENODEV` when it needs a channel and there is none, `ENOENT` when
    /// there is nothing to do it to.
    pub(crate) fn order(&self, command: &[u8]) -> Result {
        let now = self.age_ms();
        if self.queue.lock().credits.command(command, now).is_some() {
            return Ok(());
        }
        if command == b"normal" {
            self.take_everything();
        }
        let mut fw = self.firmware.lock();
        let Some(order) = Order::parse(command) else {
            return fw.core.knobs.command(command).ok_or(EINVAL);
        };
        match order {
            Order::Storm(storm) => fw.core.storm = storm,
            Order::Talk(packets) => fw.core.talk = packets,
            Order::Check if fw.phase != Phase::Open => {}
            Order::Ignored(_) if fw.phase != Phase::Open => return Err(ENODEV),
            order => {
                let done = self.with_world(&mut fw, |state, env| state.order(env, order));
                done.ok_or(ENODEV)?.ok_or(ENOENT)?;
            }
        }
        drop(fw);
        self.noise.kick();
        Ok(())
    }

    /// Lets the transport take all messages again.
    fn take_everything(&self) {
        let mut queue = self.queue.lock();
        let refused = queue.credits.refused;
        queue.credits = Credits::NONE;
        queue.credits.refused = refused;
    }

    /// Ends everything that runs. The channel's device may live on until its last user.
    pub(crate) fn shutdown(&self) {
        // It announces channels.
        self.noise.stop();
        // Not announced is fine here.
        let _ = self.remove();
        self.worker.stop();
    }

    /// Switches between work inside send and work in the thread.
    pub(crate) fn set_inline(&self, inline: bool) {
        self.queue.lock().inline = inline;
        // The thread does not look at messages that came before and is inline now.
        self.drain();
    }

    /// A driver creates the endpoint: a fresh firmware, messages wait until the channel is
    /// announced. Called by the transport.
    ///
    /// # Errors
    ///
    /// `EBUSY` when there is an endpoint already.
    pub(crate) fn opened(&self, driver: &[u8], channel: ChannelDevice) -> Result {
        let mut fw = self.firmware.lock();
        if fw.phase != Phase::Closed {
            return Err(EBUSY);
        }
        fw.phase = Phase::Opening;
        fw.channel = Some(channel);
        fw.driver = Line::EMPTY;
        let name = core::str::from_utf8(driver).unwrap_or("?");
        // Cannot fail: the line cuts off.
        let _ = fw.driver.write_str(name);
        let profile = if name == "qcom,fastrpc" {
            Profile::Stock
        } else {
            Profile::Strict
        };
        fw.state().open(profile);
        self.queue.lock().start();
        Ok(())
    }

    /// The driver's probe is over. Called by the transport.
    pub(crate) fn announced(&self) {
        let mut fw = self.firmware.lock();
        if fw.phase == Phase::Opening {
            fw.phase = Phase::Open;
        }
        drop(fw);
        self.talk();
        // Messages that waited for this moment, in either mode.
        self.drain();
    }

    /// The driver's remove is about to start: works off what waits, then leaves the memory
    /// alone but for what the driver still sends. Called by the transport.
    pub(crate) fn closing(&self) {
        self.talk();
        let mut fw = self.firmware.lock();
        while fw.phase == Phase::Open && self.step(&mut fw) {}
        if fw.phase == Phase::Open {
            fw.phase = Phase::Closing;
        }
        self.queue.lock().closing = true;
    }

    /// The endpoint is gone, or its driver failed to probe. Called by the transport.
    pub(crate) fn closed(&self) {
        let mut fw = self.firmware.lock();
        fw.phase = Phase::Closed;
        fw.channel = None;
        fw.state().close();
        self.queue.lock().stop();
    }

    /// The driver sends a message.
    ///
    /// # Errors
    ///
    /// `ECONNRESET` without channel, `EAGAIN` when too many messages wait, or when there is no room
    /// and the sender only `tries`, and whatever a test ordered.
    pub(crate) fn send(&self, bytes: &[u8], tries: bool) -> Result {
        let mut waited = 0u32;
        let (inline, closing, told) = loop {
            let mut queue = self.queue.lock();
            let told = match queue.credits.verdict(tries, self.age_ms()) {
                Verdict::Take => Ok(()),
                Verdict::TakeAndRefuse(e) => Err(e),
                Verdict::Refuse(e) => return Err(e),
                // As GLINK: no signal ends the wait, but the end of the channel does.
                Verdict::Wait if tries || waited >= LONGEST_WAIT => return Err(EAGAIN),
                Verdict::Wait if !queue.open => return Err(ECONNRESET),
                Verdict::Wait => {
                    drop(queue);
                    fsleep(Delta::from_millis(i64::from(WAIT_STEP)));
                    waited += WAIT_STEP;
                    continue;
                }
            };
            queue.push(bytes)?;
            break (queue.inline, queue.closing, told);
        };
        if inline || closing {
            self.drain();
        }
        // The thread keeps the time of delayed calls in both modes.
        if !closing {
            self.worker.kick();
        }
        told
    }

    /// Works off the waiting messages.
    fn drain(&self) {
        loop {
            let mut fw = self.firmware.lock();
            if !matches!(fw.phase, Phase::Open | Phase::Closing) || !self.step(&mut fw) {
                return;
            }
        }
    }

    /// Works on one message; `false` when none waits.
    fn step(&self, fw: &mut Firmware) -> bool {
        let Some(msg) = self.queue.lock().pop() else {
            return false;
        };
        let bytes = msg.as_bytes();
        let done = self.with_world(fw, |state, env| {
            env.capture(state, bytes);
            state.message(env, bytes);
        });
        self.look_for_crash(fw);
        done.is_some()
    }

    /// The model may have died at work: nothing more is worked on, and the channel goes soon.
    fn look_for_crash(&self, fw: &mut Firmware) {
        if !fw.core.crashed || fw.fall != Fall::Up {
            return;
        }
        if fw.core.profile == Profile::Strict {
            self.check(fw);
        }
        if fw.phase != Phase::Closed {
            fw.phase = Phase::Dead;
        }
        self.queue.lock().stop();
        fw.fall = Fall::Down(fw.core.knobs.restart());
        self.noise.kick();
    }

    /// Runs `f` with the model's state and its view of the kernel; `None` without channel.
    pub(crate) fn with_world<R>(
        &self,
        fw: &mut Firmware,
        f: impl FnOnce(&mut State<'_>, &mut World<'_>) -> R,
    ) -> Option<R> {
        let channel = fw.channel.take()?;
        let done = {
            let (mut state, capture) = fw.parts();
            let mut env = World::new(self, Banks::new(&channel), capture);
            f(&mut state, &mut env)
        };
        fw.channel = Some(channel);
        Some(done)
    }

    /// Forgets counts, knobs and captured messages.
    pub(crate) fn clear(&self) {
        let mut fw = self.firmware.lock();
        fw.core.counters = Counters::default();
        fw.core.knobs = Knobs::NONE;
        fw.core.storm = Storm::NONE;
        fw.core.talk = 0;
        self.receiver.clear_strays();
        self.queue.lock().credits = Credits::NONE;
        if let Some(c) = &mut fw.capture {
            c.clear();
        }
    }

    /// Adds this DSP's counts to `sum` and what it has at this moment to `now`.
    pub(crate) fn count(&self, sum: &mut Counters, now: &mut Present) {
        let mut fw = self.firmware.lock();
        sum.add(&fw.core.counters);
        let s = fw.state();
        now.live += s.live();
        now.parked += s.parked();
        now.delayed += s.delayed();
        now.ignored += s.ignored();
        now.mappings += s.mapped();
        now.held += s.held();
        now.storm_left += fw.core.storm.left();
        now.refused += self.queue.lock().credits.refused;
        now.strays += self.receiver.strays();
    }

    /// Prints the captured messages.
    pub(crate) fn show_capture(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fw = self.firmware.lock();
        match &fw.capture {
            Some(c) => c.show(f, fw.driver.as_str()),
            None => Ok(()),
        }
    }

    /// Prints the state of the channel.
    pub(crate) fn show_state(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fw = self.firmware.lock();
        let phase = match fw.phase {
            Phase::Closed => "closed",
            Phase::Opening => "opening",
            Phase::Open => "open",
            Phase::Closing => "closing",
            Phase::Dead => "dead",
        };
        writeln!(f, "{} {}", phase, fw.driver.as_str())
    }
}

/// A C string as text.
pub(crate) fn text(s: &CStr) -> &str {
    core::str::from_utf8(s.to_bytes()).unwrap_or("?")
}

impl Dsp {
    /// The thread of [`crate::noise`].
    pub(crate) fn noise(&self) -> &Worker {
        &self.noise
    }

    /// The state of the firmware.
    pub(crate) fn firmware(&self) -> &Mutex<Firmware> {
        &self.firmware
    }
}

impl Work<MAIN> for Dsp {
    fn worker(&self) -> &Worker {
        &self.worker
    }

    fn work(this: ArcBorrow<'_, Self>) -> Option<u32> {
        if !this.queue.lock().inline {
            this.drain();
        }
        let mut fw = this.firmware.lock();
        if fw.phase != Phase::Open {
            return None;
        }
        let next = this.with_world(&mut fw, |state, env| {
            let next = state.tick(env);
            next.map(|t| t.saturating_sub(env.now_ms()))
        })?;
        this.look_for_crash(&mut fw);
        next.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX))
    }
}
