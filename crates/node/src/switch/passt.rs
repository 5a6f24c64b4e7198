//! The uplink: a passt process (user-mode networking, <https://passt.top>) that is started, connected to a port of the
//! switch, and started again when it dies. passt ends by itself when the switch does.
//!
//! A switch that is confined can start no program, and passt could not set up its own confinement within the switch's.
//! There, a process beside the switch keeps passt (`keeper.rs`): it sees no frame.

use super::forward::{self, Forward};
use anyhow::{Context, bail};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// passt that lived shorter than this is not started again: it cannot work as it was told to.
const LIFE_MIN: Duration = Duration::from_secs(1);
/// Pause before passt is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// passt is sent away with this patience.
const EXIT_MAX: Duration = Duration::from_secs(2);
/// Of passt's words, so many lines are kept for the error message.
const LINES_KEPT: usize = 4;
/// What says nothing of why passt ended: where there is no system log, it complains about each line.
const NOISE: [&str; 2] = ["Failed to send", "Don't run as root"];
/// passt takes addresses and routes of an interface of the host as its example.
const NO_ROUTE: &str = "No external routable interface";

/// How guests reach the host's network, and are reached.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// The program; a bare name is looked up in `PATH`.
    pub program: PathBuf,
    /// Address that passt offers by DHCP, and to which it forwards.
    pub guest: Ipv4Addr,
    /// The guest's gateway. Connections from the host's loopback come from here, too.
    pub gateway: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Largest IP packet.
    pub mtu: u16,
    /// Host ports whose TCP connections go to the guest.
    pub tcp_forwards: Vec<Forward>,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            program: PathBuf::from("passt"),
            guest: Ipv4Addr::new(10, 0, 2, 15),
            gateway: Ipv4Addr::new(10, 0, 2, 2),
            prefix: 24,
            mtu: 1500,
            tcp_forwards: Vec::new(),
        }
    }
}

impl Uplink {
    /// The command whose standard input is the frames' socket. A socket that exists before passt does is why no early
    /// connection to a forwarded port can find passt without a guest's side, which kills it.
    fn command(&self, socket: OwnedFd) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--foreground", "--stderr", "--ipv4-only", "--fd", "0"])
            .args([
                "--address",
                &self.guest.to_string(),
                "--netmask",
                &self.prefix.to_string(),
            ])
            .args([
                "--gateway",
                &self.gateway.to_string(),
                "--mtu",
                &self.mtu.to_string(),
            ])
            .args(["--dns", "none", "--search", "none", "--udp-ports", "none"]);
        if self.tcp_forwards.is_empty() {
            command.args(["--tcp-ports", "none"]);
        }
        for forward in &self.tcp_forwards {
            command.args(["--tcp-ports", &forward.to_string()]);
        }
        command
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Starts passt with a connection to the switch, and again when it dies. Returns only when it cannot work.
pub(super) async fn keep(
    uplink: &Uplink,
    mut connect: impl FnMut() -> anyhow::Result<OwnedFd>,
) -> anyhow::Result<()> {
    loop {
        // Each time: what passt says of a port that it cannot have is for those who know passt.
        forward::check(&uplink.tcp_forwards)?;
        let started = Instant::now();
        let socket = connect()?;
        let mut child = uplink.command(socket).spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow::anyhow!(
                "{} is not installed: install it (Debian: apt-get install passt), or run the switch without uplink",
                uplink.program.display()
            ),
            _ => anyhow::anyhow!("cannot start {}: {error}", uplink.program.display()),
        })?;
        let stderr = child.stderr.take().context("passt has no standard error")?;
        let forwards = uplink.tcp_forwards.iter().map(ToString::to_string);
        let forwards = forwards.collect::<Vec<_>>().join(", ");
        info!(forwards, guest = %uplink.guest, "the uplink is started");
        let said = RefCell::new(VecDeque::new());
        // Ends when passt does.
        listen_to(stderr, &said).await;
        if timeout(EXIT_MAX, child.wait()).await.is_err() {
            // Best effort: `kill_on_drop` tries again.
            let _ = child.start_kill();
        }
        let said = said.into_inner();
        let words = said
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ");
        if started.elapsed() < LIFE_MIN {
            bail!("{}", explain(&words));
        }
        warn!("passt ended and is started again; it said: {words}");
        sleep(RESTART_PAUSE).await;
    }
}

/// What it means for the user that passt has ended at once, with these words.
fn explain(words: &str) -> String {
    if words.contains(NO_ROUTE) {
        "the guest's way out, passt, takes the place of this host, which has no IPv4 address with a default route: give it one, or run the switch with `--no-uplink`".to_owned()
    } else {
        format!(
            "the guest's way out, passt, ended at once, so that `--no-uplink` is all that works here; it said: {words}"
        )
    }
}

/// Reads passt's standard error to its end, which comes with the process's.
async fn listen_to(stderr: impl AsyncRead + Unpin, said: &RefCell<VecDeque<String>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.is_empty() || NOISE.iter().any(|noise| line.starts_with(noise)) {
            continue;
        }
        debug!("passt: {line}");
        let mut said = said.borrow_mut();
        if said.len() == LINES_KEPT {
            said.pop_front();
        }
        said.push_back(line);
    }
}
