//! How fast the guest is: the same kernel and programs under Futago, QEMU's TCG and QEMU recording, in turns.

mod cache;
mod guest;
mod machine;
mod memory;
mod packages;
mod plot;
mod qemu;
mod report;
mod results;
mod workload;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use self::guest::{Guest, Native};
use self::machine::{Ear, Line, Outcome};
use self::qemu::Qemu;
use self::results::{Clock, Peer, Results};
use self::workload::{Kind, Workload};
use crate::process::{self, root};
use crate::say::say;
use crate::steps::Bench;

/// What the default guest says when its shell is there.
const READY: &str = "futago: guest ready";
const MEMORY: &str = "1G";

/// What executes the guest's instructions in Futago.
#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Interpreter,
    Translator,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Translator => "translator",
        }
    }
}

/// What `bench speed` measures.
#[derive(Args)]
pub(crate) struct Options {
    /// speed: only these workloads; link: only links whose names contain one of these.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// speed: only these peers.
    #[arg(long, value_name = "PEER,PEER", value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// speed: what executes the guest's instructions in Futago.
    #[arg(long, value_enum, default_value = "translator")]
    engine: Engine,
    /// speed: what counts.
    #[arg(long, value_enum, default_value = "host")]
    clock: Clock,
    /// speed: a guest that says nothing for so long hangs.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// speed: measure this program instead of building one.
    #[arg(long, value_name = "FILE")]
    pub(super) futago: Option<String>,
}

/// All that one run needs.
struct Run<'a> {
    bench: &'a Bench,
    engine: Engine,
    qemu: Option<Qemu>,
    guest: Option<Guest>,
    native: Option<Native>,
    workloads: Vec<&'static Workload>,
    /// The processor on which programs of the host run, as the guest has but one.
    processor: String,
    patience: Duration,
    /// Where all this is put together, and results are written.
    directory: PathBuf,
}

/// Measures, prints the table, and writes `target/bench/speed.json` and `speed.svg`.
pub(super) fn measure(bench: &Bench, rounds: usize, options: &Options) -> Result<()> {
    let workloads = workload::select(&options.only)?;
    let peers: Vec<Peer> = (Peer::ALL.into_iter())
        .filter(|peer| options.peers.is_empty() || options.peers.contains(peer))
        .collect();
    let needs_qemu = peers.contains(&Peer::Tcg) || peers.contains(&Peer::Record);
    let needs_guest = needs_qemu || peers.contains(&Peer::Futago);
    let needs_native = peers.contains(&Peer::Native);
    let directory = root().join("target/bench");
    let _lock = claim(&directory)?;
    let run = Run {
        bench,
        engine: options.engine,
        qemu: needs_qemu.then(qemu::find).transpose()?,
        guest: needs_guest.then(|| guest::build(&workloads)).transpose()?,
        native: (needs_native.then(|| guest::build_native(&workloads))).transpose()?,
        workloads,
        processor: processor()?,
        patience: Duration::from_secs(options.patience),
        directory,
    };
    if let Some(qemu) = &run.qemu {
        say(&format!("peer: {}", qemu.version));
    }
    let mut results = Results::new(&run.workloads, options.clock);
    for round in 1..=rounds {
        for &peer in &peers {
            say_part(&format!("round {round}/{rounds}, {}:", peer.title()));
            let begun = run.round(peer, &mut results);
            say("");
            begun?;
        }
    }
    finish(&run, &results, rounds)
}

/// The initial RAM disk of a guest that has these workloads: `bench=NAME,NAME` on its command line starts them.
pub(super) fn guest_with(names: &[String]) -> Result<String> {
    let _lock = claim(&root().join("target/bench"))?;
    Ok(guest::build(&workload::select(names)?)?.initrd)
}

fn finish(run: &Run, results: &Results, rounds: usize) -> Result<()> {
    let about = report::About {
        rounds,
        engine: run.engine.name(),
        qemu: run.qemu.as_ref().map(|qemu| qemu.version.as_str()),
        load: fs::read_to_string("/proc/loadavg").unwrap_or_default(),
    };
    let json = report::json(results, &about)?;
    write!(std::io::stdout(), "{}", report::table(results, &about))?;
    for (name, text) in [("speed.json", json), ("speed.svg", plot::svg(results)?)] {
        let file = run.directory.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!("written to {}", file.display()));
    }
    let wrong = results.wrong();
    for what in &wrong {
        say(&format!("WRONG: {what}"));
    }
    ensure!(wrong.is_empty(), "{} workloads went wrong", wrong.len());
    Ok(())
}

impl Run<'_> {
    /// Runs all workloads once under one peer.
    fn round(&self, peer: Peer, results: &mut Results) -> Result<()> {
        let mut resident = None;
        let mut tell = |name: &str, outcome: Outcome| {
            match &outcome {
                Outcome::Done(taken, _) => {
                    let seconds = taken.by(results.clock, peer);
                    say_part(&format!(" {name} {seconds:.2}"));
                }
                Outcome::Failed(_) => say_part(&format!(" {name} FAILED")),
            }
            results.add(name, peer, outcome);
        };
        let ear = Ear {
            patience: self.patience,
            log: self
                .directory
                .join(format!("console-{}.txt", peer.title().to_lowercase())),
        };
        let names: Vec<&str> = (self.workloads.iter())
            .filter(|workload| workload.kind != Kind::Boot)
            .map(|workload| workload.name)
            .collect();
        if peer == Peer::Native {
            return self.native_round(&ear, tell);
        }
        if names.len() < self.workloads.len() {
            let line = self.line(peer, &self.bench.initrd, "console=ttyS0 quiet")?;
            let (outcome, held) = machine::boot(&line, READY, &ear)?;
            tell(workload::BOOT, outcome);
            resident = held;
        }
        let guest = self.guest.as_ref().context("no peer needs a guest")?;
        let line = |names: &[&str]| {
            let append = format!("console=ttyS0 quiet panic=1 bench={}", names.join(","));
            self.line(peer, &guest.initrd, &append)
        };
        machine::work(line, &names, &ear, tell)?;
        if let Some(resident) = resident {
            results.add_resident(peer, resident);
        }
        Ok(())
    }

    /// Runs what this host can run.
    fn native_round(&self, ear: &Ear, tell: impl FnMut(&str, Outcome)) -> Result<()> {
        let native = self.native.as_ref().context("the host is no peer")?;
        let names: Vec<&str> = (self.workloads.iter())
            .filter(|workload| native.has(workload))
            .map(|workload| workload.name)
            .collect();
        machine::work(
            |names| Ok(native.line(names, &self.processor)),
            &names,
            ear,
            tell,
        )
    }

    /// The command line of a machine.
    fn line(&self, peer: Peer, initrd: &str, append: &str) -> Result<Line> {
        let kernel = &self.bench.kernel;
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        if peer == Peer::Futago {
            let arguments: Vec<String> = words(&[
                "run",
                "--engine",
                self.engine.name(),
                "--memory",
                MEMORY,
                "--kernel",
                kernel,
                "--initrd",
                initrd,
                "--append",
                append,
            ]);
            return Ok(Line {
                program: self.bench.futago.clone(),
                arguments,
                libraries: None,
            });
        }
        let qemu = self.qemu.as_ref().context("no peer needs QEMU")?;
        let mut arguments: Vec<String> = words(&[
            "-M",
            "virt",
            "-smp",
            "1",
            "-m",
            MEMORY,
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-kernel",
            kernel,
            "-initrd",
            initrd,
            "-append",
            append,
        ]);
        arguments.extend(qemu.options.iter().cloned());
        if peer == Peer::Record {
            let icount = format!(
                "shift=auto,rr=record,rrfile={}",
                self.directory.join("record").display()
            );
            arguments.extend(["-icount".to_owned(), icount]);
        }
        Ok(Line {
            program: qemu.program.clone(),
            arguments,
            libraries: qemu.libraries.clone(),
        })
    }
}

/// Creates the directory, and claims it for this run, lest another disturb it; the claim ends with the value.
fn claim(directory: &Path) -> Result<File> {
    let context = || format!("cannot use {}", directory.display());
    fs::create_dir_all(directory).with_context(context)?;
    let lock = File::create(directory.join("lock")).with_context(context)?;
    if lock.try_lock().is_err() {
        say("waiting for another bench to finish");
        lock.lock().with_context(context)?;
    }
    for peer in Peer::ALL {
        let log = directory.join(format!("console-{}.txt", peer.title().to_lowercase()));
        // It may not be there.
        let _ = fs::remove_file(log);
    }
    Ok(lock)
}

/// The last processor on which this process may run.
fn processor() -> Result<String> {
    let own = std::process::id().to_string();
    let said = process::output("taskset", &["--cpu-list", "--pid", &own])?;
    let last = said.trim().rsplit([' ', ',', '-']).next();
    last.map(str::to_owned).context("taskset says nothing")
}

/// Writes a part of a line for the developer.
fn say_part(text: &str) {
    // Nobody is left to be told if standard error is closed.
    let _ = write!(std::io::stderr(), "{text}").and_then(|()| std::io::stderr().flush());
}
