//! A status in lines of at most 80 columns. The first one answers the one question; what does not apply is not shown.

use super::{CERTIFICATE_DAYS_WARN, Dropped, Mode, NodeStatus, days_left};
use std::fmt;

/// Of a terminal as it opens.
const COLUMNS_MAX: usize = 80;
/// Where what is said of a label begins.
const INDENT: usize = 12;

/// Writes `words` behind `label`, and goes on below where they do not fit.
fn line(f: &mut fmt::Formatter<'_>, label: &str, words: &str) -> fmt::Result {
    let mut column = INDENT;
    write!(f, "{label:<INDENT$}")?;
    for (at, word) in words.split_whitespace().enumerate() {
        let width = word.chars().count();
        if at > 0 && column + 1 + width > COLUMNS_MAX {
            write!(f, "\n{:INDENT$}", "")?;
            column = INDENT;
        } else if at > 0 {
            write!(f, " ")?;
            column += 1;
        }
        write!(f, "{word}")?;
        column += width;
    }
    writeln!(f)
}

/// A time span as people say it.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} days {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// So many entries of the log.
fn entries(number: u64) -> String {
    match number {
        1 => "1 entry".to_owned(),
        _ => format!("{number} entries"),
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Joining => "joining",
            Self::Protected => "protected",
            Self::Alone => "alone",
            Self::Unsure => "unsure",
            Self::TakingOver => "taking over",
            Self::Ended => "ended",
        })
    }
}

impl NodeStatus {
    /// The other node, for people.
    fn other(&self) -> &str {
        let name = self.peer_name.as_deref().or(self.peer.as_deref());
        name.unwrap_or("nobody")
    }

    fn is_primary(&self) -> bool {
        self.role == "primary"
    }

    fn protection(&self) -> String {
        let NodeStatus { mode, since, .. } = self;
        if self.protected {
            return match self.is_primary() {
                true => format!("yes, by {}, since {since}", self.other()),
                false => format!(
                    "yes: this node is the backup of {}, since {since}",
                    self.other()
                ),
            };
        }
        let lasts = span(self.unprotected_for_s.unwrap_or_default());
        match &self.reason {
            Some(reason) => format!("NO ({mode}), for {lasts}: {reason}"),
            None => format!("NO ({mode}), for {lasts}"),
        }
    }

    fn peer_words(&self) -> String {
        let state = match (self.peer_connected, self.suspects) {
            (_, true) => "silent",
            (true, false) => "connected",
            (false, false) => "not connected",
        };
        let round_trip = self.peer_round_trip_us.map(|us| match us {
            0..10_000 => format!(", round trip {us} µs"),
            _ => format!(", round trip {} ms", us / 1000),
        });
        format!(
            "{}, {state}{}",
            self.other(),
            round_trip.unwrap_or_default()
        )
    }

    fn log_words(&self) -> String {
        let held = match (self.is_primary(), self.peer.is_some()) {
            (true, false) => format!(
                "{} so far, of which nobody has a copy",
                entries(self.log_index)
            ),
            (true, true) => format!(
                "{}, of which {} holds {} and has replayed {}",
                entries(self.log_index),
                self.other(),
                self.acknowledged,
                self.replayed
            ),
            (false, _) => format!(
                "{}, of which this node holds {} and has replayed {}",
                entries(self.log_index),
                self.acknowledged,
                self.replayed
            ),
        };
        match self.log_bits_per_second / 1000 {
            0 => held,
            rate => format!("{held}; {rate} kbit/s"),
        }
    }

    fn lag_words(&self) -> String {
        let mut words = if self.is_primary() {
            format!(
                "{} is behind by {}, {:.1} ms",
                self.other(),
                entries(self.lag_entries),
                self.lag_ms
            )
        } else {
            format!(
                "this node is behind by {}, {} instructions",
                entries(self.lag_entries),
                self.lag_positions
            )
        };
        if self.throttle > 0 {
            words.push_str(&format!(
                "; the guest is slowed by {:.1}%",
                f64::from(self.throttle) / 10.0
            ));
        }
        if self.backup_slow {
            words.push_str("; this backup is too slow");
        }
        words
    }

    fn output_words(&self) -> String {
        match (self.outputs_held, self.outputs_gated) {
            (0, true) => format!(
                "each waits until {} has the log up to it; none waits now",
                self.other()
            ),
            (held, true) => format!("{held} wait until {} has the log up to them", self.other()),
            (0, false) => "leave at once".to_owned(),
            (held, false) => format!("{held} are about to leave"),
        }
    }

    fn store_words(&self) -> String {
        let lasts = self
            .store_away_s
            .map_or_else(String::new, |away| format!(" for {}", span(away)));
        let forbids = "so that nobody can take over, become a backup or go on alone";
        match (&self.arbiter_problem, self.arbiter_reachable) {
            (Some(problem), false) => format!("AWAY{lasts}, {forbids}: {problem}"),
            (None, false) => format!("AWAY{lasts}, {forbids}: it does not answer in time"),
            (Some(problem), true) => problem.clone(),
            (None, true) => "answers".to_owned(),
        }
    }

    fn network_words(&self) -> Option<String> {
        let problem = self
            .network_problem
            .as_deref()
            .unwrap_or("it is about to be connected");
        Some(match (self.network_ready?, self.is_primary()) {
            (true, true) => "connected".to_owned(),
            (false, true) => format!("NOT connected: {problem}"),
            (true, false) => "would be connected if this node took over".to_owned(),
            (false, false) if self.network_problem.is_some() => {
                format!("would be MISSING if this node took over: {problem}")
            }
            (false, false) => return None,
        })
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.memory_ready
            && let Some(free) = self.memory_free_bytes
        {
            warnings.push(format!(
                "this host has {} MiB of memory left, which is too little for all that the guest may still write to",
                free >> 20
            ));
        }
        if self.certificate_days_left < CERTIFICATE_DAYS_WARN {
            warnings.push(format!(
                "this node's certificate {}: `futago keys renew` makes a new one, SIGHUP makes the node use it",
                days_left(self.certificate_days_left)
            ));
        }
        let Dropped {
            console_pieces,
            console_file_bytes,
            log_lines,
            ..
        } = self.dropped;
        if (console_pieces, console_file_bytes, log_lines) != (0, 0, 0) {
            warnings.push(format!(
                "nobody read {console_pieces} pieces at console clients, {console_file_bytes} bytes of the console file, {log_lines} lines of the log in time: they were dropped"
            ));
        }
        if self.engine_faults > 0 {
            warnings.push(format!(
                "{} faults of the engine, each contained: the log says what the first was",
                self.engine_faults
            ));
        }
        if self.refused_peers > 0 {
            warnings.push(format!(
                "{} connections of peers were refused: the log says why",
                self.refused_peers
            ));
        }
        warnings
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "protected", &self.protection())?;
        line(
            f,
            "node",
            &format!("{}, up for {}", self.node, span(self.uptime_s)),
        )?;
        line(
            f,
            "machine",
            &format!("{}, executed by the {}", self.machine, self.engine),
        )?;
        line(f, "role", &format!("{}, epoch {}", self.role, self.epoch))?;
        if self.peer.is_some() {
            line(f, "peer", &self.peer_words())?;
        }
        if self.log_index > 0 {
            line(f, "log", &self.log_words())?;
            if self.peer.is_some() {
                line(f, "lag", &self.lag_words())?;
            }
        }
        if self.is_primary() {
            line(f, "outputs", &self.output_words())?;
        }
        if let Some(words) = self.network_words() {
            line(f, "network", &words)?;
        }
        if self.transfer_bytes_total > 0 {
            let (done, total) = (self.transfer_bytes, self.transfer_bytes_total);
            let words = format!(
                "{} of {} MiB have moved",
                done >> 20,
                total.div_ceil(1 << 20)
            );
            line(f, "state", &words)?;
        }
        if self.snapshot_pause_ms > 0.0 {
            let words = format!(
                "{:.1} ms, when a state was last taken for a backup",
                self.snapshot_pause_ms
            );
            line(f, "guest stood", &words)?;
        }
        if let Some(refused) = &self.join_refused {
            line(f, "must wait", refused)?;
        }
        if self.digests_compared > 0 && self.peer.is_some() && !self.is_primary() {
            let words = format!(
                "comparisons with {}'s: {}, none of which differed",
                self.other(),
                self.digests_compared
            );
            line(f, "state", &words)?;
        }
        if let Some(takeover) = &self.takeover {
            line(f, "takeover", &takeover.to_string())?;
        }
        if self.console_file_rotated_bytes > 0 {
            let words = format!(
                "{} MiB of its file gave way to newer ones, as `console_size` wants it",
                self.console_file_rotated_bytes.div_ceil(1 << 20)
            );
            line(f, "console", &words)?;
        }
        line(f, "store", &self.store_words())?;
        line(f, "sandbox", &self.sandbox)?;
        for warning in self.warnings() {
            line(f, "warning", &warning)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
