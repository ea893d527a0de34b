// SPDX-License-Identifier: GPL-2.0

//! The calls that a DSP has not answered: `/sys/kernel/debug/qda-<label>/calls`.
//!
//! For root, one line per call:
//!
//! | column | meaning |
//! |---|---|
//! | `age_us` | microseconds since it was sent |
//! | `client` | client id of the process that it was made for, 0 for calls of the kernel |
//! | `tid` | thread that made it; it need not wait any more |
//! | `handle` | remote handle |
//! | `method` | number of the method |
//! | `scalars` | method and numbers of arguments, as the DSP gets them |
//!
//! Takes the lock of the call slots, for one slot at a time.

use crate::engine::{
    Dsp,
    Scalars, //
};
use kernel::{
    debugfs,
    fmt,
    sync::Arc, //
};

/// The lines of a DSP.
pub(crate) struct UnderWay(pub(crate) Arc<Dsp>);

impl debugfs::Writer for UnderWay {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "age_us client tid handle method scalars")?;
        for call in self.0.channel().under_way() {
            writeln!(
                f,
                "{} {} {} {:#x} {} {:#010x}",
                call.since.elapsed().as_micros_ceil(),
                call.client,
                call.tid,
                call.handle,
                Scalars::new(call.scalars).method(),
                call.scalars
            )?;
        }
        Ok(())
    }
}
