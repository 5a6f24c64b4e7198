//! What differs between simulations beside the faults.

use crate::cluster::Cluster;
use crate::link::Link;
use crate::network::Weather;
use replication::Duration;

/// Entries that a busy toy logs in each slice.
const BUSY: usize = 8;

impl Cluster {
    /// Nothing goes wrong but that the machine is busy, and every link is like this one.
    pub(crate) fn only(&mut self, link: Link) {
        self.network.weather = Weather::over(link);
        self.network.rough = None;
        self.busy = BUSY;
    }

    /// Chooses what differs between simulations beside the faults.
    pub(crate) fn vary(&mut self) {
        let random = &mut self.random;
        let (times, bounds) = (&mut self.config.times, &mut self.config.bounds);
        // A long state transfer may be told from a dead primary late, or early.
        times.suspect_in_transfer = Duration::from_us(*random.choose(&[300_000, 2_000_000]));
        // Bounds so tight that the machine must brake, and a backup be dismissed.
        if random.chance(250) {
            bounds.window_entries_max = *random.choose(&[50, 200, bounds.window_entries_max]);
            bounds.window_bytes_max = *random.choose(&[8_000, bounds.window_bytes_max]);
            bounds.unreplayed_entries_max = *random.choose(&[300, bounds.unreplayed_entries_max]);
            bounds.unreplayed_bytes_max = *random.choose(&[8_000, bounds.unreplayed_bytes_max]);
            bounds.held_marks_max = *random.choose(&[4, bounds.held_marks_max]);
            bounds.append_bytes_max = *random.choose(&[1, 1_000]);
            bounds.datagram_bytes_max = *random.choose(&[20, 100, bounds.datagram_bytes_max]);
            bounds.flight_bytes_max = *random.choose(&[1_000, bounds.flight_bytes_max]);
            bounds.pair_unacknowledged_max = *random.choose(&[2, bounds.pair_unacknowledged_max]);
            bounds.pair_unreplayed_max = *random.choose(&[2_000, bounds.pair_unreplayed_max]);
            bounds.candidates_max = *random.choose(&[1, bounds.candidates_max]);
        }
        let tight = bounds.window_entries_max < 10_000 || bounds.window_bytes_max < 100_000;
        self.joiners.vary(random, times, tight);
        if random.chance(150) {
            self.power_off_at = Some(random.between(1_000_000, 8_000_000));
        }
        self.gives_up = random.chance(60);
        if random.chance(150) && self.joiners.keep_up() {
            self.busy = BUSY;
        }
        self.network.damages_states = random.chance(200);
    }
}
