//! What requests carry, read with errors that say what to change: path, query, bodies, preconditions.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{HeaderStyle, Operation, Parameter, ParameterData, ParameterSchemaOrContent, RequestBody};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use runtime::Environment;
use schemars::{JsonSchema, Schema, json_schema};
use serde::de::DeserializeOwned;

use crate::MAX_BODY;
use crate::answers::{media, schema_object};
use crate::auth::Notes;
use crate::problem::Problem;

/// The values of a path's `{…}` segments, percent-decoded.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Environment> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Segments<T>, Problem> {
        let Path(values) = Path::from_request_parts(parts, environment).await.map_err(|error| {
            Problem::bad_request(format!("The path cannot be read: {error}. Percent-encode names as UTF-8."))
        })?;
        Ok(Segments(values))
    }
}

/// The query string.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Environment> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Parameters<T>, Problem> {
        let query = Query::from_request_parts(parts, environment).await;
        let Query(values) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
        Ok(Parameters(values))
    }
}

/// A body of JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Environment> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, environment: &Environment) -> Result<JsonBody<T>, Problem> {
        if media_type(request.headers()).as_deref() != Some("application/json") {
            return Err(unsupported("application/json"));
        }
        let notes = request.extensions().get::<Notes>().cloned();
        let bytes = body(request, environment).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => {
                notes.inspect(|notes| notes.read(&bytes));
                Ok(JsonBody(value))
            }
            Err(error) => Err(Problem::bad_request(json_error(&error))),
        }
    }
}

/// A body of Markdown or plain text, in UTF-8.
pub(crate) struct TextBody(pub(crate) String);

impl FromRequest<Environment> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, environment: &Environment) -> Result<TextBody, Problem> {
        if !matches!(media_type(request.headers()).as_deref(), Some("text/markdown" | "text/plain")) {
            return Err(unsupported("text/markdown"));
        }
        let bytes = body(request, environment).await?;
        let text = String::from_utf8(bytes.into());
        text.map(TextBody).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::bad_request(format!("The text is not UTF-8 from byte {at} on. Send it as UTF-8."))
        })
    }
}

/// The body's media type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn unsupported(wanted: &str) -> Problem {
    let detail = format!("This body is not understood. Send `Content-Type: {wanted}`.");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// The longest body of a route that takes longer ones than others, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// The whole body of a request.
pub(crate) async fn body(request: Request, environment: &Environment) -> Result<Bytes, Problem> {
    let most = request.extensions().get::<BodyLimit>().map_or(MAX_BODY, |BodyLimit(most)| *most);
    Bytes::from_request(request, environment).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("The body is too large. Send {} KiB at most.", most / 1024);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        _ => Problem::bad_request("The body ended too early. Send the request again."),
    })
}

/// What is wrong and where.
fn json_error(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            format!("The JSON does not fit at line {line}, column {column}: {what}.")
        }
        Category::Eof => format!("The JSON ends too early, at line {line}, column {column}."),
        Category::Syntax | Category::Io => format!("The body is not JSON from line {line}, column {column} on."),
    }
}

/// What a request says of the record that it wants to change (RFC 9110, section 13).
pub(crate) struct Preconditions(HeaderMap);

impl FromRequestParts<Environment> for Preconditions {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Environment) -> Result<Preconditions, Self::Rejection> {
        let mut conditions = HeaderMap::new();
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            if let Some(value) = parts.headers.get(&name) {
                conditions.insert(name, value.clone());
            }
        }
        Ok(Preconditions(conditions))
    }
}

impl Preconditions {
    /// Refuses a change that was made against another version than the one that is stored.
    pub(crate) fn check(&self, version: u64) -> Result<(), Problem> {
        let Some(wanted) = self.if_match() else { return Ok(()) };
        let current = format!("\"{version}\"");
        if wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current) {
            return Ok(());
        }
        let detail = format!("If-Match does not name the current version, {current}. Read it again and decide anew.");
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail))
    }

    /// `If-Match`, if it was sent. What is not text names no version.
    pub(crate) fn if_match(&self) -> Option<&str> {
        self.0.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default())
    }

    /// `If-None-Match`, if it was sent.
    pub(crate) fn if_none_match(&self) -> Option<&str> {
        self.0.get(header::IF_NONE_MATCH).map(|value| value.to_str().unwrap_or_default())
    }
}

impl<T> OperationInput for Segments<T> {}

impl<T: JsonSchema> OperationInput for Parameters<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.root_schema_for::<T>();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let content = [("application/json".to_owned(), media(ctx.schema.subschema_for::<T>()))];
        set_body(ctx, operation, required_body(content.into_iter().collect()));
    }
}

impl OperationInput for TextBody {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = || media(json_schema!({ "type": "string" }));
        let content = [("text/markdown".to_owned(), text()), ("text/plain".to_owned(), text())];
        set_body(ctx, operation, required_body(content.into_iter().collect()));
    }
}

impl OperationInput for Preconditions {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let description = "The `ETag` of what was read: if it is another by now, nothing is changed (412).";
        let parameter = header_parameter("If-Match", description, json_schema!({ "type": "string" }));
        add_parameters(ctx, operation, [parameter]);
    }
}

/// A header that a request may have, as the document describes it.
pub(crate) fn header_parameter(name: &str, description: &str, schema: Schema) -> Parameter {
    let data = ParameterData {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(schema_object(schema)),
        example: None,
        examples: Default::default(),
        explode: None,
        extensions: Default::default(),
    };
    Parameter::Header { parameter_data: data, style: HeaderStyle::Simple }
}

fn required_body(content: aide::openapi::Content) -> RequestBody {
    RequestBody { description: None, content, required: true, extensions: Default::default() }
}
