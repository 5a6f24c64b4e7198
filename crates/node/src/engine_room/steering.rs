//! What clients of the control socket want of the node, and how it leaves.

use super::EngineRoom;
use crate::control::ControlEvent;
use crate::node::ExitReason;
use eventlog::CONSOLE_BYTES_MAX;
use machine::Input;
use replica::HartCommand;
use replication::{Action, Flag, Local, RoleStatus};
use tracing::{info, warn};

impl EngineRoom {
    pub(super) fn on_control(&mut self, event: ControlEvent) {
        match event {
            // A client that left does not want its answer any more.
            ControlEvent::Status(reply) => drop(reply.send(self.status())),
            ControlEvent::Attach(reply) => drop(reply.send(self.console.attach())),
            ControlEvent::ConsoleInput(bytes) => {
                for piece in bytes.chunks(CONSOLE_BYTES_MAX) {
                    self.hart
                        .send(HartCommand::Input(Input::Console(piece.to_vec())));
                }
            }
            // A client that left does not mind either.
            ControlEvent::MayStop(reply) => drop(reply.send(self.may_stop())),
            ControlEvent::Stop { gives_up } => self.stop(gives_up),
            ControlEvent::PowerOff => self.hart.send(HartCommand::Input(Input::PowerOff)),
        }
    }

    /// Whether this node may end without the machine's only state.
    fn may_stop(&self) -> Result<(), String> {
        let status = self.core.status();
        match status.role == RoleStatus::Primary && status.flag != Flag::Pair {
            false => Ok(()),
            true => Err(
                "this node is the machine, and no backup protects it: its state would end with the node. Start another node, and stop this one once `futago status` says that it is protected; or `--power-off` switches the guest off in good order; or `--give-up` ends it as it is"
                    .to_owned(),
            ),
        }
    }

    /// Ends. A machine that is given up is off then, and may be started anew, unless it turns out to be protected.
    fn stop(&mut self, gives_up: bool) {
        match self.may_stop() {
            Ok(()) => self.leave(),
            Err(_) if gives_up => {
                warn!("the machine is given up, as it was asked for");
                self.tell(Local::GiveUp);
            }
            Err(why) => warn!("not stopped after all: {why}"),
        }
    }

    /// A backup tells its primary; a primary just ends, and its backup, if there is one, takes over.
    pub(super) fn leave(&mut self) {
        info!("the node was told to stop");
        if self.may_stop().is_err() {
            warn!("no backup protects the machine: its only state ends with this node");
        }
        if self.core.status().role != RoleStatus::Primary {
            self.tell(Local::Leave);
            self.drain_farewell();
        }
        self.network.silence();
        self.end = Some(ExitReason::Stopped);
    }

    /// Sends what a leaving node has to say; nothing else that it was still asked to do matters.
    fn drain_farewell(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if let Action::Send { to, message } = action {
                self.transport.send(to, message);
            }
        }
    }
}
