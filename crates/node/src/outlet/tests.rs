//! Tests of the outlet, with pipes.

use super::*;
use std::io::{PipeReader, PipeWriter, Read, pipe};

fn quiet(_: &str, _: Gap) -> Option<String> {
    None
}

fn noted(_: &str, gap: Gap) -> Option<String> {
    match gap {
        Gap::Ends { bytes, pieces, .. } => Some(format!("[{bytes} in {pieces}]")),
        Gap::Begins | Gap::Fails(_) | Gap::Broken(_) => None,
    }
}

fn outlet(tell: Tell) -> (Outlet, PipeReader) {
    let (reader, writer): (PipeReader, PipeWriter) = pipe().unwrap();
    (Outlet::new("test", writer, tell).unwrap(), reader)
}

#[test]
fn all_arrives_in_order() {
    let (outlet, mut reader) = outlet(quiet);
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    });
    let mut wanted = Vec::new();
    for number in 0..20_000u32 {
        let line = format!("line {number}\n");
        outlet.write(line.as_bytes());
        wanted.extend_from_slice(line.as_bytes());
    }
    assert_eq!(outlet.finish(), Dropped::default());
    drop(outlet);
    assert!(reading.join().unwrap() == wanted);
}

#[test]
fn what_nobody_reads_is_dropped_and_counted() {
    let (outlet, reader) = outlet(quiet);
    let piece = [b'x'; 1 << 16];
    for _ in 0..256 {
        outlet.write(&piece);
    }
    let dropped = outlet.dropped();
    let pipe_bytes_max = 2 << 20;
    assert!(dropped.bytes >= (256 << 16) - (WAITING_BYTES_MAX + pipe_bytes_max) as u64);
    assert_eq!(dropped.bytes, dropped.pieces << 16);
    // The reader is still there, and still does not read: the end comes all the same, and what waited is lost, too.
    let all = outlet.finish();
    assert!(all.bytes > dropped.bytes, "{all:?}");
    drop(reader);
}

#[test]
fn a_reader_that_comes_back_finds_one_gap_in_its_place() {
    let (outlet, mut reader) = outlet(noted);
    let piece = [b'a'; 1 << 16];
    let mut said = 0u64;
    while outlet.dropped().pieces < 3 {
        outlet.write(&piece);
        said += piece.len() as u64;
    }
    let dropped = outlet.dropped().bytes;
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    });
    // It goes on once half of the buffer is free.
    loop {
        outlet.write(b"b");
        if !outlet.shared.lock().dropping {
            break;
        }
        std::thread::yield_now();
    }
    outlet.write(b"b");
    let all_dropped = outlet.finish();
    drop(outlet);
    let all = String::from_utf8(reading.join().unwrap()).unwrap();
    let (before, after) = all.split_once('[').unwrap();
    assert!(before.bytes().all(|byte| byte == b'a'));
    let (note, after) = after.split_once(']').unwrap();
    assert_eq!(
        note,
        format!("{} in {}", all_dropped.bytes, all_dropped.pieces)
    );
    assert!(!after.is_empty() && after.bytes().all(|byte| byte == b'b'));
    assert_eq!(before.len() as u64, said - dropped);
}

#[test]
fn a_reader_that_is_gone_is_no_reason_to_wait() {
    let (outlet, reader) = outlet(quiet);
    drop(reader);
    for _ in 0..1000 {
        outlet.write(&[0; 4096]);
    }
    // All of it went nowhere, and is counted: what waited, and what was said afterwards.
    assert_eq!(outlet.finish().bytes, 1000 * 4096);
    assert_eq!(outlet.lost_to(), Some(ErrorKind::BrokenPipe));
    outlet.write(b"too late");
}

/// A disk with so much room, which somebody may give more. Behind it is a file only for [`AsFd`].
struct Disk {
    room: Room,
    file: std::fs::File,
    written: Written,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let length = bytes.len().min(*room);
        if length == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        *room -= length;
        self.written.lock().unwrap().extend(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl AsFd for Disk {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

type Room = Arc<Mutex<usize>>;
type Written = Arc<Mutex<Vec<u8>>>;

fn disk(room: usize) -> (Outlet, Room, Written) {
    let (room, written) = (Room::new(Mutex::new(room)), Written::default());
    let disk = Disk {
        room: Arc::clone(&room),
        file: tempfile::tempfile().unwrap(),
        written: Arc::clone(&written),
    };
    (Outlet::new("test", disk, noted).unwrap(), room, written)
}

#[test]
fn a_full_disk_that_has_room_again_is_written_again() {
    let (outlet, room, written) = disk(1000);
    outlet.write(&[b'a'; 4000]);
    let mut said = 4000;
    while outlet.shared.lock().failing.is_none() {
        std::thread::yield_now();
    }
    while outlet.dropped().pieces < 3 {
        outlet.write(&[b'a'; 1 << 16]);
        said += 1 << 16;
    }
    let dropped = outlet.dropped().bytes as usize;
    assert_eq!(written.lock().unwrap().len(), 1000);
    *room.lock().unwrap() = usize::MAX;
    while outlet.shared.lock().dropping {
        std::thread::yield_now();
    }
    outlet.write(b"b");
    assert_eq!(outlet.finish().bytes as usize, dropped);
    let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let (before, after) = written.split_once('[').unwrap();
    assert_eq!(before.len(), said - dropped);
    assert_eq!(after, format!("{dropped} in 3]b"));
}

#[test]
fn what_a_full_disk_never_took_is_counted_at_the_end() {
    let (outlet, _room, written) = disk(1000);
    outlet.write(&[b'a'; 5000]);
    assert_eq!(outlet.finish().bytes, 4000);
    assert_eq!(outlet.lost_to(), Some(ErrorKind::StorageFull));
    assert_eq!(written.lock().unwrap().len(), 1000);
}
