//! FIFO queues: order, closed groups, deduplication, redrive, and receipt handles.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use crate::services::Services;

async fn fifo(client: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut request = client.create_queue().queue_name(name).attributes(QueueAttributeName::FifoQueue, "true");
    for (attribute, value) in attributes {
        request = request.attributes(attribute.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

async fn send(client: &Client, url: &str, group: &str, body: &str) -> (String, String) {
    let sent = client
        .send_message()
        .queue_url(url)
        .message_body(body)
        .message_group_id(group)
        .message_deduplication_id(body)
        .send()
        .await
        .unwrap();
    (sent.message_id.unwrap(), sent.sequence_number.unwrap())
}

async fn receive(client: &Client, url: &str, most: i32, visible_after: i32) -> Vec<Message> {
    client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(most)
        .visibility_timeout(visible_after)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap()
        .messages
        .unwrap_or_default()
}

async fn delete(client: &Client, url: &str, message: &Message) {
    client.delete_message().queue_url(url).receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}

fn attribute(message: &Message, name: MessageSystemAttributeName) -> &str {
    &message.attributes().unwrap()[&name]
}

#[tokio::test]
async fn a_group_is_in_order_and_closed_while_a_message_of_it_is_in_flight() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    let mut numbers = Vec::new();
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")] {
        numbers.push(send(sqs, &url, group, body).await.1);
    }
    assert!(numbers.is_sorted() && numbers[0].len() == 20, "{numbers:?}");

    let first = receive(sqs, &url, 1, 30).await;
    assert_eq!(bodies(&first), ["a1"]);
    assert_eq!(attribute(&first[0], MessageSystemAttributeName::SequenceNumber), numbers[0]);
    assert_eq!(attribute(&first[0], MessageSystemAttributeName::MessageGroupId), "a");
    // Group a is closed, group b is not.
    let other = receive(sqs, &url, 10, 30).await;
    assert_eq!(bodies(&other), ["b1"]);
    assert!(receive(sqs, &url, 10, 30).await.is_empty());

    delete(sqs, &url, &first[0]).await;
    // The rest of the group comes together, in order.
    let rest = receive(sqs, &url, 10, 30).await;
    assert_eq!(bodies(&rest), ["a2", "a3"]);
    // One of two deleted: the group stays closed.
    delete(sqs, &url, &rest[0]).await;
    send(sqs, &url, "a", "a4").await;
    assert!(receive(sqs, &url, 10, 30).await.is_empty());
    delete(sqs, &url, &rest[1]).await;
    assert_eq!(bodies(&receive(sqs, &url, 10, 30).await), ["a4"]);
}

#[tokio::test]
async fn a_message_made_visible_again_comes_before_those_after_it() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    send(sqs, &url, "a", "1").await;
    send(sqs, &url, "a", "2").await;
    let first = receive(sqs, &url, 1, 30).await;
    sqs.change_message_visibility()
        .queue_url(&url)
        .receipt_handle(first[0].receipt_handle().unwrap())
        .visibility_timeout(0)
        .send()
        .await
        .unwrap();
    let again = receive(sqs, &url, 1, 30).await;
    assert_eq!(bodies(&again), ["1"]);
    assert_eq!(attribute(&again[0], MessageSystemAttributeName::ApproximateReceiveCount), "2");
}

#[tokio::test]
async fn a_repeated_deduplication_id_gives_the_original_even_after_its_delete() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    let original = send(sqs, &url, "a", "same").await;
    assert_eq!(send(sqs, &url, "a", "same").await, original);
    let received = receive(sqs, &url, 10, 30).await;
    assert_eq!(bodies(&received), ["same"]);
    delete(sqs, &url, &received[0]).await;
    assert_eq!(send(sqs, &url, "b", "same").await, original);
    assert!(receive(sqs, &url, 10, 30).await.is_empty());

    let services = services.restart().await;
    let sqs = &services.clients.sqs;
    // The URL names the port of the process before, and is good all the same.
    assert_eq!(send(sqs, &url, "a", "same").await, original);
}

#[tokio::test]
async fn content_based_deduplication_takes_the_body_as_the_id() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[(QueueAttributeName::ContentBasedDeduplication, "true")]).await;
    let mut ids = Vec::new();
    for body in ["x", "x", "y"] {
        let sent = sqs.send_message().queue_url(&url).message_body(body).message_group_id("a");
        ids.push(sent.send().await.unwrap().message_id.unwrap());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[tokio::test]
async fn a_sender_must_name_a_group_and_may_not_delay() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    let send = || sqs.send_message().queue_url(&url).message_body("x");
    let error = send().send().await.unwrap_err();
    assert_eq!(error.code(), Some("MissingParameter"));
    let error = send().message_group_id("a").send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    let delayed = send().message_group_id("a").message_deduplication_id("1").delay_seconds(1);
    assert_eq!(delayed.send().await.unwrap_err().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn a_message_goes_to_the_dead_letter_queue_with_its_attributes_and_group() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let dead = fifo(sqs, "dead.fifo", &[]).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead.fifo","maxReceiveCount":"2"}"#;
    let url = fifo(sqs, "q.fifo", &[(QueueAttributeName::RedrivePolicy, policy)]).await;
    let value = MessageAttributeValue::builder().data_type("String").string_value("v").build().unwrap();
    let sent = sqs
        .send_message()
        .queue_url(&url)
        .message_body("bad")
        .message_group_id("a")
        .message_deduplication_id("1")
        .message_attributes("k", value)
        .send()
        .await
        .unwrap();
    assert!(sent.md5_of_message_attributes.is_some());
    send(sqs, &url, "a", "good").await;
    for _ in 0..2 {
        assert_eq!(bodies(&receive(sqs, &url, 1, 0).await), ["bad"]);
    }
    // The third receive moves it and gives the next of the group.
    let next = receive(sqs, &url, 10, 30).await;
    assert_eq!(bodies(&next), ["good"]);
    let moved = receive(sqs, &dead, 10, 30).await;
    assert_eq!(bodies(&moved), ["bad"]);
    assert_eq!(moved[0].message_id, sent.message_id);
    assert_eq!(attribute(&moved[0], MessageSystemAttributeName::MessageGroupId), "a");
    assert_eq!(moved[0].message_attributes().unwrap()["k"].string_value(), Some("v"));
    assert_eq!(moved[0].md5_of_message_attributes, sent.md5_of_message_attributes);
}

#[tokio::test]
async fn a_stale_receipt_handle_does_not_delete() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    send(sqs, &url, "a", "1").await;
    let stale = receive(sqs, &url, 1, 0).await;
    let fresh = receive(sqs, &url, 1, 30).await;
    let delete_stale = sqs.delete_message().queue_url(&url).receipt_handle(stale[0].receipt_handle().unwrap());
    let error = delete_stale.send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    assert!(error.message().unwrap().contains("expired"));
    delete(sqs, &url, &fresh[0]).await;
    // Deleting what is gone is no error.
    delete(sqs, &url, &fresh[0]).await;

    let error =
        sqs.delete_message().queue_url(&url).receipt_handle("nonsense").send().await.unwrap_err().into_service_error();
    assert!(error.is_receipt_handle_is_invalid());
}

#[tokio::test]
async fn batches_report_each_entry() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    let entry = |id: &str, group: Option<&str>| {
        SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(id)
            .set_message_group_id(group.map(str::to_owned))
            .message_deduplication_id(id)
            .build()
            .unwrap()
    };
    let sent = sqs
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("1", Some("a")))
        .entries(entry("2", None))
        .entries(entry("3", Some("a")))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.successful.len(), 2);
    assert_eq!(sent.failed[0].id, "2");
    assert_eq!(sent.failed[0].code, "MissingParameter");

    let received = receive(sqs, &url, 10, 30).await;
    assert_eq!(bodies(&received), ["1", "3"]);
    let mut request = sqs.delete_message_batch().queue_url(&url);
    for (id, message) in received.iter().enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .receipt_handle(message.receipt_handle().unwrap());
        request = request.entries(entry.build().unwrap());
    }
    assert_eq!(request.send().await.unwrap().successful.len(), 2);
    let twice = sqs.send_message_batch().queue_url(&url).entries(entry("1", Some("a"))).entries(entry("1", Some("a")));
    let error = twice.send().await.unwrap_err().into_service_error();
    assert!(error.is_batch_entry_ids_not_distinct());
}

#[tokio::test]
async fn a_long_poll_wakes_when_its_group_opens() {
    let services = Services::start().await;
    let sqs = services.clients.sqs.clone();
    let url = fifo(&sqs, "q.fifo", &[]).await;
    send(&sqs, &url, "a", "1").await;
    send(&sqs, &url, "a", "2").await;
    let first = receive(&sqs, &url, 1, 30).await;
    let poll = tokio::spawn({
        let (sqs, url) = (sqs.clone(), url.clone());
        async move {
            let request = sqs.receive_message().queue_url(url).wait_time_seconds(20);
            let received = request.send().await.unwrap();
            (received.messages.unwrap_or_default(), Instant::now())
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let deleted = Instant::now();
    delete(&sqs, &url, &first[0]).await;
    let (messages, woken) = poll.await.unwrap();
    assert_eq!(bodies(&messages), ["2"]);
    assert!(woken.duration_since(deleted) < Duration::from_secs(2));
}

#[tokio::test]
async fn a_restart_makes_messages_in_flight_visible_and_keeps_their_receive_count() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    let url = fifo(sqs, "q.fifo", &[]).await;
    send(sqs, &url, "a", "1").await;
    send(sqs, &url, "a", "2").await;
    assert_eq!(receive(sqs, &url, 1, 900).await.len(), 1);

    let services = services.restart().await;
    let again = receive(&services.clients.sqs, &url, 10, 900).await;
    assert_eq!(bodies(&again), ["1", "2"]);
    let count = |message| attribute(message, MessageSystemAttributeName::ApproximateReceiveCount).to_owned();
    assert_eq!((count(&again[0]), count(&again[1])), ("2".into(), "1".into()));
}
