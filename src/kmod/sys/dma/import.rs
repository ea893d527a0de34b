// SPDX-License-Identifier: GPL-2.0

//! Imported dma-bufs, attached to a context bank's device.
//!
//! Owns an attachment, what the exporter made of it, and one reference to the dma-buf. Exporters
//! map and unmap with the device that is attached, so an attachment must end before the device
//! does: each import is on a list of its [`Bank`], which revokes it at the latest.
//!
//! # Locking
//!
//! A mutex around the attachment, held while the exporter attaches, maps, unmaps and detaches. See
//! [`super`] for the order.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)

use super::{
    table,
    Revoke, //
};
use crate::sys::{
    bindings,
    cb::{
        Bank,
        CountMapped, //
    },
    dmabuf::DmaBuf, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    device,
    error::from_err_ptr,
    new_mutex,
    pr_warn_once,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// Its address marks the attachments of this module. See [`DmaBuf::is_orphan`].
static MARK: u8 = 0;

fn mark() -> *mut c_void {
    (&raw const MARK).cast_mut().cast()
}

const DIRECTION: bindings::dma_data_direction = bindings::dma_data_direction::DMA_BIDIRECTIONAL;

/// A dma-buf that is attached to a bank's device and mapped for it.
///
/// # Invariants
///
/// `attachment` attaches `buf` to the device of `bank`, and `table` is what mapping it returned.
/// The value owns both.
struct Attachment {
    attachment: NonNull<bindings::dma_buf_attachment>,
    table: NonNull<bindings::sg_table>,
    bank: Arc<Bank>,
    /// Exporters use the device of an attachment as long as there is one.
    device: ManuallyDrop<ARef<device::Device>>,
    /// One reference for this attachment, which [`DmaBuf::is_orphan`] relies on.
    buf: ManuallyDrop<ARef<DmaBuf>>,
    /// Dropped after the attachment has ended.
    _count: CountMapped,
}

// SAFETY: Attachments may be used and ended by any thread.
unsafe impl Send for Attachment {}

impl Attachment {
    /// Attaches and maps.
    fn new(bank: &Arc<Bank>, buf: &DmaBuf) -> Result<Self> {
        // Before the buffer is attached: see `is_orphan()`.
        let buf: ARef<DmaBuf> = buf.into();

        let (attachment, table, device) = bank
            .with_device(|dev| {
                // SAFETY: The dma-buf is valid, and so is the device, which is live. Without
                // operations the attachment is static, that is, the memory does not move.
                let attachment = from_err_ptr(unsafe {
                    bindings::dma_buf_dynamic_attach(buf.as_raw(), dev, core::ptr::null(), mark())
                })?;
                let attachment = NonNull::new(attachment).ok_or(ENOMEM)?;

                // SAFETY: The attachment was just made.
                let table = from_err_ptr(unsafe {
                    bindings::dma_buf_map_attachment_unlocked(attachment.as_ptr(), DIRECTION)
                })
                .and_then(|table| NonNull::new(table).ok_or(ENOMEM))
                .inspect_err(|_| {
                    // SAFETY: The attachment was made above and is not mapped.
                    unsafe { bindings::dma_buf_detach(buf.as_raw(), attachment.as_ptr()) };
                })?;

                // SAFETY: The device is valid.
                let device: &device::Device = unsafe { device::Device::from_raw(dev) };
                Ok((attachment, table, ARef::from(device)))
            })
            .unwrap_or(Err(ENODEV))?;

        // INVARIANT: Attached and mapped just now.
        Ok(Self {
            attachment,
            table,
            bank: bank.clone(),
            device: ManuallyDrop::new(device),
            buf: ManuallyDrop::new(buf),
            _count: CountMapped::new(bank),
        })
    }

    /// Returns the first device address, if the whole buffer is one range.
    fn contiguous(&self) -> Option<u64> {
        // SAFETY: By the type invariant the table is mapped.
        unsafe { table::contiguous(self.table.as_ptr(), self.buf.size()) }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let done = self.bank.with_device(|_| {
            // SAFETY: By the type invariant the attachment is mapped, and the device that the
            // exporter unmaps with is live. Neither is used after this.
            unsafe {
                bindings::dma_buf_unmap_attachment_unlocked(
                    self.attachment.as_ptr(),
                    self.table.as_ptr(),
                    DIRECTION,
                );
                bindings::dma_buf_detach(self.buf.as_raw(), self.attachment.as_ptr());
            }
        });
        if done.is_none() {
            // Cannot happen: banks revoke their imports before they give up the device. The
            // exporter would use what is left of the device, so losing the buffer is better.
            pr_warn_once!("an import outlived its context bank\n");
            return;
        }
        // SAFETY: Neither is used after this.
        unsafe {
            ManuallyDrop::drop(&mut self.buf);
            ManuallyDrop::drop(&mut self.device);
        }
    }
}

enum State {
    /// Not attached yet.
    New,
    /// Attached and mapped.
    Attached(Attachment),
    /// Will never be attached again.
    Revoked,
}

/// An import of a dma-buf to a context bank, until it is revoked.
#[pin_data]
pub(super) struct Import {
    #[pin]
    state: Mutex<State>,
}

impl Import {
    /// Makes an import that is not attached yet.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State::New, "qda_dma_import"),
            }),
            GFP_KERNEL,
        )
    }

    /// Attaches and maps `buf`, and returns the device address of its first byte.
    ///
    /// # Errors
    ///
    /// * `ENODEV`: the bank was removed, or the import revoked.
    /// * `EINVAL`: the mapping is not contiguous, or shorter than the buffer.
    /// * What the exporter fails with, `ENOMEM` among others.
    pub(super) fn attach(&self, bank: &Arc<Bank>, buf: &DmaBuf) -> Result<u64> {
        let mut state = self.state.lock();
        if !matches!(*state, State::New) {
            return Err(ENODEV);
        }
        let attachment = Attachment::new(bank, buf)?;
        let address = attachment.contiguous().ok_or(EINVAL)?;
        *state = State::Attached(attachment);
        Ok(address)
    }

    /// Whether nobody has the dma-buf but imports of this module. Does not wait: says no if the
    /// exporter is at work.
    pub(super) fn is_abandoned(&self) -> bool {
        match self.state.try_lock().as_deref() {
            Some(State::Attached(attachment)) => attachment.buf.is_orphan(mark()),
            Some(State::New | State::Revoked) => true,
            None => false,
        }
    }
}

impl Revoke for Import {
    fn revoke(&self) {
        let mut state = self.state.lock();
        // Dropped with the lock held, so that everybody who revokes waits until it is done.
        *state = State::Revoked;
    }
}
