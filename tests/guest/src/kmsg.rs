// SPDX-License-Identifier: GPL-2.0
//! The kernel log from a remembered position on, and what of it is nobody's fault here.

use std::fs::{
    File,
    OpenOptions, //
};
use std::io::{
    self,
    Read,
    Seek,
    SeekFrom, //
};
use std::os::unix::fs::OpenOptionsExt;

/// One record of `/dev/kmsg`.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Facility in the upper bits, level (0 emergency to 7 debug) in the low three.
    pub priority: u32,
    /// The first line of the message.
    pub text: String,
}

impl Record {
    /// Takes a record apart: `priority,sequence,time,flags;text`.
    fn parse(raw: &str) -> Option<Self> {
        let (head, body) = raw.split_once(';')?;
        Some(Record {
            priority: head.split(',').next()?.parse().ok()?,
            text: body.lines().next().unwrap_or("").to_string(),
        })
    }

    /// True if the kernel itself wrote the record (and not a program through `/dev/kmsg`).
    pub fn is_kernel(&self) -> bool {
        self.priority >> 3 == 0
    }

    /// The level: 4 is a warning, lower is worse.
    pub fn level(&self) -> u32 {
        self.priority & 7
    }
}

/// A reader of the log.
pub struct Log {
    file: File,
}

impl Log {
    /// The whole log, from the oldest record that the kernel still has.
    pub fn from_start() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        Ok(Log { file })
    }

    /// Remembers the present end of the log.
    pub fn from_now() -> io::Result<Self> {
        let mut log = Self::from_start()?;
        log.file.seek(SeekFrom::End(0))?;
        Ok(log)
    }

    /// All records since the remembered position or the last read.
    ///
    /// Fails if records were lost because the log overflowed: nothing that a test does may write
    /// that much.
    pub fn read(&mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut block = [0; 8192];
        loop {
            match self.file.read(&mut block) {
                Ok(length) => {
                    let raw = String::from_utf8_lossy(&block[..length]);
                    records.extend(Record::parse(&raw));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(records),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(io::Error::other("the kernel log overflowed"));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What the DMA functions' checks say about the dma-bufs of `/dev/udmabuf`, whose driver gives them
/// lists with pieces of any length when a program begins to touch one. Ours is not involved.
const UDMABUF: &str = "DMA-API: misc udmabuf: mapping sg segment longer than device claims";

/// The records without those of reports that are about [`UDMABUF`]: the line itself, the head of its
/// warning and that of its stack, where the stack is that of the beginning of an access. Everything
/// else stays, also what another processor said meanwhile.
pub fn without_known(mut records: Vec<Record>) -> Vec<Record> {
    let mut from = 0;
    while let Some(begin) = position(&records, from, UDMABUF) {
        let end = position(&records, begin, "[ end trace").unwrap_or(records.len());
        from = begin + 1;
        if position(&records[..end], begin, "begin_cpu_udmabuf").is_none() {
            continue;
        }
        for known in ["Call trace:", "WARNING: kernel/dma/debug.c:", UDMABUF] {
            if let Some(at) = position(&records[..end], begin, known) {
                records[at].text.clear();
            }
        }
    }
    records.retain(|record| !record.text.is_empty());
    records
}

/// The first record from `from` on that has this text.
fn position(records: &[Record], from: usize, text: &str) -> Option<usize> {
    (from..records.len()).find(|at| records[*at].text.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(lines: &[&str]) -> Vec<Record> {
        lines
            .iter()
            .map(|line| Record {
                priority: 4,
                text: line.to_string(),
            })
            .collect()
    }

    #[test]
    fn only_the_known_report_is_taken_out() {
        let known = [
            "------------[ cut here ]------------",
            "DMA-API: misc udmabuf: mapping sg segment longer than device claims to support [len=8]",
            "BUG: something of another processor",
            "WARNING: kernel/dma/debug.c:1232 at debug_dma_map_sg+0x528/0x9b0, CPU#0: exe/144",
            "Call trace:",
            " begin_cpu_udmabuf+0x134/0x1c4",
            "---[ end trace 0000000000000000 ]---",
        ];
        let twice = [&known[..], &["Call trace:"], &known[..]].concat();
        let left: Vec<String> = without_known(records(&twice))
            .into_iter()
            .map(|record| record.text)
            .filter(|text| !text.contains("---") && !text.starts_with(' '))
            .collect();
        assert_eq!(
            left,
            [
                "BUG: something of another processor",
                "Call trace:",
                "BUG: something of another processor"
            ]
        );
        // The same about another device, or on another way.
        let mut other = known;
        other[1] = "DMA-API: qda-compute-cb cdsp-1: mapping sg segment longer than device claims";
        assert_eq!(without_known(records(&other)), records(&other));
        let mut other = known;
        other[5] = " dma_buf_map_attachment+0x1/0x2";
        assert_eq!(without_known(records(&other)), records(&other));
    }

    #[test]
    fn records_are_parsed() {
        let record = Record::parse("4,339,5140900,-;WARNING: here\n SUBSYSTEM=x\n").unwrap();
        assert_eq!(record.text, "WARNING: here");
        assert_eq!(record.level(), 4);
        assert!(record.is_kernel());
        assert!(!Record::parse("12,1,2,-;from a program\n")
            .unwrap()
            .is_kernel());
        assert_eq!(Record::parse("nonsense"), None);
    }
}
