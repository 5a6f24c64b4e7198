//! A QEMU process with the guest in it, its console read line by line.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A boot takes seconds; a machine that is busy with other tests may need much longer.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Qemu {
    child: Child,
    keyboard: ChildStdin,
    console: Receiver<Vec<u8>>,
    /// What the guest has written since the last text that was expected.
    unread: String,
    redis: SocketAddr,
}

impl Qemu {
    /// Boots `image`. The guest's port 6379 is reached at [`Qemu::redis`].
    pub(crate) fn start(image: &guest::Image, command_line: &str) -> Qemu {
        let redis = free_address();
        let mut child = Command::new("qemu-system-riscv64")
            .args(["-machine", "virt", "-m", "256M", "-display", "none"])
            .args(["-monitor", "none", "-serial", "stdio", "-no-reboot"])
            .arg("-kernel")
            .arg(&image.kernel)
            .arg("-initrd")
            .arg(&image.initrd)
            .args(["-append", command_line])
            .args(["-netdev", &format!("user,id=net,hostfwd=tcp:{redis}-:6379")])
            .args(["-device", "virtio-net-device,netdev=net"])
            .args(["-device", "virtio-rng-device"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("qemu-system-riscv64 runs: cargo xtask setup installs it");
        let keyboard = child.stdin.take().expect("standard input is piped");
        let mut output = child.stdout.take().expect("standard output is piped");
        let (sender, console) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Qemu {
            child,
            keyboard,
            console,
            unread: String::new(),
            redis,
        }
    }

    pub(crate) fn redis(&self) -> SocketAddr {
        self.redis
    }

    /// Waits until the console shows `text`.
    pub(crate) fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.find(text) {
                self.unread.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.console.recv_timeout(left) {
                Ok(bytes) => self.unread.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no `{text}` ({error}) in: {}", self.unread),
            }
        }
    }

    /// Types a line as soon as the shell asks for one: a shell that starts may drop what was typed
    /// before.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.expect("/ # ");
        writeln!(self.keyboard, "{line}").expect("QEMU reads its standard input");
    }

    /// Waits until the guest has switched its machine off.
    pub(crate) fn wait_for_end(mut self) {
        let deadline = Instant::now() + PATIENCE;
        // The console's reader ends when the process closes its output.
        while let Ok(_text) = {
            let left = deadline.saturating_duration_since(Instant::now());
            self.console.recv_timeout(left)
        } {}
        assert!(Instant::now() < deadline, "the guest does not switch off");
        let status = self.child.wait().expect("QEMU is our child");
        assert!(status.success());
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on now.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
}
