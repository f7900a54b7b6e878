//! Waits for what a bot says to one message, by looking at the session's log and at the draft of the answer.
//!
//! The looks grow apart from a tenth of a second to a second, so that an answer of half a minute is waited for with some
//! forty queries. Who asks for a stream has the draft read, too, from a second on: turns write none before.

use std::time::Duration;

use axum::http::StatusCode;
use domain::turn::NO_REPLY;
use domain::{BotId, Entry, EntryBody, Inbound, MessageId, SessionKey, Timestamp, TurnId, Usage};
use runtime::Environment;
use tokio::time::{Instant, sleep};

use super::{SESSION_HEADER, final_problem, reply};
use crate::problem::Problem;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Nobody has written a draft before.
const DRAFT_AFTER: Duration = Duration::from_secs(1);
/// How many rows of the log one look reads.
const ROWS: i32 = 50;

/// What a look has found.
#[derive(Debug)]
pub(crate) enum Found {
    /// More of the answer.
    Text(String),
    /// The whole answer.
    End(Answered),
}

/// A bot's answer to one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    /// All that was said, also before tools were called.
    pub(crate) text: String,
    /// Of all model calls.
    pub(crate) usage: Usage,
    /// Where the log goes on.
    pub(crate) next_seq: u64,
}

/// Follows the answer to one message.
pub(crate) struct Follower {
    environment: Environment,
    bot: BotId,
    inbound: Inbound,
    until: Timestamp,
    started: Instant,
    pause: Duration,
    /// Drafts are wanted.
    live: bool,
    answer: Collected,
}

/// What the log says so far.
#[derive(Debug)]
struct Collected {
    message: MessageId,
    turn: Option<TurnId>,
    text: String,
    /// What was handed out of it.
    told: String,
    usage: Usage,
    next: u64,
}

impl Follower {
    /// Follows what comes of `inbound` in its session's log from `next` on. With `live` the text comes as it is written.
    pub(crate) fn new(environment: Environment, inbound: Inbound, next: u64, until: Timestamp, live: bool) -> Follower {
        let answer = Collected::new(inbound.message.clone(), next);
        let (bot, started) = (inbound.bot, Instant::now());
        Follower { environment, bot, inbound, until, started, pause: FIRST_PAUSE, live, answer }
    }

    /// The session that the answer is in.
    pub(crate) fn session(&self) -> &SessionKey {
        &self.inbound.session
    }

    /// Waits for the whole answer.
    pub(crate) async fn whole(mut self) -> Result<Answered, Problem> {
        loop {
            if let Found::End(answered) = self.next().await? {
                return Ok(answered);
            }
        }
    }

    /// Waits for more. After an error or the end there is nothing more to come.
    pub(crate) async fn next(&mut self) -> Result<Found, Problem> {
        loop {
            if let Some(found) = self.look().await? {
                return Ok(found);
            }
            let now = self.environment.clock.now();
            if now + self.pause >= self.until {
                return Err(self.too_long());
            }
            sleep(self.pause).await;
            self.pause = (self.pause + self.pause / 4).min(LONGEST_PAUSE);
        }
    }

    async fn look(&mut self) -> Result<Option<Found>, Problem> {
        let account = self.environment.store.account(self.inbound.account);
        let page = account.session_read(self.bot, &self.inbound.session, self.answer.next, ROWS).await?;
        self.answer.next = page.next;
        for entry in &page.entries {
            match self.answer.take(entry) {
                None => {}
                Some(Ok(())) => {
                    let Collected { text, usage, next, .. } = &self.answer;
                    return Ok(Some(Found::End(Answered { text: text.clone(), usage: *usage, next_seq: *next })));
                }
                Some(Err(failure)) => return Err(self.failed(&failure)),
            }
        }
        if !self.live {
            return Ok(None);
        }
        let mut draft = None;
        if self.started.elapsed() >= DRAFT_AFTER {
            let found = account.draft_get(self.bot, &self.inbound.session, self.environment.clock.now()).await?;
            // Before the turn's first commit only the time tells whose answer is being written.
            let is_ours = |draft: &store::Draft| match self.answer.turn {
                Some(turn) => draft.turn == turn,
                None => draft.asked_at >= self.inbound.received_at,
            };
            draft = found.filter(is_ours).map(|draft| draft.text);
        }
        Ok(self.answer.news(draft.as_deref()).map(Found::Text))
    }

    /// What is left of an answer to be handed out at its end.
    pub(crate) fn rest(&mut self) -> Option<String> {
        self.answer.rest()
    }

    fn too_long(&self) -> Problem {
        let detail = format!(
            "The answer takes longer than this request may wait. It is not lost: {}. Do not send the message again.",
            self.where_it_will_be()
        );
        self.ends_with(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail))
    }

    fn failed(&self, failure: &str) -> Problem {
        let detail = format!("The bot did not answer. {failure} The session is `{}`.", self.session());
        self.ends_with(Problem::new(StatusCode::BAD_GATEWAY, detail))
    }

    fn ends_with(&self, problem: Problem) -> Problem {
        match reply::value(self.session()) {
            Some(session) => final_problem(problem).with_header(SESSION_HEADER, session),
            None => final_problem(problem),
        }
    }

    fn where_it_will_be(&self) -> String {
        let session = url::form_urlencoded::byte_serialize(self.session().as_str().as_bytes()).collect::<String>();
        format!("it will be in GET /v1/bots/{}/sessions/{session}/entries", self.bot)
    }
}

impl Collected {
    fn new(message: MessageId, next: u64) -> Collected {
        Collected { message, turn: None, text: String::new(), told: String::new(), usage: Usage::default(), next }
    }

    /// Takes in an entry. `Ok`: the answer is whole. `Err`: there will be none, and why.
    fn take(&mut self, entry: &Entry) -> Option<Result<(), String>> {
        if entry.body.messages().iter().any(|user| user.message == self.message) {
            self.turn = Some(entry.turn);
        }
        if self.turn != Some(entry.turn) {
            return None;
        }
        if let Some((usage, _)) = entry.body.taken() {
            self.usage += usage;
        }
        match &entry.body {
            EntryBody::Assistant(answer) => {
                self.say(&answer.text);
                answer.tool_calls.is_empty().then_some(Ok(()))
            }
            // What comes next is the person's.
            EntryBody::Asked { text, .. } | EntryBody::Notice { text } => {
                self.say(text);
                Some(Ok(()))
            }
            EntryBody::Failed { text, .. } => Some(Err(text.clone())),
            EntryBody::Stopped { .. } => Some(Err("The turn was stopped before it had an answer.".to_owned())),
            EntryBody::Dropped { .. } => {
                Some(Err("Too many messages waited in this session, so that this one was left out.".to_owned()))
            }
            EntryBody::User(_)
            | EntryBody::Event(_)
            | EntryBody::ToolResult(_)
            | EntryBody::Reset { .. }
            | EntryBody::Compaction { .. } => None,
        }
    }

    fn say(&mut self, text: &str) {
        let text = text.trim();
        if text != NO_REPLY {
            self.text = self.with(text);
        }
    }

    /// The text so far, with more behind it.
    fn with(&self, more: &str) -> String {
        if self.text.is_empty() || more.is_empty() {
            format!("{}{more}", self.text)
        } else {
            format!("{}\n\n{more}", self.text)
        }
    }

    /// What is new with this draft of the text that is being written. A draft that takes back what was told is passed over.
    fn news(&mut self, draft: Option<&str>) -> Option<String> {
        let whole = self.with(draft.unwrap_or_default().trim_end());
        let new = whole.strip_prefix(&self.told).filter(|new| !new.is_empty())?.to_owned();
        self.told = whole;
        Some(new)
    }

    /// What was not told of the text, which is whole. Where other words were told meanwhile, all of it follows them.
    fn rest(&mut self) -> Option<String> {
        let new = match self.text.strip_prefix(&self.told) {
            Some(new) => new.to_owned(),
            None => format!("\n\n{}", self.text),
        };
        self.told.clone_from(&self.text);
        (!new.is_empty()).then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Answer, Channel, EntryId, LinkId, Sender, ToolCall, UserMessage};

    fn message(name: &str) -> MessageId {
        MessageId::of(LinkId::from_parts(Timestamp::default(), 1), name)
    }

    fn entry(turn: u128, body: EntryBody) -> Entry {
        let at = Timestamp::default();
        Entry { seq: 0, id: EntryId::from_parts(at, 1), turn: TurnId::from_parts(at, turn), at, body }
    }

    fn user(name: &str) -> EntryBody {
        EntryBody::User(UserMessage {
            message: message(name),
            channel: Channel::WebChat,
            sender: Sender { id: "x".into(), name: None, username: None },
            text: "x".into(),
            is_command: false,
            attachments: vec![],
            quote: None,
            sent_at: Timestamp::default(),
            received_at: None,
        })
    }

    fn answer(text: &str, calls: usize) -> EntryBody {
        let call = ToolCall { id: "c".into(), name: "clock".into(), arguments: "{}".into() };
        let usage = Usage { input: 10, output: 2, ..Usage::default() };
        EntryBody::Assistant(Answer { text: text.into(), tool_calls: vec![call; calls], usage, ..Answer::default() })
    }

    #[test]
    fn an_answer_is_what_its_own_turn_says() {
        let mut mine = Collected::new(message("mine"), 0);
        assert_eq!(mine.take(&entry(1, user("other"))), None);
        assert_eq!(mine.take(&entry(1, answer("not mine", 0))), None);
        assert_eq!(mine.take(&entry(2, user("mine"))), None);
        assert_eq!(mine.take(&entry(2, answer("Let me look.", 1))), None);
        assert_eq!(mine.take(&entry(2, answer("Noon.", 0))), Some(Ok(())));
        assert_eq!((mine.text.as_str(), mine.usage.input), ("Let me look.\n\nNoon.", 20));
    }

    #[test]
    fn silence_is_an_empty_answer_and_a_failure_is_none() {
        let mut mine = Collected::new(message("mine"), 0);
        mine.take(&entry(2, user("mine")));
        assert_eq!(mine.take(&entry(2, answer(" NO_REPLY ", 0))), Some(Ok(())));
        assert_eq!(mine.text, "");
        let failed = EntryBody::Failed { text: "I could not.".into(), detail: "secret".into() };
        assert_eq!(mine.take(&entry(2, failed)), Some(Err("I could not.".into())));
    }

    #[test]
    fn what_is_told_piece_by_piece_is_the_answer() {
        let mut mine = Collected::new(message("mine"), 0);
        let mut told = String::new();
        told.extend(mine.news(Some("Let me")));
        told.extend(mine.news(Some("Let me ")));
        told.extend(mine.news(Some("Let me look.")));
        mine.take(&entry(2, user("mine")));
        mine.take(&entry(2, answer("Let me look.", 1)));
        told.extend(mine.news(None));
        told.extend(mine.news(Some("No")));
        // A retry writes other words; what was told stays.
        assert_eq!(mine.news(Some("Ye")), None);
        mine.take(&entry(2, answer("Noon.", 0)));
        told.extend(mine.rest());
        assert_eq!(told, mine.text);
        assert_eq!(mine.rest(), None);
    }

    #[test]
    fn an_answer_that_became_another_is_told_whole() {
        let mut mine = Collected::new(message("mine"), 0);
        mine.news(Some("It is one"));
        mine.take(&entry(2, user("mine")));
        mine.take(&entry(2, answer("It was two.", 0)));
        assert_eq!(mine.rest().as_deref(), Some("\n\nIt was two."));
    }
}
