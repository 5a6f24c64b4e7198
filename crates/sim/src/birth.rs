//! How a cluster begins.

use crate::arbiter::Arbiter;
use crate::checker::Checker;
use crate::cluster::Cluster;
use crate::computer::Kind;
use crate::counts::Counts;
use crate::engines::Bugs;
use crate::faults::Faults;
use crate::flow::Flows;
use crate::happening::Happening;
use crate::joiners::Joiners;
use crate::link::Link;
use crate::links::CHANNEL_TICK;
use crate::network::{HOSTS, Network};
use crate::options::Options;
use crate::people::{Errand, People};
use crate::queue::Queue;
use crate::random::Random;
use crate::switch::Switch;
use crate::world::Clients;
use std::collections::{BTreeMap, BTreeSet};

const CLIENTS: u8 = 2;

impl Cluster {
    /// A cluster of machines of this kind that `seed` determines. With `config` the protocol can be told to break a
    /// rule.
    pub(crate) fn new(seed: u64, options: &Options, link: Option<Link>) -> Self {
        let config = options.config.clone();
        let mut random = Random::new(seed);
        let network = Network::new(random.fork());
        let arbiter = Arbiter::new(random.fork());
        let faults = Faults::new(random.fork());
        let bugs = match options.machine {
            Kind::Toy => Bugs::default(),
            Kind::Real(_) => Bugs::draw(random.fork(), options.engine),
        };
        let switch = Switch::new(random.fork(), &config);
        let people = People::new(random.fork(), &config);
        let mut cluster = Self {
            queue: Queue::new(),
            random,
            requested: machine::RequestId(0),
            processes: Vec::new(),
            network,
            arbiter,
            switch,
            people,
            clients: Clients::new(CLIENTS),
            checker: Checker::default(),
            joiners: Joiners::default(),
            faults,
            channels: BTreeMap::new(),
            generations: 0,
            timers: BTreeMap::new(),
            desks: BTreeMap::new(),
            given_up: None,
            ended: BTreeSet::new(),
            cold_start: false,
            is_fresh: false,
            swaps_in_flight: BTreeMap::new(),
            counts: Counts::default(),
            config,
            kind: options.machine.clone(),
            busy: 0,
            bugs,
            link,
            flows: Flows::default(),
            gives_up: false,
            power_off_at: None,
            transcript: options.transcript.then(String::new),
        };
        match link {
            None => {
                cluster.vary();
                cluster.vary_people();
                // Who is silent for long may lose its address, and weeks are long.
                if !options.week {
                    cluster.vary_neighbours();
                }
            }
            Some(link) => cluster.only(link),
        }
        let (times, bounds) = (&cluster.config.times, &cluster.config.bounds);
        let chosen = format!("{times:?}, {bounds:?}, {:?}", cluster.network);
        cluster.note(|| chosen);
        let many_start = link.is_none() && cluster.random.chance(300);
        for host in 0..HOSTS {
            cluster.start_process(host, host == 0 || many_start);
        }
        cluster.queue.after(CHANNEL_TICK, Happening::Channels);
        cluster.queue.after(1_000, Happening::Clients);
        if link.is_none() {
            cluster.queue.after(400_000, Happening::Faults);
        }
        cluster
    }

    /// In some simulations, people make mistakes; in some, there are some who should not be there.
    pub(crate) fn vary_people(&mut self) {
        self.people.err = self.people.random.chance(300);
        if self.people.err {
            self.errand(300_000, Errand::Something);
        }
        self.vary_intruders();
    }
}
