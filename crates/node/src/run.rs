//! One machine that nobody protects, for as long as it runs; where asked for, what it does is recorded to a file.

mod network;
mod suite;
mod tape;

use crate::terminal::{RawMode, read_typed};
use crate::vm::VmOptions;
use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, bounded};
use eventlog::{Recorder, RecorderConfig, RecorderState, Step};
use machine::{Input, Output, TICKS_PER_SECOND};
use network::StreamNetwork;
use std::collections::VecDeque;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use suite::Suite;
use tape::Tape;

/// Inputs that may wait; further ones wait outside (the console) or are dropped (frames).
const INPUTS_MAX: usize = 1024;
/// Positions executed between two looks at inputs and at the end of a test.
const BUDGET: u64 = 50_000;
const NANOSECONDS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The machine.
    pub vm: VmOptions,
    /// UNIX socket of a switch or another peer that speaks QEMU's stream protocol; needs `vm.mac`.
    pub stream: Option<PathBuf>,
    /// File to record to.
    pub record: Option<PathBuf>,
    /// A recorded machine's state is added to the record so often, to replay from.
    pub snapshot_every: Option<Duration>,
    /// File for the words between `begin_signature` and `end_signature` when a test ends.
    pub signature: Option<PathBuf>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet.
    Reset,
    /// The guest is a test and ended with this code; 0 is a pass.
    Test(u64),
    /// The operator left.
    Left,
}

impl RunEnd {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::PoweredOff | Self::Reset | Self::Left => 0,
            // A failure whose code has no room must not look like a pass.
            Self::Test(code) => u8::try_from(code).unwrap_or(u8::MAX),
        }
    }
}

/// What comes in from outside.
enum Incoming {
    Input(Input),
    Leave,
}

/// Runs a machine until it ends. The console is standard input and output; Ctrl-A x leaves.
///
/// # Errors
/// A file, socket or terminal that cannot be used. What was recorded until then stays on the disk.
pub fn run(options: &RunOptions) -> anyhow::Result<RunEnd> {
    let suite = Suite::of(options)?;
    let machine = options.vm.build()?;
    let (sender, incoming) = bounded(INPUTS_MAX);
    let network = options
        .stream
        .as_deref()
        .map(|socket| StreamNetwork::connect(socket, sender.clone()))
        .transpose()?;
    let mut tape = options.record.as_deref().map(Tape::create).transpose()?;
    // Digests are for whoever replays.
    let config = if tape.is_some() {
        RecorderConfig::default()
    } else {
        RecorderConfig {
            digest_positions: u64::MAX,
            digest_ticks: u64::MAX,
            ..RecorderConfig::default()
        }
    };
    let mut runner = Runner {
        recorder: Recorder::new(machine, config),
        origin: Instant::now(),
        inputs: VecDeque::new(),
        network,
        incoming,
    };
    if let Some(tape) = &mut tape {
        runner.snapshot(tape)?;
    }
    let raw = RawMode::enter()?;
    start_input(sender);
    let end = runner.work(&suite, tape.as_mut(), options.snapshot_every)?;
    drop(raw);
    if let Some(mut tape) = tape {
        let step = runner.recorder.final_digest(runner.ticks());
        runner.emit(&step, Some(&mut tape))?;
        let mut machine = runner.recorder.into_machine();
        let position = machine.position();
        tape.end(position, &eventlog::digest_to_bytes(&machine.digest()))?;
        suite.finish(&machine)?;
    } else {
        suite.finish(runner.recorder.machine())?;
    }
    Ok(end)
}

/// Lets what is typed, and the wish to end, come in.
fn start_input(sender: Sender<Incoming>) {
    let leave = sender.clone();
    let signalled = sender.clone();
    read_typed(
        move |bytes| {
            bytes.chunks(eventlog::CONSOLE_BYTES_MAX).all(|piece| {
                sender
                    .send(Incoming::Input(Input::Console(piece.to_vec())))
                    .is_ok()
            })
        },
        move |asked| {
            if asked {
                let _ = leave.send(Incoming::Leave);
            }
        },
    );
    // Without this thread the default action of the signals ends the process, which is all that is lost.
    let _ = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            else {
                return;
            };
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let (Ok(mut terminate), Ok(mut interrupt)) = (
                    signal(SignalKind::terminate()),
                    signal(SignalKind::interrupt()),
                ) else {
                    return;
                };
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                let _ = signalled.send(Incoming::Leave);
            });
        });
}

struct Runner {
    recorder: Recorder,
    origin: Instant,
    inputs: VecDeque<Input>,
    network: Option<StreamNetwork>,
    incoming: Receiver<Incoming>,
}

impl Runner {
    fn ticks(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX) / NANOSECONDS_PER_TICK
    }

    fn work(
        &mut self,
        suite: &Suite,
        mut tape: Option<&mut Tape>,
        snapshot_every: Option<Duration>,
    ) -> anyhow::Result<RunEnd> {
        let mut snapshot_at = snapshot_every.map(|every| Instant::now() + every);
        loop {
            while self.inputs.len() < INPUTS_MAX {
                match self.incoming.try_recv() {
                    Ok(Incoming::Input(input)) => self.inputs.push_back(input),
                    Ok(Incoming::Leave) => return Ok(RunEnd::Left),
                    Err(_) => break,
                }
            }
            let host = self.ticks();
            let step = self.recorder.step(host, &mut self.inputs, BUDGET);
            let state = step.state;
            self.emit(&step, tape.as_deref_mut())?;
            if let Some(code) = suite.code(self.recorder.machine()) {
                return Ok(RunEnd::Test(code));
            }
            match state {
                RecorderState::Running => {}
                RecorderState::PoweredOff => return Ok(RunEnd::PoweredOff),
                RecorderState::Reset => return Ok(RunEnd::Reset),
                RecorderState::Idle { wake_at } => {
                    if self.inputs.is_empty() && self.wait(wake_at) {
                        return Ok(RunEnd::Left);
                    }
                }
            }
            if let (Some(at), Some(every), Some(tape)) =
                (snapshot_at, snapshot_every, tape.as_deref_mut())
                && Instant::now() >= at
            {
                self.snapshot(tape)?;
                snapshot_at = Some(Instant::now() + every);
            }
        }
    }

    /// Waits until something comes in, or host time `wake_at`; `true` if the operator wants to leave.
    fn wait(&mut self, wake_at: Option<u64>) -> bool {
        let received = match wake_at {
            Some(wake_at) => {
                let ahead = wake_at
                    .saturating_sub(self.ticks())
                    .saturating_mul(NANOSECONDS_PER_TICK);
                self.incoming.recv_timeout(Duration::from_nanos(ahead)).ok()
            }
            None => self.incoming.recv().ok(),
        };
        match received {
            Some(Incoming::Input(input)) => {
                self.inputs.push_back(input);
                false
            }
            Some(Incoming::Leave) => true,
            None => false,
        }
    }

    fn snapshot(&mut self, tape: &mut Tape) -> anyhow::Result<()> {
        let (step, snapshot) = self.recorder.snapshot(self.ticks());
        self.emit(&step, Some(tape))?;
        match snapshot {
            Some(snapshot) => {
                tape.snapshot(self.recorder.machine().position(), &snapshot.to_bytes())
            }
            None => Ok(()),
        }
    }

    /// Writes down what a step logged, then lets out what it said.
    fn emit(&mut self, step: &Step, tape: Option<&mut Tape>) -> anyhow::Result<()> {
        if let Some(tape) = tape {
            tape.entries(&step.entries)?;
        }
        for output in step.outputs.iter().flat_map(|(_, outputs)| outputs) {
            match output {
                Output::Frame { frame, .. } => {
                    if let Some(network) = &mut self.network {
                        network.send(frame)?;
                    }
                }
                Output::Console(bytes) => {
                    let mut out = stdout().lock();
                    out.write_all(bytes)
                        .and_then(|()| out.flush())
                        .context("the guest's console cannot be written to standard output")?;
                }
            }
        }
        Ok(())
    }
}
