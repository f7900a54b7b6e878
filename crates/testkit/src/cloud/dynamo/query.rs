//! Queries: a range of a partition, of the table or of its index, page by page.

use std::ops::Bound;

use serde::Serialize;

use super::expression::{Comparison, Condition, Names, Operand, condition, projection};
use super::item::{Attribute, Item, size, text};
use super::refusal::Refusal;
use super::request::Query;
use super::table::{Part, Table};

/// A page ends with the item that brings it to this size.
const PAGE_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Page {
    items: Vec<Item>,
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<Item>,
}

/// The attributes that a projection keeps; all if there is none.
pub(crate) fn project(item: &Item, paths: Option<&[String]>) -> Item {
    match paths {
        None => item.clone(),
        Some(paths) => {
            let kept = paths.iter().filter_map(|path| item.get(path).map(|value| (path.clone(), value.clone())));
            kept.collect()
        }
    }
}

pub(crate) fn query(table: &Table, query: &Query) -> Result<Page, Refusal> {
    let names = Names::new(&query.expression_attribute_names, &query.expression_attribute_values);
    let condition = condition(&query.key_condition_expression, &names)?;
    let paths = query.projection_expression.as_ref().map(|text| projection(text, &names)).transpose()?;
    names.check_used()?;
    if query.limit == Some(0) {
        return Err(Refusal::validation("Limit must be at least 1"));
    }
    let keys = match query.index_name.as_deref() {
        None => store::schema::TABLE_KEYS,
        Some(store::schema::DUE_INDEX) if query.consistent_read => {
            return Err(Refusal::validation("Consistent reads are not supported on global secondary indexes"));
        }
        Some(store::schema::DUE_INDEX) => store::schema::DUE_KEYS,
        Some(index) => return Err(Refusal::validation(format!("The table has no index {index}"))),
    };
    let refusal = |why: &str| {
        Refusal::validation(format!("Invalid key condition expression `{}`: {why}", query.key_condition_expression))
    };
    let partition = check_key_condition(&condition, keys).map_err(refusal)?;
    let mut rows = match query.index_name {
        None => table.partition(partition, part(&condition)),
        Some(_) => table.due_partition(partition),
    };
    if !query.scan_index_forward {
        rows.reverse();
    }

    let place = |item: &Item| [keys[1], "pk", "sk"].map(|name| text(item, name).unwrap_or_default().to_owned());
    let start = query.exclusive_start_key.as_ref().map(place);
    let is_behind_start = |item: &Item| match &start {
        None => true,
        Some(start) if query.scan_index_forward => place(item) > *start,
        Some(start) => place(item) < *start,
    };
    let mut page = Page { items: vec![], count: 0, scanned_count: 0, last_evaluated_key: None };
    let mut bytes = 0;
    for item in rows.into_iter().filter(|item| is_behind_start(item) && condition.holds(Some(item))) {
        bytes += size(item);
        page.items.push(project(item, paths.as_deref()));
        if bytes >= PAGE_BYTES || query.limit == Some(page.items.len()) {
            // Also behind the last row: DynamoDB does not look ahead.
            let names = ["pk", "sk"].into_iter().chain(keys).map(str::to_owned).collect::<Vec<_>>();
            page.last_evaluated_key = Some(project(item, Some(&names)));
            break;
        }
    }
    (page.count, page.scanned_count) = (page.items.len(), page.items.len());
    Ok(page)
}

/// A key condition says which partition, and at most one thing about the sort key.
fn check_key_condition<'a>(condition: &'a Condition<'a>, keys: [&str; 2]) -> Result<&'a str, &'static str> {
    match condition {
        Condition::And(partition, range) => {
            let partition = check_partition(partition, keys[0])?;
            let path = match range.as_ref() {
                Condition::Compare(_, Comparison::NotEqual, _) => return Err("<> is not allowed here"),
                Condition::Compare(Operand::Path(path), _, Operand::Value(_))
                | Condition::Between(Operand::Path(path), Operand::Value(_), Operand::Value(_))
                | Condition::BeginsWith(Operand::Path(path), Operand::Value(_)) => path,
                _ => return Err("its second part is not about the sort key"),
            };
            if path == keys[1] { Ok(partition) } else { Err("its second part is not about the sort key") }
        }
        only => check_partition(only, keys[0]),
    }
}

/// The part of the partition that holds all rows of a key condition, and perhaps others.
fn part<'a>(condition: &'a Condition<'a>) -> Part<'a> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let Condition::And(_, range) = condition else { return all };
    match range.as_ref() {
        Condition::Between(_, Operand::Value(Attribute::S(low)), Operand::Value(Attribute::S(high))) => {
            (Bound::Included(low), Bound::Included(high))
        }
        Condition::BeginsWith(_, Operand::Value(Attribute::S(low))) => (Bound::Included(low), Bound::Unbounded),
        _ => all,
    }
}

fn check_partition<'a>(condition: &'a Condition<'a>, key: &str) -> Result<&'a str, &'static str> {
    match condition {
        Condition::Compare(Operand::Path(path), Comparison::Equal, Operand::Value(Attribute::S(value)))
            if path == key =>
        {
            Ok(value)
        }
        _ => Err("it does not begin with the partition key"),
    }
}
