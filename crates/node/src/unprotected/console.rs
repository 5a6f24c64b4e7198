//! The guest's serial console on this process's standard input and output. A terminal is put into raw mode and
//! restored when the machine ends; Ctrl-A x ends the machine, Ctrl-A Ctrl-A types a Ctrl-A.

use super::drive::HostEvent;
use crossbeam_channel::Sender;
use machine::Input;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{Read, Write, stdin, stdout};

const CTRL_A: u8 = 1;

/// The console; dropping it restores the terminal.
#[derive(Debug)]
pub(super) struct Console {
    before: Option<Termios>,
}

impl Console {
    /// Starts to read standard input, and puts a terminal into raw mode.
    pub(super) fn open(events: Sender<HostEvent>) -> anyhow::Result<Self> {
        let mut before = None;
        if isatty(stdin()) {
            let ordinary = tcgetattr(stdin())?;
            let mut raw = ordinary.clone();
            raw.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &raw)?;
            before = Some(ordinary);
        }
        let terminal = before.is_some();
        std::thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || read_keys(&events, terminal))?;
        Ok(Self { before })
    }

    /// Shows what the guest says. A closed output is no reason to stop the guest.
    pub(super) fn show(&self, bytes: &[u8]) {
        let mut out = stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing is left to do for a terminal that is gone.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

fn read_keys(events: &Sender<HostEvent>, terminal: bool) {
    let mut escaped = false;
    let mut buffer = [0; 256];
    // The end of the input only means that nobody types any more.
    while let Ok(length @ 1..) = stdin().read(&mut buffer) {
        let mut typed = Vec::with_capacity(length);
        for &key in &buffer[..length] {
            match (terminal, escaped, key) {
                (true, false, CTRL_A) => escaped = true,
                (true, true, b'x' | b'X') => return drop(events.send(HostEvent::Quit)),
                _ => {
                    escaped = false;
                    typed.push(key);
                }
            }
        }
        if !typed.is_empty()
            && events
                .send(HostEvent::Input(Input::Console(typed)))
                .is_err()
        {
            return;
        }
    }
}
