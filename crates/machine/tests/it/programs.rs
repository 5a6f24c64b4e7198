//! The bare-metal programs, each of which checks itself.

use machine::{Input, StopRequest};

use crate::bare_metal::{POSITIONS_MAX, WAYS, agree, assemble, check, play};

#[test]
fn traps() {
    check("traps");
}

#[test]
fn code() {
    check("code");
}

#[test]
fn paging() {
    check("paging");
}

#[test]
fn interrupts() {
    check("interrupts");
}

/// A key at every position of the program: every way must take the interrupt at the same place.
#[test]
fn an_interrupt_at_every_position() {
    let elf = assemble("interrupts");
    let end = play(&elf, &[], POSITIONS_MAX, WAYS[0]).position.0;
    let mut courses = 0;
    for position in (0..end.min(700)).chain((700..end).step_by(13)) {
        let inputs = [(position, Input::Console(b"k".to_vec()))];
        let course = agree("interrupts", &elf, &inputs, POSITIONS_MAX);
        assert_eq!(course.end, Some(StopRequest::PowerOff), "at {position}");
        courses += 1;
    }
    assert!(courses > 500, "the program is too short to say anything");
}
