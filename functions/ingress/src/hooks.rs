//! OpenClaw's hooks at a webhook link: `…/wake` and `…/agent`. The link's secret is their token.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use channels::hooks::{AgentRun, TOKEN_HEADER, is_token, parse_agent, parse_wake};
use domain::job::{DeliveryMode, JobDelivery, JobRun, JobSpec, MAX_NAME, Missed, Payload, SessionTarget};
use domain::{Job, JobId, Schedule, Timestamp};
use serde_json::json;

use crate::Refusal;
use crate::request::Request;

/// What a system is called that does not say.
const NAME: &str = "Hook";

/// Takes one request for `action`.
pub(crate) async fn receive(mut request: Request<'_>, action: &str) -> Result<Response, Refusal> {
    let expected = request.signing_secret().await?;
    if !is_token(request.header("authorization"), request.header(TOKEN_HEADER), &expected) {
        return Err(Refusal::Unsigned(
            "Not taken: send the link's secret (whsec_…) as `Authorization: Bearer`, or in `x-openclaw-token`.",
        ));
    }
    let body = request.body()?;
    let bad = |error: channels::hooks::BadHook| Refusal::BadBody(error.to_string());
    let (spec, key, left_out) = match action {
        "wake" => {
            let wake = parse_wake(&body).map_err(bad)?;
            (spec(NAME, SessionTarget::Main, Payload::SystemEvent { text: wake.text }, None), None, vec![])
        }
        "agent" => {
            let (run, left_out) = parse_agent(&body).map_err(bad)?;
            let key = run.idempotency_key.clone();
            (spec_of(run)?, key, left_out)
        }
        _ => return Err(Refusal::UnknownLink),
    };
    let id = begin(&request, spec, key.as_deref()).await?;
    let answer = json!({ "ok": true, "runId": id, "leftOut": left_out });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn spec_of(run: AgentRun) -> Result<JobSpec, Refusal> {
    let target = match run.session_key {
        Some(name) if name == "main" => SessionTarget::Main,
        Some(name) if name.is_empty() => SessionTarget::Isolated,
        Some(name) => SessionTarget::Named(name),
        None => SessionTarget::Isolated,
    };
    let mode = if run.deliver == Some(false) { DeliveryMode::None } else { DeliveryMode::Announce };
    let delivery = JobDelivery { mode, channel: run.channel, to: run.to, ..JobDelivery::default() };
    let payload =
        Payload::AgentTurn { message: run.message, model: run.model, thinking: run.thinking, tools_allow: vec![] };
    let name = run.name.unwrap_or_else(|| NAME.to_owned());
    if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::BadBody(format!("name: give 1 to {MAX_NAME} characters on one line.")));
    }
    Ok(spec(name.trim(), target, payload, Some(delivery)))
}

/// A job that runs once, at once. It is never stored.
fn spec(name: &str, session_target: SessionTarget, payload: Payload, delivery: Option<JobDelivery>) -> JobSpec {
    JobSpec {
        name: name.to_owned(),
        description: None,
        enabled: true,
        schedule: Schedule::At { at: Timestamp::from_millis(0) },
        session_target,
        payload,
        delivery,
        delete_after_run: Some(true),
        missed: Missed::default(),
        jitter_ms: 0,
    }
}

/// Begins the run and returns its name. The same key begins the same run, which a session takes in once.
async fn begin(request: &Request<'_>, spec: JobSpec, key: Option<&str>) -> Result<JobId, Refusal> {
    let (environment, bot) = (request.environment, request.bot);
    if bot.silence().is_some() {
        return Err(Refusal::Conflict("The bot is paused, archived or deleted: resume or restore it and post again."));
    }
    if !request.link.is_active() {
        return Err(Refusal::Conflict("The link is paused: resume it and post again."));
    }
    let now = environment.clock.now();
    let id = match key {
        Some(key) => JobId::of_hook(request.link.id, key),
        None => JobId::from_parts(now, environment.entropy.next_u128()),
    };
    let bad = |error: &dyn std::fmt::Display| Refusal::BadBody(format!("Not done: {error}."));
    spec.check().map_err(|error| bad(&error))?;
    let job = Job {
        id,
        account: bot.account,
        bot: bot.id,
        spec,
        state: Default::default(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    // A key names its run whenever it is posted, so the time is no part of the name.
    let scheduled = id.made_at();
    let session = job.session(&bot.agent, scheduled).map_err(|error| bad(&error))?;
    let text = intake::text_of_hook(&job.spec.payload);
    let run = JobRun::of(&job, scheduled, now);
    let begun = intake::begin_run(environment, &job, bot, run, session, &text).await?;
    let inbound = begun.map_err(|reason| bad(&reason))?;
    environment.take_in(bot, inbound).await.map_err(|error| Refusal::Failed(error.to_string()))?;
    tracing::info!(link = %request.link.id, bot = %bot.id, run = %id, "A hook begins a run.");
    Ok(id)
}
