//! One machine on this host alone: run, recorded to a file, or replayed from one. No peers, no arbiter.

mod console;
mod drive;
mod ending;
mod event;
mod host;
mod net;
mod record;
mod replay;
mod run;

pub use ending::Ending;
pub use record::{RecordOptions, RecordSummary, record};
pub use replay::{ReplayEvent, ReplayOptions, ReplaySummary, is_damage, replay};
pub use run::{RunOptions, RunSummary, run};
