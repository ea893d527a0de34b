// SPDX-License-Identifier: GPL-2.0
//! Those who open a node, with all the privileges and none, and what they then try.
//!
//! Each is a child program (`--child opener KIND PATH SOCKET TRIAL...`) that becomes what its kind
//! says and tells the outcome of each trial. A trial has an open file of its own.

use std::os::fd::{
    AsRawFd,
    OwnedFd, //
};
use std::path::Path;

use crate::children::{
    self,
    Helper, //
};
use crate::dsp::{
    self,
    Call,
    File, //
};
use crate::harness::Fail;
use crate::passing;
use crate::raw::{
    self,
    Create, //
};

/// Group that may use a node where one case says so.
pub const GROUP: u32 = 1234;

/// Number of the capability that makes an opener trusted.
const CAP_SYS_ADMIN: u32 = 21;

/// Who opens, and who uses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// Root.
    Root,
    /// An ordinary user that keeps `CAP_SYS_ADMIN` and no other capability.
    CapableUser,
    /// Root opens, then becomes an ordinary user for good.
    Dropping,
    /// Root opens and sends the file to an ordinary user.
    GivenByRoot,
    /// An ordinary user.
    User,
    /// An ordinary user in the group [`GROUP`].
    Member,
    /// Root with all capabilities but `CAP_SYS_ADMIN`.
    Limited,
    /// Root of a user namespace, with all capabilities there.
    Namespace,
    /// An ordinary user opens and sends the file to root.
    GivenByUser,
}

pub const OPENERS: [Opener; 9] = [
    Opener::Root,
    Opener::CapableUser,
    Opener::Dropping,
    Opener::GivenByRoot,
    Opener::User,
    Opener::Member,
    Opener::Limited,
    Opener::Namespace,
    Opener::GivenByUser,
];

impl Opener {
    /// Whether files of this opener are trusted on every DSP.
    pub fn is_trusted(self) -> bool {
        matches!(
            self,
            Opener::Root | Opener::CapableUser | Opener::Dropping | Opener::GivenByRoot
        )
    }

    fn word(self) -> String {
        format!("{self:?}")
    }

    fn parse(word: &str) -> Result<Self, Fail> {
        OPENERS
            .into_iter()
            .find(|opener| opener.word() == word)
            .ok_or_else(|| format!("unknown opener {word}").into())
    }
}

/// What is tried with a fresh file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// To attach to the root process.
    Attach,
    /// To start a process with these attributes.
    Start(u32),
    /// To call a method of a handle, with no process.
    Call(u32),
    /// To be refused an attach and a signed process, and then to start an unsigned process and
    /// work with it. Gives the value of the last step that should succeed.
    Recover,
}

impl Trial {
    fn word(self) -> String {
        match self {
            Trial::Attach => "attach".into(),
            Trial::Start(attrs) => format!("start:{attrs}"),
            Trial::Call(handle) => format!("call:{handle}"),
            Trial::Recover => "recover".into(),
        }
    }

    fn parse(word: &str) -> Result<Self, Fail> {
        let number = |text: &str| text.parse().map_err(|_| format!("bad number {text}"));
        match word.split_once(':') {
            None if word == "attach" => Ok(Trial::Attach),
            None if word == "recover" => Ok(Trial::Recover),
            Some(("start", attrs)) => Ok(Trial::Start(number(attrs)?)),
            Some(("call", handle)) => Ok(Trial::Call(number(handle)?)),
            _ => Err(format!("unknown trial {word}").into()),
        }
    }

    /// Does it; the value of the ioctl.
    pub fn run(self, file: &File) -> Result<i64, Fail> {
        Ok(match self {
            Trial::Attach => file.attach(),
            Trial::Start(attrs) => start(file, attrs),
            Trial::Call(handle) => Call::new(0).on(file.raw(), handle),
            Trial::Recover => {
                for (value, refused) in [
                    (file.attach(), libc::EACCES),
                    (start(file, 0), libc::ECONNREFUSED),
                    (start(file, dsp::UNSIGNED | 1), libc::EACCES),
                ] {
                    if value != -i64::from(refused) {
                        return Err(format!("a refusal gave {}", raw::show(value)).into());
                    }
                }
                let value = start(file, dsp::UNSIGNED);
                if value == 0 {
                    file.still_works()?;
                }
                value
            }
        })
    }
}

/// Starts a process without shell; the value of the ioctl.
pub fn start(file: &File, attrs: u32) -> i64 {
    file.create_with(Create {
        filefd: -1,
        attrs,
        ..Create::default()
    })
}

/// What came of the trials of one opener.
pub struct Report {
    /// The thread that made them.
    pub tid: u32,
    /// One value for each.
    pub values: Vec<i64>,
}

/// Lets an opener try what is in the list.
pub fn report(opener: Opener, path: &Path, trials: &[Trial]) -> Result<Report, Fail> {
    let (own, other) = passing::pair()?;
    let mut words = vec![
        opener.word(),
        path.display().to_string(),
        other.as_raw_fd().to_string(),
    ];
    words.extend(trials.iter().map(|trial| trial.word()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut helper = Helper::start("opener", &words)?;
    drop(other);
    if opener == Opener::GivenByRoot {
        for _ in trials {
            passing::send(
                own.as_raw_fd(),
                dsp::open_path(path).map_err(errno)?.as_raw_fd(),
            )?;
        }
    }
    let mut report = Report {
        tid: number(&helper.line()?)?,
        values: Vec::new(),
    };
    for trial in trials {
        report.values.push(match opener {
            Opener::GivenByUser => {
                let fd = passing::receive(own.as_raw_fd())?.ok_or("no file came")?;
                report.tid = std::process::id();
                trial.run(&File::of(fd))?
            }
            _ => number(&helper.line()?)?,
        });
    }
    helper.success(super::SOON)?;
    Ok(report)
}

fn number<T: std::str::FromStr>(line: &str) -> Result<T, Fail> {
    line.parse()
        .map_err(|_| format!("the child said {line:?}").into())
}

fn errno(errno: i32) -> Fail {
    format!("open gave errno {errno}").into()
}

/// `opener KIND PATH SOCKET TRIAL...`: the child's side of [`report`].
pub fn child(words: &[&str]) -> Result<(), Fail> {
    let [kind, path, socket, trials @ ..] = words else {
        return Err("too few words".into());
    };
    let opener = Opener::parse(kind)?;
    let socket: i32 = number(socket)?;
    let path = Path::new(path);
    let mut files: Vec<OwnedFd> = Vec::new();
    if opener == Opener::Dropping {
        for _ in trials {
            files.push(dsp::open_path(path).map_err(errno)?);
        }
    }
    become_kind(opener)?;
    children::tell(&std::process::id().to_string());
    for word in trials {
        let fd = match opener {
            Opener::Dropping => files.pop().ok_or("too few files")?,
            Opener::GivenByRoot => passing::receive(socket)?.ok_or("no file came")?,
            _ => dsp::open_path(path).map_err(errno)?,
        };
        if opener == Opener::GivenByUser {
            passing::send(socket, fd.as_raw_fd())?;
        } else {
            let value = Trial::parse(word)?.run(&File::of(fd))?;
            children::tell(&value.to_string());
        }
    }
    Ok(())
}

/// `as-user PROGRAM ARGUMENT...`: runs a program as an ordinary user in its place.
pub fn exec_as_user(words: &[&str]) -> Result<(), Fail> {
    use std::os::unix::process::CommandExt;

    children::become_user()?;
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(format!("{program}: {error}").into())
}

/// Becomes what the kind says, at the time of its open().
fn become_kind(opener: Opener) -> Result<(), Fail> {
    match opener {
        Opener::Root => Ok(()),
        Opener::Dropping | Opener::GivenByRoot | Opener::User | Opener::GivenByUser => {
            children::become_user()
        }
        Opener::Member => become_member(),
        Opener::CapableUser => become_capable_user(),
        Opener::Limited => keep_capabilities(!(1 << CAP_SYS_ADMIN)),
        Opener::Namespace => enter_namespace(),
    }
}

fn checked(done: bool, what: &str) -> Result<(), Fail> {
    match done {
        true => Ok(()),
        false => Err(format!("{what}: errno {}", raw::errno()).into()),
    }
}

fn become_member() -> Result<(), Fail> {
    let groups = [GROUP];
    // SAFETY: The array has the one entry that the call is told of.
    checked(
        unsafe { libc::setgroups(1, groups.as_ptr()) } == 0,
        "setgroups",
    )?;
    // SAFETY: Plain numbers.
    let done =
        unsafe { libc::setresgid(1000, 1000, 1000) == 0 && libc::setresuid(1000, 1000, 1000) == 0 };
    checked(done, "becoming a user")
}

fn become_capable_user() -> Result<(), Fail> {
    // SAFETY: Plain numbers.
    let done = unsafe {
        libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
            && libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(1000, 1000, 1000) == 0
            && libc::setresuid(1000, 1000, 1000) == 0
    };
    checked(done, "becoming a user")?;
    keep_capabilities(1 << CAP_SYS_ADMIN)
}

/// Keeps those capabilities of the mask that the thread has.
fn keep_capabilities(mask: u64) -> Result<(), Fail> {
    /// Version 3 of the interface: two words of each kind.
    const VERSION: u32 = 0x2008_0522;
    let mut head = [VERSION, 0];
    // Effective, permitted, inheritable; then the same for the upper half.
    let mut sets = [0u32; 6];
    // SAFETY: Head and sets are as long as this version of the interface says.
    let got = unsafe { libc::syscall(libc::SYS_capget, head.as_mut_ptr(), sets.as_mut_ptr()) };
    checked(got == 0, "capget")?;
    for (at, half) in [(0, mask as u32), (3, (mask >> 32) as u32)] {
        let kept = sets[at + 1] & half;
        sets[at..at + 3].copy_from_slice(&[kept, kept, 0]);
    }
    // SAFETY: As above; nothing is written.
    let set = unsafe { libc::syscall(libc::SYS_capset, head.as_mut_ptr(), sets.as_ptr()) };
    checked(set == 0, "capset")?;
    let has = (sets[0] >> CAP_SYS_ADMIN) & 1 != 0;
    match has == ((mask >> CAP_SYS_ADMIN) & 1 != 0) {
        true => Ok(()),
        false => Err("the capability is not what it should be".into()),
    }
}

fn enter_namespace() -> Result<(), Fail> {
    // SAFETY: A plain number; the program has one thread.
    let done = unsafe { libc::unshare(libc::CLONE_NEWUSER) } == 0;
    checked(done, "unshare")?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", "0 0 1")?;
    std::fs::write("/proc/self/gid_map", "0 0 1")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for opener in OPENERS {
            assert_eq!(Opener::parse(&opener.word()).unwrap(), opener);
        }
        for trial in [
            Trial::Attach,
            Trial::Start(0x4000_0008),
            Trial::Call(2),
            Trial::Recover,
        ] {
            assert_eq!(Trial::parse(&trial.word()).unwrap(), trial);
        }
        assert!(Trial::parse("start:x").is_err());
        assert!(Opener::parse("nobody").is_err());
    }
}
