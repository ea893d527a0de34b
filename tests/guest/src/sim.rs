// SPDX-License-Identifier: GPL-2.0
//! What the simulated DSP tells about itself, and its switches.
//!
//! Everything is in debugfs under `qda_sim`; the files are described in the simulator's source.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{
    Duration,
    Instant, //
};

use crate::harness::Fail;

const ROOT: &str = "/sys/kernel/debug/qda_sim";

/// True if the simulator is loaded.
pub fn present() -> bool {
    fs::metadata(ROOT).is_ok()
}

/// Reads a file of the simulator.
pub fn read(name: &str) -> Result<String, Fail> {
    let path = PathBuf::from(ROOT).join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Writes a command to a file of the simulator.
pub fn write(name: &str, text: &str) -> Result<(), Fail> {
    let path = PathBuf::from(ROOT).join(name);
    fs::write(&path, text).map_err(|error| format!("{text} > {}: {error}", path.display()).into())
}

/// The number in the first line of a file.
fn count(name: &str) -> Result<u64, Fail> {
    let text = read(name)?;
    text.split_whitespace()
        .find_map(|word| word.parse().ok())
        .ok_or_else(|| format!("no number in {name}: {text:?}").into())
}

/// How many malformed things the DSP has seen.
pub fn violations() -> Result<u64, Fail> {
    count("violations")
}

/// How many addresses did not translate.
pub fn faults() -> Result<u64, Fail> {
    count("faults")
}

/// The last `limit` recorded lines of `violations` or `faults`.
pub fn lines(name: &str, limit: usize) -> Result<Vec<String>, Fail> {
    let text = read(name)?;
    let all: Vec<_> = text.lines().skip(1).collect();
    Ok(all
        .iter()
        .skip(all.len().saturating_sub(limit))
        .map(|line| format!("{name}: {line}"))
        .collect())
}

/// Parses `name value` lines.
fn parse_counters(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.trim_end_matches(':');
            Some((name.to_string(), words.next()?.parse().ok()?))
        })
        .collect()
}

/// One of the counters.
pub fn counter(name: &str) -> Result<u64, Fail> {
    parse_counters(&read("counters")?)
        .get(name)
        .copied()
        .ok_or_else(|| format!("the simulator has no counter {name}").into())
}

/// Waits until a counter satisfies a condition.
pub fn wait_counter(
    name: &str,
    limit: Duration,
    condition: impl Fn(u64) -> bool,
) -> Result<u64, Fail> {
    let deadline = Instant::now() + limit;
    loop {
        let value = counter(name)?;
        if condition(value) {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(format!("counter {name} stays at {value}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Gives a command to the channel of one DSP.
pub fn control(label: &str, command: &str) -> Result<(), Fail> {
    write(&format!("{label}/control"), command)
}

/// A request as the DSP received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub client: u32,
    pub tid: u32,
    pub context: u64,
    pub handle: u32,
    pub sc: u32,
    pub address: u64,
    pub size: u64,
}

impl Request {
    /// Takes the 40 bytes of a message apart.
    fn parse(hex: &str) -> Option<Self> {
        let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|two| ((two[0] << 4) | two[1]) as u8)
            .collect();
        if bytes.len() != 40 {
            return None;
        }
        let word = |at: usize| crate::dsp::u32_at(&bytes, at);
        let long = |at: usize| u64::from(word(at)) | (u64::from(word(at + 4)) << 32);
        Some(Request {
            client: word(0),
            tid: word(4),
            context: long(8),
            handle: word(16),
            sc: word(20),
            address: long(24),
            size: long(32),
        })
    }

    /// Stream id of the protocol that the address carries.
    pub fn sid(&self) -> u32 {
        (self.address >> 32) as u32
    }

    /// The address without its stream id.
    pub fn iova(&self) -> u64 {
        self.address & 0xffff_ffff
    }
}

/// The last request that one DSP received.
pub fn last_request(label: &str) -> Result<Request, Fail> {
    let text = read(&format!("{label}/capture"))?;
    text.lines()
        .rev()
        .filter_map(|line| line.strip_prefix("request "))
        .find_map(Request::parse)
        .ok_or_else(|| format!("{label}/capture holds no request").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_parsed() {
        let hex = "01000000 0a000000 0101010000000000 19000000 00010202 00f0ffff01000000 \
                   0010000000000000";
        let request = Request::parse(hex).unwrap();
        assert_eq!(request.client, 1);
        assert_eq!(request.context, 0x0001_0101);
        assert_eq!(request.sc, 0x0202_0100);
        assert_eq!((request.sid(), request.iova()), (1, 0xffff_f000));
        assert_eq!(Request::parse("0100"), None);
    }

    #[test]
    fn counters_are_parsed() {
        let counters = parse_counters("requests 12\nlive_processes 0\nodd\n");
        assert_eq!(counters.get("requests"), Some(&12));
        assert_eq!(counters.get("live_processes"), Some(&0));
        assert_eq!(counters.len(), 2);
    }
}
