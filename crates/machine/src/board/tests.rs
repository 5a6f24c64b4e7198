//! Tests of the memory map, and of what needs more than one device.

use super::state::STATE_VERSION;
use super::*;
use crate::config::MEMORY_BYTES_MIN;
use crate::request::{REQUESTS_PENDING_MAX, RequestId};

fn config() -> BoardConfig {
    BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        ..BoardConfig::default()
    }
}

fn board() -> Board {
    Board::new(&config()).unwrap()
}

fn store(board: &mut Board, addr: u64, value: u64, now: u64) {
    (board.store(GuestAddr(addr), Width::Word, value, now)).unwrap();
}

fn load(board: &mut Board, addr: u64, now: u64) -> u64 {
    board.load(GuestAddr(addr), Width::Word, now).unwrap()
}

const RTC: u64 = 0x10_1000;
const PLIC: u64 = 0xc00_0000;
const S_CLAIM: u64 = PLIC + 0x20_1004;

/// Lets source `irq` through to S-mode.
fn enable(board: &mut Board, irq: u64) {
    store(board, PLIC + irq * 4, 1, 0);
    store(board, PLIC + 0x2080, 1 << irq, 0);
}

#[test]
fn nothing_answers_between_the_devices() {
    let mut board = board();
    let end = RAM_BASE + board.ram.len();
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
            board.load(addr, Width::Word, 0),
            Err(AccessFault),
            "{addr:x?}"
        );
        assert_eq!(board.store(addr, Width::Word, 0, 0), Err(AccessFault));
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
            board.load(GuestAddr(addr), Width::Word, 0).is_ok(),
            "{addr:#x}"
        );
    }
    assert!(board.load(GuestAddr(end - 3), Width::Word, 0).is_err());
}

#[test]
fn devices_take_their_own_widths() {
    use Width::{Byte, Double, Half, Word};
    let mut board = board();
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
            let answers = board.load(GuestAddr(addr), width, 0).is_ok();
            assert_eq!(answers, widths.contains(&width), "{addr:#x} {width:?}");
        }
    }
    // Devices do not answer across their registers, nor across their end.
    assert!(board.load(GuestAddr(0x200_4002), Word, 0).is_err());
    assert!(board.load(GuestAddr(RTC + 0x20), Word, 0).is_ok());
    assert!(board.load(GuestAddr(RTC + 0x20), Double, 0).is_err());
    // The ROM is memory that keeps what it is.
    assert!(board.load(GuestAddr(0xffff), Byte, 0).is_ok());
    assert!(board.load(GuestAddr(0xffff), Half, 0).is_err());
    let before = board.load(GuestAddr(0x1001), Double, 0);
    assert!(before.is_ok());
    assert_eq!(board.store(GuestAddr(0x1000), Word, !0, 0), Ok(()));
    assert_eq!(board.load(GuestAddr(0x1001), Double, 0), before);
}

#[test]
fn console_bytes_gather() {
    let mut board = board();
    for byte in *b"hi\n" {
        let addr = GuestAddr(0x1000_0000);
        board.store(addr, Width::Byte, u64::from(byte), 0).unwrap();
    }
    assert_eq!(board.take_outputs(), [Output::Console(b"hi\n".to_vec())]);
    assert_eq!(board.take_outputs(), []);
}

#[test]
fn the_first_stop_counts() {
    let mut board = board();
    store(&mut board, 0x10_0000, 0x1234, 0);
    assert_eq!(board.stop(), None);
    store(&mut board, 0x10_0000, 0x2_3333, 0);
    store(&mut board, 0x10_0000, 0x5555, 0);
    assert_eq!(board.stop(), Some(StopRequest::Fail(2)));
}

/// Whether somebody looks at the lines in between cannot be seen.
#[test]
fn an_alarm_is_the_same_whoever_watches() {
    let run = |watched: bool| {
        let mut board = board();
        enable(&mut board, 11);
        store(&mut board, RTC + 0x10, 1, 0);
        store(&mut board, RTC + 0x0c, 0, 0);
        store(&mut board, RTC + 0x08, 5000, 0);
        assert_eq!(board.deadline(0), Some(50));
        assert_eq!(board.lines(49).mip(), 0);
        if watched {
            assert_eq!(board.lines(50).mip(), Lines::SEIP);
        }
        // Taken back before the guest claims it: the request stays.
        store(&mut board, RTC + 0x1c, 1, 60);
        assert_eq!(load(&mut board, S_CLAIM, 61), 11);
        store(&mut board, S_CLAIM, 11, 62);
        assert_eq!(board.lines(63).mip(), 0);
        (board.save(63), board.device_states(63))
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn restoring_replays_no_edge() {
    let mut board = board();
    enable(&mut board, 10);
    let addr = GuestAddr(0x1000_0001);
    board.store(addr, Width::Byte, 1, 0).unwrap();
    board.apply(&Input::Console(b"x".to_vec()), 0).unwrap();
    assert_eq!(load(&mut board, S_CLAIM, 0), 10);
    // Claimed, and the line is still high.
    let state = board.save(0);
    let mut board = Board::restore(&config(), board.ram, state).unwrap();
    assert_eq!(board.lines(0).mip(), 0);
    store(&mut board, S_CLAIM, 10, 0);
    assert_eq!(board.lines(0).mip(), Lines::SEIP);
    assert_eq!(load(&mut board, S_CLAIM, 0), 10);
    let byte = board.load(GuestAddr(0x1000_0000), Width::Byte, 0);
    assert_eq!(byte, Ok(u64::from(b'x')));
    store(&mut board, S_CLAIM, 10, 0);
    assert_eq!(board.lines(0).mip(), 0);
}

#[test]
fn state_of_another_version_or_board_is_refused() {
    let mut board = board();
    let state = board.save(0);
    let mut newer = state.clone();
    newer.version = STATE_VERSION + 1;
    assert!(matches!(
        Board::restore(&config(), board.ram.clone(), newer),
        Err(RestoreError::Version(newer)) if newer == STATE_VERSION + 1
    ));
    let larger = BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN * 2,
        ..config()
    };
    assert!(matches!(
        Board::restore(&larger, board.ram.clone(), state.clone()),
        Err(RestoreError::Memory(_))
    ));
    let other = BoardConfig {
        entropy: false,
        ..config()
    };
    assert!(matches!(
        Board::restore(&other, board.ram, state),
        Err(RestoreError::Device(_))
    ));
}

const REQUESTER: u64 = 0x10_2000;

fn double(board: &mut Board, offset: u64, value: u64) {
    let at = GuestAddr(REQUESTER + offset);
    board.store(at, Width::Double, value, 0).unwrap();
}

fn read_double(board: &mut Board, offset: u64) -> u64 {
    let at = GuestAddr(REQUESTER + offset);
    board.load(at, Width::Double, 0).unwrap()
}

/// Asks what is at an address; the answer goes to another. Returns the number of the request.
fn ask(board: &mut Board, question: u64, bytes: u64, answer: u64) -> u64 {
    for (offset, value) in [(0, question), (8, bytes), (16, answer), (24, 0)] {
        double(board, offset, value);
    }
    read_double(board, 24)
}

fn completion(id: u64, result: &[u8]) -> Input {
    Input::Completion(Completion {
        id: RequestId(id),
        result: result.to_vec(),
    })
}

#[test]
fn requests_take_data_when_made_and_bring_them_when_completed() {
    let mut board = board();
    let at = GuestAddr(REQUESTER);
    assert_eq!(board.load(at, Width::Double, 0), Err(AccessFault));
    assert_eq!(board.store(at, Width::Double, 1, 0), Err(AccessFault));
    board.add_requester();
    enable(&mut board, 12);
    let (question, answer) = (RAM_BASE + 0x100, RAM_BASE + 0x200);
    board.ram.write(GuestAddr(question), b"what").unwrap();
    assert_eq!(ask(&mut board, question, 4, answer), 1);
    board.ram.write(GuestAddr(question), b"else").unwrap();
    assert!(board.output_due());
    let requests = board.take_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].task, Task::Answer(b"what".to_vec()));
    assert!(!board.output_due());
    let mut bytes = [0; 4];
    board.ram.read(GuestAddr(answer), &mut bytes).unwrap();
    assert_eq!(
        (bytes, board.lines(0).mip()),
        ([0; 4], 0),
        "nothing has come"
    );
    assert_eq!(
        board.apply(&completion(2, b""), 0),
        Err(InputError::NoSuchRequest(2))
    );
    let long = vec![0; REQUEST_BYTES_MAX + 1];
    assert_eq!(
        board.apply(&completion(1, &long), 0),
        Err(InputError::CompletionSize(long.len()))
    );
    board.apply(&completion(1, b"this"), 0).unwrap();
    board.ram.read(GuestAddr(answer), &mut bytes).unwrap();
    assert_eq!(&bytes, b"this");
    assert_eq!(board.lines(0).mip(), Lines::SEIP);
    assert_eq!(read_double(&mut board, 32), 1);
    assert_eq!(
        board.apply(&completion(1, b"this"), 0),
        Err(InputError::NoSuchRequest(1)),
        "it ends once"
    );
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let mut board = board();
    board.add_requester();
    let end = RAM_BASE + board.ram.len();
    assert_eq!(ask(&mut board, end - 3, 4, RAM_BASE), 0);
    let long = REQUEST_BYTES_MAX as u64 + 1;
    assert_eq!(ask(&mut board, RAM_BASE, long, RAM_BASE), 0);
    assert_eq!(ask(&mut board, RAM_BASE, u64::MAX, RAM_BASE), 0);
    // An answer for which there is no memory is dropped.
    assert_eq!(ask(&mut board, RAM_BASE, 4, end - 3), 1);
    board.apply(&completion(1, b"long"), 0).unwrap();
    for id in 2..2 + REQUESTS_PENDING_MAX as u64 {
        assert_eq!(ask(&mut board, RAM_BASE, 0, RAM_BASE), id);
    }
    assert_eq!(ask(&mut board, RAM_BASE, 0, RAM_BASE), 0, "too many wait");
}

#[test]
fn pending_requests_are_part_of_the_state() {
    let mut asking = board();
    assert!(
        asking.save_requests().is_none(),
        "nothing is added to others"
    );
    let devices = asking.device_states(0).len();
    asking.add_requester();
    ask(&mut asking, RAM_BASE, 8, RAM_BASE);
    asking.take_requests();
    assert_eq!(asking.device_states(0).len(), devices + 1);
    let state = asking.save_requests().unwrap();
    let mut restored = board();
    restored.restore_requests(state.clone()).unwrap();
    assert_eq!(restored.take_requests().len(), 1, "its host has to do it");
    restored.apply(&completion(1, &[1; 8]), 0).unwrap();
    let mut orphaned = state;
    orphaned.forget_requester();
    assert!(board().restore_requests(orphaned).is_err());
}
