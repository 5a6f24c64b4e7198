//! The clients, which increment the counter and believe what they are told.

use crate::toy::{Reply, Request};
use std::collections::{BTreeMap, BTreeSet};

/// How long a client waits before it repeats its request, in microseconds.
pub(crate) const RETRANSMIT_AFTER: u64 = 40_000;

#[derive(Debug)]
struct Client {
    /// The operation that waits for its reply.
    operation: u64,
    /// Values at or below this were known to somebody before the operation was sent.
    floor: u64,
    sent_at: Option<u64>,
}

/// All clients, and what they were told.
#[derive(Debug)]
pub(crate) struct Clients {
    clients: Vec<Client>,
    told: BTreeMap<(u8, u64), u64>,
    values: BTreeSet<u64>,
    highest: u64,
    /// Operations answered by machines that were given up.
    answered_before: u64,
    /// For each client, the last operation that it sent to such a machine.
    given_up: Vec<u64>,
}

impl Clients {
    /// `count` clients, each about to send its first operation.
    pub(crate) fn new(count: u8) -> Self {
        let clients = (0..count)
            .map(|_| Client {
                operation: 1,
                floor: 0,
                sent_at: None,
            })
            .collect();
        Self {
            clients,
            told: BTreeMap::new(),
            values: BTreeSet::new(),
            highest: 0,
            answered_before: 0,
            given_up: vec![0; usize::from(count)],
        }
    }

    /// Operations answered so far.
    pub(crate) fn completed(&self) -> u64 {
        self.answered_before + self.told.len() as u64
    }

    /// The machine starts anew, and knows nothing of what was: nor do the clients, but that they never repeat a number.
    pub(crate) fn begin_anew(&mut self) {
        self.answered_before += self.told.len() as u64;
        self.told.clear();
        self.values.clear();
        self.highest = 0;
        for (client, given_up) in self.clients.iter_mut().zip(&mut self.given_up) {
            *given_up = client.operation;
            client.operation += 1;
            client.floor = 0;
            client.sent_at = None;
        }
    }

    /// Requests to send now: new ones, and repeated ones that waited long enough.
    pub(crate) fn requests(&mut self, now: u64) -> Vec<Request> {
        let highest = self.highest;
        let mut due = Vec::new();
        for (number, client) in (0..).zip(&mut self.clients) {
            if client
                .sent_at
                .is_none_or(|sent| now >= sent + RETRANSMIT_AFTER)
            {
                if client.sent_at.is_none() {
                    client.floor = highest;
                }
                client.sent_at = Some(now);
                due.push(Request {
                    client: number,
                    operation: client.operation,
                });
            }
        }
        due
    }

    /// A reply reaches its client. The sentence says how it breaks the story of one machine.
    pub(crate) fn hear(&mut self, reply: Reply) -> Result<(), String> {
        let Reply {
            client: number,
            operation,
            value,
        } = reply;
        let client = self
            .clients
            .get_mut(usize::from(number))
            .ok_or("a reply to nobody")?;
        if operation <= self.given_up[usize::from(number)] {
            // Said by a machine that has ended since.
            return Ok(());
        }
        if let Some(&told) = self.told.get(&(number, operation)) {
            if told != value {
                return Err(format!(
                    "client {number} was told {told} and then {value} for operation {operation}"
                ));
            }
            return Ok(());
        }
        if operation != client.operation {
            return Err(format!(
                "client {number} got a reply to operation {operation}, which it never sent"
            ));
        }
        if value <= client.floor {
            return Err(format!(
                "client {number} was told {value}, although {} was told before it asked",
                client.floor
            ));
        }
        if !self.values.insert(value) {
            return Err(format!(
                "the value {value} was given twice, at last to client {number}"
            ));
        }
        self.told.insert((number, operation), value);
        self.highest = self.highest.max(value);
        client.operation += 1;
        client.sent_at = None;
        Ok(())
    }

    /// After the last reply: no increment may be lost or counted twice.
    pub(crate) fn check_sum(&self) -> Result<(), String> {
        // Operations that wait for their reply may or may not be counted already.
        let waiting = self.clients.len() as u64;
        let answered = self.told.len() as u64;
        if self.highest > answered + waiting {
            return Err(format!(
                "the counter reached {} with {} operations answered",
                self.highest, answered
            ));
        }
        Ok(())
    }
}
