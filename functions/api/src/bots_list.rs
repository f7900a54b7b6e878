//! Bots at a glance: the list, page by page, and the search by name.

use axum::Json;
use axum::extract::State;
use domain::Bot;
use domain::account::MAX_BOT_NAME;
use runtime::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use store::{BotGlance, LinkGlance, Spent};

use crate::auth::Caller;
use crate::bots;
use crate::extract::Parameters;
use crate::notices;
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::views::{BotLine, LinkLine, Page, SpentView};

/// The query of `GET /v1/bots`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BotsQuery {
    /// The `next` of an earlier page of this list. Without it the list begins.
    cursor: Option<String>,
    /// How many lines at most; 50 unless given. There may be fewer although others follow.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    /// Only bots whose names begin so, whatever the case; they are listed by name, all others oldest first.
    name: Option<String>,
}

/// `GET /v1/bots`
///
/// A page takes one query and one read of the bots' counters. A search by name takes one more read.
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Parameters(query): Parameters<BotsQuery>,
) -> Result<Json<Page<BotLine>>, Problem> {
    let BotsQuery { cursor, limit, name } = query;
    let name = name.map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_BOT_NAME) {
        return Err(Problem::bad_request(format!("name: give the first letters of a name, {MAX_BOT_NAME} at most.")));
    }
    let list = match &name {
        None => List::new(caller.account, "bots"),
        Some(name) => List::new(caller.account, &format!("bots named {name}")),
    };
    let range = list.range(&PageQuery { cursor, limit })?;
    let (account, now) = (environment.store.account(caller.account), environment.clock.now());
    let page = match &name {
        None => account.bot_page(&range, now).await?,
        Some(name) => account.bot_page_by_name(name, &range, now).await?,
    };
    let period = |bot: &Bot| bot.budget.period.containing(now);
    let spent = account.spent_by(page.items.iter().map(|line| (line.bot.id, period(&line.bot)))).await?;
    Ok(list.answer(page, |line| {
        let spent = spent.get(&line.bot.id).copied();
        // What has a budget is counted, even where there is nothing yet.
        let spent = spent.or_else(|| line.bot.budget.is_limited().then(Spent::default));
        let spent = spent.map(|Spent { micros, turns }| SpentView { period: period(&line.bot), micros, turns });
        view(line, spent)
    }))
}

impl From<LinkGlance> for LinkLine {
    fn from(link: LinkGlance) -> LinkLine {
        LinkLine { id: link.id, channel: link.channel, status: link.status, handle: link.handle }
    }
}

fn view(line: BotGlance, spent: Option<SpentView>) -> BotLine {
    BotLine {
        last_message_at: line.bot.heard_at,
        links: line.links.into_iter().map(LinkLine::from).collect(),
        notice: line.notice.map(notices::view),
        spent,
        bot: bots::view(&line.bot),
    }
}
