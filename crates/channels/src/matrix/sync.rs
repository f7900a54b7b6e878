//! The long poll: what was said since the last one, and invitations.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use domain::{Access, AccessPolicy, Address, ChatKind, Sender, Timestamp};
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::CallError;
use super::errands::{Errand, Errands, What};
use super::event::{Batch, Event, Invitation, Joined, Page};
use super::message::{self, Kind, Place};
use super::rooms::{self, Rooms};
use super::{Client, Identity};
use crate::held::{self, Ended, Hold};
use crate::{Received, SendError};

/// How long the homeserver waits for something to happen.
const POLL: Duration = Duration::from_secs(30);

/// How much later than that its answer may come.
const GRACE: Duration = Duration::from_secs(30);

/// The most events of a room that come with a sync; older ones since the last are asked for by the page.
const TIMELINE: u32 = 50;

/// The most encrypted rooms whose people are remembered to have been told.
const MAX_TOLD: usize = 200;

/// The kinds of events that are asked for.
const KINDS: [&str; 4] = ["m.room.message", "m.room.encrypted", "m.room.member", "m.sticker"];

/// A place that has moved although nothing has happened there, as it does on a busy homeserver, is noted this often.
const NOTE_IDLE_EVERY: Duration = Duration::from_secs(10 * 60);

/// What becomes of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// The bot joins the room.
    Join,
    /// The bot declines, with a reason that the inviter sees.
    Decline(String),
}

/// Decides about an invitation by the room, as a talk of two or a group, and by who invites.
pub type InvitePolicy<'a> = dyn Fn(&Address, &Sender) -> Invited + Send + Sync + 'a;

/// Joins where the link's access rules would let the inviter write, or ask to be let in.
pub fn by_access(access: &AccessPolicy, room: &Address, inviter: &Sender) -> Invited {
    match access.check(room, inviter, "", true, false) {
        Access::Allow | Access::Pair => Invited::Join,
        Access::Ignore(_) => Invited::Decline("This bot's owner has not allowed you to write to it.".to_owned()),
    }
}

/// Why the connection does not go on.
struct Stop(Ended);

impl From<SendError> for Stop {
    fn from(error: SendError) -> Stop {
        Stop(match error {
            SendError::Unauthorised(detail) => Ended::Unauthorised(detail),
            error => Ended::Lost(error.to_string()),
        })
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Stop {
        SendError::from(error).into()
    }
}

/// Polls from `cursor` on until `stop`, or until it cannot go on.
///
/// Without a cursor, what was said before is not answered. Messages that [`Hold::accept`] took but whose cursor was not kept come again, under
/// the same ids.
pub async fn run(
    client: &Client,
    invited: &InvitePolicy<'_>,
    cursor: Option<Value>,
    hold: &dyn Hold,
    stop: CancellationToken,
) -> Ended {
    let started = tokio::select! {
        () = stop.cancelled() => return Ended::Stopped,
        started = Connection::start(client, invited, cursor, hold) => started,
    };
    let mut connection = match started {
        Ok(connection) => connection,
        Err(Stop(ended)) => return ended,
    };
    loop {
        let polled = tokio::select! {
            () = stop.cancelled() => return Ended::Stopped,
            polled = connection.poll() => polled,
        };
        let batch = match polled {
            Ok(batch) => batch,
            Err(Stop(ended)) => return ended,
        };
        match held::finish(connection.take(batch), &stop).await {
            Some(Ok(())) => {}
            Some(Err(Stop(ended))) => return ended,
            None => return Ended::Stopped,
        }
    }
}

/// Where another connection goes on.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// Whose place it is: that of another user, or on another homeserver, leads nowhere.
    user: String,
    homeserver: String,
    since: Option<String>,
    /// Encrypted rooms whose people were told that the bot cannot read.
    told: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    owed: Vec<Errand>,
}

struct Connection<'a> {
    client: &'a Client,
    me: Identity,
    invited: &'a InvitePolicy<'a>,
    hold: &'a dyn Hold,
    since: Option<String>,
    /// Encrypted rooms whose people were told that the bot cannot read, or will be.
    told: Vec<String>,
    errands: Errands<'a>,
    rooms: Rooms,
    /// Rooms that the bot joined and no sync has told of yet.
    joined: HashSet<String>,
    /// When the place was last noted.
    noted_at: Option<Instant>,
    is_connected: bool,
}

impl<'a> Connection<'a> {
    async fn start(
        client: &'a Client,
        invited: &'a InvitePolicy<'a>,
        cursor: Option<Value>,
        hold: &'a dyn Hold,
    ) -> Result<Connection<'a>, Stop> {
        let me = client.whoami().await?;
        let rooms = Rooms::load(client, &me).await?;
        let cursor = cursor.and_then(|cursor| serde_json::from_value::<Cursor>(cursor).ok());
        let is_mine = |it: &Cursor| it.user == me.user_id && it.homeserver == client.homeserver().as_str();
        let (since, told, owed) = cursor.filter(is_mine).map(|it| (it.since, it.told, it.owed)).unwrap_or_default();
        let (errands, joined) = (Errands::of(owed), HashSet::new());
        Ok(Connection {
            client,
            me,
            invited,
            hold,
            since,
            told,
            errands,
            rooms,
            joined,
            noted_at: None,
            is_connected: false,
        })
    }

    /// Notes where another connection goes on.
    fn note(&mut self) {
        self.noted_at = Some(Instant::now());
        self.hold.progress(json!(Cursor {
            user: self.me.user_id.clone(),
            homeserver: self.client.homeserver().to_string(),
            since: self.since.clone(),
            told: self.told.clone(),
            owed: self.errands.owed().to_vec(),
        }));
    }

    /// Waits for what has happened since the last time.
    async fn poll(&mut self) -> Result<Batch, Stop> {
        loop {
            // The first answer of a connection tells that it works, so it is not waited for.
            let wait = if self.is_connected { POLL } else { Duration::ZERO };
            let mut url = self.client.url(&["_matrix", "client", "v3", "sync"]);
            let filter = if self.since.is_some() { lean_filter() } else { first_filter() };
            url.query_pairs_mut()
                .append_pair("timeout", &wait.as_millis().to_string())
                .append_pair("set_presence", "offline")
                .append_pair("filter", &filter.to_string());
            if let Some(since) = &self.since {
                url.query_pairs_mut().append_pair("since", since);
            }
            let request = self.client.request(Method::GET, url).timeout(wait + GRACE);
            match self.listen(request).await {
                Ok(batch) => {
                    if !std::mem::replace(&mut self.is_connected, true) {
                        self.hold.connected();
                    }
                    return Ok(batch);
                }
                Err(CallError::Failed(SendError::RateLimited { retry_after })) => self.hold.pause(retry_after).await,
                // A place that the homeserver does not know, as after it was restored: begin where it is now.
                Err(CallError::Refused { status: 400, .. }) if self.since.is_some() => self.since = None,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the answer to a sync, and goes on errands meanwhile.
    async fn listen(&mut self, request: RequestBuilder) -> Result<Batch, CallError> {
        let (client, before) = (self.client, self.errands.owed().len());
        let mut answer = pin!(client.read::<Batch>(request));
        let batch = loop {
            tokio::select! {
                biased;
                tried = self.errands.tried(client) => self.joined.extend(tried.map_err(CallError::Failed)?),
                batch = &mut answer => break batch,
            }
        };
        if self.errands.owed().len() != before {
            self.noted_at = None;
        }
        batch
    }

    /// Takes in what a sync brought, and only then goes on from where it ended.
    async fn take(&mut self, batch: Batch) -> Result<(), Stop> {
        for event in &batch.account_data.events {
            self.rooms.learn(event);
        }
        for room in batch.rooms.leave.keys() {
            self.rooms.forget(room);
            self.errands.forget(room);
        }
        for (room, invitation) in &batch.rooms.invite {
            self.invited_to(room, invitation);
        }
        if let Some(since) = self.since.clone() {
            for (room, joined) in &batch.rooms.join {
                self.rooms.refresh(room, joined);
                self.take_room(room, joined, &since).await?;
            }
        }
        let is_idle = self.since.is_some() && batch.is_empty();
        self.since = Some(batch.next_batch);
        if !is_idle || self.noted_at.is_none_or(|at| at.elapsed() >= NOTE_IDLE_EVERY) {
            self.note();
        }
        Ok(())
    }

    async fn take_room(&mut self, room: &str, joined: &Joined, since: &str) -> Result<(), Stop> {
        let names = rooms::names(joined);
        let events = &joined.timeline.events;
        let entrance = events.iter().position(|event| event.lets_in(&self.me.user_id));
        let is_new = self.joined.remove(room) || self.errands.has_joined(room) || entrance.is_some();
        if let (true, false, Some(end)) = (joined.timeline.limited, is_new, &joined.timeline.prev_batch) {
            let mut from = since.to_owned();
            loop {
                let page = self.page(room, &from, end).await?;
                self.take_events(room, &page.chunk, &names).await?;
                match page.end {
                    Some(next) if next != from && !page.chunk.is_empty() => from = next,
                    _ => break,
                }
            }
        }
        // Of a new room, what was said before the bot was asked to it is others' talk.
        let first = entrance.map_or(0, |at| at + 1);
        self.take_events(room, &events[first..], &names).await
    }

    /// What was said after the last sync and is too old to come with this one, oldest first.
    async fn page(&self, room: &str, from: &str, to: &str) -> Result<Page, Stop> {
        let mut url = self.client.url(&["_matrix", "client", "v3", "rooms", room, "messages"]);
        url.query_pairs_mut()
            .append_pair("dir", "f")
            .append_pair("from", from)
            .append_pair("to", to)
            .append_pair("limit", "100")
            .append_pair("filter", &json!({ "types": KINDS }).to_string());
        match self.patiently(|| self.client.request(Method::GET, url.clone())).await {
            // The bot was there, and is not allowed to read it any more.
            Err(CallError::Refused { status: 403 | 404, .. }) => Ok(Page { chunk: vec![], end: None }),
            page => Ok(page?),
        }
    }

    /// Calls, and calls again after each pause that the homeserver asks for.
    async fn patiently<T, F>(&self, request: F) -> Result<T, CallError>
    where
        T: serde::de::DeserializeOwned,
        F: Fn() -> reqwest::RequestBuilder,
    {
        loop {
            match self.client.read(request()).await {
                Err(CallError::Failed(SendError::RateLimited { retry_after })) => tokio::time::sleep(retry_after).await,
                done => return done,
            }
        }
    }

    async fn take_events(&mut self, room: &str, events: &[Event], names: &HashMap<String, String>) -> Result<(), Stop> {
        let mut received = Vec::new();
        for event in events {
            match message::kind(event, &self.me) {
                Kind::Message => received.extend(self.read(room, event, names).await?),
                Kind::Encrypted => self.tell_encrypted(room),
                Kind::Ignored => {}
            }
        }
        if received.is_empty() {
            return Ok(());
        }
        self.hold.accept(received).await.map_err(|fenced| Stop(fenced.into()))
    }

    async fn read(
        &mut self,
        room: &str,
        event: &Event,
        names: &HashMap<String, String>,
    ) -> Result<Option<Received>, Stop> {
        let is_direct = self.rooms.is_direct(self.client, room).await?;
        let answered = match message::answered(event) {
            Some(id) => self.event(room, id).await?,
            None => None,
        };
        let place =
            Place { room, is_direct, sender_name: names.get(&event.sender).cloned(), answered: answered.as_ref() };
        let mut received = message::read(event, place, &self.me);
        if let Some(received) = &mut received {
            // A homeserver's clock may be anywhere, and some events have no time.
            let now = self.hold.now();
            if received.sent_at == Timestamp::from_millis(0) || received.sent_at > now {
                received.sent_at = now;
            }
        }
        Ok(received)
    }

    /// An event that another one names; `None` if the bot may not see it.
    async fn event(&self, room: &str, id: &str) -> Result<Option<Event>, Stop> {
        let url = self.client.url(&["_matrix", "client", "v3", "rooms", room, "event", id]);
        match self.patiently(|| self.client.request(Method::GET, url.clone())).await {
            Ok(event) => Ok(Some(event)),
            Err(CallError::Refused { status: 400 | 403 | 404, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn tell_encrypted(&mut self, room: &str) {
        if self.told.iter().any(|told| told == room) || !self.errands.add(room, What::TellEncrypted) {
            return;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.remove(0);
        }
        self.told.push(room.to_owned());
    }

    fn invited_to(&mut self, room: &str, invitation: &Invitation) {
        let events = &invitation.invite_state.events;
        let Some(invite) = events.iter().find(|event| event.is_membership_of(&self.me.user_id)) else {
            return;
        };
        let named = |event: &&Event| event.is_membership_of(&invite.sender);
        let sender = Sender {
            id: invite.sender.clone(),
            name: events.iter().find(named).and_then(|event| event.text("/displayname")).map(str::to_owned),
            username: Some(message::handle(&invite.sender).to_owned()),
        };
        let kind = if invite.content["is_direct"] == true { ChatKind::Direct } else { ChatKind::Group };
        let address = Address { kind, chat: room.to_owned(), thread: None, reply_to: None };
        let answer = match (self.invited)(&address, &sender) {
            Invited::Join => What::Join,
            Invited::Decline(reason) => What::Decline(reason),
        };
        if !self.errands.add(room, answer) {
            tracing::warn!(room, "An invitation is not answered: too many others wait.");
        }
    }
}

impl Client {
    /// Asks once whether the homeserver lets the bot listen, and for nothing of any room.
    ///
    /// # Errors
    ///
    /// As the homeserver refuses it.
    pub async fn try_sync(&self) -> Result<(), SendError> {
        let mut filter = first_filter();
        filter["room"]["rooms"] = json!([]);
        let mut url = self.url(&["_matrix", "client", "v3", "sync"]);
        url.query_pairs_mut()
            .append_pair("timeout", "0")
            .append_pair("set_presence", "offline")
            .append_pair("filter", &filter.to_string());
        self.read::<Value>(self.request(Method::GET, url)).await?;
        Ok(())
    }
}

/// Messages and who comes and goes; no presence, typing, receipts or state.
fn lean_filter() -> Value {
    let nothing = json!({ "types": [] });
    json!({
        "presence": nothing,
        "account_data": { "types": ["m.direct"] },
        "room": {
            "ephemeral": nothing,
            "account_data": nothing,
            "state": { "types": ["m.room.member"], "lazy_load_members": true, "include_redundant_members": true },
            "timeline": { "types": KINDS, "limit": TIMELINE, "lazy_load_members": true },
        },
    })
}

/// For the first sync, which is made for where it ends and for invitations.
fn first_filter() -> Value {
    let nothing = json!({ "types": [], "limit": 0 });
    json!({
        "presence": nothing,
        "account_data": nothing,
        "room": { "ephemeral": nothing, "account_data": nothing, "state": nothing, "timeline": nothing },
    })
}
