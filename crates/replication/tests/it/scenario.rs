//! Runs the stories in `tests/scenarios`. A line that starts with `>` is a command, one with `#` a remark; what
//! follows a command is what it led to. `cargo xtask bless` rewrites the files; review the difference.
//!
//! ```text
//! node A            a new node              start A, join A, leave A
//! room B 100        bytes of memory         needs A 100
//! connect A B       a channel, both ways    disconnect A B
//! append A 3 0 2    three entries; numbers 0 and 2 are output marks
//! run 10ms          time passes             status A, record
//! pair A B          all that leads to a pair, untold
//! kill A, pause A, resume(-late) A          cut A B, heal A B, narrow A B (one way)
//! stick B, unstick B (the hart)             diverge B, power-off A, give-up A
//! arbiter down|up|lose-reply|late|effect    state hold|go|damage|repair
//! arbiter takes 3s, looks 1s (of nodes that come)                   recover
//! ```

use crate::words;
use crate::world::{Fault, World, connected};
use replication::{Local, NodeId};
use std::path::Path;

#[test]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no stories in {}", folder.display());
    let bless = bless();
    let mut different = Vec::new();
    for path in paths {
        let before = std::fs::read_to_string(&path).unwrap();
        let after = tell(&before);
        if before != after && bless {
            std::fs::write(&path, &after).unwrap();
        } else if before != after {
            different.push(format!(
                "{}:\n{}",
                path.display(),
                first_difference(&before, &after)
            ));
        }
    }
    assert!(
        different.is_empty(),
        "stories went differently (`cargo xtask bless` rewrites them):\n{}",
        different.join("\n")
    );
}

#[allow(clippy::disallowed_methods)] // Test code, and only to rewrite expectations.
fn bless() -> bool {
    std::env::var("FUTAGO_BLESS").is_ok()
}

fn first_difference(before: &str, after: &str) -> String {
    let (mut old, mut new) = (before.lines(), after.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return String::new(),
            (old, new) if old != new => return format!("  expected {old:?}\n  got      {new:?}"),
            _ => {}
        }
    }
}

/// The story with its transcript written anew.
fn tell(story: &str) -> String {
    let mut world = World::new();
    let mut told = String::new();
    for line in story.lines() {
        if line.is_empty() || line.starts_with('#') {
            told.push_str(line);
            told.push('\n');
        } else if let Some(command) = line.strip_prefix("> ") {
            told.push_str(line);
            told.push('\n');
            obey(&mut world, command);
            told.push_str(&world.take_transcript());
        }
    }
    told
}

fn obey(world: &mut World, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["node", a] => world.add(id(a)),
        ["start", a] => world.local(id(a), Local::Start),
        ["join", a] => world.local(id(a), Local::Join),
        ["room", a, bytes] => {
            let bytes = bytes.parse().unwrap();
            world.local(id(a), Local::Room { bytes });
        }
        ["needs", a, bytes] => {
            let bytes = bytes.parse().unwrap();
            world.local(id(a), Local::Needs { bytes });
        }
        ["leave", a] => world.local(id(a), Local::Leave),
        ["connect", a, b] => {
            world.local(id(a), connected(id(b)));
            world.local(id(b), connected(id(a)));
        }
        ["disconnect", a, b] => {
            world.local(id(a), Local::Disconnected { peer: id(b) });
            world.local(id(b), Local::Disconnected { peer: id(a) });
        }
        ["pair", a, b] => {
            for node in [a, b] {
                world.add(id(node));
            }
            world.local(id(a), Local::Start);
            world.run(10_000);
            world.local(id(a), connected(id(b)));
            world.local(id(b), connected(id(a)));
            world.local(id(b), Local::Join);
            world.run(90_000);
            world.take_transcript();
            let line = words::status(id(a), &world.core(id(a)).status());
            world.say(&line);
        }
        ["append", a, count, ref marks @ ..] => {
            let marks = marks.iter().map(|mark| mark.parse().unwrap()).collect();
            world.append(id(a), count.parse().unwrap(), marks);
        }
        ["run", time] => world.run(microseconds(time)),
        ["kill", a] => world.kill(id(a)),
        ["pause", a] => world.pause(id(a)),
        ["resume", a] => world.resume(id(a)),
        ["resume-late", a] => world.resume_late(id(a)),
        ["cut", a, b] => world.cut(id(a), id(b)),
        ["heal", a, b] => world.heal(id(a), id(b)),
        ["narrow", a, b] => {
            world.narrow.insert((id(a), id(b)));
        }
        ["stick", a] => {
            world.stuck.insert(id(a));
        }
        ["unstick", a] => world.unstick(id(a)),
        ["diverge", a] => world.local(id(a), Local::Diverged),
        ["give-up", a] => world.local(id(a), Local::GiveUp),
        ["power-off", a] => world.local(id(a), Local::PoweredOff),
        ["arbiter", "takes", time] => world.arbiter = microseconds(time),
        ["looks", time] => world.look = microseconds(time),
        ["recover"] => world.recover(),
        ["arbiter", "down"] => world.arbiter(true),
        ["arbiter", "up"] => world.arbiter(false),
        ["arbiter", "lose-reply"] => world.fault(Fault::LostReply),
        ["arbiter", "late"] => world.fault(Fault::Late),
        ["arbiter", "effect"] => world.late_effect(),
        ["state", "hold"] => world.hold_state = true,
        ["state", "go"] => world.hold_state = false,
        ["state", "damage"] => world.damage_state = true,
        ["state", "repair"] => world.damage_state = false,
        ["status", a] => {
            let line = words::status(id(a), &world.core(id(a)).status());
            world.say(&line);
        }
        ["record"] => {
            let line = format!("the record is {}", words::record(world.record()));
            world.say(&line);
        }
        _ => panic!("no such command: {command}"),
    }
}

fn id(name: &str) -> NodeId {
    let letter = name.chars().next().unwrap();
    assert!(
        name.len() == 1 && letter.is_ascii_uppercase(),
        "a node is one capital letter"
    );
    NodeId(letter as u128)
}

fn microseconds(time: &str) -> u64 {
    if let Some(ms) = time.strip_suffix("ms") {
        return ms.parse::<u64>().unwrap() * 1_000;
    }
    if let Some(us) = time.strip_suffix("us") {
        return us.parse().unwrap();
    }
    time.strip_suffix('s').unwrap().parse::<u64>().unwrap() * 1_000_000
}
