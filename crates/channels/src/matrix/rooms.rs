//! What the bot knows of its rooms: who is there by name, and whether a room is a talk of two.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::client::CallError;
use super::event::{Event, Joined};
use super::{Client, Identity};
use crate::SendError;

/// How many rooms are remembered; beyond, all are forgotten and asked for again when somebody writes.
const MAX_ROOMS: usize = 1_000;

/// How much of a list of members is read, in bytes. A longer one is not of two people.
const MAX_MEMBERS: usize = 16 << 10;

/// What is known without asking.
#[derive(Default)]
pub(super) struct Rooms {
    /// Rooms that the bot's account itself calls direct.
    direct: HashSet<String>,
    /// Whether nobody is there, or is invited, but the bot and one person.
    of_two: HashMap<String, bool>,
}

impl Rooms {
    /// Asks which rooms the bot's account calls direct.
    pub(super) async fn load(client: &Client, me: &Identity) -> Result<Rooms, SendError> {
        let path = ["_matrix", "client", "v3", "user", &me.user_id, "account_data", "m.direct"];
        let mut rooms = Rooms::default();
        match client.get::<Value>(&path).await {
            Ok(content) => rooms.set_direct(&content),
            Err(CallError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(rooms)
    }

    /// Learns from an event of the account's own data.
    pub(super) fn learn(&mut self, event: &Event) {
        if event.kind == "m.direct" {
            self.set_direct(&event.content);
        }
    }

    fn set_direct(&mut self, content: &Value) {
        let lists = content.as_object().into_iter().flat_map(serde_json::Map::values).filter_map(Value::as_array);
        self.direct = lists.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    }

    /// Forgets what may have changed in a room by what a sync tells of it.
    pub(super) fn refresh(&mut self, room: &str, joined: &Joined) {
        let has_new_members = joined.timeline.events.iter().any(|event| event.kind == "m.room.member");
        let summary = &joined.summary;
        if has_new_members || joined.timeline.limited || summary.joined.is_some() || summary.invited.is_some() {
            self.of_two.remove(room);
        }
    }

    pub(super) fn forget(&mut self, room: &str) {
        self.of_two.remove(room);
    }

    /// Whether what is written there is written to the bot.
    pub(super) async fn is_direct(&mut self, client: &Client, room: &str) -> Result<bool, SendError> {
        if self.direct.contains(room) {
            return Ok(true);
        }
        if let Some(of_two) = self.of_two.get(room) {
            return Ok(*of_two);
        }
        let of_two = is_of_two(client, room).await?;
        if self.of_two.len() >= MAX_ROOMS {
            self.of_two.clear();
        }
        self.of_two.insert(room.to_owned(), of_two);
        Ok(of_two)
    }
}

async fn is_of_two(client: &Client, room: &str) -> Result<bool, SendError> {
    #[derive(Deserialize)]
    struct Members {
        joined: HashMap<String, serde::de::IgnoredAny>,
    }
    let url = client.url(&["_matrix", "client", "v3", "rooms", room, "joined_members"]);
    match client.body(client.request(reqwest::Method::GET, url), MAX_MEMBERS).await {
        Ok(Some(body)) => Ok(serde_json::from_slice(&body).is_ok_and(|members: Members| members.joined.len() <= 2)),
        Ok(None) => Ok(false),
        // The bot is not there any more: whatever it is, it is not a talk with it.
        Err(CallError::Refused { status: 403 | 404, .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What people are called in a room, as far as a sync tells.
pub(super) fn names(joined: &Joined) -> HashMap<String, String> {
    let events = joined.state.events.iter().chain(&joined.timeline.events);
    let members = events.filter(|event| event.kind == "m.room.member");
    members.filter_map(|event| Some((event.state_key.clone()?, event.text("/displayname")?.to_owned()))).collect()
}
