//! The loop that drives one recorder in host time: inputs in, outputs out at once, sleep while the guest does.

use super::console::Console;
use super::net::Cable;
use crate::signals::when_told_to_end;
use crate::vm::Network;
use anyhow::Context;
use crossbeam_channel::{Receiver, bounded};
use eventlog::{Recorder, RecorderState, Step};
use machine::{Input, Output, TICKS_PER_SECOND};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Positions after which the loop looks for inputs again: some tens of microseconds.
const SLICE: u64 = 50_000;
/// Inputs that wait for the loop; frames beyond are dropped, keys wait.
const EVENTS_MAX: usize = 4096;
/// Inputs that wait for the machine; while there are so many, no more are taken from those that wait for the loop.
const INPUTS_MAX: usize = 1024;

/// Why a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet.
    ResetAsked,
    /// The user, or a signal, ended it.
    Quit,
    /// A test program wrote this code to `tohost`; 0 is a pass.
    Test(u64),
}

/// Something from this host.
#[derive(Debug)]
pub(super) enum HostEvent {
    Input(Input),
    NetworkGone(String),
    Quit,
}

/// What the machine is plugged into.
#[derive(Debug)]
pub(super) struct Host {
    origin: Instant,
    events: Receiver<HostEvent>,
    cable: Option<Cable>,
    console: Console,
}

impl Host {
    /// Plugs in the console and the network, and listens for signals that end the program.
    pub(super) fn new(network: &Network) -> anyhow::Result<Self> {
        let (sender, events) = bounded(EVENTS_MAX);
        let cable = match network {
            Network::None => None,
            Network::Stream(socket) => Some(Cable::plug(socket, sender.clone())?),
        };
        let told = sender.clone();
        // A machine that has ended by itself listens no more.
        when_told_to_end(move || drop(told.send(HostEvent::Quit)))?;
        let console = Console::open(sender).context("cannot use the terminal")?;
        Ok(Self {
            origin: Instant::now(),
            events,
            cable,
            console,
        })
    }

    /// Host time, in guest clock ticks.
    pub(super) fn ticks(&self) -> u64 {
        let elapsed = self.origin.elapsed();
        elapsed.as_secs() * TICKS_PER_SECOND
            + u64::from(elapsed.subsec_nanos()) * TICKS_PER_SECOND / 1_000_000_000
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

    /// Takes what has come in; waits for something until `wake_at` (host ticks) if that is given, or without end.
    fn take_events(
        &self,
        wait: Option<Option<u64>>,
        inputs: &mut VecDeque<Input>,
    ) -> Option<Ending> {
        let first = match wait {
            None => self.events.try_recv().ok(),
            Some(None) => self.events.recv().ok(),
            Some(Some(wake_at)) => {
                let ticks = wake_at.saturating_sub(self.ticks());
                let timeout =
                    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / TICKS_PER_SECOND));
                self.events.recv_timeout(timeout).ok()
            }
        };
        let room = INPUTS_MAX.saturating_sub(inputs.len());
        for event in first.into_iter().chain(self.events.try_iter().take(room)) {
            match event {
                HostEvent::Input(input) => inputs.push_back(input),
                HostEvent::NetworkGone(why) => tracing::warn!("the network is gone: {why}"),
                HostEvent::Quit => return Some(Ending::Quit),
            }
        }
        None
    }
}

/// Runs the recorder until the machine ends. `sink` sees every step before its outputs leave, and may add to it; `look`
/// may end the machine after any step.
pub(super) fn drive(
    recorder: &mut Recorder,
    host: &Host,
    mut sink: impl FnMut(&mut Recorder, &mut Step) -> anyhow::Result<()>,
    mut look: impl FnMut(&Recorder) -> Option<Ending>,
) -> anyhow::Result<Ending> {
    let mut inputs = VecDeque::new();
    let mut wait = None;
    loop {
        if let Some(ending) = host.take_events(wait, &mut inputs) {
            return Ok(ending);
        }
        let mut step = recorder.step(host.ticks(), &mut inputs, SLICE);
        if step.refused > 0 {
            tracing::debug!("the machine refused {} inputs", step.refused);
        }
        sink(recorder, &mut step)?;
        for (_, outputs) in step.outputs.drain(..) {
            host.put_out(outputs);
        }
        if let Some(ending) = look(recorder) {
            return Ok(ending);
        }
        wait = match step.state {
            RecorderState::Running => None,
            RecorderState::Idle { .. } if !inputs.is_empty() => None,
            RecorderState::Idle { wake_at } => Some(wake_at),
            RecorderState::PoweredOff => return Ok(Ending::PoweredOff),
            RecorderState::Reset => return Ok(Ending::ResetAsked),
        };
    }
}
