//! The table's rows, and the index of those that wait for something.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::item::{Item, keys, text};
use super::refusal::Refusal;

/// The keys of the index, as `store::schema` names them.
const DUE: [&str; 2] = store::schema::DUE_KEYS;

/// The most that DynamoDB takes as one item.
const MAX_ITEM_BYTES: usize = 400 * 1024;

/// A row's place in its index partition: its sort key there, then its keys in the table.
type Place = (String, String, String);

/// From where to where in a partition.
pub(crate) type Part<'a> = (Bound<&'a str>, Bound<&'a str>);

#[derive(Default)]
pub(crate) struct Table {
    /// By `pk`, then by `sk`.
    rows: BTreeMap<String, BTreeMap<String, Item>>,
    /// By `due_pk`.
    due: BTreeMap<String, BTreeSet<Place>>,
}

impl Table {
    pub(crate) fn get(&self, pk: &str, sk: &str) -> Option<&Item> {
        self.rows.get(pk)?.get(sk)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &String, &Item)> {
        self.rows.iter().flat_map(|(pk, rows)| rows.iter().map(move |(sk, item)| (pk, sk, item)))
    }

    /// The rows of a part of a partition, in order.
    pub(crate) fn partition(&self, pk: &str, part: Part<'_>) -> Vec<&Item> {
        let rows = self.rows.get(pk).map(|rows| rows.range::<str, _>(part).map(|(_, item)| item).collect());
        rows.unwrap_or_default()
    }

    /// The rows of a partition of the index, in order.
    pub(crate) fn due_partition(&self, due_pk: &str) -> Vec<&Item> {
        let places = self.due.get(due_pk).into_iter().flatten();
        places.filter_map(|(_, pk, sk)| self.get(pk, sk)).collect()
    }

    /// Writes a row that [`check`] has seen.
    pub(crate) fn put(&mut self, item: Item) {
        let Ok((pk, sk)) = keys(&item) else { panic!("a row without keys is written: {item:?}") };
        let (pk, sk) = (pk.to_owned(), sk.to_owned());
        self.remove(&pk, &sk);
        if let Some((due_pk, place)) = place(&item) {
            self.due.entry(due_pk).or_default().insert(place);
        }
        self.rows.entry(pk).or_default().insert(sk, item);
    }

    pub(crate) fn remove(&mut self, pk: &str, sk: &str) -> Option<Item> {
        let rows = self.rows.get_mut(pk)?;
        let item = rows.remove(sk)?;
        if rows.is_empty() {
            self.rows.remove(pk);
        }
        if let Some((due_pk, place)) = place(&item)
            && let Some(places) = self.due.get_mut(&due_pk)
        {
            places.remove(&place);
        }
        Some(item)
    }
}

fn place(item: &Item) -> Option<(String, Place)> {
    let due = |name| text(item, name).map(str::to_owned);
    let (pk, sk) = keys(item).ok()?;
    Some((due(DUE[0])?, (due(DUE[1])?, pk.to_owned(), sk.to_owned())))
}

/// What DynamoDB asks of an item: its keys, the types of the index's keys, its size.
pub(crate) fn check(item: &Item) -> Result<(), Refusal> {
    keys(item)?;
    for name in DUE {
        if item.contains_key(name) && text(item, name).is_none_or(str::is_empty) {
            return Err(Refusal::validation(format!("The index key {name} is empty or not a text")));
        }
    }
    if super::item::size(item) > MAX_ITEM_BYTES {
        return Err(Refusal::validation("Item size has exceeded the maximum allowed size"));
    }
    Ok(())
}

/// What DynamoDB asks of a key: its two attributes and no others.
pub(crate) fn check_key(key: &Item) -> Result<(&str, &str), Refusal> {
    if key.len() != 2 {
        return Err(Refusal::validation("The provided key element does not match the schema"));
    }
    keys(key)
}
