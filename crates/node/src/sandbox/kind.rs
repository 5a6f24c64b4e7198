//! What a process of ours is.

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One host's side of a protected machine.
    Node,
    /// One machine alone: `futago run`, `record`, `replay`.
    Machine,
    /// One whose network is a socket that may have to be connected anew.
    MachineWithNetwork,
    /// `futago switch`.
    Switch,
}
