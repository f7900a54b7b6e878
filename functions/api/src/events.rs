//! What happens in an account as a stream, for as long as somebody listens: nothing is written for it.
//!
//! A look is one or two reads, a second apart, and each looks at something else:
//!
//! | what | how | looked at every |
//! | --- | --- | --- |
//! | something was said in a session | the day's counters of model calls grew; then the heads of the sessions that share the counter | 2 s |
//! | a bot or a link of it changed | a page of 100 bots, or the one | 6 s; each 100 bots more take 6 s more |
//! | questions that wait, notices | all, and the newest | 6 s |
//! | dead letters | the newest | 6 s |
//!
//! So a session is told of when a model has answered there, and not for a command that needed none. The `id` of an event says when the
//! look was and how many model calls were counted by then: a stream that goes on from it tells what is newer.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::Event;
use domain::{AccountId, BotId, SessionKey, Timestamp};
use runtime::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{BotGlance, PageRange, usage_share};

use crate::auth::Caller;
use crate::extract::Parameters;
use crate::openai::Until;
use crate::problem::Problem;
use crate::scope::{Scope, Scopes};
use crate::streams::{Events, LastEventId, Source, data};
use crate::views::{ApprovalGone, BotChanged, BotRemoved, LinkLine, SessionGrew};
use crate::{approvals, bots, dead_letters, notices};

const PAUSE: Duration = Duration::from_secs(1);
/// How many notices and dead letters a look reads.
const NEWEST: u32 = 20;
/// How many bots a look reads.
const BOTS: u32 = 100;
/// A bot's sessions are told apart up to so many: with more, only the bot is named.
const SESSIONS: usize = 1_000;
/// DynamoDB reads so many rows at once.
const HEADS: usize = 100;
/// How far apart the clocks of machines may be.
const SKEW: Duration = Duration::from_secs(2);

/// The query of `GET /v1/events`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// One bot alone, by its id or its name.
    bot: Option<String>,
}

/// `GET /v1/events`
pub(crate) async fn follow(
    State(environment): State<Environment>,
    caller: Caller,
    until: Until,
    last: LastEventId,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Events, Problem> {
    let last: Option<Mark> = last.parse()?;
    let bot = match &query.bot {
        Some(bot) => Some(bots::find(&environment, caller, bot).await?.id),
        None => None,
    };
    let source = Watch {
        account: caller.account,
        scopes: caller.scopes,
        bot,
        turn: 0,
        since: last.map_or_else(|| environment.clock.now(), |last| last.at),
        last,
        calls: HashMap::new(),
        total: last.map_or(0, |last| last.calls),
        sessions: HashMap::new(),
        bots: HashMap::new(),
        listed: HashSet::new(),
        after: None,
        asked: None,
        told: HashSet::new(),
        environment: environment.clone(),
    };
    Ok(Events::of(source, &environment, until))
}

/// The `id` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    at: Timestamp,
    /// Model calls that were counted on that day.
    calls: u64,
}

impl FromStr for Mark {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Mark, Self::Err> {
        let (at, calls) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Mark { at: Timestamp::from_millis(at.parse()?), calls: calls.parse()? })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at.as_millis(), self.calls)
    }
}

/// What was seen so far.
struct Watch {
    environment: Environment,
    account: AccountId,
    scopes: Scopes,
    bot: Option<BotId>,
    /// Of the looks.
    turn: u32,
    /// What is newer is told.
    since: Timestamp,
    /// Where an earlier stream ended, until it was taken up.
    last: Option<Mark>,
    calls: HashMap<(BotId, u32), u64>,
    total: u64,
    /// The length of each log that was looked at.
    sessions: HashMap<(BotId, SessionKey), u64>,
    /// What each bot looked like, as a hash.
    bots: HashMap<BotId, u64>,
    /// The bots of this round of pages, and where the next page begins.
    listed: HashSet<BotId>,
    after: Option<String>,
    /// The questions that wait; `None`: nobody has looked yet.
    asked: Option<HashSet<String>>,
    /// Notices and dead letters that were told.
    told: HashSet<String>,
}

impl Source for Watch {
    async fn look(&mut self) -> Result<Vec<Event>, Problem> {
        let at = self.environment.clock.now();
        let mut events = Vec::new();
        if self.turn == 0 {
            self.look_at_sessions(at, &mut events).await?;
            self.look_at_bots(at, &mut events).await?;
            self.look_at_what_waits(at, &mut events).await?;
            self.look_at_dead_letters(at, &mut events).await?;
        } else {
            match self.turn % 6 {
                1 => self.look_at_what_waits(at, &mut events).await?,
                3 => self.look_at_bots(at, &mut events).await?,
                5 => self.look_at_dead_letters(at, &mut events).await?,
                _ => self.look_at_sessions(at, &mut events).await?,
            }
        }
        self.turn += 1;
        // An id without data tells a browser where to go on, and is no event to its page.
        let mark = Mark { at, calls: self.total }.to_string();
        let mut events: Vec<Event> = events.into_iter().map(|event| event.id(&mark)).collect();
        events.push(Event::default().id(mark));
        Ok(events)
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}

fn event<T: Serialize>(kind: &str, value: &T) -> Event {
    data(value).event(kind)
}

impl Watch {
    fn is_about(&self, bot: Option<BotId>) -> bool {
        self.bot.is_none() || self.bot == bot
    }

    /// Tells of sessions in which a model answered.
    async fn look_at_sessions(&mut self, now: Timestamp, events: &mut Vec<Event>) -> Result<(), Problem> {
        if !self.scopes.contains(Scope::SessionsRead) {
            return Ok(());
        }
        let account = self.environment.store.account(self.account);
        let calls = account.usage_calls(now, self.bot).await?;
        let total: u64 = calls.values().sum();
        let last = self.last.take();
        let is_first = self.turn == 0;
        let grown: Vec<(BotId, u32)> = match last {
            // Nothing was counted since an earlier stream ended.
            Some(last) if last.calls == total => vec![],
            None if is_first => vec![],
            _ => calls.iter().filter(|&(row, count)| self.calls.get(row) != Some(count)).map(|(row, _)| *row).collect(),
        };
        (self.calls, self.total) = (calls, total);
        let mut shares: HashMap<BotId, HashSet<u32>> = HashMap::new();
        for (bot, share) in grown {
            shares.entry(bot).or_default().insert(share);
        }
        for (bot, shares) in shares {
            self.look_at_bots_sessions(bot, &shares, events).await?;
        }
        Ok(())
    }

    async fn look_at_bots_sessions(
        &mut self,
        bot: BotId,
        shares: &HashSet<u32>,
        events: &mut Vec<Event>,
    ) -> Result<(), Problem> {
        let account = self.environment.store.account(self.account);
        let (mut sessions, mut range) = (Vec::new(), PageRange { after: None, limit: 500 });
        loop {
            let page = account.session_page(bot, &range).await?;
            sessions.extend(page.items.into_iter().map(|line| line.session));
            match page.next {
                None => break,
                Some(_) if sessions.len() >= SESSIONS => {
                    events.push(event("session", &SessionGrew { bot, session: None, next: None, busy: None }));
                    return Ok(());
                }
                next => range.after = next,
            }
        }
        sessions.retain(|session| shares.contains(&usage_share(session)));
        for some in sessions.chunks(HEADS) {
            for (session, head) in account.session_heads(bot, some).await? {
                let known = self.sessions.insert((bot, session.clone()), head.next_seq);
                let is_new = match known {
                    Some(known) => known != head.next_seq,
                    None => head.updated_at + SKEW >= self.since,
                };
                if is_new {
                    let busy = Some(head.turn.is_some());
                    let grew = SessionGrew { bot, session: Some(session), next: Some(head.next_seq), busy };
                    events.push(event("session", &grew));
                }
            }
        }
        Ok(())
    }

    /// Tells of bots that changed, or whose links did, and of those that are gone.
    async fn look_at_bots(&mut self, now: Timestamp, events: &mut Vec<Event>) -> Result<(), Problem> {
        let account = self.environment.store.account(self.account);
        let (found, next) = match self.bot {
            Some(bot) => (account.bot_glance(bot, now).await?.into_iter().collect(), None),
            None => {
                let page = account.bot_page(&PageRange { after: self.after.take(), limit: BOTS }, now).await?;
                (page.items, page.next)
            }
        };
        for glance in found {
            let (id, look) = (glance.bot.id, hash(&glance));
            self.listed.insert(id);
            let is_new = match self.bots.insert(id, look) {
                Some(known) => known != look,
                None => changed_at(&glance) > self.since,
            };
            if is_new {
                events.push(event("bot", &changed(glance)));
            }
        }
        self.after = next;
        if self.after.is_none() {
            let listed = std::mem::take(&mut self.listed);
            let gone: Vec<BotId> = self.bots.keys().filter(|id| !listed.contains(id)).copied().collect();
            for id in gone {
                self.bots.remove(&id);
                events.push(event("bot_removed", &BotRemoved { id }));
            }
        }
        Ok(())
    }

    /// Tells of questions that were asked or are not asked any more, and of notices.
    async fn look_at_what_waits(&mut self, now: Timestamp, events: &mut Vec<Event>) -> Result<(), Problem> {
        let account = self.environment.store.account(self.account);
        if self.scopes.contains(Scope::Approve) {
            let mut waiting = account.approval_list().await?;
            waiting.retain(|approval| self.is_about(Some(approval.wake.bot)));
            let codes: HashSet<String> = waiting.iter().map(|approval| approval.code.clone()).collect();
            for approval in waiting {
                let is_new = match &self.asked {
                    Some(asked) => !asked.contains(&approval.code),
                    None => approval.asked_at > self.since,
                };
                if is_new {
                    events.push(event("approval", &approvals::view(approval)));
                }
            }
            for code in self.asked.iter().flatten().filter(|code| !codes.contains(*code)) {
                events.push(event("approval_gone", &ApprovalGone { code: code.clone() }));
            }
            self.asked = Some(codes);
        }
        if self.scopes.contains(Scope::AccountRead) {
            let newest = PageRange { after: None, limit: NEWEST };
            let page = account.notice_page(&newest, now).await?;
            for notice in page.items.into_iter().rev() {
                if notice.at + SKEW >= self.since
                    && self.is_about(notice.bot)
                    && self.is_untold(&notice.about, notice.at)
                {
                    events.push(event("notice", &notices::view(notice)));
                }
            }
        }
        Ok(())
    }

    async fn look_at_dead_letters(&mut self, now: Timestamp, events: &mut Vec<Event>) -> Result<(), Problem> {
        if !self.scopes.contains(Scope::SessionsRead) {
            return Ok(());
        }
        if let Err(error) = dead_letters::drain_dead_letters(&self.environment).await {
            tracing::warn!("The dead-letter queues were not drained: {error:#}");
        }
        let account = self.environment.store.account(self.account);
        let page = account.dead_letter_page(&PageRange { after: None, limit: NEWEST }, now).await?;
        for letter in page.items.into_iter().rev() {
            let is_new = letter.failed_at + SKEW >= self.since && self.is_about(letter.task.bot());
            if is_new && self.is_untold(&letter.id.to_string(), letter.failed_at) {
                events.push(event("dead_letter", &dead_letters::line(letter)));
            }
        }
        Ok(())
    }

    /// Whether this is told now for the first time. What was before the stream began, and within the skew of clocks, counts as told
    /// in the first look.
    fn is_untold(&mut self, name: &str, at: Timestamp) -> bool {
        self.told.insert(name.to_owned()) && (self.turn > 0 || at > self.since)
    }
}

/// When a bot, or anything that a list says of it, changed last.
fn changed_at(glance: &BotGlance) -> Timestamp {
    let links = glance.links.iter().filter_map(|link| link.changed_at);
    let all = links.chain(glance.bot.heard_at).chain(glance.notice.as_ref().map(|notice| notice.at));
    all.fold(glance.bot.updated_at, Timestamp::max)
}

fn hash(glance: &BotGlance) -> u64 {
    let mut hasher = DefaultHasher::new();
    let BotGlance { bot, links, notice } = glance;
    (bot.version, bot.heard_at).hash(&mut hasher);
    links.iter().for_each(|link| format!("{link:?}").hash(&mut hasher));
    notice.as_ref().map(|notice| &notice.about).hash(&mut hasher);
    hasher.finish()
}

fn changed(glance: BotGlance) -> BotChanged {
    let BotGlance { bot, links, notice } = glance;
    BotChanged {
        id: bot.id,
        name: bot.name,
        status: bot.status,
        last_message_at: bot.heard_at,
        links: links.into_iter().map(LinkLine::from).collect(),
        notice: notice.map(notices::view),
        version: bot.version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let mark = Mark { at: Timestamp::from_millis(1_795_341_600_000), calls: 12 };
        assert_eq!(mark.to_string(), "1795341600000-12");
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert_eq!("7".parse(), Ok(Mark { at: Timestamp::from_millis(7), calls: 0 }));
        for bad in ["", "-", "x-1", "1-", "1-2-3"] {
            assert!(bad.parse::<Mark>().is_err(), "{bad}");
        }
    }
}
