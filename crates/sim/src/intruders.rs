//! Those who should not be there: with a certificate that was stolen, has ended, is another machine's or another node's, or
//! with another configuration than the machine's. Whoever of them is let in lies.

use crate::network::{HOSTS, ProcessIndex};
use crate::random::Random;
use bytes::Bytes;
use replication::{
    Credential, Duration, Epoch, Hello, LeaveReason, LogIndex, MachineId, Message, Mode, NodeId,
    Nonce, Record, Room, TransferId,
};
use std::collections::BTreeMap;

/// What is wrong with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has a copy of a host's certificate and key. Nobody can tell, until it is withdrawn.
    Thief { host: usize },
    /// As a thief, but what it found has ended.
    Expired { host: usize },
    /// The same authority has given it a certificate for another machine.
    OtherMachine { host: usize },
    /// It is a node of the machine, but no configuration names it.
    Unnamed,
    /// It calls itself by the name of another node.
    OtherName { host: usize },
    /// It takes the identity of whatever process is the backup, or the owner.
    OtherIdentity,
    /// It is configured otherwise.
    Otherwise,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    /// Each visit has another.
    pub(crate) number: u64,
    /// As whom it came.
    pub(crate) node: NodeId,
}

#[derive(Debug)]
pub(crate) struct Intruder {
    pub(crate) kind: Kind,
    pub(crate) certificate: Credential,
    pub(crate) hello: Hello,
    /// It only speaks of records, and stays what it seems.
    pub(crate) gossips: bool,
    /// The processes that let it in.
    pub(crate) visits: BTreeMap<ProcessIndex, Visit>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Intruders {
    pub(crate) random: Random,
    pub(crate) all: Vec<Intruder>,
    pub(crate) visits: u64,
}

/// The transfer that they offer to joiners. The state never comes.
const OWN_TRANSFER: u128 = u128::MAX / 3;

/// The lies about records, among all of them.
const RECORDS: u64 = 6;

/// What an intruder says, on its way.
#[derive(Debug)]
pub(crate) struct Lie {
    pub(crate) intruder: usize,
    pub(crate) visit: u64,
    pub(crate) to: ProcessIndex,
    pub(crate) message: Message,
}

impl Intruders {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            all: Vec::new(),
            visits: 0,
        }
    }

    pub(crate) fn kind(&mut self) -> Kind {
        let host = *self.random.choose(&[0, 1, 2]);
        *self.random.choose(&[
            Kind::Thief { host },
            Kind::Thief { host },
            Kind::Expired { host },
            Kind::OtherMachine { host },
            Kind::Unnamed,
            Kind::OtherName { host },
            Kind::OtherIdentity,
            Kind::Otherwise,
        ])
    }

    pub(crate) fn lie(&mut self, gossips: bool) -> Message {
        let random = &mut self.random;
        let index = |random: &mut Random| LogIndex(random.between(0, 5_000));
        let epoch = Epoch(random.between(0, 40));
        // Nobody tells it the name of a transfer that is not its own, and its own is to catch joiners.
        let transfer = match random.chance(500) {
            true => TransferId(u128::from(random.bits()) << 64 | u128::from(random.bits())),
            false => TransferId(OWN_TRANSFER),
        };
        let kind = match gossips {
            true => RECORDS,
            false => random.between(0, 8),
        };
        match kind {
            0 => Message::Join {
                machine: MachineId(1),
                attempt: random.between(0, 5),
                room_bytes: 1 << 40,
            },
            1 => Message::Append {
                epoch,
                transfer,
                first: index(random),
                entries: vec![Bytes::from_static(b"lie"); 2],
                released: index(random),
                urgent: true,
                stamp: random.bits(),
            },
            2 => Message::Acknowledge {
                epoch,
                transfer,
                held: index(random),
                replayed: index(random),
                ready: true,
                room: Room {
                    bytes: 1 << 40,
                    entries: 1 << 40,
                },
                beyond: Vec::new(),
                echo: random.bits(),
                echo_age: Duration::ZERO,
            },
            3 => Message::Heartbeat {
                epoch,
                transfer,
                last: index(random),
                released: index(random),
                paired: true,
                urgent: true,
                stamp: random.bits(),
            },
            4 => Message::Diverged { transfer },
            5 => Message::TransferStart {
                epoch,
                transfer,
                attempt: random.between(0, 5),
                from: index(random),
            },
            // Mostly the same: what is new must first have been said for a while.
            RECORDS => Message::Known {
                record: Some(Record {
                    machine: MachineId(1),
                    epoch: *random.choose(&[epoch, Epoch(1_000), Epoch(1_000)]),
                    mode: Mode::Solo,
                    owner: NodeId(1),
                    nonce: Nonce(1),
                }),
            },
            _ => Message::Leave {
                transfer: random.chance(500).then_some(transfer),
                reason: *random.choose(&[
                    LeaveReason::Dismissed,
                    LeaveReason::Superseded { epoch },
                    LeaveReason::StateDamaged,
                    LeaveReason::Stopping,
                ]),
            },
        }
    }
}

const _: () = assert!(HOSTS == 3, "intruders know three hosts");
