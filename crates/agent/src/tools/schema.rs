//! JSON schemas of arguments, from Rust types, in the subset that every provider takes.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// What says nothing to a model, or is refused by some provider.
const LEFT_OUT: [&str; 6] = ["$schema", "title", "format", "default", "minimum", "additionalProperties"];

/// The schema of a type's fields. Their documentation is what the model reads of them.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = SchemaGenerator::from(settings).into_root_schema_for::<T>().to_value();
    clean(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        // The type's own documentation is for us.
        object.remove("description");
        object.entry("properties").or_insert_with(|| json!({}));
    }
    schema
}

fn clean(schema: &mut Value) {
    match schema {
        Value::Object(object) => clean_object(object),
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

fn clean_object(object: &mut Map<String, Value>) {
    for name in LEFT_OUT {
        object.remove(name);
    }
    // What may be left out is written so by not being required.
    if let Some(Value::Array(types)) = object.get("type")
        && let Some(only) = types.iter().find(|name| *name != "null").cloned()
    {
        object.insert("type".to_owned(), only);
    }
    if let Some(Value::Array(choices)) = object.get("anyOf")
        && let Some(Value::Object(only)) = choices.iter().find(|choice| choice["type"] != "null").cloned()
    {
        object.remove("anyOf");
        object.extend(only);
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let is_properties = |name: &str| name == "properties";
    for (name, value) in object.iter_mut() {
        match value {
            // The keys of this one are the arguments' names.
            Value::Object(properties) if is_properties(name) => properties.values_mut().for_each(clean),
            value => clean(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn schemas_are_flat_and_plain() {
        #[derive(Deserialize, JsonSchema)]
        #[allow(dead_code, reason = "only its schema is looked at")]
        struct Arguments {
            /// Where.
            path: String,
            /// How many.
            limit: Option<u32>,
            /// Which.
            title: Option<Kind>,
            edits: Vec<Edit>,
        }
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        #[allow(dead_code, reason = "only its schema is looked at")]
        struct Edit {
            old_text: String,
        }
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        #[allow(dead_code, reason = "only its schema is looked at")]
        enum Kind {
            Small,
            Large,
        }
        assert_eq!(
            of::<Arguments>(),
            json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "Where." },
                    "limit": { "type": "integer", "description": "How many." },
                    "title": { "type": "string", "enum": ["small", "large"], "description": "Which." },
                    "edits": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": { "oldText": { "type": "string" } },
                            "required": ["oldText"],
                        },
                    },
                },
                "required": ["path", "edits"],
            })
        );
    }
}
