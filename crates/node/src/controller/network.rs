//! The machine's network: a port of a switch that is open only while this node is the machine.

use crate::config::{Config, MacAddress};
use crate::executor_thread::ExecutorThread;
use crate::log::STORY;
use crate::status::Dropped;
use crate::switch::{
    PortCounters, Speaker, SwitchClient, SwitchEvent, announcement, can_connect, is_socket,
};
use replication::{Epoch, Fence, MachineId, MachineKey, NodeId};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

/// A switch asks at once who speaks; what has not asked in this time is none.
const ASK_MAX: Duration = Duration::from_secs(2);
/// Between two looks whether a node that is not the machine would have a network.
const LOOK_AHEAD: Duration = Duration::from_secs(3);
/// Frames are left with the switch for so long, if the guest takes none. Then they are dropped: what the switch says waits behind them.
const LEAVE_MAX: Duration = Duration::from_secs(1);
const MUTE: &str = "what listens on its socket does not ask who speaks; if it is no `futago switch`, remove the key file beside the socket and start the node again";

pub(super) struct Network {
    socket: Option<PathBuf>,
    /// Proves to the switch whose port it is. None where the network is no switch of ours.
    key: Option<MachineKey>,
    machine: MachineId,
    node: NodeId,
    mac: MacAddress,
    events: mpsc::Sender<SwitchEvent>,
    counters: Arc<PortCounters>,
    client: Option<SwitchClient>,
    /// Since when frames are left with the switch.
    left_since: Option<Instant>,
    connected_at: Instant,
    /// Whether frames leave through the client.
    admitted: bool,
    /// The epoch in which this node speaks; none while it is not the machine.
    epoch: Option<Epoch>,
    /// This node is a sink, too: what is stamped with an older epoch does not leave.
    fence: Fence,
    /// Set for good by a halt.
    silent: bool,
    complained: bool,
    /// Why the guest has no network.
    problem: Option<String>,
    /// When it was last looked whether the guest would have one, while this node is not the machine.
    looked_at: Option<Instant>,
}

impl Network {
    pub(super) fn new(
        config: &Config,
        node: NodeId,
        key: Option<MachineKey>,
        events: mpsc::Sender<SwitchEvent>,
    ) -> Self {
        Self {
            socket: config.machine.network.clone(),
            key,
            machine: config.machine_id(),
            node,
            mac: config.machine.mac,
            events,
            counters: Arc::default(),
            client: None,
            left_since: None,
            connected_at: Instant::now(),
            admitted: false,
            epoch: None,
            fence: Fence::default(),
            silent: false,
            complained: false,
            problem: None,
            looked_at: None,
        }
    }

    /// Whether the guest has a network here or, where another node is the machine, could have one. None: it is to have none, or
    /// nobody has looked yet.
    pub(super) fn is_ready(&self) -> Option<bool> {
        self.socket.as_ref()?;
        match self.epoch {
            Some(_) => Some(self.is_connected()),
            None => self.looked_at.map(|_| self.problem.is_none()),
        }
    }

    /// Why not.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Looks now and then whether this node, which is not the machine, would have a network if it became it.
    pub(super) fn look_ahead(&mut self) {
        let is_fresh = |at: Instant| at.elapsed() < LOOK_AHEAD;
        let Some(socket) = self.socket.as_ref().filter(|_| self.epoch.is_none()) else {
            return;
        };
        if self.looked_at.is_some_and(is_fresh) {
            return;
        }
        self.looked_at = Some(Instant::now());
        // What is no switch of ours may take one connection and no other: it is left alone.
        let looked = match self.key {
            Some(_) => can_connect(socket),
            None => is_socket(socket),
        };
        let problem = looked.err().map(|error| format!("{error:#}"));
        match (&problem, &self.problem) {
            (Some(problem), None) => {
                warn!("the machine would have no network if this node took over: {problem}");
            }
            (None, Some(_)) => {
                info!(target: STORY, "the machine would have a network again if this node took over");
            }
            _ => {}
        }
        self.problem = problem;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.is_some() && self.admitted
    }

    /// Adds what went nowhere here.
    pub(super) fn add_dropped(&self, dropped: &mut Dropped) {
        let PortCounters {
            reserved,
            sent_overflowed,
            received_overflowed,
        } = &*self.counters;
        dropped.frames_reserved += reserved.load(Ordering::Relaxed);
        dropped.frames_sent += sent_overflowed.load(Ordering::Relaxed);
        dropped.frames_received += received_overflowed.load(Ordering::Relaxed);
    }

    /// This node is the machine from now on: connects, fences older epochs, and shows every switch where the guest is.
    pub(super) fn speak_as(&mut self, epoch: Epoch) {
        if self.silent || !self.fence.admit(epoch) {
            return;
        }
        self.epoch = Some(epoch);
        self.problem = None;
        self.reconnect();
    }

    /// Connects if there should be a connection and is none.
    pub(super) fn reconnect(&mut self) {
        let (Some(socket), Some(epoch)) = (&self.socket, self.epoch) else {
            return;
        };
        if self.silent {
            return;
        }
        if self.client.is_some() {
            self.look_for_an_answer();
            return;
        }
        let speaker = self.key.clone().map(|key| Speaker {
            machine: self.machine,
            node: self.node,
            key,
            mac: self.mac,
            epoch,
        });
        self.admitted = speaker.is_none();
        let counters = Arc::clone(&self.counters);
        match SwitchClient::connect(socket, speaker, counters, self.events.clone()) {
            Ok(client) => {
                client.send(&announcement(self.mac));
                self.client = Some(client);
                self.connected_at = Instant::now();
                if self.admitted {
                    self.complained = false;
                    self.problem = None;
                    info!(
                        target: STORY,
                        "the network is connected, by a plain port: nothing there can fence an older epoch"
                    );
                }
            }
            Err(error) => {
                let problem = format!("{error:#}");
                if !self.complained {
                    self.complained = true;
                    warn!("the machine has no network; this is tried again: {problem}");
                }
                self.problem = Some(problem);
            }
        }
    }

    fn look_for_an_answer(&mut self) {
        if !self.admitted && !self.complained && self.connected_at.elapsed() > ASK_MAX {
            self.complained = true;
            warn!("the machine has no network: {MUTE}");
            self.problem = Some(MUTE.to_owned());
        }
    }

    /// The switch lets this node speak.
    pub(super) fn admitted(&mut self) {
        if !self.admitted {
            self.admitted = true;
            self.complained = false;
            self.problem = None;
            info!(target: STORY, "the network is connected, and the guest's address announced");
        }
    }

    pub(super) fn closed(&mut self, cause: &str) {
        // What is tried again and again is told once.
        if self.complained {
            debug!("the network is gone: {cause}");
        } else {
            self.complained = true;
            warn!("the machine has no network; this is tried again: {cause}");
        }
        self.problem = Some(cause.to_owned());
        self.client = None;
        self.admitted = false;
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
                client.speak_as(epoch);
            }
            client.send(frame);
        }
    }

    /// Whether frames are left with the switch now: those who send share what the guest takes, while a queue here would be
    /// whoever's who sends most.
    pub(super) fn leaves_frames(&mut self, executor: &ExecutorThread) -> bool {
        if self.client.is_none() || executor.takes_frames() {
            self.left_since = None;
            return false;
        }
        let since = self.left_since.get_or_insert_with(Instant::now);
        since.elapsed() < LEAVE_MAX
    }

    /// Whether a frame from the network is for the guest, which takes frames: the switch floods what it does not know.
    pub(super) fn accepts(&self, frame: &[u8]) -> bool {
        let is_for_guest = frame[0] & 1 != 0 || frame[..6] == self.mac.0;
        if self.epoch.is_none() || !is_for_guest {
            return false;
        }
        let is_taken = self.left_since.is_none();
        if !is_taken {
            (self.counters.received_overflowed).fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// Nothing leaves any more, for good.
    pub(super) fn silence(&mut self) {
        self.silent = true;
        self.client = None;
        self.admitted = false;
    }
}
