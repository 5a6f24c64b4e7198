//! The bench's guest: Debian's kernel, and an initramfs with busybox, our programs and, if they are asked for, Debian's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache;
use super::packages::{self, Order};
use super::workload::{Kind, Workload};
use crate::{process, root};

/// Raised whenever the same packages would be put together differently.
const FORMAT: u32 = 1;
/// The release that the default guest is made of, too.
const RELEASE: &str = "trixie";
const BASE: &[&str] = &["busybox-static"];

/// What was built.
pub(super) struct Guest {
    /// The initramfs that holds all that was asked for.
    pub(super) initrd: String,
    /// Where the same programs are, compiled for this host.
    native: PathBuf,
}

impl Guest {
    /// The host's own form of a program of ours.
    pub(super) fn native(&self, name: &str) -> String {
        self.native.join(name).display().to_string()
    }
}

/// Compiles the programs, and puts the initramfs together in `target/bench`.
pub(super) fn build(workloads: &[&Workload]) -> Result<Guest> {
    let directory = root().join("target/bench");
    let native = directory.join("native");
    let staging = directory.join("initramfs");
    if staging.exists() {
        fs::remove_dir_all(&staging).context("cannot remove an old initramfs")?;
    }
    let own = staging.join("bench");
    for directory in [&native, &own] {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    for workload in workloads {
        if matches!(workload.kind, Kind::Own | Kind::OwnFused) {
            compile("riscv64-linux-gnu-gcc", workload.name, &own)?;
            compile("gcc", workload.name, &native)?;
        }
    }
    let base = packages_of("base", BASE)?;
    for (name, target) in [("bin", "usr/bin"), ("sbin", "usr/bin"), ("lib", "usr/lib")] {
        std::os::unix::fs::symlink(target, staging.join(name))?;
    }
    for name in ["dev", "proc", "sys", "tmp", "usr/bin"] {
        fs::create_dir_all(staging.join(name))?;
    }
    let busybox = base.join("usr/bin/busybox");
    fs::copy(&busybox, staging.join("usr/bin/busybox"))
        .with_context(|| format!("cannot copy {}", busybox.display()))?;
    for (from, to) in [("init", "init"), ("run", "bench/run")] {
        let from = root().join("bench").join(from);
        fs::copy(&from, staging.join(to))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let initrd = directory.join("initrd");
    archive(&staging, &initrd)?;
    Ok(Guest {
        initrd: initrd.display().to_string(),
        native,
    })
}

/// The directory in which these packages and what they depend on are unpacked, for the guest.
fn packages_of(name: &str, names: &[&str]) -> Result<PathBuf> {
    let order = Order {
        architecture: "riscv64",
        suites: &[RELEASE.to_owned()],
        packages: names,
        installed_except: None,
    };
    let recipe = (FORMAT, order.architecture, order.suites, order.packages);
    let home = cache::directory(name, &recipe, |fresh| {
        let scratch = fresh.join("apt");
        packages::unpack(&order, &scratch, &fresh.join("root"))?;
        fs::remove_dir_all(&scratch).context("cannot remove apt's files")
    })?;
    Ok(home.join("root"))
}

fn compile(compiler: &str, name: &str, directory: &Path) -> Result<()> {
    let source = format!("bench/programs/{name}.c");
    let program = directory.join(name).display().to_string();
    let options = ["-O2", "-Wall", "-Wextra", "-static", "-o", &program];
    let libraries = ["-lm", "-lpthread"];
    process::output(compiler, &[&options[..], &[&source], &libraries].concat()).map(drop)
}

/// Writes `directory` as a cpio archive of files that root owns.
fn archive(directory: &Path, file: &Path) -> Result<()> {
    let out = fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let script =
        "find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --reproducible";
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(out)
        .status()
        .context("cannot run sh")?;
    if !status.success() {
        bail!("`{script}` failed ({status})");
    }
    Ok(())
}
