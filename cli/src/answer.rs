//! Finds the answer to a message in a conversation's log.
//!
//! A message is answered by the last entry of the turn that took it, or that left it out. Which turn that is shows in the
//! log, and nowhere else: a message may get a turn of its own, share one, or join one under way.

use std::time::Duration;

use api::views::{ChatAccepted, ChatFile, ChatPage, ChatSend, EntryKind, EntryView};
use domain::{BotId, MessageId, TurnId};
use runtime::Entropy;
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::Client;
use crate::failure::{Exit, Failure};

/// How often a message is sent before we give up.
const SEND_ATTEMPTS: u32 = 3;
const SEND_PAUSE: Duration = Duration::from_millis(500);
/// Between two reads of which the first did not wait or did not work.
const READ_PAUSE: Duration = Duration::from_millis(300);
/// How far before `next` an answer may lie if the message was sent more than once, in entries.
const RESENT_MARGIN: u64 = 200;

/// A message whose answer is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    message: MessageId,
    turn: Option<TurnId>,
}

impl Question {
    pub(crate) fn new(message: MessageId) -> Question {
        Question { message, turn: None }
    }

    /// Whether this entry is the message itself.
    pub(crate) fn is(&self, entry: &EntryView) -> bool {
        entry.kind == EntryKind::User && entry.message.as_ref() == Some(&self.message)
    }

    /// Takes the next entry of the log; true if it is the answer, says that there is none, or asks the owner first.
    pub(crate) fn is_answered_by(&mut self, entry: &EntryView) -> bool {
        if self.is(entry) || entry.messages.contains(&self.message) {
            self.turn = Some(entry.turn);
        }
        (entry.is_final || entry.kind == EntryKind::Asked) && self.turn == Some(entry.turn)
    }
}

/// What is read of a conversation.
pub(crate) enum News<'a> {
    Entry(&'a EntryView),
    /// The text of the answer so far.
    Draft(&'a str),
}

/// One conversation with one bot, read entry by entry.
pub(crate) struct Conversation<'a> {
    client: &'a Client,
    bot: BotId,
    name: Option<String>,
    /// Where the log is read on. `None`: where the first message's answer begins.
    cursor: Option<u64>,
}

impl<'a> Conversation<'a> {
    /// `name`: a conversation of its own; `None` is the bot's main session.
    pub(crate) fn new(client: &'a Client, bot: BotId, name: Option<String>) -> Conversation<'a> {
        Conversation { client, bot, name, cursor: None }
    }

    /// The last entries. Reading goes on behind them.
    pub(crate) async fn last(&mut self, limit: u32) -> Result<ChatPage, Failure> {
        let page = self.client.chat_last(self.bot, self.name.as_deref(), limit).await?;
        self.cursor = Some(page.next);
        Ok(page)
    }

    /// Sends a message. It carries an id of its own, so sending it again after a lost answer is safe.
    pub(crate) async fn send(&mut self, text: &str, files: Vec<ChatFile>) -> Result<Question, Failure> {
        let id = Some(format!("{:032x}", Entropy::system().next_u128()));
        let message = ChatSend { text: text.to_owned(), conversation: self.name.clone(), id, files };
        let mut attempt = 1;
        let accepted = loop {
            match self.client.chat_send(self.bot, &message).await {
                Err(failure) if failure.may_pass && attempt < SEND_ATTEMPTS => {
                    attempt += 1;
                    sleep(SEND_PAUSE).await;
                }
                result => break result?,
            }
        };
        let ChatAccepted { message, next, .. } = accepted;
        let first = if attempt == 1 { next } else { next.saturating_sub(RESENT_MARGIN) };
        self.cursor = Some(self.cursor.unwrap_or(first));
        Ok(Question::new(message))
    }

    /// Reads on until the answer is there. `on_news` sees every entry once, the answer included, and before it the
    /// text so far, as it grows. A Lowtide that is away for a while, because it restarts, is waited for.
    pub(crate) async fn answer(
        &mut self,
        mut question: Question,
        within: Duration,
        mut on_news: impl FnMut(News<'_>),
    ) -> Result<EntryView, Failure> {
        let mut trouble = None;
        let mut drafted = 0;
        let reading = async {
            loop {
                let asked_at = Instant::now();
                let after = self.cursor.unwrap_or_default();
                let page = match self.client.chat_after(self.bot, self.name.as_deref(), after, drafted).await {
                    Ok(page) => page,
                    Err(failure) if failure.may_pass => {
                        trouble = Some(failure);
                        sleep(READ_PAUSE).await;
                        continue;
                    }
                    Err(failure) => return Err(failure),
                };
                trouble = None;
                self.cursor = Some(page.next);
                let mut answer = None;
                for entry in page.items {
                    on_news(News::Entry(&entry));
                    if question.is_answered_by(&entry) {
                        answer = Some(entry);
                    }
                }
                if let Some(draft) = page.draft.filter(|_| answer.is_none()) {
                    drafted = draft.text.len();
                    on_news(News::Draft(&draft.text));
                }
                match answer {
                    Some(answer) => return Ok(answer),
                    None if asked_at.elapsed() < READ_PAUSE => sleep(READ_PAUSE).await,
                    None => {}
                }
            }
        };
        // Far enough ahead is for ever.
        let Some(deadline) = Instant::now().checked_add(within) else { return reading.await };
        match timeout_at(deadline, reading).await {
            Ok(result) => result,
            Err(_) => Err(trouble.unwrap_or_else(|| {
                let message = format!(
                    "No answer within {} s. The message is not lost: `lowtide chat` shows the answer when it is there.",
                    within.as_secs()
                );
                Failure::new(Exit::TimedOut, message)
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(seq: u64, turn: u8, kind: &str, message: Option<&str>, is_final: bool) -> EntryView {
        let turn = format!("turn_0000000000000000000000000{turn}");
        let value = json!({
            "seq": seq, "at": 0, "turn": turn, "kind": kind, "text": "", "message": message, "final": is_final
        });
        serde_json::from_value(value).unwrap()
    }

    fn answer_to(message: &str, log: &[EntryView]) -> Option<u64> {
        let mut question = Question::new(serde_json::from_value(json!(message)).unwrap());
        log.iter().find(|entry| question.is_answered_by(entry)).map(|entry| entry.seq)
    }

    #[test]
    fn the_final_entry_of_the_messages_turn_answers_it() {
        let log = [
            entry(0, 1, "user", Some("msg_other"), false),
            entry(1, 1, "assistant", None, true),
            entry(2, 2, "user", Some("msg_mine"), false),
            entry(3, 2, "assistant", None, false),
            entry(4, 2, "tool_result", None, false),
            entry(5, 2, "assistant", None, true),
        ];
        assert_eq!(answer_to("msg_mine", &log), Some(5));
        assert_eq!(answer_to("msg_unknown", &log), None);
    }

    #[test]
    fn a_message_that_is_stopped_or_left_out_is_not_waited_for() {
        let mut dropped = entry(2, 2, "dropped", None, true);
        dropped.messages = serde_json::from_value(json!(["msg_mine", "msg_third"])).unwrap();
        let log = [
            entry(0, 1, "user", Some("msg_other"), false),
            entry(1, 1, "stopped", None, true),
            dropped,
            entry(3, 3, "reset", None, false),
            entry(4, 3, "user", Some("msg_new"), false),
            entry(5, 3, "compaction", None, false),
            entry(6, 3, "notice", None, true),
        ];
        let asked = ["msg_other", "msg_mine", "msg_third", "msg_new", "msg_unknown"];
        assert_eq!(asked.map(|message| answer_to(message, &log)), [Some(1), Some(2), Some(2), Some(6), None]);
    }

    #[test]
    fn a_message_that_joins_a_turn_is_answered_by_its_end() {
        let log = [
            entry(0, 1, "user", Some("msg_other"), false),
            entry(1, 1, "assistant", None, false),
            entry(2, 1, "tool_result", None, false),
            entry(3, 1, "user", Some("msg_mine"), false),
            entry(4, 1, "failed", None, true),
        ];
        assert_eq!(answer_to("msg_mine", &log), Some(4));
    }
}
