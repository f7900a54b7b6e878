//! Queues: order, repetitions, visibility, dead letters, and what drives a world.

use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use queues::{Queue, Queues, Received};
use testkit::cloud::Calm;
use tokio::time::{Instant, advance};

use super::*;

const NOW: Duration = Duration::ZERO;

fn numbers(received: &[Received]) -> Vec<u32> {
    let number = |received: &Received| match Task::from_body(&received.body).unwrap() {
        Task::Deliver(outbound) => u32::try_from((outbound.created_at.as_millis() - at(0).as_millis()) / 1000).unwrap(),
        task => panic!("{task:?}"),
    };
    received.iter().map(number).collect()
}

#[tokio::test(start_paused = true)]
async fn a_group_keeps_its_order_and_is_closed_while_a_message_of_it_is_in_flight() {
    let (cloud, worker) = calm_world();
    let queues = &worker.queues;
    let tasks = [delivery(1, "a"), delivery(2, "b"), delivery(3, "a"), delivery(4, "b")];
    queues.send_all(&tasks).await.unwrap();
    let first = queues.receive(Queue::Outbound, 1, NOW).await.unwrap();
    assert_eq!((numbers(&first), first[0].receive_count), (vec![1], 1));
    assert!(first[0].group.ends_with("/a"), "{}", first[0].group);
    let second = queues.receive(Queue::Outbound, 10, NOW).await.unwrap();
    assert_eq!(numbers(&second), [2, 4], "the other group");
    assert!(queues.receive(Queue::Outbound, 10, NOW).await.unwrap().is_empty());
    queues.delete(Queue::Outbound, &first[0].receipt).await.unwrap();
    assert_eq!(numbers(&queues.receive(Queue::Outbound, 10, NOW).await.unwrap()), [3]);

    // The first of two comes back, and with it the second behind it.
    advance(Duration::from_secs(71)).await;
    queues.delete(Queue::Outbound, &second[1].receipt).await.unwrap_err();
    let again = queues.receive(Queue::Outbound, 10, NOW).await.unwrap();
    assert_eq!(numbers(&again), [2, 3, 4]);
    assert!(again.iter().all(|message| message.receive_count == 2));
    assert_eq!(cloud.queue_len("outbound.fifo"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_is_dropped_for_five_minutes_whatever_became_of_the_message() {
    let (cloud, worker) = calm_world();
    let queues = &worker.queues;
    queues.send(&delivery(1, "a")).await.unwrap();
    let got = queues.receive(Queue::Outbound, 10, NOW).await.unwrap();
    queues.delete(Queue::Outbound, &got[0].receipt).await.unwrap();
    advance(Duration::from_secs(299)).await;
    queues.send(&delivery(1, "a")).await.unwrap();
    assert_eq!(cloud.queue_len("outbound.fifo"), 0);
    queues.send_again(&delivery(1, "a"), "two").await.unwrap();
    assert_eq!(cloud.queue_len("outbound.fifo"), 1);
    advance(Duration::from_secs(2)).await;
    queues.send(&delivery(1, "a")).await.unwrap();
    assert_eq!(cloud.queue_len("outbound.fifo"), 2);
    assert_eq!(cloud.sent("outbound.fifo").len(), 3, "what was dropped was not sent");
}

#[tokio::test(start_paused = true)]
async fn a_stale_receipt_deletes_and_releases_nothing() {
    let (cloud, worker) = calm_world();
    let queues = &worker.queues;
    queues.send(&delivery(1, "a")).await.unwrap();
    let stale = queues.receive(Queue::Outbound, 1, NOW).await.unwrap().remove(0);
    queues.release(Queue::Outbound, &stale.receipt, Duration::from_secs(5)).await.unwrap();
    assert_eq!(cloud.next_visible("outbound.fifo"), Some(Instant::now() + Duration::from_secs(5)));
    advance(Duration::from_secs(5)).await;
    let sqs = cloud.clients(Arc::new(Calm)).sqs;
    let release = || sqs.change_message_visibility().queue_url(queues.url(Queue::Outbound)).visibility_timeout(9);
    let late = release().receipt_handle(&stale.receipt).send().await.unwrap_err().into_service_error();
    assert!(late.is_message_not_inflight(), "{late:?}");

    let fresh = queues.receive(Queue::Outbound, 1, NOW).await.unwrap().remove(0);
    assert_eq!(fresh.receive_count, 2);
    let late = release().receipt_handle(&stale.receipt).send().await.unwrap_err();
    assert_eq!(late.code(), Some("InvalidParameterValue"));
    queues.delete(Queue::Outbound, &stale.receipt).await.unwrap_err();
    assert_eq!(cloud.queue_len("outbound.fifo"), 1);
    queues.delete(Queue::Outbound, &fresh.receipt).await.unwrap();
    queues.delete(Queue::Outbound, &fresh.receipt).await.unwrap();
    assert_eq!(cloud.queue_len("outbound.fifo"), 0);
    let garbage = release().receipt_handle("garbage").send().await.unwrap_err().into_service_error();
    assert!(garbage.is_receipt_handle_is_invalid(), "{garbage:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_received_too_often_goes_to_the_dead_letters() {
    let (cloud, worker) = calm_world();
    let queues = &worker.queues;
    queues.send(&delivery(1, "a")).await.unwrap();
    queues.send(&delivery(2, "a")).await.unwrap();
    for count in 1..=8 {
        let got = queues.receive(Queue::Outbound, 1, NOW).await.unwrap().remove(0);
        assert_eq!((got.receive_count, numbers(std::slice::from_ref(&got))), (count, vec![1]));
        queues.release(Queue::Outbound, &got.receipt, NOW).await.unwrap();
    }
    let next = queues.receive(Queue::Outbound, 1, NOW).await.unwrap();
    assert_eq!(numbers(&next), [2]);
    let dead = queues.receive(Queue::OutboundDeadLetters, 10, NOW).await.unwrap();
    assert_eq!((numbers(&dead), dead[0].reason.as_deref()), (vec![1], None));

    queues.bury(&delivery(3, "a"), "id", "it was\nrefused").await.unwrap();
    queues.bury(&delivery(3, "a"), "id", "it was refused").await.unwrap();
    let buried = cloud.queued("outbound-dlq.fifo");
    assert_eq!((buried.len(), buried[1].attributes["reason"].as_str()), (2, "it wasrefused"));
    for message in dead {
        queues.delete(Queue::OutboundDeadLetters, &message.receipt).await.unwrap();
    }
    let dead = queues.receive(Queue::OutboundDeadLetters, 10, NOW).await.unwrap();
    assert_eq!(dead[0].reason.as_deref(), Some("it wasrefused"));
}

#[tokio::test(start_paused = true)]
async fn a_receive_waits_for_what_is_sent_or_becomes_visible() {
    let (_cloud, worker) = calm_world();
    let queues = &worker.queues;
    let start = Instant::now();
    let wait = Duration::from_secs(20);
    assert!(queues.receive(Queue::Outbound, 1, wait).await.unwrap().is_empty());
    assert_eq!(start.elapsed(), wait);
    let send = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        queues.send(&delivery(1, "a")).await.unwrap();
    };
    let (got, ()) = tokio::join!(queues.receive(Queue::Outbound, 1, wait), send);
    assert_eq!(start.elapsed(), Duration::from_secs(23));
    queues.release(Queue::Outbound, &got.unwrap()[0].receipt, Duration::from_secs(7)).await.unwrap();
    assert_eq!(queues.receive(Queue::Outbound, 1, wait).await.unwrap().len(), 1);
    assert_eq!(start.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_driver_receives_by_group_and_repeats_what_was_sent() {
    let (cloud, worker) = calm_world();
    let tasks = [delivery(1, "b"), delivery(2, "a"), delivery(3, "a")];
    worker.queues.send_all(&tasks).await.unwrap();
    let queue = "outbound.fifo";
    let groups = cloud.groups_ready(queue);
    assert!(groups.len() == 2 && groups.is_sorted(), "{groups:?}");
    let got = cloud.receive(queue, 10, Some(&groups[0]));
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].attributes["MessageGroupId"], groups[0]);
    assert_eq!(got[0].attributes["ApproximateReceiveCount"], "1");
    assert_eq!(cloud.groups_ready(queue), groups[1..]);
    assert_eq!(cloud.next_visible(queue), Some(Instant::now() + Duration::from_secs(70)));
    assert!(got.iter().all(|message| cloud.delete(queue, message.receipt_handle.as_deref().unwrap())));

    cloud.duplicate(queue, 1);
    let copy = cloud.receive(queue, 10, Some(&groups[0])).remove(0);
    assert_eq!((&copy.message_id, &copy.body), (&got[0].message_id, &got[0].body));
    assert_ne!(copy.receipt_handle, got[0].receipt_handle);
    assert_eq!(cloud.sent(queue).len(), 3);
    advance(Duration::from_secs(70)).await;
    assert!(!cloud.delete(queue, copy.receipt_handle.as_deref().unwrap()), "it is visible again");
}

#[tokio::test(start_paused = true)]
async fn the_product_creates_its_queues_itself() {
    let cloud = Cloud::new();
    let queues = Queues::create_missing(cloud.clients(Arc::new(Calm)).sqs).await.unwrap();
    queues.send(&delivery(1, "a")).await.unwrap();
    // Those of `environment` are the same.
    let worker = worker(&cloud, Calm);
    assert_eq!(worker.queues.url(Queue::Outbound), queues.url(Queue::Outbound));
    assert_eq!(worker.queues.receive(Queue::Outbound, 1, NOW).await.unwrap().len(), 1);
    Queues::create_missing(cloud.clients(Arc::new(Calm)).sqs).await.unwrap();
    let (sqs, url) = (cloud.clients(Arc::new(Calm)).sqs, queues.url(Queue::Turns));
    let purged = sqs.purge_queue().queue_url(url).send().await.unwrap_err();
    assert!(purged.message().unwrap().contains("PurgeQueue"), "{purged:?}");
    let plain = sqs.send_message().queue_url(url).message_body("x").send().await.unwrap_err();
    assert_eq!(plain.code(), Some("InvalidParameterValue"));
    let nowhere = sqs.receive_message().queue_url("http://sqs.sim/0/none.fifo").send().await.unwrap_err();
    assert!(nowhere.into_service_error().is_queue_does_not_exist());
}
