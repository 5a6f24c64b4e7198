//! Two nodes, each with a store of its own where there should be one: nobody stays the machine beside another for longer than they
//! cannot talk.

use replication::{
    Action, ArbiterOperation, ArbiterReply, Config, Core, Epoch, HaltReason, HostId, Instant,
    Local, MachineId, Message, Mode, NodeId, Nonce, Record, RoleStatus,
};
use std::collections::VecDeque;

const SECOND: u64 = 1_000_000;

struct Node {
    id: NodeId,
    core: Core,
    store: Option<Record>,
    /// What somebody else writes just before this node's first swap.
    race: Option<Record>,
    runs: bool,
    halted: Option<HaltReason>,
    said: VecDeque<Message>,
}

impl Node {
    fn new(id: u128) -> Self {
        let config = Config::new(MachineId(1), NodeId(id), id as u64);
        Self {
            id: NodeId(id),
            core: Core::new(config, Instant(0)),
            store: None,
            race: None,
            runs: false,
            halted: None,
            said: VecDeque::new(),
        }
    }

    fn local(&mut self, now: u64, local: Local) {
        self.core.handle_local(Instant(now), local);
        self.act(now);
    }

    fn hear(&mut self, now: u64, from: NodeId, message: Message) {
        self.core.handle_message(Instant(now), from, message);
        self.act(now);
    }

    fn connect(&mut self, now: u64, peer: NodeId) {
        let host = HostId::of_name("peer");
        self.local(now, Local::Connected { peer, host });
    }

    fn act(&mut self, now: u64) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Arbiter { request, operation } => {
                    if matches!(operation, ArbiterOperation::Swap { .. }) {
                        self.store = self.race.take().or(self.store);
                    }
                    let reply = match operation {
                        ArbiterOperation::Prepare { .. } => continue,
                        ArbiterOperation::Swap { expected, new } if expected == self.store => {
                            self.store = Some(new);
                            ArbiterReply::Current(self.store)
                        }
                        ArbiterOperation::Swap { .. } => ArbiterReply::Refused(self.store),
                        ArbiterOperation::Read => ArbiterReply::Current(self.store),
                    };
                    (self.core).handle_local(Instant(now), Local::Arbiter { request, reply });
                }
                Action::Send { message, .. } => self.said.push_back(message),
                Action::Run { .. } => self.runs = true,
                Action::Halt { reason } => self.halted = Some(reason),
                _ => {}
            }
        }
    }
}

/// Lets time pass for both, who hear each other at once.
fn pass(nodes: &mut [Node; 2], from: u64, to: u64) {
    for now in (from..to).step_by(10_000) {
        for own in 0..2 {
            nodes[own].core.handle_timeout(Instant(now));
            nodes[own].act(now);
            let id = nodes[own].id;
            while let Some(message) = nodes[own].said.pop_front() {
                nodes[1 - own].hear(now, id, message);
            }
        }
    }
}

fn connect(nodes: &mut [Node; 2], now: u64) {
    let ids = [nodes[0].id, nodes[1].id];
    for own in 0..2 {
        nodes[own].connect(now, ids[1 - own]);
    }
}

#[test]
fn nobody_starts_what_a_peer_has_started_by_another_copy() {
    let mut nodes = [Node::new(1), Node::new(2)];
    connect(&mut nodes, 0);
    nodes[0].local(0, Local::Start);
    pass(&mut nodes, 0, SECOND);
    assert!(nodes[0].runs);
    nodes[1].local(SECOND, Local::Start);
    pass(&mut nodes, SECOND, 10 * SECOND);
    assert!(!nodes[1].runs && nodes[1].store.is_none());
    assert!(
        matches!(
            nodes[1].halted,
            Some(HaltReason::OtherStore { shown: None, .. })
        ),
        "{:?}",
        nodes[1].halted
    );
    assert_eq!(nodes[0].halted, None);
}

#[test]
fn of_two_owners_that_hear_each_other_one_goes() {
    let mut nodes = [Node::new(1), Node::new(2)];
    for node in &mut nodes {
        node.local(0, Local::Start);
    }
    assert!(nodes[0].runs && nodes[1].runs);
    connect(&mut nodes, SECOND);
    pass(&mut nodes, SECOND, 10 * SECOND);
    assert_eq!(
        nodes[0].halted, None,
        "of one epoch, the lower name goes on"
    );
    assert!(matches!(
        nodes[1].halted,
        Some(HaltReason::OtherStore { .. })
    ));
}

#[test]
fn of_two_owners_that_of_the_later_epoch_goes_on() {
    let mut nodes = [Node::new(1), Node::new(2)];
    nodes[1].store = Some(Record {
        machine: MachineId(1),
        epoch: Epoch(4),
        mode: Mode::Down,
        owner: NodeId(2),
        nonce: Nonce(1),
    });
    for node in &mut nodes {
        node.local(0, Local::Start);
    }
    assert!(nodes[0].runs && nodes[1].runs);
    connect(&mut nodes, SECOND);
    pass(&mut nodes, SECOND, 5 * SECOND);
    assert_eq!(nodes[0].halted, None, "its store may yet show it");
    pass(&mut nodes, 5 * SECOND, 15 * SECOND);
    assert!(matches!(
        nodes[0].halted,
        Some(HaltReason::OtherStore { .. })
    ));
    assert_eq!(nodes[1].halted, None);
}

#[test]
fn who_finds_another_in_its_own_epoch_is_the_owner_no_more() {
    // In the one store that both read: it was set back, and recovered from there.
    let mut nodes = [Node::new(2), Node::new(1)];
    nodes[0].local(0, Local::Start);
    pass(&mut nodes, 0, SECOND);
    let mine = nodes[0].store.unwrap();
    let other = Record {
        owner: NodeId(1),
        nonce: Nonce(9),
        ..mine
    };
    nodes[0].store = Some(other);
    connect(&mut nodes, SECOND);
    let record = Some(other);
    nodes[0].hear(SECOND, NodeId(1), Message::Known { record });
    pass(&mut nodes, SECOND, 4 * SECOND);
    assert_eq!(nodes[0].halted, Some(HaltReason::Lost { record: other }));
}

#[test]
fn who_would_start_reads_again_where_somebody_only_ended_the_machine() {
    let mut nodes = [Node::new(1), Node::new(2)];
    let down = Record {
        machine: MachineId(1),
        epoch: Epoch(4),
        mode: Mode::Down,
        owner: NodeId(8),
        nonce: Nonce(1),
    };
    nodes[0].store = Some(down);
    nodes[0].race = Some(Record {
        nonce: Nonce(2),
        ..down
    });
    nodes[0].local(0, Local::Start);
    pass(&mut nodes, 0, SECOND);
    assert!(nodes[0].runs && nodes[0].race.is_none());
}

#[test]
fn a_peer_ends_no_node_that_waits_by_its_word_about_others() {
    for local in [Local::Join, Local::Start] {
        let mut nodes = [Node::new(5), Node::new(2)];
        connect(&mut nodes, 0);
        let liar = nodes[1].id;
        let record = Some(Record {
            machine: MachineId(1),
            epoch: Epoch(7),
            mode: Mode::Solo,
            owner: NodeId(3),
            nonce: Nonce(9),
        });
        nodes[0].hear(0, liar, Message::Known { record });
        nodes[0].local(0, local);
        pass(&mut nodes, 0, 40 * SECOND);
        assert_eq!(nodes[0].halted, None);
        assert!(!nodes[0].runs, "it does not start what others may run");
    }
}

#[test]
fn a_peer_ends_no_owner_by_its_word_about_others() {
    let mut nodes = [Node::new(5), Node::new(2)];
    nodes[0].local(0, Local::Start);
    connect(&mut nodes, 0);
    let claim = |owner, epoch| Message::Known {
        record: Some(Record {
            machine: MachineId(1),
            epoch: Epoch(epoch),
            mode: Mode::Solo,
            owner: NodeId(owner),
            nonce: Nonce(9),
        }),
    };
    let liar = nodes[1].id;
    for (round, owner, epoch) in [(1, 3, 1), (2, 3, 7), (3, 0, u64::MAX)] {
        let now = round * 40 * SECOND;
        nodes[0].hear(now, liar, claim(owner, epoch));
        pass(&mut nodes, now, now + 40 * SECOND);
        assert_eq!(nodes[0].halted, None);
        assert_eq!(nodes[0].core.status().role, RoleStatus::Primary);
    }
    let beside = nodes[0].core.status().beside;
    assert!(beside.is_some(), "it shows in the status");
}

#[test]
fn a_node_that_waits_learns_that_its_machine_has_ended() {
    for by_operator in [false, true] {
        let mut nodes = [Node::new(1), Node::new(2)];
        let record = Record {
            machine: MachineId(1),
            epoch: Epoch(3),
            mode: Mode::Solo,
            owner: NodeId(7),
            nonce: Nonce(1),
        };
        nodes[0].store = Some(record);
        nodes[0].local(0, Local::Join);
        pass(&mut nodes, 0, 5 * SECOND);
        assert_eq!(nodes[0].halted, None);
        let down = Record {
            epoch: Epoch(4),
            mode: Mode::Down,
            owner: NodeId(if by_operator { 8 } else { 7 }),
            ..record
        };
        nodes[0].store = Some(down);
        pass(&mut nodes, 5 * SECOND, 10 * SECOND);
        let expected = match by_operator {
            false => HaltReason::PoweredOff,
            true => HaltReason::Lost { record: down },
        };
        assert_eq!(nodes[0].halted, Some(expected));
    }
}
