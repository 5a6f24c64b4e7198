//! Frames for which the guest's network card has no room.

use crate::guest::{MS, assemble, config, console, engine, state};
use eventlog::{Recorder, RecorderState, ReplayState, Replayer};
use machine::{BoardConfig, Boot, Firmware, Input, Machine, NetConfig};
use std::collections::VecDeque;

/// What the card keeps for a driver that has no buffers for it.
const KEPT: usize = 256;
/// Buffers that the guest gives it at a time.
const BUFFERS: usize = 128;

fn boot() -> Machine {
    let board = BoardConfig {
        memory_bytes: 16 << 20,
        net: vec![NetConfig { mac: [2; 6] }],
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(assemble("card")),
        ..Boot::default()
    };
    Machine::boot(&board, &boot, engine()).unwrap()
}

struct Host {
    recorder: Recorder,
    now: u64,
    inputs: VecDeque<Input>,
    entries: Vec<Vec<u8>>,
    said: String,
}

impl Host {
    fn new() -> Self {
        let mut host = Self {
            recorder: Recorder::new(boot(), config()),
            now: 0,
            inputs: VecDeque::new(),
            entries: Vec::new(),
            said: String::new(),
        };
        host.settle();
        host
    }

    /// Frames, each of which begins with its number.
    fn send(&mut self, numbers: std::ops::Range<usize>) {
        let frames = numbers.map(|number| Input::Frame {
            device: 0,
            frame: vec![letter(number); 60],
        });
        self.inputs.extend(frames);
    }

    /// Types, and returns what the guest says to it.
    fn type_in(&mut self, text: &str) -> String {
        self.said.clear();
        self.inputs.push_back(Input::Console(text.into()));
        self.settle();
        self.said.clone()
    }

    /// Runs until the guest waits and nothing that is left could be applied.
    fn settle(&mut self) {
        loop {
            self.now += MS;
            let step = self.recorder.step(self.now, &mut self.inputs, 100_000);
            assert_eq!(step.refused, 0);
            self.entries.extend(step.entries);
            let said = step.outputs.iter().flat_map(|(_, outputs)| outputs);
            self.said.push_str(&console(said));
            match step.state {
                RecorderState::Running => {}
                RecorderState::Idle { .. } if self.recorder.takes_any(&self.inputs) => {}
                RecorderState::Idle { .. } => return,
                state => panic!("{state:?}"),
            }
        }
    }
}

fn letter(number: usize) -> u8 {
    b'A' + (number % 32) as u8
}

fn letters(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| char::from(letter(number))).collect()
}

#[test]
fn frames_wait_outside_until_the_guest_has_taken_others() {
    let mut host = Host::new();
    // Nobody drives the card: what comes is lost, at once.
    host.send(0..300);
    host.settle();
    assert!(host.inputs.is_empty());
    // A driver without buffers: what the card keeps comes in, and the rest waits. What is typed does not.
    assert_eq!(host.type_in("dx"), "x");
    host.send(0..KEPT + 200);
    assert_eq!(host.type_in("y"), "y");
    assert_eq!(host.inputs.len(), 200);
    assert_eq!(host.type_in("r"), "");
    // Each frame that it takes makes room for another, in order.
    let mut heard = String::new();
    for left in [200 - BUFFERS, 0, 0] {
        heard += &host.type_in("or");
        assert_eq!(host.inputs.len(), left);
    }
    assert_eq!(heard, letters(0..3 * BUFFERS));
    assert_eq!(host.type_in("or"), letters(3 * BUFFERS..KEPT + 200));

    let step = host.recorder.digest_now(host.now);
    host.entries.extend(step.entries);
    let mut replayer = Replayer::new(boot());
    for entry in &host.entries {
        replayer.push(entry, 0).unwrap();
    }
    let end = loop {
        match replayer.step(u64::MAX).state {
            ReplayState::Running => {}
            end => break end,
        }
    };
    assert_eq!(end, ReplayState::NeedsLog);
    let replayed = state(replayer.into_machine());
    assert!(replayed == state(host.recorder.into_machine()));
}
