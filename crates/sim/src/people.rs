//! Who the nodes say that they are, and what each host knows of it: certificates, lists of withdrawn ones, configurations. Who
//! becomes a peer is [`replication::Door`]'s to decide, as it is in `node`; here is what it decides over, how that changes, and
//! the judge, who sees who really speaks.

use crate::checker::Broken;
use crate::cluster::{Cluster, HOSTS, Happening};
use crate::intruders::Intruders;
use crate::network::ProcessIndex;
use crate::process::Life;
use crate::random::Random;
use replication::{
    Agreement, Config, Credential, Door, Hello, MachineId, NodeId, NotAdmitted, Subject,
};
use std::collections::BTreeMap;

/// The machine's name in its certificates.
pub(crate) const MACHINE_NAME: &str = "m";
/// The nodes' names, by host.
pub(crate) const NAMES: [&str; HOSTS] = ["a", "b", "c"];
/// A node that the configurations name, too. No honest process of it ever comes.
pub(crate) const SPARE: &str = "d";
/// The date when a simulation begins, in microseconds since 1970.
const BEGINS_AT: u64 = 1_700_000_000_000_000;
/// Certificates are good for so long.
const GOOD_FOR: u64 = 730 * 24 * 3_600_000_000;
/// Whoever was turned away comes again after so long.
pub(crate) const COMES_AGAIN_AFTER: u64 = 300_000;

/// What people do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand {
    /// Whatever comes to their minds.
    Something,
    /// A certificate of the host is withdrawn, for it may have been stolen.
    Withdraw { host: usize },
    /// The list of withdrawn certificates reaches a host.
    Learn { host: usize },
    /// A host gets a new certificate.
    Renew { host: usize },
    /// A host's configuration is put right.
    Correct { host: usize },
}

/// The date at an instant of virtual time, in microseconds since 1970.
pub(crate) fn date(now: u64) -> u64 {
    BEGINS_AT + now
}

/// An agreement on memory of so many MiB.
pub(crate) fn agreement(mib: u64) -> Agreement {
    Agreement::default().with("machine.memory", format!("{mib}M"))
}

/// The memory that the machine has, in MiB.
pub(crate) const MEMORY_MIB: u64 = 256;

/// Names, certificates and configurations.
#[derive(Debug)]
pub(crate) struct People {
    random: Random,
    /// Whether certificates end, are withdrawn, and configurations differ, beside what thieves make necessary.
    err: bool,
    /// What each host asks of peers.
    doors: [Door; HOSTS],
    /// All certificates that hosts ever had.
    certificates: Vec<Credential>,
    /// The one that each host shows now.
    shown: [usize; HOSTS],
    /// Whether a process that starts on the host now is configured otherwise.
    differs: [bool; HOSTS],
    /// What each process says of itself.
    hellos: Vec<Hello>,
    /// Up to when certificates are withdrawn, by name.
    withdrawn: BTreeMap<&'static str, u64>,
    /// As much of that as each host knows: the judge's copy.
    known: [BTreeMap<&'static str, u64>; HOSTS],
    pub(crate) intruders: Intruders,
}

impl People {
    /// Honest and careful people, unless `random` decides otherwise later.
    pub(crate) fn new(mut random: Random, config: &Config) -> Self {
        let accepts: Vec<String> = NAMES
            .iter()
            .chain([&SPARE])
            .map(|name| (*name).to_owned())
            .collect();
        let certificate = |name: &&str| Credential {
            subject: Subject::new(MACHINE_NAME, name),
            issued_us: BEGINS_AT - 1,
            ends_us: BEGINS_AT + GOOD_FOR,
        };
        let intruders = Intruders::new(random.fork());
        Self {
            random,
            err: false,
            doors: std::array::from_fn(|_| door(&accepts, config)),
            certificates: NAMES.iter().map(certificate).collect(),
            shown: std::array::from_fn(|host| host),
            differs: [false; HOSTS],
            hellos: Vec::new(),
            withdrawn: BTreeMap::new(),
            known: Default::default(),
            intruders,
        }
    }

    /// Whether a process that starts on the host now is configured otherwise: then it is no use for starting the machine.
    pub(crate) fn is_misconfigured(&self, host: usize) -> bool {
        self.differs[host]
    }

    /// A process starts on a host, and says who it is.
    pub(crate) fn born(&mut self, index: ProcessIndex, host: usize) -> NodeId {
        let node = NodeId::of_process(index as u64 + 1, NAMES[host]);
        let memory_mib = MEMORY_MIB << u64::from(self.differs[host]);
        self.hellos.push(hello(NAMES[host], node, memory_mib));
        node
    }

    /// What a process says of itself.
    pub(crate) fn hello(&self, index: ProcessIndex) -> &Hello {
        &self.hellos[index]
    }

    /// The certificate that a host shows now.
    pub(crate) fn certificate(&self, host: usize) -> &Credential {
        &self.certificates[self.shown[host]]
    }

    /// Whether a process on the host lets somebody in who shows this and says that.
    pub(crate) fn ask(
        &self,
        now: u64,
        (listener, host): (ProcessIndex, usize),
        shown: &Credential,
        peer: &Hello,
    ) -> Result<(), NotAdmitted> {
        let door = &self.doors[host];
        door.check_certificate(shown, date(now))?;
        door.check_hello(&self.hellos[listener], shown, peer)
    }

    /// Whether whoever was let in by this certificate must leave the host.
    pub(crate) fn sends_away(&self, host: usize, shown: &Credential) -> bool {
        self.doors[host].sends_away(shown)
    }

    /// As the judge sees it, from what the host was told: whether a certificate is withdrawn.
    pub(crate) fn knows_withdrawn(&self, host: usize, shown: &Credential) -> bool {
        let until = self.known[host].get(shown.subject.node.as_str());
        until.is_some_and(|until| *until >= shown.issued_us)
    }

    fn learn(&mut self, host: usize) {
        for (&name, &until) in &self.withdrawn {
            let subject = Subject::new(MACHINE_NAME, name);
            self.doors[host].withdrawn.add(subject, until);
        }
        self.known[host].clone_from(&self.withdrawn);
    }

    fn renew(&mut self, now: u64, host: usize) {
        let withdrawn = self.withdrawn.get(NAMES[host]).copied();
        self.certificates.push(Credential {
            subject: Subject::new(MACHINE_NAME, NAMES[host]),
            // Later than what was withdrawn.
            issued_us: date(now).max(withdrawn.unwrap_or_default() + 1),
            ends_us: date(now) + GOOD_FOR,
        });
        self.shown[host] = self.certificates.len() - 1;
    }

    /// Two processes are connected, from now on, by the certificates that their hosts show.
    fn introduction(&self, now: u64, hosts: [usize; 2]) -> Introduction {
        Introduction {
            shown: hosts.map(|host| self.shown[host]),
            since: now,
        }
    }
}

fn door(accepts: &[String], config: &Config) -> Door {
    #[cfg_attr(not(feature = "mutations"), expect(unused_mut))]
    let mut door = Door::new(MACHINE_NAME, accepts);
    #[cfg(feature = "mutations")]
    {
        door.mutation = config.mutation;
    }
    let _ = config;
    door
}

/// What a node of the machine says of itself.
pub(crate) fn hello(name: &str, node: NodeId, memory_mib: u64) -> Hello {
    Hello {
        machine: MachineId(1),
        machine_name: MACHINE_NAME.to_owned(),
        node,
        name: name.to_owned(),
        agreement: agreement(memory_mib),
    }
}

/// By what two processes know each other: the certificate of the one with the lower index, then that of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Introduction {
    shown: [usize; 2],
    since: u64,
}

impl Cluster {
    /// In some simulations, people make mistakes; in some, there are some who should not be there.
    pub(crate) fn vary_people(&mut self) {
        self.people.err = self.people.random.chance(300);
        if self.people.err {
            self.errand(300_000, Errand::Something);
        }
        self.vary_intruders();
    }

    pub(crate) fn errand(&mut self, after: u64, errand: Errand) {
        self.queue.after(after, Happening::Errand(errand));
    }

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

    fn make_mistake(&mut self) {
        let random = &mut self.people.random;
        let host = *random.choose(&[0, 1, 2]);
        let lasts = random.between(50_000, 2_500_000);
        match random.between(0, 3) {
            0 => self.run_errand(Errand::Withdraw { host }),
            1 => {
                self.note(|| format!("the certificate of host {host} ends"));
                let shown = self.people.shown[host];
                self.people.certificates[shown].ends_us = date(self.now());
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
    fn correct(&mut self, host: usize) {
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

    /// People find and mend all that they did wrong, and make no mistakes any more.
    pub(crate) fn heal_people(&mut self) {
        self.people.err = false;
        for host in 0..HOSTS {
            self.run_errand(Errand::Learn { host });
            let shown = self.people.certificate(host);
            if shown.ends_us <= date(self.now()) || self.people.knows_withdrawn(host, shown) {
                self.people.renew(self.now(), host);
            }
            self.correct(host);
        }
    }

    /// A host has a new list: whoever is connected by a certificate on it is sent away.
    fn send_away(&mut self, host: usize) {
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

    /// Two processes meet; none if one of them does not want the other.
    pub(crate) fn introduce(
        &mut self,
        lower: ProcessIndex,
        higher: ProcessIndex,
    ) -> Option<Introduction> {
        let now = self.now();
        let hosts = [lower, higher].map(|index| self.processes[index].host);
        let ask = |listener: ProcessIndex, at: usize, peer: ProcessIndex| {
            let shown = self.people.certificate(hosts[1 - at]);
            let hello = self.people.hello(peer);
            self.people.ask(now, (listener, hosts[at]), shown, hello)
        };
        match ask(lower, 0, higher).and_then(|()| ask(higher, 1, lower)) {
            Ok(()) => Some(self.people.introduction(now, hosts)),
            Err(why) => {
                self.counts.turned_away += 1;
                self.note(|| format!("{lower} and {higher} do not become peers: {why:?}"));
                None
            }
        }
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
        let why = if shown.ends_us <= date(by.since) {
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

    /// Whether a process can be spoken to.
    pub(crate) fn listens(&self, index: ProcessIndex) -> bool {
        self.processes[index].life == Life::Running
    }
}
