//! What a cluster stands between: its clients behind the switch, and the arbiter.

use crate::arbiter::Fate;
use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::network::ProcessIndex;
use crate::process::Arrival;
use crate::toy::{Reply, power_off_frame};
use replica::Event;
use replication::{ArbiterOperation, ArbiterReply, Epoch, Record, RequestId};

impl Cluster {
    pub(crate) fn tick_clients(&mut self) -> Result<(), Broken> {
        let now = self.queue.now();
        for request in self.clients.requests(now) {
            if let Some(to) = self.behind_switch()? {
                let delay = self.random.between(20, 200);
                self.queue
                    .after(delay, Happening::RequestReaches { request, to });
            }
        }
        if self.power_off_at.is_some_and(|at| at <= now) {
            self.press_power_button()?;
        }
        let pause = self.random.between(500, 4_000);
        self.queue.after(pause, Happening::Clients);
        Ok(())
    }

    fn press_power_button(&mut self) -> Result<(), Broken> {
        if let Some(to) = self.behind_switch()? {
            let arrival = Arrival::Frame(power_off_frame());
            let due = self.queue.now() + self.random.between(20, 200);
            let (channel, from) = (None, to);
            let happening = Happening::Arrives {
                to,
                channel,
                from,
                arrival,
            };
            self.queue.at(due, happening);
        }
        // Until it goes off.
        self.power_off_at = (!self.is_off()).then_some(self.queue.now() + 100_000);
        Ok(())
    }

    pub(crate) fn switch_hears(
        &mut self,
        from: ProcessIndex,
        epoch: Epoch,
        frame: &[u8],
    ) -> Result<(), Broken> {
        let (now, newest) = (self.now(), self.switch.newest());
        let source = frame.get(6..12).and_then(|source| source.try_into().ok());
        if !source.is_some_and(|source| self.switch.takes(now, from, epoch, source)) {
            return Ok(());
        }
        if epoch < newest {
            return Err(Broken {
                invariant: "I5",
                what: format!(
                    "the switch takes a frame of epoch {} after epoch {}",
                    epoch.0, newest.0
                ),
            });
        }
        let Some(reply) = Reply::from_frame(frame) else {
            return Err(Broken {
                invariant: "outside",
                what: format!("process {from} sends a frame that is no reply: {frame:?}"),
            });
        };
        let delay = self.random.between(20, 200);
        self.queue
            .after(delay, Happening::ReplyReachesClient { reply });
        Ok(())
    }

    /// A request leaves its process for the arbiter.
    pub(crate) fn ask_arbiter(
        &mut self,
        from: ProcessIndex,
        request: RequestId,
        operation: ArbiterOperation,
    ) {
        if is_swap(&operation) {
            self.note(|| format!("process {from} asks the arbiter: {operation:?}"));
            *self.swaps_in_flight.entry(from).or_default() += 1;
        }
        let delay = self.arbiter.way();
        let happening = Happening::ArbiterHears {
            from,
            request,
            operation,
        };
        self.queue.after(delay, happening);
    }

    /// The arbiter has answered a process: what waited is asked now.
    pub(crate) fn arbiter_served(&mut self, process: ProcessIndex) {
        let desk = self.desks.entry(process).or_default();
        if let Some((request, operation)) = desk.served() {
            self.ask_arbiter(process, request, operation);
        }
    }

    pub(crate) fn arbiter_hears(
        &mut self,
        from: ProcessIndex,
        request: RequestId,
        operation: ArbiterOperation,
    ) -> Result<(), Broken> {
        let fate = self.arbiter.fate(&operation);
        if let ArbiterOperation::Prepare { .. } = operation {
            if fate == Fate::Served {
                self.perform_at_arbiter(from, operation)?;
            }
            self.arbiter_served(from);
            return Ok(());
        }
        let is_swap = is_swap(&operation);
        if is_swap && fate != Fate::Served {
            self.counts.arbiter_troubles += 1;
            self.note(|| format!("the swap of process {from} meets trouble: {fate:?}"));
        }
        let reply = match fate {
            Fate::Served => self.perform_at_arbiter(from, operation)?,
            Fate::AnswerLost => {
                self.perform_at_arbiter(from, operation)?;
                ArbiterReply::Unavailable
            }
            Fate::EffectLate => {
                let delay = self.arbiter.delay();
                self.queue
                    .after(delay, Happening::LateEffect { from, operation });
                ArbiterReply::Unavailable
            }
            Fate::Unsynced => {
                self.arbiter.perform_unsynced(operation);
                ArbiterReply::Unavailable
            }
            Fate::Refused => ArbiterReply::Unavailable,
        };
        if is_swap && fate != Fate::EffectLate {
            *self.swaps_in_flight.entry(from).or_default() -= 1;
        }
        let served = reply != ArbiterReply::Unavailable;
        let reply = self.arbiter.guard(self.processes[from].host, reply);
        if served && reply == ArbiterReply::Unavailable {
            self.counts.stores_refused += 1;
            self.note(|| format!("process {from} does not trust what it finds of the store"));
        }
        self.counts.swaps_while_full +=
            u64::from(self.arbiter.full && is_swap && matches!(reply, ArbiterReply::Current(_)));
        let delay = self.arbiter.way();
        self.counts.late_answers += u64::from(served && self.arbiter.is_slow());
        self.schedule_event(
            from,
            self.queue.now() + delay,
            Event::Arbiter { request, reply },
        );
        Ok(())
    }

    pub(crate) fn perform_at_arbiter(
        &mut self,
        from: ProcessIndex,
        operation: ArbiterOperation,
    ) -> Result<ArbiterReply, Broken> {
        let mut before = self.arbiter.record();
        if let Some(record) = self.arbiter.sync() {
            self.note(|| format!("the record is now, since it was synced, {record:?}"));
            self.judge_change(before, record)?;
            self.starts_again(before, record);
            before = Some(record);
        }
        let host = self.processes[from].host;
        let reply = self.arbiter.perform(host, operation);
        let changed = match (operation, reply) {
            (ArbiterOperation::Swap { new, .. }, ArbiterReply::Current(Some(now))) => new == now,
            _ => false,
        };
        if let ArbiterReply::Current(Some(record)) = reply
            && changed
        {
            self.note(|| format!("the record is now {record:?}"));
            // Whichever store it was in: there is only one machine.
            self.judge_change(before, record)?;
            self.starts_again(before, record);
        }
        Ok(reply)
    }

    /// The clients' books balance.
    pub(crate) fn check_books(&self) -> Result<(), Broken> {
        self.clients.check_sum().map_err(|what| Broken {
            invariant: "outside",
            what,
        })
    }

    /// A change of the record is judged, wherever it was made.
    pub(crate) fn judge_change(
        &mut self,
        before: Option<Record>,
        new: Record,
    ) -> Result<(), Broken> {
        let judged = self.judge_end(before, new);
        let judged = judged.and_then(|()| self.checker.record_changed(before, new));
        self.excuse(judged)
    }
}

pub(crate) fn is_swap(operation: &ArbiterOperation) -> bool {
    matches!(operation, ArbiterOperation::Swap { .. })
}
