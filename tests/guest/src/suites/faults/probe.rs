// SPDX-License-Identifier: GPL-2.0
//! Binding a DSP and loading the module. What failed leaves no device, group or node behind, and the
//! next try works.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use super::*;
use crate::checks;
use crate::dt;
use crate::kmod::{
    self,
    wait_for,
    Channel, //
};

/// Name of our driver on the rpmsg bus.
const OURS: &str = "qda";
/// What a probe may end in: besides the usual, a bank that the IOMMU did not take (its driver's error
/// is not told) and a channel that cannot be opened.
const PROBE: &[i32] = &[libc::ENOMEM, libc::EFAULT, libc::ENODEV, libc::EINVAL];
/// Time within which a node comes or goes.
const SOON: Duration = Duration::from_secs(10);

/// Lines that the kernel itself writes about what there was no memory for.
fn excuse_core() {
    crate::harness::expect_log("kobject_add_internal failed");
}

/// Both DSPs are bound and work, whatever happened before.
pub fn restore() -> Outcome {
    Callers::usual()?.choose()?;
    if !kmod::loaded("qda") {
        kmod::must_insert("qda", "")?;
    }
    for label in [CDSP, ADSP] {
        if kmod::channel(label).is_err() {
            sim::control(label, "announce")?;
        }
        let channel = kmod::channel(label)?;
        if channel.driver().is_none() {
            channel.bind(OURS)?;
        }
        dsp::wait_node(label, SOON)?;
    }
    Ok(())
}

/// Writes text to an open file of sysfs; the number of bytes or a negative errno.
fn tell(file: &OwnedFd, text: &str) -> i64 {
    // SAFETY: The bytes are valid for their length.
    let written = unsafe { libc::pwrite(file.as_raw_fd(), text.as_ptr().cast(), text.len(), 0) };
    if written < 0 {
        -i64::from(raw::errno())
    } else {
        written as i64
    }
}

/// Nothing of a DSP's binding is there: no driver, no node, no bank in a group.
fn nothing_of(channel: &Channel, groups: usize) -> Outcome {
    ensure_eq!(channel.driver(), None, "driver");
    ensure_eq!(checks::group_count(), groups, "IOMMU groups");
    let label = channel.label().unwrap_or_default();
    ensure!(
        !checks::grouped_devices()
            .iter()
            .any(|name| name.contains(&label)),
        "banks are left: {:?}",
        checks::grouped_devices()
    );
    ensure!(
        fs::metadata(format!("/sys/kernel/debug/qda-{label}")).is_err(),
        "the status file is left"
    );
    Ok(())
}

/// Binds one DSP.
pub fn bind() -> Outcome {
    excuse_core();
    Callers::without_iommu()?.choose()?;
    let banks = dt::dsp(ADSP)?.banks.len();
    let channel = kmod::channel(ADSP)?;
    channel.unbind(OURS)?;
    let groups = checks::group_count();
    let path = format!("/sys/bus/rpmsg/drivers/{OURS}/bind");
    let file = dsp::open_with(Path::new(&path), libc::O_WRONLY | libc::O_CLOEXEC)
        .map_err(|errno| format!("{path}: errno {errno}"))?;
    let hidden = Cell::new(0);
    Sweep::of("bind").errors(PROBE).clean_every(16).run(
        || Ok(()),
        |()| tell(&file, &channel.name),
        |(), value| {
            if value < 0 {
                return nothing_of(&channel, groups);
            }
            let added = checks::grouped_devices()
                .iter()
                .filter(|name| name.contains(ADSP))
                .count();
            ensure_eq!(added, banks, "banks of a DSP that is bound");
            // Without memory the kernel leaves out the file in /dev and does not say so.
            match dsp::node(ADSP) {
                Ok(node) => File::open_node(&node.path)?.created()?.still_works()?,
                Err(_) => hidden.set(hidden.get() + 1),
            }
            channel.unbind(OURS)?;
            nothing_of(&channel, groups)
        },
    )?;
    println!("{} times there was no file in /dev", hidden.get());
    Callers::usual()?.choose()?;
    channel.bind(OURS)?;
    ensure!(hidden.get() < 5, "{} nodes without file", hidden.get());
    dsp::wait_node(ADSP, SOON)?;
    File::with_process(ADSP)?.still_works()
}

/// Addresses of functions of the kernel, in the order of their names here.
fn symbols<const N: usize>(names: [&str; N]) -> Result<[u64; N], Fail> {
    let text = fs::read_to_string("/proc/kallsyms")?;
    let mut found = [0; N];
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(address), _, Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            found[place] = u64::from_str_radix(address, 16).unwrap_or(0);
        }
    }
    ensure!(
        !found.contains(&0),
        "/proc/kallsyms: {names:?} are at {found:x?}"
    );
    Ok(found)
}

/// Which allocations fail, by who is among their callers.
struct Callers {
    /// At least one of them is in this range.
    require: (u64, u64),
    /// None is in this range.
    reject: (u64, u64),
}

impl Callers {
    fn choose(&self) -> Outcome {
        for name in ["failslab", "fail_page_alloc"] {
            for (file, value) in [
                ("require-start", self.require.0),
                ("require-end", self.require.1),
                ("reject-start", self.reject.0),
                ("reject-end", self.reject.1),
            ] {
                let path = format!("/sys/kernel/debug/{name}/{file}");
                fs::write(&path, format!("{value:#x}"))
                    .map_err(|error| format!("{path}: {error}"))?;
            }
        }
        Ok(())
    }

    /// Anybody but the leak detector: what the script of the suite chose.
    fn usual() -> Result<Self, Fail> {
        let detector: Vec<u64> = std::env::var("QDA_DETECTOR")
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .collect();
        let [start, end] = detector[..] else {
            return Err("QDA_DETECTOR names no range".into());
        };
        Ok(Callers {
            require: (0, u64::MAX),
            reject: (start, end),
        })
    }

    /// Anybody but the core of the IOMMU drivers, which warns when it finds no memory for a domain.
    fn without_iommu() -> Result<Self, Fail> {
        let [start, end] = symbols(["iommu_device_register", "iommu_dma_init_fq"])?;
        ensure!(
            start < end && end - start < 1 << 20,
            "the functions of the IOMMU core are at {start:#x} and {end:#x}"
        );
        Ok(Callers {
            require: (0, u64::MAX),
            reject: (start, end),
        })
    }

    /// Only modules, which are below the kernel; and not the IOMMU core.
    fn only_modules() -> Result<Self, Fail> {
        let [text] = symbols(["_text"])?;
        Ok(Callers {
            require: (text - (2 << 30), text),
            ..Self::without_iommu()?
        })
    }
}

/// Loads the module: first with nothing to bind, then with both DSPs there. What the module loader
/// itself allocates does not count.
pub fn load() -> Outcome {
    excuse_core();
    let modules = Callers::only_modules()?;
    for label in [CDSP, ADSP] {
        sim::control(label, "remove")?;
    }
    wait_for("the nodes go", SOON, || dsp::nodes().is_empty())?;
    kmod::must_remove("qda")?;
    let groups = checks::group_count();
    modules.choose()?;
    let path = kmod::path_of("qda");
    let module = dsp::open_with(&path, libc::O_RDONLY | libc::O_CLOEXEC)
        .map_err(|errno| format!("{}: errno {errno}", path.display()))?;
    for (what, dsps, step) in [("load", false, 1), ("load with both DSPs", true, 23)] {
        if dsps {
            for label in [CDSP, ADSP] {
                sim::control(label, "announce")?;
            }
        }
        Sweep::of(what)
            .errors(PROBE)
            .step(step)
            .clean_every(8)
            .run(
                || Ok(()),
                |()| {
                    // SAFETY: The text is NUL-terminated and lives during the call.
                    let value = unsafe {
                        libc::syscall(libc::SYS_finit_module, module.as_raw_fd(), c"".as_ptr(), 0)
                    };
                    if value < 0 {
                        -i64::from(raw::errno())
                    } else {
                        value
                    }
                },
                |(), value| {
                    ensure_eq!(kmod::loaded("qda"), value == 0, "whether qda is loaded");
                    if value == 0 {
                        for node in dsp::nodes() {
                            File::open_node(&node.path)?.created()?.still_works()?;
                        }
                        kmod::must_remove("qda")?;
                    }
                    ensure_eq!(checks::group_count(), groups, "IOMMU groups");
                    Ok(())
                },
            )?;
    }
    restore()?;
    for label in [CDSP, ADSP] {
        File::with_process(label)?.still_works()?;
    }
    Ok(())
}
