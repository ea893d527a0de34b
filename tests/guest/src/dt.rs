// SPDX-License-Identifier: GPL-2.0
//! What the device tree says about the simulated DSPs, so that the tests need not repeat it.

use std::fs;
use std::path::Path;

use crate::harness::Fail;

const ROOT: &str = "/proc/device-tree/qda-sim";

/// One context bank of the device tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bank {
    /// Stream id of the protocol (`reg`).
    pub sid: u32,
    /// Number of sessions that it serves.
    pub sessions: usize,
}

/// One DSP of the device tree.
#[derive(Debug, Clone)]
pub struct Dsp {
    /// None if the property is missing.
    pub label: Option<String>,
    /// Every opener is trusted.
    pub trusts_everybody: bool,
    pub banks: Vec<Bank>,
}

impl Dsp {
    /// Number of sessions that all banks together serve.
    pub fn capacity(&self) -> usize {
        self.banks.iter().map(|bank| bank.sessions).sum()
    }
}

/// A one-cell property.
fn cell(node: &Path, name: &str) -> Option<u32> {
    let bytes = fs::read(node.join(name)).ok()?;
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// A string property.
fn text(node: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(node.join(name)).ok()?;
    Some(
        String::from_utf8_lossy(&bytes)
            .trim_end_matches('\0')
            .to_string(),
    )
}

/// The sub folders of a node, sorted.
fn children(node: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = fs::read_dir(node)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// Reads all DSPs below a node; separate from [`dsps`] for the tests on the host.
fn dsps_below(root: &Path) -> Vec<Dsp> {
    children(root)
        .into_iter()
        .map(|edge| {
            let node = edge.join("fastrpc");
            let banks = children(&node)
                .into_iter()
                .filter(|bank| text(bank, "status").is_none_or(|s| s == "okay" || s == "ok"))
                .filter_map(|bank| {
                    Some(Bank {
                        sid: cell(&bank, "reg")?,
                        sessions: cell(&bank, "qcom,nsessions").unwrap_or(1) as usize,
                    })
                })
                .collect();
            Dsp {
                label: text(&node, "label"),
                trusts_everybody: node.join("qcom,non-secure-domain").exists(),
                banks,
            }
        })
        .collect()
}

/// All DSPs of the device tree.
pub fn dsps() -> Vec<Dsp> {
    dsps_below(Path::new(ROOT))
}

/// The DSP with a label.
pub fn dsp(label: &str) -> Result<Dsp, Fail> {
    dsps()
        .into_iter()
        .find(|dsp| dsp.label.as_deref() == Some(label))
        .ok_or_else(|| format!("the device tree has no {label}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read() {
        let root = std::env::temp_dir().join(format!("qda-dt-{}", std::process::id()));
        let node = root.join("cdsp-edge/fastrpc");
        for (bank, reg) in [
            ("compute-cb@1", 1u32),
            ("compute-cb@4", 4),
            ("compute-cb@5", 5),
        ] {
            fs::create_dir_all(node.join(bank)).unwrap();
            fs::write(node.join(bank).join("reg"), reg.to_be_bytes()).unwrap();
        }
        fs::write(node.join("label"), "cdsp\0").unwrap();
        fs::write(node.join("compute-cb@4/qcom,nsessions"), 2u32.to_be_bytes()).unwrap();
        fs::write(node.join("compute-cb@5/status"), "disabled\0").unwrap();
        assert!(!dsps_below(&root)[0].trusts_everybody);
        fs::write(node.join("qcom,non-secure-domain"), "").unwrap();
        let dsps = dsps_below(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(dsps.len(), 1);
        assert_eq!(dsps[0].label.as_deref(), Some("cdsp"));
        assert_eq!(
            dsps[0].banks,
            [
                Bank {
                    sid: 1,
                    sessions: 1
                },
                Bank {
                    sid: 4,
                    sessions: 2
                }
            ]
        );
        assert_eq!(dsps[0].capacity(), 3);
        assert!(dsps[0].trusts_everybody);
    }
}
