// SPDX-License-Identifier: GPL-2.0

//! Device-tree nodes of the simulated DSPs, and the parent devices of their channels.
//!
//! Takes no lock. Called by module init and exit.

use super::bindings;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    str::CStr, //
};

/// A reference to a device-tree node.
///
/// # Invariants
///
/// The pointer is valid and carries a reference count that this object owns.
pub(crate) struct Node(*mut bindings::device_node);

// SAFETY: Nodes are reference counted with atomics and only read.
unsafe impl Send for Node {}
// SAFETY: As above.
unsafe impl Sync for Node {}

impl Node {
    /// Raw pointer, valid as long as `self`.
    pub(crate) fn as_raw(&self) -> *mut bindings::device_node {
        self.0
    }

    /// The first node with this compatible string.
    pub(crate) fn find_compatible(compatible: &CStr) -> Option<Self> {
        // SAFETY: The string is terminated; a NULL start means the whole tree.
        let np = unsafe {
            bindings::of_find_compatible_node(
                core::ptr::null_mut(),
                core::ptr::null(),
                compatible.as_char_ptr(),
            )
        };
        // INVARIANT: The call returns NULL or a node with a reference for us.
        (!np.is_null()).then_some(Self(np))
    }

    /// Calls `f` with every enabled child node.
    pub(crate) fn for_each_child(&self, mut f: impl FnMut(&Node) -> Result) -> Result {
        let mut prev = core::ptr::null_mut();
        loop {
            // SAFETY: `self.0` is valid; the call takes over our reference to `prev`.
            let np = unsafe { bindings::of_get_next_available_child(self.0, prev) };
            if np.is_null() {
                return Ok(());
            }
            // INVARIANT: The child came with a reference for us.
            let child = Node(np);
            f(&child)?;
            // The reference goes back to the iterator.
            prev = child.into_raw();
        }
    }

    fn into_raw(self) -> *mut bindings::device_node {
        let np = self.0;
        core::mem::forget(self);
        np
    }

    /// Another reference to the same node.
    pub(crate) fn share(&self) -> Self {
        // SAFETY: `self.0` is valid.
        let np = unsafe { bindings::of_node_get(self.0) };
        // INVARIANT: The call took a reference.
        Self(np)
    }

    /// The node's name with unit address, given to `f`.
    pub(crate) fn name<R>(&self, f: impl FnOnce(&CStr) -> R) -> R {
        // SAFETY: The node is valid; its name is a terminated string that lives as long.
        f(unsafe { CStr::from_char_ptr((*self.0).full_name) })
    }

    /// Is `compatible` one of the node's compatible strings?
    pub(crate) fn is_compatible(&self, compatible: &CStr) -> bool {
        // SAFETY: Node and string are valid.
        unsafe { bindings::of_device_is_compatible(self.0, compatible.as_char_ptr()) != 0 }
    }

    /// A string property, copied to `f`.
    pub(crate) fn string<R>(&self, name: &CStr, f: impl FnOnce(&CStr) -> R) -> Option<R> {
        let mut value: *const kernel::ffi::c_char = core::ptr::null();
        // SAFETY: Node and name are valid, `value` is written on success.
        let r =
            unsafe { bindings::of_property_read_string(self.0, name.as_char_ptr(), &mut value) };
        if r != 0 || value.is_null() {
            return None;
        }
        // SAFETY: The property's text is terminated and lives as long as the node.
        Some(f(unsafe { CStr::from_char_ptr(value) }))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: We own a reference by the type invariant.
        unsafe { bindings::of_node_put(self.0) };
    }
}

/// A device without bus and driver, the parent of a channel as an edge is on real machines.
///
/// # Invariants
///
/// The pointer came from `__root_device_register`.
pub(crate) struct RootDevice(*mut bindings::device);

// SAFETY: Only registration and removal use the pointer, from one owner.
unsafe impl Send for RootDevice {}
// SAFETY: As above.
unsafe impl Sync for RootDevice {}

impl RootDevice {
    /// Registers a device.
    pub(crate) fn new(name: &CStr, module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The name is terminated and copied; the module outlives the device.
        let dev = unsafe { bindings::__root_device_register(name.as_char_ptr(), module.as_ptr()) };
        // INVARIANT: Checked for an error pointer.
        Ok(Self(from_err_ptr(dev)?))
    }

    /// Raw pointer, valid as long as `self`.
    pub(crate) fn as_raw(&self) -> *mut bindings::device {
        self.0
    }
}

impl Drop for RootDevice {
    fn drop(&mut self) {
        // SAFETY: Registered by the type invariant, and unregistered only here.
        unsafe { bindings::root_device_unregister(self.0) };
    }
}
