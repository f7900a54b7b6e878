//! What a sync brings, as far as it is read: <https://spec.matrix.org/v1.11/client-server-api/#syncing>

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Batch {
    pub(super) next_batch: String,
    #[serde(default)]
    pub(super) rooms: Rooms,
    #[serde(default)]
    pub(super) account_data: Events,
}

impl Batch {
    /// Whether nothing has happened.
    pub(super) fn is_empty(&self) -> bool {
        let Rooms { join, invite, leave } = &self.rooms;
        join.is_empty() && invite.is_empty() && leave.is_empty() && self.account_data.events.is_empty()
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Rooms {
    #[serde(default)]
    pub(super) join: HashMap<String, Joined>,
    #[serde(default)]
    pub(super) invite: HashMap<String, Invitation>,
    /// Rooms that the bot left or was removed from.
    #[serde(default)]
    pub(super) leave: HashMap<String, serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
pub(super) struct Joined {
    #[serde(default)]
    pub(super) summary: Summary,
    #[serde(default)]
    pub(super) state: Events,
    #[serde(default)]
    pub(super) timeline: Timeline,
}

/// Only what has changed.
#[derive(Default, Deserialize)]
pub(super) struct Summary {
    #[serde(rename = "m.joined_member_count")]
    pub(super) joined: Option<u64>,
    #[serde(rename = "m.invited_member_count")]
    pub(super) invited: Option<u64>,
}

#[derive(Default, Deserialize)]
pub(super) struct Timeline {
    #[serde(default)]
    pub(super) events: Vec<Event>,
    /// There are older events since the last sync, up to `prev_batch`.
    #[serde(default)]
    pub(super) limited: bool,
    pub(super) prev_batch: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Events {
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

#[derive(Default, Deserialize)]
pub(super) struct Invitation {
    #[serde(default)]
    pub(super) invite_state: Events,
}

/// A page of a room's past.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) chunk: Vec<Event>,
    /// Where the next page begins; `None` at the end.
    pub(super) end: Option<String>,
}

/// An event of any kind. People's clients write the content, so it is looked at field by field.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) event_id: String,
    #[serde(default)]
    pub(super) sender: String,
    pub(super) state_key: Option<String>,
    /// In milliseconds since 1970.
    #[serde(default)]
    pub(super) origin_server_ts: Value,
    #[serde(default)]
    pub(super) content: Value,
    #[serde(default)]
    pub(super) unsigned: Value,
}

impl Event {
    /// A text of the content by its path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.content.pointer(path).and_then(Value::as_str)
    }

    /// Whether it tells of the membership of `user`.
    pub(super) fn is_membership_of(&self, user: &str) -> bool {
        self.kind == "m.room.member" && self.state_key.as_deref() == Some(user)
    }

    /// Whether with it `user` came to be invited or joined; a new name or picture is none of it.
    pub(super) fn lets_in(&self, user: &str) -> bool {
        let before = self.unsigned.pointer("/prev_content/membership").and_then(Value::as_str);
        self.is_membership_of(user)
            && matches!(self.text("/membership"), Some("invite" | "join"))
            && before != Some("join")
    }
}
