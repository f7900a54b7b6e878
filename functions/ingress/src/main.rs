//! Receives channel webhooks, checks them, and queues one task per message.
//!
//! Trigger:  HTTP, `POST /hooks/{channel}/{link}`
//! Writes:   pairing requests of strangers; when and where people wrote; stops in sessions' heads; albums of which a piece was let in
//! Emits:    `turns.fifo`, grouped by session; `outbound.fifo` for greetings and pairing codes
//! Failure:  bad signature 401; anything else 500, and the channel sends it again

use runtime::Environment;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let environment = Environment::from_lambda().await?;
    lambda_http::run(ingress::router(environment)).await
}
