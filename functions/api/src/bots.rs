//! Bots: made, changed, paused.

use agent::{TEMPLATES, Template};
use axum::Json;
use axum::extract::State;
use domain::account::bot_name;
use domain::{Bot, BotId, BotStatus, QueueSettings};
use runtime::Environment;

use crate::abilities;
use crate::answers::{Created, Versioned};
use crate::auth::Caller;
use crate::budgets;
use crate::extract::{JsonBody, Preconditions, Segments};
use crate::model_settings;
use crate::problem::Problem;
use crate::views::{BotCreate, BotPatch, BotView, Items, QueuePatch, TemplateView};

/// The agent id in the session keys of a bot that is made here.
const AGENT: &str = "main";
const DEFAULT_TIME_ZONE: &str = "UTC";

/// `POST /v1/bots`
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    JsonBody(request): JsonBody<BotCreate>,
) -> Result<Created<BotView>, Problem> {
    let template = template(request.template.as_deref())?;
    let bot = new_bot(&environment, caller, request).await?;
    let account = environment.store.account(caller.account);
    if account.bot_find(&bot.name).await?.is_some() {
        return Err(name_taken(&bot.name));
    }
    // The workspace first: a crash in between leaves files of no bot, and never a bot without its files.
    for file in template.workspace(&bot.name).files {
        account.workspace_put(bot.id, &file.name, &file.text).await?;
    }
    account.bot_create(&bot).await?;
    environment.heartbeat_apply(&bot).await?;
    tracing::info!(account = %caller.account, bot = %bot.id, "A bot was made.");
    Ok(Created { location: format!("/v1/bots/{}", bot.id), version: bot.version, record: view(&bot) })
}

/// The template of this id; without one that of an assistant.
fn template(id: Option<&str>) -> Result<&'static Template, Problem> {
    let Some(id) = id else { return Ok(&TEMPLATES[0]) };
    Template::find(id).ok_or_else(|| {
        let ids = TEMPLATES.each_ref().map(|template| template.id).join(", ");
        Problem::bad_request(format!("template: there is none of this name; take one of {ids}."))
    })
}

/// `GET /v1/templates`
#[allow(
    clippy::unnecessary_wraps,
    clippy::unused_async,
    reason = "handlers are alike: the document tells of their errors"
)]
pub(crate) async fn templates(_: Caller) -> Result<Json<Items<TemplateView>>, Problem> {
    let view = |template: &Template| TemplateView {
        id: template.id.to_owned(),
        title: template.title.to_owned(),
        about: template.about.to_owned(),
    };
    Ok(Json(Items { items: TEMPLATES.iter().map(view).collect() }))
}

async fn new_bot(environment: &Environment, caller: Caller, request: BotCreate) -> Result<Bot, Problem> {
    let now = environment.clock.now();
    let mut bot = Bot {
        id: BotId::from_parts(now, environment.entropy.next_u128()),
        account: caller.account,
        name: String::new(),
        status: BotStatus::Active,
        rest: None,
        agent: AGENT.to_owned(),
        model: Default::default(),
        time_zone: DEFAULT_TIME_ZONE.to_owned(),
        dm_scope: Default::default(),
        queue: Default::default(),
        resets: Default::default(),
        budget: Default::default(),
        turn_budget: None,
        abilities: Default::default(),
        streaming: Default::default(),
        heartbeat: Default::default(),
        heard_at: None,
        heard_in: Default::default(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let fields = BotPatch {
        name: Some(request.name),
        model: request.model,
        time_zone: request.time_zone,
        dm_scope: request.dm_scope,
        queue: request.queue,
        resets: request.resets,
        streaming: request.streaming,
        heartbeat: request.heartbeat,
        budget: Some(request.budget),
        turn_budget: Some(request.turn_budget),
        abilities: request.abilities,
    };
    apply(environment, &mut bot, fields).await?;
    Ok(bot)
}

/// `GET /v1/bots/{bot}`
pub(crate) async fn show(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Versioned<BotView>, Problem> {
    let bot = find(&environment, caller, &bot).await?;
    Ok(answer(&bot))
}

/// `PATCH /v1/bots/{bot}`
pub(crate) async fn change(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
    conditions: Preconditions,
    JsonBody(patch): JsonBody<BotPatch>,
) -> Result<Versioned<BotView>, Problem> {
    let seen = find(&environment, caller, &bot).await?;
    conditions.check(seen.version)?;
    let mut bot = seen.clone();
    let sets_heartbeat = patch.heartbeat.is_some();
    apply(&environment, &mut bot, patch).await?;
    let answer = save(&environment, &seen, bot.clone()).await?;
    // Said again, it is done again: a job that a crash left as it was follows then.
    if sets_heartbeat {
        environment.heartbeat_apply(&bot).await?;
    }
    Ok(answer)
}

/// `POST /v1/bots/{bot}/pause`
pub(crate) async fn pause(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Versioned<BotView>, Problem> {
    set_status(&environment, caller, &bot, BotStatus::Paused).await
}

/// `POST /v1/bots/{bot}/resume`
pub(crate) async fn resume(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(bot): Segments<String>,
) -> Result<Versioned<BotView>, Problem> {
    set_status(&environment, caller, &bot, BotStatus::Active).await
}

async fn set_status(
    environment: &Environment,
    caller: Caller,
    bot: &str,
    status: BotStatus,
) -> Result<Versioned<BotView>, Problem> {
    let seen = find(environment, caller, bot).await?;
    check_awake(&seen)?;
    if seen.status == status {
        return Ok(answer(&seen));
    }
    let bot = Bot { status, ..seen.clone() };
    save(environment, &seen, bot).await
}

/// Refuses to wake a part of a bot that is at rest as a whole.
pub(crate) fn check_awake(bot: &Bot) -> Result<(), Problem> {
    match bot.silence() {
        Some(why) if bot.rest.is_some() => {
            Err(Problem::conflict(format!("Not done: {why}. POST /v1/bots/{}/restore first.", bot.id)))
        }
        _ => Ok(()),
    }
}

/// The caller's bot with this id or name.
pub(crate) async fn find(environment: &Environment, caller: Caller, id_or_name: &str) -> Result<Bot, Problem> {
    let account = environment.store.account(caller.account);
    if let Ok(id) = id_or_name.parse::<BotId>()
        && let Some(bot) = account.bot_get(id).await?
    {
        return Ok(bot);
    }
    // What cannot be a name is not looked up: it may be longer than a key may be.
    let found = match bot_name(id_or_name) {
        Ok(name) => account.bot_find(&name).await?,
        Err(_) => None,
    };
    let shown: String = id_or_name.chars().take(80).collect();
    found.ok_or_else(|| Problem::not_found(format!("There is no bot `{shown}`. GET /v1/bots lists yours.")))
}

async fn apply(environment: &Environment, bot: &mut Bot, patch: BotPatch) -> Result<(), Problem> {
    let touches_money = patch.model.is_some() || patch.budget.is_some() || patch.turn_budget.is_some();
    if let Some(name) = patch.name {
        bot.name = bot_name(&name).map_err(|error| Problem::bad_request(format!("name: {error}.")))?;
    }
    if let Some(zone) = patch.time_zone {
        bot.time_zone = time_zone(&zone)?;
    }
    if let Some(model) = patch.model {
        model_settings::apply(environment, bot, model).await?;
    }
    bot.dm_scope = patch.dm_scope.unwrap_or(bot.dm_scope);
    bot.streaming = patch.streaming.unwrap_or(bot.streaming);
    if let Some(heartbeat) = patch.heartbeat {
        heartbeat.check().map_err(|error| Problem::bad_request(format!("heartbeat: {error}.")))?;
        bot.heartbeat = heartbeat;
    }
    if let Some(patch) = patch.queue {
        bot.queue = queue(bot.queue, patch)?;
    }
    if let Some(resets) = patch.resets {
        resets.check().map_err(|error| Problem::bad_request(format!("resets: {error}.")))?;
        bot.resets = resets;
    }
    if let Some(budget) = patch.budget {
        bot.budget = budgets::asked(budget);
    }
    if let Some(micros) = patch.turn_budget {
        bot.turn_budget = budgets::turn_budget(micros)?;
    }
    if let Some(patch) = patch.abilities {
        abilities::apply(environment, bot, patch).await?;
    }
    // What was allowed before does not keep a bot from getting another name.
    if touches_money { budgets::check_bot(environment, bot).await } else { Ok(()) }
}

fn queue(settings: QueueSettings, patch: QueuePatch) -> Result<QueueSettings, Problem> {
    let settings = QueueSettings {
        mode: patch.mode.unwrap_or(settings.mode),
        debounce_ms: patch.debounce_ms.unwrap_or(settings.debounce_ms),
        cap: patch.cap.unwrap_or(settings.cap),
        drop: patch.drop.unwrap_or(settings.drop),
    };
    settings.check().map_err(|error| Problem::bad_request(format!("queue: {error}.")))?;
    Ok(settings)
}

fn time_zone(text: &str) -> Result<String, Problem> {
    let zone = text.trim().parse::<chrono_tz::Tz>();
    zone.map(|zone| zone.name().to_owned()).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Problem::bad_request(format!("time_zone: `{shown}` is not known; use an IANA name such as Europe/Berlin."))
    })
}

/// Writes `bot` as the version after `seen`.
pub(crate) async fn save(environment: &Environment, seen: &Bot, mut bot: Bot) -> Result<Versioned<BotView>, Problem> {
    bot.version = seen.version + 1;
    bot.updated_at = environment.clock.now();
    environment.store.account(bot.account).bot_update(seen, &bot).await?;
    Ok(answer(&bot))
}

pub(crate) fn name_taken(name: &str) -> Problem {
    Problem::conflict(format!("You have a bot named `{name}` already (case does not count). Choose another name."))
}

pub(crate) fn answer(bot: &Bot) -> Versioned<BotView> {
    Versioned(bot.version, view(bot))
}

pub(crate) fn view(bot: &Bot) -> BotView {
    BotView {
        id: bot.id,
        name: bot.name.clone(),
        status: bot.status,
        delete_at: bot.delete_at(),
        agent: bot.agent.clone(),
        model: model_settings::view(&bot.model),
        time_zone: bot.time_zone.clone(),
        dm_scope: bot.dm_scope,
        queue: bot.queue,
        resets: bot.resets,
        streaming: bot.streaming,
        heartbeat: bot.heartbeat.clone(),
        budget: budgets::shown(bot.budget),
        turn_budget: bot.turn_budget,
        abilities: abilities::view(&bot.abilities),
        created_at: bot.created_at,
        updated_at: bot.updated_at,
        version: bot.version,
    }
}
