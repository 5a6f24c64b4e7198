//! Those at the ports of a switch, who open, close, claim and say anything. Fuzz targets and tests run it on any bytes; it
//! panics where a promise of the switch is broken.

use super::secret::SwitchSecret;
use super::table::{ADDRESSES_PER_PORT_MAX, Kind, SwitchCounters, Table};
use super::word::{Nonce, Word, is_reserved};
use bytes::Bytes;
use replication::{
    ADDRESS_AGE_MAX, Address, Claim, Epoch, MACHINES_MAX, MachineId, NodeId, PortId, Verdict,
    is_group,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Ports that are open at a time, at most.
const PORTS_MAX: usize = 8;
const SECRET: [u8; 32] = [7; 32];
/// Shorter than a machine is remembered that nobody speaks for.
const LASTS_MAX: Duration = Duration::from_secs(23 * 3600);

/// A port, as those at it know it.
struct Port {
    nonce: Option<Nonce>,
    /// What was proven: the newest epoch.
    spoken: Option<(MachineId, Epoch)>,
}

/// Whom an uplink may serve.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Station {
    Machine(MachineId),
    Port(PortId),
}

struct Siege {
    table: Table,
    secret: SwitchSecret,
    begun: Instant,
    now: Instant,
    ports: BTreeMap<PortId, Port>,
    opened: u64,
    newest: BTreeMap<MachineId, Epoch>,
    /// The claims that were admitted last, and where.
    speakers: BTreeMap<MachineId, (PortId, Claim)>,
    /// Machines without a port, and since when.
    silent_since: BTreeMap<MachineId, Instant>,
    /// Who said something to an uplink last, and when.
    served: Option<(Station, Instant)>,
    /// Whose machine's an address is.
    owners: BTreeMap<Address, MachineId>,
}

/// Does what `data` spells; returns what the switch counted. `watch` is told around each frame whether what was before it
/// counts.
///
/// # Panics
/// If a promise is broken: that is what it looks for.
pub fn run(data: &[u8], watch: &mut dyn FnMut(bool)) -> SwitchCounters {
    let secret = SwitchSecret::from_bytes(SECRET);
    let table = Table::new(&secret);
    // Not before the table's time begins.
    let begun = Instant::now();
    let mut siege = Siege {
        table,
        secret,
        begun,
        now: begun,
        ports: BTreeMap::new(),
        opened: 0,
        newest: BTreeMap::new(),
        speakers: BTreeMap::new(),
        owners: BTreeMap::new(),
        served: None,
        silent_since: BTreeMap::new(),
    };
    let mut data = data;
    while let Some((what, rest)) = data.split_first() {
        let len = rest.len().min(8);
        let (deed, rest) = rest.split_at(len);
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(deed);
        let frame = siege.act(*what, bytes, rest);
        if let Some((port, frame)) = frame {
            let mut sent = Vec::new();
            let now = siege.now;
            watch(false);
            siege.table.receive(now, port, &frame, |to, frame| {
                sent.push((to, frame.clone()));
            });
            watch(true);
            siege.judge(port, &frame, &sent);
        }
        // What a frame takes of what follows is a deed, too.
        data = rest;
    }
    siege.table.counters
}

impl Siege {
    /// Does one deed, or returns the frame that is said, and where.
    fn act(&mut self, what: u8, bytes: [u8; 8], rest: &[u8]) -> Option<(PortId, Bytes)> {
        let [a, b, c, d, e, f, ..] = bytes;
        let count = self.ports.len().max(1);
        let port = self.ports.keys().nth(usize::from(a) % count).copied();
        match what % 16 {
            0 | 1 if self.ports.len() < PORTS_MAX => self.open(a.is_multiple_of(16)),
            2 => {
                let port = port?;
                self.close(port);
            }
            3 => {
                let step = match b % 4 {
                    0 => Duration::from_secs(u64::from(c) * 30),
                    _ => Duration::from_millis(u64::from(c)),
                };
                self.now = (self.now + step).min(self.begun + LASTS_MAX);
            }
            4..=8 => {
                let claim = Claim {
                    machine: MachineId(u128::from(b) % (MACHINES_MAX as u128 + 8)),
                    epoch: Epoch(match c % 16 {
                        15 => u64::MAX - u64::from(d),
                        _ => u64::from(c % 16),
                    }),
                    address: station(d),
                    node: NodeId(u128::from(f % 3)),
                };
                let nonce = self.ports.get(&port?)?.nonce.unwrap_or_default();
                let key = match e % 8 {
                    0 => self.secret.machine_key(MachineId(u128::from(f))),
                    _ => self.secret.machine_key(claim.machine),
                };
                let proof = key.prove(&nonce, &claim);
                let mut frame = Word::Claim { claim, proof }.to_frame();
                if e.is_multiple_of(5) {
                    // It says something else than was proven, or nothing that can be read.
                    let at = 14 + usize::from(f) % (frame.len() - 14);
                    frame[at] ^= 1 << (e % 8);
                }
                return Some((port?, Bytes::from(frame)));
            }
            9 => return Some((port?, Bytes::copy_from_slice(&rest[..rest.len().min(64)]))),
            _ => {
                let mut frame = vec![b; 14 + usize::from(e) * if f < 8 { 250 } else { 1 }];
                frame[..6].copy_from_slice(&match c % 8 {
                    0 => [0xff; 6],
                    1 => [1, 0, 0x5e, 0, 0, c],
                    _ => station(c),
                });
                frame[6..12].copy_from_slice(&station(d));
                frame[12..14].copy_from_slice(&[8, 0]);
                return Some((port?, Bytes::from(frame)));
            }
        }
        None
    }

    fn close(&mut self, port: PortId) {
        self.table.close(self.now, port);
        let closed = self.ports.remove(&port).and_then(|port| port.spoken);
        let Some((machine, _)) = closed else {
            return;
        };
        let others = self.ports.values().filter_map(|port| port.spoken);
        if !others.into_iter().any(|(other, _)| other == machine) {
            self.silent_since.insert(machine, self.now);
        }
    }

    fn open(&mut self, uplink: bool) {
        self.opened += 1;
        let id = PortId(self.opened);
        let nonce = (!uplink).then(|| u128::from(self.opened).to_le_bytes());
        self.table
            .open(id, nonce.map_or(Kind::Uplink, Kind::Station));
        let spoken = None;
        self.ports.insert(id, Port { nonce, spoken });
    }

    fn is_fenced(&self, port: PortId) -> bool {
        let spoken = self.ports.get(&port).and_then(|port| port.spoken);
        spoken.is_some_and(|(machine, epoch)| self.newest.get(&machine) > Some(&epoch))
    }

    /// Compares what the switch did with a frame with what it may do.
    fn judge(&mut self, from: PortId, frame: &Bytes, sent: &[(PortId, Bytes)]) {
        if let Ok(word) = Word::from_frame(frame) {
            assert_eq!(
                Word::from_frame(&word.to_frame()),
                Ok(word),
                "it says the same"
            );
        }
        if is_reserved(frame) {
            self.judge_word(from, frame, sent);
        } else {
            self.judge_frame(from, frame, sent);
        }
        let addresses = self.table.addresses().count();
        assert!(addresses <= PORTS_MAX * ADDRESSES_PER_PORT_MAX + MACHINES_MAX);
    }

    fn judge_frame(&mut self, from: PortId, frame: &Bytes, sent: &[(PortId, Bytes)]) {
        if sent.is_empty() {
            return;
        }
        let address = |at: usize| -> Address { frame[at..at + 6].try_into().expect("six bytes") };
        let (to, source) = (address(0), address(6));
        let machine_of = |id: PortId| {
            let port = self.ports.get(&id).expect("it is open");
            port.spoken.map(|(machine, _)| machine)
        };
        assert!(!self.is_fenced(from), "an older epoch speaks (I5)");
        assert_eq!(
            self.owners.get(&source).copied(),
            machine_of(from),
            "somebody speaks from an address that is not his own"
        );
        for (target, said) in sent {
            assert!(said == frame && *target != from);
            assert!(!self.is_fenced(*target), "an older epoch hears (I5)");
            let machine = machine_of(*target);
            assert!(
                is_group(to) || machine == self.owners.get(&to).copied(),
                "somebody hears what is for another"
            );
        }
        let is_uplink = |id: &PortId| self.ports[id].nonce.is_none();
        if sent.iter().any(|(target, _)| is_uplink(target)) {
            let station = machine_of(from).map_or(Station::Port(from), Station::Machine);
            self.judge_way_out(station);
        }
    }

    /// `station` has said something to an uplink: that may not take it from somebody who still needs it.
    fn judge_way_out(&mut self, station: Station) {
        let before = self.served;
        assert!(
            self.takes_way_out(station),
            "{station:?} takes the way out from {before:?}"
        );
    }

    /// `station` speaks: whether it is served from now on, or was.
    fn takes_way_out(&mut self, station: Station) -> bool {
        let is_silent = |since| {
            let silent = self.now.duration_since(since);
            silent >= Duration::from_micros(ADDRESS_AGE_MAX.us())
        };
        let is_free = self.served.is_none_or(|(served, at)| match served {
            _ if served == station => true,
            Station::Machine(machine) => {
                let closed_at = self.silent_since.get(&machine);
                closed_at.is_some_and(|at| is_silent(*at))
            }
            Station::Port(port) => {
                let is_machine = matches!(station, Station::Machine(_));
                is_silent(at) || is_machine || !self.ports.contains_key(&port)
            }
        });
        if is_free {
            self.served = Some((station, self.now));
        }
        is_free
    }

    fn judge_word(&mut self, from: PortId, frame: &Bytes, sent: &[(PortId, Bytes)]) {
        let (sent, told): (Vec<_>, Vec<_>) =
            (sent.iter().cloned()).partition(|(target, _)| *target == from);
        let Ok(Word::Claim { claim, proof }) = Word::from_frame(frame) else {
            assert!(sent.is_empty() && told.is_empty(), "it is answered");
            return;
        };
        let [(_, answer), again @ ..] = sent.as_slice() else {
            panic!("a claim is answered");
        };
        let Ok(Word::Answer { epoch, verdict }) = Word::from_frame(answer) else {
            panic!("the answer can be read");
        };
        assert_eq!(epoch, claim.epoch);
        assert!(again.iter().all(|(_, frame)| !is_reserved(frame)));
        assert!(
            told.is_empty() || verdict == Verdict::Admitted,
            "others are told"
        );
        let open: BTreeSet<_> = self.ports.keys().copied().collect();
        let port = self
            .ports
            .get_mut(&from)
            .expect("it was open when it spoke");
        let key = self.secret.machine_key(claim.machine);
        let proven = port
            .nonce
            .is_some_and(|nonce| key.prove(&nonce, &claim) == proof);
        let is_others = (port.spoken).is_some_and(|(machine, _)| machine != claim.machine);
        assert_eq!(
            verdict == Verdict::WrongKey,
            !proven || is_others,
            "rights come from a proof, and from nothing else"
        );
        match verdict {
            Verdict::Admitted => {
                let before = self.speakers.insert(claim.machine, (from, claim));
                let other = before.filter(|(at, _)| *at != from && open.contains(at));
                assert!(
                    other.is_none_or(|(_, it)| it.epoch != claim.epoch || it.node == claim.node),
                    "two nodes are admitted in one epoch"
                );
                let newest = self.newest.insert(claim.machine, claim.epoch);
                assert!(
                    newest <= Some(claim.epoch),
                    "an older epoch is admitted (I5)"
                );
                self.owners.retain(|_, machine| *machine != claim.machine);
                self.owners.insert(claim.address, claim.machine);
            }
            Verdict::OlderEpoch => {
                assert!(self.newest.get(&claim.machine) > Some(&claim.epoch));
            }
            Verdict::EpochTaken => {
                let held = self.speakers.get(&claim.machine);
                let held = held.filter(|(at, _)| *at != from && open.contains(at));
                let held =
                    held.is_some_and(|(_, it)| it.epoch == claim.epoch && it.node != claim.node);
                return assert!(held && again.is_empty(), "nobody has that epoch");
            }
            Verdict::WrongKey | Verdict::AddressTaken | Verdict::NoRoom => {
                return assert!(again.is_empty(), "{verdict:?}, and told all the same");
            }
        }
        let before = port.spoken.map_or(claim.epoch, |(_, epoch)| epoch);
        port.spoken = Some((claim.machine, claim.epoch.max(before)));
        self.silent_since.remove(&claim.machine);
        if verdict == Verdict::Admitted {
            self.judge_told(claim.machine, &told);
            // That is heard, whether or not there is an uplink.
            self.takes_way_out(Station::Machine(claim.machine));
        }
    }

    /// Those, and only those, whose epoch is over are told so.
    fn judge_told(&self, machine: MachineId, told: &[(PortId, Bytes)]) {
        let fenced = self.ports.iter().filter_map(|(id, port)| {
            let (_, epoch) = port.spoken.filter(|(of, _)| *of == machine)?;
            let verdict = Verdict::OlderEpoch;
            self.is_fenced(*id)
                .then_some((*id, Ok(Word::Answer { epoch, verdict })))
        });
        let told = told
            .iter()
            .map(|(target, frame)| (*target, Word::from_frame(frame)));
        assert!(
            told.eq(fenced),
            "who speaks for an epoch that is over is told"
        );
    }
}

/// One of few stations.
fn station(number: u8) -> Address {
    [2, 0, 0, 0, number >> 7, number % 24]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator would find nothing if it did not get past the first claim.
    #[test]
    fn a_siege_gets_everywhere() {
        let mut stream = blake3::Hasher::new().finalize_xof();
        let mut all = SwitchCounters::default();
        for _ in 0..300 {
            let mut data = [0; 4096];
            stream.fill(&mut data);
            let counters = run(&data, &mut |_| {});
            all.forwarded += counters.forwarded;
            all.fenced += counters.fenced;
            all.foreign += counters.foreign;
            all.forged += counters.forged;
            all.claims_refused += counters.claims_refused;
            all.unheard += counters.unheard;
            all.uplink_taken += counters.uplink_taken;
        }
        let each = [
            all.forwarded,
            all.fenced,
            all.foreign,
            all.forged,
            all.claims_refused,
            all.unheard,
            all.uplink_taken,
        ];
        assert!(each.iter().all(|count| *count > 100), "{all:?}");
    }
}
