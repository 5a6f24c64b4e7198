//! The node's side of its control sockets. Whatever a client does or leaves undone costs a bounded number of tasks, bytes
//! and seconds, and never holds up the node.

use super::request::{Answer, Request};
use crate::listener::{Access, Listener};
use crate::status::{Dropped, NodeStatus};
use anyhow::{Context, anyhow};
use bytes::Bytes;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

/// A request is one line of at most so many bytes.
const REQUEST_BYTES_MAX: u64 = 4096;
/// Clients of one socket at once; further ones are turned away.
pub(crate) const CLIENTS_MAX: usize = 32;
/// A client must ask, and take its answer, within this time each.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);
/// A console that takes nothing of what waits for it for so long is nobody's any more.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(60);
/// After the end of what is typed, a guest that says nothing for so long has said all.
const CONSOLE_QUIET: Duration = Duration::from_secs(1);
/// Console input is read in pieces of this size.
const CONSOLE_PIECE_BYTES: usize = 512;

/// What a socket's clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Ask.
    Look,
    /// Everything.
    Steer,
}

impl Role {
    fn access(self) -> Access {
        match self {
            Self::Look => Access::Group,
            Self::Steer => Access::User,
        }
    }

    /// Whether a client of user `peer`, as the kernel knows it, may connect at all. The file's permissions say the same,
    /// unless somebody changed them or handed an open socket on.
    fn admits(self, peer: u32, own: u32) -> Result<(), String> {
        match self {
            Self::Steer if peer != own && peer != 0 => Err(format!(
                "only user {own}, whose node this is, and root may steer it: user {peer} may ask at `node.control_look`"
            )),
            Self::Look | Self::Steer => Ok(()),
        }
    }

    fn allows(self, request: Request) -> Result<(), String> {
        match request {
            Request::Status => Ok(()),
            _ if self == Self::Steer => Ok(()),
            Request::Console | Request::Stop | Request::GiveUp | Request::PowerOff => Err(
                "at this socket one may only look: to steer the node, use its `node.control`"
                    .to_owned(),
            ),
        }
    }
}

/// A client's wish, for the owner of the node's state.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    Status(oneshot::Sender<NodeStatus>),
    /// Answered with what the guest last said, and what it will say.
    Attach(oneshot::Sender<(Vec<u8>, broadcast::Receiver<Bytes>)>),
    /// Answered as soon as there is room for it.
    ConsoleInput(Vec<u8>, oneshot::Sender<()>),
    /// Answered as soon as the guest has read all that was typed.
    ConsoleRead(oneshot::Sender<()>),
    /// Answered with why not, if not.
    MayStop(oneshot::Sender<Result<(), String>>),
    /// Whether the machine's only state may end with the node.
    Stop {
        gives_up: bool,
    },
    /// The guest is switched off, if this node is the machine.
    PowerOff(oneshot::Sender<Result<(), String>>),
}

/// Clients that did not get what they wanted, since the node started.
#[derive(Debug, Default)]
pub(crate) struct ControlCounters {
    turned_away: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    console_pieces: AtomicU64,
    accept_failures: AtomicU64,
}

impl ControlCounters {
    pub(crate) fn add_to(&self, dropped: &mut Dropped) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        dropped.control_turned_away += get(&self.turned_away);
        dropped.control_refused += get(&self.refused);
        dropped.control_broken += get(&self.broken);
        dropped.console_pieces += get(&self.console_pieces);
        dropped.accept_failures += get(&self.accept_failures);
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Listens; a task serves until this is dropped, which also removes the socket's file.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    task: JoinHandle<()>,
}

impl ControlSocket {
    pub(crate) fn open(
        path: &Path,
        role: Role,
        counters: Arc<ControlCounters>,
        events: mpsc::Sender<ControlEvent>,
    ) -> anyhow::Result<Self> {
        let mut listener =
            Listener::bind(path, role.access()).context("the control socket cannot be opened")?;
        let task = tokio::spawn(async move {
            let clients = Arc::new(AtomicUsize::new(0));
            let mut failures = 0;
            loop {
                let stream = listener.accept().await;
                count(&counters.accept_failures, listener.failures() - failures);
                failures = listener.failures();
                let Some(place) = Place::take(&clients) else {
                    count(&counters.turned_away, 1);
                    turn_away(stream);
                    continue;
                };
                let client = Client {
                    role,
                    counters: Arc::clone(&counters),
                    events: events.clone(),
                };
                tokio::spawn(async move {
                    if let Err(error) = client.serve(stream).await {
                        count(&client.counters.broken, 1);
                        // Whoever may only look must not fill the log.
                        debug!("a control client was dropped: {error:#}");
                    }
                    drop(place);
                });
            }
        });
        Ok(Self { task })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells a client for which there is no place, as far as that needs no waiting.
fn turn_away(stream: UnixStream) {
    let answer = Answer {
        error: Some(format!(
            "{CLIENTS_MAX} others are at this socket already: end some of them, or wait for a moment"
        )),
        ..Answer::default()
    };
    if let Ok(mut line) = serde_json::to_vec(&answer)
        && let Ok(mut stream) = stream.into_std()
    {
        line.push(b'\n');
        // A socket that nothing was sent to has room for this.
        let _ = stream.write_all(&line);
    }
}

/// One of the places for clients; dropping it makes room.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(clients: &Arc<AtomicUsize>) -> Option<Self> {
        let taken = clients.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(clients));
        (taken < CLIENTS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Client {
    role: Role,
    counters: Arc<ControlCounters>,
    events: mpsc::Sender<ControlEvent>,
}

fn ending() -> anyhow::Error {
    anyhow!("the node is ending")
}

impl Client {
    async fn serve(&self, stream: UnixStream) -> anyhow::Result<()> {
        let peer = stream
            .peer_cred()
            .context("the kernel does not say who asks")?
            .uid();
        let own = rustix::process::geteuid().as_raw();
        let (receive, mut send) = stream.into_split();
        let mut receive = BufReader::new(receive);
        let request = match self.role.admits(peer, own) {
            Ok(()) => match ask(&mut receive).await? {
                Some(request) => request.and_then(|request| {
                    self.role.allows(request)?;
                    Ok(request)
                }),
                None => return Ok(()),
            },
            Err(why) => Err(why),
        };
        let request = match request {
            Ok(request) => request,
            Err(why) => return self.refuse(&mut send, why).await,
        };
        let ok = Answer {
            ok: true,
            ..Answer::default()
        };
        match request {
            Request::Status => {
                let (reply, status) = oneshot::channel();
                self.tell(ControlEvent::Status(reply)).await?;
                let status = Some(status.await.map_err(|_| ending())?);
                answer(&mut send, &Answer { status, ..ok }).await
            }
            Request::Stop | Request::GiveUp => {
                let gives_up = request == Request::GiveUp;
                let (reply, verdict) = oneshot::channel();
                self.tell(ControlEvent::MayStop(reply)).await?;
                let verdict = verdict.await.map_err(|_| ending())?;
                if let Some(why) = verdict.err().filter(|_| !gives_up) {
                    return self.refuse(&mut send, why).await;
                }
                answer(&mut send, &ok).await?;
                self.tell(ControlEvent::Stop { gives_up }).await
            }
            Request::PowerOff => {
                let (reply, verdict) = oneshot::channel();
                self.tell(ControlEvent::PowerOff(reply)).await?;
                match verdict.await.map_err(|_| ending())? {
                    Ok(()) => answer(&mut send, &ok).await,
                    Err(why) => self.refuse(&mut send, why).await,
                }
            }
            Request::Console => {
                let (reply, attached) = oneshot::channel();
                self.tell(ControlEvent::Attach(reply)).await?;
                let (said, pieces) = attached.await.map_err(|_| ending())?;
                answer(&mut send, &ok).await?;
                let is_read = AtomicBool::new(false);
                tokio::select! {
                    end = self.show(send, &said, pieces, &is_read) => end,
                    end = self.type_in(receive, &is_read) => end,
                }
            }
        }
    }

    async fn refuse(&self, send: &mut OwnedWriteHalf, why: String) -> anyhow::Result<()> {
        count(&self.counters.refused, 1);
        let refused = Answer {
            error: Some(why),
            ..Answer::default()
        };
        answer(send, &refused).await
    }

    async fn tell(&self, event: ControlEvent) -> anyhow::Result<()> {
        self.events.send(event).await.map_err(|_| ending())
    }

    /// Shows what the guest says to a console; one that is slower than the guest misses some. Ends when the console is gone, or
    /// all that was typed has been read and the guest says nothing more.
    async fn show(
        &self,
        mut send: OwnedWriteHalf,
        said: &[u8],
        mut pieces: broadcast::Receiver<Bytes>,
        is_read: &AtomicBool,
    ) -> anyhow::Result<()> {
        put(&mut send, said).await?;
        loop {
            match timeout(CONSOLE_QUIET, pieces.recv()).await {
                Ok(Ok(piece)) => put(&mut send, &piece).await?,
                Ok(Err(broadcast::error::RecvError::Lagged(missed))) => {
                    count(&self.counters.console_pieces, missed);
                }
                Ok(Err(broadcast::error::RecvError::Closed)) => return Ok(()),
                Err(_) if is_read.load(Ordering::Relaxed) => return Ok(()),
                // Only who has left altogether takes nothing more.
                Err(_) if send.ready(Interest::WRITABLE).await?.is_write_closed() => return Ok(()),
                Err(_) => {}
            }
        }
    }

    /// Types what comes, as fast as the guest reads it, until nothing more does.
    async fn type_in(
        &self,
        mut receive: BufReader<OwnedReadHalf>,
        is_read: &AtomicBool,
    ) -> anyhow::Result<()> {
        let mut piece = [0; CONSOLE_PIECE_BYTES];
        loop {
            let typed = receive.read(&mut piece).await?;
            if typed == 0 {
                break;
            }
            let (taken, is_taken) = oneshot::channel();
            let input = ControlEvent::ConsoleInput(piece[..typed].to_vec(), taken);
            self.tell(input).await?;
            is_taken.await.map_err(|_| ending())?;
        }
        let (read, all_read) = oneshot::channel();
        self.tell(ControlEvent::ConsoleRead(read)).await?;
        // Who has left altogether looks like one who only types no more.
        if let Ok(all_read) = timeout(CONSOLE_PATIENCE, all_read).await {
            all_read.map_err(|_| ending())?;
        }
        is_read.store(true, Ordering::Relaxed);
        std::future::pending().await
    }
}

async fn put(send: &mut OwnedWriteHalf, bytes: &[u8]) -> anyhow::Result<()> {
    timeout(CONSOLE_PATIENCE, send.write_all(bytes))
        .await
        .context("nobody reads it")?
        .context("the client left")
}

/// The client's request, or what is wrong with it; none if it left without one.
async fn ask(
    receive: &mut BufReader<OwnedReadHalf>,
) -> anyhow::Result<Option<Result<Request, String>>> {
    let mut line = Vec::new();
    let mut bounded = receive.take(REQUEST_BYTES_MAX);
    timeout(CLIENT_PATIENCE, bounded.read_until(b'\n', &mut line))
        .await
        .context("it asked nothing")??;
    if line.is_empty() {
        return Ok(None);
    }
    let request = serde_json::from_slice(&line);
    Ok(Some(
        request.map_err(|error| format!("not understood: {error}")),
    ))
}

async fn answer(send: &mut OwnedWriteHalf, answer: &Answer) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(answer).context("an answer is plain values")?;
    line.push('\n');
    timeout(CLIENT_PATIENCE, send.write_all(line.as_bytes()))
        .await
        .context("it does not take its answer")?
        .context("the client left")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control;
    use std::path::PathBuf;

    /// Both sockets of a node that answers, and what it was told to do.
    struct Node {
        directory: tempfile::TempDir,
        counters: Arc<ControlCounters>,
        told: mpsc::Receiver<&'static str>,
        _sockets: [ControlSocket; 2],
    }

    impl Node {
        fn start() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let counters = Arc::<ControlCounters>::default();
            let (events, mut control) = mpsc::channel(4);
            let (tell, told) = mpsc::channel(100);
            let open = |name, role| {
                let path = directory.path().join(name);
                ControlSocket::open(&path, role, Arc::clone(&counters), events.clone()).unwrap()
            };
            let sockets = [open("steer", Role::Steer), open("look", Role::Look)];
            tokio::spawn(async move {
                let console = crate::console::Console::open(None, 0).unwrap();
                while let Some(event) = control.recv().await {
                    let what = match event {
                        ControlEvent::Status(reply) => {
                            reply.send(NodeStatus::default()).unwrap();
                            "status"
                        }
                        ControlEvent::Attach(reply) => {
                            drop(reply.send(console.attach()));
                            "console"
                        }
                        ControlEvent::ConsoleInput(_, taken) => {
                            taken.send(()).unwrap();
                            "input"
                        }
                        ControlEvent::ConsoleRead(read) => {
                            read.send(()).unwrap();
                            "read?"
                        }
                        ControlEvent::MayStop(reply) => {
                            reply.send(Err("it is alone".to_owned())).unwrap();
                            "may it stop?"
                        }
                        ControlEvent::Stop { gives_up: true } => "give up",
                        ControlEvent::Stop { gives_up: false } => "stop",
                        ControlEvent::PowerOff(reply) => {
                            reply.send(Ok(())).unwrap();
                            "power-off"
                        }
                    };
                    tell.send(what).await.unwrap();
                }
            });
            Self {
                directory,
                counters,
                told,
                _sockets: sockets,
            }
        }

        fn socket(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        async fn ask<T: Send + 'static>(
            &self,
            name: &str,
            ask: fn(&Path) -> anyhow::Result<T>,
        ) -> anyhow::Result<T> {
            let socket = self.socket(name);
            tokio::task::spawn_blocking(move || ask(&socket))
                .await
                .unwrap()
        }
    }

    #[tokio::test]
    async fn who_may_look_may_not_steer() {
        let mut node = Node::start();
        for name in ["steer", "look"] {
            node.ask(name, control::status).await.unwrap();
            assert_eq!(node.told.recv().await, Some("status"));
        }
        for refused in [
            (node.ask("look", |at| control::stop(at, false)).await).unwrap_err(),
            (node.ask("look", |at| control::stop(at, true)).await).unwrap_err(),
            node.ask("look", control::power_off).await.unwrap_err(),
            node.ask("look", control::attach_console)
                .await
                .map(drop)
                .unwrap_err(),
        ] {
            assert!(refused.to_string().contains("may only look"), "{refused}");
        }
        // Whoever may steer is still asked whether the machine may end, too.
        let refused = (node.ask("steer", |at| control::stop(at, false)).await).unwrap_err();
        assert!(refused.to_string().contains("it is alone"), "{refused}");
        assert_eq!(node.told.recv().await, Some("may it stop?"));
        (node.ask("steer", |at| control::stop(at, true)).await).unwrap();
        assert_eq!(node.told.recv().await, Some("may it stop?"));
        assert_eq!(node.told.recv().await, Some("give up"));
        assert!(node.told.try_recv().is_err());
        assert_eq!(node.counters.refused.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn only_its_own_user_and_root_steer() {
        assert!(Role::Steer.admits(1000, 1000).is_ok());
        assert!(Role::Steer.admits(0, 1000).is_ok());
        assert!(Role::Steer.admits(1001, 1000).is_err());
        assert!(Role::Steer.admits(1001, 0).is_err());
        assert!(Role::Look.admits(1001, 1000).is_ok());
    }

    #[tokio::test]
    async fn clients_that_say_nothing_take_no_more_than_their_places() {
        let node = Node::start();
        let path = node.socket("look");
        let mut idle = Vec::new();
        for _ in 0..CLIENTS_MAX + 8 {
            idle.push(UnixStream::connect(&path).await.unwrap());
        }
        // The last ones are turned away, and told so.
        let mut last = idle.pop().unwrap();
        let mut said = String::new();
        last.read_to_string(&mut said).await.unwrap();
        assert!(said.contains("others are at this socket"), "{said}");
        assert!(node.counters.turned_away.load(Ordering::Relaxed) >= 8);
        let full = node.ask("look", control::status).await.unwrap_err();
        assert!(full.to_string().contains("others are at"), "{full}");
        // The other socket does not notice, and places come free.
        node.ask("steer", control::status).await.unwrap();
        drop(idle);
        let again = async { while node.ask("look", control::status).await.is_err() {} };
        timeout(Duration::from_secs(60), again).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_request_is_answered_and_bounded() {
        let node = Node::start();
        let endless = vec![b' '; 1 << 20];
        for junk in [
            &b"nonsense\n"[..],
            b"\xff\xfe\n",
            &endless,
            b"{\"command\":\"dance\"}\n",
        ] {
            let mut client = UnixStream::connect(node.socket("steer")).await.unwrap();
            // It is not read to its end.
            let _ = client.write_all(junk).await;
            let mut said = Vec::new();
            let _ = client.read_to_end(&mut said).await;
            let said = String::from_utf8(said).unwrap();
            assert!(
                said.contains("not understood") || junk.len() > 100,
                "{said}"
            );
        }
        assert_eq!(node.counters.refused.load(Ordering::Relaxed), 4);
        node.ask("steer", control::status).await.unwrap();
    }
}
