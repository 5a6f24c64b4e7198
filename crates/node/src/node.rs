//! One host's side of a protected machine, from its configuration to its end.

use crate::agreement::agreement_of;
use crate::arbiter::{ArbiterWorker, DirectoryArbiter, GuardedStore, SeenFile};
use crate::certificate::{self, date};
use crate::config::{Config, NodeAddress};
use crate::console::Console;
use crate::control::{CLIENTS_MAX, ControlCounters, ControlSocket, Role};
use crate::controller::{Channels, Controller, Randomness};
use crate::engine::EngineChoice;
use crate::executor_thread::ExecutorThread;
use crate::log::STORY;
use crate::lookup::look_up;
use crate::names::{fill_random, fresh_node_id, hex, random_u128};
use crate::open_files;
use crate::sandbox::{Kind, Place, Sandbox};
use crate::signals::EndSignals;
use crate::status::{CERTIFICATE_DAYS_WARN, days_left};
use crate::switch::key_of_node;
use crate::tls::{TlsIdentity, load_identity};
use crate::transport::{Peer, Reloader, Transport, TransportConfig};
use crate::vm::VmOptions;
use anyhow::{Context, anyhow, ensure};
use replica::{Executor, ExecutorConfig};
use replication::{Agreement, HaltReason, Hello, Mode, NodeId, Record};
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Events of one kind that may wait for the controller.
const EVENTS_MAX: usize = 1024;
/// Reports of the executor that may wait for the controller: each can hold all that the guest said in a slice. It waits for
/// room, and its guest with it.
const REPORTS_MAX: usize = 128;
/// Frames from the network that may wait for the controller.
const FRAMES_MAX: usize = 128;
/// A connection is given up after so many times the suspicion timeout, but not before [`IDLE_MIN`].
const IDLE_SUSPICIONS: u32 = 8;
const IDLE_MIN: Duration = Duration::from_secs(3);
/// Its lane, and two pipes to who looks for its name.
const FILES_A_PEER: usize = 3;
/// So often it is looked when the node's certificate ends.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(3600);
/// A snapshot is at most this much larger than the guest's memory.
const STATE_BYTES_EXTRA: u64 = 64 << 20;

/// Why a node ended in good order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was told to stop.
    Stopped,
    /// It cannot join its peers: they are configured otherwise.
    Differs(String),
    /// The protocol says so.
    Halted {
        /// Why.
        reason: HaltReason,
        /// Name of the node that a record in the reason names; empty if there is none.
        owner: String,
    },
    /// The only state of the machine ended with an earlier process of this node.
    StateLost {
        /// The record that says so.
        record: Record,
        /// What an operator can do about it.
        recovery: String,
    },
}

impl ExitReason {
    /// The process's exit status: 0 after a wish of the operator or the guest, 3 for a node that lost the machine, 4 for a
    /// backup that differs, 5 for one that was dismissed, 6 for one that belongs to another machine or is
    /// configured otherwise, 7 where only an operator can help.
    pub fn code(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Differs(_) => 6,
            Self::StateLost { .. } => 7,
            Self::Halted { reason, .. } => match reason {
                HaltReason::PoweredOff | HaltReason::Left => 0,
                HaltReason::Lost { .. } => 3,
                HaltReason::Diverged => 4,
                HaltReason::Dismissed => 5,
                HaltReason::OtherMachine => 6,
                HaltReason::OtherStore { .. } => 7,
            },
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => write!(f, "the node was told to stop"),
            Self::Differs(what) => write!(f, "this node cannot join its peers: {what}"),
            Self::StateLost { record, recovery } => write!(
                f,
                "the machine's only state, of epoch {}, ended with this node's earlier process, and nothing can go on from it; `{recovery}` gives it up, so that the nodes may start the machine anew",
                record.epoch.0
            ),
            Self::Halted { reason, owner } => halted(f, reason, owner),
        }
    }
}

fn halted(f: &mut fmt::Formatter<'_>, reason: &HaltReason, owner: &str) -> fmt::Result {
    match reason {
        HaltReason::Left => write!(f, "the node was told to stop"),
        HaltReason::PoweredOff => write!(f, "the machine is switched off"),
        HaltReason::Lost { record } if record.mode == Mode::Down => write!(
            f,
            "an operator ended the machine in epoch {}; start this node again to start it anew",
            record.epoch.0
        ),
        HaltReason::Lost { record } => write!(
            f,
            "{owner} is the machine since epoch {}; this node has stopped for good: start it again to make it a backup",
            record.epoch.0
        ),
        HaltReason::Diverged => write!(
            f,
            "this backup's state differs from its primary's and must not be used; start it again to make a new one"
        ),
        HaltReason::Dismissed => write!(
            f,
            "this backup is not needed any more, or its primary went on without it; start it again to make a new one"
        ),
        HaltReason::OtherMachine => write!(
            f,
            "the peers belong to another machine: correct `machine.name` or `node.peers`"
        ),
        HaltReason::OtherStore { shown, claimed } => write!(
            f,
            "the arbiter directory of this node shows epoch {} of the machine, and a peer has seen epoch {}, of {owner}, in a store of the same identity: they are two copies; end the nodes that use the wrong one, and let `arbiter.directory` be one directory that all hosts share",
            shown.map_or(0, |record| record.epoch.0),
            claimed.epoch.0
        ),
    }
}

/// Runs a node until it ends. Blocks the calling thread; the executor has a thread of its own. Gives up new privileges and,
/// where `confined`, everything else that a node needs no more once it is up; for good, and for the whole process.
///
/// # Errors
/// One sentence (with its chain) on what is missing or broken on this host. Nothing of the machine is lost by it that was
/// ever told to anyone, as long as its peer lives.
pub fn run_node(config: Config, confined: bool) -> anyhow::Result<ExitReason> {
    open_files::ensure_room(files_needed(&config))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the I/O runtime")?;
    // As a task: what wakes it from the same thread then needs no system call, as it would for the outermost future.
    let result = runtime.block_on(async { tokio::spawn(run(config, confined)).await });
    let result = result.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Err(error).context("the node's own task ended"),
    });
    // Tasks that still serve peers or clients must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn run(config: Config, confined: bool) -> anyhow::Result<ExitReason> {
    let mut sandbox = Sandbox::new(Kind::Node, confined)?;
    let node = fresh_node_id(&config.node.name).context("the host gives no random numbers")?;
    let seed = random_u128().context("the host gives no random numbers")? as u64;
    let mut secret = [0; 32];
    fill_random(&mut secret).context("the host gives no random numbers")?;
    let identity = own_identity(&config)?;
    let console = Console::open(config.node.console.as_deref(), config.node.console_size.0)?;
    let engine = engine_of(&config)?;
    let machine = if config.node.may_start {
        Some(VmOptions::of_config(&config.machine, engine).boot()?.0)
    } else {
        // Whoever joins needs one later: what it takes is asked for before anybody is joined.
        engine.engine(config.machine.memory.0)?;
        None
    };
    let switch_key = match &config.machine.network {
        Some(socket) => key_of_node(config.keys.network.as_deref(), socket, config.machine_id())
            .context("the network cannot be used")?,
        None => None,
    };
    let (root, machine_id) = (&config.arbiter.directory, config.machine_id());
    let mut store = DirectoryArbiter::open(root, machine_id)?;
    store.check()?;
    store.keep_name(&config.machine.name);
    let agreement = agreement_of(&config)?.with("arbiter store", hex(store.id().0));
    let at = (root.as_path(), store.id());
    let seen = SeenFile::new(&config.seen_file());
    let (store, seen_before) = GuardedStore::new(store, at, (machine_id, node), seen)?;
    let stops = EndSignals::new()?;
    let hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;

    let (control_events, control) = mpsc::channel(EVENTS_MAX);
    let control_counters = Arc::<ControlCounters>::default();
    let open = |path: &Path, role| {
        ControlSocket::open(
            path,
            role,
            Arc::clone(&control_counters),
            control_events.clone(),
        )
    };
    let _steer = open(&config.node.control, Role::Steer)?;
    let _look = (config.node.control_look.as_deref())
        .map(|path| open(path, Role::Look))
        .transpose()?;
    let (transport_events, from_transport) = mpsc::channel(EVENTS_MAX);
    let listen = listen_address(&config.node.listen)?;
    let peers = Peer::all(&config.node.peers, listen).await?;
    warn_of_loopback(listen, &peers);
    let transport = Transport::start(
        transport_config(&config, (listen, peers), node, agreement),
        &identity,
        transport_events,
    )?;
    tokio::spawn(certificates(config.clone(), transport.reloader(), hangup));
    let (arbiter_events, from_arbiter) = mpsc::channel(EVENTS_MAX);
    let arbiter = ArbiterWorker::start(Box::new(store), move |answer| {
        arbiter_events.blocking_send(answer).is_ok()
    })?;
    // The arbiter's thread has begun: a filesystem that is mounted anew has other files by the same names, and without
    // the arbiter nobody could take over. All else is open that will be; more threads begin below.
    sandbox.limit_files(&places(&config))?;
    let (executor_events, from_executor) = mpsc::channel(REPORTS_MAX);
    let executor = Executor::new(
        machine,
        engine.source(config.machine.memory.0),
        ExecutorConfig::default(),
    );
    // Before the executor's thread begins: it goes on to give up more.
    let sandbox = sandbox.limit_calls()?;
    let executor = ExecutorThread::start(executor, executor_events, confined)?;
    let (switch_events, from_switch) = mpsc::channel(FRAMES_MAX);
    info!(
        target: STORY,
        "node {} of the machine `{}` has started; it listens at {}",
        config.node.name, config.machine.name, transport.local_address()
    );
    info!(node = %hex(node.0), engine = %engine.kind(), "its process");
    let channels = Channels {
        engine: engine.kind(),
        executor,
        from_executor,
        transport,
        from_transport,
        arbiter,
        from_arbiter,
        switch_key,
        seen_before,
        switch_events,
        from_switch,
        control,
        control_counters,
        console,
        sandbox,
    };
    let randomness = Randomness { seed, secret };
    let (controller, sources) = Controller::new(config, node, randomness, channels);
    controller.run(sources, stops).await
}

/// Files that a node may have open. With them, no client and no peer can take away what the node itself needs, above all to
/// reach its arbiter.
pub(crate) fn files_needed(config: &Config) -> usize {
    open_files::NODE_FILES + 2 * CLIENTS_MAX + FILES_A_PEER * config.node.peers.len()
}

/// What executes the guest here.
pub(crate) fn engine_of(config: &Config) -> anyhow::Result<EngineChoice> {
    EngineChoice::of(config.node.engine, config.node.code_cache.0)
        .context("`node.engine` is not possible here")
}

/// This node's certificates, which must be this node's.
pub(crate) fn own_identity(config: &Config) -> anyhow::Result<TlsIdentity> {
    let identity = load_identity(&config.key_files())?;
    let (subject, name) = (&identity.facts.subject, &config.node.name);
    ensure!(
        subject.is_of(&config.machine.name) && subject.node == *name,
        "the certificate {} is for {subject}, and this is node `{name}` of machine `{}`: correct `machine.name`, `node.name` or \
         `keys.certificate`, or let `futago keys` issue another",
        config.keys.certificate.display(),
        config.machine.name
    );
    Ok(identity)
}

/// Reads the certificates again whenever SIGHUP comes, and warns in time before this node's ends.
async fn certificates(config: Config, reloader: Reloader, mut hangup: Signal) {
    let mut look = tokio::time::interval(CERTIFICATE_LOOK);
    let mut warned = None;
    loop {
        tokio::select! {
            _ = hangup.recv() => match own_identity(&config) {
                Ok(identity) => {
                    let closed = reloader.reload(&identity);
                    info!(
                        target: STORY,
                        "the certificates were read again: this node's is good until {}, {closed} connections were closed",
                        date(identity.facts.ends)
                    );
                }
                Err(error) => warn!("the certificates stay as they were: {error:#}"),
            },
            _ = look.tick() => {}
        }
        let days = certificate::days_left(reloader.certificate_ends(), SystemTime::now());
        if days < CERTIFICATE_DAYS_WARN && warned != Some(days) {
            warned = Some(days);
            warn!(
                "this node's certificate {}: `futago keys renew` makes a new one, SIGHUP makes the node use it",
                days_left(days)
            );
        }
    }
}

/// Where a running node still opens files, beside the arbiter's thread: its keys are renewed while it runs.
fn places(config: &Config) -> Vec<Place> {
    let parent = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    let keys = [
        &config.keys.authority,
        &config.keys.certificate,
        &config.keys.key,
    ];
    let mut places = Vec::from(keys.map(|path| Place::Read(parent(path))));
    places.extend(
        config
            .keys
            .withdrawn
            .iter()
            .map(|path| Place::Read(parent(path))),
    );
    let sockets = std::iter::once(&config.node.control).chain(&config.node.control_look);
    places.extend(sockets.map(|path| Place::Sockets(parent(path))));
    places
}

/// The address of this host that `node.listen` means: of a name's, the first that can be had.
pub(crate) fn listen_address(written: &NodeAddress) -> anyhow::Result<SocketAddr> {
    let (host, port) = match written {
        NodeAddress::Fixed(address) => return Ok(*address),
        NodeAddress::Named { host, port } => (host, *port),
    };
    let found = look_up(host)
        .map_err(|problem| anyhow!("`node.listen`, {written}, cannot be used: {problem}; give an address of this host, or 0.0.0.0:{port} for all of them"))?;
    let mut addresses = found.into_iter().map(|ip| SocketAddr::new(ip, port));
    let can_be_had = |address: &SocketAddr| UdpSocket::bind(address).is_ok();
    let first = addresses.clone().next();
    // What is wrong with the first is said when it is bound.
    (addresses.find(can_be_had).or(first)).with_context(|| format!("{written} has no address"))
}

/// On many hosts, their own name is an address of the loopback to themselves.
fn warn_of_loopback(listen: SocketAddr, peers: &[Peer]) {
    let is_elsewhere =
        |peer: &&Peer| (peer.addresses().iter()).any(|address| !address.ip().is_loopback());
    if listen.ip().is_loopback()
        && let Some(peer) = peers.iter().find(is_elsewhere)
    {
        warn!(
            "`node.listen` is {listen}, which no other host reaches, and the peer {} is another host: let it be this host's address towards that one",
            peer.written()
        );
    }
}

fn transport_config(
    config: &Config,
    (listen, peers): (SocketAddr, Vec<Peer>),
    node: NodeId,
    agreement: Agreement,
) -> TransportConfig {
    TransportConfig {
        hello: Hello {
            machine: config.machine_id(),
            machine_name: config.machine.name.clone(),
            node,
            name: config.node.name.clone(),
            agreement,
        },
        listen,
        peers,
        accepts: config.node.accepts.clone(),
        idle_timeout: (config.timeouts.suspicion() * IDLE_SUSPICIONS).max(IDLE_MIN),
        state_bytes_max: config.machine.memory.0 + STATE_BYTES_EXTRA,
    }
}
