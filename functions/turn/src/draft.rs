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
use channels::telegram::Client;
use domain::turn::{ActiveTurn, NO_REPLY, ReplyTo};
use domain::{Bot, Channel, ChatKind, Entry, Outbound, SessionKey, StreamMode};
use runtime::Environment;
use store::Draft;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::link_token;

/// How often is looked whether there is something to show.
const TICK: Duration = Duration::from_millis(250);

/// A text is shown when it is this old, and not changed more often.
const TEXT_AFTER: Duration = Duration::from_millis(1_500);

/// In groups Telegram takes twenty messages and edits a minute.
const GROUP_PAUSE: Duration = Duration::from_secs(3);

/// After a call that failed.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// The door has shown "typing…" already, for five seconds.
const TYPING_AFTER: Duration = Duration::from_secs(4);
const TYPING_EVERY: Duration = Duration::from_secs(5);

/// The longest draft, in UTF-16 units: a little below Telegram's limit.
const MAX_DRAFT: usize = 4_000;

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
    /// The text, once it is known not to become [`NO_REPLY`].
    fn shown(&self) -> Option<String> {
        let text = self.0.borrow();
        let text = text.trim();
        (!NO_REPLY.starts_with(text)).then(|| text.to_owned())
    }
}

/// The drafts of one session's turns.
pub(crate) struct Drafts<'a> {
    environment: &'a Environment,
    /// `None`: nothing is shown of turns while they run.
    telegram: Option<Client>,
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
    token: Option<String>,
}

impl<'a> Drafts<'a> {
    pub(crate) fn new(
        environment: &'a Environment,
        telegram: Option<&Client>,
        bot: &'a Bot,
        session: &'a SessionKey,
    ) -> Drafts<'a> {
        let telegram = telegram.map(|client| client.clone().with_timeout(CALL_TIMEOUT));
        let state = State { draft: None, shown: String::new(), text_at: None, typing_at: None, token: None };
        Drafts { environment, telegram, bot, session, state: Mutex::new(state) }
    }

    /// Goes on with the draft that an earlier worker may have left, unless its turn has come to an end.
    pub(crate) async fn take_over(&self, entries: &[Entry]) {
        if self.telegram.is_none() {
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

    /// Does some work of a turn, and meanwhile shows that it goes on, and what was `said`.
    pub(crate) async fn during<T>(
        &self,
        turn: &ActiveTurn,
        said: Option<&TextSoFar>,
        work: impl Future<Output = T>,
    ) -> T {
        if self.telegram.is_none() || turn.reply.parent.is_some() {
            return work.await;
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
            let mut show = std::pin::pin!(self.show(turn, said));
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

    async fn show(&self, turn: &ActiveTurn, said: Option<&TextSoFar>) {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        let typing_at = *state.typing_at.get_or_insert(now + TYPING_AFTER);
        if now >= typing_at && turn.reply.channel == Channel::Telegram {
            state.typing_at = Some(now + TYPING_EVERY);
            self.type_on(&mut state, &turn.reply).await;
        }
        let text = said.and_then(TextSoFar::shown).filter(|_| self.bot.streaming == StreamMode::Partial);
        let Some(text) = text.filter(|text| !text.is_empty() && *text != state.shown) else { return };
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
            link: reply.link,
            chat: reply.address.chat.clone(),
            message: None,
            text: String::new(),
        };
        match reply.channel {
            Channel::Telegram => {
                let known = state.draft.as_ref().filter(|known| is_for(known, reply));
                let known = known.and_then(|known| known.message.clone());
                let (client, token) = self.client(state, reply).await.ok_or(PAUSE_AFTER_TROUBLE)?;
                let text = beginning(text);
                if let Some(message) = known {
                    let edited = client.edit_message_plain(token, &reply.address, &message, &text, &[]).await;
                    return edited.map_err(|error| pause_after(&error));
                }
                let sent = client.send_message_plain(token, &reply.address, &text, &[]).await;
                draft.message = Some(sent.map_err(|error| pause_after(&error))?.to_string());
            }
            // For who reads the session's log.
            _ => draft.text = text.to_owned(),
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
        let Some((client, token)) = self.client(state, reply).await else { return };
        if let Err(error) = client.send_typing(token, &reply.address).await {
            tracing::debug!(bot = %self.bot.id, "It is not shown that the bot is typing: {error}");
        }
    }

    async fn client<'s>(&'s self, state: &'s mut State, reply: &ReplyTo) -> Option<(&'s Client, &'s str)> {
        if state.token.is_none() {
            state.token = link_token(self.environment, self.bot, reply.link).await;
        }
        Some((self.telegram.as_ref()?, state.token.as_deref()?))
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
        (state.shown, state.text_at, state.typing_at) = (String::new(), None, None);
        let Some(draft) = state.draft.take() else { return };
        if let Some(message) = draft.message.as_ref().filter(|_| !was_handed_over && is_for(&draft, reply))
            && let Some((client, token)) = self.client(&mut state, reply).await
            && let Err(error) = client.delete_message(token, &reply.address, message).await
        {
            tracing::warn!(bot = %self.bot.id, turn = %draft.turn, "A draft that came to nothing stays: {error}");
        }
        let account = self.environment.store.account(self.bot.account);
        if let Err(error) = account.draft_delete(self.bot.id, self.session).await {
            tracing::warn!(bot = %self.bot.id, turn = %draft.turn, "The note of a draft stays until it expires: {error}");
        }
    }
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

/// The beginning of a text that fits a message, and a sign that it goes on.
fn beginning(text: &str) -> String {
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= MAX_DRAFT
    };
    let mut text: String = text.chars().take_while(fits).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_shown_on_its_way() {
        let said = TextSoFar::default();
        for quiet in ["", " ", "NO", "NO_REPLY", " NO_REPLY\n"] {
            said.said(quiet);
            assert_eq!(said.shown(), None, "{quiet:?}");
        }
        said.said("NO_REPLY is what I say");
        assert!(said.shown().is_some());
    }

    #[test]
    fn a_draft_fits_a_message() {
        assert_eq!(beginning("so far"), "so far…");
        assert_eq!(beginning(&"🌊".repeat(3_000)).encode_utf16().count(), MAX_DRAFT + 1);
    }
}
