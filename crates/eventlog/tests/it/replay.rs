//! What was recorded replays bit for bit, from the beginning and from midway; what differs is found.

use crate::guest::{Host, MS, boot, boot_with, config, console, engine, state};
use eventlog::{Divergence, Entry, Event, ReplayState, Replayer};
use machine::{Input, Interpreter, InterpreterOptions, Machine, RUN_COST_MAX, Snapshot};

const SCRIPT: [(u64, &str); 7] = [
    (5, "hello"),
    (30, "t"),
    (41, "b"),
    (60, "busy t"),
    (100, "s"),
    (130, "i"),
    (150, "ts"),
];

/// Replays all entries, `budget` positions at a time.
fn replay(machine: Machine, entries: &[Vec<u8>], budget: u64) -> (Replayer, String) {
    let mut replayer = Replayer::new(machine);
    for entry in entries {
        replayer.push(entry, 0).unwrap();
    }
    let mut said = Vec::new();
    loop {
        let step = replayer.step(budget);
        said.extend(step.outputs.into_iter().flat_map(|(_, outputs)| outputs));
        match step.state {
            ReplayState::Running => {}
            ReplayState::NeedsLog => return (replayer, console(said.iter())),
            other => panic!("{other:?}"),
        }
    }
}

fn divergence(machine: Machine, entries: &[Vec<u8>]) -> Divergence {
    let mut replayer = Replayer::new(machine);
    for entry in entries {
        if replayer.push(entry, 0).is_err() {
            break;
        }
    }
    loop {
        match replayer.step(100_000).state {
            ReplayState::Running => {}
            ReplayState::Diverged(divergence) => return divergence,
            other => panic!("no divergence, but {other:?}"),
        }
    }
}

fn restore(state: &[u8]) -> Machine {
    Machine::restore(&Snapshot::from_bytes(state).unwrap(), engine()).unwrap()
}

fn recorded() -> Host {
    let mut host = Host::new(boot());
    host.run(200, &SCRIPT);
    let step = host.recorder.digest_now(host.now);
    host.log.take(step);
    assert_eq!(host.log.refused, 0);
    host
}

#[test]
fn a_replay_ends_in_the_same_state_and_says_the_same() {
    let host = recorded();
    let said = host.log.console();
    assert!(said.starts_with("hello0000"), "{said}");
    assert!(said.contains("y 0000"), "{said}");
    let digests = host.log.count(|event| matches!(event, Event::Digest(_)));
    assert!(digests >= 4, "{digests} digests");
    let end = state(host.recorder.into_machine());
    for budget in [u64::MAX, 77_777, 1_013] {
        let (replayer, replayed) = replay(boot(), &host.log.entries, budget);
        assert_eq!(replayed, said);
        assert_eq!(replayer.applied(), host.log.entries.len() as u64);
        assert!(state(replayer.into_machine()) == end, "budget {budget}");
    }
}

#[test]
fn a_replay_may_use_another_engine() {
    let host = recorded();
    let slow = Interpreter::new(InterpreterOptions { block_cache: false });
    let (replayer, said) = replay(boot_with(Box::new(slow)), &host.log.entries, 100_000);
    assert_eq!(said, host.log.console());
    assert!(state(replayer.into_machine()) == state(host.recorder.into_machine()));
}

#[test]
fn a_replay_may_start_from_a_snapshot_taken_midway() {
    let mut host = Host::new(boot());
    host.run(80, &SCRIPT[..4]);
    let (step, snapshot) = host.recorder.snapshot(host.now);
    host.log.take(step);
    let (first, said_before) = (host.log.entries.len(), host.log.console());
    host.run(120, &[(20, "s"), (50, "i"), (70, "ts")]);
    let step = host.recorder.digest_now(host.now);
    host.log.take(step);
    let machine = restore(&snapshot.unwrap().to_bytes());
    let (replayer, said) = replay(machine, &host.log.entries[first..], 50_000);
    assert_eq!(said_before + &said, host.log.console());
    let (from_start, _) = replay(boot(), &host.log.entries, 50_000);
    let end = state(host.recorder.into_machine());
    assert!(state(from_start.into_machine()) == end);
    assert!(state(replayer.into_machine()) == end);
}

/// Changes the first entry for which `change` returns true.
fn falsify(entries: &mut [Vec<u8>], mut change: impl FnMut(&mut Entry) -> bool) -> Entry {
    for bytes in entries {
        let mut entry = Entry::decode(bytes).unwrap();
        if change(&mut entry) {
            *bytes = entry.encode().unwrap();
            return entry;
        }
    }
    panic!("nothing to change")
}

#[test]
fn a_changed_key_is_found_at_the_next_output() {
    let mut host = recorded();
    let changed = falsify(&mut host.log.entries, |entry| match &mut entry.event {
        Event::Input(Input::Console(typed)) if typed == b"busy t" => {
            typed[2] = b'z';
            true
        }
        _ => false,
    });
    let found = divergence(boot(), &host.log.entries);
    assert!(found.after <= changed.position && changed.position <= found.at);
    assert!(found.at.0 - changed.position.0 < 100_000, "{found:?}");
    assert!(found.what[0].contains("the machine said"), "{found:?}");
}

#[test]
fn a_changed_clock_is_found_at_the_next_digest() {
    let mut host = recorded();
    // The clock that wakes the guest for its second tick: the handler reads it.
    let second = 20 * MS;
    let changed = falsify(&mut host.log.entries, |entry| match &mut entry.event {
        Event::Input(Input::Clock(clock)) if clock.time >= second => {
            clock.time += 1;
            true
        }
        _ => false,
    });
    let found = divergence(boot(), &host.log.entries);
    assert!(found.after <= changed.position && changed.position <= found.at);
    assert!(found.at.0 - found.after.0 <= 1_100_000, "{found:?}");
    assert!(!found.what.is_empty());
}

#[test]
fn nonsense_in_the_log_is_a_divergence() {
    let host = recorded();
    let entry = |position, event| {
        let position = machine::Position(position);
        Entry { position, event }.encode().unwrap()
    };
    let expect = |entries: &[Vec<u8>], what: &str| {
        let found = divergence(boot(), entries);
        assert!(found.what[0].contains(what), "{found:?}");
    };
    let progress = |position| entry(position, Event::Progress);
    expect(&[progress(20), progress(19)], "goes back");
    expect(&[progress(u64::MAX)], "waits for an interrupt");
    expect(&[vec![1, 2, 3]], "log entry of 3 bytes");
    let frame = Input::Frame {
        device: 9,
        frame: vec![0; 60],
    };
    expect(&[entry(10, Event::Input(frame))], "cannot be applied");
    let stopped = Event::Stopped { reset: false };
    expect(&[entry(10, stopped)], "is off, but it is not so");
    // A mark that is missing: the next entry comes upon outputs that it knows nothing of.
    let mut entries = host.log.entries.clone();
    let mark = host.log.outputs[0].0 as usize;
    entries.remove(mark);
    expect(&entries, "of which the log knows nothing");
}

/// How it stands when no step does any more.
fn to_the_end(replayer: &mut Replayer) -> ReplayState {
    loop {
        match replayer.step(u64::MAX).state {
            ReplayState::Running => {}
            state => return state,
        }
    }
}

/// However many inputs there are, and however large: no step takes long, on either side.
#[test]
fn a_step_ends_when_its_inputs_have_cost_enough() {
    let mut host = Host::new(boot());
    host.run(5, &[]);
    let mut inputs: std::collections::VecDeque<Input> = (0..60)
        .map(|number| Input::Console(vec![b'a' + number % 26; 60_000]))
        .collect();
    let mut steps = 0;
    while !inputs.is_empty() {
        let (before, waiting) = (host.recorder.machine().cost(), inputs.len());
        let step = host.recorder.step(host.now, &mut inputs, 1_000);
        host.log.take(step);
        assert!(inputs.len() < waiting);
        let spent = host.recorder.machine().cost() - before;
        assert!(spent <= RUN_COST_MAX * 3 / 2, "{spent}");
        steps += 1;
    }
    assert!(steps > 2, "{steps}");
    let step = host.recorder.digest_now(host.now);
    host.log.take(step);

    let mut replayer = Replayer::new(boot());
    for entry in &host.log.entries {
        replayer.push(entry, 0).unwrap();
    }
    let mut steps = 0;
    loop {
        let before = replayer.machine().cost();
        let state = replayer.step(u64::MAX).state;
        let spent = replayer.machine().cost() - before;
        assert!(spent <= RUN_COST_MAX * 3 / 2, "{spent}");
        steps += 1;
        match state {
            ReplayState::Running => {}
            state => {
                assert_eq!(state, ReplayState::NeedsLog);
                break;
            }
        }
    }
    assert!(steps > 2, "{steps}");
    assert_eq!(replayer.applied(), host.log.entries.len() as u64);
}

#[test]
fn power_off_and_reset_end_both_sides() {
    for (key, on_primary, on_backup) in [
        (
            "q",
            eventlog::RecorderState::PoweredOff,
            ReplayState::PoweredOff,
        ),
        ("r", eventlog::RecorderState::Reset, ReplayState::Reset),
    ] {
        let mut host = Host::new(boot());
        host.run(100, &[(20, "x"), (40, key)]);
        assert_eq!(host.state, on_primary);
        assert!(host.now < 60 * MS);
        let mut replayer = Replayer::new(boot());
        for entry in &host.log.entries {
            replayer.push(entry, 0).unwrap();
        }
        assert_eq!(to_the_end(&mut replayer), on_backup);
        assert_eq!(replayer.applied(), host.log.entries.len() as u64);
        assert!(replayer.into_recorder(config()).is_err());
    }
    // Switched off from outside.
    let mut host = Host::new(boot());
    host.run(10, &[]);
    let mut inputs = [Input::PowerOff].into();
    let step = host.recorder.step(host.now, &mut inputs, 1_000);
    assert_eq!(step.state, eventlog::RecorderState::PoweredOff);
    host.log.take(step);
    let mut replayer = Replayer::new(boot());
    for entry in &host.log.entries {
        replayer.push(entry, 0).unwrap();
    }
    assert_eq!(to_the_end(&mut replayer), ReplayState::PoweredOff);
}
