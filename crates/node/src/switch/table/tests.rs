//! Ports, machines and hostile guests on a table.

use super::addresses::ADDRESS_AGE_MAX;
use super::*;
use replication::{Claim, Epoch, MACHINES_MAX, MachineId, MachineKey, NodeId};
use std::time::Duration;

const MACHINE_AGE_MAX: Duration = Duration::from_micros(replication::MACHINE_AGE_MAX.us());

const MACHINE: MachineId = MachineId(5);
const GUEST: u8 = 0x10;
const CLIENT: u8 = 0x20;
const NOBODY: [u64; 0] = [];

struct Bench {
    table: Table,
    /// What other ports were told when a claim was made.
    told: Vec<(u64, Word)>,
    secret: SwitchSecret,
    now: Instant,
}

fn nonce(port: u64) -> Nonce {
    [port as u8; 16]
}

impl Bench {
    fn new(ports: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = SwitchSecret::load_or_create(&directory.path().join("s")).unwrap();
        let mut table = Table::new(&secret);
        (1..=ports).for_each(|port| table.open(PortId(port), Kind::Station(nonce(port))));
        Self {
            table,
            told: Vec::new(),
            secret,
            now: Instant::now(),
        }
    }

    fn frame(source: u8, destination: u8) -> Bytes {
        let mut frame = [0u8; 60];
        frame[..6].fill(destination);
        frame[6..12].fill(source);
        Bytes::copy_from_slice(&frame)
    }

    /// Where a frame from station `source` on `port` to station `destination` goes.
    fn send(&mut self, port: u64, source: u8, destination: u8) -> Vec<u64> {
        let frame = Self::frame(source, destination);
        let mut targets = Vec::new();
        self.table
            .receive(self.now, PortId(port), &frame, |target, _| {
                targets.push(target.0);
            });
        targets
    }

    fn key(&self, machine: MachineId) -> MachineKey {
        self.secret.machine_key(machine)
    }

    /// A claim with any key and nonce; what comes of it, and what is told again: from which station.
    fn claim_with(
        &mut self,
        port: u64,
        claimed: (MachineId, u64, u8),
        key: &MachineKey,
        nonce: &Nonce,
    ) -> (Verdict, Vec<u8>) {
        self.claim_as(port, port, claimed, key, nonce)
    }

    /// As some node, which is usually another one on each port.
    fn claim_as(
        &mut self,
        node: u64,
        port: u64,
        (machine, epoch, mac): (MachineId, u64, u8),
        key: &MachineKey,
        nonce: &Nonce,
    ) -> (Verdict, Vec<u8>) {
        let claim = Claim {
            machine,
            epoch: Epoch(epoch),
            address: [mac; 6],
            node: NodeId(node.into()),
        };
        let proof = key.prove(nonce, &claim);
        let mut heard = Vec::new();
        let frame = Bytes::from(Word::Claim { claim, proof }.to_frame());
        self.table
            .receive(self.now, PortId(port), &frame, |target, frame| {
                if target == PortId(port) {
                    heard.push(frame.clone());
                } else {
                    self.told.push((target.0, Word::from_frame(frame).unwrap()));
                }
            });
        let answer = heard.remove(0);
        let Ok(Word::Answer { verdict, .. }) = Word::from_frame(&answer) else {
            panic!("no answer");
        };
        (verdict, heard.iter().map(|frame| frame[6]).collect())
    }

    /// A claim by who has the key.
    fn claim(&mut self, port: u64, claimed: (MachineId, u64, u8)) -> (Verdict, Vec<u8>) {
        let key = self.key(claimed.0);
        self.claim_with(port, claimed, &key, &nonce(port))
    }

    /// What the machine's next owner is told again.
    fn admitted(&mut self, port: u64, epoch: u64) -> Vec<u8> {
        let (verdict, again) = self.claim(port, (MACHINE, epoch, GUEST));
        assert_eq!(verdict, Verdict::Admitted);
        again
    }

    fn close(&mut self, port: u64) {
        self.table.close(self.now, PortId(port));
    }
}

#[test]
fn addresses_are_learned_and_forgotten() {
    let mut bench = Bench::new(3);
    assert_eq!(bench.send(1, GUEST, CLIENT), [2, 3], "unknown: everywhere");
    assert_eq!(bench.send(2, CLIENT, GUEST), [1], "known: to its port");
    assert_eq!(bench.send(1, GUEST, 0xff), [2, 3], "broadcast: everywhere");
    bench.now += ADDRESS_AGE_MAX;
    assert_eq!(bench.send(1, GUEST, CLIENT), [2, 3], "aged");
    bench.send(2, CLIENT, GUEST);
    bench.close(2);
    assert_eq!(bench.send(1, GUEST, CLIENT), [3], "gone");
    assert_eq!(
        bench.send(2, CLIENT, GUEST),
        NOBODY,
        "a closed port says nothing"
    );
}

#[test]
fn a_newer_epoch_fences_the_older_port_at_once() {
    let mut bench = Bench::new(3);
    bench.admitted(1, 4);
    assert_eq!(bench.send(3, CLIENT, GUEST), [1]);
    assert_eq!(bench.send(1, GUEST, CLIENT), [3]);
    bench.admitted(2, 5);
    let fenced = Word::Answer {
        epoch: Epoch(4),
        verdict: Verdict::OlderEpoch,
    };
    assert_eq!(bench.told, [(1, fenced)], "the zombie is told, once");
    assert_eq!(bench.send(3, CLIENT, GUEST), [2], "the address has moved");
    assert_eq!(bench.send(1, GUEST, CLIENT), NOBODY, "the zombie is fenced");
    assert_eq!(bench.send(3, CLIENT, 0xff), [2], "and hears nothing");
    assert_eq!(bench.send(3, CLIENT, GUEST), [2], "nor has it the address");
    let (verdict, _) = bench.claim(1, (MACHINE, 4, GUEST));
    assert_eq!(verdict, Verdict::OlderEpoch, "claiming again does not help");
    assert_eq!(bench.send(1, GUEST, CLIENT), NOBODY);
    bench.table.open(PortId(4), Kind::Station(nonce(4)));
    let (verdict, _) = bench.claim(4, (MACHINE, 4, GUEST));
    assert_eq!(verdict, Verdict::OlderEpoch, "nor on another port");
    assert_eq!(bench.send(4, GUEST, CLIENT), NOBODY);
    assert_eq!(bench.send(4, 0x77, CLIENT), NOBODY, "with whatever address");
    assert_eq!(bench.send(3, CLIENT, GUEST), [2]);
    bench.admitted(1, 6);
    assert_eq!(bench.send(1, GUEST, CLIENT), [3], "a new epoch does");
    let counters = bench.table.counters;
    assert_eq!((counters.fenced, counters.claims_refused), (4, 2));
}

#[test]
fn two_nodes_never_speak_in_one_epoch() {
    let mut bench = Bench::new(4);
    bench.admitted(1, 4);
    let claimed = (MACHINE, 4, GUEST);
    assert_eq!(bench.claim(2, claimed).0, Verdict::EpochTaken);
    assert_eq!(bench.send(4, CLIENT, GUEST), [1], "nothing has moved");
    assert_eq!(bench.send(2, GUEST, CLIENT), NOBODY);
    // The first comes back at once, although nobody has missed its port yet, and is not refused for it.
    let key = bench.key(MACHINE);
    let back = bench.claim_as(1, 3, claimed, &key, &nonce(3));
    assert_eq!(back.0, Verdict::Admitted);
    assert_eq!(bench.send(4, CLIENT, GUEST), [3]);
    bench.close(1);
    assert_eq!(bench.claim(2, claimed).0, Verdict::EpochTaken);
    bench.close(3);
    bench.admitted(2, 4);
    assert_eq!(bench.send(4, CLIENT, GUEST), [2]);
    assert_eq!(bench.table.counters.claims_refused, 2);
}

/// A claim is a frame like others: whoever has seen one can say it again.
#[test]
fn an_older_claim_takes_nothing_from_a_port_that_has_proven_a_newer() {
    let mut bench = Bench::new(3);
    bench.admitted(1, 4);
    bench.admitted(1, 5);
    let (verdict, _) = bench.claim(1, (MACHINE, 4, GUEST));
    assert_eq!(verdict, Verdict::OlderEpoch);
    assert_eq!(bench.send(1, GUEST, CLIENT), [2, 3]);
    assert_eq!(bench.send(3, CLIENT, GUEST), [1]);
}

#[test]
fn a_guest_cannot_claim_whatever_it_says() {
    let mut bench = Bench::new(3);
    bench.admitted(1, 4);
    bench.send(3, CLIENT, 0xff);
    let own = (MACHINE, 9, GUEST);
    let (right, other) = (bench.key(MACHINE), bench.key(MachineId(6)));
    let stranger = Bench::new(0).key(MACHINE);
    for (key, nonce) in [
        (&other, nonce(2)),
        (&stranger, nonce(2)),
        (&right, nonce(1)),
    ] {
        assert_eq!(bench.claim_with(2, own, key, &nonce).0, Verdict::WrongKey);
    }
    // On its own machine's port, too: this is what its root could send if the node let it.
    assert_eq!(
        bench.claim_with(1, own, &other, &nonce(1)).0,
        Verdict::WrongKey
    );
    // A key is good for its machine only, even on a port that has shown it.
    assert_eq!(bench.claim(1, (MachineId(6), 9, 0x12)).0, Verdict::WrongKey);
    for junk in [&[][..], b"futago\0", &[0xff; 40]] {
        let mut frame = vec![0xff; 12];
        frame.extend_from_slice(&[0x88, 0xb5]);
        frame.extend_from_slice(junk);
        let frame = Bytes::from(frame);
        bench
            .table
            .receive(bench.now, PortId(2), &frame, |target, _| {
                panic!("forwarded to {target:?}")
            });
    }
    let challenge = Word::Challenge { nonce: nonce(3) };
    let frame = Bytes::from(challenge.to_frame());
    let now = bench.now;
    bench.table.receive(now, PortId(2), &frame, |target, _| {
        panic!("forwarded to {target:?}")
    });
    assert_eq!(bench.table.counters.forged, 9);
    assert_eq!(bench.send(3, CLIENT, GUEST), [1], "nothing has changed");
    assert_eq!(bench.send(1, GUEST, CLIENT), [3], "nothing is fenced");
}

#[test]
fn nobody_takes_anothers_address() {
    let mut bench = Bench::new(4);
    bench.table.open(PortId(9), Kind::Uplink);
    bench.admitted(1, 4);
    assert_eq!(bench.claim(2, (MachineId(6), 1, 0x12)).0, Verdict::Admitted);
    // A plain port cannot take a machine's; a machine neither another's nor any other one.
    assert_eq!(bench.send(3, GUEST, 0xff), NOBODY);
    assert_eq!(bench.send(2, GUEST, 0xff), NOBODY);
    assert_eq!(bench.send(2, 0x44, 0xff), NOBODY);
    assert_eq!(bench.send(9, GUEST, 0xff), NOBODY);
    let verdict = bench.claim(3, (MachineId(7), 1, GUEST)).0;
    assert_eq!(verdict, Verdict::AddressTaken);
    // Nor has a plain port what another one was heard with, unless it is the way out.
    assert_eq!(bench.send(3, CLIENT, 0xff), [1, 2, 4]);
    assert_eq!(bench.send(4, CLIENT, 0xff), NOBODY);
    assert_eq!(bench.send(1, GUEST, CLIENT), [3]);
    assert_eq!(bench.send(9, CLIENT, 0xff), [1, 2, 3, 4]);
    assert_eq!(bench.send(1, GUEST, CLIENT), [9]);
    assert_eq!(bench.send(4, 0x01, 0xff), NOBODY, "a group says nothing");
    assert_eq!(bench.table.counters.foreign, 6);
    // A machine's claim takes its address from whoever was heard with it.
    assert_eq!(
        bench.claim(4, (MachineId(8), 1, CLIENT)).0,
        Verdict::Admitted
    );
    assert_eq!(bench.send(1, GUEST, CLIENT), [4]);
}

#[test]
fn a_machine_hears_only_what_is_its_own() {
    let mut bench = Bench::new(3);
    bench.admitted(1, 4);
    assert_eq!(bench.claim(2, (MachineId(6), 1, 0x12)).0, Verdict::Admitted);
    assert_eq!(bench.send(3, CLIENT, 0x44), NOBODY, "an unknown station's");
    assert_eq!(bench.send(3, CLIENT, 0x12), [2]);
    assert_eq!(bench.send(3, CLIENT, 0xff), [1, 2]);
    bench.close(1);
    assert_eq!(bench.send(3, CLIENT, GUEST), NOBODY, "nobody speaks for it");
    assert_eq!(bench.table.counters.unheard, 1);
}

#[test]
fn the_successor_is_told_again_what_its_predecessor_took_with_it() {
    let mut bench = Bench::new(4);
    assert!(bench.admitted(1, 4).is_empty());
    bench.send(3, 0x30, GUEST);
    bench.now += Duration::from_secs(2);
    bench.send(3, CLIENT, GUEST);
    bench.send(3, CLIENT, 0xfe);
    assert!(
        bench.admitted(1, 5).is_empty(),
        "the same port has heard it"
    );
    bench.close(1);
    bench.send(3, 0x22, GUEST);
    let (verdict, again) = bench.claim(2, (MACHINE, 4, GUEST));
    assert_eq!(
        (verdict, again),
        (Verdict::OlderEpoch, vec![]),
        "hears nothing"
    );
    assert_eq!(
        bench.admitted(2, 6),
        [CLIENT, 0x22],
        "what is recent, in order"
    );
    assert_eq!(
        bench.admitted(4, 7),
        [CLIENT, 0x22],
        "the next one, too: nobody has answered"
    );
}

#[test]
fn machines_are_bounded_and_no_fence_is_forgotten_while_it_may_be_needed() {
    let mut bench = Bench::new(0);
    let open = |bench: &mut Bench, number: u64| {
        bench
            .table
            .open(PortId(number), Kind::Station(nonce(number)));
        let mac = u8::try_from(number * 2).unwrap();
        bench.claim(number, (MachineId(number.into()), 7, mac)).0
    };
    let most = MACHINES_MAX as u64;
    for number in 1..=most {
        assert_eq!(open(&mut bench, number), Verdict::Admitted);
    }
    assert_eq!(open(&mut bench, most + 1), Verdict::NoRoom);
    bench.close(3);
    bench.now += MACHINE_AGE_MAX - Duration::from_secs(1);
    assert_eq!(
        open(&mut bench, most + 1),
        Verdict::NoRoom,
        "it may come back"
    );
    let (verdict, _) = bench.claim(most + 1, (MachineId(3), 6, 6));
    assert_eq!(verdict, Verdict::OlderEpoch, "its fence stands");
    bench.close(most + 1);
    bench.now += MACHINE_AGE_MAX;
    assert_eq!(
        open(&mut bench, most + 1),
        Verdict::Admitted,
        "an old one made room"
    );
    assert_eq!(
        open(&mut bench, most + 2),
        Verdict::NoRoom,
        "open ones never do"
    );
}

#[test]
fn a_silent_machines_address_can_be_anothers_one_day() {
    let mut bench = Bench::new(3);
    bench.admitted(1, 4);
    bench.close(1);
    let renamed = (MachineId(6), 1, GUEST);
    assert_eq!(bench.claim(2, renamed).0, Verdict::AddressTaken);
    bench.now += ADDRESS_AGE_MAX;
    assert_eq!(bench.claim(2, renamed).0, Verdict::Admitted);
    assert_eq!(bench.claim(3, (MACHINE, 5, GUEST)).0, Verdict::AddressTaken);
}

#[test]
fn a_storm_of_one_port_is_bounded_and_stops_nobody_else() {
    const ALL: u8 = 0xff;
    let mut bench = Bench::new(3);
    let heard = |bench: &mut Bench, count| {
        let heard = (0..count).filter(|_| bench.send(1, CLIENT, ALL) == [2, 3]);
        heard.count() as u64
    };
    assert_eq!(heard(&mut bench, 5_000), STORM_FRAMES);
    assert_eq!(bench.table.counters.stormed, 5_000 - STORM_FRAMES);
    // What nobody is known for is for all, too; what is for one of them is not.
    assert_eq!(bench.send(1, CLIENT, 0x44), NOBODY);
    assert_eq!(bench.send(2, GUEST, ALL), [1, 3]);
    assert_eq!(bench.send(1, CLIENT, GUEST), [2]);
    bench.now += Duration::from_millis(100);
    assert_eq!(heard(&mut bench, 5_000), STORM_FRAMES / 10);
    bench.close(1);
    assert!(bench.table.storms.keys().all(|port| port.0 != 1));
}

#[test]
fn the_way_out_serves_one_who_keeps_it() {
    const OUT: u8 = 0x50;
    const UPLINK: u64 = 9;
    let mut bench = Bench::new(4);
    bench.table.open(PortId(UPLINK), Kind::Uplink);
    let served = |bench: &Bench| Vec::from_iter(bench.table.served().map(|address| address.0[0]));
    bench.send(UPLINK, OUT, 0xff);
    // The first to speak has it: to all, to somebody unknown, or to what is behind it.
    assert_eq!(bench.send(3, CLIENT, 0xff), [1, 2, 4, UPLINK]);
    assert_eq!(bench.send(4, 0x22, 0xff), [1, 2, 3]);
    assert_eq!(bench.send(4, 0x22, 0x66), [1, 2, 3]);
    assert_eq!(bench.send(4, 0x22, OUT), NOBODY);
    assert_eq!(bench.table.counters.uplink_taken, 3);
    assert_eq!(served(&bench), [CLIENT]);
    // A machine, which has proven itself, takes it from a plain port, and nobody from a machine.
    bench.admitted(1, 4);
    assert_eq!(bench.claim(2, (MachineId(6), 1, 0x12)).0, Verdict::Admitted);
    assert_eq!(bench.send(1, GUEST, OUT), [UPLINK]);
    assert_eq!(bench.send(3, CLIENT, OUT), NOBODY);
    assert_eq!(bench.send(2, 0x12, OUT), NOBODY);
    assert_eq!(served(&bench), [GUEST]);
    bench.now += ADDRESS_AGE_MAX * 2;
    bench.send(UPLINK, OUT, 0xff);
    assert_eq!(bench.send(2, 0x12, OUT), NOBODY, "it is only silent");
    // Its next owner has it as before, however long its last said nothing.
    bench.close(1);
    bench.send(3, CLIENT, 0xff);
    assert_eq!(bench.send(2, 0x12, OUT), NOBODY);
    bench.table.open(PortId(1), Kind::Station(nonce(1)));
    bench.admitted(1, 5);
    assert_eq!(bench.send(1, GUEST, OUT), [UPLINK]);
    // passt is started anew, and serves the same.
    bench.close(UPLINK);
    bench.table.open(PortId(UPLINK), Kind::Uplink);
    bench.send(UPLINK, OUT, 0xff);
    assert_eq!(bench.send(2, 0x12, OUT), NOBODY);
    assert_eq!(bench.send(1, GUEST, OUT), [UPLINK]);
    // A machine that is gone for so long leaves it.
    bench.close(1);
    bench.now += ADDRESS_AGE_MAX;
    bench.send(UPLINK, OUT, 0xff);
    assert_eq!(bench.send(2, 0x12, OUT), [UPLINK]);
    assert_eq!(served(&bench), [0x12]);
}

#[test]
fn a_machine_is_served_before_there_is_an_uplink_and_before_it_says_a_word() {
    let mut bench = Bench::new(3);
    bench.send(3, CLIENT, 0xff);
    bench.admitted(1, 4);
    bench.table.open(PortId(9), Kind::Uplink);
    let served = Vec::from_iter(bench.table.served());
    assert_eq!(served, [MacAddress([GUEST; 6])]);
    assert_eq!(bench.send(3, CLIENT, 0xff), [1, 2]);
}

#[test]
fn a_plain_port_that_is_gone_or_silent_leaves_the_way_out() {
    let mut bench = Bench::new(4);
    bench.table.open(PortId(9), Kind::Uplink);
    assert_eq!(bench.send(1, GUEST, 0xff), [2, 3, 4, 9]);
    assert_eq!(bench.send(2, CLIENT, 0xff), [1, 3, 4]);
    bench.close(1);
    assert_eq!(bench.table.served().count(), 0);
    assert_eq!(bench.send(2, CLIENT, 0xff), [3, 4, 9]);
    bench.now += ADDRESS_AGE_MAX;
    assert_eq!(bench.send(3, 0x22, 0xff), [2, 4, 9]);
    assert_eq!(bench.send(2, CLIENT, 0xff), [3, 4]);
}
