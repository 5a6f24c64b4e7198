//! The loop that drives one recorder in host time: inputs in, outputs out at once, sleep while the guest does.

use super::console::Console;
use super::net::Cable;
use crate::clock::HostClock;
use crate::first_words::FirstWords;
use crate::keyboard::TYPED_WAITING_MAX;
use crate::log::STORY;
use crate::panics;
use crate::sandbox::{Kind, Place, Sandbox};
use crate::signals::when_told_to_end;
use crate::vm::{Network, VmOptions};
use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, bounded};
use eventlog::{Recorder, RecorderState, RecorderStep};
use machine::{Input, Machine, Output, Refusal, StopRequest};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Instant;

/// Positions after which the loop looks for inputs again: some tens of microseconds.
const SLICE: u64 = 50_000;
/// Inputs that wait for the loop; frames beyond are dropped, keys wait.
const EVENTS_MAX: usize = 4096;
/// Inputs that wait for the machine; frames beyond are dropped.
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
    fn may_type(&self, machine: &Machine) -> bool {
        machine.console_waiting() as u64 <= TYPED_WAITING_MAX && self.typed.borrow().is_some()
    }

    /// Types what waits, if it may be typed; whoever typed it goes on.
    fn type_in(&self, machine: &Machine, inputs: &mut VecDeque<Input>) {
        if self.may_type(machine)
            && let Some((typed, taken)) = self.typed.take()
        {
            inputs.push_back(Input::Console(typed));
            // It may have ended.
            let _ = taken.send(());
        }
    }

    /// Takes what has come in; waits for something until `wake_at` (host ticks) if that is given, or without end, but not
    /// beyond `latest`.
    fn take_events(
        &self,
        wait: Option<Option<u64>>,
        latest: Option<Instant>,
        inputs: &mut VecDeque<Input>,
    ) -> Option<Ending> {
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
            .chain(self.events.try_iter().take(INPUTS_MAX))
        {
            match event {
                HostEvent::Input(input) => {
                    if !queue(inputs, input)
                        && let Some(cable) = &self.cable
                    {
                        cable.count_dropped();
                    }
                }
                HostEvent::Typed { typed, taken } => {
                    self.typed.replace(Some((typed, taken)));
                }
                HostEvent::NetworkGone(why) => {
                    tracing::warn!("the network is gone: {why}; this is tried again");
                }
                HostEvent::NetworkBack => tracing::info!(target: STORY, "the network is back"),
                HostEvent::Unread => return Some(Ending::Unread),
                HostEvent::Quit => return Some(Ending::Quit),
            }
        }
        None
    }
}

/// Queues an input for the machine; `false` if it is a frame too many, since the guest does not take those that came before.
fn queue(inputs: &mut VecDeque<Input>, input: Input) -> bool {
    let fits = inputs.len() < INPUTS_MAX || !matches!(input, Input::Frame { .. });
    if fits {
        inputs.push_back(input);
    }
    fits
}

/// Runs the recorder until the machine ends. `sink` sees every step before its outputs leave, and may add to it.
pub(super) fn drive(
    recorder: &mut Recorder,
    host: &Host,
    mut sink: impl FnMut(&mut Recorder, &mut RecorderStep) -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    let mut first_words = FirstWords::default();
    let ending = drive_on(recorder, host, &mut first_words, &mut sink)?;
    first_words.tell(recorder.machine());
    Ok(ending)
}

fn drive_on(
    recorder: &mut Recorder,
    host: &Host,
    first_words: &mut FirstWords,
    sink: &mut impl FnMut(&mut Recorder, &mut RecorderStep) -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    panics::print_few();
    let mut fault_said = false;
    let mut inputs = VecDeque::new();
    let mut wait = None;
    loop {
        if let Some(ending) = host.take_events(wait, first_words.due(), &mut inputs) {
            return Ok(ending);
        }
        host.type_in(recorder.machine(), &mut inputs);
        let mut step = recorder.step(host.ticks(), &mut inputs, SLICE);
        if step.refused > 0 {
            tracing::debug!("the machine refused {} inputs", step.refused);
        }
        sink(recorder, &mut step)?;
        for (_, outputs) in step.outputs.drain(..) {
            host.put_out(outputs);
        }
        first_words.look(recorder.machine());
        if !fault_said && let Some(fault) = recorder.machine().faults().first() {
            panics::say(fault);
            fault_said = true;
        }
        wait = match step.state {
            RecorderState::Running => None,
            RecorderState::Idle { .. }
                if recorder.takes_any(&inputs) || host.may_type(recorder.machine()) =>
            {
                None
            }
            RecorderState::Idle { wake_at } => Some(wake_at),
            RecorderState::PoweredOff => return Ok(Ending::of(recorder.machine().stop_request())),
            RecorderState::Reset => return Ok(Ending::ResetAsked),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_room_beside_frames_that_nobody_takes() {
        let mut inputs = VecDeque::new();
        let frame = || Input::Frame {
            device: 0,
            frame: vec![0; 60],
        };
        let queued = (0..INPUTS_MAX * 2).filter(|_| queue(&mut inputs, frame()));
        assert_eq!(queued.count(), INPUTS_MAX);
        assert!(queue(
            &mut inputs,
            Input::Console(b"ip link set up".to_vec())
        ));
    }
}
