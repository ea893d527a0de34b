// SPDX-License-Identifier: GPL-2.0

//! Buffers that the DSP was given as handles.
//!
//! Code on the DSP may go on using the buffer behind a handle argument after the call that brought
//! it. The buffer is kept until the DSP lists its tag as dropped, or the process ends. The tag is
//! the client's number and means nothing here: an entry is one tag *and* one buffer, so that a tag
//! that the client uses for another buffer later does not lose the first one. What the DSP lists
//! can at most end the keeping of what this very session gave it.
//!
//! # Locking
//!
//! One mutex around the entries. Buffers are dropped without it.

use crate::engine::{
    buffer::{
        Hold,
        Key, //
    },
    error::CallResult, //
};
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::Mutex, //
};

/// A tag and a buffer. Buffers of one tag lie side by side.
type Entry = (i32, Option<Key>);

/// An entry that waits for the DSP to be told of it.
pub(crate) struct NewEntry(RBTreeNode<Entry, Hold>);

impl NewEntry {
    /// A buffer that will be kept under `tag`. Allocates, so that keeping it cannot fail.
    pub(crate) fn new(tag: i32, key: Key, hold: Hold) -> CallResult<Self> {
        Ok(Self(RBTreeNode::new((tag, Some(key)), hold, GFP_KERNEL)?))
    }
}

/// Buffers that the DSP was given as handles.
#[pin_data]
pub(crate) struct Kept {
    #[pin]
    entries: Mutex<RBTree<Entry, Hold>>,
}

impl Kept {
    /// Nothing is kept.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            entries <- new_mutex!(RBTree::new(), "qda_kept"),
        })
    }

    /// Keeps a buffer. The DSP has just been told.
    pub(crate) fn keep(&self, new: NewEntry) {
        // If it was kept under this tag before, one of the two holds is enough.
        let old = self.entries.lock().insert(new.0);
        drop(old);
    }

    /// The DSP says that it has dropped `tag`: nothing is kept under it any more.
    pub(crate) fn dropped(&self, tag: i32) {
        loop {
            let mut entries = self.entries.lock();
            // `None` is less than every key.
            let node = match entries.cursor_lower_bound_mut(&(tag, None)) {
                Some(cursor) if cursor.current().0 .0 == tag => cursor.remove_current().1,
                _ => return,
            };
            drop(entries);
            let (_, hold) = node.to_key_value();
            // What the DSP wrote through the handle is the client's from now on.
            hold.take_back();
        }
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.lock().is_empty()
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().iter().count()
    }
}
