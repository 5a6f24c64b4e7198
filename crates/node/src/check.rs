//! What would keep a node from starting, or from being of use, found without starting it: `futago node --check`. Each look is
//! one that a node's start takes, or the part of it that changes nothing: no file is made, and nothing is written.

use crate::agreement::agreement_of;
use crate::arbiter::{ArbiterStore as _, DirectoryArbiter, SeenFile, check_age};
use crate::certificate::{date, days_left};
use crate::config::{Config, NodeAddress};
use crate::console;
use crate::engine::EngineChoice;
use crate::listener;
use crate::new_files;
use crate::node::{engine_of, files_needed, listen_address, own_identity};
use crate::open_files;
use crate::room::Room;
use crate::switch::{SwitchSecret, can_connect, is_socket, key_of_node};
use crate::transport::{addresses_of, bind_port};
use crate::vm::VmOptions;
use anyhow::{Context, anyhow, bail, ensure};
use replication::{Mode, Record};
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::SystemTime;

/// One thing that a node needs.
#[derive(Debug)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// What is there, or what is wrong and what to do about it.
    pub found: anyhow::Result<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found } = self;
        let (verdict, words) = match found {
            Ok(words) => ("ok", words.clone()),
            Err(error) => ("WRONG", format!("{error:#}")),
        };
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{verdict:<5}  {what}: {words}")
    }
}

/// Looks at all that a node with this configuration needs on this host, one after the other.
pub fn check_node(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |what: &str, found: anyhow::Result<String>| {
        let is_well = found.is_ok();
        let what = what.to_owned();
        findings.push(Finding { what, found });
        is_well
    };
    look("open files", open_files(config));
    look("certificate", certificate(config));
    look("accepts", Ok(accepts(config)));
    let engine = engine_of(config);
    let room = engine.as_ref().ok().map(|engine| memory(config, *engine));
    let options = engine
        .as_ref()
        .ok()
        .map(|engine| VmOptions::of_config(&config.machine, *engine));
    look("engine", engine.map(|engine| engine.kind().to_string()));
    let mut may_boot = room.is_some_and(|room| look("memory", room));
    if let Some(options) = options {
        if config.node.may_start {
            for image in options.images() {
                if let Some(path) = image.path {
                    let read = image.read().map(|bytes| {
                        let bytes = bytes.map_or(0, |bytes| bytes.len());
                        format!("{}, {bytes} bytes", path.display())
                    });
                    may_boot &= look(image.what, read);
                }
            }
        }
        if may_boot {
            look("machine", machine(config, &options));
        }
    }
    if let Some(socket) = &config.machine.network {
        look("network", network(config, socket));
    }
    look("store", store(config));
    let seen = config.seen_file();
    look(
        "seen",
        new_files::can_be_made(&seen)
            .map(|()| format!("{} can be written", seen.display()))
            .with_context(|| format!("cannot write {}, or the file beside it that replaces it: its directory must be there, and writable by this user", seen.display())),
    );
    let sockets = [
        ("control", Some(&config.node.control)),
        ("control_look", config.node.control_look.as_ref()),
    ];
    for (what, path) in sockets {
        if let Some(path) = path {
            let can = listener::look(path);
            look(what, can.map(|()| format!("{} is free", path.display())));
        }
    }
    if let Some(path) = &config.node.console {
        look("console", console::look_at_file(path));
    }
    let listen = listen_address(&config.node.listen);
    let bound = listen.as_ref().ok().copied();
    let free = |listen| bind_port(listen).map(|_| format!("UDP {listen} is free"));
    look("listen", listen.and_then(free));
    // Where the address is not this host's, nothing can be said of ways from it.
    if let Some(listen) = bound
        && let Ok(socket) = UdpSocket::bind((listen.ip(), 0))
    {
        for peer in &config.node.peers {
            look("peer", peer_at(&socket, peer, listen));
        }
    }
    findings
}

fn open_files(config: &Config) -> anyhow::Result<String> {
    let needed = files_needed(config);
    open_files::ensure_room(needed)?;
    Ok(format!("this process may open {needed}"))
}

fn certificate(config: &Config) -> anyhow::Result<String> {
    let facts = own_identity(config)?.facts;
    let days = days_left(facts.ends, SystemTime::now());
    Ok(format!(
        "for {}, until {}, which is in {days} days",
        facts.subject,
        date(facts.ends)
    ))
}

fn accepts(config: &Config) -> String {
    match &config.node.accepts[..] {
        [] => "nobody, so that the machine stays alone".to_owned(),
        names => names.join(", "),
    }
}

fn memory(config: &Config, engine: EngineChoice) -> anyhow::Result<String> {
    let free = Room::open().free_bytes();
    let guest = config.machine.memory.0;
    let beside = engine.memory_bytes_max(guest);
    let needs = format!(
        "the guest may take {} MiB, and the {} {} MiB beside it",
        guest >> 20,
        engine.kind(),
        beside.div_ceil(1 << 20)
    );
    ensure!(
        guest.saturating_add(beside) <= free,
        "this host has {} MiB free, but {needs}: choose a smaller `node.code_cache` or `machine.memory`, or make room",
        free >> 20
    );
    Ok(match free {
        u64::MAX => needs,
        _ => format!("{} MiB are free; {needs}", free >> 20),
    })
}

fn machine(config: &Config, options: &VmOptions) -> anyhow::Result<String> {
    if !config.node.may_start {
        agreement_of(config)?;
        return Ok("`may_start` is false: it comes from a peer".to_owned());
    }
    options.boot()?;
    Ok(format!("`{}` can be started", config.machine.name))
}

fn network(config: &Config, socket: &Path) -> anyhow::Result<String> {
    is_socket(socket)?;
    let machine = config.machine_id();
    let key = key_of_node(config.keys.network.as_deref(), socket, machine)?;
    let Some(key) = key else {
        // It may take one connection and no other.
        return Ok(format!(
            "{} is no switch of ours, and is left alone",
            socket.display()
        ));
    };
    can_connect(socket)?;
    // Whoever may read the secret can tell whether a key that was handed over belongs to this switch and this machine.
    if let Some(file) = &config.keys.network
        && SwitchSecret::path(socket).exists()
        && let Ok(secret) = SwitchSecret::load_or_create(socket)
        && secret.machine_key(machine) != key
    {
        bail!(
            "{} is not the key of machine `{}` at the switch {}: `futago switch --machine-key {1} --socket {2}` prints it",
            file.display(),
            config.machine.name,
            socket.display()
        );
    }
    Ok(format!("the switch at {} answers", socket.display()))
}

fn store(config: &Config) -> anyhow::Result<String> {
    let (root, machine) = (&config.arbiter.directory, config.machine_id());
    let mut store = DirectoryArbiter::open(root, machine)?;
    let record = store.look()?;
    let seen = SeenFile::new(&config.seen_file()).load_of(machine, store.id(), root)?;
    if let Some(seen) = seen {
        check_age(root, record, seen.epoch)?;
    }
    store.look_whether_writable()?;
    Ok(format!(
        "{} is store {}, {}",
        root.display(),
        store.id(),
        said(record)
    ))
}

fn said(record: Option<Record>) -> String {
    let Some(record) = record else {
        return "in which the machine was never started".to_owned();
    };
    let mode = match record.mode {
        Mode::Solo => "the machine is alone",
        Mode::Pair { .. } => "the machine is a pair",
        Mode::Down => "the machine is off",
    };
    format!("whose newest record is of epoch {}: {mode}", record.epoch.0)
}

/// Where a peer is, and whether datagrams could leave for it.
fn peer_at(socket: &UdpSocket, peer: &NodeAddress, listen: SocketAddr) -> anyhow::Result<String> {
    let addresses = addresses_of(peer, listen)
        .map_err(|problem| anyhow!("nobody can be asked at {peer} of `node.peers`: {problem}"))?;
    let mut ways = Vec::new();
    for address in addresses {
        ways.push(route(socket, address)?);
    }
    Ok(ways.join(", "))
}

/// Whether datagrams could leave for a peer; none does.
fn route(socket: &UdpSocket, peer: SocketAddr) -> anyhow::Result<String> {
    socket.connect(peer).with_context(|| {
        format!("nothing can be sent to {peer}: correct `node.peers` or `node.listen`, or this host's routes")
    })?;
    Ok(format!("{peer} can be sent to"))
}
