//! Why a machine came to its end.

use machine::{Refusal, StopRequest};

/// Why a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet.
    ResetAsked,
    /// The user, or a signal, ended it.
    Quit,
    /// Whoever read its console has closed it.
    Unread,
    /// The program ended with this code, said by `tohost` or by the test device; 0 is a pass.
    Code(u64),
    /// The program asked by `tohost` for what is not there.
    Refused(Refusal),
}

impl Ending {
    /// Whether it was ended from outside, at any position.
    pub(super) fn is_from_outside(self) -> bool {
        matches!(self, Self::Quit | Self::Unread)
    }

    /// That of a machine that is off.
    pub(super) fn of(stop: Option<StopRequest>) -> Self {
        match stop {
            Some(StopRequest::Exit(code)) => Self::Code(code),
            Some(StopRequest::Fail(code)) => Self::Code(code.into()),
            Some(StopRequest::Refused(refusal)) => Self::Refused(refusal),
            Some(StopRequest::PowerOff | StopRequest::Reset) | None => Self::PoweredOff,
        }
    }
}
