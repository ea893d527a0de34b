// SPDX-License-Identifier: GPL-2.0

//! Memory that a process on the DSP has mapped, and the record of it.
//!
//! A session maps a buffer, or pages that the kernel provides, into its process, and gets a number
//! from the DSP: the address there. That number means nothing here and may come twice; it only
//! serves to find the record again. What an unmap sends is what the record says.
//!
//! ```text
//! map    hold -> record made -> DSP asked -> entered
//! unmap  record taken out -> DSP asked -> dropped, or put back if the DSP refuses
//! ```
//!
//! A request that the DSP does not answer leaves its memory in limbo: it stays mapped until the
//! process is released.
//!
//! # Locking
//!
//! One mutex around the records. It is not held while the DSP is asked.

use crate::{
    engine::{
        account::Charge,
        buffer::{
            Buffer,
            Hold,
            Key, //
        },
        channel::{
            Waited, //
        },
        error::{
            CallError,
            CallResult, //
        },
        session::{
            Session,
            KERNEL_CALL,
            MESSAGE, //
        }, //
    },
    proto::{
        errors::DspResult,
        methods::{
            memory::{
                HeapFlags,
                MapFlags,
                MapReply,
                MemMap,
                MemUnmap,
                Mmap,
                Munmap, //
            },
            Method, //
        },
        wire::PageEntry,
        PAGE, //
    },
    sys::dma::Direction, //
};
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::Mutex, //
};

/// How a record is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RecordKey {
    kind: Kind,
    /// On the DSP.
    address: u64,
    /// Tells two records with the same address apart.
    serial: u64,
}

/// The two kinds of mapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// MMAP.
    Heap,
    /// MEM_MAP.
    Tagged,
}

/// One mapping in the process.
struct Record {
    reply: MapReply,
    /// The caller's number, 0 for [`Kind::Heap`].
    tag: i32,
    /// Bytes, as the DSP was told.
    len: u64,
    /// Bytes that the kernel provides.
    provided: u64,
    buffer: Key,
    hold: Hold,
    /// Counts against the client's limit while the kernel provides the pages.
    _charge: Option<Charge>,
}

struct Records {
    live: RBTree<RecordKey, Record>,
    /// Records of requests that the DSP did not answer.
    limbo: RBTree<RecordKey, Record>,
    serial: u64,
}

/// What a session has mapped into its process.
#[pin_data]
pub(crate) struct RemoteMaps {
    #[pin]
    records: Mutex<Records>,
}

impl RemoteMaps {
    /// Nothing is mapped.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            records <- new_mutex!(
                Records {
                    live: RBTree::new(),
                    limbo: RBTree::new(),
                    serial: 0,
                },
                "qda_remote_maps"
            ),
        })
    }

    /// Number of mappings, those in limbo included.
    pub(crate) fn len(&self) -> usize {
        let records = self.records.lock();
        records
            .live
            .iter()
            .count()
            .saturating_add(records.limbo.iter().count())
    }

    /// Bytes that the kernel provides.
    pub(crate) fn provided(&self) -> u64 {
        let add = |sum: u64, record: &Record| sum.saturating_add(record.provided);
        let records = self.records.lock();
        let live = records.live.values().fold(0, add);
        records.limbo.values().fold(live, add)
    }

    /// A number that no other record has.
    fn serial(&self) -> u64 {
        let mut records = self.records.lock();
        // 64 bits do not run out.
        records.serial = records.serial.wrapping_add(1);
        records.serial
    }

    fn enter(&self, node: RBTreeNode<RecordKey, Record>) {
        // No two records have the same key, so nothing is replaced.
        let old = self.records.lock().live.insert(node);
        drop(old);
    }

    fn keep_in_limbo(&self, node: RBTreeNode<RecordKey, Record>) {
        let old = self.records.lock().limbo.insert(node);
        drop(old);
    }

    /// Takes out the first record of `kind` at `address` that `fits`. Nobody else finds it then.
    fn take(
        &self,
        kind: Kind,
        address: u64,
        fits: impl Fn(&Record) -> bool,
    ) -> Option<(RecordKey, Record)> {
        let first = RecordKey {
            kind,
            address,
            serial: 0,
        };
        let mut records = self.records.lock();
        let mut cursor = records.live.cursor_lower_bound_mut(&first)?;
        loop {
            let (key, record) = cursor.current();
            if (key.kind, key.address) != (kind, address) {
                return None;
            }
            if fits(record) {
                return Some(cursor.remove_current().1.to_key_value());
            }
            cursor = cursor.move_next()?;
        }
    }
}

/// What is mapped into a process.
pub(crate) enum MapRequest {
    /// Pages of the kernel.
    Provide {
        /// For which heap.
        flags: HeapFlags,
        /// The memory and what it costs.
        memory: Buffer,
        /// The limit that it counts against.
        charge: Charge,
    },
    /// Pages of a buffer, as [`MapRequest::Provide`] does it.
    Give {
        /// What for.
        flags: HeapFlags,
        /// The buffer.
        buffer: Buffer,
        /// Bytes from its beginning.
        len: u64,
        /// Address hint, the client's number.
        hint: u64,
    },
    /// A buffer that code on the DSP knows by a number.
    Tagged {
        /// How.
        flags: MapFlags,
        /// The buffer.
        buffer: Buffer,
        /// The number.
        tag: i32,
        /// First byte.
        offset: u32,
        /// Bytes.
        len: u64,
        /// Address hint, the client's number.
        hint: u64,
    },
}

impl MapRequest {
    /// The flags, as the client gave them.
    pub(crate) fn flags(&self) -> u32 {
        match self {
            Self::Provide { flags, .. } | Self::Give { flags, .. } => flags.raw(),
            Self::Tagged { flags, .. } => flags.raw(),
        }
    }
}

/// Which mapping is undone. Lengths of 0 fit all.
pub(crate) enum UnmapRequest {
    /// One of [`MapRequest::Provide`] or [`MapRequest::Give`].
    Heap {
        /// Address on the DSP.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// One of [`MapRequest::Tagged`].
    Tagged {
        /// The number.
        tag: i32,
        /// Address on the DSP.
        address: u64,
        /// Bytes.
        len: u64,
    },
}

/// What became of a request to the DSP.
enum Asked<R> {
    /// The DSP answered.
    Answered(DspResult, R),
    /// It was not sent, or the DSP is gone: the memory is free.
    Failed(CallError),
    /// It was sent and not answered.
    Unknown(CallError),
}

impl Session {
    /// Maps memory into the process. Gives the DSP's result and the address on the DSP, which is 0
    /// unless the result is a success.
    #[inline(never)]
    pub(crate) fn remote_map(&self, request: MapRequest) -> CallResult<(DspResult, u64)> {
        match request {
            MapRequest::Provide {
                flags,
                memory,
                charge,
            } => {
                let len = memory.size();
                self.map_heap(flags, &memory, len, 0, Some(charge))
            }
            MapRequest::Give {
                flags,
                buffer,
                len,
                hint,
            } => self.map_heap(flags, &buffer, len, hint, None),
            MapRequest::Tagged {
                flags,
                buffer,
                tag,
                offset,
                len,
                hint,
            } => {
                let wire_offset = i32::try_from(offset).map_err(|_| CallError::Invalid)?;
                let (hold, page) = self.hold_pages(&buffer, u64::from(offset), len)?;
                let record = Record {
                    reply: MapReply::NONE,
                    tag,
                    len,
                    provided: 0,
                    buffer: buffer.key(),
                    hold,
                    _charge: None,
                };
                let method = MemMap::new(self.client(), tag, wire_offset, flags, hint, page);
                self.map_and_record(Kind::Tagged, &method, record)
            }
        }
    }

    #[inline(never)]
    fn map_heap(
        &self,
        flags: HeapFlags,
        buffer: &Buffer,
        len: u64,
        hint: u64,
        charge: Option<Charge>,
    ) -> CallResult<(DspResult, u64)> {
        let (hold, page) = self.hold_pages(buffer, 0, len)?;
        let record = Record {
            reply: MapReply::NONE,
            tag: 0,
            len: page.size(),
            provided: if charge.is_some() { page.size() } else { 0 },
            buffer: buffer.key(),
            hold,
            _charge: charge,
        };
        let method = Mmap::new(self.client(), flags, hint, page);
        self.map_and_record(Kind::Heap, &method, record)
    }

    /// Maps `buffer` for the session. Gives the page entry from its beginning to the end of `len`
    /// bytes at `offset`.
    #[inline(never)]
    fn hold_pages(&self, buffer: &Buffer, offset: u64, len: u64) -> CallResult<(Hold, PageEntry)> {
        buffer.check_range(offset, len)?;
        if len == 0 {
            return Err(CallError::Invalid);
        }
        let hold = self.mappings().hold(buffer)?;
        let mapping = hold.mapping();
        let bytes = offset
            .checked_add(len)
            .and_then(|end| end.checked_next_multiple_of(PAGE))
            .and_then(|end| usize::try_from(end).ok())
            .filter(|end| *end <= mapping.size())
            .ok_or(CallError::Invalid)?;
        let address = self.dsp_address(mapping.address(), bytes)?;
        // The buffer may have been mapped long ago and written since.
        mapping.sync_for_device(0, bytes, Direction::Both);
        // CAST: `usize` has 64 bits where a DSP is.
        let page = PageEntry::new(address, bytes as u64);
        Ok((hold, page))
    }

    /// Asks the DSP to map what `record` describes, and enters the record if it does.
    #[inline(never)]
    fn map_and_record<M>(
        &self,
        kind: Kind,
        method: &M,
        mut record: Record,
    ) -> CallResult<(DspResult, u64)>
    where
        M: Method<Reply = MapReply>,
    {
        // All that may fail for want of memory comes before the DSP is asked.
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let mut key = RecordKey {
            kind,
            address: 0,
            serial: self.remote_maps().serial(),
        };
        match self.ask(method) {
            Asked::Answered(result, reply) if result.is_success() => {
                key.address = reply.address.get();
                record.reply = reply;
                self.remote_maps().enter(room.into_node(key, record));
                Ok((result, key.address))
            }
            Asked::Answered(result, _) => Ok((result, 0)),
            Asked::Failed(e) => Err(e),
            Asked::Unknown(e) => {
                self.remote_maps()
                    .keep_in_limbo(room.into_node(key, record));
                Err(e)
            }
        }
    }

    /// Undoes a mapping. What no mapping of this session fits is refused, and nothing is sent.
    #[inline(never)]
    pub(crate) fn remote_unmap(&self, request: UnmapRequest) -> CallResult<DspResult> {
        // To put the record back must not fail.
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let maps = self.remote_maps();
        let taken = match request {
            UnmapRequest::Heap { address, len } => {
                let pages = len.checked_next_multiple_of(PAGE);
                maps.take(Kind::Heap, address, |record| {
                    len == 0 || pages == Some(record.len)
                })
            }
            UnmapRequest::Tagged { tag, address, len } => {
                maps.take(Kind::Tagged, address, |record| {
                    record.tag == tag && (len == 0 || len == record.len)
                })
            }
        };
        let (key, record) = taken.ok_or(CallError::Invalid)?;
        let (client, reply, len) = (self.client(), record.reply, record.len);
        let asked = match key.kind {
            Kind::Heap => self.ask(&Munmap::new(client, reply, len)),
            Kind::Tagged => self.ask(&MemUnmap::new(client, record.tag, reply, len)),
        };
        match asked {
            Asked::Answered(result, ()) if result.is_success() => {
                let buffer = record.buffer;
                // What the process wrote is the client's from now on.
                record.hold.take_back();
                drop(record);
                // The client is done with the buffer, so its memory shall not wait.
                self.mappings().forget(buffer);
                Ok(result)
            }
            // The DSP still has it.
            Asked::Answered(result, ()) => {
                maps.enter(room.into_node(key, record));
                Ok(result)
            }
            Asked::Failed(e) => {
                maps.enter(room.into_node(key, record));
                Err(e)
            }
            Asked::Unknown(e) => {
                maps.keep_in_limbo(room.into_node(key, record));
                Err(e)
            }
        }
    }

    /// Asks the DSP and waits for the answer, but not for ever, and not for signals.
    #[inline(never)]
    fn ask<M: Method>(&self, method: &M) -> Asked<M::Reply> {
        let entry = match self.parked().enter() {
            Ok(entry) => entry,
            Err(e) => return Asked::Failed(e),
        };
        let origin = match entry.origin(self.dsp().limits().calls) {
            Ok(origin) => origin,
            Err(e) => return Asked::Failed(e),
        };
        let memory = match self.arena().take(MESSAGE) {
            Ok(memory) => memory,
            Err(e) => return Asked::Failed(e),
        };
        match self.kernel_call(method, memory, origin, KERNEL_CALL) {
            Ok(Waited::Answered(result, in_flight)) => {
                match self.read_reply(method, &in_flight) {
                    Ok(reply) => Asked::Answered(result, reply),
                    // Cannot happen: the message was laid out with room for the reply.
                    Err(e) => Asked::Unknown(e),
                }
            }
            Ok(Waited::Gone(_)) => Asked::Failed(CallError::Gone),
            Ok(Waited::GaveUp(why, abandoned)) => {
                entry.abandon(abandoned);
                Asked::Unknown(why)
            }
            Err(e) => Asked::Failed(e),
        }
    }
}
