//! Standard output, whose errors say that they are its own: a full disk behind it is not one of the machine's.

use std::io::{self, ErrorKind, StdoutLock, Write};

/// Standard output, for this caller alone. Whoever closes the other end (`| head -1`) has read enough: what is left of an answer
/// is dropped, and that is no failure.
pub(crate) struct Output(StdoutLock<'static>);

/// The same for what has no end of its own: whoever writes is told that nobody reads any more, by [`ErrorKind::BrokenPipe`].
pub(crate) struct Stream(StdoutLock<'static>);

pub(crate) fn lock() -> Output {
    Output(io::stdout().lock())
}

pub(crate) fn lock_stream() -> Stream {
    Stream(io::stdout().lock())
}

/// Writes what may still wait in this process.
pub(crate) fn finish() -> io::Result<()> {
    lock().flush()
}

fn named(error: &io::Error) -> io::Error {
    let why = match is_closed(error) {
        true => "whoever read standard output has closed it".to_owned(),
        false => format!("cannot write to standard output: {error}"),
    };
    io::Error::new(error.kind(), why)
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if is_closed(&error) => Ok(bytes.len()),
            written => written.map_err(|error| named(&error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if is_closed(&error) => Ok(()),
            flushed => flushed.map_err(|error| named(&error)),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| named(&error))
    }
}
