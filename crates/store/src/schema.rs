//! The table, as `template.yaml` states it: the local mode creates it from here, and a test compares the two.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};

use crate::Store;
use crate::error::{StoreError, unavailable};

/// Partition and sort key of the table.
pub const TABLE_KEYS: [&str; 2] = ["pk", "sk"];

/// The index of rows that wait for something, with its partition and sort key.
pub const DUE_INDEX: &str = "due";
pub const DUE_KEYS: [&str; 2] = ["due_pk", "due_sk"];

/// The attribute with the second after which DynamoDB may drop a row.
pub const TTL_ATTRIBUTE: &str = "ttl";

impl Store {
    /// Creates the table and the bucket where they are missing. For the local mode and tests: a
    /// deployment's are made by CloudFormation.
    pub async fn create_missing(&self) -> Result<(), StoreError> {
        self.create_table().await?;
        match self.s3.create_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let service = error.as_service_error();
                let exists =
                    service.is_some_and(|e| e.is_bucket_already_owned_by_you() || e.is_bucket_already_exists());
                if exists { Ok(()) } else { Err(unavailable("create the bucket", &error)) }
            }
        }
    }

    async fn create_table(&self) -> Result<(), StoreError> {
        let mut request = self.dynamo.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for name in TABLE_KEYS.into_iter().chain(DUE_KEYS) {
            request = request.attribute_definitions(string_attribute(name)?);
        }
        for element in key_schema(TABLE_KEYS)? {
            request = request.key_schema(element);
        }
        let index = GlobalSecondaryIndex::builder()
            .index_name(DUE_INDEX)
            .set_key_schema(Some(key_schema(DUE_KEYS)?))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .map_err(|e| unavailable("describe the index", &e))?;
        match request.global_secondary_indexes(index).send().await {
            Ok(_) => {}
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => return Ok(()),
            Err(error) => return Err(unavailable("create the table", &error)),
        }
        let ttl = TimeToLiveSpecification::builder()
            .attribute_name(TTL_ATTRIBUTE)
            .enabled(true)
            .build()
            .map_err(|e| unavailable("describe the time to live", &e))?;
        let request = self.dynamo.update_time_to_live().table_name(&self.table).time_to_live_specification(ttl);
        request.send().await.map_err(|e| unavailable("set the time to live", &e))?;
        Ok(())
    }
}

fn string_attribute(name: &str) -> Result<AttributeDefinition, StoreError> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .map_err(|e| unavailable("describe the table", &e))
}

fn key_schema([partition, sort]: [&str; 2]) -> Result<Vec<KeySchemaElement>, StoreError> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .map_err(|e| unavailable("describe the table", &e))
        })
        .collect()
}
