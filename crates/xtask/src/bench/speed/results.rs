//! What was measured: for each workload and peer, seconds of each round, and what the work came to.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

use super::machine::{Outcome, Taken};
use super::memory::Resident;
use super::workload::{Kind, Workload};
use crate::bench::statistics::median;

/// What runs the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Peer {
    /// The host itself.
    Native,
    /// QEMU.
    Tcg,
    /// QEMU, recording.
    Record,
    Futago,
}

impl Peer {
    /// In the order of a round.
    pub(super) const ALL: [Self; 4] = [Self::Native, Self::Tcg, Self::Record, Self::Futago];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Tcg => "TCG",
            Self::Record => "record",
            Self::Futago => "futago",
        }
    }
}

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Clock {
    /// The host's clock.
    Host,
    /// Processor time of the machine's process: steadier on a busy host, but blind to waiting, and not for native.
    Processor,
}

impl Taken {
    /// What counts of it.
    pub(super) fn by(&self, clock: Clock, peer: Peer) -> f64 {
        match clock {
            Clock::Processor if peer != Peer::Native => self.processor,
            _ => self.wall,
        }
    }
}

/// One peer at one workload.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) taken: Vec<Taken>,
    /// What the work came to, each value once.
    sums: Vec<String>,
    failures: Vec<String>,
}

/// One workload.
pub(super) struct Row {
    pub(super) workload: &'static Workload,
    pub(super) cells: BTreeMap<Peer, Cell>,
}

/// All of it.
pub(super) struct Results {
    pub(super) clock: Clock,
    pub(super) rows: Vec<Row>,
    /// What an idle guest's machine held after each boot.
    pub(super) resident: BTreeMap<Peer, Vec<Resident>>,
}

impl Results {
    pub(super) fn new(workloads: &[&'static Workload], clock: Clock) -> Self {
        let rows = workloads.iter().map(|&workload| Row {
            workload,
            cells: BTreeMap::new(),
        });
        Self {
            clock,
            rows: rows.collect(),
            resident: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, name: &str, peer: Peer, outcome: Outcome) {
        let Some(row) = self.rows.iter_mut().find(|row| row.workload.name == name) else {
            return;
        };
        let cell = row.cells.entry(peer).or_default();
        match outcome {
            Outcome::Done(taken, sum) => {
                cell.taken.push(taken);
                if !cell.sums.contains(&sum) {
                    cell.sums.push(sum);
                }
            }
            Outcome::Failed(why) => cell.failures.push(why),
        }
    }

    pub(super) fn add_resident(&mut self, peer: Peer, resident: Resident) {
        self.resident.entry(peer).or_default().push(resident);
    }

    /// Medians.
    pub(super) fn resident(&self, peer: Peer) -> Option<Resident> {
        let held = self.resident.get(&peer)?;
        Some(Resident {
            rss_mib: median(held.iter().map(|held| held.rss_mib).collect()),
            pss_mib: median(held.iter().map(|held| held.pss_mib).collect()),
        })
    }

    /// What failed, and what came to different ends under different peers.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.rows.iter().flat_map(Row::wrong).collect()
    }
}

impl Row {
    /// Seconds, of those rounds that came to an end.
    pub(super) fn median(&self, peer: Peer, clock: Clock) -> Option<f64> {
        let cell = self.cells.get(&peer)?;
        let seconds = cell.taken.iter().map(|taken| taken.by(clock, peer));
        (!cell.taken.is_empty()).then(|| median(seconds.collect()))
    }

    /// How many times faster Futago is than `peer`.
    pub(super) fn ratio(&self, peer: Peer, clock: Clock) -> Option<f64> {
        Some(self.median(peer, clock)? / self.median(Peer::Futago, clock)?)
    }

    fn wrong(&self) -> Vec<String> {
        let name = self.workload.name;
        let mut wrong = Vec::new();
        for (peer, cell) in &self.cells {
            if let Some(why) = cell.failures.first() {
                let count = cell.failures.len();
                wrong.push(format!("{name}: {} ({count} times): {why}", peer.title()));
            }
        }
        let comparable = (self.cells.iter())
            .filter(|(peer, _)| **peer != Peer::Native || self.workload.kind != Kind::OwnFused);
        let sums: Vec<(&str, &str)> = comparable
            .flat_map(|(peer, cell)| cell.sums.iter().map(|sum| (peer.title(), sum.as_str())))
            .collect();
        if sums.iter().any(|(_, sum)| *sum != sums[0].1) {
            let sums: Vec<_> = sums
                .iter()
                .map(|(peer, sum)| format!("{peer} {sum}"))
                .collect();
            wrong.push(format!("{name}: results differ: {}", sums.join(", ")));
        }
        wrong
    }
}

/// The geometric mean; none of nothing.
pub(super) fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = values.into_iter().map(f64::ln).collect();
    let count = logarithms.len() as f64;
    (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / count).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::speed::workload;

    fn results(name: &str, cells: &[(Peer, f64, &str)]) -> Results {
        let workloads = workload::select(&[name.to_owned()]).unwrap();
        let mut results = Results::new(&workloads, Clock::Host);
        for &(peer, wall, sum) in cells {
            let taken = Taken {
                wall,
                processor: 1.0,
            };
            results.add(name, peer, Outcome::Done(taken, sum.to_owned()));
        }
        results
    }

    #[test]
    fn ratios_are_of_medians() {
        let results = results(
            "alu",
            &[
                (Peer::Tcg, 9.0, "1"),
                (Peer::Tcg, 2.0, "1"),
                (Peer::Tcg, 1.0, "1"),
                (Peer::Futago, 0.5, "1"),
            ],
        );
        let row = &results.rows[0];
        assert_eq!(row.ratio(Peer::Tcg, Clock::Host), Some(4.0));
        assert_eq!(row.ratio(Peer::Tcg, Clock::Processor), Some(1.0));
        assert_eq!(row.ratio(Peer::Record, Clock::Host), None);
        assert!(results.wrong().is_empty());
    }

    #[test]
    fn different_results_are_wrong() {
        let native = (Peer::Native, 1.0, "1");
        let own = (Peer::Futago, 1.0, "2");
        assert_eq!(results("alu", &[native, own]).wrong().len(), 1);
        assert!(results("nbody", &[native, own]).wrong().is_empty());
        let peer = (Peer::Tcg, 1.0, "3");
        assert_eq!(results("nbody", &[own, peer]).wrong().len(), 1);
    }

    #[test]
    fn means() {
        assert_eq!(geometric_mean([]), None);
        let mean = geometric_mean([2.0, 8.0]).unwrap();
        assert!((mean - 4.0).abs() < 1e-12);
    }
}
