//! Tests of the memory map, and of what needs more than one device.

use super::*;
use crate::board::MEMORY_BYTES_MIN;

fn board() -> Board {
    Board {
        memory_bytes: MEMORY_BYTES_MIN,
        ..Board::default()
    }
}

fn bus() -> Bus {
    Bus::new(&board()).unwrap()
}

fn store(bus: &mut Bus, addr: u64, value: u64, now: u64) {
    (bus.store(GuestAddr(addr), Width::Word, value, now)).unwrap();
}

fn load(bus: &mut Bus, addr: u64, now: u64) -> u64 {
    bus.load(GuestAddr(addr), Width::Word, now).unwrap()
}

const RTC: u64 = 0x10_1000;
const PLIC: u64 = 0xc00_0000;
const S_CLAIM: u64 = PLIC + 0x20_1004;

/// Lets source `irq` through to S-mode.
fn enable(bus: &mut Bus, irq: u64) {
    store(bus, PLIC + irq * 4, 1, 0);
    store(bus, PLIC + 0x2080, 1 << irq, 0);
}

#[test]
fn nothing_answers_between_the_devices() {
    let mut bus = bus();
    let end = RAM_BASE + bus.ram.len();
    let absent = [
        0,
        0xffc,
        0x10_1024,
        0x10_2000,
        0x200_c000,
        0x400_0000,
        0xc60_0000,
        0x1000_0008,
        0x1000_1200,
        0x1000_9000,
        0x1010_0000,
        0x2000_0000,
        0x3000_0000,
        RAM_BASE - 4,
        end,
        !7,
    ];
    for addr in absent {
        let addr = GuestAddr(addr);
        assert_eq!(
            bus.load(addr, Width::Word, 0),
            Err(AccessFault),
            "{addr:x?}"
        );
        assert_eq!(bus.store(addr, Width::Word, 0, 0), Err(AccessFault));
    }
    let present = [
        0x1000,
        0x10_0000,
        RTC,
        0x200_0000,
        0x200_bffc,
        PLIC,
        PLIC + 0x5f_fffc,
        0x1000_0004,
        0x1000_1000,
        0x1000_81fc,
        RAM_BASE,
        end - 4,
    ];
    for addr in present {
        assert!(
            bus.load(GuestAddr(addr), Width::Word, 0).is_ok(),
            "{addr:#x}"
        );
    }
    assert!(bus.load(GuestAddr(end - 3), Width::Word, 0).is_err());
}

#[test]
fn devices_take_their_own_widths() {
    use Width::{Byte, Double, Half, Word};
    let mut bus = bus();
    let cases: [(u64, &[Width]); 6] = [
        (0x1000, &[Byte, Half, Word, Double]),
        (0x10_0000, &[Half, Word]),
        (RTC, &[Word, Double]),
        (0x200_4000, &[Word, Double]),
        (PLIC, &[Word]),
        (0x1000_0000, &[Byte, Half, Word, Double]),
    ];
    for (addr, widths) in cases {
        for width in [Byte, Half, Word, Double] {
            let answers = bus.load(GuestAddr(addr), width, 0).is_ok();
            assert_eq!(answers, widths.contains(&width), "{addr:#x} {width:?}");
        }
    }
    // Devices do not answer across their registers, nor across their end.
    assert!(bus.load(GuestAddr(0x200_4002), Word, 0).is_err());
    assert!(bus.load(GuestAddr(RTC + 0x20), Word, 0).is_ok());
    assert!(bus.load(GuestAddr(RTC + 0x20), Double, 0).is_err());
    // The ROM is memory that keeps what it is.
    assert!(bus.load(GuestAddr(0xffff), Byte, 0).is_ok());
    assert!(bus.load(GuestAddr(0xffff), Half, 0).is_err());
    let before = bus.load(GuestAddr(0x1001), Double, 0);
    assert!(before.is_ok());
    assert_eq!(bus.store(GuestAddr(0x1000), Word, !0, 0), Ok(()));
    assert_eq!(bus.load(GuestAddr(0x1001), Double, 0), before);
}

#[test]
fn console_bytes_gather() {
    let mut bus = bus();
    for byte in *b"hi\n" {
        let addr = GuestAddr(0x1000_0000);
        bus.store(addr, Width::Byte, u64::from(byte), 0).unwrap();
    }
    assert_eq!(bus.take_outputs(), [Output::Console(b"hi\n".to_vec())]);
    assert_eq!(bus.take_outputs(), []);
}

#[test]
fn the_first_stop_counts() {
    let mut bus = bus();
    store(&mut bus, 0x10_0000, 0x1234, 0);
    assert_eq!(bus.stop(), None);
    store(&mut bus, 0x10_0000, 0x2_3333, 0);
    store(&mut bus, 0x10_0000, 0x5555, 0);
    assert_eq!(bus.stop(), Some(StopRequest::Fail(2)));
}

/// Whether somebody looks at the lines in between cannot be seen.
#[test]
fn an_alarm_is_the_same_whoever_watches() {
    let run = |watched: bool| {
        let mut bus = bus();
        enable(&mut bus, 11);
        store(&mut bus, RTC + 0x10, 1, 0);
        store(&mut bus, RTC + 0x0c, 0, 0);
        store(&mut bus, RTC + 0x08, 5000, 0);
        assert_eq!(bus.deadline(0), Some(50));
        assert_eq!(bus.lines(49).mip(), 0);
        if watched {
            assert_eq!(bus.lines(50).mip(), Lines::SEIP);
        }
        // Taken back before the guest claims it: the request stays.
        store(&mut bus, RTC + 0x1c, 1, 60);
        assert_eq!(load(&mut bus, S_CLAIM, 61), 11);
        store(&mut bus, S_CLAIM, 11, 62);
        assert_eq!(bus.lines(63).mip(), 0);
        (bus.save(63), bus.device_states(63))
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn restoring_replays_no_edge() {
    let mut bus = bus();
    enable(&mut bus, 10);
    let addr = GuestAddr(0x1000_0001);
    bus.store(addr, Width::Byte, 1, 0).unwrap();
    bus.apply(&Input::Console(b"x".to_vec()), 0).unwrap();
    assert_eq!(load(&mut bus, S_CLAIM, 0), 10);
    // Claimed, and the line is still high.
    let state = bus.save(0);
    let mut bus = Bus::restore(&board(), bus.ram, state).unwrap();
    assert_eq!(bus.lines(0).mip(), 0);
    store(&mut bus, S_CLAIM, 10, 0);
    assert_eq!(bus.lines(0).mip(), Lines::SEIP);
    assert_eq!(load(&mut bus, S_CLAIM, 0), 10);
    let byte = bus.load(GuestAddr(0x1000_0000), Width::Byte, 0);
    assert_eq!(byte, Ok(u64::from(b'x')));
    store(&mut bus, S_CLAIM, 10, 0);
    assert_eq!(bus.lines(0).mip(), 0);
}

#[test]
fn state_of_another_version_or_board_is_refused() {
    let mut bus = bus();
    let state = bus.save(0);
    let newer = BusState {
        version: STATE_VERSION + 1,
        ..state.clone()
    };
    assert!(matches!(
        Bus::restore(&board(), bus.ram.clone(), newer),
        Err(RestoreError::Version(newer)) if newer == STATE_VERSION + 1
    ));
    let larger = Board {
        memory_bytes: MEMORY_BYTES_MIN * 2,
        ..board()
    };
    assert!(matches!(
        Bus::restore(&larger, bus.ram.clone(), state.clone()),
        Err(RestoreError::Memory(_))
    ));
    let other = Board {
        entropy: false,
        ..board()
    };
    assert!(matches!(
        Bus::restore(&other, bus.ram, state),
        Err(RestoreError::Device(_))
    ));
}
