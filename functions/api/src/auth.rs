//! Who calls: a program with an API key, or a browser that is signed in.

use std::sync::{Arc, OnceLock};

use aide::OperationInput;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use domain::{AccountId, Role, SignedInAs};
use runtime::Environment;
use serde_json::Value;
use store::{Actor, ApiKey, AuditLine};

use crate::idempotency;
use crate::operation::Needs;
use crate::problem::Problem;
use crate::rate::{Client, Rates};
use crate::scope::{Scope, Scopes};
use crate::sign_in::cookie;

/// What every API key begins with.
pub(crate) const KEY_PREFIX: &str = "lt_";
/// Longer texts are no keys and are not looked up.
const MAX_KEY: usize = 128;
/// How often a key or a person may call, unless the deployment says otherwise.
const REQUESTS_PER_MINUTE: u32 = 6_000;
/// A longer action is cut in the audit log.
const MAX_ACTION: usize = 300;
/// So many fields of a request are named there, and so much of their names.
const MAX_FIELDS: usize = 30;
const MAX_FIELD: usize = 60;
/// Routes by which people speak to bots: what they say is in the bots' own logs.
const SAID: [&str; 3] = ["/v1/bots/{bot}/chat", "/v1/chat/completions", "/v1/responses"];
/// What is noted in another account than the visitor's, by its handlers.
const NOTED_ELSEWHERE: [&str; 2] = ["/v1/me/invitations/{account}/accept", "/v1/me/invitations/{account}/decline"];
/// For two years.
const TLS_ONLY: &str = "max-age=63072000";

/// Whose request it is. A handler that takes one is only run for who is let in, is in an account, and has the scope of the route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) actor: Actor,
    pub(crate) scopes: Scopes,
    /// Of a person, and of a browser that a link let in.
    pub(crate) role: Option<Role>,
}

/// What the document says of a caller is said where the route is registered.
impl OperationInput for Caller {}

/// Who sent a request: let in, with the scope of the route, and perhaps in no account yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    /// `None`: a person who is to accept an invitation.
    pub(crate) account: Option<AccountId>,
    pub(crate) actor: Actor,
    pub(crate) scopes: Scopes,
    pub(crate) role: Option<Role>,
}

impl OperationInput for Visitor {}

/// What is noted of a request for the audit log, while it is worked on.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    /// Whether anything is to be noted of it at all.
    is_noted: bool,
    visitor: Arc<OnceLock<Visitor>>,
    fields: Arc<OnceLock<Vec<String>>>,
}

impl Notes {
    /// Notes which fields a body has, and not what they say.
    pub(crate) fn read(&self, body: &[u8]) {
        if self.is_noted {
            let _ = self.fields.set(field_names(body));
        }
    }
}

/// The names of the fields of a JSON object, and of the objects in it: `budget.turns`.
fn field_names(body: &[u8]) -> Vec<String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return vec![] };
    let names = fields.iter().flat_map(|(name, value)| match value {
        Value::Object(inner) if !inner.is_empty() => inner.keys().map(|it| format!("{name}.{it}")).collect(),
        _ => vec![name.clone()],
    });
    let mut names: Vec<String> = names.take(MAX_FIELDS).map(|name| name.chars().take(MAX_FIELD).collect()).collect();
    names.sort();
    names
}

/// Writes down what callers change, and has browsers that came by TLS come by it ever after.
pub(crate) async fn watch(State(environment): State<Environment>, mut request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let is_secure = cookie::is_secure(request.headers());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let is_said = method == Method::POST && SAID.contains(&route);
    let is_change = !matches!(method, Method::GET | Method::HEAD);
    let notes = Notes { is_noted: is_change && !is_said && !NOTED_ELSEWHERE.contains(&route), ..Notes::default() };
    request.extensions_mut().insert(notes.clone());
    let mut response = next.run(request).await;
    if let Some(Visitor { account: Some(account), actor, .. }) = notes.visitor.get().copied()
        && notes.is_noted
        && !response.status().is_client_error()
        && !response.headers().contains_key(idempotency::REPLAYED)
    {
        let fields = notes.fields.get().cloned().unwrap_or_default();
        let action = format!("{method} {}", uri.path());
        note(&environment, account, actor, &action, fields, response.status()).await;
    }
    if is_secure {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    response
}

impl FromRequestParts<Environment> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Visitor, Problem> {
        let Some(needs) = parts.extensions.get::<Needs>().copied() else {
            return Err(without_scope(parts));
        };
        let visitor = match parts.extensions.get::<Visitor>() {
            Some(known) => *known,
            None => identify(environment, parts).await?,
        };
        if let Some(notes) = parts.extensions.get::<Notes>() {
            let _ = notes.visitor.set(visitor);
        }
        if let Needs::Scope(scope) = needs {
            // Who is in no account has no scope, and is told what to do.
            visitor.caller()?.check(scope)?;
        }
        Ok(visitor)
    }
}

impl FromRequestParts<Environment> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, environment: &Environment) -> Result<Caller, Problem> {
        Visitor::from_request_parts(parts, environment).await?.caller()
    }
}

impl Visitor {
    /// The same in their account.
    pub(crate) fn caller(self) -> Result<Caller, Problem> {
        let Visitor { account, actor, scopes, role } = self;
        let Some(account) = account else {
            let detail = "You are in no account. GET /v1/me lists who invited you; accept an invitation first.";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        };
        Ok(Caller { account, actor, scopes, role })
    }
}

/// A route that does not say what it needs is for nobody.
fn without_scope(parts: &Parts) -> Problem {
    tracing::error!(path = parts.uri.path(), "This route names no scope, so nobody may use it.");
    let detail = "This route names no scope, so nobody may use it. Repeating the request does not help.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

async fn identify(environment: &Environment, parts: &Parts) -> Result<Visitor, Problem> {
    let now = environment.clock.now();
    let rates = parts.extensions.get::<Rates>().cloned().unwrap_or_default();
    let client = Client::of(parts);
    rates.check_failures(&client, now)?;
    let (visitor, unknown) = match (bearer(&parts.headers), cookie::secret(&parts.headers)) {
        (Some(key), _) => (by_key(environment, key).await?, "This key is not known. Copy it again, or make a new one."),
        (None, Some(secret)) => {
            check_same_origin(&parts.method, &parts.headers)?;
            (by_browser(environment, secret).await?, "You are signed out. Sign in again.")
        }
        // Nothing was tried, so nothing counts as a failure.
        (None, None) => {
            return Err(unauthorised("This route needs a key: send the header `Authorization: Bearer lt_…`."));
        }
    };
    let visitor = visitor.ok_or_else(|| {
        rates.count_failure(&client, now);
        unauthorised(unknown)
    })?;
    let limit = environment.settings.requests_per_minute.unwrap_or(REQUESTS_PER_MINUTE);
    rates.check_request(&environment.store, &visitor.actor, now, limit).await?;
    Ok(visitor)
}

async fn by_key(environment: &Environment, key: &str) -> Result<Option<Visitor>, Problem> {
    let owner = environment.store.api_key_find(key).await?;
    Ok(owner.map(|owner| Visitor {
        account: Some(owner.account),
        actor: Actor::Key { id: owner.key },
        scopes: Scopes::of_key(owner.scopes.as_deref()),
        role: None,
    }))
}

async fn by_browser(environment: &Environment, secret: &str) -> Result<Option<Visitor>, Problem> {
    let found = environment.store.sign_in_find(secret, environment.clock.now()).await?;
    let Some((account, sign_in)) = found else { return Ok(None) };
    let Some(account) = account else {
        let SignedInAs::User { id } = sign_in.who else { return Ok(None) };
        let (actor, scopes) = (Actor::User { id }, Scopes::default());
        return Ok(Some(Visitor { account: None, actor, scopes, role: None }));
    };
    let state = environment.store.account(account);
    let account = Some(account);
    let of_role = |actor, role: Role| Visitor { account, actor, scopes: role.into(), role: Some(role) };
    Ok(match sign_in.who {
        SignedInAs::Link { role } => Some(of_role(Actor::Browser { id: sign_in.id }, role)),
        // Who was given another role, or taken out of the account, is that at once; so is who has a deleted key.
        SignedInAs::User { id } => {
            let member = state.member_get(id).await?;
            member.map(|member| of_role(Actor::User { id }, member.role))
        }
        SignedInAs::Key { id } => {
            let key = state.api_key_get(id).await?;
            let scopes = |key: ApiKey| Scopes::of_key(key.scopes.as_deref());
            key.map(|key| Visitor { account, actor: Actor::Key { id }, scopes: scopes(key), role: None })
        }
    })
}

/// Refuses a change that another site's page has a browser make (CSRF). Browsers say where a request comes from in
/// `Sec-Fetch-Site`, older ones in `Origin`, and no page can set either.
pub(crate) fn check_same_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_ours = match (text(header::HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let host = text(header::HOST).unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority == host)
        }
        (None, None) => false,
    };
    if is_ours {
        return Ok(());
    }
    let detail = "A browser that is signed in may change things from Lowtide's own pages only. Programs send a key.";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// Writes a line of the audit log.
pub(crate) async fn note(
    environment: &Environment,
    account: AccountId,
    actor: Actor,
    action: &str,
    fields: Vec<String>,
    status: StatusCode,
) {
    let action = action.chars().take(MAX_ACTION).collect();
    let line = AuditLine { at: environment.clock.now(), actor, action, fields, status: status.as_u16() };
    let written = environment.store.account(account).audit_put(&line, environment.entropy.next_u128()).await;
    // The change has happened and its answer must not say otherwise.
    if let Err(error) = written {
        tracing::error!(%account, action = line.action, "A change is missing in the audit log: {error}");
    }
}

impl Caller {
    /// Refuses who lacks a scope.
    pub(crate) fn check(self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(scope) {
            return Ok(());
        }
        let detail = match self.role {
            None => format!("This key lacks the scope `{scope}`. Use a key that has it, or make one."),
            Some(_) => format!("Your role does not allow this (scope `{scope}`). Ask an owner of the account."),
        };
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    /// Refuses to give others what the caller does not have.
    pub(crate) fn check_may_give(self, scopes: Scopes) -> Result<(), Problem> {
        match scopes.iter().find(|scope| !self.scopes.contains(*scope)) {
            None => Ok(()),
            Some(missing) => {
                let detail = format!("You cannot give the scope `{missing}`, which you do not have yourself.");
                Err(Problem::new(StatusCode::FORBIDDEN, detail))
            }
        }
    }
}

/// Whether a text can be an API key at all.
pub(crate) fn is_key(text: &str) -> bool {
    text.starts_with(KEY_PREFIX) && text.len() <= MAX_KEY
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && is_key(key)).then_some(key)
}

pub(crate) fn unauthorised(detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"lowtide\"");
    Problem::new(StatusCode::UNAUTHORIZED, detail).with_header(header::WWW_AUTHENTICATE, challenge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{KeyId, Timestamp};

    #[test]
    fn fields_are_named_without_what_they_say() {
        let names = |json: &str| field_names(json.as_bytes());
        let body = r#"{"name": "x", "model": {"api_key": "secret", "keys": {"openai": "secret"}}, "queue": {}}"#;
        assert_eq!(names(body), ["model.api_key", "model.keys", "name", "queue"]);
        assert_eq!(names("[]").len() + names("secret").len(), 0);
        let many: serde_json::Map<String, Value> = (0..99).map(|n| ("x".repeat(n + 1), Value::Null)).collect();
        let named = field_names(serde_json::to_string(&many).unwrap_or_default().as_bytes());
        assert!(named.len() == MAX_FIELDS && named.iter().all(|name| name.len() <= MAX_FIELD));
    }

    #[test]
    fn who_lacks_a_scope_is_told_which() {
        let (account, id) =
            (AccountId::from_parts(Timestamp::default(), 1), KeyId::from_parts(Timestamp::default(), 1));
        let caller = Caller { account, actor: Actor::Key { id }, scopes: Scopes::of(&[Scope::Chat]), role: None };
        assert!(caller.check(Scope::Chat).is_ok() && caller.check_may_give(Scopes::of(&[Scope::Chat])).is_ok());
        for refusal in [caller.check(Scope::BotsWrite), caller.check_may_give(Scopes::ALL)] {
            let problem = format!("{:?}", refusal.unwrap_err());
            assert!(problem.contains("403") && problem.contains('`'), "{problem}");
        }
    }
}
