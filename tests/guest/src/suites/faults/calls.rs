// SPDX-License-Identifier: GPL-2.0
//! Calls of either kind. A call that succeeds was executed once, one that found no memory never.

use super::*;

/// A session whose calls are swept.
struct Caller {
    file: File,
    echo: u32,
    mem: u32,
}

impl Caller {
    fn new() -> Result<Self, Fail> {
        let file = File::with_process(CDSP)?;
        let echo = file.module("echo")?;
        let mem = file.module("mem")?;
        Ok(Caller { file, echo, mem })
    }

    fn mem(&self) -> DspMem<'_> {
        DspMem {
            file: &self.file,
            handle: self.mem,
        }
    }

    /// Lets the DSP drop what it has of a tag.
    fn drop_held(&self, tag: i32) -> Outcome {
        for _ in 0..100 {
            if buffers::status("held")? == 0 {
                return Ok(());
            }
            let values = [u64::from(tag as u32); 16];
            ensure_ret!(self.mem().drop_tags(0, &values), 0, "drop");
        }
        Err("handles cannot be dropped".into())
    }
}

/// Calls that have been executed.
fn executions() -> Result<u64, Fail> {
    sim::counter("executions")
}

/// Compares how often a call was executed with what it gave.
fn executed(before: u64, value: i64) -> Outcome {
    let times = executions()? - before;
    match value {
        0 => ensure_eq!(times, 1, "executions of a call that was made"),
        // The last step may be the one that fails: results that cannot be copied back.
        value if value == -i64::from(libc::EFAULT) => {
            ensure!(times <= 1, "{times} executions");
        }
        _ => ensure_eq!(times, 0, "executions of a call that failed"),
    }
    Ok(())
}

/// One old-style call that is ready to be made.
struct Invocation {
    invoke: Invoke,
    _elems: Vec<Elem>,
}

impl Invocation {
    fn of(call: &Call<'_>, handle: u32) -> Self {
        let elems: Vec<Elem> = [&call.ins, &call.outs, &call.in_handles, &call.out_handles]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        Invocation {
            invoke: Invoke {
                handle,
                sc: call.scalars(),
                args: elems.as_ptr() as u64,
            },
            _elems: elems,
        }
    }

    fn on(&self, file: &File) -> i64 {
        raw::ioctl(file.raw(), raw::INVOKE, ptr::from_ref(&self.invoke) as u64)
    }
}

/// Copied arguments: small ones, and more than the message memory of a session has at first.
pub fn inline() -> Outcome {
    let caller = Caller::new()?;
    for (what, size, clean) in [
        ("INVOKE, inline", 1000, 1),
        ("INVOKE, inline, 200 KiB", 200 << 10, 8),
    ] {
        let data = dsp::pattern(size, 3);
        Sweep::of(what).clean_every(clean).run(
            || {
                let mut back = vec![0; size];
                let call = Call::new(2).input(&data).output(&mut back);
                let ready = Invocation::of(&call, caller.echo);
                drop(call);
                Ok((ready, back, executions()?))
            },
            |(ready, _, _)| ready.on(&caller.file),
            |(_, back, before), value| {
                executed(before, value)?;
                if value == 0 {
                    dsp::same(&data, &back)?;
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Ranges of buffers that the session has not seen before.
pub fn buffers_by_fd() -> Outcome {
    let caller = Caller::new()?;
    for (what, maker) in [
        ("INVOKE, own buffer", Maker::Own),
        ("INVOKE, udmabuf", Maker::Scattered),
        ("INVOKE, buffer of vgem", Maker::Vgem),
    ] {
        Sweep::of(what).foreign().run(
            || {
                let from = Shared::new(maker, &caller.file, 4 * PAGE)?;
                let to = Shared::new(maker, &caller.file, 4 * PAGE)?;
                let data = from.fill(9);
                let call = Call::new(2)
                    .reads(from.at(0), from.size as u64, from.raw())
                    .writes(to.at(0), to.size as u64, to.raw());
                let ready = Invocation::of(&call, caller.echo);
                Ok((ready, from, to, data, executions()?))
            },
            |(ready, ..)| ready.on(&caller.file),
            |(_, from, to, data, before), value| {
                executed(before, value)?;
                if value == 0 {
                    to.holds(0, &data)?;
                }
                close_all(&caller.file, [from, to])
            },
        )?;
    }
    Ok(())
}

/// Ends buffers and the handles of those that are objects of the file.
fn close_all<const N: usize>(file: &File, all: [Shared; N]) -> Outcome {
    for one in all {
        if one.handle != 0 {
            file.close(one.handle)?;
        }
    }
    Ok(())
}

/// Buffers in handle position, which the DSP has until it drops them.
pub fn handles() -> Outcome {
    let caller = Caller::new()?;
    for (what, maker) in [
        ("INVOKE, handle of own buffer", Maker::Own),
        ("INVOKE, handle of udmabuf", Maker::Scattered),
    ] {
        Sweep::of(what).foreign().run(
            || {
                let one = Shared::new(maker, &caller.file, 4 * PAGE)?;
                let mut out = vec![0; 3 * dspmem::RECORD];
                let call = Call::new(dspmem::ARGS)
                    .output(&mut out)
                    .in_handle(0, PAGE as u64, one.raw())
                    .out_handle(0, PAGE as u64, one.raw());
                let ready = Invocation::of(&call, caller.mem);
                drop(call);
                Ok((ready, out, one, executions()?))
            },
            |(ready, ..)| ready.on(&caller.file),
            |(_, _out, one, before), value| {
                executed(before, value)?;
                held_agrees()?;
                caller.drop_held(one.raw())?;
                close_all(&caller.file, [one])
            },
        )?;
    }
    Ok(())
}

/// The driver keeps what the DSP has a handle of: one entry of the DSP for one of the driver.
fn held_agrees() -> Outcome {
    ensure_eq!(
        buffers::status("held")?,
        sim::counter("held")?,
        "buffers held by the driver and by the DSP"
    );
    Ok(())
}

/// As many arguments as there can be.
pub fn most() -> Outcome {
    const EACH: usize = 255;
    const HANDLES: usize = 15;
    const ALL: usize = 2 * EACH + 2 * HANDLES;
    let caller = Caller::new()?;
    let one = Shared::own(&caller.file, PAGE)?;
    // The session has seen the buffer, so that it is mapped before and after.
    let seen = caller.mem().arg(one.at(0), 16, one.raw());
    ensure!(seen.is_ok(), "a call with the buffer: {seen:?}");
    let data = [0x33; 16];
    Sweep::of("INVOKE, 540 arguments")
        .step(25)
        .clean_every(50)
        .run(
            || {
                let mut records = vec![0; ALL * dspmem::RECORD];
                let mut rest = vec![0; EACH * 8];
                let mut call = Call::new(dspmem::ARGS);
                for _ in 0..EACH {
                    call = call.input(&data);
                }
                call = call.output_at(records.as_mut_ptr() as u64, records.len() as u64);
                for chunk in rest.chunks_mut(8).take(EACH - 1) {
                    call = call.output_at(chunk.as_mut_ptr() as u64, 8);
                }
                for _ in 0..HANDLES {
                    call = call
                        .in_handle(0, 16, one.raw())
                        .out_handle(0, 16, one.raw());
                }
                let ready = Invocation::of(&call, caller.mem);
                Ok((ready, records, rest, executions()?))
            },
            |(ready, ..)| ready.on(&caller.file),
            |(_, _records, _rest, before), value| {
                executed(before, value)?;
                held_agrees()?;
                caller.drop_held(one.raw())
            },
        )
}

/// The new call with all kinds of arguments.
pub fn new_call() -> Outcome {
    const TAG: i32 = 77;
    let caller = Caller::new()?;
    let data = dsp::pattern(500, 4);
    Sweep::of("CALL, inline").run(
        || {
            let mut back = vec![0; data.len()];
            let call = NewCall::new(2).input(&data).output(&mut back);
            let request = call.request(caller.echo);
            let args = call.args;
            Ok((request, args, back, executions()?))
        },
        |(request, ..)| raw::ioctl(caller.file.raw(), raw::CALL, ptr::from_mut(request) as u64),
        |(request, _args, back, before), value| {
            executed(before, value)?;
            if value == 0 {
                ensure_eq!(request.result, 0, "result");
                dsp::same(&data, &back)?;
            }
            Ok(())
        },
    )?;
    Sweep::of("CALL, buffer and handle").foreign().run(
        || {
            let handle = caller.file.buffer(4 * PAGE)?;
            let other = exporters::udmabuf(2 * PAGE)?.0;
            let import = caller.file.import(&other)?;
            let mut out = vec![0; 4 * dspmem::RECORD];
            let call = NewCall::new(dspmem::ARGS)
                .read(handle, 100, 5000)
                .output(&mut out)
                .write(import, 0, PAGE as u64)
                .handle(ARG_IN, handle, TAG, 0, PAGE as u64);
            let request = call.request(caller.mem);
            let args = call.args;
            Ok((request, (args, out, other), [handle, import], executions()?))
        },
        |(request, ..)| raw::ioctl(caller.file.raw(), raw::CALL, ptr::from_mut(request) as u64),
        |(request, _memory, handles, before), value| {
            executed(before, value)?;
            if value == 0 {
                ensure_eq!(request.result, 0, "result");
            }
            held_agrees()?;
            caller.drop_held(TAG)?;
            for handle in handles {
                caller.file.close(handle)?;
            }
            Ok(())
        },
    )
}
