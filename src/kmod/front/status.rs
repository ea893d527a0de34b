// SPDX-License-Identifier: GPL-2.0

//! What root can read of a DSP: `/sys/kernel/debug/qda-<label>/status`, and in the same folder
//! `refusals`, see [`super::refusals`].
//!
//! Lines of `name value`; names may be added. The numbers are snapshots, each under its own lock.
//!
//! | name | meaning |
//! |---|---|
//! | `sessions` | processes that the kernel holds something for, those in quarantine included |
//! | `quarantined` | of these, processes whose release the DSP did not confirm |
//! | `seats` | places on context banks that are taken |
//! | `calls` | call slots in use |
//! | `mappings` | buffers that are mapped in banks |
//! | `remote_maps` | of these and of kernel pages, mappings that stay in a process (REMOTE_MAP) |
//! | `held` | buffers that are kept because the DSP has a handle of them |
//! | `heap_bytes` | bytes that the kernel provides for the heaps of processes |
//! | `buffer_bytes` | bytes of all buffers that were made on the node |
//! | `max_buffer` | most bytes of one buffer (module parameter `max_buffer_mib`) |
//! | `max_file` | most bytes of all buffers of one open file (`max_file_mib`) |
//! | `max_file_buffers` | most buffers of one open file (`max_file_buffers`) |
//! | `max_dsp` | most bytes of the buffers of all files (`max_dsp_mib`) |
//! | `max_calls` | most calls that a session has under way (`max_calls`) |
//! | `max_inline` | most bytes of inline data in one call (`max_inline_mib`) |
//! | `dropped` | packets that completed no call, since the channel was bound |

use crate::{
    engine::Dsp,
    front::{
        calls::UnderWay,
        refusals::Listing, //
    }, //
};
use kernel::{
    debugfs,
    fmt,
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// The debugfs files of a DSP. They disappear when this is dropped.
pub(crate) struct Status {
    _status: Pin<KBox<debugfs::File<Snapshot>>>,
    _refusals: Pin<KBox<debugfs::File<Listing>>>,
    _calls: Pin<KBox<debugfs::File<UnderWay>>>,
}

impl Status {
    /// Makes the files. Without debugfs they are made all the same and nobody can see them.
    pub(crate) fn new(dsp: Arc<Dsp>) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!("qda-{}", dsp.domain().label()))?;
        // The files keep their folder.
        let dir = debugfs::Dir::new(&name);
        let snapshot = Ok::<_, Error>(Snapshot(dsp.clone()));
        let listing = Ok::<_, Error>(Listing(dsp.clone()));
        let calls = Ok::<_, Error>(UnderWay(dsp));
        Ok(Self {
            _status: KBox::pin_init(dir.read_only_file(c"status", snapshot), GFP_KERNEL)?,
            _refusals: KBox::pin_init(dir.read_only_file(c"refusals", listing), GFP_KERNEL)?,
            _calls: KBox::pin_init(dir.read_only_file(c"calls", calls), GFP_KERNEL)?,
        })
    }
}

struct Snapshot(Arc<Dsp>);

impl debugfs::Writer for Snapshot {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dsp = &self.0;
        writeln!(f, "sessions {}", dsp.sessions())?;
        writeln!(f, "quarantined {}", dsp.quarantined())?;
        writeln!(f, "seats {}", dsp.banks().taken())?;
        writeln!(f, "calls {}", dsp.channel().in_use())?;
        let holdings = dsp.holdings();
        writeln!(f, "mappings {}", holdings.mappings)?;
        writeln!(f, "remote_maps {}", holdings.remote_maps)?;
        writeln!(f, "held {}", holdings.held)?;
        writeln!(f, "heap_bytes {}", holdings.heap_bytes)?;
        writeln!(f, "buffer_bytes {}", dsp.total().used())?;
        writeln!(f, "max_buffer {}", dsp.limits().buffer)?;
        writeln!(f, "max_file {}", dsp.limits().file)?;
        writeln!(f, "max_file_buffers {}", dsp.limits().file_buffers)?;
        writeln!(f, "max_dsp {}", dsp.limits().dsp)?;
        writeln!(f, "max_calls {}", dsp.limits().calls)?;
        writeln!(f, "max_inline {}", dsp.limits().inline)?;
        writeln!(f, "dropped {}", dsp.channel().dropped())
    }
}
