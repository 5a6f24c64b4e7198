//! What came out of the story, as JSON and as text.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The result. The order of the fields is that of the JSON line, which others parse.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// `pass` or `fail`.
    pub(crate) verdict: &'static str,
    pub(crate) kills: u32,
    pub(crate) operations: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) connections_broken: u64,
    /// Last reply before a kill to first reply after; none without kills.
    pub(crate) failover_ms_median: Option<f64>,
    pub(crate) failover_ms_max: Option<f64>,
    /// Replies per second while there was a pair.
    pub(crate) operations_per_second: f64,
    /// Of the log under this load, while there was a pair.
    pub(crate) log_kbit_per_second_median: Option<f64>,
    pub(crate) log_kbit_per_second_max: Option<f64>,
    pub(crate) seconds: f64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Samples, of which the median and the maximum count.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn add_ms(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1e3);
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = sorted[(sorted.len() - 1) / 2];
        Some(tenths((lower + upper) / 2.0))
    }

    pub(crate) fn max(&self) -> Option<f64> {
        self.0.iter().copied().max_by(f64::total_cmp).map(tenths)
    }
}

/// Rounded to one digit after the point.
pub(crate) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number =
            |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.1}"));
        writeln!(
            f,
            "operations           {} ({:.0} per second)",
            self.operations, self.operations_per_second
        )?;
        writeln!(f, "kills                {}", self.kills)?;
        writeln!(f, "lost                 {}", self.lost)?;
        writeln!(f, "repeated             {}", self.repeated)?;
        writeln!(f, "broken connections   {}", self.connections_broken)?;
        let (median, max) = (
            number(self.failover_ms_median),
            number(self.failover_ms_max),
        );
        writeln!(f, "failover gap, ms     median {median}, maximum {max}")?;
        let (median, max) = (
            number(self.log_kbit_per_second_median),
            number(self.log_kbit_per_second_max),
        );
        writeln!(f, "log, kbit/s          median {median}, maximum {max}")?;
        if let Some(reason) = &self.reason {
            writeln!(f, "reason               {reason}")?;
        }
        write!(f, "verdict              {}", self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_maximum() {
        let mut samples = Samples::default();
        assert_eq!((samples.median(), samples.max()), (None, None));
        for value in [5.0, 1.0, 2.0] {
            samples.add(value);
        }
        assert_eq!((samples.median(), samples.max()), (Some(2.0), Some(5.0)));
        samples.add(4.0);
        assert_eq!(samples.median(), Some(3.0));
    }

    #[test]
    fn the_json_line_begins_as_it_is_promised() {
        let outcome = Outcome {
            verdict: "pass",
            kills: 1,
            operations: 2,
            lost: 0,
            repeated: 0,
            connections_broken: 0,
            failover_ms_median: Some(1.5),
            failover_ms_max: Some(2.5),
            operations_per_second: 1.0,
            log_kbit_per_second_median: None,
            log_kbit_per_second_max: None,
            seconds: 1.0,
            reason: None,
        };
        let json = serde_json::to_string(&outcome).unwrap();
        let promised = r#"{"verdict":"pass","kills":1,"operations":2,"lost":0,"repeated":0,"connections_broken":0,"failover_ms_median":1.5,"failover_ms_max":2.5,"#;
        assert!(json.starts_with(promised), "{json}");
    }
}
