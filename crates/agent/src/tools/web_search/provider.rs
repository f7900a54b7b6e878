//! What sets the search engines apart: addresses, parameters, answers.

use domain::abilities::{SearchProvider, SearchSettings};
use reqwest::header::ACCEPT;
use reqwest::{Client, Request, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::{Freshness, Search, ToolError, for_owner};
use crate::Secret;

pub(super) fn name(provider: SearchProvider) -> &'static str {
    match provider {
        SearchProvider::Brave => "Brave",
        SearchProvider::Tavily => "Tavily",
        SearchProvider::Searxng => "SearXNG",
    }
}

/// The request that a search is.
pub(super) fn request(
    client: &Client,
    settings: &SearchSettings,
    key: Option<&Secret>,
    search: &Search,
) -> Result<Request, ToolError> {
    let url = address(settings)?;
    let key = key.map(Secret::expose).filter(|key| !key.is_empty());
    let needed = || key.ok_or_else(|| for_owner(&format!("{} needs a key, and none is set.", name(settings.provider))));
    let request = match settings.provider {
        SearchProvider::Brave => client.get(brave(url, search)).header("x-subscription-token", needed()?),
        SearchProvider::Tavily => client.post(url).bearer_auth(needed()?).json(&tavily(search)),
        SearchProvider::Searxng => {
            let request = client.get(searxng(url, search));
            // SearXNG knows no keys; a proxy before it may.
            if let Some(key) = key { request.bearer_auth(key) } else { request }
        }
    };
    // The cause is left out: it is the key that cannot be written in a header.
    let malformed = |_| for_owner("The search engine's key is malformed.");
    request.header(ACCEPT, "application/json").build().map_err(malformed)
}

/// Where a search goes: the owner's address of the engine, or its own.
fn address(settings: &SearchSettings) -> Result<Url, ToolError> {
    let (own, path) = match settings.provider {
        SearchProvider::Brave => (Some("https://api.search.brave.com"), "/res/v1/web/search"),
        SearchProvider::Tavily => (Some("https://api.tavily.com"), "/search"),
        SearchProvider::Searxng => (None, "/search"),
    };
    let base = settings.base_url.as_deref().or(own).unwrap_or_default();
    let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/')));
    url.map_err(|_| for_owner("The search engine's address is missing or malformed."))
}

/// Parameters: <https://api-dashboard.search.brave.com/app/documentation/web-search/query>.
fn brave(mut url: Url, search: &Search) -> Url {
    let mut pairs = url.query_pairs_mut();
    pairs.append_pair("q", &search.query).append_pair("count", &search.count.to_string());
    if let Some(country) = &search.country {
        pairs.append_pair("country", country);
    }
    if let Some(language) = &search.language {
        // Brave has its own codes for some.
        let code = match language.as_str() {
            "ja" => "jp",
            "zh" => "zh-hans",
            "pt" => "pt-pt",
            code => code,
        };
        pairs.append_pair("search_lang", code);
    }
    if let Some(freshness) = search.freshness {
        let code = match freshness {
            Freshness::Day => "pd",
            Freshness::Week => "pw",
            Freshness::Month => "pm",
            Freshness::Year => "py",
        };
        pairs.append_pair("freshness", code);
    }
    drop(pairs);
    url
}

/// Parameters: <https://docs.tavily.com/documentation/api-reference/endpoint/search>.
fn tavily(search: &Search) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("query".to_owned(), search.query.as_str().into());
    body.insert("max_results".to_owned(), search.count.into());
    if let Some(freshness) = search.freshness {
        body.insert("time_range".to_owned(), word(freshness).into());
    }
    body
}

/// Parameters: <https://docs.searxng.org/dev/search_api.html>.
fn searxng(mut url: Url, search: &Search) -> Url {
    let mut pairs = url.query_pairs_mut();
    pairs.append_pair("q", &search.query).append_pair("format", "json");
    if let Some(language) = &search.language {
        let region = search.country.as_ref().filter(|_| !language.contains('-'));
        let code = region.map_or(language.clone(), |country| format!("{language}-{country}"));
        pairs.append_pair("language", &code);
    }
    if let Some(freshness) = search.freshness {
        pairs.append_pair("time_range", word(freshness));
    }
    drop(pairs);
    url
}

fn word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Day => "day",
        Freshness::Week => "week",
        Freshness::Month => "month",
        Freshness::Year => "year",
    }
}

/// Which arguments the engine does not know, for the model to read.
pub(super) fn unused(provider: SearchProvider, search: &Search) -> Option<String> {
    let engine = name(provider);
    let (country, language) = (search.country.is_some(), search.language.is_some());
    match provider {
        SearchProvider::Tavily if country || language => {
            Some(format!("{engine} does not search by `country` code or `language`."))
        }
        SearchProvider::Searxng if country && !language => {
            Some(format!("{engine} searches by `country` only together with `language`."))
        }
        _ => None,
    }
}

/// Where an answer has its results, and what a result's snippet is called.
pub(super) fn results(provider: SearchProvider) -> (&'static str, &'static str) {
    match provider {
        SearchProvider::Brave => ("/web/results", "description"),
        SearchProvider::Tavily | SearchProvider::Searxng => ("/results", "content"),
    }
}

pub(super) fn refuses_key(provider: SearchProvider, status: StatusCode, body: &[u8]) -> bool {
    match provider {
        // Brave answers a wrong key like wrong parameters.
        SearchProvider::Brave if status == StatusCode::UNPROCESSABLE_ENTITY => {
            let code = b"SUBSCRIPTION_TOKEN_INVALID";
            body.windows(code.len()).any(|window| window == code)
        }
        SearchProvider::Searxng => status == StatusCode::UNAUTHORIZED,
        SearchProvider::Brave | SearchProvider::Tavily => {
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        }
    }
}

/// `SearXNG` forbids the formats that are not turned on in its settings.
pub(super) fn refuses_json(provider: SearchProvider, status: StatusCode) -> bool {
    provider == SearchProvider::Searxng && status == StatusCode::FORBIDDEN
}
