//! Does what is due each minute: jobs, replies that were committed and never queued, turns that waited in vain, deletions.
//!
//! Trigger:  an EventBridge rule, once a minute; `jobs`, with the runs that begin
//! Writes:   claims of jobs and the ends of runs without a turn; when a reply or a waiting turn is looked at again; it removes deleted bots
//! Emits:    `jobs`, each run with its delay; `turns.fifo`, grouped by session; `outbound.fifo`, grouped by chat
//! Failure:  the next minute does it, or SQS gives the run again

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::Environment;

/// What is kept free of an invocation's time to end what was begun.
const RESERVE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let environment = Environment::from_lambda().await?;
    let environment = &environment;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| async move {
        let deadline = environment.clock.instant_of(domain::Timestamp::from_millis(event.context.deadline));
        let deadline = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        Ok::<_, Error>(cron::handle(environment, event.payload, deadline).await?)
    }))
    .await
}
