// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The program as its users see it: messages, exit status, JSON on errors.
//!
//! Runs without a device; jobs on a DSP are tested in the guest.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[path = "../examples/draw-picture.rs"]
#[allow(dead_code, reason = "its main function")]
mod draw_picture;

fn qdactl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qdactl"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the target folder is writable");
    path
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are text")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is text")
}

/// Status of commands that need a device that is not there: it depends on
/// whether this machine has the module loaded.
fn status_without_device() -> i32 {
    if Path::new("/sys/module/qda").exists() {
        4
    } else {
        6
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["list", "info", "calc", "sum", "max", "filter", "explain"] {
        let output = qdactl(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(stdout(&output).contains("Example"), "{command}");
    }
    let help = stdout(&qdactl(&["--help"]));
    for status in 0..=9 {
        assert!(help.contains(&format!("\n  {status}  ")), "status {status}");
    }
}

#[test]
fn a_wrong_command_line_is_status_2() {
    for line in [
        &["nonsense"][..],
        &[],
        &["calc"],
        &["sum", "a", "b"],
        &["info", "--dsp", "cdsp", "--device", "/dev/null"],
        &["filter"],
        &["filter", "in.png"],
        &["filter", "in.png", "out.png", "more.png"],
        &["explain"],
        &["explain", "0x8000040d", "no-such-name"],
    ] {
        assert_eq!(qdactl(line).status.code(), Some(2), "{line:?}");
    }
}

#[test]
fn bad_lines_are_reported_with_file_and_line() {
    let path = file("bad.txt", "1\n\n# fine\ntwo\n3000000000\n");
    let path = path.to_str().unwrap();
    for command in ["calc", "sum", "max"] {
        let output = qdactl(&[command, path]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        let text = stderr(&output);
        assert!(
            text.contains(&format!("{path}:4: \"two\" is not an integer")),
            "{text}"
        );
        assert!(
            text.contains(&format!("{path}:5: \"3000000000\" does not fit")),
            "{text}"
        );
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn files_without_numbers_and_missing_files_are_status_3() {
    let empty = file("empty.txt", "# nothing\n");
    let output = qdactl(&["calc", empty.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no number"), "{}", stderr(&output));

    let output = qdactl(&["calc", "/nonexistent/numbers.txt"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("/nonexistent/numbers.txt"));
}

#[test]
fn standard_input_is_read() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_qdactl"))
        .args(["sum", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"5\nsix\n")
        .expect("the program reads");
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("standard input:2: \"six\""));
}

#[test]
fn errors_are_json_too() {
    let path = file("bad-json.txt", "x\n");
    let output = qdactl(&["--json", "sum", path.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!(json["error"]["kind"], "bad-input");
    assert_eq!(json["error"]["status"], 3);
    let message = json["error"]["message"].as_str().expect("a text");
    assert!(message.contains("bad-json.txt:1"), "{message}");
}

#[test]
fn a_node_that_is_not_there() {
    let numbers = file("good.txt", "1\n2\n");
    let numbers = numbers.to_str().unwrap();
    let output = qdactl(&["calc", "--device", "/nonexistent/accel0", numbers]);
    assert_eq!(
        output.status.code(),
        Some(status_without_device()),
        "{}",
        stderr(&output)
    );
    let output = qdactl(&["info", "--device", "/nonexistent/accel0"]);
    assert_eq!(output.status.code(), Some(status_without_device()));
}

#[test]
fn waiting_ends_with_the_same_failure() {
    let start = std::time::Instant::now();
    let output = qdactl(&["info", "--wait", "1", "--device", "/nonexistent/accel0"]);
    let waited = start.elapsed();
    assert_eq!(output.status.code(), Some(status_without_device()));
    assert!(waited.as_millis() >= 1000, "{waited:?}");
    assert!(waited.as_secs() < 30, "{waited:?}");
}

#[test]
fn a_node_of_somebody_else_is_no_device() {
    let output = qdactl(&["info", "--device", "/dev/null"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("not a node of the qda driver"));
}

/// The default picture of "make run".
fn picture() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/data/picture.png"
    ))
}

#[test]
fn the_default_picture_is_the_one_that_is_drawn() {
    let file = std::fs::File::open(picture()).expect("the picture is there");
    let mut reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .expect("a PNG file");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a small picture")];
    let frame = reader.next_frame(&mut bytes).expect("pixels");
    assert_eq!((frame.width, frame.height), (640, 480));
    assert_eq!(frame.color_type, png::ColorType::Rgb);
    // No assert_eq: nobody wants to see all of them.
    assert!(
        bytes == draw_picture::pixels(),
        "draw it again: cargo run -p qdactl --example draw-picture -- tests/data/picture.png"
    );
}

#[test]
fn pictures_that_cannot_be_read_are_status_3() {
    let text = file("text.png", "no picture\n");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("never.png");
    for (input, message) in [
        (text.to_str().unwrap(), "text.png: not a usable PNG file"),
        ("/nonexistent/in.png", "/nonexistent/in.png: No such file"),
        ("/", "/: Is a directory"),
    ] {
        let output = qdactl(&["filter", input, out.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{input}");
        let text = stderr(&output);
        assert!(text.contains(message), "{text}");
        assert!(!out.exists());
    }
}

/// The picture is read before a DSP is looked for, and without one nothing is
/// written.
#[test]
fn a_picture_without_a_dsp_leaves_no_file() {
    let out = file("kept.png", "what was there before");
    let output = qdactl(&[
        "--json",
        "filter",
        "--device",
        "/nonexistent/accel0",
        picture().to_str().unwrap(),
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(status_without_device()));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!(json["error"]["status"], status_without_device());
    assert_eq!(
        std::fs::read_to_string(&out).expect("still there"),
        "what was there before"
    );
}

#[test]
fn codes_are_explained_without_a_device() {
    let output = qdactl(&["explain", "0x8000040d", "-13", "econnrefused"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.starts_with("0x8000040d  AEE_EBADSTATE: bad state"),
        "{text}"
    );
    for part in ["\n13  EACCES: ", "\n111  ECONNREFUSED: ", "UNSIGNED (0x8)"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let output = qdactl(&["--json", "explain", "0x8000040d"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!(json["codes"][0]["readings"][0]["name"], "AEE_EBADSTATE");
}

/// Without a device the search fails with its own status; with one this test has
/// nothing to say about `list`, but a DSP of this name exists nowhere.
#[test]
fn a_dsp_that_is_not_there() {
    let output = qdactl(&["info", "--dsp", "no-such-dsp"]);
    let code = output.status.code();
    assert!(
        code == Some(status_without_device()) || code == Some(5),
        "{code:?}: {}",
        stderr(&output)
    );
}
