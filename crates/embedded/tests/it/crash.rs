//! `kill -9` at a random moment: what was acknowledged is there afterwards.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::services::{Clients, open};

const DIR: &str = "EMBEDDED_CRASH_DIR";
const ROUNDS: u32 = 5;

/// The child: writes to all three services until it is killed, and prints each write once it is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn writer() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let round = std::env::var("EMBEDDED_CRASH_ROUND").unwrap();
    let (_embedded, clients) = open(Path::new(&dir)).await;
    create_all(&clients).await;
    let mut tasks = Vec::new();
    for task in 0..4 {
        for kind in ["message", "item", "object"] {
            let clients =
                Clients { dynamodb: clients.dynamodb.clone(), s3: clients.s3.clone(), sqs: clients.sqs.clone() };
            let round = round.clone();
            tasks.push(tokio::spawn(async move {
                for count in 0.. {
                    let id = format!("{round}-{task}-{count}");
                    write(&clients, kind, &id).await;
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {kind} {id}").unwrap();
                    out.flush().unwrap();
                }
            }));
        }
    }
    futures::future::join_all(tasks).await;
}

async fn create_all(clients: &Clients) {
    let queue = clients.sqs.create_queue().queue_name("q.fifo");
    let queue = queue.attributes(QueueAttributeName::FifoQueue, "true");
    queue.send().await.unwrap();
    // Both exist from the second round on.
    drop(clients.s3.create_bucket().bucket("bucket").send().await);
    let attribute = AttributeDefinition::builder().attribute_name("pk");
    let attribute = attribute.attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk");
    let table = clients.dynamodb.create_table().table_name("table");
    let table = table
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.key_type(KeyType::Hash).build().unwrap());
    drop(table.send().await);
}

async fn write(clients: &Clients, kind: &str, id: &str) {
    match kind {
        "message" => {
            let send = clients.sqs.send_message().queue_url("http://x/0/q.fifo");
            let send = send.message_group_id(id).message_deduplication_id(id);
            send.message_body(id).send().await.unwrap();
        }
        "item" => {
            let put = clients.dynamodb.put_item().table_name("table");
            let put = put.item("pk", AttributeValue::S(id.to_owned()));
            put.send().await.unwrap();
        }
        _ => {
            let put = clients.s3.put_object().bucket("bucket").key(id);
            put.body(object_body(id).into()).send().await.unwrap();
        }
    }
}

/// Every other object is a blob.
fn object_body(id: &str) -> Vec<u8> {
    let last = id.bytes().last().unwrap_or_default();
    let times = if last.is_multiple_of(2) { 20_000 } else { 1 };
    id.repeat(times).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    for round in 0..ROUNDS {
        let lines = run_and_kill(dir.path(), round);
        for kind in ["message", "item", "object"] {
            let wrote = lines.iter().any(|(of, _)| of == kind);
            assert!(wrote, "round {round} wrote no {kind}");
        }
        acknowledged.extend(lines);
    }
    let (embedded, clients) = open(dir.path()).await;
    let present = present(&clients).await;
    for (kind, id) in &acknowledged {
        let found = present.contains(&(kind.clone(), id.clone()));
        assert!(found, "{kind} {id} is lost");
    }
    for (_, id) in acknowledged.iter().filter(|(kind, _)| kind == "object") {
        let got = clients.s3.get_object().bucket("bucket").key(id);
        let body = got.send().await.unwrap().body.collect().await.unwrap();
        assert!(body.to_vec() == object_body(id), "object {id} is damaged");
    }
    println!("{} acknowledged writes, all present", acknowledged.len());
    embedded.shutdown().await.unwrap();
}

fn run_and_kill(dir: &Path, round: u32) -> Vec<(String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--nocapture"])
        .env(DIR, dir)
        .env("EMBEDDED_CRASH_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        let mut lines = BufReader::new(out);
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap_or(0) > 0 {
            // A line without its end was cut off by the kill.
            if let Some(whole) = line.strip_suffix('\n')
                && let Some((_, rest)) = whole.split_once("ack ")
                && let Some((kind, id)) = rest.split_once(' ')
            {
                acknowledged.push((kind.to_owned(), id.to_owned()));
            }
            line.clear();
        }
        acknowledged
    });
    let noise = RandomState::new().build_hasher().finish();
    let ms = 1500 + noise % 1500;
    std::thread::sleep(Duration::from_millis(ms));
    // SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

async fn present(clients: &Clients) -> HashSet<(String, String)> {
    let mut found = HashSet::new();
    loop {
        let receive = clients.sqs.receive_message().queue_url("http://x/0/q.fifo");
        let receive = receive.max_number_of_messages(10).visibility_timeout(900);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        let bodies = messages.into_iter().map(|message| message.body.unwrap());
        found.extend(bodies.map(|id| ("message".to_owned(), id)));
    }
    let mut items = clients.dynamodb.scan().table_name("table").into_paginator().send();
    while let Some(page) = items.next().await {
        for item in page.unwrap().items() {
            found.insert(("item".to_owned(), item["pk"].as_s().unwrap().clone()));
        }
    }
    let list = clients.s3.list_objects_v2().bucket("bucket");
    let mut objects = list.into_paginator().send();
    while let Some(page) = objects.next().await {
        for object in page.unwrap().contents() {
            found.insert(("object".to_owned(), object.key().unwrap().to_owned()));
        }
    }
    found
}
