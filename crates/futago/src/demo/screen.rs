//! Shows the story as it happens: on a terminal a few lines that stay in place below the events, elsewhere plain lines.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use node::status::NodeStatus;

use super::client::Seen;
use super::site::NAMES;

/// Between two plain lines that say how it goes.
const PLAIN_EVERY: Duration = Duration::from_secs(2);
/// Between two pictures on a terminal.
const PICTURE_EVERY: Duration = Duration::from_millis(200);

/// Width of the picture on a terminal.
const COLUMNS_MAX: usize = 79;

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Which nodes have a process.
    pub(crate) running: [bool; 2],
    /// What each node says of itself.
    pub(crate) nodes: [Option<NodeStatus>; 2],
    /// What the client has seen.
    pub(crate) seen: Seen,
    /// Kills so far.
    pub(crate) kills: u32,
}

impl View {
    /// The node that is the machine.
    pub(crate) fn primary(&self) -> Option<(usize, &NodeStatus)> {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.find_map(|(index, node)| {
            node.as_ref()
                .filter(|node| node.role == "primary")
                .map(|node| (index, node))
        })
    }

    /// The node that is the machine, if the other protects it.
    pub(crate) fn protected(&self) -> Option<(usize, &NodeStatus)> {
        let (index, primary) = self.primary()?;
        let backup = self.nodes[1 - index].as_ref()?;
        let paired =
            primary.flag == Some(0) && backup.role == "backup" && backup.epoch == primary.epoch;
        paired.then_some((index, primary))
    }
}

pub(crate) struct Screen {
    out: Box<dyn Write>,
    terminal: bool,
    begun: Instant,
    shown: Option<Instant>,
    /// Lines of the picture that stands now.
    lines: usize,
    /// For the rate: when, and how many operations.
    before: (Instant, u64),
    rate: f64,
}

impl Screen {
    /// On standard output, or on standard error where that is wanted for something else.
    pub(crate) fn new(on_stderr: bool) -> Self {
        let (out, terminal): (Box<dyn Write>, bool) = if on_stderr {
            (Box::new(std::io::stderr()), std::io::stderr().is_terminal())
        } else {
            (Box::new(std::io::stdout()), std::io::stdout().is_terminal())
        };
        let begun = Instant::now();
        Self {
            out,
            terminal,
            begun,
            shown: None,
            lines: 0,
            before: (begun, 0),
            rate: 0.0,
        }
    }

    /// Seconds since the beginning.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Something happened. Returns the line.
    pub(crate) fn event(&mut self, what: &str) -> String {
        let line = format!("{:7.2} s  {what}", self.seconds());
        let clear = self.clear();
        self.put(&format!("{clear}{line}\n"));
        line
    }

    /// The client begins now: its rate does not count what was before.
    pub(crate) fn client_begins(&mut self) {
        self.before = (Instant::now(), 0);
    }

    /// The result, below all.
    pub(crate) fn end(&mut self, text: &str) {
        let clear = self.clear();
        self.put(&format!("{clear}\n{text}\n"));
    }

    /// How it goes.
    pub(crate) fn show(&mut self, view: &View, waiting: &str) {
        let every = if self.terminal {
            PICTURE_EVERY
        } else {
            PLAIN_EVERY
        };
        if self.shown.is_some_and(|shown| shown.elapsed() < every) {
            return;
        }
        self.shown = Some(Instant::now());
        let (then, operations) =
            std::mem::replace(&mut self.before, (Instant::now(), view.seen.operations));
        self.rate =
            (view.seen.operations - operations) as f64 / then.elapsed().as_secs_f64().max(1e-3);
        let nodes = [0, 1].map(|index| {
            let status = view.nodes[index].as_ref();
            describe(NAMES[index], view.running[index], status)
        });
        let client = format!(
            "client  {} acknowledged, {:.0} per second, {} lost, {} repeated",
            view.seen.operations, self.rate, view.seen.lost, view.seen.repeated
        );
        if self.terminal {
            let head = format!("{:7.2} s  kills: {}; {waiting}", self.seconds(), view.kills);
            let [a, b] = nodes;
            let lines = [
                String::new(),
                head,
                format!("  {a}"),
                format!("  {b}"),
                format!("  {client}"),
            ];
            let mut picture = self.clear();
            for line in &lines {
                // A line that the terminal wraps would not be cleared.
                picture.extend(line.chars().take(COLUMNS_MAX));
                picture.push('\n');
            }
            self.lines = lines.len();
            self.put(&picture);
        } else {
            let line = format!(
                "{:7.2} s  {} | {} | {client}\n",
                self.seconds(),
                nodes[0],
                nodes[1]
            );
            self.put(&line);
        }
    }

    /// What takes the picture away.
    fn clear(&mut self) -> String {
        match std::mem::take(&mut self.lines) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }

    fn put(&mut self, text: &str) {
        // The story goes on without a spectator.
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }
}

fn describe(name: &str, running: bool, status: Option<&NodeStatus>) -> String {
    let Some(status) = status else {
        let what = if running { "starting" } else { "no process" };
        return format!("{name}: {what}");
    };
    let flag = match status.flag {
        Some(0) => "PAIR",
        Some(_) => "SOLO",
        None => "unknown",
    };
    let mut text = format!(
        "{name}: {}, epoch {}, flag {flag}",
        status.role, status.epoch
    );
    // Without a backup nothing lags, and what is sent is a transfer.
    if status.role == "primary" && status.flag == Some(0) {
        let lag = format!(
            ", lag {} entries {:.1} ms",
            status.lag_entries, status.lag_ms
        );
        text.push_str(&lag);
        text.push_str(&format!(
            ", log {} kbit/s",
            status.log_bits_per_second / 1000
        ));
    }
    if status.transfer_bytes_total > status.transfer_bytes {
        let (done, all) = (
            status.transfer_bytes >> 20,
            status.transfer_bytes_total >> 20,
        );
        text.push_str(&format!(", transfer {done} of {all} MiB"));
    }
    text
}
