//! The API's client: one method a route, over the types that the API itself answers with.

use std::time::Duration;

use api::views::{
    AccountPatch, AccountView, ApprovalDecision, ApprovalView, AuditView, BotClone, BotCreate, BotLine, BotPatch,
    BotSkill, BotView, BrowserView, ChatAccepted, ChatPage, ChatSend, DeadLetterView, EntryPage, EntryView, FileView,
    InvitationView, Items, KeyCreate, KeyCreated, KeyView, LinkCheckView, LinkCreate, LinkOffer, LinkOffered,
    LinkPatch, LinkView, MemberInvite, MemberPatch, MemberView, MembersView, NoticeView, Page, PairingApprove,
    PairingApproved, PairingView, ProblemView, PromptView, RunView, ScheduleView, SessionPage, SessionView,
    TemplateView, TurnsPage, UsageReport, UsageView,
};
use domain::{BotId, JobId, LinkId};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Target;
use crate::failure::{Exit, Failure};

/// The longest that a request may take; above what the API takes to check a token with a channel.
const TIMEOUT: Duration = Duration::from_secs(45);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API holds a request for new entries, in seconds.
const WAIT: &str = "20";

/// How many lines of a list come at once: as many as the API gives.
const PAGE: &str = "100";

/// Talks to one deployment as one account.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    target: Target,
}

type Answer<T> = Result<T, Failure>;

impl Client {
    /// Makes no request yet.
    pub(crate) fn new(target: Target) -> Answer<Client> {
        let bad = || Failure::usage(format!("`{}` is not an address. Write it as https://host.", target.url));
        let base = Url::parse(&target.url).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(bad());
        }
        let mut builder = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        // A proxy cannot reach this machine by that name.
        if matches!(base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::new(Exit::Failed, format!("No HTTP client: {error}.")))?;
        Ok(Client { http, base, target })
    }

    /// The bot to talk to when none is named.
    pub(crate) fn default_bot(&self) -> Option<&str> {
        self.target.bot.as_deref()
    }

    pub(crate) async fn account_get(&self) -> Answer<AccountView> {
        self.json(self.request(Method::GET, &["v1", "account"])).await
    }

    pub(crate) async fn account_change(&self, patch: &AccountPatch) -> Answer<AccountView> {
        self.json(self.request(Method::PATCH, &["v1", "account"]).json(patch)).await
    }

    pub(crate) async fn usage(&self) -> Answer<Items<UsageView>> {
        self.all(&["v1", "usage"], None).await
    }

    pub(crate) async fn usage_report(&self, query: &[(&str, &str)]) -> Answer<UsageReport> {
        let mut url = self.url(&["v1", "usage", "report"]);
        url.query_pairs_mut().extend_pairs(query);
        self.json(self.http.get(url).bearer_auth(&self.target.key)).await
    }

    pub(crate) async fn notice_list(&self) -> Answer<Items<NoticeView>> {
        self.all(&["v1", "notices"], None).await
    }

    pub(crate) async fn notice_delete(&self, about: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["v1", "notices", about])).await
    }

    /// Where Lowtide is, without a slash at the end.
    pub(crate) fn address(&self) -> &str {
        self.target.url.trim_end_matches('/')
    }

    pub(crate) async fn sign_in_link(&self, offer: &LinkOffer) -> Answer<LinkOffered> {
        self.json(self.request(Method::POST, &["v1", "sign-in-links"]).json(offer)).await
    }

    pub(crate) async fn key_list(&self) -> Answer<Items<KeyView>> {
        self.json(self.request(Method::GET, &["v1", "keys"])).await
    }

    pub(crate) async fn key_create(&self, key: &KeyCreate) -> Answer<KeyCreated> {
        self.json(self.request(Method::POST, &["v1", "keys"]).json(key)).await
    }

    pub(crate) async fn key_delete(&self, key: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["v1", "keys", key])).await
    }

    pub(crate) async fn member_list(&self) -> Answer<MembersView> {
        self.json(self.request(Method::GET, &["v1", "members"])).await
    }

    pub(crate) async fn member_invite(&self, invite: &MemberInvite) -> Answer<InvitationView> {
        self.json(self.request(Method::POST, &["v1", "members"]).json(invite)).await
    }

    pub(crate) async fn member_change(&self, user: &str, patch: &MemberPatch) -> Answer<MemberView> {
        self.json(self.request(Method::PATCH, &["v1", "members", user]).json(patch)).await
    }

    pub(crate) async fn member_delete(&self, user: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["v1", "members", user])).await
    }

    pub(crate) async fn invitation_delete(&self, email: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["v1", "invitations", email])).await
    }

    /// The newest changes.
    pub(crate) async fn audit(&self) -> Answer<Page<AuditView>> {
        self.json(self.request(Method::GET, &["v1", "audit"])).await
    }

    /// All changes that are kept.
    pub(crate) async fn audit_all(&self) -> Answer<Page<AuditView>> {
        let Items { items } = self.all(&["v1", "audit"], None).await?;
        Ok(Page { items, next: None })
    }

    pub(crate) async fn approval_list(&self) -> Answer<Items<ApprovalView>> {
        self.json(self.request(Method::GET, &["v1", "approvals"])).await
    }

    pub(crate) async fn approval_decide(&self, code: &str, decision: ApprovalDecision) -> Answer<()> {
        self.done(self.request(Method::POST, &["v1", "approvals", code]).json(&decision)).await
    }

    /// All bots, or those whose names begin so.
    pub(crate) async fn bot_list(&self, name: Option<&str>) -> Answer<Items<BotLine>> {
        self.all(&["v1", "bots"], name.map(|name| ("name", name))).await
    }

    /// The first bots.
    pub(crate) async fn bot_page(&self) -> Answer<Page<BotLine>> {
        self.json(self.request(Method::GET, &["v1", "bots"])).await
    }

    pub(crate) async fn bot_create(&self, bot: &BotCreate) -> Answer<BotView> {
        self.json(self.request(Method::POST, &["v1", "bots"]).json(bot)).await
    }

    pub(crate) async fn bot_clone(&self, bot: BotId, clone: &BotClone) -> Answer<BotView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "clone"]).json(clone)).await
    }

    pub(crate) async fn template_list(&self) -> Answer<Items<TemplateView>> {
        self.json(self.request(Method::GET, &["v1", "templates"])).await
    }

    /// The bot with this id or name.
    pub(crate) async fn bot_get(&self, bot: &str) -> Answer<BotView> {
        let response = self.send(self.request(Method::GET, &["v1", "bots", bot])).await?;
        if response.status() == StatusCode::NOT_FOUND && is_problem(&response) {
            return Err(Failure::usage(format!("There is no bot `{bot}`. `lowtide bots list` shows yours.")));
        }
        self.read(self.checked(response).await?).await
    }

    pub(crate) async fn bot_change(&self, bot: BotId, patch: &BotPatch) -> Answer<BotView> {
        self.json(self.request(Method::PATCH, &["v1", "bots", &bot.to_string()]).json(patch)).await
    }

    pub(crate) async fn bot_pause(&self, bot: BotId) -> Answer<BotView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "pause"])).await
    }

    pub(crate) async fn bot_resume(&self, bot: BotId) -> Answer<BotView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "resume"])).await
    }

    pub(crate) async fn bot_archive(&self, bot: BotId) -> Answer<BotView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "archive"])).await
    }

    pub(crate) async fn bot_restore(&self, bot: BotId) -> Answer<BotView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "restore"])).await
    }

    /// Deletes a bot; `now`: so that it cannot be restored.
    pub(crate) async fn bot_delete(&self, bot: BotId, now: bool) -> Answer<()> {
        let mut url = self.url(&["v1", "bots", &bot.to_string()]);
        if now {
            url.query_pairs_mut().append_pair("now", "true");
        }
        self.done(self.http.delete(url).bearer_auth(&self.target.key)).await
    }

    pub(crate) async fn chat_send(&self, bot: BotId, message: &ChatSend) -> Answer<ChatAccepted> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "chat"]).json(message)).await
    }

    /// The entries from `after` on; waits a while for the first of them.
    /// Returns early where there is a draft of another length than `draft`, in bytes.
    pub(crate) async fn chat_after(
        &self,
        bot: BotId,
        conversation: Option<&str>,
        after: u64,
        draft: usize,
    ) -> Answer<ChatPage> {
        let (after, draft) = (after.to_string(), draft.to_string());
        self.json(self.chat(bot, conversation, &[("after", &after), ("wait", WAIT), ("draft", &draft)])).await
    }

    /// The last entries.
    pub(crate) async fn chat_last(&self, bot: BotId, conversation: Option<&str>, limit: u32) -> Answer<ChatPage> {
        self.json(self.chat(bot, conversation, &[("limit", &limit.to_string())])).await
    }

    fn chat(&self, bot: BotId, conversation: Option<&str>, query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.url(&["v1", "bots", &bot.to_string(), "chat"]);
        let conversation = conversation.map(|name| ("conversation", name));
        url.query_pairs_mut().extend_pairs(query.iter().copied().chain(conversation));
        self.http.get(url).bearer_auth(&self.target.key)
    }

    pub(crate) async fn skill_list(&self, bot: BotId) -> Answer<Items<BotSkill>> {
        self.json(self.request(Method::GET, &["v1", "bots", &bot.to_string(), "skills"])).await
    }

    pub(crate) async fn browser_list(&self) -> Answer<Items<BrowserView>> {
        self.json(self.request(Method::GET, &["v1", "browsers"])).await
    }

    pub(crate) async fn browser_delete(&self, browser: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["v1", "browsers", browser])).await
    }

    pub(crate) async fn bot_prompt(&self, bot: BotId) -> Answer<PromptView> {
        self.json(self.request(Method::GET, &["v1", "bots", &bot.to_string(), "prompt"])).await
    }

    pub(crate) async fn file_list(&self, bot: BotId) -> Answer<Items<FileView>> {
        self.json(self.request(Method::GET, &["v1", "bots", &bot.to_string(), "files"])).await
    }

    pub(crate) async fn file_get(&self, bot: BotId, path: &str) -> Answer<String> {
        let request = self.file(Method::GET, bot, path);
        let response = self.checked(self.send(request).await?).await?;
        response.text().await.map_err(|error| self.lost(&error))
    }

    pub(crate) async fn file_put(&self, bot: BotId, path: &str, text: String) -> Answer<()> {
        let request = self.file(Method::PUT, bot, path);
        self.done(request.header(header::CONTENT_TYPE, "text/markdown; charset=utf-8").body(text)).await
    }

    pub(crate) async fn file_delete(&self, bot: BotId, path: &str) -> Answer<()> {
        self.done(self.file(Method::DELETE, bot, path)).await
    }

    fn file(&self, method: Method, bot: BotId, path: &str) -> RequestBuilder {
        let bot = bot.to_string();
        let segments: Vec<&str> = ["v1", "bots", &bot, "files"].into_iter().chain(path.split('/')).collect();
        self.request(method, &segments)
    }

    pub(crate) async fn session_list(&self, bot: BotId) -> Answer<Items<SessionView>> {
        self.all(&["v1", "bots", &bot.to_string(), "sessions"], None).await
    }

    pub(crate) async fn session_get(&self, bot: BotId, session: &str) -> Answer<SessionPage> {
        self.json(self.request(Method::GET, &["v1", "bots", &bot.to_string(), "sessions", session])).await
    }

    /// All that was said in a session.
    pub(crate) async fn session_entries(&self, bot: BotId, session: &str) -> Answer<Items<EntryView>> {
        let (mut items, mut after) = (Vec::new(), 0);
        loop {
            let mut url = self.url(&["v1", "bots", &bot.to_string(), "sessions", session, "entries"]);
            url.query_pairs_mut().append_pair("limit", PAGE).append_pair("after", &after.to_string());
            let page: EntryPage = self.json(self.http.get(url).bearer_auth(&self.target.key)).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = next,
                None => return Ok(Items { items }),
            }
        }
    }

    /// The newest turns.
    pub(crate) async fn session_turns(&self, bot: BotId, session: &str, limit: Option<u32>) -> Answer<TurnsPage> {
        let mut url = self.url(&["v1", "bots", &bot.to_string(), "sessions", session, "turns"]);
        if let Some(limit) = limit {
            url.query_pairs_mut().append_pair("limit", &limit.to_string());
        }
        self.json(self.http.get(url).bearer_auth(&self.target.key)).await
    }

    pub(crate) async fn link_list(&self, bot: BotId) -> Answer<Items<LinkView>> {
        self.all(&["v1", "bots", &bot.to_string(), "links"], None).await
    }

    pub(crate) async fn link_create(&self, bot: BotId, link: &LinkCreate) -> Answer<LinkView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "links"]).json(link)).await
    }

    pub(crate) async fn link_change(&self, bot: BotId, link: LinkId, patch: &LinkPatch) -> Answer<LinkView> {
        self.json(self.link(Method::PATCH, bot, link, &[]).json(patch)).await
    }

    pub(crate) async fn link_pause(&self, bot: BotId, link: LinkId) -> Answer<LinkView> {
        self.json(self.link(Method::POST, bot, link, &["pause"])).await
    }

    pub(crate) async fn link_resume(&self, bot: BotId, link: LinkId) -> Answer<LinkView> {
        self.json(self.link(Method::POST, bot, link, &["resume"])).await
    }

    pub(crate) async fn link_check(&self, bot: BotId, link: LinkId) -> Answer<LinkCheckView> {
        self.json(self.link(Method::POST, bot, link, &["check"])).await
    }

    pub(crate) async fn link_delete(&self, bot: BotId, link: LinkId) -> Answer<()> {
        self.done(self.link(Method::DELETE, bot, link, &[])).await
    }

    pub(crate) async fn pairing_list(&self, bot: BotId, link: LinkId) -> Answer<Items<PairingView>> {
        self.json(self.link(Method::GET, bot, link, &["pairings"])).await
    }

    pub(crate) async fn pairing_approve(&self, bot: BotId, link: LinkId, code: &str) -> Answer<PairingApproved> {
        let body = PairingApprove { code: code.to_owned() };
        self.json(self.link(Method::POST, bot, link, &["pairings", "approve"]).json(&body)).await
    }

    fn link(&self, method: Method, bot: BotId, link: LinkId, rest: &[&str]) -> RequestBuilder {
        let (bot, link) = (bot.to_string(), link.to_string());
        let path: Vec<&str> = ["v1", "bots", &bot, "links", &link].into_iter().chain(rest.iter().copied()).collect();
        self.request(method, &path)
    }

    pub(crate) async fn schedule_list(&self, bot: BotId) -> Answer<Items<ScheduleView>> {
        self.all(&["v1", "bots", &bot.to_string(), "schedules"], None).await
    }

    pub(crate) async fn schedule_create(&self, bot: BotId, job: &Value) -> Answer<ScheduleView> {
        self.json(self.request(Method::POST, &["v1", "bots", &bot.to_string(), "schedules"]).json(job)).await
    }

    /// Changes it, if it is still as it was seen.
    pub(crate) async fn schedule_change(&self, bot: BotId, seen: &ScheduleView, patch: &Value) -> Answer<ScheduleView> {
        let request = self.schedule(Method::PATCH, bot, seen.job.id, &[]);
        self.json(request.header(header::IF_MATCH, format!("\"{}\"", seen.job.version)).json(patch)).await
    }

    pub(crate) async fn schedule_delete(&self, bot: BotId, schedule: JobId) -> Answer<()> {
        self.done(self.schedule(Method::DELETE, bot, schedule, &[])).await
    }

    pub(crate) async fn schedule_run(&self, bot: BotId, schedule: JobId) -> Answer<()> {
        self.done(self.schedule(Method::POST, bot, schedule, &["run"])).await
    }

    /// The newest first.
    pub(crate) async fn schedule_runs(&self, bot: BotId, schedule: JobId) -> Answer<Items<RunView>> {
        self.json(self.schedule(Method::GET, bot, schedule, &["runs"])).await
    }

    fn schedule(&self, method: Method, bot: BotId, schedule: JobId, rest: &[&str]) -> RequestBuilder {
        let (bot, id) = (bot.to_string(), schedule.to_string());
        let path: Vec<&str> = ["v1", "bots", &bot, "schedules", &id].into_iter().chain(rest.iter().copied()).collect();
        self.request(method, &path)
    }

    pub(crate) async fn dead_letter_list(&self) -> Answer<Items<DeadLetterView>> {
        self.all(&["v1", "dead-letters"], None).await
    }

    pub(crate) async fn dead_letter_get(&self, id: &str) -> Answer<DeadLetterView> {
        self.json(self.request(Method::GET, &["v1", "dead-letters", id])).await
    }

    /// Queues the task again; `force` does so although the letter was settled before.
    pub(crate) async fn dead_letter_replay(&self, id: &str, force: bool) -> Answer<DeadLetterView> {
        let mut url = self.url(&["v1", "dead-letters", id, "replay"]);
        if force {
            url.query_pairs_mut().append_pair("force", "true");
        }
        self.json(self.http.post(url).bearer_auth(&self.target.key)).await
    }

    pub(crate) async fn dead_letter_discard(&self, id: &str) -> Answer<DeadLetterView> {
        self.json(self.request(Method::POST, &["v1", "dead-letters", id, "discard"])).await
    }

    /// All lines of a list, page by page.
    async fn all<T: DeserializeOwned>(&self, path: &[&str], filter: Option<(&str, &str)>) -> Answer<Items<T>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut url = self.url(path);
            let place = cursor.as_deref().map(|cursor| ("cursor", cursor));
            url.query_pairs_mut().append_pair("limit", PAGE).extend_pairs(filter.into_iter().chain(place));
            let page: Page<T> = self.json(self.http.get(url).bearer_auth(&self.target.key)).await?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Items { items });
            }
        }
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(&self.target.key)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only an address without a host refuses segments, and `new` lets none in.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = self.checked(self.send(request).await?).await?;
        self.read(response).await
    }

    async fn done(&self, request: RequestBuilder) -> Answer<()> {
        self.checked(self.send(request).await?).await.map(drop)
    }

    async fn send(&self, request: RequestBuilder) -> Answer<Response> {
        request.send().await.map_err(|error| self.lost(&error))
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Answer<T> {
        response.json().await.map_err(|error| if error.is_decode() { self.strange() } else { self.lost(&error) })
    }

    /// Turns the API's errors into ours.
    async fn checked(&self, response: Response) -> Answer<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem = if is_problem(&response) { response.json::<ProblemView>().await.ok() } else { None };
        let Some(problem) = problem else {
            let message = format!("{} answered with HTTP {status}, not as Lowtide does. Check the address.", self.base);
            return Err(Failure { may_pass: status.is_server_error(), ..Failure::new(Exit::Unreachable, message) });
        };
        let exit = match status {
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Exit::Failed,
            status if status.is_client_error() => Exit::Usage,
            _ => Exit::Failed,
        };
        let may_pass = matches!(status.as_u16(), 429 | 500 | 502..=504);
        Err(Failure { may_pass, ..Failure::new(exit, problem.detail) })
    }

    fn lost(&self, error: &reqwest::Error) -> Failure {
        let what = if error.is_timeout() { "it did not answer in time" } else { "there is no connection" };
        let message = format!("Cannot reach Lowtide at {}: {what}. Is `lowtide dev` running?", self.target.url);
        Failure { may_pass: true, ..Failure::new(Exit::Unreachable, message) }
    }

    fn strange(&self) -> Failure {
        let message = format!(
            "What {} answered cannot be read. Is it Lowtide, and of the same version as this program ({})?",
            self.target.url,
            env!("CARGO_PKG_VERSION")
        );
        Failure::new(Exit::Failed, message)
    }
}

fn is_problem(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| media_type.starts_with("application/problem+json"))
}
