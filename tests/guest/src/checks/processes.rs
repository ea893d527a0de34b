// SPDX-License-Identifier: GPL-2.0
//! Processes that a case left, or that hang.

use std::collections::BTreeSet;
use std::fs;

/// A process or kernel thread, by /proc.
struct Process {
    id: u32,
    name: String,
    state: char,
    group: u32,
}

impl Process {
    /// Takes a line of `stat` apart. The name may contain anything.
    fn parse(stat: &str) -> Option<Self> {
        let (id, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut words = rest.split_whitespace();
        Some(Process {
            id: id.parse().ok()?,
            name: name.to_string(),
            state: words.next()?.chars().next()?,
            group: words.nth(1)?.parse().ok()?,
        })
    }

    fn all() -> Vec<Self> {
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Process::parse(&fs::read_to_string(entry.path().join("stat")).ok()?)
            })
            .collect()
    }
}

/// The processes that sleep and cannot be interrupted, now.
pub fn sleepers() -> BTreeSet<u32> {
    Process::all()
        .into_iter()
        .filter(|process| process.state == 'D')
        .map(|process| process.id)
        .collect()
}

/// Processes that are left of a process group, and others that are not in `before` and sleep
/// uninterruptibly. `asleep` are those that did so at every look so far.
pub fn lingering(group: u32, before: &BTreeSet<u32>, asleep: &mut BTreeSet<u32>) -> Vec<String> {
    let all = Process::all();
    asleep.retain(|id| all.iter().any(|p| p.id == *id && p.state == 'D'));
    all.iter()
        .filter_map(|process| {
            let what = if process.group == group && group != 0 && process.state != 'Z' {
                "is left of the case"
            } else if asleep.contains(&process.id) && !before.contains(&process.id) {
                "sleeps and cannot be interrupted"
            } else {
                return None;
            };
            Some(format!(
                "process {} ({}) {what}, state {}",
                process.id, process.name, process.state
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_parsed() {
        let process = Process::parse("12 (a) (b c) D 1 10 10 0 -1").unwrap();
        assert_eq!((process.id, process.state, process.group), (12, 'D', 10));
        assert_eq!(process.name, "a) (b c");
        assert!(Process::parse("12 a").is_none());
    }
}
