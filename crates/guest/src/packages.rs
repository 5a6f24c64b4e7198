//! Fetching and unpacking Debian packages through the system's own mmdebstrap and apt, which check
//! the archive's signature and every package's hash.
//!
//! `--mode=chrootless --variant=extract` unpacks the packages and runs nothing in them. So it needs
//! neither root nor user namespaces nor binfmt, and cannot change the host.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::Progress;

/// Debian's name of the guest's architecture.
const ARCHITECTURE: &str = "riscv64";

/// The lines of mmdebstrap's own words that an error message quotes.
const ERROR_LINES_MAX: usize = 8;

/// Unpacks `packages` of `release`, with what they depend on, into `root`, which must not exist.
/// Returns the packages' versions as `name=version`, sorted.
pub(crate) fn fetch(
    release: &str,
    packages: &[&str],
    root: &Path,
    mirror: Option<&str>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Vec<String>> {
    let sources = match mirror {
        Some(mirror) => vec![Some(mirror.to_owned())],
        None => system_mirror()
            .into_iter()
            .map(Some)
            .chain([None])
            .collect(),
    };
    let mut sources = sources.into_iter().peekable();
    while let Some(source) = sources.next() {
        match unpack(release, packages, root, source.as_deref(), progress) {
            Ok(()) => return versions(root),
            Err(error) if sources.peek().is_none() => return Err(error),
            Err(error) => progress(&Progress::Retrying {
                reason: error.to_string(),
            }),
        }
        if root.exists() {
            std::fs::remove_dir_all(root)
                .with_context(|| format!("cannot remove {}", root.display()))?;
        }
    }
    bail!("there is no source of packages")
}

/// The Debian mirror that the system's own apt uses, if it is configured for one over a network.
fn system_mirror() -> Option<String> {
    const FORMAT: &str = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", FORMAT, "Created-By: Packages"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse_mirror(&String::from_utf8_lossy(&output.stdout))
}

fn parse_mirror(targets: &str) -> Option<String> {
    targets
        .lines()
        .filter_map(|line| line.strip_prefix("Debian|Debian|"))
        .find(|uri| uri.starts_with("http"))
        .map(str::to_owned)
}

/// Runs mmdebstrap with a mirror, or with its own default.
fn unpack(
    release: &str,
    packages: &[&str],
    root: &Path,
    mirror: Option<&str>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--verbose", "--mode=chrootless", "--variant=extract"])
        .args(["--format=directory", "--skip=cleanup/apt"])
        .arg(format!("--architectures={ARCHITECTURE}"))
        .arg(format!("--include={}", packages.join(",")));
    if mirror.is_none() {
        // Beside the release itself mmdebstrap's default names its updates. Without them an image
        // changes at Debian's point releases only.
        command.arg(format!(
            "--setup-hook=sed -i '/^deb .* {release} /!d' \"$1/etc/apt/sources.list\""
        ));
    }
    command.arg(release).arg(root).args(mirror);
    // Its messages are read, so they must not be translated.
    command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "mmdebstrap is not installed; install it: apt-get install mmdebstrap debian-archive-keyring"
        ),
        _ => anyhow::Error::new(error).context("cannot run mmdebstrap"),
    })?;
    let messages = child.stderr.take().context("mmdebstrap has no output")?;
    let mut listener = Listener::default();
    for line in BufReader::new(messages).split(b'\n') {
        let line = line.context("cannot read what mmdebstrap says")?;
        if let Some(step) = listener.hear(&String::from_utf8_lossy(&line)) {
            progress(&step);
        }
    }
    let status = child.wait().context("cannot wait for mmdebstrap")?;
    if status.success() {
        return Ok(());
    }
    let source = mirror.unwrap_or("mmdebstrap's default mirror");
    bail!(
        "mmdebstrap cannot get the packages from {source} ({status}):\n  {}",
        listener.errors.join("\n  ")
    )
}

/// Understands the messages of mmdebstrap and of the apt below it.
#[derive(Default)]
struct Listener {
    downloading: bool,
    number: usize,
    total: usize,
    errors: Vec<String>,
}

impl Listener {
    fn hear(&mut self, line: &str) -> Option<Progress> {
        if let Some(step) = line.strip_prefix("I: ") {
            return self.step(step);
        }
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        if first == "E:" || first.starts_with("Err:") {
            if self.errors.len() < ERROR_LINES_MAX {
                self.errors.push(line.to_owned());
            }
            return None;
        }
        // "0 upgraded, 66 newly installed, 0 to remove and 0 not upgraded."
        if let Some((before, _)) = line.split_once(" newly installed") {
            let count = before.rsplit(' ').next().unwrap_or_default();
            self.total = count.parse().unwrap_or(0);
        }
        // "Get:2 URI trixie/main riscv64 libc6 riscv64 2.41-12 [2470 kB]"
        if self.downloading && first.starts_with("Get:") {
            self.number += 1;
            return Some(Progress::Downloading {
                package: words.nth(3)?.to_owned(),
                number: self.number,
                total: self.total,
            });
        }
        None
    }

    fn step(&mut self, step: &str) -> Option<Progress> {
        if step.starts_with("running apt-get update") {
            Some(Progress::Updating)
        } else if step.starts_with("downloading packages") {
            self.downloading = true;
            None
        } else if step.starts_with("extracting archives") {
            self.downloading = false;
            Some(Progress::Unpacking)
        } else {
            None
        }
    }
}

/// Reads the versions off the names of the downloaded packages, `NAME_VERSION_ARCHITECTURE.deb`.
fn versions(root: &Path) -> Result<Vec<String>> {
    let archives = root.join("var/cache/apt/archives");
    let mut versions = Vec::new();
    let entries = std::fs::read_dir(&archives)
        .with_context(|| format!("cannot list {}", archives.display()))?;
    for entry in entries {
        let name = entry
            .with_context(|| format!("cannot list {}", archives.display()))?
            .file_name();
        versions.extend(parse_version(&name.to_string_lossy()));
    }
    versions.sort();
    if versions.is_empty() {
        bail!("mmdebstrap left no packages in {}", archives.display());
    }
    Ok(versions)
}

fn parse_version(file: &str) -> Option<String> {
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    // A colon is written so in a file name.
    Some(format!("{name}={}", version.replace("%3a", ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_debians_main_archive() {
        let targets = "Debian|Debian-Security|http://a/\n\
                       Ubuntu|Ubuntu|http://b/\n\
                       Debian|Debian|cdrom://c/\n\
                       Debian|Debian|https://d/debian/\n";
        assert_eq!(parse_mirror(targets).as_deref(), Some("https://d/debian/"));
        assert_eq!(parse_mirror("||http://a/\n"), None);
    }

    #[test]
    fn downloads_are_counted() {
        let mut listener = Listener::default();
        let mut hear = |line| listener.hear(line);
        assert_eq!(
            hear("I: running apt-get update..."),
            Some(Progress::Updating)
        );
        assert_eq!(
            hear("Get:1 http://m/debian trixie InRelease [140 kB]"),
            None
        );
        assert_eq!(hear("I: downloading packages with apt..."), None);
        assert_eq!(hear("0 upgraded, 66 newly installed, 0 to remove."), None);
        assert_eq!(
            hear("Get:1 http://m/debian trixie/main riscv64 libc6 riscv64 2.41-12 [2470 kB]"),
            Some(Progress::Downloading {
                package: "libc6".into(),
                number: 1,
                total: 66
            })
        );
        assert_eq!(hear("I: extracting archives..."), Some(Progress::Unpacking));
        assert_eq!(hear("Get:"), None);
        assert_eq!(hear("E: no such release"), None);
        assert_eq!(listener.errors, ["E: no such release"]);
    }

    #[test]
    fn versions_come_from_file_names() {
        assert_eq!(
            parse_version("busybox-static_1%3a1.37.0-6+b9_riscv64.deb").as_deref(),
            Some("busybox-static=1:1.37.0-6+b9")
        );
        assert_eq!(parse_version("lock"), None);
    }
}
