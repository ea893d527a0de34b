// SPDX-License-Identifier: GPL-2.0
//! Context banks: users share them, root may have all.

use super::*;
use std::os::unix::fs::PermissionsExt;

/// Lets everyone open the nodes for the time of a function.
fn with_open_nodes(body: impl FnOnce() -> Outcome) -> Outcome {
    let permit = |mode| {
        dsp::nodes().iter().try_for_each(|node| {
            std::fs::set_permissions(&node.path, std::fs::Permissions::from_mode(mode))
        })
    };
    permit(0o666)?;
    let result = body();
    permit(0o600)?;
    result
}

/// Runs `body` in a thread of its own that is user `uid` and has no capabilities.
fn as_user<T: Send>(uid: u32, body: impl FnOnce() -> Result<T, Fail> + Send) -> Result<T, Fail> {
    thread::scope(|scope| {
        let one = scope.spawn(move || {
            become_user(uid)?;
            body()
        });
        one.join().unwrap_or(Err("a thread panicked".into()))
    })
}

/// Makes the calling thread, and no other, user `uid`.
fn become_user(uid: u32) -> Outcome {
    // SAFETY: Plain numbers. The library's function would change all threads, this call does not.
    let value = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    ensure_eq!(value, 0, "setresuid");
    Ok(())
}

/// Opens a DSP as user `uid` and creates a process: the file and the value of the ioctl.
fn create_as(uid: u32, label: &'static str) -> Result<(File, i64), Fail> {
    as_user(uid, move || {
        let file = File::open(label)?;
        let value = file.create();
        Ok((file, value))
    })
}

const ALICE: u32 = 1000;
const BOB: u32 = 1001;
const CAROL: u32 = 1002;

/// Seats that only users without a session get.
fn reserve(label: &str) -> Result<usize, Fail> {
    let seats = dt::dsp(label)?.capacity();
    ensure!(seats >= 2, "{label} has {seats} seats");
    Ok((seats / 4).max(1))
}

/// Creates processes as a user until that is refused.
fn fill(uid: u32, label: &'static str) -> Result<(Vec<File>, i64), Fail> {
    let mut files = Vec::new();
    loop {
        match create_as(uid, label)? {
            (file, 0) => files.push(file),
            (_, value) => return Ok((files, value)),
        }
        ensure!(files.len() < 100, "no limit of sessions");
    }
}

pub fn share() -> Outcome {
    with_open_nodes(users_share)
}

fn users_share() -> Outcome {
    for label in [CDSP, ADSP] {
        let seats = dt::dsp(label)?.capacity();
        let reserve = reserve(label)?;
        let (mut alice, refusal) = fill(ALICE, label)?;
        ensure_eq!(
            alice.len(),
            seats - reserve,
            "sessions of one user on {label}"
        );
        ensure_ret!(refusal, -libc::EDQUOT, "one more on {label}");
        ensure_eq!(status_of(label, "seats")?, alice.len() as u64, "seats");
        // Nothing happened on the DSP for the refusal.
        nothing_sent(|| {
            ensure_ret!(create_as(ALICE, label)?.1, -libc::EDQUOT, "once more");
            Ok(())
        })?;
        // The others get the rest, one each, while there is any.
        let (bob, refusal) = fill(BOB, label)?;
        ensure_eq!(bob.len(), 1, "sessions of the second user on {label}");
        ensure_errno!(
            refusal,
            [libc::EDQUOT, libc::EBUSY],
            "a second one on {label}"
        );
        bob[0].still_works()?;
        if reserve == 1 {
            ensure_ret!(create_as(CAROL, label)?.1, -libc::EBUSY, "nothing is free");
            ensure_ret!(File::open(label)?.create(), -libc::EBUSY, "nor for root");
        }
        // What Alice gives back is the reserve: not for her, for Carol.
        alice.pop();
        wait_seats(label, seats - 1)?;
        ensure_ret!(
            create_as(ALICE, label)?.1,
            -libc::EDQUOT,
            "the last one again"
        );
        let (carol, value) = create_as(CAROL, label)?;
        ensure_ret!(value, 0, "the third user on {label}");
        carol.still_works()?;
        drop(carol);
        drop(bob);
        wait_seats(label, alice.len())?;
        // One seat beyond the reserve is free now.
        let (file, value) = create_as(ALICE, label)?;
        ensure_ret!(value, 0, "a free one");
        file.still_works()?;
        for file in &alice {
            file.still_works()?;
        }
    }
    Ok(())
}

fn wait_seats(label: &str, number: usize) -> Outcome {
    let deadline = Instant::now() + patience(SOON);
    loop {
        let now = status_of(label, "seats")?;
        if now == number as u64 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{now} seats are taken, not {number}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whoever opens with CAP_SYS_ADMIN may have all, and it is the opener that counts.
pub fn of_root() -> Outcome {
    with_open_nodes(root_may_have_all)
}

fn root_may_have_all() -> Outcome {
    let seats = dt::dsp(CDSP)?.capacity();
    for _ in 0..2 {
        let mut files = Vec::new();
        for n in 0..seats {
            let file = File::open(CDSP)?;
            ensure_ret!(file.create(), 0, "session {n} of root");
            files.push(file);
        }
        ensure_ret!(File::open(CDSP)?.create(), -libc::EBUSY, "one more");
        files.pop();
        wait_seats(CDSP, seats - 1)?;
        let (alice, value) = create_as(ALICE, CDSP)?;
        ensure_ret!(value, 0, "a user beside root");
        alice.still_works()?;
    }
    wait_seats(CDSP, 0)?;
    // Files that root opened, used by a user; and the other way round.
    let root: Vec<_> = (0..seats)
        .map(|_| File::open(CDSP))
        .collect::<Result<_, _>>()?;
    as_user(ALICE, || {
        for (n, file) in root.iter().enumerate() {
            ensure_ret!(file.create(), 0, "session {n} on a file of root");
        }
        Ok(())
    })?;
    drop(root);
    wait_seats(CDSP, 0)?;
    let hers = as_user(ALICE, || {
        (0..seats)
            .map(|_| File::open(CDSP))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let values: Vec<_> = hers.iter().map(File::create).collect();
    let refused = values.iter().filter(|&&value| value != 0).count();
    ensure_eq!(
        refused,
        reserve(CDSP)?,
        "refusals on files of a user: {values:?}"
    );
    Ok(())
}

/// Users that race for seats: never more than the share, and the modest one always gets his.
pub fn in_threads() -> Outcome {
    with_open_nodes(users_race)
}

fn users_race() -> Outcome {
    let seats = dt::dsp(CDSP)?.capacity();
    let share = seats - reserve(CDSP)?;
    let live = AtomicU32::new(0);
    let (good, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (live, good, refused, stop) = (&live, &good, &refused, &stop);
                scope.spawn(move || -> Outcome {
                    become_user(ALICE)?;
                    while !stop.load(Ordering::Relaxed) {
                        let file = File::open(CDSP)?;
                        match file.create() {
                            0 => {
                                let now = live.fetch_add(1, Ordering::SeqCst) + 1;
                                ensure!(now as usize <= share, "{now} sessions at once");
                                good.fetch_add(1, Ordering::Relaxed);
                                thread::sleep(Duration::from_millis(3));
                                live.fetch_sub(1, Ordering::SeqCst);
                            }
                            value => {
                                // EBUSY: the modest one has the last seat.
                                ensure_errno!(
                                    value,
                                    [libc::EDQUOT, libc::EBUSY],
                                    "the greedy user"
                                );
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let mut result = as_user(BOB, || {
            for n in 0..10 {
                let file = File::open(CDSP)?;
                ensure_ret!(file.create(), 0, "session {n} of the modest user");
                file.still_works()?;
                drop(file);
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        for one in threads {
            result = result.and(one.join().unwrap_or(Err("a thread panicked".into())));
        }
        result
    })?;
    println!(
        "greedy user: {} sessions, {} refused",
        good.load(Ordering::Relaxed),
        refused.load(Ordering::Relaxed)
    );
    wait_seats(CDSP, 0)
}
