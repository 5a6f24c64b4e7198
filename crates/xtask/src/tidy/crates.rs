//! The walls between crates (ARCHITECTURE.md, code map), and what every crate's manifest must say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// Which crates of the workspace a crate may depend on, in tests too.
const ARROWS: &[(&str, &[&str])] = &[
    ("isa", &[]),
    ("machine", &["isa"]),
    ("torture", &["isa", "machine"]),
    ("jit", &["isa", "machine"]),
    ("eventlog", &["machine"]),
    ("replication", &[]),
    ("replica", &["machine", "eventlog", "replication"]),
    (
        "node",
        &[
            "isa",
            "machine",
            "eventlog",
            "replication",
            "replica",
            "jit",
        ],
    ),
    ("guest", &[]),
    ("futago", &["node", "guest"]),
    (
        "sim",
        &[
            "isa",
            "machine",
            "eventlog",
            "replication",
            "replica",
            "guest",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that run inside the replicated machine or decide its fate: nothing there may ask the host.
const DETERMINISTIC: &[&str] = &[
    "isa",
    "machine",
    "torture",
    "jit",
    "eventlog",
    "replication",
    "replica",
    "sim",
];

/// Crates that may hold unsafe code, in the modules that ARCHITECTURE.md names.
const UNSAFE: &[&str] = &["jit"];

/// What this program needs of `cargo metadata`.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    workspace_members: Vec<String>,
}

/// A package of the workspace, or one that it depends on.
#[derive(Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<PathBuf>,
    kind: Option<String>,
}

impl Dependency {
    /// Whether tests of any crate may use it: they are tortured.
    fn is_torture(&self) -> bool {
        self.name == "torture" && self.kind.as_deref() == Some("dev")
    }
}

impl Metadata {
    /// Asks cargo. Fails when the lock file is not up to date.
    pub(crate) fn read() -> Result<Metadata> {
        let json = process::output(
            &process::cargo_path(),
            &["metadata", "--format-version=1", "--locked"],
        )?;
        serde_json::from_str(&json).context("cannot understand cargo metadata")
    }

    /// The workspace's own packages.
    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| self.is_member(p))
    }

    /// The folders of the workspace's crates.
    pub(crate) fn homes(&self) -> impl Iterator<Item = &Path> {
        self.members().filter_map(|p| p.manifest_path.parent())
    }

    pub(crate) fn is_member(&self, package: &Package) -> bool {
        self.workspace_members.contains(&package.id)
    }
}

/// Checks every crate of the workspace.
pub(crate) fn check(root: &Path, metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for package in metadata.members() {
        let name = package.name.as_str();
        let Some(targets) = allowed.get(name) else {
            findings.push(format!("crate {name} has no row in the table of arrows"));
            continue;
        };
        let own = (package.dependencies.iter()).filter(|d| d.path.is_some() && !d.is_torture());
        findings.extend(forbidden(name, own.map(|d| d.name.as_str()), targets));
        let home = package.manifest_path.parent().unwrap_or(root);
        if !home.ends_with(Path::new("crates").join(name)) {
            findings.push(format!(
                "crate {name} is in {}, not in crates/{name}",
                home.display()
            ));
        }
        findings.extend(check_files(root, home, name));
    }
    findings
}

fn forbidden<'a>(
    name: &str,
    dependencies: impl Iterator<Item = &'a str>,
    allowed: &[&str],
) -> Vec<String> {
    dependencies
        .filter(|d| !allowed.contains(d))
        .map(|d| format!("crate {name} may not depend on {d} (ARCHITECTURE.md, code map)"))
        .collect()
}

/// Checks what a crate's own files must say.
fn check_files(root: &Path, home: &Path, name: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let read = |path: &str| fs::read_to_string(home.join(path)).unwrap_or_default();
    if !read("Cargo.toml").contains("[lints]\nworkspace = true") {
        findings.push(format!(
            "crates/{name}/Cargo.toml does not use the workspace's lints"
        ));
    }
    let roots = ["src/lib.rs", "src/main.rs"];
    for file in roots.iter().filter(|f| home.join(f).exists()) {
        let level = if UNSAFE.contains(&name) {
            "#![deny(unsafe_code)]"
        } else {
            "#![forbid(unsafe_code)]"
        };
        if !read(file).contains(level) {
            findings.push(format!("crates/{name}/{file} does not say {level}"));
        }
    }
    if DETERMINISTIC.contains(&name) {
        let bans = fs::read_to_string(root.join("determinism.clippy.toml")).unwrap_or_default();
        if bans.is_empty() || read("clippy.toml") != bans {
            findings.push(format!(
                "crates/{name}/clippy.toml does not link to determinism.clippy.toml"
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down() {
        // Each row names only crates of rows before it, but for the translator's, which node uses.
        let mut seen = Vec::new();
        for (name, targets) in ARROWS {
            for target in *targets {
                assert!(seen.contains(target), "{name} → {target}");
            }
            seen.push(name);
        }
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let findings = forbidden("isa", ["machine"].into_iter(), &[]);
        assert_eq!(findings.len(), 1);
        assert!(forbidden("jit", ["isa"].into_iter(), &["isa", "machine"]).is_empty());
    }
}
