//! The guest's serial console on this process's standard input and output.

use super::event::HostEvent;
use crate::keyboard::{Keys, Terminal};
use crate::outlet::{Gap, Outlet};
use crossbeam_channel::{Sender, bounded};
use machine::Input;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{ErrorKind, Read, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

/// The console; dropping it waits for a reader that still reads, and restores the terminal.
#[derive(Debug)]
pub(super) struct Console {
    out: Outlet,
    _terminal: Terminal,
}

impl Console {
    /// Starts to read standard input, and puts a terminal into raw mode. Ctrl-A x ends the machine.
    pub(super) fn open(events: Sender<HostEvent>) -> anyhow::Result<Self> {
        let terminal = Terminal::raw()?;
        let keys = terminal.keys();
        // Not the standard library's, whose lock would be held while nobody reads.
        let out = File::from(stdout().as_fd().try_clone_to_owned()?);
        watch_reader(&out, events.clone())?;
        let out = Outlet::new("standard output", out, tell)?;
        std::thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || read_keys(&events, keys))?;
        Ok(Self {
            out,
            _terminal: terminal,
        })
    }

    /// Shows what the guest says. An output that is closed, or that nobody reads, is no reason to stop the guest.
    pub(super) fn show(&self, bytes: &[u8]) {
        self.out.write(bytes);
    }

    /// Waits for a reader that still reads; the error that something was lost to because standard output cannot be written.
    /// Nothing is shown afterwards.
    pub(super) fn finish(&self) -> Option<ErrorKind> {
        self.out.finish();
        self.out.lost_to()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.out.finish();
    }
}

fn tell(name: &str, gap: Gap) -> Option<String> {
    match gap {
        Gap::Begins => tracing::warn!(
            "nobody reads the guest's console as fast as it speaks: what it says is dropped from here on"
        ),
        Gap::Ends { bytes, why, .. } => match why {
            // Whoever has closed it is told of at the end.
            Some(ErrorKind::BrokenPipe) => {}
            Some(why) => tracing::warn!(
                "{bytes} bytes of the guest's console were dropped: {name} could not be written: {why}"
            ),
            None => tracing::warn!("{bytes} bytes of the guest's console were dropped"),
        },
        Gap::Fails(error) => tracing::warn!(
            "{name} cannot be written: {error}; the guest goes on, and so does its console once that is mended"
        ),
        // What it costs is told at the end.
        Gap::Broken(_) => {}
    }
    None
}

/// Tells when whoever reads a pipe or a socket has closed it, also while the guest says nothing. A terminal that is gone says so by
/// a signal, and a file has no reader.
fn watch_reader(out: &File, events: Sender<HostEvent>) -> anyhow::Result<()> {
    let kind = out.metadata()?.file_type();
    if !kind.is_fifo() && !kind.is_socket() {
        return Ok(());
    }
    let out = out.try_clone()?;
    let watch = move || {
        let mut wanted = [PollFd::new(&out, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP;
        while !wanted[0].revents().intersects(gone) {
            if poll(&mut wanted, None).is_err_and(|error| error != Errno::INTR) {
                return;
            }
        }
        // The machine may have ended meanwhile.
        let _ = events.send(HostEvent::Unread);
    };
    std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(watch)?;
    Ok(())
}

fn read_keys(events: &Sender<HostEvent>, mut keys: Keys) {
    let mut buffer = [0; 256];
    // The end of the input only means that nobody types any more.
    while let Ok(length @ 1..) = stdin().read(&mut buffer) {
        let (typed, end) = keys.take(&buffer[..length]);
        if !typed.is_empty() && !type_in(events, typed, keys.are_of_terminal()) {
            return;
        }
        if end {
            return drop(events.send(HostEvent::Quit));
        }
    }
}

/// Types this. What is piped in waits until the guest has read most of what went before; a terminal does not, so that Ctrl-A x is
/// heard whatever the guest reads. Whether somebody still listens.
fn type_in(events: &Sender<HostEvent>, typed: Vec<u8>, at_terminal: bool) -> bool {
    if at_terminal {
        return events.send(HostEvent::Input(Input::Console(typed))).is_ok();
    }
    let (taken, is_taken) = bounded(1);
    events.send(HostEvent::Typed { typed, taken }).is_ok() && is_taken.recv().is_ok()
}
