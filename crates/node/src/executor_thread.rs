//! The thread on which the executor runs the guest. Commands come in by a bounded channel, reports leave by another, which wakes
//! the I/O side. It never waits inside the guest: between two slices of execution it looks at its commands.

use crate::clock::HostClock;
use crate::first_words::FirstWords;
use crate::panics;
use crate::sandbox::confine_hart_thread;
use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use machine::Input;
use replica::{Advice, Command, Executor, ExecutorStatus, Report};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Commands that may wait for the executor. More wait on the I/O side, but no inputs: see [`Waiting`].
const COMMANDS_MAX: usize = 1024;
/// Inputs are not taken any more when so many commands wait.
const INPUTS_WAITING_MAX: usize = 768;
/// Frames are left where they are while so many commands wait, or so many inputs for room in the machine: what is on its
/// way is not long, and those who send share what the guest takes.
const FRAMES_WAITING_MAX: usize = 128;
/// A slice of execution takes about this long: the latency of an input while the guest is busy.
const SLICE: Duration = Duration::from_micros(200);
const BUDGET_MIN: u64 = 1_000;
const BUDGET_MAX: u64 = 10_000_000;
const BUDGET_FIRST: u64 = 20_000;
/// Waking a sleeping core costs about as much as this; a thread that is woken soon again spins instead.
const SPIN_MAX: Duration = Duration::from_micros(60);
/// Waits up to this long count as soon.
const SOON: Duration = Duration::from_micros(150);

/// What comes from the executor's thread.
#[derive(Debug)]
pub(crate) enum ExecutorEvent {
    /// The executor reports.
    Report(Report),
    /// The executor was told something that does not fit it: a bug, after which nothing can be trusted.
    Broken(String),
}

impl ExecutorEvent {
    /// The thread has ended, though nobody told it to: it panicked, and has said why.
    pub(crate) fn lost() -> Self {
        Self::Broken("lost with its thread".to_owned())
    }
}

/// Handle of the thread.
#[derive(Debug)]
pub(crate) struct ExecutorThread {
    commands: Sender<Command>,
    waiting: Waiting,
    status: Arc<Mutex<ExecutorStatus>>,
    inputs_dropped: u64,
}

impl ExecutorThread {
    /// Starts the thread with what runs on it. Where `confined`, it cannot open a file or a socket any more.
    pub(crate) fn start(
        executor: Executor,
        events: mpsc::Sender<ExecutorEvent>,
        confined: bool,
    ) -> anyhow::Result<Self> {
        Self::start_with(executor, events, HostClock::system(), confined)
    }

    /// By another clock than the host's.
    pub(crate) fn start_with(
        executor: Executor,
        events: mpsc::Sender<ExecutorEvent>,
        clock: HostClock,
        confined: bool,
    ) -> anyhow::Result<Self> {
        panics::print_few();
        let (commands, receiver) = bounded(COMMANDS_MAX);
        let status = Arc::new(Mutex::new(ExecutorStatus::default()));
        let shown = Arc::clone(&status);
        let (begun, beginning) = bounded(1);
        thread::Builder::new()
            .name("hart".to_owned())
            .spawn(move || {
                let confinement = if confined {
                    confine_hart_thread()
                } else {
                    Ok(())
                };
                let is_confined = confinement.is_ok();
                // Who starts this thread waits for the answer.
                let _ = begun.send(confinement);
                if is_confined {
                    Runner::new(executor, receiver, events, shown, clock).run();
                }
            })
            .context("cannot start the hart's thread")?;
        beginning
            .recv()
            .context("the hart's thread ended at once")??;
        Ok(Self {
            commands,
            waiting: Waiting::default(),
            status,
            inputs_dropped: 0,
        })
    }

    /// Gives a command. Never waits; commands are never lost, but inputs for which there is no room are, as on a device.
    pub(crate) fn send(&mut self, command: Command) {
        self.flush();
        // The wish of an operator, and what the machine has asked for, are none of the inputs that a network may lose.
        let must_come = |input: &Input| matches!(input, Input::PowerOff | Input::Completion(_));
        let may_be_lost = matches!(&command, Command::Input(input) if !must_come(input));
        if may_be_lost && !self.takes_inputs() {
            self.inputs_dropped += 1;
            return;
        }
        self.waiting.push(command);
        self.flush();
    }

    /// Whether an input would not be dropped now.
    pub(crate) fn takes_inputs(&self) -> bool {
        self.commands.len() < INPUTS_WAITING_MAX && self.waiting.is_empty()
    }

    /// Whether a frame is to be given now.
    pub(crate) fn takes_frames(&self) -> bool {
        self.takes_inputs()
            && self.commands.len() < FRAMES_WAITING_MAX
            && self.status().inputs_waiting < FRAMES_WAITING_MAX
    }

    /// Gives what waits, as far as there is room.
    pub(crate) fn flush(&mut self) {
        while let Some(command) = self.waiting.commands.pop_front() {
            match self.commands.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.waiting.commands.push_front(command);
                    return;
                }
                // The thread has ended, after `Halt` or with an event that says why.
                Err(TrySendError::Disconnected(_)) => self.waiting.commands.clear(),
            }
        }
    }

    /// Whether commands wait on this side.
    pub(crate) fn is_backed_up(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How the executor is doing.
    pub(crate) fn status(&self) -> ExecutorStatus {
        let mut status = *self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.inputs_dropped += self.inputs_dropped;
        status
    }
}

/// Commands for which the channel had no room, in order. None is lost, and yet they do not pile up: what follows on, or makes what
/// came before it meaningless, takes its place. What is left is one of each kind for each state that comes or goes, and
/// log entries within the backup's credit (`replication::Bounds`: entries and bytes given and not yet replayed).
#[derive(Debug, Default)]
struct Waiting {
    commands: VecDeque<Command>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    fn push(&mut self, command: Command) {
        match (self.commands.back_mut(), command) {
            (
                Some(Command::Replay { first, entries }),
                Command::Replay {
                    first: next,
                    entries: mut more,
                },
            ) if first.0 + entries.len() as u64 == next.0 => entries.append(&mut more),
            (Some(last @ Command::Throttle { .. }), newer @ Command::Throttle { .. }) => {
                *last = newer;
            }
            // Once is enough.
            (Some(Command::Input(Input::PowerOff)), Command::Input(Input::PowerOff)) => {}
            // The core has given up the transfer that the older one was for.
            (Some(last @ Command::TakeSnapshot { .. }), newer @ Command::TakeSnapshot { .. }) => {
                *last = newer;
            }
            // Another life begins: what the former one was still to do does not matter, and its state is large.
            (Some(_), newer @ Command::Restore { .. }) => {
                self.commands.clear();
                self.commands.push_back(newer);
            }
            (_, command) => self.commands.push_back(command),
        }
    }
}

struct Runner {
    executor: Executor,
    commands: Receiver<Command>,
    events: mpsc::Sender<ExecutorEvent>,
    shown: Arc<Mutex<ExecutorStatus>>,
    clock: HostClock,
    budget: u64,
    spin: Duration,
    first_words: FirstWords,
    /// It was said that a panic was contained.
    fault_said: bool,
}

/// The thread's work is over.
struct Over;

impl Runner {
    fn new(
        executor: Executor,
        commands: Receiver<Command>,
        events: mpsc::Sender<ExecutorEvent>,
        shown: Arc<Mutex<ExecutorStatus>>,
        clock: HostClock,
    ) -> Self {
        Self {
            executor,
            commands,
            events,
            shown,
            clock,
            budget: BUDGET_FIRST,
            spin: SPIN_MAX,
            first_words: FirstWords::default(),
            fault_said: false,
        }
    }

    fn run(mut self) {
        // Ends with `Over`, always.
        let _ = self.work();
    }

    fn work(&mut self) -> Result<(), Over> {
        loop {
            loop {
                match self.commands.try_recv() {
                    Ok(command) => self.handle(command)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Err(Over),
                }
            }
            let start = Instant::now();
            let before = self.executor.status().position;
            let advice = self.executor.step(self.clock.ticks(), self.budget);
            self.adapt(
                start.elapsed(),
                self.executor.status().position.0.saturating_sub(before.0),
            );
            self.report()?;
            if let Some(machine) = self.executor.machine() {
                self.first_words.look(machine);
            }
            if let Advice::Wait { until } = advice {
                self.wait(until)?;
            }
        }
    }

    fn handle(&mut self, command: Command) -> Result<(), Over> {
        let halts = matches!(command, Command::Halt);
        if let Err(error) = self.executor.handle(self.clock.ticks(), command) {
            let _ = self
                .events
                .blocking_send(ExecutorEvent::Broken(error.to_string()));
            return Err(Over);
        }
        self.report()?;
        if halts { Err(Over) } else { Ok(()) }
    }

    fn report(&mut self) -> Result<(), Over> {
        while let Some(report) = self.executor.poll_report() {
            self.events
                .blocking_send(ExecutorEvent::Report(report))
                .map_err(|_| Over)?;
        }
        if !self.fault_said
            && let Some(fault) = self.executor.first_fault()
        {
            panics::say(fault);
            self.fault_said = true;
        }
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = self.executor.status();
        Ok(())
    }

    /// Keeps slices about as long as they should be, whatever the guest does. Slices that ended early say nothing.
    fn adapt(&mut self, took: Duration, executed: u64) {
        if executed < self.budget {
            if took > SLICE * 2 {
                self.budget = (self.budget / 2).max(BUDGET_MIN);
            }
            return;
        }
        let wanted = u128::from(self.budget) * SLICE.as_nanos() / took.as_nanos().max(1);
        let wanted = u64::try_from(wanted).unwrap_or(BUDGET_MAX);
        // Smoothly: one slice may have been interrupted by the host.
        self.budget = ((self.budget * 3 + wanted) / 4).clamp(BUDGET_MIN, BUDGET_MAX);
    }

    /// Waits for a command or until host time `until`, in pieces. Spins a little first where that has paid lately.
    fn wait(&mut self, until: Option<u64>) -> Result<(), Over> {
        let start = Instant::now();
        let deadline = until.map(|until| start + self.clock.wait(until));
        let deadline = deadline.into_iter().chain(self.first_words.due()).min();
        let spin_end = start + self.spin;
        let command = loop {
            match self.commands.try_recv() {
                Ok(command) => break Some(command),
                Err(TryRecvError::Disconnected) => return Err(Over),
                Err(TryRecvError::Empty) => {}
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(());
            }
            if now >= spin_end {
                break self.sleep(deadline)?;
            }
            std::hint::spin_loop();
        };
        let waited = start.elapsed();
        self.spin = if waited <= SOON {
            SPIN_MAX
        } else {
            self.spin / 2
        };
        command.map_or(Ok(()), |command| self.handle(command))
    }

    fn sleep(&self, deadline: Option<Instant>) -> Result<Option<Command>, Over> {
        let received = match deadline {
            Some(deadline) => self.commands.recv_deadline(deadline),
            None => self
                .commands
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Over),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use replication::{LogIndex, TransferId};

    /// What waits for an executor that takes nothing.
    fn waiting(commands: impl IntoIterator<Item = Command>) -> Vec<Command> {
        let mut waiting = Waiting::default();
        for command in commands {
            waiting.push(command);
        }
        waiting.commands.into()
    }

    fn replay(first: u64, count: usize) -> Command {
        Command::Replay {
            first: LogIndex(first),
            entries: vec![Bytes::from_static(b"entry"); count],
        }
    }

    #[test]
    fn what_waits_for_a_stuck_executor_does_not_pile_up() {
        let [Command::Replay { first, entries }] =
            &waiting((0..10_000).map(|number| replay(1 + number * 3, 3)))[..]
        else {
            panic!("not one command");
        };
        assert_eq!((first.0, entries.len()), (1, 30_000));
        // What does not follow on is the executor's to refuse.
        assert_eq!(waiting([replay(1, 3), replay(5, 3)]).len(), 2);
        let waits = waiting((0..10_000).map(|per_mille| Command::Throttle { per_mille }));
        assert!(matches!(
            waits[..],
            [Command::Throttle { per_mille: 9_999 }]
        ));
        let snapshots = (0..10_000).map(|transfer| Command::TakeSnapshot {
            transfer: TransferId(transfer),
        });
        assert!(matches!(
            waiting(snapshots)[..],
            [Command::TakeSnapshot {
                transfer: TransferId(9_999)
            }]
        ));
    }

    #[test]
    fn a_new_life_forgets_what_the_former_one_was_still_to_do() {
        let restore = |transfer| Command::Restore {
            transfer: TransferId(transfer),
            next: LogIndex(9),
            state: Bytes::new(),
        };
        let commands = [
            replay(1, 1),
            restore(1),
            replay(9, 1),
            restore(2),
            replay(9, 1),
        ];
        assert!(matches!(
            waiting(commands)[..],
            [
                Command::Restore {
                    transfer: TransferId(2),
                    ..
                },
                Command::Replay {
                    first: LogIndex(9),
                    ..
                }
            ]
        ));
        let live = Command::GoLive { next: LogIndex(2) };
        let order = waiting([
            replay(1, 1),
            live,
            Command::Throttle { per_mille: 5 },
            Command::Halt,
        ]);
        assert_eq!(order.len(), 4, "nothing else is left out");
    }
}
