//! `futago console`: a session at the console of a running node's guest, which says what it is attached to, and how it ended.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use node::control::{self, NoAnswer};
use node::keyboard::{Keys, Terminal};
use node::status::NodeStatus;

/// The node is asked for so long how it is, if it does not answer at once.
const ASK: Duration = Duration::from_secs(3);
/// Between two such questions.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Which side ended the session, if it was this one.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    /// Keys may come.
    On,
    /// All that was piped in has been typed.
    All,
    /// The user left.
    Left,
    /// What was piped in is not for this node.
    Refused,
}

/// Runs `futago console`.
pub(crate) fn run(socket: &Path) -> Result<ExitCode> {
    let mut guest = control::attach_console(socket)?;
    let status = match ask(socket) {
        Ok(status) => status,
        Err(error) => return gone(socket, error),
    };
    let elsewhere = elsewhere(&status);
    if let Some(words) = &elsewhere {
        node::log::say(&format!("futago: {words}"));
    }
    let typed = Arc::new(AtomicU8::new(Typed::On as u8));
    let shown = {
        let terminal = Terminal::raw().context("cannot use the terminal")?;
        let typist = Typist {
            node: guest
                .get_ref()
                .try_clone()
                .context("cannot use the control socket twice")?,
            keys: terminal.keys(),
            socket: socket.to_owned(),
            elsewhere,
            typed: Arc::clone(&typed),
        };
        std::thread::Builder::new()
            .spawn(move || typist.work())
            .context("cannot read the keyboard")?;
        show(&mut guest)
        // The terminal is as it was before.
    };
    if !shown? {
        return Ok(ExitCode::SUCCESS);
    }
    let typed = typed.load(Ordering::Acquire);
    if typed == Typed::Left as u8 {
        return Ok(ExitCode::SUCCESS);
    }
    if typed == Typed::Refused as u8 {
        return Ok(ExitCode::FAILURE);
    }
    how_it_ended(socket, &status.node_id, typed == Typed::All as u8)
}

/// Shows what the guest says, up to the end of the session; whether the node ended that.
fn show(guest: &mut BufReader<UnixStream>) -> Result<bool> {
    let mut buffer = [0; 4096];
    let mut out = crate::output::lock_stream();
    while let Ok(length @ 1..) = guest.read(&mut buffer) {
        match out.write_all(&buffer[..length]).and_then(|()| out.flush()) {
            // The end of whoever has read enough of it is the session's.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            shown => shown.context("cannot show the console")?,
        }
    }
    Ok(true)
}

/// Where the guest is, if not at this node; as a sentence.
fn elsewhere(status: &NodeStatus) -> Option<String> {
    let (node, other) = (&status.node, status.peer_name.as_deref());
    let is = match (status.role.as_str(), other) {
        ("backup", Some(other)) => {
            format!("is the backup of {other}: the guest's console is at {other}'s socket")
        }
        ("backup" | "joining", _) => "is not the machine".to_owned(),
        // Whoever is about to be the machine types what waits.
        _ => return None,
    };
    Some(format!(
        "node {node} {is}. Here the guest is heard once {node} is the machine, and nothing can be typed until then"
    ))
}

/// What reads the keyboard, or what is piped in.
struct Typist {
    node: UnixStream,
    keys: Keys,
    socket: PathBuf,
    /// Why nothing can be typed, as far as is known.
    elsewhere: Option<String>,
    typed: Arc<AtomicU8>,
}

impl Typist {
    fn work(mut self) {
        let mut buffer = [0; 256];
        let mut is_told = false;
        while let Ok(length @ 1..) = std::io::stdin().read(&mut buffer) {
            let (typed, end) = self.keys.take(&buffer[..length]);
            if self.is_elsewhere() {
                if !self.keys.are_of_terminal() {
                    node::log::say("futago: nothing of what is piped in was typed");
                    self.typed.store(Typed::Refused as u8, Ordering::Release);
                    let _ = self.node.shutdown(Shutdown::Both);
                    return;
                }
                if !is_told && !typed.is_empty() {
                    is_told = true;
                    node::log::say(
                        "futago: not typed: the machine is elsewhere. Ctrl-A x leaves\r",
                    );
                }
            } else if self.node.write_all(&typed).is_err() {
                return;
            }
            if end {
                self.typed.store(Typed::Left as u8, Ordering::Release);
                // Ends the other direction, and with it the session.
                let _ = self.node.shutdown(Shutdown::Both);
                return;
            }
        }
        self.typed.store(Typed::All as u8, Ordering::Release);
        // The node shows what the guest answers, and ends the session when that is all.
        let _ = self.node.shutdown(Shutdown::Write);
    }

    /// Whether the machine is still not here, if it was not.
    fn is_elsewhere(&mut self) -> bool {
        if self.elsewhere.is_some()
            && let Ok(status) = control::status(&self.socket)
        {
            self.elsewhere = elsewhere(&status);
        }
        self.elsewhere.is_some()
    }
}

/// What has become of the process that ended the session, and had this identity.
fn how_it_ended(socket: &Path, node_id: &str, all_typed: bool) -> Result<ExitCode> {
    match ask(socket) {
        Ok(status) if status.node_id != node_id => bail!("the node has ended, and runs again"),
        Ok(_) if all_typed => Ok(ExitCode::SUCCESS),
        Ok(_) => {
            bail!("the node has ended this session, since nothing of it was read for too long")
        }
        Err(error) => gone(socket, error),
    }
}

/// How the node is. One that is about to end may not answer at once.
fn ask(socket: &Path) -> Result<NodeStatus> {
    let begun = Instant::now();
    loop {
        match control::status(socket) {
            Err(error) if !is_gone(&error) && begun.elapsed() < ASK => {
                std::thread::sleep(ASK_AGAIN);
            }
            answer => return answer,
        }
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(NoAnswer::NotRunning(_)))
}

/// The node does not answer any more: how its process ended.
fn gone(socket: &Path, error: anyhow::Error) -> Result<ExitCode> {
    if !is_gone(&error) {
        return Err(error);
    }
    // In good order it takes its socket with it.
    if socket.exists() {
        bail!("the node's process is gone, without a word");
    }
    let socket = socket.display();
    node::log::say(&format!("futago: the node at {socket} has ended"));
    Ok(ExitCode::SUCCESS)
}
