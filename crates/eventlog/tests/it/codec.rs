//! Entries survive their encoding; nothing else decodes; nothing makes the decoder panic.

use eventlog::{Entry, EntryError, Event, OutputMark};
use machine::{Clock, Completion, FRAME_BYTES_MAX, Input, Position, REQUEST_BYTES_MAX, RequestId};
use proptest::collection::vec;
use proptest::prelude::*;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Progress),
        (any::<u64>(), any::<u64>())
            .prop_map(|(time, rate)| Event::Input(Input::Clock(Clock { time, rate }))),
        (any::<u8>(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(device, frame)| Event::Input(Input::Frame { device, frame })),
        vec(any::<u8>(), 0..200).prop_map(|typed| Event::Input(Input::Console(typed))),
        any::<[u8; 32]>().prop_map(|seed| Event::Input(Input::Seed(seed))),
        Just(Event::Input(Input::Synchronize)),
        Just(Event::Input(Input::Reset)),
        Just(Event::Input(Input::PowerOff)),
        (any::<u64>(), vec(any::<u8>(), 0..200)).prop_map(|(id, result)| {
            let id = RequestId(id);
            Event::Input(Input::Completion(Completion { id, result }))
        }),
        (any::<u32>(), any::<[u8; 8]>())
            .prop_map(|(count, hash)| Event::Output(OutputMark { count, hash })),
        any::<bool>().prop_map(|reset| Event::Stopped { reset }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), event()).prop_map(|(position, event)| Entry {
        position: Position(position),
        event,
    })
}

/// Decoding may fail, but what decodes has exactly these bytes. The fuzz target `entry` does the same.
fn check(bytes: &[u8]) -> Result<Entry, EntryError> {
    let entry = Entry::decode(bytes)?;
    assert_eq!(entry.encode().as_deref(), Ok(bytes));
    Ok(entry)
}

/// Makes the checksum right, so that the fields behind it are reached.
fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

proptest! {
    #[test]
    fn entries_survive(entry in entry()) {
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(check(&bytes), Ok(entry));
    }

    #[test]
    fn any_changed_bit_is_noticed(entry in entry(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = entry.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(check(&bytes), Err(EntryError::Checksum));
    }

    #[test]
    fn cut_entries_are_noticed(entry in entry(), at in any::<prop::sample::Index>()) {
        let bytes = entry.encode().unwrap();
        prop_assert!(check(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn noise_is_harmless(bytes in vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes);
    }

    #[test]
    fn sealed_noise_is_harmless(kind in 0u8..32, noise in vec(any::<u8>(), 0..64)) {
        let mut body = vec![2 << 5 | kind];
        body.extend(noise);
        let _ = check(&seal(body));
    }
}

#[test]
fn the_entries_of_a_busy_guest_are_small() {
    // A machine that has run for ten days, at a hundred million positions a second.
    let position = Position(10 * 86_400 * 100_000_000);
    let clock = Clock {
        time: 10 * 86_400 * 10_000_000,
        rate: 429 << 20,
    };
    let size = |event| Entry { position, event }.encode().unwrap().len();
    assert_eq!(size(Event::Progress), 12);
    assert_eq!(size(Event::Input(Input::Clock(clock))), 22);
    let mark = OutputMark {
        count: 1,
        hash: [9; 8],
    };
    assert_eq!(size(Event::Output(mark)), 21);
    let completion = Completion {
        id: RequestId(100_000_000),
        result: vec![0],
    };
    let size = size(Event::Input(Input::Completion(completion)));
    // What a disk's completion may take, on average.
    assert!(
        size - 12 <= 16,
        "{size} bytes, of which every entry takes 12"
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let progress = |first: u8| seal(vec![first, 7]);
    assert!(check(&progress(2 << 5)).is_ok());
    assert_eq!(check(&progress(3 << 5)), Err(EntryError::Version(3)));
    assert_eq!(check(&progress(2 << 5 | 31)), Err(EntryError::Kind(31)));
    assert_eq!(check(&[1, 2]), Err(EntryError::Length(2)));
    assert_eq!(
        check(&vec![0; eventlog::ENTRY_BYTES_MAX + 1]),
        Err(EntryError::Length(eventlog::ENTRY_BYTES_MAX + 1))
    );
    let trailing = seal(vec![2 << 5, 7, 0]);
    assert_eq!(check(&trailing), Err(EntryError::Malformed("length")));
    // A rate of 2 written as 2 << 0 rather than 1 << 1.
    let padded = seal(vec![2 << 5 | 1, 7, 5, 0, 2]);
    assert_eq!(check(&padded), Err(EntryError::Malformed("clock")));
    let long = Entry {
        position: Position(0),
        event: Event::Input(Input::Frame {
            device: 0,
            frame: vec![0; FRAME_BYTES_MAX + 1],
        }),
    };
    assert!(matches!(
        long.encode(),
        Err(EntryError::TooLarge("a frame", _))
    ));
    let completion = |result| Entry {
        position: Position(0),
        event: Event::Input(Input::Completion(Completion {
            id: RequestId(1),
            result,
        })),
    };
    assert!(completion(vec![0; REQUEST_BYTES_MAX]).encode().is_ok());
    assert!(matches!(
        completion(vec![0; REQUEST_BYTES_MAX + 1]).encode(),
        Err(EntryError::TooLarge("a completion", _))
    ));
}
