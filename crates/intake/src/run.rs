//! A run of a job as the message that begins it; what systems ask for by a hook is one, too.

use domain::job::{JobRun, Payload};
use domain::when::local_time;
use domain::{Bot, Inbound, Job, SessionKey};
use runtime::Environment;
use store::StoreError;

use crate::place;

const EVENT: &str = include_str!("../prompts/event.md");
const WORK: &str = include_str!("../prompts/work.md");
const WAKE: &str = include_str!("../prompts/wake.md");
const HOOK: &str = include_str!("../prompts/hook.md");

/// What a run says to its session, with `{name}` and `{time}` in its first line. `None`: the bot's settings say it.
pub fn text_of_run(payload: &Payload) -> Option<String> {
    match payload {
        Payload::SystemEvent { text } => Some(EVENT.replace("{text}", text)),
        Payload::AgentTurn { message, .. } => Some(WORK.replace("{text}", message)),
        Payload::Heartbeat => None,
    }
}

/// What a run that a system asked for says to its session.
pub fn text_of_hook(payload: &Payload) -> String {
    match payload {
        Payload::SystemEvent { text } => WAKE.replace("{text}", text),
        Payload::AgentTurn { message, .. } => HOOK.replace("{text}", message),
        Payload::Heartbeat => String::new(),
    }
}

/// The message that begins a run in `session`, whose answer goes where the job says. The inner error says why there is no such
/// place.
pub async fn begin_run(
    environment: &Environment,
    job: &Job,
    bot: &Bot,
    run: JobRun,
    session: SessionKey,
    text: &str,
) -> Result<Result<Inbound, String>, StoreError> {
    // The first line only, and the name last, so that a text that says `{name}` is left as it is.
    let (head, rest) = text.split_once('\n').unwrap_or((text, ""));
    let head = head.replace("{time}", &local_time(run.started_at, &bot.time_zone)).replace("{name}", &job.spec.name);
    let text = format!("{head}\n{rest}").trim_end().to_owned();
    let place = place::of(environment, job, bot, &session).await?;
    let started_at = run.started_at;
    Ok(place.map(|reply| Inbound::from_job(run, &job.spec.name, session, text, reply, started_at)))
}
