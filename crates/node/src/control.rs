//! Asking and steering a running node: a UNIX socket that takes one JSON line and answers with one.
//!
//! ```text
//! → {"command":"status"}      ← {"status":{…}}
//! → {"command":"console"}     ← {"ok":true}, then the console's bytes in both directions
//! → {"command":"stop"}        ← {"ok":true}     the node leaves; its peer goes on
//! → {"command":"power-off"}   ← {"ok":true}     the machine is switched off
//! ← {"error":"…"}             whenever something is wrong
//! ```

use crate::listener::{Access, Listener};
use crate::status::NodeStatus;
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::warn;

/// A request is one line of at most so many bytes.
const REQUEST_BYTES_MAX: u64 = 4096;
/// A node answers within this time, or is stuck.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A client must ask within this time.
const ASK_MAX: Duration = Duration::from_secs(5);
/// Console input is read in pieces of this size.
const CONSOLE_PIECE_BYTES: usize = 512;

/// What can be asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Its view of itself.
    Status,
    /// Its guest's console.
    Console,
    /// To leave, and end.
    Stop,
    /// To switch the machine off.
    PowerOff,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Set when the request was taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    /// To `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A client's wish, for the owner of the node's state.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    Status(oneshot::Sender<NodeStatus>),
    /// Answered with what the guest last said, and what it will say.
    Attach(oneshot::Sender<(Vec<u8>, broadcast::Receiver<Bytes>)>),
    ConsoleInput(Vec<u8>),
    Stop,
    PowerOff,
}

/// Listens; a task serves until this is dropped, which also removes the socket's file.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    task: JoinHandle<()>,
}

impl ControlSocket {
    pub(crate) fn open(path: &Path, events: mpsc::Sender<ControlEvent>) -> anyhow::Result<Self> {
        let mut listener =
            Listener::bind(path, Access::User).context("the control socket cannot be opened")?;
        let task = tokio::spawn(async move {
            loop {
                let stream = listener.accept().await;
                let events = events.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &events).await {
                        warn!("a control client was dropped: {error:#}");
                    }
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

async fn serve(stream: UnixStream, events: &mpsc::Sender<ControlEvent>) -> anyhow::Result<()> {
    let (receive, mut send) = stream.into_split();
    let mut receive = tokio::io::BufReader::new(receive);
    let mut line = String::new();
    let mut bounded = (&mut receive).take(REQUEST_BYTES_MAX);
    let asked = bounded.read_line(&mut line);
    let read = tokio::time::timeout(ASK_MAX, asked)
        .await
        .context("it asked nothing")??;
    if read == 0 {
        return Ok(());
    }
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            let error = Some(format!("not understood: {error}"));
            return answer(
                &mut send,
                &Answer {
                    error,
                    ..Answer::default()
                },
            )
            .await;
        }
    };
    let ending = || anyhow!("the node is ending");
    let ok = Answer {
        ok: true,
        ..Answer::default()
    };
    match request {
        Request::Status => {
            let (reply, status) = oneshot::channel();
            events
                .send(ControlEvent::Status(reply))
                .await
                .map_err(|_| ending())?;
            let status = Some(status.await.map_err(|_| ending())?);
            answer(
                &mut send,
                &Answer {
                    ok: true,
                    status,
                    error: None,
                },
            )
            .await
        }
        Request::Stop => {
            answer(&mut send, &ok).await?;
            events.send(ControlEvent::Stop).await.map_err(|_| ending())
        }
        Request::PowerOff => {
            answer(&mut send, &ok).await?;
            events
                .send(ControlEvent::PowerOff)
                .await
                .map_err(|_| ending())
        }
        Request::Console => {
            let (reply, attached) = oneshot::channel();
            events
                .send(ControlEvent::Attach(reply))
                .await
                .map_err(|_| ending())?;
            let (said, mut pieces) = attached.await.map_err(|_| ending())?;
            answer(&mut send, &ok).await?;
            send.write_all(&said).await?;
            let output = async {
                loop {
                    match pieces.recv().await {
                        Ok(piece) => send.write_all(&piece).await?,
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return anyhow::Ok(()),
                    }
                }
            };
            let input = async {
                let mut piece = [0; CONSOLE_PIECE_BYTES];
                loop {
                    let count = receive.read(&mut piece).await?;
                    if count == 0 {
                        return anyhow::Ok(());
                    }
                    let typed = ControlEvent::ConsoleInput(piece[..count].to_vec());
                    events.send(typed).await.map_err(|_| ending())?;
                }
            };
            tokio::select! {
                end = output => end,
                end = input => end,
            }
        }
    }
}

async fn answer(
    send: &mut tokio::net::unix::OwnedWriteHalf,
    answer: &Answer,
) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(answer).context("an answer is plain values")?;
    line.push('\n');
    send.write_all(line.as_bytes())
        .await
        .context("the client left")
}

/// Asks the node at `socket` for its view of itself.
///
/// # Errors
/// No node listens there, or it does not answer.
pub fn status(socket: &Path) -> anyhow::Result<NodeStatus> {
    let (answer, _) = ask(socket, Request::Status)?;
    answer.status.context("the node answered without a status")
}

/// Tells the node at `socket` to leave and end.
///
/// # Errors
/// As [`status`].
pub fn stop(socket: &Path) -> anyhow::Result<()> {
    ask(socket, Request::Stop).map(drop)
}

/// Tells the node at `socket` to switch the machine off.
///
/// # Errors
/// As [`status`].
pub fn power_off(socket: &Path) -> anyhow::Result<()> {
    ask(socket, Request::PowerOff).map(drop)
}

/// Attaches to the console of the guest of the node at `socket`: what is read from the result is what the guest says,
/// beginning with what it last said.
///
/// # Errors
/// As [`status`].
pub fn attach_console(socket: &Path) -> anyhow::Result<BufReader<std::os::unix::net::UnixStream>> {
    let (_, stream) = ask(socket, Request::Console)?;
    stream
        .get_ref()
        .set_read_timeout(None)
        .context("the control socket broke")?;
    Ok(stream)
}

fn ask(
    socket: &Path,
    request: Request,
) -> anyhow::Result<(Answer, BufReader<std::os::unix::net::UnixStream>)> {
    let context = || {
        format!(
            "no node answers at {}; is `futago node` running with this control socket?",
            socket.display()
        )
    };
    let mut stream = std::os::unix::net::UnixStream::connect(socket).with_context(context)?;
    stream
        .set_read_timeout(Some(ANSWER_MAX))
        .with_context(context)?;
    let mut line = serde_json::to_string(&request).context("a request is plain values")?;
    line.push('\n');
    stream.write_all(line.as_bytes()).with_context(context)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).with_context(context)?;
    let answer: Answer = serde_json::from_str(&line).with_context(context)?;
    if let Some(error) = answer.error {
        bail!("the node refuses: {error}");
    }
    Ok((answer, stream))
}
