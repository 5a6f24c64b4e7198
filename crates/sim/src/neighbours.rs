//! Those who share the switch with the machine.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::network::ProcessIndex;
use crate::switch::{OTHER_PORTS, broken, port_of};

impl Cluster {
    /// In some simulations, the machine has neighbours at the switch.
    pub(crate) fn vary_neighbours(&mut self) {
        if self.switch.random.chance(250) {
            let ports = OTHER_PORTS.into_iter().chain([self.switch.hostile_port]);
            ports.for_each(|port| self.switch.open(port));
            self.queue.after(1_000, Happening::Neighbours);
        }
    }

    /// One of the neighbours does something.
    pub(crate) fn tick_neighbours(&mut self) -> Result<(), Broken> {
        let now = self.now();
        self.switch.other_acts(now)?;
        self.counts.forgeries += 1;
        self.switch.hostile_acts(now)?;
        let pause = self.switch.random.between(2_000, 30_000);
        self.queue.after(pause, Happening::Neighbours);
        Ok(())
    }

    /// The process that hears what is said to the machine, if there is one.
    pub(crate) fn behind_switch(&mut self) -> Result<Option<ProcessIndex>, Broken> {
        let Some(port) = self.switch.speaker() else {
            return Ok(None);
        };
        let process = (0..self.processes.len()).find(|&index| port_of(index) == port);
        if process.is_none() {
            broken(format!("what is for the machine goes to {port:?}"))?;
        }
        Ok(process)
    }
}
