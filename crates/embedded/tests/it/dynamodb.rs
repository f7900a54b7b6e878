//! DynamoDB: what the product asks of it, through the SDK.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    Projection, ProjectionType, Put, PutRequest, ReturnConsumedCapacity, ScalarAttributeType, TimeToLiveSpecification,
    TransactWriteItem, WriteRequest,
};

use crate::services::Services;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

async fn create_table(client: &Client) {
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind: KeyType| {
        let key = KeySchemaElement::builder().attribute_name(name);
        key.key_type(kind).build().unwrap()
    };
    let all = Projection::builder().projection_type(ProjectionType::All);
    client
        .create_table()
        .table_name("table")
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(["pk", "sk", "gpk", "gsk"].map(attribute).to_vec()))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name("index")
                .key_schema(key("gpk", KeyType::Hash))
                .key_schema(key("gsk", KeyType::Range))
                .projection(all.build())
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
}

async fn put(client: &Client, pk: &str, sk: &str) {
    let put = client.put_item().table_name("table");
    put.item("pk", s(pk)).item("sk", s(sk)).send().await.unwrap();
}

#[tokio::test]
async fn conditions_hold_and_say_so() {
    let services = Services::start().await;
    let db = &services.clients.dynamodb;
    create_table(db).await;
    let create = || {
        let put = db.put_item().table_name("table").item("pk", s("a"));
        put.item("sk", s("1")).item("version", n(1)).condition_expression("attribute_not_exists(pk)").send()
    };
    create().await.unwrap();
    let error = create().await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception());

    let update = |version: i64| {
        let update = db.update_item().table_name("table").key("pk", s("a"));
        update
            .key("sk", s("1"))
            .update_expression("SET version = version + :one")
            .condition_expression("version = :expected")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":expected", n(version))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
    };
    let updated = update(1).await.unwrap();
    assert!(updated.consumed_capacity.unwrap().capacity_units.unwrap() > 0.0);
    let error = update(1).await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception());

    let got = db.get_item().table_name("table").key("pk", s("a"));
    let got = got.key("sk", s("1")).consistent_read(true);
    assert_eq!(got.send().await.unwrap().item.unwrap()["version"], n(2));

    let delete = || {
        let delete = db.delete_item().table_name("table").key("pk", s("a"));
        delete.key("sk", s("1")).condition_expression("attribute_exists(pk)").send()
    };
    delete().await.unwrap();
    let error = delete().await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception());
}

#[tokio::test]
async fn a_failed_transaction_names_its_reason_and_writes_nothing() {
    let services = Services::start().await;
    let db = &services.clients.dynamodb;
    create_table(db).await;
    put(db, "lease", "held").await;
    let new = Put::builder().table_name("table").item("pk", s("new"));
    let new = new.item("sk", s("1")).build().unwrap();
    let check = ConditionCheck::builder().table_name("table");
    let check = check
        .key("pk", s("lease"))
        .key("sk", s("held"))
        .condition_expression("attribute_not_exists(pk)")
        .build()
        .unwrap();
    let write = |check: Option<ConditionCheck>| {
        let put = TransactWriteItem::builder().put(new.clone()).build();
        let check = check.map(|check| TransactWriteItem::builder().condition_check(check).build());
        let items = [Some(put), check].into_iter().flatten().collect();
        db.transact_write_items().set_transact_items(Some(items)).send()
    };
    let error = write(Some(check)).await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = error
    else {
        panic!("{error:?}");
    };
    let codes: Vec<_> =
        cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None").to_owned()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let get = || {
        let get = db.get_item().table_name("table").key("pk", s("new"));
        get.key("sk", s("1")).send()
    };
    assert!(get().await.unwrap().item.is_none());
    write(None).await.unwrap();
    assert!(get().await.unwrap().item.is_some());
}

#[tokio::test]
async fn queries_page_in_both_directions_and_through_an_index() {
    let services = Services::start().await;
    let db = &services.clients.dynamodb;
    create_table(db).await;
    let mut requests = Vec::new();
    for i in 0..25 {
        let put = PutRequest::builder().item("pk", s("p")).item("sk", s(&format!("{i:02}")));
        let put = put.item("gpk", s("g")).item("gsk", s(&format!("{:02}", 24 - i)));
        let put = put.build().unwrap();
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    let written = db.batch_write_item().request_items("table", requests).send().await;
    assert!(written.unwrap().unprocessed_items.unwrap_or_default().is_empty());

    for forward in [true, false] {
        let mut seen = Vec::new();
        let mut start = None;
        loop {
            let query = db.query().table_name("table").key_condition_expression("pk = :p");
            let page = query
                .expression_attribute_values(":p", s("p"))
                .scan_index_forward(forward)
                .limit(10)
                .set_exclusive_start_key(start)
                .send()
                .await
                .unwrap();
            for item in page.items() {
                seen.push(item["sk"].as_s().unwrap().clone());
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> = (0..25).map(|i| format!("{i:02}")).collect();
        if !forward {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
    let query = db.query().table_name("table").index_name("index");
    let page = query
        .key_condition_expression("gpk = :g")
        .expression_attribute_values(":g", s("g"))
        .limit(1)
        .send()
        .await
        .unwrap();
    assert_eq!(page.items()[0]["sk"], s("24"));
}

#[tokio::test]
async fn a_time_to_live_can_be_set_and_items_outlive_a_restart() {
    let services = Services::start().await;
    let db = &services.clients.dynamodb;
    create_table(db).await;
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires");
    db.update_time_to_live()
        .table_name("table")
        .time_to_live_specification(ttl.enabled(true).build().unwrap())
        .send()
        .await
        .unwrap();
    put(db, "kept", "1").await;
    let expired = db.put_item().table_name("table").item("pk", s("gone"));
    let expired = expired.item("sk", s("1")).item("expires", n(1_700_000_000));
    expired.send().await.unwrap();

    // The first sweep is at the start.
    let services = services.restart().await;
    let db = &services.clients.dynamodb;
    let count = async || {
        let scan = db.scan().table_name("table").send().await.unwrap();
        scan.items().len()
    };
    let mut tries = 0;
    while count().await > 1 && tries < 50 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        tries += 1;
    }
    assert_eq!(count().await, 1);
}
