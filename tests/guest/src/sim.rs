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

use crate::harness::{
    patience,
    Fail, //
};

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
    let deadline = Instant::now() + patience(limit);
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
        let bytes = bytes(hex);
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

/// A request with the first 4096 bytes of its message buffer, as the DSP found them.
#[derive(Debug, Clone)]
pub struct Message {
    pub request: Request,
    pub bytes: Vec<u8>,
}

impl Message {
    /// Number of arguments of all kinds.
    fn arguments(&self) -> usize {
        let part = |shift: u32, mask: u32| ((self.request.sc >> shift) & mask) as usize;
        part(16, 0xff) + part(8, 0xff) + part(4, 0xf) + part(0, 0xf)
    }

    fn word(&self, at: usize) -> u64 {
        let half = |at| u64::from(crate::dsp::u32_at(&self.bytes, at));
        half(at) | (half(at + 4) << 32)
    }

    /// Address and length that the DSP sees of a buffer argument.
    pub fn argument(&self, index: usize) -> (u64, u64) {
        (self.word(16 * index), self.word(16 * index + 8))
    }

    /// Address and size of the pages of an argument.
    pub fn page(&self, index: usize) -> (u64, u64) {
        let at = 24 * self.arguments() + 16 * index;
        (self.word(at), self.word(at + 8))
    }

    /// The bytes of an argument that lies in the message itself.
    pub fn inline(&self, index: usize) -> Option<&[u8]> {
        let (pv, length) = self.argument(index);
        let data = self.page(index).0 + pv % 4096;
        let start = usize::try_from(data.checked_sub(self.request.address)?).ok()?;
        self.bytes.get(start..start + length as usize)
    }
}

/// All messages that one DSP still remembers, oldest first.
pub fn messages(label: &str) -> Result<Vec<Message>, Fail> {
    let text = read(&format!("{label}/capture"))?;
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(request) = line.strip_prefix("request ").and_then(Request::parse) else {
            continue;
        };
        let hex = lines
            .next()
            .and_then(|line| line.strip_prefix("buffer "))
            .ok_or_else(|| Fail::from("a request without its buffer"))?;
        found.push(Message {
            request,
            bytes: bytes(hex),
        });
    }
    Ok(found)
}

/// The last message for a remote handle.
pub fn last_message(label: &str, handle: u32) -> Result<Message, Fail> {
    messages(label)?
        .into_iter()
        .rev()
        .find(|message| message.request.handle == handle)
        .ok_or_else(|| format!("{label}/capture holds nothing for handle {handle:#x}").into())
}

/// Takes a row of hexadecimal digits apart.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|two| ((two[0] << 4) | two[1]) as u8)
        .collect()
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
    fn a_message_is_parsed() {
        let request = Request::parse(
            "01000000 0a000000 0101010000000000 19000000 00000102 00f0ffff01000000 \
             0010000000000000",
        )
        .unwrap();
        // One input, no output: descriptor, list entry, page entry, then the data at 512.
        let mut bytes = vec![0; 600];
        bytes[..8].copy_from_slice(&0x1_ffff_f200u64.to_le_bytes());
        bytes[8] = 4;
        bytes[24..32].copy_from_slice(&0x1_ffff_f000u64.to_le_bytes());
        bytes[33] = 0x10;
        bytes[512..516].copy_from_slice(&[1, 2, 3, 4]);
        let message = Message {
            request: Request {
                sc: 0x0201_0000,
                ..request
            },
            bytes,
        };
        assert_eq!(message.argument(0), (0x1_ffff_f200, 4));
        assert_eq!(message.page(0), (0x1_ffff_f000, 0x1000));
        assert_eq!(message.inline(0), Some([1, 2, 3, 4].as_slice()));
    }

    #[test]
    fn counters_are_parsed() {
        let counters = parse_counters("requests 12\nlive_processes 0\nodd\n");
        assert_eq!(counters.get("requests"), Some(&12));
        assert_eq!(counters.get("live_processes"), Some(&0));
        assert_eq!(counters.len(), 2);
    }
}
