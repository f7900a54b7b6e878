//! How often somebody calls, counted for all processes together.
//!
//! A process leases some requests of a caller's minute at once, so that a request costs no write of its own.

use std::time::Duration;

use domain::Timestamp;

use crate::error::{StoreError, unavailable};
use crate::item::number;
use crate::{Store, keys, schema};

/// The counter of a minute is forgotten after this.
const KEPT: Duration = Duration::from_secs(3600);

impl Store {
    /// Takes `wanted` requests of a caller's minute, if fewer than `limit` are taken of it. Returns whether they were: the last
    /// lease may go beyond the limit by what it is. Costs one write.
    pub async fn requests_lease(
        &self,
        caller: &str,
        now: Timestamp,
        wanted: u32,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let minute = now.as_secs() / 60;
        let request = self
            .dynamo
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::rate(caller, minute).into_item()))
            .condition_expression("attribute_not_exists(pk) OR #taken < :limit")
            .update_expression("SET #ttl = :ttl ADD #taken :wanted")
            .expression_attribute_names("#taken", "taken")
            .expression_attribute_names("#ttl", schema::TTL_ATTRIBUTE)
            .expression_attribute_values(":ttl", number((now + KEPT).as_secs()))
            .expression_attribute_values(":wanted", number(u64::from(wanted)))
            .expression_attribute_values(":limit", number(u64::from(limit)));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(unavailable("count requests", &e)),
        }
    }
}
