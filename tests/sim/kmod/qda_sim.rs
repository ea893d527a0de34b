// SPDX-License-Identifier: GPL-2.0

//! The simulated DSP, a kernel module for tests.
//!
//! It announces one rpmsg channel per edge below the `qda,sim` node of the device tree,
//! and plays the firmware behind it: see `tests/sim/README.md`. A FastRPC driver that
//! binds to the channel cannot tell it from a transport with a DSP at the other end.
//!
//! Map of the modules:
//!
//! * `model`: what the firmware does; pure code, also a cargo crate with host tests
//! * [`dsp`]: one DSP: its locks, its work and the life of its channel
//! * [`world`]: what the model sees of the kernel
//! * [`firmware`]: the state of its firmware
//! * [`noise`]: storms of packets, and what follows a crash
//! * [`queue`]: messages that wait
//! * [`credits`]: refusals of the transport
//! * [`capture`]: the last messages, for golden vectors
//! * [`report`]: violations and SMMU faults
//! * [`debug`]: the debugfs interface
//! * [`sys`]: glue to the kernel; the only place with unsafe code

use kernel::{
    prelude::*,
    sync::Arc, //
};

mod capture;
mod credits;
mod debug;
mod dsp;
mod firmware;
#[path = "../model/src/lib.rs"]
mod model;
mod noise;
mod queue;
mod report;
mod sys;
mod world;

use dsp::{
    Dsp,
    Options,
    Shared, //
};
use sys::dt::Node;

module! {
    type: Sim,
    name: "qda_sim",
    authors: ["The qda authors"],
    description: "Simulated FastRPC DSP",
    license: "GPL",
    params: {
        inline_answers: bool {
            default: false,
            description: "work inside send instead of in an own thread",
        },
        capture: bool {
            default: true,
            description: "keep the last messages of every channel",
        },
    },
}

/// The DSPs; dropping it ends them.
struct Dsps(KVec<Arc<Dsp>>);

impl Drop for Dsps {
    fn drop(&mut self) {
        for dsp in &self.0 {
            dsp.shutdown();
        }
        sys::transport::wait_for_links();
    }
}

/// The module. Fields are dropped in this order: first nobody can give orders any more,
/// then the DSPs end.
struct Sim {
    _files: debug::Files,
    _dsps: Dsps,
}

impl kernel::Module for Sim {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let options = Options {
            inline: module_parameters::inline_answers.value(),
            capture: module_parameters::capture.value(),
        };
        let top = Node::find_compatible(c"qda,sim").ok_or_else(|| {
            pr_err!("no qda,sim node in the device tree\n");
            ENODEV
        })?;
        let shared = Arc::pin_init(Shared::new(), GFP_KERNEL)?;
        let mut dsps = Dsps(KVec::new());
        top.for_each_child(|edge| {
            edge.for_each_child(|node| {
                if node.string(c"qcom,glink-channels", |_| ()).is_some() {
                    let dsp = Dsp::new(edge, node, shared.clone(), module, options)?;
                    dsps.0.push(dsp, GFP_KERNEL)?;
                }
                Ok(())
            })
        })?;
        let files = debug::Files::new(&shared, &dsps.0)?;
        for dsp in &dsps.0 {
            dsp.as_arc_borrow().announce()?;
            pr_info!("{} announced\n", dsp::text(dsp.name()));
        }
        Ok(Self {
            _files: files,
            _dsps: dsps,
        })
    }
}
