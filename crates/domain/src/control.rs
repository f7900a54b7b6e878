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
    /// `/queue [mode] [debounce:2s] [cap:5] [drop:old]`
    Queue { change: QueueChange },
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
