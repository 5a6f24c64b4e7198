//! How much a core holds: what a peer, a joiner or time could make grow, for judges that assert that it does not.

use crate::core::{Core, Role};

/// What a core holds, in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Actions that nobody has taken yet.
    pub actions: usize,
    /// Nodes to which a channel is open.
    pub connected: usize,
    /// Records that peers have seen, and this node's store has not shown.
    pub claims: usize,
    /// Entries sent and not acknowledged (primary).
    pub window_entries: u64,
    /// Output marks that have not left (primary).
    pub marks: usize,
    /// Nodes that wait for their turn to be sent the state (primary).
    pub candidates: usize,
    /// Hosts whose transfers came to nothing, and pauses for snapshots (primary).
    pub pacing: usize,
    /// Entries held and not replayed (backup).
    pub unreplayed_entries: usize,
}

impl Core {
    /// How much this core holds now.
    pub fn footprint(&self) -> Footprint {
        let mut footprint = Footprint {
            actions: self.shared.actions(),
            connected: self.shared.connected.len(),
            claims: self.shared.testimony.footprint(),
            ..Footprint::default()
        };
        match &self.role {
            Role::Primary(primary) => {
                let stream = primary.protection.stream();
                footprint.window_entries = stream.map_or(0, |s| s.window.unacknowledged());
                footprint.marks = primary.outputs.held();
                footprint.candidates = primary.candidates.len();
                footprint.pacing = primary.pacing.footprint();
            }
            Role::Backup(backup) => footprint.unreplayed_entries = backup.unreplayed(),
            _ => {}
        }
        footprint
    }
}
