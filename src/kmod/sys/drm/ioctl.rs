// SPDX-License-Identifier: GPL-2.0

//! DRM ioctls: descriptors, and the table that the DRM core dispatches by.
//!
//! Owns nothing and takes no locks. The core calls the trampoline of an ioctl in the context of
//! the calling process, with a copy of the user's argument.
//!
//! # What the core does (`drivers/gpu/drm/drm_ioctl.c`)
//!
//! * It looks the ioctl up by its number alone. The size and direction bits of the caller only
//!   say how much is copied: the handler's argument is cut or zero-extended to our size.
//! * It copies the argument back whenever both the caller's and our code say so, also if the
//!   handler fails. If *that* copy fails, the result of the handler is lost and the caller gets
//!   `-EFAULT`.
//! * It returns the handler's 32-bit value unchanged, sign-extended: positive values and negative
//!   ones that are no errno reach the caller.
//! * Numbers without a handler are `-EINVAL`, foreign type letters `-ENOTTY`.
//!
//! The core does not hold its unplug guard while a handler runs, and neither does the trampoline
//! (see [`super`]). A handler that must not meet a device in removal uses its driver's own means.
//!
//! C header: [`include/drm/drm_ioctl.h`](srctree/include/drm/drm_ioctl.h)

use super::{
    Device,
    Driver,
    File, //
};
use crate::sys::bindings;
use core::marker::PhantomData;
use kernel::{
    ioctl,
    prelude::*,
    str::as_char_ptr_in_const_context,
    uapi, //
};

// CAST: The type letter is a character constant, 'd'.
const TYPE: u32 = uapi::DRM_IOCTL_BASE as u32;

/// Ioctl code for driver ioctl `nr` without an argument; `A` is `()`.
#[expect(non_snake_case, reason = "name of the C macro")]
pub(crate) const fn IO<A>(nr: u32) -> u32 {
    const { assert!(size_of::<A>() == 0) };
    ioctl::_IO(TYPE, uapi::DRM_COMMAND_BASE + nr)
}

/// Ioctl code for driver ioctl `nr` whose argument the kernel writes.
#[expect(non_snake_case, reason = "name of the C macro")]
pub(crate) const fn IOR<A>(nr: u32) -> u32 {
    ioctl::_IOR::<A>(TYPE, uapi::DRM_COMMAND_BASE + nr)
}

/// Ioctl code for driver ioctl `nr` whose argument the kernel reads and writes.
#[expect(non_snake_case, reason = "name of the C macro")]
pub(crate) const fn IOWR<A>(nr: u32) -> u32 {
    ioctl::_IOWR::<A>(TYPE, uapi::DRM_COMMAND_BASE + nr)
}

/// One ioctl of a driver. Implemented by [`declare_ioctls!`].
pub(crate) trait Ioctl {
    /// The driver.
    type Driver: Driver;

    /// The argument; `()` if there is none.
    ///
    /// Any bit pattern is a value, because it comes from user space, and it has no padding,
    /// because all of it goes back there.
    type Arg: FromBytes + IntoBytes;

    /// The whole ioctl code.
    const CODE: u32;

    /// `drm_ioctl_flags`.
    const FLAGS: u32;

    /// Name for debug messages.
    const NAME: &'static CStr;

    /// The handler. `Ok` values are returned to the caller as they are.
    fn handle(
        dev: &Device<Self::Driver>,
        arg: &mut Self::Arg,
        file: &File<Self::Driver>,
    ) -> Result<i32>;
}

/// An entry of the ioctl table of driver `T`.
///
/// # Invariants
///
/// Either the entry is empty, or its function is a trampoline for devices of driver `T` whose
/// argument has the size that the entry's code says.
#[repr(transparent)]
pub(crate) struct IoctlDescriptor<T: Driver>(bindings::drm_ioctl_desc, PhantomData<fn() -> T>);

impl<T: Driver> IoctlDescriptor<T> {
    /// The entry for `I`.
    pub(crate) const fn new<I: Ioctl<Driver = T>>() -> Self {
        const {
            assert!(ioctl::_IOC_TYPE(I::CODE) == TYPE);
            assert!(ioctl::_IOC_SIZE(I::CODE) == size_of::<I::Arg>());
            // The trampoline holds a copy on its stack.
            assert!(size_of::<I::Arg>() <= 512);
        }

        // INVARIANT: The trampoline is that of an ioctl of driver `T`, and the size was checked.
        Self(
            bindings::drm_ioctl_desc {
                cmd: I::CODE,
                flags: I::FLAGS,
                func: Some(trampoline::<I>),
                name: as_char_ptr_in_const_context(I::NAME),
            },
            PhantomData,
        )
    }

    /// An entry without function. The core answers `-EINVAL`.
    const EMPTY: Self = Self(
        bindings::drm_ioctl_desc {
            cmd: 0,
            flags: 0,
            func: None,
            name: core::ptr::null(),
        },
        PhantomData,
    );
}

/// Calls the handler of `I` with safe types.
///
/// # Safety
///
/// Must only be called by the DRM core, from the table of driver `I::Driver`.
unsafe extern "C" fn trampoline<I: Ioctl>(
    raw_dev: *mut bindings::drm_device,
    data: *mut c_void,
    raw_file: *mut bindings::drm_file,
) -> c_int {
    // SAFETY: The caller of the ioctl holds the file and so the device, and the table that led
    // here is that of driver `I::Driver`.
    let dev = unsafe { Device::<I::Driver>::from_raw(raw_dev) };

    // SAFETY: The file is open, because the caller of the ioctl holds it.
    let file = unsafe { File::<I::Driver>::from_raw(raw_file) };

    let slot = data.cast::<I::Arg>();

    // The core's buffer is an array of bytes, so the argument is moved to a place that is
    // aligned, and back.
    //
    // SAFETY: The core passes a buffer of at least the size in the table, which is that of
    // `I::Arg`, and has initialised all of it. Every bit pattern is a value of `I::Arg`.
    let mut arg = unsafe { slot.read_unaligned() };

    let result = I::handle(dev, &mut arg, file);

    // SAFETY: The buffer is exclusively ours until we return, and large enough, see above.
    unsafe { slot.write_unaligned(arg) };

    match result {
        Ok(value) => value,
        Err(e) => e.to_errno(),
    }
}

/// The number of table entries needed for driver ioctl numbers `nrs`.
#[doc(hidden)]
pub(crate) const fn table_len(nrs: &[u32]) -> usize {
    let mut len = 0;
    let mut i = 0;
    while i < nrs.len() {
        // CAST: Ioctl numbers have eight bits.
        let end = nrs[i] as usize + 1;
        if end > len {
            len = end;
        }
        i += 1;
    }
    assert!(len <= (uapi::DRM_COMMAND_END - uapi::DRM_COMMAND_BASE) as usize);
    len
}

/// Sorts `entries` into a table indexed by number; the rest of the table is empty.
#[doc(hidden)]
pub(crate) const fn table<T: Driver, const N: usize, const M: usize>(
    entries: [(u32, IoctlDescriptor<T>); M],
) -> [IoctlDescriptor<T>; N] {
    let mut table = [const { IoctlDescriptor::<T>::EMPTY }; N];
    let mut i = 0;
    while i < M {
        let (nr, entry) = &entries[i];
        // CAST: Ioctl numbers have eight bits.
        let slot = &mut table[*nr as usize];
        assert!(slot.0.func.is_none(), "two ioctls have the same number");
        // INVARIANT: A copy of an entry for the same driver.
        slot.0 = entry.0;
        i += 1;
    }
    table
}

/// Declares the ioctls of a driver as a constant table for [`Driver::IOCTLS`].
///
/// Each entry is `(number, NAME, DIRECTION(argument), flags, handler)`: the number counts from
/// `DRM_COMMAND_BASE`, entries may come in any order and leave gaps, the direction is one of
/// [`IO`], [`IOR`] and [`IOWR`] as seen by user space, and the argument of an [`IO`] is
/// `()`. Argument types have neither invalid values nor padding. A number that is used twice and
/// a size that does not fit the code are build errors.
///
/// The handler is `fn(&Device<T>, &mut Argument, &File<T>) -> Result<i32>`. What it returns in
/// `Ok` becomes the value of the ioctl unchanged, so it may carry a result of the hardware that
/// looks negative; errors become an errno.
///
/// # Examples
///
/// ```ignore
/// declare_ioctls! {
///     const IOCTLS: Foo = [
///         (0x00, FOO_QUERY, IOR(drm_foo_query), 0, query),
///         (0x03, FOO_RESET, IO(()), DRM_ROOT_ONLY, reset),
///     ];
/// }
/// ```
macro_rules! declare_ioctls {
    (
        $(#[$attr:meta])*
        $vis:vis const $table:ident: $driver:ty = [
            $( ($nr:expr, $name:ident, $dir:ident($arg:ty), $flags:expr, $handler:expr) ),+
            $(,)?
        ];
    ) => {
        $(#[$attr])*
        $vis const $table: &[$crate::sys::drm::IoctlDescriptor<$driver>] = {
            use $crate::sys::drm::ioctl::{
                table,
                table_len,
                Ioctl, //
            };

            $(
                #[allow(non_camel_case_types, reason = "ioctls are named like C constants")]
                enum $name {}

                impl Ioctl for $name {
                    type Driver = $driver;
                    type Arg = $arg;

                    const CODE: u32 = $crate::sys::drm::ioctl::$dir::<$arg>($nr);
                    const FLAGS: u32 = $flags;
                    const NAME: &'static ::kernel::str::CStr =
                        ::kernel::c_str!(::core::stringify!($name));

                    fn handle(
                        dev: &$crate::sys::drm::Device<$driver>,
                        arg: &mut $arg,
                        file: &$crate::sys::drm::File<$driver>,
                    ) -> ::kernel::error::Result<i32> {
                        $handler(dev, arg, file)
                    }
                }
            )+

            const LEN: usize = table_len(&[$($nr),+]);
            const TABLE: [$crate::sys::drm::IoctlDescriptor<$driver>; LEN] = table([
                $( ($nr, $crate::sys::drm::IoctlDescriptor::new::<$name>()) ),+
            ]);
            &TABLE
        };
    };
}
pub(crate) use declare_ioctls;
