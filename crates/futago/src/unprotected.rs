//! `futago run`, `record` and `replay`: one machine on this host.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use node::unprotected::{Ending, RecordOptions, ReplayEvent, ReplayOptions, RunOptions, is_damage};

use crate::cluster::Sandboxed;
use crate::vm;

/// A replay shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two signs of progress, on a terminal and elsewhere.
const PROGRESS_EVERY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// What the exit status of `futago run` and `record` says.
const ENDINGS: &str = "\
Exit status:
   0  the guest switched itself off (a reset does that, too), or was told to
      end, by Ctrl-A x or a signal
   1  it could not be started, or not all that it said could be written
   N  the code with which a program ended by `tohost` or by the test device;
      255 stands for all that are larger";

/// What the exit status of `futago replay` says.
const VERDICTS: &str = "\
Exit status:
   0  the machine did the same again, to the record's end
   1  the record cannot be read, or is none for this program
   3  the record is damaged or cut off; up to there nothing differed
   4  the machine went another way than the record says";

/// The record is damaged.
const DAMAGED: u8 = 3;
/// The machine differs; a node whose state differs ends with the same.
const DIVERGED: u8 = 4;

#[derive(Args)]
#[command(after_help = ENDINGS)]
pub(crate) struct Run {
    #[command(flatten)]
    vm: vm::Options,
    /// Write the words between `begin_signature` and `end_signature` of the --bios ELF here at the end.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = ENDINGS)]
pub(crate) struct Record {
    /// The record to write.
    file: PathBuf,
    /// Write over an earlier record; never over anything else.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    vm: vm::Options,
    /// Take a snapshot that replay can start from so often; the guest stands still for some 100 ms.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    snapshot_every: Option<u32>,
    /// Most positions between two digests [default: a billion, or two seconds]
    #[arg(long, value_name = "POSITIONS", value_parser = clap::value_parser!(u64).range(1..))]
    digest_every: Option<u64>,
}

#[derive(Args)]
#[command(after_help = VERDICTS)]
pub(crate) struct Replay {
    /// The record to replay. Every digest in it is compared with the machine.
    file: PathBuf,
    /// Also compare the whole state, byte by byte, at every snapshot.
    #[arg(long)]
    verify: bool,
    /// Start from this snapshot; 0 is the beginning.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from_snapshot: u64,
    /// Show what the guest says on its console.
    #[arg(long)]
    console: bool,
    #[command(flatten)]
    execution: vm::Execution,
    #[command(flatten)]
    sandbox: Sandboxed,
}

/// Runs `futago run`.
pub(crate) fn run(arguments: Run) -> Result<ExitCode> {
    let vm = arguments.vm.machine()?;
    let summary = node::unprotected::run(&RunOptions {
        vm,
        signature: arguments.signature,
    })?;
    say_ending(summary.ending, summary.console_lost);
    Ok(exit_code(summary.ending, summary.console_lost.is_some()))
}

fn exit_code(ending: Ending, console_lost: bool) -> ExitCode {
    match ending {
        Ending::PoweredOff | Ending::ResetAsked | Ending::Quit | Ending::Code(0)
            if !console_lost =>
        {
            ExitCode::SUCCESS
        }
        Ending::PoweredOff
        | Ending::ResetAsked
        | Ending::Quit
        | Ending::Code(0)
        | Ending::Unread
        | Ending::Refused(_) => ExitCode::FAILURE,
        // An exit status has eight bits, and 0 means something else.
        Ending::Code(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
    }
}

fn say_ending(ending: Ending, console_lost: Option<ErrorKind>) {
    match ending {
        Ending::ResetAsked => {
            tracing::warn!(
                "the guest asked for a reset, which is not supported yet: it is switched off"
            );
        }
        Ending::Unread => {
            tracing::warn!("whoever read standard output has closed it: the guest is ended");
        }
        Ending::Code(code) if code != 0 => {
            tracing::error!("the program ended with code {code}");
        }
        Ending::Refused(refusal) => {
            tracing::error!("the program asks its host, by `tohost`, for {refusal}: it is ended");
        }
        Ending::PoweredOff | Ending::Quit | Ending::Code(_) => {}
    }
    if ending != Ending::Unread && console_lost == Some(ErrorKind::BrokenPipe) {
        tracing::warn!(
            "whoever read standard output has closed it: what the guest said last is lost"
        );
    }
}

/// Runs `futago record`.
pub(crate) fn record(arguments: Record) -> Result<ExitCode> {
    let options = RecordOptions {
        vm: arguments.vm.machine()?,
        file: arguments.file,
        force: arguments.force,
        snapshot_every: arguments
            .snapshot_every
            .map(|seconds| Duration::from_secs(seconds.into())),
        digest_positions: arguments.digest_every,
    };
    let summary = node::unprotected::record(&options)?;
    say_ending(summary.ending, summary.console_lost);
    for line in [
        format!(
            "recorded     {}, {} bytes",
            options.file.display(),
            summary.bytes
        ),
        format!(
            "entries      {}, and {} snapshots",
            summary.entries, summary.snapshots
        ),
        format!("positions    0 to {}", summary.position.0),
        format!("engine       {}", options.vm.engine.kind()),
        format!("final state  {}", summary.state),
    ] {
        node::log::say(&line);
    }
    Ok(exit_code(summary.ending, summary.console_lost.is_some()))
}

/// Runs `futago replay`.
pub(crate) fn replay(arguments: Replay) -> Result<ExitCode> {
    let options = ReplayOptions {
        file: arguments.file,
        verify: arguments.verify,
        from_snapshot: arguments.from_snapshot,
        engine: arguments.execution.choose()?,
        confined: arguments.sandbox.is_confined(),
    };
    let terminal = std::io::stderr().is_terminal();
    let every = PROGRESS_EVERY[usize::from(!terminal)];
    let mut next = Instant::now() + PATIENCE;
    let mut open_line = false;
    let mut show = |event: ReplayEvent<'_>| {
        match event {
            ReplayEvent::Console(bytes) if arguments.console => {
                let mut out = crate::output::lock_stream();
                out.write_all(bytes).and_then(|()| out.flush())?;
            }
            ReplayEvent::Position(position) if Instant::now() >= next => {
                next = Instant::now() + every;
                let (before, after) = if terminal { ("\r", "") } else { ("", "\n") };
                open_line = terminal;
                let millions = position.0 / 1_000_000;
                // The replay goes on when standard error is closed.
                let _ = write!(
                    std::io::stderr(),
                    "{before}replayed     {millions} million positions{after}"
                );
            }
            ReplayEvent::Console(_) | ReplayEvent::Position(_) => {}
        }
        Ok(())
    };
    let result = node::unprotected::replay(&options, &mut show);
    if open_line {
        let _ = writeln!(std::io::stderr());
    }
    let summary = match result {
        Err(error) if is_damage(&error) => {
            node::log::say(&format!("futago: {}", crate::sentence::sentence(&error)));
            return Ok(ExitCode::from(DAMAGED));
        }
        result => result?,
    };
    let (from, to) = summary.positions;
    let positions = to.0.saturating_sub(from.0);
    let seconds = summary.executing.as_secs_f64();
    let mut out = crate::output::lock();
    writeln!(out, "machine      {}", summary.machine)?;
    writeln!(out, "positions    {} to {}", from.0, to.0)?;
    writeln!(out, "engine       {}", options.engine.kind())?;
    writeln!(
        out,
        "speed        {:.1} million positions/s, {seconds:.1} s",
        positions as f64 / seconds / 1e6
    )?;
    writeln!(out, "entries      {}", summary.entries)?;
    writeln!(out, "digests      {} equal", summary.digests)?;
    writeln!(
        out,
        "snapshots    {} compared, all equal",
        summary.snapshots
    )?;
    if let Some(state) = summary.state {
        writeln!(out, "final state  {state}")?;
    }
    let Some(divergence) = summary.divergence else {
        writeln!(out, "verdict      equal")?;
        return Ok(ExitCode::SUCCESS);
    };
    writeln!(
        out,
        "verdict      DIFFERENT: equal up to position {}, at position {} differs {}",
        divergence.after.0,
        divergence.at.0,
        divergence.what.join("; ")
    )?;
    Ok(ExitCode::from(DIVERGED))
}
