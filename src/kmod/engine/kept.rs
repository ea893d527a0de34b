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
    error::{
        CallError,
        CallResult, //
    }, //
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

/// Most entries of one session. Programs have a few at a time, and the DSP may never list any.
const MOST: usize = 16384;

/// A tag and a buffer. Buffers of one tag lie side by side.
type Entry = (i32, Option<Key>);

/// An entry that waits for the DSP to be told of it.
pub(crate) struct NewEntry(RBTreeNode<Entry, Hold>);

struct State {
    entries: RBTree<Entry, Hold>,
    len: usize,
}

/// Buffers that the DSP was given as handles.
#[pin_data]
pub(crate) struct Kept {
    #[pin]
    state: Mutex<State>,
}

impl Kept {
    /// Nothing is kept.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_mutex!(
                State {
                    entries: RBTree::new(),
                    len: 0,
                },
                "qda_kept"
            ),
        })
    }

    /// Prepares to keep a buffer under `tag`. Keeping it cannot fail then.
    ///
    /// Fails with [`CallError::Limit`] if the DSP has not dropped very many others.
    pub(crate) fn prepare(&self, tag: i32, key: Key, hold: Hold) -> CallResult<NewEntry> {
        // Calls at the same time may go a little beyond.
        if self.state.lock().len >= MOST {
            return Err(CallError::Limit);
        }
        let node = RBTreeNode::new((tag, Some(key)), hold, GFP_KERNEL_ACCOUNT)?;
        Ok(NewEntry(node))
    }

    /// Keeps a buffer. The DSP has just been told.
    pub(crate) fn keep(&self, new: NewEntry) {
        let mut state = self.state.lock();
        let old = state.entries.insert(new.0);
        if old.is_none() {
            state.len = state.len.saturating_add(1);
        }
        drop(state);
        // If it was kept under this tag before, one of the two holds is enough.
        drop(old);
    }

    /// The DSP says that it has dropped `tag`: one buffer is not kept under it any more.
    pub(crate) fn dropped(&self, tag: i32) {
        let mut state = self.state.lock();
        // `None` is less than every key.
        let node = match state.entries.cursor_lower_bound_mut(&(tag, None)) {
            Some(cursor) if cursor.current().0 .0 == tag => cursor.remove_current().1,
            _ => return,
        };
        state.len = state.len.saturating_sub(1);
        drop(state);
        let (_, hold) = node.to_key_value();
        // What the DSP wrote through the handle is the client's from now on.
        hold.take_back();
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().len
    }
}
