// SPDX-License-Identifier: GPL-2.0
//! Who may open, attach and look.

use super::*;

pub fn attach_as_root() -> Outcome {
    let attaches = sim::counter("attaches")?;
    let releases = sim::counter("releases")?;
    let file = File::open(CDSP)?;
    ensure_ret!(file.attach(), 0, "attach");
    file.still_works()?;
    let context = sim::last_request(CDSP)?.context;
    ensure_eq!(
        context & 0xf,
        0,
        "process domain of a call to the root process"
    );
    ensure_eq!(sim::counter("attaches")?, attaches + 1, "attaches");
    drop(file);
    ensure_eq!(sim::counter("releases")?, releases + 1, "releases");
    let file = File::with_process(CDSP)?;
    file.still_works()?;
    let context = sim::last_request(CDSP)?.context;
    ensure_eq!(
        context & 0xf,
        1,
        "process domain of a call to a user process"
    );
    Ok(())
}

/// Lets everyone open a node for the time of a function.
fn with_open_node(label: &str, body: impl FnOnce(&str) -> Outcome) -> Outcome {
    let path = dsp::node(label)?.path;
    let before = std::fs::metadata(&path)?.permissions();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    let result = body(&path.display().to_string());
    std::fs::set_permissions(&path, before)?;
    result
}

pub fn attach_as_user() -> Outcome {
    with_open_node(CDSP, |path| {
        let before = sim::counter("attaches")?;
        let mut helper = Helper::start("user-attach", &[path])?;
        helper.expect("-EACCES")?;
        // The refused attach leaves the file as new: the same user creates a process.
        helper.expect("0")?;
        helper.success(SOON)?;
        ensure_eq!(
            sim::counter("attaches")?,
            before,
            "attaches of an ordinary user"
        );
        // What counts is who opened the file, not who calls.
        let mut helper = Helper::start("root-open-user-attach", &[path])?;
        helper.expect("0")?;
        helper.success(SOON)
    })?;
    // The device tree says that the adsp trusts everyone (qcom,non-secure-domain).
    with_open_node(ADSP, |path| {
        let mut helper = Helper::start("user-attach", &[path])?;
        helper.expect("0")?;
        helper.expect("-EEXIST")?;
        helper.success(SOON)
    })
}

pub fn node_without_permission() -> Outcome {
    let path = dsp::node(CDSP)?.path;
    let before = std::fs::metadata(&path)?.permissions();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let mut helper = Helper::start("user-open", &[&path.display().to_string()])?;
    let line = helper.line();
    std::fs::set_permissions(&path, before)?;
    ensure_eq!(
        line?,
        format!("errno {}", libc::EACCES),
        "open without permission"
    );
    helper.success(SOON)
}

pub fn debug_files_closed() -> Outcome {
    Helper::start("user-debugfs", &[])?.success(SOON)
}
