//! Replies to Telegram: several messages when the text is long, plain text when the markup is refused.

use std::time::{Duration, Instant};

use channels::SendError;
use channels::telegram::{Chunk, MAX_TEXT, render};
use domain::Address;
use store::Delivery;

use crate::{DeliveryHandler, Failure, PATIENCE, TIME_FOR_A_PART, failure_of};

impl DeliveryHandler {
    pub(crate) async fn send_telegram(
        &self,
        token: &str,
        delivery: &mut Delivery,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut chunks = render(&delivery.outbound.text);
        if chunks.is_empty() {
            // Markdown that shows nothing, such as a lone link definition, is sent as it was written.
            let plain: String = delivery.outbound.text.chars().take(MAX_TEXT / 2).collect();
            chunks = vec![Chunk { html: plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"), plain }];
        }
        let mut address = delivery.outbound.address.clone();
        for (index, chunk) in chunks.iter().enumerate().skip(delivery.sent.len()) {
            if Instant::now() + TIME_FOR_A_PART > deadline {
                let source = anyhow::anyhow!("the function's time is over; the rest is sent by the next one");
                return Err(Failure::Later { after: Duration::ZERO, source });
            }
            if index > 0 {
                // Only the first part quotes what it answers.
                address.reply_to = None;
            }
            let id = match self.send_chunk(token, &address, chunk).await {
                Err(SendError::RateLimited { retry_after }) if retry_after <= PATIENCE => {
                    tokio::time::sleep(retry_after).await;
                    self.send_chunk(token, &address, chunk).await
                }
                sent => sent,
            };
            delivery.sent.push(id.map_err(|error| failure_of(error, &delivery.outbound))?.to_string());
            if index + 1 < chunks.len() {
                self.record_progress(delivery).await?;
            }
        }
        Ok(())
    }

    async fn send_chunk(&self, token: &str, to: &Address, chunk: &Chunk) -> Result<i64, SendError> {
        match self.telegram.send_message(token, to, &chunk.html).await {
            Err(SendError::Rejected(detail)) => {
                tracing::warn!("Telegram refuses the markup of a reply, which is sent without it: {detail}");
                self.telegram.send_message_plain(token, to, &chunk.plain).await
            }
            sent => sent,
        }
    }
}
