//! What went nowhere at a switch, in words.

use super::table::SwitchCounters;

/// All that was counted, but for what went well; `port` is the one whose frames most often found no room.
pub(super) fn in_words(counters: &SwitchCounters, port: u64) -> String {
    let SwitchCounters {
        forwarded: _,
        fenced,
        overflowed,
        stormed,
        uplink_taken,
        foreign,
        forged,
        claims_refused,
        unheard,
        addresses_displaced,
        turned_away,
        accept_failures,
    } = *counters;
    let most = format!("frames that found another port full, most of them port {port}'s");
    let counted = [
        (fenced, "frames of nodes that are no longer the machine"),
        (overflowed, most.as_str()),
        (
            stormed,
            "frames to all, from ports that say too much to all",
        ),
        (uplink_taken, "frames for the way out, which serves another"),
        (foreign, "frames from addresses that are not their port's"),
        (forged, "claims without a proof"),
        (claims_refused, "claims that were refused"),
        (
            unheard,
            "frames for a machine that no node spoke for just then",
        ),
        (
            addresses_displaced,
            "addresses, for others of the same port",
        ),
        (turned_away, "connections beyond the number of ports"),
        (
            accept_failures,
            "connections that this host had no room for",
        ),
    ];
    let words: Vec<_> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_lost_is_said() {
        let mut counters = SwitchCounters {
            forwarded: 9,
            ..SwitchCounters::default()
        };
        assert_eq!(in_words(&counters, 1), "");
        (counters.overflowed, counters.turned_away) = (3, 1);
        assert_eq!(
            in_words(&counters, 7),
            "3 frames that found another port full, most of them port 7's; 1 connections beyond the number of ports"
        );
    }
}
