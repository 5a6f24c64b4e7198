//! Privilege modes.

/// A privilege mode, by its number in the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// User.
    User = 0,
    /// Supervisor.
    Supervisor = 1,
    /// Machine.
    Machine = 3,
}

impl Mode {
    /// The mode with this number; there is none with number 2.
    pub fn from_bits(bits: u64) -> Option<Mode> {
        match bits {
            0 => Some(Mode::User),
            1 => Some(Mode::Supervisor),
            3 => Some(Mode::Machine),
            _ => None,
        }
    }
}
