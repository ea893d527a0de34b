// SPDX-License-Identifier: GPL-2.0

//! Commands of the control file that are carried out at once, and those that start a storm. The
//! others are `knobs`. Described in `tests/sim/README.md`.

use super::env::Env;
use super::hostile::Ignored;
use super::knobs::number;
use super::packets::Form;
use super::state::State;
use super::storm::{Kind, Storm};

/// A command.
pub enum Order {
    /// Looks whether memory that is in use has its pages.
    Check,
    /// Overwrites the messages of ignored calls, or answers them.
    Ignored(Ignored),
    /// Sends so many packets of a form.
    Send(Form, u32),
    /// Begins a storm, or ends it.
    Storm(Storm),
    /// So many packets whenever the channel comes or goes.
    Talk(u32),
}

impl Order {
    /// Takes a command apart; `None` if it is none of these.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty());
        let verb = words.next()?;
        let order = match verb {
            b"check" => Self::Check,
            b"haunt" => Self::Ignored(Ignored::Overwrite(number(words.next()?)?)),
            b"settle" => {
                let retval = u32::try_from(number(words.next()?)?).ok()?;
                Self::Ignored(Ignored::Answer(retval))
            }
            b"send" => {
                let form = Form::parse(words.next()?, number(words.next()?)?)?;
                let copies = match words.next() {
                    Some(word) => number(word).filter(|n| (1..=255).contains(n))?,
                    None => 1,
                };
                Self::Send(form, copies as u32)
            }
            b"storm" => {
                let kind = Kind::parse(words.next()?)?;
                let (count, rate) = (number(words.next()?)?, number(words.next()?)?);
                let seed = match words.next() {
                    Some(word) => number(word)?,
                    None => 1,
                };
                Self::Storm(Storm::new(kind, count, rate, seed))
            }
            b"fuzz" => {
                let (seed, count) = (number(words.next()?)?, number(words.next()?)?);
                let rate = match words.next() {
                    Some(word) => number(word)?,
                    None => 0,
                };
                Self::Storm(Storm::new(Kind::Fuzz, count, rate, seed))
            }
            b"quiet" => Self::Storm(Storm::NONE),
            b"talk" => Self::Talk(u32::try_from(number(words.next()?)?).ok()?),
            _ => return None,
        };
        words.next().is_none().then_some(order)
    }
}

impl State<'_> {
    /// Carries out a command; `None` when there was nothing that it could be done to.
    pub fn order(&mut self, env: &mut impl Env, order: Order) -> Option<()> {
        match order {
            Order::Check => self.check_all(env),
            Order::Ignored(act) => {
                if self.ignored_calls(env, act) == 0 {
                    return None;
                }
            }
            Order::Send(form, copies) => self.send_now(env, form, copies),
            Order::Storm(storm) => self.t.core.storm = storm,
            Order::Talk(packets) => self.t.core.talk = packets,
        }
        Some(())
    }
}
