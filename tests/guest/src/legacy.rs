// SPDX-License-Identifier: GPL-2.0
//! A minimal client of `/dev/fastrpc-*`, the interface of the stock driver.
//!
//! Numbers and layouts come from the description of that interface (sections 2 and 3). The
//! argument structures of create and invoke are the same as on the accel node.

use std::path::Path;

use crate::dsp::{
    self,
    File, //
};
use crate::harness::Fail;
use crate::raw::{
    self,
    Create, //
};

/// Call a method; 16 bytes.
pub const INVOKE: u32 = 0xC010_5203;
/// Create a process; 24 bytes.
pub const INIT_CREATE: u32 = 0xC018_5205;

/// Opens a node of the stock driver, without a process.
pub fn open(node: &str) -> Result<File, Fail> {
    match dsp::open_path(Path::new(node)) {
        Ok(fd) => Ok(File::speaking(fd, INVOKE)),
        Err(errno) => Err(format!("{node}: open gave errno {errno}").into()),
    }
}

/// Opens a node and creates an unsigned process without shell.
pub fn with_process(node: &str) -> Result<File, Fail> {
    let file = open(node)?;
    let create = Create {
        filefd: -1,
        attrs: dsp::UNSIGNED,
        ..Create::default()
    };
    match raw::ioctl(file.raw(), INIT_CREATE, &raw const create as u64) {
        0 => Ok(file),
        value => Err(format!("{node}: create gave {}", raw::show(value)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_match_the_structures() {
        assert_eq!(raw::code(3, b'R', 3, 16), INVOKE);
        assert_eq!(raw::code(3, b'R', 5, 24), INIT_CREATE);
    }
}
