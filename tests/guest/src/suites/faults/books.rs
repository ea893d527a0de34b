// SPDX-License-Identifier: GPL-2.0
//! What is in use: by the books of the driver, of the simulated DSPs and of the kernel.

use std::collections::BTreeMap;
use std::time::{
    Duration,
    Instant, //
};

use super::super::{
    ADSP,
    CDSP, //
};
use crate::exporters;
use crate::harness::{
    patience,
    Fail,
    Outcome, //
};
use crate::kmod;
use crate::sim;

/// Numbers of the driver's status files that go up and down.
const STATUS: &[&str] = &[
    "sessions",
    "quarantined",
    "seats",
    "calls",
    "mappings",
    "remote_maps",
    "held",
    "heap_bytes",
    "buffer_bytes",
];

/// Numbers of the simulator that go up and down.
const SIMULATOR: &[&str] = &["live_processes", "mappings", "held", "parked", "delayed"];

/// Numbers that go back half a second late when a foreign buffer has died: a worker looks for them.
const LATE: &[&str] = &["cdsp mappings", "dma-bufs"];

/// How long what workers give back may take.
const SETTLE: Duration = Duration::from_secs(5);

/// What is in use at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books(BTreeMap<String, i64>);

/// `name value` lines.
fn numbers(text: &str) -> BTreeMap<&str, i64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name, value.trim().parse().ok()?))
        })
        .collect()
}

impl Books {
    /// Takes the numbers now. A DSP without node has none in the driver's books.
    pub fn read() -> Result<Self, Fail> {
        let mut books = BTreeMap::new();
        for label in [CDSP, ADSP] {
            let path = format!("/sys/kernel/debug/qda-{label}/status");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let found = numbers(&text);
            for name in STATUS {
                if let Some(value) = found.get(name) {
                    books.insert(format!("{label} {name}"), *value);
                }
            }
        }
        let text = sim::read("counters")?;
        let found = numbers(&text);
        let counter = |name: &str| {
            found
                .get(name)
                .copied()
                .ok_or_else(|| format!("the simulator has no counter {name}"))
        };
        for name in SIMULATOR {
            books.insert(format!("DSPs' {name}"), counter(name)?);
        }
        books.insert(
            "DSPs' unanswered requests".to_string(),
            counter("requests")? - counter("responses")?,
        );
        books.insert("dma-bufs".to_string(), exporters::count()? as i64);
        if kmod::loaded("qda") {
            books.insert("users of qda".to_string(), kmod::references("qda")?);
        }
        Ok(Books(books))
    }

    /// The names and values that are not as in `other`.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found: Vec<String> = self
            .0
            .iter()
            .filter(|(name, value)| other.0.get(*name) != Some(value))
            .map(|(name, value)| format!("{name}: {value} instead of {:?}", other.0.get(name)))
            .collect();
        found.extend(
            other
                .0
                .keys()
                .filter(|name| !self.0.contains_key(*name))
                .map(|name| format!("{name}: nothing")),
        );
        found
    }

    /// Waits until the books are as they were then.
    pub fn are_back(&self) -> Outcome {
        self.are_back_but(&[])
    }

    /// As [`Self::are_back`], but does not wait for what the driver's worker gives back.
    pub fn are_nearly_back(&self) -> Outcome {
        self.are_back_but(LATE)
    }

    fn are_back_but(&self, late: &[&str]) -> Outcome {
        let deadline = Instant::now() + patience(SETTLE);
        loop {
            let now = Books::read()?;
            let mut differences = now.differences(self);
            differences.retain(|line| !late.iter().any(|name| line.starts_with(name)));
            if differences.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("left behind: {}", differences.join(", ")).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let book = |items: &[(&str, i64)]| {
            Books(
                items
                    .iter()
                    .map(|(name, value)| ((*name).to_string(), *value))
                    .collect(),
            )
        };
        let before = book(&[("a", 1), ("b", 2)]);
        assert!(before.differences(&before).is_empty());
        let now = book(&[("a", 1), ("b", 3)]);
        assert_eq!(now.differences(&before), ["b: 3 instead of Some(2)"]);
        assert_eq!(book(&[("a", 1)]).differences(&before), ["b: nothing"]);
    }

    #[test]
    fn lines_are_parsed() {
        let found = numbers("sessions 3\nodd\nheld x\ncalls 0\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found["sessions"], 3);
    }
}
