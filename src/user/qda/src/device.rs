// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Device nodes: finding the DSPs of this machine and opening one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crate::error::{Error, Operation, Result};
use crate::fdinfo::Facts;
use crate::sys::{self, gem};

/// Where the kernel puts the nodes of accelerators.
pub const ACCEL_DIR: &str = "/dev/accel";

/// Name under which the driver answers the DRM ioctl VERSION.
const DRIVER: &[u8] = b"qda";

/// Version of the driver's interface, see the head of `qda_accel.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Raised by a change that is not compatible; never planned.
    pub major: i32,
    /// Raised by every addition.
    pub minor: i32,
    /// Not used by the interface.
    pub patch: i32,
}

/// An open device node: one client of one DSP, not yet with a process there.
///
/// Sends nothing to the DSP by itself. [`Device::create_process`] and
/// [`Device::attach`] turn it into a [`crate::Session`].
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    dsp: String,
    version: Version,
    handles: gem::Handles,
}

impl Device {
    /// Opens a node and asks for its driver and its DSP.
    ///
    /// Fails with [`Error::Open`] if the node cannot be opened, with
    /// [`Error::NotQda`] if another driver owns it, and with [`Error::Os`] if the
    /// DSP is gone (ENODEV).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| Error::Open {
                path: path.into(),
                source,
            })?;
        let version = version(&file, path)?;
        let name = sys::query(file.as_fd()).map_err(Error::os(Operation::Query))?;
        Ok(Self {
            file,
            path: path.into(),
            dsp: dsp_name(&name)?,
            version,
            handles: gem::Handles::default(),
        })
    }

    /// Opens the node of the DSP named `dsp`, for example "cdsp".
    ///
    /// If two nodes claim the name, the one with the lower number is taken. Fails
    /// with [`Error::NotFound`], which carries everything that was seen.
    pub fn find(dsp: &str) -> Result<Self> {
        let mut scan = scan(ACCEL_DIR)?;
        match scan.devices.iter().position(|device| device.dsp == dsp) {
            Some(at) => Ok(scan.devices.swap_remove(at)),
            None => Err(Error::NotFound {
                wanted: dsp.into(),
                scan: Box::new(scan),
            }),
        }
    }

    /// Name of the DSP: the label of the device tree.
    pub fn dsp(&self) -> &str {
        &self.dsp
    }

    /// The node that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Version of the driver's interface.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The GEM handles of this open file.
    pub(crate) fn handles(&self) -> &gem::Handles {
        &self.handles
    }

    /// What the driver tells about this open file.
    pub fn facts(&self) -> Result<Facts> {
        let path = format!("/proc/self/fdinfo/{}", self.file.as_raw_fd());
        let text = fs::read_to_string(path).map_err(Error::os(Operation::Facts))?;
        Ok(Facts::parse(&text))
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Asks for driver name and version; anything but our driver is [`Error::NotQda`].
fn version(file: &File, path: &Path) -> Result<Version> {
    let mut name = Vec::new();
    let raw = drm_ffi::get_version(file.as_fd(), Some(&mut name), None, None);
    let raw = match raw {
        Ok(raw) => raw,
        Err(error) => {
            return Err(match error.raw_os_error() {
                Some(libc::ENOTTY | libc::EINVAL | libc::ENXIO) => {
                    Error::NotQda { path: path.into() }
                }
                _ => Error::Os {
                    operation: Operation::Query,
                    source: error,
                },
            })
        }
    };
    let name: Vec<u8> = name.iter().map(|&c| c as u8).collect();
    if name.split(|&c| c == 0).next() != Some(DRIVER) {
        return Err(Error::NotQda { path: path.into() });
    }
    Ok(Version {
        major: raw.version_major,
        minor: raw.version_minor,
        patch: raw.version_patchlevel,
    })
}

/// The name of a QUERY answer: printable text before the first NUL.
fn dsp_name(raw: &[u8]) -> Result<String> {
    let name = raw.split(|&byte| byte == 0).next().unwrap_or_default();
    if name.is_empty() || name.len() == raw.len() || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Error::Protocol {
            operation: Operation::Query,
            what: "the name is not a short printable text",
        });
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// A node that may have a DSP behind it but could not be used.
#[derive(Debug)]
pub struct Unusable {
    /// The node.
    pub path: PathBuf,
    /// Why it could not be used.
    pub error: Error,
}

/// What is below a folder of accelerator nodes.
#[derive(Debug, Default)]
pub struct Scan {
    /// The DSPs, opened, in the order of their node numbers.
    pub devices: Vec<Device>,
    /// Nodes that could not be opened or did not answer. Nodes of which sysfs
    /// knows that another driver owns them are left out.
    pub unusable: Vec<Unusable>,
}

/// Opens every accelerator node below `dir` (usually [`ACCEL_DIR`]) and keeps
/// those of this driver. A folder that does not exist is an empty one.
pub fn scan(dir: impl AsRef<Path>) -> Result<Scan> {
    let dir = dir.as_ref();
    let mut found = Scan::default();
    for path in nodes(dir).map_err(|source| Error::Open {
        path: dir.into(),
        source,
    })? {
        match Device::open(&path) {
            Ok(device) => found.devices.push(device),
            Err(Error::NotQda { .. }) => {}
            Err(error) => {
                if may_be_ours(Path::new("/sys/class/accel"), &path) {
                    found.unusable.push(Unusable { path, error });
                }
            }
        }
    }
    Ok(found)
}

/// The nodes of a folder, by number: accel2 comes before accel10.
fn nodes(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut nodes = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("accel"));
        if let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) {
            nodes.push((number, entry.path()));
        }
    }
    nodes.sort();
    Ok(nodes.into_iter().map(|(_, path)| path).collect())
}

/// Whether a node that could not be opened can be one of this driver: not, if
/// sysfs names another driver for it.
fn may_be_ours(class: &Path, node: &Path) -> bool {
    let Some(name) = node.file_name() else {
        return false;
    };
    match fs::read_link(class.join(name).join("device/driver")) {
        Ok(driver) => driver.file_name().is_some_and(|name| name == "qda"),
        Err(_) => true,
    }
}

#[cfg(test)]
impl Device {
    /// An open file that is no device: every ioctl fails with ENOTTY.
    pub(crate) fn fake() -> Self {
        Self {
            file: File::open("/proc/self/stat").expect("procfs"),
            path: "/proc/self/stat".into(),
            dsp: "cdsp".into(),
            version: Version {
                major: 1,
                minor: 1,
                patch: 0,
            },
            handles: gem::Handles::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    //! covers: T153

    use super::*;

    /// An empty folder of its own for one test.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("qda-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable temporary folder");
        path
    }

    #[test]
    fn names_end_at_the_first_nul() {
        let mut raw = [0; 16];
        raw[..5].copy_from_slice(b"cdsp1");
        assert_eq!(dsp_name(&raw).unwrap(), "cdsp1");
        raw[5] = 0;
        raw[6] = b'x';
        assert_eq!(dsp_name(&raw).unwrap(), "cdsp1");
    }

    #[test]
    fn odd_names_are_refused() {
        assert!(dsp_name(&[0; 16]).is_err(), "empty");
        assert!(dsp_name(&[b'a'; 16]).is_err(), "without an end");
        assert!(dsp_name(b"a b\0").is_err(), "a blank");
        assert!(dsp_name(b"\x1b[2J\0").is_err(), "a control sequence");
    }

    #[test]
    fn nodes_are_sorted_by_number() {
        let dir = folder("sorted");
        for name in ["accel10", "accel2", "accel0", "accelx", "card0", "accel"] {
            fs::write(dir.join(name), "").expect("a file");
        }
        let names: Vec<_> = nodes(&dir)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
            .collect();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names, ["accel0", "accel2", "accel10"]);
    }

    #[test]
    fn a_missing_folder_has_no_devices() {
        let found = scan("/nonexistent/accel").unwrap();
        assert!(found.devices.is_empty() && found.unusable.is_empty());
    }

    #[test]
    fn nodes_of_others_are_skipped() {
        let dir = folder("others");
        fs::write(dir.join("accel0"), "no device").expect("a file");
        let found = scan(&dir).unwrap();
        let direct = Device::open(dir.join("accel0"));
        fs::remove_dir_all(&dir).unwrap();
        assert!(found.devices.is_empty() && found.unusable.is_empty());
        assert!(matches!(direct, Err(Error::NotQda { .. })), "{direct:?}");
    }

    #[test]
    fn an_unusable_node_is_kept_unless_sysfs_names_another_driver() {
        let class = folder("class");
        let node = Path::new("/dev/accel/accel0");
        assert!(may_be_ours(&class, node), "sysfs knows nothing");
        let device = class.join("accel0/device");
        fs::create_dir_all(&device).unwrap();
        std::os::unix::fs::symlink("../../bus/rpmsg/drivers/qda", device.join("driver")).unwrap();
        assert!(may_be_ours(&class, node));
        fs::remove_file(device.join("driver")).unwrap();
        std::os::unix::fs::symlink("../../bus/pci/drivers/ivpu", device.join("driver")).unwrap();
        assert!(!may_be_ours(&class, node));
        fs::remove_dir_all(&class).unwrap();
    }

    #[test]
    fn a_node_that_cannot_be_opened_is_reported_with_its_errno() {
        let error = Device::open("/nonexistent/accel0").unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOENT));
        assert!(error.to_string().contains("/nonexistent/accel0"));
    }
}
