//! How a machine stops by itself.

/// A wish of a test program, said by the host-target interface, that cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such device or command.
    #[error(
        "device {device}, command {command}, which is not there: device 0 takes system calls, device 1 console input and output"
    )]
    Command {
        /// Its number.
        device: u8,
        /// Its number.
        command: u8,
    },
    /// There is no such system call.
    #[error("system call {0}, which is not there: write (64) and exit (93) are")]
    SystemCall(u64),
    /// An argument is not in memory.
    #[error("{what} at {address:#x}, where there is no memory")]
    Outside {
        /// What should be there.
        what: &'static str,
        /// Its address.
        address: u64,
    },
    /// The text of a `write` is too long.
    #[error("a `write` of {0} bytes at once; the most is 65536")]
    TooLong(u64),
    /// The program does not take its answers.
    #[error("more, and has left 64 answers in `fromhost` untaken")]
    Untaken,
}

/// How the guest wants the machine to stop, or made it stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// Power off, with success.
    PowerOff,
    /// Power off, with this code for failure.
    Fail(u16),
    /// Reset.
    Reset,
    /// Power off: a test program has ended with this code, said by the host-target interface.
    Exit(u64),
    /// Power off: that interface was asked for what it cannot do.
    Refused(Refusal),
}
