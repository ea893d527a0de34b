// SPDX-License-Identifier: GPL-2.0

//! Binds a FastRPC channel: reads its device-tree node, builds the DSP and registers its node.
//!
//! Nothing is visible to users before all of it is there, and it goes in the opposite order:
//!
//! ```text
//! bind    label, context banks -> Dsp -> packets are let in -> node
//! unbind  callers woken -> node gone -> processes released, memory revoked -> banks gone
//! ```

#![forbid(unsafe_code)]

use crate::{
    engine::{
        bank::{
            BankSpec,
            MAX_SEATS, //
        },
        call::MAX_INLINE,
        dsp::DspSpec,
        Dsp,
        Limits, //
    },
    front::{
        accel,
        status::Status, //
    },
    proto::{
        addr::{
            Addressing,
            Soc, //
        },
        domain::Domain, //
    },
    sys::{
        cb::{
            self,
            Bank,
            BankConfig, //
        },
        rpmsg, //
    },
};
use kernel::{
    device::{
        self,
        property::FwNode, //
    },
    new_mutex,
    of,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// The rpmsg driver.
pub(crate) struct Driver;

/// A bit for each DSP whose channel is bound.
static BOUND: Atomic<u32> = Atomic::new(0);

/// The name of a DSP, which only one bound channel may have: users tell DSPs apart by it.
struct Name(u32);

impl Name {
    /// Takes the name of `domain`, unless a channel has it.
    fn take(domain: Domain) -> Option<Self> {
        let place = Domain::ALL.iter().position(|other| *other == domain)?;
        let bit = 1u32.checked_shl(u32::try_from(place).ok()?)?;
        let mut bound = BOUND.load(Relaxed);
        while bound & bit == 0 {
            match BOUND.cmpxchg(bound, bound | bit, Full) {
                Ok(_) => return Some(Self(bit)),
                Err(now) => bound = now,
            }
        }
        None
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut bound = BOUND.load(Relaxed);
        while let Err(now) = BOUND.cmpxchg(bound, bound & !self.0, Full) {
            bound = now;
        }
    }
}

/// What users see of a bound channel.
struct Visible {
    _node: accel::Node,
    _status: Status,
}

/// A bound channel.
#[pin_data]
pub(crate) struct Binding {
    #[pin]
    visible: Mutex<Option<Visible>>,
    dsp: Arc<Dsp>,
    // Dropped last: another channel may take the name then.
    _name: Name,
}

kernel::of_device_table!(
    OF_TABLE,
    <Driver as rpmsg::Driver>::IdInfo,
    [
        (of::DeviceId::new(c"qcom,qda"), Soc::Default),
        (of::DeviceId::new(c"qcom,fastrpc"), Soc::Default),
        (of::DeviceId::new(c"qcom,kaanapali-fastrpc"), Soc::Kaanapali),
    ]
);

impl rpmsg::Driver for Driver {
    type IdInfo = Soc;
    type Data = Binding;

    const OF_ID_TABLE: of::IdTable<Soc> = &OF_TABLE;

    fn probe(
        dev: &rpmsg::Device<device::Core<'_>>,
        info: Option<&'static Soc>,
        link: Arc<rpmsg::Link>,
    ) -> impl PinInit<Binding, Error> {
        try_pin_init!(Binding {
            _name: {
                let domain = read_domain(dev.as_ref(), read_node(dev.as_ref())?)?;
                Name::take(domain).ok_or_else(|| {
                    dev_err!(dev.as_ref(), "another channel is {} already\n", domain.label());
                    EEXIST
                })?
            },
            dsp: {
                let spec = describe(dev.as_ref(), info)?;
                Dsp::new(spec, link)?
            },
            visible <- new_mutex!(None, "qda_visible"),
        })
    }

    fn start(dev: &rpmsg::Device<device::Core<'_>>, this: Pin<&Binding>) -> Result {
        let status = Status::new(this.dsp.clone())?;
        let node = accel::Node::new(dev.as_ref(), this.dsp.clone())?;
        dev_info!(
            dev.as_ref(),
            "{} with {} context banks is {}\n",
            this.dsp.domain().label(),
            this.dsp.banks().len(),
            node.name()
        );
        *this.visible.lock() = Some(Visible {
            _node: node,
            _status: status,
        });
        Ok(())
    }

    fn unbind(_dev: &rpmsg::Device<device::Core<'_>>, this: Pin<&Binding>) {
        this.dsp.mark_dead();
        let visible = this.visible.lock().take();
        // Outside of the lock: it waits for those who use it.
        drop(visible);
        this.dsp.shut_down();
    }

    fn receive(this: &Binding, packet: &[u8]) {
        this.dsp.channel().receive(packet);
    }
}

/// Reads the device tree and sets up the context banks.
fn describe(dev: &device::Device, info: Option<&Soc>) -> Result<DspSpec> {
    let node = read_node(dev)?;
    let domain = read_domain(dev, node)?;
    let addressing = Addressing::new(info.copied().unwrap_or(Soc::Default), domain);

    let banks = match set_up_banks(dev, node, domain, addressing) {
        Ok(banks) => banks,
        Err(e) => {
            if e != EPROBE_DEFER {
                dev_err!(dev, "cannot set up the context banks: {:?}\n", e);
            }
            return Err(e);
        }
    };
    Ok(DspSpec {
        domain,
        addressing,
        trusts_everybody: node.property_read_bool(c"qcom,non-secure-domain"),
        limits: read_limits(),
        banks,
    })
}

/// The limits that root has set for clients.
fn read_limits() -> Limits {
    use crate::module_parameters as set;
    Limits {
        buffer: mib(set::max_buffer_mib.value()),
        file: mib(set::max_file_mib.value()),
        file_buffers: set::max_file_buffers.value(),
        dsp: mib(set::max_dsp_mib.value()),
        calls: usize::try_from(set::max_calls.value()).unwrap_or(usize::MAX),
        inline: mib(set::max_inline_mib.value()).min(MAX_INLINE),
    }
}

/// Bytes of so many MiB.
fn mib(mib: u64) -> u64 {
    mib.saturating_mul(1024 * 1024)
}

fn read_node(dev: &device::Device) -> Result<&FwNode> {
    dev.fwnode().ok_or_else(|| {
        dev_err!(dev, "the channel has no device-tree node\n");
        EINVAL
    })
}

fn read_domain(dev: &device::Device, node: &FwNode) -> Result<Domain> {
    let Ok(label) = node.property_read::<CString>(c"label").required_by(dev) else {
        dev_err!(dev, "the channel has no label\n");
        return Err(EINVAL);
    };
    Domain::from_label(label.to_bytes()).ok_or_else(|| {
        dev_err!(dev, "the label {:?} names no known DSP\n", &*label);
        EINVAL
    })
}

/// The banks of the channel. On failure those that were set up are removed again.
fn set_up_banks(
    dev: &device::Device,
    node: &FwNode,
    domain: Domain,
    addressing: Addressing,
) -> Result<KVec<BankSpec>> {
    let mut banks = KVec::new();
    let result = collect_banks(dev, node, domain, addressing, &mut banks);
    match result {
        Ok(()) if banks.is_empty() => {
            dev_err!(dev, "the channel has no context bank\n");
            Err(ENODEV)
        }
        Ok(()) => Ok(banks),
        Err(e) => {
            for spec in &banks {
                spec.bank.remove();
            }
            Err(e)
        }
    }
}

fn collect_banks(
    dev: &device::Device,
    node: &FwNode,
    domain: Domain,
    addressing: Addressing,
    banks: &mut KVec<BankSpec>,
) -> Result {
    for child in cb::compatible_children(node, c"qcom,fastrpc-compute-cb") {
        let child = child?;
        let Some(sid) = child.property_read::<u32>(c"reg").optional() else {
            dev_err!(dev, "{} has no stream id\n", child.display_name());
            return Err(EINVAL);
        };
        if banks.iter().any(|spec: &BankSpec| spec.bank.sid() == sid) {
            dev_err!(dev, "two context banks have stream id {}\n", sid);
            return Err(EINVAL);
        }
        let seats = child
            .property_read::<u32>(c"qcom,nsessions")
            .optional()
            .unwrap_or(1);
        if !(1..=MAX_SEATS).contains(&seats) {
            dev_err!(
                dev,
                "{} wants {} sessions, not 1 to {}\n",
                child.display_name(),
                seats,
                MAX_SEATS
            );
            return Err(EINVAL);
        }
        // Stream id 0 would mean memory of the channel itself; a bank must have an own one.
        if addressing.dsp_address(sid, 0).is_none() || sid == 0 {
            dev_err!(dev, "stream id {} is out of range\n", sid);
            return Err(EINVAL);
        }

        banks.reserve(1, GFP_KERNEL)?;
        let bank = Bank::new(
            dev,
            child,
            BankConfig {
                name: fmt!("{}-{}-cb{}", dev.name(), domain.label(), sid),
                sid,
                dma_bits: u32::from(addressing.iova_bits()),
            },
        )?;
        if banks
            .iter()
            .any(|spec| spec.bank.group_id() == bank.group_id())
        {
            bank.remove();
            dev_err!(dev, "context bank {} shares its IOMMU group\n", sid);
            return Err(EINVAL);
        }
        banks.push(BankSpec { bank, seats }, GFP_KERNEL)?;
    }
    Ok(())
}
