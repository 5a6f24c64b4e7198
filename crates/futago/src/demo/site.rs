//! The processes of the story, their files, and their end.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use node::arbiter::{ArbiterStore, DirectoryArbiter, init_store};
use node::control;
use node::engine::EngineKind;
use node::names::machine_id;
use node::status::NodeStatus;
use node::switch::Uplink;

/// A process that is told to end has so long.
const END_MAX: Duration = Duration::from_secs(5);
const REDIS_PORT: u16 = 6379;
/// The machine's name.
const MACHINE: &str = "demo";
/// Exit statuses of a node that lost the machine to its peer, or was dismissed by it.
const GIVEN_UP: [i32; 2] = [3, 5];
/// The names of the two hosts.
pub(crate) const NAMES: [&str; 2] = ["a", "b"];

/// A process that ends with this value.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(arguments: &[&str], log: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let out = OpenOptions::new().create(true).append(true).open(log);
        let out = out.with_context(|| format!("cannot write the log {}", log.display()))?;
        let child = Command::new(&program)
            .args(["--log", "info"])
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL.
    fn kill(&mut self) {
        // Whether it lived or not, it is dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it said last, in one line.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or("nothing").to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of the two hosts: at most one node process.
struct Host {
    config: PathBuf,
    control: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

/// All that runs.
pub(crate) struct Site {
    directory: PathBuf,
    hosts: [Host; 2],
    switch: Process,
    arbiter: DirectoryArbiter,
    /// Where the client finds redis.
    pub(crate) redis: SocketAddr,
    console: PathBuf,
}

impl Site {
    /// Starts the switch; writes keys and configurations for two nodes.
    pub(crate) fn set_up(
        directory: &Path,
        image: &guest::Image,
        engines: [Option<EngineKind>; 2],
    ) -> Result<Self> {
        let uplink = Uplink::default();
        let names = NAMES.map(str::to_owned);
        node::keys::create_keys(&directory.join("keys"), MACHINE, &names)?;
        let arbiter = directory.join("arbiter");
        init_store(&arbiter)?;
        let arbiter = DirectoryArbiter::open(&arbiter, machine_id(MACHINE))?;
        let redis = free_tcp_address()?;
        let socket = directory.join("switch.sock");
        let forward = format!("{}/{}:{REDIS_PORT}", redis.ip(), redis.port());
        let (socket_text, guest) = (socket.display().to_string(), uplink.guest.to_string());
        let arguments = [
            "switch",
            "--socket",
            &socket_text,
            "--forward",
            &forward,
            "--guest",
            &guest,
        ];
        let switch = Process::start(&arguments, &directory.join("switch.log"))?;
        let listen = [free_udp_address()?, free_udp_address()?];
        let network = guest::Network::Static {
            address: uplink.guest,
            prefix: uplink.prefix,
            gateway: Some(uplink.gateway),
        };
        let append = guest::command_line(network, true);
        let host = |index: usize| -> Result<Host> {
            let name = NAMES[index];
            let config = directory.join(format!("{name}.toml"));
            let engine =
                engines[index].map_or(String::new(), |engine| format!("engine = \"{engine}\"\n"));
            let text = format!(
                "[machine]\nname = \"{MACHINE}\"\nkernel = {kernel:?}\ninitrd = {initrd:?}\nappend = {append:?}\n\
                 network = \"switch.sock\"\n\n\
                 [node]\nname = \"{name}\"\nlisten = \"{listen}\"\npeers = [\"{peer}\"]\naccepts = [\"{other}\"]\ncontrol = \"{name}.sock\"\n\
                 console = \"{name}.console\"\nmay_start = {may_start}\n{engine}\n\
                 [keys]\nauthority = \"keys/authority.pem\"\ncertificate = \"keys/{name}.pem\"\nkey = \"keys/{name}.key\"\n\n\
                 [arbiter]\ndirectory = \"arbiter\"\n",
                kernel = image.kernel,
                initrd = image.initrd,
                listen = listen[index],
                peer = listen[1 - index],
                other = NAMES[1 - index],
                may_start = index == 0,
            );
            fs::write(&config, text)
                .with_context(|| format!("cannot write {}", config.display()))?;
            Ok(Host {
                config,
                control: directory.join(format!("{name}.sock")),
                log: directory.join(format!("{name}.log")),
                process: None,
            })
        };
        let hosts = [host(0)?, host(1)?];
        let console = directory.join(format!("{}.console", NAMES[0]));
        let mut site = Self {
            directory: directory.to_owned(),
            hosts,
            switch,
            arbiter,
            redis,
            console,
        };
        site.wait_for_switch(&socket)?;
        Ok(site)
    }

    fn wait_for_switch(&mut self, socket: &Path) -> Result<()> {
        let begun = Instant::now();
        while !socket.exists() {
            self.check_switch()?;
            if begun.elapsed() > END_MAX {
                bail!("the switch does not listen on {}", socket.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn check_switch(&mut self) -> Result<()> {
        match self.switch.ended() {
            Some(status) => bail!(
                "the switch ended ({status}); it said: {}",
                self.switch.last_words()
            ),
            None => Ok(()),
        }
    }

    /// Where the files are.
    /// Whether the arbiter's own record says, just now, that the machine is a pair in this epoch.
    pub(crate) fn is_pair_in(&mut self, epoch: u64) -> Result<bool> {
        let record = self.arbiter.read()?;
        Ok(record.is_some_and(|record| record.epoch.0 == epoch && record.backup().is_some()))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a node process on a host. The first one of all may start the machine.
    pub(crate) fn start(&mut self, host: usize) -> Result<()> {
        let host = &mut self.hosts[host];
        let config = host.config.display().to_string();
        host.process = Some(Process::start(&["node", "--config", &config], &host.log)?);
        Ok(())
    }

    /// From now on, no node may start the machine anew: it must join the one that runs.
    pub(crate) fn forbid_starting(&self) -> Result<()> {
        for host in &self.hosts {
            let text = fs::read_to_string(&host.config)?;
            fs::write(
                &host.config,
                text.replace("may_start = true", "may_start = false"),
            )?;
        }
        Ok(())
    }

    /// SIGKILL for a node process.
    pub(crate) fn kill(&mut self, host: usize) {
        self.hosts[host].process = None;
    }

    /// Which nodes have a process.
    pub(crate) fn running(&self) -> [bool; 2] {
        self.hosts.each_ref().map(|host| host.process.is_some())
    }

    /// The view that each node has of itself; none where there is no process, or it is not up yet.
    pub(crate) fn status(&self) -> [Option<NodeStatus>; 2] {
        self.hosts.each_ref().map(|host| {
            host.process.as_ref()?;
            control::status(&host.control).ok()
        })
    }

    /// Nodes that ended by themselves as the protocol wants it, and what they said: they were too slow for their peer, which
    /// went on without them.
    ///
    /// # Errors
    /// A process ended for another reason.
    pub(crate) fn take_ended(&mut self) -> Result<Vec<(usize, String)>> {
        self.check_switch()?;
        let mut ended = Vec::new();
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let Some(process) = &mut host.process else {
                continue;
            };
            let Some(status) = process.ended() else {
                continue;
            };
            let words = process.last_words();
            if !status.code().is_some_and(|code| GIVEN_UP.contains(&code)) {
                bail!("node {} ended ({status}); it said: {words}", NAMES[index]);
            }
            host.process = None;
            ended.push((index, words));
        }
        Ok(ended)
    }

    /// Whether the guest has said that it is ready, or why it is not.
    pub(crate) fn guest_is_ready(&self) -> Result<bool> {
        let said = fs::read(&self.console).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        if let Some(line) = said.lines().find(|line| line.contains(guest::FAILED)) {
            bail!("the guest failed to start: {line}");
        }
        Ok(said.contains(guest::READY))
    }
}

/// An address that nothing listens on just now.
fn free_tcp_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no TCP port is free")?;
    Ok(listener.local_addr()?)
}

fn free_udp_address() -> Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port is free")?;
    Ok(socket.local_addr()?)
}

/// The file that says how far a build is, so that a failed demo leaves more than nothing.
pub(crate) fn note(directory: &Path, text: &str) {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("demo.log"));
    // The story is also told on the screen.
    let _ = file.and_then(|mut file: File| {
        std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes())
    });
}
