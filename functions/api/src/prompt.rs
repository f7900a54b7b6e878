//! What a bot's model reads before a conversation.

use std::collections::HashSet;
use std::sync::Arc;

use agent::{Agent, AgentConfig, BotView, ModelRequest, NoHost, PromptPart, SkillStatus, Skills};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use domain::message::Sender;
use domain::turn::Question;
use domain::{Bot, Channel, ChatKind, Entry, EntryBody, EntryId, MessageId, Timestamp, TurnId, UserMessage};
use runtime::{Environment, Settings};
use tokio::sync::OnceCell;

use crate::auth::Caller;
use crate::chat::webchat_link;
use crate::extract::Segments;
use crate::problem::Problem;
use crate::views::{BotSkill, Items, PromptPartView, PromptView, SkillSource, SkillView};

/// What prompts are built with: made for the first request that wants it, since no other route does.
#[derive(Clone, Default)]
pub(crate) struct Prompter(Arc<OnceCell<(Agent, Skills)>>);

impl Prompter {
    async fn get(&self, settings: &Settings) -> Result<&(Agent, Skills), Problem> {
        let make = async || {
            let agent = Agent::new(AgentConfig::default()).map_err(|error| unbuilt(&error))?;
            let skills = bot_files::built_in_skills(settings.skills_dir.as_deref()).map_err(|error| unbuilt(&error))?;
            Ok((agent, skills))
        };
        self.0.get_or_try_init(make).await
    }
}

/// `GET /v1/bots/{bot}/prompt`
pub(crate) async fn show(
    State(environment): State<Environment>,
    Extension(prompter): Extension<Prompter>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Json<PromptView>, Problem> {
    let bot = crate::bots::find(&environment, caller, &bot).await?;
    let (agent, built_in) = prompter.get(&environment.settings).await?;
    let (workspace, skills) = bot_files::load(&environment.store, &bot).await?;
    let skills = skills.over(built_in);
    let now = environment.clock.now();
    let report = agent.prompt_report(&ModelRequest {
        bot: BotView {
            name: &bot.name,
            time_zone: &bot.time_zone,
            model: bot.model.model.as_deref(),
            abilities: &bot.abilities,
            skills: &skills,
            ..BotView::default()
        },
        chat: ChatKind::Direct,
        workspace: &workspace,
        entries: &[hello(&bot, now)],
        question: &Question::Step { tools: true },
        host: &NoHost,
        progress: None,
        now,
    });
    let part = |PromptPart { name, tokens, is_system, .. }| PromptPartView { name, tokens, is_system };
    let skill = |SkillStatus { name, description, left_out }| SkillView { name, description, left_out };
    Ok(Json(PromptView {
        system: report.system(),
        tokens: report.tokens,
        parts: report.parts.into_iter().map(part).collect(),
        skills: skills.statuses(bot.abilities.skills.as_deref()).into_iter().map(skill).collect(),
    }))
}

/// `GET /v1/bots/{bot}/skills`
pub(crate) async fn skills(
    State(environment): State<Environment>,
    Extension(prompter): Extension<Prompter>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Json<Items<BotSkill>>, Problem> {
    let bot = crate::bots::find(&environment, caller, &bot).await?;
    let (_, built_in) = prompter.get(&environment.settings).await?;
    let (_, own) = bot_files::load(&environment.store, &bot).await?;
    let in_workspace: HashSet<String> = own.statuses(None).into_iter().map(|skill| skill.name).collect();
    let all = own.over(built_in).statuses(bot.abilities.skills.as_deref());
    let view = |SkillStatus { name, description, left_out }| {
        let source = if in_workspace.contains(&name) { SkillSource::Workspace } else { SkillSource::BuiltIn };
        BotSkill { name, description, source, left_out }
    };
    Ok(Json(Items { items: all.into_iter().map(view).collect() }))
}

/// The first message of a web chat.
fn hello(bot: &Bot, now: Timestamp) -> Entry {
    let user = UserMessage {
        message: MessageId::of(webchat_link(bot), "hello"),
        channel: Channel::WebChat,
        sender: Sender { id: "owner".to_owned(), name: None, username: None },
        text: "hello".to_owned(),
        is_command: false,
        attachments: vec![],
        quote: None,
        sent_at: now,
        received_at: None,
    };
    let (id, turn) = (EntryId::from_parts(now, 0), TurnId::from_parts(now, 0));
    Entry { seq: 0, id, turn, at: now, body: EntryBody::User(user) }
}

/// The deployment is at fault.
fn unbuilt(error: &dyn std::error::Error) -> Problem {
    tracing::error!("Prompts cannot be built: {error}");
    let detail = "The prompt cannot be built here. Repeating the request does not help; the log says why.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
