//! Boot of the default guest to its shell prompt: Futago, QEMU, and QEMU recording, in turns.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::figure::{Bar, Figure};
use super::processor::processor_time;
use super::statistics::median;
use crate::steps::Bench;

/// What the guest says when its shell is there.
const READY: &str = "futago: guest ready";
/// Nobody waits longer than this at the prompt, on an idle machine.
const BOOT_SECONDS_MAX: f64 = 15.0;
/// Seconds by the host's clock, and of processor time.
struct Taken {
    wall: f64,
    processor: f64,
}

pub(super) fn measure(bench: &Bench, rounds: usize) -> Result<Vec<Figure>> {
    let record = std::env::temp_dir().join(format!("futago-bench-{}.rr", std::process::id()));
    let icount = format!("shift=auto,rr=record,rrfile={}", record.display());
    let image = [
        "-kernel",
        &bench.kernel,
        "-initrd",
        &bench.initrd,
        "-append",
        "console=ttyS0 quiet",
    ];
    let qemu = ["-M", "virt", "-smp", "1", "-m", "256M", "-nographic"];
    let plain = [&qemu[..], &image].concat();
    let recording = [&qemu[..], &["-icount", &icount], &image].concat();
    let own: Vec<String> = (image.iter())
        .map(|word| match word.strip_prefix('-') {
            Some(option) => format!("--{option}"),
            None => (*word).to_owned(),
        })
        .collect();
    let own: Vec<&str> = ["run", "--memory", "256M"]
        .into_iter()
        .chain(own.iter().map(String::as_str))
        .collect();
    let peers = [
        ("futago run", bench.futago.as_str(), own),
        ("QEMU TCG", "qemu-system-riscv64", plain),
        ("QEMU record", "qemu-system-riscv64", recording),
    ];
    let mut taken: [Vec<Taken>; 3] = Default::default();
    for _ in 0..rounds {
        for ((_, program, arguments), taken) in peers.iter().zip(&mut taken) {
            taken.push(boot(program, arguments)?);
        }
    }
    // Whether QEMU has written it or not, it is not needed.
    let _ = fs::remove_file(record);
    let mut figures = Vec::new();
    for ((name, ..), taken) in peers.iter().zip(&taken) {
        let bar = name
            .starts_with("futago")
            .then_some(Bar::AtMost(BOOT_SECONDS_MAX));
        let wall = median(taken.iter().map(|taken| taken.wall).collect());
        let processor = median(taken.iter().map(|taken| taken.processor).collect());
        figures.push(Figure::new(
            format!("boot to the prompt, {name}"),
            wall,
            "s",
            bar,
        ));
        let what = format!("boot to the prompt, {name}, processor time");
        figures.push(Figure::new(what, processor, "s", None));
    }
    Ok(figures)
}

/// Starts a machine, and ends it when its prompt is there.
fn boot(program: &str, arguments: &[&str]) -> Result<Taken> {
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let said = child.stdout.take().context("its output is a pipe")?;
    let ready = BufReader::new(said)
        .split(b'\n')
        .map_while(Result::ok)
        .any(|line| String::from_utf8_lossy(&line).contains(READY));
    let wall = begin.elapsed().as_secs_f64();
    let processor = processor_time(child.id(), "").process;
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().context("cannot wait for our own process")?;
    if !ready {
        bail!("{program} ended before its guest was ready");
    }
    Ok(Taken { wall, processor })
}
