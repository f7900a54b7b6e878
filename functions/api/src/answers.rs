//! What handlers answer with, and what the API's document says of it.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{
    Header, MediaType, Operation, ParameterSchemaOrContent, ReferenceOr, SchemaObject, StatusCode as Code,
};
use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use crate::problem::{CONTENT_TYPE, Problem};
use crate::views::ProblemView;

/// What a file may do in a browser that shows it by itself: nothing.
const FILE_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
/// What pictures are sent as.
const PICTURES: [&str; 4] = ["image/gif", "image/jpeg", "image/png", "image/webp"];

/// A response as the document describes it.
type Described = aide::openapi::Response;

/// A record with its version as `ETag`.
pub(crate) struct Versioned<T>(pub(crate) u64, pub(crate) T);

/// A record that was made: 201 with its version as `ETag`, and where it is.
pub(crate) struct Created<T> {
    /// The path of the new record.
    pub(crate) location: String,
    pub(crate) version: u64,
    pub(crate) record: T,
}

/// 202: what was asked for is queued.
pub(crate) struct Accepted<T = ()>(pub(crate) T);

/// A record that was made and has no version: 201.
pub(crate) struct Made<T>(pub(crate) T);

/// 204 with a cookie.
pub(crate) struct CookieSet(pub(crate) HeaderValue);

/// 303: the browser goes elsewhere, with cookies.
pub(crate) struct SentTo {
    pub(crate) location: HeaderValue,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// The content of a file, of any type.
pub(crate) struct FileContent {
    pub(crate) media_type: &'static str,
    /// The `ETag`, with its quotation marks.
    pub(crate) tag: String,
    pub(crate) bytes: Bytes,
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        (etag(self.0), Json(self.1)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, etag(self.version), Json(self.record)).into_response();
        if let Ok(location) = HeaderValue::from_str(&self.location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl IntoResponse for CookieSet {
    fn into_response(self) -> Response {
        (StatusCode::NO_CONTENT, [(header::SET_COOKIE, self.0)]).into_response()
    }
}

impl IntoResponse for SentTo {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, self.location)]).into_response();
        for cookie in self.cookies {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Accepted<Json<T>> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, self.0).into_response()
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

impl IntoResponse for FileContent {
    fn into_response(self) -> Response {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        // What strangers send and bots make is no page of ours: a browser shows pictures, keeps the rest, and runs
        // nothing of either.
        let shown = if self.media_type.starts_with("image/") { "inline" } else { "attachment" };
        let guards = [
            // Who may see it is asked each time.
            (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::CONTENT_DISPOSITION, HeaderValue::from_static(shown)),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY)),
        ];
        let tag = HeaderValue::from_str(&self.tag).ok().map(|tag| [(header::ETAG, tag)]);
        ([kind], guards, tag, self.bytes).into_response()
    }
}

/// The `ETag` of a record of this version.
fn etag(version: u64) -> [(HeaderName, HeaderValue); 1] {
    // Digits between quotation marks are always a header's value.
    let value = HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
    [(header::ETAG, value)]
}

impl<T: JsonSchema> OperationOutput for Versioned<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        let mut response = Json::<T>::operation_response(ctx, operation)?;
        response.headers.insert("ETag".to_owned(), text_header("The version, for `If-Match`."));
        Some(response)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(200, ctx, operation)
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        let mut response = Versioned::<T>::operation_response(ctx, operation)?;
        response.headers.insert("Location".to_owned(), text_header("The path of what was made."));
        Some(response)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(201, ctx, operation)
    }
}

impl<T: JsonSchema> OperationOutput for Made<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(201, ctx, operation)
    }
}

impl OperationOutput for CookieSet {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<Described> {
        let mut response = Described { description: "The browser gets its cookie.".to_owned(), ..Described::default() };
        response.headers.insert("Set-Cookie".to_owned(), text_header("`lt_session`."));
        Some(response)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(204, ctx, operation)
    }
}

impl OperationOutput for SentTo {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<Described> {
        let mut response = Described { description: "The browser goes elsewhere.".to_owned(), ..Described::default() };
        response.headers.insert("Location".to_owned(), text_header("Where to."));
        Some(response)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(303, ctx, operation)
    }
}

impl<T: JsonSchema> OperationOutput for Accepted<Json<T>> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(202, ctx, operation)
    }
}

impl OperationOutput for Accepted {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<Described> {
        Some(Described { description: "It is queued.".to_owned(), ..Described::default() })
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(202, ctx, operation)
    }
}

impl OperationOutput for FileContent {
    type Inner = Bytes;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<Described> {
        let text = || media(json_schema!({ "type": "string" }));
        let mut response = Described {
            description: "The file: Markdown, other text, a picture, or bytes.".to_owned(),
            content: [
                ("text/markdown".to_owned(), text()),
                ("text/plain".to_owned(), text()),
                ("application/octet-stream".to_owned(), MediaType::default()),
            ]
            .into_iter()
            .chain(PICTURES.map(|kind| (kind.to_owned(), MediaType::default())))
            .collect(),
            ..Described::default()
        };
        response.headers.insert("ETag".to_owned(), text_header("Changes when the file's text does; for `If-Match`."));
        Some(response)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        with_status::<Self>(200, ctx, operation)
    }
}

impl OperationOutput for Problem {
    type Inner = ProblemView;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<Described> {
        Some(Described {
            description: "What went wrong, and what to do about it.".to_owned(),
            content: [(CONTENT_TYPE.to_owned(), media(ctx.schema.subschema_for::<ProblemView>()))]
                .into_iter()
                .collect(),
            ..Described::default()
        })
    }

    /// Any other status.
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, Described)> {
        Self::operation_response(ctx, operation).map(|response| (None, response)).into_iter().collect()
    }
}

pub(crate) fn with_status<T: OperationOutput>(
    status: u16,
    ctx: &mut GenContext,
    operation: &mut Operation,
) -> Vec<(Option<Code>, Described)> {
    T::operation_response(ctx, operation).map(|response| (Some(Code::Code(status)), response)).into_iter().collect()
}

pub(crate) fn media(json_schema: Schema) -> MediaType {
    MediaType { schema: Some(schema_object(json_schema)), ..MediaType::default() }
}

pub(crate) fn schema_object(json_schema: Schema) -> SchemaObject {
    SchemaObject { json_schema, external_docs: None, example: None }
}

pub(crate) fn text_header(description: &str) -> ReferenceOr<Header> {
    ReferenceOr::Item(Header {
        description: Some(description.to_owned()),
        style: Default::default(),
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(schema_object(json_schema!({ "type": "string" }))),
        example: None,
        examples: Default::default(),
        extensions: Default::default(),
    })
}
