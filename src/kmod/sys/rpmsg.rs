// SPDX-License-Identifier: GPL-2.0

//! Abstractions for the rpmsg bus.
//!
//! C header: [`include/linux/rpmsg.h`](srctree/include/linux/rpmsg.h)
//!
//! Written as a candidate for `rust/kernel/rpmsg.rs`. It owns the way from a C callback to a
//! driver's data and the way from a driver to the transport:
//!
//! * [`Driver`] and [`Adapter`] register an rpmsg driver and dispatch probe, removal and packets.
//! * [`Link`] is the only way to send ([`Sending`]). It closes for good when the driver is unbound.
//!
//! # Order
//!
//! ```text
//! bind    core creates the endpoint -> probe() builds the data -> packets are let in -> start()
//! unbind  unbind() -> link closed, senders waited for -> packets shut out
//!         -> core destroys the endpoint -> data dropped
//! ```
//!
//! Packets can arrive from the moment the core has created the endpoint, that is before there is
//! any data. Until the data is published they are dropped.
//!
//! # Locking
//!
//! Packets arrive in hard interrupt context with a spinlock of the transport held (GLINK), or in
//! process context with a mutex held (virtio). [`Driver::receive`] must therefore neither sleep
//! nor free anything that needs to sleep. Sending may sleep and takes no lock of ours but an SRCU
//! read section.

use crate::sys::bindings;
use core::{
    marker::PhantomData,
    mem::offset_of,
    pin::Pin,
    ptr::null_mut, //
};
use kernel::{
    device,
    driver,
    error::{
        from_result,
        to_result, //
    },
    new_srcu,
    of,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        srcu,
        Arc,
        Srcu, //
    },
    types::Opaque,
    ThisModule, //
};

/// The rpmsg driver trait.
pub(crate) trait Driver: 'static {
    /// Information about each supported device.
    type IdInfo: 'static;

    /// The driver's private data of a bound device.
    type Data: Send + Sync + 'static;

    /// The device-tree compatibles that the driver serves.
    const OF_ID_TABLE: of::IdTable<Self::IdInfo>;

    /// Builds the private data. Packets do not arrive yet.
    ///
    /// `info` is [`None`] if an administrator bound the driver to a device that is not in
    /// [`Self::OF_ID_TABLE`].
    fn probe(
        dev: &Device<device::Core<'_>>,
        info: Option<&'static Self::IdInfo>,
        link: Arc<Link>,
    ) -> impl PinInit<Self::Data, Error>;

    /// Makes the device visible to users. Packets arrive from now on.
    ///
    /// If it fails, [`Self::unbind`] is called.
    fn start(dev: &Device<device::Core<'_>>, this: Pin<&Self::Data>) -> Result;

    /// Ends all use of the device. The link still works; afterwards it is closed.
    fn unbind(dev: &Device<device::Core<'_>>, this: Pin<&Self::Data>);

    /// Takes a packet.
    ///
    /// Called in hard interrupt context, see the module documentation.
    fn receive(this: &Self::Data, packet: &[u8]);
}

/// The rpmsg device representation.
///
/// # Invariants
///
/// A [`Device`] represents a valid `struct rpmsg_device` created by the C portion of the kernel.
#[repr(transparent)]
pub(crate) struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::rpmsg_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    fn as_raw(&self) -> *mut bindings::rpmsg_device {
        self.0.get()
    }
}

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant of `Self`, `self.as_raw()` is a pointer to a valid
        // `struct rpmsg_device`, which embeds its `struct device`.
        let dev = unsafe { &raw mut (*self.as_raw()).dev };

        // SAFETY: `dev` points to a valid `struct device` for as long as `self` lives.
        unsafe { device::Device::from_raw(dev) }
    }
}

// SAFETY: `Device` is a transparent wrapper of `struct rpmsg_device` that doesn't depend on its
// generic argument.
kernel::impl_device_context_deref!(unsafe { Device });

/// The way to send to a channel's remote side.
///
/// A link is created for one binding of a driver to a device and is closed when that binding
/// ends. It may outlive the device; then every send fails with [`SendError::Closed`].
///
/// # Invariants
///
/// While `closed` is `false`, or an SRCU read section of `srcu` that saw it `false` lasts,
/// `endpoint` points to a valid `struct rpmsg_endpoint`.
#[pin_data]
pub(crate) struct Link {
    endpoint: *mut bindings::rpmsg_endpoint,
    closed: Atomic<bool>,
    #[pin]
    srcu: Srcu,
}

// SAFETY: `struct rpmsg_endpoint` may be used by several threads at once, and the invariant of
// `Link` says when.
unsafe impl Send for Link {}

// SAFETY: See the implementation of `Send`.
unsafe impl Sync for Link {}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The link is closed, or the remote side is going away. The packet was not sent.
    Closed,
    /// The transport refused the packet. It was not sent.
    Refused(Error),
    /// The transport failed in a way that leaves open whether the remote side got the packet.
    Unknown(Error),
}

impl Link {
    /// # Safety
    ///
    /// `endpoint` must stay valid until [`Self::close`] has returned.
    unsafe fn new(endpoint: *mut bindings::rpmsg_endpoint) -> Result<Arc<Self>> {
        // INVARIANT: The link is open and the caller guarantees that `endpoint` is valid until it
        // is closed.
        Arc::pin_init(
            try_pin_init!(Self {
                endpoint,
                closed: Atomic::new(false),
                srcu <- new_srcu!("qda_link"),
            }),
            GFP_KERNEL,
        )
    }

    /// Begins to send. [`Self::settle`] and [`Self::close`] wait until the value is dropped.
    pub(crate) fn enter(&self) -> Sending<'_> {
        Sending {
            link: self,
            _guard: self.srcu.read_lock(),
        }
    }

    /// Waits for the senders that are under way.
    pub(crate) fn settle(&self) {
        self.srcu.synchronize();
    }

    /// Closes the link and waits for the senders that are under way.
    ///
    /// Closing twice does nothing more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Release);
        self.settle();
    }
}

/// A sender under way.
pub(crate) struct Sending<'a> {
    link: &'a Link,
    _guard: srcu::Guard<'a>,
}

impl Sending<'_> {
    /// Sends a packet, first without sleeping, then, if the transport has no room, with.
    ///
    /// May sleep for as long as the transport waits for room (GLINK: 10 s), and holds up who waits
    /// for senders for that time, so callers must hold no lock.
    pub(crate) fn send(&self, packet: &[u8]) -> Result<(), SendError> {
        match self.try_send(packet) {
            Err(SendError::Refused(e)) if e == EBUSY || e == EAGAIN => {
                self.send_with(packet, bindings::rpmsg_send, |e| {
                    // What GLINK, SMD and virtio answer before they have queued anything.
                    e == EINVAL || e == ENOMEM || e == EBUSY || e == EAGAIN
                })
            }
            result => result,
        }
    }

    /// Sends a packet if the transport has room for it now.
    fn try_send(&self, packet: &[u8]) -> Result<(), SendError> {
        self.send_with(packet, bindings::rpmsg_trysend, |_| true)
    }

    fn send_with(
        &self,
        packet: &[u8],
        send: unsafe extern "C" fn(*mut bindings::rpmsg_endpoint, *const c_void, c_int) -> c_int,
        is_refusal: impl FnOnce(Error) -> bool,
    ) -> Result<(), SendError> {
        let len = c_int::try_from(packet.len()).map_err(|_| SendError::Refused(EMSGSIZE))?;

        if self.link.closed.load(Acquire) {
            return Err(SendError::Closed);
        }

        // SAFETY: The link was open in the SRCU read section of `self`, hence `endpoint` is valid by
        // its type invariant. `packet` is valid for `len` bytes and is only read.
        let ret = unsafe { send(self.link.endpoint, packet.as_ptr().cast(), len) };
        to_result(ret).map_err(|e| {
            // What the transports answer while the remote side goes away.
            if e == ECONNRESET || e == ECANCELED || e == EPIPE || e == ENODEV {
                SendError::Closed
            } else if is_refusal(e) {
                SendError::Refused(e)
            } else {
                SendError::Unknown(e)
            }
        })
    }
}

/// An adapter for the registration of rpmsg drivers.
pub(crate) struct Adapter<T: Driver>(T);

/// What the driver core holds as private data of a bound device.
#[pin_data]
pub(crate) struct Bound<T: Driver> {
    // Dropped after `data`, which holds references to it.
    #[pin]
    data: T::Data,
    link: Arc<Link>,
}

// SAFETY:
// - `bindings::rpmsg_driver` is a C type declared as `repr(C)`.
// - `Bound<T>` is the type that `probe_callback()` stores as the private data.
// - `struct rpmsg_driver` embeds a `struct device_driver`.
// - `DEVICE_DRIVER_OFFSET` is the correct byte offset to the embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::rpmsg_driver;
    type DriverData<'bound> = Bound<T>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(Self::DriverType, drv);
}

// SAFETY: A call to `unregister` for a given instance of `DriverType` is guaranteed to be valid if
// a preceding call to `register` has been successful.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        rdrv: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: It is safe to set the fields of `struct rpmsg_driver` on initialization.
        unsafe {
            (*rdrv.get()).drv.name = name.as_char_ptr();
            (*rdrv.get()).drv.of_match_table = T::OF_ID_TABLE.as_ptr();
            (*rdrv.get()).probe = Some(Self::probe_callback);
            (*rdrv.get()).remove = Some(Self::remove_callback);
            (*rdrv.get()).callback = Some(Self::receive_callback);
        }

        // SAFETY: `rdrv` is guaranteed to be a valid `DriverType`.
        to_result(unsafe { bindings::__register_rpmsg_driver(rdrv.get(), module.as_ptr()) })
    }

    unsafe fn unregister(rdrv: &Opaque<Self::DriverType>) {
        // SAFETY: `rdrv` is guaranteed to be a valid `DriverType`.
        unsafe { bindings::unregister_rpmsg_driver(rdrv.get()) }
    }
}

impl<T: Driver> driver::Adapter for Adapter<T> {
    type IdInfo = T::IdInfo;

    fn acpi_id_table() -> Option<kernel::acpi::IdTable<Self::IdInfo>> {
        None
    }

    fn of_id_table() -> Option<of::IdTable<Self::IdInfo>> {
        Some(T::OF_ID_TABLE)
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(rpdev: *mut bindings::rpmsg_device) -> c_int {
        // SAFETY: The rpmsg bus only ever calls the probe callback with a valid pointer to a
        // `struct rpmsg_device`.
        //
        // INVARIANT: `rpdev` is valid for the duration of `probe_callback()`.
        let dev = unsafe { &*rpdev.cast::<Device<device::CoreInternal<'_>>>() };

        // SAFETY: The rpmsg core has created the endpoint, since the driver has a receive callback.
        let endpoint = unsafe { (*rpdev).ept };

        // SAFETY: The only ID table of the driver is `T::OF_ID_TABLE`, whose entries are of type
        // `T::IdInfo`.
        let info = unsafe { <Self as driver::Adapter>::id_info(dev.as_ref()) };

        from_result(|| {
            // SAFETY: The endpoint is destroyed after a failing probe or after
            // `remove_callback()`, and both close the link.
            let link = unsafe { Link::new(endpoint)? };

            let data = T::probe(dev, info, link.clone());
            let bound_link = link.clone();
            dev.as_ref()
                .set_drvdata(try_pin_init!(Bound::<T> {
                    data <- data,
                    link: bound_link,
                }))
                .inspect_err(|_| link.close())?;

            // SAFETY: `set_drvdata()` has just stored a value of this type; the driver core drops
            // it when the device is unbound or when this function fails.
            let bound = unsafe { dev.as_ref().drvdata_borrow::<Bound<T>>() };

            let raw: *const Bound<T> = &raw const *bound;
            // SAFETY: The endpoint is valid during probe. `raw` stays valid until the private data
            // is dropped, which is after `shut_out()` or after the endpoint was destroyed.
            unsafe { bindings::qda_helper_ept_set_priv(endpoint, raw.cast_mut().cast()) };

            if let Err(e) = T::start(dev, Self::data(bound)) {
                T::unbind(dev, Self::data(bound));
                // SAFETY: The endpoint is valid during probe.
                unsafe { Self::shut_out(endpoint, bound) };
                return Err(e);
            }
            Ok(0)
        })
    }

    extern "C" fn remove_callback(rpdev: *mut bindings::rpmsg_device) {
        // SAFETY: The rpmsg bus only ever calls the remove callback with a valid pointer to a
        // `struct rpmsg_device`.
        //
        // INVARIANT: `rpdev` is valid for the duration of `remove_callback()`.
        let dev = unsafe { &*rpdev.cast::<Device<device::CoreInternal<'_>>>() };

        // SAFETY: `remove_callback` is only ever called after a successful call to
        // `probe_callback`, hence it's guaranteed that `Device::set_drvdata()` has been called
        // and stored a `Pin<KBox<Bound<T>>>`.
        let bound = unsafe { dev.as_ref().drvdata_borrow::<Bound<T>>() };

        T::unbind(dev, Self::data(bound));

        // SAFETY: The core destroys the endpoint after this callback.
        unsafe { Self::shut_out((*rpdev).ept, bound) };
    }

    fn data(bound: Pin<&Bound<T>>) -> Pin<&T::Data> {
        // SAFETY: `data` is structurally pinned.
        unsafe { bound.map_unchecked(|b| &b.data) }
    }

    /// Closes the link and drops packets from now on.
    ///
    /// # Safety
    ///
    /// `endpoint` must be valid.
    unsafe fn shut_out(endpoint: *mut bindings::rpmsg_endpoint, bound: Pin<&Bound<T>>) {
        bound.link.close();

        // A transport may just have read the old pointer. Destroying the endpoint waits for its
        // callback, and the core does that before the data is dropped, also when probe fails.
        //
        // SAFETY: `endpoint` is valid by the safety requirements.
        unsafe { bindings::qda_helper_ept_set_priv(endpoint, null_mut()) };
    }

    extern "C" fn receive_callback(
        _rpdev: *mut bindings::rpmsg_device,
        data: *mut c_void,
        len: c_int,
        this: *mut c_void,
        _src: u32,
    ) -> c_int {
        // Packets of length 0 and those that come before the data is published are dropped, and
        // so is what a transport reports as an error.
        let Ok(len) = usize::try_from(len) else {
            return 0;
        };
        if this.is_null() || data.is_null() {
            return 0;
        }

        // SAFETY: `this` was published by `probe_callback()` and points to the private data of the
        // bound device, which is dropped only after the endpoint was destroyed.
        let bound = unsafe { &*this.cast::<Bound<T>>() };

        // SAFETY: The transport passes `len` bytes of kernel memory that nobody writes to while
        // the callback runs.
        let packet = unsafe { core::slice::from_raw_parts(data.cast::<u8>(), len) };

        T::receive(&bound.data, packet);
        0
    }
}
