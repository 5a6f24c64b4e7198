//! Log entries that have come although others before them are missing: they wait here, so that only what is missing
//! is sent again.

use crate::message::BEYOND_MAX;
use crate::types::LogIndex;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Runs of entries beyond a gap. How many may wait is decided by whoever puts them in.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// By the index of the first entry of each run. Runs do not overlap; they may touch.
    runs: BTreeMap<LogIndex, Vec<Bytes>>,
    bytes: u64,
}

impl Arrivals {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts entries in, those that are here already excepted.
    pub(super) fn put(&mut self, first: LogIndex, entries: Vec<Bytes>) {
        let mut index = first;
        let mut run = (index, Vec::new());
        for entry in entries {
            if self.has(index) {
                self.close(&mut run, index.next());
            } else {
                run.1.push(entry);
            }
            index = index.next();
        }
        self.close(&mut run, index);
    }

    fn has(&self, index: LogIndex) -> bool {
        let run = self.runs.range(..=index).next_back();
        run.is_some_and(|(first, run)| index.since(*first) < run.len() as u64)
    }

    /// Keeps a run, and begins another at `next`.
    fn close(&mut self, run: &mut (LogIndex, Vec<Bytes>), next: LogIndex) {
        let (first, entries) = std::mem::replace(run, (next, Vec::new()));
        if !entries.is_empty() {
            self.bytes += bytes(&entries);
            self.runs.insert(first, entries);
        }
    }

    /// Takes out what follows `held` without a gap; what is before that is forgotten.
    pub(super) fn take_after(&mut self, held: LogIndex) -> Vec<Bytes> {
        let mut taken = Vec::new();
        while let Some(run) = self.runs.first_entry() {
            let next = held.plus(taken.len() as u64).next();
            if *run.key() > next {
                break;
            }
            let (first, mut entries) = run.remove_entry();
            self.bytes -= bytes(&entries);
            let known = entries.len().min(next.since(first) as usize);
            taken.extend(entries.drain(known..));
        }
        taken
    }

    /// The oldest ranges that are here, (first, last), at most [`BEYOND_MAX`].
    pub(super) fn ranges(&self) -> Vec<(LogIndex, LogIndex)> {
        let mut ranges: Vec<(LogIndex, LogIndex)> = Vec::new();
        for (first, run) in &self.runs {
            let last = first.plus(run.len() as u64).previous();
            if let Some((_, end)) = ranges.last_mut().filter(|(_, end)| end.next() == *first) {
                *end = last;
            } else if ranges.len() < BEYOND_MAX {
                ranges.push((*first, last));
            } else {
                break;
            }
        }
        ranges
    }
}

fn bytes(entries: &[Bytes]) -> u64 {
    entries.iter().map(|entry| entry.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(from: u64, to: u64) -> Vec<Bytes> {
        (from..=to)
            .map(|index| Bytes::from(vec![index as u8; 3]))
            .collect()
    }

    #[test]
    fn what_overlaps_is_kept_once() {
        let mut arrivals = Arrivals::default();
        arrivals.put(LogIndex(5), entries(5, 6));
        arrivals.put(LogIndex(9), entries(9, 9));
        arrivals.put(LogIndex(4), entries(4, 10));
        assert_eq!(arrivals.bytes(), 21);
        assert_eq!(arrivals.ranges(), [(LogIndex(4), LogIndex(10))]);
        assert!(arrivals.take_after(LogIndex(2)).is_empty());
        assert_eq!(arrivals.take_after(LogIndex(5)), entries(6, 10));
        assert!(arrivals.runs.is_empty() && arrivals.bytes() == 0);
    }

    #[test]
    fn ranges_are_the_oldest_and_few() {
        let mut arrivals = Arrivals::default();
        for index in (1..=100).rev() {
            arrivals.put(LogIndex(index * 2), entries(1, 1));
        }
        let ranges = arrivals.ranges();
        assert_eq!(ranges.len(), BEYOND_MAX);
        assert_eq!(ranges[1], (LogIndex(4), LogIndex(4)));
    }
}
