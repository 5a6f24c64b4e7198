//! Whose the way out is. What is behind an uplink (passt) serves one guest, and takes whoever spoke to it last for that guest: so
//! only one may speak to it.

use replication::{ADDRESS_AGE_MAX, Instant, MachineId, PortId, Rights};
use std::collections::BTreeSet;

/// Who may be served: a machine, on whichever port it is spoken for, or a plain port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    Machine(MachineId),
    Port(PortId),
}

/// The uplinks, and whom they serve.
#[derive(Debug, Default)]
pub(super) struct WayOut {
    uplinks: BTreeSet<PortId>,
    /// Who is served, and when he was heard last.
    served: Option<(Station, Instant)>,
}

impl WayOut {
    pub(super) fn open(&mut self, uplink: PortId) {
        self.uplinks.insert(uplink);
    }

    /// A port was closed: an uplink, or a plain one.
    pub(super) fn close(&mut self, port: PortId) {
        self.uplinks.remove(&port);
        self.served
            .take_if(|(served, _)| *served == Station::Port(port));
    }

    pub(super) fn is_uplink(&self, port: PortId) -> bool {
        self.uplinks.contains(&port)
    }

    /// Whom the uplinks serve.
    pub(super) fn served(&self) -> Option<Station> {
        self.served.map(|(served, _)| served)
    }

    /// Whether what `from` says may go to `target`; to uplinks, only from whom they serve.
    pub(super) fn passes<T: Default>(
        &mut self,
        now: Instant,
        from: PortId,
        target: PortId,
        rights: &Rights<T>,
    ) -> bool {
        if !self.is_uplink(target) {
            return true;
        }
        let station = match rights.speaks_for(from) {
            Some((machine, _)) => Station::Machine(machine),
            None => Station::Port(from),
        };
        !self.is_uplink(from) && self.serves(now, station, rights)
    }

    /// Whether `station`, which says something, is served. The first to speak is, until a machine comes instead of a plain port, which has proven
    /// itself, or it is silent: a plain port if it said nothing for [`ADDRESS_AGE_MAX`], a machine if it had no port for so long.
    pub(super) fn serves<T: Default>(
        &mut self,
        now: Instant,
        station: Station,
        rights: &Rights<T>,
    ) -> bool {
        let is_free = self.served.is_none_or(|(served, at)| match served {
            _ if served == station => true,
            Station::Machine(machine) => rights.is_gone(now, machine),
            Station::Port(_) => {
                let is_silent = now.since(at) >= ADDRESS_AGE_MAX;
                is_silent || matches!(station, Station::Machine(_))
            }
        });
        if is_free {
            self.served = Some((station, now));
        }
        is_free
    }
}
