//! Debian packages for the bench alone: fetched by the machine's own apt, which checks signatures and hashes, with lists
//! and archives of its own, and unpacked into a directory. Nothing is installed, and no root is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::say::say;

/// The keys that sign Debian's archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What to fetch.
pub(super) struct Order<'a> {
    /// Debian's name of the packages' architecture.
    pub(super) architecture: &'a str,
    /// The releases to take them from; the last one is preferred.
    pub(super) suites: &'a [String],
    pub(super) packages: &'a [&'a str],
    /// Leave out what this machine has installed, except packages whose names begin so; all is fetched if none.
    pub(super) installed_except: Option<&'a [&'a str]>,
}

/// Unpacks the packages, with what they depend on, into `root`. `scratch` holds apt's files; both must not exist yet.
pub(super) fn unpack(order: &Order, scratch: &Path, root: &Path) -> Result<()> {
    let directory = |name: &str| -> Result<PathBuf> {
        let path = scratch.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    };
    directory("state/lists/partial")?;
    let archives = directory("cache/archives/partial")?;
    let status = match order.installed_except {
        None => String::new(),
        Some(prefixes) => installed(prefixes)?,
    };
    let mirror = mirror()?;
    let sources: String = (order.suites.iter())
        .map(|suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
        .collect();
    for (name, text) in [("status", &status), ("sources.list", &sources)] {
        let file = scratch.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let apt = |arguments: &[&str]| apt_get(scratch, order.architecture, arguments);
    let preferred = order.suites.last().map_or("stable", String::as_str);
    say(&format!(
        "fetching for {} from {}: {}",
        order.architecture,
        order.suites.join(", "),
        order.packages.join(" ")
    ));
    apt(&["update"])?;
    let options = ["--yes", "--no-install-recommends", "--download-only"];
    let install = ["--target-release", preferred, "install"];
    apt(&[&options[..], &install, order.packages].concat())?;
    let archives = archives.parent().unwrap_or(&archives);
    fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
    for entry in fs::read_dir(archives)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            let (file, root) = (file.display().to_string(), root.display().to_string());
            process::output("dpkg-deb", &["--extract", &file, &root])?;
        }
    }
    Ok(())
}

/// The mirror that this machine's own apt uses for Debian's main archive.
fn mirror() -> Result<String> {
    const FORMAT: &str = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let targets = process::output(
        "apt-get",
        &["indextargets", "--format", FORMAT, "Created-By: Packages"],
    )?;
    let mirror = parse_mirror(&targets);
    mirror.context("apt knows no Debian mirror; configure one, and run apt-get update")
}

fn parse_mirror(targets: &str) -> Option<String> {
    (targets.lines())
        .filter_map(|line| line.strip_prefix("Debian|Debian|"))
        .find(|uri| uri.starts_with("http"))
        .map(str::to_owned)
}

/// What dpkg says is installed, without packages whose names begin with one of `prefixes`.
fn installed(prefixes: &[&str]) -> Result<String> {
    let path = "/var/lib/dpkg/status";
    let status = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(without(&status, prefixes))
}

fn without(status: &str, prefixes: &[&str]) -> String {
    let kept = status.split_inclusive("\n\n").filter(|paragraph| {
        let name = paragraph
            .lines()
            .find_map(|line| line.strip_prefix("Package: "));
        !name.is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    });
    kept.collect()
}

fn apt_get(scratch: &Path, architecture: &str, arguments: &[&str]) -> Result<()> {
    let options = [
        format!("Dir::State={}", scratch.join("state").display()),
        format!("Dir::State::status={}", scratch.join("status").display()),
        format!("Dir::Cache={}", scratch.join("cache").display()),
        format!(
            "Dir::Etc::sourcelist={}",
            scratch.join("sources.list").display()
        ),
        "Dir::Etc::sourceparts=-".to_owned(),
        "Dir::Etc::preferences=-".to_owned(),
        "Dir::Etc::preferencesparts=-".to_owned(),
        // Downloads are written as this user, for no other may look into its directories.
        "APT::Sandbox::User=root".to_owned(),
        format!("APT::Architecture={architecture}"),
        format!("APT::Architectures={architecture}"),
        "Acquire::Retries=3".to_owned(),
    ];
    let output = Command::new("apt-get")
        .args(options.iter().flat_map(|option| ["--option", option]))
        .arg("--quiet")
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("cannot run apt-get")?;
    if !output.status.success() {
        bail!(
            "`apt-get {}` failed ({}): {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_debians_main_archive() {
        let targets =
            "Debian|Debian-Security|http://a/\nDebian|Debian|cdrom://b/\nDebian|Debian|http://c/\n";
        assert_eq!(parse_mirror(targets).as_deref(), Some("http://c/"));
        assert_eq!(parse_mirror(""), None);
    }

    #[test]
    fn packages_are_left_out_by_name() {
        let status = "Package: a\nStatus: x\n\nPackage: qemu-user\nVersion: 7\n\nPackage: z\n";
        let kept = "Package: a\nStatus: x\n\nPackage: z\n";
        assert_eq!(without(status, &["qemu-", "opensbi"]), kept);
    }
}
