//! What happens in a cluster, one thing after the other, until something is broken, or all is healed.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::network::HOSTS;
use crate::outside::is_swap;
use crate::people::{Errand, date};
use crate::process::{Arrival, Life};
use replica::Event;

impl Cluster {
    /// Runs until virtual time `until` (microseconds) or the first broken invariant.
    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Broken> {
        while self.queue.now() < until {
            let happening = self
                .queue
                .next()
                .expect("the channels' tick always comes again");
            let happened = self.happen(happening);
            self.excuse(happened)?;
        }
        Ok(())
    }

    pub(crate) fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Arrives {
                to,
                channel,
                from,
                arrival,
            } => {
                if self.is_carried(from, to, channel) {
                    if from != to && self.listens(to) {
                        self.judge_speaker(from, to)?;
                    }
                    return self.arrive(to, arrival);
                }
            }
            Happening::Timer { process, due } => {
                if self.timers.get(&process) == Some(&due) {
                    self.timers.remove(&process);
                    if self.processes[process].life == Life::Running {
                        return self.drive(process, |process, now, deeds| {
                            process.arrive(now, Arrival::Event(Event::Timeout), deeds);
                        });
                    }
                }
            }
            Happening::Slice { process, due } => {
                if self.processes[process].slice_at == Some(due) {
                    return self.executor_slice(process);
                }
            }
            Happening::Channels => {
                self.tick_channels();
                self.tick_operator();
                self.watch_braked()?;
                return self.watch_laggards();
            }
            Happening::Clients => return self.tick_clients(),
            Happening::Faults => self.tick_faults(),
            Happening::RequestReaches { request, to } => {
                return self.arrive(to, Arrival::Frame(request.to_frame()));
            }
            Happening::CarriedOut { by, completion } => {
                return self.arrive(by, Arrival::Completion(completion));
            }
            Happening::Announcement { from, epoch } => {
                if self.switch.announce(self.queue.now(), from, epoch) {
                    self.hears_newer(epoch);
                }
            }
            Happening::ReplyReachesSwitch { from, epoch, frame } => {
                return self.switch_hears(from, epoch, &frame);
            }
            Happening::ReplyReachesClient { reply } => {
                self.note(|| {
                    format!(
                        "client {} is told {} for operation {}",
                        reply.client, reply.value, reply.operation
                    )
                });
                return self.clients.hear(reply).map_err(|what| Broken {
                    invariant: "outside",
                    what,
                });
            }
            Happening::ArbiterHears {
                from,
                request,
                operation,
            } => return self.arbiter_hears(from, request, operation),
            Happening::LateEffect { from, operation } => {
                *self.swaps_in_flight.entry(from).or_default() -= u32::from(is_swap(&operation));
                self.perform_at_arbiter(from, operation)?;
            }
            Happening::Restart { host } => {
                let initial = self.cold_start;
                self.start_process(host, initial);
            }
            Happening::PortCloses { process } => self.switch.close(self.queue.now(), process),
            Happening::Neighbours => return self.tick_neighbours(),
            Happening::Errand(errand) => self.run_errand(errand),
            Happening::Intrudes(number) => self.intrude(number),
            Happening::Lie(lie) => return self.hear_lie(lie),
        }
        Ok(())
    }

    pub(crate) fn tick_faults(&mut self) {
        let mut faults = std::mem::take(&mut self.faults);
        let pause = faults.strike(self);
        self.faults = faults;
        if let Some(pause) = pause {
            self.queue.after(pause, Happening::Faults);
        }
    }

    /// Ends all faults.
    pub(crate) fn heal(&mut self) {
        self.note(|| "everything heals".to_owned());
        self.faults.end();
        self.network.heal_all();
        self.arbiter.settle_down();
        self.heal_people();
        for index in 0..self.processes.len() {
            self.resume(index);
        }
    }

    /// People find and mend all that they did wrong, and make no mistakes any more.
    pub(crate) fn heal_people(&mut self) {
        self.people.err = false;
        for host in 0..HOSTS {
            self.run_errand(Errand::Learn { host });
            let shown = self.people.certificate(host);
            if shown.ends <= date(self.now()) || self.people.knows_withdrawn(host, shown) {
                self.people.renew(self.now(), host);
            }
            self.correct(host);
        }
    }
}
