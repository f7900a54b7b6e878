//! Standard queues: delays, long polls, counts, limits and errors.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};

use crate::services::Services;

async fn queue(client: &Client, name: &str) -> String {
    let created = client.create_queue().queue_name(name).send().await.unwrap();
    created.queue_url.unwrap()
}

async fn poll(client: &Client, url: &str, seconds: i32) -> Vec<aws_sdk_sqs::types::Message> {
    client
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(seconds)
        .message_attribute_names(".*")
        .send()
        .await
        .unwrap()
        .messages
        .unwrap_or_default()
}

#[tokio::test]
async fn a_long_poll_wakes_on_a_send() {
    let services = Services::start().await;
    let sqs = services.clients.sqs.clone();
    let url = queue(&sqs, "q").await;
    let polling = tokio::spawn({
        let (sqs, url) = (sqs.clone(), url.clone());
        async move { (poll(&sqs, &url, 20).await, Instant::now()) }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sent = Instant::now();
    let send = sqs.send_message().queue_url(&url).message_body("hello");
    send.send().await.unwrap();
    let (messages, woken) = polling.await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(woken.duration_since(sent) < Duration::from_secs(2));
}

#[tokio::test]
async fn a_delayed_message_wakes_a_long_poll_when_it_is_due() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = queue(sqs, "q").await;
    let send = sqs.send_message().queue_url(&url).message_body("later");
    let sent = Instant::now();
    send.delay_seconds(1).send().await.unwrap();
    assert!(poll(sqs, &url, 0).await.is_empty());
    let messages = poll(sqs, &url, 10).await;
    assert_eq!(messages.len(), 1);
    let waited = sent.elapsed();
    assert!(waited >= Duration::from_millis(950) && waited < Duration::from_secs(4), "{waited:?}");
}

#[tokio::test]
async fn a_message_becomes_visible_again_and_wakes_a_long_poll() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = queue(sqs, "q").await;
    let send = sqs.send_message().queue_url(&url).message_body("x");
    send.send().await.unwrap();
    let first = sqs.receive_message().queue_url(&url).visibility_timeout(1).send().await.unwrap();
    assert_eq!(first.messages().len(), 1);
    assert_eq!(poll(sqs, &url, 10).await.len(), 1);
}

#[tokio::test]
async fn an_empty_long_poll_ends_on_time_and_at_once_on_shutdown() {
    let services = Services::start().await;
    let sqs = services.clients.sqs.clone();
    let url = queue(&sqs, "q").await;
    let began = Instant::now();
    assert!(poll(&sqs, &url, 1).await.is_empty());
    assert!(began.elapsed() >= Duration::from_secs(1));

    let polling = tokio::spawn(async move { poll(&sqs, &url, 20).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopping = Instant::now();
    services.embedded.shutdown().await.unwrap();
    assert!(polling.await.unwrap().is_empty());
    assert!(stopping.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn counts_are_by_state() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = queue(sqs, "q").await;
    for delay in [0, 0, 900] {
        let send = sqs.send_message().queue_url(&url).message_body("x");
        send.delay_seconds(delay).send().await.unwrap();
    }
    assert_eq!(poll(sqs, &url, 0).await.len(), 1);
    let counts = async || {
        let got =
            sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await.unwrap();
        let attributes = got.attributes.unwrap();
        [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ]
        .map(|name| attributes[&name].clone())
    };
    assert_eq!(counts().await, ["1", "1", "1"]);
    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(counts().await, ["0", "0", "0"]);
}

#[tokio::test]
async fn attributes_of_messages_keep_their_types() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = queue(sqs, "q").await;
    let of = |kind: &str| MessageAttributeValue::builder().data_type(kind);
    let sent = sqs
        .send_message()
        .queue_url(&url)
        .message_body("héllo \u{1f600}")
        .message_attributes("text", of("String").string_value("v").build().unwrap())
        .message_attributes("number", of("Number.int").string_value("7").build().unwrap())
        .message_attributes("bytes", of("Binary").binary_value(Blob::new([0, 255])).build().unwrap())
        .send()
        .await
        .unwrap();
    let received = poll(sqs, &url, 0).await;
    assert_eq!(received[0].body(), Some("héllo \u{1f600}"));
    assert_eq!(received[0].md5_of_body, sent.md5_of_message_body);
    assert_eq!(received[0].md5_of_message_attributes, sent.md5_of_message_attributes);
    // MD5 of the three attributes above, from the documented algorithm computed apart from this code.
    assert_eq!(sent.md5_of_message_attributes.as_deref(), Some("d054afec4fe629336c0d02f6d454ce5e"));
    let attributes = received[0].message_attributes().unwrap();
    assert_eq!(attributes["bytes"].binary_value().unwrap().as_ref(), [0, 255]);
    assert_eq!(attributes["number"].data_type(), "Number.int");
}

#[tokio::test]
async fn errors_are_the_modelled_ones() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let missing = sqs.get_queue_url().queue_name("none").send().await;
    let error = missing.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist());

    let url = queue(sqs, "q").await;
    assert_eq!(queue(sqs, "q").await, url);
    let other = sqs.create_queue().queue_name("q").attributes(QueueAttributeName::VisibilityTimeout, "7");
    let error = other.send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_name_exists());

    let control = sqs.send_message().queue_url(&url).message_body("a\u{1}b");
    let error = control.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_message_contents());

    let largest = "x".repeat(1024 * 1024);
    let fits = sqs.send_message().queue_url(&url).message_body(&largest);
    fits.send().await.unwrap();
    let too_long = sqs.send_message().queue_url(&url).message_body(format!("{largest}x"));
    assert_eq!(too_long.send().await.unwrap_err().code(), Some("InvalidParameterValue"));

    let listed = sqs.list_queues().queue_name_prefix("q").send().await;
    assert_eq!(listed.unwrap().queue_urls(), std::slice::from_ref(&url));
    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let gone = sqs.receive_message().queue_url(&url).send().await;
    let error = gone.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist());
}

#[tokio::test]
async fn a_change_of_attributes_holds_for_the_next_receive() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = queue(sqs, "q").await;
    sqs.set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::VisibilityTimeout, "0")
        .send()
        .await
        .unwrap();
    let send = sqs.send_message().queue_url(&url).message_body("x");
    send.send().await.unwrap();
    for _ in 0..2 {
        assert_eq!(poll(sqs, &url, 0).await.len(), 1);
    }
}
