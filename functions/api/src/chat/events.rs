//! A conversation as a stream: the entries of its log as they are committed, and the answer while it is written.
//!
//! A look is one query of the log, which ends with the head, and one read of the draft. Looks are a quarter of a second apart while
//! something happens, and a second once nothing has for half a minute.

use std::collections::HashSet;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::Event;
use domain::{Bot, Entry, EntryBody, SessionKey, TurnId};
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use super::{MAIN, check_reads, session};
use crate::auth::Caller;
use crate::bots;
use crate::entries::entry_views;
use crate::extract::{Parameters, Segments};
use crate::openai::Until;
use crate::problem::Problem;
use crate::streams::{Events, LastEventId, Source, data};
use crate::views::{ChatDraft, ChatState};

const PAUSE: Duration = Duration::from_millis(250);
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// After how long without anything new looks are further apart.
const IDLE_AFTER: Duration = Duration::from_secs(30);
/// How many rows of the log a look reads.
const ROWS: i32 = 50;

/// The query of `GET /v1/bots/{bot}/chat/events`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowQuery {
    /// The conversation; left out: the bot's main session.
    conversation: Option<String>,
    /// The `next` of `GET …/chat` or of what was sent: the first entry that is told. Left out: only what is new from now on.
    after: Option<u64>,
}

/// `GET /v1/bots/{bot}/chat/events`
pub(crate) async fn follow(
    State(environment): State<Environment>,
    caller: Caller,
    until: Until,
    last: LastEventId,
    Segments(bot): Segments<String>,
    Parameters(query): Parameters<FollowQuery>,
) -> Result<Events, Problem> {
    let bot = bots::find(&environment, caller, &bot).await?;
    let session = session(&bot, query.conversation.as_deref().unwrap_or(MAIN))?;
    check_reads(caller, &bot, &session)?;
    let next = match last.parse::<u64>()?.map(|last| last.saturating_add(1)).or(query.after) {
        Some(next) => next,
        None => {
            let head = environment.store.account(bot.account).session_head(bot.id, &session).await?;
            head.map_or(0, |head| head.next_seq)
        }
    };
    let shown = Shown::default();
    let heartbeats = HashSet::new();
    let source = Follow { environment: environment.clone(), bot, session, next, news_at: None, heartbeats, shown };
    Ok(Events::of(source, &environment, until))
}

/// Looks at one session.
struct Follow {
    environment: Environment,
    bot: Bot,
    session: SessionKey,
    /// The first entry that was not told.
    next: u64,
    /// When there was something new last, or a turn was under way.
    news_at: Option<Instant>,
    /// The turns that were told of and are heartbeats.
    heartbeats: HashSet<TurnId>,
    shown: Shown,
}

/// What whoever follows knows beside the entries.
#[derive(Debug, Default)]
struct Shown {
    busy: Option<bool>,
    /// The draft that is shown, with its text.
    draft: Option<(TurnId, String)>,
    /// The turn that ended last: what is left of its draft is old.
    ended: Option<TurnId>,
    /// What was committed last of a turn, which a draft may say still.
    said: Option<(TurnId, String)>,
}

impl Source for Follow {
    async fn look(&mut self) -> Result<Vec<Event>, Problem> {
        let account = self.environment.store.account(self.bot.account);
        let (page, head) = account.session_follow(self.bot.id, &self.session, self.next, ROWS).await?;
        let draft = account.draft_get(self.bot.id, &self.session, self.environment.clock.now()).await?;
        self.next = page.next;
        let mut events = Vec::new();
        for entry in &page.entries {
            self.shown.take(entry);
        }
        for view in entry_views(self.bot.id, page.entries, &mut self.heartbeats) {
            events.push(data(&view).event("entry").id(view.seq.to_string()));
        }
        let draft = draft.map(|draft| (draft.turn, draft.text));
        events.extend(self.shown.draft(draft).map(|draft| data(&draft).event("draft")));
        // Without a head there is more to read, or nobody ever wrote.
        let is_end = events.is_empty() || head.is_some();
        let busy = head.is_some_and(|head| head.turn.is_some());
        if busy || !events.is_empty() {
            self.news_at = Some(Instant::now());
        }
        if is_end {
            events.extend(self.shown.state(busy).map(|state| data(&state).event("state")));
        }
        Ok(events)
    }

    fn pause(&self) -> Duration {
        if self.news_at.is_some_and(|at| at.elapsed() < IDLE_AFTER) { PAUSE } else { IDLE_PAUSE }
    }
}

impl Shown {
    fn take(&mut self, entry: &Entry) {
        if entry.body.is_final() {
            self.ended = Some(entry.turn);
        }
        if let EntryBody::Assistant(answer) = &entry.body {
            self.said = Some((entry.turn, answer.text.trim().to_owned()));
        }
    }

    /// What is to be told of a draft that was found.
    fn draft(&mut self, found: Option<(TurnId, String)>) -> Option<ChatDraft> {
        let is_old = |(turn, text): &(TurnId, String)| {
            let said = self.said.as_ref().is_some_and(|(of, said)| of == turn && said == text.trim());
            text.is_empty() || self.ended == Some(*turn) || said
        };
        let found = found.filter(|found| !is_old(found));
        if found == self.draft {
            return None;
        }
        let before = std::mem::replace(&mut self.draft, found.clone());
        let gone = || before.map(|(turn, _)| (turn, String::new()));
        found.or_else(gone).map(|(turn, text)| ChatDraft { turn, text })
    }

    fn state(&mut self, busy: bool) -> Option<ChatState> {
        let is_new = self.busy != Some(busy);
        self.busy = Some(busy);
        is_new.then_some(ChatState { busy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Answer, EntryId, Timestamp, ToolCall};

    fn turn(number: u128) -> TurnId {
        TurnId::from_parts(Timestamp::default(), number)
    }

    fn says(turn: TurnId, text: &str, calls: usize) -> Entry {
        let call = ToolCall { id: "c".into(), name: "clock".into(), arguments: "{}".into() };
        let body =
            EntryBody::Assistant(Answer { text: text.into(), tool_calls: vec![call; calls], ..Answer::default() });
        let at = Timestamp::default();
        Entry { seq: 0, id: EntryId::from_parts(at, 1), turn, at, body }
    }

    #[test]
    fn a_draft_is_told_when_it_changes_and_when_it_is_gone() {
        let mut shown = Shown::default();
        let told = |shown: &mut Shown, text: &str| shown.draft(Some((turn(1), text.to_owned()))).map(|it| it.text);
        assert_eq!(told(&mut shown, ""), None);
        assert_eq!(told(&mut shown, "Let me"), Some("Let me".to_owned()));
        assert_eq!(told(&mut shown, "Let me"), None);
        shown.take(&says(turn(1), "Let me look.", 1));
        // The row says still what the log says by now.
        assert_eq!(told(&mut shown, "Let me look."), Some(String::new()));
        assert_eq!(told(&mut shown, "Noon"), Some("Noon".to_owned()));
        shown.take(&says(turn(1), "Noon it is.", 0));
        assert_eq!(told(&mut shown, "Noon it"), Some(String::new()), "its turn has ended");
        assert_eq!(shown.draft(None), None);
        assert_eq!(shown.draft(Some((turn(2), "And".to_owned()))).map(|it| it.turn), Some(turn(2)));
    }

    #[test]
    fn a_state_is_told_once() {
        let mut shown = Shown::default();
        let told = [false, false, true, true, false].map(|busy| shown.state(busy).is_some());
        assert_eq!(told, [true, false, true, false, true]);
    }
}
