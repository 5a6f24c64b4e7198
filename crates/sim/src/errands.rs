//! What people do about certificates and configurations, and the judge, who sees who really speaks.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::network::{HOSTS, ProcessIndex};
use crate::people::{Errand, MEMORY_MIB, NAMES, agreement, date};

impl Cluster {
    /// Somebody does something about certificates and configurations.
    pub(crate) fn run_errand(&mut self, errand: Errand) {
        let now = self.now();
        match errand {
            Errand::Something => {
                if self.people.err {
                    self.make_mistake();
                    let pause = self.people.random.between(100_000, 1_500_000);
                    self.errand(pause, Errand::Something);
                }
            }
            Errand::Withdraw { host } => {
                self.note(|| format!("the certificate of host {host} is withdrawn"));
                self.people.withdrawn.insert(NAMES[host], date(now));
                for other in 0..HOSTS {
                    let delay = self.people.random.between(0, 400_000);
                    self.errand(delay, Errand::Learn { host: other });
                }
                let delay = self.people.random.between(0, 400_000);
                self.errand(delay, Errand::Renew { host });
            }
            Errand::Learn { host } => {
                self.people.learn(host);
                self.send_away(host);
            }
            Errand::Renew { host } => self.people.renew(now, host),
            Errand::Correct { host } => self.correct(host),
        }
    }

    pub(crate) fn make_mistake(&mut self) {
        let random = &mut self.people.random;
        let host = *random.choose(&[0, 1, 2]);
        let lasts = random.between(50_000, 2_500_000);
        match random.between(0, 3) {
            0 => self.run_errand(Errand::Withdraw { host }),
            1 => {
                self.note(|| format!("the certificate of host {host} ends"));
                let shown = self.people.shown[host];
                self.people.certificates[shown].ends = date(self.now());
                self.errand(lasts, Errand::Renew { host });
            }
            _ => {
                self.note(|| format!("host {host} is configured otherwise"));
                self.people.differs[host] = true;
                self.errand(lasts, Errand::Correct { host });
            }
        }
    }

    /// The configuration of a host is put right, and its process started again if it had read the wrong one.
    pub(crate) fn correct(&mut self, host: usize) {
        self.people.differs[host] = false;
        let right = agreement(MEMORY_MIB);
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let wrong = self.people.hellos[index].agreement != right;
            if process.host == host && wrong && process.is_alive() {
                self.crash(index);
            }
        }
    }

    /// A host has a new list: whoever is connected by a certificate on it is sent away.
    pub(crate) fn send_away(&mut self, host: usize) {
        let on_host = |cluster: &Self, index: ProcessIndex| {
            let process = &cluster.processes[index];
            process.host == host && process.is_alive()
        };
        for (lower, higher) in self.channels.keys().copied().collect::<Vec<_>>() {
            let Some(by) = self.channel(lower, higher).introduction else {
                continue;
            };
            let certificates = by.shown.map(|shown| &self.people.certificates[shown]);
            let (of_lower, of_higher) = (certificates[0], certificates[1]);
            if on_host(self, lower) && self.people.sends_away(host, of_higher)
                || on_host(self, higher) && self.people.sends_away(host, of_lower)
            {
                self.note(|| format!("{lower} and {higher} part: a certificate is withdrawn"));
                self.counts.sent_away += 1;
                self.disconnect(lower, higher);
                self.channel(lower, higher).introduction = None;
            }
        }
        self.send_intruders_away(host);
    }

    /// A process is about to hear another one: the judge says whether it may.
    pub(crate) fn judge_speaker(
        &mut self,
        from: ProcessIndex,
        to: ProcessIndex,
    ) -> Result<(), Broken> {
        let Some(by) = self.channel(from, to).introduction else {
            return Ok(());
        };
        let people = &self.people;
        let shown = &people.certificates[by.shown[usize::from(from > to)]];
        let why = if shown.ends <= date(by.since) {
            "by a certificate that had ended"
        } else if people.knows_withdrawn(self.processes[to].host, shown) {
            "by a certificate that it knows to be withdrawn"
        } else if people.hellos[from].agreement != people.hellos[to].agreement {
            "although the two are configured otherwise"
        } else {
            return Ok(());
        };
        Err(Broken {
            invariant: "who",
            what: format!("process {to} hears process {from}, {why}"),
        })
    }
}
