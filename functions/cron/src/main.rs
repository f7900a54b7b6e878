//! Does what is due each minute: replies that were committed and, it seems, never queued; turns that waited in vain.
//!
//! Trigger:  an EventBridge rule, once a minute
//! Writes:   when an overdue reply or a waiting turn is looked at again
//! Emits:    `outbound.fifo`, grouped by chat; `turns.fifo`, grouped by session
//! Failure:  the next minute does it

use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::Environment;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let environment = Environment::from_lambda().await?;
    let environment = &environment;
    lambda_runtime::run(service_fn(move |_: LambdaEvent<serde_json::Value>| async move {
        Ok::<_, Error>(cron::tick(environment).await?)
    }))
    .await
}
