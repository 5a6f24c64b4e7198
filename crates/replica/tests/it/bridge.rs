//! The bridge holds and lets go of outputs as the core's actions say.

use bytes::Bytes;
use machine::Output;
use replica::{Bridge, Effect, HartCommand, HartReport};
use replication::{Action, Epoch, HaltReason, Local, LogIndex, NodeId, TransferId};

const EPOCH: Epoch = Epoch(4);
const TRANSFER: TransferId = TransferId(7);

fn said(text: &str) -> Vec<Output> {
    vec![Output::Console(text.as_bytes().to_vec())]
}

/// As many entries as `size`, of which the last says `text`.
fn appended(size: usize, text: &str) -> HartReport {
    HartReport::Appended {
        entries: vec![Bytes::new(); size],
        outputs: vec![(size as u32 - 1, said(text))],
    }
}

/// What the effects are, in a form that tests can compare.
fn check(bridge: &mut Bridge, action: Action) -> Vec<String> {
    let effects = bridge.action(action).into_iter();
    effects
        .map(|effect| match effect {
            Effect::Hart(HartCommand::Run { next }) => format!("run {}", next.0),
            Effect::Hart(HartCommand::GoLive { next }) => format!("go live {}", next.0),
            Effect::Hart(HartCommand::Halt) => "halt hart".to_owned(),
            Effect::Hart(HartCommand::Throttle { brake }) => format!("brake {brake}"),
            Effect::Speak { epoch, outputs } => {
                let text = outputs.iter().map(|output| match output {
                    Output::Console(bytes) => String::from_utf8_lossy(bytes),
                    Output::Frame { .. } => "frame".into(),
                });
                format!("speak {} {}", epoch.0, text.collect::<Vec<_>>().concat())
            }
            Effect::SendState { state, .. } => format!("send state {}", state.len()),
            Effect::ReceiveState { .. } => "receive state".to_owned(),
            Effect::AbandonTransfer { .. } => "abandon".to_owned(),
            Effect::Halt { .. } => "halt".to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

fn release(up_to: u64) -> Action {
    Action::Release {
        up_to: LogIndex(up_to),
        epoch: EPOCH,
    }
}

#[test]
fn a_primary_holds_outputs_until_they_are_released() {
    let mut bridge = Bridge::new(1 << 20);
    assert_eq!(check(&mut bridge, Action::Run { epoch: EPOCH }), ["run 1"]);
    let local = bridge.report(appended(3, "a"));
    assert!(matches!(local, Some(Local::Appended { marks, .. }) if marks == [2]));
    bridge.report(appended(2, "b"));
    assert!(check(&mut bridge, release(2)).is_empty());
    assert_eq!(check(&mut bridge, release(3)), ["speak 4 a"]);
    assert_eq!(check(&mut bridge, release(9)), ["speak 4 b"]);
}

#[test]
fn a_backup_says_again_what_was_not_forgotten() {
    let mut bridge = Bridge::new(1 << 20);
    let receive = Action::ReceiveState {
        from: NodeId(1),
        transfer: TRANSFER,
        next: LogIndex(10),
    };
    assert_eq!(check(&mut bridge, receive), ["receive state"]);
    assert!(bridge.state_received(TransferId(8), Bytes::new()).is_none());
    let restore = bridge.state_received(TRANSFER, Bytes::new());
    assert!(matches!(restore, Some(HartCommand::Restore { next, .. }) if next == LogIndex(10)));
    assert!(bridge.state_received(TRANSFER, Bytes::new()).is_none());
    // Still from the replica that it was before: the index means nothing now.
    let stale = HartReport::Replayed {
        index: LogIndex(900),
        outputs: vec![(LogIndex(900), said("stale"))],
    };
    assert!(bridge.report(stale).is_none());
    let restored = HartReport::Restored {
        transfer: TRANSFER,
        result: Ok(()),
    };
    let local = bridge.report(restored);
    assert!(matches!(
        local,
        Some(Local::StateRestored { intact: true, .. })
    ));
    bridge.report(HartReport::Replayed {
        index: LogIndex(14),
        outputs: vec![(LogIndex(11), said("a")), (LogIndex(13), said("b"))],
    });
    // The primary may be ahead: what it has said of 16 need not be kept when it comes.
    let forget = |up_to| Action::Forget {
        up_to: LogIndex(up_to),
    };
    assert!(check(&mut bridge, forget(11)).is_empty());
    let replayed = HartReport::Replayed {
        index: LogIndex(17),
        outputs: vec![(LogIndex(16), said("c"))],
    };
    let local = bridge.report(replayed);
    assert!(matches!(local, Some(Local::Replayed { index }) if index == LogIndex(17)));
    let live = Action::GoLive {
        epoch: EPOCH,
        next: LogIndex(18),
    };
    assert_eq!(check(&mut bridge, live), ["go live 18", "speak 4 bc"]);
    bridge.report(appended(1, "d"));
    assert!(check(&mut bridge, release(17)).is_empty());
    assert_eq!(check(&mut bridge, release(18)), ["speak 4 d"]);
}

#[test]
fn a_full_gate_stops_the_primary_and_thins_out_the_backup() {
    let mut bridge = Bridge::new(500);
    check(&mut bridge, Action::Run { epoch: EPOCH });
    assert_eq!(
        check(&mut bridge, Action::Throttle { brake: 20 }),
        ["brake 20"]
    );
    bridge.report(appended(1, &"x".repeat(600)));
    let brake = |bridge: &mut Bridge| match bridge.back_pressure() {
        Some(HartCommand::Throttle { brake }) => Some(brake),
        _ => None,
    };
    assert_eq!(brake(&mut bridge), Some(1_000));
    assert_eq!(brake(&mut bridge), None);
    assert_eq!(
        check(&mut bridge, Action::Throttle { brake: 30 }),
        ["brake 1000"]
    );
    check(&mut bridge, release(1));
    assert_eq!(brake(&mut bridge), Some(30));

    let mut backup = Bridge::new(500);
    backup.report(HartReport::Replayed {
        index: LogIndex(2),
        outputs: vec![
            (LogIndex(1), said(&"x".repeat(600))),
            (LogIndex(2), said("b")),
        ],
    });
    assert_eq!((backup.gate().marks(), backup.dropped()), (1, 1));
    assert_eq!(brake(&mut backup), None);
}

#[test]
fn a_snapshot_is_sent_once_and_only_if_still_wanted() {
    let mut bridge = Bridge::new(1 << 20);
    let taken = HartReport::SnapshotTaken {
        transfer: TRANSFER,
        from: LogIndex(5),
        state: Bytes::from_static(b"state"),
    };
    let send = |transfer| Action::SendState {
        to: NodeId(2),
        transfer,
    };
    bridge.report(taken.clone());
    assert!(check(&mut bridge, send(TransferId(1))).is_empty());
    assert_eq!(check(&mut bridge, send(TRANSFER)), ["send state 5"]);
    assert!(check(&mut bridge, send(TRANSFER)).is_empty());
    bridge.report(taken);
    let abandon = Action::AbandonTransfer { transfer: TRANSFER };
    assert_eq!(check(&mut bridge, abandon), ["abandon"]);
    assert!(check(&mut bridge, send(TRANSFER)).is_empty());
}

#[test]
fn after_a_halt_nothing_leaves() {
    let mut bridge = Bridge::new(1 << 20);
    check(&mut bridge, Action::Run { epoch: EPOCH });
    bridge.report(appended(1, "a"));
    let halt = Action::Halt {
        reason: HaltReason::Diverged,
    };
    assert_eq!(check(&mut bridge, halt), ["halt hart", "halt"]);
    assert!(check(&mut bridge, release(1)).is_empty());
    assert!(bridge.report(appended(1, "b")).is_none());
    assert_eq!(bridge.gate().marks(), 0);
}
