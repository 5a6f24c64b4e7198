//! A whole operating system in lockstep, from reset to its prompt.

use super::lockstep::{Divergence, Guest, Lockstep, Origin, Pace, Reached, Way};
use machine::{Boot, Input, Position};

/// Everything is compared this often.
const PACE: Pace = Pace {
    registers: 100_000,
    digests: 100_000,
};
/// Positions of a stage: a divergence is searched for from the start of its stage.
const STAGE: u64 = 50_000_000;
/// No boot takes so many.
const STAGES_MAX: u64 = 200;

/// Linux speaks from the start.
const APPEND: &str = "console=ttyS0 earlycon=uart8250,mmio,0x10000000";

/// A Linux that boots.
pub fn guest(kernel: Vec<u8>, initrd: Vec<u8>) -> Guest {
    let boot = Boot {
        kernel: Some(kernel),
        initrd: Some(initrd),
        append: Some(APPEND.to_owned()),
        ..Boot::default()
    };
    let inputs = (1..STAGES_MAX).map(|stage| (Position(stage * STAGE), Input::Synchronize));
    Guest {
        origin: Origin::Boot(Box::default(), Box::new(boot)),
        inputs: inputs.collect(),
    }
}

/// Executes it until it says `prompt`, or to a position. `heard` gets what it says, and how far it is.
///
/// # Errors
/// The first way that differs.
pub fn run(
    guest: &Guest,
    ways: &[Way<'_>],
    prompt: &str,
    until: u64,
    heard: &mut dyn FnMut(&[u8], u64),
) -> Result<Reached, Box<Divergence>> {
    let mut lockstep = Lockstep::new(guest, ways, PACE);
    let mut said = Vec::new();
    loop {
        let here = lockstep.reference().position().0;
        let next = (here / STAGE + 1) * STAGE;
        // Often enough to show progress.
        let reached = lockstep.run((here + STAGE / 10).min(next).min(until))?;
        if reached.position == next {
            lockstep.begin_stage();
        }
        let bytes = lockstep.take_console();
        heard(&bytes, reached.position);
        said.extend_from_slice(&bytes);
        let prompted = String::from_utf8_lossy(&said).contains(prompt);
        if prompted || reached.position >= until || lockstep.is_over() {
            return Ok(reached);
        }
    }
}
