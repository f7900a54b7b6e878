//! Lists page by page: what a request asks for, and the cursors that lead from one page to the next.
//!
//! A cursor says the place in the list where a page ended, and which account's list it is. It is no secret and is not signed: a place only
//! ever counts within the list of whoever calls, so a forged one leads to nothing that its forger cannot list anyway.

use axum::Json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::AccountId;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::{MAX_PLACE, PageRange};

use crate::problem::Problem;
use crate::views::Page;

const DEFAULT_LIMIT: u32 = 50;
pub(crate) const MAX_LIMIT: u32 = 100;
/// How many bytes of a cursor say which list it belongs to.
const LIST_BYTES: usize = 8;
/// The longest cursor, in characters of base64.
const MAX_CURSOR: usize = (LIST_BYTES + MAX_PLACE).div_ceil(3) * 4;

/// How much of a log a query asks for: `default` unless it says.
pub(crate) fn limit_of_log(limit: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(default);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::bad_request(format!("Give `limit` as 1 to {most}.")))
    }
}

/// The query of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The `next` of an earlier page of this list. Without it the list begins.
    pub(crate) cursor: Option<String>,
    /// How many lines at most; 50 unless given. There may be fewer although others follow.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    pub(crate) limit: Option<u32>,
}

/// One list of one account.
pub(crate) struct List {
    tag: [u8; LIST_BYTES],
}

impl List {
    /// `name` tells the account's lists apart; that of a bot's list holds the bot's id.
    pub(crate) fn new(account: AccountId, name: &str) -> List {
        let digest = Sha256::digest(format!("{account} {name}"));
        let mut tag = [0; LIST_BYTES];
        tag.iter_mut().zip(digest).for_each(|(tag, byte)| *tag = byte);
        List { tag }
    }

    /// The part of the list that a query asks for.
    pub(crate) fn range(&self, query: &PageQuery) -> Result<PageRange, Problem> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("limit: give 1 to {MAX_LIMIT}.")));
        }
        let after = query.cursor.as_deref().map(|cursor| self.place(cursor)).transpose()?;
        Ok(PageRange { after, limit })
    }

    /// The answer with a page of the list.
    pub(crate) fn answer<T, V>(&self, page: store::Page<T>, view: impl FnMut(T) -> V) -> Json<Page<V>> {
        let next = page.next.map(|place| self.cursor(&place));
        Json(Page { items: page.items.into_iter().map(view).collect(), next })
    }

    fn cursor(&self, place: &str) -> String {
        BASE64.encode([&self.tag, place.as_bytes()].concat())
    }

    fn place(&self, cursor: &str) -> Result<String, Problem> {
        let unreadable = || {
            Problem::bad_request(
                "cursor: this is none. Give the `next` of an earlier page, or leave it out to begin anew.",
            )
        };
        if cursor.len() > MAX_CURSOR {
            return Err(unreadable());
        }
        let bytes = BASE64.decode(cursor).map_err(|_| unreadable())?;
        let (tag, place) = bytes.split_first_chunk::<LIST_BYTES>().ok_or_else(unreadable)?;
        if *tag != self.tag {
            let detail = "cursor: it belongs to another list, or to another account. Give the `next` of an earlier page of this \
                          list, or leave it out to begin anew.";
            return Err(Problem::bad_request(detail));
        }
        let place = String::from_utf8(place.to_vec()).map_err(|_| unreadable())?;
        if place.is_empty() || place.len() > MAX_PLACE { Err(unreadable()) } else { Ok(place) }
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn account(number: u128) -> AccountId {
        AccountId::from_parts(Timestamp::default(), number)
    }

    fn query(cursor: &str) -> PageQuery {
        PageQuery { cursor: Some(cursor.to_owned()), limit: None }
    }

    #[test]
    fn a_cursor_leads_on_in_its_own_list_only() {
        let list = List::new(account(1), "bots");
        let cursor = list.cursor("bot_é");
        let range = PageRange { after: Some("bot_é".to_owned()), limit: DEFAULT_LIMIT };
        assert_eq!(list.range(&query(&cursor)).unwrap(), range);
        for other in [List::new(account(2), "bots"), List::new(account(1), "notices")] {
            let refusal = format!("{:?}", other.range(&query(&cursor)).unwrap_err());
            assert!(refusal.contains("400") && refusal.contains("another account"), "{refusal}");
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let list = List::new(account(1), "bots");
        let (empty, not_text) = (list.cursor(""), BASE64.encode([&list.tag[..], &[0xff]].concat()));
        for bad in ["", "!", "AAAA", &empty, &not_text, &list.cursor(&"x".repeat(MAX_PLACE + 1))] {
            assert!(list.range(&query(bad)).is_err(), "{bad}");
        }
        assert!(list.range(&query(&list.cursor(&"x".repeat(MAX_PLACE)))).is_ok());
        for limit in [0, MAX_LIMIT + 1] {
            assert!(list.range(&PageQuery { cursor: None, limit: Some(limit) }).is_err());
        }
    }
}
