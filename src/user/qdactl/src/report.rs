// SPDX-License-Identifier: GPL-2.0 OR MIT
//! What is printed, as text or as one JSON object.
//!
//! The JSON keys are an interface: keys are added, never renamed.

use std::path::Path;

use qda::explain::Code;
use qda::{Device, Facts, Scan};
use serde::Serialize;

use crate::edges::Edges;
use crate::job::Outcome;

/// Something to print.
pub trait Report: Serialize {
    fn text(&self) -> String;

    fn json(&self) -> String {
        // Numbers, texts and lists only: this cannot fail, and an empty answer
        // would be worse than the reason.
        serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string())
    }
}

#[derive(Debug, Serialize)]
pub struct ListReport {
    devices: Vec<ListedDevice>,
    unusable: Vec<ListedUnusable>,
}

#[derive(Debug, Serialize)]
struct ListedDevice {
    dsp: String,
    node: String,
    version: String,
}

#[derive(Debug, Serialize)]
struct ListedUnusable {
    node: String,
    error: String,
}

impl ListReport {
    pub fn new(scan: &Scan) -> Self {
        Self {
            devices: scan
                .devices
                .iter()
                .map(|device| ListedDevice {
                    dsp: device.dsp().into(),
                    node: device.path().display().to_string(),
                    version: version(device),
                })
                .collect(),
            unusable: scan
                .unusable
                .iter()
                .map(|node| ListedUnusable {
                    node: node.path.display().to_string(),
                    error: node.error.to_string(),
                })
                .collect(),
        }
    }
}

impl Report for ListReport {
    fn text(&self) -> String {
        let mut text = table(
            [("DSP", false), ("node", false), ("version", false)],
            self.devices
                .iter()
                .map(|d| [d.dsp.clone(), d.node.clone(), d.version.clone()]),
        );
        for node in &self.unusable {
            text.push_str(&format!("not usable: {}\n", node.error));
        }
        text
    }
}

/// What `info` shows.
#[derive(Debug, Serialize)]
pub struct NodeReport {
    dsp: String,
    node: String,
    driver: Option<String>,
    version: String,
    /// Name of the device on its bus.
    device: Option<String>,
    drm_client: Option<u64>,
}

impl NodeReport {
    pub fn new(device: &Device) -> qda::Result<Self> {
        let facts = device.facts()?;
        Ok(Self {
            dsp: device.dsp().into(),
            node: device.path().display().to_string(),
            driver: facts.driver,
            version: version(device),
            device: bus_device(device.path()),
            drm_client: facts.drm_client,
        })
    }
}

impl Report for NodeReport {
    fn text(&self) -> String {
        facts([
            ("DSP", self.dsp.clone()),
            ("node", self.node.clone()),
            ("driver", or_unknown(self.driver.as_ref())),
            ("version", self.version.clone()),
            ("device", or_unknown(self.device.as_ref())),
            ("DRM client", or_unknown(self.drm_client.as_ref())),
        ])
    }
}

/// What a job shows.
#[derive(Debug, Serialize)]
pub struct JobReport {
    dsp: String,
    node: String,
    context_bank: Option<u32>,
    session: Option<u32>,
    drm_client: Option<u64>,
    file: String,
    count: usize,
    calls: usize,
    results: Vec<JobResult>,
    pub agree: bool,
}

#[derive(Debug, Serialize)]
struct JobResult {
    name: &'static str,
    dsp: i64,
    cpu: i64,
    agree: bool,
}

impl JobReport {
    pub fn new(dsp: &str, node: &Path, facts: &Facts, file: &str, outcome: &Outcome) -> Self {
        Self {
            dsp: dsp.into(),
            node: node.display().to_string(),
            context_bank: facts.bank,
            session: facts.session,
            drm_client: facts.drm_client,
            file: file.into(),
            count: outcome.count,
            calls: outcome.calls,
            results: outcome
                .results
                .iter()
                .map(|pair| JobResult {
                    name: pair.name,
                    dsp: pair.dsp,
                    cpu: pair.cpu,
                    agree: pair.agree(),
                })
                .collect(),
            // No result is no agreement.
            agree: !outcome.results.is_empty() && outcome.results.iter().all(|pair| pair.agree()),
        }
    }
}

impl Report for JobReport {
    fn text(&self) -> String {
        let file = if self.file == "-" {
            "standard input"
        } else {
            &self.file
        };
        let mut text = facts([
            ("DSP", self.dsp.clone()),
            ("node", self.node.clone()),
            ("context bank", or_unknown(self.context_bank.as_ref())),
            ("session", or_unknown(self.session.as_ref())),
            (
                "input",
                format!(
                    "{file}: {}, {}",
                    counted(self.count, "number"),
                    counted(self.calls, "remote call")
                ),
            ),
        ]);
        text.push('\n');
        text.push_str(&table(
            [
                ("result", false),
                ("on the DSP", true),
                ("on the CPU", true),
                ("agree", false),
            ],
            self.results.iter().map(|result| {
                [
                    result.name.to_string(),
                    result.dsp.to_string(),
                    result.cpu.to_string(),
                    if result.agree { "yes" } else { "NO" }.to_string(),
                ]
            }),
        ));
        text
    }
}

/// What `filter` shows.
#[derive(Debug, Serialize)]
pub struct EdgesReport {
    dsp: String,
    node: String,
    context_bank: Option<u32>,
    session: Option<u32>,
    drm_client: Option<u64>,
    input: String,
    /// The file, if it was written.
    output: Option<String>,
    width: u32,
    height: u32,
    method: &'static str,
    microseconds: u64,
    buffer_bytes: u64,
    bytes_copied: Option<u64>,
    pixel_bytes_copied: Option<u64>,
    differing_pixels: usize,
    #[serde(skip)]
    first: Option<(usize, usize, u8, u8)>,
    pub agree: bool,
}

impl EdgesReport {
    pub fn new(
        dsp: &str,
        node: &Path,
        facts: &Facts,
        (input, output): (&Path, &Path),
        edges: &Edges,
    ) -> Self {
        let agree = edges.differing == 0;
        Self {
            dsp: dsp.into(),
            node: node.display().to_string(),
            context_bank: facts.bank,
            session: facts.session,
            drm_client: facts.drm_client,
            input: input.display().to_string(),
            output: agree.then(|| output.display().to_string()),
            width: edges.picture.width,
            height: edges.picture.height,
            method: "sobel",
            // Centuries do not fit.
            microseconds: u64::try_from(edges.time.as_micros()).unwrap_or(u64::MAX),
            buffer_bytes: edges.buffer_bytes,
            bytes_copied: edges.copied.map(|copied| copied.all),
            pixel_bytes_copied: edges.copied.map(|copied| copied.pixels),
            differing_pixels: edges.differing,
            first: edges.first,
            agree,
        }
    }
}

impl Report for EdgesReport {
    fn text(&self) -> String {
        let mut text = facts([
            ("DSP", self.dsp.clone()),
            ("node", self.node.clone()),
            ("context bank", or_unknown(self.context_bank.as_ref())),
            ("session", or_unknown(self.session.as_ref())),
            (
                "input",
                format!("{}: {} x {} pixels", self.input, self.width, self.height),
            ),
            (
                "output",
                self.output.clone().unwrap_or_else(|| "not written".into()),
            ),
        ]);
        text.push('\n');
        text.push_str(&table(
            [
                ("method", false),
                ("time", true),
                ("bytes in buffers", true),
                ("bytes copied", true),
                ("of them pixels", true),
                ("agree", false),
            ],
            std::iter::once([
                self.method.to_string(),
                format!(
                    "{}.{} ms",
                    self.microseconds / 1000,
                    self.microseconds / 100 % 10
                ),
                self.buffer_bytes.to_string(),
                or_unknown(self.bytes_copied.as_ref()),
                or_unknown(self.pixel_bytes_copied.as_ref()),
                if self.agree { "yes" } else { "NO" }.to_string(),
            ]),
        ));
        if !self.agree {
            text += &format!("{} differ", counted(self.differing_pixels, "pixel"));
            if let Some((x, y, dsp, cpu)) = self.first {
                text += &format!(", the first in column {x} of row {y}: DSP {dsp}, CPU {cpu}");
            }
            text.push('\n');
        }
        text
    }
}

/// What `explain` shows.
#[derive(Debug, Serialize)]
pub struct ExplainReport {
    codes: Vec<ExplainedCode>,
}

#[derive(Debug, Serialize)]
struct ExplainedCode {
    readings: Vec<ExplainedReading>,
}

#[derive(Debug, Serialize)]
struct ExplainedReading {
    origin: &'static str,
    #[serde(skip)]
    origin_text: String,
    number: String,
    name: Option<String>,
    meaning: String,
    causes: &'static [&'static str],
}

impl ExplainReport {
    pub fn new(codes: &[Code]) -> Self {
        let explained = |code: &Code| ExplainedCode {
            readings: code
                .readings()
                .into_iter()
                .map(|reading| ExplainedReading {
                    origin: reading.origin.key(),
                    origin_text: reading.origin.to_string(),
                    number: reading.number,
                    name: reading.name,
                    meaning: reading.meaning,
                    causes: reading.causes,
                })
                .collect(),
        };
        Self {
            codes: codes.iter().map(explained).collect(),
        }
    }
}

impl Report for ExplainReport {
    fn text(&self) -> String {
        let mut text = String::new();
        for reading in self.codes.iter().flat_map(|code| &code.readings) {
            text += &format!("{}  ", reading.number);
            if let Some(name) = &reading.name {
                text += &format!("{name}: ");
            }
            text += &format!("{} ({})\n", reading.meaning, reading.origin_text);
            for cause in reading.causes {
                text += &format!("  - {cause}\n");
            }
        }
        text
    }
}

fn version(device: &Device) -> String {
    let version = device.version();
    format!("{}.{}.{}", version.major, version.minor, version.patch)
}

/// Name of the device behind a node, from sysfs.
fn bus_device(node: &Path) -> Option<String> {
    let link = Path::new("/sys/class/accel")
        .join(node.file_name()?)
        .join("device");
    let device = std::fs::read_link(link).ok()?;
    Some(device.file_name()?.to_str()?.to_string())
}

fn or_unknown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "unknown".to_string(), ToString::to_string)
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Lines of name and value.
fn facts<const N: usize>(facts: [(&str, String); N]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts {
        text += &format!("{name:width$}  {value}\n");
    }
    text
}

/// A table with a head; the flag says that a column is set to the right.
fn table<const N: usize>(
    head: [(&str, bool); N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![head.map(|(name, _)| name.to_string())];
    lines.extend(rows);
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = (0..N)
            .map(|at| {
                let width = lines.iter().map(|line| line[at].len()).max().unwrap_or(0);
                if head[at].1 {
                    format!("{:>width$}", line[at])
                } else {
                    format!("{:width$}", line[at])
                }
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::edges::Copied;
    use crate::job::Pair;
    use crate::picture::Picture;

    fn report(dsp_max: i64) -> JobReport {
        let facts: Facts = Facts::default();
        let outcome = Outcome {
            count: 1000,
            calls: 2,
            results: vec![
                Pair {
                    name: "sum",
                    dsp: 499_500,
                    cpu: 499_500,
                },
                Pair {
                    name: "maximum",
                    dsp: dsp_max,
                    cpu: 999,
                },
            ],
        };
        let node = Path::new("/dev/accel/accel0");
        let mut report = JobReport::new("cdsp", node, &facts, "numbers.txt", &outcome);
        report.context_bank = Some(3);
        report.session = Some(1);
        report
    }

    #[test]
    fn the_text_is_a_small_table() {
        assert_eq!(
            report(999).text(),
            "DSP           cdsp\n\
             node          /dev/accel/accel0\n\
             context bank  3\n\
             session       1\n\
             input         numbers.txt: 1000 numbers, 2 remote calls\n\
             \n\
             result   on the DSP  on the CPU  agree\n\
             sum          499500      499500  yes\n\
             maximum         999         999  yes\n"
        );
    }

    #[test]
    fn disagreement_is_seen_and_shown() {
        let report = report(998);
        assert!(!report.agree);
        assert!(report
            .text()
            .contains("maximum         998         999  NO\n"));
    }

    #[test]
    fn no_result_is_no_agreement() {
        let outcome = Outcome {
            count: 0,
            calls: 0,
            results: Vec::new(),
        };
        let node = Path::new("/dev/accel/accel0");
        assert!(!JobReport::new("cdsp", node, &Facts::default(), "f", &outcome).agree);
    }

    #[test]
    fn the_json_has_the_promised_shape() {
        let json: serde_json::Value = serde_json::from_str(&report(999).json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "dsp": "cdsp",
                "node": "/dev/accel/accel0",
                "context_bank": 3,
                "session": 1,
                "drm_client": null,
                "file": "numbers.txt",
                "count": 1000,
                "calls": 2,
                "results": [
                    { "name": "sum", "dsp": 499500, "cpu": 499500, "agree": true },
                    { "name": "maximum", "dsp": 999, "cpu": 999, "agree": true },
                ],
                "agree": true,
            })
        );
    }

    #[test]
    fn unknown_facts_are_called_so() {
        let mut report = report(999);
        report.context_bank = None;
        assert!(report.text().contains("context bank  unknown\n"));
    }

    fn edges(differing: usize) -> EdgesReport {
        let edges = Edges {
            picture: Picture {
                width: 640,
                height: 480,
                pixels: Vec::new(),
            },
            time: Duration::from_micros(12_345),
            buffer_bytes: 614_400,
            copied: Some(Copied { all: 16, pixels: 0 }),
            differing,
            first: (differing != 0).then_some((5, 7, 1, 2)),
        };
        let node = Path::new("/dev/accel/accel0");
        let files = (Path::new("in.png"), Path::new("out.png"));
        EdgesReport::new("cdsp", node, &Facts::default(), files, &edges)
    }

    #[test]
    fn the_edges_are_a_small_table() {
        assert_eq!(
            edges(0).text(),
            "DSP           cdsp\n\
             node          /dev/accel/accel0\n\
             context bank  unknown\n\
             session       unknown\n\
             input         in.png: 640 x 480 pixels\n\
             output        out.png\n\
             \n\
             method     time  bytes in buffers  bytes copied  of them pixels  agree\n\
             sobel   12.3 ms            614400            16               0  yes\n"
        );
    }

    #[test]
    fn differing_pixels_are_seen_and_shown() {
        let report = edges(3);
        assert!(!report.agree);
        let text = report.text();
        assert!(text.contains("output        not written\n"), "{text}");
        assert!(text.contains("  NO\n3 pixels differ, the first in column 5 of row 7"));
        assert!(text.ends_with("DSP 1, CPU 2\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["output"], serde_json::Value::Null);
        assert_eq!(json["differing_pixels"], 3);
    }

    #[test]
    fn the_json_of_the_edges_has_the_promised_shape() {
        let mut report = edges(0);
        report.pixel_bytes_copied = None;
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "dsp": "cdsp",
                "node": "/dev/accel/accel0",
                "context_bank": null,
                "session": null,
                "drm_client": null,
                "input": "in.png",
                "output": "out.png",
                "width": 640,
                "height": 480,
                "method": "sobel",
                "microseconds": 12345,
                "buffer_bytes": 614400,
                "bytes_copied": 16,
                "pixel_bytes_copied": null,
                "differing_pixels": 0,
                "agree": true,
            })
        );
        assert!(report.text().contains("16         unknown  yes\n"));
    }

    #[test]
    fn the_json_of_explanations_has_the_promised_shape() {
        let codes = ["-13".parse().unwrap(), "0x12345".parse().unwrap()];
        let json = ExplainReport::new(&codes).json();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let readings = &json["codes"][0]["readings"];
        assert_eq!(readings[0]["origin"], "driver");
        assert_eq!(readings[0]["number"], "13");
        assert_eq!(readings[0]["name"], "EACCES");
        assert!(readings[0]["meaning"].is_string());
        assert!(readings[0]["causes"][0].is_string());
        assert_eq!(readings[1]["origin"], "dsp");
        assert_eq!(readings[1]["number"], "0xfffffff3");
        let unknown = &json["codes"][1]["readings"][0];
        assert_eq!(unknown["name"], serde_json::Value::Null);
        assert_eq!(unknown["causes"], serde_json::json!([]));
    }

    #[test]
    fn the_list_shows_nodes_that_cannot_be_used() {
        let report = ListReport {
            devices: vec![ListedDevice {
                dsp: "cdsp".into(),
                node: "/dev/accel/accel0".into(),
                version: "1.0.0".into(),
            }],
            unusable: vec![ListedUnusable {
                node: "/dev/accel/accel1".into(),
                error: "/dev/accel/accel1: Permission denied".into(),
            }],
        };
        assert_eq!(
            report.text(),
            "DSP   node               version\n\
             cdsp  /dev/accel/accel0  1.0.0\n\
             not usable: /dev/accel/accel1: Permission denied\n"
        );
    }
}
