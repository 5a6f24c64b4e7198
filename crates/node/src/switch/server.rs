//! The switch as a program: it listens, forwards, and keeps its uplink alive.

use super::client::announcement;
use super::fair::FairQueue;
use super::frame::take_frame;
use super::keeper::Keeper;
use super::lost::in_words;
use super::passt::{self, Uplink};
use super::port::{read_some, write_forever};
use super::secret::SwitchSecret;
use super::table::{Kind, SwitchCounters, Table};
use super::word::Word;
use crate::listener::{Access, Listener};
use crate::names::fill_random;
use crate::open_files;
use crate::sandbox::{Kind as ProcessKind, Place, Sandbox};
use crate::signals::told_to_end;
use anyhow::Context;
use bytes::BytesMut;
use replication::PortId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

/// Ports open at once; further ones are turned away.
const PORTS_MAX: usize = 64;
/// The switch itself, among those who say something.
const SWITCH: PortId = PortId(0);
/// After so many frames, or bytes, of one port it is another's turn.
const TURN_FRAMES_MAX: usize = 64;
const TURN_BYTES_MAX: usize = 128 << 10;
/// What was dropped is logged so often at most, and only if there was something.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What a switch is started with.
#[derive(Clone, Debug)]
pub struct SwitchConfig {
    /// UNIX socket to listen on. The switch's secret is beside it.
    pub socket: PathBuf,
    /// The way to the host's network. None: only what connects is connected.
    pub uplink: Option<Uplink>,
}

#[derive(Debug)]
struct Port {
    stream: Rc<UnixStream>,
    queue: FairQueue,
    wake: Rc<Notify>,
    /// Frames of its own for which others had no room.
    overflowed: u64,
}

/// A port, for the task that serves it.
struct Opened {
    id: PortId,
    stream: Rc<UnixStream>,
    wake: Rc<Notify>,
}

/// The switch's state; its tasks run on one thread and borrow it between two awaits only.
#[derive(Debug)]
struct Hub {
    table: Table,
    ports: BTreeMap<PortId, Port>,
    next: u64,
}

impl Hub {
    fn new(secret: &SwitchSecret) -> Self {
        Self {
            table: Table::new(secret),
            ports: BTreeMap::new(),
            next: 0,
        }
    }

    fn open(&mut self, kind: Kind, stream: UnixStream, queue: FairQueue) -> Opened {
        self.next += 1;
        let id = PortId(self.next);
        let (stream, wake) = (Rc::new(stream), Rc::new(Notify::new()));
        let port = Port {
            stream: Rc::clone(&stream),
            queue,
            wake: Rc::clone(&wake),
            overflowed: 0,
        };
        self.ports.insert(id, port);
        self.table.open(id, kind);
        wake.notify_one();
        Opened { id, stream, wake }
    }

    fn close(&mut self, id: PortId) {
        self.table.close(Instant::now(), id);
        self.ports.remove(&id);
    }

    /// Forwards the frames of what `from` has sent, one turn of them. Whether there may be more.
    fn receive(&mut self, from: PortId, received: &mut BytesMut) -> anyhow::Result<bool> {
        let now = Instant::now();
        let mut touched = Vec::new();
        let (mut frames, mut bytes) = (0, 0);
        let mut is_over = false;
        while let Some(frame) = take_frame(received)? {
            let ports = &mut self.ports;
            let mut overflowed = 0;
            self.table.receive(now, from, &frame, |target, frame| {
                if let Some(port) = ports.get_mut(&target) {
                    if !port.queue.push(from, frame) {
                        overflowed += 1;
                    }
                    if !touched.contains(&target) {
                        touched.push(target);
                    }
                }
            });
            self.table.counters.overflowed += overflowed;
            if let Some(port) = self.ports.get_mut(&from) {
                port.overflowed += overflowed;
            }
            (frames, bytes) = (frames + 1, bytes + frame.len());
            if frames >= TURN_FRAMES_MAX || bytes >= TURN_BYTES_MAX {
                is_over = true;
                break;
            }
        }
        for id in touched {
            if let Some(port) = self.ports.get_mut(&id) {
                // An error shows again, to the task that owns the port.
                let _ = port.queue.write(&port.stream);
                if !port.queue.is_empty() {
                    port.wake.notify_one();
                }
            }
        }
        Ok(is_over)
    }

    /// The port whose frames most often found no room, and how often.
    fn loudest(&self) -> (u64, u64) {
        let ports = self.ports.iter().map(|(id, port)| (port.overflowed, id.0));
        let (overflowed, id) = ports.max().unwrap_or_default();
        (id, overflowed)
    }

    fn counters(&self) -> SwitchCounters {
        self.table.counters
    }
}

/// Serves a port to a peer that has just been born: it is told whom it serves, by an announcement.
async fn serve_uplink(hub: &RefCell<Hub>, stream: UnixStream) -> anyhow::Result<()> {
    let mut queue = FairQueue::default();
    for address in hub.borrow().table.served() {
        queue.push(SWITCH, &announcement(address));
    }
    let opened = hub.borrow_mut().open(Kind::Uplink, stream, queue);
    serve(hub, opened).await
}

/// Serves one port until its peer leaves or breaks the protocol.
async fn serve(hub: &RefCell<Hub>, opened: Opened) -> anyhow::Result<()> {
    let Opened { id, stream, wake } = opened;
    let read = async {
        let mut received = BytesMut::new();
        while read_some(&stream, &mut received)
            .await
            .context("the connection broke")?
        {
            let mut has_more = true;
            while has_more {
                has_more = hub.borrow_mut().receive(id, &mut received)?;
                tokio::task::yield_now().await;
            }
        }
        anyhow::Ok(())
    };
    let write = write_forever(&stream, &wake, |stream| {
        let mut hub = hub.borrow_mut();
        let Some(port) = hub.ports.get_mut(&id) else {
            return Err(io::Error::from(ErrorKind::NotConnected));
        };
        port.queue.write(stream)
    });
    let result = tokio::select! {
        result = read => result,
        result = write => result.context("the connection broke"),
    };
    hub.borrow_mut().close(id);
    result
}

/// Runs a switch until `stop` is done. Must be called within a `current_thread` tokio runtime.
///
/// # Errors
/// The secret cannot be made, the socket cannot be bound, or the uplink cannot be started.
pub async fn run_switch(
    config: &SwitchConfig,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<SwitchCounters> {
    let secret = SwitchSecret::load_or_create(&config.socket)?;
    let listener = Listener::bind(&config.socket, Access::User)?;
    let hub = Rc::new(RefCell::new(Hub::new(&secret)));
    let uplink = async {
        let Some(uplink) = &config.uplink else {
            return std::future::pending().await;
        };
        let connect = || {
            let (ours, theirs) = StdStream::pair().context("cannot make a pair of sockets")?;
            ours.set_nonblocking(true)?;
            spawn_uplink(&hub, UnixStream::from_std(ours)?);
            Ok(theirs.into())
        };
        passt::keep(uplink, connect).await
    };
    serve_all(config, listener, &hub, uplink, stop).await
}

async fn serve_all(
    config: &SwitchConfig,
    mut listener: Listener,
    hub: &Rc<RefCell<Hub>>,
    uplink: impl Future<Output = anyhow::Result<()>>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<SwitchCounters> {
    let serve = async {
        tokio::select! {
            result = accept(&mut listener, hub) => result,
            () = report(hub) => Ok(()),
            result = uplink => result,
            () = stop => Ok(()),
        }
    };
    info!(socket = %config.socket.display(), "the switch is up");
    let result = tokio::task::LocalSet::new().run_until(serve).await;
    let counters = hub.borrow().counters();
    result.map(|()| counters)
}

/// Runs a switch until this process is told to end, by SIGINT or SIGTERM. Blocks the calling thread. Where `confined`, this
/// process gives up all that a switch needs no more once it is up, for good, and another one keeps its uplink.
///
/// # Errors
/// As [`run_switch`].
pub fn run_switch_process(config: &SwitchConfig, confined: bool) -> anyhow::Result<SwitchCounters> {
    open_files::ensure_room(open_files::SWITCH_FILES)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the I/O runtime")?;
    let told = async {
        if let Err(error) = told_to_end().await {
            warn!("{error:#}");
        }
    };
    runtime.block_on(async {
        if confined {
            run_confined(config, told).await
        } else {
            Sandbox::new(ProcessKind::Switch, false)?;
            run_switch(config, told).await
        }
    })
}

async fn run_confined(
    config: &SwitchConfig,
    told: impl Future<Output = ()>,
) -> anyhow::Result<SwitchCounters> {
    // passt is an ordinary program and may do what it needs to confine itself, but gain nothing.
    let mut sandbox = Sandbox::new(ProcessKind::Switch, true)?;
    let secret = SwitchSecret::load_or_create(&config.socket)?;
    let listener = Listener::bind(&config.socket, Access::User)?;
    let mut keeper = (config.uplink.as_ref())
        .map(|uplink| Keeper::start(uplink, &config.socket))
        .transpose()?;
    let hub = Rc::new(RefCell::new(Hub::new(&secret)));
    let uplink = async {
        let Some(keeper) = &mut keeper else {
            return std::future::pending().await;
        };
        let (listener, words) = keeper.parts();
        let uplinks = async {
            loop {
                let stream = listener.accept().await;
                spawn_uplink(&hub, stream);
            }
        };
        tokio::select! {
            end = Keeper::ended(words) => end,
            () = uplinks => Ok(()),
        }
    };
    // Signals are listened for from the first look on, which must come before.
    let mut told = std::pin::pin!(told);
    if is_done(&mut told).await {
        return Ok(hub.borrow().counters());
    }
    let directory = config.socket.parent().unwrap_or(Path::new(""));
    sandbox.limit_files(&[Place::Remove(directory.to_owned())])?;
    let sandbox = sandbox.limit_calls()?;
    info!(%sandbox, "the switch is confined");
    serve_all(config, listener, &hub, uplink, told).await
}

/// Looks once whether something is done.
async fn is_done(future: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    std::future::poll_fn(|context| {
        Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await
}

/// Serves a connection to passt until it ends.
fn spawn_uplink(hub: &Rc<RefCell<Hub>>, stream: UnixStream) {
    let hub = Rc::clone(hub);
    tokio::task::spawn_local(async move {
        if let Err(error) = serve_uplink(&hub, stream).await {
            warn!("the uplink broke: {error:#}");
        }
    });
}

async fn accept(listener: &mut Listener, hub: &Rc<RefCell<Hub>>) -> anyhow::Result<()> {
    loop {
        let stream = listener.accept().await;
        let opened = {
            let hub = &mut *hub.borrow_mut();
            hub.table.counters.accept_failures = listener.failures();
            if hub.ports.len() >= PORTS_MAX {
                hub.table.counters.turned_away += 1;
                continue;
            }
            let mut nonce = [0; 16];
            fill_random(&mut nonce).context("the host gives no random numbers")?;
            let mut queue = FairQueue::default();
            queue.push(SWITCH, &Word::Challenge { nonce }.to_frame());
            hub.open(Kind::Station(nonce), stream, queue)
        };
        let (hub, id) = (Rc::clone(hub), opened.id.0);
        tokio::task::spawn_local(async move {
            match serve(&hub, opened).await {
                Ok(()) => debug!("port {id} was closed by its peer"),
                // As whoever goes without reading all that it was sent: a process that was killed, a backup that has only looked.
                Err(error) if is_departure(&error) => debug!("port {id} was closed: {error:#}"),
                Err(error) => warn!("port {id} was closed: {error:#}"),
            }
        });
    }
}

/// Whether a port broke because its peer is gone.
fn is_departure(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| {
        matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    })
}

/// Says what was dropped: a guest can make it happen often, but not be logged often.
async fn report(hub: &RefCell<Hub>) {
    let mut before = SwitchCounters::default();
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        let counters = hub.borrow().counters();
        before.forwarded = counters.forwarded;
        // Stations among themselves say something to all now and then: once is enough.
        if before.uplink_taken > 0 {
            before.uplink_taken = counters.uplink_taken;
        }
        if counters != before {
            let (port, _) = hub.borrow().loudest();
            let lost = in_words(&counters, port);
            // While nobody is the machine, as between two of its owners, its clients speak to nobody.
            let unheard = counters.unheard;
            if counters == (SwitchCounters { unheard, ..before }) {
                info!("went nowhere since the switch started: {lost}");
            } else {
                warn!("went nowhere since the switch started: {lost}");
            }
            before = counters;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::frame::put_frame;

    #[tokio::test]
    async fn a_port_that_floods_gives_up_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let secret = SwitchSecret::load_or_create(&directory.path().join("s")).unwrap();
        let mut hub = Hub::new(&secret);
        let mut peers = Vec::new();
        let mut open = |hub: &mut Hub| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            peers.push(theirs);
            hub.open(Kind::Station([0; 16]), ours, FairQueue::default())
                .id
        };
        let flood = open(&mut hub);
        for _ in 0..2 {
            open(&mut hub);
        }
        let frames = |len, count| {
            let mut frame = vec![0xff; len];
            frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
            let mut frames = BytesMut::new();
            (0..count).for_each(|_| put_frame(&mut frames, &frame));
            frames
        };
        for (len, frames_a_turn) in [(60, TURN_FRAMES_MAX), (65_000, 3)] {
            let mut received = frames(len, 1_000);
            // Two others hear each of them, or have no room.
            let done = |hub: &Hub| hub.counters().forwarded;
            let before = done(&hub);
            assert!(hub.receive(flood, &mut received).unwrap(), "there is more");
            assert_eq!(done(&hub) - before, frames_a_turn as u64);
        }
        let mut received = frames(65_000, 1_000);
        while hub.receive(flood, &mut received).unwrap() {}
        assert!(hub.ports[&flood].overflowed > 0);
        assert_eq!(hub.loudest().0, flood.0, "who floods is known");
    }
}
