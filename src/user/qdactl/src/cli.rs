// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use qda::explain::Code;

const EXIT_STATUS: &str = "\
Exit status:
  0  success; for jobs: DSP and CPU agree
  1  DSP and CPU do not agree
  2  wrong command line
  3  the input file cannot be used
  4  no device: the driver has no such DSP
  5  permission denied
  6  the module qda is not loaded
  7  the DSP is busy: no free context bank
  8  the DSP answered with an error
  9  any other error of the system";

const EXAMPLES: &str = "\
Examples:
  qdactl list
  qdactl info --dsp adsp
  qdactl calc numbers.txt
  qdactl filter photo.png edges.png
  qdactl explain 0x8000040d
  seq 1 100 | qdactl --json sum -";

const FILE_FORMAT: &str = "\
Input file:
  One integer of 32 bits with sign per line (-2147483648..2147483647). Blank
  lines and lines that start with # are left out. A number that does not fit is
  refused, it is not wrapped. \"-\" is standard input. Long files take several
  remote calls, 131072 numbers each.";

const CALC_HELP: &str = "\
Example:
  $ qdactl calc numbers.txt
  DSP           cdsp
  node          /dev/accel/accel0
  context bank  1
  session       1
  input         numbers.txt: 1000 numbers, 2 remote calls

  result   on the DSP  on the CPU  agree
  sum          499500      499500  yes
  maximum         999         999  yes";

const PICTURES: &str = "\
Pictures:
  The input is a PNG file of any colour type. Colours become shades of grey (ITU-R
  BT.601), of 16-bit samples the upper 8 bits count, and pixels that are not opaque
  are refused. The output is a grey PNG file of the same size: each pixel is the
  strength of the edge there (Sobel). It is written only if DSP and CPU agree in
  every pixel; else a file of this name stays as it was.

  The pixels are in two buffers that CPU and DSP share. \"bytes copied\" is what the
  kernel copied for the call: the 16 bytes that describe the picture, and none of
  the pixels.";

const FILTER_HELP: &str = "\
Example:
  $ qdactl filter photo.png edges.png
  DSP           cdsp
  node          /dev/accel/accel0
  context bank  1
  session       1
  input         photo.png: 640 x 480 pixels
  output        edges.png

  method    time  bytes in buffers  bytes copied  of them pixels  agree
  sobel   2.1 ms            614400            16               0  yes";

const CODES: &str = "\
Codes:
  Numbers with 32 bits, hexadecimal (0x8000040d) or decimal (2147484685, -13), and
  names (AEE_EBADSTATE, EACCES; upper or lower case). They come from the DSP, from
  the driver (errno) or from the FastRPC library; where a number fits more than one
  of them, all meanings are shown, the likeliest first.";

const EXPLAIN_HELP: &str = "\
Example:
  $ qdactl explain 0x8000042c
  0x8000042c  AEE_EINVHANDLE: invalid handle (result of the DSP)
    - the module was closed, or was opened in another process: handles belong to one session
    - the handle is a number of an earlier session";

/// Shows the DSPs of the qda driver and runs jobs on them.
#[derive(Debug, Parser)]
#[command(name = "qdactl", version, after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
pub struct Arguments {
    /// Print one JSON object instead of text, also for errors
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

/// Which DSP a command uses.
#[derive(Debug, Args)]
pub struct Target {
    /// Name of the DSP, as "qdactl list" shows it
    #[arg(long, value_name = "NAME", default_value = "cdsp")]
    pub dsp: String,

    /// Device node, instead of looking for a DSP by name
    #[arg(long, value_name = "PATH", conflicts_with = "dsp")]
    pub device: Option<PathBuf>,

    /// Wait up to this many seconds for the DSP to appear, as at boot
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u32,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the DSPs of this machine
    #[command(after_help = "Example:\n  qdactl --json list")]
    List,

    /// Show what is known about one DSP; sends nothing to it
    #[command(after_help = "Examples:\n  qdactl info\n  qdactl info --dsp adsp")]
    Info {
        #[command(flatten)]
        target: Target,
    },

    /// Compute sum and maximum of a file on the DSP and compare with the CPU
    #[command(after_help = format!("{FILE_FORMAT}\n\n{CALC_HELP}"))]
    Calc {
        #[command(flatten)]
        target: Target,
        /// File with one integer per line
        file: String,
    },

    /// Compute the sum of a file on the DSP and compare with the CPU
    #[command(after_help = format!("{FILE_FORMAT}\n\nExample:\n  qdactl sum numbers.txt"))]
    Sum {
        #[command(flatten)]
        target: Target,
        /// File with one integer per line
        file: String,
    },

    /// Find the largest number of a file on the DSP and compare with the CPU
    #[command(after_help = format!("{FILE_FORMAT}\n\nExample:\n  qdactl max numbers.txt"))]
    Max {
        #[command(flatten)]
        target: Target,
        /// File with one integer per line
        file: String,
    },

    /// Find the edges of a picture on the DSP, without copying a pixel, and compare
    /// with the CPU
    #[command(after_help = format!("{PICTURES}\n\n{FILTER_HELP}"))]
    Filter {
        #[command(flatten)]
        target: Target,
        /// Picture to read, a PNG file
        input: PathBuf,
        /// Picture to write, a PNG file
        output: PathBuf,
    },

    /// Say what error numbers of the DSP and the driver mean, with likely causes
    #[command(after_help = format!("{CODES}\n\n{EXPLAIN_HELP}"))]
    Explain {
        /// Numbers or names
        #[arg(required = true, value_name = "CODE", allow_negative_numbers = true)]
        codes: Vec<Code>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report as _;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_dsp_and_a_node_exclude_each_other() {
        let both = [
            "qdactl",
            "info",
            "--dsp",
            "cdsp",
            "--device",
            "/dev/accel/accel0",
        ];
        assert!(Arguments::try_parse_from(both).is_err());
        let one = ["qdactl", "info", "--device", "/dev/accel/accel0"];
        assert!(Arguments::try_parse_from(one).is_ok());
    }

    #[test]
    fn json_is_understood_before_and_behind_the_command() {
        for line in [["qdactl", "--json", "list"], ["qdactl", "list", "--json"]] {
            assert!(Arguments::try_parse_from(line).unwrap().json);
        }
    }

    #[test]
    fn the_help_shows_a_real_explanation() {
        let (_, example) = EXPLAIN_HELP.split_once("0x8000042c\n").unwrap();
        let code = "0x8000042c".parse::<Code>().unwrap();
        let text = crate::report::ExplainReport::new(&[code]).text();
        let plain: Vec<&str> = example.lines().map(str::trim_start).collect();
        assert_eq!(text.lines().map(str::trim_start).collect::<Vec<_>>(), plain);
    }

    #[test]
    fn negative_numbers_are_codes() {
        let line = ["qdactl", "explain", "-13", "0x8000040d", "eacces"];
        match Arguments::try_parse_from(line).unwrap().command {
            Command::Explain { codes } => assert_eq!(codes.len(), 3),
            other => panic!("{other:?}"),
        }
        assert!(Arguments::try_parse_from(["qdactl", "explain"]).is_err());
    }

    #[test]
    fn the_help_knows_the_real_size_of_a_call() {
        let size = qda::calculator::NUMBERS_PER_CALL.to_string();
        assert!(FILE_FORMAT.contains(&size));
        let copied = qda::filter::Filter::BYTES_COPIED;
        assert!(PICTURES.contains(&format!("the {copied} bytes that describe")));
    }
}
