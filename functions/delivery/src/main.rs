//! Sends replies and notices to the channels, in the order of their chats.
//!
//! Trigger:  `outbound.fifo`, batches of up to ten, grouped by chat
//! Writes:   the record of each delivery; what a holder is to say; a link's state when its token is refused
//! Emits:    nothing
//! Failure:  rate limits and outages are tried again later; what fails for good becomes a dead letter

use aws_lambda_events::event::sqs::SqsEvent;
use delivery::DeliveryHandler;
use domain::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::{Clock, Environment};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let handler = DeliveryHandler::new(Environment::from_lambda().await?);
    let (handler, clock) = (&handler, &Clock::system());
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let deadline = clock.instant_of(Timestamp::from_millis(event.context.deadline));
        Ok::<_, Error>(handler.handle(event.payload, deadline).await)
    }))
    .await
}
