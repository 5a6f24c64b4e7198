//! The unmodified Debian kernel boots to a shell that answers: on the built-in SBI, and on Debian's OpenSBI.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::process::{PATIENCE, alone, futago};

const OPENSBI: &str = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";

/// A running machine with its serial console.
struct Console {
    child: Child,
    said: Receiver<Vec<u8>>,
    heard: String,
}

impl Console {
    fn boot(more: &[&str]) -> Self {
        let image = guest::build(
            &guest::Options::new(guest::default_cache().unwrap()),
            &mut |_| {},
        )
        .unwrap();
        let append = guest::command_line(guest::Network::None, false);
        let mut command: Command = futago(&["run", "--append", &append]);
        command
            .arg("--kernel")
            .arg(&image.kernel)
            .arg("--initrd")
            .arg(&image.initrd)
            .args(more);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            said,
            heard: String::new(),
        }
    }

    /// Listens until the guest says `words`, and forgets what came up to there.
    fn wait_for(&mut self, words: &str) {
        loop {
            if let Some(at) = self.heard.find(words) {
                self.heard.drain(..at + words.len());
                return;
            }
            match self.said.recv_timeout(PATIENCE) {
                Ok(bytes) => self.heard.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no `{words}` ({error}) in: {}", self.heard),
            }
        }
    }

    fn type_line(&mut self, line: &str) {
        let keyboard = self.child.stdin.as_mut().unwrap();
        keyboard.write_all(line.as_bytes()).unwrap();
        keyboard.write_all(b"\n").unwrap();
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The guest is ended by `last`, its last command.
fn check(more: &[&str], last: &str) {
    let _alone = alone();
    let mut console = Console::boot(more);
    console.wait_for(guest::READY);
    console.wait_for("/ # ");
    // The answer differs from the question's echo.
    console.type_line("echo \"answer $((6 * 7))\"; uname -m");
    console.wait_for("answer 42");
    console.wait_for("riscv64");
    console.wait_for("/ # ");
    console.type_line(last);
    let status = console.child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn on_the_built_in_sbi() {
    check(&[], "poweroff");
}

#[test]
fn a_shell_that_ends_is_followed_by_another_and_reboot_ends_all() {
    let _alone = alone();
    let mut console = Console::boot(&[]);
    console.wait_for("/ # ");
    console.type_line("exit");
    console.wait_for("/ # ");
    console.type_line("reboot");
    let status = console.child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn on_opensbi() {
    assert!(
        std::path::Path::new(OPENSBI).exists(),
        "{OPENSBI} is missing: install the Debian package opensbi"
    );
    check(&["--bios", OPENSBI], "poweroff -f");
}
