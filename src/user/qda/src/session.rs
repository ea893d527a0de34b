// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Processes on the DSP and calls into them.

use std::os::fd::{AsFd, BorrowedFd};

use fastrpc_proto::errors::DspResult;
use qda_uapi as uapi;

use crate::device::Device;
use crate::error::{settle, Error, Operation, Result};
use crate::fdinfo::Facts;
use crate::sys;

/// Handle and method that end the process from inside.
const CURRENT_PROCESS: u32 = 4;
const CURRENT_PROCESS_EXIT: u32 = 2;

/// Largest method number that fits the scalars word. A higher one travels in
/// the first input buffer, with this number + 1 in the word.
const METHOD_MAX: u32 = 30;

/// How a process on the DSP is started.
///
/// The default has no shell, and is unsigned where the DSP supports that (compute
/// and general purpose DSPs): an ordinary user may start it. All others, and
/// attributes beside UNSIGNED and ADAPTIVE_QOS, need a device that was opened with
/// CAP_SYS_ADMIN.
#[derive(Clone, Debug, Default)]
pub struct ProcessOptions<'a> {
    shell: Shell<'a>,
    signature: usize,
    attributes: Option<u32>,
}

/// Where the shell of a process is.
#[derive(Clone, Copy, Debug)]
enum Shell<'a> {
    Memory(&'a [u8]),
    DmaBuf(BorrowedFd<'a>, usize),
}

impl Default for Shell<'_> {
    fn default() -> Self {
        Self::Memory(&[])
    }
}

impl Shell<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::DmaBuf(_, len) => *len,
        }
    }
}

impl<'a> ProcessOptions<'a> {
    /// No shell, attributes as suits the DSP.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the process with this shell (an ELF file of the DSP's firmware),
    /// at most 4 MiB.
    pub fn shell(self, elf: &'a [u8]) -> Self {
        self.signed_shell(elf, 0)
    }

    /// As [`ProcessOptions::shell`], with a signature: the last `signature` bytes
    /// of `elf_and_signature`.
    pub fn signed_shell(mut self, elf_and_signature: &'a [u8], signature: usize) -> Self {
        self.shell = Shell::Memory(elf_and_signature);
        self.signature = signature;
        self
    }

    /// Starts the process with the shell in the first `len` bytes (not 0) of a
    /// dma-buf, for instance of [`crate::Buffer::export`]; the last `signature`
    /// of them are its signature. The dma-buf may be closed once the process runs.
    pub fn shell_in_dma_buf(
        mut self,
        dma_buf: BorrowedFd<'a>,
        len: usize,
        signature: usize,
    ) -> Self {
        self.shell = Shell::DmaBuf(dma_buf, len);
        self.signature = signature;
        self
    }

    /// Sets the attribute bits (`DRM_QDA_ATTR_*`) instead of the default.
    pub fn attributes(mut self, bits: u32) -> Self {
        self.attributes = Some(bits);
        self
    }

    /// The attribute bits for a DSP of this name.
    fn attributes_for(&self, dsp: &str) -> u32 {
        self.attributes.unwrap_or_else(|| {
            if dsp.starts_with("cdsp") || dsp.starts_with("gdsp") {
                uapi::DRM_QDA_ATTR_UNSIGNED
            } else {
                0
            }
        })
    }

    /// The length of the signature, checked against the shell.
    fn signature_length(&self) -> Result<u32> {
        if self.shell.len() > uapi::DRM_QDA_MAX_SHELL_SIZE as usize {
            return Err(Error::Argument("the shell is larger than 4 MiB"));
        }
        if self.signature > self.shell.len() {
            return Err(Error::Argument("the signature is longer than the shell"));
        }
        if matches!(self.shell, Shell::DmaBuf(_, 0)) {
            return Err(Error::Argument("the shell in a buffer is empty"));
        }
        // At most 4 MiB.
        Ok(self.signature as u32)
    }
}

/// One argument of [`Session::invoke_raw`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Argument<'a> {
    /// An input buffer: copied to the DSP.
    In(&'a [u8]),
    /// An output buffer: sized by the caller, filled by the DSP.
    Out(&'a mut [u8]),
}

/// A process on the DSP. Dropping it ends the process: the kernel releases it
/// and waits, for a bounded time, until the DSP no longer uses its memory.
///
/// Calls take `&self` and may come from several threads at once.
#[derive(Debug)]
pub struct Session {
    device: Device,
}

impl Device {
    /// Starts a process on the DSP.
    ///
    /// The device is used up, also by a failure; open it again to retry. Errno of
    /// [`Error::Os`]: ECONNREFUSED (a signed process) and EACCES (attributes) if the
    /// device was opened without CAP_SYS_ADMIN, EBUSY (no free context bank), EINVAL,
    /// ENODEV, EPIPE, ETIMEDOUT, EINTR. [`Error::Dsp`] if the DSP refused.
    pub fn create_process(self, options: &ProcessOptions<'_>) -> Result<Session> {
        let signature = options.signature_length()?;
        let attributes = options.attributes_for(self.dsp());
        let outcome = match options.shell {
            Shell::Memory(bytes) => sys::create(self.as_fd(), attributes, bytes, signature),
            // At most 4 MiB.
            Shell::DmaBuf(fd, len) => {
                sys::create_from_dma_buf(self.as_fd(), attributes, fd, len as u32, signature)
            }
        };
        settle(Operation::Create, outcome)?;
        Ok(Session { device: self })
    }

    /// Joins the root process of the DSP, as daemons do. The node must have been
    /// opened with CAP_SYS_ADMIN, else EACCES; further errors as for
    /// [`Device::create_process`].
    pub fn attach(self) -> Result<Session> {
        settle(Operation::Attach, sys::attach(self.as_fd()))?;
        Ok(Session { device: self })
    }
}

impl Session {
    /// The device of this session.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the driver tells about this session: context bank, client number.
    pub fn facts(&self) -> Result<Facts> {
        self.device.facts()
    }

    /// Calls `method` of the module behind `handle` and waits for the answer.
    ///
    /// At most 255 inputs, 255 outputs and 64 MiB in all. Outputs are filled up to
    /// their length also if the DSP reports an error. Method numbers above 30 have
    /// to be put into the first input buffer; see [`Session::invoke_raw`]. For
    /// arguments that are not copied there is [`Session::call`].
    ///
    /// Errno of [`Error::Os`]: EPERM (handle 1 belongs to the kernel), ENOSPC (too
    /// many calls of this DSP under way), E2BIG, EINTR, ENODEV, EPIPE (the DSP
    /// went away). [`Error::Dsp`] if the method failed.
    pub fn invoke(
        &self,
        handle: u32,
        method: u32,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<()> {
        if method > METHOD_MAX {
            return Err(Error::Argument(
                "a method above 30 travels in the first input buffer",
            ));
        }
        self.invoke_as(
            Operation::Invoke { handle, method },
            handle,
            method,
            inputs,
            outputs,
        )
    }

    /// As [`Session::invoke`], with a name of its own for the operation in errors.
    pub(crate) fn invoke_as(
        &self,
        operation: Operation,
        handle: u32,
        method: u32,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<()> {
        check_counts(inputs.len(), outputs.len())?;
        let outcome = sys::invoke(
            self.device.as_fd(),
            handle,
            // At most 30.
            method as u8,
            inputs.iter().copied(),
            outputs.iter_mut().map(|output| &mut **output),
        );
        settle(operation, outcome)
    }

    /// A call with the scalars word given by the caller. Returns the DSP's
    /// result, also if it is not success.
    ///
    /// The arguments must be as the word says: all inputs, then all outputs, no
    /// handles. Otherwise [`Error::Argument`], and nothing is sent.
    pub fn invoke_raw(
        &self,
        handle: u32,
        scalars: u32,
        arguments: &mut [Argument<'_>],
    ) -> Result<DspResult> {
        let operation = Operation::Invoke {
            handle,
            method: uapi::scalars_method(scalars),
        };
        let (inputs, outputs) = split(scalars, arguments)?;
        sys::invoke(
            self.device.as_fd(),
            handle,
            // Eight bits remain: attributes and method.
            (scalars >> 24) as u8,
            inputs.into_iter(),
            outputs.into_iter(),
        )
        .map_err(Error::os(operation))
    }

    /// Asks the process to end and then closes the session. Calls that still wait
    /// are answered with "bad state". Dropping the session has the same effect
    /// but does not tell the process before it goes.
    pub fn exit(self) -> Result<()> {
        self.invoke_as(
            Operation::Exit,
            CURRENT_PROCESS,
            CURRENT_PROCESS_EXIT,
            &[],
            &mut [],
        )
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// What the documentation promises about threads.
const _: () = {
    const fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Session>();
    shared_by_threads::<crate::Module<'static>>();
    shared_by_threads::<crate::Buffer<'static>>();
    shared_by_threads::<crate::Memory>();
    shared_by_threads::<crate::RemoteMapping<'static>>();
    shared_by_threads::<crate::calculator::Calculator<'static>>();
};

fn check_counts(inputs: usize, outputs: usize) -> Result<()> {
    if inputs > 255 || outputs > 255 {
        return Err(Error::Argument(
            "a call has at most 255 inputs and 255 outputs",
        ));
    }
    Ok(())
}

type Buffers<'s> = (Vec<&'s [u8]>, Vec<&'s mut [u8]>);

/// Sorts the arguments of a raw call into inputs and outputs and compares their
/// number and order with the scalars word.
fn split<'s>(scalars: u32, arguments: &'s mut [Argument<'_>]) -> Result<Buffers<'s>> {
    if uapi::scalars_in_handles(scalars) != 0 || uapi::scalars_out_handles(scalars) != 0 {
        return Err(Error::Argument("handle arguments are not supported"));
    }
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument {
            Argument::In(data) => {
                if !outputs.is_empty() {
                    return Err(Error::Argument("inputs come before outputs"));
                }
                inputs.push(*data);
            }
            Argument::Out(data) => outputs.push(&mut **data),
        }
    }
    if inputs.len() != uapi::scalars_in_bufs(scalars) as usize
        || outputs.len() != uapi::scalars_out_bufs(scalars) as usize
    {
        return Err(Error::Argument(
            "the arguments are not those that the scalars word announces",
        ));
    }
    Ok((inputs, outputs))
}

#[cfg(test)]
impl Session {
    /// A session of a file that is no device, see [`Device::fake`].
    pub(crate) fn fake() -> Self {
        Self {
            device: Device::fake(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compute_dsps_get_unsigned_processes_by_default() {
        let options = ProcessOptions::new();
        for (dsp, attributes) in [
            ("cdsp", uapi::DRM_QDA_ATTR_UNSIGNED),
            ("cdsp1", uapi::DRM_QDA_ATTR_UNSIGNED),
            ("gdsp0", uapi::DRM_QDA_ATTR_UNSIGNED),
            ("adsp", 0),
            ("mdsp", 0),
            ("sdsp", 0),
        ] {
            assert_eq!(options.attributes_for(dsp), attributes, "{dsp}");
        }
        let set = ProcessOptions::new().attributes(uapi::DRM_QDA_ATTR_DEBUG);
        assert_eq!(set.attributes_for("cdsp"), uapi::DRM_QDA_ATTR_DEBUG);
    }

    #[test]
    fn shell_and_signature_are_checked() {
        let shell = vec![0; uapi::DRM_QDA_MAX_SHELL_SIZE as usize + 1];
        let limit = &shell[1..];
        assert_eq!(ProcessOptions::new().signature_length().unwrap(), 0);
        let at_limit = ProcessOptions::new().signed_shell(limit, limit.len());
        assert_eq!(
            at_limit.signature_length().unwrap(),
            uapi::DRM_QDA_MAX_SHELL_SIZE
        );
        assert!(ProcessOptions::new()
            .shell(&shell)
            .signature_length()
            .is_err());
        assert!(ProcessOptions::new()
            .signed_shell(&shell[..4], 5)
            .signature_length()
            .is_err());
        let file = std::fs::File::open("/proc/self/stat").expect("procfs");
        let in_dma_buf = |len, signature| {
            let options = ProcessOptions::new().shell_in_dma_buf(file.as_fd(), len, signature);
            options.signature_length()
        };
        assert_eq!(in_dma_buf(5, 5).unwrap(), 5);
        assert!(in_dma_buf(0, 0).is_err());
        assert!(in_dma_buf(4, 5).is_err());
        assert!(in_dma_buf(limit.len() + 1, 0).is_err());
    }

    #[test]
    fn counts_end_at_255() {
        assert!(check_counts(255, 255).is_ok());
        assert!(check_counts(256, 0).is_err());
        assert!(check_counts(0, 256).is_err());
    }

    #[test]
    fn raw_arguments_must_fit_the_scalars_word() {
        let sc = uapi::scalars(2, 1, 1, 0, 0);
        let (mut a, mut b) = ([0; 4], [0; 4]);
        let good = split(sc, &mut [Argument::In(b"x"), Argument::Out(&mut a)])
            .map(|(inputs, outputs)| (inputs.len(), outputs.len()));
        assert_eq!(good.unwrap(), (1, 1));
        assert!(split(sc, &mut [Argument::In(b"x")]).is_err(), "too few");
        assert!(
            split(sc, &mut [Argument::Out(&mut a), Argument::In(b"x")]).is_err(),
            "wrong order"
        );
        assert!(
            split(sc, &mut [Argument::Out(&mut a), Argument::Out(&mut b)]).is_err(),
            "wrong class"
        );
        assert!(
            split(uapi::scalars(5, 0, 0, 1, 0), &mut []).is_err(),
            "a handle"
        );
    }
}
