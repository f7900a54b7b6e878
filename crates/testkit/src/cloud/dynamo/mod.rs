//! DynamoDB: one table with the index `due`.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/> (JSON 1.0, one path, the operation in a header)

mod expression;
mod item;
mod lexer;
mod query;
mod refusal;
mod request;
mod table;
mod update;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::expression::{Names, projection};
use self::item::Item;
use self::query::project;
use self::refusal::{CONTENT_TYPE, Refusal};
use self::request::{Action, BatchGet, Get, Request};
use self::table::{Table, check_key};
use super::connector::Answer;

/// The most actions of one transaction.
const MAX_TRANSACTION: usize = 100;
const MAX_BATCH_WRITES: usize = 25;
const MAX_BATCH_READS: usize = 100;

/// Whether the conditions of writes to the row with these keys, `pk` and `sk`, are not looked at.
pub type Ignored = Box<dyn Fn(&str, &str) -> bool + Send>;

/// The service: its one table, once that was created.
#[derive(Default)]
pub(crate) struct Dynamo {
    name: Option<String>,
    table: Table,
    pub(crate) ignored: Option<Ignored>,
    /// The tokens of transactions that took effect, with when and what they were used for.
    tokens: BTreeMap<String, (Instant, Vec<u8>)>,
}

/// A request that was read.
pub(crate) struct Incoming {
    pub(crate) operation: String,
    request: Result<Request, Refusal>,
}

impl Incoming {
    pub(crate) fn read(operation: &str, body: &[u8]) -> Incoming {
        Incoming { operation: operation.to_owned(), request: Request::parse(operation, body) }
    }

    pub(crate) fn key(&self) -> String {
        self.request.as_ref().map(Request::key).unwrap_or_default()
    }

    pub(crate) fn perform(self, dynamo: &mut Dynamo, now: Instant) -> Answer {
        let answer = self.request.and_then(|request| dynamo.perform(request, now));
        answer.unwrap_or_else(Refusal::into_answer)
    }
}

fn answer(body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("an answer is JSON");
    Answer::new(200, CONTENT_TYPE, body)
}

impl Dynamo {
    /// Creates the table, unless there is one.
    pub(crate) fn create(&mut self, name: &str) -> Result<(), Refusal> {
        match &self.name {
            None => {
                self.name = Some(name.to_owned());
                Ok(())
            }
            Some(existing) if existing == name => Err(Refusal::table_exists(name)),
            Some(_) => Err(Refusal::validation("only one table is simulated")),
        }
    }

    pub(crate) fn rows(&self) -> Vec<(String, String, Value)> {
        self.table.all().map(|(pk, sk, item)| (pk.clone(), sk.clone(), json!(item))).collect()
    }

    pub(crate) fn remove(&mut self, pk: &str, sk: &str) -> Option<Item> {
        self.table.remove(pk, sk)
    }

    fn check_table(&self, name: &str) -> Result<(), Refusal> {
        if self.name.as_deref() == Some(name) { Ok(()) } else { Err(Refusal::no_such_table(name)) }
    }

    fn perform(&mut self, request: Request, now: Instant) -> Result<Answer, Refusal> {
        let body = match request {
            Request::Get(get) => self.get(&get)?,
            Request::BatchGet(batch) => self.batch_get(&batch)?,
            Request::Query(query) => {
                self.check_table(&query.table_name)?;
                return query::query(&self.table, &query).map(|page| answer(&page));
            }
            Request::Put(write) => self.write(&Action::Put(write))?,
            Request::Update(write) => self.write(&Action::Update(write))?,
            Request::Delete(write) => self.write(&Action::Delete(write))?,
            Request::Transact(transact) => self.transact(transact, now)?,
            Request::BatchWrite(batch) => self.batch_write(batch)?,
            Request::CreateTable(of) => {
                self.create(&of.table_name)?;
                json!({ "TableDescription": { "TableName": of.table_name, "TableStatus": "ACTIVE" } })
            }
            Request::UpdateTimeToLive(of) => {
                self.check_table(&of.table_name)?;
                json!({})
            }
        };
        Ok(answer(&body))
    }

    fn get(&self, get: &Get) -> Result<Value, Refusal> {
        self.check_table(&get.table_name)?;
        let (values, (pk, sk)) = (BTreeMap::new(), check_key(&get.key)?);
        let names = Names::new(&get.expression_attribute_names, &values);
        let paths = get.projection_expression.as_ref().map(|text| projection(text, &names)).transpose()?;
        names.check_used()?;
        Ok(match self.table.get(pk, sk) {
            Some(item) => json!({ "Item": project(item, paths.as_deref()) }),
            None => json!({}),
        })
    }

    fn batch_get(&self, batch: &BatchGet) -> Result<Value, Refusal> {
        let mut responses = BTreeMap::new();
        for (table, of) in &batch.request_items {
            self.check_table(table)?;
            if !(1..=MAX_BATCH_READS).contains(&of.keys.len()) {
                return Err(Refusal::validation(format!("A batch has 1 to {MAX_BATCH_READS} keys")));
            }
            let values = BTreeMap::new();
            let names = Names::new(&of.expression_attribute_names, &values);
            let paths = of.projection_expression.as_ref().map(|text| projection(text, &names)).transpose()?;
            names.check_used()?;
            let keys = of.keys.iter().map(check_key).collect::<Result<BTreeSet<_>, _>>()?;
            if keys.len() < of.keys.len() {
                return Err(Refusal::validation("Provided list of item keys contains duplicates"));
            }
            let items = keys.into_iter().filter_map(|(pk, sk)| self.table.get(pk, sk));
            let items: Vec<Item> = items.map(|item| project(item, paths.as_deref())).collect();
            responses.insert(table, items);
        }
        Ok(json!({ "Responses": responses, "UnprocessedKeys": {} }))
    }
}
