//! Whole clusters under random faults, then healed: nothing told is ever lost, and the machine is whole again. A
//! small forerunner of the simulator, to keep this crate honest by itself.

use crate::observer::{PAUSES_MAX, PAUSES_WINDOW};
use crate::random::Random;
use crate::world::{Fault, World, connected};
use replication::{Config, Duration, Flag, Local, MachineId, Mode, NodeId, RoleStatus};

const SEEDS: u64 = 400;
const STEPS: u64 = 60;

struct Cluster<'a> {
    world: World,
    random: Random,
    nodes: u64,
    adjust: &'a dyn Fn(&mut Config),
}

impl<'a> Cluster<'a> {
    fn new(seed: u64, adjust: &'a dyn Fn(&mut Config)) -> Self {
        let mut world = World::new();
        world.chaos = Some(Random(seed ^ 0xc0de));
        let mut cluster = Self {
            world,
            random: Random(seed),
            nodes: 0,
            adjust,
        };
        let first = cluster.add();
        cluster.world.local(first, Local::Start);
        cluster.world.run(20_000);
        cluster.join();
        cluster
    }

    fn add(&mut self) -> NodeId {
        self.nodes += 1;
        let id = NodeId(u128::from(self.nodes));
        let mut config = Config::new(MachineId(1), id, self.random.below(u64::MAX));
        config.bounds.window_entries_max = 64;
        config.times.rejoin_max = Duration::from_s(1);
        config.times.pauses_max = Duration::from_us(PAUSES_MAX);
        config.times.pauses_window = Duration::from_us(PAUSES_WINDOW);
        (self.adjust)(&mut config);
        let peers = self.world.living();
        self.world.add_configured(config);
        for peer in peers {
            self.connect(id, peer);
        }
        id
    }

    fn join(&mut self) {
        let id = self.add();
        self.world.local(id, Local::Join);
    }

    fn connect(&mut self, a: NodeId, b: NodeId) {
        self.world.local(a, connected(b));
        self.world.local(b, connected(a));
    }

    fn is_running(&self, id: NodeId) -> bool {
        self.world.core(id).status().role == RoleStatus::Primary
    }

    fn is_backup(&self, id: NodeId) -> bool {
        let role = self.world.core(id).status().role;
        matches!(role, RoleStatus::Backup | RoleStatus::TakingOver)
    }

    /// Each guest does some work, unless it brakes.
    fn work(&mut self) {
        for id in self.world.living() {
            let brake = self.world.core(id).status().brake;
            // A hart hears of its brake late, now and then.
            let late = self.random.below(20) == 0;
            let free = late || self.random.below(1000) >= u64::from(brake);
            let awake = !self.world.is_paused(id) && !self.world.is_off(id);
            if self.is_running(id) && awake && free {
                let count = 1 + self.random.below(4);
                let marks = (0..count as u32).filter(|_| self.random.below(3) == 0);
                let marks = marks.collect();
                self.world.append(id, count as usize, marks);
            }
        }
    }

    fn step(&mut self) {
        let living = self.world.living();
        let one = self.random.pick(&living);
        let other = self.random.pick(&living);
        let (Some(a), Some(b)) = (one, other) else {
            return;
        };
        match self.random.below(40) {
            0 => self.world.kill(a),
            1..3 => self.world.pause(a),
            3..7 => self.world.resume(a),
            7..9 => self.world.cut(a, b),
            9..14 => self.world.heal(a, b),
            14 => self.world.arbiter(true),
            15..19 => self.world.arbiter(false),
            19..22 => self.world.fault(Fault::LostReply),
            22..24 => self.world.fault(Fault::Late),
            24..27 => self.world.late_effect(),
            27 => {
                self.world.stuck.insert(a);
            }
            28..31 => self.unstick(a),
            31 => self.world.damage_state = !self.world.damage_state,
            32 if a != b => {
                self.world.local(a, Local::Disconnected { peer: b });
                self.world.local(b, Local::Disconnected { peer: a });
            }
            33..35 if a != b => self.connect(a, b),
            35 if self.is_backup(a) => {
                self.world.observer.diverges(a);
                self.world.local(a, Local::Diverged);
            }
            36..40 if living.len() < 3 => self.join(),
            _ => {}
        }
        for _ in 0..self.random.below(5) {
            self.work();
            let us = self.random.below(30_000);
            self.world.run(us);
        }
    }

    /// Now and then the guest switches itself off in the middle of it all.
    fn maybe_power_off(&mut self) {
        let living = self.world.living();
        let owner = living.into_iter().find(|id| self.is_running(*id));
        if let Some(owner) = owner.filter(|id| !self.world.is_paused(*id))
            && self.random.below(10) == 0
        {
            self.world.power_off(owner);
            for _ in 0..STEPS / 4 {
                self.step();
            }
        }
    }

    fn unstick(&mut self, id: NodeId) {
        if self.world.stuck.remove(&id) && !self.is_running(id) {
            self.world.unstick(id);
        }
    }

    /// Everything works again, if slowly in one of three clusters, where the store takes longer than its clients wait; and a fresh node is there: whoever owns the machine must end protected.
    fn heal(&mut self) {
        self.world.arbiter(false);
        self.world.fault(Fault::None);
        self.world.late_effect();
        self.world.damage_state = false;
        self.world.chaos = None;
        let slow = self.random.below(3) == 0;
        if slow {
            self.world.arbiter = 2_300_000;
        }
        for a in self.world.living() {
            self.world.resume(a);
            self.unstick(a);
            for b in self.world.living() {
                self.world.heal(a, b);
            }
        }
        for _ in 0..2 {
            self.join();
            let living = self.world.living();
            for a in &living {
                for b in living.iter().filter(|b| *b > a) {
                    self.connect(*a, *b);
                }
            }
            self.world.run(if slow { 60_000_000 } else { 10_000_000 });
        }
    }

    /// An operator gives the machine up, whatever still lives: it hears of it by itself, and ends.
    fn recover(&mut self) {
        self.world.recover();
        self.world.run(20_000_000);
        for id in self.world.living() {
            assert!(!self.is_running(id), "{id:?} runs on after a recovery");
            assert!(!self.is_backup(id), "{id:?} follows on after a recovery");
        }
    }

    /// True if the machine lives on; false if all that could be it have died.
    fn check_whole(&mut self) -> bool {
        let record = self.world.record().expect("the first start succeeded");
        let living = self.world.living();
        if record.mode == Mode::Down {
            let running = living.iter().filter(|id| self.is_running(**id));
            assert_eq!(running.count(), 0, "the machine is off");
            return true;
        }
        if !living.contains(&record.owner) {
            let heir = record.backup().filter(|backup| living.contains(backup));
            assert_eq!(
                heir, None,
                "the backup in {record:?} lives, and did not take over"
            );
            return false;
        }
        let status = self.world.core(record.owner).status();
        assert_eq!(status.flag, Flag::Pair, "{record:?}: {status:?}");
        let Mode::Pair { backup } = record.mode else {
            panic!("the owner says pair, the record {record:?}");
        };
        assert!(living.contains(&backup));
        let owners = living.iter().filter(|id| self.is_running(**id));
        assert_eq!(owners.count(), 1, "one machine");
        self.world.append(record.owner, 1, vec![0]);
        self.world.run(100_000);
        let status = self.world.core(record.owner).status();
        assert_eq!(status.released, status.last, "{status:?}");
        true
    }
}

/// Runs one seed; returns whether the machine lived to the end, and how often a backup took over.
pub(crate) fn run(seed: u64, adjust: &dyn Fn(&mut Config)) -> (bool, u64) {
    let mut cluster = Cluster::new(seed, adjust);
    for _ in 0..STEPS {
        cluster.step();
    }
    cluster.maybe_power_off();
    cluster.heal();
    let lived = cluster.check_whole();
    if cluster.random.below(4) == 0 {
        cluster.recover();
    }
    (lived, cluster.world.observer.takeovers)
}

#[test]
fn nothing_told_is_lost_and_what_can_live_lives() {
    let (mut lived, mut takeovers) = (0, 0);
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| run(seed, &|_| {}));
        let (alive, took) = result.unwrap_or_else(|_| panic!("seed {seed} failed, see above"));
        lived += u64::from(alive);
        takeovers += took;
    }
    assert!(
        lived > SEEDS / 4,
        "only {lived} of {SEEDS} lived: too many faults to judge by"
    );
    assert!(
        takeovers > SEEDS / 4,
        "only {takeovers} takeovers in {SEEDS} seeds"
    );
}

/// Bounds so small that every one of them is reached.
fn cramp(config: &mut Config) {
    config.bounds.window_entries_max = 4;
    config.bounds.append_bytes_max = 16;
    config.bounds.unreplayed_bytes_max = 64;
    config.bounds.unreplayed_entries_max = 8;
    config.bounds.held_marks_max = 4;
    config.bounds.candidates_max = 1;
    config.bounds.pair_unacknowledged_max = 2;
    config.bounds.pair_unreplayed_max = 4;
}

#[test]
fn the_same_when_every_bound_is_reached() {
    for seed in 0..SEEDS / 4 {
        let result = std::panic::catch_unwind(|| run(seed, &cramp));
        result.unwrap_or_else(|_| panic!("seed {seed} failed, see above"));
    }
}
