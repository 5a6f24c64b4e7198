//! Keys typed here, for a guest: a terminal passes them unchanged.

use machine::CONSOLE_BACKLOG_MAX;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::stdin;

const CTRL_A: u8 = 1;

/// As long as no more of what was typed waits in the machine, it is given more, in bytes.
pub(crate) const TYPED_WAITING_MAX: u64 = CONSOLE_BACKLOG_MAX as u64 / 2;

/// Standard input, in raw mode if it is a terminal. Dropping it restores the terminal.
#[derive(Debug)]
pub struct Terminal {
    before: Option<Termios>,
}

impl Terminal {
    /// Puts standard input into raw mode; anything but a terminal is left as it is.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn raw() -> std::io::Result<Self> {
        if !isatty(stdin()) {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self {
            before: Some(before),
        })
    }

    /// What reads the keys.
    pub fn keys(&self) -> Keys {
        Keys {
            terminal: self.before.is_some(),
            escaped: false,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing is left to do for a terminal that is gone.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// Finds Ctrl-A x, which ends a session, among keys typed at a terminal; Ctrl-A Ctrl-A is a Ctrl-A.
#[derive(Debug)]
pub struct Keys {
    terminal: bool,
    escaped: bool,
}

impl Keys {
    /// Whether somebody sits there, who can be told to type again.
    pub fn are_of_terminal(&self) -> bool {
        self.terminal
    }

    /// What of `typed` is for the guest, and whether the session ends after it.
    pub fn take(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        if !self.terminal {
            return (typed.to_vec(), false);
        }
        let mut keys = Vec::with_capacity(typed.len());
        for &key in typed {
            match (std::mem::take(&mut self.escaped), key) {
                (false, CTRL_A) => self.escaped = true,
                (true, b'x' | b'X') => return (keys, true),
                _ => keys.push(key),
            }
        }
        (keys, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(terminal: bool, typed: [&[u8]; 2], expected: &[u8], ends: bool) {
        let mut keys = Keys {
            terminal,
            escaped: false,
        };
        let (mut taken, end) = keys.take(typed[0]);
        assert!(!end);
        let (more, end) = keys.take(typed[1]);
        taken.extend(more);
        assert_eq!((taken.as_slice(), end), (expected, ends));
    }

    #[test]
    fn a_terminal_ends_the_session_with_two_keys() {
        check(true, [b"ab\x01", b"xcd"], b"ab", true);
        check(true, [b"a\x01\x01x", b"\x01yb"], b"a\x01xyb", false);
    }

    #[test]
    fn what_is_no_terminal_passes_unchanged() {
        check(false, [b"\x01", b"x"], b"\x01x", false);
    }
}
