//! The process beside a confined switch that keeps its uplink. It reaches the switch by a socket that is only for
//! uplinks, and ends with it.

use super::passt::{self, Uplink};
use crate::listener::{Access, Listener};
use crate::open_files;
use crate::signals::outlive_terminal;
use anyhow::{Context, bail};
use std::io::Write;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;

/// What a keeper says at its end has at most so many bytes.
const WORDS_BYTES_MAX: u64 = 4096;

/// The keeper, as the switch sees it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    listener: Listener,
    words: Receiver,
    child: Child,
}

impl Keeper {
    /// Starts this very program as keeper for the switch on `socket`. Must be called within a tokio runtime.
    pub(super) fn start(uplink: &Uplink, socket: &Path) -> anyhow::Result<Self> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".uplink");
        let path = PathBuf::from(path);
        let listener = Listener::bind(&path, Access::User)?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(&program);
        command.arg("uplink").arg("--socket").arg(&path);
        command.arg("--program").arg(&uplink.program);
        command.args(["--guest", &uplink.guest.to_string()]);
        command.args(["--gateway", &uplink.gateway.to_string()]);
        command.args(["--prefix", &uplink.prefix.to_string()]);
        command.args(["--mtu", &uplink.mtu.to_string()]);
        for forward in &uplink.tcp_forwards {
            command.args(["--forward", &forward.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let words = child.stdout.take().context("the uplink's keeper is mute")?;
        let words = Receiver::from_owned_fd(words.into())
            .context("cannot listen to the uplink's keeper")?;
        Ok(Self {
            listener,
            words,
            child,
        })
    }

    /// Waits for the keeper's end, which comes only when no uplink can work.
    pub(super) async fn ended(words: &mut Receiver) -> anyhow::Result<()> {
        let mut said = String::new();
        words
            .take(WORDS_BYTES_MAX)
            .read_to_string(&mut said)
            .await
            .context("the uplink's keeper cannot be understood")?;
        bail!("{}", said.trim_end())
    }

    /// Where uplinks connect, and what tells of the keeper's end.
    pub(super) fn parts(&mut self) -> (&mut Listener, &mut Receiver) {
        (&mut self.listener, &mut self.words)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It ends when its standard input does, and passt with it.
        drop(self.child.stdin.take());
    }
}

/// What the keeper does, in a process of its own: keeps passt connected to the uplink's socket of a switch until standard input
/// ends. If that becomes impossible it says why on standard output.
///
/// # Errors
/// The process cannot wait for anything.
pub fn keep_uplink(uplink: &Uplink, socket: &Path) -> anyhow::Result<()> {
    open_files::ensure_room(open_files::SWITCH_FILES)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the I/O runtime")?;
    runtime.block_on(async {
        let _hangup = outlive_terminal()?;
        let mut switch = Receiver::from_owned_fd(
            rustix::stdio::stdin()
                .try_clone_to_owned()
                .context("cannot use standard input")?,
        )
        .context("standard input is no pipe: `futago switch` starts this by itself")?;
        let connect = || {
            let stream = StdStream::connect(socket)
                .with_context(|| format!("cannot connect the uplink to {}", socket.display()))?;
            Ok(stream.into())
        };
        tokio::select! {
            // The switch is gone: there is nobody to tell.
            () = end_of(&mut switch) => Ok(()),
            result = passt::keep(uplink, connect) => {
                if let Err(error) = result {
                    writeln!(std::io::stdout(), "{error:#}")?;
                }
                Ok(())
            }
        }
    })
}

async fn end_of(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 64];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}
