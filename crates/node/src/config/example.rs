//! The commented configuration that users start from: it runs as it is, beside what `futago guest build --output .`,
//! `futago keys` and `futago arbiter init` make, for two nodes on one host. Tests run it.

use crate::keys::check_name;
use anyhow::ensure;

/// Where the two nodes listen, the one whose name comes first at the first, so that each knows the other's.
const LISTEN: [&str; 2] = ["127.0.0.1:7401", "127.0.0.1:7402"];

/// Column of comments, but for two spaces.
const COMMENTS: usize = 32;

/// The file of node `name`, which pairs with `peer`.
///
/// # Errors
/// Names that `futago keys` would not take, or one for both.
pub(super) fn example(name: &str, peer: &str) -> anyhow::Result<String> {
    check_name(name)?;
    check_name(peer)?;
    ensure!(
        name != peer,
        "node `{name}` cannot pair with itself: name the other node of the machine"
    );
    let [own, other] = if name < peer { [0, 1] } else { [1, 0] };
    let text = TEXT
        .replace("{name}", name)
        .replace("{peer}", peer)
        .replace("{listen}", LISTEN[own])
        .replace("{peer_listens}", LISTEN[other]);
    Ok(text.lines().map(align).collect())
}

/// A line whose comment, if there is one behind two spaces, stands where others do.
fn align(line: &str) -> String {
    match line.split_once("  # ") {
        Some((value, comment)) => format!("{value:COMMENTS$}  # {comment}\n"),
        None => format!("{line}\n"),
    }
}

const TEXT: &str = r#"# One host's side of a protected machine: futago node --config FILE
# Relative paths are relative to this file. A # begins a comment; what is behind one is a choice, or says what holds without it.

# The machine: the same on every node.
[machine]
name = "demo"  # names the machine among all that share an arbiter, and in certificates
kernel = "kernel"  # this and the next as `futago guest build --output .` makes them; any riscv64 Linux will do
initrd = "initrd"  # optional
# The kernel's command line. The words futago.* are Debian's guest's: its address, its gateway (both as the switch has them), and
# a redis-server on port 6379. Leave quiet out to see the kernel boot.
append = "console=ttyS0 quiet futago.ip=10.0.2.15/24,10.0.2.2 futago.redis=1"
# bios = "fw_jump.bin"  # M-mode firmware instead of the built-in SBI
memory = "256M"  # 16M to 64G
network = "switch.sock"  # the socket of `futago switch` on this host; leave out for no network
mac = "52:54:00:12:34:56"  # the guest's MAC address

# This node, and the other.
[node]
name = "{name}"  # as its certificate says
# On two hosts these two addresses are all that must be changed: this host's own, and the other's; names of hosts will do.
listen = "{listen}"  # UDP address of the log channel
peers = ["{peer_listens}"]  # where the other node listens
accepts = ["{peer}"]  # who may pair with this node, by the names in their certificates
control = "{name}.sock"  # for futago status, console, stop: this user's and root's
# control_look = "{name}.look"  # for futago status only: this user's group may look, too
may_start = true  # may start the machine where it runs nowhere; else it only joins
# seen = "{name}.seen"  # what the node has seen of the arbiter; if left out, NAME.seen beside this file
console = "{name}.console"  # what the guest says on its serial port while this node is the machine is appended here
console_size = "64M"  # kept of that: 1M to 1024G; the older half is moved to {name}.console.1
# engine = "translator"  # or "interpreter"; if left out, the faster one that this host allows
slow_backup = "drop"  # a backup that lags for 10 s at a brake of 80 %: "drop" it, or "brake" on
code_cache = "256M"  # translated code that is kept: 4M to 1G

# Certificates: `futago keys --machine demo {name} {peer}` makes them, for two years; `futago keys show` says when they end.
# SIGHUP makes a running node read these files again: renewed ones are used from the next connection on, and peers
# whose certificate was withdrawn are disconnected. A connection that stands outlives the end of a certificate.
[keys]
authority = "keys/authority.pem"
certificate = "keys/{name}.pem"
key = "keys/{name}.key"
# withdrawn = "keys/withdrawn.txt"  # by `futago keys withdraw`; if left out, the one beside the authority's certificate
# network = "demo.key"  # the machine's key at its switch, as `futago switch --machine-key` prints it, where this
  # node may not read the secret beside the switch's socket

# The record that says who is the machine: a directory on a filesystem that all nodes share, made by `futago arbiter init`.
[arbiter]
directory = "arbiter"

# Patience, in milliseconds.
[timeouts]
heartbeat_ms = 50  # between two signs of life
suspicion_ms = 200  # silence after which a peer is suspected
arbiter_ms = 2000  # after which an arbiter without answer is unreachable
"#;
