//! Who may be a peer. Decided, without I/O, from what a node knows (its machine, whom it accepts, what was withdrawn), what the
//! peer's certificate says, and what the peer says of itself. That the machine's authority issued the certificate is the
//! channel's to check, as are the sentences by which people hear of a refusal.

mod agreement;
mod credential;
mod identity;

pub use agreement::{Agreement, Difference};
pub use credential::{Credential, Subject, Withdrawn};

use crate::config::Mutation;
use crate::time::Date;
use crate::types::{MachineId, NodeId};
use serde::{Deserialize, Serialize};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The machine that the node belongs to.
    pub machine: MachineId,
    /// The machine's name, for people.
    pub machine_name: String,
    /// The node.
    pub node: NodeId,
    /// The node's name: its certificate's.
    pub name: String,
    /// What must be alike on all nodes of the machine, the semantics of what executes it among it.
    pub agreement: Agreement,
}

/// Why somebody is no peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The certificate is for a node of another machine.
    OtherCertificate {
        /// Whose it is.
        theirs: Subject,
    },
    /// The certificate has ended.
    Expired {
        /// Whose it is.
        name: String,
    },
    /// The certificate was withdrawn.
    Withdrawn {
        /// Whose it is.
        name: String,
    },
    /// The configuration does not name the node.
    NotAccepted {
        /// Whose certificate it is.
        name: String,
    },
    /// The node calls itself by another name than its certificate.
    OtherName {
        /// What it says.
        claimed: String,
        /// What its certificate says.
        certified: String,
    },
    /// The node claims the identity of a process of another node.
    OtherIdentity {
        /// The name in its certificate.
        certified: String,
    },
    /// The node says that it belongs to another machine.
    OtherMachine {
        /// The name of that machine.
        theirs: String,
    },
    /// It is this very node.
    Myself,
    /// It is configured otherwise.
    Differs {
        /// The node's name.
        name: String,
        /// In what.
        difference: Difference,
    },
}

/// What a node asks of those who would be its peers.
#[derive(Clone, Debug)]
pub struct Door {
    machine: String,
    accepts: Vec<String>,
    /// Certificates that are of no use any more.
    pub withdrawn: Withdrawn,
    /// Leaves out one question on purpose.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
}

impl Door {
    /// That of a node of the machine of this name, which pairs with nodes of these names.
    pub fn new(machine: &str, accepts: &[String]) -> Self {
        Self {
            machine: machine.to_owned(),
            accepts: accepts.to_vec(),
            withdrawn: Withdrawn::default(),
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// The first question, before anything is believed: is it the certificate of somebody who may pair with this node? `now`
    /// is counted from 1970, by this host's clock.
    ///
    /// # Errors
    /// It is not: of another machine, ended, withdrawn, or not named by the configuration.
    pub fn check_certificate(&self, shown: &Credential, now: Date) -> Result<(), NotAdmitted> {
        let name = || shown.subject.node.clone();
        if !shown.subject.is_of(&self.machine) && !self.mutated(Mutation::AdmitOtherMachine) {
            return Err(NotAdmitted::OtherCertificate {
                theirs: shown.subject.clone(),
            });
        }
        if shown.ends <= now && !self.mutated(Mutation::AdmitExpired) {
            return Err(NotAdmitted::Expired { name: name() });
        }
        if self.withdrawn.holds(shown) && !self.mutated(Mutation::AdmitWithdrawn) {
            return Err(NotAdmitted::Withdrawn { name: name() });
        }
        if !self.accepts.contains(&shown.subject.node) && !self.mutated(Mutation::AdmitUnnamed) {
            return Err(NotAdmitted::NotAccepted { name: name() });
        }
        Ok(())
    }

    /// The second question: is the peer who its certificate says, by its name and by the identity by which the protocol knows
    /// it, and configured as this node, `me`, is?
    ///
    /// # Errors
    /// It is not.
    pub fn check_hello(
        &self,
        me: &Hello,
        shown: &Credential,
        peer: &Hello,
    ) -> Result<(), NotAdmitted> {
        let certified = &shown.subject.node;
        if peer.name != *certified && !self.mutated(Mutation::AdmitOtherName) {
            return Err(NotAdmitted::OtherName {
                claimed: peer.name.clone(),
                certified: certified.clone(),
            });
        }
        if !peer.node.is_process_of(certified) && !self.mutated(Mutation::AdmitOtherIdentity) {
            return Err(NotAdmitted::OtherIdentity {
                certified: certified.clone(),
            });
        }
        if peer.machine != me.machine {
            return Err(NotAdmitted::OtherMachine {
                theirs: peer.machine_name.clone(),
            });
        }
        if peer.node == me.node {
            return Err(NotAdmitted::Myself);
        }
        match me.agreement.difference(&peer.agreement) {
            Some(difference) if !self.mutated(Mutation::AdmitDifferent) => {
                Err(NotAdmitted::Differs {
                    name: peer.name.clone(),
                    difference,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody who was admitted by this certificate must leave: it was withdrawn meanwhile. That it has ended does not
    /// count, for protection is worth more.
    pub fn sends_away(&self, shown: &Credential) -> bool {
        self.withdrawn.holds(shown) && !self.mutated(Mutation::KeepWithdrawn)
    }

    fn mutated(&self, mutation: Mutation) -> bool {
        mutated!(self, mutation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That many days after 1970.
    fn day(days: u64) -> Date {
        Date(days * 24 * 3600 * 1_000_000)
    }

    fn credential(machine: &str, node: &str) -> Credential {
        Credential {
            subject: Subject::new(machine, node),
            issued: day(10),
            ends: day(20),
        }
    }

    fn hello(name: &str) -> Hello {
        Hello {
            machine: MachineId(1),
            machine_name: "m".to_owned(),
            node: NodeId::of_process(7, name),
            name: name.to_owned(),
            agreement: Agreement::default().with("machine.memory", "256M"),
        }
    }

    #[test]
    fn only_a_good_certificate_of_a_named_node_is_looked_at_further() {
        let mut door = Door::new("m", &["b".to_owned(), "c".to_owned()]);
        door.withdrawn.add(Subject::new("m", "c"), day(10));
        let check = |shown: Credential, at: Date| door.check_certificate(&shown, at);
        let name = |name: &str| name.to_owned();
        assert_eq!(check(credential("m", "b"), day(15)), Ok(()));
        assert_eq!(
            check(credential("m", "b"), day(20)),
            Err(NotAdmitted::Expired { name: name("b") })
        );
        assert_eq!(
            check(credential("m", "c"), day(15)),
            Err(NotAdmitted::Withdrawn { name: name("c") })
        );
        assert_eq!(
            check(credential("m", "d"), day(15)),
            Err(NotAdmitted::NotAccepted { name: name("d") })
        );
        let theirs = Subject::new("n", "b");
        assert_eq!(
            check(credential("n", "b"), day(15)),
            Err(NotAdmitted::OtherCertificate { theirs })
        );
        assert!(door.sends_away(&credential("m", "c")));
        let renewed = Credential {
            issued: Date(day(10).0 + 1),
            ..credential("m", "c")
        };
        assert_eq!(check(renewed.clone(), day(15)), Ok(()));
        assert!(!door.sends_away(&renewed) && !door.sends_away(&credential("m", "b")));
    }

    #[test]
    fn a_peer_is_who_its_certificate_says_and_configured_alike() {
        let door = Door::new("m", &["b".to_owned()]);
        let check = |peer: &Hello| door.check_hello(&hello("a"), &credential("m", "b"), peer);
        let b = hello("b");
        let certified = || "b".to_owned();
        assert_eq!(check(&b), Ok(()));
        assert_eq!(
            check(&hello("a")),
            Err(NotAdmitted::OtherName {
                claimed: "a".to_owned(),
                certified: certified()
            })
        );
        let thief = Hello {
            node: NodeId::of_process(7, "a"),
            ..b.clone()
        };
        let certified = certified();
        assert_eq!(check(&thief), Err(NotAdmitted::OtherIdentity { certified }));
        let stray = Hello {
            machine: MachineId(2),
            ..b.clone()
        };
        let theirs = "m".to_owned();
        assert_eq!(check(&stray), Err(NotAdmitted::OtherMachine { theirs }));
        let other = Hello {
            agreement: Agreement::default().with("machine.memory", "512M"),
            ..b.clone()
        };
        let Err(NotAdmitted::Differs { name, difference }) = check(&other) else {
            panic!("admitted");
        };
        assert_eq!(
            (name.as_str(), difference.key.as_str()),
            ("b", "machine.memory")
        );
        let oneself = door.check_hello(&b, &credential("m", "b"), &b);
        assert_eq!(oneself, Err(NotAdmitted::Myself));
    }
}
