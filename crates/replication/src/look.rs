//! An owner's looks at the record, now and then, although nothing seems wrong: an operator may have decided otherwise
//! (`futago arbiter recover`), the store may show that this node is a zombie, or may be gone, which is better known
//! before it is needed.

use crate::action::{ArbiterReply, RequestId};
use crate::arbitration::{Answer, Inquiry};
use crate::config::Mutation;
use crate::shared::Shared;
use crate::time::Instant;

/// When to look next, or the look that waits for its answer.
#[derive(Debug)]
pub(crate) enum Look {
    Resting { until: Instant },
    Looking(Inquiry),
}

impl Look {
    /// Not before some time has passed.
    pub(crate) fn rest(shared: &mut Shared) -> Self {
        let until = next(shared);
        Self::Resting { until }
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Self::Resting { until } => *until,
            Self::Looking(inquiry) => inquiry.deadline(),
        }
    }

    pub(crate) fn timeout(&mut self, shared: &mut Shared) {
        match self {
            Self::Resting { until } if *until <= shared.now => {
                *self = Self::Looking(Inquiry::start(shared));
            }
            Self::Resting { .. } => {}
            Self::Looking(inquiry) => inquiry.timeout(shared),
        }
    }

    /// What the record says, if this is the answer to a look.
    pub(crate) fn reply(
        &mut self,
        shared: &mut Shared,
        request: RequestId,
        reply: ArbiterReply,
    ) -> Option<Answer> {
        let Self::Looking(inquiry) = self else {
            return None;
        };
        let answer = inquiry.reply(shared, request, reply)?;
        *self = Self::rest(shared);
        Some(answer)
    }
}

/// When a node that just looked, or has no reason to, looks next.
pub(crate) fn next(shared: &mut Shared) -> Instant {
    if shared.mutated(Mutation::NeverLook) {
        return Instant(u64::MAX);
    }
    let pause = shared.jittered(shared.config.times.look);
    shared.now.after(pause)
}
