//! What the commands need of the machine, and getting it: from Debian's packages where that is
//! allowed, else by telling the exact command.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process;
use crate::say::say;

/// Something that must be on the machine.
pub(crate) struct Need {
    /// How it shows that it is there.
    sign: Sign,
    /// The package that brings it; where releases name it differently, the oldest name last.
    packages: &'static [&'static str],
}

enum Sign {
    /// A program of this name.
    Program(&'static str),
    /// This file.
    File(&'static str),
}

const fn program(name: &'static str, packages: &'static [&'static str]) -> Need {
    Need {
        sign: Sign::Program(name),
        packages,
    }
}

const fn file(path: &'static str, packages: &'static [&'static str]) -> Need {
    Need {
        sign: Sign::File(path),
        packages,
    }
}

/// For building the default guest.
pub(crate) const GUEST: &[Need] = &[
    program("mmdebstrap", &["mmdebstrap"]),
    program("xz", &["xz-utils"]),
    file(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        &["debian-archive-keyring"],
    ),
];

/// For the demo, beside the guest.
pub(crate) const DEMO: &[Need] = &[program("passt", &["passt"])];

/// For the tests, beside all that: the peers that they compare with, and a network of their own.
pub(crate) const TEST: &[Need] = &[
    program("qemu-riscv64", &["qemu-user"]),
    program(
        "qemu-system-riscv64",
        &["qemu-system-riscv", "qemu-system-misc"],
    ),
    program("riscv64-linux-gnu-gcc", &["gcc-riscv64-linux-gnu"]),
    file(
        "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
        &["opensbi"],
    ),
    program("dtc", &["device-tree-compiler"]),
    program("ip", &["iproute2"]),
];

/// For measurements, beside all that: programs for the guest and for this machine.
pub(crate) const BENCH: &[Need] = &[
    program("cpio", &["cpio"]),
    program("taskset", &["util-linux"]),
    program("gcc", &["gcc"]),
    file("/usr/include/stdio.h", &["libc6-dev"]),
    file(
        "/usr/riscv64-linux-gnu/lib/libc.a",
        &["libc6-dev-riscv64-cross"],
    ),
];

/// Installs what is missing.
///
/// # Errors
/// Fails with the command to run when this user may not install packages, or when that was to no
/// avail.
pub(crate) fn ensure(needs: &[&[Need]]) -> Result<()> {
    let missing = || needs.iter().copied().flatten().filter(|n| !n.is_there());
    if missing().next().is_none() {
        return Ok(());
    }
    let prefix = privilege();
    if let Some(prefix) = prefix
        && process::succeeds("apt-get", &["--version"])
    {
        // Package lists may be absent, as in a fresh container, or too old to be of use.
        apt_get(prefix, &["update"])?;
        let packages: Vec<_> = missing().map(Need::package).collect();
        say(&format!("installing: {}", packages.join(" ")));
        let options = ["install", "--yes", "--no-install-recommends"];
        apt_get(prefix, &[&options[..], &packages[..]].concat())?;
    } else {
        let packages: Vec<_> = missing().map(Need::package).collect();
        bail!(
            "some programs are missing; install them, then try again:\n    \
             sudo apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
    }
    if let Some(need) = missing().next() {
        bail!(
            "package {} is installed, but {} is still missing",
            need.package(),
            need.name()
        );
    }
    Ok(())
}

impl Need {
    fn is_there(&self) -> bool {
        match self.sign {
            Sign::Program(name) => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
            }
            Sign::File(path) => Path::new(path).exists(),
        }
    }

    fn name(&self) -> &'static str {
        match self.sign {
            Sign::Program(name) => name,
            Sign::File(path) => path,
        }
    }

    /// The package's name on this machine.
    fn package(&self) -> &'static str {
        let known = |name: &&&str| process::succeeds("apt-cache", &["show", name]);
        match self.packages {
            [newer @ .., oldest] => newer.iter().find(known).unwrap_or(oldest),
            [] => self.name(),
        }
    }
}

/// The words before a command that make it run as root, or nothing if that is not possible without
/// asking.
fn privilege() -> Option<&'static [&'static str]> {
    let root = process::output("id", &["-u"]).is_ok_and(|id| id.trim() == "0");
    if root {
        Some(&[])
    } else if process::succeeds("sudo", &["-n", "true"]) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    // Another apt may be at work, such as a fresh machine's first upgrade.
    let own = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "--quiet",
        "--option=DPkg::Lock::Timeout=300",
    ];
    let line = [prefix, &own[..], arguments].concat();
    process::prepare(line[0], &line[1..])
}
