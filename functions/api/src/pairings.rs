//! Pairings: strangers who wait for the owner's approval, and letting them in.

use axum::Json;
use axum::extract::State;
use domain::{Address, Channel, ChatKind, Link, MessageId, Outbound, OutboundId, Sender, Task};
use runtime::Environment;

use crate::auth::Caller;
use crate::extract::{JsonBody, Segments};
use crate::links;
use crate::problem::Problem;
use crate::views::{Items, PairingApprove, PairingApproved, PairingView};

const GREETING: &str = "You're in. Write to me whenever you like.";

/// `GET /v1/bots/{bot}/links/{link}/pairings`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
) -> Result<Json<Items<PairingView>>, Problem> {
    let link = links::find(&environment, caller, &bot, &link).await?;
    let now = environment.clock.now();
    let waiting = environment.store.account(caller.account).pairing_list(link.id, now).await?;
    let view = |pairing: store::Pairing| PairingView {
        code: pairing.code,
        sender: pairing.sender,
        requested_at: pairing.requested_at,
    };
    Ok(Json(Items { items: waiting.into_iter().map(view).collect() }))
}

/// `POST /v1/bots/{bot}/links/{link}/pairings/approve`
pub(crate) async fn approve(
    State(environment): State<Environment>,
    caller: Caller,
    Segments((bot, link)): Segments<(String, String)>,
    JsonBody(request): JsonBody<PairingApprove>,
) -> Result<Json<PairingApproved>, Problem> {
    let link = links::find(&environment, caller, &bot, &link).await?;
    let now = environment.clock.now();
    let account = environment.store.account(caller.account);
    let unknown = || {
        Problem::not_found(
            "No such code waits here. Codes last an hour: have the person write to the bot again for a new one.",
        )
    };
    let mut waiting = account.pairing_list(link.id, now).await?.into_iter();
    let asked = waiting.find(|pairing| pairing.code.eq_ignore_ascii_case(request.code.trim())).ok_or_else(unknown)?;
    // First, for the code is used up afterwards: what is cut short in between can be repeated.
    let owner = links::own(&environment, link.clone(), &asked.sender).await?;
    let sender = account.pairing_approve(link.id, &asked.code, now).await?.ok_or_else(unknown)?;
    tracing::info!(link = %link.id, "A sender was let in.");
    let greeted = greet(&environment, &link, &sender, &request.code).await;
    Ok(Json(PairingApproved { sender, greeted, owner }))
}

/// Queues a greeting. The person is let in whether or not it arrives.
async fn greet(environment: &Environment, link: &Link, sender: &Sender, code: &str) -> bool {
    if !matches!(link.channel, Channel::Telegram | Channel::Slack | Channel::WhatsApp) {
        // Their direct chats have ids of their own, which nobody knows here.
        return false;
    }
    let about = MessageId::of(link.id, &format!("pairing:{}:{}", sender.id, code.trim().to_uppercase()));
    let outbound = Outbound {
        buttons: vec![],
        draft: None,
        mark: None,
        media: vec![],
        parent: None,
        id: OutboundId::notice("paired", &about),
        account: link.account,
        bot: link.bot,
        link: link.id,
        channel: link.channel,
        // A person's direct chat has the person's id.
        address: Address { kind: ChatKind::Direct, chat: sender.id.clone(), thread: None, reply_to: None },
        text: GREETING.to_owned(),
        created_at: environment.clock.now(),
    };
    match environment.queues.send(&Task::Deliver(Box::new(outbound))).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(link = %link.id, "A greeting was not queued: {error}");
            false
        }
    }
}
