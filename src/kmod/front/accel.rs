// SPDX-License-Identifier: GPL-2.0

//! The DRM accel front end, `/dev/accel/accelN`.
//!
//! Owns the node of a DSP and the files on it, and turns the ioctls of `uapi/drm/qda_accel.h` into
//! calls of the engine. An ioctl of the calling dialect returns the DSP's 32-bit result unchanged
//! as its value. Takes no locks; handlers run in the context of the calling process.

mod uapi;

use self::uapi::{
    Invoke,
    InvokeArg,
    Query,
    SessionCreate,
    DSP_NAME_LEN, //
};
use crate::{
    engine::{
        call::MAX_INLINE,
        policy::Trust,
        ArgClass,
        Argument,
        CallError,
        Client,
        Dsp,
        Scalars,
        SessionSpec,
        Shell, //
    },
    sys::{
        drm::{
            self,
            ioctl::declare_ioctls, //
        },
        task, //
    },
};
use kernel::{
    device,
    prelude::*,
    sync::Arc,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use zerocopy::FromZeros;

/// Most arguments that a call keeps on the stack. With more it allocates.
const FEW: usize = 8;

/// The driver of the accel nodes.
pub(crate) struct Accel;

/// The node of a DSP. It disappears when this is dropped.
pub(crate) struct Node(drm::Registration<Accel>);

impl Node {
    /// Makes the node of `dsp` below `parent`. Users can open it from now on.
    pub(crate) fn new(parent: &device::Device, dsp: Arc<Dsp>) -> Result<Self> {
        let dev = drm::UnregisteredDevice::<Accel>::new(parent, Ok(dsp))?;
        Ok(Self(drm::Registration::new(dev)?))
    }

    /// Name of the node, for example `accel0`.
    pub(crate) fn name(&self) -> &CStr {
        self.0.name()
    }
}

impl drm::Driver for Accel {
    type OwnerModule = crate::LocalModule;
    type Data = Arc<Dsp>;
    type File = Client;
    type Object = ();

    const INFO: drm::DriverInfo = drm::DriverInfo {
        major: 1,
        minor: 0,
        patchlevel: 0,
        name: c"qda",
        desc: c"Qualcomm DSP accelerator",
    };

    const IOCTLS: &'static [drm::IoctlDescriptor<Self>] = IOCTLS;

    fn open(dev: &drm::Device<Self>, _client_id: u64) -> Result<Pin<KBox<Client>>> {
        let dsp: &Arc<Dsp> = dev;
        let trust = if task::capable_sys_admin() {
            Trust::Trusted
        } else {
            Trust::Untrusted
        };
        KBox::pin_init(Client::new(dsp.clone(), trust), GFP_KERNEL)
    }

    fn release(_dev: &drm::Device<Self>, file: &drm::File<Self>) {
        // Before the DRM core drops the handles of buffers that the process may use.
        file.close();
    }

    fn show_fdinfo(dev: &drm::Device<Self>, file: &drm::File<Self>, p: &drm::Printer<'_>) {
        let dsp: &Arc<Dsp> = dev;
        p.key("qda-dsp", dsp.domain().label());
        if let Some(facts) = file.facts() {
            p.key("qda-bank", facts.sid);
            p.key("qda-session", facts.client);
        }
    }
}

declare_ioctls! {
    const IOCTLS: Accel = [
        (0x00, DRM_IOCTL_QDA_QUERY, IOR(Query), 0, query),
        (0x03, DRM_IOCTL_QDA_INIT_ATTACH, IO(()), 0, attach),
        (0x04, DRM_IOCTL_QDA_REMOTE_SESSION_CREATE, IOWR(SessionCreate), 0, create),
        (0x07, DRM_IOCTL_QDA_REMOTE_INVOKE, IOWR(Invoke), 0, invoke),
    ];
}

/// Names the DSP.
fn query(dev: &drm::Device<Accel>, arg: &mut Query, _file: &drm::File<Accel>) -> Result<i32> {
    let dsp: &Arc<Dsp> = dev;
    let mut name = [0u8; DSP_NAME_LEN];
    // All labels are shorter than the field, so the last byte stays NUL.
    for (to, from) in name.iter_mut().zip(dsp.domain().label().bytes()) {
        *to = from;
    }
    arg.dsp_name = name;
    Ok(0)
}

/// Attaches the file to the root process.
fn attach(_dev: &drm::Device<Accel>, _arg: &mut (), file: &drm::File<Accel>) -> Result<i32> {
    Ok(file.attach()?.raw())
}

/// Creates a process for the file.
fn create(
    _dev: &drm::Device<Accel>,
    arg: &mut SessionCreate,
    file: &drm::File<Accel>,
) -> Result<i32> {
    let shell = match (arg.filelen, arg.filefd) {
        (0, _) => Shell::None,
        (_, 0 | -1) => Shell::User {
            user: user_ptr(arg.file)?,
            len: usize::try_from(arg.filelen)?,
        },
        (_, 1..) => return Err(CallError::Unsupported.into()),
        (_, ..-1) => return Err(CallError::Invalid.into()),
    };
    let spec = SessionSpec {
        shell,
        attrs: arg.attrs,
        signature_len: arg.siglen,
    };
    Ok(file.create(&spec)?.raw())
}

/// Makes a remote call.
fn invoke(_dev: &drm::Device<Accel>, arg: &mut Invoke, file: &drm::File<Accel>) -> Result<i32> {
    let caller = file.caller(arg.handle)?;
    let scalars = Scalars::new(arg.sc);
    let count = scalars.total();

    let mut few = [Argument::Empty; FEW];
    let mut many = KVVec::new();
    let arguments = match few.get_mut(..count) {
        Some(few) => few,
        None => {
            many.resize(count, Argument::Empty, GFP_KERNEL)?;
            many.as_mut_slice()
        }
    };
    fetch(scalars, arg.args, arguments)?;

    Ok(caller.call(scalars, arguments)?.raw())
}

/// Reads the arguments of a call from user space, each once, and classifies them.
fn fetch(scalars: Scalars, from: u64, arguments: &mut [Argument]) -> Result {
    if arguments.is_empty() {
        return Ok(());
    }
    let bytes = arguments
        .len()
        .checked_mul(size_of::<InvokeArg>())
        .ok_or(EINVAL)?;
    let mut reader = UserSlice::new(user_ptr(from)?, bytes).reader();
    for (argument, class) in arguments.iter_mut().zip(scalars.classes()) {
        let mut raw = InvokeArg::new_zeroed();
        reader.read_slice(raw.as_mut_bytes())?;
        *argument = classify(class, &raw)?;
    }
    Ok(())
}

fn classify(class: ArgClass, raw: &InvokeArg) -> core::result::Result<Argument, CallError> {
    if class.is_handle() {
        return Err(CallError::Unsupported);
    }
    match raw.fd {
        0 | -1 if raw.length == 0 => Ok(Argument::Empty),
        0 | -1 if raw.length > MAX_INLINE => Err(CallError::TooBig),
        0 | -1 => Ok(Argument::Inline {
            user: user_ptr(raw.ptr).map_err(|_| CallError::Fault)?,
            len: usize::try_from(raw.length).map_err(|_| CallError::TooBig)?,
        }),
        1.. => Err(CallError::Unsupported),
        _ => Err(CallError::Invalid),
    }
}

/// An address of the caller. Nothing is decided by its value.
fn user_ptr(address: u64) -> Result<UserPtr> {
    Ok(UserPtr::from_addr(
        usize::try_from(address).map_err(|_| EFAULT)?,
    ))
}
