// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Parts of an arena chunk.
//!
//! Owns a bitmap of 4096-byte granules. The message arena of a session consists of chunks that are
//! mapped once; each call takes a run of granules from a chunk and gives it back. Allocates nothing
//! and locks nothing: the session's arena lock guards it.

use super::PAGE_BYTES;

/// Size of a granule in bytes.
pub const GRANULE: usize = PAGE_BYTES;

/// Number of granules per word of the bitmap.
const BITS: usize = 64;

/// A run of granules that belongs to one owner.
///
/// It cannot be copied, and [`SubAlloc::free`] consumes it, so nothing is freed twice. A block that
/// is dropped instead stays taken for ever: that is what quarantine wants.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a block that is dropped stays taken"]
pub struct Block {
    chunk: u32,
    first: usize,
    count: usize,
}

impl Block {
    /// The number of the chunk that the block belongs to.
    pub const fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Offset of the block in its chunk, in bytes.
    pub const fn offset(&self) -> usize {
        // The product is at most the size of the chunk.
        self.first.saturating_mul(GRANULE)
    }

    /// Size of the block in bytes; at least what was asked for.
    pub const fn len(&self) -> usize {
        // As above.
        self.count.saturating_mul(GRANULE)
    }

    /// Whether the block is empty. It never is.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The sub-allocator of one chunk of up to `64 * WORDS` granules.
///
/// # Invariants
///
/// * `granules <= 64 * WORDS`; no bit is set behind that number.
/// * A set bit belongs to exactly one [`Block`] with this chunk number.
#[derive(Debug)]
pub struct SubAlloc<const WORDS: usize> {
    bitmap: [u64; WORDS],
    chunk: u32,
    granules: usize,
    used: usize,
    /// Where the next search begins: behind the block that was taken last.
    next: usize,
}

impl<const WORDS: usize> SubAlloc<WORDS> {
    /// Makes the sub-allocator of an unused chunk.
    ///
    /// `chunk` is a number that tells the chunks of an arena apart; `bytes` is the size of the chunk.
    /// A part of a granule at its end is not used. Gives `None` if the bitmap is too small.
    pub fn new(chunk: u32, bytes: usize) -> Option<Self> {
        let granules = bytes / GRANULE;
        if granules > WORDS.checked_mul(BITS)? {
            return None;
        }
        Some(Self {
            bitmap: [0; WORDS],
            chunk,
            granules,
            used: 0,
            next: 0,
        })
    }

    /// The number of the chunk.
    pub const fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Whether no block is taken.
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Size of all blocks that are taken, in bytes.
    pub const fn used(&self) -> usize {
        // The product is at most the size of the chunk.
        self.used.saturating_mul(GRANULE)
    }

    /// Takes a run of at least `bytes` bytes. Gives `None` if there is none, and for 0 bytes.
    pub fn alloc(&mut self, bytes: usize) -> Option<Block> {
        let count = bytes.div_ceil(GRANULE);
        if count == 0 || count > self.granules.checked_sub(self.used)? {
            return None;
        }
        let first = self
            .find(self.next, count)
            .or_else(|| self.find(0, count))?;
        self.mark(first, count, true);
        // INVARIANT: the bits were clear and now belong to this block.
        self.used = self.used.saturating_add(count);
        self.next = first.saturating_add(count);
        Some(Block {
            chunk: self.chunk,
            first,
            count,
        })
    }

    /// Gives a block back. A block of another chunk is handed back to the caller.
    pub fn free(&mut self, block: Block) -> Result<(), Block> {
        if block.chunk != self.chunk || !self.is_run(block.first, block.count, true) {
            return Err(block);
        }
        self.mark(block.first, block.count, false);
        self.used = self.used.saturating_sub(block.count);
        Ok(())
    }

    /// Finds `count` clear bits in a row, beginning at `from` or later.
    fn find(&self, from: usize, count: usize) -> Option<usize> {
        let mut start = from;
        loop {
            let end = start.checked_add(count)?;
            if end > self.granules {
                return None;
            }
            // Go on behind the last set bit in the way, so that each bit is looked at once.
            match (start..end).rev().find(|bit| self.bit(*bit)) {
                None => return Some(start),
                Some(taken) => start = taken.checked_add(1)?,
            }
        }
    }

    fn is_run(&self, first: usize, count: usize, set: bool) -> bool {
        match first.checked_add(count) {
            Some(end) if end <= self.granules => (first..end).all(|bit| self.bit(bit) == set),
            _ => false,
        }
    }

    fn bit(&self, bit: usize) -> bool {
        self.bitmap
            .get(bit / BITS)
            .is_some_and(|word| (word >> (bit % BITS)) & 1 != 0)
    }

    fn mark(&mut self, first: usize, count: usize, set: bool) {
        for bit in first..first.saturating_add(count) {
            if let Some(word) = self.bitmap.get_mut(bit / BITS) {
                let mask = 1 << (bit % BITS);
                *word = if set { *word | mask } else { *word & !mask };
            }
        }
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_suballoc))]
mod tests {
    use super::*;

    const CHUNK: usize = 128 * GRANULE;

    fn chunk() -> SubAlloc<2> {
        SubAlloc::new(7, CHUNK).unwrap()
    }

    #[test]
    fn chunk_at_the_limits() {
        assert!(SubAlloc::<2>::new(0, CHUNK + GRANULE - 1).is_some());
        assert!(SubAlloc::<2>::new(0, CHUNK + GRANULE).is_none());
        assert!(SubAlloc::<2>::new(0, 2 * CHUNK).is_none());
        assert!(SubAlloc::<2>::new(0, usize::MAX).is_none());
        let mut none = SubAlloc::<2>::new(0, GRANULE - 1).unwrap();
        assert_eq!(none.alloc(1), None);
    }

    // covers: T5
    #[test]
    fn sizes_at_the_limits() {
        for (bytes, len) in [
            (0, None),
            (1, Some(GRANULE)),
            (GRANULE, Some(GRANULE)),
            (GRANULE + 1, Some(2 * GRANULE)),
            (2 * GRANULE + 1, Some(3 * GRANULE)),
            (CHUNK, Some(CHUNK)),
            (CHUNK + 1, None),
            (2 * CHUNK + 1, None),
            (usize::MAX, None),
        ] {
            let mut chunk = chunk();
            let block = chunk.alloc(bytes);
            assert_eq!(block.as_ref().map(Block::len), len);
            assert_eq!(chunk.used(), len.unwrap_or(0));
            if let Some(block) = block {
                assert_eq!((block.offset(), block.chunk()), (0, 7));
                assert_eq!(chunk.free(block), Ok(()));
                assert!(chunk.is_empty());
            }
        }
    }

    #[test]
    fn a_full_chunk_gives_nothing_until_something_returns() {
        let mut chunk = chunk();
        let low = chunk.alloc(CHUNK / 2).unwrap();
        let high = chunk.alloc(CHUNK / 2).unwrap();
        assert_eq!((low.offset(), high.offset()), (0, CHUNK / 2));
        assert_eq!(chunk.alloc(1), None);
        assert_eq!(chunk.free(low), Ok(()));
        assert_eq!(chunk.alloc(CHUNK / 2 + 1), None);
        assert_eq!(chunk.alloc(CHUNK / 2).map(|block| block.offset()), Some(0));
        assert_eq!(high.offset(), CHUNK / 2);
    }

    #[test]
    fn free_memory_in_pieces_is_no_run() {
        let mut chunk = chunk();
        let mut blocks: [Option<Block>; 128] = core::array::from_fn(|_| chunk.alloc(1));
        assert!(blocks.iter().all(Option::is_some));
        for block in blocks.iter_mut().step_by(2) {
            assert_eq!(chunk.free(block.take().unwrap()), Ok(()));
        }
        assert_eq!(chunk.used(), CHUNK / 2);
        assert_eq!(chunk.alloc(GRANULE + 1), None);
        assert_eq!(chunk.alloc(GRANULE).map(|block| block.len()), Some(GRANULE));
    }

    #[test]
    fn blocks_of_other_chunks_are_handed_back() {
        let mut one = SubAlloc::<2>::new(1, CHUNK).unwrap();
        let mut two = SubAlloc::<2>::new(2, CHUNK).unwrap();
        let block = one.alloc(1).unwrap();
        let same = two.alloc(1).unwrap();
        assert_eq!(block.offset(), same.offset());
        let block = two.free(block).unwrap_err();
        assert_eq!(one.free(block), Ok(()));
        assert_eq!(two.free(same), Ok(()));
        assert!(one.is_empty() && two.is_empty());
    }

    // A dropped block is quarantined memory: nobody gets it again.
    // covers: T52
    #[test]
    fn a_dropped_block_stays_taken() {
        let mut chunk = chunk();
        let _ = chunk.alloc(GRANULE);
        assert!(!chunk.is_empty());
        let rest = chunk.alloc(CHUNK - GRANULE).unwrap();
        assert_eq!(rest.offset(), GRANULE);
        assert_eq!(chunk.alloc(1), None);
    }
}
