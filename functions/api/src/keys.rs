//! API keys: made, listed, deleted. A key's secret is shown once.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use domain::KeyId;
use runtime::Environment;
use store::ApiKey;

use crate::answers::Made;
use crate::auth::{Caller, KEY_PREFIX};
use crate::extract::{JsonBody, Segments};
use crate::problem::Problem;
use crate::scope::{Scope, Scopes};
use crate::views::{Items, KeyCreate, KeyCreated, KeyView};

const MAX_NAME: usize = 80;

/// `GET /v1/keys`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
) -> Result<Json<Items<KeyView>>, Problem> {
    let keys = environment.store.account(caller.account).api_key_list().await?;
    Ok(Json(Items { items: keys.into_iter().map(view).collect() }))
}

/// `POST /v1/keys`
pub(crate) async fn create(
    State(environment): State<Environment>,
    caller: Caller,
    JsonBody(body): JsonBody<KeyCreate>,
) -> Result<Made<KeyCreated>, Problem> {
    let name = body.name.trim();
    if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("name: give 1 to {MAX_NAME} characters, such as `backup script`.")));
    }
    let scopes = match &body.scopes {
        None => caller.scopes,
        Some(names) => {
            let scopes: Result<Scopes, _> = names.iter().map(|name| name.parse::<Scope>()).collect();
            scopes.map_err(|error| Problem::bad_request(format!("scopes: {error}.")))?
        }
    };
    caller.check_may_give(scopes)?;
    // A key that has all keeps having all.
    let stored = (scopes != Scopes::ALL).then(|| scopes.iter().map(|scope| scope.to_string()).collect());
    let now = environment.clock.now();
    let id = KeyId::from_parts(now, environment.entropy.next_u128());
    let secret = environment.entropy.secret(KEY_PREFIX);
    let key = environment.store.account(caller.account).api_key_create(id, name, stored, &secret, now).await?;
    tracing::info!(account = %caller.account, key = %id, "An API key was made.");
    Ok(Made(KeyCreated { key: view(key), secret }))
}

/// `DELETE /v1/keys/{key}`: it does not work any more.
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(key): Segments<String>,
) -> Result<NoContent, Problem> {
    let unknown = || Problem::not_found("There is no such key. GET /v1/keys lists them.");
    let id: KeyId = key.parse().map_err(|_| unknown())?;
    if environment.store.account(caller.account).api_key_delete(id).await? {
        tracing::info!(account = %caller.account, key = %id, "An API key was deleted.");
        Ok(NoContent)
    } else {
        Err(unknown())
    }
}

fn view(key: ApiKey) -> KeyView {
    let scopes = Scopes::of_key(key.scopes.as_deref()).iter().map(|scope| scope.to_string()).collect();
    KeyView { id: key.id, name: key.name, scopes, created_at: key.created_at }
}
