//! The sparse index `due`: rows of all accounts that wait for a time, by what waits (`due_pk`) and when (`due_sk`).

use domain::Timestamp;

use crate::error::{StoreError, unavailable};
use crate::item::{Item, text};
use crate::keys::Key;
use crate::{Store, keys, schema};

/// Rows whose time has come.
pub(crate) struct Due {
    pub(crate) items: Vec<Item>,
    /// Where others follow, if any do.
    pub(crate) next: Option<Item>,
}

impl Due {
    /// What the rows hold. One that nobody can read must not hold back the others: it is left out, and `left_out` is logged.
    pub(crate) fn records<T>(&self, read: impl Fn(&Item) -> Result<T, StoreError>, left_out: &str) -> Vec<T> {
        let read = |item| read(item).inspect_err(|error| tracing::error!("{left_out}: {error}")).ok();
        self.items.iter().filter_map(read).collect()
    }
}

impl Store {
    /// Rows of `due_pk` that wait for a time up to `until`, the longest waiting first; at most `limit` of them, from `page` on.
    /// They may lag behind the last write by moments. `what` is said of a failure.
    pub(crate) async fn due(
        &self,
        due_pk: impl Into<String>,
        until: Timestamp,
        limit: i32,
        page: Option<Item>,
        what: &'static str,
    ) -> Result<Due, StoreError> {
        let request = self
            .dynamo
            .query()
            .table_name(&self.table)
            .index_name(schema::DUE_INDEX)
            .key_condition_expression("due_pk = :pk AND due_sk <= :until")
            .expression_attribute_values(":pk", text(due_pk))
            .expression_attribute_values(":until", text(keys::time_key(until)))
            .set_exclusive_start_key(page)
            .limit(limit);
        let output = request.send().await.map_err(|e| unavailable(what, &e))?;
        Ok(Due { items: output.items.unwrap_or_default(), next: output.last_evaluated_key })
    }

    /// Puts a row off until then. One that waits no longer is left alone.
    pub(crate) async fn due_put_off(&self, key: Key, until: Timestamp, what: &'static str) -> Result<(), StoreError> {
        let request = self
            .dynamo
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.into_item()))
            .update_expression("SET due_sk = :due")
            .condition_expression("attribute_exists(due_pk)")
            .expression_attribute_values(":due", text(keys::time_key(until)));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(unavailable(what, &e)),
        }
    }
}
