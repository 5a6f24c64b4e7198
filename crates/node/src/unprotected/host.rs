//! What a machine on this host alone is plugged into: console, network, clock, and signals.

use super::console::Console;
use super::ending::Ending;
use super::event::HostEvent;
use super::net::Cable;
use crate::clock::HostClock;
use crate::keyboard::TYPED_WAITING_MAX;
use crate::log::STORY;
use crate::sandbox::{Kind, Place, Sandbox};
use crate::signals::when_told_to_end;
use crate::vm::{Network, VmOptions};
use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, bounded};
use machine::{Input, Output};
use replica::{Command, CommandError, Executor};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::time::Instant;

/// Inputs that wait for the loop; frames beyond are dropped, keys wait.
const EVENTS_MAX: usize = 4096;
/// Of those, so many are given to the executor at a time.
const EVENTS_AT_ONCE: usize = 1024;

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

    pub(super) fn put_out(&self, outputs: Vec<Output>) {
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
    pub(super) fn may_type(&self, executor: &Executor) -> bool {
        self.typed.borrow().is_some() && executor.status().typed_waiting <= TYPED_WAITING_MAX
    }

    /// Types what waits, if it may be typed; whoever typed it goes on.
    pub(super) fn type_in(&self, executor: &mut Executor) -> Result<(), CommandError> {
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
    pub(super) fn take_events(
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
