//! What comes of the protocol's wishes and the executor's reports.

use super::*;
use bytes::Bytes;
use replication::{ArbiterReply, MachineId, NodeId, Nonce, Record, RequestId, TransferId};

const EPOCH: Epoch = Epoch(4);
const NODE: NodeId = NodeId(9);
const TRANSFER: TransferId = TransferId(7);
const NOW: Instant = Instant(0);

fn replica(outputs_bytes_max: usize) -> Replica {
    Replica::new(Config::new(MachineId(1), NODE, 0), outputs_bytes_max, NOW)
}

fn said(text: &str) -> Vec<Output> {
    vec![Output::Console(text.as_bytes().to_vec())]
}

/// As many entries as `size`, of which the last says `text`.
fn appended(first: u64, size: u64, text: &str) -> Report {
    Report::Appended {
        first: LogIndex(first),
        entries: vec![Bytes::new(); size as usize],
        outputs: vec![(LogIndex(first + size - 1), said(text))],
    }
}

/// What the protocol is told of a report.
fn heed(replica: &mut Replica, report: Report) -> Option<Local> {
    let local = replica.heed(report);
    replica.balance();
    local
}

/// What a wish of the protocol leads to.
fn check(replica: &mut Replica, action: Action) -> Vec<String> {
    replica.perform(action);
    replica.balance();
    effects(replica)
}

/// What is to be done, in a form that tests can compare.
fn effects(replica: &mut Replica) -> Vec<String> {
    let effects = std::iter::from_fn(|| replica.poll_effect());
    effects
        .map(|effect| match effect {
            Effect::Command(Command::Run) => "run".to_owned(),
            Effect::Command(Command::GoLive { next }) => format!("go live {}", next.0),
            Effect::Command(Command::Restore { next, .. }) => format!("restore {}", next.0),
            Effect::Command(Command::Halt) => "stop executing".to_owned(),
            Effect::Command(Command::Throttle { per_mille }) => format!("throttle {per_mille}"),
            Effect::Announce { epoch, live_from } => {
                let live_from = live_from.map(|index| index.0);
                format!("announce {} {live_from:?}", epoch.0)
            }
            Effect::AskArbiter { operation, .. } => match operation {
                ArbiterOperation::Read => "read",
                ArbiterOperation::Swap { .. } => "swap",
                ArbiterOperation::Prepare { .. } => "prepare",
            }
            .to_owned(),
            Effect::Speak { epoch, outputs } => {
                let text = outputs.iter().map(|output| match output {
                    Output::Console(bytes) => String::from_utf8_lossy(bytes),
                    Output::Frame { .. } => "frame".into(),
                });
                format!("speak {} {}", epoch.0, text.collect::<Vec<_>>().concat())
            }
            Effect::SendState { state, .. } => format!("send state {}", state.len()),
            Effect::ReceiveState { .. } => "receive state".to_owned(),
            Effect::AbandonState { .. } => "abandon".to_owned(),
            Effect::Halt { reason } => format!("halt {reason:?}"),
            Effect::Tell(Notice::Explains { .. }) => String::new(),
            other => format!("{other:?}"),
        })
        .filter(|effect| !effect.is_empty())
        .collect()
}

#[test]
fn what_the_machine_asks_is_held_by_nobody() {
    let mut replica = replica(1_000);
    heed(&mut replica, appended(1, 2, "held"));
    effects(&mut replica);
    let request = |id| machine::Request {
        id: machine::RequestId(id),
        task: machine::Task::Answer(vec![id as u8]),
    };
    let requests = vec![request(1), request(2)];
    assert_eq!(heed(&mut replica, Report::Requested { requests }), None);
    let done: Vec<_> = std::iter::from_fn(|| replica.poll_effect()).collect();
    let asked = done.iter().map(|effect| match effect {
        Effect::CarryOut(request) => request.id.0,
        other => panic!("{other:?}"),
    });
    assert_eq!(asked.collect::<Vec<_>>(), [1, 2]);
}

fn release(up_to: u64) -> Action {
    Action::Release {
        up_to: LogIndex(up_to),
        epoch: EPOCH,
    }
}

fn receive() -> Action {
    Action::ReceiveState {
        from: NodeId(1),
        transfer: TRANSFER,
        next: LogIndex(10),
    }
}

/// A state of so many bytes comes in.
fn arrives(from: u128, transfer: TransferId) -> Event {
    Event::StateArrived {
        from: NodeId(from),
        transfer,
        state: Bytes::from_static(b"state"),
    }
}

#[test]
fn a_primary_holds_outputs_until_they_are_released() {
    let mut replica = replica(1 << 20);
    assert_eq!(
        check(&mut replica, Action::Run { epoch: EPOCH }),
        ["announce 4 None", "run"]
    );
    let local = heed(&mut replica, appended(1, 3, "a"));
    assert!(matches!(local, Some(Local::Appended { marks, .. }) if marks == [2]));
    heed(&mut replica, appended(4, 2, "b"));
    assert!(check(&mut replica, release(2)).is_empty());
    assert_eq!(check(&mut replica, release(3)), ["speak 4 a"]);
    assert_eq!(check(&mut replica, release(9)), ["speak 4 b"]);
}

#[test]
fn a_backup_says_again_what_was_not_forgotten() {
    let mut replica = replica(1 << 20);
    assert_eq!(check(&mut replica, receive()), ["receive state"]);
    replica.handle(NOW, arrives(1, TransferId(8)));
    replica.handle(NOW, arrives(2, TRANSFER));
    assert!(effects(&mut replica).is_empty());
    replica.handle(NOW, arrives(1, TRANSFER));
    assert_eq!(effects(&mut replica), ["restore 10"]);
    replica.handle(NOW, arrives(1, TRANSFER));
    assert!(effects(&mut replica).is_empty());
    // Still from the replica that it was before: the index means nothing now.
    let stale = Report::Replayed {
        index: LogIndex(900),
        outputs: vec![(LogIndex(900), said("stale"))],
    };
    assert!(heed(&mut replica, stale).is_none());
    let restored = Report::Restored {
        transfer: TRANSFER,
        result: Ok(()),
    };
    let local = heed(&mut replica, restored);
    assert!(matches!(
        local,
        Some(Local::StateRestored { intact: true, .. })
    ));
    let replayed = Report::Replayed {
        index: LogIndex(14),
        outputs: vec![(LogIndex(11), said("a")), (LogIndex(13), said("b"))],
    };
    heed(&mut replica, replayed);
    assert_eq!(effects(&mut replica), ["Tell(Restored)"]);
    // The primary may be ahead: what it has said of 16 need not be kept when it comes.
    let forget = |up_to| Action::Forget {
        up_to: LogIndex(up_to),
    };
    assert!(check(&mut replica, forget(11)).is_empty());
    let replayed = Report::Replayed {
        index: LogIndex(17),
        outputs: vec![(LogIndex(16), said("c"))],
    };
    let local = heed(&mut replica, replayed);
    assert!(matches!(local, Some(Local::Replayed { index }) if index == LogIndex(17)));
    let live = Action::GoLive {
        epoch: EPOCH,
        next: LogIndex(18),
    };
    assert_eq!(
        check(&mut replica, live),
        ["announce 4 Some(18)", "go live 18", "speak 4 bc"]
    );
    heed(&mut replica, appended(18, 1, "d"));
    heed(&mut replica, appended(19, 1, "e"));
    assert_eq!(effects(&mut replica), ["Tell(GoesOn)"]);
    assert!(check(&mut replica, release(17)).is_empty());
    assert_eq!(check(&mut replica, release(18)), ["speak 4 d"]);
}

#[test]
fn a_state_may_come_in_before_it_is_awaited_and_not_after_its_channel_is_gone() {
    let mut early = replica(1 << 20);
    early.handle(NOW, arrives(1, TRANSFER));
    assert!(effects(&mut early).is_empty());
    assert_eq!(
        check(&mut early, receive()),
        ["receive state", "restore 10"]
    );

    for peer in [1, 2].map(NodeId) {
        let mut late = replica(1 << 20);
        check(&mut late, receive());
        late.handle(NOW, Event::Disconnected { peer });
        late.handle(NOW, arrives(1, TRANSFER));
        let restores = effects(&mut late) == ["restore 10"];
        assert_eq!(restores, peer != NodeId(1));
    }

    let mut abandoned = replica(1 << 20);
    check(&mut abandoned, receive());
    let abandon = Action::AbandonTransfer { transfer: TRANSFER };
    assert_eq!(check(&mut abandoned, abandon), ["abandon"]);
    abandoned.handle(NOW, arrives(1, TRANSFER));
    assert!(effects(&mut abandoned).is_empty());
}

#[test]
fn a_full_gate_stops_the_primary_and_thins_out_the_backup() {
    let mut primary = replica(500);
    check(&mut primary, Action::Run { epoch: EPOCH });
    assert_eq!(
        check(&mut primary, Action::Throttle { brake: 20 }),
        ["throttle 20"]
    );
    heed(&mut primary, appended(1, 1, &"x".repeat(600)));
    assert_eq!(effects(&mut primary), ["throttle 1000"]);
    assert_eq!(
        check(&mut primary, Action::Throttle { brake: 30 }),
        ["throttle 1000"]
    );
    let said_at_last = check(&mut primary, release(1)).split_off(1);
    assert_eq!(said_at_last, ["throttle 30"]);

    let mut backup = replica(500);
    let replayed = Report::Replayed {
        index: LogIndex(2),
        outputs: vec![
            (LogIndex(1), said(&"x".repeat(600))),
            (LogIndex(2), said("b")),
        ],
    };
    heed(&mut backup, replayed);
    assert_eq!((backup.gate.marks(), backup.outputs_dropped()), (1, 1));
    assert!(effects(&mut backup).is_empty());
}

#[test]
fn a_snapshot_is_sent_once_and_only_if_still_wanted() {
    let mut replica = replica(1 << 20);
    let taken = Report::SnapshotTaken {
        transfer: TRANSFER,
        from: LogIndex(5),
        state: Bytes::from_static(b"state"),
    };
    let send = |transfer| Action::SendState {
        to: NodeId(2),
        transfer,
    };
    heed(&mut replica, taken.clone());
    assert_eq!(effects(&mut replica), ["Tell(SnapshotTaken { bytes: 5 })"]);
    assert!(check(&mut replica, send(TransferId(1))).is_empty());
    assert_eq!(check(&mut replica, send(TRANSFER)), ["send state 5"]);
    assert!(check(&mut replica, send(TRANSFER)).is_empty());
    heed(&mut replica, taken);
    effects(&mut replica);
    let abandon = Action::AbandonTransfer { transfer: TRANSFER };
    assert_eq!(check(&mut replica, abandon), ["abandon"]);
    assert!(check(&mut replica, send(TRANSFER)).is_empty());
}

#[test]
fn after_a_halt_nothing_leaves() {
    let mut replica = replica(1 << 20);
    check(&mut replica, Action::Run { epoch: EPOCH });
    heed(&mut replica, appended(1, 1, "a"));
    let halt = Action::Halt {
        reason: HaltReason::Diverged,
    };
    assert_eq!(
        check(&mut replica, halt),
        ["stop executing", "halt Diverged"]
    );
    assert!(check(&mut replica, release(1)).is_empty());
    replica.handle(NOW, Event::Report(appended(2, 1, "b")));
    assert!(effects(&mut replica).is_empty());
    assert_eq!(replica.gate.marks(), 0);
}

/// The arbiter answers the request that this replica has made.
fn answer(replica: &mut Replica, reply: ArbiterReply) {
    let mut request = RequestId(0);
    while let Some(effect) = replica.poll_effect() {
        if let Effect::AskArbiter { request: asked, .. } = effect {
            request = asked;
        }
    }
    replica.handle(NOW, Event::Arbiter { request, reply });
}

/// What the arbiter was asked to write.
fn asked(replica: &mut Replica) -> (RequestId, Record) {
    let asked = |effect| match effect {
        Effect::AskArbiter {
            request,
            operation: ArbiterOperation::Swap { new, .. },
        } => Some((request, new)),
        _ => None,
    };
    std::iter::from_fn(|| replica.poll_effect())
        .find_map(asked)
        .unwrap()
}

#[test]
fn whoever_leaves_while_it_starts_the_machine_waits_to_learn_whether_it_has() {
    let mut early = replica(1 << 20);
    early.handle(NOW, Event::Start);
    assert_eq!(effects(&mut early), ["read"]);
    early.handle(NOW, Event::Leave);
    assert_eq!(effects(&mut early), ["stop executing", "halt Left"]);

    for starts in [true, false] {
        let mut replica = replica(1 << 20);
        replica.handle(NOW, Event::Start);
        answer(&mut replica, ArbiterReply::Current(None));
        let (request, record) = asked(&mut replica);
        replica.handle(NOW, Event::Leave);
        assert_eq!(effects(&mut replica), ["Tell(LeavesIfNotStarted)"]);
        let other = Record {
            owner: NodeId(5),
            nonce: Nonce(5),
            ..record
        };
        let reply = match starts {
            true => ArbiterReply::Current(Some(record)),
            false => ArbiterReply::Refused(Some(other)),
        };
        replica.handle(NOW, Event::Arbiter { request, reply });
        let after = effects(&mut replica);
        match starts {
            true => assert_eq!(after[..3], ["Tell(Stays)", "announce 1 None", "run"]),
            false => assert_eq!(after, ["stop executing", "halt Left"]),
        }
    }
}
