//! Commands that the engine itself obeys: a person types them to steer a conversation.

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::queueing::{QueueChange, parse_queue};

/// What a message asks the engine to do, instead of being answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Control {
    /// `/stop`: the turn under way ends within its step, and what waits before this is not answered.
    Stop,
    /// `/new [text]`: the same, and the conversation begins anew; the text is its first message.
    New { text: String },
    /// `/reset`
    Reset,
    /// `/compact [hint]`: the older part of the conversation is replaced by a summary.
    Compact { hint: String },
    /// `/approve CODE once|always|deny`: the answer to what a tool asked for.
    Approve { code: String, decision: Decision },
    /// `/queue [mode] [debounce:2s] [cap:5] [drop:old]`
    Queue { change: QueueChange },
}

/// What the owner says to a tool call that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// This call.
    Once,
    /// This call, and all of this tool in this session.
    Always,
    Deny,
}

impl Control {
    /// The control that a command is, if it is one of the engine's.
    pub fn of(command: &Command<'_>) -> Option<Control> {
        let rest = command.rest.to_owned();
        match command.name.as_str() {
            "stop" => Some(Control::Stop),
            "new" => Some(Control::New { text: rest }),
            "reset" => Some(Control::Reset),
            "compact" => Some(Control::Compact { hint: rest }),
            "queue" => Some(Control::Queue { change: parse_queue(command.rest) }),
            _ => None,
        }
    }

    /// Whether it ends the turn that is under way.
    pub fn stops(&self) -> bool {
        matches!(self, Control::Stop | Control::New { .. } | Control::Reset)
    }
}
