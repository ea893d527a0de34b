// SPDX-License-Identifier: GPL-2.0

//! The message memory of a session.
//!
//! An arena is a few chunks that are mapped once into the session's bank. A call takes a run of
//! pages from a chunk and gives it back, so that it allocates nothing, maps nothing and flushes no
//! TLB. An arena grows when a call does not fit, up to a limit; a message that is larger than any
//! chunk gets memory of its own for as long as the call lasts.
//!
//! # Locking
//!
//! One mutex around the chunks. A chunk is allocated while it is held, so that two threads do not
//! grow the arena at once; memory for one large message is allocated and freed without it.

use crate::{
    engine::error::{
        CallError,
        CallResult, //
    },
    proto::{
        encode::Sink,
        suballoc::{
            Block,
            SubAlloc, //
        }, //
    },
    sys::{
        cb::Bank,
        dma::DmaMemory, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    uaccess::UserPtr, //
};

/// Size of the first chunk in bytes: a session that makes small calls needs no more.
const FIRST_CHUNK: usize = 32 * 1024;
/// Size of the largest chunk in bytes.
const LARGEST_CHUNK: usize = 1024 * 1024;
/// Bytes that an arena keeps between calls.
const KEEP: usize = 4 * 1024 * 1024;
/// Words of a chunk's bitmap, enough for the largest one.
const WORDS: usize = LARGEST_CHUNK / 4096 / 64;

struct Chunk {
    memory: Arc<DmaMemory>,
    /// `None` if the chunk is the memory of one call and goes with it.
    space: Option<SubAlloc<WORDS>>,
}

struct Chunks {
    /// An empty entry is free for the next chunk. The index of a chunk is its number.
    list: KVec<Option<Chunk>>,
    /// Bytes in chunks that stay.
    kept: usize,
    /// The arena's memory was taken from the DSP: nothing can be had any more.
    revoked: bool,
}

/// The message memory of a session.
#[pin_data]
pub(crate) struct Arena {
    bank: Arc<Bank>,
    #[pin]
    chunks: Mutex<Chunks>,
}

impl Arena {
    /// Makes an arena with one chunk.
    pub(crate) fn new(bank: &Arc<Bank>) -> CallResult<Arc<Self>> {
        let arena = Arc::pin_init(
            pin_init!(Self {
                bank: bank.clone(),
                chunks <- new_mutex!(
                    Chunks {
                        list: KVec::new(),
                        kept: 0,
                        revoked: false,
                    },
                    "qda_arena"
                ),
            }),
            GFP_KERNEL,
        )?;
        arena.grow(&mut arena.chunks.lock(), 0)?;
        Ok(arena)
    }

    /// Takes memory for a message of `size` bytes.
    pub(crate) fn take(self: &Arc<Self>, size: usize) -> CallResult<CallMemory> {
        let mut chunks = self.chunks.lock();
        if chunks.revoked {
            return Err(CallError::Gone);
        }
        if let Some(memory) = self.find(&mut chunks, size) {
            return Ok(memory);
        }
        if size <= LARGEST_CHUNK && chunks.kept < KEEP {
            self.grow(&mut chunks, size)?;
            if let Some(memory) = self.find(&mut chunks, size) {
                return Ok(memory);
            }
        }
        drop(chunks);
        self.take_own(size)
    }

    /// Makes memory for one large message. Other calls of the session go on meanwhile.
    fn take_own(self: &Arc<Self>, size: usize) -> CallResult<CallMemory> {
        let memory = DmaMemory::new(&self.bank, size)?;
        let mut chunks = self.chunks.lock();
        if chunks.revoked {
            return Err(CallError::Gone);
        }
        let number = chunks.add(Chunk {
            memory: memory.clone(),
            space: None,
        })?;
        Ok(CallMemory {
            arena: self.clone(),
            memory,
            offset: 0,
            size,
            home: Some(Home::Own(number)),
        })
    }

    /// Looks for room in the chunks. They are few, and the first one nearly always has it.
    fn find(self: &Arc<Self>, chunks: &mut Chunks, size: usize) -> Option<CallMemory> {
        chunks.list.iter_mut().flatten().find_map(|chunk| {
            let block = chunk.space.as_mut()?.alloc(size)?;
            Some(CallMemory {
                arena: self.clone(),
                memory: chunk.memory.clone(),
                offset: block.offset(),
                size,
                home: Some(Home::Block(block)),
            })
        })
    }

    /// Adds a chunk with room for `size` bytes, at least twice as large as what there is.
    fn grow(&self, chunks: &mut Chunks, size: usize) -> CallResult {
        let bytes = size
            .max(chunks.kept)
            .max(FIRST_CHUNK)
            .checked_next_power_of_two()
            .ok_or(CallError::TooBig)?
            .min(LARGEST_CHUNK);
        let memory = DmaMemory::new(&self.bank, bytes)?;
        let bytes = memory.size();

        // The number is not known before there is a place for the chunk.
        let number = chunks.add(Chunk {
            memory,
            space: None,
        })?;
        if let Some(Some(chunk)) = chunks.list.get_mut(number) {
            chunk.space = u32::try_from(number)
                .ok()
                .and_then(|number| SubAlloc::new(number, bytes));
        }
        chunks.kept = chunks.kept.saturating_add(bytes);
        Ok(())
    }

    /// Takes all memory from the DSP, also that of calls under way. Their bytes stay readable.
    pub(crate) fn revoke(&self) {
        let mut chunks = self.chunks.lock();
        chunks.revoked = true;
        for chunk in chunks.list.iter().flatten() {
            chunk.memory.revoke();
        }
    }

    fn give_back(&self, home: Home) {
        let mut chunks = self.chunks.lock();
        let own = match home {
            Home::Own(number) => chunks.list.get_mut(number).and_then(Option::take),
            Home::Block(block) => {
                let space = usize::try_from(block.chunk())
                    .ok()
                    .and_then(|number| chunks.list.get_mut(number))
                    .and_then(Option::as_mut)
                    .and_then(|chunk| chunk.space.as_mut());
                if let Some(space) = space {
                    // A block always comes back to the chunk that it was taken from.
                    let _ = space.free(block);
                }
                None
            }
        };
        drop(chunks);
        // Unmapping and freeing takes a while.
        drop(own);
    }
}

impl Chunks {
    /// Stores a chunk and returns its number.
    fn add(&mut self, chunk: Chunk) -> CallResult<usize> {
        if let Some((number, place)) = self
            .list
            .iter_mut()
            .enumerate()
            .find(|(_, place)| place.is_none())
        {
            *place = Some(chunk);
            return Ok(number);
        }
        self.list.push(Some(chunk), GFP_KERNEL)?;
        Ok(self.list.len().saturating_sub(1))
    }
}

/// Where the memory of a call goes back to.
enum Home {
    /// Part of a chunk.
    Block(Block),
    /// Memory of its own, stored under this number.
    Own(usize),
}

/// Memory for the message of one call. Goes back to its arena when it is dropped.
pub(crate) struct CallMemory {
    arena: Arc<Arena>,
    memory: Arc<DmaMemory>,
    offset: usize,
    size: usize,
    home: Option<Home>,
}

impl CallMemory {
    /// Returns the device address of the first byte, without the prefix of the bank.
    pub(crate) fn address(&self) -> CallResult<u64> {
        u64::try_from(self.offset)
            .ok()
            .and_then(|offset| self.memory.address().checked_add(offset))
            .ok_or(CallError::Invalid)
    }

    /// Returns the offset in the chunk of `len` bytes at `offset`.
    fn at(&self, offset: usize, len: usize) -> Result<usize> {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > self.size {
            return Err(EINVAL);
        }
        self.offset.checked_add(offset).ok_or(EINVAL)
    }

    /// Writes bytes of the kernel.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> CallResult {
        let at = self.at(offset, bytes.len())?;
        Ok(self.memory.write(at, bytes)?)
    }

    /// Reads bytes that the DSP may have written.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) -> CallResult {
        let at = self.at(offset, bytes.len())?;
        Ok(self.memory.read(at, bytes)?)
    }

    /// Copies from user space.
    pub(crate) fn copy_from_user(&self, offset: usize, from: UserPtr, len: usize) -> CallResult {
        let at = self.at(offset, len)?;
        Ok(self.memory.copy_from_user(at, from, len)?)
    }

    /// Copies to user space.
    pub(crate) fn copy_to_user(&self, offset: usize, to: UserPtr, len: usize) -> CallResult {
        let at = self.at(offset, len)?;
        Ok(self.memory.copy_to_user(at, to, len)?)
    }

    /// Hands the whole message to the DSP.
    pub(crate) fn sync_for_device(&self) {
        self.memory.sync_for_device(self.offset, self.size);
    }

    /// Takes the whole message back from the DSP.
    pub(crate) fn sync_for_cpu(&self) {
        self.memory.sync_for_cpu(self.offset, self.size);
    }
}

/// Writes a message to the memory of a call.
pub(crate) struct Writer<'a>(pub(crate) &'a CallMemory);

impl Sink for Writer<'_> {
    type Error = Error;

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result {
        let at = self.0.at(offset, bytes.len())?;
        self.0.memory.write(at, bytes)
    }

    fn zero(&mut self, offset: usize, len: usize) -> Result {
        let at = self.0.at(offset, len)?;
        self.0.memory.zero(at, len)
    }
}

impl Drop for CallMemory {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            self.arena.give_back(home);
        }
    }
}
