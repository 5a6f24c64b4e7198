//! The one owner of a node's state: takes every event, tells the replica, and does what that wants done, in order.
//! Everything that runs beside it (sockets, the arbiter's store, the executor) only sends events.

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
use crate::executor_thread::{ExecutorEvent, ExecutorThread};
use crate::log::STORY;
use crate::node::ExitReason;
use crate::requests::carry_out;
use crate::room::Room;
use crate::sandbox::Confinement;
use crate::signals::EndSignals;
use crate::switch::SwitchEvent;
use crate::transport::{TransferProgress, Transport, TransportEvent};
use health::Health;
use machine::{Input, Output};
use network::Network;
use refusals::Refusals;
use replica::{Command, Effect, Event, Replica};
use replication::{HaltReason, Instant, MachineKey, NodeId, RoleStatus};
use report::Gauges;
use standing::Standing;
use std::sync::Arc;
use std::time::Duration;
use steering::Signals;
use story::Story;
use tokio::sync::mpsc;
use tracing::{debug, info};
use typing::Typing;

/// Outputs held, in bytes, before the guest must stand still.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Between two looks at rates, and at what needs a look now and then.
const HOUSEKEEPING: Duration = Duration::from_millis(250);
/// So often commands, and frames, that found no room are offered to the executor again.
const OFFER_AGAIN: Duration = Duration::from_millis(1);

/// The ways in and out of the controller.
pub(crate) struct Channels {
    /// What executes the guest.
    pub(crate) engine: EngineKind,
    pub(crate) executor: ExecutorThread,
    pub(crate) from_executor: mpsc::Receiver<ExecutorEvent>,
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
pub(crate) struct Randomness {
    /// For what need only differ.
    pub(crate) seed: u64,
    /// For what nobody may guess.
    pub(crate) secret: [u8; 32],
}

/// Everything that can happen to a node.
#[derive(Debug)]
enum NodeEvent {
    Executor(ExecutorEvent),
    Transport(TransportEvent),
    Arbiter(ArbiterAnswer),
    Switch(SwitchEvent),
    Control(ControlEvent),
    /// A deadline has come: the replica's, or the node's own.
    Time,
    /// The process was asked to end.
    Signal,
}

pub(crate) struct Controller {
    config: Config,
    node: NodeId,
    replica: Replica,
    engine: EngineKind,
    executor: ExecutorThread,
    transport: Transport,
    arbiter: ArbiterWorker,
    control_counters: Arc<ControlCounters>,
    console: Console,
    sandbox: Confinement,
    network: Network,
    sending: Option<Arc<TransferProgress>>,
    gauges: Gauges,
    room: Room,
    origin: std::time::Instant,
    housekeeping_at: std::time::Instant,
    standing: Standing,
    health: Health,
    story: Story,
    /// What the protocol explained last.
    explained: &'static str,
    refusals: Refusals,
    signals: Signals,
    typing: Typing,
    /// In what a peer that this node met is configured otherwise.
    difference: Option<String>,
    /// Set when the node must end.
    end: Option<ExitReason>,
}

pub(crate) struct Sources {
    executor: mpsc::Receiver<ExecutorEvent>,
    transport: mpsc::Receiver<TransportEvent>,
    arbiter: mpsc::Receiver<ArbiterAnswer>,
    switch: mpsc::Receiver<SwitchEvent>,
    control: mpsc::Receiver<ControlEvent>,
}

impl Controller {
    pub(crate) fn new(
        config: Config,
        node: NodeId,
        randomness: Randomness,
        channels: Channels,
    ) -> (Self, Sources) {
        let mut protocol = replication::Config::new(config.machine_id(), node, randomness.seed);
        protocol.secret = randomness.secret;
        let suspicion = replication::Duration::from_ms(config.timeouts.suspicion_ms.into());
        protocol.times.heartbeat =
            replication::Duration::from_ms(config.timeouts.heartbeat_ms.into());
        protocol.times.suspect_primary = suspicion;
        protocol.times.suspect_backup = suspicion * 4 / 5;
        protocol.slow_backup = config.node.slow_backup.into();
        protocol.times.arbiter = replication::Duration::from_ms(config.timeouts.arbiter_ms.into());
        let network = Network::new(&config, node, channels.switch_key, channels.switch_events);
        let now = std::time::Instant::now();
        let sources = Sources {
            executor: channels.from_executor,
            transport: channels.from_transport,
            arbiter: channels.from_arbiter,
            switch: channels.from_switch,
            control: channels.control,
        };
        let controller = Self {
            config,
            node,
            replica: Replica::new(protocol, OUTPUT_BYTES_MAX, Instant(0)),
            engine: channels.engine,
            executor: channels.executor,
            transport: channels.transport,
            arbiter: channels.arbiter,
            control_counters: channels.control_counters,
            console: channels.console,
            sandbox: channels.sandbox,
            network,
            sending: None,
            gauges: Gauges::new(now),
            room: Room::open(),
            origin: now,
            housekeeping_at: now,
            standing: Standing::new(channels.seen_before),
            health: Health::new(now),
            story: Story::default(),
            explained: "",
            refusals: Refusals::default(),
            signals: Signals::default(),
            typing: Typing::default(),
            difference: None,
            end: None,
        };
        (controller, sources)
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
            self.perform();
            // An executor that goes live has been told so by now.
            if self.typing.is_waiting() && self.is_primary() {
                self.typing.go_on(&mut self.executor);
            }
            self.heed_difference();
            if let Some(reason) = self.end.take() {
                self.transport.close(&reason.to_string()).await;
                return Ok(reason);
            }
            let leaves_frames = self.network.leaves_frames(&self.executor);
            let mut deadline = self.deadline();
            if leaves_frames {
                deadline = deadline.min(std::time::Instant::now() + OFFER_AGAIN);
            }
            let deadline = tokio::time::Instant::from_std(deadline);
            let event = tokio::select! {
                event = sources.executor.recv() => NodeEvent::Executor(event.unwrap_or_else(ExecutorEvent::lost)),
                Some(event) = sources.transport.recv() => NodeEvent::Transport(event),
                Some(event) = sources.arbiter.recv() => NodeEvent::Arbiter(event),
                Some(event) = sources.switch.recv(), if !leaves_frames => NodeEvent::Switch(event),
                Some(event) = sources.control.recv() => NodeEvent::Control(event),
                () = tokio::time::sleep_until(deadline) => NodeEvent::Time,
                () = stops.next() => NodeEvent::Signal,
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
        if let Some(Instant(us)) = self.replica.poll_timeout() {
            deadline = deadline
                .min(self.origin + Duration::from_micros(us.min(u64::from(u32::MAX) * 1000)));
        }
        if self.executor.is_backed_up() || self.typing.is_waiting() && self.is_primary() {
            deadline = deadline.min(std::time::Instant::now() + OFFER_AGAIN);
        }
        deadline.min(self.standing.start_at().unwrap_or(deadline))
    }

    fn is_primary(&self) -> bool {
        self.replica.status().role == RoleStatus::Primary
    }

    /// Tells the replica what has happened.
    fn tell(&mut self, event: Event) {
        let now = self.now();
        self.replica.handle(now, event);
    }

    fn handle(&mut self, event: NodeEvent) -> anyhow::Result<()> {
        match event {
            NodeEvent::Executor(ExecutorEvent::Report(report)) => self.tell(Event::Report(report)),
            NodeEvent::Executor(ExecutorEvent::Broken(what)) => {
                anyhow::bail!(
                    "the hart was {what}: this is a bug in Futago; the other replica goes on"
                )
            }
            NodeEvent::Transport(event) => self.on_transport(event),
            NodeEvent::Arbiter(answer) => self.on_arbiter(answer),
            NodeEvent::Switch(SwitchEvent::Frame(frame)) => {
                if self.network.accepts(&frame) {
                    let frame = frame.to_vec();
                    self.executor
                        .send(Command::Input(Input::Frame { device: 0, frame }));
                }
            }
            NodeEvent::Switch(SwitchEvent::Admitted) => self.network.admitted(),
            NodeEvent::Switch(SwitchEvent::Closed(cause)) => self.network.closed(&cause),
            NodeEvent::Control(event) => self.on_control(event),
            NodeEvent::Signal => self.on_signal(),
            NodeEvent::Time => {
                self.executor.flush();
                self.tell(Event::Timeout);
                self.start_when_due();
                self.keep_house();
            }
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
            let told = Event::StateProgress {
                transfer: progress.transfer(),
                bytes: progress.bytes_done(),
                total: progress.bytes_total(),
            };
            self.tell(told);
        }
    }

    /// Says what this node could take in, and what another would need for this one's state, while that matters.
    fn tell_room(&mut self) {
        match self.replica.status().role {
            RoleStatus::Primary => {
                let bytes = self.config.machine.memory.0 + self.executor.status().touched_bytes;
                self.tell(Event::Needs { bytes });
            }
            RoleStatus::Backup | RoleStatus::TakingOver | RoleStatus::Halted(_) => {}
            RoleStatus::Out | RoleStatus::Starting | RoleStatus::Joining => {
                let bytes = self.room.free_bytes();
                self.tell(Event::Room { bytes });
            }
        }
    }

    /// Does everything that the replica wants.
    fn perform(&mut self) {
        while self.end.is_none()
            && let Some(effect) = self.replica.poll_effect()
        {
            self.perform_effect(effect);
        }
    }

    fn perform_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Command(command) => {
                if matches!(command, Command::TakeSnapshot { .. }) {
                    self.gauges.snapshot_asked();
                }
                self.executor.send(command);
            }
            Effect::Send { to, message } => self.transport.send(to, message),
            Effect::AskArbiter { request, operation } => {
                if let Some(answer) = self.arbiter.ask(request, operation) {
                    self.on_arbiter(answer);
                }
            }
            Effect::Announce { epoch, live_from } => {
                debug!(epoch = epoch.0, ?live_from, "the guest is here");
                if live_from.is_some() {
                    self.gauges.goes_live();
                }
                self.network.speak_as(epoch);
                self.tell_room();
            }
            Effect::Speak { epoch, outputs } => {
                for output in outputs {
                    match output {
                        Output::Frame { frame, .. } => self.network.send(epoch, &frame),
                        Output::Console(bytes) => self.console.write(&bytes),
                    }
                }
            }
            Effect::CarryOut(request) => {
                let completion = carry_out(request);
                self.executor
                    .send(Command::Input(Input::Completion(completion)));
            }
            Effect::StandAside { record } => self.stand_aside(record),
            Effect::SendState {
                to,
                transfer,
                state,
            } => {
                self.sending = Some(self.transport.send_state(to, transfer, state));
            }
            Effect::ReceiveState { from, .. } => {
                let name = self.who(from);
                info!(target: STORY, "{name} takes this node as its backup, and sends it the machine's state: not protected until that is there");
            }
            Effect::AbandonState { transfer } => {
                self.transport.abandon(transfer);
                self.sending
                    .take_if(|progress| progress.transfer() == transfer);
            }
            Effect::Tell(notice) => self.tell_notice(notice),
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
        }
    }
}
