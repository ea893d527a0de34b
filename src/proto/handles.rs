// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Remote handles with a fixed meaning.
//!
//! Owns the numbers and the one question that the driver asks about them: may user space call
//! this handle. Takes no locks.
//!
//! Source: wire protocol, section 10.

/// Remote control of modules (open, close), form without a domain.
pub const REMOTECTL: u32 = 0;
/// The process manager. Only the kernel may call it.
pub const PROCESS_MANAGER: u32 = 1;
/// DSP utilities, among them the capability call.
pub const DSP_UTILITIES: u32 = 2;
/// Listener for reverse calls, form without a domain.
pub const LISTENER: u32 = 3;
/// The current process: exit, thread exit, poll mode.
pub const CURRENT_PROCESS: u32 = 4;
/// The log daemon.
pub const LOG_DAEMON: u32 = 5;
/// Performance counters, form without a domain.
pub const PERF: u32 = 6;
/// Listener for reverse calls, form with a domain.
pub const LISTENER_DOMAIN: u32 = 7;
/// Remote control of modules, form with a domain.
pub const REMOTECTL_DOMAIN: u32 = 8;
/// Performance counters, form with a domain.
pub const PERF_DOMAIN: u32 = 9;
/// The largest handle that may be static. Handles above it belong to modules opened at run time.
pub const LAST_STATIC: u32 = 20;

/// Whether a handle is reserved for calls that the kernel makes for itself.
pub const fn is_kernel_only(handle: u32) -> bool {
    matches!(handle, PROCESS_MANAGER | DSP_UTILITIES)
}

/// Whether a handle names a module that was opened at run time.
pub const fn is_dynamic(handle: u32) -> bool {
    handle > LAST_STATIC
}
