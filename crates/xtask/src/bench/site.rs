//! The processes and files of a machine on some nodes, with a switch and passt between it and the host.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;
use crate::steps::Bench;

/// A primary and its backup.
pub(super) const PAIR: &[&str] = &["a", "b"];
/// The addresses are those of the switch's own uplink.
const APPEND: &str = "console=ttyS0 quiet futago.ip=10.0.2.15/24,10.0.2.2 futago.redis=1";
/// A busy machine boots slowly.
const WAIT_MAX: Duration = Duration::from_secs(180);

/// What a node says of itself, as far as it is used here.
#[derive(Deserialize)]
pub(super) struct Status {
    flag: Option<u8>,
    pub(super) role: String,
    pub(super) position: u64,
    pub(super) epoch: u64,
    pub(super) lag_ms: f64,
    pub(super) transfer_bytes_total: u64,
    pub(super) wire_bytes_sent: u64,
    /// What a transfer of the state is at; `idle` without one.
    pub(super) transfer: String,
    /// How long the guest stood still for the last snapshot.
    pub(super) snapshot_pause_ms: f64,
    /// Why somebody who wants to join must wait.
    pub(super) join_refused: Option<String>,
}

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Whether it lived or not, it is dead.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a site's nodes are, and how they find each other.
pub(super) struct Plan {
    /// Of the site's files.
    pub(super) directory: PathBuf,
    pub(super) names: &'static [&'static str],
    /// Where each node's log channel listens.
    pub(super) listen: Vec<SocketAddr>,
    /// Where each node looks for others.
    pub(super) peers: Vec<Vec<SocketAddr>>,
}

impl Plan {
    /// Nodes of these names, each of which finds all others; `index` tells sites of one run apart.
    pub(super) fn new(index: usize, names: &'static [&'static str]) -> Result<Self> {
        let name = format!("futago-bench-{}-{index}", std::process::id());
        let listen = names.iter().map(|_| free_udp_address());
        let listen = listen.collect::<Result<Vec<_>>>()?;
        let others = |own| listen.iter().copied().filter(move |other| *other != own);
        Ok(Self {
            directory: std::env::temp_dir().join(name),
            names,
            peers: listen.iter().map(|own| others(*own).collect()).collect(),
            listen,
        })
    }
}

pub(super) struct Site {
    futago: String,
    directory: PathBuf,
    names: &'static [&'static str],
    nodes: Vec<Option<Process>>,
    switch: Process,
    /// Where each node's log channel listens.
    pub(super) listen: Vec<SocketAddr>,
    /// Where the guest's redis is found.
    pub(super) redis: SocketAddr,
}

impl Site {
    /// Starts the switch; writes keys and configurations. The first node may start the machine.
    pub(super) fn set_up(bench: &Bench, plan: Plan) -> Result<Self> {
        let Plan {
            directory,
            names,
            listen,
            peers,
        } = plan;
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let arbiter = directory.join("arbiter").display().to_string();
        process::output(&bench.futago, &["arbiter", "init", &arbiter])?;
        let keys = directory.join("keys").display().to_string();
        let arguments = [&["keys", "--directory", &keys, "--machine", "bench"], names].concat();
        process::output(&bench.futago, &arguments)?;
        let redis = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        for (index, name) in names.iter().enumerate() {
            let peers: Vec<_> = peers[index].iter().map(SocketAddr::to_string).collect();
            let accepts: Vec<_> = names.iter().filter(|other| *other != name).collect();
            let text = format!(
                "[machine]\nname = \"bench\"\nkernel = {:?}\ninitrd = {:?}\nappend = {APPEND:?}\n\
                 network = \"switch.sock\"\n\n\
                 [node]\nname = \"{name}\"\nlisten = \"{}\"\npeers = {peers:?}\naccepts = {accepts:?}\n\
                 control = \"{name}.sock\"\n\
                 may_start = {}\n\n\
                 [keys]\nauthority = \"keys/authority.pem\"\ncertificate = \"keys/{name}.pem\"\n\
                 key = \"keys/{name}.key\"\n\n\
                 [arbiter]\ndirectory = \"arbiter\"\n",
                bench.kernel,
                bench.initrd,
                listen[index],
                index == 0,
            );
            fs::write(directory.join(format!("{name}.toml")), text)?;
        }
        let socket = directory.join("switch.sock");
        let forward = format!("{}/{}:6379", redis.ip(), redis.port());
        let socket_text = socket.display().to_string();
        let arguments = ["switch", "--socket", &socket_text, "--forward", &forward];
        let switch = start(&bench.futago, &arguments, &directory.join("switch.log"))?;
        let mut site = Self {
            futago: bench.futago.clone(),
            directory,
            names,
            nodes: names.iter().map(|_| None).collect(),
            switch,
            listen,
            redis,
        };
        site.wait("the switch to listen", |_| socket.exists())?;
        Ok(site)
    }

    /// Starts a node.
    pub(super) fn start(&mut self, node: usize) -> Result<()> {
        let file = |end| self.directory.join(format!("{}.{end}", self.names[node]));
        let config = file("toml").display().to_string();
        let arguments = ["node", "--config", &config];
        self.nodes[node] = Some(start(&self.futago, &arguments, &file("log"))?);
        Ok(())
    }

    /// Starts a node that may take no more address space than this, in KiB, for which it interprets: code takes more.
    pub(super) fn start_with_little_memory(&mut self, node: usize, kib: u64) -> Result<()> {
        let file = |end| self.directory.join(format!("{}.{end}", self.names[node]));
        let text = fs::read_to_string(file("toml"))?;
        let interprets = text.replacen("may_start", "engine = \"interpreter\"\nmay_start", 1);
        fs::write(file("little.toml"), interprets)?;
        let config = file("little.toml").display().to_string();
        let limited = format!("ulimit -v {kib} && exec \"$0\" node --config \"$1\"");
        let arguments = ["-c", &limited, &self.futago, &config];
        self.nodes[node] = Some(start("sh", &arguments, &file("log"))?);
        Ok(())
    }

    /// Whether a node has no process, or one that has ended and is now gone.
    pub(super) fn reap(&mut self, node: usize) -> Result<bool> {
        let place = &mut self.nodes[node];
        if let Some(process) = place
            && process.0.try_wait()?.is_some()
        {
            *place = None;
        }
        Ok(place.is_none())
    }

    /// SIGKILL, if it lives.
    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// Sends a signal, named as for kill(1).
    pub(super) fn signal(&self, node: usize, signal: &str) -> Result<()> {
        let process = self.process(node).context("the node has no process")?;
        process::output("kill", &["-s", signal, &process.to_string()])?;
        Ok(())
    }

    /// Lets a node leave; its peer goes on.
    pub(super) fn stop(&mut self, node: usize) -> Result<()> {
        self.ask(node, "stop")?;
        if let Some(mut process) = self.nodes[node].take() {
            process
                .0
                .wait()
                .context("cannot wait for our own process")?;
        }
        Ok(())
    }

    /// Waits until something is so, and fails if it takes too long or a process ends.
    pub(super) fn wait(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let begin = Instant::now();
        while !is_so(self) {
            let ended = |process: &mut Process| process.0.try_wait().ok().flatten().is_some();
            if ended(&mut self.switch) || self.nodes.iter_mut().flatten().any(ended) {
                bail!(
                    "a process ended; see the logs in {}",
                    self.directory.display()
                );
            }
            if begin.elapsed() > WAIT_MAX {
                bail!(
                    "waited too long for {what}; see {}",
                    self.directory.display()
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Whether the first node is a primary with a backup.
    pub(super) fn is_protected(&self) -> bool {
        self.has_flag(0)
    }

    /// Whether the first node is a primary without one.
    pub(super) fn is_alone(&self) -> bool {
        self.has_flag(1)
    }

    fn has_flag(&self, flag: u8) -> bool {
        self.status(0)
            .is_ok_and(|status| status.role == "primary" && status.flag == Some(flag))
    }

    /// The process of a node that was started.
    pub(super) fn process(&self, node: usize) -> Option<u32> {
        let process = self.nodes.get(node)?.as_ref()?;
        Some(process.0.id())
    }

    /// Every process of the site.
    pub(super) fn processes(&self) -> impl Iterator<Item = u32> {
        let nodes = self.nodes.iter().flatten();
        nodes.chain([&self.switch]).map(|process| process.0.id())
    }

    /// What a node says of itself.
    pub(super) fn status(&self, node: usize) -> Result<Status> {
        #[derive(Deserialize)]
        struct Answer {
            status: Status,
        }
        let (_, line) = self.ask(node, "status")?;
        let answer: Answer = serde_json::from_str(&line).context("cannot understand a status")?;
        Ok(answer.status)
    }

    /// A connection to the console of the guest.
    pub(super) fn attach(&self) -> Result<UnixStream> {
        Ok(self.ask(0, "console")?.0)
    }

    /// Types at the console of the guest.
    pub(super) fn type_in(&self, text: &str) -> Result<()> {
        let mut console = self.attach()?;
        console.write_all(text.as_bytes())?;
        // It is taken in before the connection ends: the guest's shell echoes it.
        let mut echo = BufReader::new(console);
        let end = text.trim_end();
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains(end) {
            if echo.read_until(b'\n', &mut said)? == 0 {
                bail!("the console ended");
            }
        }
        Ok(())
    }

    /// Ends every process, and removes the files: the logs have served. Whatever fails before leaves them.
    pub(super) fn clear(self) {
        let Self {
            directory,
            nodes,
            switch,
            ..
        } = self;
        drop((nodes, switch));
        // What is left is in the system's directory for such files.
        let _ = fs::remove_dir_all(directory);
    }

    fn ask(&self, node: usize, command: &str) -> Result<(UnixStream, String)> {
        let socket = self.directory.join(format!("{}.sock", self.names[node]));
        let mut stream = UnixStream::connect(&socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        writeln!(stream, "{{\"command\":\"{command}\"}}")?;
        let mut line = String::new();
        BufReader::with_capacity(1, stream.try_clone()?).read_line(&mut line)?;
        Ok((stream, line))
    }
}

fn start(program: &str, arguments: &[&str], log: &Path) -> Result<Process> {
    let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    Ok(Process(child))
}

/// An address that nothing listens on just now.
fn free_udp_address() -> Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port is free")?;
    Ok(socket.local_addr()?)
}
