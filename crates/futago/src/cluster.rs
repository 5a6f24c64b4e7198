//! The commands of a protected machine: its nodes, their switch and keys, and what asks and steers them.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use node::control::NoAnswer;
use node::status::{Mode, NodeStatus};
use node::switch::{Forward, SwitchConfig, SwitchSecret, Uplink, run_switch_process};
use node::{Config, control};

#[derive(Args)]
#[group(skip)]
#[command(after_help = ENDINGS)]
pub(crate) struct Node {
    #[command(flatten)]
    wish: NodeWish,
    /// With --example: the node that it pairs with [default: b for a, and a for b]
    #[arg(long, value_name = "NAME", requires = "example")]
    peer: Option<String>,
    #[command(flatten)]
    sandbox: Sandboxed,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct NodeWish {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a commented configuration for the node NAME. It runs as it is beside what `futago guest build --output .`,
    /// `futago keys` and `futago arbiter init` make.
    #[arg(long, value_name = "NAME")]
    example: Option<String>,
    /// Look what would keep the node of this configuration from running, and start and change nothing. One line for each
    /// thing that it needs; exit status 1 if anything is wrong.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Whether a process keeps what it needs no more once it is up.
#[derive(Args)]
pub(crate) struct Sandboxed {
    /// Do not confine this process: let it open files and sockets, and start programs, as any of its user's.
    #[arg(long)]
    no_sandbox: bool,
}

impl Sandboxed {
    pub(crate) fn is_confined(&self) -> bool {
        !self.no_sandbox
    }
}

#[derive(Args)]
pub(crate) struct Switch {
    /// The UNIX socket to listen on: QEMU's stream protocol.
    #[arg(long, value_name = "SOCKET")]
    socket: PathBuf,
    /// Print the key of the machine NAME at this switch, for nodes that may not read its secret, and end.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = UPLINK)]
    machine_key: Option<String>,
    /// Connect only what connects to the socket, with no way out.
    #[arg(long, conflicts_with_all = UPLINK)]
    no_uplink: bool,
    /// Forward TCP connections to this port of the host to the guest; may be given more than once. Without an address
    /// it is 127.0.0.1, which this host alone reaches; 0.0.0.0 opens the port to all that reach this host.
    #[arg(long, value_name = "[ADDRESS/]PORT:GUEST_PORT")]
    forward: Vec<Forward>,
    /// The guest's address.
    #[arg(long, value_name = "ADDRESS", default_value_t = Uplink::default().guest)]
    guest: Ipv4Addr,
    /// The guest's gateway.
    #[arg(long, value_name = "ADDRESS", default_value_t = Uplink::default().gateway)]
    gateway: Ipv4Addr,
    #[command(flatten)]
    sandbox: Sandboxed,
}

/// Options that are for the way out, and mean nothing without one.
const UPLINK: [&str; 3] = ["forward", "guest", "gateway"];

/// All that passt is told, and where it finds the switch.
#[derive(Args)]
pub(crate) struct KeptUplink {
    #[arg(long)]
    socket: PathBuf,
    #[arg(long)]
    program: PathBuf,
    #[arg(long)]
    forward: Vec<Forward>,
    #[arg(long)]
    guest: Ipv4Addr,
    #[arg(long)]
    gateway: Ipv4Addr,
    #[arg(long)]
    prefix: u8,
    #[arg(long)]
    mtu: u16,
}

/// Which node.
#[derive(Args)]
pub(crate) struct Control {
    /// The node's control socket, as its configuration names it.
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
}

#[derive(Args)]
#[command(after_help = HEALTH)]
pub(crate) struct Status {
    #[command(flatten)]
    node: Control,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
    /// Answer as soon as the machine is like this; also wait for a node that does not run yet.
    #[arg(long, value_name = "MODE")]
    wait: Option<Awaited>,
    /// Answer after so long, whatever the machine is like.
    #[arg(long = "for", value_name = "SECONDS", requires = "wait")]
    patience_s: Option<u32>,
}

/// What can be waited for.
#[derive(Clone, Copy, ValueEnum)]
enum Awaited {
    /// Either of its two hosts can be lost.
    Protected,
}

/// What the exit status of `futago status` says.
const HEALTH: &str = "\
Exit status:
   0  the machine is protected: either of its two hosts can be lost
   1  this node could not be asked: see the sentence
  10  the machine runs, and is not protected
  11  this node is starting, joining or taking over
  12  this node does not run
  13  this node does not answer: its process is stopped, or stuck";

/// What the exit status of `futago node` says.
const ENDINGS: &str = "\
Exit status:
   0  the machine was switched off (a guest's reset does that, too), or the node
      was told to stop
   1  something is missing or broken on this host
   3  another node is the machine, or an operator ended it
   4  this backup's state differs from its primary's
   5  this backup is not needed any more
   6  its peers are configured otherwise, or are another machine
   7  only an operator can help: the state is lost, or the store is a copy";

#[derive(Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    node: Control,
    /// Switch the machine off instead, on both hosts.
    #[arg(long)]
    power_off: bool,
    /// End the node although the machine's only state ends with it.
    #[arg(long, conflicts_with = "power_off")]
    give_up: bool,
}

/// Runs `futago node`.
pub(crate) fn node(arguments: &Node) -> Result<ExitCode> {
    if let Some(path) = &arguments.wish.check {
        return check(path);
    }
    let Some(path) = &arguments.wish.config else {
        let name = arguments.wish.example.as_deref().unwrap_or_default();
        let text = Config::example(name, peer_of(name, arguments.peer.as_deref())?)?;
        crate::output::lock().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let reason = node::run_node(Config::load(path)?, arguments.sandbox.is_confined())?;
    if reason.code() == 0 {
        tracing::info!(target: node::log::STORY, "{reason}");
    } else {
        node::log::say(&format!("futago: {reason}"));
    }
    Ok(ExitCode::from(reason.code()))
}

/// Runs `futago node --check`.
fn check(path: &Path) -> Result<ExitCode> {
    let findings = node::check::check_node(&Config::load(path)?);
    let mut out = crate::output::lock();
    for finding in &findings {
        writeln!(out, "{}", node::log::unnumbered(&finding.to_string()))?;
    }
    Ok(match findings.iter().all(|finding| finding.found.is_ok()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// With whom the node of an example pairs.
fn peer_of<'a>(name: &str, peer: Option<&'a str>) -> Result<&'a str> {
    match (peer, name) {
        (Some(peer), _) => Ok(peer),
        (None, "a") => Ok("b"),
        (None, "b") => Ok("a"),
        (None, _) => {
            node::keys::check_name(name)?;
            bail!(
                "say which node `{name}` pairs with, as `futago keys` names it: `futago node --example {name} --peer NAME`"
            )
        }
    }
}

/// Runs `futago switch`.
pub(crate) fn switch(arguments: Switch) -> Result<ExitCode> {
    if let Some(name) = &arguments.machine_key {
        let key = SwitchSecret::load_or_create(&arguments.socket)?.machine_key_text(name);
        crate::output::lock().write_all(key.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let uplink = Uplink {
        guest: arguments.guest,
        gateway: arguments.gateway,
        tcp_forwards: arguments.forward,
        ..Uplink::default()
    };
    let config = SwitchConfig {
        socket: arguments.socket,
        uplink: (!arguments.no_uplink).then_some(uplink),
    };
    let counters = run_switch_process(&config, arguments.sandbox.is_confined())?;
    tracing::info!(?counters, "the switch ends");
    Ok(ExitCode::SUCCESS)
}

/// Runs `futago uplink`.
pub(crate) fn uplink(arguments: KeptUplink) -> Result<ExitCode> {
    let uplink = Uplink {
        program: arguments.program,
        guest: arguments.guest,
        gateway: arguments.gateway,
        prefix: arguments.prefix,
        mtu: arguments.mtu,
        tcp_forwards: arguments.forward,
    };
    node::switch::keep_uplink(&uplink, &arguments.socket)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `futago status`.
pub(crate) fn status(arguments: &Status) -> Result<ExitCode> {
    let patience = arguments
        .patience_s
        .map(|seconds| Duration::from_secs(seconds.into()));
    let begun = Instant::now();
    loop {
        let answer = control::status(&arguments.node.socket);
        let health = health(&answer);
        // What is no matter of time is not waited for.
        let Some(health) = health else {
            return answer.map(|_| ExitCode::FAILURE);
        };
        let is_over = patience.is_some_and(|patience| begun.elapsed() >= patience);
        if arguments.wait.is_none() || health == PROTECTED || is_over {
            show(arguments, answer)?;
            return Ok(ExitCode::from(health));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Between two questions to a node while something is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const PROTECTED: u8 = 0;

/// The exit status that an answer means; none where it is one that says nothing of the machine.
fn health(answer: &Result<NodeStatus>) -> Option<u8> {
    match answer {
        Ok(status) if status.protected => Some(PROTECTED),
        Ok(status) => Some(match status.mode {
            Mode::Protected | Mode::Alone | Mode::Unsure => 10,
            Mode::Starting | Mode::Joining | Mode::TakingOver => 11,
            Mode::Ended => 12,
        }),
        Err(error) => match error.downcast_ref()? {
            NoAnswer::NotRunning(_) => Some(12),
            NoAnswer::Mute(_) => Some(13),
        },
    }
}

fn show(arguments: &Status, answer: Result<NodeStatus>) -> Result<()> {
    let said = match answer {
        Ok(status) if arguments.json => serde_json::to_string(&status)? + "\n",
        Ok(status) => status.to_string(),
        Err(error) => {
            node::log::say(&format!("futago: {}", crate::sentence::sentence(&error)));
            return Ok(());
        }
    };
    crate::output::lock().write_all(node::log::unnumbered(&said).as_bytes())?;
    Ok(())
}

/// Runs `futago console`.
pub(crate) fn console(arguments: &Control) -> Result<ExitCode> {
    crate::console::run(&arguments.socket)
}

/// Runs `futago stop`.
pub(crate) fn stop(arguments: &Stop) -> Result<ExitCode> {
    if arguments.power_off {
        control::power_off(&arguments.node.socket)?;
    } else {
        control::stop(&arguments.node.socket, arguments.give_up)?;
    }
    Ok(ExitCode::SUCCESS)
}
