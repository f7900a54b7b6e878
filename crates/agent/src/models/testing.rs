//! Answers written by hand, read as those of servers are.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use domain::account::ModelApi;
use domain::{Answer, Entry, EntryBody, EntryId, Thinking, Timestamp, TurnId};
use serde_json::Value;

use super::call::{Call, Inquiry};
use super::draft::Draft;
use super::exchange::take;
use super::frames::{Amazon, Events, Frames};
use super::provider::Target;
use super::{Failure, wire};
use crate::tools::Toolbox;
use crate::{BotView, ModelRequest, NoHost, Workspace};

/// The bytes of a stream, event by event.
#[derive(Clone)]
pub(super) struct Stream {
    events: Vec<Vec<u8>>,
    is_amazon: bool,
}

impl Stream {
    /// Server-sent events with this data.
    pub(super) fn events<const N: usize>(data: [&str; N]) -> Stream {
        let event = |data: &str| format!(": comment\r\nevent: x\r\ndata: {data}\r\n\r\n").into_bytes();
        Stream { events: data.into_iter().map(event).collect(), is_amazon: false }
    }

    /// An event stream of Amazon's with events or exceptions of these types.
    pub(super) fn amazon<const N: usize>(events: [(&str, &str, &str); N]) -> Stream {
        let event = |(kind, name, payload): (&str, &str, &str)| {
            let header =
                |name: &str, value: &str| Header::new(name.to_owned(), HeaderValue::String(value.to_owned().into()));
            let message = Message::new(payload.as_bytes().to_vec())
                .add_header(header(":message-type", kind))
                .add_header(header(&format!(":{kind}-type"), name));
            let mut bytes = Vec::new();
            write_message_to(&message, &mut bytes).unwrap();
            bytes
        };
        Stream { events: events.into_iter().map(event).collect(), is_amazon: true }
    }

    pub(super) fn cut_after(&self, events: usize) -> Stream {
        Stream { events: self.events[..events].to_vec(), ..*self }
    }
}

fn target(reference: &str) -> Target<'_> {
    let bot = BotView { base_url: Some("https://models.example/v1"), ..BotView::default() };
    Target::of(reference, &bot, None).unwrap()
}

/// What an answer is that comes as one piece of JSON.
pub(super) fn whole(reference: &str, json: &str) -> Result<Answer, Failure> {
    let (target, mut draft) = (target(reference), Draft::default());
    wire::fold(target.api).whole(&mut draft, &serde_json::from_str(json).unwrap())?;
    draft.into_answer(&target)
}

/// What an answer is that comes as a stream, however its bytes are dealt out.
pub(super) fn streamed(reference: &str, stream: &Stream) -> Result<Answer, Failure> {
    streamed_as(&target(reference), stream)
}

/// As [`streamed`], in a protocol that is not the provider's own.
pub(super) fn streamed_over(api: ModelApi, reference: &str, stream: &Stream) -> Result<Answer, Failure> {
    let bot = BotView { api: Some(api), base_url: Some("https://models.example/v1"), ..BotView::default() };
    streamed_as(&Target::of(reference, &bot, None).unwrap(), stream)
}

fn streamed_as(target: &Target<'_>, stream: &Stream) -> Result<Answer, Failure> {
    let bytes: Vec<u8> = stream.events.concat();
    let read = |size: usize| {
        let (mut draft, mut fold) = (Draft::default(), wire::fold(target.api));
        let mut frames =
            if stream.is_amazon { Frames::Amazon(Amazon::default()) } else { Frames::Events(Events::default()) };
        let taken = bytes.chunks(size).try_for_each(|piece| take(&mut *fold, &mut frames, piece, &mut draft));
        taken.map_err(|failure| failure.billed_if(draft.has_begun()))?;
        draft.into_answer(target)
    };
    let (at_once, by_bytes) = (read(bytes.len().max(1)), read(1));
    assert_eq!(format!("{at_once:?}"), format!("{by_bytes:?}"));
    at_once
}

/// The request that a bot's model would be sent after `bodies`.
pub(super) fn request_after(bot: BotView<'_>, bodies: Vec<EntryBody>) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let at = Timestamp::from_secs(1_795_356_000);
    let entry = |(seq, body)| {
        let (id, turn) = (EntryId::from_parts(at, u128::from(seq)), TurnId::from_parts(at, 1));
        Entry { seq, id, turn, at, body }
    };
    let entries: Vec<Entry> = (0..).zip(bodies).map(entry).collect();
    let (workspace, toolbox) = (Workspace::default(), Toolbox::new(&[], false).unwrap());
    let request = ModelRequest {
        bot,
        chat: domain::ChatKind::Direct,
        workspace: &workspace,
        entries: &entries,
        question: &domain::turn::Question::Step { tools: true },
        host: &NoHost,
        progress: None,
        now: at,
    };
    let target = Target::of(bot.model.unwrap(), &bot, None).unwrap();
    wire::outgoing(&Call::of(&Inquiry::Turn(request), target, &toolbox)).body
}

/// A person's message.
pub(super) fn said(text: &str) -> EntryBody {
    let at = Timestamp::from_secs(1_795_356_000);
    EntryBody::User(domain::UserMessage {
        message: domain::MessageId::of(domain::LinkId::from_parts(at, 1), text),
        channel: domain::Channel::Telegram,
        sender: domain::Sender { id: "1".into(), name: None, username: None },
        text: text.into(),
        is_command: false,
        attachments: vec![],
        quote: None,
        sent_at: at,
        received_at: None,
    })
}

/// The result of a tool call.
pub(super) fn result(call: &str, text: &str) -> EntryBody {
    EntryBody::ToolResult(domain::ToolResult {
        call: call.into(),
        name: "current_time".into(),
        outcome: domain::ToolOutcome::Ok,
        text: text.into(),
        media: vec![],
        asked: None,
    })
}

/// A bot with this model, which thinks hard.
pub(super) fn thinker(model: &str) -> BotView<'_> {
    let base_url = Some("https://models.example/v1");
    BotView { model: Some(model), base_url, thinking: Some(Thinking::High), ..BotView::default() }
}
