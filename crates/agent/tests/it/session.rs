//! A session's log, written by hand.

use agent::{Agent, AgentConfig, BotView, Mind, ModelRequest, NoHost, Secret, ToolContext, Workspace};
use agent::{
    Assignment, BoxFuture, Expect, FileContent, FileInfo, Host, HostError, JobAnswer, JobRequest, Place, SessionInfo,
    ToSend,
};
use bytes::Bytes;
use domain::turn::Question;
use domain::{
    Answer, Channel, ChatKind, Entry, EntryBody, EntryId, LinkId, Media, MediaId, MessageId, Sender, SessionKey,
    Timestamp, ToolCall, ToolOutcome, ToolResult, TurnId, UserMessage,
};

/// The next step of a turn, which may call tools.
pub(crate) static STEP: Question = Question::Step { tools: true };

/// A Sunday afternoon in November 2026.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_356_000);

pub(crate) fn agent(config: AgentConfig) -> Agent {
    // Only the first test of the process installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Agent::new(config).expect("an agent")
}

#[derive(Default)]
pub(crate) struct Session {
    pub(crate) entries: Vec<Entry>,
    pub(crate) workspace: Workspace,
}

impl Session {
    pub(crate) fn push(&mut self, body: EntryBody) {
        let seq = self.entries.len() as u64;
        let id = EntryId::from_parts(NOW, u128::from(seq));
        self.entries.push(Entry { seq, id, turn: TurnId::from_parts(NOW, 1), at: NOW, body });
    }

    pub(crate) fn say(&mut self, text: &str) {
        let message = MessageId::of(LinkId::from_parts(NOW, 1), &self.entries.len().to_string());
        let sender = Sender { id: "555".into(), name: Some("Ann".into()), username: None };
        let text = text.to_owned();
        let (attachments, quote, channel) = (vec![], None, Channel::Telegram);
        let is_command = text.starts_with('/');
        self.push(EntryBody::User(UserMessage {
            message,
            channel,
            sender,
            text,
            is_command,
            attachments,
            quote,
            sent_at: NOW,
            received_at: None,
        }));
    }

    /// What a worker does with an answer.
    pub(crate) async fn take(&mut self, agent: &Agent, answer: Answer) {
        let calls = answer.tool_calls.clone();
        self.push(EntryBody::Assistant(answer));
        let (session, entries) = (SessionKey::main("main"), self.entries.clone());
        let context = ToolContext { entries: &entries, ..tool_context(&session) };
        for call in calls {
            let result = agent.run_tool(&call, &context).await;
            self.push(EntryBody::ToolResult(result));
        }
    }

    pub(crate) fn request<'a>(
        &'a self,
        model: Option<&'a str>,
        url: Option<&'a str>,
        key: &'a Secret,
    ) -> ModelRequest<'a> {
        let (name, time_zone) = ("Heron", "Europe/Berlin");
        let bot = BotView { name, time_zone, model, base_url: url, api_key: Some(key), ..BotView::default() };
        let (workspace, entries) = (&self.workspace, self.entries.as_slice());
        ModelRequest {
            bot,
            chat: ChatKind::Direct,
            workspace,
            entries,
            question: &STEP,
            host: &NoHost,
            progress: None,
            now: NOW,
        }
    }
}

fn tool_context(session: &SessionKey) -> ToolContext<'_> {
    let bot = BotView { name: "Heron", time_zone: "Europe/Berlin", ..BotView::default() };
    let turn = TurnId::from_parts(NOW, 1);
    ToolContext { now: NOW, bot, session, turn, entries: &[], host: &NoHost }
}

pub(crate) async fn run_tool(agent: &Agent, name: &str, arguments: serde_json::Value) -> (ToolOutcome, String) {
    let call = ToolCall { id: "call_1".into(), name: name.into(), arguments: arguments.to_string() };
    let session = SessionKey::main("main");
    let context = tool_context(&session);
    let ToolResult { outcome, text, .. } = agent.run_tool(&call, &context).await;
    (outcome, text)
}

/// A world of nothing but pictures.
pub(crate) struct Pictures(pub(crate) Vec<(MediaId, &'static [u8])>);

impl Host for Pictures {
    fn media<'a>(&'a self, id: &'a MediaId) -> BoxFuture<'a, Result<Bytes, HostError>> {
        let found = self.0.iter().find(|(known, _)| known == id).map(|(_, bytes)| Bytes::from_static(bytes));
        Box::pin(async { found.ok_or_else(|| HostError::Failed("there is no such picture".to_owned())) })
    }

    fn files(&self) -> BoxFuture<'_, Result<Vec<FileInfo>, HostError>> {
        Host::files(&NoHost)
    }

    fn file_read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileContent>, HostError>> {
        Host::file_read(&NoHost, path)
    }

    fn file_write<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Host::file_write(&NoHost, path, bytes, expect)
    }

    fn media_keep<'a>(
        &'a self,
        bytes: Bytes,
        mime: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Media, HostError>> {
        Host::media_keep(&NoHost, bytes, mime, name)
    }

    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, HostError>> {
        Host::places(&NoHost)
    }

    fn place<'a>(&'a self, session: &'a SessionKey) -> BoxFuture<'a, Result<Option<Place>, HostError>> {
        Host::place(&NoHost, session)
    }

    fn send<'a>(&'a self, call: &'a str, to: &'a Place, what: ToSend) -> BoxFuture<'a, Result<(), HostError>> {
        Host::send(&NoHost, call, to, what)
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>, HostError>> {
        Host::sessions(&NoHost)
    }

    fn history<'a>(&'a self, session: &'a SessionKey, limit: usize) -> BoxFuture<'a, Result<Vec<Entry>, HostError>> {
        Host::history(&NoHost, session, limit)
    }

    fn say_in<'a>(
        &'a self,
        call: &'a str,
        session: &'a SessionKey,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Host::say_in(&NoHost, call, session, text)
    }

    fn spawn<'a>(&'a self, call: &'a str, work: Assignment) -> BoxFuture<'a, Result<SessionKey, HostError>> {
        Host::spawn(&NoHost, call, work)
    }

    fn jobs<'a>(&'a self, call: &'a str, request: JobRequest) -> BoxFuture<'a, Result<JobAnswer, HostError>> {
        Host::jobs(&NoHost, call, request)
    }
}
