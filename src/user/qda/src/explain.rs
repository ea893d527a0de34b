// SPDX-License-Identifier: GPL-2.0 OR MIT
//! What an error number means, and what is likely behind it.
//!
//! Numbers come from three places that know nothing of each other: the DSP's
//! results, the errno of the driver, and the FastRPC library's own numbers. A
//! number may fit more than one; then all readings are given.
//!
//! ```
//! let code: qda::explain::Code = "0x8000040d".parse().unwrap();
//! let readings = code.readings();
//! assert_eq!(readings[0].name.as_deref(), Some("AEE_EBADSTATE"));
//! ```

mod table;

use std::fmt;
use std::str::FromStr;

use fastrpc_proto::errors::DspResult;

use self::table::{Entry, DSP, ERRNO, LIBRARY};

/// Largest errno that the kernel returns.
const MAX_ERRNO: u32 = 4095;

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The DSP answered a call with it.
    Dsp,
    /// The driver failed a system call with it.
    Driver,
    /// The FastRPC library of other vendors returned it to its caller.
    Library,
}

impl Origin {
    /// A word for programs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Dsp => "dsp",
            Self::Driver => "driver",
            Self::Library => "library",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dsp => "result of the DSP",
            Self::Driver => "errno of the driver",
            Self::Library => "number of the FastRPC library",
        })
    }
}

/// One meaning of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Who uses the number in this way.
    pub origin: Origin,
    /// The number as this origin writes it.
    pub number: String,
    /// Its name, unless it has none.
    pub name: Option<String>,
    /// What it says.
    pub meaning: String,
    /// Likely causes, and what to do; the likeliest first.
    pub causes: &'static [&'static str],
}

/// A number, or the name of one, that is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 32 bits that can have come from anywhere.
    Bits(u32),
    /// Named: certainly a result of the DSP.
    Dsp(DspResult),
    /// Named: certainly an errno.
    Errno(u32),
}

impl Code {
    /// A result of the DSP.
    pub fn of_result(result: DspResult) -> Self {
        Self(Kind::Dsp(result))
    }

    /// An errno.
    pub fn of_errno(errno: i32) -> Self {
        Self(Kind::Errno(errno.unsigned_abs()))
    }

    /// All meanings that the number can have, the likeliest first. At least one.
    pub fn readings(self) -> Vec<Reading> {
        match self.0 {
            Kind::Dsp(result) => vec![of_dsp(result)],
            Kind::Errno(errno) => vec![of_errno(errno)],
            Kind::Bits(bits) => of_bits(bits),
        }
    }
}

/// Why a word is no [`Code`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is neither a number of 32 bits (0x8000040d, -13, 2147484685) \
     nor a known name (AEE_EBADSTATE, EACCES)"
)]
pub struct UnknownWord(String);

impl FromStr for Code {
    type Err = UnknownWord;

    /// Takes hexadecimal numbers (`0x...`), decimal ones with and without sign, and
    /// names of DSP results and errnos in any case; `AEE_` may be left out.
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let word = word.trim();
        let unknown = || UnknownWord(word.into());
        let lower = word.to_ascii_lowercase();
        if let Some(digits) = lower.strip_prefix("0x") {
            let number = u64::from_str_radix(digits, 16).map_err(|_| unknown())?;
            return bits(number).ok_or_else(unknown);
        }
        if let Ok(number) = lower.parse::<i32>() {
            return Ok(Self(Kind::Bits(number as u32)));
        }
        if let Ok(number) = lower.parse::<u32>() {
            return Ok(Self(Kind::Bits(number)));
        }
        let upper = word.to_ascii_uppercase();
        if let Some(entry) = ERRNO.iter().find(|entry| entry.name == upper) {
            return Ok(Self(Kind::Errno(entry.number)));
        }
        DspResult::from_name(&upper)
            .or_else(|| DspResult::from_name(&format!("AEE_{upper}")))
            .map(Self::of_result)
            .ok_or_else(unknown)
    }
}

/// 32 bits, also if they were printed as 64 with their sign.
fn bits(number: u64) -> Option<Code> {
    let low = number as u32;
    let sign_extended = low as i32 as i64 as u64;
    (number == u64::from(low) || number == sign_extended).then_some(Code(Kind::Bits(low)))
}

/// A bare number.
fn of_bits(bits: u32) -> Vec<Reading> {
    let dsp = of_dsp(DspResult::from_bits(bits));
    // As the kernel returns it, and as programs print it.
    let negative = bits.wrapping_neg();
    if (1..=MAX_ERRNO).contains(&negative) {
        return vec![of_errno(negative), dsp];
    }
    let mut readings = Vec::new();
    if find(ERRNO, bits).is_some() {
        readings.push(of_errno(bits));
    }
    if let Some(entry) = find(LIBRARY, bits) {
        readings.push(Reading {
            origin: Origin::Library,
            number: format!("{bits:#x}"),
            name: Some(entry.name.into()),
            meaning: entry.meaning.into(),
            causes: entry.causes,
        });
    }
    if dsp.name.is_some() || readings.is_empty() {
        readings.insert(0, dsp);
    } else {
        readings.push(dsp);
    }
    readings
}

fn find(table: &'static [Entry], number: u32) -> Option<&'static Entry> {
    table.iter().find(|entry| entry.number == number)
}

fn of_errno(errno: u32) -> Reading {
    let entry = find(ERRNO, errno);
    Reading {
        origin: Origin::Driver,
        number: errno.to_string(),
        name: entry.map(|entry| entry.name.into()),
        meaning: match entry {
            Some(entry) => entry.meaning.into(),
            // At most 32 bits, and no errno is that large.
            None => format!(
                "{}; not an error of the qda driver's own, so of the system or of the transport",
                std::io::Error::from_raw_os_error(errno as i32)
            ),
        },
        causes: entry.map_or(&[], |entry| entry.causes),
    }
}

fn of_dsp(result: DspResult) -> Reading {
    let bits = result.bits();
    Reading {
        origin: Origin::Dsp,
        number: format!("{bits:#x}"),
        name: result.name().map(Into::into),
        meaning: match result.name() {
            Some(_) => result.description().into(),
            None => of_range(bits),
        },
        causes: match find(DSP, bits) {
            Some(entry) => entry.causes,
            None if result.name() == Some("AEE_QURT") => table::QURT,
            None => &[],
        },
    }
}

/// What the place of an unknown result in the order of the numbers says.
fn of_range(bits: u32) -> String {
    match bits {
        0x8000_0400..=0x8000_053f => format!(
            "unknown; error {} of the DSP's common numbers (base 0x80000400), most likely given by \
             the DSP's system and not by the module",
            bits - 0x8000_0400
        ),
        0x8000_0600..=0x8000_0fff => {
            "unknown; in the range of the DSP's remote call layer (from 0x80000600)".into()
        }
        1..=0x7fff_ffff => format!(
            "unknown; {bits} without the base of the DSP's system (0x80000400): most likely the \
             module's own number, see its documentation"
        ),
        _ if (1..=MAX_ERRNO).contains(&bits.wrapping_neg()) => {
            "unknown; as a result of the DSP it cannot be told from an errno. The ioctl CALL gives \
             it in a field of its own"
                .into()
        }
        _ => "unknown; outside the ranges of the DSP's system: most likely the module's own number"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    //! covers: T175

    use super::*;

    fn readings(word: &str) -> Vec<Reading> {
        word.parse::<Code>().unwrap().readings()
    }

    fn names(word: &str) -> Vec<(Origin, Option<String>)> {
        readings(word)
            .into_iter()
            .map(|reading| (reading.origin, reading.name))
            .collect()
    }

    #[test]
    fn one_result_in_all_its_forms() {
        for word in [
            "0x8000040d",
            "0X8000040D",
            "2147484685",
            "-2147482611",
            "0xffffffff8000040d",
            "AEE_EBADSTATE",
            "ebadstate",
            " 0x8000040d ",
        ] {
            let readings = readings(word);
            assert_eq!(readings.len(), 1, "{word}: {readings:?}");
            assert_eq!(readings[0].origin, Origin::Dsp);
            assert_eq!(readings[0].number, "0x8000040d");
            assert_eq!(readings[0].name.as_deref(), Some("AEE_EBADSTATE"));
            assert!(!readings[0].causes.is_empty());
        }
    }

    #[test]
    fn an_errno_in_all_its_forms() {
        for word in ["EACCES", "eacces"] {
            assert_eq!(
                names(word),
                [(Origin::Driver, Some("EACCES".into()))],
                "{word}"
            );
        }
        // A negative number is an errno first, and a DSP may have said it all the same.
        let both = readings("-13");
        assert_eq!(both[0].name.as_deref(), Some("EACCES"));
        assert_eq!(both[1].origin, Origin::Dsp);
        assert!(both[1].meaning.contains("CALL"), "{}", both[1].meaning);
        assert_eq!(readings("0xfffffff3"), both);
        assert_eq!(readings("4294967283"), both);
        let by_name = Code::of_errno(libc::EACCES).readings();
        assert_eq!(by_name[..], both[..1]);
    }

    #[test]
    fn small_numbers_have_several_readings() {
        let reading = |origin, name: &str| (origin, Some(name.to_string()));
        assert_eq!(
            names("14")[..2],
            [
                reading(Origin::Driver, "EFAULT"),
                reading(Origin::Library, "AEE_EBADPARM"),
            ]
        );
        // A name of the DSP comes first.
        assert_eq!(names("104")[0], reading(Origin::Dsp, "AEE_ECONNRESET"));
        assert_eq!(names("0")[..], [reading(Origin::Dsp, "AEE_SUCCESS")]);
    }

    #[test]
    fn unknown_numbers_say_what_their_range_says() {
        for (word, part) in [
            ("0x80000499", "error 153 of the DSP's common numbers"),
            ("0x80000601", "remote call layer"),
            ("0x12345", "module's own number"),
            ("0x80001000", "outside the ranges"),
            ("0x80000000", "outside the ranges"),
        ] {
            let readings = readings(word);
            assert_eq!(readings.len(), 1, "{word}: {readings:?}");
            assert_eq!(readings[0].name, None);
            assert!(readings[0].meaning.contains(part), "{readings:?}");
        }
        let qurt = &readings("0x8000054f")[0];
        assert_eq!(qurt.name.as_deref(), Some("AEE_QURT"));
        assert!(!qurt.causes.is_empty());
        let errno = &readings("-200")[0];
        assert_eq!((errno.origin, &errno.name), (Origin::Driver, &None));
    }

    #[test]
    fn words_that_are_no_codes() {
        for word in [
            "",
            "0x",
            "0x1ffffffff",
            "0x7fffffff8000040d",
            "4294967296",
            "-2147483649",
            "12three",
            "AEE_",
            "ENOSUCH",
            "0x-1",
        ] {
            let error = word.parse::<Code>().unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn every_named_result_has_causes() {
        for result in DspResult::known() {
            if result.is_success() {
                continue;
            }
            let reading = of_dsp(result);
            assert!(!reading.causes.is_empty(), "{reading:?}");
        }
        for entry in DSP {
            let result = DspResult::from_bits(entry.number);
            assert_eq!(result.name(), Some(entry.name), "{:#x}", entry.number);
        }
    }

    #[test]
    fn errno_names_are_the_systems() {
        for (name, number) in [
            ("EPERM", libc::EPERM),
            ("ENOENT", libc::ENOENT),
            ("EINTR", libc::EINTR),
            ("E2BIG", libc::E2BIG),
            ("EBADF", libc::EBADF),
            ("ENOMEM", libc::ENOMEM),
            ("EACCES", libc::EACCES),
            ("EFAULT", libc::EFAULT),
            ("EBUSY", libc::EBUSY),
            ("EEXIST", libc::EEXIST),
            ("ENODEV", libc::ENODEV),
            ("EINVAL", libc::EINVAL),
            ("ENOTTY", libc::ENOTTY),
            ("ENOSPC", libc::ENOSPC),
            ("EPIPE", libc::EPIPE),
            ("EOPNOTSUPP", libc::EOPNOTSUPP),
            ("ENOTCONN", libc::ENOTCONN),
            ("ETIMEDOUT", libc::ETIMEDOUT),
            ("ECONNREFUSED", libc::ECONNREFUSED),
            ("EDQUOT", libc::EDQUOT),
        ] {
            let entry = find(ERRNO, number as u32).unwrap();
            assert_eq!(entry.name, name);
            assert!(!entry.causes.is_empty());
        }
        assert_eq!(ERRNO.len(), 20, "an entry that is not compared above");
    }

    #[test]
    fn no_table_has_a_number_twice() {
        for table in [DSP, ERRNO, LIBRARY] {
            for (at, entry) in table.iter().enumerate() {
                let later = &table[at + 1..];
                assert!(later.iter().all(|other| other.number != entry.number));
                assert!(!entry.meaning.is_empty());
            }
        }
    }
}
