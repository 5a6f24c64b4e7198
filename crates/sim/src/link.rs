//! A link between hosts.

/// A link between hosts, of which nothing else goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// In microseconds.
    pub round_trip_us: u64,
    /// Out of a thousand packets so many are lost, in each direction.
    pub loss_per_mille: u64,
    /// Packets come late, by up to half a round trip, and overtake each other.
    pub reorders: bool,
    /// In each direction; 0: as many as wanted.
    pub bytes_per_second: u64,
}

/// Bytes of a state that is sent over a [`Link`].
const STATE_BYTES: u64 = 1 << 20;

impl Link {
    /// How long a state takes on it.
    pub(crate) fn state_us(&self) -> u64 {
        (STATE_BYTES * 1_000_000)
            .checked_div(self.bytes_per_second)
            .unwrap_or_default()
    }
}
