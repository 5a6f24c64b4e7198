//! The switch over real sockets, with nodes, plain peers and passt on it.

use crate::guest_station::{self, MAC, receive, send};
use node::config::MacAddress;
use node::names::machine_id;
use node::switch::{
    PortCounters, Speaker, SwitchClient, SwitchConfig, SwitchEvent, SwitchSecret, Uplink,
    key_of_node, run_switch, run_switch_process,
};
use replication::{Epoch, NodeId};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
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

/// Of one and the same node in each epoch.
fn speaker(socket: &Path, epoch: u64) -> Speaker {
    let machine = machine_id("twins");
    Speaker {
        machine,
        key: key_of_node(None, socket, machine).unwrap().unwrap(),
        node: NodeId(u128::from(epoch)),
        epoch: Epoch(epoch),
        mac: MacAddress(MAC),
    }
}

/// A port, what it hears, and what it drops.
struct Port {
    client: SwitchClient,
    events: mpsc::Receiver<SwitchEvent>,
    counters: Arc<PortCounters>,
}

impl Port {
    fn connect(socket: &Path, speaker: Option<Speaker>) -> Self {
        let (sender, events) = mpsc::channel(16);
        let counters = Arc::<PortCounters>::default();
        let client = SwitchClient::connect(socket, speaker, Arc::clone(&counters), sender).unwrap();
        Self {
            client,
            events,
            counters,
        }
    }

    async fn next(&mut self) -> SwitchEvent {
        self.events.recv().await.unwrap()
    }

    async fn admitted(&mut self) {
        let event = self.next().await;
        assert!(matches!(event, SwitchEvent::Admitted), "{event:?}");
    }

    /// The last byte of the next frame.
    async fn word(&mut self) -> u8 {
        match self.next().await {
            SwitchEvent::Frame(frame) => *frame.last().unwrap(),
            event => panic!("{event:?}"),
        }
    }

    async fn closed(&mut self) -> String {
        match self.next().await {
            SwitchEvent::Closed(why) => why,
            event => panic!("{event:?}"),
        }
    }
}

/// The next frame at a plain port, without standing in the way of the ports of this thread.
async fn next_at(plain: &UnixStream) -> Vec<u8> {
    let mut plain = plain.try_clone().unwrap();
    tokio::task::spawn_blocking(move || receive(&mut plain).unwrap())
        .await
        .unwrap()
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
        let mut first = Port::connect(&switch.socket, Some(speaker(&switch.socket, 3)));
        first
            .client
            .send(&node::switch::announcement(MacAddress(MAC)));
        assert_eq!(next_at(&plain).await[12..14], [0x80, 0x35]);
        first.admitted().await;
        send(&mut plain, &frame(MAC, station, 1));
        assert_eq!(first.word().await, 1);

        let mut second = Port::connect(&switch.socket, Some(speaker(&switch.socket, 4)));
        second.client.send(&frame(station, MAC, 2));
        assert_eq!(next_at(&plain).await.last(), Some(&2));
        first.client.send(&frame(station, MAC, 66));
        second.client.send(&frame(station, MAC, 3));
        // What the zombie said before `second` may come late, but it never comes.
        assert_eq!(next_at(&plain).await.last(), Some(&3));
        send(&mut plain, &frame(MAC, station, 4));
        second.admitted().await;
        // What its predecessor had received is said again to the successor, then goes on.
        assert_eq!((second.word().await, second.word().await), (1, 4));
        // The zombie hears nothing but that, without having asked.
        let why = first.closed().await;
        assert!(why.contains("a newer epoch"), "{why}");
        // The same owner in a newer epoch proves that, too.
        second.client.speak_as(Epoch(6));
        second.client.send(&frame(station, MAC, 5));
        assert_eq!(next_at(&plain).await.last(), Some(&5));
        second.admitted().await;
        let mut late = Port::connect(&switch.socket, Some(speaker(&switch.socket, 5)));
        late.client.send(&frame(station, MAC, 66));
        let why = late.closed().await;
        assert!(why.contains("a newer epoch"), "{why}");
    });
    plain.set_nonblocking(true).unwrap();
    assert_eq!(
        plain.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let counters = switch.stop();
    assert_eq!((counters.fenced, counters.claims_refused), (1, 1));
}

/// What the root of a guest can do: send any frame, here the very bytes by which a node once spoke for a machine, and
/// those by which it does today.
#[test]
fn a_guest_gets_no_rights_by_what_it_says() {
    let switch = start(None);
    let station = [0x02, 0, 0, 0, 0, 1];
    let hostile = [0x02, 0, 0, 0, 0, 6];
    let mut plain = connect(&switch.socket);
    let mut qemu = connect(&switch.socket);
    let claim = |version: u8, kind: &[u8]| {
        let mut frame = [&[0x01, 0x80, 0xc2, 0, 0, 0x0f], &MAC[..], &[0x88, 0xb5]].concat();
        frame.extend_from_slice(b"futago\0");
        frame.extend_from_slice(&[version, 0]);
        frame.extend_from_slice(kind);
        frame.extend_from_slice(&machine_id("twins").0.to_le_bytes());
        frame.extend_from_slice(&u64::MAX.to_le_bytes());
        frame.extend_from_slice(&MAC);
        frame.resize(128, 0);
        frame
    };
    let claims = [claim(1, &[]), claim(2, &[2])];
    runtime().block_on(async {
        let mut node = Port::connect(&switch.socket, Some(speaker(&switch.socket, 3)));
        node.client.send(&frame(station, MAC, 1));
        assert_eq!(next_at(&plain).await.last(), Some(&1));
        node.admitted().await;
        // By a plain port, and through its own node, or one that lets it through.
        for claim in &claims {
            send(&mut qemu, claim);
            node.client.send(claim);
        }
        send(&mut qemu, &frame([0xff; 6], hostile, 2));
        assert_eq!(next_at(&plain).await.last(), Some(&2));
        assert_eq!(node.counters.reserved.load(Ordering::Relaxed), 2);
        // It cannot speak from the machine's address, and the machine goes on.
        send(&mut qemu, &frame([0xff; 6], MAC, 66));
        assert_eq!(node.word().await, 2);
        node.client.send(&frame(station, MAC, 3));
        assert_eq!(next_at(&plain).await.last(), Some(&3));
        send(&mut plain, &frame(MAC, station, 4));
        assert_eq!(node.word().await, 4);
        // Another machine's node proves its own, and nothing else.
        let mut other = speaker(&switch.socket, 9);
        let machine = machine_id("other");
        other.key = key_of_node(None, &switch.socket, machine).unwrap().unwrap();
        let mut port = Port::connect(&switch.socket, Some(other.clone()));
        let why = port.closed().await;
        assert!(why.contains("another key"), "{why}");
        other.machine = machine;
        let mut port = Port::connect(&switch.socket, Some(other));
        let why = port.closed().await;
        assert!(why.contains("change `machine.mac`"), "{why}");
    });
    let counters = switch.stop();
    assert_eq!(
        (counters.forged, counters.foreign, counters.claims_refused),
        (3, 1, 1)
    );
}

/// What a node has no time for stays with the switch, where each sender has its share.
#[test]
fn whoever_floods_a_machine_takes_nothing_from_others() {
    const FLOOD_FRAMES: usize = 50_000;
    let switch = start(None);
    let mut plain = connect(&switch.socket);
    let mut flood = connect(&switch.socket);
    runtime().block_on(async {
        let mut node = Port::connect(&switch.socket, Some(speaker(&switch.socket, 3)));
        node.admitted().await;
        let mut noise = frame(MAC, [2, 0, 0, 0, 0, 6], 0);
        noise.resize(1_500, 0);
        let flooding = tokio::task::spawn_blocking(move || {
            (0..FLOOD_FRAMES).for_each(|_| send(&mut flood, &noise));
            flood
        });
        // The port is asked for nothing meanwhile.
        let _flood = flooding.await.unwrap();
        for word in 1..=200 {
            send(&mut plain, &frame(MAC, [2, 0, 0, 0, 0, 1], word));
        }
        let mut heard = Vec::new();
        while heard.len() < 200 {
            let word = node.word().await;
            heard.extend(Some(word).filter(|word| *word != 0));
        }
        assert!(heard.into_iter().eq(1..=200));
    });
    let counters = switch.stop();
    assert!(counters.overflowed > 0, "no flood: {counters:?}");
}

#[test]
fn nonsense_closes_the_port_and_nothing_else() {
    let switch = start(None);
    let mut plain = connect(&switch.socket);
    let mut other = connect(&switch.socket);
    let mut hostile = connect(&switch.socket);
    hostile.write_all(&[0xff; 64]).unwrap();
    assert!(receive(&mut hostile).is_none());
    send(&mut plain, &frame([0xff; 6], [2, 0, 0, 0, 0, 9], 7));
    assert_eq!(receive(&mut other).unwrap().last(), Some(&7));
    switch.stop();
}

/// Tells a copy of this test binary that it is a switch with few descriptors, and on which socket.
const SWITCH_SOCKET: &str = "FUTAGO_TEST_SWITCH_SOCKET";

/// Not a test of its own: the switch of the next one.
#[test]
fn switch_process() {
    if let Ok(socket) = std::env::var(SWITCH_SOCKET) {
        let few = Rlimit {
            current: Some(32),
            maximum: Some(32),
        };
        setrlimit(Resource::Nofile, few).unwrap();
        let config = SwitchConfig {
            socket: PathBuf::from(socket),
            uplink: None,
        };
        let counters = run_switch_process(&config, true).unwrap();
        println!("accept failures: {}", counters.accept_failures);
        std::process::exit(0);
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_switch_without_descriptors_left_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("switch.sock");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "switch::switch_process", "--nocapture"])
        .env(SWITCH_SOCKET, &socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    wait_until("the switch listens", || {
        UnixStream::connect(&socket).is_ok()
    });
    let (mut a, mut b) = (connect(&socket), connect(&socket));
    let word = |a: &mut UnixStream, b: &mut UnixStream, word| {
        send(a, &frame([0xff; 6], [2, 0, 0, 0, 0, 9], word));
        assert_eq!(receive(b).unwrap().last(), Some(&word));
    };
    word(&mut a, &mut b, 1);
    // More than it has descriptors for: those that it took are asked who they are, the others wait.
    let crowd: Vec<_> = (0..60).map(|_| connect(&socket)).collect();
    word(&mut a, &mut b, 2);
    let waits = |stream: &UnixStream| {
        stream.set_nonblocking(true).unwrap();
        (&*stream)
            .read(&mut [0])
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    assert!(waits(crowd.last().unwrap()));
    drop(crowd);
    let mut c = connect(&socket);
    wait_until("a new port is served", || {
        send(&mut c, &frame([0xff; 6], [2, 0, 0, 0, 0, 10], 3));
        receive(&mut b).is_some_and(|frame| frame.last() == Some(&3))
    });
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let mut said = String::new();
    let mut stdout = process.0.stdout.take().unwrap();
    stdout.read_to_string(&mut said).unwrap();
    let failures = said.split("accept failures: ").nth(1).unwrap();
    assert_ne!(failures.split_whitespace().next(), Some("0"), "{said}");
}

#[test]
fn the_switch_and_its_secret_are_for_its_user_alone() {
    let switch = start(None);
    for path in [&switch.socket, &SwitchSecret::path(&switch.socket)] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
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
        tcp_forwards: vec![forward.parse().unwrap()],
        ..Uplink::default()
    }));
    let socket = switch.socket.clone();
    let guest = thread::spawn(move || guest_station::echo(&socket));
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
    // A netmask that passt does not take.
    let wrong = run(Uplink {
        prefix: 99,
        ..Uplink::default()
    });
    assert!(
        wrong.contains("passt, ended at once") && wrong.contains("99"),
        "{wrong}"
    );
}
