//! The guest's serial console on this process's standard input and output.

use super::drive::HostEvent;
use crate::keyboard::{Keys, Terminal};
use crossbeam_channel::Sender;
use machine::Input;
use std::io::{Read, Write, stdin, stdout};

/// The console; dropping it restores the terminal.
#[derive(Debug)]
pub(super) struct Console {
    _terminal: Terminal,
}

impl Console {
    /// Starts to read standard input, and puts a terminal into raw mode. Ctrl-A x ends the machine.
    pub(super) fn open(events: Sender<HostEvent>) -> anyhow::Result<Self> {
        let terminal = Terminal::raw()?;
        let keys = terminal.keys();
        std::thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || read_keys(&events, keys))?;
        Ok(Self {
            _terminal: terminal,
        })
    }

    /// Shows what the guest says. A closed output is no reason to stop the guest.
    pub(super) fn show(&self, bytes: &[u8]) {
        let mut out = stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }
}

fn read_keys(events: &Sender<HostEvent>, mut keys: Keys) {
    let mut buffer = [0; 256];
    // The end of the input only means that nobody types any more.
    while let Ok(length @ 1..) = stdin().read(&mut buffer) {
        let (typed, end) = keys.take(&buffer[..length]);
        if !typed.is_empty()
            && events
                .send(HostEvent::Input(Input::Console(typed)))
                .is_err()
        {
            return;
        }
        if end {
            return drop(events.send(HostEvent::Quit));
        }
    }
}
