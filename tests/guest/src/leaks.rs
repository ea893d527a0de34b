// SPDX-License-Identifier: GPL-2.0
//! Memory that the kernel has lost, by its own detector (kmemleak), where the kernel has it.
//!
//! Made once at the end of a run by [`crate::harness::run`]: a look at all memory takes seconds.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The detector's only file: takes commands, lists what it found.
const DETECTOR: &str = "/sys/kernel/debug/kmemleak";

/// The detector says nothing about objects that are younger than five seconds.
const AGE: Duration = Duration::from_secs(6);

/// Lines of a report that are kept.
const LINES: usize = 80;

/// True if this kernel looks for lost memory.
pub fn detector_present() -> bool {
    Path::new(DETECTOR).exists()
}

/// What has been lost since the boot: the detector's report in lines, empty if all is well.
///
/// Fails if the detector has given up.
pub fn find() -> io::Result<Vec<String>> {
    std::thread::sleep(AGE);
    // An object is reported when it looked lost and did not change from one look to the next.
    for _ in 0..2 {
        fs::write(DETECTOR, "scan")?;
    }
    Ok(fs::read_to_string(DETECTOR)?
        .lines()
        .take(LINES)
        .map(str::to_string)
        .collect())
}
