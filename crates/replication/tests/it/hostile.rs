//! A peer that lies. The failure model does not contain it (fail-stop), so lies may cost the pair; but they never
//! crash a node, nor make it hold more than its bounds.

use crate::random::Random;
use crate::world::{World, connected};
use bytes::Bytes;
use replication::{
    Action, Config, Core, Duration, Epoch, Instant, LeaveReason, Local, LogIndex, MachineId,
    Message, Mode, NodeId, Nonce, Record, Refusal, RoleStatus, Room, TransferId,
};

fn index(random: &mut Random) -> LogIndex {
    LogIndex(match random.below(4) {
        0 => random.below(u64::MAX),
        1 => u64::MAX - random.below(3),
        _ => random.below(12),
    })
}

fn lie(random: &mut Random) -> Message {
    let epoch = Epoch(match random.below(3) {
        0 => random.below(u64::MAX),
        _ => random.below(5),
    });
    let transfer = TransferId(random.below(3).into());
    match random.below(9) {
        0 => Message::Join {
            machine: MachineId(u128::from(random.below(3))),
            attempt: random.below(3),
            room_bytes: index(random).0,
        },
        1 => Message::TransferStart {
            epoch,
            transfer,
            attempt: random.below(3),
            from: index(random),
        },
        2 => Message::Append {
            epoch,
            transfer,
            first: index(random),
            entries: vec![Bytes::from_static(b"lie"); random.below(4) as usize],
            released: index(random),
            urgent: random.below(2) == 0,
            stamp: index(random).0,
        },
        3 => Message::Acknowledge {
            epoch,
            transfer,
            held: index(random),
            replayed: index(random),
            ready: random.below(2) == 0,
            room: Room {
                bytes: index(random).0,
                entries: index(random).0,
            },
            beyond: (0..random.below(3))
                .map(|_| (index(random), index(random)))
                .collect(),
            echo: index(random).0,
            echo_age: Duration::from_us(index(random).0),
        },
        4 => Message::Heartbeat {
            epoch,
            transfer,
            last: index(random),
            released: index(random),
            paired: random.below(2) == 0,
            urgent: random.below(2) == 0,
            stamp: index(random).0,
        },
        5 => Message::Later {
            attempt: random.below(3),
            why: Refusal::PausesSpent,
            wait: Duration::from_us(index(random).0),
        },
        6 => Message::Diverged { transfer },
        7 => Message::Known {
            record: Some(Record {
                machine: MachineId(u128::from(random.below(3))),
                epoch,
                mode: Mode::Solo,
                owner: NodeId(u128::from(random.below(4))),
                nonce: Nonce(u128::from(random.below(4))),
            }),
        },
        _ => Message::Leave {
            transfer: Some(transfer).filter(|_| random.below(2) == 0),
            reason: random
                .pick(&[
                    LeaveReason::OtherMachine,
                    LeaveReason::Dismissed,
                    LeaveReason::Superseded { epoch },
                    LeaveReason::PoweredOff,
                    LeaveReason::StateDamaged,
                    LeaveReason::Stopping,
                ])
                .unwrap(),
        },
    }
}

#[test]
fn lies_crash_nobody() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut world = World::new();
        world.judged = false;
        let nodes = [1, 2, 3].map(NodeId);
        for id in nodes {
            world.add(id);
            for peer in nodes.into_iter().filter(|peer| *peer < id) {
                world.local(id, connected(peer));
                world.local(peer, connected(id));
            }
        }
        world.local(nodes[0], Local::Start);
        world.run(10_000);
        world.local(nodes[1], Local::Join);
        for _ in 0..60 {
            let to = random.pick(&nodes).unwrap();
            let from = random.pick(&nodes).unwrap();
            let message = lie(&mut random);
            world.hear(to, from, message);
            if random.below(3) == 0 && world.core(to).status().role == RoleStatus::Primary {
                world.append(to, 2, vec![1]);
            }
            world.run(random.below(40_000));
        }
    }
}

/// Whoever is given a state computes with the index of what follows it: none is before the first, or at the end of all.
#[test]
fn a_transfer_from_an_impossible_index_is_not_heard() {
    let (me, peer) = (NodeId(2), NodeId(1));
    let machine = MachineId(1);
    let start = |transfer, from| Message::TransferStart {
        epoch: Epoch(1),
        transfer: TransferId(transfer),
        attempt: 1,
        from: LogIndex(from),
    };
    let mut core = Core::new(Config::new(machine, me, 0), Instant(0));
    core.handle_local(Instant(0), connected(peer));
    core.handle_local(Instant(0), Local::Join);
    for from in [0, u64::MAX / 2 + 1, u64::MAX] {
        core.handle_message(Instant(1), peer, start(1, from));
        assert_eq!(core.status().role, RoleStatus::Joining);
    }
    core.handle_message(Instant(2), peer, start(1, 5));
    assert_eq!(core.status().role, RoleStatus::Backup);
    // Nor where the primary begins anew.
    core.handle_message(Instant(3), peer, start(2, 0));
    let states = std::iter::from_fn(|| core.poll_action())
        .filter(|action| matches!(action, Action::ReceiveState { .. }));
    assert_eq!(states.count(), 1);
}
