// SPDX-License-Identifier: GPL-2.0
//! Loading, unloading and binding: modules and the rpmsg bus in sysfs.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    Duration,
    Instant, //
};

use crate::dsp;
use crate::harness::{
    patience,
    Fail, //
};
use crate::raw;

/// Where the guest keeps the modules.
const MODULES: &str = "/lib/qda";
const BUS: &str = "/sys/bus/rpmsg";

/// Where the file of a module is.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(MODULES).join(format!("{name}.ko"))
}

/// Loads a module; the error is an errno.
pub fn insert(name: &str, parameters: &str) -> Result<(), i32> {
    let path = path_of(name);
    let fd = dsp::open_with(&path, libc::O_RDONLY | libc::O_CLOEXEC)?;
    let parameters = CString::new(parameters).map_err(|_| libc::EINVAL)?;
    // SAFETY: The text is NUL-terminated and lives during the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            fd.as_raw_fd(),
            parameters.as_ptr(),
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(raw::errno())
    }
}

/// Unloads a module; the error is an errno.
pub fn remove(name: &str) -> Result<(), i32> {
    let name = CString::new(name).map_err(|_| libc::EINVAL)?;
    // SAFETY: The text is NUL-terminated and lives during the call.
    let result = unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) };
    if result == 0 {
        Ok(())
    } else {
        Err(raw::errno())
    }
}

/// Loads a module that must load.
pub fn must_insert(name: &str, parameters: &str) -> Result<(), Fail> {
    insert(name, parameters).map_err(|errno| format!("insmod {name}: errno {errno}").into())
}

/// Unloads a module that must unload.
pub fn must_remove(name: &str) -> Result<(), Fail> {
    remove(name).map_err(|errno| format!("rmmod {name}: errno {errno}").into())
}

/// True if a module is loaded.
pub fn loaded(name: &str) -> bool {
    Path::new("/sys/module")
        .join(name)
        .join("initstate")
        .exists()
}

/// The reference count of a module, as `lsmod` shows it.
pub fn references(name: &str) -> Result<i64, Fail> {
    let path = Path::new("/sys/module").join(name).join("refcnt");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.trim()
        .parse()
        .map_err(|_| format!("refcnt of {name} is {text:?}").into())
}

/// One device of the rpmsg bus.
#[derive(Debug, Clone)]
pub struct Channel {
    pub name: String,
}

impl Channel {
    fn path(&self) -> PathBuf {
        Path::new(BUS).join("devices").join(&self.name)
    }

    /// Name of the driver that is bound, if any.
    pub fn driver(&self) -> Option<String> {
        let link = fs::read_link(self.path().join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Chooses the driver; an empty name lets any driver match again.
    pub fn set_override(&self, driver: &str) -> Result<(), Fail> {
        // An empty write would never reach the kernel; a newline clears the choice.
        let text = format!("{driver}\n");
        let path = self.path().join("driver_override");
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Binds the device to a driver by hand.
    pub fn bind(&self, driver: &str) -> Result<(), Fail> {
        self.tell(driver, "bind")
    }

    /// Takes the device from its driver by hand.
    pub fn unbind(&self, driver: &str) -> Result<(), Fail> {
        self.tell(driver, "unbind")
    }

    fn tell(&self, driver: &str, file: &str) -> Result<(), Fail> {
        let path = Path::new(BUS).join("drivers").join(driver).join(file);
        fs::write(&path, &self.name)
            .map_err(|error| format!("{} > {}: {error}", self.name, path.display()).into())
    }

    /// Label of the DSP in the device tree.
    pub fn label(&self) -> Option<String> {
        let bytes = fs::read(self.path().join("of_node/label")).ok()?;
        Some(
            String::from_utf8_lossy(&bytes)
                .trim_end_matches('\0')
                .to_string(),
        )
    }

    /// Name of the edge's node in the device tree.
    pub fn edge(&self) -> Option<String> {
        let node = fs::canonicalize(self.path().join("of_node")).ok()?;
        Some(node.parent()?.file_name()?.to_string_lossy().into_owned())
    }
}

/// All devices of the rpmsg bus.
pub fn channels() -> Vec<Channel> {
    let mut found: Vec<_> = fs::read_dir(Path::new(BUS).join("devices"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| Channel {
            name: entry.file_name().to_string_lossy().into_owned(),
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The channel of the DSP with a label.
pub fn channel(label: &str) -> Result<Channel, Fail> {
    channels()
        .into_iter()
        .find(|channel| channel.label().as_deref() == Some(label))
        .ok_or_else(|| format!("no rpmsg device for {label}").into())
}

/// Waits until a condition holds.
pub fn wait_for(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), Fail> {
    let deadline = Instant::now() + patience(limit);
    while !condition() {
        if Instant::now() > deadline {
            return Err(format!("{what}: not within {limit:?}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
