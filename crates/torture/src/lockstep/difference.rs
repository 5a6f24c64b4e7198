//! What differs between two machines, in all detail: for developers of engines.

use machine::Machine;
use machine::hart::register_name;
use machine::ram::{PAGE_BYTES, RAM_BASE};

/// Differing bytes of memory that are shown.
const SHOWN_MAX: usize = 4;

/// What differs, a phrase each: first what it is in `expected`, then in `found`.
pub(super) fn differences(expected: &mut Machine, found: &mut Machine) -> Vec<String> {
    let mut phrases = registers(expected, found);
    phrases.extend(expected.cpu().tlb.difference(&found.cpu().tlb));
    let devices = expected.device_states();
    for ((name, state), (_, other)) in devices.iter().zip(found.device_states()) {
        if *state != other {
            phrases.push(format!("device {name}: {state:x?} and {other:x?}"));
        }
    }
    if expected.board().written_since_digest() != found.board().written_since_digest() {
        phrases.push("which pages were written since the last digest".to_owned());
    }
    phrases.extend(memory(expected, found));
    phrases
}

fn registers(expected: &Machine, found: &Machine) -> Vec<String> {
    let mut phrases = Vec::new();
    if expected.position() != found.position() {
        let (one, two) = (expected.position().0, found.position().0);
        phrases.push(format!("position: {one} and {two}"));
    }
    let (one, two) = (expected.hart().registers(), found.hart().registers());
    for (index, (a, b)) in one.iter().zip(&two).enumerate() {
        if a != b {
            phrases.push(format!("{}: {a:#x} and {b:#x}", register_name(index)));
        }
    }
    phrases
}

fn memory(expected: &Machine, found: &Machine) -> Vec<String> {
    let (one, two) = (&expected.board().ram, &found.board().ram);
    let touched = (0..one.pages())
        .filter(|page| one.ever_written().contains(*page) || two.ever_written().contains(*page));
    let mut phrases = Vec::new();
    for page in touched {
        let (one, two) = (one.page(page), two.page(page));
        if one == two {
            continue;
        }
        for (index, (a, b)) in one.iter().zip(two).enumerate().filter(|(_, (a, b))| a != b) {
            let address = RAM_BASE + (page * PAGE_BYTES + index) as u64;
            phrases.push(format!("memory at {address:#x}: {a:#x} and {b:#x}"));
            if phrases.len() == SHOWN_MAX {
                phrases.push("and more of memory".to_owned());
                return phrases;
            }
        }
    }
    phrases
}
