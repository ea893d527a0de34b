// SPDX-License-Identifier: GPL-2.0

//! The DRM accel front end, `/dev/accel/accelN`.
//!
//! Owns the node of a DSP and the files on it, and turns the ioctls of `uapi/drm/qda_accel.h` into
//! calls of the engine. The ioctls of the first dialect (`REMOTE_...`) return the DSP's 32-bit
//! result unchanged as their value. Takes no locks; handlers run in the context of the calling
//! process.
//!
//! | file | ioctls |
//! |---|---|
//! | this one | QUERY, INIT_ATTACH, REMOTE_SESSION_CREATE |
//! | [`buffer`] | GEM_CREATE, GEM_MMAP_OFFSET |
//! | [`call`] | REMOTE_INVOKE, CALL |
//! | [`remote`] | REMOTE_MAP, REMOTE_MUNMAP |

mod buffer;
mod call;
mod remote;
mod uapi;

use self::uapi::{
    Call,
    GemCreate,
    GemMmapOffset,
    Invoke,
    MemMap,
    MemUnmap,
    Query,
    SessionCreate,
    DSP_NAME_LEN, //
};
use crate::{
    engine::{
        policy::Trust,
        CallError,
        CallResult,
        Charge,
        Client,
        Dsp,
        Operation,
        SessionSpec,
        Shell,
        Start, //
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
    task::Kuid,
    uaccess::UserPtr, //
};

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
    type Object = Charge;

    const INFO: drm::DriverInfo = drm::DriverInfo {
        major: 1,
        minor: 1,
        patchlevel: 0,
        name: c"qda",
        desc: c"Qualcomm DSP accelerator",
    };

    const IOCTLS: &'static [drm::IoctlDescriptor<Self>] = IOCTLS;

    fn open(dev: &drm::Device<Self>, _client_id: u64) -> Result<Pin<KBox<Client>>> {
        let dsp: &Arc<Dsp> = dev;
        let (trust, user) = if task::capable_sys_admin() {
            (Trust::Trusted, None)
        } else {
            (Trust::Untrusted, Some(Kuid::current_euid()))
        };
        KBox::pin_init(Client::new(dsp.clone(), trust, user), GFP_KERNEL)
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
            p.key("qda-bytes-copied", facts.copied);
        }
        p.memory_stats(file);
    }
}

declare_ioctls! {
    const IOCTLS: Accel = [
        (0x00, DRM_IOCTL_QDA_QUERY, IOR(Query), 0, query),
        (0x01, DRM_IOCTL_QDA_GEM_CREATE, IOWR(GemCreate), 0, buffer::create),
        (0x02, DRM_IOCTL_QDA_GEM_MMAP_OFFSET, IOWR(GemMmapOffset), 0, buffer::mmap_offset),
        (0x03, DRM_IOCTL_QDA_INIT_ATTACH, IO(()), 0, attach),
        (0x04, DRM_IOCTL_QDA_REMOTE_SESSION_CREATE, IOWR(SessionCreate), 0, create),
        (0x05, DRM_IOCTL_QDA_REMOTE_MAP, IOWR(MemMap), 0, remote::map),
        (0x06, DRM_IOCTL_QDA_REMOTE_MUNMAP, IOWR(MemUnmap), 0, remote::unmap),
        (0x07, DRM_IOCTL_QDA_REMOTE_INVOKE, IOWR(Invoke), 0, call::invoke),
        (0x08, DRM_IOCTL_QDA_CALL, IOWR(Call), 0, call::call),
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
    let operation = Operation::Start { attrs: arg.attrs };
    let spec = SessionSpec {
        shell: file.parsed(operation, shell(arg))?,
        attrs: arg.attrs,
        signature_len: arg.siglen,
    };
    Ok(file.create(&spec)?.raw())
}

/// Where the program of a process is.
fn shell(arg: &SessionCreate) -> CallResult<Shell> {
    Ok(match (arg.filelen, arg.filefd) {
        (0, _) => Shell::None,
        (_, 0 | -1) => Shell::User {
            user: user_ptr(arg.file)?,
            len: usize::try_from(arg.filelen).map_err(|_| CallError::Invalid)?,
        },
        (_, 1..) => Shell::Buffer {
            buffer: buffer::of_fd(arg.filefd)?,
            start: Start::Address(arg.file),
            len: u64::from(arg.filelen),
        },
        (_, ..-1) => return Err(CallError::Invalid),
    })
}

/// An address of the caller. Nothing is decided by its value.
fn user_ptr(address: u64) -> CallResult<UserPtr> {
    Ok(UserPtr::from_addr(
        usize::try_from(address).map_err(|_| CallError::Fault)?,
    ))
}
