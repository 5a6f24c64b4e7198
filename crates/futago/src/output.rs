//! Standard output, whose errors say that they are its own: a full disk behind it is not one of the machine's.

use std::io::{self, StdoutLock, Write};

/// Standard output, for this caller alone.
pub(crate) struct Output(StdoutLock<'static>);

pub(crate) fn lock() -> Output {
    Output(io::stdout().lock())
}

fn named(error: &io::Error) -> io::Error {
    let why = format!("cannot write to standard output: {error}");
    io::Error::new(error.kind(), why)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| named(&error))
    }
}
