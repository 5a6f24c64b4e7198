//! Whose the way out is. What is behind an uplink (passt) serves one guest, and takes whoever spoke to it last for that guest: so
//! only one may speak to it.

use super::addresses::ADDRESS_AGE_MAX;
use replication::{MachineId, PortId, Rights};
use std::collections::BTreeSet;
use std::time::Instant;

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

    /// Whether what `from` says may go to `target`; to uplinks, only from whom they serve. The first who speaks to them is
    /// served until it has been silent for [`ADDRESS_AGE_MAX`]; a machine as long as it has a port, too, and instead of a plain
    /// port: it has proven itself.
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
        if self.is_uplink(from) {
            return false;
        }
        let station = match rights.speaks_for(from) {
            Some((machine, _)) => Station::Machine(machine),
            None => Station::Port(from),
        };
        let has_port = |machine| {
            let known = rights.known(machine);
            known.is_some_and(|known| rights.is_open(known.spoken_by))
        };
        let is_free = self.served.is_none_or(|(served, at)| {
            let is_aged = now.duration_since(at) >= ADDRESS_AGE_MAX;
            match served {
                _ if served == station => true,
                Station::Machine(machine) => is_aged && !has_port(machine),
                Station::Port(_) => is_aged || matches!(station, Station::Machine(_)),
            }
        });
        if is_free {
            self.served = Some((station, now));
        }
        is_free
    }
}
