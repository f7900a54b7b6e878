//! `web_search`: asks the bot's search engine.

mod provider;

use std::time::Duration;

use domain::abilities::SearchSettings;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::{Tool, ToolContext, ToolError, outside, schema};
use crate::transcript::cut;
use crate::{AgentError, Secret};
use egress::Guard;

pub(super) const NAME: &str = "web_search";

/// How many results the model gets when it does not say, and at most.
const DEFAULT_COUNT: u64 = 5;
const MAX_COUNT: u64 = 10;
/// Brave takes no longer query, in characters.
const MAX_QUERY: usize = 400;
/// How much of a title, a URL and a snippet is shown, in characters.
const MAX_TITLE: usize = 200;
const MAX_URL: usize = 1_000;
const MAX_SNIPPET: usize = 300;
/// How much of a snippet's HTML is looked at, in characters: more tags than this could nest too deeply.
const MAX_HTML: usize = 2_000;
/// All results together, in characters.
const MAX_CHARS: usize = 20_000;
/// How much of an answer is read, in bytes.
const MAX_BODY: usize = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn describe() -> Tool {
    Tool {
        name: NAME,
        description: "Searches the web; gives titles, URLs and snippets. Read a page itself with web_fetch.",
        parameters: schema::of::<Arguments>(),
        group: "web",
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// What to search for.
    query: String,
    /// How many results, 1 to 10. Left out: 5.
    count: Option<u64>,
    /// Results from this country: a code such as DE.
    country: Option<String>,
    /// Results in this language: a code such as de.
    language: Option<String>,
    /// Only what is not older than this.
    freshness: Option<Freshness>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Freshness {
    Day,
    Week,
    Month,
    Year,
}

/// What is searched for, checked.
#[derive(Debug)]
struct Search {
    query: String,
    count: u64,
    /// Two capital letters.
    country: Option<String>,
    /// Lower case, such as `de` or `pt-br`.
    language: Option<String>,
    freshness: Option<Freshness>,
}

/// The client that search engines are asked with.
#[derive(Debug)]
pub(super) struct WebSearch {
    guard: Guard,
    client: Client,
}

impl WebSearch {
    pub(super) fn new(guard: Guard) -> Result<WebSearch, AgentError> {
        // A redirect would take the key elsewhere.
        Ok(WebSearch { client: guard.client(Policy::none())?, guard })
    }

    pub(super) async fn run(&self, arguments: &Arguments, context: &ToolContext<'_>) -> Result<String, ToolError> {
        let Some(settings) = &context.bot.abilities.search else {
            return Err(for_owner("No search engine is set up for this bot."));
        };
        let search = arguments.checked()?;
        let asked = self.ask(settings, context.bot.secrets.search.as_ref(), &search);
        let too_slow = |_| Err(respond(format!("The search engine did not answer within {} s.", TIMEOUT.as_secs())));
        let answer = timeout(TIMEOUT, asked).await.unwrap_or_else(too_slow)?;
        let mut told = listed(settings, &answer, &search)?;
        if let Some(unused) = provider::unused(settings.provider, &search) {
            told.push_str(&format!("\n({unused})"));
        }
        Ok(told)
    }

    async fn ask(&self, settings: &SearchSettings, key: Option<&Secret>, search: &Search) -> Result<Value, ToolError> {
        let request = provider::request(&self.client, settings, key, search)?;
        self.guard
            .check_url(request.url())
            .map_err(|refused| for_owner(&format!("The search engine's address is refused: {refused}.")))?;
        let failed = |error| respond(format!("The search engine could not be asked: {}.", egress::describe(&error)));
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let status = response.status();
        let (body, cut_off) = egress::read_capped(&mut response, MAX_BODY).await.map_err(failed)?;
        if !status.is_success() {
            return Err(failure(settings, status, &body));
        }
        if cut_off {
            return Err(respond(format!("The search engine's answer is longer than {MAX_BODY} bytes.")));
        }
        let unreadable = |_| for_owner("The search engine's answer is not JSON; perhaps its address is wrong.");
        serde_json::from_slice(&body).map_err(unreadable)
    }
}

impl Arguments {
    fn checked(&self) -> Result<Search, ToolError> {
        let query = self.query.trim();
        if query.is_empty() {
            return Err(respond("The query is empty."));
        }
        if cut(query, MAX_QUERY).1 > 0 {
            return Err(respond(format!("The query is too long; use at most {MAX_QUERY} characters.")));
        }
        let given =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let country = given(&self.country);
        if country.as_deref().is_some_and(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic())) {
            return Err(respond("`country` is a code of two letters, such as DE."));
        }
        let language = given(&self.language);
        let is_tag = |code: &str| code.len() <= 10 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if language.as_deref().is_some_and(|code| !is_tag(code)) {
            return Err(respond("`language` is a code, such as de or pt-br."));
        }
        Ok(Search {
            query: query.to_owned(),
            count: self.count.unwrap_or(DEFAULT_COUNT).clamp(1, MAX_COUNT),
            country: country.map(|code| code.to_ascii_uppercase()),
            language: language.map(|code| code.to_ascii_lowercase()),
            freshness: self.freshness,
        })
    }
}

fn respond(text: impl Into<String>) -> ToolError {
    ToolError::RespondToModel(text.into())
}

/// What only the bot's owner can put right.
fn for_owner(problem: &str) -> ToolError {
    respond(format!("{problem} The bot's owner can set it up with `lowtide bots search`."))
}

/// What an answer that is no success means. What the engine says itself is left out: it may repeat the key.
fn failure(settings: &SearchSettings, status: StatusCode, body: &[u8]) -> ToolError {
    let engine = provider::name(settings.provider);
    if provider::refuses_key(settings.provider, status, body) {
        return for_owner(&format!("{engine} refused the key."));
    }
    if provider::refuses_json(settings.provider, status) {
        return respond(format!("{engine} does not give JSON. The bot's owner has to turn on its format `json`."));
    }
    respond(match status.as_u16() {
        402 | 432 | 433 => format!("The bot's plan for {engine} is used up; its owner has to see to it."),
        429 => format!("{engine} takes no more searches for now; try again later, or go on without."),
        400 | 422 => format!("{engine} did not accept the search ({status}); try without `country` and `language`."),
        _ => format!("{engine} answered with status {status}."),
    })
}

/// The results, as the model reads them.
fn listed(settings: &SearchSettings, answer: &Value, search: &Search) -> Result<String, ToolError> {
    let (list, snippet) = provider::results(settings.provider);
    let results = answer.pointer(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let count = usize::try_from(search.count).unwrap_or_default();
    let shown: Vec<String> = results
        .iter()
        .filter_map(|result| {
            let url = result["url"].as_str().map(|url| plain(url, MAX_URL)).filter(|url| is_web(url))?;
            let text = |key: &str, max| plain(&without_tags(result[key].as_str().unwrap_or_default()), max);
            let lines = [text("title", MAX_TITLE), url, text(snippet, MAX_SNIPPET)];
            let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
            Some(lines.join("\n   "))
        })
        .take(count)
        .zip(1..)
        .map(|(result, number)| format!("{number}. {result}"))
        .collect();
    if shown.is_empty() {
        return Err(respond("Nothing was found. Try other words, or fewer conditions."));
    }
    let source = format!("a web search with {}", provider::name(settings.provider));
    Ok(outside::framed(&source, &shown.join("\n"), MAX_CHARS))
}

/// Whether the model could read more there.
fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The text of a piece of HTML.
fn without_tags(html: &str) -> String {
    dom_query::Document::fragment(cut(html, MAX_HTML).0).text().to_string()
}

/// A text on one line, cut to `max` characters.
fn plain(text: &str, max: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match cut(&line, max) {
        (_, 0) => line,
        (beginning, _) => format!("{beginning}…"),
    }
}

#[cfg(test)]
mod tests;
