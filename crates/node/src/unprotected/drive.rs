//! The loop that drives an executor in host time: inputs in, outputs out at once, sleep while the guest does.

use super::ending::Ending;
use super::host::Host;
use crate::first_words::FirstWords;
use crate::panics;
use crate::requests::carry_out;
use bytes::Bytes;
use machine::{Input, Machine, Position};
use replica::{Advice, Command, Executor, Report};
use replication::TransferId;

/// Positions after which the loop looks for inputs again: some tens of microseconds.
const SLICE: u64 = 50_000;

/// What becomes of a log that is recorded.
pub(super) trait Keeper {
    /// Entries were appended; their outputs have yet to leave.
    fn keep(&mut self, entries: &[Bytes]) -> anyhow::Result<()>;
    /// A snapshot was taken at this position, behind all entries so far.
    fn keep_snapshot(&mut self, state: &Bytes, position: Position) -> anyhow::Result<()>;
    /// Time has passed. Whether a snapshot is wanted.
    fn wants_snapshot(&mut self) -> anyhow::Result<bool>;
}

/// Runs a machine until it ends. All that it appends goes to `keeper` before its outputs leave.
pub(super) fn drive(
    executor: &mut Executor,
    host: &Host,
    keeper: &mut impl Keeper,
) -> anyhow::Result<Ending> {
    let mut first_words = FirstWords::default();
    executor.handle(host.ticks(), Command::Run)?;
    let ending = drive_on(executor, host, &mut first_words, keeper)?;
    if let Some(machine) = executor.machine() {
        first_words.tell(machine);
    }
    Ok(ending)
}

/// Ends the log of a machine that was ended from outside: it says where it was left.
pub(super) fn close(
    executor: &mut Executor,
    host: &Host,
    keeper: &mut impl Keeper,
) -> anyhow::Result<()> {
    executor.handle(host.ticks(), Command::Digest)?;
    deliver(executor, host, keeper)?;
    Ok(())
}

fn drive_on(
    executor: &mut Executor,
    host: &Host,
    first_words: &mut FirstWords,
    keeper: &mut impl Keeper,
) -> anyhow::Result<Ending> {
    panics::print_few();
    let mut fault_said = false;
    let mut wait = None;
    loop {
        if let Some(ending) = host.take_events(wait, first_words.due(), executor)? {
            return Ok(ending);
        }
        host.type_in(executor)?;
        let advice = executor.step(host.ticks(), SLICE);
        let delivered = deliver(executor, host, keeper)?;
        if let Some(machine) = executor.machine() {
            first_words.look(machine);
        }
        if !fault_said && let Some(fault) = executor.first_fault() {
            panics::say(fault);
            fault_said = true;
        }
        if let Some(ending) = delivered.ending {
            return Ok(ending);
        }
        if keeper.wants_snapshot()? {
            let transfer = TransferId::default();
            executor.handle(host.ticks(), Command::TakeSnapshot { transfer })?;
            deliver(executor, host, keeper)?;
        }
        wait = match advice {
            Advice::Again => None,
            Advice::Wait { .. } if delivered.answered || host.may_type(executor) => None,
            Advice::Wait { until } => Some(until),
        };
    }
}

/// What came of an executor's reports.
#[derive(Default)]
struct Delivered {
    /// How the machine has ended, if it has.
    ending: Option<Ending>,
    /// The machine has an answer to take in.
    answered: bool,
}

/// Does what the executor's reports say.
fn deliver(
    executor: &mut Executor,
    host: &Host,
    keeper: &mut impl Keeper,
) -> anyhow::Result<Delivered> {
    let mut delivered = Delivered::default();
    while let Some(report) = executor.poll_report() {
        match report {
            Report::Appended {
                entries, outputs, ..
            } => {
                keeper.keep(&entries)?;
                for (_, outputs) in outputs {
                    host.put_out(outputs);
                }
            }
            Report::SnapshotTaken { state, .. } => {
                keeper.keep_snapshot(&state, executor.status().position)?;
            }
            Report::Requested { requests } => {
                for request in requests {
                    let completion = Input::Completion(carry_out(request));
                    executor.handle(host.ticks(), Command::Input(completion))?;
                    delivered.answered = true;
                }
            }
            Report::PoweredOff => {
                let stop = executor.machine().and_then(Machine::stop_request);
                delivered.ending = Some(Ending::of(stop));
            }
            Report::ResetAsked => delivered.ending = Some(Ending::ResetAsked),
            Report::Replayed { .. }
            | Report::Restored { .. }
            | Report::Verified
            | Report::Diverged(_) => {
                anyhow::bail!("a machine that records reports a replay: this is a bug in Futago");
            }
        }
    }
    Ok(delivered)
}
