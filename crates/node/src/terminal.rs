//! The operator's terminal as the guest's console: raw while it is attached, with one escape: Ctrl-A x leaves.

use anyhow::Context;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{BufReader, Read, Write, stdin, stdout};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

/// Ctrl-A.
const ESCAPE: u8 = 1;
/// After [`ESCAPE`]: leave.
const LEAVE: u8 = b'x';
const PIECE_BYTES: usize = 4096;

/// Keeps the terminal raw; gives it back as it was when dropped. Does nothing where standard input is no terminal.
#[derive(Debug)]
pub struct RawMode(Option<Termios>);

impl RawMode {
    /// Makes the terminal raw.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn enter() -> anyhow::Result<Self> {
        let input = stdin();
        if !isatty(&input) {
            return Ok(Self(None));
        }
        let before = tcgetattr(&input).context("cannot read the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw).context("cannot make the terminal raw")?;
        Ok(Self(Some(before)))
    }

    /// Whether standard input is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing can be done about a terminal that is gone.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// Finds the escape in what is typed.
#[derive(Debug, Default)]
pub struct Typed {
    escaped: bool,
}

impl Typed {
    /// What of `bytes` is for the guest; `true` if the operator wants to leave. Ctrl-A twice is one Ctrl-A.
    pub fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut typed = Vec::new();
        for &byte in bytes {
            match (self.escaped, byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, LEAVE) => return (typed, true),
                (_, byte) => {
                    self.escaped = false;
                    typed.push(byte);
                }
            }
        }
        (typed, false)
    }
}

/// Reads standard input on a thread of its own, until its end or the escape; `take` says whether to go on.
pub(crate) fn read_typed(
    mut take: impl FnMut(Vec<u8>) -> bool + Send + 'static,
    leave: impl FnOnce(bool) + Send + 'static,
) {
    // Detached: a read of the terminal cannot be interrupted, and the process ends without it.
    let _ = thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut typed = Typed::default();
            let mut piece = [0; PIECE_BYTES];
            let asked = loop {
                match stdin().read(&mut piece) {
                    Ok(0) | Err(_) => break false,
                    Ok(count) => {
                        let (bytes, leaves) = typed.take(&piece[..count]);
                        if leaves {
                            break true;
                        }
                        if !bytes.is_empty() && !take(bytes) {
                            break false;
                        }
                    }
                }
            };
            leave(asked);
        });
}

/// Connects the terminal with a console from [`crate::control::attach_console`], until the operator leaves or the node
/// ends.
///
/// # Errors
/// The terminal cannot be used.
pub fn interact(mut console: BufReader<UnixStream>) -> anyhow::Result<()> {
    let _raw = RawMode::enter()?;
    let mut input = console
        .get_ref()
        .try_clone()
        .context("cannot use the console twice")?;
    let hang_up = input.try_clone().context("cannot use the console twice")?;
    read_typed(
        move |bytes| input.write_all(&bytes).is_ok(),
        move |asked| {
            if asked {
                // The reader below then sees the end.
                let _ = hang_up.shutdown(Shutdown::Both);
            }
        },
    );
    let mut piece = [0; PIECE_BYTES];
    loop {
        match console.read(&mut piece) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => {
                let mut out = stdout().lock();
                out.write_all(&piece[..count])
                    .and_then(|()| out.flush())
                    .context("cannot write to the terminal")?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_is_found_wherever_it_is_cut() {
        let mut typed = Typed::default();
        assert_eq!(typed.take(b"ab\x01"), (b"ab".to_vec(), false));
        assert_eq!(typed.take(b"\x01c\x01q"), (b"\x01cq".to_vec(), false));
        assert_eq!(typed.take(b"d\x01xe"), (b"d".to_vec(), true));
    }
}
