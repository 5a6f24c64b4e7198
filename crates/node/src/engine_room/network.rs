//! The machine's network: a port of a switch that is open only while this node is the machine.

use crate::config::{Config, MacAddress};
use crate::switch::{SwitchClient, SwitchEvent, SwitchHello, announcement};
use replication::{Epoch, Fence, MachineId};
use std::path::PathBuf;
use tokio::sync::mpsc;
use tracing::{info, warn};

pub(super) struct Network {
    socket: Option<PathBuf>,
    machine: MachineId,
    mac: MacAddress,
    events: mpsc::Sender<SwitchEvent>,
    client: Option<SwitchClient>,
    /// The epoch in which this node speaks; none while it is not the machine.
    epoch: Option<Epoch>,
    /// This node is a sink, too: what is stamped with an older epoch does not leave.
    fence: Fence,
    /// Set for good by a halt.
    silent: bool,
    complained: bool,
}

impl Network {
    pub(super) fn new(config: &Config, events: mpsc::Sender<SwitchEvent>) -> Self {
        Self {
            socket: config.machine.network.clone(),
            machine: config.machine_id(),
            mac: config.machine.mac,
            events,
            client: None,
            epoch: None,
            fence: Fence::default(),
            silent: false,
            complained: false,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// This node is the machine from now on: connects, fences older epochs, and shows every switch where the guest is.
    pub(super) fn speak_as(&mut self, epoch: Epoch) {
        if self.silent || !self.fence.admit(epoch) {
            return;
        }
        self.epoch = Some(epoch);
        self.reconnect();
    }

    /// Connects if there should be a connection and is none.
    pub(super) fn reconnect(&mut self) {
        let (Some(socket), Some(epoch)) = (&self.socket, self.epoch) else {
            return;
        };
        if self.client.is_some() || self.silent {
            return;
        }
        match SwitchClient::connect(socket, Some(self.hello(epoch)), self.events.clone()) {
            Ok(client) => {
                client.send(&announcement(self.mac));
                info!(
                    epoch = epoch.0,
                    "the network is connected and the guest's address announced"
                );
                self.client = Some(client);
                self.complained = false;
            }
            Err(error) if !self.complained => {
                self.complained = true;
                warn!("the machine has no network; this is tried again: {error:#}");
            }
            Err(_) => {}
        }
    }

    pub(super) fn closed(&mut self, cause: &str) {
        warn!("the network is gone: {cause}");
        self.client = None;
    }

    /// Lets a frame out that is stamped with `epoch`. A newer epoch of the same owner is told to the switch first.
    pub(super) fn send(&mut self, epoch: Epoch, frame: &[u8]) {
        if self.silent || !self.fence.admit(epoch) {
            return;
        }
        let newer = self.epoch != Some(epoch);
        self.epoch = Some(epoch);
        if let Some(client) = &self.client {
            if newer {
                client.send(&self.hello(epoch).to_frame());
            }
            client.send(frame);
        }
    }

    /// Whether a frame from the network is for the guest: the switch floods what it does not know.
    pub(super) fn accepts(&self, frame: &[u8]) -> bool {
        self.epoch.is_some() && (frame[0] & 1 != 0 || frame[..6] == self.mac.0)
    }

    /// Nothing leaves any more, for good.
    pub(super) fn silence(&mut self) {
        self.silent = true;
        self.client = None;
    }

    fn hello(&self, epoch: Epoch) -> SwitchHello {
        SwitchHello {
            machine: self.machine,
            epoch,
            mac: self.mac,
        }
    }
}
