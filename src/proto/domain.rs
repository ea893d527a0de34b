// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which DSP a channel leads to.
//!
//! Owns the table of known labels. Takes no locks. Used at probe, and by `addr`.
//!
//! Source: wire protocol, section 2; `fastrpc_rpmsg_probe()` in `drivers/misc/fastrpc.c` for who
//! supports unsigned processes.

/// A known DSP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Domain {
    /// Audio DSP.
    Adsp,
    /// Modem DSP.
    Mdsp,
    /// Sensor DSP.
    Sdsp,
    /// Compute DSP.
    Cdsp,
    /// Second compute DSP.
    Cdsp1,
    /// Third compute DSP.
    Cdsp2,
    /// Fourth compute DSP.
    Cdsp3,
    /// First general purpose DSP.
    Gdsp0,
    /// Second general purpose DSP.
    Gdsp1,
}

impl Domain {
    /// All known DSPs.
    pub const ALL: [Self; 9] = [
        Self::Adsp,
        Self::Mdsp,
        Self::Sdsp,
        Self::Cdsp,
        Self::Cdsp1,
        Self::Cdsp2,
        Self::Cdsp3,
        Self::Gdsp0,
        Self::Gdsp1,
    ];

    /// Finds the DSP by the device tree's `label`, given without its terminating NUL.
    ///
    /// The whole label has to match. Anything else (unknown, empty, longer) gives `None`, so that
    /// no node with a wrong name comes into being.
    pub fn from_label(label: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|domain| domain.label().as_bytes() == label)
    }

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Adsp => "adsp",
            Self::Mdsp => "mdsp",
            Self::Sdsp => "sdsp",
            Self::Cdsp => "cdsp",
            Self::Cdsp1 => "cdsp1",
            Self::Cdsp2 => "cdsp2",
            Self::Cdsp3 => "cdsp3",
            Self::Gdsp0 => "gdsp0",
            Self::Gdsp1 => "gdsp1",
        }
    }

    /// Whether this is one of the compute DSPs. It decides the width of addresses.
    pub const fn is_cdsp(self) -> bool {
        matches!(self, Self::Cdsp | Self::Cdsp1 | Self::Cdsp2 | Self::Cdsp3)
    }

    /// Whether the DSP runs processes from unsigned files.
    pub const fn supports_unsigned(self) -> bool {
        self.is_cdsp() || matches!(self, Self::Gdsp0 | Self::Gdsp1)
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(CONFIG_KUNIT = "y", kernel::prelude::kunit_tests(qda_domain))]
mod tests {
    use super::*;

    // covers: T141
    #[test]
    fn only_whole_known_labels_are_taken() {
        for domain in Domain::ALL {
            assert_eq!(Domain::from_label(domain.label().as_bytes()), Some(domain));
        }
        for label in [
            &b""[..],
            b"c",
            b"cds",
            b"cdsp\0",
            b"cdsp ",
            b" cdsp",
            b"CDSP",
            b"cdsp0",
            b"cdsp4",
            b"cdsp11",
            b"gdsp",
            b"gdsp2",
            b"adsp0",
            b"ndsp",
            &[b'a'; 4096],
            &[0xff, 0xfe],
        ] {
            assert_eq!(Domain::from_label(label), None);
        }
    }

    #[test]
    fn properties() {
        for domain in Domain::ALL {
            let label = domain.label();
            assert_eq!(domain.is_cdsp(), label.starts_with("cdsp"));
            assert_eq!(
                domain.supports_unsigned(),
                label.starts_with("cdsp") || label.starts_with("gdsp")
            );
        }
    }
}
