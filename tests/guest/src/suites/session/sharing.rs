// SPDX-License-Identifier: GPL-2.0
//! Threads and processes that share a file, and what the DSP sees of them.

use super::*;

/// Counts how often each value came back from `body` in 16 threads at once.
fn race(file: &Arc<File>, body: fn(u32, &File) -> i64) -> Result<Vec<i64>, Fail> {
    let barrier = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let (file, barrier) = (Arc::clone(file), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                body(n, &file)
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|one| one.join().map_err(|_| "a thread panicked".into()))
        .collect()
}

/// Exactly one of 16 calls succeeds, the others see that the session exists.
fn one_winner(values: &[i64]) -> Outcome {
    let winners = values.iter().filter(|&&value| value == 0).count();
    ensure_eq!(winners, 1, "winners among {values:?}");
    for &value in values {
        if value != 0 {
            ensure_ret!(value, -libc::EEXIST, "the others");
        }
    }
    Ok(())
}

pub fn create_race() -> Outcome {
    for _ in 0..10 {
        let creates = sim::counter("creates")?;
        let file = Arc::new(File::open(CDSP)?);
        one_winner(&race(&file, |_, file| file.create())?)?;
        ensure_eq!(
            sim::counter("creates")?,
            creates + 1,
            "creates seen by the DSP"
        );
        file.still_works()?;
    }
    Ok(())
}

pub fn create_attach_race() -> Outcome {
    for _ in 0..10 {
        let file = Arc::new(File::open(CDSP)?);
        let values = race(&file, |n, file| {
            if n % 2 == 0 {
                file.create()
            } else {
                file.attach()
            }
        })?;
        one_winner(&values)?;
        file.still_works()?;
    }
    Ok(())
}

/// A child made by fork() uses the parent's session, and outlives the parent's descriptor.
pub fn fork_shares() -> Outcome {
    let file = File::with_process(CDSP)?;
    let calculator = file.module("calculator")?;
    let releases = sim::counter("releases")?;
    // SAFETY: This process has no other threads; the child only makes calls and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let good = (0..50).all(|n| file.sum(calculator, &[n, 2]) == (0, i64::from(n) + 2));
        // SAFETY: Ends the child without running the parent's destructors.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    ensure!(child > 0, "fork failed");
    for n in 0..50 {
        ensure_eq!(
            file.sum(calculator, &[n, -1]),
            (0, i64::from(n) - 1),
            "sum in the parent"
        );
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    ensure_eq!((waited, status), (child, 0), "end of the child");
    file.still_works()?;
    ensure_eq!(
        sim::counter("releases")?,
        releases,
        "releases by the end of the child"
    );
    Ok(())
}

/// Makes a descriptor that programs inherit.
fn inheritable(file: &File) -> Result<i32, Fail> {
    // SAFETY: Plain numbers.
    let fd = unsafe { libc::dup(file.fd.as_raw_fd()) };
    ensure!(fd >= 0, "dup failed");
    Ok(fd)
}

pub fn file_passed_on() -> Outcome {
    let releases = sim::counter("releases")?;
    // A session that another program uses after its creator closed it.
    let file = File::with_process(CDSP)?;
    let calculator = file.module("calculator")?;
    let fd = inheritable(&file)?;
    let helper = Helper::start("on-fd", &[&fd.to_string(), &calculator.to_string()])?;
    // SAFETY: The duplicate belongs to this function.
    unsafe { libc::close(fd) };
    drop(file);
    helper.success(SOON)?;
    sim::wait_counter("releases", SOON, |now| now == releases + 1)?;

    // A file on which another program creates the session.
    let file = File::open(CDSP)?;
    let fd = inheritable(&file)?;
    let helper = Helper::start("create-on-fd", &[&fd.to_string()])?;
    // SAFETY: As above.
    unsafe { libc::close(fd) };
    helper.success(SOON)?;
    file.still_works()?;
    ensure_ret!(
        file.create(),
        -libc::EEXIST,
        "create after another program did it"
    );
    Ok(())
}

/// The id that the last user call on a DSP carried.
fn client_of(file: &File, label: &str) -> Result<u32, Fail> {
    file.still_works()?;
    let request = sim::last_request(label)?;
    ensure!(
        request.handle != 1,
        "the last request is the kernel's: {request:?}"
    );
    Ok(request.client)
}

pub fn client_ids() -> Outcome {
    let mut live = Vec::new();
    let mut ids = BTreeSet::new();
    for _ in 0..dt::dsp(CDSP)?.capacity() {
        let file = File::with_process(CDSP)?;
        let id = client_of(&file, CDSP)?;
        ensure!(id != 0, "client id 0");
        ensure!(ids.insert(id), "id {id} is in use twice");
        live.push(file);
    }
    // A session that follows another one in the same bank has a new id, again and again.
    // Also if there is no other session meanwhile.
    let mut recent = Vec::new();
    for kept in [1, 0] {
        live.truncate(kept);
        for _ in 0..10 {
            let file = File::with_process(CDSP)?;
            let id = client_of(&file, CDSP)?;
            ensure!(id != 0, "client id 0");
            ensure!(
                !recent.contains(&id),
                "id {id} is used again at once: {recent:?}"
            );
            recent.push(id);
        }
    }
    Ok(())
}

/// Many sessions one after the other leave nothing behind.
pub fn many_sessions() -> Outcome {
    let memory = free_memory()?;
    let creates = sim::counter("creates")?;
    let number = rounds(300) as u64;
    for n in 0..number {
        let file = File::with_process(if n % 3 == 0 { ADSP } else { CDSP })?;
        if n % 10 == 0 {
            file.still_works()?;
        }
    }
    ensure_eq!(sim::counter("creates")?, creates + number, "creates");
    let lost = memory.saturating_sub(free_memory()?);
    ensure!(
        lost < 64 << 10,
        "{lost} KiB less memory after {number} sessions"
    );
    Ok(())
}

/// Available memory of the guest in KiB.
fn free_memory() -> Result<u64, Fail> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| "no MemAvailable".into())
}
