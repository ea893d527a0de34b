// SPDX-License-Identifier: GPL-2.0 OR MIT
//! What the driver tells about an open file in `/proc/self/fdinfo`.
//!
//! Pure parsing; the file is read by `device`.

/// Facts about an open device and its process on the DSP.
///
/// A field is `None` if the kernel does not give it: before there is a process
/// there is neither a bank nor a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// Name of the DRM driver, "qda" (`drm-driver`).
    pub driver: Option<String>,
    /// Number of this client among all of DRM (`drm-client-id`).
    pub drm_client: Option<u64>,
    /// Name of the DSP (`qda-dsp`).
    pub dsp: Option<String>,
    /// Stream id of the context bank (`qda-bank`).
    pub bank: Option<u32>,
    /// Number of the client on the DSP (`qda-session`).
    pub session: Option<u32>,
    /// Bytes of arguments that the kernel has copied, in and out, for all calls
    /// so far (`qda-bytes-copied`). Arguments in buffers do not count.
    pub bytes_copied: Option<u64>,
    /// Bytes of all buffers of this file (`drm-total-memory`).
    pub total_memory: Option<u64>,
    /// Bytes of buffers that others have too (`drm-shared-memory`).
    pub shared_memory: Option<u64>,
    /// Bytes of buffers for which there are pages now (`drm-resident-memory`).
    pub resident_memory: Option<u64>,
    /// Bytes of buffers that a call or the DSP uses now (`drm-active-memory`).
    pub active_memory: Option<u64>,
}

impl Facts {
    /// Reads the text of an fdinfo file. Lines that are not known or whose value
    /// is not a number where one belongs are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut facts = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key {
                "drm-driver" => facts.driver = Some(value.to_string()),
                "drm-client-id" => facts.drm_client = value.parse().ok(),
                "qda-dsp" => facts.dsp = Some(value.to_string()),
                "qda-bank" => facts.bank = value.parse().ok(),
                "qda-session" => facts.session = value.parse().ok(),
                "qda-bytes-copied" => facts.bytes_copied = value.parse().ok(),
                "drm-total-memory" => facts.total_memory = size(value),
                "drm-shared-memory" => facts.shared_memory = size(value),
                "drm-resident-memory" => facts.resident_memory = size(value),
                "drm-active-memory" => facts.active_memory = size(value),
                _ => {}
            }
        }
        facts
    }
}

/// A size as DRM writes it: a number with the unit KiB, MiB, or none.
fn size(value: &str) -> Option<u64> {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let unit: u64 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t300\n\
        drm-driver:\tqda\ndrm-client-id:\t7\ndrm-total-memory:\t12 KiB\n\
        drm-shared-memory:\t0\ndrm-active-memory:\t0\ndrm-resident-memory:\t3 MiB\n\
        qda-dsp:\tcdsp\nqda-bank:\t3\nqda-session:\t1\nqda-bytes-copied:\t4711\n";

    #[test]
    fn all_keys_are_read() {
        assert_eq!(
            Facts::parse(TEXT),
            Facts {
                driver: Some("qda".into()),
                drm_client: Some(7),
                dsp: Some("cdsp".into()),
                bank: Some(3),
                session: Some(1),
                bytes_copied: Some(4711),
                total_memory: Some(12288),
                shared_memory: Some(0),
                resident_memory: Some(3 << 20),
                active_memory: Some(0),
            }
        );
    }

    #[test]
    fn sizes_have_the_units_of_drm() {
        assert_eq!(size("5"), Some(5));
        assert_eq!(size("5 KiB"), Some(5120));
        for odd in ["", "KiB", "5 GiB", "-5", "5  KiB", "99999999999999999 MiB"] {
            assert_eq!(size(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn missing_and_odd_lines_give_none() {
        let facts = Facts::parse("drm-driver:\tqda\nqda-bank:\tnone\nnonsense\nqda-session:\n");
        assert_eq!(facts.driver.as_deref(), Some("qda"));
        assert_eq!((facts.bank, facts.session, facts.dsp), (None, None, None));
        assert_eq!(Facts::parse(""), Facts::default());
    }
}
