//! Items and their attributes, in the JSON that DynamoDB speaks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

pub(crate) type Item = BTreeMap<String, Attribute>;

/// An attribute's value. Its JSON names its type: `{"S": "text"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Attribute {
    S(String),
    N(String),
    /// In base64.
    B(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(bool),
    #[serde(rename = "SS")]
    Strings(Vec<String>),
    #[serde(rename = "NS")]
    Numbers(Vec<String>),
    #[serde(rename = "BS")]
    Binaries(Vec<String>),
    L(Vec<Attribute>),
    M(BTreeMap<String, Attribute>),
}

impl Attribute {
    /// Whole numbers only: the product has no others.
    pub(crate) fn number(&self) -> Option<i128> {
        match self {
            Attribute::N(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(String::len).sum();
        match self {
            Attribute::S(text) | Attribute::N(text) | Attribute::B(text) => text.len(),
            Attribute::Bool(_) | Attribute::Null(_) => 1,
            Attribute::Strings(set) | Attribute::Numbers(set) | Attribute::Binaries(set) => texts(set),
            Attribute::L(list) => list.iter().map(|value| value.size() + 1).sum::<usize>() + 3,
            Attribute::M(map) => size(map) + map.len() + 3,
        }
    }
}

/// What counts against the limit of an item: names and values, roughly.
pub(crate) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

/// A text attribute, if there is one of this name.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name) {
        Some(Attribute::S(text)) => Some(text),
        _ => None,
    }
}

/// A row's keys, which must be texts with something in them.
pub(crate) fn keys(item: &Item) -> Result<(&str, &str), Refusal> {
    let key = |name| {
        let text = text(item, name).filter(|text| !text.is_empty());
        text.ok_or_else(|| Refusal::validation(format!("The key attribute {name} is missing, empty or not a text")))
    };
    Ok((key("pk")?, key("sk")?))
}
