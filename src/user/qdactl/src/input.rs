// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The input file: one 32-bit integer with sign per line.

use std::fmt;
use std::io::Read as _;
use std::num::IntErrorKind;

/// So many bad lines are listed; more are only counted.
const LISTED: usize = 10;

/// So many characters of a bad line are shown.
const SHOWN: usize = 40;

/// Why a file cannot be used.
#[derive(Debug)]
pub enum InputError {
    /// The file could not be read.
    Read {
        file: String,
        source: std::io::Error,
    },
    /// Lines that are no numbers, or numbers that do not fit.
    Lines { file: String, bad: Vec<BadLine> },
    /// A file without a number.
    Empty { file: String },
}

/// One line that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Number of the line, from 1.
    pub line: usize,
    /// The line, shortened and made printable.
    pub text: String,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NotAnInteger,
    DoesNotFit,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnInteger => "is not an integer",
            Self::DoesNotFit => "does not fit 32 bits with sign (-2147483648..2147483647)",
        })
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => write!(f, "{file}: {source}"),
            Self::Empty { file } => write!(f, "{file}: there is no number in it"),
            Self::Lines { file, bad } => {
                for (at, bad) in bad.iter().take(LISTED).enumerate() {
                    if at != 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{file}:{}: \"{}\" {}", bad.line, bad.text, bad.reason)?;
                }
                if bad.len() > LISTED {
                    write!(f, "\n{file}: {} more bad lines", bad.len() - LISTED)?;
                }
                Ok(())
            }
        }
    }
}

/// Reads a file, "-" being standard input.
pub fn read(file: &str) -> Result<Vec<i32>, InputError> {
    let mut bytes = Vec::new();
    let (name, outcome) = if file == "-" {
        (
            "standard input",
            std::io::stdin().lock().read_to_end(&mut bytes),
        )
    } else {
        let outcome = std::fs::File::open(file).and_then(|mut f| f.read_to_end(&mut bytes));
        (file, outcome)
    };
    outcome.map_err(|source| InputError::Read {
        file: name.into(),
        source,
    })?;
    parse(name, &bytes)
}

/// Reads the bytes of a file named `file`.
fn parse(file: &str, bytes: &[u8]) -> Result<Vec<i32>, InputError> {
    let mut numbers = Vec::new();
    let mut bad = Vec::new();
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        match number(line) {
            Ok(number) => numbers.push(number),
            Err(reason) => bad.push(BadLine {
                line: at + 1,
                text: printable(line),
                reason,
            }),
        }
    }
    if !bad.is_empty() {
        return Err(InputError::Lines {
            file: file.into(),
            bad,
        });
    }
    if numbers.is_empty() {
        return Err(InputError::Empty { file: file.into() });
    }
    Ok(numbers)
}

fn number(line: &[u8]) -> Result<i32, Reason> {
    let text = std::str::from_utf8(line).map_err(|_| Reason::NotAnInteger)?;
    text.parse()
        .map_err(|error: std::num::ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Reason::DoesNotFit,
            _ => Reason::NotAnInteger,
        })
}

/// A line as it can be shown on a terminal.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(|c| c.escape_debug())
        .collect();
    if text.chars().count() > SHOWN {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &[u8]) -> Vec<BadLine> {
        match parse("f", text) {
            Err(InputError::Lines { bad, .. }) => bad,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_blank_lines_and_comments() {
        let text = b"# a comment\n1\n\n  -2 \r\n\t# another\n+3\n2147483647\n-2147483648";
        assert_eq!(parse("f", text).unwrap(), [1, -2, 3, i32::MAX, i32::MIN]);
    }

    #[test]
    fn bad_lines_come_with_their_numbers() {
        let bad = bad(b"1\nx\n# c\n3.5\n4 5\n\xff\xfe\n6");
        let lines: Vec<_> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [2, 4, 5, 6]);
        assert!(bad.iter().all(|bad| bad.reason == Reason::NotAnInteger));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for text in ["2147483648", "-2147483649", "99999999999999999999999999"] {
            let bad = bad(text.as_bytes());
            assert_eq!(bad[0].reason, Reason::DoesNotFit, "{text}");
        }
    }

    #[test]
    fn files_without_numbers_are_refused() {
        for text in ["", "\n\n", "# only a comment\n"] {
            assert!(
                matches!(parse("f", text.as_bytes()), Err(InputError::Empty { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn messages_name_file_and_line() {
        let error = parse("data/x.txt", b"1\n2147483648\nabc\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "data/x.txt:2: \"2147483648\" does not fit 32 bits with sign \
             (-2147483648..2147483647)\n\
             data/x.txt:3: \"abc\" is not an integer"
        );
    }

    #[test]
    fn long_lists_and_long_lines_are_cut() {
        let error = parse("f", "x\n".repeat(25).as_bytes()).unwrap_err();
        let text = error.to_string();
        assert_eq!(text.lines().count(), LISTED + 1);
        assert!(text.ends_with("15 more bad lines"), "{text}");

        let bad = bad(format!("\x1b[2J{}", "y".repeat(100)).as_bytes());
        assert!(!bad[0].text.contains('\x1b'), "{:?}", bad[0].text);
        assert!(bad[0].text.ends_with("..."));
    }

    /// The default input is what its description says.
    #[test]
    fn the_default_input_fits_its_description() {
        let numbers = parse(
            "numbers.txt",
            include_bytes!("../../../../tests/data/numbers.txt"),
        )
        .unwrap();
        let described = |name: &str| -> i64 {
            include_str!("../../../../tests/data/README")
                .lines()
                .find_map(|line| line.trim().strip_prefix(name)?.trim().parse().ok())
                .unwrap_or_else(|| panic!("the description has no line \"{name}\""))
        };
        assert_eq!(numbers.len() as i64, described("numbers "));
        let negative = numbers.iter().filter(|&&n| n < 0).count();
        assert_eq!(negative as i64, described("negative "));
        let sum: i64 = numbers.iter().copied().map(i64::from).sum();
        assert_eq!(sum, described("sum "));
        let extremes = (numbers.iter().min(), numbers.iter().max());
        let (Some(&smallest), Some(&largest)) = extremes else {
            panic!("no numbers");
        };
        assert_eq!(i64::from(smallest), described("smallest "));
        assert_eq!(i64::from(largest), described("largest "));
    }
}
