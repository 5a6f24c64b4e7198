//! Memory of the host that a machine holds.

use std::fs;

use serde::Serialize;

/// Resident memory of a process, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Resident {
    /// All that is mapped and there, each mapping by itself (`VmRSS`).
    pub(super) rss_mib: f64,
    /// Each page once, and shared ones by their share (`Pss`).
    pub(super) pss_mib: f64,
}

impl Resident {
    /// What a process holds now; nothing where the kernel does not say.
    pub(super) fn of(process: u32) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).ok();
        Some(Self {
            rss_mib: mib(&read("status")?, "VmRSS:")?,
            pss_mib: mib(&read("smaps_rollup")?, "Pss:")?,
        })
    }
}

/// The value of a line such as `VmRSS:     1024 kB`.
fn mib(text: &str, key: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let status = "Name:\tqemu\nVmHWM:\t    4096 kB\nVmRSS:\t    2560 kB\n";
        assert_eq!(mib(status, "VmRSS:"), Some(2.5));
        assert_eq!(mib(status, "Pss:"), None);
        assert!(Resident::of(std::process::id()).is_some_and(|own| own.rss_mib > 0.0));
    }
}
