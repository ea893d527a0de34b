// SPDX-License-Identifier: GPL-2.0
//! The checks that are made after every case, all in one place.
//!
//! A [`Baseline`] is taken before a case and compared after it:
//!
//! * the kernel log has no new line that tells of a defect;
//! * the simulated DSP saw nothing malformed and no address fault that the case did not announce, and
//!   all processes on the DSP have ended;
//! * the driver holds no session, seat, call, mapping, heap page or byte of a buffer, by its own
//!   counters ([`held`]);
//! * the kernel has of everything as much as before ([`Counts`]): open files of the nodes, dma-bufs,
//!   mappings of the context banks, devices, IOMMU groups, modules and references of modules;
//! * no process of the case is left, and none has been sleeping uninterruptibly since.
//!
//! Things that end in the background have [`SETTLE`] for it. Memory that nobody refers to any more is
//! looked for at the end of the whole run ([`crate::leaks`]).
//!
// covers: T144, T147 (KASAN and lockdep watch every case on the test kernel)

use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::fs;
use std::time::{
    Duration,
    Instant, //
};

mod processes;

use processes::{
    lingering,
    sleepers, //
};

use crate::harness::{
    patience,
    Fail, //
};
use crate::kmsg::{
    without_known,
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
                        | "buffer_bytes"
                )
            );
            counted && words.next() != Some("0")
        })
        .collect()
}

/// Numbers of things that the kernel has, by name.
#[derive(Default)]
struct Counts(BTreeMap<String, i64>);

impl Counts {
    /// Counts everything now. What this kernel does not show is left out.
    fn now() -> Self {
        let mut counts = Counts::default();
        counts.add("IOMMU groups", group_count() as i64);
        for device in grouped_devices() {
            counts.add(&format!("{device} in IOMMU groups"), 1);
        }
        for (what, path) in [
            ("nodes", "/dev/accel"),
            ("rpmsg devices", "/sys/bus/rpmsg/devices"),
            ("context banks", "/sys/bus/qda-compute-cb/devices"),
        ] {
            let number = fs::read_dir(path).map_or(0, |entries| entries.flatten().count());
            counts.add(what, number as i64);
        }
        // Name, size, references.
        for line in read("/proc/modules").lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(references)) = (words.next(), words.nth(1)) else {
                continue;
            };
            counts.add(&format!("module {name}"), 1);
            counts.add(
                &format!("references of {name}"),
                references.parse().unwrap_or(0),
            );
        }
        for line in read("/sys/kernel/debug/dma_buf/bufinfo").lines() {
            if let Some(rest) = line.strip_prefix("Total ") {
                let number = rest.split_whitespace().next().and_then(|n| n.parse().ok());
                counts.add("dma-bufs", number.unwrap_or(0));
            }
        }
        // One line of titles, then one for each open file.
        for folder in fs::read_dir("/sys/kernel/debug/accel")
            .into_iter()
            .flatten()
            .flatten()
        {
            let lines = read(&folder.path().join("clients").display().to_string());
            counts.add(
                "open files of nodes",
                lines.lines().count().saturating_sub(1) as i64,
            );
        }
        // One line for each mapping: driver, device, ..
        for line in read("/sys/kernel/debug/dma-api/dump").lines() {
            if line.starts_with("qda-compute-cb ") {
                counts.add("DMA mappings of context banks", 1);
            }
        }
        counts
    }

    fn add(&mut self, name: &str, number: i64) {
        *self.0.entry(name.to_string()).or_default() += number;
    }

    /// What is not as it was `before`.
    fn changes(&self, before: &Counts) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let [before, now] =
                    [before, self].map(|counts| counts.0.get(name).copied().unwrap_or(0));
                (before != now).then(|| format!("{name}: {before} before, {now} after"))
            })
            .collect()
    }
}

/// A file of the kernel, empty if it has none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The state of the guest before a case.
pub struct Baseline {
    log: Log,
    /// Texts that excuse a line of the log.
    expected: Vec<String>,
    simulator: Option<Simulator>,
    counts: Counts,
    sleepers: BTreeSet<u32>,
    /// The process group of the case, 0 if it has none of its own.
    group: u32,
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
            counts: Counts::now(),
            sleepers: sleepers(),
            group: 0,
        })
    }

    /// The case runs in this process group.
    pub fn group(&mut self, group: u32) {
        self.group = group;
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
        let mut asleep = sleepers();
        loop {
            let mut now = held();
            now.extend(Counts::now().changes(&self.counts));
            now.extend(lingering(self.group, &self.sleepers, &mut asleep));
            if now.is_empty() || Instant::now() >= deadline {
                complaints.extend(now);
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        match self.log.read() {
            Ok(records) => complaints.extend(
                without_known(records)
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
    fn what_changed_is_found() {
        let [mut before, mut now] = [Counts::default(), Counts::default()];
        before.add("nodes", 2);
        before.add("dma-bufs", 1);
        before.add("module qda", 1);
        now.add("nodes", 2);
        now.add("dma-bufs", 1);
        now.add("dma-bufs", 1);
        now.add("references of drm", 3);
        assert_eq!(
            now.changes(&before),
            [
                "dma-bufs: 1 before, 2 after",
                "module qda: 1 before, 0 after",
                "references of drm: 0 before, 3 after"
            ]
        );
        assert!(now.changes(&now).is_empty());
    }

    #[test]
    fn usual_lines_are_no_defects() {
        assert!(!is_defect("qda: loading out-of-tree module taints kernel."));
        assert!(!is_defect("qda-compute-cb cdsp-1: Adding to iommu group 3"));
        assert!(!is_defect("random: crng init done"));
    }
}
