//! What can be asked of a node, and what it answers, by whatever transport.

use crate::status::NodeStatus;
use serde::{Deserialize, Serialize};

/// What can be asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Its view of itself.
    Status,
    /// Its guest's console.
    Console,
    /// To leave, and end; not if the machine's only state would end with it.
    Stop,
    /// To end all the same.
    GiveUp,
    /// To switch the machine off.
    PowerOff,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Set when the request was taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    /// To `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
