//! The door for webhooks: checks that the channel sent it, that the sender may, and queues it.

mod answer;
mod telegram;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::routing::post;
use domain::{Bot, Channel, Link, LinkId};
use runtime::Environment;

pub use crate::answer::Refusal;

/// The longest webhook body that is read, in bytes. An update of Telegram has a few kilobytes.
pub const MAX_BODY: usize = 256 * 1024;

/// The router of the webhooks. Lambda and `lowtide dev` run the same.
pub fn router(environment: Environment) -> Router {
    Router::new()
        .route("/hooks/{channel}/{link}", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(environment)
}

async fn receive(
    State(environment): State<Environment>,
    Path((channel, link)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<axum::Json<serde_json::Value>, Refusal> {
    let channel: Channel = channel.parse().map_err(|_| Refusal::UnknownLink)?;
    let link: LinkId = link.parse().map_err(|_| Refusal::UnknownLink)?;
    let (bot, link) = find(&environment, channel, link).await?;
    match channel {
        Channel::Telegram => telegram::receive(&environment, &bot, &link, &headers, body).await.map(axum::Json),
        // No links are made to them that post here.
        Channel::Discord
        | Channel::Slack
        | Channel::WhatsApp
        | Channel::Matrix
        | Channel::Irc
        | Channel::Webhook
        | Channel::WebChat => Err(Refusal::UnknownLink),
    }
}

async fn find(environment: &Environment, channel: Channel, id: LinkId) -> Result<(Bot, Link), Refusal> {
    let route = environment.store.route_get(id).await?.ok_or(Refusal::UnknownLink)?;
    let account = environment.store.account(route.account);
    let link = account.link_get(route.bot, id).await?.ok_or(Refusal::UnknownLink)?;
    let bot = account.bot_get(route.bot).await?.ok_or(Refusal::UnknownLink)?;
    if link.channel == channel { Ok((bot, link)) } else { Err(Refusal::UnknownLink) }
}
