//! The switch over real sockets, with nodes, plain peers and passt on it.

use crate::guest_station::{self, MAC, receive, send};
use node::config::MacAddress;
use node::switch::{SwitchClient, SwitchConfig, SwitchEvent, SwitchHello, Uplink, run_switch};
use replication::{Epoch, MachineId};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(20);

/// A switch on a thread of its own.
struct Running {
    socket: PathBuf,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<node::switch::SwitchCounters>>,
    _directory: tempfile::TempDir,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn start(uplink: Option<Uplink>) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("switch.sock");
    let (stop, stopped) = oneshot::channel();
    let config = SwitchConfig {
        socket: socket.clone(),
        uplink,
    };
    let thread = thread::spawn(move || {
        runtime().block_on(run_switch(&config, async {
            let _ = stopped.await;
        }))
    });
    wait_until("the switch listens", || {
        UnixStream::connect(&socket).is_ok()
    });
    Running {
        socket,
        stop,
        thread,
        _directory: directory,
    }
}

impl Running {
    fn stop(self) -> node::switch::SwitchCounters {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap()
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(5));
    }
}

fn hello(epoch: u64) -> SwitchHello {
    SwitchHello {
        machine: MachineId(9),
        epoch: Epoch(epoch),
        mac: MacAddress(MAC),
    }
}

fn frame(destination: [u8; 6], source: [u8; 6], word: u8) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    frame.extend_from_slice(&[0x12, 0x34, word]);
    frame
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn the_successor_fences_the_zombie() {
    let switch = start(None);
    let station = [0x02, 0, 0, 0, 0, 1];
    let mut plain = connect(&switch.socket);
    runtime().block_on(async {
        let (events, mut received) = mpsc::channel(16);
        let first = SwitchClient::connect(&switch.socket, Some(hello(3)), events).unwrap();
        first.send(&node::switch::announcement(MacAddress(MAC)));
        assert_eq!(receive(&mut plain).unwrap()[12..14], [0x80, 0x35]);
        send(&mut plain, &frame(MAC, station, 1));
        let SwitchEvent::Frame(arrived) = received.recv().await.unwrap() else {
            panic!("the port was closed");
        };
        assert_eq!(arrived.last(), Some(&1));

        let (events, mut received_by_second) = mpsc::channel(16);
        let second = SwitchClient::connect(&switch.socket, Some(hello(4)), events).unwrap();
        second.send(&frame(station, MAC, 2));
        assert_eq!(receive(&mut plain).unwrap().last(), Some(&2));
        first.send(&frame(station, MAC, 66));
        second.send(&frame(station, MAC, 3));
        // What the zombie said before `second` may come late, but it never comes.
        assert_eq!(receive(&mut plain).unwrap().last(), Some(&3));
        send(&mut plain, &frame(MAC, station, 4));
        // What its predecessor had received is said again to the successor, then goes on.
        for word in [1, 4] {
            let SwitchEvent::Frame(arrived) = received_by_second.recv().await.unwrap() else {
                panic!("the port was closed");
            };
            assert_eq!(arrived.last(), Some(&word));
        }
        assert!(received.try_recv().is_err(), "the zombie hears nothing");
    });
    plain.set_nonblocking(true).unwrap();
    assert_eq!(
        plain.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(switch.stop().fenced, 1);
}

#[test]
fn nonsense_closes_the_port_and_nothing_else() {
    let switch = start(None);
    let mut plain = connect(&switch.socket);
    let mut other = connect(&switch.socket);
    let mut hostile = connect(&switch.socket);
    hostile.write_all(&[0xff; 64]).unwrap();
    // A reset and an end are both a closed port.
    assert!(!matches!(hostile.read(&mut [0; 16]), Ok(1..)));
    let mut wrong_version = connect(&switch.socket);
    let mut bytes = hello(1).to_frame();
    bytes[21] = 99;
    send(&mut wrong_version, &bytes);
    assert!(!matches!(wrong_version.read(&mut [0; 16]), Ok(1..)));
    send(&mut plain, &frame([0xff; 6], [2, 0, 0, 0, 0, 9], 7));
    assert_eq!(receive(&mut other).unwrap().last(), Some(&7));
    switch.stop();
}

#[test]
fn a_socket_in_use_is_explained_and_a_dead_one_replaced() {
    let switch = start(None);
    let config = SwitchConfig {
        socket: switch.socket.clone(),
        uplink: None,
    };
    let error = runtime()
        .block_on(run_switch(&config, async {}))
        .unwrap_err();
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    switch.stop();
    drop(std::os::unix::net::UnixListener::bind(&config.socket));
    // The directory is gone with the switch: bind a dead socket elsewhere.
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let config = SwitchConfig {
        socket,
        uplink: None,
    };
    runtime().block_on(run_switch(&config, async {})).unwrap();
}

/// Sends through the host's port to the guest and back.
fn echo_through(address: SocketAddr, text: &[u8]) -> std::io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    for _ in 0..20 {
        client.write_all(text)?;
        let mut back = vec![0; text.len()];
        client.read_exact(&mut back)?;
        assert_eq!(back, text);
    }
    Ok(())
}

/// passt processes that this one started, with `argument`: other tests may start passt at the same time.
fn passt_children(argument: &str) -> Vec<String> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let (state, parent) = (fields.next(), fields.next());
        if state == Some("Z") {
            continue;
        }
        let is_child = parent == Some(std::process::id().to_string().as_str());
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_ours = arguments
            .split(|&byte| byte == 0)
            .any(|word| word == argument.as_bytes());
        if stat.contains("(passt") && is_child && is_ours {
            children.push(entry.file_name().into_string().unwrap());
        }
    }
    children
}

#[test]
fn a_client_reaches_a_guest_through_passt_also_after_passt_died() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let forward = format!("127.0.0.1/{}:6379", address.port());
    let switch = start(Some(Uplink {
        tcp_forwards: vec![forward.clone()],
        ..Uplink::default()
    }));
    let socket = switch.socket.clone();
    let guest = thread::spawn(move || guest_station::echo(&socket, &hello(1).to_frame()));
    wait_until("the guest answers", || {
        echo_through(address, b"twins").is_ok()
    });
    let children = passt_children(&forward);
    assert_eq!(children.len(), 1, "one passt runs");
    // passt that dies young is taken for one that cannot work: let it come of age.
    thread::sleep(Duration::from_millis(1100));
    assert!(
        Command::new("kill")
            .arg("-KILL")
            .args(&children)
            .status()
            .unwrap()
            .success()
    );
    wait_until("another passt runs", || {
        let now = passt_children(&forward);
        !now.is_empty() && now != children
    });
    wait_until("the guest answers again", || {
        echo_through(address, b"twins").is_ok()
    });
    let counters = switch.stop();
    assert!(counters.forwarded > 40);
    guest.join().unwrap();
    wait_until("passt leaves with the switch", || {
        passt_children(&forward).is_empty()
    });
}

#[test]
fn an_uplink_that_cannot_work_is_explained() {
    let run = |uplink: Uplink| {
        let directory = tempfile::tempdir().unwrap();
        let config = SwitchConfig {
            socket: directory.path().join("s"),
            uplink: Some(uplink),
        };
        let error = runtime()
            .block_on(run_switch(&config, std::future::pending()))
            .unwrap_err();
        format!("{error:#}")
    };
    let missing = run(Uplink {
        program: PathBuf::from("no-such-passt"),
        ..Uplink::default()
    });
    assert!(missing.contains("is not installed"), "{missing}");
    let wrong = run(Uplink {
        tcp_forwards: vec!["nonsense".to_owned()],
        ..Uplink::default()
    });
    assert!(
        wrong.contains("passt ended at once") && wrong.contains("nonsense"),
        "{wrong}"
    );
}
