//! The table and the queues that the local mode creates are those that `template.yaml` deploys, and what it starts gets the
//! variables that it asks for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use queues::definition::QUEUES;
use runtime::Settings;
use serde_yaml_ng::Value;
use store::schema::{DUE_INDEX, DUE_KEYS, TABLE_KEYS, TTL_ATTRIBUTE};

fn template() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    serde_yaml_ng::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn resources() -> Value {
    template()["Resources"].clone()
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
        if queue.is_fifo() {
            assert_eq!(properties["FifoQueue"], true, "{}", queue.resource);
            assert_eq!(properties["ContentBasedDeduplication"], false, "{}", queue.resource);
        } else {
            assert!(properties.get("FifoQueue").is_none(), "{}", queue.resource);
        }
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
    for (function, queue) in
        [("TurnFunction", "TurnsQueue"), ("DeliveryFunction", "OutboundQueue"), ("CronFunction", "JobsQueue")]
    {
        let lives = resources[function]["Properties"]["Timeout"].as_u64().unwrap();
        let hidden = resources[queue]["Properties"]["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden > lives, "{queue} shows a task to a second worker while the first may be at it");
        let definition = queues::definition::QUEUES.iter().find(|definition| definition.resource == queue).unwrap();
        assert_eq!(u64::from(definition.function_secs), lives, "the local mode gives {function} as much time");
    }
}

/// What a function's or a container's variables are set to, as far as the template says so itself: of what CloudFormation
/// fills in, that it is something.
fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| "what CloudFormation fills in".to_owned(), str::to_owned)
}

#[test]
fn whatever_is_started_gets_the_variables_that_it_asks_for() {
    let template = template();
    let resources = &template["Resources"];
    let variables_of = |environment: &Value| -> BTreeMap<String, String> {
        let variables = environment["Variables"].as_mapping().into_iter().flatten();
        variables.map(|(name, set_to)| (text(name).to_owned(), value(set_to))).collect()
    };
    let everywhere = variables_of(&template["Globals"]["Function"]["Environment"]);
    let mut started: Vec<(&str, BTreeMap<String, String>)> = Vec::new();
    for (name, resource) in resources.as_mapping().unwrap() {
        match resource["Type"].as_str() {
            Some("AWS::Serverless::Function") => {
                let mut variables = everywhere.clone();
                variables.extend(variables_of(&resource["Properties"]["Environment"]));
                started.push((text(name), variables));
            }
            Some("AWS::ECS::TaskDefinition") => {
                for container in resource["Properties"]["ContainerDefinitions"].as_sequence().unwrap() {
                    let variables = container["Environment"].as_sequence().unwrap().iter();
                    let variables = variables.map(|it| (text(&it["Name"]).to_owned(), value(&it["Value"])));
                    started.push((text(name), variables.collect()));
                }
            }
            _ => {}
        }
    }
    let names: Vec<&str> = started.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"HolderTask") && names.contains(&"CronFunction") && names.len() >= 6, "{names:?}");
    for (name, variables) in &started {
        if let Err(error) = Settings::from_variables(&|variable| variables.get(variable).cloned()) {
            panic!("{name} does not start: {error}");
        }
    }
}
