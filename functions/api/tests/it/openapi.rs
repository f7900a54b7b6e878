//! The API's document: whole, true to the routes, and the same each time.

use std::collections::BTreeSet;

use api::scope::Scope;
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::harness::Api;

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    spec: Value,
}

impl Operation {
    /// What it needs, as it is written: a scope, or `any` of a caller who is known.
    fn needs(&self) -> Option<&str> {
        self.spec["x-scope"].as_str()
    }

    fn scope(&self) -> Option<Scope> {
        self.needs().filter(|needs| *needs != "any").map(|scope| scope.parse().unwrap())
    }

    /// The path of nothing that there is.
    fn example_path(&self) -> String {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { "none" } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    fn body_type(&self) -> Option<&str> {
        self.spec["requestBody"]["content"].as_object()?.keys().next().map(String::as_str)
    }

    fn request(&self, key: Option<&str>) -> Request<Body> {
        let mut request = Request::builder().method(self.method.as_str()).uri(self.example_path());
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(kind) = self.body_type() {
            request = request.header("content-type", kind);
        }
        request.body(Body::from("{}")).unwrap()
    }
}

async fn document(api: &Api) -> Value {
    let request = Request::get(api::openapi::PATH).body(Body::empty()).unwrap();
    api.raw(request).await.read(200)
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, spec) in item.as_object().unwrap() {
            if method != "parameters" {
                let parameters = |of: &Value| of["parameters"].as_array().cloned().unwrap_or_default();
                let mut spec = spec.clone();
                spec["parameters"] = [parameters(item), parameters(&spec)].concat().into();
                operations.push(Operation { method: method.to_uppercase(), path: path.clone(), spec });
            }
        }
    }
    operations.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
    operations
}

/// Calls `visit` with each value of a document and where it is.
fn walk(value: &Value, place: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(value, &format!("{place}/{name}"), visit)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| walk(value, &format!("{place}/{index}"), visit));
        }
        _ => {}
    }
}

#[tokio::test]
async fn routes_are_listed_with_their_scopes() {
    let api = Api::start().await;
    let line = |operation: &Operation| {
        let needs = operation.needs().unwrap_or("-");
        format!("{} {} {needs} {}", operation.method, operation.path, operation.spec["operationId"].as_str().unwrap())
    };
    let lines: Vec<String> = operations(&document(&api).await).iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn every_operation_says_all_that_a_client_needs() {
    let api = Api::start().await;
    let document = document(&api).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let Operation { method, path, spec } = &operation;
        let name = format!("{method} {path}");
        assert!(ids.insert(spec["operationId"].as_str().unwrap().to_owned()), "{name}: its id is another's too");
        assert!(spec["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name}: no summary");
        assert_eq!(spec["tags"].as_array().map(Vec::len), Some(1), "{name}: one tag");
        assert!(
            document["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == spec["tags"][0]),
            "{name}: {spec}"
        );
        for parameter in spec["parameters"].as_array().unwrap() {
            assert!(parameter["description"].is_string(), "{name}: what is {}?", parameter["name"]);
        }
        let has_body = matches!(method.as_str(), "PUT" | "PATCH");
        assert!(!has_body || operation.body_type().is_some(), "{name}: no request body");
        let responses = spec["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{name}: no success");
        for (status, response) in responses {
            let content = response["content"].as_object();
            if status.starts_with(['2', '3']) {
                assert!(
                    matches!(status.as_str(), "202" | "204" | "303") || content.is_some(),
                    "{name}: {status} without content"
                );
            } else {
                let schema = &content.unwrap()["application/problem+json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/ProblemView", "{name}: {status}");
            }
        }
        if spec["tags"][0] == "service" || spec["tags"][0] == "sign-in" {
            assert_eq!(operation.needs(), None, "{name}");
        } else {
            assert!(operation.needs().is_some(), "{name} says no scope");
            let scopes: Vec<&str> = operation.scope().iter().map(|scope| scope.as_str()).collect();
            assert_eq!(spec["security"][0]["key"], serde_json::json!(scopes), "{name}");
            assert!(responses.contains_key("default") && responses.contains_key("403"), "{name}");
        }
    }
}

#[tokio::test]
async fn every_field_is_described_and_every_reference_leads_somewhere() {
    let document = document(&Api::start().await).await;
    let mut silent = Vec::new();
    walk(&document, "#", &mut |place, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let target = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(target.is_some(), "{place}: {reference} is nowhere");
        }
        if let Some(fields) = value.get("properties").and_then(Value::as_object)
            && place.contains("/components/schemas/")
        {
            for (field, schema) in fields {
                let own = schema["description"].is_string() || schema["const"].is_string();
                let of = |schema: &Value| {
                    let target = schema["$ref"].as_str().and_then(|it| document.pointer(it.strip_prefix('#')?));
                    target.is_some_and(|it| it["description"].is_string())
                };
                let of_any = schema["anyOf"].as_array().is_some_and(|any| any.iter().any(of));
                if !own && !of(schema) && !of_any {
                    silent.push(format!("{place}: {field}"));
                }
            }
        }
    });
    assert!(silent.is_empty(), "fields without a description:\n{}", silent.join("\n"));
}

#[tokio::test]
async fn the_document_is_the_same_each_time() {
    let (one, two) = (Api::start().await, Api::start().await);
    let text = async |api: &Api| api.raw(Request::get(api::openapi::PATH).body(Body::empty()).unwrap()).await.body;
    assert_eq!(text(&one).await, text(&two).await);
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_for_no_other() {
    let api = Api::start().await;
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
        keys.push((scope, api.key_with(&[scope]).await, api.key_with(&others).await));
    }
    let powerless = api.key_with(&[]).await;
    let mut seen = 0;
    for operation in operations(&document(&api).await) {
        let Some(scope) = operation.scope() else {
            if operation.needs().is_some() {
                api.raw(operation.request(None)).await.problem(401);
                let status = api.raw(operation.request(Some(&powerless))).await.status.as_u16();
                assert!(
                    !matches!(status, 401 | 403 | 405 | 500..),
                    "{} {}: {status}",
                    operation.method,
                    operation.path
                );
            }
            continue;
        };
        let (_, with, without) = keys.iter().find(|(of, ..)| *of == scope).unwrap();
        api.raw(operation.request(None)).await.problem(401);
        let refusal = api.raw(operation.request(Some(without))).await.problem(403);
        assert!(refusal.contains(&format!("`{scope}`")), "{refusal}");
        let answer = api.open(operation.request(Some(with))).await;
        let status = answer.status().as_u16();
        // Nobody gives others more than they have, which is another matter than the route's scope.
        let is_let_in = status != 403 || {
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            String::from_utf8_lossy(&body).contains("You cannot give")
        };
        assert!(is_let_in && !matches!(status, 401 | 405 | 500..), "{} {}: {status}", operation.method, operation.path);
        seen += 1;
    }
    assert!(seen > 30, "the document has only {seen} operations");
}
