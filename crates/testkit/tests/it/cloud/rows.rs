//! Rows: what the store asks of them, and each expression, operation and refusal by itself.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use domain::SessionKey;
use domain::turn::Head;
use store::{DeliveryStatus, StoreError};
use testkit::cloud::Calm;

use super::*;

const TABLE: &str = "lowtide";

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(sk: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), text("p")), ("sk".to_owned(), text(sk))])
}

fn client() -> (Cloud, Client) {
    let (cloud, _) = calm_world();
    let client = cloud.clients(Arc::new(Calm)).dynamo;
    (cloud, client)
}

async fn put(client: &Client, sk: &str, attributes: &[(&str, AttributeValue)]) {
    let mut put = client.put_item().table_name(TABLE).set_item(Some(key(sk)));
    for (name, value) in attributes {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}

/// Whether a condition holds on the row `row`; an error's code and message otherwise.
async fn check(client: &Client, condition: &str, values: &[(&str, AttributeValue)]) -> Result<bool, String> {
    let mut delete = client.delete_item().table_name(TABLE).set_key(Some(key("row"))).condition_expression(condition);
    for (name, value) in values {
        delete = delete.expression_attribute_values(*name, value.clone());
    }
    let result = delete.send().await;
    // If it held, the row is gone.
    put(client, "row", &[("n", number(10)), ("t", text("heron")), ("b", AttributeValue::Bool(true))]).await;
    match result {
        Ok(_) => Ok(true),
        Err(error) => {
            let error = error.into_service_error();
            if error.is_conditional_check_failed_exception() {
                return Ok(false);
            }
            Err(format!("{} {}", error.code().unwrap_or_default(), error.message().unwrap_or_default()))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn conditions_hold_as_dynamodb_says() {
    let (_cloud, client) = client();
    put(&client, "row", &[("n", number(10)), ("t", text("heron")), ("b", AttributeValue::Bool(true))]).await;
    let (a, z, nine, ten) = (text("a"), text("z"), number(9), number(10));
    type Case<'a> = (&'a str, &'a [(&'a str, &'a AttributeValue)], bool);
    let cases: &[Case<'_>] = &[
        ("attribute_exists(n)", &[], true),
        ("attribute_not_exists(n)", &[], false),
        ("attribute_not_exists(missing) AND attribute_exists(pk)", &[], true),
        ("n = :x", &[(":x", &ten)], true),
        // As numbers, not as texts.
        ("n > :x", &[(":x", &nine)], true),
        ("n <= :x", &[(":x", &nine)], false),
        ("n <> :x", &[(":x", &nine)], true),
        ("t BETWEEN :a AND :z", &[(":a", &a), (":z", &z)], true),
        ("n BETWEEN :a AND :z", &[(":a", &a), (":z", &z)], false),
        ("t = :x", &[(":x", &ten)], false),
        ("t < :z", &[(":z", &z)], true),
        ("missing = :x", &[(":x", &ten)], false),
        ("missing <> :x", &[(":x", &ten)], true),
        ("missing < :x", &[(":x", &ten)], false),
        ("NOT (missing = :x OR n = :x)", &[(":x", &ten)], false),
        ("attribute_exists(missing) or attribute_exists(n) and not attribute_exists(b)", &[], false),
        ("(attribute_exists(missing) OR attribute_exists(n)) AND attribute_exists(b)", &[], true),
    ];
    for (condition, values, holds) in cases {
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, (*value).clone())).collect();
        assert_eq!(check(&client, condition, &values).await, Ok(*holds), "{condition}");
    }
    assert_eq!(check(&client, "begins_with(t, :x)", &[(":x", text("her"))]).await, Ok(true));
    assert_eq!(check(&client, "begins_with(t, :x)", &[(":x", text("ron"))]).await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_refused_and_named() {
    let (_cloud, client) = client();
    let refused = async |condition: &str, values: &[(&str, AttributeValue)]| {
        let error = check(&client, condition, values).await.unwrap_err();
        assert!(error.starts_with("ValidationException "), "{error}");
        error
    };
    for condition in ["size(t) > :x", "t.inner = :x", "t ~ :x", "t = :x AND", "t = :x)", "t IN (:x)", "= :x", ""] {
        let error = refused(condition, &[(":x", number(1))]).await;
        assert!(error.contains(&format!("`{condition}`")), "{error}");
    }
    assert!(refused("t = :missing", &[]).await.contains(":missing"));
    assert!(refused("t = #missing", &[]).await.contains("#missing"));
    assert!(refused("attribute_exists(t)", &[(":unused", number(1))]).await.contains(":unused"));
    assert!(refused("t BETWEEN :b AND :a", &[(":a", number(1)), (":b", number(2))]).await.contains("in order"));

    let scan = client.scan().table_name(TABLE).send().await.unwrap_err();
    assert!(scan.message().unwrap().contains("Scan"), "{scan:?}");
    let filtered = client.query().table_name(TABLE).key_condition_expression("pk = :p").filter_expression("n = :p");
    let filtered = filtered.expression_attribute_values(":p", text("p")).send().await.unwrap_err();
    assert!(filtered.message().unwrap().contains("FilterExpression"), "{filtered:?}");
    let elsewhere = client.get_item().table_name("other").set_key(Some(key("row"))).send().await.unwrap_err();
    assert!(elsewhere.into_service_error().is_resource_not_found_exception());
    let big = client.put_item().table_name(TABLE).set_item(Some(key("row"))).item("t", text(&"x".repeat(410_000)));
    assert_eq!(big.send().await.unwrap_err().code(), Some("ValidationException"));
}

#[tokio::test(start_paused = true)]
async fn updates_set_count_and_remove() {
    let (_cloud, client) = client();
    let update = async |expression: &str, values: &[(&str, AttributeValue)]| {
        let mut update = client.update_item().table_name(TABLE).set_key(Some(key("row")));
        update = update.update_expression(expression).return_values(ReturnValue::AllNew);
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        update.send().await.map(|output| output.attributes.unwrap()).map_err(|error| error.into_service_error())
    };
    let values = [(":a", text("x")), (":zero", number(0)), (":one", number(1))];
    let row = update("SET a = :a, n = if_not_exists(n, :zero) + :one", &values).await.unwrap();
    assert_eq!((&row["pk"], &row["a"], &row["n"]), (&text("p"), &text("x"), &number(1)));
    let row = update("ADD n :five, m :five SET b = a REMOVE a", &[(":five", number(5))]).await.unwrap();
    assert_eq!((&row["n"], &row["m"], &row["b"], row.get("a")), (&number(6), &number(5), &text("x"), None));
    let row = update("SET n = n - :one", &[(":one", number(1))]).await.unwrap();
    assert_eq!(row["n"], number(5));
    for expression in ["SET pk = :x", "SET n = :x, n = :x", "SET b = b + :x", "SET q = nowhere + :x", "DROP n"] {
        let error = update(expression, &[(":x", number(1))]).await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationException"), "{expression}");
        assert!(error.message().unwrap().contains(expression), "{error:?}");
    }
    let conditional = client.update_item().table_name(TABLE).set_key(Some(key("row")));
    let conditional = conditional.update_expression("REMOVE b").condition_expression("n = :x");
    let conditional = conditional
        .expression_attribute_values(":x", number(1))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match conditional.send().await.unwrap_err().into_service_error() {
        aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item().unwrap()["n"], number(5));
        }
        error => panic!("{error:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn queries_go_both_ways_in_pages_over_the_table_and_its_index() {
    let (_cloud, client) = client();
    for n in 0..5 {
        let due = [("due_pk", text("d")), ("due_sk", text(&(9 - n).to_string()))];
        put(&client, &format!("r{n}"), if n == 2 { &[] } else { &due }).await;
    }
    let pages = async |index: Option<&str>, forward, condition: &str| {
        let (mut pages, mut start) = (Vec::new(), None);
        loop {
            let mut query = client.query().table_name(TABLE).set_index_name(index.map(str::to_owned)).limit(2);
            query = query.key_condition_expression(condition).projection_expression("pk, sk");
            query = query.scan_index_forward(forward).set_exclusive_start_key(start);
            let partition = if index.is_some() { "d" } else { "p" };
            let output = query.expression_attribute_values(":p", text(partition)).send().await.unwrap();
            let sk = |row: &HashMap<String, AttributeValue>| {
                assert_eq!(row.len(), 2);
                row["sk"].as_s().unwrap().clone()
            };
            pages.push(output.items().iter().map(sk).collect::<Vec<_>>().join(" "));
            start = output.last_evaluated_key;
            if start.is_none() {
                return pages;
            }
        }
    };
    assert_eq!(pages(None, true, "pk = :p").await, ["r0 r1", "r2 r3", "r4"]);
    assert_eq!(pages(None, false, "pk = :p").await, ["r4 r3", "r2 r1", "r0"]);
    // DynamoDB does not look ahead: a last page may be empty.
    assert_eq!(pages(Some("due"), true, "due_pk = :p").await, ["r4 r3", "r1 r0", ""]);
    assert_eq!(pages(Some("due"), false, "due_pk = :p").await, ["r0 r1", "r3 r4", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_all_or_nothing_and_its_token_is_good_for_ten_minutes() {
    let (cloud, client) = client();
    put(&client, "old", &[("n", number(1))]).await;
    let actions = |expected: i64| {
        let put = Put::builder().table_name(TABLE).set_item(Some(key("new")));
        let put = put.condition_expression("attribute_not_exists(pk)").build().unwrap();
        let check = ConditionCheck::builder().table_name(TABLE).set_key(Some(key("old")));
        let check = check.condition_expression("n = :n").expression_attribute_values(":n", number(expected));
        let update = Update::builder().table_name(TABLE).set_key(Some(key("count"))).update_expression("ADD n :n");
        let update = update.expression_attribute_values(":n", number(1));
        let delete = Delete::builder().table_name(TABLE).set_key(Some(key("gone")));
        let action = TransactWriteItem::builder;
        vec![
            action().put(put).build(),
            action().condition_check(check.build().unwrap()).build(),
            action().update(update.build().unwrap()).build(),
            action().delete(delete.build().unwrap()).build(),
        ]
    };
    let send = async |actions: Vec<TransactWriteItem>, token: &str| {
        let request = client.transact_write_items().set_transact_items(Some(actions)).client_request_token(token);
        request.send().await.map(|_| ()).map_err(|error| error.into_service_error())
    };
    match send(actions(2), "one").await.unwrap_err() {
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
            cancelled,
        ) => {
            let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
            assert_eq!(codes, ["None", "ConditionalCheckFailed", "None", "None"]);
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(cloud.rows().len(), 1, "nothing of it is kept");
    send(actions(1), "one").await.unwrap();
    assert!(cloud.remove_row("p", "new"));
    send(actions(1), "one").await.unwrap();
    assert!(!cloud.remove_row("p", "new"), "the same token again has no effect");
    let other = send(actions(2), "one").await.unwrap_err();
    assert!(other.is_idempotent_parameter_mismatch_exception(), "{other:?}");
    tokio::time::advance(Duration::from_secs(601)).await;
    send(actions(1), "one").await.unwrap();
    assert!(cloud.remove_row("p", "new"), "it was forgotten");
    assert_eq!(cloud.rows()[0].2["n"]["N"], "2", "the sum of the two that took effect");

    let twice = [actions(1), actions(1)].concat();
    assert_eq!(send(twice, "two").await.unwrap_err().code(), Some("ValidationException"));
    let many = (0..101).map(|n| {
        let put = Put::builder().table_name(TABLE).set_item(Some(key(&n.to_string()))).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    });
    assert_eq!(send(many.collect(), "three").await.unwrap_err().code(), Some("ValidationException"));
}

#[tokio::test(start_paused = true)]
async fn rows_are_read_and_deleted_in_batches() {
    let (cloud, client) = client();
    put(&client, "a", &[]).await;
    put(&client, "b", &[]).await;
    let keys = KeysAndAttributes::builder().set_keys(Some(vec![key("a"), key("none"), key("b")])).build().unwrap();
    let output = client.batch_get_item().request_items(TABLE, keys).send().await.unwrap();
    assert_eq!(output.responses().unwrap()[TABLE].len(), 2);
    assert!(output.unprocessed_keys().is_none_or(HashMap::is_empty));
    client.delete_item().table_name(TABLE).set_key(Some(key("a"))).send().await.unwrap();
    let sks: Vec<String> = cloud.rows().into_iter().map(|(_, sk, _)| sk).collect();
    assert_eq!(sks, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_workers_one_wins_and_a_message_is_taken_in_once() {
    let (cloud, worker) = calm_world();
    let state = worker.store.account(account());
    let session = SessionKey::main("main");
    let first = commit(&worker, &session, &Head::default(), 1).await.unwrap();
    let lost = commit(&worker, &session, &Head::default(), 2).await;
    assert!(matches!(lost, Err(StoreError::Conflict(_))), "{lost:?}");
    assert!(state.delivery_get(&outbound(2)).await.unwrap().is_none());
    let again = commit(&worker, &session, &first, 1).await;
    assert!(matches!(&again, Err(StoreError::AlreadyTaken(taken)) if *taken == [message(1)]), "{again:?}");
    let second = commit(&worker, &session, &first, 2).await.unwrap();
    let loaded = state.session_load(bot(), &session).await.unwrap();
    assert_eq!((loaded.head, loaded.entries), (second.clone(), [exchange(0, 1), exchange(2, 2)].concat()));

    // A simulation that looks on the marks as if they were not there lets the message in twice.
    cloud.ignore_conditions(Box::new(|_, sk| sk.starts_with("m#") || sk == "out"));
    commit(&worker, &session, &second, 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn overdue_replies_are_found_until_they_are_put_off_or_delivered() {
    let (_cloud, worker) = calm_world();
    let state = worker.store.account(account());
    commit(&worker, &SessionKey::main("main"), &Head::default(), 1).await.unwrap();
    let overdue = async |now| {
        let mut found = vec![];
        for shard in 0..store::keys::OUTBOX_SHARDS {
            found.extend(worker.store.outbox_overdue(shard, now, 10).await.unwrap());
        }
        found
    };
    assert!(overdue(at(30)).await.is_empty(), "it is young");
    assert_eq!(overdue(at(100)).await, [outbound(1)]);
    worker.store.outbox_put_off(&outbound(1), at(100)).await.unwrap();
    assert!(overdue(at(101)).await.is_empty(), "it was put off");
    assert_eq!(overdue(at(200)).await, [outbound(1)]);
    let mut done = state.delivery_get(&outbound(1)).await.unwrap().unwrap();
    done.status = DeliveryStatus::Delivered;
    state.delivery_put(&done).await.unwrap();
    assert!(overdue(at(10_000)).await.is_empty(), "it was delivered");
    worker.store.outbox_put_off(&outbound(1), at(300)).await.unwrap();
    assert!(overdue(at(10_000)).await.is_empty(), "what was delivered is not put off");
}
