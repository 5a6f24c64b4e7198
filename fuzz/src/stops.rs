//! What an input cost: the longest time for which it kept the thread, and the most memory beyond a guest's own.

use std::fs;
use std::time::Duration;

use torture::lockstep::{Guest, Origin};
use machine::ram::{PAGE_BYTES, RAM_BASE};
use machine::{Clock, Engine, GuestAddr, Machine, Position, Stop};
use rustix::time::{ClockId, clock_gettime};

/// As far as a program on one host lets a machine run at once.
const SLICE: u64 = 50_000;
/// How far a guest is measured.
const POSITIONS: u64 = 400_000;

/// The stops of one input.
#[derive(Debug, Default)]
pub struct Stops {
    /// The longest of them, in time of this thread; none if none was measured.
    pub longest: Option<Duration>,
    /// The most memory beyond what the guest has, in bytes, of a guest that was measured.
    pub memory_bytes: Option<u64>,
    begun: Duration,
}

/// Time that the host gave to this thread: others on the host do not count.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

impl Stops {
    /// A stop begins.
    pub fn begin(&mut self) {
        self.begun = now();
    }

    /// It ends, and the next begins. One that does not count was for the test's own sake.
    pub fn lap(&mut self, counts: bool) {
        let end = now();
        if counts {
            let took = end.saturating_sub(self.begun);
            self.longest = Some(self.longest.unwrap_or_default().max(took));
        }
        self.begun = end;
    }

    /// A stop of its own.
    pub fn time<T>(&mut self, deed: impl FnOnce() -> T) -> T {
        self.begin();
        let result = deed();
        self.lap(true);
        result
    }

    /// Runs a guest as a program on one host does, in slices that end where it is easiest.
    pub fn measure(&mut self, guest: &Guest, engine: Box<dyn Engine>) {
        let Origin::Boot(board, boot) = &guest.origin else {
            panic!("generated guests start from reset");
        };
        let mut machine = Machine::boot(board, boot, engine).expect("a generated guest fits");
        // All of the guest's memory is there before: what comes later is beyond it.
        let mut page = [0; PAGE_BYTES];
        for at in (RAM_BASE..RAM_BASE + board.memory_bytes).step_by(PAGE_BYTES) {
            let at = GuestAddr(at);
            (machine.read_memory(at, &mut page)).expect("it is in memory");
            (machine.write_memory(at, &page)).expect("it is in memory");
        }
        let memory = Memory::begin();
        let mut inputs = guest.inputs.iter().peekable();
        while machine.position().0 < POSITIONS {
            while let Some((_, input)) = inputs.next_if(|(at, _)| *at <= machine.position()) {
                let input = input.clone();
                // One that is refused is a stop, too.
                let _ = self.time(|| machine.apply(input));
            }
            let until = Position(machine.position().0 + SLICE);
            let stop = self.time(|| machine.run_about(until));
            drop(machine.take_outputs());
            match stop {
                Stop::Reached | Stop::Output => {}
                Stop::Idle => {
                    let timer = machine.timer_deadline();
                    let Some(time) = timer.filter(|time| *time < u64::MAX / 2) else {
                        break;
                    };
                    let rate = machine.clock().rate;
                    let clock = machine::Input::Clock(Clock { time, rate });
                    (self.time(|| machine.apply(clock))).expect("a clock is always possible");
                }
                Stop::PowerOff | Stop::Reset => break,
            }
        }
        self.memory_bytes = Some(memory.peak_bytes());
    }
}

/// Watches how much memory this process holds, whoever gave it: allocator or maps.
#[derive(Debug)]
pub struct Memory {
    before: u64,
}

impl Memory {
    /// From now on.
    pub fn begin() -> Self {
        // Where the kernel refuses, the peak is that of the process's whole life, and the bound is the harder to keep.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self {
            before: status("VmRSS:"),
        }
    }

    /// The most that was held at once, beyond what was at the beginning.
    pub fn peak_bytes(&self) -> u64 {
        status("VmHWM:").saturating_sub(self.before)
    }
}

fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib << 10)
}
