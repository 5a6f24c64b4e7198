//! What intruders do: they knock, lie, and are sent away.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::intruders::{Intruder, Kind, Lie, Visit};
use crate::network::ProcessIndex;
use crate::people::{Errand, MACHINE_NAME, MEMORY_MIB, NAMES, SPARE, date, hello};
use crate::process::Arrival;
use replica::Event;
use replication::{Credential, HostId, NodeId, Subject};
use std::collections::BTreeMap;

impl Cluster {
    /// In some simulations, some who should not be there try to get in.
    pub(crate) fn vary_intruders(&mut self) {
        let random = &mut self.people.intruders.random;
        if !random.chance(250) {
            return;
        }
        for number in 0..random.between(1, 3) {
            let kind = self.people.intruders.kind();
            self.note(|| format!("intruder {number}: {kind:?}"));
            let random = &mut self.people.intruders.random;
            let comes_at = random.between(100_000, 3_000_000);
            if let Kind::Thief { host } = kind {
                // Somebody notices, before the thief comes or after.
                let noticed_at = random.between(100_000, 5_000_000);
                self.errand(noticed_at, Errand::Withdraw { host });
            }
            let number = self.people.intruders.all.len();
            let intruder = self.intruder(kind, number as u64);
            self.people.intruders.all.push(intruder);
            self.queue.after(comes_at, Happening::Intrudes(number));
        }
    }

    pub(crate) fn intruder(&self, kind: Kind, number: u64) -> Intruder {
        let (machine, name) = match kind {
            Kind::Thief { host } | Kind::Expired { host } => (MACHINE_NAME, NAMES[host]),
            Kind::OtherMachine { host } => ("n", NAMES[host]),
            Kind::Unnamed => (MACHINE_NAME, "x"),
            Kind::OtherName { .. } | Kind::OtherIdentity | Kind::Otherwise => (MACHINE_NAME, SPARE),
        };
        let certificate = Credential {
            subject: Subject::new(machine, name),
            ends: match kind {
                Kind::Expired { .. } => date(0),
                _ => self.people.certificate(0).ends,
            },
            ..self.people.certificate(0).clone()
        };
        let claimed = match kind {
            Kind::OtherName { host } => NAMES[host],
            _ => name,
        };
        let memory_mib = match kind {
            Kind::Otherwise => MEMORY_MIB * 4,
            _ => MEMORY_MIB,
        };
        let node = NodeId::of_process(u64::MAX - number, name);
        Intruder {
            kind,
            certificate,
            hello: hello(claimed, node, memory_mib),
            gossips: number.is_multiple_of(2),
            visits: BTreeMap::new(),
        }
    }

    /// An intruder tries to get in where it is not, and says something where it is.
    pub(crate) fn intrude(&mut self, number: usize) {
        let mut intruder = self.people.intruders.all.remove(number);
        let listening = |index: &ProcessIndex| self.listens(*index);
        intruder.visits.retain(|index, _| listening(index));
        let hosts: Vec<ProcessIndex> = (0..self.processes.len()).filter(listening).collect();
        for to in hosts {
            match intruder.visits.get(&to) {
                Some(visit) => {
                    let message = self.people.intruders.lie(intruder.gossips);
                    let lie = Lie {
                        intruder: number,
                        visit: visit.number,
                        to,
                        message,
                    };
                    let delay = self.people.intruders.random.between(30, 2_000);
                    self.queue.after(delay, Happening::Lie(lie));
                }
                None => self.knock(&mut intruder, to),
            }
        }
        self.people.intruders.all.insert(number, intruder);
        let pause = self.people.intruders.random.between(20_000, 120_000);
        self.queue.after(pause, Happening::Intrudes(number));
    }

    pub(crate) fn knock(&mut self, intruder: &mut Intruder, to: ProcessIndex) {
        if intruder.kind == Kind::OtherIdentity {
            let record = self.arbiter.record();
            let Some(record) = record else {
                return;
            };
            intruder.hello.node = record.backup().unwrap_or(record.owner);
        }
        let at = (to, self.processes[to].host);
        let (shown, hello) = (&intruder.certificate, &intruder.hello);
        if self.people.ask(self.now(), at, shown, hello).is_err() {
            self.counts.turned_away += 1;
            return;
        }
        self.note(|| format!("process {to} lets an intruder in: {:?}", intruder.kind));
        let node = intruder.hello.node;
        let host = HostId::of_name(&intruder.hello.name);
        self.people.intruders.visits += 1;
        let number = self.people.intruders.visits;
        intruder.visits.insert(to, Visit { number, node });
        self.schedule_event(to, self.now(), Event::Connected { peer: node, host });
    }

    /// A host has a new list of withdrawn certificates.
    pub(crate) fn send_intruders_away(&mut self, host: usize) {
        for number in 0..self.people.intruders.all.len() {
            let intruder = &self.people.intruders.all[number];
            if !self.people.sends_away(host, &intruder.certificate) {
                continue;
            }
            let here = |index: ProcessIndex| self.processes[index].host == host;
            let visits = intruder.visits.iter();
            let ended: Vec<(ProcessIndex, Visit)> = visits
                .filter(|(index, _)| here(**index))
                .map(|(index, visit)| (*index, *visit))
                .collect();
            for (index, visit) in ended {
                self.counts.sent_away += 1;
                self.note(|| format!("process {index} sends intruder {number} away"));
                self.people.intruders.all[number].visits.remove(&index);
                let peer = visit.node;
                self.schedule_event(index, self.now(), Event::Disconnected { peer });
            }
        }
    }

    /// What an intruder says reaches a process, if it is still let in. The judge says whether it should have been.
    pub(crate) fn hear_lie(&mut self, lie: Lie) -> Result<(), Broken> {
        let intruder = &self.people.intruders.all[lie.intruder];
        let Some(visit) = intruder.visits.get(&lie.to) else {
            return Ok(());
        };
        if visit.number != lie.visit || !self.listens(lie.to) {
            return Ok(());
        }
        let node = visit.node;
        let host = self.processes[lie.to].host;
        let withdrawn = self.people.knows_withdrawn(host, &intruder.certificate);
        if !matches!(intruder.kind, Kind::Thief { .. }) || withdrawn {
            let (to, kind) = (lie.to, intruder.kind);
            return Err(Broken {
                invariant: "who",
                what: format!("process {to} hears what it must not: {kind:?} was let in"),
            });
        }
        self.counts.lies += 1;
        let (from, message) = (node, lie.message);
        self.arrive(lie.to, Arrival::Event(Event::Message { from, message }))
    }
}
