// SPDX-License-Identifier: GPL-2.0

//! Tables of processes, calls, handles and mappings of one DSP.
//!
//! The tables are slices of entries that are all small and start as `EMPTY`; the owner
//! allocates them (the kernel can fail to) and lends them as a [`State`]. Nothing here
//! takes a lock: the owner serialises.

use super::args::Arg;
use super::seq::Window;
use super::wire::Request;

/// Processes that a DSP holds at most.
pub const CLIENTS: usize = 64;
/// Call slots: the index is the one of the context word, 0 stays unused.
pub const CALLS: usize = 256;
/// Open module handles of all processes together.
pub const HANDLES: usize = 512;
/// Mappings of all processes together.
pub const MAPS: usize = 1024;

/// What may be demanded of the driver that is bound to the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Every check.
    Strict,
    /// The in-tree driver: kernel pointers as `pv`, overlaid arguments, lost and
    /// unneeded RELEASE, calls without a process.
    Stock,
}

/// Counts since the last clear, shown through debugfs.
#[derive(Clone, Copy, Default)]
pub struct Counters {
    /// Messages received, malformed ones included.
    pub requests: u64,
    /// Responses sent.
    pub responses: u64,
    /// Successful CREATE and CREATE_ATTR.
    pub creates: u64,
    /// Successful ATTACH.
    pub attaches: u64,
    /// RELEASE of a known process.
    pub releases: u64,
    /// Exit calls of processes.
    pub exits: u64,
    /// Successful open calls of modules.
    pub opens: u64,
    /// Successful close calls of modules.
    pub closes: u64,
    /// Calls of modules opened at run time that ran.
    pub executions: u64,
    /// Capability calls.
    pub capabilities: u64,
    /// Successful MMAP and MEM_MAP.
    pub maps: u64,
    /// Successful MUNMAP and MEM_UNMAP.
    pub unmaps: u64,
    /// Parked or delayed calls answered because their process ended.
    pub aborted: u64,
    /// Processes alive when their channel was closed.
    pub abandoned: u64,
    /// Out buffers that arrived with bytes other than zero.
    pub dirty_outputs: u64,
    /// Bytes of shell files that were read.
    pub shell_bytes: u64,
    /// Sum of all those bytes, modulo 2^64.
    pub shell_sum: u64,
    /// Deviations that only the in-tree driver is allowed.
    pub tolerated: u64,
}

impl Counters {
    /// Calls `f` with every name and value, in a fixed order.
    pub fn for_each(&self, mut f: impl FnMut(&'static str, u64)) {
        f("requests", self.requests);
        f("responses", self.responses);
        f("creates", self.creates);
        f("attaches", self.attaches);
        f("releases", self.releases);
        f("exits", self.exits);
        f("opens", self.opens);
        f("closes", self.closes);
        f("executions", self.executions);
        f("capabilities", self.capabilities);
        f("maps", self.maps);
        f("unmaps", self.unmaps);
        f("aborted", self.aborted);
        f("abandoned", self.abandoned);
        f("dirty_outputs", self.dirty_outputs);
        f("shell_bytes", self.shell_bytes);
        f("shell_sum", self.shell_sum);
        f("tolerated", self.tolerated);
    }

    /// Adds the counts of another DSP.
    pub fn add(&mut self, o: &Counters) {
        self.requests = self.requests.wrapping_add(o.requests);
        self.responses = self.responses.wrapping_add(o.responses);
        self.creates = self.creates.wrapping_add(o.creates);
        self.attaches = self.attaches.wrapping_add(o.attaches);
        self.releases = self.releases.wrapping_add(o.releases);
        self.exits = self.exits.wrapping_add(o.exits);
        self.opens = self.opens.wrapping_add(o.opens);
        self.closes = self.closes.wrapping_add(o.closes);
        self.executions = self.executions.wrapping_add(o.executions);
        self.capabilities = self.capabilities.wrapping_add(o.capabilities);
        self.maps = self.maps.wrapping_add(o.maps);
        self.unmaps = self.unmaps.wrapping_add(o.unmaps);
        self.aborted = self.aborted.wrapping_add(o.aborted);
        self.abandoned = self.abandoned.wrapping_add(o.abandoned);
        self.dirty_outputs = self.dirty_outputs.wrapping_add(o.dirty_outputs);
        self.shell_bytes = self.shell_bytes.wrapping_add(o.shell_bytes);
        self.shell_sum = self.shell_sum.wrapping_add(o.shell_sum);
        self.tolerated = self.tolerated.wrapping_add(o.tolerated);
    }
}

/// Adds one to a counter; a count that wraps after 2^64 events is no reason to stop.
pub fn bump(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

/// The state of one DSP that is no table.
pub struct Core {
    /// Driver dependent rules.
    pub profile: Profile,
    /// Position of the SID in a DSP address: 32 or 56.
    pub sid_pos: u32,
    /// Used sequence numbers of the channel.
    pub seq: Window,
    /// Counts.
    pub counters: Counters,
    /// Next module handle to give out.
    pub next_handle: u32,
    /// Next DSP address to give out for a mapping.
    pub next_vaddr: u64,
    /// Cursor of delayed calls: `tick` need not look before this time.
    pub next_deadline: Option<u64>,
}

impl Core {
    /// A DSP whose addresses carry the SID at bit `sid_pos`.
    pub const fn new(sid_pos: u32) -> Self {
        Self {
            profile: Profile::Strict,
            sid_pos,
            seq: Window::new(),
            counters: Counters {
                requests: 0,
                responses: 0,
                creates: 0,
                attaches: 0,
                releases: 0,
                exits: 0,
                opens: 0,
                closes: 0,
                executions: 0,
                capabilities: 0,
                maps: 0,
                unmaps: 0,
                aborted: 0,
                abandoned: 0,
                dirty_outputs: 0,
                shell_bytes: 0,
                shell_sum: 0,
                tolerated: 0,
            },
            next_handle: 0x100,
            next_vaddr: 0x1000_0000,
            next_deadline: None,
        }
    }
}

/// A range of DSP memory whose pages the model remembers by a hash of their physical
/// addresses, so that it notices when a page goes away or is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Page aligned address without SID prefix.
    pub iova: u64,
    /// Bytes, a multiple of the page size; 0 when there is no range.
    pub size: u64,
    /// Hash of the physical page addresses in order.
    pub hash: u64,
}

impl Pinned {
    /// No range.
    pub const EMPTY: Self = Self {
        iova: 0,
        size: 0,
        hash: 0,
    };
}

/// A process on the DSP.
#[derive(Clone, Copy)]
pub struct Client {
    /// Client id; 0 marks a free entry.
    pub id: u32,
    /// SID of the context bank that all its messages use.
    pub sid: u32,
    /// PD bits of all its messages.
    pub pd: u8,
    /// It called exit: everything but RELEASE fails.
    pub exiting: bool,
    /// Process attributes of CREATE_ATTR.
    pub attrs: u32,
    /// Init memory; empty for attached clients.
    pub init: Pinned,
}

impl Client {
    /// A free entry.
    pub const EMPTY: Self = Self {
        id: 0,
        sid: 0,
        pd: 0,
        exiting: false,
        attrs: 0,
        init: Pinned::EMPTY,
    };
}

/// What an unanswered call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// No call.
    Free,
    /// It is being worked on.
    Running,
    /// It stays until its process ends.
    Parked,
    /// It runs at this time, in milliseconds.
    Until(u64),
}

/// A call slot.
#[derive(Clone, Copy)]
pub struct Call {
    /// What the call waits for.
    pub wait: Wait,
    /// The request.
    pub req: Request,
    /// Pages of the message buffer.
    pub message: Pinned,
}

impl Call {
    /// A free slot.
    pub const EMPTY: Self = Self {
        wait: Wait::Free,
        req: Request::EMPTY,
        message: Pinned::EMPTY,
    };
}

/// A module that remotectl can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// Sums and maxima.
    Calculator,
    /// Copies its inputs to its outputs.
    Echo,
    /// Reads and writes addresses that the caller names.
    Probe,
    /// Answers with the result that the caller names.
    Fail,
    /// Registration point of the daemons.
    DefaultListener,
    /// Current process, opened by name.
    CurrentProcess,
}

/// An open handle.
#[derive(Clone, Copy)]
pub struct Handle {
    /// Number of the handle; 0 marks a free entry.
    pub number: u32,
    /// Client id of the owner.
    pub client: u32,
    /// What is behind it.
    pub module: Module,
}

impl Handle {
    /// A free entry.
    pub const EMPTY: Self = Self {
        number: 0,
        client: 0,
        module: Module::Echo,
    };
}

/// A mapping made by MMAP or MEM_MAP.
#[derive(Clone, Copy)]
pub struct Map {
    /// Client id of the owner; 0 marks a free entry.
    pub client: u32,
    /// fd tag of MEM_MAP, `None` for MMAP.
    pub fd: Option<u32>,
    /// DSP address of the reply.
    pub vaddr: u64,
    /// Bytes asked for.
    pub size: u64,
    /// Its pages.
    pub pages: Pinned,
}

impl Map {
    /// A free entry.
    pub const EMPTY: Self = Self {
        client: 0,
        fd: None,
        vaddr: 0,
        size: 0,
        pages: Pinned::EMPTY,
    };
}

/// The borrowed tables, without behaviour.
pub struct Tables<'a> {
    /// Everything that is no table.
    pub core: &'a mut Core,
    /// Processes.
    pub clients: &'a mut [Client],
    /// Call slots, [`CALLS`] of them.
    pub calls: &'a mut [Call],
    /// Open handles.
    pub handles: &'a mut [Handle],
    /// Mappings.
    pub maps: &'a mut [Map],
    /// Arguments of the call at work, room for [`super::wire::MAX_ARGS`].
    pub args: &'a mut [Arg],
    /// Indices of inline arguments in the order of their addresses, same room.
    pub order: &'a mut [u16],
}

/// One DSP: its tables and all its behaviour.
pub struct State<'a> {
    /// The tables.
    pub t: Tables<'a>,
}

impl<'a> State<'a> {
    /// Puts behaviour around tables.
    pub fn new(t: Tables<'a>) -> Self {
        Self { t }
    }

    /// Empties all tables, as a fresh firmware. Counts stay.
    pub fn reset(&mut self) {
        self.t.core.seq = Window::new();
        self.t.core.next_deadline = None;
        self.t.clients.fill(Client::EMPTY);
        self.t.calls.fill(Call::EMPTY);
        self.t.handles.fill(Handle::EMPTY);
        self.t.maps.fill(Map::EMPTY);
    }

    /// The process with this id.
    pub fn client(&self, id: u32) -> Option<Client> {
        if id == 0 {
            return None;
        }
        self.t.clients.iter().find(|c| c.id == id).copied()
    }

    /// The entry of the process with this id.
    pub fn client_mut(&mut self, id: u32) -> Option<&mut Client> {
        if id == 0 {
            return None;
        }
        self.t.clients.iter_mut().find(|c| c.id == id)
    }

    /// Number of live processes.
    pub fn live(&self) -> usize {
        self.t.clients.iter().filter(|c| c.id != 0).count()
    }

    /// Number of calls that wait for the end of their process.
    pub fn parked(&self) -> usize {
        self.t
            .calls
            .iter()
            .filter(|c| c.wait == Wait::Parked)
            .count()
    }

    /// Number of calls that wait for a time.
    pub fn delayed(&self) -> usize {
        self.t
            .calls
            .iter()
            .filter(|c| matches!(c.wait, Wait::Until(_)))
            .count()
    }
}
