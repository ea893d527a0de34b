// SPDX-License-Identifier: GPL-2.0
//! What the driver tells root of refused operations: `/sys/kernel/debug/qda-<label>/refusals`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::harness::Fail;

/// How many records the driver keeps.
pub const KEPT: usize = 64;

/// One refused operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub serial: u64,
    fields: BTreeMap<String, String>,
}

impl Record {
    /// A field, empty if there is none of this name.
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    /// True if each field has its value.
    pub fn has(&self, fields: &[(&str, &str)]) -> bool {
        fields.iter().all(|(key, value)| self.field(key) == *value)
    }
}

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    refused: BTreeMap<String, u64>,
    pub dsp_results: u64,
    pub records: Vec<Record>,
}

/// The file of a DSP.
pub fn path(label: &str) -> PathBuf {
    PathBuf::from(format!("/sys/kernel/debug/qda-{label}/refusals"))
}

impl Refusals {
    /// Reads the file of a DSP.
    pub fn read(label: &str) -> Result<Self, Fail> {
        let path = path(label);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).ok_or_else(|| format!("{} is odd:\n{text}", path.display()).into())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut found = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next()? {
                "refused" => {
                    let name = words.next()?.to_string();
                    let old = found.refused.insert(name, words.next()?.parse().ok()?);
                    if old.is_some() {
                        return None;
                    }
                }
                "dsp-results" => found.dsp_results = words.next()?.parse().ok()?,
                "record" => {
                    let serial = words.next()?.parse().ok()?;
                    let mut fields = BTreeMap::new();
                    for word in words.by_ref() {
                        let (key, value) = word.split_once('=')?;
                        fields.insert(key.to_string(), value.to_string());
                    }
                    found.records.push(Record { serial, fields });
                }
                _ => return None,
            }
            if words.next().is_some() {
                return None;
            }
        }
        Some(found)
    }

    /// How often an error of this name was given.
    pub fn refused(&self, name: &str) -> u64 {
        self.refused.get(name).copied().unwrap_or(0)
    }

    /// What was counted since `before`, without what was not.
    pub fn counted_since(&self, before: &Self) -> BTreeMap<String, u64> {
        self.refused
            .iter()
            .map(|(name, times)| (name.clone(), times - before.refused(name)))
            .filter(|(_, times)| *times != 0)
            .collect()
    }

    /// The records since `before`.
    pub fn records_since(&self, before: &Self) -> Vec<&Record> {
        let last = before.records.last().map_or(0, |record| record.serial);
        self.records
            .iter()
            .filter(|record| record.serial > last)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "refused signed 3\nrefused not-trusted 1\ndsp-results 2\n\
        record 5 time=77 tid=3 op=start process=- attrs=0x1 error=signed errno=-111\n\
        record 6 time=78 tid=3 op=call process=user:4 handle=0x8 result=0x80000416 name=X\n";

    #[test]
    fn a_file_is_taken_apart() {
        let found = Refusals::parse(TEXT).unwrap();
        assert_eq!(
            (
                found.refused("signed"),
                found.refused("gone"),
                found.dsp_results
            ),
            (3, 0, 2)
        );
        assert_eq!(found.records.len(), 2);
        assert!(found.records[0].has(&[("op", "start"), ("errno", "-111")]));
        assert!(!found.records[1].has(&[("op", "start")]));
        assert_eq!(found.records[1].field("handle"), "0x8");
        assert_eq!(found.records[1].field("nothing"), "");
    }

    #[test]
    fn differences_are_found() {
        let found = Refusals::parse(TEXT).unwrap();
        let before = Refusals::parse("refused signed 1\nrecord 5 a=b\n").unwrap();
        let counted: Vec<_> = found.counted_since(&before).into_iter().collect();
        assert_eq!(
            counted,
            [("not-trusted".to_string(), 1), ("signed".to_string(), 2)]
        );
        assert_eq!(found.records_since(&before).len(), 1);
        assert!(found.counted_since(&found).is_empty());
    }

    #[test]
    fn odd_files_are_noticed() {
        for text in [
            "refused x\n",
            "refused x 1 2\n",
            "what\n",
            "record x\n",
            "record 1 a\n",
        ] {
            assert_eq!(Refusals::parse(text), None, "{text}");
        }
    }
}
