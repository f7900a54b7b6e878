//! Lists page by page: one query each, however long the list is.

use crate::error::{StoreError, unavailable};
use crate::item::{Item, string, text};
use crate::keys::Key;
use crate::{AccountStore, Store};

/// The longest place in a list, in bytes: with what stands before it, it is part of a key, which has 1024 at most.
pub const MAX_PLACE: usize = 900;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// The place that an earlier page ended at ([`Page::next`]). `None`: the list's beginning.
    pub after: Option<String>,
    /// How many lines at most. There may be fewer although others follow.
    pub limit: u32,
}

impl Default for PageRange {
    fn default() -> PageRange {
        PageRange { after: None, limit: 100 }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The place that this page ends at. `None`: nothing follows.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page of what `f` makes of its lines.
    pub(crate) fn try_map<U>(self, f: impl FnMut(T) -> Result<U, StoreError>) -> Result<Page<U>, StoreError> {
        Ok(Page { items: self.items.into_iter().map(f).collect::<Result<_, _>>()?, next: self.next })
    }
}

/// In which order rows are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By their keys.
    Forward,
    /// The reverse of that.
    Backward,
}

impl Store {
    /// Rows of a partition whose sort key begins with `kind` and then `beginning`. Costs one query. A place in the list is what
    /// follows the kind.
    pub(crate) async fn page(
        &self,
        pk: &str,
        [kind, beginning]: [&str; 2],
        order: Order,
        range: &PageRange,
    ) -> Result<Page<Item>, StoreError> {
        // DynamoDB refuses to begin outside of what is asked for.
        let after = range.after.as_ref().filter(|place| place.starts_with(beginning));
        let start = after.map(|place| Key { pk: pk.to_owned(), sk: format!("{kind}{place}") });
        let limit = usize::try_from(range.limit).unwrap_or(usize::MAX);
        let output = self
            .dynamo
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(format!("{kind}{beginning}")))
            .scan_index_forward(order == Order::Forward)
            .set_exclusive_start_key(start.map(Key::into_item))
            // One more, to see whether others follow: DynamoDB itself does not look ahead.
            .limit(i32::try_from(range.limit.saturating_add(1)).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| unavailable("list rows", &e))?;
        let mut items = output.items.unwrap_or_default();
        // It also ends where it has read 1 MB.
        let is_more = items.len() > limit || output.last_evaluated_key.is_some();
        items.truncate(limit);
        let place = |item: &Item| Ok(string(item, "sk")?.strip_prefix(kind).unwrap_or_default().to_owned());
        let next = items.last().filter(|_| is_more).map(place).transpose()?;
        Ok(Page { items, next })
    }
}

impl AccountStore<'_> {
    /// A page of the account's own rows of a kind.
    pub(crate) async fn page(&self, kind: &str, order: Order, range: &PageRange) -> Result<Page<Item>, StoreError> {
        self.store.page(&self.id.to_string(), [kind, ""], order, range).await
    }
}
