//! Host time as the guest's clock follows it: the time since the host was booted, the time in which it was suspended
//! included (`CLOCK_BOOTTIME`). What an administrator or NTP does to the date is no time that passes: the guest has the date
//! of its boot and its own clock, as on a computer of its own, and may ask NTP itself.

use machine::TICKS_PER_SECOND;
use std::fmt;
use std::time::Duration;

const NANOSECONDS_PER_TICK: u128 = 1_000_000_000 / TICKS_PER_SECOND as u128;

/// No wait for a host time is longer in one piece: timers do not run while the host is suspended, and what is due when it
/// resumes must not wait for the rest of its time.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(500);

/// Where time comes from; whoever reads it must not take long.
type Source = Box<dyn Fn() -> Duration + Send>;

/// Counts guest clock ticks of host time. It never goes back, whatever its source does.
pub(crate) struct HostClock {
    source: Source,
    /// What the source said last.
    seen: Duration,
    /// Host time then.
    now: Duration,
}

impl fmt::Debug for HostClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostClock")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl HostClock {
    /// The host's, from zero.
    pub(crate) fn system() -> Self {
        Self::new(Box::new(|| {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
            let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
            Duration::new(seconds, nanoseconds)
        }))
    }

    /// Another, from zero.
    pub(crate) fn new(source: Source) -> Self {
        let seen = source();
        Self {
            source,
            seen,
            now: Duration::ZERO,
        }
    }

    /// Host time now, in guest clock ticks.
    pub(crate) fn ticks(&mut self) -> u64 {
        let seen = (self.source)();
        // The time of a host that was itself set back to an earlier state goes on from where it was here.
        self.now += seen.saturating_sub(self.seen);
        self.seen = seen;
        u64::try_from(self.now.as_nanos() / NANOSECONDS_PER_TICK).unwrap_or(u64::MAX)
    }

    /// How long to wait for host time `until`, in one piece.
    pub(crate) fn wait(&mut self, until: u64) -> Duration {
        let ahead = u128::from(until.saturating_sub(self.ticks())) * NANOSECONDS_PER_TICK;
        let ahead = Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX));
        ahead.min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor_thread::{ExecutorEvent, ExecutorThread};
    use eventlog::{Entry, Event};
    use machine::{
        BoardConfig, Boot, Engine, Firmware, Input, Interpreter, InterpreterOptions, Machine,
        Output,
    };
    use replica::{Command, Executor, ExecutorConfig, Report};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;
    use tokio::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(60);
    const HOUR: u64 = 3_600;

    /// Says `A` at 100 s of its clock.
    const SLEEPER: [u32; 10] = [
        0x0200_42b7, // lui t0, 0x2004: mtimecmp
        0x3b9a_d337, // lui t1, 0x3b9ad: 100 s
        0x0062_b023, // sd t1, 0(t0)
        0x0800_0393, // li t2, 0x80: the timer's interrupt
        0x3043_a073, // csrs mie, t2
        0x1050_0073, // wfi
        0x1000_02b7, // lui t0, 0x10000
        0x0410_0313, // li t1, 'A'
        0x0062_8023, // sb t1, 0(t0)
        0x0000_006f, // j .
    ];
    /// Does nothing, busily.
    const BUSY: [u32; 1] = [0x0000_006f];

    fn engine() -> Box<dyn Engine> {
        Box::new(Interpreter::new(InterpreterOptions::default()))
    }

    /// A guest on an executor's thread, with a clock to which the test adds seconds; what it reports comes out.
    fn start(
        guest: &[u32],
    ) -> (
        ExecutorThread,
        mpsc::Receiver<ExecutorEvent>,
        Arc<AtomicU64>,
    ) {
        let board = BoardConfig {
            memory_bytes: 16 << 20,
            ..BoardConfig::default()
        };
        let boot = Boot {
            firmware: Firmware::Image(guest.iter().flat_map(|word| word.to_le_bytes()).collect()),
            ..Boot::default()
        };
        let machine = Machine::boot(&board, &boot, engine()).unwrap();
        let executor = Executor::new(Some(machine), Box::new(engine), ExecutorConfig::default());
        let (events, receiver) = mpsc::channel(1_024);
        let added = Arc::new(AtomicU64::new(0));
        let (began, seconds) = (Instant::now(), Arc::clone(&added));
        let clock = HostClock::new(Box::new(move || {
            began.elapsed() + Duration::from_secs(seconds.load(Ordering::Relaxed))
        }));
        let mut thread = ExecutorThread::start_with(executor, events, clock, false).unwrap();
        thread.send(Command::Run);
        (thread, receiver, added)
    }

    /// Waits for what `wanted` sees in the reports.
    fn wait(
        thread: &mut ExecutorThread,
        events: &mut mpsc::Receiver<ExecutorEvent>,
        wanted: impl Fn(&Report) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match events.try_recv() {
                Ok(ExecutorEvent::Report(report)) if wanted(&report) => return,
                Ok(ExecutorEvent::Report(_)) => {}
                Ok(ExecutorEvent::Broken(what)) => panic!("{what}"),
                Err(_) => {
                    thread.flush();
                    std::thread::yield_now();
                }
            }
            assert!(Instant::now() < deadline, "it never comes");
        }
    }

    /// Whether a report holds a clock entry at or after so many seconds of the guest's time.
    fn sets_clock(report: &Report, seconds: u64) -> bool {
        let Report::Appended { entries, .. } = report else {
            return false;
        };
        entries
            .iter()
            .any(|bytes| match Entry::decode(bytes).unwrap().event {
                Event::Input(Input::Clock(clock)) => clock.time >= seconds * TICKS_PER_SECOND,
                _ => false,
            })
    }

    #[test]
    fn a_busy_guest_s_clock_is_right_when_its_host_resumes() {
        let (mut thread, mut events, added) = start(&BUSY);
        wait(&mut thread, &mut events, |report| sets_clock(report, 0));
        for jumps in 1..=3 {
            added.fetch_add(HOUR, Ordering::Relaxed);
            wait(&mut thread, &mut events, |report| {
                sets_clock(report, jumps * HOUR)
            });
        }
        thread.send(Command::Halt);
    }

    #[test]
    fn what_was_due_while_the_host_was_suspended_happens_when_it_resumes() {
        let (mut thread, mut events, added) = start(&SLEEPER);
        let said = |report: &Report| match report {
            Report::Appended { outputs, .. } => outputs
                .iter()
                .any(|(_, outputs)| outputs.contains(&Output::Console(b"A".to_vec()))),
            _ => false,
        };
        let deadline = Instant::now() + PATIENCE;
        while thread.status().position.0 < 6 {
            assert!(Instant::now() < deadline, "the guest never waits");
            std::thread::yield_now();
        }
        // 100 s from now by timers that stop with the host; the test's patience is shorter.
        added.fetch_add(HOUR, Ordering::Relaxed);
        wait(&mut thread, &mut events, said);
        thread.send(Command::Halt);
    }

    #[test]
    fn a_clock_that_goes_back_goes_on_here() {
        let source = Arc::new(AtomicU64::new(1_000));
        let read = Arc::clone(&source);
        let mut clock = HostClock::new(Box::new(move || {
            Duration::from_secs(read.load(Ordering::Relaxed))
        }));
        assert_eq!(clock.ticks(), 0);
        for (now, expected) in [
            (1_010, 10),
            (900, 10),
            (905, 15),
            (2_000, 1_110),
            (0, 1_110),
        ] {
            source.store(now, Ordering::Relaxed);
            assert_eq!(clock.ticks(), expected * TICKS_PER_SECOND, "at {now}");
        }
        assert_eq!(clock.wait(u64::MAX), WAIT_MAX);
        assert_eq!(clock.wait(0), Duration::ZERO);
    }
}
