//! `cargo xtask fuzz`: hostile bytes for every decoder, and hostile guests. With cargo-fuzz, coverage leads the bytes;
//! without it, a seeded loop runs the same targets.

use anyhow::{Result, bail};

use crate::{process, say};

const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: [&str; 7] = [
    "boot", "bus", "entry", "guest", "message", "record", "snapshot",
];

/// Runs one target, or all, for so many seconds each.
pub(crate) fn run(target: Option<&str>, seconds: u64, seed: u64) -> Result<()> {
    let targets = match target {
        None => TARGETS.to_vec(),
        Some(target) if TARGETS.contains(&target) => vec![target],
        Some(target) => bail!("no target `{target}`: there are {}", TARGETS.join(", ")),
    };
    if process::succeeds(&process::cargo_path(), &["fuzz", "--version"]) {
        for target in targets {
            covered(target, seconds)?;
        }
        return Ok(());
    }
    say("cargo-fuzz is not installed, which would find more: cargo install cargo-fuzz");
    let seconds = seconds.to_string();
    let seed = seed.to_string();
    for target in targets {
        let scope = ["run", "--quiet", "--release", "--manifest-path", MANIFEST];
        let program = ["--bin", "seeded", "--", target, &seconds, &seed];
        process::cargo(&[&scope[..], &program].concat())?;
    }
    Ok(())
}

/// Without a sanitizer a stable compiler will do, and there is hardly any unsafe code to sanitize.
fn covered(target: &str, seconds: u64) -> Result<()> {
    let time = format!("-max_total_time={seconds}");
    let scope = ["fuzz", "run", "--sanitizer", "none"];
    let bounds = ["--", &time, "-timeout=20", "-rss_limit_mb=2048"];
    process::cargo(&[&scope[..], &["--features", "libfuzzer", target], &bounds].concat())
}
