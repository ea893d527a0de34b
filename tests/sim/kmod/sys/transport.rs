// SPDX-License-Identifier: GPL-2.0

//! The fake rpmsg transport: announces a channel and implements the operations that the
//! rpmsg core calls.
//!
//! Owns the channel's device ([`Link`]), which lives until its last reference is gone.
//! Takes no lock of its own; [`Dsp`] has them.
//!
//! # When the DSP looks at memory
//!
//! Banks belong to the bound driver and their IOMMU domains are freed with them; no
//! reference that a third party could hold prevents it. So messages are worked on only
//! while the driver cannot remove its banks:
//!
//! * from `announce_create` (after the driver's probe) to `announce_destroy` (before its
//!   remove) by the DSP's thread, under the firmware lock that both hooks take;
//! * after `announce_destroy` only inside the driver's own send, for the RELEASE messages
//!   of its remove function.
//!
//! Before `announce_create` messages wait: a real transport gives its receive credits
//! there and cannot answer before either.

use super::bindings;
use super::dt::{
    Node,
    RootDevice, //
};
use super::receiver::Endpoint;
use crate::dsp::Dsp;
use core::{
    ptr,
    slice, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// Devices of channels that still exist. Module exit waits for zero.
static LINKS: Atomic<i32> = Atomic::new(0);

/// What the channel's device is embedded in. The device is the first field, so pointers to
/// it are pointers to the whole.
#[repr(C)]
struct Channel {
    rpdev: bindings::rpmsg_device,
    ept: bindings::rpmsg_endpoint,
    dsp: Arc<Dsp>,
    node: Node,
}

/// The device below which the driver puts its context banks.
///
/// # Invariants
///
/// The pointer is valid while the endpoint exists, which is as long as this object is kept.
pub(crate) struct ChannelDevice(*mut bindings::device);

// SAFETY: Devices are reference counted and may be looked at from any thread.
unsafe impl Send for ChannelDevice {}

impl ChannelDevice {
    /// Raw pointer.
    pub(crate) fn as_raw(&self) -> *mut bindings::device {
        self.0
    }
}

/// An announced channel. Dropping it removes the device, and with it the driver.
///
/// # Invariants
///
/// The pointer is a registered device that is unregistered only by our drop.
pub(crate) struct Link(*mut bindings::rpmsg_device);

// SAFETY: Only unregistration uses the pointer, which may happen on any thread.
unsafe impl Send for Link {}

static DEVICE_OPS: bindings::rpmsg_device_ops = bindings::rpmsg_device_ops {
    create_channel: None,
    release_channel: None,
    create_ept: Some(create_ept),
    announce_create: Some(announce_create),
    announce_destroy: Some(announce_destroy),
};

static ENDPOINT_OPS: bindings::rpmsg_endpoint_ops = bindings::rpmsg_endpoint_ops {
    destroy_ept: Some(destroy_ept),
    send: Some(send),
    sendto: None,
    trysend: Some(trysend),
    trysendto: None,
    poll: Some(poll),
    set_flow_control: None,
    get_mtu: Some(get_mtu),
};

impl Link {
    /// Registers a channel device named `name` on the rpmsg bus. May sleep and probes the
    /// driver before it returns.
    pub(crate) fn announce(
        dsp: Arc<Dsp>,
        node: &Node,
        parent: &RootDevice,
        name: &CStr,
    ) -> Result<Self> {
        let mut memory = KBox::<Channel>::new_uninit(GFP_KERNEL)?;
        let ch = memory.as_mut_ptr();
        // SAFETY: `ch` is room for a channel. Zeroes are valid for the two C structures; the
        // other fields are written before anybody reads them.
        unsafe {
            ptr::write_bytes(ch, 0, 1);
            ptr::addr_of_mut!((*ch).dsp).write(dsp);
            ptr::addr_of_mut!((*ch).node).write(node.share());
        }
        // SAFETY: All fields are initialised.
        let ch = KBox::into_raw(unsafe { memory.assume_init() });
        LINKS.fetch_add(1, Relaxed);
        // SAFETY: We own the channel until the device is registered. The core keeps the
        // tables and the parent, which outlive it. After a failure the core drops the
        // device, and `release` frees the channel.
        let r = unsafe {
            let rpdev = ptr::addr_of_mut!((*ch).rpdev);
            for (to, from) in (*rpdev).id.name.iter_mut().zip(name.to_bytes()) {
                *to = *from;
            }
            (*rpdev).src = u32::MAX;
            (*rpdev).dst = u32::MAX;
            (*rpdev).ops = &DEVICE_OPS;
            (*rpdev).dev.parent = parent.as_raw();
            (*rpdev).dev.of_node = (*ch).node.as_raw();
            (*rpdev).dev.release = Some(release);
            bindings::rpmsg_register_device(rpdev)
        };
        to_result(r)?;
        // INVARIANT: Registered; the pointer stays valid until our drop unregisters it.
        Ok(Self(ch.cast::<bindings::rpmsg_device>()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::device_unregister(ptr::addr_of_mut!((*self.0).dev)) };
    }
}

/// Waits until no channel device exists any more, so that `release` is not called after
/// the module is gone.
pub(crate) fn wait_for_links() {
    let mut rounds = 0u32;
    while LINKS.load(Acquire) != 0 {
        if rounds % 1000 == 999 {
            pr_warn!("a channel device is still in use, waiting\n");
        }
        rounds = rounds.wrapping_add(1);
        // SAFETY: May sleep here.
        unsafe { bindings::msleep(10) };
    }
}

/// Frees a channel when the last reference to its device is gone.
///
/// # Safety
///
/// `dev` is the device of a [`Channel`] and not used any more.
unsafe extern "C" fn release(dev: *mut bindings::device) {
    // SAFETY: `dev` is the first field of the rpmsg device, which is the first of a channel
    // that `announce` allocated; this is its last use.
    drop(unsafe { KBox::from_raw(dev.cast::<Channel>()) });
    LINKS.fetch_sub(1, Release);
}

/// Name of the bound driver.
///
/// # Safety
///
/// The device is being probed or bound.
unsafe fn driver_name<'a>(rpdev: *mut bindings::rpmsg_device) -> Option<&'a [u8]> {
    // SAFETY: The core sets the driver before probe; drivers and names outlive the binding.
    unsafe {
        let drv = (*rpdev).dev.driver;
        if drv.is_null() || (*drv).name.is_null() {
            return None;
        }
        Some(CStr::from_char_ptr((*drv).name).to_bytes())
    }
}

/// The core creates the endpoint, during the driver's probe.
///
/// # Safety
///
/// `rpdev` is the device of a [`Channel`].
unsafe extern "C" fn create_ept(
    rpdev: *mut bindings::rpmsg_device,
    cb: bindings::rpmsg_rx_cb_t,
    private: *mut c_void,
    _info: bindings::rpmsg_channel_info,
) -> *mut bindings::rpmsg_endpoint {
    let ch = rpdev.cast::<Channel>();
    // SAFETY: The core calls us with our device, during probe.
    let (dsp, name) = unsafe { (&(*ch).dsp, driver_name(rpdev).unwrap_or(b"?")) };
    // SAFETY: The device lives at least as long as its endpoint.
    let dev = unsafe { ptr::addr_of_mut!((*rpdev).dev) };
    // INVARIANT: `Dsp` drops it in `closed`, before the endpoint is gone.
    if dsp.opened(name, ChannelDevice(dev)).is_err() {
        return ptr::null_mut();
    }
    // SAFETY: The endpoint is a field of the channel; the table is static.
    let ept = unsafe {
        let ept = ptr::addr_of_mut!((*ch).ept);
        bindings::qda_sim_init_ept(ept, rpdev, cb, private, 0x400, &ENDPOINT_OPS);
        ept
    };
    // SAFETY: The endpoint was initialised, and `destroy_ept` closes the receiver.
    dsp.receiver().open(unsafe { Endpoint::new(ept) });
    dsp.talk();
    ept
}

/// The driver's probe is over.
///
/// # Safety
///
/// `rpdev` is the device of a [`Channel`].
unsafe extern "C" fn announce_create(rpdev: *mut bindings::rpmsg_device) -> c_int {
    // SAFETY: The core calls us with our device.
    unsafe { &(*rpdev.cast::<Channel>()).dsp }.announced();
    0
}

/// The driver's remove is about to be called.
///
/// # Safety
///
/// `rpdev` is the device of a [`Channel`].
unsafe extern "C" fn announce_destroy(rpdev: *mut bindings::rpmsg_device) -> c_int {
    // SAFETY: The core calls us with our device.
    unsafe { &(*rpdev.cast::<Channel>()).dsp }.closing();
    0
}

/// The DSP of an endpoint.
///
/// # Safety
///
/// `ept` is an endpoint that `create_ept` returned, and its channel is alive.
unsafe fn dsp_of<'a>(ept: *mut bindings::rpmsg_endpoint) -> &'a Dsp {
    // SAFETY: By the function's contract; `qda_sim_init_ept` set the device.
    unsafe { &(*(*ept).rpdev.cast::<Channel>()).dsp }
}

/// The driver is gone.
///
/// # Safety
///
/// As for [`dsp_of`].
unsafe extern "C" fn destroy_ept(ept: *mut bindings::rpmsg_endpoint) {
    // SAFETY: The core calls us with our endpoint. Its memory stays until the device goes.
    let dsp = unsafe { dsp_of(ept) };
    dsp.talk();
    dsp.receiver().close();
    dsp.closed();
}

/// Both send operations.
///
/// # Safety
///
/// As for [`dsp_of`], and `data` points to `len` bytes.
unsafe fn send_message(
    ept: *mut bindings::rpmsg_endpoint,
    data: *const c_void,
    len: c_int,
    tries: bool,
) -> c_int {
    let Ok(len) = usize::try_from(len) else {
        return EINVAL.to_errno();
    };
    if data.is_null() {
        return EINVAL.to_errno();
    }
    // SAFETY: By the function's contract; the driver does not write during the call.
    let (dsp, bytes) = unsafe { (dsp_of(ept), slice::from_raw_parts(data.cast::<u8>(), len)) };
    match dsp.send(bytes, tries) {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

/// May sleep until there is room.
///
/// # Safety
///
/// As for [`send_message`].
unsafe extern "C" fn send(
    ept: *mut bindings::rpmsg_endpoint,
    data: *const c_void,
    len: c_int,
) -> c_int {
    // SAFETY: The core passes the driver's arguments on.
    unsafe { send_message(ept, data, len, false) }
}

/// Must not wait for room.
///
/// # Safety
///
/// As for [`send_message`].
unsafe extern "C" fn trysend(
    ept: *mut bindings::rpmsg_endpoint,
    data: *const c_void,
    len: c_int,
) -> c_int {
    // SAFETY: The core passes the driver's arguments on.
    unsafe { send_message(ept, data, len, true) }
}

/// Says that there is room.
///
/// # Safety
///
/// None; the arguments are not used.
unsafe extern "C" fn poll(
    _ept: *mut bindings::rpmsg_endpoint,
    _file: *mut bindings::file,
    _wait: *mut bindings::poll_table,
) -> bindings::__poll_t {
    // There is always room.
    0x0004 | 0x0100
}

/// Largest message in bytes.
///
/// # Safety
///
/// None; the argument is not used.
unsafe extern "C" fn get_mtu(_ept: *mut bindings::rpmsg_endpoint) -> isize {
    1024
}
