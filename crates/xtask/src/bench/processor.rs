//! Processor time of processes that are measured, as their kernel counts it.

use std::fs;

/// What the kernel calls a clock tick in `/proc/PID/stat`: a hundredth of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessorTime {
    /// Of all threads of the process, those that have ended included.
    pub(super) process: f64,
    /// Of its threads that have the name asked for.
    pub(super) named: f64,
}

/// Processor time of a process so far, and of its threads with this name; 0 where the kernel does not say.
pub(super) fn processor_time(process: u32, name: &str) -> ProcessorTime {
    let directory = format!("/proc/{process}");
    let threads = fs::read_dir(format!("{directory}/task")).ok();
    let named = (threads.into_iter().flatten().flatten())
        .filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok())
        .filter(|stat| thread_name(stat) == Some(name))
        .map(|stat| seconds(&stat));
    ProcessorTime {
        named: named.sum(),
        process: fs::read_to_string(format!("{directory}/stat")).map_or(0.0, |stat| seconds(&stat)),
    }
}

fn thread_name(stat: &str) -> Option<&str> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0)
}

fn seconds(stat: &str) -> f64 {
    // After the name, which ends with the last parenthesis: fields 14 and 15 of proc(5) are user and system time.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "17 (a (b) c) S 1 17 17 0 -1 4194560 5 0 0 0 150 25 0 0 20 0 3 0 9";
        assert_eq!(seconds(stat), 1.75);
        assert_eq!(thread_name(stat), Some("a (b) c"));
        assert_eq!(processor_time(0, "x"), ProcessorTime::default());
    }
}
