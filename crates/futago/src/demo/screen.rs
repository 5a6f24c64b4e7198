//! Shows the story as it happens: on a terminal a few lines that stay in place below the events, elsewhere plain lines.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use node::status::NodeStatus;

use super::client::Seen;
use super::site::NAMES;

/// Between two plain lines that say how it goes.
const PLAIN_EVERY: Duration = Duration::from_secs(2);
/// Between two pictures on a terminal.
const PICTURE_EVERY: Duration = Duration::from_millis(200);

/// A line that stays in place, cut off where the terminal ends.
const LINE: &str = "{wide_msg}";

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
    place: Place,
    begun: Instant,
    shown: Option<Instant>,
    /// For the rate: when, and how many operations.
    before: (Instant, u64),
    rate: f64,
}

/// Where the story is shown.
enum Place {
    /// Lines, one below the other.
    Plain(Box<dyn Write>),
    /// Events, and below them lines that stay in place: the head, the nodes, the client.
    Terminal(MultiProgress, [ProgressBar; 4]),
}

impl Screen {
    /// On standard output, or on standard error where that is wanted for something else.
    pub(crate) fn new(on_stderr: bool) -> Self {
        let (out, target, is_terminal): (Box<dyn Write>, _, _) = match on_stderr {
            true => {
                let is_terminal = std::io::stderr().is_terminal();
                (
                    Box::new(std::io::stderr()),
                    ProgressDrawTarget::stderr(),
                    is_terminal,
                )
            }
            false => {
                let is_terminal = std::io::stdout().is_terminal();
                (
                    Box::new(std::io::stdout()),
                    ProgressDrawTarget::stdout(),
                    is_terminal,
                )
            }
        };
        let place = match is_terminal {
            true => {
                let picture = MultiProgress::with_draw_target(target);
                let lines = [(); 4].map(|()| {
                    let line = ProgressBar::new_spinner();
                    line.set_style(ProgressStyle::with_template(LINE).expect("it is a template"));
                    picture.add(line)
                });
                Place::Terminal(picture, lines)
            }
            false => Place::Plain(out),
        };
        let begun = Instant::now();
        Self {
            place,
            begun,
            shown: None,
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
        self.put(&line);
        line
    }

    /// The client begins now: its rate does not count what was before.
    pub(crate) fn client_begins(&mut self) {
        self.before = (Instant::now(), 0);
    }

    /// The result, below all.
    pub(crate) fn end(&mut self, text: &str) {
        self.put(&format!("\n{text}"));
        if let Place::Terminal(picture, _) = &self.place {
            // The story is over without a spectator, too.
            let _ = picture.clear();
        }
    }

    /// How it goes.
    pub(crate) fn show(&mut self, view: &View, waiting: &str) {
        let every = match self.place {
            Place::Terminal(..) => PICTURE_EVERY,
            Place::Plain(_) => PLAIN_EVERY,
        };
        if self.shown.is_some_and(|shown| shown.elapsed() < every) {
            return;
        }
        self.shown = Some(Instant::now());
        let (then, operations) =
            std::mem::replace(&mut self.before, (Instant::now(), view.seen.operations));
        self.rate =
            (view.seen.operations - operations) as f64 / then.elapsed().as_secs_f64().max(1e-3);
        let [a, b] = [0, 1].map(|index| {
            let status = view.nodes[index].as_ref();
            describe(NAMES[index], view.running[index], status)
        });
        let client = format!(
            "client  {} acknowledged, {:.0} per second, {} lost, {} repeated",
            view.seen.operations, self.rate, view.seen.lost, view.seen.repeated
        );
        let seconds = self.seconds();
        match &self.place {
            Place::Plain(_) => self.put(&format!("{seconds:7.2} s  {a} | {b} | {client}")),
            Place::Terminal(_, lines) => {
                let head = format!("{seconds:7.2} s  kills: {}; {waiting}", view.kills);
                let texts = [
                    head,
                    format!("  {a}"),
                    format!("  {b}"),
                    format!("  {client}"),
                ];
                for (line, text) in lines.iter().zip(texts) {
                    line.set_message(text);
                }
            }
        }
    }

    /// Lines that stay. The story goes on without a spectator.
    fn put(&mut self, text: &str) {
        let _ = match &mut self.place {
            Place::Plain(out) => writeln!(out, "{text}").and_then(|()| out.flush()),
            Place::Terminal(picture, _) => picture.println(text),
        };
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
