//! The loop that drives an executor in host time: inputs in, outputs out at once, sleep while the guest does.

use super::console::Console;
use super::net::Cable;
use crate::clock::HostClock;
use crate::first_words::FirstWords;
use crate::keyboard::TYPED_WAITING_MAX;
use crate::log::STORY;
use crate::panics;
use crate::requests::carry_out;
use crate::sandbox::{Kind, Place, Sandbox};
use crate::signals::when_told_to_end;
use crate::vm::{Network, VmOptions};
use anyhow::Context;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use machine::{Input, Machine, Output, Position, Refusal, StopRequest};
use replica::{Advice, Command, CommandError, Executor, Report};
use replication::TransferId;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::time::Instant;

/// Positions after which the loop looks for inputs again: some tens of microseconds.
const SLICE: u64 = 50_000;
/// Inputs that wait for the loop; frames beyond are dropped, keys wait.
const EVENTS_MAX: usize = 4096;
/// Of those, so many are given to the executor at a time.
const EVENTS_AT_ONCE: usize = 1024;

/// Why a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet.
    ResetAsked,
    /// The user, or a signal, ended it.
    Quit,
    /// Whoever read its console has closed it.
    Unread,
    /// The program ended with this code, said by `tohost` or by the test device; 0 is a pass.
    Code(u64),
    /// The program asked by `tohost` for what is not there.
    Refused(Refusal),
}

impl Ending {
    /// Whether it was ended from outside, at any position.
    pub(super) fn is_from_outside(self) -> bool {
        matches!(self, Self::Quit | Self::Unread)
    }

    /// That of a machine that is off.
    fn of(stop: Option<StopRequest>) -> Self {
        match stop {
            Some(StopRequest::Exit(code)) => Self::Code(code),
            Some(StopRequest::Fail(code)) => Self::Code(code.into()),
            Some(StopRequest::Refused(refusal)) => Self::Refused(refusal),
            Some(StopRequest::PowerOff | StopRequest::Reset) | None => Self::PoweredOff,
        }
    }
}

/// Something from this host.
#[derive(Debug)]
pub(super) enum HostEvent {
    Input(Input),
    /// Something was typed that waits for the guest; `taken` is told when it waits no more.
    Typed {
        typed: Vec<u8>,
        taken: Sender<()>,
    },
    /// The network was lost, and is tried again.
    NetworkGone(String),
    NetworkBack,
    /// Nobody reads the console any more.
    Unread,
    Quit,
}

/// What the machine is plugged into.
#[derive(Debug)]
pub(super) struct Host {
    clock: RefCell<HostClock>,
    events: Receiver<HostEvent>,
    cable: Option<Cable>,
    console: Console,
    /// What was typed and waits.
    typed: RefCell<Option<(Vec<u8>, Sender<()>)>>,
}

impl Host {
    /// Plugs in the console and the network, and listens for signals that end the program. Afterwards files are opened
    /// in `places` only, where the machine is to be confined.
    pub(super) fn new(vm: &VmOptions, places: &[Place]) -> anyhow::Result<Self> {
        let kind = match vm.network {
            Network::None => Kind::Machine,
            Network::Stream(_) => Kind::MachineWithNetwork,
        };
        let mut sandbox = Sandbox::new(kind, vm.confined)?;
        sandbox.limit_files(places)?;
        let (sender, events) = bounded(EVENTS_MAX);
        let cable = match &vm.network {
            Network::None => None,
            Network::Stream(socket) => Some(Cable::plug(socket, sender.clone())?),
        };
        let told = sender.clone();
        // A machine that has ended by itself listens no more.
        when_told_to_end(move || drop(told.send(HostEvent::Quit)))?;
        let console = Console::open(sender).context("cannot use the terminal")?;
        sandbox.limit_calls()?;
        Ok(Self {
            clock: RefCell::new(HostClock::system()),
            events,
            cable,
            console,
            typed: RefCell::default(),
        })
    }

    /// Host time, in guest clock ticks.
    pub(super) fn ticks(&self) -> u64 {
        self.clock.borrow_mut().ticks()
    }

    /// Shows what is left of the guest's console; the error that something of it was lost to because it cannot be written.
    pub(super) fn finish_console(&self) -> Option<ErrorKind> {
        self.console.finish()
    }

    fn put_out(&self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Console(bytes) => self.console.show(&bytes),
                Output::Frame { frame, .. } => {
                    if let Some(cable) = &self.cable {
                        cable.send(frame);
                    }
                }
            }
        }
    }

    /// Whether something waits to be typed, and the guest has read so much that it may be.
    fn may_type(&self, executor: &Executor) -> bool {
        self.typed.borrow().is_some() && executor.status().typed_waiting <= TYPED_WAITING_MAX
    }

    /// Types what waits, if it may be typed; whoever typed it goes on.
    fn type_in(&self, executor: &mut Executor) -> Result<(), CommandError> {
        if self.may_type(executor)
            && let Some((typed, taken)) = self.typed.take()
        {
            executor.handle(self.ticks(), Command::Input(Input::Console(typed)))?;
            // It may have ended.
            let _ = taken.send(());
        }
        Ok(())
    }

    /// Gives the executor an input. A frame too many is dropped, since the guest does not take those that came before.
    fn give(&self, executor: &mut Executor, input: Input) -> Result<(), CommandError> {
        let is_frame = matches!(input, Input::Frame { .. });
        let dropped = executor.status().inputs_dropped;
        executor.handle(self.ticks(), Command::Input(input))?;
        if is_frame
            && executor.status().inputs_dropped > dropped
            && let Some(cable) = &self.cable
        {
            cable.count_dropped();
        }
        Ok(())
    }

    /// Takes what has come in; waits for something until `wake_at` (host ticks) if that is given, or without end, but not
    /// beyond `latest`.
    fn take_events(
        &self,
        wait: Option<Option<u64>>,
        latest: Option<Instant>,
        executor: &mut Executor,
    ) -> Result<Option<Ending>, CommandError> {
        let first = match wait {
            None => self.events.try_recv().ok(),
            Some(wake_at) => {
                let wake = wake_at.map(|wake_at| {
                    let wait = self.clock.borrow_mut().wait(wake_at);
                    Instant::now() + wait
                });
                match wake.into_iter().chain(latest).min() {
                    Some(deadline) => self.events.recv_deadline(deadline).ok(),
                    None => self.events.recv().ok(),
                }
            }
        };
        for event in first
            .into_iter()
            .chain(self.events.try_iter().take(EVENTS_AT_ONCE))
        {
            match event {
                HostEvent::Input(input) => self.give(executor, input)?,
                HostEvent::Typed { typed, taken } => {
                    self.typed.replace(Some((typed, taken)));
                }
                HostEvent::NetworkGone(why) => {
                    tracing::warn!("the network is gone: {why}; this is tried again");
                }
                HostEvent::NetworkBack => tracing::info!(target: STORY, "the network is back"),
                HostEvent::Unread => return Ok(Some(Ending::Unread)),
                HostEvent::Quit => return Ok(Some(Ending::Quit)),
            }
        }
        Ok(None)
    }
}

/// What becomes of a log that is recorded.
pub(super) trait Keeper {
    /// Entries were appended; their outputs have yet to leave.
    fn keep(&mut self, entries: &[Bytes]) -> anyhow::Result<()>;
    /// A snapshot was taken at this position, behind all entries so far.
    fn keep_snapshot(&mut self, state: &Bytes, position: Position) -> anyhow::Result<()>;
    /// Time has passed. Whether a snapshot is wanted.
    fn wants_snapshot(&mut self) -> anyhow::Result<bool>;
}

/// Runs a machine until it ends. All that it appends goes to `keeper` before its outputs leave.
pub(super) fn drive(
    executor: &mut Executor,
    host: &Host,
    keeper: &mut impl Keeper,
) -> anyhow::Result<Ending> {
    let mut first_words = FirstWords::default();
    executor.handle(host.ticks(), Command::Run)?;
    let ending = drive_on(executor, host, &mut first_words, keeper)?;
    if let Some(machine) = executor.machine() {
        first_words.tell(machine);
    }
    Ok(ending)
}

/// Ends the log of a machine that was ended from outside: it says where it was left.
pub(super) fn close(
    executor: &mut Executor,
    host: &Host,
    keeper: &mut impl Keeper,
) -> anyhow::Result<()> {
    executor.handle(host.ticks(), Command::Digest)?;
    deliver(executor, host, keeper)?;
    Ok(())
}

fn drive_on(
    executor: &mut Executor,
    host: &Host,
    first_words: &mut FirstWords,
    keeper: &mut impl Keeper,
) -> anyhow::Result<Ending> {
    panics::print_few();
    let mut fault_said = false;
    let mut wait = None;
    loop {
        if let Some(ending) = host.take_events(wait, first_words.due(), executor)? {
            return Ok(ending);
        }
        host.type_in(executor)?;
        let advice = executor.step(host.ticks(), SLICE);
        let delivered = deliver(executor, host, keeper)?;
        if let Some(machine) = executor.machine() {
            first_words.look(machine);
        }
        if !fault_said && let Some(fault) = executor.first_fault() {
            panics::say(fault);
            fault_said = true;
        }
        if let Some(ending) = delivered.ending {
            return Ok(ending);
        }
        if keeper.wants_snapshot()? {
            let transfer = TransferId::default();
            executor.handle(host.ticks(), Command::TakeSnapshot { transfer })?;
            deliver(executor, host, keeper)?;
        }
        wait = match advice {
            Advice::Again => None,
            Advice::Wait { .. } if delivered.answered || host.may_type(executor) => None,
            Advice::Wait { until } => Some(until),
        };
    }
}

/// What came of an executor's reports.
#[derive(Default)]
struct Delivered {
    /// How the machine has ended, if it has.
    ending: Option<Ending>,
    /// The machine has an answer to take in.
    answered: bool,
}

/// Does what the executor's reports say.
fn deliver(
    executor: &mut Executor,
    host: &Host,
    keeper: &mut impl Keeper,
) -> anyhow::Result<Delivered> {
    let mut delivered = Delivered::default();
    while let Some(report) = executor.poll_report() {
        match report {
            Report::Appended {
                entries, outputs, ..
            } => {
                keeper.keep(&entries)?;
                for (_, outputs) in outputs {
                    host.put_out(outputs);
                }
            }
            Report::SnapshotTaken { state, .. } => {
                keeper.keep_snapshot(&state, executor.status().position)?;
            }
            Report::Requested { requests } => {
                for request in requests {
                    let completion = Input::Completion(carry_out(request));
                    executor.handle(host.ticks(), Command::Input(completion))?;
                    delivered.answered = true;
                }
            }
            Report::PoweredOff => {
                let stop = executor.machine().and_then(Machine::stop_request);
                delivered.ending = Some(Ending::of(stop));
            }
            Report::ResetAsked => delivered.ending = Some(Ending::ResetAsked),
            Report::Replayed { .. }
            | Report::Restored { .. }
            | Report::Verified
            | Report::Diverged(_) => {
                anyhow::bail!("a machine that records reports a replay: this is a bug in Futago");
            }
        }
    }
    Ok(delivered)
}
