//! The commented configuration that users start from. A test parses it.

pub(super) const EXAMPLE: &str = r#"# One host's side of a protected machine: futago node --config FILE
# Relative paths are relative to this file.

# The machine: the same on every node.
[machine]
name = "demo"               # names the machine among all that share an arbiter
kernel = "kernel"           # the kernel image to boot: this and the next as `futago guest build --output .` makes them
initrd = "initrd"           # optional
append = "console=ttyS0"    # the kernel's command line
# bios = "fw_jump.bin"      # M-mode firmware instead of the built-in SBI
memory = "256M"             # 16M to 64G
network = "switch.sock"     # socket of `futago switch`; leave out for no network
mac = "52:54:00:12:34:56"   # the guest's MAC address

# This node.
[node]
name = "a"                          # as its certificate says
listen = "127.0.0.1:7401"           # UDP address of the log channel
peers = ["127.0.0.1:7402"]          # where the other nodes listen
accepts = ["b"]                     # the nodes that may pair with this one, by the names in their certificates
control = "a.sock"                  # for futago status, console, stop: this user's and root's
# control_look = "a.look"           # for futago status only: this user's group may look, too
may_start = true                    # may start the machine where it runs nowhere; else it only joins
# seen = "a.seen"                   # what the node has seen of the arbiter; if left out, NAME.seen beside this file
# console = "a.console"             # the guest's console is appended here
# engine = "translator"             # or "interpreter"; if left out, the faster one that this host allows
slow_backup = "drop"                # a backup that lags for 10 s at a brake of 80 %: "drop" it, or "brake" on
code_cache = "256M"                 # translated code that is kept: 4M to 1G

# Certificates: `futago keys --machine demo a b` makes them, for two years; `futago keys show` says when they end.
# SIGHUP makes a running node read these files again: renewed ones are used from the next connection on, and peers
# whose certificate was withdrawn are disconnected. A connection that stands outlives the end of a certificate.
[keys]
authority = "keys/authority.pem"
certificate = "keys/a.pem"
key = "keys/a.key"
# withdrawn = "keys/withdrawn.txt"  # by `futago keys withdraw`; if left out, the one beside the authority's certificate
# network = "demo.key"      # the machine's key at its switch, as `futago switch --machine-key` prints it, where this
                            # node may not read the secret beside the switch's socket

# The record that says who is the machine: a directory on a filesystem that all nodes share, made by `futago arbiter init`.
[arbiter]
directory = "arbiter"

# Patience, in milliseconds.
[timeouts]
heartbeat_ms = 50           # between two signs of life
suspicion_ms = 200          # silence after which a peer is suspected
arbiter_ms = 2000           # after which an arbiter without answer is unreachable
"#;
