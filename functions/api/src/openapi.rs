//! The API's document: `OpenAPI` 3.1, made from the routes and the types of their requests and answers.

use aide::axum::ApiRouter;
use aide::generate::{in_context, reset_context};
use aide::openapi::{Info, License, OpenApi, SecurityScheme, Tag};
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use runtime::Environment;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::MAX_BODY;

/// Where the document is served, without a key.
pub const PATH: &str = "/v1/openapi.json";
/// The name of what an API key is in the document.
pub(crate) const KEY_SCHEME: &str = "key";

const DESCRIPTION: &str = "\
Points in time are milliseconds since the Unix epoch, money is in micro-dollars. Every error is a problem of RFC 9457 \
whose `detail` says what to do. `x-scope` of an operation is what the caller's key needs; `any` is a key with whatever scopes. A record's version is its \
`ETag`: send it back as `If-Match`, and a change that somebody else made meanwhile is not overwritten.";

/// What the segments of paths name.
const SEGMENTS: &[(&str, &str)] = &[
    ("account", "The id of an account that invites you."),
    ("about", "What a notice is about, as the list says."),
    ("bot", "A bot's id, or its name."),
    ("browser", "The id of a browser that is signed in."),
    ("code", "The code of what waits, as the list says."),
    ("email", "The e-mail address of an invitation."),
    ("key", "An API key's id."),
    ("letter", "A dead letter's id."),
    ("link", "A link's id."),
    ("media", "A kept file's id: the SHA-256 of its bytes."),
    ("model", "A bot's name or its id, also behind `lowtide/` or `openclaw/`."),
    ("path", "The path of a file in the bot's workspace, such as `SOUL.md`."),
    ("schedule", "A schedule's id."),
    ("session", "A session's key, such as `agent:main:main`."),
    ("user", "A member's id."),
];

/// Parts of the API, in the order in which people meet them.
const TAGS: &[(&str, &str)] = &[
    ("sign-in", "How browsers get in."),
    ("people", "Who may come in, and what they did."),
    ("account", "The account of a key: its budget, and what was spent."),
    ("bots", "Bots, and how they are set up."),
    ("chat", "Talking to a bot."),
    ("openai", "The same with clients of OpenAI: a model is a bot."),
    ("sessions", "A bot's conversations."),
    ("files", "What says who a bot is and what it knows."),
    ("links", "A bot's logins on channels, and who may write to it there."),
    ("schedules", "What a bot does by itself, and when."),
    ("approvals", "Tool calls that wait for the owner."),
    (
        "events",
        "What happens, as it happens: `session`, `bot`, `bot_removed`, `approval`, `approval_gone`, `notice` and `dead_letter`, as far as the caller's scopes allow to read them.",
    ),
    ("notices", "What the owner should know."),
    ("dead letters", "Tasks that failed for good."),
    ("service", "The service itself."),
];

/// Makes the routes that `routes` describes, and with them the route of their document.
pub(crate) fn router(routes: impl FnOnce() -> ApiRouter<Environment>) -> Router<Environment> {
    // What the types of requests and answers are called is collected per thread while routes are made.
    reset_context();
    in_context(|ctx| {
        let settings = SchemaSettings::draft2020_12();
        ctx.schema = SchemaGenerator::new(settings.with(|it| it.definitions_path = "/components/schemas".into()));
    });
    let mut api = OpenApi { info: info(), tags: tags(), ..OpenApi::default() };
    let key = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: Some("lt_…".to_owned()),
        description: Some("An API key. It belongs to an account, and has all or some of the scopes.".to_owned()),
        extensions: Default::default(),
    };
    let router = routes().finish_api_with(&mut api, |api| api.security_scheme(KEY_SCHEME, key));
    // Strings, numbers and maps of them are always JSON.
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    describe_paths(&mut document);
    let text = document.to_string();
    let show = async move || ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    router.route(PATH, get(show))
}

fn info() -> Info {
    Info {
        title: "Lowtide".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: Some(format!("{DESCRIPTION} A body has {MAX_BODY} bytes at most.")),
        license: Some(License {
            name: "MIT OR Apache-2.0".to_owned(),
            identifier: Some("MIT OR Apache-2.0".to_owned()),
            ..License::default()
        }),
        ..Info::default()
    }
}

fn tags() -> Vec<Tag> {
    let tag = |(name, description): &(&str, &str)| Tag {
        name: (*name).to_owned(),
        description: Some((*description).to_owned()),
        ..Tag::default()
    };
    TAGS.iter().map(tag).collect()
}

/// Writes paths as `OpenAPI` does, and describes their segments and the document's own route.
fn describe_paths(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    let described: Map<String, Value> = std::mem::take(paths)
        .into_iter()
        .map(|(path, mut item)| {
            let path = path.replace("{*", "{");
            let segments: Vec<Value> = segments_of(&path).map(segment).collect();
            if !segments.is_empty()
                && let Some(item) = item.as_object_mut()
            {
                item.insert("parameters".to_owned(), segments.into());
            }
            (path, item)
        })
        .collect();
    *paths = described;
    paths.insert(PATH.to_owned(), own_path());
}

/// The names between braces.
fn segments_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn segment(name: &str) -> Value {
    let mut parameter = json!({
        "in": "path",
        "name": name,
        "required": true,
        "schema": { "type": "string", "minLength": 1 },
    });
    if let Some((_, description)) = SEGMENTS.iter().find(|(known, _)| *known == name) {
        parameter["description"] = (*description).into();
    }
    parameter
}

fn own_path() -> Value {
    json!({ "get": {
        "operationId": "showDocument",
        "summary": "This document",
        "tags": ["service"],
        "responses": {
            "200": { "description": "OpenAPI 3.1", "content": { "application/json": { "schema": { "type": "object" } } } },
        },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_the_names_between_braces() {
        assert_eq!(segments_of("/v1/bots/{bot}/files/{path}").collect::<Vec<_>>(), ["bot", "path"]);
        assert_eq!(segments_of("/v1/bots").count(), 0);
    }
}
