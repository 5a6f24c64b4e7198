//! What clients of the control socket want of the node, and how it leaves.

use super::Controller;
use crate::control::ControlEvent;
use crate::node::ExitReason;
use machine::Input;
use replica::{Command, Event};
use replication::RoleStatus;
use std::time::{Duration, Instant};
use tracing::warn;

/// Signals that come within so long mean more each time.
pub(super) const SIGNALS_WITHIN: Duration = Duration::from_secs(30);
/// Why a node does not end.
pub(super) const ONLY_STATE: &str = "this node is the machine, and no backup protects it: its state would end with the node. Start another node, and stop this one once `futago status` says that it is protected; or `futago stop --power-off` switches the guest off in good order; or `--give-up` ends it as it is";

/// The first of the signals that count together, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Signals {
    since: Option<Instant>,
    count: u32,
}

impl Controller {
    pub(super) fn on_control(&mut self, event: ControlEvent) {
        match event {
            // A client that left does not want its answer any more.
            ControlEvent::Status(reply) => drop(reply.send(self.status())),
            ControlEvent::Attach(reply) => drop(reply.send(self.console.attach())),
            ControlEvent::ConsoleInput(bytes, taken) => self.typing.take(bytes, taken),
            ControlEvent::ConsoleRead(read) => self.typing.take(Vec::new(), read),
            // A client that left does not mind either.
            ControlEvent::MayStop(reply) => drop(reply.send(self.may_stop())),
            ControlEvent::Stop { gives_up } => self.stop(gives_up),
            ControlEvent::PowerOff(reply) => drop(reply.send(self.power_off())),
        }
    }

    /// Switches the guest off, which only the primary can.
    fn power_off(&mut self) -> Result<(), String> {
        let status = self.replica.status();
        if status.role == RoleStatus::Primary {
            self.executor.send(Command::Input(Input::PowerOff));
            return Ok(());
        }
        let owner = match status.role {
            RoleStatus::Backup => status.peer.map(|peer| self.gauges.name(peer)),
            _ => None,
        };
        Err(match owner {
            Some(owner) => format!(
                "this node is the machine's backup: its primary, node `{owner}`, can switch the guest off"
            ),
            None => "this node is not the machine: only the primary can switch the guest off; `futago status` says which node that is"
                .to_owned(),
        })
    }

    /// Whether this node may end without the machine's only state.
    fn may_stop(&self) -> Result<(), String> {
        match self.replica.may_leave() {
            true => Ok(()),
            false => Err(ONLY_STATE.to_owned()),
        }
    }

    /// Ends, if the machine goes on without this node. A machine that is given up is off then, and may be started anew, unless it turns
    /// out to be protected.
    fn stop(&mut self, gives_up: bool) {
        if gives_up && self.may_stop().is_err() {
            self.give_up();
        } else {
            self.tell(Event::Leave);
        }
    }

    fn give_up(&mut self) {
        warn!("the machine is given up, as it was asked for");
        self.tell(Event::GiveUp);
    }

    /// The process was told to end. It does so at once where nothing is lost by it, at the second signal whatever is lost, and at
    /// the third though the store does not answer.
    pub(super) fn on_signal(&mut self) {
        let now = Instant::now();
        let is_new = |at: Instant| now.duration_since(at) > SIGNALS_WITHIN;
        if self.signals.since.is_none_or(is_new) {
            (self.signals.since, self.signals.count) = (Some(now), 0);
        }
        self.signals.count += 1;
        match (self.signals.count, self.may_stop()) {
            (1, _) => self.tell(Event::Leave),
            (2, Err(_)) => self.give_up(),
            _ => self.end = Some(ExitReason::Stopped),
        }
    }
}
