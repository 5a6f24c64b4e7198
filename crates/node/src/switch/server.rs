//! The switch as a program: it listens, forwards, and keeps its uplink alive.

use super::client::announcement;
use super::frame::take_frame;
use super::passt::{self, Uplink};
use super::port::{OutQueue, read_some, write_forever};
use super::table::{PortId, SwitchCounters, Table};
use crate::signals::told_to_end;
use anyhow::{Context, bail};
use bytes::BytesMut;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

/// Ports open at once; further ones are turned away.
const PORTS_MAX: usize = 64;

/// What a switch is started with.
#[derive(Clone, Debug)]
pub struct SwitchConfig {
    /// UNIX socket to listen on.
    pub socket: PathBuf,
    /// The way to the host's network. None: only what connects is connected.
    pub uplink: Option<Uplink>,
}

#[derive(Debug)]
struct Port {
    stream: Rc<UnixStream>,
    queue: OutQueue,
    wake: Rc<Notify>,
}

/// The switch's state; its tasks run on one thread and borrow it between two awaits only.
#[derive(Debug, Default)]
pub(super) struct Hub {
    table: Table,
    ports: BTreeMap<PortId, Port>,
    next: u64,
}

impl Hub {
    fn open(&mut self, stream: Rc<UnixStream>, wake: Rc<Notify>, queue: OutQueue) -> PortId {
        self.next += 1;
        let id = PortId(self.next);
        self.ports.insert(
            id,
            Port {
                stream,
                queue,
                wake,
            },
        );
        self.table.open(id);
        id
    }

    fn close(&mut self, id: PortId) {
        self.table.close(id);
        self.ports.remove(&id);
    }

    /// Forwards every whole frame of what `from` has sent.
    fn receive(&mut self, from: PortId, received: &mut BytesMut) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut touched = Vec::new();
        while let Some(frame) = take_frame(received)? {
            let ports = &mut self.ports;
            let mut overflowed = 0;
            self.table.receive(now, from, &frame, |target, frame| {
                if let Some(port) = ports.get_mut(&target) {
                    if !port.queue.push(frame) {
                        overflowed += 1;
                    }
                    if !touched.contains(&target) {
                        touched.push(target);
                    }
                }
            })?;
            self.table.counters.overflowed += overflowed;
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
        Ok(())
    }

    fn counters(&self) -> SwitchCounters {
        self.table.counters
    }
}

/// Serves a port to a peer that has just been born: it is told every address that is known, by their announcements.
pub(super) async fn serve_uplink(hub: &RefCell<Hub>, stream: UnixStream) -> anyhow::Result<()> {
    let mut queue = OutQueue::default();
    for address in hub.borrow().table.addresses() {
        queue.push(&announcement(address));
    }
    serve(hub, stream, queue).await
}

/// Serves one port until its peer leaves or breaks the protocol.
async fn serve_port(hub: &RefCell<Hub>, stream: UnixStream) -> anyhow::Result<()> {
    serve(hub, stream, OutQueue::default()).await
}

async fn serve(hub: &RefCell<Hub>, stream: UnixStream, queue: OutQueue) -> anyhow::Result<()> {
    let stream = Rc::new(stream);
    let wake = Rc::new(Notify::new());
    wake.notify_one();
    let id = hub
        .borrow_mut()
        .open(Rc::clone(&stream), Rc::clone(&wake), queue);
    let read = async {
        let mut received = BytesMut::new();
        while read_some(&stream, &mut received)
            .await
            .context("the connection broke")?
        {
            hub.borrow_mut().receive(id, &mut received)?;
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
/// The socket cannot be bound, or the uplink cannot be started.
pub async fn run_switch(
    config: &SwitchConfig,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<SwitchCounters> {
    let listener = listen(&config.socket)?;
    let hub = Rc::new(RefCell::new(Hub::default()));
    let local = tokio::task::LocalSet::new();
    let serve = async {
        let uplink = async {
            match &config.uplink {
                Some(uplink) => passt::keep(uplink, &hub).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = accept(&listener, &hub) => result,
            result = uplink => result,
            () = stop => Ok(()),
        }
    };
    info!(socket = %config.socket.display(), "the switch is up");
    let result = local.run_until(serve).await;
    let _ = fs::remove_file(&config.socket);
    let counters = hub.borrow().counters();
    result.map(|()| counters)
}

/// Runs a switch until this process is told to end, by SIGINT or SIGTERM. Blocks the calling thread.
///
/// # Errors
/// As [`run_switch`].
pub fn run_switch_process(config: &SwitchConfig) -> anyhow::Result<SwitchCounters> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the I/O runtime")?;
    runtime.block_on(async {
        let told = async {
            if let Err(error) = told_to_end().await {
                warn!("{error:#}");
            }
        };
        run_switch(config, told).await
    })
}

async fn accept(listener: &UnixListener, hub: &Rc<RefCell<Hub>>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener
            .accept()
            .await
            .context("the switch cannot accept connections any more")?;
        if hub.borrow().ports.len() >= PORTS_MAX {
            warn!("all {PORTS_MAX} ports are taken: a connection was turned away");
            continue;
        }
        let hub = Rc::clone(hub);
        tokio::task::spawn_local(async move {
            match serve_port(&hub, stream).await {
                Ok(()) => debug!("a port was closed by its peer"),
                Err(error) => warn!("a port was closed: {error:#}"),
            }
        });
    }
}

/// Binds a UNIX socket; one that nobody listens on any more is replaced.
pub(crate) fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => bail!(
                "{} is in use by another process: stop it, or choose another socket",
                path.display()
            ),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).with_context(|| {
                    format!("cannot replace the dead socket {}", path.display())
                })?;
            }
            Err(_) => {}
        }
    }
    UnixListener::bind(path).with_context(|| {
        format!(
            "cannot listen on {}: its directory must exist and be writable",
            path.display()
        )
    })
}
