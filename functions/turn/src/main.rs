//! Runs agent turns over sessions and commits their replies.
//!
//! Trigger:  `turns.fifo`, batches of up to ten, grouped by session
//! Writes:   session heads, logs and message marks, the outbox, drafts, files; schedules that tools make and the ends of runs; notices
//! Emits:    `outbound.fifo`, grouped by chat; `turns.fifo` for a turn that goes on
//! Failure:  only the tasks that were not done are received again; what fails for good becomes a dead letter

use std::process::ExitCode;

use aws_lambda_events::event::sqs::SqsEvent;
use domain::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::{Clock, Environment};
use turn::TurnHandler;

fn main() -> Result<ExitCode, Error> {
    // The function starts its own binary to read PDFs that came with messages.
    if let Some(read) = turn::read_pdf_if_asked() {
        return Ok(read);
    }
    serve()?;
    Ok(ExitCode::SUCCESS)
}

#[tokio::main]
async fn serve() -> Result<(), Error> {
    let handler = TurnHandler::new(Environment::from_lambda().await?)?;
    let (handler, clock) = (&handler, &Clock::system());
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let deadline = clock.instant_of(Timestamp::from_millis(event.context.deadline));
        Ok::<_, Error>(handler.handle(event.payload, deadline).await)
    }))
    .await
}
