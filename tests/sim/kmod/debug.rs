// SPDX-License-Identifier: GPL-2.0

//! The debugfs interface, `/sys/kernel/debug/qda_sim`. Described in `tests/sim/README.md`.
//!
//! Owns the files. Takes no lock itself; the files are removed, and their last users waited
//! for, when [`Files`] is dropped.

#![forbid(unsafe_code)]

use crate::{
    dsp::{
        Dsp,
        Present,
        Shared, //
    },
    model::Counters, //
};
use core::{
    convert::Infallible,
    fmt, //
};
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    prelude::*,
    sync::Arc,
    uaccess::UserSliceReader, //
};

type Dsps = KVec<Arc<Dsp>>;

/// What the files of the top folder work with.
struct All {
    shared: Arc<Shared>,
    dsps: Dsps,
}

/// Files of one DSP. They are dropped before their folder.
struct DspFiles {
    _control: Pin<KBox<File<Arc<Dsp>>>>,
    _capture: Pin<KBox<File<Arc<Dsp>>>>,
    _counters: Pin<KBox<File<Arc<Dsp>>>>,
    _dir: Dir,
}

/// All files.
pub(crate) struct Files {
    _dsps: KVec<DspFiles>,
    _violations: Pin<KBox<File<Arc<Shared>>>>,
    _faults: Pin<KBox<File<Arc<Shared>>>>,
    _counters: Pin<KBox<File<All>>>,
    _clear: Pin<KBox<File<All>>>,
    _dir: Dir,
}

fn share(dsps: &Dsps) -> Result<Dsps> {
    let mut copy = KVec::with_capacity(dsps.len(), GFP_KERNEL)?;
    for d in dsps {
        copy.push(d.clone(), GFP_KERNEL)?;
    }
    Ok(copy)
}

fn show_counters<'a>(
    f: &mut fmt::Formatter<'_>,
    dsps: impl Iterator<Item = &'a Arc<Dsp>>,
    reports: Option<&Shared>,
) -> fmt::Result {
    let mut sum = Counters::default();
    let mut now = Present::default();
    for dsp in dsps {
        dsp.count(&mut sum, &mut now);
    }
    let mut r = Ok(());
    sum.for_each(|name, value| {
        if r.is_ok() {
            r = writeln!(f, "{name} {value}");
        }
    });
    r?;
    writeln!(f, "live_processes {}", now.live)?;
    writeln!(f, "parked {}", now.parked)?;
    writeln!(f, "delayed {}", now.delayed)?;
    writeln!(f, "ignored {}", now.ignored)?;
    writeln!(f, "mappings {}", now.mappings)?;
    writeln!(f, "held {}", now.held)?;
    writeln!(f, "strays {}", now.strays)?;
    writeln!(f, "refused {}", now.refused)?;
    writeln!(f, "storm_left {}", now.storm_left)?;
    if let Some(s) = reports {
        writeln!(f, "violations {}", s.violations.count())?;
        writeln!(f, "faults {}", s.faults.count())?;
    }
    Ok(())
}

fn control(dsp: &Arc<Dsp>, reader: &mut UserSliceReader) -> Result {
    // Room for the longest command: 16 numbers.
    let mut buf = [0u8; 384];
    let n = reader.len();
    let word = buf.get_mut(..n).ok_or(EINVAL)?;
    reader.read_slice(word)?;
    match word.trim_ascii() {
        b"remove" => dsp.remove(),
        b"announce" => dsp.as_arc_borrow().announce(),
        b"inline" => {
            dsp.set_inline(true);
            Ok(())
        }
        b"thread" => {
            dsp.set_inline(false);
            Ok(())
        }
        order => dsp.order(order),
    }
}

fn clear(all: &All, reader: &mut UserSliceReader) -> Result {
    let n = reader.len();
    reader.skip(n)?;
    all.shared.violations.clear();
    all.shared.faults.clear();
    for dsp in &all.dsps {
        dsp.clear();
    }
    Ok(())
}

/// Makes one file.
fn file<T>(init: impl PinInit<File<T>, Infallible>) -> Result<Pin<KBox<File<T>>>> {
    KBox::pin_init(init, GFP_KERNEL)
}

type Formatter<'a> = fmt::Formatter<'a>;

fn violations(s: &Arc<Shared>, f: &mut Formatter<'_>) -> fmt::Result {
    s.violations.show(f)
}

fn faults(s: &Arc<Shared>, f: &mut Formatter<'_>) -> fmt::Result {
    s.faults.show(f)
}

fn all_counters(a: &All, f: &mut Formatter<'_>) -> fmt::Result {
    show_counters(f, a.dsps.iter(), Some(&a.shared))
}

fn dsp_counters(d: &Arc<Dsp>, f: &mut Formatter<'_>) -> fmt::Result {
    show_counters(f, core::iter::once(d), None)
}

fn dsp_state(d: &Arc<Dsp>, f: &mut Formatter<'_>) -> fmt::Result {
    d.show_state(f)
}

fn dsp_capture(d: &Arc<Dsp>, f: &mut Formatter<'_>) -> fmt::Result {
    d.show_capture(f)
}

impl Files {
    /// Creates all files.
    pub(crate) fn new(shared: &Arc<Shared>, dsps: &Dsps) -> Result<Self> {
        let dir = Dir::new(c"qda_sim");
        let mut files = KVec::with_capacity(dsps.len(), GFP_KERNEL)?;
        for dsp in dsps {
            files.push(Self::for_dsp(&dir, dsp)?, GFP_KERNEL)?;
        }
        let all = || -> Result<All> {
            Ok(All {
                shared: shared.clone(),
                dsps: share(dsps)?,
            })
        };
        Ok(Self {
            _dsps: files,
            _violations: file(dir.read_callback_file(c"violations", shared.clone(), &violations))?,
            _faults: file(dir.read_callback_file(c"faults", shared.clone(), &faults))?,
            _counters: file(dir.read_callback_file(c"counters", all()?, &all_counters))?,
            _clear: file(dir.write_callback_file(c"clear", all()?, &clear))?,
            _dir: dir,
        })
    }

    fn for_dsp(top: &Dir, dsp: &Arc<Dsp>) -> Result<DspFiles> {
        let dir = top.subdir(dsp.name());
        Ok(DspFiles {
            _control: file(dir.read_write_callback_file(
                c"control",
                dsp.clone(),
                &dsp_state,
                &control,
            ))?,
            _capture: file(dir.read_callback_file(c"capture", dsp.clone(), &dsp_capture))?,
            _counters: file(dir.read_callback_file(c"counters", dsp.clone(), &dsp_counters))?,
            _dir: dir,
        })
    }
}
