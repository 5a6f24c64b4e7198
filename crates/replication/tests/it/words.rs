//! Actions in words, for transcripts. What repeats itself and says nothing is left out.

use replication::{
    Action, ArbiterOperation, ArbiterReply, HaltReason, Message, Mode, NodeId, Record, RoleStatus,
    Status,
};

pub(crate) fn node(id: NodeId) -> String {
    char::from_u32(id.0 as u32).unwrap_or('?').to_string()
}

pub(crate) fn record(record: Option<Record>) -> String {
    let Some(record) = record else {
        return "none".to_string();
    };
    let owner = node(record.owner);
    let epoch = record.epoch.0;
    match record.mode {
        Mode::Solo => format!("{epoch} SOLO({owner})"),
        Mode::Pair { backup } => format!("{epoch} PAIR({owner},{})", node(backup)),
        Mode::Down => format!("{epoch} DOWN"),
    }
}

pub(crate) fn reply(reply: &ArbiterReply) -> String {
    match reply {
        ArbiterReply::Current(now) => record(*now),
        ArbiterReply::Refused(now) => format!("refused, the record is {}", record(*now)),
        ArbiterReply::Unavailable => "no answer".to_string(),
    }
}

pub(crate) fn action(id: NodeId, action: &Action) -> Option<String> {
    let me = node(id);
    Some(match action {
        Action::Explain { why } => format!("{me}: ({why})"),
        Action::Refuse { peer, why } => format!("{me}: refuses {}: {why}", node(*peer)),
        Action::Send { to, message } => format!("{me} -> {}: {}", node(*to), said(message)?),
        Action::Arbiter { operation, .. } => match operation {
            ArbiterOperation::Prepare { .. } => return None,
            ArbiterOperation::Read => format!("{me}: reads the record"),
            ArbiterOperation::Swap { expected, new } => format!(
                "{me}: swaps {} for {}",
                record(*expected),
                record(Some(*new))
            ),
        },
        Action::Run { epoch } => format!("{me}: RUNS in epoch {}", epoch.0),
        Action::StandAside { record: seen } => {
            format!("{me}: STANDS ASIDE for {}", record(Some(*seen)))
        }
        Action::Release { up_to, epoch } => format!(
            "{me}: RELEASES outputs up to {} in epoch {}",
            up_to.0, epoch.0
        ),
        Action::TakeSnapshot { .. } => format!("{me}: takes a snapshot"),
        Action::SendState { to, .. } => format!("{me}: sends its state to {}", node(*to)),
        Action::AbandonTransfer { .. } => format!("{me}: abandons the transfer"),
        Action::ReceiveState { from, next, .. } => format!(
            "{me}: receives the state of {}, and the log from {}",
            node(*from),
            next.0
        ),
        Action::Replay { first, entries } => format!(
            "{me}: replays {}..{}",
            first.0,
            first.0 + entries.len() as u64 - 1
        ),
        Action::Forget { up_to } => format!("{me}: forgets outputs up to {}", up_to.0),
        Action::GoLive { epoch, next } => {
            format!(
                "{me}: GOES LIVE in epoch {}, next entry {}",
                epoch.0, next.0
            )
        }
        Action::Throttle { brake } => format!("{me}: brakes {brake}/1000"),
        Action::Halt { reason } => format!("{me}: HALTS: {}", halted(reason)),
    })
}

fn halted(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OtherStore { shown, claimed } => format!(
            "the store shows {}, a peer has seen {}",
            record(*shown),
            record(Some(*claimed))
        ),
        HaltReason::Lost { record: seen } => format!("lost to {}", record(Some(*seen))),
        other => format!("{other:?}"),
    }
}

fn said(message: &Message) -> Option<String> {
    Some(match message {
        Message::Join { attempt, .. } => format!("may I join? ({attempt})"),
        Message::Later { why, wait, .. } => format!("not for {wait}: {why}"),
        Message::TransferStart { epoch, from, .. } => {
            format!(
                "my state follows, the log from {} (epoch {})",
                from.0, epoch.0
            )
        }
        Message::Append {
            first,
            entries,
            urgent,
            released,
            ..
        } => format!(
            "entries {}..{}{}, outputs have left up to {}",
            first.0,
            first.0 + entries.len() as u64 - 1,
            if *urgent { ", urgent" } else { "" },
            released.0
        ),
        Message::Acknowledge {
            held,
            replayed,
            ready,
            beyond,
            room,
            ..
        } => format!(
            "I hold {}, replayed {}{}{}{}",
            held.0,
            replayed.0,
            if *ready { ", ready" } else { "" },
            if room.bytes == 0 || room.entries == 0 {
                ", full"
            } else {
                ""
            },
            match beyond.last() {
                Some((_, last)) => format!(", but have heard of {}", last.0),
                None => String::new(),
            }
        ),
        Message::Heartbeat { .. } | Message::Known { .. } => return None,
        Message::Diverged { .. } => "I have diverged".to_string(),
        Message::Leave { reason, .. } => format!("leave: {reason:?}"),
    })
}

pub(crate) fn status(id: NodeId, status: &Status) -> String {
    let role = match &status.role {
        RoleStatus::Halted(_) => return format!("{}: halted", node(id)),
        role => role,
    };
    format!(
        "{}: {:?}, epoch {}, flag {:?}, peer {}, last {}, acknowledged {}, replayed {}, released {}, holds {} outputs{}{}{}",
        node(id),
        role,
        status.epoch.0,
        status.flag,
        status.peer.map_or_else(|| "none".to_string(), node),
        status.last.0,
        status.acknowledged.0,
        status.replayed.0,
        status.released.0,
        status.outputs_held,
        if status.outputs_gated { ", gated" } else { "" },
        if status.suspects {
            ", suspects its peer"
        } else {
            ""
        },
        if status.arbiter_reachable {
            ""
        } else {
            ", arbiter unreachable"
        },
    )
}
