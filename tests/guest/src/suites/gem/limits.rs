// SPDX-License-Identifier: GPL-2.0
//! Limits of one buffer and of one file.

use super::*;

const GIB: u64 = 1 << 30;

/// Makes buffers of one size until that is refused; their handles and the refusal.
fn fill(file: &File, size: u64, at_most: usize) -> (Vec<u32>, Option<i64>) {
    let mut handles = Vec::new();
    while handles.len() < at_most {
        match buffer::create(file.raw(), size) {
            Ok(handle) => handles.push(handle),
            Err(value) => return (handles, Some(value)),
        }
    }
    (handles, None)
}

pub fn default_limits() -> Outcome {
    let before = Held::now()?;
    let file = File::open(CDSP)?;
    let (handles, refusal) = fill(&file, 16 * GIB, 10);
    ensure_eq!(handles.len(), 4, "buffers of 16 GiB");
    ensure_eq!(refusal, Some(-i64::from(libc::ENOSPC)), "the fifth");
    ensure_eq!(
        buffer::create(file.raw(), 1).err(),
        Some(-i64::from(libc::ENOSPC)),
        "one byte more"
    );
    // Too large for itself is too large, however full the file is.
    ensure_eq!(
        buffer::create(file.raw(), 16 * GIB + 1).err(),
        Some(-i64::from(libc::E2BIG)),
        "too large in a full file"
    );
    // Another file has limits of its own.
    let other = File::open(CDSP)?;
    let handle = other.buffer(PAGE)?;
    // An import costs nothing: the memory is charged to the file that made it.
    let fd = other.export(handle)?;
    let imported = file.import(&fd)?;
    file.close(imported)?;
    for handle in handles {
        file.close(handle)?;
        let again = file.buffer(16 << 30)?;
        file.close(again)?;
    }
    drop(file);
    drop(other);
    drop(fd);
    before.wait_for_return(SLACK)
}

pub fn small_limits() -> Outcome {
    reload("max_buffer_mib=2 max_file_mib=5")?;
    let result = with_small_limits();
    reload("")?;
    result?;
    File::open(CDSP)?.buffer(64 * MIB)?;
    File::with_process(CDSP)?.still_works()
}

fn with_small_limits() -> Outcome {
    let mib = MIB as u64;
    let file = File::open(CDSP)?;
    let refused = |size: u64, errno: i32, what: &str| -> Outcome {
        ensure_eq!(
            buffer::create(file.raw(), size).err(),
            Some(-i64::from(errno)),
            "{what}"
        );
        Ok(())
    };
    refused(2 * mib + 1, libc::E2BIG, "2 MiB + 1")?;
    refused(u64::MAX, libc::E2BIG, "all bytes")?;
    let first = file.buffer(2 * MIB)?;
    let (second, area) = file.mapped(2 * MIB)?;
    area.stamp(2);
    refused(mib + 1, libc::ENOSPC, "1 MiB + 1 with 1 MiB left")?;
    refused(2 * mib + 1, libc::E2BIG, "too large with 1 MiB left")?;
    let third = file.buffer(MIB)?;
    refused(1, libc::ENOSPC, "1 byte with nothing left")?;
    file.close(third)?;
    // Rounded sizes count: 256 pages of one byte each.
    let (pages, refusal) = fill(&file, 1, 1000);
    ensure_eq!(pages.len(), 256, "buffers of one byte in 1 MiB");
    ensure_eq!(refusal, Some(-i64::from(libc::ENOSPC)), "the next one");
    for handle in pages {
        file.close(handle)?;
    }
    file.close(first)?;
    let first = file.buffer(2 * MIB)?;
    file.close(first)?;
    // A buffer counts as long as it lives, and an export keeps it.
    let third = file.buffer(MIB)?;
    let first = file.buffer(2 * MIB)?;
    let fd = file.export(first)?;
    file.close(first)?;
    refused(1, libc::ENOSPC, "with a buffer that lives by its export")?;
    drop(fd);
    kmod::wait_for("room after the export is closed", SOON, || {
        buffer::create(file.raw(), 1).is_ok_and(|handle| buffer::close(file.raw(), handle) == 0)
    })?;
    // A second file of the same process has its own room; importing does not take any of it.
    let other = File::open(CDSP)?;
    let fd = file.export(second)?;
    let imported = other.import(&fd)?;
    let (handles, refusal) = fill(&other, mib, 10);
    ensure_eq!(handles.len(), 5, "buffers of 1 MiB beside an import");
    ensure_eq!(refusal, Some(-i64::from(libc::ENOSPC)), "the sixth");
    other
        .map(imported, 2 * MIB)?
        .check_stamps(2, 0, 0, 2 * MIB / PAGE)?;
    // The charge belongs to the file that made the buffer, also when another one keeps it.
    file.close(second)?;
    drop(fd);
    file.close(third)?;
    let (handles, _) = fill(&file, mib, 10);
    ensure_eq!(
        handles.len(),
        3,
        "buffers of 1 MiB beside one kept by another file"
    );
    drop(file);
    other
        .map(imported, 2 * MIB)?
        .check_stamps(2, 0, 0, 2 * MIB / PAGE)?;
    area.check_stamps(2, 0, 0, 2 * MIB / PAGE)
}

/// Threads that make and close buffers at the limit: never more than fit, and all of the room is
/// there at the end.
pub fn limit_races() -> Outcome {
    reload("max_buffer_mib=1 max_file_mib=4")?;
    let result = (|| {
        static REFUSED: AtomicUsize = AtomicUsize::new(0);
        let file = Arc::new(File::open(CDSP)?);
        let inside = Arc::clone(&file);
        in_threads(16, move |_| {
            for _ in 0..300 {
                match buffer::create(inside.raw(), MIB as u64) {
                    Ok(handle) => {
                        let total = buffer::fdinfo_number(inside.raw(), "drm-total-memory")?;
                        ensure!(total <= 4 * MIB as u64, "{total} bytes at once");
                        inside.close(handle)?;
                    }
                    Err(value) => {
                        REFUSED.fetch_add(1, Ordering::Relaxed);
                        ensure_ret!(value, -libc::ENOSPC, "create at the limit");
                    }
                }
            }
            Ok(())
        })?;
        println!("{} of 4800 were refused", REFUSED.load(Ordering::Relaxed));
        let (handles, refusal) = fill(&file, MIB as u64, 10);
        ensure_eq!(handles.len(), 4, "buffers after the race");
        ensure_eq!(refusal, Some(-i64::from(libc::ENOSPC)), "the fifth");
        Ok(())
    })();
    reload("")?;
    result
}
