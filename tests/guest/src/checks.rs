// SPDX-License-Identifier: GPL-2.0
//! The checks that are made after every case.
//!
//! A [`Baseline`] is taken before a case and compared after it: the kernel log has no new line
//! that tells of a defect, the simulated DSP saw nothing malformed and no address fault that the
//! case did not announce, all processes on the DSP have ended, the driver holds no session, seat,
//! call, mapping or heap page, and the IOMMU groups are the same.

use std::collections::BTreeSet;
use std::fs;
use std::time::{
    Duration,
    Instant, //
};

use crate::harness::{
    patience,
    Fail, //
};
use crate::kmsg::{
    Log,
    Record, //
};
use crate::sim;

/// How long processes on the DSP may take to end after the last file was closed.
const SETTLE: Duration = Duration::from_secs(5);

/// Texts that no case may leave in the kernel log.
const DEFECTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "BUG ",
    "kernel BUG at",
    "Oops",
    "Call trace:",
    "Unable to handle kernel",
    "KASAN",
    "KFENCE",
    "UBSAN",
    "DMA-API:",
    "ODEBUG",
    "kmemleak:",
    "page leak",
    "turning off the locking correctness validator",
    "trying to register non-static key",
    "possible circular locking",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "sleeping function called",
    "scheduling while atomic",
    "refcount_t:",
    "blocked for more than",
    "detected stall",
    "soft lockup",
    "kobject_add_internal failed",
    "cannot create duplicate filename",
    "liasing StreamID",
    "rust_kernel: panicked",
    "Kernel panic",
];

/// True if a line of the kernel log tells of a defect.
pub fn is_defect(line: &str) -> bool {
    DEFECTS.iter().any(|text| line.contains(text))
}

/// Names of all devices in IOMMU groups, with the number of the group left out: groups get new
/// numbers when they are made again.
pub fn grouped_devices() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for group in fs::read_dir("/sys/kernel/iommu_groups")
        .into_iter()
        .flatten()
        .flatten()
    {
        for device in fs::read_dir(group.path().join("devices"))
            .into_iter()
            .flatten()
            .flatten()
        {
            found.insert(device.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Number of IOMMU groups, empty ones included.
pub fn group_count() -> usize {
    fs::read_dir("/sys/kernel/iommu_groups").map_or(0, |entries| entries.flatten().count())
}

/// What the driver itself holds, by the status files of its DSPs: lines that are not 0 although no
/// file is open.
fn held() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/kernel/debug")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("qda-") {
            continue;
        }
        // The DSP may go away meanwhile; then it holds nothing.
        let text = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        found.extend(
            not_zero(&text)
                .into_iter()
                .map(|line| format!("{name} still has {line}")),
        );
    }
    found
}

/// Lines of a status file that must be 0 when nothing is open, but are not.
fn not_zero(status: &str) -> Vec<&str> {
    status
        .lines()
        .filter(|line| {
            let mut words = line.split_whitespace();
            let counted = matches!(
                words.next(),
                Some(
                    "sessions"
                        | "quarantined"
                        | "seats"
                        | "calls"
                        | "mappings"
                        | "remote_maps"
                        | "held"
                        | "heap_bytes"
                )
            );
            counted && words.next() != Some("0")
        })
        .collect()
}

/// The state of the guest before a case.
pub struct Baseline {
    log: Log,
    /// Texts that excuse a line of the log.
    expected: Vec<String>,
    simulator: Option<Simulator>,
    devices: BTreeSet<String>,
    groups: usize,
}

/// The simulator's numbers that a case must not change.
struct Simulator {
    violations: u64,
    faults: u64,
    live: u64,
}

impl Simulator {
    fn read() -> Result<Self, Fail> {
        Ok(Simulator {
            violations: sim::violations()?,
            faults: sim::faults()?,
            live: sim::counter("live_processes")?,
        })
    }
}

impl Baseline {
    /// Takes the state now.
    pub fn take() -> Result<Self, Fail> {
        Ok(Baseline {
            log: Log::from_now()?,
            expected: Vec::new(),
            simulator: if sim::present() {
                Some(Simulator::read()?)
            } else {
                None
            },
            devices: grouped_devices(),
            groups: group_count(),
        })
    }

    /// Lines of the log with this text are no defects.
    pub fn expect_log(&mut self, text: &str) {
        self.expected.push(text.to_string());
    }

    /// The case loaded the simulator anew: its numbers count from 0.
    pub fn simulator_reloaded(&mut self) {
        self.simulator = Some(Simulator {
            violations: 0,
            faults: 0,
            live: 0,
        });
    }

    /// Compares the state now with the one taken; `faults` address faults are expected.
    pub fn compare(mut self, faults: u64) -> Vec<String> {
        let mut complaints = Vec::new();
        if let Some(before) = &self.simulator {
            match compare_simulator(before, faults) {
                Ok(found) => complaints.extend(found),
                Err(why) => complaints.push(format!("simulator not readable: {why}")),
            }
        }
        let deadline = Instant::now() + patience(SETTLE);
        let mut held_now = held();
        while !held_now.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            held_now = held();
        }
        complaints.extend(held_now);
        let devices = grouped_devices();
        if devices != self.devices {
            complaints.push(format!(
                "devices in IOMMU groups changed: {:?} became {devices:?}",
                self.devices
            ));
        }
        let groups = group_count();
        if groups != self.groups {
            complaints.push(format!(
                "number of IOMMU groups changed: {} became {groups}",
                self.groups
            ));
        }
        match self.log.read() {
            Ok(records) => complaints.extend(
                records
                    .iter()
                    .filter(|record| record.is_kernel() && is_defect(&record.text))
                    .filter(|record| !self.expected.iter().any(|t| record.text.contains(t)))
                    .map(|record: &Record| format!("kernel log: {}", record.text)),
            ),
            Err(why) => complaints.push(format!("kernel log not readable: {why}")),
        }
        complaints
    }
}

/// Compares the simulator's numbers, giving processes time to end.
fn compare_simulator(before: &Simulator, faults: u64) -> Result<Vec<String>, Fail> {
    let deadline = Instant::now() + patience(SETTLE);
    let mut now = Simulator::read()?;
    while now.live != before.live && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        now = Simulator::read()?;
    }
    let mut complaints = Vec::new();
    if now.live != before.live {
        complaints.push(format!(
            "processes alive on the DSP: {} before, {} after",
            before.live, now.live
        ));
    }
    if now.violations != before.violations {
        let new = now.violations.saturating_sub(before.violations);
        complaints.push(format!("the simulated DSP saw {new} malformed things"));
        complaints.extend(sim::lines("violations", 12)?);
    }
    if now.faults != before.faults + faults {
        complaints.push(format!(
            "address faults of the simulated DSP: {} before, {} after, {faults} expected",
            before.faults, now.faults
        ));
        complaints.extend(sim::lines("faults", 12)?);
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_are_found() {
        assert!(is_defect(
            "WARNING: CPU: 0 PID: 1 at drivers/x.c:1 y+0x1/0x2"
        ));
        assert!(is_defect(
            "BUG: sleeping function called from invalid context"
        ));
        assert!(is_defect("Internal error: Oops: 0000000096000004 [#1] SMP"));
        assert!(is_defect(
            "INFO: task sh:1 blocked for more than 120 seconds."
        ));
        assert!(is_defect("refcount_t: underflow; use-after-free."));
        assert!(is_defect(
            "BUG: KASAN: slab-use-after-free in qda_free+0x10/0x20"
        ));
        assert!(is_defect(
            "UBSAN: array-index-out-of-bounds in drivers/x.c:1:2"
        ));
        assert!(is_defect("iommu: Detected page leak!"));
    }

    #[test]
    fn what_is_held_is_found() {
        let status = "sessions 0\nquarantined 2\nseats 0\ncalls 1\ndropped 7\n\
                      mappings 3\nremote_maps 0\nheld 1\nheap_bytes 4096\n";
        assert_eq!(
            not_zero(status),
            [
                "quarantined 2",
                "calls 1",
                "mappings 3",
                "held 1",
                "heap_bytes 4096"
            ]
        );
        assert!(not_zero("").is_empty());
    }

    #[test]
    fn usual_lines_are_no_defects() {
        assert!(!is_defect("qda: loading out-of-tree module taints kernel."));
        assert!(!is_defect("qda-compute-cb cdsp-1: Adding to iommu group 3"));
        assert!(!is_defect("random: crng init done"));
    }
}
