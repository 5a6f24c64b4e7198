//! How much a connection may have under way: what the path has been seen to carry, not what it has been seen to lose.
//! Clouds' zones and radio links lose packets that no congestion dropped; a controller that halves its window for each
//! (CUBIC, NewReno) starves there. This one keeps twice the product of bandwidth and delay in flight, both as measured,
//! and gives way only where losses say that the path is full: many of them at once.
//!
//! The window never falls below a few packets, so that what is small, the log and signs of life, never waits for the
//! bulk's fortune.

use quinn::congestion::{Controller, ControllerFactory};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The window at the start, and at least,
const WINDOW_BYTES_FIRST: u64 = 64 << 10;
/// unless the path loses even that; so much always.
const WINDOW_BYTES_MIN: u64 = 8 << 10;
/// But always so many packets as they are: with room for less than one, nothing would ever be sent again, for nothing comes
/// back that could open the window (RFC 9002, 7.2, asks for two).
const PACKETS_MIN: u64 = 4;
/// The window at most: 100 ms at 2.5 Gbit/s.
const WINDOW_BYTES_MAX: u64 = 32 << 20;
/// Rates are measured over a round trip, and over at least so long.
const ROUND_MIN: Duration = Duration::from_millis(2);
/// The fastest of so many rounds counts.
const ROUNDS_MAX: usize = 10;
/// Times the product of bandwidth and delay: two lets the rate grow to what the path can carry, for twice as much
/// under way doubles the rate where the path was not full.
const GAIN_MAX: f64 = 2.0;
/// On a path whose queue is short, at least.
const GAIN_MIN: f64 = 1.0;
/// A round that loses more than this share says that the path is full.
const LOSS_FULL: f64 = 0.2;
/// What is left of the gain after such a round, and what comes back with any other.
const GAIN_CUT: f64 = 0.8;
const GAIN_BACK: f64 = 0.05;
/// When the shortest round trip of so long a time
const PATH_LOOK: Duration = Duration::from_secs(20);
/// is so many times the shortest ever, the path is another one; less than that is our own queue.
const PATH_CHANGED: u32 = 6;

/// Makes a [`Window`] for each connection.
#[derive(Debug, Default)]
pub(super) struct WindowFactory;

impl ControllerFactory for WindowFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Window::new(now, current_mtu))
    }
}

/// The window of one connection.
#[derive(Clone, Debug)]
struct Window {
    bytes: u64,
    /// Bytes of a packet.
    packet: u64,
    /// What may be under way whatever was measured.
    floor: u64,
    gain: f64,
    /// Bytes a second in the last rounds.
    rates: VecDeque<f64>,
    round_began: Instant,
    round_acknowledged: u64,
    round_lost: u64,
    /// The shortest round trip, the shortest since the last look, and when that was.
    shortest: Duration,
    recent: Duration,
    looked: Instant,
    smoothed: Duration,
}

impl Window {
    fn new(now: Instant, packet: u16) -> Self {
        Self {
            bytes: WINDOW_BYTES_FIRST,
            packet: packet.into(),
            floor: WINDOW_BYTES_FIRST,
            gain: GAIN_MAX,
            rates: VecDeque::new(),
            round_began: now,
            round_acknowledged: 0,
            round_lost: 0,
            shortest: Duration::MAX,
            recent: Duration::MAX,
            looked: now,
            smoothed: ROUND_MIN,
        }
    }

    fn measured(&mut self, now: Instant, trip: Duration) {
        self.recent = self.recent.min(trip);
        self.shortest = self.shortest.min(trip);
        if now.saturating_duration_since(self.looked) >= PATH_LOOK {
            if self.recent > self.shortest.saturating_mul(PATH_CHANGED) {
                self.shortest = self.recent;
            }
            (self.recent, self.looked) = (Duration::MAX, now);
        }
    }

    fn end_round(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.round_began);
        if took < self.smoothed.max(ROUND_MIN) {
            return;
        }
        let (arrived, lost) = (self.round_acknowledged as f64, self.round_lost as f64);
        if lost > (arrived + lost) * LOSS_FULL {
            self.gain = (self.gain * GAIN_CUT).max(GAIN_MIN);
            self.floor = (self.floor / 2).max(WINDOW_BYTES_MIN);
        } else {
            self.floor = (self.floor + self.floor / 4).min(WINDOW_BYTES_FIRST);
            self.gain = (self.gain + GAIN_BACK).min(GAIN_MAX);
        }
        self.rates.push_back(arrived / took.as_secs_f64());
        if self.rates.len() > ROUNDS_MAX {
            self.rates.pop_front();
        }
        (self.round_began, self.round_acknowledged, self.round_lost) = (now, 0, 0);
        let rate = self.rates.iter().copied().fold(0.0, f64::max);
        let trip = self.shortest.min(self.smoothed).max(ROUND_MIN);
        let window = rate * trip.as_secs_f64() * self.gain;
        self.bytes = (window as u64).clamp(self.floor, WINDOW_BYTES_MAX);
    }
}

impl Controller for Window {
    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        _app_limited: bool,
        rtt: &quinn_proto::RttEstimator,
    ) {
        self.round_acknowledged += bytes;
        self.smoothed = rtt.get();
        self.measured(now, now.saturating_duration_since(sent).max(rtt.min()));
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        _in_flight: u64,
        _app_limited: bool,
        _largest_packet_num_acked: Option<u64>,
    ) {
        self.end_round(now);
    }

    fn on_congestion_event(
        &mut self,
        _now: Instant,
        _sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.round_lost += lost_bytes;
        if is_persistent_congestion {
            // Nothing came through for a long time: what was known of the path is worth nothing.
            self.rates.clear();
            self.bytes = self.floor;
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.packet = new_mtu.into();
    }

    fn window(&self) -> u64 {
        self.bytes.max(self.packet * PACKETS_MIN)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW_BYTES_FIRST
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(40);
    const PACKET: u16 = 1_200;

    /// The window after so many rounds on a path that carries `rate` bytes a second and loses `loss` of what is sent.
    fn after(rounds: u32, rate: f64, loss: f64) -> u64 {
        let begin = Instant::now();
        let mut window = Window::new(begin, PACKET);
        window.smoothed = TRIP;
        for round in 1..=rounds {
            let now = begin + TRIP * round;
            let sent = window.bytes as f64;
            let arrives = (sent * (1.0 - loss)).min(rate * TRIP.as_secs_f64());
            window.round_lost += (sent * loss) as u64;
            window.round_acknowledged += arrives as u64;
            window.measured(now, TRIP);
            window.end_round(now);
        }
        window.bytes
    }

    #[test]
    fn grows_to_twice_what_the_path_holds_although_it_loses() {
        for loss in [0.0, 0.01, 0.05] {
            let window = after(20, 12.5e6, loss);
            assert!((950_000..1_010_000).contains(&window), "{loss}: {window}");
        }
    }

    #[test]
    fn gives_way_where_losses_say_that_the_path_is_full() {
        // What it loses by itself and what does not fit are together more than a fifth at times: once to twice the path.
        let window = after(100, 12.5e6, 0.15);
        assert!((500_000..1_010_000).contains(&window), "{window}");
        // Whatever is sent, much of it is lost: it ends with little.
        let window = after(100, 12.5e6, 0.4);
        assert!((WINDOW_BYTES_MIN..100_000).contains(&window), "{window}");
    }

    #[test]
    fn never_falls_below_what_the_log_needs() {
        assert_eq!(after(50, 1e3, 0.0), WINDOW_BYTES_FIRST);
        assert_eq!(after(50, 1e3, 0.5), WINDOW_BYTES_MIN);
        let mut window = Window::new(Instant::now(), PACKET);
        window.bytes = WINDOW_BYTES_MAX;
        window.on_congestion_event(Instant::now(), Instant::now(), true, 1);
        assert_eq!(window.window(), WINDOW_BYTES_FIRST);
    }

    #[test]
    fn always_lets_a_packet_leave_however_large_packets_are() {
        let mut window = Window::new(Instant::now(), PACKET);
        window.bytes = WINDOW_BYTES_MIN;
        window.on_mtu_update(8_952);
        assert!(window.window() > 2 * 8_952);
    }
}
