//! The bench's guest: Debian's kernel, and an initramfs with busybox, our programs and, if they are asked for, Debian's.
//! And the same programs for the host, in a root directory of their own.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache;
use super::machine::Line;
use super::packages::{self, Order};
use super::workload::{Kind, Workload};
use crate::process::{self, root};
use crate::say::say;

/// Raised whenever the same packages would be put together differently.
const FORMAT: u32 = 1;
/// The release that the default guest is made of, too.
const RELEASE: &str = "trixie";
const BASE: &[&str] = &["busybox-static"];
const DEBIAN: &[&str] = &[
    "7zip",
    "busybox-static",
    "dash",
    "gcc-14",
    "gzip",
    "libc6-dev",
    "openssl",
    "python3-minimal",
    "redis-server",
    "redis-tools",
    "sqlite3",
];
/// What is large and that no workload uses: patterns of find's `-path`.
const LEFT_OUT: &[&str] = &[
    "./usr/share/*",
    "./var/*",
    "./usr/sbin/*",
    "*.a",
    "*/lto1",
    "*-lto-dump-*",
    "*/libasan.so*",
    "*/liblsan.so*",
    "*/libtsan.so*",
    "*/libubsan.so*",
    "*/libgprofng.so*",
    "*/gconv/*",
];
/// Programs and data that `bench/run` needs beside the workloads' own.
const SCRIPTS: &[&str] = &["all", "run", "work.py", "work.sh", "work.sql"];
const HELPERS: &[&str] = &["text"];
/// What the C compile compiles.
const SOURCES: &[&str] = &["bench.h", "records.c"];

/// What was built for the guest.
pub(super) struct Guest {
    /// The initramfs that holds all that was asked for.
    pub(super) initrd: String,
}

/// What was built for this host.
pub(super) struct Native {
    /// Debian's programs, if they are asked for and a root of their own can be had.
    root: Option<PathBuf>,
    /// Our programs and scripts.
    own: PathBuf,
    scratch: PathBuf,
}

/// Puts the initramfs together in `target/bench`.
pub(super) fn build(workloads: &[&Workload]) -> Result<Guest> {
    let directory = root().join("target/bench");
    let staging = fresh(&directory.join("initramfs"))?;
    fill(&staging.join("bench"), "riscv64-linux-gnu-gcc", workloads)?;
    lay_out(&staging)?;
    let init = root().join("bench/init");
    copy(&init, &staging.join("init"))?;
    let base = packages_for("base", "riscv64", BASE)?.join("root");
    let busybox = "usr/bin/busybox";
    copy(&base.join(busybox), &staging.join(busybox))?;
    let initrd = directory.join("initrd");
    archive(&staging, &initrd)?;
    if has_debian(workloads) {
        // The kernel unpacks archives that follow each other one upon the other.
        let debian = packages_for("debian", "riscv64", DEBIAN)?.join("cpio");
        let append = || -> io::Result<u64> {
            let mut out = File::options().append(true).open(&initrd)?;
            io::copy(&mut File::open(&debian)?, &mut out)
        };
        append().with_context(|| format!("cannot write {}", initrd.display()))?;
    }
    Ok(Guest {
        initrd: initrd.display().to_string(),
    })
}

/// Builds the same for this host.
pub(super) fn build_native(workloads: &[&Workload]) -> Result<Native> {
    let directory = root().join("target/bench");
    let own = fresh(&directory.join("native"))?;
    fill(&own, "gcc", workloads)?;
    let mut root = None;
    if has_debian(workloads) {
        if process::succeeds("unshare", &[NAMESPACES, &["true"]].concat()) {
            let architecture = process::output("dpkg", &["--print-architecture"])?;
            root = Some(packages_for("debian", architecture.trim(), DEBIAN)?.join("root"));
        } else {
            say(
                "this user cannot have namespaces: native figures of Debian's programs are left out",
            );
        }
    }
    let scratch = fresh(&directory.join("scratch"))?;
    Ok(Native { root, own, scratch })
}

/// What gives a process a root directory and a loopback network of its own, without being root, and ends its children
/// with it.
const NAMESPACES: &[&str] = &[
    "--map-root-user",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
];

impl Native {
    /// Whether this host can run a workload.
    pub(super) fn has(&self, workload: &Workload) -> bool {
        match workload.kind {
            Kind::Boot => false,
            Kind::Own | Kind::OwnFused => true,
            Kind::Debian => self.root.is_some(),
        }
    }

    /// The command line that runs workloads on one processor, as the guest has but one.
    pub(super) fn line(&self, names: &[&str], processor: &str) -> Line {
        let path = |path: &Path| path.display().to_string();
        let script = |name| path(&root().join("bench").join(name));
        let mut arguments = ["--cpu-list", processor].map(str::to_owned).to_vec();
        match &self.root {
            None => arguments.extend(["sh".to_owned(), script("all")]),
            Some(root) => {
                arguments.push("unshare".to_owned());
                arguments.extend(NAMESPACES.iter().map(|&option| option.to_owned()));
                arguments.extend(["sh".to_owned(), script("native"), path(root)]);
            }
        }
        arguments.extend([path(&self.own), path(&self.scratch), names.join(",")]);
        Line {
            program: "taskset".to_owned(),
            arguments,
            libraries: None,
        }
    }
}

fn has_debian(workloads: &[&Workload]) -> bool {
    workloads
        .iter()
        .any(|workload| workload.kind == Kind::Debian)
}

/// Compiles programs into `directory`, beside the scripts.
fn fill(directory: &Path, compiler: &str, workloads: &[&Workload]) -> Result<()> {
    create(directory)?;
    let bench = root().join("bench");
    for name in SCRIPTS {
        copy(&bench.join(name), &directory.join(name))?;
    }
    for name in SOURCES {
        copy(&bench.join("programs").join(name), &directory.join(name))?;
    }
    let own = (workloads.iter())
        .filter(|workload| matches!(workload.kind, Kind::Own | Kind::OwnFused))
        .map(|workload| workload.name);
    for name in own.chain(HELPERS.iter().copied()) {
        let source = format!("bench/programs/{name}.c");
        let program = directory.join(name).display().to_string();
        let options = ["-O2", "-Wall", "-Wextra", "-static", "-o", &program];
        let libraries = ["-lm", "-lpthread"];
        process::output(compiler, &[&options[..], &[&source], &libraries].concat())?;
    }
    Ok(())
}

/// The directory of the cache in which these packages and what they depend on are unpacked, as `root`, and archived
/// without what no workload uses, as `cpio`.
fn packages_for(name: &str, architecture: &str, names: &[&str]) -> Result<PathBuf> {
    let order = Order {
        architecture,
        suites: &[RELEASE.to_owned()],
        packages: names,
        installed_except: None,
    };
    let recipe = (
        FORMAT,
        order.architecture,
        order.suites,
        order.packages,
        LEFT_OUT,
    );
    let name = format!("{name}-{architecture}");
    cache::directory(&name, &recipe, |fresh| {
        let (scratch, root) = (fresh.join("apt"), fresh.join("root"));
        packages::unpack(&order, &scratch, &root)?;
        fs::remove_dir_all(&scratch).context("cannot remove apt's files")?;
        lay_out(&root)?;
        archive(&root, &fresh.join("cpio"))
    })
}

/// Makes the directories and links that every root has.
fn lay_out(root: &Path) -> Result<()> {
    for name in [
        "bench", "dev", "proc", "sys", "tmp", "usr/bin", "usr/lib", "usr/sbin",
    ] {
        create(&root.join(name))?;
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        let link = root.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("usr/{name}"), &link)
                .with_context(|| format!("cannot create {}", link.display()))?;
        }
    }
    Ok(())
}

/// Writes `directory` as a cpio archive of files that root owns.
fn archive(directory: &Path, file: &Path) -> Result<()> {
    let out = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let left_out: Vec<_> = LEFT_OUT
        .iter()
        .map(|pattern| format!("-path '{pattern}'"))
        .collect();
    let script = format!(
        "find . ! \\( {} \\) | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --reproducible",
        left_out.join(" -o ")
    );
    let status = Command::new("sh")
        .args(["-c", &script])
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

/// An empty directory.
fn fresh(directory: &Path) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    create(directory)?;
    Ok(directory.to_owned())
}

fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
