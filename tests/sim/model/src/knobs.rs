// SPDX-License-Identifier: GPL-2.0

//! Misbehaviour on demand: what a test told the DSP to do with calls, with the replies of maps, with
//! messages and fd lists, and with the packets that answer.
//!
//! Pure: commands are text of the control file, described in `tests/sim/README.md`.

use super::packets::Form;
use super::wire::{handle, Request, FDS};

/// Calls that knobs can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// ATTACH.
    Attach,
    /// RELEASE.
    Release,
    /// CREATE and CREATE_ATTR.
    Create,
    /// MMAP.
    Mmap,
    /// MUNMAP.
    Munmap,
    /// MEM_MAP.
    MemMap,
    /// MEM_UNMAP.
    MemUnmap,
    /// The capability table.
    Capabilities,
    /// Every call of a module that a process opened.
    Call,
}

/// Number of methods.
const METHODS: usize = 9;
/// Bytes of a command that is put off, at most.
const COMMAND: usize = 64;

impl Method {
    /// The method that a request calls.
    pub fn of(req: &Request) -> Option<Self> {
        match (req.handle, req.method()) {
            (handle::PROCESS_MANAGER, 0) => Some(Self::Attach),
            (handle::PROCESS_MANAGER, 1) => Some(Self::Release),
            (handle::PROCESS_MANAGER, 4) => Some(Self::Mmap),
            (handle::PROCESS_MANAGER, 5) => Some(Self::Munmap),
            (handle::PROCESS_MANAGER, 6 | 7) => Some(Self::Create),
            (handle::PROCESS_MANAGER, 10) => Some(Self::MemMap),
            (handle::PROCESS_MANAGER, 11) => Some(Self::MemUnmap),
            (handle::UTILITIES, 0) => Some(Self::Capabilities),
            (n, _) if n > handle::MAX_STATIC => Some(Self::Call),
            _ => None,
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"attach" => Self::Attach,
            b"release" => Self::Release,
            b"create" => Self::Create,
            b"mmap" => Self::Mmap,
            b"munmap" => Self::Munmap,
            b"mem_map" => Self::MemMap,
            b"mem_unmap" => Self::MemUnmap,
            b"capabilities" => Self::Capabilities,
            b"call" => Self::Call,
            _ => return None,
        })
    }
}

/// A value that is used some number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    value: u64,
    /// How often still; `u32::MAX` for always.
    times: u32,
}

impl Rule {
    const NONE: Self = Self { value: 0, times: 0 };

    fn take(&mut self) -> Option<u64> {
        match self.times {
            0 => return None,
            u32::MAX => {}
            n => self.times = n - 1,
        }
        Some(self.value)
    }
}

/// The rules for one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules {
    delay: Rule,
    ignore: Rule,
    answer: Rule,
    lie: Rule,
}

impl Rules {
    const NONE: Self = Self {
        delay: Rule::NONE,
        ignore: Rule::NONE,
        answer: Rule::NONE,
        lie: Rule::NONE,
    };
}

/// What becomes of a request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done and answered.
    Normal,
    /// It is neither done nor answered.
    Ignore,
    /// It is answered with this result, but not done.
    Answer(u32),
    /// It is done, and answered with this result.
    Lie(u32),
}

/// When the DSP dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Instead of an answer.
    Before,
    /// Right after an answer.
    After,
}

/// Packets beside or in place of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extra {
    form: Option<Form>,
    /// Counts answers; its value is the number of packets for each.
    rule: Rule,
}

impl Extra {
    const NONE: Self = Self {
        form: None,
        rule: Rule::NONE,
    };

    fn take(&mut self) -> Option<(Form, u32)> {
        let copies = self.rule.take()?;
        self.form.map(|f| (f, copies as u32))
    }
}

/// A command for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Later {
    /// Requests until then; 0 for none.
    requests: u32,
    text: [u8; COMMAND],
    len: usize,
}

/// All knobs of a DSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    rules: [Rules; METHODS],
    vaddr: Rule,
    scribble: Rule,
    toggle: Rule,
    overwrite: Rule,
    wrong: Rule,
    before: Extra,
    shape: Extra,
    after: Extra,
    crash: Option<(Crash, Option<u64>)>,
    /// Milliseconds after which a DSP that crashed comes back.
    restart: Option<u64>,
    later: Later,
    drops: [u64; FDS],
    ndrops: usize,
}

/// A number, decimal or hexadecimal with 0x.
pub fn number(word: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(word).ok()?;
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A result.
fn result(word: &[u8]) -> Option<u64> {
    number(word).filter(|v| *v <= u64::from(u32::MAX))
}

/// How often; once when nothing is said.
fn times(word: Option<&[u8]>) -> Option<u32> {
    match word {
        None => Some(1),
        Some(b"always") => Some(u32::MAX),
        Some(w) => u32::try_from(number(w)?).ok(),
    }
}

impl Knobs {
    /// A DSP that behaves.
    pub const NONE: Self = Self {
        rules: [Rules::NONE; METHODS],
        vaddr: Rule::NONE,
        scribble: Rule::NONE,
        toggle: Rule::NONE,
        overwrite: Rule::NONE,
        wrong: Rule::NONE,
        before: Extra::NONE,
        shape: Extra::NONE,
        after: Extra::NONE,
        crash: None,
        restart: None,
        later: Later {
            requests: 0,
            text: [0; COMMAND],
            len: 0,
        },
        drops: [0; FDS],
        ndrops: 0,
    };

    /// Carries out a command; `None`, and nothing done, when it is not understood.
    pub fn command(&mut self, text: &[u8]) -> Option<()> {
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty());
        let verb = words.next()?;
        match verb {
            b"normal" => {
                words.next().is_none().then_some(())?;
                *self = Self::NONE;
            }
            b"droplist" => {
                let mut drops = [0u64; FDS];
                let mut n = 0usize;
                for word in words {
                    *drops.get_mut(n)? = number(word)?;
                    n += 1;
                }
                (self.drops, self.ndrops) = (drops, n);
            }
            b"vaddr" | b"scribble" | b"toggle" | b"overwrite" => {
                let value = number(words.next()?)?;
                let times = times(words.next())?;
                words.next().is_none().then_some(())?;
                let rule = match verb {
                    b"vaddr" => &mut self.vaddr,
                    b"scribble" => &mut self.scribble,
                    b"overwrite" => &mut self.overwrite,
                    _ => &mut self.toggle,
                };
                *rule = Rule { value, times };
            }
            b"wrong" => {
                let times = times(words.next())?;
                words.next().is_none().then_some(())?;
                self.wrong = Rule { value: 1, times };
            }
            b"before" | b"as" | b"after" => {
                let form = Form::parse(words.next()?, number(words.next()?)?)?;
                let times = times(words.next())?;
                let value = match words.next() {
                    Some(word) => number(word).filter(|n| (1..=255).contains(n))?,
                    None => 1,
                };
                words.next().is_none().then_some(())?;
                // A call whose answer has no proper form would never end.
                (verb != b"as" || (form.completes() && value == 1)).then_some(())?;
                let extra = match verb {
                    b"before" => &mut self.before,
                    b"as" => &mut self.shape,
                    _ => &mut self.after,
                };
                *extra = Extra {
                    form: Some(form),
                    rule: Rule { value, times },
                };
            }
            b"crash" => {
                let when = match words.next()? {
                    b"before" => Crash::Before,
                    b"after" => Crash::After,
                    _ => return None,
                };
                let restart = match words.next() {
                    Some(word) => Some(number(word)?),
                    None => None,
                };
                words.next().is_none().then_some(())?;
                self.crash = Some((when, restart));
            }
            b"in" => {
                let requests = u32::try_from(number(words.next()?)?).ok()?;
                let (mut text, mut len) = ([0u8; COMMAND], 0usize);
                for word in words {
                    for byte in word.iter().chain(b" ") {
                        *text.get_mut(len)? = *byte;
                        len += 1;
                    }
                }
                // It must be a command that can be carried out, and no other delay.
                let now = text.get(..len)?;
                (requests != 0 && !now.starts_with(b"in ")).then_some(())?;
                let mut trial = Self::NONE;
                trial.command(now)?;
                self.later = Later {
                    requests,
                    text,
                    len,
                };
            }
            b"answer" | b"lie" | b"delay" | b"ignore" => {
                let method = Method::parse(words.next()?)?;
                let value = match verb {
                    b"ignore" => 0,
                    b"delay" => number(words.next()?)?,
                    _ => result(words.next()?)?,
                };
                let times = times(words.next())?;
                words.next().is_none().then_some(())?;
                let rules = self.rules.get_mut(method as usize)?;
                let rule = match verb {
                    b"answer" => &mut rules.answer,
                    b"lie" => &mut rules.lie,
                    b"delay" => &mut rules.delay,
                    _ => &mut rules.ignore,
                };
                *rule = Rule { value, times };
            }
            _ => return None,
        }
        Some(())
    }

    /// A request arrived: carries out the command that was put off until then.
    pub fn count(&mut self) {
        let Later {
            requests,
            text,
            len,
        } = self.later;
        self.later.requests = requests.saturating_sub(1);
        if requests == 1 {
            // It was tried when it was given.
            let _ = text.get(..len).map(|t| self.command(t));
        }
    }

    /// Whether the DSP dies with the next answer.
    pub fn crash(&mut self) -> Option<Crash> {
        let (crash, restart) = self.crash.take()?;
        self.restart = restart;
        Some(crash)
    }

    /// Milliseconds after which the DSP that crashed comes back, if it does.
    pub fn restart(&mut self) -> Option<u64> {
        self.restart.take()
    }

    /// Packets before the next answer, and how many.
    pub fn before(&mut self) -> Option<(Form, u32)> {
        self.before.take()
    }

    /// Packets after the next answer, and how many.
    pub fn after(&mut self) -> Option<(Form, u32)> {
        self.after.take()
    }

    /// The form of the next answer, if it is not the usual one.
    pub fn shape(&mut self) -> Option<Form> {
        self.shape.take().map(|(form, _)| form)
    }

    /// Seed of what the message of the next answered call becomes behind its answer.
    pub fn overwrite(&mut self) -> Option<u64> {
        self.overwrite.take()
    }

    /// Is the next sum of the calculator a wrong one?
    pub fn wrong(&mut self) -> bool {
        self.wrong.take().is_some()
    }

    /// Milliseconds that a request has to wait.
    pub fn delay(&mut self, req: &Request) -> Option<u64> {
        let rules = self.rules.get_mut(Method::of(req)? as usize)?;
        rules.delay.take()
    }

    /// What becomes of a request that is due.
    pub fn fate(&mut self, req: &Request) -> Fate {
        let method = Method::of(req).map(|m| m as usize);
        let Some(rules) = method.and_then(|m| self.rules.get_mut(m)) else {
            return Fate::Normal;
        };
        if rules.ignore.take().is_some() {
            return Fate::Ignore;
        }
        if let Some(value) = rules.answer.take() {
            return Fate::Answer(value as u32);
        }
        match rules.lie.take() {
            Some(value) => Fate::Lie(value as u32),
            None => Fate::Normal,
        }
    }

    /// The address that the next map reply carries, if it is not a free one.
    pub fn vaddr(&mut self) -> Option<u64> {
        self.vaddr.take()
    }

    /// Seed of what the metadata of the next answered call becomes.
    pub fn scribble(&mut self) -> Option<u64> {
        self.scribble.take()
    }

    /// Milliseconds for which the fd list of the next answered call changes.
    pub fn toggle(&mut self) -> Option<u64> {
        self.toggle.take()
    }

    /// Values for the fd list of the next answered call; once.
    pub fn drops(&mut self) -> Option<([u64; FDS], usize)> {
        let n = core::mem::take(&mut self.ndrops);
        (n != 0).then_some((self.drops, n))
    }
}
