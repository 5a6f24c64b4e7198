//! How long the guest stands still while the translator makes room in its code cache: on a guest that was made to make
//! that hard, and on one that compiles C and runs Python.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::figure::{Bar, Figure};
use super::speed;
use crate::process;
use crate::steps::Bench;

/// What the guest executes, in this order.
const WORK: [&str; 2] = ["python", "compile"];
/// No pause may be longer, in milliseconds.
const STALL_MS_MAX: f64 = 5.0;
/// The usual size of the cache; the size in which the work must make room all the time.
const CACHE_MIB: [usize; 2] = [256, 16];

/// What the example says of its pauses.
#[derive(Deserialize)]
struct Stalls {
    stalls: u64,
    p99_us: f64,
    max_us: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let initrd = speed::guest_with(&WORK.map(str::to_owned))?;
    let append = format!("console=ttyS0 quiet panic=1 bench={}", WORK.join(","));
    let until = format!("bench: end {}", WORK[WORK.len() - 1]);
    let boot = ["--boot", &bench.kernel, &initrd, &append, &until];
    let mut figures = Vec::new();
    for mib in CACHE_MIB {
        for (name, arguments) in [("hostile code", &[][..]), ("compile, python", &boot[..])] {
            let stalls = run(mib << 20, arguments)?;
            let what = |what| format!("{what} to make room in {mib} MiB, {name}");
            figures.push(Figure::new(
                what("longest pause"),
                stalls.max_us / 1000.0,
                "ms",
                Some(Bar::AtMost(STALL_MS_MAX)),
            ));
            let figure = |name, value, unit| Figure::new(what(name), value, unit, None);
            figures.push(figure("  99 of 100 pauses", stalls.p99_us / 1000.0, "ms"));
            figures.push(figure("  pauses", stalls.stalls as f64, ""));
        }
    }
    Ok(figures)
}

/// Runs the example of `jit` that measures.
fn run(cache_bytes: usize, arguments: &[&str]) -> Result<Stalls> {
    let scope = ["run", "--release", "--quiet", "--package", "jit"];
    let size = cache_bytes.to_string();
    let example = ["--example", "eviction", "--", "--cache", &size];
    let line = [&scope[..], &example, arguments].concat();
    let said = process::output(&process::cargo_path(), &line)?;
    serde_json::from_str(&said).with_context(|| format!("cannot understand {said:?}"))
}
