//! What people see of a turn while it runs: that the bot is typing, and the text so far.
//!
//! Where a channel can edit messages, the text so far is a message of its own, the draft, whose place the reply takes
//! when it is delivered; where replies are read from the log, it is a row that the API shows. A row per session names
//! the draft, so that a worker that takes a turn over goes on with it. An answer that comes quickly costs nothing of
//! all this. A message that was sent by a worker that died before it wrote the row stays behind: the same gap as in
//! delivery.

use std::time::Duration;

use agent::Progress;
use channels::SendError;
use domain::heartbeat::{HEARTBEAT_OK, NO_REPLY, heartbeat_reply, is_silent_reply};
use domain::turn::{ActiveTurn, ReplyTo};
use domain::{Bot, Channel, ChatKind, Entry, Link, Outbound, SessionKey, StreamMode, ToolCall};
use runtime::Environment;
use store::Draft;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::chats::{Chats, Login};
use crate::link_login;

/// How often is looked whether there is something to show.
const TICK: Duration = Duration::from_millis(250);

/// A text is shown when it is this old, and not changed more often.
const TEXT_AFTER: Duration = Duration::from_millis(1_500);

/// In groups Telegram takes twenty messages and edits a minute.
const GROUP_PAUSE: Duration = Duration::from_secs(3);

/// After a call that failed.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// Where the door has shown "typing…" already, for five seconds.
const TYPING_AFTER: Duration = Duration::from_secs(4);
const TYPING_EVERY: Duration = Duration::from_secs(5);

/// How long one call to the channel may hold an answer up.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The text of an answer so far.
pub(crate) struct TextSoFar(watch::Sender<String>);

impl Default for TextSoFar {
    fn default() -> TextSoFar {
        TextSoFar(watch::Sender::new(String::new()))
    }
}

impl Progress for TextSoFar {
    fn said(&self, text: &str) {
        self.0.send_replace(text.to_owned());
    }
}

impl TextSoFar {
    /// The text, once it is known not to become one that nobody is to hear.
    fn shown(&self, is_heartbeat: bool) -> Option<String> {
        let text = self.0.borrow();
        let text = text.trim();
        let may_be_silent = [NO_REPLY, HEARTBEAT_OK].iter().any(|token| token.starts_with(text));
        let is_acknowledgement = is_heartbeat && heartbeat_reply(text).is_none();
        (!may_be_silent && !is_silent_reply(text) && !is_acknowledgement).then(|| text.to_owned())
    }
}

/// What a turn does, as far as people may see it.
#[derive(Clone, Copy)]
pub(crate) enum Work<'a> {
    /// Its model answers.
    Answers(&'a TextSoFar),
    /// Tools are run.
    Runs(&'a [ToolCall]),
    /// Nothing of it is shown but that it goes on.
    Hidden,
}

/// The drafts of one session's turns.
pub(crate) struct Drafts<'a> {
    environment: &'a Environment,
    /// `None`: nothing is shown of turns while they run.
    chats: Option<Chats>,
    bot: &'a Bot,
    session: &'a SessionKey,
    state: Mutex<State>,
}

struct State {
    draft: Option<Draft>,
    /// The text that is shown.
    shown: String,
    /// When the next text may be shown; `None`: there is none yet.
    text_at: Option<Instant>,
    typing_at: Option<Instant>,
    /// Whether a draft may have been sent without an answer that names it: a second one would make a ghost of it.
    is_lost: bool,
    login: Option<Login>,
    /// The tools that the turn has used, in the mode [`StreamMode::Progress`].
    used: Vec<String>,
}

impl<'a> Drafts<'a> {
    pub(crate) fn new(
        environment: &'a Environment,
        chats: Option<&Chats>,
        bot: &'a Bot,
        session: &'a SessionKey,
    ) -> Drafts<'a> {
        let chats = chats.map(|chats| chats.clone().with_timeout(CALL_TIMEOUT));
        let state = State {
            draft: None,
            shown: String::new(),
            text_at: None,
            typing_at: None,
            is_lost: false,
            login: None,
            used: vec![],
        };
        Drafts { environment, chats, bot, session, state: Mutex::new(state) }
    }

    /// Goes on with the draft that an earlier worker may have left, unless its turn has come to an end.
    pub(crate) async fn take_over(&self, entries: &[Entry]) {
        if self.chats.is_none() {
            return;
        }
        let account = self.environment.store.account(self.bot.account);
        match account.draft_get(self.bot.id, self.session, self.environment.clock.now()).await {
            Ok(draft) => {
                let has_ended =
                    |draft: &Draft| entries.iter().any(|entry| entry.turn == draft.turn && entry.body.is_final());
                self.state.lock().await.draft = draft.filter(|draft| !has_ended(draft));
            }
            Err(error) => tracing::warn!(bot = %self.bot.id, "A draft that may be left is not looked for: {error}"),
        }
    }

    /// Does some work of a turn, and meanwhile shows that it goes on, and what may be seen of it.
    pub(crate) async fn during<T>(&self, turn: &ActiveTurn, what: Work<'_>, work: impl Future<Output = T>) -> T {
        // Nobody waits for a heartbeat, which mostly says nothing.
        let is_heartbeat = turn.job.as_ref().is_some_and(|run| run.is_heartbeat);
        if self.chats.is_none() || turn.reply.parent.is_some() || is_heartbeat {
            return work.await;
        }
        if let Work::Runs(calls) = what {
            let mut state = self.state.lock().await;
            for call in calls {
                if !state.used.contains(&call.name) {
                    state.used.push(call.name.clone());
                }
            }
        }
        let mut work = std::pin::pin!(work);
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = ticks.tick() => {}
            }
            // A call that is under way is waited for, lest a message stays that nobody knows of.
            let mut show = std::pin::pin!(self.show(turn, what));
            tokio::select! {
                biased;
                () = &mut show => {}
                done = &mut work => {
                    show.await;
                    return done;
                }
            }
        }
    }

    async fn show(&self, turn: &ActiveTurn, what: Work<'_>) {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if Chats::can_type(turn.reply.channel, &turn.reply.address)
            && state.typing_at.is_none_or(|typing_at| now >= typing_at)
        {
            let is_first = state.typing_at.is_none();
            state.typing_at = Some(now + TYPING_EVERY);
            match self.login(&mut state, &turn.reply).await {
                Some((_, login)) if is_first && types_at_the_door(&login.link) => {
                    state.typing_at = Some(now + TYPING_AFTER);
                }
                _ => self.type_on(&mut state, &turn.reply).await,
            }
        }
        let is_heartbeat = turn.job.as_ref().is_some_and(|run| run.is_heartbeat);
        let text = match (self.bot.streaming, what) {
            (StreamMode::Partial, Work::Answers(said)) => said.shown(is_heartbeat),
            (StreamMode::Progress, Work::Answers(_) | Work::Runs(_)) if !state.used.is_empty() => {
                let used: Vec<String> = state.used.iter().map(|tool| format!("`{tool}`")).collect();
                Some(format!("Working: {}", used.join(", ")))
            }
            _ => None,
        };
        let Some(text) = text.filter(|text| !text.is_empty() && *text != state.shown && !state.is_lost) else { return };
        if now < *state.text_at.get_or_insert(now + TEXT_AFTER) {
            return;
        }
        let pause = match turn.reply.address.kind {
            ChatKind::Direct => TEXT_AFTER,
            ChatKind::Group | ChatKind::Room => GROUP_PAUSE,
        };
        let pause = match self.show_text(&mut state, turn, &text).await {
            Ok(()) => pause,
            Err(wait) => wait.max(pause),
        };
        state.text_at = Some(Instant::now() + pause);
        state.shown = text;
    }

    /// Shows a text. An error is how long to leave the channel alone.
    async fn show_text(&self, state: &mut State, turn: &ActiveTurn, text: &str) -> Result<(), Duration> {
        let reply = &turn.reply;
        let mut draft = Draft {
            turn: turn.id,
            asked_at: turn.asked_at,
            link: reply.link,
            chat: reply.address.chat.clone(),
            message: None,
            text: String::new(),
        };
        if Chats::can_edit(reply.channel, &reply.address) {
            let known = state.draft.as_ref().filter(|known| is_for(known, reply));
            let known = known.and_then(|known| known.message.clone());
            let (chats, login) = self.login(state, reply).await.ok_or(PAUSE_AFTER_TROUBLE)?;
            let key = format!("{}.draft", turn.id);
            let shown = chats.show(login, &reply.address, known.as_deref(), text, &key).await;
            if known.is_none() && matches!(shown, Err(SendError::Temporary(_))) {
                state.is_lost = true;
            }
            match shown.map_err(|error| pause_after(&error))? {
                Some(message) => draft.message = Some(message),
                None => return Ok(()),
            }
        } else if reply.channel.is_read_from_log() {
            draft.text = text.to_owned();
        } else {
            return Ok(());
        }
        let account = self.environment.store.account(self.bot.account);
        let put = account.draft_put(self.bot.id, self.session, &draft, self.environment.clock.now()).await;
        state.draft = Some(draft);
        put.map_err(|error| {
            tracing::warn!(bot = %self.bot.id, turn = %turn.id, "A draft was not noted: {error}");
            PAUSE_AFTER_TROUBLE
        })
    }

    async fn type_on(&self, state: &mut State, reply: &ReplyTo) {
        let Some((chats, login)) = self.login(state, reply).await else { return };
        if let Err(error) = chats.type_on(login, &reply.address).await {
            tracing::debug!(bot = %self.bot.id, "It is not shown that the bot is typing: {error}");
        }
    }

    async fn login<'s>(&'s self, state: &'s mut State, reply: &ReplyTo) -> Option<(&'s Chats, &'s Login)> {
        if state.login.as_ref().is_none_or(|login| login.link.id != reply.link) {
            state.login = link_login(self.environment, self.bot, reply.link).await;
        }
        Some((self.chats.as_ref()?, state.login.as_ref()?))
    }

    /// Lets the reply that ends a turn take the place of its draft. Returns whether one does.
    pub(crate) async fn hand_over(&self, outbox: &mut [Outbound]) -> bool {
        let state = self.state.lock().await;
        let Some(Draft { link, chat, message: Some(message), .. }) = &state.draft else { return false };
        let reply = outbox
            .iter_mut()
            .find(|outbound| outbound.parent.is_none() && outbound.link == *link && outbound.address.chat == *chat);
        reply.map(|reply| reply.draft = Some(message.clone())).is_some()
    }

    /// Forgets the draft of a turn that has ended, and takes it back if no reply takes its place.
    pub(crate) async fn end(&self, reply: &ReplyTo, was_handed_over: bool) {
        let mut state = self.state.lock().await;
        (state.shown, state.text_at, state.typing_at, state.is_lost) = (String::new(), None, None, false);
        state.used.clear();
        let Some(draft) = state.draft.take() else { return };
        if let Some(message) = draft.message.as_ref().filter(|_| !was_handed_over && is_for(&draft, reply))
            && let Some((chats, login)) = self.login(&mut state, reply).await
            && let Err(error) = chats.take_back(login, &reply.address, message).await
        {
            tracing::warn!(bot = %self.bot.id, turn = %draft.turn, "A draft that came to nothing stays: {error}");
        }
        let account = self.environment.store.account(self.bot.account);
        if let Err(error) = account.draft_delete(self.bot.id, self.session).await {
            tracing::warn!(bot = %self.bot.id, turn = %draft.turn, "The note of a draft stays until it expires: {error}");
        }
    }
}

/// Whether the answer to what a channel posted has shown "typing…" in the chat.
fn types_at_the_door(link: &Link) -> bool {
    link.channel == Channel::Telegram && !link.is_held()
}

fn is_for(draft: &Draft, reply: &ReplyTo) -> bool {
    draft.link == reply.link && draft.chat == reply.address.chat
}

fn pause_after(error: &SendError) -> Duration {
    tracing::debug!("A draft is not shown: {error}");
    match error {
        SendError::RateLimited { retry_after } => *retry_after,
        SendError::Unauthorised(_) | SendError::Unreachable(_) | SendError::Rejected(_) | SendError::Temporary(_) => {
            PAUSE_AFTER_TROUBLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_shown_on_its_way() {
        let said = TextSoFar::default();
        for quiet in ["", " ", "NO", "NO_REPLY", " NO_REPLY\n", "HEART", "HEARTBEAT_OK", "HEARTBEAT_OK."] {
            said.said(quiet);
            assert_eq!(said.shown(false), None, "{quiet:?}");
        }
        said.said("NO_REPLY is what I say");
        assert!(said.shown(false).is_some());
        said.said("HEARTBEAT_OK, all is well");
        assert_eq!((said.shown(false).is_some(), said.shown(true)), (true, None));
    }
}
