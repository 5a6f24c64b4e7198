//! What the log channel tells: peers that come and go, are refused or do not answer, their messages, and the states that they send.

use super::Controller;
use crate::log::STORY;
use crate::names::short;
use crate::node::ExitReason;
use crate::transport::TransportEvent;
use replica::Event;
use replication::{HostId, Message, RoleStatus};
use std::net::SocketAddr;
use tracing::{debug, info, warn};

impl Controller {
    pub(super) fn on_transport(&mut self, event: TransportEvent) {
        match event {
            TransportEvent::Message { from, message, .. } => {
                let known = match message {
                    Message::Known { record } => Some(record),
                    _ => None,
                };
                self.tell(Event::Message { from, message });
                if let Some(record) = known {
                    self.peer_spoke(from, record);
                }
            }
            TransportEvent::Connected {
                peer,
                name,
                address,
            } => {
                info!(target: STORY, "{name} is connected, at {address}");
                debug!(name, peer = %short(peer.0), "this process of it");
                self.gauges.connected(peer, &name);
                self.gauges.heard_at(address);
                self.gauges.agreed_at(address);
                let host = HostId::of_name(&name);
                self.tell(Event::Connected { peer, host });
            }
            TransportEvent::Disconnected { peer, cause } => {
                let whose = match self.gauges.is_succeeded(peer) {
                    true => "an earlier process of ",
                    false => "",
                };
                warn!(
                    "the connection to {whose}{} is gone: {cause}",
                    self.who(peer)
                );
                self.gauges.disconnected(peer);
                self.tell(Event::Disconnected { peer });
            }
            TransportEvent::StateReceived {
                from,
                transfer,
                state,
                ..
            } => {
                let mib = state.len() >> 20;
                info!(mib, "a state has come in from {}", self.who(from));
                self.tell(Event::StateArrived {
                    from,
                    transfer,
                    state,
                });
            }
            TransportEvent::StateSent { to, transfer } => {
                debug!(
                    transfer = transfer.0,
                    "the state was sent to {}",
                    self.who(to)
                );
            }
            TransportEvent::Unanswered { written, addresses } => {
                let place = place(&written, &addresses);
                info!(target: STORY, "nobody answers at {place}, which `node.peers` names: is the node there started, the address right, and no firewall between?");
                self.gauges.refused.remove(&written);
                self.gauges.unanswered.insert(written, addresses);
            }
            TransportEvent::Unknown { written, problem } => {
                info!(target: STORY, "nobody can be asked at {written}, which `node.peers` names, and which is tried again: {problem}");
                self.gauges.unknown.insert(written, problem);
            }
            TransportEvent::Known { written, addresses } => {
                info!(target: STORY, "the host's name is known now: {}", place(&written, &addresses));
                self.gauges.unknown.remove(&written);
            }
            TransportEvent::Refused {
                written,
                address,
                reason,
                differs,
            } => {
                self.gauges.heard_at(address);
                if let Some(written) = written {
                    self.gauges
                        .refused
                        .insert(written, (address, reason.clone()));
                }
                let now = std::time::Instant::now();
                if let Some(left_out) = self.refusals.say(now, address.ip(), &reason) {
                    match left_out {
                        0 => warn!("a peer at {address} was refused: {reason}"),
                        _ => warn!(left_out, "a peer at {address} was refused: {reason}"),
                    }
                }
                if differs {
                    self.difference = Some(reason);
                }
            }
        }
    }

    /// A node that waits for a machine to join, and has met nobody but peers that are configured otherwise, ends and says so:
    /// it would wait for ever. One that is the machine or its backup has only refused somebody.
    pub(super) fn heed_difference(&mut self) {
        match self.replica.status().role {
            RoleStatus::Out if self.standing.start_at().is_some() => {
                if let Some(what) = self.difference.take() {
                    self.end = Some(ExitReason::Differs(what));
                }
            }
            // Whether it starts the machine itself is not known yet.
            RoleStatus::Out | RoleStatus::Starting => {}
            RoleStatus::Joining if !self.gauges.is_connected() => {
                if let Some(what) = self.difference.take() {
                    self.end = Some(ExitReason::Differs(what));
                }
            }
            _ => self.difference = None,
        }
    }
}

/// A peer's place, as the configuration has it, and its addresses where that is a name.
pub(super) fn place(written: &str, addresses: &[SocketAddr]) -> String {
    let found: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    match found.as_slice() {
        [address] if address == written => address.clone(),
        _ => format!("{written} ({})", found.join(", ")),
    }
}
