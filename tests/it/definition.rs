//! The table and the queues that the local mode creates are those that `template.yaml` deploys.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use queues::definition::QUEUES;
use serde_yaml_ng::Value;
use store::schema::{DUE_INDEX, DUE_KEYS, TABLE_KEYS, TTL_ATTRIBUTE};

fn resources() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template: Value = serde_yaml_ng::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    template["Resources"].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is not a text"))
}

/// The names of a partition key and a sort key.
fn keys(schema: &Value) -> [&str; 2] {
    let elements = schema.as_sequence().unwrap();
    assert_eq!(elements.len(), 2, "{elements:?}");
    ["HASH", "RANGE"].map(|kind| {
        let element = elements.iter().find(|element| element["KeyType"] == kind).unwrap();
        text(&element["AttributeName"])
    })
}

#[test]
fn the_table_is_the_one_that_is_deployed() {
    let resources = resources();
    let table = &resources["StateTable"]["Properties"];
    assert_eq!(keys(&table["KeySchema"]), TABLE_KEYS);
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");

    let [index] = table["GlobalSecondaryIndexes"].as_sequence().unwrap().as_slice() else { panic!("one index") };
    assert_eq!(index["IndexName"], DUE_INDEX);
    assert_eq!(keys(&index["KeySchema"]), DUE_KEYS);
    assert_eq!(index["Projection"]["ProjectionType"], "ALL");

    let attributes: BTreeMap<&str, &str> = table["AttributeDefinitions"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(|attribute| (text(&attribute["AttributeName"]), text(&attribute["AttributeType"])))
        .collect();
    let expected: BTreeMap<&str, &str> = TABLE_KEYS.into_iter().chain(DUE_KEYS).map(|name| (name, "S")).collect();
    assert_eq!(attributes, expected);

    let ttl = &table["TimeToLiveSpecification"];
    assert_eq!((text(&ttl["AttributeName"]), &ttl["Enabled"]), (TTL_ATTRIBUTE, &Value::Bool(true)));
}

#[test]
fn the_queues_are_those_that_are_deployed() {
    let resources = resources();
    let deployed = resources.as_mapping().unwrap().iter().filter(|(_, block)| block["Type"] == "AWS::SQS::Queue");
    assert_eq!(deployed.count(), QUEUES.len(), "every queue has its definition");
    for queue in QUEUES {
        let properties = &resources[queue.resource]["Properties"];
        let name = format!("${{AWS::StackName}}-{}", queue.name);
        assert_eq!(properties["QueueName"]["Fn::Sub"], name.as_str(), "{}", queue.resource);
        assert_eq!(properties["FifoQueue"], true, "{}", queue.resource);
        assert_eq!(properties["ContentBasedDeduplication"], false, "{}", queue.resource);
        // SQS's own default where the template says nothing.
        let visibility = properties.get("VisibilityTimeout").map_or(30, |secs| secs.as_u64().unwrap());
        assert_eq!(visibility, u64::from(queue.visibility_secs), "{}", queue.resource);
        assert_eq!(properties["MessageRetentionPeriod"], queue.retention_secs, "{}", queue.resource);

        let redrive = properties.get("RedrivePolicy").map(|policy| {
            let target = text(&policy["deadLetterTargetArn"]["Fn::GetAtt"][0]).to_owned();
            (target, policy["maxReceiveCount"].as_u64().unwrap())
        });
        let expected = queue.redrive.map(|(target, receives)| {
            let target = QUEUES.iter().find(|other| other.name == target).unwrap();
            (target.resource.to_owned(), u64::from(receives))
        });
        assert_eq!(redrive, expected, "{}", queue.resource);
    }
}

#[test]
fn a_received_task_stays_hidden_for_longer_than_its_function_lives() {
    let resources = resources();
    for (function, queue) in [("TurnFunction", "TurnsQueue"), ("DeliveryFunction", "OutboundQueue")] {
        let lives = resources[function]["Properties"]["Timeout"].as_u64().unwrap();
        let hidden = resources[queue]["Properties"]["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden > lives, "{queue} shows a task to a second worker while the first may be at it");
        let definition = queues::definition::QUEUES.iter().find(|definition| definition.resource == queue).unwrap();
        assert_eq!(u64::from(definition.function_secs), lives, "the local mode gives {function} as much time");
    }
}
