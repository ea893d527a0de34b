// SPDX-License-Identifier: GPL-2.0
//! A small client of `/dev/accel/accelN`: nodes, files, modules and calls.
//!
//! It is built on [`crate::raw`] alone and checks nothing before it asks the kernel, so that the
//! tests may ask for anything.

use std::ffi::CString;
use std::fs;
use std::marker::PhantomData;
use std::os::fd::{
    AsRawFd,
    FromRawFd,
    OwnedFd,
    RawFd, //
};
use std::os::unix::ffi::OsStrExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    Duration,
    Instant, //
};

use crate::harness::{
    patience,
    Fail, //
};
use crate::raw::{
    self,
    Create,
    Elem,
    Invoke,
    Query, //
};

/// Handle of the module loader.
pub const REMOTECTL: u32 = 8;
/// Handle of the calling process on the DSP.
pub const CURRENT_PROCESS: u32 = 4;
/// Result of calls to a process that is going away.
pub const GOING_AWAY: u32 = 0x8000_040d;
/// Result "failed", here of a probe whose address does not translate.
pub const FAILED: u32 = 0x8000_0401;

/// Attribute bit of an unsigned process.
pub const UNSIGNED: u32 = 8;

/// Room for the loader's error text.
const TEXT: usize = 255;

/// A node of the driver with the name that it gives itself.
#[derive(Debug, Clone)]
pub struct Node {
    pub path: PathBuf,
    pub label: String,
}

/// Opens a file as the tests do it: read and write, not inherited by programs.
pub fn open_path(path: &Path) -> Result<OwnedFd, i32> {
    open_with(path, libc::O_RDWR | libc::O_CLOEXEC)
}

/// Opens a file with given flags; the error is an errno.
pub fn open_with(path: &Path, flags: libc::c_int) -> Result<OwnedFd, i32> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| libc::EINVAL)?;
    // SAFETY: `name` is NUL-terminated and lives during the call.
    let fd = unsafe { libc::open(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(raw::errno());
    }
    // SAFETY: The number is fresh and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// All accel nodes that answer the query, in the order of their names.
pub fn nodes() -> Vec<Node> {
    let mut paths: Vec<_> = fs::read_dir("/dev/accel")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let fd = open_path(&path).ok()?;
            let label = query(fd.as_raw_fd()).ok()?;
            Some(Node { path, label })
        })
        .collect()
}

/// The node of a DSP.
pub fn node(label: &str) -> Result<Node, Fail> {
    nodes()
        .into_iter()
        .find(|node| node.label == label)
        .ok_or_else(|| format!("no node for {label}; there are {:?}", nodes()).into())
}

/// Waits until the node of a DSP is there.
pub fn wait_node(label: &str, limit: Duration) -> Result<Node, Fail> {
    let deadline = Instant::now() + patience(limit);
    loop {
        match node(label) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

/// Asks for the name of the DSP; the error is the value of the ioctl.
pub fn query(fd: RawFd) -> Result<String, i64> {
    let mut query = Query::default();
    match raw::ioctl(fd, raw::QUERY, &raw mut query as u64) {
        0 => {
            let name = query.dsp_name;
            let end = name
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(name.len());
            Ok(String::from_utf8_lossy(&name[..end]).into_owned())
        }
        value => Err(value),
    }
}

/// Name under which the loader knows a test module.
pub fn uri(module: &str) -> String {
    let idl = if module == "calculator" {
        "&_idlver=1.2.3"
    } else {
        ""
    };
    format!("file:///lib{module}_skel.so?{module}_skel_handle_invoke&_modver=1.0{idl}&_dom=cdsp")
}

/// One call: method number and arguments. The buffers stay borrowed until the call is dropped.
pub struct Call<'a> {
    pub method: u32,
    pub ins: Vec<Elem>,
    pub outs: Vec<Elem>,
    pub in_handles: Vec<Elem>,
    pub out_handles: Vec<Elem>,
    buffers: PhantomData<&'a mut [u8]>,
}

impl<'a> Call<'a> {
    pub fn new(method: u32) -> Self {
        Call {
            method,
            ins: Vec::new(),
            outs: Vec::new(),
            in_handles: Vec::new(),
            out_handles: Vec::new(),
            buffers: PhantomData,
        }
    }

    /// Adds an input buffer.
    pub fn input(mut self, data: &'a [u8]) -> Self {
        self.ins
            .push(Elem::inline(data.as_ptr() as u64, data.len() as u64));
        self
    }

    /// Adds an output buffer.
    pub fn output(mut self, data: &'a mut [u8]) -> Self {
        self.outs
            .push(Elem::inline(data.as_mut_ptr() as u64, data.len() as u64));
        self
    }

    /// Adds an input by address, whatever is there.
    pub fn input_at(mut self, ptr: u64, length: u64) -> Self {
        self.ins.push(Elem::inline(ptr, length));
        self
    }

    /// Adds an output by address, whatever is there.
    pub fn output_at(mut self, ptr: u64, length: u64) -> Self {
        self.outs.push(Elem::inline(ptr, length));
        self
    }

    /// Adds a range of a dma-buf that the DSP reads.
    pub fn reads(mut self, ptr: u64, length: u64, fd: RawFd) -> Self {
        self.ins.push(Elem::buffer(ptr, length, fd));
        self
    }

    /// Adds a range of a dma-buf that the DSP writes.
    pub fn writes(mut self, ptr: u64, length: u64, fd: RawFd) -> Self {
        self.outs.push(Elem::buffer(ptr, length, fd));
        self
    }

    /// Adds a buffer in handle position.
    pub fn in_handle(mut self, offset: u64, length: u64, fd: RawFd) -> Self {
        self.in_handles.push(Elem::buffer(offset, length, fd));
        self
    }

    /// Adds a buffer in handle position, of the outgoing kind.
    pub fn out_handle(mut self, offset: u64, length: u64, fd: RawFd) -> Self {
        self.out_handles.push(Elem::buffer(offset, length, fd));
        self
    }

    /// The scalars word.
    pub fn scalars(&self) -> u32 {
        raw::scalars(
            self.method,
            self.ins.len(),
            self.outs.len(),
            self.in_handles.len(),
            self.out_handles.len(),
        )
    }

    /// Makes the call on an open file; gives the value of the ioctl.
    pub fn on(&self, fd: RawFd, handle: u32) -> i64 {
        self.issue(fd, raw::INVOKE, handle)
    }

    /// Makes the call by an ioctl of either interface; their structures are the same.
    pub fn issue(&self, fd: RawFd, code: u32, handle: u32) -> i64 {
        let mut elems = self.ins.clone();
        elems.extend_from_slice(&self.outs);
        elems.extend_from_slice(&self.in_handles);
        elems.extend_from_slice(&self.out_handles);
        let sc = self.scalars();
        let args = if elems.is_empty() {
            0
        } else {
            elems.as_ptr() as u64
        };
        let invoke = Invoke { handle, sc, args };
        raw::ioctl(fd, code, &raw const invoke as u64)
    }
}

/// An open file of a node.
pub struct File {
    pub fd: OwnedFd,
    /// The ioctl that makes calls.
    invoke: u32,
}

impl File {
    /// Wraps a descriptor of an accel node.
    pub fn of(fd: OwnedFd) -> Self {
        Self::speaking(fd, raw::INVOKE)
    }

    /// Wraps a descriptor on which `invoke` is the ioctl that makes calls.
    pub fn speaking(fd: OwnedFd, invoke: u32) -> Self {
        File { fd, invoke }
    }

    /// The ioctl that makes calls in the old style.
    pub fn invoke_code(&self) -> u32 {
        self.invoke
    }

    /// Opens the node of a DSP; nothing is created yet.
    pub fn open(label: &str) -> Result<Self, Fail> {
        let node = node(label)?;
        Self::open_node(&node.path)
    }

    /// Opens a node by its path.
    pub fn open_node(path: &Path) -> Result<Self, Fail> {
        match open_path(path) {
            Ok(fd) => Ok(File::of(fd)),
            Err(error) => Err(format!("{}: open gave errno {error}", path.display()).into()),
        }
    }

    /// Opens the node of a DSP and creates an unsigned process without shell.
    pub fn with_process(label: &str) -> Result<Self, Fail> {
        let file = Self::open(label)?;
        file.created()
    }

    /// Creates the process, which must succeed.
    pub fn created(self) -> Result<Self, Fail> {
        match self.create() {
            0 => Ok(self),
            value => Err(format!("create gave {}", raw::show(value)).into()),
        }
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Creates an unsigned process without shell; the value of the ioctl.
    pub fn create(&self) -> i64 {
        self.create_with(Create {
            filefd: -1,
            attrs: UNSIGNED,
            ..Create::default()
        })
    }

    /// Creates a process; the value of the ioctl.
    pub fn create_with(&self, create: Create) -> i64 {
        raw::ioctl(self.raw(), raw::SESSION_CREATE, &raw const create as u64)
    }

    /// Attaches to the root process; the value of the ioctl.
    pub fn attach(&self) -> i64 {
        raw::ioctl(self.raw(), raw::INIT_ATTACH, 0)
    }

    /// Loads a module by its full name: result of the call, handle, loader error and text.
    pub fn load(&self, name: &str) -> (i64, u32, u32, String) {
        let mut name = name.as_bytes().to_vec();
        name.push(0);
        let mut lengths = [0; 8];
        lengths[..4].copy_from_slice(&(name.len() as u32).to_le_bytes());
        lengths[4..].copy_from_slice(&(TEXT as u32).to_le_bytes());
        let mut reply = [0; 8];
        let mut text = [0; TEXT];
        let value = Call::new(2)
            .input(&lengths)
            .input(&name)
            .output(&mut reply)
            .output(&mut text)
            .issue(self.raw(), self.invoke, REMOTECTL);
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(TEXT);
        (
            value,
            u32_at(&reply, 0),
            u32_at(&reply, 4),
            String::from_utf8_lossy(&text[..end]).into_owned(),
        )
    }

    /// Loads one of the test modules; its handle.
    pub fn module(&self, name: &str) -> Result<u32, Fail> {
        match self.load(&uri(name)) {
            (0, handle, 0, _) => Ok(handle),
            (value, _, error, text) => Err(format!(
                "loading {name}: {}, loader error {error:#x} {text:?}",
                raw::show(value)
            )
            .into()),
        }
    }

    /// Unloads a module; value of the call and the loader's error.
    pub fn unload(&self, handle: u32) -> (i64, u32) {
        let mut request = [0; 8];
        request[..4].copy_from_slice(&handle.to_le_bytes());
        request[4..].copy_from_slice(&(TEXT as u32).to_le_bytes());
        let mut reply = [0; 4];
        let mut text = [0; TEXT];
        let value = Call::new(3)
            .input(&request)
            .output(&mut reply)
            .output(&mut text)
            .issue(self.raw(), self.invoke, REMOTECTL);
        (value, u32_at(&reply, 0))
    }

    /// Sum of numbers by the calculator; the value of the ioctl and the result.
    pub fn sum(&self, handle: u32, numbers: &[i32]) -> (i64, i64) {
        let mut out = [0xee; 8];
        let value = self.calculator(2, numbers, &mut out, handle);
        (value, i64::from_le_bytes(out))
    }

    /// Maximum of numbers by the calculator; the value of the ioctl and the result.
    pub fn max(&self, handle: u32, numbers: &[i32]) -> (i64, i32) {
        let mut out = [0xee; 4];
        let value = self.calculator(3, numbers, &mut out, handle);
        (value, i32::from_le_bytes(out))
    }

    /// One call of the calculator.
    fn calculator(&self, method: u32, numbers: &[i32], out: &mut [u8], handle: u32) -> i64 {
        let count = (numbers.len() as u32).to_le_bytes();
        let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        Call::new(method)
            .input(&count)
            .input(&data)
            .output(out)
            .issue(self.raw(), self.invoke, handle)
    }

    /// Sends `data` through the echo module and compares what comes back.
    pub fn echo(&self, handle: u32, data: &[u8]) -> Result<(), Fail> {
        let mut back = vec![!data.first().copied().unwrap_or(0); data.len()];
        let value =
            Call::new(2)
                .input(data)
                .output(&mut back)
                .issue(self.raw(), self.invoke, handle);
        if value != 0 {
            return Err(format!("echo of {} bytes gave {}", data.len(), raw::show(value)).into());
        }
        same(data, &back)
    }

    /// A small call whose answer is checked, to show that the session still works.
    pub fn still_works(&self) -> Result<(), Fail> {
        let handle = self.module("calculator")?;
        match self.sum(handle, &[1, 2, 3, -10]) {
            (0, -4) => {}
            (value, sum) => {
                return Err(format!("sum is {sum}, expected -4 ({})", raw::show(value)).into());
            }
        }
        match self.unload(handle) {
            (0, 0) => Ok(()),
            (value, error) => Err(format!("unload gave {}, {error:#x}", raw::show(value)).into()),
        }
    }
}

/// A little-endian number in a buffer; 0 if it is outside.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..offset + 4)
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// Compares two buffers and names the first difference.
pub fn same(expected: &[u8], got: &[u8]) -> Result<(), Fail> {
    if expected.len() != got.len() {
        return Err(format!("{} bytes instead of {}", got.len(), expected.len()).into());
    }
    match expected.iter().zip(got).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => Err(format!(
            "byte {at} of {}: {:#04x} instead of {:#04x}",
            got.len(),
            got[at],
            expected[at]
        )
        .into()),
    }
}

/// Bytes that differ by position and by seed, so that neither a shift nor a mix-up goes unseen.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_differ_by_seed_and_place() {
        let one = pattern(4096, 1);
        assert_ne!(one, pattern(4096, 2));
        assert_eq!(one, pattern(4096, 1));
        assert_ne!(one[..2048], one[2048..]);
        assert!(same(&one, &one).is_ok());
    }

    #[test]
    fn a_difference_is_found() {
        let mut other = pattern(100, 3);
        other[99] ^= 1;
        let text = same(&pattern(100, 3), &other).unwrap_err().to_string();
        assert!(text.starts_with("byte 99 of 100"), "{text}");
        assert!(same(&[1, 2], &[1]).is_err());
    }

    #[test]
    fn calls_count_their_arguments() {
        let input = [0; 4];
        let mut output = [0; 8];
        let call = Call::new(2).input(&input).input(&input).output(&mut output);
        assert_eq!(call.scalars(), 0x0202_0100);
    }

    #[test]
    fn numbers_outside_are_zero() {
        assert_eq!(u32_at(&[1, 0, 0, 0, 2, 0, 0, 0], 4), 2);
        assert_eq!(u32_at(&[1, 0], 0), 0);
    }
}
