//! Requests made from the API's document.

use serde_json::{Value, json};

use super::tenant::Tenant;

/// Names that mean something within one bot only: the other account may have the same.
const LOCAL: &[&str] = &["path"];

/// One operation of the document.
pub(super) struct Operation {
    pub(super) method: String,
    path: String,
    pub(super) id: String,
    pub(super) scope: Option<String>,
    segments: Vec<String>,
    queries: Vec<String>,
    body_type: Option<String>,
}

/// All operations, the deletions last.
pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let shared = item["parameters"].as_array().cloned().unwrap_or_default();
        for (method, spec) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let own = spec["parameters"].as_array().cloned().unwrap_or_default();
            let named = |place: &str| -> Vec<String> {
                let all = shared.iter().chain(&own).filter(|parameter| parameter["in"] == place);
                all.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
            };
            let body_type = spec["requestBody"]["content"].as_object().and_then(|it| it.keys().next().cloned());
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                id: spec["operationId"].as_str().unwrap().to_owned(),
                scope: spec["x-scope"].as_str().map(str::to_owned),
                segments: named("path"),
                queries: named("query"),
                body_type,
            });
        }
    }
    operations.sort_by_key(|operation| operation.method == "DELETE");
    operations
}

impl Operation {
    pub(super) fn has_segments(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Whether its answer is a page, and the next one is reached by a cursor.
    pub(super) fn is_list(&self) -> bool {
        self.queries.iter().any(|name| name == "cursor")
    }

    /// The path of the first line of a list.
    pub(super) fn first_line(&self, tenant: &Tenant) -> String {
        let queries = self.queries.iter().filter(|name| !matches!(name.as_str(), "cursor" | "limit" | "bot"));
        let queries: Vec<String> = queries.map(|name| self.query(name, tenant)).collect();
        format!("{}?{}", self.filled(&[tenant])[0], [queries, vec!["limit=1".to_owned()]].concat().join("&"))
    }

    /// The paths with every mixture of the ids of these accounts, and with the first one's values in the query.
    pub(super) fn paths(&self, tenants: &[&Tenant]) -> Vec<String> {
        let paths = self.filled(tenants);
        let query: Vec<String> = self.queries.iter().map(|name| self.query(name, tenants[0])).collect();
        match query.is_empty() {
            true => paths,
            false => paths.iter().flat_map(|path| [path.clone(), format!("{path}?{}", query.join("&"))]).collect(),
        }
    }

    fn filled(&self, tenants: &[&Tenant]) -> Vec<String> {
        let mut paths = vec![self.path.clone()];
        for segment in &self.segments {
            let values: Vec<&String> = tenants.iter().flat_map(|tenant| tenant.values(segment, &self.id)).collect();
            let filled = |path: &String| -> Vec<String> {
                values.iter().map(|value| path.replace(&format!("{{{segment}}}"), value)).collect()
            };
            paths = paths.iter().flat_map(filled).collect();
        }
        paths
    }

    /// A query parameter with what an attacker knows of the other account.
    fn query(&self, name: &str, of: &Tenant) -> String {
        let value = match name {
            "conversation" | "name" => of.marker.as_str(),
            "cursor" => of.cursor(&self.id),
            "after" | "wait" | "draft" => "0",
            "before" | "limit" => "10",
            "force" | "now" => "true",
            "from" | "to" => "2026-11-22",
            "by" => "day",
            "split" => "bot",
            "bot" => of.id("bot"),
            other => panic!("give the query parameter {other} a value here, so that it is attacked too"),
        };
        format!("{name}={value}")
    }

    /// Whether a path names nothing of anybody else, but for names that mean something within a bot only.
    pub(super) fn names_only(&self, path: &str, tenant: &Tenant) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let parts = |path: &str| path.splitn(self.path.split('/').count(), '/').map(str::to_owned).collect::<Vec<_>>();
        parts(&self.path).iter().zip(parts(path)).all(|(pattern, value)| {
            let name = pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            name.is_none_or(|name| LOCAL.contains(&name) || tenant.values(name, &self.id).contains(&value))
        })
    }

    /// A body that the operation takes: of one account, and with whatever ids it may hold of the other.
    pub(super) fn body(&self, of: &Tenant, by: &Tenant) -> Option<(String, String)> {
        let kind = self.body_type.clone()?;
        if !kind.contains("json") {
            return Some((kind, "overwritten by a stranger".to_owned()));
        }
        let json = match self.id.as_str() {
            "changeAccount" => json!({ "name": by.marker, "budget": { "turns": 7 } }),
            "cloneBot" => json!({ "name": "copy", "memory": true }),
            "createBot" => json!({ "name": "mine" }),
            "changeBot" => json!({ "name": by.marker }),
            "sendChat" => json!({ "text": "hello", "conversation": of.marker, "id": "stolen" }),
            "createCompletion" => {
                json!({ "model": of.id("bot"), "messages": [{ "role": "user", "content": "hello" }] })
            }
            "createResponse" => json!({ "model": of.marker, "input": "hello", "user": of.marker }),
            "createLink" => json!({ "channel": "webhook" }),
            "changeLink" => json!({ "access": { "dm_policy": "open" } }),
            "approvePairing" => json!({ "code": of.id("pairing") }),
            "createSchedule" => json!({
                "name": "spy",
                "schedule": { "kind": "every", "everyMs": 3_600_000 },
                "sessionTarget": format!("session:{}", of.id("session")),
                "payload": { "kind": "systemEvent", "text": "tell me" },
            }),
            "changeSchedule" => json!({ "enabled": false }),
            "decideApproval" => json!({ "decision": "always" }),
            "chooseAccount" => json!({ "account": of.account }),
            "offerLink" => json!({ "role": "owner" }),
            "createKey" => json!({ "name": "spy" }),
            "inviteMember" => json!({ "email": of.id("email"), "role": "owner" }),
            "changeMember" => json!({ "role": "viewer" }),
            other => panic!("give {other} a body here, so that it is attacked too"),
        };
        Some((kind, json.to_string()))
    }
}
