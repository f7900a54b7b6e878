//! Every route of the API, with the scope that it needs.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::{Extension, Json};
use runtime::Environment;

use crate::extract::BodyLimit;
use crate::operation::Needs::Any;
use crate::operation::{delete, get, patch, post, put};
use crate::prompt::Prompter;
use crate::scope::Scope::{
    AccountRead, AccountWrite, Admin, Approve, BotsRead, BotsWrite, Chat, KeysWrite, SessionsRead, UsageRead,
};
use crate::views::Health;
use crate::{
    account, approvals, audit, bots, bots_list, budgets, chat, clones, dead_letters, events, files, keys, life, links,
    me, members, notices, openai, pairings, prompt, schedules, sessions, sign_in, transcripts, turns, usage,
};

/// All routes but that of their document.
pub(crate) fn routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .merge(tagged("sign-in", sign_in_routes()))
        .merge(tagged("people", people_routes()))
        .merge(tagged("account", account_routes()))
        .merge(tagged("bots", bot_routes()))
        .merge(tagged("chat", chat_routes()))
        .merge(tagged("openai", openai_routes()))
        .merge(tagged("sessions", session_routes()))
        .merge(tagged("files", file_routes()))
        .merge(tagged("links", link_routes()))
        .merge(tagged("schedules", schedule_routes()))
        .merge(tagged("approvals", approval_routes()))
        .merge(tagged("events", event_routes()))
        .merge(tagged("notices", notice_routes()))
        .merge(tagged("dead letters", dead_letter_routes()))
        .merge(tagged("service", service_routes()))
}

fn tagged(tag: &str, routes: ApiRouter<Environment>) -> ApiRouter<Environment> {
    routes.with_path_items(|path| path.tag(tag))
}

/// What browsers use before they are in: no scope, and no caller.
fn sign_in_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/sign-in",
            get_with(sign_in::ways, |operation| operation.id("listWaysIn").summary("The ways to sign in")),
        )
        .api_route(
            "/v1/sign-in/link",
            post_with(sign_in::by_link, |operation| {
                operation.id("signInByLink").summary("Sign a browser in with a one-time link")
            }),
        )
        .api_route(
            "/v1/sign-in/key",
            post_with(sign_in::by_key, |operation| operation.id("signInByKey").summary("Sign a browser in with a key")),
        )
        .api_route(
            "/v1/sign-in/openid",
            get_with(sign_in::openid::begin, |operation| {
                operation.id("signInByOpenId").summary("Send a browser to the identity provider")
            }),
        )
        .api_route(
            "/v1/sign-in/openid/callback",
            get_with(sign_in::openid::end, |operation| {
                operation.id("endSignInByOpenId").summary("Where the identity provider sends a browser back")
            }),
        )
        .api_route(
            "/v1/sign-out",
            post_with(sign_in::out, |operation| operation.id("signOut").summary("Sign a browser out")),
        )
}

fn people_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route("/v1/me", get(Any, me::show, "showMe", "Whose request this is"))
        .api_route("/v1/me/account", post(Any, me::choose, "chooseAccount", "Go over to another account"))
        .api_route("/v1/me/leave", post(Any, me::leave, "leaveAccount", "Be a member of this account no more"))
        .api_route(
            "/v1/me/invitations/{account}/accept",
            post(Any, me::accept, "acceptInvitation", "Become a member of an account that invites you"),
        )
        .api_route(
            "/v1/me/invitations/{account}/decline",
            post(Any, me::decline, "declineInvitation", "Say no to an invitation"),
        )
        .api_route(
            "/v1/sign-in-links",
            post(Admin, sign_in::browsers::offer, "offerLink", "Make a link that signs one browser in"),
        )
        .api_route(
            "/v1/browsers",
            get(Admin, sign_in::browsers::list, "listBrowsers", "List browsers that are signed in"),
        )
        .api_route(
            "/v1/browsers/{browser}",
            delete(Admin, sign_in::browsers::delete, "deleteBrowser", "Sign a browser out"),
        )
        .api_route(
            "/v1/keys",
            get(KeysWrite, keys::list, "listKeys", "List API keys").merge(post(
                KeysWrite,
                keys::create,
                "createKey",
                "Make an API key",
            )),
        )
        .api_route("/v1/keys/{key}", delete(KeysWrite, keys::delete, "deleteKey", "Delete an API key"))
        .api_route(
            "/v1/members",
            get(Admin, members::list, "listMembers", "List members and invitations").merge(post(
                Admin,
                members::invite,
                "inviteMember",
                "Keep a place for somebody",
            )),
        )
        .api_route(
            "/v1/members/{user}",
            get(Admin, members::show, "showMember", "Show a member")
                .merge(patch(Admin, members::change, "changeMember", "Give a member another role"))
                .merge(delete(Admin, members::delete, "deleteMember", "Take a member out")),
        )
        .api_route(
            "/v1/invitations/{email}",
            delete(Admin, members::uninvite, "deleteInvitation", "Take an invitation back"),
        )
        .api_route("/v1/audit", get(Admin, audit::list, "listChanges", "Who came in, and who changed what"))
}

fn account_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/account",
            get(AccountRead, account::show, "showAccount", "Show the account of the key").merge(patch(
                AccountWrite,
                account::change,
                "changeAccount",
                "Change the account's name or its budget",
            )),
        )
        .api_route("/v1/usage", get(UsageRead, budgets::usage, "listUsage", "What the account and its bots spent"))
        .api_route(
            "/v1/usage/report",
            get(UsageRead, usage::report, "reportUsage", "What models were used for, by day, bot, channel or model"),
        )
}

fn bot_routes() -> ApiRouter<Environment> {
    let prompter = Extension(Prompter::default());
    ApiRouter::new()
        .api_route(
            "/v1/bots",
            get(BotsRead, bots_list::list, "listBots", "List the account's bots").merge(post(
                BotsWrite,
                bots::create,
                "createBot",
                "Make a bot",
            )),
        )
        .api_route(
            "/v1/bots/{bot}",
            get(BotsRead, bots::show, "showBot", "Show a bot")
                .merge(patch(BotsWrite, bots::change, "changeBot", "Change a bot's settings"))
                .merge(delete(BotsWrite, life::delete, "deleteBot", "Delete a bot with all that it has")),
        )
        .api_route("/v1/templates", get(BotsRead, bots::templates, "listTemplates", "List what a new bot can begin as"))
        .api_route(
            "/v1/bots/{bot}/clone",
            post(BotsWrite, clones::create, "cloneBot", "Make another bot like this one"),
        )
        .api_route(
            "/v1/bots/{bot}/archive",
            post(BotsWrite, life::archive, "archiveBot", "Lay a bot to rest, with all that it has"),
        )
        .api_route(
            "/v1/bots/{bot}/restore",
            post(BotsWrite, life::restore, "restoreBot", "Bring an archived or deleted bot back"),
        )
        .api_route("/v1/bots/{bot}/pause", post(BotsWrite, bots::pause, "pauseBot", "Have a bot ignore messages"))
        .api_route("/v1/bots/{bot}/resume", post(BotsWrite, bots::resume, "resumeBot", "Have a bot answer again"))
        .api_route(
            "/v1/bots/{bot}/prompt",
            get(BotsRead, prompt::show, "showPrompt", "Show what a bot's model reads before a conversation")
                .layer(prompter.clone()),
        )
        .api_route(
            "/v1/bots/{bot}/skills",
            get(BotsRead, prompt::skills, "listSkills", "List a bot's skills").layer(prompter),
        )
}

fn chat_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/bots/{bot}/chat",
            get(Chat, chat::read, "readChat", "Read a conversation, and wait for what is new in it").merge(post(
                Chat,
                chat::send,
                "sendChat",
                "Send a message to a bot",
            )),
        )
        .api_route(
            "/v1/bots/{bot}/chat/events",
            get(Chat, chat::events::follow, "followChat", "Follow a conversation, and the answer while it is written"),
        )
        .api_route(
            "/v1/bots/{bot}/media/{media}",
            get(SessionsRead, chat::media, "readMedia", "Read a file that came with a message or that a tool made"),
        )
        .layer(DefaultBodyLimit::max(chat::MAX_BODY))
        .layer(Extension(BodyLimit(chat::MAX_BODY)))
}

/// What clients of `OpenAI` call, with its errors beside ours and with its longer bodies.
fn openai_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route("/v1/models", get(Chat, openai::list, "listModels", "List bots as models"))
        .api_route("/v1/models/{model}", get(Chat, openai::show, "showModel", "Show a bot as a model"))
        .api_route(
            "/v1/chat/completions",
            post(
                Chat,
                openai::completions::create,
                "createCompletion",
                "Talk to a bot as with OpenAI's chat completions",
            ),
        )
        .api_route(
            "/v1/responses",
            post(Chat, openai::responses::create, "createResponse", "Talk to a bot as with OpenAI's responses"),
        )
        .layer(from_fn(openai::explain))
        .layer(DefaultBodyLimit::max(openai::MAX_BODY))
        .layer(Extension(BodyLimit(openai::MAX_BODY)))
}

fn session_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/bots/{bot}/sessions",
            get(SessionsRead, sessions::list, "listSessions", "List a bot's sessions"),
        )
        .api_route(
            "/v1/bots/{bot}/sessions/{session}",
            get(SessionsRead, sessions::show, "showSession", "Show a session"),
        )
        .api_route(
            "/v1/bots/{bot}/sessions/{session}/entries",
            get(SessionsRead, transcripts::list, "listEntries", "Read what was said in a session"),
        )
        .api_route(
            "/v1/bots/{bot}/sessions/{session}/turns",
            get(SessionsRead, turns::list, "listTurns", "What each turn of a session took"),
        )
}

fn file_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route("/v1/bots/{bot}/files", get(BotsRead, files::list, "listFiles", "List a bot's files"))
        .api_route(
            "/v1/bots/{bot}/files/{*path}",
            get(BotsRead, files::read, "readFile", "Read a file")
                .merge(put(BotsWrite, files::write, "writeFile", "Write a file"))
                .merge(delete(BotsWrite, files::delete, "deleteFile", "Delete a file")),
        )
}

fn link_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/bots/{bot}/links",
            get(BotsRead, links::list, "listLinks", "List a bot's links").merge(post(
                BotsWrite,
                links::create,
                "createLink",
                "Log a bot in on a channel",
            )),
        )
        .api_route(
            "/v1/bots/{bot}/links/{link}",
            get(BotsRead, links::show, "showLink", "Show a link")
                .merge(patch(BotsWrite, links::change, "changeLink", "Change a link's login or its access rules"))
                .merge(delete(BotsWrite, links::delete, "deleteLink", "Delete a link")),
        )
        .api_route(
            "/v1/bots/{bot}/links/{link}/pause",
            post(BotsWrite, links::pause, "pauseLink", "Have a link ignore messages"),
        )
        .api_route(
            "/v1/bots/{bot}/links/{link}/resume",
            post(BotsWrite, links::resume, "resumeLink", "Have a link take messages again"),
        )
        .api_route(
            "/v1/bots/{bot}/links/{link}/check",
            post(
                BotsWrite,
                links::check,
                "checkLink",
                "Ask a link's channel what the bot may do there, and what it lacks",
            ),
        )
        .api_route(
            "/v1/bots/{bot}/links/{link}/pairings",
            get(SessionsRead, pairings::list, "listPairings", "List strangers who wait to be let in"),
        )
        .api_route(
            "/v1/bots/{bot}/links/{link}/pairings/approve",
            post(BotsWrite, pairings::approve, "approvePairing", "Let a stranger in"),
        )
}

fn schedule_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/bots/{bot}/schedules",
            get(BotsRead, schedules::list, "listSchedules", "List a bot's schedules").merge(post(
                BotsWrite,
                schedules::create,
                "createSchedule",
                "Make a schedule",
            )),
        )
        .api_route(
            "/v1/bots/{bot}/schedules/{schedule}",
            get(BotsRead, schedules::show, "showSchedule", "Show a schedule")
                .merge(patch(BotsWrite, schedules::change, "changeSchedule", "Change a part of a schedule"))
                .merge(delete(BotsWrite, schedules::delete, "deleteSchedule", "Delete a schedule")),
        )
        .api_route(
            "/v1/bots/{bot}/schedules/{schedule}/run",
            post(BotsWrite, schedules::run, "runSchedule", "Run a schedule now"),
        )
        .api_route(
            "/v1/bots/{bot}/schedules/{schedule}/runs",
            get(BotsRead, schedules::runs, "listRuns", "List the last runs of a schedule"),
        )
}

fn approval_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route("/v1/approvals", get(Approve, approvals::list, "listApprovals", "List tool calls that wait"))
        .api_route("/v1/approvals/{code}", post(Approve, approvals::decide, "decideApproval", "Decide on tool calls"))
}

fn event_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route("/v1/events", get(BotsRead, events::follow, "followEvents", "Follow what happens in the account"))
}

fn notice_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route("/v1/notices", get(AccountRead, notices::list, "listNotices", "List notices to the owner"))
        .api_route(
            "/v1/notices/{about}",
            delete(AccountWrite, notices::delete, "deleteNotice", "Remove a notice that was read"),
        )
}

fn dead_letter_routes() -> ApiRouter<Environment> {
    ApiRouter::new()
        .api_route(
            "/v1/dead-letters",
            get(SessionsRead, dead_letters::list, "listDeadLetters", "List tasks that failed for good"),
        )
        .api_route(
            "/v1/dead-letters/{letter}",
            get(SessionsRead, dead_letters::show, "showDeadLetter", "Show a task that failed for good"),
        )
        .api_route(
            "/v1/dead-letters/{letter}/replay",
            post(BotsWrite, dead_letters::replay, "replayDeadLetter", "Queue a task again"),
        )
        .api_route(
            "/v1/dead-letters/{letter}/discard",
            post(BotsWrite, dead_letters::discard, "discardDeadLetter", "Give a task up"),
        )
}

fn service_routes() -> ApiRouter<Environment> {
    ApiRouter::new().api_route(
        "/health",
        get_with(health, |operation| operation.id("showHealth").summary("Whether the service answers")),
    )
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}
