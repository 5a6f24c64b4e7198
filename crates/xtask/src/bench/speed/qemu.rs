//! The peer: QEMU 10 of Debian, the machine's own if it is that new, else the backports' in a private directory. The
//! machine's QEMU, which the tests compare with, stays as it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::cache;
use super::packages::{self, Order};
use crate::process;

/// The first major version that is a peer worth comparing with.
const MAJOR_MIN: u32 = 10;
const PROGRAM: &str = "qemu-system-riscv64";

/// A QEMU that can be run.
pub(super) struct Qemu {
    pub(super) program: String,
    /// Where its libraries are, if not in the usual places.
    pub(super) libraries: Option<String>,
    /// The options that make it find its firmware.
    pub(super) options: Vec<String>,
    /// What it says of its version.
    pub(super) version: String,
}

/// Finds it, or fetches it first.
pub(super) fn find() -> Result<Qemu> {
    if let Ok(version) = process::output(PROGRAM, &["--version"])
        && major(&version).is_some_and(|major| major >= MAJOR_MIN)
    {
        return Ok(Qemu {
            program: PROGRAM.to_owned(),
            libraries: None,
            options: Vec::new(),
            version: first_line(&version),
        });
    }
    let codename = codename()?;
    let architecture = process::output("dpkg", &["--print-architecture"])?;
    let order = Order {
        architecture: architecture.trim(),
        suites: &[codename.clone(), format!("{codename}-backports")],
        packages: &["qemu-system-riscv"],
        installed_except: Some(&["qemu-", "opensbi"]),
    };
    let recipe = (order.architecture, order.suites, order.packages);
    let home = cache::directory("qemu", &recipe, |fresh| {
        let scratch = fresh.join("apt");
        packages::unpack(&order, &scratch, &fresh.join("root"))?;
        fs::remove_dir_all(&scratch).context("cannot remove apt's files")?;
        unpacked(fresh).map(drop)
    })?;
    unpacked(&home)
}

/// The QEMU that was unpacked in `home`.
fn unpacked(home: &Path) -> Result<Qemu> {
    let root = home.join("root");
    let path = |name: &str| root.join(name).display().to_string();
    let program = path("usr/bin/qemu-system-riscv64");
    let host = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = path(&host);
    let variable = format!("LD_LIBRARY_PATH={libraries}");
    let version = process::output("env", &[&variable, &program, "--version"])?;
    ensure!(
        major(&version).is_some_and(|major| major >= MAJOR_MIN),
        "the backports have only {}",
        first_line(&version)
    );
    let firmware = path("usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin");
    ensure!(
        Path::new(&firmware).exists(),
        "the packages hold no firmware {firmware}"
    );
    let options = ["-L", &path("usr/share/qemu"), "-bios", &firmware];
    Ok(Qemu {
        program,
        libraries: Some(libraries),
        options: options.map(str::to_owned).to_vec(),
        version: first_line(&version),
    })
}

/// The name of the Debian release that this machine runs.
fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    (release.lines())
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release does not name a release, so its backports cannot be found")
}

/// The first number in `QEMU emulator version 10.0.2 (…)`.
fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("version ")?;
    number.split('.').next()?.parse().ok()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(
            major("QEMU emulator version 10.0.2 (Debian 1:10.0.2)\nC"),
            Some(10)
        );
        assert_eq!(major("nonsense"), None);
    }
}
