//! The processes and files of a machine on two nodes, with a switch and passt between it and the host.

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

const NAMES: [&str; 2] = ["a", "b"];
/// The addresses are those of the switch's own uplink.
const APPEND: &str = "console=ttyS0 quiet futago.ip=10.0.2.15/24,10.0.2.2 futago.redis=1";
/// A busy machine boots slowly.
const WAIT_MAX: Duration = Duration::from_secs(180);

/// What a node says of itself, as far as it is used here.
#[derive(Deserialize)]
pub(in crate::bench) struct Status {
    flag: Option<u8>,
    pub(in crate::bench) role: String,
    pub(in crate::bench) position: u64,
    pub(in crate::bench) epoch: u64,
    pub(in crate::bench) lag_ms: f64,
    pub(in crate::bench) transfer_bytes_total: u64,
    pub(in crate::bench) wire_bytes_sent: u64,
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

pub(in crate::bench) struct Site {
    futago: String,
    directory: PathBuf,
    nodes: [Option<Process>; 2],
    switch: Process,
    /// Where the guest's redis is found.
    pub(in crate::bench) redis: SocketAddr,
}

impl Site {
    /// Starts the switch; writes keys and configurations.
    pub(in crate::bench) fn set_up(bench: &Bench, index: usize) -> Result<Self> {
        let listen = [free_udp_address()?, free_udp_address()?];
        Self::set_up_between(bench, index, listen, [listen[1], listen[0]])
    }

    /// Like [`Site::set_up`], with the addresses on which the nodes listen, and those at which each finds its peer.
    pub(in crate::bench) fn set_up_between(
        bench: &Bench,
        index: usize,
        listen: [SocketAddr; 2],
        peers: [SocketAddr; 2],
    ) -> Result<Self> {
        let name = format!("futago-bench-{}-{index}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("arbiter"))
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let keys = directory.join("keys").display().to_string();
        let arguments = [&["keys", "--directory", &keys], &NAMES[..]].concat();
        process::output(&bench.futago, &arguments)?;
        let redis = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        for (index, name) in NAMES.iter().enumerate() {
            let text = format!(
                "[machine]\nname = \"bench\"\nkernel = {:?}\ninitrd = {:?}\nappend = {APPEND:?}\n\
                 network = \"switch.sock\"\n\n\
                 [node]\nname = \"{name}\"\nlisten = \"{}\"\npeers = [\"{}\"]\ncontrol = \"{name}.sock\"\n\
                 may_start = {}\n\n\
                 [keys]\nauthority = \"keys/authority.pem\"\ncertificate = \"keys/{name}.pem\"\n\
                 key = \"keys/{name}.key\"\n\n\
                 [arbiter]\ndirectory = \"arbiter\"\n",
                bench.kernel,
                bench.initrd,
                listen[index],
                peers[index],
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
            nodes: [None, None],
            switch,
            redis,
        };
        site.wait("the switch to listen", |_| socket.exists())?;
        Ok(site)
    }

    /// Starts a node.
    pub(in crate::bench) fn start(&mut self, node: usize) -> Result<()> {
        let file = |end| self.directory.join(format!("{}.{end}", NAMES[node]));
        let config = file("toml").display().to_string();
        let arguments = ["node", "--config", &config];
        self.nodes[node] = Some(start(&self.futago, &arguments, &file("log"))?);
        Ok(())
    }

    /// Lets a node leave; its peer goes on.
    pub(in crate::bench) fn stop(&mut self, node: usize) -> Result<()> {
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
    pub(in crate::bench) fn wait(
        &mut self,
        what: &str,
        is_so: impl Fn(&Self) -> bool,
    ) -> Result<()> {
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
    pub(in crate::bench) fn is_protected(&self) -> bool {
        self.has_flag(0)
    }

    /// Whether the first node is a primary without one.
    pub(in crate::bench) fn is_alone(&self) -> bool {
        self.has_flag(1)
    }

    fn has_flag(&self, flag: u8) -> bool {
        self.status(0)
            .is_ok_and(|status| status.role == "primary" && status.flag == Some(flag))
    }

    /// The process of a node that was started.
    pub(in crate::bench) fn process(&self, node: usize) -> Option<u32> {
        let process = self.nodes.get(node)?.as_ref()?;
        Some(process.0.id())
    }

    /// What a node says of itself.
    pub(in crate::bench) fn status(&self, node: usize) -> Result<Status> {
        #[derive(Deserialize)]
        struct Answer {
            status: Status,
        }
        let (_, line) = self.ask(node, "status")?;
        let answer: Answer = serde_json::from_str(&line).context("cannot understand a status")?;
        Ok(answer.status)
    }

    /// Types at the console of the guest.
    pub(in crate::bench) fn type_in(&self, text: &str) -> Result<()> {
        let (mut console, _) = self.ask(0, "console")?;
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

    fn ask(&self, node: usize, command: &str) -> Result<(UnixStream, String)> {
        let socket = self.directory.join(format!("{}.sock", NAMES[node]));
        let mut stream = UnixStream::connect(&socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        writeln!(stream, "{{\"command\":\"{command}\"}}")?;
        let mut line = String::new();
        BufReader::with_capacity(1, stream.try_clone()?).read_line(&mut line)?;
        Ok((stream, line))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() || self.nodes[0].is_none() {
            return;
        }
        self.nodes = [None, None];
        // The logs have served; what is left is in the system's directory for such files.
        let _ = fs::remove_dir_all(&self.directory);
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
pub(in crate::bench) fn free_udp_address() -> Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port is free")?;
    Ok(socket.local_addr()?)
}
