// SPDX-License-Identifier: GPL-2.0

//! qda drives Qualcomm DSPs (ADSP, CDSP, SDSP, MDSP, GDSP) over FastRPC.
//!
//! A DSP runs programs of user space in processes of its own. A program on the CPU creates such a
//! process, and calls methods of modules that the process loads. Each call is one short packet over
//! rpmsg that points to a message in memory; the DSP sees memory only through an IOMMU, in the
//! address space of the process's context bank.
//!
//! This file is the map. Layers import downwards only:
//!
//! | layer | folder | what it is |
//! |---|---|---|
//! | 4 | [`driver`] | binds rpmsg channels and wires the rest together |
//! | 3 | [`front`] | what user space sees: `/dev/accel/accelN` |
//! | 2 | [`engine`] | DSPs, sessions, memory, calls |
//! | 1 | [`sys`] | safe abstractions of kernel services; all unsafe code |
//! | 0 | [`proto`] | the protocol as pure code, shared with user space and tests |

use crate::sys::{
    cb,
    rpmsg, //
};
use kernel::{
    prelude::*,
    InPlaceModule,
    ModuleMetadata, //
};

mod driver;
mod engine;
mod front;
#[path = "../proto/lib.rs"]
mod proto;
mod sys;

/// The module: a bus for context banks and a driver for channels.
#[pin_data]
struct QdaModule {
    // Dropped first: unbinds all channels, which takes all banks off the bus.
    #[pin]
    _driver: kernel::driver::Registration<rpmsg::Adapter<driver::Driver>>,
    _bus: cb::Bus,
}

impl InPlaceModule for QdaModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _bus: cb::Bus::register()?,
            _driver <- kernel::driver::Registration::new(
                <Self as ModuleMetadata>::NAME,
                module,
            ),
        })
    }
}

module! {
    type: QdaModule,
    name: "qda",
    authors: ["The qda authors"],
    description: "Qualcomm DSP accelerator driver (FastRPC)",
    license: "GPL",
    imports_ns: ["DMA_BUF"],
    params: {
        max_buffer_mib: u64 {
            default: 16384,
            description: "Most MiB of one buffer",
        },
        max_file_mib: u64 {
            default: 65536,
            description: "Most MiB of all buffers that one open file made",
        },
        max_file_buffers: u64 {
            default: 65536,
            description: "Most buffers that one open file made",
        },
        max_dsp_mib: u64 {
            default: 262144,
            description: "Most MiB of the buffers of all files of a DSP",
        },
        max_calls: u64 {
            default: 128,
            description: "Most calls that one session has under way",
        },
        max_inline_mib: u64 {
            default: 64,
            description: "Most MiB of inline data in one call, at most 64",
        },
    },
}
