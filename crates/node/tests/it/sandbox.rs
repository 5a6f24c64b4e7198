//! What confined processes and threads can still do: tried in copies of this test binary, since there is no way back.

use node::sandbox::{Confinement, Kind, Place, Sandbox, confine_hart_thread};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Tells a copy of this test binary what it is to become, and in which directory.
const PROBE: &str = "FUTAGO_TEST_SANDBOX";

/// One thing to try. Names are what is printed.
type Attempt = (&'static str, fn(&Path) -> std::io::Result<()>);

const ATTEMPTS: [Attempt; 10] = [
    ("write own", |root| {
        std::fs::write(root.join("own/new"), "x")
    }),
    ("read own", |root| {
        std::fs::read(root.join("own/file")).map(drop)
    }),
    ("read other", |root| {
        File::open(root.join("other")).map(drop)
    }),
    ("read host", |_| File::open("/etc/passwd").map(drop)),
    ("UNIX", |root| {
        UnixStream::connect(root.join("socket")).map(drop)
    }),
    ("UDP", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
    ("TCP", |_| TcpStream::connect("127.0.0.1:1").map(drop)),
    ("thread", |_| {
        std::thread::Builder::new().spawn(|| ()).map(drop)
    }),
    ("program", |_| Command::new("/bin/true").status().map(drop)),
    ("memory and time", |_| {
        let begun = Instant::now();
        let pages: Vec<_> = (0..64).map(|size| vec![1u8; size << 14]).collect();
        std::thread::sleep(Duration::from_micros(10));
        assert!(pages.len() == 64 && begun.elapsed() > Duration::ZERO);
        Ok(())
    }),
];

/// Not a test of its own: what the others start.
#[test]
fn probe_process() {
    let Ok(probe) = std::env::var(PROBE) else {
        return;
    };
    let (what, root) = probe.split_once(' ').unwrap();
    let root = Path::new(root);
    let kind = match what {
        "switch" => Kind::Switch,
        "machine" => Kind::Machine,
        _ => Kind::Node,
    };
    let mut sandbox = Sandbox::new(kind, what != "off").unwrap();
    let own = root.join("own");
    sandbox
        .limit_files(&[Place::Read(own.clone()), Place::Write(own)])
        .unwrap();
    println!("is {}", sandbox.limit_calls().unwrap());
    let attempt = |root: &Path| {
        for (name, attempt) in ATTEMPTS {
            let refused =
                attempt(root).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
            println!("{name}: {}", if refused { "refused" } else { "allowed" });
        }
    };
    if what != "hart" {
        return attempt(root);
    }
    let root = root.to_owned();
    let hart = std::thread::spawn(move || {
        confine_hart_thread().unwrap();
        attempt(&root);
        // A backup makes its translator on this thread, when a state has come.
        let translator = jit::Translator::new(jit::Options::default());
        println!(
            "translator: {}",
            if translator.is_ok() {
                "allowed"
            } else {
                "refused"
            }
        );
    });
    hart.join().unwrap();
    // Only that thread is held so.
    println!(
        "then: {}",
        if std::thread::Builder::new().spawn(|| ()).is_ok() {
            "allowed"
        } else {
            "refused"
        }
    );
}

/// What a process of this kind was refused; none if the kernel cannot confine it wholly.
fn refused(what: &str) -> Option<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir(root.join("own")).unwrap();
    for file in ["own/file", "other"] {
        std::fs::write(root.join(file), "x").unwrap();
    }
    let _listener = UnixListener::bind(root.join("socket")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::probe_process", "--nocapture"])
        .env(PROBE, format!("{what} {}", root.display()))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let wanted = if what == "off" {
        Confinement::Off
    } else {
        Confinement::Full
    };
    if !said.contains(&format!("is {wanted}\n")) {
        // It says what is missing, and the rest of it is as it is.
        assert!(said.contains("is partial: "), "{said}");
        return None;
    }
    let names = said
        .lines()
        .filter_map(|line| line.strip_suffix(": refused"));
    Some(names.map(str::to_owned).collect())
}

fn check(what: &str, expected: &[&str]) {
    if let Some(refused) = refused(what) {
        // Whoever cannot connect has no right to try.
        assert_eq!(refused, expected, "{what}");
    }
}

#[test]
fn each_kind_of_process_keeps_only_what_it_needs() {
    let files = ["read other", "read host"];
    check("node", &[&files[..], &["UDP", "TCP", "program"]].concat());
    check(
        "machine",
        &[&files[..], &["UNIX", "UDP", "TCP", "program"]].concat(),
    );
    let all = ["write own", "read own", "read other", "read host"];
    check(
        "switch",
        &[&all[..], &["UNIX", "UDP", "TCP", "thread", "program"]].concat(),
    );
    check("off", &[]);
}

#[test]
fn a_compromised_hart_thread_can_open_no_file_and_no_socket() {
    check(
        "hart",
        &[
            "write own",
            "read own",
            "read other",
            "read host",
            "UNIX",
            "UDP",
            "TCP",
            "thread",
            "program",
        ],
    );
}

/// How the kernel says that a process's threads are confined: each one's name, and how many filters it is under.
pub(crate) fn filters_of(pid: u32) -> Vec<(String, u32)> {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let mut filters = Vec::new();
    for task in std::fs::read_dir(tasks).unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap();
        let status = std::fs::read_to_string(task.path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse::<u32>().unwrap()
        };
        assert_eq!(field("NoNewPrivs:"), 1, "{name}");
        filters.push((name.trim().to_owned(), field("Seccomp_filters:")));
    }
    filters
}
