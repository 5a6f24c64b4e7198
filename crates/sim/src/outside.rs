//! What a cluster stands between: its clients behind the switch, and the arbiter.

use crate::arbiter::Fate;
use crate::checker::Broken;
use crate::cluster::{Cluster, Happening, is_swap};
use crate::network::ProcessIndex;
use crate::process::Arrival;
use crate::toy::{Reply, power_off_frame};
use replication::{ArbiterOperation, ArbiterReply, Epoch, Local, RequestId};

impl Cluster {
    pub(crate) fn tick_clients(&mut self) {
        let now = self.queue.now();
        for request in self.clients.requests(now) {
            if let Some(to) = self.switch.port() {
                let delay = self.random.between(20, 200);
                self.queue
                    .after(delay, Happening::RequestReaches { request, to });
            }
        }
        if self.power_off_at.is_some_and(|at| at <= now) {
            self.press_power_button();
        }
        let pause = self.random.between(500, 4_000);
        self.queue.after(pause, Happening::Clients);
    }

    fn press_power_button(&mut self) {
        if let Some(to) = self.switch.port() {
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
    }

    pub(crate) fn switch_hears(
        &mut self,
        from: ProcessIndex,
        epoch: Epoch,
        frame: &[u8],
    ) -> Result<(), Broken> {
        let newest = self.switch.newest();
        if !self.switch.hear(from, epoch) {
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

    pub(crate) fn arbiter_hears(
        &mut self,
        from: ProcessIndex,
        request: RequestId,
        operation: ArbiterOperation,
    ) -> Result<(), Broken> {
        let fate = self.arbiter.fate();
        let is_swap = is_swap(&operation);
        if is_swap && fate != Fate::Served {
            self.counts.arbiter_troubles += 1;
            self.note(|| format!("the swap of process {from} meets trouble: {fate:?}"));
        }
        let reply = match fate {
            Fate::Served => self.perform_at_arbiter(operation)?,
            Fate::AnswerLost => {
                self.perform_at_arbiter(operation)?;
                ArbiterReply::Unavailable
            }
            Fate::EffectLate => {
                let delay = self.arbiter.delay();
                self.queue
                    .after(delay, Happening::LateEffect { from, operation });
                ArbiterReply::Unavailable
            }
            Fate::Refused => ArbiterReply::Unavailable,
        };
        if is_swap && fate != Fate::EffectLate {
            *self.swaps_in_flight.entry(from).or_default() -= 1;
        }
        let delay = self.arbiter.way();
        self.schedule_local(
            from,
            self.queue.now() + delay,
            Local::Arbiter { request, reply },
        );
        Ok(())
    }

    pub(crate) fn perform_at_arbiter(
        &mut self,
        operation: ArbiterOperation,
    ) -> Result<ArbiterReply, Broken> {
        let before = self.arbiter.record();
        let reply = self.arbiter.perform(operation);
        let after = self.arbiter.record();
        if let Some(record) = after.filter(|_| after != before) {
            self.note(|| format!("the record is now {record:?}"));
            self.checker.record_changed(before, record)?;
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
}
