//! The door for webhooks: checks that the channel sent it, that the sender may, and queues it.

mod answer;
mod discord;
mod hooks;
mod request;
mod slack;
mod telegram;
mod webhook;
mod whatsapp;

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{self, DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use domain::{Bot, Channel, Link, LinkId};
use runtime::Environment;

pub use crate::answer::Refusal;
use crate::request::Request;

/// The longest webhook body that is read, in bytes. An update of Telegram has a few kilobytes.
pub const MAX_BODY: usize = 256 * 1024;

/// The longest body of Meta's, which gathers what happened:
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/guides/set-up-webhooks>
pub const MAX_BODY_OF_META: usize = 3 * 1024 * 1024;

/// The router of the webhooks. Lambda and `lowtide dev` run the same.
pub fn router(environment: Environment) -> Router {
    Router::new()
        .route("/hooks/{channel}/{link}", get(challenge).post(receive))
        .route("/hooks/{channel}/{link}/{action}", post(hook))
        .layer(DefaultBodyLimit::max(MAX_BODY_OF_META))
        .with_state(environment)
}

type Query = extract::Query<HashMap<String, String>>;

async fn receive(
    State(environment): State<Environment>,
    Path((channel, link)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let (bot, link) = find(&environment, &channel, &link).await?;
    let channel = link.channel;
    let request =
        Request { environment: &environment, bot: &bot, link: &link, headers: &headers, query: &query.0, body };
    match channel {
        Channel::Telegram => telegram::receive(request).await,
        Channel::Slack => slack::receive(request).await,
        Channel::Discord => discord::receive(request).await,
        Channel::WhatsApp => whatsapp::receive(request).await,
        Channel::Webhook => webhook::receive(request).await,
        // Nobody posts for these: a holder asks them, or they speak to the API.
        Channel::Matrix | Channel::Irc | Channel::WebChat => Err(Refusal::UnknownLink),
    }
}

async fn hook(
    State(environment): State<Environment>,
    Path((channel, link, action)): Path<(String, String, String)>,
    query: Query,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let (bot, link) = find(&environment, &channel, &link).await?;
    let request =
        Request { environment: &environment, bot: &bot, link: &link, headers: &headers, query: &query.0, body };
    match request.link.channel {
        Channel::Webhook => hooks::receive(request, &action).await,
        _ => Err(Refusal::UnknownLink),
    }
}

async fn challenge(
    State(environment): State<Environment>,
    Path((channel, link)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (bot, link) = find(&environment, &channel, &link).await?;
    let body = Ok(Bytes::new());
    let request =
        Request { environment: &environment, bot: &bot, link: &link, headers: &headers, query: &query.0, body };
    match request.link.channel {
        Channel::WhatsApp => whatsapp::challenge(&request),
        _ => Err(Refusal::UnknownLink),
    }
}

async fn find(environment: &Environment, channel: &str, id: &str) -> Result<(Bot, Link), Refusal> {
    let channel: Channel = channel.parse().map_err(|_| Refusal::UnknownLink)?;
    let id: LinkId = id.parse().map_err(|_| Refusal::UnknownLink)?;
    let route = environment.store.route_get(id).await?.ok_or(Refusal::UnknownLink)?;
    let account = environment.store.account(route.account);
    let link = account.link_get(route.bot, id).await?.ok_or(Refusal::UnknownLink)?;
    let bot = account.bot_get(route.bot).await?.ok_or(Refusal::UnknownLink)?;
    if link.channel == channel { Ok((bot, link)) } else { Err(Refusal::UnknownLink) }
}
