//! Who the nodes say that they are, and what each host knows of it: certificates, lists of withdrawn ones, configurations. Who
//! becomes a peer is [`replication::Door`]'s to decide, as it is in `node`; here is what it decides over.

use crate::intruders::Intruders;
use crate::network::{HOSTS, ProcessIndex};
use crate::random::Random;
use replication::{
    Agreement, Config, Credential, Date, Door, Duration, Hello, MachineId, NodeId, NotAdmitted,
    Subject,
};
use std::collections::BTreeMap;

/// The machine's name in its certificates.
pub(crate) const MACHINE_NAME: &str = "m";
/// The nodes' names, by host.
pub(crate) const NAMES: [&str; HOSTS] = ["a", "b", "c"];
/// A node that the configurations name, too. No honest process of it ever comes.
pub(crate) const SPARE: &str = "d";
/// The date when a simulation begins.
const BEGINS_AT: Date = Date(1_700_000_000_000_000);
/// Certificates are good for so long.
const GOOD_FOR: Duration = Duration::from_s(730 * 24 * 3_600);
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

/// The date at an instant of virtual time, from its beginning in microseconds.
pub(crate) fn date(now: u64) -> Date {
    BEGINS_AT.after(Duration::from_us(now))
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
    pub(crate) random: Random,
    /// Whether certificates end, are withdrawn, and configurations differ, beside what thieves make necessary.
    pub(crate) err: bool,
    /// What each host asks of peers.
    doors: [Door; HOSTS],
    /// All certificates that hosts ever had.
    pub(crate) certificates: Vec<Credential>,
    /// The one that each host shows now.
    pub(crate) shown: [usize; HOSTS],
    /// Whether a process that starts on the host now is configured otherwise.
    pub(crate) differs: [bool; HOSTS],
    /// What each process says of itself.
    pub(crate) hellos: Vec<Hello>,
    /// Up to when certificates are withdrawn, by name.
    pub(crate) withdrawn: BTreeMap<&'static str, Date>,
    /// As much of that as each host knows: the judge's copy.
    known: [BTreeMap<&'static str, Date>; HOSTS],
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
            issued: Date(BEGINS_AT.0 - 1),
            ends: BEGINS_AT.after(GOOD_FOR),
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
        until.is_some_and(|until| *until >= shown.issued)
    }

    pub(crate) fn learn(&mut self, host: usize) {
        for (&name, &until) in &self.withdrawn {
            let subject = Subject::new(MACHINE_NAME, name);
            self.doors[host].withdrawn.add(subject, until);
        }
        self.known[host].clone_from(&self.withdrawn);
    }

    pub(crate) fn renew(&mut self, now: u64, host: usize) {
        let withdrawn = self.withdrawn.get(NAMES[host]).copied();
        let later = Date(withdrawn.unwrap_or_default().0 + 1);
        self.certificates.push(Credential {
            subject: Subject::new(MACHINE_NAME, NAMES[host]),
            // Later than what was withdrawn.
            issued: date(now).max(later),
            ends: date(now).after(GOOD_FOR),
        });
        self.shown[host] = self.certificates.len() - 1;
    }

    /// Two processes are connected, from now on, by the certificates that their hosts show.
    pub(crate) fn introduction(&self, now: u64, hosts: [usize; 2]) -> Introduction {
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
    pub(crate) shown: [usize; 2],
    pub(crate) since: u64,
}
