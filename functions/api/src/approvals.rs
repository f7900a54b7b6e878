//! Tool calls that wait for the owner: listed, and decided.

use axum::Json;
use axum::extract::State;
use domain::{Control, Decision, Inbound, MessageId, Sender};
use runtime::Environment;
use store::Approval;

use crate::answers::Accepted;
use crate::auth::Caller;
use crate::chat::OWNER;
use crate::extract::{JsonBody, Segments};
use crate::problem::Problem;
use crate::views::{ApprovalDecision, ApprovalView, Items};

/// `GET /v1/approvals`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
) -> Result<Json<Items<ApprovalView>>, Problem> {
    let approvals = environment.store.account(caller.account).approval_list().await?;
    Ok(Json(Items { items: approvals.into_iter().map(view).collect() }))
}

/// `POST /v1/approvals/{code}`
///
/// The decision is queued for the session, like a message of the owner there. It counts if it is in time.
pub(crate) async fn decide(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(code): Segments<String>,
    JsonBody(request): JsonBody<ApprovalDecision>,
) -> Result<Accepted, Problem> {
    let account = environment.store.account(caller.account);
    let code = code.to_uppercase();
    let Some(approval) = account.approval_list().await?.into_iter().find(|approval| approval.code == code) else {
        let shown: String = code.chars().take(20).collect();
        let detail = format!("Nothing waits under the code `{shown}`. GET /v1/approvals lists what does.");
        return Err(Problem::not_found(detail));
    };
    let Some(bot) = account.bot_get(approval.wake.bot).await? else {
        return Err(Problem::not_found("The bot that asked was deleted.".to_owned()));
    };
    let inbound = decision(&environment, approval, request.decision);
    environment.take_in(&bot, inbound).await?;
    Ok(Accepted(()))
}

/// What the owner would write in the chat.
fn decision(environment: &Environment, approval: Approval, decision: Decision) -> Inbound {
    let Approval { code, wake, reply, .. } = approval;
    let now = environment.clock.now();
    let word = match decision {
        Decision::Once => "once",
        Decision::Always => "always",
        Decision::Deny => "deny",
    };
    Inbound {
        account: wake.account,
        bot: wake.bot,
        link: reply.link,
        channel: reply.channel,
        // The same decision again is the same message again.
        message: MessageId::of(reply.link, &format!("approve.{code}.{word}")),
        session: wake.session,
        address: reply.address,
        sender: Sender { id: OWNER.to_owned(), name: None, username: None },
        is_owner: true,
        text: format!("/approve {code} {word}"),
        control: Some(Control::Approve { code, decision }),
        parent: None,
        job: None,
        hops: 0,
        attachments: vec![],
        quote: None,
        album: None,
        sent_at: now,
        received_at: now,
    }
}

pub(crate) fn view(approval: Approval) -> ApprovalView {
    let Approval { code, text, wake, asked_at, until, .. } = approval;
    ApprovalView { code, bot: wake.bot, session: wake.session, text, asked_at, until }
}
