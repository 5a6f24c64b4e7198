//! The switch as a program: it listens, forwards, and keeps its uplink alive.

use super::client::announcement;
use super::fair::FairQueue;
use super::hub::{Hub, Opened};
use super::keeper::Keeper;
use super::lost::in_words;
use super::passt::{self, Uplink};
use super::port::{read_some, write_forever};
use super::secret::SwitchSecret;
use super::table::{Kind, SwitchCounters};
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
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::error::Elapsed;
use tracing::{debug, info, warn};

/// Ports open at once; further ones are turned away.
const PORTS_MAX: usize = 64;
/// The switch itself, among those who say something.
const SWITCH: PortId = PortId(0);
/// The uplink is not read while too much of what it sent waits for one port, but no longer than this for one that takes nothing.
const BEHIND_MAX: Duration = Duration::from_millis(200);
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

/// Serves a port to a peer that has just been born: it is told whom it serves, by an announcement.
async fn serve_uplink(hub: &RefCell<Hub>, stream: UnixStream) -> anyhow::Result<()> {
    let mut queue = FairQueue::default();
    for address in hub.borrow().table.served() {
        queue.push(SWITCH, &announcement(address));
    }
    let opened = hub.borrow_mut().open(Kind::Uplink, stream, queue);
    serve(hub, opened, true).await
}

/// Waits until a port has taken of what `from` sent, unless it takes too little.
async fn wait_for(hub: &RefCell<Hub>, port: PortId, from: PortId) -> Result<(), Elapsed> {
    tokio::time::timeout(BEHIND_MAX, async {
        loop {
            let written = match hub.borrow().ports.get(&port) {
                Some(port) => Rc::clone(&port.written),
                None => return,
            };
            let written = written.notified();
            if !hub.borrow().is_behind(port, from) {
                return;
            }
            written.await;
        }
    })
    .await
}

/// Serves one port until its peer leaves or breaks the protocol.
async fn serve(hub: &RefCell<Hub>, opened: Opened, is_uplink: bool) -> anyhow::Result<()> {
    let Opened { id, stream, wake } = opened;
    let read = async {
        let mut received = BytesMut::new();
        let mut stuck = None;
        while read_some(&stream, &mut received)
            .await
            .context("the connection broke")?
        {
            let mut has_more = true;
            while has_more {
                let turn = hub.borrow_mut().receive(id, &mut received)?;
                has_more = turn.has_more;
                match turn.behind.filter(|_| is_uplink) {
                    // It has had its time, and takes nothing: what comes for it is dropped.
                    Some(port) if stuck == Some(port) => {}
                    Some(port) => stuck = wait_for(hub, port, id).await.err().map(|_| port),
                    None => stuck = None,
                }
                tokio::task::yield_now().await;
            }
        }
        anyhow::Ok(())
    };
    let write = write_forever(&stream, &wake, |_| {
        let mut hub = hub.borrow_mut();
        let Some(port) = hub.ports.get_mut(&id) else {
            return Err(io::Error::from(ErrorKind::NotConnected));
        };
        port.write()
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
    sandbox.limit_files(&[Place::Sockets(directory.to_owned())])?;
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
            match serve(&hub, opened, false).await {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Frames of 1,500 bytes.
    async fn send_frames(stream: &mut UnixStream, (to, from): ([u8; 6], [u8; 6]), count: usize) {
        let mut frame = vec![0; 1_500];
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&from);
        let mut bytes = BytesMut::new();
        put_frame(&mut bytes, &frame);
        for _ in 0..count {
            stream.write_all(&bytes).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_uplink_waits_for_who_is_slow_and_not_for_who_is_stuck() {
        const FRAMES: usize = 20_000;
        let (guest, gateway) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let directory = tempfile::tempdir().unwrap();
        let secret = SwitchSecret::load_or_create(&directory.path().join("s")).unwrap();
        let hub = Rc::new(RefCell::new(Hub::new(&secret)));
        let (ours, mut station) = UnixStream::pair().unwrap();
        let (uplink, mut passt) = UnixStream::pair().unwrap();
        let overflowed = || hub.borrow().counters().overflowed;
        let whole = async {
            let opened =
                (hub.borrow_mut()).open(Kind::Station([0; 16]), ours, FairQueue::default());
            let shared = Rc::clone(&hub);
            tokio::task::spawn_local(async move { serve(&shared, opened, false).await });
            spawn_uplink(&hub, uplink);
            // Its address is known once the uplink has heard of it.
            send_frames(&mut station, ([0xff; 6], guest), 1).await;
            passt.read_exact(&mut [0; 1_504]).await.unwrap();
            let mut taken = vec![0; 1_504 * FRAMES];
            tokio::join!(
                send_frames(&mut passt, (guest, gateway), FRAMES),
                station.read_exact(&mut taken)
            )
            .1
            .unwrap();
            assert_eq!(overflowed(), 0, "all was to be heard");
            // From here on nobody reads.
            send_frames(&mut passt, (guest, gateway), FRAMES).await;
            assert!(overflowed() > 0);
        };
        tokio::task::LocalSet::new().run_until(whole).await;
    }
}
