//! How a route is registered: with what it needs, what it is called, and the handler.
//!
//! The scope is both written into the API's document and enforced: a handler gets a [`Caller`](crate::auth::Caller) only
//! if its route names a scope and the caller has it. A handler without a caller knows no account.

use aide::axum::routing::{self, ApiMethodRouter};
use aide::openapi::{Parameter, ReferenceOr};
use aide::operation::{OperationHandler, OperationInput, OperationOutput};
use aide::transform::TransformOperation;
use axum::Extension;
use axum::handler::Handler;
use axum::middleware::from_fn;
use runtime::Environment;
use schemars::json_schema;

use crate::extract::header_parameter;
use crate::idempotency;
use crate::openapi::KEY_SCHEME;
use crate::problem::Problem;
use crate::scope::Scope;

/// The name of the field of an operation that says its scope, or [`ANY`].
pub(crate) const SCOPE_FIELD: &str = "x-scope";

/// What the document says in place of a scope where none is needed.
pub(crate) const ANY: &str = "any";

/// What the route that a request came by needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// A caller who is known, whatever they may do.
    Any,
    Scope(Scope),
}

impl Needs {
    fn as_str(self) -> &'static str {
        match self {
            Needs::Any => ANY,
            Needs::Scope(scope) => scope.as_str(),
        }
    }
}

impl From<Scope> for Needs {
    fn from(scope: Scope) -> Needs {
        Needs::Scope(scope)
    }
}

macro_rules! scoped {
    ($($name:ident, $with:ident;)*) => { $(
        /// An operation that needs a scope, under its method. `id` is unique in the API.
        pub(crate) fn $name<H, I, O, T>(
            needs: impl Into<Needs>,
            handler: H,
            id: &str,
            summary: &str,
        ) -> ApiMethodRouter<Environment>
        where
            H: Handler<T, Environment> + OperationHandler<I, O>,
            I: OperationInput,
            O: OperationOutput,
            T: 'static,
        {
            let needs = needs.into();
            routing::$with(handler, |operation| document(operation, needs, id, summary)).route_layer(Extension(needs))
        }
    )* };
}

scoped! {
    get, get_with;
    put, put_with;
    patch, patch_with;
    delete, delete_with;
}

/// A `POST` that needs a scope and is done once for each `Idempotency-Key`. `id` is unique in the API.
pub(crate) fn post<H, I, O, T>(
    needs: impl Into<Needs>,
    handler: H,
    id: &str,
    summary: &str,
) -> ApiMethodRouter<Environment>
where
    H: Handler<T, Environment> + OperationHandler<I, O>,
    I: OperationInput,
    O: OperationOutput,
    T: 'static,
{
    let needs = needs.into();
    let route = routing::post_with(handler, |operation| {
        let mut operation = document(operation, needs, id, summary);
        operation.inner_mut().parameters.push(ReferenceOr::Item(key_header()));
        operation
    });
    route.route_layer(from_fn(idempotency::once)).route_layer(Extension(needs))
}

/// What the document says of the header.
fn key_header() -> Parameter {
    let description = "A new one for each new request. The same request with the same key is done once, and has the same answer \
                       for 24 hours, so it may be sent again when its answer was lost.";
    let schema = json_schema!({ "type": "string", "minLength": 1, "maxLength": idempotency::MAX_KEY });
    header_parameter("Idempotency-Key", description, schema)
}

fn document<'a>(operation: TransformOperation<'a>, needs: Needs, id: &str, summary: &str) -> TransformOperation<'a> {
    let scope = match needs {
        Needs::Any => None,
        Needs::Scope(scope) => Some(scope.as_str()),
    };
    let mut operation = operation
        .id(id)
        .summary(summary)
        .response_with::<401, Problem, _>(|response| response.description("There is no such key."))
        .response_with::<403, Problem, _>(|response| response.description("The caller lacks the scope."))
        .security_requirement_scopes(KEY_SCHEME, scope);
    operation.inner_mut().extensions.insert(SCOPE_FIELD.to_owned(), needs.as_str().into());
    operation
}
