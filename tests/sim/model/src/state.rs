// SPDX-License-Identifier: GPL-2.0

//! Tables of processes, calls, handles and mappings of one DSP.
//!
//! The tables are slices of entries that are all small and start as `EMPTY`; the owner
//! allocates them (the kernel can fail to) and lends them as a [`State`]. Nothing here
//! takes a lock: the owner serialises.

use super::args::Arg;
use super::knobs::Knobs;
use super::packets::History;
use super::pinned::{Held, Pinned};
use super::seq::Window;
use super::storm::Storm;
use super::wire::Request;

/// Processes that a DSP holds at most.
pub const CLIENTS: usize = 64;
/// Call slots: the index is the one of the context word, 0 stays unused.
pub const CALLS: usize = 256;
/// Open module handles of all processes together.
pub const HANDLES: usize = 512;
/// Mappings of all processes together.
pub const MAPS: usize = 16384;
/// Buffers of in and out handles that the DSP holds, of all processes together. What does not
/// fit is not remembered.
pub const HELD: usize = 4096;
/// Bytes that are moved at a time.
pub const SCRATCH: usize = 65536;

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
    /// Pages that scans of module mem found without translation.
    pub scan_faults: u64,
    /// Entries that the DSP wrote into fd lists.
    pub dropped_fds: u64,
    /// Requests whose fate a knob decided.
    pub twisted: u64,
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
        f("scan_faults", self.scan_faults);
        f("dropped_fds", self.dropped_fds);
        f("twisted", self.twisted);
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
        self.scan_faults = self.scan_faults.wrapping_add(o.scan_faults);
        self.dropped_fds = self.dropped_fds.wrapping_add(o.dropped_fds);
        self.twisted = self.twisted.wrapping_add(o.twisted);
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
    /// Bits of an address without SID: 32 or 34.
    pub iova_bits: u32,
    /// Misbehaviour on demand.
    pub knobs: Knobs,
    /// Used sequence numbers of the channel.
    pub seq: Window,
    /// Counts.
    pub counters: Counters,
    /// Next module handle to give out.
    pub next_handle: u32,
    /// Next DSP address to give out for a mapping.
    pub next_vaddr: u64,
    /// Mappings ever made.
    pub map_age: u64,
    /// The last answers of this DSP, of earlier channels too.
    pub history: History,
    /// What it sends that is no answer.
    pub storm: Storm,
    /// Packets that it sends whenever the channel comes or goes.
    pub talk: u32,
    /// It died in the middle of its work: nothing is done or answered any more.
    pub crashed: bool,
    /// Cursor of delayed calls: `tick` need not look before this time.
    pub next_deadline: Option<u64>,
}

impl Core {
    /// A DSP whose addresses have `iova_bits` bits and carry the SID at bit `sid_pos`.
    pub const fn new(sid_pos: u32, iova_bits: u32) -> Self {
        Self {
            profile: Profile::Strict,
            sid_pos,
            iova_bits,
            knobs: Knobs::NONE,
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
                scan_faults: 0,
                dropped_fds: 0,
                twisted: 0,
            },
            next_handle: 0x100,
            next_vaddr: 0x1000_0000,
            map_age: 0,
            history: History::NONE,
            storm: Storm::NONE,
            talk: 0,
            crashed: false,
            next_deadline: None,
        }
    }
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
    /// It is never answered.
    Ignored,
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
    /// Client id of the process it belongs to; a call of the kernel names it in its first
    /// argument.
    pub owner: u32,
    /// A knob delays it: nothing of it was done yet.
    pub late: bool,
}

impl Call {
    /// A free slot.
    pub const EMPTY: Self = Self {
        wait: Wait::Free,
        req: Request::EMPTY,
        message: Pinned::EMPTY,
        owner: 0,
        late: false,
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
    /// Finds edges in a picture.
    Filter,
    /// Looks at buffers and mappings.
    Mem,
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
    /// Flags of the request.
    pub flags: u32,
    /// Offset field of MEM_MAP.
    pub offset: u32,
    /// Number in the order of their making.
    pub age: u64,
    /// DSP address of the reply.
    pub vaddr: u64,
    /// Bytes of the page entry.
    pub size: u64,
    /// Its pages.
    pub pages: Pinned,
}

impl Map {
    /// A free entry.
    pub const EMPTY: Self = Self {
        client: 0,
        fd: None,
        flags: 0,
        offset: 0,
        age: 0,
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
    /// Buffers of handle arguments.
    pub held: &'a mut [Held],
    /// Arguments of the call at work, room for [`super::wire::MAX_ARGS`].
    pub args: &'a mut [Arg],
    /// Indices of inline arguments in the order of their addresses, same room.
    pub order: &'a mut [u16],
    /// Room for bytes on their way, [`SCRATCH`] of them.
    pub scratch: &'a mut [u8],
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
        self.t.core.crashed = false;
        self.t.core.seq = Window::new();
        self.t.core.next_deadline = None;
        self.t.clients.fill(Client::EMPTY);
        self.t.calls.fill(Call::EMPTY);
        self.t.handles.fill(Handle::EMPTY);
        self.t.maps.fill(Map::EMPTY);
        self.t.held.fill(Held::EMPTY);
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

    /// Number of calls that are never answered.
    pub fn ignored(&self) -> usize {
        self.t
            .calls
            .iter()
            .filter(|c| c.wait == Wait::Ignored)
            .count()
    }

    /// Number of buffers that the DSP holds for handle arguments.
    pub fn held(&self) -> usize {
        self.t.held.iter().filter(|h| h.client != 0).count()
    }

    /// Number of mappings.
    pub fn mapped(&self) -> usize {
        self.t.maps.iter().filter(|m| m.client != 0).count()
    }
}
