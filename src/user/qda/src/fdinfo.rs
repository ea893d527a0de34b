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
                _ => {}
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t300\n\
        drm-driver:\tqda\ndrm-client-id:\t7\nqda-dsp:\tcdsp\nqda-bank:\t3\nqda-session:\t1\n";

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
            }
        );
    }

    #[test]
    fn missing_and_odd_lines_give_none() {
        let facts = Facts::parse("drm-driver:\tqda\nqda-bank:\tnone\nnonsense\nqda-session:\n");
        assert_eq!(facts.driver.as_deref(), Some("qda"));
        assert_eq!((facts.bank, facts.session, facts.dsp), (None, None, None));
        assert_eq!(Facts::parse(""), Facts::default());
    }
}
