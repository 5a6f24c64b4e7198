//! What goes wrong in a simulation, and when. Faults are as cruel as the failure model allows, with one
//! mercy: the last process that holds the machine's state is not killed, for nothing could go on without it.

use crate::network::ProcessIndex;
use crate::random::Random;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill,
    Pause,
    Suspend,
    SuspendAll,
    CutOneWay,
    CutBothWays,
    Weather,
    ArbiterGone,
    ArbiterTrouble,
    Store,
    CorruptBackup,
    TearChannel,
    Dismiss,
    /// Of both hosts, at about the same time: all are told to leave.
    Shutdown,
}

const FAULTS: [Fault; 18] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::Pause,
    Fault::Suspend,
    Fault::SuspendAll,
    Fault::CutOneWay,
    Fault::CutBothWays,
    Fault::Weather,
    Fault::ArbiterGone,
    Fault::ArbiterTrouble,
    Fault::Store,
    Fault::Store,
    Fault::CorruptBackup,
    Fault::TearChannel,
    Fault::Dismiss,
    Fault::Shutdown,
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Relief {
    Resume(ProcessIndex),
    Heal(ProcessIndex, ProcessIndex),
    Arbiter,
    Calm,
}

/// The source of faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) random: Option<Random>,
    pub(crate) reliefs: Vec<(u64, Relief)>,
    /// The kinds of faults that strike in this simulation: a few kinds reach places that all together do not.
    pub(crate) kinds: Vec<Fault>,
}

impl Faults {
    /// Faults chosen by `random`.
    pub(crate) fn new(mut random: Random) -> Self {
        let few = random.chance(500);
        let mut kinds = FAULTS.to_vec();
        if few {
            kinds.retain(|_| random.chance(500));
            kinds.push(Fault::Kill);
        }
        Self {
            random: Some(random),
            reliefs: Vec::new(),
            kinds,
        }
    }

    /// No more faults.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}
