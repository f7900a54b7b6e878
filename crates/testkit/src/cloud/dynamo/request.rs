//! The requests of DynamoDB. A field that is not known here is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::item::{Attribute, Item, text};
use super::refusal::Refusal;

pub(crate) enum Request {
    Get(Get),
    BatchGet(BatchGet),
    Query(Query),
    Put(Write),
    Update(Write),
    Delete(Write),
    Transact(Transact),
    BatchWrite(BatchWrite),
    CreateTable(OfTable),
    UpdateTimeToLive(OfTable),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Get {
    pub(crate) table_name: String,
    pub(crate) key: Item,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
    pub(crate) projection_expression: Option<String>,
    #[serde(default)]
    pub(crate) expression_attribute_names: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct BatchGet {
    pub(crate) request_items: BTreeMap<String, KeysOfTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct KeysOfTable {
    pub(crate) keys: Vec<Item>,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
    pub(crate) projection_expression: Option<String>,
    #[serde(default)]
    pub(crate) expression_attribute_names: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Query {
    pub(crate) table_name: String,
    pub(crate) index_name: Option<String>,
    pub(crate) key_condition_expression: String,
    pub(crate) projection_expression: Option<String>,
    #[serde(default)]
    pub(crate) expression_attribute_names: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) expression_attribute_values: BTreeMap<String, Attribute>,
    #[serde(default)]
    pub(crate) consistent_read: bool,
    #[serde(default = "yes")]
    pub(crate) scan_index_forward: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) exclusive_start_key: Option<Item>,
}

fn yes() -> bool {
    true
}

/// A put, an update, a delete or a check, alone or in a transaction. Which fields it may have depends on which it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Write {
    pub(crate) table_name: String,
    pub(crate) item: Option<Item>,
    pub(crate) key: Option<Item>,
    pub(crate) update_expression: Option<String>,
    pub(crate) condition_expression: Option<String>,
    #[serde(default)]
    pub(crate) expression_attribute_names: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) expression_attribute_values: BTreeMap<String, Attribute>,
    #[serde(default)]
    pub(crate) return_values: ReturnValues,
    #[serde(default)]
    pub(crate) return_values_on_condition_check_failure: ReturnValues,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReturnValues {
    #[default]
    None,
    AllOld,
    AllNew,
}

#[derive(Deserialize)]
pub(crate) enum Action {
    Put(Write),
    Update(Write),
    Delete(Write),
    ConditionCheck(Write),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Transact {
    pub(crate) transact_items: Vec<Action>,
    pub(crate) client_request_token: Option<String>,
    /// The request as it came, to tell a repetition from another request.
    #[serde(skip)]
    pub(crate) body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct BatchWrite {
    pub(crate) request_items: BTreeMap<String, Vec<BatchAction>>,
}

#[derive(Deserialize)]
pub(crate) enum BatchAction {
    PutRequest {
        #[serde(rename = "Item")]
        item: Item,
    },
    DeleteRequest {
        #[serde(rename = "Key")]
        key: Item,
    },
}

/// Of the description of a table only its name is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OfTable {
    pub(crate) table_name: String,
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::validation(format!("The request is not known: {error}")))
}

impl Request {
    pub(crate) fn parse(operation: &str, body: &[u8]) -> Result<Request, Refusal> {
        Ok(match operation {
            "GetItem" => Request::Get(parse(body)?),
            "BatchGetItem" => Request::BatchGet(parse(body)?),
            "Query" => Request::Query(parse(body)?),
            "PutItem" => Request::Put(parse(body)?),
            "UpdateItem" => Request::Update(parse(body)?),
            "DeleteItem" => Request::Delete(parse(body)?),
            "TransactWriteItems" => Request::Transact(Transact { body: body.to_vec(), ..parse(body)? }),
            "BatchWriteItem" => Request::BatchWrite(parse(body)?),
            "CreateTable" => Request::CreateTable(parse(body)?),
            "UpdateTimeToLive" => Request::UpdateTimeToLive(parse(body)?),
            _ => return Err(Refusal::validation(format!("The operation {operation} is not simulated"))),
        })
    }

    /// The first row or partition that it names, or its table.
    pub(crate) fn key(&self) -> String {
        let row = |item: Option<&Item>| {
            let part = |name| item.and_then(|item| text(item, name)).unwrap_or("?");
            format!("{}/{}", part("pk"), part("sk"))
        };
        let write = |write: &Write| row(write.item.as_ref().or(write.key.as_ref()));
        match self {
            Request::Get(get) => row(Some(&get.key)),
            Request::BatchGet(batch) => row(batch.request_items.values().find_map(|of| of.keys.first())),
            Request::Query(query) => query.key(),
            Request::Put(put) => write(put),
            Request::Update(update) => write(update),
            Request::Delete(delete) => write(delete),
            Request::Transact(transact) => match transact.transact_items.first() {
                Some(action) => write(action.write()),
                None => row(None),
            },
            Request::BatchWrite(batch) => match batch.request_items.values().find_map(|actions| actions.first()) {
                Some(BatchAction::PutRequest { item }) => row(Some(item)),
                Some(BatchAction::DeleteRequest { key }) => row(Some(key)),
                None => row(None),
            },
            Request::CreateTable(of) | Request::UpdateTimeToLive(of) => of.table_name.clone(),
        }
    }
}

impl Action {
    pub(crate) fn write(&self) -> &Write {
        let (Action::Put(write) | Action::Update(write) | Action::Delete(write) | Action::ConditionCheck(write)) = self;
        write
    }
}

impl Query {
    /// Its partition, if the expression begins with it as the product's do, and its index.
    fn key(&self) -> String {
        let value = self.key_condition_expression.split_whitespace().nth(2).unwrap_or_default();
        let partition = match self.expression_attribute_values.get(value) {
            Some(Attribute::S(partition)) => partition,
            _ => "?",
        };
        match &self.index_name {
            Some(index) => format!("{index}:{partition}/"),
            None => format!("{partition}/"),
        }
    }
}
