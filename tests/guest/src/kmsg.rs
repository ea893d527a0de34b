// SPDX-License-Identifier: GPL-2.0
//! The kernel log from a remembered position on.

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

#[cfg(test)]
mod tests {
    use super::*;

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
