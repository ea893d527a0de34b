// SPDX-License-Identifier: GPL-2.0

//! Memory as the DSP sees it: through the IOMMU domain of a context bank.
//!
//! A bank is found among the children of the channel's device by its device-tree node, so
//! that the platform devices of the in-tree driver and the private bus devices of others
//! serve alike. Nothing is kept between two calls: [`Banks`] lives for one message, under
//! the firmware lock, and the channel's driver cannot have removed its banks then (see
//! `transport`). Takes no lock itself.
//!
//! Whether a page is mapped for writing is asked of the SMMU's page table in a way that only
//! the SMMUv3 driver has (see `smmu.c`); behind any other IOMMU every page counts as writable.

use super::bindings;
use super::transport::ChannelDevice;
use crate::model::{env::Fault, wire::PAGE};
use core::ptr;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::CStr, //
};

/// Banks looked up while one message is at work. Most messages need one.
const CACHE: usize = 2;

#[derive(Clone, Copy)]
struct Bank {
    sid: u32,
    sessions: u32,
    dev: *mut bindings::device,
}

/// The context banks of a channel.
///
/// # Invariants
///
/// Every cached device pointer carries a reference.
pub(crate) struct Banks<'a> {
    channel: &'a ChannelDevice,
    cache: [Option<Bank>; CACHE],
}

impl<'a> Banks<'a> {
    /// No bank looked up yet.
    pub(crate) fn new(channel: &'a ChannelDevice) -> Self {
        Self {
            channel,
            cache: [None; CACHE],
        }
    }

    /// Number of sessions of bank `sid`, `None` if the driver made no such bank.
    pub(crate) fn sessions(&mut self, sid: u32) -> Option<u32> {
        self.find(sid).map(|b| b.sessions)
    }

    fn find(&mut self, sid: u32) -> Option<Bank> {
        if let Some(b) = self.cache.iter().flatten().find(|b| b.sid == sid) {
            return Some(*b);
        }
        // SAFETY: The channel's device is alive; `match_bank` takes a pointer to a SID.
        let dev = unsafe {
            bindings::device_find_child(
                self.channel.as_raw(),
                ptr::from_ref(&sid).cast::<c_void>(),
                Some(match_bank),
            )
        };
        if dev.is_null() {
            return None;
        }
        // SAFETY: `dev` is a referenced device whose node matched.
        let sessions = unsafe { read_u32((*dev).of_node, c"qcom,nsessions") };
        let bank = Bank {
            sid,
            sessions: sessions.unwrap_or(1).max(1),
            dev,
        };
        // INVARIANT: `device_find_child` returned a reference, which the entry owns.
        let old = self.cache.rotate_and_set(bank);
        if let Some(old) = old {
            // SAFETY: The entry owned a reference.
            unsafe { bindings::put_device(old.dev) };
        }
        Some(bank)
    }

    /// Physical address behind `iova` in bank `sid`.
    pub(crate) fn translate(&mut self, sid: u32, iova: u64) -> Option<u64> {
        let bank = self.find(sid)?;
        // SAFETY: We hold a reference to the device, and its driver does not remove it
        // while a message is at work.
        let domain = unsafe { bindings::iommu_get_domain_for_dev(bank.dev) };
        if domain.is_null() {
            return None;
        }
        // SAFETY: The domain lives as long as the bank's device is in its group.
        let phys = unsafe { bindings::iommu_iova_to_phys(domain, iova) };
        (phys != 0).then_some(phys)
    }

    /// Is the page of `iova`, which translates, mapped for writing?
    pub(crate) fn writable(&mut self, sid: u32, iova: u64) -> bool {
        match self.find(sid) {
            // SAFETY: As for the domain in `translate`.
            Some(bank) => unsafe { bindings::qda_sim_iova_writable(bank.dev, iova) },
            None => false,
        }
    }

    /// Kernel address and length of the piece of `len` bytes at `iova` that lies in one page.
    fn piece(&mut self, sid: u32, iova: u64, len: usize) -> Option<(*mut u8, usize)> {
        let phys = self.translate(sid, iova)?;
        let room = (PAGE - iova % PAGE) as usize;
        // SAFETY: Only computes an address.
        let virt = unsafe { bindings::qda_sim_phys_to_virt(phys) };
        (!virt.is_null()).then_some((virt.cast::<u8>(), room.min(len)))
    }

    /// Reads memory through bank `sid`.
    pub(crate) fn read(&mut self, sid: u32, iova: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let mut rest = buf;
        let mut at = iova;
        while !rest.is_empty() {
            let Some((from, n)) = self.piece(sid, at, rest.len()) else {
                return Err(Fault {
                    sid,
                    iova: at,
                    write: false,
                });
            };
            let (now, later) = rest.split_at_mut(n);
            // SAFETY: `from` points to `n` bytes of mapped RAM within one page.
            unsafe { copy_from(from, now) };
            rest = later;
            at = at.wrapping_add(n as u64);
        }
        Ok(())
    }

    /// Writes memory through bank `sid`.
    pub(crate) fn write(&mut self, sid: u32, iova: u64, buf: &[u8]) -> Result<(), Fault> {
        let mut rest = buf;
        let mut at = iova;
        while !rest.is_empty() {
            let piece = self.piece(sid, at, rest.len());
            let Some((to, n)) = piece.filter(|_| self.writable(sid, at)) else {
                return Err(Fault {
                    sid,
                    iova: at,
                    write: true,
                });
            };
            let (now, later) = rest.split_at(n);
            // SAFETY: `to` points to `n` bytes of mapped RAM within one page.
            unsafe { copy_to(to, now) };
            rest = later;
            at = at.wrapping_add(n as u64);
        }
        Ok(())
    }
}

impl Drop for Banks<'_> {
    fn drop(&mut self) {
        for b in self.cache.iter().flatten() {
            // SAFETY: The entry owns a reference by the type invariant.
            unsafe { bindings::put_device(b.dev) };
        }
    }
}

/// Lets others run, if somebody waits.
pub(crate) fn rest() {
    // SAFETY: Work on messages happens in process context without spinlocks.
    unsafe { bindings::qda_sim_rest() }
}

/// A small list whose oldest entry gives way.
trait Rotate {
    fn rotate_and_set(&mut self, new: Bank) -> Option<Bank>;
}

impl Rotate for [Option<Bank>; CACHE] {
    fn rotate_and_set(&mut self, new: Bank) -> Option<Bank> {
        self.rotate_right(1);
        match self.first_mut() {
            Some(first) => first.replace(new),
            None => None,
        }
    }
}

/// Reads a cell of a device-tree property.
///
/// # Safety
///
/// `np` is NULL or a valid node.
unsafe fn read_u32(np: *const bindings::device_node, name: &CStr) -> Option<u32> {
    let mut value = 0u32;
    // SAFETY: By the function's contract; `value` has room for one cell.
    let r = unsafe {
        bindings::of_property_read_variable_u32_array(np, name.as_char_ptr(), &mut value, 1, 0)
    };
    (r >= 0).then_some(value)
}

/// Is this child the context bank with the SID that `data` points to?
///
/// # Safety
///
/// `dev` is a live device, `data` points to a SID.
unsafe extern "C" fn match_bank(dev: *mut bindings::device, data: *const c_void) -> c_int {
    // SAFETY: By the function's contract.
    let (np, sid) = unsafe { ((*dev).of_node, *data.cast::<u32>()) };
    if np.is_null() {
        return 0;
    }
    // SAFETY: The node is valid as long as its device.
    let is_bank = unsafe {
        bindings::of_device_is_compatible(np, c"qcom,fastrpc-compute-cb".as_char_ptr()) != 0
    };
    // SAFETY: As above.
    let reg = unsafe { read_u32(np, c"reg") };
    c_int::from(is_bank && reg == Some(sid))
}

/// Copies memory that others may change at the same time.
///
/// # Safety
///
/// `from` points to `to.len()` readable bytes.
unsafe fn copy_from(from: *const u8, to: &mut [u8]) {
    let mut from = from;
    let mut rest = to;
    while !rest.is_empty() {
        let word = from.cast::<u64>();
        if word.is_aligned() && rest.len() >= 8 {
            // SAFETY: Aligned, and eight bytes remain.
            let v = unsafe { ptr::read_volatile(word) };
            let (now, later) = rest.split_at_mut(8);
            now.copy_from_slice(&v.to_ne_bytes());
            rest = later;
            // SAFETY: Within or one past the range.
            from = unsafe { from.add(8) };
        } else {
            // SAFETY: One byte remains.
            let v = unsafe { ptr::read_volatile(from) };
            let (now, later) = rest.split_at_mut(1);
            now.copy_from_slice(&[v]);
            rest = later;
            // SAFETY: Within or one past the range.
            from = unsafe { from.add(1) };
        }
    }
}

/// As [`copy_from`], in the other direction.
///
/// # Safety
///
/// `to` points to `from.len()` writable bytes.
unsafe fn copy_to(to: *mut u8, from: &[u8]) {
    let mut to = to;
    let mut rest = from;
    while let Some((first, tail)) = rest.split_first() {
        let word = to.cast::<u64>();
        match rest.split_first_chunk::<8>() {
            Some((now, later)) if word.is_aligned() => {
                // SAFETY: Aligned, and eight bytes remain.
                unsafe { ptr::write_volatile(word, u64::from_ne_bytes(*now)) };
                rest = later;
                // SAFETY: Within or one past the range.
                to = unsafe { to.add(8) };
            }
            _ => {
                // SAFETY: One byte remains.
                unsafe { ptr::write_volatile(to, *first) };
                rest = tail;
                // SAFETY: Within or one past the range.
                to = unsafe { to.add(1) };
            }
        }
    }
}
