//! Figures, not checks: `cargo test -p embedded --release -- --ignored --nocapture throughput`.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;

use crate::services::Services;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures and asserts nothing"]
async fn sends_a_second() {
    let services = Services::start().await;
    let sqs = services.clients.sqs.clone();
    let created = sqs.create_queue().queue_name("q.fifo").attributes(QueueAttributeName::FifoQueue, "true");
    let url = created.send().await.unwrap().queue_url.unwrap();
    for senders in [1, 32] {
        let began = Instant::now();
        let tasks: Vec<_> = (0..senders)
            .map(|sender| {
                let (sqs, url) = (sqs.clone(), url.clone());
                tokio::spawn(async move {
                    let mut sent = 0_u32;
                    while began.elapsed() < Duration::from_secs(5) {
                        sqs.send_message()
                            .queue_url(&url)
                            .message_body("0123456789".repeat(20))
                            .message_group_id(format!("{sender}"))
                            .message_deduplication_id(format!("{senders}-{sender}-{sent}"))
                            .send()
                            .await
                            .unwrap();
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        let mut sent = 0;
        for task in tasks {
            sent += task.await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{senders} senders: {:.0} sends/s", f64::from(sent) / seconds);
    }
    let began = Instant::now();
    let mut received = 0_u32;
    while began.elapsed() < Duration::from_secs(5) {
        let request = sqs.receive_message().queue_url(&url);
        let got = request.max_number_of_messages(1).send().await.unwrap();
        for message in got.messages() {
            let delete = sqs.delete_message().queue_url(&url);
            let handle = message.receipt_handle().unwrap();
            delete.receipt_handle(handle).send().await.unwrap();
            received += 1;
        }
    }
    println!("1 receiver: {:.0} receive and delete/s", f64::from(received) / 5.0);
}
