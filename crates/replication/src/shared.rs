//! What every role needs: configuration, the current instant, randomness, the queue of actions, and the one place
//! where a broken invariant stops the replica.

use crate::action::{Action, ArbiterOperation, HaltReason, RequestId};
use crate::config::{Config, Mutation};
use crate::message::Message;
use crate::testimony::Testimony;
use crate::time::{Duration, Instant};
use crate::types::{Epoch, HostId, Mode, NodeId, Nonce, Record, TransferId};
use std::collections::{BTreeMap, VecDeque};

/// The part of a core that outlives its roles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    /// Nodes to which a channel is open.
    pub(crate) connected: BTreeMap<NodeId, HostId>,
    /// Memory that this node has for a state, and that another needs for this node's.
    pub(crate) room_bytes: u64,
    pub(crate) needs_bytes: u64,
    /// Whether the last request to the arbiter was answered; true before the first.
    pub(crate) arbiter_reachable: bool,
    /// The record, as this node's store and its peers have shown it.
    pub(crate) testimony: Testimony,
    actions: VecDeque<Action>,
    random: u64,
    requests: u64,
    transfers: u64,
    halted: bool,
    attempted_takeover: bool,
    /// A record that is in force, and the one to SOLO that this node would write after it.
    prepared: Option<(Record, Record)>,
}

impl Shared {
    pub(crate) fn new(config: Config, now: Instant) -> Self {
        let folded = (config.node.0 ^ (config.node.0 >> 64)) as u64;
        Self {
            random: config.seed ^ folded.rotate_left(32),
            config,
            now,
            connected: BTreeMap::new(),
            room_bytes: u64::MAX,
            needs_bytes: 0,
            arbiter_reachable: true,
            testimony: Testimony::default(),
            actions: VecDeque::new(),
            requests: 0,
            transfers: 0,
            halted: false,
            attempted_takeover: false,
            prepared: None,
        }
    }

    /// Asks the node to do something.
    pub(crate) fn act(&mut self, action: Action) {
        self.invariant(!self.halted, "I9: a halted replica has no later effect");
        self.actions.push_back(action);
    }

    /// Tells the node which row of a table was taken.
    pub(crate) fn decide(&mut self, why: &'static str) {
        self.act(Action::Explain { why });
    }

    /// From here on this node acknowledges nothing, ever.
    pub(crate) fn attempt_takeover(&mut self) {
        self.attempted_takeover = true;
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.invariant(
            !self.attempted_takeover || !matches!(message, Message::Acknowledge { .. }),
            "I4: no acknowledgement after a takeover attempt",
        );
        self.act(Action::Send { to, message });
    }

    /// The name that the next request to the arbiter gets.
    pub(crate) fn next_request(&self) -> RequestId {
        RequestId(self.requests + 1)
    }

    pub(crate) fn ask_arbiter(&mut self, operation: ArbiterOperation) -> RequestId {
        let request = self.next_request();
        self.requests = request.0;
        self.act(Action::Arbiter { request, operation });
        request
    }

    /// A name for a transfer by the owner of `epoch`. No other owner ever gives it: a node that left one primary for
    /// another may still be restoring the first one's state, and must not take it for the second's. Nobody but its backup
    /// knows it: another node, a former backup among them, cannot acknowledge in its place.
    pub(crate) fn new_transfer(&mut self, epoch: Epoch) -> TransferId {
        self.transfers += 1;
        let order = (epoch.0 << 32 | self.transfers).to_le_bytes();
        let name = blake3::keyed_hash(&self.config.secret, &order);
        let token = name.as_bytes().first_chunk().copied().unwrap_or_default();
        TransferId(
            u128::from(u64::from_le_bytes(order)) << 64 | u128::from(u64::from_le_bytes(token)),
        )
    }

    /// How many actions wait.
    pub(crate) fn actions(&self) -> usize {
        self.actions.len()
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Says that this node stops. What a loser has not let out yet stays in.
    pub(crate) fn halt(&mut self, reason: HaltReason) {
        if matches!(reason, HaltReason::Lost { .. }) && !self.mutated(Mutation::ReleaseOnLoss) {
            self.actions
                .retain(|action| !matches!(action, Action::Release { .. }));
        }
        self.act(Action::Halt { reason });
        self.halted = true;
    }

    /// Lets the store have at hand what this node would write to go on alone after `record`: less is then left to do
    /// when each millisecond counts, and less that a full store could refuse.
    pub(crate) fn prepare(&mut self, record: Record) {
        if self.prepared.is_some_and(|(before, _)| before == record) {
            return;
        }
        let new = self.successor(Some(record), Mode::Solo);
        self.prepared = Some((record, new));
        self.ask_arbiter(ArbiterOperation::Prepare { new });
    }

    /// The record that this node wants after `before`.
    pub(crate) fn successor(&mut self, before: Option<Record>, mode: Mode) -> Record {
        if let Some((prepared_for, new)) = self.prepared
            && (Some(prepared_for), mode) == (before, new.mode)
        {
            return new;
        }
        let epoch = before.map(|record| record.epoch).unwrap_or_default();
        Record {
            machine: self.config.machine,
            epoch: match before {
                Some(_) if self.mutated(Mutation::ReuseEpoch) => epoch,
                _ => epoch.next(),
            },
            mode,
            owner: self.config.node,
            nonce: Nonce((u128::from(self.random()) << 64) | u128::from(self.random())),
        }
    }

    /// Whether a store that shows `record` says that `mine`, which it has shown before, is in force no more. Another record of
    /// the same epoch says so, too: a store that was set back, and recovered from there, gives its epochs anew.
    pub(crate) fn displaces(&self, record: &Record, mine: &Record) -> bool {
        let later = match self.mutated(Mutation::IgnoreSameEpoch) {
            true => record.epoch > mine.epoch,
            false => record.epoch >= mine.epoch,
        };
        record.machine == mine.machine && later && record != mine
    }

    /// The pause before the arbiter is asked for the `tries`th time again: doubled each time, half of it jitter.
    pub(crate) fn backoff(&mut self, tries: u32) -> Duration {
        let times = &self.config.times;
        let some = Duration::from_us(1);
        let most = times.backoff_max.max(some);
        let half = (times.backoff_min.max(some) * (1 << tries.min(16))).min(most) / 2;
        half + Duration::from_us(self.random() % (half.us() + 1))
    }

    /// A time that is `mean` on average, and up to a half less or more.
    pub(crate) fn jittered(&mut self, mean: Duration) -> Duration {
        mean / 2 + Duration::from_us(self.random() % mean.us().max(1))
    }

    /// SplitMix64: enough for jitter, and for nonces that need only be different.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether this core is broken on purpose in this way.
    pub(crate) fn mutated(&self, mutation: Mutation) -> bool {
        self.config.mutated(mutation)
    }

    /// Stops the replica when an invariant of ARCHITECTURE.md does not hold.
    #[track_caller]
    pub(crate) fn invariant(&self, holds: bool, what: &str) {
        #[cfg(feature = "mutations")]
        let holds = holds || self.config.mutation.is_some();
        assert!(holds, "invariant broken: {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::MachineId;

    #[test]
    fn owners_never_give_the_same_name_to_their_transfers() {
        let mut owners =
            [1, 2].map(|node| Shared::new(Config::new(MachineId(1), NodeId(node), 0), Instant(0)));
        let [first, second] = &mut owners;
        let names = [
            first.new_transfer(Epoch(1)),
            first.new_transfer(Epoch(1)),
            second.new_transfer(Epoch(3)),
            first.new_transfer(Epoch(5)),
        ];
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        let [name, other] = [[1; 32], [2; 32]].map(|secret| {
            let mut config = Config::new(MachineId(1), NodeId(1), 0);
            config.secret = secret;
            Shared::new(config, Instant(0)).new_transfer(Epoch(1))
        });
        assert_eq!(name.0 >> 64, other.0 >> 64);
        assert_ne!(
            name.0 as u64, other.0 as u64,
            "only who has the secret can name it"
        );
    }
}
