// SPDX-License-Identifier: GPL-2.0

//! What the model needs from the world around it.
//!
//! Implemented by the kernel glue (SMMU domains, rpmsg, debugfs) and by the host
//! tests (vectors). The model calls it with no lock of its own; the owner of the
//! tables serialises all calls into the model.

use super::packets::Packet;
use core::fmt;

/// An access of the DSP that the SMMU does not translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stream id of the access, the protocol's SID.
    pub sid: u32,
    /// First address that did not translate, without SID prefix.
    pub iova: u64,
    /// The access was a write.
    pub write: bool,
}

/// The world around the DSP.
pub trait Env {
    /// Number of sessions of the context bank `sid`, `None` when there is no such bank.
    fn bank_sessions(&mut self, sid: u32) -> Option<u32>;

    /// Physical address behind `iova`, `None` when the SMMU does not translate it.
    fn translate(&mut self, sid: u32, iova: u64) -> Option<u64>;

    /// Is the page of `iova`, which translates, mapped for writing? True when nobody can tell.
    fn writable(&mut self, sid: u32, iova: u64) -> bool;

    /// Reads memory as the DSP does. Nothing is promised about `buf` after a fault.
    fn read(&mut self, sid: u32, iova: u64, buf: &mut [u8]) -> Result<(), Fault>;

    /// Writes memory as the DSP does; pages must be mapped for writing. Pages before the faulting one may be written.
    fn write(&mut self, sid: u32, iova: u64, buf: &[u8]) -> Result<(), Fault>;

    /// Sends a response. The driver may see it before this returns.
    fn answer(&mut self, ctx: u64, retval: u32);

    /// Sends any packet, well-formed or not.
    fn packet(&mut self, packet: &Packet);

    /// Reports something that a correct driver does not do.
    fn violation(&mut self, what: fmt::Arguments<'_>);

    /// Reports an access of the DSP that the SMMU stopped.
    fn fault(&mut self, fault: Fault);

    /// Called now and then by what takes long: the owner may let others run.
    fn rest(&mut self);

    /// Milliseconds of a clock that does not go back.
    fn now_ms(&mut self) -> u64;
}
