//! The one owner of a node's state: takes every event, tells the replication core and the bridge, and performs what
//! they ask for, in order. Everything that runs beside it (sockets, the arbiter's store, the hart) only sends events.

mod health;
mod network;
mod peers;
mod refusals;
mod report;
mod standing;
mod steering;
mod story;
mod typing;

use crate::arbiter::{ArbiterAnswer, ArbiterWorker, Seen};
use crate::config::Config;
use crate::console::Console;
use crate::control::{ControlCounters, ControlEvent};
use crate::engine::EngineKind;
use crate::hart_thread::{HartEvent, HartThread};
use crate::log::STORY;
use crate::node::ExitReason;
use crate::room::Room;
use crate::sandbox::Confinement;
use crate::signals::EndSignals;
use crate::switch::SwitchEvent;
use crate::transport::{TransferProgress, Transport, TransportEvent};
use bytes::Bytes;
use health::Health;
use machine::{Input, Output};
use network::Network;
use refusals::Refusals;
use replica::{Bridge, Effect, HartCommand, HartReport};
use replication::{
    Action, Core, HaltReason, Instant, Local, MachineKey, NodeId, RoleStatus, TransferId,
};
use report::Gauges;
use standing::Standing;
use std::sync::Arc;
use std::time::Duration;
use steering::Farewell;
use story::Story;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};
use typing::Typing;

/// Outputs held, in bytes, before the guest must stand still.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Between two looks at rates, and at what needs a look now and then.
const HOUSEKEEPING: Duration = Duration::from_millis(250);
/// So often commands, and frames, that found no room are offered to the hart again.
const OFFER_AGAIN: Duration = Duration::from_millis(1);

/// The ways in and out of the engine room.
pub(crate) struct Doors {
    /// What executes the guest.
    pub(crate) engine: EngineKind,
    pub(crate) hart: HartThread,
    pub(crate) from_hart: mpsc::Receiver<HartEvent>,
    pub(crate) transport: Transport,
    pub(crate) from_transport: mpsc::Receiver<TransportEvent>,
    pub(crate) arbiter: ArbiterWorker,
    pub(crate) from_arbiter: mpsc::Receiver<ArbiterAnswer>,
    pub(crate) switch_key: Option<MachineKey>,
    /// What an earlier process of this node had seen of the arbiter.
    pub(crate) seen_before: Option<Seen>,
    pub(crate) switch_events: mpsc::Sender<SwitchEvent>,
    pub(crate) from_switch: mpsc::Receiver<SwitchEvent>,
    pub(crate) control: mpsc::Receiver<ControlEvent>,
    pub(crate) control_counters: Arc<ControlCounters>,
    pub(crate) console: Console,
    pub(crate) sandbox: Confinement,
}

/// What is random about a process.
#[derive(Clone, Copy)]
pub(crate) struct Fate {
    /// For what need only differ.
    pub(crate) seed: u64,
    /// For what nobody may guess.
    pub(crate) secret: [u8; 32],
}

/// Everything that can happen to a node.
#[derive(Debug)]
enum Event {
    Hart(HartEvent),
    Transport(TransportEvent),
    Arbiter(ArbiterAnswer),
    Switch(SwitchEvent),
    Control(ControlEvent),
    /// A deadline has come: the core's, or the node's own.
    Time,
    /// The process was asked to end.
    Signal,
}

/// A state that comes in, from the core's wish to the hart.
#[derive(Debug, Default)]
struct Incoming {
    /// What the core waits for.
    awaited: Option<(NodeId, TransferId)>,
    /// What came before the core asked for it.
    early: Option<(TransferId, Bytes)>,
}

pub(crate) struct EngineRoom {
    config: Config,
    node: NodeId,
    core: Core,
    bridge: Bridge,
    engine: EngineKind,
    hart: HartThread,
    transport: Transport,
    arbiter: ArbiterWorker,
    control_counters: Arc<ControlCounters>,
    console: Console,
    sandbox: Confinement,
    network: Network,
    incoming: Incoming,
    sending: Option<Arc<TransferProgress>>,
    gauges: Gauges,
    room: Room,
    origin: std::time::Instant,
    housekeeping_at: std::time::Instant,
    standing: Standing,
    health: Health,
    story: Story,
    /// What the core explained last.
    explained: &'static str,
    refusals: Refusals,
    farewell: Farewell,
    typing: Typing,
    /// In what a peer that this node met is configured otherwise.
    difference: Option<String>,
    /// Set when the node must end.
    end: Option<ExitReason>,
}

pub(crate) struct Sources {
    hart: mpsc::Receiver<HartEvent>,
    transport: mpsc::Receiver<TransportEvent>,
    arbiter: mpsc::Receiver<ArbiterAnswer>,
    switch: mpsc::Receiver<SwitchEvent>,
    control: mpsc::Receiver<ControlEvent>,
}

impl EngineRoom {
    pub(crate) fn new(config: Config, node: NodeId, fate: Fate, doors: Doors) -> (Self, Sources) {
        let mut protocol = replication::Config::new(config.machine_id(), node, fate.seed);
        protocol.secret = fate.secret;
        let suspicion = replication::Duration::from_ms(config.timeouts.suspicion_ms.into());
        protocol.times.heartbeat =
            replication::Duration::from_ms(config.timeouts.heartbeat_ms.into());
        protocol.times.suspect_primary = suspicion;
        protocol.times.suspect_backup = suspicion * 4 / 5;
        protocol.slow_backup = config.node.slow_backup.into();
        protocol.times.arbiter = replication::Duration::from_ms(config.timeouts.arbiter_ms.into());
        let network = Network::new(&config, node, doors.switch_key, doors.switch_events);
        let now = std::time::Instant::now();
        let sources = Sources {
            hart: doors.from_hart,
            transport: doors.from_transport,
            arbiter: doors.from_arbiter,
            switch: doors.from_switch,
            control: doors.control,
        };
        let room = Self {
            config,
            node,
            core: Core::new(protocol, Instant(0)),
            bridge: Bridge::new(OUTPUT_BYTES_MAX),
            engine: doors.engine,
            hart: doors.hart,
            transport: doors.transport,
            arbiter: doors.arbiter,
            control_counters: doors.control_counters,
            console: doors.console,
            sandbox: doors.sandbox,
            network,
            incoming: Incoming::default(),
            sending: None,
            gauges: Gauges::new(now),
            room: Room::open(),
            origin: now,
            housekeeping_at: now,
            standing: Standing::new(doors.seen_before),
            health: Health::new(now),
            story: Story::default(),
            explained: "",
            refusals: Refusals::default(),
            farewell: Farewell::default(),
            typing: Typing::default(),
            difference: None,
            end: None,
        };
        (room, sources)
    }

    /// Works until the node ends.
    pub(crate) async fn run(
        mut self,
        mut sources: Sources,
        mut stops: EndSignals,
    ) -> anyhow::Result<ExitReason> {
        self.tell_room();
        self.begin();
        loop {
            self.perform()?;
            // A hart that goes live has been told so by now.
            if self.typing.is_waiting() && self.is_primary() {
                self.typing.go_on(&mut self.hart);
            }
            self.heed_difference();
            if let Some(reason) = self.end.take() {
                self.transport.close(&reason.to_string()).await;
                return Ok(reason);
            }
            let leaves_frames = self.network.leaves_frames(&self.hart);
            let mut deadline = self.deadline();
            if leaves_frames {
                deadline = deadline.min(std::time::Instant::now() + OFFER_AGAIN);
            }
            let deadline = tokio::time::Instant::from_std(deadline);
            let event = tokio::select! {
                event = sources.hart.recv() => Event::Hart(event.unwrap_or_else(HartEvent::lost)),
                Some(event) = sources.transport.recv() => Event::Transport(event),
                Some(event) = sources.arbiter.recv() => Event::Arbiter(event),
                Some(event) = sources.switch.recv(), if !leaves_frames => Event::Switch(event),
                Some(event) = sources.control.recv() => Event::Control(event),
                () = tokio::time::sleep_until(deadline) => Event::Time,
                () = stops.next() => Event::Signal,
            };
            let looks = event.may_change_health();
            self.handle(event)?;
            if looks {
                self.look_at_health();
            }
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn deadline(&self) -> std::time::Instant {
        let mut deadline = self.housekeeping_at;
        if let Some(Instant(us)) = self.core.poll_timeout() {
            deadline = deadline
                .min(self.origin + Duration::from_micros(us.min(u64::from(u32::MAX) * 1000)));
        }
        if self.hart.is_backed_up() || self.typing.is_waiting() && self.is_primary() {
            deadline = deadline.min(std::time::Instant::now() + OFFER_AGAIN);
        }
        deadline.min(self.standing.start_at().unwrap_or(deadline))
    }

    fn is_primary(&self) -> bool {
        self.core.status().role == RoleStatus::Primary
    }

    fn tell(&mut self, local: Local) {
        let now = self.now();
        self.core.handle_local(now, local);
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Hart(HartEvent::Report(report)) => self.on_report(report),
            Event::Hart(HartEvent::Broken(what)) => {
                anyhow::bail!(
                    "the hart was {what}: this is a bug in Futago; the other replica goes on"
                )
            }
            Event::Transport(event) => self.on_transport(event),
            Event::Arbiter(answer) => self.on_arbiter(answer),
            Event::Switch(SwitchEvent::Frame(frame)) => {
                if self.network.accepts(&frame) {
                    let frame = frame.to_vec();
                    self.hart
                        .send(HartCommand::Input(Input::Frame { device: 0, frame }));
                }
            }
            Event::Switch(SwitchEvent::Admitted) => self.network.admitted(),
            Event::Switch(SwitchEvent::Closed(cause)) => self.network.closed(&cause),
            Event::Control(event) => self.on_control(event),
            Event::Signal => self.on_signal(),
            Event::Time => {
                self.hart.flush();
                let now = self.now();
                self.core.handle_timeout(now);
                self.start_when_due();
                self.keep_house();
            }
        }
        if let Some(command) = self.bridge.back_pressure() {
            self.hart.send(command);
        }
        Ok(())
    }

    fn keep_house(&mut self) {
        let now = std::time::Instant::now();
        if now < self.housekeeping_at {
            return;
        }
        self.housekeeping_at = now + HOUSEKEEPING;
        self.gauges
            .sample(now, self.transport.counters().bytes_sent);
        self.network.reconnect();
        self.look_ahead();
        self.wonder();
        self.tell_room();
        if let Some(progress) = &self.sending {
            let told = Local::TransferProgress {
                transfer: progress.transfer(),
                bytes: progress.bytes_done(),
                total: progress.bytes_total(),
            };
            self.tell(told);
        }
    }

    /// Says what this node could take in, and what another would need for this one's state, while that matters.
    fn tell_room(&mut self) {
        match self.core.status().role {
            RoleStatus::Primary => {
                let bytes = self.config.machine.memory.0 + self.hart.status().touched_bytes;
                self.tell(Local::Needs { bytes });
            }
            RoleStatus::Backup | RoleStatus::TakingOver | RoleStatus::Halted(_) => {}
            RoleStatus::Out | RoleStatus::Starting | RoleStatus::Joining => {
                let bytes = self.room.free_bytes();
                self.tell(Local::Room { bytes });
            }
        }
    }

    fn on_report(&mut self, report: HartReport) {
        match &report {
            HartReport::SnapshotTaken { state, .. } => {
                let pause = self.gauges.snapshot_taken();
                info!(
                    mib = state.len() >> 20,
                    pause_ms = pause.as_millis(),
                    "the guest stood still while a snapshot was taken"
                );
            }
            HartReport::Restored { result: Ok(()), .. } => {
                info!("the state was restored");
            }
            HartReport::Restored {
                result: Err(error), ..
            } => warn!("the state that came in cannot be used: {error}"),
            HartReport::Replayed { index, .. } => self.gauges.replayed(*index),
            HartReport::Verified => info!("the restored state agrees with the primary's digest"),
            HartReport::Diverged(divergence) => error!(
                after = divergence.after.0,
                at = divergence.at.0,
                "this backup differs from its primary: {}",
                divergence.what.join("; ")
            ),
            HartReport::ResetAsked => {
                warn!(
                    "the guest asked for a reset, which is not supported yet: it is switched off"
                );
            }
            HartReport::PoweredOff => info!("the guest switched itself off"),
            HartReport::Appended { .. } => self.on_life(),
        }
        if let Some(local) = self.bridge.report(report) {
            self.tell(local);
        }
    }

    /// Does everything that the core asks for.
    fn perform(&mut self) -> anyhow::Result<()> {
        while self.end.is_none() {
            let Some(action) = self.core.poll_action() else {
                return Ok(());
            };
            match &action {
                Action::Run { epoch } => {
                    debug!(epoch = epoch.0, "the guest starts");
                    self.network.speak_as(*epoch);
                    self.tell_room();
                }
                Action::GoLive { epoch, next } => {
                    debug!(epoch = epoch.0, next = next.0, "the guest goes live here");
                    self.gauges.goes_live();
                    self.stay_after_all();
                    self.network.speak_as(*epoch);
                    self.tell_room();
                }
                Action::TakeSnapshot { .. } => self.gauges.snapshot_asked(),
                Action::Replay { first, entries } => self.gauges.given(*first, entries),
                _ => {}
            }
            for effect in self.bridge.action(action) {
                self.perform_effect(effect)?;
            }
        }
        Ok(())
    }

    fn perform_effect(&mut self, effect: Effect) -> anyhow::Result<()> {
        match effect {
            Effect::Hart(command) => self.hart.send(command),
            Effect::Speak { epoch, outputs } => {
                for output in outputs {
                    match output {
                        Output::Frame { frame, .. } => self.network.send(epoch, &frame),
                        Output::Console(bytes) => self.console.write(&bytes),
                    }
                }
            }
            Effect::SendState {
                to,
                transfer,
                state,
            } => {
                self.sending = Some(self.transport.send_state(to, transfer, state));
            }
            Effect::ReceiveState { from, transfer } => {
                let name = self.who(from);
                info!(target: STORY, "{name} takes this node as its backup, and sends it the machine's state: not protected until that is there");
                self.incoming.awaited = Some((from, transfer));
                if let Some((_, state)) =
                    self.incoming.early.take_if(|(early, _)| *early == transfer)
                {
                    self.restore(transfer, state);
                }
            }
            Effect::AbandonTransfer { transfer } => {
                self.transport.abandon(transfer);
                self.incoming
                    .awaited
                    .take_if(|(_, awaited)| *awaited == transfer);
                self.sending
                    .take_if(|progress| progress.transfer() == transfer);
            }
            Effect::Halt { reason } => {
                self.network.silence();
                // Whoever runs the node says it, as its last word.
                debug!("the node halts: {reason:?}");
                let owner = match &reason {
                    HaltReason::Lost { record } => Some(record.owner),
                    HaltReason::OtherStore { claimed, .. } => Some(claimed.owner),
                    _ => None,
                };
                let owner = owner.map(|owner| self.who(owner)).unwrap_or_default();
                self.end = Some(ExitReason::Halted { reason, owner });
            }
            Effect::Node(action) => self.perform_action(action)?,
        }
        Ok(())
    }

    fn perform_action(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            // What is tried again and again is told once.
            Action::Explain { why } if why == self.explained => debug!("{why}"),
            Action::Explain { why } => {
                self.explained = why;
                info!("{why}");
            }
            Action::Refuse { peer, why } => {
                let name = self.who(peer);
                warn!("{name} asks to join, and must wait: {why}");
            }
            Action::Send { to, message } => self.transport.send(to, message),
            Action::Arbiter { request, operation } => {
                if let Some(answer) = self.arbiter.ask(request, operation) {
                    self.on_arbiter(answer);
                }
            }
            Action::StandAside { record } => self.stand_aside(record),
            // Everything else is the bridge's, which gives back other effects for it.
            other => anyhow::bail!("the bridge left {other:?} undone: this is a bug in Futago"),
        }
        Ok(())
    }
}
