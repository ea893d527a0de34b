// SPDX-License-Identifier: GPL-2.0
//! What the kernel tells about the memory of a file, and to whom it charges the pages.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use super::*;

/// A buffer as the model sees it.
struct Model {
    pages: usize,
    touched: Vec<bool>,
    /// Handles that name it, of all files.
    handles: usize,
    /// The core lets an export count as shared until the last handle is closed.
    exported: bool,
}

impl Model {
    fn resident(&self) -> u64 {
        (self.touched.iter().filter(|&&page| page).count() * PAGE) as u64
    }

    fn size(&self) -> u64 {
        (self.pages * PAGE) as u64
    }
}

/// Compares the numbers of a file with the buffers that it has handles for.
fn compare(file: &File, handles: &BTreeMap<u32, usize>, models: &[Model], step: usize) -> Outcome {
    let numbers = buffer::fdinfo(file.raw())?;
    let sum = |value: &dyn Fn(&Model) -> u64| -> u64 {
        handles.values().map(|&n| value(&models[n])).sum()
    };
    let expected = [
        ("drm-total-memory", sum(&|m| m.size())),
        (
            "drm-shared-memory",
            sum(&|m| {
                if m.handles > 1 || m.exported {
                    m.size()
                } else {
                    0
                }
            }),
        ),
        ("drm-resident-memory", sum(&|m| m.resident())),
        ("drm-active-memory", 0),
    ];
    for (key, value) in expected {
        ensure_eq!(
            numbers.get(key).copied(),
            Some(value),
            "{key} in step {step}, {} buffers",
            handles.len()
        );
    }
    Ok(())
}

/// Random steps with two files; after each the numbers equal those of the model.
pub fn fdinfo_model() -> Outcome {
    let before = Held::now()?;
    let files = [File::open(CDSP)?, File::open(CDSP)?];
    let mut handles: [BTreeMap<u32, usize>; 2] = Default::default();
    let mut models: Vec<Model> = Vec::new();
    let mut dice = Dice(99);
    for file in &files {
        compare(file, &BTreeMap::new(), &models, 0)?;
    }
    for step in 1..500 {
        let at = dice.below(2);
        let file = &files[at];
        let mine: Vec<(u32, usize)> = handles[at].iter().map(|(&h, &n)| (h, n)).collect();
        match (dice.below(6), mine.is_empty()) {
            (0, _) | (_, true) => {
                let pages = 1 + dice.below(30);
                let handle = file.buffer(pages * PAGE)?;
                ensure!(
                    handles[at].insert(handle, models.len()).is_none(),
                    "handle {handle} twice"
                );
                models.push(Model {
                    pages,
                    touched: vec![false; pages],
                    handles: 1,
                    exported: false,
                });
            }
            (1 | 2, _) => {
                let (handle, n) = mine[dice.below(mine.len())];
                let area = file.map(handle, models[n].pages * PAGE)?;
                for _ in 0..4 {
                    let page = dice.below(models[n].pages);
                    models[n].touched[page] = true;
                    if dice.below(2) == 0 {
                        area.set_word(page * PAGE, 1);
                    } else {
                        area.word(page * PAGE);
                    }
                }
            }
            (3, _) => {
                let (handle, n) = mine[dice.below(mine.len())];
                drop(file.export(handle)?);
                models[n].exported = true;
            }
            (4, _) => {
                let (handle, n) = mine[dice.below(mine.len())];
                let fd = file.export(handle)?;
                let other = files[1 - at].import(&fd)?;
                models[n].exported = true;
                // Importing again gives the handle that is there.
                if handles[1 - at].insert(other, n).is_none() {
                    models[n].handles += 1;
                }
            }
            _ => {
                let (handle, n) = mine[dice.below(mine.len())];
                file.close(handle)?;
                handles[at].remove(&handle);
                models[n].handles -= 1;
            }
        }
        for (file, handles) in files.iter().zip(&handles) {
            compare(file, handles, &models, step)?;
        }
    }
    let [first, second] = files;
    drop(first);
    for &n in handles[0].values() {
        models[n].handles -= 1;
    }
    compare(&second, &handles[1], &models, 500)?;
    drop(second);
    before.wait_for_return(SLACK)
}

/// A buffer is active while a call uses it.
pub fn fdinfo_active() -> Outcome {
    const SIZE: usize = 5 * PAGE;
    let file = File::with_process(CDSP)?;
    let echo = file.module("echo")?;
    let (input, in_area) = file.mapped(SIZE)?;
    let (output, out_area) = file.mapped(SIZE)?;
    let (_idle, _) = file.mapped(3 * PAGE)?;
    in_area.stamp(1);
    let (in_fd, out_fd) = (file.export(input)?, file.export(output)?);
    let active = || buffer::fdinfo_number(file.raw(), "drm-active-memory");
    ensure_eq!(active()?, 0, "active bytes before the call");
    let milliseconds = 1500u32.to_le_bytes();
    let value = thread::scope(|scope| -> Result<i64, Fail> {
        let call = scope.spawn(|| {
            dsp::Call::new(3)
                .input(&milliseconds)
                .reads(in_area.address(), SIZE as u64, in_fd.as_raw_fd())
                .writes(out_area.address(), SIZE as u64, out_fd.as_raw_fd())
                .on(file.raw(), echo)
        });
        let seen = kmod::wait_for("active bytes of a call", Duration::from_secs(1), || {
            active().is_ok_and(|bytes| bytes == 2 * SIZE as u64)
        });
        let value = call.join().map_err(|_| "the caller panicked")?;
        seen.map(|()| value)
    })?;
    ensure_ret!(value, 0, "delayed echo of buffers");
    ensure_eq!(active()?, 0, "active bytes after the call");
    out_area.check_stamps(1, 0, 0, SIZE / PAGE)?;
    let resident = buffer::fdinfo_number(file.raw(), "drm-resident-memory")?;
    ensure_eq!(
        resident,
        2 * SIZE as u64,
        "resident bytes: the call's buffers, not the idle one"
    );
    Ok(())
}

/// The kernel counts what it copies, and nothing else.
pub fn bytes_copied() -> Outcome {
    let file = File::with_process(CDSP)?;
    let copied = || buffer::fdinfo_number(file.raw(), "qda-bytes-copied");
    let other = File::with_process(CDSP)?;
    ensure_eq!(
        buffer::fdinfo_number(other.raw(), "qda-bytes-copied")?,
        0,
        "bytes copied before the first call"
    );
    let calculator = file.module("calculator")?;
    let echo = file.module("echo")?;
    let start = copied()?;
    ensure!(start > 0, "loading two modules copied nothing");
    ensure_eq!(file.sum(calculator, &[1, 2, 3]), (0, 6), "sum");
    ensure_eq!(copied()?, start + 4 + 12 + 8, "bytes after a sum of three");
    for length in [1, 100, 5000, 300_000] {
        let before = copied()?;
        file.echo(echo, &dsp::pattern(length, 3))?;
        ensure_eq!(copied()?, before + 2 * length as u64, "echo of {length}");
    }
    // Buffers are not copied, whatever their size; what is inline beside them is.
    let (handle, area) = file.mapped(MIB)?;
    let (target, target_area) = file.mapped(MIB)?;
    area.stamp(8);
    let (fd, target_fd) = (file.export(handle)?, file.export(target)?);
    let before = copied()?;
    let data = dsp::pattern(1000, 4);
    let mut back = vec![0; 1000];
    let value = {
        // Outputs of the same sizes in the same order.
        let mut call = dsp::Call::new(2)
            .reads(area.address(), MIB as u64, fd.as_raw_fd())
            .input(&data)
            .writes(target_area.address(), MIB as u64, target_fd.as_raw_fd());
        call = call.output(&mut back);
        call.on(file.raw(), echo)
    };
    ensure_ret!(value, 0, "echo of a buffer and of inline bytes");
    dsp::same(&data, &back)?;
    target_area.check_stamps(8, 0, 0, MIB / PAGE)?;
    ensure_eq!(copied()?, before + 2000, "bytes copied beside a buffer");
    ensure_eq!(
        buffer::fdinfo_number(other.raw(), "qda-bytes-copied")?,
        0,
        "bytes copied for a file that made no call"
    );
    Ok(())
}

/// A group of the memory controller, removed at the end.
struct Group {
    path: String,
}

impl Group {
    /// Mounts the hierarchy if needed and makes a group.
    fn new(name: &str) -> Result<Self, Fail> {
        const ROOT: &str = "/tmp/cgroup";
        fs::create_dir_all(ROOT)?;
        if !Path::new(ROOT).join("cgroup.procs").exists() {
            let target = CString::new(ROOT).map_err(|_| "bad path")?;
            // SAFETY: All texts are NUL-terminated; there are no options.
            let value = unsafe {
                libc::mount(
                    c"none".as_ptr(),
                    target.as_ptr(),
                    c"cgroup2".as_ptr(),
                    0,
                    std::ptr::null(),
                )
            };
            if value != 0 {
                return Err(Fail::Skip(format!("no cgroup2: errno {}", raw::errno())));
            }
        }
        fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+memory")
            .map_err(|error| Fail::Skip(format!("no memory controller: {error}")))?;
        let path = format!("{ROOT}/{name}");
        fs::create_dir_all(&path)?;
        Ok(Group { path })
    }

    fn read(&self, file: &str) -> Result<String, Fail> {
        let path = format!("{}/{file}", self.path);
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}").into())
    }

    fn write(&self, file: &str, text: &str) -> Outcome {
        let path = format!("{}/{file}", self.path);
        fs::write(&path, text).map_err(|error| format!("{text} > {path}: {error}").into())
    }

    /// Bytes of shared memory that are charged to the group.
    fn shmem(&self) -> Result<u64, Fail> {
        self.read("memory.stat")?
            .lines()
            .find_map(|line| line.strip_prefix("shmem "))
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| "memory.stat has no shmem".into())
    }

    /// The calling process becomes a member.
    fn enter(&self) -> Outcome {
        self.write("cgroup.procs", "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Runs something in a child that belongs to a group; says why it failed.
fn in_group(group: &Group, body: impl FnOnce() -> Outcome) -> Result<Result<i32, i32>, Fail> {
    buffer::in_child(|| match group.enter().and_then(|()| body()) {
        Ok(()) => 0,
        Err(why) => {
            println!("{why}");
            1
        }
    })
}

pub fn memory_cgroup() -> Outcome {
    let group = Group::new("qda-charge")?;
    let outside = File::open(CDSP)?;
    let (_, before) = outside.mapped(8 * MIB)?;
    ensure_eq!(group.shmem()?, 0, "bytes of an empty group");
    let near = |what: &str, expected: usize| -> Outcome {
        let got = group.shmem()?;
        ensure!(
            got >= expected as u64 && got <= (expected + 2 * MIB) as u64,
            "{what}: {got} bytes are charged instead of {expected}"
        );
        println!("{what}: {got} bytes charged");
        Ok(())
    };
    let end = in_group(&group, || {
        let file = File::open(CDSP)?;
        let (handle, area) = file.mapped(24 * MIB)?;
        near("an untouched buffer", 0)?;
        area.stamp(1);
        near("a touched buffer", 24 * MIB)?;
        file.close(handle)?;
        near("a buffer that lives by its area", 24 * MIB)?;
        drop(area);
        near("a freed buffer", 0)?;
        // Made outside, touched here.
        before.stamp(2);
        near("a buffer made outside", 8 * MIB)?;
        // Touched by nobody but the kernel, for a call.
        let file = file.created()?;
        let echo = file.module("echo")?;
        let (handle, _) = file.mapped(6 * MIB)?;
        let fd = file.export(handle)?;
        let mut back = vec![1; PAGE];
        let value = dsp::Call::new(2)
            .reads(0, PAGE as u64, fd.as_raw_fd())
            .output(&mut back)
            .on(file.raw(), echo);
        ensure_ret!(value, 0, "call with an untouched buffer");
        ensure_eq!(back, vec![0; PAGE], "its bytes");
        near("a buffer that a call has touched", 14 * MIB)
    })?;
    ensure_eq!(end, Ok(0), "end of the child in the group");
    before.check_stamps(2, 0, 0, 8 * MIB / PAGE)?;
    drop(before);
    drop(outside);
    kmod::wait_for("nothing charged at the end", SOON, || {
        group.shmem().is_ok_and(|bytes| bytes < MIB as u64)
    })
}

/// A process cannot take more than its group may have, by touching or by calling.
pub fn memory_cgroup_limit() -> Outcome {
    crate::harness::expect_log("Call trace:");
    let before = Held::now()?;
    let group = Group::new("qda-limit")?;
    group.write("memory.max", "20971520")?;
    let _ = group.write("memory.swap.max", "0");
    let end = in_group(&group, || {
        let file = File::open(CDSP)?;
        let (_, area) = file.mapped(64 * MIB)?;
        area.stamp(1);
        Err("64 MiB were taken in a group of 20 MiB".into())
    })?;
    ensure_eq!(end, Err(libc::SIGKILL), "end of a process that touches");
    let end = in_group(&group, || {
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        let (handle, _) = file.mapped(64 * MIB)?;
        let fd = file.export(handle)?;
        let mut back = vec![0; PAGE];
        let value = dsp::Call::new(2)
            .reads(0, PAGE as u64, fd.as_raw_fd())
            .output(&mut back)
            .on(file.raw(), echo);
        ensure_ret!(value, -libc::ENOMEM, "call with a buffer of 64 MiB");
        file.still_works()
    })?;
    println!("a call beyond the limit: {end:?}");
    ensure!(
        matches!(end, Ok(0) | Err(libc::SIGKILL)),
        "end of a process that calls: {end:?}"
    );
    let events = group.read("memory.events")?;
    println!("{}", events.replace('\n', ", "));
    kmod::wait_for("nothing charged at the end", SOON, || {
        group.shmem().is_ok_and(|bytes| bytes < MIB as u64)
    })?;
    File::with_process(CDSP)?.still_works()?;
    before.wait_for_return(SLACK)
}
