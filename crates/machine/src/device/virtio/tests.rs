//! Tests of the transport and the devices, by a driver through the bus.

use super::driver::Driver;
use super::net::BACKLOG_MAX;
use super::*;
use crate::config::{MEMORY_BYTES_MIN, NetConfig};
use crate::ram::RAM_BASE;
use crate::{Board, GuestAddr, Input, Output};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const MERGED_BUFFERS: u64 = 1 << 15;
const BUFFER: u64 = RAM_BASE + 0x10_0000;
const HEADER: u32 = 12;

fn config() -> BoardConfig {
    BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        net: vec![NetConfig { mac: MAC }],
        entropy: true,
        console: true,
    }
}

fn net(features: u64) -> Driver {
    Driver::new(&config(), 0, features)
}

fn frame(len: usize, fill: u8) -> Input {
    Input::Frame {
        device: 0,
        frame: vec![fill; len],
    }
}

#[test]
fn what_a_probe_reads() {
    let mut driver = net(0);
    assert_eq!(driver.read(0), 0x7472_6976);
    assert_eq!(driver.read(4), 2);
    assert_eq!(driver.read(8), 1);
    driver.write(0x14, 1);
    assert_eq!(driver.read(0x10), 1);
    driver.write(0x14, 0);
    assert_eq!(driver.read(0x10), 0x3001_8020);
    driver.write(0x14, 2);
    assert_eq!(driver.read(0x10), 0);
    let config = |board: &mut Board, offset: u64, width| {
        board
            .load(GuestAddr(0x1000_1100 + offset), width, 0)
            .unwrap()
    };
    let mac: Vec<u8> = (0..6)
        .map(|offset| config(&mut driver.board, offset, Width::Byte) as u8)
        .collect();
    assert_eq!(mac, MAC);
    assert_eq!(config(&mut driver.board, 6, Width::Half), 1, "link is up");
    assert_eq!(config(&mut driver.board, 4, Width::Word), 0x0001_5634);
    let id = |board: &mut Board, slot: u64| {
        board.load(GuestAddr(0x1000_1008 + slot * 0x1000), Width::Word, 0)
    };
    let ids: Vec<_> = (0..8)
        .map(|slot| id(&mut driver.board, slot).unwrap())
        .collect();
    assert_eq!(ids, [1, 4, 3, 0, 0, 0, 0, 0]);
}

#[test]
fn features_are_negotiated_once() {
    let mut driver = net(0);
    for features in [0u64, feature::VERSION_1 | 1] {
        driver.write(0x70, 0);
        driver.write(0x70, 3);
        for half in 0..2 {
            driver.write(0x24, half);
            driver.write(0x20, (features >> (32 * half)) as u32);
        }
        driver.write(0x70, 11);
        assert_eq!(
            driver.read(0x70),
            3,
            "not without VERSION_1, nor with others"
        );
    }
    driver.start(0);
    driver.write(0x24, 0);
    driver.write(0x20, 0xffff_ffff);
    driver.write(0x70, 15);
    assert_eq!(driver.read(0x70), 15, "too late to change them");
}

#[test]
fn transmits() {
    for features in [0, feature::EVENT_IDX] {
        let mut driver = net(features);
        driver.enable_in_plic(1);
        driver.put(BUFFER + 12, &[7; 60]);
        assert!(driver.offer(1, 0, &[(BUFFER, HEADER, false), (BUFFER + 12, 60, false)]));
        assert_eq!(driver.board.outputs(), []);
        driver.notify(1);
        let sent = Output::Frame {
            device: 0,
            frame: vec![7; 60],
        };
        assert_eq!(driver.board.take_outputs(), std::slice::from_ref(&sent));
        assert_eq!(driver.used(1), [(0, 0)]);
        assert!(driver.external_interrupt());
        assert_eq!(driver.interrupted(), 1);
        // The header may share a buffer with the frame.
        assert!(driver.offer(1, 3, &[(BUFFER, 72, false)]));
        driver.set_used_event(1, 5);
        driver.notify(1);
        assert_eq!(driver.board.take_outputs(), [sent]);
        assert_eq!(driver.interrupted(), u32::from(features == 0));
        // Frames that Ethernet does not have are dropped, and the driver gets its buffers back.
        driver.offer(1, 4, &[(BUFFER, 25, false)]);
        driver.offer(1, 5, &[(BUFFER, 70_000, false)]);
        driver.offer(1, 6, &[(BUFFER, 3, false)]);
        driver.notify(1);
        assert_eq!(driver.used(1), [(3, 0), (4, 0), (5, 0), (6, 0)]);
        assert_eq!(driver.board.outputs(), []);
        assert_eq!(driver.read(0x70), 15);
    }
}

#[test]
fn indirect_descriptors() {
    let mut driver = net(feature::INDIRECT_DESC);
    let table = RAM_BASE + 0x8_0000;
    driver.put(BUFFER, &[9; 100]);
    driver.descriptor(table, BUFFER, 12, 1, 2);
    driver.descriptor(table + 32, BUFFER + 12, 20, 1, 1);
    driver.descriptor(table + 16, BUFFER + 32, 10, 0, 0);
    let at = driver.table(1) + 5 * 16;
    driver.descriptor(at, table, 48, 4, 0);
    driver.offer_head(1, 5);
    driver.notify(1);
    assert_eq!(
        driver.board.take_outputs(),
        [Output::Frame {
            device: 0,
            frame: vec![9; 30]
        }]
    );
    assert_eq!(driver.used(1), [(5, 0)]);
}

#[test]
fn receives_into_waiting_buffers_and_keeps_the_rest() {
    for features in [0, feature::EVENT_IDX] {
        let mut driver = net(features);
        driver.offer(0, 0, &[(BUFFER, 2000, true)]);
        driver.notify(0);
        driver.board.apply(&frame(60, 1), 0).unwrap();
        assert_eq!(driver.used(0), [(0, 72)]);
        assert_eq!(driver.interrupted(), 1);
        let packet = driver.get(BUFFER, 73);
        assert_eq!(packet[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(packet[12..72], [1; 60]);
        assert_eq!(packet[72], 0);
        // No buffer: it waits, and the driver must notify.
        driver.board.apply(&frame(14, 2), 0).unwrap();
        assert_eq!(driver.used(0), []);
        assert_eq!(driver.interrupted(), 0);
        assert!(driver.offer(0, 1, &[(BUFFER, 2000, true)]));
        driver.set_used_event(0, 1);
        driver.notify(0);
        assert_eq!(driver.used(0), [(1, 26)]);
        assert_eq!(driver.interrupted(), 1);
        // Too large for a single buffer: dropped, the buffer stays.
        driver.offer(0, 2, &[(BUFFER, 100, true)]);
        driver.board.apply(&frame(90, 3), 0).unwrap();
        driver.board.apply(&frame(80, 3), 0).unwrap();
        assert_eq!(driver.used(0), [(2, 92)]);
    }
}

#[test]
fn receives_into_merged_buffers() {
    let mut driver = net(MERGED_BUFFERS);
    driver.offer(0, 0, &[(BUFFER, 40, true)]);
    driver.board.apply(&frame(100, 5), 0).unwrap();
    assert_eq!(driver.used(0), [], "waits for more buffers");
    driver.offer(
        0,
        1,
        &[(BUFFER + 0x100, 20, true), (BUFFER + 0x200, 20, true)],
    );
    driver.offer(0, 3, &[(BUFFER + 0x300, 400, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 40), (1, 40), (3, 32)]);
    assert_eq!(driver.get(BUFFER + 10, 2), [3, 0]);
    assert_eq!(driver.get(BUFFER + 0x100, 20), [5; 20]);
    assert_eq!(driver.get(BUFFER + 0x300 + 31, 2), [5, 0]);
    // A full queue of buffers that are too small all together.
    for head in 0..8 {
        driver.offer(0, head, &[(BUFFER, 12, true)]);
    }
    driver.board.apply(&frame(200, 6), 0).unwrap();
    driver.board.apply(&frame(20, 7), 0).unwrap();
    assert_eq!(driver.used(0).len(), 3, "the second frame fits");
}

#[test]
fn the_backlog_is_bounded_and_survives_in_snapshots() {
    let mut driver = net(0);
    for _ in 0..300 {
        driver.board.apply(&frame(60, 1), 0).unwrap();
    }
    let saved = driver.board.save(0);
    let ram = driver.board.ram.clone();
    driver.board = Board::restore(&config(), ram, saved).unwrap();
    assert_eq!(driver.interrupted(), 0);
    let mut delivered = 0;
    for _ in 0..40 {
        for head in 0..8 {
            driver.offer(0, head, &[(BUFFER, 100, true)]);
        }
        driver.notify(0);
        delivered += driver.used(0).len();
    }
    assert_eq!(delivered, 256);
    // Without a driver nothing is kept.
    driver.write(0x70, 0);
    driver.board.apply(&frame(60, 1), 0).unwrap();
    driver.start(0);
    driver.offer(0, 0, &[(BUFFER, 100, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), []);
}

#[test]
fn inputs_that_do_not_fit_change_nothing() {
    let mut driver = net(0);
    let before = driver.board.save(0);
    let bad = |device, len| Input::Frame {
        device,
        frame: vec![0; len],
    };
    for input in [
        bad(1, 60),
        bad(0, 13),
        bad(0, 65551),
        Input::Console(vec![0; 70_000]),
        Input::PowerOff,
    ] {
        assert!(driver.board.apply(&input, 0).is_err());
    }
    assert_eq!(driver.board.save(0), before);
}

#[test]
fn entropy() {
    let fill = |seed: u8| {
        let mut driver = Driver::new(&config(), 1, feature::EVENT_IDX);
        driver.board.apply(&Input::Seed([seed; 32]), 0).unwrap();
        driver.offer(0, 0, &[(BUFFER, 10, true), (BUFFER + 0x100, 30, true)]);
        driver.notify(0);
        assert_eq!(driver.used(0), [(0, 40)]);
        assert_eq!(driver.interrupted(), 1);
        [driver.get(BUFFER, 10), driver.get(BUFFER + 0x100, 30)].concat()
    };
    assert_eq!(fill(1), fill(1));
    assert_ne!(fill(1), fill(2));
    assert_ne!(fill(1)[30..], [0; 10]);
}

#[test]
fn console_speaks_and_listens_where_a_driver_runs_it() {
    let mut driver = Driver::new(&config(), 2, 0);
    driver.put(BUFFER, b"hello\n");
    driver.offer(1, 0, &[(BUFFER, 6, false)]);
    driver.notify(1);
    assert_eq!(
        driver.board.take_outputs(),
        [Output::Console(b"hello\n".to_vec())]
    );
    driver
        .board
        .apply(&Input::Console(b"ls\n".to_vec()), 0)
        .unwrap();
    driver.offer(0, 0, &[(BUFFER, 2, true)]);
    driver.offer(0, 1, &[(BUFFER + 8, 10, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 2), (1, 1)]);
    assert_eq!(driver.get(BUFFER, 2), b"ls");
    driver.write(0x70, 0);
    driver
        .board
        .apply(&Input::Console(b"x".to_vec()), 0)
        .unwrap();
    assert_eq!(
        driver.board.console_take(9),
        b"x",
        "else the serial port has it"
    );
}

#[test]
fn nonsense_asks_for_a_reset() {
    type Break = fn(&mut Driver);
    let cases: [(&str, Break); 12] = [
        ("queue size", |d| {
            d.write(0x44, 0);
            d.write(0x38, 7);
        }),
        ("available index", |d| {
            let addr = d.table(1) + 0x1002;
            d.put(addr, &[9, 0]);
            d.notify(1);
        }),
        ("descriptor number", |d| {
            d.offer_head(1, 8);
            d.notify(1);
        }),
        ("loop", |d| {
            let at = d.table(1);
            d.descriptor(at, BUFFER, 1, 1, 0);
            d.offer_head(1, 0);
            d.notify(1);
        }),
        ("buffer outside", |d| {
            d.offer(1, 0, &[(RAM_BASE - 1, 20, false)]);
            d.notify(1);
        }),
        ("buffer past the end", |d| {
            d.offer(1, 0, &[(u64::MAX, 20, false)]);
            d.notify(1);
        }),
        ("empty buffer", |d| {
            d.offer(1, 0, &[(BUFFER, 0, false)]);
            d.notify(1);
        }),
        ("direction", |d| {
            d.offer(1, 0, &[(BUFFER, 20, true)]);
            d.notify(1);
        }),
        ("order", |d| {
            d.offer(1, 0, &[(BUFFER, 20, true), (BUFFER, 20, false)]);
            d.notify(1);
        }),
        ("indirect with next", |d| {
            let at = d.table(1);
            d.descriptor(at, BUFFER, 16, 5, 0);
            d.offer_head(1, 0);
            d.notify(1);
        }),
        ("indirect in indirect", |d| {
            let at = d.table(1);
            d.descriptor(at, BUFFER, 16, 4, 0);
            d.descriptor(BUFFER, BUFFER, 16, 4, 0);
            d.offer_head(1, 0);
            d.notify(1);
        }),
        ("indirect of odd size", |d| {
            let at = d.table(1);
            d.descriptor(at, BUFFER, 17, 4, 0);
            d.offer_head(1, 0);
            d.notify(1);
        }),
    ];
    for (name, break_it) in cases {
        let mut driver = net(feature::INDIRECT_DESC);
        driver.write(0x30, 1);
        break_it(&mut driver);
        assert_eq!(driver.read(0x70), 15 | 64, "{name}");
        assert_eq!(driver.interrupted(), 2, "{name}");
        // It is dead, also for what arrives and whatever status is written, until a reset.
        driver.board.apply(&frame(60, 1), 0).unwrap();
        driver.write(0x70, 15);
        driver.notify(1);
        assert_eq!(driver.board.outputs(), [], "{name}");
        driver.start(0);
        assert_eq!(driver.read(0x70), 15, "{name}");
    }
}

/// Lets the device go on until nothing is left: how many bytes it said in each turn.
fn turns(driver: &mut Driver) -> Vec<usize> {
    let len = |output: &Output| match output {
        Output::Frame { frame, .. } => frame.len(),
        Output::Console(bytes) => bytes.len(),
    };
    let mut said = Vec::new();
    loop {
        said.push(driver.board.take_outputs().iter().map(len).sum());
        // The timer of the CLINT is at the end of time.
        let next = driver.board.deadline(driver.now);
        let Some(tick) = next.filter(|tick| *tick < u64::MAX) else {
            return said;
        };
        driver.board.go_on(tick - 1);
        assert_eq!(driver.board.outputs(), [], "not before its time");
        driver.now = tick;
        driver.board.go_on(tick);
    }
}

#[test]
fn much_is_sent_in_turns() {
    let mut driver = net(0);
    driver.resize(64, 0);
    for round in 0..2 {
        for head in 0..64 {
            driver.offer(1, head, &[(BUFFER, 65562, false)]);
        }
        driver.notify(1);
        // Whoever asks again waits all the same.
        driver.notify(1);
        let said = turns(&mut driver);
        assert_eq!(said.iter().sum::<usize>(), 64 * 65550, "in round {round}");
        let most = turn::TURN_BYTES_MAX as usize + 65550;
        assert!(
            said.len() == 4 && said.iter().all(|said| *said <= most),
            "{said:?}"
        );
        assert_eq!(driver.used(1).len(), 64);
    }
    // A device that is reset has nothing left to do.
    for head in 0..64 {
        driver.offer(1, head, &[(BUFFER, 65562, false)]);
    }
    driver.notify(1);
    driver.start(0);
    assert_eq!(turns(&mut driver).len(), 1);
}

#[test]
fn a_rest_survives_in_snapshots() {
    let mut driver = net(0);
    driver.resize(64, 0);
    for head in 0..64 {
        driver.offer(1, head, &[(BUFFER, 65562, false)]);
    }
    driver.notify(1);
    driver.board.take_outputs();
    let saved = driver.board.save(0);
    let mut bad = saved.clone();
    bad.virtio[0].rests = 4;
    let ram = driver.board.ram.clone();
    assert!(Board::restore(&config(), ram.clone(), bad).is_err());
    driver.board = Board::restore(&config(), ram, saved).unwrap();
    assert_eq!(turns(&mut driver).len(), 4);
    assert_eq!(driver.used(1).len(), 64);
}

/// Buffers of very many descriptors, which hold no frame even all together, are looked at for each frame.
#[test]
fn a_frame_takes_a_bounded_number_of_descriptors() {
    let features = MERGED_BUFFERS | feature::INDIRECT_DESC;
    let mut driver = net(features);
    for _ in 0..BACKLOG_MAX {
        driver.board.apply(&frame(4000, 1), 0).unwrap();
    }
    let table = RAM_BASE + 0x8_0000;
    for number in 0..500 {
        driver.descriptor(table + number * 16, BUFFER, 1, 3, number as u16 + 1);
    }
    driver.descriptor(table + 500 * 16, BUFFER, 1, 2, 0);
    for head in 0..8 {
        let at = driver.table(0) + u64::from(head) * 16;
        driver.descriptor(at, table, 501 * 16, 4, 0);
        driver.offer_head(0, head);
    }
    driver.notify(0);
    // 4008 descriptors a frame.
    let turns = turns(&mut driver).len();
    assert!((40..=64).contains(&turns), "{turns} turns for 256 frames");
    assert_eq!(driver.read(0x70), 15);
}

#[test]
fn entropy_and_console_take_turns() {
    let mut driver = Driver::new(&config(), 1, 0);
    driver.resize(64, 0);
    for head in 0..64 {
        driver.offer(0, head, &[(BUFFER, 1 << 20, true)]);
    }
    driver.notify(0);
    assert_eq!(driver.used(0), [0, 1, 2, 3].map(|head| (head, 65536)));
    assert_eq!(turns(&mut driver).len(), 16);
    assert_eq!(driver.used(0).len(), 60);
    let mut driver = Driver::new(&config(), 2, 0);
    driver.resize(64, 0);
    for head in 0..64 {
        driver.offer(1, head, &[(BUFFER, 65536, false)]);
    }
    driver.notify(1);
    assert_eq!(turns(&mut driver), [1 << 20; 4]);
}

/// Each device of a full board has much to send, and all of it comes due at once.
#[test]
fn the_turns_of_a_tick_are_bounded_together() {
    let config = BoardConfig {
        net: vec![NetConfig { mac: MAC }; VIRTIO_SLOTS],
        entropy: false,
        console: false,
        ..config()
    };
    let mut driver = Driver::new(&config, 0, 0);
    for slot in 0..VIRTIO_SLOTS as u64 {
        driver.turn_to(slot);
        driver.resize(64, 0);
    }
    for head in 0..64 {
        driver.offer(1, head, &[(BUFFER, 65562, false)]);
    }
    for slot in 0..VIRTIO_SLOTS as u64 {
        driver.turn_to(slot);
        driver.notify(1);
    }
    let mut sent = vec![0; VIRTIO_SLOTS];
    let mut count = |driver: &mut Driver| {
        for output in driver.board.take_outputs() {
            let Output::Frame { device, .. } = output else {
                panic!("no console speaks");
            };
            sent[usize::from(device)] += 1;
        }
        sent.clone()
    };
    count(&mut driver);
    driver.board.take_cost();
    let mut fewest = 0;
    while let Some(tick) = driver
        .board
        .deadline(driver.now)
        .filter(|at| *at < u64::MAX)
    {
        // Late, as after a step of the clock: all are due.
        driver.now = tick.max(driver.now + 10 * TURN_PAUSE_TICKS);
        for _ in 0..VIRTIO_SLOTS {
            driver.board.go_on(driver.now);
            let cost = driver.board.take_cost();
            let most = turn::TURN_BYTES_MAX / 4 + (1 << 18);
            assert!(cost > 0 && cost <= most, "{cost} in a tick");
            driver.board.go_on(driver.now);
            assert_eq!(driver.board.take_cost(), 0, "once a tick");
            driver.now += 1;
        }
        let sent = count(&mut driver);
        let (least, most) = (sent.iter().min(), sent.iter().max());
        assert_eq!(least, most, "nobody is left behind");
        assert!(least > Some(&fewest));
        fewest = sent[0];
    }
    assert_eq!(fewest, 64);
}

/// With the event index, the driver tells of a new buffer also where the device left some that were too few.
#[test]
fn a_frame_that_waits_for_more_buffers_asks_for_them() {
    let mut driver = net(MERGED_BUFFERS | feature::EVENT_IDX);
    driver.offer(0, 0, &[(BUFFER, 40, true)]);
    driver.notify(0);
    driver.board.apply(&frame(100, 5), 0).unwrap();
    assert_eq!(driver.used(0), [], "waits for more buffers");
    assert!(driver.offer(0, 1, &[(BUFFER + 0x100, 400, true)]));
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 40), (1, 72)]);
}

#[test]
fn the_backlog_is_bounded_in_bytes() {
    let mut driver = net(0);
    for _ in 0..40 {
        driver.board.apply(&frame(65550, 1), 0).unwrap();
    }
    let kept = driver.board.device_states(0)[4].1.len();
    assert!(kept <= net::BACKLOG_BYTES_MAX + 1024, "{kept}");
    for head in 0..8 {
        driver.offer(0, head, &[(BUFFER, 70_000, true)]);
    }
    driver.notify(0);
    assert_eq!(driver.used(0).len(), 8);
    let state = driver.board.virtio_state();
    assert_eq!(check(&config(), state), Ok(()));
}

#[test]
fn restored_state_is_checked() {
    let mut driver = net(0);
    let state = driver.board.virtio_state();
    assert_eq!(check(&config(), state), Ok(()));
    let mut other = config();
    other.net[0].mac[5] ^= 1;
    assert!(check(&other, state).is_err());
    assert!(check(&config(), &state[1..]).is_err());
    let mut bad = state.to_vec();
    bad[0].queues[0].size = 3;
    assert!(check(&config(), &bad).is_err());
    bad[0].queues[0].size = 512;
    assert!(check(&config(), &bad).is_err());
    bad[0].queues.clear();
    assert!(check(&config(), &bad).is_err());
    driver.notify(0);
}
